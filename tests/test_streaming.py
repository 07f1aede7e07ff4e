"""Series step by step: bit for bit what `predict` makes of all steps so far."""

import threading

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

STEPS, FEATURES = 9, 5


def numbers(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def sequential(*stack, dtype="float32"):
    return fw.Sequential(list(stack), (STEPS, FEATURES), dtype, seed=1)


def steps_of(stream, x):
    return [stream.step(x[:, step]) for step in range(x.shape[1])]


NETWORKS = {
    "lstm": lambda: [layers.LSTM(6), layers.Dense(2)],
    "gru": lambda: [layers.GRU(6, return_sequences=True), layers.Dense(2)],
    "gru before": lambda: [layers.GRU(6, reset_after=False)],
    "simple": lambda: [layers.SimpleRNN(6, activation="relu", return_sequences=True)],
    "stacked": lambda: [
        layers.LayerNormalization(),
        layers.LSTM(6, return_sequences=True),
        layers.Dropout(0.5),
        layers.BatchNormalization(),
        layers.LSTM(4, return_sequences=True),
        layers.TimeDistributed(layers.Dense(3, "tanh")),
    ],
    "steps apart": lambda: [layers.Dense(4, "relu"), layers.Dense(3)],
    "convolution": lambda: [layers.Conv1D(6, 3, padding="causal", activation="relu")],
    "convolutions": lambda: [
        layers.Conv1D(8, 2, padding="causal", dilation_rate=1, bias_initializer="random_normal"),
        layers.BatchNormalization(beta_initializer="ones"),
        layers.ReLU(),
        layers.Conv1D(40, 2, padding="causal", dilation_rate=2, activation="tanh", groups=2),
        layers.Conv1D(1, 4, padding="causal", dilation_rate=3, use_bias=False),
    ],
    "convolutions of a step": lambda: [layers.Conv1D(4, 1), layers.Conv1D(6, 1, groups=2)],
    "convolution and state": lambda: [layers.Conv1D(7, 3, padding="causal"), layers.GRU(4)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 3, 70])
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_those_of_all_at_once(name, rows, dtype):
    model = sequential(*NETWORKS[name](), dtype=dtype)
    stream, x = model.stream(rows), numbers(rows, STEPS, FEATURES, dtype=dtype)
    for again in range(2):
        made = steps_of(stream, x)
        assert stream.steps == STEPS
        whole = model.predict(x)
        if whole.ndim == 2:
            np.testing.assert_array_equal(made[-1], whole)
        else:
            np.testing.assert_array_equal(np.stack(made, 1), whole)
        if again == 0:
            stream.reset()
            assert stream.steps == 0


def transformer(steps, positions, attention):
    x = fw.Input((steps, 4))
    value = positions(layers.Dense(8)(x))
    inner = layers.LayerNormalization()(value)
    value = layers.Add()([value, attention()(inner, inner, use_causal_mask=True)])
    return fw.Model(x, layers.Dense(3)(value), seed=0)


def added(positions):
    return lambda x: layers.Add()([x, positions(x)])


@pytest.mark.parametrize("steps", [3, 150])
@pytest.mark.parametrize(
    ("positions", "attention"),
    [
        (added(layers.PositionEmbedding(150)), lambda: layers.MultiHeadAttention(2, 4)),
        (added(layers.SinePositionEncoding()), lambda: layers.MultiHeadAttention(1, 3, 5)),
        (layers.RotaryEmbedding(), lambda: layers.GroupQueryAttention(4, 4, 2)),
    ],
)
def test_attention_goes_on_by_keys_and_values_of_all_steps(steps, positions, attention):
    model = transformer(steps, positions, attention)
    x = numbers(2, steps, 4)
    np.testing.assert_array_equal(np.stack(steps_of(model.stream(2), x), 1), model.predict(x))


@pytest.mark.parametrize("rows", [1, 5])
def test_keys_and_values_take_room_as_they_come(rows):
    """Many times more than there is room for at first, in layers of different width."""
    x = fw.Input((400, 4))
    value = layers.Conv1D(4, 3, padding="causal")(x)
    value = layers.MultiHeadAttention(1, 4)(value, value, use_causal_mask=True)
    value = layers.LSTM(6, return_sequences=True)(value)
    value = layers.GroupQueryAttention(3, 4, 2)(value, value, use_causal_mask=True)
    model = fw.Model(x, value, seed=0)
    stream, rows_of_steps = model.stream(rows), numbers(rows, 400, 4)
    whole = model.predict(rows_of_steps)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(steps_of(stream, rows_of_steps), 1), whole)
        stream.reset()
    bounded = model.stream(rows, longest=70)
    np.testing.assert_array_equal(
        np.stack(steps_of(bounded, rows_of_steps[:, :70]), 1), whole[:, :70]
    )
    with pytest.raises(ValueError, match="step: got one after 70, expected 70 at most"):
        bounded.step(rows_of_steps[:, 70])


def test_a_stream_without_a_bound_takes_room_for_few_steps():
    """And its reset looks at none of them: else this would take many gigabytes, and time."""
    model = transformer(3, layers.SinePositionEncoding(), lambda: layers.MultiHeadAttention(8, 64))
    stream, x = model.stream(512), numbers(512, 3, 4)
    assert stream.longest >= 2**50
    for _ in range(3):
        made = np.stack(steps_of(stream, x), 1)
        stream.reset()
    np.testing.assert_array_equal(made, model.predict(x))


def test_positions_bound_a_stream():
    positions = layers.PositionEmbedding(5)
    x = fw.Input((3, 4))
    model = fw.Model(x, layers.Add()([x, positions(x, start_index=1)]))
    assert model.stream().longest == 4
    with pytest.raises(ValueError, match="longest: got 5, expected at most 4"):
        model.stream(longest=5)


def test_attention_remembers_what_was_masked():
    words = fw.Input((40,))
    inner = layers.Embedding(5, 6, mask_zero=True)(words)
    y = layers.MultiHeadAttention(2, 4)(inner, inner, use_causal_mask=True)
    model = fw.Model(words, layers.Dense(2)(y), seed=0)
    rows = np.random.default_rng(0).integers(0, 5, (3, 40))
    rows[0, :7] = 0
    stream = model.stream(3)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(steps_of(stream, rows), 1), model.predict(rows))
        stream.reset()


def test_attention_that_looks_ahead_is_refused():
    x = fw.Input((3, 4))
    model = fw.Model(x, layers.MultiHeadAttention(1, 2)(x, x))
    with pytest.raises(ValueError, match="stream: got the layer 'multi_head_attention'"):
        model.stream()


def test_masked_steps_leave_the_state_alone():
    model = sequential(layers.Masking(), layers.GRU(4))
    x = numbers(2, STEPS, FEATURES)
    x[1, 3:] = 0
    np.testing.assert_array_equal(steps_of(model.stream(2), x)[-1], model.predict(x))


def test_whole_numbers_go_on():
    table = layers.Embedding(7, 3)
    model = fw.Sequential([table, layers.LSTM(4, return_sequences=True)], (STEPS,), seed=0)
    ids = np.random.default_rng(0).integers(0, 7, (2, STEPS))
    made = steps_of(model.stream(2), ids)
    np.testing.assert_array_equal(np.stack(made, 1), model.predict(ids))
    one = model.stream()
    assert one.step([ids[0, 0]]).shape == (1, 4)
    with pytest.raises(ValueError, match=r"x: got 7.*from 0 to 6"):
        one.step([7])
    assert one.steps == 1


def test_weights_are_those_of_the_moment():
    model = sequential(layers.LSTM(4), layers.Dense(1))
    stream, x = model.stream(1), numbers(1, STEPS, FEATURES)
    model.compile("sgd", "mse")
    model.fit(x, np.ones((1, 1)), verbose=0)
    np.testing.assert_array_equal(steps_of(stream, x)[-1], model.predict(x))


def test_streams_of_one_model_know_nothing_of_each_other():
    model = sequential(layers.LSTM(4))
    x = numbers(8, 500, FEATURES)
    expected = model_of_any_steps(model, x)
    found = [None] * 8

    def go(row):
        stream = model.stream()
        for step in range(500):
            found[row] = stream.step(x[row : row + 1, step])

    threads = [threading.Thread(target=go, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate(found), expected)


def model_of_any_steps(model, x):
    longer = fw.Sequential([layers.LSTM(4)], x.shape[1:], seed=0)
    longer.set_weights(model.get_weights())
    return longer.predict(x)


def test_no_more_steps_than_there_is_room_for():
    stream = sequential(layers.LSTM(4)).stream(longest=2)
    x = numbers(1, FEATURES)
    stream.step(x)
    stream.step(x)
    with pytest.raises(ValueError, match=r"step: got one after 2, expected 2 at most; .*reset"):
        stream.step(x)
    stream.reset()
    stream.step(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Bidirectional(layers.LSTM(2)), "its forward_layer alone"),
        (lambda: layers.LSTM(2, go_backwards=True), "go_backwards=False"),
        (layers.Flatten, "it within layers.TimeDistributed"),
        (lambda: layers.Reshape((FEATURES, STEPS)), "it within layers.TimeDistributed"),
        (lambda: layers.Permute((2, 1)), "it within layers.TimeDistributed"),
        (lambda: layers.GroupNormalization(1), "LayerNormalization or RMSNormalization"),
        (lambda: layers.Conv1D(2, 2), "padding='causal' and strides=1"),
        (lambda: layers.Conv1D(2, 2, padding="same"), "padding='causal' and strides=1"),
        (lambda: layers.Conv1D(2, 2, 2, "causal"), "padding='causal' and strides=1"),
        (lambda: layers.Conv1D(2, 1, 2), "padding='causal' and strides=1"),
        (lambda: layers.SeparableConv1D(2, 2), "Conv1D with padding='causal'.*groups"),
        (lambda: layers.DepthwiseConv1D(2), "Conv1D with padding='causal'.*groups"),
        (lambda: layers.Conv1DTranspose(2, 2), "Conv1D with .*one step of each"),
        (lambda: layers.ZeroPadding1D(1), "Conv1D with .* behind it"),
        (lambda: layers.Cropping1D(1), "Conv1D with .* behind it"),
        (lambda: layers.UpSampling1D(2), "Conv1D with .*one step of each"),
        (lambda: layers.MaxPooling1D(2), "Conv1D with .* in its place"),
        (lambda: layers.AveragePooling1D(2), "Conv1D with .* in its place"),
        (layers.GlobalMaxPooling1D, "the last step of a recurrent layer"),
        (layers.GlobalAveragePooling1D, "the last step of a recurrent layer"),
    ],
)
def test_layers_that_look_further_are_refused_and_say_what_to_write(make, message):
    layer = make()
    told = "expected layers of which a step needs that step and those before it alone; write "
    with pytest.raises(ValueError, match=f"stream: got the layer '.*{told}{message}"):
        sequential(layer).stream()


@pytest.mark.parametrize("name", ["Flatten", "Reshape", "Permute"])
def test_shapes_of_each_step_go_on(name):
    inner = {
        "Flatten": layers.Flatten(),
        "Reshape": layers.Reshape((1, FEATURES)),
        "Permute": layers.Permute((1,)),
    }[name]
    model = sequential(layers.TimeDistributed(inner))
    x = numbers(2, STEPS, FEATURES)
    np.testing.assert_array_equal(np.stack(steps_of(model.stream(2), x), 1), model.predict(x))


def test_models_that_are_refused():
    with pytest.raises(ValueError, match="stream: got a model of rows \\(5,\\)"):
        fw.Sequential([layers.Dense(2)], 5).stream()
    a, b = fw.Input((3, 2)), fw.Input((3, 2))
    with pytest.raises(ValueError, match="stream: got a model of 2 inputs"):
        fw.Model([a, b], layers.Add()([a, b])).stream()
    with pytest.raises(ValueError, match="input_shape: got none"):
        fw.Sequential([layers.LSTM(2)]).stream()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((1, 4)), r"x: got shape \(1, 4\), expected shape \(1, 5\)"),
        (np.ones((2, 5)), r"x: got shape \(2, 5\)"),
        (np.full((1, 5), np.nan), "x: got .*NaN|nan"),
        (np.full((1, 5), 1e300), "too large for float32"),
        (["a"] * 5, "x: "),
    ],
)
def test_steps_that_are_refused_change_nothing(x, message):
    model = sequential(layers.LSTM(3))
    stream, good = model.stream(), numbers(1, STEPS, FEATURES)
    with pytest.raises((ValueError, TypeError), match=message):
        stream.step(x)
    assert stream.steps == 0
    np.testing.assert_array_equal(steps_of(stream, good)[-1], model.predict(good))


def test_a_row_may_come_alone_and_in_any_layout():
    model = sequential(layers.LSTM(3))
    x = numbers(STEPS, FEATURES)
    stream, other = model.stream(), model.stream()
    for step in x:
        a = stream.step(step.tolist())
        b = other.step(np.asfortranarray(np.repeat(step[None], 2, 1))[:, ::2].astype("float64"))
    np.testing.assert_array_equal(a, model.predict(x[None]))
    np.testing.assert_array_equal(a, b)


def test_a_stream_of_weights_that_have_moved_is_refused():
    x = fw.Input((STEPS, FEATURES))
    base = fw.Model(x, layers.LSTM(3)(x))
    stream = base.stream()
    fw.Model(x, layers.Dense(2)(base(x)))
    with pytest.raises(ValueError, match="step: got a model whose weights have moved"):
        stream.step(numbers(1, FEATURES))


@pytest.mark.parametrize("layer", [layers.SinePositionEncoding(), layers.RotaryEmbedding()])
def test_the_angles_of_a_place_are_the_same_whoever_begins_where(layer):
    model = fw.Sequential([layer], (100, 6), "float64")
    x = np.random.default_rng(0).standard_normal((2, 100, 6))
    stream = model.stream(2)
    made = np.stack([stream.step(x[:, step]) for step in range(100)], axis=1)
    np.testing.assert_array_equal(made, model.predict(x))
