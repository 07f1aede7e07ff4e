"""`read`: a table from whatever holds one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastweights import _check
from fastweights._json import shown
from fastweights.table.reading.columnar import excel_as_text, read_arrow, read_parquet
from fastweights.table.reading.delimited import read_delimited
from fastweights.table.reading.dialects import checked_delimiter
from fastweights.table.reading.encodings import to_utf8
from fastweights.table.reading.files import contents, unpacked
from fastweights.table.reading.frames import from_memory
from fastweights.table.tables import Table

_BY_LIBRARIES = {"parquet": read_parquet, "arrow": read_arrow, "feather 1": read_arrow}


def read(
    source: Any,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool = True,
    skip_bad_lines: bool = False,
) -> Table:
    """The table in a file, a frame or an array.

    Text files may be packed (gzip, bzip2, xz, or alone in a zip archive), in UTF-8, UTF-16 or
    Windows-1252, with any line ends; cells are parted by comma, semicolon, tab, bar or white space,
    and may be quoted and then hold all of these. Blank lines, titles above the header, comments
    (``#``) and notes below the table are skipped. All this is found from the file, and what is not
    plain is said in the table's `remarks`. A column without a name is called by its place,
    ``column_1`` being the first; the second one of a name is ``name.1``.

    Parquet, Arrow and Feather files are read by PyArrow, Excel's (the first sheet) by openpyxl.

    Parameters
    ----------
    source : path, "-", file, frame, mapping or array
        ``"-"`` is the standard input; a file is open in binary mode. Frames are those of pandas and
        Polars, and PyArrow's tables; a mapping has columns by their names; arrays are
        ``(rows, columns)`` or structured.
    encoding : str, optional
        Such as ``"cp1252"``.
    delimiter : str, optional
        One character; ``" "`` is white space of any length.
    decimal : {".", ","}, optional
        The decimal mark of all columns, of frames where numbers are texts; found unless given.
    header : bool
        Whether the table's first line names the columns. If not, they are called by their places.
    skip_bad_lines : bool
        Leave out lines that have more or fewer cells than there are columns, or quotes in the wrong
        places, and say how many; if not, such a line is refused.

    Raises
    ------
    OSError
        The file cannot be read.
    ModuleNotFoundError
        The library that reads such files is not installed.
    ValueError
        It is no table. The message names the line where one is to blame.
    TypeError
        There is nothing of this kind that a table could be in.
    """
    delimiter = checked_delimiter(delimiter)
    header = _check.flag("header", header)
    skip_bad_lines = _check.flag("skip_bad_lines", skip_bad_lines)
    if decimal not in (None, ".", ","):
        raise ValueError(_check.refusal("decimal", shown(decimal), "'.' or ','"))
    table = from_memory(source, decimal)
    if table is not None:
        return table
    data, name = contents(source)
    data, kind = unpacked(data, name)
    forms = None
    if kind in _BY_LIBRARIES:
        return replace(_BY_LIBRARIES[kind](data, name, decimal), source=name)
    if kind == "excel":
        data, forms, remarks = excel_as_text(data, name, decimal)
        start, delimiter = 0, ","
    elif kind is not None:
        raise ValueError(f"{name}: this is {kind}, expected a table in a text file")
    else:
        data, start, remarks = to_utf8(data, encoding, name)
    table = read_delimited(
        data,
        start,
        name,
        delimiter=delimiter,
        header=header,
        skip_bad_lines=skip_bad_lines,
        decimal=decimal,
        forms=forms,
    )
    return replace(table, remarks=(*remarks, *table.remarks))
