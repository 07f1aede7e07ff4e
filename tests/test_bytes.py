"""Rows of whole numbers from 0 to 255, or of True and False, of which plans make reals."""

import gc
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import guarded, same_bits

import fastweights as fw
from fastweights import layers
from fastweights._plans import plan_for

KINDS = ("uint8", "bool")
#: Of rows, around cache lines and vectors.
SHAPES = [(1,), (5,), (63,), (64,), (130,), (9, 7, 3)]

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
every_kind = pytest.mark.parametrize("kind", KINDS)


def network(shape, dtype="float32", hidden=9):
    stack = [layers.Rescaling(1 / 255, -0.5), layers.Flatten(), layers.Dense(hidden, "tanh")]
    model = fw.Sequential([*stack, layers.Dense(3, "softmax")], shape, dtype, 0)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(rows, shape, kind="uint8"):
    """As bytes, as reals, and labels."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256 if kind == "uint8" else 2, (rows, *shape)).astype(kind)
    return x, x.astype(float), random.integers(0, 3, rows)


@every_kind
@every_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_that_takes_rows(shape, dtype, kind):
    x, reals, y = data(37, shape, kind)
    of_bytes, of_reals = network(shape, dtype), network(shape, dtype)
    found, expected = [], []
    for model, given, results in ((of_bytes, x, found), (of_reals, reals, expected)):
        results += [model.predict(given), model.predict(given[:1]), model(given[3:9])]
        results += [np.array(model.evaluate(given, y))]
        loss, gradient, dx = model.loss_and_gradients(given, y)
        results += [np.array([loss]), gradient, dx, model.forward(given)]
        results += [model.backward(np.ones((37, 3))), np.array([model.train_on_batch(given, y)])]
        results += [model.parameters.copy(), model.predict_on_batch(given)]
    for one, other in zip(found, expected, strict=True):
        same_bits(one, other)


@every_dtype
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("rows", "batch", "hidden"), [(75, 8, 9), (1300, 1300, 9), (1300, 1100, 700)]
)
def test_whole_batches_slices_and_chunks(rows, batch, hidden, shuffle, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x, reals, y = data(rows, (9, 7, 3))
    for threads in (1, 2, 3):
        with fw.threads(threads):
            found = []
            for given in (x, reals):
                model = network((9, 7, 3), dtype, hidden)
                history = model.fit(
                    given, y, batch, 2, verbose=0, shuffle=shuffle,
                    validation_split=0.1, validation_data=None,
                ).history  # fmt: skip
                figures = history, model.evaluate(given, y)
                found.append((figures, model.parameters.copy(), model.predict(given)))
        assert found[0][0] == found[1][0]
        same_bits(found[0][1], found[1][1])
        same_bits(found[0][2], found[1][2])


def test_inputs_of_which_some_are_bytes():
    a, b = fw.Input((5,)), fw.Input((4, 2))
    joined = layers.Concatenate()([a, layers.Flatten()(layers.Rescaling(1 / 255)(b))])
    tokens = fw.Input((3,))
    looked_up = layers.Flatten()(layers.Embedding(256, 2)(tokens))
    output = layers.Dense(2)(layers.Concatenate()([joined, looked_up]))
    model = fw.Model([a, b, tokens], output, seed=0)
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    first, second = random.standard_normal((70, 5)), random.integers(0, 256, (70, 4, 2), np.uint8)
    third, y = random.integers(0, 256, (70, 3), np.uint8), random.standard_normal((70, 2))
    twin = model.copy()
    twin.compile("sgd", "mse")
    for given in ([first, second, third], [first, second.astype(float), third]):
        one = model if given[1].dtype == np.uint8 else twin
        one.fit(given, y, 16, 2, verbose=0)
    same_bits(model.parameters, twin.parameters)
    same_bits(
        model.predict([first, second, third]), twin.predict([first, second.astype(float), third])
    )
    same_bits(
        model.predict([first[:1], second[:1], third[:1]]), twin.predict([first, second, third])[:1]
    )


def test_one_model_is_given_bytes_and_reals_in_turns():
    x, reals, y = data(300, (64,))
    model, twin = network((64,)), network((64,))
    for given in (x, reals, x[::2].repeat(2, 0), reals.astype(np.float32), x):
        same_bits(model.predict(given), twin.predict(given.astype(float)))
        model.fit(given, y, 32, 1, verbose=0)
        twin.fit(given.astype(float), y, 32, 1, verbose=0)
    same_bits(model.parameters, twin.parameters)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[:, ::-1], lambda a: a[::-1]])
def test_any_layout(layout):
    x, reals, _ = data(40, (9, 7, 3))
    model = network((9, 7, 3))
    same_bits(model.predict(layout(x)), model.predict(layout(reals)))


@pytest.mark.filterwarnings("ignore:x. bytes up to 255")
def test_a_model_that_is_not_built_yet():
    x, reals, y = data(40, (6, 6, 1))
    found = []
    for given in (x, reals):
        model = fw.Sequential([layers.Flatten(), layers.Dense(3, "softmax")], seed=0)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(given, y, epochs=2, verbose=0)
        found.append(model.parameters)
    same_bits(*found)


def test_true_is_1_whatever_its_byte_is():
    x = np.arange(10, dtype=np.uint8).reshape(2, 5).view(bool)
    model = network((5,))
    same_bits(model.predict(x), model.predict(np.array(x.tolist(), float)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_checked_by_the_reals(dtype):
    x, reals, y = data(4, (3, 3, 1))
    found = [fw.check_gradients(network((3, 3, 1), dtype), given, y) for given in (x, reals)]
    assert found[0].passed
    assert found[0] == found[1]
    assert x.dtype == np.uint8


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("at_the_end", [True, False])
def test_nothing_is_read_beyond_the_bytes(shape, at_the_end):
    given, _, y = data(37, shape)
    x = guarded(given.shape, "uint8", at_the_end)
    x[...] = given
    model = network(shape)
    model.fit(x, y, 8, 2, verbose=0)
    model.fit(x, y, 37, 1, verbose=0, shuffle=False)
    model.forward(x)
    same_bits(model.predict(x), model.predict(given))


def test_no_copy_of_all_rows_is_made():
    x, _, y = data(20000, (10, 10, 1))
    model = network((10, 10, 1))
    model.fit(x[:64], y[:64], verbose=0)
    gc.collect()
    tracemalloc.start()
    model.fit(x, y, 64, 2, verbose=0)
    model.evaluate(x, y)
    model.predict(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.size  # a quarter of it as float32


def test_a_plan_takes_bytes_for_what_it_reads_alone():
    x, _, y = data(16, (64,))
    model = network((64,))
    model.fit(x, y, verbose=0)
    labels, dx = y.astype(np.int32), np.empty((16, 64), np.float32)
    plan = plan_for(model, "check", 16)
    plan.gradients_of(x, labels, dx, 16)
    with pytest.raises(ValueError, match="x: got 1023 bytes, expected 1024"):
        plan.gradients_of(x.reshape(-1)[:1023], labels, dx, 16)
    with pytest.raises(ValueError, match="dx: got 1024 bytes, expected 4096"):
        plan.gradients_of(x, labels, x.copy(), 16)
    out = np.empty((16, 3), np.float32)
    with pytest.raises(ValueError, match="x: got 1008 bytes, expected 1024"):
        plan_for(model, "infer", 16).infer(x[:, :63].copy(), None, out, 0, 16, 1.0)
