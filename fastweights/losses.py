"""Losses: descriptions of what training makes small. Names and definitions are Keras 3's.

The value of a row is the mean over its outputs (for the categorical crossentropies the sum over the
classes), the loss of a batch the mean over its rows; of an output with a mask (see
:class:`fastweights.layers.Masking`) over its steps that count. The arithmetic is compiled
(``src_pyx/kernels/losses.pxi``); what is here are the settings, and the checks of the targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch, _frames
from fastweights._core.float_mode import in_default_float_mode
from fastweights._description import Description, from_config


class Loss(Description):
    """Base of all losses. A subclass names itself and says which targets it takes."""

    #: Whether targets are class labels (rows,) instead of numbers (rows, outputs).
    takes_labels: ClassVar[bool] = False
    #: Whether outputs are classes, of which one is right: the last axis where there are several.
    of_classes: ClassVar[bool] = False
    #: What the refusal of one number a row ends with, where there are several outputs.
    _hint_for_labels: ClassVar[str] = ""

    @property
    def kernel(self) -> str:
        """Name of the compiled kernel."""
        return self.name

    @property
    def options(self) -> tuple[float, ...]:
        """The kernel's numbers."""
        return ()

    @property
    def fused_with(self) -> str | None:
        """The last activation that `fused_kernel` takes into itself, exactly and stably."""
        return None

    @property
    def fused_kernel(self) -> str | None:
        """Name of the kernel that works on what goes into that activation."""
        return None

    def target_bytes(self, outputs: int, real: np.dtype) -> int:
        """Size of one row of prepared targets."""
        return outputs * real.itemsize

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        """Checks targets and lays them out as the kernel takes them.

        Parameters
        ----------
        y : array_like (rows, outputs), or (rows,) where there is one output
            Finite numbers that suit the loss. Class labels (rows,) or (rows, 1) for
            :class:`SparseCategoricalCrossentropy`.
        rows, outputs : int
            Rows of the data, and the width of the network's output.
        real : dtype
            float32 or float64.
        argument : str
            What messages call `y`.

        Returns
        -------
        ndarray, C-contiguous, (rows, outputs) of `real`, or (rows,) of int32 for class labels

        Raises
        ------
        ValueError, TypeError
            Shape, length, dtype or values do not suit the loss.
        """
        targets = _check.rows(argument, y, real, (outputs,), self._hint_for_labels)
        _check_length(argument, targets, rows)
        return self.suitable(argument, targets)

    def prepared(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        """What `prepare_targets` gives, if kernels can take it: a subclass may give anything."""
        targets = self.prepare_targets(y, rows, outputs, real, argument)
        wanted = np.dtype(np.int32) if self.takes_labels else real
        fits = type(targets) is np.ndarray and targets.dtype == wanted
        # Kernels read them alone: they may be read-only, as a frame's columns are.
        fits = fits and targets.flags.c_contiguous and targets.flags.aligned
        if not fits or targets.nbytes != rows * self.target_bytes(outputs, real):
            got = f"targets of {type(self).__name__} that kernels cannot take"
            raise TypeError(_check.refusal(argument, got, f"{rows} rows of {wanted}"))
        return targets

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        """The targets with the loss's own demands on their values met."""
        return targets

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """The loss of a batch.

        Parameters
        ----------
        y_true : array_like
            Targets, as for :meth:`prepare_targets`.
        y_pred : array_like (rows, outputs), or (rows,) for one output
            Predictions; float32 is worked on as such, all else in float64.
        """
        predictions = _check.numeric_array("y_pred", y_pred)
        if predictions.ndim == 1:
            predictions = predictions[:, np.newaxis]
        if predictions.ndim != 2 or 0 in predictions.shape:
            raise ValueError(
                _check.refusal("y_pred", f"shape {predictions.shape}", "shape (rows, outputs)")
            )
        real = np.dtype(np.float32 if predictions.dtype == np.float32 else np.float64)
        predictions = _check.contiguous(predictions, real)
        rows, outputs = predictions.shape
        targets = self.prepared(y_true, rows, outputs, real, "y_true")
        values = np.empty(rows)
        _dispatch.kernels(real).apply_loss(
            self.kernel,
            values.ctypes.data,
            0,
            predictions.ctypes.data,
            targets.ctypes.data,
            rows,
            outputs,
            self.options,
            1.0,
        )
        return float(in_default_float_mode(values.mean))


def _check_length(argument: str, targets: np.ndarray, rows: int) -> None:
    if len(targets) != rows:
        raise ValueError(
            _check.refusal(argument, f"{len(targets)} rows", f"as many as there are inputs, {rows}")
        )


def _refuse(argument: str, targets: np.ndarray, is_bad: np.ndarray, expected: str) -> None:
    """Raises ValueError about the first target that is bad, if one is."""
    if is_bad.any():
        where = np.unravel_index(is_bad.argmax(), is_bad.shape)
        raise ValueError(_check.refusal(argument, f"{targets[where]} in row {where[0]}", expected))


# ---- regression ----------------------------------------------------------------------------------


class MeanSquaredError(Loss):
    """``mean((p - t)^2)``."""

    name = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """``mean(|p - t|)``, with gradient 0 where ``p = t``."""

    name = "mean_absolute_error"


class Huber(Loss):
    """Mean over ``d = p - t`` of ``d^2 / 2``, or ``delta (|d| - delta / 2)`` where ``|d| > delta``.

    Huber, "Robust estimation of a location parameter" (Annals of Mathematical Statistics, 1964).

    Parameters
    ----------
    delta : float
        Where the square turns into a line, above 0.
    """

    name = "huber"
    delta: float

    def __init__(self, delta: float = 1.0) -> None:
        self._set(delta=_check.number("delta", delta, above=0.0))

    @property
    def options(self) -> tuple[float, ...]:
        return (self.delta,)


class LogCosh(Loss):
    """``mean(log(cosh(p - t)))``: near 0 half the square, far out ``|p - t| - log 2``."""

    name = "log_cosh"


class Poisson(Loss):
    """``mean(p - t log(p + 1e-7))``, up to a constant the negative log-likelihood of counts t.

    `p` is a rate: the last activation should be positive, as softplus is. Targets are 0 or more.
    """

    name = "poisson"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        _refuse(argument, targets, targets < 0, "numbers of at least 0 for the loss poisson")
        return targets


# ---- two classes ---------------------------------------------------------------------------------


class Hinge(Loss):
    """``mean(max(0, 1 - t p))`` for targets of -1 and 1; targets of 0 and 1 are taken as such.

    The last activation should be linear or tanh.
    """

    name = "hinge"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        expected = "targets of -1 and 1, or of 0 and 1, for the loss hinge"
        is_zero = targets == 0
        _refuse(argument, targets, ~is_zero & (np.abs(targets) != 1), expected)
        if not is_zero.any():
            return targets
        _refuse(argument, targets, targets == -1, expected + ", not a mixture")
        return np.where(is_zero, targets.dtype.type(-1), targets)


class _Crossentropy(Loss):
    """What the crossentropies share."""

    activation: ClassVar[str]
    from_logits: bool

    def __init__(self, from_logits: bool = False) -> None:
        self._set(from_logits=_check.flag("from_logits", from_logits))

    @property
    def kernel(self) -> str:
        return self.name + "_logits" if self.from_logits else self.name

    @property
    def fused_with(self) -> str | None:
        return None if self.from_logits else self.activation

    @property
    def fused_kernel(self) -> str | None:
        return None if self.from_logits else self.name + "_logits"


class _SmoothedCrossentropy(_Crossentropy):
    """What the crossentropies with dense targets share."""

    label_smoothing: float

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        smoothing = _check.number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
        self._set(label_smoothing=smoothing)

    @property
    def options(self) -> tuple[float, ...]:
        return (self.label_smoothing,)


class BinaryCrossentropy(_SmoothedCrossentropy):
    """``-mean(t log(p) + (1 - t) log(1 - p))`` for each output on its own, ``t`` within [0, 1].

    Probabilities are clipped to [1e-7, 1 - 1e-7]. Where sigmoid is the last activation, or with
    `from_logits`, the loss works on what goes into it and is exact for any logit.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/2 by this share (Szegedy et al. 2016).
    """

    name = "binary_crossentropy"
    activation = "sigmoid"
    _hint_for_labels = (
        "; one unit with sigmoid takes labels 0 and 1, or two with softmax and the loss "
        "sparse_categorical_crossentropy"
    )

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        _refuse(
            argument,
            targets,
            (targets < 0) | (targets > 1),
            "numbers from 0 to 1 for the loss binary_crossentropy",
        )
        return targets


# ---- several classes -----------------------------------------------------------------------------


def _check_classes(loss: Loss, outputs: int) -> None:
    if outputs < 2:
        raise ValueError(
            _check.refusal("loss", f"{loss.name} for a network with 1 output", "2 outputs or more")
            + "; for one output use binary_crossentropy"
        )


class CategoricalCrossentropy(_SmoothedCrossentropy):
    """``-sum(t log(p))`` over the classes; `t` is a row of probabilities, one-hot as a rule.

    Predictions are divided by their sum and clipped to [1e-7, 1 - 1e-7]. Where softmax is the last
    activation, or with `from_logits`, the loss works on what goes into it and is exact for any
    logit.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/classes by this share (Szegedy et al. 2016).
    """

    name = "categorical_crossentropy"
    activation = "softmax"
    of_classes = True
    _hint_for_labels = "; for class labels use the loss sparse_categorical_crossentropy"

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        _check_classes(self, outputs)
        if type(y) is np.ndarray and y.ndim == 2 and y.shape[1] not in (1, outputs):
            got, expected = f"shape {y.shape}", f"shape (rows, {outputs})"
            hint = "; the last layer has as many units as there are classes"
            raise ValueError(_check.refusal(argument, got, expected) + hint)
        return super().prepare_targets(y, rows, outputs, real, argument)

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        _refuse(
            argument,
            targets,
            targets < 0,
            "numbers of at least 0 for the loss categorical_crossentropy",
        )
        return targets


class SparseCategoricalCrossentropy(_Crossentropy):
    """``-log(p[label])``: :class:`CategoricalCrossentropy` for labels 0, 1, ..., outputs - 1.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    """

    name = "sparse_categorical_crossentropy"
    activation = "softmax"
    of_classes = True
    takes_labels = True

    def target_bytes(self, outputs: int, real: np.dtype) -> int:
        return np.dtype(np.int32).itemsize

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        _check_classes(self, outputs)
        given = _check.numeric_array(argument, y)
        if given.ndim != 1 and given.shape[1:] != (1,):
            is_dense = given.shape[1:] == (outputs,)
            hint = "; for one-hot rows use the loss categorical_crossentropy" if is_dense else ""
            raise ValueError(
                _check.refusal(argument, f"shape {given.shape}", "class labels of shape (rows,)")
                + hint
            )
        _check_length(argument, given, rows)
        if given.dtype.kind == "f":
            given = _check.reals(argument, given, np.dtype(np.float64), _frames.labels(y))
        # A copy, and checked after it was made: kernels read memory at what a label says.
        labels = given.reshape(rows).copy()
        is_bad = (labels < 0) | (labels >= outputs) | (labels != np.floor(labels))
        expected = f"whole numbers from 0 to {outputs - 1}, one for each unit of the last layer"
        if is_bad.any() and (labels != np.floor(labels)).any():
            expected += "; for other numbers use a loss such as mean_squared_error"
        _refuse(argument, labels, is_bad, expected)
        return labels.astype(np.int32)


# ---- names ---------------------------------------------------------------------------------------

#: Every loss by its name and, as Keras has them, by its short name.
LOSSES: dict[str, type[Loss]] = {
    **{
        kind.name: kind
        for kind in (
            MeanSquaredError,
            MeanAbsoluteError,
            Huber,
            LogCosh,
            Poisson,
            Hinge,
            BinaryCrossentropy,
            CategoricalCrossentropy,
            SparseCategoricalCrossentropy,
        )
    },
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "logcosh": LogCosh,
    "bce": BinaryCrossentropy,
}


def get(identifier: str | Loss | Mapping[str, Any]) -> Loss:
    """A loss from its name, its `config` or itself."""
    if isinstance(identifier, Loss):
        if LOSSES.get(getattr(identifier, "name", "")) is not type(identifier):
            expected = "a loss of this library; for your own, model.forward and model.backward"
            raise TypeError(_check.refusal("loss", type(identifier).__name__, expected))
        return identifier
    if isinstance(identifier, Mapping):
        return from_config("loss", identifier, LOSSES, ignore_case=True)
    return _check.choice("loss", identifier, LOSSES, ignore_case=True)()
