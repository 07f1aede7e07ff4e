"""What kind of file some bytes begin: by their first ones, where these are agreed upon."""

from __future__ import annotations

#: What files begin with that are no text, and what they are.
_BEGINNINGS: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "parquet",
    b"ARROW1\0\0": "arrow",
    b"FEA1": "feather 1",
    b"\x28\xb5\x2f\xfd": "a file packed by Zstandard; unpack it first",
    b"\x04\x22\x4d\x18": "a file packed by LZ4; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it first",
    b"Rar!\x1a\x07": "a RAR archive; unpack it first",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel or Word file; save it as .xlsx or .csv",
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "an array of NumPy; load it and give the array",
    b"SQLite format 3\0": "a SQLite database",
    b"$FL2": "an SPSS file",
    b"$FL3": "an SPSS file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"RDX": "data of R; write them with write.csv",
    b"\x7fELF": "a program",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}

#: The same of texts, behind white space and in small letters.
_TEXTS: dict[bytes, str] = {
    b"<!doctype html": "a web page (HTML)",
    b"<html": "a web page (HTML)",
    b"<?xml": "an XML document",
    b'{"': "JSON; read it with pandas.read_json and give the frame",
    b"[{": "JSON; read it with pandas.read_json and give the frame",
    b"{\n": "JSON; read it with pandas.read_json and give the frame",
    b"%!ps": "a PostScript document",
    b"%pdf-": "a PDF document",
    b"{\\rtf": "a document in rich text",
    b"<stata_dta>": "a Stata file",
}

#: Where the names of tapes' archives say what they are.
_TAR = slice(257, 262)
#: What no text begins with, in any encoding but UTF-16.
_BINARY = bytes({*range(9), *range(14, 27), *range(28, 32), 127})


def format_of(data: bytes) -> str | None:
    """The name of a format that is read, what else the file is in words, or None for a text."""
    sample = data[:512]
    is_text = sample == sample.translate(None, _BINARY)
    for beginning, name in _BEGINNINGS.items():
        # A header may begin with letters that mean something else.
        if data.startswith(beginning) and not (is_text and beginning.isalnum()):
            return name
    if data[_TAR] == b"ustar" and not is_text:
        return "a tar archive; unpack it first"
    if data[8:10] == b'{"' and data[6:8] == b"\0\0":
        return "a model"
    start = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for text, name in _TEXTS.items() if start.startswith(text)), None)
