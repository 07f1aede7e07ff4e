"""Where the linear path of a network begins: at the best linear model of the features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastweights import layers, optimizers, regularizers
from fastweights.models import Sequential

#: What the squares of the weights cost, from much to little; each fit begins where the last ended.
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: Steps of L-BFGS for each of them.
STEPS = 20
#: Rows that are looked at, of those to learn from and of those that say which penalty is the best.
MOST_ROWS = 20_000


class Linear(NamedTuple):
    """``x @ kernel + bias``: (features, outputs) and (outputs,)."""

    kernel: np.ndarray
    bias: np.ndarray


class Examples(NamedTuple):
    """Features (rows, features), targets (rows, 1) and, where rows count, weights (rows,)."""

    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None


def ridge(train: Examples, held_out: Examples) -> Linear:
    """The ridge regression of some rows, whose penalty is the best on others.

    By L-BFGS on compiled kernels: the bits are the same whatever the number of threads, as those of
    a linear algebra library are not.
    """
    found: list[tuple[float, Linear]] = []
    start = None
    for penalty in PENALTIES:
        kept = regularizers.L2(penalty)
        dense = layers.Dense(1, kernel_initializer="zeros", kernel_regularizer=kept)
        model = Sequential([dense], train.x.shape[1:], seed=0)
        model.compile(optimizers.LBFGS(), "mean_squared_error", ["mean_squared_error"])
        if start is not None:
            model.parameters[:] = start
        model.fit(train.x, train.targets, epochs=STEPS, verbose=0, sample_weight=train.weights)
        start = model.parameters.copy()
        figures = model.evaluate(
            held_out.x,
            held_out.targets,
            verbose=0,
            sample_weight=held_out.weights,
            return_dict=True,
        )
        assert isinstance(figures, dict)
        line = Linear(dense.kernel.copy(), dense.bias.copy())
        found.append((figures["mean_squared_error"], line))
    return min(found, key=lambda one: one[0])[1]
