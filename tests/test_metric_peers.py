"""Metrics beside scikit-learn's: with weights, ties, one class, and where nothing can be said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics import measure, scored

from fastweights import losses, metrics

sklearn = pytest.importorskip("sklearn.metrics")


BATCHES = ((), (1, 8, 30))


@given(
    rows=st.integers(2, 90), columns=st.integers(1, 3), levels=st.integers(2, 40),
    seed=st.integers(0, 2**30), batch=st.integers(1, 20), is_weighted=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_scores_of_any_shape_are_scikit_learns(rows, columns, levels, seed, batch, is_weighted):
    scores, targets, weights = scored(rows, columns, seed, levels)
    targets[0], targets[1], weights[:2] = 0.0, 1.0, 1.0
    weights = weights if is_weighted else None
    flat = (scores.ravel(), None if weights is None else np.repeat(weights, columns))
    taken = flat[0] > 0.5
    batches = range(batch, rows, batch)
    for metric, expected in (
        (metrics.AUC(), sklearn.roc_auc_score(targets.ravel(), flat[0], sample_weight=flat[1])),
        (
            metrics.AUC(curve="PR"),
            sklearn.average_precision_score(targets.ravel(), flat[0], sample_weight=flat[1]),
        ),
        (
            metrics.Precision(),
            sklearn.precision_score(
                targets.ravel(), taken, sample_weight=flat[1], zero_division=0.0
            ),
        ),
        (metrics.Recall(), sklearn.recall_score(targets.ravel(), taken, sample_weight=flat[1])),
        (
            metrics.FBetaScore(threshold=0.5, average="micro", beta=2.0),
            sklearn.fbeta_score(
                targets.ravel(), taken, beta=2.0, sample_weight=flat[1], zero_division=0.0
            ),
        ),
    ):
        found = measure(metric, scores, targets, batches, weights=weights)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12), metric


@given(
    rows=st.integers(1, 80), classes=st.integers(2, 6), seed=st.integers(0, 2**30),
    is_labelled=st.booleans(), is_weighted=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_classes_of_any_number_are_scikit_learns(rows, classes, seed, is_labelled, is_weighted):
    scores, labels, weights = scored(rows, classes, seed, 50, classes)
    weights = weights if is_weighted and weights.any() else None
    targets = labels if is_labelled else np.eye(classes)[labels]
    taken, every = scores.argmax(axis=1), {"sample_weight": weights}
    names = range(classes)
    balanced = sklearn.recall_score(labels, taken, labels=names, average=None, **every)
    own = np.bincount(labels, weights, classes) > 0
    kappa = {
        power: sklearn.cohen_kappa_score(labels, taken, labels=names, weights=power, **every)
        for power in (None, "linear", "quadratic")
    }
    for metric, expected in (
        (metrics.BalancedAccuracy(), balanced[own].mean()),
        (metrics.MatthewsCorrelation(), sklearn.matthews_corrcoef(labels, taken, **every)),
        *((metrics.CohenKappa(power), kappa[power]) for power in kappa),
        (
            metrics.ConfusionMatrix(),
            sklearn.confusion_matrix(labels, taken, labels=names, **every),
        ),
        *(
            (
                metrics.FBetaScore(average, beta),
                sklearn.fbeta_score(
                    labels, taken, beta=beta, labels=names, average=average, zero_division=0.0,
                    **every,
                ),
            )
            for average in metrics.scores.AVERAGES
            for beta in (1.0, 0.5)
        ),
    ):  # fmt: skip
        found = measure(metric, scores, targets, range(7, rows, 7), weights=weights)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), metric


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("batches", BATCHES)
def test_top_k_is_scikit_learns(k, batches):
    random = np.random.default_rng(k)
    scores, labels = random.uniform(size=(70, 6)), random.integers(0, 6, 70)
    weights = random.uniform(0.1, 2.0, 70)
    expected = sklearn.top_k_accuracy_score(labels, scores, k=k, sample_weight=weights)
    found = measure(
        metrics.SparseTopKCategoricalAccuracy(k), scores, labels, batches, weights=weights
    )
    assert found == pytest.approx(expected, rel=1e-13)
    dense = measure(
        metrics.TopKCategoricalAccuracy(k), scores, np.eye(6)[labels], batches, weights=weights
    )
    assert dense == found
    log_loss = sklearn.log_loss(labels, scores / scores.sum(axis=1)[:, None], sample_weight=weights)
    found = measure(
        metrics.get("log_loss", losses.SparseCategoricalCrossentropy()), scores, labels, batches,
        weights=weights,
    )  # fmt: skip
    assert found == pytest.approx(log_loss, rel=1e-12)


def test_of_equal_scores_at_the_border_all_are_among_the_largest():
    tie = np.array([[0.1, 0.3, 0.3, 0.3]])
    for label, found in ((0, 0.0), (1, 1.0), (3, 1.0)):
        assert measure(metrics.SparseTopKCategoricalAccuracy(2), tie, [label]) == found


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e9])
@pytest.mark.parametrize("batches", BATCHES)
def test_spreads_are_scikit_learns_and_scipys(offset, batches):
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(1)
    targets = np.round(random.standard_normal((400, 2)) * 1000)
    prediction = targets + np.round(random.standard_normal((400, 2)) * 300) + 50
    weights = random.uniform(0.0, 2.0, 400)
    expected = sklearn.explained_variance_score(targets, prediction, sample_weight=weights)
    found = measure(
        metrics.ExplainedVariance(), prediction + offset, targets + offset, batches, weights=weights
    )
    assert found == pytest.approx(expected, rel=1e-12)
    expected = np.mean([stats.pearsonr(prediction[:, k], targets[:, k])[0] for k in range(2)])
    found = measure(metrics.PearsonCorrelation(), prediction + offset, targets - offset, batches)
    assert found == pytest.approx(expected, rel=1e-12)


# ---- where nothing can be said -------------------------------------------------------------------


@pytest.mark.parametrize("curve", metrics.curves.CURVES)
@pytest.mark.parametrize("num_thresholds", [None, 10])
def test_one_class_has_no_area(curve, num_thresholds):
    scores = np.linspace(0, 1, 7)[:, None]
    for one in (0.0, 1.0):
        auc = metrics.AUC(num_thresholds, curve)
        assert math.isnan(measure(auc, scores, np.full((7, 1), one)))


def test_where_figures_are_undefined():
    some, none = np.full((4, 1), 0.9), np.zeros((4, 1))
    assert measure(metrics.Precision(), none, none) == 0.0
    assert measure(metrics.Recall(), some, none) == 0.0
    assert measure(metrics.F1Score(threshold=0.5), none, none) == 0.0
    assert measure(metrics.MatthewsCorrelation(), some, none) == 0.0
    assert math.isnan(measure(metrics.CohenKappa(), none, none))
    assert measure(metrics.BalancedAccuracy(), some, none) == 0.0
    assert math.isnan(measure(metrics.PearsonCorrelation(), some, none))
    assert measure(metrics.ExplainedVariance(), some, some) == 1.0
    assert math.isnan(measure(metrics.ExplainedVariance(), some[:1], some[:1]))
    no_rows = np.empty((0, 2))
    for kind in metrics.KINDS.values():
        if kind.kind not in ("r2_score", "auc"):
            found = np.asarray(
                measure(kind(), no_rows, no_rows[:, 0] if kind.takes_labels else no_rows)
            )
            assert not found.any() or np.isnan(found).all()
