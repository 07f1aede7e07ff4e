"""How a text file parts its cells, and where its table begins: found by its first records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastweights import _check
from fastweights._core import cells as tokens
from fastweights._json import shown
from fastweights.table.cells import plain_number

DELIMITERS = ",;\t|"
#: White space of any length, as between aligned columns.
SPACE = " "
#: What no line holds: the delimiter of files of one column.
NONE = "\n"

#: A table that is wider is none, or lies on its side.
MAX_COLUMNS = 250_000

#: So many records are looked at, in so many bytes; but a few always are.
_MOST_RECORDS = 100
_FEWEST_RECORDS = 6
_SAMPLE = 1 << 20
#: Lines above a header, at most.
_MOST_TITLES = 20
#: The share of records that must have one length where only white space parts cells.
_ALIGNED = 0.9

_BLANK, _LINE_END = re.compile(rb"[ \t\r\n]*"), re.compile(rb"\r\n|\r|\n")
_SEP = re.compile(rb'"?sep=([,;|:^~\t ])"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)


class Record(NamedTuple):
    """Cells of a line, or of several where line ends are quoted; and its bytes."""

    line: int
    begin: int
    end: int
    cells: list[str]


@dataclass(frozen=True)
class Layout:
    """Where the rows of a table begin, and what its columns are called.

    Parameters
    ----------
    delimiter : str
    start, line : int
        The first byte below the header, and the line that it is on.
    names : list of str
        One for each column as the header has it: empty and repeated ones too.
    remarks : list of str
        What was decided, in words.
    """

    delimiter: str
    start: int
    line: int
    names: list[str]
    remarks: list[str]


def find_layout(
    data: bytes, start: int, source: str, delimiter: str | None = None, header: bool = True
) -> Layout:
    """The layout of a file of UTF-8 text that begins at `start`.

    Raises ValueError where the file is empty, has too many columns, or cannot be read from its
    first line on.
    """
    line = 1
    told = _SEP.match(data, start)
    if told:
        start, line = told.end(), 2
        delimiter = delimiter or told[1].decode("latin-1")
    comments, start, line = _comments(data, start, line)
    candidates = [*DELIMITERS, SPACE] if delimiter is None else [delimiter]
    samples = {candidate: _sample(data, start, line, candidate) for candidate in candidates}
    longest = max(map(len, samples.values()))
    if longest == 0 and _BLANK.fullmatch(data, start):
        raise ValueError(f"{source}: the file is empty")
    heads = {mark: _Head.of(data, sample, header) for mark, sample in samples.items()}
    if longest and not any(head.width for head in heads.values()):
        raise ValueError(f"{source}: got no rows, expected more than comments")
    if delimiter is None:
        delimiter = _best(heads, longest)
        if delimiter == NONE and all(samples.values()):
            heads[NONE] = _Head.of(data, _sample(data, start, line, NONE), header)
    if delimiter not in heads or not heads[delimiter].width:
        what = "a quote is never closed, or stands in the middle of a cell"
        raise ValueError(f"{source}: line {line} cannot be read ({what})")
    if heads[delimiter].width > MAX_COLUMNS:
        got = f"{heads[delimiter].width:,} columns"
        raise ValueError(f"{source}: got {got}, expected at most {MAX_COLUMNS:,}")
    layout = heads[delimiter].layout(delimiter, header)
    comments += len(heads[delimiter].comments)
    if comments:
        layout.remarks.insert(0, f"skipped as comments: the first {_lines(comments)}")
    return layout


def _sample(data: bytes, start: int, line: int, delimiter: str) -> list[Record]:
    """The first records, fewer where lines are long."""
    first = data.find(b"\n", start)
    length = max(1, (len(data) if first < 0 else first) - start)
    most = min(_MOST_RECORDS, max(_FEWEST_RECORDS, _SAMPLE // length))
    return [Record(*found) for found in tokens.records(data, start, line, delimiter, most)]


def _comments(data: bytes, start: int, line: int) -> tuple[int, int, int]:
    """How many lines of comments stand above the last one; where that begins, and on what line."""
    places = []
    at = _BLANK.match(data, start).end()  # type: ignore[union-attr]
    while data.startswith(b"#", at) and (at == start or data[at - 1] in b"\r\n"):
        places.append(at)
        end = _LINE_END.search(data, at)
        at = _BLANK.match(data, end.end() if end else len(data)).end()  # type: ignore[union-attr]
    if not places:
        return 0, start, line
    lines = len(_LINE_END.findall(data, start, places[-1]))
    return len(places) - 1, places[-1], line + lines


def _best(heads: dict[str, _Head], longest: int) -> str:
    """The delimiter under which most records have one length; NONE where none parts them."""
    shares = {
        mark: (head.fitting / longest, head.width)
        for mark, head in heads.items()
        if head.width > 1 and head.is_sound and mark != SPACE
    }
    best = max(shares, key=lambda mark: shares[mark], default=NONE)
    if best == NONE or shares[best][0] < 0.5:
        aligned = heads[SPACE]
        below = max(1, len(aligned.body))
        if aligned.width > 1 and aligned.is_sound and aligned.fitting >= _ALIGNED * below:
            return SPACE
    return best


@dataclass(frozen=True)
class _Head:
    """What the first records are: comments, titles, a header, rows.

    `fitting` of the rows in `body` have `width` cells; `is_sound` says whether the header suits
    them.
    """

    comments: list[Record]
    titles: list[Record]
    header: Record | None
    body: list[Record]
    width: int
    fitting: int
    is_sound: bool

    @classmethod
    def of(cls, data: bytes, sample: list[Record], has_header: bool) -> _Head:
        first = 1 if sample and data[sample[0].begin] == ord("#") else 0
        comments, rest = sample[:first], sample[first:]
        width = _width(rest)
        named = _named_by_a_comment(comments, rest, width)
        if named is not None and has_header:
            return cls._made(comments[:-1], [], named, rest, width)
        above = _titles(rest, width, has_header)
        titles, rest = rest[:above], rest[above:]
        if has_header:
            return cls._made(comments, titles, rest[0] if rest else None, rest[1:], width)
        return cls._made(comments, titles, None, rest, width)

    @classmethod
    def _made(
        cls,
        comments: list[Record],
        titles: list[Record],
        header: Record | None,
        body: list[Record],
        width: int,
    ) -> _Head:
        if header is not None:
            length = len(_trimmed(header.cells, width))
            is_sound = length == width or (
                length == width - 1 and (width > 2 or _end_in_delimiters(body, width))
            )
            fitting = sum(len(one.cells) == width for one in body) + 1
        else:
            is_sound, fitting = True, sum(len(one.cells) == width for one in body)
        return cls(comments, titles, header, body, width, fitting, is_sound)

    def layout(self, delimiter: str, has_header: bool) -> Layout:
        remarks = []
        if self.titles:
            words = shown(" ".join(filter(None, self.titles[0].cells)))
            remarks.append(
                f"skipped above the table: the first {_lines(len(self.titles))}, {words}"
            )
        above = [*self.comments, *self.titles, *([self.header] if self.header else [])]
        if self.body:
            start, line = self.body[0].begin, self.body[0].line
        else:
            start, line = above[-1].end, above[-1].line + 1
        if self.header is None:
            return Layout(delimiter, start, line, [""] * self.width, remarks)
        names = _trimmed(self.header.cells, self.width)
        if len(names) == self.width - 1 and _end_in_delimiters(self.body, self.width):
            return Layout(delimiter, start, line, names, remarks)
        if len(names) == self.width - 1 and self.width > 2 and self.body:
            names = ["", *names]
            remarks.append("the header names one column fewer: the first has none")
        if delimiter == NONE and any(mark in names[0] for mark in DELIMITERS):
            remarks.append(f"nothing parts the cells of most lines: one column, {shown(names[0])}")
        remarks += _doubts(self.header, names, self.body)
        return Layout(delimiter, start, line, names, remarks)


def _width(records: Sequence[Record]) -> int:
    """How many cells most records have, and of equally many the longest."""
    counts = Counter(len(one.cells) for one in records)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _trimmed(names: list[str], width: int) -> list[str]:
    """A header without the empty cells behind what the rows have."""
    end = len(names)
    while end > width and not names[end - 1]:
        end -= 1
    return names[:end]


def _end_in_delimiters(body: Sequence[Record], width: int) -> bool:
    """Whether nothing is in the last of so many cells."""
    last = [one.cells[-1] for one in body if len(one.cells) == width]
    return bool(last) and not any(last)


def is_number(text: str) -> bool:
    """Whether a text is a plain number with either decimal mark."""
    return any(plain_number(text, mark) == plain_number(text, mark) for mark in ".,")


def _names_columns(header: Record, body: Sequence[Record]) -> bool:
    """Whether a record is surely a header: all words, and there are numbers below it."""
    cells = header.cells
    if not all(cells) or any(map(is_number, cells)) or len(set(cells)) < len(cells):
        return False
    rows = [one.cells for one in body if len(one.cells) == len(cells)]
    return bool(rows) and any(
        2 * sum(is_number(row[place]) for row in rows) >= len(rows) for place in range(len(cells))
    )


def _titles(records: list[Record], width: int, has_header: bool) -> int:
    """How many records stand above the table: of few words each, and what follows is a header."""
    above = 0
    while above < min(_MOST_TITLES, len(records) - 1) and _may_be_title(records[above], width):
        above += 1
    if above == 0:
        return 0
    if not has_header:
        return above
    for place in range(above, 0, -1):
        if len(records[place].cells) == width and _names_columns(
            records[place], records[place + 1 :]
        ):
            return place
    return 0


def _may_be_title(record: Record, width: int) -> bool:
    filled = sum(map(bool, record.cells))
    is_short = len(record.cells) < width or (width > 2 and filled <= width // 2)
    return is_short and not any(map(is_number, record.cells[1:]))


def _named_by_a_comment(
    comments: Sequence[Record], rest: Sequence[Record], width: int
) -> Record | None:
    """The header where it is the last of some comments."""
    if not comments or not rest:
        return None
    last = comments[-1]
    # There may be white space behind the mark, which parts cells.
    cells = last.cells[len(last.cells) > width and last.cells[0] == "#" :]
    if len(cells) != width or width < 2 or _names_columns(rest[0], rest[1:]):
        return None
    return last._replace(cells=cells)


def _doubts(header: Record, names: Sequence[str], body: Sequence[Record]) -> list[str]:
    """A remark where the header may be a row."""
    rows = [one.cells for one in body if len(one.cells) == len(names)]
    numbers = [place for place, name in enumerate(names) if is_number(name)]
    filled = sum(map(bool, names))
    if rows and 2 * len(numbers) >= filled > 0 and all(is_number(rows[0][n]) for n in numbers):
        return [
            f"line {header.line} is taken for the names of the columns, but looks like a row: "
            "`header=False` says that it is one"
        ]
    return []


def _lines(count: int) -> str:
    return "line" if count == 1 else f"{count:,} lines"


def checked_delimiter(delimiter: str | None) -> str | None:
    """A delimiter that may be told; ValueError for what cannot be one."""
    if delimiter is None:
        return None
    found = _check.name("delimiter", delimiter)
    if len(found) != 1 or not found.isascii() or found.isalnum() or found in '"\r\n\0.-+':
        expected = "one character, such as ',' or '\\t' (' ': white space of any length)"
        raise ValueError(_check.refusal("delimiter", shown(found), expected))
    return found
