"""The network of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import layers, losses, optimizers, schedules
from fastweights._tensors import Input
from fastweights.losses import Loss
from fastweights.models import Model, Sequential
from fastweights.table.linear import Linear
from fastweights.table.recipe import LOSSES, Recipe

#: The name of the linear path.
LINE = "line"


def network(recipe: Recipe, features: int, outputs: int, steps: int, seed: int) -> Model:
    """A compiled network from features to outputs, which is to make so many steps."""
    is_classes = recipe.task == "classification"
    stack: list[layers.Layer] = [layers.Scale(name="feature_scale")]
    for units in recipe.layers:
        stack.append(layers.Dense(units, recipe.activation, kernel_initializer="he_normal"))
        stack += [layers.Dropout(recipe.dropout)] if recipe.dropout else []
    if recipe.linear:
        model = _beside_a_line(stack, features, outputs, is_classes, seed)
    else:
        stack.append(layers.Dense(outputs, "softmax" if is_classes else None))
        model = Sequential(stack, (features,), seed=seed)
    factors = {"feature_scale/*": recipe.scale_rate}
    rates: Any = _rates(recipe, steps)
    model.compile(optimizers.Adam(rates, learning_rate_factors=factors), loss_of(recipe))
    return model


def _beside_a_line(
    stack: Sequence[layers.Layer], features: int, outputs: int, is_classes: bool, seed: int
) -> Model:
    """A network whose outputs are the sum of a line through the features and of hidden layers."""
    inputs = value = Input((features,))
    for layer in stack:
        value = layer(value)
    hidden = layers.Dense(outputs, kernel_initializer="zeros")(value)
    line = layers.Dense(outputs, kernel_initializer="zeros", name=LINE)(inputs)
    summed = layers.Add()([hidden, line])
    return Model(inputs, layers.Softmax()(summed) if is_classes else summed, seed=seed)


def begin_at(model: Model, linear: Linear, features: np.ndarray) -> None:
    """Has a network's linear path begin at a line through these features, bool (features,)."""
    line = model.get_layer(LINE)
    line.kernel[features], line.bias[:] = linear.kernel, linear.bias


def loss_of(recipe: Recipe) -> Loss:
    """What the networks of a recipe make small."""
    if recipe.task == "classification":
        return losses.SparseCategoricalCrossentropy()
    return losses.Quantile(recipe.quantiles) if recipe.loss == "quantile" else LOSSES[recipe.loss]()


def _rates(recipe: Recipe, steps: int) -> schedules.LearningRateSchedule:
    """A line up to the learning rate, then half a cosine to 0."""
    rising = recipe.warmup * steps
    falling = max(steps - rising, 1)
    if not rising:
        return schedules.CosineDecay(recipe.learning_rate, falling)
    return schedules.CosineDecay(
        0.0, falling, warmup_target=recipe.learning_rate, warmup_steps=rising
    )
