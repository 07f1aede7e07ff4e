"""The gradient checks prove themselves: each of these faults, planted in the core, is caught.

With no fault switched on the same core passes, so it is the fault that is seen and nothing else.
"""

import math

import numpy as np
import pytest
import reference
from faults import (
    DRAWS,
    GRADIENTS,
    dense,
    functions,
    images,
    metrics,
    minimizers,
    number_of,
    plain_layers,
    series,
    sources,
    steps,
    weights,
)
from helpers import error_with_noise, network
from layer_cases import CASES, model_between, rows_for
from planted import Fault, planted
from reference_steps import Plain, sgd
from reference_updates import CASES as UPDATES
from test_lbfgs import by_scipy
from test_levenberg_marquardt import by_numpy, several

import fastweights as fw
from fastweights import (
    _batches,
    _building,
    _dispatch,
    _plans,
    cli,
    constraints,
    layers,
    losses,
    optimizers,
    schedules,
)
from fastweights._core import philox


def net(
    hidden="tanh",
    output=None,
    loss="mse",
    rows=7,
    inputs=5,
    outputs=3,
    units=5,
    scale=1,
    layer=None,
    masked=False,
):
    """The network that must notice a fault, with data for it."""
    rng = np.random.default_rng(5)
    if layer is not None:
        model = model_between(CASES[layer])
        model.compile(loss="mse")
        return model, rows_for(model, rows, rng), rng.standard_normal((rows, 2))
    if masked:
        stack = [layers.Masking(), layers.Dense(units, hidden), layers.Dense(outputs)]
        model = fw.Sequential(stack, (4, inputs), dtype="float64", seed=3)
        model.compile(loss=loss)
        x = rng.standard_normal((rows, 4, inputs))
        x[rng.random((rows, 4)) < 0.3] = 0.0
        return model, x, rng.standard_normal((rows, 4, outputs))
    stack = [
        layers.Dense(units, hidden),
        layers.Dense(units, hidden),
        layers.Dense(outputs, output),
    ]
    model = fw.Sequential(stack, input_shape=inputs, dtype="float64", seed=3)
    model.compile(loss=loss)
    x = scale * rng.standard_normal((rows, inputs))
    kind = losses.get(loss)
    if kind.takes_labels:
        return model, x, rng.integers(0, outputs, rows)
    if kind.name == "categorical_hinge":
        return model, x, np.eye(outputs)[rng.integers(0, outputs, rows)]
    if "crossentropy" in kind.name or "hinge" in kind.name:
        return model, x, rng.integers(0, 2, (rows, outputs)).astype(float)
    if kind.name == "kl_divergence":
        return model, x, rng.dirichlet(np.ones(outputs), rows)
    return model, x, rng.uniform(0.5, 2.5, (rows, kind.target_columns(outputs)))


@pytest.fixture(scope="module")
def core(faulty_core):
    """The faulty core in place of the real one; `core(n)` switches fault n on, 0 none."""
    kernels, plan = faulty_core.kernels, faulty_core.plan

    def switch(number):
        kernels.plant(number)
        plan.plant(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_dispatch, "kernels", lambda dtype: kernels)
        patch.setattr(_plans, "_plan", plan)
        for module in (optimizers.base, optimizers.lbfgs, optimizers.levenberg_marquardt):
            patch.setattr(module, "_plan", plan)
        patch.setattr(_building, "_plan", plan)
        # On one thread a member's rows are several blocks, which some of the faults are about.
        with fw.threads(1):
            yield switch
        switch(0)


def test_faults_in_the_same_words():
    text = "total = first + second * third\n"
    both = {
        1: Fault("the whole", "file", "«first + second * third»", "0"),
        2: Fault("a part", "file", "first + «second» *", "1"),
        3: Fault("the same part", "file", "«second» * third", "2"),
        4: Fault("beside it", "file", "* «third»\n", "3"),
        5: Fault("words that another changes", "file", "total = «first»", "4"),
    }
    code = planted(text, both)
    names = {"first": 5, "second": 7, "third": 11}
    right, wrong = 5 + 7 * 11, {1: 0, 2: 5 + 1 * 11, 3: 5 + 2 * 11, 4: 5 + 7 * 3, 5: 4 + 7 * 11}
    for number in range(6):
        found = {**names, "FAULT": number}
        exec(code, found)
        assert found["total"] == wrong.get(number, right)
    crossing = {
        1: Fault("one", "file", "«first + second»", "0"),
        2: Fault("two", "file", "«second * third»", "0"),
    }
    with pytest.raises(AssertionError, match="'one' and 'two' share a part"):
        planted(text, crossing)
    with pytest.raises(AssertionError, match="'second or fourth' stands 0 times in file"):
        planted(text, {1: Fault("none", "file", "second or «fourth»", "0")})


def test_there_are_at_least_20():
    assert len(GRADIENTS) >= 20


@pytest.fixture(scope="module")
def known_good():
    """Settings of networks whose gradients were found right without a fault."""
    return set()


@pytest.mark.parametrize("fault", GRADIENTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(core, merged_is_known, known_good, fault):
    settings = tuple(GRADIENTS[fault].items())
    if settings not in known_good:
        core(0)
        report = fw.check_gradients(*net(**GRADIENTS[fault]), tolerance=1e-8)
        assert report.passed, f"without a fault:\n{report}"
        known_good.add(settings)
    core(number_of(fault))
    report = fw.check_gradients(*net(**GRADIENTS[fault]), tolerance=1e-8)
    assert not report.passed, f"not noticed:\n{report}"


@pytest.mark.parametrize("fault", DRAWS, ids=lambda fault: fault.name)
def test_a_fault_of_a_layer_that_draws_is_caught(core, fault):
    stack = [layers.Dense(7, "tanh"), DRAWS[fault](0.3), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (3, 5), dtype="float64", seed=3)
    model.compile(loss="mse")
    random = np.random.default_rng(5)
    batch = random.standard_normal((40, 3, 5)), random.standard_normal((40, 2))
    core(0)
    assert error_with_noise(model, *batch) < 1e-8
    core(number_of(fault))
    assert error_with_noise(model, *batch) > 1e-4


@pytest.mark.parametrize("fault", functions.UPDATE_STEPS, ids=lambda fault: fault.name)
def test_a_fault_of_an_update_is_caught(core, fault):
    optimizer, rule = UPDATES[functions.UPDATE_STEPS[fault]]
    gradients = np.random.default_rng(5).standard_normal((20, 40))

    def error():
        w = np.ones(40)
        oracle, expected = rule(), w.copy()
        memory = optimizers.Memory.empty(optimizer, w.size, w.dtype)
        kernels = _dispatch.kernels(w.dtype)
        for g in gradients:
            addresses = [array.ctypes.data for array in (w, g, memory.vectors)]
            numbers = memory.numbers.ctypes.data
            kernels.apply_update(optimizer.kernel, *addresses, w.size, numbers)
            expected = oracle.step(expected, g)
        return np.abs(w - expected).max()

    core(0)
    assert error() < 1e-12
    core(number_of(fault))
    assert error() > 1e-6


@pytest.mark.parametrize("fault", images.CHANGES, ids=lambda fault: fault.name)
def test_a_fault_of_a_layer_of_images_is_caught(core, fault):
    stack = [layers.Dense(2, "tanh"), images.CHANGES[fault](), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (4, 7, 2), dtype="float64", seed=3)
    model.compile(loss="mse")
    random = np.random.default_rng(5)
    batch = random.standard_normal((20, 4, 7, 2)), random.standard_normal((20, 2))
    core(0)
    assert error_with_noise(model, *batch) < 1e-8
    core(number_of(fault))
    assert error_with_noise(model, *batch) > 1e-4


@pytest.mark.parametrize("fault", dense.BYTES, ids=lambda fault: fault.name)
def test_a_fault_of_rows_of_bytes_is_caught(core, fault):
    random = np.random.default_rng(5)
    x, y = random.integers(0, 256, (70, 9), np.uint8), random.standard_normal((70, 2))

    def distance():
        found = []
        for given in (x, x.astype(float)):
            model = fw.Sequential([layers.Rescaling(1 / 255), layers.Dense(2)], 9, "float64", 3)
            model.compile("sgd", "mse")
            model.fit(given, y, 16, 1, verbose=0)
            model.fit(given, y, 16, 1, verbose=0, shuffle=False)
            found.append(np.concatenate([model.parameters, model.predict(given).ravel()]))
        return np.abs(found[0] - found[1]).max()

    core(0)
    assert distance() == 0
    core(number_of(fault))
    assert distance() > 1e-4


@pytest.mark.parametrize("fault", plain_layers.INFERENCE, ids=lambda fault: fault.name)
def test_a_fault_of_inference_is_caught(core, fault):
    def off():
        """How far a network's prediction is from the same with all values kept."""
        kinds = layers.Conv2D(3, 2), layers.DepthwiseConv2D(2)
        stack = []
        for layer in (layers.Dense(70), *kinds, layers.Dense(3), layers.Dense(5)):
            stack += [layer, layers.BatchNormalization(), layers.Activation("relu")]
        stack.insert(3, layers.Reshape((5, 7, 2)))
        stack.insert(10, layers.Flatten())
        model = fw.Sequential(stack, 600, "float64", seed=3)
        random = np.random.default_rng(5)
        x = random.standard_normal((40, 600))
        for weight in model.weights:
            weight += random.uniform(0.1, 1.0, weight.shape)
        return np.abs(model.predict(x) - model.forward(x)).max()

    core(0)
    assert off() < 1e-8
    core(number_of(fault))
    assert off() > 1e-4


@pytest.mark.parametrize("fault", weights.KEPT, ids=lambda fault: fault.name)
def test_a_fault_of_what_a_step_leaves_is_caught(core, fault):
    """Two steps, of which the second meets what was prepared of the weights after the first."""
    constraint = constraints.get(weights.KEPT[fault])
    random = np.random.default_rng(5)
    x, y = random.standard_normal((40, 19)), random.standard_normal((40, 70))

    def distance():
        stacks = ([layers.Dense(70, kernel_constraint=given)] for given in (constraint, None))
        kept, plain = (fw.Sequential(stack, 19, dtype="float64", seed=3) for stack in stacks)
        for model in (kept, plain):
            model.compile(optimizers.SGD(20.0), "mse")
        kept.fit(x, y, 20, verbose=0, shuffle=False)
        for begin in (0, 20):
            plain.train_on_batch(x[begin : begin + 20], y[begin : begin + 20])
            plain.layers[0].kernel[...] = constraint(plain.layers[0].kernel)
        return np.abs(kept.parameters - plain.parameters).max()

    core(0)
    assert distance() < 1e-10
    core(number_of(fault))
    assert distance() > 1e-4


def step_error():
    """How far gradients and weights are from those of the same steps in two halves."""
    stack = [layers.Embedding(90, 5), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, 3, dtype="float64", seed=0)
    model.compile(optimizers.SGD(0.1), "mse")
    random, apart = np.random.default_rng(0), 0.0
    for rows in (5, 70, 8, 9, 4):
        batch = random.integers(0, 90, (rows, 3)), random.standard_normal((rows, 2))
        if rows == 9:
            model.loss_and_gradients(random.integers(0, 90, (30, 3)), np.zeros((30, 2)))
        twin = model.copy()
        gradient = twin.loss_and_gradients(*batch)[1]
        twin.apply_gradients()
        model.train_on_batch(*batch)
        gradients = model._built.gradients  # of which the model does not know that anybody has them
        for found, expected in ((gradients, gradient), (model.parameters, twin.parameters)):
            apart = max(apart, np.abs(found - expected).max())
    return apart


@pytest.mark.parametrize("fault", weights.STEPS, ids=lambda fault: fault.name)
def test_a_fault_of_a_step_is_caught(core, fault):
    core(0)
    assert step_error() < 1e-15
    core(number_of(fault))
    assert step_error() > 1e-6


def settings_error(settings):
    """How far steps with these settings are from those of the oracle."""
    rate = schedules.ExponentialDecay(0.5, 5, 0.5)
    stack = [layers.Dense(4), layers.Dense(3)]
    model = fw.Sequential(stack, 5, dtype="float64", seed=0)
    model.compile(optimizers.SGD(rate, **settings), "mse")
    names = [weight.name for weight in model.weights]
    oracle = Plain(model.weights, names, sgd, rate, **settings)
    random = np.random.default_rng(0)
    x, y = random.standard_normal((72, 5)), random.standard_normal((72, 3))
    for first in range(0, 72, 9):
        kernel, bias, last, last_bias = oracle.w
        rows, wanted = x[first : first + 9], y[first : first + 9]
        hidden = rows @ kernel + bias
        dz = 2.0 * (hidden @ last + last_bias - wanted) / wanted.size
        dh = dz @ last.T
        oracle.step([rows.T @ dh, dh.sum(0), hidden.T @ dz, dz.sum(0)])
    model.fit(x, y, 9, 1, verbose=0, shuffle=False)
    expected = oracle.averages if settings.get("use_ema") else oracle.w
    return max(np.abs(w - e).max() for w, e in zip(model.weights, expected, strict=True))


@pytest.mark.parametrize("fault", steps.SETTINGS, ids=lambda fault: fault.name)
def test_a_fault_of_a_setting_is_caught(core, fault):
    core(0)
    assert settings_error(steps.SETTINGS[fault]) < 1e-14
    core(number_of(fault))
    assert settings_error(steps.SETTINGS[fault]) > 1e-6


class RuleOfAdam(optimizers.NumpyOptimizer):
    """Adam, which raises once, in the step of a number."""

    vectors = 2

    def __init__(self, raises_at, **settings):
        super().__init__(0.01, **settings)
        self._raises_at = raises_at

    def update(self, step, learning_rate, parameters, gradients, m, v):
        if step == self._raises_at:
            self._raises_at = 0
            raise ZeroDivisionError
        m, v = 0.9 * m + 0.1 * gradients, 0.999 * v + 0.001 * gradients**2
        root = np.sqrt(v / (1 - 0.999 ** max(step, 1))) + 1e-7
        moved = parameters - learning_rate * m / (1 - 0.9 ** max(step, 1)) / root
        return moved + 1e-3 * (gradients == 0), m, v


def rule_error(settings):
    """How far a rule in NumPy is from Adam, where its third step was tried twice."""
    stack = [layers.Dense(4, "tanh"), layers.BatchNormalization(), layers.Dense(3), layers.Dense(2)]
    found = []
    for optimizer in (optimizers.Adam(0.01, **settings), RuleOfAdam(3, **settings)):
        model = fw.Sequential([type(one)(**one.config()) for one in stack], 5, "float64", seed=3)
        model.layers[2].trainable = False
        model.compile(optimizer, "mse")
        random = np.random.default_rng(5)
        for _ in range(12):
            batch = random.standard_normal((6, 5)), random.standard_normal((6, 2))
            try:
                model.train_on_batch(*batch)
            except ZeroDivisionError:
                model.train_on_batch(*batch)
        found.append(np.concatenate([model.parameters, model.state]))
    return np.abs(found[1] - found[0]).max()


@pytest.mark.parametrize("fault", steps.RULES, ids=lambda fault: fault.name)
def test_a_fault_of_a_rule_is_caught(core, fault):
    core(0)
    assert rule_error(steps.RULES[fault]) < 1e-12
    core(number_of(fault))
    assert not rule_error(steps.RULES[fault]) <= 1e-6


def pieces_error():
    """How far training on batches is from training on the same rows at hand."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((60, 5)), random.standard_normal((60, 3))
    pairs = [(x[first : first + 10], y[first : first + 10]) for first in range(0, 60, 10)]
    found = []
    for given in ((x, y, 10), (iter(pairs),)):
        stack = [layers.Dense(6, "tanh"), layers.Dropout(0.5), layers.Dense(3)]
        model = fw.Sequential(stack, 5, "float64", seed=0)
        model.compile("sgd", "mse")
        # Each batch a piece of its own.
        model.fit(*given, shuffle=False, verbose=0)
        found.append(model.parameters.copy())
    return abs(found[0] - found[1]).max()


@pytest.mark.parametrize("fault", sources.PIECES, ids=lambda fault: fault.name)
def test_a_fault_of_pieces_is_caught(core, fault, monkeypatch):
    monkeypatch.setattr(_batches, "GROUP_BYTES", 0)
    assert pieces_error() == 0
    core(number_of(fault))
    assert pieces_error() > 1e-3


def stream_error(seed):
    """How far a stream that has begun anew is from a prediction of all its steps."""
    x = fw.Input((70, 3))
    value = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(x)
    value = layers.GRU(4, return_sequences=True)(value)
    value = layers.MultiHeadAttention(1, 2)(value, value, use_causal_mask=True)
    model = fw.Model(x, value, "float64", seed=seed)
    rows = np.random.default_rng(seed).standard_normal((2, 70, 3))
    stream = model.stream(2)
    for step in range(5):
        stream.step(rows[:, step])
    stream.reset()
    made = np.stack([stream.step(rows[:, step]) for step in range(70)], axis=1)
    return np.abs(made - model.predict(rows)).max()


@pytest.mark.parametrize("fault", series.STREAMS, ids=lambda fault: fault.name)
def test_a_fault_of_a_stream_is_caught(core, fault):
    core(0)
    assert stream_error(0) == 0
    core(number_of(fault))
    # What a fault reads that nobody wrote may be no number, or left from the stream before.
    assert not stream_error(1) <= 1e-6


def states_error():
    """How far batches that go on from each other are from the series as a whole."""
    rows, random = 600, np.random.default_rng(5)
    layer = layers.LSTM(3, stateful=True, return_sequences=True)
    model = fw.Sequential([fw.Input((3, 2), batch_size=rows), layer], dtype="float64", seed=3)
    whole = fw.Sequential([layers.LSTM(3, return_sequences=True)], (6, 2), "float64", 3)
    whole.set_weights(model.get_weights())
    x, y = random.standard_normal((rows, 6, 2)), random.standard_normal((rows, 3, 3))
    parts, expected = np.split(x, 2, axis=1), np.split(whole.predict(x), 2, axis=1)
    found = []
    for make in (model.predict, model.forward):  # of which the second keeps what goes back
        layer.reset_state()
        found += [make(part) - made for part, made in zip(parts, expected, strict=True)]
    # Back from a batch whose own end is the state by then.
    told = layers.LSTM(3, return_sequences=True)
    first = fw.Input((3, 2)), fw.Input(3), fw.Input(3)
    begun = fw.Model(first, told(first[0], initial_state=first[1:]), "float64")
    begun.set_weights(model.get_weights())
    states = layer.state_h.copy(), layer.state_c.copy()
    model.forward(parts[0], training=True)
    begun.forward([parts[0], *states], training=True)
    model.backward(y)
    begun.backward(y)
    found.append(model.gradients - begun.gradients)
    return max(np.abs(apart).max() for apart in found)


@pytest.mark.parametrize("fault", series.STATES, ids=lambda fault: fault.name)
def test_a_fault_of_states_is_caught(core, fault):
    core(0)
    assert states_error() < 1e-12
    core(number_of(fault))
    assert not states_error() <= 1e-6


#: What the network of a metric ends with, beside which loss, and the metric's settings.
MEASURED = {
    "precision": (1, "sigmoid", "binary_crossentropy", {}),
    "auc": (1, "sigmoid", "binary_crossentropy", {}),
    "balanced_accuracy": (3, "softmax", "categorical_crossentropy", {}),
    "cohen_kappa": (3, "softmax", "categorical_crossentropy", {"weights": "quadratic"}),
    "explained_variance": (2, None, "mse", {}),
    "pearson_correlation": (2, None, "mse", {}),
}


def figure_error(name):
    """How far a metric of several chunks of rows with weights is from its oracle."""
    outputs, activation, loss, arguments = MEASURED[name]
    model = fw.Sequential([layers.Dense(outputs, activation)], 5, "float64", 3)
    metric = fw.metrics.KINDS[name](name=name, **arguments)
    model.compile("sgd", loss, [metric])
    random, rows = np.random.default_rng(5), 700
    x, times = random.standard_normal((rows, 5)), random.integers(0, 3, rows)
    x[:60] = 0.0  # for which a sigmoid is at the threshold
    y = random.standard_normal((rows, outputs))
    if outputs == 3:
        y = np.eye(3)[random.integers(0, 3, rows)]
    elif outputs == 1:
        y = (x[:, :1] + y > 0).astype(float)
    p, t = model.predict(x).repeat(times, 0), y.repeat(times, 0)
    oracle = reference.kappa(p, t, 2) if arguments else reference.METRICS[name](p, t)
    found = model.evaluate(x, y, sample_weight=times.astype(float), return_dict=True)
    return abs(found[name] - oracle)


@pytest.mark.parametrize("fault", metrics.METRICS, ids=lambda fault: fault.name)
def test_a_fault_of_a_metric_is_caught(core, fault):
    core(0)
    assert figure_error(metrics.METRICS[fault]) < 1e-12
    core(number_of(fault))
    assert not figure_error(metrics.METRICS[fault]) <= 1e-6


def lbfgs_error():
    """How far L-BFGS's losses are from those of SciPy's."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 5)), random.standard_normal((40, 3))
    settings = {"c1": 1e-3, "tolerance_grad": 0.0, "tolerance_change": 0.0}
    model = network((5, 8, 3), optimizer=optimizers.LBFGS(history_size=5, **settings))
    expected = [loss for loss, _ in by_scipy(network((5, 8, 3)), x, y, 12)]
    found = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    steep = [
        abs(math.cos(optimizers.lbfgs._plan.search_line(wave, step, 1e-4, 0.1, 50)[0])) > 0.1
        for step in (0.1, 1.0, 3.0)
    ]
    return max(relative_error(found, expected), *steep)


def wave(t):
    """-sin t and its slope, -1 at 0."""
    return -math.sin(t), -math.cos(t)


def relative_error(found, expected):
    missing = len(expected) - len(found)
    return np.abs(np.divide(found + [np.inf] * missing, expected) - 1).max()


def levenberg_marquardt_error():
    """The same of Levenberg and Marquardt's method, and a plain loop's."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((40, 5)), list(random.standard_normal((2, 40, 2)))
    y[1] = y[1][:, :1].copy()
    optimizer = optimizers.LevenbergMarquardt(tolerance_grad=0.0, tolerance_change=0.0)
    model, twin = several(optimizer), several("sgd")
    decay = np.zeros(twin.parameters.size)
    decay[:25] = 0.02
    expected = by_numpy(twin, x, y, 1e-3, 4, (1.0, 0.3), decay)
    found = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    # More parameters than are eliminated at a time, and rows that count twice.
    newton = optimizers.LevenbergMarquardt(1e-12)
    wide, again = (network((70, 1), optimizer=newton) for _ in range(2))
    x, y, told = random.standard_normal((90, 70)), random.standard_normal((90, 1)), np.ones(90)
    told[7:19] = 2.0
    repeated = np.repeat(np.arange(90), told.astype(int))
    wide.fit(x, y, epochs=3, verbose=0, sample_weight=told)
    again.fit(x[repeated], y[repeated], epochs=3, verbose=0)
    a = np.column_stack([x, np.ones(90)]) * np.sqrt(told)[:, None]
    best = np.linalg.lstsq(a, y * np.sqrt(told)[:, None], rcond=None)[0][:, 0]
    apart = [np.abs(one.parameters - best).max() for one in (wide, again)]
    return max(relative_error(found, expected), *apart)


@pytest.mark.parametrize("fault", minimizers.STEPS, ids=lambda fault: fault.name)
def test_a_fault_of_a_minimizer_is_caught(core, fault):
    error = {"LBFGS": lbfgs_error, "LevenbergMarquardt": levenberg_marquardt_error}
    core(0)
    assert error[minimizers.STEPS[fault]]() < 1e-6
    core(number_of(fault))
    assert not error[minimizers.STEPS[fault]]() < 1e-4


def weights_error():
    """How far weighted rows are from rows repeated: losses and steps of batches, masked or not."""
    random, found = np.random.default_rng(5), []
    for is_masked in (False, True):
        stack = [layers.Masking(), layers.Dense(5, "tanh"), layers.Dense(3)][not is_masked :]
        model = fw.Sequential(stack, (4, 2), "float64", seed=3)
        model.compile("sgd")
        x, y = random.standard_normal((14, 4, 2)), random.standard_normal((14, 4, 3))
        x[:, 2:][random.random((14, 2)) < 0.5] = 0.0
        w = random.integers(0, 4, 14)
        told = np.repeat(w[:, None], 4, axis=1) * (random.random((14, 4)) + 0.5)
        steps = ((model.predict(x) - y) ** 2).mean(-1)
        counts = told * (x != 0).any(-1) if is_masked else told
        loss = (counts * steps).sum() / counts.sum()
        found += [model.loss_and_gradients(x, y, told)[0] - loss]
        found += [model.evaluate(x, y, sample_weight=told) - loss]
        more = np.repeat(x, w, axis=0), np.repeat(y, w, axis=0)
        found.append(model.loss_and_gradients(x, y, w)[1] - model.loss_and_gradients(*more)[1])
        found.append(model.evaluate(x, y, sample_weight=w) - model.evaluate(*more))
        # Batches of rows in an order of their own.
        one, other = model.copy(), model.copy()
        order = np.empty(14, np.int64)
        philox.permutation(order, model.seed, philox.STREAM_SHUFFLE)
        one.fit(x, y, 5, 1, 0, sample_weight=told)
        for rows in np.split(order, [5, 10]):
            other.train_on_batch(x[rows], y[rows], told[rows])
        found.append(one.parameters - other.parameters)
    return max(np.abs(apart).max() for apart in found)


@pytest.mark.parametrize("fault", dense.WEIGHTED, ids=lambda fault: fault.name)
def test_a_fault_of_weights_of_rows_is_caught(core, fault):
    core(0)
    assert weights_error() < 1e-12
    core(number_of(fault))
    assert not weights_error() <= 1e-6


def test_the_command_line_exits_1_for_a_wrong_gradient(core, capsys):
    arguments = ["gradcheck", "--layers", "8,16:relu,4:tanh,3", "--loss", "mse"]
    core(0)
    assert cli.main(arguments) == 0
    core(1)
    assert cli.main(arguments) == 1
    assert "WRONG" in capsys.readouterr().out
