"""Which steps of a row count."""

from __future__ import annotations

from typing import Any

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.ops import Value, op


class Masking(Layer):
    """Masks the steps of which all features are one number, such as those that fill up short rows.

    Parameters
    ----------
    mask_value : float
        That number. It is compared in the model's dtype.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, steps, features)``, output the same, with 0 in all masked steps. What is masked
    goes with a value from layer to layer, as long as these `supports_masking`: what they make of a
    step belongs to that step. Recurrent layers, attention, `GlobalAveragePooling1D` and the figures
    of `BatchNormalization` leave out the masked steps, and so do loss and metrics of an output that
    still has the mask: the loss of a batch is the mean over all its steps that count, 0 if none
    does. A batch of such a model is in memory as a whole. Targets of masked steps are checked as
    all others are, and have no part in anything.
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.mask_value = _check.number("mask_value", mask_value)

    def ops(self, x: Value) -> Value:
        if len(x.shape) < 2:
            got = f"rows of shape {x.shape}"
            raise ValueError(_check.refusal("input of Masking", got, "rows (steps, features)"))
        return op("masking", x, lines=x.lines, options=(self.mask_value,))

    def mask_of(self, x: Value) -> Value:
        steps = x.shape[:-1]
        return op("mask_steps", x, shape=steps, lines=x.lines, options=(self.mask_value,))

    def config(self) -> dict[str, Any]:
        return {"mask_value": self.mask_value, "name": self.name}
