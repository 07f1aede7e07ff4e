"""What the target column of a table means: a number to be estimated, or one of several classes.

Both kinds offer the same: `truth` reads cells, `encode` makes of the truth what a network learns,
`decode` makes of a network's outputs what a person reads.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells, number_text, plain_number
from fastweights.table.columns.category import key_of
from fastweights.table.columns.common import odd_rows
from fastweights.table.dates import order_of, read_moments
from fastweights.table.numerals import MISSING, MISSING_NUMBER, Numbers, missing_word, read_numbers
from fastweights.table.standardising import SKEWED, mean_and_scale, skewness, standardised
from fastweights.table.tables import Table

#: So many different whole numbers, and so many rows for each, still are classes.
MAX_NUMBERED_CLASSES = 20
MIN_ROWS_A_CLASS = 20
#: Such a share of the cells that hold something makes the target numbers; the others are missing.
ENOUGH_NUMBERS = 0.9
#: Says that there is no value, but where ``+`` is a class.
MINUS = "-"
#: A whole number, however it is written.
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")


@dataclass(frozen=True)
class NumberTarget:
    """A target to be estimated: standardised, after its logarithm where ``log`` is set.

    ``baseline`` is the trivial estimate, the mean of the training rows in the target's own units.
    No estimate is below the lowest or above the highest of the training rows: ``low``, ``high``.
    ``unit`` is what is written behind its numbers, such as ``kg``; where they ``are_shares``, 35 %
    is 0.35.
    """

    task: ClassVar[str] = "regression"
    name: str
    log: bool
    mean: float
    scale: float
    baseline: float
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    are_shares: bool = False

    @classmethod
    def fit(
        cls, name: str, table: Table, train: np.ndarray, log: bool | None = None
    ) -> NumberTarget:
        """Learns from the rows of a table where ``train``, bool (rows,), is set.

        Whether the logarithm is learnt is found out unless it is given: of a target above 0 that is
        skewed to the right, where the logarithm halves the skewness.

        Raises ValueError where more than a tenth of the cells are text, or one is not above 0
        though ``log`` is set.
        """
        read = _numbers_of(table, name)
        known = np.isfinite(read.values)
        values = read.values[known & train]
        if not len(values):
            got = f"no number in column {shown(name)} in the rows to learn from"
            raise ValueError(_check.refusal("target", got, "at least one"))
        least = float(read.values[known].min())
        if log and least <= 0:
            got = f"{least:g} in column {shown(name)}"
            raise ValueError(_check.refusal("log_target", got, "a target above 0 in every row"))
        log = bool(least > 0 and _is_evened_by_log(values)) if log is None else log
        mean, scale = mean_and_scale(np.log(values) if log else values)
        bounds = float(values.min()), float(values.max())
        return cls(
            name, log, mean, scale, mean_and_scale(values)[0], *bounds, read.unit, read.are_shares
        )

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return 1

    def truth(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The values in a table's rows (rows,), float64, and where there is one, bool."""
        form = (table.decimal, table.thousands, self.unit, self.are_shares)
        values = read_numbers(table[self.name], *form).values
        with np.errstate(invalid="ignore"):
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

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        _check.number(f"{where}.scale", self.scale, above=0.0)
        if not math.isfinite(self.mean / self.scale):
            got = f"mean {self.mean:g}, scale {self.scale:g}"
            raise ValueError(_check.refusal(where, got, "a scale that suits the mean"))
        if not self.low <= self.high:
            got, expected = f"{self.low:g} above high {self.high:g}", "at most high"
            raise ValueError(_check.refusal(f"{where}.low", got, expected))


def _numbers_of(table: Table, name: str) -> Numbers:
    """The numbers in a column; ValueError where more than a tenth of its cells are text."""
    cells = table[name]
    read = read_numbers(cells, table.decimal, table.thousands)
    if read.strange.any() and not _are_numbers(cells, read):
        got = f"{shown(cells.texts[int(read.strange.argmax())])} in column {shown(name)}"
        raise ValueError(_check.refusal("target", got, "numbers, as the task is regression"))
    return read


def _is_evened_by_log(values: np.ndarray) -> bool:
    """Whether positive values are skewed to the right, and their logarithms half as much."""
    skew = skewness(values)
    return skew > SKEWED and abs(skewness(np.log(values))) < skew / 2


@dataclass(frozen=True)
class ClassTarget:
    """A target that is one of several classes; the network gives the probability of each.

    ``shares`` are the classes' shares of the training rows; the commonest class is the trivial
    estimate. Texts that differ in case and spaces alone, or are words for true and false where all
    are, name one class; so do ``1``, ``1.0`` and ``01``.
    """

    task: ClassVar[str] = "classification"
    name: str
    classes: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def labels(self) -> np.ndarray:
        """The classes as a frame has them (classes,): int64 or float64 where all are numbers,
        bool where they are ``True`` and ``False``, else objects, their texts."""
        numbers = np.array([plain_number(label) for label in self.classes])
        if np.isfinite(numbers).all():
            whole = (numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**53
            return numbers.astype(np.int64) if whole else numbers
        if set(self.classes) == {"True", "False"}:
            return np.array([label == "True" for label in self.classes])
        return np.array(self.classes, dtype=object)

    @classmethod
    def fit(cls, name: str, table: Table, train: np.ndarray) -> ClassTarget:
        """Learns the classes from all rows, their shares where ``train``, bool (rows,), is set.

        Raises ValueError where the cells hold one class only, or hardly the same one twice.
        """
        cells = table[name]
        known = has_target(table, name, cls.task)
        refuse_one_class(table, name, known)
        counts = _class_counts(cells.take(known))
        if len(counts) > max(MAX_NUMBERED_CLASSES, len(cells) // 2):
            got = f"{len(counts)} different cells among {len(cells)} in column {shown(name)}"
            raise ValueError(_check.refusal("target", got, "numbers, or classes that repeat"))
        classes = sorted((_commonest(texts) for texts in counts.values()), key=_numbers_first)
        unfitted = cls(name, tuple(classes), ())
        labels, known = unfitted.truth(table)
        rows = np.bincount(labels[known & train], minlength=len(classes))
        if not rows.any():
            got = f"no class in column {shown(name)} in the rows to learn from"
            raise ValueError(_check.refusal("target", got, "at least one"))
        return cls(name, unfitted.classes, tuple((rows / rows.sum()).tolist()))

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return len(self.classes)

    def truth(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """The places of the rows' classes (rows,), int64, and where there is one, bool."""
        truths = all(_is_truth(label) for label in self.classes)
        place = {_class_key(label, truths): number for number, label in enumerate(self.classes)}
        cells = table[self.name]
        different, inverse = np.unique(cells.values[cells.codes < 0], return_inverse=True)
        texts = [*cells.texts, *(number_text(value) for value in different.tolist())]
        codes = cells.codes.astype(np.intp)
        codes[cells.codes < 0] = inverse + len(cells.texts)
        found = [place.get(_class_key(text, truths), -1) for text in texts]
        labels = np.array(found, dtype=np.int64)[codes]
        return labels, labels >= 0

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Labels are what the network learns: int64 (rows,)."""
        return labels

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The network's outputs to float64 probabilities (rows, classes)."""
        return outputs.astype(np.float64)

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        if len(set(self.classes)) < max(2, len(self.classes)):
            got, expected = shown(sorted(self.classes)), "at least 2, every one once"
            raise ValueError(_check.refusal(f"{where}.classes", got, expected))
        whole = self.shares and abs(sum(self.shares) - 1.0) < 1e-6 and min(self.shares) >= 0.0
        if len(self.shares) != len(self.classes) or not whole:
            got = f"{len(self.shares)} that add up to {sum(self.shares):g}"
            expected = f"one for each of {len(self.classes)} classes that add up to 1"
            raise ValueError(_check.refusal(f"{where}.shares", got, expected))


def _class_counts(cells: Cells) -> dict[str, dict[str, int]]:
    """How often each text of each class occurs, by the class's key."""
    different, rows = np.unique(cells.values[cells.codes < 0], return_counts=True)
    texts = [*cells.texts, *(number_text(value) for value in different.tolist())]
    counts = [*cells.counts().tolist(), *rows.tolist()]
    truths = all(_is_truth(text) for text in texts)
    found: dict[str, dict[str, int]] = {}
    for text, count in zip(texts, counts, strict=True):
        of_class = found.setdefault(_class_key(text, truths), {})
        of_class[class_name(text)] = of_class.get(class_name(text), 0) + count
    return found


def _commonest(texts: dict[str, int]) -> str:
    return max(texts, key=lambda text: (texts[text], text))


def _class_key(text: str, truths: bool) -> str:
    """What the texts of a class have in common."""
    name = class_name(text)
    return name if name == MINUS else key_of(name, "truths" if truths else "words")


def _is_truth(text: str) -> bool:
    return key_of(class_name(text), "truths") in ("true", "false")


def absent_words(cells: Cells, known: np.ndarray) -> str:
    """What the cells without a target say, ``'NA' in 12 rows, '?' in 1 row``; "" where nothing."""
    codes = cells.codes[~known]
    counts = np.bincount(codes[codes >= 0], minlength=len(cells.texts))
    order = [place for place in np.argsort(-counts) if counts[place] and cells.texts[place]]
    said = [(shown(cells.texts[place]), counts[place]) for place in order[:3]]
    return ", ".join(f"{text} in {count:,} row{'s' * bool(count > 1)}" for text, count in said)


def refuse_one_class(table: Table, name: str, known: np.ndarray) -> None:
    """Raises ValueError, which says what was taken as missing, for less than two classes."""
    cells = table[name]
    counts = _class_counts(cells.take(known))
    if len(counts) < 2:
        words = absent_words(cells, known)
        beside = f", beside {words}, which count as missing" if words else ""
        got = f"{len(counts)} class in column {shown(name)}{beside}"
        raise ValueError(_check.refusal("target", got, "at least two classes"))


def find_task(table: Table, target: str) -> tuple[str, str]:
    """``"regression"`` or ``"classification"``, and why, in words.

    Raises ValueError for dates, but a few different ones, which may be classes.
    """
    cells = table[target]
    read = read_numbers(cells, table.decimal, table.thousands)
    if read.strange.any() and not _are_numbers(cells, read):
        text = cells.texts[int(read.strange.argmax())]
        _refuse_dates(table, target)
        return "classification", f"its cells are text, such as {shown(text)}"
    known = read.values[np.isfinite(read.values)]
    distinct = np.unique(known)
    if len(distinct) == 1:
        return "regression", f"it is always {distinct[0]:.15g}, which leaves nothing to be learnt"
    whole = bool((distinct == np.round(distinct)).all())
    few = len(distinct) <= min(MAX_NUMBERED_CLASSES, len(known) / MIN_ROWS_A_CLASS)
    if whole and (few or len(distinct) == 2):
        return "classification", f"it holds {len(distinct)} different whole numbers"
    return "regression", f"it holds {len(distinct):,} different numbers"


def _refuse_dates(table: Table, target: str) -> None:
    cells = table[target]
    if len(cells.texts) <= MAX_NUMBERED_CLASSES:
        return
    dates = read_moments(cells, order_of(cells, table.decimal).form)
    strange = int(cells.counts()[dates.strange].sum())
    found = int(np.isfinite(dates.values).sum())
    if found >= ENOUGH_NUMBERS * (found + strange):
        got = f"dates, such as {shown(cells.texts[0])}, in column {shown(target)}"
        expected = "numbers, such as days since a date"
        hint = "; task='classification' takes each date for a class"
        raise ValueError(_check.refusal("target", got, expected) + hint)


def _are_numbers(cells: Cells, read: Numbers) -> bool:
    """Whether enough of the cells that hold something are numbers."""
    known = int(np.isfinite(read.values).sum())
    strange = int(cells.counts()[read.strange].sum())
    return known > 0 and known >= ENOUGH_NUMBERS * (known + strange)


def has_target(table: Table, target: str, task: str) -> np.ndarray:
    """Where the target's cell says what it is: bool (rows,).

    Raises ValueError where the task is regression and more than a tenth of the cells are text.
    """
    if task == "regression":
        return np.isfinite(_numbers_of(table, target).values)
    cells = table[target]
    absent = [
        missing_word(text) in MISSING and not (text == MINUS and "+" in cells.texts)
        for text in cells.texts
    ]
    return ~cells.by_text(absent, False)


def left_out(
    table: Table, target: str, known: np.ndarray, task: str, expected: str = ""
) -> list[str]:
    """What is said of rows that are left out, as their target is not known, bool (rows,).

    Cells that hold something are named; `expected` is what they are not.
    """
    cells = table[target]
    words = MISSING_NUMBER if task == "regression" else MISSING
    absent = cells.by_text([missing_word(text) in words for text in cells.texts], False)
    remarks = []
    if empty := int(np.count_nonzero(~known & absent)):
        rows = "1 row" if empty == 1 else f"{empty:,} rows"
        named = absent_words(cells, known | ~absent)
        said = f", {named}" if named else ""
        remarks.append(f"left out for want of a {shown(target)}: {rows}{said}")
    expected = expected or ("number" if task == "regression" else "class")
    for odd in odd_rows(f"left out, the target being no {expected}", cells, ~known & ~absent):
        more = f" and {odd.rows - 1:,} more" if odd.rows > 1 else ""
        remarks.append(f"{odd.fate}: {shown(odd.example)} in column {shown(target)}{more}")
    return remarks


def class_name(cell: str) -> str:
    """The class that a cell names: its text, but ``1``, ``1.0`` and ``01`` are the same class."""
    if not _WHOLE.fullmatch(cell):
        return cell
    return str(int(float(cell)))


def _numbers_first(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return np.inf, text
