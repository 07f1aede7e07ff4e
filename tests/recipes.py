"""Random networks as recipes: calls of layers on values, which any library can follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch_layers import LOSSES

from fastweights import layers
from fastweights.layers.ops import given

#: Numbers of a row beyond which a value grows no more, and a bound beyond which it is squashed.
MANY, LARGE = 160, 6.0


@dataclass
class Step:
    """A call of a layer on values that are there already, by their numbers."""

    layer: layers.Layer
    reads: list[int]
    #: Settings of the call.
    told: dict[str, Any]


@dataclass
class Head:
    """A value that is an output, and what it is trained for."""

    value: int
    loss: str
    weight: float


@dataclass
class Recipe:
    """A network as calls of layers; values are first its inputs, then what each call makes."""

    random: np.random.Generator
    inputs: list[tuple[int, ...]]
    #: Of which inputs, the last ones, the numbers are places in a table, of which each has so many.
    categories: dict[int, int]
    steps: list[Step] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    #: How large the numbers of each value may be, roughly.
    bounds: list[float] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shapes, self.bounds = list(self.inputs), [2.0] * len(self.inputs)
        for number, categories in self.categories.items():
            size = self.any_of((1, 3, 5))
            trainable = self.chance(0.85)
            is_reversible = categories % 2 == 0
            kind = layers.ReversibleEmbedding if is_reversible else layers.Embedding
            table = kind(categories, size, trainable=trainable)
            made = self.call(table, [number], 1.0)
            self.shapes[number] = ()  # for no other layer
            if is_reversible:
                self.call(table, [made], 1.0 * size, reverse=True)

    def call(self, layer: layers.Layer, reads: list[int], bound: float, **told: Any) -> int:
        """Adds a call, squashed where its numbers would grow; the number of what it makes."""
        values = [given(self.shapes[read]) for read in reads]
        self.steps.append(Step(layer, reads, told))
        self.shapes.append(layer.made_of(*values, **told).shape)
        self.bounds.append(bound)
        made = len(self.shapes) - 1
        return made if bound <= LARGE else self.call(layers.Activation("tanh"), [made], 1.0)

    def depth(self) -> int:
        """The longest chain of calls."""
        depths = [0] * len(self.inputs)
        for step in self.steps:
            depths.append(1 + max(depths[read] for read in step.reads))
        return max(depths)

    def pick(self) -> int:
        """A value of reals, the newest ones more often."""
        reals = [number for number, shape in enumerate(self.shapes) if shape]
        return self.any_of(reals[int(self.random.integers(len(reals))) :])

    def alike(self, number: int) -> list[int]:
        """All values of the shape of this one."""
        return [k for k, shape in enumerate(self.shapes) if shape == self.shapes[number]]

    def any_of(self, choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)


def add_head(recipe: Recipe, x: int, weight: float) -> None:
    """An output by a dense layer, for one of the losses."""
    flat = x if len(recipe.shapes[x]) == 1 else recipe.call(layers.Flatten(), [x], 0.0)
    loss = recipe.any_of(list(LOSSES))
    last = {
        "categorical_crossentropy": "softmax",
        "binary_crossentropy": "sigmoid",
        "poisson": "softplus",
    }.get(loss)
    units = 1 if loss == "binary_crossentropy" and recipe.chance(0.5) else 3
    recipe.heads.append(Head(recipe.call(layers.Dense(units, last), [flat], 0.0), loss, weight))
