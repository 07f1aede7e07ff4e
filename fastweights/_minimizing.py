"""Training by optimizers that look at all rows several times a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastweights import _check, _plans
from fastweights._figures import Figures
from fastweights._rows import Examples, count
from fastweights.optimizers import Minimizer

if TYPE_CHECKING:
    from fastweights._core import plan as _plan
    from fastweights._plans import Compiled
    from fastweights.models import Model

#: Why there are no more steps, by how the last one ended.
ENDS = {
    "flat": "no gradient is larger than tolerance_grad",
    "settled": "a step took off no more of the loss than tolerance_change",
    "stuck": "there is no step to a smaller loss",
}


def minimizer_of(compiled: Compiled) -> Minimizer | None:
    """The optimizer, if it is such a one."""
    return compiled.optimizer if isinstance(compiled.optimizer, Minimizer) else None


def refuse_batches(batch_size: int | None, rows: int) -> None:
    """Raises ValueError for batches of some of the rows."""
    if batch_size is not None and batch_size < rows:
        expected = f"None, or all {rows:,} rows: the optimizer looks at all of them in each step"
        raise ValueError(_check.refusal("batch_size", batch_size, expected))


class Step(NamedTuple):
    """How one ended: in the compiled half's words, with the losses before and after it."""

    outcome: str
    before: float
    after: float

    @property
    def has_moved(self) -> bool:
        """Whether weights are others than before."""
        return self.outcome in ("moved", "settled")

    @property
    def ended(self) -> str | None:
        """Why there are no more, if so."""
        return ENDS.get(self.outcome)


class Descent:
    """Steps on the same examples, each of which begins with what the one before found out.

    What the last one knew is only believed of the parameters that it left; with another plan, or
    other settings, it is found out anew.
    """

    def __init__(
        self, model: Model, compiled: Compiled, optimizer: Minimizer, examples: Examples
    ) -> None:
        self._model, self._compiled = model, compiled
        self._optimizer, self._examples = optimizer, examples
        self._minimizer: _plan.Minimizer | None = None
        self._made_for: tuple[object, ...] = ()
        optimizer.refuse_unfit(model._built_or_refused(), compiled.objectives)

    def step(self, stream: int) -> Step:
        """One more step."""
        self._minimizer = self._current()
        done = Step(*self._minimizer.step(self._model.seed, stream))
        if done.has_moved:
            self._compiled.memory_for(self._model._built_or_refused()).batches[0] += 1
        return done

    def figures(self) -> Figures:
        """Those of the weights of the moment, as far as they need all rows; without sums."""
        model, compiled = self._model, self._compiled
        weights = self._examples.weights
        figures = Figures(model._built_or_refused(), compiled, self._plan_now(), weights)
        figures.go_on(self._examples)
        if figures.out is not None:
            (x, y, _), first, last = self._examples, 0, count(self._examples.x)
            plan = _plans.plan_for(model, "infer", last, compiled, weights=weights)
            tally = plan.tally(weights)
            while first < last:
                first = plan.infer(
                    x,
                    y,
                    figures.out,
                    first,
                    last,
                    _plans.STRETCH_SECONDS,
                    tally,
                    weights,
                    figures.told,
                )
        return figures

    def _plan_now(self) -> _plan.Plan:
        """That of the moment."""
        x, _, weights = self._examples
        return _plans.plan_for(self._model, "fit", count(x), self._compiled, weights=weights)

    def _current(self) -> _plan.Minimizer:
        """The compiled half, for the plan and the settings of the moment."""
        plan, settings = self._plan_now(), self._optimizer.settings()
        if self._minimizer is None or self._made_for != (plan, settings):
            memory = self._compiled.memory_for(self._model._built_or_refused())
            self._made_for = plan, settings
            return self._optimizer.on(plan, memory, self._examples)
        return self._minimizer

    @property
    def tally(self) -> _plan.Tally:
        """What was added up over the rows where the last step ended."""
        assert self._minimizer is not None
        return self._minimizer.tally

    @property
    def tally_before(self) -> _plan.Tally:
        """Likewise, where it began."""
        assert self._minimizer is not None
        return self._minimizer.tally_before
