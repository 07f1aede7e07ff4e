"""Free text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights.table.cells import Cells, number_text
from fastweights.table.columns.common import Marks, Oddity, odd_rows
from fastweights.table.columns.number import NumberColumn
from fastweights.table.numerals import MISSING, missing_word


@dataclass(frozen=True)
class TextColumn:
    """Free text: how long it is, in characters, and whether there is any; no word is looked at.

    Parameters
    ----------
    name : str
    length : NumberColumn
    """

    kind: ClassVar[str] = "text"
    name: str
    length: NumberColumn

    @classmethod
    def fit(cls, name: str, cells: Cells, bins: int = 32) -> TextColumn:
        """Learns from the cells (rows,), at least one of which holds a text."""
        return cls(name, NumberColumn.fit("length", _lengths(cells), bins))

    @property
    def features(self) -> list[str]:
        return [f"{self.name} {feature}" for feature in self.length.features]

    @property
    def pieces(self) -> list[bool]:
        """Which of the features are pieces of the encoding of the length."""
        return self.length.pieces

    def read(self, cells: Cells, marks: Marks) -> np.ndarray:
        """Characters of each cell, float64 (rows,), NaN where there is no text."""
        return _lengths(cells)

    def encode(self, lengths: np.ndarray, out: np.ndarray) -> None:
        """Writes features of lengths (rows,) to float32 (rows, features)."""
        self.length.encode(lengths, out)

    def oddities(self, cells: Cells, marks: Marks) -> list[Oddity]:
        """What of these cells training had nothing like."""
        if self.length.has_missing:
            return []
        fate = "missing texts, unlike in training, count as of median length"
        return odd_rows(fate, cells, np.isnan(_lengths(cells)))

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        if self.length.name != "length":
            got = self.length.name
            raise ValueError(_check.refusal(f"{where}.length.name", got, "length"))
        self.length.refuse_senseless(f"{where}.length")


def _lengths(cells: Cells) -> np.ndarray:
    texts = [np.nan if missing_word(t) in MISSING else float(len(t)) for t in cells.texts]
    lengths = cells.by_text(texts, np.nan)
    plain = np.isfinite(cells.values)
    lengths[plain] = [len(number_text(value)) for value in cells.values[plain].tolist()]
    return lengths
