"""Losses of what is predicted of a target's distribution: quantiles, or mean and variance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastweights import _check
from fastweights.losses.base import Loss

#: That a loss may have: LOSS_NUMBERS of src_pyx/ops.pxd less the one that counts them.
MOST_QUANTILES = 64


class _OfGroups(Loss):
    """A loss of which each target has a group of outputs, which follow each other."""

    of_classes = True

    @property
    def has_target_of_each(self) -> bool:
        return False

    @property
    def outputs_of_each(self) -> int:
        """How many."""
        raise NotImplementedError

    def target_columns(self, outputs: int) -> int:
        if outputs % self.outputs_of_each:
            got = f"{self.name} for {outputs} output{'s' * (outputs > 1)}"
            expected = f"{self.outputs_of_each} outputs for each target"
            raise ValueError(_check.refusal("loss", got, expected))
        return outputs // self.outputs_of_each


class Quantile(_OfGroups):
    """The mean of ``max(q (t - p), (1 - q)(p - t))`` over targets and quantiles `q`.

    The pinball loss: what makes it smallest is the quantile `q` of the targets that a row may have.
    Koenker and Bassett, "Regression quantiles" (Econometrica, 1978). Each target has one output for
    each quantile, which follow each other: ``model.predict(x).reshape(rows, targets, quantiles)``.
    The last activation should be linear. The gradient is 0 where ``p = t``.

    Parameters
    ----------
    quantiles : sequence of float, or float
        Each between 0 and 1, up to 64 of them.
    """

    name = "quantile"
    quantiles: tuple[float, ...]

    def __init__(self, quantiles: Sequence[float] | float = (0.1, 0.5, 0.9)) -> None:
        if isinstance(quantiles, (int, float, np.number)):
            quantiles = (float(quantiles),)
        if not isinstance(quantiles, (list, tuple, np.ndarray)) or np.ndim(quantiles) != 1:
            expected = "numbers between 0 and 1"
            raise TypeError(_check.refusal("quantiles", _check.shown(quantiles), expected))
        if not 1 <= len(quantiles) <= MOST_QUANTILES:
            expected = f"1 to {MOST_QUANTILES} of them"
            raise ValueError(_check.refusal("quantiles", f"{len(quantiles)}", expected))
        for one in quantiles:
            if isinstance(one, (int, float, np.number)) and 1 < one <= 100:
                got, expected = f"{one:g}", f"numbers between 0 and 1; did you mean {one / 100:g}?"
                raise ValueError(_check.refusal("quantiles", got, expected))
        checked = tuple(
            _check.number("quantiles", quantile, above=0.0, maximum=1.0) for quantile in quantiles
        )
        if 1.0 in checked:
            raise ValueError(_check.refusal("quantiles", "1.0", "numbers between 0 and 1"))
        self._set(quantiles=checked)

    @property
    def options(self) -> tuple[float, ...]:
        return (len(self.quantiles), *self.quantiles)

    @property
    def outputs_of_each(self) -> int:
        return len(self.quantiles)


class GaussianNLL(_OfGroups):
    """Negative log-likelihood of a normal: ``mean((log v + (t - m)^2 / v) / 2)``.

    Each target has two outputs, which follow each other: its mean ``m``, and ``s``, of which the
    variance is ``v = epsilon + exp(s)``; so ``model.predict(x).reshape(rows, targets, 2)``. The
    last activation should be linear. Nix and Weigend, "Estimating the mean and variance of the
    target probability distribution" (ICNN 1994). It is what PyTorch's ``GaussianNLLLoss`` makes of
    m and v; Keras has none.

    Parameters
    ----------
    full : bool
        Whether ``log(2 pi) / 2`` is part of it, which moves no weight.
    epsilon : float
        The least variance there is, above 0, which bounds the loss from below.
    """

    name = "gaussian_nll"
    full: bool
    epsilon: float

    def __init__(self, full: bool = False, epsilon: float = 1e-6) -> None:
        self._set(
            full=_check.flag("full", full),
            epsilon=_check.number("epsilon", epsilon, minimum=1e-20),
        )

    @property
    def options(self) -> tuple[float, ...]:
        return (self.epsilon, 0.5 * math.log(2.0 * math.pi) if self.full else 0.0)

    @property
    def outputs_of_each(self) -> int:
        return 2
