"""Networks of convolutions, pooling and frames, of series and of images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from recipes import MANY, Recipe, add_head

from fastweights import layers


def add_convolution(recipe: Recipe, x: int, biased: float = 0.8) -> None:
    """A convolution of some kind, pooling, or a frame, where rows are series or images.

    `biased` is how often a convolution has a bias.
    """
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    rank = len(shape) - 1
    if rank not in (1, 2):
        return
    one = rank == 1

    def sizes(*choices: int, most: int = MANY) -> Any:
        found = tuple(min(recipe.any_of(choices), length, most) for length in shape[:-1])
        return found[0] if one else found

    settings: dict[str, Any] = {
        "strides": sizes(1, 1, 2),
        "padding": recipe.any_of(("valid", "same")),
    }
    if recipe.chance(0.2):
        settings |= {"strides": 1, "dilation_rate": 2}
        if min(shape[:-1]) < 5:
            settings["padding"] = "same"
    weighted = {**settings, "use_bias": recipe.chance(biased), "trainable": recipe.chance(0.85)}
    weighted["activation"] = recipe.any_of(("tanh", "relu", "linear", "gelu"))
    filters, window = recipe.any_of((1, 2, 3, 6)), sizes(1, 2, 3)
    name = recipe.any_of(
        (
            *("Conv", "Conv", "Conv", "DepthwiseConv", "SeparableConv"),
            *("Transpose", "Pooling", "Global", "Frame", "Frame", "Frame"),
        )
    )
    if name == "Conv" and one and recipe.chance(0.3):
        weighted["padding"] = "causal"
    make = getattr(layers, f"{name}{rank}D", None)
    if name == "Conv":
        groups = 2 if shape[-1] % 2 == filters % 2 == 0 and recipe.chance(0.5) else 1
        layer = make(filters, window, groups=groups, **weighted)
    elif name == "DepthwiseConv":
        layer = make(window, depth_multiplier=recipe.any_of((1, 2)), **weighted)
    elif name == "SeparableConv":
        layer = make(filters, window, depth_multiplier=recipe.any_of((1, 2)), **weighted)
    elif name == "Transpose":
        layer = getattr(layers, f"Conv{rank}DTranspose")(filters, window, **weighted)
    elif name == "Pooling":
        settings.pop("dilation_rate", None)
        kind = recipe.any_of(("Max", "Average"))
        layer = getattr(layers, f"{kind}Pooling{rank}D")(window, **settings)
    elif name == "Global":
        kind = recipe.any_of(("Max", "Average"))
        layer = getattr(layers, f"Global{kind}Pooling{rank}D")(keepdims=True)
    else:
        kinds = ("ZeroPadding", "Cropping", "UpSampling")
        kind = recipe.any_of(kinds if one else (*kinds, "Resizing", "CenterCrop"))
        if kind == "Cropping" and min(shape[:-1]) < 2:
            return
        around: Any = (1, 0) if one else ((1, 0), (0, 1))
        if kind == "Resizing":
            layer = layers.Resizing(recipe.any_of((1, 2, 3, 5)), recipe.any_of((1, 2, 4)))
        elif kind == "CenterCrop":
            layer = layers.CenterCrop(*sizes(1, 2))
        elif kind == "UpSampling" and not one:
            layer = layers.UpSampling2D(2, interpolation=recipe.any_of(("bilinear", "nearest")))
        else:
            layer = getattr(layers, f"{kind}{rank}D")(2 if kind == "UpSampling" else around)
    if math.prod(layer.output_shape(shape)) <= 2 * MANY:
        recipe.call(layer, [x], bound + (1 if name in ("Conv", "Transpose") else 0))


def add_normalization(recipe: Recipe, x: int) -> int:
    momentum, settings = recipe.any_of((0.99, 0.9)), {"scale": recipe.chance(0.8)}
    return recipe.call(layers.BatchNormalization(momentum=momentum, **settings), [x], 3.0)


def convolutional(seed: int) -> Recipe:
    """Blocks of convolutions and the like, often behind one another, a head of dense layers."""
    random = np.random.default_rng((1, seed))
    rank, channels = int(random.integers(1, 3)), int(random.integers(1, 5))
    sizes = random.integers(9, 25, 1) if rank == 1 else random.integers(4, 10, 2)
    recipe = Recipe(random, [(*map(int, sizes), channels)], {})
    # A bias that a normalisation takes off again has no gradient but what rounding leaves of it,
    # which Adam makes much of: there is none before a normalisation, and what it adds is bent.
    normalized = recipe.chance(0.6)
    blocks, tries = int(random.integers(2, 6)), 0
    while len(recipe.steps) < blocks or tries < blocks:
        tries += 1
        add_convolution(recipe, len(recipe.shapes) - 1, 0.0 if normalized else 0.8)
        x = len(recipe.shapes) - 1
        if normalized and recipe.chance(0.6):
            x = add_normalization(recipe, x)
            activation = recipe.any_of(("tanh", "relu", "gelu", "silu"))
            recipe.call(layers.Activation(activation), [x], recipe.bounds[x])
    x = len(recipe.shapes) - 1
    if recipe.chance(0.3):
        kind = recipe.any_of(("Max", "Average"))
        x = recipe.call(getattr(layers, f"Global{kind}Pooling{rank}D")(), [x], recipe.bounds[x])
    else:
        x = recipe.call(layers.Flatten(), [x], recipe.bounds[x])
    if recipe.chance(0.5):
        x = recipe.call(layers.Dense(recipe.any_of((3, 8, 17)), "relu"), [x], 1.0)
    add_head(recipe, x, 1.0)
    return recipe
