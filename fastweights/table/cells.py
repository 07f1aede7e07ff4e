"""One column of a table as it was read.

# Design: numbers are numbers from the first byte on, and all else is a code for one of the few
distinct texts. What is hard to make sense of (units, currencies, missing words, dates) is therefore
decided once a text and never once a row: `Cells.by_text` spreads it over the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: From here on neighbouring whole numbers are not told apart, and are written with an exponent.
_MAX_WHOLE = 1e16


@dataclass(frozen=True, eq=False)
class Cells:
    """Plain numbers and texts, one a row; nobody can change them.

    A *plain number* is a finite one written ``[+-]?digits[.digits][e[+-]digits]`` (``.5`` and
    ``5.`` too, and with the decimal mark of its file), without leading zeros: ``007`` and ``02134``
    are texts.

    Parameters
    ----------
    values : float64 (rows,)
        NaN where the cell is no plain number.
    codes : int32 (rows,)
        The place of the cell's text in `texts`; -1 where it is a plain number. Where all cells are
        one or the other this array, or `values`, may be one number that stands for all.
    texts : tuple of str
        The different texts that occur, stripped, in order of appearance; an empty cell is ``""``.
    """

    values: np.ndarray
    codes: np.ndarray
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        self.values.flags.writeable = False
        self.codes.flags.writeable = False

    @property
    def has_numbers(self) -> bool:
        """Whether any cell is a plain number."""
        return not self.texts or bool((self.codes < 0).any())

    @classmethod
    def from_texts(cls, texts: Iterable[str], decimal: str = ".") -> Cells:
        """The cells that a file with this decimal mark has as these texts."""
        places: dict[str, int] = {}
        rows = [places.setdefault(text.strip(), len(places)) for text in texts]
        numbers = np.array([plain_number(text, decimal) for text in places], dtype=np.float64)
        is_text = np.isnan(numbers)
        codes = np.where(is_text, np.cumsum(is_text) - 1, -1).astype(np.int32)
        different = tuple(text for text, kept in zip(places, is_text, strict=True) if kept)
        found = np.array(rows, dtype=np.intp)
        return cls(numbers[found], codes[found], different)

    @classmethod
    def from_numbers(cls, numbers: np.ndarray) -> Cells:
        """The cells of an array (rows,) of real numbers: NaN is an empty cell, infinity a text."""
        values = np.array(numbers, dtype=np.float64)
        finite = np.isfinite(values)
        odd = [("", np.isnan(values)), ("inf", values == np.inf), ("-inf", values == -np.inf)]
        odd = [(text, where) for text, where in odd if where.any()]
        if not odd:
            return cls(values, _no_codes(len(values)), ())
        codes = np.full(len(values), -1, dtype=np.int32)
        for code, (_, where) in enumerate(odd):
            codes[where] = code
        values[~finite] = np.nan
        return cls(values, codes, tuple(text for text, _ in odd))

    @classmethod
    def from_codes(cls, codes: np.ndarray, texts: Sequence[str]) -> Cells:
        """The cells of int (rows,) places in `texts`, which may be any: missing where negative."""
        few = cls.from_texts([*texts, ""])
        return few.take(np.where(codes < 0, len(texts), codes))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> str:
        """The text of one cell; a number is written as short as it can be."""
        code = self.codes[row]
        return self.texts[code] if code >= 0 else number_text(float(self.values[row]))

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: np.ndarray) -> Cells:
        """The cells of these rows: an array of row numbers, or one of True and False."""
        values, codes = self.values[rows], self.codes[rows]
        if not self.texts:
            return Cells(values, _no_codes(len(values)), ())
        occurs = np.bincount(codes[codes >= 0], minlength=len(self.texts)) > 0
        if occurs.all():
            return Cells(values, codes, self.texts)
        places = np.append(np.cumsum(occurs) - 1, -1).astype(np.int32)
        kept = tuple(self.texts[place] for place in np.flatnonzero(occurs))
        return Cells(values, places[codes], kept)

    def counts(self) -> np.ndarray:
        """How many cells hold each of the texts: int64 (texts,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def by_text(self, of_texts: Any, of_numbers: Any) -> np.ndarray:
        """For each row what there is for its text, and `of_numbers` for a plain number: (rows,).

        Parameters
        ----------
        of_texts : array_like (texts,)
            In the order of `texts`.
        of_numbers : scalar
            Of the same dtype.
        """
        both = np.append(np.asarray(of_texts, dtype=np.asarray(of_numbers).dtype), of_numbers)
        return both[self.codes]  # -1 is the last one


def _no_codes(rows: int) -> np.ndarray:
    """The codes of cells that are all numbers: one -1 for all."""
    return np.broadcast_to(np.int32(-1), rows)


def number_text(value: float) -> str:
    """A finite number as short as it can be written, whole ones without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < _MAX_WHOLE else repr(value)


_PLAIN = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def plain_number(text: str, decimal: str = ".") -> float:
    """The number that a stripped text is, NaN where it is no plain number."""
    if decimal != ".":
        text = text.replace(".", "x").replace(decimal, ".")
    value = float(text) if _PLAIN.fullmatch(text) else np.nan
    return value if np.isfinite(value) else np.nan
