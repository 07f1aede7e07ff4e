"""Losses in plain NumPy: name of the kernel -> (values of rows, gradient), of two arrays.

The options that follow are the kernel's. Those that `reference.py` has are here, too.
"""

from collections.abc import Callable

import numpy as np
import reference
from reference import CLIP, Array, clip, sigmoid, smooth, softmax, softplus, unclipped

Pair = tuple[Callable[..., Array], Callable[..., Array]]


def percentage(p: Array, t: Array) -> Array:
    return (100 * np.abs(p - t) / np.maximum(np.abs(t), CLIP)).mean(axis=1)


def percentage_gradient(p: Array, t: Array) -> Array:
    return 100 * np.sign(p - t) / np.maximum(np.abs(t), CLIP) / p.shape[1]


def logarithmic(p: Array, t: Array) -> Array:
    return ((np.log1p(np.maximum(p, CLIP)) - np.log1p(np.maximum(t, CLIP))) ** 2).mean(axis=1)


def logarithmic_gradient(p: Array, t: Array) -> Array:
    d = np.log1p(np.maximum(p, CLIP)) - np.log1p(np.maximum(t, CLIP))
    return np.where(p < CLIP, 0.0, 2 * d / (1 + np.maximum(p, CLIP))) / p.shape[1]


def squared_hinge(p: Array, t: Array) -> Array:
    return (np.maximum(1 - t * p, 0) ** 2).mean(axis=1)


def squared_hinge_gradient(p: Array, t: Array) -> Array:
    return -2 * t * np.maximum(1 - t * p, 0) / p.shape[1]


def categorical_hinge(p: Array, t: Array) -> Array:
    return np.maximum(((1 - t) * p).max(axis=1) - (t * p).sum(axis=1) + 1, 0)


def categorical_hinge_gradient(p: Array, t: Array) -> Array:
    wrong = (1 - t) * p
    best = wrong == wrong.max(axis=1, keepdims=True)
    costs = categorical_hinge(p, t)[:, np.newaxis] > 0
    return costs * (best * (1 - t) / best.sum(axis=1, keepdims=True) - t)


def focal_point(q: Array, t: Array, gamma: float) -> tuple[Array, Array]:
    """m^gamma times the binary crossentropy of q, and its slope by q."""
    m = t * (1 - q) + (1 - t) * q
    value = -(t * np.log(q) + (1 - t) * np.log1p(-q))
    slope = (q - t) / (q * (1 - q))
    return m**gamma * value, m**gamma * (slope + gamma * value * (1 - 2 * t) / m)


def binary_focal(p: Array, t: Array, smoothing: float, gamma: float, zero: float, more: float):
    t = smooth(t, smoothing, 0.5)
    return ((zero + more * t) * focal_point(clip(p), t, gamma)[0]).mean(axis=1)


def binary_focal_gradient(
    p: Array, t: Array, smoothing: float, gamma: float, zero: float, more: float
) -> Array:
    t = smooth(t, smoothing, 0.5)
    slope = (zero + more * t) * focal_point(clip(p), t, gamma)[1] / p.shape[1]
    return np.where(unclipped(p) == 0, 0.0, slope)


def binary_focal_logits(
    z: Array, t: Array, smoothing: float, gamma: float, zero: float, more: float
):
    t = smooth(t, smoothing, 0.5)
    m = t * sigmoid(-z) + (1 - t) * sigmoid(z)
    return ((zero + more * t) * m**gamma * (t * softplus(-z) + (1 - t) * softplus(z))).mean(axis=1)


def binary_focal_logits_gradient(
    z: Array, t: Array, smoothing: float, gamma: float, zero: float, more: float
) -> Array:
    t = smooth(t, smoothing, 0.5)
    q = sigmoid(z)
    dm = (1 - 2 * t) * q * sigmoid(-z)
    m = t * sigmoid(-z) + (1 - t) * q
    value = t * softplus(-z) + (1 - t) * softplus(z)
    slope = m**gamma * ((1 - t) * q - t * sigmoid(-z)) + gamma * m ** (gamma - 1) * dm * value
    return (zero + more * t) * slope / z.shape[1]


def focal(p: Array, t: Array, smoothing: float, gamma: float, alpha: float) -> Array:
    t = smooth(t, smoothing, 1 / p.shape[1])
    q = clip(p / p.sum(axis=1, keepdims=True))
    return -alpha * (t * (1 - q) ** gamma * np.log(q)).sum(axis=1)


def focal_gradient(p: Array, t: Array, smoothing: float, gamma: float, alpha: float) -> Array:
    t = smooth(t, smoothing, 1 / p.shape[1])
    total = p.sum(axis=1, keepdims=True)
    u = p / total
    q = clip(u)
    du = -alpha * t * ((1 - q) ** gamma / q - gamma * (1 - q) ** (gamma - 1) * np.log(q))
    du = np.where(unclipped(u) == 0, 0.0, du)
    return (du - (du * u).sum(axis=1, keepdims=True)) / total


def focal_logits(z: Array, t: Array, smoothing: float, gamma: float, alpha: float) -> Array:
    t, q = smooth(t, smoothing, 1 / z.shape[1]), softmax(z)
    return -alpha * (t * (1 - q) ** gamma * reference.log_softmax(z)).sum(axis=1)


def focal_logits_gradient(
    z: Array, t: Array, smoothing: float, gamma: float, alpha: float
) -> Array:
    t, q = smooth(t, smoothing, 1 / z.shape[1]), softmax(z)
    log_q = reference.log_softmax(z)
    # dvalue / dq times q, then the chain rule through the softmax.
    pull = alpha * t * (gamma * (1 - q) ** (gamma - 1) * q * log_q - (1 - q) ** gamma)
    return pull - q * pull.sum(axis=1, keepdims=True)


def divergence(p: Array, t: Array) -> Array:
    a, b = np.clip(p, CLIP, 1), np.clip(t, CLIP, 1)
    return (b * np.log(b / a)).sum(axis=1)


def divergence_gradient(p: Array, t: Array) -> Array:
    return np.where((p < CLIP) | (p > 1), 0.0, -np.clip(t, CLIP, 1) / np.clip(p, CLIP, 1))


def unit(a: Array) -> tuple[Array, Array]:
    norm = np.maximum(np.sqrt((a**2).sum(axis=1, keepdims=True)), CLIP)
    return a / norm, norm


def cosine(p: Array, t: Array) -> Array:
    return -(unit(p)[0] * unit(t)[0]).sum(axis=1)


def cosine_gradient(p: Array, t: Array) -> Array:
    (u, norm), (v, _) = unit(p), unit(t)
    along = (u * v).sum(axis=1, keepdims=True) * (norm > CLIP)
    return (along * u - v) / norm


def quantile(p: Array, t: Array, count: float, *quantiles: float) -> Array:
    d = t[:, :, np.newaxis] - p.reshape(len(p), -1, int(count))
    q = np.array(quantiles)
    return np.maximum(q * d, (q - 1) * d).reshape(p.shape).mean(axis=1)


def quantile_gradient(p: Array, t: Array, count: float, *quantiles: float) -> Array:
    d, q = t[:, :, np.newaxis] - p.reshape(len(p), -1, int(count)), np.array(quantiles)
    return np.where(d > 0, -q, np.where(d < 0, 1 - q, d)).reshape(p.shape) / p.shape[1]


def gaussian(p: Array, t: Array, epsilon: float, constant: float) -> Array:
    variance = epsilon + np.exp(p[:, 1::2])
    return (0.5 * (np.log(variance) + (t - p[:, ::2]) ** 2 / variance) + constant).mean(axis=1)


def gaussian_gradient(p: Array, t: Array, epsilon: float, constant: float) -> Array:
    power, d, found = np.exp(p[:, 1::2]), p[:, ::2] - t, np.empty_like(p)
    found[:, ::2] = d / (power + epsilon)
    found[:, 1::2] = 0.5 * power * (1 / (power + epsilon) - d**2 / (power + epsilon) ** 2)
    return found / t.shape[1]


#: Those of reference.py, and all others.
LOSSES: dict[str, Pair] = {
    **reference.LOSSES,
    "poisson_deviance": (
        lambda z, t: (t * np.log(np.where(t > 0, t, 1)) - t * z - t + np.exp(z)).mean(axis=1),
        lambda z, t: (np.exp(z) - t) / z.shape[1],
    ),
    "mean_absolute_percentage_error": (percentage, percentage_gradient),
    "mean_squared_logarithmic_error": (logarithmic, logarithmic_gradient),
    "squared_hinge": (squared_hinge, squared_hinge_gradient),
    "categorical_hinge": (categorical_hinge, categorical_hinge_gradient),
    "binary_focal_crossentropy": (binary_focal, binary_focal_gradient),
    "binary_focal_crossentropy_logits": (binary_focal_logits, binary_focal_logits_gradient),
    "categorical_focal_crossentropy": (focal, focal_gradient),
    "categorical_focal_crossentropy_logits": (focal_logits, focal_logits_gradient),
    "kl_divergence": (divergence, divergence_gradient),
    "cosine_similarity": (cosine, cosine_gradient),
    "quantile": (quantile, quantile_gradient),
    "gaussian_nll": (gaussian, gaussian_gradient),
}
