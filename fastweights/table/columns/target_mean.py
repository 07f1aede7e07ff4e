"""Categories that are too many for a feature each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights._core import philox
from fastweights.table.cells import Cells
from fastweights.table.columns.category import Levels, key_of, refuse_one_key, spellings
from fastweights.table.columns.common import Marks, Oddity, odd_rows

#: A category's mean counts as much as its rows do, the mean of all as much as so many.
PRIOR_ROWS = 10.0
FOLDS = 5
#: So many categories are kept, the commonest: a model file is no copy of the table.
MOST = 5000


@dataclass(frozen=True)
class TargetMeanColumn:
    """What the target is on the average in the rows of a category.

    One feature for numbers, and one a class (one for two classes). The mean is drawn towards that
    of all rows, ``(sum + 10 * mean of all) / (rows + 10)``, and given as a multiple of how much
    these means vary. A training row is told the mean of the rows of other folds: it does not see
    its own target (Micci-Barreca, A Preprocessing Scheme for High-Cardinality Categorical
    Attributes, 2001). A category that training did not have is 0, the mean of all.

    Parameters
    ----------
    name : str
    categories : tuple of str
    means : tuple of tuple of float
        Of each category, for each feature, as `encode` writes them.
    prior, scale : tuple of float
        The mean of all rows and the unit of the features, for each.
    """

    kind: ClassVar[str] = "target_mean"
    name: str
    categories: tuple[str, ...]
    means: tuple[tuple[float, ...], ...]
    prior: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, name: str, cells: Cells, outcomes: np.ndarray) -> TargetMeanColumn:
        """Learns from cells (rows,) and float64 outcomes (rows, features), all finite."""
        levels = Levels.of(cells)
        counts = levels.counts(np.ones(len(cells), dtype=bool))
        prior = outcomes.mean(axis=0)
        means = _smoothed(_sums(levels.codes, outcomes, len(counts)), counts, prior) - prior
        scale = np.sqrt(np.average(means**2, axis=0, weights=counts))
        scale[scale == 0.0] = 1.0
        common = np.argsort(-counts, kind="stable")[:MOST]
        common = common[counts[common] > 0]
        written = spellings(cells)
        keys = [levels.keys[place] for place in common]
        texts = tuple(written[key][0] if key and key in written else key for key in keys)
        rows = tuple(tuple(row) for row in (means / scale)[common].tolist())
        return cls(name, texts, rows, tuple(prior.tolist()), tuple(scale.tolist()))

    @property
    def features(self) -> list[str]:
        if len(self.prior) == 1:
            return [f"{self.name} target mean"]
        return [f"{self.name} target mean {place}" for place in range(len(self.prior))]

    def _places(self, cells: Cells) -> np.ndarray:
        return Levels.of(cells).places([key_of(category) for category in self.categories])

    @property
    def pieces(self) -> list[bool]:
        """None of the features is a piece of an encoding."""
        return [False] * len(self.features)

    def read(self, cells: Cells, marks: Marks) -> np.ndarray:
        """What the target is in rows of the cells' categories: float64 (rows, features)."""
        means = np.array([*self.means, (0.0,) * len(self.prior)])
        return means[self._places(cells)]

    def cross_fitted(self, cells: Cells, outcomes: np.ndarray) -> np.ndarray:
        """The same for the training rows themselves, from the other folds' targets."""
        levels = Levels.of(cells)
        rows = len(cells)
        order = np.empty(rows, dtype=np.int64)
        philox.permutation(order, 0, philox.STREAM_SPLIT)
        fold = np.empty(rows, dtype=np.intp)
        fold[order] = np.arange(rows) % FOLDS
        cell = levels.codes * FOLDS + fold
        size = len(levels.keys)
        sums = _sums(cell, outcomes, size * FOLDS).reshape(size, FOLDS, -1)
        counts = np.bincount(cell, minlength=size * FOLDS).reshape(size, FOLDS)
        others = _of_other_folds(sums).reshape(size * FOLDS, -1)
        prior = np.array(self.prior)
        means = _smoothed(others, _of_other_folds(counts).reshape(-1), prior)
        return ((means - prior) / self.scale)[cell]

    def encode(self, means: np.ndarray, out: np.ndarray) -> None:
        """Writes features of what was read, (rows, features), to float32."""
        out[:] = means

    def oddities(self, cells: Cells, marks: Marks) -> list[Oddity]:
        """What of these cells training had nothing like."""
        unseen = self._places(cells) < 0
        return odd_rows("unseen categories count as the mean of all", cells, unseen)

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        refuse_one_key(f"{where}.categories", [key_of(category) for category in self.categories])
        width = len(self.prior)
        if not width or len(self.scale) != width or min(self.scale) <= 0.0:
            got, expected = f"{len(self.scale)} for {width} means", "one above 0 for each mean"
            raise ValueError(_check.refusal(f"{where}.scale", got, expected))
        if len(self.means) != len(self.categories) or {*map(len, self.means)} != {width}:
            got = f"{len(self.means)} for {len(self.categories)} categories"
            expected = f"{width} numbers for each category"
            raise ValueError(_check.refusal(f"{where}.means", got, expected))
        if np.abs(self.means).max() > np.finfo(np.float32).max:
            got = f"{np.abs(self.means).max():g}"
            raise ValueError(_check.refusal(f"{where}.means", got, "numbers of float32"))


def _sums(codes: np.ndarray, outcomes: np.ndarray, size: int) -> np.ndarray:
    """The sums of outcomes (rows, features) by code: (size, features)."""
    columns = [np.bincount(codes, column, minlength=size) for column in outcomes.T]
    return np.stack(columns, axis=1)


def _of_other_folds(sums: np.ndarray) -> np.ndarray:
    """For each fold of (keys, folds, ...) the sum of the others: no difference, which rounds."""
    others = [np.delete(sums, fold, axis=1).sum(axis=1) for fold in range(FOLDS)]
    return np.stack(others, axis=1)


def _smoothed(sums: np.ndarray, counts: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return (sums + PRIOR_ROWS * prior) / (counts[:, np.newaxis] + PRIOR_ROWS)
