"""Proves a model's gradients by nudging: central differences of the reported loss, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, _feeding, training
from fastweights._core import philox
from fastweights._rows import Examples, each
from fastweights._sources import Whole

if TYPE_CHECKING:
    from fastweights.models import Model

#: Step of a nudge for a number of size up to 1: about the cube root of float64's precision, where
#: rounding and truncation of a central difference balance (Nocedal & Wright 2006, section 8.1).
STEP = 6e-6

#: How exactly a loss is computed, in units of its rounding: what this leaves in a difference is not
#: the gradient's fault.
_LOSS_ROUNDINGS = 4

_MOVE, _OFF_ZERO = 1e-3, 1e-2
_REDRAWS = 5


@dataclass(frozen=True)
class Row:
    """How far one array's gradient is from its central differences.

    `error` is ``|g - d| / max(|g|, |d|)`` in Euclidean norms and `allowed` the largest that passes:
    the tolerance and what the rounding of the loss leaves in differences, which counts only where
    a gradient is tiny beside the loss. `where` is the index of the entry that differs most,
    `gradient` and `difference` are the two values there.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    allowed: float
    where: tuple[int, ...]
    gradient: float
    difference: float

    @property
    def passed(self) -> bool:
        """Whether the gradient is right."""
        return self.error <= self.allowed


@dataclass(frozen=True)
class Report:
    """What `check_gradients` found; prints as a table, true where all is well.

    Attributes
    ----------
    rows : list of Row
        One for each array of parameters, in layer order, and one for each input of reals.
    tolerance : float
        Largest error that passes.
    loss : float
        The loss whose gradient was checked.
    error : float
        ``|g - d| / max(|g|, |d|)`` over all parameters and inputs together.
    redraws : int
        How often the point was moved because it lay on a kink.
    float32_error : float or None
        For a float32 model: ``|g32 - g64| / |g64|`` of the flat gradient.
    float32_tolerance : float
    frozen : tuple of str
        Weights that are not trained, whose gradients were not checked.
    worst : Row
        The row that comes nearest to what is allowed, or is furthest beyond it.
    """

    rows: list[Row]
    tolerance: float
    loss: float
    error: float
    redraws: int = 0
    float32_error: float | None = None
    float32_tolerance: float = 1e-4
    frozen: tuple[str, ...] = ()
    worst: Row = field(init=False, repr=False)

    def __post_init__(self) -> None:
        worst = max(self.rows, key=lambda row: row.error / row.allowed)
        object.__setattr__(self, "worst", worst)

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        float32 = self.float32_error is None or self.float32_error <= self.float32_tolerance
        return self.worst.passed and self.error <= self.tolerance and float32

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        header = ("gradient of", "shape", "error", "worst at", "gradient", "difference")
        lines = [
            (
                row.name,
                str(row.shape),
                f"{row.error:.2e}" + ("" if row.passed else " <- wrong"),
                str(row.where),
                f"{row.gradient: .9e}",
                f"{row.difference: .9e}",
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [header, tuple("-" * width for width in widths), *lines]
        ]
        if self.float32_error is not None:
            wrong = "" if self.float32_error <= self.float32_tolerance else " <- wrong"
            table.append(f"float32 gradient against float64's: {self.float32_error:.2e}{wrong}")
        if self.frozen:
            table.append(f"not trained, so without a gradient: {', '.join(self.frozen)}")
        if self.redraws:
            table.append(f"moved {self.redraws} times off a kink")
        verdict = "all gradients are right" if self.passed else "WRONG gradients"
        table.append(
            f"{verdict}: error {self.error:.2e} over all, at worst {self.worst.error:.2e} in "
            f"{self.worst.name}, tolerance {self.tolerance:.0e}"
        )
        return "\n".join(table)


def check_gradients(
    model: Model,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    tolerance: float = 1e-7,
    step: float = STEP,
) -> Report:
    """Checks every gradient of a compiled model against central differences of its loss.

    The model is copied to float64; each parameter and each number of the input is nudged by
    ``h = step * max(1, |w|)`` both ways, and ``(loss(w + h) - loss(w - h)) / 2h`` of the loss as
    `evaluate` reports it is held against `loss_and_gradients`. Where a nudge crosses a kink (of
    relu, say), the point is moved a little and everything is checked again. Parameters that are 0,
    as biases are at first, are moved off it. Weights that are not trained have no gradient, and
    the report names them. A float32 model's own
    gradient is also held against the float64 one. The model itself is not changed.

    Parameters
    ----------
    model : Model
        Compiled; built, or buildable from `x`.
    x, y : array_like
        A few rows, as for `fit`; the work grows with parameters x rows.
    sample_weight : array_like, optional
        What each of them counts, as for `fit`.
    tolerance : float
        Largest error (in norm, per array) that passes.
    step : float
        Relative size of a nudge.

    Returns
    -------
    Report
    """
    from fastweights._copying import refuse_foreign
    from fastweights.models import Model

    if not isinstance(model, Model):
        raise TypeError(_check.refusal("model", _check.kind_of(model), "a model"))
    tolerance = _check.number("tolerance", tolerance, above=0.0)
    step = _check.number("step", step, above=0.0)
    own = model.loss_and_gradients(x, y, sample_weight)[1].astype(np.float64)
    refuse_foreign("check_gradients", model)
    double = model.copy("float64")
    given = _feeding.rows(model, x)
    examples = _feeding.examples(double, given, y, sample_weight=sample_weight)
    float32_error = None
    if model.dtype == np.float32:
        float32_error = _distance(own, double.loss_and_gradients(examples.x, y, sample_weight)[1])
    rows = examples.x
    rows = tuple(map(_own, rows)) if isinstance(rows, tuple) else _own(rows)
    examples = examples._replace(x=rows)
    # Where weights start at 0, a fault that is a product with them would not be seen.
    at_zero, draws = double.parameters == 0.0, np.empty(double.parameters.size)
    philox.normal(draws, _REDRAWS + 1, 0)
    double.parameters[at_zero] = _OFF_ZERO * draws[at_zero]
    for redraws in range(_REDRAWS + 1):
        report, on_kink = _check_here(double, examples, tolerance, step)
        if report.passed or not on_kink:
            break
        moved = [*(array.reshape(-1) for array in each(rows) if array.dtype.kind == "f")]
        moved.append(double.parameters)
        for stream, array in enumerate(moved):
            draws = np.empty(array.size)
            philox.normal(draws, redraws, stream)
            array += _MOVE * draws
    built = double._built_or_refused()
    moving = {weight.name for weight in built.moving_weights()}
    states = {f"{layer.name}/{state.name}" for layer, state in built.states}
    still = (weight.name for weight in built.weights() if weight.name not in moving | states)
    return replace(report, redraws=redraws, float32_error=float32_error, frozen=tuple(still))


def check_loss(
    loss: Any, y_true: Any, y_pred: Any, *, tolerance: float = 1e-7, step: float = STEP
) -> Report:
    """Checks the gradient of a loss, as of a function of your own, against central differences.

    Each prediction is nudged by ``h = step * max(1, |p|)`` both ways, in float64, and what its
    row's loss makes of that is held against the gradient. Give predictions off the loss's kinks.

    Parameters
    ----------
    loss : callable, str or Loss
        As for `Model.compile`.
    y_true, y_pred : array_like
        A few rows of targets and predictions.
    tolerance : float
        Largest error (in norm) that passes.
    step : float
        Relative size of a nudge.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        The loss does not give what it should, or what a row costs depends on other rows.
    """
    from fastweights import losses

    kind = losses.get(loss)
    tolerance = _check.number("tolerance", tolerance, above=0.0)
    step = _check.number("step", step, above=0.0)
    predictions = _check.reals("y_pred", _check.numeric_array("y_pred", y_pred), np.dtype(float))
    values, gradient = kind.measured(y_true, predictions)
    _refuse_mixed_rows(kind, y_true, predictions, values)
    flat = np.array(predictions.reshape(len(predictions), -1))
    sides = np.empty((2, *flat.shape))
    for column, nudged in enumerate(flat.T):
        kept = nudged.copy()
        h = step * np.maximum(1.0, np.abs(kept))
        for side, moved in enumerate((kept + h, kept - h)):
            nudged[:] = moved
            found = kind.measured(y_true, flat.reshape(predictions.shape))[0]
            sides[side, :, column] = (found - values) / (nudged - kept)
        nudged[:] = kept
    noise = _LOSS_ROUNDINGS * np.finfo(float).eps * float(np.abs(values).max()) / step
    row = _row(
        "y_pred", predictions.shape, gradient.reshape(-1), sides.reshape(2, -1), tolerance, noise
    )
    return Report([row], max(tolerance, row.allowed), float(values.mean()), row.error)


def _refuse_mixed_rows(loss: Any, y_true: Any, y_pred: np.ndarray, values: np.ndarray) -> None:
    """Raises ValueError where the losses of rows are others without the other rows."""
    targets = np.asarray(y_true)
    for row in range(len(values) if len(values) > 1 else 0):
        alone = loss.measured(targets[row : row + 1], y_pred[row : row + 1])[0][0]
        if not math.isclose(alone, values[row], rel_tol=1e-9, abs_tol=1e-300):
            got = f"{values[row]:.9g} for row {row}, and {alone:.9g} for it alone"
            raise ValueError(_check.refusal("loss", got, "losses of rows that know no other row"))


def _own(array: np.ndarray) -> np.ndarray:
    """A copy that can be moved: what is fed as bytes as the reals that it stands for."""
    return array.astype(np.float64 if array.dtype == np.uint8 else array.dtype)


def _check_here(
    model: Model, examples: Examples, tolerance: float, step: float
) -> tuple[Report, bool]:
    """The report at this point, and whether kinks of the loss explain all that is wrong with it."""
    loss, by_parameters, by_inputs = training.gradients(model, model._compiled, examples)
    built = model._built_or_refused()
    start, parts = built.parameters.ctypes.data, []
    for weight in built.moving_weights():
        begin = (weight.ctypes.data - start) // weight.itemsize
        found = by_parameters[begin : begin + weight.size]
        parts.append((weight.name, np.asarray(weight), found))
    by_each = by_inputs if isinstance(by_inputs, tuple) else (by_inputs,)
    for name, array, dx in zip(model.input_names, each(examples.x), by_each, strict=True):
        if dx is not None:
            parts.append((name, array, dx.reshape(-1)))
    gradient = np.concatenate([part[2] for part in parts])
    sides = np.concatenate(
        [_one_sided(model, examples, values.reshape(-1), step) for _, values, _ in parts], axis=1
    )
    noise = _LOSS_ROUNDINGS * np.finfo(float).eps * abs(loss) / step
    rows, on_kink, offset = [], True, 0
    for name, values, _ in parts:
        part = slice(offset, offset + values.size)
        offset = part.stop
        row = _row(name, values.shape, gradient[part], sides[:, part], tolerance, noise)
        rows.append(row)
        if not row.passed:
            on_kink &= _is_kink(gradient[part], sides[:, part], tolerance)
    error = _distance(gradient, sides.mean(axis=0))
    return Report(rows, tolerance, loss, error), on_kink


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """``|a - b| / max(|a|, |b|)``; inf where one is not finite."""
    apart, size = np.linalg.norm(a - b), max(np.linalg.norm(a), np.linalg.norm(b))
    if not (np.isfinite(apart) and np.isfinite(size)):
        return math.inf
    return float(apart / size) if apart > 0.0 else 0.0


def _one_sided(model: Model, examples: Examples, values: np.ndarray, step: float) -> np.ndarray:
    """Differences of the loss to the right and to the left of each entry of `values`, (2, n).

    `values` is the memory of the model's parameters or of x, and is as before on return.
    """

    state = model.state.copy()

    def loss() -> float:
        found = training.evaluate(model, model._compiled, Whole(examples))["loss"]
        # All of them begin with the same states of rows.
        model.state[:] = state
        return found

    here = loss()
    sides = np.empty((2, values.size))
    for i, value in enumerate(values.tolist()):
        h = step * max(1.0, abs(value))
        values[i] = value + h
        above = values[i] - value
        sides[0, i] = (loss() - here) / above
        values[i] = value - h
        below = value - values[i]
        sides[1, i] = (here - loss()) / below
        values[i] = value
    return sides


def _row(
    name: str,
    shape: tuple[int, ...],
    gradient: np.ndarray,
    sides: np.ndarray,
    tolerance: float,
    noise: float,
) -> Row:
    central = sides.mean(axis=0)
    at = int(np.argmax(np.abs(gradient - central)))
    size = max(np.linalg.norm(gradient), np.linalg.norm(central))
    unresolved = noise * math.sqrt(gradient.size) / size if 0.0 < size < math.inf else 0.0
    return Row(
        name,
        shape,
        _distance(gradient, central),
        tolerance + float(unresolved),
        tuple(int(i) for i in np.unravel_index(at, shape)),
        float(gradient[at]),
        float(central[at]),
    )


def _is_kink(gradient: np.ndarray, sides: np.ndarray, tolerance: float) -> bool:
    """Whether every entry that is far off lies between the slopes to its right and left.

    One-sided slopes are exact to first order only, hence the slack; to be taken for a kink wrongly
    costs no more than another check at another point.
    """
    size = np.linalg.norm(gradient)
    far = np.abs(gradient - sides.mean(axis=0)) > tolerance * size / math.sqrt(gradient.size)
    slack = 1e-3 * size
    between = (gradient >= sides.min(axis=0) - slack) & (gradient <= sides.max(axis=0) + slack)
    return bool((between | ~far).all())
