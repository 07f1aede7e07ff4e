"""What the target column of a table means: a number to be estimated, or one of several classes.

Both kinds offer the same: `truth` reads cells, `encode` makes of the truth what a network learns,
`decode` makes of a network's outputs what a person reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.numerals import missing, numbers
from fastweights.table.standardising import SKEWED, mean_and_scale, skewness, standardised

#: So many different whole numbers, and so many rows for each, still are classes.
MAX_NUMBERED_CLASSES = 20
MIN_ROWS_A_CLASS = 20


@dataclass(frozen=True)
class NumberTarget:
    """A target to be estimated: standardised, after its logarithm where ``log`` is set.

    ``baseline`` is the trivial estimate, the mean of the training rows in the target's own units.
    No estimate is below the lowest or above the highest of the training rows: ``low``, ``high``.
    """

    task: ClassVar[str] = "regression"
    name: str
    log: bool
    mean: float
    scale: float
    baseline: float
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def fit(
        cls,
        name: str,
        cells: Cells,
        train: np.ndarray,
        decimal: str = ".",
        log: bool | None = None,
    ) -> NumberTarget:
        """Learns from the cells where ``train``, bool (rows,), is set.

        Whether the logarithm is learnt is found out unless it is given: of a target above 0 that is
        skewed to the right, where the logarithm halves the skewness.

        Raises ValueError where any cell is text, or not above 0 though ``log`` is set.
        """
        values, strange = numbers(cells, decimal)
        if strange.any():
            got = f"{shown(cells.take(strange)[0])} in column {shown(name)}"
            raise ValueError(_check.refusal("target", got, "numbers, as the task is regression"))
        known = np.isfinite(values)
        if log and values[known].min() <= 0:
            got = f"{values[known].min():g} in column {shown(name)}"
            raise ValueError(_check.refusal("log_target", got, "a target above 0 in every row"))
        above_0 = values[known].min() > 0
        values = values[known & train]
        log = bool(above_0 and _is_evened_by_log(values)) if log is None else log
        mean, scale = mean_and_scale(np.log(values) if log else values)
        bounds = float(values.min()), float(values.max())
        return cls(name, log, mean, scale, mean_and_scale(values)[0], *bounds)

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return 1

    def truth(self, cells: Cells, decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
        """The values in cells (rows,), float64, and where there is one, bool."""
        values, _ = numbers(cells, decimal)
        return values, np.isfinite(values) & (values > 0 if self.log else True)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values in the target's units (rows,) to what the network learns, float64 (rows, 1)."""
        values = np.log(values) if self.log else values
        return standardised(values, self.mean, self.scale)[:, np.newaxis]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The network's outputs to float64 values in the target's units.

        Of shape (rows,) for outputs (rows, 1); of several, such as quantiles, as they are.
        """
        values = outputs.astype(np.float64) * self.scale + self.mean
        if self.log:
            values = np.exp(np.minimum(values, np.log(np.finfo(np.float64).max)))
        values = np.clip(values, self.low, self.high)
        return values[:, 0] if values.shape[1] == 1 else values


def _is_evened_by_log(values: np.ndarray) -> bool:
    """Whether positive values are skewed to the right, and their logarithms half as much."""
    skew = skewness(values)
    return skew > SKEWED and abs(skewness(np.log(values))) < skew / 2


@dataclass(frozen=True)
class ClassTarget:
    """A target that is one of several classes; the network gives the probability of each.

    ``shares`` are the classes' shares of the training rows; the commonest class is the trivial
    estimate.
    """

    task: ClassVar[str] = "classification"
    name: str
    classes: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, name: str, cells: Cells, train: np.ndarray) -> ClassTarget:
        """Learns the classes from all cells, their shares where ``train``, bool (rows,), is set.

        Raises ValueError where the cells hold one class only, or hardly the same one twice.
        """
        names = {class_name(cell) for cell in cells.take(~missing(cells))}
        if len(names) < 2:
            got = f"{len(names)} class in column {shown(name)}"
            raise ValueError(_check.refusal("target", got, "at least two classes"))
        if len(names) > max(MAX_NUMBERED_CLASSES, len(cells) // 2):
            got = f"{len(names)} different cells among {len(cells)} in column {shown(name)}"
            raise ValueError(_check.refusal("target", got, "numbers, or classes that repeat"))
        unfitted = cls(name, tuple(sorted(names, key=_numbers_first)), ())
        labels, known = unfitted.truth(cells)
        counts = np.bincount(labels[known & train], minlength=len(names))
        return cls(name, unfitted.classes, tuple((counts / counts.sum()).tolist()))

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return len(self.classes)

    def truth(self, cells: Cells, decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
        """The places of the cells' classes (rows,), int64, and where there is one, bool."""
        place = {label: number for number, label in enumerate(self.classes)}
        found = np.array([place.get(class_name(cell), -1) for cell in cells], dtype=np.int64)
        labels = np.where(missing(cells), -1, found)
        return labels, labels >= 0

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Labels are what the network learns: int64 (rows,)."""
        return labels

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The network's outputs to float64 probabilities (rows, classes)."""
        return outputs.astype(np.float64)


def find_task(cells: Cells, decimal: str = ".") -> tuple[str, str]:
    """``"regression"`` or ``"classification"``, and why, in words."""
    values, strange = numbers(cells, decimal)
    if strange.any():
        return "classification", f"its cells are text, such as {shown(cells.take(strange)[0])}"
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    whole = bool((distinct == np.round(distinct)).all())
    few = len(distinct) <= min(MAX_NUMBERED_CLASSES, len(known) / MIN_ROWS_A_CLASS)
    if whole and (few or len(distinct) == 2):
        return "classification", f"it holds {len(distinct)} different whole numbers"
    return "regression", f"it holds {len(distinct):,} different numbers"


def has_target(cells: Cells, task: str, decimal: str = ".") -> np.ndarray:
    """Where a cell of the target column is not missing: bool (rows,)."""
    if task == "classification":
        return ~missing(cells)
    values, strange = numbers(cells, decimal)
    return np.isfinite(values) | strange


def class_name(cell: str) -> str:
    """The class that a cell names: its text, but ``1``, ``1.0`` and ``01`` are the same class."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return str(int(value)) if value.is_integer() else cell


def _numbers_first(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return np.inf, text
