"""Data that are not in memory: how much of it they take, and what reading them costs.

``python -m bench.from_disk`` writes a file of 2 GB (``--bytes`` says how many), trains on its
memory map in processes of their own, and prints the resident memory that each took at most above
that of the import; then trains `tabular` on arrays and on a generator of batches, by turns, and
prints how fast the generator is beside the arrays, by the best turn of each. Memory is what Linux
says of it in /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastweights as fw
from bench.peers.contenders import Fastweights
from bench.peers.workloads import WORKLOADS, Task

COLUMNS, ROWS_AT_ONCE, TURNS, EPOCHS = 100, 1 << 16, 7, 5

#: What a process does that trains from the map; it prints the most memory it had, in bytes.
TRAIN = """
import sys
from pathlib import Path
import numpy as np
import fastweights as fw
from fastweights import layers

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

model = fw.Sequential([layers.Dense(32, "relu"), layers.Dense(1)], int(sys.argv[3]), "float32", 0)
model.compile("adam", "mse")
model.fit(np.zeros((64, int(sys.argv[3])), np.float32), np.zeros((64, 1)), verbose=0)
before = peak()
x, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
model.fit(x, y, batch_size=256, verbose=0, shuffle=sys.argv[4] == "shuffled", validation_split=0.1)
model.evaluate(x, y)
print(peak() - before)
"""


def write(folder: Path, size: int) -> tuple[Path, Path]:
    """Files of x, of so many bytes, and of y."""
    x, y = folder / "x.npy", folder / "y.npy"
    rows, random = size // (4 * COLUMNS), np.random.default_rng(0)
    a = np.lib.format.open_memmap(x, "w+", np.float32, (rows, COLUMNS))
    b = np.lib.format.open_memmap(y, "w+", np.float32, (rows, 1))
    for first in range(0, rows, ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, rows)
        a[first:last] = random.standard_normal((last - first, COLUMNS), np.float32)
        b[first:last] = a[first:last, :1]
    a.flush()
    b.flush()
    return x, y


def memory(x: Path, y: Path, order: str) -> int:
    """Bytes that training from these files took at most, above those before."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(x), str(y), str(COLUMNS), order],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def batches(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[Any]:
    """Batches without an end."""
    while True:
        for first in range(0, len(x), size):
            yield x[first : first + size], y[first : first + size]


def speed() -> float:
    """How fast `tabular` is on a generator of batches, beside arrays."""
    workload = next(one for one in WORKLOADS if one.name == "tabular")
    task = Task.of(workload, "sgd")
    ours, size = Fastweights(task), workload.batch
    steps = -(-len(ours.x) // size)
    best = {"arrays": float("inf"), "generator": float("inf")}
    for _ in range(TURNS):
        for kind in best:
            began = time.perf_counter()
            if kind == "arrays":
                ours.model.fit(ours.x, ours.y, size, EPOCHS, verbose=0, shuffle=False)
            else:
                source = batches(ours.x, ours.y, size)
                ours.model.fit(source, epochs=EPOCHS, steps_per_epoch=steps, verbose=0)
            best[kind] = min(best[kind], time.perf_counter() - began)
    return best["arrays"] / best["generator"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2 << 30)
    size = parser.parse_args().bytes
    with tempfile.TemporaryDirectory() as folder:
        x, y = write(Path(folder), size)
        for order in ("shuffled", "in order"):
            taken = memory(x, y, order) / 2**20
            print(f"{size / 2**20:,.0f} MB of a map, {order}: {taken:.0f} MB of memory")
    threads = fw.get_num_threads()
    print(f"{threads} threads, tabular: a generator has {speed():.2f} of the speed of arrays")


if __name__ == "__main__":
    main()
