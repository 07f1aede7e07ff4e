"""Networks on sequences, for the race: LSTM and GRU, and a small language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastweights as fw
from bench.peers.networks import (
    EPSILON,
    Network,
    Pass,
    Weights,
    by_columns,
    dense,
    glorot,
    standardized,
)
from fastweights import layers


def sigmoid(xp: Any, x: Any) -> Any:
    """By tanh, which overflows nowhere."""
    return 0.5 * xp.tanh(0.5 * x) + 0.5


@dataclass(frozen=True)
class Recurrent(Network):
    """One LSTM or GRU over some steps, and a dense layer on its last state.

    Weights are apart for each gate, in PyTorch's order: kernels, recurrent kernels, biases, and of
    a GRU the recurrent biases.
    """

    kind: str
    steps: int
    inputs: int
    units: int
    outputs: int = 1

    @property
    def gates(self) -> int:
        """How many there are."""
        return {"lstm": 4, "gru": 3}[self.kind]

    @property
    def shape(self) -> str:
        return f"{self.kind.upper()}, {self.steps} steps of {self.inputs}, {self.units} units"

    def products(self) -> list[tuple[int, int, int]]:
        wide = self.gates * self.units
        return [
            (self.steps, self.inputs, wide),
            (self.steps, self.units, wide),
            (1, self.units, self.outputs),
        ]

    def weights(self, random: np.random.Generator) -> Weights:
        kernels = [glorot(random, self.inputs, self.units) for _ in range(self.gates)]
        kernels += [glorot(random, self.units, self.units) for _ in range(self.gates)]
        biases = self.gates * (1 if self.kind == "lstm" else 2)
        zeros = [np.zeros(self.units, np.float32) for _ in range(biases)]
        return [*kernels, *zeros, *dense(random, self.units, self.outputs)]

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        return (random.standard_normal((count, self.steps, self.inputs), np.float32),)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        n, units = self.gates, self.units
        joined = [xp.concatenate(weights[i : i + n], -1) for i in range(0, len(weights) - 2, n)]
        kernel, recurrent, bias = joined[:3]
        zeros = xp.zeros((len(x[0]), units), xp.float32)
        # Steps first; one product for all of them.
        given = (x[0] @ kernel + bias).swapaxes(0, 1)

        def lstm(state: Any, given: Any) -> Any:
            h, c = state
            z = given + h @ recurrent
            i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
            c = sigmoid(xp, f) * c + sigmoid(xp, i) * xp.tanh(g)
            return sigmoid(xp, o) * xp.tanh(c), c

        def gru(state: Any, given: Any) -> Any:
            (h,) = state
            again = h @ recurrent + joined[3]
            gates = sigmoid(xp, given[:, : 2 * units] + again[:, : 2 * units])
            r, z = gates[:, :units], gates[:, units:]
            n = xp.tanh(given[:, 2 * units :] + r * again[:, 2 * units :])
            return ((1 - z) * n + z * h,)

        step, state = (lstm, (zeros, zeros)) if self.kind == "lstm" else (gru, (zeros,))
        return run.steps(step, state, given)[0] @ weights[-2] + weights[-1]

    def model(self) -> fw.Model:
        layer = layers.LSTM if self.kind == "lstm" else layers.GRU
        stack = [layer(self.units), layers.Dense(self.outputs)]
        return fw.Sequential(stack, (self.steps, self.inputs), seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                layer = nn.LSTM if network.kind == "lstm" else nn.GRU
                self.cell = layer(network.inputs, network.units, batch_first=True)
                if network.kind == "lstm":
                    # It has two biases that do the same.
                    nn.init.zeros_(self.cell.bias_hh_l0).requires_grad_(False)
                self.dense = nn.Linear(network.units, network.outputs)

            def forward(self, x: Any) -> Any:
                return self.dense(self.cell(x)[0][:, -1])

        return Module()


@dataclass(frozen=True)
class Language(Network):
    """A transformer that tells the next of some characters at each place (Radford et al. 2018).

    Blocks are ``x + attention(norm(x))``, then ``x + dense(relu(dense(norm(x))))``; each head sees
    the places up to its own.
    """

    characters: int = 80
    places: int = 64
    width: int = 64
    heads: int = 4
    blocks: int = 2

    loss = "crossentropy"
    inputs_are_trained = True

    @property
    def shape(self) -> str:
        return (
            f"{self.characters} characters, {self.places} places, {self.width} wide, "
            f"{self.heads} heads, {self.blocks} blocks"
        )

    def products(self) -> list[tuple[int, int, int]]:
        lines, width = self.places, self.width
        # Scores, and values by them: of all places up to one's own, half of those that there are.
        attention = [(lines * self.heads, width // self.heads, lines // 2)] * 2
        block = [
            (lines, width, 3 * width), *attention, (lines, width, width),
            (lines, width, 4 * width), (lines, 4 * width, width),
        ]  # fmt: skip
        return [*block * self.blocks, (lines, width, self.characters)]

    def weights(self, random: np.random.Generator) -> Weights:
        wide = self.width
        found = [
            random.uniform(-0.05, 0.05, (count, wide)).astype(np.float32)
            for count in (self.characters, self.places)
        ]
        for _ in range(self.blocks):
            found += by_columns(wide)
            # Queries, keys, values: their kernels, then their biases.
            found += [glorot(random, wide, wide) for _ in range(3)]
            found += [np.zeros(wide, np.float32) for _ in range(3)]
            found += dense(random, wide, wide)
            found += by_columns(wide) + dense(random, wide, 4 * wide)
            found += dense(random, 4 * wide, wide)
        return [*found, *by_columns(wide), *dense(random, wide, self.characters)]

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        return (random.integers(self.characters, size=(count, self.places), dtype=np.int32),)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        places, head = self.places, self.width // self.heads
        left = iter(weights)
        hidden = xp.where(np.tril(np.ones((places, places), bool)), 0, -xp.inf).astype(xp.float32)

        def taken(count: int) -> list[Any]:
            return [next(left) for _ in range(count)]

        def normalized(value: Any) -> Any:
            mean = value.mean(axis=-1, keepdims=True)
            return standardized(xp, value, mean, value.var(axis=-1, keepdims=True), *taken(2))

        value = next(left)[x[0]]
        value = value + next(left)
        for _ in range(self.blocks):
            inner = normalized(value)
            made = inner @ xp.concatenate(taken(3), 1) + xp.concatenate(taken(3))
            made = made.reshape(-1, places, 3, self.heads, head).transpose(2, 0, 3, 1, 4)
            query, key, content = made[0], made[1], made[2]
            scores = query @ key.swapaxes(-1, -2) * (1 / math.sqrt(head)) + hidden
            scores = xp.exp(scores - scores.max(-1, keepdims=True))
            found = (scores / scores.sum(-1, keepdims=True)) @ content
            found = found.swapaxes(1, 2).reshape(-1, places, self.width)
            kernel, bias = taken(2)
            value = value + (found @ kernel + bias)
            inner = normalized(value)
            up, up_bias, down, down_bias = taken(4)
            value = value + (xp.maximum(inner @ up + up_bias, 0) @ down + down_bias)
        value = normalized(value)
        kernel, bias = taken(2)
        return value @ kernel + bias

    def model(self) -> fw.Model:
        x = fw.Input(self.places)
        value = layers.Embedding(self.characters, self.width)(x)
        value = layers.Add()([value, layers.PositionEmbedding(self.places)(value)])
        for _ in range(self.blocks):
            inner = layers.LayerNormalization(epsilon=EPSILON)(value)
            attention = layers.MultiHeadAttention(self.heads, self.width // self.heads)
            value = layers.Add()([value, attention(inner, inner, use_causal_mask=True)])
            inner = layers.LayerNormalization(epsilon=EPSILON)(value)
            wide = layers.Dense(4 * self.width, "relu")(inner)
            value = layers.Add()([value, layers.Dense(self.width)(wide)])
        value = layers.LayerNormalization(epsilon=EPSILON)(value)
        return fw.Model(x, layers.Dense(self.characters)(value), seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                wide = network.width
                self.before = nn.LayerNorm(wide, eps=EPSILON)
                self.all = nn.Linear(wide, 3 * wide)
                self.all.parts = 3
                self.out = nn.Linear(wide, wide)
                self.between = nn.LayerNorm(wide, eps=EPSILON)
                self.up, self.down = nn.Linear(wide, 4 * wide), nn.Linear(4 * wide, wide)

            def forward(self, x: Any) -> Any:
                rows, places, wide = x.shape
                query, key, content = (
                    one.view(rows, places, network.heads, -1).transpose(1, 2)
                    for one in self.all(self.before(x)).chunk(3, -1)
                )
                found = nn.functional.scaled_dot_product_attention(
                    query, key, content, is_causal=True
                )
                x = x + self.out(found.transpose(1, 2).reshape(rows, places, wide))
                return x + self.down(torch.relu(self.up(self.between(x))))

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = nn.Embedding(network.characters, network.width)
                self.places = nn.Embedding(network.places, network.width)
                self.blocks = nn.Sequential(*(Block() for _ in range(network.blocks)))
                self.normalization = nn.LayerNorm(network.width, eps=EPSILON)
                self.head = nn.Linear(network.width, network.characters)

            def forward(self, x: Any) -> Any:
                value = self.table(x) + self.places.weight
                return self.head(self.normalization(self.blocks(value)))

        return Module()
