"""What inputs have to do with predictions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights.plotting.style import (
    BLUE,
    INK,
    escaped_math,
    grid_of_axes,
    one_axes,
    styled,
    wanted_ending,
    write,
)

Array = np.ndarray[Any, Any]


def plot_importances(
    names: Sequence[str],
    repeats: Array,
    figure: str,
    most: int,
    ax: Any,
    to_file: str | os.PathLike[str] | None,
) -> Any:
    """Draws importances (features, repeats), the largest on top: see `Importances.plot`."""
    ending = wanted_ending(to_file)
    with styled("plot"):
        axes = one_axes("plot", ax, (6.0, 1.0 + 0.28 * min(most, len(names))))
        draw_importances(axes, names, repeats, figure, most)
        write(axes.figure, to_file, ending)
    return axes


def draw_importances(
    axes: Any, names: Sequence[str], repeats: Array, figure: str, most: int
) -> None:
    """Importances (features, repeats) on axes, the largest on top, within `styled`."""
    means, deviations = repeats.mean(axis=1), repeats.std(axis=1)
    order = np.argsort(-means, kind="stable")[:most][::-1]
    places = np.arange(len(order))
    axes.barh(
        places, means[order], xerr=deviations[order], color=BLUE, ecolor=INK, height=0.7,
        error_kw={"elinewidth": 1},
    )  # fmt: skip
    axes.set_yticks(places, [escaped_math(names[number]) for number in order])
    axes.set_xlabel(f"how much worse {escaped_math(figure)} is with the feature shuffled")
    axes.grid(False, axis="y")


def plot_dependences(
    curves: Sequence[tuple[str, Array, Array, Array | None]],
    predicted: str,
    to_file: str | os.PathLike[str] | None,
) -> Array:
    """Draws (name, grid, mean, rows or None) of each feature: see `PartialDependence.plot`.

    What is predicted has one scale, so that features can be compared.
    """
    ending = wanted_ending(to_file)
    with styled("plot"):
        axes = grid_of_axes("plot", len(curves), 3, (3.8, 3.0), sharey=True)
        for one, (name, grid, mean, rows) in zip(axes, curves, strict=True):
            if rows is not None:
                opacity = float(np.clip(8 / len(rows), 0.03, 0.4))
                one.plot(grid, rows.T, color=BLUE, linewidth=0.8, alpha=opacity)
            marker = "o" if len(grid) < 12 else None
            one.plot(grid, mean, color=BLUE if rows is None else INK, linewidth=2, marker=marker)
            one.set_xlabel(escaped_math(name))
        for one in axes[::3]:
            one.set_ylabel(predicted)
        write(axes[0].figure, to_file, ending)
    return axes
