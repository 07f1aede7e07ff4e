"""Figures of passes of a model: metrics that see all rows, functions, and who hears of them."""

import dataclasses
import functools
import sys
import threading

import numpy as np
import pytest
from helpers import data, network, same_bits
from test_masks import masked, rows_of, targets_of

import fastweights as fw
from fastweights import callbacks, layers, metrics, training

sklearn = pytest.importorskip("sklearn.metrics")
SETTINGS = sys.modules["fastweights.config"]


def of_two(chosen, rows=300, seed=0, loss="binary_crossentropy", last="sigmoid", **settings):
    """A network that tells two classes apart, and rows for it."""
    x, _ = data(rows, seed=seed)
    y = (x @ np.arange(1.0, 6.0) + np.random.default_rng(seed).normal(0, 4, rows) > 0).astype(float)
    return (
        network((5, 7, 1), last=last, loss=loss, metrics=chosen, **settings),
        x,
        y,
    )


def largest_error(y_true, y_pred):
    return np.abs(y_true - y_pred).max()


def error(y_true, y_pred):
    return np.abs(y_true - y_pred)


CHOSEN = ("auc", metrics.AUC(200, name="keras_auc"), "precision", "recall", largest_error, error)


def expected_of(y, p):
    """What scikit-learn and NumPy make of CHOSEN, without the thresholds."""
    return {
        "auc": sklearn.roc_auc_score(y, p),
        "precision": sklearn.precision_score(y, p > 0.5),
        "recall": sklearn.recall_score(y, p > 0.5),
        "largest_error": np.abs(y - p).max(),
        "error": np.abs(y - p).mean(),
    }


@pytest.mark.parametrize("batch_size", [1, 32, 300])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epochs_figures_are_of_all_its_rows(batch_size, shuffle):
    """Where nothing moves, of whatever batches and in whatever order, they are those of predict."""
    model, x, y = of_two(CHOSEN, optimizer=fw.optimizers.SGD(0.0))
    history = model.fit(
        x, y, batch_size, 2, verbose=0, shuffle=shuffle, validation_split=0.25
    ).history
    p = model.predict(x)[:, 0]
    assert set(history) == {
        prefix + name
        for prefix in ("", "val_")
        for name in ("loss", "keras_auc", *expected_of(y, p))
    }
    for prefix, part in (("", slice(225)), ("val_", slice(225, None))):
        for name, value in expected_of(y[part], p[part]).items():
            assert history[prefix + name] == pytest.approx([value] * 2, rel=1e-12)
        assert history[f"{prefix}keras_auc"][0] == pytest.approx(
            history[f"{prefix}auc"][0], abs=0.02
        )
    found = model.evaluate(x, y, return_dict=True)
    for name, value in expected_of(y, p).items():
        assert found[name] == pytest.approx(value, rel=1e-12)


def test_training_figures_are_of_predictions_before_each_step():
    model, x, y = of_two(["auc", error], optimizer="adam")
    twin, *_ = of_two([], optimizer="adam")
    seen = []
    for first in range(0, 300, 32):
        seen.append(twin.predict(x[first : first + 32]))
        twin.train_on_batch(x[first : first + 32], y[first : first + 32])
    history = model.fit(x, y, 32, 1, verbose=0, shuffle=False).history
    p = np.concatenate(seen)[:, 0]
    assert history["auc"][0] == pytest.approx(sklearn.roc_auc_score(y, p), rel=1e-9)
    assert history["error"][0] == pytest.approx(np.abs(y - p).mean(), rel=1e-9)
    same_bits(model.parameters, twin.parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_figures_do_not_depend_on_threads(dtype, monkeypatch):
    monkeypatch.setattr(SETTINGS, "_grain", 0.0)
    found = []
    for threads in (1, 2, 3, 7):
        with fw.threads(threads):
            model, x, y = of_two(
                (*CHOSEN, "balanced_accuracy", metrics.ConfusionMatrix(), "pearson_correlation"),
                rows=1500, optimizer="adam", dtype=dtype,
            )  # fmt: skip
            history = model.fit(x, y, 700, 3, verbose=0, validation_split=0.3).history
            found.append({key: np.array(value) for key, value in history.items()})
    for other in found[1:]:
        for key, value in found[0].items():
            same_bits(value, other[key])


def test_several_outputs_each_have_their_own():
    inputs = fw.Input(5)
    hidden = layers.Dense(6, "tanh")(inputs)
    outs = {
        "price": layers.Dense(2)(hidden),
        "kind": layers.Dense(3, "softmax")(hidden),
        "sold": layers.Dense(1, "sigmoid")(hidden),
    }
    model = fw.Model(inputs, outs, "float64", seed=0)
    kinds = {
        "price": "mse",
        "kind": "sparse_categorical_crossentropy",
        "sold": "binary_crossentropy",
    }
    model.compile(
        fw.optimizers.SGD(0.0), kinds,
        {"price": [largest_error], "sold": ["auc", "mcc"],
         "kind": [metrics.AUC(multi_label=True), metrics.F1Score("macro")]},
    )  # fmt: skip
    x, price = data(90, outputs=2)
    random = np.random.default_rng(3)
    y = {"price": price, "kind": random.integers(0, 3, 90), "sold": random.integers(0, 2, 90)}
    p = model.predict(x)
    expected = {
        "price_largest_error": np.abs(price - p["price"]).max(),
        "kind_auc": sklearn.roc_auc_score(y["kind"], p["kind"], multi_class="ovr"),
        "kind_f1_score": sklearn.f1_score(
            y["kind"], p["kind"].argmax(axis=1), average="macro", labels=[0, 1, 2]
        ),
        "sold_auc": sklearn.roc_auc_score(y["sold"], p["sold"]),
        "sold_mcc": sklearn.matthews_corrcoef(y["sold"], p["sold"] > 0.5),
    }
    found = model.evaluate(x, y, return_dict=True)
    history = model.fit(x, y, 16, 1, verbose=0).history
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12)
        assert history[name][0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "activation", "outputs", "chosen"),
    [
        ("mse", None, 2, [largest_error, "explained_variance", "pearson_correlation"]),
        ("binary_crossentropy", "sigmoid", 2, ["auc", "precision", "auc_of_each"]),
        ("sparse_categorical_crossentropy", "softmax", 4, ["auc", "mcc", "confusion_matrix"]),
        ("categorical_crossentropy", "softmax", 3, ["auc", "cohen_kappa", "f1_score"]),
    ],
)
def test_steps_that_a_mask_leaves_out_do_not_count(loss, activation, outputs, chosen):
    chosen = [
        metrics.AUC(multi_label=True, name=one) if one == "auc_of_each" else one for one in chosen
    ]
    model = masked(loss, activation, outputs, chosen=chosen)
    x, is_told = rows_of(700)
    y = targets_of(loss, (700, 6, outputs))
    alone = fw.Sequential(
        [layers.Dense(5, "tanh"), layers.Dense(outputs, activation)], 3, "float64"
    )
    alone.set_weights(model.get_weights())
    alone.compile("sgd", loss, chosen)
    expected = alone.evaluate(x[is_told], y[is_told])
    for given, other in zip(model.evaluate(x, y), expected, strict=True):
        np.testing.assert_allclose(given, other, rtol=1e-10)
    model.compile(fw.optimizers.SGD(0.0), loss, chosen)
    history = model.fit(x, y, 700, 1, verbose=0, shuffle=True).history
    for given, other in zip(history.values(), expected, strict=True):
        np.testing.assert_allclose(given[0], other, rtol=1e-10)


def test_weights_of_rows_are_those_of_figures():
    chosen = ("auc", "precision", "mcc", error, "r2", "explained_variance")
    model, x, y = of_two(chosen, optimizer=fw.optimizers.SGD(0.0))
    weights = np.random.default_rng(5).integers(0, 3, 300).astype(float)
    broken = x.copy()
    broken[weights == 0] = 1e30  # is not looked at
    p = model.predict(x)[:, 0]
    expected = {
        "auc": sklearn.roc_auc_score(y, p, sample_weight=weights),
        "precision": sklearn.precision_score(y, p > 0.5, sample_weight=weights),
        "mcc": sklearn.matthews_corrcoef(y, p > 0.5, sample_weight=weights),
        "error": np.average(np.abs(y - p), weights=weights),
        "r2": sklearn.r2_score(y, p, sample_weight=weights),
        "explained_variance": sklearn.explained_variance_score(y, p, sample_weight=weights),
    }
    found = model.evaluate(broken, y, sample_weight=weights, return_dict=True)
    history = model.fit(broken, y, 32, 1, verbose=0, sample_weight=weights).history
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-11), name
        assert history[name][0] == pytest.approx(value, rel=1e-11), name


# ---- functions -----------------------------------------------------------------------------------


def test_functions_get_rows_that_they_may_not_write_to():
    seen = {}

    def look(y_true, y_pred):
        seen.update(true=y_true, pred=y_pred)
        return 1.0

    model, (x, y) = network(metrics=(look,)), data(40)
    before = y.copy()
    assert model.evaluate(x, y)[1] == 1.0
    np.testing.assert_array_equal(seen["true"], y)
    np.testing.assert_array_equal(seen["pred"], model.predict(x))
    for array in seen.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    np.testing.assert_array_equal(before, y)
    labelled = network(
        (5, 3), last="softmax", loss="sparse_categorical_crossentropy", metrics=(look,)
    )
    labels = np.arange(40) % 3
    labelled.evaluate(x, labels)
    np.testing.assert_array_equal(seen["true"], labels)
    assert seen["pred"].shape == (40, 3)


def test_functions_with_settings_and_weights():
    def power(y_true, y_pred, sample_weight=None, exponent=1.0):
        found = np.average(
            (np.abs(y_true - y_pred) ** exponent).mean(axis=1), weights=sample_weight
        )
        return found, sample_weight

    def number(y_true, y_pred, sample_weight=None, exponent=1.0):
        return power(y_true, y_pred, sample_weight, exponent)[0]

    cubed = metrics.MeanMetricWrapper(number, "cubed", exponent=3.0)
    model, (x, y) = network(metrics=(number, cubed)), data(40)
    errors = np.abs(model.predict(x) - y)
    weights = np.linspace(0.0, 1.0, 40)
    found = model.evaluate(x, y, sample_weight=weights, return_dict=True)
    assert found["number"] == pytest.approx(np.average(errors.mean(axis=1), weights=weights))
    assert found["cubed"] == pytest.approx(np.average((errors**3).mean(axis=1), weights=weights))


def bad_shape(y_true, y_pred):
    return np.zeros(len(y_pred) + 1)


def no_number(y_true, y_pred):
    return "good"


def test_what_functions_must_give():
    x, y = data(40)
    for function, error_kind, message in (
        (bad_shape, ValueError, r"metrics: got an array of shape \(41,\) from bad_shape, expected"),
        (no_number, TypeError, "metrics: got <U4 from no_number, expected numbers"),
    ):
        model = network(metrics=(function,))
        with pytest.raises(error_kind, match=message):
            model.evaluate(x, y)
    model = network(metrics=(largest_error,))
    with pytest.raises(ValueError, match="one number from largest_error, of rows with weights"):
        model.evaluate(x, y, sample_weight=np.linspace(0.0, 1.0, 40))
    with pytest.raises(TypeError, match="name: got none"):
        network(metrics=(functools.partial(error),))
    with pytest.raises(TypeError, match=r"fn: got 3\.0, expected a function"):
        metrics.MeanMetricWrapper(3.0)
    with pytest.raises(TypeError, match="metrics: got the class Precision"):
        network(metrics=(metrics.Precision,))


def test_a_function_may_be_an_object_that_has_no_hash():
    @dataclasses.dataclass
    class Off:
        __name__ = "off"
        by: float

        def __call__(self, y_true, y_pred):
            return np.abs(y_pred - y_true) + self.by

    x, y = data(40)
    plain, off = (network(metrics=(f,)).evaluate(x, y) for f in (Off(0.0), Off(1.0)))
    assert off[1] == pytest.approx(plain[1] + 1.0)


def test_scikit_learn_s_functions_with_arguments_given_and_without_weights():
    sklearn = pytest.importorskip("sklearn.metrics")
    x, y = data(40)
    half = network(
        (5, 1),
        metrics=[
            metrics.from_sklearn(functools.partial(sklearn.mean_pinball_loss, alpha=0.2)),
            metrics.from_sklearn(sklearn.mean_pinball_loss, "same", alpha=0.2),
        ],
    )
    told = half.evaluate(x, y[:, :1], return_dict=True)
    assert told["mean_pinball_loss"] == told["same"] > 0
    for metric in (metrics.from_sklearn(sklearn.max_error), metrics.from_sklearn("neg_max_error")):
        model = network((5, 1), metrics=[metric])
        model.evaluate(x, y[:, :1])
        with pytest.raises(ValueError, match=r"metrics: got weights of rows for .*max_error"):
            model.evaluate(x, y[:, :1], sample_weight=np.linspace(0.0, 1.0, 40))


def test_an_error_in_a_function_leaves_a_usable_model():
    calls = []

    def fails(y_true, y_pred):
        calls.append(len(y_pred))
        if len(calls) == 2:
            raise ArithmeticError("not today")
        return 0.0

    x, y = data(40)
    model, twin = network(metrics=(fails,)), network()
    with pytest.raises(ArithmeticError, match="not today"):
        model.fit(x, y, 8, 5, verbose=0)
    assert calls == [40, 40]
    twin.fit(x, y, 8, 2, verbose=0)
    same_bits(model.parameters, twin.parameters)
    model.fit(x, y, 8, 1, verbose=0)
    twin.fit(x, y, 8, 1, verbose=0)
    same_bits(model.parameters, twin.parameters)


def test_functions_may_use_the_model_of_another_thread():
    model, (x, y) = network(metrics=(error,)), data(200)
    expected, found = model.evaluate(x, y), []
    threads = [
        threading.Thread(target=lambda: found.append(model.evaluate(x, y))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


# ---- scikit-learn's ------------------------------------------------------------------------------


def test_scorers_and_functions_of_scikit_learn():
    chosen = [
        metrics.from_sklearn("roc_auc"),
        metrics.from_sklearn("neg_log_loss"),
        metrics.from_sklearn("balanced_accuracy"),
        metrics.from_sklearn(sklearn.f1_score),
        metrics.from_sklearn(sklearn.brier_score_loss, response_method="predict_proba"),
        metrics.from_sklearn(sklearn.make_scorer(sklearn.fbeta_score, beta=2.0), "f2"),
        metrics.from_sklearn(sklearn.fbeta_score, "half", larger_is_better=True, beta=0.5),
    ]
    model, x, y = of_two(chosen)
    p = model.predict(x)[:, 0]
    weights = np.random.default_rng(1).uniform(0.1, 1.0, 300)
    for given in (None, weights):
        every = {"sample_weight": given}
        found = model.evaluate(x, y, return_dict=True, **every)
        for name, expected in (
            ("roc_auc", sklearn.roc_auc_score(y, p, **every)),
            ("neg_log_loss", -sklearn.log_loss(y, p, **every)),
            ("balanced_accuracy", sklearn.balanced_accuracy_score(y, p > 0.5, **every)),
            ("f1_score", sklearn.f1_score(y, p > 0.5, **every)),
            ("brier_score_loss", sklearn.brier_score_loss(y, p, **every)),
            ("f2", sklearn.fbeta_score(y, p > 0.5, beta=2.0, **every)),
            ("half", sklearn.fbeta_score(y, p > 0.5, beta=0.5, **every)),
        ):
            assert found[name] == pytest.approx(expected, rel=1e-12), name
    assert larger_of(model) == {
        "roc_auc", "neg_log_loss", "balanced_accuracy", "f2", "half",
    }  # fmt: skip


@pytest.mark.parametrize("from_logits", [False, True])
def test_scorers_of_several_classes(from_logits):
    loss = fw.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model = network(
        (5, 4), last=None if from_logits else "softmax", loss=loss,
        metrics=[metrics.from_sklearn("roc_auc_ovr"), metrics.from_sklearn("accuracy")],
    )  # fmt: skip
    x, labels = data(60)[0], np.arange(60) % 4
    z = model.predict(x)
    p = np.exp(z) / np.exp(z).sum(axis=1)[:, None] if from_logits else z
    _, auc, accuracy = model.evaluate(x, labels)
    assert auc == pytest.approx(sklearn.roc_auc_score(labels, p, multi_class="ovr"), rel=1e-12)
    assert accuracy == sklearn.accuracy_score(labels, z.argmax(axis=1))


def test_scorers_of_numbers():
    model, (x, y) = network(
        (5, 1), metrics=[metrics.from_sklearn("neg_median_absolute_error"),
                         metrics.from_sklearn(sklearn.median_absolute_error),
                         sklearn.max_error]
    ), data(60, outputs=1)  # fmt: skip
    p = model.predict(x)
    median = sklearn.median_absolute_error(y, p)
    assert model.evaluate(x, y)[1:] == pytest.approx([-median, median, sklearn.max_error(y, p)])


def larger_of(model):
    """The figures of which larger is better."""
    return {name for name in model._compiled.log_names if model._larger_is_better(name)}


# ---- who hears of them ---------------------------------------------------------------------------


def test_early_stopping_knows_which_way_they_go():
    chosen = [
        "auc", "precision", "false_positives", "mcc", "confusion_matrix", error,
        metrics.MeanMetricWrapper(error, "gain", larger_is_better=True),
    ]  # fmt: skip
    model, x, y = of_two(chosen)
    assert larger_of(model) == {"auc", "precision", "mcc", "gain"}
    for monitor, is_larger in (("val_auc", True), ("val_error", False), ("gain", True)):
        stopping = callbacks.EarlyStopping(monitor, patience=1)
        history = model.fit(
            x, y, 32, 3, verbose=0, callbacks=stopping, validation_split=0.2
        ).history
        best = max(history[monitor]) if is_larger else min(history[monitor])
        assert stopping.best == best


class Progress(callbacks.Callback):
    """Keeps what is told between batches."""

    def __init__(self):
        self.told = []

    def on_progress(self, epoch, rows, total, logs):
        self.told.append(logs)


def test_between_batches_nothing_is_told_of_what_needs_all_rows(monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    model, x, y = of_two(["accuracy", "auc", error, "recall"])
    progress = Progress()
    model.fit(x, y, 30, 1, verbose=0, callbacks=progress)
    assert len(progress.told) == 9
    assert all(set(logs) == {"loss", "accuracy", "recall"} for logs in progress.told)


def test_a_fit_that_is_stopped_in_an_epoch_has_the_figures_of_what_it_saw(monkeypatch):
    monkeypatch.setattr(training, "STRETCH_SECONDS", 0.0)
    rows = []

    def count(y_true, y_pred):
        rows.append(len(y_pred))
        return 0.0

    class Stops(callbacks.Callback):
        def on_progress(self, epoch, rows, total, logs):
            self.model.stop_training = rows >= 90

    model, x, y = of_two([count, "confusion_matrix"])
    history = model.fit(x, y, 30, 3, verbose=0, callbacks=Stops()).history
    assert rows == [90]
    assert history["confusion_matrix"][0].sum() == 90


def test_arrays_are_in_histories_and_not_in_lines(capsys):
    model, x, y = of_two(["confusion_matrix", metrics.Precision([0.2, 0.8]), "accuracy"])
    history = model.fit(x, y, 32, 2, verbose=2).history
    assert history["confusion_matrix"][1].shape == (2, 2)
    assert history["precision"][0].shape == (2,)
    told = capsys.readouterr().out
    assert "accuracy: " in told
    assert "confusion" not in told
    assert "precision" not in told
    with pytest.raises(TypeError, match="monitor: got 'confusion_matrix', which is an array"):
        model.fit(x, y, verbose=0, callbacks=callbacks.EarlyStopping("confusion_matrix"))


def test_arrays_are_in_tables(tmp_path):
    model, x, y = of_two(["confusion_matrix"])
    table = tmp_path / "log.csv"
    history = model.fit(x, y, 32, 1, verbose=0, callbacks=callbacks.CSVLogger(table)).history
    matrix = history["confusion_matrix"][0].tolist()
    assert str(matrix) in table.read_text()


def test_train_on_batch_has_them_of_its_rows():
    model, x, y = of_two(["auc", error, "mcc"])
    p = model.predict(x)[:, 0]
    found = model.train_on_batch(x, y, return_dict=True)
    assert found["auc"] == pytest.approx(sklearn.roc_auc_score(y, p), rel=1e-12)
    assert found["error"] == pytest.approx(np.abs(y - p).mean(), rel=1e-12)
    assert found["mcc"] == pytest.approx(sklearn.matthews_corrcoef(y, p > 0.5), rel=1e-12)


# ---- files ---------------------------------------------------------------------------------------


def test_metrics_with_settings_are_in_files(tmp_path):
    chosen = [
        metrics.AUC(200, "PR", thresholds=None, name="pr"), metrics.AUC(thresholds=[0.1, 0.5]),
        metrics.Precision([0.1, 0.9], name="p"), metrics.Recall(class_id=0),
        metrics.F1Score("micro", 0.5), metrics.CohenKappa("quadratic"), "mcc",
    ]  # fmt: skip
    model, x, y = of_two(chosen)
    model.save(tmp_path / "model.safetensors")
    loaded = fw.load(tmp_path / "model.safetensors")
    assert loaded.metrics == model.metrics
    for one, other in zip(loaded.evaluate(x, y), model.evaluate(x, y), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("function", [error, metrics.MeanMetricWrapper(error), "scorer"])
def test_functions_are_in_no_file(function, tmp_path):
    function = metrics.from_sklearn("roc_auc") if function == "scorer" else function
    model, *_ = of_two([function])
    message = r"save: got .*(metrics of this library|one that @fw\.register_metric)"
    with pytest.raises(TypeError, match=message):
        model.save(tmp_path / "model.safetensors")
    assert model.copy().metrics == model.metrics


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([metrics.Precision(class_id=1)], r"metrics: got class_id=1 of 'precision' for 1 outputs"),
        ([metrics.AUC(multi_label=True, num_labels=2)], "num_labels of 'auc': got 2, expected 1"),
        (["hinge"], "y: got targets that hinge would change, expected -1 and 1"),
    ],
)
def test_what_does_not_suit_the_outputs_is_refused(chosen, message):
    model, x, y = of_two(chosen)
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize("kind", ["precision", "auc", "balanced_accuracy", "true_positives"])
def test_half_a_class_is_refused(kind):
    model, x, y = of_two([kind])
    with pytest.raises(ValueError, match=r"y: got 0\.5 in row 3, expected targets of 0 and 1"):
        model.evaluate(x, np.where(np.arange(300) == 3, 0.5, y))


@pytest.mark.parametrize("kind", ["mcc", "f1_score", "confusion_matrix"])
def test_rows_of_several_classes_are_refused(kind):
    model = network((5, 3), last="softmax", loss="categorical_crossentropy", metrics=(kind,))
    y = np.eye(3)[np.arange(30) % 3]
    y[7] = 0.5, 0.0, 0.5
    with pytest.raises(ValueError, match=r"y: got \[0\.5.*\] in row 7, expected one class in each"):
        model.evaluate(data(30)[0], y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(curve="roc"), "curve: got 'roc', expected one of ROC, PR"),
        (lambda: metrics.AUC(1), "num_thresholds: got 1, expected at least 2"),
        (lambda: metrics.AUC(10**9), "num_thresholds: got 1000000000, expected at most 1000000"),
        (lambda: metrics.AUC(9, thresholds=[0.5]), "thresholds: got both"),
        (lambda: metrics.AUC(thresholds=[2.0]), "thresholds: got 2.0, expected numbers from 0"),
        (lambda: metrics.AUC(summation_method="minoring"), "summation_method: got 'minoring'"),
        (lambda: metrics.AUC(num_labels=2), "num_labels: got 2, expected multi_label=True"),
        (lambda: metrics.Precision([]), "thresholds: got none"),
        (lambda: metrics.Precision(top_k=0), "top_k: got 0"),
        (lambda: metrics.F1Score("mean"), "average: got 'mean', expected one of micro"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta: got 0"),
        (lambda: metrics.CohenKappa("cubic"), "weights: got 'cubic'"),
        (lambda: metrics.TopKCategoricalAccuracy(1), "k: got 1"),
        (lambda: metrics.get("precision", fw.losses.CategoricalCrossentropy(from_logits=True)),
         "metrics: got 'precision' beside logits of several classes"),
        (lambda: metrics.get(metrics.Recall(), fw.losses.CategoricalCrossentropy(from_logits=True)),
         "metrics: got 'recall' beside logits of several classes"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "loss", [fw.losses.BinaryCrossentropy(from_logits=True), fw.losses.Hinge()]
)
def test_objects_read_outputs_as_the_loss_does(loss):
    model, x, _ = of_two(
        [
            *(metrics.Precision(), metrics.Recall(name="r"), metrics.F1Score(name="f")),
            *(metrics.BinaryAccuracy(), metrics.TruePositives(), metrics.BalancedAccuracy()),
            *(metrics.ConfusionMatrix(), metrics.Precision(0.5, name="above")),
        ],
        loss=loss,
        last=None,
    )
    p = model.predict(x)[:, 0]
    y = np.random.default_rng(3).random(len(p)) < 0.5
    found = model.evaluate(x, y * 2.0 - 1.0 if loss.name == "hinge" else y, return_dict=True)
    hits, said = (y & (p > 0)).sum(), (p > 0).sum()
    assert said != (p > 0.5).sum()  # else it would not matter
    assert found["precision"] == hits / said
    assert found["r"] == hits / y.sum()
    assert found["f"] == pytest.approx(2 * hits / (said + y.sum()), rel=1e-12)
    assert found["binary_accuracy"] == ((p > 0) == y).mean()
    assert found["true_positives"] == hits
    specific = (~y & (p <= 0)).sum() / (~y).sum()
    assert found["balanced_accuracy"] == pytest.approx((hits / y.sum() + specific) / 2, rel=1e-12)
    assert found["confusion_matrix"][1, 1] == hits
    assert found["above"] == (y & (p > 0.5)).sum() / (p > 0.5).sum()


def test_crossentropy_and_areas_read_logits_as_the_loss_does():
    logits = fw.losses.BinaryCrossentropy(from_logits=True)
    model, x, y = of_two([metrics.BinaryCrossentropy("b")], loss=logits, last=None)
    found = model.evaluate(x, y, return_dict=True)
    assert found["b"] == pytest.approx(found["loss"], rel=1e-6)
    assert metrics.get(metrics.AUC(9), logits) == metrics.AUC(9, from_logits=True)
    assert metrics.get(metrics.AUC(9, from_logits=False), logits).from_logits is False


def test_by_name_they_read_outputs_as_the_loss_does():
    logits = fw.losses.BinaryCrossentropy(from_logits=True)
    plain = fw.losses.BinaryCrossentropy()
    several = fw.losses.CategoricalCrossentropy(from_logits=True)
    get = metrics.get
    assert get("precision", logits) == metrics.Precision(0.0)
    assert get("precision", plain) == metrics.Precision()
    assert get("recall", fw.losses.Hinge()) == metrics.Recall(0.0)
    assert get("auc", logits) == metrics.AUC(from_logits=True)
    assert get("f1_score", plain) == metrics.F1Score(threshold=0.5)
    assert get("f1_score", logits) == metrics.F1Score(threshold=0.0)
    assert get("f1_score", several) == metrics.F1Score()
    assert get("mcc", logits) == metrics.MatthewsCorrelation("mcc", 0.0)
    assert get("log_loss", several) == metrics.CategoricalCrossentropy("log_loss", True)
    assert get("top_k_categorical_accuracy", several) == metrics.TopKCategoricalAccuracy()
