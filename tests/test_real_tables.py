"""Real tables: a folder of small files such as people have, each with its right reading.

What is right is in tests/tables/readings.toml, written from what a careful person would say and not
from the code. Here are besides: files in files, what is no file, very wide tables, and the command
line on some of them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_running import refused, run_json, write_csv
from table_readings import FOLDER, Reading, kind_of, remarks_on, says

from fastweights import cli
from fastweights.table import Preprocessor, Table, TableModel, read

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

LIST = FOLDER / "readings.toml"
READINGS = [Reading(entry) for entry in tomllib.loads(LIST.read_text("utf-8"))["reading"]]
REFUSED = [reading for reading in READINGS if "refused" in reading.entry]
READ = [reading for reading in READINGS if "refused" not in reading.entry]
LEARNT = [reading for reading in READ if "target" in reading.entry]


def named(readings: list[Reading]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reading", readings, ids=repr)


# ---- the list ------------------------------------------------------------------------------------


def test_every_file_is_in_the_list_and_every_file_of_the_list_is_there():
    listed = {reading.entry["file"] for reading in READINGS}
    listed |= {reading.entry["later"] for reading in READINGS if "later" in reading.entry}
    assert listed == {path.name for path in FOLDER.iterdir()} - {LIST.name}
    assert len(listed) >= 100


def test_the_list_asks_nothing_that_is_not_looked_at():
    head = LIST.read_text("utf-8").split("\n[[reading]]")[0]
    explained = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"^# (\S.*?)  +", head, re.M))))
    assert {key for reading in READINGS for key in reading.entry} <= explained


# ---- each file -----------------------------------------------------------------------------------


@named(READ)
def test_the_table_is_read_right(reading):
    reading.check_table()


@named(LEARNT)
def test_the_columns_mean_what_they_should(reading):
    reading.check_columns()


@named(LEARNT)
def test_the_features_say_what_the_cells_say(reading):
    features = np.asarray(reading.preprocessor.transform(reading.table))
    assert features.shape == (len(reading.table), len(reading.preprocessor.features))
    assert np.isfinite(features).all()
    reading.check_features()


@named(LEARNT)
def test_a_saved_preprocessor_reads_the_same(reading):
    restored = Preprocessor.from_json(reading.preprocessor.to_json())
    features = reading.preprocessor.transform(reading.table)
    np.testing.assert_array_equal(restored.transform(reading.table), features)
    assert restored.dropped == reading.preprocessor.dropped


def line_ends(end: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(b"\n", end)


#: What mailers, editors and archives do to files of utf-8.
TRAVELS = {
    "with a mark": lambda content: b"\xef\xbb\xbf" + content,
    "in utf-16": lambda content: content.decode().encode("utf-16"),
    "with lines of Windows": line_ends(b"\r\n"),
    "with lines of old Macs": line_ends(b"\r"),
    "without the last line end": lambda content: content.rstrip(b"\n"),
    "with blank lines behind": lambda content: content + b"\n\n",
    "packed": gzip.compress,
}


def may_travel(reading: Reading) -> bool:
    """Whether a file is of utf-8 without a mark, and its line ends are no part of its cells."""
    content = Path(reading.path).read_bytes()
    try:
        is_unmarked = "\ufeff" not in content.decode()
    except UnicodeDecodeError:
        return False
    return (
        is_unmarked and b"\r" not in content and reading.entry["file"] != "names_with_line_ends.csv"
    )


@pytest.mark.parametrize("travel", TRAVELS)
def test_what_travelling_does_to_a_file_changes_nothing(travel):
    travellers = [reading for reading in READ if may_travel(reading)]
    assert len(travellers) > 100
    for reading in travellers:
        content = TRAVELS[travel](Path(reading.path).read_bytes())
        table = read(io.BytesIO(content), **reading.entry.get("read", {}))
        assert list(table.columns) == list(reading.table.columns), reading
        assert (table.decimal, table.thousands) == (reading.table.decimal, reading.table.thousands)
        for name, cells in reading.table.columns.items():
            assert list(table[name]) == list(cells), (reading, name)


@named([reading for reading in LEARNT if "later" in reading.entry])
def test_other_rows_are_remarked_on(reading):
    later = read(FOLDER / reading.entry["later"])
    assert np.isfinite(reading.preprocessor.transform(later)).all()
    remarks = reading.preprocessor.remarks(later)
    for pattern in reading.entry["later_said"]:
        assert says(remarks, pattern), (pattern, remarks)


@named([reading for reading in LEARNT if "model_said" in reading.entry])
def test_a_model_tells_what_it_left_out(reading):
    model = TableModel(reading.entry["target"], epochs=1, layers=(8,)).fit(reading.table)
    assert model.report["rows"] == reading.entry.get("model_rows", len(reading.table))
    for pattern in reading.entry["model_said"]:
        assert says(model.remarks, pattern), (pattern, model.remarks)


@pytest.mark.parametrize(("file", "target"), [("exports_total.csv", "value")])
def test_sums_are_not_scored_as_they_are_not_learnt(file, target):
    table = read(FOLDER / file)
    model = TableModel(target, epochs=1, layers=(8,)).fit(table)
    assert model.score(table) == model.score(table.take(np.arange(len(table) - 1)))
    assert len(model.predict(table)) == len(table)


@named(REFUSED)
def test_what_cannot_be_read_is_refused_in_words(reading):
    with pytest.raises(ValueError, match=reading.entry["refused"]) as refusal:
        reading.read_and_fit()
    assert len(str(refusal.value)) < 700


# ---- files in files, and what is no file ---------------------------------------------------------

PLAIN = FOLDER / "semicolons.csv"
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def same(one: Table, other: Table) -> None:
    assert list(one.columns) == list(other.columns)
    for name in one.columns:
        assert list(one[name]) == list(other[name]), name


@pytest.fixture
def plain() -> Table:
    return read(PLAIN)


@pytest.mark.parametrize("ending", PACKERS)
def test_packed_files_are_unpacked(plain, tmp_path, ending):
    path = tmp_path / f"semicolons.csv.{ending}"
    path.write_bytes(PACKERS[ending](PLAIN.read_bytes()))
    same(read(path), plain)


@pytest.mark.parametrize("ending", PACKERS)
def test_packed_files_that_end_too_early_are_refused(tmp_path, ending):
    path = tmp_path / f"semicolons.csv.{ending}"
    path.write_bytes(PACKERS[ending](PLAIN.read_bytes())[:-20])
    with pytest.raises(ValueError, match=r"semicolons\.csv"):
        read(path)


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.write(PLAIN, name)
    return path


def test_an_archive_of_one_file_is_that_file(plain, tmp_path):
    same(read(archive(tmp_path / "export.zip", "semicolons.csv")), plain)


def test_an_archive_of_several_files_is_refused_with_their_names(tmp_path):
    path = archive(tmp_path / "export.zip", "customers.csv", "orders.csv")
    with pytest.raises(ValueError, match=r"customers\.csv.*orders\.csv"):
        read(path)


def test_zstandard_is_refused_with_a_word(tmp_path):
    path = tmp_path / "export.csv.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(40))
    with pytest.raises(ValueError, match=r"(?i)zst"):
        read(path)


def test_an_open_file_is_read(plain):
    with PLAIN.open("rb") as file:
        same(read(file), plain)


def test_standard_input_is_read(plain, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN.read_bytes())))
    same(read("-"), plain)


def test_a_workbook_is_read(plain, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    workbook.active.append(list(plain.columns))
    for site, depth, clay in zip(*plain.columns.values(), strict=True):
        workbook.active.append([site, float(depth), int(clay)])
    workbook.save(tmp_path / "soil.xlsx")
    same(read(tmp_path / "soil.xlsx"), plain)


def test_the_cells_of_a_workbook_keep_what_they_are(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    columns = visits()
    workbook.active.append(list(columns))
    for row in zip(*columns.values(), strict=True):
        workbook.active.append(row)
    workbook.active["B3"] = "#N/A"
    workbook.save(tmp_path / "visits.xlsx")
    keeps_kinds(read(tmp_path / "visits.xlsx"))


@pytest.mark.parametrize(
    ("ending", "module", "extra"),
    [("xlsx", "openpyxl", "excel"), ("parquet", "pyarrow", "parquet")],
)
def test_without_a_library_its_files_are_refused_with_what_to_install(
    tmp_path, monkeypatch, ending, module, extra
):
    path = tmp_path / f"soil.{ending}"
    if ending == "xlsx":
        archive(path, "[Content_Types].xml", "xl/workbook.xml")
    else:
        path.write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises((ImportError, ValueError), match=rf"fastweights\[{extra}\]"):
        read(path)


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow"])
def test_files_of_arrow_are_read(plain, tmp_path, ending):
    pytest.importorskip("pyarrow")
    from pyarrow import csv, feather, ipc, parquet

    table = csv.read_csv(PLAIN, parse_options=csv.ParseOptions(delimiter=";"))
    path = tmp_path / f"soil.{ending}"
    if ending == "parquet":
        parquet.write_table(table, path)
    elif ending == "feather":
        feather.write_feather(table, path)
    else:
        with ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    same(read(path), plain)
    same(read(table), plain)


def visits() -> dict[str, list]:
    """Columns as frames have them, with values missing in each."""
    days = np.datetime64("2023-05-29") + 17 * np.arange(24)
    return {
        "ward": ["A", None, "B", "C"] * 6,
        "beds": [3, 8, None, 12] * 6,
        "open": [True, False, None] * 8,
        "day": [None, *days[1:].astype(object)],
        "load": [None, *np.linspace(0, 1, 23)],
        "cost": np.linspace(10, 300, 24).tolist(),
    }


def frames() -> dict[str, object]:
    import pandas
    import polars
    import pyarrow

    polars_frame = polars.DataFrame(visits())
    polars_frame = polars_frame.with_columns(polars.col("ward").cast(polars.Categorical))
    pandas_frame = pandas.DataFrame(visits())
    pandas_frame["ward"] = pandas_frame["ward"].astype("category")
    pandas_frame["beds"] = pandas_frame["beds"].astype("Int64")
    pandas_frame["day"] = pandas.to_datetime(pandas_frame["day"])
    return {
        "pandas": pandas_frame,
        "polars": polars_frame,
        "pyarrow": pyarrow.table(visits()),
        "mapping": visits(),
    }


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "mapping"])
def test_frames_keep_what_their_columns_are(library):
    for needed in ("pandas", "polars", "pyarrow"):
        pytest.importorskip(needed)
    keeps_kinds(read(frames()[library]))


def keeps_kinds(table: Table) -> None:
    preprocessor = Preprocessor.fit(table, "cost")
    assert kind_of(preprocessor, "ward") == "category"
    assert kind_of(preprocessor, "beds") in ("number", "both")
    assert kind_of(preprocessor, "day") == "date"
    assert kind_of(preprocessor, "load") == "number"
    assert kind_of(preprocessor, "open") != "dropped"
    assert table["beds"][0] == "3"
    assert table["day"][0] == table["ward"][1] == ""


def written(columns: dict[str, list], delimiter: str, decimal: str, missing: str) -> bytes:
    """Columns as a program writes them to a file."""

    def text(cell: object) -> str:
        shown = missing if cell is None else str(cell)
        return shown.replace(".", decimal) if isinstance(cell, float) else shown

    rows = [list(columns), *zip(*columns.values(), strict=True)]
    lines = (delimiter.join(map(text, row)) for row in rows)
    return "\r\n".join(lines).encode("utf-16" if delimiter == "\t" else "utf-8")


def test_the_same_rows_give_the_same_features_whatever_they_come_as(tmp_path):
    for needed in ("pandas", "polars", "pyarrow"):
        pytest.importorskip(needed)
    forms = [(",", ".", ""), (";", ",", "k. A."), ("\t", ".", "NULL"), ("|", ",", "-")]
    files = [written(visits(), *form) for form in forms]
    tables = [read(io.BytesIO(content)) for content in files]
    tables += [read(frame) for frame in frames().values()]
    preprocessor = Preprocessor.fit(tables[0], "cost")
    expected = preprocessor.transform(tables[0])
    for table in tables[1:]:
        np.testing.assert_array_equal(preprocessor.transform(table), expected)
        np.testing.assert_allclose(preprocessor.truth(table)[0], visits()["cost"], rtol=1e-12)


def test_arrays_are_tables_without_names():
    table = read(np.arange(12.0).reshape(4, 3))
    assert list(table.columns) == ["column_1", "column_2", "column_3"]
    assert list(table["column_2"]) == ["1", "4", "7", "10"]


def test_structured_arrays_have_names():
    array = np.array([("a", 1.5), ("b", 2.5)], dtype=[("name", "U5"), ("size", "f8")])
    table = read(array)
    assert list(table["name"]) == ["a", "b"]
    assert list(table["size"]) == ["1.5", "2.5"]


def test_very_wide_tables_are_told_of_in_few_words(tmp_path):
    rng = np.random.default_rng(0)
    columns = {f"probe_{i}": rng.normal(size=30).round(3) for i in range(1000)}
    columns |= {f"flat_{i}": np.full(30, 7) for i in range(400)}
    columns |= {f"gone_{i}": np.full(30, "NA") for i in range(100)}
    columns["yield"] = rng.normal(size=30).round(3)
    table = read(write_csv(tmp_path / "spectra.csv", columns))
    preprocessor = Preprocessor.fit(table, "yield")
    assert len({column.name for column in preprocessor.columns}) == 1000
    assert len(preprocessor.dropped) == 500
    remarks = remarks_on(table, preprocessor)
    assert len(remarks) < 10
    assert max(map(len, remarks), default=0) < 500


# ---- on the command line -------------------------------------------------------------------------

#: File, target, further options, and what the report holds.
RUNS = [
    ("one_unknown.csv", "rent", [], {"task": "regression", "dropped_columns": {}}),
    ("kontoauszug.csv", "Betrag", [], {"task": "regression", "rows": 24}),
    ("target_money.csv", "price", [], {"task": "regression", "rows": 24}),
    ("target_percent.csv", "margin", [], {"task": "regression", "rows": 24}),
    ("target_unknown.csv", "recovery_days", [], {"task": "regression", "rows": 21}),
    ("target_codes.csv", "cultivar", [], {"task": "classification", "rows": 90}),
    ("likert.csv", "stays", [], {"task": "classification", "rows": 24}),
    ("utf16.csv", "Miete", [], {"task": "regression", "dropped_columns": {}}),
    ("sep_line.csv", "Kosten", [], {"task": "regression", "rows": 24}),
    ("title_lines.csv", "rain_mm", [], {"task": "regression", "rows": 24}),
    ("aligned.txt", "clay", [], {"task": "regression", "rows": 24}),
    ("dates_epoch.csv", "sales", [], {"task": "regression", "dropped_columns": {}}),
    ("scripts.csv", "цена", [], {"task": "regression", "rows": 24}),
]


@pytest.mark.parametrize(("file", "target", "options", "expected"), RUNS, ids=[r[0] for r in RUNS])
def test_a_user_trains_and_predicts(file, target, options, expected, tmp_path, capsys):
    model = str(tmp_path / "model.safetensors")
    data = str(FOLDER / file)
    argv = ["train", data, "--target", target, "--epochs", "2", "--out", model, *options]
    report = run_json(capsys, *argv)
    assert {key: report[key] for key in expected} == expected
    rows = len(read(data))
    assert cli.main(["predict", model, data]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == rows + 1


@pytest.mark.parametrize(
    ("file", "target", "words"),
    [
        ("target_typo.csv", "wieght_kg", "weight_kg"),
        ("target_one_class.csv", "y", "class"),
        ("footer.csv", "deaths", "line 2"),
        ("picture.csv", "y", "PNG"),
        ("header_only.csv", "a", "header_only.csv"),
    ],
)
def test_a_user_is_told_what_is_wrong(file, target, words, capsys):
    assert words in refused(capsys, "train", str(FOLDER / file), "--target", target)


#: What only options can tell; and a word of what is said.
TOLD = [
    ("no_header.csv", "column_4", ["--no-header"], "24 rows"),
    ("cp850.csv", "Miete", ["--encoding", "cp850"], "24 rows"),
    ("footer.csv", "deaths", ["--skip-bad-lines"], "24 rows"),
    ("customer_id.csv", "churn", ["--keep", "customer_id"], "3 features|customer_id"),
    ("customer_id.csv", "churn", ["--drop", "charges"], "charges"),
    ("years.csv", "price", ["--category", "sold"], "categories|category"),
    ("years.csv", "price", ["--number", "sold"], "number"),
    ("dates_compact.csv", "sales", ["--date", "date"], "date"),
]


@pytest.mark.parametrize(("file", "target", "options", "words"), TOLD, ids=lambda v: str(v)[:30])
def test_a_user_says_what_no_file_tells(file, target, options, words, tmp_path, capsys):
    model = str(tmp_path / "model.safetensors")
    argv = ["train", str(FOLDER / file), "--target", target, "--epochs", "2", "--out", model]
    assert cli.main([*argv, *options]) == 0
    captured = capsys.readouterr()
    assert re.search(words, captured.out + captured.err)
