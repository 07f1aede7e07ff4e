"""A network's ops as its plans need them: fewer than layers describe, for the same values.

# Design: in training an op does the activation that alone reads it. Nobody goes back through a
# pass of inference, so values that only a gradient asks for are not made there at all. Ops are
# known by the numbers of the values that they make until all rules have been applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from fastweights.layers.ops import KINDS, LINEAR, OpSpec

#: These act in training alone.
_TRAINING_KINDS = (
    *("dropout", "gaussian_noise", "gaussian_dropout"),
    *("flip", "translate", "rotate", "zoom", "contrast", "brightness", "erase"),
)

#: Which of the sizes of a convolution says how many channels its images have.
_CHANNELS = {"conv": 5, "depthwise": 5, "conv_transpose": 2}

#: The op that makes the value of each number.
_Makers = dict[int, OpSpec]


class Lowered(NamedTuple):
    """Ops of a plan, in an order in which they can run."""

    ops: list[OpSpec]
    #: The numbers that the wanted values have now.
    numbers: dict[int, int]
    #: Which of the ops that were there before each of them is.
    sources: list[int]


def training_ops(ops: Sequence[OpSpec], inputs: int, wanted: Collection[int]) -> Lowered:
    """The ops that train: one that can apply an activation does the one that alone reads it.

    Parameters
    ----------
    ops : sequence of OpSpec
        In an order in which they can run.
    inputs : int
        How many values the network is given.
    wanted : collection of int
        Numbers of values that others than ops look at. Each is still made by an op of its own.
    """
    makers, numbers = _with_activations(
        dict(enumerate(ops, inputs)), {number: number for number in wanted}
    )
    return _in_order(makers, numbers, inputs)


def inference_ops(ops: Sequence[OpSpec], inputs: int, wanted: Collection[int]) -> Lowered:
    """The ops that make the wanted values; parameters as those of `training_ops`.

    * An op that does nothing in inference is left out, and one whose value nobody wants.
    * An op does the activation that alone reads it.
    * A dense layer or a convolution does the batch normalisation that alone reads it, with its
      activation: columns are scaled and shifted as they leave its registers, by the numbers of
      the moment.
    * What a batch normalisation reads besides, a mask, is for batches alone.
    """
    ops = [op._replace(reads=op.reads[:1]) if op.kind == "batch_norm" else op for op in ops]
    makers, numbers = _without_idle(ops, inputs, wanted)
    makers = _without_unread(makers, set(numbers.values()))
    makers, numbers = _with_activations(makers, numbers)
    makers = _with_normalizing(makers, set(numbers.values()))
    return _in_order(makers, numbers, inputs)


def _in_order(makers: _Makers, numbers: dict[int, int], inputs: int) -> Lowered:
    places = {number: place for place, number in enumerate([*range(inputs), *makers])}
    return Lowered(
        [op._replace(reads=tuple(places[read] for read in op.reads)) for op in makers.values()],
        {number: places[became] for number, became in numbers.items()},
        [number - inputs for number in makers],
    )


def _is_idle(op: OpSpec) -> bool:
    return op.kind in _TRAINING_KINDS or (op.kind == "activation" and op.activation == LINEAR)


def _without_idle(
    ops: Sequence[OpSpec], inputs: int, wanted: Collection[int]
) -> tuple[_Makers, dict[int, int]]:
    """Who reads an idle op reads what that reads; also says what wanted values are then."""
    makers: _Makers = {}
    sources: dict[int, int] = {}
    numbers = {number: number for number in wanted}
    for number, op in enumerate(ops, inputs):
        reads = tuple(sources.get(read, read) for read in op.reads)
        # What is wanted has an op of its own.
        stays = number in numbers and (reads[0] < inputs or reads[0] in numbers.values())
        if not _is_idle(op) or stays:
            makers[number] = op._replace(reads=reads)
            continue
        sources[number] = reads[0]
        if number in numbers:
            numbers[number] = reads[0]
    return makers, numbers


def _without_unread(makers: _Makers, wanted: Collection[int]) -> _Makers:
    read = set(wanted)
    kept: _Makers = {}
    for number, op in reversed(makers.items()):
        if number in read:
            read.update(op.reads)
            kept[number] = op
    return dict(reversed(kept.items()))


def _readers(makers: _Makers) -> Counter[int]:
    return Counter(read for op in makers.values() for read in op.reads)


def _with_activations(makers: _Makers, numbers: dict[int, int]) -> tuple[_Makers, dict[int, int]]:
    """`numbers` says what wanted values are, before and after."""
    readers, wanted = _readers(makers), set(numbers.values())
    found: _Makers = {}
    # Values that are no longer made, and what they are now.
    merged: dict[int, int] = {}
    for number, op in makers.items():
        reads = tuple(merged.get(read, read) for read in op.reads)
        maker = found.get(reads[0])
        if (
            op.kind == "activation"
            and maker is not None
            and maker.kind in KINDS
            and KINDS[maker.kind].activates
            and maker.activation == LINEAR
            and readers[op.reads[0]] == 1
            and op.reads[0] not in wanted
        ):
            found[reads[0]] = maker._replace(activation=op.activation)
            merged[number] = reads[0]
        else:
            found[number] = op._replace(reads=reads)
    return found, {number: merged.get(became, became) for number, became in numbers.items()}


def _scaled_columns(op: OpSpec) -> int | None:
    """The columns that it can scale and shift as they leave its registers, if it can."""
    if op.kind == "dense":
        return op.outputs
    channels = _CHANNELS.get(op.kind)
    return None if channels is None else op.sizes[channels]


def _with_normalizing(makers: _Makers, wanted: Collection[int]) -> _Makers:
    readers, found = _readers(makers), dict(makers)
    for number, op in makers.items():
        source = op.reads[0]
        maker = found.get(source)
        if (
            op.kind == "batch_norm"
            and maker is not None
            and maker.activation == LINEAR
            and _scaled_columns(maker) == op.outputs
            and readers[source] == 1
            and source not in wanted
        ):
            found[source] = maker._replace(activation=op.activation)
            found[number] = op._replace(kind="batch_norm_within", activation=LINEAR)
    return found
