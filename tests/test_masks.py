"""What masked steps leave out: losses and metrics of them."""

import sys

import numpy as np
import pytest
import reference
from helpers import same_bits

import fastweights as fw
from fastweights import layers, losses, metrics
from fastweights.layers.ops import op

RANDOM = np.random.default_rng(0)

#: Loss, activation, outputs, and the reference's loss.
LOSSES = [
    ("mean_squared_error", None, 2),
    ("mean_absolute_error", None, 3),
    ("huber", "tanh", 1),
    ("log_cosh", None, 1),
    ("poisson", "softplus", 2),
    ("hinge", "tanh", 2),
    ("binary_crossentropy", "sigmoid", 3),
    ("categorical_crossentropy", "softmax", 3),
    ("categorical_crossentropy", "sigmoid", 2),
    ("sparse_categorical_crossentropy", "softmax", 4),
    ("sparse_categorical_crossentropy", "softmax", 70),
]


def rows_of(rows, steps=6, features=3):
    """Some steps of which are 0, of some rows all; and which are not."""
    x = RANDOM.standard_normal((rows, steps, features))
    is_told = RANDOM.random((rows, steps)) < 0.7
    is_told[1::5] = False
    x[~is_told] = 0.0
    return x, is_told


def targets_of(loss, shape):
    if loss == "sparse_categorical_crossentropy":
        return RANDOM.integers(0, shape[-1], shape[:-1])
    if loss == "categorical_crossentropy":
        return np.eye(shape[-1])[RANDOM.integers(0, shape[-1], shape[:-1])]
    if loss in ("binary_crossentropy", "poisson"):
        return RANDOM.integers(0, 2, shape).astype(float)
    return RANDOM.choice([-1.0, 1.0], shape) if loss == "hinge" else RANDOM.standard_normal(shape)


def masked(loss="mse", activation=None, outputs=2, dtype="float64", chosen=(), steps=6):
    """Two dense layers of each step that is not all 0."""
    stack = [layers.Masking(), layers.Dense(5, "tanh"), layers.Dense(outputs, activation)]
    model = fw.Sequential(stack, (steps, 3), dtype, seed=1)
    model.compile(fw.optimizers.SGD(0.1), loss, chosen)
    return model


def stepwise(model, loss):
    """The oracle's network of one step, with the model's weights."""
    first, second = model.layers[1:]
    activations = [first.activation.name, second.activation.name]
    kernel = model.loss.kernel
    if model.loss.fused_with == activations[1]:
        activations[1], kernel = "linear", model.loss.fused_kernel
    twin = reference.MLP([3, 5, second.units], activations, kernel, model.loss.options)
    twin.parameters = model.parameters.astype(float)
    return twin


@pytest.mark.parametrize(("loss", "activation", "outputs"), LOSSES)
def test_the_loss_is_the_mean_over_steps_that_count(loss, activation, outputs):
    model = masked(loss, activation, outputs)
    x, is_told = rows_of(17)
    y = targets_of(loss, (17, 6, outputs))
    twin = stepwise(model, loss)
    expected = twin.loss(x[is_told], y[is_told])
    gradient, _ = twin.gradients(x[is_told], y[is_told])
    found, gradients, dx = model.loss_and_gradients(x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients, gradient, rtol=1e-9, atol=1e-12)
    assert not dx[~is_told].any()
    np.testing.assert_allclose(model.evaluate(x, y), expected, rtol=1e-12)
    np.testing.assert_allclose(model.train_on_batch(x, y), expected, rtol=1e-12)
    np.testing.assert_allclose(
        model.parameters, twin.parameters - 0.1 * gradient, rtol=1e-9, atol=1e-12
    )
    assert fw.check_gradients(model, x, y, tolerance=1e-8).passed


@pytest.mark.parametrize(
    ("loss", "activation", "outputs", "chosen"),
    [
        ("mse", None, 2, ["mae", "rmse", "mse", "r2"]),
        ("binary_crossentropy", "sigmoid", 2, ["accuracy", "binary_crossentropy"]),
        ("sparse_categorical_crossentropy", "softmax", 4, ["accuracy"]),
        ("categorical_crossentropy", "softmax", 3, ["accuracy", "categorical_crossentropy"]),
    ],
)
def test_metrics_are_those_of_steps_that_count(loss, activation, outputs, chosen):
    model = masked(loss, activation, outputs, chosen=chosen)
    x, is_told = rows_of(700)
    y = targets_of(loss, (700, 6, outputs))
    alone = fw.Sequential(
        [layers.Dense(5, "tanh"), layers.Dense(outputs, activation)], 3, "float64"
    )
    alone.set_weights(model.get_weights())
    alone.compile("sgd", loss, chosen)
    expected = alone.evaluate(x[is_told], y[is_told])
    np.testing.assert_allclose(model.evaluate(x, y), expected, rtol=1e-10)
    assert len(expected) == 1 + len(chosen)
    model.compile(fw.optimizers.SGD(0.0), loss, chosen)
    history = model.fit(x, y, 700, 1, verbose=0, shuffle=False).history
    np.testing.assert_allclose([figures[0] for figures in history.values()], expected, rtol=1e-10)


def test_an_epoch_has_the_mean_of_its_batches_as_in_keras():
    """Weighted by rows, whatever counts of them; `evaluate` has all rows at once."""
    model = masked()
    x, is_told = rows_of(10)
    y = targets_of("mse", (10, 6, 2))
    model.compile(fw.optimizers.SGD(0.0), "mse")
    history = model.fit(x, y, 4, 1, verbose=0, shuffle=False).history
    errors = ((model.predict(x) - y) ** 2).mean(axis=-1)
    batches = [slice(0, 4), slice(4, 8), slice(8, 10)]
    means = [errors[part][is_told[part]].mean() for part in batches]
    assert history["loss"][0] == pytest.approx(np.average(means, weights=[4, 4, 2]), rel=1e-12)
    assert model.evaluate(x, y) == pytest.approx(errors[is_told].mean(), rel=1e-12)


def test_what_is_masked_moves_no_bit():
    x, is_told = rows_of(40)
    y = targets_of("mse", (40, 6, 2))
    other = np.where(is_told[..., np.newaxis], y, 1e30)
    found = []
    for targets in (y, other):
        model = masked(dtype="float32", chosen=["mae"])
        model.fit(x, targets, 8, 3, verbose=0)
        found.append((model.parameters.copy(), model.evaluate(x, targets)))
    same_bits(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_without_a_step_that_counts_there_is_no_loss():
    model = masked(chosen=["mae", "rmse"])
    x, y = np.zeros((5, 6, 3)), np.ones((5, 6, 2))
    loss, gradient, dx = model.loss_and_gradients(x, y)
    assert loss == 0.0
    assert not gradient.any()
    assert not dx.any()
    assert model.evaluate(x, y) == [0.0, 0.0, 0.0]
    assert model.fit(x, y, 5, 1, verbose=0).history == {"loss": [0.0], "mae": [0.0], "rmse": [0.0]}


def two_headed():
    """One output of each step, some of which are masked, and one of each row."""
    words = fw.Input((7,))
    steps = layers.GRU(4, return_sequences=True)(layers.Embedding(9, 3, mask_zero=True)(words))
    tags = layers.Dense(3, "softmax", name="tags")(steps)
    value = layers.Dense(2, name="value", activity_regularizer="l2")(layers.GRU(3)(steps))
    model = fw.Model(words, [tags, value], "float64", seed=0)
    model.compile(
        fw.optimizers.SGD(0.0),
        ["sparse_categorical_crossentropy", "mse"],
        {"tags": ["accuracy"], "value": ["mae"]},
        loss_weights=[0.5, 2.0],
    )
    words = RANDOM.integers(0, 9, (300, 7))
    return model, words, [RANDOM.integers(0, 3, (300, 7)), RANDOM.standard_normal((300, 2))]


def test_outputs_with_and_without_a_mask():
    model, x, y = two_headed()
    tags, values = model.predict(x)
    is_told = x != 0
    entropy = -np.log(np.take_along_axis(tags, y[0][..., np.newaxis], -1))[..., 0][is_told].mean()
    error = ((values - y[1]) ** 2).mean()
    cost = 0.01 * (values**2).sum() / 300
    logs = model.evaluate(x, y, return_dict=True)
    expected = {
        "loss": 0.5 * entropy + 2.0 * error + cost,
        "tags_loss": entropy,
        "value_loss": error,
        "tags_accuracy": (tags.argmax(-1) == y[0])[is_told].mean(),
        "value_mae": np.abs(values - y[1]).mean(),
    }
    assert logs == pytest.approx(expected, rel=1e-12)
    history = model.fit(x, y, 300, 1, verbose=0).history
    assert {name: figures[0] for name, figures in history.items()} == pytest.approx(
        expected, rel=1e-12
    )
    few = x[:6], [part[:6] for part in y]
    assert fw.check_gradients(model, *few, tolerance=1e-8).passed


def test_the_same_bits_for_any_team(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    found = []
    for threads in (1, 2, 3):
        model, x, y = two_headed()
        model.compile("adam", ["sparse_categorical_crossentropy", "mse"], {"tags": ["accuracy"]})
        random = np.random.default_rng(3)
        x = random.integers(0, 9, (900, 7))
        y = [random.integers(0, 3, (900, 7)), random.standard_normal((900, 2))]
        with fw.threads(threads):
            history = model.fit(x, y, 61, 2, verbose=0).history
            found.append((model.parameters.copy(), history, model.evaluate(x, y)))
    for parameters, history, figures in found[1:]:
        same_bits(parameters, found[0][0])
        assert (history, figures) == found[0][1:]


LOGITS = {"name": "categorical_crossentropy", "from_logits": True}


class Marked(layers.Layer):
    """Masks what of the first axes is not above 0, so many of them."""

    def __init__(self, axes, name=None):
        super().__init__(name)
        self.axes = axes

    def ops(self, x):
        return x

    def mask_of(self, x):
        shape = x.shape[: self.axes]
        lines = int(np.prod(shape))
        above = op("activation", x, activation="relu")
        return op("mask_steps", above, shape=shape, lines=lines, options=(0.0,))


@pytest.mark.parametrize(
    ("axes", "loss"),
    [(1, "mse"), (2, "mse"), (3, "mse"), (1, "categorical_crossentropy")],
)
def test_a_mask_may_be_of_any_first_axes(axes, loss):
    model = fw.Sequential([Marked(axes)], (4, 2, 3), "float64")
    model.compile("sgd", loss if loss == "mse" else losses.get(LOGITS))
    x, y = RANDOM.random((5, 4, 2, 3)), targets_of(loss, (5, 4, 2, 3))
    x[RANDOM.random(x.shape[: axes + 1]) < 0.4] *= -1.0
    is_told = (x > 0).reshape(*x.shape[: axes + 1], -1).any(axis=-1)
    if loss == "mse":
        expected = ((x - y) ** 2)[is_told].mean()
    else:
        expected = -(y * reference.log_softmax(x.reshape(-1, 3)).reshape(x.shape))[is_told]
        expected = expected.sum(axis=-1).mean()
    np.testing.assert_allclose(model.evaluate(x, y), expected, rtol=1e-12)


def test_classes_have_no_masks_of_their_own():
    model = fw.Sequential([Marked(2)], (4, 3), "float64")
    model.compile("sgd", losses.get(LOGITS))
    x = RANDOM.random((5, 4, 3))
    with pytest.raises(ValueError, match=r"loss: got a mask of rows \(4, 3\) for 'marked'"):
        model.evaluate(x, targets_of("categorical_crossentropy", x.shape))


def test_targets_of_steps_of_one_output_come_with_and_without_its_axis():
    model = masked(outputs=1)
    x, _ = rows_of(8)
    y = RANDOM.standard_normal((8, 6))
    assert model.evaluate(x, y) == model.evaluate(x, y[..., np.newaxis])


def test_figures_are_those_of_keras():
    """Of Keras 3.15 with PyTorch, all rows in one batch; its RMSE looks at masked steps too."""
    model = fw.Sequential([layers.Masking(), layers.Dense(1)], (3, 2), "float64")
    model.compile("sgd", "mse", ["mae", metrics.MeanSquaredError()])
    model.layers[1].kernel[...] = [[1.0], [-2.0]]
    model.layers[1].bias[...] = 0.5
    x = np.array([[[1.0, 2], [0, 0], [3, 1]], [[0, 0], [0, 0], [0, 1]]])
    y = np.arange(6.0).reshape(2, 3, 1)
    np.testing.assert_allclose(model.evaluate(x, y), [16.25, 19 / 6, 16.25], rtol=1e-12)


# ---- where a mask ends ---------------------------------------------------------------------------


class Passes(layers.Layer):
    """Says nothing of masks."""

    def ops(self, x):
        return x


@pytest.mark.parametrize(
    "layer",
    [
        layers.Flatten(),
        layers.Conv1D(2, 2),
        layers.Reshape((4, 1, 3)),
        layers.Permute((2, 1)),
        layers.MaxPooling1D(),
        layers.GlobalMaxPooling1D(),
        layers.ZeroPadding1D(),
        layers.UpSampling1D(),
    ],
)
def test_layers_that_lose_a_mask_are_warned_of_once(layer):
    with pytest.warns(UserWarning, match=f"layers: {type(layer).__name__} .* reads masked") as told:
        model = fw.Sequential([layers.Masking(), layer, layers.Flatten()], (4, 3))
    assert len(told) == 1
    model.predict(np.zeros((1, 4, 3)))
    model.copy()


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2),
        layers.Bidirectional(layers.GRU(2)),
        layers.GlobalAveragePooling1D(),
        layers.TimeDistributed(layers.Dense(2)),
        Passes(),
    ],
)
def test_layers_that_end_a_mask_are_not_warned_of(layer):
    fw.Sequential([layers.Masking(), layer], (4, 3))


def test_attention_ends_the_masks_of_values():
    x, y = fw.Input((3, 2)), fw.Input((4, 2))
    fw.Model([x, y], layers.MultiHeadAttention(1, 2)(x, layers.Masking()(y)))


# ---- inputs of True and False --------------------------------------------------------------------


def stack_of_flags():
    return fw.Sequential([fw.Input(3, dtype="bool", name="f"), layers.Dense(2)], seed=0)


def added_flags():
    model = fw.Sequential(seed=0)
    model.add(fw.Input(3, dtype=bool))
    model.add(layers.Dense(2))
    return model


def graph_of_flags():
    x = fw.Input(3, dtype=np.bool_)
    return fw.Model(x, layers.Dense(2)(x), seed=0)


@pytest.mark.parametrize("make", [stack_of_flags, added_flags, graph_of_flags])
def test_an_input_of_flags_takes_no_other_numbers(make, tmp_path):
    model = make()
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.safetensors")
    again = (
        fw.load(tmp_path / "m.safetensors"),
        model.copy(),
        fw.Model.from_config(model.config()),
    )
    for one in (model, *again, fw.Model(model.inputs, model.outputs)):
        for _ in range(2):
            one.predict(np.ones((2, 3), np.float32))
            for wrong in ([[1, 2, 3]], np.full((2, 3), 255, np.uint8), np.full((2, 3), -1.0)):
                with pytest.raises(ValueError, match=r"x: got .*, expected 0 or 1, where 1"):
                    one.predict(wrong)
    with pytest.raises(ValueError, match="x: got 2 at"):
        model.fit(np.full((2, 3), 2), np.zeros((2, 2)), verbose=0)
    same_bits(model.predict(np.ones((2, 3), bool)), model.predict(np.ones((2, 3))))


def test_other_inputs_take_all_numbers():
    x, other = fw.Input(3, dtype="bool"), fw.Input(3, dtype="int32")
    model = fw.Model([x, other], layers.Add()([x, other]))
    same_bits(model.predict([np.ones((1, 3)), np.full((1, 3), 5)]), np.full((1, 3), 6, np.float32))
    assert [entry.get("dtype") for entry in model.config()["inputs"]] == ["bool", None]


def test_a_description_of_other_dtypes_is_refused():
    for model, change in (
        (stack_of_flags(), lambda config: config.update(input_dtype="int8")),
        (graph_of_flags(), lambda config: config["inputs"][0].update(dtype=["bool"])),
    ):
        config = model.config()
        change(config)
        with pytest.raises(ValueError, match=r"dtype.*: got .*, expected 'bool' or none"):
            fw.Model.from_config(config)
