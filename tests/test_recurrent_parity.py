"""Random recurrent networks beside the same ones in PyTorch: stacked, both ways, masked.

What is compared, in float64: outputs, the loss, its gradients by parameters and by the input, then
50 steps of Adam. ``FASTWEIGHTS_LONG=1 pytest tests/test_recurrent_parity.py`` compares 200
networks, the short form 20.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from damage import cases

import fastweights as fw
from fastweights import layers

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import torch_recurrent  # noqa: E402  (which needs torch)

TOLERANCE = 1e-9
STEPS = 50
NETWORKS = 200

FUNCTIONS = {
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": torch.nn.functional.softsign,
    "hard_sigmoid": lambda x: torch.clamp(x + 3, 0, 6) / 6,
    "elu": torch.nn.functional.elu,
}


def apply(activation: Any, x: Any) -> Any:
    return FUNCTIONS[activation.name](x)


def random_layer(random: np.random.Generator, sequences: bool) -> layers.Layer:
    """One of these layers, of any settings."""

    def any_of(*choices: Any) -> Any:
        return choices[int(random.integers(len(choices)))]

    settings: dict[str, Any] = {"use_bias": any_of(True, True, False)}
    settings["return_sequences"] = sequences
    kind = any_of(layers.LSTM, layers.GRU, layers.SimpleRNN)
    units = any_of(1, 2, 3, 5, 8, 17)
    if random.random() < 0.3:
        settings["activation"] = any_of("tanh", "softsign", "elu")
        if kind is not layers.SimpleRNN:
            settings["recurrent_activation"] = any_of("sigmoid", "hard_sigmoid")
    if kind is layers.GRU:
        settings["reset_after"] = any_of(True, False)
    if random.random() < 0.35:
        return layers.Bidirectional(kind(units, **settings), any_of("concat", "sum", "ave", "mul"))
    return kind(units, go_backwards=any_of(False, False, True), **settings)


def random_network(seed: int) -> tuple[fw.Sequential, np.ndarray, np.ndarray]:
    """A model, rows and targets for it."""
    random = np.random.default_rng(seed)
    steps, features, rows = (int(random.integers(1, most)) for most in (9, 6, 40))
    x, y = random.standard_normal((rows, steps, features)), random.standard_normal((rows, 2))
    stack: list[layers.Layer] = []
    if random.random() < 0.6:
        stack.append(layers.Masking())
        for row in range(rows):
            if random.random() < 0.7:
                x[row, int(random.integers(steps)) :] = 0.0
            if random.random() < 0.3:
                x[row, int(random.integers(steps))] = 0.0
    depth = int(random.integers(1, 4))
    for number in range(depth):
        stack.append(random_layer(random, number < depth - 1))
        if number < depth - 1 and random.random() < 0.3:
            stack.append(layers.TimeDistributed(layers.Dense(4, "tanh")))
    stack.append(layers.Dense(2))
    model = fw.Sequential(stack, (steps, features), "float64", seed=seed)
    for weight in model.weights:
        weight += random.normal(0, 0.1, weight.shape)
    model.compile("adam", "mse")
    return model, x, y


class Twin:
    """The same network in PyTorch."""

    def __init__(self, model: fw.Sequential) -> None:
        self.layers = model.layers
        self.weights = [
            {
                name: torch.tensor(array).requires_grad_(True)
                for name, array in layer.weights.items()
            }
            for layer in model.layers
        ]
        self.parameters = [array for weights in self.weights for array in weights.values()]

    def __call__(self, x: Any) -> Any:
        mask = None
        for layer, w in zip(self.layers, self.weights, strict=True):
            if isinstance(layer, layers.Masking):
                mask = (x != 0).any(-1)
            elif isinstance(layer, layers.Bidirectional):
                x = torch_recurrent.bidirectional(layer, w, x, mask, apply)
            elif isinstance(layer, layers.TimeDistributed):
                x = torch.tanh(x @ w["kernel"] + w["bias"])
            elif isinstance(layer, layers.Dense):
                x = x @ w["kernel"] + w["bias"]
            else:
                x = torch_recurrent.recurrent(layer, w, x, mask, apply)
        return x


def flat(tensors: Any) -> np.ndarray:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def agree(found: Any, expected: Any, what: str) -> None:
    """Relative to the largest number of an array."""
    scale = max(np.abs(expected).max(), 1e-3)
    assert np.abs(found - expected).max() <= TOLERANCE * scale, what


@pytest.mark.parametrize("seed", range(cases(20, NETWORKS)))
def test_a_random_network_is_as_in_pytorch(seed):
    model, x, y = random_network(seed)
    twin, targets = Twin(model), torch.tensor(y)
    rows = torch.tensor(x).requires_grad_(True)
    expected = twin(rows)
    agree(model.predict(x), expected.detach().numpy(), "outputs")
    value = torch.nn.functional.mse_loss(expected, targets)
    value.backward()
    loss, gradient, dx = model.loss_and_gradients(x, y)
    agree(np.array(loss), np.array(value.item()), "loss")
    agree(gradient, flat(parameter.grad for parameter in twin.parameters), "gradient by parameters")
    # What is masked has no gradient here, nor there but by the numbers that say so.
    agree(dx, rows.grad.numpy(), "gradient by the input")
    model.fit(x, y, len(x), STEPS, verbose=0, shuffle=False)
    optimizer = torch.optim.Adam(twin.parameters, 0.001, (0.9, 0.999), eps=1e-7)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(twin(rows.detach()), targets).backward()
        optimizer.step()
    agree(model.parameters, flat(twin.parameters), "weights after training")


def test_the_networks_are_of_all_kinds():
    found = {
        (type(layer).__name__, getattr(layer, "return_sequences", None))
        for seed in range(NETWORKS)
        for layer in random_network(seed)[0].layers
    }
    assert found >= {
        (kind, sequences) for kind in ("LSTM", "GRU", "SimpleRNN") for sequences in (True, False)
    }
    assert {kind for kind, _ in found} >= {"Bidirectional", "TimeDistributed", "Masking"}
