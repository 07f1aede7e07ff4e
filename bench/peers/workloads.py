"""What is trained: networks on data made by another network of the same shape.

All is in float32, and by the mean squared error, the one loss that all contenders have, but for
the language model, which is trained for classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.peers.images import Convolution, Convolutional, Residual
from bench.peers.networks import (
    BatchNormalized,
    Chain,
    Embedded,
    Members,
    Network,
    Pass,
    ResMLP,
    Weights,
)
from bench.peers.sequences import Language, Recurrent

#: Rows that a loss is looked at on: enough for three digits.
LOSS_ROWS = 2048

#: The spread of what the targets have in them that no network can learn.
NOISE = 0.1


def mse(xp: Any, found: Any, y: Any) -> Any:
    """The mean squared error."""
    return xp.mean(xp.square(found - y))


def crossentropy(xp: Any, found: Any, y: Any) -> Any:
    """That of the classes y, by numbers whose softmax are their probabilities."""
    found = found - found.max(-1, keepdims=True)
    picked = xp.take_along_axis(found, y[..., None], -1)[..., 0]
    return xp.mean(xp.log(xp.exp(found).sum(-1)) - picked)


#: By the operations that NumPy and JAX share.
LOSSES = {"mse": mse, "crossentropy": crossentropy}


@dataclass(frozen=True)
class Workload:
    """A network, its batch and its epoch.

    `sgd` and `adam` are their learning rates, small enough for the loss to depend little on the
    order of the rows. `epochs` are trained before the losses are compared, from the same weights.
    """

    name: str
    network: Network
    batch: int
    steps: int
    sgd: float
    adam: float = 0.001
    epochs: int = 1
    optimizers: tuple[str, ...] = ("sgd", "adam")

    @property
    def shape(self) -> str:
        """Its layers and its batch in words."""
        return f"{self.network.shape}, batch {self.batch:,}"

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self.batch * self.steps

    @property
    def flops(self) -> int:
        """Operations of a step's products: y = xW, dW = x'dy, and dx = dyW' but for the input."""
        products = [lines * inputs * outputs for lines, inputs, outputs in self.network.products()]
        unwanted = 0 if self.network.inputs_are_trained else 2 * products[0]
        return self.batch * (6 * sum(products) - unwanted)

    def learning_rate(self, optimizer: str) -> float:
        """The same for every contender."""
        return {"sgd": self.sgd, "adam": self.adam}[optimizer]

    def weights(self, seed: int) -> Weights:
        """As they start."""
        return self.network.weights(np.random.default_rng(seed))

    def data(self) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Rows of each input, and targets of spread 1 from another such network, with noise.

        Classes are the likeliest ones, with noise too.
        """
        random = np.random.default_rng(1)
        x = self.network.rows(random, self.rows)
        y = self.predict(self.weights(seed=2), x)
        y = (y - y.mean()) / y.std()
        y += NOISE * random.standard_normal(y.shape, np.float32)
        return x, y if self.network.loss == "mse" else y.argmax(-1).astype(np.int32)

    def predict(self, weights: Weights, x: Sequence[np.ndarray]) -> np.ndarray:
        """What the network makes of rows, as a target."""
        return self.network.target(self.network.compute(np, weights, x, Pass()))

    def loss(self, weights: Weights, x: Sequence[np.ndarray], y: np.ndarray) -> float:
        """The loss in plain NumPy, whoever trained the weights."""
        few = [one[:LOSS_ROWS] for one in x]
        found, y = self.network.compute(np, weights, few, Pass()), y[:LOSS_ROWS]
        return float(LOSSES[self.network.loss](np, found, y))


def _chain(
    name: str, widths: tuple[int, ...], batch: int, activation: str, **rest: Any
) -> Workload:
    return Workload(name, Chain(widths, activation), batch, **rest)


#: Of networks that are trained by Adam alone.
ADAM: dict[str, Any] = {"sgd": 0.0, "optimizers": ("adam",)}

LENET = (Convolution(6, 5), Convolution(16, 5))
CNN = (Convolution(16, 3), Convolution(32, 3))

WORKLOADS = (
    _chain("online", (32, 64, 1), 1, "tanh", steps=1000, sgd=0.001, adam=0.0001, epochs=4),
    _chain("policy", (8, 64, 64, 4), 64, "tanh", steps=200, sgd=0.1),
    _chain("matexp", (4, 32, 16, 4), 200, "tanh", steps=100, sgd=0.1),
    _chain("shallow", (32, 100, 1), 200, "relu", steps=100, sgd=0.05),
    _chain("tabular", (32, 128, 128, 1), 256, "relu", steps=100, sgd=0.02),
    _chain("mnist", (784, 256, 128, 10), 128, "relu", steps=50, sgd=0.1),
    _chain("wide", (512, 1024, 1024, 512), 512, "relu", steps=8, sgd=1.0, epochs=2),
    _chain("large", (1024, 4096, 4096, 1024), 512, "relu", steps=3, sgd=1.0),
    _chain(
        "matexp full batch",
        (4, 32, 16, 4),
        10_000,
        "tanh",
        steps=1,
        sgd=0.1,
        epochs=100,
        optimizers=("adam",),
    ),
    # What dropout draws is chance: more steps, and smaller ones, for losses that can be compared.
    Workload("resmlp", ResMLP(), 256, steps=50, adam=0.0001, epochs=8, **ADAM),
    Workload("batchnorm", BatchNormalized((64, 256, 256, 10)), 128, steps=100, **ADAM),
    Workload("embedding", Embedded(), 256, steps=100, **ADAM),
    Workload("members", Members((32, 64, 64, 1), 16), 256, steps=50, **ADAM),
    Workload("lenet", Convolutional(28, LENET, (120, 84, 10)), 128, steps=20, **ADAM),
    Workload("cnn", Convolutional(28, CNN, (64, 10)), 64, steps=20, **ADAM),
    Workload("resnet", Residual(), 64, steps=2, **ADAM),
    Workload("lstm", Recurrent("lstm", 29, 12, 32), 32, steps=50, **ADAM),
    Workload("lstm_wide", Recurrent("lstm", 100, 8, 128), 64, steps=5, **ADAM),
    Workload("gru", Recurrent("gru", 29, 12, 32), 32, steps=50, **ADAM),
    Workload("gpt", Language(), 16, steps=10, **ADAM),
)


@dataclass(frozen=True)
class Task:
    """A workload with an optimizer and its data: all that a contender is told."""

    workload: Workload
    optimizer: str
    x: tuple[np.ndarray, ...]
    y: np.ndarray
    weights: Weights

    @classmethod
    def of(cls, workload: Workload, optimizer: str) -> Task:
        """With data and initial weights that are always the same."""
        return cls(workload, optimizer, *workload.data(), workload.weights(seed=0))

    @property
    def learning_rate(self) -> float:
        """What every contender's optimizer gets."""
        return self.workload.learning_rate(self.optimizer)
