"""Counts of scores above thresholds, and what is made of them: precision, recall, F1 and others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, losses
from fastweights.metrics.base import (
    Figure,
    Metric,
    border,
    refuse_part_of_class,
    refuse_several_classes,
)
from fastweights.metrics.classes import counts_of, shares


class Counts(NamedTuple):
    """Weights of elements, each an array (cells, thresholds)."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray


def counts_above(state: Sequence[float], thresholds: Sequence[float]) -> Counts:
    """What the kernel `score_counts` has found beyond each threshold, in their order."""
    levels = np.reshape(state, (-1, len(thresholds) + 1, 2))
    above = levels[:, ::-1].cumsum(axis=1)[:, -2::-1]
    below = levels.cumsum(axis=1)[:, :-1]
    # Kernels have them in ascending order.
    places = np.argsort(np.argsort(thresholds, kind="stable"), kind="stable")
    above, below = above[:, places], below[:, places]
    return Counts(above[..., 1], above[..., 0], below[..., 1], below[..., 0])


def score_options(
    thresholds: Sequence[float],
    class_id: int | None = None,
    top_k: int | None = None,
    each_column: bool = False,
) -> tuple[float, ...]:
    """The numbers of the kernel `score_counts`."""
    only = -1 if class_id is None else class_id
    return (only, top_k or 0, float(each_column), len(thresholds), *sorted(thresholds))


def checked_numbers(
    argument: str, got: Any, reach: float | None = None
) -> float | tuple[float, ...]:
    """A number, or a tuple of some, none farther from 0 than `reach`."""
    least = None if reach is None else -reach
    if isinstance(got, (list, tuple, np.ndarray)):
        if len(got) == 0:
            raise ValueError(_check.refusal(argument, "none", "at least one number"))
        return tuple(_check.number(argument, one, minimum=least, maximum=reach) for one in got)
    return _check.number(argument, got, minimum=least, maximum=reach)


def refuse_other_outputs(metric: Metric, class_id: int | None, outputs: int) -> None:
    """Raises ValueError for a class that has no output."""
    if class_id is not None and class_id >= outputs:
        got = f"class_id={class_id} of {metric.name!r} for {outputs} outputs"
        raise ValueError(_check.refusal("metrics", got, f"one from 0 to {outputs - 1}"))


class _OfScores(Metric):
    """What counts outputs above thresholds."""

    takes_labels = None
    #: Whether the default threshold is where outputs change from one class to the other.
    _has_border = True
    thresholds: float | tuple[float, ...] | None

    def __init__(self, thresholds: Any, name: str | None, **before: Any) -> None:
        if thresholds is not None:
            # Scores are from 0 to 1, or from -1 on beside hinges.
            thresholds = checked_numbers("thresholds", thresholds, 1.0)
        super().__init__(self.kind if name is None else name, thresholds=thresholds, **before)

    @property
    def kernel(self) -> str:
        return "score_counts"

    def _at(self) -> tuple[float, ...]:
        """All thresholds."""
        if self.thresholds is None:
            return (0.5,)
        return self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)

    @property
    def options(self) -> tuple[float, ...]:
        return score_options(self._at())

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        refuse_part_of_class(self, argument, targets)

    def result(self, state: Sequence[float]) -> Figure:
        (found,) = self._from(counts_above(state, self._at()))
        return found if isinstance(self.thresholds, tuple) else float(found[0])

    def _from(self, counts: Counts) -> np.ndarray:
        """The figure of each cell and threshold."""
        raise NotImplementedError

    def beside(self, loss: losses.Loss) -> Metric:
        if self.thresholds is not None or not self._has_border:
            return self
        at = border(self.name, loss)
        return self if at == 0.5 else self._changed(thresholds=at)


class _OfCounts(_OfScores):
    """One of the four counts."""

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(thresholds, name)


class TruePositives(_OfCounts):
    """How many outputs above the threshold have a target of 1, with the weights of their rows.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        0.5 by default, 0 of logits and of scores for hinge (in Keras 0.5 of all). Of several the
        figure is an array with one entry for each.
    name : str, optional
        What histories and logs call it.
    """

    kind = "true_positives"
    larger_is_better = True

    def _from(self, counts: Counts) -> np.ndarray:
        return counts.true_positives


class FalsePositives(_OfCounts):
    """How many outputs above the threshold have another target than 1.

    Parameters as for :class:`TruePositives`.
    """

    kind = "false_positives"

    def _from(self, counts: Counts) -> np.ndarray:
        return counts.false_positives


class FalseNegatives(_OfCounts):
    """How many outputs that are not above the threshold have a target of 1.

    Parameters as for :class:`TruePositives`.
    """

    kind = "false_negatives"

    def _from(self, counts: Counts) -> np.ndarray:
        return counts.false_negatives


class TrueNegatives(_OfCounts):
    """How many outputs that are not above the threshold have another target than 1.

    Parameters as for :class:`TruePositives`.
    """

    kind = "true_negatives"
    larger_is_better = True

    def _from(self, counts: Counts) -> np.ndarray:
        return counts.true_negatives


class _OfSomeScores(_OfScores):
    """What may look at one class, or at the largest outputs of a row."""

    larger_is_better = True
    top_k: int | None
    class_id: int | None

    def __init__(
        self, thresholds: Any, top_k: int | None, class_id: int | None, name: str | None
    ) -> None:
        if top_k is not None:
            top_k = _check.whole("top_k", top_k, 1)
        if class_id is not None:
            class_id = _check.whole("class_id", class_id, 0)
        super().__init__(thresholds, name, top_k=top_k, class_id=class_id)

    @property
    def of_classes(self) -> bool:
        return self.top_k is not None or self.class_id is not None

    @property
    def _has_border(self) -> bool:  # type: ignore[override]
        return self.top_k is None

    def _at(self) -> tuple[float, ...]:
        if self.thresholds is None and self.top_k is not None:
            return (-math.inf,)
        return super()._at()

    @property
    def options(self) -> tuple[float, ...]:
        return score_options(self._at(), self.class_id, self.top_k)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        super().check_targets(argument, targets, outputs)
        refuse_other_outputs(self, self.class_id, outputs)


class Precision(_OfSomeScores):
    """Share of the outputs taken for positive that are: ``TP / (TP + FP)``, 0 where there are none.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        Outputs above are taken for positive: 0.5 by default, 0 of logits and of scores for hinge
        (in Keras 0.5 of all), with `top_k` any. Of several the figure is an array with one entry
        for each.
    top_k : int, optional
        How many outputs of a row, the largest ones, may be taken for positive; the first of equals.
    class_id : int, optional
        The one output that is looked at; all by default.
    name : str, optional
        What histories and logs call it.
    """

    kind = "precision"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

    def _from(self, counts: Counts) -> np.ndarray:
        return shares(counts.true_positives, counts.true_positives + counts.false_positives)


class Recall(_OfSomeScores):
    """Share of the positive outputs that are taken for such: ``TP / (TP + FN)``, 0 without any.

    Parameters as for :class:`Precision`.
    """

    kind = "recall"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name)

    def _from(self, counts: Counts) -> np.ndarray:
        return shares(counts.true_positives, counts.true_positives + counts.false_negatives)


AVERAGES = (None, "micro", "macro", "weighted")


class _FScore(Metric):
    """What :class:`FBetaScore` and :class:`F1Score` share."""

    takes_labels = None
    of_classes = True
    larger_is_better = True
    average: str | None
    beta: float = 1.0
    threshold: float | None

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f_score",
        **between: float,
    ) -> None:
        if average is not None:
            _check.choice("average", average, dict.fromkeys(AVERAGES[1:]))
        if threshold is not None:
            threshold = _check.number("threshold", threshold)
        super().__init__(name, average=average, **between, threshold=threshold)

    @property
    def kernel(self) -> str:
        return "class_counts" if self.threshold is None else "score_counts"

    @property
    def options(self) -> tuple[float, ...]:
        if self.threshold is None:
            return (0.0, 0.0)
        return score_options((self.threshold,), each_column=True)

    def check_targets(self, argument: str, targets: np.ndarray, outputs: int) -> None:
        if outputs == 1 and self.threshold is None:
            got = f"{self.name!r} without a threshold for a network with 1 output"
            raise ValueError(_check.refusal("metrics", got, "threshold=0.5, say"))
        if self.threshold is not None:
            refuse_part_of_class(self, argument, targets)
        else:
            refuse_several_classes(self, argument, targets)

    def result(self, state: Sequence[float]) -> Figure:
        if self.threshold is None:
            found, own, taken = counts_of(state)
        else:
            counts = Counts(*(one[:, 0] for one in counts_above(state, (self.threshold,))))
            found = counts.true_positives
            own, taken = found + counts.false_negatives, found + counts.false_positives
        if self.average == "micro":
            found, own, taken = found.sum(), own.sum(), taken.sum()
        scale = self.beta**2
        scores = shares((1.0 + scale) * np.asarray(found), np.asarray(scale * own + taken))
        if self.average == "weighted":
            return float(scores @ own / own.sum()) if own.sum() > 0 else 0.0
        return scores if self.average is None and scores.size > 1 else float(scores.mean())

    def beside(self, loss: losses.Loss) -> Metric:
        if self.threshold is not None or loss.of_classes:
            return self
        return self._changed(threshold=border(self.name, loss))


class FBetaScore(_FScore):
    """``(1 + beta^2) P R / (beta^2 P + R)`` of precision and recall, for each output as a class.

    0 where a class has no rows and none are taken for it.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        None: an array with that of each class, of one output a number. "micro": of the counts of
        all classes together; "macro": the mean over classes; "weighted": that with the classes'
        rows as weights.
    beta : float
        How much recall counts, above 0.
    threshold : float, optional
        Outputs above are taken for the class. By default, beside a loss of classes, the largest of
        a row alone is (in Keras beside any loss); else it is 0.5, or 0 of logits and scores.
    name : str
        What histories and logs call it.
    """

    kind = "fbeta_score"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = kind,
    ) -> None:
        beta = _check.number("beta", beta, above=0.0)
        super().__init__(average, threshold, name, beta=beta)


class F1Score(_FScore):
    """``2 P R / (P + R)`` of precision and recall: :class:`FBetaScore` with a `beta` of 1.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        As for :class:`FBetaScore`.
    threshold : float, optional
        Outputs above are taken for the class. By default, beside a loss of classes, the largest of
        a row alone is (in Keras beside any loss); else it is 0.5, or 0 of logits and scores.
    name : str
        What histories and logs call it.
    """

    kind = "f1_score"

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str = kind
    ) -> None:
        super().__init__(average, threshold, name)
