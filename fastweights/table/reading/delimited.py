"""Tables in text whose cells a delimiter parts."""

from __future__ import annotations

import numpy as np

from fastweights._core import cells as tokens
from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.naming import unique_names
from fastweights.table.reading.dialects import Layout, find_layout, is_number
from fastweights.table.reading.marks import Forms, Marks, find_marks
from fastweights.table.tables import Table

#: So much of a large file is read to suppose its marks, before all of it is.
_SAMPLE = 1 << 20

_WRONG_QUOTES = {-1: "a quote is never closed", -2: "a quote stands in the middle of a cell"}


def read_delimited(
    data: bytes,
    start: int,
    source: str,
    *,
    delimiter: str | None,
    header: bool,
    skip_bad_lines: bool,
    decimal: str | None,
    forms: list[Forms] | None,
) -> Table:
    """The table in UTF-8 text that begins at `start`; arguments as `read` has them.

    Where the `forms` of its columns are given, marks are found from these alone.
    """
    layout = find_layout(data, start, source, delimiter, header)
    names, remarks = unique_names(layout.names)
    found, marks = _tokenised(data, layout, names, decimal, skip_bad_lines, forms)
    remarks += _left_out(found, data, layout, source, header, skip_bad_lines)
    if not found.rows:
        expected = "a header line and rows below it" if header else "rows"
        raise ValueError(f"{source}: got no rows, expected {expected}")
    columns = {}
    found.columns.reverse()
    for name in names:
        values, codes, texts, _ = found.columns.pop()  # of which copies may be made
        columns[name] = Cells(values, codes, texts)
        if found.bad or found.comments:  # whose texts may be in no row
            columns[name] = columns[name].take(np.arange(found.rows))
    remarks = [*layout.remarks, *remarks, *marks.remarks]
    return Table(columns, marks.decimal, marks.thousands, source, tuple(remarks))


def _tokenised(
    data: bytes,
    layout: Layout,
    names: list[str],
    decimal: str | None,
    skip_bad_lines: bool,
    told: list[Forms] | None,
) -> tuple[tokens.Tokens, Marks]:
    """The rows, read by the marks that they prove themselves, or the forms that are told."""

    def tokenised(part: bytes, points: str, skip: bool) -> tuple[tokens.Tokens, Marks]:
        start, line, delimiter = layout.start, layout.line, layout.delimiter
        found = tokens.tokenise(part, start, line, delimiter, points, skip)
        forms = told[: len(names)] if told else [Forms(*counts) for *_, counts in found.columns]
        return found, find_marks(forms, names, delimiter, decimal)

    points = (decimal or ".") * len(names)
    if len(data) - layout.start > 2 * _SAMPLE:
        points = tokenised(data[: layout.start + _SAMPLE], points, True)[1].points
    found, marks = tokenised(data, points, skip_bad_lines)
    if marks.points != points:
        del found
        found = tokenised(data, marks.points, skip_bad_lines)[0]
    return found, marks


def _left_out(
    found: tokens.Tokens,
    data: bytes,
    layout: Layout,
    source: str,
    header: bool,
    skip_bad_lines: bool,
) -> list[str]:
    """Remarks on records that are no rows; ValueError where any should be one."""
    remarks = []
    if found.comments:
        remarks.append(f"skipped as comments: {_lines(found.comments)} beginning with #")
    if found.longer:
        remarks.append(
            f"{_lines(found.longer)} with empty cells behind the last column, which are no column"
        )
    footers = _footers(found, data, layout)
    if footers:
        remarks.append(f"skipped below the table: {_lines(len(footers))}, {shown(footers[0])}")
    elif found.bad_count and skip_bad_lines:
        what = f"{_lines(found.bad_count)} that cannot be read or have another number of cells"
        remarks.append(f"skipped: {what}, the first is line {found.bad[0][0]}")
    elif found.bad:
        line, cells, *_ = found.bad[0]
        whole = f"the header has {len(layout.names)}"
        if not header:
            whole = f"most lines have {len(layout.names)}"
        what = f"has {cells} cells, {whole}"
        if cells in _WRONG_QUOTES:
            what = f"cannot be read ({_WRONG_QUOTES[cells]})"
        raise ValueError(f"{source}: line {line} {what}; `skip_bad_lines` leaves out such lines")
    return remarks


def _footers(found: tokens.Tokens, data: bytes, layout: Layout) -> list[str]:
    """The texts of lines below the table, where nothing else is wrong: one text a line."""
    texts = []
    if len(found.bad) < found.bad_count or len(layout.names) < 2:
        return []
    for line, count, row, begin, _ in found.bad:
        if row < found.rows or count < 0:
            return []
        cells = tokens.records(data, begin, line, layout.delimiter, 1)[0][3]
        is_short = count < len(layout.names)
        if any(cells[1:]) or not is_short or is_number(cells[0]):
            return []
        texts.append(cells[0])
    return texts


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"
