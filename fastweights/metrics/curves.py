"""Areas under curves of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import _check, losses
from fastweights.metrics.base import Metric, border, reads_logits, refuse_part_of_class
from fastweights.metrics.scores import Counts, checked_numbers, counts_above, score_options

#: How far Keras's first and last threshold lie outside of [0, 1].
BEYOND = 1e-7
#: At which it counts: more are more than floats of 32 bits tell apart, and 16 bytes each.
MOST_THRESHOLDS = 10**6
CURVES = ("ROC", "PR")
SUMMATIONS = ("interpolation", "minoring", "majoring")


class AUC(Metric):
    """Area under the curve of scores: ROC, or precision over recall.

    Exact by default, from all rows of an epoch in the order of their scores, as in scikit-learn:
    ``roc_auc_score``, and for ``"PR"`` ``average_precision_score``. So a pass keeps its
    predictions, 8 bytes a number at most, and the figure is known at its end alone. With
    `num_thresholds` or `thresholds` it is Keras's, from counts at these scores. NaN where all rows
    are of one class.

    Parameters
    ----------
    num_thresholds : int, optional
        At how many scores, evenly from 0 to 1, to count, from 2 to a million; Keras's default is
        200.
    curve : {"ROC", "PR"}
        True over false positive rate, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        Of counts at thresholds: the middle of two heights (for "PR" as in Davis & Goadrich, "The
        relationship between precision-recall and ROC curves", 2006), or the lower or higher one.
    name : str, optional
        What histories and logs call it.
    thresholds : sequence of float, optional
        Scores from 0 to 1 to count at, besides all and none, in place of `num_thresholds`.
    multi_label : bool
        Whether each output has a curve of its own, and the figure is the mean of their areas;
        otherwise all outputs of a row are on one curve.
    num_labels : int, optional
        With `multi_label`: how many outputs there must be.
    label_weights : sequence of float, optional
        With `multi_label`: what each output's area counts in the mean.
    from_logits : bool, optional
        Whether scores are logits, of which thresholds look at the sigmoid; by default as the loss
        has it (in Keras they are not).
    """

    kind = "auc"
    takes_labels = None
    larger_is_better = True
    num_thresholds: int | None
    curve: str
    summation_method: str
    thresholds: tuple[float, ...] | None
    multi_label: bool
    num_labels: int | None
    label_weights: tuple[float, ...] | None
    from_logits: bool | None

    def __init__(
        self,
        num_thresholds: int | None = None,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool | None = None,
    ) -> None:
        _check.choice("curve", curve, dict.fromkeys(CURVES))
        _check.choice("summation_method", summation_method, dict.fromkeys(SUMMATIONS))
        if num_thresholds is not None:
            num_thresholds = _check.whole("num_thresholds", num_thresholds, 2, MOST_THRESHOLDS)
            if thresholds is not None:
                expected = "either num_thresholds or thresholds"
                raise ValueError(_check.refusal("thresholds", "both", expected))
        is_exact = num_thresholds is None and thresholds is None
        if is_exact and summation_method != "interpolation":
            expected = "num_thresholds or thresholds with it, 200 of them in Keras"
            raise ValueError(_check.refusal("summation_method", repr(summation_method), expected))
        multi_label = _check.flag("multi_label", multi_label)
        for argument, got in (("num_labels", num_labels), ("label_weights", label_weights)):
            if got is not None and not multi_label:
                expected = "multi_label=True with it"
                raise ValueError(_check.refusal(argument, _check.shown(got), expected))
        if num_labels is not None:
            num_labels = _check.whole("num_labels", num_labels, 1)
        if label_weights is not None:
            label_weights = _several("label_weights", label_weights)
        super().__init__(
            self.kind if name is None else name,
            num_thresholds=num_thresholds,
            curve=curve,
            summation_method=summation_method,
        )
        self._set(
            thresholds=None if thresholds is None else _several("thresholds", thresholds, 1.0),
            multi_label=multi_label,
            num_labels=num_labels,
            label_weights=label_weights,
            from_logits=None if from_logits is None else _check.flag("from_logits", from_logits),
        )

    @property
    def of_classes(self) -> bool:
        return self.multi_label

    @property
    def kernel(self) -> str | None:
        return "score_counts" if self._at() else None

    def _at(self) -> tuple[float, ...]:
        """The thresholds, of probabilities; none where the area is exact."""
        if self.thresholds is not None:
            inner = self.thresholds
        elif self.num_thresholds is not None:
            last = self.num_thresholds - 1
            inner = tuple(k / last for k in range(1, last))
        else:
            return ()
        return (-BEYOND, *inner, 1.0 + BEYOND)

    @property
    def options(self) -> tuple[float, ...]:
        at = map(_logit, self._at()) if self.from_logits else self._at()
        return score_options(tuple(at), each_column=self.multi_label)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        refuse_part_of_class(self, argument, targets)
        for name in ("num_labels", "label_weights"):
            got = getattr(self, name)
            wanted = got if name == "num_labels" or got is None else len(got)
            if wanted is not None and wanted != outputs:
                raise ValueError(_check.refusal(f"{name} of {self.name!r}", wanted, str(outputs)))

    def result(self, state: Sequence[float]) -> float:
        return self._mean(_area_of_counts(counts_above(state, self._at()), self))

    def figure(self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> float:
        columns = y_pred.shape[-1]
        scores = y_pred.reshape(-1, columns)
        if y_true.dtype.kind == "i":
            is_positive = y_true.reshape(-1, 1) == np.arange(columns)
        else:
            is_positive = y_true.reshape(-1, columns) > 0
        if weights is None:
            weights = np.ones(len(y_pred))
        # A row may have several lines.
        weights = np.repeat(weights, len(scores) // max(len(weights), 1))
        if not self.multi_label:
            weights = np.repeat(weights, columns)
            scores, is_positive = scores.reshape(-1, 1), is_positive.reshape(-1, 1)
        areas = [
            exact_area(scores[:, k], is_positive[:, k], weights, self.curve)
            for k in range(scores.shape[1])
        ]
        return self._mean(np.array(areas))

    def _mean(self, areas: np.ndarray) -> float:
        return float(np.average(areas, weights=self.label_weights))

    def beside(self, loss: losses.Loss) -> Metric:
        if self.from_logits is not None:
            return self
        border(self.name, loss)
        return self._changed(from_logits=True) if reads_logits(loss) else self


def _several(argument: str, got: Any, maximum: float = math.inf) -> tuple[float, ...]:
    """Numbers from 0 to a maximum."""
    numbers = checked_numbers(argument, got)
    if not isinstance(numbers, tuple):
        raise TypeError(_check.refusal(argument, _check.shown(got), "a list of numbers"))
    for number in numbers:
        if not 0.0 <= number <= maximum:
            raise ValueError(_check.refusal(argument, number, f"numbers from 0 to {maximum:g}"))
    return numbers


def _logit(probability: float) -> float:
    if probability <= 0.0:
        return -math.inf
    return math.inf if probability >= 1.0 else math.log(probability / (1.0 - probability))


def exact_area(
    scores: np.ndarray, is_positive: np.ndarray, weights: np.ndarray, curve: str
) -> float:
    """The area under the curve through all scores; NaN without rows of either class, or for NaN."""
    if np.isnan(scores).any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    # Equal scores come together.
    last = np.append(ordered[1:] != ordered[:-1], True) if len(ordered) else np.empty(0, bool)
    true = np.cumsum(np.where(is_positive, weights, 0.0)[order])[last]
    false = np.cumsum(np.where(is_positive, 0.0, weights)[order])[last]
    if not is_positive.any() or is_positive.all():
        return math.nan
    if curve == "PR":
        return float(np.diff(true, prepend=0.0) @ (true / (true + false)) / true[-1])
    # In shares of the rows of each class, whose products neither overflow nor vanish.
    true, false = true / true[-1], false / false[-1]
    return float(np.diff(false, prepend=0.0) @ (true + np.append(0.0, true[:-1])) / 2.0)


def _area_of_counts(counts: Counts, auc: AUC) -> np.ndarray:
    """The area under each cell's curve through its thresholds, as Keras adds it up."""
    true, false = counts.true_positives, counts.false_positives
    positives, negatives = true + counts.false_negatives, false + counts.true_negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = true / positives
        if auc.curve == "PR" and auc.summation_method == "interpolation":
            areas = _interpolated_precision(true, true + false) / positives[:, 0]
        else:
            # Without anything above a threshold precision is 0, as Keras has it.
            precision = np.where(true > 0, true / (true + false), 0.0)
            x, y = (recall, precision) if auc.curve == "PR" else (false / negatives, recall)
            before, after = y[:, :-1], y[:, 1:]
            heights = {
                "interpolation": (before + after) / 2.0,
                "minoring": np.minimum(before, after),
                "majoring": np.maximum(before, after),
            }[auc.summation_method]
            areas = ((x[:, :-1] - x[:, 1:]) * heights).sum(axis=1)
    defined = (positives[:, 0] > 0) & (negatives[:, 0] > 0)
    return np.where(defined, areas, math.nan)


def _interpolated_precision(true: np.ndarray, above: np.ndarray) -> np.ndarray:
    """The integral of precision over true positives, linear in those above between thresholds."""
    gained, passed = true[:, :-1] - true[:, 1:], above[:, :-1] - above[:, 1:]
    slope = np.where(passed > 0, gained / passed, 0.0)
    intercept = true[:, 1:] - slope * above[:, 1:]
    is_between = (above[:, :-1] > 0) & (above[:, 1:] > 0)
    ratio = np.where(is_between, above[:, :-1] / above[:, 1:], 1.0)
    return (slope * (gained + intercept * np.log(ratio))).sum(axis=1)
