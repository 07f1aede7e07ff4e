"""What a model is made again from: its description and copies of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _own, _registry, losses, metrics, optimizers
from fastweights._building import Built
from fastweights._homes import Home
from fastweights._plans import Compiled
from fastweights.layers.ops import Shape
from fastweights.models import Model, unbuilt


def snapshot(
    model: Model,
) -> tuple[Compiled, tuple[np.ndarray, ...], optimizers.Memory | None]:
    """What is compiled, and copies of parameters, state and the optimizer's memory.

    They are of no step that is half made.
    """
    built, compiled = model._built_or_refused(), model._compiled
    memory = compiled.memory
    live = (*built.vectors, *(memory.arrays() if memory is not None else ()))
    copies = built.lock.room_for(live).keep()
    return compiled, copies[:2], None if memory is None else optimizers.Memory(*copies[2:])


def copy_of(model: Model, dtype: str | np.dtype | None) -> Model:
    """What `Model.copy` does."""
    shapes = model._built_or_refused().input_shapes
    refuse_foreign("copy", model)
    compiled, vectors, memory = snapshot(model)
    twin, _ = unbuilt({**model.config(), "dtype": dtype or model.dtype})
    built = Built(twin._topology, shapes, twin.dtype)
    copied = [
        _check.reals(name, vector, twin.dtype)
        for name, vector in zip(("parameters", "state"), vectors, strict=True)
    ]
    built.allocate(lambda number, variable, view: np.copyto(view, built.part(number, copied)))
    twin._home.take_on(built)  # the warnings about it have been given
    twin.matmul_precision = model.matmul_precision
    twin._progress = model._progress.copy()
    twin._names, twin._metadata = model._names, dict(model._metadata)
    if compiled.optimizer is not None:
        twin._compiled = Compiled(compiled.optimizer.again(), compiled.objectives)
        if memory is not None:
            kept = _check.reals("the optimizer's state", memory.vectors, twin.dtype)
            twin._compiled.memory = optimizers.Memory(kept, memory.numbers, memory.batches)
    return twin


#: Of a model, what is made anew with it.
_NOT_KEPT = frozenset(("_compiled", "_ends", "_home", "_loop", "_planned", "_turns"))


class _Numbers(NamedTuple):
    """What a built model has besides its description."""

    shapes: tuple[Shape, ...]
    vectors: tuple[np.ndarray, ...]
    memory: optimizers.Memory | None


def state_of(model: Model) -> dict[str, Any]:
    """What a pickled model is made again from: its layers, what was compiled, and its numbers."""
    built, compiled, numbers = model._built, model._compiled, None
    if built is not None:
        compiled, vectors, memory = snapshot(model)
        numbers = _Numbers(tuple(built.input_shapes), vectors, memory)
    return {
        **{name: value for name, value in vars(model).items() if name not in _NOT_KEPT},
        "topology": model._topology,
        "training": (compiled.optimizer, compiled.objectives),
        "numbers": numbers,
    }


def take_on_state(model: Model, state: Mapping[str, Any]) -> None:
    """Makes of an empty model the one that `state_of` told of; its layers are its own."""
    own = dict(state)
    topology, training, numbers = (own.pop(key) for key in ("topology", "training", "numbers"))
    vars(model).update(own, _ends=None, _loop=None, _turns=[], _planned=topology, _home=Home(model))
    model._compiled = Compiled(*training)
    if numbers is None:
        return
    built = Built(topology, numbers.shapes, model.dtype)
    built.allocate(lambda number, _, view: np.copyto(view, built.part(number, numbers.vectors)))
    model._compiled.memory = numbers.memory
    model._home.take_on(built)  # the warnings about it have been given


def refuse_foreign(call: str, model: Model) -> None:
    """Raises TypeError where a part would come back as another one from its config."""
    for layer in model.layers:
        _registry.refuse_foreign(call, layer)
    _refuse_other_ops(call, model)
    optimizer = model._compiled.optimizer
    if isinstance(optimizer, optimizers.NumpyOptimizer):
        _own.refuse_lost_settings(call, optimizer)
        _refuse_another(call, optimizer)
    foreign = _foreign_training(model._compiled)
    if call == "save":
        for one in model._compiled.objectives:
            if isinstance(one.loss, losses.NumpyLoss):
                one.loss.refuse_unfit()
            for metric in one.metrics:
                _refuse_lost_arguments(metric)
    if call != "save":
        # What one model is trained by may be what another one is.
        foreign = [one for one in foreign if not isinstance(one, _OWN)]
    if foreign and isinstance(foreign[0], _REGISTERED):
        kind, title = _kind_and_title(foreign[0])
        got = f"the {kind} {title} of your own"
        expected = f"one that @fw.register_{kind}('my_package') has made known"
        hint = "; model.save_weights keeps the weights alone"
        raise TypeError(_check.refusal(call, got, expected) + hint)
    if foreign:
        got = f"{foreign[0]!r} of the class {type(foreign[0]).__qualname__}"
        expected = "an optimizer, losses and metrics of this library"
        raise TypeError(_check.refusal(call, got, expected))


#: What files bring back once it is registered ...
_REGISTERED = (losses.NumpyLoss, metrics.MeanMetricWrapper, optimizers.NumpyOptimizer)
#: ... and what another model may have besides.
_OWN = (*_REGISTERED, metrics.ScikitLearn)


def _kind_and_title(own: Any) -> tuple[str, str]:
    """What messages call something of one's own."""
    if isinstance(own, losses.NumpyLoss):
        return "loss", own.title
    if isinstance(own, optimizers.NumpyOptimizer):
        return "optimizer", own.name
    return "metric", own.name


def _refuse_another(call: str, optimizer: optimizers.NumpyOptimizer) -> None:
    """Raises TypeError where an optimizer would come back from its config as another one."""
    try:
        text, made = _settings_of(optimizer), _settings_of(optimizer.again())
        if made == text:
            return
        why = f"whose config() makes one of {made}, not of {text}"
    except Exception as error:
        why = f"of whose config() nothing can be made ({type(error).__name__}: {error})"
    expected = "config() to be what the constructor makes the same optimizer of"
    raise TypeError(_check.refusal(call, f"the optimizer {optimizer.name}, {why}", expected))


def _refuse_lost_arguments(metric: metrics.Metric) -> None:
    """Raises TypeError where what a metric's function is told would come back as something else."""
    if not isinstance(metric, metrics.MeanMetricWrapper):
        return
    try:
        if json.loads(json.dumps(metric.kwargs)) == metric.kwargs:
            return
    except (TypeError, ValueError):
        pass
    got = f"{_check.shown(metric.kwargs)} for the metric {metric.name}"
    raise TypeError(_check.refusal("save", got, "arguments that JSON holds as they are"))


def _settings_of(optimizer: optimizers.Optimizer) -> str:
    """All of them, also those that its config leaves out."""
    return json.dumps({**optimizers.Optimizer.config(optimizer), **optimizer.config()})


def _foreign_training(compiled: Compiled) -> list[Any]:
    """What was compiled and is not what the library makes of its config."""
    optimizer = compiled.optimizer
    if optimizer is None:
        return []
    found: list[Any] = [] if _is_known(optimizer) else [optimizer]
    for one in compiled.objectives:
        if not _is_known_again(one.loss):
            found.append(one.loss)
        found += [own for own in one.metrics if not _comes_back(own, one.loss)]
    return found


def _is_known(optimizer: optimizers.Optimizer) -> bool:
    """Whether its class is what the library makes of its name."""
    if isinstance(optimizer, optimizers.NumpyOptimizer):
        return optimizer.is_registered
    kind = type(optimizer)
    return optimizers.OPTIMIZERS.get(kind.__name__.lower()) is kind


def _comes_back(metric: metrics.Metric, loss: losses.Loss) -> bool:
    """Whether the library makes a metric again of its config."""
    if isinstance(metric, metrics.MeanMetricWrapper):
        return metric.is_registered
    return metric.kind in metrics.KINDS and metrics.get(metric.config(), loss) == metric


def _is_known_again(loss: losses.Loss) -> bool:
    """Whether the library makes this loss of its config."""
    if isinstance(loss, losses.NumpyLoss) and not loss.is_registered:
        return False
    return losses.get(loss.config()) == loss


def _refuse_other_ops(call: str, model: Model) -> None:
    """Raises TypeError where a layer of one's own would come back as one of other ops."""
    built = model._built_or_refused()
    if all(_registry.is_of_library(layer) for layer in model.layers):
        return
    twin, _ = unbuilt(model.config())
    again = Built(twin._topology, built.input_shapes, model.dtype)
    for layer, twin_layer in zip(built.layers, again.layers, strict=True):
        if built.description_of(layer) != again.description_of(twin_layer):
            got = f"the layer {layer.name!r}, whose config() makes one of other ops or variables"
            expected = "config() to be what the constructor makes the same layer of"
            raise TypeError(_check.refusal(call, got, expected))
