"""A model's layers laid over one flat vector of parameters.

# Design: all that follows from the layers and the shape of their input is made apart from the model
# and then taken on by one assignment, so a build that is interrupted or fails has changed nothing.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from fastweights import _check, _dispatch
from fastweights._core import arrays, philox
from fastweights._core import plan as _plan
from fastweights._rows import Gradients
from fastweights._topology import Topology
from fastweights.constraints import Constraint
from fastweights.initializers import Initializer
from fastweights.layers import Layer
from fastweights.layers.base import Variable
from fastweights.layers.ops import READ_INTEGERS, Op, OpSpec, Shape, Value, may_share, op
from fastweights.regularizers import Matrix, Penalty

#: Ops that put the numbers they read elsewhere and change none.
_MOVE = ("swap", "repeat", "concatenate")

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
        cast("Initializer", variable.initializer).fill(
            view, seed, philox.STREAM_INIT + index, variable.fan_in, variable.fan_out
        )

    return fill


def _laid_out(
    parts: list[tuple[Layer, Variable]], offsets: list[int], layer: Layer, own: Sequence[Variable]
) -> range:
    """Puts a layer's variables behind all others, and returns where they are."""
    first = len(parts)
    for variable in own:
        parts.append((layer, variable))
        offsets.append(offsets[-1] + variable.size)
    return range(first, len(parts))


class Bound(NamedTuple):
    """What a step leaves of weights at `begin`: groups of `along` of them, `inner` apart."""

    begin: int
    groups: int
    along: int
    inner: int
    kernel: str
    numbers: tuple[float, ...]


class Kept(NamedTuple):
    """What keeps weights in check, by where they lie in the flat vector."""

    penalties: list[Penalty]
    matrices: list[Matrix]
    bounds: list[Bound]


def _bound(begin: int, count: int, shape: Shape, constraint: Constraint) -> Bound:
    """That of so many arrays of this shape, one after the other."""
    groups, along, inner = constraint.groups("constraint", shape)
    return Bound(begin, count * groups, along, inner, constraint.kernel, constraint.numbers)


class Built:
    """What layers are for rows of some shape: shapes, variables, ops; once allocated, numbers.

    Attributes
    ----------
    layers : tuple of Layer
        Each once, in the order of their first calls.
    shapes : list of tuple
        Of one row of each value.
    output_shapes : tuple of tuple
        Of one row of each output.
    variables : list of (Layer, Variable)
        In the order in which they lie in the flat vector.
    ops : list of OpSpec
    batch_rows : int
        How many rows each batch has, where layers remember states of its rows; 0: any number.
    limits : tuple
        For each input the number that its whole numbers are below, None where it is reals.
    masks : frozenset of int
        The inputs that take 0 and 1 alone, as those that say what counts and what does not.
    are_masked : list of bool
        Of each value, whether it has a mask.

    Parameters
    ----------
    topology, input_shapes, dtype
    """

    def __init__(
        self,
        topology: Topology,
        input_shapes: Sequence[Shape],
        dtype: np.dtype,
    ) -> None:
        self.topology, self.input_shapes, self.dtype = topology, tuple(input_shapes), dtype
        values = topology.values(input_shapes)
        self.shapes = [value.shape for value in values]
        self.are_masked = [value.mask is not None for value in values]
        self.layers = topology.layers
        self.output_shapes = tuple(self.shapes[number] for number in topology.outputs)
        #: Whether rows and outputs are vectors, of any reals.
        self.is_flat = not topology.flags and all(
            len(shape) == 1 for shape in (self.shapes[0], *self.output_shapes)
        )
        self.variables: list[tuple[Layer, Variable]] = []
        self._offsets = [0]
        #: What layers remember, in the order in which it lies in the flat vector of states.
        self.states: list[tuple[Layer, Variable]] = []
        self._state_offsets = [0]
        #: Where each layer's are among all variables, and among all states.
        self._places: dict[int, tuple[range, range]] = {}
        for layer, reads, _ in topology.calls:
            self._number(layer, [self.shapes[number] for number in reads])
        #: All variables, then all states: their places are their numbers.
        self.owned = [*self.variables, *self.states]
        has_rows = any(state.of_rows for _, state in self.states)
        self.batch_rows = (topology.batch_size or 0) if has_rows else 0
        self.size, self.state_size = self._offsets.pop(), self._state_offsets.pop()
        self._op_layers: list[Layer] = []
        #: Which make the outputs.
        self.output_ops: list[int] = []
        #: Which say what steps of them count, and for rows of what shape; None: all do.
        self.output_masks: list[tuple[int, Shape] | None] = []
        #: The kind of op that works with each variable and state, and all that this one works with.
        self._users: dict[tuple[str, int], tuple[str | None, range]] = {}
        self.ops = self._linked(values)
        self._expect_suited()
        self.limits = self._limits()

    def kept_in_check(self) -> Kept:
        """What parameters of trained layers cost, and what steps leave of them."""
        kept = Kept([], [], [])
        for number, (layer, variable) in enumerate(self.variables):
            if not layer.trainable:
                continue
            begin, shape = self._offsets[number], variable.own_shape
            count = math.prod(variable.shape[: variable.apart])
            if (regularizer := variable.regularizer) is not None:
                kept.penalties.extend(regularizer.penalties(begin, variable.size))
                for at in range(begin, begin + variable.size, variable.size // count):
                    kept.matrices.extend(regularizer.matrices(at, shape))
            if variable.constraint is not None:
                kept.bounds.append(_bound(begin, count, shape, variable.constraint))
        return kept

    @property
    def op_layers(self) -> tuple[Layer, ...]:
        """The layer of each op."""
        return tuple(self._op_layers)

    @property
    def trained(self) -> tuple[bool, ...]:
        """Which ops' parameters are to move."""
        return tuple([layer._trainable for layer in self._op_layers])

    def _number(self, layer: Layer, reads: Sequence[Shape]) -> None:
        """Gives what a layer has its places at the first call, which the others must suit."""
        if layer._input_row not in (None, reads[0]):
            got = f"{layer._input_row} for {layer.name!r}"
            raise ValueError(_check.refusal("input_shape", got, f"{reads[0]}, which it reads"))
        variables, states = (layer._declared(of, reads) for of in ("variables", "states"))
        for variable in variables:
            variable.refuse_unkept()
        states = [self._of_all_rows(layer, state) for state in states]
        if id(layer) not in self._places:
            self._places[id(layer)] = (
                _laid_out(self.variables, self._offsets, layer, variables),
                _laid_out(self.states, self._state_offsets, layer, states),
            )
            return
        places, remembered = self._places[id(layer)]
        own = [self.variables[place][1] for place in places]
        own += [self.states[place][1] for place in remembered]
        if [(v.name, v.shape) for v in (*variables, *states)] != [(v.name, v.shape) for v in own]:
            got = f"rows of {', '.join(map(str, reads))} for {layer.name!r}"
            expected = "rows that its weights fit, as those of its first call"
            raise ValueError(_check.refusal("layers", got, expected))

    def _of_all_rows(self, layer: Layer, state: Variable) -> Variable:
        """A state as it lies in the flat vector: one of rows has those of a batch."""
        if not state.of_rows:
            return state
        rows, argument = self.topology.batch_size, f"stateful of {layer.name!r}"
        if rows is None:
            got = "True, in a model whose batches have any number of rows"
            expected = "fw.Input(shape, batch_size=...), in a Sequential as its first entry"
            raise ValueError(_check.refusal(argument, got, expected))
        if id(layer) in self._places:
            expected = "True for a layer that is called once, since each call has states of its own"
            raise ValueError(_check.refusal(argument, "two calls", expected))
        return state._replace(shape=(rows, *state.shape))

    def _linked(self, values: Sequence[Value]) -> list[OpSpec]:
        """The ops in an order in which they can run, each with the numbers of what it reads."""
        inputs = values[: self.topology.inputs]
        numbers = {id(value.op): number for number, value in enumerate(inputs)}
        ops: list[OpSpec] = []

        needed = {read for call in self.topology.calls for read in call.reads}
        needed.update(self.topology.outputs)
        made_by = zip(self.topology.calls, self.topology.made(), strict=True)
        for call, place in ((call, number) for call, made in made_by for number in made):
            value = values[place]
            waiting = [value.op] if place in needed else []
            if value.mask is not None and place in self.topology.outputs:
                waiting.append(value.mask.op)
            while waiting:
                unlinked = waiting[-1]
                first = [read for read in unlinked.reads if id(read) not in numbers]
                if first or id(waiting.pop()) in numbers:
                    waiting += first
                    continue
                reads = tuple(numbers[id(read)] for read in unlinked.reads)
                numbers[id(unlinked)] = len(inputs) + len(ops)
                ops.append(self._spec(call.layer, unlinked, reads))
                self._op_layers.append(call.layer)
        made = Counter(numbers[id(values[place].op)] for place in self.topology.outputs)
        taken = {read for spec in ops for read in spec.reads}.union(range(len(inputs)))
        taken.update(number for number, times in made.items() if times > 1)
        for place in self.topology.outputs:
            number = numbers[id(values[place].op)]
            if number in taken:
                # An input, or a value that others read: an op that nobody reads is to make it.
                number = self._given_on(ops, values[place], number)
            taken.add(number)
            self.output_ops.append(number - len(inputs))
        for place in self.topology.outputs:
            mask = values[place].mask
            if mask is None:
                self.output_masks.append(None)
                continue
            number = numbers[id(mask.op)]
            if number < len(inputs):
                number = self._given_on(ops, mask, number)
            self.output_masks.append((number - len(inputs), mask.shape))
        self._refuse_unread(ops)
        told = {id(value.mask.op) for value in values if value.mask is not None}
        self.masks = self._masks(ops, [numbers[made] for made in told if made in numbers])
        return ops

    def _masks(self, ops: Sequence[OpSpec], told: Sequence[int]) -> frozenset[int]:
        """The inputs that are masks: `told` to be those of values, or read as such by attention."""
        first = self.topology.inputs
        waiting = [*told, *self.topology.flags]
        for spec in ops:
            if spec.kind == "attention":
                waiting += spec.reads[3:]
        found: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                if number >= first and ops[number - first].kind in _MOVE:
                    waiting += ops[number - first].reads
        return frozenset(number for number in found if number < first)

    def _given_on(self, ops: list[OpSpec], value: Value, number: int) -> int:
        """The number of one more op, which makes the same value."""
        ops.append(self._spec(self.layers[0], op("activation", value).op, (number,)))
        self._op_layers.append(self.layers[0])
        return self.topology.inputs + len(ops) - 1

    def _refuse_unread(self, ops: Sequence[OpSpec]) -> None:
        """Raises ValueError where no op reads an input, though a layer is called on it."""
        unread = set(range(self.topology.inputs)).difference(*(spec.reads for spec in ops))
        for layer, reads, _ in self.topology.calls:
            for place, number in enumerate(reads):
                if number in unread:
                    got = f"number {place}, of rows of {self.shapes[number]}, that no op reads"
                    expected = "what its ops read"
                    raise ValueError(_check.refusal(f"inputs of {layer.name!r}", got, expected))

    def _limits(self) -> tuple[int | None, ...]:
        """Below what the whole numbers of each input are, which all that reads them must know."""
        limits: dict[int, int | None] = {}
        first: dict[int, Layer] = {}
        for layer, spec in zip(self._op_layers, self.ops, strict=True):
            limit = spec.sizes[0] if spec.kind in READ_INTEGERS else None
            for number in spec.reads:
                known = limits.setdefault(number, limit)
                one = first.setdefault(number, layer)
                if limit is not None and number >= self.topology.inputs:
                    got = "what a layer made"
                    expected = "an fw.Input, for whole numbers"
                    raise ValueError(_check.refusal(f"inputs of {layer.name!r}", got, expected))
                if (known is None) != (limit is None):
                    whole, real = (layer, one) if known is None else (one, layer)
                    got = f"one of whole numbers for {whole.name!r} that {real.name!r} reads"
                    raise ValueError(_check.refusal("inputs", got, "an fw.Input for each of them"))
                if known is not None and limit is not None:
                    limits[number] = min(known, limit)
        return tuple(limits[number] for number in range(self.topology.inputs))

    def _spec(self, layer: Layer, unlinked: Op, reads: tuple[int, ...]) -> OpSpec:
        places, remembered = self._places[id(layer)]
        used = self._run(layer, unlinked, "variables", self.variables, places)
        held = self._run(layer, unlinked, "states", self.states, remembered)
        for option in unlinked.options:
            limits = np.finfo(self.dtype)
            largest, least = float(limits.max), float(limits.smallest_normal)
            size = abs(option)
            if math.isfinite(size) and (size > largest or 0.0 < size < least):
                got = f"{option:g} for {layer.name!r}"
                raise ValueError(_check.refusal("layers", got, f"numbers of {self.dtype}"))
        return OpSpec(
            str(unlinked.kind),
            reads,
            unlinked.outputs,
            unlinked.lines,
            self._offsets[used[0]] if used else 0,
            tuple([self.variables[number][1].size for number in used]),
            unlinked.sizes,
            unlinked.options,
            unlinked.activation,
            sum(self.states[number][1].size for number in held),
            self._state_offsets[held[0]] if held else 0,
            unlinked.calls,
            self.batch_rows if any(self.states[number][1].of_rows for number in held) else 0,
            unlinked.schedule,
        )

    def _run(
        self,
        layer: Layer,
        unlinked: Op,
        which: str,
        owned: Sequence[tuple[Layer, Variable]],
        places: range,
    ) -> range:
        """Which variables or states of its layer an op works with: it has them, or shares all."""
        names: tuple[str, ...] = getattr(unlinked, which)
        if not names:
            return range(0)
        argument, known = f"ops of {layer.name!r}", [owned[place][1].name for place in places]
        first = places[known.index(names[0])] if names[0] in known else 0
        run = range(first, first + len(names))
        if list(names) != [owned[place][1].name for place in run if place in places]:
            got = f"{which} {list(names)} of an op {unlinked.kind!r}"
            raise ValueError(
                _check.refusal(argument, got, f"some that follow each other in {known}")
            )
        for place in run:
            kind, others = self._users.setdefault((which, place), (unlinked.kind, run))
            if others != run or not may_share(kind, unlinked.kind):
                before = [owned[other][1].name for other in others]
                got = (
                    f"{which} {list(names)} of an op {unlinked.kind!r} beside {before} of {kind!r}"
                )
                expected = "ops of one kind where they share any, and all of them"
                raise ValueError(_check.refusal(argument, got, expected))
        return run

    def _expect_suited(self) -> None:
        """Raises ValueError for an op that is not of its kind, which a plan might leave out."""
        if max(self.size, self.state_size) > sys.maxsize:
            return  # for which there is no memory
        inputs = [math.prod(shape) for shape in self.input_shapes]
        found = _plan.first_unsuited(_dispatch.kernels(self.dtype).table, self.ops, inputs)
        if found is not None:
            spec, layer = self.ops[found[0]], self._op_layers[found[0]]
            made = f"{spec.lines} lines of {spec.outputs}" if spec.lines > 1 else f"{spec.outputs}"
            got = f"an op {spec.kind!r} that makes {made} numbers, of sizes {spec.sizes}"
            if spec.variables or spec.states:
                got += f", {sum(spec.variables)} parameters and {spec.states} numbers of state"
            raise ValueError(_check.refusal(f"ops of {layer.name!r}", got, found[1]))

    def description_of(self, layer: Layer) -> tuple[list[OpSpec], list[Variable]]:
        """All that a plan, and those who draw and keep weights, know of a layer."""
        ops = [
            spec._replace(calls=None)
            for spec, owner in zip(self.ops, self._op_layers, strict=True)
            if owner is layer
        ]
        return ops, [self.owned[number][1] for number in self.numbers_of(layer)]

    def allocate(self, fill: Fill) -> None:
        """Makes the flat vector and writes each variable into its part."""
        #: Where its own vectors begin in those that were allocated.
        self.begins = (0, 0)
        self._parameters = aligned_zeros(self.size, self.dtype)
        self._state = aligned_zeros(self.state_size, self.dtype)
        self.lock = _plan.ModelLock()
        for number, (layer, variable) in enumerate(self.owned):
            view = self._view(number)
            fill(number, variable, view)
            if not variable.of_rows:
                variable.check(f"{layer.name}/{variable.name}", view)

    def be_window(self, whole: Built, begin: int, state_begin: int) -> None:
        """Has its vectors in those of another one, from these places on."""
        first, state_first = whole.begins
        self.begins, self.lock = (first + begin, state_first + state_begin), whole.lock
        self._parameters = whole.parameters[begin : begin + self.size]
        self._state = whole.state[state_begin : state_begin + self.state_size]

    def offsets_in(self, whole: Built, of_states: bool = False) -> list[tuple[int, int]]:
        """Where each variable, or state, is here and there."""
        found = []
        for layer in self.layers:
            for here, there in zip(
                self._places[id(layer)][of_states], whole._places[id(layer)][of_states], strict=True
            ):
                offsets = (
                    (self._state_offsets, whole._state_offsets)
                    if of_states
                    else (self._offsets, whole._offsets)
                )
                found.append((offsets[0][here], offsets[1][there]))
        return found

    def input_gradients(self, rows: int) -> Gradients:
        """Room for those by each input; None where it is whole numbers."""
        room = tuple(
            np.empty((rows, *shape), self.dtype) if limit is None else None
            for shape, limit in zip(self.input_shapes, self.limits, strict=True)
        )
        return room if len(room) > 1 else room[0]

    def has(self, layer: Layer) -> bool:
        """Whether the layer is one of these."""
        return id(layer) in self._places

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

    def has_finite_numbers(self) -> bool:
        """Whether all parameters are finite, and what layers remember."""
        is_finite = self.lock.hold(arrays.finite, self._parameters)
        return is_finite and (not self.state_size or self.lock.hold(arrays.finite, self._state))

    def numbers_of(self, layer: Layer) -> list[int]:
        """Of a layer's variables, then of its states."""
        places, remembered = self._places.get(id(layer), (range(0), range(0)))
        return [*places, *(len(self.variables) + place for place in remembered)]

    def weights_of(self, layer: Layer) -> list[int]:
        """The same, without states of rows: what was read, and not what was learnt."""
        return [number for number in self.numbers_of(layer) if not self.owned[number][1].of_rows]

    def in_order(self) -> list[int]:
        """The numbers of all weights, layer by layer."""
        return [number for layer in self.layers for number in self.weights_of(layer)]

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
        return self._views(self.numbers_of(layer))

    def views_of_weights(self, layer: Layer) -> Mapping[str, np.ndarray]:
        """The same, without states of rows."""
        return self._views(self.weights_of(layer))

    def _views(self, numbers: Sequence[int]) -> Mapping[str, np.ndarray]:
        return {self.owned[number][1].name: self._view(number) for number in numbers}

    def forget_rows(self, layer: Layer) -> None:
        """Has the rows of the next batch begin anew for a layer that remembers states of them."""
        numbers = set(self.numbers_of(layer)).difference(self.weights_of(layer))
        views = tuple(self._view(number) for number in sorted(numbers))
        if views:
            self.lock.copy(views, tuple(np.zeros_like(view) for view in views))

    def copies(self, layer: Layer | None = None) -> list[np.ndarray]:
        """Copies of the weights of a layer, or of all, in order and of one moment."""
        numbers = self.in_order() if layer is None else self.weights_of(layer)
        return list(self.lock.room_for(map(self._view, numbers)).keep())

    def write(self, weights: Any, layer: Layer | None = None) -> None:
        """Writes the weights of a layer, or all, in order; none unless all of them fit."""
        if not isinstance(weights, Sequence):
            raise TypeError(_check.refusal("weights", type(weights).__name__, "a list of arrays"))
        numbers = self.in_order() if layer is None else self.weights_of(layer)
        if len(weights) != len(numbers):
            raise ValueError(_check.refusal("weights", f"{len(weights)} arrays", f"{len(numbers)}"))
        self.write_some(numbers, weights)

    def write_some(self, numbers: Sequence[int], weights: Sequence[Any]) -> None:
        """Writes the variables and states of these numbers; none unless all of them fit."""
        checked = []
        for number, weight in zip(numbers, weights, strict=True):
            owner, variable = self.owned[number]
            name = f"{owner.name}/{variable.name}"
            array = _check.numeric_array(name, weight)
            if array.shape != variable.shape:
                got, expected = f"shape {array.shape}", f"shape {variable.shape}"
                raise ValueError(_check.refusal(name, got, expected))
            reals = _check.reals(name, array, self.dtype).copy()
            variable.check(name, reals)
            checked.append(reals)
        self.lock.copy(tuple(self._view(number) for number in numbers), tuple(checked))

    def places(self) -> list[tuple[str, int, int]]:
        """Of each variable its name, where it begins in the flat vector, and its size."""
        return [
            (f"{layer.name}/{variable.name}", self._offsets[number], variable.size)
            for number, (layer, variable) in enumerate(self.variables)
        ]

    def moving_weights(self) -> tuple[Weight, ...]:
        """Those that are trained."""
        moving = (number for number, (layer, _) in enumerate(self.variables) if layer.trainable)
        return tuple(self._named(number) for number in moving)

    def weights(self) -> tuple[Weight, ...]:
        """All weights, live, layer by layer, each with its name."""
        return tuple(self._named(number) for number in self.in_order())

    def _named(self, number: int) -> Weight:
        layer, variable = self.owned[number]
        weight = self._view(number).view(Weight)
        weight._name = f"{layer.name}/{variable.name}"
        return weight
