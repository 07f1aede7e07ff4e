"""Every layer that looks at no other row: against the oracle, alone and in batches, saved."""

import os

import numpy as np
import pytest
from helpers import run_python, same_bits
from layer_cases import CASES, Merged, model_between, rows_for

import fastweights as fw
from fastweights import _dispatch, _registry, layers

LONG = bool(os.environ.get("FASTWEIGHTS_LONG"))

pytestmark = pytest.mark.usefixtures("merged_is_known")


def model_of(case, dtype="float64"):
    """The layer alone, its weights drawn."""
    model = fw.Sequential([case.make()], case.shape, dtype, seed=0)
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight[...] = case.around + 0.3 * random.standard_normal(weight.shape)
    return model, [weight.astype(float) for weight in model.weights]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_agrees_with_the_oracle(name, dtype):
    case = CASES[name]
    for rows in (1, 5, 300):
        model, weights = model_of(case, dtype)
        x = rows_for(model, rows, np.random.default_rng(rows)).astype(dtype)
        exact = case.oracle(x.astype(float), *weights)
        found = model.predict(x)
        assert found.shape == exact.shape
        tolerance = 3e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)


def random_rows(model, rows):
    """For `model_between`."""
    random = np.random.default_rng(rows)
    return rows_for(model, rows, random), random.standard_normal((rows, 2))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(name, dtype):
    model, _ = model_of(CASES[name], dtype)
    x = rows_for(model, 19, np.random.default_rng(3)).astype(dtype)
    together = model.predict(x)
    for row in (0, 7, 18):
        same_bits(model.predict(x[row : row + 1]), together[row : row + 1])


@pytest.mark.parametrize("name", CASES)
def test_a_layer_comes_back_from_its_config(name):
    layer = CASES[name].make()
    again = type(layer)(**layer._arguments())
    assert _registry._are_alike(vars(again), vars(layer))
    assert repr(again) == repr(layer)


@pytest.mark.filterwarnings("ignore:layers. Flatten .* reads masked steps")
@pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if not isinstance(case.make(), Merged)]
)
def test_a_saved_model_goes_on_as_it_would_have(name, tmp_path):
    model = model_between(CASES[name], "float32")
    model.compile("adam", "mse")
    x, y = random_rows(model, 40)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = fw.load(tmp_path / "m.safetensors")
    for one in (model, again):
        one.fit(x, y, verbose=0)
    same_bits(model.parameters, again.parameters)
    same_bits(model.predict(x), again.predict(x))


def test_every_layer_is_among_the_cases():
    made = [case.make() for case in CASES.values()]
    made += [
        part
        for layer in made
        if isinstance(layer, Merged)
        for part in (layer.merge, *layer.branches)
    ]
    assert {type(layer).__name__ for layer in made} >= set(layers.LAYERS) - {"Dense", "Flatten"}


#: Prints one hash of what comes of training every layer, and of all that follows.
HASHES = """
import hashlib
import numpy as np
import fastweights as fw
from fastweights import layers
from layer_cases import CASES, model_between
from test_layers import random_rows

fw.set_reproducible(True)
models = []
for case in CASES.values():
    models += [(model_between(case, "float32"), (70, 300)), (model_between(case), (70,))]
stack = [layers.Dense(270), layers.LayerNormalization(), layers.PReLU(), layers.Dense(270)]
stack += [layers.RMSNormalization(), layers.Dense(2)]
models.append((fw.Sequential(stack, 50, seed=0), (70, 1500)))
found = hashlib.sha256()
for model, batches in models:
    for rows, optimizer in zip(batches, ("adam", "sgd")):
        model.compile(optimizer, "mse")
        x, y = random_rows(model, rows)
        model.fit(x, y, rows, 2, verbose=0)
        loss, gradient, dx = model.loss_and_gradients(x, y)
        for part in (model.parameters, loss, gradient, dx, model.predict(x)):
            found.update(np.array(0 if part is None else part).tobytes())
print(found.hexdigest())
"""


def test_one_hash_for_every_number_of_threads_and_every_level():
    levels = [level for level in _dispatch.available_levels() if level != "baseline"]
    found = set()
    for number, level in enumerate(levels or ["baseline"]):
        # One number of threads for each level but the first, unless there is time for all.
        for threads in "123" if LONG else "13" if number == 0 else "2":
            settings = {"FASTWEIGHTS_ISA": level, "FASTWEIGHTS_NUM_THREADS": threads}
            done = run_python(HASHES, FASTWEIGHTS_GRAIN="0", **settings)
            assert done.returncode == 0, done.stderr
            found.add(done.stdout)
    assert len(found) == 1
