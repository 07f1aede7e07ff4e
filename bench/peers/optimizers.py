"""python -m bench.peers.optimizers: what a step of each optimizer costs, beside PyTorch's.

Everyone makes steps in float32 on one thread, by gradients that are there: ours are one call of the
compiled update, theirs ``step()`` of one flat tensor, ``fused`` where there is such an update and
``foreach`` where not. They take turns; a figure is the least CPU time of a block.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from fastweights import _dispatch, optimizers

#: Within the second cache with all that is remembered, about as large as the third, and beyond.
SIZES = (20_000, 200_000, 20_000_000)
BLOCK_SECONDS, ROUNDS = 0.02, 15

RATE = 1e-6
#: Ours, the name of theirs, and its settings.
PAIRS: dict[str, tuple[optimizers.Optimizer, str, dict]] = {
    "SGD": (optimizers.SGD(RATE), "SGD", {}),
    "SGD, momentum": (optimizers.SGD(RATE, 0.9), "SGD", {"momentum": 0.9}),
    "SGD, Nesterov": (
        optimizers.SGD(RATE, 0.9, True),
        "SGD",
        {"momentum": 0.9, "nesterov": True},
    ),
    "Adam": (optimizers.Adam(RATE), "Adam", {}),
    "Adam, AMSGrad": (optimizers.Adam(RATE, amsgrad=True), "Adam", {"amsgrad": True}),
    "AdamW": (optimizers.AdamW(RATE), "AdamW", {}),
    "Adamax": (optimizers.Adamax(RATE), "Adamax", {}),
    "Nadam": (optimizers.Nadam(RATE), "NAdam", {}),
    "RMSprop": (optimizers.RMSprop(RATE), "RMSprop", {}),
    "RMSprop, centered": (optimizers.RMSprop(RATE, centered=True), "RMSprop", {"centered": True}),
    "Adagrad": (optimizers.Adagrad(RATE), "Adagrad", {}),
    "Adadelta": (optimizers.Adadelta(RATE), "Adadelta", {}),
    "Rprop": (optimizers.Rprop(RATE), "Rprop", {}),
}


def ours(optimizer: optimizers.Optimizer, size: int) -> Callable[[], None]:
    """One step of this library on so many parameters."""
    w, g = np.random.default_rng(0).standard_normal((2, size)).astype(np.float32)
    memory = optimizers.Memory.empty(optimizer, size, w.dtype)
    apply, arrays = _dispatch.kernels(w.dtype).apply_update, (w, g, memory.vectors)
    w_at, g_at, state_at, numbers_at = (array.ctypes.data for array in (*arrays, memory.numbers))

    def step(held: tuple = (*arrays, memory.numbers)) -> None:
        """Holds the arrays whose addresses it knows."""
        apply(optimizer.kernel, w_at, g_at, state_at, size, numbers_at)

    return step


def theirs(name: str, settings: dict, size: int) -> dict[str, Callable[[], None]]:
    """One step of PyTorch, in each of the ways that this optimizer has."""
    import torch

    found: dict[str, Callable[[], None]] = {}
    for way in ("fused", "foreach"):
        w = torch.nn.Parameter(torch.randn(size))
        w.grad = torch.randn(size)
        try:
            optimizer = getattr(torch.optim, name)([w], lr=RATE, **settings, **{way: True})
            optimizer.step()
        except (TypeError, RuntimeError):
            continue  # there is no such way
        found[way] = optimizer.step
    return found


def best(steps: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The least seconds of a step of each, in turns."""
    counts = {}
    for name, step in steps.items():
        began, count = time.thread_time(), 0
        while time.thread_time() - began < BLOCK_SECONDS:
            step()
            count += 1
        counts[name] = count
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began = time.thread_time()
            for _ in range(counts[name]):
                step()
            least[name] = min(least[name], (time.thread_time() - began) / counts[name])
    return least


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.optimizers", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="of parameters")
    parser.add_argument("--only", nargs="+", choices=PAIRS, metavar="NAME", help="optimizers")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}; nanoseconds a parameter, and PyTorch's best over ours\n")
    print("| optimizer | parameters | fastweights | fused | foreach | ratio |")
    print("|---|--:|--:|--:|--:|--:|")
    for title in args.only or PAIRS:
        optimizer, name, settings = PAIRS[title]
        for size in args.sizes:
            steps = {"ours": ours(optimizer, size), **theirs(name, settings, size)}
            found = {way: 1e9 * seconds / size for way, seconds in best(steps).items()}
            peers = [f"{found[way]:.3f}" if way in found else "-" for way in ("fused", "foreach")]
            ratio = min(time for way, time in found.items() if way != "ours") / found["ours"]
            row = [title, f"{size:,}", f"{found['ours']:.3f}", *peers, f"{ratio:.2f}"]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
