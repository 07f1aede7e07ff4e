"""How good predictions are: against the truth, class by class, and whether probabilities hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import _check
from fastweights.plotting.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    escaped_math,
    grid_of_axes,
    one_axes,
    styled,
    wanted_ending,
    write,
)

Array = np.ndarray[Any, Any]

#: Columns of targets that are drawn at most, how many beside each other, and the size in inches.
MOST_COLUMNS, ABREAST, SIZE = 12, 3, (4.4, 4.2)
#: Counts of more classes would not be legible, nor would the names of more than `MOST_NAMED`.
MOST_COUNTED, MOST_NAMED = 16, 60


def plot_predictions(
    y_true: Any,
    y_pred: Any,
    names: Sequence[str] | str | None = None,
    ax: Any = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws predicted numbers against the true ones; on the line they are equal.

    Parameters
    ----------
    y_true : array_like (rows,) or (rows, outputs)
    y_pred : array_like, as many
        What `Model.predict` gives.
    names : sequence of str, or str, optional
        What the outputs are, with their unit: ``"price in $"``.
    ax : matplotlib.axes.Axes, optional
        Where to draw one output; a new figure by default.
    to_file : path, optional
        Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

    Returns
    -------
    matplotlib.axes.Axes, or an ndarray of one for each of several outputs, up to 12
    """
    ending = wanted_ending(to_file)
    truth, predicted = _columns("y_true", y_true), _columns("y_pred", y_pred)
    if truth.shape != predicted.shape:
        got = f"shape {np.shape(y_pred)} beside y_true of {np.shape(y_true)}"
        raise ValueError(_check.refusal("y_pred", got, "as many rows and outputs"))
    outputs = truth.shape[1]
    labels = _named("names", names, outputs) or [""] * outputs
    if ax is not None and outputs > 1:
        got = f"one for {outputs} outputs"
        raise ValueError(_check.refusal("ax", got, "None, or y_true and y_pred of one output"))
    shown = min(outputs, MOST_COLUMNS)
    with styled("plot_predictions"):
        if outputs == 1:
            axes = np.array([one_axes("plot_predictions", ax, SIZE)])
        else:
            axes = grid_of_axes("plot_predictions", shown, ABREAST, SIZE)
        for column in range(shown):
            _scatter(axes[column], truth[:, column], predicted[:, column], labels[column])
        write(axes[0].figure, to_file, ending)
    return axes[0] if outputs == 1 else axes


def _scatter(axes: Any, truth: Array, predicted: Array, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    margin = 0.03 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=ORANGE, linewidth=1.5, zorder=3)
    opacity = float(np.clip(300 / len(truth), 0.08, 0.6))
    axes.scatter(truth, predicted, s=14, color=BLUE, alpha=opacity, linewidths=0, rasterized=True)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    what = f"{escaped_math(name)}, " if name else ""
    axes.set_xlabel(f"{what}truth")
    axes.set_ylabel(f"{what}prediction")
    error = np.abs(truth - predicted).mean()
    axes.set_title(f"{len(truth):,} rows: mean absolute error {error:.4g}", fontsize=10)


def plot_confusion(
    y_true: Any,
    y_pred: Any,
    classes: Sequence[str] | None = None,
    ax: Any = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws how often each class was taken for which: counts, coloured by the true class's share.

    Parameters
    ----------
    y_true : array_like (rows,), or (rows, classes) one-hot
        Whole numbers from 0.
    y_pred : array_like (rows,) of whole numbers, or (rows, classes)
        Classes, or what `Model.predict` gives, of which the largest counts; of a network with one
        output, (rows, 1), these are probabilities: those above 0.5 are of class 1.
    classes : sequence of str, optional
        Their names; their numbers by default.
    ax : matplotlib.axes.Axes, optional
    to_file : path, optional
        Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ending = wanted_ending(to_file)
    truth, predicted = _labels("y_true", y_true), _labels("y_pred", y_pred)
    if len(truth) != len(predicted):
        got = f"{len(predicted)} rows beside y_true of {len(truth)}"
        raise ValueError(_check.refusal("y_pred", got, "as many"))
    count = max(int(truth.max()), int(predicted.max())) + 1
    wide = [np.shape(given)[1] for given in (y_true, y_pred) if np.ndim(given) == 2]
    count = max([count, *(width for width in wide if width > 1)])
    names = _named("classes", classes, None)
    if names is not None and len(names) < count:
        raise ValueError(_check.refusal("classes", f"{len(names)} names", f"{count}"))
    names = names or [str(number) for number in range(count)]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    with styled("plot_confusion"):
        side = float(np.clip(2.5 + 0.33 * len(names), 4.0, 11.0))
        axes = one_axes("plot_confusion", ax, (side + 1.0, side))
        draw_confusion(axes, counts, names)
        write(axes.figure, to_file, ending)
    return axes


def draw_confusion(axes: Any, counts: Array, names: Sequence[str]) -> None:
    """A confusion matrix (true class, predicted class) on axes, within `styled`."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    step = -(-len(names) // MOST_NAMED)
    places = list(range(0, len(names), step))
    labels = [escaped_math(names[place]) for place in places]
    slanted = max(map(len, labels)) * len(labels) > 40
    size = 10 if len(names) <= MOST_COUNTED else 7
    axes.set_xticks(places, labels, rotation=90 * slanted, fontsize=size)
    axes.set_yticks(places, labels, fontsize=size)
    if len(names) <= MOST_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.55 else INK if count else FAINT
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    right = np.trace(counts) / max(int(counts.sum()), 1)
    axes.set_title(f"{counts.sum():,} rows: {right:.1%} are right")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    bar.outline.set_visible(False)


def merged_classes(counts: Array, names: Sequence[str], most: int) -> tuple[Array, list[str]]:
    """A confusion matrix of at most so many classes: the most confused, the others as one.

    Returns counts (classes, classes), the true class by the predicted one, and the names.
    """
    if len(names) <= most:
        return counts, list(names)
    wrong = counts.sum(axis=1) + counts.sum(axis=0) - 2 * counts.diagonal()
    order = np.lexsort((np.arange(len(names)), -counts.sum(axis=1), -wrong))
    place = np.full(len(names), most - 1)
    place[order[: most - 1]] = np.arange(most - 1)
    merged = np.zeros((most, most), counts.dtype)
    np.add.at(merged, (place[:, np.newaxis], place[np.newaxis]), counts)
    kept = [names[number] for number in order[: most - 1]]
    return merged, [*kept, f"{len(names) - most + 1} others"]


def plot_calibration(
    y_true: Any,
    y_pred: Any,
    bins: int = 10,
    ax: Any = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws whether probabilities hold: of rows with 0.8, eight in ten should be of the class.

    Rows go into bins of equal counts by their probability; bars are two standard errors of the
    share. Of several classes it is the probability of the largest, and whether that one is right
    (Guo et al., "On calibration of modern neural networks", 2017). The title has the expected
    calibration error, the mean distance of the two.

    Parameters
    ----------
    y_true : array_like (rows,), or (rows, classes) one-hot
        Classes as whole numbers from 0; 0 and 1 of two.
    y_pred : array_like (rows,), (rows, 1) or (rows, classes)
        Probabilities.
    bins : int
        At most so many; equal probabilities are not parted.
    ax : matplotlib.axes.Axes, optional
    to_file : path, optional
        Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ending = wanted_ending(to_file)
    bins = _check.whole("bins", bins, 1)
    probabilities = _columns("y_pred", y_pred)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        expected = "probabilities, from 0 to 1: of logits their sigmoid or softmax"
        raise ValueError(_check.refusal("y_pred", "other numbers", expected))
    truth = _labels("y_true", y_true)
    if len(truth) != len(probabilities):
        got = f"{len(probabilities)} rows beside y_true of {len(truth)}"
        raise ValueError(_check.refusal("y_pred", got, "as many"))
    classes = max(probabilities.shape[1], 2)
    if truth.max() >= classes:
        got = f"class {truth.max()}"
        raise ValueError(_check.refusal("y_true", got, f"whole numbers from 0 to {classes - 1}"))
    if probabilities.shape[1] == 1:
        said, held = probabilities[:, 0], truth == 1
        label = "predicted probability of class 1"
    else:
        said, held = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
        label = "probability of the predicted class"
    with styled("plot_calibration"):
        axes = one_axes("plot_calibration", ax, (4.6, 4.4))
        _draw_bins(axes, said, held, bins, label)
        write(axes.figure, to_file, ending)
    return axes


def draw_calibration(axes: Any, truth: Array, probabilities: Array, bins: int = 10) -> None:
    """Whether the predicted class's probability (rows, classes) holds, on axes within `styled`."""
    held = probabilities.argmax(axis=1) == truth
    label = "probability of the predicted class"
    _draw_bins(axes, probabilities.max(axis=1), held, bins, label)


def _draw_bins(axes: Any, said: Array, held: Array, bins: int, label: str) -> None:
    means, shares, counts = _in_bins(said, held, bins)
    errors = 2 * np.sqrt(shares * (1 - shares) / counts)
    gap = float((np.abs(means - shares) * counts).sum() / counts.sum())
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5)
    axes.errorbar(means, shares, yerr=errors, color=BLUE, marker="o", linewidth=2, elinewidth=1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel(label)
    axes.set_ylabel("share that it is true of")
    axes.set_title(f"{len(said):,} rows: calibration error {gap:.3f}")


def _in_bins(said: Array, held: Array, bins: int) -> tuple[Array, Array, Array]:
    """Of each bin the mean probability, the share that it was true of, and how many there are."""
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, said, "right") - 1, 0, max(len(edges) - 2, 0))
    counts = np.bincount(place)
    filled = counts > 0
    counts = counts[filled]
    means = np.bincount(place, said)[filled] / counts
    return means, np.bincount(place, held.astype(float))[filled] / counts, counts


# ---- what came -----------------------------------------------------------------------------------


def _columns(argument: str, given: Any) -> Array:
    """Finite numbers, (rows, outputs)."""
    array = np.asarray(_check.numeric_array(argument, given), float)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or 0 in array.shape:
        expected = "shape (rows,) or (rows, outputs), with some rows"
        raise ValueError(_check.refusal(argument, f"shape {np.shape(given)}", expected))
    _check.finite(argument, array)
    return array


def _labels(argument: str, given: Any) -> Array:
    """Classes of rows, of their numbers or of columns for each."""
    array = _columns(argument, given)
    if array.shape[1] > 1:
        return array.argmax(axis=1)
    labels = array[:, 0]
    if np.ndim(given) == 2 and not (labels == np.floor(labels)).all():
        is_beyond = (labels < 0) | (labels > 1)
        if is_beyond.any():
            expected = "probabilities, from 0 to 1: of logits or scores give (column > 0)"
            raise ValueError(_check.refusal(argument, f"{labels[is_beyond][0]:g}", expected))
        return (labels > 0.5).astype(np.int64)
    if (labels < 0).any() or (labels != np.floor(labels)).any():
        expected = "whole numbers from 0, or a column for each class"
        bad = labels[(labels < 0) | (labels != np.floor(labels))][0]
        raise ValueError(_check.refusal(argument, f"{bad:g}", expected))
    return labels.astype(np.int64)


def _named(argument: str, names: Any, count: int | None) -> list[str] | None:
    """Names as they were given, if they are so many."""
    if names is None:
        return None
    found = [names] if isinstance(names, str) else [str(name) for name in names]
    if count is not None and len(found) != count:
        raise ValueError(_check.refusal(argument, f"{len(found)} names", f"{count}"))
    return found
