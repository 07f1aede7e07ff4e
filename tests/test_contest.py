"""How many threads a step takes: contests of teams, played out with step times of our making."""

import numpy as np
import pytest
from planted import SOURCE, compile_modules

DRIVER = '''
include "contest.pxi"

TURN = TURN_SECONDS


def play(step_seconds, int most, double duration):
    """Seconds that each number of members took, and the steps; step_seconds(members, now)."""
    cdef Contest c
    cdef int members
    cdef double now = 0.0, spent, steps, step
    c.batch_size = 0
    taken = {}
    total = 0.0
    while now < duration:
        members = choose_members(&c, 32, most)
        step = step_seconds(members, now)
        if settles(&c):
            steps = 1
        elif c.turn < TURNS:
            steps = max(1, <Py_ssize_t>(TURN_SECONDS / step))
        else:
            steps = max(1, min(c.steps_left // 1, <Py_ssize_t>(0.04 / step)))
        spent = steps * step
        note_steps(&c, steps, spent)
        taken[members] = taken.get(members, 0.0) + spent
        now += spent
        total += steps
    return taken, total
'''


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contest")
    (folder / "contest.pxi").write_text((SOURCE / "contest.pxi").read_text())
    (folder / "contest_alone.pyx").write_text(DRIVER)
    (module,) = compile_modules(folder, folder, ("contest_alone",), {}, ("-O1",))
    return module.play


@pytest.mark.parametrize("step", [3e-6, 1e-4, 3e-3, 0.2])
@pytest.mark.parametrize("slower", [0.5, 0.9, 1.2, 2.0, 10.0, 100.0])
def test_the_slower_team_has_little_of_the_time(play, step, slower):
    """Two members, or one: whichever is slower, by little or by much."""
    seconds = {1: step, 2: step * slower}
    duration = max(1.0, 300 * max(seconds.values()))
    taken, steps = play(lambda members, now: seconds[members], 2, duration)
    best = min(seconds, key=seconds.get)
    assert taken.get(3 - best, 0.0) <= sum(taken.values()) / 16
    assert steps >= 0.95 * sum(taken.values()) / seconds[best]


def test_a_team_that_must_settle_is_timed_afterwards(play):
    """Two members take twice as long for the first step after a change, and half as long then."""
    before = [1]

    def step(members, now):
        slow = 2.0 if members == 2 and before[0] != 2 else 0.5 if members == 2 else 1.0
        before[0] = members
        return 2e-3 * slow

    taken, _ = play(step, 2, 3.0)
    assert taken[2] >= 0.9 * sum(taken.values())


def test_a_cpu_that_is_away_now_and_then_does_not_decide(play):
    random = np.random.default_rng(0)

    def step(members, now):
        return (0.6e-3 if members == 2 else 1e-3) * (4 if random.random() < 0.1 else 1)

    taken, _ = play(step, 2, 10.0)
    assert taken[2] >= 0.85 * sum(taken.values())


@pytest.mark.parametrize("best", [1, 2, 4, 8])
def test_the_best_of_many_sizes_is_found(play, best):
    def step(members, now):
        return 1e-4 * (1 + abs(np.log2(members) - np.log2(best)))

    taken, _ = play(step, 8, 3.0)
    assert taken[best] >= 0.85 * sum(taken.values())


def test_it_notices_when_things_change(play):
    """A second CPU that is there, is taken, and comes back."""

    def step(members, now):
        return 1e-4 * (1.0 if members == 1 else 3.0 if 2 < now < 4 else 0.6)

    _, steps = play(step, 2, 6.0)
    assert steps >= 0.85 * (4 / 0.6e-4 + 2 / 1e-4)


def test_one_thread_where_two_are_no_faster(play):
    random = np.random.default_rng(0)
    taken, _ = play(lambda members, now: 1e-4 * random.uniform(0.99, 1.01), 2, 3.0)
    assert taken[1] >= 0.9 * sum(taken.values())
