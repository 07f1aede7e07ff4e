"""Metrics beside Keras's, where it is installed."""

import numpy as np
import pytest
from test_metrics import measure, scored

from fastweights import metrics

keras = pytest.importorskip("keras")


def keras_figure(metric, targets, scores, weights):
    metric.update_state(targets, scores, sample_weight=weights)
    return np.asarray(metric.result())


def test_the_class_that_is_predicted_is_keras():
    random = np.random.default_rng(0)
    scores, targets = random.uniform(size=(80, 4)), np.eye(4)[random.integers(0, 4, 80)]
    weights = random.uniform(0.0, 2.0, 80)
    for name, arguments in (
        *(("F1Score", {"average": average}) for average in metrics.scores.AVERAGES),
        ("FBetaScore", {"beta": 0.5}),
        ("TopKCategoricalAccuracy", {"k": 2}),
        ("CategoricalAccuracy", {}),
        ("CategoricalCrossentropy", {}),
    ):
        expected = keras_figure(getattr(keras.metrics, name)(**arguments), targets, scores, weights)
        found = measure(getattr(metrics, name)(**arguments), scores, targets, weights=weights)
        assert found == pytest.approx(expected, rel=1e-5), (name, arguments)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("columns", [1, 3])
def test_thresholds_are_keras(columns, is_weighted):
    scores, targets, weights = scored(60, columns, levels=33)
    given = weights if is_weighted else None
    cases = [("AUC", {"curve": curve, "summation_method": method, "num_thresholds": number})
             for curve in metrics.curves.CURVES for method in metrics.curves.SUMMATIONS
             for number in (3, 200)]  # fmt: skip
    cases += [
        ("AUC", {"thresholds": [0.2, 0.7], "curve": "PR"}),
        ("Precision", {}),
        ("Precision", {"thresholds": [0.9, 0.1, 0.5]}),
        ("Recall", {"thresholds": 0.3}),
        ("TruePositives", {}), ("FalsePositives", {}),
        ("TrueNegatives", {"thresholds": [0.7, 0.2]}),
        ("FalseNegatives", {}),
        ("F1Score", {"threshold": 0.4, "average": "macro"}),
        ("FBetaScore", {"threshold": 0.4, "average": "weighted", "beta": 2.0}),
    ]  # fmt: skip
    if columns > 1:
        cases += [
            ("AUC", {"multi_label": True, "num_thresholds": 20, "label_weights": [1.0, 2.0, 0.5]}),
            ("Precision", {"top_k": 2}),
            ("Recall", {"top_k": 1, "class_id": 1}),
            ("Recall", {"class_id": 2, "thresholds": 0.25}),
        ]
    for name, arguments in cases:
        expected = keras_figure(getattr(keras.metrics, name)(**arguments), targets, scores, given)
        found = measure(getattr(metrics, name)(**arguments), scores, targets, (13,), weights=given)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6), (name, arguments)
