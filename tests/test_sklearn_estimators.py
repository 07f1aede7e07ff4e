"""The MLPs in scikit-learn's house: its checks, pipelines, searches, copies; and what is more."""

import copy
import pickle
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastweights as fw
from fastweights import callbacks, losses, optimizers, schedules
from fastweights.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = load_iris(return_X_y=True)
NUMBERS = make_regression(120, 6, random_state=0)
BOTH = pytest.mark.parametrize(
    ("kind", "xy"), [(MLPClassifier, IRIS), (MLPRegressor, NUMBERS)], ids=["classes", "numbers"]
)

CHECKS = [
    (estimator, check)
    for made in (MLPClassifier(max_iter=100), MLPRegressor(max_iter=100))
    for estimator, check in estimator_checks_generator(made)
]


@pytest.mark.parametrize(
    ("estimator", "check"),
    CHECKS,
    ids=[f"{type(made).__name__}-{check.func.__name__}" for made, check in CHECKS],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    try:
        check(clone(estimator))
    except Exception as error:
        # Of what it has no use for here: the array API, and estimators with a decision function.
        if type(error).__name__ != "SkipTestWarning" and "SkipTest" not in type(error).__name__:
            raise


# ---- copies --------------------------------------------------------------------------------------


@BOTH
def test_copies_predict_and_go_on_alike(kind, xy):
    x, y = xy
    made = kind(hidden_layer_sizes=(8, 5), max_iter=5, random_state=0, dropout=0.1).fit(x, y)
    expected, further = made.predict(x), copy.deepcopy(made).partial_fit(x, y).predict(x)
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        np.testing.assert_array_equal(again.predict(x), expected)
        np.testing.assert_array_equal(again.partial_fit(x, y).predict(x), further)
        np.testing.assert_array_equal(made.predict(x), expected)
        assert again._optimizer is not made._optimizer


def test_a_pickle_has_the_weights_once():
    x, y = IRIS
    made = MLPClassifier((500, 500), solver="sgd", momentum=0.0, max_iter=1).fit(x, y)
    weights = sum(part.nbytes for part in made.coefs_ + made.intercepts_)
    assert len(pickle.dumps(made)) < 1.2 * weights


@BOTH
def test_weights_are_live(kind, xy):
    x, y = xy
    made = kind(max_iter=3, random_state=0, activation="identity").fit(x, y)
    made.coefs_[-1][...] = 0.0
    made.intercepts_[-1] = np.arange(made.n_outputs_, dtype=float)
    found = made.predict(x)
    assert (found == (2 if kind is MLPClassifier else 0.0)).all()
    copied = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(copied.predict(x), found)
    assert (copied.coefs_[-1] == 0.0).all()


def test_weights_of_scikit_learns_own_predict_alike():
    from sklearn.neural_network import MLPClassifier as Theirs

    x, y = IRIS
    other = Theirs(max_iter=5, random_state=0).fit(x, y)
    ours = MLPClassifier(max_iter=1, random_state=0).fit(x, y)
    ours.coefs_, ours.intercepts_ = list(other.coefs_), list(other.intercepts_)
    np.testing.assert_allclose(ours.predict_proba(x), other.predict_proba(x), atol=1e-13)


@BOTH
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(kind, xy, backend):
    x, y = xy
    made = kind(max_iter=3, random_state=0)
    one = cross_validate(made, x, y, cv=3)["test_score"]
    with joblib.parallel_backend(backend, n_jobs=2):
        several = cross_validate(made, x, y, cv=3, n_jobs=2)["test_score"]
    np.testing.assert_array_equal(one, several)


def test_threads_predict_with_one():
    x, y = IRIS
    made = MLPClassifier(max_iter=5, random_state=0).fit(x, y)
    expected, wrong = made.predict_proba(x), []

    def ask():
        for _ in range(20):
            if not (made.predict_proba(x) == expected).all():
                wrong.append(True)

    several = [threading.Thread(target=ask) for _ in range(4)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert not wrong


@BOTH
def test_bits_do_not_depend_on_threads(kind, xy):
    x, y = xy
    found = []
    for number in (1, 2):
        with fw.threads(number):
            made = kind(hidden_layer_sizes=(60, 60), max_iter=5, random_state=0)
            found.append(made.fit(x, y).coefs_[0].copy())
    assert (found[0] == found[1]).all()


# ---- pipelines, searches, frames -----------------------------------------------------------------


def test_in_other_estimators():
    x, y = IRIS
    made = MLPClassifier((8,), max_iter=20, random_state=0, learning_rate_init=0.05)
    pipe = make_pipeline(StandardScaler(), made)
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__activation": ["relu", "silu"]}
    search = GridSearchCV(pipe, grid, cv=3).fit(x, y)
    assert search.best_score_ > 0.9
    assert CalibratedClassifierCV(made, cv=3).fit(x, y).score(x, y) > 0.8
    stacked = StackingClassifier([("a", pipe), ("b", made)], cv=3).fit(x, y)
    assert stacked.score(x, y) > 0.9
    found = permutation_importance(pipe.fit(x, y), x, y, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() in (2, 3)
    x, y = NUMBERS
    regressor = MLPRegressor(solver="lbfgs", max_iter=50, random_state=0)
    assert StackingRegressor([("a", regressor)], cv=3).fit(x, y).score(x, y) > 0.9


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_frames(library):
    x, y = IRIS
    frame = library.DataFrame({f"c{number}": x[:, number] for number in range(4)})
    made = MLPClassifier(max_iter=5, random_state=0).fit(frame, y)
    assert list(made.feature_names_in_) == ["c0", "c1", "c2", "c3"]
    of_array = MLPClassifier(max_iter=5, random_state=0).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(made.predict(frame), of_array.predict(x))
    with pytest.raises(ValueError, match="feature names should match"):
        made.predict(frame[["c1", "c0", "c2", "c3"]])
    pipe = make_pipeline(StandardScaler(), made).set_output(transform=library.__name__)
    assert list(pipe.fit(frame, y)[-1].feature_names_in_) == ["c0", "c1", "c2", "c3"]


def test_names_of_classes():
    x, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    made = MLPClassifier(max_iter=5, random_state=0, early_stopping=True).fit(x, names)
    assert set(made.predict(x)) <= set(names)
    assert list(made.classes_) == ["setosa", "versicolor", "virginica"]


def test_metadata_is_routed():
    x, y = IRIS
    weights = np.where(y == 0, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        made = MLPClassifier(max_iter=30, random_state=0).set_fit_request(sample_weight=True)
        made = made.set_score_request(sample_weight=True)
        search = GridSearchCV(made, {"alpha": [1e-4]}, cv=3).fit(x, y, sample_weight=weights)
    assert (search.predict_proba(x)[:, 0] < 0.5).all()


# ---- what is more than scikit-learn's -----------------------------------------------------------


def test_weights_of_classes():
    x, y = IRIS
    few = np.r_[0:50, 50:60]
    plain = MLPClassifier(max_iter=40, random_state=0).fit(x[few], y[few])
    weighted = MLPClassifier(max_iter=40, random_state=0, class_weight="balanced")
    by_rows = clone(plain).fit(x[few], y[few], sample_weight=np.where(y[few] == 0, 0.6, 3.0))
    np.testing.assert_array_equal(weighted.fit(x[few], y[few]).coefs_[0], by_rows.coefs_[0])
    rare = [made.predict_proba(x[few])[50:, 1].mean() for made in (weighted, plain)]
    assert rare[0] > rare[1]
    twice = clone(weighted).fit(x[few], y[few], sample_weight=np.full(60, 2.0))
    assert twice.n_iter_ == weighted.n_iter_
    with pytest.raises(ValueError, match="class_weight: got 'balanced' in partial_fit"):
        clone(weighted).partial_fit(x, y, classes=[0, 1, 2])


@pytest.mark.parametrize(
    "solver",
    ["rmsprop", "adamw", optimizers.Lion(1e-3), optimizers.LBFGS(), "nadam"],
    ids=str,
)
def test_any_optimizer(solver):
    x, y = IRIS
    made = MLPClassifier((8,), solver=solver, max_iter=60, random_state=0, batch_size=16)
    assert make_pipeline(StandardScaler(), made).fit(x, y).score(x, y) > 0.85
    assert clone(made).get_params()["max_iter"] == 60


def test_schedules_activations_dropout_and_losses():
    x, y = NUMBERS
    y = (y - y.mean()) / y.std()
    made = MLPRegressor(
        "huber",
        (32, 16),
        ["silu", "tanh"],
        learning_rate=schedules.CosineDecay(0.02, 400),
        dropout=[0.1, 0.0],
        batch_size=32,
        max_iter=100,
        random_state=0,
    ).fit(x, y)
    assert made.score(x, y) > 0.8
    assert [type(layer).__name__ for layer in made._network.layers] == [
        *("Dense", "Dropout", "Dense", "Dense"),
    ]
    np.testing.assert_array_equal(clone(made).fit(x, y).predict(x), made.predict(x))
    focal = losses.BinaryFocalCrossentropy()
    x, y = IRIS
    made = MLPClassifier(loss=focal, max_iter=150, random_state=0)
    assert made.fit(x, y > 0).score(x, y > 0) > 0.9
    smooth = losses.SparseCategoricalCrossentropy(label_smoothing=0.1)
    sure = MLPClassifier(max_iter=150, random_state=0).fit(x, y).predict_proba(x).max()
    assert MLPClassifier(loss=smooth, max_iter=150, random_state=0).fit(x, y).predict_proba(
        x
    ).max() < min(sure, 0.97)


@BOTH
def test_rows_to_validate_with(kind, xy):
    x, y = xy
    made = kind(max_iter=8, random_state=0, learning_rate_init=0.01)
    beside = clone(made).fit(x, y, validation_data=(x[::3], y[::3]))
    np.testing.assert_array_equal(beside.predict(x), clone(made).fit(x, y).predict(x))
    assert len(beside.validation_scores_) == 8
    assert beside.validation_scores_[-1] == pytest.approx(beside.score(x[::3], y[::3]))
    assert beside.best_loss_ == min(beside.loss_curve_)
    stopped = made.set_params(early_stopping=True, max_iter=60, n_iter_no_change=3)
    weights = np.ones(len(x[::3]))
    stopped.fit(x, y, validation_data=(x[::3], y[::3], weights))
    assert stopped.best_validation_score_ == pytest.approx(stopped.score(x[::3], y[::3]))
    assert stopped.t_ == stopped.n_iter_ * len(x)
    with pytest.raises(ValueError, match="validation_data: got 3 rows of x and 2 of y"):
        made.fit(x, y, validation_data=(x[:3], y[:2]))
    with pytest.raises(ValueError, match="validation_data: got"):
        made.fit(x, y, validation_data=(x[:3],))


def test_callbacks(tmp_path):
    x, y = IRIS
    heard = []
    told = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(dict(logs)))
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    kept = callbacks.ModelCheckpoint(tmp_path / "kept.safetensors")
    ending = callbacks.EarlyStopping("val_score", mode="max", patience=2, min_delta=1.0)
    made = MLPClassifier(max_iter=50, random_state=0, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.fit(x, y, callbacks=[told, log, kept, ending])
    assert made.n_iter_ == len(heard) == 3
    assert [logs["val_score"] for logs in heard] == made.validation_scores_
    assert (tmp_path / "log.csv").read_text().startswith("epoch,loss,val_score")
    assert fw.load(tmp_path / "kept.safetensors").predict(x).shape == (150, 3)


def test_an_interrupt_keeps_what_was_learnt():
    x, y = IRIS

    def interrupt(epoch, logs):
        if epoch == 3:
            raise KeyboardInterrupt

    made = MLPClassifier(random_state=0)
    with pytest.warns(UserWarning, match="interrupted by user"):
        made.fit(x, y, callbacks=callbacks.LambdaCallback(on_epoch_end=interrupt))
    assert made.n_iter_ == 4
    whole = MLPClassifier(random_state=0, max_iter=4).fit(x, y)
    np.testing.assert_array_equal(made.predict_proba(x), whole.predict_proba(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes: got \(3, 0\)"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes: got 2.5"),
        ({"activation": "rel"}, "activation: got 'rel'"),
        ({"activation": ["relu", "relu"]}, "activation: got 2 of them"),
        ({"solver": "adm"}, "solver: got 'adm'"),
        ({"alpha": -1.0}, "alpha: got -1"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"batch_size": "all"}, "batch_size: got 'all'"),
        ({"learning_rate": "constnt"}, "learning_rate: got 'constnt'"),
        ({"learning_rate_init": 0.0}, "learning_rate_init: got 0"),
        ({"max_iter": 0}, "max_iter: got 0"),
        ({"shuffle": "yes"}, "shuffle: got 'yes'"),
        ({"momentum": 1.1}, "momentum: got 1.1"),
        ({"validation_fraction": 1.0}, "validation_fraction: got 1"),
        ({"beta_1": 1.0}, "beta_1: got 1"),
        ({"n_iter_no_change": 0}, "n_iter_no_change: got 0"),
        ({"dropout": 1.0}, "dropout: got 1"),
        ({"dtype": "float16"}, "dtype: got"),
        ({"loss": "log"}, "loss: got 'log', expected one of (squared_error|log_loss), "),
        (
            {"learning_rate": schedules.CosineDecay(0.1, 10), "solver": "lbfgs"},
            "learning_rate: got a schedule beside",
        ),
    ],
)
def test_what_is_refused(settings, message):
    for kind, (x, y) in ((MLPClassifier, IRIS), (MLPRegressor, NUMBERS)):
        with pytest.raises((ValueError, TypeError), match=message):
            kind(**settings).fit(x, y)


def test_weights_that_are_refused():
    x, y = IRIS
    with pytest.raises(ValueError, match=r"sample_weight: got -1\.0 in row 0"):
        MLPClassifier().fit(x, y, sample_weight=np.r_[-1.0, np.ones(149)])
    with pytest.raises(ValueError, match="at least one non-zero number"):
        MLPClassifier().fit(x, y, sample_weight=np.zeros(150))
    for name, given in (("callbacks", callbacks.EarlyStopping()), ("validation_data", (x, y))):
        with pytest.raises(ValueError, match=f"{name}: got .*lbfgs"):
            MLPClassifier(solver="lbfgs").fit(x, y, **{name: given})
    assert not hasattr(MLPClassifier(solver=optimizers.LBFGS()), "partial_fit")
