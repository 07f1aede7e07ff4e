"""Which source is made of what users give `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastweights import _advice, _check, _feeding, _maps, _objects, _row_weights
from fastweights._batches import Batches, gives_batches
from fastweights._rows import Examples, each, picked_examples
from fastweights._sources import OnDisk, Source, Whole

if TYPE_CHECKING:
    from fastweights._plans import Compiled
    from fastweights.layers.ops import Shape
    from fastweights.models import Model


class Given(NamedTuple):
    """What a call got.

    Attributes
    ----------
    x, y, sample_weight, class_weight, batch_size, steps
        The arguments of these names.
    prefix : str
        What the names of `batch_size` and `steps` begin with.
    steps_name : str
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: Any = None
    batch_size: int | None = None
    steps: int | None = None
    prefix: str = ""
    steps_name: str = "steps"

    @property
    def steps_argument(self) -> str:
        """What messages call `steps`."""
        return f"{self.prefix}{self.steps_name}"

    def checked(self) -> Given:
        """The same, where x gives batches and is all there may be, or gives none."""
        if self.steps is not None:
            _check.whole(self.steps_argument, self.steps, 1)
        if self.batch_size is not None:
            _check.whole(f"{self.prefix}batch_size", self.batch_size, 1)
        if not self.gives_batches():
            if self.steps is not None:
                expected = "None, as a pass is all rows; it is for batches that come as they are"
                raise ValueError(_check.refusal(self.steps_argument, self.steps, expected))
            return self
        own = {"y": self.y, "sample_weight": self.sample_weight}
        for name, value in own.items():
            if value is not None:
                expected = "None, as x gives batches of (x, y) or (x, y, weights)"
                raise ValueError(_check.refusal(name, _check.kind_of(value), expected))
        if self.batch_size is not None:
            expected = "None, as the batches come as they are"
            raise ValueError(_check.refusal(f"{self.prefix}batch_size", self.batch_size, expected))
        return self

    def gives_batches(self) -> bool:
        return gives_batches(self.x)

    def opened(self, model: Model) -> Given:
        """The same for this model, files opened."""
        x = _opened("x", self.x, len(model._input_names))
        return self._replace(x=x, y=_opened("y", self.y, len(model.output_names)))

    def is_on_disk(self) -> bool:
        """Whether some of it is to stay where it is."""
        several = [self.x, self.y]
        for one in (self.x, self.y):
            if isinstance(one, dict):
                several.extend(one.values())
            elif isinstance(one, (list, tuple)):
                several.extend(one)
        return any(_maps.is_large(one) for one in several)


def _opened(argument: str, given: Any, arrays: int) -> Any:
    """The files of so many arrays; maps in a list are one array's, unless there are several."""
    if arrays == 1 and isinstance(given, (list, tuple)) and all(map(_maps.is_large, given)):
        return _maps.joined(argument, given) if len(given) > 1 else given
    if isinstance(given, dict):
        return {name: _maps.opened(f"{argument}[{name!r}]", one) for name, one in given.items()}
    if isinstance(given, (list, tuple)) and any(
        isinstance(one, (list, tuple)) and one and all(map(_maps.is_path, one)) for one in given
    ):
        return [_maps.opened(argument, one) for one in given]
    return _maps.opened(argument, given)


def to_fit(
    model: Model, given: Given, held: Given, share: float, opened: contextlib.ExitStack
) -> tuple[Source, Source | None, _feeding.Names]:
    """What to train on, what to validate with, and what the columns are called.

    Sources are closed with `opened`.
    """
    compiled = model._compiled
    compiled.training()
    given = given.checked()
    if held.x is None:
        held.checked()
    if given.gives_batches():
        return _fit_to_batches(model, compiled, given, held, share, opened)
    given = given.opened(model)
    _expect_targets(given)
    if given.is_on_disk():
        source = _on_disk(model, compiled, given)
        opened.callback(source.close)
        source.check()
        _advice.about_pixels(model._topology, source.first.x)
        _advice.about_targets(model, source.first.y)
        names = model._names
        first: Examples = source.first
        if held.x is None and share:
            kept = _feeding.kept_rows(source.rows, share)
            parts = source.some(0, kept), source.some(kept, source.rows)
            for part in parts:
                opened.callback(part.close)
            return *parts, names
        found: Source = source
    else:
        rows = _feeding.rows(model, given.x)
        targets = _feeding.targets(model, given.y, rows)
        _advice.about_pixels(model._topology, rows)
        _advice.about_targets(model, targets)
        weights = _feeding.sample_weights(model, given.sample_weight, rows)
        first = Examples(rows, targets, weights)
        names = _feeding.names_of(model, given.x, given.y)
        if held.x is None and share:
            kept = _feeding.kept_rows(len(each(rows)[0]), share)
            apart_examples = picked_examples(first, slice(kept, None))
            first = picked_examples(first, slice(None, kept))
            first = _feeding.by_class(model, first, given.class_weight, compiled)
            _row_weights.expect_some("validation sample_weight", apart_examples.weights)
            return Whole(first), Whole(apart_examples), names
        found = Whole(first)
    shapes = [array.shape[1:] for array in each(first.x)]
    held_out = None
    if held.x is not None:
        held_out = _held_out(model, compiled, held, shapes, names, opened)
    if isinstance(found, Whole):
        found = Whole(_feeding.by_class(model, first, given.class_weight, compiled))
    return found, held_out, names


def _fit_to_batches(
    model: Model,
    compiled: Compiled,
    given: Given,
    held: Given,
    share: float,
    opened: contextlib.ExitStack,
) -> tuple[Source, Source | None, _feeding.Names]:
    if share:
        expected = "0, as batches come as they are; validation_data has others"
        raise ValueError(_check.refusal("validation_split", f"{share:g}", expected))
    if isinstance(given.class_weight, str):
        expected = "a dict of a number for each class, as nobody has counted those of all batches"
        raise ValueError(_check.refusal("class_weight", repr(given.class_weight), expected))
    source = Batches(
        model, compiled, given.x, given.steps, given.steps_argument, given.class_weight
    )
    opened.callback(source.close)
    source.look()
    names = source.names()
    _advice.about_pixels(model._topology, source.first.x)
    _advice.about_targets(model, source.first.y)
    held_out = None
    if held.x is not None:
        shapes = [array.shape[1:] for array in each(source.first.x)]
        held_out = _held_out(model, compiled, held, shapes, names, opened)
    return source, held_out, names


def _held_out(
    model: Model,
    compiled: Compiled,
    held: Given,
    shapes: Sequence[Shape],
    names: _feeding.Names,
    opened: contextlib.ExitStack,
) -> Source:
    """What to validate a model with whose rows have these shapes, and its columns these names."""
    held = held.checked()
    if held.gives_batches():
        source = Batches(
            model, compiled, held.x, held.steps, held.steps_argument, argument="validation_data",
            names=names,
        )  # fmt: skip
        opened.callback(source.close)
        source.look(shapes)
        return source
    x, y, weights = _feeding.validation_arrays(held.x)
    arrays = Given(x, y, weights).opened(model)
    if arrays.is_on_disk():
        on_disk = _on_disk(model, compiled, arrays, "validation ")
        opened.callback(on_disk.close)
        on_disk.check()
        return on_disk
    examples = _feeding.held_out(model, (arrays.x, arrays.y, weights), shapes, names)
    _row_weights.expect_some("validation sample_weight", examples.weights)
    return Whole(examples)


def to_evaluate(
    model: Model, compiled: Compiled, given: Given, opened: contextlib.ExitStack
) -> Source:
    """What a built model is evaluated on."""
    given = given.checked()
    if given.gives_batches():
        source = Batches(model, compiled, given.x, given.steps, given.steps_argument)
        opened.callback(source.close)
        source.look()
        return source
    given = given.opened(model)
    _expect_targets(given)
    if given.is_on_disk():
        on_disk = _on_disk(model, compiled, given)
        opened.callback(on_disk.close)
        return on_disk
    return Whole(_feeding.examples(model, given.x, given.y, compiled, given.sample_weight))


def to_predict(
    model: Model, compiled: Compiled, given: Given, opened: contextlib.ExitStack
) -> Source:
    """What a built model makes predictions of."""
    given = given.checked()
    if given.gives_batches():
        source = Batches(
            model, compiled, given.x, given.steps, given.steps_argument, wants_targets=False
        )
        opened.callback(source.close)
        source.look()
        return source
    given = given.opened(model)
    if given.is_on_disk():
        on_disk = _on_disk(model, compiled, given, wants_targets=False)
        opened.callback(on_disk.close)
        return on_disk
    return Whole(Examples(_feeding.rows(model, given.x), ()))


def _expect_targets(given: Given) -> None:
    if given.y is None:
        _objects.refuse_no_data("x", given.x)
        hint = "; a generator, or what else gives batches, gives those of both"
        if isinstance(given.x, Sequence):
            hint += "; a list or another Sequence is rows: an object with __iter__ gives batches"
        raise TypeError(_check.refusal("y", "None", _objects.EXPECTED) + hint)


def _on_disk(
    model: Model,
    compiled: Compiled,
    given: Given,
    argument: str = "",
    wants_targets: bool = True,
) -> OnDisk:
    """The source of rows that stay on disk, in part at least."""
    x = [_rows_of(f"{argument}{named}", one) for named, one in _feeding.apart(model, given.x)]
    counts = {len(one) for one in x}
    if len(counts) > 1:
        got = f"{' and '.join(str(len(one)) for one in x)} rows"
        raise ValueError(_check.refusal(f"{argument}x", got, "as many rows of each"))
    if not wants_targets:
        return OnDisk(model, compiled, x, None, argument=argument)
    first = OnDisk(model, compiled, x, None, argument=argument).first.x
    y: Any
    if _maps.is_large(given.y):
        y = [_rows_of(f"{argument}y", given.y)]
        if len(y[0]) != len(x[0]):
            expected = f"as many as there are inputs, {len(x[0])}"
            raise ValueError(_check.refusal(f"{argument}y", f"{len(y[0])} rows", expected))
        if given.class_weight is not None:
            expected = "None with targets on disk; sample_weight weighs rows"
            raise ValueError(_check.refusal("class_weight", "one", expected))
        weights = _feeding.sample_weights(
            model, given.sample_weight, first, f"{argument}sample_weight", len(x[0])
        )
        return OnDisk(model, compiled, x, y, weights, argument=argument)
    y = _feeding.targets(
        model, given.y, first, f"{argument}y", compiled=compiled, of_rows=len(x[0])
    )
    weights = _feeding.sample_weights(
        model, given.sample_weight, first, f"{argument}sample_weight", len(x[0])
    )
    found = _feeding.by_class(model, Examples(first, y, weights), given.class_weight, compiled)
    return OnDisk(model, compiled, x, y, found.weights, argument=argument)


def _rows_of(argument: str, given: Any) -> Any:
    """Rows as `OnDisk` reads them; those in memory as an array."""
    if isinstance(given, _maps.OnDisk):
        return given
    if _maps.is_large(given):
        return _maps.OnDisk([given])
    return _check.numeric_array(argument, given)
