"""Metrics: sums over ragged batches against the oracle, and what goes beside which loss."""

import importlib
import itertools
import math

import numpy as np
import pytest
import reference

from fastweights import _dispatch, losses, metrics

LEVELS = _dispatch.available_levels()
REALS = (np.float32, np.float64)


#: Of targets 0 and 1, each output by itself.
OF_SCORES = {
    "auc", "false_negatives", "false_positives", "precision", "recall", "true_negatives",
    "true_positives",
}  # fmt: skip
#: Of the predicted class.
OF_CLASSES = {
    "balanced_accuracy", "cohen_kappa", "confusion_matrix", "f1_score", "fbeta_score",
    "matthews_correlation",
}  # fmt: skip
COUNTS = ("confusion_matrix", "_positives", "_negatives")


def sample(kind, rows, columns, seed=0):
    """Predictions and targets of a metric."""
    random = np.random.default_rng([seed, rows, columns])
    prediction = random.uniform(0.05, 0.95, (rows, columns))
    if kind.startswith("sparse"):
        return prediction, random.integers(0, columns, rows)
    if "categorical" in kind or kind in OF_CLASSES:
        return prediction, reference.one_hot(random.integers(0, columns, rows), columns)
    if kind.startswith("binary") or kind in OF_SCORES:
        return prediction, random.integers(0, 2, (rows, columns)).astype(float)
    if kind in ("hinge", "squared_hinge"):
        return prediction, random.choice([-1.0, 1.0], (rows, columns))
    return prediction, random.uniform(0.01, 1.0, (rows, columns))


def scored(rows, columns=1, seed=0, levels=9, classes=None):
    """Scores with many ties, and targets of 0 and 1 or of classes, and weights, some of them 0."""
    random = np.random.default_rng([seed, rows, columns])
    scores = random.integers(0, levels, (rows, columns)) / (levels - 1.0)
    if classes is None:
        targets = random.integers(0, 2, (rows, columns)).astype(float)
    else:
        targets = random.integers(0, classes, rows)
    weights = random.integers(0, 5, rows) * random.uniform(0.5, 2.0, rows)
    return scores, targets, weights


def measure(metric, prediction, target, batches=(), level=LEVELS[0], real=np.float64, weights=None):
    """The metric's result after batches that end at the given rows."""
    suffix = "f32" if real is np.float32 else "f64"
    module = importlib.import_module(f"fastweights._core.kernels_{level}_{suffix}")
    prediction = np.ascontiguousarray(prediction, real)
    is_labelled = np.asarray(target).ndim == 1
    target = np.ascontiguousarray(target, np.int32 if is_labelled else real)
    if metric.kernel is None:
        counts = slice(None) if weights is None else weights > 0
        return metric.figure(
            target[counts], prediction[counts], None if weights is None else weights[counts]
        )
    rows, columns = prediction.shape
    size = module.metric_sums_of(metric.kernel, columns, metric.options)
    state = np.zeros(size + 8)
    edges = [0, *batches, rows]
    for first, last in itertools.pairwise(edges):
        module.apply_metric(
            metric.kernel,
            state.ctypes.data,
            prediction[first:].ctypes.data,
            target[first:].ctypes.data,
            is_labelled,
            0 if weights is None else weights[first:].ctypes.data,
            last - first,
            columns,
            metric.options,
        )
    assert (state[-8:] == 0).all()
    return metric.result(tuple(state[:-8].tolist()))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("kind", metrics.KINDS)
def test_ragged_batches_add_up_to_the_oracle(level, real, kind):
    metric = metrics.KINDS[kind]()
    for rows, columns in ((1000, 3), (37, 2), (101, 17)):
        prediction, target = sample(kind, rows, columns)
        prediction = prediction.astype(real).astype(float)
        if not metric.takes_labels:
            target = target.astype(real).astype(float)
        expected = reference.METRICS[kind](prediction, target)
        rel = 1e-6 if real is np.float32 else 1e-13
        for batches in ((), (1, 8, 30), range(7, rows, 7)):
            result = measure(metric, prediction, target, batches, level, real)
            assert isinstance(result, float) or result.shape == expected.shape
            assert result == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("columns", [1, 4])
def test_one_output_and_several(columns):
    for kind in ("mean_squared_error", "r2_score", "binary_accuracy", "binary_crossentropy"):
        prediction, target = sample(kind, 50, columns)
        result = measure(metrics.KINDS[kind](), prediction, target, (13,))
        assert result == pytest.approx(reference.METRICS[kind](prediction, target), rel=1e-13)


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_weights_say_how_often_a_row_counts(kind):
    metric, random = metrics.KINDS[kind](), np.random.default_rng(3)
    prediction, target = sample(kind, 70, 3)
    times = random.integers(0, 4, 70)
    prediction[times == 0] = np.nan
    expected = reference.METRICS[kind](prediction.repeat(times, 0), target.repeat(times, 0))
    half = 0.5 if kind.endswith(COUNTS) else 1.0
    for batches in ((), (1, 8, 30)):
        found = measure(metric, prediction, target, batches, weights=times.astype(float))
        assert found == pytest.approx(expected, rel=1e-13)
        halves = measure(metric, prediction, target, batches, weights=times / 2.0)
        assert halves == pytest.approx(half * expected, rel=1e-13)


def test_an_epoch_is_not_a_mean_of_batches():
    prediction = np.array([[0.0], [0.0], [0.0], [4.0]])
    metric = metrics.RootMeanSquaredError()
    assert measure(metric, prediction, np.zeros((4, 1)), (3,)) == 2.0


def test_logits_and_probabilities_mean_the_same():
    logits = np.random.default_rng(0).standard_normal((20, 4))
    for kind, squash in (
        (metrics.BinaryCrossentropy, reference.sigmoid),
        (metrics.CategoricalCrossentropy, reference.softmax),
        (metrics.SparseCategoricalCrossentropy, reference.softmax),
    ):
        _, target = sample(kind.kind, 20, 4)
        from_logits = measure(kind(from_logits=True), logits, target)
        assert from_logits == pytest.approx(measure(kind(), squash(logits), target), rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 2e5, 1e9, -1e12])
def test_r2_does_not_lose_a_small_spread_beside_a_large_mean(offset):
    random = np.random.default_rng(1)
    target = np.round(random.standard_normal((5000, 1)) * 1000) + offset
    prediction = target + np.round(random.standard_normal((5000, 1)) * 300)
    expected = reference.r2_score(prediction - offset, target - offset)
    assert measure(metrics.R2Score(), prediction, target, (1, 999)) == pytest.approx(
        expected, rel=1e-12
    )


def test_r2_where_it_is_undefined():
    same = np.full((5, 1), 0.1)
    assert measure(metrics.R2Score(), same, same) == 1.0
    assert measure(metrics.R2Score(), same + 1, same) == 0.0
    assert math.isnan(measure(metrics.R2Score(), same[:1], same[:1]))
    both = np.hstack([np.arange(5.0)[:, None], same])
    assert measure(metrics.R2Score(), both, both) == 1.0


@pytest.mark.parametrize("kind", sorted(set(metrics.KINDS) - OF_CLASSES - OF_SCORES | {"auc"}))
def test_nan_is_never_right(kind):
    prediction, target = sample(kind, 9, 3)
    if kind.endswith("accuracy"):
        target = prediction.argmax(axis=1) if kind.startswith("sparse") else target
        if "categorical" in kind and not kind.startswith("sparse"):
            target = reference.one_hot(prediction.argmax(axis=1), 3)
        if kind.startswith("binary"):
            target = (prediction > 0.5).astype(float)
        assert measure(metrics.KINDS[kind](), prediction, target) == 1.0
        prediction[4] = np.nan
        assert measure(metrics.KINDS[kind](), prediction, target) == pytest.approx(8 / 9)
    else:
        prediction[4, 1] = np.nan
        assert math.isnan(measure(metrics.KINDS[kind](), prediction, target))


@pytest.mark.parametrize("top_k", [None, 1])
def test_nan_is_counted_as_wrong(top_k):
    target = np.eye(3)[[0, 1, 2, 0]]
    prediction = target.copy()
    prediction[3, 0] = np.nan
    assert measure(metrics.TruePositives(), prediction, target) == 3
    assert measure(metrics.FalseNegatives(), prediction, target) == 1
    assert measure(metrics.Recall(top_k=top_k), prediction, target) == 3 / 4
    prediction[3, 1] = np.nan
    assert measure(metrics.FalsePositives(), prediction, target) == 1
    assert measure(metrics.TrueNegatives(), prediction, target) == 7
    prediction[3] = np.nan
    assert measure(metrics.BalancedAccuracy(), prediction, target) == pytest.approx(2.5 / 3)
    assert measure(metrics.F1Score(), prediction, target) == pytest.approx([2 / 3, 1.0, 1.0])
    assert measure(metrics.ConfusionMatrix(), prediction, target).tolist() == np.eye(3).tolist()
    assert measure(metrics.CohenKappa(), prediction, target) < 1.0
    assert measure(metrics.MatthewsCorrelation(), prediction, target) < 1.0


def test_of_equal_predictions_the_first_counts():
    tie = np.array([[0.5, 0.5]])
    assert measure(metrics.SparseCategoricalAccuracy(), tie, [0]) == 1.0
    assert measure(metrics.SparseCategoricalAccuracy(), tie, [1]) == 0.0
    assert measure(metrics.CategoricalAccuracy(), tie, [[0.0, 1.0]]) == 0.0


def test_thresholds():
    prediction = np.array([[-1.0], [0.2], [0.5], [0.7]])
    assert measure(metrics.BinaryAccuracy(), prediction, [[0.0], [0.0], [0.0], [1.0]]) == 1.0
    strict = metrics.BinaryAccuracy(threshold=0.9)
    assert measure(strict, prediction, [[0.0], [0.0], [0.0], [1.0]]) == 0.75
    signed = metrics.get("accuracy", losses.Hinge())
    assert measure(signed, prediction, [[-1.0], [1.0], [1.0], [1.0]]) == 1.0


# ---- descriptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "loss", "expected"),
    [
        ("accuracy", losses.BinaryCrossentropy(), metrics.BinaryAccuracy("accuracy")),
        (
            "accuracy",
            losses.BinaryCrossentropy(from_logits=True),
            metrics.BinaryAccuracy("accuracy", threshold=0.0),
        ),
        ("acc", losses.Hinge(), metrics.BinaryAccuracy("acc", threshold=0.0)),
        ("accuracy", losses.CategoricalCrossentropy(), metrics.CategoricalAccuracy("accuracy")),
        (
            "accuracy",
            losses.SparseCategoricalCrossentropy(),
            metrics.SparseCategoricalAccuracy("accuracy"),
        ),
        ("mae", losses.MeanSquaredError(), metrics.MeanAbsoluteError("mae")),
        ("MSE", losses.Huber(), metrics.MeanSquaredError("MSE")),
        ("r2", losses.MeanSquaredError(), metrics.R2Score("r2")),
        ("rmse", losses.MeanSquaredError(), metrics.RootMeanSquaredError("rmse")),
        ("accuracy", losses.BinaryFocalCrossentropy(), metrics.BinaryAccuracy("accuracy")),
        ("log_loss", losses.BinaryFocalCrossentropy(), metrics.BinaryCrossentropy("log_loss")),
        (
            "accuracy",
            losses.CategoricalFocalCrossentropy(),
            metrics.CategoricalAccuracy("accuracy"),
        ),
        (
            "acc",
            losses.SquaredHinge(),
            metrics.BinaryAccuracy("acc", threshold=0.0),
        ),
        ("accuracy", losses.CategoricalHinge(), metrics.CategoricalAccuracy("accuracy")),
        ("accuracy", losses.KLDivergence(), metrics.CategoricalAccuracy("accuracy")),
        ("binary_accuracy", losses.MeanSquaredError(), metrics.BinaryAccuracy()),
        (
            "categorical_crossentropy",
            losses.CategoricalCrossentropy(from_logits=True),
            metrics.CategoricalCrossentropy(from_logits=True),
        ),
        (metrics.R2Score("fit"), losses.MeanSquaredError(), metrics.R2Score("fit")),
    ],
)
def test_names_are_read_beside_their_loss(identifier, loss, expected):
    metric = metrics.get(identifier, loss)
    assert metric == expected
    assert type(metric) is type(expected)
    assert metrics.get(metric.config(), loss) == metric


@pytest.mark.parametrize(
    ("identifier", "loss", "error", "message"),
    [
        ("acuracy", "mse", ValueError, "metrics: got 'acuracy', .* did you mean 'accuracy'"),
        (7, "mse", TypeError, "metrics: got int"),
        ({"name": "mae"}, "mse", TypeError, r"metrics\['kind'\]: got NoneType"),
        ("accuracy", "mse", ValueError, "'accuracy' beside the loss mean_squared_error"),
        (
            "sparse_categorical_accuracy",
            "categorical_crossentropy",
            ValueError,
            "expected the loss sparse_categorical_crossentropy beside it",
        ),
        (
            "mae",
            "sparse_categorical_crossentropy",
            ValueError,
            "expected a metric of class labels: sparse_categorical_accuracy",
        ),
        ("binary_crossentropy", "hinge", ValueError, "targets are from 0 to 1"),
    ],
)
def test_metrics_that_do_not_suit_are_refused(identifier, loss, error, message):
    with pytest.raises(error, match=message):
        metrics.get(identifier, losses.get(loss))


@pytest.mark.parametrize("settings", [{"threshold": "high"}, {"threshold": math.nan}])
def test_bad_settings_are_refused(settings):
    with pytest.raises((TypeError, ValueError), match="threshold: got"):
        metrics.BinaryAccuracy(**settings)


def test_an_unknown_kernel_is_a_key_error():
    metric = metrics.MeanSquaredError()
    module = _dispatch.kernels(np.dtype(np.float64))
    with pytest.raises(KeyError, match="nonsense"):
        module.apply_metric("nonsense", 0, 0, 0, False, 0, 0, 1, metric.options)
