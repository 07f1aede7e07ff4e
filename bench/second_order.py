"""python -m bench.second_order: L-BFGS beside SciPy's, and Levenberg-Marquardt beside Adam.

The network is `matexp`'s of `bench.peers`, in float64, on 2,000 rows. Both L-BFGS go from the same
weights, by the same gradients, to the loss that SciPy's has after some iterations; they take turns,
and the fastest of all rounds counts. Levenberg-Marquardt learns what the workload is named after,
the exponential of a matrix (2, 2); Adam has fifty times as long. Times are the calling thread's or,
with several threads, the clock's.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable

import numpy as np

import fastweights as fw
from bench.peers.workloads import WORKLOADS
from fastweights import callbacks, layers, optimizers
from fastweights.cli.output import text_table

ROWS = 2000
#: Iterations of SciPy's whose loss is the goal.
GOALS = (40, 200, 800)
#: Of Levenberg and Marquardt's method, and how many times as long Adam may take.
STEPS, TIMES = 80, 50


class UntilLoss(callbacks.Callback):
    """Ends the fit once the loss is small enough."""

    def __init__(self, goal: float) -> None:
        self.goal = goal

    def on_epoch_end(self, epoch: int, logs: callbacks.Logs) -> None:
        if logs["loss"] <= self.goal:
            self.model.stop_training = True


class UntilTime(callbacks.Callback):
    """Ends the fit after some seconds, and keeps the smallest loss of all rows."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self.clock, self.until = clock, clock() + seconds

    def on_epoch_end(self, epoch: int, logs: callbacks.Logs) -> None:
        if self.clock() >= self.until:
            self.model.stop_training = True


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Rows of the workload and its targets, which have noise."""
    (x,), y = next(one for one in WORKLOADS if one.name == "matexp").data()
    return x[:ROWS].astype(float), y[:ROWS].astype(float)


def surrogate() -> tuple[np.ndarray, np.ndarray]:
    """Matrices (2, 2) and their exponentials: the series of a 1024th, squared ten times."""
    random = np.random.default_rng(1)
    matrices = random.standard_normal((ROWS, 2, 2))
    term = total = np.broadcast_to(np.eye(2), matrices.shape)
    for k in range(1, 10):
        term = term @ matrices / (1024 * k)
        total = total + term
    for _ in range(10):
        total = total @ total
    y = total.reshape(ROWS, 4)
    return matrices.reshape(ROWS, 4), (y - y.mean()) / y.std()


def network(optimizer: str | optimizers.Optimizer) -> fw.Sequential:
    """The workload's, with the same weights each time."""
    hidden = [layers.Dense(units, activation="tanh") for units in (32, 16)]
    model = fw.Sequential([*hidden, layers.Dense(4)], 4, dtype="float64", seed=0)
    model.compile(optimizer, "mse")
    return model


def scipy_descent(
    x: np.ndarray, y: np.ndarray, goal: float = -math.inf, iterations: int = 10**6
) -> list[float]:
    """The loss after each iteration of SciPy's L-BFGS-B, until it is small enough."""
    from scipy.optimize import minimize

    model, found = network("sgd"), []

    def evaluate(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        model.parameters[:] = parameters
        loss, gradient, _ = model.loss_and_gradients(x, y)
        return loss, gradient

    def note(intermediate_result: object) -> None:
        found.append(intermediate_result.fun)  # type: ignore[attr-defined]
        if found[-1] <= goal:
            raise StopIteration

    options = {"maxiter": iterations, "maxfun": 10**7, "maxcor": 10, "ftol": 0.0, "gtol": 0.0}
    start = model.parameters.copy()
    minimize(evaluate, start, jac=True, method="L-BFGS-B", callback=note, options=options)
    return found


def descent(x: np.ndarray, y: np.ndarray, goal: float) -> list[float]:
    """The same of ours."""
    optimizer = optimizers.LBFGS(history_size=10, tolerance_grad=0.0, tolerance_change=0.0)
    model = network(optimizer)
    history = model.fit(x, y, epochs=10**6, verbose=0, callbacks=[UntilLoss(goal)])
    return history.history["loss"]


def lbfgs_table(clock: Callable[[], float], rounds: int) -> str:
    """To each goal: iterations and milliseconds of both, and the ratio."""
    x, y = problem()
    losses = scipy_descent(x, y, iterations=max(GOALS))
    lines = [["loss", "ours", "SciPy's", "ours, ms", "SciPy's, ms", "times as fast"]]
    for goal in (losses[iterations - 1] for iterations in GOALS):
        best, steps = [math.inf, math.inf], [0, 0]
        for _ in range(rounds):
            for who, work in enumerate((descent, scipy_descent)):
                began = clock()
                steps[who] = len(work(x, y, goal))
                best[who] = min(best[who], clock() - began)
        ours, other = best
        figures = [f"{ours * 1e3:.1f}", f"{other * 1e3:.1f}", f"{other / ours:.2f}"]
        lines.append([f"{goal:.5f}", *map(str, steps), *figures])
    return text_table(lines)


def levenberg_table(clock: Callable[[], float], times: float) -> str:
    """Seconds and losses of Levenberg and Marquardt's method and of Adam."""
    x, y = surrogate()
    began = clock()
    model = network(optimizers.LevenbergMarquardt())
    losses = model.fit(x, y, epochs=STEPS, verbose=0).history["loss"]
    seconds = clock() - began
    lines = [["", "seconds", "loss"], ["LevenbergMarquardt", f"{seconds:.1f}", f"{losses[-1]:.2g}"]]
    for batch in (200, ROWS):
        began = clock()
        until = UntilTime(clock, times * seconds)
        adam = network(optimizers.Adam(0.001))
        history = adam.fit(x, y, batch, 10**9, verbose=0, callbacks=[until]).history["loss"]
        name = f"Adam, batch {batch}, least loss"
        lines.append([name, f"{clock() - began:.1f}", f"{min(history):.2g}"])
    return text_table(lines)


def main(arguments: list[str] | None = None) -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.second_order", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=float, default=TIMES, help="as long for Adam")
    parser.add_argument("--only", choices=("lbfgs", "levenberg"))
    given = parser.parse_args(arguments)
    fw.set_num_threads(given.threads)
    clock = time.thread_time if given.threads == 1 else time.perf_counter
    if given.only != "levenberg":
        if given.threads == 1 and os.environ.get("OPENBLAS_NUM_THREADS") != "1":
            print("SciPy's own products may have threads: OPENBLAS_NUM_THREADS=1 says no")
        print(lbfgs_table(clock, given.rounds), end="\n\n")
    if given.only != "lbfgs":
        print(levenberg_table(clock, given.times))


if __name__ == "__main__":
    main()
