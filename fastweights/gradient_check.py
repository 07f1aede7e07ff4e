"""Proves a model's gradients by nudging: central differences of the reported loss, in float64."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, training
from fastweights._core import philox

if TYPE_CHECKING:
    from fastweights.models import Sequential

#: Step of a nudge for a number of size up to 1: about the cube root of float64's precision, where
#: rounding and truncation of a central difference balance (Nocedal & Wright 2006, section 8.1).
STEP = 6e-6

#: A gradient smaller than this part of the whole cannot be told from the differences' rounding.
RESOLUTION = 1e-3

_MOVE = 1e-3
_REDRAWS = 5


@dataclass(frozen=True)
class Row:
    """How far one array's gradient is from its central differences.

    `error` is ``|g - d| / max(|g|, |d|)`` in Euclidean norms; `where` the index of the entry that
    differs most, `gradient` and `difference` the two values there.
    """

    name: str
    shape: tuple[int, ...]
    error: float
    where: tuple[int, ...]
    gradient: float
    difference: float


@dataclass(frozen=True)
class Report:
    """What `check_gradients` found; prints as a table, true where all is well.

    Attributes
    ----------
    rows : list of Row
        One for each array of parameters, in layer order, and one for the input.
    tolerance : float
        Largest error that passes.
    loss : float
        The loss whose gradient was checked.
    redraws : int
        How often the point was moved because it lay on a kink.
    float32_error : float or None
        For a float32 model: ``|g32 - g64| / |g64|`` of the flat gradient.
    float32_tolerance : float
    """

    rows: list[Row]
    tolerance: float
    loss: float
    redraws: int = 0
    float32_error: float | None = None
    float32_tolerance: float = 1e-4
    worst: Row = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A NaN is worse than any number.
        worst = max(self.rows, key=lambda row: (np.isnan(row.error), row.error))
        object.__setattr__(self, "worst", worst)

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        float32 = self.float32_error is None or self.float32_error <= self.float32_tolerance
        return bool(self.worst.error <= self.tolerance and float32)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        header = ("gradient of", "shape", "error", "worst at", "gradient", "difference")
        lines = [
            (
                row.name,
                str(row.shape),
                f"{row.error:.2e}" + ("" if row.error <= self.tolerance else " <- wrong"),
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
        if self.redraws:
            table.append(f"moved {self.redraws} times off a kink")
        verdict = "all gradients are right" if self.passed else "WRONG gradients"
        table.append(
            f"{verdict}: worst error {self.worst.error:.2e} in {self.worst.name}, "
            f"tolerance {self.tolerance:.0e}"
        )
        return "\n".join(table)


def check_gradients(
    model: Sequential, x: Any, y: Any, *, tolerance: float = 1e-7, step: float = STEP
) -> Report:
    """Checks every gradient of a compiled model against central differences of its loss.

    The model is copied to float64; each parameter and each number of the input is nudged by
    ``h = step * max(1, |w|)`` both ways, and ``(loss(w + h) - loss(w - h)) / 2h`` of the loss as
    `evaluate` reports it is held against `loss_and_gradients`. Where a nudge crosses a kink (of
    relu, say), the point is moved a little and everything is checked again. A float32 model's own
    gradient is also held against the float64 one. The model itself is not changed.

    Parameters
    ----------
    model : Sequential
        Compiled; built, or buildable from `x`.
    x, y : array_like
        A few rows, as for `fit`; the work grows with parameters x rows.
    tolerance : float
        Largest error (in norm, per array) that passes.
    step : float
        Relative size of a nudge.

    Returns
    -------
    Report
    """
    tolerance = _check.number("tolerance", tolerance, above=0.0)
    step = _check.number("step", step, above=0.0)
    rows, targets = model._pairs(x, y)
    double = model.copy("float64")
    float32_error = None
    if model.dtype == np.float32:
        own = model.loss_and_gradients(rows, y)[1].astype(np.float64)
        exact = double.loss_and_gradients(rows, y)[1]
        float32_error = _error(own, exact, 0.0)
    rows, targets = double._pairs(rows, y)
    rows = rows.copy()
    for redraws in range(_REDRAWS + 1):
        report, on_kink = _check_here(double, rows, targets, tolerance, step)
        if report.passed or not on_kink:
            break
        for stream, array in enumerate((rows.reshape(-1), double.parameters)):
            draws = np.empty(array.size)
            philox.normal(draws, redraws, stream)
            array += _MOVE * draws
    return replace(report, redraws=redraws, float32_error=float32_error)


def _check_here(
    model: Sequential, x: np.ndarray, y: np.ndarray, tolerance: float, step: float
) -> tuple[Report, bool]:
    """The report at this point, and whether a kink of the loss explains what is wrong with it."""
    dx = np.empty_like(x)
    loss = model._plan("check", len(x)).gradients_of(x, y, dx, len(x))
    gradient = model.gradients.copy()
    sides = _one_sided(model, x, y, model.parameters, step)
    input_sides = _one_sided(model, x, y, x.reshape(-1), step)
    whole = np.linalg.norm(gradient)
    rows, on_kink = [], True
    offset = 0
    for weight in model.weights:
        part = slice(offset, offset + weight.size)
        offset += weight.size
        row, explained = _row(weight.name, gradient[part].reshape(weight.shape), sides[:, part], whole, tolerance)
        rows.append(row)
        on_kink &= explained
    row, explained = _row("input", dx, input_sides, np.linalg.norm(dx), tolerance)
    return Report([*rows, row], tolerance, loss), on_kink and explained


def _one_sided(model: Sequential, x: np.ndarray, y: np.ndarray, values: np.ndarray, step: float) -> np.ndarray:
    """Differences of the loss to the right and to the left of each entry of `values`, (2, n).

    `values` is the memory of the model's parameters or of x, and is as before on return.
    """

    def loss() -> float:
        return training.evaluate(model, x, y)["loss"]

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
    name: str, gradient: np.ndarray, sides: np.ndarray, whole: float, tolerance: float
) -> tuple[Row, bool]:
    """One row of the report, and whether kinks explain every entry that is far off."""
    flat = gradient.reshape(-1)
    central = sides.mean(axis=0)
    away = np.abs(flat - central)
    size = max(np.linalg.norm(flat), np.linalg.norm(central), RESOLUTION * whole)
    at = int(np.argmax(away))
    error = float(np.linalg.norm(away) / size) if size > 0 else 0.0
    row = Row(
        name,
        gradient.shape,
        error,
        tuple(int(i) for i in np.unravel_index(at, gradient.shape)),
        float(flat[at]),
        float(central[at]),
    )
    if error <= tolerance:
        return row, True
    # At a kink the two sides differ and the gradient is one of them, or lies between.
    far = away > tolerance * size / np.sqrt(len(flat))
    slack = tolerance * size
    between = (flat >= sides.min(axis=0) - slack) & (flat <= sides.max(axis=0) + slack)
    return row, bool((between | ~far).all())
