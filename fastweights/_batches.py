"""Batches that somebody makes: a generator, an iterable, an object that has them by number.

# Design: all that is theirs runs in the thread that reads ahead, the first batch too. What comes is
# copied at once, since whoever gives it may use its memory again; batches that are alike are copied
# side by side, checked together and trained on in one call of compiled code.
"""

from __future__ import annotations

import copy
import operator
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _advice, _check, _feeding, _frames, _row_weights
from fastweights._ahead import Ahead
from fastweights._groups import Given, Group, as_arrays, form_of, rows_in
from fastweights._rows import Examples, Weights, count, nbytes
from fastweights._sources import Part, Source
from fastweights.data import Parquet

if TYPE_CHECKING:
    from fastweights._plans import Compiled
    from fastweights.layers.ops import Shape
    from fastweights.models import Model

#: Of batches that are checked and trained on in one go.
GROUP_BYTES = 1 << 20
#: One that took longer to make does not wait for others: it may be trained on meanwhile.
SLOW_SECONDS = 1e-4
#: After so many of one pass without an end a warning asks whether there is one.
MANY_BATCHES = 5000


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


class Batches(Source):
    """Batches as they come, each of which is a step.

    Parameters
    ----------
    model, compiled
        What they are for.
    given : iterator, iterable, Parquet, or object with ``__len__`` and ``__getitem__``
        Gives (x, y) or (x, y, weights), tuples or lists; where no targets are wanted x alone, too.
    steps : int, optional
        Of a pass; by default all that there are.
    steps_name : str
        What messages call it.
    class_weight : dict, or a list or dict of those, optional
    argument : str
        What messages call `given`.
    wants_targets : bool
    names : Names, optional
        That columns must have; by default those that the model was trained on.
    """

    comes_as_it_is = True

    def __init__(
        self,
        model: Model,
        compiled: Compiled,
        given: Any,
        steps: int | None,
        steps_name: str,
        class_weight: Any = None,
        argument: str = "x",
        wants_targets: bool = True,
        names: _feeding.Names | None = None,
    ) -> None:
        if isinstance(given, Parquet):
            known = names or _feeding.known_names(model)
            given = given.arranged(argument, known.features[0], known.targets)
        self._model, self._compiled, self._given = model, compiled, given
        self._names, self._class_weight, self.argument = names, class_weight, argument
        self._wants_targets = wants_targets
        self._ahead: Ahead[Any] = Ahead()
        #: What is gone through, and what was looked at of it that no pass had yet.
        self._iterator: Iterator[Any] | None = given if isinstance(given, Iterator) else None
        self._held: list[Any] = []
        #: How many batches a fit that goes on had before its epoch.
        self._to_skip = 0
        self._size = _length(argument, given)
        is_indexed = self._iterator is None and self._size is not None
        self._is_indexed = is_indexed and hasattr(type(given), "__getitem__")
        if self._is_indexed and steps is not None and steps > (self._size or 0):
            expected = f"at most {self._size}, as many as there are batches"
            raise ValueError(_check.refusal(steps_name, steps, expected))
        self.steps = self._size if steps is None else steps
        self._limit, self._steps_name = steps, steps_name
        self.shuffled = (self._size or 0) if self._is_indexed else 0
        self.rows = None
        self.is_short = False
        #: Whether nobody needs be asked any more whether there is an end.
        self._has_end = steps is not None or self._size is not None

    def look(self, shapes: Sequence[Shape] | None = None) -> None:
        """Reads and checks the first batch, which says what the others must be like."""
        found: list[Any] = []
        for taken in self._ahead.through(self._first()):
            found.extend(taken)
        if not found:
            expected = "one batch at least"
            raise ValueError(_check.refusal(self.argument, "nothing", expected))
        given = found[0].given
        self.first = self._checked(0, given, shapes)
        self.batch_size = count(self.first.x)
        if self.steps is not None:
            self.rows = self.steps * self.batch_size
        self._looked_at = given

    def names(self) -> _feeding.Names:
        """What columns are called once the model is trained on these."""
        if not isinstance(self._given, Parquet):
            return _feeding.names_of(self._model, self._looked_at.x, self._looked_at.y)
        features = _frames.meaning_something(self._given.features)
        targets = _frames.meaning_something(self._given.targets)
        known = _feeding.known_names(self._model)
        return _feeding.Names((known.features[0] or features,), known.targets or targets)

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        passed, steps = 0, 0
        counting = _Counting(row, self.first.weights)
        for pieces in self._ahead.through(self._pieces(order, row, epoch)):
            for examples, before, size, number in pieces:
                rows = count(examples.x)
                yield Part(examples, 0, rows, size, before, number)
                passed, steps = before + rows, number + rows // size
                counting.look(examples.weights)
            if steps >= MANY_BATCHES and not self._has_end:
                self._has_end = True
                _advice.about_no_end(self.argument, steps, self._steps_name)
        if not passed:
            return
        self.rows, self.steps, self._has_end = passed, steps, True
        counting.expect_some(self._weights_name(), passed)
        if self.is_short and epoch is None:
            assert self._limit is not None
            _advice.about_few(self.argument, steps, self._limit, self._steps_name)

    def _weights_name(self) -> str:
        if self._class_weight is not None:
            return "class_weight"
        return "sample_weight" if self.argument == "x" else "validation sample_weight"

    def go_on_from(self, epoch: int) -> None:
        has_its_own = self._is_indexed or isinstance(self._given, (Parquet, Iterator))
        if self._limit is not None and not has_its_own:
            self._to_skip = epoch * self._limit

    def end_pass(self) -> None:
        end = getattr(self._given, "on_epoch_end", None)
        if callable(end):
            end()

    def close(self) -> None:
        self._ahead.close()

    # ---- in the thread ---------------------------------------------------------------------------

    def _first(self) -> Iterator[_First]:
        for batch in self._batches(None):
            given = Given(*map(copy.deepcopy, self._unpacked(0, batch)))
            if not self._is_indexed and not isinstance(self._given, Parquet):
                self._held.append(tuple(part for part in given if part is not None))
            yield _First(given)
            return

    def _batches(self, order: np.ndarray | None, epoch: int | None = None) -> Iterator[Any]:
        """What is given, for one pass or until it ends."""
        if isinstance(self._given, Parquet):
            yield from self._of_files(self._given, epoch)
            return
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

    def _of_files(self, files: Parquet, epoch: int | None) -> Iterator[Any]:
        """Those of an epoch, which begins where the one before it ended; else from the first on."""
        through, first = divmod((epoch or 0) * (self._limit or len(files)), len(files))
        while True:
            yield from files.batches(None if epoch is None else through, first)
            if self._limit is None:
                return
            through, first = through + 1, 0

    def _pieces(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Iterator[_Batch]:
        """The batches of a pass; those that are alike together, while others wait to be taken."""
        begin = getattr(self._given, "on_epoch_begin", None)
        if callable(begin):
            begin()
        done, number = 0, 0
        group: Group | None = None
        batches, error = self._batches(order, epoch), None
        for _ in range(self._to_skip):
            next(batches, None)
        self._to_skip = 0
        while error is None and (self._limit is None or number < self._limit):
            began = time.perf_counter()
            try:
                batch = next(batches, _END)
                if batch is _END:
                    self.is_short = self._limit is not None
                    break
                is_slow = time.perf_counter() - began > SLOW_SECONDS
                is_put = group is not None and group.has_put(batch)
                if not is_put:
                    given = self._unpacked(number, batch)
                    form = form_of(given)
                    rows = rows_in(given.x) if form else count(self._checked(number, given).x)
            except Exception as raised:
                # What came before it is worth as much.
                error = raised
                break
            if not (is_put or group is None or group.takes(form)):
                yield from self._checked_group(group)
                group = None
            if is_put:
                pass
            elif done < row:
                self._refuse_cut(done, rows, row)
            elif form is None:
                alone = self._checked(number, Given(*map(copy.deepcopy, given)))
                yield _Batch(alone, done, rows, number)
            elif group is None:
                group = Group(given, form, done, number, GROUP_BYTES)
            else:
                group.put(given)
            done, number = done + rows, number + 1
            if group is not None and (group.is_full or is_slow or self._ahead.is_awaited()):
                yield from self._checked_group(group)
                group = None
        if group is not None:
            yield from self._checked_group(group)
        if error is not None:
            raise error

    def _refuse_cut(self, done: int, rows: int, row: int) -> None:
        """Raises ValueError for a batch in whose middle the fit would go on."""
        if done + rows > row:
            got = f"a batch of rows {done} to {done + rows}"
            expected = f"one that ends at row {row}, from which the fit goes on"
            raise ValueError(_check.refusal(self.argument, got, expected))

    def _checked_group(self, group: Group) -> Iterator[_Batch]:
        """The batches of a group, checked together; one by one where something is wrong."""
        if group.batches > 1:
            try:
                together = self._checked(group.number, group.given(), size=group.rows)
            except (ValueError, TypeError):
                pass
            else:
                yield _Batch(together, group.done, group.rows, group.number)
                return
        for i in range(group.batches):
            examples = self._checked(group.number + i, group.given(i))
            yield _Batch(examples, group.done + i * group.rows, count(examples.x), group.number + i)

    def _unpacked(self, number: int, batch: Any) -> Given:
        """(x, y, weights) of what came."""
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        most = 3
        if len(parts) > most or len(parts) < (2 if self._wants_targets else 1):
            several = isinstance(batch, (tuple, list))
            got = f"{type(batch).__name__} of {len(parts)}" if several else _check.kind_of(batch)
            expected = "(x, y) or (x, y, weights)" if self._wants_targets else "x, or (x, ...)"
            raise ValueError(_check.refusal(f"{self.argument} (batch {number})", got, expected))
        of_batch = f"(batch {number})"
        if not self._wants_targets:
            return Given(as_arrays(f"x {of_batch}", parts[0]), None, None)
        return Given(
            *map(as_arrays, (f"x {of_batch}", f"y {of_batch}", f"sample_weight {of_batch}"), parts),
            *[None] * (most - len(parts)),
        )

    def _checked(
        self,
        number: int,
        given: Given,
        shapes: Sequence[Shape] | None = None,
        size: int | None = None,
    ) -> Examples:
        """The examples of a batch, or of several that are alike and of this size."""
        x, y, weights = given
        model, names, of_batch = self._model, self._names, f" (batch {number})"
        prefix = "" if self.argument == "x" else "validation "
        rows = _feeding.rows(model, x, f"{prefix}x{of_batch}", shapes, names)
        if model._built is not None:
            _feeding.refuse_other_batch(model._built, f"{prefix}x{of_batch}", size or count(rows))
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
        found = type(given).__len__(given)
    except TypeError:  # as a loader of a stream has it
        return None
    try:
        size = operator.index(found)
    except TypeError:
        got = f"a length of {_check.shown(found)}"
        raise TypeError(_check.refusal(argument, got, "a whole number of batches")) from None
    if size < 0:
        got = f"a length of {size}"
        raise ValueError(_check.refusal(argument, got, "a whole number of batches"))
    if size == 0:
        raise ValueError(_check.refusal(argument, "nothing", "one batch at least"))
    return size


class _Counting:
    """Whether some rows of a pass count, if it is gone through from its first row on."""

    def __init__(self, row: int, weights: Weights) -> None:
        none: list[int] = []
        several = enumerate(weights or ())
        self._left = none if row else [number for number, own in several if own is not None]

    def look(self, weights: Weights) -> None:
        """Sees what rows count."""
        if self._left and weights is not None:
            self._left = [number for number in self._left if not np.any(weights[number])]

    def expect_some(self, argument: str, rows: int) -> None:
        """Raises ValueError for an output of which no row counted."""
        if self._left:
            _row_weights.refuse_none(argument, rows)


def _which(weights: Weights) -> tuple[bool, ...]:
    return () if weights is None else tuple(one is not None for one in weights)


class _First(NamedTuple):
    """A copy of the first batch."""

    given: Given

    @property
    def nbytes(self) -> int:
        return 0


class _Batch(NamedTuple):
    """Checked batches of one size that follow each other."""

    examples: Examples
    before: int
    size: int
    number: int

    @property
    def nbytes(self) -> int:
        return nbytes(self.examples)
