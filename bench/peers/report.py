"""Results as tables of text."""

from __future__ import annotations

from collections.abc import Iterator

from bench.peers import goals
from bench.peers.contenders import OURS, PEERS
from bench.peers.results import Results, Row
from fastweights.cli.output import count, text_table

NAMES = [OURS, *PEERS]

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}


def report(results: Results) -> str:
    """Everything, a blank line between two tables."""
    return "\n\n".join(_parts(results))


def _parts(results: Results) -> Iterator[str]:
    groups = dict.fromkeys((row.key[2], row.key[1]) for row in results)
    for threads, optimizer in groups:
        rows = [row for row in results if row.key[1:] == (optimizer, threads)]
        yield (
            f"{OPTIMIZERS[optimizer]}, {count(threads, 'thread')}: best time of a step; registers "
            f"reach {results.peak(threads) / 1e9:.0f} GFLOP/s\n{_times(results, rows)}"
        )
    yield (
        "loss after the same number of steps from the same weights; ! where one is more than "
        f"5 % from the middle\n{_losses(results)}"
    )
    for figures in results.precisions:
        yield (
            f"{figures['workload']}, SGD, {count(figures['threads'], 'thread')}: matrix products "
            f"by precision; error of one against float64\n{_precisions(figures['precisions'])}"
        )
    reached = list(goals.outcomes(results))
    if reached:
        met = sum(outcome.met for outcome in reached)
        yield (
            "goals, meant for machines with AVX-512, beside what this run reached: "
            f"{met} of {len(reached)}\n{_goals(reached)}"
        )


def _times(results: Results, rows: list[Row]) -> str:
    names = [name for name in NAMES if any(row.seconds(name) for row in rows)]
    header = ["workload", *names, "x fastest peer", "x PyTorch", "GFLOP/s", "of peak"]
    several = rows[0].key[2] > 1
    lines = [header + ["x 1 thread"] * several]
    for row in rows:
        line = [row.key[0], *(microseconds(row.seconds(name)) for name in names)]
        line += [ratio(row.times(row.fastest_peer())), ratio(row.times("PyTorch"))]
        share = row.share()
        line += ["-", "-"] if share is None else [f"{share * row.peak / 1e9:.1f}", f"{share:.0%}"]
        lines.append(line + [ratio(row.against_one_thread())] * several)
    return text_table(lines)


def _losses(results: Results) -> str:
    names = [name for name in NAMES if any(row.seconds(name) for row in results)]
    lines = [["workload", "optimizer", "threads", "steps", "before", *names]]
    for row in results:
        workload, optimizer, threads = row.key
        found, odd = row.figures["contenders"], row.odd_losses()
        line = [workload, OPTIMIZERS[optimizer], str(threads), str(row.figures["loss_steps"])]
        line += [f"{row.figures['loss_before']:.4f}"]
        line += [
            "!" * (name in odd) + f"{found[name]['loss']:.4f}" if name in found else "-"
            for name in names
        ]
        lines.append(line)
    return text_table(lines)


def _precisions(found: dict[str, dict[str, float]]) -> str:
    lines = [["contender and precision", "step", "error"]]
    lines += [
        [name, microseconds(one["best"]), f"{one['error']:.1e}"] for name, one in found.items()
    ]
    return text_table(lines)


def _goals(reached: list[goals.Outcome]) -> str:
    lines = [["workload", "threads", "measure", "goal", "reached", ""]]
    for outcome in reached:
        number = "{:.0%}" if outcome.measure.startswith("share") else "{:,.4g}"
        line = [outcome.workload, str(outcome.threads), outcome.measure]
        line += [number.format(outcome.goal), number.format(outcome.reached)]
        lines.append([*line, "" if outcome.met else "missed"])
    return text_table(lines)


def microseconds(seconds: float | None) -> str:
    """Three digits or more, such as ``1.02 us`` or ``43,000 us``."""
    if seconds is None:
        return "-"
    value = seconds * 1e6
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} us"


def ratio(value: float | None) -> str:
    """``2.1``, ``250``, or a dash."""
    return "-" if value is None else f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
