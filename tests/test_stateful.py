"""Recurrent layers that go on from batch to batch: `stateful`."""

import signal
import sys
import threading
import warnings

import numpy as np
import pytest
import reference_recurrent as reference
from helpers import same_bits
from test_interrupts import interrupted_everywhere

import fastweights as fw
from fastweights import _plans, layers
from fastweights.layers.base import RowState

RANDOM = np.random.default_rng(23)

KINDS = {
    "LSTM": layers.LSTM,
    "GRU": layers.GRU,
    "GRU before": lambda units, **settings: layers.GRU(units, reset_after=False, **settings),
    "SimpleRNN": layers.SimpleRNN,
}


def batches(rows, steps, pieces, features=2, dtype="float64"):
    """Long series, and the same in pieces that stand at the same rows of batches."""
    whole = RANDOM.standard_normal((rows, pieces * steps, features)).astype(dtype)
    return whole, np.concatenate(np.split(whole, pieces, axis=1))


def stateful(kind, rows=4, steps=3, units=5, features=2, dtype="float64", seed=1, **settings):
    layer = kind(units, stateful=True, **settings)
    inputs = fw.Input((steps, features), batch_size=rows)
    return fw.Sequential([inputs, layer], dtype=dtype, seed=seed)


def joined(made, pieces):
    return np.concatenate(np.split(made, pieces), axis=1)


# ---- long series ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_go_on_from_each_other(kind, dtype):
    """Bit for bit as the series without a cut, also where rows are more than a block or a chunk."""
    for rows in (1, 4, 70, 300):
        model = stateful(KINDS[kind], rows, dtype=dtype, return_sequences=True)
        whole = fw.Sequential([KINDS[kind](5, return_sequences=True)], (12, 2), dtype)
        whole.set_weights(model.get_weights())
        x, cut = batches(rows, 3, 4, dtype=dtype)
        expected = whole.predict(x)
        same_bits(joined(model.predict(cut), 4), expected)
        same_bits(np.asarray(model.layers[0].state_h), np.ascontiguousarray(expected[:, -1]))
        model.layers[0].reset_state()
        assert not model.state.any()
        same_bits(np.concatenate([model.forward(part) for part in np.split(cut, 4)]),
                  np.concatenate(np.split(expected, 4, axis=1)))  # fmt: skip


def test_by_the_oracle():
    """With masked steps, also whole pieces of them; the states are those that it begins with."""
    for kind in KINDS:
        x, cut = batches(4, 3, 3)
        x[1, 2:7] = x[2, :4] = 0.0
        cut[...] = np.concatenate(np.split(x, 3, axis=1))
        layer = KINDS[kind](5, stateful=True, return_sequences=True)
        model = fw.Sequential(
            [fw.Input((3, 2), batch_size=4), layers.Masking(), layer], dtype="float64"
        )
        made = joined(model.predict(cut), 3)
        layer.reset_state()
        kept = [model.forward(part) for part in np.split(cut, 3)]
        same_bits(np.concatenate(kept, axis=1), made)
        expected, *ends = reference.recurrent(
            kind.split()[0], x, *layer.get_weights(), mask=(x != 0).any(-1), sequences=True,
            reset_after=kind != "GRU before", begin=(np.zeros((4, 5)),) * 2,
        )  # fmt: skip
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-12)
        states = [layer.state_h, layer.state_c] if kind == "LSTM" else [layer.state_h]
        np.testing.assert_allclose(states, ends, rtol=0, atol=1e-12)


def test_in_both_directions():
    """The layer that goes back begins where it ended in the batch before: at the first step."""
    _, cut = batches(4, 3, 2)
    there = layers.GRU(5, stateful=True, return_sequences=True)
    both = layers.Bidirectional(there)
    model = fw.Sequential([fw.Input((3, 2), batch_size=4), both], dtype="float64")
    made = model.predict(cut)
    weights = both.get_weights()
    zeros = np.zeros((4, 5))
    _, *ends = reference.bidirectional(
        ("GRU", "GRU"), cut[:4], *weights, begin=(zeros, zeros), sequences=True
    )
    expected, *_ = reference.bidirectional(
        ("GRU", "GRU"), cut[4:], *weights, begin=tuple(ends), sequences=True
    )
    np.testing.assert_allclose(made[4:], expected, rtol=0, atol=1e-12)
    assert both.backward_state_h.any()
    both.reset_states()
    same_bits(model.predict(cut), made)


def test_a_stack_that_is_put_together():
    model = fw.Sequential(dtype="float64")
    model.add(fw.Input((3, 2), batch_size=4))
    model.add(layers.LSTM(5, stateful=True, return_sequences=True))
    model.add(layers.GRU(2, stateful=True))
    model.pop()
    x = RANDOM.standard_normal((8, 3, 2))
    assert np.array_equal(model.predict(x)[4:, -1], model.layers[0].state_h)
    assert fw.Model(model.inputs, model.outputs, "float64").config()["batch_size"] == 4


def test_states_that_are_given_go_before():
    x, h = fw.Input((3, 2), batch_size=4), fw.Input(5, batch_size=4)
    layer = layers.SimpleRNN(5, stateful=True)
    model = fw.Model([x, h], layer(x, initial_state=h), dtype="float64")
    rows, given = RANDOM.standard_normal((4, 3, 2)), RANDOM.standard_normal((4, 5))
    first = model.predict([rows, given])
    same_bits(model.predict([rows, given]), first)
    same_bits(np.asarray(layer.state_h), first)


# ---- gradients and steps -------------------------------------------------------------------------


def told_to_begin(kind, rows, units=5):
    """The same layer that is told with what to begin."""
    x = fw.Input((3, 2))
    states = [fw.Input(units) for _ in range(2 if kind == "LSTM" else 1)]
    made = KINDS[kind](units)(x, initial_state=states)
    return fw.Model([x, *states], made, "float64")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [4, 300])
def test_gradients_end_where_the_batch_begins(kind, rows):
    model, told = stateful(KINDS[kind], rows), told_to_begin(kind, rows)
    told.set_weights(model.get_weights())
    _, cut = batches(rows, 3, 2)
    y = RANDOM.standard_normal((rows, 5))
    model.compile("sgd", "mse")
    told.compile("sgd", "mse")
    model.predict(cut[:rows])
    layer = model.layers[0]
    states = [layer.state_h.copy(), *([layer.state_c.copy()] if kind == "LSTM" else [])]
    loss, gradient, by_x = model.loss_and_gradients(cut[rows:], y)
    expected, by_weights, (by_rows, *_) = told.loss_and_gradients([cut[rows:], *states], y)
    assert loss == expected
    same_bits(gradient, by_weights)
    same_bits(by_x, by_rows)
    same_bits(np.asarray(layer.state_h), states[0])  # which they leave
    # Forward and backward in two calls, between which the states have moved.
    dy = RANDOM.standard_normal((rows, 5))
    for one, x in ((model, cut[rows:]), (told, [cut[rows:], *states])):
        one.forward(x, training=True)
        one.backward(dy)
    same_bits(model.gradients, told.gradients)
    assert not np.array_equal(layer.state_h, states[0])


def test_gradients_by_differences():
    model = stateful(layers.LSTM)
    model.compile("sgd", "mse")
    model.predict(RANDOM.standard_normal((4, 3, 2)))
    before = model.state.copy()
    rows = RANDOM.standard_normal((4, 3, 2)), RANDOM.standard_normal((4, 5))
    assert fw.check_gradients(model, *rows, tolerance=1e-8).passed
    same_bits(model.state, before)


@pytest.mark.parametrize("rows", [4, 300])
def test_a_fit_goes_batch_by_batch(rows):
    """Epochs go on from each other, and validation from training."""
    one, other = (stateful(layers.LSTM, rows) for _ in range(2))
    _, cut = batches(rows, 3, 3)
    y = RANDOM.standard_normal((3 * rows, 5))
    for model in (one, other):
        model.compile("sgd", "mse")
    held = cut[2 * rows :], y[2 * rows :]
    history = one.fit(
        cut[: 2 * rows], y[: 2 * rows], epochs=2, verbose=0, shuffle=False, validation_data=held
    )
    for _ in range(2):
        for begin in (0, rows):
            other.train_on_batch(cut[begin : begin + rows], y[begin : begin + rows])
        loss = other.evaluate(*held)
    same_bits(one.parameters, other.parameters)
    same_bits(one.state, other.state)
    assert history.history["val_loss"][-1] == loss


def test_a_layer_that_is_not_trained_goes_on():
    frozen, moving = (stateful(layers.GRU) for _ in range(2))
    frozen.layers[0].trainable = False
    x, y = RANDOM.standard_normal((4, 3, 2)), np.zeros((4, 5))
    for model in (frozen, moving):
        model.compile("sgd", "mse")
        model.train_on_batch(x, y)
    same_bits(frozen.state, moving.state)
    assert frozen.state.any()


def test_the_same_bits_by_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    _, cut = batches(600, 3, 2)
    y = RANDOM.standard_normal((1200, 5))
    found = []
    for threads in (1, 2, 3):
        with fw.threads(threads):
            model = stateful(layers.LSTM, 600)
            model.compile("sgd", "mse")
            model.fit(cut, y, verbose=0, shuffle=False)
            found.append((model.predict(cut), model.parameters.copy(), model.state.copy()))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            same_bits(one, other)


@pytest.mark.skipif(sys.platform != "linux", reason="maps pages as Linux does")
@pytest.mark.parametrize("kind", KINDS)
def test_states_stay_within_their_pages(guarded_library, kind):
    for rows, units in ((1, 1), (5, 7), (67, 3)):
        model = stateful(KINDS[kind], rows, units=units, dtype="float32")
        model.compile("sgd", "mse")
        _, cut = batches(rows, 3, 2, dtype="float32")
        model.fit(cut, np.zeros((2 * rows, units)), verbose=0, shuffle=False)
        model.predict(cut)
        model.forward(cut[:rows], training=True)
        model.backward(np.ones((rows, units)))
        assert model.state.all()


# ---- what is taken back, copied, kept ------------------------------------------------------------


def test_a_step_that_diverges_takes_states_back():
    model = stateful(layers.SimpleRNN, activation="linear")
    model.compile(fw.optimizers.SGD(1e308), "mse")
    x, y = RANDOM.standard_normal((8, 3, 2)), RANDOM.standard_normal((8, 5))
    model.predict(x)
    before = model.parameters.copy(), model.state.copy()
    for act in (
        lambda: model.train_on_batch(x[:4], 1e4 * y[:4]),
        lambda: model.fit(x, 1e4 * y, verbose=0, shuffle=False),
    ):
        with pytest.raises(fw.DivergenceError):
            act()
        same_bits(model.parameters, before[0])
        same_bits(model.state, before[1])


def test_copies_files_and_weights(tmp_path):
    model = stateful(layers.LSTM)
    layer = model.layers[0]
    assert [weight.shape for weight in model.get_weights()] == [(2, 20), (5, 20), (20,)]
    assert list(layer.weights) == ["kernel", "recurrent_kernel", "bias"]
    assert model.count_params() == layer.count_params() == 160
    x = RANDOM.standard_normal((4, 3, 2))
    model.predict(x)
    twin = model.copy()
    same_bits(twin.predict(x), model.predict(x))
    twin.layers[0].reset_state()
    assert layer.state_h.any()
    model.save(tmp_path / "model.safetensors")
    model.save_weights(tmp_path / "weights.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert again.layers[0].stateful
    assert not again.state.any()  # as in Keras
    again.predict(x)
    kept = again.state.copy()
    again.load_weights(tmp_path / "weights.safetensors")
    same_bits(again.state, kept)
    layer.reset_state()
    model.predict(x)
    same_bits(again.predict(x), model.predict(x))
    assert fw.Sequential.from_config(model.config()).config() == model.config()
    graph = fw.Model(model.inputs, model.outputs, "float64")
    assert fw.Model.from_config(graph.config()).config() == graph.config()
    assert graph.config()["batch_size"] == 4
    same_bits(graph.state, model.state)  # whose layers these are


def test_other_layers_do_not_move_with_them():
    """Beside a batch normalisation, and where another head makes the model larger."""
    inputs = fw.Input((3, 2), batch_size=4)
    normalized = layers.BatchNormalization()
    layer = layers.LSTM(5, stateful=True)
    body = layer(normalized(inputs))
    first = fw.Model(inputs, body, seed=1)
    x = RANDOM.standard_normal((4, 3, 2)).astype("f")
    first.predict(x)
    state = layer.state_h.copy(), layer.state_c.copy()
    moving = normalized.moving_mean.copy()
    second = fw.Model(inputs, layers.Dense(1)(body), seed=1)
    same_bits(layer.state_h.copy(), state[0])
    same_bits(layer.state_c.copy(), state[1])
    same_bits(normalized.moving_mean.copy(), moving)
    second.compile("sgd", "mse")
    second.train_on_batch(x, np.ones((4, 1)))
    assert not np.array_equal(layer.state_h, state[0])
    assert not np.array_equal(normalized.moving_mean, moving)


def test_each_batch_is_whole_whoever_predicts():
    """All that threads find is what some order of whole batches makes: here each adds 1."""
    model = stateful(layers.SimpleRNN, 300, 1, 1, 1, activation="linear")
    model.set_weights([[[1.0]], [[1.0]], [0.0]])
    model.compile(fw.optimizers.SGD(0.0), "mse")
    x, found = np.ones((300, 1, 1)), []

    def predict():
        for _ in range(30):
            found.append(model.predict(x))

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    model.fit(np.ones((3000, 1, 1)), np.ones((3000, 1)), epochs=3, verbose=0, shuffle=False)
    for thread in threads:
        thread.join()
    assert all((made == made[0]).all() for made in found)
    assert len({made[0, 0] for made in found}) == 60
    assert (model.state == 90).all()


@pytest.mark.promises
def test_an_interrupt_leaves_whole_batches():
    x, y = np.ones((12, 1, 1)), np.ones((12, 1))

    def prepared():
        model = stateful(layers.SimpleRNN, 4, 1, 1, 1, activation="linear")
        model.set_weights([[[1.0]], [[1.0]], [0.0]])
        model.compile(fw.optimizers.SGD(0.0), "mse")
        return model

    def check(model, finished):
        assert (model.state == model.state[0]).all()
        assert model.state[0] == 3 if finished else model.state[0] in range(4)

    fit = {"verbose": 0, "shuffle": False}
    interrupted_everywhere(prepared, lambda model: model.predict(x), check)
    interrupted_everywhere(prepared, lambda model: model.fit(x, y, **fit), check)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_in_a_long_batch_leaves_the_states_before():
    model = stateful(layers.SimpleRNN, 20000, 40, 40, 1, "float32", activation="linear")
    model.set_weights([np.ones((1, 40)), np.eye(40), np.zeros(40)])
    x = np.ones((20000, 40, 1), "f")

    def predict():
        for _ in range(1000):
            model.predict(x)

    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            predict()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    # All rows are alike: of a batch that was done half some would be further than others.
    assert (model.state == model.state[0]).all()
    assert model.state[0] % 40 == 0


# ---- refusals ------------------------------------------------------------------------------------


def compiled():
    model = stateful(layers.LSTM)
    model.compile("sgd", "mse")
    return model


class Moves(layers.Layer):
    """A layer whose weights would be of rows."""

    def variables(self, shape):
        return [RowState("gamma", shape, "ones")]

    def ops(self, x):
        return layers.op("scale", x, sizes=(1, 0), variables=["gamma"])


def called_twice():
    inputs, layer = fw.Input((3, 2), batch_size=4), layers.GRU(5, stateful=True)
    return fw.Model(inputs, layers.Add()([layer(inputs), layer(inputs)]))


X, Y = np.zeros((10, 3, 2)), np.zeros((10, 5))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: fw.Sequential([layers.LSTM(5, stateful=True)], (3, 2)),
            r"stateful of 'lstm': got True, in a model whose batches have any number of rows, "
            r"expected fw.Input\(shape, batch_size=...\), in a Sequential as its first entry",
        ),
        (called_twice, "stateful of 'gru': got two calls, expected True for a layer that is call"),
        (
            lambda: fw.Model(
                [a := fw.Input(2, batch_size=3), b := fw.Input(2, batch_size=4)],
                layers.Add()([a, b]),
            ),
            "batch_size: got 3 and 4, expected the same one for all inputs",
        ),
        (
            lambda: compiled().predict(X),
            "x: got 10 rows, expected whole batches of 4, which fw.Input says: a layer is stateful",
        ),
        (lambda: compiled().evaluate(X, Y), "x: got 10 rows, expected whole batches of 4"),
        (lambda: compiled().fit(X, Y, shuffle=False), "x: got 10 rows, expected whole batches"),
        (
            lambda: compiled().fit(X[:8], Y[:8], shuffle=False, validation_data=(X, Y)),
            "validation x: got 10 rows, expected whole batches of 4",
        ),
        (
            lambda: compiled().fit(X[:8], Y[:8], 8, shuffle=False),
            "batch_size: got 8, expected 4, that of fw.Input, as a layer is stateful",
        ),
        (lambda: compiled().predict(X[:8], 2), "batch_size: got 2, expected 4"),
        (lambda: compiled().evaluate(X[:8], Y[:8], 32), "batch_size: got 32, expected 4"),
        (
            lambda: compiled().train_on_batch(X[:8], Y[:8]),
            "x: got 8 rows, expected one batch of 4, which fw.Input says: a layer is stateful",
        ),
        (lambda: compiled().loss_and_gradients(X[:2], Y[:2]), "x: got 2 rows, expected one batch"),
        (lambda: compiled().forward(X[:8]), "x: got 8 rows, expected one batch of 4"),
        (
            lambda: fw.Sequential([fw.Input(2, batch_size=4), Moves()]),
            "variables of Moves: got 'gamma', which is of rows, expected it in states",
        ),
        (
            lambda: fw.Sequential.from_config({**compiled().config(), "batch_size": 0}),
            "batch_size: got 0, expected at least 1",
        ),
        (
            lambda: compiled().stream(),
            "write go_backwards=False and stateful=False, since a stream has states of its own",
        ),
        (
            lambda: layers.Bidirectional(
                layers.LSTM(3, stateful=True), backward_layer=layers.LSTM(3, go_backwards=True)
            ),
            "backward_layer: got .*, expected one with stateful=True, as layer has it",
        ),
    ],
)  # fmt: skip
def test_refusals(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_a_call_that_is_refused_moves_nothing():
    model = compiled()
    model.predict(np.ones((4, 3, 2)))
    before = model.state.copy()
    for x in (np.ones((6, 3, 2)), np.full((4, 3, 2), np.nan)):
        with pytest.raises(ValueError, match="x: got"):
            model.predict(x)
    same_bits(model.state, before)


def test_what_a_plan_takes_itself():
    """Whoever calls it: rows that are no whole batches, and ops that know no states of rows."""
    model = compiled()
    plan = _plans.plan_for(model, "infer", 8)
    with pytest.raises(ValueError, match="x: got rows 0 to 6, expected batches of 4"):
        plan.infer(np.zeros((8, 3, 2)), None, np.zeros((6, 5)), 0, 6, 1.0)
    with pytest.raises(ValueError, match="rows: got 3, expected 4"):
        _plans.plan_for(model, "check", 4).gradients_of(X[:3], Y[:3], None, 3)

    class Remembers(layers.Layer):
        def states(self, shape):
            return [RowState("mean", (2,), "zeros")]

        def ops(self, x):
            return layers.op("standardize", x, sizes=(0, 0), options=(0, 0), states=["mean"])

    inputs = fw.Input(4, batch_size=4)
    with pytest.raises(ValueError, match="expected one of a kind that remembers states of rows"):
        fw.Model(inputs, Remembers()(inputs))


def test_advice_about_the_order():
    with pytest.warns(UserWarning, match="shuffle: a stateful layer goes on from row to row"):
        compiled().fit(X[:8], Y[:8], verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled().fit(X[:8], Y[:8], verbose=0, shuffle=False)
    with pytest.raises(AttributeError, match=r"reset_states.*call layer.reset_state\(\) of each"):
        compiled().reset_states()
