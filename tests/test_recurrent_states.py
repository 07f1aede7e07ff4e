"""States of recurrent layers, told and given; layers that make several values."""

import numpy as np
import pytest
from damage import cases
from helpers import error_with_noise, same_bits

import fastweights as fw
from fastweights import layers, serialization
from fastweights.layers import recurrent
from fastweights.layers.ops import lines_of
from fastweights.plotting import graph

RANDOM = np.random.default_rng(11)

KINDS = {
    "LSTM": layers.LSTM,
    "GRU": layers.GRU,
    "GRU before": lambda units, **settings: layers.GRU(units, reset_after=False, **settings),
    "SimpleRNN": layers.SimpleRNN,
}


def translator(units=5, dtype="float64", **settings):
    """An encoder whose states are those that a decoder begins with, and its last h."""
    question, answer = fw.Input((6, 3), name="question"), fw.Input((4, 2), name="answer")
    _, *states = layers.LSTM(units, return_state=True, **settings)(layers.Masking()(question))
    decoder = layers.LSTM(units, return_sequences=True, return_state=True, **settings)
    told, last, _ = decoder(layers.Masking()(answer), initial_state=states)
    outputs = [layers.Dense(2)(told), last]
    return fw.Model([question, answer], outputs, dtype, seed=1)


def sentences(rows, dtype="float64"):
    """Questions and answers of unequal lengths, and what is to come of them."""
    found = []
    for steps, features in ((6, 3), (4, 2)):
        x = RANDOM.standard_normal((rows, steps, features)).astype(dtype)
        x[np.arange(steps) >= RANDOM.integers(0, steps + 1, (rows, 1))] = 0.0
        found.append(x)
    return found, [RANDOM.standard_normal((rows, 4, 2)), RANDOM.standard_normal((rows, 5))]


# ---- one series in two parts ---------------------------------------------------------------------


def in_parts(kind, back):
    """A layer for nine steps, and the same one for five and then four of them; what they tell."""
    x = fw.Input((9, 3))
    layer = kind(5, return_sequences=True, return_state=True, go_backwards=back)
    whole = layer(x)
    first, second = layers.Cropping1D((0, 4))(x), layers.Cropping1D((5, 0))(x)
    if back:
        first, second = second, first
    before, *states = layer(first)
    after, *ends = layer(second, initial_state=states)
    return x, whole, (layers.Concatenate(1)([before, after]), *ends)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_series_goes_on_where_it_ended(name, back, dtype):
    x, whole, parts = in_parts(KINDS[name], back)
    model = fw.Model(x, [*whole, *parts], dtype, seed=0)
    found = model.predict(RANDOM.standard_normal((70, 9, 3)))
    assert len(found) in (4, 6)
    for one, other in zip(found[: len(whole)], found[len(whole) :], strict=True):
        same_bits(one, other)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_a_series_in_parts(name):
    x, whole, parts = in_parts(KINDS[name], False)
    rows = RANDOM.standard_normal((40, 9, 3))
    y = [RANDOM.standard_normal((40, *tensor.shape[1:])) for tensor in whole]
    found = []
    for made in (whole, parts):
        model = fw.Model(x, list(made), "float64", seed=0)
        model.compile(loss="mse")
        found.append(model.loss_and_gradients(rows, y))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("name", KINDS)
def test_rows_without_a_step_keep_their_states(name):
    """Their states end as they began, and so do the gradients by them."""
    series, begin = fw.Input((4, 3)), [fw.Input(5) for _ in range(1 + (name == "LSTM"))]
    made = KINDS[name](5, return_state=True)(layers.Masking()(series), initial_state=begin)
    model = fw.Model([series, *begin], list(made), "float64", seed=0)
    x = [np.zeros((3, 4, 3)), *RANDOM.standard_normal((len(begin), 3, 5))]
    for told, expected in zip(model.predict(x), (x[1], *x[1:]), strict=True):
        same_bits(told, expected)
    model.compile(loss="mse")
    y = [np.zeros_like(told) for told in model.predict(x)]
    _, gradient, (dx, *dstates) = model.loss_and_gradients(x, y)
    assert not dx.any()
    assert not gradient.any()
    # h is told twice.
    for factor, state, dstate in zip((2, 1), x[1:], dstates, strict=False):
        np.testing.assert_allclose(dstate, factor * 2 * state / 15, rtol=1e-14)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("name", KINDS)
def test_gradients_with_dropout(name, rate):
    """By states that are told and by those that are given, which are dropped like any h."""
    x = fw.Input((4, 2))
    first = layers.Dense(3, "tanh")(x)
    settings = {"dropout": 0.3, "recurrent_dropout": rate, "return_state": True}
    _, *states = KINDS[name](4, **settings)(first)
    told = KINDS[name](4, return_sequences=True, **settings)(first, initial_state=states)
    flat = [layers.Flatten()(value) for value in told]
    model = fw.Model(x, layers.Dense(2)(layers.Concatenate()(flat)), "float64", seed=3)
    model.compile(loss="mse")
    batch = RANDOM.standard_normal((20, 4, 2)), RANDOM.standard_normal((20, 2))
    # What differences miss falls with the square of the step.
    assert error_with_noise(model, *batch, step=1e-5) < 1e-8


# ---- a model of an encoder and a decoder ---------------------------------------------------------


def test_gradients_of_an_encoder_and_a_decoder():
    model = translator()
    model.compile(loss="mse")
    questions, y = sentences(9)
    report = fw.check_gradients(model, questions, y, tolerance=1e-8)
    # Differences by numbers of masked steps take them out of the mask.
    names = model.input_names
    assert all(row.error <= row.allowed for row in report.rows if row.name not in names), (
        f"{report}"
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_an_encoder_and_a_decoder_come_back(threads, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    with fw.threads(threads):
        model = translator(7, "float32", dropout=0.2)
        model.compile("adam", "mse")
        x, y = sentences(30, "float32")
        y[1] = RANDOM.standard_normal((30, 7))
        model.fit(x, y, 8, 2, verbose=0)
        model.save(tmp_path / "m.safetensors")
        twins = [fw.load(tmp_path / "m.safetensors"), model.copy()]
        again = fw.Model.from_config(model.config())
        again.set_weights(model.get_weights())
        for twin in (*twins, again):
            for one, other in zip(model.predict(x), twin.predict(x), strict=True):
                same_bits(one, other)
        for one in (model, *twins):
            one.fit(x, y, 8, 1, verbose=0)
        for twin in twins:
            same_bits(twin.parameters, model.parameters)


@pytest.mark.parametrize("rows", [40, 300])
def test_an_encoder_and_a_decoder_have_the_same_bits_by_any_team(rows, monkeypatch):
    """Also where a batch is cut into slices."""
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = sentences(rows, "float32")
    found = []
    for threads in (1, 2, 3):
        with fw.threads(threads):
            model = translator(5, "float32", recurrent_dropout=0.2)
            model.compile("adam", "mse")
            model.fit(x, y, rows, 3, verbose=0)
            found.append(model.parameters.copy())
    same_bits(found[0], found[1])
    same_bits(found[0], found[2])


def test_a_model_is_called_on_other_tensors():
    model = translator()
    x, _ = sentences(4)
    inputs = [fw.Input((6, 3)), fw.Input((4, 2))]
    outer = fw.Model(inputs, model(inputs), "float64")
    for one, other in zip(model.predict(x), outer.predict(x), strict=True):
        same_bits(one, other)


def test_it_learns_what_the_question_says():
    """The sign of one number of a series decides all of what another series becomes."""
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], 300)
    question = random.normal(0, 0.1, (300, 6, 1))
    question[:, 1, 0] = signs
    answer = random.standard_normal((300, 5, 1))
    x, begun = fw.Input((6, 1)), fw.Input((5, 1))
    _, state = layers.GRU(8, return_state=True)(x)
    told = layers.GRU(8, return_sequences=True)(begun, initial_state=state)
    model = fw.Model([x, begun], layers.Dense(1)(told), seed=0)
    model.compile(fw.optimizers.Adam(0.02), "mse")
    y = signs[:, None, None] * answer
    model.fit([question[:200], answer[:200]], y[:200], 25, 60, verbose=0)
    assert model.evaluate([question[200:], answer[200:]], y[200:], verbose=0) < 0.1


def test_summary_and_picture(capsys, tmp_path):
    model = translator()
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    encoder, decoder = (line for line in lines if "(LSTM)" in line)
    assert "(None, 5), (None, 5), (None, 5)" in encoder
    assert decoder.endswith("masking_1, lstm[1], lstm[2]")
    assert model.output_names == ("dense", "lstm_1")
    boxes = graph._boxes(model, True, True)
    (box,) = (box for box in boxes if "lstm_1" in box.lines)
    assert len(box.reads) == 2
    assert box.lines[-1] == (
        "(None, 4, 2), (None, 5), (None, 5) → (None, 4, 5), (None, 5), (None, 5)"
    )


# ---- what is made of several values --------------------------------------------------------------


def test_values_that_nobody_reads_are_not_made():
    x = fw.Input((6, 3))
    told, *_ = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    plain = fw.Model(x, layers.Flatten()(told))
    assert [spec.kind for spec in plain._built.ops] == ["lstm", "crop"]
    assert plain.config() == fw.Model.from_config(plain.config()).config()


def test_h_of_the_last_step_is_its_state():
    x = fw.Input((6, 3))
    model = fw.Model(x, list(layers.GRU(4, return_state=True)(x)), seed=0)
    assert model.output_names == ("gru", "gru_1")
    same_bits(*model.predict(RANDOM.standard_normal((3, 6, 3))))


def test_both_ways_may_stay_apart():
    x = fw.Input((5, 3))
    made = layers.Bidirectional(layers.LSTM(4, return_sequences=True, return_state=True), None)(x)
    assert [tensor.shape[1:] for tensor in made] == [(5, 4)] * 2 + [(4,)] * 4
    joined = layers.Concatenate()(list(made[:2]))
    model = fw.Model(x, [*made, joined], "float64", seed=0)
    *_, there, _, back, _, both = model.predict(RANDOM.standard_normal((3, 5, 3)))
    same_bits(both[:, -1, :4], there)
    same_bits(both[:, 0, 4:], back)


def test_masks_go_with_series_and_not_with_states():
    """States have no steps that a mask could say anything of."""
    x = fw.Input((5, 3))
    told = layers.Bidirectional(layers.GRU(4, return_sequences=True, return_state=True), None)(
        layers.Masking()(x)
    )
    after = [layers.LSTM(2)(value) for value in told[:2]]
    model = fw.Model(x, [*after, layers.Dense(1)(told[2])], "float64", seed=0)
    rows = RANDOM.standard_normal((1, 5, 3))
    rows[:, 3:] = 0.0
    reads = [spec.reads for spec in model._built.ops if spec.kind == "lstm"]
    assert [len(read) for read in reads] == [2, 2]


class Halves(layers.Layer):
    """Both halves of the features; of a call that says so the second one alone."""

    def __init__(self, says=2, name=None):
        super().__init__(name)
        self.says = says

    def results(self, *, second=False):
        return 1 if second else self.says

    def ops(self, x, *, second=False):
        half = x.features // 2
        lines = x.reshaped((2, half))
        parts = tuple(lines_of(lines, k, k + 1).reshaped(half) for k in range(2))
        return parts[1] if second else parts


def test_a_layer_of_your_own_may_make_several_values():
    x = fw.Input(6)
    one, two = Halves()(x)
    three = Halves()(x, second=True)
    model = fw.Model(x, [layers.Add()([one, two]), three, two], "float64")
    rows = RANDOM.standard_normal((5, 6))
    added, second, again = model.predict(rows)
    np.testing.assert_array_equal(added, rows[:, :3] + rows[:, 3:])
    same_bits(second, again)
    again = fw.Model.from_config(model.config(), {"Halves": Halves})
    same_bits(again.predict(rows)[0], added)


def test_input_and_output_of_a_layer():
    x, h = fw.Input((4, 3)), fw.Input(2)
    layer = layers.GRU(2, return_state=True)
    made = layer(x, initial_state=h)
    assert layer.input == [x, h]
    assert layer.output == list(made)
    assert layer.output_shape((4, 3)) == ((2,), (2,))


def test_a_stream_tells_the_states_so_far():
    x = fw.Input((5, 3))
    _, h, c = layers.LSTM(4, return_state=True)(x)
    model = fw.Model(x, layers.Concatenate()([h, c]), "float64", seed=0)
    rows, stream = RANDOM.standard_normal((5, 3)), model.stream()
    for row in rows:
        told = stream.step(row)
    np.testing.assert_allclose(told, model.predict(rows[None]), atol=1e-14)


def test_a_stream_begins_with_no_states_that_are_given():
    x = fw.Input((5, 3))
    states = layers.GRU(4, return_state=True)(x)[1:]
    model = fw.Model(x, layers.GRU(4)(x, initial_state=states))
    with pytest.raises(ValueError, match="stream: got the layer 'gru_1' of the class GRU, exp"):
        model.stream()


# ---- refusals ------------------------------------------------------------------------------------


def called(layer, *states, **settings):
    return lambda: layer()(fw.Input((4, 3)), *states, **settings)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            called(lambda: layers.LSTM(3), initial_state=fw.Input(3)),
            ValueError,
            r"initial_state: got 1 tensor of rows \(3,\), expected 2 tensors of rows \(3,\)",
        ),
        (
            called(lambda: layers.GRU(3), initial_state=[fw.Input(4)]),
            ValueError,
            r"initial_state: got 1 tensor of rows \(4,\), expected 1 tensor of rows \(3,\)",
        ),
        (
            called(lambda: layers.Bidirectional(layers.GRU(3)), initial_state=fw.Input(3)),
            ValueError,
            r"initial_state: got 1 value, expected 2, as many as the two layers have",
        ),
        (
            called(lambda: layers.GRU(3), initial_state=np.zeros((2, 3))),
            TypeError,
            "initial_state: got ndarray, expected what fw.Input or another layer made",
        ),
        (
            lambda: layers.LSTM(3)([fw.Input((4, 3)), fw.Input(3), fw.Input(3)]),
            ValueError,
            r"inputs of LSTM: got 3 tensors, expected one; states are given as initial_state=",
        ),
        (
            lambda: fw.Sequential([layers.LSTM(3, return_state=True), layers.Dense(1)]),
            ValueError,
            r"layers: got LSTM\(.*, which makes 3 values, expected layers that make one; an fw",
        ),
        (
            lambda: layers.TimeDistributed(Halves())(fw.Input((4, 6))),
            ValueError,
            "layer: got Halves, which makes 2 values, expected one that makes one",
        ),
        (
            called(lambda: layers.LSTM(3, return_state=True, activity_regularizer="l2")),
            ValueError,
            "activity_regularizer: got one for LSTM, which makes 3 values, expected none; layers.A",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(3), backward_layer=layers.LSTM(3, return_state=True, go_backwards=True)
            ),
            ValueError,
            "expected one with return_state=False, as layer has it",
        ),
        (
            lambda: Halves(3)(fw.Input(6)),
            ValueError,
            "ops of Halves: got 2 values, expected 3, as its results says",
        ),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_description_whose_calls_make_fewer_values():
    config = translator().config()
    for change in ({"calls": [*config["calls"][:2], [1, [2]]]}, {"outputs": [99]}):
        with pytest.raises((ValueError, TypeError), match=r"calls|outputs"):
            fw.Model.from_config({**config, **change})


# ---- others' layers ------------------------------------------------------------------------------


def test_states_are_those_of_torch(tmp_path):
    """Of weights that torch takes from a file: all that is told, and gradients by what is given."""
    torch = pytest.importorskip("torch")
    for kind, states in (("LSTM", 2), ("GRU", 1), ("SimpleRNN", 1)):
        series, begin = fw.Input((5, 3)), [fw.Input(4) for _ in range(states)]
        layer = getattr(layers, kind)(4, return_sequences=True, return_state=True)
        model = fw.Model(
            [series, *begin], list(layer(series, initial_state=begin)), "float64", seed=0
        )
        for weight in model.weights:
            weight += 0.1 * RANDOM.standard_normal(weight.shape)
        model.compile(loss="mse")
        x = [RANDOM.standard_normal((6, 5, 3)), *RANDOM.standard_normal((states, 6, 4))]
        y = [RANDOM.standard_normal(told.shape) for told in model.predict(x)]
        twin = getattr(torch.nn, kind.replace("SimpleRNN", "RNN"))(
            3, 4, batch_first=True, dtype=torch.float64
        )
        model.save(tmp_path / "m.safetensors")
        with serialization.opened(tmp_path / "m.safetensors") as file:
            twin.load_state_dict(
                {key.split(".", 1)[1]: torch.tensor(file.read(key)) for key in file.tensors}
            )
        given = [torch.tensor(array, requires_grad=True) for array in x]
        h, *c = (state[None] for state in given[1:])
        told, ends = twin(given[0], (h, *c) if c else h)
        found = [told, *(end[0] for end in (ends if c else [ends]))]
        for one, other in zip(model.predict(x), found, strict=True):
            np.testing.assert_allclose(one, other.detach().numpy(), atol=1e-14)
        loss = sum(
            torch.nn.functional.mse_loss(one, torch.tensor(target))
            for one, target in zip(found, y, strict=True)
        )
        loss.backward()
        value, _, gradients = model.loss_and_gradients(x, y)
        np.testing.assert_allclose(value, loss.item(), rtol=1e-13)
        for one, other in zip(gradients, given, strict=True):
            np.testing.assert_allclose(one, other.grad.numpy(), rtol=1e-9, atol=1e-14)


# ---- random encoders and decoders beside PyTorch -------------------------------------------------


def random_pair(seed):
    """A model of an encoder and a decoder of one kind and of random settings."""
    random = np.random.default_rng(seed)
    kind = [layers.LSTM, layers.GRU, layers.SimpleRNN][seed % 3]
    units = int(random.integers(1, 9))
    inputs = [fw.Input((int(random.integers(1, 7)), 3)), fw.Input((int(random.integers(1, 7)), 2))]
    masked = [layers.Masking()(x) if random.random() < 0.6 else x for x in inputs]

    def settings():
        own = {"return_state": True, "go_backwards": bool(random.random() < 0.4)}
        own["use_bias"] = bool(random.random() < 0.7)
        if kind is layers.GRU:
            own["reset_after"] = bool(random.random() < 0.5)
        return {**own, "return_sequences": bool(random.random() < 0.6)}

    _, *states = kind(units, **settings())(masked[0])
    told, *ends = kind(units, **settings())(masked[1], initial_state=states)
    flat = layers.Flatten()(told) if len(told.shape) > 2 else told
    model = fw.Model(inputs, layers.Dense(2)(layers.Concatenate()([flat, *ends])), "float64", seed)
    for weight in model.weights:
        weight += random.normal(0, 0.2, weight.shape)
    return model


@pytest.mark.parametrize("seed", range(cases(12, 100)))
def test_random_pairs_are_as_in_torch(seed):
    torch = pytest.importorskip("torch")
    from torch_recurrent import one_way

    model, random = random_pair(seed), np.random.default_rng(seed)
    encoder, decoder = (layer for layer in model.layers if isinstance(layer, recurrent.Recurrent))
    dense = model.layers[-1]
    x = []
    for shape in model.input_shape:
        x.append(random.standard_normal((7, *shape)))
        x[-1][np.arange(shape[0]) >= random.integers(0, shape[0] + 1, (7, 1))] = 0.0
    y = random.standard_normal((7, 2))
    masks = [None, None]
    for call in model._topology.calls:
        if isinstance(call.layer, layers.Masking):
            masks[call.reads[0]] = torch.tensor((x[call.reads[0]] != 0).any(-1))
    weights = {
        id(layer): {name: torch.tensor(w, requires_grad=True) for name, w in layer.weights.items()}
        for layer in (encoder, decoder, dense)
    }
    rows = [torch.tensor(array, requires_grad=True) for array in x]

    def apply(activation, z):
        return getattr(torch, activation.name)(z)

    def output():
        states, _ = one_way(encoder, weights[id(encoder)], rows[0], masks[0], apply)
        own = weights[id(decoder)]
        ends, told = one_way(decoder, own, rows[1], masks[1], apply, begin=states)
        told = told if decoder.return_sequences else ends[0]
        last = torch.cat([told.reshape(7, -1), *ends], 1)
        return last @ weights[id(dense)]["kernel"] + weights[id(dense)]["bias"]

    def agree(found, expected):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())

    parameters = [array for own in weights.values() for array in own.values()]
    optimizer = torch.optim.Adam(parameters, 0.001, (0.9, 0.999), eps=1e-7)
    model.compile("adam", "mse")
    agree(model.predict(x), output().detach().numpy())
    for step in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(output(), torch.tensor(y))
        loss.backward()
        if step == 0:
            value, gradient, dx = model.loss_and_gradients(x, y)
            agree(value, loss.item())
            agree(gradient, np.concatenate([p.grad.numpy().ravel() for p in parameters]))
            for one, other in zip(dx, rows, strict=True):
                agree(one, other.grad.numpy())
        optimizer.step()
    model.fit(x, y, 7, 20, verbose=0, shuffle=False)
    agree(model.parameters, np.concatenate([p.detach().numpy().ravel() for p in parameters]))
