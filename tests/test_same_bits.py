"""The same bits: from every layout and dtype of the input, and on every CPU level with FMA."""

import numpy as np
import pytest
from helpers import data, network, run_python, same_bits

import fastweights as fw
from fastweights import _check, _dispatch, layers

REALS = ("float32", "float64")


WHOLE = np.random.default_rng(0).integers(-9, 10, (37, 6))


def layouts(tmp_path):
    """The same whole numbers in every dtype and layout that is accepted."""
    x = WHOLE.astype(np.float32)
    wide = np.zeros((74, 18), np.float32)
    wide[::2, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "x.npy", x)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not unaligned.flags.aligned
    yield "fortran", np.asfortranarray(x)
    yield "strided", wide[::2, ::3]
    yield "reversed", x[::-1, ::-1].copy()[::-1, ::-1]
    yield "transposed", x.T.copy().T
    yield "read-only", read_only
    yield "memory-mapped", np.load(tmp_path / "x.npy", mmap_mode="r")
    yield "unaligned", unaligned
    yield "big-endian", x.astype(">f4")
    yield "list", x.tolist()
    for dtype in (np.float16, np.float64, np.longdouble, np.int8, np.int16, np.int32, np.int64):
        yield np.dtype(dtype).name, x.astype(dtype)


@pytest.mark.parametrize("dtype", REALS)
def test_every_layout_and_dtype_gives_the_same_bits(dtype, tmp_path):
    y = WHOLE[:, :3].astype(np.float32)

    def results(x, y):
        model = network((6, 9, 3), dtype=dtype, optimizer="adam")
        model.fit(x, y, 8, 2, verbose=0, validation_split=0.2)
        loss, gradient, dx = model.loss_and_gradients(x, y)
        return [model.parameters, model.predict(x), model.forward(x), np.array(loss), gradient, dx]

    plain = WHOLE.astype(dtype)
    expected = results(plain, y)
    np.testing.assert_array_equal(plain, WHOLE)
    for name, x in layouts(tmp_path):
        for found, wanted in zip(results(x, y), expected, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=name)
        np.testing.assert_array_equal(x, WHOLE, err_msg=name)
    for name, x in layouts(tmp_path):
        targets = np.asarray(x)[:, :3]
        for found, wanted in zip(results(plain, targets), expected, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=f"y {name}")


def test_rows_are_copied_only_where_they_must_be(tmp_path):
    real = np.dtype(np.float32)
    for name, x in layouts(tmp_path):
        rows = _check.rows("x", x, real)
        assert rows.flags.c_contiguous, name
        assert rows.flags.aligned, name
        fits = name in ("read-only", "memory-mapped")
        assert np.shares_memory(rows, x) == fits, name


def test_labels_of_any_dtype_give_the_same_bits():
    labels = np.random.default_rng(0).integers(0, 3, 40)
    x, _ = data(40)
    results = []
    for y in (labels, labels.astype(np.uint8), labels.astype(np.float16), labels.astype(">i4"),
              labels[:, np.newaxis], labels.tolist(), np.repeat(labels, 2)[::2]):  # fmt: skip
        model = network(last="softmax", loss="sparse_categorical_crossentropy")
        model.fit(x, y, 16, verbose=0)
        results.append(model.parameters)
    for result in results[1:]:
        same_bits(result, results[0])


def test_input_is_never_written_to():
    x, y = (array.astype(np.float32) for array in data(600))
    kept = x.copy(), y.copy()
    for activation in ("linear", "relu", "softmax"):
        model = fw.Sequential([layers.Activation(activation), layers.Dense(3)], 5)
        model.compile("adam", "mse", ["mae"])
        for shuffle in (True, False):
            model.fit(x, y, 300, verbose=0, shuffle=shuffle)
        model.evaluate(x, y)
        model.predict(x)
        model.loss_and_gradients(x, y)
        model.forward(x)
        model.backward(y)
        same_bits(x, kept[0])
        same_bits(y, kept[1])


TRAIN_EVERYWHERE = """
import hashlib, itertools, numpy as np, fastweights as fw
from fastweights import layers, optimizers
random = np.random.default_rng(0)
sums = {}
for dtype in ("float32", "float64"):
    for widths, activation, optimizer, batch_size in (
        ((1, 1), "linear", "sgd", 3),
        ((7, 17, 33, 5), "relu", optimizers.SGD(0.01, 0.9, True), 19),
        ((16, 31, 8), "tanh", "adam", 64),
        ((5, 9, 15, 3), "gelu", optimizers.SGD(0.01, 0.5), 300),
        ((9, 24, 10), "silu", "adam", 7),
    ):
        ends = ("mse", None), ("categorical_crossentropy", "softmax"), ("bce", "sigmoid")
        for loss, last in ends:
            if widths[-1] == 1 and last == "softmax":
                continue
            x = random.standard_normal((403, widths[0]))
            y = np.eye(widths[-1])[random.integers(0, widths[-1], 403)]
            *hidden, outputs = widths[1:]
            stack = [*(layers.Dense(u, activation) for u in hidden), layers.Dense(outputs, last)]
            model = fw.Sequential(stack, widths[0], dtype, seed=1)
            model.compile(optimizer, loss, ["mae"])
            history = model.fit(x, y, batch_size, 2, verbose=0, validation_split=0.1)
            found = [model.parameters, model.predict(x), *map(np.array, history.history.values())]
            text = b"".join(array.tobytes() for array in found)
            close = [float(np.abs(array).sum()) for array in found]
            print(dtype, widths, loss, hashlib.sha256(text).hexdigest(), *close)
"""


@pytest.fixture(scope="module")
def trained_on_every_level():
    found = {}
    for level in _dispatch.available_levels():
        result = run_python(TRAIN_EVERYWHERE, FASTWEIGHTS_ISA=level)
        assert result.returncode == 0, result.stderr
        found[level] = result.stdout.splitlines()
    return found


def test_trained_weights_are_the_same_bits_on_every_fma_level(trained_on_every_level):
    levels = [level for level in trained_on_every_level if level != "baseline"]
    if len(levels) < 2:
        pytest.skip("this CPU has fewer than two such levels")
    for level in levels[1:]:
        assert trained_on_every_level[level] == trained_on_every_level[levels[0]]


def test_baseline_trains_to_nearly_the_same(trained_on_every_level):
    if len(trained_on_every_level) == 1:
        pytest.skip("one CPU level alone was built")
    best, *_, baseline = trained_on_every_level.values()
    assert len(best) == len(baseline) == 28
    for line, other in zip(best, baseline, strict=True):
        tolerance = 1e-3 if line.startswith("float32") else 1e-9
        numbers, others = ([float(n) for n in row.split()[-6:]] for row in (line, other))
        assert numbers == pytest.approx(others, rel=tolerance)
