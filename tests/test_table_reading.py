"""Tables from files as people have them: encodings, dialects, marks, packed and binary files."""

from __future__ import annotations

import bz2
import contextlib
import datetime
import gzip
import importlib
import io
import lzma
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastweights.table import Table, read
from fastweights.table.numerals import numbers
from fastweights.table.reading import files

PLAIN = "name,size\nanna,1.5\nbert,2\n"


def table(content: str | bytes, **options) -> Table:
    return read(io.BytesIO(content if isinstance(content, bytes) else content.encode()), **options)


def cells(found: Table) -> dict[str, list[str]]:
    return {name: list(column) for name, column in found.columns.items()}


def said(found: Table) -> str:
    return "; ".join(found.remarks)


def refused(content: str | bytes, **options) -> str:
    with pytest.raises(ValueError, match="table") as caught:
        table(content, **options)
    return str(caught.value)


# ---- delimiters and headers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sep=;\na;b\n1;2\n", {"a": ["1"], "b": ["2"]}),
        ("a b c\n1  2   3\n4 5 6\n", {"a": ["1", "4"], "b": ["2", "5"], "c": ["3", "6"]}),
        ("  a   b\n 10   2\n  3  14 \n", {"a": ["10", "3"], "b": ["2", "14"]}),
        ("x;y\n1,5;2,5\n3,5;4,5\n", {"x": ["1.5", "3.5"], "y": ["2.5", "4.5"]}),
        ("review\ngood, nice\nbad, ugly\n", {"review": ["good, nice", "bad, ugly"]}),
        ("date\n2020-01-01 12:00\n2020-01-02 13:00\n",
         {"date": ["2020-01-01 12:00", "2020-01-02 13:00"]}),
        ("a,b,\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"], "column_3": ["", ""]}),
        ("a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("#id,name\n1,x\n2,y\n", {"#id": ["1", "2"], "name": ["x", "y"]}),
        ("a\r1\r2\r", {"a": ["1", "2"]}),
    ],
)  # fmt: skip
def test_delimiters_are_found(content, expected):
    assert cells(table(content)) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Report 2020\nfrom: x, y\n\na,b,c\nx,1,2\ny,3,4\n", "the first 2 lines, 'Report 2020'"),
        ("Title,,\n,,\na,b,c\nx,1,2\ny,3,4\n", "the first 2 lines, 'Title'"),
        ("# one\n# two\na,b,c\nx,1,2\n# in between\ny,3,4\n", "comments: the first 2 lines"),
        ("a,b,c\nx,1,2\ny,3,4\nSource: the office\n", "1 line, 'Source: the office'"),
    ],
)
def test_what_stands_around_a_table_is_skipped_with_a_word(content, words):
    found = table(content)
    assert cells(found) == {"a": ["x", "y"], "b": ["1", "3"], "c": ["2", "4"]}
    assert words in said(found)


def test_row_names_without_a_name_in_the_header():
    found = table('"a" "b"\n"1" 5 6\n"2" 7 8\n')
    assert cells(found) == {"column_1": ["1", "2"], "a": ["5", "7"], "b": ["6", "8"]}
    assert "one column fewer" in said(found)


def test_files_without_a_header():
    rows = "1,2,x\n4,5,y\n7,8,z\n"
    assert "line 1 is taken for the names" in said(table("1,2,3\n4,5,6\n7,8,9\n"))
    found = table(rows, header=False)
    assert list(found.columns) == ["column_1", "column_2", "column_3"]
    assert (len(found), found.remarks) == (3, ())


def test_names_that_occur_twice_are_told_apart_with_a_word():
    found = table("a,a,a.1,a\n1,2,3,4\n")
    assert cells(found) == {"a": ["1"], "a.2": ["2"], "a.1": ["3"], "a.3": ["4"]}
    assert "'a' is 'a.2' in column 2" in said(found)


def test_bad_lines_are_refused_by_their_number_or_skipped_and_counted():
    content = 'a,b\n1,2\n\n3\n5,6\n"7\n'
    assert "line 4 has 1 cells, the header has 2; `skip_bad_lines`" in refused(content)
    found = table(content, skip_bad_lines=True)
    assert cells(found) == {"a": ["1", "5"], "b": ["2", "6"]}
    assert "2 lines that cannot be read or have another number of cells" in said(found)
    assert "line 2 cannot be read (a quote is never closed)" in refused('a,b\n"1,2\n3,4\n')
    assert "line 2 cannot be read (a quote stands in" in refused('a,b\n"1"0,2\n3,4\n')


def test_a_last_line_that_is_cut_off_is_no_note_below_the_table():
    assert "line 4 has 1 cells" in refused("a,b\n1,2\n3,4\n5\n")


def test_quotes_in_the_header_that_nothing_closes():
    for content in ('a,"b\n1,2\n', '"a\n1\n', 'a,"b"c\n1,2\n'):
        assert "line 1 cannot be read" in refused(content)


def test_told_delimiters_are_taken():
    assert cells(table("a:b\n1:2\n", delimiter=":")) == {"a": ["1"], "b": ["2"]}
    for wrong in ("", "ab", "x", '"', "\n", "é", ".", "-"):
        with pytest.raises((TypeError, ValueError), match="delimiter: got"):
            table(PLAIN, delimiter=wrong)


# ---- marks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "decimal", "thousands", "words"),
    [
        ("a;b\n1,5;x\n2,25;y\n", ",", "", "decimal commas"),
        ('a,b\n"1.234,50",x\n"99,00",y\n', ",", ".", "decimal commas"),
        ("a\tb\n1 234,5\tx\n12,5\ty\n", ",", " ", "decimal commas"),
        ("a;b\nCHF 12'000.50;x\n1.5;y\n", ".", "'", ""),
        ('a,b\n"1,234.5",x\n"2,000.0",y\n', ".", ",", ""),
        ("a;b\n1.234.567;x\n2.000.000;y\n", ",", ".", ""),
        # Thousands, for as decimals all would have three digits or none.
        ("a;b\n1.234;x\n850;y\n12.500;z\n", ",", ".", "above a thousand, which nothing proves"),
        ('a,b\n"1,234",x\n850,y\n"12,500",z\n', ".", ",", "above a thousand"),
        # Another column proves it.
        ("a;b\n1.234;0,5\n850;1,5\n", ",", ".", ""),
        ("a,b\n1.234,0.5\n8.501,1.5\n", ".", "", ""),
        # Nothing proves it.
        ("a,b\n1.234,x\n8.501,y\n", ".", "", "a little more than one, which nothing proves"),
        ("a,b\n01.02.2020,192.168.1.1\n03.04.2020,192.168.1.2\n", ".", "", ""),
    ],
)
def test_marks_are_found_for_the_file(content, decimal, thousands, words):
    found = table(content)
    assert (found.decimal, found.thousands) == (decimal, thousands)
    assert words in said(found) if words else "proves" not in said(found)


def test_thousands_are_never_decimals_in_silence():
    """Each of these cells is a number of thousands, in a file that shows it elsewhere."""
    found = table("price;rate\n1.234;0,5\n850;1,25\n2.500;0,75\n")
    assert found["price"].texts == ("1.234", "2.500")
    assert found["rate"].values.tolist() == [0.5, 1.25, 0.75]


def test_a_column_that_proves_another_mark_has_it():
    found = table("x;y;lat\n1,5;2,5;52.123456\n2,5;3,25;13.4\n")
    assert found["lat"].values.tolist() == [52.123456, 13.4]
    assert found["x"].values.tolist() == [1.5, 2.5]
    assert (found.decimal, "column 'lat' has decimal points" in said(found)) == (",", True)


def test_a_mark_that_is_told_holds_for_all():
    found = table("a,b\n1.234,x\n8.501,y\n", decimal=",")
    assert found["a"].texts == ("1.234", "8.501")
    assert (found.decimal, found.thousands, found.remarks) == (",", ".", ())
    with pytest.raises(ValueError, match="decimal: got ';'"):
        table(PLAIN, decimal=";")


@pytest.mark.parametrize("end", ["", ","])
def test_a_comma_outside_of_quotes_always_parts_cells(end):
    """Also where numbers have decimal commas, which are then in quotes."""
    rows = [(f"{n},5", str(n % 7), str(n % 5)) for n in range(1, 30)]
    content = "a,b,c\n" + "".join(f'"{a}",{b},{c}{end}\n' for a, b, c in rows)
    for found in (table(content), table(content, decimal=",")):
        assert found["a"].values.tolist() == [n + 0.5 for n in range(1, 30)]
        assert [*found["b"]] == [b for _, b, _ in rows]
        assert [*found["c"]] == [c for *_, c in rows]


def test_many_digits_that_a_comma_ends_are_a_number():
    found = table("a,b\n" + "1" * 25 + ",2\n", decimal=",")
    assert (found["a"].values[0], found["b"].values[0]) == (float("1" * 25), 2.0)


def test_large_files_are_read_by_the_marks_of_all_their_cells():
    """The first megabytes have none of the cells that prove the mark."""
    rows = "".join(f"{n % 900};x\n" for n in range(500_000))
    found = table("a;b\n" + rows + "1,5;y\n2,5;y\n")
    assert found["a"].values[-2:].tolist() == [1.5, 2.5]
    assert found.decimal == ","


# ---- encodings -----------------------------------------------------------------------------------

GERMAN = "Größe;Straße\nhoch;Öde\n"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "Windows-1252 ('Größe;Straße')"),
    ],
)
def test_encodings_are_found(encoding, words):
    found = table(GERMAN.encode(encoding))
    assert cells(found) == {"Größe": ["hoch"], "Straße": ["Öde"]}
    assert words in said(found) if words else not found.remarks


def test_a_told_encoding_is_taken():
    assert cells(table("Größe,b\n1,2\n".encode("cp850"), encoding="cp850"))["Größe"] == ["1"]
    assert "not in utf-8" in refused("Größe,b\n1,2\n".encode("cp850"), encoding="utf-8")
    for wrong in ("utf-9", "base64", "\ud800"):
        with pytest.raises(ValueError, match="encoding: got"):
            table(PLAIN, encoding=wrong)


def test_a_few_damaged_bytes_do_not_change_the_encoding():
    found = table("a,b\nä,ö\nü,x\n".encode() + b"\xff,y\n")
    assert list(found["a"]) == ["ä", "ü", "\ufffd"]
    assert "1 bytes are not UTF-8" in said(found)


# ---- other kinds of files ------------------------------------------------------------------------


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return file.getvalue()


PACKED = {
    "gzip": gzip.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zip": zipped(table=PLAIN.encode()),
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_are_unpacked(kind):
    assert cells(table(PACKED[kind])) == cells(table(PLAIN))


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_that_are_cut_off_are_refused(kind):
    for end in range(8, len(PACKED[kind]), 3):
        assert "expected" in refused(PACKED[kind][:end]), end


def test_archives_of_several_files_are_refused_by_their_names():
    assert "2 files, a.csv, b.csv" in refused(zipped(**{"a.csv": b"a\n1\n", "b.csv": b"a\n1\n"}))
    assert "0 files" in refused(zipped())
    with_fork = zipped(**{"t.csv": PLAIN.encode(), "__MACOSX__t.csv": b"x"})
    assert "gzip data within gzip" in refused(gzip.compress(PACKED["gzip"]))
    assert "2 files" in refused(with_fork)


def test_what_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(files, "_ALWAYS_UNPACKED", 1 << 20)
    monkeypatch.setattr(files, "total_memory", lambda: 1 << 22)
    monkeypatch.setattr(files, "_CHUNK", 1 << 16)
    assert "more than 0.0 GiB" in refused(gzip.compress(b"1,2\n" * (1 << 20)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.4 ...", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n123", "a PNG image"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file"),
        (b"\x28\xb5\x2f\xfd123", "Zstandard"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b'{"a": 1}\n{"a": 2}\n', "JSON"),
        (b"\x80\x04\x95", "a pickle"),
        (zipped(word__document=b"", **{"word__document.xml": b""}), "a Word document"),
        (zipped(**{"x.npy": b""}), "an archive of NumPy's arrays"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__"', "a model"),
        (b"a,b\n\0,2\n", "a binary file"),
        (bytes(range(256)), "a binary file"),
        (b"\x01\x02\xff\xfe\x03", "a binary file"),
        (b"#only a comment\n", "got no rows"),
    ],
)
def test_what_is_no_table_is_refused_by_what_it_is(content, words):
    assert words in refused(content)


@pytest.mark.parametrize("name", ["ORC", "PAR1", "GIF8", "BZh", "RDX"])
def test_letters_that_other_files_begin_with_may_name_a_column(name):
    assert list(table(f"{name},b\n1,2\n").columns) == [name, "b"]


def test_tables_of_more_columns_than_anybody_has_are_refused():
    assert "got 300,001 columns" in refused(b"," * 300_000 + b"\n")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.text('a1,;"\n\r\t #.|x', max_size=60).map(str.encode)))
def test_whatever_bytes_come_there_is_a_table_or_a_refusal(content):
    found = None
    with contextlib.suppress(ValueError, ModuleNotFoundError):
        found = table(content)
    if found is not None:
        assert len(found) > 0
        for column in found.columns.values():
            assert len(column) == len(found)
            np.testing.assert_array_equal(np.isnan(column.values), column.codes >= 0)
            assert (column.counts() > 0).all()


# ---- where tables come from ----------------------------------------------------------------------


def test_paths_open_files_and_the_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text(PLAIN)
    expected = cells(table(PLAIN))
    assert cells(read(path)) == cells(read(str(path))) == cells(read(bytes(path))) == expected
    assert read(path).source == str(path)
    with open(path, "rb") as binary, open(path) as text:
        assert cells(read(binary)) == cells(read(text)) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN.encode())))
    found = read("-")
    assert (cells(found), found.source) == (expected, "standard input")
    for wrong in (5, None, [1], object()):
        with pytest.raises(TypeError, match="source: got"):
            read(wrong)


def test_excel_files_are_read_from_their_first_sheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "empty"
    sheet = book.create_sheet("first")
    for row in (
        ["A title"],
        [],
        ["name", "size", "when", "ok"],
        ["anna, b.", 1.5, datetime.datetime(2020, 1, 31), True],
        ["007", None, datetime.datetime(2020, 1, 31, 12), False],
    ):
        sheet.append(row)
    book.create_sheet("second").append(["x"])
    book.save(tmp_path / "book.xlsx")
    found = read(tmp_path / "book.xlsx")
    assert cells(found) == {
        "name": ["anna, b.", "007"],
        "size": ["1.5", ""],
        "when": ["2020-01-31", "2020-01-31 12:00:00"],
        "ok": ["True", "False"],
    }
    assert "the sheet 'first' is read; not 'second'" in said(found)
    (tmp_path / "bad.xlsx").write_bytes((tmp_path / "book.xlsx").read_bytes()[:-100])
    with pytest.raises(ValueError, match="a damaged Excel file"):
        read(tmp_path / "bad.xlsx")


WRITTEN = {
    "area": (["906 m²", "1.953 m²", "1.300 m²"] * 4, [906.0, 1953.0, 1300.0]),
    "people": (["1.953", "906", "12.110"] * 4, [1953.0, 906.0, 12110.0]),
    "price": (["1.007,50", "0,5", "3"] * 4, [1007.5, 0.5, 3.0]),
    "rate": ([1.125, 2.25, 3.5] * 4, [1.125, 2.25, 3.5]),
    "mixed": (["0,5", 1.125, 2] * 4, [0.5, 1.125, 2.0]),
}
ENGLISH = {
    "area": (["1,953", "3,462", "850"] * 4, [1953.0, 3462.0, 850.0]),
    "price": (["$50,000", "$5,000", "$900"] * 4, [50000.0, 5000.0, 900.0]),
    "size": (["3,462 sqft", "1,200 sqft", "1.5 sqft"] * 4, [3462.0, 1200.0, 1.5]),
    "rate": ([1.125, 2.25, 3.5] * 4, [1.125, 2.25, 3.5]),
}


def _as_workbook(columns, path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append([*columns])
    for row in zip(*columns.values(), strict=True):
        book.active.append(row)
    book.save(path)
    return path


def _as_frame(columns, path):
    return pytest.importorskip("pandas").DataFrame(columns)


def _as_objects(columns, path):
    return {name: np.array(values, dtype=object) for name, values in columns.items()}


def _as_iterators(columns, path):
    return {name: iter(values) for name, values in columns.items()}


@pytest.mark.parametrize("written", [WRITTEN, ENGLISH], ids=["german", "english"])
@pytest.mark.parametrize("made", [_as_frame, _as_objects, _as_iterators, _as_workbook])
def test_numbers_that_are_texts_are_read_as_in_a_text_file(written, made, tmp_path):
    """Numbers that are such have no mark, and no vote."""
    found = read(made({name: values for name, (values, _) in written.items()}, tmp_path / "b.xlsx"))
    assert (found.decimal, found.thousands) == ((",", ".") if written is WRITTEN else (".", ","))
    for name, (_, expected) in written.items():
        values, strange = numbers(found[name], found.decimal, found.thousands)
        assert values[:3].tolist() == expected, name
        assert not strange.any()


@pytest.mark.parametrize("made", [_as_frame, _as_objects, _as_workbook])
def test_thousands_in_frames_are_never_decimals_in_silence(made, tmp_path):
    """Also beside numbers, which prove no mark of texts."""
    columns = {"area": ["906 m²", "1.953 m²", "1.300 m²"] * 4, "rate": [1.25, 2.5, 0.5] * 4}
    cells = made(columns, tmp_path / "b.xlsx")
    found = read(cells)
    assert (found.decimal, found.thousands) == (",", ".")
    assert "in column 'area' are read as above a thousand, which nothing proves" in said(found)
    told = read(cells, decimal=".")
    assert numbers(told["area"], told.decimal)[0].tolist() == [906.0, 1.953, 1.3] * 4


def test_parquet_and_feather_files_are_read_by_pyarrow(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    for module in ("pyarrow.feather", "pyarrow.parquet"):
        importlib.import_module(module)
    there = pyarrow.table({"a": [1, None, 3], "b": ["x", "y", None]})
    pyarrow.parquet.write_table(there, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(there, str(tmp_path / "t.feather"))
    for path in (tmp_path / "t.parquet", tmp_path / "t.feather"):
        found = read(path)
        assert cells(found) == {"a": ["1", "", "3"], "b": ["x", "y", ""]}
        assert found.source == str(path)
    (tmp_path / "bad").write_bytes((tmp_path / "t.parquet").read_bytes()[:-20])
    with pytest.raises(ValueError, match="a damaged Parquet file"):
        read(tmp_path / "bad")


@pytest.mark.parametrize(
    ("content", "module", "extra"),
    [
        (b"PAR1\x15\0", "pyarrow.parquet", "parquet"),
        (zipped(**{"xl__workbook.xml": b""}), "openpyxl", "excel"),
    ],
)
def test_libraries_that_are_not_there_are_named(content, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"fastweights\[{extra}\]"):
        table(content)
