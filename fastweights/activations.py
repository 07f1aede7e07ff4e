"""Activations: descriptions of the functions between layers. Names and defaults are Keras 3's.

The arithmetic is compiled (``src_pyx/kernels/activations.pxi``, ``softmax.pxi`` and
``sparsemax.pxi``). Values and derivatives are within 16 ULP of the true ones over the whole range,
and NaN goes through as NaN.

>>> activations.get("tanh")(np.linspace(-1, 1, 5))
array([-0.76159416, -0.46211716,  0.        ,  0.46211716,  0.76159416])
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _dispatch
from fastweights._description import Description, identified


class Activation(Description, ABC):
    """Base of all activations; the name is that of the compiled kernel too."""

    #: Whether it acts on each element by itself; otherwise it acts on the last axis.
    is_elementwise: ClassVar[bool]

    @property
    def options(self) -> tuple[float, float]:
        """The kernel's two numbers."""
        return 0.0, 0.0

    #: A layer computes by its kernel.
    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("__call__", "call", "get_config"),
        "an activation of this library; one of your own is a layer: docs/own-layers.md",
    )

    def __call__(self, x: Any) -> np.ndarray:
        """The activation of an array.

        Parameters
        ----------
        x : array_like of real numbers, any shape
            Integers are computed in the float type that NumPy promotes them to.

        Returns
        -------
        ndarray
            Of the shape of `x`, float32 or float64.

        Raises
        ------
        TypeError, ValueError
            `x` holds no real numbers, or numbers wider than float64.
        """
        return self._of(_check.real_copy("x", x))

    @abstractmethod
    def _of(self, x: np.ndarray) -> np.ndarray:
        """The activation of an array that is nobody else's."""


class Elementwise(Activation):
    """Base of the activations that act on each element by itself."""

    is_elementwise = True

    def _of(self, x: np.ndarray) -> np.ndarray:
        value, _ = self._evaluate(x, with_slope=False)
        return value

    def derivative(self, x: Any) -> np.ndarray:
        """The derivative at each element: shape, dtype and errors as for the call itself."""
        _, slope = self._evaluate(_check.real_copy("x", x), with_slope=True)
        return slope

    def _evaluate(self, value: np.ndarray, with_slope: bool) -> tuple[np.ndarray, np.ndarray]:
        slope = np.empty_like(value) if with_slope else value
        _dispatch.kernels(value.dtype).apply_activation(
            self.name,
            value.ctypes.data,
            slope.ctypes.data if with_slope else 0,
            value.size,
            self.options,
        )
        return value, slope


class AlongLastAxis(Activation):
    """Base of the activations that act on the last axis, the row of a batch."""

    is_elementwise = False

    #: How long that axis may be.
    longest: ClassVar[int] = sys.maxsize

    def _of(self, x: np.ndarray) -> np.ndarray:
        if x.ndim == 0:
            raise ValueError(_check.refusal("x", "a single number", "at least one axis"))
        value = np.empty_like(x)
        columns = x.shape[-1]
        if columns > self.longest:
            expected = f"at most {self.longest} for {self.name}"
            raise ValueError(_check.refusal("x", f"a last axis of {columns} numbers", expected))
        _dispatch.kernels(value.dtype).apply_row_activation(
            self.name,
            value.ctypes.data,
            x.ctypes.data,
            x.size // max(columns, 1),
            columns,
        )
        return value


class Linear(Elementwise):
    """``x``: no activation."""

    name = "linear"


class ReLU(Elementwise):
    """``max(0, x)``; its derivative at 0 is taken to be 0.

    V. Nair and G. Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010.
    """

    name = "relu"


class ReLU6(Elementwise):
    """``min(6, max(0, x))``; its derivative at 0 and at 6 is taken to be 0.

    A. Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010.
    """

    name = "relu6"


class LeakyReLU(Elementwise):
    """``x`` where positive, else ``negative_slope * x``.

    A. Maas, A. Hannun, A. Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models,
    ICML 2013.

    Parameters
    ----------
    negative_slope : float, at least 0
    """

    name = "leaky_relu"
    negative_slope: float

    def __init__(self, negative_slope: float = 0.2) -> None:
        self._set(negative_slope=_check.number("negative_slope", negative_slope, minimum=0))

    @property
    def options(self) -> tuple[float, float]:
        return self.negative_slope, 0.0


class ELU(Elementwise):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``.

    D.-A. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning by
    Exponential Linear Units, ICLR 2016.

    Parameters
    ----------
    alpha : float, at least 0
    """

    name = "elu"
    alpha: float

    def __init__(self, alpha: float = 1.0) -> None:
        self._set(alpha=_check.number("alpha", alpha, minimum=0))

    @property
    def options(self) -> tuple[float, float]:
        return self.alpha, 0.0


class SELU(Elementwise):
    """``1.0507... * x`` where positive, else ``1.0507... * 1.6732... * (exp(x) - 1)``: with LeCun
    normal weights it keeps mean 0 and variance 1.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-Normalizing Neural Networks,
    NeurIPS 2017.
    """

    name = "selu"


class GELU(Elementwise):
    """``x * Phi(x)``, Phi being the standard normal distribution function.

    D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, arXiv:1606.08415, 2016.
    """

    name = "gelu"


class GELUTanh(Elementwise):
    """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``: the same paper's approximation
    of :class:`GELU`.
    """

    name = "gelu_tanh"


class SiLU(Elementwise):
    """``x * sigmoid(x)``, also called swish.

    S. Elfwing, E. Uchibe, K. Doya, Sigmoid-Weighted Linear Units for Neural Network Function
    Approximation in Reinforcement Learning, Neural Networks 107, 2018.
    """

    name = "silu"


class HardSiLU(Elementwise):
    """``x * hard_sigmoid(x)``, also called hard swish; its derivative at -3 is taken to be 0, at 3
    to be 1.

    A. Howard et al., Searching for MobileNetV3, ICCV 2019.
    """

    name = "hard_silu"


class Mish(Elementwise):
    """``x * tanh(log(1 + exp(x)))``.

    D. Misra, Mish: A Self Regularized Non-Monotonic Activation Function, BMVC 2020.
    """

    name = "mish"


class Softplus(Elementwise):
    """``log(1 + exp(x))``.

    C. Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing,
    NeurIPS 2000.
    """

    name = "softplus"


class Softsign(Elementwise):
    """``x / (1 + abs(x))``.

    J. Turian, J. Bergstra, Y. Bengio, Quadratic Features and Deep Architectures for Chunking,
    NAACL 2009.
    """

    name = "softsign"


class Sigmoid(Elementwise):
    """``1 / (1 + exp(-x))``."""

    name = "sigmoid"


class HardSigmoid(Elementwise):
    """``relu6(x + 3) / 6``; its derivative at -3 and at 3 is taken to be 0.

    A. Howard et al., Searching for MobileNetV3, ICCV 2019.
    """

    name = "hard_sigmoid"


class Exponential(Elementwise):
    """``exp(x)``."""

    name = "exponential"


class Tanh(Elementwise):
    """``tanh(x)``."""

    name = "tanh"


class Softmax(AlongLastAxis):
    """``exp(x) / sum(exp(x))`` over the last axis.

    J. Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs,
    Neurocomputing, 1990.
    """

    name = "softmax"


class LogSoftmax(AlongLastAxis):
    """``x - log(sum(exp(x)))`` over the last axis: the logarithm of :class:`Softmax`."""

    name = "log_softmax"


class Softmin(AlongLastAxis):
    """``exp(-x) / sum(exp(-x))`` over the last axis: :class:`Softmax` of ``-x``."""

    name = "softmin"


class Sparsemax(AlongLastAxis):
    """``max(0, x - tau)`` over the last axis, with the ``tau`` by which its entries add up to 1.

    They are the probabilities that are nearest to ``x``; small ones are 0.

    A. Martins, R. Astudillo, From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label
    Classification, ICML 2016.
    """

    name = "sparsemax"
    longest = 2**19


#: What None stands for.
LINEAR = Linear()

#: Every activation by its name.
ACTIVATIONS: dict[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        Linear, ReLU, ReLU6, LeakyReLU, ELU, SELU, GELU, GELUTanh, SiLU, HardSiLU, Mish, Softplus,
        Softsign, Sigmoid, HardSigmoid, Exponential, Tanh, Softmax, LogSoftmax, Softmin, Sparsemax,
    )
}  # fmt: skip

_NAMES: dict[str, type[Activation]] = {**ACTIVATIONS, "swish": SiLU, "hard_swish": HardSiLU}


def get(identifier: Any, argument: str = "activation") -> Activation:
    """The activation that ``identifier`` means.

    Parameters
    ----------
    identifier : None, str, Activation or mapping
        None is linear; a name such as ``"relu"`` (``"swish"`` is ``"silu"``, ``"hard_swish"`` is
        ``"hard_silu"``); an activation, which is returned as it is; or what
        :meth:`Activation.config` returned.
    argument : str
        What an error calls ``identifier``.

    Raises
    ------
    ValueError, TypeError
        Where the name or a setting is not known, or has no such value.
    """
    return identified(argument, identifier, Activation, _NAMES) or LINEAR  # type: ignore[type-abstract]
