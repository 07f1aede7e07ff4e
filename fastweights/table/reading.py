"""Tables of text cells: reading them from CSV files, taking rows, splitting rows.

Nothing is interpreted here but the file's format; what a column means is found in `columns.py`.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastweights import _check, _files
from fastweights._core import philox
from fastweights._json import shown

DELIMITERS = ",;\t|"
SNIFFED_RECORDS = 50


@dataclass(frozen=True)
class Table:
    """Columns of text cells, all of one length, as a CSV file holds them.

    Parameters
    ----------
    columns : dict of str to object array (rows,)
        The stripped cells of each column, in the file's order.
    decimal : str
        The decimal mark in its numbers: a point, or a comma where semicolons part the cells.
    source : str
        Where the table comes from; error messages begin with it.
    """

    columns: dict[str, np.ndarray]
    decimal: str = "."
    source: str = "table"

    @classmethod
    def from_columns(cls, columns: Mapping[str, Iterable[Any]]) -> Table:
        """A table from Python values: None is a missing cell, everything else becomes its text.

        Raises ValueError where the columns differ in length.
        """
        cells = {
            str(name): np.array(["" if v is None else str(v).strip() for v in values], dtype=object)
            for name, values in columns.items()
        }
        lengths = sorted({len(column) for column in cells.values()})
        if len(lengths) != 1:
            raise ValueError(
                _check.refusal("columns", f"lengths {lengths}", "columns of one length")
            )
        return cls(cells)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> np.ndarray:
        """The cells of one column; ValueError that suggests the nearest where there is none."""
        if name in self.columns:
            return self.columns[name]
        near = self.nearest(name)
        hint = f"; did you mean {shown(near)}?" if near else ""
        raise ValueError(f"{self.source}: no column {shown(name)} among {len(self.columns)}{hint}")

    def nearest(self, name: str) -> str | None:
        """The column whose name is most like this one, where one is."""
        known = {column.lower(): column for column in self.columns}
        close = difflib.get_close_matches(name.lower(), known, n=1)
        return known[close[0]] if close else None

    def take(self, rows: np.ndarray) -> Table:
        """The table of these rows: an array of row numbers, or one of True and False."""
        chosen = {name: cells[rows] for name, cells in self.columns.items()}
        return Table(chosen, self.decimal, self.source)


def read_csv(path: _files.FilePath) -> Table:
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
    source = _files.path_text(path)
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
        cells.append([cell.strip() for cell in record])
    if not cells:
        raise ValueError(f"{source}: got no rows, expected a header line and rows below it")
    by_column = np.array(cells, dtype=object).T
    columns = {name: by_column[place] for place, name in enumerate(names)}
    return Table(columns, "," if delimiter == ";" else ".", source)


def split(rows: int, fraction: float, seed: int, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the rest and of a random part, each in rising order.

    Parameters
    ----------
    rows : int
        How many rows there are.
    fraction : float
        The part's share, at least 0 and below 1; rounded, but at least one row unless it is 0.
    seed : int
        The same seed takes the same rows, on every machine.
    draw : int
        One seed gives many draws that have nothing to do with each other.

    Returns
    -------
    rest, part : int64 arrays
    """
    fraction = _check.number("fraction", fraction, minimum=0.0, below=1.0)
    seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
    count = max(1, round(rows * fraction)) if fraction else 0
    order = np.empty(rows, dtype=np.int64)
    philox.permutation(order, seed, philox.STREAM_SPLIT + draw)
    return np.sort(order[count:]), np.sort(order[:count])


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
