"""Schedules: each formula against mpmath, Keras and PyTorch, and the compiled loop against them."""

import json
import math
import pickle

import numpy as np
import pytest
from helpers import data, network, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

import fastweights as fw
from fastweights import optimizers, schedules

mp.dps = 40


def anneal(name, begin, end, share):
    if name == "linear":
        return begin + (end - begin) * share
    return end + (begin - end) * (1 + mp.cos(mp.pi * share)) / 2


def one_cycle(s, step):
    first = mpf(s.max_learning_rate) / s.div_factor
    last, up = first / s.final_div_factor, s.pct_start * s.total_steps
    phases = [(up - 1, first, s.max_learning_rate)]
    phases += [(2 * up - 2, s.max_learning_rate, first)] if s.three_phase else []
    phases += [(s.total_steps - 1, first if s.three_phase else s.max_learning_rate, last)]
    begin = 0
    for end, start, stop in phases:
        if step <= end:
            return anneal(s.anneal_strategy, start, stop, (step - begin) / mpf(end - begin))
        begin = end
    return last


def restarts(s, step):
    length, height = mpf(s.first_decay_steps), mpf(1)
    step = mpf(step)
    while step >= length:
        step -= length
        length, height = length * s.t_mul, height * s.m_mul
    share = height * (1 + mp.cos(mp.pi * step / length)) / 2
    return s.initial_learning_rate * ((1 - mpf(s.alpha)) * share + s.alpha)


def cosine(s, step):
    initial = s.initial_learning_rate
    if s.warmup_target is not None:
        if step < s.warmup_steps:
            return initial + (mpf(s.warmup_target) - initial) * step / s.warmup_steps
        initial, step = s.warmup_target, step - s.warmup_steps
    share = min(1, mpf(step) / s.decay_steps)
    return initial * ((1 - mpf(s.alpha)) * (1 + mp.cos(mp.pi * share)) / 2 + s.alpha)


def polynomial(s, step):
    decay = mpf(s.decay_steps)
    if s.cycle:
        decay *= max(1, math.ceil(step / s.decay_steps))
    share = 1 - min(mpf(step), decay) / decay
    span = mpf(s.initial_learning_rate) - s.end_learning_rate
    return span * share**s.power + s.end_learning_rate


def warmed_up(s, step):
    follows = (lambda t: s.schedule) if isinstance(s.schedule, float) else s.schedule
    if step >= s.warmup_steps:
        return follows(step - s.warmup_steps)
    first = s.initial_learning_rate
    return first + (mpf(follows(0)) - first) * step / s.warmup_steps


def share_of(s, step):
    share = mpf(step) / s.decay_steps
    return mp.floor(share) if getattr(s, "staircase", True) else share


def cos_log_4(s, step):
    t = min(1, mpf(step) / s.decay_steps)
    turns = 2 * mp.pi * mp.log(1 + 15 * t, 2)
    return s.initial_learning_rate * (1 - mp.cos(turns)) / 2


#: What each schedule is, of itself and a step.
TRUE = {
    "Constant": lambda s, step: s.value,
    "ExponentialDecay": lambda s, t: s.initial_learning_rate * mpf(s.decay_rate) ** share_of(s, t),
    "StepDecay": lambda s, t: s.initial_learning_rate * mpf(s.decay_rate) ** share_of(s, t),
    "InverseTimeDecay": lambda s, t: s.initial_learning_rate / (1 + s.decay_rate * share_of(s, t)),
    "PiecewiseConstantDecay": lambda s, t: s.values[sum(t > b for b in s.boundaries)],
    "PolynomialDecay": polynomial,
    "CosineDecay": cosine,
    "CosineDecayRestarts": restarts,
    "OneCycle": one_cycle,
    "CosLog4": cos_log_4,
    "LinearWarmup": warmed_up,
}

CASES = [
    schedules.Constant(0.3),
    schedules.ExponentialDecay(0.1, 64, 0.7),
    schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True),
    schedules.ExponentialDecay(0.1, 7, 1.25),
    schedules.ExponentialDecay(0.1, 7, 0.0),
    schedules.StepDecay(0.2, 30),
    schedules.StepDecay(0.2, 8, 0.5),
    schedules.PiecewiseConstantDecay([10, 100, 101], [1.0, 0.5, 0.25, 0.0]),
    schedules.PolynomialDecay(0.1, 100),
    schedules.PolynomialDecay(0.1, 100, 0.01, power=0.5, cycle=True),
    schedules.PolynomialDecay(0.1, 128, 0.0, power=2.5),
    schedules.InverseTimeDecay(0.1, 32, 0.5),
    schedules.InverseTimeDecay(0.1, 16, 0.5, staircase=True),
    schedules.CosineDecay(0.1, 128),
    schedules.CosineDecay(0.1, 128, alpha=0.1),
    schedules.CosineDecay(0.0, 128, 0.01, warmup_target=0.2, warmup_steps=16),
    schedules.CosineDecayRestarts(0.1, 16),
    schedules.CosineDecayRestarts(0.1, 16, t_mul=1.0, m_mul=0.5, alpha=0.01),
    schedules.CosineDecayRestarts(0.1, 8, t_mul=1.5, m_mul=0.9),
    schedules.OneCycle(0.1, 256),
    schedules.OneCycle(0.1, 256, 0.25, "linear", 10.0, 100.0),
    schedules.OneCycle(0.1, 256, 0.25, three_phase=True),
    schedules.CosLog4(0.1, 240),
    schedules.LinearWarmup(schedules.ExponentialDecay(0.1, 64, 0.5), 10),
    schedules.LinearWarmup(0.1, 32, 0.05),
    schedules.LinearWarmup(schedules.CosineDecay(0.0, 64, 0, 0.1, 4), 4),
]
STEPS = [*range(0, 300), 512, 1000, 10**6]


@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_formulas(schedule):
    largest = max(1e-300, *(abs(float(TRUE[schedule.name](schedule, step))) for step in STEPS))
    for step in STEPS:
        true = TRUE[schedule.name](schedule, step)
        # Where two numbers of the schedule cancel, their own last digits are what is left.
        assert abs(schedule(step) - true) <= 4e-16 * (abs(true) + largest), step


def test_every_schedule_has_cases():
    assert {case.name for case in CASES} == set(schedules.SCHEDULES)
    assert set(schedules.__all__) >= set(schedules.SCHEDULES)


@given(st.floats(1e-3, 10), st.floats(1, 1e4), st.floats(1e-6, 1.5), st.integers(0, 10**5))
@settings(max_examples=300, deadline=None)
def test_powers_have_all_their_digits(initial, steps, rate, step):
    found = schedules.ExponentialDecay(initial, steps, rate)(step)
    share = mpf(step / steps)  # which rounds once, before the power
    true = initial * mpf(rate) ** share
    if 1e-30 < true < 1e30:
        assert abs(found / true - 1) <= 4e-16


@given(st.floats(0.01, 1e3), st.floats(1, 3), st.integers(0, 10**5))
@settings(max_examples=200, deadline=None)
def test_restarts_anywhere(first, t_mul, step):
    schedule = schedules.CosineDecayRestarts(1.0, first, t_mul, 1.0)
    found, near = (
        schedule(step),
        [restarts(schedule, s) for s in (step * (1 - 1e-12), step, step * (1 + 1e-12))],
    )
    # At a restart either side is right; elsewhere all three are.
    assert min(abs(found - one) for one in near) <= 1e-7


@given(st.integers(0, 10**7), st.integers(1, 10**6))
@settings(max_examples=200, deadline=None)
def test_cosines_keep_their_digits_near_0(step, decay):
    found = schedules.CosineDecay(1.0, decay)(step)
    share = min(mpf(1), mpf(step) / decay)
    true = mp.cos(mp.pi * share / 2) ** 2
    assert abs(found - true) <= 4e-16 * true + 1e-15 * mp.sqrt(true)


def test_keras_has_the_same():
    keras = pytest.importorskip("keras")
    for ours in CASES:
        theirs = getattr(keras.optimizers.schedules, ours.name, None)
        if theirs is None:
            continue
        config = {k: v for k, v in ours.config().items() if k != "name"}
        twin = theirs(**config)
        for step in STEPS[:280:9]:
            if float(twin(step)) != pytest.approx(ours(step), rel=2e-4, abs=2e-8):
                # Keras counts restarts and stairs in float32, one step late.
                assert ours.name in ("CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay")
                assert float(twin(step)) == pytest.approx(ours(step - 1), rel=0.2, abs=1e-3)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_pytorch_has_the_same_cycle(strategy, three_phase):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, 200, pct_start=0.25, anneal_strategy=strategy, cycle_momentum=False,
        div_factor=20.0, final_div_factor=1e3, three_phase=three_phase,
    )  # fmt: skip
    ours = schedules.OneCycle(0.3, 200, 0.25, strategy, 20.0, 1e3, three_phase)
    for step in range(200):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12), step
        optimizer.step()
        if step < 199:
            theirs.step()


BITS = [
    "0x1.4d47497b6dc14p-4",
    "0x1.32613530703e7p-4",
    "0x1.1deac96e3247ep-4",
    "0x1.936ea80198bdep-4",
]


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (schedules.CosineDecayRestarts(0.1, 1e-300), 2**31, None),
        (schedules.CosineDecayRestarts(0.1, 1e-300, 1.0), 2**31, None),
        (schedules.CosineDecayRestarts(0.1, 1, 1e308, 1e308), 2, 1e307),
        (schedules.PolynomialDecay(0.1, 1e-300, 0.02, power=1e308, cycle=True), 7, 0.02),
        (schedules.PolynomialDecay(0.1, 10, 0.02, power=1e308), 5, 0.02),
        (schedules.ExponentialDecay(0.0, 1, 1e308), 3, 0.0),
        (schedules.ExponentialDecay(0.3, 1e-300, 0.5), 2**31, 0.0),
        (schedules.InverseTimeDecay(0.3, 1e-300, 0.0), 2**31, 0.3),
    ],
    ids=repr,
)
def test_settings_at_the_ends_of_what_is_finite(schedule, step, expected):
    found = schedule(step)
    if expected is None:
        assert 0.0 <= found <= 0.1
    else:
        assert found == pytest.approx(expected, rel=1e-12)


# ---- in training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_every_step_has_the_number_of_its_schedule(schedule):
    """SGD on a loss whose gradient is 1: each step moves the bias by the learning rate."""
    model = fw.Sequential([fw.layers.Dense(1, kernel_initializer="zeros")], 1, "float64", seed=0)
    model.compile(optimizers.SGD(schedule), "mse")
    weight, expected = model.parameters, []
    x, y = np.zeros((40, 1)), np.zeros((40, 1))
    moved = []
    for step in range(40):
        weight[:] = [0.0, 0.5]  # whose gradient by the mean of squares is 1
        model.train_on_batch(x[:1], y[:1])
        moved.append(0.5 - weight[1])
        expected.append(schedule(step))
        assert model.optimizer.iterations == step + 1
        assert model.optimizer.learning_rate == schedule(step + 1)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1.2e-16)


@pytest.mark.parametrize("case", [CASES[5], CASES[15], CASES[23]], ids=repr)
def test_a_fit_is_as_if_each_rate_was_set_by_hand(case):
    x, y = data(50)
    scheduled, by_hand = network(optimizer=optimizers.Adam(case)), network(optimizer="adam")
    scheduled.fit(x, y, 8, 6, verbose=0, shuffle=False)
    for step in range(6 * 7):
        by_hand.optimizer.learning_rate = case(step)
        first = step % 7 * 8
        by_hand.train_on_batch(x[first : first + 8], y[first : first + 8])
    same_bits(scheduled.parameters, by_hand.parameters)


GROWING = schedules.ExponentialDecay(1.0, 1, 1e200)


@pytest.mark.parametrize("settings", [{"learning_rate": GROWING}, {"weight_decay": GROWING}])
def test_a_rate_that_is_not_finite_ends_the_fit_by_name(settings):
    """Of a loss and of gradients that are 0, which nothing else would say anything of."""
    model = fw.Sequential([fw.layers.Dense(1, kernel_initializer="zeros")], 1, "float64", seed=0)
    x = np.zeros((4, 1))
    model.compile(optimizers.SGD(**{"learning_rate": 0.0, **settings}), "mse")
    name = next(iter(settings)).replace("_", " ")
    told = rf"the {name} became inf, which is ExponentialDecay's at step 2"
    with pytest.raises(fw.DivergenceError, match=told + " in epoch 1, batch 3"):
        model.fit(x, x, 1, verbose=0)
    model.compile(optimizers.SGD(**{"learning_rate": 0.0, **settings}), "mse")
    for _ in range(2):
        model.train_on_batch(x, x)
    with pytest.raises(fw.DivergenceError, match=told + "; no step was made"):
        model.train_on_batch(x, x)
    with pytest.raises(fw.DivergenceError, match=told + "; no step was made"):
        model.apply_gradients()
    assert not model.parameters.any()
    assert model.optimizer.iterations == 2


def test_a_number_takes_the_place_of_a_schedule_and_the_other_way_round():
    optimizer = optimizers.SGD(schedules.StepDecay(0.5, 2, 0.5))
    model = network(optimizer=optimizer)
    x, y = data(8)
    for _ in range(3):
        model.train_on_batch(x, y)
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = 0.125
    assert optimizer.learning_rate == 0.125
    assert optimizer.config()["learning_rate"] == 0.125
    optimizer.learning_rate = schedules.StepDecay(1.0, 1, 0.5)
    assert optimizer.learning_rate == 0.125  # of step 3
    assert repr(optimizer).startswith("SGD(learning_rate=StepDecay(initial_learning_rate=1.0, ")


def test_a_callback_may_set_it_in_the_middle_of_a_fit():
    class Halving(fw.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.1 * 0.5**epoch

    x, y = data(16)
    model, twin = (
        network(optimizer=optimizers.SGD(s)) for s in (0.3, schedules.StepDecay(0.1, 2, 0.5))
    )
    model.fit(x, y, 8, 3, verbose=0, shuffle=False, callbacks=Halving())
    twin.fit(x, y, 8, 3, verbose=0, shuffle=False)
    same_bits(model.parameters, twin.parameters)


@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_configs_are_json_and_come_back(schedule):
    config = json.loads(json.dumps(schedule.config()))
    again = schedules.get("learning_rate", config)
    assert again == schedule
    assert hash(again) == hash(schedule)
    optimizer = optimizers.Adam(schedule, weight_decay=schedule)
    twin = optimizers.get(json.loads(json.dumps(optimizer.config())))
    assert twin.config() == optimizer.config()
    assert pickle.loads(pickle.dumps(optimizer)).config() == optimizer.config()


def test_bits_are_those_of_no_library():
    """They were found on x86-64; cosines, logarithms and powers of a machine's libm may differ."""
    found = [
        schedules.ExponentialDecay(0.1, 64, 0.7)(37),
        schedules.CosineDecay(0.1, 300, 0.01)(101),
        schedules.CosineDecayRestarts(0.1, 8, 1.5)(200),
        schedules.CosLog4(0.1, 240)(77),
    ]
    assert [value.hex() for value in found] == BITS


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: schedules.CosineDecay(-1, 2), ValueError, "initial_learning_rate: got -1"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps: got 0, .* above 0"),
        (
            lambda: schedules.CosineDecay(0.1, 5, warmup_steps=3),
            ValueError,
            "without warmup_target",
        ),
        (lambda: schedules.ExponentialDecay(0.1, 5), TypeError, "no decay_rate"),
        (lambda: schedules.ExponentialDecay(0.1, 5, 1, name="x"), TypeError, "name='x'"),
        (
            lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]),
            ValueError,
            "boundaries: got",
        ),
        (lambda: schedules.PiecewiseConstantDecay([2], [1]), ValueError, "values: got 1 numbers"),
        (lambda: schedules.PiecewiseConstantDecay(2, [1]), TypeError, "boundaries: got int"),
        (lambda: schedules.OneCycle(0.1, 1), ValueError, "total_steps: got 1"),
        (lambda: schedules.OneCycle(0.1, 10, 0.1), ValueError, "pct_start: got 0.1 of 10 steps"),
        (lambda: schedules.OneCycle(0.1, 10, anneal_strategy="up"), ValueError, "'up'"),
        (lambda: schedules.OneCycle(0.1, 10, div_factor=1e-320), ValueError, "div_factor: got 9"),
        (lambda: schedules.OneCycle(1, 9, final_div_factor=1e-320), ValueError, "final_div_factor"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, 0.5), ValueError, "t_mul: got 0.5"),
        (
            lambda: schedules.LinearWarmup(schedules.LinearWarmup(0.1, 2), 2),
            ValueError,
            "schedule: got another LinearWarmup",
        ),
        (lambda: schedules.CosineDecay(0.1, 5)(-1), ValueError, "step: got -1"),
        (lambda: optimizers.SGD({"name": "Sawtooth"}), ValueError, "'Sawtooth'"),
        (lambda: optimizers.SGD({"name": "CosineDecay"}), TypeError, "initial_learning_rate"),
        (lambda: optimizers.SGD(lambda: 0.1), TypeError, "learning_rate: got"),
        (lambda: optimizers.SGD(schedules.LearningRateSchedule()), TypeError, "cannot be compiled"),
    ],
)
def test_refusals(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_a_schedule_of_ones_own_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=r"callback that sets model\.optimizer\.learning_rate"):

        class Mine(schedules.LearningRateSchedule):
            def __call__(self, step):
                return 0.1
