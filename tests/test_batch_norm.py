"""Batch normalisation: a layer that knows all rows of a batch in training, and remembers them."""

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers
from fastweights._core import philox
from fastweights._plans import plan_for

STREAM = philox.STREAM_PASS


def network(dtype="float64", shape=4, optimizer="sgd", seed=3, masked=False, **settings):
    stack = [
        *([layers.Masking()] if masked else []),
        layers.Dense(7, "tanh"),
        layers.BatchNormalization(**settings),
        layers.Dense(5, "relu"),
        layers.BatchNormalization(momentum=0.8, epsilon=1e-2),
        layers.Dense(2),
    ]
    model = fw.Sequential(stack, shape, dtype=dtype, seed=seed)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight += random.uniform(0, 0.3, weight.shape)
    model.compile(optimizer, "mse")
    return model


def data(rows=11, shape=(4,)):
    random = np.random.default_rng(2)
    return random.standard_normal((rows, *shape)) + 2, random.standard_normal(
        (rows, *shape[:-1], 2)
    )


def oracle(model, x, y, training, is_told=True):
    """Loss, and what each normalisation saw, in NumPy, of lines that count."""
    seen = []
    is_told = np.broadcast_to(is_told, x.shape[:-1])
    for layer in model.layers:
        if isinstance(layer, layers.Masking):
            x = np.where(is_told[..., np.newaxis], x, 0.0)
        elif isinstance(layer, layers.BatchNormalization):
            mean, variance = x[is_told].mean(axis=0), x[is_told].var(axis=0)
            seen.append((mean, variance))
            if not (training and layer.trainable):
                mean, variance = layer.moving_mean, layer.moving_variance
            x = (x - mean) / np.sqrt(variance + layer.epsilon)
            x = x * (layer.gamma if layer.scale else 1) + (layer.beta if layer.center else 0)
        else:
            x = x @ layer.kernel + layer.bias
            x = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}.get(
                layer.activation.name, lambda z: z
            )(x)
    return np.mean((x - y)[is_told] ** 2), seen


SETTINGS = [{}, {"center": False}, {"scale": False}, {"center": False, "scale": False}]


def some_masked(x):
    """The same rows, of which some lines are 0; and which are not."""
    is_told = np.random.default_rng(4).random(x.shape[:-1]) < 0.6
    return np.where(is_told[..., np.newaxis], x, 0.0), is_told


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
@pytest.mark.parametrize("settings", [*SETTINGS, {"masked": True}])
def test_gradients_in_inference_and_in_training(settings, shape):
    model = network(shape=(1, *shape)[-2:] if settings.get("masked") else shape, **settings)
    x, y = data(shape=model.input_shape)
    x, is_told = some_masked(x) if settings.get("masked") else (x, True)
    expected = oracle(model, x, y, False, is_told)[0]
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-12)
    report = fw.check_gradients(model, x, y, tolerance=1e-8)
    assert report, report
    # In training, by differences of NumPy's loss.
    plan, dx = plan_for(model, "check", len(x)), np.empty_like(x)
    loss = plan.gradients_of(x, y.reshape(len(y), -1), dx, len(x), 0, STREAM)
    assert loss == pytest.approx(oracle(model, x, y, True, is_told)[0], rel=1e-12)
    found = [*model.gradients.copy(), *dx.ravel()]
    expected, step = [], 1e-6
    for values in (model.parameters, x.reshape(-1)):
        for i, value in enumerate(values.tolist()):
            sides = []
            for moved in (value + step, value - step):
                values[i] = moved
                sides.append(oracle(model, x, y, True, is_told)[0])
            values[i] = value
            expected.append((sides[0] - sides[1]) / (2 * step))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-9)


@pytest.mark.parametrize("rows", [7, 1024, 1025, 2500])
def test_gradients_of_a_batch_of_any_size_are_those_of_all_its_rows(rows):
    """Gradients of large batches come chunk by chunk, those of the columns all at once."""
    model = fw.Sequential([layers.BatchNormalization(), layers.Dense(2)], 3, "float64", seed=0)
    model.compile("sgd", "mse")
    normalization, dense = model.layers
    x, dy = np.random.default_rng(0).standard_normal((2, rows, 3))
    model.forward(x, training=True)
    model.backward(dy[:, :2])
    hat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + normalization.epsilon)
    dz = dy[:, :2] @ dense.kernel.T
    expected = np.concatenate([(dz * hat).sum(axis=0), dz.sum(axis=0)])
    np.testing.assert_allclose(model.gradients[:6], expected, rtol=1e-10)


def test_moving_figures_follow_those_of_accepted_steps():
    model = network()
    x, y = data(24)
    for _ in range(3):
        _, seen = oracle(model, x, y, True)
        before = [(b.moving_mean.copy(), b.moving_variance.copy()) for b in model.layers[1::2]]
        model.train_on_batch(x, y)
        for layer, was, found in zip(model.layers[1::2], before, seen, strict=True):
            for name, old, new in zip(("moving_mean", "moving_variance"), was, found, strict=True):
                expected = layer.momentum * old + (1 - layer.momentum) * new
                np.testing.assert_allclose(getattr(layer, name), expected, rtol=1e-12)
    state = model.state.copy()
    y[3] = 1e200
    with pytest.raises(fw.DivergenceError):
        model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.state, state)
    model.evaluate(x, data(24)[1])
    model.predict(x)
    model.loss_and_gradients(x, data(24)[1])
    np.testing.assert_array_equal(model.state, state)


def test_masked_steps_have_no_part_in_mean_and_variance():
    """Of many columns, of offsets, and where none counts."""
    x, is_told = some_masked(np.random.default_rng(0).standard_normal((300, 5, 67)) + 3.0)
    stack = [layers.Masking(), layers.BatchNormalization(momentum=0.0, epsilon=1e-2)]
    model = fw.Sequential(stack, (5, 67), "float64")
    model.compile("sgd", "mse")
    made = model.forward(x, training=True)
    layer = model.layers[1]
    mean, variance = x[is_told].mean(axis=0), x[is_told].var(axis=0)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-13)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-13)
    np.testing.assert_allclose(made, (x - mean) / np.sqrt(variance + 1e-2), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.predict(x), made, rtol=1e-12, atol=1e-13)
    zeros = np.zeros((2, 5, 67))
    np.testing.assert_array_equal(model.forward(zeros, training=True), zeros)
    assert np.isfinite(model.backward(zeros + 1.0)).all()
    assert not model.state.any()


def test_a_mask_of_other_steps_is_refused():
    class Odd(layers.Identity):
        def mask_of(self, x):
            return layers.op("mask_steps", x, shape=(2,), lines=2, options=(0.0,))

    expected = r"input of BatchNormalization: got a mask of rows of shape \(2,\)"
    with pytest.raises(ValueError, match=expected):
        fw.Sequential([Odd(), layers.BatchNormalization()], (6, 3))


def test_forward_and_backward_in_two_calls():
    model, twin = network(), network()
    x, y = data()
    plan, dx = plan_for(twin, "check", len(x)), np.empty_like(x)
    plan.gradients_of(x, y, dx, len(x), 0, STREAM)
    out = model.forward(x, training=True)
    assert not np.allclose(out, model.copy().predict(x))
    by_input = model.backward(2 * (out - y) / y.size)
    np.testing.assert_allclose(by_input, dx, rtol=1e-12)
    np.testing.assert_allclose(model.gradients, twin.gradients, rtol=1e-12)
    assert not np.array_equal(model.state, twin.state)


def test_a_frozen_one_acts_as_in_inference():
    model = network()
    x, y = data()
    for layer in model.layers[1::2]:
        layer.trainable = False
    state, expected = model.state.copy(), oracle(model, x, y, False)[0]
    assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(model.state, state)


@pytest.mark.parametrize(("rows", "masked"), [(50, False), (1300, False), (1300, True)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads(rows, masked, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    shape = (3, 4) if masked else (4,)
    x, y = data(2700, shape)
    x = some_masked(x)[0] if masked else x
    found = []
    for threads in (1, 2, 3):
        model = network(dtype, shape, optimizer="adam", masked=masked)
        with fw.threads(threads):
            model.fit(x, y, rows, 2, verbose=0)
        found.append(np.concatenate([model.parameters, model.state]))
    assert np.isfinite(found[0]).all()
    assert all((found[0] == other).all() for other in found)


def test_it_goes_on_from_a_file_and_a_copy(tmp_path):
    x, y = data(60)
    model = network(optimizer=optimizers.Adam(0.01))
    model.fit(x, y, 16, 2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    others = [fw.load(tmp_path / "model.safetensors"), model.copy()]
    model.fit(x, y, 16, 2, verbose=0)
    for other in others:
        other.fit(x, y, 16, 2, verbose=0)
        np.testing.assert_array_equal(other.parameters, model.parameters)
        np.testing.assert_array_equal(other.state, model.state)


def test_a_fit_that_diverges_brings_the_state_back():
    x, y = data(60)
    model = network(optimizer=optimizers.SGD(0.1))
    model.fit(x, y, 16, 1, verbose=0)
    before = model.get_weights()
    y[50] = 1e200
    with pytest.raises(fw.DivergenceError):
        model.fit(x, y, 16, 1, verbose=0)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_weights_are_in_the_order_of_keras():
    model = network()
    names = [weight.name.split("/")[1] for weight in model.weights]
    assert names[2:6] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert model.count_params() == 4 * 7 + 7 + 4 * 7 + 7 * 5 + 5 + 4 * 5 + 5 * 2 + 2
    values = [weight + number for number, weight in enumerate(model.get_weights())]
    model.set_weights(values)
    for weight, value in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(weight, value)
    np.testing.assert_array_equal(model.layers[1].moving_variance, values[5])


def test_a_column_that_never_changes_and_a_single_row():
    x, y = data()
    x[:, 1] = 3.0
    model = fw.Sequential([layers.BatchNormalization(), layers.Dense(2)], 4, seed=1)
    model.compile("sgd", "mse")
    assert np.isfinite(model.train_on_batch(x, y))
    assert np.isfinite(model.train_on_batch(x[:1], y[:1]))
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axis": 1}, "axis: got 1, expected -1"),
        ({"momentum": 1.5}, "momentum: got 1.5"),
        ({"epsilon": 0}, "epsilon: got 0"),
        ({"center": 1}, "center: got 1"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        layers.BatchNormalization(**settings)


# ---- figures that are found once -----------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after", "given"])
def test_normalization(when, tmp_path):
    x, y = data(40)
    x[:, 2] = 5.0
    mean, variance = x.mean(axis=0), x.var(axis=0)
    layer = layers.Normalization()
    if when == "before":
        layer.adapt(x)
    elif when == "after":
        layer.adapt(np.zeros((1, 4)))
    else:
        layer = layers.Normalization(mean=mean, variance=variance)
    model = fw.Sequential([layer, layers.Dense(2)], 4, dtype="float64", seed=1)
    model.compile("sgd", "mse")
    if when == "after":
        layer.adapt(x)
    expected = (x - mean) / np.maximum(np.sqrt(variance), 1e-7)
    kernel, bias = model.layers[1].kernel, model.layers[1].bias
    np.testing.assert_allclose(model.predict(x), expected @ kernel + bias, rtol=1e-9, atol=1e-9)
    state = model.state.copy()
    x[:, 2] += np.linspace(0, 1e-7, 40)
    report = fw.check_gradients(model, x, y)
    assert [row.name for row in report.rows] == ["dense/kernel", "dense/bias", "input"]
    assert all(row.passed for row in report.rows[:2])
    model.fit(x[:, :], y, 16, 2, verbose=0)
    np.testing.assert_array_equal(model.state, state)
    model.save(tmp_path / "model.safetensors")
    for again in (fw.load(tmp_path / "model.safetensors"), model.copy()):
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: fw.Sequential([layers.Normalization()], 3),
            "got no figures, expected layer.adapt",
        ),
        (lambda: layers.Normalization(mean=1), "mean, variance: got one of them"),
        (lambda: layers.Normalization(mean=1, variance=-1), "variance: got a negative number"),
        (lambda: layers.Normalization().adapt([1, 2]), "data: got shape"),
        (lambda: layers.Normalization().adapt([[np.nan]]), "data: got 1 NaN"),
        (
            lambda: fw.Sequential([layers.Normalization(-1, [1, 2], [1, 2])], 3),
            "mean: got figures of 2 columns for rows of 3",
        ),
    ],
)
def test_what_normalization_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
