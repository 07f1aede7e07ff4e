"""The network of an MLP, whose weights are scikit-learn's `coefs_` and `intercepts_`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from fastweights import layers, regularizers
from fastweights.activations import Activation
from fastweights.models import Sequential

#: This library's names for what `out_activation_` may be. The exponential is not the network's:
#: its loss looks at logarithms.
LAST = {"softmax": "softmax", "logistic": "sigmoid", "identity": None, "exp": None}


class Shape(NamedTuple):
    """All that a network is made by, beside its weights."""

    units: tuple[int, ...]
    activations: tuple[Activation, ...]
    dropout: tuple[float, ...]
    last: str
    #: Of the L2 penalty beside the sum of losses.
    alpha: float
    dtype: np.dtype


def network_of(shape: Shape, seed: int) -> Sequential:
    """A network, weights as this library draws them."""
    penalty = regularizers.L2(0.5 * shape.alpha, of_sum=True) if shape.alpha > 0.0 else None
    stack: list[layers.Layer] = []
    for units, activation, rate in zip(
        shape.units[1:-1], shape.activations, shape.dropout, strict=True
    ):
        stack.append(layers.Dense(units, activation, kernel_regularizer=penalty))
        if rate > 0.0:
            stack.append(layers.Dropout(rate))
    stack.append(layers.Dense(shape.units[-1], LAST[shape.last], kernel_regularizer=penalty))
    return Sequential(stack, input_shape=shape.units[0], dtype=shape.dtype, seed=seed)


def views(units: Sequence[int], flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The kernels and the biases that lie in a flat vector one after the other."""
    kernels, biases, at = [], [], 0
    for inputs, outputs in pairwise(units):
        kernels.append(flat[at : at + inputs * outputs].reshape(inputs, outputs))
        at += inputs * outputs
        biases.append(flat[at : at + outputs])
        at += outputs
    return kernels, biases


def drawn(
    shape: Shape, random_state: np.random.RandomState
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Initial weights by scikit-learn's rule, and with its numbers.

    Uniform within ``sqrt(6 / (inputs + outputs))`` (Glorot & Bengio 2010), where the activation is
    the logistic function within ``sqrt(2 / (inputs + outputs))``, biases too; the last layer goes
    by the activation before it.
    """
    kernels, biases = [], []
    names = [one.name for one in shape.activations] or ["linear"]
    for number, (inputs, outputs) in enumerate(pairwise(shape.units)):
        name = names[min(number, len(names) - 1)]
        bound = np.sqrt((2.0 if name == "sigmoid" else 6.0) / (inputs + outputs))
        kernels.append(random_state.uniform(-bound, bound, (inputs, outputs)))
        biases.append(random_state.uniform(-bound, bound, outputs))
    return kernels, biases


def write(views: Sequence[np.ndarray], arrays: Sequence[Any]) -> None:
    """Copies arrays into views of the same shapes."""
    for view, array in zip(views, arrays, strict=True):
        view[...] = array
