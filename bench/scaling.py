"""python -m bench.scaling: how the time of a training step grows with the batch and the width.

Both are swept over four and nearly three powers of ten on one thread, and shown beside the
arithmetic that a step asks for: the time that its products take at the registers' peak. Where the
two lines run side by side, nothing but the work costs time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers import race
from bench.peers.contenders import OURS, Fastweights
from bench.peers.networks import Chain
from bench.peers.report import microseconds
from bench.peers.results import write
from bench.peers.workloads import Task, Workload
from fastweights import benchmarks
from fastweights.cli.output import text_table

ROOT = Path(__file__).parents[1]
JSON = ROOT / "bench" / "results" / "scaling.json"
PICTURE = ROOT / "docs" / "images" / "scaling.png"

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 5000, 10_000)
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

#: An epoch's operations, and the fewest and most steps that they may come to: what happens once an
#: epoch should not show.
EPOCH_FLOPS = 5e8
STEPS = 4, 1000

Figures = dict[str, Any]


def sweeps() -> dict[str, list[tuple[int, Workload]]]:
    """What grows, and the workload at each size."""
    return {
        "batch": [(n, _workload((32, 64, 64, 8), n)) for n in BATCHES],
        "width": [(n, _workload((n, n, n), 256)) for n in WIDTHS],
    }


def _workload(widths: tuple[int, ...], batch: int) -> Workload:
    one = Workload("-".join(map(str, widths)), Chain(widths, "relu"), batch, steps=1, sgd=0.001)
    least, most = STEPS
    steps = min(most, max(least, round(EPOCH_FLOPS / one.flops)))
    return replace(one, steps=steps)


def measure(seconds: float) -> Iterator[Figures]:
    """The time of a step at each size, and the least it could be."""
    for grows, points in sweeps().items():
        for size, workload in points:
            contender = Fastweights(Task.of(workload, "sgd"))
            contender.train(1)
            times = race.race({OURS: contender}, workload.steps, seconds)[OURS]
            yield {
                "grows": grows,
                "size": size,
                "network": workload.name,
                "rows": workload.batch,
                "seconds": times["best"],
                "flops": workload.flops,
            }


def table(points: Sequence[Figures], peak: float) -> str:
    """The points of one sweep, and how the time grew since the one before."""
    lines = [
        [points[0]["grows"], "network", "step", "at the peak", "of peak", "time grew", "work grew"]
    ]
    for before, point in zip([None, *points], points, strict=False):
        least = point["flops"] / peak
        grown = [
            f"{point[what] / before[what]:.2f}" if before else "" for what in ("seconds", "flops")
        ]
        share = f"{least / point['seconds']:.0%}"
        times = [microseconds(point["seconds"]), microseconds(least), share]
        lines.append([f"{point['size']:,}", point["network"], *times, *grown])
    return text_table(lines)


def draw(results: Figures, path: Path) -> None:
    """Both sweeps side by side, time and arithmetic on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bench.peers.picture import COLOURS, INK, PALE, duration, plain

    figure = Figure(figsize=(12, 5), facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12, hspace=0.1)
    FigureCanvasAgg(figure)
    for axes, grows in zip(figure.subplots(1, 2), sweeps(), strict=True):
        points = [point for point in results["points"] if point["grows"] == grows]
        sizes = [point["size"] for point in points]
        least = np.array([point["flops"] for point in points]) / results["peak"] * 1e6
        taken = np.array([point["seconds"] for point in points]) * 1e6
        axes.loglog(
            sizes, least, color=PALE, lw=1.6, ls=(0, (4, 3)), label="its arithmetic at the peak"
        )
        axes.loglog(sizes, taken, color=COLOURS[OURS], lw=2.2, marker="o", ms=6, label="a step")
        fixed = {
            "batch": f"{points[0]['network']}, batch from {sizes[0]} to {sizes[-1]:,}",
            "width": f"n-n-n, n from {sizes[0]} to {sizes[-1]:,}, batch {points[0]['rows']}",
        }
        axes.set_title(fixed[grows], fontsize=11, color=INK, loc="left", pad=12)
        axes.set_xlabel(grows, color=INK)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(duration)
        plain(axes, "both")
        axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    figure.suptitle(
        f"Cost follows the work · {results['machine']['cpu']}, one thread",
        x=0.01, ha="left", fontsize=15, fontweight="bold", color=INK,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each point (default: 1)")
    for option, default in (("--json", JSON), ("--plot", PICTURE)):
        parser.add_argument(option, nargs="?", type=Path, const=default, metavar="FILE")
    args = parser.parse_args(argv)
    with race.bound_to(1):
        points = list(measure(args.seconds))
        results = {"machine": benchmarks.machine(), "peak": race.peak(1), "points": points}
    for grows in sweeps():
        print(table([p for p in points if p["grows"] == grows], results["peak"]) + "\n")
    if args.json:
        write(results, args.json)
    if args.plot:
        draw(results, args.plot)


if __name__ == "__main__":
    main()
