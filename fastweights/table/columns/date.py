"""Dates and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights.table.cells import Cells
from fastweights.table.columns.common import Marks, Oddity, odd_rows, odd_texts
from fastweights.table.columns.number import NumberColumn, without
from fastweights.table.dates import DAY, FORMS, read_moments

#: What a date is taken apart into; hours have fractions, a week begins with Monday, 0.
PARTS = ("days", "year", "month", "day", "weekday", "hour")
#: Parts that come round, each as the sine and cosine of its angle.
CYCLES = ("year", "week", "day")
_DAYS_A_YEAR = 365.2425


def _parts_of(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of seconds since 1970 (rows,), float64; of 1970 where there are none."""
    filled = np.where(np.isnan(seconds), 0.0, seconds)
    days = np.floor(filled / DAY)
    date = days.astype(np.int64).astype("M8[D]")
    year, month = date.astype("M8[Y]"), date.astype("M8[M]")
    return {
        "days": filled / DAY,
        "year": year.astype(np.int64) + 1970.0,
        "month": (month - year.astype("M8[M]")).astype(np.int64) + 1.0,
        "day": (date - month.astype("M8[D]")).astype(np.int64) + 1.0,
        "weekday": (days + 3.0) % 7.0,
        "hour": (filled - days * DAY) / 3600.0,
        "day of year": (date - year.astype("M8[D]")).astype(np.int64) + 0.0,
    }


def _angles(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    turns = {
        "year": parts["day of year"] / _DAYS_A_YEAR,
        "week": (parts["weekday"] + parts["hour"] / 24.0) / 7.0,
        "day": parts["hour"] / 24.0,
    }
    return {name: 2.0 * np.pi * turn for name, turn in turns.items()}


#: Which part has to vary for a cycle to say anything, between how many values at least.
_TURNED_BY = {"year": "month", "week": "weekday", "day": "hour"}
_MIN_TURNS = 3


@dataclass(frozen=True)
class DateColumn:
    """Dates and times: days since 1970, year, month, day, weekday and hour, those that vary.

    Each part is encoded as a number is; year, week and day come round, and have the sine and cosine
    of their angle, 0 where the date is missing.

    Parameters
    ----------
    name : str
    form : str
        How dates are written, one of `dates.FORMS`.
    parts : tuple of NumberColumn
        By the names in `PARTS`; the first knows whether training cells were missing.
    cycles : tuple of str
        Some of `CYCLES`.
    codes : tuple of float
        Moments that stand for a missing one, the beginning of 1900 or the like.
    """

    kind: ClassVar[str] = "date"
    name: str
    form: str
    parts: tuple[NumberColumn, ...]
    cycles: tuple[str, ...]
    codes: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        name: str,
        seconds: np.ndarray,
        form: str,
        bins: int = 32,
        codes: tuple[float, ...] = (),
    ) -> DateColumn:
        """Learns from seconds since 1970 (rows,), NaN where missing, at least one present."""
        seconds = without(seconds, codes)
        known = np.isfinite(seconds)
        parts = _parts_of(seconds)
        different = {part: len(np.unique(parts[part][known])) for part in PARTS}
        vary = [part for part in PARTS if different[part] > 1]
        if different["days"] == different["hour"] and not np.floor(parts["days"][known]).any():
            vary = ["hour"]  # Times alone.
        kept = [
            NumberColumn.fit(
                part, np.where(known, parts[part], np.nan)[known if place else slice(None)], bins
            )
            for place, part in enumerate(vary or ["days"])
        ]
        turned = [c for c in CYCLES if _TURNED_BY[c] in vary]
        turned = [c for c in turned if different[_TURNED_BY[c]] >= _MIN_TURNS]
        return cls(name, form, tuple(kept), tuple(turned), codes)

    @property
    def features(self) -> list[str]:
        parts = [f"{self.name} {feature}" for part in self.parts for feature in part.features]
        return parts + [f"{self.name} {c} {wave}" for c in self.cycles for wave in ("sin", "cos")]

    @property
    def pieces(self) -> list[bool]:
        """Which of the features are pieces of the encoding of a part."""
        of_parts = [piece for part in self.parts for piece in part.pieces]
        return of_parts + [False, False] * len(self.cycles)

    def read(self, cells: Cells, marks: Marks) -> np.ndarray:
        """Seconds since 1970, float64 (rows,), NaN where missing."""
        return without(read_moments(cells, self.form).values, self.codes)

    def encode(self, seconds: np.ndarray, out: np.ndarray) -> None:
        """Writes features of seconds (rows,) to float32 (rows, features)."""
        absent = np.isnan(seconds)
        parts = _parts_of(seconds)
        place = 0
        for part in self.parts:
            width = len(part.features)
            values = np.where(absent, np.nan, parts[part.name])
            part.encode(values, out[:, place : place + width])
            place += width
        angles = _angles(parts) if self.cycles else {}
        for cycle in self.cycles:
            for wave in (np.sin, np.cos):
                out[:, place] = np.where(absent, 0.0, wave(angles[cycle]))
                place += 1

    def oddities(self, cells: Cells, marks: Marks) -> list[Oddity]:
        """What of these cells training had nothing like."""
        read = read_moments(cells, self.form)
        found = odd_texts("cells that are no date count as missing", cells, read.strange)
        if not self.parts[0].has_missing:
            absent = np.isnan(without(read.values, self.codes))
            absent &= ~cells.by_text(read.strange, False)
            fate = "missing dates, unlike in training, count as the median"
            found += odd_rows(fate, cells, absent)
        return found

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        _check.choice(f"{where}.form", self.form, dict.fromkeys(FORMS))
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names) or not set(names) <= set(PARTS):
            expected = f"some of {', '.join(PARTS)}, every one once"
            raise ValueError(_check.refusal(f"{where}.parts", names, expected))
        for place, part in enumerate(self.parts):
            part.refuse_senseless(f"{where}.parts[{place}]")
        if len(set(self.cycles)) < len(self.cycles) or not set(self.cycles) <= set(CYCLES):
            expected = f"some of {', '.join(CYCLES)}, every one once"
            raise ValueError(_check.refusal(f"{where}.cycles", list(self.cycles), expected))
