"""Which learning rate a model wants: steps at ever larger ones, and where the loss falls."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check, _feeding, _minimizing, training
from fastweights._rows import count, picked_examples
from fastweights.models import Model

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

#: What losses so far count less with each step, and how far above the beginning one ends the sweep.
SMOOTHING, HOPELESS = 0.9, 4.0
#: Steps whose mean is the loss before anything was learnt.
BEGINNING = 20


class LearningRates(NamedTuple):
    """What a sweep found.

    Attributes
    ----------
    learning_rates : ndarray (steps,)
        Of the steps up to where the loss had become hopeless.
    losses : ndarray (steps,)
        Of each step's batch, before it; the mean over those whose gradients are accumulated.
    smooth_losses : ndarray (steps,)
        Their exponential mean, corrected for where it began.
    suggestion : float or None
        Where it has fallen half of the way from the first steps to the lowest; None where it has
        not fallen by more than the first steps vary.
    """

    learning_rates: Array
    losses: Array
    smooth_losses: Array
    suggestion: float | None

    def plot(self, ax: Any = None, to_file: str | os.PathLike[str] | None = None) -> Any:
        """Draws losses by learning rate, with the suggestion; returns the matplotlib axes."""
        from fastweights.plotting.curves import plot_rates

        return plot_rates(
            self.learning_rates, self.losses, self.smooth_losses, self.suggestion, ax, to_file
        )


def find_learning_rate(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int = training.DEFAULT_BATCH,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 150,
) -> LearningRates:
    """Tries ever larger learning rates on a copy of a model (Smith, Cyclical Learning Rates, 2017).

    The model stays as it is. The optimizer of the copy begins anew, with all its settings.

    Parameters
    ----------
    model : Model
        Compiled, with an optimizer that has a learning rate.
    x, y : array_like
        Of the shapes of `Model.fit`; arrays, memory maps or frames.
    batch_size : int
        Rows a step; the one to train with later, as the best rate depends on it.
    lowest, highest : float
        Where the sweep begins and ends; it ends before where the loss has become hopeless.
    steps : int
        Updates of weights; each is one of ``gradient_accumulation_steps`` batches.

    Returns
    -------
    LearningRates
        Draws itself: ``fw.find_learning_rate(model, x, y).plot()``. A warning says so where there
        is no suggestion, or where the loss still falls at the highest rate.

    Examples
    --------
    >>> found = fw.find_learning_rate(model, x, y)
    >>> model.optimizer.learning_rate = found.suggestion
    """
    if not isinstance(model, Model):
        raise TypeError(_check.refusal("model", _check.kind_of(model), "a model"))
    lowest = _check.number("lowest", lowest, above=0.0)
    highest = _check.number("highest", highest, above=lowest)
    steps = _check.whole("steps", steps, 10)
    rates = np.geomspace(lowest, highest, steps)
    losses = _losses_at(model, x, y, _check.whole("batch_size", batch_size, 1), rates)
    smooth = _smoothed(losses)
    rates = rates[: len(losses)]
    suggestion = _half_way(rates, losses, smooth)
    if suggestion is None:
        told = "the loss has not fallen by more than it varies, so there is no suggestion; give"
        _warn(f"{told} a model that has yet to learn, larger batches, or a larger highest")
    elif smooth.argmin() == steps - 1:
        _warn(f"the loss still falls at the highest rate, {highest:g}; give a larger highest")
    return LearningRates(rates, losses, smooth, suggestion)


def _warn(told: str) -> None:
    warnings.warn(f"find_learning_rate: {told}", stacklevel=3)


def _losses_at(model: Model, x: Any, y: Any, batch_size: int, rates: Array) -> Array:
    """Of a step at each of these rates, until there is no hope."""
    if model._built is None:
        expected = "one that is built: give fw.Input or input_shape, or fit it for an epoch"
        raise ValueError(_check.refusal("model", "one that is not built yet", expected))
    trial = model.copy()
    trial._compiled = trial._compiled.anew()
    compiled = trial._compiled
    optimizer = compiled.training()
    if _minimizing.minimizer_of(compiled) is not None:
        got = f"one with {type(optimizer).__name__}, which has no learning rate to be found"
        raise ValueError(_check.refusal("model", got, "one with an optimizer such as Adam"))
    examples = _feeding.examples(trial, x, y)
    rows = count(examples.x)
    _feeding.refuse_batch_size(model._built, batch_size)
    batch_size = min(batch_size, rows)
    random, left = np.random.default_rng(model.seed), np.empty(0, np.int64)
    losses: list[float] = []
    smooth = _Smooth()
    for rate in rates:
        optimizer.learning_rate = float(rate)
        of_update = []
        for _ in range(optimizer.gradient_accumulation_steps or 1):
            if len(left) < batch_size:
                left = random.permutation(rows)
            batch, left = left[:batch_size], left[batch_size:]
            try:
                step = training.step(trial, compiled, picked_examples(examples, batch))
            except training.DivergenceError:
                return _enough(losses, rates)
            of_update.append(step["loss"])
        losses.append(float(np.mean(of_update)))
        smooth.add(losses[-1])
        if len(losses) > BEGINNING and _is_hopeless(losses[:BEGINNING], smooth):
            break
    return _enough(losses, rates)


def _enough(losses: list[float], rates: Array) -> Array:
    """The losses; ValueError where they are too few to tell anything."""
    if len(losses) < 5:
        got = f"a loss that is no number after {len(losses)} steps at {rates[0]:g} and more"
        raise ValueError(_check.refusal("lowest", got, "a smaller one, or data that are scaled"))
    return np.array(losses)


class _Smooth:
    """A running mean of losses, as far as they have come, and the lowest that it has been."""

    def __init__(self) -> None:
        self._sum, self._share, self.lowest, self.last = 0.0, 1.0, math.inf, math.nan

    def add(self, loss: float) -> float:
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * loss
        self._share *= SMOOTHING
        self.last = self._sum / (1 - self._share)
        self.lowest = min(self.lowest, self.last)
        return self.last


def _is_hopeless(beginning: list[float], smooth: _Smooth) -> bool:
    """Whether the loss has risen far above where it began: as it has fallen, or as it varies."""
    first = np.array(beginning)
    start = float(first.mean())
    reach = max(start - smooth.lowest, float(first.std()), abs(start) / HOPELESS)
    return smooth.last > start + HOPELESS * reach


def _smoothed(losses: Array) -> Array:
    smooth = _Smooth()
    return np.array([smooth.add(float(loss)) for loss in losses])


def _half_way(rates: Array, losses: Array, smooth: Array) -> float | None:
    """The rate at which the loss has fallen half of its way, after which it stays below.

    Single slopes would be those of the noise between batches. None where the way is no longer than
    the first losses vary.
    """
    first = losses[: min(BEGINNING, len(losses) // 4)]
    lowest = len(first) + int(smooth[len(first) :].argmin())
    start = float(first.mean())
    if start - smooth[lowest] <= first.std():
        return None
    above = np.flatnonzero(smooth[: lowest + 1] > (start + smooth[lowest]) / 2)
    return float(rates[above[-1] if len(above) else lowest])
