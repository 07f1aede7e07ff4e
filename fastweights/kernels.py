"""The compiled kernels on plain NumPy arrays.

Arrays are C-contiguous, all of one dtype, float32 or float64. Inputs of another layout are copied;
results are written in place into the arrays given for them, which must fit exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastweights import _check, _dispatch, activations
from fastweights._core.float_mode import in_default_float_mode


def _arrays(**arguments: Any) -> dict[str, np.ndarray]:
    """What came, but for None, as arrays: from here on only these are looked at."""
    return {
        name: _check.numeric_array(name, got) for name, got in arguments.items() if got is not None
    }


def _real_dtype(argument: str, array: np.ndarray) -> np.dtype:
    if array.dtype.name not in _check.FLOATS:
        raise TypeError(
            _check.refusal(argument, f"dtype {array.dtype}", " or ".join(_check.FLOATS))
        )
    return array.dtype.newbyteorder("=")


def _matrix(
    argument: str, array: np.ndarray, real: np.dtype, shape: tuple[int | None, ...]
) -> np.ndarray:
    if array.dtype.newbyteorder("=") != real:
        raise TypeError(_check.refusal(argument, f"dtype {array.dtype}", f"dtype {real}, as x has"))
    fits = array.ndim == len(shape) and all(
        size > 0 and wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(_check.refusal(argument, f"shape {array.shape}", f"shape ({wanted})"))
    return _check.contiguous(array, real)


def _out(
    argument: str, got: Any, shape: tuple[int, ...], real: np.dtype, others: dict
) -> np.ndarray:
    if got is None:
        return np.empty(shape, real)
    return _check.out(argument, got, shape, real, others)


def _address(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data


def dense_forward(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    activation: str | activations.Activation | None = None,
    out: np.ndarray | None = None,
    slope: np.ndarray | None = None,
) -> np.ndarray:
    """``activation(x @ kernel + bias)``.

    Parameters
    ----------
    x : array_like (rows, inputs)
        Its dtype, float32 or float64, is everyone's.
    kernel : array_like (inputs, outputs)
    bias : array_like (outputs,), optional
    activation : str or Activation, optional
        Element by element; softmax is not among these.
    out : ndarray (rows, outputs), optional
        Where the result goes.
    slope : ndarray (rows, outputs), optional
        Receives the activation's derivative, which `dense_backward` asks for.

    Returns
    -------
    ndarray (rows, outputs)
        `out`, or a new array.

    Raises
    ------
    ValueError, TypeError
        An argument does not fit: shape, dtype, or an output that is read-only, strided or overlaps
        another argument.
    """
    inputs = _arrays(x=x, kernel=kernel, bias=bias)
    real = _real_dtype("x", inputs["x"])
    x = _matrix("x", inputs["x"], real, (None, None))
    kernel = _matrix("kernel", inputs["kernel"], real, (x.shape[1], None))
    if bias is not None:
        bias = _matrix("bias", inputs["bias"], real, (kernel.shape[1],))
    function = activations.get(activation)
    if not function.is_elementwise:
        raise ValueError(
            _check.refusal("activation", function.name, "one that works element by element")
        )
    shape = (x.shape[0], kernel.shape[1])
    out = _out("out", out, shape, real, inputs)
    if slope is not None:
        slope = _check.out("slope", slope, shape, real, {**inputs, "out": out})
    compiled = _dispatch.kernels(real)
    sizes = x.shape[0], *kernel.shape
    scratch = np.empty(compiled.apply_dense_scratch(*sizes), real)
    compiled.apply_dense_forward(
        _address(out), _address(slope), _address(x), _address(kernel), _address(bias),
        _address(scratch), *sizes, function.name, function.options,
    )  # fmt: skip
    return out


def dense_backward(
    dy: Any,
    x: Any,
    kernel: Any,
    *,
    slope: Any = None,
    dx: np.ndarray | None = None,
    dkernel: np.ndarray | None = None,
    dbias: np.ndarray | None = None,
    accumulate: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a dense layer: with ``dz = dy * slope``, ``dx = dz @ kernel.T``,
    ``dkernel = x.T @ dz`` and ``dbias = dz.sum(0)``.

    Parameters
    ----------
    dy : array_like (rows, outputs)
        Gradient by the layer's output.
    x : array_like (rows, inputs)
    kernel : array_like (inputs, outputs)
    slope : array_like (rows, outputs), optional
        The activation's derivative, from `dense_forward`; without it the layer is linear.
    dx, dkernel, dbias : ndarray, optional
        Where the results go, shaped as `x`, `kernel` and (outputs,).
    accumulate : bool
        Whether `dkernel` and `dbias` are added to; both must then be given.

    Returns
    -------
    dx, dkernel, dbias : ndarray

    Raises
    ------
    ValueError, TypeError
        As `dense_forward`.
    """
    inputs = _arrays(x=x, kernel=kernel, dy=dy, slope=slope)
    real = _real_dtype("x", inputs["x"])
    x = _matrix("x", inputs["x"], real, (None, None))
    kernel = _matrix("kernel", inputs["kernel"], real, (x.shape[1], None))
    shape = (x.shape[0], kernel.shape[1])
    dy = _matrix("dy", inputs["dy"], real, shape)
    if slope is not None:
        slope = _matrix("slope", inputs["slope"], real, shape)
    accumulate = _check.flag("accumulate", accumulate)
    if accumulate:
        for name, given in (("dkernel", dkernel), ("dbias", dbias)):
            if given is None:
                raise ValueError(_check.refusal(name, "None", "an array to accumulate into"))
    dx = _out("dx", dx, x.shape, real, inputs)
    dkernel = _out("dkernel", dkernel, kernel.shape, real, {**inputs, "dx": dx})
    dbias = _out("dbias", dbias, shape[1:], real, {**inputs, "dx": dx, "dkernel": dkernel})
    sums = [dkernel, dbias]
    found = [np.empty_like(array) for array in sums] if accumulate else sums
    dz = dy if slope is None else in_default_float_mode(np.multiply, dy, slope)
    compiled = _dispatch.kernels(real)
    sizes = x.shape[0], *kernel.shape
    scratch = np.empty(compiled.apply_dense_scratch(*sizes), real)
    compiled.apply_dense_backward(
        _address(dx), *map(_address, found), _address(dz), _address(x), _address(kernel),
        _address(scratch), *sizes,
    )  # fmt: skip
    if accumulate:
        for array, part in zip(sums, found, strict=True):
            in_default_float_mode(np.add, array, part, array)
    return dx, dkernel, dbias


def sgd_update(w: np.ndarray, dw: Any, learning_rate: float) -> np.ndarray:
    """``w -= learning_rate * dw``, in place.

    Parameters
    ----------
    w : ndarray, any shape
        C-contiguous and writeable, float32 or float64.
    dw : array_like, shape and dtype of `w`
    learning_rate : float

    Returns
    -------
    ndarray
        `w`.
    """
    if not isinstance(w, np.ndarray):
        raise TypeError(_check.refusal("w", type(w).__name__, "a NumPy array"))
    given = _arrays(w=w, dw=dw)
    shape, real = given["w"].shape, _real_dtype("w", given["w"])
    gradient = given["dw"]
    if gradient.dtype.newbyteorder("=") != real:
        raise TypeError(_check.refusal("dw", f"dtype {gradient.dtype}", f"dtype {real}, as w has"))
    if gradient.shape != shape:
        raise ValueError(_check.refusal("dw", f"shape {gradient.shape}", f"shape {shape}"))
    weights = _check.out("w", given["w"], shape, real, {"dw": gradient})
    gradient = _check.contiguous(gradient, real)
    numbers = np.array([_check.number("learning_rate", learning_rate), 0.0])
    _dispatch.kernels(real).apply_update(
        "sgd", _address(weights), _address(gradient), 0, weights.size, _address(numbers)
    )
    return w
