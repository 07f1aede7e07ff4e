"""Models as JSON: which layers there are, and which of them reads what."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from fastweights import _check, _registry
from fastweights._tensors import row_shape
from fastweights._topology import Call, Topology, told_apart
from fastweights.layers import Layer
from fastweights.layers.ops import Shape


def distinct(argument: str, names: Sequence[str | None], stem: str) -> tuple[str, ...]:
    """The names, with one made of the stem for each that is None."""
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        repeated = next(name for name in given if given.count(name) > 1)
        raise ValueError(_check.refusal(argument, f"the name {repeated!r} twice", "different ones"))
    free = iter(told_apart([stem] * (len(names) - len(given)), given))
    return tuple(next(free) if name is None else name for name in names)


def described(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Class and config of each layer."""
    return [_registry.description_of(layer) for layer in layers]


def batch_size_in_config(topology: Topology) -> dict[str, int]:
    """What a description says of how many rows batches have: nothing where they have any number."""
    return {} if topology.batch_size is None else {"batch_size": topology.batch_size}


def _entries(argument: str, got: Any) -> Sequence[Any]:
    """The entries of a list in a description."""
    if not isinstance(got, (list, tuple)):
        raise TypeError(_check.refusal(argument, _check.shown(got), "a list"))
    return got


def layers_of(config: Any, custom_objects: Any = None) -> list[Layer]:
    """New layers like those that were `described`."""
    custom = _registry.custom_objects(custom_objects)
    stack = []
    for layer in _entries("layers", config):
        if not isinstance(layer, Mapping):
            expected = "class and arguments of a layer"
            raise TypeError(_check.refusal("layers", _check.shown(layer), expected))
        stack.append(_registry.made_of(layer, custom))
    return stack


def flags_entry(is_flags: bool) -> dict[str, str]:
    """What describes that an input takes 0 and 1 alone: nothing where it takes all."""
    return {"dtype": "bool"} if is_flags else {}


def is_flags_of(argument: str, got: Any) -> bool:
    """What `flags_entry` described, by its dtype or None."""
    if got is not None and got != "bool":
        raise ValueError(_check.refusal(argument, _check.shown(got), "'bool' or none"))
    return got is not None


def topology_of(
    config: Mapping[str, Any], stack: Sequence[Layer], batch_size: int | None
) -> tuple[Topology, list[tuple[str, Shape]]]:
    """Which of these layers reads what, and name and shape of each input."""
    entries = _entries("inputs", config["inputs"])
    inputs = [_input_of(entry) for entry in entries]
    flags = tuple(
        number
        for number, entry in enumerate(entries)
        if is_flags_of("dtype of an input", entry.get("dtype"))
    )
    if not inputs:
        raise ValueError(_check.refusal("inputs", "none", "at least one"))
    calls = []
    count = len(inputs)
    for entry in _entries("calls", config["calls"]):
        told = _entries("calls", entry)[2:] or [{}]
        if len(entry) < 2 or len(told) > 1 or not isinstance(told[0], Mapping):
            expected = "a layer's number, those of what it reads and, if there are any, settings"
            raise ValueError(_check.refusal("calls", _check.shown(entry), expected))
        layer = stack[_check.whole("calls", entry[0], 0, maximum=len(stack) - 1)]
        settings = layer._told(told[0])
        calls.append(Call(layer, _numbers("calls", entry[1], count), tuple(settings.items())))
        count += calls[-1].results
    given = config["outputs"]
    for key in given if isinstance(given, Mapping) else ():
        _check.name("key of outputs", key)
    outputs = _numbers(
        "outputs", list(given.values()) if isinstance(given, Mapping) else given, count
    )
    topology = Topology(len(inputs), tuple(calls), outputs, flags, batch_size)
    if len(topology.layers) < len(stack):
        raise ValueError(_check.refusal("calls", "none of some layers", "one of each at least"))
    needed = set(outputs).union(*(call.reads for call in calls))
    # Of what a call makes one value is enough.
    given_alone = (range(number, number + 1) for number in range(len(inputs)))
    parts = itertools.chain(given_alone, topology.made())
    if unread := [part[0] for part in parts if needed.isdisjoint(part)]:
        got = f"nothing that reads value {unread[0]}"
        raise ValueError(_check.refusal("calls", got, "calls of which the outputs are made"))
    return topology, inputs


def _input_of(entry: Any) -> tuple[str, Shape]:
    """Name and shape of an input."""
    if not isinstance(entry, Mapping) or set(entry) - {"dtype"} != {"name", "shape"}:
        raise TypeError(_check.refusal("inputs", _check.shown(entry), "name and shape of each"))
    return _check.name("name of an input", entry["name"]), row_shape("shape", entry["shape"])


def _numbers(argument: str, got: Any, below: int) -> tuple[int, ...]:
    """Numbers of values that are there already: nothing reads what is made of it."""
    numbers = _entries(argument, got)
    if not numbers:
        raise ValueError(_check.refusal(argument, "no values", "at least one"))
    return tuple(_check.whole(argument, number, 0, maximum=below - 1) for number in numbers)
