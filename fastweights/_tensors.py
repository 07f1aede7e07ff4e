"""Symbolic tensors: what layers are called on to say which of them reads what."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastweights import _check

if TYPE_CHECKING:
    from fastweights.layers import Layer
    from fastweights.layers.ops import Shape

_NUMBERS = itertools.count()

#: That one row may have: the rows themselves are one more.
MAX_ROW_AXES = _check.MAX_AXES - 1


class Making:
    """One call of a layer on tensors: what it reads, and what it alone is told."""

    __slots__ = ("layer", "number", "reads", "settings")

    def __init__(
        self, layer: Layer, reads: Sequence[Tensor], settings: Mapping[str, Any] | None = None
    ) -> None:
        self.layer, self.reads, self.settings = layer, tuple(reads), dict(settings or {})
        #: Calls are in the order of their numbers.
        self.number = next(_NUMBERS)


class Tensor:
    """One value of a network that is being put together; it has a shape and no numbers.

    Made by `fastweights.Input` and by calling layers.

    Attributes
    ----------
    shape : tuple
        None for the rows, then the shape of one row.
    name : str or None
        Of an input.
    """

    __slots__ = ("_batch_size", "_is_flags", "_made_by", "_name", "_place", "_row")

    def __init__(
        self,
        row: Shape,
        made_by: Making | None = None,
        place: int = 0,
        name: str | None = None,
        is_flags: bool = False,
        batch_size: int | None = None,
    ) -> None:
        #: Which call made it, None for an input, and its place among what that made.
        self._row, self._made_by, self._place, self._name = row, made_by, place, name
        #: Of an input: whether it takes 0 and 1 alone, and how many rows each batch has, where
        #: that is fixed.
        self._is_flags, self._batch_size = is_flags, batch_size

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (None, *self._row)

    @property
    def name(self) -> str | None:
        return self._name

    def __repr__(self) -> str:
        if self._made_by is not None:
            maker = f"made by {type(self._made_by.layer).__name__}"
        else:
            maker = "an input" if self._name is None else f"the input {self._name!r}"
        return f"<Tensor of shape {self.shape}, {maker}>"

    def _has_no_numbers(self, *_: Any, **__: Any) -> NoReturn:
        expected = (
            "numbers: a tensor has a shape alone; call layers on it (layers.Add()([a, b]) for "
            "a + b), and predict with the model that is made of them"
        )
        raise TypeError(_check.refusal("tensor", repr(self), expected))

    __array__ = __float__ = __bool__ = __len__ = __iter__ = __getitem__ = _has_no_numbers
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _has_no_numbers
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __pow__ = _has_no_numbers


def Input(  # noqa: N802  (Keras's name)
    shape: int | Sequence[int],
    batch_size: int | None = None,
    dtype: Any = None,
    *,
    name: str | None = None,
) -> Tensor:
    """What a network is given: rows of this shape.

    Parameters
    ----------
    shape : int or tuple of int
        Of one row, without the rows themselves.
    batch_size : int, optional
        How many rows each batch has, which layers with ``stateful=True`` must know; it changes
        nothing where there are none.
    dtype : str or dtype, optional
        Of real numbers, such as ``"int32"``. Of ``"bool"`` no numbers but 0 and 1 are taken. Others
        change nothing and are for code written for Keras: what an `Embedding` reads is kept as
        whole numbers, all else as reals, in whatever dtype it comes.
    name : str, optional
        By which a dict of arrays names this input; ``input``, ``input_1``, ... by default.

    Returns
    -------
    Tensor
        To call layers on.

    Examples
    --------
    >>> inputs = fw.Input(8)
    >>> hidden = layers.Dense(16, "relu")(inputs)
    >>> model = fw.Model(inputs, layers.Dense(1)(hidden))
    """
    if batch_size is not None:
        batch_size = _check.whole("batch_size", batch_size, 1)
    if dtype is not None:
        _check.real_dtype("dtype", dtype)
    is_flags = dtype is not None and np.dtype(dtype) == np.bool_
    row, known = row_shape("shape", shape), _check.name_or_none("name", name)
    return Tensor(row, name=known, is_flags=is_flags, batch_size=batch_size)


def row_shape(argument: str, shape: Any) -> Shape:
    """A checked shape of one row, given as a tuple or as the number of its features."""
    sizes = shape if isinstance(shape, (list, tuple)) else (shape,)
    if len(sizes) > 1 and sizes[0] is None:
        raise ValueError(
            _check.refusal(argument, str(tuple(sizes)), "the shape of one row, without the rows")
        )
    row = tuple(_check.whole(argument, size, 1) for size in sizes)
    if not row:
        raise ValueError(_check.refusal(argument, "()", "at least one axis"))
    if len(row) > MAX_ROW_AXES:
        got, expected = f"{len(row)} axes", f"at most {MAX_ROW_AXES}"
        raise ValueError(_check.refusal(argument, got, expected))
    return row


def tensors_of(argument: str, given: Any) -> list[Tensor]:
    """The tensors of an argument that takes one, or several in a list."""
    tensors = list(given) if isinstance(given, (list, tuple)) else [given]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            expected = "what fw.Input or another layer made; a model's predict(x) computes"
            raise TypeError(_check.refusal(argument, _check.kind_of(tensor), expected))
    if not tensors:
        raise ValueError(_check.refusal(argument, "nothing", "at least one tensor"))
    return tensors
