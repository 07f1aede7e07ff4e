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
from fastweights.layers.attention import GroupQueryAttention, MultiHeadAttention
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
from fastweights.layers.convolution import Conv1D, Conv2D
from fastweights.layers.dense import Dense
from fastweights.layers.embedding import Embedding, ReversibleEmbedding
from fastweights.layers.framing import (
    Cropping1D,
    Cropping2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from fastweights.layers.masking import Masking
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
    Scale,
    UnitNormalization,
)
from fastweights.layers.ops import Value, op
from fastweights.layers.own import NumpyLayer
from fastweights.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from fastweights.layers.positions import (
    PositionEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
)
from fastweights.layers.recurrent import GRU, LSTM, SimpleRNN
from fastweights.layers.resizing import CenterCrop, RandomCrop, Resizing
from fastweights.layers.separable import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from fastweights.layers.shaping import Flatten, Identity, Permute, RepeatVector, Reshape
from fastweights.layers.standardizing import BatchNormalization, Normalization
from fastweights.layers.transposed import Conv1DTranspose, Conv2DTranspose
from fastweights.layers.wrapping import Bidirectional, TimeDistributed

__all__ = [
    "ELU",
    "GRU",
    "LAYERS",
    "LSTM",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "GroupQueryAttention",
    "Identity",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "MemberDense",
    "MemberScale",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "NumpyLayer",
    "PReLU",
    "Permute",
    "PositionEmbedding",
    "RMSNormalization",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "RotaryEmbedding",
    "Scale",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SinePositionEncoding",
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "Value",
    "Variable",
    "ZeroPadding1D",
    "ZeroPadding2D",
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
