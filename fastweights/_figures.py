"""The figures of one pass over examples: loss and metrics, from sums and from all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights._core.float_mode import in_default_float_mode
from fastweights._rows import Examples, count, each
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
    out, told : tuple of ndarray, or None
        Of each output its predictions, in the order of the pass, and which lines a mask says count;
        None where no metric wants them.
    """

    def __init__(
        self,
        built: Built,
        compiled: Compiled,
        plan: Plan,
        examples: Examples,
        order: np.ndarray | None = None,
    ) -> None:
        self._compiled, self._examples, self._order = compiled, examples, order
        self._shapes = built.output_shapes
        self.tally = plan.tally(examples.weights)
        self.out: tuple[np.ndarray | None, ...] | None = None
        self.told: tuple[np.ndarray | None, ...] | None = None
        wanted = [
            any(metric.kernel is None for metric in one.metrics) for one in compiled.objectives
        ]
        if any(wanted):
            shapes, masks = built.output_shapes, built.output_masks
            rows = count(examples.x) if order is None else len(order)
            self.out = tuple(
                np.empty((rows, *shape), built.dtype) if is_wanted else None
                for is_wanted, shape in zip(wanted, shapes, strict=True)
            )
            self.told = tuple(
                None if mask is None or not is_wanted else np.empty((rows, lines), bool)
                for is_wanted, lines, mask in zip(wanted, plan.lines(), masks, strict=True)
            )

    def until(self, rows: int) -> tuple[Any, Any]:
        """`out` and `told` for a call that goes on to the row of this number."""

        def cut(arrays: tuple[np.ndarray | None, ...] | None) -> Any:
            return arrays and tuple(None if array is None else array[:rows] for array in arrays)

        return cut(self.out), cut(self.told)

    def state(self) -> dict[str, np.ndarray]:
        """All that it has of the rows that were gone through."""
        done = self.tally.rows_seen
        kept = {
            f"{name} {number}": array[:done]
            for name, arrays in (("out", self.out), ("told", self.told))
            for number, array in enumerate(arrays or ())
            if array is not None
        }
        return {"tally": self.tally.numbers(), **kept}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes on what `state` gave, to go on from there."""
        self.tally.take_on(state["tally"])
        done = self.tally.rows_seen
        for name, arrays in (("out", self.out), ("told", self.told)):
            for number, array in enumerate(arrays or ()):
                if array is not None:
                    np.copyto(array[:done], state[f"{name} {number}"], casting="no")

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
        seen, shape = slice(0, self.tally.rows_seen), self._shapes[number]
        objective = self._compiled.objectives[number]
        out = self.out[number] if self.out is not None else None
        told = self.told[number] if self.told is not None else None
        if out is None:
            raise LookupError(f"the predictions of output {number} were not kept")
        which: Any = seen if self._order is None else self._order[seen]
        targets = each(self._examples.y)[number][which]
        of_outputs = self._examples.weights
        weights = None if of_outputs is None else of_outputs[number]
        weights = None if weights is None else weights[which]
        predictions = out[seen]
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
        counts = None if told is None else told[seen].reshape(-1)
        if weights is not None:
            counts = weights > 0 if counts is None else counts & (weights > 0)
        if counts is not None:
            predictions, targets = predictions[counts], targets[counts]
            weights = None if weights is None else weights[counts]
        return _Rows(_sealed(targets), _sealed(predictions), weights)


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
