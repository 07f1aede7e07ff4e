"""What a layer is: a description. Hyperparameters and shapes, no arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._sealed import Sealed
from fastweights.activations import LINEAR, Activation
from fastweights.initializers import Initializer

if TYPE_CHECKING:
    from fastweights._building import Built

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


def is_same_memory(value: Any, array: np.ndarray) -> bool:
    """Whether `value` is `array` or another view of the same numbers in the same shape."""
    return isinstance(value, np.ndarray) and (
        value.__array_interface__ == array.__array_interface__
    )


class Layer(Sealed):
    """Base of all layers.

    A subclass describes itself by four methods: `output_shape`, `variables`, `ops` and `config`.
    Once its model is built, each variable is an attribute of the layer: a view of the model's flat
    vector of parameters. Its settings are fixed: to change one, make a new layer.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise TypeError(
                _check.refusal("name", _check.shown(name), "a non-empty string or None")
            )
        self._given_name = self._name = name
        self._built: Built | None = None

    @property
    def name(self) -> str | None:
        """Name in the model; None until a model gives the layer one."""
        return self._name

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The layer's arrays by name, views of the model's parameters; none until it is built."""
        if self._built is None or not self._built.is_complete:
            return {}
        return MappingProxyType(self._built.views_of(self))

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
        if not name.startswith("_"):
            weights = self.weights
            if name in weights:
                return weights[name]
        built = vars(self).get("_built") is not None
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}"
            + ("" if built else " (a layer has its weights once its model knows the input shape)")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and "_sealed" in vars(self):
            weights = self.weights
            if name in weights:
                if not is_same_memory(
                    value, weights[name]
                ):  # which it is after an operation in place
                    raise AttributeError(
                        f"{name}: is a view of the model's parameters; write {name}[...] = ..."
                    )
                return
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        # A copy is a layer of no model yet.
        return {**vars(self), "_built": None}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({arguments})"
