"""The results as one picture: how long a step takes, and what it makes of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from bench.peers.contenders import OURS, PEERS
from bench.peers.report import ratio
from bench.peers.results import Results, Row
from fastweights.cli.output import count

#: The colours of the contenders, one lane of each workload's band for each.
COLOURS = {OURS: "#e8590c", "PyTorch": "#9775fa", "JAX": "#4dabf7", "scikit-learn": "#8ce0a3"}
INK, PALE, RULE = "#212529", "#868e96", "#e9ecef"
TIMES = "\N{MULTIPLICATION SIGN}"

#: Height of a bar; a workload's band is 1.
BAR = 0.2


def draw(results: Results, path: Path, threads: int = 1) -> None:
    """Writes a PNG of the rows with so many threads: SGD, or what a workload has instead of it."""
    rows: dict[str, Row] = {}
    for row in results:
        if row.key[2] == threads:
            rows.setdefault(row.key[0], row)
    figure = Figure(figsize=(12, 0.84 * len(rows) + 2.0), facecolor="white")
    FigureCanvasAgg(figure)
    times, shares = figure.subplots(1, 2, sharey=True, width_ratios=(1.9, 1))
    places = list(range(len(rows), 0, -1))
    for place, row in zip(places, rows.values(), strict=True):
        for name, lane in _lanes(row, place):
            _bars(times, shares, row, name, lane)
        _ratio(times, row, place)
    _finish(times, shares, rows, places)
    _head(figure, results, threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _lanes(row: Row, place: int) -> list[tuple[str, float]]:
    """The contenders that were there, and the height at which each one's bars lie."""
    names = [name for name in (OURS, *PEERS) if row.seconds(name)]
    return [(name, place + BAR * ((len(names) - 1) / 2 - i)) for i, name in enumerate(names)]


def _bars(times: Any, shares: Any, row: Row, name: str, lane: float) -> None:
    seconds, share = row.seconds(name), row.share(name)
    if seconds is None or share is None:
        return
    style: dict[str, Any] = {"va": "center_baseline", "fontsize": 8, "color": PALE}
    if name == OURS:
        style |= {"color": INK, "fontweight": "bold"}
    apart: dict[str, Any] = {"textcoords": "offset points", "xytext": (4, 0)}
    times.barh(lane, seconds * 1e6, BAR * 0.88, color=COLOURS[name])
    times.annotate(_short(seconds * 1e6), (seconds * 1e6, lane), **apart, **style)
    shares.barh(lane, 100 * share, BAR * 0.88, color=COLOURS[name])
    shares.annotate(f"{share:.0%}", (100 * share, lane), **apart, **style)


def _ratio(times: Any, row: Row, place: int) -> None:
    faster = row.times(row.fastest_peer())
    if faster:
        times.text(
            1, place, f"{ratio(faster)}{TIMES}", transform=times.get_yaxis_transform(), ha="right",
            va="center", fontsize=13, fontweight="bold", color=COLOURS[OURS],
        )  # fmt: skip


def _finish(times: Any, shares: Any, rows: dict[str, Row], places: list[int]) -> None:
    times.set_yticks(places, ["" for _ in places])
    for place, (name, row) in zip(places, rows.items(), strict=True):
        where: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "color": INK}
        side = times.get_yaxis_transform()
        style = {"fontsize": 11, "fontweight": "bold"}
        times.annotate(name, (0, place), (-10, 2), xycoords=side, **where, **style)
        shape = row.figures["shape"].replace(", ", "\n")
        times.annotate(
            shape,
            (0, place),
            (-10, -1),
            xycoords=side,
            va="top",
            fontsize=8,
            **where | {"color": PALE},
        )
    times.set_ylim(0.45, len(rows) + 0.55)
    times.set_xscale("log")
    slowest = max(row.seconds(name) or 0 for row in rows.values() for name in COLOURS)
    ticks = 10.0 ** np.arange(np.ceil(np.log10(slowest * 1e6)) + 1)
    times.set_xticks(ticks)
    times.set_xlim(0.3, ticks[-1] * 10)
    times.xaxis.set_major_formatter(duration)
    times.xaxis.set_minor_formatter(NullFormatter())
    times.set_xlabel("time of a training step (log scale, shorter is better)", color=INK)
    shares.set_xlim(0, max(112, shares.get_xlim()[1] * 1.08))
    shares.axvline(100, color=INK, lw=1, ls=(0, (4, 3)))
    shares.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}%")
    shares.set_xlabel("share of the CPU's float32 peak (longer is better)", color=INK)
    for axes in (times, shares):
        plain(axes)


def plain(axes: Any, grid: str = "x") -> None:
    """No frame; a pale grid."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, colors=INK, labelsize=9.5)
    axes.tick_params(which="minor", length=0)
    axes.grid(axis=grid, color=RULE, lw=0.8)
    axes.set_axisbelow(True)


def _head(figure: Figure, results: Results, threads: int) -> None:
    """Title, machine and legend, at fixed distances from the top."""
    height = float(figure.get_figheight())
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    where = f"{machine['cpu']}, {machine['cpu_level']}, {count(threads, 'thread')}"
    note = f"n{TIMES}: speed over the fastest peer's"
    for text, x, down, style in (
        ("The same training, step by step", 0.02, 0.32, {"fontsize": 17, "fontweight": "bold"}),
        (f"{where} · {versions}", 0.02, 0.68, {"fontsize": 9.5, "color": PALE}),
        (note, 0.68, 1.03, {"fontsize": 9.5, "color": COLOURS[OURS], "ha": "right"}),
    ):
        figure.text(x, 1 - down / height, text, va="center", **{"color": INK, **style})
    present = [name for name in COLOURS if name in machine["versions"]]
    figure.legend(
        handles=[Patch(color=COLOURS[name], label=name) for name in present],
        loc="center left", bbox_to_anchor=(0.014, 1 - 1.03 / height), ncols=4, frameon=False,
        fontsize=11, handlelength=1.1, handleheight=1.1, labelcolor=INK,
    )  # fmt: skip
    figure.subplots_adjust(
        left=0.16, right=0.975, top=1 - 1.25 / height, bottom=0.62 / height, wspace=0.05
    )


def _short(microseconds: float) -> str:
    """Three digits with their unit: ``1.61 µs``, ``108 ms``."""
    unit, size = _unit(microseconds)
    return f"{microseconds / size:.3g} {unit}"


def duration(microseconds: float, _: object) -> str:
    """A tick's label."""
    unit, size = _unit(microseconds)
    return f"{microseconds / size:g} {unit}"


def _unit(microseconds: float) -> tuple[str, float]:
    units = (("s", 1e6), ("ms", 1e3), ("µs", 1))
    return next((found for found in units if microseconds >= found[1]), ("ns", 1e-3))
