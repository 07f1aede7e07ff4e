"""Losses whose value and gradient are written in NumPy: one call a batch."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastweights import _arguments, _check, _frames
from fastweights._arguments import Telling
from fastweights._own import Registry, refuse_lost_settings, refuse_other_methods
from fastweights.losses.base import Loss, check_length

Shape = tuple[int, ...]

#: Functions and classes of other people's by package and name: see `fastweights.register_loss`.
REGISTERED = Registry("loss")


class _Settling(Telling, type):
    """Fixes what its classes make, when their constructors are through."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        vars(made).pop("_is_new")
        return made


class NumpyLoss(Loss, metaclass=_Settling):
    """A loss of your own, written in NumPy.

    A subclass writes `call` and, if it has settings, takes them in ``__init__``, keeps each under
    its name, and hands all others on: ``super().__init__(**settings)``. A function alone is as
    good: ``model.compile("adam", my_loss)``, see :class:`FunctionLoss`. It is trained beside
    compiled layers, checked by `fastweights.check_loss` and, once it is registered by
    `fastweights.register_loss`, saved and loaded.

    Parameters
    ----------
    target_shape : tuple of int, optional
        Shape of one row's targets; by default that of the output, or one number a row where that
        is one. ``()`` for labels. Metrics are for targets of the output's shape alone.

    Notes
    -----
    All arrays that `call` gets are copies, in the model's dtype; what it gives is copied and
    converted to it. In training it is called once for a batch, elsewhere for some rows at a time,
    so what a row costs must not depend on the others; of an output with a mask (see
    :class:`fastweights.layers.Masking`) a row is a step that counts. An exception ends the call
    that it happened in, before the step, and is raised there. The model is busy meanwhile: calling
    it from the function is refused.
    """

    target_shape: Shape | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> NumpyLoss:
        made = super().__new__(cls)
        vars(made)["_is_new"] = True
        return made

    def __setstate__(self, settings: dict[str, Any]) -> None:
        vars(self).pop("_is_new")
        self._set(**settings)

    def __setattr__(self, name: str, value: object) -> None:
        if "_is_new" not in vars(self):
            super().__setattr__(name, value)
        self._set(**{name: value})

    def __init__(self, target_shape: Shape | None = None) -> None:
        if target_shape is not None:
            if not isinstance(target_shape, (tuple, list)):
                got = _check.shown(target_shape)
                raise TypeError(_check.refusal("target_shape", got, "a tuple of sizes, or None"))
            target_shape = tuple(_check.whole("target_shape", size, 1) for size in target_shape)
        self._set(target_shape=target_shape)

    @abstractmethod
    def call(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[Any, Any]:
        """What each row costs, and the gradient of that by the predictions.

        Parameters
        ----------
        y_true : ndarray (rows, *target_shape)
        y_pred : ndarray (rows, *output_shape)
            The network's output.

        Returns
        -------
        losses : ndarray (rows,)
        gradients : ndarray (rows, *output_shape)
            Of each row's loss by its predictions, not divided by the number of rows.
        """

    @property
    def has_target_of_each(self) -> bool:
        return self.target_shape is None

    @property
    def title(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @property
    def defined(self) -> Any:
        """What `fastweights.register_loss` decorates."""
        return type(self)

    @property
    def name(self) -> str:  # type: ignore[override]
        """By which files know it; its own where nobody could find it."""
        return REGISTERED.name_of(self.defined) or self.title

    @property
    def is_registered(self) -> bool:
        """Whether `fastweights.load` can make it again."""
        return REGISTERED.name_of(self.defined) is not None

    def config(self) -> dict[str, Any]:
        taken = inspect.signature(type(self)).parameters
        return {
            "name": self.name,
            **{name: getattr(self, name) for name in taken if hasattr(self, name)},
        }

    def refuse_unfit(self) -> None:
        """Raises TypeError where it could not be trained by, or not be saved."""
        refuse_other_methods("loss", self, "call", ("y_true", "y_pred"))
        if self.is_registered:
            refuse_lost_settings("loss", self)

    def targets_shape(self, shape: Shape) -> Shape:
        """Of one row, where that of the output is `shape`."""
        return shape if self.target_shape is None else self.target_shape

    def own_targets(
        self, argument: str, y: Any, rows: int, shape: Shape, real: np.dtype
    ) -> np.ndarray:
        """Targets (rows, numbers), checked, for rows of output of this shape."""
        given, wanted = _check.numeric_array(argument, y), self.targets_shape(shape)
        fits = given.ndim > 0 and given.shape[1:] == wanted
        if not fits and not (
            math.prod(wanted) == 1 and given.ndim > 0 and given.size == len(given)
        ):
            expected = f"shape (rows{''.join(f', {size}' for size in wanted)})"
            hint = "; losses.FunctionLoss(function, target_shape=...) takes targets of another"
            raise ValueError(_check.refusal(argument, f"shape {given.shape}", expected) + hint)
        check_length(argument, given, rows)
        return _check.reals(argument, given.reshape(rows, -1), real, _frames.labels(y))

    def caller(self, targets: Shape, predictions: Shape) -> Callable[..., Any]:
        """What a plan calls, on rows without these shapes."""

        def measured(
            y_true: np.ndarray, y_pred: np.ndarray, scale: float
        ) -> tuple[np.ndarray, np.ndarray]:
            rows, real = len(y_pred), y_pred.dtype
            values, gradients = self.checked(
                y_true.reshape(rows, *targets), y_pred.reshape(rows, *predictions)
            )
            # What overflows on the way is found by those who look at the weights.
            with np.errstate(over="ignore", invalid="ignore"):
                return values, np.ascontiguousarray(gradients * scale, real)

        return measured

    def checked(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `call` gives: float64 and of the right shape, or a refusal."""
        rows, shape, name = len(y_pred), y_pred.shape, f"loss {self.title}"
        made = self.call(y_true, y_pred)
        expected = f"losses of shape ({rows},) and gradients of shape {shape}"
        if not isinstance(made, (tuple, list)) or len(made) != 2:
            got = f"{len(made)} values" if isinstance(made, tuple) else _check.kind_of(made)
            raise TypeError(_check.refusal(name, got, expected))
        values, gradients = (
            _check.numeric_array(f"{part} of {name}", one)
            for part, one in zip(("losses", "gradients"), made, strict=True)
        )
        for part, array, wanted in (("losses", values, (rows,)), ("gradients", gradients, shape)):
            if array.shape != wanted:
                hint = "; one of each row, of which the mean is taken" if array.ndim == 0 else ""
                got = f"shape {array.shape}"
                raise ValueError(_check.refusal(f"{part} of {name}", got, f"shape {wanted}") + hint)
        values, gradients = (np.array(one, np.float64) for one in (values, gradients))
        # A loss that is not finite ends training as any other's; its gradients are not used.
        if np.isfinite(values).all() and not np.isfinite(gradients).all():
            row = int(np.argwhere(~np.isfinite(gradients))[0, 0])
            got = f"{gradients[row][~np.isfinite(gradients[row])][0]} in row {row}"
            expected = "finite numbers where losses are"
            raise ValueError(_check.refusal(f"gradients of {name}", got, expected))
        return values, gradients

    def measured(self, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
        predictions = _check.numeric_array("y_pred", y_pred)
        if predictions.ndim == 0 or len(predictions) == 0:
            got = f"shape {predictions.shape}"
            raise ValueError(_check.refusal("y_pred", got, "shape (rows, *output_shape)"))
        real = np.dtype(np.float32 if predictions.dtype == np.float32 else np.float64)
        rows, shape = len(predictions), predictions.shape[1:] or (1,)
        targets = self.own_targets("y_true", y_true, rows, shape, real)
        targets = targets.reshape(rows, *self.targets_shape(shape))
        return self.checked(targets, predictions.astype(real).reshape(rows, *shape))


class FunctionLoss(NumpyLoss):
    """A function of yours as a loss: what each row costs, and its gradient.

    ``model.compile("adam", my_loss)`` makes one of a function.

    Parameters
    ----------
    function : callable
        ``my_loss(y_true, y_pred)`` returns losses (rows,) and their gradients by the predictions,
        of the shape of `y_pred`: see :meth:`NumpyLoss.call`.
    target_shape : tuple of int, optional
        As of :class:`NumpyLoss`.

    Examples
    --------
    >>> def fourth_power(y_true, y_pred):
    ...     d = y_pred - y_true
    ...     return (d**4).mean(axis=1), 4 * d**3 / d.shape[1]
    >>> model.compile("adam", fourth_power)
    >>> print(fw.check_loss(fourth_power, y, model.predict(x)))
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], target_shape: Shape | None = None) -> None:
        refuse_other_functions("function", function)
        self._set(function=function)
        super().__init__(target_shape)

    def call(self, y_true: np.ndarray, y_pred: np.ndarray) -> Any:
        return self.function(y_true, y_pred)

    @property
    def has_target_of_each(self) -> bool:
        return self.target_shape is None

    @property
    def title(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    @property
    def defined(self) -> Any:
        return self.function

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "target_shape": self.target_shape}

    def refuse_unfit(self) -> None:
        """Its constructor has seen to it; the name of the function stands for it."""


def refuse_other_functions(argument: str, function: Any) -> None:
    """Raises TypeError for what is no function of targets and predictions."""
    expected = "a function (y_true, y_pred) that returns losses and gradients"
    _arguments.refuse_other_functions(argument, function, expected, (None, None))


def known_loss(config: Mapping[str, Any], custom: Mapping[str, Any]) -> NumpyLoss:
    """What a config describes that names a loss of somebody's own, of `custom` before others."""
    settings = dict(config)
    name = settings.pop("name")
    defined = REGISTERED.find(name, custom)
    with REGISTERED.making(name, defined):
        if isinstance(defined, type):
            return defined(**settings)
        return FunctionLoss(defined, **settings)
