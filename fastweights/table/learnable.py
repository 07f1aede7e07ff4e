"""The rows of a table that can be learnt from: those whose target says what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastweights._json import shown
from fastweights.table.footers import without_sums
from fastweights.table.tables import Table
from fastweights.table.targets import find_task, has_target, left_out, refuse_one_class


@dataclass(frozen=True)
class Learnable:
    """The rows of a table that have a target, and what it is.

    ``kept``, bool, says which of the table's rows these are.
    """

    table: Table
    task: str
    kept: np.ndarray
    remarks: tuple[str, ...]


def learnable(table: Table, target: str, task: str | None = None) -> Learnable:
    """The rows of a table that have a target; ValueError where its cells do not suit the task."""
    table, kept = without_sums(table)
    remarks = [*table.remarks]
    if task is None:
        task, reason = find_task(table, target)
        remarks.append(f"target {shown(target)}: {task}, {reason}")
    known = has_target(table, target, task)
    if task == "classification":
        refuse_one_class(table, target, known)
    if not known.all():
        remarks += left_out(table, target, known, task)
        table = table.take(known)
    kept[kept] = known
    return Learnable(table, task, kept, tuple(remarks))


def rows_in_words(count: int) -> str:
    """``1 row``, ``2,930 rows``."""
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
