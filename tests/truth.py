"""True values of the elementary functions and activations, and how far a result is from them.

Everything is computed by mpmath in 120 bits from the textbook formula. The distance is counted in
ULP: the gap between the neighbouring floating-point numbers at the true value, which among the
subnormal numbers is the smallest of them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType

import numpy as np
from mpmath import mp, mpf

from fastweights import _dispatch

Function = Callable[[mpf], mpf]

LEVELS = _dispatch.available_levels()
#: The levels with fused multiply-add, whose results are the same to the bit.
FUSED = [level for level in LEVELS if level != "baseline"]
DTYPES = ("float32", "float64")
#: Gradients below these count as 0: the products they go into would be subnormal numbers.
TRACES = {"float32": 2.0**-95, "float64": 2.0**-959}

mp.prec = 120

INF, NAN = mpf("inf"), mpf("nan")
#: leaky_relu's negative_slope and elu's alpha in these tests.
OPTION = mpf("0.75")
SELU_SCALE = mpf("1.0507009873554804934193349852946")
SELU_ALPHA = mpf("1.6732632423543772848170429916717")
#: Where a derivative crosses zero.
ROOTS = (-0.7517915246935645, -1.2784645427610737, -0.7524614220710163, -1.1924312145154952, -1.5)


def kernels(level: str, dtype: str) -> ModuleType:
    """The compiled kernels of one CPU level."""
    return importlib.import_module(f"fastweights._core.kernels_{level}_f{dtype[-2:]}")


# ---- formulas ------------------------------------------------------------------------------------


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x)) if x >= 0 else mp.exp(x) / (1 + mp.exp(x))


def sigmoid_slope(x: mpf) -> mpf:
    return sigmoid(x) * sigmoid(-x)


def normal_distribution(x: mpf) -> mpf:
    # mpmath's erfc does not take huge arguments; from 1000 on nothing is left even times x.
    return mp.erfc(-max(min(x, mpf(1000)), mpf(-1000)) / mp.sqrt(2)) / 2


def normal_density(x: mpf) -> mpf:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def gelu_tanh_gate(x: mpf) -> mpf:
    return 2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)


def gelu_tanh_slope(x: mpf) -> mpf:
    gate = gelu_tanh_gate(x)
    gate_slope = 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mpf("0.044715") * x**2)
    return sigmoid(gate) * (1 + x * gate_slope * sigmoid(-gate))


def softplus(x: mpf) -> mpf:
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def mish_slope(x: mpf) -> mpf:
    gate = mp.tanh(softplus(x))
    return gate + x * sigmoid(x) * (1 - gate**2)


def hard_sigmoid(x: mpf) -> mpf:
    return min(max(x + 3, mpf(0)), mpf(6)) / 6


def with_limits(function: Function, below: mpf | float, above: mpf | float) -> Function:
    """The function, with its limits at -inf and inf, and NaN where x is NaN."""

    def extended(x: mpf) -> mpf:
        if mp.isnan(x):
            return x
        if mp.isinf(x):
            return mpf(above if x > 0 else below)
        return function(x)

    return extended


ELEMENTARY: dict[str, Function] = {
    "exp": mp.exp,
    "expm1": with_limits(mp.expm1, -1, INF),
    "log": lambda x: -INF if x == 0 else mp.log(x) if x > 0 else NAN,
    "log1p": lambda x: -INF if x == -1 else INF if x == INF else mp.log1p(x) if x > -1 else NAN,
    "tanh": mp.tanh,
    "sigmoid": with_limits(sigmoid, 0, 1),
    "erf": mp.erf,
}

#: Name -> (value, derivative).
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "linear": (lambda x: x, lambda x: mpf(1)),
    "relu": (
        with_limits(lambda x: max(x, mpf(0)), 0, INF),
        with_limits(lambda x: mpf(x > 0), 0, 1),
    ),
    "relu6": (
        with_limits(lambda x: min(max(x, mpf(0)), mpf(6)), 0, 6),
        with_limits(lambda x: mpf(0 < x < 6), 0, 0),
    ),
    "leaky_relu": (
        with_limits(lambda x: x if x > 0 else OPTION * x, -INF, INF),
        with_limits(lambda x: mpf(1) if x > 0 else OPTION, OPTION, 1),
    ),
    "elu": (
        with_limits(lambda x: x if x > 0 else OPTION * mp.expm1(x), -OPTION, INF),
        with_limits(lambda x: mpf(1) if x > 0 else OPTION * mp.exp(x), 0, 1),
    ),
    "selu": (
        with_limits(
            lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * mp.expm1(x)),
            -SELU_SCALE * SELU_ALPHA,
            INF,
        ),
        with_limits(lambda x: SELU_SCALE * (1 if x > 0 else SELU_ALPHA * mp.exp(x)), 0, SELU_SCALE),
    ),
    "gelu": (
        with_limits(lambda x: x * normal_distribution(x), 0, INF),
        with_limits(lambda x: normal_distribution(x) + x * normal_density(x), 0, 1),
    ),
    "gelu_tanh": (
        with_limits(lambda x: x * sigmoid(gelu_tanh_gate(x)), 0, INF),
        with_limits(gelu_tanh_slope, 0, 1),
    ),
    "silu": (
        with_limits(lambda x: x * sigmoid(x), 0, INF),
        with_limits(lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), 0, 1),
    ),
    "softplus": (
        with_limits(softplus, 0, INF),
        with_limits(sigmoid, 0, 1),
    ),
    "mish": (
        with_limits(lambda x: x * mp.tanh(softplus(x)), 0, INF),
        with_limits(mish_slope, 0, 1),
    ),
    "hard_silu": (
        with_limits(lambda x: x * hard_sigmoid(x), 0, INF),
        with_limits(lambda x: (2 * x + 3) / 6 if abs(x) < 3 else mpf(x > 0), 0, 1),
    ),
    "hard_sigmoid": (
        with_limits(hard_sigmoid, 0, 1),
        with_limits(lambda x: mpf(abs(x) < 3) / 6, 0, 0),
    ),
    "exponential": (mp.exp, mp.exp),
    "softsign": (
        with_limits(lambda x: x / (1 + abs(x)), -1, 1),
        with_limits(lambda x: 1 / (1 + abs(x)) ** 2, 0, 0),
    ),
    "sigmoid": (with_limits(sigmoid, 0, 1), with_limits(sigmoid_slope, 0, 0)),
    "tanh": (mp.tanh, with_limits(lambda x: 4 * sigmoid_slope(2 * x), 0, 0)),
}


def softmax(logits: np.ndarray) -> list[mpf]:
    powers = [mp.exp(mpf(float(z)) - mpf(float(max(logits)))) for z in logits]
    total = mp.fsum(powers)
    return [power / total for power in powers]


def log_softmax(logits: np.ndarray) -> list[mpf]:
    # 120 bits do not hold 1 + e^-1000, so the largest is left out of the sum here too.
    values = sorted((mpf(float(z)) for z in logits), reverse=True)
    log_rest = mp.log1p(mp.fsum(mp.exp(z - values[0]) for z in values[1:]))
    return [(mpf(float(z)) - values[0]) - log_rest for z in logits]


def softmin(logits: np.ndarray) -> list[mpf]:
    return softmax(-logits)


def sparsemax(logits: np.ndarray) -> list[mpf]:
    # No number of bits would do for all rows, so the sums are fractions.
    values = [Fraction(float(z)) for z in logits]
    tau = total = Fraction(0)
    for count, z in enumerate(sorted(values, reverse=True), 1):
        total += z
        if 1 + count * z > total:
            tau = (total - 1) / count
    shares = [max(z - tau, Fraction(0)) for z in values]
    return [mpf(share.numerator) / share.denominator for share in shares]


#: Those of whole rows.
ROW_ACTIVATIONS: dict[str, Callable[[np.ndarray], list[mpf]]] = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmin": softmin,
    "sparsemax": sparsemax,
}


# ---- losses of a row: name -> (value, gradient, what the gradient is the difference of) ----------

Row = list[mpf]


def mean_of(point: Function, slope: Function) -> Callable[..., tuple[mpf, Row, Row]]:
    """A loss that is the mean of one of p - t."""

    def loss(p: Row, t: Row, *options: mpf) -> tuple[mpf, Row, Row]:
        differences = [a - b for a, b in zip(p, t, strict=True)]
        slopes = [slope(d, *options) / len(p) for d in differences]
        return mp.fsum(point(d, *options) for d in differences) / len(p), slopes, slopes

    return loss


def log_cosh(d: mpf) -> mpf:
    if abs(d) < 1:
        return mp.log1p(2 * mp.sinh(d / 2) ** 2)
    return abs(d) + mp.log1p(mp.exp(-2 * abs(d))) - mp.log(2)


def poisson(p: Row, t: Row, clip: mpf) -> tuple[mpf, Row, Row]:
    values = [a - b * mp.log(a + clip) for a, b in zip(p, t, strict=True)]
    ratios = [b / (a + clip) for a, b in zip(p, t, strict=True)]
    n = len(p)
    return mp.fsum(values) / n, [(1 - r) / n for r in ratios], [(1 + r) / n for r in ratios]


def hinge(p: Row, t: Row) -> tuple[mpf, Row, Row]:
    margins = [1 - a * b for a, b in zip(p, t, strict=True)]
    slopes = [-b / len(p) if m > 0 else mpf(0) for m, b in zip(margins, t, strict=True)]
    return mp.fsum(max(m, mpf(0)) for m in margins) / len(p), slopes, slopes


def binary_crossentropy_logits(z: Row, t: Row) -> tuple[mpf, Row, Row]:
    pairs, n = list(zip(z, t, strict=True)), len(z)
    value = mp.fsum(b * softplus(-a) + (1 - b) * softplus(a) for a, b in pairs) / n
    up, down = [(1 - b) * sigmoid(a) for a, b in pairs], [b * sigmoid(-a) for a, b in pairs]
    both = list(zip(up, down, strict=True))
    return value, [(a - b) / n for a, b in both], [(a + b) / n for a, b in both]


def categorical_crossentropy_logits(z: Row, t: Row) -> tuple[mpf, Row, Row]:
    # 1 - q loses its digits where one class is sure; what the others have is exact.
    top, total = max(range(len(z)), key=z.__getitem__), mp.fsum(t)
    powers = [mp.exp(a - z[top]) for a in z]
    rest = mp.fsum(powers[:top] + powers[top + 1 :])
    q = [total * power / (1 + rest) for power in powers]
    others = total * rest / (1 + rest)
    value = mp.fsum(b * (z[top] - a + mp.log1p(rest)) for a, b in zip(z, t, strict=True))
    slopes = [a - b for a, b in zip(q, t, strict=True)]
    sizes = [a + b for a, b in zip(q, t, strict=True)]
    slopes[top], sizes[top] = (total - t[top]) - others, (total - t[top]) + others
    return value, slopes, sizes


def categorical_crossentropy(p: Row, t: Row, low: mpf, high: mpf) -> tuple[mpf, Row, Row]:
    total = mp.fsum(p)
    u = [a / total for a in p]
    q = [min(max(a, low), high) for a in u]
    inside = [b if low <= a <= high else mpf(0) for a, b in zip(u, t, strict=True)]
    value = -mp.fsum(b * mp.log(a) for a, b in zip(q, t, strict=True))
    ratios, kept = [b / a for a, b in zip(q, inside, strict=True)], mp.fsum(inside)
    return value, [(kept - r) / total for r in ratios], [(kept + r) / abs(total) for r in ratios]


LOSSES: dict[str, Callable[..., tuple[mpf, Row, Row]]] = {
    "mean_squared_error": mean_of(lambda d: d**2, lambda d: 2 * d),
    "mean_absolute_error": mean_of(abs, mp.sign),
    "huber": mean_of(
        lambda d, delta: d**2 / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2),
        lambda d, delta: d if abs(d) <= delta else delta * mp.sign(d),
    ),
    "log_cosh": mean_of(log_cosh, mp.tanh),
    "poisson": poisson,
    "hinge": hinge,
    "binary_crossentropy_logits": binary_crossentropy_logits,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_crossentropy_logits": categorical_crossentropy_logits,
}


# ---- distance ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """True values as nearest + rest * ulp, with which the distance of a result is exact."""

    nearest: np.ndarray
    rest: np.ndarray
    ulp: np.ndarray

    @classmethod
    def of(cls, values: list[mpf], dtype: str) -> Truth:
        limits = np.finfo(dtype)
        nearest = np.empty(len(values), dtype)
        rest, ulp = np.zeros(len(values)), np.ones(len(values))
        for i, value in enumerate(values):
            if mp.isnan(value) or mp.isinf(value):
                nearest[i] = float(value)
                continue
            exponent = max(mp.frexp(value)[1] if value else limits.minexp, limits.minexp + 1)
            ulp[i] = 2.0 ** (exponent - limits.nmant - 1) if exponent <= limits.maxexp else 1.0
            largest = float(limits.max)
            nearest[i] = min(max(float(value), -largest), largest)
            if abs(value) <= largest:
                rest[i] = float((value - mpf(float(nearest[i]))) / mpf(float(ulp[i])))
        return cls(nearest, rest, ulp)

    @classmethod
    def for_float32(cls, values: np.ndarray) -> Truth:
        """Of true values that are known in float64."""
        largest = float(np.finfo(np.float32).max)
        nearest = np.where(np.isinf(values), values, np.clip(values, -largest, largest))
        size = np.clip(np.abs(values), 0, largest / 2).astype(np.float32)
        return cls(nearest, np.zeros(values.shape), np.spacing(size).astype(np.float64))

    def errors(self, got: np.ndarray) -> np.ndarray:
        """The distance of every result in ULP; a NaN or inf in the wrong place is inf away.

        The largest number and inf stand for each other where the true value is neither NaN nor inf.
        """
        largest = np.finfo(got.dtype).max
        finite = np.isfinite(self.nearest)
        clipped = np.clip(got, -largest, largest).astype(np.float64)
        exact = (got == self.nearest) | (np.isnan(got) & np.isnan(self.nearest))
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs((clipped - self.nearest) / self.ulp - self.rest)
        distance[np.isnan(got) & finite] = np.inf
        return np.where(finite, distance, np.where(exact, 0.0, np.inf))


@functools.cache
def points(dtype: str) -> np.ndarray:
    """Arguments over the whole range: every exponent, dense where the functions bend, specials,
    and both neighbours of every place where an implementation may switch formulas."""
    random = np.random.default_rng(0)
    limits = np.finfo(dtype)
    smallest = limits.minexp - limits.nmant
    exponents = (
        random.uniform(smallest, limits.maxexp - 0.01, 300),
        random.uniform(-15, np.log2(limits.maxexp) + 1, 300),
    )
    magnitudes = np.concatenate([
        *(np.exp2(exponent.astype(np.longdouble)).astype(dtype) for exponent in exponents),
        random.uniform(0, 3, 300),
        random.uniform(0, 1.1 * limits.maxexp * np.log(2), 300),
    ])  # fmt: skip
    near_roots = [
        root * (1 + sign * 2.0 ** -np.arange(2, 50, 2)) for root in ROOTS for sign in (1, -1)
    ]
    log_max, log_min = np.log(float(limits.max)), np.log(float(limits.smallest_subnormal))
    switches = [
        0, 1, 2, 0.25, 0.5, np.sqrt(0.5), np.sqrt(2), *(np.log(2) * np.arange(0.25, 1.75, 0.25)),
        3, 6, *ROOTS, *(np.array(ROOTS) - 0.25), *(np.array(ROOTS) + 0.25),
        log_max, log_min, np.log(float(limits.tiny)), 120, 800, 15.5, 40, 11.5, 22.25, 6.5,
        limits.tiny, limits.smallest_subnormal, limits.max,
    ]  # fmt: skip
    switches = np.array(switches).astype(dtype)
    around = np.concatenate([
        np.nextafter(switches, np.array(-np.inf, dtype)),
        switches,
        np.nextafter(switches[:-1], np.array(np.inf, dtype)),
    ])  # fmt: skip
    positive = np.concatenate(
        [magnitudes.astype(dtype), around, np.concatenate(near_roots).astype(dtype)]
    )
    return np.concatenate([positive, -positive, np.array([np.inf, -np.inf, np.nan], dtype)])


@functools.cache
def truth(function: Function, dtype: str) -> Truth:
    """The function's true values at all points."""
    return Truth.of([function(mpf(float(x))) for x in points(dtype)], dtype)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same bit for bit, any NaN being as good as another."""
    bits = a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}")
    return bool(np.all(bits | (np.isnan(a) & np.isnan(b))))


def every_float32() -> np.ndarray:
    """Every 65521st float32 there is: all exponents, both signs, infinities left out."""
    patterns = np.arange(0, 2**32, 65521, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return patterns[~np.isinf(patterns)]
