"""What is trained: networks of dense layers, on data made by another network of the same shape.

Every workload is a regression with the mean squared error in float32, the one loss and dtype that
all contenders have.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

#: Kernels and biases by turns, in layer order; a kernel is (inputs, outputs).
Weights = list[np.ndarray]

#: Rows that a loss is looked at on: enough for three digits.
LOSS_ROWS = 2048

#: The spread of what the targets have in them that no network can learn.
NOISE = 0.1


@dataclass(frozen=True)
class Workload:
    """A network, its batch and its epoch.

    `sgd` and `adam` are their learning rates, small enough for the loss to depend little on the
    order of the rows. `epochs` are trained before the losses are compared, from the same weights.
    """

    name: str
    widths: tuple[int, ...]
    batch: int
    activation: str
    steps: int
    sgd: float
    adam: float = 0.001
    epochs: int = 1
    optimizers: tuple[str, ...] = ("sgd", "adam")

    @property
    def shape(self) -> str:
        """Its layers and its batch in words."""
        return f"{'-'.join(map(str, self.widths))}, batch {self.batch:,}"

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self.batch * self.steps

    @property
    def flops(self) -> int:
        """Operations of a step's products: y = xW, dW = x'dy, and dx = dyW' but for the input."""
        products = [inputs * outputs for inputs, outputs in pairwise(self.widths)]
        return self.batch * (6 * sum(products) - 2 * products[0])

    def learning_rate(self, optimizer: str) -> float:
        """The same for every contender."""
        return {"sgd": self.sgd, "adam": self.adam}[optimizer]

    def weights(self, seed: int) -> Weights:
        """Glorot's uniform kernels, biases of zero (Glorot & Bengio 2010)."""
        random = np.random.default_rng(seed)
        drawn = []
        for inputs, outputs in pairwise(self.widths):
            limit = np.sqrt(6 / (inputs + outputs))
            drawn.append(random.uniform(-limit, limit, (inputs, outputs)).astype(np.float32))
            drawn.append(np.zeros(outputs, np.float32))
        return drawn

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Normal rows, and targets of spread 1 from another network of this shape, with noise."""
        random = np.random.default_rng(1)
        x = random.standard_normal((self.rows, self.widths[0]), np.float32)
        y = predict(self.weights(seed=2), x, self.activation)
        y = (y - y.mean()) / y.std()
        return x, y + NOISE * random.standard_normal(y.shape, np.float32)

    def loss(self, weights: Weights, x: np.ndarray, y: np.ndarray) -> float:
        """The mean squared error in plain NumPy, whoever trained the weights."""
        away = predict(weights, x[:LOSS_ROWS], self.activation) - y[:LOSS_ROWS]
        return float(np.mean(np.square(away), dtype=np.float64))


def predict(weights: Weights, x: np.ndarray, activation: str) -> np.ndarray:
    """The network's output; the activation stands between the layers, not after the last."""
    value = x
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        if value is not x:
            value = np.tanh(value) if activation == "tanh" else np.maximum(value, 0)
        value = value @ kernel + bias
    return value


WORKLOADS = (
    Workload("online", (32, 64, 1), 1, "tanh", steps=1000, sgd=0.001, adam=0.0001, epochs=4),
    Workload("policy", (8, 64, 64, 4), 64, "tanh", steps=200, sgd=0.1),
    Workload("matexp", (4, 32, 16, 4), 200, "tanh", steps=100, sgd=0.1),
    Workload("shallow", (32, 100, 1), 200, "relu", steps=100, sgd=0.05),
    Workload("tabular", (32, 128, 128, 1), 256, "relu", steps=100, sgd=0.02),
    Workload("mnist", (784, 256, 128, 10), 128, "relu", steps=50, sgd=0.1),
    Workload("wide", (512, 1024, 1024, 512), 512, "relu", steps=8, sgd=1.0, epochs=2),
    Workload("large", (1024, 4096, 4096, 1024), 512, "relu", steps=3, sgd=1.0),
    Workload(
        "matexp full batch",
        (4, 32, 16, 4),
        10_000,
        "tanh",
        1,
        0.1,
        epochs=100,
        optimizers=("adam",),
    ),
)


@dataclass(frozen=True)
class Task:
    """A workload with an optimizer and its data: all that a contender is told."""

    workload: Workload
    optimizer: str
    x: np.ndarray
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
