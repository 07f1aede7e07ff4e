"""Activations as layers of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, activated, op, with_cost
from fastweights.layers.shaping import last_axis, permuted


class Activation(Layer):
    """``y = activation(x)``; softmax and log_softmax go over the last axis.

    Parameters
    ----------
    activation : str or Activation
        A name such as ``"relu"`` or one of :mod:`fastweights.activations`.
    name : str, optional
        Name in the model.
    """

    supports_masking = True

    def __init__(self, activation: str | activations.Activation, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activations.get(activation)

    def ops(self, x: Value) -> Value:
        return activated(x, self.activation)

    def config(self) -> dict[str, Any]:
        return {"activation": self.activation.config(), "name": self.name}


class ReLU(Layer):
    """``min(x, max_value)`` above the threshold, else ``negative_slope * (x - threshold)``.

    Parameters
    ----------
    max_value : float, optional
        At least 0; None: there is none.
    negative_slope : float, at least 0
    threshold : float, at least 0
    name : str, optional
        Name in the model.

    Notes
    -----
    The derivative at the threshold is the one below it, and at `max_value` it is 0.
    """

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.max_value = (
            None if max_value is None else _check.number("max_value", max_value, minimum=0)
        )
        self.negative_slope = _check.number("negative_slope", negative_slope, minimum=0)
        self.threshold = _check.number("threshold", threshold, minimum=0)

    def ops(self, x: Value) -> Value:
        if self.max_value is None and self.threshold == 0.0:
            slope = self.negative_slope
            return activated(x, activations.LeakyReLU(slope) if slope else activations.ReLU())
        most = math.inf if self.max_value is None else self.max_value
        return op("bent_relu", x, options=(self.negative_slope, self.threshold, most))

    def config(self) -> dict[str, Any]:
        return {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
            "name": self.name,
        }


class LeakyReLU(Activation):
    """``x`` where positive, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float, at least 0
        0.3 by default, where the activation of this name has 0.2.
    name : str, optional
        Name in the model.
    """

    def __init__(self, negative_slope: float = 0.3, name: str | None = None) -> None:
        leaky_relu = activations.LeakyReLU(negative_slope)
        super().__init__(leaky_relu, name)
        self.negative_slope = leaky_relu.negative_slope

    def config(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope, "name": self.name}


class ELU(Activation):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float, at least 0
    name : str, optional
        Name in the model.
    """

    def __init__(self, alpha: float = 1.0, name: str | None = None) -> None:
        elu = activations.ELU(alpha)
        super().__init__(elu, name)
        self.alpha = elu.alpha

    def config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "name": self.name}


class Softmax(Activation):
    """``exp(x) / sum(exp(x))`` over the last axis.

    Parameters
    ----------
    axis : int
        -1: the last axis. There are no others.
    name : str, optional
        Name in the model.
    """

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__(activations.Softmax(), name)
        self.axis = last_axis(axis)

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis, "name": self.name}


class ActivityRegularization(Layer):
    """``y = x``; each number costs ``l1 |x| + l2 x^2``, which is part of the loss.

    The sum over a batch is divided by its rows: see :attr:`Layer.activity_regularizer`, which any
    layer takes.

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    name : str, optional
        Name in the model.
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        both = regularizers.L1L2(l1, l2)
        self.l1, self.l2 = both.l1, both.l2

    def ops(self, x: Value) -> Value:
        return with_cost(x, self.l1, self.l2)

    def config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2, "name": self.name}


class PReLU(Layer):
    """``x`` where positive, else ``alpha * x``, alpha being learned.

    K. He, X. Zhang, S. Ren, J. Sun, Delving Deep into Rectifiers, ICCV 2015.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        How alpha starts.
    alpha_regularizer : str or Regularizer, optional
        What it costs.
    alpha_constraint : str or Constraint, optional
        What each step leaves of it.
    shared_axes : int or sequence of int, optional
        Axes, counted as in the batch, from 1 on, along which one alpha is used.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    alpha : ndarray
        View of the model's parameters, once the model is built. Its shape is that of a row, with 1
        for each shared axis.

    Notes
    -----
    The derivative at 0 is alpha.
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: str | initializers.Initializer = "zeros",
        alpha_regularizer: str | regularizers.Regularizer | None = None,
        alpha_constraint: str | constraints.Constraint | None = None,
        shared_axes: int | Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.alpha_initializer = initializers.get(alpha_initializer, argument="alpha_initializer")
        self.alpha_regularizer = regularizers.get(alpha_regularizer, "alpha_regularizer")
        self.alpha_constraint = constraints.get(alpha_constraint, "alpha_constraint")
        if shared_axes is not None:
            axes = shared_axes if isinstance(shared_axes, (tuple, list)) else (shared_axes,)
            shared_axes = tuple(_check.whole("shared_axes", axis, 1) for axis in axes)
        self.shared_axes = shared_axes

    def _alpha_shape(self, shape: Shape) -> Shape:
        shared = self.shared_axes or ()
        if max(shared, default=1) > len(shape):
            expected = f"axes of rows {shape}, from 1 to {len(shape)}"
            raise ValueError(_check.refusal("shared_axes", shared, expected))
        return tuple(1 if axis in shared else size for axis, size in enumerate(shape, 1))

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = self._alpha_shape(input_shape)
        fan = math.prod(shape)
        return [
            Variable(
                "alpha",
                shape,
                self.alpha_initializer,
                fan,
                fan,
                self.alpha_regularizer,
                constraint=self.alpha_constraint,
            )
        ]

    def ops(self, x: Value) -> Value:
        # With the shared axes first, what they are shared by are lines.
        alphas = math.prod(self._alpha_shape(x.shape))
        order = sorted(
            range(len(x.shape)), key=lambda axis: axis + 1 not in (self.shared_axes or ())
        )
        turned = permuted(x, order)
        y = op("prelu", turned, lines=math.prod(x.shape) // alphas, variables=("alpha",))
        return permuted(y, [order.index(axis) for axis in range(len(order))])

    def config(self) -> dict[str, Any]:
        return {
            "alpha_initializer": self.alpha_initializer.config(),
            "alpha_regularizer": config_of(self.alpha_regularizer),
            "alpha_constraint": config_of(self.alpha_constraint),
            "shared_axes": self.shared_axes,
            "name": self.name,
        }
