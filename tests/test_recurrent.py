"""Recurrent layers, masks and wrappers: what oracle and gradient checks do not see."""

import numpy as np
import pytest
import reference_recurrent as oracle
from helpers import error_with_noise, same_bits

import fastweights as fw
from fastweights import layers, serialization

KINDS = (
    layers.LSTM,
    layers.GRU,
    layers.SimpleRNN,
    lambda units, **settings: layers.GRU(units, reset_after=False, **settings),
)
RANDOM = np.random.default_rng(7)


def short_rows(rows=9, steps=6, features=3, dtype="float64"):
    """Rows of unequal lengths, filled up with zeros, one of them of no step at all."""
    x = RANDOM.standard_normal((rows, steps, features)).astype(dtype)
    lengths = np.arange(rows) % (steps + 1)
    x[np.arange(steps) >= lengths[:, None]] = 0.0
    return x, lengths


# ---- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_padded_row_is_as_the_short_one(kind, dtype):
    """Bit for bit: what fills it up has no part in it."""
    x, lengths = short_rows(dtype=dtype)
    model = fw.Sequential([layers.Masking(), kind(5)], x.shape[1:], dtype, seed=1)
    found = model.predict(x)
    for row, length in enumerate(lengths):
        if length == 0:
            same_bits(found[row], np.zeros(5, dtype))
            continue
        alone = fw.Sequential([kind(5)], (int(length), 3), dtype)
        alone.set_weights(model.get_weights())
        same_bits(found[row], alone.predict(x[row : row + 1, :length])[0])


def test_a_number_of_words_that_is_0_is_masked():
    words = np.array([[3, 1, 0, 0], [2, 0, 4, 0], [0, 0, 0, 0]])
    stack = [layers.Embedding(5, 3, mask_zero=True), layers.LSTM(4, return_sequences=True)]
    model = fw.Sequential(stack, 4, "float64", seed=1)
    table, *weights = model.get_weights()
    told = oracle.recurrent("LSTM", table[words], *weights, mask=words != 0, sequences=True)
    np.testing.assert_allclose(model.predict(words), told, atol=1e-14)
    plain = fw.Sequential([layers.Embedding(5, 3), layers.LSTM(4)], 4, "float64", seed=1)
    plain.set_weights(model.get_weights())
    told = oracle.recurrent("LSTM", table[words], *weights)
    np.testing.assert_allclose(plain.predict(words), told, atol=1e-14)


@pytest.mark.parametrize("value", [0.0, -1.5, 1e30])
def test_what_masking_makes(value):
    x = RANDOM.standard_normal((4, 5, 3))
    x[1, 2:] = value
    x[2, 0] = value
    x[3, 1, :2] = value  # of which one number is another
    model = fw.Sequential([layers.Masking(value)], x.shape[1:], "float64")
    expected = np.where((x != value).any(axis=-1, keepdims=True), x, 0.0)
    same_bits(model.predict(x), expected)
    model.compile(loss="mse")
    dx = model.loss_and_gradients(x, np.ones_like(x))[2]
    assert not dx[1, 2:].any()
    assert dx[3, 1].all()


#: Layers that what is masked goes through, and those that end it.
THROUGH = {
    "dense": lambda: [layers.Dense(3, "tanh", use_bias=False)],
    "dropout": lambda: [
        layers.Dropout(0.5),
        layers.Activation("tanh"),
        layers.ReLU(),
        layers.PReLU(),
    ],
    "normalised": lambda: [layers.LayerNormalization(), layers.RMSNormalization()],
    "by the batch": lambda: [layers.BatchNormalization(), layers.Normalization(-1, 1.0, 2.0)],
    "positions": lambda: [layers.SinePositionEncoding(), layers.PositionEmbedding(6)],
    "recurrent": lambda: [layers.GRU(3, return_sequences=True)],
    "both ways": lambda: [layers.Bidirectional(layers.GRU(3, return_sequences=True), "sum")],
    "steps": lambda: [layers.TimeDistributed(layers.Dense(3, "tanh"))],
    "identity": lambda: [layers.Identity(), layers.Rescaling(2.0, 1.0)],
}


@pytest.mark.parametrize("between", THROUGH)
def test_a_mask_goes_with_a_value(between):
    """What stands in masked steps of the input has no part in the output."""
    x, lengths = short_rows()
    other = x.copy()
    other[np.arange(6) >= lengths[:, None]] = 5.0
    zero, five = (
        fw.Sequential([layers.Masking(value), *THROUGH[between](), layers.LSTM(4)], (6, 3), seed=2)
        for value in (0.0, 5.0)
    )
    same_bits(zero.predict(x), five.predict(other))
    assert not zero.predict(x)[lengths == 0].any()


@pytest.mark.filterwarnings("ignore:layers. .* reads masked steps")
@pytest.mark.parametrize(
    "ending", [layers.Reshape((6, 3)), layers.Permute((1, 2)), layers.MemberScale()]
)
def test_a_mask_ends_where_steps_are_others(ending):
    x, lengths = short_rows()
    stack = [layers.Masking(), ending, layers.LSTM(4, bias_initializer="ones")]
    model = fw.Sequential(stack, (6, 3), seed=2)
    assert model.predict(x)[lengths == 0].all()


def test_masks_of_several_values():
    """As in Keras what counts in any value counts in what is made of them, and all does where a
    value has no mask; along steps masks are joined."""
    x, y = fw.Input((4, 2)), fw.Input((4, 2))
    one, other = layers.Masking()(x), layers.Masking()(y)
    last = layers.LSTM(3)
    added = last(layers.Add()([one, other]))
    beside = layers.LSTM(3)(layers.Concatenate()([one, y]))
    both = layers.LSTM(3)(layers.Concatenate()([one, other]))
    behind = layers.LSTM(3)(layers.Concatenate(1)([one, other]))
    last_free = layers.LSTM(3)(layers.Concatenate(1)([one, y]))
    free = layers.LSTM(3)(layers.Multiply()([one, y]))
    outputs = [added, beside, both, behind, last_free, free]
    model = fw.Model([x, y], outputs, dtype="float64", seed=0)
    a, b = RANDOM.standard_normal((2, 5, 4, 2))
    a[0, 2:] = b[1, :2] = b[0, 0] = b[0, 3] = 0.0
    of_a, of_b = (a != 0).any(-1), (b != 0).any(-1)
    found = model.predict([a, b])
    side, row = np.concatenate([a, b], -1), np.concatenate([a, b], 1)
    inputs = (a + b, side, side, row, row, a * b)
    any_of, every = of_a | of_b, np.ones_like(of_a)
    joined = [np.concatenate([of_a, second], 1) for second in (of_b, every)]
    masks = (any_of, every, any_of, *joined, every)
    recurrent = [layer for layer in model.layers if isinstance(layer, layers.LSTM)]
    for told, rows, mask, layer in zip(found, inputs, masks, recurrent, strict=True):
        expected = oracle.recurrent("LSTM", rows, *layer.get_weights(), mask=mask)
        np.testing.assert_allclose(told, expected, atol=1e-14)


def test_gradients_end_at_a_mask():
    """It is made of numbers that have a gradient elsewhere, and none by it."""
    stack = [
        layers.Dense(3, use_bias=False),
        layers.Masking(),
        layers.GRU(4, return_sequences=True),
        layers.LSTM(3),
    ]
    model = fw.Sequential(stack, (6, 3), "float64", seed=3)
    model.compile(loss="mse")
    x, lengths = short_rows()
    y = RANDOM.standard_normal((9, 3))
    assert not model.loss_and_gradients(x, y)[2][np.arange(6) >= lengths[:, None]].any()
    # Differences by numbers of masked steps take them out of the mask.
    report = fw.check_gradients(model, x, y)
    assert all(row.error <= row.allowed for row in report.rows if row.name != "input"), f"{report}"


# ---- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rates", [(0.4, 0.0), (0.0, 0.4), (0.3, 0.3)])
def test_gradients_with_dropout(kind, rates):
    settings = {"dropout": rates[0], "recurrent_dropout": rates[1]}
    stack = [layers.Dense(3, "tanh"), kind(5, return_sequences=True, **settings), layers.Flatten()]
    model = fw.Sequential([*stack, layers.Dense(2)], (4, 2), "float64", seed=3)
    model.compile(loss="mse")
    batch = RANDOM.standard_normal((40, 4, 2)), RANDOM.standard_normal((40, 2))
    # Its error falls with the square of the step.
    assert error_with_noise(model, *batch, step=5e-5) < 1e-8


def test_the_same_elements_are_dropped_in_all_steps():
    """Of h that is handed on as it is, what was dropped stays 0; the rest grows by 4 / 3 a step."""
    layer = layers.SimpleRNN(
        64,
        None,
        use_bias=False,
        recurrent_initializer="zeros",
        kernel_initializer="ones",
        recurrent_dropout=0.25,
        return_sequences=True,
    )
    model = fw.Sequential([layer], (3, 1), "float64", seed=0)
    layer.recurrent_kernel[...] = np.eye(64)
    x = np.zeros((50, 3, 1))
    x[:, 0] = 1.0
    told = model.forward(x, training=True)
    kept = told[:, 1] > 0
    np.testing.assert_allclose(told[:, 1], kept * 4 / 3)
    np.testing.assert_allclose(told[:, 2], kept * 16 / 9)
    assert 0.7 < kept.mean() < 0.8
    assert len({row.tobytes() for row in kept}) == 50
    same_bits(model.predict(x)[:, 2], np.ones((50, 64)))


# ---- files ---------------------------------------------------------------------------------------


TWO = {
    "LSTM": lambda: layers.LSTM(5),
    "GRU": lambda: layers.GRU(5),
    "SimpleRNN": lambda: layers.SimpleRNN(5),
    "LSTM without bias": lambda: layers.LSTM(5, use_bias=False),
    "GRU both ways": lambda: layers.Bidirectional(layers.GRU(5)),
    "LSTM both ways": lambda: layers.Bidirectional(layers.LSTM(5)),
}


@pytest.mark.parametrize("name", TWO)
def test_torch_takes_what_is_saved(name, tmp_path):
    torch = pytest.importorskip("torch")
    model = fw.Sequential([TWO[name]()], (4, 3), "float64", seed=0)
    for weight in model.weights:
        weight += 0.1 * RANDOM.standard_normal(weight.shape)
    model.save(tmp_path / "m.safetensors")
    with serialization.opened(tmp_path / "m.safetensors") as file:
        tensors = {
            key.removeprefix("0."): torch.tensor(np.array(file.read(key))) for key in file.tensors
        }
    kind = {"SimpleRNN": torch.nn.RNN}.get(name) or getattr(torch.nn, name.split()[0])
    twin = kind(
        3, 5, batch_first=True, dtype=torch.float64, bias="without" not in name,
        bidirectional="both" in name,
    )  # fmt: skip
    twin.load_state_dict(tensors)
    x = RANDOM.standard_normal((6, 4, 3))
    last = twin(torch.tensor(x))[1]
    last = last[0] if name.startswith("LSTM") else last
    expected = torch.cat(list(last), -1).detach().numpy()
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-14)
    same_bits(fw.load(tmp_path / "m.safetensors").predict(x), model.predict(x))


def test_a_second_bias_of_a_file_counts(tmp_path):
    """Torch trains two biases where there is one sum."""
    model = fw.Sequential([layers.LSTM(2)], (4, 3), "float64", seed=0)
    model.save(tmp_path / "m.safetensors")
    with serialization.opened(tmp_path / "m.safetensors") as file:
        tensors = {key: np.array(file.read(key)) for key in file.tensors}
        metadata = dict(file.metadata)
    tensors["0.bias_hh_l0"] += np.arange(8.0)
    serialization.write(tmp_path / "n.safetensors", tensors, metadata)
    again = fw.load(tmp_path / "n.safetensors").layers[0]
    np.testing.assert_allclose(again.bias, model.layers[0].bias + np.arange(8.0))


# ---- how they start, and what is refused ---------------------------------------------------------


def test_how_weights_start():
    model = fw.Sequential([layers.LSTM(7), layers.RepeatVector(2), layers.GRU(4)], (5, 3), seed=0)
    lstm, _, gru = model.layers
    np.testing.assert_array_equal(lstm.bias, np.repeat([0.0, 1.0, 0.0, 0.0], 7))
    assert not gru.bias.any()
    for layer in (lstm, gru):
        rows = layer.recurrent_kernel
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-6)
        limit = np.sqrt(6 / sum(layer.kernel.shape))
        assert 0.8 * limit < np.abs(layer.kernel).max() <= limit
    assert gru.bias.shape == (2, 12)
    plain = layers.LSTM(7, unit_forget_bias=False, bias_initializer="ones")
    fw.Sequential([plain], (5, 3))
    assert (plain.bias == 1).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.LSTM(0), ValueError, "units: got 0, expected at least 1"),
        (lambda: layers.LSTM(3, "softmax"), ValueError, "activation: got 'softmax', expected one"),
        (lambda: layers.GRU(3, "tanh", "sparsemax"), ValueError, "recurrent_activation"),
        (lambda: layers.GRU(3, dropout=1.0), ValueError, "dropout: got 1.0, expected"),
        (lambda: layers.GRU(3, recurrent_dropout=-0.1), ValueError, "recurrent_dropout: got -0.1"),
        (lambda: layers.LSTM(3, stateful=1), TypeError, "stateful: got"),
        (lambda: layers.Masking("0"), TypeError, "mask_value"),
        (lambda: layers.Bidirectional(layers.Dense(3)), TypeError, "layer: got Dense, expected an"),
        (lambda: layers.Bidirectional(layers.LSTM(3), "max"), ValueError, "merge_mode: got 'max'"),
        (
            lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)),
            ValueError,
            "backward_layer",
        ),
        (lambda: layers.TimeDistributed("dense"), TypeError, "layer: got"),
        (
            lambda: fw.Sequential([layers.LSTM(3)], 4),
            ValueError,
            r"input of LSTM: got rows of shape \(4,\), expected rows \(steps, features\)",
        ),
        (
            lambda: fw.Sequential([layers.Masking()], 4),
            ValueError,
            r"input of Masking: got rows of shape \(4,\)",
        ),
        (
            lambda: fw.Sequential([layers.TimeDistributed(layers.LSTM(3))], (2, 3, 4)),
            ValueError,
            r"layer of TimeDistributed: got LSTM, which sees several vectors .* make a model",
        ),
        (
            lambda: layers.TimeDistributed(fw.Sequential([layers.Dense(3)])),
            TypeError,
            "layer: got Sequential, expected a layer that .* make a model of one, predict",
        ),
        (
            lambda: fw.Sequential([layers.TimeDistributed(layers.BatchNormalization())], (2, 3)),
            ValueError,
            "layer of TimeDistributed: got BatchNormalization",
        ),
    ],
)  # fmt: skip
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_layer_of_a_model_is_not_wrapped():
    layer = layers.LSTM(3)
    fw.Sequential([layer], (4, 2))
    with pytest.raises(ValueError, match="layer: got 'lstm', a layer of a model"):
        layers.Bidirectional(layer)


def test_a_wrapped_layer_is_not_changed():
    """It is a description: what is built of it are the wrapper's weights."""
    dense = layers.Dense(3, "relu", kernel_regularizer="l2")
    model = fw.Sequential([layers.TimeDistributed(dense)], (4, 2), seed=0)
    again = fw.Sequential([dense], 2, seed=0)
    assert again.layers[0].kernel.shape == model.layers[0].kernel.shape == (2, 3)
    assert model.layers[0].weights.keys() == {"kernel", "bias"}


def test_it_learns_what_stands_far_behind():
    """The sign of the first number of rows of unequal lengths, among noise."""
    random = np.random.default_rng(0)
    x = random.normal(0, 0.3, (600, 20, 1))
    y = random.integers(0, 2, 600)
    x[:, 0, 0] = 2.0 * y - 1
    x[np.arange(20) >= random.integers(5, 21, (600, 1))] = 0.0
    for kind in (layers.LSTM, layers.GRU):
        stack = [layers.Masking(), kind(8), layers.Dense(1, "sigmoid")]
        model = fw.Sequential(stack, (20, 1), seed=0)
        model.compile(fw.optimizers.Adam(0.02), "binary_crossentropy", ["accuracy"])
        model.fit(x[:500], y[:500], 25, 15, verbose=0)
        assert model.evaluate(x[500:], y[500:], verbose=0)[1] > 0.97


class Mistaken(layers.Layer):
    """An LSTM of somebody's own, of 3 units for rows of 4 steps of 2, with one size changed."""

    def __init__(self, kind="lstm", shape=(3,), name=None, **changed):
        super().__init__(name)
        self.kind, self.shape, self.changed = kind, shape, changed

    def variables(self, shape):
        return [
            layers.Variable("kernel", (2, 12), "uniform"),
            layers.Variable("recurrent_kernel", (3, 12), "uniform"),
        ]

    def ops(self, x):
        sizes = dict.fromkeys(
            ("seed", "steps", "units", "put", "back", "f", "g", "drop", "v", "z", "begun", "told"),
            0,
        )
        sizes |= {"steps": 4, "units": 3, **self.changed}
        return layers.op(
            self.kind,
            x,
            shape=self.shape,
            variables=["kernel", "recurrent_kernel"],
            sizes=list(sizes.values()),
            options=[0.0] * 5,
        )


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 0},
        {"steps": 3},
        {"steps": 2},
        {"units": 0},
        {"units": 4},
        {"units": 2**62},
        {"steps": 2**62},
        {"put": 1},
        {"f": 17},
        {"g": 2**62},
        {"drop": 2**16},
        {"shape": (4, 3)},
        {"shape": (6,)},
        {"begun": 1},
        {"begun": 2},
        {"begun": 2**62},
        {"told": 1},
        {"kind": "gru"},
        {"kind": "simple_rnn"},
    ],
)
def test_sizes_that_do_not_suit_are_refused(changed):
    fw.Sequential([Mistaken()], (4, 2)).predict(np.zeros((1, 4, 2)))
    with pytest.raises(ValueError, match="sizes that suit its kind"):
        fw.Sequential([Mistaken(**changed)], (4, 2))
