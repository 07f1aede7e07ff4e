"""How much each row counts, as users say it: sample and class weights, checked and multiplied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastweights import _check, _frames
from fastweights._core.float_mode import in_default_float_mode
from fastweights._objectives import Objective, filled, for_each
from fastweights._rows import Examples, Weights, each
from fastweights.layers.ops import Shape

if TYPE_CHECKING:
    from fastweights._building import Built

_DOUBLE = np.dtype(np.float64)
_EXPECTED = "numbers of at least 0, some above"

#: Into how many lines each output is cut, 0 for those that it has anyway; None: none is cut.
Lines = tuple[int, ...] | None


# ---- of samples ----------------------------------------------------------------------------------


def of_samples(
    argument: str, given: Any, rows: int, names: Sequence[str], shapes: Sequence[Shape]
) -> Weights:
    """Checked weights of so many rows, for outputs of these names and shapes of rows.

    Parameters
    ----------
    argument : str
        What messages call them.
    given : array_like, or a list or dict of those, or None
        A weight for each row, or for each line of it: vector along the last axis of the output. Of
        several outputs all have the same weights, or each has its own in a list (of None for some)
        or in a dict (which may leave some out).
    """
    if given is None:
        return None
    if len(names) == 1:
        is_named = isinstance(given, Mapping) and set(given) == set(names)
        return (_of_output(argument, given[names[0]] if is_named else given, rows, shapes[0]),)
    if isinstance(given, Mapping):
        given = filled(argument, given, names, None)
    elif not isinstance(given, (list, tuple)):
        given = [given] * len(names)
    several = zip(names, for_each(argument, given, names, "weights"), shapes, strict=True)
    return _any_of(
        None if part is None else _of_output(f"{argument}[{name!r}]", part, rows, shape)
        for name, part, shape in several
    )


def _any_of(weights: Any) -> Weights:
    """The weights of each output; None where none has any."""
    found = tuple(weights)
    return found if any(array is not None for array in found) else None


def _of_output(argument: str, given: Any, rows: int, shape: Shape) -> np.ndarray:
    """Checked weights (rows,), or (rows, lines) where each line has one."""
    if isinstance(given, str):
        expected = "an array of a number for each row; class_weight='balanced' weighs classes"
        raise TypeError(_check.refusal(argument, _check.shown(given), expected))
    array = _check.numeric_array(argument, given)
    by_rows = array.ndim > 0 and array.shape[1:] in ((), (1,))
    if not by_rows and (array.ndim == 0 or len(shape) < 2 or array.shape[1:] != shape[:-1]):
        lead = "".join(f", {size}" for size in shape[:-1])
        expected = f"shape (rows,) or (rows{lead})" if lead else "shape (rows,)"
        raise ValueError(_check.refusal(argument, f"shape {array.shape}", expected))
    if len(array) != rows:
        expected = f"as many as there are inputs, {rows}"
        raise ValueError(_check.refusal(argument, f"{len(array)} rows", expected))
    found = _check.reals(argument, array, _DOUBLE, _frames.labels(given))
    if (found < 0).any():
        where = np.unravel_index((found < 0).argmax(), found.shape)
        raise ValueError(_check.refusal(argument, f"{found[where]} in row {where[0]}", _EXPECTED))
    _refuse_huge(argument, found, "numbers")
    return found.reshape(rows) if by_rows else found.reshape(rows, -1)


def _refuse_huge(argument: str, weights: np.ndarray, what: str) -> None:
    """Raises ValueError for weights of which there is no sum."""
    with np.errstate(over="ignore"):
        total = in_default_float_mode(weights.sum)
    if not math.isfinite(total):
        expected = "smaller ones: what counts is their ratio"
        raise ValueError(_check.refusal(argument, f"{what} whose sum is too large", expected))


def expect_some(argument: str, weights: Weights) -> None:
    """Raises ValueError for an output of which no row counts."""
    for array in weights or ():
        if array is not None and not array.any():
            refuse_none(argument, len(array))


def refuse_none(argument: str, rows: int) -> NoReturn:
    """Raises ValueError about so many rows, of which none counts."""
    raise ValueError(_check.refusal(argument, f"{rows} rows of weight 0", _EXPECTED))


def lines_beyond(built: Built, objectives: Sequence[Objective], weights: Weights) -> Lines:
    """The lines that outputs are cut into for the sake of their weights alone."""
    if weights is None:
        return None
    several = zip(objectives, weights, built.output_shapes, built.output_masks, strict=True)
    lines = tuple(
        0 if array is None or array.ndim == 1 else _beyond(objective, array.shape[1], shape, mask)
        for objective, array, shape, mask in several
    )
    return lines if any(lines) else None


def _beyond(objective: Objective, lines: int, shape: Shape, mask: tuple[int, Shape] | None) -> int:
    own = objective.lines(shape) if mask is None else objective.lines_told(shape, mask[1])
    return lines if lines > own else 0


# ---- of classes ----------------------------------------------------------------------------------


def times_classes(
    examples: Examples,
    class_weight: Any,
    objectives: Sequence[Objective],
    shapes: Sequence[Shape],
) -> Examples:
    """The examples with what their classes count multiplied in.

    Parameters
    ----------
    class_weight : dict of int to float, "balanced", a list or dict of those by output, or None
        What each class counts; one that is left out counts 1, as in Keras. ``"balanced"``:
        ``rows / (classes * rows of the class)`` over the classes that occur, as in scikit-learn.
    """
    if class_weight is None:
        return examples
    names = [one.output for one in objectives]
    own = examples.weights or (None,) * len(names)
    several = zip(
        objectives, _of_each(class_weight, names), each(examples.y), own, shapes, strict=True
    )
    weights = _any_of(
        array if given is None else _product(named, array, _of_classes(named, given, one, y, shape))
        for one, (named, given), y, array, shape in several
    )
    return examples._replace(weights=weights)


def _of_each(given: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """What each output's classes count, and what messages call it."""
    argument = "class_weight"
    if len(names) == 1:
        is_named = isinstance(given, Mapping) and set(given) == set(names)
        return [(argument, given[names[0]] if is_named else given)]
    if isinstance(given, Mapping):
        if given and not any(isinstance(name, str) for name in given):
            expected = f"one of each output: {{{names[0]!r}: {{0: 1.0, 1: 2.0}}, ...}}"
            raise TypeError(_check.refusal(argument, _check.shown(given), expected))
        given = filled(argument, given, names, None)
    several = zip(names, for_each(argument, given, names, "weights of classes"), strict=True)
    return [(f"{argument}[{name!r}]", part) for name, part in several]


def _product(argument: str, by_sample: np.ndarray | None, by_class: np.ndarray) -> np.ndarray:
    """Of weights of rows, or of lines."""
    if by_sample is None:
        _refuse_huge(argument, by_class, "weights")
        return by_class
    if by_sample.ndim < by_class.ndim:
        by_sample = by_sample[:, np.newaxis]
    elif by_class.ndim < by_sample.ndim:
        by_class = by_class[:, np.newaxis]
    with np.errstate(over="ignore"):
        product = in_default_float_mode(np.multiply, by_sample, by_class)
    _refuse_huge(argument, product, "weights that are multiplied with sample_weight to ones")
    return product


def _of_classes(
    argument: str, given: Any, objective: Objective, targets: np.ndarray, shape: Shape
) -> np.ndarray:
    """What the class of each row, or line, counts."""
    lines = objective.lines(shape)
    labels, classes = _labels(argument, objective, targets, math.prod(shape) // lines)
    if isinstance(given, str):
        _check.choice(argument, given, {"balanced": None})
        counts = np.bincount(labels, minlength=classes)
        occurring = np.count_nonzero(counts) * np.maximum(counts, 1)
        by_class = in_default_float_mode(np.divide, labels.size, occurring)
    elif isinstance(given, Mapping):
        by_class = np.ones(classes)
        for key, weight in given.items():
            number = _check.whole(f"a class of {argument}", key, 0, classes - 1)
            by_class[number] = _check.number(f"{argument}[{number}]", weight, minimum=0.0)
    else:
        expected = "a dict of a number for each class, or 'balanced'"
        raise TypeError(_check.refusal(argument, _check.kind_of(given), expected))
    weights = by_class[labels]
    return weights if lines == 1 else weights.reshape(-1, lines)


def _labels(
    argument: str, objective: Objective, targets: np.ndarray, outputs: int
) -> tuple[np.ndarray, int]:
    """The class of each line, and how many classes there are."""
    if objective.loss.takes_labels:
        return targets.reshape(-1), outputs
    rows = targets.reshape(-1, outputs)
    if outputs > 1 and objective.loss.of_classes:
        return rows.argmax(axis=1), outputs
    is_one = rows == 1
    if outputs == 1 and (is_one | (rows == 0) | (rows == -1)).all():
        return is_one.reshape(-1).astype(np.int64), 2
    got = f"targets of {objective.loss.name} that are no classes"
    expected = "class labels, one-hot rows, or one output of 0 and 1"
    raise ValueError(_check.refusal(argument, got, expected))
