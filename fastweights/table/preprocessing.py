"""From the cells of a table to the numbers of a network and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastweights import _check, _json
from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.columns import COLUMNS, CategoryColumn, Column, NumberColumn
from fastweights.table.columns.choosing import KINDS, Asked, Encoding, Note, choose
from fastweights.table.columns.common import Marks, Oddity, named, odd_rows
from fastweights.table.columns.target_mean import TargetMeanColumn
from fastweights.table.encoded import Encoded
from fastweights.table.leakage import equals_target
from fastweights.table.numerals import missing
from fastweights.table.restoring import (
    entries_of,
    list_of,
    reasons,
    refuse_repeats,
    restored,
    texts_of,
)
from fastweights.table.tables import Table
from fastweights.table.targets import ClassTarget, NumberTarget, find_task, left_out

FORMAT = 2
TARGETS = {kind.task: kind for kind in (NumberTarget, ClassTarget)}


@dataclass(frozen=True)
class Preprocessor:
    """What was learnt from a table's training rows: which columns to use and how to encode them.

    Parameters
    ----------
    columns : tuple of columns
        What the table's columns are used as, in its order; one may be used as several kinds.
    target : NumberTarget or ClassTarget
        The column to be predicted.
    dropped : dict of str to str
        The columns not used, each with the reason.
    notes : tuple of str
        What else was decided without being asked, in words.

    Examples
    --------
    >>> table = read("houses.csv")
    >>> preprocessor = Preprocessor.fit(table, "price")
    >>> x, y = preprocessor.transform(table), preprocessor.transform_target(table)
    >>> model.fit(x, y)
    >>> prices = preprocessor.inverse_transform(model.predict(x))
    """

    columns: tuple[Column, ...]
    target: NumberTarget | ClassTarget
    dropped: dict[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str,
        train: np.ndarray | None = None,
        task: str | None = None,
        kinds: Mapping[str, str] | None = None,
        *,
        log_target: bool | None = None,
        **choices: Any,
    ) -> Preprocessor:
        """Finds out what the columns are, and learns their statistics from the training rows.

        Parameters
        ----------
        table : Table
            All rows: what kind a column is, and which classes there are, is asked of all of them.
        target : str
            The column to be predicted.
        train : int array, optional
            The numbers of the training rows, which quantiles and categories come from; all rows
            unless given.
        task : {"regression", "classification"}, optional
            Found from the target's cells unless given.
        kinds : mapping of str to str, optional
            What columns are, by their names: "number", "category", "date" or "text"; "drop" to
            leave one out, "keep" to use one that looks like the name of a row.
        log_target : bool, optional
            Whether the network learns the logarithm of the target; found out unless given.
        **choices
            Those of `columns.choosing.Encoding`: bins, min_category_rows, max_categories,
            category_numbers, target_means.

        Raises
        ------
        TypeError
            No such choice.
        ValueError
            No such column or kind, a target that does not suit the task, a column that is not of
            the kind that it is said to be, or no column left to learn from.
        """
        encoding = Encoding.of(choices)
        kinds = _checked_kinds(table, target, kinds or {})
        chosen = np.zeros(len(table), dtype=bool)
        chosen[slice(None) if train is None else train] = True
        meaning = _meaning_of(table, target, chosen, task, log_target)
        truth, known = meaning.truth(table)
        outcomes = _outcomes(meaning, truth, known)
        columns: list[Column] = []
        dropped: dict[str, str] = {}
        notes = _target_notes(meaning, table[target], truth, known)
        twins = _Twins()
        for name, cells in table.columns.items():
            if name == target:
                continue
            kind = kinds.get(name)
            twin = None if kind else twins.of(cells)
            if twin is not None:
                dropped[name] = f"duplicate: the same as {shown(twin)}"
                continue
            found = choose(Asked(name, cells, chosen, Marks.of(table), encoding, outcomes), kind)
            notes += found.notes
            if not found.columns:
                dropped[name] = found.reason
                continue
            columns += found.columns
            twins.add(name, cells)
            if isinstance(found.columns[0], (NumberColumn, CategoryColumn)):
                values = found.columns[0].read(cells, Marks.of(table))[chosen & known]
                if equals_target(values, truth[chosen & known], isinstance(meaning, ClassTarget)):
                    notes.append(Note(_LEAK, f"column {shown(name)}"))
        if not columns:
            why = "; ".join(f"{shown(name)}: {why}" for name, why in list(dropped.items())[:5])
            raise ValueError(f"{table.source}: no column to learn from ({why or 'no other'})")
        unsaid = cls(tuple(columns), meaning, dropped)
        odd = unsaid.remarks(table if train is None else table.take(chosen))
        return cls(tuple(columns), meaning, dropped, (*_grouped(notes), *odd))

    @property
    def features(self) -> list[str]:
        """The names of the features, the columns of what `transform` returns."""
        return [feature for column in self.columns for feature in column.features]

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """The places of each column's features, int64 arrays, by the columns' names."""
        places: dict[str, list[int]] = {}
        end = 0
        for column in self.columns:
            begin, end = end, end + len(column.features)
            places.setdefault(column.name, []).extend(range(begin, end))
        return {name: np.array(found, dtype=np.int64) for name, found in places.items()}

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """What each column is used as, by its name: ``("number", "category")`` and the like."""
        found: dict[str, tuple[str, ...]] = {}
        for column in self.columns:
            found[column.name] = (*found.get(column.name, ()), column.kind)
        return found

    @property
    def decisions(self) -> list[str]:
        """What was decided without being asked, in words: columns not used, and `notes`."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.dropped.items():
            by_reason.setdefault(reason.partition(":")[0], []).append(name)
        unused = [
            f"{len(names)} columns are not used, {short}: {named(names)}"
            if len(names) > 1
            else f"column {shown(names[0])} is not used, {self.dropped[names[0]]}"
            for short, names in by_reason.items()
        ]
        return [*unused, *self.notes]

    @property
    def pieces(self) -> list[int]:
        """How many features of piecewise-linear encodings each column has that has some."""
        counts = (sum(column.pieces) for column in self.columns)
        return [count for count in counts if count]

    @property
    def input_shape(self) -> tuple[int]:
        """The shape of a row of features."""
        return (sum(len(column.features) for column in self.columns),)

    def encoded(self, table: Table, train: np.ndarray | None = None) -> Encoded:
        """The features of a table's rows, made when they are asked for, ``encoded[rows]``.

        Parameters
        ----------
        table : Table
        train : int array, optional
            The rows that this was fitted on, where the table is the one that it was fitted on:
            what a category's mean target is must not be known from a row's own.

        Raises ValueError where the table lacks a column.
        """
        self._refuse_lacking(table)
        marks = Marks.of(table)
        reads = [column.read(table[column.name], marks) for column in self.columns]
        means = [column for column in self.columns if isinstance(column, TargetMeanColumn)]
        if train is not None and means:
            truth, known = self.truth(table)
            outcomes = _outcomes(self.target, truth, known)
            rows = np.zeros(len(table), dtype=bool)
            rows[train] = True
            rows &= known
            for column in means:
                own = column.cross_fitted(table[column.name].take(rows), outcomes[rows])
                reads[self.columns.index(column)][rows] = own
        return Encoded(self.columns, reads)

    def transform(self, table: Table, train: np.ndarray | None = None) -> np.ndarray:
        """The features of all rows: float32 (rows, features); see `encoded`."""
        return self.encoded(table, train)[:]

    def _refuse_lacking(self, table: Table) -> None:
        lacking = [name for name in self.kinds if name not in table.columns]
        if lacking:
            near = {name: table.nearest(name) for name in lacking[:5]}
            names = ", ".join(
                f"{shown(name)} (is it {shown(close)}?)" if close else shown(name)
                for name, close in near.items()
            ) + ", ..." * (len(lacking) > 5)
            got = f"{len(lacking)} of the columns that the model uses"
            raise ValueError(f"{table.source}: lacks {got}: {names}")

    def remarks(self, table: Table) -> list[str]:
        """What is odd about the cells of a table that was not trained on, in words."""
        found: dict[str, list[tuple[int, str]]] = {}
        for name, oddities in self._oddities(table).items():
            for odd in oddities:
                words = f"{shown(odd.example)} in column {shown(name)}"
                found.setdefault(odd.fate, []).append((odd.rows, words))
        blank = [f"column {shown(name)}" for name in self._blank(table)]
        said = [_counted(fate, cases) for fate, cases in found.items()]
        return said + ([f"{_BLANK}: {_some(blank)}"] if blank else [])

    def alarms(self, table: Table) -> list[str]:
        """Of `remarks` those on columns that say hardly anything here, in words.

        More than half of the cells are not read as what the column is made of, all of those of
        categories (rare ones, of which training may have had many, count as unseen), or all of many
        are missing.
        """
        found: dict[str, list[str]] = {}
        for name, said in self._oddities(table).items():
            oddities = [odd for odd in said if not odd.read]
            count = sum(odd.rows for odd in oddities)
            is_all = count == len(table) > 0
            if is_all or (2 * count > len(table) and "category" not in self.kinds[name]):
                most = max(oddities, key=lambda odd: odd.rows)
                words = f"{shown(most.example)} in column {shown(name)}"
                found.setdefault(most.fate, []).append(words)
        for name in self._blank(table):
            found.setdefault(_BLANK, []).append(f"column {shown(name)}")
        return [f"{fate}: {_some(cases)}" for fate, cases in found.items()]

    def _oddities(self, table: Table) -> dict[str, list[Oddity]]:
        """What is odd about each column's cells."""
        self._refuse_lacking(table)
        speakers: dict[str, Column] = {}
        for column in self.columns:  # Of several kinds one speaks for a column.
            if column.name not in speakers or isinstance(column, TargetMeanColumn):
                speakers[column.name] = column
        marks = Marks.of(table)
        return {name: column.oddities(table[name], marks) for name, column in speakers.items()}

    def _blank(self, table: Table) -> list[str]:
        """The columns without any known cell, where that is no chance."""
        if len(table) < _MIN_BLANK_ROWS:
            return []
        return [name for name in self.kinds if missing(table[name]).all()]

    def truth(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The target in its own units, or the numbers of its classes; and where a row has one.

        Returns
        -------
        truth : float64 or int64 (rows,)
        known : bool (rows,)
        """
        return self.target.truth(table)

    def left_out(self, table: Table, known: np.ndarray) -> list[str]:
        """What is said of rows whose target is not `known`, as `truth` has it, in words."""
        target = self.target
        expected = "class that the model knows"
        if isinstance(target, NumberTarget):
            expected = "number above 0" if target.log else "number"
        return left_out(table, target.name, known, target.task, expected)

    def transform_target(self, table: Table) -> np.ndarray:
        """What the network learns: float64 (rows, 1), or int64 labels (rows,).

        Raises ValueError where a row has no target.
        """
        truth, known = self.truth(table)
        if not known.all():
            got = f"{(~known).sum()} cells without one in column {shown(self.target.name)}"
            raise ValueError(_check.refusal("target", got, "a target in every row"))
        return self.target.encode(truth)

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray:
        """A network's outputs as values (rows,) in the target's units, or probabilities."""
        return self.target.decode(outputs)

    def to_json(self) -> str:
        """All of it as JSON text, for a model file's metadata."""
        return json.dumps(
            {
                "format": FORMAT,
                "target": {"task": self.target.task, **asdict(self.target)},
                "columns": [{"kind": c.kind, **asdict(c)} for c in self.columns],
                "dropped": self.dropped,
                "notes": self.notes,
            }
        )

    @classmethod
    def from_json(cls, text: str, file_size: int = 0) -> Preprocessor:
        """The preprocessor that `to_json` wrote; ValueError where the text is anything else.

        `file_size` is that of the file that the text belongs to: a small one holds no huge table.
        """
        content = _json.loads("preprocessing", text, file_size)
        parts = ("format", "target", "columns", "dropped", "notes")
        found, target, columns, dropped, notes = entries_of("preprocessing", content, parts)
        if type(found) is not int or found != FORMAT:
            got = f"format {shown(found)}"
            raise ValueError(_check.refusal("preprocessing", got, f"format {FORMAT}"))
        preprocessor = cls(
            tuple(
                restored(f"preprocessing.columns[{place}]", COLUMNS, "kind", column)
                for place, column in enumerate(list_of("preprocessing.columns", columns))
            ),
            restored("preprocessing.target", TARGETS, "task", target),
            reasons("preprocessing.dropped", dropped),
            texts_of("preprocessing.notes", notes),
        )
        names = [*preprocessor.kinds]
        refuse_repeats(
            "preprocessing", [*names, preprocessor.target.name, *preprocessor.dropped], at_least=1
        )
        for name, kinds in preprocessor.kinds.items():
            refuse_repeats(f"preprocessing, column {shown(name)}", kinds, at_least=1)
        if not names:
            raise ValueError(_check.refusal("preprocessing.columns", "none", "at least one"))
        return preprocessor


#: Fewer cells are missing all at once by chance.
_MIN_BLANK_ROWS = 10
_BLANK = "no known cell, unlike in training"
_LEAK = "nearly says the target: is it known before the target is?"


def _checked_kinds(table: Table, target: str, kinds: Mapping[str, str]) -> dict[str, str]:
    for name, kind in kinds.items():
        table[name]
        _check.choice(f"kinds[{shown(name)}]", kind, KINDS)
        if name == target:
            expected = "columns to learn from; `task` says what the target is"
            raise ValueError(_check.refusal("kinds", f"the target {shown(name)}", expected))
    return dict(kinds)


def _meaning_of(
    table: Table, target: str, train: np.ndarray, task: str | None, log_target: bool | None
) -> NumberTarget | ClassTarget:
    task = find_task(table, target)[0] if task is None else task
    _check.choice("task", task, TARGETS)
    if task == "regression":
        return NumberTarget.fit(target, table, train, log_target)
    if log_target:
        got = f"the classes in column {shown(target)}"
        raise ValueError(_check.refusal("log_target", got, "a target of numbers"))
    return ClassTarget.fit(target, table, train)


def _outcomes(
    target: NumberTarget | ClassTarget, truth: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """What means are taken of, float64 (rows, outputs or 1); NaN where the target is not known."""
    if isinstance(target, ClassTarget):
        classes = np.arange(target.outputs)[-1 if target.outputs == 2 else 0 :]
        outcomes = (truth[:, np.newaxis] == classes).astype(np.float64)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            outcomes = target.encode(truth)[:, :1].astype(np.float64)
    outcomes[~known] = np.nan
    return outcomes


def _target_notes(
    target: NumberTarget | ClassTarget, cells: Cells, truth: np.ndarray, known: np.ndarray
) -> list[Note]:
    """What is to be said of a target: cells that say none, classes that hardly occur."""
    notes = []
    odd = odd_rows("", cells, ~known & ~missing(cells))
    for fate in odd:
        what = f"{shown(fate.example)} in column {shown(target.name)}"
        rows = "1 row is" if fate.rows == 1 else f"{fate.rows:,} rows are"
        notes.append(Note(f"{rows} not learnt from, whose target says none", what))
    if isinstance(target, ClassTarget):
        counts = np.bincount(truth[known], minlength=target.outputs)
        single = [shown(target.classes[place]) for place in np.flatnonzero(counts == 1)]
        notes += [Note("classes of one row are hardly learnt", name) for name in single]
    return notes


class _Twins:
    """The columns that are used, found by what they hold."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[str, Cells]] = {}

    @staticmethod
    def _key(cells: Cells) -> tuple[Any, ...]:
        sums = (zlib.crc32(np.ascontiguousarray(a).data) for a in (cells.values, cells.codes))
        return (*sums, cells.texts)

    def of(self, cells: Cells) -> str | None:
        """The name of a column with the same cells, where there is one."""
        name, other = self._known.get(self._key(cells), (None, None))
        if other is None or not np.array_equal(other.codes, cells.codes):
            return None
        return name if np.array_equal(other.values, cells.values, equal_nan=True) else None

    def add(self, name: str, cells: Cells) -> None:
        """Remembers a column."""
        self._known.setdefault(self._key(cells), (name, cells))


def _grouped(notes: list[Note]) -> list[str]:
    """Each sentence once, with some of the details that it is said of."""
    found: dict[str, list[str]] = {}
    for note in notes:
        found.setdefault(note.sentence, []).append(note.detail)
    return [f"{sentence}: {_some(details)}" for sentence, details in found.items()]


def _some(details: list[str]) -> str:
    """The first of these, and how many more there are."""
    more = f" and {len(details) - 3:,} more" if len(details) > 3 else ""
    return "; ".join(details[:3]) + more


def _counted(fate: str, cases: list[tuple[int, str]]) -> str:
    """What becomes of odd cells, the first of them, and how many more there are."""
    more = sum(count for count, _ in cases) - 1
    return f"{fate}: {cases[0][1]}" + (f" and {more:,} more" if more else "")
