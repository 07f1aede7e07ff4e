"""Where examples come from: arrays, rows on disk, or batches that somebody makes.

# Design: a pass over a source is a sequence of `Part`s, each of which has rows at hand that follow
# each other in the pass and are cut into batches of one size. Arrays are one part; of rows on disk
# and of batches a thread makes parts ahead, checked and converted there. What is trained does not
# depend on how a pass is cut into parts: a part says where in the pass it begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check, _digests, _feeding
from fastweights._ahead import Ahead
from fastweights._rows import (
    Examples,
    Rows,
    Weights,
    count,
    joined_examples,
    nbytes,
    picked_examples,
    row_bytes,
)

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._plans import Compiled
    from fastweights.models import Model

#: Of rows that are read at a time, unless a batch has more.
PIECE_BYTES = 2 << 20
#: Rows that are looked at before all others.
_FIRST = 64


class Part(NamedTuple):
    """Rows that follow each other in a pass, in batches of one size.

    Attributes
    ----------
    examples : Examples
    first, last : int
        Which of them, by `order` where there is one.
    batch_size : int
    before : int
        Rows of the pass that came before the examples, or before those of the order.
    batch : int
        The number of the first batch.
    order : ndarray of int64, optional
    """

    examples: Examples
    first: int
    last: int
    batch_size: int
    before: int
    batch: int
    order: np.ndarray | None = None


class Source:
    """What a pass goes through; base of those that there are.

    Attributes
    ----------
    rows, steps : int or None
        Of a pass, where that is known.
    shuffled : int
        How many things a pass may have in any order; 0: it has an order of its own.
    batch_size : int
        That batches have, at first where they come as they are.
    first : Examples
        Some of them, checked: they tell shapes, dtypes and which outputs have weights.
    is_over : bool
        Whether there is nothing more, for any pass.
    is_short : bool
        Whether the last pass had fewer batches than it was to have.
    """

    rows: int | None
    steps: int | None
    shuffled: int
    batch_size: int
    first: Examples
    is_over = False
    is_short = False
    #: What messages call it.
    argument = "x"
    #: Whether parts begin anywhere, so that the sums of a pass must be put together anew.
    is_in_pieces = True
    #: Whether batches are what somebody gave as such.
    comes_as_it_is = False

    def at_hand(self) -> Examples:
        """All examples; ValueError where they come piece by piece."""
        expected = "arrays in memory: the optimizer looks at all rows in each step"
        raise ValueError(_check.refusal("x", "data that come piece by piece", expected))

    def cut(self, batch_size: int) -> None:
        """Makes batches of so many rows, unless they come as they are."""

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        """A pass in this order, from its row of this number on.

        `epoch` is how many came before one of training, which an order of the source's own may
        follow; None of all other passes.
        """
        raise NotImplementedError

    def go_on_from(self, epoch: int) -> None:
        """Hears, before the first pass, that so many epochs of the fit were gone through before."""

    def end_pass(self) -> None:
        """Hears that a pass came to its end."""

    def digest(self) -> str:
        """What tells its examples from others; nothing where they may be others in each pass."""
        return ""

    def close(self) -> None:
        """Lets go of what it has open."""


class NothingLeftError(ValueError):
    """A pass had no batch."""


class Whole(Source):
    """Examples that are all at hand, or the `chosen` ones of them."""

    is_in_pieces = False

    rows: int

    def __init__(self, examples: Examples, chosen: np.ndarray | None = None) -> None:
        self.first, self._chosen = examples, chosen
        self.rows = self.shuffled = count(examples.x) if chosen is None else len(chosen)
        self.cut(self.rows)

    def at_hand(self) -> Examples:
        return self.first if self._chosen is None else picked_examples(self.first, self._chosen)

    def cut(self, batch_size: int) -> None:
        self.batch_size = min(batch_size, self.rows)
        self.steps = -(-self.rows // self.batch_size)

    def digest(self) -> str:
        def read(numbers: np.ndarray) -> Examples:
            chosen = numbers if self._chosen is None else self._chosen[numbers]
            return picked_examples(self.first, chosen)

        return _digests.of_examples(self.rows, row_bytes(self.first), read)

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        if self._chosen is not None:
            order = self._chosen if order is None else self._chosen[order]
        yield Part(self.first, row, self.rows, self.batch_size, 0, row // self.batch_size, order)


class OnDisk(Source):
    """Rows of which some stay on disk: pieces of them are picked, in any order, while others train.

    Parameters
    ----------
    model, compiled
        What the rows are for.
    x : sequence of ndarray or _maps.OnDisk
        Of each input, unchecked.
    y : the same, of each output, or Rows that are checked; or None
    weights : Weights
        Checked.
    rows : (int, int), optional
        Which of the rows; all by default.
    argument : str
        What stands before x and y in messages.
    """

    rows: int

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        x: Sequence[Any],
        y: Any,
        weights: Weights = None,
        rows: tuple[int, int] | None = None,
        argument: str = "",
    ) -> None:
        self._model, self._compiled, self._argument = model, compiled, argument
        self._x, self._y, self._weights = x, y, weights
        self._begin, self._end = (0, len(x[0])) if rows is None else rows
        self.rows = self.shuffled = self._end - self._begin
        self.cut(1)
        self._ahead: Ahead[_Piece] = Ahead()
        self.first = self._examples(slice(self._begin, min(self._begin + _FIRST, self._end)))

    def cut(self, batch_size: int) -> None:
        self.batch_size = min(batch_size, self.rows)
        self.steps = -(-self.rows // self.batch_size)
        of_row = sum(
            array[:1].nbytes if isinstance(array, np.ndarray) else array.row_bytes
            for array in self._x
        )
        batches = max(1, PIECE_BYTES // max(1, of_row * self.batch_size))
        self._piece_rows = batches * self.batch_size

    def some(self, begin: int, end: int) -> OnDisk:
        """A source of some of the rows."""
        return OnDisk(
            self._model, self._compiled, self._x, self._y, self._weights,
            (self._begin + begin, self._begin + end), self._argument,
        )  # fmt: skip

    def check(self) -> None:
        """Reads all of it once, so that what is wrong is refused before anything is done."""
        for first in range(self._begin, self._end, self._piece_rows):
            with _counting_from(first, "row"):
                self._examples(slice(first, min(first + self._piece_rows, self._end)))

    def _examples(self, which: np.ndarray | slice) -> Examples:
        model = self._model
        x = [_picked(array, which) for array in self._x]
        rows = _feeding.rows(model, x if len(x) > 1 else x[0], f"{self._argument}x")
        if self._y is None:
            return Examples(rows, ())
        if isinstance(self._y, list):
            y = [_picked(array, which) for array in self._y]
            targets = _feeding.targets(
                model, y if len(y) > 1 else y[0], rows, f"{self._argument}y",
                compiled=self._compiled,
            )  # fmt: skip
            return Examples(rows, targets, self._own_weights(which))
        return Examples(rows, _each_of(self._y, which), self._own_weights(which))

    def _own_weights(self, which: np.ndarray | slice) -> Weights:
        if self._weights is None:
            return None
        return tuple(None if one is None else one[which] for one in self._weights)

    def digest(self) -> str:
        return _digests.of_examples(
            self.rows, row_bytes(self.first), lambda numbers: self._examples(self._begin + numbers)
        )

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        for pieces in self._ahead.through(self._pieces(order, row)):
            for piece in pieces:
                examples, before = piece.examples, piece.before
                yield Part(
                    examples, 0, count(examples.x), self.batch_size, before,
                    before // self.batch_size,
                )  # fmt: skip

    def _pieces(self, order: np.ndarray | None, row: int) -> Iterator[_Piece]:
        for first in range(row, self.rows, self._piece_rows):
            last = min(first + self._piece_rows, self.rows)
            begin = self._begin
            which = (
                slice(begin + first, begin + last) if order is None else begin + order[first:last]
            )
            with _counting_from(first, "row" if order is None else "the epoch's row"):
                examples = self._examples(which)
            yield _Piece(examples, first)

    def close(self) -> None:
        self._ahead.close()


@contextlib.contextmanager
def _counting_from(first: int, word: str) -> Iterator[None]:
    """Has refusals of a piece, whose places are the piece's, say where it begins."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if first and type(error) in (ValueError, TypeError):
            told = f"{error}; rows are counted from {word} {first} on"
            raise type(error)(told) from None
        raise


class _Piece(NamedTuple):
    """Rows that were read, and how many of the pass came before them."""

    examples: Examples
    before: int

    @property
    def nbytes(self) -> int:
        return nbytes(self.examples)


def _picked(array: Any, which: np.ndarray | slice) -> np.ndarray:
    if isinstance(array, np.ndarray):
        return array[which]
    if isinstance(which, slice):
        return array.stretch(which.start, which.stop)
    return array.picked(which)


def _each_of(rows: Rows, which: np.ndarray | slice) -> Rows:
    return tuple(one[which] for one in rows) if isinstance(rows, tuple) else rows[which]


def refuse_parts_of_batches(built: Built, argument: str, source: Source) -> None:
    """Raises ValueError for rows that are no whole batches, of which layers remember states."""
    if not source.comes_as_it_is and source.rows is not None:
        _feeding.refuse_part_of_batch(built, argument, source.rows)


def regrouped(parts: Iterable[Part], rows: int) -> Iterator[Examples]:
    """The examples of a pass, so many at a time or a multiple of it, the last ones excepted."""
    held: list[Examples] = []
    at_hand = 0
    for part in parts:
        held.append(picked_examples(part.examples, slice(part.first, part.last)))
        at_hand += part.last - part.first
        whole = at_hand // rows * rows
        if whole:
            together = joined_examples(held)
            yield picked_examples(together, slice(0, whole))
            held = [picked_examples(together, slice(whole, None))] if whole < at_hand else []
            at_hand -= whole
    if at_hand:
        yield joined_examples(held)
