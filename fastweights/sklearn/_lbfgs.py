"""The solver "lbfgs": SciPy's, as scikit-learn calls it, on compiled losses and gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from fastweights import _plans
from fastweights._rows import Examples, count
from fastweights.models import Model
from fastweights.sklearn._layers import views


class Found(NamedTuple):
    """Where it ended: the loss, what of it is the weights' own, and how many steps there were."""

    loss: float
    penalty: float
    steps: int


def descend(
    model: Model,
    units: Sequence[int],
    pieces: Sequence[Callable[[], Examples]],
    alpha: float,
    tol: float,
    max_iter: int,
    max_fun: int,
    verbose: Any,
) -> Found:
    """Moves the weights of a compiled model, whose loss has no penalty, to a smaller loss.

    Parameters
    ----------
    model : Sequential
    units : sequence of int
        Of all layers.
    pieces : sequence of callable
        Each gives some of the rows; a row's loss counts by its weight among all of them.
    alpha : float
        Of the penalty ``alpha / 2 * sum(w^2)`` beside the sum of the losses.
    tol, max_iter, max_fun, verbose
        As the estimator has them: SciPy's `gtol`, `maxiter` and `maxfun`.
    """
    parameters, counted = model.parameters, 0.0
    is_kernel = _kernels(units, parameters.size)

    def penalty_of(weights: np.ndarray) -> float:
        return 0.5 * alpha * float(np.dot(weights * is_kernel, weights)) / counted

    def look(weights: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal counted
        parameters[...] = weights
        loss, gradient, total = 0.0, np.zeros(weights.size), 0.0
        for piece in pieces:
            examples = piece()
            part, count_of_part = _loss(model, examples), _counted(examples)
            loss += count_of_part * part
            gradient += count_of_part * model.gradients
            total += count_of_part
        counted = total
        gradient = gradient / total + alpha / total * (weights * is_kernel)
        return loss / total + penalty_of(weights), gradient

    steps = 0

    def tell(weights: np.ndarray) -> None:
        nonlocal steps
        steps += 1
        print(f"Iteration {steps}")

    found = minimize(
        look,
        parameters.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=tell if verbose else None,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    parameters[...] = found.x
    if not found.success:
        advice = "Increase the number of iterations (max_iter), or scale the data."
        message = found.message.decode() if isinstance(found.message, bytes) else found.message
        text = f"lbfgs failed to converge after {found.nit} iteration(s): {message}\n{advice}"
        warnings.warn(text, ConvergenceWarning, stacklevel=5)
    return Found(float(found.fun), penalty_of(found.x), min(found.nit, max_iter))


def _kernels(units: Sequence[int], size: int) -> np.ndarray:
    """1 where a parameter is a kernel's, else 0."""
    found = np.zeros(size)
    for kernel in views(units, found)[0]:
        kernel[...] = 1.0
    return found


def _loss(model: Model, examples: Examples) -> float:
    """Of these rows; its gradient is the model's then."""
    x, y, weights = examples
    rows = count(x)
    plan = _plans.plan_for(model, "fit", rows, weights=weights)
    return plan.gradients_of(x, y, None, rows, weights=weights)


def _counted(examples: Examples) -> float:
    """What these rows count together."""
    weights = None if examples.weights is None else examples.weights[0]
    return float(count(examples.x) if weights is None else weights.sum())
