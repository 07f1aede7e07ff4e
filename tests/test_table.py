"""Tables: reading awkward files, finding out what columns mean, encoding, and JSON."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastweights.table import Cells, Table, find_task, has_target, read, score, split
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
    ("column", "task"),
    [
        (["yes", "no"] * 5, "classification"),
        (["0", "1"] * 5, "classification"),
        (["1.5", "2.5"] * 50, "regression"),
        (["1", "2", "3"] * 40, "classification"),
        (["1", "2", "3"] * 3, "regression"),
        ([str(i) for i in range(100)], "regression"),
        (["1", "2", "", "NA"] * 30, "classification"),
        (["1", "2", "x"] * 30, "classification"),
    ],
)
def test_finds_the_task(column, task):
    assert find_task(cells(*column))[0] == task


def test_rows_without_a_target():
    assert has_target(cells("1", "", "x"), "regression").tolist() == [True, False, True]
    assert has_target(cells("1", "", "None"), "classification").tolist() == [True, False, True]


@pytest.mark.parametrize("log", [False, True])
def test_number_target_there_and_back(log):
    column = cells("100", "200", "400", "1e6")
    target = NumberTarget.fit("price", column, np.array([True, True, True, False]), log=log)
    truth, known = target.truth(column)
    assert known.all()
    encoded = target.encode(truth)
    assert encoded.shape == (4, 1)
    np.testing.assert_allclose(encoded[:3].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[:3].std(), 1)
    np.testing.assert_allclose(target.decode(encoded), [100, 200, 400, 400])
    np.testing.assert_allclose(target.decode(-encoded)[3], 100)
    np.testing.assert_allclose(target.baseline, 700 / 3)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        (np.exp(np.linspace(0, 5, 200)), True),
        (np.linspace(1, 2, 200), False),  # not skewed
        (np.exp(np.linspace(0, 5, 200)) - 1, False),  # 0 among them
        (-np.exp(np.linspace(0, 5, 200)), False),
        (np.exp(np.linspace(0, 5, 200)) + 1000, False),  # as skewed after it
    ],
)
def test_the_logarithm_of_a_target_is_learnt_where_it_evens_it(values, log):
    column = Cells.from_numbers(values)
    assert NumberTarget.fit("price", column, np.ones(len(values), bool)).log is log


def test_log_target_needs_positive_numbers_and_stays_finite():
    with pytest.raises(ValueError, match="log_target: got 0 in column 'price'"):
        NumberTarget.fit("price", cells("1", "0"), np.ones(2, bool), log=True)
    target = NumberTarget.fit("price", cells("1", "2"), np.ones(2, bool), log=True)
    assert np.isfinite(target.decode(np.array([[1e30], [-1e30]], dtype=np.float32))).all()
    assert target.truth(cells("-1", "3"))[1].tolist() == [False, True]


def test_regression_on_text_is_refused():
    with pytest.raises(ValueError, match="target: got 'x' in column 'price'"):
        NumberTarget.fit("price", cells("1", "x"), np.ones(2, bool))


def test_class_target_names_and_shares():
    column = cells("10", "9", "9.0", "09", "", "x", "new")
    train = np.array([True] * 5 + [False] * 2)
    target = ClassTarget.fit("kind", column, train)
    assert target.classes == ("9", "10", "new", "x")
    assert target.shares == (0.75, 0.25, 0.0, 0.0)
    labels, known = target.truth(cells("9", "x", "", "unknown"))
    assert labels.tolist() == [0, 3, -1, -1]
    assert known.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("column", "message"),
    [(["a"] * 30, "at least two classes"), ([f"id{i}" for i in range(60)], "classes that repeat")],
)
def test_columns_that_cannot_be_classes(column, message):
    with pytest.raises(ValueError, match=message):
        ClassTarget.fit("kind", cells(*column), all_rows(cells(*column)))


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
