"""Layers: descriptions of what a model computes."""

from fastweights.layers.base import Layer, Variable
from fastweights.layers.batch_norm import BatchNormalization
from fastweights.layers.dense import Dense
from fastweights.layers.ops import Value, op
from fastweights.layers.shaping import Activation, Flatten

#: Every layer by the name of its class, as saved models name it.
LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls for cls in (Activation, BatchNormalization, Dense, Flatten)
}

__all__ = [
    "LAYERS",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Flatten",
    "Layer",
    "Value",
    "Variable",
    "op",
]
