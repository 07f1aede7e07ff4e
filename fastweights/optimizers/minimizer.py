"""Optimizers that look at the loss of all rows several times a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check
from fastweights._rows import Examples
from fastweights.layers.ops import draws
from fastweights.optimizers.base import Memory, Optimizer

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core import plan as _plan
    from fastweights._objectives import Objective


class Minimizer(Optimizer):
    """Base of those whose step is made of several passes over the same rows.

    An epoch is one step on all rows, which are one batch in their own order; `train_on_batch` makes
    one on its batch. The compiled half (``src_pyx/minimizing.pxi``) has the passes and their order.
    """

    def settings(self) -> tuple[float, ...]:
        """What the compiled half is told, behind the rows."""
        raise NotImplementedError

    def on(self, plan: _plan.Plan, memory: Memory, examples: Examples) -> _plan.Minimizer:
        """The compiled half, for these rows."""
        raise NotImplementedError

    def refuse_unfit(self, built: Built, objectives: Sequence[Objective]) -> None:
        """Raises ValueError where the loss is no smooth function of the parameters alone."""
        name = type(self).__name__
        for spec, layer in zip(built.ops, built.op_layers, strict=True):
            if draws(spec):
                got = f"{name} for the layer {layer.name!r}, which draws random numbers"
                expected = "layers whose loss is the same each time that it is looked at"
                raise ValueError(_check.refusal("optimizer", got, expected))
        if built.batch_rows:
            got, expected = f"{name} for layers that are stateful", "layers that are not"
            raise ValueError(_check.refusal("optimizer", got, expected))
        if built.kept_in_check().bounds:
            got = f"{name} for weights with constraints"
            expected = "weights without, or an optimizer such as Adam"
            raise ValueError(_check.refusal("optimizer", got, expected))

    def workspace_bytes(self, moving: int) -> int:
        """What the compiled half takes for so many parameters that move, in bytes."""
        return 4 * moving * np.dtype(np.float64).itemsize

    def slots(self, dtype: np.dtype) -> int:
        return 0

    def config(self) -> dict[str, Any]:
        return {"name": type(self).__name__}
