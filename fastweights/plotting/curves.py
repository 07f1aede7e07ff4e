"""How figures went while a model was trained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastweights import _check
from fastweights.plotting.style import (
    BLUE,
    FAINT,
    ORANGE,
    escaped_math,
    grid_of_axes,
    one_axes,
    styled,
    wanted_ending,
    write,
)

#: In inches; how many beside each other.
SIZE, ABREAST = (4.6, 3.4), 3
#: A loss whose values are that many times apart is drawn on a logarithmic axis.
WIDE = 10.0


def plot_history(
    history: Mapping[str, Sequence[float]],
    epochs: Sequence[int],
    metrics: str | Sequence[str] | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> np.ndarray[Any, Any]:
    """Draws figures by epoch, those of training and of validation together: see `History.plot`."""
    ending = wanted_ending(to_file)
    names = _chosen(history, metrics)
    with styled("plot"):
        axes = grid_of_axes("plot", len(names), ABREAST, SIZE)
        for one, name in zip(axes, names, strict=True):
            _draw(one, name, history, np.asarray(epochs) + 1)
        write(axes[0].figure, to_file, ending)
    return axes


def _chosen(history: Mapping[str, Sequence[float]], metrics: Any) -> list[str]:
    """Figures to draw, without those of validation data, which go with the others."""
    drawable = [name for name, values in history.items() if np.ndim(values) == 1]
    known = dict.fromkeys(name.removeprefix("val_") for name in drawable)
    if not known:
        raise ValueError(_check.refusal("history", "no epoch", "that of a fit"))
    if metrics is None:
        if others := [name for name, values in history.items() if np.ndim(values) > 1]:
            told = f"{', '.join(others)} of arrays, which have no curve, left out"
            warnings.warn(f"plot: {told}", stacklevel=4)
        return list(known)
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    if not wanted:
        raise ValueError(_check.refusal("metrics", "none", f"some of {', '.join(known)}"))
    for name in wanted:
        _check.choice("metrics", name, known)
    return wanted


def _draw(
    axes: Any, name: str, history: Mapping[str, Sequence[float]], epochs: np.ndarray[Any, Any]
) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn = []
    for key, label, colour in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
        if key in history:
            values = np.asarray(history[key], float)
            marker = "o" if len(values) == 1 else None
            # A figure that came later than others has fewer epochs.
            at = epochs[len(epochs) - len(values) :]
            axes.plot(at, values, color=colour, linewidth=2, marker=marker, label=label)
            drawn.append(values[np.isfinite(values)])
    every = np.concatenate(drawn)
    if name.endswith("loss") and every.size and 0 < WIDE * every.min() < every.max():
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_title(escaped_math(name))
    if len(drawn) > 1:
        axes.legend()


def plot_rates(
    rates: np.ndarray[Any, Any],
    losses: np.ndarray[Any, Any],
    smooth: np.ndarray[Any, Any],
    suggestion: float | None,
    ax: Any = None,
    to_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws losses by learning rate: see `LearningRates.plot`."""
    ending = wanted_ending(to_file)
    with styled("plot"):
        axes = one_axes("plot", ax, (6.0, 3.8))
        axes.plot(rates, losses, color=FAINT, linewidth=1, label="each step")
        axes.plot(rates, smooth, color=BLUE, linewidth=2, label="smoothed")
        if suggestion is not None:
            label = f"suggested: {suggestion:.2g}"
            axes.axvline(suggestion, color=ORANGE, linewidth=1.5, label=label)
        # What comes after the lowest loss would hide what comes before.
        low, high = smooth.min(), max(smooth[0], float(np.median(smooth)))
        axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low) + 1e-12)
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        write(axes.figure, to_file, ending)
    return axes
