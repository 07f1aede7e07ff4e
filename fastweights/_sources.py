"""Where examples come from: arrays, rows on disk, or batches that somebody makes.

# Design: a pass over a source is a sequence of `Part`s, each of which has rows at hand that follow
# each other in the pass and are cut into batches of one size. Arrays are one part; of rows on disk
# and of batches a thread makes parts ahead, checked and converted there. What is trained does not
# depend on how a pass is cut into parts: a part says where in the pass it begins.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check, _feeding, _frames, _row_weights
from fastweights._ahead import Ahead
from fastweights._rows import (
    Examples,
    Rows,
    Weights,
    count,
    each,
    joined_examples,
    nbytes,
    picked_examples,
)

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._plans import Compiled
    from fastweights.layers.ops import Shape
    from fastweights.models import Model

#: Of rows that are read at a time, unless a batch has more.
PIECE_BYTES = 4 << 20
#: Room for batches that come one after the other, to be trained on in one go.
SHELF_BYTES = 1 << 20


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
    """

    rows: int | None
    steps: int | None
    shuffled: int
    batch_size: int
    first: Examples
    is_over = False
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

    def parts(self, order: np.ndarray | None, row: int) -> Generator[Part, None, None]:
        """A pass in this order, from its row of this number on."""
        raise NotImplementedError

    def end_pass(self) -> None:
        """Hears that a pass came to its end."""

    def close(self) -> None:
        """Lets go of what it has open."""


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

    def parts(self, order: np.ndarray | None, row: int) -> Generator[Part, None, None]:
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
        self.first = self._examples(slice(self._begin, self._begin + 1))

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
            try:
                self._examples(slice(first, min(first + self._piece_rows, self._end)))
            except (ValueError, TypeError) as error:
                # Places in the message are those of the piece.
                if first and type(error) in (ValueError, TypeError):
                    raise type(error)(f"{error}; rows are counted from row {first} on") from None
                raise

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

    def parts(self, order: np.ndarray | None, row: int) -> Generator[Part, None, None]:
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
            if order is None:
                yield _Piece(self._examples(slice(self._begin + first, self._begin + last)), first)
            else:
                yield _Piece(self._examples(self._begin + order[first:last]), first)

    def close(self) -> None:
        self._ahead.close()


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


# ---- batches that somebody makes -----------------------------------------------------------------


def gives_batches(given: Any) -> bool:
    """Whether this is no array of numbers but something that gives batches of them."""
    kind = type(given)
    if isinstance(given, (Mapping, Set, Sequence, np.ndarray, str, bytes, memoryview)):
        return False
    if any(hasattr(kind, name) for name in _OF_ARRAYS) or _frames.is_frame(given):
        return False
    is_indexed = hasattr(kind, "__getitem__") and hasattr(kind, "__len__")
    return is_indexed or (isinstance(given, Iterable) and not isinstance(given, _VIEWS))


#: What arrays, sparse ones and frames have.
_OF_ARRAYS = (
    "__array__", "__array_interface__", "__dlpack__", "dtype", "shape", "to_numpy", "toarray",
    "collect", "__buffer__",
)  # fmt: skip
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()), range)


def refuse_parts_of_batches(built: Built, argument: str, source: Source) -> None:
    """Raises ValueError for rows that are no whole batches, of which layers remember states."""
    if not source.comes_as_it_is and source.rows is not None:
        _feeding.refuse_part_of_batch(built, argument, source.rows)


class Batches(Source):
    """Batches as they come, each of which is a step.

    Parameters
    ----------
    model, compiled
        What they are for.
    given : iterator, iterable, or object with ``__len__`` and ``__getitem__``
        Gives (x, y) or (x, y, weights), tuples or lists; where no targets are wanted x alone, too.
    steps : int, optional
        Of a pass; by default all that there are.
    class_weight : dict, or a list or dict of those, optional
    argument : str
        What messages call `given`.
    wants_targets : bool
    """

    comes_as_it_is = True

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        given: Any,
        steps: int | None,
        class_weight: Any = None,
        argument: str = "x",
        wants_targets: bool = True,
    ) -> None:
        self._model, self._compiled, self._given = model, compiled, given
        self._class_weight, self._argument = class_weight, argument
        self._wants_targets = wants_targets
        self._ahead: Ahead[Any] = Ahead()
        #: What is gone through, and what was looked at of it that no pass had yet.
        self._iterator: Iterator[Any] | None = given if isinstance(given, Iterator) else None
        self._held: list[Any] = []
        self._size = _length(argument, given)
        is_indexed = self._iterator is None and self._size is not None
        self._is_indexed = is_indexed and hasattr(type(given), "__getitem__")
        if self._is_indexed and steps is not None and steps > (self._size or 0):
            expected = f"at most {self._size}, as many as there are batches"
            raise ValueError(_check.refusal("steps", steps, expected))
        self.steps = self._size if steps is None else steps
        self._limit = steps
        self.shuffled = (self._size or 0) if self._is_indexed else 0
        self.rows = None

    def look(
        self, names: _feeding.Names | None = None, shapes: Sequence[Shape] | None = None
    ) -> tuple[Any, Any, Any]:
        """Reads and checks the first batch, which says what the others must be like."""
        raw: list[Any] = []
        for taken in self._ahead.through(self._first()):
            raw.extend(taken)
        if not raw:
            expected = "one batch at least"
            raise ValueError(_check.refusal(self._argument, "nothing", expected))
        given = self._unpacked(0, raw[0].batch)
        self.first = self._checked(0, given, names, shapes)
        self.batch_size = count(self.first.x)
        if self.steps is not None:
            self.rows = self.steps * self.batch_size
        return given

    def parts(self, order: np.ndarray | None, row: int) -> Generator[Part, None, None]:
        passed, steps = 0, 0
        for pieces in self._ahead.through(self._pieces(order, row)):
            for piece in _runs(pieces):
                size, examples = piece.size, piece.shelf.examples(piece.first, piece.last)
                rows = piece.last - piece.first
                yield Part(examples, 0, rows, size, piece.before, piece.number)
                passed, steps = piece.before + rows, piece.number + rows // size
        if passed:
            self.rows, self.steps = passed, steps

    def end_pass(self) -> None:
        end = getattr(self._given, "on_epoch_end", None)
        if callable(end):
            end()

    def close(self) -> None:
        self._ahead.close()

    # ---- in the thread ---------------------------------------------------------------------------

    def _first(self) -> Iterator[_Raw]:
        for batch in self._batches(None):
            if not self._is_indexed:
                self._held.append(batch)
            yield _Raw(batch)
            return

    def _batches(self, order: np.ndarray | None) -> Iterator[Any]:
        """What is given, for one pass or until it ends."""
        if self._is_indexed:
            assert self._size is not None
            for number in range(self._size) if order is None else order.tolist():
                yield self._given[number]
            return
        while self._held:
            yield self._held.pop()
        is_anew = self._iterator is None
        if is_anew:
            self._iterator = iter(self._given)
        assert self._iterator is not None
        for batch in self._iterator:
            is_anew = False
            yield batch
        if isinstance(self._given, Iterator):
            self.is_over = True
            return
        # Begins anew where it can, unless there is nothing in it.
        self._iterator = None
        if self._limit is not None and not is_anew:
            yield from self._batches(order)

    def _pieces(self, order: np.ndarray | None, row: int) -> Iterator[_OnShelf]:
        begin = getattr(self._given, "on_epoch_begin", None)
        if callable(begin):
            begin()
        before, shelf, number = 0, None, 0
        batches = self._batches(order)
        while self._limit is None or number < self._limit:
            batch = next(batches, _END)
            if batch is _END:
                break
            if before < row and self._rows_of(number, batch) + before <= row:
                before += self._rows_of(number, batch)
                number += 1
                continue
            if before < row:
                got = f"a batch of rows {before} to {before + self._rows_of(number, batch)}"
                expected = f"one that ends at row {row}, from which the fit goes on"
                raise ValueError(_check.refusal(self._argument, got, expected))
            examples = self._checked(number, self._unpacked(number, batch))
            if shelf is None or not shelf.takes(examples):
                shelf = _Shelf(examples)
            first, last = shelf.put(examples)
            yield _OnShelf(shelf, first, last, last - first, before, number)
            before, number = before + last - first, number + 1

    def _rows_of(self, number: int, batch: Any) -> int:
        return count(self._checked(number, self._unpacked(number, batch)).x)

    def _unpacked(self, number: int, batch: Any) -> tuple[Any, Any, Any]:
        """(x, y, weights) of what came."""
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        most = 3
        if len(parts) > most or len(parts) < (2 if self._wants_targets else 1):
            several = isinstance(batch, (tuple, list))
            got = f"{type(batch).__name__} of {len(parts)}" if several else _check.kind_of(batch)
            expected = "(x, y) or (x, y, weights)" if self._wants_targets else "x, or (x, ...)"
            raise ValueError(_check.refusal(f"{self._argument} (batch {number})", got, expected))
        x, y, weights = (*parts, None, None)[:3]
        return x, y, weights

    def _checked(
        self,
        number: int,
        given: tuple[Any, Any, Any],
        names: _feeding.Names | None = None,
        shapes: Sequence[Shape] | None = None,
    ) -> Examples:
        x, y, weights = given
        model, of_batch = self._model, f" (batch {number})"
        prefix = "" if self._argument == "x" else "validation "
        rows = _feeding.rows(model, x, f"{prefix}x{of_batch}", shapes, names)
        if model._built is not None:
            _feeding.refuse_other_batch(model._built, f"{prefix}x{of_batch}", count(rows))
        if not self._wants_targets:
            return Examples(rows, ())
        targets = _feeding.targets(model, y, rows, f"{prefix}y{of_batch}", names, self._compiled)
        found = Examples(
            rows, targets,
            _feeding.sample_weights(model, weights, rows, f"{prefix}sample_weight{of_batch}"),
        )  # fmt: skip
        if self._class_weight is not None:
            found = _row_weights.times_classes(
                found, self._class_weight, self._compiled.objectives,
                _feeding.output_shapes(model, rows),
            )  # fmt: skip
        if number and _which(found.weights) != _which(self.first.weights):
            got = "weights" if found.weights is not None else "none"
            expected = "them in all batches, or in none"
            raise ValueError(_check.refusal(f"{prefix}sample_weight{of_batch}", got, expected))
        return found


_END = object()


def _length(argument: str, given: Any) -> int | None:
    """How many batches there are, if that can be known."""
    if isinstance(given, Iterator) or not hasattr(type(given), "__len__"):
        return None
    try:
        size = len(given)
    except TypeError:  # as a loader of a stream has it
        return None
    if size == 0:
        raise ValueError(_check.refusal(argument, "nothing", "one batch at least"))
    return size


def _which(weights: Weights) -> tuple[bool, ...]:
    return () if weights is None else tuple(one is not None for one in weights)


class _Raw(NamedTuple):
    """A batch as it came."""

    batch: Any

    @property
    def nbytes(self) -> int:
        return 0


class _Shelf:
    """Room for the rows of batches that are alike, one after the other."""

    def __init__(self, like: Examples) -> None:
        rows = count(like.x)
        rows *= max(1, SHELF_BYTES // max(1, nbytes(like)))
        self._room = Examples(*_with_room(like, rows))
        self._filled, self._rows = 0, rows

    def takes(self, batch: Examples) -> bool:
        """Whether there is room for these, of the same dtypes."""
        if self._filled + count(batch.x) > self._rows:
            return False
        return all(
            one.dtype == other.dtype and one.shape[1:] == other.shape[1:]
            for one, other in zip(_arrays(batch), _arrays(self._room), strict=True)
        )

    def put(self, batch: Examples) -> tuple[int, int]:
        """Copies them; where they are."""
        first, last = self._filled, self._filled + count(batch.x)
        for to, come in zip(_arrays(self._room), _arrays(batch), strict=True):
            to[first:last] = come
        self._filled = last
        return first, last

    def examples(self, first: int, last: int) -> Examples:
        return picked_examples(self._room, slice(first, last))


def _arrays(examples: Examples) -> list[np.ndarray]:
    weights = [one for one in examples.weights or () if one is not None]
    return [*each(examples.x), *each(examples.y), *weights]


def _with_room(like: Examples, rows: int) -> tuple[Rows, Rows, Weights]:
    def room(array: np.ndarray) -> np.ndarray:
        return np.empty((rows, *array.shape[1:]), array.dtype)

    x, y, weights = like
    return (
        tuple(map(room, x)) if isinstance(x, tuple) else room(x),
        tuple(map(room, y)) if isinstance(y, tuple) else room(y),
        None if weights is None else tuple(None if one is None else room(one) for one in weights),
    )


class _OnShelf(NamedTuple):
    """Batches of one size that lie side by side."""

    shelf: _Shelf
    first: int
    last: int
    size: int
    before: int
    number: int

    @property
    def nbytes(self) -> int:
        return nbytes(self.shelf.examples(self.first, self.last))


def _runs(pieces: Iterable[_OnShelf]) -> Iterator[_OnShelf]:
    """The same, those that lie side by side as one."""
    run: _OnShelf | None = None
    for piece in pieces:
        if run is not None and run.shelf is piece.shelf and run.size == piece.size:
            run = run._replace(last=piece.last)
            continue
        if run is not None:
            yield run
        run = piece
    if run is not None:
        yield run


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
