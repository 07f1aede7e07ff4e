"""How good predictions are, in the target's own units, beside the trivial ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights.table.standardising import mean_and_scale
from fastweights.table.targets import ClassTarget, NumberTarget

#: Confidences are compared with accuracies in so many steps.
CALIBRATION_BINS = 10
#: A class with less than this part of an even share makes accuracy alone say little.
RARE = 0.4


def score(
    target: NumberTarget | ClassTarget, truth: np.ndarray, predictions: np.ndarray
) -> dict[str, Any]:
    """The figures of a report, and the same of the baseline, whose names begin with ``baseline_``.

    Parameters
    ----------
    target : NumberTarget or ClassTarget
        Knows the baseline: the mean, or the classes' shares, of the training rows.
    truth : float64 or int64 (rows,)
        Values in the target's units, or the numbers of classes.
    predictions : float64 (rows,) or (rows, classes)
        Values, or each class's probability.

    Returns
    -------
    dict
        ``mae``, ``rmse`` and ``r2`` (None where the truth is one number); or

        ``accuracy``, ``cross_entropy``;
        ``balanced_accuracy``
            The mean over the classes that occur of the part of their rows that are told;
        ``f1``
            The mean of each class's harmonic mean of precision and recall, over the classes that
            occur or are predicted;
        ``auc``
            The area under the ROC curve: of two classes; of several the mean over one class
            against the rest. None where the truth is one class;
        ``calibration_error``
            The mean distance between the probability of the predicted class and how often it is
            right, in ten steps of the probability (Naeini, Cooper and Hauskrecht, "Obtaining
            Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015);
        ``confusion``
            Whose entry ``[i][j]`` counts rows of class i that were taken for class j.
    """
    if isinstance(target, NumberTarget):
        figures = _errors(truth, predictions)
        baseline = _errors(truth, np.full(len(truth), target.baseline))
    else:
        figures = _hits(truth, predictions)
        baseline = _hits(truth, np.tile(target.shares, (len(truth), 1)))
        del baseline["confusion"]
    return {**figures, **{f"baseline_{name}": value for name, value in baseline.items()}}


def quantile_score(
    truth: np.ndarray, predictions: np.ndarray, quantiles: Sequence[float]
) -> dict[str, Any]:
    """The figures of predicted quantiles.

    Parameters
    ----------
    truth : float64 (rows,)
    predictions : float64 (rows, quantiles)
    quantiles : sequence of float

    Returns
    -------
    dict
        ``quantiles``, as they are given;
        ``pinball``, the mean of ``max(q (t - p), (1 - q)(p - t))``; ``baseline_pinball``, the same
        of the quantiles of these rows; and ``shares_below``, the part of the rows that is at most
        each predicted quantile: the quantile itself, where they are right.
    """
    levels = np.asarray(quantiles)

    def pinball(predicted: np.ndarray) -> float:
        apart = truth[:, np.newaxis] - predicted
        return float(np.mean(np.maximum(levels * apart, (levels - 1.0) * apart)))

    return {
        "quantiles": levels.tolist(),
        "pinball": pinball(predictions),
        "shares_below": np.mean(truth[:, np.newaxis] <= predictions, axis=0).tolist(),
        "baseline_pinball": pinball(np.quantile(truth, levels)),
    }


def imbalance(target: ClassTarget) -> str | None:
    """Says where a class is so rare that accuracy alone says little; None where none is."""
    rarest, commonest = min(target.shares), max(target.shares)
    if rarest >= RARE / len(target.shares):
        return None
    common = target.classes[target.shares.index(commonest)]
    rare = target.classes[target.shares.index(rarest)]
    return (
        f"classes are of very different sizes, from {common} ({commonest:.1%} of the rows) to "
        f"{rare} ({rarest:.1%}): look at balanced accuracy, F1 and AUC beside accuracy"
    )


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
    confusion = confusion.reshape(classes, classes)
    right, true, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    occur, either = true > 0, true + taken > 0
    return {
        "accuracy": float(np.mean(chosen == labels)),
        "cross_entropy": float(-np.mean(np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)))),
        "balanced_accuracy": float(np.mean(right[occur] / true[occur])),
        "f1": float(np.mean(2 * right[either] / (true + taken)[either])),
        "auc": _auc(labels, probabilities),
        "calibration_error": _calibration_error(chosen == labels, probabilities.max(axis=1)),
        "confusion": confusion.tolist(),
    }


def _auc(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Of the second of two classes, or the mean over the classes that occur."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    asked = [1] if probabilities.shape[1] == 2 else present
    return float(np.mean([_area(labels == label, probabilities[:, label]) for label in asked]))


def _area(is_class: np.ndarray, scores: np.ndarray) -> float:
    """How often a row of the class has a higher score than another one, ties counting half.

    Mann and Whitney's statistic, from the mean ranks of equal scores.
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    inside = int(is_class.sum())
    outside = len(scores) - inside
    return float((ranks[is_class].sum() - inside * (inside + 1) / 2) / (inside * outside))


def _calibration_error(is_right: np.ndarray, confidence: np.ndarray) -> float:
    steps = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    apart = np.bincount(steps, is_right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(apart).sum() / len(confidence))
