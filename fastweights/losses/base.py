"""What all losses are: settings, and the checks of the targets."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch
from fastweights._core.float_mode import in_default_float_mode
from fastweights._description import Description


class Loss(Description):
    """Base of all losses. A subclass names itself and says which targets it takes."""

    #: Whether targets are class labels (rows,) instead of numbers (rows, outputs).
    takes_labels: ClassVar[bool] = False
    #: Whether the loss is of the last axis where there are several, as of classes or of groups.
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

    @property
    def has_target_of_each(self) -> bool:
        """Whether there is a target for each output, or a label, as metrics need it."""
        return True

    def target_columns(self, outputs: int) -> int:
        """Numbers in one row of prepared targets; ValueError where the loss is not for so many."""
        return outputs

    def target_bytes(self, outputs: int, real: np.dtype) -> int:
        """Size of one row of prepared targets."""
        return self.target_columns(outputs) * real.itemsize

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        """Checks targets and lays them out as the kernel takes them.

        Parameters
        ----------
        y : array_like (rows, target columns), or (rows,) where there is one
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
        ndarray, C-contiguous, (rows, target columns) of `real`, or (rows,) of int32 for labels

        Raises
        ------
        ValueError, TypeError
            Shape, length, dtype or values do not suit the loss.
        """
        columns = self.target_columns(outputs)
        targets = _check.rows(argument, y, real, (columns,), self._hint_for_labels)
        check_length(argument, targets, rows)
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
        values, _ = self.measured(y_true, y_pred)
        return float(in_default_float_mode(values.mean))

    def measured(self, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
        """What each row of a batch costs, and its gradients by the predictions."""
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
        values, gradients = np.empty(rows), np.empty_like(predictions)
        _dispatch.kernels(real).apply_loss(
            self.kernel,
            values.ctypes.data,
            gradients.ctypes.data,
            predictions.ctypes.data,
            targets.ctypes.data,
            rows,
            outputs,
            self.options,
            1.0,
        )
        return values, gradients


def check_length(argument: str, targets: np.ndarray, rows: int) -> None:
    if len(targets) != rows:
        raise ValueError(
            _check.refusal(argument, f"{len(targets)} rows", f"as many as there are inputs, {rows}")
        )


def refuse(argument: str, targets: np.ndarray, is_bad: np.ndarray, expected: str) -> None:
    """Raises ValueError about the first target that is bad, if one is."""
    if is_bad.any():
        where = np.unravel_index(is_bad.argmax(), is_bad.shape)
        raise ValueError(_check.refusal(argument, f"{targets[where]} in row {where[0]}", expected))
