"""What does not fit is refused at the door: a ValueError or TypeError that says which argument,
what came and what was expected, and nothing has changed."""

import itertools
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from helpers import data, network, same_bits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fastweights as fw
from fastweights import (
    _check,
    activations,
    callbacks,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
)

X, Y = data(12)
LABELS = np.arange(12) % 3


def changed(array, value, at=(3, 1), kind=float):
    array = np.array(array, kind)
    array[at if array.ndim > 1 else at[0]] = value
    return array


def refused(call, error, message):
    """The call raises; its message has the one form and begins as told."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    text = str(caught.value)
    assert text.startswith(message), text
    assert ": got " in text
    assert ", expected " in text


class Watched:
    """A trained model, and whether anything about it changes."""

    def __init__(self, **settings):
        self.model = network(optimizer="adam", **settings)
        is_sparse = self.model.loss.takes_labels
        self.model.fit(X, LABELS if is_sparse else np.abs(Y) % 1, verbose=0)
        self.model.stop_training = True
        self.before = self.state()

    def state(self):
        model, memory = self.model, self.model._compiled.memory
        arrays = [model.parameters, model.gradients, memory.vectors, memory.numbers]
        rest = [
            model.stop_training,
            model.epochs_trained,
            model.optimizer,
            model.loss,
            *model.metrics,
        ]
        return [array.tobytes() for array in arrays] + rest

    def refuses(self, call, error, message):
        refused(lambda: call(self.model), error, message)
        assert self.state() == self.before


# ---- x -------------------------------------------------------------------------------------------

BAD_X = [
    (X[:, :4], ValueError, "x: got shape (12, 4), expected shape (rows, 5)"),
    (X[0], ValueError, "x: got shape (5,), expected shape (rows, 5)"),
    (X[:, :, np.newaxis], ValueError, "x: got shape (12, 5, 1), expected shape (rows, 5)"),
    (3.0, ValueError, "x: got shape (), expected shape (rows, 5)"),
    (np.empty((0, 5)), ValueError, "x: got shape (0, 5), expected shape (rows, 5), none of it 0"),
    ([], ValueError, "x: got shape (0,), expected"),
    (np.empty((12, 0)), ValueError, "x: got shape (12, 0), expected"),
    (X.astype(complex), TypeError, "x: got dtype complex128, expected an array of real numbers"),
    (changed(X, "red", kind=object), TypeError, "x: got the text 'red' at (3, 1), expected"),
    (
        changed(X, None, kind=object),
        ValueError,
        "x: got a missing value (None) at (3, 1), expected",
    ),
    (X.astype(str), TypeError, f"x: got the text {str(X[0, 0])!r} at (0, 0), expected"),
    ("text", TypeError, "x: got the text 'text', expected"),
    (b"text", TypeError, "x: got the text b'text', expected"),
    (None, TypeError, "x: got None, expected an array of real numbers"),
    (np.zeros((12, 5), "M8[s]"), TypeError, "x: got dtype datetime64[s], expected"),
    (np.zeros((12, 5), "f4,f4"), TypeError, "x: got dtype"),
    ([[1.0] * 5, [1.0] * 4], ValueError, "x: got "),
    (
        changed(X, np.nan),
        ValueError,
        "x: got 1 NaN or inf, the first at (3, 1), expected finite numbers",
    ),
    (changed(X, np.inf), ValueError, "x: got 1 NaN or inf, the first at (3, 1), expected"),
    (
        changed(changed(X, np.inf), -np.inf, (4, 0)),
        ValueError,
        "x: got 2 NaN or inf, the first at (3, 1)",
    ),
]


@pytest.mark.parametrize(
    "use",
    [
        "fit",
        "evaluate",
        "train_on_batch",
        "loss_and_gradients",
        "predict",
        "predict_on_batch",
        "forward",
    ],
)
@pytest.mark.parametrize(("x", "error", "message"), BAD_X)
def test_x(x, error, message, use):
    arguments = (x,) if use in ("predict", "predict_on_batch", "forward") else (x, Y)
    Watched().refuses(lambda model: getattr(model, use)(*arguments), error, message)


def test_a_number_too_large_for_float32():
    model = network(dtype="float32")
    for value in (1e39, -1e39):
        refused(
            lambda value=value: model.predict(changed(X, value)),
            ValueError,
            f"x: got 1 too large for float32, the first {value} at (3, 1), expected numbers up to",
        )
    assert np.isfinite(network().predict(changed(X, 1e39))).all()


def test_what_overflows_is_told_from_what_was_no_number():
    refused(
        lambda: fw.Sequential([layers.Dense(1)], 4).predict([[1e300] * 4]),
        ValueError,
        "x: got 4 too large for float32, the first 1e+300 at (0, 0), expected numbers up to "
        '3.4e+38; scale them, or use dtype="float64"',
    )
    both = changed(changed(X, 1e300), np.inf, (4, 0))
    model = network(dtype="float32")
    refused(lambda: model.predict(both), ValueError, "x: got 1 NaN or inf, the first at (4, 0)")
    if np.finfo(np.longdouble).max > np.finfo(float).max:
        refused(
            lambda: network().predict(changed(X, "1e4000", kind=np.longdouble)),
            ValueError,
            "x: got 1 too large for float64, the first 1e+4000 at (3, 1), expected numbers up to",
        )


NO_ARRAYS = [
    ((row for row in X), "a generator", "list(...)"),
    (iter(X), "a iterator", "list(...)"),
    (map(tuple, X), "a map", "list(...)"),
    (itertools.count(), "a count", "list(...)"),
    ({"a": [1.0]}, "a dict", "np.column_stack(list(columns.values()))"),
    ({"a": [1.0]}.values(), "a dict_values", "list(...)"),
    ({1.0}, "a set", "sorted(...)"),
    (scipy.sparse.csr_matrix(X), "a sparse csr_matrix", "x.toarray()"),
    (scipy.sparse.coo_array(X), "a sparse coo_array", "x.toarray()"),
    (np.zeros(12, "f4,f4"), "dtype [(", "structured_to_unstructured"),
    (np.zeros((12, 5), "m8[s]"), "dtype timedelta64[s]", "np.timedelta64(1, 'D')"),
    ([["1"] * 5] * 12, "the text '1' at (0, 0)", ".astype(float)"),
    ([["1", "2", "x"]], "the text 'x' at (0, 2)", "a dict made once"),
    (changed(X, 1j, kind=object), "an entry of complex at (3, 1)", ""),
    (print, "the function print", "call it"),
    (object, "the class object", "object(...) makes an object of it"),
]


@pytest.mark.parametrize(("x", "got", "hint"), NO_ARRAYS)
def test_what_is_no_array_and_how_to_make_one(x, got, hint):
    with pytest.raises(TypeError) as caught:
        _check.rows("x", x, np.dtype(float))
    assert str(caught.value).startswith(f"x: got {got}")
    assert ", expected an array of real numbers" in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ma.array(X, mask=np.isin(X, X[3, 1])), "x: got a masked entry at (3, 1), expected"),
        (
            [np.ma.array(row, mask=np.isin(row, X[3, 1])) for row in X],
            "x: got a masked entry at (3, 1),",
        ),
        ([[1.0], [2.0, 3.0]], "x: got rows of unequal length ("),
        (changed(X, None, kind=object), "x: got a missing value (None) at (3, 1), expected"),
        ([[10**400]], "x: got 100000000000000000"),
        ([[1.0, 10**5000]], "x: got an object of int at (0, 1), expected numbers that float64 can"),
        ([[Decimal("1e400")]], "x: got Decimal('1E+400') at (0, 0), expected numbers that float64"),
        ([[Decimal("sNaN")]], "x: got Decimal('sNaN') at (0, 0), expected numbers that float64"),
        ([[Decimal("inf")]], "x: got 1 NaN or inf, the first at (0, 0), expected finite numbers"),
        ([[1, Fraction(10**400)]], "x: got Fraction(1000000000000000"),
    ],
)
def test_what_is_no_finite_number(x, message):
    refused(lambda: _check.rows("x", x, np.dtype(float)), ValueError, message)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (changed(X, True, kind=object), changed(X, 1.0)),
        (changed(X, Decimal("1.5"), kind=object), changed(X, 1.5)),
        (changed(X, Fraction(1, 4), kind=object), changed(X, 0.25)),
        (changed(X, 2**70, kind=object), changed(X, 2.0**70)),
        ([[2**53 + 1, 2**63, 2**64 - 1, -(2**63)]], [[2.0**53, 2.0**63, 2.0**64, -(2.0**63)]]),
        ([[2**64, -1]], [[2.0**64, -1]]),
        (np.ma.array(X), X),
        (X.view(np.matrix), X),
        (memoryview(X), X),
        (X.astype(np.longdouble), X),
        (np.float16(X), np.float16(X)),
        (range(3), [[0], [1], [2]]),
        ((True, 1.5), [[1], [1.5]]),
    ],
)
def test_numbers_in_any_dress(x, expected):
    same_bits(_check.rows("x", x, np.dtype(float)), np.array(expected, float))


# ---- what is checked is what is used -------------------------------------------------------------


class LyingArray(np.ndarray):
    """Says what it likes about itself."""

    shape = property(lambda self: (10**9, 5))
    dtype = property(lambda self: np.dtype(np.float64))
    ndim = property(lambda self: 2)
    flags = property(lambda self: None)

    def __len__(self):
        return 10**9

    def __array__(self, *arguments, **settings):
        return np.zeros((10**6, 5))


class Grows:
    """Has another row each time that it is asked for its numbers."""

    def __init__(self, array):
        self.array, self.times = array, 0

    def __array__(self, dtype=None, copy=None):
        self.times += 1
        return np.vstack([self.array, self.array[: self.times - 1]])


class Fails:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


def test_arrays_that_lie_about_themselves():
    model = network()
    lying = X.copy().view(LyingArray)
    same_bits(model.predict(lying), model.predict(X))
    assert _check.rows("x", lying, np.dtype(float), (5,)).shape == (12, 5)
    same_bits(losses.get("mse").prepare_targets(Y.view(LyingArray), 12, 3, Y.dtype), Y)
    labels = LABELS.view(LyingArray)
    prepared = losses.get("sparse_categorical_crossentropy").prepare_targets(labels, 12, 3, Y.dtype)
    same_bits(prepared, LABELS.astype(np.int32))


def test_objects_are_asked_once():
    model = network()
    same_bits(model.predict(Grows(X)), model.predict(X))
    for loss, y in (("mse", Y), ("categorical_crossentropy", np.eye(3)[LABELS])):
        grows = Grows(y)
        same_bits(losses.get(loss).prepare_targets(grows, 12, 3, y.dtype), y)
        assert grows.times == 1
    grows = Grows(LABELS[:, np.newaxis])
    losses.get("sparse_categorical_crossentropy").prepare_targets(grows, 12, 3, Y.dtype)
    assert grows.times == 1
    x, kernel, dy = (Grows(array) for array in (X, np.ones((5, 3)), Y))
    kernels.dense_backward(dy, x, kernel)
    assert (x.times, kernel.times, dy.times) == (1, 1, 1)
    refused(
        lambda: model.predict(Fails()),
        TypeError,
        "x: got a Fails that does not become an array (RuntimeError: call detach() first)",
    )


@pytest.mark.parametrize(
    "interface",
    [
        {"shape": (-1, 5), "typestr": "<f8", "data": bytes(480), "version": 3},
        {"shape": (12, 5), "typestr": "no type", "data": bytes(480), "version": 3},
        {"typestr": "<f8", "data": bytes(480), "version": 3},
        "nothing of the kind",
    ],
)
def test_interfaces_that_do_not_fit_what_is_there(interface):
    x = type("Exports", (), {"__array_interface__": interface})()
    refused(
        lambda: network().predict(x),
        TypeError,
        "x: got a Exports that does not become an array (",
    )


def test_results_go_where_a_lying_array_is():
    out = np.zeros((12, 3)).view(LyingArray)
    kernel = np.ones((5, 3))
    refused(
        lambda: kernels.dense_forward(X, np.ones((5, 2)), out=out),
        ValueError,
        "out: got shape (12, 3), expected shape (12, 2)",
    )
    assert kernels.dense_forward(X, kernel, out=out) is not None
    same_bits(np.asarray(out), kernels.dense_forward(X, kernel))
    w = np.ones(3).view(LyingArray)
    assert kernels.sgd_update(w, np.ones(3), 0.5) is w
    same_bits(np.asarray(w), np.full(3, 0.5))


def test_nobody_else_changes_the_shape_of_what_was_checked():
    x, y = X.copy(), Y.copy()
    rows = _check.rows("x", x, x.dtype, (5,))
    targets = losses.get("mse").prepare_targets(y, 12, 3, y.dtype)
    assert np.shares_memory(rows, x)
    assert np.shares_memory(targets, y)
    assert rows is not x
    assert targets is not y
    assert _check.numeric_array("x", x) is not x
    held = type("Held", (), {"__array__": lambda self, dtype=None, copy=None: x})()
    assert _check.rows("x", held, x.dtype, (5,)) is not x


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float64, bool])
def test_labels_are_a_copy(dtype):
    y = np.array([0, 1, 1, 0], dtype)
    given_label = losses.get("sparse_categorical_crossentropy").prepare_targets(y, 4, 2, Y.dtype)
    assert given_label.dtype == np.int32
    assert not np.shares_memory(given_label, y)


def test_labels_that_change_in_a_fit():
    y = LABELS.astype(np.int32)

    class Spoil(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs):
            y[:] = 10**9

    model = network(loss="sparse_categorical_crossentropy", last="softmax")
    model.fit(X, y, epochs=2, verbose=0, callbacks=[Spoil()])
    twin = network(loss="sparse_categorical_crossentropy", last="softmax")
    twin.fit(X, LABELS, epochs=2, verbose=0)
    same_bits(model.parameters, twin.parameters)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 2**31, 1], np.int64),
        np.array([0, 2**32, 1], np.int64),
        np.array([0, 2**63, 1], np.uint64),
        np.array([0, 2**64 - 1, 1], np.uint64),
        [0, 2**64, 1],
        [0.0, 2.0**70, 1.0],
        np.array([0, -(2**63), 1]),
        np.array([0, 128, 1], np.uint8),
        np.array([0, -1, 1], np.int8),
        [0, Fraction(1, 2), 1],
    ],
)
def test_labels_beyond_any_class(labels):
    loss = losses.get("sparse_categorical_crossentropy")
    with pytest.raises(
        ValueError, match=r"^y: got \S+ in row 1, expected whole numbers from 0 to 99, one for each"
    ):
        loss.prepare_targets(labels, 3, 100, Y.dtype)


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 3, 0), 2, 1)[::3, ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "other-endian": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, a.size, 1).reshape(a.shape),
    "overlapping": lambda a: np.lib.stride_tricks.as_strided(a, a.shape, (a.itemsize,) * 2),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "subclass": lambda a: a.view(type("Sub", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_every_layout_is_right(layout, dtype):
    x = LAYOUTS[layout]((X * 3).astype(dtype))
    expected = np.array(x.tolist(), float)
    model = network()
    same_bits(model.predict(x), model.predict(expected))
    rows = _check.rows("x", x, np.dtype(np.float32), (5,))
    same_bits(rows, expected.astype(np.float32))
    assert type(rows) is np.ndarray
    assert rows.flags.c_contiguous
    assert rows.flags.aligned
    labels = LAYOUTS[layout]((np.abs(X) > 1).astype(dtype))[:, :1]
    loss = losses.get("sparse_categorical_crossentropy")
    for y in (labels, labels[:, 0]):
        same_bits(
            loss.prepare_targets(y, 12, 2, X.dtype), np.array(labels[:, 0].tolist(), np.int32)
        )


def test_an_array_that_is_mapped_to_a_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    model = network()
    for mode in ("r", "c"):
        mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
        same_bits(model.predict(mapped), model.predict(X))


@given(
    st.sampled_from([np.float32, np.float64]),
    arrays.arrays(
        st.one_of(
            arrays.scalar_dtypes(),
            arrays.unicode_string_dtypes(max_len=3),
            st.just(np.dtype(object)),
        ),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
        elements=None,
        fill=st.nothing(),
    ).filter(lambda array: array.dtype != object)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=2)
        | st.decimals(),
        lambda parts: st.lists(parts, max_size=3),
        max_leaves=8,
    ),
)
def test_anything_is_right_or_refused(real, x):
    try:
        rows = _check.rows("x", x, np.dtype(real))
    except (TypeError, ValueError) as error:
        assert str(error).startswith("x: got ")  # noqa: PT017
        assert ", expected " in str(error)  # noqa: PT017
        assert len(str(error)) < 500  # noqa: PT017
    else:
        assert np.isfinite(rows).all()
        assert rows.dtype == real
        cells = np.array(x, object).reshape(rows.shape)
        same_bits(rows, np.array([float(cell) for cell in cells.flat], real).reshape(rows.shape))


def test_large_finite_numbers_are_no_nan():
    huge = np.full((12, 5), 1e308)
    assert network().predict(huge).shape == (12, 3)
    assert network(dtype="float32").predict(np.full((12, 5), 3e38)).shape == (12, 3)


# ---- y -------------------------------------------------------------------------------------------

BAD_Y = [
    ("mse", Y[:, :2], ValueError, "y: got shape (12, 2), expected shape (rows, 3)"),
    ("mse", Y[:, 0], ValueError, "y: got shape (12,), expected shape (rows, 3)"),
    ("mse", Y[:11], ValueError, "y: got 11 rows, expected as many as there are inputs, 12"),
    (
        "mse",
        np.vstack([Y, Y]),
        ValueError,
        "y: got 24 rows, expected as many as there are inputs, 12",
    ),
    ("mse", Y[:0], ValueError, "y: got shape (0, 3), expected"),
    ("mse", Y + 1j, TypeError, "y: got dtype complex128, expected"),
    ("mse", changed(Y, b"a", kind=object), TypeError, "y: got the text b'a' at (3, 1), expected"),
    ("mse", [["a"] * 3] * 12, TypeError, "y: got the text 'a' at (0, 0), expected"),
    ("mse", None, TypeError, "y: got None, expected an array of real numbers"),
    ("mse", changed(Y, np.nan), ValueError, "y: got 1 NaN or inf, the first at (3, 1), expected"),
    ("mse", changed(Y, -np.inf), ValueError, "y: got 1 NaN or inf, the first at (3, 1), expected"),
    (
        "poisson",
        changed(np.abs(Y), -1),
        ValueError,
        "y: got -1.0 in row 3, expected numbers of at least 0",
    ),
    (
        "hinge",
        np.full((12, 3), 0.5),
        ValueError,
        "y: got 0.5 in row 0, expected targets of -1 and 1",
    ),
    ("hinge", changed(np.zeros((12, 3)), -1), ValueError, "y: got -1.0 in row 3, expected"),
    (
        "bce",
        changed(np.ones((12, 3)), 1.5),
        ValueError,
        "y: got 1.5 in row 3, expected numbers from 0 to 1",
    ),
    (
        "categorical_crossentropy",
        LABELS,
        ValueError,
        "y: got shape (12,), expected shape (rows, 3); for class",
    ),
    (
        "categorical_crossentropy",
        LABELS[:, None],
        ValueError,
        "y: got shape (12, 1), expected shape (rows, 3)",
    ),
    (
        "sparse_categorical_crossentropy",
        np.eye(3)[LABELS],
        ValueError,
        "y: got shape (12, 3), expected class labels of shape (rows,); for one-hot rows",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, 3),
        ValueError,
        "y: got 3.0 in row 3, expected whole numbers from 0 to 2",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, -1),
        ValueError,
        "y: got -1.0 in row 3, expected",
    ),
    (
        "sparse_categorical_crossentropy",
        changed(LABELS, 0.5),
        ValueError,
        "y: got 0.5 in row 3, expected",
    ),
    ("sparse_categorical_crossentropy", changed(LABELS, np.nan), ValueError, "y: got 1 NaN or inf"),
    (
        "sparse_categorical_crossentropy",
        LABELS + 2**40,
        ValueError,
        "y: got 1099511627776 in row 0, expected",
    ),
    ("sparse_categorical_crossentropy", LABELS - 1, ValueError, "y: got -1 in row 0, expected"),
    ("sparse_categorical_crossentropy", LABELS[:5], ValueError, "y: got 5 rows, expected as many"),
    (
        "sparse_categorical_crossentropy",
        ["a"] * 12,
        TypeError,
        "y: got the text 'a' at (0,), expected an array of real numbers; a dict made once",
    ),
]


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch", "loss_and_gradients"])
@pytest.mark.parametrize(("loss", "y", "error", "message"), BAD_Y)
def test_y(loss, y, error, message, use):
    lasts = {"poisson": "softplus", "bce": "sigmoid", "binary_crossentropy": "sigmoid"}
    last = "softmax" if "categorical" in loss else lasts.get(loss)
    watched = Watched(loss=loss, last=last) if loss != "hinge" else Watched(loss="mse")
    if loss == "hinge":
        watched.model.compile("adam", "hinge")
        watched.model._compiled.memory_for(watched.model._built)
        watched.before = watched.state()
    watched.refuses(lambda model: getattr(model, use)(X, y), error, message)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
@pytest.mark.filterwarnings("ignore:loss. .* takes the output")
def test_classes_need_more_than_one_output(loss):
    model = network((5, 1), loss=loss)
    refused(
        lambda: model.fit(X, LABELS),
        ValueError,
        f"loss: got {loss} for a network with 1 output, expected 2",
    )


# ---- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: got 0, expected at least 1"),
        ({"batch_size": -3}, ValueError, "batch_size: got -3, expected at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size: got 2.5, expected a whole number"),
        ({"batch_size": 2.0}, TypeError, "batch_size: got 2.0, expected a whole number"),
        ({"batch_size": True}, TypeError, "batch_size: got True, expected a whole number"),
        ({"batch_size": "8"}, TypeError, "batch_size: got '8', expected a whole number"),
        ({"epochs": -1}, ValueError, "epochs: got -1, expected at least 0"),
        ({"epochs": 1.5}, TypeError, "epochs: got 1.5, expected a whole number"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch: got -1, expected at least 0"),
        ({"shuffle": 1}, TypeError, "shuffle: got 1, expected True or False"),
        ({"shuffle": "batch"}, TypeError, "shuffle: got 'batch', expected True or False"),
        ({"verbose": 3}, ValueError, "verbose: got 3, expected 'auto', 0, 1 or 2"),
        ({"verbose": "yes"}, ValueError, "verbose: got 'yes', expected 'auto', 0, 1 or 2"),
        (
            {"validation_split": 1.0},
            ValueError,
            "validation_split: got 1.0, expected a finite number and at",
        ),
        ({"validation_split": -0.1}, ValueError, "validation_split: got -0.1, expected"),
        (
            {"validation_split": np.nan},
            ValueError,
            "validation_split: got nan, expected a finite number",
        ),
        ({"validation_split": "0.1"}, TypeError, "validation_split: got '0.1', expected a number"),
        (
            {"validation_split": 0.95},
            ValueError,
            "validation_split: got 0.95 of 12 rows, expected a share that",
        ),
        (
            {"validation_data": X},
            ValueError,
            "validation_data: got ndarray, expected (x, y) or (x, y, weights)",
        ),
        (
            {"validation_data": (X, Y, None, Y)},
            ValueError,
            "validation_data: got a tuple of 4, expected (x, y) or (x, y, weights)",
        ),
        (
            {"validation_data": (X[:, :4], Y)},
            ValueError,
            "validation x: got shape (12, 4), expected",
        ),
        ({"validation_data": (X, Y[:3])}, ValueError, "validation y: got 3 rows, expected"),
        (
            {"validation_data": (changed(X, np.nan), Y)},
            ValueError,
            "validation x: got 1 NaN or inf",
        ),
        (
            {"callbacks": [print]},
            TypeError,
            "callbacks: got an entry of builtin_function_or_method, expected",
        ),
        ({"callbacks": 3}, TypeError, "callbacks: got int, expected a list of Callback objects"),
        ({"callbacks": 0}, TypeError, "callbacks: got int, expected a list of Callback objects"),
        ({"callbacks": ""}, TypeError, "callbacks: got str, expected a list of Callback objects"),
    ],
)
def test_fit(settings, error, message):
    Watched().refuses(lambda model: model.fit(X, Y, **settings), error, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((changed(X, np.nan), Y), "x: got 1 NaN"),
        ((X, Y[:5]), "y: got 5 rows"),
        ((X, Y[:, 0]), "y: got shape (12,)"),
        ((X[:, :, np.newaxis], Y), "y: got shape (12, 3), expected"),
        ((X, Y, 0), "batch_size: got 0"),
        (
            (X, Y, 8, 1, 0, None, 0.0, (X[:, :4], Y)),
            "validation x: got shape (12, 4), expected shape (rows, 5)",
        ),
        ((X, Y, 8, 1, 0, None, 0.0, (X, Y[:4])), "validation y: got 4 rows"),
    ],
)
def test_a_refused_fit_leaves_a_model_without_shape_open(arguments, message):
    model = fw.Sequential([layers.Dense(3)], seed=0)
    model.compile("adam", "mse")
    refused(lambda: model.fit(*arguments), ValueError, message)
    assert model.input_shape is None
    assert model.layers[0].weights == {}
    model.fit(X[:, :2], Y, verbose=0)
    assert model.input_shape == (2,)


# ---- before its time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.summary(),
        lambda model: model.count_params(),
        lambda model: model.parameters,
        lambda model: model.gradients,
        lambda model: model.weights,
        lambda model: model.get_weights(),
        lambda model: model.output_shape,
        lambda model: model.copy(),
        lambda model: model.save("never.safetensors"),
        lambda model: model.apply_gradients(),
    ],
)
def test_before_the_shape_is_known(use):
    model = fw.Sequential([layers.Dense(3)])
    model.compile()
    refused(
        lambda: use(model),
        ValueError,
        "input_shape: got none, expected one: give it to Sequential, build or",
    )


@pytest.mark.parametrize(
    "use", ["fit", "evaluate", "train_on_batch", "loss_and_gradients", "apply_gradients"]
)
def test_before_compile(use):
    model = fw.Sequential([layers.Dense(3)], input_shape=5)
    arguments = () if use == "apply_gradients" else (X, Y)
    refused(
        lambda: getattr(model, use)(*arguments),
        ValueError,
        "compile: got no loss yet, expected model.compile(",
    )


def test_backward_before_forward():
    def backward(model, dy=Y):
        refused(
            lambda: model.backward(dy),
            ValueError,
            "backward: got no forward pass before it, expected",
        )

    backward(fw.Sequential([layers.Dense(3)]))
    model = network()
    backward(model)
    model.predict(X)
    backward(model)
    model.forward(X)
    model.compile("sgd", "mse")
    backward(model)


@pytest.mark.parametrize(
    ("dy", "error", "message"),
    [
        (Y[:5], ValueError, "dy: got 5 rows, expected as many as forward had, 12"),
        (Y[:, :2], ValueError, "dy: got shape (12, 2), expected shape (rows, 3)"),
        (changed(Y, np.nan), ValueError, "dy: got 1 NaN or inf"),
        (Y + 1j, TypeError, "dy: got dtype complex128"),
    ],
)
def test_backward(dy, error, message):
    watched = Watched()
    watched.model.forward(X)
    watched.refuses(lambda model: model.backward(dy), error, message)
    watched.model.backward(Y)


def test_forward():
    Watched().refuses(
        lambda model: model.forward(X, training=1), TypeError, "training: got 1, expected True or"
    )


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message", "suggestion"),
    [
        (
            lambda: network(optimizer="adaam"),
            "optimizer: got 'adaam', expected one of sgd, adam",
            "adam",
        ),
        (
            lambda: network(loss="mean_square_error"),
            "loss: got 'mean_square_error'",
            "mean_squared_error",
        ),
        (lambda: network(metrics=("acuracy",)), "metrics: got 'acuracy'", "accuracy"),
        (lambda: network(activation="rellu"), "activation: got 'rellu'", "relu"),
        (lambda: layers.Activation("sofmax"), "activation: got 'sofmax'", "softmax"),
        (
            lambda: layers.Dense(1, kernel_initializer="he_norml"),
            "kernel_initializer: got 'he_norml'",
            "he_normal",
        ),
        (lambda: fw.set_matmul_precision("hihg"), "precision: got 'hihg'", "high"),
        (
            lambda: fw.Sequential([layers.Dense(1)], matmul_precision="medum"),
            "matmul_precision: got 'medum'",
            "medium",
        ),
    ],
)
def test_unknown_names_suggest_the_nearest(call, message, suggestion):
    refused(call, ValueError, message)
    with pytest.raises(ValueError, match=f"; did you mean '{suggestion}'\\?$"):
        call()


@pytest.mark.parametrize(
    ("call", "suggestions"),
    [
        (lambda: losses.get("sparse_crossentropy"), "'sparse_categorical_crossentropy'"),
        (
            lambda: losses.get("focal"),
            "'binary_focal_crossentropy' or 'categorical_focal_crossentropy'",
        ),
        (lambda: losses.get("pinball"), "'quantile'"),
        (lambda: losses.get("nll"), "'sparse_categorical_crossentropy' or 'gaussian_nll'"),
        (lambda: metrics.get("f1", losses.get("mse")), "'f1_score'"),
        (
            lambda: metrics.get("top_k", losses.get("mse")),
            "'top_k_categorical_accuracy' or 'sparse_top_k_categorical_accuracy'",
        ),
        (lambda: metrics.get("roc_auc", losses.get("mse")), "'auc'"),
    ],
)
def test_a_part_of_a_name_suggests_all_that_have_it(call, suggestions):
    with pytest.raises(ValueError, match=f"; did you mean {suggestions}\\?$"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.get("something else"),
        lambda: activations.get("something else"),
        lambda: initializers.get("something else"),
    ],
)
def test_a_name_like_no_other_suggests_none(call):
    with pytest.raises(ValueError, match="got 'something else', expected one of") as caught:
        call()
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("sdg", "mse"), ValueError, "optimizer: got 'sdg', expected one of"),
        (("sgd", "mes"), ValueError, "loss: got 'mes', expected one of"),
        (("sgd", "mse", ["mea"]), ValueError, "metrics: got 'mea', expected one of"),
        (("sgd", "mse", "mae"), TypeError, "metrics: got 'mae', expected a list: ['mae']"),
        (
            ("sgd", "mse", ["mae", "mae"]),
            ValueError,
            "metrics: got the name 'mae' twice, expected different",
        ),
        (
            ("sgd", "mse", ["accuracy"]),
            ValueError,
            "metrics: got 'accuracy' beside the loss mean_squared_error",
        ),
        ((fw.optimizers.SGD, "mse"), TypeError, "optimizer: got the class SGD, expected a name"),
        ((None, "mse"), TypeError, "optimizer: got NoneType, expected a name"),
        (("sgd", abs), TypeError, "loss: got one of (x, /), expected a function (y_true, y_pred)"),
        (("sgd", None), TypeError, "loss: got NoneType, expected a name"),
        (("sgd", "mse", [None]), TypeError, "metrics: got NoneType, expected a name"),
    ],
)
def test_compile(arguments, error, message):
    Watched(metrics=("rmse",)).refuses(lambda model: model.compile(*arguments), error, message)


# ---- making a model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: fw.Sequential([]).build(3),
            ValueError,
            "layers: got none, expected at least one layer",
        ),
        (
            lambda: fw.Sequential(layers.Dense(1)),
            TypeError,
            "layers: got Dense, expected a list of Layer objects",
        ),
        (lambda: fw.Sequential(7), TypeError, "layers: got int, expected a list of Layer"),
        (
            lambda: fw.Sequential(["relu"]),
            TypeError,
            "layers: got an entry of str, expected Layer objects",
        ),
        (
            lambda: fw.Sequential([layers.Dense]),
            TypeError,
            "layers: got an entry of the class Dense, expected Layer objects",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]),
            ValueError,
            "layers: got the name 'a' twice, expected different names",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], 0),
            ValueError,
            "input_shape: got 0, expected at least 1",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], (3, 0)),
            ValueError,
            "input_shape: got 0, expected at least 1",
        ),
        (lambda: fw.Sequential([layers.Dense(1)], ()), ValueError, "input_shape: got (), expected"),
        (
            lambda: fw.Sequential([layers.Dense(1)], 2.5),
            TypeError,
            "input_shape: got 2.5, expected a whole number",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], True),
            TypeError,
            "input_shape: got True, expected a whole",
        ),
        (
            lambda: fw.Sequential([layers.Dense(1)], "12"),
            TypeError,
            "input_shape: got '12', expected a whole",
        ),
        (
            lambda: network().build(5),
            ValueError,
            "build: got a model that is built for (5,), expected a model that is not",
        ),
        (
            lambda: network(dtype="float16"),
            ValueError,
            "dtype: got float16, expected float32 or float64",
        ),
        (lambda: network(dtype=">f4"), ValueError, "dtype: got >f4, expected float32 or float64"),
        (
            lambda: network(dtype="flaot32"),
            TypeError,
            "dtype: got 'flaot32', expected float32 or float64",
        ),
        (lambda: network(dtype=None), TypeError, "dtype: got None, expected float32 or float64"),
        (lambda: network(seed=-1), ValueError, "seed: got -1, expected at least 0"),
        (
            lambda: network(seed=2**64),
            ValueError,
            "seed: got 18446744073709551616, expected at most",
        ),
        (lambda: network(seed=1.5), TypeError, "seed: got 1.5, expected a whole number"),
        (lambda: layers.Dense(0), ValueError, "units: got 0, expected at least 1"),
        (lambda: layers.Dense(-4), ValueError, "units: got -4, expected at least 1"),
        (lambda: layers.Dense(2.5), TypeError, "units: got 2.5, expected a whole number"),
        (lambda: layers.Dense("4"), TypeError, "units: got '4', expected a whole number"),
        (lambda: layers.Dense(1, use_bias=0), TypeError, "use_bias: got 0, expected True or False"),
        (lambda: layers.Dense(1, name=""), TypeError, "name: got '', expected a non-empty string"),
        (lambda: layers.Dense(1, name=3), TypeError, "name: got 3, expected a non-empty string"),
        (
            lambda: layers.Dense(1, activation=abs),
            TypeError,
            "activation: got builtin_function_or_method, expected",
        ),
    ],
)
def test_models_and_layers(make, error, message):
    refused(make, error, message)


WEIGHTS = network().get_weights()


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (WEIGHTS[:3], ValueError, "weights: got 3 arrays, expected 4"),
        ([], ValueError, "weights: got 0 arrays, expected 4"),
        (3, TypeError, "weights: got int, expected a list of arrays"),
        (
            [*WEIGHTS[:3], WEIGHTS[3][:2]],
            ValueError,
            "dense_1/bias: got shape (2,), expected shape (3,)",
        ),
        (
            [WEIGHTS[0].T, *WEIGHTS[1:]],
            ValueError,
            "dense/kernel: got shape (7, 5), expected shape (5, 7)",
        ),
        ([*WEIGHTS[:3], WEIGHTS[3] * np.nan], ValueError, "dense_1/bias: got 3 NaN or inf"),
        ([*WEIGHTS[:3], WEIGHTS[3] + 1j], TypeError, "dense_1/bias: got dtype complex128"),
    ],
)
def test_set_weights(weights, error, message):
    Watched().refuses(lambda model: model.set_weights(weights), error, message)


def test_set_weights_too_large_for_float32():
    weights = [np.full(array.shape, 1e300) for array in WEIGHTS]
    model = network(dtype="float32")
    refused(lambda: model.set_weights(weights), ValueError, "dense/kernel: got 35 too large")
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize("warm", [True, False])
def test_predict_is_not_misled_by_a_length_that_lies(warm):
    class Liar(np.ndarray):
        def __len__(self):
            return 1000

    model = network()
    expected = model.predict(X)
    if not warm:
        model = network()
    found = model.predict(X.view(Liar))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", [None, 3, "", "loss", "val_loss", "val_"])
def test_names_that_no_metric_can_have(name):
    with pytest.raises((TypeError, ValueError), match="name: got"):
        fw.metrics.MeanSquaredError(name=name)


# ---- settings of the process ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n: got 0, expected at least 1"),
        (1.5, TypeError, "n: got 1.5, expected a whole number"),
        (True, TypeError, "n: got True, expected a whole number"),
    ],
)
def test_number_of_threads(n, error, message):
    before = fw.get_num_threads()
    refused(lambda: fw.set_num_threads(n), error, message)
    with pytest.raises(error), fw.threads(n):
        pass
    assert fw.get_num_threads() == before


def test_reproducible_is_a_truth_value():
    refused(lambda: fw.set_reproducible("yes"), TypeError, "reproducible: got 'yes', expected")


# ---- numbers -------------------------------------------------------------------------------------


class LyingInt(int):
    """A huge or negative number that calls itself small."""

    def __lt__(self, other):
        return False

    __gt__ = __le__ = __lt__

    def __index__(self):
        return 3

    def __repr__(self):
        raise RuntimeError

    __str__ = __repr__


class LyingFloat(float):
    def __float__(self):
        raise RuntimeError("no number after all")


class LyingIndex:
    def __index__(self):
        raise OverflowError("cannot say")

    def __repr__(self):
        return "x" * 10**6


@pytest.mark.parametrize(
    ("got", "error", "message"),
    [
        (10**400, ValueError, "n: got 1000000000"),
        (-(10**400), ValueError, "n: got -1000000000"),
        (10**5000, ValueError, "n: got an object of int, expected at most 9223372036854775807"),
        (2**63, ValueError, "n: got 9223372036854775808, expected at most 9223372036854775807"),
        (-(2**63), ValueError, "n: got -9223372036854775808, expected at least 1"),
        (np.uint64(2**63), ValueError, "n: got 9223372036854775808, expected at most"),
        (LyingInt(-5), ValueError, "n: got -5, expected at least 1"),
        (LyingInt(2**70), ValueError, "n: got 1180591620717411303424, expected at most"),
        (LyingIndex(), TypeError, "n: got xxxxxxxx"),
        (float("1e400"), TypeError, "n: got inf, expected a whole number"),
        (1e10, TypeError, "n: got 10000000000.0, expected a whole number"),
        (Fraction(3), TypeError, "n: got Fraction(3, 1), expected a whole number"),
        (Decimal(3), TypeError, "n: got Decimal('3'), expected a whole number"),
        (np.array([3]), TypeError, "n: got array([3]), expected a whole number"),
        ("3" * 10**6, TypeError, "n: got '3333"),
        (None, TypeError, "n: got None, expected a whole number"),
    ],
    ids=itertools.count(),
)
def test_no_size(got, error, message):
    refused(lambda: _check.whole("n", got, 1), error, message)


@pytest.mark.parametrize(
    "got", [7, np.int8(7), np.uint64(7), np.array(7), LyingInt(7)], ids=itertools.count()
)
def test_sizes(got):
    value = _check.whole("n", got, 7, maximum=7)
    assert type(value) is int
    assert value == 7
    assert _check.whole("n", sys.maxsize, 1) == sys.maxsize


@pytest.mark.parametrize(
    ("got", "error"),
    [
        (10**400, ValueError),
        (-(10**400), ValueError),
        (10**5000, ValueError),
        (float("1e400"), ValueError),
        (np.longdouble("1e4000"), ValueError),
        (np.float16(np.inf), ValueError),
        (Fraction(10**400), ValueError),
        (Fraction(1, 10**400) - 1, ValueError),
        (LyingInt(-5), ValueError),
        (LyingFloat(1.0), TypeError),
        (Decimal(1), TypeError),
        (1j, TypeError),
        (np.array(1.0), TypeError),
        ("1", TypeError),
        ("1" * 10**6, TypeError),
        ([0.0] * 10**6, TypeError),
        (None, TypeError),
    ],
    ids=itertools.count(),
)
def test_no_number(got, error):
    with pytest.raises(error, match=r"^r: got .*, expected a (finite )?number") as caught:
        _check.number("r", got, minimum=0.0)
    assert type(caught.value) is error
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("got", [1, 1.0, np.float32(1), np.longdouble(1), Fraction(1), np.int8(1)])
def test_numbers(got):
    value = _check.number("r", got, minimum=1.0, maximum=1.0)
    assert type(value) is float
    assert value == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.Dense(2**63), ValueError, "units: got 9223372036854775808, expected at"),
        (lambda: layers.Dense(10**400), ValueError, "units: got 1000"),
        (lambda: network().fit(X, Y, batch_size=10**400), ValueError, "batch_size: got 1000"),
        (lambda: network().fit(X, Y, epochs=2**63), ValueError, "epochs: got 922337"),
        (lambda: network().fit(X, Y, initial_epoch=2**63), ValueError, "initial_epoch: got 92"),
        (lambda: network().evaluate(X, Y, 10**400), ValueError, "batch_size: got 1000"),
        (lambda: network().memory(2**63), ValueError, "batch_size: got 9223372036854775808"),
        (lambda: network(seed=10**400), ValueError, "seed: got 1000"),
        (lambda: fw.set_num_threads(10**400), ValueError, "n: got 1000"),
        (lambda: fw.Sequential([layers.Dense(1)], (10**400,)), ValueError, "input_shape: got 1000"),
        (lambda: callbacks.EarlyStopping(patience=2**63), ValueError, "patience: got 922"),
        (lambda: fw.optimizers.SGD(10**400), ValueError, "learning_rate: got 1000"),
        (lambda: fw.optimizers.Adam(beta_1=Fraction(10**400)), ValueError, "beta_1: got Fraction("),
        (lambda: losses.Huber(10**400), ValueError, "delta: got 1000"),
        (lambda: initializers.Constant(-(10**400)), ValueError, "value: got -1000"),
        (lambda: network().fit(X, Y, verbose=10**400), ValueError, "verbose: got 1000"),
        (lambda: network().fit(X, Y, verbose=np.zeros(2)), ValueError, "verbose: got array("),
        (
            lambda: network().fit(X, Y, verbose=np.timedelta64(1)),
            ValueError,
            "verbose: got n",
        ),
        (
            lambda: fw.Sequential(np.array(1)),
            TypeError,
            "layers: got ndarray, expected a list of Layer objects",
        ),
        (lambda: network().fit(X, Y, verbose="a" * 10**6), ValueError, "verbose: got 'aaa"),
        (
            lambda: network().fit(X, Y, callbacks=itertools.repeat(callbacks.Callback())),
            TypeError,
            "callbacks: got repeat, expected a list of Callback objects",
        ),
        (
            lambda: fw.Sequential(layers.Dense(1) for _ in range(2)),
            TypeError,
            "layers: got generator, expected a list of Layer objects",
        ),
        (lambda: losses.get("m" * 10**6), ValueError, "loss: got 'mmm"),
        (lambda: activations.get("m" * 10**6), ValueError, "activation: got 'mmm"),
        (lambda: network(dtype="f" * 10**6), TypeError, "dtype: got 'fff"),
        (lambda: network(dtype=np.dtype([("a" * 999, "f4")])), ValueError, "dtype: got "),
    ],
)
def test_nothing_is_too_large_to_be_refused(call, error, message):
    refused(call, error, message)
    with pytest.raises(error) as caught:
        call()
    assert len(str(caught.value)) < 500


def test_a_name_is_what_it_says():
    class Equal(str):
        __slots__ = ()

        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("relu")

    refused(lambda: _check.choice("n", Equal("rellu"), {"relu": 1}), ValueError, "n: got 'rellu'")
    assert _check.choice("n", Equal("relu"), {"relu": 1}) == 1
