"""What users give a model, checked at the door: rows, targets, gradients, and columns' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check, _frames, _objects, _row_weights
from fastweights._building import Built
from fastweights._core.float_mode import in_default_float_mode
from fastweights._objectives import for_each
from fastweights._rows import Examples, Rows, Weights, count, each
from fastweights.layers.ops import Shape

if TYPE_CHECKING:
    from fastweights._plans import Compiled
    from fastweights.models import Model


class Names(NamedTuple):
    """Of a frame's columns; None where no frame came."""

    #: Of each input.
    features: tuple[tuple[str, ...] | None, ...]
    targets: tuple[str, ...] | None


def rows(
    model: Model,
    x: Any,
    argument: str = "x",
    shapes: Sequence[Shape] | None = None,
    names: Names | None = None,
) -> Rows:
    """Checked rows, of `shapes` if the model is not built yet; a frame's columns by `names`.

    Without them by those that the model was trained on.
    """
    built = model._built
    known = shapes if built is None else built.input_shapes
    if type(x) is np.ndarray and len(model._input_names) == 1:
        return _rows_of(model, 0, argument, x, known[0] if known else None)
    several, columns = apart(model, x, argument, known), (names or known_names(model)).features
    arrays = tuple(
        _rows_of(
            model,
            number,
            named,
            _frames.arranged(named, given, columns[number]),
            known[number] if known else None,
        )
        for number, (named, given) in enumerate(several)
    )
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        each_has = zip(model._input_names, arrays, strict=True)
        got = " and ".join(f"{len(array)} rows of {name!r}" for name, array in each_has)
        raise ValueError(_check.refusal(argument, got, "as many rows of each"))
    return arrays if len(arrays) > 1 else arrays[0]


def refuse_batch_size(built: Built, batch_size: int | None) -> None:
    """Raises ValueError for a size that batches cannot have, of which layers remember states."""
    if built.batch_rows and batch_size not in (None, built.batch_rows):
        expected = f"{built.batch_rows}, that of fw.Input, as a layer is stateful"
        raise ValueError(_check.refusal("batch_size", batch_size, expected))


def refuse_part_of_batch(built: Built, argument: str, rows: int) -> None:
    """Raises ValueError for rows that are no whole batches, of which layers remember states."""
    if built.batch_rows and rows % built.batch_rows:
        expected = f"whole batches of {built.batch_rows}, which fw.Input says: a layer is stateful"
        raise ValueError(_check.refusal(argument, f"{rows} rows", expected))


def refuse_other_batch(built: Built, argument: str, rows: int) -> None:
    """Raises ValueError for rows that are not one batch, of which layers remember states."""
    if built.batch_rows not in (0, rows):
        expected = f"one batch of {built.batch_rows}, which fw.Input says: a layer is stateful"
        raise ValueError(_check.refusal(argument, f"{rows} rows", expected))


def _rows_of(model: Model, number: int, argument: str, x: Any, shape: Shape | None) -> np.ndarray:
    """Checked rows of the input of this number: reals, or whole numbers if layers read such.

    Reals that came as bytes are bytes still: a plan makes reals of the rows that it works on.
    """
    built = model._built
    if built is not None and built.limits[number] is None and number not in built.masks:
        return _check.fed_rows(argument, x, model.dtype, shape)
    array, labels = _check.shaped(argument, x, shape), _frames.labels(x)
    if built is None:
        built = Built(model._topology, [array.shape[1:]], model.dtype)
    limit = built.limits[number]
    if number in built.masks:
        _check.mask(argument, array, labels)
    if limit is None:
        return _check.fed(argument, array, model.dtype, labels)
    return _check.tokens(argument, array, limit, labels)


def apart(
    model: Model, x: Any, argument: str = "x", shapes: Sequence[Shape] | None = None
) -> list[tuple[str, Any]]:
    """What came for each input, and what messages call it; from a list, or a dict by names."""
    names = model._input_names
    if len(names) == 1:
        if isinstance(x, Mapping) and set(x) == set(names):
            (x,) = x.values()
        elif isinstance(x, Mapping):
            expected = f"an array, or a dict of one for {names[0]!r}"
            got = f"a dict of {', '.join(map(repr, x)) or 'nothing'}"
            raise TypeError(
                _check.refusal(argument, got, expected)
                + "; np.column_stack(list(columns.values())) makes one of columns"
            )
        elif isinstance(x, (list, tuple)) and len(x) == 1 and shapes is not None:
            # One input in a list, as several are; its array has an axis more than a row.
            x = x[0] if getattr(x[0], "ndim", 0) == len(shapes[0]) + 1 else x
        return [(argument, x)]
    expected = f"arrays for {', '.join(names)}, in a list or a dict"
    if isinstance(x, Mapping):
        if set(x) != set(names):
            raise ValueError(_check.refusal(argument, f"a dict of {list(x)}", expected))
        x = [x[name] for name in names]
    if not isinstance(x, (list, tuple)):
        raise TypeError(_check.refusal(argument, _check.kind_of(x), expected))
    if len(x) != len(names):
        raise ValueError(_check.refusal(argument, f"{len(x)} arrays", expected))
    return [(f"{argument}[{name!r}]", given) for name, given in zip(names, x, strict=True)]


def known_names(model: Model) -> Names:
    """The columns' names that frames must have: of what the model, or a layer, has learnt."""
    features = list(model._names.features)
    for layer, reads, _ in model._topology.calls:
        if reads[0] < len(features):
            features[reads[0]] = features[reads[0]] or layer._columns
    return Names(tuple(features), model._names.targets)


def names_of(model: Model, x: Any, y: Any) -> Names:
    """The names of features and targets once the model is trained on these: the first ones."""
    if type(x) is type(y) is np.ndarray:  # which have none
        return model._names
    known, built = known_names(model), model._built
    several = apart(model, x, "x", built.input_shapes if built is not None else None)
    features = tuple(
        old or _frames.names(given) for old, (_, given) in zip(known.features, several, strict=True)
    )
    return Names(features, known.targets or _frames.names(y))


def targets(
    model: Model,
    y: Any,
    rows: Rows,
    argument: str = "y",
    names: Names | None = None,
    compiled: Compiled | None = None,
    of_rows: int | None = None,
) -> Rows:
    """The targets of checked rows as the kernels of losses and metrics take them.

    `of_rows` is how many rows have targets, where those rows are but the first of them.
    """
    compiled = compiled or model._compiled
    compiled.training()
    shapes = output_shapes(model, rows)
    last, objectives = of_rows or count(rows), compiled.objectives
    if len(shapes) > 1:
        outputs = model.output_names
        several = zip(
            objectives, for_each(argument, y, outputs, "targets"), outputs, shapes, strict=True
        )
        return tuple(
            one.targets(f"{argument}[{name!r}]", part, last, shape, model.dtype)
            for one, part, name, shape in several
        )
    if type(y) is not np.ndarray:
        y = _targets_alone(model, y, last, argument, shapes[0], names)
    return objectives[0].targets(argument, y, last, shapes[0], model.dtype)


def _targets_alone(
    model: Model, y: Any, rows: int, argument: str, shape: Shape, names: Names | None
) -> Any:
    """One output's targets, out of a dict or a list of them, a frame's columns by `names`."""
    if isinstance(y, Mapping) and set(y) == set(model.output_names):
        (y,) = y.values()
    elif isinstance(y, Mapping):
        expected = f"an array, or a dict of one for {model.output_names[0]!r}"
        got = f"a dict of {', '.join(map(repr, y)) or 'nothing'}"
        raise TypeError(_check.refusal(argument, got, expected))
    elif isinstance(y, (list, tuple)) and len(y) == 1:
        # As several come, rather than the targets of one row.
        axes = getattr(y[0], "ndim", 0)
        y = y[0] if axes == len(shape) + 1 or (axes > 0 and rows > 1) else y
    if math.prod(shape) == 1:
        return y
    return _frames.arranged(argument, y, (names or known_names(model)).targets)


def examples(
    model: Model,
    x: Any,
    y: Any,
    compiled: Compiled | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> Examples:
    """All of them as plans take them; builds the model, whose turn this is, if need be."""
    compiled = compiled or model._compiled
    compiled.training()
    checked = rows(model, x)
    wanted = targets(model, y, checked, compiled=compiled)
    found = Examples(checked, wanted, sample_weights(model, sample_weight, checked))
    found = by_class(model, found, class_weight, compiled)
    model._built_for(checked)
    return found


def sample_weights(
    model: Model,
    given: Any,
    rows: Rows,
    argument: str = "sample_weight",
    of_rows: int | None = None,
) -> Weights:
    """What each of these checked rows counts, or each of those of which they are the first."""
    if given is None:
        return None
    shapes = output_shapes(model, rows)
    return _row_weights.of_samples(
        argument, given, of_rows or count(rows), model.output_names, shapes
    )


def by_class(model: Model, examples: Examples, class_weight: Any, compiled: Compiled) -> Examples:
    """The examples with what their classes count; ValueError where nothing is left that does."""
    if class_weight is None:
        _row_weights.expect_some("sample_weight", examples.weights)
        return examples
    shapes = output_shapes(model, examples.x)
    found = _row_weights.times_classes(examples, class_weight, compiled.objectives, shapes)
    _row_weights.expect_some("class_weight", found.weights)
    return found


def output_shapes(model: Model, rows: Rows) -> tuple[Shape, ...]:
    """Of one row of each output, also of a model that is to be built for these rows."""
    built = model._built
    if built is not None:
        return built.output_shapes
    values = model._topology.values([array.shape[1:] for array in each(rows)])
    return tuple(values[number].shape for number in model._topology.outputs)


def output_gradients(model: Model, dy: Any, built: Built) -> tuple[np.ndarray, ...]:
    """Checked rows of gradients by each output."""
    names, shapes = model.output_names, built.output_shapes
    if len(shapes) == 1 and not (isinstance(dy, Mapping) and set(dy) == set(names)):
        return (_check.rows("dy", dy, model.dtype, shapes[0]),)
    several = zip(for_each("dy", dy, names, "gradients"), names, shapes, strict=True)
    return tuple(
        _check.rows(f"dy[{name!r}]", part, model.dtype, shape) for part, name, shape in several
    )


def kept_rows(rows: int, share: float) -> int:
    """How many of the rows are trained on where a share of them is held out."""
    kept = in_default_float_mode(lambda: math.floor(rows * (1.0 - share)))
    if 0 < kept < rows:
        return kept
    expected = "a share that leaves rows to train on and rows to hold out"
    raise ValueError(_check.refusal("validation_split", f"{share:g} of {rows} rows", expected))


def held_out(model: Model, data: Any, shapes: Sequence[Shape], names: Names) -> Examples:
    """Checked examples to validate with, of arrays."""
    x, y, weights = validation_arrays(data)
    checked = rows(model, x, "validation x", shapes, names)
    wanted = targets(model, y, checked, "validation y", names)
    argument = "validation sample_weight"
    return Examples(checked, wanted, sample_weights(model, weights, checked, argument))


def validation_arrays(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, weights) of `validation_data`; the last is None where there are none."""
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        x, y, *more = data
        return x, y, more[0] if more else None
    _objects.refuse_no_data("validation_data", data)
    is_several = isinstance(data, (tuple, list))
    got = f"a {type(data).__name__} of {len(data)}" if is_several else _check.kind_of(data)
    raise ValueError(_check.refusal("validation_data", got, "(x, y) or (x, y, weights)"))
