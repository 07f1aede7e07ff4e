"""Networks on images, for the race: convolutions, pooling, dense layers.

In the operations that NumPy and JAX share a convolution is one product with the patches of an
image, side by side: in a compiled loop on a CPU JAX is faster so than by its own convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import fastweights as fw
from bench.peers.networks import EPSILON, MOMENTUM, Network, Pass, Weights, by_columns, dense
from fastweights import layers


def kernel(random: np.random.Generator, size: int, channels: int, filters: int) -> np.ndarray:
    """(size, size, channels, filters), uniform (Glorot & Bengio 2010)."""
    limit = math.sqrt(6 / (size * size * (channels + filters)))
    return random.uniform(-limit, limit, (size, size, channels, filters)).astype(np.float32)


def convolved(xp: Any, x: Any, kernel: Any, stride: int = 1, padded: bool = False) -> Any:
    """x (rows, height, width, channels) by a kernel (size, size, channels, filters)."""
    size, filters = kernel.shape[0], kernel.shape[-1]
    high, wide = ((n + stride - 1) // stride if padded else n - size + 1 for n in x.shape[1:3])
    if padded:
        sides = zip((high, wide), x.shape[1:3], strict=True)
        missing = [max(0, (n - 1) * stride + size - m) for n, m in sides]
        x = xp.pad(x, [(0, 0), *((one // 2, one - one // 2) for one in missing), (0, 0)])
    patches = xp.concatenate(
        [
            x[:, i : i + stride * (high - 1) + 1 : stride, j : j + stride * (wide - 1) + 1 : stride]
            for i in range(size)
            for j in range(size)
        ],
        3,
    )
    return patches @ kernel.reshape(-1, filters)


def pooled(x: Any) -> Any:
    """The largest of each 2 x 2 pixels; a row or column that is left over falls away."""
    rows, high, wide, channels = x.shape
    x = x[:, : high // 2 * 2, : wide // 2 * 2]
    return x.reshape(rows, high // 2, 2, wide // 2, 2, channels).max((2, 4))


class Convolution(NamedTuple):
    """So many filters of size x size."""

    filters: int
    size: int


@dataclass(frozen=True)
class Convolutional(Network):
    """Convolutions, each with relu and pooling, then dense layers."""

    side: int
    convolutions: tuple[Convolution, ...]
    widths: tuple[int, ...]
    channels: int = 1

    @property
    def shape(self) -> str:
        stack = ", ".join(f"conv {one.filters}@{one.size}, pool" for one in self.convolutions)
        return f"{self.side} x {self.side}, {stack}, {'-'.join(map(str, self.widths))}"

    def sizes(self) -> list[tuple[int, int, Convolution]]:
        """Side and channels of what each convolution reads."""
        found, side, channels = [], self.side, self.channels
        for one in self.convolutions:
            found.append((side, channels, one))
            side, channels = (side - one.size + 1) // 2, one.filters
        return found

    def chain(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each dense layer."""
        side, _, last = self.sizes()[-1]
        flat = ((side - last.size + 1) // 2) ** 2 * last.filters
        return list(pairwise((flat, *self.widths)))

    def products(self) -> list[tuple[int, int, int]]:
        found = [
            ((side - one.size + 1) ** 2, one.size**2 * channels, one.filters)
            for side, channels, one in self.sizes()
        ]
        return found + [(1, *pair) for pair in self.chain()]

    def weights(self, random: np.random.Generator) -> Weights:
        found: Weights = []
        for _, channels, one in self.sizes():
            found += [kernel(random, one.size, channels, one.filters)]
            found += [np.zeros(one.filters, np.float32)]
        return found + [weight for pair in self.chain() for weight in dense(random, *pair)]

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        shape = (count, self.side, self.side, self.channels)
        return (random.standard_normal(shape, np.float32),)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        (value,) = x
        upto = 2 * len(self.convolutions)
        for i in range(0, upto, 2):
            value = pooled(xp.maximum(convolved(xp, value, weights[i]) + weights[i + 1], 0))
        value = value.reshape(len(value), -1)
        for i in range(upto, len(weights), 2):
            value = value @ weights[i] + weights[i + 1]
            value = xp.maximum(value, 0) if i + 2 < len(weights) else value
        return value

    def model(self) -> fw.Model:
        stack: list[layers.Layer] = []
        for one in self.convolutions:
            stack += [layers.Conv2D(one.filters, one.size, activation="relu")]
            stack += [layers.MaxPooling2D()]
        stack += [layers.Flatten()]
        stack += [layers.Dense(units, "relu") for units in self.widths[:-1]]
        shape = (self.side, self.side, self.channels)
        return fw.Sequential([*stack, layers.Dense(self.widths[-1])], shape, seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                stack: list[Any] = []
                for _, channels, one in network.sizes():
                    stack += [nn.Conv2d(channels, one.filters, one.size), nn.ReLU()]
                    stack += [nn.MaxPool2d(2)]
                self.images = nn.Sequential(*stack)
                stack = []
                for pair in network.chain():
                    stack += [nn.Linear(*pair), nn.ReLU()]
                self.dense = nn.Sequential(*stack[:-1])

            def forward(self, x: Any) -> Any:
                # Channels last, in which rows are given, in memory too: Flatten is to see them so.
                found = self.images(x.permute(0, 3, 1, 2))
                return self.dense(found.permute(0, 2, 3, 1).flatten(1))

        return Module().to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Residual(Network):
    """Stages of residual blocks of two convolutions of 3 x 3 (He et al. 2016), then their mean.

    Each convolution is followed by batch normalisation. The first block of a stage has a stride of
    2 but in the first stage, and then a convolution of 1 x 1 beside it.
    """

    side: int = 32
    channels: int = 3
    filters: tuple[int, ...] = (16, 32, 64)
    blocks: int = 2
    outputs: int = 10

    @property
    def shape(self) -> str:
        wide = "-".join(map(str, self.filters))
        return f"{self.side} x {self.side} x {self.channels}, {wide}, {self.blocks} blocks each"

    def convolutions(self) -> list[tuple[int, int, int, int, int]]:
        """Side of what it makes, its size, channels, filters and stride, of one after another."""
        side, before = self.side, self.filters[0]
        found = [(side, 3, self.channels, before, 1)]
        for filters in self.filters:
            for block in range(self.blocks):
                stride = 2 if block == 0 and filters != before else 1
                side //= stride
                found += [(side, 3, before, filters, stride), (side, 3, filters, filters, 1)]
                if stride > 1:
                    found += [(side, 1, before, filters, stride)]
                before = filters
        return found

    @property
    def moving(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(filters for _, _, _, filters, _ in self.convolutions())

    def products(self) -> list[tuple[int, int, int]]:
        found = [
            (side**2, size**2 * channels, filters)
            for side, size, channels, filters, _ in self.convolutions()
        ]
        return [*found, (1, self.filters[-1], self.outputs)]

    def weights(self, random: np.random.Generator) -> Weights:
        found: Weights = []
        for _, size, channels, filters, _ in self.convolutions():
            found += [kernel(random, size, channels, filters), *by_columns(filters)]
        return found + dense(random, self.filters[-1], self.outputs)

    def rows(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        shape = (count, self.side, self.side, self.channels)
        return (random.standard_normal(shape, np.float32),)

    def compute(self, xp: Any, weights: Sequence[Any], x: Sequence[Any], run: Pass) -> Any:
        strides = iter([stride for *_, stride in self.convolutions()])
        left = iter(weights)

        def normalized(value: Any) -> Any:
            kernel, gamma, beta = next(left), next(left), next(left)
            z = convolved(xp, value, kernel, next(strides), padded=True)
            mean, variance = z.mean((0, 1, 2)), z.var((0, 1, 2))
            run.saw(mean, variance)
            return (z - mean) * (gamma / xp.sqrt(variance + EPSILON)) + beta

        value, before = xp.maximum(normalized(x[0]), 0), self.filters[0]
        for filters in self.filters:
            for _ in range(self.blocks):
                inner = normalized(xp.maximum(normalized(value), 0))
                beside = value if filters == before else normalized(value)
                value, before = xp.maximum(inner + beside, 0), filters
        return value.mean((1, 2)) @ next(left) + next(left)

    def model(self) -> fw.Model:
        def normalized(value: Any, filters: int, size: int, stride: int) -> Any:
            convolution = layers.Conv2D(
                filters, size, strides=stride, padding="same", use_bias=False
            )
            return layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(convolution(value))

        x = fw.Input((self.side, self.side, self.channels))
        before = self.filters[0]
        value = layers.ReLU()(normalized(x, before, 3, 1))
        for filters in self.filters:
            for _ in range(self.blocks):
                stride = 1 if filters == before else 2
                inner = layers.ReLU()(normalized(value, filters, 3, stride))
                inner = normalized(inner, filters, 3, 1)
                beside = value if stride == 1 else normalized(value, filters, 1, stride)
                value, before = layers.ReLU()(layers.Add()([inner, beside])), filters
        value = layers.GlobalAveragePooling2D()(value)
        return fw.Model(x, layers.Dense(self.outputs)(value), seed=0)

    def module(self, torch: Any) -> Any:
        nn, network = torch.nn, self

        class Same(nn.Module):
            """Padded as TensorFlow does it: what is odd comes last."""

            def __init__(self, size: int, channels: int, filters: int, stride: int) -> None:
                super().__init__()
                self.convolution = nn.Conv2d(
                    channels, filters, size, stride, 0 if stride > 1 else size // 2, bias=False
                )
                self.normalization = nn.BatchNorm2d(filters, eps=EPSILON, momentum=1 - MOMENTUM)
                self.after = (0, 1, 0, 1) if stride > 1 and size > 1 else None

            def forward(self, x: Any) -> Any:
                if self.after:
                    x = nn.functional.pad(x, self.after)
                return self.normalization(self.convolution(x))

        class Module(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.parts = nn.ModuleList(Same(*one) for _, *one in network.convolutions())
                self.dense = nn.Linear(network.filters[-1], network.outputs)

            def forward(self, x: Any) -> Any:
                parts, relu = iter(self.parts), torch.relu
                value, before = relu(next(parts)(x.permute(0, 3, 1, 2))), network.filters[0]
                for filters in network.filters:
                    for _ in range(network.blocks):
                        inner = relu(next(parts)(value))
                        inner = next(parts)(inner)
                        beside = value if filters == before else next(parts)(value)
                        value, before = relu(inner + beside), filters
                return self.dense(value.mean((2, 3)))

        return Module().to(memory_format=torch.channels_last)
