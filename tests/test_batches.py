"""Batches as they come: the same bits as arrays have, and every way in which they can end."""

from __future__ import annotations

import gc
import itertools
import math
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from helpers import expect_no_thread, same_bits
from test_interrupts import interrupted_everywhere

import fastweights as fw
from fastweights import _ahead, _batches, callbacks, layers

ROWS, BATCH = 211, 16
STEPS = math.ceil(ROWS / BATCH)
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((ROWS, 5)).astype(np.float32)
Y = RANDOM.standard_normal((ROWS, 3)).astype(np.float32)
W = RANDOM.uniform(0.1, 2.0, ROWS)


def model(metrics: Any = ("mae",), dtype: str = "float32", loss: Any = "mse") -> fw.Sequential:
    """Whose random numbers follow a row's place, and which looks at all rows of a batch."""
    stack = [
        layers.Dense(8, "relu"),
        layers.Dropout(0.3),
        layers.BatchNormalization(),
        layers.Dense(3, "softmax" if loss == "sparse_categorical_crossentropy" else None),
    ]
    made = fw.Sequential(stack, 5, dtype, 3)
    made.compile("adam", loss, list(metrics))
    return made


def pairs(*arrays: Any, size: int = BATCH) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(arrays[0]), size):
        yield tuple(array[first : first + size] for array in arrays)


def forever(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from pairs(*arrays)


class Indexed:
    """As Keras's PyDataset is."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays, self.told, self.asked = arrays, [], []

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        self.asked.append(number)
        first = number * BATCH
        return tuple(array[first : first + BATCH] for array in self.arrays)

    def on_epoch_begin(self) -> None:
        self.told.append("begin")

    def on_epoch_end(self) -> None:
        self.told.append("end")


class Loader:
    """As torch's DataLoader is."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def __iter__(self) -> Iterator[list[Any]]:
        return map(list, pairs(*self.arrays))

    def __len__(self) -> int:
        return STEPS


class Exporting:
    """An array of another library."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **settings: Any) -> Any:
        return self._array.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class Arraylike:
    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._array, dtype)


def reused() -> Iterator[tuple[Any, Any]]:
    """Batches that are all in the same memory."""
    x, y = np.empty((BATCH, 5), np.float32), np.empty((BATCH, 3), np.float32)
    while True:
        for a, b in pairs(X, Y):
            x[: len(a)], y[: len(b)] = a, b
            yield x[: len(a)], y[: len(b)]


KINDS: dict[str, Callable[[], Any]] = {
    "generator": lambda: forever(X, Y),
    "indexed": lambda: Indexed(X, Y),
    "loader": lambda: Loader(X, Y),
    "same memory": reused,
    "float64": lambda: forever(X.astype(float), Y.astype(float)),
    "lists": lambda: ((x.tolist(), y.tolist()) for x, y in forever(X, Y)),
    "__array__": lambda: ((Arraylike(x), Arraylike(y)) for x, y in forever(X, Y)),
    "__dlpack__": lambda: ((Exporting(x.copy()), Exporting(y.copy())) for x, y in forever(X, Y)),
    "strided": lambda: forever(np.asfortranarray(X), Y),
}


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    expect_no_thread()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("together", [0, 1 << 20])
def test_batches_give_the_bits_of_arrays(
    kind: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_batches, "GROUP_BYTES", together)
    whole, ours = model(), model()
    expected = whole.fit(X, Y, BATCH, 3, shuffle=False, verbose=0, validation_data=(X, Y))
    found = ours.fit(
        KINDS[kind](), epochs=3, steps_per_epoch=STEPS, shuffle=False, verbose=0,
        validation_data=Loader(X, Y),
    )  # fmt: skip
    same_bits(whole.parameters, ours.parameters)
    assert found.history == expected.history


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_for_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    whole, ours = model(), model()
    whole.fit(X, Y, BATCH, 2, shuffle=False, verbose=0)
    with fw.threads(threads):
        ours.fit(Loader(X, Y), epochs=2, verbose=0)
    same_bits(whole.parameters, ours.parameters)


def test_weights_of_rows_and_of_classes() -> None:
    loss, labels = "sparse_categorical_crossentropy", np.arange(ROWS) % 3
    whole, ours = model(["accuracy"], loss=loss), model(["accuracy"], loss=loss)
    by_class = {0: 1.0, 1: 0.5, 2: 3.0}
    expected = whole.fit(
        X, labels, BATCH, 2, shuffle=False, verbose=0, sample_weight=W, class_weight=by_class
    )
    found = ours.fit(Loader(X, labels, W), epochs=2, verbose=0, class_weight=by_class)
    same_bits(whole.parameters, ours.parameters)
    assert found.history == expected.history
    assert ours.evaluate(Loader(X, labels, W)) == whole.evaluate(X, labels, sample_weight=W)


def test_metrics_that_need_all_rows() -> None:
    y = (Y > 0).astype(np.float32)
    metrics = ["mae", _median]
    whole, ours = model(metrics), model(metrics)
    expected = whole.fit(
        X, y, BATCH, 2, shuffle=False, verbose=0, sample_weight=W, validation_data=(X, y)
    )
    found = ours.fit(Loader(X, y, W), epochs=2, verbose=0, validation_data=Loader(X, y))
    assert found.history == expected.history
    assert ours.evaluate(Loader(X, y, W)) == whole.evaluate(X, y, sample_weight=W)


def _median(y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any = None) -> float:
    weights = 1.0 if sample_weight is None else sample_weight[:, None]
    return float(np.median((y_true - y_pred) * weights))


def test_evaluate_and_predict() -> None:
    made = model()
    made.fit(X, Y, BATCH, 1, verbose=0)
    for source in (Loader(X, Y), Indexed(X, Y), pairs(X, Y), pairs(X, Y, size=1)):
        assert made.evaluate(source) == made.evaluate(X, Y)
    for source in (Loader(X, Y), pairs(X), (x for (x,) in pairs(X)), Indexed(X)):
        same_bits(made.predict(source), made.predict(X))
    some = made.predict(forever(X), steps=2)
    same_bits(some, made.predict(X[: 2 * BATCH]))
    assert made.evaluate(forever(X, Y), steps=2) == made.evaluate(X[: 2 * BATCH], Y[: 2 * BATCH])


def test_several_inputs_and_outputs() -> None:
    def several() -> fw.Model:
        a, b = fw.Input((5,), name="a"), fw.Input((3,), name="b")
        both = layers.Concatenate()([layers.Dense(4)(a), b])
        outputs = {"u": layers.Dense(3, name="u")(both), "v": layers.Dense(1, name="v")(both)}
        made = fw.Model([a, b], outputs, seed=1)
        made.compile("sgd", "mse")
        return made

    whole, ours, third = several(), several(), several()
    x, y = {"a": X, "b": Y}, {"u": Y, "v": X[:, :1]}
    whole.fit(x, y, BATCH, 2, shuffle=False, verbose=0)

    def dicts() -> Iterator[Any]:
        while True:
            for a, b in pairs(X, Y):
                yield {"a": a, "b": b}, {"u": b, "v": a[:, :1]}

    ours.fit(dicts(), epochs=2, steps_per_epoch=STEPS, verbose=0)
    same_bits(whole.parameters, ours.parameters)
    tuples = (((x["a"], x["b"]), [y["u"], y["v"]]) for x, y in dicts())
    third.fit(tuples, epochs=2, steps_per_epoch=STEPS, verbose=0)
    same_bits(whole.parameters, third.parameters)


def test_batches_of_any_size_and_dtype() -> None:
    """One step each, as by train_on_batch, but that the random numbers are those of one pass."""
    cuts = [0, 7, 8, 40, 41, 41 + BATCH, 41 + 2 * BATCH, ROWS]
    bytes_of = (X > 0).astype(np.uint8)

    def uneven() -> Iterator[Any]:
        for n, (a, b) in enumerate(itertools.pairwise(cuts)):
            rows = bytes_of[a:b] if n % 2 else bytes_of[a:b].astype(np.float32)
            yield rows, Y[a:b]

    whole, ours = model(), model()
    for made in (whole, ours):
        made.layers[1]
    stepped, at_once = _without_noise(), _without_noise()
    for x, y in uneven():
        stepped.train_on_batch(x, y)
    at_once.fit(uneven(), verbose=0)
    same_bits(stepped.parameters, at_once.parameters)


def _without_noise() -> fw.Sequential:
    made = fw.Sequential([layers.Dense(8, "tanh"), layers.Dense(3)], 5, "float32", 3)
    made.compile("adam", "mse")
    return made


def test_the_batches_of_an_indexed_object_are_shuffled() -> None:
    def asked(seed: int) -> list[int]:
        source, made = Indexed(X, Y), fw.Sequential([layers.Dense(3)], 5, "float32", seed)
        made.compile("sgd", "mse")
        made.fit(source, epochs=2, verbose=0)
        return source.asked[1:]

    first = asked(0)
    assert first == asked(0)
    assert first != asked(1)
    assert sorted(first[:STEPS]) == sorted(first[STEPS:]) == list(range(STEPS))
    assert first[:STEPS] != first[STEPS:]


def test_an_indexed_object_hears_of_epochs() -> None:
    source = Indexed(X, Y)
    model().fit(source, epochs=2, verbose=0)
    assert source.told == ["begin", "end"] * 2


def test_epochs_of_some_steps_go_on() -> None:
    seen: list[int] = []

    def counted() -> Iterator[Any]:
        for number, batch in enumerate(forever(X, Y)):
            seen.append(number)
            yield batch

    class Epochs(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            ends.append(len(seen))

    ends: list[int] = []
    model().fit(counted(), epochs=3, steps_per_epoch=4, verbose=0, callbacks=Epochs())
    # Nothing is read for an epoch that has not begun.
    assert ends == [4, 8, 12]


def test_hooks_hear_of_each_batch() -> None:
    class Heard(callbacks.Callback):
        def on_train_begin(self, logs: Any) -> None:
            assert self.params["steps"] in (None, STEPS)

        def on_train_batch_begin(self, batch: int, logs: Any) -> None:
            heard.append(batch)

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            losses.append(logs["loss"])

        def on_test_batch_end(self, batch: int, logs: Any) -> None:
            tested.append(batch)

    heard: list[int] = []
    losses: list[float] = []
    tested: list[int] = []
    model().fit(Loader(X, Y), verbose=0, callbacks=Heard(), validation_data=pairs(X, Y))
    expected, heard[:] = (list(range(STEPS)), [*heard]), heard
    assert heard == expected[0] == tested
    of_pieces, losses = losses, []
    model().fit(X, Y, BATCH, shuffle=False, verbose=0, callbacks=Heard())
    assert of_pieces == losses


@pytest.mark.parametrize(
    "settings",
    [
        {"gradient_accumulation_steps": 3},
        {"global_clipnorm": 0.1, "weight_decay": 0.01},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 5},
    ],
    ids=str,
)
def test_settings_of_optimizers(settings: Any) -> None:
    whole, ours = _without_noise(), _without_noise()
    for made in (whole, ours):
        rate = fw.schedules.CosineDecay(0.01, 20)
        made.compile(fw.optimizers.Adam(rate, **settings), "mse")
    whole.fit(X, Y, BATCH, 3, shuffle=False, verbose=0)
    ours.fit(Loader(X, Y), epochs=3, verbose=0)
    same_bits(whole.parameters, ours.parameters)


# ---- the end -------------------------------------------------------------------------------------


def test_an_iterator_that_ends_early_ends_the_fit() -> None:
    made = model()
    with pytest.warns(UserWarning, match=r"x: the batches ended in epoch 2 of 3"):
        history = made.fit(pairs(X, Y), epochs=3, steps_per_epoch=STEPS - 2, verbose=0)
    assert history.epoch == [0, 1]
    with pytest.warns(UserWarning, match="the batches ended in epoch 1 of 3"):
        assert model().fit(pairs(X, Y), epochs=3, verbose=0).epoch == [0]
    assert model().fit(pairs(X, Y), epochs=1, verbose=0).epoch == [0]
    with pytest.warns(UserWarning, match="the batches ended in epoch 1 of 1"):
        model().fit(pairs(X, Y), steps_per_epoch=STEPS + 1, verbose=0)


def test_an_iterable_begins_anew() -> None:
    whole, ours = model(), model()
    whole.fit(X, Y, BATCH, 3, shuffle=False, verbose=0)
    ours.fit(Loader(X, Y), epochs=3, steps_per_epoch=STEPS, verbose=0)
    same_bits(whole.parameters, ours.parameters)


class MineError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 7])
def test_an_exception_of_a_source_ends_the_fit(at: int) -> None:
    def failing() -> Iterator[Any]:
        for number, batch in enumerate(pairs(X, Y)):
            if number == at:
                raise MineError("there")
            yield batch

    made = model()
    with pytest.raises(MineError, match="there") as raised:
        made.fit(failing(), verbose=0)
    assert "in failing" in "".join(traceback.format_tb(raised.value.__traceback__))
    if at:
        stepped = model()
        stepped.fit(X[: at * BATCH], Y[: at * BATCH], BATCH, shuffle=False, verbose=0)
        same_bits(stepped.parameters, made.parameters)
    made.fit(X, Y, verbose=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MineError])
def test_an_exception_of_a_hook_ends_the_thread(error: type[BaseException]) -> None:
    class Raising(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 3:
                raise error

    made, source = model(), forever(X, Y)
    with pytest.raises(error):
        made.fit(source, steps_per_epoch=50, verbose=0, callbacks=Raising())
    made.fit(source, steps_per_epoch=5, verbose=0)


def test_a_fit_may_stop_in_the_middle() -> None:
    class Stopping(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.model.stop_training = batch == 2

    made = model()
    history = made.fit(forever(X, Y), epochs=4, steps_per_epoch=9, verbose=0, callbacks=Stopping())
    assert history.epoch == [0]


def test_a_source_that_hangs_does_not_hold_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ahead, "PATIENCE_SECONDS", 0.05)
    goes_on = threading.Event()

    def hanging() -> Iterator[Any]:
        yield X[:BATCH], Y[:BATCH]
        goes_on.wait()

    class Stopping(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            raise MineError

    with pytest.raises(MineError):
        model().fit(hanging(), verbose=0, callbacks=Stopping())
    goes_on.set()


@pytest.mark.promises
def test_an_interrupt_at_any_line_leaves_a_usable_model_and_no_thread() -> None:
    def act(made: fw.Sequential) -> None:
        made.fit(Loader(X, Y), epochs=2, verbose=0, validation_data=Loader(X, Y))

    def check(made: fw.Sequential, finished: bool) -> None:
        assert np.isfinite(made.parameters).all()
        made.fit(Loader(X, Y), verbose=0)
        gc.collect()
        expect_no_thread()

    interrupted_everywhere(_without_noise, act, check)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_middle_does_not_hang() -> None:
    """The child has no thread that reads: it is told so, and can begin a fit of its own."""

    class Forking(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 3:
                self.child = os.fork()

    made, forking, parent = model(), Forking(), os.getpid()
    try:
        made.fit(forever(X, Y), epochs=2, steps_per_epoch=1000, verbose=0, callbacks=forking)
    except RuntimeError as error:
        if os.getpid() == parent:
            raise
        try:
            made.fit(Loader(X, Y), verbose=0)
            os._exit(0 if "forked" in str(error) else 1)
        finally:
            os._exit(2)
    finally:
        if os.getpid() != parent:
            os._exit(3)
    assert os.waitpid(forking.child, 0)[1] == 0


def test_two_fits_with_one_generator() -> None:
    source, made = forever(X, Y), model()
    for _ in range(2):
        made.fit(source, epochs=2, steps_per_epoch=STEPS, verbose=0)
    whole = model()
    for _ in range(2):
        whole.fit(X, Y, BATCH, 2, shuffle=False, verbose=0)
    same_bits(whole.parameters, made.parameters)


def test_a_source_is_always_in_one_thread() -> None:
    threads: set[int] = set()

    def watching() -> Iterator[Any]:
        for batch in forever(X, Y):
            threads.add(threading.get_ident())
            yield batch

    model().fit(watching(), epochs=3, steps_per_epoch=4, verbose=0)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_divergence_names_the_batch() -> None:
    batches = []
    for given in ((X, Y, BATCH), (pairs(X, Y),)):
        made = _without_noise()
        made.compile(fw.optimizers.SGD(1e9), "mse")
        before = made.parameters.copy()
        with pytest.raises(fw.DivergenceError) as raised:
            made.fit(*given, shuffle=False, verbose=0)
        batches.append(raised.value.batch)
        same_bits(before, made.parameters)
    assert batches[0] == batches[1] > 0


# ---- what does not fit ---------------------------------------------------------------------------


def _seventh(change: Callable[[Any, Any], tuple[Any, ...]]) -> Iterator[Any]:
    for number, (x, y) in enumerate(pairs(X, Y)):
        yield change(x, y) if number == 7 else (x, y)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y: (x[:, :4], y), r"x \(batch 7\): got shape \(16, 4\), expected shape"),
        (lambda x, y: (x, y[:-1]), r"y \(batch 7\): got 15 rows, expected"),
        (lambda x, y: (x[:0], y[:0]), r"x \(batch 7\): got shape \(0, 5\)"),
        (lambda x, y: (x * np.nan, y), r"x \(batch 7\): got 80 NaN or inf"),
        (lambda x, y: (x, None), r"y \(batch 7\): got None"),
        (lambda x, y: (x,), r"x \(batch 7\): got tuple of 1, expected \(x, y\)"),
        (lambda x, y: x, r"x \(batch 7\): got ndarray, expected \(x, y\)"),
        (lambda x, y: (x, y, x, y), r"x \(batch 7\): got tuple of 4, expected"),
        (lambda x, y: (x, y, W[:BATCH]), r"sample_weight \(batch 7\): got weights, expected"),
        (lambda x, y: (x.astype(str), y), r"x \(batch 7\): got the text"),
    ],
)
def test_a_batch_that_does_not_fit(change: Any, says: str) -> None:
    made, seven = model(), model()
    with pytest.raises((ValueError, TypeError), match=says):
        made.fit(_seventh(change), verbose=0)
    seven.fit(X[: 7 * BATCH], Y[: 7 * BATCH], BATCH, shuffle=False, verbose=0)
    same_bits(seven.parameters, made.parameters)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"y": Y}, "y: got ndarray, expected None, as x gives"),
        ({"sample_weight": W}, "sample_weight: got ndarray, expected None"),
        ({"batch_size": 8}, "batch_size: got 8, expected None"),
        ({"validation_split": 0.2}, r"validation_split: got 0\.2, expected 0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: got 0, expected at least 1"),
        ({"class_weight": "balanced"}, "class_weight: got 'balanced', expected a dict"),
        ({"validation_data": pairs(X, Y), "validation_batch_size": 3}, "validation_batch_size"),
        ({"validation_freq": 0}, "validation_freq: got 0"),
        ({"validation_data": iter(())}, "validation_data: got nothing, expected one batch"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: Any, says: str) -> None:
    made = model()
    before = made.parameters.copy()
    with pytest.raises((ValueError, TypeError), match=says):
        made.fit(pairs(X, Y), verbose=0, **arguments)
    same_bits(before, made.parameters)


@pytest.mark.parametrize("name", ["steps_per_epoch", "validation_steps"])
def test_steps_of_arrays_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: got 2, expected None, as a pass is all rows"):
        model().fit(X, Y, verbose=0, validation_data=(X, Y), **{name: 2})


def test_a_source_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="x: got nothing, expected one batch at least"):
        model().fit(iter(()), verbose=0)


def test_minimizers_want_all_rows() -> None:
    made = fw.Sequential([layers.Dense(3)], 5)
    made.compile(fw.optimizers.LBFGS(), "mse")
    with pytest.raises(ValueError, match="x: got data that come piece by piece"):
        made.fit(pairs(X, Y), verbose=0)


def test_validation_every_other_epoch() -> None:
    history = (
        model().fit(X, Y, epochs=5, verbose=0, validation_data=(X, Y), validation_freq=2).history
    )
    assert (len(history["loss"]), len(history["val_loss"])) == (5, 2)


# ---- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["indexed", "loader"])
def test_a_fit_goes_on_in_the_middle_of_an_epoch(kind: str, tmp_path: Any) -> None:
    class Saving(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            self.count += 1
            if self.count == STEPS + 5:
                self.model.save(tmp_path / "at.safetensors")
                raise MineError

        count = 0

    whole, first, second = model(), model(), model()
    expected = whole.fit(KINDS[kind](), epochs=3, verbose=0)
    with pytest.raises(MineError):
        first.fit(KINDS[kind](), epochs=3, verbose=0, callbacks=Saving())
    found = second.fit(KINDS[kind](), epochs=3, verbose=0, resume=tmp_path / "at.safetensors")
    same_bits(whole.parameters, second.parameters)
    assert found.history == expected.history


# ---- other libraries -----------------------------------------------------------------------------


def test_loaders_of_torch() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    whole, ours = model(), model()
    whole.fit(X, Y, BATCH, 2, shuffle=False, verbose=0)
    ours.fit(DataLoader(data, BATCH), epochs=2, verbose=0, validation_data=DataLoader(data, 50))
    same_bits(whole.parameters, ours.parameters)
    same_bits(whole.predict(X), ours.predict(DataLoader(data, 64)))


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    names = list("abcde")
    frame = pandas.DataFrame(X, columns=names)

    def frames() -> Iterator[Any]:
        for first in range(0, ROWS, BATCH):
            part = frame.iloc[first : first + BATCH]
            yield (part[names[::-1]] if first else part), Y[first : first + BATCH]

    whole, ours = model(), model()
    whole.fit(frame, Y, BATCH, shuffle=False, verbose=0)
    ours.fit(frames(), verbose=0)
    same_bits(whole.parameters, ours.parameters)
    with pytest.raises(ValueError, match="columns"):
        ours.predict(pandas.DataFrame(X, columns=list("vwxyz")))
