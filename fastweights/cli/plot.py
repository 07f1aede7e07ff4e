"""The picture of ``train --plot``: how it was learnt, how good it is, and what it goes by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

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
from fastweights.cli.report import named, number
from fastweights.plotting.effects import draw_importances
from fastweights.plotting.letters import lettered, shortened
from fastweights.plotting.results import draw_calibration, draw_confusion, merged_classes
from fastweights.plotting.style import BLUE, FAINT, LINE, ORANGE, STYLE, escaped_math
from fastweights.table.targets import ClassTarget, NumberTarget

#: Classes that a confusion matrix has room for; the others, less often confused, are one.
MOST_CLASSES = 12
#: Values above 0 whose 95 % quantile is that many times the 5 % quantile are drawn by logarithms.
HEAVY = 20.0
#: Bars of importances, and letters of a name in the picture.
MOST_BARS, MOST_LETTERS = 12, 24
#: Of each column.
_REPEATS = 3


class Importance(NamedTuple):
    """How much larger the loss is with a column shuffled among the rows.

    ``worse`` is of shape (columns, repeats).
    """

    names: list[str]
    worse: np.ndarray


def importance_of(
    groups: dict[str, np.ndarray],
    x: np.ndarray,
    loss_of: Callable[[np.ndarray], float],
    seed: int,
    seconds: float,
) -> Importance:
    """The importance of columns, whose features' places `groups` has, on features (rows, n).

    Columns are looked at in their order, once each and then again, until the time is over.
    """
    random = np.random.default_rng(seed)
    before, began = loss_of(x), time.perf_counter()
    shuffled = x.copy()
    names = list(groups)
    worse = np.full((len(names), _REPEATS), np.nan)
    for repeat in range(_REPEATS):
        for column, name in enumerate(names):
            if time.perf_counter() - began > seconds:
                break
            places = groups[name]
            shuffled[:, places] = x[random.permutation(len(x))][:, places]
            worse[column, repeat] = loss_of(shuffled) - before
            shuffled[:, places] = x[:, places]
    seen = ~np.isnan(worse[:, 0])
    whole = ~np.isnan(worse).any(axis=0)
    whole[0] = True
    found = [name for name, is_seen in zip(names, seen, strict=True) if is_seen]
    return Importance(found, worse[seen][:, whole])


def draw(
    path: str,
    target: NumberTarget | ClassTarget,
    histories: Sequence[dict[str, list[float]]],
    best_epochs: Sequence[int],
    truth: np.ndarray | None,
    predictions: np.ndarray | None,
    figures: dict[str, Any],
    importance: Importance | None = None,
) -> list[str]:
    """Writes the picture; its format is the one that the file name's ending asks for.

    Returns what is to be said of it.
    """
    panels: list[Callable[[Axes], None]] = [
        lambda axes: _learning_curves(axes, histories, best_epochs)
    ]
    if truth is not None and predictions is not None and len(truth):
        if isinstance(target, NumberTarget) and predictions.ndim == 1:
            panels.append(lambda axes: _against_truth(axes, target, truth, predictions, figures))
            panels.append(lambda axes: _errors(axes, target, truth, predictions))
        elif isinstance(target, NumberTarget):
            panels.append(lambda axes: _shares_below(axes, target, figures))
        else:
            panels.append(lambda axes: _confusion_matrix(axes, target, figures))
            panels.append(lambda axes: draw_calibration(axes, truth, predictions))
    if importance is not None and importance.names:
        panels.append(lambda axes: _importances(axes, importance, len(histories)))
    abreast = min(len(panels), 2)
    down = -(-len(panels) // abreast)
    names = [target.name, *(importance.names if importance else ())]
    names += target.classes if isinstance(target, ClassTarget) else ()
    with rc_context(STYLE), lettered(names) as said:
        layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12, wspace=0.04)
        figure = Figure(figsize=(5.75 * abreast, 5.0 * down), layout=layout)
        axes = figure.subplots(down, abreast, squeeze=False).ravel()
        for one, panel in zip(axes, panels, strict=False):
            panel(one)
        for empty in axes[len(panels) :]:
            empty.set_axis_off()
        ending = _ending(path)
        _files.replace(path, lambda file: figure.savefig(file, dpi=160, format=ending))
    return said


def check_format(path: str) -> None:
    """Raises ValueError where the file name's ending names no kind of picture."""
    known = FigureCanvasAgg.get_supported_filetypes()
    if _ending(path) not in known:
        raise ValueError(
            _check.refusal("--plot", path, f"a name that ends in .{', .'.join(known)}")
        )


def _ending(path: str) -> str:
    return PurePath(path).suffix.lstrip(".").lower()


def _name(text: str) -> str:
    return escaped_math(shortened(text, MOST_LETTERS))


def _learning_curves(
    axes: Axes, histories: Sequence[dict[str, list[float]]], best_epochs: Sequence[int]
) -> None:
    names = {"loss": ("training", BLUE), "val_loss": ("validation", ORANGE)}
    width = 2.0 if len(histories) == 1 else 1.2
    for place, (history, best) in enumerate(zip(histories, best_epochs, strict=True)):
        epochs = np.arange(1, len(history["loss"]) + 1)
        for key, (name, colour) in names.items():
            if key in history:
                label = None if place else name
                axes.plot(epochs, history[key], color=colour, linewidth=width, label=label)
                axes.plot(best + 1, history[key][best], "o", color=colour, markersize=5)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.set_xlabel("epoch")
    if len(histories) == 1:
        axes.axvline(best_epochs[0] + 1, color=LINE, linewidth=1, linestyle=(0, (2, 3)), zorder=0)
        axes.set_title(f"Loss; the weights of epoch {best_epochs[0] + 1} are kept")
    else:
        axes.set_title(f"Loss of {len(histories)} networks; dots: the epochs kept")
    axes.legend(frameon=False)


def _is_heavy(values: np.ndarray) -> bool:
    """Whether values above 0 spread so far that a logarithmic axis shows more of them."""
    low, high = np.quantile(values, (0.05, 0.95))
    return bool(values.min() > 0 and high > HEAVY * low)


def _against_truth(
    axes: Axes,
    target: NumberTarget,
    truth: np.ndarray,
    predictions: np.ndarray,
    figures: dict[str, Any],
) -> None:
    low = min(truth.min(), predictions.min())
    high = max(truth.max(), predictions.max())
    heavy = _is_heavy(truth) and predictions.min() > 0
    if heavy:
        room = (high / low) ** 0.03
        limits = (low / room, high * room)
    else:
        margin = 0.03 * (high - low) or 1.0
        limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=ORANGE, linewidth=1.5, zorder=3, label="right")
    trivial = f"trivial: {number(target.baseline)}"
    axes.axhline(target.baseline, color=LINE, linewidth=1.2, linestyle=(0, (4, 3)), label=trivial)
    opacity = float(np.clip(300 / len(truth), 0.08, 0.6))
    axes.scatter(truth, predictions, s=16, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=limits, ylim=limits)
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        if heavy:
            scale("log")
            axis.set_major_locator(LogLocator(numticks=6))
            axis.set_minor_locator(NullLocator())
        else:
            axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if high >= 10_000 else "{x:g}"))
    axes.set_aspect("equal")
    what = _name(named(target))
    axes.set_xlabel(f"{what}, truth")
    axes.set_ylabel(f"{what}, prediction")
    axes.set_title(f"{len(truth):,} unseen rows: mean absolute error {number(figures['mae'])}")
    axes.legend(frameon=False, loc="upper left")


def _errors(axes: Axes, target: NumberTarget, truth: np.ndarray, predictions: np.ndarray) -> None:
    """How far predictions and the trivial one are off: the share of the rows up to each error."""
    for values, colour, label in (
        (np.abs(predictions - truth), BLUE, "this model"),
        (np.abs(target.baseline - truth), LINE, "always the training mean"),
    ):
        ordered = np.sort(values)
        shares = np.arange(1, len(ordered) + 1) / len(ordered)
        axes.plot(ordered, shares, color=colour, linewidth=2, label=label)
    most = float(np.quantile(np.abs(target.baseline - truth), 0.98))
    axes.set(xlim=(0, most or 1.0), ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if most >= 10_000:
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(f"absolute error, {_name(named(target))}")
    axes.set_ylabel("share of the rows with at most that")
    axes.set_title("Errors")
    axes.legend(frameon=False, loc="lower right")


def _shares_below(axes: Axes, target: NumberTarget, figures: dict[str, Any]) -> None:
    """The share of the rows at or below each predicted quantile, which is to be the quantile."""
    axes.plot((0, 1), (0, 1), color=ORANGE, linewidth=1.5, label="right")
    found = figures["shares_below"]
    axes.plot(figures["quantiles"], found, "o-", color=BLUE, linewidth=2, label="this model")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.set_xlabel(f"quantile of {_name(named(target))}, predicted")
    axes.set_ylabel("share of the rows at or below it")
    axes.set_title(f"Unseen rows: pinball loss {number(figures['pinball'])}")
    axes.legend(frameon=False, loc="upper left")


def _confusion_matrix(axes: Axes, target: ClassTarget, figures: dict[str, Any]) -> None:
    counts, names = merged_classes(np.array(figures["confusion"]), target.classes, MOST_CLASSES)
    draw_confusion(axes, counts, [shortened(name, MOST_LETTERS) for name in names])
    what = _name(target.name)
    axes.set_xlabel(f"{what}, prediction")
    axes.set_ylabel(f"{what}, truth")
    total, baseline = int(counts.sum()), figures.get("baseline_accuracy")
    trivial = "" if baseline is None else f" (trivial: {baseline:.1%})"
    axes.set_title(f"{total:,} unseen rows: {figures['accuracy']:.1%} are right{trivial}")


def _importances(axes: Axes, importance: Importance, networks: int) -> None:
    names = [shortened(name, MOST_LETTERS) for name in importance.names]
    draw_importances(axes, names, importance.worse, "the loss", MOST_BARS)
    axes.set_xlabel("what shuffling a column adds to the loss")
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_title("What it goes by" if networks == 1 else "What the first network goes by")
