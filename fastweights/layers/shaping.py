"""Layers without parameters that a Dense network needs around it."""

from __future__ import annotations

import math
from typing import Any

from fastweights import activations
from fastweights.layers.base import Layer
from fastweights.layers.ops import Value, activated


class Flatten(Layer):
    """Takes each row, whatever its shape, as one vector of features."""

    def ops(self, x: Value) -> Value:
        return x.reshaped((math.prod(x.shape),))

    def config(self) -> dict[str, Any]:
        return {"name": self.name}


class Activation(Layer):
    """``y = activation(x)``; softmax and its kin go over the last axis.

    Parameters
    ----------
    activation : str or Activation
        A name such as ``"relu"`` or one of :mod:`fastweights.activations`.
    name : str, optional
        Name in the model.
    """

    def __init__(self, activation: str | activations.Activation, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activations.get(activation)

    def ops(self, x: Value) -> Value:
        return activated(x, self.activation)

    def config(self) -> dict[str, Any]:
        return {"activation": self.activation.config(), "name": self.name}
