"""A model's layers laid over one flat vector of parameters.

# Design: all that follows from the layers and the shape of their input is made apart from the model
# and then taken on by one assignment, so a build that is interrupted or fails has changed nothing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._core import philox
from fastweights._core import plan as _plan
from fastweights.layers import Layer, OpSpec
from fastweights.layers.base import Shape, Variable

#: Numbers of a row at most: what any number of them takes can still be counted.
MAX_ROW = 2**40

#: Writes a variable, the one of this number in the model, into its view.
Fill = Callable[[int, Variable, np.ndarray], None]


class Weight(np.ndarray):
    """A view of the flat vector of parameters that knows its name, such as ``dense/kernel``."""

    _name = ""

    @property
    def name(self) -> str:
        """Layer and variable."""
        return self._name

    def __array_finalize__(self, obj: Any) -> None:
        self._name = getattr(obj, "_name", "")


def aligned_zeros(n: int, dtype: np.dtype) -> np.ndarray:
    """A vector of `n` zeros that begins on a 64-byte boundary."""
    try:
        memory = np.zeros(n * dtype.itemsize + 64, np.uint8)
    except (MemoryError, ValueError, OverflowError):
        raise MemoryError(f"no {n * dtype.itemsize:,} bytes for {n:,} parameters") from None
    start = -memory.ctypes.data % 64
    return memory[start : start + n * dtype.itemsize].view(dtype)


def drawing(seed: int) -> Fill:
    """Fills variables by their initialisers."""

    def fill(index: int, variable: Variable, view: np.ndarray) -> None:
        variable.initializer.fill(
            view, seed, philox.STREAM_INIT + index, variable.fan_in, variable.fan_out
        )

    return fill


class Built:
    """What `layers` are for rows of `input_shape`: shapes, variables, ops; once allocated, numbers.

    Attributes
    ----------
    shapes : list of tuple
        Of one row before each layer, and after the last.
    variables : list of (Layer, Variable)
        In the order in which they lie in the flat vector.
    is_complete : bool
        Whether a model has taken it on: then the layers' weights are here.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: Shape, dtype: np.dtype) -> None:
        self.layers, self.input_shape, self.dtype = tuple(layers), input_shape, dtype
        self.is_complete = False
        self.shapes = shapes_of(layers, input_shape)
        for shape in self.shapes:
            if math.prod(shape) > MAX_ROW:
                raise ValueError(_check.refusal("layers", f"rows of {shape}", f"{MAX_ROW} numbers"))
        self.variables: list[tuple[Layer, Variable]] = []
        ops: list[OpSpec] = []
        for layer, rows in zip(layers, self.shapes[:-1], strict=True):
            if layer._built is not None and layer._built.is_in_use():
                raise ValueError(
                    _check.refusal(
                        "layers", f"{layer.name}, which another model built", "new layers"
                    )
                )
            self.variables += [(layer, variable) for variable in layer.variables(rows)]
            ops += layer.ops(rows)
        width = math.prod(self.shapes[-1])
        self.ops = ops or [OpSpec("activation", width, width)]
        for what, op_size, shape in (
            ("inputs", self.ops[0].inputs, self.shapes[0]),
            ("outputs", self.ops[-1].outputs, self.shapes[-1]),
        ):
            if op_size != math.prod(shape):
                got = f"ops of {op_size} {what} for rows of shape {shape}"
                raise ValueError(_check.refusal("layers", got, f"ops of {math.prod(shape)}"))
        self.is_flat = len(self.shapes[0]) == len(self.shapes[-1]) == 1
        self._offsets = [0]
        self._numbers: dict[int, list[int]] = {}
        for index, (layer, variable) in enumerate(self.variables):
            self._numbers.setdefault(id(layer), []).append(index)
            self._offsets.append(self._offsets[-1] + variable.size)
        self.size = self._offsets.pop()

    def allocate(self, fill: Fill) -> None:
        """Makes the flat vector and writes each variable into its part."""
        self._parameters = aligned_zeros(self.size, self.dtype)
        self.lock = _plan.ModelLock()
        for index, (_, variable) in enumerate(self.variables):
            fill(index, variable, self._view(index))

    def take_on(self, model: object) -> None:
        """Makes the layers' weights those here, which are then the model's."""
        self._owner = weakref.ref(model)
        for layer in self.layers:
            layer._built = self
        self.is_complete = True

    def is_in_use(self) -> bool:
        """Whether a model has it that still exists: a constructor may have been interrupted."""
        return self.is_complete and self._owner() is not None

    @property
    def parameters(self) -> np.ndarray:
        """The flat vector, live."""
        return self._parameters[:]

    @property
    def gradients(self) -> np.ndarray:
        """The flat vector of gradients, live; zeros at first, and allocated at its first use."""
        if "_gradients" not in vars(self):
            vars(self).setdefault("_gradients", aligned_zeros(self.size, self.dtype))
        return vars(self)["_gradients"][:]

    def _view(self, index: int) -> np.ndarray:
        """The variable of this number, live."""
        variable, offset = self.variables[index][1], self._offsets[index]
        return self._parameters[offset : offset + variable.size].reshape(variable.shape)

    def views_of(self, layer: Layer) -> Mapping[str, np.ndarray]:
        """The variables of one layer by their names, live."""
        numbers = self._numbers.get(id(layer), ())
        return {self.variables[index][1].name: self._view(index) for index in numbers}

    def weights(self) -> tuple[Weight, ...]:
        """All variables, live, each with its name."""
        named = []
        for index, (layer, variable) in enumerate(self.variables):
            weight = self._view(index).view(Weight)
            weight._name = f"{layer.name}/{variable.name}"
            named.append(weight)
        return tuple(named)


def shapes_of(layers: Sequence[Layer], input_shape: Shape) -> list[Shape]:
    """Shape of one row before each layer, and after the last."""
    shapes = [input_shape]
    for layer in layers:
        shapes.append(layer.output_shape(shapes[-1]))
    return shapes
