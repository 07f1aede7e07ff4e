"""A network's ops as inference needs them: fewer than training's, for the same values.

# Design: nobody goes back through such a pass, so values that only a gradient asks for need not be
# made. Ops are known by the numbers of the values that they make until all rules have been applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from fastweights.layers.ops import LINEAR, OpSpec

#: These act in training alone.
_TRAINING_KINDS = ("dropout", "gaussian_noise", "gaussian_dropout")

#: The op that makes the value of each number.
_Makers = dict[int, OpSpec]


def inference_ops(
    ops: Sequence[OpSpec], inputs: int, wanted: Collection[int]
) -> tuple[list[OpSpec], dict[int, int]]:
    """The ops that make the wanted values, and the numbers that these have then.

    * An op that does nothing in inference is left out, and one whose value nobody wants.
    * A dense op does the batch normalisation and the activation that alone read it: that one's
      columns are scaled and shifted as they leave its registers, by the numbers of the moment.

    Parameters
    ----------
    ops : sequence of OpSpec
        In an order in which they can run.
    inputs : int
        How many values the network is given.
    wanted : collection of int
        Numbers of values that others than ops look at. Each is still made by an op of its own.
    """
    makers, numbers = _without_idle(ops, inputs, wanted)
    makers = _without_unread(makers, set(numbers.values()))
    makers, merged = _with_dense_doing_more(makers, set(numbers.values()))
    places = dict(enumerate(range(inputs)))
    for number in makers:
        places[number] = len(places)
    chosen = [
        op._replace(reads=tuple(places[merged.get(read, read)] for read in op.reads))
        for op in makers.values()
    ]
    return chosen, {
        number: places[merged.get(became, became)] for number, became in numbers.items()
    }


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


def _with_dense_doing_more(
    makers: _Makers, wanted: Collection[int]
) -> tuple[_Makers, dict[int, int]]:
    """Also says of values that are no longer made which ones have become what they were."""
    readers = Counter(read for op in makers.values() for read in op.reads)
    found: _Makers = {}
    merged: dict[int, int] = {}
    for number, op in makers.items():
        found[number] = op
        source = merged.get(op.reads[0], op.reads[0])
        if source not in found or readers[op.reads[0]] > 1 or op.reads[0] in wanted:
            continue
        # The dense op that makes the source, with what it does already.
        at = found[source].reads[0] if found[source].kind == "dense_batch_norm" else source
        dense = found.get(at)
        if dense is None or dense.kind != "dense" or dense.activation != LINEAR:
            continue
        alike = (op.lines, op.outputs) == (dense.lines, dense.outputs)
        if op.kind == "batch_norm" and alike and at == source:
            found[number] = op._replace(kind="dense_batch_norm")
        elif op.kind == "activation":
            found[at] = dense._replace(activation=op.activation)
            merged[number] = source
            del found[number]
    return found, merged
