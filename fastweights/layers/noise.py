"""Layers that draw random numbers in training, and let what they read through otherwise."""

from __future__ import annotations

import math
from typing import Any

from fastweights import _check, schedules
from fastweights._core import philox
from fastweights.layers.base import Layer
from fastweights.layers.ops import Value, op
from fastweights.schedules import LearningRateSchedule, Scheduled

#: Draws of dropout are whole numbers below this.
DRAWS = 1 << 16

#: selu's limit far below zero, ``-scale * alpha`` (Klambauer et al. 2017).
SELU_LEAST = -1.0507009873554805 * 1.6732632423543772


def own_seed(seed: int | None) -> int:
    """What the op of a layer of that seed mixes into the model's: 63 bits."""
    if seed is None:
        return 0
    low, high, _, _ = philox.block(seed, philox.STREAM_PASS, 0)
    return low | (high >> 1) << 32


def dropped_draws(rate: float) -> int:
    """How many of the possible draws drop an element."""
    if rate in (0, 1):
        return round(rate * DRAWS)
    return min(max(1, round(rate * DRAWS)), DRAWS - 1)


def rate_at_first(rate: Scheduled) -> float:
    """A rate, or that of a schedule's first step, below 1: each step finds its own."""
    return min(1.0 - 1.0 / DRAWS, rate(0)) if isinstance(rate, LearningRateSchedule) else rate


def schedule_of(rate: Scheduled) -> tuple[float, ...]:
    """What an op wants to know of a rate that changes from step to step; nothing of one that stays.

    What follows from the rate of a step is found there (``dropout_op_tune`` in noise.pxi).
    """
    return schedules.numbers_of(rate) if isinstance(rate, LearningRateSchedule) else ()


def scale_of(draws: int) -> float:
    """What keeps an element's mean as it is where so many drop it; 0 where none is kept."""
    kept = DRAWS - draws
    return DRAWS / kept if kept else 0.0


class Noise(Layer):
    """Base of these layers: what a layer's own seed means.

    Notes
    -----
    Numbers are drawn in `fit`, `train_on_batch` and ``forward(x, training=True)``. They are a
    function of the model's seed, the layer's own seed and place in the model, how many passes over
    data the model was trained with before, and a row's place in the pass: the same for any number
    of threads, and others in each pass and each layer.
    """

    supports_masking = True

    def __init__(self, seed: int | None, name: str | None) -> None:
        super().__init__(name)
        self.seed = None if seed is None else _check.whole("seed", seed, 0, philox.MAX_SEED)

    def _own_seed(self) -> int:
        return own_seed(self.seed)


class _Dropping(Noise):
    """Base of the layers that drop elements: what `rate` means to the 16 bits that decide.

    The share of elements that are dropped on average is the multiple of 2**-16 next to `rate`, but
    neither 0 nor 1 unless `rate` is; what is kept is scaled for that share.
    """

    def __init__(self, rate: Scheduled, seed: int | None, name: str | None) -> None:
        super().__init__(seed, name)
        self.rate = schedules.get("rate", rate, maximum=1)

    def _dropped_draws(self) -> int:
        return dropped_draws(rate_at_first(self.rate))

    def _dropped(
        self, x: Value, lines: int, scale: float, shift: float = 0.0, dropped: float = 0.0
    ) -> Value:
        """``scale x + shift`` where an element is kept, `dropped` elsewhere."""
        draws, schedule = self._dropped_draws(), schedule_of(self.rate)
        if draws == 0 and not schedule:
            return x
        sizes, options = (self._own_seed(), max(draws, 1) - 1), (scale, shift, dropped)
        return op("dropout", x, lines=lines, sizes=sizes, options=options, schedule=schedule)

    def _scale(self) -> float:
        return scale_of(self._dropped_draws())

    def config(self) -> dict[str, Any]:
        return {"rate": schedules.config_of(self.rate), "seed": self.seed, "name": self.name}


class Dropout(_Dropping):
    """Sets elements to 0 at random and scales the others by ``1 / (1 - rate)``, in training.

    Parameters
    ----------
    rate : float or LearningRateSchedule
        Share of elements that are set to 0, from 0 to 1. It is taken to the nearest multiple of
        2**-16, and the scale with it, so that an element's mean stays what it is. A schedule says
        it for each of the optimizer's steps (of a `forward` that of the next one), and counts as 1
        where it is more.
    seed : int, optional
        Mixed into the model's seed, which alone decides by default.
    name : str, optional
        Name in the model.

    Notes
    -----
    In `predict`, `evaluate`, validation and `loss_and_gradients` the output is the input.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR
    15, 2014).
    """

    def __init__(
        self,
        rate: float | LearningRateSchedule,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(rate, seed, name)

    def ops(self, x: Value) -> Value:
        return self._dropped(x, 1, self._scale())


class SpatialDropout1D(_Dropping):
    """`Dropout` of whole features: one that is dropped is 0 in all steps of a row.

    Parameters
    ----------
    rate : float or LearningRateSchedule
        Share of features that are set to 0, as for `Dropout`.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input and output ``(rows, steps, features)``.

    References
    ----------
    J. Tompson et al., "Efficient object localization using convolutional networks" (CVPR 2015).
    """

    def __init__(
        self,
        rate: float | LearningRateSchedule,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(rate, seed, name)

    def ops(self, x: Value) -> Value:
        if len(x.shape) != 2:
            got, expected = f"rows of shape {x.shape}", "rows of (steps, features)"
            raise ValueError(_check.refusal("input of SpatialDropout1D", got, expected))
        return self._dropped(x, x.lines, self._scale())


class AlphaDropout(_Dropping):
    """Dropout that keeps mean and variance of what selu makes, in training.

    ``y = a x + b``, where elements of x that are dropped count as ``-scale * alpha`` of selu, its
    least value, and a and b restore mean 0 and variance 1.

    Parameters
    ----------
    rate : float or LearningRateSchedule
        Share of elements that are dropped, at least 0 and below 1, as for `Dropout`; a schedule
        counts as the largest such number where it is more.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.

    References
    ----------
    G. Klambauer et al., "Self-normalizing neural networks" (NeurIPS 2017), section "New dropout
    technique".
    """

    def __init__(
        self,
        rate: float | LearningRateSchedule,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(schedules.get("rate", rate, below=1), seed, name)

    def ops(self, x: Value) -> Value:
        dropped = self._dropped_draws() / DRAWS
        scale = 1.0 / math.sqrt((1.0 - dropped) * (1.0 + dropped * SELU_LEAST**2))
        shift = -scale * dropped * SELU_LEAST
        return self._dropped(x, 1, scale, shift, scale * SELU_LEAST + shift)


class GaussianNoise(Noise):
    """Adds normally distributed numbers of mean 0 in training.

    Parameters
    ----------
    stddev : float
        Their standard deviation, at least 0.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.
    """

    def __init__(self, stddev: float, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(seed, name)
        self.stddev = _check.number("stddev", stddev, minimum=0)

    def ops(self, x: Value) -> Value:
        if self.stddev == 0:
            return x
        return op("gaussian_noise", x, sizes=(self._own_seed(),), options=(self.stddev,))

    def config(self) -> dict[str, Any]:
        return {"stddev": self.stddev, "seed": self.seed, "name": self.name}


class GaussianDropout(Noise):
    """Multiplies by normally distributed numbers of mean 1 in training.

    Their standard deviation is ``sqrt(rate / (1 - rate))``, that of `Dropout`'s factors.

    Parameters
    ----------
    rate : float or LearningRateSchedule
        At least 0 and below 1, as for `AlphaDropout`.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR
    15, 2014), section 10.
    """

    def __init__(
        self,
        rate: float | LearningRateSchedule,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, name)
        self.rate = schedules.get("rate", rate, below=1)

    def ops(self, x: Value) -> Value:
        schedule = schedule_of(self.rate)
        rate = rate_at_first(self.rate)
        if rate == 0.0 and not schedule:
            return x
        sizes, options = (self._own_seed(),), (math.sqrt(rate / (1.0 - rate)),)
        return op("gaussian_dropout", x, sizes=sizes, options=options, schedule=schedule)

    def config(self) -> dict[str, Any]:
        return {"rate": schedules.config_of(self.rate), "seed": self.seed, "name": self.name}
