"""The oracle: activations, losses, metrics and a small network in plain NumPy, always in float64.

It reads like the formulas in a textbook, is slow, and calls nothing of fastweights. The names are
those of the library, so that a test can look both up under one name.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray

#: Probabilities are clipped to [CLIP, 1 - CLIP] before their logarithm is taken.
CLIP = 1e-7

_erf = np.vectorize(math.erf, otypes=[float])


# ---- activations: name -> (value at z, derivative at z) ------------------------------------------


def sigmoid(z: Array) -> Array:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def normal_density(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def normal_distribution(z: Array) -> Array:
    return (1 + _erf(z / math.sqrt(2))) / 2


def elu(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def elu_derivative(z: Array, alpha: float = 1.0) -> Array:
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0)))


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def gelu_tanh(z: Array) -> Array:
    return z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def gelu_tanh_derivative(z: Array) -> Array:
    inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
    inner_derivative = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
    return (1 + np.tanh(inner)) / 2 + z / 2 * inner_derivative / np.cosh(inner) ** 2


def hard_sigmoid(z: Array) -> Array:
    return np.clip(z + 3, 0, 6) / 6


def hard_sigmoid_derivative(z: Array) -> Array:
    return (np.abs(z) < 3) / 6


def mish_derivative(z: Array) -> Array:
    gate = np.tanh(softplus(z))
    return gate + z * (1 - gate**2) * sigmoid(z)


ACTIVATIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z: ((z > 0) & (z < 6)).astype(float)),
    "leaky_relu": (
        lambda z, slope=0.2: np.where(z > 0, z, slope * z),
        lambda z, slope=0.2: np.where(z > 0, 1.0, slope),
    ),
    "elu": (elu, elu_derivative),
    "selu": (
        lambda z: SELU_SCALE * elu(z, SELU_ALPHA),
        lambda z: SELU_SCALE * elu_derivative(z, SELU_ALPHA),
    ),
    "gelu": (
        lambda z: z * normal_distribution(z),
        lambda z: normal_distribution(z) + z * normal_density(z),
    ),
    "gelu_tanh": (gelu_tanh, gelu_tanh_derivative),
    "silu": (
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * sigmoid(-z)),
    ),
    "hard_silu": (
        lambda z: z * hard_sigmoid(z),
        lambda z: hard_sigmoid(z) + z * hard_sigmoid_derivative(z),
    ),
    "mish": (lambda z: z * np.tanh(softplus(z)), mish_derivative),
    "softplus": (softplus, sigmoid),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_derivative),
    "exponential": (np.exp, np.exp),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}


def softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def sparsemax(z: Array) -> Array:
    falling = -np.sort(-z, axis=1)
    sums = np.cumsum(falling, axis=1)
    ranks = np.arange(1, z.shape[1] + 1)
    support = (1 + ranks * falling > sums).sum(axis=1, keepdims=True)
    tau = (np.take_along_axis(sums, support - 1, axis=1) - 1) / support
    return np.maximum(z - tau, 0)


def sparsemax_backward(z: Array, dy: Array) -> Array:
    support = sparsemax(z) > 0
    mean = (dy * support).sum(axis=1, keepdims=True) / support.sum(axis=1, keepdims=True)
    return support * (dy - mean)


#: Those of whole rows.
ROW_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmin": lambda z: softmax(-z),
    "sparsemax": sparsemax,
}


def activate(name: str, z: Array, *options: float) -> Array:
    """The activation of every row of z (rows, units)."""
    if name in ROW_ACTIVATIONS:
        return ROW_ACTIVATIONS[name](z)
    return ACTIVATIONS[name][0](z, *options)


def activate_backward(name: str, z: Array, dy: Array, *options: float) -> Array:
    """The gradient by z, from the gradient dy by the activation's value."""
    if name in ("softmax", "softmin"):
        y = ROW_ACTIVATIONS[name](z)
        sign = 1 if name == "softmax" else -1
        return sign * y * (dy - (dy * y).sum(axis=1, keepdims=True))
    if name == "sparsemax":
        return sparsemax_backward(z, dy)
    if name == "log_softmax":
        return dy - softmax(z) * dy.sum(axis=1, keepdims=True)
    return dy * ACTIVATIONS[name][1](z, *options)


# ---- losses: name -> (value of each row, its gradient by the prediction) -------------------------
#
# p is the prediction and t the target, both (rows, columns); a sparse loss takes labels (rows,).


def log_cosh(d: Array) -> Array:
    # Near 0 the series: d^2 / 2 - d^4 / 12 + d^6 / 45.
    large = np.abs(d) + np.log1p(np.exp(-2 * np.abs(d))) - math.log(2)
    return np.where(np.abs(d) < 1e-2, d**2 / 2 - d**4 / 12 + d**6 / 45, large)


def huber(p: Array, t: Array, delta: float = 1.0) -> Array:
    d = np.abs(p - t)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)).mean(axis=1)


def huber_gradient(p: Array, t: Array, delta: float = 1.0) -> Array:
    return np.clip(p - t, -delta, delta) / p.shape[1]


def clip(p: Array) -> Array:
    return np.clip(p, CLIP, 1 - CLIP)


def unclipped(p: Array) -> Array:
    """1 where clipping changes nothing, 0 where it does; NaN counts as not clipped."""
    return 1.0 - ((p < CLIP) | (p > 1 - CLIP))


def smooth(t: Array, label_smoothing: float, share: float) -> Array:
    return t * (1 - label_smoothing) + label_smoothing * share


def binary_crossentropy(p: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    t = smooth(t, label_smoothing, 0.5)
    q = clip(p)
    return -(t * np.log(q) + (1 - t) * np.log1p(-q)).mean(axis=1)


def binary_crossentropy_gradient(p: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    t = smooth(t, label_smoothing, 0.5)
    q = clip(p)
    return unclipped(p) * ((1 - t) / (1 - q) - t / q) / p.shape[1]


def binary_crossentropy_logits(z: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    # -log sigmoid(z) = softplus(-z) and -log(1 - sigmoid(z)) = softplus(z)
    t = smooth(t, label_smoothing, 0.5)
    return (t * softplus(-z) + (1 - t) * softplus(z)).mean(axis=1)


def binary_crossentropy_logits_gradient(z: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    t = smooth(t, label_smoothing, 0.5)
    return ((1 - t) * sigmoid(z) - t * sigmoid(-z)) / z.shape[1]


def categorical_crossentropy(p: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    t = smooth(t, label_smoothing, 1 / p.shape[1])
    return -(t * np.log(clip(p / p.sum(axis=1, keepdims=True)))).sum(axis=1)


def categorical_crossentropy_gradient(p: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    # dvalue/du for u = p / sum(p), then the chain rule through the division.
    t = smooth(t, label_smoothing, 1 / p.shape[1])
    total = p.sum(axis=1, keepdims=True)
    u = p / total
    du = -t / clip(u) * unclipped(u)
    return (du - (du * u).sum(axis=1, keepdims=True)) / total


def categorical_crossentropy_logits(z: Array, t: Array, label_smoothing: float = 0.0) -> Array:
    t = smooth(t, label_smoothing, 1 / z.shape[1])
    return -(t * log_softmax(z)).sum(axis=1)


def categorical_crossentropy_logits_gradient(
    z: Array, t: Array, label_smoothing: float = 0.0
) -> Array:
    t = smooth(t, label_smoothing, 1 / z.shape[1])
    return softmax(z) * t.sum(axis=1, keepdims=True) - t


def one_hot(labels: Array, classes: int) -> Array:
    return (labels[:, np.newaxis] == np.arange(classes)).astype(float)


def with_labels(dense: Callable[..., Array]) -> Callable[..., Array]:
    """The same loss for whole-number labels instead of rows of probabilities."""
    return lambda p, labels, *options: dense(p, one_hot(labels, p.shape[1]), *options)


LOSSES: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "mean_squared_error": (
        lambda p, t: ((p - t) ** 2).mean(axis=1),
        lambda p, t: 2 * (p - t) / p.shape[1],
    ),
    "mean_absolute_error": (
        lambda p, t: np.abs(p - t).mean(axis=1),
        lambda p, t: np.sign(p - t) / p.shape[1],
    ),
    "huber": (huber, huber_gradient),
    "log_cosh": (
        lambda p, t: log_cosh(p - t).mean(axis=1),
        lambda p, t: np.tanh(p - t) / p.shape[1],
    ),
    "poisson": (
        lambda p, t: (p - t * np.log(p + CLIP)).mean(axis=1),
        lambda p, t: (1 - t / (p + CLIP)) / p.shape[1],
    ),
    "hinge": (
        lambda p, t: np.maximum(1 - t * p, 0).mean(axis=1),
        lambda p, t: np.where(1 - t * p > 0, -t, 0.0) / p.shape[1],
    ),
    "binary_crossentropy": (binary_crossentropy, binary_crossentropy_gradient),
    "binary_crossentropy_logits": (
        binary_crossentropy_logits,
        binary_crossentropy_logits_gradient,
    ),
    "categorical_crossentropy": (categorical_crossentropy, categorical_crossentropy_gradient),
    "categorical_crossentropy_logits": (
        categorical_crossentropy_logits,
        categorical_crossentropy_logits_gradient,
    ),
    "sparse_categorical_crossentropy": (
        with_labels(categorical_crossentropy),
        with_labels(categorical_crossentropy_gradient),
    ),
    "sparse_categorical_crossentropy_logits": (
        with_labels(categorical_crossentropy_logits),
        with_labels(categorical_crossentropy_logits_gradient),
    ),
}


# ---- metrics: name -> one number for all rows ----------------------------------------------------


def r2_score(p: Array, t: Array) -> float:
    residual = ((p - t) ** 2).sum(axis=0)
    spread = ((t - t.mean(axis=0)) ** 2).sum(axis=0)
    return float((1 - residual / spread).mean())


def confusion(p, t, threshold=0.5):
    """Rows of each class (first axis) by the class that they are taken for."""
    columns = p.shape[1]
    taken = (p[:, 0] > threshold).astype(int) if columns == 1 else p.argmax(axis=1)
    own = t if t.ndim == 1 else (t[:, 0] > 0).astype(int) if columns == 1 else t.argmax(axis=1)
    found = np.zeros((max(columns, 2),) * 2)
    for row in range(len(p)):
        found[own[row], taken[row]] += 1
    return found


def f_scores(p, t, beta=1.0):
    """Of each class, from the confusion of all."""
    found = confusion(p, t)
    right, own, taken = np.diag(found), found.sum(axis=1), found.sum(axis=0)
    return (1 + beta**2) * right / (beta**2 * own + taken)


def matthews(p, t):
    """The correlation coefficient of one-hot columns of classes and predictions."""
    found = confusion(p, t).astype(int)
    own, taken = (index.repeat(found.ravel()) for index in np.indices(found.shape).reshape(2, -1))
    x, y = np.eye(len(found))[own], np.eye(len(found))[taken]
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))


def kappa(p, t, power=0):
    """1 less observed over expected disagreement, of distances between classes to a power."""
    found = confusion(p, t)
    classes = np.arange(len(found))
    far = (
        np.abs(np.subtract.outer(classes, classes)) ** float(power)
        if power
        else (1.0 - np.eye(len(found)))
    )
    chance = np.outer(found.sum(axis=1), found.sum(axis=0)) / found.sum()
    return float(1 - (far * found).sum() / (far * chance).sum())


def pairwise_auc(p, t):
    """The share of pairs of a positive and a negative score that are in order; ties count half."""
    p, t = p.ravel(), t.ravel()
    above = np.subtract.outer(p[t == 1], p[t != 1])
    return float((above > 0).mean() + (above == 0).mean() / 2)


def of_columns(score):
    """The mean over columns."""
    return lambda p, t: float(np.mean([score(p[:, k], t[:, k]) for k in range(p.shape[1])]))


METRICS: dict[str, Callable[..., Any]] = {
    "binary_accuracy": lambda p, t, threshold=0.5: float(((p > threshold) == (t == 1)).mean()),
    "categorical_accuracy": lambda p, t: float((p.argmax(axis=1) == t.argmax(axis=1)).mean()),
    "sparse_categorical_accuracy": lambda p, labels: float((p.argmax(axis=1) == labels).mean()),
    "top_k_categorical_accuracy": lambda p, t, k=5: float(
        (np.argsort(-p)[:, :k] == t.argmax(axis=1)[:, None]).any(axis=1).mean()
    ),
    "sparse_top_k_categorical_accuracy": lambda p, labels, k=5: float(
        (np.argsort(-p)[:, :k] == labels[:, None]).any(axis=1).mean()
    ),
    "mean_squared_error": lambda p, t: float(((p - t) ** 2).mean()),
    "root_mean_squared_error": lambda p, t: math.sqrt(((p - t) ** 2).mean()),
    "mean_absolute_error": lambda p, t: float(np.abs(p - t).mean()),
    "mean_absolute_percentage_error": lambda p, t: float(100 * (np.abs(p - t) / t).mean()),
    "mean_squared_logarithmic_error": lambda p, t: float(((np.log1p(p) - np.log1p(t)) ** 2).mean()),
    "squared_hinge": lambda p, t: float((np.maximum(0, 1 - t * p) ** 2).mean()),
    "categorical_hinge": lambda p, t: float(
        np.maximum(0, 1 + ((1 - t) * p).max(axis=1) - (t * p).sum(axis=1)).mean()
    ),
    "kl_divergence": lambda p, t: float((t * np.log(t / p)).sum(axis=1).mean()),
    "cosine_similarity": lambda p, t: float(
        ((p * t).sum(axis=1) / np.sqrt((p * p).sum(axis=1) * (t * t).sum(axis=1))).mean()
    ),
    "log_cosh": lambda p, t: float(np.log(np.cosh(p - t)).mean()),
    "poisson": lambda p, t: float((p - t * np.log(p + 1e-7)).mean()),
    "hinge": lambda p, t: float(np.maximum(0, 1 - t * p).mean()),
    "r2_score": r2_score,
    "explained_variance": of_columns(lambda p, t: 1 - np.var(t - p) / np.var(t)),
    "pearson_correlation": of_columns(lambda p, t: np.corrcoef(p, t)[0, 1]),
    "concordance_correlation": of_columns(
        lambda p, t: (
            2
            * np.mean((p - p.mean()) * (t - t.mean()))
            / (np.var(p) + np.var(t) + (p.mean() - t.mean()) ** 2)
        )
    ),
    "binary_crossentropy": lambda p, t: float(binary_crossentropy(p, t).mean()),
    "categorical_crossentropy": lambda p, t: float(categorical_crossentropy(p, t).mean()),
    "sparse_categorical_crossentropy": lambda p, labels: float(
        LOSSES["sparse_categorical_crossentropy"][0](p, labels).mean()
    ),
    "true_positives": lambda p, t: float(((p > 0.5) & (t == 1)).sum()),
    "false_positives": lambda p, t: float(((p > 0.5) & (t != 1)).sum()),
    "false_negatives": lambda p, t: float(((p <= 0.5) & (t == 1)).sum()),
    "true_negatives": lambda p, t: float(((p <= 0.5) & (t != 1)).sum()),
    "precision": lambda p, t: float((t[p > 0.5] == 1).mean()),
    "recall": lambda p, t: float((p[t == 1] > 0.5).mean()),
    "f1_score": f_scores,
    "fbeta_score": f_scores,
    "auc": pairwise_auc,
    "balanced_accuracy": lambda p, t: float(
        np.mean(np.diag(confusion(p, t)) / confusion(p, t).sum(axis=1))
    ),
    "matthews_correlation": matthews,
    "cohen_kappa": kappa,
    "confusion_matrix": confusion,
}


# ---- a network -----------------------------------------------------------------------------------


class MLP:
    """Fully connected layers: ``a_0 = x``, ``z_l = a_(l-1) W_l + b_l``, ``a_l = f_l(z_l)``.

    Parameters
    ----------
    widths : sequence of int
        The number of inputs, then the units of each layer.
    activations : sequence of str
        One for each layer.
    loss : str
        A name of LOSSES; the loss of a batch is the mean over its rows.
    options : tuple of float
        The loss's own settings.
    seed : int
        Of the normally distributed first weights.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activations: Sequence[str],
        loss: str = "mean_squared_error",
        options: tuple[float, ...] = (),
        seed: int = 0,
    ) -> None:
        random = np.random.default_rng(seed)
        self.kernels = [
            random.normal(size=(inputs, units)) / math.sqrt(inputs)
            for inputs, units in itertools.pairwise(widths)
        ]
        self.biases = [random.normal(size=units) for units in widths[1:]]
        self.activations = list(activations)
        self.value, self.gradient = LOSSES[loss]
        self.options = options

    @property
    def arrays(self) -> list[Array]:
        """Every array of weights: kernel, bias, kernel, bias, ..."""
        return [array for pair in zip(self.kernels, self.biases, strict=True) for array in pair]

    @property
    def parameters(self) -> Array:
        """A copy of all weights as one vector."""
        return np.concatenate([array.ravel() for array in self.arrays])

    @parameters.setter
    def parameters(self, vector: Array) -> None:
        first = 0
        for array in self.arrays:
            array[...] = vector[first : first + array.size].reshape(array.shape)
            first += array.size

    def layer_values(self, x: Array) -> tuple[list[Array], list[Array]]:
        """(a_0, a_1, ...) and (z_1, z_2, ...) of a batch x (rows, inputs)."""
        values, sums = [np.asarray(x, float)], []
        for kernel, bias, name in zip(self.kernels, self.biases, self.activations, strict=True):
            sums.append(values[-1] @ kernel + bias)
            values.append(activate(name, sums[-1]))
        return values, sums

    def forward(self, x: Array) -> Array:
        return self.layer_values(x)[0][-1]

    def loss(self, x: Array, y: Array) -> float:
        return float(self.value(self.forward(x), y, *self.options).mean())

    def gradients(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Backpropagation: the loss's gradient by `parameters` and by x."""
        values, sums = self.layer_values(x)
        delta = self.gradient(values[-1], y, *self.options) / len(x)
        found = []
        for layer in reversed(range(len(self.kernels))):
            delta = activate_backward(self.activations[layer], sums[layer], delta)
            found += [delta.sum(axis=0), (values[layer].T @ delta).ravel()]
            delta = delta @ self.kernels[layer].T
        return np.concatenate(found[::-1]), delta

    def finite_difference_gradients(self, x: Array, y: Array, step: float = 1e-5) -> Array:
        """The gradient by `parameters` the slow way: nudge one weight, look at the loss."""
        found = []
        for array in self.arrays:
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = self.loss(x, y)
                array[index] = kept - step
                below = self.loss(x, y)
                array[index] = kept
                found.append((above - below) / (2 * step))
        return np.array(found)

    def sgd_step(self, gradients: Array, learning_rate: float) -> None:
        self.parameters = self.parameters - learning_rate * gradients


def train_by_nudging(
    network: MLP, x: Array, y: Array, learning_rate: float, steps: int, step: float = 1e-5
) -> list[float]:
    """Gradient descent on the whole batch without backpropagation; the loss before each step."""
    losses = []
    for _ in range(steps):
        losses.append(network.loss(x, y))
        network.sgd_step(network.finite_difference_gradients(x, y, step), learning_rate)
    return losses
