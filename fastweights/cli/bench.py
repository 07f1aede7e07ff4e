"""Time compiled gradients on this machine against NumPy and finite differences, errors beside."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fastweights import benchmarks
from fastweights.benchmarks import Comparison
from fastweights.cli.output import Output, add_json, text_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights bench``."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights bench``."""
    output = Output(args)
    machine = benchmarks.machine()
    output.say(_machine_in_words(machine))
    output.say("one gradient of a batch's loss by every parameter; the three take turns\n")
    rows = [row for network in benchmarks.LADDER for row in benchmarks.compare(network)]
    output.say(_table(rows))
    output.say("\n" + "\n".join(_notes(rows)))
    output.result({"machine": machine, "rounds": benchmarks.ROUNDS, "results": _figures(rows)})
    return 0


def _machine_in_words(machine: dict[str, Any]) -> str:
    return (
        "{cpu} ({cpus} CPUs), level {cpu_level}, at most {num_threads} threads; "
        "fastweights {fastweights}, NumPy {numpy}, Python {python}".format(**machine)
    )


def _table(rows: Sequence[Comparison]) -> str:
    header = [
        "network, batch", "parameters", "dtype",
        "compiled", "NumPy", "ratio", "largest error",
        "differences", "ratio", "largest error",
    ]  # fmt: skip
    return text_table([header, *map(_line, rows)])


def _line(row: Comparison) -> list[str]:
    line = [f"{row.network}, {row.rows}", f"{row.parameters:,}", row.dtype]
    line += [_duration(row.compiled), _duration(row.numpy), f"{row.times_numpy:,.1f} x"]
    line.append(f"{row.error_to_numpy:.1e}")
    if row.differences is None:
        line += ["-", "-"]
    else:
        sampled = "*" if row.nudged < row.parameters else ""
        line += [_duration(row.differences) + sampled, f"{row.times_differences:,.0f} x"]
    line.append(f"{row.error_to_differences:.1e}")
    return line


def _notes(rows: Sequence[Comparison]) -> list[str]:
    sampled = {
        f"* from {row.nudged:,} of the {row.parameters:,} parameters, scaled to all"
        for row in rows
        if row.nudged < row.parameters
    }
    return [
        f"Times are the best of {benchmarks.ROUNDS} rounds; a ratio is that time over the",
        "compiled one's. An error is the greatest distance of any parameter's compiled gradient,",
        "over the greatest gradient. Differences nudge each parameter up and down and look at the",
        "compiled loss, always in float64.",
        *sorted(sampled),
    ]


def _duration(seconds: float) -> str:
    """A time in the unit that suits it, to three digits."""
    for unit, scale in (("us", 1e6), ("ms", 1e3), ("s", 1.0)):
        if seconds * scale < 1000 or unit == "s":
            break
    return f"{seconds * scale:#.3g}".rstrip(".") + f" {unit}"


def _figures(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    return [
        asdict(row) | {"times_numpy": row.times_numpy, "times_differences": row.times_differences}
        for row in rows
    ]
