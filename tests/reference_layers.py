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


def attention(
    query: Array,
    value: Array,
    weights: tuple[Array, ...],
    key: Array | None = None,
    mask: Array | None = None,
    is_causal: bool = False,
    query_mask: Array | None = None,
    key_mask: Array | None = None,
) -> Array:
    """Attention with weights as layers have them; a mask is above 0 where a key is seen, that of
    queries where one sees any."""
    kernels, biases = (weights, [0.0] * 4) if len(weights) == 4 else (weights[::2], weights[1::2])
    reads = query, value if key is None else key, value
    q, k, v = (
        np.einsum("rtf,fhd->rhtd", x, kernel)
        + (bias if np.ndim(bias) == 0 else bias[:, np.newaxis])
        for x, kernel, bias in zip(reads, kernels, biases, strict=False)
    )
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    is_seen = np.ones((len(q), 1, q.shape[2], k.shape[2]), bool)
    if is_causal:
        is_seen &= np.arange(q.shape[2])[:, np.newaxis] >= np.arange(k.shape[2])
    if mask is not None:
        is_seen &= mask.reshape(len(q), 1, -1, k.shape[2]) > 0
    if query_mask is not None:
        is_seen &= query_mask[:, np.newaxis, :, np.newaxis] > 0
    if key_mask is not None:
        is_seen &= key_mask[:, np.newaxis, np.newaxis] > 0
    y = attended(q, k, v, is_seen)
    return np.einsum("rhtd,hdf->rtf", y, kernels[3]) + biases[3]


def attended(q: Array, k: Array, v: Array, is_seen: Array) -> Array:
    """``softmax(q . k / sqrt(width)) . v`` over the keys that are seen; 0 where none is."""
    scores = np.where(is_seen, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]), -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(largest), largest, 0.0))
    total = powers.sum(axis=-1, keepdims=True)
    return powers @ v / np.where(total > 0, total, 1.0)


def sine_positions(steps: int, features: int, longest: float = 10000.0) -> Array:
    column = np.arange(features)
    angles = np.arange(steps)[:, np.newaxis] / longest ** (column // 2 * 2 / features)
    return np.where(column % 2, np.cos(angles), np.sin(angles))


def rotary(x: Array, longest: float = 10000.0, scale: float = 1.0, first: int = 0) -> Array:
    """Pairs of features are complex numbers."""
    half = x.shape[-1] // 2
    places = (first + np.arange(x.shape[1])) / scale
    angles = places[:, np.newaxis] / longest ** (np.arange(half) / half)
    angles = angles.reshape(len(places), *[1] * (x.ndim - 3), half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)
