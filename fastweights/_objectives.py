"""What each output of a model is trained for: its loss, what that counts, and its metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, losses
from fastweights import metrics as known_metrics
from fastweights.layers.ops import Shape
from fastweights.losses import Loss, NumpyLoss
from fastweights.metrics import Metric


class Objective(NamedTuple):
    """What one output is trained for."""

    output: str
    loss: Loss
    weight: float
    metrics: tuple[Metric, ...]

    def lines(self, shape: Shape) -> int:
        """How many targets a row has: one for each line where loss or metrics are of classes."""
        if len(shape) == 1 or not self.is_of_classes:
            return 1
        if isinstance(self.loss, NumpyLoss):
            got = f"metrics of classes beside {self.loss.title}, for rows of shape {shape}"
            raise ValueError(_check.refusal("metrics", got, "others: it is of all of a row"))
        return math.prod(shape[:-1])

    @property
    def is_of_classes(self) -> bool:
        """Whether the last axis are classes, to loss or metrics."""
        return self.loss.of_classes or any(metric.of_classes for metric in self.metrics)

    def lines_told(self, shape: Shape, mask: Shape) -> int:
        """How many lines a row has that a mask of this shape says of whether they count."""
        lines = self.lines(shape)
        told = math.prod(mask)
        if mask != shape[: len(mask)] or (self.is_of_classes and len(mask) == len(shape)):
            got = f"a mask of rows {mask} for {self.output!r}, of rows {shape}"
            raise ValueError(_check.refusal("loss", got, "one of its first axes"))
        if isinstance(self.loss, NumpyLoss):
            targets = self.loss.targets_shape(shape)
            if targets[: len(mask)] != mask:
                got = f"a mask of rows {mask} for targets of rows {targets}"
                raise ValueError(_check.refusal("target_shape", got, "its first axes"))
        return max(lines, told)

    def target_bytes(self, shape: Shape, real: np.dtype) -> int:
        """Of the targets of one row."""
        if isinstance(self.loss, NumpyLoss):
            return math.prod(self.loss.targets_shape(shape)) * real.itemsize
        lines = self.lines(shape)
        return self.loss.target_bytes(math.prod(shape) // lines, real) * lines

    def targets(self, argument: str, y: Any, rows: int, shape: Shape, real: np.dtype) -> np.ndarray:
        """Targets of so many rows, for outputs of this shape, as kernels take them."""
        lines = self.lines(shape)
        outputs = math.prod(shape) // lines
        if isinstance(self.loss, NumpyLoss):
            targets = self.loss.own_targets(argument, y, rows, shape, real)
        else:
            if len(shape) > 1:
                y = self._as_lines(argument, y, shape, lines)
            targets = self.loss.prepared(y, rows * lines, outputs, real, argument)
        for metric in self.metrics:
            metric.check_targets(argument, targets, outputs)
        return targets if lines == 1 else targets.reshape(rows, -1)

    def _as_lines(self, argument: str, y: Any, shape: Shape, lines: int) -> np.ndarray:
        """Targets with as many axes as the output, or one less for labels, line by line."""
        y = _check.numeric_array(argument, y)
        labelled, outputs = self.loss.takes_labels, math.prod(shape) // lines
        lead = shape[:-1] if lines > 1 else ()
        if not self.loss.has_target_of_each:
            # All but the last axis are those of the output.
            shape, outputs = (*shape[:-1], self.loss.target_columns(shape[-1])), 1
            if shape[-1] == 1 and y.shape[1:] == shape[:-1]:
                return y.reshape(-1)
        if y.shape[1:] == shape and not (labelled and outputs > 1):
            return y.reshape(len(y) * lines, -1)
        if labelled and y.ndim > 0 and y.shape[1:] in (lead, (*lead, 1)):
            return y.reshape(-1)
        if lines == 1 and y.shape[1:] == (outputs,):
            return y
        wanted = lead if labelled else shape
        expected = f"shape (rows{''.join(f', {size}' for size in wanted)})"
        raise ValueError(
            _check.refusal(argument, f"shape {y.shape}", expected)
            + _hint_for_targets(argument, y.shape, shape, wanted, self.loss)
        )


def _hint_for_targets(argument: str, got: Shape, shape: Shape, wanted: Shape, loss: Loss) -> str:
    """What to change about targets of shape `got`, where rows of outputs have that shape."""
    if got[1:] in ((), (1,), shape[-1:]):
        pooling = f"layers.GlobalAveragePooling{len(shape) - 1}D()" if len(shape) < 4 else "pooling"
        steps = ", or return_sequences=False" if len(shape) == 2 else ""
        return (
            f"; the output has rows of shape {shape}: layers.Flatten() or {pooling} before the "
            f"last layer{steps} makes one prediction of each"
        )
    if got[1:] == shape:
        return "; for one-hot rows use the loss categorical_crossentropy"
    if got[1:] == shape[:-1] and shape[-1] > 1:
        return loss._hint_for_labels
    larger = [one >= other for one, other in zip(got[1:], shape, strict=False)]
    if len(got) == len(shape) + 1 and got[-1] == shape[-1] and all(larger):
        return "; padding='same' keeps the size that rows have"
    return _check.hint_for_rows(argument, got, wanted) if wanted else ""


def _for_all(kind: str, names: Sequence[str]) -> str:
    """What refusals expect of an argument that has one entry for each output."""
    return f"{kind} for {', '.join(map(repr, names))}, in a list or a dict by these names"


def for_each(argument: str, given: Any, names: Sequence[str], kind: str) -> list[Any]:
    """One entry for each output, of a list of them or of a dict by their names."""
    expected = _for_all(kind, names)
    if isinstance(given, Mapping):
        if set(given) != set(names):
            got = f"a dict of {', '.join(map(str, given)) or 'nothing'}"
            raise ValueError(_check.refusal(argument, got, expected))
        return [given[name] for name in names]
    if not isinstance(given, (list, tuple)):
        raise TypeError(_check.refusal(argument, _check.kind_of(given), expected))
    if len(given) != len(names):
        raise ValueError(_check.refusal(argument, f"{len(given)} entries", expected))
    return list(given)


def objectives_of(
    loss: Any, loss_weights: Any, metrics: Any, names: Sequence[str]
) -> tuple[Objective, ...]:
    """What `Model.compile` was given, checked, for each of these outputs.

    A loss alone is that of all outputs; of weights and metrics a dict may leave some out.
    """
    is_config = isinstance(loss, Mapping) and "name" in loss and set(loss).isdisjoint(names)
    if (isinstance(loss, Mapping) and not is_config) or isinstance(loss, (list, tuple)):
        chosen = for_each("loss", loss, names, "losses")
    else:
        chosen = [loss] * len(names)
    if isinstance(loss_weights, Mapping):
        loss_weights = filled("loss_weights", loss_weights, names, 1.0)
    elif loss_weights is None:
        loss_weights = [1.0] * len(names)
    elif isinstance(loss_weights, (int, float)) and len(names) == 1:
        loss_weights = [loss_weights]
    elif isinstance(loss_weights, np.ndarray) and loss_weights.ndim == 1:
        loss_weights = list(loss_weights)
    weights = for_each("loss_weights", loss_weights, names, "numbers")
    objectives = [
        _objective(name, losses.get(one), weight, own)
        for name, one, weight, own in zip(
            names, chosen, weights, _metrics_of(metrics, names), strict=True
        )
    ]
    found = log_names(objectives)
    for name, times in Counter(found).items():
        if times > 1:
            got = f"the name {name!r} twice"
            raise ValueError(_check.refusal("metrics", got, "different names"))
        if f"val_{name}" in found:
            got = f"a figure 'val_{name}' beside the {name!r} of validation data"
            raise ValueError(_check.refusal("compile", got, "other names of outputs or metrics"))
    return tuple(objectives)


def filled(argument: str, given: Mapping[str, Any], names: Sequence[str], other: Any) -> Any:
    """A dict by outputs, with what those have that it leaves out."""
    for name in given:
        _check.choice(argument, name, dict.fromkeys(names))
    return {name: given.get(name, other) for name in names}


def _metrics_of(metrics: Any, names: Sequence[str]) -> list[Any]:
    """The metrics of each output."""
    for_all = _for_all("lists of metrics", names)
    if isinstance(metrics, (str, Metric)):
        expected = f"a list: [{metrics!r}]" if len(names) == 1 else for_all
        raise TypeError(_check.refusal("metrics", repr(metrics), expected))
    if isinstance(metrics, Mapping):
        _refuse_weights(metrics.values())
        metrics = filled("metrics", metrics, names, ())
    elif metrics is None or (isinstance(metrics, (list, tuple)) and not metrics):
        return [()] * len(names)
    elif not isinstance(metrics, (list, tuple)):
        expected = "a list of names or of metrics" if len(names) == 1 else for_all
        raise TypeError(_check.refusal("metrics", _check.kind_of(metrics), expected))
    else:
        _refuse_weights(metrics)
        if len(names) == 1 and not isinstance(metrics[0], (list, tuple)):
            return [metrics]
    return for_each("metrics", metrics, names, "lists of metrics")


def _refuse_weights(entries: Iterable[Any]) -> None:
    """Raises TypeError where Keras's third argument came, which is another one there."""
    for entry in entries:
        if isinstance(entry, (int, float)):
            got = f"the number {_check.shown(entry)}"
            raise TypeError(
                _check.refusal("metrics", got, "names or metrics; loss_weights=... weighs")
            )


def _objective(output: str, loss: Loss, weight: Any, metrics: Any) -> Objective:
    weight = _check.number("loss_weights", weight, minimum=0.0)
    if metrics is None or isinstance(metrics, (str, Metric)):
        metrics = () if metrics is None else (metrics,)
    chosen = tuple(known_metrics.get(metric, loss) for metric in metrics)
    for metric in chosen:
        if metric.needs_target_of_each and not loss.has_target_of_each:
            got = f"{metric.name!r} beside the loss {loss.name}"
            expected = "a function: others need a target for each output, which it has not"
            raise ValueError(_check.refusal("metrics", got, expected))
    return Objective(output, loss, weight, chosen)


def own_losses(
    objectives: Sequence[Objective | None],
    shapes: Sequence[Shape],
    lines: Sequence[int],
    real: np.dtype,
) -> tuple[tuple[Any, int] | None, ...]:
    """Of each output what a plan calls where its loss is Python's, and the bytes of its targets.

    `lines` are those that a plan cuts its rows into.
    """
    found: list[tuple[Any, int] | None] = []
    for one, shape, count in zip(objectives, shapes, lines, strict=True):
        if one is None or not isinstance(one.loss, NumpyLoss):
            found.append(None)
            continue
        targets = one.loss.targets_shape(shape)
        axes = next(n for n in range(len(shape) + 1) if math.prod(shape[:n]) == count)
        if targets[:axes] != shape[:axes]:
            got = f"{targets}, where each of {shape[:axes]} counts apart"
            raise ValueError(_check.refusal("target_shape", got, "these axes first"))
        call = one.loss.caller(targets[axes:], shape[axes:])
        found.append((call, one.target_bytes(shape, real)))
    return tuple(found)


def log_names(objectives: Sequence[Objective]) -> list[str]:
    """What a history calls the loss, each output's loss where there are several, and metrics."""
    if len(objectives) == 1:
        return ["loss", *(metric.name for metric in objectives[0].metrics)]
    return [
        "loss",
        *(f"{one.output}_loss" for one in objectives),
        *(f"{one.output}_{metric.name}" for one in objectives for metric in one.metrics),
    ]
