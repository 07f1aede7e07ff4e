"""The compiled plans of a model: one for each purpose, made when it is first asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastweights import _dispatch
from fastweights._core import plan as _plan
from fastweights.config import Budget, budget, matmul_parts
from fastweights.layers import OpSpec
from fastweights.layers.base import split_activation

if TYPE_CHECKING:
    from fastweights.models import Sequential


def plan_for(model: Sequential, purpose: str, rows: int) -> _plan.Plan:
    """The plan of a built model for a purpose and batches of `rows`.

    "infer" gives outputs alone, "fit" trains, "check" gives gradients by the input as well,
    "keep" does so in two calls, `forward` and `backward`.
    """
    plan = model._plans.get(purpose)
    parts = matmul_parts[model._matmul_precision]
    if plan is not None and plan.needs_no_grant(rows, parts):
        return plan
    granted = budget()
    if plan is None or not plan.grant(rows, parts, granted.threads):
        plan = _new_plan(model, purpose, rows, granted)
        if model.loss is not None:
            _attach(model, plan)
        model._plans[purpose] = plan
    return plan


def memory(model: Sequential, rows: int) -> dict[str, int]:
    """What `Sequential.memory` does, for a built model and a checked number of rows."""
    slots = 0
    if model.optimizer is not None:
        slots = _plan.update_slots(_dispatch.kernels(model.dtype).table, model.optimizer.kernel)
    size = model.parameters.nbytes
    parts = {
        "parameters": size,
        "gradients": size,
        "optimizer": slots * size,
        "arena": _new_plan(model, "fit", rows, budget(), only_measured=True).arena_bytes,
    }
    return {**parts, "total": sum(parts.values())}


def _new_plan(
    model: Sequential, purpose: str, rows: int, granted: Budget, only_measured: bool = False
) -> _plan.Plan:
    return _plan.Plan(
        _dispatch.kernels(model.dtype).table,
        _loss_ops(model),
        model.parameters,
        None if purpose == "infer" else model.gradients,
        rows,
        granted,
        input_gradient=purpose in ("check", "keep"),
        kept=purpose == "keep",
        matmul_parts=matmul_parts[model.matmul_precision],
        only_measured=only_measured,
    )


def _fuses(model: Sequential) -> bool:
    """Whether the loss takes the network's last activation into itself."""
    if model.loss is None:
        return False
    last = model._ops[-1]
    return model.loss.fused_with in (last.kind, last.activation.name)


def _loss_ops(model: Sequential) -> list[OpSpec]:
    """The network's ops; an activation that the loss takes into itself stands alone, last."""
    last = model._ops[-1]
    if not _fuses(model) or last.kind in ("activation", "softmax"):
        return model._ops
    return [*model._ops[:-1], *split_activation(last)]


def _attach(model: Sequential, plan: _plan.Plan) -> None:
    """Gives a plan the loss, the metrics and the optimizer of a compiled model."""
    optimizer, loss = model._compiled()
    fused = _fuses(model)
    plan.set_loss(
        (loss.fused_kernel if fused else None) or loss.kernel,
        loss.options,
        loss.target_bytes(math.prod(model.output_shape), model.dtype),
        int(fused),
    )
    plan.set_metrics([(metric.kernel, metric.options) for metric in model.metrics])
    state = model._optimizer_memory()
    plan.set_update(optimizer.kernel, state.vectors, state.numbers)
