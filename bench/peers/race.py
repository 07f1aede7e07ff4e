"""Contenders take turns, so that what else the machine does hits all of them alike.

Each setting of threads has a process of its own, in which all contenders are: JAX's pool of threads
is as large as the CPUs that the process may run on when JAX starts, and can be told nothing later.
`run` starts that process, bound to as many CPUs as it has threads, and reads its lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers import precision
from bench.peers.contenders import CONTENDERS, OURS, Contender, Fastweights
from bench.peers.workloads import WORKLOADS, Task, Workload
from fastweights import _dispatch

Figures = dict[str, Any]

#: A block, the epochs that are timed together, is at least so long: far above the clock's noise.
BLOCK_SECONDS = 0.02

#: Before each block: the threads of the contender before it look for work a while, OpenBLAS's for a
#: tenth of a second, then sleep.
PAUSE_SECONDS = 0.12

#: Ours with one thread, which takes its turns where there are several.
OURS_ALONE = f"{OURS} on one thread"

#: Rounds that are run however long they take.
MIN_ROUNDS = 3

#: The registers' peak is the best of so many blocks.
PEAK_BLOCKS = 10


@dataclass(frozen=True)
class Settings:
    """What one process runs; the names of workloads, optimizers and contenders."""

    threads: int
    workloads: list[str]
    optimizers: list[str]
    contenders: list[str]
    seconds: float
    precisions: bool

    def tasks(self) -> Iterator[tuple[Workload, str]]:
        """Workload and optimizer of each row."""
        for workload in WORKLOADS:
            for optimizer in workload.optimizers:
                if workload.name in self.workloads and optimizer in self.optimizers:
                    yield workload, optimizer


# ---- side by side --------------------------------------------------------------------------------


def race(contenders: Mapping[str, Contender], steps: int, seconds: float) -> dict[str, Figures]:
    """Rounds of blocks, for about so many seconds; best and median time of a step of each.

    Contenders have been trained before, so that all that happens only once has happened.
    """
    blocks = dict.fromkeys(contenders, 1)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times[next(iter(times))]) < MIN_ROUNDS:
        for name, contender in contenders.items():
            time.sleep(PAUSE_SECONDS)
            began = time.perf_counter()
            contender.train(blocks[name])
            taken = time.perf_counter() - began
            times[name].append(taken / (blocks[name] * steps))
            if taken < BLOCK_SECONDS:
                blocks[name] = round(blocks[name] * BLOCK_SECONDS / taken + 0.5)
    return {
        name: {"best": min(taken), "median": statistics.median(taken), "blocks": len(taken)}
        for name, taken in times.items()
    }


def compare(workload: Workload, optimizer: str, settings: Settings) -> Figures:
    """One row: the loss that each reaches in the same number of steps, then their times."""
    task = Task.of(workload, optimizer)
    able = [name for name in settings.contenders if CONTENDERS[name].can_train(workload)]
    contenders = {name: CONTENDERS[name](task) for name in able}
    losses = {}
    for name, contender in contenders.items():
        time.sleep(PAUSE_SECONDS)
        contender.train(workload.epochs)
        losses[name] = workload.loss(contender.weights(), task.x, task.y)
    several = settings.threads > 1 and OURS in contenders
    alone = {OURS_ALONE: Fastweights(task, threads=1)} if several else {}
    for contender in alone.values():
        contender.train(1)
    times = race({**contenders, **alone}, workload.steps, settings.seconds)
    return {
        "workload": workload.name,
        "shape": workload.shape,
        "optimizer": optimizer,
        "threads": settings.threads,
        "flops": workload.flops,
        "peak": peak(settings.threads),
        "loss_steps": workload.epochs * workload.steps,
        "loss_before": workload.loss(task.weights, task.x, task.y),
        "contenders": {name: {**times[name], "loss": losses[name]} for name in contenders},
        "one_thread": times.get(OURS_ALONE),
    }


def compare_precisions(settings: Settings) -> Figures:
    """The workload of `precision`, each contender and precision in turn."""
    task = Task.of(precision.WORKLOAD, "sgd")
    contenders = precision.contenders(task, settings.contenders)
    for contender in contenders.values():
        contender.train(1)
    times = race(contenders, precision.WORKLOAD.steps, settings.seconds)
    errors = precision.errors(contenders)
    return {
        "workload": precision.WORKLOAD.name,
        "threads": settings.threads,
        "precisions": {name: {**times[name], "error": errors[name]} for name in contenders},
    }


def peak(threads: int) -> float:
    """Operations a second that so many threads reach together in float32 registers."""
    kernels = _dispatch.kernels(np.dtype("float32"))

    def rate(links: int) -> float:
        began = time.perf_counter()
        done = sum(operations for operations, _ in pool.map(kernels.peak, [links] * threads))
        return done / (time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        operations, _ = kernels.peak(1)
        links = int(max(rate(10_000) for _ in range(3)) / threads * BLOCK_SECONDS / operations)
        return max(rate(links) for _ in range(PEAK_BLOCKS))


# ---- a process of its own ------------------------------------------------------------------------


def run(settings: Settings) -> Iterator[Figures]:
    """Yields the rows of `compare`, and of `compare_precisions` if asked for, as they are done."""
    count = str(settings.threads)
    environment = {
        "OMP_NUM_THREADS": count,
        "FASTWEIGHTS_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
    }
    if settings.threads == 1:
        # The only way to tell XLA; with one CPU it is the faster, too.
        environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, "-m", "bench.peers.race", json.dumps(asdict(settings))]
    with (
        bound_to(settings.threads),
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            cwd=Path(__file__).parents[2],
        ) as process,
    ):
        yield from map(json.loads, process.stdout or ())
    if process.returncode:
        raise ChildProcessError(f"the race's process ended with code {process.returncode}")


def available_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def bound_to(threads: int) -> Iterator[None]:
    """Binds this process, and those it starts meanwhile, to so many CPUs, where a system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores_first(before)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores_first(cpus: set[int]) -> list[int]:
    """One CPU of each core, then the cores' other CPUs."""

    def place(cpu: int) -> tuple[int, int]:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        first = siblings.read_text().replace("-", ",").split(",")[0] if siblings.exists() else cpu
        return int(cpu != int(first)), cpu

    return sorted(cpus, key=place)


def main() -> None:
    """What the process does."""
    settings = Settings(**json.loads(sys.argv[1]))
    for workload, optimizer in settings.tasks():
        print(json.dumps(compare(workload, optimizer, settings)), flush=True)
    if settings.precisions:
        print(json.dumps(compare_precisions(settings)), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
