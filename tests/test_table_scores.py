"""The figures of a report, against scikit-learn's where it is installed, and by hand."""

import numpy as np
import pytest

from fastweights.table.scores import imbalance, quantile_score, score
from fastweights.table.targets import ClassTarget, NumberTarget


def classes(count, shares=None):
    even = (1 / count,) * count
    return ClassTarget("y", tuple("abcdefgh"[:count]), tuple(shares or even))


def drawn(rows, count, seed=0):
    """Labels and probabilities that know something, with ties among them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, count, rows)
    scores = random.normal(0, 1, (rows, count)) + 1.5 * np.eye(count)[labels]
    probabilities = np.exp(np.round(scores, 1))
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_figures_of_classes_are_scikit_learn_s(count):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, probabilities = drawn(500, count)
    figures = score(classes(count), labels, probabilities)
    chosen = probabilities.argmax(axis=1)
    scores = probabilities[:, 1] if count == 2 else probabilities
    expected = {
        "accuracy": metrics.accuracy_score(labels, chosen),
        "cross_entropy": metrics.log_loss(labels, probabilities),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, chosen),
        "f1": metrics.f1_score(labels, chosen, average="macro"),
        "auc": metrics.roc_auc_score(labels, scores, multi_class="ovr"),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name
    assert figures["confusion"] == metrics.confusion_matrix(labels, chosen).tolist()


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.0, 1.0]])
    labels = np.array([0, 1, 0, 1])
    # Right of those near 0.95 and 1: 2 of 3, whose mean confidence is 2.9 / 3; at 0.65: 1 of 1.
    expected = (abs(2 - 2.9) + abs(1 - 0.65)) / 4
    found = score(classes(2), labels, probabilities)["calibration_error"]
    assert found == pytest.approx(expected)


def test_the_baseline_knows_the_shares_alone():
    labels = np.array([0, 0, 0, 1])
    figures = score(classes(2, (0.75, 0.25)), labels, np.eye(2)[labels])
    assert figures["baseline_accuracy"] == 0.75
    assert figures["baseline_balanced_accuracy"] == figures["baseline_auc"] == 0.5
    assert figures["baseline_cross_entropy"] == pytest.approx(
        -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    )
    assert figures["baseline_f1"] == pytest.approx((6 / 7) / 2)
    assert figures["auc"] == figures["f1"] == figures["balanced_accuracy"] == 1.0
    assert "baseline_confusion" not in figures


def test_one_class_among_the_rows_has_no_curve():
    figures = score(classes(3), np.array([1, 1]), np.eye(3)[[1, 2]])
    assert figures["auc"] is None
    assert figures["balanced_accuracy"] == 0.5
    assert np.isfinite(figures["f1"])


def test_figures_of_quantiles_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    predictions = np.column_stack([np.full(4, 1.5), np.full(4, 3.5)])
    figures = quantile_score(truth, predictions, (0.25, 0.75))
    assert figures["shares_below"] == [0.25, 0.75]
    low = [0.75 * 0.5, 0.25 * 0.5, 0.25 * 1.5, 0.25 * 2.5]
    high = [0.25 * 2.5, 0.25 * 1.5, 0.25 * 0.5, 0.75 * 0.5]
    assert figures["pinball"] == pytest.approx((sum(low) + sum(high)) / 8)
    assert figures["baseline_pinball"] <= figures["pinball"]


@pytest.mark.parametrize(
    ("shares", "is_said"),
    [((0.79, 0.21), False), ((0.81, 0.19), True), ((0.5, 0.39, 0.11), True), ((0.5,) * 2, False)],
)
def test_a_rare_class_is_said(shares, is_said):
    said = imbalance(classes(len(shares), shares))
    assert (said is not None) is is_said
    if is_said:
        assert f"{min(shares):.1%}" in said
        assert f"{max(shares):.1%}" in said


def test_huge_errors_do_not_overflow():
    target = NumberTarget("y", False, 0.0, 1.0, baseline=0.0)
    figures = score(target, np.array([1e200, -1e200]), np.zeros(2))
    assert figures["rmse"] == pytest.approx(1e200)
    assert figures["r2"] == pytest.approx(0.0)
