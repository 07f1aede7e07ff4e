"""What a layer is made of: ops of the compiled plan, and the values that go between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastweights import _check
from fastweights.activations import LINEAR, Activation

if TYPE_CHECKING:
    from fastweights.layers.own import Calls

Shape = tuple[int, ...]

#: That an array may have.
MAX_AXES = 64


class Op:
    """One op of the compiled plan: which kernels, what they read and the sizes they work on.

    Two ops are never equal: each does work of its own. It is as it was made.

    Attributes
    ----------
    kind : str or None
        Which kernels; None for what a network is given.
    reads : tuple of Op
        Whose results it reads.
    lines : int
        How many vectors a row holds, each of which the op treats alike.
    outputs : int
        Reals of a line of the result.
    variables : tuple of str
        Those of the layer's variables that the op works with, which follow each other ...
    states : tuple of str
        ... and those of what it remembers between steps.
    sizes : tuple of int
        What else the kernels must know ...
    options : tuple of float
        ... and numbers that are no sizes.
    activation : Activation
        Applied to the result.
    calls : Calls or None
        The Python functions that make the result; None: kernels do.
    """

    kind: str | None
    reads: tuple[Op, ...]
    lines: int
    outputs: int
    variables: tuple[str, ...]
    sizes: tuple[int, ...]
    options: tuple[float, ...]
    activation: Activation
    states: tuple[str, ...]
    calls: Calls | None

    __slots__ = (
        "activation", "calls", "kind", "lines", "options", "outputs", "reads", "sizes", "states",
        "variables",
    )  # fmt: skip

    def __init__(
        self,
        kind: str | None,
        reads: Sequence[Op],
        lines: int,
        outputs: int,
        variables: Sequence[str] = (),
        sizes: Sequence[int] = (),
        options: Sequence[float] = (),
        activation: Activation = LINEAR,
        states: Sequence[str] = (),
        calls: Calls | None = None,
    ) -> None:
        settings = {
            "kind": kind,
            "reads": tuple(reads),
            "lines": lines,
            "outputs": outputs,
            "variables": tuple(variables),
            "sizes": tuple(sizes),
            "options": tuple(options),
            "activation": activation,
            "states": tuple(states),
            "calls": calls,
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        # Reads that are set later could go round in a circle.
        raise AttributeError(f"{name}: is fixed once it is made; make a new op")


class Value(NamedTuple):
    """One row of what an op makes, and how it is to be seen: numbers of this shape."""

    op: Op
    shape: Shape

    @property
    def features(self) -> int:
        """Length of the last axis."""
        return self.shape[-1] if self.shape else 1

    @property
    def lines(self) -> int:
        """How many vectors of features a row holds."""
        return math.prod(self.shape[:-1])

    def reshaped(self, shape: Shape) -> Value:
        """The same numbers in another shape, which costs nothing."""
        if math.prod(shape) != math.prod(self.shape):
            got, expected = f"{shape} for {self.shape}", "as many numbers"
            raise ValueError(_check.refusal("reshaped", got, expected))
        return Value(self.op, shape)


def given(shape: Shape) -> Value:
    """A value that comes from outside: a row of a network's input."""
    return Value(Op(None, (), 1, math.prod(shape)), shape)


def op(
    kind: str,
    *reads: Value,
    shape: Shape | None = None,
    lines: int = 1,
    variables: Sequence[str] = (),
    sizes: Sequence[int] = (),
    options: Sequence[float] = (),
    activation: Activation = LINEAR,
    states: Sequence[str] = (),
    calls: Calls | None = None,
) -> Value:
    """What such an op makes of the values that it reads, in the first one's shape by default

    The other arguments are attributes of `Op`.
    """
    shape = reads[0].shape if shape is None else shape
    _check.whole("lines", lines, 1)
    if math.prod(shape) % lines:
        raise ValueError(_check.refusal("lines", lines, f"what the numbers of {shape} make up"))
    read = [value.op for value in reads]
    outputs = math.prod(shape) // lines
    made = Op(kind, read, lines, outputs, variables, sizes, options, activation, states, calls)
    return Value(made, shape)


def axis_setting(argument: str, got: Any) -> int:
    """An axis counted as in the batch, whose axis 0 are the rows; negative ones from the end on."""
    axis = _check.whole(argument, got, -MAX_AXES, MAX_AXES)
    if axis == 0:
        raise ValueError(
            _check.refusal(argument, 0, "an axis of the numbers, not that of the rows")
        )
    return axis


def axis_in(shape: Shape, argument: str, axis: int) -> int:
    """Which axis of a row of this shape that setting means, counted from 0."""
    at = axis + len(shape) if axis < 0 else axis - 1
    if not 0 <= at < len(shape):
        raise ValueError(_check.refusal(argument, axis, f"an axis of rows {shape}"))
    return at


def activated(value: Value, activation: Activation) -> Value:
    """The value after an activation that stands on its own."""
    if activation == LINEAR:
        return value
    if activation.is_elementwise:
        return op("activation", value, activation=activation)
    return op(activation.name, value, lines=value.lines)


#: Kinds of ops that read whole numbers: of a network's input, and below the first of their sizes.
READ_INTEGERS = ("embedding",)


def with_cost(value: Value, l1: float, l2: float) -> Value:
    """The same value, of which each number adds ``l1 |y| + l2 y^2`` to what its row costs."""
    return op("activity", value, options=(l1, l2))


class OpSpec(NamedTuple):
    """One op as a plan takes it.

    `reads` are numbers of values: first those that the network is given, then what each op makes,
    in order. `variables` are the sizes of the op's variables, which lie one after the other in the
    flat vector, from `offset` on; `states` is how many numbers of the other flat vector, from
    `state_offset` on, the op remembers. `calls` are functions in the place of kernels.
    """

    kind: str
    reads: tuple[int, ...]
    outputs: int
    lines: int = 1
    offset: int = 0
    variables: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    options: tuple[float, ...] = ()
    activation: Activation = LINEAR
    states: int = 0
    state_offset: int = 0
    calls: Calls | None = None
