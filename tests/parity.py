"""A recipe followed here and in PyTorch, and all that is to agree in float64.

What is compared: outputs, the loss, its gradients by parameters and by every input, both as
inference and as training see them; then 50 steps of Adam, and what BatchNormalization remembers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from recipes import Recipe
from torch_layers import LOSSES, STATES, TWINS

import fastweights as fw
from fastweights import layers

TOLERANCE = 1e-9
STEPS = 50


def model_of(recipe: Recipe, seed: int) -> fw.Model:
    """The network of this library, its weights anywhere near where they start."""
    inputs = [fw.Input(shape) for shape in recipe.inputs]
    values = list(inputs)
    for step in recipe.steps:
        values.append(step.layer([values[read] for read in step.reads], **step.told))
    outputs = [values[head.value] for head in recipe.heads]
    model = fw.Model(inputs, outputs, dtype="float64", seed=seed)
    for layer in model.layers:
        for name, weight in layer.weights.items():
            if "variance" not in name:
                weight += recipe.random.normal(0, 0.1, weight.shape)
    losses, weights = zip(*((head.loss, head.weight) for head in recipe.heads), strict=True)
    model.compile("adam", list(losses), loss_weights=list(weights))
    return model


class Twin:
    """The same network in PyTorch, with copies of the weights."""

    def __init__(self, model: fw.Model, recipe: Recipe) -> None:
        self.layers, self.recipe = model.layers, recipe
        self.weights = {
            id(layer): {
                name: torch.tensor(array).requires_grad_(name not in STATES and layer.trainable)
                for name, array in layer.weights.items()
            }
            for layer in model.layers
        }
        self.parameters, self.states = (
            [
                weight
                for layer in model.layers
                for name, weight in self.weights[id(layer)].items()
                if (name in STATES) == are_states
            ]
            for are_states in (False, True)
        )

    def outputs(self, x: list[Any], training: bool) -> tuple[list[Any], Any]:
        """Those of all rows of the inputs, and what is paid for what layers make."""
        values, cost = list(x), torch.zeros((), dtype=torch.float64)
        for step in self.recipe.steps:
            read = [values[number] for number in step.reads]
            twin = TWINS[type(step.layer).__name__]
            made = twin(step.layer, self.weights[id(step.layer)], training, *read, **step.told)
            values.append(made)
            is_rule = isinstance(step.layer, layers.ActivityRegularization)
            rule = step.layer if is_rule else step.layer.activity_regularizer
            if rule is not None:
                paid = rule.l1 * made.abs().sum() + rule.l2 * made.square().sum()
                cost = cost + paid / len(made)
        return [values[head.value] for head in self.recipe.heads], cost

    def cost(self) -> Any:
        """Of the weights that are trained."""
        total = torch.zeros((), dtype=torch.float64)
        for layer in self.layers:
            for name in ("kernel", "bias"):
                rule = getattr(layer, f"{name}_regularizer", None)
                weight = self.weights[id(layer)].get(name)
                if rule is not None and weight is not None and layer.trainable:
                    total = total + rule.l1 * weight.abs().sum() + rule.l2 * weight.square().sum()
        return total

    def loss(self, x: list[Any], y: list[Any], training: bool) -> Any:
        """With what the weights cost, and what layers make."""
        outputs, total = self.outputs(x, training)
        for head, output, target in zip(self.recipe.heads, outputs, y, strict=True):
            total = total + head.weight * LOSSES[head.loss](output, target)
        return total + self.cost()

    def gradients(self, loss: Any, x: list[Any]) -> tuple[np.ndarray, list[np.ndarray]]:
        """By all parameters, 0 where they are not trained, and by the inputs that are reals."""
        wanted = [p for p in self.parameters if p.requires_grad]
        reals = [one for one in x if one.requires_grad]
        found = list(torch.autograd.grad(loss, [*reals, *wanted], materialize_grads=True))
        by_inputs = [found.pop(0).numpy() for _ in reals]
        by_all = [found.pop(0) if p.requires_grad else torch.zeros_like(p) for p in self.parameters]
        return flat(by_all), by_inputs


def flat(tensors: list[Any]) -> np.ndarray:
    """All numbers as one vector."""
    return np.concatenate([np.zeros(0), *(t.detach().numpy().ravel() for t in tensors)])


def agree(found: Any, expected: Any, what: str) -> None:
    """Relative to the largest number of an array."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    if expected.size:
        away, scale = np.abs(found - expected).max(), np.abs(expected).max()
        # PyTorch has 1 - tanh^2, which is 0 where this library still has e^-2a.
        assert away <= max(TOLERANCE * scale, 1e-30), f"{what}: {away:.3g} of {scale:.3g}"


def data_of(recipe: Recipe, rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Normal rows of each input, or places in its table, and targets of each output's loss."""
    random = recipe.random
    x = [
        random.integers(recipe.categories[number], size=(rows, *shape))
        if number in recipe.categories
        else random.standard_normal((rows, *shape))
        for number, shape in enumerate(recipe.inputs)
    ]
    return x, [
        targets_of(random, head.loss, (rows, *recipe.shapes[head.value])) for head in recipe.heads
    ]


def targets_of(random: np.random.Generator, loss: str, shape: tuple[int, ...]) -> np.ndarray:
    """Some that the loss is for."""
    return {
        "hinge": lambda: random.choice((-1.0, 1.0), shape),
        "binary_crossentropy": lambda: random.uniform(0, 1, shape),
        "categorical_crossentropy": lambda: random.dirichlet(np.ones(shape[-1]), shape[0]),
        "poisson": lambda: random.poisson(2.0, shape).astype(float),
    }.get(loss, lambda: random.standard_normal(shape))()


#: Rows and batch of training, of which a whole number of rows may be left at the end: in few rows,
#: in slices, in chunks of a large batch.
SIZES = ((90, 20), (45, 9), (300, 300), (90, 20), (45, 16), (400, 260), (30, 30), (1100, 1100))


def rows_of(x: list[np.ndarray], part: slice) -> list[Any]:
    """Those rows as tensors whose gradient is wanted where they are reals."""
    return [torch.tensor(one[part]).requires_grad_(one.dtype.kind == "f") for one in x]


def several(found: Any) -> list[Any]:
    """What came of one, or of each of several; of inputs that are whole numbers nothing."""
    return [
        one for one in (found if isinstance(found, (list, tuple)) else [found]) if one is not None
    ]


def all_agree(found: Any, expected: list[Any], what: str) -> None:
    for one, other in zip(several(found), expected, strict=True):
        agree(one, other.detach() if isinstance(other, torch.Tensor) else other, what)


def compare(recipe: Recipe, seed: int) -> None:
    """Outputs, gradients and training."""
    model = model_of(recipe, seed)
    twin = Twin(model, recipe)
    rows, batch = SIZES[seed % len(SIZES)]
    x, y = data_of(recipe, rows)

    for part in (slice(0, 7), slice(0, rows)):
        given_x, given_y = rows_of(x, part), [torch.tensor(one[part]) for one in y]
        own_x, own_y = [one[part] for one in x], [one[part] for one in y]
        expected, _ = twin.outputs(given_x, training=False)
        all_agree(model.predict(own_x), expected, "predict")
        expected_loss = twin.loss(given_x, given_y, training=False)
        gradient, by_inputs = twin.gradients(expected_loss, given_x)
        found = model.loss_and_gradients(own_x, own_y)
        agree(found[0], expected_loss.detach(), "loss")
        agree(found[1], gradient, "gradient")
        all_agree(found[2], by_inputs, "gradient by an input")

    _in_training(model, twin, recipe, x)
    _trained(model, twin, x, y, batch)


def _in_training(model: fw.Model, twin: Twin, recipe: Recipe, x: list[np.ndarray]) -> None:
    """Forward and backward by themselves; what is remembered moves, as in training."""
    part = slice(0, 40)
    given_x = rows_of(x, part)
    expected, paid = twin.outputs(given_x, training=True)
    found = model.forward([one[part] for one in x], training=True)
    all_agree(found, expected, "forward in training")
    dy = [recipe.random.standard_normal(one.shape) for one in several(found)]
    loss = paid + twin.cost()
    for one, other in zip(expected, dy, strict=True):
        loss = loss + (one * torch.tensor(other)).sum()
    gradient, by_inputs = twin.gradients(loss, given_x)
    dx = model.backward(dy if len(dy) > 1 else dy[0])
    all_agree(dx, by_inputs, "gradient by an input in training")
    agree(model.gradients, gradient, "gradient in training")


def _trained(
    model: fw.Model, twin: Twin, x: list[np.ndarray], y: list[np.ndarray], batch: int
) -> None:
    """Steps of Adam by `fit`, beside the loop of PyTorch's tutorials."""
    count = len(y[0])
    begins = range(0, count, batch)
    epochs = math.ceil(STEPS / len(begins))
    targets = y if len(y) > 1 else y[0]
    history = model.fit(x, targets, batch, epochs, verbose=0, shuffle=False).history["loss"]
    wanted = [p for p in twin.parameters if p.requires_grad]
    optimizer = torch.optim.Adam(wanted, 0.001, (0.9, 0.999), eps=1e-7)
    for epoch in range(epochs):
        total = 0.0
        for begin in begins:
            part = slice(begin, begin + batch)
            # With gradients by the rows: without, group_norm's backward crashes PyTorch 2.13.
            rows = rows_of(x, part)
            value = twin.loss(rows, [torch.tensor(one[part]) for one in y], training=True)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(rows[0])
        agree(history[epoch], total / count, f"loss of epoch {epoch}")
    agree(model.parameters, flat(twin.parameters), "weights after training")
    agree(model.state, flat(twin.states), "what is remembered after training")
    expected, _ = twin.outputs([torch.tensor(one) for one in x], training=False)
    all_agree(model.predict(x), expected, "predict after training")
