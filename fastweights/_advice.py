"""Warnings about networks that compute something else than they seem to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from fastweights import losses
from fastweights._topology import Topology
from fastweights.layers import Layer
from fastweights.layers.ops import Shape

#: Activations whose output are probabilities.
_PROBABILITIES = ("softmax", "softmin", "sparsemax", "sigmoid", "hard_sigmoid")
#: Those that make the probabilities of a row add up to 1.
_SHARES = ("softmax", "softmin", "sparsemax")


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


def about_single_units(topology: Topology, shapes: Sequence[Shape]) -> None:
    """Warns of a softmax or its kin over one unit, which is 1 whatever goes in."""
    for (layer, *_), made in zip(topology.calls, topology.made(), strict=True):
        shape = shapes[made[0]]
        if (activation := _activation_of(layer)) in _SHARES and shape[-1] == 1:
            warnings.warn(
                f"layers: the {activation} of {layer.name!r} is over one unit and always 1; for "
                "two classes use sigmoid with binary_crossentropy, or two units",
                stacklevel=3,
            )
