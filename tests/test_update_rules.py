"""Every optimizer's rule: 1,000 steps against plain NumPy, extreme gradients, files, threads."""

import math

import numpy as np
import pytest
import truth
from helpers import data, network, same_bits
from reference_updates import CASES, Decayed

import fastweights as fw
from fastweights import layers, optimizers
from fastweights.optimizers import Memory

#: One of each kernel.
KERNELS = {optimizer.kernel: optimizer for optimizer, _ in reversed(CASES.values())}
#: Those whose steps are as large as the learning rate says, however large gradients are.
THAT_SCALE = {
    kernel: optimizer
    for kernel, optimizer in KERNELS.items()
    if kernel not in ("sgd", "momentum", "nesterov")
}
#: Those that have something to remember which decays.
THAT_FORGET = {
    kernel: optimizer
    for kernel, optimizer in KERNELS.items()
    if kernel not in ("sgd", "adagrad", "rprop")
}


def with_decay(optimizer, weight_decay):
    return optimizers.get({**optimizer.config(), "weight_decay": weight_decay})


class Stepper:
    """Steps of one optimizer by the kernels of one level, on arrays of its own."""

    def __init__(self, optimizer, w, level=truth.LEVELS[-1]):
        self.optimizer, self.w = optimizer, w.copy()
        self.memory = Memory.empty(optimizer, w.size, w.dtype)
        self.kernels = truth.kernels(level, w.dtype.name)

    def step(self, g):
        arrays = (self.w, g, self.memory.vectors)
        self.kernels.apply_update(
            self.optimizer.kernel,
            *(array.ctypes.data for array in arrays),
            self.w.size,
            self.memory.numbers.ctypes.data,
        )
        return self.w


def gradients(steps, size, seed=0):
    """Of any size, with zeros and turns."""
    random = np.random.default_rng(seed)
    found = random.standard_normal((steps, size)) * 10.0 ** random.uniform(-3, 1, (steps, size))
    found[random.random((steps, size)) < 0.1] = 0.0
    return found + 0.3 * random.standard_normal(size)


@pytest.mark.parametrize("weight_decay", [None, 0.3])
@pytest.mark.parametrize("name", CASES)
def test_1000_steps_are_those_of_numpy(name, weight_decay):
    optimizer, rule = CASES[name]
    oracle = rule()
    if weight_decay is not None:
        optimizer = with_decay(optimizer, weight_decay)
        oracle = getattr(oracle, "rule", oracle)  # which may have another decay
        oracle = Decayed(oracle, optimizer.learning_rate, weight_decay)
    model = network((6, 5, 2), optimizer=optimizer)
    expected = model.parameters.copy()
    for g in gradients(1000, expected.size):
        model.gradients[:] = g
        model.apply_gradients()
        expected = oracle.step(expected, g)
    error = np.abs(model.parameters - expected).max()
    assert error <= 1e-10 * np.abs(expected).max(), error


@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("kernel", THAT_SCALE)
def test_no_gradient_is_too_large_or_too_small(kernel, dtype):
    """Weights stay finite, and what is remembered does, and no step is out of all proportion."""
    info = np.finfo(dtype)
    sizes = np.array([info.max, info.max / 1e3, 1e30, 1e20, 1e19, 1e10, 1e-18, 1e-20, 1e-22, 1e-30])
    sizes = np.concatenate([sizes, [info.tiny, info.smallest_subnormal, 0.0]]).astype(dtype)
    for epsilon in (None, 1e-60):
        optimizer = THAT_SCALE[kernel]
        if epsilon is not None:
            if "epsilon" not in optimizer.config():
                continue
            optimizer = optimizers.get({**optimizer.config(), "epsilon": epsilon})
        constant, turning, once = (Stepper(optimizer, np.ones_like(sizes)) for _ in range(3))
        for t in range(60):
            constant.step(sizes)
            turning.step(sizes if t % 3 else -sizes)
            once.step(sizes if t == 0 else np.zeros_like(sizes))
            for stepper in (constant, turning, once):
                assert np.isfinite(stepper.memory.vectors).all(), (t, stepper.memory.vectors)
                assert np.isfinite(stepper.w).all(), (t, stepper.w)
        assert constant.w[-1] == turning.w[-1] == once.w[-1] == 1.0


@pytest.mark.parametrize("name", CASES)
def test_float32_is_near_the_oracle_for_gradients_of_any_size(name):
    """From the least whose square is a number to the largest one, and back."""
    optimizer, rule = CASES[name]
    if optimizer.kernel not in THAT_SCALE:
        pytest.skip("its steps are as large as gradients")
    random = np.random.default_rng(0)
    oracle, w = rule(), random.standard_normal(40).astype(np.float32)
    stepper, expected = Stepper(optimizer, w), w.astype(float)
    size = 10.0 ** np.concatenate([np.linspace(-16, 18, 40)])
    for _ in range(30):
        g = (size * random.uniform(0.5, 2.0, 40) * random.choice([-1, 1], 40)).astype(np.float32)
        found = stepper.step(g).astype(float)
        expected = oracle.step(expected, g.astype(float))
        largest = max(1.0, np.abs(expected).max())
        assert np.abs(found - expected).max() <= 1e-5 * largest


@pytest.mark.parametrize("level", truth.LEVELS)
@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_bad_gradient_leaves_no_good_weight(kernel, dtype, level):
    bad = np.array([math.nan, math.inf, -math.inf, 1.0], dtype)
    stepper = Stepper(KERNELS[kernel], np.zeros(4, dtype), level)
    for _ in range(2):
        np.testing.assert_array_equal(np.isfinite(stepper.step(bad)), [False] * 3 + [True])


@pytest.mark.parametrize("decay", [None, 0.1])
@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_level_gives_the_same_bits(kernel, dtype, decay):
    optimizer = with_decay(KERNELS[kernel], decay)
    random = np.random.default_rng(1)
    w = random.standard_normal(75).astype(dtype)
    steppers = [Stepper(optimizer, w, level) for level in truth.FUSED]
    for g in gradients(20, 75).astype(dtype):
        for stepper in steppers:
            stepper.step(g)
    for stepper in steppers[1:]:
        same_bits(stepper.w, steppers[0].w)
        same_bits(stepper.memory.vectors, steppers[0].memory.vectors)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_piece_of_the_parameters_moves_as_all_of_them(kernel):
    """Places in the vector have no part in a step: neither its beginning nor its end."""
    random = np.random.default_rng(1)
    w = random.standard_normal(150)
    whole, steps = Stepper(KERNELS[kernel], w), gradients(3, 150)
    for g in steps:
        whole.step(g)
    for begin, end in ((0, 1), (3, 20), (64, 150), (149, 150)):
        part = Stepper(KERNELS[kernel], w[begin:end])
        for g in steps:
            part.step(g[begin:end].copy())
        same_bits(part.w, whole.w[begin:end].copy())


def subnormals(numbers):
    size = np.abs(numbers)
    return int(((size > 0) & (size < np.finfo(numbers.dtype).tiny)).sum())


@pytest.mark.parametrize("kernel", THAT_FORGET)
@pytest.mark.parametrize("dtype", truth.DTYPES)
def test_memory_of_past_gradients_ends_at_0(kernel, dtype):
    w = np.random.default_rng(0).standard_normal(60).astype(dtype)
    stepper = Stepper(THAT_FORGET[kernel], w)
    stepper.step(w)
    zero = np.zeros_like(w)
    for _ in range(20_000 if dtype == "float32" else 80_000):
        stepper.step(zero)
    assert subnormals(stepper.memory.vectors) == 0
    first = stepper.memory.vectors[: w.size]  # u of adamax and v of adam go on for longer
    assert (first == 0).all()


@pytest.mark.parametrize("dtype", truth.DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_decayed_weights_end_at_0(kernel, dtype):
    optimizer = with_decay(KERNELS[kernel], 0.9 / KERNELS[kernel].learning_rate)
    stepper = Stepper(optimizer, np.ones(20, dtype))
    zero = np.zeros(20, dtype)
    for _ in range(400):
        stepper.step(zero)
        assert subnormals(stepper.w) == 0
    assert (stepper.w == 0).all()


# ---- on models ---------------------------------------------------------------------------------


def rests_by_rows(optimizer, batch_size):
    """A table of which a batch touches few rows, beside a layer that all rows have."""
    model = fw.Sequential(
        [layers.Embedding(40, 3), layers.Flatten(), layers.Dense(1)], 2, "float64", seed=0
    )
    model.compile(optimizer, "mse")
    random = np.random.default_rng(0)
    x, y = random.integers(0, 40, (60, 2)), random.standard_normal((60, 1))
    model.fit(x, y, batch_size, 3, shuffle=False, verbose=0)
    return model, x, y


@pytest.mark.parametrize("batch_size", [1, 7, 60])
@pytest.mark.parametrize("name", ["sgd", "adagrad", "adagrad with other numbers", "adam"])
@pytest.mark.parametrize("weight_decay", [None, 0.2])
def test_steps_of_a_table_are_those_of_numpy(name, weight_decay, batch_size):
    optimizer, rule = CASES[name]
    oracle = Decayed(rule(), optimizer.learning_rate, weight_decay or 0.0)
    model, x, y = rests_by_rows(with_decay(optimizer, weight_decay), batch_size)
    fresh = fw.Sequential(
        [layers.Embedding(40, 3), layers.Flatten(), layers.Dense(1)], 2, "float64", seed=0
    )
    w = fresh.parameters.copy()
    for _ in range(3):
        for first in range(0, 60, batch_size):
            rows, target = x[first : first + batch_size], y[first : first + batch_size]
            table, kernel, bias = w[:120].reshape(40, 3), w[120:126], w[126]
            read = table[rows].reshape(len(rows), 6)
            error = 2 * (read @ kernel + bias - target[:, 0]) / len(rows)
            change = np.zeros((40, 3))
            np.add.at(change, rows, (error[:, np.newaxis] * kernel).reshape(len(rows), 2, 3))
            g = np.concatenate([change.reshape(-1), error @ read, [error.sum()]])
            w = oracle.step(w, g)
    np.testing.assert_allclose(model.parameters, w, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_training_goes_on_from_a_file_and_from_a_copy(name, tmp_path):
    optimizer = with_decay(CASES[name][0], 0.01)
    x, y = data(40)

    def fit(model):
        model.fit(x, y, 40, 3, verbose=0)
        return model

    through = fit(fit(network(optimizer=optimizer, dtype="float32")))
    half = fit(network(optimizer=optimizer, dtype="float32"))
    half.save(tmp_path / "half.safetensors")
    for model in (fw.load(tmp_path / "half.safetensors"), half.copy()):
        assert type(model.optimizer) is type(optimizer)
        assert model.optimizer.config() == optimizer.config()
        same_bits(fit(model).parameters, through.parameters)


@pytest.mark.filterwarnings("ignore:batch_size. Rprop")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("batch_size", [24, 700])
def test_any_number_of_threads_gives_the_same_bits(kernel, batch_size, monkeypatch):
    monkeypatch.setenv("FASTWEIGHTS_GRAIN", "0")
    x, y = data(700)
    found = []
    for threads in (1, 2, 3, 7):
        model = network((5, 70, 3), optimizer=with_decay(KERNELS[kernel], 0.1), dtype="float32")
        with fw.threads(threads):
            model.fit(x, y, batch_size, 2, verbose=0)
        found.append(model.parameters.copy())
    for parameters in found[1:]:
        same_bits(parameters, found[0])


def test_rprop_wants_all_rows_in_a_step():
    x, y = data(40)
    model = network(optimizer=optimizers.Rprop())
    with pytest.warns(UserWarning, match="batch_size: Rprop compares .* batch_size=40 has all"):
        model.fit(x, y, 20, verbose=0)
    model.fit(x, y, 40, verbose=0)
    model.fit(x, y, 400, verbose=0)


def test_rprop_steps_follow_the_learning_rate():
    optimizer = optimizers.Rprop(0.5, (0.5, 2.0))
    model = network(optimizer=optimizer)
    moved = []
    for learning_rate in (0.5, 0.5, 0.25, 0.0):
        optimizer.learning_rate = learning_rate
        before = model.parameters.copy()
        model.gradients[:] = 1.0
        model.apply_gradients()
        moved.append((before - model.parameters)[0])
    np.testing.assert_allclose(moved, [0.5, 1.0, 1.0, 0.0], rtol=1e-12)


def test_every_optimizer_learns():
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 5))
    y = np.tanh(x @ random.standard_normal((5, 3)))
    for kernel, optimizer in KERNELS.items():
        model = network((5, 16, 3), optimizer=optimizer)
        before = model.evaluate(x, y, verbose=0)
        model.fit(x, y, 200, 200, verbose=0)
        assert model.evaluate(x, y, verbose=0) < 0.5 * before, kernel


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(weight_decay=-1), ValueError, "weight_decay: got -1, expected"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "weight_decay: got None"),
        (lambda: optimizers.Adam(amsgrad=1), TypeError, "amsgrad: got 1, expected True or False"),
        (lambda: optimizers.Adamax(epsilon=0), ValueError, "epsilon: got 0, expected"),
        (lambda: optimizers.Nadam(beta_2=1.0), ValueError, "beta_2: got 1.0, expected"),
        (lambda: optimizers.Lion(beta_1=0), ValueError, "beta_1: got 0, expected"),
        (lambda: optimizers.RMSprop(rho=1), ValueError, "rho: got 1, expected"),
        (lambda: optimizers.RMSprop(momentum=1), ValueError, "momentum: got 1, expected"),
        (lambda: optimizers.RMSprop(centered=0), TypeError, "centered: got 0, expected"),
        (lambda: optimizers.Adagrad(0.1, -1), ValueError, "initial_accumulator_value: got -1"),
        (lambda: optimizers.Adadelta(rho="a"), TypeError, "rho: got 'a', expected a number"),
        (lambda: optimizers.Rprop(etas=0.5), TypeError, "etas: got 0.5, expected a pair"),
        (lambda: optimizers.Rprop(etas=(0.5, 1)), ValueError, r"etas\[1\]: got 1, expected"),
        (lambda: optimizers.Rprop(step_sizes=(1, 0.5)), ValueError, r"step_sizes\[1\]: got 0.5"),
    ],
)
def test_settings_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
