"""What weights cost: part of the loss that is trained, reported and differentiated."""

import itertools

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, regularizers

KINDS = {
    "l1": regularizers.L1(0.03),
    "l2": regularizers.L2(0.2),
    "both": regularizers.L1L2(0.01, 0.05),
    "rows": regularizers.OrthogonalRegularizer(0.7),
    "columns": regularizers.OrthogonalRegularizer(0.7, "columns"),
}
#: Those that look at each number by itself, which biases can have.
OF_NUMBERS = ("l1", "l2", "both")


def network(
    kernel=None, bias=None, optimizer="sgd", dtype="float64", units=6, activity=None, second="l2"
):
    activity = activity and {"name": activity, "l1": 0.1, "l2": 0.2}
    stack = [
        layers.Dense(units, "tanh", kernel_regularizer=kernel, activity_regularizer=activity),
        layers.Dense(60, "relu", kernel_regularizer=second, bias_regularizer=bias),
        layers.Dense(2),
    ]
    model = fw.Sequential(stack, 4, dtype=dtype, seed=1)
    for weight in model.weights:
        weight += np.random.default_rng(1).normal(0, 0.1, weight.shape)
    model.compile(optimizer, "mse")
    return model


ORTHOGONAL = regularizers.OrthogonalRegularizer(0.3)


def data(rows=30):
    random = np.random.default_rng(2)
    return random.standard_normal((rows, 4)), random.standard_normal((rows, 2))


def cost_of(part, weights):
    """What an array costs, in NumPy."""
    if not isinstance(part, regularizers.OrthogonalRegularizer):
        return part.l1 * np.abs(weights).sum() + part.l2 * (weights**2).sum()
    vectors = weights if part.mode == "rows" else weights.T
    cosines = [
        abs(a @ b) / np.sqrt((a @ a) * (b @ b)) for a, b in itertools.combinations(vectors, 2)
    ]
    return part.factor * np.mean(cosines)


def cost(model):
    """Of all weights that are trained, in NumPy."""
    total = 0.0
    for layer in model.layers:
        for name in ("kernel", "bias"):
            part = getattr(layer, f"{name}_regularizer")
            if part is not None and layer.trainable:
                total += cost_of(part, getattr(layer, name))
    return total


def of_biases(kind):
    return KINDS[kind] if kind in OF_NUMBERS else "l1"


@pytest.mark.parametrize("rows", [30, 1500])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_contains_what_weights_cost(kind, rows):
    model, plain = network(KINDS[kind], of_biases(kind)), network()
    x, y = data(rows)
    error = np.mean((model.predict(x) - y) ** 2)
    expected = error + cost(model)
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-12)
    assert model.loss_and_gradients(x, y)[0] == pytest.approx(expected, rel=1e-12)
    history = model.fit(x, y, rows, 1, verbose=0, validation_data=(x, y))
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)
    after = np.mean((model.predict(x) - y) ** 2) + cost(model)
    assert history.history["val_loss"][0] == pytest.approx(after, rel=1e-12)
    assert plain.evaluate(x, y) != pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_contain_what_weights_cost(kind):
    model = network(KINDS[kind], of_biases(kind))
    report = fw.check_gradients(model, *data(9), tolerance=1e-8)
    assert report, report
    model.layers[1].trainable = False
    report = fw.check_gradients(model, *data(9), tolerance=1e-8)
    assert report, report
    x, y = data()
    error = np.mean((model.predict(x) - y) ** 2)
    assert model.evaluate(x, y) == pytest.approx(error + cost(model), rel=1e-12)


def test_a_weight_of_0_stays_there_by_itself():
    model = network("l1")
    model.layers[0].kernel[:] = 0.0
    x, y = data()
    plain = network()
    plain.layers[0].kernel[:] = 0.0
    _, gradient, _ = model.loss_and_gradients(x, y)
    np.testing.assert_array_equal(gradient[:24], plain.loss_and_gradients(x, y)[1][:24])


def test_steps_are_the_same_for_any_number_of_threads(monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    for kind, rows in ((kind, rows) for kind in ("both", "rows", "columns") for rows in (40, 900)):
        found = []
        for threads in (1, 2, 3):
            model = network(KINDS[kind], "l2", "adam", "float32", units=70, activity="l1_l2")
            with fw.threads(threads):
                losses = model.fit(*data(1800), rows, 2, verbose=0).history["loss"]
                found.append(np.array([*model.parameters, *losses, model.evaluate(*data(1800))]))
        assert all((found[0] == other).all() for other in found)


@pytest.mark.parametrize("kind", ["rows", "columns"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 1), (1, 3), (17, 5), (5, 17), (33, 40), (70, 66)])
def test_orthogonal_vectors_of_every_length(kind, shape):
    if shape[kind == "columns"] < 2:
        with pytest.raises(ValueError, match=f"kernel_regularizer: got orthogonal {kind} of"):
            fw.Sequential([layers.Dense(shape[1], kernel_regularizer=KINDS[kind])], shape[0])
        return
    model = fw.Sequential(
        [layers.Dense(shape[1], kernel_regularizer=KINDS[kind])], shape[0], "float64", seed=1
    )
    model.compile("sgd", "mse")
    kernel = model.layers[0].kernel
    x, y = np.zeros((1, shape[0])), np.zeros((1, shape[1]))
    loss, gradient, _ = model.loss_and_gradients(x, y)
    assert loss == pytest.approx(cost_of(KINDS[kind], kernel), rel=1e-12)
    assert KINDS[kind](kernel) == pytest.approx(loss, rel=1e-12)
    # The cost does not know how long vectors are, so its gradient is at right angles to each.
    gradient = gradient[: kernel.size].reshape(shape)
    along = (gradient * kernel).sum(axis=1 if kind == "rows" else 0)
    np.testing.assert_allclose(along, 0.0, atol=1e-14)


@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_vectors_of_hardly_any_length_are_divided_by_the_least_norm(kind):
    model = fw.Sequential([layers.Dense(5, kernel_regularizer=KINDS[kind])], 4, "float64", seed=1)
    model.compile("sgd", "mse")
    kernel = model.layers[0].kernel
    x, y = np.zeros((1, 4)), np.zeros((1, 5))
    for scale in (0.0, 1e-9):
        kernel[...] *= scale
        vectors = kernel if kind == "rows" else kernel.T
        products = vectors @ vectors.T / 1e-7**2
        np.fill_diagonal(products, 0.0)
        share = 0.7 / (len(vectors) * (len(vectors) - 1))
        loss, gradient, _ = model.loss_and_gradients(x, y)
        assert loss == pytest.approx(share * np.abs(products).sum(), rel=1e-12)
        expected = 2 * share * np.sign(products) @ vectors / 1e-7**2
        found = gradient[:20].reshape(4, 5)
        found = found if kind == "rows" else found.T
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        kernel[...] = np.random.default_rng(0).standard_normal((4, 5))


def test_each_member_has_a_matrix_of_its_own():
    layer = layers.MemberDense(4, kernel_regularizer=KINDS["columns"])
    model = fw.Sequential([layer], (3, 5), "float64", seed=1)
    model.compile("sgd", "mse")
    expected = sum(cost_of(KINDS["columns"], kernel) for kernel in layer.kernel)
    found = model.evaluate(np.zeros((1, 3, 5)), np.zeros((1, 3, 4)))
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [7, 30, 1500])
def test_the_loss_contains_what_layers_make(rows):
    model, plain = network(activity="l1_l2"), network()
    x, y = data(rows)
    hidden = np.tanh(x @ model.layers[0].kernel + model.layers[0].bias)
    made = (0.1 * np.abs(hidden) + 0.2 * hidden**2).sum() / rows
    expected = plain.evaluate(x, y) + made
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-12)
    assert model.loss_and_gradients(x, y)[0] == pytest.approx(expected, rel=1e-12)
    history = model.fit(x, y, rows, 1, verbose=0)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(plain.predict(x).shape, model.predict(x).shape)


def test_what_layers_make_costs_something_while_they_are_not_trained():
    model = network(activity="l1_l2")
    x, y = data(9)
    before = model.evaluate(x, y)
    model.layers[0].trainable = False
    assert model.evaluate(x, y) == pytest.approx(before, rel=1e-12)
    inputs = model.loss_and_gradients(x, y)[2]
    plain = network()
    assert not np.allclose(inputs, plain.loss_and_gradients(x, y)[2])
    assert fw.check_gradients(model, x, y, tolerance=1e-8)


def test_what_layers_make_is_in_the_gradients_of_a_loss_of_ones_own():
    model, by_plan = network(activity="l1_l2"), network(activity="l1_l2")
    x, y = data(9)
    _, gradient, dx = by_plan.loss_and_gradients(x, y)
    found = model.backward(2 * (model.forward(x) - y) / y.size)
    np.testing.assert_allclose(model.gradients, gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found, dx, rtol=1e-12, atol=1e-15)


def test_orthogonal_weights_are_in_the_gradients_of_a_loss_of_ones_own():
    model, by_plan = network(KINDS["rows"]), network(KINDS["rows"])
    x, y = data(9)
    _, gradient, _ = by_plan.loss_and_gradients(x, y)
    model.backward(2 * (model.forward(x) - y) / y.size)
    np.testing.assert_allclose(model.gradients, gradient, rtol=1e-12, atol=1e-15)


def test_it_is_the_same_as_a_layer_of_its_own():
    x, y = data(30)
    found = []
    for stack in (
        [layers.Dense(6, "relu", activity_regularizer="l1"), layers.Dense(2)],
        [layers.Dense(6, "relu"), layers.ActivityRegularization(0.01), layers.Dense(2)],
    ):
        model = fw.Sequential(stack, 4, dtype="float64", seed=1)
        model.compile("adam", "mse")
        model.fit(x, y, 8, 3, verbose=0)
        found.append(model.parameters)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("last", ["softmax", "sigmoid", "tanh"])
def test_the_output_may_cost_something(last):
    loss = {"softmax": "categorical_crossentropy", "sigmoid": "binary_crossentropy"}.get(
        last, "mse"
    )
    found = []
    for activity in (None, regularizers.L2(0.3)):
        stack = [layers.Dense(3, last, activity_regularizer=activity)]
        model = fw.Sequential(stack, 4, dtype="float64", seed=1)
        model.compile("adam", loss, ["mse"])
        x, _ = data()
        y = np.eye(3)[np.arange(30) % 3]
        assert fw.check_gradients(model, x, y, tolerance=1e-7)
        found.append(model.evaluate(x, y))
        history = model.fit(x, y, 30, 1, verbose=0)
        assert history.history["loss"][0] == pytest.approx(found[-1][0], rel=1e-12)
    made = 0.3 * (network_output(4, last, x) ** 2).sum() / 30
    assert found[1][0] == pytest.approx(found[0][0] + made, rel=1e-6)
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-12)


def network_output(inputs, last, x):
    return fw.Sequential([layers.Dense(3, last)], inputs, dtype="float64", seed=1).predict(x)


def test_they_are_saved_and_copied(tmp_path):
    model = network(KINDS["both"], {"name": "l1", "l1": 0.5}, activity="l1_l2", second=ORTHOGONAL)
    model.save(tmp_path / "model.safetensors")
    for again in (fw.load(tmp_path / "model.safetensors"), model.copy()):
        assert again.layers[0].kernel_regularizer == KINDS["both"]
        assert again.layers[0].activity_regularizer == regularizers.L1L2(0.1, 0.2)
        assert again.layers[1].kernel_regularizer == regularizers.OrthogonalRegularizer(0.3)
        assert again.layers[1].bias_regularizer == regularizers.L1(0.5)
        assert again.layers[2].kernel_regularizer is None
        assert again.evaluate(*data()) == model.evaluate(*data())


@pytest.mark.parametrize("kind", [regularizers.L1, regularizers.L2])
@pytest.mark.parametrize("rows", [1, 30, 1500])
def test_what_stands_beside_the_sum_is_shared_by_the_rows(kind, rows):
    x, y = data(rows)
    weights = np.random.default_rng(3).uniform(0, 3, rows)
    for given, counted in ((None, rows), (weights, weights.sum())):
        shared = network(kind(2.0, of_sum=True))
        plain = network(kind(2.0 / counted))
        loss, gradient, _ = shared.loss_and_gradients(x, y, given)
        expected, expected_gradient, _ = plain.loss_and_gradients(x, y, given)
        assert loss == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-11, atol=1e-14)
        figure = shared.evaluate(x, y, sample_weight=given)
        assert figure == pytest.approx(plain.evaluate(x, y, sample_weight=given), rel=1e-13)


def test_each_batch_has_all_of_what_stands_beside_its_sum():
    x, y = data(30)
    fitted, stepped = network(regularizers.L2(2.0, of_sum=True)), None
    fitted.fit(x, y, batch_size=25, shuffle=False, verbose=0)
    for begin, rows in ((0, 25), (25, 5)):
        new = network(regularizers.L2(2.0 / rows))
        if stepped is not None:
            new.set_weights(stepped.get_weights())
        new.train_on_batch(x[begin : begin + rows], y[begin : begin + rows])
        stepped = new
    np.testing.assert_allclose(fitted.parameters, stepped.parameters, rtol=1e-12)


def test_rows_of_no_weight_share_nothing():
    x, y = data(4)
    shared, plain = network(regularizers.L2(2.0, of_sum=True)), network()
    loss, *_ = shared.loss_and_gradients(x, y, np.array([0.0, 1e-300, 0, 0]))
    assert np.isfinite(loss)
    shared.fit(x, y, batch_size=2, shuffle=False, sample_weight=[0.0, 0, 1, 1], verbose=0)
    plain.fit(x, y, batch_size=2, shuffle=False, sample_weight=[0.0, 0, 1, 1], verbose=0)
    assert np.isfinite(shared.parameters).all()
    assert (shared.parameters != plain.parameters).any()


def test_steps_that_look_at_all_rows_know_what_stands_beside_their_sum():
    x, y = data(30)
    found = []
    for part in (regularizers.L2(0.6, of_sum=True), regularizers.L2(0.02)):
        for optimizer in ("LBFGS", "LevenbergMarquardt"):
            stack = [layers.Dense(5, "tanh", kernel_regularizer=part), layers.Dense(2)]
            model = fw.Sequential(stack, 4, dtype="float64", seed=1)
            model.compile(getattr(fw.optimizers, optimizer)(), "mse")
            model.fit(x, y, epochs=5, verbose=0)
            found.append(model.parameters)
    for shared, plain in zip(found[:2], found[2:], strict=True):
        np.testing.assert_allclose(shared, plain, rtol=1e-8)


def test_by_hand():
    weights = np.array([[1.0, -2.0], [0.0, 3.0]])
    assert regularizers.L1(0.1)(weights) == pytest.approx(0.6)
    assert regularizers.L2(0.1)(weights) == pytest.approx(1.4)
    assert regularizers.L1L2(0.1, 0.1)(weights) == pytest.approx(2.0)
    assert regularizers.get(None) is None
    assert regularizers.get("l2") == regularizers.L2(0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.L1(-1), "l1: got -1"),
        (lambda: regularizers.L2(np.nan), "l2: got nan"),
        (lambda: regularizers.L2(of_sum=1), "of_sum: got 1"),
        (
            lambda: layers.Dense(2, activity_regularizer=regularizers.L2(of_sum=True)),
            "activity_regularizer: got L2.*of_sum=False",
        ),
        (lambda: layers.Dense(2, kernel_regularizer="l3"), "kernel_regularizer: got 'l3'"),
        (lambda: layers.Dense(2, bias_regularizer=0.1), "bias_regularizer: got float"),
        (lambda: regularizers.OrthogonalRegularizer(-0.1), "factor: got -0.1"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), "mode: got 'row'"),
        (
            lambda: layers.Dense(2, kernel_regularizer={"name": "l1", "l2": 1.0}),
            "kernel_regularizer: got 'l2'",
        ),
        (
            lambda: fw.Sequential([layers.Dense(2, bias_regularizer=KINDS["rows"])], 3),
            "bias_regularizer: got orthogonal rows",
        ),
        (
            lambda: layers.Dense(2, activity_regularizer=KINDS["rows"]),
            "activity_regularizer: got OrthogonalRegularizer",
        ),
        (lambda: layers.Flatten(activity_regularizer="l3"), "activity_regularizer: got 'l3'"),
        (lambda: layers.ActivityRegularization(l2=-1), "l2: got -1"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
