"""What columns are taken for, and the features that each kind gives, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastweights.table import Cells, Preprocessor, Table
from fastweights.table.columns import (
    CategoryColumn,
    DateColumn,
    NumberColumn,
    TargetMeanColumn,
    TextColumn,
)
from fastweights.table.columns.choosing import Asked, Chosen, Encoding, choose
from fastweights.table.columns.common import Marks
from fastweights.table.columns.number import missing_codes

MARKS = Marks()


def column(*texts: str) -> Cells:
    return Cells.from_texts(texts)


def numbers(values: object) -> Cells:
    return Cells.from_numbers(np.array(values, dtype=np.float64))


def chosen(cells: Cells, name: str = "a", kind: str | None = None, **choices: object) -> Chosen:
    outcomes = np.linspace(-1, 1, len(cells))[:, np.newaxis]
    every = np.ones(len(cells), dtype=bool)
    return choose(Asked(name, cells, every, MARKS, Encoding.of(choices), outcomes), kind)


def kinds(cells: Cells, name: str = "a", kind: str | None = None, **choices: object) -> str:
    """The kinds of a column, or why it is none."""
    found = chosen(cells, name, kind, **choices)
    return " ".join(c.kind for c in found.columns) or found.reason


def features(kind: object, cells: Cells) -> np.ndarray:
    """Features of cells, written among others; those are as they were."""
    width = len(kind.features)
    out = np.full((len(cells), width + 2), 7.0, dtype=np.float32)
    kind.encode(kind.read(cells, MARKS), out[:, 1:-1])
    assert (out[:, [0, -1]] == 7.0).all()
    return out[:, 1:-1]


# ---- numbers -------------------------------------------------------------------------------------


def truth_of_numbers(train: np.ndarray, x: np.ndarray, bins: int) -> np.ndarray:
    """The encoding as its papers have it, for numbers of ordinary size."""
    low, median, high = np.quantile(train, [0.25, 0.5, 0.75])
    z = (x - median) / (high - low)
    different = np.unique(train)
    edges = np.unique(np.quantile(train, np.linspace(0, 1, bins + 1)))
    edges = different if len(different) <= bins + 1 else edges
    pieces = [
        np.clip((x - begin) / (end - begin), 0, 1) for begin, end in itertools.pairwise(edges)
    ]
    return np.stack([z / np.sqrt(1 + (z / 3) ** 2), *pieces], axis=1)


@pytest.mark.parametrize("bins", [2, 7, 32])
@pytest.mark.parametrize("rows", [5, 33, 34, 1000])
def test_numbers_are_squashed_and_cut_into_quantile_bins(rows, bins):
    rng = np.random.default_rng(rows)
    train = rng.normal(50, 20, rows)
    x = np.concatenate([train, rng.normal(50, 60, 50)])
    kind = NumberColumn.fit("a", train, bins)
    np.testing.assert_allclose(
        features(kind, numbers(x)), truth_of_numbers(train, x, bins), rtol=1e-6, atol=1e-7
    )
    assert len(kind.features) == len(set(kind.features))


def test_pieces_are_exact_at_the_edges():
    train = np.random.default_rng(0).normal(size=500)
    kind = NumberColumn.fit("a", train, 8)
    at_edges = features(kind, numbers(kind.edges))[:, 1:]
    np.testing.assert_array_equal(at_edges, np.tri(9, 8, -1))


def test_few_different_numbers_are_each_an_edge():
    kind = NumberColumn.fit("a", np.array([3.0, 1.0, 1.0, 2.0, 3.0, 7.0]), 32)
    assert kind.edges == (1.0, 2.0, 3.0, 7.0)
    assert NumberColumn.fit("a", np.array([0.0, 1.0, 1.0]), 32).features == ["a"]


def test_a_range_where_the_quartiles_are_one():
    kind = NumberColumn.fit("a", np.array([0.0] * 10 + [4.0]), 0)
    assert (kind.median, kind.scale, kind.features) == (0.0, 2.0, ["a"])


def test_missing_numbers_are_the_median_and_told():
    kind = NumberColumn.fit("a", np.array([1.0, np.nan, 3.0, 9.0]), 0)
    assert kind.features == ["a", "a missing"]
    np.testing.assert_array_equal(features(kind, column("", "3")), [[0, 1], [0, 0]])
    assert not NumberColumn.fit("a", np.array([1.0, 3.0])).has_missing


@pytest.mark.parametrize("size", [1e-310, 1e-300, 1.0, 1e300, 1.7e308])
def test_numbers_of_any_size_are_encoded_alike(size):
    small = np.array([-1.0, 1.0, 0.5, 0.25, -0.5])
    others = [1.7e308, -1.7e308, 0.0, 5e-324]
    expected = features(NumberColumn.fit("a", small, 4), numbers(small))
    kind = NumberColumn.fit("a", small * size, 4)
    found = features(kind, numbers([*(small * size), *others]))
    np.testing.assert_allclose(found[:5], expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(found).all()
    kind.refuse_senseless("a")


def test_one_extreme_number_does_not_flatten_the_others():
    values = np.append(np.linspace(0, 1, 40), 1000.0)
    z = features(NumberColumn.fit("a", values), numbers(values))[:40, 0]
    assert z.max() - z.min() > 1.0


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10),
    st.integers(0, 40),
)
def test_any_numbers_are_finite_features_that_rise(train, x, bins):
    kind = NumberColumn.fit("a", np.array(train), bins)
    kind.refuse_senseless("a")
    x = np.sort(np.array([*x, *train]))
    found = features(kind, numbers(x))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=0) >= 0).all()
    assert np.abs(found[:, 0]).max() <= 3.0
    assert ((found[:, 1:] >= 0) & (found[:, 1:] <= 1)).all()


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([1, 2, 3, -999, -999], {-999: 2}),
        ([1, 2, 3, 99999], {99999: 1}),
        ([1, 2, 3, 99999, 9999, 9999], {99999: 1, 9999: 2}),
        ([0.5, 0.7, -9999, 9999], {-9999: 1, 9999: 1}),
        ([20, 60, 95, 99], {}),
        ([1, 2, 3, 1000, 1000], {}),
        ([100, 500, 999, 999], {}),
        ([0, 300, 500, -999, -999], {-999: 2}),
        ([-20, 300, 500, -999, -999], {}),
        ([5, -999], {}),
        ([0, 1, -32768, -32768], {-32768: 2}),
        ([], {}),
    ],
)
def test_codes_for_missing_numbers(values, codes):
    assert dict(missing_codes(np.array(values, dtype=float))) == codes


def test_codes_that_are_repeated_count_as_missing_and_are_said():
    values = [*range(0, 40), -999, -999]
    found = chosen(numbers(values), "age")
    assert found.columns[0].codes == (-999.0,)
    assert found.columns[0].has_missing
    assert "-999 in 2 rows" in found.notes[0].detail
    single = chosen(numbers(values[:-1]), "age")
    assert single.columns[0].codes == ()
    assert "taken as it is" in single.notes[0].sentence


# ---- categories ----------------------------------------------------------------------------------


def test_categories_missing_rare_and_unseen():
    cells = column(*["red"] * 40, *["blue"] * 30, *[""] * 20, *["NA"] * 5, *["once"])
    kind = CategoryColumn.fit("colour", cells, 5)
    assert kind == CategoryColumn("colour", ("", "blue", "red"), "words")
    assert kind.features == ["colour=missing", "colour=blue", "colour=red"]
    found = features(kind, column("red", "?", "once", "never", "blue", "Red"))
    expected = [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("rows", "least", "kept"), [(100, 10, "ab"), (100, 3, "abc"), (20, 10, "abc")]
)
def test_rare_categories_have_no_feature(rows, least, kept):
    texts = ["a"] * (rows // 2) + ["c"] * (4 if rows == 100 else 1)
    texts += ["b"] * (rows - len(texts))
    assert CategoryColumn.fit("x", column(*texts), least).categories == tuple(kept)


def test_the_commonest_categories_are_kept():
    texts = [f"k{k:02d}" for k in range(30) for _ in range(30 - k)]
    kind = CategoryColumn.fit("x", column(*texts), 1, most=5)
    assert kind.categories == ("k00", "k01", "k02", "k03", "k04")


def test_numbers_are_categories_by_their_shortest_text():
    kind = CategoryColumn.fit("x", column("1", "1.0", "1e0", "2", "01", "x", "2"), 1)
    assert kind.categories == ("01", "1", "2", "x")
    found = features(kind, column("1.0", "2.50", "01"))
    np.testing.assert_array_equal(found, [[0, 1, 0, 0], [0] * 4, [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("texts", "merging", "categories"),
    [
        (["TRUE", "True", "yes", "yes", "no", "FALSE", "no"], "truths", ("no", "yes")),
        (["yes", "y", "1", "0", "no"], "truths", ("no", "y")),
        (["ja", "JA", "nein"], "truths", ("JA", "nein")),
        (["m", "M", "f", "F", "f"], "letters", ("M", "f")),
        (["A", "a", "B", "C", "D", "E", "F"], "words", ("A", "B", "C", "D", "E", "F", "a")),
        (["New York", "new  york", "Rome"], "words", ("New York", "Rome")),
        (["yes", "y", "maybe"], "words", ("maybe", "y", "yes")),
    ],
)
def test_spellings_of_one_category(texts, merging, categories):
    found = chosen(column(*texts * 10))
    kind = found.columns[0]
    assert (kind.merging, kind.categories) == (merging, categories)
    merged = len({text.casefold() for text in texts}) > len(categories) or len(set(texts)) > len(
        categories
    )
    assert bool(found.notes) == merged
    kind.refuse_senseless("a")


# ---- mean targets --------------------------------------------------------------------------------


def towns(rows: int, seed: int = 0) -> tuple[Cells, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 9, rows)
    outcomes = np.stack([places - 4.0 + rng.normal(size=rows), rng.normal(size=rows)], axis=1)
    return column(*(f"town {place}" for place in places)), outcomes


def test_mean_targets_are_drawn_towards_the_mean_of_all():
    cells, outcomes = towns(200)
    kind = TargetMeanColumn.fit("town", cells, outcomes)
    texts = np.array(list(cells))
    prior = outcomes.mean(axis=0)
    means = {}
    for text in np.unique(texts):
        own = outcomes[texts == text]
        means[text] = (own.sum(axis=0) + 10 * prior) / (len(own) + 10) - prior
    expected = np.stack([means[text] for text in texts])
    expected /= np.sqrt((expected**2).mean(axis=0))
    np.testing.assert_allclose(features(kind, cells), expected, rtol=1e-5)
    np.testing.assert_array_equal(features(kind, column("never", "")), np.zeros((2, 2)))


def test_no_training_row_sees_its_own_target():
    cells, outcomes = towns(100)
    kind = TargetMeanColumn.fit("town", cells, outcomes)
    before = kind.cross_fitted(cells, outcomes)
    for row in range(0, 100, 9):
        other = outcomes.copy()
        other[row] += 1000.0
        after = kind.cross_fitted(cells, other)
        np.testing.assert_array_equal(after[row], before[row])
        assert (after != before).any()


def test_mean_targets_of_noise_say_nothing_to_training_rows():
    rng = np.random.default_rng(1)
    cells = column(*(f"k{k}" for k in rng.integers(0, 300, 1000)))
    outcomes = rng.normal(size=(1000, 1))
    kind = TargetMeanColumn.fit("x", cells, outcomes)
    seen = np.corrcoef(kind.read(cells, MARKS)[:, 0], outcomes[:, 0])[0, 1]
    crossed = np.corrcoef(kind.cross_fitted(cells, outcomes)[:, 0], outcomes[:, 0])[0, 1]
    assert seen > 0.3
    assert abs(crossed) < 0.15


def test_many_categories_have_mean_targets_besides():
    cells = column(*(f"k{k % 60}" for k in range(600)))
    assert kinds(cells) == "category"
    assert kinds(cells, target_means=59) == "category target_mean"
    assert kinds(cells, target_means=60) == "category"
    assert kinds(cells, target_means=None, max_categories=5) == "category"
    assert kinds(cells, target_means=5, min_category_rows=30) == "target_mean"


# ---- dates ---------------------------------------------------------------------------------------


def days(count: int, step: int = 17) -> list[str]:
    return [str(np.datetime64("2020-01-01") + step * k) for k in range(count)]


def part(kind: DateColumn, cells: Cells, name: str) -> np.ndarray:
    return features(kind, cells)[:, kind.features.index(name)]


def test_dates_are_taken_apart_into_what_varies():
    cells = column(*days(200))
    kind = chosen(cells, "day").columns[0]
    assert isinstance(kind, DateColumn)
    assert [one.name for one in kind.parts] == ["days", "year", "month", "day", "weekday"]
    assert kind.cycles == ("year", "week")
    when = np.array(days(200), dtype="M8[D]")
    weekday = (when.astype(int) + 3) % 7
    np.testing.assert_allclose(
        part(kind, cells, "day week sin"), np.sin(2 * np.pi * weekday / 7), atol=1e-6
    )
    month = when.astype("M8[M]").astype(int) % 12 + 1
    expected = features(NumberColumn.fit("month", month.astype(float)), numbers(month))
    found = features(kind, cells)
    first = kind.features.index("day month")
    np.testing.assert_array_equal(found[:, first : first + expected.shape[1]], expected)
    assert (np.diff(part(kind, cells, "day days")) > 0).all()


def test_dates_of_one_year_have_no_year_and_times_no_date():
    kind = chosen(column(*days(20, 7)), "day").columns[0]
    assert "year" not in [one.name for one in kind.parts]
    clock = chosen(column(*(f"{h}:30" for h in range(24))), "at").columns[0]
    assert [one.name for one in clock.parts] == ["hour"]
    assert clock.cycles == ("day",)


def test_missing_dates_are_told_and_far_codes_are_missing():
    texts = [*days(30), "", "1900-01-01", "1900-01-01"]
    found = chosen(column(*texts), "day")
    kind = found.columns[0]
    assert part(kind, column(*texts), "day days missing").tolist() == [0.0] * 30 + [1.0] * 3
    assert part(kind, column(""), "day year sin").tolist() == [0.0]
    assert any("1900-01-01" in note.detail for note in found.notes)


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (["31/01/2024", "01/02/2024"], "day before month"),
        (["01/31/2024", "01/02/2024"], "month before day"),
        (["01/03/2024", "01/02/2024"], "other way"),
    ],
)
def test_what_was_decided_about_dates_is_said(texts, word):
    assert word in chosen(column(*texts * 5)).notes[0].sentence


# ---- text ----------------------------------------------------------------------------------------


def test_of_free_text_only_the_length_is_used():
    texts = [f"the flat number {k} is {'very ' * (k % 5)}nice" for k in range(40)] + [""]
    found = chosen(column(*texts), "about")
    kind = found.columns[0]
    assert isinstance(kind, TextColumn)
    assert kind.features[0] == "about length"
    assert kind.features[-1] == "about length missing"
    lengths = numbers([len(text) or np.nan for text in texts])
    np.testing.assert_array_equal(features(kind, column(*texts)), features(kind.length, lengths))
    assert "only the length" in found.notes[0].sentence


# ---- what a column is ----------------------------------------------------------------------------

REALS = [f"{k * 1.37 % 11:.2f}" for k in range(60)]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (REALS, "number"),
        ([*REALS[:55], "a", "b", "c", "d", "e"], "number"),
        ([*REALS[:30], *"abcdefghij"], "names: it hardly repeats, 40 different ones in 40 cells"),
        (["20", "60", "120"] * 20, "number category"),
        (["0", "1"] * 20, "number"),
        (["02134", "10001", "94105"] * 20, "category"),
        (["01", "02", "12"] * 20, "category"),
        (["yes", "no"] * 20, "category"),
        (["10-20", "20-30", "30+"] * 20, "category"),
        ([f"{k} kg" for k in range(60)], "number"),
        ([f"{k} {'kg' if k % 2 else 'lb'}" for k in range(12)] * 5, "category"),
        (days(60), "date"),
        ([f"{k}:15" for k in range(24)] * 3, "date"),
        (["5"] * 10, "constant: it is always '5'"),
        (["x"] * 10, "constant: it is always 'x'"),
        (["same", "Same"] * 10, "constant: it is always 'same'"),
        ([f"+49 170 555{k:04d}" for k in range(40)], "names: it hardly repeats"),
        ([""] * 10, "empty: it has no values"),
        (["NA", "null"] * 5, "empty: it has no values"),
        ([f"id-{i}" for i in range(10)], "names: it hardly repeats"),
        ([str(i) for i in range(10)], "id: it numbers the rows"),
        ([str(i * 7 % 31) for i in range(31)], "id: it numbers the rows"),
        ([str(i + i // 3) for i in range(60)], "id: it numbers the rows"),
        ([str(1900 + i) for i in range(60)], "id: it numbers the rows"),
        ([str(i * i) for i in range(60)], "number"),
    ],
)
def test_what_columns_are(texts, kind):
    assert kinds(column(*texts)).startswith(kind)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("id", range(100, 900, 7), "id: its name"),
        ("CustomerID", range(100, 900, 7), "id: its name"),
        ("Unnamed: 0", range(100, 900, 7), "id: its name"),
        ("year", range(1900, 2000), "number"),
        ("days", range(100), "number"),
        ("grid", [k * k for k in range(60)], "number"),
        ("store_id", [1, 5, 9] * 20, "category"),
        ("created_at", [1.6e9 + 1e6 * k for k in range(60)], "date"),
    ],
)
def test_what_the_name_of_a_column_says(name, values, kind):
    assert kinds(numbers([*values]), name).startswith(kind)


def test_names_of_rows_that_are_texts():
    texts = [f"user {k}" for k in range(40)]
    assert kinds(column(*texts), "user_id").startswith(("id: ", "names: "))


def test_the_user_may_say_what_a_column_is():
    ids = numbers(range(40))
    assert kinds(ids, "id", "keep") == "number"
    assert kinds(ids, "id", "number") == "number"
    assert kinds(ids, "id", "drop") == "as asked"
    assert kinds(numbers([1, 2, 3, 4] * 10), "a", "category") == "category"
    assert kinds(column(*["1.5", "x", "y", "z"] * 5), "a", "number") == "number"
    assert kinds(column(*["a b", "c"] * 5), "a", "text") == "text"
    assert kinds(column(*["2024-01-05", "x", "y", "2023-04-06"] * 5), "a", "date") == "date"
    for kind in ("number", "date"):
        with pytest.raises(ValueError, match=r"kinds\['a'\]: got 'x' and the like"):
            chosen(column(*["x", "y"] * 5), "a", kind)


@pytest.mark.parametrize("texts", [["5"] * 5 + [""] * 5, ["x"] * 5 + [""] * 5])
def test_a_constant_that_is_sometimes_missing_is_kept(texts):
    kind = chosen(column(*texts)).columns[0]
    assert len(np.unique(features(kind, column(texts[0], "")), axis=0)) == 2


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"bin": 3}, TypeError, "choices: got 'bin', expected choices among bins"),
        ({"bins": -1}, ValueError, "bins: got -1"),
        ({"bins": None}, TypeError, "bins: got"),
        ({"min_category_rows": 0}, ValueError, "min_category_rows: got 0"),
        ({"target_means": 1.5}, TypeError, "target_means: got"),
    ],
)
def test_choices_that_are_none(choices, error, message):
    with pytest.raises(error, match=message):
        Encoding.of(choices)


def test_what_is_true_may_be_said_otherwise_later():
    told = Table.from_columns({"b": [True, False] * 30, "y": [1.5, 0.5] * 30})
    preprocessor = Preprocessor.fit(told, "y")
    expected = preprocessor.transform(told)[:2]
    for true, false in ((1, 0), ("yes", "no"), ("T", "F"), ("wahr", "falsch")):
        later = Table.from_columns({"b": [true, false]})
        np.testing.assert_array_equal(preprocessor.transform(later), expected)
    assert not any("spell" in note or "one thing" in note for note in preprocessor.notes)
