"""Layers that Keras has too, with settings, and what Keras makes of them.

``python keras_layers.py FILE.npz`` writes weights, rows, outputs and gradients of all of them, in
float64; `test_parity_keras.py` runs it and compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROWS = 4


@dataclass(frozen=True)
class Case:
    """A layer of a library's `layers`, the shapes of what it reads, and what a call says."""

    make: Callable[[Any], Any]
    shapes: tuple[tuple[int, ...], ...]
    told: dict[str, Any] = field(default_factory=dict)
    #: Where what is read are places in a table: how many there are.
    places: int | None = None
    #: 0 in all of a step's numbers from some step on, another one in each row.
    has_ends: bool = False
    training: bool = False


def of(
    name: str, shapes: tuple[int, ...] | list[tuple[int, ...]], *given: Any, **settings: Any
) -> Case:
    """One whose settings are plain."""
    shapes = tuple(shapes) if isinstance(shapes, list) else (shapes,)
    own = {key: settings.pop(key) for key in CASE_SETTINGS if key in settings}
    return Case(lambda layers: getattr(layers, name)(*given, **settings), shapes, **own)


CASE_SETTINGS = ("told", "places", "has_ends", "training")


def recurrent(name: str) -> list[Case]:
    more = [{"reset_after": False}, {"reset_after": False, "use_bias": False}]
    return [
        of(name, (5, 3), 4),
        of(name, (5, 3), 4, return_sequences=True, go_backwards=True),
        of(name, (1, 2), 9, use_bias=False, activation="softsign"),
        of("Masked", (6, 2), name, 5, has_ends=True, return_sequences=True),
        of("Masked", (6, 2), name, 3, has_ends=True),
        *(of(name, (4, 2), 3, **one) for one in more if name == "GRU"),
    ]


def images(rank: int, *sizes: int) -> tuple[int, ...]:
    """The shape of a series, or of images: as many sizes as axes, and the channels."""
    return (*sizes[:rank], sizes[-1])


def spatial(rank: int) -> list[Case]:
    kind, shape, few = f"{rank}D", images(rank, 8, 7, 4), images(rank, 5, 4, 3)
    convolutions = [
        {},
        {"strides": 2, "padding": "same"},
        {"dilation_rate": 2, "activation": "tanh"},
        {"groups": 2, "use_bias": False, "padding": "same"},
        *([{"padding": "causal", "dilation_rate": 2}] if rank == 1 else []),
    ]
    by_channel = [
        {},
        {"strides": 2, "padding": "same", "depth_multiplier": 2},
        {"dilation_rate": 2, "use_bias": False, "activation": "relu"},
    ]
    transposed = [
        {},
        {"strides": 2, "padding": "same"},
        {"strides": 3, "activation": "elu"},
        {"strides": 2, "padding": "same", "output_padding": 1},
        {"dilation_rate": 2, "use_bias": False},
    ]
    pooling: list[dict[str, Any]] = [
        {"pool_size": 2},
        {"pool_size": 3, "strides": 1, "padding": "same"},
        {"pool_size": 3, "strides": 2},
    ]
    around: Any = (1, 2) if rank == 1 else ((1, 2), (0, 1))
    return [
        *(of(f"Conv{kind}", shape, 6, 3, **settings) for settings in convolutions),
        *(of(f"DepthwiseConv{kind}", shape, 3, **settings) for settings in by_channel),
        *(of(f"SeparableConv{kind}", shape, 5, 3, **settings) for settings in by_channel),
        *(of(f"Conv{kind}Transpose", few, 4, 3, **settings) for settings in transposed),
        *(
            of(f"{name}Pooling{kind}", shape, **settings)
            for name in ("Max", "Average")
            for settings in pooling
        ),
        *(
            of(f"Global{name}Pooling{kind}", shape, keepdims=keepdims)
            for name in ("Max", "Average")
            for keepdims in (False, True)
        ),
        of(f"ZeroPadding{kind}", few, around),
        of(f"ZeroPadding{kind}", few),
        of(f"Cropping{kind}", shape, around),
        of(f"Cropping{kind}", shape, 1),
        of(f"UpSampling{kind}", few),
        of(f"UpSampling{kind}", few, 3),
    ]


TWO, THREE = [(3, 4), (3, 4)], [(2, 5), (2, 5), (2, 5)]
CAUSAL = {"use_causal_mask": True}

CASES: list[Case] = [
    of("Dense", (5,), 3),
    of("Dense", (2, 4), 9, activation="gelu"),
    of("Dense", (3, 2, 4), 2, use_bias=False),
    *(
        of("Activation", (3, 5), name)
        # Not hard_sigmoid, whose slope in PyTorch is a sixth in float32.
        for name in ("elu", "selu", "silu", "mish", "softplus", "log_softmax", "sigmoid")
    ),
    of("ActivityRegularization", (5,), 0.1),
    of("Add", THREE),
    of("Subtract", TWO),
    of("Multiply", THREE),
    of("Average", THREE),
    of("Maximum", THREE),
    of("Minimum", THREE),
    of("Add", [(3, 1), (1, 4)]),
    of("Concatenate", [(3, 4), (3, 2)]),
    of("Concatenate", [(2, 4), (3, 4)], axis=1),
    of("Dot", [(3, 4), (5, 4)], 2),
    of("Dot", [(3, 4), (4, 2)], (2, 1), normalize=True),
    *(
        of("BatchNormalization", shape, training=training, **settings)
        for shape, settings in (((5,), {}), ((4, 3), {"scale": False, "epsilon": 0.1}))
        for training in (False, True)
    ),
    of("BatchNormalization", (3, 4, 2), center=False, momentum=0.5, training=True),
    of("Normalization", (3,), mean=[1.0, 2.0, 3.0], variance=[0.5, 1.0, 4.0]),
    of("Normalization", (4, 2), mean=0.5, variance=2.0),
    of("LayerNormalization", (5,)),
    of("LayerNormalization", (3, 4), center=False, epsilon=0.1),
    of("RMSNormalization", (3, 4)),
    of("GroupNormalization", (3, 4), 2),
    of("GroupNormalization", (2, 3, 6), -1, scale=False),
    of("UnitNormalization", (3, 4)),
    of("Rescaling", (3, 2), 1.7, offset=-0.3),
    of("Flatten", (3, 2)),
    of("Reshape", (3, 4), (2, -1)),
    of("Permute", (2, 3, 4), (3, 1, 2)),
    of("RepeatVector", (5,), 3),
    of("Identity", (3,)),
    of("ReLU", (9,)),
    of("ReLU", (3, 4), max_value=0.7, negative_slope=0.2, threshold=0.3),
    of("LeakyReLU", (9,), 0.2),
    of("ELU", (9,), 0.7),
    of("PReLU", (3, 4)),
    of("PReLU", (3, 4), shared_axes=1),
    of("Softmax", (3, 4)),
    *(
        of(name, (4, 3), 0.4)
        for name in ("Dropout", "SpatialDropout1D", "AlphaDropout", "GaussianDropout")
    ),
    of("GaussianNoise", (4, 3), 0.4),
    of("Embedding", (3,), 7, 5, places=7),
    of("Embedding", (2, 3), 4, 1, places=4),
    of("ReversibleEmbedding", (3,), 7, 5, places=7),
    of("ReversibleEmbedding", (3, 5), 7, 5, told={"reverse": True}),
    of("ReversibleEmbedding", (4, 3), 6, 3, told={"reverse": True}, logit_soft_cap=2.0),
    *(case for rank in (1, 2) for case in spatial(rank)),
    *(case for name in ("LSTM", "GRU", "SimpleRNN") for case in recurrent(name)),
    *(
        of("BothWays", (5, 3), name, merge_mode=merge, return_sequences=sequences)
        for name, merge, sequences in (
            ("LSTM", "concat", True),
            ("GRU", "sum", False),
            ("SimpleRNN", "ave", True),
            ("LSTM", "mul", False),
        )
    ),
    of("OfSteps", (3, 4), "Dense", 5),
    of("OfSteps", (2, 3, 4), "LayerNormalization"),
    *(
        of("MultiHeadAttention", shapes, 2, 3, told=told, **settings)
        for shapes, told, settings in (
            ([(4, 5), (4, 5)], {}, {}),
            ([(5, 3), (4, 3)], {}, {"value_dim": 2, "use_bias": False}),
            ([(6, 4), (6, 4), (6, 4)], CAUSAL, {"output_shape": 7}),
        )
    ),
    of("GroupQueryAttention", [(5, 4), (5, 4)], 3, 4, 2),
    of("GroupQueryAttention", [(4, 3), (6, 3)], 2, 3, 1, use_bias=False),
    *(
        of("Resizing", (5, 7, 2), *size, interpolation=interpolation, crop_to_aspect_ratio=cut)
        for size in ((3, 4), (9, 8), (10, 3))
        for interpolation in ("bilinear", "nearest")
        for cut in (False, True)
    ),
    of("CenterCrop", (6, 7, 3), 4, 4),
    of("CenterCrop", (4, 7, 3), 5, 6),
    # In inference Keras's makes nothing smaller.
    of("RandomCrop", (4, 5, 2), 4, 5),
    *(
        of(f"Random{name}", (4, 5, 2), *given)
        for name, given in (
            ("Flip", ()),
            ("Translation", (0.3, 0.3)),
            ("Rotation", (0.3,)),
            ("Zoom", (0.3,)),
            ("Contrast", (0.3,)),
            ("Brightness", (0.3, (-5.0, 5.0))),
            ("Erasing", ()),
        )
    ),
]


def wrapped(layers: Any, name: str) -> Callable[..., Any]:
    """What a case calls for: a class of the library, or one of those that hold another layer."""

    def masked(kind: str, units: int, **settings: Any) -> list[Any]:
        return [layers.Masking(), getattr(layers, kind)(units, **settings)]

    def both_ways(kind: str, merge_mode: str, **settings: Any) -> Any:
        return layers.Bidirectional(getattr(layers, kind)(4, **settings), merge_mode)

    def of_steps(kind: str, *given: Any) -> Any:
        return layers.TimeDistributed(getattr(layers, kind)(*given))

    holding = {"Masked": masked, "BothWays": both_ways, "OfSteps": of_steps}
    return holding[name] if name in holding else getattr(layers, name)


class Library:
    """A library's layers, with those that hold another one by a name of their own."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return wrapped(self.layers, name)


def chain(case: Case, layers: Any) -> list[Any]:
    """The layers of a case one behind the other."""
    made = case.make(Library(layers))
    return made if isinstance(made, list) else [made]


def names(cases: list[Case], layers: Any) -> set[str]:
    """Of all classes that are compared."""
    found = [layer for case in cases for layer in chain(case, layers)]
    return {type(layer).__name__ for layer in found}


def rows_of(case: Case, random: np.random.Generator) -> list[np.ndarray]:
    if case.places is not None:
        return [random.integers(0, case.places, (ROWS, *shape)) for shape in case.shapes]
    rows = [random.standard_normal((ROWS, *shape)) for shape in case.shapes]
    if case.has_ends:
        for number, row in enumerate(rows[0]):
            row[number + 1 :] = 0
    return rows


def made_of(stack: list[Any], inputs: list[Any], told: dict[str, Any]) -> Any:
    """What the layers make of inputs; a merge takes several as a list, attention one by one."""
    first, *others = stack
    is_one_by_one = len(inputs) == 1 or "Attention" in type(first).__name__
    value = first(*inputs, **told) if is_one_by_one else first(inputs, **told)
    for layer in others:
        value = layer(value)
    return value


def told_by_keras(case: Case, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights, rows and `dy`, which are drawn, and what Keras makes of them, on PyTorch."""
    import keras
    import torch

    stack = chain(case, keras.layers)
    dtype = "float64" if case.places is None else "int32"
    inputs = [keras.Input(shape, dtype=dtype) for shape in case.shapes]
    model = keras.Model(inputs, made_of(stack, inputs, case.told))
    # What Normalization is told is no weight of it.
    is_told = type(stack[0]).__name__ == "Normalization"
    weights = [] if is_told else [drawn(weight, random) for weight in model.weights]
    if not is_told:
        model.set_weights(weights)
    x = rows_of(case, random)
    given = [torch.tensor(one).requires_grad_(case.places is None) for one in x]
    y = model(given if len(given) > 1 else given[0], training=case.training)
    dy = random.standard_normal(tuple(y.shape))
    wanted = [weight.value for weight in model.trainable_weights]
    wanted += given if case.places is None else []
    total = (y * torch.tensor(dy)).sum() + sum(model.losses)
    found = [one.numpy() for one in torch.autograd.grad(total, wanted)]
    count = len(model.trainable_weights)
    arrays = {"weights": weights, "x": x, "dweights": found[:count], "dx": found[count:]}
    arrays["left"] = [] if is_told else model.get_weights()
    numbered = {f"{name}{i}": one for name, many in arrays.items() for i, one in enumerate(many)}
    return {"y": y.detach().numpy(), "dy": dy, **numbered}


def drawn(weight: Any, random: np.random.Generator) -> np.ndarray:
    low = 0.5 if "variance" in weight.path else -0.7
    return random.uniform(low, low + 1.4, tuple(weight.shape))


def main(path: str) -> None:
    import keras
    from keras.src.backend.common import dtypes

    # Of two float64 Keras makes a float32, but under TensorFlow.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    keras.config.set_floatx("float64")
    found = {}
    for number, case in enumerate(CASES):
        random = np.random.default_rng(number)
        found |= {f"{number} {name}": one for name, one in told_by_keras(case, random).items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
