"""What kind a column is, or why it is of no use, and what was decided about that in words.

# Design: the kind is asked of all rows, what it learns comes from the training rows. A column is
looked at as numbers, then as dates, then as categories or text: the first that nine tenths of the
cells that hold something agree with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table import dates
from fastweights.table.cells import Cells, number_text
from fastweights.table.columns.category import CategoryColumn, Levels, merging_of, spellings
from fastweights.table.columns.common import Marks, named
from fastweights.table.columns.date import DateColumn
from fastweights.table.columns.number import NumberColumn, missing_codes
from fastweights.table.columns.target_mean import TargetMeanColumn
from fastweights.table.columns.text import TextColumn
from fastweights.table.numerals import Numbers, are_whole, missing, numeral, read_numbers, words

#: What the user may say that a column is.
KINDS = dict.fromkeys(("number", "category", "date", "text", "drop", "keep"))
#: Such a share of the cells that hold something makes a column numbers, or dates.
ENOUGH = 0.9
#: A column is looked at as a whole where one of so many of its texts may be what is looked for.
_GLANCE = 500
#: Where more texts than this share of the cells are different, spellings are not looked at.
_HARDLY = 0.9
#: Ordered numbers of rows; of another name they are years, days or the like.
_ORDERED = words("year|yr|years|time|t|day|days|week|month|date|hour|period|step|age")
_ID_WORDS = words("id|ids|idx|index|key|uuid|guid|rowid|rownum|rowname|rownames|sku")
_ID_NAMES = words("|#|no|no.|nr|nr.|row|rows|row names|rownames")
#: Numbers that count a table's rows may leave out those of rows that were taken away.
_GAPS = 1.5
_MIN_GAPPED = 20
#: Numbers are categories too where each has so many rows on the average.
_ROWS_A_NUMBER = 4
#: Texts with so many words on the average are free text.
_FREE_WORDS = 3.0
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Encoding:
    """How columns are encoded.

    Parameters
    ----------
    bins : int
        Quantile bins of the piecewise-linear encoding, 0 for none.
    min_category_rows : int
        Training rows that a category needs for a feature of its own, but never more than a
        twentieth of all.
    max_categories : int
        Categories of a column that have a feature each, the commonest.
    category_numbers : int
        Whole numbers are categories too where there are at most so many different ones; 0 for
        never.
    target_means : int or None
        From more than so many different categories on the mean target of each is a feature; None
        for never.
    """

    bins: int = 32
    min_category_rows: int = 10
    max_categories: int = 200
    category_numbers: int = 20
    target_means: int | None = 200

    def __post_init__(self) -> None:
        for choice in fields(self):
            value = getattr(self, choice.name)
            if value is not None or choice.name != "target_means":
                least = 1 if choice.name in ("min_category_rows", "max_categories") else 0
                _check.whole(choice.name, value, least, maximum=2**20)

    @classmethod
    def of(cls, choices: dict[str, Any]) -> Encoding:
        """The encoding with these choices; TypeError where there is no such choice."""
        names = [choice.name for choice in fields(cls)]
        for name in choices:
            if name not in names:
                expected = f"choices among {', '.join(names)}"
                raise TypeError(_check.refusal("choices", shown(name), expected))
        return cls(**choices)


class Note(NamedTuple):
    """What was decided about a column: a sentence that many may share, and what it was here."""

    sentence: str
    detail: str


@dataclass
class Chosen:
    """What a column became: the kinds it is read as, or why it is none; and what to say of it."""

    columns: list[Any] = field(default_factory=list)
    reason: str = ""
    notes: list[Note] = field(default_factory=list)


@dataclass
class Asked:
    """A column that is asked what it is.

    Parameters
    ----------
    name : str
    cells : Cells
        Of all rows.
    train : bool (rows,)
    marks : Marks
    encoding : Encoding
    outcomes : float64 (rows, features)
        What target means are taken of; NaN in rows without a target.
    keeps : bool
        Whether it is used even if it looks like the name of a row.
    """

    name: str
    cells: Cells
    train: np.ndarray
    marks: Marks
    encoding: Encoding
    outcomes: np.ndarray
    keeps: bool = False

    @property
    def words(self) -> list[str]:
        """The words of its name, in lower case."""
        found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", self.name)
        return [word.lower() for word in found]

    @property
    def is_called_id(self) -> bool:
        """Whether its name is one of those that names of rows have."""
        name = self.name.strip().lower()
        is_unnamed = re.fullmatch(r"unnamed: ?\d+|column_1", name) is not None
        return is_unnamed or name in _ID_NAMES or bool(set(self.words[-1:]) & _ID_WORDS)


def choose(asked: Asked, kind: str | None = None) -> Chosen:
    """What a column is; what the user says that it is, where `kind` is one of `KINDS`.

    Raises ValueError where its cells are not of that kind.
    """
    if kind == "drop":
        return Chosen(reason="as asked")
    if kind == "keep":
        asked.keeps = True
    absent = missing(asked.cells)
    if absent[asked.train].all():
        return Chosen(reason="empty: it has no values")
    if (constant := _constant(asked, absent)) is not None:
        return Chosen(reason=f"constant: it is always {shown(constant)}")
    if kind in _FORCED:
        return _FORCED[kind](asked)
    read = _as_numbers(asked, absent)
    if read is not None:
        return _numbers(asked, read)
    if (order := _order_of_dates(asked)) is not None:
        return _dates(asked, order.form, order)
    return _categories(asked, absent)


def _constant(asked: Asked, absent: np.ndarray) -> str | None:
    """The text of all training cells, where they have the same."""
    cells, train = asked.cells, asked.train
    if absent[train].any():
        return None
    codes, values = cells.codes[train], cells.values[train]
    same_text = codes[0] >= 0 and (codes == codes[0]).all()
    same_number = codes[0] < 0 and (values == values[0]).all()
    return cells[int(train.argmax())] if same_text or same_number else None


# ---- numbers -------------------------------------------------------------------------------------


def _as_numbers(asked: Asked, absent: np.ndarray) -> Numbers | None:
    """The column as numbers, where enough of its cells are some."""
    cells = asked.cells
    plain = np.isfinite(cells.values)
    if not plain.any() and not any(numeral(text, *asked.marks) for text in cells.texts[:_GLANCE]):
        return None
    read = read_numbers(cells, *asked.marks)
    known = np.isfinite(read.values)
    strange = int(cells.counts()[read.strange].sum())
    if not known[asked.train].any() or known.sum() < ENOUGH * (known.sum() + strange):
        return None
    return None if _are_codes(cells, read.values[known]) else read


def _are_codes(cells: Cells, values: np.ndarray) -> bool:
    """Whether numbers are names, such as 02134: they have zeros in front that others lack."""
    padded = [place for place, text in enumerate(cells.texts) if re.fullmatch(r"0\d+", text)]
    if not padded or not are_whole(values):
        return False
    rows = int(cells.counts()[padded].sum())
    widths = {len(cells.texts[place]) for place in padded}
    plain = np.abs(cells.values[np.isfinite(cells.values)])
    if len(plain):
        widths |= {len(number_text(plain.min())), len(number_text(plain.max()))}
    return len(widths) == 1 or rows >= len(values) / 20


def _numbers(asked: Asked, read: Numbers) -> Chosen:
    values = read.values
    known = values[np.isfinite(values)]
    whole = are_whole(known)
    form = dates.number_form(known, asked.words)
    if form and not asked.keeps:
        return _dates(asked, form)
    if whole and not asked.keeps and not read.unit:
        if reason := _names_rows(asked, known):
            return Chosen(reason=reason)
        if set(asked.words[-1:]) & {"id", "ids"}:
            chosen = _categories(asked, missing(asked.cells))
            return chosen if chosen.columns else _number_columns(asked, read, whole)
    return _number_columns(asked, read, whole)


def _names_rows(asked: Asked, known: np.ndarray) -> str:
    """Why whole numbers are only names of rows, ``""`` where they are not."""
    different = len(np.unique(known))
    are_all = different == len(known) >= max(3, 0.95 * len(asked.cells))
    if are_all and (asked.is_called_id or not _ORDERED.intersection(asked.words)):
        most = different * (_GAPS if different >= _MIN_GAPPED else 1.0)
        if known.max() - known.min() + 1 <= most:
            return "id: it numbers the rows"
    if asked.is_called_id and different >= 0.95 * len(known) and len(known) > 2:
        return "id: its name and different numbers say that it names the rows"
    return ""


def _number_columns(asked: Asked, read: Numbers, whole: bool) -> Chosen:
    encoding, train = asked.encoding, asked.train
    chosen = Chosen()
    codes = missing_codes(read.values[train])
    chosen.notes += [_code_note(asked, number_text(code), count) for code, count in codes]
    taken = tuple(code for code, count in codes if count > 1)
    column = NumberColumn.fit(
        asked.name, read.values[train], encoding.bins, read.unit, read.are_shares, taken
    )
    chosen.columns.append(column)
    if read.limits.any():
        text = asked.cells.texts[int(read.limits.argmax())]
        what = f"{shown(text)} in column {shown(asked.name)}"
        chosen.notes.append(Note("limits are taken as the number itself", what))
    if read.unit:
        found = ((text, numeral(text, *asked.marks)) for text in asked.cells.texts)
        text = next(text for text, number in found if number and number.unit == read.unit)
        note = Note("units are set aside", f"{shown(text)} in column {shown(asked.name)}")
        chosen.notes.append(note)
    if whole and not column.codes and _are_few(read.values[train], encoding.category_numbers):
        category = _category(asked, merging="words")
        chosen.columns += [category] if category.categories else []
    return chosen


def _code_note(asked: Asked, text: str, count: int) -> Note:
    what = f"{text} in {count:,} rows of column {shown(asked.name)}"
    if count > 1:
        return Note("far from all else and repeated, taken as missing", what)
    return Note("far from all else, taken as it is", f"{text} in column {shown(asked.name)}")


def _are_few(values: np.ndarray, most: int) -> bool:
    """Whether there are more than two different numbers, but few, each for several rows."""
    known = values[np.isfinite(values)]
    most = min(most, len(known) // _ROWS_A_NUMBER)
    return 2 < len(np.unique(known[:_GLANCE])) <= most and len(np.unique(known)) <= most


# ---- dates ---------------------------------------------------------------------------------------


def _order_of_dates(asked: Asked) -> dates.Order | None:
    """How the column's texts are dates, where enough of them are."""
    cells = asked.cells
    if not any(_is_moment(text) for text in cells.texts[:_GLANCE]):
        return None
    order = dates.order_of(cells, asked.marks.decimal)
    read = dates.read_moments(cells, order.form)
    known = np.isfinite(read.values)
    plain = int(np.isfinite(cells.values).sum())
    others = int(cells.counts()[read.strange].sum()) + plain
    if not known[asked.train].any() or known.sum() < ENOUGH * (known.sum() + others):
        return None
    return order


def _is_moment(text: str) -> bool:
    return dates.moment(text, True) is not None or dates.moment(text, False) is not None


_FORM_WORDS = {
    "s": "seconds since 1970",
    "ms": "milliseconds since 1970",
    "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970",
    "excel": "days since 1900, as spreadsheets count them",
    dates.COMPACT: "year, month and day",
}


def _dates(asked: Asked, form: str, order: dates.Order | None = None) -> Chosen:
    name = shown(asked.name)
    seconds = dates.read_moments(asked.cells, form).values
    codes = missing_codes(seconds[asked.train], dates.is_end)
    taken = tuple(code for code, count in codes if count > 1)
    column = DateColumn.fit(asked.name, seconds[asked.train], form, asked.encoding.bins, taken)
    chosen = Chosen([column])
    for code, count in codes:
        day = str(np.datetime64(int(code), "s").astype("M8[D]"))
        chosen.notes.append(_code_note(asked, day, count))
    if form in _FORM_WORDS:
        chosen.notes.append(Note(f"numbers are read as {_FORM_WORDS[form]}", f"column {name}"))
        return chosen
    if order is not None and order.matters:
        said = "day before month" if form == "dmy" else "month before day"
        doubt = ", though it could be the other way round" if order.is_open else ""
        chosen.notes.append(Note(f"dates are read as {said}{doubt}", f"column {name}"))
    return chosen


# ---- categories and text -------------------------------------------------------------------------


def _categories(asked: Asked, absent: np.ndarray) -> Chosen:
    cells = asked.cells
    known = int((~absent).sum())
    if len(cells.texts) > max(_GLANCE, _HARDLY * known) and not asked.keeps:
        return _hardly_repeats(asked, len(cells.texts), known)
    levels = Levels.of(cells)
    different = len(levels.keys) - ("" in levels.keys)
    if different == 1 and not absent.any():
        return Chosen(reason=f"constant: it is always {shown(asked.cells[0])}")
    if different > max(2, known / 2) and not asked.keeps:
        return _hardly_repeats(asked, different, known)
    if asked.is_called_id and different >= 0.95 * known > 2 and not asked.keeps:
        return Chosen(reason="id: its name and different texts say that it names the rows")
    return _category_columns(asked, levels, different)


def _hardly_repeats(asked: Asked, different: int, known: int) -> Chosen:
    texts = [text for text in asked.cells.texts if text]
    seen = texts[:_GLANCE]
    if sum(len(_WORD.findall(text)) for text in seen) >= _FREE_WORDS * max(1, len(seen)):
        return _free_text(asked)
    return Chosen(
        reason=f"names: it hardly repeats, {different:,} different ones in {known:,} cells"
    )


def _free_text(asked: Asked) -> Chosen:
    train = asked.cells.take(asked.train)
    note = Note("of free text only the length is used", f"column {shown(asked.name)}")
    return Chosen([TextColumn.fit(asked.name, train, asked.encoding.bins)], notes=[note])


def _category_columns(asked: Asked, levels: Levels, different: int) -> Chosen:
    merging = merging_of(asked.cells)
    chosen = Chosen(notes=_merged(asked, merging))
    column = _category(asked, merging)
    if column.categories:
        chosen.columns.append(column)
    limit = asked.encoding.target_means
    if limit is not None and different > limit:
        rows = asked.train & np.isfinite(asked.outcomes).all(axis=1)
        means = TargetMeanColumn.fit(asked.name, asked.cells.take(rows), asked.outcomes[rows])
        chosen.columns.append(means)
    if not chosen.columns:
        chosen.reason = "rare: none of its categories is common"
    elif len(chosen.columns) == 1 and getattr(column, "categories", ()) == ("",):
        note = Note("none of its categories is common, but whether there is one", asked.name)
        chosen.notes.append(note)
    return chosen


def _category(asked: Asked, merging: str) -> CategoryColumn:
    encoding = asked.encoding
    return CategoryColumn.fit(
        asked.name,
        asked.cells.take(asked.train),
        encoding.min_category_rows,
        encoding.max_categories,
        merging,
    )


def _merged(asked: Asked, merging: str) -> list[Note]:
    """What is said of texts that are taken as one category."""
    notes = []
    for key, texts in spellings(asked.cells, merging).items():
        if key and len(texts) > 1:
            what = f"{named(texts)} in column {shown(asked.name)}"
            notes.append(Note("different spellings are taken as one category", what))
    return notes


# ---- what the user says --------------------------------------------------------------------------


def _forced_number(asked: Asked) -> Chosen:
    read = read_numbers(asked.cells, *asked.marks)
    known = read.values[np.isfinite(read.values)]
    if not np.isfinite(read.values[asked.train]).any():
        _refuse(asked, "numbers")
    return _number_columns(asked, read, whole=are_whole(known))


def _forced_date(asked: Asked) -> Chosen:
    values = asked.cells.values
    known = values[np.isfinite(values)]
    order = dates.order_of(asked.cells, asked.marks.decimal)
    form = (len(known) and dates.number_form(known, ["date", "time"])) or order.form
    if not np.isfinite(dates.read_moments(asked.cells, form).values[asked.train]).any():
        _refuse(asked, "dates")
    return _dates(asked, form, order)


def _forced_category(asked: Asked) -> Chosen:
    levels = Levels.of(asked.cells)
    return _category_columns(asked, levels, len(levels.keys) - ("" in levels.keys))


def _refuse(asked: Asked, expected: str) -> None:
    got = f"{shown(asked.cells[int(asked.train.argmax())])} and the like in all training rows"
    raise ValueError(_check.refusal(f"kinds[{shown(asked.name)}]", got, expected))


_FORCED = {
    "number": _forced_number,
    "date": _forced_date,
    "category": _forced_category,
    "text": _free_text,
}
