"""Averages of weights, which an optimizer with `use_ema` keeps, and the weights themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._plans import Compiled


def _sides(built: Built, compiled: Compiled) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights that are trained, and their averages."""
    averages = compiled.memory_for(built).averages(built.size)
    moved = [
        slice(begin, begin + size)
        for (layer, _), (_, begin, size) in zip(built.variables, built.places(), strict=True)
        if layer.trainable
    ]
    return [built.parameters[one] for one in moved], [averages[one] for one in moved]


def take(built: Built, compiled: Compiled) -> None:
    """Weights that are trained become their averages, where the optimizer keeps them."""
    if not compiled.training().use_ema:
        return
    weights, averages = _sides(built, compiled)
    exchanged = compiled.memory_for(built).exchanged
    if exchanged[0]:
        weights, averages = averages, weights
    built.lock.copy([*weights, exchanged], [*averages, np.zeros_like(exchanged)])


def exchange(built: Built, compiled: Compiled, wanted: bool) -> None:
    """Weights and averages take each other's places, unless they have as it is `wanted`."""
    exchanged = compiled.memory_for(built).exchanged
    if bool(exchanged[0]) == wanted:
        return
    weights, averages = _sides(built, compiled)
    came = [one.copy() for one in (*averages, *weights)]
    built.lock.copy([*weights, *averages, exchanged], [*came, np.full_like(exchanged, wanted)])
