"""Warnings about networks that compute something else than they seem to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from fastweights import losses
from fastweights._rows import Rows, each
from fastweights._topology import Topology
from fastweights.layers import Dense, Flatten, Identity, Layer, Permute, Reshape
from fastweights.layers.convolution import Convolution
from fastweights.layers.ops import Shape
from fastweights.layers.windows import bring_channels_last

#: Activations whose output are probabilities.
_PROBABILITIES = ("softmax", "softmin", "sparsemax", "sigmoid", "hard_sigmoid")
#: Those that make the probabilities of a row add up to 1.
_SHARES = ("softmax", "softmin", "sparsemax")
#: Layers that make no other numbers.
_AS_THEY_ARE = (Flatten, Identity, Permute, Reshape)


def _activation_of(layer: Layer) -> str:
    activation = getattr(layer, "activation", None)
    return getattr(activation, "name", "linear")


def about_last_activation(layer: Layer | None, loss: losses.Loss) -> None:
    """Warns where a loss takes the output of the last layer for something else than it is."""
    if layer is None:
        return
    last = _activation_of(layer)
    from_logits = getattr(loss, "from_logits", None)
    if from_logits is None:
        return
    if from_logits and last in _PROBABILITIES:
        warnings.warn(
            f"loss: {loss.name} with from_logits=True takes the output of {layer.name!r} for "
            f"logits, but its activation {last} makes probabilities; leave one of the two out",
            stacklevel=3,
        )
    if not from_logits and last not in _PROBABILITIES:
        fitting = getattr(loss, "activation", "softmax")
        warnings.warn(
            f"loss: {loss.name} takes the output of {layer.name!r} for probabilities, but its "
            f"activation is {last}; end with activation={fitting!r}, or say from_logits=True to "
            "the loss",
            stacklevel=3,
        )


def about_layers(topology: Topology, shapes: Sequence[Shape]) -> None:
    """Warns of layers that hardly do what is meant with values of these shapes."""
    _about_single_units(topology, shapes)
    for layer, reads, _ in topology.calls:
        shape = shapes[reads[0]]
        if reads[0] < topology.inputs and _looks_channels_first(layer, shape):
            warnings.warn(
                f"x: rows of shape {shape} are images {shape[0]} high of {shape[2]} channels for "
                f"{layer.name!r}; if their channels come first, {bring_channels_last(shape)}",
                stacklevel=3,
            )


def _looks_channels_first(layer: Layer, shape: Shape) -> bool:
    """Whether rows seem to be (channels, height, width): of a square image, grey or in colours."""
    if not isinstance(layer, Convolution):
        return False
    if len(layer.kernel_size) != 2 or min(layer.kernel_size) == 1:
        return False
    channels, height, width = shape
    return channels in (1, 3) and height == width >= 16


def about_bytes(topology: Topology, rows: Rows) -> None:
    """Warns where whole numbers up to 255 are multiplied by weights as they are."""
    given = each(rows)
    raw = {i for i, x in enumerate(given) if x.dtype == np.uint8 and x.max() >= 128}
    for number, (layer, reads, _) in enumerate(topology.calls if raw else (), topology.inputs):
        if not raw.intersection(reads):
            continue
        if isinstance(layer, _AS_THEY_ARE):
            raw.add(number)
        elif isinstance(layer, (Dense, Convolution)):
            warnings.warn(
                f"x: bytes up to {max(given[i].max() for i in raw if i < len(given))} come to "
                f"{layer.name!r} as they are, which trains badly; layers.Rescaling(1 / 255) first",
                stacklevel=5,
            )


def _about_single_units(topology: Topology, shapes: Sequence[Shape]) -> None:
    """Warns of a softmax or its kin over one unit, which is 1 whatever goes in."""
    for (layer, *_), made in zip(topology.calls, topology.made(), strict=True):
        shape = shapes[made[0]]
        if (activation := _activation_of(layer)) in _SHARES and shape[-1] == 1:
            warnings.warn(
                f"layers: the {activation} of {layer.name!r} is over one unit and always 1; for "
                "two classes use sigmoid with binary_crossentropy, or two units",
                stacklevel=4,
            )
