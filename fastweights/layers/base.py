"""What a layer is: a description. Hyperparameters and shapes, no arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights.activations import LINEAR, Activation
from fastweights.initializers import Initializer

Shape = tuple[int, ...]


class Variable(NamedTuple):
    """One array of parameters: its name, shape and how it starts."""

    name: str
    shape: Shape
    initializer: Initializer
    fan_in: int
    fan_out: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class OpSpec(NamedTuple):
    """One op of the compiled plan: which kernels (`kind`) and the sizes they work on.

    `inputs` and `outputs` are features of one row; `parameters` is how much of the flat vector the
    op takes, in the order of the layer's variables.
    """

    kind: str
    inputs: int
    outputs: int
    parameters: int = 0
    has_bias: bool = False
    activation: Activation = LINEAR


def activation_ops(activation: Activation, width: int) -> list[OpSpec]:
    """The ops of an activation that stands on its own."""
    if activation == LINEAR:
        return []
    if activation.is_elementwise:
        return [OpSpec("activation", width, width, activation=activation)]
    return [OpSpec(activation.name, width, width)]


def split_activation(spec: OpSpec) -> list[OpSpec]:
    """The same op made linear, and its activation as an op that stands on its own."""
    return [spec._replace(activation=LINEAR), *activation_ops(spec.activation, spec.outputs)]


class Layer:
    """Base of all layers.

    A subclass describes itself by four methods: `output_shape`, `variables`, `ops` and `config`.
    Once its model is built, each variable is an attribute of the layer: a view of the model's flat
    vector of parameters.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(_check.refusal("name", repr(name), "a non-empty string or None"))
        self.name = name
        self.weights: dict[str, np.ndarray] = {}

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one row of output for one row of input."""
        raise NotImplementedError

    def variables(self, input_shape: Shape) -> list[Variable]:
        """The layer's arrays of parameters, in the order in which they lie in the flat vector."""
        return []

    def ops(self, input_shape: Shape) -> list[OpSpec]:
        """The ops that compute the layer."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        weights: Mapping[str, np.ndarray] = self.__dict__.get("weights", {})
        if name in weights:
            return weights[name]
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}"
            + ("" if weights else " (a layer has its weights once its model knows the input shape)")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        weights: Mapping[str, np.ndarray] = self.__dict__.get("weights", {})
        if name not in weights:
            super().__setattr__(name, value)
        elif value is not weights[name]:  # which it is after an operation in place
            raise AttributeError(
                f"{name}: is a view of the model's parameters; write {name}[...] = ..."
            )

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({arguments})"
