"""The MLPs beside scikit-learn's own: same weights, same figures, to the last digits."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

from fastweights.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = 137
CLASSES = make_classification(ROWS, 12, n_classes=3, n_informative=6, random_state=0)
TWO = make_classification(ROWS, 12, random_state=0)
LABELS = make_multilabel_classification(ROWS, 12, random_state=0)
NUMBERS = make_regression(ROWS, 12, random_state=0)
SEVERAL = make_regression(ROWS, 12, n_targets=3, random_state=0)
COUNTS = (NUMBERS[0], np.random.default_rng(0).poisson(2, ROWS).astype(float))
#: Ours and theirs, data, and settings.
TASKS = {
    "classes": (MLPClassifier, CLASSES, {}),
    "two classes": (MLPClassifier, TWO, {}),
    "labels": (MLPClassifier, (LABELS[0] / 5, LABELS[1]), {}),
    "a number": (MLPRegressor, (NUMBERS[0], NUMBERS[1] / NUMBERS[1].std()), {}),
    "numbers": (MLPRegressor, (SEVERAL[0], SEVERAL[1] / SEVERAL[1].std()), {}),
    "counts": (MLPRegressor, COUNTS, {"loss": "poisson"}),
}
SETTINGS = {
    "defaults": {},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01},
    "sgd without momentum": {"solver": "sgd", "momentum": 0},
    "sgd without looking ahead": {"solver": "sgd", "nesterovs_momentum": False},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {
        **{"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05},
        **{"tol": 1e-2, "max_iter": 100, "n_iter_no_change": 5},
    },
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.01},
    "tanh in batches": {"alpha": 1.0, "batch_size": 50, "activation": "tanh"},
    "two logistic layers": {"activation": "logistic", "hidden_layer_sizes": (9, 7)},
    "in order": {"shuffle": False, "activation": "identity"},
    "a large epsilon": {"epsilon": 0.1, "beta_1": 0.5, "beta_2": 0.9},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "an end by tol": {"tol": 0.1, "n_iter_no_change": 3},
}
WEIGHTS = np.random.default_rng(1).uniform(0.2, 3, ROWS)


def theirs(ours, **settings):
    return getattr(neural_network, ours.__name__)(**settings)


def pair(task, settings):
    """Ours and theirs, with data."""
    kind, (x, y), more = TASKS[task]
    settings = {"max_iter": 15, "random_state": 3, **more, **settings}
    return kind(**settings), theirs(kind, **settings), x, y


def assert_same(ours, other, tolerance=1e-11):
    """Weights and figures."""
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(other, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(other, name)
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_"):
        if getattr(other, name, None) is None:
            assert getattr(ours, name, None) is None
        else:
            np.testing.assert_allclose(getattr(ours, name), getattr(other, name), rtol=1e-9)
    if getattr(other, "best_validation_score_", None) is not None:
        assert ours.best_validation_score_ == pytest.approx(other.best_validation_score_)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_fit_is_scikit_learns(task, settings):
    ours, other, x, y = pair(task, SETTINGS[settings])
    if (task, settings) == ("numbers", "lbfgs"):
        pytest.skip("scikit-learn gives its solver a loss that is a third of what its gradient has")
    assert_same(ours.fit(x, y), other.fit(x, y), 1e-9 if settings == "lbfgs" else 1e-11)
    np.testing.assert_allclose(ours.predict(x), other.predict(x), rtol=1e-6, atol=1e-8)
    if hasattr(other, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(x), other.predict_proba(x), atol=1e-8)
        with np.errstate(divide="ignore"):
            logs = np.log(ours.predict_proba(x))
        np.testing.assert_array_equal(ours.predict_log_proba(x), logs)
    assert ours.score(x, y) == pytest.approx(other.score(x, y))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "settings",
    [{"alpha": 0.5}, {"batch_size": 30}, {"early_stopping": True}, {"solver": "lbfgs"}],
    ids=str,
)
def test_a_fit_to_weighted_rows_is_scikit_learns(task, settings):
    if task == "numbers" and "solver" in settings:
        pytest.skip("as above")
    ours, other, x, y = pair(task, settings)
    tolerance = 1e-9 if "solver" in settings else 1e-11
    assert_same(
        ours.fit(x, y, sample_weight=WEIGHTS), other.fit(x, y, sample_weight=WEIGHTS), tolerance
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("container", ["csr_matrix", "csc_array"])
def test_sparse_rows_are_dense_rows(task, container):
    for settings in ({"batch_size": 20}, {"early_stopping": True}, {"solver": "lbfgs"}):
        if task == "numbers" and "solver" in settings:
            continue
        ours, other, x, y = pair(task, settings)
        sparse = getattr(scipy.sparse, container)(np.where(np.abs(x) < 0.5, 0.0, x))
        ours.fit(sparse, y)
        assert_same(ours, other.fit(sparse, y), 1e-9)
        np.testing.assert_array_equal(ours.predict(sparse), ours.predict(sparse.toarray()))


def test_sparse_rows_that_are_more_than_a_piece(monkeypatch):
    monkeypatch.setattr("fastweights.sklearn._sources.PIECE_BYTES", 12 * 8 * 40)
    for settings in ({"batch_size": 20}, {"solver": "lbfgs"}, {"batch_size": 7, "shuffle": False}):
        ours, other, x, y = pair("classes", settings)
        sparse = scipy.sparse.csr_matrix(x)
        weighted = WEIGHTS if "solver" in settings else None
        assert_same(ours.fit(sparse, y, weighted), other.fit(sparse, y, weighted), 1e-9)
        assert (ours.predict_proba(sparse) == ours.predict_proba(x)).all()


def test_several_outputs_by_lbfgs_get_to_a_smaller_loss():
    ours, other, x, y = pair("numbers", {"solver": "lbfgs", "max_iter": 300, "tol": 1e-9})
    assert ours.fit(x, y).loss_ <= 1.02 * other.fit(x, y).loss_
    squares = 0.5 * np.mean((ours.predict(x) - y) ** 2)
    penalty = 0.5 * 1e-4 * sum((kernel**2).sum() for kernel in ours.coefs_) / ROWS
    assert ours.loss_ == pytest.approx(squares + penalty)


@pytest.mark.parametrize("task", TASKS)
def test_partial_fits_are_scikit_learns(task):
    for settings in ({}, {"solver": "sgd", "random_state": None}):
        ours, other, x, y = pair(task, settings)
        classes = {}
        if isinstance(ours, MLPClassifier):
            classes["classes"] = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
        for model in (ours, other):
            np.random.seed(7)  # noqa: NPY002  (what random_state=None is, in scikit-learn)
            model.partial_fit(x[:70], y[:70], **classes)
            model.partial_fit(x[70:], y[70:], sample_weight=WEIGHTS[70:])
            model.partial_fit(x[:30], y[:30])
        assert_same(ours, other)
        again = pickle.loads(pickle.dumps(ours))
        assert_same(again.partial_fit(x, y), other.partial_fit(x, y))


@pytest.mark.parametrize("task", TASKS)
def test_warm_starts_are_scikit_learns(task):
    for settings in ({"solver": "sgd", "learning_rate": "invscaling"}, {"early_stopping": True}):
        ours, other, x, y = pair(task, {"warm_start": True, "max_iter": 4, **settings})
        for model in (ours, other):
            model.fit(x, y)
        best, first = (
            ours.validation_scores_ and max(ours.validation_scores_),
            ours.coefs_[0].copy(),
        )
        for model in (ours, other):
            model.set_params(max_iter=6, alpha=0.1).fit(x, y)
        if best is None or best < max(ours.validation_scores_):
            assert_same(ours, other)
        else:  # of which scikit-learn has lost the weights
            np.testing.assert_array_equal(ours.coefs_[0], first)
        np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_)


@pytest.mark.parametrize("task", TASKS)
def test_float32_is_scikit_learns_within_float32(task):
    ours, other, x, y = pair(task, {"max_iter": 3})
    ours.fit(x.astype(np.float32), y)
    other.fit(x.astype(np.float32), y)
    assert_same_within(ours, other, 2e-5)
    assert ours.loss_ == pytest.approx(other.loss_, rel=1e-5)
    asked, x = ours.set_params(dtype="float32").fit(x, y), x.astype(np.float32)
    assert {kernel.dtype for kernel in asked.coefs_} == {np.dtype(np.float32)}
    if task in ("a number", "numbers"):
        assert asked.predict(x).dtype == np.float32


def assert_same_within(ours, other, tolerance):
    for a, b in zip(ours.coefs_ + ours.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max())


def test_far_off_losses_are_clipped_as_there():
    # Where a probability is near 1, scikit-learn has few digits of 1 - p.
    for task, tolerance in (("classes", 1e-9), ("two classes", 1e-3), ("labels", 1e-3)):
        ours, other, x, y = pair(task, {"learning_rate_init": 5.0, "max_iter": 6})
        ours.fit(100 * x, y)
        other.fit(100 * x, y)
        np.testing.assert_allclose(ours.loss_curve_, other.loss_curve_, rtol=tolerance)
    wrong = MLPClassifier(max_iter=1, random_state=0).fit(1e6 * x, 1 - y)
    assert wrong.loss_ < 5 * 36.05


def test_what_is_said_is_what_scikit_learn_says(capsys):
    for settings in (
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.3, "n_iter_no_change": 2},
        {"early_stopping": True, "tol": 0.3, "n_iter_no_change": 2},
        {"tol": 10.0, "n_iter_no_change": 2},
    ):
        ours, other, x, y = pair("classes", {"verbose": True, "max_iter": 60, **settings})
        ours.fit(x, y)
        said = capsys.readouterr().out
        other.fit(x, y)
        assert said == capsys.readouterr().out


def test_an_end_before_convergence_is_a_warning():
    for settings in ({}, {"solver": "lbfgs"}):
        ours, _, x, y = pair("classes", {"max_iter": 2, **settings})
        with pytest.warns(ConvergenceWarning):
            ours.fit(x, y)
    ours, _, x, y = pair("classes", {"tol": 10.0, "max_iter": 50})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.fit(x, y)


def test_divergence_is_told():
    x, y = NUMBERS
    settings = {"activation": "identity", "solver": "sgd", "learning_rate_init": 10.0}
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*learning rate"):
        MLPRegressor(**settings, random_state=0).fit(1e3 * x, y)
    model = MLPRegressor(**settings, random_state=0, early_stopping=True)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(1e3 * x, y)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.predict(x)).all()
