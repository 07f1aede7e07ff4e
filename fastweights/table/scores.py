"""How good predictions are, in the target's own units, beside the trivial ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastweights.table.standardising import mean_and_scale
from fastweights.table.targets import ClassTarget, NumberTarget


def score(
    target: NumberTarget | ClassTarget, truth: np.ndarray, predictions: np.ndarray
) -> dict[str, Any]:
    """The figures of a report, and the same of the baseline, whose names begin with ``baseline_``.

    Parameters
    ----------
    target : NumberTarget or ClassTarget
        Knows the baseline: the mean, or the commonest class, of the training rows.
    truth : float64 or int64 (rows,)
        Values in the target's units, or the numbers of classes.
    predictions : float64 (rows,) or (rows, classes)
        Values, or each class's probability.

    Returns
    -------
    dict
        ``mae``, ``rmse`` and ``r2``; or ``accuracy``, ``cross_entropy`` and ``confusion``, whose
        entry ``[i][j]`` counts rows of class i that were taken for class j.
    """
    if isinstance(target, NumberTarget):
        figures = _errors(truth, predictions)
        baseline = _errors(truth, np.full(len(truth), target.baseline))
    else:
        figures = _hits(truth, predictions)
        baseline = _hits(truth, np.tile(target.shares, (len(truth), 1)))
        del baseline["confusion"]
    return {**figures, **{f"baseline_{name}": value for name, value in baseline.items()}}


def _errors(truth: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    errors = values - truth
    peak = float(np.abs(errors).max()) or 1.0
    small = errors / peak  # Squares of huge errors would overflow.
    rmse = peak * float(np.sqrt(np.mean(small**2)))
    varies = truth.min() < truth.max()
    return {
        "mae": peak * float(np.mean(np.abs(small))),
        "rmse": rmse,
        "r2": 1.0 - (rmse / mean_and_scale(truth)[1]) ** 2 if varies else None,
    }


def _hits(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    chosen = probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    likelihood = probabilities[np.arange(len(labels)), labels]
    confusion = np.bincount(labels * classes + chosen, minlength=classes**2)
    return {
        "accuracy": float(np.mean(chosen == labels)),
        "cross_entropy": float(-np.mean(np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)))),
        "confusion": confusion.reshape(classes, classes).tolist(),
    }
