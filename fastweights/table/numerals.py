"""Numbers in texts: with marks of thousands, units, currencies, limits and the signs of a ledger.

A file's plain numbers are numbers already (`Cells.values`); here the few texts beside them are
read: ``$22,661.05``, ``12.5%``, ``1 234,5``, ``(1.50)``, ``<0.1`` or ``3.2 kg``.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastweights.table.cells import Cells


def words(text: str) -> frozenset[str]:
    """The words between bars."""
    return frozenset(text.split("|"))


#: Texts that say that there is no value, as `missing_word` writes them.
MISSING = words(
    "|na|n/a|n.a.|n.a|#n/a|#n/a n/a|<na>|nan|-nan|nat|null|(null)|<null>|nil|?|-|--|---|.|..|..."
    "|missing|k.a.|k. a.|n.d.|#div/0!|#value!|#ref!|#name?|#num!|#null!|\\n"
)
#: Among numbers these say it too; among categories they may be kinds of their own.
MISSING_WORDS = words(
    "none|unknown|unk|not available|not applicable|not known|not recorded|no data|tbd|tba|void|x|xx"
    "|*|**|unbekannt|inconnu|pending|inf|+inf|-inf|infinity|-infinity|blank|empty|nd|n/d|n/k"
)
MISSING_NUMBER = MISSING | MISSING_WORDS

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"
_SPACES = "\u00a0\u2002\u2003\u2005\u2006\u2007\u2009\u200a\u202f\t"
_APOSTROPHES = "\u2018\u2019\u02bc\u00b4`"
_PLAIN_FORMS = {
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _APOSTROPHES), "'"),
}

_SIGNS = "$€£¥₹₽₩₺₪฿₫₴₦¢"
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|RUB|TRY"
_CURRENCY = rf"(?:US|[A-Z])?\$|[{_SIGNS}]|{_CODES}|Rs\.?|kr\.?|Fr\.?"
_UNIT = r"(?:[^\W\d_]|[%‰°$€£¥₹¢])[^\W\d_%°/²³·.$ ]*(?:[²³]|[/ ·^][^\W\d_%°²³.]+)*(?:\^?[1-4])?\.?"
#: Letters behind a number that multiply it.
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "Mio": 1e6, "B": 1e9, "bn": 1e9, "Mrd": 1e9}


def missing_word(text: str) -> str:
    """A text as `MISSING` has it."""
    return text.translate(_PLAIN_FORMS).lower()


def missing(cells: Cells) -> np.ndarray:
    """Where a cell says that there is no value, and is no category of its own: bool (rows,)."""
    return cells.by_text([missing_word(text) in MISSING for text in cells.texts], False)


class Numeral(NamedTuple):
    """What a text says: a number, in a unit (``""`` for none), or a limit that it lies beyond."""

    value: float
    unit: str
    is_limit: bool


#: No number is written with more letters, its unit included.
LONGEST = 400


@functools.lru_cache(maxsize=8)
def _form(decimal: str, thousands: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    mark = re.escape(thousands)
    digits = (
        rf"(?:\d{{1,3}}(?P<mark>[ '{mark}])(?:\d{{2,3}}(?P=mark))*\d{{3}}(?!\d)|\d+)(?:{point}\d*)?"
    )
    return re.compile(
        rf"(?P<limit><=?|>=?|[≤≥~≈=])?\s*(?P<sign>[+-])?\s*(?P<outside>{_CURRENCY})?\s*"
        rf"(?P<open>\()?\s*(?P<inner>[+-])?\s*(?P<inside>{_CURRENCY})?\s*"
        rf"(?P<number>(?:{digits}|{point}\d+)(?:[eE][+-]?\d+)?)"
        rf"(?P<more>\+)?(?:\s*(?P<unit>{_UNIT}))?\s*(?P<behind>[+-])?(?P<close>\))?"
    )


def numeral(text: str, decimal: str = ".", thousands: str = "") -> Numeral | None:
    """What a text says as a number; None where it is none.

    Parameters
    ----------
    text : str
        Stripped. What parts thousands may be a space or an apostrophe in any file.
    decimal, thousands : str
        The file's marks. A point or comma that the file is not known to part thousands with does
        so where it can be nothing else: in ``22,661.05`` and ``1,234,567``, but not in ``1,234``.
    """
    other = "," if decimal == "." else "."
    if len(text) > LONGEST:
        return None
    text = text.translate(_PLAIN_FORMS)
    if "  " in text:
        # Many spaces may stand between many things that may be absent: that takes long to search.
        text = " ".join(text.split())
    found = _form(decimal, thousands or other).fullmatch(text)
    if found is None or (found["open"] is None) != (found["close"] is None):
        return None
    written = found["number"]
    if mark := found["mark"]:
        if mark == other != thousands and decimal not in written and written.count(mark) == 1:
            return None
        written = written.replace(mark, "")
    currency = found["outside"] or found["inside"]
    minuses = (found["sign"], found["inner"], found["behind"]).count("-")
    minuses += found["open"] is not None
    if minuses > 1 or (found["outside"] and found["inside"]):
        return None
    value = float(written.replace(decimal, "."))
    unit = (found["unit"] or "").strip().rstrip(".")
    multiple = _MULTIPLES.get(unit)
    if multiple is not None:
        value, unit = value * multiple, ""
    if not math.isfinite(value):
        return None
    is_limit = found["limit"] not in (None, "=") or "+" in (found["more"], found["behind"])
    return Numeral(-value if minuses else value, _unit_name(currency, unit), is_limit)


def _unit_name(currency: str | None, unit: str) -> str:
    """One name for a unit however it is written: ``KG`` and ``kg``, ``year`` and ``years``."""
    name = ((currency or "").rstrip(".") + unit).casefold()
    return name[:-1] if len(name) > 3 and name.endswith("s") else name


@dataclass(frozen=True)
class Numbers:
    """The numbers in cells.

    Parameters
    ----------
    values : float64 (rows,)
        NaN where the cell says that there is none, and where it is no number.
    strange : bool (texts,)
        Which of the cells' texts hold something that is no number.
    words : bool (texts,)
        Which are words such as "unknown", which among numbers say that there is none.
    limits : bool (texts,)
        Which are limits, ``<0.1``, that count as the number itself.
    unit : str
        The unit of the numbers; a number without one is in it, another unit is no number. Where it
        is ``""``, units are set aside.
    are_shares : bool
        Whether a percentage is a share, 35 % being 0.35: among plain numbers of at most 1.
    other_form : bool (rows,)
        Which are numbers without the unit, or have one where it is ``""``.
    """

    values: np.ndarray
    strange: np.ndarray
    words: np.ndarray
    limits: np.ndarray
    unit: str
    are_shares: bool
    other_form: np.ndarray


def read_numbers(
    cells: Cells,
    decimal: str = ".",
    thousands: str = "",
    unit: str | None = None,
    are_shares: bool = False,
) -> Numbers:
    """The numbers in cells.

    They are in `unit`, and `are_shares` if that is so; or else, where `unit` is None, in the
    commonest that is written, and shares where they look like them.
    """
    found = [numeral(text, decimal, thousands) for text in cells.texts]
    if unit is None:
        are_shares = _look_like_shares(cells)
        unit = _commonest_unit(cells, found, are_shares)
    values = np.full(len(found), np.nan)
    strange, words, limits, other_form = np.zeros((4, len(found)), dtype=bool)
    for place, (text, number) in enumerate(zip(cells.texts, found, strict=True)):
        if number is not None and (number.unit in ("", unit) or not unit):
            is_share = are_shares and not unit and number.unit == "%"
            values[place] = number.value / 100 if is_share else number.value
            limits[place], other_form[place] = number.is_limit, number.unit != unit
        else:
            word = missing_word(text)
            strange[place] = word not in MISSING_NUMBER
            words[place] = word in MISSING_WORDS
    plain = cells.values
    if not ((cells.codes < 0).any() or (np.isfinite(values) & ~limits).any()):
        # Limits alone, <=50K and >50K, are classes: a limit is a number only among numbers.
        values[limits], strange[limits], limits[limits] = np.nan, True, False
    return Numbers(
        np.where(cells.codes < 0, plain, cells.by_text(values, np.nan)) if found else plain,
        strange,
        words,
        limits,
        unit,
        are_shares and not unit,
        cells.by_text(other_form, bool(unit)),
    )


def _look_like_shares(cells: Cells) -> bool:
    """Whether there are plain numbers, and all are at most 1."""
    plain = cells.values[cells.codes < 0]
    return len(plain) > 0 and bool(np.abs(plain).max() <= 1)


def _commonest_unit(cells: Cells, found: list[Numeral | None], are_shares: bool) -> str:
    """The unit that most cells name, ``""`` where none does.

    A percentage among shares, plain numbers of at most 1, is a share and not their unit.
    """
    rows: dict[str, int] = {}
    for number, count in zip(found, cells.counts().tolist(), strict=True):
        if number is not None and number.unit:
            rows[number.unit] = rows.get(number.unit, 0) + count
    unit = max(rows, key=lambda name: rows[name], default="")
    return "" if unit == "%" and are_shares else unit


def are_whole(values: np.ndarray) -> bool:
    """Whether finite numbers are all whole."""
    return bool((values == np.floor(values)).all())


def numbers(cells: Cells, decimal: str = ".", thousands: str = "") -> tuple[np.ndarray, np.ndarray]:
    """The numbers in cells, float64 (rows,), and where a cell holds text that is none, bool."""
    read = read_numbers(cells, decimal, thousands)
    return read.values, cells.by_text(read.strange, False)
