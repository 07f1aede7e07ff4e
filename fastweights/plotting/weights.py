"""How the weights of a model are spread."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check
from fastweights.plotting.filters import plot_filters
from fastweights.plotting.style import (
    BLUE,
    escaped_math,
    grid_of_axes,
    styled,
    wanted_ending,
    write,
)

if TYPE_CHECKING:
    from fastweights._network import Network

#: In inches; how many beside each other, and how many at most.
SIZE, ABREAST, MOST = (2.9, 2.2), 4, 64


def plot_weights(
    model: Network, to_file: str | os.PathLike[str] | None = None
) -> np.ndarray[Any, Any]:
    """Draws how weights are spread, or what the first layer looks for: see `Model.plot_weights`."""
    ending = wanted_ending(to_file)
    built = model._built_or_refused()
    row = built.input_shapes[0]
    # An image has one channel, three or, with transparency, four; a series has any number.
    if len(row) == 3 or (len(row) == 2 and min(row) > 4):
        try:
            return plot_filters(model, to_file=to_file)
        except ValueError:  # no layer reads the images with weights of its own
            pass
    weights = [weight for weight in model.weights if weight.size][:MOST]
    if not weights:
        raise ValueError(_check.refusal("model", "no weights", "a model with some"))
    with styled("plot_weights"):
        axes = grid_of_axes("plot_weights", len(weights), ABREAST, SIZE)
        for one, weight in zip(axes, weights, strict=True):
            numbers = np.asarray(weight, float).ravel()
            bins = int(np.clip(math.sqrt(numbers.size), 8, 60))
            one.hist(numbers, bins=bins, color=BLUE)
            one.set_title(escaped_math(f"{weight.name} {weight.shape}"), fontsize=8)
            one.tick_params(labelsize=7)
            one.set_xlabel(f"mean {numbers.mean():.2g}, deviation {numbers.std():.2g}", fontsize=7)
        write(axes[0].figure, to_file, ending)
    return axes
