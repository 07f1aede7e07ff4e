"""Several networks side by side in one: layers on rows of ``(members, features)``."""

from __future__ import annotations

from typing import Any

from fastweights import _check, initializers
from fastweights.layers.base import Layer, Variable
from fastweights.layers.dense import Dense
from fastweights.layers.ops import Shape, Value, op


def _member_shape(layer: str, shape: Shape) -> tuple[int, int]:
    """Members and features of what a layer reads."""
    if len(shape) < 2:
        expected = "rows of shape (..., members, features); RepeatVector(members) makes such rows"
        raise ValueError(_check.refusal(f"input of {layer}", f"rows of shape {shape}", expected))
    return shape[-2], shape[-1]


class MemberDense(Dense):
    """A dense layer of its own for each member: ``y[m] = activation(x[m] @ kernel[m] + bias[m])``.

    Parameters
    ----------
    units : int
        Width of each member's output, at least 1.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, \\
    bias_regularizer, kernel_constraint, bias_constraint, name
        As for `Dense`, for each member by itself.

    Attributes
    ----------
    kernel : ndarray (members, inputs, units)
        View of the model's parameters, once the model is built.
    bias : ndarray (members, units)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, ..., members, inputs)``, output ``(rows, ..., members, units)``. Members never
    see each other, so one network trains an ensemble at the speed of dense layers.

    Examples
    --------
    >>> ensemble = [layers.RepeatVector(16), layers.MemberDense(64, "relu"), layers.MemberDense(1)]
    """

    def variables(self, input_shape: Shape) -> list[Variable]:
        members, inputs = _member_shape("MemberDense", input_shape)
        return self._variables((members,), inputs)

    def ops(self, x: Value) -> Value:
        members, _ = _member_shape("MemberDense", x.shape)
        return self._product("member_dense", x, x.lines // members, sizes=(members,))


class MemberScale(Layer):
    """A factor for each feature of each member: ``y[m] = x[m] * scale[m]``.

    Around a `Dense` that all members share it makes them different networks (Wen, Tran and Ba,
    "BatchEnsemble", ICLR 2020).

    Parameters
    ----------
    scale_initializer : str or Initializer
        How the factors start.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    scale : ndarray (members, features)
        View of the model's parameters, once the model is built.

    Examples
    --------
    >>> block = [layers.MemberScale(), layers.Dense(64, "relu"), layers.MemberScale()]
    """

    def __init__(
        self,
        scale_initializer: str | initializers.Initializer = "ones",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scale_initializer = initializers.get(scale_initializer, argument="scale_initializer")

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = _member_shape("MemberScale", input_shape)
        return [Variable("scale", shape, self.scale_initializer, shape[1], shape[1])]

    def ops(self, x: Value) -> Value:
        members, _ = _member_shape("MemberScale", x.shape)
        lines = x.lines // members
        return op("scale", x, lines=lines, variables=("scale",), sizes=(1, 0))

    def config(self) -> dict[str, Any]:
        return {"scale_initializer": self.scale_initializer.config(), "name": self.name}
