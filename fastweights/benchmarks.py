"""Times a compiled gradient against NumPy's and against central differences of the loss.

The contenders take turns, round by round in one process, so that what else the machine does hits
all of them alike; a time is the best of many short blocks. Each computes the mean loss of a batch
and its gradient by every parameter, with its arguments checked beforehand. The differences are of
the compiled loss: the slow way at its best.

``python -m fastweights.benchmarks`` prints `machine` and then every `Comparison` as lines of JSON;
`race` runs it as a process in which everyone, NumPy's BLAS too, has one thread.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastweights import __version__, _feeding, _plans, config, layers
from fastweights._rows import count, each
from fastweights.gradient_check import STEP
from fastweights.models import Model, Sequential

#: A contender: computes the gradient and returns the loss.
Gradient = Callable[[], float]

ROUNDS = 100

#: About the length of a block, the calls that are timed together: far above the clock's noise and
#: below the time slices of an operating system. It must be the same for all contenders, since a
#: longer block is interrupted more often.
BLOCK_SECONDS = 0.001

#: One thread for everyone: read by NumPy's BLAS when it is imported, and by this library.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "FASTWEIGHTS_NUM_THREADS": "1"}

#: Of a network with more parameters, so many are nudged and the time is scaled to all.
MAX_NUDGED = 8192


@dataclass(frozen=True)
class Network:
    """A rung of the ladder: dense layers with tanh between them, and a batch of random rows.

    One output is a regression with the mean squared error, several are classes with softmax and
    crossentropy.
    """

    widths: tuple[int, ...]
    rows: int = 32

    @property
    def name(self) -> str:
        """The widths, from input to output."""
        return "-".join(map(str, self.widths))

    def model(self, dtype: str) -> Model:
        """The compiled model; its weights are the same in every dtype."""
        *hidden, outputs = self.widths[1:]
        stack = [layers.Dense(units, "tanh") for units in hidden]
        stack.append(layers.Dense(outputs, "softmax" if outputs > 1 else None))
        model = Sequential(stack, self.widths[0], "float32", seed=0)
        loss = "sparse_categorical_crossentropy" if outputs > 1 else "mean_squared_error"
        model.compile("sgd", loss)
        return model.copy(dtype)

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs that float32 holds exactly, and targets."""
        random = np.random.default_rng(0)
        x = random.standard_normal((self.rows, self.widths[0]), np.float32)
        if self.widths[-1] > 1:
            return x, random.integers(0, self.widths[-1], self.rows)
        return x, random.standard_normal((self.rows, 1), np.float32)


LADDER = (
    Network((4, 8, 1)),
    Network((8, 16, 16, 1)),
    Network((32, 64, 64, 1)),
    Network((64, 128, 128, 10)),
)


# ---- the contenders ------------------------------------------------------------------------------


def compiled_gradient(model: Model, x: Any, y: Any) -> Gradient:
    """The plan that `fit` uses; the gradient is in ``model.gradients``."""
    rows, targets, _ = _feeding.examples(model, x, y)
    plan = _plans.plan_for(model, "fit", count(rows))
    return lambda: plan.gradients_of(rows, targets, None, count(rows))


class NumpyGradient:
    """Forward and backward as one writes them by hand in NumPy, in the model's dtype.

    Sums and activations are worked on in place, the gradients go straight into views of one vector
    `gradients`, and softmax with crossentropy is differentiated as one.
    """

    def __init__(self, model: Model, x: Any, y: Any) -> None:
        rows, targets, _ = _feeding.examples(model, x, y)
        (self.y,) = each(targets)
        (self.x,) = each(rows)
        self.gradients = np.empty_like(model.parameters)
        weights = model.get_weights()
        self.kernels, self.biases = weights[::2], weights[1::2]
        ends = itertools.accumulate(weight.size for weight in weights)
        views = [
            self.gradients[end - weight.size : end].reshape(weight.shape)
            for end, weight in zip(ends, weights, strict=True)
        ]
        self.dkernels, self.dbiases = views[::2], views[1::2]
        self.head = _squared_error if self.kernels[-1].shape[1] == 1 else _crossentropy

    def __call__(self) -> float:
        last = len(self.kernels) - 1
        values = [self.x]
        for layer, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            z = values[-1] @ kernel
            z += bias
            values.append(z if layer == last else np.tanh(z, out=z))
        loss, delta = self.head(values[-1], self.y)
        for layer in range(last, -1, -1):
            np.matmul(values[layer].T, delta, out=self.dkernels[layer])
            delta.sum(axis=0, out=self.dbiases[layer])
            if layer > 0:
                delta = delta @ self.kernels[layer].T
                slope = values[layer]
                slope *= slope
                np.subtract(1, slope, out=slope)
                delta *= slope
        return loss


def _squared_error(output: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    delta = output - target
    loss = np.vdot(delta, delta) / delta.size
    delta *= 2 / delta.size
    return float(loss), delta


def _crossentropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    rows = np.arange(len(labels))
    logits -= logits.max(axis=1, keepdims=True)
    delta = np.exp(logits)
    sums = delta.sum(axis=1, keepdims=True)
    loss = (np.log(sums[:, 0]) - logits[rows, labels]).mean()
    delta /= sums
    delta[rows, labels] -= 1
    delta /= len(labels)
    return float(loss), delta


class Differences:
    """The slow way: nudge a parameter up and down and look at the compiled loss.

    Central differences with the step of :func:`fastweights.check_gradients`, for float64 models;
    `gradients` has what was found, NaN where nothing was nudged yet.
    """

    def __init__(self, model: Model, x: Any, y: Any) -> None:
        self.rows, self.targets, _ = _feeding.examples(model, x, y)
        self.plan = _plans.plan_for(model, "infer", count(self.rows))
        self.parameters = model.parameters
        self.gradients = np.full(model.parameters.size, np.nan)

    def loss(self) -> float:
        """The mean loss of the batch."""
        tally = self.plan.tally()
        self.plan.infer(self.rows, self.targets, None, 0, count(self.rows), 0.0, tally)
        return tally.loss_sum / count(self.rows)

    def __call__(self, which: Iterable[int]) -> None:
        parameters, gradients, loss = self.parameters, self.gradients, self.loss
        for i in which:
            value = parameters.item(i)
            step = STEP * max(1.0, abs(value))
            above, below = value + step, value - step
            parameters[i] = above
            loss_above = loss()
            parameters[i] = below
            loss_below = loss()
            parameters[i] = value
            gradients[i] = (loss_above - loss_below) / (above - below)


# ---- side by side --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """One network in one dtype. Times are seconds a gradient, errors as `largest_error` says.

    The differences are always taken in float64, the only dtype with digits enough: `differences`
    is None in a float32 row, its error says how far float32 is from them.
    """

    network: str
    rows: int
    dtype: str
    parameters: int
    nudged: int
    compiled: float
    numpy: float
    differences: float | None
    error_to_numpy: float
    error_to_differences: float

    def figures(self) -> dict[str, Any]:
        """All fields, and how many compiled gradients fit into the time of each of the others."""
        slow = self.differences
        return {
            **asdict(self),
            "times_numpy": self.numpy / self.compiled,
            "times_differences": None if slow is None else slow / self.compiled,
        }


def compare(network: Network, rounds: int = ROUNDS) -> list[Comparison]:
    """Lets the contenders take turns on one network; a row for float64 and one for float32."""
    x, y = network.batch()
    models = {dtype: network.model(dtype) for dtype in ("float64", "float32")}
    compiled = {dtype: compiled_gradient(model, x, y) for dtype, model in models.items()}
    by_hand = {dtype: NumpyGradient(model, x, y) for dtype, model in models.items()}
    nudging = Differences(models["float64"], x, y)
    parameters = models["float64"].count_params()
    nudged = min(parameters, MAX_NUDGED)
    turns = _turns(nudging, np.random.default_rng(0).permutation(parameters)[:nudged], rounds)

    contenders: list[Gradient] = [*compiled.values(), *by_hand.values()]
    blocks = [(call, _calls_a_block(call)) for call in contenders]
    times: list[list[float]] = [[] for _ in blocks]
    nudge_times = []
    for turn in turns:
        for (call, calls), taken in zip(blocks, times, strict=True):
            taken.append(_seconds(call, calls))
        nudge_times += [_seconds(nudging, 1, block) / len(block) for block in turn]
    best = [min(taken) for taken in times]
    slow = min(nudge_times) * parameters

    return [
        Comparison(
            network.name,
            network.rows,
            dtype,
            parameters,
            nudged,
            compiled_time,
            numpy_time,
            slow if dtype == "float64" else None,
            largest_error(models[dtype].gradients, by_hand[dtype].gradients),
            largest_error(models[dtype].gradients, nudging.gradients),
        )
        for dtype, compiled_time, numpy_time in zip(models, best[:2], best[2:], strict=True)
    ]


def _turns(nudging: Differences, order: np.ndarray, rounds: int) -> list[list[list[int]]]:
    """For each round the blocks of parameters to nudge: all of `order`, small ones repeatedly."""
    size = _calls_a_block(nudging, order[:1].tolist())
    blocks = math.ceil(order.size / (rounds * size))
    return np.resize(order, (rounds, blocks, size)).tolist()


def _seconds(work: Callable[..., object], calls: int, *arguments: object) -> float:
    """The time of one call, from a block of them."""
    began = time.perf_counter()
    for _ in range(calls):
        work(*arguments)
    return (time.perf_counter() - began) / calls


def _calls_a_block(work: Callable[..., object], *arguments: object) -> int:
    """How many calls fill a block."""
    return max(1, round(BLOCK_SECONDS / min(_seconds(work, 1, *arguments) for _ in range(10))))


def largest_error(gradient: np.ndarray, reference: np.ndarray) -> float:
    """The greatest distance of an entry from the reference's, over the reference's greatest entry.

    Entries that the reference leaves out (NaN) do not count.
    """
    known = ~np.isnan(reference)
    away = np.abs(gradient[known] - reference[known]).max()
    return float(away / np.abs(reference[known]).max())


# ---- the machine ---------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the times depend on: CPU, level, threads and versions."""
    settings = config()
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "cpu_level": settings["cpu_level"],
        "num_threads": settings["num_threads"],
        "system": f"{platform.system()} {platform.machine()}",
        "fastweights": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    """The CPU's name as Linux or macOS know it, else what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


# ---- a process of its own ------------------------------------------------------------------------


def race() -> Iterator[dict[str, Any]]:
    """Yields `machine`, then the figures of each `Comparison` of the ladder as it is done."""
    command = [sys.executable, "-m", "fastweights.benchmarks"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
        cwd=Path(__file__).parents[1],  # where the import finds this very package
    ) as process:
        yield from map(json.loads, process.stdout or ())
    if process.returncode:
        raise ChildProcessError(f"the benchmark's process ended with code {process.returncode}")


def main() -> None:
    """What the process does."""
    print(json.dumps(machine()), flush=True)
    for network in LADDER:
        for row in compare(network):
            print(json.dumps(row.figures()), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
