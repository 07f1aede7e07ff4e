"""The figures of one pass over examples: loss and metrics, from sums and from all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._core.float_mode import in_default_float_mode
from fastweights._rows import Examples, Weights, count, each
from fastweights.metrics import Figure

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core.plan import Plan
    from fastweights._plans import Compiled


class Figures:
    """What one pass of a plan adds up and, for metrics that look at all rows, keeps.

    Attributes
    ----------
    tally : Tally
    """

    def __init__(self, built: Built, compiled: Compiled, plan: Plan, weights: Weights) -> None:
        self._built, self._compiled, self._lines = built, compiled, plan.lines()
        self._shapes = built.output_shapes
        self.tally = plan.tally(weights)
        self._wanted = [
            any(metric.kernel is None for metric in one.metrics) for one in compiled.objectives
        ]
        #: What was kept, part by part, of rows that follow each other in the pass.
        self._kept: list[_Kept] = []

    def go_on(self, examples: Examples, order: np.ndarray | None = None, first: int = 0) -> None:
        """Makes room for a part of the pass: these examples, by their order, from `first` on."""
        if not any(self._wanted):
            return
        rows = count(examples.x) if order is None else len(order)
        shapes, masks, dtype = self._shapes, self._built.output_masks, self._built.dtype
        out = tuple(
            np.empty((rows, *shape), dtype) if is_wanted else None
            for is_wanted, shape in zip(self._wanted, shapes, strict=True)
        )
        told = tuple(
            None if mask is None or not is_wanted else np.empty((rows, lines), bool)
            for is_wanted, lines, mask in zip(self._wanted, self._lines, masks, strict=True)
        )
        y, weights, before = each(examples.y), examples.weights, self.tally.rows_seen
        self._kept.append(_Kept(y, weights, order, first, before, out, told))

    @property
    def out(self) -> tuple[np.ndarray | None, ...] | None:
        """Where a part leaves each output's predictions; None where no metric wants them."""
        return self._kept[-1].out if self._kept else None

    @property
    def told(self) -> tuple[np.ndarray | None, ...] | None:
        """Where it leaves which lines of outputs a mask says count."""
        return self._kept[-1].told if self._kept else None

    def until(self, rows: int) -> tuple[Any, Any]:
        """`out` and `told` for a call that goes on to the row of this number."""

        def cut(arrays: tuple[np.ndarray | None, ...] | None) -> Any:
            return arrays and tuple(None if array is None else array[:rows] for array in arrays)

        return cut(self.out), cut(self.told)

    def state(self) -> dict[str, np.ndarray]:
        """All that it has of the rows that were gone through."""
        state = {"tally": self.tally.numbers()}
        for number, is_wanted in enumerate(self._wanted):
            if is_wanted:
                named = zip(_KEPT, self._seen(number), strict=True)
                state |= {f"{name} {number}": array for name, array in named if array is not None}
        return state

    def load_state(self, state: Mapping[str, Any], rows: int) -> None:
        """Takes on what `state` gave when so many rows were gone through, to go on from there."""
        numbers = state["tally"]
        self.tally.take_on(numbers)
        if not np.isfinite(numbers[0]) or numbers[1] != rows:
            got, expected = f"a loss of {numbers[0]} of {numbers[1]} rows", f"a number, of {rows}"
            raise ValueError(_check.refusal("tally", got, expected))
        for name, array in state.items():
            if name != "tally" and (not isinstance(array, np.ndarray) or len(array) != rows):
                raise ValueError(_check.refusal(name, _check.shown(array), f"an array of {rows}"))
        if not any(self._wanted):
            return
        out, told, y, weights = (
            tuple(state.get(f"{name} {number}") for number in range(len(self._wanted)))
            for name in _KEPT
        )
        self._kept = [_Kept(y, weights, None, 0, 0, out, told)]

    def _seen(self, number: int) -> list[np.ndarray | None]:
        """Of one output predictions, lines told, targets and weights of the rows gone through."""
        ends = [kept.before for kept in self._kept[1:]] + [self.tally.rows_seen]
        several = [
            kept.seen(number, end - kept.before) for kept, end in zip(self._kept, ends, strict=True)
        ]
        return [
            arrays[0] if len(arrays) == 1 or arrays[0] is None else np.concatenate(arrays)
            for arrays in zip(*several, strict=True)
        ]

    def so_far(self) -> dict[str, Any]:
        """Means over the rows that were added up, and what is made of sums."""
        return {name: figure for name, figure in self._named(at_end=False) if figure is not None}

    def logs(self, prefix: str = "") -> dict[str, Any]:
        """All of them, once the pass is over."""
        return {prefix + name: figure for name, figure in self._named(at_end=True)}

    def _named(self, at_end: bool) -> list[tuple[str, Figure | None]]:
        figures: list[Figure | None] = [*self.tally.mean_losses()]
        states = iter(self.tally.metric_states())
        for number, one in enumerate(self._compiled.objectives):
            rows = None
            for metric in one.metrics:
                if metric.kernel is not None:
                    figures.append(in_default_float_mode(metric.result, next(states)))
                elif at_end:
                    rows = rows or self._rows(number)
                    figures.append(in_default_float_mode(metric.figure, *rows))
                else:
                    figures.append(None)
        return list(zip(self._compiled.log_names, figures, strict=True))

    def _rows(self, number: int) -> _Rows:
        """What an output's metrics look at: the rows that were gone through, and that count."""
        shape, objective = self._shapes[number], self._compiled.objectives[number]
        predictions, told, targets, weights = self._seen(number)
        if predictions is None or targets is None:
            raise LookupError(f"the predictions of output {number} were not kept")
        done = len(predictions)
        lead = shape[:-1] if objective.loss.takes_labels else shape
        if objective.loss.has_target_of_each:
            targets = targets.reshape(done, *lead)
        if told is not None or (weights is not None and weights.ndim > 1):
            lines = told.shape[1] if told is not None else weights.shape[1]  # type: ignore[union-attr]
            columns = predictions[0].size // lines if done else shape[-1]
            if weights is not None:
                weights = np.repeat(weights.reshape(done, -1), lines // weights[0].size, axis=1)
                weights = weights.reshape(-1)
            predictions = predictions.reshape(-1, columns)
            targets = targets.reshape((-1,) if objective.loss.takes_labels else (done * lines, -1))
        counts = None if told is None else told.reshape(-1)
        if weights is not None:
            counts = weights > 0 if counts is None else counts & (weights > 0)
        if counts is not None:
            predictions, targets = predictions[counts], targets[counts]
            weights = None if weights is None else weights[counts]
        return _Rows(_sealed(targets), _sealed(predictions), weights)


#: What is kept of an output.
_KEPT = ("out", "told", "y", "weights")


class _Kept(NamedTuple):
    """Of a part of a pass: each output's targets and weights, predictions and lines that count."""

    y: tuple[np.ndarray | None, ...]
    weights: Sequence[np.ndarray | None] | None
    order: np.ndarray | None
    #: Of its rows, from which on it was gone through, and how many of the pass came before.
    first: int
    before: int
    out: tuple[np.ndarray | None, ...]
    told: tuple[np.ndarray | None, ...]

    def seen(self, number: int, rows: int) -> list[np.ndarray | None]:
        """Of so many rows and one output, what `_KEPT` names."""
        part = slice(self.first, self.first + rows)
        which: Any = part if self.order is None else self.order[part]
        weights = None if self.weights is None else self.weights[number]
        given = zip(
            (self.out[number], self.told[number], self.y[number], weights),
            (part, part, which, which),
            strict=True,
        )
        return [None if array is None else array[index] for array, index in given]


class _Rows(NamedTuple):
    """What a metric of all rows looks at."""

    y_true: np.ndarray
    y_pred: np.ndarray
    weights: np.ndarray | None


def _sealed(array: np.ndarray) -> np.ndarray:
    """The array, to be read alone: targets may be the caller's own."""
    view = array.view()
    view.flags.writeable = False
    return view
