"""Networks of attention, of positions and of recurrent layers."""

from __future__ import annotations

import numpy as np
from recipes import Recipe, add_head

from fastweights import layers


def with_places(recipe: Recipe, x: int) -> int:
    """The value with its places told apart."""
    (steps, features), bound = recipe.shapes[x], recipe.bounds[x]
    if features % 2 == 0 and recipe.chance(0.5):
        return recipe.call(layers.RotaryEmbedding(50.0), [x], 2 * bound, start_index=3)
    if recipe.chance(0.5):
        places = recipe.call(layers.PositionEmbedding(steps + 2), [x], 1.0, start_index=1)
    else:
        places = recipe.call(layers.SinePositionEncoding(), [x], 1.0)
    return recipe.call(layers.Add(), [x, places], bound + 1)


def add_attention(recipe: Recipe, x: int) -> None:
    """Without biases: that of keys has no gradient but what rounding leaves of it."""

    def is_series(number: int) -> bool:
        shape = recipe.shapes[number]
        return len(shape) == 2 and shape[0] > 1

    series = [number for number in range(len(recipe.shapes)) if is_series(number)]
    if not is_series(x):
        return
    x = with_places(recipe, x)
    value = recipe.any_of([x, recipe.any_of(series)])
    alike = [number for number in series if recipe.shapes[number][0] == recipe.shapes[value][0]]
    reads = [x, value, recipe.any_of(alike)] if recipe.chance(0.3) else [x, value]
    settings = {"use_bias": False, "trainable": recipe.chance(0.85)}
    size = recipe.any_of((1, 2, 5))
    layer = recipe.any_of(
        [
            lambda: layers.MultiHeadAttention(2, size, recipe.any_of((1, 3)), **settings),
            lambda: layers.GroupQueryAttention(size, 4, recipe.any_of((1, 2)), **settings),
        ]
    )()
    told = {"use_causal_mask": True} if recipe.chance(0.5) else {}
    recipe.call(layer, reads, recipe.bounds[value] + 1, **told)


def add_recurrent(recipe: Recipe, x: int) -> None:
    if len(recipe.shapes[x]) != 2:
        return
    kind = recipe.any_of((layers.LSTM, layers.GRU, layers.SimpleRNN))
    layer = kind(recipe.any_of((1, 3, 5)), return_sequences=recipe.chance(0.6))
    if recipe.chance(0.3):
        layer = layers.Bidirectional(layer)
    if recipe.chance(0.3):
        # No step is of this number. What has a mask goes to this layer alone, which ends it.
        x = recipe.call(layers.Masking(77.7), [x], recipe.bounds[x])
        last = recipe.call(kind(3), [x], 1.0)
        recipe.shapes[x] = ()
        x = recipe.call(layers.Reshape((3, 1)), [last], 1.0)
    made = recipe.call(layer, [x], 1.0)
    if len(recipe.shapes[made]) == 2 and recipe.chance(0.5):
        recipe.call(layers.TimeDistributed(layers.Dense(3, "tanh")), [made], 1.0)


def attention_of(recipe: Recipe) -> layers.Layer:
    """Without biases, as above."""
    size, settings = recipe.any_of((1, 2, 5, 8)), {"use_bias": False}
    if recipe.chance(0.3):
        return layers.GroupQueryAttention(size, 4, recipe.any_of((1, 2, 4)), **settings)
    return layers.MultiHeadAttention(
        recipe.any_of((1, 2, 3)), size, recipe.any_of((None, 1, 3)), **settings
    )


def add_block(recipe: Recipe, x: int, other: int) -> int:
    """Attention to the series itself or to another one, and dense layers of each step: what comes
    of both is added to what went in, and normalised before or afterwards."""
    columns, is_before = recipe.shapes[x][-1], recipe.chance(0.5)
    kind = recipe.any_of((layers.LayerNormalization, layers.RMSNormalization))

    def normalized(value: int) -> int:
        return recipe.call(kind(epsilon=0.01), [value], 3.0)

    def added(value: int, made: int) -> int:
        total = recipe.call(layers.Add(), [value, made], 3.0)
        return total if is_before else normalized(total)

    query = normalized(x) if is_before else x
    value = recipe.any_of((query, query, other))
    keys = [recipe.call(layers.Dense(columns), [value], 3.0)] if recipe.chance(0.2) else []
    told = {"use_causal_mask": True} if recipe.chance(0.4) else {}
    x = added(x, recipe.call(attention_of(recipe), [query, value, *keys], 3.0, **told))
    activation = recipe.any_of(("gelu", "relu", "silu", "tanh"))
    wide = recipe.call(
        layers.Dense(2 * columns, activation), [normalized(x) if is_before else x], 3.0
    )
    return added(x, recipe.call(layers.Dense(columns), [wide], 3.0))


def attentive(seed: int) -> Recipe:
    """One to three blocks, of tokens or of reals whose places are told apart, and a head."""
    random = np.random.default_rng((2, seed))
    columns, of_tokens = int(random.choice((4, 6, 7))), bool(random.random() < 0.5)
    inputs: list[tuple[int, ...]] = [(int(random.integers(2, 12)), columns) for _ in range(2)]
    categories = {}
    if of_tokens:
        inputs[1] = inputs[1][:1]
        categories[1] = int(random.integers(2, 12))
    recipe = Recipe(random, inputs, categories)
    other, x = 0, len(recipe.shapes) - 1
    if recipe.shapes[x][-1] != columns:
        x = recipe.call(layers.Dense(columns), [x], 2.0)
    x = with_places(recipe, x)
    for _ in range(recipe.any_of((1, 1, 2, 3))):
        x = add_block(recipe, x, other)
    if recipe.chance(0.5):
        x = recipe.call(layers.GlobalAveragePooling1D(), [x], 3.0)
    joined = [
        number
        if len(recipe.shapes[number]) == 1
        else recipe.call(layers.Flatten(), [number], recipe.bounds[number])
        for number in (x, other)
    ]
    add_head(recipe, recipe.call(layers.Concatenate(), joined, 3.0), 1.0)
    return recipe
