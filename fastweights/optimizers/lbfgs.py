"""L-BFGS: the curvature along the last steps in the place of a learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check
from fastweights._core import plan as _plan
from fastweights._rows import Examples, count
from fastweights.optimizers.base import Memory
from fastweights.optimizers.minimizer import Minimizer
from fastweights.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from fastweights._core.plan import Plan


class LBFGS(Minimizer):
    """Limited-memory BFGS (Nocedal 1980), with a line search by the strong conditions of Wolfe.

    A step goes along ``d = -H g``, where H, an estimate of the inverse Hessian, is made of the last
    `history_size` pairs of ``s = w' - w`` and ``y = g' - g`` (Nocedal & Wright 2006, algorithm
    7.4), so far that ``f(w + t d) <= f(w) + c1 t g.d`` and ``|g'.d| <= c2 |g.d|`` (Moré & Thuente
    1994). It is tried with ``t = learning_rate`` first; the first step of all, which has no pairs,
    goes `learning_rate` far along the gradient.

    For networks and data that are small enough to have all rows in each step, without noise: a
    thousand steps reach losses that take first-order methods a hundred times as long, or more.

    Parameters
    ----------
    learning_rate : float
        The length that each line search begins with, above 0; 1 is the step of a Newton method.
    history_size : int
        Pairs that are remembered, 1 to 100: each takes two vectors of the parameters' size.
    tolerance_grad : float
        The fit ends where no gradient is larger in magnitude.
    tolerance_change : float
        The fit ends with a step that takes off no more than this share of the loss. (Torch's is
        that of the loss itself, which small losses are always below.)
    max_line_search : int
        Passes over the data that a line search may take; the best one counts then.
    c1, c2 : float
        Of the conditions above: ``0 < c1 < c2 < 1``.

    Notes
    -----
    Names are those of ``torch.optim.LBFGS``; Keras has none. `fit` takes no `batch_size` but that
    of all rows, and `shuffle` makes no difference. Figures of an epoch are those of the weights
    that it ends with. Layers that draw random numbers, constraints and stateful layers are refused.
    """

    running = 2

    def __init__(
        self,
        learning_rate: float = 1.0,
        history_size: int = 10,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        max_line_search: int = 25,
        c1: float = 1e-4,
        c2: float = 0.9,
    ) -> None:
        super().__init__(_check.number("learning_rate", learning_rate, above=0.0))
        self.history_size = _check.whole("history_size", history_size, 1, maximum=100)
        self.tolerance_grad = _check.number("tolerance_grad", tolerance_grad, minimum=0.0)
        self.tolerance_change = _check.number("tolerance_change", tolerance_change, minimum=0.0)
        self.max_line_search = _check.whole("max_line_search", max_line_search, 1, maximum=1000)
        self.c1 = _check.number("c1", c1, above=0.0, below=1.0)
        self.c2 = _check.number("c2", c2, above=self.c1, below=1.0)

    @property
    def learning_rate(self) -> float:
        """The length that each line search begins with."""
        return float(self._learning_rate)  # type: ignore[arg-type]  # no schedule

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        self._learning_rate = _check.number("learning_rate", value, above=0.0)

    def numbers(self) -> list[float]:
        """The learning rate, how many pairs there are, and where the next one goes."""
        return [self.learning_rate, 0.0, 0.0]

    def largest_running(self) -> list[float]:
        return [float(self.history_size), self.history_size - 1.0]

    def slots(self, dtype: np.dtype) -> int:
        return 2 * self.history_size

    def workspace_bytes(self, moving: int) -> int:
        return super().workspace_bytes(moving) + self.slots(np.dtype(np.float64)) * moving * 8

    def settings(self) -> tuple[float, ...]:
        return (
            self.learning_rate, self.history_size, self.tolerance_grad, self.tolerance_change,
            self.c1, self.c2, self.max_line_search,
        )  # fmt: skip

    def on(self, plan: Plan, memory: Memory, examples: Examples) -> _plan.LBFGS:
        x, y, weights = examples
        return _plan.LBFGS(
            plan, memory.vectors, memory.numbers, x, y, weights, count(x), *self.settings()
        )

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "learning_rate": self.learning_rate,
            "history_size": self.history_size,
            "tolerance_grad": self.tolerance_grad,
            "tolerance_change": self.tolerance_change,
            "max_line_search": self.max_line_search,
            "c1": self.c1,
            "c2": self.c2,
        }
