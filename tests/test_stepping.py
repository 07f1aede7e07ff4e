"""Steps: all settings of all optimizers, in any combination, against a plain NumPy loop."""

import importlib.util
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import keras_steps
import numpy as np
import pytest
from helpers import data, expect_one_training, network, same_bits, twin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_steps import Plain, adam, momentum, sgd

import fastweights as fw
from fastweights import layers, optimizers, schedules

RULES = {
    "sgd": (optimizers.SGD, sgd, {}),
    "momentum": (optimizers.SGD, momentum, {"momentum": 0.9}),
    "adam": (optimizers.Adam, adam, {}),
}


def named(weights):
    return [weight.name for weight in weights]


def followed(rule, rate, widths=(5, 9, 6, 3), batches=60, batch=8, rows=53, **given):
    """A model that `fit` trained in two calls, and the oracle after as many batches of the same."""
    make, formula, own = RULES[rule]
    model = network(widths, optimizer=make(rate, **own, **given), seed=3)
    x, y = data(rows, widths[0], widths[-1])
    network_of_oracle = twin(model)
    oracle = Plain(model.weights, named(model.weights), formula, rate, **given)
    epochs = -(-batches // -(-rows // batch))
    for part in (epochs // 2, epochs - epochs // 2):
        model.fit(x, y, batch, part, verbose=0, shuffle=False)
        for _ in range(part):
            for first in range(0, rows, batch):
                network_of_oracle.parameters = np.concatenate([w.ravel() for w in oracle.w])
                some = slice(first, first + batch)
                gradient, _ = network_of_oracle.gradients(x[some], y[some])
                ends = np.cumsum([w.size for w in oracle.w])[:-1]
                parts = np.split(gradient, ends)
                oracle.step([g.reshape(w.shape) for g, w in zip(parts, oracle.w, strict=True)])
        if given.get("use_ema"):
            oracle.w = [a.copy() for a in oracle.averages]
    return model, oracle


def agree(model, oracle, tolerance=1e-10):
    for weight, w in zip(model.weights, oracle.w, strict=True):
        np.testing.assert_allclose(weight, w, rtol=tolerance, atol=tolerance, err_msg=weight.name)
    assert int(model.optimizer._batches[0]) == oracle.batches


RATES = st.sampled_from(
    [
        0.05,
        schedules.CosineDecay(0.08, 40, 0.1),
        schedules.LinearWarmup(schedules.ExponentialDecay(0.06, 20, 0.7), 7),
        schedules.PiecewiseConstantDecay([11, 30], [0.08, 0.02, 0.05]),
    ]
)
DECAYS = st.sampled_from([None, 0.02, schedules.StepDecay(0.05, 13, 0.5), 0.0])
CLIPS = st.sampled_from(
    [
        {},
        *({name: limit} for name in ("clipvalue", "clipnorm", "global_clipnorm")
          for limit in (0.02, 0.3, 50.0)),
    ]
)  # fmt: skip
AVERAGES = st.sampled_from(
    [
        {},
        {"use_ema": True},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
        {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 1},
        {"use_ema": True, "ema_momentum": 1.0},
    ]
)
FACTORS = st.sampled_from(
    [None, {"*/bias": 0.5}, {"dense_1": 0.1, "*/bias": 2.0}, {"dense_[02]/*": 0.0, "*kernel": 1.5}]
)


@given(
    st.sampled_from([*RULES]), RATES, DECAYS, CLIPS, AVERAGES,
    st.sampled_from([None, 2, 3, 5]), FACTORS, FACTORS, st.sampled_from([1, 8, 53]),
)  # fmt: skip
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_settings_follow_a_plain_loop(
    rule, rate, decay, clip, averaging, accumulation, factors, decay_factors, batch
):
    given = {**clip, **averaging}
    if decay is not None:
        given["weight_decay"] = decay
        if decay_factors:
            given["weight_decay_factors"] = decay_factors
    if factors:
        given["learning_rate_factors"] = factors
    if accumulation:
        given["gradient_accumulation_steps"] = accumulation
    model, oracle = followed(rule, rate, batch=batch, **given)
    agree(model, oracle)


ALL = {
    "weight_decay": 0.01,
    "weight_decay_factors": {"*/bias": 0.0},
    "learning_rate_factors": {"dense_1": 0.3},
    "global_clipnorm": 0.2,
    "use_ema": True,
    "ema_momentum": 0.95,
    "ema_overwrite_frequency": 50,
    "gradient_accumulation_steps": 3,
}


@pytest.mark.parametrize("rule", RULES)
def test_hundreds_of_steps_with_all_settings(rule):
    agree(*followed(rule, schedules.CosineDecay(0.05, 900, 0.1), batches=900, **ALL), 1e-9)


@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm", "clipvalue"])
@pytest.mark.parametrize(
    ("widths", "rows", "batch"),
    [((40, 150, 90, 3), 300, 300), ((9, 30, 3), 1200, 1200), ((200, 500, 3), 1100, 1100)],
    ids=["whole", "sliced", "in chunks"],
)
def test_norms_of_many_stretches(clip, widths, rows, batch):
    given = {clip: 0.01 if clip == "clipvalue" else 0.05, "use_ema": True}
    agree(*followed("adam", 0.01, widths, 6, batch, rows, **given))


# ---- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("widths", "batch"), [((30, 300, 200, 3), 130), ((9, 30, 3), 900)])
def test_the_same_bits_by_any_number_of_threads(widths, batch, dtype, clip, monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = data(2 * batch - 7, widths[0], widths[-1])
    given = {k: v for k, v in ALL.items() if k != "global_clipnorm"}

    def make():
        optimizer = optimizers.Adam(schedules.CosineDecay(0.05, 8), **given, **clip)
        return network(widths, optimizer=optimizer, dtype=dtype)

    expect_one_training(make, x, y, batch, 7)


@pytest.mark.parametrize("rule", RULES)
def test_settings_that_change_nothing_change_no_bit(rule):
    make, _, own = RULES[rule]
    x, y = data(53)
    found = []
    for settings_of_one in (
        {},
        {"weight_decay": 0.0},
        {"clipvalue": 1e9},
        {"clipnorm": 1e9},
        {"global_clipnorm": 1e9},
        {"use_ema": True, "ema_momentum": 0.0},
        {"learning_rate_factors": {"*": 1.0}},
        {"learning_rate_factors": {"dense_1": 2.0, "dense_1/*": 0.5}},
    ):
        for rate in (0.05, schedules.Constant(0.05)):
            optimizer = make(rate, **own, **settings_of_one)
            model = network((5, 9, 6, 3), optimizer=optimizer, dtype="float32")
            model.fit(x, y, 8, 4, verbose=0)
            found.append(model.parameters.tobytes())
    assert len(set(found)) == 1


# ---- ways to make the same steps -----------------------------------------------------------------


def stepped_by_fit(model, x, y):
    model.fit(x, y, 8, 1, verbose=0, shuffle=False)


def stepped_by_batch(model, x, y):
    for first in range(0, len(x), 8):
        model.train_on_batch(x[first : first + 8], y[first : first + 8])


def stepped_by_gradients(model, x, y):
    for first in range(0, len(x), 8):
        rows = slice(first, first + 8)
        predicted = model.forward(x[rows])
        model.backward(2 * (predicted - y[rows]) / y[rows].size)
        model.apply_gradients()


@pytest.mark.parametrize(
    "given",
    [{}, *({k: v} for k, v in ALL.items() if "ema" not in k and "factors" not in k), ALL],
    ids=str,
)
def test_every_call_makes_the_same_steps(given):
    given = {k: v for k, v in given.items() if k != "ema_overwrite_frequency"}
    x, y = data(40)
    models = []
    for step in (stepped_by_fit, stepped_by_batch, stepped_by_gradients):
        rate = schedules.ExponentialDecay(0.05, 4, 0.7)
        model = network((5, 9, 6, 3), optimizer=optimizers.Adam(rate, **given))
        step(model, x, y)
        models.append(model)
    by_fit, by_batch, by_gradients = models
    if given.get("use_ema"):
        by_fit = by_batch  # whose weights are not the averages
    same_bits(by_fit.parameters, by_batch.parameters)
    np.testing.assert_allclose(by_gradients.parameters, by_batch.parameters, rtol=1e-11, atol=1e-12)
    assert {model.optimizer.iterations for model in models} == {
        5 // given.get("gradient_accumulation_steps", 1)
    }


# ---- kept by files and copies --------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("again", ["copy", "save"])
def test_training_goes_on_as_it_would_have(rule, again, tmp_path):
    make, _, own = RULES[rule]
    x, y = data(40)
    rate = schedules.LinearWarmup(schedules.CosineDecay(0.05, 30), 4)
    given = {**ALL, "weight_decay": schedules.StepDecay(0.05, 7, 0.5)}
    model = network((5, 9, 6, 3), optimizer=make(rate, **own, **given), dtype="float32")
    for _ in range(7):  # the last two steps' gradients wait for more
        model.train_on_batch(x[:8], y[:8])
    if again == "copy":
        other = model.copy()
    else:
        model.save(tmp_path / "model.safetensors")
        other = fw.load(tmp_path / "model.safetensors")
    assert other.optimizer.config() == model.optimizer.config()
    assert other.optimizer.iterations == model.optimizer.iterations == 2
    assert other.optimizer.learning_rate == model.optimizer.learning_rate == rate(7)
    for one in (model, other):
        one.fit(x, y, 8, 3, verbose=0)
    same_bits(other.parameters, model.parameters)
    same_bits(other._compiled.memory.vectors, model._compiled.memory.vectors)


def test_a_damaged_count_of_batches_is_refused(tmp_path):
    model = network(optimizer=optimizers.Adam(schedules.CosineDecay(0.1, 5)))
    x, y = data(8)
    model.train_on_batch(x, y)
    path = tmp_path / "model.safetensors"
    model.save(path)
    good = path.read_bytes()
    path.write_bytes(good.replace(b'\\"batches\\": 1', b'\\"batches\\": -'))
    assert path.read_bytes() != good
    with pytest.raises(ValueError, match="description of the model is damaged"):
        fw.load(path)
    path.write_bytes(good.replace(b'\\"batches\\": 1', b'\\"batches\\":-1'))
    with pytest.raises(ValueError, match="batches: got -1"):
        fw.load(path)


def test_a_step_that_diverges_is_taken_back_whole():
    rate = schedules.PiecewiseConstantDecay([3], [0.01, 1e39])
    optimizer = optimizers.Adam(rate, use_ema=True, global_clipnorm=1.0)
    model = network(optimizer=optimizer, dtype="float32")
    x, y = data(8)
    for _ in range(4):
        model.train_on_batch(x, y)
    memory = model._compiled.memory
    before = [model.parameters.copy(), *(array.copy() for array in memory.arrays())]
    for _ in range(2):
        with pytest.raises(fw.DivergenceError, match=r"learning rate 1e\+39"):
            model.train_on_batch(x, y)
        assert model.optimizer.iterations == 4
    for now, then in zip([model.parameters, *memory.arrays()], before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_gradients_whose_norm_is_no_number_make_no_step():
    model = network(optimizer=optimizers.SGD(0.1, global_clipnorm=1.0))
    model.gradients[:] = 1e200  # whose squares are infinite
    before = model.parameters.copy()
    with pytest.raises(fw.DivergenceError):
        model.apply_gradients()
    np.testing.assert_array_equal(model.parameters, before)


# ---- averages ------------------------------------------------------------------------------------


class TestAverages:
    def test_weights_become_them_at_the_end_of_a_fit_alone(self):
        x, y = data(24)
        optimizer = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        model, plain = network(optimizer=optimizer), network(optimizer=optimizers.SGD(0.1))
        kept = []

        class Look(fw.callbacks.Callback):
            def on_epoch_end(self, epoch, logs):
                kept.append(self.model.parameters.copy())

        model.fit(x, y, 8, 2, verbose=0, shuffle=False, callbacks=Look())
        average, steps = None, []
        for step in range(6):
            plain.train_on_batch(x[step % 3 * 8 :][:8], y[step % 3 * 8 :][:8])
            w = plain.parameters.copy()
            average = w if average is None else 0.5 * average + 0.5 * w
            steps.append(w)
        same_bits(kept[0], steps[2])
        same_bits(kept[1], steps[5])
        np.testing.assert_allclose(model.parameters, average, rtol=1e-14, atol=1e-15)
        before = model.parameters.copy()
        model.fit(x, y, 8, 2, verbose=0, initial_epoch=2)  # no epoch
        same_bits(model.parameters, before)

    def test_layers_that_are_not_trained_keep_their_weights(self):
        x, y = data(24)
        model = network((5, 4, 3), optimizer=optimizers.SGD(0.1, use_ema=True))
        model.layers[0].trainable = False
        model.fit(x, y, 8, 1, verbose=0)
        model.layers[0].kernel[...] = 0.25
        model.fit(x, y, 8, 1, verbose=0)
        np.testing.assert_array_equal(model.layers[0].kernel, 0.25)

    def test_bounds_are_kept_after_they_became_weights(self):
        """As in Keras, averages are of weights before their constraint."""
        bound = layers.Dense(3, kernel_constraint="non_neg")
        model = fw.Sequential([bound], 5, "float64", seed=0)
        optimizer = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
        model.compile(optimizer, "mse")
        x, y = data(16)
        for step in range(6):
            model.train_on_batch(x, y)
            assert (bound.kernel >= 0).all(), step


# ---- gradients of several batches ----------------------------------------------------------------


def test_gradients_of_several_batches_are_those_of_all_their_rows():
    x, y = data(64)
    small = network(optimizer=optimizers.Adam(0.01, gradient_accumulation_steps=4))
    large = network(optimizer=optimizers.Adam(0.01))
    small.fit(x, y, 8, 5, verbose=0, shuffle=False)
    large.fit(x, y, 32, 5, verbose=0, shuffle=False)
    np.testing.assert_allclose(small.parameters, large.parameters, rtol=1e-9, atol=1e-11)
    assert small.optimizer.iterations == large.optimizer.iterations == 10


def test_an_epochs_end_makes_no_step_of_what_waits():
    x, y = data(24)
    model = network(optimizer=optimizers.SGD(0.1, gradient_accumulation_steps=4))
    before = model.parameters.copy()
    model.fit(x, y, 8, 1, verbose=0)
    same_bits(model.parameters, before)
    model.fit(x, y, 8, 1, verbose=0)
    assert not np.array_equal(model.parameters, before)
    assert model.optimizer.iterations == 1


# ---- spans ---------------------------------------------------------------------------------------


class TestNames:
    def test_a_pattern_of_no_weight_is_refused_with_those_that_there_are(self):
        for setting in ("learning_rate_factors", "weight_decay_factors"):
            optimizer = optimizers.SGD(0.1, weight_decay=0.1, **{setting: {"conv*": 0.1}})
            with pytest.raises(ValueError, match=rf"{setting}: got 'conv\*', .* dense/kernel, de"):
                network(optimizer=optimizer)
            model = fw.Sequential([layers.Dense(2)])
            model.compile(optimizer, "mse")  # built when there is data
            with pytest.raises(ValueError, match=setting):
                model.fit(*data(8, 3, 2), verbose=0)

    def test_excluding_is_a_factor_of_0(self):
        optimizer = optimizers.Adam(0.1, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
        assert optimizer.weight_decay_factors == {"*bias*": 0.0, "*gamma*": 0.0}
        stack = [layers.Dense(4), layers.LayerNormalization(), layers.Dense(3)]
        model = fw.Sequential(stack, 5, "float64", seed=0)
        model.compile(optimizer, "mse")
        model.gradients[:] = 0.0
        model.parameters[:] = 1.0
        model.apply_gradients()
        for weight in model.weights:
            stays = weight.name.endswith(("bias", "gamma"))
            np.testing.assert_allclose(weight, 1.0 if stays else 0.99, rtol=1e-15)
        with pytest.raises(ValueError, match="before any model is trained"):
            optimizer.exclude_from_weight_decay(var_names=["beta"])

    def test_factors_of_0_leave_weights_as_they_are(self):
        x, y = data(24)
        model = network(optimizer=optimizers.SGD(0.1, learning_rate_factors={"dense": 0}))
        before = [weight.copy() for weight in model.weights]
        model.fit(x, y, 8, 2, verbose=0)
        for weight, was in zip(model.weights, before, strict=True):
            assert np.array_equal(weight, was) == weight.name.startswith("dense/")

    def test_what_comes_back_from_a_config(self):
        optimizer = optimizers.Adam(0.1, **ALL)
        config = json.loads(json.dumps(optimizer.config()))
        assert {name: config[name] for name in ALL} == ALL
        assert optimizers.get(config).config() == config
        assert pickle.loads(pickle.dumps(optimizer)).config() == config
        assert "use_ema=True, ema_momentum=0.95" in repr(optimizer)
        assert repr(optimizers.SGD(0.5)) == "SGD(learning_rate=0.5, momentum=0.0, nesterov=False)"


# ---- tables of which a batch touches a few -------------------------------------------------------


def texts(**settings):
    model = fw.Sequential(
        [layers.Embedding(50, 6), layers.Flatten(), layers.Dense(3)], (4,), "float64", seed=0
    )
    model.compile(optimizers.SGD(**settings), "mse")
    random = np.random.default_rng(0)
    return model, random.integers(0, 50, (40, 4)), random.standard_normal((40, 3))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"learning_rate": schedules.StepDecay(0.3, 4, 0.5)},
        {"weight_decay": 0.1},
        {"weight_decay": schedules.PiecewiseConstantDecay([3, 9], [0.0, 0.1, 0.0])},
        {"clipnorm": 0.05},
        {"global_clipnorm": 0.05},
        {"clipvalue": 0.01},
        {"use_ema": True, "ema_overwrite_frequency": 4},
        {"gradient_accumulation_steps": 3},
        {"learning_rate_factors": {"embedding": 0.5}},
    ],
    ids=str,
)
def test_rows_of_a_table_that_no_batch_touches(given):
    given = {"learning_rate": 0.3, **given}
    model, x, y = texts(**given)
    table, kernel, bias = (w.astype(float) for w in model.weights)
    rate, settings = (
        given["learning_rate"],
        {k: v for k, v in given.items() if k != "learning_rate"},
    )
    oracle = Plain([table, kernel, bias], named(model.weights), sgd, rate, **settings)
    for step in range(20):
        some = slice(step % 5 * 8, step % 5 * 8 + 8)
        model.train_on_batch(x[some], y[some])
        table, kernel, bias = oracle.w
        h = table[x[some]].reshape(8, -1)
        dz = 2 * (h @ kernel + bias - y[some]) / y[some].size
        dtable = np.zeros_like(table)
        np.add.at(dtable, x[some], (dz @ kernel.T).reshape(8, 4, 6))
        oracle.step([dtable, h.T @ dz, dz.sum(0)])
    agree(model, oracle, 1e-12)


# ---- rates of dropout ----------------------------------------------------------------------------

DROPPING = [layers.Dropout, layers.SpatialDropout1D, layers.AlphaDropout, layers.GaussianDropout]


@pytest.mark.parametrize("kind", DROPPING)
@pytest.mark.parametrize("rates", [*itertools.permutations([0.0, 0.3, 0.5 / 65536])])
def test_a_schedule_drives_dropout(kind, rates):
    """Step by step a layer with a schedule is one with the rate of that step."""
    rate = schedules.PiecewiseConstantDecay([1, 3], list(rates))

    def made(rate):
        stack = [
            layers.Dense(9),
            layers.Reshape((3, 3)),
            kind(rate),
            layers.Flatten(),
            layers.Dense(2),
        ]
        model = fw.Sequential(stack, 5, "float32", seed=0)
        model.compile("sgd", "mse")
        return model

    x, y = data(12, 5, 2)
    scheduled = made(rate)
    for step in range(6):
        plain = made(rate(step))
        plain.set_weights(scheduled.get_weights())
        plain._progress.passes = scheduled._progress.passes
        out = [model.forward(x, training=True) for model in (scheduled, plain)]
        same_bits(*out)
        losses = [model.train_on_batch(x, y) for model in (scheduled, plain)]
        assert losses[0] == losses[1]
        same_bits(scheduled.parameters, plain.parameters)
    same_bits(scheduled.predict(x), plain.predict(x))


def test_a_rate_beyond_1_counts_as_1(tmp_path):
    rate = schedules.PiecewiseConstantDecay([0], [0.0, 3.0])
    model = fw.Sequential([layers.Dropout(rate), layers.Dense(2, use_bias=False)], 5, seed=0)
    model.compile("sgd", "mse")
    x, y = data(12, 5, 2)
    assert model.forward(x, training=True).any()
    model.train_on_batch(x, y)
    assert not model.forward(x, training=True).any()
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert again.layers[0].rate == rate
    assert not again.forward(x, training=True).any()


@pytest.mark.parametrize("kind", DROPPING)
def test_dropout_by_a_schedule_has_the_same_bits_by_any_threads(kind, monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = data(150, 8, 3)

    def make():
        stack = [layers.Dense(64), layers.Reshape((4, 16)), kind(schedules.CosineDecay(0.5, 9))]
        model = fw.Sequential([*stack, layers.Flatten(), layers.Dense(3)], 8, seed=0)
        model.compile("adam", "mse")
        return model

    expect_one_training(make, x, y, 40, 7)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"clipnorm": 0}, ValueError, "clipnorm: got 0, .* above 0"),
        ({"clipnorm": 1, "clipvalue": 1}, ValueError, "clipvalue: got a limit beside clipnorm"),
        ({"global_clipnorm": "1"}, TypeError, "global_clipnorm: got '1'"),
        ({"use_ema": 1}, TypeError, "use_ema: got 1"),
        ({"use_ema": True, "ema_momentum": 1.5}, ValueError, "ema_momentum: got 1.5"),
        ({"ema_momentum": 0.5}, ValueError, "ema_momentum: got 0.5.*without use_ema"),
        ({"ema_overwrite_frequency": 3}, ValueError, "ema_overwrite_frequency 3.*without use_ema"),
        ({"use_ema": True, "ema_overwrite_frequency": 0}, ValueError, "at least 1"),
        ({"gradient_accumulation_steps": 1}, ValueError, "gradient_accumulation_steps: got 1"),
        ({"gradient_accumulation_steps": 2.0}, TypeError, "gradient_accumulation_steps: got 2.0"),
        ({"weight_decay": -1}, ValueError, "weight_decay: got -1"),
        ({"weight_decay_factors": {"a": 1}}, ValueError, "none without weight_decay"),
        ({"learning_rate_factors": ["a"]}, TypeError, "learning_rate_factors: got list"),
        ({"learning_rate_factors": {"a": -1}}, ValueError, "learning_rate_factors: got -1"),
        ({"learning_rate_factors": {1: 1}}, TypeError, "learning_rate_factors: got 1"),
        ({"name": "mine"}, TypeError, "name"),
        ({"loss_scale_factor": 2.0}, TypeError, "loss_scale_factor"),
    ],
)
@pytest.mark.parametrize("make", [optimizers.SGD, optimizers.Adam])
def test_refusals(make, given, kind, message):
    with pytest.raises(kind, match=message):
        make(0.1, **given)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"var_list": [1]}, TypeError, "var_list: got list"),
        ({"var_names": "bias"}, TypeError, "var_names: got 'bias'"),
        ({"var_names": ["bias$"]}, ValueError, re.escape("var_names: got 'bias$'")),
        ({"var_names": None}, TypeError, "var_names: got None"),
    ],
)
def test_refusals_of_exclusions(given, kind, message):
    with pytest.raises(kind, match=message):
        optimizers.Adam(0.1, weight_decay=0.1).exclude_from_weight_decay(**given)
    with pytest.raises(ValueError, match="got no weight_decay"):
        optimizers.Adam(0.1).exclude_from_weight_decay(var_names=["bias"])


def test_an_exclusion_of_nothing_is_told_by_its_name():
    optimizer = optimizers.Adam(0.1, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["nosuch"])
    x, y = data(8)
    with pytest.raises(ValueError, match=r"var_names of exclude_from_.*: got '\*nosuch\*'"):
        network(optimizer=optimizer).fit(x, y, verbose=0)


def test_what_is_counted_cannot_be_set():
    with pytest.raises(AttributeError, match="iterations: is counted"):
        optimizers.SGD().iterations = 3
    with pytest.raises(AttributeError, match="clipnorm: is fixed"):
        optimizers.SGD(clipnorm=1.0).clipnorm = 2.0


# ---- a second opinion ----------------------------------------------------------------------------


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("keras", "torch")),
    reason="needs Keras, and PyTorch on which it is run",
)
def test_keras_makes_the_same_steps(tmp_path):
    path = tmp_path / "told.npz"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "keras_steps.py"), str(path)],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = np.load(path)
    first, x, y = keras_steps.numbers()
    for name, (kind, given_settings) in keras_steps.CASES.items():
        rate = schedules.CosineDecay(**keras_steps.RATE)
        optimizer = getattr(optimizers, kind)(rate, **given_settings)
        if "weight_decay" in given_settings:
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        model = network(keras_steps.WIDTHS, optimizer=optimizer)
        model.set_weights(first)
        model.fit(x.reshape(-1, 5), y.reshape(-1, 3), 8, 1, verbose=0, shuffle=False)
        for k, weight in enumerate(model.weights):
            # Keras has rates, and shares of averages, in float32.
            np.testing.assert_allclose(
                weight, told[f"{name} {k}"], rtol=2e-5, atol=2e-6, err_msg=name
            )
