"""A model's layers laid over one flat vector of parameters.

# Design: all that follows from the layers and the shape of their input is made apart from the model
# and then taken on by one assignment, so a build that is interrupted or fails has changed nothing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from fastweights import _check
from fastweights._core import philox
from fastweights._core import plan as _plan
from fastweights._tensors import Tensor
from fastweights.layers import Layer
from fastweights.layers.base import Variable
from fastweights.layers.ops import Op, OpSpec, Shape, Value, given, op

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


class Call(NamedTuple):
    """One use of a layer; values are counted: the inputs first, then what each call makes."""

    layer: Layer
    reads: tuple[int, ...]


class Topology(NamedTuple):
    """Which layer reads what."""

    inputs: int
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]

    @classmethod
    def chain(cls, layers: Sequence[Layer]) -> Topology:
        """Each layer reads what the one before it made."""
        calls = tuple(Call(layer, (number,)) for number, layer in enumerate(layers))
        return cls(1, calls, (len(calls),))

    @classmethod
    def between(cls, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Topology:
        """All that makes the outputs of the inputs, in the order in which it was called."""
        numbers = {id(tensor): number for number, tensor in enumerate(inputs)}
        found: dict[int, Tensor] = {}
        waiting = list(outputs)
        while waiting:
            tensor = waiting.pop()
            if id(tensor) in numbers or id(tensor) in found:
                continue
            if tensor._layer is None:
                got = f"outputs that need {tensor!r}"
                raise ValueError(_check.refusal("inputs", got, "all inputs that they need"))
            found[id(tensor)] = tensor
            waiting += tensor._reads
        calls: list[Call] = []
        for tensor in sorted(found.values(), key=lambda tensor: tensor._number):
            numbers[id(tensor)] = len(inputs) + len(calls)
            reads = tuple(numbers[id(read)] for read in tensor._reads)
            calls.append(Call(cast("Layer", tensor._layer), reads))
        return cls(len(inputs), tuple(calls), tuple(numbers[id(tensor)] for tensor in outputs))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each once, in the order of their first calls."""
        return tuple({id(call.layer): call.layer for call in self.calls}.values())

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads what the one before it made."""
        return self == Topology.chain([call.layer for call in self.calls])

    @property
    def last_layer(self) -> Layer | None:
        """Which makes the first output; None where that is an input."""
        number = self.outputs[0] - self.inputs
        return self.calls[number].layer if number >= 0 else None

    def values(self, input_shapes: Sequence[Shape]) -> list[Value]:
        """All values of a network for rows of these shapes."""
        values = [given(shape) for shape in input_shapes]
        for layer, reads in self.calls:
            values.append(layer.ops(*(values[number] for number in reads)))
        return values


class Built:
    """What layers are for rows of some shape: shapes, variables, ops; once allocated, numbers.

    Attributes
    ----------
    layers : tuple of Layer
        Each once, in the order of their first calls.
    shapes : list of tuple
        Of one row of each value.
    variables : list of (Layer, Variable)
        In the order in which they lie in the flat vector.
    ops : list of OpSpec
    is_complete : bool
        Whether a model has taken it on: then the layers' weights are here.
    """

    def __init__(self, topology: Topology, input_shapes: Sequence[Shape], dtype: np.dtype) -> None:
        self.topology, self.input_shapes, self.dtype = topology, tuple(input_shapes), dtype
        self.is_complete = False
        self.values = topology.values(input_shapes)
        self.shapes = [value.shape for value in self.values]
        for shape in self.shapes:
            if math.prod(shape) > MAX_ROW:
                raise ValueError(_check.refusal("layers", f"rows of {shape}", f"{MAX_ROW} numbers"))
        self.layers = topology.layers
        for layer in self.layers:
            if layer._built is not None and layer._built.is_in_use():
                raise ValueError(
                    _check.refusal(
                        "layers", f"{layer.name}, which another model built", "new layers"
                    )
                )
        self.is_flat = len(self.shapes[0]) == len(self.output_shape) == 1
        self.variables: list[tuple[Layer, Variable]] = []
        self._offsets = [0]
        self._numbers: dict[int, list[int]] = {}
        #: What layers remember, in the order in which it lies in the flat vector of states.
        self.states: list[tuple[Layer, Variable]] = []
        self._state_offsets = [0]
        for layer, reads in topology.calls:
            if id(layer) not in self._numbers:
                shapes = [self.shapes[number] for number in reads]
                self._number(layer, layer.variables(*shapes))
                for state in layer.states(*shapes):
                    self.states.append((layer, state))
                    self._state_offsets.append(self._state_offsets[-1] + state.size)
        self.size, self.state_size = self._offsets.pop(), self._state_offsets.pop()
        self._op_layers: list[Layer] = []
        self.ops = self._linked()
        self.note_trained()

    def penalties(self) -> list[tuple[int, int, float, float]]:
        """Where the flat vector has parameters of trained layers that cost something, and what."""
        found = []
        for number, (layer, variable) in enumerate(self.variables):
            regularizer, begin = variable.regularizer, self._offsets[number]
            if regularizer is not None and layer.trainable:
                found.append((begin, begin + variable.size, regularizer.l1, regularizer.l2))
        return found

    def note_trained(self) -> None:
        """Sees which ops' parameters are to move: `trained`, another tuple if they are others."""
        trained = tuple(layer.trainable for layer in self._op_layers)
        if trained != getattr(self, "trained", None):
            self.trained = trained

    def _number(self, layer: Layer, variables: Sequence[Variable]) -> None:
        self._numbers[id(layer)] = []
        for variable in variables:
            self._numbers[id(layer)].append(len(self.variables))
            self.variables.append((layer, variable))
            self._offsets.append(self._offsets[-1] + variable.size)

    def _linked(self) -> list[OpSpec]:
        """The ops in an order in which they can run, each with the numbers of what it reads."""
        inputs = self.values[: self.topology.inputs]
        numbers = {id(value.op): number for number, value in enumerate(inputs)}
        ops: list[OpSpec] = []

        def link(layer: Layer, unlinked: Op) -> None:
            if id(unlinked) in numbers:
                return
            for read in unlinked.reads:
                link(layer, read)
            reads = tuple(numbers[id(read)] for read in unlinked.reads)
            numbers[id(unlinked)] = len(inputs) + len(ops)
            ops.append(self._spec(layer, unlinked, reads))
            self._op_layers.append(layer)

        for call, value in zip(self.topology.calls, self.values[len(inputs) :], strict=True):
            link(call.layer, value.op)
        last = numbers[id(self.values[self.topology.outputs[0]].op)]
        if not ops or last != len(inputs) + len(ops) - 1:
            # The output is an input, or others read it later: the last op is to make it.
            output = self.values[self.topology.outputs[0]]
            same = op("activation", output)
            ops.append(self._spec(self.layers[0], same.op, (last,)))
            self._op_layers.append(self.layers[0])
        return ops

    def _spec(self, layer: Layer, unlinked: Op, reads: tuple[int, ...]) -> OpSpec:
        own = {self.variables[number][1].name: number for number in self._numbers[id(layer)]}
        used = [own[name] for name in unlinked.variables]
        if used != list(range(used[0], used[0] + len(used)) if used else ()):
            got = f"variables {list(unlinked.variables)} of {layer.name}"
            raise ValueError(
                _check.refusal("op", got, f"some that follow each other in {list(own)}")
            )
        held = [
            number
            for number, (owner, state) in enumerate(self.states)
            if owner is layer and state.name in unlinked.states
        ]
        return OpSpec(
            str(unlinked.kind),
            reads,
            unlinked.outputs,
            unlinked.lines,
            self._offsets[used[0]] if used else 0,
            tuple(self.variables[number][1].size for number in used),
            unlinked.sizes,
            unlinked.options,
            unlinked.activation,
            sum(self.states[number][1].size for number in held),
            self._state_offsets[held[0]] if held else 0,
        )

    @property
    def input_shape(self) -> Shape:
        """Of the first input."""
        return self.input_shapes[0]

    @property
    def output_shape(self) -> Shape:
        """Of the first output."""
        return self.shapes[self.topology.outputs[0]]

    def allocate(self, fill: Fill) -> None:
        """Makes the flat vector and writes each variable into its part."""
        self._parameters = aligned_zeros(self.size, self.dtype)
        self._state = aligned_zeros(self.state_size, self.dtype)
        self.lock = _plan.ModelLock()
        for number, (_, variable) in enumerate(self.owned):
            fill(number, variable, self._view(number))

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

    @property
    def state(self) -> np.ndarray:
        """The flat vector of what layers remember, live."""
        return self._state[:]

    @property
    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and state, live."""
        return self.parameters, self.state

    @property
    def owned(self) -> list[tuple[Layer, Variable]]:
        """All variables, then all states: their places are their numbers."""
        return [*self.variables, *self.states]

    def numbers_of(self, layer: Layer) -> list[int]:
        """Of a layer's variables, then of its states."""
        return [number for number, (owner, _) in enumerate(self.owned) if owner is layer]

    def in_order(self) -> list[int]:
        """All numbers, layer by layer."""
        return [number for layer in self.layers for number in self.numbers_of(layer)]

    def part(self, number: int, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """Of vectors like parameters and state what the variable of this number has there."""
        count = len(self.variables)
        offset = self._offsets[number] if number < count else self._state_offsets[number - count]
        variable = self.owned[number][1]
        return vectors[number >= count][offset : offset + variable.size].reshape(variable.shape)

    def _view(self, number: int) -> np.ndarray:
        return self.part(number, self.vectors)

    def views_of(self, layer: Layer) -> Mapping[str, np.ndarray]:
        """The variables of one layer by their names, live, then what it remembers."""
        numbers = self.numbers_of(layer)
        return {self.owned[number][1].name: self._view(number) for number in numbers}

    def weights_by_layer(self) -> dict[int, Mapping[str, np.ndarray]]:
        """Copies of the variables of each layer, by the layer's identity."""
        return {
            id(layer): {name: view.copy() for name, view in self.views_of(layer).items()}
            for layer in self.layers
        }

    def moving_weights(self) -> tuple[Weight, ...]:
        """Those that are trained."""
        moving = (number for number, (layer, _) in enumerate(self.variables) if layer.trainable)
        return tuple(self._named(number) for number in moving)

    def weights(self) -> tuple[Weight, ...]:
        """All variables and states, live, layer by layer, each with its name."""
        return tuple(self._named(number) for number in self.in_order())

    def _named(self, number: int) -> Weight:
        layer, variable = self.owned[number]
        weight = self._view(number).view(Weight)
        weight._name = f"{layer.name}/{variable.name}"
        return weight
