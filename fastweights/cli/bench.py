"""Time compiled gradients on this machine against NumPy and finite differences, errors beside."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from fastweights import benchmarks
from fastweights.cli.output import Output, add_json, text_table

Figures = dict[str, Any]

_HEADER = [
    "network", "batch", "parameters", "dtype",
    "compiled", "NumPy", "ratio", "largest error",
    "differences", "ratio", "largest error",
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights bench``."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights bench``."""
    output = Output(args)
    figures = benchmarks.race()
    machine = next(figures)
    output.say(_machine_in_words(machine))
    output.say("timing the gradient of a batch's mean loss by every parameter ...\n")
    rows = list(figures)
    output.say(text_table([_HEADER, *map(_line, rows)]))
    output.say("\n" + _notes(rows))
    output.result({"machine": machine, "rounds": benchmarks.ROUNDS, "results": rows})
    output.finish()
    return 0


def _machine_in_words(machine: Figures) -> str:
    return (
        "{cpu} ({cpus} CPUs), level {cpu_level}, {num_threads} thread; "
        "fastweights {fastweights}, NumPy {numpy}, Python {python}".format(**machine)
    )


def _line(row: Figures) -> list[str]:
    line = [row["network"], str(row["rows"]), f"{row['parameters']:,}", row["dtype"]]
    line += [duration(row["compiled"])]
    line += [
        duration(row["numpy"]),
        f"{row['times_numpy']:,.1f} x",
        f"{row['error_to_numpy']:.1e}",
    ]
    if row["differences"] is None:
        line += ["-", "-"]
    else:
        sampled = "*" if row["nudged"] < row["parameters"] else ""
        line += [sampled + duration(row["differences"]), f"{row['times_differences']:,.0f} x"]
    return [*line, f"{row['error_to_differences']:.1e}"]


def _notes(rows: Sequence[Figures]) -> str:
    sampled = {
        f"\n* measured on {row['nudged']:,} of the {row['parameters']:,} parameters, scaled to all"
        for row in rows
        if row["nudged"] < row["parameters"]
    }
    return (
        f"times: best of {benchmarks.ROUNDS} rounds in which the three take turns, "
        "one thread each\n"
        "ratio: that time over the compiled one's\n"
        "largest error: greatest distance of any parameter's compiled gradient, "
        "over the greatest gradient\n"
        "differences: each parameter nudged up and down, a look at the compiled loss each time, "
        "in float64" + "".join(sorted(sampled))
    )


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, scale in (("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.{1 if seconds * scale < 100 else 0}f} {unit}"
    return f"{seconds:.1f} s"
