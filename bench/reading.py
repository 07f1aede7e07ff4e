"""How fast a table is read from text, and in how much memory, beside pandas and PyArrow.

``python -m bench.reading`` writes comma-separated files of 20 columns and 1,000,000 rows, or as
many as ``--rows`` says: one of all kinds of columns, and one of each kind. Every reader reads each
in a process of its own, by turns, and the best turn of each is printed: seconds of the CPU and of
the clock, megabytes a second of the CPU, and the most resident memory above that of the import, as
a multiple of the file. Memory is what Linux says of it in /proc. Readers that are not installed are
left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TURNS, COLUMNS, ROWS_AT_ONCE = 3, 20, 1 << 14

#: What a process does that reads a file; it prints seconds of CPU and clock, and bytes of memory.
READ = """
import sys, time
from pathlib import Path
{imports}

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

Path(sys.argv[1]).with_suffix(".small").write_text("a,b\\n1,x\\n")
{read}(Path(sys.argv[1]).with_suffix(".small"))
before, cpu, clock = peak(), time.process_time(), time.perf_counter()
table = {read}(sys.argv[1])
print(time.process_time() - cpu, time.perf_counter() - clock, peak() - before)
"""

READERS = {
    "fastweights": ("from fastweights.table import read", "read"),
    "pandas": ("import pandas", "pandas.read_csv"),
    "pyarrow": ("import pyarrow.csv", "pyarrow.csv.read_csv"),
}

WORDS = np.array(["red", "green", "blue", "none of these", "yellow ochre"])


def kinds(rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The texts of a column of each kind: (rows,)."""
    return {
        "floats": random.normal(size=rows).astype(str),
        "decimals": np.round(random.normal(0, 100, rows), 2).astype(str),
        "integers": random.integers(0, 10**6, rows).astype(str),
        "categories": random.choice(WORDS, rows),
        "names": np.char.add("customer-", random.integers(0, 10**5, rows).astype(str)),
    }


def write(folder: Path, rows: int) -> Iterator[Path]:
    """Files of each kind of column, and of all."""
    names = list(kinds(1, np.random.default_rng(0)))
    for name in ["all", *names]:
        random = np.random.default_rng(0)
        path = folder / f"{name}.csv"
        chosen = names if name == "all" else [name]
        with open(path, "w") as file:
            file.write(",".join(f"x{place}" for place in range(COLUMNS)) + "\n")
            for first in range(0, rows, ROWS_AT_ONCE):
                count = min(ROWS_AT_ONCE, rows - first)
                parts = [kinds(count, random) for _ in range(COLUMNS // len(chosen))]
                columns = [part[kind].tolist() for part in parts for kind in chosen]
                file.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))
        yield path
        path.unlink()


def measure(reader: str, path: Path) -> tuple[float, float, float]:
    imports, read = READERS[reader]
    program = READ.format(imports=imports, read=read)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    cpu, clock, memory = map(float, done.stdout.split())
    return cpu, clock, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=TURNS)
    told = parser.parse_args()
    installed = [name for name in READERS if importlib.util.find_spec(name)]
    print(f"{'file':12}{'reader':14}{'CPU s':>8}{'clock s':>9}{'MB/s':>7}{'memory':>8}{'speed':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for path in write(Path(folder), told.rows):
            size = path.stat().st_size
            turns = [[measure(name, path) for name in installed] for _ in range(told.turns)]
            best = {
                name: [min(column) for column in zip(*of_name, strict=True)]
                for name, of_name in zip(installed, zip(*turns, strict=True), strict=True)
            }
            for name, (cpu, clock, memory) in best.items():
                speed = f"{best['pandas'][0] / cpu:.2f}" if "pandas" in best else ""
                print(
                    f"{path.stem:12}{name:14}{cpu:8.2f}{clock:9.2f}{size / cpu / 1e6:7.0f}"
                    f"{memory / size:7.1f}x{speed:>8}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
