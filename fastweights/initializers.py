"""Initialisers: what a layer's parameters are before training, the same on every machine.

An initialiser is an immutable description. It draws in float64 from the counter-based generator
of ``_core.philox`` and rounds once, so that one seed starts a float32 and a float64 model from the
same numbers, whatever rounding mode the calling thread has set. Names, defaults and rules are
Keras 3's. In the formulas ``fan_in`` and ``fan_out`` are the numbers of inputs and outputs that a
unit is connected to: those of a kernel (in, out).

``"auto"`` matches the rule to the activation (see :func:`get`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastweights import _check
from fastweights._core import float_mode, philox
from fastweights._description import Description, from_config
from fastweights._importing import imported


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of an array of weights.

    A kernel is ``(..., in, out)``; what stands before the last two axes is the window that a
    convolution looks through, and multiplies both. A vector's fans are both its length.
    """
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class Initializer(Description):
    """Base of all initialisers; a subclass writes ``_draw``."""

    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("__call__", "call", "get_config"),
        "_draw(self, out, seed, stream, fan_in, fan_out), which fills an array of float64",
    )

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        """Fills ``out``, a C-contiguous float64 array."""
        raise NotImplementedError

    def fill(
        self,
        out: np.ndarray,
        seed: int,
        stream: int,
        fan_in: int | None = None,
        fan_out: int | None = None,
    ) -> None:
        """Writes the initial values into ``out``.

        Parameters
        ----------
        out : ndarray of float32 or float64, any shape
            Overwritten.
        seed : int
            From 0 to 2**64 - 1; the same seed gives the same numbers.
        stream : int
            From 0 to 2**64 - 1; which of the seed's independent sequences to draw from.
        fan_in, fan_out : int, optional
            As :func:`fans` counts them in ``out.shape`` where not given.
        """
        if not isinstance(out, np.ndarray):
            raise TypeError(_check.refusal("out", _check.kind_of(out), "a NumPy array"))
        _check.dtype("out", out.dtype)
        if not out.flags.writeable:
            raise ValueError(_check.refusal("out", "a read-only array", "a writeable array"))
        seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        stream = _check.whole("stream", stream, 0, maximum=philox.MAX_SEED)
        if fan_in is not None:
            fan_in = _check.whole("fan_in", fan_in, 1)
        if fan_out is not None:
            fan_out = _check.whole("fan_out", fan_out, 1)
        if out.size == 0:
            return
        shape_in, shape_out = fans(out.shape)
        fan_in = shape_in if fan_in is None else fan_in
        fan_out = shape_out if fan_out is None else fan_out
        float_mode.in_default_float_mode(self._fill, out, seed, stream, fan_in, fan_out)

    def _fill(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        drawn = np.empty(out.shape)
        self._draw(drawn, seed, stream, fan_in, fan_out)
        with np.errstate(over="ignore"):  # `Variable.check` says what came of it
            out[...] = drawn

    def __call__(
        self,
        shape: int | tuple[int, ...],
        dtype: Any = "float32",
        seed: int = 0,
        stream: int = 0,
        fan_in: int | None = None,
        fan_out: int | None = None,
    ) -> np.ndarray:
        """A new array of ``shape``, float32 or float64; the rest as for :meth:`fill`."""
        out = np.empty(_check.sizes("shape", shape), dtype=_check.dtype("dtype", dtype))
        self.fill(out, seed, stream, fan_in, fan_out)
        return out


# ---- rules that do not look at the fans ----------------------------------------------------------


class Constant(Initializer):
    """``value`` everywhere."""

    name = "constant"
    value: float

    def __init__(self, value: float = 0.0) -> None:
        self._set(value=_check.number("value", value))

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        out[...] = self.value


class Zeros(Initializer):
    """0 everywhere."""

    name = "zeros"

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        out[...] = 0.0


class Ones(Initializer):
    """1 everywhere."""

    name = "ones"

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        out[...] = 1.0


class RandomNormal(Initializer):
    """Normal with mean ``mean`` and standard deviation ``stddev``."""

    name = "random_normal"
    mean: float
    stddev: float

    def __init__(self, mean: float = 0.0, stddev: float = 0.05) -> None:
        self._set(
            mean=_check.number("mean", mean), stddev=_check.number("stddev", stddev, minimum=0)
        )

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        philox.normal(out, seed, stream)
        _scale_and_shift(out, self.stddev, self.mean)


class TruncatedNormal(RandomNormal):
    """Normal as :class:`RandomNormal`, given that it lies within 2 ``stddev`` of ``mean``.

    ``stddev`` is that of the normal before the cut; what is left has 0.88 of it.
    """

    name = "truncated_normal"

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        philox.truncated_normal(out, seed, stream)
        _scale_and_shift(out, self.stddev, self.mean)


class RandomUniform(Initializer):
    """Uniform from ``minval`` to ``maxval``."""

    name = "random_uniform"
    minval: float
    maxval: float

    def __init__(self, minval: float = -0.05, maxval: float = 0.05) -> None:
        minval = _check.number("minval", minval)
        self._set(minval=minval, maxval=_check.number("maxval", maxval, minimum=minval))

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        philox.uniform(out, seed, stream)
        _scale_and_shift(out, self.maxval - self.minval, self.minval)


class Orthogonal(Initializer):
    """``gain`` times a matrix with orthonormal rows or columns, whichever are fewer.

    All axes but the last count as one. The matrix is uniform over all such matrices. Saxe,
    McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (ICLR 2014).
    """

    name = "orthogonal"
    gain: float

    def __init__(self, gain: float = 1.0) -> None:
        self._set(gain=_check.number("gain", gain))

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        gram_schmidt = imported("fastweights._core.gram_schmidt")

        matrix = out.reshape(-1, out.shape[-1] if out.ndim else 1)
        count, length = sorted(matrix.shape)
        rows = np.empty((count, length))
        philox.normal(rows, seed, stream)
        gram_schmidt.orthonormalise(rows, count, length)
        rows *= self.gain
        matrix[...] = rows if matrix.shape == rows.shape else rows.T


def _scale_and_shift(out: np.ndarray, scale: float, shift: float) -> None:
    np.multiply(out, scale, out=out)
    np.add(out, shift, out=out)


# ---- rules that keep the variance from layer to layer --------------------------------------------


class _ScaledNormal(Initializer):
    """A normal cut off at two of its standard deviations; the variance is that after the cut."""

    #: The standard deviation of a standard normal number that lies within 2.
    CUT: ClassVar[float] = 0.87962566103423978

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        philox.truncated_normal(out, seed, stream)
        np.multiply(out, math.sqrt(self._variance(fan_in, fan_out)) / self.CUT, out=out)

    def _variance(self, fan_in: int, fan_out: int) -> float:
        raise NotImplementedError


class _ScaledUniform(Initializer):
    """A uniform around 0 of the variance asked for."""

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        philox.uniform(out, seed, stream)
        limit = math.sqrt(3.0 * self._variance(fan_in, fan_out))
        _scale_and_shift(out, 2.0 * limit, -limit)

    def _variance(self, fan_in: int, fan_out: int) -> float:
        raise NotImplementedError


class _Glorot:
    def _variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


class _He:
    def _variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


class _Lecun:
    def _variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


class GlorotNormal(_Glorot, _ScaledNormal):
    """Truncated normal of variance ``2 / (fan_in + fan_out)``.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
    (AISTATS 2010).
    """

    name = "glorot_normal"


class GlorotUniform(_Glorot, _ScaledUniform):
    """Uniform within ``sqrt(6 / (fan_in + fan_out))``, of variance ``2 / (fan_in + fan_out)``.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
    (AISTATS 2010), equation 16.
    """

    name = "glorot_uniform"


class HeNormal(_He, _ScaledNormal):
    """Truncated normal of variance ``2 / fan_in``.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers: surpassing human-level performance on
    ImageNet classification" (ICCV 2015).
    """

    name = "he_normal"


class HeUniform(_He, _ScaledUniform):
    """Uniform within ``sqrt(6 / fan_in)``, of variance ``2 / fan_in``.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers: surpassing human-level performance on
    ImageNet classification" (ICCV 2015).
    """

    name = "he_uniform"


class LecunNormal(_Lecun, _ScaledNormal):
    """Truncated normal of variance ``1 / fan_in``.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998); for selu: Klambauer, Unterthiner,
    Mayr and Hochreiter, "Self-normalizing neural networks" (NeurIPS 2017).
    """

    name = "lecun_normal"


class LecunUniform(_Lecun, _ScaledUniform):
    """Uniform within ``sqrt(3 / fan_in)``, of variance ``1 / fan_in``.

    LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998).
    """

    name = "lecun_uniform"


# ---- names ---------------------------------------------------------------------------------------

#: Every initialiser by its name.
INITIALIZERS: dict[str, type[Initializer]] = {
    kind.name: kind
    for kind in (
        Zeros,
        Ones,
        Constant,
        RandomNormal,
        RandomUniform,
        TruncatedNormal,
        GlorotNormal,
        GlorotUniform,
        HeNormal,
        HeUniform,
        LecunNormal,
        LecunUniform,
        Orthogonal,
    )
}

#: What ``"auto"`` stands for before each activation; before all others, ``GlorotUniform``.
AUTO: dict[str, type[Initializer]] = {
    "relu": HeNormal,
    "relu6": HeNormal,
    "leaky_relu": HeNormal,
    "elu": HeNormal,
    "gelu": HeNormal,
    "gelu_tanh": HeNormal,
    "silu": HeNormal,
    "hard_silu": HeNormal,
    "mish": HeNormal,
    "softplus": HeNormal,
    "selu": LecunNormal,
}


def get(
    identifier: str | Mapping[str, Any] | Initializer,
    activation: str | None = None,
    argument: str = "initializer",
) -> Initializer:
    """The initialiser that ``identifier`` means.

    Parameters
    ----------
    identifier : str, mapping or Initializer
        A name such as ``"he_normal"``; what :meth:`Initializer.config` returned; or an initialiser,
        which is returned as it is. ``"auto"`` is the rule that goes with ``activation``: HeNormal
        for the relu family (He et al. 2015), LecunNormal for selu (Klambauer et al. 2017),
        GlorotUniform for tanh, sigmoid, softmax, linear and the rest (Glorot and Bengio 2010).
    activation : str, optional
        The name of the activation that follows the weights.
    argument : str
        What an error calls ``identifier``.

    Raises
    ------
    ValueError, TypeError
        Where the name or a setting is not known, or has no such value.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, Mapping):
        return from_config(argument, identifier, INITIALIZERS)
    auto = AUTO.get(activation or "linear", GlorotUniform)
    known: dict[str, type[Initializer]] = {
        "auto": auto,
        **INITIALIZERS,
        "uniform": RandomUniform,
        "normal": RandomNormal,
    }
    return _check.choice(argument, identifier, known)()
