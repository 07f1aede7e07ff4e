"""Levenberg and Marquardt's method: Gauss-Newton steps, damped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, _dispatch
from fastweights._core import plan as _plan
from fastweights._rows import Examples, count
from fastweights.layers.ops import looks_at_rows_alone
from fastweights.optimizers.base import Memory
from fastweights.optimizers.minimizer import Minimizer
from fastweights.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core.plan import Plan
    from fastweights._objectives import Objective

#: Parameters that move, at most: with so many the two matrices take 1 GiB.
MOST_PARAMETERS = 8192


class LevenbergMarquardt(Minimizer):
    """Levenberg (1944) and Marquardt (1963): for losses that are sums of squares.

    With J, the derivative of all outputs of all rows by the parameters, scaled so that the loss is
    half the sum of their squared errors, a step h solves ``(J'J + mu I) h = -g``, with what L2
    penalties add to the diagonal. Where the loss gets smaller, the step is made, and mu becomes
    ``mu max(1/3, 1 - (2 r - 1)^3)`` with the share r of what the step promised to take off; if not,
    mu is multiplied by 2, 4, 8, ... until a step is one (Nielsen 1999; Madsen, Nielsen & Tingleff
    2004, algorithm 3.16). The normal equations are in float64, also for a model of float32.

    For up to a few thousand parameters: a step costs ``rows * outputs * parameters^2 / 2`` and
    ``parameters^3 / 6`` multiply-adds, which a hundred thousand steps of another method may not
    make up for.

    Parameters
    ----------
    damping : float
        The first mu is so many times the largest number on the diagonal of J'J, above 0: small
        where the weights are good already.
    tolerance_grad : float
        The fit ends where no gradient is larger in magnitude.
    tolerance_change : float
        The fit ends with a step that takes off no more than this share of the loss.

    Notes
    -----
    The loss is ``"mse"``, of each output, without masks; L1 and orthogonal penalties, penalties of
    activities, layers that look at other rows or are written in NumPy, random numbers, constraints
    and stateful layers are refused, and so are more than 8,192 parameters that are trained. The
    learning rate is 1. `fit` takes no `batch_size` but that of all rows, and `shuffle` makes no
    difference. Figures of an epoch are those of the weights that it ends with.
    """

    running = 2
    #: A line of J is one row's, which products in tiles know nothing of.
    takes_rows_alone = True
    takes_rates = False

    def __init__(
        self,
        damping: float = 1e-3,
        tolerance_grad: float = 1e-10,
        tolerance_change: float = 1e-10,
    ) -> None:
        super().__init__(1.0)
        self.damping = _check.number("damping", damping, above=0.0)
        self.tolerance_grad = _check.number("tolerance_grad", tolerance_grad, minimum=0.0)
        self.tolerance_change = _check.number("tolerance_change", tolerance_change, minimum=0.0)

    @property
    def learning_rate(self) -> float:
        """1, as steps are made as they are found; nothing else can be set."""
        return float(self._learning_rate)  # type: ignore[arg-type]  # no schedule

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        value = _check.number("learning_rate", value)
        if value != 1.0:
            expected = "1: by its damping the method finds how far to go"
            raise ValueError(_check.refusal("learning_rate", f"{value:g}", expected))
        self._learning_rate = value

    def numbers(self) -> list[float]:
        """The learning rate; mu, 0 before the first step; by what it grows."""
        return [self.learning_rate, 0.0, 2.0]

    def largest_running(self) -> list[float]:
        return [sys.float_info.max] * 2

    def workspace_bytes(self, moving: int) -> int:
        return super().workspace_bytes(moving) + 16 * moving**2

    def refuse_unfit(self, built: Built, objectives: Sequence[Objective]) -> None:
        super().refuse_unfit(built, objectives)
        name = type(self).__name__
        for one, mask in zip(objectives, built.output_masks, strict=True):
            if one.loss.kernel != "mean_squared_error":
                got = f"{type(one.loss).__name__} with {name}"
                raise ValueError(_check.refusal("loss", got, "'mse', which is a sum of squares"))
            if mask is not None:
                got = f"an output that has a mask, with {name}"
                raise ValueError(_check.refusal("loss", got, "one of which all steps count"))
        for spec, layer in zip(built.ops, built.op_layers, strict=True):
            if not looks_at_rows_alone(spec):
                got = f"{name} for the layer {layer.name!r}"
                expected = "layers whose rows have nothing to do with each other, and no own costs"
                raise ValueError(_check.refusal("optimizer", got, expected))
        kept = built.kept_in_check()
        if kept.matrices or any(penalty.l1 for penalty in kept.penalties):
            got, expected = f"{name} with other penalties than L2", "L2, which is a sum of squares"
            raise ValueError(_check.refusal("optimizer", got, expected))
        moving = sum(weight.size for weight in built.moving_weights())
        if moving > MOST_PARAMETERS:
            got = f"{name} for {moving:,} parameters that are trained"
            expected = f"at most {MOST_PARAMETERS:,}, whose matrix it keeps twice, or LBFGS"
            raise ValueError(_check.refusal("optimizer", got, expected))

    def settings(self) -> tuple[float, ...]:
        return self.damping, self.tolerance_grad, self.tolerance_change

    def on(self, plan: Plan, memory: Memory, examples: Examples) -> _plan.LevenbergMarquardt:
        x, y, weights = examples
        doubles = _dispatch.kernels(np.dtype(np.float64)).table
        return _plan.LevenbergMarquardt(
            plan, memory.vectors, memory.numbers, x, y, weights, count(x), doubles, *self.settings()
        )

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "damping": self.damping,
            "tolerance_grad": self.tolerance_grad,
            "tolerance_change": self.tolerance_change,
        }
