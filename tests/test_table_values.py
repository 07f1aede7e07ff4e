"""Tables that are in memory: frames, mappings and arrays, with missing values of all kinds."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastweights.table import Cells, Table, read
from fastweights.table.cells import number_text, plain_number

DAY, NOON = datetime.date(2020, 1, 31), datetime.datetime(2020, 1, 31, 12)


def listed(found: Table) -> dict[str, list[str]]:
    return {name: list(column) for name, column in found.columns.items()}


# ---- cells ---------------------------------------------------------------------------------------


def test_cells_are_numbers_and_texts_in_order_of_appearance():
    cells = Cells.from_texts([" b ", "1.5", "", "a", "b", "007", "-0"])
    assert cells.texts == ("b", "", "a", "007")
    assert cells.codes.tolist() == [0, -1, 1, 2, 0, 3, -1]
    np.testing.assert_array_equal(cells.values, [np.nan, 1.5, np.nan, np.nan, np.nan, np.nan, 0.0])
    assert cells.counts().tolist() == [2, 1, 1, 1]
    assert cells.by_text([1, 2, 3, 4], 0).tolist() == [1, 0, 2, 3, 1, 4, 0]
    assert list(cells) == ["b", "1.5", "", "a", "b", "007", "0"]
    with pytest.raises(ValueError, match="read-only"):
        cells.values[0] = 1.0
    with pytest.raises(IndexError):
        cells[7]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "", "1", "2.5", "007"]), max_size=8),
    st.lists(st.integers(0, 7), max_size=10),
)
def test_taken_cells_know_only_the_texts_that_they_hold(texts, rows):
    rows = np.array([row for row in rows if row < len(texts)], dtype=int)
    taken = Cells.from_texts(texts).take(rows)
    assert list(taken) == [texts[row] for row in rows]
    assert set(taken.texts) == {texts[row] for row in rows} - {"1", "2.5"}
    mask = np.array([row % 2 == 0 for row in range(len(texts))], dtype=bool)
    assert list(Cells.from_texts(texts).take(mask)) == texts[::2]


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_that_number(value):
    assert plain_number(number_text(value)) == value


def test_numbers_of_arrays_and_what_is_none():
    cells = Cells.from_numbers(np.array([1.0, np.nan, np.inf, -np.inf]))
    assert list(cells) == ["1", "", "inf", "-inf"]
    assert Cells.from_numbers(np.arange(5)).codes.strides == (0,)
    assert list(Cells.from_codes(np.array([1, -1, 0, 1]), ["x", "2"])) == ["2", "", "x", "2"]


# ---- frames --------------------------------------------------------------------------------------


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "whole": [1, 2, 3],
            "float": [1.5, np.nan, np.inf],
            "bool": [True, False, True],
            "text": ["x", None, "007"],
            "category": pandas.Categorical(["u", None, "v"]),
            "day": pandas.to_datetime([DAY, None, DAY]),
            "time": pandas.to_datetime([NOON, None, NOON]),
            "Int64": pandas.array([1, None, 3], dtype="Int64"),
            "boolean": pandas.array([True, None, False], dtype="boolean"),
            "Float64": pandas.array([1.5, None, 2.5], dtype="Float64"),
            "string": pandas.array(["a", None, "b"], dtype="string"),
            "mixed": [1, "two", pandas.NA],
            "seconds": pandas.to_timedelta(["1 days", None, "2 hours"]),
            "decimal": [decimal.Decimal("1.50"), None, decimal.Decimal("2")],
            "dates": [DAY, pandas.NaT, DAY],
            "zone": pandas.to_datetime([NOON, None, NOON], utc=True),
            "bytes": [b"ab", b"c", None],
            "sparse": pandas.arrays.SparseArray([0.0, 0.0, 1.0]),
        }
    )
    assert listed(read(frame)) == {
        "whole": ["1", "2", "3"],
        "float": ["1.5", "", "inf"],
        "bool": ["True", "False", "True"],
        "text": ["x", "", "007"],
        "category": ["u", "", "v"],
        "day": ["2020-01-31", "", "2020-01-31"],
        "time": ["2020-01-31 12:00:00", "", "2020-01-31 12:00:00"],
        "Int64": ["1", "", "3"],
        "boolean": ["True", "", "False"],
        "Float64": ["1.5", "", "2.5"],
        "string": ["a", "", "b"],
        "mixed": ["1", "two", ""],
        "seconds": ["86400", "", "7200"],
        "decimal": ["1.5", "", "2"],
        "dates": ["2020-01-31", "", "2020-01-31"],
        "zone": ["2020-01-31 12:00:00+00:00", "", "2020-01-31 12:00:00+00:00"],
        "bytes": ["ab", "c", ""],
        "sparse": ["0", "0", "1"],
    }


def test_a_frame_reads_as_the_file_that_pandas_writes_of_it(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": [1.5, np.nan],
            "b": ["x", "y"],
            "c": [True, False],
            "d": pandas.to_datetime([DAY, DAY]),
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert listed(read(frame)) == listed(read(tmp_path / "t.csv"))


def test_frames_with_other_names_than_one_for_a_column():
    pandas = pytest.importorskip("pandas")
    twice = read(pandas.DataFrame([[1, 2]], columns=["a", "a"]))
    assert list(twice.columns) == ["a", "a.1"]
    assert "'a' is 'a.1'" in twice.remarks[0]
    assert list(read(pandas.DataFrame([[1, 2]])).columns) == ["0", "1"]
    indexed = read(pandas.DataFrame({"i": [1], "x": [2]}).set_index("i"))
    assert indexed.remarks == ("the index 'i' is no column; reset_index() makes it one",)
    several = pandas.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    with pytest.raises(ValueError, match="2 names each"):
        read(pandas.DataFrame([[1, 2]], columns=several))
    with pytest.raises(ValueError, match="source: got no rows"):
        read(pandas.DataFrame({"a": []}))


VALUES = {
    "whole": [1, None, 3],
    "float": [1.5, None, 2.5],
    "bool": [True, None, False],
    "flag": [True, False, True],
    "text": ["x", None, "y"],
    "day": [DAY, None, DAY],
    "time": [NOON, None, NOON],
    "clock": [datetime.time(1, 2), None, datetime.time(3, 4)],
    "seconds": [datetime.timedelta(hours=1), None, datetime.timedelta(days=1)],
    "decimal": [decimal.Decimal("1.5"), None, decimal.Decimal("2.5")],
}
EXPECTED = {
    "whole": ["1", "", "3"],
    "float": ["1.5", "", "2.5"],
    "bool": ["True", "", "False"],
    "flag": ["True", "False", "True"],
    "text": ["x", "", "y"],
    "day": ["2020-01-31", "", "2020-01-31"],
    "time": ["2020-01-31 12:00:00", "", "2020-01-31 12:00:00"],
    "clock": ["01:02:00", "", "03:04:00"],
    "seconds": ["3600", "", "86400"],
    "decimal": ["1.5", "", "2.5"],
}


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(VALUES)
    assert listed(read(frame)) == EXPECTED
    kinds = frame.select(polars.col("text").cast(polars.Categorical))
    assert listed(read(kinds)) == {"text": EXPECTED["text"]}
    with pytest.raises(TypeError, match=r"collect\(\) makes it"):
        read(frame.lazy())
    with pytest.raises(TypeError, match="got list in column 'a'"):
        read(polars.DataFrame({"a": [[1]]}))


def test_tables_of_pyarrow():
    pyarrow = pytest.importorskip("pyarrow")
    found = pyarrow.table(VALUES)
    assert listed(read(found)) == EXPECTED
    parts = pyarrow.concat_tables([found, found])
    assert listed(read(parts)) == {name: texts * 2 for name, texts in EXPECTED.items()}
    coded = pyarrow.table({"a": pyarrow.array(["x", None, "y"]).dictionary_encode()})
    assert listed(read(coded)) == {"a": ["x", "", "y"]}


def test_python_values_are_those_of_frames():
    assert listed(read(VALUES))["day"] == EXPECTED["day"]
    assert listed(read({name: VALUES[name] for name in ("whole", "float", "bool", "text")})) == {
        name: EXPECTED[name] for name in ("whole", "float", "bool", "text")
    }


def test_arrays_of_numpy():
    assert listed(read(np.arange(4.0).reshape(2, 2))) == {
        "column_1": ["0", "2"],
        "column_2": ["1", "3"],
    }
    structured = np.array([(1, "a"), (2, "b")], dtype=[("x", "i4"), ("y", "U3")])
    assert listed(read(structured)) == {"x": ["1", "2"], "y": ["a", "b"]}
    objects = np.array([[1, "x"], [None, 2.5]], dtype=object)
    assert listed(read(objects)) == {"column_1": ["1", ""], "column_2": ["x", "2.5"]}
    masked = np.ma.array([1, 2], mask=[False, True])
    assert listed(read({"a": masked, "b": range(2)})) == {"a": ["1", ""], "b": ["0", "1"]}
    times = np.array(["2020-01-31", "NaT"], dtype="M8[s]")
    assert listed(read({"a": times})) == {"a": ["2020-01-31", ""]}
    for wrong in (np.arange(3), np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="source: got an array of shape"):
            read(wrong)


@pytest.mark.parametrize("wrong", [[[1], [2]], "abc", 5, {"a": 1}, [{}], [np.arange(2)]])
def test_what_is_no_column_is_refused_by_its_name(wrong):
    with pytest.raises(TypeError, match=r"columns: got .* column 'price'"):
        read({"price": wrong})


def test_tables_of_no_columns_or_of_several_lengths():
    with pytest.raises(ValueError, match="columns: got none"):
        read({})
    with pytest.raises(ValueError, match=r"columns: got lengths \[1, 2\]"):
        read({"a": [1], "b": [1, 2]})


def test_columns_are_dropped_by_names_that_are_there():
    there = Table.from_columns({"a": [1], "b": [2], "c": [3]})
    assert list(there.drop(["a", "c"]).columns) == ["b"]
    with pytest.raises(ValueError, match="no column 'd'"):
        there.drop(["d"])
