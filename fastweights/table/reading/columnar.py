"""Tables in files that other libraries read: Parquet, Arrow and Feather, Excel."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable
from typing import Any

from fastweights import _check
from fastweights._importing import imported
from fastweights._json import shown
from fastweights.table.reading.frames import from_memory
from fastweights.table.tables import Table


def read_parquet(data: bytes, source: str) -> Table:
    """The table in a Parquet file."""
    parquet = _module("pyarrow.parquet", source, "Parquet", "parquet")
    return _of_arrow(lambda file: parquet.read_table(file), data, source, "Parquet")


def read_arrow(data: bytes, source: str) -> Table:
    """The table in an Arrow file, which Feather's second version is too, or in one of the first."""
    feather = _module("pyarrow.feather", source, "Arrow", "parquet")
    return _of_arrow(lambda file: feather.read_table(file), data, source, "Arrow or Feather")


def _of_arrow(read: Any, data: bytes, source: str, kind: str) -> Table:
    try:
        table = read(imported("pyarrow").BufferReader(data))
    except Exception as error:  # whatever it has for damaged files
        what = " ".join(str(error).split())[:200]
        raise ValueError(f"{source}: got a damaged {kind} file ({what})") from None
    found = from_memory(table)
    assert found is not None  # PyArrow's tables are tables
    return found


def excel_as_text(data: bytes, source: str) -> tuple[bytes, list[str]]:
    """The first sheet of an Excel file that holds anything, as comma-separated UTF-8; remarks."""
    openpyxl = _module("openpyxl", source, "Excel", "excel")
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, _rows(sheet)) for sheet in book.worksheets]
    except Exception as error:  # whatever it has for damaged files
        what = " ".join(str(error).split())[:200]
        raise ValueError(f"{source}: got a damaged Excel file ({what})") from None
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        raise ValueError(f"{source}: the file is empty")
    title, rows = filled[0]
    others = [shown(other) for other, _ in filled[1:]]
    remarks = [f"the sheet {shown(title)} is read; not {_check.listed(others)}"] if others else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace"), remarks


def _rows(sheet: Any) -> list[list[str]]:
    """The cells of a sheet as texts, without what is empty around them."""
    sheet.reset_dimensions()  # What files say of it may be anything.
    rows = [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    while rows and not any(rows[-1]):
        rows.pop()
    width = max((_filled(row) for row in rows), default=0)
    return [[*row[:width], *[""] * (width - len(row))] for row in rows if any(row)]


def _filled(row: Iterable[str]) -> int:
    return max((place for place, text in enumerate(row, start=1) if text), default=0)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value).strip()


def _module(name: str, source: str, kind: str, extra: str) -> Any:
    try:
        return imported(name)
    except ModuleNotFoundError:
        package = name.partition(".")[0]
        raise ModuleNotFoundError(
            f"{source}: {kind} files are read by {package}: pip install 'fastweights[{extra}]'"
        ) from None
