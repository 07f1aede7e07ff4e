"""In which order PyTorch has the numbers of a row that was an image or a series, channels first.

# Design: a weight that stands for one number of a flattened row is where torch has that number. A
# value says what its last axis was; layers without an order of their own hand that on, and a Dense
# whose rows become images makes its units in the order of those that read them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastweights import _registry, layers
from fastweights._topology import Topology
from fastweights._torch_forms import Form
from fastweights.layers import Layer, Variable
from fastweights.layers.convolution import Convolution
from fastweights.layers.merging import _Elementwise
from fastweights.layers.noise import Noise
from fastweights.layers.ops import Shape
from fastweights.layers.recurrent import Recurrent


class Order(NamedTuple):
    """How the numbers of a value's rows lie in torch.

    Attributes
    ----------
    pieces : tuple of tuple
        Shapes, (places, ..., channels), of what the last axis was made of; of none: it is as here.
    is_first : bool
        Whether the axis of channels, here the last one, is the first there.
    is_known : bool
    """

    pieces: tuple[Shape, ...] = ()
    is_first: bool = False
    is_known: bool = True


_ALIKE, _FIRST, _UNKNOWN = Order(), Order(is_first=True), Order(is_known=False)
#: Of what is read and made; one for all layers, of which a network may have many.
_PLAIN = (_ALIKE, _ALIKE)

#: Layers of which torch's read and make rows with their channels first.
_BY_PLACES = (
    Convolution,
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.Resizing,
    layers.CenterCrop,
    layers.RandomCrop,
)
#: Layers with one weight for each number of the last axis, or with several such vectors.
_VECTORS = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.Normalization,
    layers.PReLU,
)
#: Layers that leave numbers where they are.
_IN_PLACE = (
    *_VECTORS,
    layers.Activation,
    layers.ReLU,
    layers.ActivityRegularization,
    layers.Identity,
    layers.Masking,
    layers.GroupNormalization,
    layers.UnitNormalization,
    layers.Rescaling,
    layers.RepeatVector,
    Noise,
)
#: Of `Noise`, but such as make rows of their own.
_AFRESH = (layers.MultiHeadAttention, layers.GroupQueryAttention)

#: Of a value: what describes a network may be hostile.
_MOST_PIECES = 256


class Orders:
    """Which axes of a network's variables stand otherwise in torch.

    Parameters
    ----------
    topology, shapes
        Of the network and of one row of each value.
    owned : callable
        Gives what a layer has.
    """

    def __init__(
        self,
        topology: Topology,
        shapes: Sequence[Shape],
        owned: Callable[[Layer], Sequence[Variable]],
    ) -> None:
        self._owned = owned
        self._axes: dict[tuple[int, str], list[tuple[int, Order]]] = {}
        self._seen: dict[int, tuple[Order, Order]] = {}
        self._unclear: dict[int, Layer] = {}
        wanted = _wanted(topology, shapes)
        orders = [
            _FIRST if wanted.get(number, _ALIKE).is_first else _ALIKE
            for number in range(topology.inputs)
        ]
        for call, made in zip(topology.calls, topology.made(), strict=True):
            reads = [(orders[number], shapes[number]) for number in call.reads]
            for number in made:
                is_main = number == made[0] and _registry.is_of_library(call.layer)
                order = _ALIKE
                if is_main:
                    order = _made(call.layer, reads, shapes[number], wanted.get(number, _ALIKE))
                if number == made[0]:
                    self._take(call.layer, reads[0][0], order)
                orders.append(order)

    def _take(self, layer: Layer, read: Order, made: Order) -> None:
        """Notes what a call means for the layer's variables; another one must say the same."""
        variables = self._owned(layer)
        if not variables:
            return
        ways = _PLAIN if read == made == _ALIKE else (read, made)
        if self._seen.setdefault(id(layer), ways) != ways:
            self._doubt(layer)
            return
        if not read.is_known:
            self._doubt(layer)
        for variable in variables:
            axes = _axes_of(layer, variable, read, made)
            if axes is None and read.pieces:
                self._doubt(layer)
            if found := [(axis, order) for axis, order in axes or () if order.pieces]:
                self._axes[id(layer), variable.name] = found

    def _doubt(self, layer: Layer) -> None:
        self._unclear[id(layer)] = layer

    @property
    def unclear(self) -> list[Layer]:
        """Those that have weights, of which it cannot be said in which order torch has them."""
        return list(self._unclear.values())

    def form(self, layer: Layer, variable: Variable, form: Form) -> Form:
        """The form of a variable, in torch's order."""
        for axis, order in self._axes.get((id(layer), variable.name), ()):
            if sum(map(math.prod, order.pieces)) == variable.shape[axis]:
                form = _reordered(form, axis, order)
        return form


def _axes_of(
    layer: Layer, variable: Variable, read: Order, made: Order
) -> list[tuple[int, Order]] | None:
    """Which axes of a variable stand for what is read or made; None where that is not known."""
    inner = layer
    while isinstance(inner, layers.TimeDistributed):
        inner = inner.layer
    if not _registry.is_of_library(inner):
        return None
    last = len(variable.shape) - 1
    if type(inner) is layers.Dense:
        return [(0, read), (1, made)] if variable.name == "kernel" else [(last, made)]
    if isinstance(inner, Recurrent | layers.Bidirectional):
        reads = variable.name in ("kernel", "forward_kernel", "backward_kernel")
        return [(0, read)] if reads else []
    return [(last, read)] if isinstance(inner, _VECTORS) else None


def _reordered(form: Form, axis: int, order: Order) -> Form:
    """Places are counted when there are numbers to take from them, and not for a description."""
    return form._replace(
        stored=lambda array: form.stored(array.take(_places(order), axis)),
        read=lambda tensors: form.read(tensors).take(np.argsort(_places(order)), axis),
    )


def _places(order: Order) -> np.ndarray:
    """Where each number that torch has is here."""
    found, begin = [], 0
    for shape in order.pieces:
        size = math.prod(shape)
        numbers = np.arange(begin, begin + size).reshape(shape)
        found.append(np.moveaxis(numbers, -1, 0).reshape(-1))
        begin += size
    return np.concatenate(found)


def _wanted(topology: Topology, shapes: Sequence[Shape]) -> dict[int, Order]:
    """What readers say of the orders of values that have none of their own."""
    found: dict[int, Order] = {}
    end = len(shapes)
    for call in reversed(topology.calls):
        end -= call.results
        layer, reads = call.layer, call.reads
        if not _registry.is_of_library(layer):
            continue
        here, want = shapes[end], found.get(end, _ALIKE)
        for number in reads:
            order = _ALIKE
            by_channel = isinstance(layer, layers.BatchNormalization | layers.GroupNormalization)
            if isinstance(layer, _BY_PLACES) or (by_channel and len(here) > 1):
                order = _FIRST
            elif isinstance(layer, layers.Reshape) and len(shapes[number]) == 1 and want.is_first:
                order = _flat(_FIRST, here)
            elif isinstance(layer, (*_IN_PLACE, _Elementwise)) and shapes[number] == here:
                order = want
            if order != _ALIKE:
                found.setdefault(number, order)
    return found


def _made(layer: Layer, reads: Sequence[tuple[Order, Shape]], here: Shape, want: Order) -> Order:
    """The order of what a layer of the library makes of values in theirs."""
    order, shape = reads[0]
    if isinstance(layer, layers.TimeDistributed):
        inner = layer.layer
        if not _registry.is_of_library(inner):
            return _ALIKE
        if order.is_first and not isinstance(inner, _IN_PLACE):
            order = _UNKNOWN
        return _made(inner, [(order, shape[1:])], here[1:], _ALIKE)
    if isinstance(layer, _BY_PLACES):
        return _FIRST if len(here) > 1 else _ALIKE
    if type(layer) is layers.Dense:
        return want if len(here) == 1 else _ALIKE
    if isinstance(layer, _AFRESH):
        return _ALIKE
    if isinstance(layer, _IN_PLACE):
        return order
    if isinstance(layer, layers.Flatten | layers.Reshape):
        return _reshaped(order, shape, here)
    if isinstance(layer, layers.Permute):
        if order.is_first and layer.dims[-1] == len(shape):
            return _FIRST  # of places that changed theirs
        is_done = order.is_first and layer.dims == (len(shape), *range(1, len(shape)))
        return _ALIKE if is_done or order == _ALIKE else _UNKNOWN
    if isinstance(layer, _Elementwise | layers.Concatenate):
        return _merged(layer, reads, here)
    return _ALIKE


def _flat(order: Order, shape: Shape) -> Order:
    """Of such rows as vectors."""
    if order.is_first:
        is_alike = shape[-1] == 1 or math.prod(shape[:-1]) == 1
        return _ALIKE if is_alike else Order((shape,))
    return _of_pieces(order, len(order.pieces) * math.prod(shape[:-1]), order.pieces)


def _of_pieces(order: Order, count: int, pieces: Sequence[Shape]) -> Order:
    """So many pieces, these again and again; of more than anybody has nothing is known."""
    if not pieces:
        return order
    return Order(tuple(pieces) * (count // len(pieces))) if count <= _MOST_PIECES else _UNKNOWN


def _reshaped(order: Order, shape: Shape, here: Shape) -> Order:
    flat = _flat(order, shape)
    if here == shape or (here[-1] == shape[-1] and not order.is_first):
        return order
    if len(here) == 1 or flat == _ALIKE:
        return flat
    return _FIRST if flat.pieces == (here,) else _UNKNOWN


def _merged(layer: Layer, reads: Sequence[tuple[Order, Shape]], here: Shape) -> Order:
    orders = [order for order, _ in reads]
    if not all(order.is_known for order in orders):
        return _UNKNOWN
    if any(order.is_first for order in orders):
        return _FIRST
    is_joined = isinstance(layer, layers.Concatenate) and layer.axis in (-1, len(here))
    if is_joined and any(order.pieces for order in orders):
        pieces = [piece for order, shape in reads for piece in order.pieces or (shape[-1:],)]
        return _of_pieces(_ALIKE, len(pieces), pieces)
    # Of axes of length 1, which are stretched, there is one order.
    found = {order for order, shape in reads if is_joined or shape[-1:] == here[-1:]}
    return found.pop() if len(found) == 1 else _UNKNOWN
