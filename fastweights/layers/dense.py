"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, activated, op


class Dense(Layer):
    """``y = activation(x @ kernel + bias)``.

    Parameters
    ----------
    units : int
        Width of the output, at least 1.
    activation : str or Activation, optional
        A name such as ``"relu"`` or one of :mod:`fastweights.activations`; None is linear.
    use_bias : bool
        Whether a bias is added.
    kernel_initializer : str or Initializer
        How the kernel starts; ``"auto"`` matches the rule to the activation
        (see :mod:`fastweights.initializers`).
    bias_initializer : str or Initializer
        How the bias starts.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        What their weights cost, such as ``"l2"`` (see :mod:`fastweights.regularizers`).
    kernel_constraint, bias_constraint : str or Constraint, optional
        What each step leaves of them, such as ``"max_norm"`` (see :mod:`fastweights.constraints`).
    name : str, optional
        Name in the model, ``dense``, ``dense_1``, ... by default.

    Attributes
    ----------
    kernel : ndarray (inputs, units)
        View of the model's parameters, once the model is built.
    bias : ndarray (units,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, ..., inputs)``, output ``(rows, ..., units)``, in the model's dtype: it works on
    the last axis.
    """

    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "auto",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = _check.whole("units", units, 1)
        self.activation = activations.get(activation)
        self.use_bias = _check.flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(
            kernel_initializer, self.activation.name, "kernel_initializer"
        )
        self.bias_initializer = initializers.get(
            bias_initializer, self.activation.name, "bias_initializer"
        )
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")

    def variables(self, input_shape: Shape) -> list[Variable]:
        return self._variables((), input_shape[-1])

    def _variables(self, lead: Shape, inputs: int) -> list[Variable]:
        """A kernel and, if it is wanted, a bias for each of `lead`."""
        fans = (inputs, self.units)
        kernel = Variable(
            "kernel",
            (*lead, *fans),
            self.kernel_initializer,
            *fans,
            self.kernel_regularizer,
            constraint=self.kernel_constraint,
            apart=len(lead),
        )
        bias = Variable(
            "bias",
            (*lead, self.units),
            self.bias_initializer,
            *fans,
            self.bias_regularizer,
            constraint=self.bias_constraint,
            apart=len(lead),
        )
        return [kernel, bias] if self.use_bias else [kernel]

    def ops(self, x: Value) -> Value:
        return self._product("dense", x, x.lines)

    def _product(self, kind: str, x: Value, lines: int, sizes: Sequence[int] = ()) -> Value:
        """What such an op makes of x, and then the activation unless it is part of it."""
        fused = self.activation.is_elementwise
        y = op(
            kind,
            x,
            shape=(*x.shape[:-1], self.units),
            lines=lines,
            variables=("kernel", "bias") if self.use_bias else ("kernel",),
            sizes=sizes,
            activation=self.activation if fused else activations.LINEAR,
        )
        return y if fused else activated(y, self.activation)

    def config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": self.activation.config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": config_of(self.kernel_regularizer),
            "bias_regularizer": config_of(self.bias_regularizer),
            "kernel_constraint": config_of(self.kernel_constraint),
            "bias_constraint": config_of(self.bias_constraint),
            "name": self.name,
        }
