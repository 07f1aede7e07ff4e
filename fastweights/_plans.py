"""What `compile` decided, and a model's plans: one for each purpose, made when first asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _dispatch, optimizers
from fastweights._core import plan as _plan
from fastweights._lowering import inference_ops, training_ops
from fastweights._objectives import Objective, log_names, own_losses
from fastweights._row_weights import Lines, lines_beyond
from fastweights._rows import Weights
from fastweights.config import Budget, budget, matmul_parts
from fastweights.layers.ops import LINEAR, OpSpec, Shape

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._core.plan import Copies
    from fastweights.models import Model


#: Compiled code comes back to Python at least this often, for Ctrl-C and progress.
STRETCH_SECONDS = 0.04


class Compiled:
    """How a model is trained, and all that was derived from it.

    A model replaces it as a whole, and a call keeps to the one that it found: what it prepared for
    a loss is never read by another one's kernel.
    """

    def __init__(
        self,
        optimizer: optimizers.Optimizer | None = None,
        objectives: Sequence[Objective] = (),
    ) -> None:
        self.optimizer, self.objectives = optimizer, tuple(objectives)
        #: Of all outputs, in their order, and what a history calls them and the losses.
        self.metrics = tuple(metric for one in self.objectives for metric in one.metrics)
        self.log_names = log_names(self.objectives)
        self.plans: dict[str, _plan.Plan] = {}
        #: Of each plan which ops' parameters move, and what outputs are cut into.
        self.made_for: dict[str, tuple[tuple[bool, ...], Lines]] = {}
        self._memory: optimizers.Memory | None = None
        self._good: Copies | None = None

    @property
    def memory(self) -> optimizers.Memory | None:
        """What the optimizer remembers; None before the first step."""
        return self._memory

    @memory.setter
    def memory(self, memory: optimizers.Memory | None) -> None:
        self._memory = memory
        if memory is not None:
            self.training()._batches = memory.batches

    def anew(self) -> Compiled:
        """The same of which nothing was derived yet."""
        return Compiled(self.optimizer, self.objectives)

    def moved(self) -> Compiled:
        """The same for a model whose numbers are somewhere else now."""
        compiled = self.anew()
        compiled.memory = self.memory
        return compiled

    def training(self) -> optimizers.Optimizer:
        """The optimizer; ValueError before `compile`."""
        if self.optimizer is None:
            raise ValueError(
                "compile: got no loss yet, expected model.compile(optimizer, loss) before"
            )
        return self.optimizer

    def memory_for(self, built: Built) -> optimizers.Memory:
        """What the optimizer remembers about the model; nothing at first."""
        if self.memory is None:
            optimizer = self.training()
            memory = optimizers.Memory.empty(optimizer, built.size, built.dtype)
            if optimizer.use_ema:
                # Of weights that are not trained, or not yet, there is no other.
                built.lock.copy((memory.averages(built.size),), (built.parameters,))
            self.memory = memory
        return self.memory

    def good_for(self, built: Built) -> Copies:
        """Room for all that training moves, so that it can be as it was before a step, or epoch."""
        if self._good is None:
            self._good = built.lock.room_for((*built.vectors, *self.memory_for(built).arrays()))
        return self._good


def plan_for(
    model: Model,
    purpose: str,
    rows: int,
    compiled: Compiled | None = None,
    built: Built | None = None,
    weights: Weights = None,
) -> _plan.Plan:
    """The plan of a built model for a purpose and batches of `rows`.

    "infer" gives outputs alone, "fit" trains, "check" gives gradients by the input as well,
    "keep" does so in two calls, `forward` and `backward`. `compiled` and `built` are the model's of
    the moment unless a call has kept them. `weights` are those of the rows.
    """
    compiled, built = compiled or model._compiled, built or model._built_or_refused()
    trained, parts = built.trained, _parts(model, purpose, compiled)
    lines = lines_beyond(built, compiled.objectives, weights)
    plan = compiled.plans.get(purpose)
    if compiled.made_for.get(purpose) != (trained, lines):
        plan = None
    if plan is not None and plan.needs_no_grant(rows, parts):
        return plan
    granted = budget()
    if plan is None or not plan.grant(rows, parts, granted.threads):
        ends = _ended(built, compiled, lines)
        plan = _new_plan(model, purpose, rows, granted, built, ends, parts)
        if compiled.objectives:
            _attach(built, compiled, plan, ends, trains=purpose != "infer")
        compiled.made_for[purpose], compiled.plans[purpose] = (trained, lines), plan
    return plan


def memory(model: Model, rows: int) -> dict[str, int]:
    """What `Model.memory` does, for a built model and a checked number of rows."""
    compiled, slots = model._compiled, 0
    if compiled.optimizer is not None:
        slots = compiled.optimizer.slots(model.dtype)
    size = model.parameters.nbytes
    built = model._built_or_refused()
    ends = _ended(built, compiled)
    split = _parts(model, "fit", compiled)
    plan = _new_plan(model, "fit", rows, budget(), built, ends, split, only_measured=True)
    arena = plan.arena_bytes
    if isinstance(compiled.optimizer, optimizers.Minimizer):
        moving = sum(weight.size for weight in built.moving_weights())
        arena += compiled.optimizer.workspace_bytes(moving)
    parts = {
        "parameters": size,
        "gradients": size,
        "optimizer": slots * size,
        "copies": (1 + slots) * size,
        "arena": arena,
    }
    return {**parts, "total": sum(parts.values())}


def _parts(model: Model, purpose: str, compiled: Compiled) -> int:
    """Into how many parts a plan's matrix products may split their numbers."""
    if purpose == "fit" and compiled.optimizer is not None and compiled.optimizer.takes_rows_alone:
        return 0
    return matmul_parts[model._matmul_precision]


def _new_plan(
    model: Model,
    purpose: str,
    rows: int,
    granted: Budget,
    built: Built,
    ends: _Ended,
    parts: int,
    only_measured: bool = False,
) -> _plan.Plan:
    gradients = None
    if purpose != "infer":
        # To be measured, any vector of this size will do.
        gradients = built.parameters if only_measured else built.gradients
    if purpose == "infer":
        ends = ends.for_inference(len(built.input_shapes))
    return _plan_of(
        built,
        ends,
        built.input_shapes,
        gradients,
        rows,
        granted,
        input_gradient=purpose in ("check", "keep"),
        kept=purpose == "keep",
        matmul_parts=parts,
        only_measured=only_measured,
        trained=ends.trained,
        late_ops=ends.late,
        **built.kept_in_check()._asdict(),
    )


def stream_plan(one: Built, built: Built, rows: int, longest: int) -> _plan.Plan:
    """A plan that takes `rows` series on by a step at a time, by the numbers of `built`.

    `one` is its network for rows of one step.
    """
    ends, alone = _ended(one, Compiled()).for_inference(1), Budget(1, 1, math.inf)
    return _plan_of(built, ends, one.input_shapes, None, rows, alone, longest=longest)


def _plan_of(
    built: Built,
    ends: _Ended,
    input_shapes: Sequence[Shape],
    gradients: np.ndarray | None,
    rows: int,
    granted: Budget,
    **settings: Any,
) -> _plan.Plan:
    """A plan of these ops, by the numbers of `built`; the settings are the plan's."""
    return _plan.Plan(
        _dispatch.kernels(built.dtype).table,
        ends.ops,
        [math.prod(shape) for shape in input_shapes],
        built.parameters,
        gradients,
        built.lock,
        rows,
        granted,
        states=built.state,
        heads=ends.heads,
        own_losses=ends.own_losses,
        **settings,
    )


class _Ended(NamedTuple):
    """A network's ops as its losses want them."""

    ops: list[OpSpec]
    trained: tuple[bool, ...]
    #: Of each output the op that makes it, the op that its loss looks at, lines of a row, and the
    #: op that says which of these count; -1: all do.
    heads: list[tuple[int, int, int, int]]
    #: How many ops, the last ones, no loss needs.
    late: int
    #: Of each output what its loss calls, and the bytes of its targets; None: it is compiled.
    own_losses: tuple[tuple[Any, int] | None, ...]

    def for_inference(self, feeds: int) -> _Ended:
        """The same values by as few ops as they need."""
        wanted = {
            feeds + number
            for op, loss_op, _, mask in self.heads
            for number in (op, loss_op, mask)
            if number >= 0
        }
        ops, numbers, _ = inference_ops(self.ops, feeds, wanted)
        places = {number - feeds: became - feeds for number, became in numbers.items()}
        heads = [
            (places[op], places[loss_op], lines, places.get(mask, -1))
            for op, loss_op, lines, mask in self.heads
        ]
        return self._replace(ops=ops, heads=heads)


def _ended(built: Built, compiled: Compiled, cut: Lines = None) -> _Ended:
    """The ops of a network; activations that losses take into themselves stand alone, last."""
    feeds = len(built.input_shapes)
    outputs = [feeds + op for op in built.output_ops]
    masks = [feeds + mask[0] for mask in built.output_masks if mask is not None]
    ops, numbers, sources = training_ops(built.ops, feeds, [*outputs, *masks])
    trained = [built.trained[source] for source in sources]
    readers = Counter(read for spec in ops for read in spec.reads)
    objectives = compiled.objectives or (None,) * len(outputs)
    kept = set(range(len(ops)))
    ends: list[tuple[int, OpSpec | None]] = []
    for output, objective in zip(
        (numbers[number] - feeds for number in outputs), objectives, strict=True
    ):
        last = ops[output]
        activation = last.activation.name if last.activation.name != "linear" else last.kind
        if objective is None or objective.loss.fused_with != activation:
            ends.append((output, None))
        elif last.kind not in ("activation", activation):
            ops[output] = last._replace(activation=LINEAR)
            ends.append((output, _alone(last)))
        elif last.reads[0] >= feeds and readers[last.reads[0]] == 1:
            kept.remove(output)
            ends.append((last.reads[0] - feeds, last))
        else:
            ends.append((output, None))
    places = {feeds + old: feeds + new for new, old in enumerate(sorted(kept))}
    places.update((number, number) for number in range(feeds))
    ordered = [
        ops[old]._replace(reads=tuple(places[read] for read in ops[old].reads))
        for old in sorted(kept)
    ]
    heads = []
    beyond = cut or (0,) * len(ends)
    for (made, late), shape, mask, objective, most in zip(
        ends, built.output_shapes, built.output_masks, objectives, beyond, strict=True
    ):
        loss_op = op = places[feeds + made] - feeds
        if late is not None:
            op = len(ordered)
            ordered.append(late._replace(reads=(feeds + loss_op,)))
        lines, mask_op = 1 if objective is None else objective.lines(shape), -1
        if objective is not None and mask is not None:
            mask_op = places[numbers[feeds + mask[0]]] - feeds
            lines = objective.lines_told(shape, mask[1])
        heads.append((op, loss_op, max(lines, most), mask_op))
    return _Ended(
        ordered,
        tuple(trained[op] for op in sorted(kept)),
        heads,
        len(ordered) - len(kept),
        own_losses(objectives, built.output_shapes, [head[2] for head in heads], built.dtype),
    )


def _alone(last: OpSpec) -> OpSpec:
    """The activation of an op as an op of its own."""
    alone = OpSpec("activation", (), last.outputs, last.lines)
    if last.activation.is_elementwise:
        return alone._replace(activation=last.activation)
    return alone._replace(kind=last.activation.name)


def _attach(built: Built, compiled: Compiled, plan: _plan.Plan, ends: _Ended, trains: bool) -> None:
    """Gives a plan the losses, the metrics and, where it trains, the optimizer."""
    optimizer = compiled.training()
    plan.set_losses(
        [
            (
                (one.loss.fused_kernel if op != loss_op else None) or one.loss.kernel,
                one.loss.options,
                one.target_bytes(shape, built.dtype),
                one.weight,
            )
            for one, shape, (op, loss_op, *_) in zip(
                compiled.objectives, built.output_shapes, ends.heads, strict=True
            )
        ]
    )
    plan.set_metrics(
        [
            (output, metric.kernel, metric.options, one.loss.takes_labels)
            for output, one in enumerate(compiled.objectives)
            for metric in one.metrics
            if metric.kernel is not None
        ]
    )
    if trains and not isinstance(optimizer, optimizers.Minimizer):
        state = compiled.memory_for(built)
        spans = optimizer.spans(built.places())
        plan.set_update(
            optimizer.kernel,
            *state.arrays(),
            spans=spans,
            rule=optimizer.rule(spans, built.size, built.dtype),
            **optimizer.step_settings(),
        )
        plan.set_rates(optimizer._rates)
