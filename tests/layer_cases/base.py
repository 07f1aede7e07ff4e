"""A case: a layer, rows for it and what the oracle makes of them; the network around it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastweights as fw
from fastweights import layers
from fastweights.layers.ops import lines_of, op


class Merged(layers.Layer):
    """What a layer of several values makes of what branches make of one; `told` is said to it."""

    def __init__(self, merge, branches, told=None, name=None):
        super().__init__(name)
        self.merge, self.branches, self.told = merge, branches, told or {}

    def variables(self, shape):
        return self.merge.variables(*(branch.output_shape(shape) for branch in self.branches))

    def ops(self, x):
        return self.merge.ops(*(branch.ops(x) for branch in self.branches), **self.told)

    def config(self):
        return {
            "merge": self.merge,
            "branches": self.branches,
            "told": self.told,
            "name": self.name,
        }


class Masked(Merged):
    """A layer for which the steps do not count whose numbers are all below 0."""

    def __init__(self, layer, name=None):
        super().__init__(layer, (), name=name)

    def variables(self, shape):
        return self.merge.variables(shape)

    def ops(self, x):
        above = op("activation", x, activation="relu")
        mask = op("mask_steps", above, shape=x.shape[:-1], lines=x.lines, options=(0.0,))
        return self.merge.made_of(x._replace(mask=mask))

    def config(self):
        return {"layer": self.merge, "name": self.name}


class Begun(Merged):
    """A recurrent layer whose states begin as the first steps of x, and all that it makes.

    The steps behind these are its series, masked where all numbers are below 0.
    """

    def __init__(self, layer, begins, masked=False, name=None):
        super().__init__(layer, (), name=name)
        self.begins, self.masked = begins, masked

    def variables(self, shape):
        return self.merge.variables((shape[0] - self.begins, shape[1]))

    def ops(self, x):
        states = [lines_of(x, k, k + 1).reshaped(x.features) for k in range(self.begins)]
        series = lines_of(x, self.begins, x.lines)
        if self.masked:
            above = op("activation", series, activation="relu")
            mask = op("mask_steps", above, shape=series.lines, lines=series.lines, options=(0.0,))
            series = series._replace(mask=mask)
        made = self.merge.results_of(series, *states)
        return op("concatenate", *made, shape=sum(math.prod(value.shape) for value in made))

    def config(self):
        return {
            "layer": self.merge,
            "begins": self.begins,
            "masked": self.masked,
            "name": self.name,
        }


@dataclass(frozen=True)
class Case:
    """A layer, the shape of its rows, and the oracle's function of x and the layer's weights, which
    are drawn around a number."""

    make: Callable[[], layers.Layer]
    shape: tuple[int, ...]
    oracle: Callable[..., np.ndarray]
    smooth: bool = True
    around: float = 1.0


def model_between(case, dtype="float64", outputs=2):
    """The layer between dense ones, or first if it must be; its weights drawn, not compiled."""
    layer, before, shape = case.make(), [], case.shape
    if not isinstance(layer, layers.Embedding):
        before, shape = [layers.Dense(case.shape[-1], "tanh")], (*case.shape[:-1], 3)
    stack = [*before, layer, layers.Flatten(), layers.Dense(outputs)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "layers: Flatten .* reads masked steps")
        model = fw.Sequential(stack, shape, dtype, seed=0)
    random = np.random.default_rng(1)
    for weight in layer.weights.values():
        weight[...] = case.around + 0.3 * random.standard_normal(weight.shape)
    return model


def rows_for(model, rows, random):
    """Rows that a model takes: whole numbers if its first layer reads such."""
    shape = (rows, *model.input_shape)
    if isinstance(model.layers[0], layers.Embedding):
        return random.integers(0, model.layers[0].input_dim, shape)
    return random.standard_normal(shape)
