"""Dates and times in texts and numbers, as seconds since the beginning of 1970.

A date that names a zone is taken by the clock that it shows: that is the hour that means something.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastweights.table.cells import Cells
from fastweights.table.numerals import MISSING_NUMBER, are_whole, missing_word, words

DAY = 86400.0
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH_NUMBER = {name: place for place, name in enumerate(_MONTHS.split("|"), start=1)}
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?,?\s+)?"
_YEAR = r"(?P<y>\d{4}|'?\d{2})"

_TIME = re.compile(
    r"(?:^|[tT ,]\s*)(?:at )?"
    r"(?P<h>\d{1,2})(?::(?P<min>\d{2})(?::(?P<s>\d{2}(?:[.,]\d{1,9})?))?\s*(?P<half>[ap]\.?m\.?)?"
    r"|(?<=[tT]\d\d)(?P<min2>\d{2})(?P<s2>\d{2})?|\s*(?P<half2>[ap]\.?m\.?))"
    r"\s*(?:z|utc|gmt|[ce]e?s?t|[ecmp][sd]t)?\s*(?:[+-]\d{2}:?(?:\d{2})?)?(?:\[[\w/]+\])?",
    re.IGNORECASE,
)
#: Forms of dates that can be read in one way only, by what their groups are called.
_CERTAIN = tuple(
    re.compile(_WEEKDAY + form, re.IGNORECASE)
    for form in (
        r"(?P<y>\d{4})(?P<mark>[-/.])(?P<m>\d{1,2})(?:(?P=mark)(?P<d>\d{1,2}))?",
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.?[-\s/]*(?:of )?{_MONTH},?[-\s/]*{_YEAR}",
        rf"{_MONTH}[-\s]*(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:,\s*|\s+){_YEAR}",
        rf"{_MONTH},?[-\s/]*(?P<y>\d{{4}})",
        rf"(?P<y>\d{{4}})[-\s/]{_MONTH}(?:[-\s/](?P<d>\d{{1,2}}))?",
        r"(?P<y>\d{4})[-\s]?q(?P<q>[1-4])|q(?P<q2>[1-4])[-\s/](?P<y2>\d{4})",
        r"(?P<y>\d{4})-?w(?P<w>\d{2})(?:-?(?P<wd>[1-7]))?",
    )
)
_UNCERTAIN = re.compile(
    rf"{_WEEKDAY}(?P<one>\d{{1,2}})(?P<mark>[-/.])(?P<two>\d{{1,2}})(?P=mark)(?P<y>\d{{4}}|\d{{2}})",
    re.IGNORECASE,
)

#: What a number may count: how many seconds it is, from when, and between which numbers.
_COUNTS = {
    "s": (1.0, 0.0, 1e8, 5e9),
    "ms": (1e-3, 0.0, 1e11, 5e12),
    "us": (1e-6, 0.0, 1e14, 5e15),
    "ns": (1e-9, 0.0, 1e17, 5e18),
    "excel": (DAY, -25569 * DAY, 2e4, 6e4),
}
COMPACT = "yyyymmdd"
#: How dates may be written: day or month first in texts that leave it open; or what numbers count.
FORMS = ("dmy", "mdy", COMPACT, *_COUNTS)
#: From so many texts on it pays to look whether all are written alike.
_MANY = 100
#: Days on which calendars of programs begin or end: far from others they stand for none.
_ENDS = words(
    "1899-12-30|1899-12-31|1900-01-01|1970-01-01|1753-01-01|0001-01-01|1800-01-01|2099-12-31"
    "|2999-12-31|9999-12-31"
)
#: Dates that stand for none in files where others lie elsewhere.
#: No date is written with more letters: what is longer is not searched for one.
LONGEST = 64
_NO_DATES = {"0000-00-00", "00/00/0000", "00.00.0000", "0000-00-00 00:00:00"}


def moment(text: str, day_first: bool = False) -> float | None:
    """The seconds since 1970 that a stripped text names; None where it names none.

    A time alone is one of the first day of 1970. A month, quarter or week is its first day.
    """
    if len(text) > LONGEST:
        return None
    time = _TIME.search(text)
    if time is None or time.end() != len(text):
        return _day(text, day_first)
    seconds = _seconds(time)
    if seconds is None:
        return None
    if not time.start():
        return seconds % DAY  # 24:00 is the end of a day, 0:00 the beginning of one.
    day = _day(text[: time.start()].rstrip(), day_first)
    return None if day is None else day + seconds


def _seconds(time: re.Match[str]) -> float | None:
    hours, minutes = int(time["h"]), int(time["min"] or time["min2"] or 0)
    seconds = float((time["s"] or time["s2"] or "0").replace(",", "."))
    if half := time["half"] or time["half2"]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half[0] in "pP" else 0)
    total = hours * 3600.0 + minutes * 60.0 + seconds
    return total if minutes < 60 and seconds < 61 and total <= DAY else None


def _day(text: str, day_first: bool) -> float | None:
    found = _UNCERTAIN.fullmatch(text)
    if found:
        one, two = int(found["one"]), int(found["two"])
        month, day = (two, one) if day_first else (one, two)
        return _days(_full_year(found["y"]), month, day)
    for form in _CERTAIN:
        if found := form.fullmatch(text):
            return _certain_day(found.groupdict())
    return None


def _certain_day(parts: dict[str, str | None]) -> float | None:
    year = _full_year(parts.get("y") or parts.get("y2") or "")
    if week := parts.get("w"):
        try:
            day = datetime.date.fromisocalendar(year, int(week), int(parts["wd"] or 1))
        except ValueError:
            return None
        return (day.toordinal() - _EPOCH) * DAY
    if quarter := parts.get("q") or parts.get("q2"):
        return _days(year, 3 * int(quarter) - 2, 1)
    name = parts.get("name")
    month = _MONTH_NUMBER[name[:3].lower()] if name else int(parts["m"] or 1)
    return _days(year, month, int(parts.get("d") or 1))


def _full_year(text: str) -> int:
    """Years of two digits are those from 1969 to 2068, as POSIX has it."""
    year = int(text.lstrip("'"))
    return year if len(text) == 4 else year + (1900 if year > 68 else 2000)


def _days(year: int, month: int, day: int) -> float | None:
    try:
        return (datetime.date(year, month, day).toordinal() - _EPOCH) * DAY
    except ValueError:
        return None


_ENDS_IN_DAYS = {datetime.date.fromisoformat(day).toordinal() - _EPOCH for day in _ENDS}


def is_end(seconds: float) -> bool:
    """Whether a moment is of a day on which the calendar of some program begins or ends."""
    return seconds // DAY in _ENDS_IN_DAYS


@dataclass(frozen=True)
class Moments:
    """The dates in cells.

    Parameters
    ----------
    values : float64 (rows,)
        Seconds since 1970, NaN where there is none.
    strange : bool (texts,)
        Which of the cells' texts hold something that is no date.
    """

    values: np.ndarray
    strange: np.ndarray


def read_moments(cells: Cells, form: str) -> Moments:
    """The dates in cells that are written as one of `FORMS`."""
    found: Sequence[float | None] | None = _iso_moments(cells.texts)
    if found is None:
        found = [moment(text, form == "dmy") for text in cells.texts]
    strange = [
        value is None and missing_word(text) not in MISSING_NUMBER and text not in _NO_DATES
        for value, text in zip(found, cells.texts, strict=True)
    ]
    of_texts = np.array([np.nan if value is None else value for value in found])
    numbers = _counted(cells.values, form)
    if found:
        numbers = np.where(cells.codes < 0, numbers, cells.by_text(of_texts, np.nan))
    return Moments(numbers, np.array(strange, dtype=bool))


def _iso_moments(texts: Sequence[str]) -> list[float | None] | None:
    """What `moment` says of many texts where all are ISO dates of one length; None elsewhere."""
    if len(texts) < _MANY or len(texts[0]) not in (10, 16, 19):
        return None
    if any(len(text) != len(texts[0]) for text in texts):
        return None
    written = np.array(texts)
    letters = written.view("U1").reshape(len(texts), -1)
    digits = np.char.isdigit(letters)
    dashes = (letters[:, [4, 7]] == "-").all()
    if not dashes or not digits[:, :4].all():
        return None
    try:
        return written.astype("M8[s]").astype(np.float64).tolist()
    except ValueError:  # Some are something else, or no day of the calendar.
        return None


def _counted(numbers: np.ndarray, form: str) -> np.ndarray:
    if form == COMPACT:
        return _compact(numbers)
    if form not in _COUNTS:
        return np.full(len(numbers), np.nan)
    seconds, start, low, high = _COUNTS[form]
    # Half of and twice what was seen, for rows of other years.
    within = (numbers >= low / 2) & (numbers <= high * 2)
    return np.where(within, numbers * seconds + start, np.nan)


def _compact(numbers: np.ndarray) -> np.ndarray:
    """Seconds of numbers such as 20240131, NaN where there is no such day."""
    whole = (numbers >= 10_000_101) & (numbers <= 99_991_231) & (numbers == np.floor(numbers))
    digits = np.where(whole, numbers, 19_700_101).astype(np.int64)
    year, month, day = digits // 10_000, digits // 100 % 100, digits % 100
    whole &= (month >= 1) & (month <= 12) & (day >= 1)
    first = (year - 1970).astype("M8[Y]").astype("M8[M]") + np.clip(month - 1, 0, 11)
    days = first.astype("M8[D]") + (day - 1)
    whole &= days.astype("M8[M]") == first
    return np.where(whole, days.astype(np.int64) * DAY, np.nan)


class Order(NamedTuple):
    """Whether days or months come first in texts: one of `FORMS`.

    It matters where some text has both as numbers; it is open where both orders are as good.
    """

    form: str
    matters: bool
    is_open: bool


#: The order is asked of so many different texts, from all over the column.
_ASKED = 5000


def order_of(cells: Cells, decimal: str) -> Order:
    """Whether days or months come first in a column: the order under which more cells are dates.

    Where both are as good, months come first between slashes, in files with a decimal point.
    """
    counts = cells.counts().tolist()
    step = max(1, len(cells.texts) // _ASKED)
    places = range(0, len(cells.texts), step)
    asked = [place for place in places if is_uncertain(cells.texts[place])]
    read = [(moment(cells.texts[p], True), moment(cells.texts[p], False)) for p in asked]
    rows = [
        sum(counts[p] for p, found in zip(asked, read, strict=True) if found[way] is not None)
        for way in (0, 1)
    ]
    if rows[0] != rows[1]:
        return Order("dmy" if rows[0] > rows[1] else "mdy", True, False)
    slashes = any("/" in cells.texts[place] for place in asked)
    form = "mdy" if slashes and decimal == "." else "dmy"
    return Order(form, bool(asked), any(one != other for one, other in read))


def is_uncertain(text: str) -> bool:
    """Whether a text names a day and a month by numbers, either of which may come first."""
    if len(text) > LONGEST:
        return False
    time = _TIME.search(text)
    day = text[: time.start()].rstrip() if time and time.end() == len(text) else text
    return _UNCERTAIN.fullmatch(day) is not None


_TIME_WORDS = words(
    "time|timestamp|ts|epoch|unix|date|datetime|created|updated|at|when|since|modified|posted|utc"
)
#: Numbers such as 20240131 of these years are days where so many different ones all are.
_FIRST_COMPACT, _LAST_COMPACT = 18_000_101, 21_991_231
_SURELY_COMPACT = 20
#: As seconds, moments from 2001 to 2036: milliseconds and less have digits that only they have.
_LIKELY = (1e9, 2.1e9)


def number_form(numbers: np.ndarray, name: list[str]) -> str:
    """What numbers (known,) count, where they are dates: one of `FORMS`, or ``""``.

    Parameters
    ----------
    numbers : float64 (known,)
    name : list of str
        The words of the column's name, in lower case.
    """
    low, high = float(numbers.min()), float(numbers.max())
    named = bool(_TIME_WORDS.intersection(name))
    whole = are_whole(numbers)
    if whole and _FIRST_COMPACT <= low <= high <= _LAST_COMPACT:
        several = named or len(np.unique(numbers)) > _SURELY_COMPACT
        if several and np.isfinite(_compact(numbers)).all():
            return COMPACT
    for form, (seconds, _, least, most) in _COUNTS.items():
        if not least <= low <= high <= most:
            continue
        likely = whole and _LIKELY[0] <= low * seconds <= high * seconds <= _LIKELY[1]
        if form == "excel":
            found = "date" in name or "datetime" in name
        else:
            found = named or (likely and form != "s")  # Many numbers have as many digits.
        if found:
            return form
    return ""
