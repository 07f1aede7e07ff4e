"""What `compile` decided, and a model's plans: one for each purpose, made when first asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastweights import _dispatch, losses, metrics, optimizers
from fastweights._core import plan as _plan
from fastweights.config import Budget, budget, matmul_parts
from fastweights.layers.ops import LINEAR, OpSpec, Shape

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights.models import Model


class Compiled:
    """How a model is trained, and all that was derived from it.

    A model replaces it as a whole, and a call keeps to the one that it found: what it prepared for
    a loss is never read by another one's kernel.
    """

    def __init__(
        self,
        optimizer: optimizers.Optimizer | None = None,
        loss: losses.Loss | None = None,
        metrics: Sequence[metrics.Metric] = (),
    ) -> None:
        self.optimizer, self.loss, self.metrics = optimizer, loss, tuple(metrics)
        self.plans: dict[str, _plan.Plan] = {}
        self.memory: optimizers.Memory | None = None

    def training(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        """Optimizer and loss; ValueError before `compile`."""
        if self.loss is None or self.optimizer is None:
            raise ValueError(
                "compile: got no loss yet, expected model.compile(optimizer, loss) before"
            )
        return self.optimizer, self.loss

    def lines(self, output_shape: Shape) -> int:
        """How many targets a row has: one for each line where loss or metrics are of classes."""
        of_classes = any(part.of_classes for part in (self.loss, *self.metrics) if part is not None)
        return math.prod(output_shape[:-1]) if of_classes else 1

    def memory_for(self, built: Built) -> optimizers.Memory:
        """What the optimizer remembers about the model; nothing at first."""
        if self.memory is None:
            self.memory = optimizers.Memory.empty(self.training()[0], built.size, built.dtype)
        return self.memory


def plan_for(model: Model, purpose: str, rows: int, compiled: Compiled | None = None) -> _plan.Plan:
    """The plan of a built model for a purpose and batches of `rows`.

    "infer" gives outputs alone, "fit" trains, "check" gives gradients by the input as well,
    "keep" does so in two calls, `forward` and `backward`. `compiled` is the model's of the moment
    unless a call has kept it.
    """
    compiled, built = compiled or model._compiled, model._built_or_refused()
    plan = compiled.plans.get(purpose)
    if plan is not None and plan.trained is not built.trained:
        plan = None
    parts = matmul_parts[model.matmul_precision]
    if plan is not None and plan.needs_no_grant(rows, parts):
        return plan
    granted = budget()
    if plan is None or not plan.grant(rows, parts, granted.threads):
        plan = _new_plan(model, purpose, rows, granted, compiled)
        if compiled.loss is not None:
            _attach(built, compiled, plan, trains=purpose != "infer")
        compiled.plans[purpose] = plan
    return plan


def memory(model: Model, rows: int) -> dict[str, int]:
    """What `Model.memory` does, for a built model and a checked number of rows."""
    compiled, slots = model._compiled, 0
    if compiled.optimizer is not None:
        slots = optimizers.slots(compiled.optimizer, model.dtype)
    size = model.parameters.nbytes
    plan = _new_plan(model, "fit", rows, budget(), compiled, only_measured=True)
    parts = {
        "parameters": size,
        "gradients": size,
        "optimizer": slots * size,
        "arena": plan.arena_bytes,
    }
    return {**parts, "total": sum(parts.values())}


def _new_plan(
    model: Model,
    purpose: str,
    rows: int,
    granted: Budget,
    compiled: Compiled,
    only_measured: bool = False,
) -> _plan.Plan:
    built = model._built_or_refused()
    gradients = None
    if purpose != "infer":
        # To be measured, any vector of this size will do.
        gradients = built.parameters if only_measured else built.gradients
    return _plan.Plan(
        _dispatch.kernels(built.dtype).table,
        _loss_ops(built, compiled),
        [math.prod(shape) for shape in built.input_shapes],
        built.parameters,
        gradients,
        built.lock,
        rows,
        granted,
        input_gradient=purpose in ("check", "keep"),
        kept=purpose == "keep",
        matmul_parts=matmul_parts[model.matmul_precision],
        only_measured=only_measured,
        loss_lines=compiled.lines(built.output_shape),
        trained=built.trained,
        states=built.state,
        **built.kept_in_check()._asdict(),
    )


def _fuses(built: Built, compiled: Compiled) -> bool:
    """Whether the loss takes the network's last activation into itself."""
    last = built.ops[-1]
    return compiled.loss is not None and compiled.loss.fused_with in (
        last.kind,
        last.activation.name,
    )


def _loss_ops(built: Built, compiled: Compiled) -> list[OpSpec]:
    """The network's ops; an activation that the loss takes into itself stands alone, last."""
    last = built.ops[-1]
    if not _fuses(built, compiled) or last.kind in ("activation", "softmax"):
        return built.ops
    made = len(built.input_shapes) + len(built.ops) - 1
    alone = OpSpec("activation", (made,), last.outputs, last.lines)
    if last.activation.is_elementwise:
        alone = alone._replace(activation=last.activation)
    else:
        alone = alone._replace(kind=last.activation.name)
    return [*built.ops[:-1], last._replace(activation=LINEAR), alone]


def _attach(built: Built, compiled: Compiled, plan: _plan.Plan, trains: bool) -> None:
    """Gives a plan the loss, the metrics and, where it trains, the optimizer."""
    optimizer, loss = compiled.training()
    fused, lines = _fuses(built, compiled), compiled.lines(built.output_shape)
    plan.set_loss(
        (loss.fused_kernel if fused else None) or loss.kernel,
        loss.options,
        loss.target_bytes(math.prod(built.output_shape) // lines, built.dtype) * lines,
        int(fused),
    )
    plan.set_metrics([(metric.kernel, metric.options) for metric in compiled.metrics])
    if trains:
        state = compiled.memory_for(built)
        plan.set_update(optimizer.kernel, state.vectors, state.numbers)
