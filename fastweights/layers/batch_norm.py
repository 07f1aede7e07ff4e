"""Batch normalisation."""

from __future__ import annotations

from typing import Any

from fastweights import _check, initializers
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, op


class BatchNormalization(Layer):
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta``, column by column.

    In training mean and variance are those of the batch, over all rows and all axes but the last,
    and the moving ones follow them: ``moving = momentum * moving + (1 - momentum) * found``. In
    inference, and while the layer is not `trainable`, they are the moving ones (Ioffe and Szegedy,
    ICML 2015). As in Keras the moving variance is that of the batch itself, not n / (n - 1) times
    that as in PyTorch.

    Parameters
    ----------
    axis : int
        That of the columns: the last one, -1.
    momentum : float
        In [0, 1].
    epsilon : float
        Above 0.
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : str or Initializer
        How they start.
    moving_mean_initializer, moving_variance_initializer : str or Initializer
        How the moving ones start.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    gamma, beta : ndarray (columns,)
        Views of the model's parameters, once the model is built.
    moving_mean, moving_variance : ndarray (columns,)
        Views of the model's state.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        moving_mean_initializer: str | initializers.Initializer = "zeros",
        moving_variance_initializer: str | initializers.Initializer = "ones",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if axis != -1:
            raise ValueError(_check.refusal("axis", _check.shown(axis), "-1, the last one"))
        self.axis = -1
        self.momentum = _check.number("momentum", momentum, minimum=0.0, maximum=1.0)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)
        self.center = _check.flag("center", center)
        self.scale = _check.flag("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer, "linear")
        self.gamma_initializer = initializers.get(gamma_initializer, "linear")
        self.moving_mean_initializer = initializers.get(moving_mean_initializer, "linear")
        self.moving_variance_initializer = initializers.get(moving_variance_initializer, "linear")

    def variables(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        gamma = Variable("gamma", (columns,), self.gamma_initializer, columns, columns)
        beta = Variable("beta", (columns,), self.beta_initializer, columns, columns)
        return [*([gamma] if self.scale else []), *([beta] if self.center else [])]

    def states(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        return [
            Variable("moving_mean", (columns,), self.moving_mean_initializer, columns, columns),
            Variable(
                "moving_variance", (columns,), self.moving_variance_initializer, columns, columns
            ),
        ]

    def ops(self, x: Value) -> Value:
        return op(
            "batch_norm",
            x,
            lines=x.lines,
            variables=[*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])],
            sizes=(self.scale, self.center),
            options=(self.epsilon, self.momentum),
            states=("moving_mean", "moving_variance"),
        )

    def config(self) -> dict[str, Any]:
        return {
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": self.beta_initializer.config(),
            "gamma_initializer": self.gamma_initializer.config(),
            "moving_mean_initializer": self.moving_mean_initializer.config(),
            "moving_variance_initializer": self.moving_variance_initializer.config(),
            "name": self.name,
        }
