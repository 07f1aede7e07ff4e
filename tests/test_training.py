"""The training loop: which rows make which step, divergence, Ctrl-C."""

import hashlib
import itertools
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from helpers import data, network, same_bits, twin

import fastweights as fw
from fastweights import optimizers
from fastweights._core import philox

# ---- training ------------------------------------------------------------------------------------


def trained(batch_size=32, dtype="float32"):
    model = network((5, 17, 3), "silu", optimizer="adam", metrics=("mae",), dtype=dtype)
    history = model.fit(*data(700), batch_size, 2, verbose=0, validation_data=data(601, seed=1))
    return model, history


@pytest.mark.parametrize(
    ("widths", "rows"),
    [
        ((40, 300, 260, 5), 700),  # wide enough to transpose the input of a gradient
        ((30, 260, 260, 3), 2500),  # more rows than the arena holds of a whole batch
        ((4, 32, 16, 4), 9000),  # slices of more rows than a chunk
    ],
)
def test_gradients_of_many_rows_are_the_oracle_s(widths, rows):
    model = network(widths)
    x, y = data(rows, widths[0], widths[-1])
    expected, dx_expected = twin(model).gradients(x, y)
    _, gradient, dx = model.loss_and_gradients(x, y)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(dx, dx_expected, rtol=0, atol=1e-13 * np.abs(dx_expected).max())


def test_earlier_calls_do_not_change_the_bits():
    usual, _ = trained()
    model = network((5, 17, 3), "silu", optimizer="adam", metrics=("mae",), dtype="float32")
    x, y = data(700)
    model.predict(x)
    model.evaluate(x[:3], y[:3])
    model.loss_and_gradients(x, y)
    model.backward(model.forward(x))
    model.fit(x, y, 32, 2, verbose=0)
    same_bits(model.parameters, usual.parameters)


def test_train_on_batch_is_a_fit_of_one_batch():
    x, y = data(30)
    one, other = (network(optimizer="adam") for _ in range(2))
    expected = one.loss_and_gradients(x, y)[0]
    assert one.train_on_batch(x, y) == expected
    history = other.fit(x, y, 30, verbose=0, shuffle=False)
    assert history.history == {"loss": [pytest.approx(expected, rel=1e-15)]}
    same_bits(one.parameters, other.parameters)


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_takes_the_batches_in_order(shuffle):
    x, y = data(70)
    whole, parts = (network(optimizer="adam", seed=9) for _ in range(2))
    whole.fit(x, y, 16, 3, verbose=0, shuffle=shuffle)
    order = np.arange(70)
    for epoch in range(3):
        if shuffle:
            philox.permutation(order, 9, philox.STREAM_SHUFFLE + epoch)
        for first in range(0, 70, 16):
            batch = order[first : first + 16]
            parts.train_on_batch(x[batch], y[batch])
    same_bits(whole.parameters, parts.parameters)


def test_a_batch_larger_than_the_data():
    sizes = (30, 31, 10**6, 2**63 - 1)
    results = []
    for batch_size in sizes:
        model = network()
        model.fit(*data(30), batch_size, verbose=0)
        results.append(model.parameters)
    for result in results[1:]:
        same_bits(result, results[0])


def test_a_fit_that_continues():
    x, y = data(50)
    whole, parts = (network(optimizer="adam") for _ in range(2))
    history = whole.fit(x, y, 16, 5, verbose=0)
    first = parts.fit(x, y, 16, 2, verbose=0)
    second = parts.fit(x, y, 16, 5, verbose=0, initial_epoch=2)
    assert (first.epoch, second.epoch) == ([0, 1], [2, 3, 4])
    assert first.history["loss"] + second.history["loss"] == history.history["loss"]
    same_bits(parts.parameters, whole.parameters)


@pytest.mark.parametrize(("epochs", "initial_epoch"), [(0, 0), (3, 3), (3, 7)])
def test_a_fit_of_no_epochs(epochs, initial_epoch):
    model = network()
    before = model.parameters.copy()
    history = model.fit(*data(9), epochs=epochs, initial_epoch=initial_epoch, verbose=0)
    assert (history.history, history.epoch) == ({}, [])
    same_bits(model.parameters, before)


def test_validation_rows_are_the_last_and_are_not_trained_on():
    x, y = data(50)
    split, given, alone = (network(optimizer="adam", metrics=("mae",)) for _ in range(3))
    first = split.fit(x, y, 16, 3, verbose=0, validation_split=0.3)
    second = given.fit(x[:35], y[:35], 16, 3, verbose=0, validation_data=(x[35:], y[35:]))
    third = alone.fit(x[:35], y[:35], 16, 3, verbose=0)
    assert first.history == second.history
    assert list(first.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert {key: first.history[key] for key in ("loss", "mae")} == third.history
    same_bits(split.parameters, given.parameters)
    same_bits(split.parameters, alone.parameters)
    last = [first.history["val_loss"][-1], first.history["val_mae"][-1]]
    assert split.evaluate(x[35:], y[35:]) == last


def test_validation_data_take_the_place_of_a_split():
    x, y = data(50)
    both, one = network(), network()
    both.fit(x, y, verbose=0, validation_split=0.5, validation_data=(x[:5], y[:5]))
    one.fit(x, y, verbose=0)
    same_bits(both.parameters, one.parameters)


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows():
    x, y = data(21)
    model = network(metrics=("mse",))
    history = model.fit(x, y, 8, verbose=0, shuffle=False)
    again = network()
    total = sum(
        again.train_on_batch(x[i : i + 8], y[i : i + 8]) * len(x[i : i + 8]) for i in (0, 8, 16)
    )
    assert history.history["loss"] == [pytest.approx(total / 21, rel=1e-15)]
    assert history.history["mse"] == pytest.approx(history.history["loss"], rel=1e-14)


def test_training_learns():
    x, _ = data(300)
    y = x @ [1.0, -2.0, 3.0, 0.0, 0.5] + 4
    model = network((5, 1), optimizer=optimizers.SGD(0.1))
    history = model.fit(x, y, 32, 50, verbose=0)
    assert history.history["loss"][-1] < 1e-12
    np.testing.assert_allclose(model.parameters, [1, -2, 3, 0, 0.5, 4], atol=1e-6)


@pytest.mark.parametrize("rows", [1025, 30_000])
@pytest.mark.parametrize("widths", [(3, 5, 2), (40, 300, 260, 5)], ids=["sliced", "whole"])
def test_gradients_of_many_rows_keep_their_digits(widths, rows):
    """Of targets of one sign, whose sums are the longest; against the same in float64."""
    single = network(widths, "tanh", dtype="float32")
    double = single.copy("float64")
    x = np.abs(data(rows, widths[0])[0]).astype(np.float32)
    y = np.full((rows, widths[-1]), 100.1, np.float32)
    _, found, _ = single.loss_and_gradients(x, y)
    _, exact, _ = double.loss_and_gradients(x, y)
    for mine, true in zip(parts_of(single, found), parts_of(double, exact), strict=True):
        assert np.linalg.norm(mine - true) <= 1e-6 * np.linalg.norm(true)


def parts_of(model, flat):
    ends = np.cumsum([weight.size for weight in model.weights])
    return [part.astype(float) for part in np.split(flat, ends[:-1])]


# ---- what a callback or another thread compiles --------------------------------------------------


def one_hot(classes):
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((60, 5)), random.integers(classes, size=60)
    return x, labels, np.eye(classes)[labels]


@pytest.mark.parametrize("classes", [3, 100])
@pytest.mark.parametrize("first", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_targets_of_one_loss_are_never_read_by_another(first, classes):
    x, labels, rows = one_hot(classes)
    y, second = (rows, "sparse_" + first) if first[0] == "c" else (labels, first[7:])
    model, good = (network((5, 8, classes), last="softmax", loss=first) for _ in range(2))
    change = At(1, lambda model: model.compile("adam", second))
    with pytest.raises(RuntimeError, match="compile: got a model in the middle of its own fit"):
        model.fit(x, y, 16, 3, verbose=0, shuffle=False, callbacks=[change])
    good.fit(x, y, 16, 1, verbose=0, shuffle=False)
    same_bits(model.parameters, good.parameters)
    model.compile("adam", second)
    with pytest.raises(ValueError, match="y: got shape"):
        model.evaluate(x, y)


def test_another_thread_cannot_compile_what_is_being_fitted():
    x, _, rows = one_hot(4)
    model, good = (
        network((5, 8, 4), last="softmax", loss="categorical_crossentropy") for _ in range(2)
    )
    stop, errors = threading.Event(), []

    def compile_all_the_time():
        while not stop.is_set():
            try:
                model.compile("sgd", "mse", ["mae"])
            except RuntimeError as error:
                errors.append(str(error))
            else:  # before the fit or after it
                model.compile("sgd", "categorical_crossentropy")

    good.fit(x, rows, 16, 300, verbose=0)
    other = threading.Thread(target=compile_all_the_time)
    began = At(0, lambda model: other.start())
    try:
        model.fit(x, rows, 16, 300, verbose=0, callbacks=[began])
    finally:
        stop.set()
        other.join()
    same_bits(model.parameters, good.parameters)
    assert errors
    assert "compile: got a model that another thread is in the middle of a fit with" in errors[0]


def test_labels_that_a_callback_spoils_do_not_reach_the_kernels():
    x, labels, _ = one_hot(4)
    labels = labels.astype(np.int32)
    clean = labels.copy()
    model, good = (
        network((5, 8, 4), last="softmax", loss="sparse_categorical_crossentropy") for _ in range(2)
    )

    def spoil(model):
        labels[:] = 10**9

    model.fit(x, labels, 16, 3, verbose=0, callbacks=[At(1, spoil)])
    good.fit(x, clean, 16, 3, verbose=0)
    same_bits(model.parameters, good.parameters)


# ---- divergence ----------------------------------------------------------------------------------


def diverging(optimizer=None, **settings):
    """A model that learns, and rows of which the 45th makes its loss overflow."""
    model = network(optimizer=optimizer or optimizers.SGD(0.1, 0.9), **settings)
    x, y = data(64)
    poison = y.copy()
    poison[45] = 1e200
    return model, x, y, poison


@pytest.mark.parametrize(
    "optimizer", [optimizers.SGD(0.1), optimizers.SGD(0.1, 0.9), optimizers.Adam(0.1)], ids=repr
)
def test_divergence_goes_back_to_the_last_good_epoch(optimizer):
    model, x, y, poison = diverging(optimizer)
    good, *_ = diverging(optimizer)
    for trained_model in (model, good):
        trained_model.fit(x, y, 10, 2, verbose=0, shuffle=False)
    with pytest.raises(fw.DivergenceError) as caught:
        model.fit(x, poison, 10, 5, verbose=0, shuffle=False, initial_epoch=2)
    error = caught.value
    assert (error.epoch, error.batch, error.learning_rate) == (2, 4, 0.1)
    assert str(error) == (
        "the loss became inf in epoch 3, batch 5 at learning rate 0.1; the model has the weights "
        "of the last good epoch; try a smaller learning rate, or scale the data"
    )
    same_bits(model.parameters, good.parameters)
    # The optimizer remembers no more than the weights do.
    for trained_model in (model, good):
        trained_model.fit(x, y, 10, 2, verbose=0, shuffle=False)
    same_bits(model.parameters, good.parameters)


def test_divergence_in_a_later_epoch_keeps_the_good_ones():
    model, good = (
        network((5, 1), optimizer=optimizers.SGD(3.0), dtype="float32") for _ in range(2)
    )
    x, y = data(64, outputs=1)
    with pytest.raises(fw.DivergenceError) as caught:
        model.fit(x, y, 8, 100, verbose=0)
    epoch = caught.value.epoch
    assert 0 < epoch < 99
    good.fit(x, y, 8, epoch, verbose=0)
    same_bits(model.parameters, good.parameters)
    assert np.isfinite(model.parameters).all()


class At(fw.callbacks.Callback):
    """Does something before one epoch."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_epoch_begin(self, epoch, logs):
        if epoch == self.epoch:
            self.action(self.model)


def leap(model):
    model.optimizer.learning_rate = 1e30


def test_divergence_goes_back_by_one_epoch_of_the_fit():
    model, good = (network(optimizer=optimizers.Adam(0.1), dtype="float32") for _ in range(2))
    x, y = data(64)
    with pytest.raises(fw.DivergenceError) as caught:
        model.fit(x, y, 10, 9, verbose=0, shuffle=False, callbacks=[At(4, leap)])
    assert caught.value.epoch == 4
    good.fit(x, y, 10, 4, verbose=0, shuffle=False)
    same_bits(model.parameters, good.parameters)
    model.optimizer.learning_rate = 0.1
    for trained_model in (model, good):
        trained_model.fit(x, y, 10, 2, verbose=0, shuffle=False)
    same_bits(model.parameters, good.parameters)


def test_weights_that_overflow_in_the_last_batch():
    # The loss of the one batch is finite, the step to the weights is not.
    model = network((1, 1), optimizer=optimizers.SGD(1e30), dtype="float32")
    before = model.parameters.copy()
    x, y = [[1e5], [-1e5]], [1e5, 1e5]
    for batch_size in (1, 2):
        with pytest.raises(
            fw.DivergenceError,
            match="the weights overflowed in epoch 1, batch 1 at learning rate 1e",
        ):
            model.fit(x[:batch_size], y[:batch_size], batch_size, 1, verbose=0)
        same_bits(model.parameters, before)


def test_weights_that_overflow_both_ways():
    model = network((2, 1), optimizer=optimizers.SGD(1e30), dtype="float32")
    with pytest.raises(fw.DivergenceError, match="overflowed"):
        model.fit([[1e10, -1e10]], [1.0], epochs=1, verbose=0)


def test_a_validation_loss_that_is_no_number_ends_the_fit():
    model = network((1, 1), optimizer=optimizers.SGD(1e30), dtype="float32")
    before = model.parameters.copy()
    held_out = np.full((2, 1), 1e38), np.zeros(2)
    with pytest.raises(fw.DivergenceError, match=r"the validation loss became (nan|inf)"):
        model.fit([[1e-3]], [1.0], epochs=1, verbose=0, validation_data=held_out)
    same_bits(model.parameters, before)


def test_a_step_that_makes_weights_overflow_is_taken_back():
    x, y = data(9)
    model = network(optimizer=optimizers.SGD(1e38), dtype="float32")
    before = model.parameters.copy()
    with pytest.raises(fw.DivergenceError, match="made weights NaN or inf, and was taken back"):
        model.train_on_batch(x, 1e5 * y)
    same_bits(model.parameters, before)
    model.gradients[:] = 1e5
    with pytest.raises(fw.DivergenceError, match="made weights NaN or inf, and was taken back"):
        model.apply_gradients()
    same_bits(model.parameters, before)
    model = network(optimizer="adam")
    before = model.parameters.copy()
    for bad in (np.nan, np.inf):
        model.loss_and_gradients(x, y)
        model.gradients[3] = bad
        with pytest.raises(fw.DivergenceError, match="the gradients are NaN or inf; no step was"):
            model.apply_gradients()
        same_bits(model.parameters, before)


def test_train_on_batch_makes_no_step_to_nowhere():
    model, x, y, poison = diverging(optimizers.Adam(0.1))
    other, *_ = diverging(optimizers.Adam(0.1))
    before = model.parameters.copy()
    with pytest.raises(
        fw.DivergenceError, match=r"^the loss is inf; no step was made at"
    ) as caught:
        model.train_on_batch(x, poison)
    assert (caught.value.epoch, caught.value.batch) == (None, None)
    same_bits(model.parameters, before)
    assert model.train_on_batch(x, y) == other.train_on_batch(x, y)
    same_bits(model.parameters, other.parameters)


def test_a_divergence_error_travels_between_processes():
    error = fw.DivergenceError(2, 4, 0.5, "the loss became nan")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.epoch, again.batch, again.learning_rate) == (2, 4, 0.5)
    assert isinstance(error, ArithmeticError)


def test_weights_that_are_no_numbers_are_told_before_an_epoch():
    model = network()
    model.parameters[3] = np.nan
    with pytest.raises(ValueError, match=r"parameters: got 1 NaN or inf, the first at \(3,\)"):
        model.fit(*data(9), verbose=0)


# ---- Ctrl-C --------------------------------------------------------------------------------------


def test_ctrl_c_leaves_the_model_at_a_completed_batch():
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        pytest.skip("signals come to the main thread, by timers that this system may lack")
    model, replay = (network((50, 200, 3), optimizer="adam", dtype="float32") for _ in range(2))
    x, y = data(5000, 50)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, 64, 10**6, verbose=0, shuffle=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    seconds = time.perf_counter() - began
    assert np.isfinite(model.parameters).all()
    wanted = hashlib.sha256(model.parameters).digest()
    for first in itertools.chain.from_iterable(itertools.repeat(range(0, 5000, 64))):
        replay.train_on_batch(x[first : first + 64], y[first : first + 64])
        if hashlib.sha256(replay.parameters).digest() == wanted:
            break
        assert time.perf_counter() - began < 20 * seconds + 10, (
            "no completed batch has these weights"
        )
    # Usable as if nothing had been.
    same_bits(model.predict(x), replay.predict(x))
    assert model.train_on_batch(x, y) == replay.train_on_batch(x, y)
    same_bits(model.parameters, replay.parameters)
