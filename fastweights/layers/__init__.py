"""Layers: descriptions of what a model computes."""

from typing import NoReturn

from fastweights._absent import refusal_of
from fastweights.layers.activating import (
    ELU,
    Activation,
    ActivityRegularization,
    LeakyReLU,
    PReLU,
    ReLU,
    Softmax,
)
from fastweights.layers.augmenting import (
    RandomBrightness,
    RandomContrast,
    RandomErasing,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from fastweights.layers.base import Layer, Variable
from fastweights.layers.dense import Dense
from fastweights.layers.embedding import Embedding
from fastweights.layers.members import MemberDense, MemberScale
from fastweights.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from fastweights.layers.noise import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
)
from fastweights.layers.normalizing import (
    GroupNormalization,
    LayerNormalization,
    Rescaling,
    RMSNormalization,
    UnitNormalization,
)
from fastweights.layers.ops import Value, op
from fastweights.layers.own import NumpyLayer
from fastweights.layers.shaping import Flatten, Identity, Permute, RepeatVector, Reshape
from fastweights.layers.standardizing import BatchNormalization, Normalization

__all__ = [
    "ELU",
    "LAYERS",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "MemberDense",
    "MemberScale",
    "Minimum",
    "Multiply",
    "Normalization",
    "NumpyLayer",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "RandomBrightness",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "UnitNormalization",
    "Value",
    "Variable",
    "op",
]

#: Every layer by the name of its class, as saved models name it.
LAYERS: dict[str, type[Layer]] = {
    name: globals()[name]
    for name in __all__
    if name not in ("Layer", "NumpyLayer") and isinstance(globals().get(name), type(Layer))
}


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name)
