"""Tables: reading awkward files, finding out what columns mean, encoding, and JSON."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastweights.table import Cells, Table, read, score, split
from fastweights.table.numerals import numbers
from fastweights.table.targets import ClassTarget, NumberTarget, class_name


@pytest.fixture
def csv_file(tmp_path):
    """Writes a CSV file and returns its path."""

    def write(content: str | bytes) -> str:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def cells(*texts: str) -> Cells:
    return Cells.from_texts(texts)


def all_rows(column: Cells) -> np.ndarray:
    return np.ones(len(column), dtype=bool)


# ---- reading -------------------------------------------------------------------------------------

PLAIN = [["name", "size"], ["anna", "1.5"], ["bert", "2"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_finds_delimiter_line_ends_and_byte_order_mark(csv_file, delimiter, line_end, start):
    text = line_end.join(delimiter.join(record) for record in PLAIN)
    table = read(csv_file(start + text.encode()))
    assert list(table.columns) == ["name", "size"]
    assert list(table["name"]) == ["anna", "bert"]
    assert list(table["size"]) == ["1.5", "2"]


def test_quoted_cells_hold_delimiters_quotes_and_line_ends(csv_file):
    table = read(csv_file('a,b\n"x, y","say ""hi"""\n"two\nlines",2\n'))
    assert list(table["a"]) == ["x, y", "two\nlines"]
    assert list(table["b"]) == ['say "hi"', "2"]


def test_quoted_cells_full_of_other_delimiters_do_not_mislead(csv_file):
    rows = "".join(f'"a;b;c{i}";{i}\n' for i in range(5))
    table = read(csv_file("text;number\n" + rows))
    assert list(table.columns) == ["text", "number"]
    assert table["text"][4] == "a;b;c4"


def test_spaces_around_cells_and_blank_lines_are_dropped(csv_file):
    table = read(csv_file('a, b\n\n 1 , "x, y"\n\n2,z\n\n'))
    assert list(table["a"]) == ["1", "2"]
    assert list(table["b"]) == ["x, y", "z"]


def test_one_column_needs_no_delimiter(csv_file):
    assert list(read(csv_file("a\n1\n2\n"))["a"]) == ["1", "2"]


def test_columns_without_a_name_are_called_by_their_place(csv_file):
    assert list(read(csv_file(",x,\n0,1,2\n")).columns) == ["column_1", "x", "column_3"]


def test_decimal_commas_where_semicolons_part_cells(csv_file):
    table = read(csv_file("a;b\n1,5;x\n-2,25;y\n3;z\n"))
    values, strange = numbers(table["a"], table.decimal)
    np.testing.assert_array_equal(values, [1.5, -2.25, 3.0])
    assert not strange.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \r\n\n", "the file is empty"),
        (b"a,b\n", "got no rows"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 cells, the header has 2"),
        (b'a,b\n"x\ny",2\n1,2,3\n', "line 4 has 3 cells, the header has 2"),
        (b'a,b\n1,"2\n', "line 2 cannot be read"),
        (b"a,b\n\x00,2\n", "NUL"),
    ],
)
def test_files_that_are_no_table(csv_file, content, message):
    path = csv_file(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    with pytest.raises(TypeError, match="source: got int"):
        read(0)
    with pytest.raises(ValueError, match="which is a directory, expected a file"):
        read(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="which is a pipe, expected a file"):
            read(os.fsencode(tmp_path / "pipe"))


def test_unknown_column_suggests_the_nearest():
    table = Table.from_columns({"Sale_Price": [1], "Area": [2]})
    with pytest.raises(ValueError, match=r"no column 'sale_prise'.*did you mean 'Sale_Price'"):
        table["sale_prise"]


def test_table_from_python_values():
    table = Table.from_columns({"a": [1.5, None], "b": ["x ", True]})
    assert list(table["a"]) == ["1.5", ""]
    assert list(table["b"]) == ["x", "True"]
    assert len(table.take(np.array([1]))) == 1
    with pytest.raises(ValueError, match="columns: got lengths"):
        Table.from_columns({"a": [1], "b": [1, 2]})


def test_split_is_a_partition_that_the_seed_fixes():
    rest, part = split(101, 0.2, seed=3)
    assert len(part) == 20
    assert sorted([*rest, *part]) == list(range(101))
    np.testing.assert_array_equal(part, split(101, 0.2, seed=3)[1])
    assert part.tolist() != split(101, 0.2, seed=4)[1].tolist()
    assert part.tolist() != split(101, 0.2, seed=3, draw=1)[1].tolist()
    assert len(split(5, 0.01, seed=0)[1]) == 1
    assert len(split(5, 0.0, seed=0)[1]) == 0


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_split_refuses_other_fractions(fraction):
    with pytest.raises(ValueError, match="fraction: got"):
        split(10, fraction, seed=0)


# ---- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "name"), [("1.0", "1"), ("01", "1"), ("1.5", "1.5"), ("x", "x"), ("inf", "inf")]
)
def test_class_name(cell, name):
    assert class_name(cell) == name


# ---- scores --------------------------------------------------------------------------------------


def test_regression_scores_by_hand():
    target = NumberTarget("y", False, 2.0, 1.0, baseline=2.0)
    figures = score(target, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0]))
    assert figures == pytest.approx(
        {
            "mae": 1.0,
            "rmse": 3**0.5,
            "r2": 1 - 9 / 2,
            "baseline_mae": 2 / 3,
            "baseline_rmse": (2 / 3) ** 0.5,
            "baseline_r2": 0.0,
        },
        abs=1e-12,
    )


def test_r2_of_a_constant_truth_is_undefined():
    target = NumberTarget("y", False, 2.0, 1.0, baseline=2.0)
    assert score(target, np.ones(3), np.ones(3))["r2"] is None


def test_classification_scores_by_hand():
    target = ClassTarget("y", ("a", "b"), (0.75, 0.25))
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    figures = score(target, np.array([0, 1, 1]), probabilities)
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["cross_entropy"] == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())
    assert figures["confusion"] == [[1, 0], [1, 1]]
    assert figures["baseline_accuracy"] == pytest.approx(1 / 3)
    assert figures["baseline_cross_entropy"] == pytest.approx(-np.log([0.75, 0.25, 0.25]).mean())


def test_probabilities_of_zero_stay_finite():
    target = ClassTarget("y", ("a", "b"), (1.0, 0.0))
    assert np.isfinite(score(target, np.array([1]), np.array([[1.0, 0.0]]))["cross_entropy"])
