"""The picture of ``train --plot``: learning curves, and predictions against the truth."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
except ImportError:
    raise ModuleNotFoundError(
        "--plot: needs matplotlib, which is not installed: pip install 'fastweights[plot]'"
    ) from None

from fastweights import _check, _files
from fastweights.cli.report import number
from fastweights.plotting.results import draw_confusion
from fastweights.plotting.style import BLUE, LINE, ORANGE, STYLE, escaped_math
from fastweights.table.targets import ClassTarget, NumberTarget


def draw(
    path: str,
    target: NumberTarget | ClassTarget,
    history: dict[str, list[float]],
    best_epoch: int,
    truth: np.ndarray,
    predictions: np.ndarray,
    figures: dict[str, Any],
) -> None:
    """Writes the picture; its format is the one that the file name's ending asks for."""
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.04)
        figure = Figure(figsize=(11.5, 5.0), layout=layout)
        left, right = figure.subplots(1, 2)
        _learning_curves(left, history, best_epoch)
        if isinstance(target, NumberTarget):
            _prediction_against_truth(right, target, truth, predictions, figures)
        else:
            _confusion_matrix(right, target, figures)
        ending = _ending(path)
        _files.replace(path, lambda file: figure.savefig(file, dpi=160, format=ending))


def check_format(path: str) -> None:
    """Raises ValueError where the file name's ending names no kind of picture."""
    known = FigureCanvasAgg.get_supported_filetypes()
    if _ending(path) not in known:
        raise ValueError(
            _check.refusal("--plot", path, f"a name that ends in .{', .'.join(known)}")
        )


def _ending(path: str) -> str:
    return PurePath(path).suffix.lstrip(".").lower()


def _learning_curves(axes: Axes, history: dict[str, list[float]], best_epoch: int) -> None:
    names = {"loss": ("training", BLUE), "val_loss": ("validation", ORANGE)}
    epochs = np.arange(1, len(history["loss"]) + 1)
    for key, (name, colour) in names.items():
        if key in history:
            axes.plot(epochs, history[key], color=colour, linewidth=2, label=name)
            axes.plot(best_epoch + 1, history[key][best_epoch], "o", color=colour, markersize=6)
    axes.axvline(best_epoch + 1, color=LINE, linewidth=1, linestyle=(0, (2, 3)), zorder=0)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.set_xlabel("epoch")
    axes.set_title(f"Loss; the weights of epoch {best_epoch + 1} are kept")
    axes.legend(frameon=False)


def _prediction_against_truth(
    axes: Axes,
    target: NumberTarget,
    truth: np.ndarray,
    predictions: np.ndarray,
    figures: dict[str, Any],
) -> None:
    low = min(truth.min(), predictions.min())
    high = max(truth.max(), predictions.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=ORANGE, linewidth=1.5, zorder=3)
    opacity = float(np.clip(300 / len(truth), 0.08, 0.6))
    axes.scatter(truth, predictions, s=16, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6))
        if high >= 10_000:
            axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(f"{escaped_math(target.name)}, truth")
    axes.set_ylabel(f"{escaped_math(target.name)}, prediction")
    axes.set_title(f"{len(truth):,} unseen rows: mean absolute error {number(figures['mae'])}")


def _confusion_matrix(axes: Axes, target: ClassTarget, figures: dict[str, Any]) -> None:
    draw_confusion(axes, np.array(figures["confusion"]), target.classes)
    axes.set_xlabel(f"{escaped_math(target.name)}, prediction")
    axes.set_ylabel(f"{escaped_math(target.name)}, truth")
    counts = np.array(figures["confusion"])
    axes.set_title(f"{counts.sum():,} unseen rows: {figures['accuracy']:.1%} are right")
