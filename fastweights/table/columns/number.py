"""Numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells, number_text
from fastweights.table.columns.common import Marks, Oddity, odd_rows, odd_texts
from fastweights.table.numerals import read_numbers

#: What a standardised number goes towards where it is far from all others.
FAR = 3.0
#: Standardised numbers so far out are at `FAR`, to the last bit of float32.
_FARTHEST = 1e6
#: Codes for "no value" are such digits, or the ends of integers of 16 and 32 bits.
_CODE_DIGITS = "789"
_ENDS = (-32768.0, 32767.0, -2147483648.0, 2147483647.0)


@dataclass(frozen=True)
class NumberColumn:
    """Numbers: one feature of all their size, others of where they lie among quantiles.

    With ``z = (x - median) / scale`` the first feature is ``z / sqrt(1 + (z / 3)^2)``, which no
    single cell can throw off. Beside it stands the piecewise-linear encoding (Gorishniy, Rubachev
    and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning, 2022): with the
    quantiles ``b`` of the training rows feature k is ``(x - b_k) / (b_{k+1} - b_k)``, held within 0
    and 1. A missing number is the median; where training cells were missing, a last feature says
    so.

    Parameters
    ----------
    name : str
    unit : str
        What numbers of another unit are not taken for.
    are_shares : bool
        Whether 35 % is 0.35, and not 35.
    median, scale : float
        The scale is the distance of the quartiles; half the range where that is 0; of one number
        alone, a power of two of its size.
    edges : tuple of float
        Different quantiles, rising, from the least to the largest number.
    codes : tuple of float
        Numbers that stand for a missing one, -999 or the like.
    has_missing : bool
    """

    kind: ClassVar[str] = "number"
    name: str
    unit: str
    are_shares: bool
    median: float
    scale: float
    edges: tuple[float, ...]
    codes: tuple[float, ...]
    has_missing: bool

    @classmethod
    def fit(
        cls,
        name: str,
        values: np.ndarray,
        bins: int = 32,
        unit: str = "",
        are_shares: bool = False,
        codes: tuple[float, ...] = (),
    ) -> NumberColumn:
        """Learns from float64 values (rows,), NaN where missing, at least one of them present."""
        values = without(values, codes)
        present = np.sort(values[np.isfinite(values)])
        shift = _shift(present[[0, -1]])
        present = np.ldexp(present, shift)
        low, median, high = _quantiles(present, np.array((0.25, 0.5, 0.75))).tolist()
        scale = high - low or (float(present[-1]) - float(present[0])) / 2 or 1.0
        edges = np.ldexp(_edges(present, bins), -shift)
        with np.errstate(over="ignore", under="ignore"):
            back = min(float(np.ldexp(scale, -shift)), float(np.finfo(np.float64).max))
        return cls(
            name,
            unit,
            are_shares,
            float(np.ldexp(median, -shift)),
            back or float(np.nextafter(0.0, 1.0)),
            tuple(np.unique(edges).tolist()),
            codes,
            len(present) < len(values),
        )

    @property
    def bins(self) -> int:
        """How many features of the piecewise-linear encoding there are; one would say no more."""
        return len(self.edges) - 1 if len(self.edges) > 2 else 0

    @property
    def features(self) -> list[str]:
        texts = [f"{edge:g}" for edge in self.edges]
        if len(set(texts)) < len(texts):
            texts = [number_text(edge) for edge in self.edges]
        pieces = [f"{self.name} {texts[k]}..{texts[k + 1]}" for k in range(self.bins)]
        return [self.name, *pieces, *([f"{self.name} missing"] if self.has_missing else [])]

    @property
    def pieces(self) -> list[bool]:
        """Which of the features are pieces of the encoding."""
        return [False, *[True] * self.bins, *[False] * self.has_missing]

    def read(self, cells: Cells, marks: Marks) -> np.ndarray:
        """The numbers in cells, float64 (rows,), NaN where missing."""
        values = read_numbers(cells, *marks, self.unit, self.are_shares).values
        return without(values, self.codes)

    def encode(self, values: np.ndarray, out: np.ndarray) -> None:
        """Writes features of float64 numbers (rows,) to float32 (rows, features)."""
        absent = np.isnan(values)
        shift, median, scale, begins, widths = self._scaled
        with np.errstate(over="ignore", under="ignore"):
            x = np.ldexp(np.where(absent, self.median, values), shift)
            z = np.clip((x - median) / scale, -_FARTHEST, _FARTHEST)
            out[:, 0] = z / np.sqrt(1.0 + (z / FAR) ** 2)
            if self.bins:
                pieces = (x[:, np.newaxis] - begins) / widths
                np.clip(pieces, 0.0, 1.0, out=out[:, 1 : 1 + self.bins], casting="unsafe")
        if self.has_missing:
            out[:, -1] = absent

    @functools.cached_property
    def _scaled(self) -> tuple[int, float, float, np.ndarray, np.ndarray]:
        """A power of two; times it, the median, the scale, and where pieces begin and how wide."""
        edges = np.array(self.edges)
        shift = _shift(edges)
        edges = np.ldexp(edges, shift)
        median, scale = np.ldexp((self.median, self.scale), shift).tolist()
        return shift, median, scale, edges[:-1], np.diff(edges)

    def oddities(self, cells: Cells, marks: Marks) -> list[Oddity]:
        """What of these cells training had nothing like."""
        read = read_numbers(cells, *marks, self.unit, self.are_shares)
        values = without(read.values, self.codes)
        low, high = self.edges[0], self.edges[-1]
        with np.errstate(over="ignore"):
            more = np.float64(high / 10) - np.float64(low / 10)
            far = (values < low - more) | (values > high + more)
        said = read.strange | read.words
        found = odd_texts("text among numbers counts as missing", cells, said)
        found += odd_rows(self._other_form, cells, read.other_form & ~np.isnan(values))
        if not self.has_missing:
            fate = "missing numbers, unlike in training, count as the median"
            found += odd_rows(fate, cells, np.isnan(values) & ~cells.by_text(said, False))
        outside = odd_rows("numbers far outside of those of training", cells, far)
        return [*found, *(odd._replace(read=True) for odd in outside)]

    @property
    def _other_form(self) -> str:
        """What becomes of numbers without the unit, or with one where there is none."""
        if self.unit:
            return f"numbers without a unit are taken to be in {shown(self.unit)}, as others are"
        fate = "units are set aside where most numbers have none"
        return f"{fate}, but 35 % is 0.35" if self.are_shares else fate

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        _check.number(f"{where}.scale", self.scale, above=0.0)
        edges = np.array(self.edges)
        scaled = np.ldexp(edges, _shift(edges)) if len(edges) else edges
        if not len(edges) or not (np.diff(scaled) > 0).all():
            got = f"{len(edges)} that do not all rise"
            raise ValueError(_check.refusal(f"{where}.edges", got, "rising numbers, at least one"))
        if not edges[0] <= self.median <= edges[-1]:
            got = f"{self.median:g}"
            expected = f"a number from {edges[0]:g} to {edges[-1]:g}"
            raise ValueError(_check.refusal(f"{where}.median", got, expected))
        if not 0 < np.ldexp(self.scale, _shift(edges)) < np.inf:
            got = f"scale {self.scale:g} and numbers up to {np.abs(edges).max():g}"
            raise ValueError(_check.refusal(where, got, "a scale that suits the numbers"))


def _shift(values: np.ndarray) -> int:
    """The power of two under which these numbers are below 1, so that no difference overflows."""
    return -int(np.frexp(np.abs(values).max())[1])


def _edges(ordered: np.ndarray, bins: int) -> np.ndarray:
    """Different quantiles of rising numbers; all different numbers where these are few."""
    different = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    if len(different) <= bins + 1:
        return different
    return np.unique(_quantiles(ordered, np.linspace(0.0, 1.0, max(bins, 1) + 1)))


def _quantiles(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles of rising numbers, linear between neighbours, as `numpy.quantile` has them."""
    places = shares * (len(ordered) - 1)
    below = np.floor(places).astype(np.intp)
    above = np.minimum(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (places - below)


def without(values: np.ndarray, codes: tuple[float, ...]) -> np.ndarray:
    """The values, but NaN where they are a code."""
    return np.where(np.isin(values, codes), np.nan, values) if codes else values


def is_code(value: float) -> bool:
    """Whether a number is written as codes for "no value" are, or ends a kind of integers."""
    digits = number_text(abs(value))
    return value in _ENDS or (
        len(digits) > 1 and digits[0] in _CODE_DIGITS and digits == digits[0] * len(digits)
    )


def missing_codes(
    values: np.ndarray, is_code: Callable[[float], bool] = is_code
) -> list[tuple[float, int]]:
    """Numbers that look like codes for "no value", each with its count, the farthest out first.

    Such a number lies twice as far from all others as these do from each other; as far is enough
    where it is below 0 and they are not.

    Parameters
    ----------
    values : float64 (rows,)
        NaN where missing.
    is_code : function
        Whether a number may be a code at all.
    """
    present = values[np.isfinite(values)]
    if not len(present) or not any(map(is_code, (present.min(), present.max()))):
        return []
    different, counts = np.unique(present, return_counts=True)
    found = []
    while len(different) > 2:
        place = next(
            (end for end in (0, -1) if _is_far(different, end) and is_code(different[end])), None
        )
        if place is None:
            break
        found.append((float(different[place]), int(counts[place])))
        different, counts = np.delete(different, place), np.delete(counts, place)
    return found


def _is_far(different: np.ndarray, end: int) -> bool:
    """Whether the first or the last, 0 or -1, of rising numbers is far from all others."""
    scaled = np.ldexp(different, _shift(different[[0, -1]]))
    alone, others = scaled[end], np.delete(scaled, end)
    gap, span = min(abs(others[0] - alone), abs(others[-1] - alone)), others[-1] - others[0]
    return bool(gap > span * (1.0 if alone < 0.0 <= others[0] else 2.0))
