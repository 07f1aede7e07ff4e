"""What the target column means: numbers among other cells, and classes however they are written."""

import numpy as np
import pytest

from fastweights.table import Cells, Table, find_task, has_target
from fastweights.table.targets import ClassTarget, NumberTarget, class_name


def table(*cells):
    return Table.from_columns({"y": cells})


def of_numbers(values):
    return Table({"y": Cells.from_numbers(np.asarray(values, dtype=np.float64))})


def everywhere(given):
    return np.ones(len(given), dtype=bool)


def fitted(kind, *cells):
    given = table(*cells)
    return kind.fit("y", given, everywhere(given))


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["1.5", "2.5", "", "NA"] * 10, "regression"),
        (["0", "1"] * 3, "classification"),
        (["0", "1", "2"] * 20, "classification"),
        (["0", "1", "2"] * 2, "regression"),  # too few rows of each
        ([*map(str, range(40))], "regression"),
        (["a", "b"] * 5, "classification"),
        (["$1.50", "$2.75", "$3.10"] * 5, "regression"),
        ([*map(str, np.arange(30) / 7), "unknown", "-"], "regression"),  # hardly any text
        ([*map(str, np.arange(30) / 7), *["low"] * 10], "classification"),
        (["TRUE", "FALSE"] * 5, "classification"),
    ],
)
def test_the_task_is_found(cells, task):
    assert find_task(table(*cells), "y")[0] == task


def test_cells_that_are_no_numbers_have_no_target():
    given = table(*map(str, range(30)), "unknown", "", "abc", "1,234,567", "(2)")
    known = has_target(given, "y", "regression")
    assert known.tolist() == [True] * 30 + [False] * 3 + [True] * 2
    truth, also = NumberTarget.fit("y", given, known).truth(given)
    np.testing.assert_array_equal(known, also)
    assert truth[-2:].tolist() == [1234567.0, -2.0]


def test_the_unit_of_the_target_is_remembered():
    target = fitted(NumberTarget, "3 kg", "4 kg", "5 kg", "6")
    assert target.unit == "kg"
    truth, known = target.truth(table("7 kg", "8", "9 lb"))
    assert known.tolist() == [True, True, False]
    assert truth[:2].tolist() == [7.0, 8.0]


@pytest.mark.parametrize("log", [False, True])
def test_numbers_there_and_back(log):
    given = of_numbers([100, 200, 400, 1e6])
    target = NumberTarget.fit("y", given, np.array([True, True, True, False]), log=log)
    truth, known = target.truth(given)
    assert known.all()
    encoded = target.encode(truth)
    np.testing.assert_allclose(encoded[:3].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[:3].std(), 1)
    np.testing.assert_allclose(target.decode(encoded), [100, 200, 400, 400])
    assert target.baseline == pytest.approx(700 / 3)
    several = np.column_stack([encoded, encoded])
    assert target.decode(several).shape == (4, 2)


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
def test_the_logarithm_is_learnt_where_it_evens_the_target(values, log):
    given = of_numbers(values)
    assert NumberTarget.fit("y", given, everywhere(given)).log is log


def test_classes_have_one_name_however_they_are_written():
    target = fitted(ClassTarget, *["Yes", "yes", "Yes", "no", "NO", "no"] * 2)
    assert target.classes == ("Yes", "no")
    assert target.shares == (0.5, 0.5)
    labels, known = target.truth(table("YES", "no ", "maybe", "", "TRUE"))
    assert labels.tolist() == [0, 1, -1, -1, 0]
    assert known.tolist() == [True, True, False, False, True]


def test_numbers_name_classes_however_they_are_written():
    target = fitted(ClassTarget, *["1", "2.0", "03", "10"] * 5)
    assert target.classes == ("1", "2", "3", "10")
    assert target.truth(table("1.0", "02", "3", "4"))[0].tolist() == [0, 1, 2, -1]


def test_signs_are_classes_beside_each_other_and_else_missing():
    assert fitted(ClassTarget, *["+", "-"] * 5).classes == ("+", "-")
    assert fitted(ClassTarget, *["a", "b", "-"] * 5).classes == ("a", "b")


def test_shares_are_those_of_the_training_rows():
    given = table("a", "b", "a", "a", "c")
    target = ClassTarget.fit("y", given, np.array([True, True, True, False, False]))
    assert target.classes == ("a", "b", "c")
    assert target.shares == (2 / 3, 1 / 3, 0.0)


def test_a_million_classes_cost_no_loop_over_rows():
    rows = 1_000_000
    given = Table(
        {"y": Cells(np.full(rows, np.nan), np.arange(rows, dtype=np.int32) % 3, ("a", "b", "c"))}
    )
    target = ClassTarget.fit("y", given, everywhere(given))
    labels, known = target.truth(given)
    assert known.all()
    np.testing.assert_array_equal(labels, np.arange(rows) % 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fitted(NumberTarget, "1", "low"), "target: got 'low' in column 'y'"),
        (
            lambda: has_target(table("1", "2", "low"), "y", "regression"),
            "target: got 'low' in column 'y'",
        ),
        (lambda: fitted(NumberTarget, "", "NA"), "target: got no number in column 'y'"),
        (lambda: fitted(ClassTarget, "a", "a"), "target: got 1 class in column 'y'"),
        (lambda: fitted(ClassTarget, "", ""), "target: got 0 class in column 'y'"),
        (
            lambda: fitted(ClassTarget, *map(chr, range(65, 91))),
            "target: got 26 different cells among 26",
        ),
        (
            lambda: NumberTarget.fit("y", table("1", "0"), np.ones(2, bool), log=True),
            "log_target: got 0 in column 'y'",
        ),
        (
            lambda: NumberTarget.fit("y", table("1", ""), np.array([False, True])),
            "target: got no number in column 'y' in the rows to learn from",
        ),
        (
            lambda: ClassTarget.fit("y", table("a", "b", ""), np.array([False, False, True])),
            "target: got no class in column 'y' in the rows to learn from",
        ),
        (
            lambda: NumberTarget("y", False, 0.0, 1.0, 0.0, low=2.0, high=1.0).refuse_senseless(
                "t"
            ),
            "t.low: got 2 above high 1",
        ),
        (
            lambda: ClassTarget("y", ("a", "b"), (0.5, 0.6)).refuse_senseless("t"),
            "t.shares: got 2 that add up to 1.1",
        ),
        (
            lambda: ClassTarget("y", ("a", "a"), (0.5, 0.5)).refuse_senseless("t"),
            "t.classes: got",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_classes_are_not_what_python_takes_for_numbers():
    names = ["1_1", "11", "11.0", "011", "1e1", "+3", "٣"]
    assert [class_name(name) for name in names] == [
        *("1_1", "11", "11", "11", "1e1", "3", "٣"),
    ]
