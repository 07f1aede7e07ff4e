"""Frames of pandas and polars: their numbers just work, what is no number is named by its column,
and columns are taken by name."""

import datetime
import itertools
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import data, network, run_python, same_bits
from hypothesis import given
from hypothesis import strategies as st

import fastweights as fw
from fastweights import _check, _frames, layers, losses

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
LIBRARIES = [pd, pl]


def rows(x, real=F64):
    return _check.rows("x", x, real)


def refused(call, error, message):
    """The call raises, with the one form and these words at its beginning."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value).startswith(message), caught.value
    assert ", expected " in str(caught.value)


# ---- columns of numbers --------------------------------------------------------------------------

#: dtype, what is put in, and the numbers it is.
NUMBERS = [
    *((dtype, [True, False, True], [1, 0, 1]) for dtype in ("bool", "boolean", object)),
    *(
        (dtype, [1, 0, 3], [1, 0, 3])
        for dtype in ("int8", "uint16", "int64", "Int8", "UInt32", "Int64", "Float32", object)
    ),
    *(
        (dtype, [1.5, -2.25, 0.0], [1.5, -2.25, 0])
        for dtype in ("float16", "float32", "float64", "Float32", "Float64", object)
    ),
    ("Sparse[float]", [0.0, 0.0, 1.5], [0, 0, 1.5]),
    ("uint64", [2**64 - 1, 0, 1], [2.0**64, 0, 1]),
    (object, [Decimal("1.5"), 2**70, np.float32(3)], [1.5, 2.0**70, 3]),
]


@pytest.mark.parametrize("real", [F32, F64])
@pytest.mark.parametrize(("dtype", "values", "expected"), NUMBERS)
def test_columns_of_any_kind_of_number(dtype, values, expected, real):
    column = pd.Series(values, dtype=dtype, index=[7, 7, -1], name="a")
    other = pd.Series([0.5, 1.5, 2.5], index=column.index, name="b")
    for x, wanted in (
        (column, [expected]),
        (column.to_frame(), [expected]),
        (pd.concat([column, other], axis=1), [expected, other]),
        (pd.concat([column, column], axis=1), [expected, expected]),
    ):
        same_bits(rows(x, real), np.stack(wanted, axis=1).astype(real))


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Boolean, [True, False, True]),
        (pl.Int8, [1, -2, 3]),
        (pl.UInt64, [2**64 - 1, 0, 1]),
        (pl.Float32, [1.5, -2.25, 0.0]),
        (pl.Float64, [1.5, -2.25, 0.0]),
        (pl.Decimal(10, 2), [Decimal("1.50"), Decimal("2.25"), Decimal("0.00")]),
    ],
)
def test_columns_of_polars(dtype, values):
    column = pl.Series("a", values, dtype=dtype)
    expected = np.array([float(value) for value in values])[:, np.newaxis]
    same_bits(rows(column), expected)
    same_bits(rows(column.to_frame()), expected)
    mixed = pl.DataFrame([column, pl.Series("b", [1, 2, 3])])
    same_bits(rows(mixed), np.hstack([expected, [[1.0], [2.0], [3.0]]]))


def test_dummies_just_work():
    table = {"size": [1.5, 2.5, 3.5], "city": ["Rome", "Oslo", "Rome"]}
    expected = np.array([[1.5, 0, 1], [2.5, 1, 0], [3.5, 0, 1]])
    for sparse in (False, True):
        same_bits(rows(pd.get_dummies(pd.DataFrame(table), sparse=sparse)), expected)
    same_bits(rows(pl.DataFrame(table).to_dummies("city")), expected)


@pytest.mark.parametrize(
    "columns",
    [["a", "a"], [10, 20], [("a", 1), ("b", 2)], pd.MultiIndex.from_product([["a"], ["x", "y"]])],
)
def test_columns_of_any_name(columns):
    x = np.arange(6.0).reshape(3, 2)
    same_bits(rows(pd.DataFrame(x, columns=columns)), x)
    mixed = pd.DataFrame([[1, True], [2, False]], dtype=object)
    mixed.columns = columns
    same_bits(rows(mixed), np.array([[1.0, 1], [2, 0]]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_takes_frames(library):
    x, y = data(12)
    frames = [library.DataFrame({f"{i}": column for i, column in enumerate(a.T)}) for a in (x, y)]
    by_arrays, by_frames = network(), network()
    by_arrays.fit(x, y, epochs=2, verbose=0)
    by_frames.fit(*frames, epochs=2, verbose=0)
    same_bits(by_frames.parameters, by_arrays.parameters)
    same_bits(by_frames.predict(frames[0]), by_arrays.predict(x))
    assert by_frames.evaluate(*frames) == by_arrays.evaluate(x, y)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy", "hinge"])
def test_one_column_of_targets(library, loss):
    values = [1, 0, 0, 1]
    column = library.Series("a", values) if library is pl else pd.Series(values, index=[4, 4, 1, 0])
    expected = losses.get(loss).prepare_targets(np.array(values), 4, 1, F64)
    for y in (column, column.to_frame(), values, [[value] for value in values]):
        same_bits(losses.get(loss).prepare_targets(y, 4, 1, F64), expected)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("values", [[1, 0, 2, 1], [1.0, 0.0, 2.0, 1.0]])
def test_a_column_of_labels(library, values):
    loss = losses.SparseCategoricalCrossentropy()
    column = library.Series(values)
    for y in (column, column.to_frame()):
        same_bits(loss.prepare_targets(y, 4, 3, F64), np.array([1, 0, 2, 1], np.int32))
    frame = library.DataFrame({"label": [*values[:3], None]})
    refused(
        lambda: loss.prepare_targets(frame, 4, 3, F64),
        ValueError,
        "y: got 1 missing (NaN) or inf, the first in column 'label', row 3",
    )


def test_one_hot_targets():
    frame = pd.get_dummies(pd.Series(["a", "b", "a"]))
    targets = losses.get("categorical_crossentropy").prepare_targets(frame, 3, 2, F64)
    same_bits(targets, np.array([[1.0, 0], [0, 1], [1, 0]]))
    refused(
        lambda: losses.get("sparse_categorical_crossentropy").prepare_targets(frame, 3, 2, F64),
        ValueError,
        "y: got shape (3, 2), expected class labels of shape (rows,); for one-hot rows",
    )


# ---- columns of something else -------------------------------------------------------------------

MISSING = "missing (NaN) or inf, the first in column 'bad', row 1, expected finite numbers"
ENTRY = "x: got an entry of "
UNIX = datetime.datetime(1970, 1, 1)

BAD_COLUMNS = [
    (pd.Series(["a", "b", "a"], dtype="category"), TypeError, "x: got categories in column 'bad'"),
    (pd.Series([5, 7, 5], dtype="category"), TypeError, "x: got categories in column 'bad'"),
    (pd.Series(["a", "b", None]), TypeError, "x: got the text 'a' in column 'bad', row 0"),
    (pd.Series([1, None, "b"], dtype=object), TypeError, "x: got the text 'b' in column 'bad'"),
    (pd.Series([1, None, 2], dtype=object), ValueError, "x: got a missing value (None) in column"),
    (pd.Series([0, 10**400, 2], dtype=object), ValueError, "x: got 1000000000000000000"),
    (pd.Series([True, None, True], dtype="boolean"), ValueError, "x: got a missing value (<NA>) i"),
    (pd.Series([1, np.nan, 2.0]), ValueError, f"x: got 1 {MISSING}"),
    (pd.Series([1, np.inf, np.nan]), ValueError, f"x: got 2 {MISSING}"),
    (pd.Series([UNIX] * 3), TypeError, "x: got dtype datetime64["),
    (pd.Series([UNIX - UNIX] * 3), TypeError, "x: got dtype timedelta64["),
    (pd.Series(pd.period_range("2020", periods=3)), TypeError, f"{ENTRY}Period in column 'bad'"),
    (pd.Series([1j, 2, 3]), TypeError, "x: got dtype complex128 in column 'bad'"),
    (pd.Series([[1], [2], [3]]), ValueError, f"{ENTRY}list in column 'bad', row 0"),
    (pl.Series(["a", "b", None]), TypeError, "x: got the text 'a' in column 'bad', row 0"),
    (pl.Series(["1", "2", None]), TypeError, "x: got the text '1' in column 'bad', row 0"),
    (pl.Series(["a", "b", "a"], dtype=pl.Categorical), TypeError, "x: got categories in column"),
    (pl.Series(["a"] * 3, dtype=pl.Enum(["a"])), TypeError, "x: got categories in column 'bad'"),
    (pl.Series([1, None, 3]), ValueError, f"x: got 1 {MISSING}"),
    (pl.Series([1.0, np.nan, None]), ValueError, f"x: got 2 {MISSING}"),
    (pl.Series([True, None, None]), ValueError, "x: got a missing value (None) in column 'bad'"),
    (pl.Series([UNIX] * 3), TypeError, "x: got dtype datetime64[us] in column 'bad'"),
    (pl.Series([[1], [2], [3]]), ValueError, f"{ENTRY}ndarray in column 'bad', row 0"),
    (pl.Series([{"u": 1, "v": 2}] * 3), TypeError, "x: got several numbers a row in column 'bad'"),
    (pl.Series([object()] * 3, dtype=pl.Object), TypeError, f"{ENTRY}object in column 'bad'"),
]


@pytest.mark.parametrize("beside", [None, [1, 2, 3], [1.5, 2.5, 3.5]])
@pytest.mark.parametrize(("column", "error", "message"), BAD_COLUMNS)
def test_what_is_no_number_is_named_by_its_column(column, error, message, beside):
    library = pl if isinstance(column, pl.Series) else pd
    frame = library.DataFrame({"bad": column} if beside is None else {"ok": beside, "bad": column})
    refused(lambda: rows(frame), error, message)
    with pytest.raises(error, match="in column 'bad'"):
        rows(frame)


@pytest.mark.parametrize("dtype", ["Int64", "Float32"])
def test_missing_in_a_nullable_column(dtype):
    # As NaN or as an object, which depends on the version of pandas.
    frame = pd.DataFrame({"ok": [1, 2, 3], "bad": pd.Series([1, None, 3], dtype=dtype)})
    with pytest.raises(ValueError, match=r"^x: got .*missing.* in column 'bad', row 1, expected "):
        rows(frame)


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        (pd.Series(["a"], dtype="category"), "; pd.get_dummies or .cat.codes makes numbers"),
        (pl.Series(["a"], dtype=pl.Categorical), "; .to_dummies() or .to_physical() makes"),
        (pd.Series(["Rome"]), "; a dict made once, of the rows"),
        (pd.Series(["1.5"]), "; .astype(float) reads numbers in writing"),
        (pd.Series([None], dtype=object), "; fill in what is missing, or leave out its rows"),
        (pd.Series([UNIX]), "; subtract a date and divide by np.timedelta64(1, 'D')"),
    ],
)
def test_a_word_on_how_to_make_numbers(column, hint):
    with pytest.raises((TypeError, ValueError)) as caught:
        rows(column)
    assert hint in str(caught.value)


@pytest.mark.parametrize("library", LIBRARIES)
def test_too_large_for_float32(library):
    frame = library.DataFrame({"a": [1.0, 2.0], "b": [1.0, -1e300]})
    refused(
        lambda: rows(frame, F32),
        ValueError,
        "x: got 1 too large for float32, the first -1e+300 in column 'b', row 1, expected numbers",
    )
    assert rows(frame, F64)[1, 1] == -1e300


def test_columns_of_equal_or_no_names_are_told_apart_by_their_rows():
    frame = pd.DataFrame([[1.0, 2.0], [3.0, np.nan]], columns=["a", "a"])
    refused(
        lambda: rows(frame),
        ValueError,
        "x: got 1 missing (NaN) or inf, the first in column 'a', row 1",
    )
    frame.columns = pd.MultiIndex.from_tuples([("a", "u"), ("b", "v")])
    refused(
        lambda: rows(frame),
        ValueError,
        "x: got 1 missing (NaN) or inf, the first in column \"('b', 'v')\", row 1",
    )
    refused(
        lambda: rows(pd.Series([1.0, np.nan])),
        ValueError,
        "x: got 1 NaN or inf, the first at (1, 0), expected",
    )


@pytest.mark.parametrize("frame", [pd.DataFrame(), pl.DataFrame(), pd.DataFrame(index=range(3))])
def test_a_frame_without_columns(frame):
    refused(lambda: rows(frame), ValueError, f"x: got shape {frame.shape}, expected shape (rows,")


# ---- names ---------------------------------------------------------------------------------------


def test_names():
    x = np.zeros((2, 3))
    assert _frames.names(pd.DataFrame(x, columns=list("abc"))) == ("a", "b", "c")
    assert _frames.names(pd.DataFrame(x, columns=[10, 20, 30])) == ("10", "20", "30")
    assert _frames.names(pd.DataFrame(x, columns=["a", "a", "b"])) == ("a", "a", "b")
    assert _frames.names(pl.DataFrame(x, schema=["a", "b", "c"])) == ("a", "b", "c")
    pairs = pd.MultiIndex.from_product([["a"], [1, 2, 3]])
    assert _frames.names(pd.DataFrame(x, columns=pairs)) == ("('a', 1)", "('a', 2)", "('a', 3)")
    for without in (
        pd.DataFrame(x),
        pd.Series([1], name="a"),
        pl.Series("a", [1]),
        x,
        [x],
        None,
        3,
    ):
        assert _frames.names(without) is None


names_of = st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=6, unique=True)


@given(names_of, st.randoms(use_true_random=False), st.sampled_from(LIBRARIES), st.booleans())
def test_columns_are_taken_by_name(columns, random, library, mixed):
    values = {
        name: [True, False] if mixed and i % 2 else [i + 0.5, i] for i, name in enumerate(columns)
    }
    fitted = library.DataFrame(values)
    shuffled = library.DataFrame(
        {name: values[name] for name in random.sample(columns, len(columns))}
    )
    remembered = _frames.names(fitted)
    same_bits(rows(_frames.arranged("x", shuffled, remembered)), rows(fitted))
    assert _frames.arranged("x", fitted, remembered) is fitted


@given(names_of, names_of, st.sampled_from(LIBRARIES))
def test_other_columns_are_refused(columns, others, library):
    frame = library.DataFrame({name: [1.0] for name in others})
    missing = [name for name in columns if name not in others]
    unexpected = [name for name in others if name not in columns]
    if not (missing or unexpected) or _frames.names(frame) is None:
        return
    with pytest.raises(ValueError, match=r"^x: got columns with") as caught:
        _frames.arranged("x", frame, tuple(columns))
    for name in itertools.chain(missing[:4], unexpected[:4]):
        assert repr(name) in str(caught.value)


def test_the_refusal_of_other_columns():
    frame = pd.DataFrame({"size": [1], "rooms": [2], "year": [3]})
    refused(
        lambda: _frames.arranged("validation x", frame, ("rooms", "age", "size")),
        ValueError,
        "validation x: got columns without 'age' and with 'year', expected the columns 'rooms', "
        "'age', 'size'",
    )
    refused(
        lambda: _frames.arranged("x", frame, ("rooms", "size")),
        ValueError,
        "x: got columns with 'year', expected the columns 'rooms', 'size'",
    )
    many = tuple(f"c{i}" for i in range(1000))
    refused(
        lambda: _frames.arranged("x", frame, many),
        ValueError,
        "x: got columns without 'c0', 'c1', 'c2', 'c3' and 996 more and with 'size', 'rooms', "
        "'year', expected the columns 'c0', 'c1', 'c2', 'c3' and 996 more",
    )


def test_equal_names_cannot_be_told_apart():
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "a", "b"])
    assert _frames.arranged("x", frame, ("a", "a", "b")) is frame
    refused(
        lambda: _frames.arranged("x", frame, ("a", "b", "a")),
        ValueError,
        "x: got several columns 'a', expected the order 'a', 'b', 'a'",
    )


def test_what_has_no_names_passes():
    x = np.ones((2, 3))
    for without in (x, x.tolist(), pd.Series([1]), pl.Series([1]), pd.DataFrame(x), None, "text"):
        assert _frames.arranged("x", without, ("a", "b", "c")) is without
        assert _frames.arranged("x", without, None) is without
    named = pd.DataFrame(x, columns=list("abc"))
    assert _frames.arranged("x", named, None) is named


def test_whole_numbers_as_labels_are_positions():
    frame = pd.DataFrame([[0.0, 1.0, 2.0]])
    turned = frame.iloc[:, [2, 0, 1]]
    same_bits(rows(_frames.arranged("x", turned, _frames.names(frame))), rows(frame))
    same_bits(rows(_frames.arranged("x", frame, _frames.names(turned))), rows(turned))


# ---- a model and the names it was trained on -----------------------------------------------------


@pytest.mark.parametrize("library", [pd, pl])
def test_a_model_takes_columns_by_name(library):
    x = np.random.default_rng(0).standard_normal((30, 3))
    frame = library.DataFrame(dict(zip("abc", x.T, strict=True)))
    turned = frame[["c", "a", "b"]]
    model = network((3, 4, 1))
    model.fit(frame, x[:, 0], verbose=0, validation_data=(turned, x[:, 0]))
    assert model.feature_names == ("a", "b", "c")
    same_bits(model.predict(turned), model.predict(x))
    assert model.evaluate(turned, x[:, 0]) == model.evaluate(x, x[:, 0])
    same_bits(model.forward(turned), model.forward(x))
    for call in (model.predict, lambda x: model.train_on_batch(x, np.ones(30))):
        refused(
            lambda call=call: call(frame[["a", "b"]]),
            ValueError,
            "x: got columns without 'c', expected the columns 'a', 'b', 'c'",
        )
    refused(
        lambda: model.fit(frame, x[:, 0], validation_data=(frame[["a", "b"]], x[:, 0])),
        ValueError,
        "validation x: got columns without 'c'",
    )


def test_a_model_trained_on_arrays_takes_frames_by_position():
    x = np.random.default_rng(0).standard_normal((30, 3))
    model = network((3, 4, 1))
    model.fit(x, x[:, 0], verbose=0)
    assert model.feature_names is None
    same_bits(model.predict(pd.DataFrame(x, columns=list("cab"))), model.predict(x))


# ---- at what cost --------------------------------------------------------------------------------


def test_one_block_of_numbers_is_not_copied():
    x = np.ones((4, 3), np.float32)
    for frame in (pd.DataFrame(x.T.copy().T), pd.DataFrame(x, columns=list("abc"))):
        assert np.shares_memory(_check.numeric_array("x", frame), frame.to_numpy())
    assert np.shares_memory(rows(pd.DataFrame(x, copy=False), F32), x)


def test_neither_library_is_imported():
    assert "pandas" in sys.modules
    done = run_python(
        "import sys, fastweights as fw, numpy as np\n"
        "model = fw.Sequential([fw.layers.Dense(1)]); model.compile()\n"
        "model.fit([[1, 2.0], [True, 3]], np.array([1, 2], object), verbose=0)\n"
        "assert not {'pandas', 'polars', 'scipy'} & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


# ---- frames of several inputs, and those that a layer has learnt from ----------------------------


def two_inputs():
    left, right = fw.Input(2, name="left"), fw.Input(1, name="right")
    model = fw.Model([left, right], layers.Dense(1)(layers.Concatenate()([left, right])), seed=0)
    model.compile("sgd", "mse")
    return model


def people():
    frame = pd.DataFrame({"age": np.linspace(1.0, 60.0, 20), "income": np.linspace(-1.0, 1.0, 20)})
    return frame, frame["age"].to_numpy() / 10


@pytest.mark.parametrize("kind", [list, dict])
def test_frames_of_several_inputs_go_by_their_names(kind, tmp_path):
    frame, y = people()
    model = two_inputs()

    def inputs(first, second):
        return [first, second] if kind is list else {"left": first, "right": second}

    model.fit(inputs(frame, frame[["age"]]), y, verbose=0)
    assert model.feature_names == (("age", "income"), ("age",))
    expected = model.predict(inputs(frame, frame[["age"]]))
    turned = inputs(frame[["income", "age"]], frame[["age"]])
    np.testing.assert_array_equal(model.predict(turned), expected)
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(turned), expected)
    with pytest.raises(ValueError, match=r"x\['right'\]: got columns without 'age' and with 'inco"):
        model.predict(inputs(frame, frame[["income"]]))


def test_the_columns_that_a_layer_has_learnt_from_are_the_models(tmp_path):
    frame, y = people()
    normalize = layers.Normalization()
    normalize.adapt(frame)
    model = fw.Sequential([normalize, layers.Dense(1)], 2, seed=0)
    model.compile("sgd", "mse")
    turned = frame[["income", "age"]]
    np.testing.assert_array_equal(model.predict(turned), model.predict(frame))
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        fw.load(tmp_path / "model.safetensors").predict(turned), model.predict(frame)
    )
    model.fit(turned, y, verbose=0)
    assert model.feature_names == ("age", "income")
