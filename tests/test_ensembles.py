"""Models that answer together: mean and spread, training on parts of the rows, and files."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from helpers import data, network, same_bits

import fastweights as fw
from fastweights import _portions, layers, losses, serialization

X, Y = data(60)
LABELS = np.arange(60) % 3


def nets(count=4, **settings):
    return [network(seed=seed, **settings) for seed in range(count)]


def two_ended(seed):
    x = fw.Input(5)
    hidden = layers.Dense(4, "tanh")(x)
    ends = {"p": layers.Dense(3, "softmax")(hidden), "q": layers.Dense(1)(hidden)}
    model = fw.Model(x, ends, "float64", seed=seed)
    loss = {"p": "sparse_categorical_crossentropy", "q": "mse"}
    metrics = {"p": ["accuracy"], "q": ["mae"]}
    model.compile("adam", loss, metrics, loss_weights={"q": 0.5})
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_and_spread(dtype):
    ensemble = fw.Ensemble(nets(5, dtype=dtype))
    each = np.array([model.predict(X) for model in ensemble], np.float64)
    mean, std = ensemble.predict(X, return_std=True)
    assert mean.dtype == std.dtype == dtype
    tolerance = 1e-7 if dtype == "float32" else 1e-15
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(std, each.std(axis=0), rtol=10 * tolerance, atol=tolerance)
    same_bits(ensemble.predict(X), mean)
    same_bits(np.array(ensemble.predict_each(X)), each.astype(dtype))


def test_the_spread_of_models_far_from_zero_keeps_its_digits():
    models = nets(3)
    for model, offset in zip(models, (1e8, 1e8 + 1, 1e8 + 2), strict=True):
        model.layers[-1].kernel[...] = 0.0
        model.layers[-1].bias[...] = offset
    mean, std = fw.Ensemble(models).predict(X, return_std=True)
    np.testing.assert_array_equal(mean, 1e8 + 1)
    np.testing.assert_allclose(std, np.sqrt(2 / 3), rtol=1e-12)


def test_one_model_is_its_own_mean():
    (model,) = nets(1)
    mean, std = fw.Ensemble([model]).predict(X, return_std=True)
    same_bits(mean, model.predict(X))
    assert not std.any()


def test_outputs_by_name_are_means_by_name():
    ensemble = fw.Ensemble([two_ended(seed) for seed in range(3)])
    mean, std = ensemble.predict(X, return_std=True)
    for name in ("p", "q"):
        each = np.array([predicted[name] for predicted in ensemble.predict_each(X)])
        np.testing.assert_allclose(mean[name], each.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(std[name], each.std(axis=0), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(mean["p"].sum(axis=1), 1.0)


def test_evaluate_is_of_the_mean():
    settings = {"last": "softmax", "loss": "sparse_categorical_crossentropy"}
    ensemble = fw.Ensemble(nets(4, metrics=("accuracy",), **settings))
    mean = ensemble.predict(X)
    loss, accuracy = ensemble.evaluate(X, LABELS)
    expected = -np.log(mean[np.arange(60), LABELS]).mean()
    assert loss == pytest.approx(expected, rel=1e-12)
    assert accuracy == (mean.argmax(axis=1) == LABELS).mean()
    assert ensemble.evaluate(X, LABELS, return_dict=True) == {"loss": loss, "accuracy": accuracy}
    # Jensen: no worse than its members are on the mean.
    assert loss <= np.mean([model.evaluate(X, LABELS)[0] for model in ensemble]) + 1e-12


def test_evaluate_of_one_number_of_series_and_of_several_outputs():
    ensemble = fw.Ensemble(nets(3))
    expected = ((ensemble.predict(X) - Y) ** 2).mean()
    assert ensemble.evaluate(X, Y) == pytest.approx(expected, rel=1e-12)

    ends = fw.Ensemble([two_ended(seed) for seed in range(3)])
    y = {"p": LABELS, "q": Y[:, :1]}
    mean, found = ends.predict(X), ends.evaluate(X, y, return_dict=True)
    p = -np.log(mean["p"][np.arange(60), LABELS]).mean()
    q = ((mean["q"] - y["q"]) ** 2).mean()
    assert found["p_loss"] == pytest.approx(p, rel=1e-12)
    assert found["loss"] == pytest.approx(p + 0.5 * q, rel=1e-12)
    assert found["q_mae"] == pytest.approx(np.abs(mean["q"] - y["q"]).mean(), rel=1e-12)
    assert set(found) == set(ends[0].evaluate(X, y, return_dict=True))

    def series(seed):
        made = fw.Sequential([layers.Dense(3, "softmax")], (4, 5), "float64", seed)
        made.compile("sgd", losses.SparseCategoricalCrossentropy())
        return made

    steps = np.random.default_rng(0).standard_normal((6, 4, 5))
    labels = np.arange(24).reshape(6, 4) % 3
    stepwise = fw.Ensemble([series(0), series(1)])
    mean = stepwise.predict(steps).reshape(24, 3)
    expected = -np.log(mean[np.arange(24), labels.reshape(-1)]).mean()
    assert stepwise.evaluate(steps, labels) == pytest.approx(expected, rel=1e-12)


def test_from_logits_are_means_of_logits():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    ensemble = fw.Ensemble(nets(3, loss=loss))
    logits = ensemble.predict(X)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(60), LABELS]
    assert ensemble.evaluate(X, LABELS) == pytest.approx(expected.mean(), rel=1e-12)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_bootstrap_draws_rows_for_each_by_its_seed(n_jobs):
    found = fw.Ensemble(nets(3))
    found.fit(X, Y, 7, 2, 0, rows="bootstrap", n_jobs=n_jobs)
    drawn = _portions.bootstrap([4, 5], 1, 10_000)
    counts = np.bincount(drawn, minlength=10_000)
    assert len(drawn) == 10_000
    assert abs((counts == 0).mean() - np.exp(-1)) < 0.02
    assert (drawn != _portions.bootstrap([4, 5], 0, 10_000)).any()
    for seed, model in enumerate(nets(3)):
        rows = _portions.bootstrap([seed], 0, 60)
        model.fit(X[rows], Y[rows], 7, 2, 0)
        same_bits(model.parameters, found[seed].parameters)


def test_folds_hold_out_each_row_once():
    parts = [fw.many.fold([3, 4, 5], number, 61) for number in range(3)]
    held = np.concatenate([part[1] for part in parts])
    np.testing.assert_array_equal(np.sort(held), np.arange(61))
    for train, held in parts:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(61))
    histories = fw.Ensemble(nets(3)).fit(X, Y, 7, 2, 0, rows="folds")
    assert all(len(history.history["val_loss"]) == 2 for history in histories)
    for given, match in (
        ({"rows": "fold"}, "rows: got 'fold', expected one of bootstrap, folds; did you mean"),
        ({"rows": 3}, "rows: got"),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            fw.Ensemble(nets(3)).fit(X, Y, **given)
    with pytest.raises(ValueError, match="'folds' of 60 rows for 1 models"):
        fw.Ensemble(nets(1)).fit(X, Y, rows="folds")


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nets, lambda: [two_ended(seed) for seed in range(3)]])
def test_a_file_holds_all_and_they_go_on(tmp_path, make):
    ensemble = fw.Ensemble(make())
    y = {"p": LABELS, "q": Y[:, :1]} if ensemble[0]._output_keys else Y
    ensemble.fit(X, y, 7, 2, 0)
    path = tmp_path / "ensemble.safetensors"
    ensemble.save(path, {"mine": "kept"})
    again = fw.load(path)
    assert isinstance(again, fw.Ensemble)
    assert len(again) == len(ensemble)
    for one, other in zip(ensemble, again, strict=True):
        one.fit(X, y, 7, 2, 0)
        other.fit(X, y, 7, 2, 0)
        same_bits(one.parameters, other.parameters)
    again.save(path)
    assert serialization.read_metadata(path)["mine"] == "kept"
    ensemble.save(path, include_optimizer=False)
    names = set(serialization.read(path)[0])
    assert {"0.0.weight", "2.0.bias"} <= names or {"0.dense.weight", "2.dense.bias"} <= names


def test_the_file_is_that_of_a_module_list(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    ensemble = fw.Ensemble(nets(2, dtype="float32"))
    ensemble.save(tmp_path / "e.safetensors", include_optimizer=False)

    def one():
        return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))

    twin = torch.nn.ModuleList([one(), one()])
    twin.load_state_dict(load_file(tmp_path / "e.safetensors"))
    found = twin[1](torch.tensor(X, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(found, ensemble[1].predict(X), atol=1e-5)


def test_pickled_and_copied():
    ensemble = fw.Ensemble(nets())
    ensemble.fit(X, Y, 7, 1, 0)
    for again in (pickle.loads(pickle.dumps(ensemble)), copy.deepcopy(ensemble)):
        same_bits(again.predict(X), ensemble.predict(X))
        assert again[0] is not ensemble[0]


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "e.safetensors"
    ensemble = fw.Ensemble(nets(2))
    ensemble.save(path)
    tensors, metadata = serialization.read(path)
    parts = json.loads(metadata["fastweights.ensemble"])

    def refused(match, tensors=tensors, told=None):
        text = metadata["fastweights.ensemble"] if told is None else told
        serialization.write(path, tensors, {"fastweights.ensemble": text})
        with pytest.raises(ValueError, match=match):
            fw.load(path)

    for told in ("[", "{}", "[]", "[1]", '[{"a": 1}]', "null"):
        refused("the description of the ensemble is damaged", told=told)
    refused(
        "model 1: got no tensor '0.weight'", {k: v for k, v in tensors.items() if k[:2] != "1."}
    )
    refused("unknown tensors", {**tensors, "2.0.weight": np.zeros(3)})
    refused("model 0: got unknown tensors", {**tensors, "0.9.weight": np.zeros(3)})
    refused("unknown tensors", told=json.dumps(parts[:1]))
    other = network((5, 7, 2))
    other.save(path)
    more = serialization.read(path)
    mixed = {k: v for k, v in tensors.items() if k[:2] == "0."}
    mixed.update((f"1.{name}", array) for name, array in more[0].items())
    refused("got model 1 from rows of", mixed, json.dumps([parts[0], more[1]]))


def test_a_file_of_several_is_no_model(tmp_path):
    path = tmp_path / "e.safetensors"
    fw.Ensemble(nets(2)).save(path)
    with pytest.raises(ValueError, match=r"expected one model; fastweights.load reads ensembles"):
        fw.saving.read(path)


# ---- refusals ------------------------------------------------------------------------------------


def test_what_is_refused(tmp_path):
    models = nets(2)
    for given, match in (
        ([], "models: got none"),
        ([models[0]] * 2, "models: got one model as 0 and 1"),
        ([models[0], network((5, 7, 2))], r"got model 1 from rows of \(5,\) to \(2,\), expected"),
        ([models[0], network((4, 7, 3))], "got model 1 from rows"),
    ):
        with pytest.raises(ValueError, match=match):
            fw.Ensemble(given)
    with pytest.raises(TypeError, match="models: got"):
        fw.Ensemble(models[0])
    ensemble = fw.Ensemble(models)
    with pytest.raises(AttributeError, match="models: is fixed; make a new Ensemble"):
        ensemble.models = ()
    with pytest.raises(TypeError, match="return_std: got 1"):
        ensemble.predict(X, return_std=1)
    with pytest.raises(ValueError, match=r"expected a name that ends in .safetensors"):
        ensemble.save(tmp_path / "e.h5")
    with pytest.raises(ValueError, match=r"metadata: got the key 'fastweights.ensemble'"):
        ensemble.save(tmp_path / "e", {"fastweights.ensemble": "x"})
    bare = fw.Ensemble([fw.Sequential([layers.Dense(1)], 3)])
    with pytest.raises(ValueError, match="compile: got no loss yet"):
        bare.evaluate(np.zeros((2, 3)), np.zeros(2))
    unbuilt = fw.Ensemble([fw.Sequential([layers.Dense(1)])])
    with pytest.raises(ValueError, match="input_shape: got none"):
        unbuilt.predict(np.zeros((2, 3)))


def test_masked_outputs_are_evaluated_by_nobody():
    def masked(seed):
        stack = [layers.Embedding(9, 3, mask_zero=True), layers.Dense(2)]
        made = fw.Sequential(stack, 4, seed=seed)
        made.compile("sgd", "mse")
        return made

    with pytest.raises(ValueError, match="evaluate: got models that mask some steps"):
        fw.Ensemble([masked(0), masked(1)]).evaluate(np.ones((2, 4), int), np.zeros((2, 4, 2)))


def test_evaluating_gives_no_advice_of_its_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = {"last": "softmax", "loss": "sparse_categorical_crossentropy"}
        fw.Ensemble(nets(2, **settings)).evaluate(X, LABELS)
