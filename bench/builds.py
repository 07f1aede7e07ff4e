"""Two builds of this library side by side: is one as fast as the other on the race's workloads?

    python -m bench.builds OTHER_TREE [WORKLOAD ...]

Each build trains in a process of its own, in the tree that it was built in (in place, as in
CONTRIBUTING); they take turns block by block, so both have the same machine.

The ratio of a row is OTHER_TREE's time over this one's, 1 or more where this is as fast: the median
of neighbouring blocks with its quartiles, then that of the best blocks.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers.workloads import WORKLOADS

#: What runs in each process: a line that names a task makes a contender, any other says how many
#: epochs to train, and how often. A task that its tree does not know takes nan seconds. What a busy
#: machine slows is not what the builds differ in, so of some repeats the fastest counts.
WORKER = """
import sys, time
from bench.peers.contenders import Fastweights
from bench.peers.workloads import WORKLOADS, Task
for line in sys.stdin:
    words = line.split("|")
    if len(words) == 1:
        seconds = []
        epochs, repeats = map(int, line.split())
        for _ in range(repeats):
            began = time.perf_counter()
            contender.train(epochs)
            seconds.append(time.perf_counter() - began)
        print(min(seconds), flush=True)
    else:
        known = [w for w in WORKLOADS if w.name == words[0]]
        if known:
            contender = Fastweights(Task.of(known[0], words[1]), threads=int(words[2]))
            contender.train(1)
        print(0 if known else "nan", flush=True)
"""

BLOCK_SECONDS = 0.005


class Build:
    """A process that trains with the build of one tree."""

    def __init__(self, tree: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: object) -> float:
        """Seconds that it took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def ratio(
    mine: Build, other: Build, task: str, rounds: int
) -> tuple[float, float, float, float] | None:
    """The other's time over mine: median and quartiles of neighbouring blocks, and of the best.

    None where not both know the task.
    """
    if any(math.isnan(build.ask(task)) for build in (mine, other)):
        return None
    seconds = mine.ask("1 1")
    epochs = max(1, round(BLOCK_SECONDS / seconds))
    block = f"{epochs} {8 if epochs > 1 else 1}"
    pairs = []
    for turn in range(rounds):
        first, second = (mine, other) if turn % 2 else (other, mine)
        taken = {first: first.ask(block), second: second.ask(block)}
        pairs.append((taken[mine], taken[other]))
    ratios = sorted(b / a for a, b in pairs)
    best = min(b for _, b in pairs) / min(a for a, _ in pairs)
    quarter = len(ratios) // 4
    return statistics.median(ratios), ratios[quarter], ratios[-1 - quarter], best


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a row for each workload and optimizer."""
    parser = argparse.ArgumentParser(prog="bench.builds", description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, metavar="OTHER_TREE")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="all, where none is named")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args(argv)
    mine, other = Build(Path(__file__).parent.parent), Build(args.other.resolve())
    for workload in WORKLOADS:
        if args.workloads and workload.name not in args.workloads:
            continue
        for optimizer in workload.optimizers:
            task = f"{workload.name}|{optimizer}|{args.threads}"
            found = ratio(mine, other, task, args.rounds)
            if found is None:
                continue
            middle, low, high, best = found
            row = f"{workload.name:18} {optimizer:5} {middle:.3f}"
            print(f"{row}  ({low:.3f} to {high:.3f})  {best:.3f}", flush=True)


if __name__ == "__main__":
    main()
