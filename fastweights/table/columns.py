"""What the columns of a table mean, and how they become numbers for a network.

Each class holds what was learnt from the training rows and nothing else: its fields are what the
model file keeps, under the same names.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights._json import shown
from fastweights.table.cells import Cells

#: Cells that say that there is no value, in lower case.
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "?"))
#: Among numbers this word says it too; among categories it may be a kind of its own.
MISSING_NUMBER = MISSING | {"none"}

#: A category with fewer training rows is encoded like an unseen one.
MIN_CATEGORY_ROWS = 5
#: So many categories of a column are told apart, the commonest.
MAX_CATEGORIES = 200
#: From this skewness on the logarithm is taken of numbers that are never negative.
SKEWED = 1.0
#: Standardised numbers are held within this, so that no single cell throws the network off.
LIMIT = 10.0


def missing(cells: Cells) -> np.ndarray:
    """Where a cell says that there is no value: bool (rows,)."""
    return cells.by_text([text.lower() in MISSING for text in cells.texts], False)


def numbers(cells: Cells, decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
    """The numbers in cells.

    Returns
    -------
    values : float64 (rows,)
        NaN where the cell is missing, infinite or no number.
    strange : bool (rows,)
        Where the cell holds text that is no number.
    """
    read = [_number(text, decimal) for text in cells.texts]
    of_texts = cells.by_text([np.nan if value is None else value for value in read], np.nan)
    strange = cells.by_text([value is None for value in read], False)
    return np.where(cells.codes < 0, cells.values, of_texts), strange


def _number(cell: str, decimal: str) -> float | None:
    """The number in a cell, NaN where it is missing or infinite, None where it is text."""
    try:
        value = float(cell.replace(decimal, "."))
    except ValueError:
        return np.nan if cell.lower() in MISSING_NUMBER else None
    if "_" in cell:  # Python's spelling of 1000 as 1_000.
        return None
    return value if math.isfinite(value) else np.nan


def mean_and_scale(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 1 where all values are the same."""
    peak = float(np.abs(values).max())
    if values.min() == values.max():
        return float(values[0]), 1.0
    small = values / peak  # Squares of huge numbers would overflow.
    return peak * float(small.mean()), peak * float(small.std()) or 1.0


def standardised(values: np.ndarray, mean: float, scale: float) -> np.ndarray:
    """``(values - mean) / scale``, where the difference alone might overflow."""
    with np.errstate(over="ignore"):
        return values / scale - mean / scale


def skewness(values: np.ndarray) -> float:
    """The third moment of standardised values."""
    centred = standardised(values, *mean_and_scale(values))
    return float(np.mean(centred**3))


@dataclass(frozen=True)
class NumberColumn:
    """Numbers, standardised; where training cells were missing, a second feature says so.

    A missing number becomes the training mean, which is 0.
    """

    kind: ClassVar[str] = "number"
    name: str
    log: bool
    mean: float
    scale: float
    has_missing: bool

    @classmethod
    def fit(cls, name: str, values: np.ndarray) -> NumberColumn:
        """Learns from float64 values (rows,), NaN where missing, at least one of them present."""
        known = np.isfinite(values)
        present = values[known]
        log = bool(
            present.min() >= 0
            and skewness(present) > SKEWED
            and abs(skewness(np.log1p(present))) < skewness(present)
        )
        mean, scale = mean_and_scale(np.log1p(present) if log else present)
        return cls(name, log, mean, scale, not known.all())

    @property
    def features(self) -> list[str]:
        return [self.name, f"{self.name} missing"] if self.has_missing else [self.name]

    def encode(self, cells: Cells, decimal: str) -> np.ndarray:
        """Cells to float64 (rows, 1 or 2)."""
        values, _ = numbers(cells, decimal)
        absent = np.isnan(values)
        if self.log:
            values = np.log1p(np.maximum(values, 0.0))
        encoded = np.clip(standardised(values, self.mean, self.scale), -LIMIT, LIMIT)
        encoded[absent] = 0.0
        return np.stack([encoded, absent] if self.has_missing else [encoded], axis=1)

    def oddities(self, cells: Cells, decimal: str) -> dict[str, list[str]]:
        """Cells that training had nothing like, by what becomes of them."""
        values, strange = numbers(cells, decimal)
        new = np.isnan(values) & ~strange & (not self.has_missing)
        return {
            "text among numbers counts as missing": list(cells.take(strange)),
            "missing numbers, unlike in training, count as the mean": list(cells.take(new)),
        }


@dataclass(frozen=True)
class CategoryColumn:
    """Categories, one feature each, 1 where a row is of that category and 0 elsewhere.

    A missing cell is a category too, the empty one. Rare and unseen categories are all zeros.
    """

    kind: ClassVar[str] = "category"
    name: str
    categories: tuple[str, ...]

    @classmethod
    def fit(cls, name: str, cells: Cells) -> CategoryColumn:
        """Learns the categories that enough of the cells (rows,) hold."""
        counts = Counter(cls._texts(cells)).most_common(MAX_CATEGORIES)
        enough = min(MIN_CATEGORY_ROWS, max(1, len(cells) // 20))
        return cls(name, tuple(sorted(text for text, count in counts if count >= enough)))

    @staticmethod
    def _texts(cells: Cells) -> list[str]:
        return ["" if gone else cell for cell, gone in zip(cells, missing(cells), strict=True)]

    @property
    def features(self) -> list[str]:
        return [f"{self.name}={category or 'missing'}" for category in self.categories]

    def encode(self, cells: Cells, decimal: str) -> np.ndarray:
        """Cells to float64 (rows, categories)."""
        place = {category: number for number, category in enumerate(self.categories)}
        encoded = np.zeros((len(cells), len(place)))
        for row, text in enumerate(self._texts(cells)):
            if text in place:
                encoded[row, place[text]] = 1.0
        return encoded

    def oddities(self, cells: Cells, decimal: str) -> dict[str, list[str]]:
        """Cells that training had nothing like, by what becomes of them."""
        unknown = [text for text in self._texts(cells) if text not in self.categories]
        return {"rare or unseen categories count as none": unknown}


def fit_column(
    name: str, cells: Cells, train: np.ndarray, decimal: str
) -> NumberColumn | CategoryColumn | str:
    """The meaning of a column of features; or why it is of no use, in words.

    Its kind is asked of all cells, what it learns comes from those where ``train``, bool (rows,),
    is set.
    """
    values, strange = numbers(cells, decimal)
    absent = missing(cells) if strange.any() else np.isnan(values)
    if absent[train].all():
        return "it has no values"
    if len(set(cells.take(train & ~absent))) == 1 and not absent[train].any():
        return f"it is always {shown(cells.take(train)[0])}"
    if not strange.any():
        counts_rows = len(values) > 2 and values[0] in (0, 1) and (np.diff(values) == 1).all()
        return "it numbers the rows" if counts_rows else NumberColumn.fit(name, values[train])
    texts = cells.take(~absent)
    distinct = len(set(texts))
    if distinct > max(2, len(texts) / 2):
        return f"it is text that hardly repeats, {distinct} different ones in {len(texts)} cells"
    column = CategoryColumn.fit(name, cells.take(train))
    return column if column.categories else "none of its categories is common"
