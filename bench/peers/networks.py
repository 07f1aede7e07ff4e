"""The networks that contenders train: each as a model of each library, with the same weights.

`compute` is a network in the operations that NumPy and JAX share: NumPy judges everyone's weights
by it, and JAX compiles it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import fastweights as fw
from fastweights import layers

#: Arrays of parameters in the order of the layers; a kernel is (inputs, outputs).
Weights = list[np.ndarray]

#: Below the root of normalisations; how much of the moving figures stays.
EPSILON, MOMENTUM = 1e-3, 0.99


class Pass:
    """What a pass over rows does beside its arithmetic: nothing, where NumPy looks at the loss."""

    def drop(self, x: Any, rate: float) -> Any:
        """Dropout, in training."""
        return x

    def saw(self, mean: Any, variance: Any) -> None:
        """Notes figures of a batch, which moving ones are to follow."""

    def steps(self, step: Callable[[Any, Any], Any], state: Any, given: Any) -> Any:
        """The state after a step for each of what is given, along the first axis."""
        for one in given:
            state = step(state, one)
        return state


class Network:
    """Of which shape rows are, and what becomes of them."""

    #: Rows of the moving figures that training keeps, a mean and a variance each.
    moving: tuple[int, ...] = ()
    #: What it is trained for: "mse", or "crossentropy" of the class at each place.
    loss = "mse"
    #: Whether the gradient by what the first product reads is wanted: a table made it.
    inputs_are_trained = False

    @property
    def shape(self) -> str:
        """The network in words."""
        raise NotImplementedError

    def products(self) -> list[tuple[int, int, int]]:
        """Lines of a row, inputs and outputs of each matrix product; the first reads the rows."""
        raise NotImplementedError

    def weights(self, random: np.random.Generator) -> Weights:
        """As they start."""
        raise NotImplementedError

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        """So many rows of each input: normal numbers, where there is one input."""
        _, inputs, _ = self.products()[0]
        return (random.standard_normal((count, inputs), np.float32),)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        """Outputs, by the functions of NumPy or of something like it."""
        raise NotImplementedError

    def target(self, found: np.ndarray) -> np.ndarray:
        """What another one is to learn from what this one computes."""
        return found

    def model(self) -> fw.Model:
        """In this library."""
        raise NotImplementedError

    def targets(self, y: np.ndarray) -> np.ndarray:
        """As this library's model wants them."""
        return y

    def module(self, torch: Any) -> Any:
        """In PyTorch: called on the inputs, one by one."""
        raise NotImplementedError


def glorot(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform kernels (Glorot & Bengio 2010)."""
    limit = np.sqrt(6 / (shape[-2] + shape[-1]))
    return random.uniform(-limit, limit, shape).astype(np.float32)


def dense(random: np.random.Generator, inputs: int, outputs: int) -> Weights:
    """A kernel and a bias of zeros."""
    return [glorot(random, inputs, outputs), np.zeros(outputs, np.float32)]


def by_columns(columns: int) -> Weights:
    """gamma and beta."""
    return [np.ones(columns, np.float32), np.zeros(columns, np.float32)]


def standardized(xp: Any, x: Any, mean: Any, variance: Any, gamma: Any, beta: Any) -> Any:
    """What both normalisations do."""
    return (x - mean) / xp.sqrt(variance + EPSILON) * gamma + beta


@dataclass(frozen=True)
class Chain(Network):
    """Dense layers, with an activation between them."""

    widths: tuple[int, ...]
    activation: str

    @property
    def shape(self) -> str:
        return "-".join(map(str, self.widths))

    def products(self) -> list[tuple[int, int, int]]:
        return [(1, *pair) for pair in pairwise(self.widths)]

    def weights(self, random: np.random.Generator) -> Weights:
        return [weight for pair in pairwise(self.widths) for weight in dense(random, *pair)]

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        (value,) = x
        *hidden, kernel, bias = weights
        for inner, offset in zip(hidden[::2], hidden[1::2], strict=True):
            z = value @ inner + offset
            value = xp.tanh(z) if self.activation == "tanh" else xp.maximum(z, 0)
        return value @ kernel + bias

    def model(self) -> fw.Model:
        stack = [layers.Dense(units, self.activation) for units in self.widths[1:-1]]
        return fw.Sequential([*stack, layers.Dense(self.widths[-1])], self.widths[0], seed=0)

    def module(self, torch: Any) -> Any:
        between = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[self.activation]
        stack: list[Any] = []
        for inputs, outputs in pairwise(self.widths):
            stack += [torch.nn.Linear(inputs, outputs), between()]
        return torch.nn.Sequential(*stack[:-1])


@dataclass(frozen=True)
class ResMLP(Network):
    """Residual blocks of a normalisation, a wide dense layer, dropout and a dense layer."""

    inputs: int = 32
    width: int = 128
    hidden: int = 256
    blocks: int = 3
    rate: float = 0.1

    @property
    def shape(self) -> str:
        return f"{self.inputs}-{self.width}, {self.blocks} blocks of {self.hidden}-{self.width}, 1"

    def products(self) -> list[tuple[int, int, int]]:
        block = [(1, self.width, self.hidden), (1, self.hidden, self.width)]
        return [(1, self.inputs, self.width), *block * self.blocks, (1, self.width, 1)]

    def weights(self, random: np.random.Generator) -> Weights:
        found = dense(random, self.inputs, self.width)
        for _ in range(self.blocks):
            found += by_columns(self.width) + dense(random, self.width, self.hidden)
            found += dense(random, self.hidden, self.width)
        return found + dense(random, self.width, 1)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        first, offset, *inner, kernel, bias = weights
        value = x[0] @ first + offset
        for i in range(self.blocks):
            gamma, beta, up, up_bias, down, down_bias = inner[6 * i : 6 * i + 6]
            mean = value.mean(axis=1, keepdims=True)
            variance = value.var(axis=1, keepdims=True)
            wide = standardized(xp, value, mean, variance, gamma, beta) @ up + up_bias
            wide = run.drop(xp.maximum(wide, 0), self.rate)
            value = value + (wide @ down + down_bias)
        return value @ kernel + bias

    def model(self) -> fw.Model:
        x = fw.Input(self.inputs)
        value = layers.Dense(self.width)(x)
        for _ in range(self.blocks):
            wide = layers.Dense(self.hidden, "relu")(layers.LayerNormalization()(value))
            down = layers.Dense(self.width)(layers.Dropout(self.rate)(wide))
            value = layers.Add()([value, down])
        return fw.Model(x, layers.Dense(1)(value), seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = nn.Sequential(
                    nn.LayerNorm(network.width, eps=EPSILON),
                    nn.Linear(network.width, network.hidden),
                    nn.ReLU(),
                    nn.Dropout(network.rate),
                    nn.Linear(network.hidden, network.width),
                )

            def forward(self, x: Any) -> Any:
                return x + self.inner(x)

        blocks = [Block() for _ in range(self.blocks)]
        return nn.Sequential(nn.Linear(self.inputs, self.width), *blocks, nn.Linear(self.width, 1))


@dataclass(frozen=True)
class BatchNormalized(Network):
    """Dense layers without bias, each but the last followed by batch normalisation and relu."""

    widths: tuple[int, ...]

    @property
    def moving(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.widths[1:-1]

    @property
    def shape(self) -> str:
        return "-BN-".join(map(str, self.widths[:-1])).replace("-BN", "", 1) + (
            f"-BN-{self.widths[-1]}"
        )

    def products(self) -> list[tuple[int, int, int]]:
        return [(1, *pair) for pair in pairwise(self.widths)]

    def weights(self, random: np.random.Generator) -> Weights:
        found: Weights = []
        for inputs, outputs in pairwise(self.widths[:-1]):
            found += [glorot(random, inputs, outputs), *by_columns(outputs)]
        return found + dense(random, *self.widths[-2:])

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        (value,) = x
        *hidden, kernel, bias = weights
        for i in range(0, len(hidden), 3):
            z = value @ hidden[i]
            mean, variance = z.mean(axis=0), z.var(axis=0)
            run.saw(mean, variance)
            value = xp.maximum(standardized(xp, z, mean, variance, hidden[i + 1], hidden[i + 2]), 0)
        return value @ kernel + bias

    def model(self) -> fw.Model:
        stack: list[layers.Layer] = []
        for units in self.widths[1:-1]:
            stack += [
                layers.Dense(units, use_bias=False),
                layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON),
                layers.ReLU(),
            ]
        return fw.Sequential([*stack, layers.Dense(self.widths[-1])], self.widths[0], seed=0)

    def module(self, torch: Any) -> Any:
        nn = torch.nn
        stack: list[Any] = []
        for inputs, outputs in pairwise(self.widths[:-1]):
            normalization = nn.BatchNorm1d(outputs, eps=EPSILON, momentum=1 - MOMENTUM)
            stack += [nn.Linear(inputs, outputs, bias=False), normalization, nn.ReLU()]
        return nn.Sequential(*stack, nn.Linear(*self.widths[-2:]))


@dataclass(frozen=True)
class Embedded(Network):
    """Columns of categories, each a vector, beside numbers; then a chain.

    All columns have one table, each its own part of it.
    """

    columns: int = 8
    categories: int = 50
    size: int = 8
    numbers: int = 16
    widths: tuple[int, ...] = (128, 64, 1)

    @property
    def shape(self) -> str:
        chain = "-".join(map(str, self.widths))
        return f"{self.columns} of {self.categories} x {self.size} + {self.numbers}-{chain}"

    def chain(self) -> Chain:
        """What reads vectors and numbers."""
        return Chain((self.columns * self.size + self.numbers, *self.widths), "relu")

    def products(self) -> list[tuple[int, int, int]]:
        return self.chain().products()

    def weights(self, random: np.random.Generator) -> Weights:
        table = random.uniform(-0.05, 0.05, (self.columns * self.categories, self.size))
        return [table.astype(np.float32), *self.chain().weights(random)]

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        drawn = random.integers(self.categories, size=(count, self.columns))
        places = drawn + self.categories * np.arange(self.columns)
        return (
            places.astype(np.int32),
            random.standard_normal((count, self.numbers), np.float32),
        )

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        table, *inner = weights
        places, numbers = x
        vectors = table[places].reshape(len(places), self.columns * self.size)
        return self.chain().compute(xp, inner, [xp.concatenate([vectors, numbers], 1)], run)

    def model(self) -> fw.Model:
        places, numbers = fw.Input(self.columns), fw.Input(self.numbers)
        table = layers.Embedding(self.columns * self.categories, self.size)
        value = layers.Concatenate()([layers.Flatten()(table(places)), numbers])
        for units in self.widths[:-1]:
            value = layers.Dense(units, "relu")(value)
        return fw.Model([places, numbers], layers.Dense(self.widths[-1])(value), seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = nn.Embedding(network.columns * network.categories, network.size)
                self.chain = network.chain().module(torch)

            def forward(self, places: Any, numbers: Any) -> Any:
                return self.chain(torch.cat([self.table(places).flatten(1), numbers], 1))

        return Module()


@dataclass(frozen=True)
class Members(Network):
    """Several chains side by side, which read the same rows and have the same targets."""

    widths: tuple[int, ...]
    members: int

    @property
    def shape(self) -> str:
        return f"{self.members} of {'-'.join(map(str, self.widths))}"

    def products(self) -> list[tuple[int, int, int]]:
        return [(self.members, *pair) for pair in pairwise(self.widths)]

    def weights(self, random: np.random.Generator) -> Weights:
        found: Weights = []
        for inputs, outputs in pairwise(self.widths):
            found += [
                glorot(random, self.members, inputs, outputs),
                np.zeros((self.members, outputs), np.float32),
            ]
        return found

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        # Members first: (members, rows, columns).
        (value,) = x
        for i in range(0, len(weights), 2):
            value = value @ weights[i] + weights[i + 1][:, None]
            value = xp.maximum(value, 0) if i + 2 < len(weights) else value
        return value

    def model(self) -> fw.Model:
        stack: list[layers.Layer] = [layers.RepeatVector(self.members)]
        stack += [layers.MemberDense(units, "relu") for units in self.widths[1:-1]]
        return fw.Sequential([*stack, layers.MemberDense(self.widths[-1])], self.widths[0], seed=0)

    def target(self, found: np.ndarray) -> np.ndarray:
        return found[0]

    def targets(self, y: np.ndarray) -> np.ndarray:
        return np.repeat(y[:, None], self.members, axis=1)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class MemberLinear(nn.Module):
            def __init__(self, inputs: int, outputs: int) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.empty(network.members, inputs, outputs))
                self.bias = nn.Parameter(torch.empty(network.members, 1, outputs))

            def forward(self, x: Any) -> Any:
                return torch.baddbmm(self.bias, x, self.weight)

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                stack: list[Any] = []
                for inputs, outputs in pairwise(network.widths):
                    stack += [MemberLinear(inputs, outputs), nn.ReLU()]
                self.chain = nn.Sequential(*stack[:-1])

            def forward(self, x: Any) -> Any:
                return self.chain(x.expand(network.members, *x.shape))

        return Module()
