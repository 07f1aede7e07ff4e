"""The oracle's layers: what each makes of rows, in plain NumPy, always in float64.

Like `reference` it calls nothing of fastweights. Axes are counted as in the batch, whose first one
are the rows.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def layer_normalization(x: Array, gamma: Array, beta: Array, epsilon: float = 1e-3) -> Array:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def group_normalization(
    x: Array, groups: int, gamma: Array, beta: Array, epsilon: float = 1e-3
) -> Array:
    apart = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    mean, variance = (f(axis=(1, 3), keepdims=True) for f in (apart.mean, apart.var))
    return ((apart - mean) / np.sqrt(variance + epsilon)).reshape(x.shape) * gamma + beta


def rms_normalization(x: Array, scale: Array, epsilon: float = 1e-6) -> Array:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * scale


def unit_normalization(x: Array, axis: int = -1, least: float = 1e-12) -> Array:
    return x / np.maximum(np.sqrt((x**2).sum(axis=axis, keepdims=True)), least)


def relu(
    x: Array, max_value: float = np.inf, negative_slope: float = 0.0, threshold: float = 0.0
) -> Array:
    above = np.minimum(x, max_value)
    return np.where(x > threshold, above, negative_slope * (x - threshold))


def prelu(x: Array, alpha: Array) -> Array:
    return np.where(x > 0, x, alpha * x)


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def permute(x: Array, dims: tuple[int, ...]) -> Array:
    return np.transpose(x, (0, *dims))


def repeat_vector(x: Array, n: int) -> Array:
    return np.stack([x] * n, axis=1)


def dot(a: Array, b: Array, axes: tuple[int, int], normalize: bool = False) -> Array:
    if normalize:
        a, b = (unit_normalization(v, axis, 1e-7) for v, axis in zip((a, b), axes, strict=True))
    rows = [
        np.tensordot(one, other, ([axes[0] - 1], [axes[1] - 1]))
        for one, other in zip(a, b, strict=True)
    ]
    return np.stack(rows).reshape(len(a), *(rows[0].shape or (1,)))
