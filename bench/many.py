"""Sixteen networks of `policy`: at once, one after another, and by PyTorch one after another.

``python -m bench.many`` prints how many times faster `fastweights.fit_many` is than each;
contenders take turns, and the best of each is taken. Seconds of CPU time, which other processes
hardly change, say what the work costs; those of the clock are worth something where the threads had
as many CPUs as there are, which the last column says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import fastweights as fw
from bench.peers.contenders import Fastweights, Torch
from bench.peers.workloads import WORKLOADS, Task
from fastweights.cli.output import text_table

NETS, EPOCHS, TURNS = 16, 10, 5


def main() -> None:
    workload = next(one for one in WORKLOADS if one.name == "policy")
    task = Task.of(workload, "adam")
    ours = [Fastweights(task) for _ in range(NETS)]
    models = [one.model for one in ours]

    def at_once() -> None:
        fw.fit_many(models, ours[0].x, ours[0].y, workload.batch, EPOCHS, verbose=0)

    def in_turn() -> None:
        for model in models:
            with fw.threads(1):
                model.fit(ours[0].x, ours[0].y, workload.batch, EPOCHS, verbose=0)

    contenders: dict[str, Callable[[], None]] = {"fit_many": at_once, "one after another": in_turn}
    if Torch.is_there():
        import torch

        torch.set_num_threads(1)
        theirs = [Torch(task) for _ in range(NETS)]

        def theirs_in_turn() -> None:
            for one in theirs:
                one.train(1)

        contenders["PyTorch, one after another"] = theirs_in_turn
    best = dict.fromkeys(contenders, (math.inf, math.inf))
    for _ in range(TURNS):
        for name, train in contenders.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            train()
            epochs = 1 if name.startswith("PyTorch") else EPOCHS
            seconds = (time.perf_counter() - began) / epochs
            best[name] = min(best[name], (seconds, (time.process_time() - cpu_began) / epochs))
    print(f"{NETS} networks, {fw.get_num_threads()} threads, milliseconds an epoch of all of them")
    lines = [["", "clock", "times fit_many's", "CPU time", "CPUs had"]]
    for name, (seconds, cpu) in best.items():
        ratio, had = f"{seconds / best['fit_many'][0]:.2f}", f"{cpu / seconds:.2f}"
        lines.append([name, f"{1e3 * seconds:.1f}", ratio, f"{1e3 * cpu:.1f}", had])
    print(text_table(lines))


if __name__ == "__main__":
    main()
