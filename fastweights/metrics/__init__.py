"""Metrics: what is reported beside the loss. Names and definitions are Keras 3's.

A metric adds up sums over every row of an epoch (``src_pyx/kernels/metrics.pxi``, ``counts.pxi``)
that are divided once, at its end: it does not depend on how the rows were cut into batches. Some,
and functions, look at all rows of a pass at once, which keeps its predictions for them. Each is
weighted as the loss is. It looks at the network's output, and reads it as the loss does unless its
settings say otherwise: as probabilities, as logits (a loss with ``from_logits``) or as a signed
score (hinge).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any, NoReturn

from fastweights import _check, losses
from fastweights._absent import refusal_of, refuse_foreign
from fastweights._description import from_config, of_library
from fastweights._own import is_of_somebody
from fastweights.metrics.accuracy import (
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastweights.metrics.averages import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Crossentropy,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from fastweights.metrics.base import Figure, Metric
from fastweights.metrics.classes import (
    BalancedAccuracy,
    CohenKappa,
    ConfusionMatrix,
    MatthewsCorrelation,
)
from fastweights.metrics.curves import AUC
from fastweights.metrics.functions import (
    MeanMetricWrapper,
    ScikitLearn,
    from_sklearn,
    known_metric,
)
from fastweights.metrics.regression import (
    ConcordanceCorrelation,
    ExplainedVariance,
    PearsonCorrelation,
    R2Score,
)
from fastweights.metrics.scores import (
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)

KINDS: dict[str, type[Metric]] = {
    kind.kind: kind
    for kind in (
        MeanSquaredError,
        RootMeanSquaredError,
        MeanAbsoluteError,
        MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError,
        LogCoshError,
        Poisson,
        Hinge,
        SquaredHinge,
        CategoricalHinge,
        KLDivergence,
        CosineSimilarity,
        R2Score,
        ExplainedVariance,
        PearsonCorrelation,
        ConcordanceCorrelation,
        BinaryAccuracy,
        CategoricalAccuracy,
        SparseCategoricalAccuracy,
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        BinaryCrossentropy,
        CategoricalCrossentropy,
        SparseCategoricalCrossentropy,
        TruePositives,
        FalsePositives,
        FalseNegatives,
        TrueNegatives,
        Precision,
        Recall,
        F1Score,
        FBetaScore,
        AUC,
        BalancedAccuracy,
        MatthewsCorrelation,
        CohenKappa,
        ConfusionMatrix,
    )
}

#: What these names mean beside a loss, or one that is derived from it.
ACCURACIES: dict[type, type[Metric]] = {
    losses.Hinge: BinaryAccuracy,
    losses.CategoricalHinge: CategoricalAccuracy,
    losses.KLDivergence: CategoricalAccuracy,
    losses.BinaryCrossentropy: BinaryAccuracy,
    losses.CategoricalCrossentropy: CategoricalAccuracy,
    losses.SparseCategoricalCrossentropy: SparseCategoricalAccuracy,
}
LOG_LOSSES: dict[type, type[Metric]] = {
    losses.BinaryCrossentropy: BinaryCrossentropy,
    losses.CategoricalCrossentropy: CategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy: SparseCategoricalCrossentropy,
}

#: Every metric by its name and short name; some are what suits the loss.
METRICS: dict[str, type[Metric] | dict[type, type[Metric]]] = {
    "accuracy": ACCURACIES,
    **KINDS,
    "acc": ACCURACIES,
    "log_loss": LOG_LOSSES,
    "mse": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "mcc": MatthewsCorrelation,
    "logcosh": LogCoshError,
    "r2": R2Score,
    "bce": BinaryCrossentropy,
}

#: What `get` takes.
Identifier = str | Metric | Mapping[str, Any] | FunctionType


def _suited(name: str, known: Mapping[type, type[Metric]], loss: losses.Loss) -> type[Metric]:
    """What a name means beside a loss."""
    suited = next((known[kind] for kind in type(loss).__mro__ if kind in known), None)
    if suited is None:
        raise ValueError(
            _check.refusal(
                "metrics",
                f"{name!r} beside the loss {loss.name}",
                "a loss of classes; or name binary_accuracy or categorical_accuracy",
            )
        )
    return suited


def _check_fit(metric: Metric, loss: losses.Loss) -> None:
    """Refuses a metric that reads other targets than the loss has."""
    got = f"{metric.name!r} beside the loss {loss.name}"
    if metric.takes_labels and not loss.takes_labels:
        raise ValueError(
            _check.refusal("metrics", got, "the loss sparse_categorical_crossentropy beside it")
        )
    if loss.takes_labels and metric.takes_labels is False:
        known = ", ".join(name for name, kind in KINDS.items() if kind.takes_labels is not False)
        raise ValueError(_check.refusal("metrics", got, f"a metric of class labels: {known}"))
    if isinstance(loss, losses.Hinge) and isinstance(metric, Crossentropy):
        raise ValueError(
            _check.refusal("metrics", got, "a loss whose targets are from 0 to 1 beside it")
        )


def get(identifier: Identifier, loss: losses.Loss) -> Metric:
    """A metric from its name, its `config`, a function or itself, fit to stand beside `loss`.

    Raises
    ------
    ValueError
        The name is not known, or the metric reads other targets than the loss.
    """
    refuse_foreign("metrics", "metrics", identifier)
    if isinstance(identifier, (MeanMetricWrapper, ScikitLearn)):
        metric: Metric = identifier
    elif isinstance(identifier, Metric):
        metric = of_library("metrics", identifier, KINDS)
    elif isinstance(identifier, Mapping) and is_of_somebody(identifier.get("kind")):
        metric = known_metric(identifier, {})
    elif isinstance(identifier, Mapping):
        metric = from_config("metrics", identifier, KINDS, "kind")
    elif callable(identifier) and not isinstance(identifier, type):
        metric = MeanMetricWrapper(identifier)
    else:
        kind = _check.choice("metrics", identifier, METRICS, ignore_case=True)
        if not isinstance(kind, type):
            kind = _suited(identifier, kind, loss)
        metric = kind(name=identifier)
    metric = metric.beside(loss)
    _check_fit(metric, loss)
    return metric


__all__ = [
    *(kind.__name__ for kind in KINDS.values()),
    "Figure",
    "MeanMetricWrapper",
    "Metric",
    "ScikitLearn",
    "from_sklearn",
    "get",
]


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name, METRICS)
