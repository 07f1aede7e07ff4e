"""What a table says once it is read, as the readings of tests/tables/readings.toml ask for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fastweights.table import Preprocessor, Table, read
from fastweights.table.columns.common import Marks

FOLDER = Path(__file__).parent / "tables"

#: A number and a category besides.
BOTH = "both"


def kind_of(preprocessor: Preprocessor, name: str) -> str:
    """What kind a column was taken for; "dropped" where it is not used."""
    kinds = preprocessor.kinds.get(name, ("dropped",))
    return BOTH if kinds[:2] == ("number", "category") else kinds[0]


def encoded(preprocessor: Preprocessor, table: Table, name: str) -> np.ndarray:
    """The features of one column (rows, features of the column)."""
    return np.asarray(preprocessor.transform(table))[:, preprocessor.groups[name]]


def feature(preprocessor: Preprocessor, table: Table, name: str, words: str) -> np.ndarray:
    """The first feature of a column whose name has what the pattern asks for (rows,)."""
    for place in preprocessor.groups[name]:
        if re.search(words, preprocessor.features[place].removeprefix(name)):
            return np.asarray(preprocessor.transform(table))[:, place]
    raise AssertionError(f"{name}: no feature like {words!r} among {preprocessor.features}")


def numbers_of(table: Table, preprocessor: Preprocessor, name: str) -> np.ndarray:
    """The numbers that a column or the target holds (rows,), NaN where it holds none."""
    if name == preprocessor.target.name:
        values, known = preprocessor.truth(table)
        return np.where(known, values, np.nan)
    return read_as("number", table, preprocessor, name)


def read_as(kind: str, table: Table, preprocessor: Preprocessor, name: str) -> np.ndarray:
    """What a column of a kind takes from the cells (rows,): numbers, or seconds of dates."""
    column = next(c for c in preprocessor.columns if (c.name, c.kind) == (name, kind))
    return column.read(table[name], Marks.of(table))


def remarks_on(table: Table, preprocessor: Preprocessor) -> list[str]:
    """Everything that a user is told without having asked."""
    return [*table.remarks, *preprocessor.decisions]


def says(remarks: Iterable[str], pattern: str) -> bool:
    return any(re.search(pattern, remark, re.IGNORECASE) for remark in remarks)


class Reading:
    """One entry of the list: what is asked of a file, and whether it is so."""

    def __init__(self, entry: dict[str, Any]):
        self.entry = entry
        self.path = str(FOLDER / entry["file"])

    def __repr__(self) -> str:
        return f"{self.entry['file']}: {self.entry['about']}"

    @cached_property
    def table(self) -> Table:
        return read(self.path, **self.entry.get("read", {}))

    def read_and_fit(self) -> None:
        assert len(self.table)
        if "target" in self.entry:
            assert self.preprocessor.features

    @cached_property
    def preprocessor(self) -> Preprocessor:
        return Preprocessor.fit(self.table, self.entry["target"], **self.entry.get("fit", {}))

    def asked(self, key: str) -> Any:
        return self.entry.get(key, {}).items()

    # ---- the table -------------------------------------------------------------------------------

    def check_table(self) -> None:
        entry, table = self.entry, self.table
        assert len(table) == entry.get("rows", len(table))
        assert list(table.columns) == entry.get("names", list(table.columns))
        for mark in ("decimal", "thousands"):
            assert getattr(table, mark) == entry.get(mark, getattr(table, mark)), mark
        for name, cells in self.asked("cells"):
            for row, text in cells.items():
                assert table[name][int(row)] == text
        for pattern in entry.get("read_said", []):
            assert says(list(table.remarks), pattern), (pattern, table.remarks)

    def check_numbers(self, name: str, numbers: dict[str, float]) -> None:
        found = numbers_of(self.table, self.preprocessor, name)[[int(row) for row in numbers]]
        np.testing.assert_allclose(found, list(numbers.values()), rtol=1e-12, err_msg=name)

    # ---- the columns -----------------------------------------------------------------------------

    def check_columns(self) -> None:
        entry, table, preprocessor = self.entry, self.table, self.preprocessor
        dropped = preprocessor.dropped
        assert preprocessor.target.task == entry.get("task", preprocessor.target.task)
        for name, kind in self.asked("kinds"):
            found = kind_of(preprocessor, name)
            assert found in kind.split("|"), (name, found, dropped.get(name))
        for name, reason in self.asked("dropped"):
            assert kind_of(preprocessor, name) == "dropped", name
            assert re.search(reason, dropped[name], re.IGNORECASE), dropped[name]
        for name in entry.get("used", []):
            assert kind_of(preprocessor, name) != "dropped", dropped[name]
        for name in [*entry.get("not_numbers", []), *entry.get("not_dates", [])]:
            assert name in table.columns
        for name in entry.get("not_numbers", []):
            assert kind_of(preprocessor, name) not in ("number", BOTH), name
        for name, numbers in self.asked("numbers"):
            self.check_numbers(name, numbers)
        for name, numbers in self.asked("if_numbers"):
            if kind_of(preprocessor, name) in ("number", BOTH):
                self.check_numbers(name, numbers)
        for name in entry.get("not_dates", []):
            assert kind_of(preprocessor, name) != "date", name
        if entry.get("unused_rest"):
            assert {column.name for column in preprocessor.columns} == set(entry["kinds"])
        remarks = remarks_on(table, preprocessor)
        for pattern in entry.get("said", []):
            assert says(remarks, pattern), (pattern, remarks)
        for pattern in entry.get("unsaid", []):
            assert not says(remarks, pattern), (pattern, remarks)
        if entry.get("silent"):
            assert remarks == []

    # ---- the features ----------------------------------------------------------------------------

    def check_features(self) -> None:
        entry, table, preprocessor = self.entry, self.table, self.preprocessor
        for name, numbers in self.asked("numbers"):
            if name != entry["target"]:
                self.check_order(encoded(preprocessor, table, name)[:, 0], numbers)
        for name, dates in self.asked("dates"):
            elapsed = feature(preprocessor, table, name, "days|hour")
            self.check_order(elapsed, {row: when.isoformat() for row, when in dates.items()})
            seconds = read_as("date", table, preprocessor, name)[[int(row) for row in dates]]
            since = [(when - next(iter(dates.values()))).total_seconds() for when in dates.values()]
            np.testing.assert_allclose(seconds - seconds[0], since, atol=1e-3, err_msg=name)
        for name, rows in self.asked("missing"):
            assert (feature(preprocessor, table, name, "missing")[rows] == 1).all(), name
        for name, rows in self.asked("present"):
            names = [preprocessor.features[place] for place in preprocessor.groups[name]]
            if any("missing" in feature_name.removeprefix(name) for feature_name in names):
                assert (feature(preprocessor, table, name, "missing")[rows] == 0).all(), name
        for name, groups in self.asked("alike"):
            rows = encoded(preprocessor, table, name)
            for group in groups:
                assert (rows[group] == rows[group[0]]).all(), (name, group)
            firsts = np.unique(rows[[group[0] for group in groups]], axis=0)
            assert len(firsts) == len(groups), name
        for name in entry.get("spread", []):
            low, high = np.quantile(encoded(preprocessor, table, name)[:, 0], (0.25, 0.75))
            assert high - low > 0.3, (name, low, high)
        for name, patterns in self.asked("parts"):
            for pattern in patterns:
                feature(preprocessor, table, name, pattern)

    @staticmethod
    def check_order(features: np.ndarray, values: dict[str, Any]) -> None:
        """Features go up where the values do, and are the same where these are."""
        known = {int(row): value for row, value in values.items() if value == value}
        rows = sorted(known, key=lambda row: known[row])
        for one, other in itertools.pairwise(rows):
            assert (features[one] < features[other]) == (known[one] < known[other]), (one, other)
