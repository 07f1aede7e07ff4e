"""Dense layers whose products go by bfloat16 tiles, emulated in C as in test_amx.py.

The core is built once more on emulated tiles and, while a test runs, every layer that can go by
tiles does, however small. What emulated tiles cannot show is speed alone.
"""

import hashlib
import math
import os
import sys

import numpy as np
import pytest
from faults import number_of
from faults.tiles import TILES
from guarding import exercise
from helpers import data, network, same_bits
from layer_cases import CASES
from planted import EMULATED_LEVEL, HONEST

import fastweights as fw
from fastweights import _building, _dispatch, _plans, layers, optimizers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="MSVC has no AMX")

LONG = bool(os.environ.get("FASTWEIGHTS_LONG"))
SETTINGS = sys.modules["fastweights.config"]

#: What the norm of a gradient may be off, relative to it.
TOLERANCES = {"highest": 2e-6, "high": 1e-4, "medium": 3e-2}

#: Widths around those of tiles, each with rows around theirs and around the arena's; narrow layers,
#: which never go by tiles, before and after wide ones.
SHAPES = {
    "ragged": ((19, 33, 17, 10), (1, 15, 16, 17, 31, 33)),
    "several pieces": ((200, 97, 8), (1, 40, 64, 65)),
    "narrow between": ((9, 70, 3, 20, 1), (5, 50, 200)),
    "sliced": ((10, 40, 9), (256, 300, 1000)),
    "deep": ((300, 530, 11), (33, 600)),
}


@pytest.fixture
def core(faulty_core, monkeypatch):
    """The library on emulated tiles for float32; `core(n)` switches fault n on."""
    kernels, plan = faulty_core.tiled, faulty_core.plan
    usual = _dispatch.kernels

    def switch(number):
        kernels.plant(number)
        plan.plant(number)

    switch(0)
    monkeypatch.setattr(
        _dispatch, "kernels", lambda dtype: kernels if dtype.name == "float32" else usual(dtype)
    )
    monkeypatch.setattr(_plans, "_plan", plan)
    monkeypatch.setattr(optimizers.base, "_plan", plan)
    monkeypatch.setattr(_building, "_plan", plan)
    yield switch
    fw.set_matmul_precision("highest")
    fw.set_reproducible(False)


@pytest.fixture
def every_thread(monkeypatch):
    monkeypatch.setattr(SETTINGS, "_grain", 0.0)


def gradients(widths, rows, activation="tanh", **options):
    """Of a float32 model, by its own loss and by the caller's, and what they are in float64."""
    single = network(widths, activation, dtype="float32", **options)
    for weight in single.weights:
        weight += np.random.default_rng(1).normal(0, 0.05, weight.shape)
    x, y = (a.astype(np.float32) for a in data(rows, widths[0], widths[-1]))
    double = single.copy("float64")
    found = []
    for model in (single, double):
        loss, flat, dx = model.loss_and_gradients(x, y)
        parts = [np.array([loss]), model.predict(x), flat.copy(), dx]
        parts += [model.forward(x), model.backward(y), model.gradients.copy()]
        found.append([part.astype(float).ravel() for part in parts])
    return found


def check_gradients(widths, rows, precision="highest", **options):
    found, exact = gradients(widths, rows, **options)
    for part, (one, other) in enumerate(zip(found, exact, strict=True)):
        error = np.linalg.norm(one - other) / np.linalg.norm(other)
        assert error <= TOLERANCES[precision], (part, error)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", TOLERANCES if LONG else ["highest", "medium"])
def test_gradients_agree_with_float64(core, every_thread, precision, shape, threads):
    widths, batches = SHAPES[shape]
    fw.set_matmul_precision(precision)
    with fw.threads(threads):
        for rows in batches:
            check_gradients(widths, rows, precision)


@pytest.mark.parametrize("activation", ["linear", "relu", "gelu", "selu", "sigmoid"])
def test_every_kind_of_activation(core, activation):
    check_gradients((20, 30, 40, 10), 50, activation=activation)


def outcome(widths, batch_size, rows, loss="mse"):
    x, y = data(rows, widths[0], widths[-1])
    model = network(widths, "relu", None, "adam", loss, ("r2",), "float32")
    history = model.fit(x, y, batch_size, 2, verbose=0)
    found = hashlib.sha256(repr((history.history, model.evaluate(x, y))).encode())
    _, gradient, dx = model.loss_and_gradients(x, y)
    for part in (model.parameters, model.predict(x), gradient, dx, model.forward(x)):
        found.update(part.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_normalisation_is_done_after_the_product(core, every_thread, activation):
    stack = [layers.Dense(70), layers.BatchNormalization(), layers.Activation(activation)]
    model = fw.Sequential(stack, 40, seed=0)
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight += random.uniform(0.1, 1.0, weight.shape)
    x = random.standard_normal((300, 40)).astype(np.float32)
    for rows in (1, 33, 300):
        found = model.predict(x[:rows])
        np.testing.assert_allclose(found, model.forward(x[:rows]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize(
    ("widths", "batch_size", "rows"),
    [((70, 100, 130, 9), 150, 500), ((8, 40, 12), 700, 1500), ((60, 300, 80), 77, 200)],
    ids=["whole in chunks", "sliced", "whole"],
)
def test_one_hash_for_every_number_of_threads(
    core, every_thread, precision, widths, batch_size, rows
):
    fw.set_matmul_precision(precision)
    hashes = set()
    for threads in (1, 2, 3, 8):
        with fw.threads(threads):
            hashes.add(outcome(widths, batch_size, rows))
    assert len(hashes) == 1


def test_a_plan_for_more_rows_gives_the_same_bits(core, every_thread):
    """What a step computes depends on its own rows, not on what the model did before."""
    for rows in (30, 100, 260, 300):
        x, y = data(700, 10, 9)
        models_ = [network((10, 40, 9), dtype="float32") for _ in range(2)]
        models_[0].predict(x)
        models_[0].loss_and_gradients(x, y)
        with fw.threads(2):
            models_[1].loss_and_gradients(x[:3], y[:3])
        found = [model.loss_and_gradients(x[:rows], y[:rows]) for model in models_]
        same_bits(*[gradient for _, gradient, _ in found])
        same_bits(*[dx for _, _, dx in found])
        same_bits(*[model.predict(x[:rows]) for model in models_])


def test_precision_of_the_process_and_of_a_model(core):
    x, _ = data(40, 50, 10)
    model, own = (network((50, 60, 10), dtype="float32") for _ in range(2))
    exact = model.copy("float64").predict(x.astype(np.float32))

    def error(model):
        return np.abs(model.predict(x) - exact).max()

    assert error(model) < 1e-6
    own.matmul_precision = "medium"
    assert error(own) > 1e-4
    fw.set_matmul_precision("high")
    assert 1e-7 < error(model) < 1e-4
    assert error(own.copy()) > 1e-4
    own.matmul_precision = None
    same_bits(own.predict(x), model.predict(x))


def test_a_new_precision_does_not_come_between_forward_and_backward(core):
    x, dy = data(40, 50, 10)
    model, other = (network((50, 60, 10), dtype="float32") for _ in range(2))
    other.forward(x)
    model.forward(x)
    fw.set_matmul_precision("medium")
    dx = model.backward(dy)
    fw.set_matmul_precision("highest")
    same_bits(dx, other.backward(dy))


def test_reproducible_keeps_to_multiply_adds(core, monkeypatch):
    x, y = data(50, 40, 16)

    def trained(own_precision=None):
        model = network((40, 64, 16), dtype="float32")
        model.matmul_precision = own_precision
        model.fit(x, y, 50, 3, verbose=0)
        return model.parameters

    on_tiles = trained()
    fw.set_reproducible(True)
    kept = trained()
    assert not np.array_equal(kept, on_tiles)
    same_bits(trained("medium"), kept)
    fw.set_matmul_precision("medium")
    same_bits(trained(), kept)
    monkeypatch.undo()
    if _dispatch.level() == EMULATED_LEVEL:
        same_bits(trained(), kept)  # by the library's own kernels


def test_tiles_are_for_large_products(core):
    """By their time on a CPU with AMX, which the emulation does not have."""
    core(HONEST)

    def changes(precision, width, rows):
        x, y = data(rows, width, width)
        model = network((width, width), dtype="float32")
        fw.set_matmul_precision(precision)
        found = []
        for reproducible in (True, False):
            fw.set_reproducible(reproducible)
            found.append(model.loss_and_gradients(x, y)[1].copy())
        return not np.array_equal(*found)

    assert not changes("highest", 256, 64)
    assert changes("high", 256, 64)
    assert not changes("high", 64, 64)
    assert changes("medium", 64, 64)
    assert not changes("medium", 512, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="maps pages as Linux does")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("core", "guarded_library", "every_thread")
def test_nothing_is_touched_beyond_any_buffer(threads):
    with fw.threads(threads):
        for n in (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65) if LONG else (1, 7, 16, 17, 33, 65):
            exercise((n, 9, 10), "tanh", None, "mse", 9, "float32")
            exercise((20, n, 17), "relu", None, "mae", 33, "float32")
            if n > 1:
                exercise((5, 20, n), "silu", "softmax", "categorical_crossentropy", 17, "float32")
            exercise((n, n, n), "elu", None, "mse", n, "float32")
            exercise((100, n, 33), "relu", None, "mse", 70, "float32")


@pytest.mark.parametrize("fault", TILES, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(core, every_thread, fault):
    def check():
        with fw.threads(2):
            for widths, rows in (((200, 97, 8), 100), ((300, 20, 20), 600), ((10, 40, 9), 300)):
                check_gradients(widths, rows)

    check()
    core(number_of(fault))
    for _ in range(20):  # members that share what they should not must meet there
        try:
            check()
        except AssertionError:
            return
    pytest.fail("not noticed")


def behind_a_dense_layer(name, dtype):
    case = CASES[name]
    before = [layers.Dense(math.prod(case.shape), "tanh"), layers.Reshape(case.shape)]
    stack = [*before, case.make(), layers.Flatten(), layers.Dense(20)]
    model = fw.Sequential(stack, 40, dtype, seed=0)
    random = np.random.default_rng(0)
    model.parameters[...] = 0.2 * random.standard_normal(model.parameters.shape)
    model.compile("sgd", "mse")
    x, y = random.standard_normal((70, 40)), random.standard_normal((70, 20))
    return model.loss_and_gradients(x.astype(dtype), y.astype(dtype))[1]


@pytest.mark.usefixtures("core", "merged_is_known")
@pytest.mark.filterwarnings("ignore:layers. Flatten")
@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in CASES.items()
        if case.smooth and 8 <= math.prod(case.shape) <= 600 and "mbedding" not in name
    ],
)
def test_every_layer_hands_back_whole_tiles(name):
    found, exact = (behind_a_dense_layer(name, dtype) for dtype in ("float32", "float64"))
    assert np.linalg.norm(found - exact) <= 1e-4 * np.linalg.norm(exact)
