"""Warnings about networks that compute something else than they seem to."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastweights import losses
from fastweights._registry import is_of_library
from fastweights._rows import Rows, each
from fastweights._topology import Topology
from fastweights.layers import (
    CenterCrop,
    Dense,
    Flatten,
    GlobalAveragePooling1D,
    Identity,
    Layer,
    Permute,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    Rescaling,
    Reshape,
    ReversibleEmbedding,
)
from fastweights.layers.convolution import Convolution
from fastweights.layers.ops import Shape
from fastweights.layers.windows import bring_channels_last
from fastweights.optimizers import Minimizer

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._plans import Compiled
    from fastweights.models import Model
    from fastweights.optimizers import Optimizer

#: What modules of this library are called.
_OWN = f"{__name__.partition('.')[0]}."
#: Activations whose output are probabilities.
_PROBABILITIES = ("softmax", "softmin", "sparsemax", "sigmoid", "hard_sigmoid")
#: Those that make the probabilities of a row add up to 1.
_SHARES = ("softmax", "softmin", "sparsemax")
#: Those that make numbers of any size and sign.
_UNBOUNDED = ("linear", "leaky_relu")
#: What those make at most, to either side, that are bounded.
_LARGEST = {**dict.fromkeys(_PROBABILITIES, 1.0), "tanh": 1.0, "softsign": 1.0}
#: So many times as large are targets that they are never come near.
_FAR = 100.0
#: Layers that make no other numbers.
_AS_THEY_ARE = (Flatten, Identity, Permute, Reshape)
#: Those whose numbers lie where they lay before.
_MOVING = (CenterCrop, RandomCrop, RandomFlip, RandomRotation, RandomTranslation, RandomZoom)
#: Rows that tell whether images are of whole numbers.
_FEW = 64
#: Those besides that masks may end at: what counts is in what they make, or meant to be told anew.
_END = (GlobalAveragePooling1D, ReversibleEmbedding)


def _activation_of(layer: Layer) -> str:
    activation = getattr(layer, "activation", None)
    return getattr(activation, "name", "linear")


def about_last_activation(layer: Layer | None, loss: losses.Loss) -> None:
    """Warns where a loss takes the output of the last layer for something else than it is."""
    if layer is None:
        return
    last = _activation_of(layer)
    _about_ranges_of_loss(layer, loss, last)
    from_logits = getattr(loss, "from_logits", None)
    if from_logits is None:
        return
    if from_logits and last in _PROBABILITIES:
        warnings.warn(
            f"loss: {loss.name} with from_logits=True takes the output of {layer.name!r} for "
            f"logits, but its activation {last} makes probabilities; leave one of the two out",
            stacklevel=4,
        )
    if not from_logits and last not in _PROBABILITIES:
        fitting = getattr(loss, "activation", "softmax")
        warnings.warn(
            f"loss: {loss.name} takes the output of {layer.name!r} for probabilities, but its "
            f"activation is {last}; end with activation={fitting!r}, or say from_logits=True to "
            "the loss",
            stacklevel=4,
        )


def _about_ranges_of_loss(layer: Layer, loss: losses.Loss, last: str) -> None:
    """Warns where what the last layer can make is not what the loss is for."""
    what = f"loss: {loss.name} is for"
    if isinstance(loss, (losses.Hinge, losses.CategoricalHinge)) and last in _PROBABILITIES:
        meant = "signed scores, with a margin of 1 to either side of 0"
        fitting = "end without an activation, or take a crossentropy"
    elif isinstance(loss, losses.KLDivergence) and last not in (
        *_SHARES,
        "sigmoid",
        "hard_sigmoid",
    ):
        meant, fitting = "probabilities", "end with activation='softmax'"
    elif isinstance(loss, (losses.Quantile, losses.GaussianNLL)) and last not in _UNBOUNDED:
        meant, fitting = "numbers of any size and sign", "end without an activation"
    else:
        return
    warnings.warn(
        f"{what} {meant}, but the activation of {layer.name!r} is {last}; {fitting}", stacklevel=5
    )


def about_targets(model: Model, targets: Rows) -> None:
    """Warns where the last activation of an output cannot come near its targets."""
    objectives = model._compiled.objectives
    for layer, one, part in zip(
        model._topology.last_layers, objectives, each(targets), strict=True
    ):
        if layer is None or one.loss.takes_labels or isinstance(one.loss, losses.NumpyLoss):
            continue
        last = _activation_of(layer)
        largest, most = _LARGEST.get(last), float(np.abs(part).max())
        if largest is None or most < _FAR * largest:
            continue
        fitting = "y / 255 is within" if most == 255 else "scale them, or end without an activation"
        warnings.warn(
            f"y: targets up to {most:g}, but the {last} of {layer.name!r} makes nothing beyond "
            f"{largest:g}; {fitting}",
            stacklevel=6,
        )


def about_layers(built: Built) -> None:
    """Warns of layers that hardly do what is meant with what they read."""
    topology, shapes = built.topology, built.shapes
    _about_single_units(topology, shapes)
    _about_lost_masks(topology, built.are_masked)
    for layer, reads, _ in topology.calls:
        shape = shapes[reads[0]]
        if reads[0] < topology.inputs and _looks_channels_first(layer, shape):
            warnings.warn(
                f"x: rows of shape {shape} are images {shape[0]} high of {shape[2]} channels for "
                f"{layer.name!r}; if their channels come first, {bring_channels_last(shape)}",
                stacklevel=3,
            )


def _about_lost_masks(topology: Topology, are_masked: Sequence[bool]) -> None:
    """Warns of layers of the library behind which steps count that did not before."""
    for layer, reads, _ in topology.calls:
        if layer.supports_masking or isinstance(layer, _END) or not is_of_library(layer):
            continue
        if any(are_masked[number] for number in reads):
            warnings.warn(
                f"layers: {type(layer).__name__} {layer.name!r} reads masked steps as all others, "
                "and behind it they count; recurrent layers, attention and GlobalAveragePooling1D "
                "leave them out",
                stacklevel=4,
            )


def _looks_channels_first(layer: Layer, shape: Shape) -> bool:
    """Whether rows seem to be (channels, height, width): of a square image, grey or in colours."""
    if not isinstance(layer, Convolution):
        return False
    if len(layer.kernel_size) != 2 or min(layer.kernel_size) == 1:
        return False
    channels, height, width = shape
    return channels in (1, 3) and height == width >= 16


def about_pixels(topology: Topology, rows: Rows) -> None:
    """Warns where layers get pixels of another scale than theirs."""
    _about_bytes(topology, each(rows))
    _about_ranges(topology, each(rows))


def _about_bytes(topology: Topology, given: Sequence[np.ndarray]) -> None:
    """Warns where whole numbers up to 255 are multiplied by weights as they are."""
    raw = {i for i, x in enumerate(given) if _are_bytes(x)}
    for (layer, reads, _), made in zip(topology.calls, topology.made(), strict=True):
        if not raw.intersection(reads):
            continue
        if isinstance(layer, _AS_THEY_ARE):
            raw.update(made)
        elif isinstance(layer, (Dense, Convolution)):
            most = max(given[i].max() for i in raw if i < len(given))
            warnings.warn(
                f"x: bytes up to {most:g} come to {layer.name!r} as they are, which trains badly; "
                "layers.Rescaling(1 / 255) first",
                stacklevel=7,
            )


def _are_bytes(x: np.ndarray) -> bool:
    """Whether rows hold bytes beyond the half of them: of uint8, or images of whole numbers."""
    if x.dtype == np.uint8:
        return bool(x.max() >= 128)
    few = x[:_FEW]
    if x.ndim != 4 or not (few.min() >= 0 and 128 <= few.max() <= 255):
        return False
    return bool((few == np.rint(few)).all()) and bool(x.max() <= 255)


def _about_ranges(topology: Topology, given: Sequence[np.ndarray]) -> None:
    """Warns where a layer for pixels from 0 to 255 gets those that go to 1."""
    if not any(_is_for_bytes(layer) for layer, *_ in topology.calls):
        return
    ranges = {i: (float(x.min()), float(x.max())) for i, x in enumerate(given)}
    for (layer, reads, _), made in zip(topology.calls, topology.made(), strict=True):
        if len(reads) != 1 or reads[0] not in ranges:
            continue
        least, most = ranges[reads[0]]
        if isinstance(layer, Rescaling):
            ends = [float(np.float32(one * layer.scale + layer.offset)) for one in (least, most)]
            ranges[made[0]] = min(ends), max(ends)
        elif isinstance(layer, (*_AS_THEY_ARE, *_MOVING)):
            ranges[made[0]] = least, most
        elif _is_for_bytes(layer) and -1 <= least < most <= 1:
            expected = (-1, 1) if least < 0 else (0, 1)
            warnings.warn(
                f"x: pixels from {least:g} to {most:g} come to {layer.name!r}, which is for those "
                f"from 0 to 255; value_range={expected}, or layers.Rescaling after it",
                stacklevel=7,
            )


def _is_for_bytes(layer: Layer) -> bool:
    return getattr(layer, "value_range", None) == (0, 255)


def about_order() -> None:
    """Warns where rows that are to go on from each other come in any order."""
    warnings.warn(
        "shuffle: a stateful layer goes on from row to row of the batches, which shuffle=True puts "
        "in a new order each epoch; shuffle=False keeps series together",
        stacklevel=5,
    )


def _warn_user(told: str) -> None:
    """Warns at the line that called this library, however deep within it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame, level = frame.f_back, level + 1
    warnings.warn(told, stacklevel=level)


def about_end(epoch: int, epochs: int) -> None:
    """Warns that batches have ended before the epochs that were wanted."""
    _warn_user(
        f"x: the batches ended in epoch {epoch + 1} of {epochs}, and so does the fit; an iterator "
        "must have steps_per_epoch * epochs of them"
    )


def about_validation_end(epoch: int, epochs: int) -> None:
    """Warns that batches to validate with have ended before the epochs that were wanted."""
    _warn_user(
        f"validation_data: the batches ended in epoch {epoch + 1} of {epochs}, and so does the "
        "fit; validation_steps says how many of a generator without an end each validation has, "
        "and an object with an __iter__ of its own is gone through anew each time"
    )


def about_few(argument: str, steps: int, wanted: int, steps_name: str) -> None:
    """Warns that a pass had fewer batches than it was to have."""
    _warn_user(
        f"{argument}: the batches ended after {steps} of {wanted}, and what is told is of those; "
        f"{steps_name} is how many there must be"
    )


def about_no_end(argument: str, steps: int, steps_name: str) -> None:
    """Warns that batches of a source without a length may go on for ever."""
    _warn_user(
        f"{argument}: {steps:,} batches came in one pass, and no end yet; where there is none, as "
        f"of a generator that repeats its data, {steps_name} must say how many a pass has"
    )


def about_batches(optimizer: Optimizer, batch_size: int, rows: int) -> None:
    """Warns where an optimizer that wants all rows in a step gets some."""
    if optimizer.wants_all_rows and batch_size < rows:
        kind = type(optimizer).__name__
        warnings.warn(
            f"batch_size: {kind} compares the gradients of a step with those before, which means "
            f"something of the same rows alone; batch_size={rows} has all of them in each step",
            stacklevel=6,
        )


def about_thawed(built: Built, compiled: Compiled) -> None:
    """Warns where an optimizer that knows how long it has run knows nothing of a layer."""
    optimizer, memory = compiled.training(), compiled.memory
    known, _ = compiled.made_for.get("fit", (built.trained, ()))
    # A minimizer finds the length of each step anew.
    if not optimizer.running or isinstance(optimizer, Minimizer):
        return
    if memory is None or not memory.batches[0] or known == built.trained:
        return
    frozen = {id(layer) for layer, moved in zip(built.op_layers, known, strict=True) if not moved}
    means = memory.vectors[: built.size]
    forgotten = {
        layer.name
        for (layer, _), (_, begin, size) in zip(built.variables, built.places(), strict=True)
        if layer.trainable and id(layer) in frozen and not means[begin : begin + size].any()
    }
    if forgotten:
        kind, names = type(optimizer).__name__, ", ".join(sorted(map(repr, forgotten)))
        warnings.warn(
            f"trainable: {kind} has made {memory.batches[0]:,} steps without {names}, and would "
            "move weights of it several times too far at first; compile again, or lower "
            "optimizer.learning_rate",
            stacklevel=6,
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
