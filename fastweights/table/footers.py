"""Rows of sums below a table, which are no rows of it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from fastweights._json import shown
from fastweights.table.tables import Table

#: They are looked for among so many of the last rows.
_LAST = 3
_WORDS = re.compile(
    r"(grand |sub-?)?totals?\.?:?|sums?:?|summe:?|gesamt(summe)?:?|insgesamt:?|somme:?"
    r"|total général:?|averages?:?|mean:?|mittelwert:?|durchschnitt:?",
    re.IGNORECASE,
)


def without_sums(table: Table) -> tuple[Table, np.ndarray]:
    """The table without sums and averages in its last rows, and which rows are left, bool (rows,).

    A remark tells where there were any.

    Such a row has a cell that says so, ``Total``, with a word that no other row of its column has.
    """
    rows = len(table)
    said: dict[int, str] = {}
    for name, cells in table.columns.items():
        counts = None
        for row in range(max(1, rows - _LAST), rows):
            code = cells.codes[row]
            if code < 0 or row in said or not _WORDS.fullmatch(cells.texts[code]):
                continue
            counts = cells.counts() if counts is None else counts
            if counts[code] == 1:
                said[row] = f"{shown(cells.texts[code])} in column {shown(name)}"
    kept = np.ones(rows, dtype=bool)
    if not said or len(said) == rows:
        return table, kept
    kept[list(said)] = False
    words = ", ".join(said[row] for row in sorted(said))
    remark = f"{len(said)} of the last rows left out, as what they say is no row's: {words}"
    return replace(table.take(kept), remarks=(*table.remarks, remark)), kept
