"""Threads: the same bits for any number, what a budget is, fork, and several callers at once."""

import os
import sys
import threading

import numpy as np
import pytest
from helpers import data, network, run_python, same_bits

import fastweights as fw
from fastweights import _dispatch
from fastweights._plans import plan_for

SETTINGS = sys.modules["fastweights.config"]

#: Networks and batches that go through the plan in each of its ways, the last batch ragged:
#: widths, activation, last activation, loss, batch size, rows.
RAGGED = {
    "whole": ((70, 200, 130, 9), "relu", None, "mse", 211, 900),
    "dx by the kernel": ((40, 520, 530, 9), "relu", None, "mse", 211, 390),
    "sliced": ((4, 32, 16, 4), "tanh", "softmax", "categorical_crossentropy", 1333, 3000),
    "whole in chunks": ((150, 300, 120, 5), "silu", "softplus", "mae", 1500, 2600),
}

#: Prints, for each network, one hash for each of 1 to 8 threads: of all that came of training and
#: of what follows it.
HASHES = f"""
import hashlib
import numpy as np
import fastweights as fw
from helpers import data, network

fw.set_reproducible(True)

def outcome(threads, widths, activation, last, loss, batch_size, rows):
    x, y = data(rows, widths[0], widths[-1])
    if last == "softmax":
        y = np.eye(widths[-1])[y.argmax(axis=1)]
    found = hashlib.sha256()
    metrics = ("accuracy",) if last == "softmax" else ("r2",)
    for dtype in ("float32", "float64"):
        model = network(widths, activation, last, "adam", loss, metrics, dtype)
        with fw.threads(threads):
            history = model.fit(x, y, batch_size, 2, verbose=0)
            scores = model.evaluate(x, y)
            output = model.predict(x)
            value, gradient, dx = model.loss_and_gradients(x, y)
            parts = [model.parameters, output, gradient, dx, model.forward(x), model.backward(y)]
        found.update(repr((history.history, scores, value)).encode())
        for part in [*parts, model.gradients]:
            found.update(part.tobytes())
        assert model._compiled.plans["fit"].members == threads, model._compiled.plans["fit"].members
    return found.hexdigest()

for case in {list(RAGGED.values())!r}:
    print(*[outcome(threads, *case) for threads in range(1, 9)])
"""


def fused_levels():
    return [level for level in _dispatch.available_levels() if level != "baseline"]


def test_one_hash_for_every_number_of_threads_and_every_level():
    found = {}
    for level in fused_levels() or ["baseline"]:
        done = run_python(HASHES, FASTWEIGHTS_ISA=level, FASTWEIGHTS_GRAIN="0")
        assert done.returncode == 0, done.stderr
        found[level] = [line.split() for line in done.stdout.splitlines()]
        assert [len(hashes) for hashes in found[level]] == [8] * len(RAGGED)
    for case, name in enumerate(RAGGED):
        assert len({one for hashes in found.values() for one in hashes[case]}) == 1, (name, found)


def test_teams_of_changing_size_leave_the_bits_alone(nothing_set):
    """Two sizes of a team take turns while a model trains, here for some fifty contests."""
    x, y = data(6000, 60, 4)
    found = []
    for threads in (1, 2):
        with fw.threads(threads):
            model = network((60, 120, 80, 4), "relu", optimizer="adam", dtype="float32")
            model.fit(x, y, 200, 20, verbose=0)
            found.append(model.parameters)
    same_bits(*found)


@pytest.fixture
def every_thread(monkeypatch):
    """Two threads for every step, however small."""
    monkeypatch.setattr(SETTINGS, "_grain", 0.0)
    with fw.threads(2):
        yield


@pytest.mark.parametrize("rows", [*range(1, 20), 47, 48, 49, 255, 256, 257])
def test_few_rows_on_many_threads(rows, monkeypatch):
    monkeypatch.setattr(SETTINGS, "_grain", 0.0)
    x, y = data(rows)
    models = []
    for threads in (1, 5):
        with fw.threads(threads):
            model = network((5, 9, 3), metrics=("r2",))
            model.fit(x, y, rows, 3, verbose=0)
            models.append((model, model.predict(x)))
    (one, output), (many, other) = models
    same_bits(one.parameters, many.parameters)
    same_bits(output, other)


def test_small_steps_are_left_to_one_thread(nothing_set):
    with fw.threads(2):
        small = network((4, 8, 2))
        small.train_on_batch(*data(4, 4, 2))
        assert small._compiled.plans["fit"].team(4, 2) == 1
        large = network((64, 512, 512, 8))
        assert plan_for(large, "fit", 256).team(256, 2) == 2


def test_more_threads_make_a_new_plan_and_fewer_do_not(every_thread):
    model = network()
    plan = plan_for(model, "fit", 64)
    with fw.threads(1):
        assert plan_for(model, "fit", 64) is plan
    with fw.threads(3):
        assert plan_for(model, "fit", 64).members == 3


@pytest.fixture
def nothing_set(monkeypatch):
    """Threads and grain as a process begins, whatever its environment says."""
    monkeypatch.setattr(SETTINGS, "_num_threads", {})
    monkeypatch.setattr(SETTINGS, "_grain", 4e5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("FASTWEIGHTS_NUM_THREADS", raising=False)


def test_the_budget(nothing_set, monkeypatch):
    cpus = SETTINGS._available_cpus()
    assert fw.get_num_threads() == cpus
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert fw.get_num_threads() == 1
    monkeypatch.setenv("FASTWEIGHTS_NUM_THREADS", "3")
    assert fw.get_num_threads() == 3
    monkeypatch.setenv("FASTWEIGHTS_NUM_THREADS", "two")
    with pytest.raises(ValueError, match="FASTWEIGHTS_NUM_THREADS: got 'two', expected a whole"):
        fw.get_num_threads()
    monkeypatch.delenv("FASTWEIGHTS_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", str(cpus + 7))
    assert fw.get_num_threads() == cpus
    for nonsense in ("", "many", "-3", "0", "1.5"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert fw.get_num_threads() == cpus
    with fw.threads(cpus + 5):
        assert fw.get_num_threads() == cpus + 5
        assert SETTINGS.budget().threads == cpus


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000\n", None), ("150000 100000\n", 2), ("50000 100000", 1), ("", None)],
)
def test_a_containers_limit(text, cpus, tmp_path):
    write(tmp_path, "cpu.max", text)
    assert SETTINGS._quota(str(tmp_path)) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1\n", None), ("400000\n", 4)])
def test_a_containers_limit_of_the_older_kind(quota, cpus, tmp_path):
    write(tmp_path, "cpu/cpu.cfs_quota_us", quota)
    write(tmp_path, "cpu/cpu.cfs_period_us", "100000\n")
    assert SETTINGS._quota(str(tmp_path)) == cpus


def test_no_limit_without_control_groups(tmp_path):
    assert SETTINGS._quota(str(tmp_path)) is None


def test_fewer_threads_where_a_container_allows_less(nothing_set, monkeypatch):
    monkeypatch.setattr(SETTINGS, "_quota", lambda: 1)
    assert fw.config()["cpus"] == 1
    assert fw.get_num_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_affinity_is_honoured():
    done = run_python(
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "import fastweights as fw; print(fw.get_num_threads())",
        FASTWEIGHTS_NUM_THREADS="",
    )
    assert done.stdout == "1\n"


def test_several_python_threads_train_at_once(every_thread):
    x, y = data(300)
    expected = network((5, 30, 3))
    expected.fit(x, y, 50, 20, verbose=0)
    models = [network((5, 30, 3)) for _ in range(4)]
    callers = [
        threading.Thread(target=model.fit, args=(x, y, 50, 20), kwargs={"verbose": 0})
        for model in models
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for model in models:
        same_bits(model.parameters, expected.parameters)


def test_several_python_threads_predict_with_one_model(every_thread):
    model = network((5, 64, 3))
    batches = [data(rows, seed=rows)[0] for rows in (1, 30, 257, 600)]
    expected = [model.predict(x) for x in batches]
    wrong = []

    def serve(x, output):
        for _ in range(50):
            if not np.array_equal(model.predict(x), output):
                wrong.append(len(x))

    callers = [
        threading.Thread(target=serve, args=pair) for pair in zip(batches, expected, strict=True)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_processes_train():
    """200 children of a process whose pool is awake; each trains and exits within 10 s."""
    done = run_python(
        "import os, signal, sys, warnings\n"
        "import numpy as np\n"
        "import fastweights as fw\n"
        "from helpers import data, network\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "fw.set_num_threads(2)\n"
        "x, y = data(600)\n"
        "def train():\n"
        "    model = network((5, 40, 3))\n"
        "    model.fit(x, y, 100, 2, verbose=0)\n"
        "    return model.parameters.tobytes()\n"
        "expected = train()\n"
        "for _ in range(200):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        signal.alarm(10)\n"
        "        os._exit(0 if train() == expected else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "assert train() == expected\n"
        "print('ok')",
        FASTWEIGHTS_GRAIN="0",
    )
    assert done.stdout == "ok\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_while_another_thread_trains():
    done = run_python(
        "import os, signal, threading, warnings\n"
        "import fastweights as fw\n"
        "from helpers import data, network\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "fw.set_num_threads(2)\n"
        "x, y = data(4000)\n"
        "busy = network((5, 100, 3))\n"
        "trainer = threading.Thread(target=busy.fit, args=(x, y, 100, 60), kwargs={'verbose': 0})\n"
        "trainer.start()\n"
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        signal.alarm(10)\n"
        "        network().fit(x[:50], y[:50], 10, 2, verbose=0)\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "trainer.join()\n"
        "print('ok')",
        FASTWEIGHTS_GRAIN="0",
    )
    assert done.stdout == "ok\n", done.stderr
