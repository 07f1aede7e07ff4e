"""Matrix products of float32 numbers at less than float32 accuracy: how fast, and how exact.

fastweights and PyTorch can be told so, by the same names: "highest", "high" and "medium".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.peers.contenders import Fastweights, Torch
from bench.peers.workloads import WORKLOADS, Task

PRECISIONS = ("highest", "high", "medium")

LIBRARIES = (Fastweights, Torch)

#: Where the products are large enough to matter.
WORKLOAD = next(workload for workload in WORKLOADS if workload.name == "wide")


def contenders(task: Task, names: Sequence[str]) -> dict[str, Fastweights | Torch]:
    """Each of the libraries named that knows precisions, at each precision."""
    return {
        f"{library.name} {precision}": library(task, precision)
        for library in LIBRARIES
        if library.name in names
        for precision in PRECISIONS
    }


def errors(contenders: dict[str, Fastweights | Torch]) -> dict[str, float]:
    """The distance of one product from that in float64, in the Frobenius norm, over its norm."""
    random = np.random.default_rng(0)
    rows, inputs, outputs = WORKLOAD.batch, *WORKLOAD.network.products()[1][1:]
    a = random.standard_normal((rows, inputs), np.float32)
    b = random.standard_normal((inputs, outputs), np.float32)
    exact = a.astype(float) @ b.astype(float)

    def error(contender: Fastweights | Torch) -> float:
        return float(np.linalg.norm(contender.product(a, b) - exact) / np.linalg.norm(exact))

    return {name: error(contender) for name, contender in contenders.items()}
