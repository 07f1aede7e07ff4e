"""Losses of one's own, written in NumPy: what they give, what is refused, and where they are."""

import os
import signal
import sys
import time

import numpy as np
import pytest
from helpers import run_python

import fastweights as fw
from fastweights import layers, losses

X = np.random.default_rng(0).standard_normal((40, 4))
Y = np.random.default_rng(1).standard_normal((40, 2))


def squares(y_true, y_pred):
    d = y_pred - y_true
    return (d**2).mean(axis=1), 2 * d / d.shape[1]


def fourth(y_true, y_pred):
    d = y_pred - y_true
    return (d**4).mean(axis=1), 4 * d**3 / d.shape[1]


def sparse_squares(labels, y_pred):
    """For labels: the square of 1 - p of the right class."""
    rows = np.arange(len(labels))
    d = y_pred[rows, labels.astype(int)] - 1
    gradient = np.zeros_like(y_pred)
    gradient[rows, labels.astype(int)] = 2 * d
    return d**2, gradient


class Scaled(losses.NumpyLoss):
    def __init__(self, factor=2.0):
        super().__init__()
        self._set(factor=factor)

    def call(self, y_true, y_pred):
        values, gradients = squares(y_true, y_pred)
        return self.factor * values, self.factor * gradients


def model_of(loss, metrics=(), dtype="float64", last=None, outputs=2, optimizer="adam"):
    stack = [layers.Dense(6, "tanh"), layers.Dense(outputs, last)]
    model = fw.Sequential(stack, 4, dtype, seed=0)
    model.compile(optimizer, loss, metrics)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squares_in_numpy_are_mse(dtype):
    close = {"rtol": 1e-12 if dtype == "float64" else 1e-5, "atol": 1e-7}
    own, known = model_of(squares, ["mae"], dtype), model_of("mse", ["mae"], dtype)
    histories = [one.fit(X, Y, 7, 3, verbose=0).history for one in (own, known)]
    for name in ("loss", "mae"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], **close)
    np.testing.assert_allclose(own.parameters, known.parameters, **close)
    np.testing.assert_allclose(own.evaluate(X, Y), known.evaluate(X, Y), **close)
    assert losses.FunctionLoss(squares)(Y, Y * 0) == pytest.approx((Y**2).mean())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "last", "outputs", "y"),
    [
        (fourth, None, 2, Y),
        (Scaled(3.0), "tanh", 2, Y),
        (losses.FunctionLoss(sparse_squares, ()), "softmax", 3, np.arange(40) % 3),
    ],
)
def test_gradients_are_right(loss, last, outputs, y, dtype):
    model = model_of(loss, dtype=dtype, last=last, outputs=outputs)
    report = fw.check_gradients(model, X[:9], y[:9], tolerance=1e-8)
    assert report.passed, report
    report = fw.check_loss(loss, y[:9], model.predict(X[:9]))
    assert report.passed, report


def test_a_wrong_gradient_is_found():
    def wrong(y_true, y_pred):
        values, gradients = fourth(y_true, y_pred)
        return values, gradients * [1.0, 1.01]

    report = fw.check_loss(wrong, Y, Y * 0.5)
    assert not report.passed
    assert report.worst.where[1] == 1
    assert not fw.check_gradients(model_of(wrong), X[:9], Y[:9]).passed


def test_rows_that_look_at_others_are_found():
    def centred(y_true, y_pred):
        d = y_pred - y_true - (y_pred - y_true).mean(axis=0)
        return (d**2).mean(axis=1), 2 * d / d.shape[1]

    with pytest.raises(ValueError, match=r"loss: got .* for row 0, and .* for it alone"):
        fw.check_loss(centred, Y, Y * 0.5)


@pytest.mark.parametrize("loss", ["mse", "kl_divergence", losses.GaussianNLL()])
def test_compiled_losses_are_checked_likewise(loss):
    y = np.abs(Y[:, :1]) if isinstance(loss, losses.GaussianNLL) else np.clip(np.abs(Y), 0.1, 0.9)
    assert fw.check_loss(loss, y, np.clip(np.abs(Y[::-1]), 0.2, 0.9)).passed
    with pytest.raises(TypeError, match="loss: got int"):
        fw.check_loss(3, Y, Y)


def test_the_same_bits_for_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    x, y = np.repeat(X, 40, axis=0), np.repeat(Y, 40, axis=0)
    found = []
    for threads in (1, 2, 3, 7):
        with fw.threads(threads):
            model = model_of(fourth, ["mae"])
            history = model.fit(x, y, 500, 2, verbose=0).history
            found.append([model.parameters.copy(), history["loss"], model.evaluate(x, y)])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_it_is_called_once_a_batch_by_the_callers_thread(monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    import threading

    calls = []

    def noting(y_true, y_pred):
        calls.append((len(y_pred), threading.get_ident(), y_true.dtype, y_pred.flags.writeable))
        y_pred[:] = y_true[:] = 7.0  # copies
        return np.zeros(len(y_pred)), np.zeros_like(y_pred)

    model = model_of(noting, dtype="float32")
    with fw.threads(4):
        model.fit(X, Y, 16, verbose=0)
        assert [rows for rows, *_ in calls] == [16, 16, 8]
        model.evaluate(np.repeat(X, 50, axis=0), np.repeat(Y, 50, axis=0))
    assert sum(rows for rows, *_ in calls[3:]) == 2000
    assert {thread for _, thread, *_ in calls} == {threading.get_ident()}
    assert {dtype for *_, dtype, _ in calls} == {np.dtype(np.float32)}


def two_headed():
    inputs = fw.Input((4,))
    hidden = layers.Dense(5, "tanh")(inputs)
    ends = [layers.Dense(2, name="a")(hidden), layers.Dense(3, "softmax", name="b")(hidden)]
    return fw.Model(inputs, ends, dtype="float64", seed=0)


def test_several_outputs():
    own, known = two_headed(), two_headed()
    labels = np.arange(40) % 3
    own.compile("adam", {"a": squares, "b": "sparse_categorical_crossentropy"}, loss_weights=[2, 1])
    known.compile("adam", {"a": "mse", "b": "sparse_categorical_crossentropy"}, loss_weights=[2, 1])
    histories = [one.fit(X, [Y, labels], 16, 2, verbose=0).history for one in (own, known)]
    for name, figures in histories[0].items():
        np.testing.assert_allclose(figures, histories[1][name], rtol=1e-10)
    assert fw.check_gradients(own, X[:6], [Y[:6], labels[:6]]).passed


@pytest.mark.parametrize("threads", [1, 3])
def test_only_steps_that_count_come(threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(3)
    x, y = random.standard_normal((20, 5, 3)), random.standard_normal((20, 5, 2))
    x[random.random((20, 5)) < 0.4] = 0.0
    seen = []

    def noting(y_true, y_pred):
        seen.append(y_pred.shape)
        return squares(y_true, y_pred)

    found = []
    with fw.threads(threads):
        for loss in (noting, "mse"):
            stack = [layers.Masking(), layers.Dense(4, "tanh"), layers.Dense(2)]
            model = fw.Sequential(stack, (5, 3), "float64", seed=0)
            model.compile("adam", loss)
            model.fit(x, y, 10, 2, verbose=0)
            found.append([model.evaluate(x, y), model.parameters])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9)
    told = int((x != 0).any(axis=2).sum())
    assert sum(rows for rows, _ in seen[:2]) == told
    assert {width for _, width in seen} == {2}


def test_series_without_a_mask_come_whole():
    shapes = []

    def noting(y_true, y_pred):
        shapes.append((y_true.shape, y_pred.shape))
        return ((y_pred - y_true) ** 2).mean(axis=(1, 2)), (y_pred - y_true) / 5

    model = fw.Sequential([layers.Dense(2)], (5, 3), "float64", seed=0)
    model.compile("adam", noting)
    x, y = np.ones((6, 5, 3)), np.zeros((6, 5, 2))
    assert fw.check_gradients(model, x, y).passed
    assert shapes[0] == ((6, 5, 2), (6, 5, 2))
    model.compile("adam", noting, ["categorical_accuracy"])
    with pytest.raises(ValueError, match=r"metrics: got metrics of classes beside noting"):
        model.evaluate(x, y)


# ---- what a function gives -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda t, p: 1.0, TypeError, r"loss made: got .*, expected losses of shape \(8,\) and"),
        (lambda t, p: None, TypeError, "loss made: got NoneType"),
        (lambda t, p: ((p - t) ** 2).mean(axis=1), TypeError, "loss made: got "),
        (lambda t, p: (1.0, p), ValueError, r"losses of loss made: got shape \(\), .* of each row"),
        (lambda t, p: (p[:, :1], p), ValueError, r"losses of loss made: got shape \(8, 1\)"),
        (lambda t, p: (p[:, 0], p[0]), ValueError, r"gradients of loss made: got shape \(2,\)"),
        (lambda t, p: (p[:, 0], p.T), ValueError, r"gradients of loss made: got shape \(2, 8\)"),
        (lambda t, p: (p[:, 0], p, p), TypeError, "loss made: got 3 values"),
        (lambda t, p: (p[:, 0], p * 1j), TypeError, "gradients of loss made: got"),
        (lambda t, p: (["a"] * 8, p), TypeError, "losses of loss made: got"),
        (
            lambda t, p: (p[:, 0], p * np.nan),
            ValueError,
            "gradients of loss made: got nan in row 0",
        ),
        (
            lambda t, p: (p[:, 0], p * np.inf),
            ValueError,
            "gradients of loss made: got -?inf in row",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_step(made, error, message):
    made.__name__ = "made"
    model = model_of(made)
    before = model.parameters.copy()
    for call in (model.fit, model.train_on_batch, model.loss_and_gradients):
        with pytest.raises(error, match=message):
            call(X[:8], Y[:8])
        np.testing.assert_array_equal(model.parameters, before)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)


def test_a_loss_that_is_not_finite_diverges_as_any_other():
    model = model_of(lambda t, p: (np.full(len(p), np.nan), np.full(p.shape, np.nan)))
    before = model.parameters.copy()
    with pytest.raises(fw.DivergenceError, match="the loss became nan"):
        model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.parameters, before)


def test_lists_and_other_layouts_are_taken():
    def made(y_true, y_pred):
        values, gradients = squares(y_true, y_pred)
        return values.astype(np.float32).tolist(), np.asfortranarray(gradients)

    known = model_of("mse")
    found = model_of(made).loss_and_gradients(X, Y)[1]
    np.testing.assert_allclose(found, known.loss_and_gradients(X, Y)[1], rtol=1e-12)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("mine"), KeyboardInterrupt(), SystemExit(3), MemoryError()]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_ends_the_call_before_its_step(error, threads, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    calls = []

    def raising(y_true, y_pred):
        calls.append(len(y_pred))
        if len(calls) == 3:
            raise error
        return squares(y_true, y_pred)

    model, exact = model_of(raising), model_of(squares)
    with fw.threads(threads):
        with pytest.raises(type(error)) as caught:
            model.fit(X, Y, 8, verbose=0, shuffle=False)
        assert caught.value is error
        exact.fit(X[:16], Y[:16], 8, verbose=0, shuffle=False)
        np.testing.assert_array_equal(model.parameters, exact.parameters)
        for one in (model, exact):
            one.fit(X, Y, 8, verbose=0, shuffle=False)
        np.testing.assert_array_equal(model.predict(X), exact.predict(X))
    calls.clear()
    calls += [0, 0]
    with pytest.raises(type(error)):
        model.evaluate(X, Y)


@pytest.mark.skipif(sys.platform == "win32", reason="signals by kill")
def test_ctrl_c_in_a_function():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(y_true, y_pred):
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(100)
        calls.append(len(y_pred))
        return squares(y_true, y_pred)

    calls, model, exact = [], model_of(interrupted), model_of(squares)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, 8, verbose=0, shuffle=False)
    finally:
        signal.signal(signal.SIGINT, before)
    exact.fit(X[:16], Y[:16], 8, verbose=0, shuffle=False)
    np.testing.assert_array_equal(model.parameters, exact.parameters)


@pytest.mark.parametrize("inner", ["predict", "evaluate", "fit", "copy", "get_weights"])
def test_a_call_of_the_same_model_is_refused(inner):
    def calling(y_true, y_pred):
        getattr(model, inner)(*{"predict": (X,), "evaluate": (X, Y), "fit": (X, Y)}.get(inner, ()))

    model = model_of(calling)
    for call in (model.fit, model.evaluate):
        with pytest.raises(RuntimeError, match="in the middle of"):
            call(X, Y)
    assert np.isfinite(model.predict(X)).all()


FORKS = """
import os
import numpy as np
import fastweights as fw
from fastweights import layers

def forks(y_true, y_pred):
    if not children:
        children.append(os.fork())
    return np.zeros(len(y_pred)), np.zeros_like(y_pred)

children = []
x = np.ones((40, 4))
model = fw.Sequential([layers.Dense(4), layers.Dense(2)], 4, seed=0)
model.compile("sgd", forks)
with fw.threads(4):
    try:
        model.fit(x, x[:, :2], 8, verbose=0)
        assert children[0] != 0
    except RuntimeError as error:
        assert children == [0] and "a loss's own function has forked" in str(error), error
        model.fit(x, x[:, :2], 8, verbose=0)
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
print("both")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_a_function():
    done = run_python(FORKS, FASTWEIGHTS_GRAIN="0", FASTWEIGHTS_NUM_THREADS="4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "both\n"


# ---- targets and settings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (Y[:, :1], ValueError, r"y: got shape \(40, 1\), .*\(rows, 2\); losses.FunctionLoss\("),
        (Y[:, 0], ValueError, r"y: got shape \(40,\), expected shape \(rows, 2\)"),
        (Y[:39], ValueError, "y: got 39 rows, expected as many as there are inputs, 40"),
        (Y * np.nan, ValueError, "y: got 80 NaN or inf"),
        (np.full((40, 2), "a"), TypeError, "y: got"),
    ],
)
def test_targets_that_do_not_fit(y, error, message):
    with pytest.raises(error, match=message):
        model_of(squares).fit(X, y, verbose=0)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2), (7,)])
def test_targets_of_another_shape(shape):
    seen = []

    def noting(y_true, y_pred):
        seen.append(y_true)
        return (y_pred**2).mean(axis=1), y_pred

    y = np.random.default_rng(4).standard_normal((40, *shape))
    model = model_of(losses.FunctionLoss(noting, shape))
    assert fw.check_gradients(model, X[:5], y[:5]).passed
    seen.clear()
    model.fit(X, y, 40, verbose=0, shuffle=False)
    np.testing.assert_array_equal(seen[0], y)
    with pytest.raises(ValueError, match=r"metrics: got '.*' beside the loss noting"):
        model.compile("adam", losses.FunctionLoss(noting, shape), ["mae"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.FunctionLoss(3), TypeError, "function: got 3, expected a function"),
        (lambda: losses.FunctionLoss(losses.Huber), TypeError, "function: got"),
        (lambda: losses.FunctionLoss(lambda p: p), TypeError, r"function: got one of \(p\)"),
        (lambda: losses.FunctionLoss(squares, 3), TypeError, "target_shape: got 3"),
        (lambda: losses.FunctionLoss(squares, (0,)), ValueError, "target_shape: got 0"),
        (lambda: model_of(abs), TypeError, r"loss: got one of"),
        (lambda: losses.NumpyLoss(), TypeError, "abstract"),
        (lambda: fw.register_loss("a>b"), ValueError, "package: got 'a>b'"),
        (lambda: fw.register_loss()(3), TypeError, "register_loss: got int"),
        (lambda: fw.register_loss()(losses.Huber), TypeError, "register_loss: got"),
        (lambda: fw.register_loss()(lambda p: p), TypeError, "function: got one of"),
    ],
)
def test_what_is_no_loss_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- saving --------------------------------------------------------------------------------------


@pytest.fixture
def registered():
    """Losses that files know, for as long as the test lasts."""
    known = losses.own.REGISTERED
    before = dict(known)
    fw.register_loss("tests")(fourth)
    fw.register_loss("tests", "scaled")(Scaled)
    fw.register_loss("tests")(sparse_squares)
    yield
    known.clear()
    known.update(before)


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        (fourth, Y, 2),
        (Scaled(3.0), Y, 2),
        (losses.FunctionLoss(sparse_squares, ()), np.arange(40) % 3, 3),
    ],
)
def test_saved_and_loaded_it_goes_on(registered, loss, y, outputs, tmp_path):
    model = model_of(loss, outputs=outputs)
    model.fit(X, y, 8, verbose=0)
    model.save(tmp_path / "a.safetensors")
    again = fw.load(tmp_path / "a.safetensors")
    assert again.loss == model.loss
    for one in (model, again):
        one.fit(X, y, 8, 2, verbose=0)
    np.testing.assert_array_equal(model.parameters, again.parameters)


def test_several_outputs_are_saved(registered, tmp_path):
    inputs = fw.Input((4,))
    model = fw.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(2)(inputs)], seed=0)
    model.compile("adam", [fourth, "mse"])
    model.fit(X, [Y, Y], verbose=0)
    model.save(tmp_path / "a.safetensors")
    assert fw.load(tmp_path / "a.safetensors").loss == model.loss


def test_custom_objects(registered, tmp_path):
    model = model_of(fourth)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "a.safetensors")
    losses.own.REGISTERED.clear()
    with pytest.raises(ValueError, match=r"loss: got 'tests>fourth', expected a loss that is reg"):
        fw.load(tmp_path / "a.safetensors")
    for name in ("fourth", "tests>fourth"):
        again = fw.load(tmp_path / "a.safetensors", {name: fourth})
        assert again.evaluate(X, Y) == model.evaluate(X, Y)
    with pytest.raises(TypeError, match="custom_objects: got 'fourth': 3"):
        fw.load(tmp_path / "a.safetensors", {"fourth": 3})


def test_what_is_not_registered_is_copied_but_not_saved(tmp_path):
    model = model_of(lambda t, p: squares(t, p))
    model.fit(X, Y, verbose=0)
    with pytest.raises(
        TypeError, match=r"save: got the loss <lambda> of your own, .*register_loss"
    ):
        model.save(tmp_path / "a.safetensors")
    model.save_weights(tmp_path / "a.safetensors")
    twin = model.copy()
    for one in (model, twin):
        one.fit(X, Y, 8, verbose=0)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_names_are_of_one_loss(registered):
    with pytest.raises(ValueError, match="one name for a class"):
        fw.register_loss("others")(fourth)
    with pytest.raises(ValueError, match="one class for a name"):
        fw.register_loss("tests", "fourth")(squares)
    fw.register_loss("tests")(fourth)  # again
    assert losses.get({"name": "tests>fourth"}) == losses.FunctionLoss(fourth)


# ---- weights -------------------------------------------------------------------------------------


def test_weights_count_as_in_a_compiled_loss():
    weights = np.arange(40) % 4.0
    own, known = model_of(squares, ["mae"]), model_of("mse", ["mae"])
    for one in (own, known):
        one.fit(X, Y, 16, 2, verbose=0, sample_weight=weights)
    np.testing.assert_allclose(own.parameters, known.parameters, rtol=1e-9)
    found = [one.evaluate(X, Y, sample_weight=weights) for one in (own, known)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_weights_of_steps_cut_rows_into_steps():
    x, y = np.ones((6, 5, 3)) * np.arange(6)[:, None, None], np.zeros((6, 5, 2))
    weights = np.arange(30.0).reshape(6, 5)
    found = []
    for loss in (squares, "mse"):
        model = fw.Sequential([layers.Dense(2)], (5, 3), "float64", seed=0)
        model.compile("adam", loss)
        model.fit(x, y, 3, verbose=0, sample_weight=weights, shuffle=False)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
