"""A table's columns together: what is used and why not, what is said, features, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastweights.table import Cells, Preprocessor, Table, read
from fastweights.table.footers import without_sums


def cells(*texts: str) -> Cells:
    return Cells.from_texts(texts)


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
            "sold": [str(np.datetime64("2023-12-01") + 11 * i) for i in range(n)],
            "about": [f"{'a very ' * (i % 6)} nice house, number {i}" for i in range(n)],
            "price": rng.lognormal(12, 0.4, n),
        }
    )


@pytest.mark.parametrize("target", ["price", "town"])
def test_json_round_trip_encodes_the_same(houses, target):
    log = True if target == "price" else None
    preprocessor = Preprocessor.fit(houses, target, np.arange(40), log_target=log, target_means=2)
    text = preprocessor.to_json()
    json.loads(text)
    restored = Preprocessor.from_json(text)
    assert restored == preprocessor
    assert {c.kind for c in preprocessor.columns} >= {"number", "category", "date", "text"}
    assert ("target_mean" in {c.kind for c in preprocessor.columns}) == (target == "price")
    x = preprocessor.transform(houses)
    assert x.dtype == np.float32
    assert x.shape == (60, len(preprocessor.features))
    np.testing.assert_array_equal(restored.transform(houses), x)
    np.testing.assert_array_equal(
        restored.transform_target(houses), preprocessor.transform_target(houses)
    )
    assert set(preprocessor.dropped) == {"id", "country"}


def test_only_training_rows_are_learnt_from(houses):
    train = np.arange(40)
    columns = dict(houses.columns)
    for name, value in {"area": "199", "town": "Elsewhere", "price": "1"}.items():
        columns[name] = cells(*list(columns[name])[:40], *[value] * 20)
    changed = Preprocessor.fit(Table(columns), "price", train, target_means=2)
    assert changed == Preprocessor.fit(houses, "price", train, target_means=2)


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
    with pytest.raises(ValueError, match=r"no column to learn from .'id': id: it numbers the rows"):
        Preprocessor.fit(table, "y")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 2}',
    ],
)
def test_damaged_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"preprocessing.*: got"):
        Preprocessor.from_json(text)


@pytest.mark.parametrize(
    ("target", "change", "message"),
    [
        (
            "price",
            lambda p: p.update(format=1.0),
            "preprocessing: got format 1.0, expected format 2",
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
            lambda p: p["columns"][0].update(has_missing=1),
            r"columns\[0\].has_missing: got 1",
        ),
        (
            "price",
            lambda p: p["columns"][0].update(median="1"),
            r"columns\[0\].median: got '1'",
        ),
        (
            "price",
            lambda p: p["columns"][0].update(scale=0),
            r"columns\[0\].scale: got 0.0",
        ),
        ("price", lambda p: p["columns"][0].update(scale=5e-324), "a scale that suits"),
        ("price", lambda p: p["columns"][0].update(edges=[]), r"columns\[0\].edges: got 0"),
        ("price", lambda p: p["columns"][0].update(edges=[3, 2]), "got 2 that do not all rise"),
        ("price", lambda p: p["columns"][0].update(edges=[3, 3]), "got 2 that do not all rise"),
        ("price", lambda p: p["columns"][0].update(median=-1e9), r"columns\[0\].median: got -1e"),
        ("price", lambda p: p["columns"][1].update(merging="x"), r"columns\[1\].merging: got 'x'"),
        ("price", lambda p: p["columns"][2].update(means=[]), r"columns\[2\].means: got 0 for 4"),
        ("price", lambda p: p["columns"][2]["means"][1].append(1.0), r"columns\[2\].means: got"),
        ("price", lambda p: p["columns"][2]["means"][1].append("1"), r"means\[1\]\[1\]: got '1'"),
        ("price", lambda p: p["columns"][2].update(means=[[1e39]] * 4), "numbers of float32"),
        ("price", lambda p: p["columns"][2].update(scale=[0]), r"columns\[2\].scale: got"),
        ("price", lambda p: p["columns"][2].update(prior=[]), r"columns\[2\].scale: got"),
        ("price", lambda p: p["columns"][4].update(form="x"), r"columns\[4\].form: got 'x'"),
        ("price", lambda p: p["columns"][4].update(parts=[]), r"columns\[4\].parts: got"),
        ("price", lambda p: p["columns"][4].update(cycles=["x"]), r"columns\[4\].cycles: got"),
        (
            "price",
            lambda p: p["columns"][4]["parts"][0].update(edges=[2, 1]),
            r"columns\[4\].parts\[0\].edges: got",
        ),
        (
            "price",
            lambda p: p["columns"][5]["length"].update(name="x"),
            r"columns\[5\].length.name: got x",
        ),
        ("price", lambda p: p.update(notes=[3]), r"preprocessing.notes\[0\]: got 3"),
        ("price", lambda p: p.update(notes="x"), "preprocessing.notes: got 'x'"),
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
    content = json.loads(Preprocessor.fit(houses, target, target_means=2).to_json())
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


# ---- what is said --------------------------------------------------------------------------------


def noisy(rows: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=rows), "y": rng.normal(size=rows)}


def table(columns: dict[str, object]) -> Table:
    return Table.from_columns(columns)


def test_columns_with_the_same_cells_are_used_once():
    x = noisy()["x"]
    columns = {**noisy(), "again": x, "other": x + 1, "third": x}
    preprocessor = Preprocessor.fit(table(columns), "y")
    assert preprocessor.dropped == {
        "again": "duplicate: the same as 'x'",
        "third": "duplicate: the same as 'x'",
    }
    assert "'again', 'third'" in preprocessor.decisions[0]
    kept = Preprocessor.fit(table(columns), "y", kinds={"again": "number"})
    assert list(kept.dropped) == ["third"]


@pytest.mark.parametrize(
    ("leak", "is_said"),
    [
        (lambda y, e: 3 * y + 1, True),
        (lambda y, e: -y + e / 1000, True),
        (lambda y, e: np.exp(y), True),
        (lambda y, e: y + e / 2, False),
        (lambda y, e: e, False),
    ],
)
def test_a_column_that_nearly_is_the_target_is_said_and_used(leak, is_said):
    columns = noisy()
    columns["leak"] = leak(columns["y"], np.random.default_rng(1).normal(size=200))
    preprocessor = Preprocessor.fit(table(columns), "y")
    assert any("'leak'" in note and "target" in note for note in preprocessor.notes) == is_said
    assert "leak" in preprocessor.kinds


@pytest.mark.parametrize(("flips", "is_said"), [(0, True), (30, False)])
def test_categories_that_say_the_class_are_said(flips, is_said):
    columns = noisy()
    alive = columns.pop("y") > 0
    columns["alive"] = np.where(alive, "yes", "no")
    columns["died"] = np.where(np.roll(alive, 0) ^ (np.arange(200) < flips), 0, 1)
    columns["fate"] = np.where(alive ^ (np.arange(200) < flips), "lives", "dead")
    notes = Preprocessor.fit(table(columns), "alive").notes
    assert not any("'x'" in note for note in notes)  # Of numbers that do not repeat any is right.
    for name in ("died", "fate"):
        assert any(shown in note for note in notes for shown in [f"'{name}'"]) == is_said


def test_of_wide_tables_little_is_said():
    rng = np.random.default_rng(0)
    columns = {f"flat_{k}": [7] * 30 for k in range(200)}
    columns |= {f"gone_{k}": ["NA"] * 30 for k in range(100)}
    columns |= {f"x_{k}": [*rng.normal(size=29), "n/s"] for k in range(100)}
    columns["y"] = rng.normal(size=30)
    preprocessor = Preprocessor.fit(table(columns), "y")
    assert preprocessor.decisions == [
        "200 columns are not used, constant: 'flat_0', 'flat_1', 'flat_2' and 197 more",
        "100 columns are not used, empty: 'gone_0', 'gone_1', 'gone_2' and 97 more",
        "text among numbers counts as missing: 'n/s' in column 'x_0' and 99 more",
    ]
    one = Preprocessor.fit(table({"flat": [7] * 200, **noisy()}), "y")
    assert one.decisions == ["column 'flat' is not used, constant: it is always '7'"]


def test_rows_without_a_target_and_classes_of_one_row_are_said():
    columns = noisy(40)
    columns["y"] = [*columns["y"][:38], "lost", "lost"]
    assert "2 rows" in Preprocessor.fit(table(columns), "y").notes[0]
    columns["y"] = ["a", "b"] * 19 + ["a", "c"]
    notes = Preprocessor.fit(table(columns), "y", task="classification").notes
    assert notes[0] == "classes of one row are hardly learnt: 'c'"


def test_remarks_about_rows_unlike_those_of_training():
    rng = np.random.default_rng(0)
    columns = {
        "size": rng.uniform(10, 20, 60),
        "day": [str(np.datetime64("2023-12-01") + 11 * i) for i in range(60)],
        "town": ["Ames", "Rome"] * 30,
        "y": rng.normal(size=60),
    }
    preprocessor = Preprocessor.fit(table(columns), "y", target_means=1)
    new = {"size": [15, 4000, "", "tall"], "day": ["2024-01-01", "", "soon", "2024-05-05"]}
    new["town"] = ["Ames", "Oslo", "Rome", "Oslo"]
    assert preprocessor.remarks(table(new)) == [
        "text among numbers counts as missing: 'tall' in column 'size'",
        "missing numbers, unlike in training, count as the median: '' in column 'size'",
        "numbers far outside of those of training: '4000' in column 'size'",
        "cells that are no date count as missing: 'soon' in column 'day'",
        "missing dates, unlike in training, count as the median: '' in column 'day'",
        "unseen categories count as the mean of all: 'Oslo' in column 'town' and 1 more",
    ]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"z": "number"}, "no column 'z'"),
        ({"x": "float"}, r"kinds\['x'\]: got 'float', expected"),
        ({"y": "number"}, "kinds: got the target 'y'"),
    ],
)
def test_kinds_that_are_none(kinds, message):
    with pytest.raises(ValueError, match=message):
        Preprocessor.fit(table(noisy()), "y", kinds=kinds)


def test_sums_below_a_table_are_no_rows():
    columns = {"year": [*range(1990, 2020), "Total"], "y": [*range(30), 435]}
    found, kept = without_sums(table(columns))
    assert kept.tolist() == [True] * 30 + [False]
    assert len(found) == 30
    assert "'Total' in column 'year'" in found.remarks[0]
    for year in ("total", "Average:", "Grand Total", "Summe"):
        columns["year"][-1] = year
        assert len(without_sums(table(columns))[0]) == 30
    for columns in (
        {"kind": ["Total", "part"] * 15, "y": range(30)},
        {"kind": ["Total", *["part"] * 29], "y": range(30)},
        {"kind": ["Total"], "y": [1]},
    ):
        assert without_sums(table(columns))[0].remarks == ()


# ---- features ------------------------------------------------------------------------------------


def test_groups_say_which_features_are_whose(houses):
    preprocessor = Preprocessor.fit(houses, "price", target_means=2)
    groups = preprocessor.groups
    assert list(groups) == ["area", "town", "garden", "sold", "about"]
    assert np.concatenate(list(groups.values())).tolist() == list(range(len(preprocessor.features)))
    for name, places in groups.items():
        assert all(preprocessor.features[place].startswith(name) for place in places)
    assert preprocessor.kinds["town"] == ("category", "target_mean")
    assert preprocessor.input_shape == (len(preprocessor.features),)


def test_features_of_some_rows_are_those_of_all(houses):
    preprocessor = Preprocessor.fit(houses, "price", np.arange(40), target_means=2)
    encoded = preprocessor.encoded(houses, np.arange(40))
    x = preprocessor.transform(houses, np.arange(40))
    assert (len(encoded), encoded.shape) == (60, x.shape)
    rows = np.array([50, 3, 3, 17])
    np.testing.assert_array_equal(encoded[rows], x[rows])
    np.testing.assert_array_equal(encoded[10:20], x[10:20])
    np.testing.assert_array_equal(encoded[np.arange(60) > 55], x[56:])
    assert encoded[:0].shape == (0, x.shape[1])


def test_training_rows_do_not_see_their_own_target_and_others_see_all(houses):
    train = np.arange(40)
    preprocessor = Preprocessor.fit(houses, "price", train, target_means=2)
    mean = preprocessor.features.index("town target mean")
    as_new, as_training = preprocessor.transform(houses), preprocessor.transform(houses, train)
    np.testing.assert_array_equal(as_new[40:], as_training[40:])
    others = np.arange(as_new.shape[1]) != mean
    np.testing.assert_array_equal(as_new[:, others], as_training[:, others])
    assert (as_new[:40, mean] != as_training[:40, mean]).mean() > 0.9
    changed = dict(houses.columns)
    prices = list(houses["price"])
    changed["price"] = cells(str(float(prices[0]) * 3), *prices[1:])
    again = preprocessor.transform(Table(changed), train)
    assert again[0, mean] == as_training[0, mean]
    assert (again[:40, mean] != as_training[:40, mean]).any()


def test_training_rows_without_a_target_have_the_mean_of_all_folds(houses):
    columns = {**houses.columns, "price": cells(*list(houses["price"])[:50], *[""] * 10)}
    train = np.arange(60)
    preprocessor = Preprocessor.fit(Table(columns), "price", train, target_means=2)
    x = preprocessor.transform(Table(columns), train)
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x[50:], preprocessor.transform(Table(columns))[50:])


@pytest.mark.parametrize("classes", [2, 3])
def test_mean_targets_of_classes_are_shares(classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 300)
    towns = [f"t{(label + k) % 7}" for k, label in enumerate(labels)]
    columns = {"town": towns, "y": [f"class {label}" for label in labels]}
    preprocessor = Preprocessor.fit(table(columns), "y", target_means=2)
    means = [name for name in preprocessor.features if "target mean" in name]
    assert len(means) == (1 if classes == 2 else classes)
    x = preprocessor.transform(table(columns))
    shares = np.array([np.mean(labels[np.array(towns) == town] == 1) for town in towns])
    column = preprocessor.features.index(means[0 if classes == 2 else 1])
    assert np.corrcoef(x[:, column], shares)[0, 1] > 0.99


TEXTS = st.one_of(
    st.sampled_from(["", "NA", "1", "2", "-999", "1.5", "3 kg", "<2", "$5", "12%", "yes", "No"]),
    st.sampled_from(["2024-01-31", "31/01/2024", "12:30", "20240131", "1.7e9", "(3)", "007"]),
    st.text(max_size=8),
    st.floats(allow_nan=False).map(repr),
)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(3, 12).flatmap(
        lambda rows: st.lists(st.lists(TEXTS, min_size=rows, max_size=rows), min_size=1, max_size=3)
    ),
    st.booleans(),
)
def test_any_cells_are_refused_in_words_or_become_finite_features(columns, is_class):
    rows = len(columns[0])
    named = {f"c{k}": cells(*texts) for k, texts in enumerate(columns)}
    named["y"] = cells(*(f"{'k' if is_class else ''}{k % 3}" for k in range(rows)))
    task = "classification" if is_class else "regression"
    train = np.arange(rows - 1)
    try:
        preprocessor = Preprocessor.fit(Table(named), "y", train, task, target_means=1)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "no column to learn from" in refusal
        return
    x = preprocessor.transform(Table(named), train)
    assert x.shape == (rows, len(preprocessor.features))
    assert np.isfinite(x).all()
    assert Preprocessor.from_json(preprocessor.to_json()) == preprocessor
    others = {name: cells(*columns[0][::-1]) for name in named}
    assert np.isfinite(preprocessor.transform(Table(others))).all()
    assert all(len(remark) < 400 for remark in preprocessor.remarks(Table(others)))
    assert all(len(decision) < 600 for decision in preprocessor.decisions)


# ---- numbers in another form than those of training ---------------------------------------------

EUROS = [f"{1000 + 37 * n}.50 €" for n in range(40)]
NUMBERS = [1000.5 + 37 * n for n in range(40)]
SHARES = [n / 40 for n in range(40)]


@pytest.mark.parametrize(
    ("fitted", "given", "expected", "words"),
    [
        (EUROS, [1100.5, 1200], [1100.5, 1200.0], "without a unit are taken to be in '€'"),
        (NUMBERS, ["1.100,50 €", "1.200,25 €"], [1100.5, 1200.25], "units are set aside"),
        (NUMBERS, ["$1,100.50", "1200"], [1100.5, 1200.0], "units are set aside"),
        (NUMBERS, ["35 %"], [35.0], "units are set aside"),
        (SHARES, ["35 %", "0.35"], [0.35, 0.35], "35 % is 0.35: '35 %' in column 'x'"),
        ([f"{n} %" for n in range(40)], ["35 %", "35"], [35.0, 35.0], "taken to be in '%'"),
        (EUROS, ["1100 $"], [np.nan], "text among numbers counts as missing: '1100 $'"),
        (EUROS, ["1100 €"], [1100.0], ""),
    ],
)
def test_units_that_are_added_or_missing_are_set_aside_and_said(fitted, given, expected, words):
    """As a feature and as the target."""
    truth = [float(n % 7) + n / 100 for n in range(40)]
    learnt = Preprocessor.fit(read({"x": fitted, "y": truth}), "y", kinds={"x": "number"})
    learnt = Preprocessor.from_json(learnt.to_json())
    table = read({"x": given})
    values = learnt.columns[0].read(table["x"], (table.decimal, table.thousands))
    np.testing.assert_array_equal(values, expected)
    said = " ".join(learnt.remarks(table))
    assert words in said if words else said == ""
    target = Preprocessor.fit(read({"x": fitted, "y": truth}), "x", task="regression").target
    np.testing.assert_array_equal(target.truth(table)[0], expected)
