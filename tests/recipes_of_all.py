"""Networks of layers of all kinds in any order, with several inputs and outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from recipes import MANY, Recipe, add_head
from recipes_of_images import add_convolution
from recipes_of_series import add_attention, add_recurrent
from torch_layers import ACTIVATIONS

from fastweights import activations, layers, regularizers


def activation_of(recipe: Recipe, columns: int) -> activations.Activation:
    """One for which no number is too large, and that makes sense of so many columns."""
    names = [name for name in ACTIVATIONS if name != "exponential"]
    found = activations.get(recipe.any_of(names))
    return found if found.is_elementwise or columns > 1 else activations.Tanh()


def add_dense(recipe: Recipe, x: int) -> None:
    units = recipe.any_of((2, 3, 4, 6, 8, 17, 40 if len(recipe.shapes[x]) == 1 else 5))
    settings: dict[str, Any] = {"use_bias": recipe.chance(0.8)}
    if recipe.chance(0.1):
        settings["activity_regularizer"] = regularizers.L1L2(0.001, 0.01)
    if recipe.chance(0.3):
        settings["kernel_regularizer"] = recipe.any_of(
            (regularizers.L1(0.003), regularizers.L2(0.02), regularizers.L1L2(0.001, 0.01))
        )
    if recipe.chance(0.15):
        settings["bias_regularizer"] = regularizers.L2(0.05)
    trainable = recipe.chance(0.85)
    activation = activation_of(recipe, units)
    bound = recipe.bounds[x] + 1
    if len(recipe.shapes[x]) > 1 and recipe.chance(0.35):
        recipe.call(
            layers.MemberDense(units, activation, trainable=trainable, **settings), [x], bound
        )
        return
    layer = layers.Dense(units, activation, trainable=trainable, **settings)
    made = recipe.call(layer, [x], bound)
    others = [k for k in recipe.alike(x) if k not in (x, made)]
    if others and recipe.chance(0.4):  # the same weights for another value
        recipe.call(layer, [recipe.any_of(others)], bound)


def add_activation(recipe: Recipe, x: int) -> None:
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    rank, columns = len(shape), shape[-1]
    axes = [axis for axis in range(1, rank + 1) if recipe.chance(0.4)]
    recipe.call(
        recipe.any_of(
            [
                lambda: layers.Activation(activation_of(recipe, columns)),
                lambda: layers.Activation("exponential") if bound <= 2 else layers.ReLU(),
                lambda: layers.PReLU("glorot_uniform", shared_axes=axes or None),
                lambda: layers.ReLU(negative_slope=0.1, threshold=0.2, max_value=1.5),
                lambda: layers.ReLU(),
                lambda: layers.LeakyReLU(),
                lambda: layers.ELU(0.7),
                lambda: layers.Softmax() if columns > 1 else layers.ELU(),
            ]
        )(),
        [x],
        bound + 1,
    )


def add_normalization(recipe: Recipe, x: int) -> None:
    columns = recipe.shapes[x][-1]
    if columns < 2:
        return
    settings = {"center": recipe.chance(0.8), "scale": recipe.chance(0.8)}
    kind = recipe.any_of(
        (
            *("Layer", "RMS", "Group", "Unit", "Batch", "Batch", "Normalization", "Rescaling"),
            *("Scale", "Member"),
        )
    )
    if kind == "Batch":
        trainable = recipe.chance(0.8)
        momentum = recipe.any_of((0.99, 0.9))
        layer = layers.BatchNormalization(momentum=momentum, trainable=trainable, **settings)
        recipe.call(layer, [x], 3.0)
        others = [k for k in recipe.alike(x) if k != x]
        if others and recipe.chance(0.2):
            recipe.call(layer, [recipe.any_of(others)], 3.0)
    elif kind == "Layer":
        recipe.call(layers.LayerNormalization(**settings), [x], 3.0)
    elif kind == "Group" and columns % 2 == 0:
        groups = recipe.any_of((1, 2, columns // 2))
        recipe.call(layers.GroupNormalization(groups, **settings), [x], 3.0)
    elif kind in ("Unit", "RMS"):
        # Lines near 0 have hardly a direction: differences would grow from step to step.
        away = recipe.call(layers.Rescaling(1.0, 0.7), [x], 1 + recipe.bounds[x])
        layer = layers.UnitNormalization() if kind == "Unit" else layers.RMSNormalization()
        recipe.call(layer, [away], 3.0)
    elif kind == "Normalization":
        figures = recipe.random.uniform(0.5, 1.5, (2, columns))
        layer = layers.Normalization(mean=figures[0], variance=figures[1])
        recipe.call(layer, [x], 2 + recipe.bounds[x])
    elif kind == "Rescaling":
        recipe.call(layers.Rescaling(0.8, -0.1), [x], recipe.bounds[x])
    elif kind == "Scale":
        recipe.call(layers.Scale("random_normal"), [x], recipe.bounds[x])
    elif kind == "Member" and len(recipe.shapes[x]) > 1:
        recipe.call(layers.MemberScale("random_normal"), [x], recipe.bounds[x])
    else:
        recipe.call(layers.RMSNormalization(epsilon=0.01), [x], 3.0)


def add_shaping(recipe: Recipe, x: int) -> None:
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    numbers = math.prod(shape)
    kind = recipe.any_of(
        ("Permute", "Reshape", "RepeatVector", "Flatten", "Identity", "Dropout", "Activity")
    )
    if kind == "Permute" and len(shape) > 1:
        dims = [int(axis) for axis in recipe.random.permutation(len(shape)) + 1]
        recipe.call(layers.Permute(dims), [x], bound)
    elif kind == "RepeatVector":
        flat = x if len(shape) == 1 else recipe.call(layers.Flatten(), [x], bound)
        if 3 * numbers <= MANY:
            recipe.call(layers.RepeatVector(recipe.any_of((2, 3))), [flat], bound)
    elif kind == "Activity":
        recipe.call(layers.ActivityRegularization(0.002, 0.01), [x], bound)
    elif kind == "Identity":
        recipe.call(layers.Identity(), [x], bound)
    elif kind == "Dropout":
        recipe.call(layers.Dropout(0.0), [x], bound)
    elif kind == "Reshape":
        size = recipe.any_of([k for k in range(1, numbers + 1) if numbers % k == 0])
        recipe.call(layers.Reshape((size, -1)), [x], bound)


def add_merge(recipe: Recipe, x: int) -> None:
    alike = recipe.alike(x)
    reads = [x] + [recipe.any_of(alike) for _ in range(recipe.random.integers(1, 3))]
    bounds = [recipe.bounds[read] for read in reads]
    kind = recipe.any_of(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"))
    if kind == "Subtract":
        if reads[0] != reads[1]:  # 0 in all rows leaves gradients of rounding alone
            recipe.call(layers.Subtract(), reads[:2], sum(bounds[:2]))
    elif kind == "Multiply":
        recipe.call(layers.Multiply(), reads, math.prod(bounds))
    else:
        bound = sum(bounds) if kind == "Add" else max(bounds)
        recipe.call(getattr(layers, kind)(), reads, bound)


def add_spread_merge(recipe: Recipe, x: int) -> None:
    """An outer sum or product: axes of length 1 are repeated."""
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    flat = x if len(shape) == 1 else recipe.call(layers.Flatten(), [x], bound)
    small = recipe.call(layers.Dense(3, "tanh"), [flat], 1.0)
    one = recipe.call(layers.Reshape((3, 1)), [small], 1.0)
    other = recipe.call(layers.Reshape((1, 3)), [small], 1.0)
    recipe.call(recipe.any_of((layers.Multiply, layers.Add, layers.Maximum))(), [one, other], 2.0)


def add_concatenation(recipe: Recipe, x: int) -> None:
    axis = int(recipe.random.integers(len(recipe.shapes[x])))

    def fits(number: int) -> bool:
        one, other = recipe.shapes[x], recipe.shapes[number]
        return len(one) == len(other) and one[:axis] + one[axis + 1 :] == (
            other[:axis] + other[axis + 1 :]
        )

    others = [k for k in range(len(recipe.shapes)) if fits(k)]
    reads = [x] + [recipe.any_of(others) for _ in range(recipe.random.integers(1, 3))]
    if sum(math.prod(recipe.shapes[read]) for read in reads) <= MANY:
        recipe.call(layers.Concatenate(axis + 1), reads, max(recipe.bounds[read] for read in reads))


def add_dot(recipe: Recipe, x: int) -> None:
    axis = int(recipe.random.integers(len(recipe.shapes[x])))
    length = recipe.shapes[x][axis]
    pairs = [
        (number, other)
        for number, shape in enumerate(recipe.shapes)
        for other in range(len(shape))
        if shape[other] == length
        and math.prod(shape) * math.prod(recipe.shapes[x]) <= MANY * length**2
    ]
    if length < 2 or not pairs:
        return
    number, other = recipe.any_of(pairs)
    reads, normalize = [x, number], recipe.chance(0.3)
    if normalize:
        reads = [
            recipe.call(layers.Rescaling(1.0, 0.7), [read], 1 + recipe.bounds[read])
            for read in reads
        ]
    bound = 1.0 if normalize else math.prod(recipe.bounds[read] for read in reads) * length
    recipe.call(layers.Dot((axis + 1, other + 1), normalize), reads, bound)


#: What makes a network longer, each as often as it stands here.
ADDING = (
    *[add_dense] * 5, *[add_activation] * 3, *[add_normalization] * 4, *[add_shaping] * 3,
    *[add_convolution] * 4, *[add_merge] * 3, add_spread_merge, add_concatenation,
    add_concatenation, add_dot, add_recurrent,
)  # fmt: skip

INPUT_SHAPES = (
    *((5,), (8,), (66,), (3, 4), (4, 3), (2, 3, 4), (1,)),
    *((9, 2), (5, 6, 2), (6, 5, 1)),
)


def of_all_kinds(seed: int) -> Recipe:
    """One of depth up to 12, with one or two outputs; all values are used."""
    random = np.random.default_rng(seed)
    count = int(random.choice((1, 1, 2, 3)))
    inputs = [INPUT_SHAPES[random.integers(len(INPUT_SHAPES))] for _ in range(count)]
    categories = {}
    if random.random() < 0.3:
        categories[count] = int(random.integers(1, 12))
        inputs.append((int(random.integers(1, 5)),))
    recipe = Recipe(random, inputs, categories)
    wanted = int(random.integers(3, 11))
    while recipe.depth() < wanted and len(recipe.steps) < 30:
        recipe.any_of(ADDING)(recipe, recipe.pick())
    if seed % 2:
        add_attention(recipe, recipe.pick())
        add_attention(recipe, len(recipe.shapes) - 1)
    if recipe.chance(0.3):
        add_head(recipe, recipe.pick(), recipe.any_of((1.0, 0.3, 2.5)))
    read = {number for step in recipe.steps for number in step.reads}
    read.update(head.value for head in recipe.heads)
    loose = [number for number in range(len(recipe.shapes)) if number not in read]
    ends = [
        number
        if len(recipe.shapes[number]) == 1
        else recipe.call(layers.Flatten(), [number], recipe.bounds[number])
        for number in loose
    ]
    ends = ends or [recipe.pick()]  # where another output has all
    joined = recipe.call(layers.Concatenate(), ends, 0.0) if len(ends) > 1 else ends[0]
    add_head(recipe, joined, 1.0)
    return recipe
