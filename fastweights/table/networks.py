"""The network of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import layers, metrics, optimizers, regularizers, schedules
from fastweights._tensors import Input
from fastweights.models import Model, Sequential
from fastweights.optimizers import Optimizer
from fastweights.table.linear import Linear
from fastweights.table.recipe import Recipe, loss_of

#: The layer of the factors that features are multiplied by.
_SCALE = "feature_scale"

#: The name of the linear path.
LINE = "line"


def network(recipe: Recipe, features: int, outputs: int, steps: int, seed: int) -> Model:
    """A compiled network from features to outputs, which is to make so many steps."""
    is_classes = recipe.task == "classification"
    kept = regularizers.L2(recipe.l2) if recipe.l2 else None
    names = recipe.activation
    several = [names] * len(recipe.layers) if isinstance(names, str) else names
    stack: list[layers.Layer] = [layers.Scale(name=_SCALE)]
    for units, activation in zip(recipe.layers, several, strict=True):
        dense = layers.Dense(
            units, activation, kernel_initializer="he_normal", kernel_regularizer=kept
        )
        stack += [dense, layers.Dropout(recipe.dropout)] if recipe.dropout else [dense]
    if recipe.linear:
        model = _beside_a_line(stack, recipe, features, outputs, seed)
    else:
        last = "softmax" if is_classes else None
        stack.append(layers.Dense(outputs, last, kernel_regularizer=kept))
        model = Sequential(stack, (features,), dtype=recipe.dtype, seed=seed)
    loss = loss_of(recipe)
    told = [metrics.get(config, loss) for config in _told(recipe)]
    model.compile(optimizer_of(recipe, steps), loss, metrics=told)
    return model


def _beside_a_line(
    stack: Sequence[layers.Layer], recipe: Recipe, features: int, outputs: int, seed: int
) -> Model:
    """A network whose outputs are the sum of a line through the features and of hidden layers."""
    inputs = value = Input((features,))
    for layer in stack:
        value = layer(value)
    kept = regularizers.L2(recipe.l2) if recipe.l2 else None
    hidden = layers.Dense(outputs, kernel_initializer="zeros", kernel_regularizer=kept)(value)
    line = layers.Dense(outputs, kernel_initializer="zeros", kernel_regularizer=kept, name=LINE)(
        inputs
    )
    summed = layers.Add()([hidden, line])
    if recipe.task == "classification":
        summed = layers.Softmax()(summed)
    return Model(inputs, summed, dtype=recipe.dtype, seed=seed)


def begin_at(model: Model, linear: Linear, features: np.ndarray) -> None:
    """Has a network's linear path begin at a line through these features, bool (features,)."""
    line = model.get_layer(LINE)
    line.kernel[features], line.bias[:] = linear.kernel, linear.bias


def monitored(recipe: Recipe, model: Model) -> str:
    """The name in a history of what says which epoch is the best."""
    if recipe.monitor == "loss":
        return "val_loss"
    return f"val_{model._compiled.log_names[1 + _told(recipe).index(recipe.monitor)]}"


def _told(recipe: Recipe) -> list[Any]:
    """The configs of all metrics that a history has."""
    found = [*recipe.metrics]
    return found if recipe.monitor in ("loss", *found) else [*found, recipe.monitor]


def optimizer_of(recipe: Recipe, steps: int) -> Optimizer:
    """What moves the weights of a network that is to make so many steps."""
    factors = {f"{_SCALE}/*": recipe.scale_rate}
    if recipe.optimizer is None:
        rates: Any = _rates(recipe, steps)
        return optimizers.Adam(rates, learning_rate_factors=factors)
    config = dict(recipe.optimizer)
    if "learning_rate_factors" in config and not config["learning_rate_factors"]:
        config["learning_rate_factors"] = factors
    return optimizers.get(config)


def _rates(recipe: Recipe, steps: int) -> schedules.LearningRateSchedule:
    """A line up to the learning rate, then half a cosine to 0."""
    rising = recipe.warmup * steps
    falling = max(steps - rising, 1)
    if not rising:
        return schedules.CosineDecay(recipe.learning_rate, falling)
    return schedules.CosineDecay(
        0.0, falling, warmup_target=recipe.learning_rate, warmup_steps=rising
    )
