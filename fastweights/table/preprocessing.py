"""From the cells of a table to the numbers of a network and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from fastweights import _check, _json
from fastweights._json import shown
from fastweights.table.columns import CategoryColumn, NumberColumn, fit_column
from fastweights.table.restoring import (
    entries_of,
    list_of,
    reasons,
    refuse_repeats,
    restored,
)
from fastweights.table.tables import Table
from fastweights.table.targets import ClassTarget, NumberTarget, find_task

FORMAT = 1
COLUMNS = {kind.kind: kind for kind in (NumberColumn, CategoryColumn)}
TARGETS = {kind.task: kind for kind in (NumberTarget, ClassTarget)}


@dataclass(frozen=True)
class Preprocessor:
    """What was learnt from a table's training rows: which columns to use and how to encode them.

    Parameters
    ----------
    columns : tuple of NumberColumn or CategoryColumn
        The columns used, in the table's order.
    target : NumberTarget or ClassTarget
        The column to be predicted.
    dropped : dict of str to str
        The columns not used, each with the reason.

    Examples
    --------
    >>> table = read("houses.csv")
    >>> preprocessor = Preprocessor.fit(table, "price")
    >>> x, y = preprocessor.transform(table), preprocessor.transform_target(table)
    >>> model.fit(x, y)
    >>> prices = preprocessor.inverse_transform(model.predict(x))
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    target: NumberTarget | ClassTarget
    dropped: dict[str, str]

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str,
        train: np.ndarray | None = None,
        task: str | None = None,
        log_target: bool | None = None,
    ) -> Preprocessor:
        """Finds out what the columns are, and learns their statistics from the training rows.

        Parameters
        ----------
        table : Table
            All rows: what kind a column is, and which classes there are, is asked of all of them.
        target : str
            The column to be predicted.
        train : int array, optional
            The numbers of the training rows, which means, scales and categories come from; all
            rows unless given.
        task : {"regression", "classification"}, optional
            Found from the target's cells unless given.
        log_target : bool, optional
            Whether the network learns the logarithm of the target; found out unless given.

        Raises
        ------
        ValueError
            No such column, a target that does not suit the task, or no column left to learn from.
        """
        cells = table[target]
        task = find_task(cells, table.decimal)[0] if task is None else task
        _check.choice("task", task, TARGETS)
        chosen = np.zeros(len(table), dtype=bool)
        chosen[slice(None) if train is None else train] = True
        if task == "classification":
            if log_target:
                got = f"the classes in column {shown(target)}"
                raise ValueError(_check.refusal("log_target", got, "a target of numbers"))
            meaning: NumberTarget | ClassTarget = ClassTarget.fit(target, cells, chosen)
        else:
            meaning = NumberTarget.fit(target, cells, chosen, table.decimal, log_target)
        columns, dropped = [], {}
        for name, cells in table.columns.items():
            if name == target:
                continue
            column = fit_column(name, cells, chosen, table.decimal)
            if isinstance(column, str):
                dropped[name] = column
            else:
                columns.append(column)
        if not columns:
            reasons = "; ".join(f"{shown(name)}: {why}" for name, why in list(dropped.items())[:5])
            raise ValueError(f"{table.source}: no column to learn from ({reasons or 'no other'})")
        return cls(tuple(columns), meaning, dropped)

    @property
    def features(self) -> list[str]:
        """The names of the features, the columns of what `transform` returns."""
        return [feature for column in self.columns for feature in column.features]

    @property
    def input_shape(self) -> tuple[int]:
        """The shape of a row of features."""
        return (len(self.features),)

    def transform(self, table: Table) -> np.ndarray:
        """The features: float64 (rows, features). ValueError where the table lacks a column."""
        lacking = [column.name for column in self.columns if column.name not in table.columns]
        if lacking:
            near = {name: table.nearest(name) for name in lacking[:5]}
            names = ", ".join(
                f"{shown(name)} (is it {shown(close)}?)" if close else shown(name)
                for name, close in near.items()
            ) + ", ..." * (len(lacking) > 5)
            got = f"{len(lacking)} of the columns that the model uses"
            raise ValueError(f"{table.source}: lacks {got}: {names}")
        blocks = [column.encode(table[column.name], table.decimal) for column in self.columns]
        return np.concatenate(blocks, axis=1)

    def remarks(self, table: Table) -> list[str]:
        """What is odd about the cells of a table that was not trained on, in words."""
        found: dict[str, list[str]] = {}
        for column in self.columns:
            oddities = column.oddities(table[column.name], table.decimal)
            for fate, cells in oddities.items():
                words = [f"{shown(cell)} in column {shown(column.name)}" for cell in cells]
                found.setdefault(fate, []).extend(words)
        return [
            f"{fate}: {words[0]}" + (f" and {len(words) - 1:,} more" if len(words) > 1 else "")
            for fate, words in found.items()
            if words
        ]

    def truth(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The target in its own units, or the numbers of its classes; and where a row has one.

        Returns
        -------
        truth : float64 or int64 (rows,)
        known : bool (rows,)
        """
        return self.target.truth(table[self.target.name], table.decimal)

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
            }
        )

    @classmethod
    def from_json(cls, text: str, file_size: int = 0) -> Preprocessor:
        """The preprocessor that `to_json` wrote; ValueError where the text is anything else.

        `file_size` is that of the file that the text belongs to: a small one holds no huge table.
        """
        content = _json.loads("preprocessing", text, file_size)
        parts = ("format", "target", "columns", "dropped")
        found, target, columns, dropped = entries_of("preprocessing", content, parts)
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
        )
        names = [column.name for column in preprocessor.columns]
        refuse_repeats(
            "preprocessing", [*names, preprocessor.target.name, *preprocessor.dropped], at_least=1
        )
        if not names:
            raise ValueError(_check.refusal("preprocessing.columns", "none", "at least one"))
        return preprocessor
