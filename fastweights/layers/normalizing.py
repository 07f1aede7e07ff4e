"""Layers that bring numbers to one size; no row looks at another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fastweights import _check, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, op
from fastweights.layers.shaping import last_axis, permuted


def normalized(
    kind: str, x: Value, epsilon: float, variables: Sequence[str] = (), beta: bool = False
) -> Value:
    """The lines of a value, normalised; `variables` are gamma, where it is wanted, and beta."""
    sizes = (len(variables) - beta, int(beta))
    return op(kind, x, lines=x.lines, variables=variables, sizes=sizes, options=(epsilon,))


class GammaBeta(Layer):
    """Base of those that may have gamma and beta: a number for each column."""

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: str | initializers.Initializer,
        gamma_initializer: str | initializers.Initializer,
        beta_regularizer: str | regularizers.Regularizer | None,
        gamma_regularizer: str | regularizers.Regularizer | None,
        beta_constraint: str | constraints.Constraint | None,
        gamma_constraint: str | constraints.Constraint | None,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)
        self.center = _check.flag("center", center)
        self.scale = _check.flag("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer, argument="beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, argument="gamma_initializer")
        self.beta_regularizer = regularizers.get(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = regularizers.get(gamma_regularizer, "gamma_regularizer")
        self.beta_constraint = constraints.get(beta_constraint, "beta_constraint")
        self.gamma_constraint = constraints.get(gamma_constraint, "gamma_constraint")

    @property
    def _names(self) -> tuple[str, ...]:
        return ("gamma",) * self.scale + ("beta",) * self.center

    def variables(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        return [
            Variable(
                name,
                (columns,),
                getattr(self, f"{name}_initializer"),
                columns,
                columns,
                getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
            )
            for name in self._names
        ]

    def config(self) -> dict[str, Any]:
        return {
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": self.beta_initializer.config(),
            "gamma_initializer": self.gamma_initializer.config(),
            "beta_regularizer": config_of(self.beta_regularizer),
            "gamma_regularizer": config_of(self.gamma_regularizer),
            "beta_constraint": config_of(self.beta_constraint),
            "gamma_constraint": config_of(self.gamma_constraint),
            "name": self.name,
        }


class LayerNormalization(GammaBeta):
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta``, mean and variance being those
    of each vector along the last axis.

    J. Ba, J. Kiros, G. Hinton, Layer Normalization, arXiv:1607.06450, 2016.

    Parameters
    ----------
    axis : int
        -1: the last axis. There are no others.
    epsilon : float, above 0
        Added to the variance.
    center, scale : bool
        Whether beta is added; whether gamma multiplies.
    beta_initializer, gamma_initializer : str or Initializer
        How they start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        What they cost.
    beta_constraint, gamma_constraint : str or Constraint, optional
        What each step leaves of them.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    gamma, beta : ndarray (columns,)
        Views of the model's parameters, once the model is built; absent where not wanted.

    Notes
    -----
    Input and output ``(rows, ..., columns)``. The statistics lose no digits where the numbers are
    far from 0 and close together.
    """

    supports_masking = True

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        beta_constraint: str | constraints.Constraint | None = None,
        gamma_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, name,
        )  # fmt: skip
        self.axis = last_axis(axis)

    def ops(self, x: Value) -> Value:
        return normalized("layer_normalize", x, self.epsilon, self._names, self.center)

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().config()}


class GroupNormalization(GammaBeta):
    """As :class:`LayerNormalization`, but mean and variance are those of each group of columns,
    over all axes of a row.

    Y. Wu, K. He, Group Normalization, ECCV 2018.

    Parameters
    ----------
    groups : int
        How many groups of equal size the columns, the last axis, are cut into; -1: each column is
        one.
    axis : int
        -1: the last axis. There are no others.
    epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, \\
    gamma_regularizer, beta_constraint, gamma_constraint, name
        As for :class:`LayerNormalization`, and so are the attributes.

    Notes
    -----
    Input and output ``(rows, ..., columns)``.
    """

    supports_masking = True

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return False

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        beta_constraint: str | constraints.Constraint | None = None,
        gamma_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, name,
        )  # fmt: skip
        self.groups = _check.whole("groups", groups, -1)
        if self.groups == 0:
            raise ValueError(_check.refusal("groups", 0, "at least 1, or -1"))
        self.axis = last_axis(axis)

    def ops(self, x: Value) -> Value:
        columns = x.features
        groups = columns if self.groups == -1 else self.groups
        if columns % groups:
            expected = f"a divisor of the {columns} columns of rows {x.shape}"
            raise ValueError(_check.refusal("groups", groups, expected))
        apart = permuted(x.reshaped((x.lines, groups, columns // groups)), (1, 0, 2))
        lines = apart.reshaped((groups, x.lines * columns // groups))
        hat = normalized("layer_normalize", lines, self.epsilon).reshaped(apart.shape)
        y = permuted(hat, (1, 0, 2)).reshaped(x.shape)
        if not self._names:
            return y
        sizes = (int(self.scale), int(self.center))
        return op("scale", y, lines=x.lines, variables=self._names, sizes=sizes)

    def config(self) -> dict[str, Any]:
        return {"groups": self.groups, "axis": self.axis, **super().config()}


class RMSNormalization(Layer):
    """``y = x / sqrt(mean(x**2) + epsilon) * scale``, the mean being that of each vector along the
    last axis.

    B. Zhang, R. Sennrich, Root Mean Square Layer Normalization, NeurIPS 2019.

    Parameters
    ----------
    axis : int
        -1: the last axis. There are no others.
    epsilon : float, above 0
        Added to the mean square.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    scale : ndarray (columns,)
        View of the model's parameters, once the model is built; ones at first.

    Notes
    -----
    Input and output ``(rows, ..., columns)``.
    """

    supports_masking = True

    def __init__(self, axis: int = -1, epsilon: float = 1e-6, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = last_axis(axis)
        self.epsilon = _check.number("epsilon", epsilon, above=0.0)

    def variables(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        return [Variable("scale", (columns,), initializers.Ones(), columns, columns)]

    def ops(self, x: Value) -> Value:
        return normalized("rms_normalize", x, self.epsilon, ("scale",))

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis, "epsilon": self.epsilon, "name": self.name}


class UnitNormalization(Layer):
    """``y = x / sqrt(sum(x**2))``: each vector along the last axis has norm 1.

    Parameters
    ----------
    axis : int
        -1: the last axis. There are no others.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input and output ``(rows, ..., columns)``. A vector whose norm is below 1e-12 is divided by
    that.
    """

    supports_masking = True

    #: The least norm that is divided by.
    _EPSILON: ClassVar[float] = 1e-12

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = last_axis(axis)

    def ops(self, x: Value) -> Value:
        return normalized("unit_normalize", x, self._EPSILON)

    def config(self) -> dict[str, Any]:
        return {"axis": self.axis, "name": self.name}


class Rescaling(Layer):
    """``y = x * scale + offset``.

    Parameters
    ----------
    scale, offset : float
        Of every number.
    name : str, optional
        Name in the model.
    """

    supports_masking = True

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.scale = _check.number("scale", scale)
        self.offset = _check.number("offset", offset)

    def ops(self, x: Value) -> Value:
        return op("rescale", x, options=(self.scale, self.offset))

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale, "offset": self.offset, "name": self.name}


class Scale(Layer):
    """A factor for each column, which is learnt: ``y = x * scale``.

    In front of a network of columns it learns which of them matter; with a larger learning rate
    than all else (`learning_rate_factors` of optimizers) it does so first.

    Parameters
    ----------
    scale_initializer : str or Initializer
        How the factors start.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    scale : ndarray (columns,)
        View of the model's parameters, once the model is built.

    References
    ----------
    D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and
    Boosted Trees on Tabular Data" (NeurIPS 2024).
    """

    supports_masking = True

    def __init__(
        self,
        scale_initializer: str | initializers.Initializer = "ones",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.scale_initializer = initializers.get(scale_initializer, argument="scale_initializer")

    def variables(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        return [Variable("scale", (columns,), self.scale_initializer, columns, columns)]

    def ops(self, x: Value) -> Value:
        return op("scale", x, lines=x.lines, variables=("scale",), sizes=(1, 0))

    def config(self) -> dict[str, Any]:
        return {"scale_initializer": self.scale_initializer.config(), "name": self.name}
