"""What the weights of a layer are called in PyTorch, and how they lie there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastweights import _registry
from fastweights.activations import LINEAR
from fastweights.layers import GRU, Bidirectional, Layer, TimeDistributed, Variable
from fastweights.layers.recurrent import Recurrent
from fastweights.layers.separable import ByChannel

_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "mean",
    "variance": "variance",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "scale": "weight",
    "alpha": "weight",
    "embeddings": "weight",
    "position_embeddings": "weight",
    "reverse_embeddings": "reverse.weight",
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
}

#: Variables that the torch module has in our layout, and not with their axes in reverse.
_ALIKE = ("embeddings", "position_embeddings")

Shape = tuple[int, ...]
Stored = Callable[[np.ndarray], Sequence[np.ndarray]]
Read = Callable[[Sequence[np.ndarray]], np.ndarray]


class Form(NamedTuple):
    """The tensors that a variable is in a file."""

    #: Their names within the layer's module ...
    names: tuple[str, ...]
    #: ... and shapes.
    shapes: tuple[Shape, ...]
    stored: Stored
    read: Read
    #: From which of their rows on, if those before are other variables.
    begin: int = 0


def form_of(layer: Layer, variable: Variable, beside: Sequence[Variable]) -> Form:
    """Torch's for a variable of the library's layers; variables of others keep their names.

    `beside` are all that the layer has.
    """
    if isinstance(layer, TimeDistributed):
        return form_of(layer.layer, variable, beside)
    name = variable.name
    if not _registry.is_of_library(layer):
        return _turned(name, variable.shape)
    if isinstance(layer, Bidirectional):
        way, _, part = name.partition("_")
        one = layer.forward_layer if way == "forward" else layer.backward_layer
        return _recurrent(one, variable._replace(name=part), way)
    if isinstance(layer, Recurrent):
        return _recurrent(layer, variable, "forward")
    if isinstance(layer, ByChannel) and name in ("kernel", "depthwise_kernel"):
        return _by_channel(variable)
    if name in _OF_HEADS or name == "output_bias":
        return _attention(variable, beside)
    return (
        _as_it_is(_TORCH_NAMES[name], variable.shape)
        if name in _ALIKE
        else _turned(_TORCH_NAMES[name], variable.shape)
    )


def _as_it_is(name: str, shape: Shape) -> Form:
    return _transposed(name, shape, tuple(range(len(shape))))


def _turned(name: str, shape: Shape) -> Form:
    """Axes in reverse; kernels of images keep that of their height: (out, in, height, width)."""
    axes = tuple(range(len(shape)))
    return _transposed(name, shape, (axes[-1], axes[-2], *axes[:-2]) if axes[3:] else axes[::-1])


def _transposed(name: str, shape: Shape, axes: tuple[int, ...]) -> Form:
    """The axes of the module's array, by where they stand in ours."""
    turned = shape if len(shape) == 1 else tuple(shape[axis] for axis in axes)
    return Form((name,), (turned,), *_ways(axes))


@functools.cache
def _ways(axes: tuple[int, ...]) -> tuple[Stored, Read]:
    """There and back; the same two for all variables, of which a network may have many."""
    back = tuple(int(axis) for axis in np.argsort(axes))
    return lambda array: [array.transpose(axes)], lambda tensors: tensors[0].transpose(back)


def _by_channel(variable: Variable) -> Form:
    """A depthwise kernel, (..., channels, filters of each): each filter reads one channel."""
    axes = tuple(range(len(variable.shape)))
    apart = _transposed(_TORCH_NAMES[variable.name], variable.shape, (*axes[-2:], *axes[:-2]))
    (shape,) = apart.shapes
    return Form(
        apart.names,
        ((shape[0] * shape[1], 1, *shape[2:]),),
        lambda array: [apart.stored(array)[0].reshape(-1, 1, *shape[2:])],
        lambda tensors: apart.read([tensors[0].reshape(shape)]),
    )


#: Kernels and biases with an axis of heads, which the torch module has not: how many of their axes
#: stand for what is read.
_OF_HEADS = {
    **dict.fromkeys(("query_kernel", "key_kernel", "value_kernel"), 1),
    **dict.fromkeys(("query_bias", "key_bias", "value_bias"), 0),
    "output_kernel": 2,
}


def _without_heads(variable: Variable) -> Shape:
    split = _OF_HEADS.get(variable.name, 0)
    parts = (variable.shape[:split], variable.shape[split:])
    return tuple(math.prod(part) for part in parts if part)


def _attention(variable: Variable, beside: Sequence[Variable]) -> Form:
    """As in ``torch.nn.MultiheadAttention``, all of whose projections are square; else apart."""
    which, _, what = variable.name.partition("_")
    shape = _without_heads(variable)
    name, begin = variable.name, 0
    if len({size for other in beside for size in _without_heads(other)}) == 1:
        end = "weight" if what == "kernel" else "bias"
        name = f"out_proj.{end}" if which == "output" else f"in_proj_{end}"
        begin = shape[-1] * ("query", "key", "value", "output").index(which) % (3 * shape[-1])
    return Form(
        (name,),
        (shape[::-1],),
        lambda array: [array.reshape(shape).T],
        lambda tensors: tensors[0].T.reshape(variable.shape),
        begin,
    )


def _recurrent(layer: Recurrent, variable: Variable, way: str) -> Form:
    """As in ``torch.nn.LSTM``, ``GRU`` and ``RNN``, whose gates and biases these are."""
    name, shape = variable.name, variable.shape
    if isinstance(layer, GRU) and not layer.reset_after:
        return _as_it_is(name if way == "forward" else f"{name}_reverse", shape)
    end = "_l0" if way == "forward" else "_l0_reverse"
    units = layer.units
    # Of the columns; z and r change places, and again back.
    order = np.arange(shape[-1]).reshape(-1, units)
    if isinstance(layer, GRU):
        order = order[[1, 0, 2]]
    columns = order.reshape(-1)
    if name == "bias":
        biases = (f"bias_ih{end}", f"bias_hh{end}")
        shapes = ((shape[-1],), (shape[-1],))
        if isinstance(layer, GRU):
            return Form(
                biases,
                shapes,
                lambda array: [row[columns] for row in array],
                lambda tensors: np.stack(tensors)[:, columns],
            )
        # One bias stands for the sum of torch's two.
        return Form(
            biases,
            shapes,
            lambda array: [array, np.zeros_like(array)],
            lambda tensors: tensors[0] + tensors[1],
        )
    return Form(
        (f"weight_{'ih' if name == 'kernel' else 'hh'}{end}",),
        (shape[::-1],),
        lambda array: [array[:, columns].T],
        lambda tensors: tensors[0].T[:, columns],
    )


def activation_modules(layer: Layer) -> int:
    """How many modules of activations stand behind a layer's own."""
    if isinstance(layer, Recurrent):
        return 0
    if isinstance(layer, TimeDistributed):
        return activation_modules(layer.layer)
    return int(getattr(layer, "activation", LINEAR) != LINEAR)
