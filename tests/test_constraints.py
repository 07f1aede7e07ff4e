"""What a step leaves of weights, against a few lines of NumPy."""

import sys

import numpy as np
import pytest
from helpers import run_python

import fastweights as fw
from fastweights import _dispatch, constraints, layers, optimizers

OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.3),
    "nesterov": lambda: optimizers.SGD(0.1, 0.9, True),
    "adam": lambda: optimizers.Adam(0.05),
}


def norm_kept(w, axis, least, most, rate=1.0):
    norm = np.sqrt((w.astype(np.float64) ** 2).sum(axis=axis, keepdims=True))
    return w * ((rate * norm.clip(least, most) + (1 - rate) * norm) / (norm + 1e-7))


#: Each with what it makes of one array.
KINDS = {
    "non_neg": (constraints.NonNeg(), lambda w: w * (w > 0)),
    "max_norm": (constraints.MaxNorm(0.4), lambda w: norm_kept(w, 0, 0, 0.4)),
    "max_norm of rows": (constraints.MaxNorm(0.4, -1), lambda w: norm_kept(w, -1, 0, 0.4)),
    "max_norm of 0": (constraints.MaxNorm(0.0), lambda w: w * 0),
    "unit_norm": (constraints.UnitNorm(), lambda w: norm_kept(w, 0, 1, 1)),
    "min_max_norm": (
        constraints.MinMaxNorm(0.6, 0.8, 0.3),
        lambda w: norm_kept(w, 0, 0.6, 0.8, 0.3),
    ),
}
#: Of kernels alone, which have two axes.
WHOLE = constraints.UnitNorm((0, 1)), lambda w: norm_kept(w, (0, 1), 1, 1)


def data(rows=40, inputs=4, outputs=3, seed=2):
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, inputs)), random.standard_normal((rows, outputs))


def network(units=9, kernel=None, bias=None, optimizer="adam", dtype="float64", inputs=4):
    stack = [
        layers.Dense(units, "tanh", kernel_constraint=kernel, bias_constraint=bias),
        layers.Dense(70, "relu", kernel_constraint=bias and kernel),
        layers.Dense(3, kernel_constraint=kernel),
    ]
    model = fw.Sequential(stack, inputs, dtype=dtype, seed=1)
    model.compile(OPTIMIZERS[optimizer](), "mse")
    return model


def keep(model, of_kernels, of_biases, frozen=()):
    """Does in NumPy to a plain model's weights what constraints do to the other's."""
    for number, layer in enumerate(model.layers):
        if number in frozen:
            continue
        if number != 1 or of_biases is not None:
            layer.kernel[...] = of_kernels(layer.kernel)
        if number == 0 and of_biases is not None:
            layer.bias[...] = of_biases(layer.bias)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_leaves_what_numpy_does(kind, optimizer):
    constraint, function = KINDS[kind]
    kept = network(9, constraint, constraint, optimizer)
    plain = network(9, optimizer=optimizer)
    x, y = data()
    for _ in range(5):
        assert kept.train_on_batch(x, y) == pytest.approx(plain.train_on_batch(x, y), rel=1e-9)
        keep(plain, function, function)
        np.testing.assert_allclose(kept.parameters, plain.parameters, rtol=1e-9, atol=1e-12)
        assert np.abs(plain.parameters).sum() > 0


@pytest.mark.parametrize("rows", [40, 900])
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_fit_the_next_batch_meets_what_was_left(kind, rows):
    """Whole and in slices; what a step prepared of the weights is of those that were left."""
    constraint, function = KINDS[kind]
    kept, plain = network(9, constraint, constraint), network(9)
    x, y = data(3 * rows)
    kept.fit(x, y, rows, 1, verbose=0, shuffle=False)
    for begin in range(0, 3 * rows, rows):
        plain.train_on_batch(x[begin : begin + rows], y[begin : begin + rows])
        keep(plain, function, function)
    np.testing.assert_allclose(kept.parameters, plain.parameters, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("units", [1, 2, 7, 8, 15, 16, 17, 33, 64, 130])
def test_every_width(units, dtype):
    x, _ = data(30, 37)
    _, y = data(30, 37, units)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for constraint, function in [*KINDS.values(), WHOLE]:
        models = []
        for given in (constraint, None):
            stack = [layers.Dense(units, kernel_constraint=given)]
            models.append(fw.Sequential(stack, 37, dtype=dtype, seed=1))
            models[-1].compile(optimizers.SGD(0.1), "mse")
            models[-1].train_on_batch(x, y)
        expected = function(models[1].layers[0].kernel.astype(np.float64))
        found = models[0].layers[0].kernel
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(models[0].layers[0].bias, models[1].layers[0].bias)


def test_apply_gradients_and_what_follows():
    constraint, function = KINDS["max_norm"]
    kept, plain = network(9, constraint), network(9)
    x, y = data()
    for model in (kept, plain):
        model.loss_and_gradients(x, y)
        model.apply_gradients()
    keep(plain, function, None)
    np.testing.assert_allclose(kept.parameters, plain.parameters, rtol=1e-12)
    np.testing.assert_allclose(kept.predict(x), plain.predict(x), rtol=1e-12)


def test_each_member_has_norms_of_its_own():
    constraint, function = KINDS["max_norm"]
    random = np.random.default_rng(0)
    x, y = random.standard_normal((20, 3, 5)), random.standard_normal((20, 3, 18))
    models = []
    for given in (constraint, None):
        layer = layers.MemberDense(18, kernel_constraint=given, bias_constraint=given)
        models.append(fw.Sequential([layer], (3, 5), dtype="float64", seed=1))
        models[-1].compile(optimizers.SGD(20.0), "mse")
        models[-1].train_on_batch(x, y)
    kept, plain = (model.layers[0] for model in models)
    assert np.linalg.norm(plain.bias, axis=1).min() > 0.4
    for member in range(3):
        np.testing.assert_allclose(kept.kernel[member], function(plain.kernel[member]), rtol=1e-12)
        np.testing.assert_allclose(kept.bias[member], function(plain.bias[member]), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "shape", "names"),
    [
        (layers.LayerNormalization, (5,), ("gamma", "beta")),
        (lambda **kept: layers.GroupNormalization(3, **kept), (2, 6), ("gamma", "beta")),
        (layers.BatchNormalization, (3, 7), ("gamma", "beta")),
        (layers.PReLU, (3, 4), ("alpha",)),
    ],
)
def test_numbers_for_each_column(make, shape, names):
    found = []
    for given in ({f"{name}_constraint": KINDS["max_norm"][0] for name in names}, {}):
        model = fw.Sequential([make(**given), layers.Flatten(), layers.Dense(3)], shape, seed=1)
        model.compile(optimizers.SGD(0.5), "mse")
        random = np.random.default_rng(0)
        x, y = random.standard_normal((20, *shape)), random.standard_normal((20, 3))
        model.train_on_batch(x, y)
        found.append(model.layers[0].weights)
    for name in names:
        expected = KINDS["max_norm"][1](found[1][name])
        np.testing.assert_allclose(found[0][name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("frozen", [(), (0,), (0, 2), (2,), (0, 1, 2)])
def test_a_layer_that_is_not_trained_keeps_what_it_has(frozen):
    constraint, function = KINDS["unit_norm"]
    kept, plain = network(9, constraint), network(9)
    x, y = data()
    for model in (kept, plain):
        model.train_on_batch(x, y)
    keep(plain, function, None)
    for model in (kept, plain):
        for number in frozen:
            model.layers[number].trainable = False
            model.layers[number].kernel[...] *= 2
    steps = lambda model: model.train_on_batch(x, y), lambda model: model.apply_gradients()
    for step in steps:
        for model in (kept, plain):
            model.loss_and_gradients(x, y)
            step(model)
        keep(plain, function, None, frozen)
        np.testing.assert_allclose(kept.parameters, plain.parameters, rtol=1e-9, atol=1e-12)


def test_weights_that_are_set_stay_as_they_are():
    model = network(9, "unit_norm")
    weights = [5 * weight for weight in model.get_weights()]
    model.set_weights(weights)
    x, y = data()
    model.evaluate(x, y)
    model.loss_and_gradients(x, y)
    model.predict(x)
    for weight, given in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, given)


def test_a_layer_that_is_called_twice_is_kept_once():
    found = []
    for given in (constraints.MinMaxNorm(0.5, 0.5, 0.5), None):
        inputs = fw.Input((4,))
        layer = layers.Dense(4, kernel_constraint=given)
        model = fw.Model(inputs, layer(layer(inputs)), dtype="float64", seed=1)
        model.compile(optimizers.SGD(0.1), "mse")
        model.train_on_batch(*data(outputs=4))
        found.append(layer.kernel)
    np.testing.assert_allclose(found[0], norm_kept(found[1], 0, 0.5, 0.5, 0.5), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_whose_squares_overflow_or_vanish(dtype):
    huge, tiny = (1e30, 1e-30) if dtype == "float32" else (1e200, 1e-200)
    for size, expected in ((huge, 1 / np.sqrt(37)), (tiny, tiny / 1e-7)):
        for units in (1, 5):
            layer = layers.Dense(units, use_bias=False, kernel_constraint="unit_norm")
            model = fw.Sequential([layer], 37, dtype=dtype)
            model.compile(optimizers.SGD(1e-9), "mse")
            layer.kernel[...] = size
            model.loss_and_gradients(np.zeros((1, 37)), np.zeros((1, units)))
            model.apply_gradients()
            np.testing.assert_allclose(layer.kernel, expected, rtol=1e-5)


def test_steps_are_the_same_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for kind, rows in ((kind, rows) for kind in KINDS for rows in (40, 900)):
        found = []
        for threads in (1, 2, 3):
            model = network(83, KINDS[kind][0], KINDS[kind][0], dtype="float32", inputs=50)
            with fw.threads(threads):
                model.fit(*data(1800, 50), rows, 2, verbose=0)
            found.append(model.parameters.copy())
        assert all((found[0] == other).all() for other in found)


KEPT_EVERYWHERE = """
import hashlib, numpy as np, fastweights as fw
from fastweights import constraints, layers, regularizers
random = np.random.default_rng(0)
fw.set_reproducible(True)
for dtype in ("float32", "float64"):
    for kept in (constraints.MaxNorm(0.3), constraints.UnitNorm(1), constraints.NonNeg(),
                 constraints.MinMaxNorm(0.1, 0.2, 0.5)):
        for mode in ("rows", "columns"):
            cost = regularizers.OrthogonalRegularizer(0.5, mode)
            stack = [layers.Dense(19, "tanh", kernel_constraint=kept, kernel_regularizer=cost),
                     layers.ActivityRegularization(0.01, 0.02),
                     layers.Dense(3, kernel_constraint=kept)]
            model = fw.Sequential(stack, 21, dtype, seed=1)
            model.compile("adam", "mse")
            history = model.fit(random.standard_normal((300, 21)), random.standard_normal((300, 3)),
                                40, 2, verbose=0)
            found = model.parameters.tobytes() + str(history.history["loss"]).encode()
            print(dtype, kept, mode, hashlib.sha256(found).hexdigest())
"""


def test_the_same_bits_on_every_level_with_fma():
    levels = [level for level in _dispatch.available_levels() if level != "baseline"]
    found = []
    for level in levels:
        result = run_python(KEPT_EVERYWHERE, FASTWEIGHTS_ISA=level)
        assert result.returncode == 0, result.stderr
        found.append(result.stdout)
    assert all(other == found[0] for other in found)


def test_they_are_saved_and_copied(tmp_path):
    kinds = [constraint for constraint, _ in (*KINDS.values(), WHOLE)]
    x, y = data()
    for constraint in kinds:
        model = network(9, constraint, None if constraint is WHOLE[0] else constraint)
        model.fit(x, y, 20, 1, verbose=0)
        model.save(tmp_path / "model.safetensors")
        twins = [fw.load(tmp_path / "model.safetensors"), model.copy()]
        model.fit(x, y, 20, 2, verbose=0)
        for twin in twins:
            assert twin.layers[0].kernel_constraint == constraint
            assert twin.layers[1].bias_constraint is None
            twin.fit(x, y, 20, 2, verbose=0)
            np.testing.assert_array_equal(twin.parameters, model.parameters)


def test_by_name_and_by_hand():
    weights = np.array([[3.0, -1.0], [4.0, 0.0]])
    assert constraints.get(None) is None
    assert constraints.get("max_norm") == constraints.MaxNorm(2, 0)
    assert constraints.get("unit_norm") == constraints.UnitNorm(0)
    assert constraints.get("min_max_norm") == constraints.MinMaxNorm(0.0, 1.0, 1.0, 0)
    assert constraints.get({"name": "unit_norm", "axis": [0, 1]}) == constraints.UnitNorm((0, 1))
    np.testing.assert_array_equal(constraints.get("non_neg")(weights), [[3, 0], [4, 0]])
    np.testing.assert_allclose(constraints.MaxNorm(2)(weights), [[1.2, -1], [1.6, 0]], rtol=2e-7)
    for constraint, function in (*KINDS.values(), WHOLE):
        np.testing.assert_allclose(constraint(weights), function(weights), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constraints.MaxNorm(-1), "max_value: got -1"),
        (lambda: constraints.MaxNorm(axis=0.5), "axis: got 0.5"),
        (lambda: constraints.MaxNorm(axis=[]), r"axis: got \[\]"),
        (lambda: constraints.UnitNorm(True), "axis: got True"),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), "max_value: got 1.0"),
        (lambda: constraints.MinMaxNorm(rate=1.5), "rate: got 1.5"),
        (lambda: layers.Dense(2, kernel_constraint="maxnorm"), "kernel_constraint: got 'maxnorm'"),
        (lambda: layers.Dense(2, bias_constraint=3), "bias_constraint: got int"),
        (lambda: layers.Dense(2, kernel_constraint="l2"), "kernel_constraint: got 'l2'"),
        (
            lambda: layers.Dense(2, kernel_constraint={"name": "unit_norm", "rate": 1}),
            "kernel_constraint: got 'rate'",
        ),
        (
            lambda: layers.PReLU(alpha_constraint={}),
            "alpha_constraint: got a dict of nothing, expected one with",
        ),
        (lambda: layers.LayerNormalization(beta_constraint=[]), "beta_constraint: got list"),
        (lambda: network(2, constraints.UnitNorm(2)), "kernel_constraint: got axis 2"),
        (lambda: network(2, constraints.UnitNorm((0, 0))), r"kernel_constraint: got axis \(0, 0\)"),
        (lambda: network(2, None, constraints.UnitNorm(-2)), "bias_constraint: got axis -2"),
        (
            lambda: fw.Sequential(
                [layers.PReLU(alpha_constraint=constraints.MaxNorm(1, (0, 2)))], (2, 3, 4)
            ),
            r"alpha_constraint: got axis \(0, 2\)",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    "damage",
    [
        {"kernel_constraint": {"name": "max_norm", "max_value": -1}},
        {"kernel_constraint": {"name": "max_norm", "max_value": "2"}},
        {"kernel_constraint": {"name": "max_norm", "max_value": float("nan")}},
        {"kernel_constraint": {"name": "unit_norm", "axis": 2**70}},
        {"kernel_constraint": {"name": "unit_norm", "axis": [0] * 1000}},
        {"kernel_constraint": {"name": "unit_norm", "axis": [[0]]}},
        {"kernel_constraint": {"name": "unit_norm", "kernel": "sgd"}},
        {"kernel_constraint": {"name": "unit_norm", "numbers": [1, 2, 3]}},
        {"kernel_constraint": {"name": ["unit_norm"]}},
        {"kernel_constraint": ["unit_norm"]},
        {"kernel_regularizer": {"name": "orthogonal_regularizer", "mode": ["rows"]}},
        {"kernel_regularizer": {"name": "orthogonal_regularizer", "factor": 1e400}},
        {"bias_regularizer": {"name": "orthogonal_regularizer"}},
        {"activity_regularizer": {"name": "orthogonal_regularizer"}},
        {"activity_regularizer": {"name": "l2", "l2": -1}},
        {"activity_regularizer": 0.1},
    ],
    ids=str,
)
def test_descriptions_that_are_hostile(damage):
    config = network().config()
    config["layers"][0] |= damage
    with pytest.raises((TypeError, ValueError), match="got"):
        fw.Sequential.from_config(config)
