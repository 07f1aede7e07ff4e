"""Warnings about networks that compute something else than they seem to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from fastweights import losses
from fastweights.layers import Layer
from fastweights.layers.base import Shape

#: Activations whose output is no logits, and losses that expect some with `from_logits`.
_PROBABILITIES = ("softmax", "sigmoid")


def _activation_of(layer: Layer) -> str:
    activation = getattr(layer, "activation", None)
    return getattr(activation, "name", "linear")


def about_logits(layers: Sequence[Layer], loss: losses.Loss) -> None:
    """Warns where a loss takes for logits what an activation has made probabilities."""
    last = _activation_of(layers[-1])
    if getattr(loss, "from_logits", False) and last in _PROBABILITIES:
        warnings.warn(
            f"loss: {loss.name} with from_logits=True takes the output of {layers[-1].name!r} for "
            f"logits, but its activation {last} makes probabilities; leave one of the two out",
            stacklevel=3,
        )


def about_single_units(layers: Sequence[Layer], shapes: Sequence[Shape]) -> None:
    """Warns of a softmax over one unit, which is 1 whatever goes in."""
    for layer, shape in zip(layers, shapes, strict=True):
        if _activation_of(layer) == "softmax" and shape[-1] == 1:
            warnings.warn(
                f"layers: the softmax of {layer.name!r} is over one unit and always 1; for two "
                "classes use sigmoid with binary_crossentropy, or two units",
                stacklevel=3,
            )
