"""What is written outside of the package, by the names that files know."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from fastweights import (
    _check,
    activations,
    constraints,
    initializers,
    regularizers,
    schedules,
)
from fastweights._description import Description
from fastweights._own import Registry, lost_setting
from fastweights._refusal import UnknownError
from fastweights.layers import LAYERS, Layer
from fastweights.losses import own as own_losses
from fastweights.metrics import functions as own_metrics
from fastweights.optimizers import own as own_optimizers

F = TypeVar("F", bound=Callable[..., Any])

#: Of which the library makes a layer's settings again.
_KINDS_OF_SETTINGS = frozenset(
    kind
    for known in (
        activations.ACTIVATIONS,
        constraints.CONSTRAINTS,
        initializers.INITIALIZERS,
        regularizers.REGULARIZERS,
        schedules.SCHEDULES,
    )
    for kind in known.values()
)

#: Layers of other people's by package and name.
REGISTERED = Registry("layer")


def register_layer(package: str = "Custom", name: str | None = None) -> Callable[[F], F]:
    """Decorates a layer of your own: models that have it can be saved, loaded and copied.

    Files name it ``package>name``. Whoever loads one must have registered the class before, by
    importing the module that it is in, or give it to `fastweights.load` as one of `custom_objects`.

    Parameters
    ----------
    package : str
        Where it comes from, so that your layer and that of somebody else may have one name.
    name : str, optional
        By default that of the class. Another class of this name is refused, unless it is the same
        one defined again.

    Examples
    --------
    >>> @fw.register_layer("my_package")
    ... class Twice(layers.Layer):
    ...     def ops(self, x):
    ...         return layers.op("add", x, x)
    """
    return _registering("layer", REGISTERED, package, name, _instead_of_layer, name_of)


def register_loss(package: str = "Custom", name: str | None = None) -> Callable[[F], F]:
    """Decorates a loss of your own: models that are trained by it can be saved and loaded.

    Files name it ``package>name``. Whoever loads one must have registered it before, by importing
    the module that it is in, or give it to `fastweights.load` as one of `custom_objects`.

    Parameters
    ----------
    package, name : str
        As of `register_layer`.

    Examples
    --------
    >>> @fw.register_loss("my_package")
    ... def fourth_power(y_true, y_pred):
    ...     d = y_pred - y_true
    ...     return (d**4).mean(axis=1), 4 * d**3 / d.shape[1]
    """
    return _registering("loss", own_losses.REGISTERED, package, name, _instead_of_loss)


def register_metric(package: str = "Custom", name: str | None = None) -> Callable[[F], F]:
    """Decorates a metric of your own, a function: models that have it can be saved and loaded.

    Files name it ``package>name``. Whoever loads one must have registered it before, by importing
    the module that it is in, or give it to `fastweights.load` as one of `custom_objects`.

    Parameters
    ----------
    package, name : str
        As of `register_layer`.

    Examples
    --------
    >>> @fw.register_metric("my_package")
    ... def largest_error(y_true, y_pred):
    ...     return abs(y_true - y_pred).max(axis=1)
    """
    return _registering("metric", own_metrics.REGISTERED, package, name, _instead_of_metric)


def register_optimizer(package: str = "Custom", name: str | None = None) -> Callable[[F], F]:
    """Decorates an optimizer of your own: models that it trains can be saved and loaded.

    Files name it ``package>name``. Whoever loads one must have registered the class before, by
    importing the module that it is in, or give it to `fastweights.load` as one of `custom_objects`.

    Parameters
    ----------
    package, name : str
        As of `register_layer`.

    Examples
    --------
    >>> @fw.register_optimizer("my_package")
    ... class Signs(optimizers.NumpyOptimizer):
    ...     def update(self, step, learning_rate, parameters, gradients):
    ...         return parameters - learning_rate * np.sign(gradients)
    """
    known = own_optimizers.REGISTERED
    return _registering("optimizer", known, package, name, _instead_of_optimizer)


def _registering(
    kind: str,
    known: Registry,
    package: str,
    name: str | None,
    instead: Callable[[Any], str | None],
    name_of: Callable[[Any], str | None] | None = None,
) -> Callable[[F], F]:
    """A decorator by which files know things of one kind.

    `instead` says what is expected in place of what is none of them, None for one;
    `name_of` by which name the library knows one, where it is not `known` that does.
    """
    _names(package, name)

    def register(made: F) -> F:
        call, expected = f"register_{kind}", instead(made)
        if expected is not None:
            raise TypeError(_check.refusal(call, _check.kind_of(made), expected))
        _enter(call, known, package, name, made, (name_of or known.name_of)(made))
        return made

    return register


def _instead_of_layer(made: Any) -> str | None:
    is_one = isinstance(made, type) and issubclass(made, Layer)
    return None if is_one else "a class derived from Layer"


def _instead_of_loss(made: Any) -> str | None:
    if not _is_own_loss(made):
        return "a function (y_true, y_pred), or a class derived from losses.NumpyLoss"
    if not isinstance(made, type):
        own_losses.FunctionLoss(made)
    return None


def _instead_of_metric(made: Any) -> str | None:
    return None if _is_function(made) else "a function (y_true, y_pred)"


def _instead_of_optimizer(made: Any) -> str | None:
    return None if _is_own_optimizer(made) else "a class derived from optimizers.NumpyOptimizer"


def _is_own_loss(made: Any) -> bool:
    """Whether losses of one's own are made of this: functions or classes."""
    if isinstance(made, type):
        return issubclass(made, own_losses.NumpyLoss)
    return _is_function(made)


def _is_function(made: Any) -> bool:
    return callable(made) and not isinstance(made, type) and hasattr(made, "__qualname__")


def _is_own_optimizer(made: Any) -> bool:
    return isinstance(made, type) and issubclass(made, own_optimizers.NumpyOptimizer)


def _names(package: Any, name: Any) -> None:
    """Raises unless these can be what something is registered by."""
    _part("package", package)
    if name is not None:
        _part("name", name)


def _enter(
    call: str,
    known_here: Registry,
    package: str,
    name: str | None,
    made: Any,
    known: str | None,
) -> None:
    """Has something known by its name, unless it has another one, or that is another's.

    `known` is what the library calls it.
    """
    full = f"{package}>{made.__name__ if name is None else name}"
    before = known_here.get(full, made)
    if known not in (None, full):
        got = f"{full!r} for {_titled(made)}, which is {known!r}"
        raise ValueError(_check.refusal(call, got, "one name for a class"))
    if _titled(before) != _titled(made):
        got = f"{_titled(made)} for {full!r}, which is {_titled(before)}"
        raise ValueError(_check.refusal(call, got, "one class for a name"))
    known_here[full] = made


def _part(argument: str, got: Any) -> None:
    if not isinstance(got, str):
        hint = "; write @register_layer()" if isinstance(got, type) else ""
        raise TypeError(_check.refusal(argument, _check.kind_of(got), "a string") + hint)
    if not got or ">" in got:
        raise ValueError(_check.refusal(argument, _check.shown(got), "a name without '>'"))
    _check.text(argument, got)


def _titled(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def name_of(kind: type[Layer]) -> str | None:
    """By which descriptions know a class; None where nobody could find it."""
    if LAYERS.get(kind.__name__) is kind:
        return kind.__name__
    return REGISTERED.name_of(kind)


def is_of_library(layer: Layer) -> bool:
    """Whether the layer's class is one of the package."""
    return name_of(type(layer)) in LAYERS


def description_of(layer: Layer) -> dict[str, Any]:
    """Class and config, which `made_of` turns back."""
    kind = type(layer)
    name = name_of(kind) or f"{kind.__module__}>{kind.__name__}"
    return {"class": name, **layer._arguments()}


def custom_objects(got: Any) -> Mapping[str, Any]:
    """Checked `custom_objects`: layers, losses, metrics and optimizers by their names."""
    if got is None:
        return {}
    expected = (
        "a dict of classes derived from Layer, or losses, metrics or optimizers of your own, by "
        "their names, or None"
    )
    if not isinstance(got, Mapping):
        raise TypeError(_check.refusal("custom_objects", _check.kind_of(got), expected))
    for name, kind in got.items():
        is_layer = isinstance(kind, type) and issubclass(kind, Layer)
        is_known = is_layer or _is_own_loss(kind) or _is_own_optimizer(kind)
        if not isinstance(name, str) or not is_known:
            entry = f"{_check.shown(name)}: {_check.shown(kind)}"
            raise TypeError(_check.refusal("custom_objects", entry, expected))
    return got


def made_of(description: Mapping[str, Any], custom: Mapping[str, type[Layer]]) -> Layer:
    """A new layer like the one that was described, of the classes of `custom` before others."""
    arguments = dict(description)
    name = arguments.pop("class", None)
    if not isinstance(name, str) or ">" not in name:
        return _check.choice("layer class", name, LAYERS)(**arguments)
    package, _, own = name.rpartition(">")
    kind = custom.get(name) or custom.get(own) or REGISTERED.get(name)
    if kind is None or not (isinstance(kind, type) and issubclass(kind, Layer)):
        title = _check.shown(own)
        expected = (
            f"a class that is registered: import the module that has {title} under "
            f"@fw.register_layer({_check.shown(package)}), or give it as custom_objects[{title}]"
        )
        raise UnknownError(_check.refusal("layer class", _check.shown(name), expected))
    try:
        return kind(**arguments)
    except Exception as error:
        got = f"a config that {_titled(kind)} does not take ({type(error).__name__}: {error})"
        raise ValueError(_check.refusal(f"layer {name!r:.80}", got, "its arguments")) from error


def refuse_foreign(call: str, layer: Layer) -> None:
    """Raises TypeError where a layer would come back from its `config` as another one."""
    kind = type(layer)
    title = f"the layer {layer.name!r} of the class {kind.__qualname__}"
    if name_of(kind) is None:
        expected = "one of this library, or of a class under @fw.register_layer('my_package')"
        raise TypeError(_check.refusal(call, title, expected))
    if is_of_library(layer):
        for name, setting in vars(layer).items():
            if isinstance(setting, Description) and type(setting) not in _KINDS_OF_SETTINGS:
                got = f"{name.lstrip('_')} of the class {type(setting).__qualname__} for {title}"
                raise TypeError(_check.refusal(call, got, "one of this library"))
            if isinstance(setting, Layer):
                refuse_foreign(call, setting)
        return
    why = _difference(layer)
    if why is not None:
        expected = "config() to be what the constructor makes the same layer of"
        raise TypeError(_check.refusal(call, f"{title}, {why}", expected))


def _difference(layer: Layer) -> str | None:
    """How a layer differs from what its config makes, once that has been JSON; None: not at all.

    Attributes whose names begin with an underscore are its own business.
    """
    try:
        config = layer.config()
        text = json.dumps(config, sort_keys=True)
        again = type(layer)(**json.loads(text))
        text_again = json.dumps(again.config(), sort_keys=True)
    except Exception as error:
        return f"of whose config() nothing can be made ({type(error).__name__}: {error})"
    if "class" in config:
        return "whose config() has an entry 'class'"
    if text_again != text:
        return f"whose config() {text} makes one of {text_again}"
    if again.name != layer.name:
        return f"whose config() leaves out its name, and makes one of {again.name!r}"
    for name, value in vars(layer).items():
        if not name.startswith("_") and not _are_alike(value, vars(again).get(name)):
            made = _check.shown(vars(again).get(name))
            return f"whose {name} is {_check.shown(value)}, while its config() makes one of {made}"
    lost = lost_setting(layer, config, inspect.signature(Layer).parameters)
    return None if lost is None else f"whose __init__ takes {lost}, which its config() leaves out"


def _are_alike(one: Any, other: Any) -> bool:
    """Whether two settings mean the same; JSON makes no difference between lists and tuples."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_are_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_alike(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    try:
        same = one is other or bool(one == other)
    except Exception:
        return False
    if same or type(one) is not type(other) or type(one).__eq__ is not object.__eq__:
        return same
    # Objects that are equal to themselves alone, such as layers within layers.
    return hasattr(one, "__dict__") and _are_alike(vars(one), vars(other))
