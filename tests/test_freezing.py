"""Layers that are not trained: their weights stay, and nothing else is any different."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, optimizers

OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.01),
}
FROZEN = [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


def network(frozen=(), optimizer="adam", **settings):
    stack = [layers.Dense(8, "tanh"), layers.Dense(6, "relu"), layers.Dense(2)]
    for number in frozen:
        stack[number].trainable = False
    model = fw.Sequential(stack, 4, dtype="float64", seed=1, **settings)
    model.compile(OPTIMIZERS[optimizer](), "mse")
    return model


def data(rows=30):
    random = np.random.default_rng(2)
    return random.standard_normal((rows, 4)), random.standard_normal((rows, 2))


def moved(model, train):
    """Whether `train` moves the weights of each layer."""
    before = model.get_weights()
    train(model)
    after = model.get_weights()
    found = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert found[::2] == found[1::2]
    return found[::2]


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_stay_where_they_are(optimizer, frozen):
    x, y = data()

    def by_hand(model):
        model.loss_and_gradients(x, y)
        model.apply_gradients()

    for train in (
        lambda model: model.fit(x, y, 8, 2, verbose=0),
        lambda model: model.train_on_batch(x, y),
        by_hand,
    ):
        found = moved(network(frozen, optimizer), train)
        assert found == [number not in frozen for number in range(3)]


@pytest.mark.parametrize("rows", [30, 1500])
@pytest.mark.parametrize("frozen", FROZEN)
def test_gradients_by_the_other_weights_are_what_they_are(frozen, rows):
    x, y = data(rows)
    model, whole = network(frozen), network()
    loss, gradient, by_input = model.loss_and_gradients(x, y)
    expected = whole.loss_and_gradients(x, y)
    assert loss == expected[0]
    np.testing.assert_array_equal(by_input, expected[2])
    offset = 0
    for number, layer in enumerate(model.layers):
        size = sum(weight.size for weight in layer.weights.values())
        part = slice(offset, offset + size)
        np.testing.assert_array_equal(gradient[part], 0 if number in frozen else expected[1][part])
        offset += size


@pytest.mark.parametrize("frozen", FROZEN)
def test_a_check_looks_at_what_moves(frozen):
    x, y = data(7)
    report = fw.check_gradients(network(frozen), x, y, tolerance=1e-8)
    assert report, report
    assert len(report.rows) == 2 * (3 - len(frozen)) + 1


def test_a_flag_counts_from_the_next_epoch_on():
    x, y = data()
    model = network()

    class Freeze(fw.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.kept = self.model.get_weights()
            self.model.layers[0].trainable = epoch % 2 == 1

    freeze = Freeze()
    model.fit(x, y, 8, 1, verbose=0, callbacks=freeze)
    assert moved(model, lambda model: model.fit(x, y, 8, 1, verbose=0)) == [False, True, True]
    model.trainable = True
    assert model.trainable
    assert moved(model, lambda model: model.train_on_batch(x, y)) == [True, True, True]
    model.trainable = False
    assert not model.trainable
    _, gradient, _ = model.loss_and_gradients(x, y)
    assert (gradient == 0).all()


def test_flags_are_saved_and_copied(tmp_path):
    model = network((1,))
    for again in (model.copy(), fw.Sequential.from_config(model.config())):
        assert [layer.trainable for layer in again.layers] == [True, False, True]
    model.save(tmp_path / "model.safetensors")
    again = fw.load(tmp_path / "model.safetensors")
    assert [layer.trainable for layer in again.layers] == [True, False, True]
    assert layers.Dense(3, trainable=False).trainable is False


def test_what_is_no_flag_is_refused():
    for bad in (1, "no", None):
        with pytest.raises(TypeError, match="trainable: got"):
            layers.Dense(3).trainable = bad
        with pytest.raises(TypeError, match="trainable: got"):
            layers.Dense(3, trainable=bad)


def test_a_frozen_network_costs_no_memory_for_a_backward_pass():
    def arena(frozen):
        return network(frozen).memory(64)["arena"]

    assert arena((0, 1)) < arena((0,)) < arena(())
