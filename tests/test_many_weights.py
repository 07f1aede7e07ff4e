"""Weights of rows and classes where many models are trained: as each model's own `fit` has them."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import data, network
from test_many import FOLDS, same_models

import fastweights as fw
from fastweights import layers

X, Y = data(60)
RANDOM = np.random.default_rng(3)
LABELS = (RANDOM.random(60) ** 2 * 3).astype(int)
WEIGHTS = RANDOM.random(60) * (RANDOM.random(60) > 0.2)
ROWS = [
    RANDOM.integers(0, 60, 60),  # a bootstrap
    RANDOM.permutation(60)[:31],
    np.arange(10, 40),  # follow each other
    RANDOM.integers(0, 60, 90),  # more than there are
    None,
]


def classifiers(count=5):
    return [
        network((5, 4 + k, 3), last="softmax", loss="sparse_categorical_crossentropy",
                optimizer=("sgd", "adam")[k % 2], metrics=("accuracy",), seed=k)
        for k in range(count)
    ]  # fmt: skip


def figures(histories):
    return [history.history for history in histories]


@pytest.mark.parametrize("sample_weight", [None, WEIGHTS])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.5, 2: 3.0}])
@pytest.mark.parametrize("split", [0.0, 0.3])
def test_rows_are_weighed_as_if_they_were_picked(sample_weight, class_weight, split):
    one, other = classifiers(), classifiers()
    expected = []
    for model, own in zip(one, ROWS, strict=True):
        rows = slice(None) if own is None else own
        weights = None if sample_weight is None else sample_weight[rows]
        expected.append(
            model.fit(X[rows], LABELS[rows], 7, 3, 0, validation_split=split,
                      class_weight=class_weight, sample_weight=weights)
        )  # fmt: skip
    found = fw.fit_many(
        other, X, LABELS, 7, 3, 0, validation_split=split, rows=ROWS, n_jobs=2,
        class_weight=class_weight, sample_weight=sample_weight,
    )  # fmt: skip
    same_models(one, other)
    assert figures(found) == figures(expected)


def test_balanced_goes_by_the_rows_of_each_fold_and_validation_by_weights_of_samples_alone():
    one, other = classifiers(3), classifiers(3)
    expected = [
        model.fit(X[train], LABELS[train], 7, 3, 0, class_weight="balanced",
                  sample_weight=WEIGHTS[train],
                  validation_data=(X[held], LABELS[held], WEIGHTS[held]))
        for model, (train, held) in zip(one, FOLDS, strict=True)
    ]  # fmt: skip
    ensemble = fw.Ensemble(other)
    found = ensemble.fit(
        X, LABELS, 7, 3, 0, class_weight="balanced", sample_weight=WEIGHTS, rows=FOLDS
    )
    same_models(one, other)
    assert figures(found) == figures(expected)


def test_validation_data_with_weights():
    one, other = classifiers(2), classifiers(2)
    held = X[:20], LABELS[:20], WEIGHTS[:20]
    expected = [model.fit(X, LABELS, 7, 2, 0, validation_data=held) for model in one]
    found = fw.fit_many(other, X, LABELS, 7, 2, 0, validation_data=held)
    assert figures(found) == figures(expected)


def test_weights_of_each_output():
    def model(seed):
        x = fw.Input(5)
        hidden = layers.Dense(4, "tanh")(x)
        ends = {"p": layers.Dense(3, "softmax")(hidden), "q": layers.Dense(3)(hidden)}
        made = fw.Model(x, ends, dtype="float64", seed=seed)
        made.compile("adam", {"p": "sparse_categorical_crossentropy", "q": "mse"})
        return made

    y, rows = {"p": LABELS, "q": Y}, ROWS[:2]
    one, other = [model(0), model(1)], [model(0), model(1)]
    for net, own in zip(one, rows, strict=True):
        net.fit(X[own], {name: part[own] for name, part in y.items()}, 7, 2, 0,
                class_weight={"p": "balanced"}, sample_weight={"q": WEIGHTS[own]})  # fmt: skip
    fw.fit_many(other, X, y, 7, 2, 0, rows=rows, class_weight={"p": "balanced"},
                sample_weight={"q": WEIGHTS})  # fmt: skip
    same_models(one, other)


def test_what_is_refused():
    models = classifiers(2)
    first, last = np.arange(60) < 30, np.arange(60) >= 30
    for error, match, settings in (
        (ValueError, "sample_weight: got 59 rows, expected as many",
         {"sample_weight": np.ones(59)}),
        (ValueError, "sample_weight: got -1.0 in row 0", {"sample_weight": -np.ones(60)}),
        (ValueError, "sample_weight: got 30 rows of weight 0",
         {"sample_weight": 1.0 * first, "rows": [first, last]}),
        (ValueError, "sample_weight: got 31 rows of weight 0",
         {"sample_weight": 1.0 - (np.isin(np.arange(60), ROWS[1])), "rows": [None, ROWS[1]]}),
        (ValueError, "validation sample_weight: got 30 rows of weight 0",
         {"sample_weight": 1.0 * first, "rows": [None, (first, last)]}),
        (ValueError, "a class of class_weight: got 3", {"class_weight": {3: 1.0}}),
        (ValueError, "class_weight: got .*, expected one of balanced", {"class_weight": "even"}),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            fw.fit_many(models, X, LABELS, 7, 1, 0, **settings)
    assert all(model.epochs_trained == 0 for model in models)


@pytest.mark.parametrize("settings", [{"folds": 3}, {}])
def test_a_sweep_has_them_too(settings):
    def build(width, seed):
        return network((5, width, 3), last="softmax", loss="sparse_categorical_crossentropy",
                       metrics=("accuracy",), seed=seed)  # fmt: skip

    weighed = {"class_weight": "balanced", "sample_weight": WEIGHTS}
    found = fw.sweep(build, {"width": [4]}, X, LABELS, epochs=3, verbose=0, **settings, **weighed)
    trial = found[0]
    if not settings:
        history = build(4, trial["seed"]).fit(
            X, LABELS, epochs=3, verbose=0, validation_split=0.2, **weighed
        )
        assert trial["score"] == min(history.history["val_loss"])
    else:
        plain = fw.sweep(build, {"width": [4]}, X, LABELS, epochs=3, verbose=0, **settings)
        assert len(set(trial["scores"]) | set(plain[0]["scores"])) == 6
