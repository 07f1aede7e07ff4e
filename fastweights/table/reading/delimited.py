"""Tables in text files whose cells a delimiter parts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from fastweights import _files
from fastweights._json import shown
from fastweights.table.cells import Cells
from fastweights.table.tables import Table

DELIMITERS = ",;\t|"
SNIFFED_RECORDS = 50


def read(source: _files.FilePath) -> Table:
    """The table in a CSV file.

    UTF-8 with or without a byte order mark; the delimiter (comma, semicolon, tab or bar) is found
    by itself; cells may be quoted and then hold delimiters, quotes and line ends; blank lines are
    skipped. The first line names the columns; a column without a name is called by its place,
    ``column_1`` being the first.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not such a table. The message names the line where one is to blame.
    """
    source = _files.path_text(source)
    with _files.naming(source), _files.opened(source) as file:
        text = _decoded(file.read(), source)
    delimiter = _delimiter(text)
    records = _records(text, delimiter, source)
    _, header = next(records, (0, []))
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, start=1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{source}: line 1 names the column {shown(repeated[0])} more than once")
    cells = []
    for line, record in records:
        if len(record) != len(names):
            raise ValueError(
                f"{source}: line {line} has {len(record)} cells, the header has {len(names)}"
            )
        cells.append(record)
    if not cells:
        raise ValueError(f"{source}: got no rows, expected a header line and rows below it")
    decimal = "," if delimiter == ";" else "."
    by_column = zip(*cells, strict=True)
    columns = {
        name: Cells.from_texts(column, decimal)
        for name, column in zip(names, by_column, strict=True)
    }
    return Table(columns, decimal, source=source)


def _decoded(data: bytes, source: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is 0x{data[error.start]:02x}"
        raise ValueError(f"{source}: not a text file in UTF-8 ({place})") from None
    if "\0" in text:
        raise ValueError(f"{source}: not a text file (it holds NUL characters)")
    if not text.strip():
        raise ValueError(f"{source}: the file is empty")
    return text


def _records(text: str, delimiter: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of the line it begins on."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{source}: line {line} cannot be read ({error})") from None


def _delimiter(text: str) -> str:
    """The delimiter under which most of the first records are as long as the header."""

    def fit(delimiter: str) -> tuple[float, int]:
        lengths = []
        try:
            for _, record in _records(text, delimiter, ""):
                lengths.append(len(record))
                if len(lengths) == SNIFFED_RECORDS:
                    break
        except ValueError:  # A quoted cell that this delimiter breaks.
            if not lengths:
                return 0.0, 0
        if lengths[0] == 1:
            return 0.0, 0
        return lengths.count(lengths[0]) / len(lengths), lengths[0]

    return max(DELIMITERS, key=fit)
