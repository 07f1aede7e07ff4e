"""The recipe of tables in scikit-learn's house: frames, labels, checks, searches, copies, files."""

import copy
import inspect
import json
import math
import pickle
import warnings
from dataclasses import fields

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import d2_pinball_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastweights as fw
from fastweights import serialization
from fastweights.sklearn import TableClassifier, TableRegressor
from fastweights.sklearn._table_files import ESTIMATOR
from fastweights.table import Recipe, TableModel, read

IRIS = load_iris(return_X_y=True)
ROWS = 160
QUICK = {"nets": 1, "epochs": 12, "layers": (16,), "random_state": 0}
TRAINED = {**QUICK, "nets": 4, "epochs": 40}

#: A weight of 2 is no row twice: rows have an order, batches and folds.
UNFIT = {"check_sample_weight_equivalence_on_dense_data"}
CHECKS = [
    (estimator, check)
    for made in (TableClassifier(nets=1, patience=6), TableRegressor(nets=1, patience=6))
    for estimator, check in estimator_checks_generator(made)
    if check.func.__name__ not in UNFIT
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
        # The array API is nothing that it has.
        if type(error).__name__ != "SkipTestWarning" and "SkipTest" not in type(error).__name__:
            raise


def houses(rows=ROWS, seed=0):
    """Columns of every kind, and a price that three of them make."""
    random = np.random.default_rng(seed)
    area = random.uniform(30, 200, rows).round(1)
    town = random.choice(["Ames", "Oslo", "Rome"], rows)
    garden = random.random(rows) < 0.5
    built = np.datetime64("1950-01-01") + random.integers(0, 25_000, rows)
    price = area * 2 + garden * 60 + np.where(town == "Rome", 150, 0) + random.normal(0, 5, rows)
    area[::9] = np.nan
    frame = pd.DataFrame({"id": np.arange(rows), "town": town, "area": area, "garden": garden})
    frame["built"] = built.astype("datetime64[s]")
    frame["mixed"] = [None if row % 5 == 0 else ("few" if row % 2 else 3) for row in range(rows)]
    return frame, price


@pytest.fixture(scope="module")
def regressor():
    return TableRegressor(**TRAINED).fit(*houses())


@pytest.fixture(scope="module")
def classifier():
    frame, price = houses()
    return TableClassifier(**TRAINED).fit(frame, dear(price))


def dear(price):
    return np.array(["low", "mid", "top"])[np.digitize(price, [250, 400])]


# ---- what comes in -------------------------------------------------------------------------------


def test_a_frame_of_all_kinds(regressor, classifier):
    frame, price = houses(seed=1)
    assert regressor.score(frame, price) > 0.7
    assert classifier.score(frame, dear(price)) > 0.7
    used = {name: set(kinds) for name, kinds in regressor.model_.preprocessor.kinds.items()}
    assert "category" in used["town"]
    assert used["built"] == {"date"}
    assert "number" in used["area"]
    assert list(regressor.dropped_columns_) == ["id"]
    assert any("'id' is not used" in remark for remark in regressor.remarks_)
    assert regressor.n_features_in_ == 6
    assert list(regressor.feature_names_in_) == list(frame.columns)
    kept = TableRegressor(**QUICK, kinds={"id": "keep", "built": "drop"}).fit(frame, price)
    assert list(kept.dropped_columns_) == ["built"]


def test_polars_frames_and_orders_of_columns(regressor):
    frame, price = houses()
    other = pl.DataFrame({name: frame[name].to_list() for name in frame.columns}, strict=False)
    made = TableRegressor(**TRAINED)
    weighted = clone(made).fit(other, pl.Series("price", price), sample_weight=np.full(ROWS, 2.0))
    assert weighted.score(other, pl.Series("price", price)) > 0.7
    made.fit(other, pl.Series("price", price))
    assert made.model_.target == "price"
    expected = regressor.predict(frame)
    np.testing.assert_array_equal(made.predict(other), expected)
    np.testing.assert_array_equal(made.predict(frame[frame.columns[::-1]]), expected)
    np.testing.assert_array_equal(regressor.predict(other[other.columns[::-1]]), expected)
    with pytest.raises(ValueError, match="X: got columns without 'area', expected the columns"):
        regressor.predict(frame.drop(columns="area"))
    with pytest.raises(ValueError, match="X: got columns with 'more'"):
        regressor.predict(frame.assign(more=1))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(regressor.predict(frame.to_numpy(dtype=object)), expected)
    with (
        pytest.warns(UserWarning, match="does not have valid feature names"),
        pytest.raises(ValueError, match="X has 2 features, but TableRegressor is expecting 6"),
    ):
        regressor.predict(np.zeros((3, 2)))


def test_arrays_and_lists_of_mixed_objects():
    frame, price = houses()
    rows = frame.to_numpy(dtype=object)
    made = TableRegressor(**QUICK).fit(rows, price)
    again = TableRegressor(**QUICK).fit(rows.tolist(), price)
    np.testing.assert_array_equal(made.predict(rows), again.predict(rows.tolist()))
    assert not hasattr(made, "feature_names_in_")
    assert "category" in made.model_.preprocessor.kinds["x1"]
    numbers = TableRegressor(**QUICK).fit(frame[["area"]], price)  # One row names no columns...
    labelled = TableRegressor(**QUICK).fit(frame[["area"]].set_axis([0], axis=1), price)
    np.testing.assert_array_equal(
        numbers.predict(frame[["area"]]), labelled.predict(frame[["area"]].set_axis([0], axis=1))
    )
    rows[3, 2] = {"not": "a cell"}
    with pytest.raises(TypeError, match=r"X: .*dict in column 'x2'"):
        TableRegressor(**QUICK).fit(rows, price)


def test_numbers_of_an_array_are_no_ids_and_no_dates():
    days = 20240101.0 + np.arange(28)
    x = np.stack([np.arange(28.0), days, np.r_[np.nan, np.arange(27.0)]], axis=1)
    made = TableRegressor(**QUICK).fit(x, 2 * np.arange(28))
    assert not made.dropped_columns_
    assert set(made.model_.preprocessor.kinds.values()) == {("number",)}
    for frame in (pd.DataFrame(x), pl.from_numpy(x)):
        again = TableRegressor(**QUICK).fit(frame, 2 * np.arange(28))
        np.testing.assert_array_equal(again.predict(frame), made.predict(x))
    named = TableRegressor(**QUICK, kinds={"x2": "drop"}).fit(x, np.arange(28))
    assert list(named.dropped_columns_) == ["x2"]
    of_frame = TableRegressor(**QUICK).fit(pd.DataFrame(x, columns=["id", "date", "b"]), x[:, 0])
    assert "id" in of_frame.dropped_columns_
    assert of_frame.model_.preprocessor.kinds["date"] == ("date",)


# ---- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        [3, 1, 2],
        [2.0, -1.0, 0.0],
        [True, False],
        ["b", "a", "c"],
        ["Yes", "yes", "no"],
        ["NA", "?", "-"],
        ["01", "1", "1.0"],
        [" a", "a", "a "],
        ["true", "yes", "maybe"],
        ["", "nan", "null"],
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["array", "object", "categorical"])
def test_labels_come_back_as_they_came(tmp_path, labels, kind):
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (90, 2))
    y = np.array(labels)[np.digitize(x[:, 0], [-0.4, 0.4][: len(labels) - 1])]
    given = {"array": y, "object": y.astype(object), "categorical": pd.Categorical(y)}[kind]
    made = TableClassifier(**{**QUICK, "epochs": 40}).fit(x, given)
    assert made.classes_.tolist() == sorted(labels)
    assert made.predict(x).dtype == made.classes_.dtype
    assert {type(label) for label in made.predict(x).tolist()} == {type(labels[0])}
    assert made.score(x, given) > 0.8
    np.testing.assert_allclose(made.predict_proba(x).sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(made.predict_log_proba(x), np.log(made.predict_proba(x)))
    made.save(tmp_path / "m")
    loaded = TableClassifier.load(tmp_path / "m")
    assert loaded.classes_.tolist() == made.classes_.tolist()
    assert loaded.classes_.dtype == made.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(x), made.predict(x))


def test_classes_without_a_row_that_counts():
    x, y = IRIS
    made = TableClassifier(**QUICK).fit(x, y, sample_weight=np.where(y == 1, 0.0, 1.0))
    assert made.predict_proba(x).shape == (150, 3)
    assert (made.predict_proba(x)[:, 1] == 0).all()
    rest = np.flatnonzero(y != 1)
    alone = TableClassifier(**QUICK).fit(x[rest], y[rest])
    np.testing.assert_allclose(made.predict_proba(x)[:, [0, 2]], alone.predict_proba(x), atol=1e-6)
    with pytest.raises(ValueError, match="at least two classes"):
        TableClassifier(**QUICK).fit(x, np.zeros(150))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        TableClassifier(**QUICK).fit(x, x[:, 0])


def test_weights_of_classes():
    x, y = IRIS
    few = np.r_[50:100, 100:110]
    plain, weighted = (TableClassifier(**QUICK, class_weight=one) for one in (None, "balanced"))
    by_rows = np.where(y[few] == 1, 0.6, 3.0)
    np.testing.assert_array_equal(
        weighted.fit(x[few], y[few]).predict_proba(x),
        plain.fit(x[few], y[few], sample_weight=by_rows).predict_proba(x),
    )
    assert (
        weighted.predict_proba(x)[:, 1].mean()
        > clone(plain).fit(x[few], y[few]).predict_proba(x)[:, 1].mean()
    )


# ---- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "without"),
    [
        # Classes have one loss, and no logarithm; their weights are scikit-learn's.
        (TableClassifier, {"task", "loss", "quantiles", "log_target"}),
        (TableRegressor, {"task", "class_weight"}),
    ],
)
def test_every_choice_of_a_recipe_is_a_parameter(kind, without):
    names = {field.name for field in fields(Recipe)} - without
    parameters = inspect.signature(kind).parameters
    assert names <= set(parameters)
    assert all(parameters[name].default is None for name in names)
    assert names - {"class_weight"} == set(kind._choices) - {"class_weight"}


def test_choices_are_the_recipes():
    x, y = IRIS
    made = TableClassifier(
        layers=(8, 4), bins=3, activation="tanh", nets=2, epochs=2, dropout=0.3, folds=3,
        target_means=math.inf, linear=True,
    ).fit(x, y)  # fmt: skip
    assert (made.recipe_.layers, made.recipe_.bins, made.recipe_.nets) == ((8, 4), 3, 2)
    assert made.recipe_.target_means is None
    assert made.recipe_.linear
    assert TableClassifier(nets=1, epochs=1).fit(x, y).recipe_.target_means is not None
    best = TableClassifier(preset="best", epochs=1, layers=(4,)).fit(x, y)
    assert best.recipe_.nets > 1


def test_one_seed_is_a_table_models(regressor):
    frame, price = houses()
    model = TableModel("price", seed=0, nets=4, epochs=40, layers=(16,), task="regression")
    model.fit({**{name: frame[name] for name in frame}, "price": price})
    np.testing.assert_array_equal(model.predict(frame), regressor.predict(frame))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "slow"}, "preset: got 'slow'"),
        ({"layers": 5}, "layers: got"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"split": "groups"}, "split: got 'groups'"),
        ({"kinds": {"x9": "drop"}}, "no column 'x9'"),
        ({"kinds": {0: "drop"}}, "kinds: got 0"),
        ({"cv": 1}, "cv: got 1, expected 2 to"),
        ({"random_state": -1}, "random_state: got -1"),
        ({"random_state": "one"}, "random_state|seed"),
        ({"verbose": 3}, "verbose: got 3"),
    ],
)
def test_what_is_refused(settings, message):
    x, y = IRIS
    for kind in (TableClassifier, TableRegressor):
        with pytest.raises((ValueError, TypeError), match=message):
            kind(**{**QUICK, **settings}).fit(x, y)


def test_what_rows_are_refused():
    x, y = IRIS
    for kind in (TableClassifier, TableRegressor):
        made = kind(**QUICK)
        with pytest.raises(ValueError, match="X: got n_samples=3, expected at least 4 rows"):
            made.fit(x[[0, 60, 120]], y[[0, 60, 120]])
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            made.fit(x, y[:-1])
        with pytest.raises(ValueError, match="contains NaN"):
            made.fit(x, np.where(y == 0, np.nan, y))
        with pytest.raises(ValueError, match=r"sample_weight: got -1\.0 in row 0"):
            made.fit(x, y, sample_weight=np.r_[-1.0, np.ones(149)])
        with pytest.raises(ValueError, match="eval_set: got"):
            made.fit(x, y, eval_set=x)
        with pytest.raises(ValueError, match="X has 2 features"):
            made.fit(x, y, eval_set=(x[:, :2], y))
    with pytest.raises(ValueError, match="eval_set: got the label 7"):
        TableClassifier(**QUICK).fit(x, y, eval_set=(x[:9], np.full(9, 7)))


def test_quantiles(tmp_path):
    frame, price = houses()
    made = TableRegressor(**{**QUICK, "epochs": 40}, loss="quantile", quantiles=(0.8, 0.2), cv=2)
    predicted = made.fit(frame, price).predict(frame)
    assert predicted.shape == (ROWS, 2)
    assert (predicted[:, 0] <= predicted[:, 1]).all()
    assert 0.05 < np.mean(price < predicted[:, 0]) < 0.4
    assert 0.6 < np.mean(price < predicted[:, 1]) < 0.95
    scores = [d2_pinball_score(price, predicted[:, at], alpha=(0.2, 0.8)[at]) for at in (0, 1)]
    assert made.score(frame, price) == pytest.approx(np.mean(scores))
    assert made.cv_scores_.shape == (2,)
    assert made.feature_importances_.sum() == pytest.approx(1)
    made.save(tmp_path / "m")
    np.testing.assert_array_equal(TableRegressor.load(tmp_path / "m").predict(frame), predicted)
    median = TableRegressor(**QUICK, loss="quantile", quantiles=(0.5,)).fit(frame, price)
    assert median.predict(frame).shape == (ROWS, 1)
    assert median.score(frame, price) > 0
    with pytest.raises(ValueError, match=r"quantiles: got \(0\.5,\).*expected loss='quantile'"):
        TableRegressor(quantiles=(0.5,)).fit(frame, price)


def test_rows_that_say_which_epoch_is_the_best():
    frame, price = houses()
    more, of_more = houses(seed=1)
    made = TableRegressor(**QUICK).fit(frame, price, eval_set=(more, of_more))
    listed = TableRegressor(**QUICK).fit(frame, price, eval_set=[(more, of_more)])
    np.testing.assert_array_equal(made.predict(frame), listed.predict(frame))
    losses = made.model_.history[0]["val_loss"]
    assert made.model_.report["best_epochs"] == [int(np.argmin(losses)) + 1]
    x, y = IRIS
    made = TableClassifier(**QUICK).fit(x, y + 5, eval_set=(x[:60], y[:60] + 5))
    heard = []
    told = fw.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: heard.append(epoch))
    again = TableClassifier(**QUICK).fit(x, y + 5, eval_set=(x[:60], y[:60] + 5), callbacks=[told])
    assert len(heard) == len(made.model_.history[0]["loss"])
    np.testing.assert_array_equal(made.predict_proba(x), again.predict_proba(x))


# ---- rows that are left out ----------------------------------------------------------------------


def test_scores_of_folds():
    frame, price = houses()
    weights = np.random.default_rng(0).uniform(0.5, 2, ROWS)
    parts = list(KFold(3).split(frame))
    made = TableRegressor(**QUICK, cv=parts).fit(frame, price, sample_weight=weights)
    one = TableRegressor(**QUICK)
    expected = [
        clone(one)
        .fit(frame.iloc[train], price[train], sample_weight=weights[train])
        .score(frame.iloc[test], price[test], sample_weight=weights[test])
        for train, test in parts
    ]
    np.testing.assert_allclose(made.cv_scores_, expected, rtol=1e-12)
    whole = one.fit(frame, price, sample_weight=weights)
    assert not hasattr(whole, "cv_scores_")
    np.testing.assert_array_equal(whole.predict(frame), made.predict(frame))
    x, y = IRIS
    by_class = TableClassifier(**{**QUICK, "epochs": 30}, cv=5).fit(x, y)
    assert by_class.cv_scores_.min() > 0.75  # In the order of the rows each fold is one class.


def test_folds_are_as_rows_are_left_out(monkeypatch):
    frame, price = houses()
    seen = []
    learn = TableRegressor._fold_score

    def spy(self, table, targets, weights, validation, seed, train, test):
        seen.append((train, test))
        return learn(self, table, targets, weights, validation, seed, train, test)

    monkeypatch.setattr(TableRegressor, "_fold_score", spy)
    frame["town"] = np.where(frame["id"] % 4 == 0, "Bonn", frame["town"])
    TableRegressor(**QUICK, cv=2, split="group:town").fit(frame, price)
    for train, test in seen:
        assert not set(frame["town"].iloc[train]) & set(frame["town"].iloc[test])
    seen.clear()
    backwards = frame.iloc[::-1].reset_index(drop=True)
    TableRegressor(**QUICK, cv=2, split="time:id", kinds={"id": "keep"}).fit(backwards, price)
    assert len(seen) == 2
    for train, test in seen:
        assert backwards["id"].iloc[train].max() < backwards["id"].iloc[test].min()


def test_importances(regressor, classifier):
    frame, price = houses()
    names = list(frame.columns)
    for made in (regressor, classifier):
        found = dict(zip(names, made.feature_importances_, strict=True))
        assert set(sorted(found, key=found.get)[-2:]) == {"area", "town"}
        assert found["id"] == 0
        assert found["town"] > 5 * found["built"]
        assert sum(found.values()) == pytest.approx(1)
        assert (pickle.loads(pickle.dumps(made)).feature_importances_ == [*found.values()]).all()
    shuffled = permutation_importance(regressor, frame, price, n_repeats=3, random_state=0)
    assert names[shuffled.importances_mean.argmax()] == "area"
    given = TableRegressor(**QUICK, folds=0).fit(frame, price, eval_set=houses(seed=1))
    assert names[given.feature_importances_.argmax()] in ("area", "town")
    without = TableRegressor(**QUICK, folds=0).fit(frame, price)
    with pytest.raises(AttributeError, match="feature_importances_: got no rows that were left"):
        without.feature_importances_  # noqa: B018


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_importances_are_measured_on_rows_that_were_left_out(kind, is_weighted):
    frame, price = houses()
    weights = np.random.default_rng(0).integers(0, 3, ROWS) / 2 if is_weighted else None
    target = price if kind is TableRegressor else dear(price)
    made = kind(**{**QUICK, "nets": 3, "folds": 3}, target_means=2)
    made.fit(frame, target, sample_weight=weights)
    assert len(made._left_out) == 3
    for part, history in zip(made._left_out, made.model_.history, strict=True):
        loss = part.network.evaluate(
            part.features, part.targets, sample_weight=part.weights, verbose=0
        )
        assert loss == pytest.approx(min(history["val_loss"]), rel=1e-4)


# ---- copies, threads, other estimators -----------------------------------------------------------


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
def test_a_fit_that_is_refused_changes_nothing(kind):
    x, y = IRIS
    made = kind(**QUICK, cv=2).fit(x, y)
    before, scores = made.predict(x), made.cv_scores_
    for wrong in (
        lambda: made.fit(x[:, :2], y, sample_weight=np.full(150, -1.0)),
        lambda: made.set_params(layers=()).fit(x[:, :1], y, callbacks=[print, 3]),
        lambda: made.set_params(kinds={0: "drop"}).fit(x[:, :1], y + 3),
    ):
        with pytest.raises((ValueError, TypeError)):
            wrong()
    assert made.n_features_in_ == 4
    np.testing.assert_array_equal(made.predict(x), before)
    assert made.cv_scores_ is scores
    made.set_params(cv=None, layers=(4,), kinds=None).fit(x, y)
    assert not hasattr(made, "cv_scores_")


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
def test_copies_predict_alike(kind):
    x, y = IRIS
    made = kind(**{**QUICK, "nets": 3}, cv=2).fit(x, y)
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        np.testing.assert_array_equal(again.predict(x), made.predict(x))
        np.testing.assert_array_equal(again.fit(x, y).predict(x), made.predict(x))
        np.testing.assert_array_equal(again.cv_scores_, made.cv_scores_)


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(kind, backend):
    x, y = IRIS
    one = cross_validate(kind(**QUICK), x, y, cv=3)["test_score"]
    with joblib.parallel_backend(backend, n_jobs=2):
        several = cross_validate(kind(**QUICK, n_jobs=2), x, y, cv=3, n_jobs=2)["test_score"]
    np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
def test_bits_do_not_depend_on_threads(kind):
    x, y = IRIS
    before = fw.get_num_threads()
    found = [
        kind(**{**QUICK, "nets": 2}, cv=2, n_jobs=n_jobs).fit(x, y) for n_jobs in (1, 2, -1, None)
    ]
    for made in found[1:]:
        np.testing.assert_array_equal(made.predict(x), found[0].predict(x))
        np.testing.assert_array_equal(made.cv_scores_, found[0].cv_scores_)
        np.testing.assert_array_equal(made.feature_importances_, found[0].feature_importances_)
    assert fw.get_num_threads() == before


def test_threads_are_those_that_are_asked_for(monkeypatch):
    x, y = IRIS
    seen = []
    answers = TableRegressor._answers

    def spy(self, model, table):
        seen.append(fw.get_num_threads())
        return answers(self, model, table)

    monkeypatch.setattr(TableRegressor, "_answers", spy)
    told = fw.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(fw.get_num_threads())
    )
    made = TableRegressor(**QUICK, n_jobs=3).fit(x, y, callbacks=[told])
    made.predict(x)
    assert seen == [3, 3]


def test_random_states():
    x, y = IRIS
    made = TableRegressor(**QUICK)
    generators = [np.random.RandomState(5) for _ in range(2)]
    first, second = (
        clone(made).set_params(random_state=one).fit(x, y).predict(x) for one in generators
    )
    np.testing.assert_array_equal(first, second)
    third = made.set_params(random_state=generators[0]).fit(x, y).predict(x)
    assert (third != first).any()


def test_in_other_estimators():
    x, y = IRIS
    made = TableClassifier(**{**QUICK, "epochs": 30})
    pipe = make_pipeline(StandardScaler(), made)
    search = GridSearchCV(pipe, {"tableclassifier__layers": [(4,), (16, 16)]}, cv=3).fit(x, y)
    assert search.best_score_ > 0.85
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert CalibratedClassifierCV(made, cv=3).fit(x, y).score(x, y) > 0.85
    assert StackingClassifier([("a", pipe), ("b", made)], cv=2).fit(x, y).score(x, y) > 0.85
    stacked = StackingRegressor([("a", TableRegressor(**QUICK))], cv=KFold(2, shuffle=True))
    assert stacked.fit(x[:, :3], x[:, 3]).score(x[:, :3], x[:, 3]) > 0.8


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_output_of_transformers(library):
    x, y = IRIS
    frame = library.DataFrame({f"c{number}": x[:, number] for number in range(4)})
    pipe = make_pipeline(StandardScaler(), TableClassifier(**QUICK))
    pipe.set_output(transform=library.__name__).fit(frame, y)
    assert list(pipe[-1].feature_names_in_) == ["c0", "c1", "c2", "c3"]
    assert pipe.predict(frame).shape == (150,)


def test_metadata_is_routed():
    x, y = IRIS
    weights = np.where(y == 0, 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        made = TableClassifier(**QUICK).set_fit_request(sample_weight=True)
        made = made.set_score_request(sample_weight=True)
        search = GridSearchCV(made, {"bins": [4]}, cv=GroupKFold(3))
        search.fit(x, y, sample_weight=weights, groups=np.arange(150) % 3)
    assert (search.predict_proba(x)[:, 0] == 0).all()


# ---- files ---------------------------------------------------------------------------------------


def test_a_file_predicts_the_same_bits(tmp_path):
    frame, price = houses()
    made = TableRegressor(
        **QUICK, cv=KFold(2), kinds={"id": "keep"}, target_means=math.inf, preset="best"
    ).fit(frame, price)
    assert made.feature_importances_.sum() == pytest.approx(1)
    made.save(tmp_path / "m.safetensors")
    loaded = TableRegressor.load(tmp_path / "m.safetensors")
    backwards = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(loaded.predict(backwards), made.predict(frame))
    for name in ("feature_importances_", "cv_scores_", "feature_names_in_", "n_features_in_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(made, name))
    assert loaded.remarks_ == made.remarks_
    assert loaded.recipe_ == made.recipe_
    expected = {**made.get_params(), "cv": None, "layers": [16]}
    assert loaded.get_params() == expected
    again = made.set_params(cv=None).fit(frame, price)
    np.testing.assert_array_equal(loaded.fit(frame, price).predict(frame), again.predict(frame))
    x, y = IRIS
    unasked = TableClassifier(**QUICK, class_weight={0: 1.0, 1: 2.0, 2: 1.0}).fit(x, y)
    unasked.save(tmp_path / "n")
    loaded = TableClassifier.load(tmp_path / "n")
    assert loaded.class_weight == {0: 1.0, 1: 2.0, 2: 1.0}
    with pytest.raises(AttributeError, match="feature_importances_"):
        loaded.feature_importances_  # noqa: B018
    model = TableModel.load(tmp_path / "n")
    rows = {f"x{number}": x[:, number] for number in range(4)}
    assert model.predict(read(rows)).tolist() == unasked.predict(x).tolist()


def test_files_that_are_refused(tmp_path, classifier):
    path = tmp_path / "m"
    classifier.save(path)
    with pytest.raises(ValueError, match=r"m: estimator\.kind: got 'TableClassifier'"):
        TableRegressor.load(path)
    tensors, metadata = serialization.read(path)
    content = json.loads(metadata[ESTIMATOR])

    def changed(**changes):
        found = {ESTIMATOR: json.dumps({**content, **changes})}
        serialization.write(path, tensors, {**metadata, **found})
        with pytest.raises(ValueError, match=r"^.*m: ") as caught:
            TableClassifier.load(path)
        return str(caught.value)

    assert "parameters" in changed(parameters=[1])
    assert "unexpected keyword" in changed(parameters={"no": 1})
    assert "columns" in changed(columns=["town", "town"])
    assert "columns" in changed(columns=["town"])
    assert "feature_names" in changed(feature_names=["town"])
    assert "frame_names" in changed(frame_names=["town"])
    assert "is_named" in changed(is_named="yes")
    assert "importances" in changed(importances=[1.0])
    assert "importances" in changed(importances=["much"] * 6)
    assert "cv_scores" in changed(cv_scores={})
    assert "classes" in changed(classes=None)
    assert "classes" in changed(classes={"dtype": "<U3", "values": ["low", "mid", "new"]})
    assert "classes" in changed(classes={"dtype": "<U3", "values": ["low", "low", "mid", "top"]})
    assert "dtype" in changed(classes={"dtype": "<M8[s]", "values": [0, 1, 2]})
    assert "classes" in changed(classes={"dtype": "O", "values": ["low", "mid", ["top"]]})
    assert "entries" in changed(more=1)
    assert "large" in changed(classes={"dtype": "<i8", "values": [1, 2, 2**70]})
    changed(parameters={"class_weight": {"pairs": [[[], 1]]}})
    changed(parameters={"class_weight": {"number": []}})
    serialization.write(
        path, tensors, {**metadata, ESTIMATOR: json.dumps({**content, "kind": "TableRegressor"})}
    )
    with pytest.raises(
        ValueError, match="got a model of classification, expected one of regression"
    ):
        TableRegressor.load(path)
    serialization.write(path, tensors, {key: metadata[key] for key in metadata if key != ESTIMATOR})
    with pytest.raises(
        ValueError, match=r"got a TableModel, expected one of TableClassifier\.save"
    ):
        TableClassifier.load(path)


# ---- what is told --------------------------------------------------------------------------------


def test_odd_rows_are_told_of():
    frame, price = houses()
    made = TableRegressor(**QUICK).fit(frame, price)
    odd = frame.head(3).astype(object)
    odd[:] = "zzz"
    with pytest.warns(UserWarning, match="^X: columns unlike in training: .*'zzz'"):
        made.predict(odd)
    assert "'zzz'" in " ".join(made.remarks_on(odd))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": {"price": "drop"}}, "X: no column 'price' among 2"),
        ({"cv": 5, "split": "group:b"}, "cv: got 5, expected 2 to 3, as there are 3 groups"),
        ({"cv": 2, "split": "time:a"}, "split: got one time in all rows of column 'a'"),
        ({"split": "time:a"}, "split: got one time in all rows of column 'a'"),
    ],
)
def test_refusals_name_what_was_given(settings, message):
    frame = pd.DataFrame({"a": 1.0, "b": np.arange(60) % 3})
    price = pd.Series(np.arange(60.0), name="price")
    with pytest.raises(ValueError, match=message):
        TableRegressor(**{**QUICK, **settings}).fit(frame, price)


def test_refusals_of_targets_name_y():
    frame, price = houses()
    with pytest.raises(ValueError, match=r"^y: got 1 class, expected"):
        TableClassifier(**QUICK).fit(frame, np.ones(len(frame)))
    for times in (price.astype("datetime64[ns]"), list(price.astype("timedelta64[s]"))):
        with pytest.raises(ValueError, match=r"^y: got dates or durations"):
            TableRegressor(**QUICK).fit(frame, times)
