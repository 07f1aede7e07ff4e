"""What a layer is made of: ops of the compiled plan, and the values that go between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fastweights import _check, _tensors, activations
from fastweights.activations import ACTIVATIONS, LINEAR, Activation

if TYPE_CHECKING:
    from fastweights.layers.own import Calls

Shape = tuple[int, ...]

Number = TypeVar("Number", int, float)


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
    schedule : tuple of float
        What a setting of the op goes by from step to step, compiled; empty: it stays.
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
    schedule: tuple[float, ...]

    __slots__ = (
        "activation", "calls", "kind", "lines", "options", "outputs", "reads", "schedule", "sizes",
        "states", "variables",
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
        schedule: Sequence[float] = (),
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
            "schedule": tuple(schedule),
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
    #: 1 for each of the first axes' steps that counts and 0 for each that does not; None: all do.
    mask: Value | None = None

    @property
    def features(self) -> int:
        """Length of the last axis."""
        return self.shape[-1] if self.shape else 1

    @property
    def lines(self) -> int:
        """How many vectors of features a row holds."""
        return math.prod(self.shape[:-1])

    def reshaped(self, shape: int | Sequence[int]) -> Value:
        """The same numbers in another shape, which costs nothing."""
        shape = _tensors.row_shape("reshaped", shape)
        if math.prod(shape) != math.prod(self.shape):
            got, expected = f"{shape} for {self.shape}", "as many numbers"
            raise ValueError(_check.refusal("reshaped", got, expected))
        return Value(self.op, shape)


def lines_of(value: Value, begin: int, end: int) -> Value:
    """Lines [begin, end) of a value of shape (lines, features)."""
    lines, features = value.shape
    sizes = (1, lines, features, 1, end - begin, 0, begin)
    return op("crop", value, shape=(end - begin, features), sizes=sizes)


def given(shape: Shape) -> Value:
    """A value that comes from outside: a row of a network's input."""
    return Value(Op(None, (), 1, math.prod(shape)), shape)


class Kind(NamedTuple):
    """What an op of some kind takes."""

    #: How many values it reads; None: any number of them.
    reads: int | None = 1
    sizes: int = 0
    options: int = 0
    #: Whether it applies an activation.
    activates: bool = False
    #: Another kind that may have variables in common with it, since they lie in the same pieces.
    shares_with: str | None = None


#: The kinds of ops that kernels make, by name.
KINDS: dict[str, Kind] = {
    "dense": Kind(activates=True),
    "member_dense": Kind(sizes=1, activates=True),
    "activation": Kind(activates=True),
    **dict.fromkeys(("softmax", "log_softmax", "softmin", "sparsemax"), Kind()),
    **dict.fromkeys(
        ("add", "average", "multiply", "maximum", "minimum"), Kind(None, activates=True)
    ),
    "subtract": Kind(2, activates=True),
    "concatenate": Kind(None),
    "dot": Kind(2, sizes=3),
    "batch_norm": Kind(None, sizes=2, options=2, activates=True),
    "standardize": Kind(sizes=2, options=2),
    **dict.fromkeys(
        ("layer_normalize", "rms_normalize", "unit_normalize"), Kind(sizes=2, options=1)
    ),
    "scale": Kind(sizes=2),
    "prelu": Kind(),
    "bent_relu": Kind(options=3),
    "rescale": Kind(options=2),
    "activity": Kind(options=2),
    "swap": Kind(sizes=3),
    "repeat": Kind(sizes=1),
    "embedding": Kind(sizes=1),
    "reverse_embedding": Kind(sizes=1, shares_with="embedding"),
    **dict.fromkeys(("mask_steps", "masking"), Kind(options=1)),
    "mask_zeros": Kind(sizes=1),
    "masked_mean": Kind(2, sizes=1),
    **dict.fromkeys(("lstm", "gru", "simple_rnn"), Kind(None, sizes=12, options=5)),
    "dropout": Kind(sizes=2, options=3),
    "gaussian_noise": Kind(sizes=1, options=1),
    "gaussian_dropout": Kind(sizes=1, options=1),
    **dict.fromkeys(("conv", "conv_transpose", "depthwise"), Kind(sizes=15, activates=True)),
    **dict.fromkeys(("max_pool", "average_pool"), Kind(sizes=11)),
    **dict.fromkeys(("zero_pad", "crop"), Kind(sizes=7)),
    "upsample": Kind(sizes=5),
    **dict.fromkeys(("resize", "random_crop"), Kind(sizes=6)),
    "attention": Kind(None, sizes=7, options=2),
    "learned_positions": Kind(sizes=1),
    "sine_positions": Kind(sizes=1, options=2),
    "rotary": Kind(sizes=2, options=2),
    "flip": Kind(sizes=6, options=1),
    "translate": Kind(sizes=4, options=5),
    "rotate": Kind(sizes=4, options=3),
    "zoom": Kind(sizes=5, options=5),
    **dict.fromkeys(("contrast", "brightness"), Kind(sizes=2, options=4)),
    "erase": Kind(sizes=3, options=7),
}


def may_share(kind: str | None, other: str | None) -> bool:
    """Whether ops of these kinds may have variables in common."""
    kinds = (one if one not in KINDS else KINDS[one].shares_with or one for one in (kind, other))
    return len(set(kinds)) == 1


def op(
    kind: str,
    *reads: Value,
    shape: int | Sequence[int] | None = None,
    lines: int = 1,
    variables: Sequence[str] = (),
    sizes: Sequence[int] = (),
    options: Sequence[float] = (),
    activation: str | Activation | None = None,
    states: Sequence[str] = (),
    schedule: Sequence[float] = (),
) -> Value:
    """What such an op makes of the values that it reads, in the first one's shape by default

    The other arguments are attributes of `Op`. Whether sizes and variables suit each other is
    found out when the model is built.
    """
    takes = _kind(kind)
    for value in reads:
        if not isinstance(value, Value):
            expected = "Values, as ops gets them and layers.op makes them"
            raise TypeError(_check.refusal("reads", _check.kind_of(value), expected))
    if not reads or takes.reads not in (None, len(reads)):
        got, expected = f"{len(reads)} values for {kind!r}", f"{takes.reads or 'at least 1'}"
        raise ValueError(_check.refusal("reads", got, expected))
    row = reads[0].shape if shape is None else _tensors.row_shape("shape", shape)
    reals = _check.whole("shape", math.prod(row), 1)
    lines = _check.whole("lines", lines, 1)
    if reals % lines:
        raise ValueError(_check.refusal("lines", lines, f"what the numbers of {row} make up"))
    made = Op(
        kind,
        [value.op for value in reads],
        lines,
        reals // lines,
        _names("variables", variables),
        _as_many("sizes", kind, takes.sizes, sizes, _size),
        _as_many("options", kind, takes.options, options, _option),
        _applied(kind, takes, activation),
        _names("states", states),
        schedule=_listed("schedule", schedule, "a schedule's numbers"),
    )
    return Value(made, row)


def _kind(kind: Any) -> Kind:
    """What ops of that kind take, if there are any."""
    if not isinstance(kind, str):
        expected = f"a name, one of {', '.join(KINDS)}"
        raise TypeError(_check.refusal("kind", _check.shown(kind), expected))
    if kind in ACTIVATIONS and kind not in KINDS:
        expected = f'one of {", ".join(KINDS)}; op("activation", x, activation={kind!r}) applies it'
        raise ValueError(_check.refusal("kind", _check.shown(kind), expected))
    return _check.choice("kind", kind, KINDS)


def _listed(argument: str, got: Any, expected: str) -> Sequence[Any]:
    if not isinstance(got, (list, tuple)):
        raise TypeError(_check.refusal(argument, _check.shown(got), expected))
    return got


def _names(argument: str, got: Any) -> tuple[str, ...]:
    names = tuple(_listed(argument, got, "a list of names"))
    for name in names:
        if not isinstance(name, str):
            raise TypeError(_check.refusal(argument, _check.shown(name), "names"))
    return names


def _as_many(
    argument: str, kind: str, count: int, got: Any, checked: Callable[[str, Any], Number]
) -> tuple[Number, ...]:
    """The numbers of an op, of which its kind takes so many."""
    numbers = _listed(argument, got, "a list of numbers")
    if len(numbers) != count:
        raise ValueError(_check.refusal(argument, f"{len(numbers)} for {kind!r}", f"{count}"))
    return tuple(checked(argument, number) for number in numbers)


def _size(argument: str, got: Any) -> int:
    return _check.whole(argument, got, 0)


def _option(argument: str, got: Any) -> float:
    """A number, which may be infinite."""
    return got if got in (math.inf, -math.inf) else _check.number(argument, got)


def _applied(kind: str, takes: Kind, given: Any) -> Activation:
    """The activation that an op applies, if it is one that its kind can."""
    activation = activations.get(given)
    if activation != LINEAR and not (takes.activates and activation.is_elementwise):
        own = (
            f'op("activation", ..., activation={activation.name!r})'
            if activation.is_elementwise
            else f"op({activation.name!r}, x, lines=x.lines)"
        )
        got = f"{activation.name!r} for {kind!r}"
        raise ValueError(_check.refusal("activation", got, f"none; {own} is an op of its own"))
    return activation


def axis_setting(argument: str, got: Any) -> int:
    """An axis counted as in the batch, whose axis 0 are the rows; negative ones from the end on."""
    axis = _check.whole(argument, got, -_check.MAX_AXES, _check.MAX_AXES)
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
READ_INTEGERS = ("embedding", "mask_zeros")


def with_cost(value: Value, l1: float, l2: float) -> Value:
    """The same value, of which each number adds ``l1 |y| + l2 y^2`` to what its row costs."""
    return op("activity", value, options=(l1, l2))


#: Kinds of ops that draw random numbers in training.
DRAWING = (
    *("dropout", "gaussian_noise", "gaussian_dropout", "random_crop"),
    *("flip", "translate", "rotate", "zoom", "contrast", "brightness", "erase"),
)
#: Of other kinds the size that says how much they drop, if anything.
DROPPING = {"attention": 1, "lstm": 7, "gru": 7, "simple_rnn": 7}


class OpSpec(NamedTuple):
    """One op as a plan takes it.

    `reads` are numbers of values: first those that the network is given, then what each op makes,
    in order. `variables` are the sizes of the op's variables, which lie one after the other in the
    flat vector, from `offset` on; `states` is how many numbers of the other flat vector, from
    `state_offset` on, the op remembers; `batch_rows` is of how many rows each batch is, where these
    are states of its rows. `calls` are functions in the place of kernels, `schedule` is what a
    setting goes by from step to step.
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
    batch_rows: int = 0
    schedule: tuple[float, ...] = ()


def draws(spec: OpSpec) -> bool:
    """Whether an op draws random numbers in training."""
    if spec.kind in DROPPING:
        return spec.sizes[DROPPING[spec.kind]] > 0
    return spec.kind in DRAWING


def looks_at_rows_alone(spec: OpSpec) -> bool:
    """Whether, in training too, an op makes of a row its outputs alone, and of no other row."""
    return spec.calls is None and spec.kind not in ("batch_norm", "activity")
