"""Which mark parts decimals and which thousands: decided for a table from all its cells.

# Design: each column's cells vote in the forms that numbers have in them, as `tokenise` counts
them. `1.5`, `0.125` and `1,234.5` can be read in one way, and so can `1,5` and `1.234.567`; `1.234`
may be a number of little more than one, or above a thousand. A column whose cells prove its mark
has that one; all others have that of most columns which prove one. Where nothing in the file does,
thousands are known by what they would be as decimals: three digits behind the mark in every cell,
but none at all where there is no mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fastweights._core import cells as tokens
from fastweights._json import shown

#: So many cells that are thousands, if they are, beside a small one are no chance.
_SURELY = 2
#: For each cell that has digits and is no number a column of numbers has more than so many others.
_NUMBERS_A_TEXT = 4
#: Names in a remark.
_MOST_NAMED = 3


class Forms(NamedTuple):
    """How many cells of a column hold a number in each form, in the order of `tokenise`.

    Plain numbers are counted as often as they occur, texts once, and those whose digits are in
    groups twice: also by what parts the groups. ``maybe`` has three digits behind its only mark,
    which may part decimals or thousands.
    """

    few_digits: int
    many_digits: int
    point: int
    point_maybe: int
    comma: int
    comma_maybe: int
    point_groups: int
    comma_groups: int
    space_groups: int
    apostrophe_groups: int
    no_number: int

    @property
    def is_of_numbers(self) -> bool:
        return sum(self[:6]) > _NUMBERS_A_TEXT * self.no_number

    @property
    def groups(self) -> int:
        return sum(self[6:10])

    def decimal(self) -> str | None:
        """The mark that the cells themselves prove, of most of them."""
        points = self.point + self.comma_groups
        commas = self.comma + self.point_groups
        return None if points == commas else "." if points > commas else ","

    def is_mixed(self) -> bool:
        return min(self.point + self.comma_groups, self.comma + self.point_groups) > 0

    def supposed(self) -> str | None:
        """The mark that is likely where no cell proves one."""
        if self.many_digits > self.groups or not self.few_digits:
            return None
        if self.point_maybe >= _SURELY and not self.comma_maybe:
            return ","
        if self.comma_maybe >= _SURELY and not self.point_maybe:
            return "."
        return None


class Marks(NamedTuple):
    """The decimal mark of each column, and of the file; what parts its thousands; remarks."""

    points: str
    decimal: str
    thousands: str
    remarks: list[str]


def forms_of(texts: Iterable[str]) -> Forms:
    """The forms of different texts, as if each stood in one cell of a file."""
    lines = ('"' + text.replace('"', '""') + '"' for text in texts)
    data = "\n".join(lines).encode("utf-8", "replace")
    return Forms(*tokens.tokenise(data, 0, 1, "\n", ".", True).columns[0][3])


def find_marks(
    forms: Sequence[Forms], names: Sequence[str], delimiter: str, told: str | None
) -> Marks:
    """The marks of a file whose columns hold numbers in these forms.

    Parameters
    ----------
    told : str, optional
        The decimal mark, where the user said it.
    """
    of_numbers = {place: one for place, one in enumerate(forms) if one.is_of_numbers}
    proven = {place: one.decimal() for place, one in of_numbers.items()}
    decimal = told or _of_most(of_numbers, proven, delimiter)
    supposed = decimal is None
    if decimal is None:
        decimal = _supposed(of_numbers, delimiter)
    points = [decimal] * len(forms)
    if told is None:
        for place, mark in proven.items():
            points[place] = mark or decimal
    remarks = _remarks(of_numbers, names, points, decimal, told is None, supposed)
    return Marks("".join(points), decimal, _thousands(of_numbers.values(), decimal), remarks)


def _of_most(forms: dict[int, Forms], proven: dict[int, str | None], delimiter: str) -> str | None:
    """The mark that most columns prove, of equally many columns that of most cells."""
    votes = {
        mark: (
            sum(found == mark for found in proven.values()),
            sum(sum(forms[place][2:9]) for place, found in proven.items() if found == mark),
            (mark == ",") == (delimiter == ";"),
        )
        for mark in ".,"
    }
    if not any(columns for columns, *_ in votes.values()):
        return None
    return max(votes, key=lambda mark: votes[mark])


def _supposed(forms: dict[int, Forms], delimiter: str) -> str:
    found = {one.supposed() for one in forms.values()} - {None}
    if len(found) == 1:
        return found.pop() or "."
    fixed = any(one.comma_maybe for one in forms.values())
    return "," if delimiter == ";" and fixed else "."


def _thousands(forms: Iterable[Forms], decimal: str) -> str:
    """What parts thousands in most of the cells where something does; "" where nothing does."""
    counts = dict.fromkeys((".", ",", " ", "'"), 0)
    for one in forms:
        counts["."] += one.point_groups + (one.point_maybe if decimal == "," else 0)
        counts[","] += one.comma_groups + (one.comma_maybe if decimal == "." else 0)
        counts[" "] += one.space_groups
        counts["'"] += one.apostrophe_groups
    del counts[decimal]
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def _remarks(
    forms: dict[int, Forms],
    names: Sequence[str],
    points: Sequence[str],
    decimal: str,
    is_free: bool,
    supposed: bool,
) -> list[str]:
    if not is_free:
        return []
    remarks = []
    if decimal == "," and not supposed:
        remarks.append("numbers have decimal commas: 1,5 is one and a half")
    others = [names[place] for place in forms if points[place] != decimal]
    if others:
        what = "decimal points" if decimal == "," else "decimal commas"
        remarks.append(f"unlike other columns {_listed(others)} has {what}")
    mixed = [names[place] for place, one in forms.items() if one.is_mixed()]
    if mixed:
        remarks.append(f"decimal points and decimal commas are mixed in {_listed(mixed)}")
    doubtful = [
        names[place]
        for place, one in forms.items()
        if (one.point_maybe or one.comma_maybe)
        and one.decimal() is None
        and (supposed or one.supposed() not in (None, points[place]))
    ]
    if doubtful:
        mark = "." if any(forms[p].point_maybe for p in forms if names[p] in doubtful) else ","
        meaning = "a little more than one" if mark == decimal else "above a thousand"
        other = "," if decimal == "." else "."
        remarks.append(
            f"numbers such as 1{mark}234 in {_listed(doubtful)} are read as {meaning}, which "
            f"nothing proves; `decimal={other!r}` reads them the other way"
        )
    return remarks


def _listed(names: Sequence[str]) -> str:
    words = ", ".join(map(shown, names[:_MOST_NAMED]))
    more = len(names) - _MOST_NAMED
    return (
        f"column {words}"
        if len(names) == 1
        else f"columns {words}" + (f" and {more} more" if more > 0 else "")
    )
