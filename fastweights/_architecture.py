"""Models as JSON: which layers there are, and which of them reads what."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastweights import _check
from fastweights._building import Call, Topology
from fastweights._tensors import row_shape
from fastweights.layers import LAYERS, Layer
from fastweights.layers.ops import Shape


def distinct(argument: str, names: Sequence[str | None], stem: str) -> tuple[str, ...]:
    """The names, with one made of the stem for each that is None."""
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        repeated = next(name for name in given if given.count(name) > 1)
        raise ValueError(_check.refusal(argument, f"the name {repeated!r} twice", "different ones"))
    free = (name for name in _numbered(stem) if name not in given)
    return tuple(next(free) if name is None else name for name in names)


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    for number in itertools.count(1):
        yield f"{stem}_{number}"


def described(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Class and config of each layer."""
    return [
        {
            "class": type(layer).__name__,
            **layer.config(),
            **({} if layer.trainable else {"trainable": False}),
        }
        for layer in layers
    ]


def layers_of(config: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """New layers like those that were `described`."""
    stack = []
    for layer in config:
        arguments = dict(layer)
        name = arguments.pop("class", None)
        stack.append(_check.choice("layer class", name, LAYERS)(**arguments))
    return stack


def topology_of(
    config: Mapping[str, Any], stack: Sequence[Layer]
) -> tuple[Topology, list[tuple[str, Shape]]]:
    """Which of these layers reads what, and name and shape of each input."""
    inputs = [(entry["name"], row_shape("shape", entry["shape"])) for entry in config["inputs"]]
    calls = []
    for number, (layer, reads) in enumerate(config["calls"], start=len(inputs)):
        _check.whole("calls", layer, 0, maximum=len(stack) - 1)
        calls.append(
            Call(
                stack[layer],
                tuple(_check.whole("calls", read, 0, maximum=number - 1) for read in reads),
            )
        )
    last = len(inputs) + len(calls) - 1
    outputs = tuple(_check.whole("outputs", made, 0, maximum=last) for made in config["outputs"])
    topology = Topology(len(inputs), tuple(calls), outputs)
    if len(outputs) != 1 or not calls or len(topology.layers) != len(stack):
        raise ValueError(_check.refusal("config", "layers without calls", "one output of all"))
    return topology, inputs
