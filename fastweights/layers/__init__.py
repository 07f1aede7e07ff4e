"""Layers: descriptions of what a model computes."""

from fastweights.layers.base import Layer, Variable
from fastweights.layers.dense import Dense
from fastweights.layers.noise import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
)
from fastweights.layers.ops import Value, op
from fastweights.layers.shaping import Activation, Flatten

#: Every layer by the name of its class, as saved models name it.
LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation, AlphaDropout, Dense, Dropout, Flatten, GaussianDropout, GaussianNoise,
        SpatialDropout1D,
    )
}  # fmt: skip

__all__ = [
    "LAYERS", "Activation", "AlphaDropout", "Dense", "Dropout", "Flatten", "GaussianDropout",
    "GaussianNoise", "Layer", "SpatialDropout1D", "Value", "Variable", "op",
]  # fmt: skip
