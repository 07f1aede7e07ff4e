"""Columns of mean 0 and variance 1: by the batch, or once for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import _check, _frames, constraints, initializers, regularizers
from fastweights.layers.base import Layer, Variable
from fastweights.layers.normalizing import GammaBeta
from fastweights.layers.ops import Shape, Value, op
from fastweights.layers.shaping import last_axis

#: As in Keras a deviation counts as no less than 1e-7.
LEAST_VARIANCE = 1e-14


class BatchNormalization(GammaBeta):
    """``y = (x - mean) / sqrt(variance + epsilon) * gamma + beta``, column by column.

    In training mean and variance are those of the batch, over all rows and all axes but the last,
    and the moving ones follow them: ``moving = momentum * moving + (1 - momentum) * found``. In
    inference, and while the layer is not `trainable`, they are the moving ones (Ioffe and Szegedy,
    ICML 2015). As in Keras the moving variance is that of the batch itself, not n / (n - 1) times
    that as in PyTorch. Steps that are masked (see `Masking`) are left out of mean and variance, and
    normalised as all others are.

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
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        What they cost.
    beta_constraint, gamma_constraint : str or Constraint, optional
        What each step leaves of them.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    gamma, beta : ndarray (columns,)
        Views of the model's parameters, once the model is built.
    moving_mean, moving_variance : ndarray (columns,)
        Views of the model's state.
    """

    supports_masking = True

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
        self.momentum = _check.number("momentum", momentum, minimum=0.0, maximum=1.0)
        self.moving_mean_initializer = initializers.get(
            moving_mean_initializer, argument="moving_mean_initializer"
        )
        self.moving_variance_initializer = initializers.get(
            moving_variance_initializer, argument="moving_variance_initializer"
        )

    def states(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        return [
            Variable("moving_mean", (columns,), self.moving_mean_initializer, columns, columns),
            Variable(
                "moving_variance",
                (columns,),
                self.moving_variance_initializer,
                columns,
                columns,
                minimum=0.0,
            ),
        ]

    def ops(self, x: Value) -> Value:
        if x.mask is not None and x.mask.shape != x.shape[:-1]:
            got = f"a mask of rows of shape {x.mask.shape}"
            expected = f"one of {x.shape[:-1]}"
            raise ValueError(_check.refusal("input of BatchNormalization", got, expected))
        return op(
            "batch_norm",
            *((x,) if x.mask is None else (x, x.mask)),
            lines=x.lines,
            variables=self._names,
            sizes=(int(self.scale), int(self.center)),
            options=(self.epsilon, self.momentum),
            states=("moving_mean", "moving_variance"),
        )

    def config(self) -> dict[str, Any]:
        return {
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": self.moving_mean_initializer.config(),
            "moving_variance_initializer": self.moving_variance_initializer.config(),
            **super().config(),
        }


class _Given(initializers.Initializer):
    """Numbers that are known."""

    name = "given"
    values: tuple[float, ...]

    def __init__(self, values: Sequence[float] = ()) -> None:
        self._set(values=tuple(values))

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        out[...] = self.values


class Normalization(Layer):
    """``y = (x - mean) / sqrt(variance)``, column by column, with figures that are found once.

    Parameters
    ----------
    axis : int
        That of the columns: the last one, -1.
    mean, variance : array_like (columns,), or a number for all, optional
        Both or none; without them call `adapt`.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    mean, variance : ndarray (columns,)
        Views of the model's state, once the model is built.

    Examples
    --------
    >>> normalize = layers.Normalization()
    >>> normalize.adapt(x_train)
    >>> model = fw.Sequential([normalize, layers.Dense(1)])
    """

    supports_masking = True

    def __init__(
        self, axis: int = -1, mean: Any = None, variance: Any = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.axis = last_axis(axis)
        if (mean is None) != (variance is None):
            raise ValueError(_check.refusal("mean, variance", "one of them", "both or none"))
        self._figures: tuple[list[float], list[float]] | None = None
        if mean is not None:
            self._figures = (_column_figures("mean", mean), _column_figures("variance", variance))
            if min(self._figures[1]) < 0.0:
                raise ValueError(_check.refusal("variance", "a negative number", "0 or more"))

    def adapt(self, data: Any) -> None:
        """Takes mean and variance of each column of these rows; what was known is forgotten.

        Parameters
        ----------
        data : array_like (rows, ..., columns)
        """
        built = self._built
        shape = None if built is None else built.views_of(self)["mean"].shape
        values = _check.numeric_array("data", data)
        if values.ndim < 2 or (shape is not None and values.shape[-1:] != shape):
            expected = "(rows, ..., columns)" if shape is None else f"(rows, ..., {shape[0]})"
            raise ValueError(_check.refusal("data", f"shape {values.shape}", f"shape {expected}"))
        lines = _check.rows("data", values.reshape(-1, values.shape[-1]), np.dtype(np.float64))
        with np.errstate(over="ignore"):
            figures = (lines.mean(axis=0), lines.var(axis=0))
        for name, found in zip(("mean", "variance"), figures, strict=True):
            if not np.isfinite(found).all():
                got = f"numbers whose {name} overflows"
                raise ValueError(_check.refusal("data", got, "numbers of a smaller range"))
        known = (figures[0].tolist(), figures[1].tolist())
        if built is not None:
            columns = lines.shape[1]
            built.write(
                [_known("mean", known[0], columns), _known("variance", known[1], columns)], self
            )
        self._figures, self._columns = known, _frames.names(data)

    def states(self, input_shape: Shape) -> list[Variable]:
        columns = input_shape[-1]
        known = dict(zip(("mean", "variance"), self._figures or ([0.0], [1.0]), strict=True))
        return [
            Variable(
                name,
                (columns,),
                _Given(_known(name, figures, columns)),
                columns,
                columns,
                minimum=LEAST_VARIANCE if name == "variance" else -math.inf,
            )
            for name, figures in known.items()
        ]

    def ops(self, x: Value) -> Value:
        if self._figures is None:
            raise ValueError(
                _check.refusal("Normalization", "no figures", "layer.adapt(data) before its model")
            )
        return op(
            "standardize",
            x,
            lines=x.lines,
            sizes=(0, 0),
            options=(0.0, 1.0),
            states=("mean", "variance"),
        )

    def config(self) -> dict[str, Any]:
        mean, variance = self._figures or (None, None)
        return {"axis": self.axis, "mean": mean, "variance": variance, "name": self.name}


def _column_figures(argument: str, given: Any) -> list[float]:
    """A number for each column, or one for all."""
    array = _check.numeric_array(argument, np.atleast_1d(given))
    if array.ndim != 1 or not array.size:
        raise ValueError(_check.refusal(argument, f"shape {array.shape}", "shape (columns,)"))
    return _check.reals(argument, array, np.dtype(np.float64)).tolist()


def _known(name: str, figures: Sequence[float], columns: int) -> tuple[float, ...]:
    """The figures of so many columns."""
    if len(figures) not in (1, columns):
        got = f"figures of {len(figures)} columns for rows of {columns}"
        raise ValueError(_check.refusal(name, got, f"{columns} of them"))
    spread = [*figures] * (columns if len(figures) == 1 else 1)
    return (
        tuple(max(LEAST_VARIANCE, figure) for figure in spread)
        if name == "variance"
        else tuple(spread)
    )
