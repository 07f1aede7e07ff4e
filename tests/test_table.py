"""Tables: reading awkward files, finding out what columns mean, encoding, and JSON."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from fastweights.table import Cells, Preprocessor, Table, find_task, has_target, read, score, split
from fastweights.table.columns import CategoryColumn, NumberColumn, fit_column, numbers
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


# ---- columns -------------------------------------------------------------------------------------


def test_numbers_and_their_missing_cells():
    column = cells("1", "-2.5e3", "", "NA", "n/a", "NaN", "null", "None", "?", "inf", "1e999", ".5")
    values, strange = numbers(column)
    np.testing.assert_array_equal(values, [1, -2500, *[np.nan] * 9, 0.5])
    assert not strange.any()


@pytest.mark.parametrize(
    "text", ["abc", "1_000", "1,000", "$5", "2020-01-31", "0x10", "None of them"]
)
def test_text_is_no_number(text):
    values, strange = numbers(cells("1", text))
    assert strange.tolist() == [False, True]
    assert np.isnan(values[1])


def test_number_column_is_standardised_by_its_training_rows_alone():
    column = cells("1", "2", "3", "1000", "x")
    encoder = fit_column("a", column.take(np.arange(4)), np.array([True, True, True, False]), ".")
    encoded = encoder.encode(column.take(np.arange(3)), ".")
    np.testing.assert_allclose(encoded[:, 0], np.array([-1, 0, 1]) / np.sqrt(2 / 3))
    assert encoder.features == ["a"]


def test_missing_numbers_become_the_mean_and_are_told():
    encoder = NumberColumn.fit("a", np.array([1.0, np.nan, 3.0]))
    assert encoder.features == ["a", "a missing"]
    np.testing.assert_array_equal(encoder.encode(cells("", "3"), "."), [[0, 1], [1, 0]])


def test_logarithm_of_skewed_numbers_that_are_never_negative():
    skewed = np.exp(np.linspace(0, 8, 50))
    assert NumberColumn.fit("a", skewed).log
    assert not NumberColumn.fit("a", -skewed).log
    assert not NumberColumn.fit("a", np.linspace(0, 8, 50)).log
    encoder = NumberColumn.fit("a", skewed)
    assert np.isfinite(encoder.encode(cells("-5", "0"), ".")).all()


@pytest.mark.parametrize("size", [1e-300, 1e300, 1.7e308])
def test_huge_and_tiny_numbers_do_not_overflow(size):
    values = np.array([-1.0, 1.0, 0.5]) * size
    encoder = NumberColumn.fit("a", values)
    encoded = encoder.encode(cells(*map(repr, values.tolist()), "-1.7e308"), ".")
    np.testing.assert_allclose(encoded[:3].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[:3].std(), 1)
    assert np.isfinite(encoded).all()


def test_categories_missing_rare_and_unseen():
    column = cells(*["red"] * 40, *["blue"] * 30, *[""] * 20, *["NA"] * 5, *["once"])
    encoder = fit_column("colour", column, all_rows(column), ".")
    assert encoder == CategoryColumn("colour", ("", "blue", "red"))
    assert encoder.features == ["colour=missing", "colour=blue", "colour=red"]
    encoded = encoder.encode(cells("red", "?", "once", "never", "blue"), ".")
    np.testing.assert_array_equal(encoded, [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0]])


def test_the_word_none_is_a_category_of_its_own():
    column = cells(*["None"] * 10, *["Stone"] * 10, *[""] * 10)
    assert fit_column("a", column, all_rows(column), ".").categories == ("", "None", "Stone")


def test_numbers_that_look_like_categories_stay_numbers():
    column = cells(*["20", "60", "120"] * 10)
    assert isinstance(fit_column("MS_SubClass", column, all_rows(column), "."), NumberColumn)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (["5"] * 10, "always '5'"),
        (["x"] * 10, "always 'x'"),
        ([""] * 10, "no values"),
        (["NA", "null"] * 5, "no values"),
        ([f"id-{i}" for i in range(10)], "hardly repeats"),
        ([str(i) for i in range(10)], "numbers the rows"),
        ([str(i + 1) for i in range(10)], "numbers the rows"),
    ],
)
def test_columns_of_no_use_are_dropped_with_a_reason(column, reason):
    assert reason in fit_column("a", cells(*column), all_rows(cells(*column)), ".")


@pytest.mark.parametrize("column", [["5"] * 5 + [""] * 5, ["x"] * 5 + [""] * 5])
def test_a_constant_that_is_sometimes_missing_is_kept(column):
    encoder = fit_column("a", cells(*column), all_rows(cells(*column)), ".")
    assert len(np.unique(encoder.encode(cells("5", ""), "."), axis=0)) == 2 or (
        len(np.unique(encoder.encode(cells("x", ""), "."), axis=0)) == 2
    )


def test_a_column_constant_in_the_training_rows_is_dropped():
    train = np.array([True] * 9 + [False])
    assert "always" in fit_column("a", cells(*["5"] * 9, "6"), train, ".")


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
    np.testing.assert_allclose(target.decode(encoded), truth)
    np.testing.assert_allclose(target.baseline, 700 / 3)


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


# ---- all of it -----------------------------------------------------------------------------------


@pytest.fixture
def houses() -> Table:
    rng = np.random.default_rng(0)
    n = 60
    return Table.from_columns(
        {
            "id": range(n),
            "area": [None if i % 7 == 0 else a for i, a in enumerate(rng.integers(30, 200, n))],
            "town": rng.choice(["Ames", "Gilbert", 'Nevada, "IA"', "Ümläut"], n),
            "country": ["US"] * n,
            "garden": ["" if i % 3 else "yes" for i in range(n)],
            "price": rng.lognormal(12, 0.4, n),
        }
    )


@pytest.mark.parametrize("target", ["price", "town"])
def test_json_round_trip_encodes_the_same(houses, target):
    preprocessor = Preprocessor.fit(houses, target, np.arange(40), log_target=target == "price")
    text = preprocessor.to_json()
    json.loads(text)
    restored = Preprocessor.from_json(text)
    assert restored == preprocessor
    x = preprocessor.transform(houses)
    assert x.shape == (60, len(preprocessor.features))
    np.testing.assert_array_equal(restored.transform(houses), x)
    np.testing.assert_array_equal(
        restored.transform_target(houses), preprocessor.transform_target(houses)
    )
    assert set(preprocessor.dropped) == {"id", "country"}


def test_only_training_rows_are_learnt_from(houses):
    train = np.arange(40)
    columns = dict(houses.columns)
    for name, value in {"area": "999999", "town": "Elsewhere", "price": "1"}.items():
        columns[name] = cells(*list(columns[name])[:40], *[value] * 20)
    changed = Preprocessor.fit(Table(columns), "price", train)
    assert changed == Preprocessor.fit(houses, "price", train)


def test_inverse_transform_gives_the_target_back(houses):
    preprocessor = Preprocessor.fit(houses, "price", log_target=True)
    y = preprocessor.transform_target(houses)
    truth, _ = preprocessor.truth(houses)
    np.testing.assert_allclose(preprocessor.inverse_transform(y), truth)


def test_remarks_about_new_rows(houses):
    preprocessor = Preprocessor.fit(houses, "price")
    assert preprocessor.remarks(houses) == []
    columns = dict(houses.columns)
    columns["area"] = cells("big", *list(columns["area"])[1:])
    columns["town"] = cells("Atlantis", "Atlantis", *list(columns["town"])[2:])
    remarks = preprocessor.remarks(Table(columns))
    assert remarks == [
        "text among numbers counts as missing: 'big' in column 'area'",
        "rare or unseen categories count as none: 'Atlantis' in column 'town' and 1 more",
    ]
    assert np.isfinite(preprocessor.transform(Table(columns))).all()


def test_transform_without_a_column_names_it(houses):
    preprocessor = Preprocessor.fit(houses, "price")
    columns = {name: column for name, column in houses.columns.items() if name != "town"}
    with pytest.raises(ValueError, match=r"lacks 1 of the columns .*: 'town'$"):
        preprocessor.transform(Table(columns))


def test_targets_missing_from_rows_are_refused(houses):
    preprocessor = Preprocessor.fit(houses, "price")
    columns = {**houses.columns, "price": cells("", *list(houses["price"])[1:])}
    with pytest.raises(ValueError, match="target: got 1 cells without one"):
        preprocessor.transform_target(Table(columns))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "prices"}, "did you mean 'price'"),
        ({"target": "town", "log_target": True}, "log_target: got"),
        ({"target": "town", "task": "regression"}, "target: got '"),
        ({"target": "price", "task": "clustering"}, "task: got 'clustering'"),
    ],
)
def test_fit_refuses(houses, arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocessor.fit(houses, **arguments)


def test_no_column_left_is_an_error():
    table = Table.from_columns({"y": [1.5, 2.5, 4.0], "id": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"no column to learn from .'id': it numbers the rows"):
        Preprocessor.fit(table, "y")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 2}',
        '{"format": 1, "columns": [{}], "target": {}}',
    ],
)
def test_damaged_json_is_a_value_error(text):
    with pytest.raises(ValueError, match="preprocessing: got"):
        Preprocessor.from_json(text)


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        (
            "price",
            lambda p: p.update(format=1.0),
            "preprocessing: got format 1.0, expected format 1",
        ),
        (
            "price",
            lambda p: p.update(more=1),
            "preprocessing: got .*, expected the entries",
        ),
        (
            "price",
            lambda p: p.update(columns={}),
            r"preprocessing.columns: got {}, expected a list",
        ),
        ("price", lambda p: p.update(columns=[]), "preprocessing.columns: got none"),
        ("price", lambda p: p["columns"].append(p["columns"][0]), "every one once"),
        ("price", lambda p: p["dropped"].update(price="x"), "every one once"),
        ("price", lambda p: p["dropped"].update(x=3), r"dropped\['x'\]: got 3, expected text"),
        ("price", lambda p: p["columns"][0].update(kind=[1]), r"columns\[0\]: got kind \[1\]"),
        (
            "price",
            lambda p: p["columns"][0].update(name=7),
            r"columns\[0\].name: got 7, expected",
        ),
        (
            "price",
            lambda p: p["columns"][0].update(log=1),
            r"columns\[0\].log: got 1",
        ),
        (
            "price",
            lambda p: p["columns"][0].update(mean="1"),
            r"columns\[0\].mean: got '1'",
        ),
        (
            "price",
            lambda p: p["columns"][0].update(scale=0),
            r"columns\[0\].scale: got 0.0",
        ),
        ("price", lambda p: p["columns"][0].update(scale=1e-320), "a scale that suits the mean"),
        (
            "price",
            lambda p: p["columns"][0].pop("scale"),
            r"columns\[0\]: got .*, expected",
        ),
        ("price", lambda p: p["columns"][1].update(categories=[]), r"columns\[1\].categories: got"),
        ("price", lambda p: p["columns"][1].update(categories=["a", "a"]), "every one once"),
        ("price", lambda p: p["columns"][1].update(categories=["a", 3]), r"categories\[1\]: got 3"),
        (
            "price",
            lambda p: p["target"].update(baseline=None),
            "target.baseline: got None, expected",
        ),
        (
            "price",
            lambda p: p["target"].update(scale=-1.0),
            "target.scale: got -1.0, expected",
        ),
        ("price", lambda p: p.update(target="price"), "target: got task 'price', expected one of"),
        ("town", lambda p: p["target"].update(classes=["a"], shares=[1.0]), "target.classes: got"),
        ("town", lambda p: p["target"]["shares"].pop(), "target.shares: got 3 that add up to"),
        (
            "town",
            lambda p: p["target"].update(shares=[0.5] * 4),
            "target.shares: got 4 that add up",
        ),
        ("town", lambda p: p["target"].update(shares=[2.0, -1, 0, 0]), "target.shares: got 4 that"),
        ("town", lambda p: p["target"].update(shares=[]), "target.shares: got 0 that add up to 0"),
        (
            "town",
            lambda p: p["target"].update(shares=float("nan")),
            "NaN, which JSON does not have",
        ),
        ("town", lambda p: p["target"].update(name="\ud800"), "surrogates not allowed"),
        ("town", lambda p: p["target"].update(name="x" * 999, task=0), r"got task 0, expected"),
    ],
)
def test_parts_of_json_that_are_no_good_are_named(houses, target, change, message):
    content = json.loads(Preprocessor.fit(houses, target).to_json())
    change(content)
    with pytest.raises(ValueError, match=message) as raised:
        Preprocessor.from_json(json.dumps(content))
    assert len(str(raised.value)) < 300


def test_a_column_of_nearly_the_same_name_is_suggested(houses):
    preprocessor = Preprocessor.fit(houses, "price")
    columns = {name.title(): column for name, column in houses.columns.items()}
    with pytest.raises(ValueError, match=r"'area' \(is it 'Area'\?\), 'town' \(is it 'Town'\?\)"):
        preprocessor.transform(Table(columns))


def test_cells_and_names_of_any_length_are_short_in_messages(houses):
    preprocessor = Preprocessor.fit(houses, "price")
    columns = {**houses.columns, "area": cells(*["x" * 5000] * 60)}
    assert all(len(remark) < 200 for remark in preprocessor.remarks(Table(columns)))
    with pytest.raises(ValueError, match="no column") as raised:
        houses["x" * 5000]
    assert len(str(raised.value)) < 200


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
