"""Layers without parameters that a Dense network needs around it."""

from __future__ import annotations

import math
from typing import Any

from fastweights import _check, activations
from fastweights.layers.base import Layer, OpSpec, Shape, activation_ops


class Flatten(Layer):
    """Takes each row, whatever its shape, as one vector of features."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def ops(self, input_shape: Shape) -> list[OpSpec]:
        return []

    def config(self) -> dict[str, Any]:
        return {"name": self.name}


class Activation(Layer):
    """``y = activation(x)``; softmax and its kin go over the features of a row.

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

    def output_shape(self, input_shape: Shape) -> Shape:
        if not self.activation.is_elementwise and len(input_shape) != 1:
            raise ValueError(
                _check.refusal(
                    f"input of {self.activation.name}",
                    f"rows of shape {input_shape}",
                    "rows of shape (features,); put layers.Flatten() before it",
                )
            )
        return input_shape

    def ops(self, input_shape: Shape) -> list[OpSpec]:
        return activation_ops(self.activation, math.prod(input_shape))

    def config(self) -> dict[str, Any]:
        return {"activation": self.activation.config(), "name": self.name}
