"""Sources of batches that end too early, never, or are none: what is said of them."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import expect_no_thread, same_bits

import fastweights as fw
from fastweights import _batches, callbacks, layers

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3)).astype(np.float32)
Y = RANDOM.standard_normal((40, 1)).astype(np.float32)
SIZE, STEPS = 8, 5


def model(seed: int = 0) -> fw.Sequential:
    made = fw.Sequential([layers.Dense(4, "tanh"), layers.Dense(1)], 3, seed=seed)
    made.compile("adam", "mse")
    return made


def pairs(*arrays: Any) -> Iterator[Any]:
    for first in range(0, len(arrays[0]), SIZE):
        yield tuple(array[first : first + SIZE] for array in arrays)


def forever() -> Iterator[Any]:
    while True:
        yield from pairs(X, Y)


class Sized:
    def __init__(self, length: Any = STEPS) -> None:
        self.length = length

    def __len__(self) -> Any:
        return self.length

    def __getitem__(self, number: int) -> Any:
        return X[:SIZE], Y[:SIZE]


class Unsized:
    def __getitem__(self, number: int) -> Any:
        return X[:SIZE], Y[:SIZE]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    expect_no_thread()


def test_passes_with_fewer_batches_than_were_wanted() -> None:
    ours = model()
    with pytest.warns(UserWarning, match=r"x: the batches ended after 5 of 7, .*; steps is how"):
        found = ours.evaluate(pairs(X, Y), steps=7)
    assert found == ours.evaluate(X, Y)
    with pytest.warns(UserWarning, match="x: the batches ended after 5 of 6"):
        assert len(ours.predict(pairs(X), steps=6)) == 40
    with pytest.warns(UserWarning, match=r"validation_data: .* after 5 of 8, .*; validation_steps"):
        ours.fit(X, Y, validation_data=pairs(X, Y), validation_steps=8, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.evaluate(pairs(X, Y), steps=5)
        ours.predict(next(pairs(X, Y))[0])


def test_validation_that_has_nothing_left_ends_the_fit() -> None:
    ours = model()
    told = "validation_data: the batches ended in epoch 1 of 9, and so does the fit; validation_st"
    with pytest.warns(UserWarning, match=told):
        history = ours.fit(X, Y, validation_data=pairs(X, Y), epochs=9, verbose=0).history
    assert [len(figures) for figures in history.values()] == [1, 1]
    with pytest.warns(UserWarning, match="validation_data: the batches ended in epoch 2 of 2"):
        history = ours.fit(
            X, Y, validation_data=pairs(X, Y), validation_steps=5, epochs=2, verbose=0
        ).history
    assert [len(history[name]) for name in ("loss", "val_loss")] == [2, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epochs, often in ((1, 1), (3, 2)):
            history = ours.fit(
                X, Y, validation_data=pairs(X, Y), epochs=epochs, validation_freq=often, verbose=0
            ).history
            assert [len(history[name]) for name in ("loss", "val_loss")] == [epochs, 1]


def test_batches_of_which_no_row_counts() -> None:
    def weighed(weights: np.ndarray) -> Iterator[Any]:
        return pairs(X, Y, weights)

    ours, none = model(), np.zeros(40)
    some = none.copy()
    some[-1] = 1.0
    for call in (
        lambda weights: ours.fit(weighed(weights), verbose=0),
        lambda weights: ours.evaluate(weighed(weights)),
    ):
        call(some)
        with pytest.raises(ValueError, match=r"^sample_weight: got 40 rows of weight 0"):
            call(none)
    with pytest.raises(ValueError, match=r"^validation sample_weight: got 40 rows of weight 0"):
        ours.fit(X, Y, validation_data=weighed(none), verbose=0)


def test_a_pass_without_an_end_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batches, "MANY_BATCHES", 100)

    def long(batches: int) -> Iterator[Any]:
        for _ in range(batches):
            yield X[:SIZE], Y[:SIZE]

    ours = model()
    with pytest.warns(UserWarning, match="x: .* batches came in one pass, and no end.*, steps_per"):
        ours.fit(long(5000), verbose=0)
    with pytest.warns(UserWarning, match=r"x: .* batches came in one pass, .*, steps must say"):
        ours.evaluate(long(5000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.fit(long(3000), steps_per_epoch=3000, verbose=0)
        ours.fit(Sized(3000), verbose=0)


NO_DATA: dict[str, tuple[Any, str]] = {
    "function": (forever, r"the function forever, .*; call it: forever\(\.\.\.\)"),
    "class": (Sized, r"the class Sized, .*; Sized\(\.\.\.\) makes an object"),
    "no length": (Unsized(), "an object of Unsized, which has __getitem__ and no __len__"),
    "csv": ("rows.csv", r"the text 'rows.csv', .*; pandas.read_csv\('rows.csv'\)"),
    "parquet": (Path("rows.parquet"), r"the text 'rows.parquet', .*; fw.data.Parquet\("),
    "npz": ("rows.npz", r"the text 'rows.npz', .*; np.load\('rows.npz'\)"),
    "several": (["a.csv", "b.csv"], r"texts, the first 'a.csv', .*; pandas.read_csv\('a.csv'\)"),
    "folder": (".", "the text '.', .*; it is a folder: fw.images.load_folder"),
    "other file": (Path("rows.xlsx"), "the text 'rows.xlsx', .*; read the file first"),
    "column": ("price", r"the text 'price', .*; a frame's column comes as itself"),
}


@pytest.mark.parametrize("what", NO_DATA)
def test_what_stands_for_data_and_is_none(what: str) -> None:
    given, told = NO_DATA[what]
    ours = model()
    calls: list[Callable[[], Any]] = [
        lambda: ours.fit(given),
        lambda: ours.fit(given, Y),
        lambda: ours.evaluate(given),
        lambda: ours.predict(given),
        lambda: ours.train_on_batch(given, Y),
        lambda: fw.fit_many([ours], given, Y),
        lambda: fw.find_learning_rate(ours, given, Y),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=f"^x: got {told}"):
            call()
    with pytest.raises(TypeError, match=f"^y: got {told}"):
        ours.fit(X, given)
    with pytest.raises((TypeError, ValueError), match=r"^validation(_data| x): got"):
        ours.fit(X, Y, validation_data=given)


def test_files_where_no_file_is_opened(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npy")
    np.save(path, X)
    for call in (fw.Ensemble([model()]).fit, lambda x, y: fw.find_learning_rate(model(), x, y)):
        with pytest.raises(TypeError, match=r"^x: got the text .*; np.load\(.*, mmap_mode='r'\)"):
            call(path, Y)


def test_lengths_that_are_none() -> None:
    for length in (2.5, "7", None):
        with pytest.raises(TypeError, match=f"^x: got a length of {length!r}, expected a whole"):
            model().fit(Sized(length))
    with pytest.raises(ValueError, match=r"^x: got a length of -1"):
        model().fit(Sized(-1))
    with pytest.raises(ValueError, match=r"^steps_per_epoch: got 20, expected at most 5"):
        model().fit(Sized(), steps_per_epoch=20)
    model().fit(Sized(np.int64(3)), verbose=0)


def test_several_models_want_arrays() -> None:
    for call in (
        lambda: fw.fit_many([model()], forever(), None),
        lambda: fw.Ensemble([model()]).fit(Sized(), None),
        lambda: fw.sweep(lambda seed: model(), {"seed": [1]}, forever(), None),
    ):
        with pytest.raises(TypeError, match=r"^x: got .*, expected arrays .*; model.fit takes"):
            call()
    with pytest.raises(TypeError, match=r"^validation_data: got generator, expected arrays"):
        fw.fit_many([model()], X, Y, validation_data=forever())


def test_files_of_fits_of_the_other_kind(tmp_path: Path) -> None:
    class Saving(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                self.model.save(tmp_path / "middle.safetensors")

    resume = tmp_path / "middle.safetensors"
    model().fit(X, Y, SIZE, shuffle=False, verbose=0, callbacks=[Saving()])
    with pytest.raises(ValueError, match=r"^x: got batches that come as they are, expected arrays"):
        model().fit(pairs(X, Y), resume=resume, verbose=0)
    model().fit(pairs(X, Y), verbose=0, callbacks=[Saving()])
    with pytest.raises(ValueError, match=r"^x: got arrays, expected batches that come as they are"):
        model().fit(X, Y, SIZE, shuffle=False, resume=resume, verbose=0)


# ---- ensembles -----------------------------------------------------------------------------------


class Listed:
    """Whose rows come in another order each time."""

    random = np.random.default_rng(1)

    def __iter__(self) -> Iterator[Any]:
        self.order = self.random.permutation(40)
        return pairs(X[self.order], Y[self.order])


def test_an_ensemble_reads_each_batch_once() -> None:
    ensemble = fw.Ensemble([model(seed) for seed in range(3)])
    mean, std = ensemble.predict(X, return_std=True)
    found = ensemble.predict(pairs(X, Y), return_std=True)
    same_bits(found[0], mean)
    same_bits(found[1], std)
    same_bits(ensemble.predict(forever(), steps=2), mean[: 2 * SIZE])
    rows = Listed()
    same_bits(ensemble.predict(rows), mean[rows.order])
    for ours, alone in zip(ensemble.predict_each(pairs(X)), ensemble.predict_each(X), strict=True):
        same_bits(ours, alone)
    there = ensemble.evaluate(X, Y)
    assert ensemble.evaluate(pairs(X, Y)) == pytest.approx(there, rel=1e-6)
    assert ensemble.evaluate(Listed()) == pytest.approx(there, rel=1e-6)
    assert ensemble.evaluate(forever(), steps=5) == pytest.approx(there, rel=1e-6)
    with pytest.raises(ValueError, match="steps: got 2, expected None"):
        ensemble.predict(X, steps=2)
    wide = fw.Sequential([layers.Dense(1)], 3, "float64")
    with pytest.raises(ValueError, match=r"x: got batches for models 0 and 1, .* different dtypes"):
        fw.Ensemble([model(), wide]).predict(pairs(X))


def test_an_ensemble_of_two_outputs_is_evaluated_on_batches() -> None:
    def made(seed: int) -> fw.Model:
        x = fw.Input(3)
        found = fw.Model(x, {"p": layers.Dense(1)(x), "q": layers.Dense(2)(x)}, seed=seed)
        found.compile("adam", "mse", {"p": ["mae"]})
        return found

    ensemble = fw.Ensemble([made(seed) for seed in range(2)])
    y = {"p": Y, "q": X[:, :2]}
    batches = [(x, {"p": p, "q": x[:, :2]}) for x, p in pairs(X, Y)]
    there = ensemble.evaluate(X, y, return_dict=True)
    assert ensemble.evaluate(iter(batches), return_dict=True) == pytest.approx(there, rel=1e-6)
    answers = ensemble.predict(iter(batches))
    for name, answer in ensemble.predict(X).items():
        same_bits(answers[name], answer)


# ---- fits that go on, and fits that are stopped --------------------------------------------------


@pytest.mark.parametrize("steps", [3, 7])
def test_epochs_of_some_batches_of_an_iterable_go_on_from_a_file(
    steps: int, tmp_path: Path
) -> None:
    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return pairs(X, Y)

    class Saving(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.save(tmp_path / f"{self.model._place_in_fit().epoch}.{batch}.safetensors")

    def fit(**settings: Any) -> fw.Sequential:
        made = model()
        made.fit(Loader(), epochs=4, steps_per_epoch=steps, verbose=0, **settings)
        return made

    whole = fit(callbacks=[Saving()])
    for file in ("0.1", "2.0", "2.2", "3.1"):
        again = fit(resume=tmp_path / f"{file}.safetensors")
        same_bits(again.parameters, whole.parameters)


def test_the_first_batch_is_copied_before_other_sources_are_looked_at() -> None:
    x, y = np.empty((SIZE, 3), np.float32), np.empty((SIZE, 1), np.float32)

    def shared(factor: float) -> Iterator[Any]:
        for a, b in pairs(X, Y):
            x[:], y[:] = a * factor, b
            yield x, y

    ours, alone = model(), model()
    alone.fit(pairs(X, Y), verbose=0)
    ours.fit(shared(1.0), verbose=0, validation_data=shared(1e6))
    same_bits(ours.parameters, alone.parameters)


def test_a_fit_that_is_stopped_asks_for_no_more() -> None:
    asked = []

    def slow() -> Iterator[Any]:
        for number in range(5):
            asked.append(number)
            if number == 2:
                expect_stopped.wait(10.0)
                raise RuntimeError("the source broke")
            time.sleep(0.01)  # one that comes slowly is handed over at once
            yield X[:SIZE], Y[:SIZE]

    class Stopping(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                self.model.stop_training = True
                expect_stopped.set()

    expect_stopped = threading.Event()
    history = model().fit(slow(), steps_per_epoch=5, verbose=0, callbacks=[Stopping()])
    assert len(history.history["loss"]) == 1


def test_an_order_that_does_not_fit_in_memory() -> None:
    ours, huge = model(), Sized(10**15)
    with pytest.raises(ValueError, match="shuffle: got True for 1,000,000,000,000,000 batches"):
        ours.fit(huge, steps_per_epoch=2, verbose=0)
    ours.fit(huge, steps_per_epoch=2, shuffle=False, verbose=0)


def test_settings_of_a_validation_that_there_is_not() -> None:
    for settings in ({"validation_batch_size": 5}, {"validation_freq": 2}):
        (name,) = settings
        with pytest.raises(
            ValueError, match=f"^{name}: got ., expected .* without validation_data"
        ):
            model().fit(X, Y, verbose=0, **settings)
        model().fit(X, Y, verbose=0, validation_split=0.5, **settings)


def test_warnings_point_to_the_line_that_called() -> None:
    ours = model()
    calls: list[Callable[[], Any]] = [
        lambda: ours.fit(pairs(X, Y), epochs=2, verbose=0),
        lambda: ours.evaluate(pairs(X, Y), steps=9),
        lambda: ours.fit(X, Y, epochs=2, validation_data=pairs(X, Y), verbose=0),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="the batches ended") as told:
            call()
        assert [warning.filename for warning in told] == [__file__]


def test_files_of_several_outputs(tmp_path: Path) -> None:
    x = fw.Input(3)
    made = fw.Model(x, {"p": layers.Dense(1)(x), "q": layers.Dense(1)(x)}, seed=0)
    made.compile("sgd", "mse")
    path = tmp_path / "y.npy"
    np.save(path, Y)
    there = made.evaluate(X, {"p": Y, "q": Y})
    assert made.evaluate(X, {"p": str(path), "q": str(path)}) == there
    assert made.evaluate(X, [[path], [path]]) == there


def test_a_generator_that_forks_leaves_a_child_that_ends() -> None:
    children: list[int] = []

    def forking() -> Iterator[Any]:
        for batch in pairs(X, Y):
            if not children:
                child = os.fork()
                if child:
                    children.append(child)
                    yield batch
                    continue
            yield batch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks of processes with threads
        model().fit(forking(), verbose=0)
    for _ in range(200):
        ended, _status = os.waitpid(children[0], os.WNOHANG)
        if ended:
            return
        time.sleep(0.05)
    os.kill(children[0], signal.SIGKILL)
    os.waitpid(children[0], 0)
    pytest.fail("the child waits for ever")


@pytest.mark.parametrize(
    "call",
    [
        lambda model, batches: model.train_on_batch(batches, Y),
        lambda model, batches: fw.find_learning_rate(model, batches, None),
        lambda model, batches: fw.permutation_importance(model, batches, Y),
        lambda model, batches: fw.fit_many([model], batches, Y),
        lambda model, batches: fw.Ensemble([model]).fit(batches, Y),
    ],
)
def test_batches_that_end_by_no_error_where_rows_are_wanted(call) -> None:
    class Loader:
        def __len__(self):
            return 10

        def __getitem__(self, number):
            return X[10 * number :][:10], Y[10 * number :][:10]

    with pytest.raises(TypeError, match=r"^x: got .*Loader.*model\.fit takes"):
        call(model(), Loader())


def test_rows_by_number_end_with_the_length() -> None:
    class Rows:
        def __len__(self):
            return len(X)

        def __getitem__(self, number):
            return X[number % len(X)]

    assert model().train_on_batch(Rows(), Y) == model().train_on_batch(X, Y)
