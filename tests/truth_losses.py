"""True values of losses in high precision, with how large the numbers are whose rounding remains.

Each is (value, its size, slopes, their sizes) of a row of predictions, a row of targets, the dtype
and the kernel's options; None where rounding decides on which side of a kink a row is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from truth import Row, mp, mpf, sigmoid, softplus

Found = tuple[mpf, mpf, Row, Row] | None

OPTIONS: dict[str, tuple[float, ...]] = {
    "binary_focal_crossentropy_logits": (0.0, 2.0, 0.75, -0.5),
    "categorical_focal_crossentropy": (0.0, 1.5, 0.5),
    "categorical_focal_crossentropy_logits": (0.0, 1.5, 0.5),
    "quantile": (3.0, 0.125, 0.5, 0.75),
    "gaussian_nll": (1e-6, 0.25),
}


def clip_of(real: Any) -> mpf:
    return mpf(float(real(1e-7)))


def percentage(p: Row, t: Row, real: Any) -> Found:
    n, floor = len(p), clip_of(real)
    factors = [100 / max(abs(b), floor) / n for b in t]
    value = mp.fsum(abs(a - b) * f for a, b, f in zip(p, t, factors, strict=True))
    slopes = [mp.sign(a - b) * f for a, b, f in zip(p, t, factors, strict=True)]
    return value, value, slopes, [abs(slope) for slope in slopes]


def logarithmic(p: Row, t: Row, real: Any) -> Found:
    n, floor = len(p), clip_of(real)
    pairs = [(max(a, floor), max(b, floor)) for a, b in zip(p, t, strict=True)]
    ds = [mp.log1p(a) - mp.log1p(b) for a, b in pairs]
    slopes = [
        2 * d / (1 + a) / n if given >= floor else mpf(0)
        for d, (a, _), given in zip(ds, pairs, p, strict=True)
    ]
    value = mp.fsum(d**2 for d in ds) / n
    return value, value, slopes, [2 * abs(slope) for slope in slopes]


def squared_hinge(p: Row, t: Row, real: Any) -> Found:
    n = len(p)
    margins = [max(mpf(0), 1 - a * b) for a, b in zip(p, t, strict=True)]
    value = mp.fsum(m**2 for m in margins) / n
    slopes = [-2 * b * m / n for m, b in zip(margins, t, strict=True)]
    return value, value, slopes, [abs(slope) for slope in slopes]


def categorical_hinge(p: Row, t: Row, real: Any) -> Found:
    wrong, right = [(1 - b) * a for a, b in zip(p, t, strict=True)], mp.fdot(p, t)
    best = max(wrong)
    margin, size = best - right + 1, abs(best) + abs(right) + 1
    if abs(margin) < 4 * np.finfo(real).eps * size:
        return None
    ties = sum(one == best for one in wrong)
    slopes = [
        ((1 - b) / ties if one == best else 0) - b if margin > 0 else mpf(0)
        for one, b in zip(wrong, t, strict=True)
    ]
    return max(mpf(0), margin), size, slopes, [abs(mpf(slope)) for slope in slopes]


def binary_focal_logits(
    z: Row, t: Row, real: Any, _: mpf, gamma: mpf, zero: mpf, more: mpf
) -> Found:
    n, value, slopes, sizes = len(z), mpf(0), [], []
    for a, b in zip(z, t, strict=True):
        q, r = sigmoid(a), sigmoid(-a)
        wrong, cost = b * r + (1 - b) * q, b * softplus(-a) + (1 - b) * softplus(a)
        weight = (zero + more * b) * wrong**gamma / n
        value += weight * cost
        up, down = (1 - b) * q, b * r
        # d wrong / wrong, whose numerator loses digits where b is about a half.
        change = gamma * cost * q * r / wrong if wrong else mpf(0)
        slopes.append(weight * (up - down + (1 - 2 * b) * change))
        sizes.append(3 * weight * (up + down + change))
    return value, value, slopes, sizes


def categorical_focal_logits(z: Row, t: Row, real: Any, _: mpf, gamma: mpf, alpha: mpf) -> Found:
    top = max(range(len(z)), key=z.__getitem__)
    powers = [mp.exp(a - z[top]) for a in z]
    rest = mp.fsum(powers[:top] + powers[top + 1 :])
    q = [power / (1 + rest) for power in powers]
    wrong = [rest / (1 + rest) if a == z[top] else 1 - b for a, b in zip(z, q, strict=True)]
    costs = [z[top] - a + mp.log1p(rest) for a in z]
    value = size = mpf(0)
    pulls, rounded = [], []
    for b, share, w, cost in zip(t, q, wrong, costs, strict=True):
        factor = alpha * w**gamma
        value += b * factor * cost
        # Rounding of log(w) comes out as that many times more.
        care = 1 + gamma * (1 + abs(mp.log(w))) if w else mpf(1)
        size += b * factor * cost * care
        pulls.append(b * factor * (1 + gamma * share * cost / w) if w else mpf(0))
        rounded.append(pulls[-1] * care)
    total, all_rounded = mp.fsum(pulls), mp.fsum(rounded)
    slopes = [a * total - b for a, b in zip(q, pulls, strict=True)]
    sizes = [a * all_rounded + b for a, b in zip(q, rounded, strict=True)]
    return value, size, slopes, sizes


def categorical_focal(p: Row, t: Row, real: Any, _: mpf, gamma: mpf, alpha: mpf) -> Found:
    low, high = clip_of(real), mpf(float(real(1 - 1e-7)))
    total = mp.fsum(p)
    if abs(total) <= mpf("1e-25") * mp.fsum(map(abs, p)):
        return None  # no sum of doubles has a digit of it
    if any(abs(a / total - high) < 0.6 * np.finfo(real).eps for a in p):
        return None
    value = size = mpf(0)
    pulls, rounded = [], []
    for a, b in zip(p, t, strict=True):
        u = a / total
        q = min(max(u, low), high)
        factor, cost = alpha * (1 - q) ** gamma, -mp.log(q)
        # Rounding of q is larger in 1 - q and in log(q), and that of log(1 - q) in the power.
        care = 1 + (gamma + 1) * q / (1 - q) + gamma * (1 + abs(mp.log(1 - q)))
        value += b * factor * cost
        size += b * (factor * cost + factor) * care
        pull = b * factor * (1 / q + gamma * cost / (1 - q)) if low <= u <= high else mpf(0)
        pulls.append((pull * u, pull))
        rounded.append(pull * (2 + care))
    drift = mp.fsum(one for one, _ in pulls)
    around = mp.fsum(abs(a / total) * b for a, b in zip(p, rounded, strict=True))
    slopes = [(drift - pull) / total for _, pull in pulls]
    sizes = [(around + one) / abs(total) for one in rounded]
    return value, size, slopes, sizes


def divergence(p: Row, t: Row, real: Any) -> Found:
    floor = clip_of(real)
    pairs = [(min(max(a, floor), 1), min(max(b, floor), 1)) for a, b in zip(p, t, strict=True)]
    value = mp.fsum(b * mp.log(b / a) for a, b in pairs)
    size = mp.fsum(b * (1 + abs(mp.log(b / a))) for a, b in pairs)
    slopes = [
        -b / a if floor <= given <= 1 else mpf(0) for (a, b), given in zip(pairs, p, strict=True)
    ]
    return value, size, slopes, [abs(slope) for slope in slopes]


def cosine(p: Row, t: Row, real: Any) -> Found:
    floor = clip_of(real)
    lengths = [mp.sqrt(mp.fsum(a**2 for a in side)) for side in (p, t)]
    if any(abs(length / floor - 1) < 1e-5 for length in lengths):
        return None
    norm, other = (max(length, floor) for length in lengths)
    u, v = [a / norm for a in p], [b / other for b in t]
    along, size = mp.fdot(u, v), mp.fsum(abs(a * b) for a, b in zip(u, v, strict=True))
    kept = lengths[0] > floor
    slopes = [(along * kept * a - b) / norm for a, b in zip(u, v, strict=True)]
    sizes = [(size * abs(a) + abs(b)) / norm for a, b in zip(u, v, strict=True)]
    return -along, size, slopes, sizes


def quantile(p: Row, t: Row, real: Any, count: mpf, *quantiles: mpf) -> Found:
    n, value, slopes = len(p), mpf(0), []
    for k, a in enumerate(p):
        d, q = a - t[k // int(count)], quantiles[k % int(count)]
        slopes.append((1 - q if d > 0 else -q if d < 0 else mpf(0)) / n)
        value += slopes[-1] * d
    return value, value, slopes, [abs(slope) for slope in slopes]


def gaussian(p: Row, t: Row, real: Any, epsilon: mpf, constant: mpf) -> Found:
    n, value, size, slopes, sizes = len(t), mpf(0), mpf(0), [], []
    for mean, s, b in zip(p[::2], p[1::2], t, strict=True):
        power = mp.exp(s)
        variance = epsilon + power
        square = (mean - b) ** 2 / variance
        value += (mp.log(variance) + square) / 2 / n + constant / n
        size += (1 + abs(mp.log(variance)) + square) / 2 / n
        share = power / variance / 2 / n
        slopes += [(mean - b) / variance / n, share * (1 - square)]
        sizes += [abs(slopes[-2]), share * (1 + square)]
    return value, size, slopes, sizes


LOSSES: dict[str, Callable[..., Found]] = {
    "mean_absolute_percentage_error": percentage,
    "mean_squared_logarithmic_error": logarithmic,
    "squared_hinge": squared_hinge,
    "categorical_hinge": categorical_hinge,
    "binary_focal_crossentropy_logits": binary_focal_logits,
    "categorical_focal_crossentropy": categorical_focal,
    "categorical_focal_crossentropy_logits": categorical_focal_logits,
    "kl_divergence": divergence,
    "cosine_similarity": cosine,
    "quantile": quantile,
    "gaussian_nll": gaussian,
}
