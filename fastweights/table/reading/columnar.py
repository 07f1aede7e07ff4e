"""Tables in files that other libraries read: Parquet, Arrow and Feather, Excel."""

from __future__ import annotations

import csv
import datetime
import io
import numbers
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastweights import _check
from fastweights._importing import imported
from fastweights._json import shown
from fastweights.table.reading.frames import from_memory
from fastweights.table.reading.marks import Forms, find_marks, forms_of
from fastweights.table.tables import Table
from fastweights.table.values import texts_in


def read_parquet(data: bytes, source: str, decimal: str | None) -> Table:
    """The table in a Parquet file."""
    parquet = _module("pyarrow.parquet", source, "Parquet", "parquet")
    return _of_arrow(lambda file: parquet.read_table(file), data, source, "Parquet", decimal)


def read_arrow(data: bytes, source: str, decimal: str | None) -> Table:
    """The table in an Arrow file, which Feather's second version is too, or in one of the first."""
    feather = _module("pyarrow.feather", source, "Arrow", "parquet")
    return _of_arrow(
        lambda file: feather.read_table(file), data, source, "Arrow or Feather", decimal
    )


def _of_arrow(read: Any, data: bytes, source: str, kind: str, decimal: str | None) -> Table:
    try:
        table = read(imported("pyarrow").BufferReader(data))
    except Exception as error:  # whatever it has for damaged files
        what = " ".join(str(error).split())[:200]
        raise ValueError(f"{source}: got a damaged {kind} file ({what})") from None
    found = from_memory(table, decimal)
    assert found is not None  # PyArrow's tables are tables
    return found


class Sheet(NamedTuple):
    """A sheet as comma-separated UTF-8, the forms that its texts hold numbers in, and remarks."""

    data: bytes
    forms: list[Forms]
    remarks: list[str]


def excel_as_text(data: bytes, source: str, decimal: str | None) -> Sheet:
    """The first sheet of an Excel file that holds anything.

    Numbers are written with the mark, `decimal` or found, that the texts of their column have.
    """
    openpyxl = _module("openpyxl", source, "Excel", "excel")
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, _filled_part(sheet)) for sheet in book.worksheets]
    except Exception as error:  # whatever it has for damaged files
        what = " ".join(str(error).split())[:200]
        raise ValueError(f"{source}: got a damaged Excel file ({what})") from None
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        raise ValueError(f"{source}: the file is empty")
    title, rows = filled[0]
    others = [shown(other) for other, _ in filled[1:]]
    remarks = [f"the sheet {shown(title)} is read; not {_check.listed(others)}"] if others else []
    forms = [forms_of(texts_in(column)) for column in zip(*rows, strict=True)]
    points = find_marks(forms, [""] * len(forms), ",", decimal).points
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_text, row, points) for row in rows)
    return Sheet(text.getvalue().encode("utf-8", "replace"), forms, remarks)


def _filled_part(sheet: Any) -> list[list[Any]]:
    """The cells of a sheet, without what is empty around them."""
    sheet.reset_dimensions()  # What files say of it may be anything.
    rows = [[_stripped(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    width = max(map(_filled, rows), default=0)
    return [[*row[:width], *[""] * (width - len(row))] for row in rows if _filled(row)]


def _stripped(value: Any) -> Any:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else value


def _filled(row: Iterable[Any]) -> int:
    return max((place for place, value in enumerate(row, start=1) if value != ""), default=0)


def _text(value: Any, decimal: str) -> str:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    is_number = isinstance(value, numbers.Number)
    return str(value).replace(".", decimal) if is_number else str(value)


def _module(name: str, source: str, kind: str, extra: str) -> Any:
    try:
        return imported(name)
    except ModuleNotFoundError:
        package = name.partition(".")[0]
        raise ModuleNotFoundError(
            f"{source}: {kind} files are read by {package}: pip install 'fastweights[{extra}]'"
        ) from None
