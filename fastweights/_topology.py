"""Which layer of a network reads what, and the shapes of all that they make."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastweights import _check
from fastweights._tensors import MAX_ROW_AXES, Making, Tensor
from fastweights.layers import Layer
from fastweights.layers.ops import Shape, Value, given

#: Numbers of a row at most: what any number of them takes can still be counted.
MAX_ROW = 2**40
#: Calls of layers in a network at most, and values that they read: what describes them may be
#: hostile, and each call takes a kilobyte.
MAX_CALLS, MAX_READS = 10_000, 100_000


def told_apart(names: Iterable[str], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """The names, each with _1, _2, ... behind it where it is taken already."""
    known, used, found = set(taken), Counter[str](), []
    for stem in names:
        name, number = stem, used[stem]
        while name in known:
            number += 1
            name = f"{stem}_{number}"
        used[stem] = number
        known.add(name)
        found.append(name)
    return tuple(found)


class Call(NamedTuple):
    """One use of a layer; values are counted: the inputs first, then what each call makes."""

    layer: Layer
    reads: tuple[int, ...]
    #: Names and values of what this call alone is told.
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def results(self) -> int:
        """How many values it makes."""
        got = self.layer.results(**dict(self.settings))
        return _check.whole(f"results of {type(self.layer).__name__}", got, 1, MAX_READS)


class Topology(NamedTuple):
    """Which layer reads what."""

    inputs: int
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    #: The inputs that take 0 and 1 alone.
    flags: tuple[int, ...] = ()
    #: How many rows each batch has, where that is fixed.
    batch_size: int | None = None

    @classmethod
    def chain(
        cls,
        layers: Sequence[Layer],
        flags: tuple[int, ...] = (),
        batch_size: int | None = None,
    ) -> Topology:
        """Each layer reads what the one before it made."""
        calls = tuple(Call(layer, (number,)) for number, layer in enumerate(layers))
        return cls(1, calls, (len(calls),), flags, batch_size)

    @classmethod
    def between(cls, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Topology:
        """All that makes the outputs of the inputs, in the order in which it was called."""
        given = {id(tensor): number for number, tensor in enumerate(inputs)}
        found: dict[int, Making] = {}
        waiting = list(outputs)
        while waiting:
            tensor = waiting.pop()
            made_by = tensor._made_by
            if id(tensor) in given or (made_by is not None and id(made_by) in found):
                continue
            if made_by is None:
                got = f"outputs that need {tensor!r}"
                raise ValueError(_check.refusal("inputs", got, "all inputs that they need"))
            found[id(made_by)] = made_by
            waiting += made_by.reads
        first: dict[int, int] = {}
        calls: list[Call] = []
        count = len(inputs)

        def number(tensor: Tensor) -> int:
            if id(tensor) in given:
                return given[id(tensor)]
            return first[id(tensor._made_by)] + tensor._place

        for making in sorted(found.values(), key=lambda making: making.number):
            reads = tuple(map(number, making.reads))
            calls.append(Call(making.layer, reads, tuple(making.settings.items())))
            first[id(making)] = count
            count += calls[-1].results
        flags = tuple(place for place, tensor in enumerate(inputs) if tensor._is_flags)
        sizes = {tensor._batch_size for tensor in inputs} - {None}
        if len(sizes) > 1:
            got = " and ".join(map(str, sorted(sizes, key=str)))
            raise ValueError(_check.refusal("batch_size", got, "the same one for all inputs"))
        batch_size = sizes.pop() if sizes else None
        return cls(len(inputs), tuple(calls), tuple(map(number, outputs)), flags, batch_size)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each once, in the order of their first calls."""
        return tuple({id(call.layer): call.layer for call in self.calls}.values())

    def made(self) -> Iterator[range]:
        """The numbers of the values that each call makes."""
        first = self.inputs
        for call in self.calls:
            yield range(first, first + call.results)
            first += call.results

    def makers(self) -> list[int | None]:
        """By which call each value is made; None for inputs."""
        made = enumerate(self.made())
        return [None] * self.inputs + [call for call, values in made for _ in values]

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads what the one before it made."""
        stack = [call.layer for call in self.calls]
        return self == Topology.chain(stack, self.flags, self.batch_size)

    @property
    def last_layers(self) -> tuple[Layer | None, ...]:
        """Which make the outputs; None for those that are inputs."""
        makers = self.makers()
        made = (makers[number] for number in self.outputs)
        return tuple(None if call is None else self.calls[call].layer for call in made)

    def unread_inputs(self) -> list[int]:
        """The numbers of those that no layer reads and that are no outputs."""
        needed = set(self.outputs).union(*(call.reads for call in self.calls))
        return [number for number in range(self.inputs) if number not in needed]

    def output_names(self, input_names: Sequence[str]) -> tuple[str, ...]:
        """The names of the layers that make them, or of inputs, told apart by numbers."""
        return told_apart(
            input_names[number] if layer is None else str(layer.name)
            for number, layer in zip(self.outputs, self.last_layers, strict=True)
        )

    def values(self, input_shapes: Sequence[Shape]) -> list[Value]:
        """All values of a network for rows of these shapes."""
        if not self.calls:
            raise ValueError(_check.refusal("layers", "none", "at least one layer"))
        read = sum(len(call.reads) for call in self.calls)
        if len(self.calls) > MAX_CALLS or read > MAX_READS:
            got = f"{len(self.calls):,} calls that read {read:,} values"
            expected = f"at most {MAX_CALLS:,} that read {MAX_READS:,}"
            raise ValueError(_check.refusal("layers", got, expected))
        if len(self.outputs) > MAX_CALLS:
            got = f"{len(self.outputs):,} of them"
            raise ValueError(_check.refusal("outputs", got, f"at most {MAX_CALLS:,}"))
        values = [given(shape) for shape in input_shapes]
        for value in values:
            _refuse_huge(value)
        for layer, reads, settings in self.calls:
            made = layer.results_of(*(values[number] for number in reads), **dict(settings))
            for value in made:
                _refuse_huge(value)
            values += made
        return values


def _refuse_huge(value: Value) -> None:
    if len(value.shape) > MAX_ROW_AXES:
        got, expected = f"rows of {len(value.shape)} axes", f"at most {MAX_ROW_AXES}"
        raise ValueError(_check.refusal("layers", got, expected))
    if math.prod(value.shape) > MAX_ROW:
        got = f"rows of {value.shape!s:.80}"
        raise ValueError(_check.refusal("layers", got, f"rows of at most {MAX_ROW:,} numbers"))
