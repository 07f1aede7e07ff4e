"""What a layer is: a description. Hyperparameters and shapes, no arithmetic."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, cast

import numpy as np

from fastweights import _check, _tensors, constraints, initializers, regularizers
from fastweights._absent import hint_for_object
from fastweights._arguments import parameters_of
from fastweights._sealed import Sealed, _Sealing
from fastweights.constraints import Constraint
from fastweights.initializers import Initializer
from fastweights.layers.ops import Shape, Value, given, op, with_cost
from fastweights.regularizers import Regularizer

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights._homes import Home
    from fastweights._tensors import Making, Tensor


def takes(
    function: Callable[..., Any], values: Sequence[Any], settings: Mapping[str, Any] | None = None
) -> bool:
    """Whether a function can be called with as many arguments, and these settings."""
    try:
        inspect.signature(function).bind(*values, **(settings or {}))
    except TypeError:
        return False
    return True


class Variable(NamedTuple):
    """One array of parameters: its name, shape, how it starts and what keeps it in check.

    An initialiser may be given by its name. It counts the fans in the shape where none are given.
    The first `apart` axes lead to arrays of their own, each of which costs something, and is
    constrained, by itself. All of it is checked when a model asks the layer what it has.
    """

    name: str
    shape: Shape
    initializer: Initializer | str
    fan_in: int | None = None
    fan_out: int | None = None
    regularizer: Regularizer | None = None
    #: The least that a number of it may be.
    minimum: float = -math.inf
    constraint: Constraint | None = None
    apart: int = 0

    @property
    def of_rows(self) -> bool:
        """Whether it has its shape for each row of a batch: see `RowState`."""
        return False

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def checked(self) -> Variable:
        """The same, each setting as its kind has it, or a refusal that names it."""
        of = f"of {self.name!r}"
        shape = tuple(_check.whole(f"shape {of}", size, 1) for size in self.shape)
        fan_in, fan_out = (
            None if fan is None else _check.whole(f"{argument} {of}", fan, 1)
            for argument, fan in (("fan_in", self.fan_in), ("fan_out", self.fan_out))
        )
        is_free = isinstance(self.minimum, float) and self.minimum == -math.inf
        return self._replace(
            shape=shape,
            initializer=initializers.get(self.initializer, argument=f"initializer {of}"),
            fan_in=fan_in,
            fan_out=fan_out,
            regularizer=regularizers.get(self.regularizer, f"regularizer {of}"),
            minimum=-math.inf if is_free else _check.number(f"minimum {of}", self.minimum),
            constraint=constraints.get(self.constraint, f"constraint {of}"),
            apart=_check.whole(f"apart {of}", self.apart, 0, maximum=len(shape)),
        )

    def check(self, argument: str, array: np.ndarray) -> None:
        """Raises ValueError where numbers of this shape cannot be this variable's."""
        _check.finite(argument, array)
        if self.minimum > -math.inf and array.size and array.min() < array.dtype.type(self.minimum):
            got = f"{array.min():g}"
            raise ValueError(_check.refusal(argument, got, f"at least {self.minimum:g}"))

    @property
    def own_shape(self) -> Shape:
        """Of each of the arrays that lie apart."""
        return self.shape[self.apart :]

    def refuse_unkept(self) -> None:
        """Raises ValueError where what is to keep it in check does not suit its shape."""
        if self.regularizer is not None:
            self.regularizer.refuse(f"{self.name}_regularizer", self.own_shape)
        if self.constraint is not None:
            self.constraint.groups(f"{self.name}_constraint", self.own_shape)


class RowState(Variable):
    """A state that has its shape for each row of a batch, and is no weight.

    A model with one says how many rows there are.
    """

    __slots__ = ()

    @property
    def of_rows(self) -> bool:
        return True


def is_same_memory(value: Any, array: np.ndarray) -> bool:
    """Whether `value` is `array` or another view of the same numbers in the same shape."""
    return isinstance(value, np.ndarray) and (
        value.__array_interface__ == array.__array_interface__
    )


def _refuse_foreign(kind: str, made: Value, values: Sequence[Value]) -> None:
    """Raises ValueError where something is made of what the layer does not read."""
    given_values = (*values, *(value.mask for value in values if value.mask is not None))
    seen, waiting = {id(value.op) for value in given_values}, [made.op]
    while waiting:
        made_by = waiting.pop()
        if id(made_by) in seen:
            continue
        seen.add(id(made_by))
        if made_by.kind is None:
            got, expected = "a value of another call or model", "what is made of those it is given"
            raise ValueError(_check.refusal(f"ops of {kind}", got, expected))
        waiting += made_by.reads


class _Making(_Sealing, type):
    """Takes what every layer takes beside its own arguments."""

    _besides = ("input_shape", "trainable", "activity_regularizer")

    def __call__(
        cls,
        *args: Any,
        input_shape: Any = None,
        trainable: bool = True,
        activity_regularizer: str | Regularizer | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        own = parameters_of(cls.__init__)  # type: ignore[misc]
        input_dim = None if "input_dim" in own else kwargs.pop("input_dim", None)
        made = super().__call__(*args, **kwargs)
        if "_given_name" not in vars(made):
            got = "a constructor that does not call it"
            raise TypeError(_check.refusal(cls.__name__, got, "super().__init__(name) in __init__"))
        made.trainable = trainable
        made._activity_regularizer = regularizers.of_numbers(
            activity_regularizer, "activity_regularizer"
        )
        if input_dim is not None:
            if input_shape is not None:
                got = "an input_shape beside it"
                raise ValueError(_check.refusal("input_dim", got, "one of the two"))
            input_shape = _check.whole("input_dim", input_dim, 1)
        if input_shape is not None:
            made._input_row = _tensors.row_shape("input_shape", input_shape)
        return made


#: What Keras's layers are made of, and none of these.
_OF_KERAS = (
    "call",
    "build",
    "get_config",
    "compute_output_shape",
    "compute_mask",
    "add_weight",
    "add_loss",
)


#: What calls of Keras's layers take, and what says it here.
_TOLD_OTHERWISE = {
    "mask": "masks go with values: layers.Masking or Embedding(mask_zero=True) begins one",
    "training": "fit trains and predict does not",
}


class Layer(Sealed, metaclass=_Making):
    """Base of all layers.

    Every layer takes `trainable`, whether training moves its weights; `activity_regularizer`, what
    it makes costs; and the first layer of a Sequential may say by `input_shape` what it reads.

    A subclass describes itself by three methods: `variables`, `ops` and `config`. One of your own
    may be anywhere; `fastweights.register_layer` makes it known to files.
    Once its model is built, each variable is an attribute of the layer: a view of the model's flat
    vector of parameters. Its settings are fixed: to change one, make a new layer.
    """

    #: Whether what the layer makes of a step belongs to that step, so that a mask still holds.
    supports_masking: ClassVar[bool] = False

    _uncalled = dict.fromkeys(
        _OF_KERAS,
        "variables, ops and config, or a layers.NumpyLayer with forward and backward: "
        "docs/own-layers.md",
    )

    def __init__(self, name: str | None = None) -> None:
        self._given_name = self._name = _check.name_or_none("name", name)
        self._home: Home | None = None
        self._input_row: Shape | None = None
        #: What the first call of this layer made.
        self._first_made: tuple[Tensor, ...] | None = None
        self._trainable = True
        #: Of a frame that the layer has learnt from.
        self._columns: tuple[str, ...] | None = None

    @property
    def name(self) -> str | None:
        """Name in the model; None until a model gives the layer one."""
        return self._name

    @property
    def trainable(self) -> bool:
        """Whether training moves the layer's weights; may be set, and counts from the next epoch.

        A layer whose weights stay costs no gradient and no step, and below the lowest one whose
        weights move there is no backward pass. Gradients by weights that stay are 0.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = _check.flag("trainable", trainable)

    @property
    def _built(self) -> Built | None:
        """What the layer's weights are part of; None before its model is built."""
        home = vars(self).get("_home")
        built = None if home is None else home.built
        return built if built is not None and built.has(self) else None

    @property
    def activity_regularizer(self) -> Regularizer | None:
        """What the numbers that the layer makes cost: l1, l2 or l1_l2, over the rows of a batch.

        The sum over a batch is divided by its rows, as in Keras. It is part of the loss, in `fit`
        and in `evaluate`, also while the layer is not `trainable`: it moves what comes before.
        """
        return self._activity_regularizer

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The layer's arrays by name, views of the model's parameters; none until it is built."""
        built = self._built
        return {} if built is None else MappingProxyType(built.views_of_weights(self))

    @property
    def _arrays(self) -> Mapping[str, np.ndarray]:
        """Its weights, and what it remembers of the rows of a batch."""
        built = self._built
        return {} if built is None else built.views_of(self)

    def variables(self, *input_shapes: Any) -> list[Variable]:
        """The layer's arrays of parameters, in the order in which they lie in the flat vector."""
        return []

    def states(self, *input_shapes: Any) -> list[Variable]:
        """The layer's arrays that no optimizer moves: what it remembers between steps."""
        return []

    def _declared(self, which: str, input_shapes: Sequence[Shape]) -> list[Variable]:
        """Its `variables` or `states`, checked: a layer may be of somebody's own class."""
        argument, kind = f"{which} of {type(self).__name__}", type(self)
        checked: list[Variable] = []
        for variable in _check.instances(argument, getattr(self, which)(*input_shapes), Variable):
            name = variable.name
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
                raise ValueError(
                    _check.refusal(
                        argument, f"the name {_check.shown(name)}", "an attribute's name"
                    )
                )
            if hasattr(kind, name) or name in vars(self) or name in (v.name for v in checked):
                got = f"the name {name!r}, which the layer has already"
                raise ValueError(_check.refusal(argument, got, "another one"))
            if not isinstance(variable.shape, (list, tuple)):
                got = f"the shape {_check.shown(variable.shape)} of {name!r}"
                raise TypeError(_check.refusal(argument, got, "a tuple of sizes"))
            checked.append(variable.checked())
            if which == "states" and (checked[-1].regularizer or checked[-1].constraint):
                got = f"a regularizer or a constraint of {name!r}"
                raise ValueError(_check.refusal(argument, got, "none: no step moves it"))
            if which == "variables" and checked[-1].of_rows:
                got = f"{name!r}, which is of rows"
                raise ValueError(_check.refusal(argument, got, "it in states: no step moves it"))
        return checked

    def ops(self, *values: Any, **settings: Any) -> Value | tuple[Value, ...]:
        """What the layer makes of what it reads, by ops: see :mod:`fastweights.layers.ops`.

        What it takes by name only are settings of a call. Several values come in a tuple, of as
        many as `results` says.
        """
        raise NotImplementedError(self._undescribed("ops"))

    def results(self, **settings: Any) -> int:
        """How many values the layer makes in a call with these settings."""
        return 1

    def goes_on(self, reads: int, **settings: Any) -> bool:
        """Whether each step that the layer makes needs that step and those before it alone.

        Of a call on so many values, with these settings. By default where it `supports_masking`:
        then it keeps steps apart.
        """
        return self.supports_masking

    def most_steps(self, **settings: Any) -> int | None:
        """The most steps that a row may have, in a call with these settings; None: any number."""
        return None

    def mask_of(self, *values: Any) -> Value | tuple[Value | None, ...] | None:
        """Which steps count of what the layer makes; None: all do.

        Of several values it is the first one's, unless a tuple says each one's. By default those
        that count in all that it reads, where it `supports_masking`.
        """
        masks = [value.mask for value in values if value.mask is not None]
        if not self.supports_masking or not masks:
            return None
        if len({mask.shape for mask in masks}) > 1:
            got = f"masks of {', '.join(str(mask.shape) for mask in masks)}"
            expected = "masks of one shape"
            raise ValueError(_check.refusal(f"inputs of {type(self).__name__}", got, expected))
        return masks[0] if len(masks) == 1 else op("multiply", *masks)

    def _told(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What a call alone is told, checked: what `ops` takes by name only, and JSON can hold."""
        taken = {
            name: parameter.default
            for name, parameter in parameters_of(type(self).ops).items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        for name, value in settings.items():
            if name not in taken:
                expected = ", ".join(taken) or "no settings of a call"
                got = f"{name}={_check.shown(value)}"
                says = f"; {_TOLD_OTHERWISE[name]}" if name in _TOLD_OTHERWISE else ""
                call = f"call of {type(self).__name__}"
                raise TypeError(_check.refusal(call, got, expected) + says)
            if not isinstance(value, (bool, int, float, str)):
                expected = "True, False, a number or a text"
                raise TypeError(_check.refusal(name, _check.shown(value), expected))
        return {name: value for name, value in settings.items() if value != taken[name]}

    def results_of(self, *values: Value, **settings: Any) -> tuple[Value, ...]:
        """`ops`, of as many values as it takes: all that the layer makes."""
        kind = type(self).__name__
        try:
            made = self.ops(*values, **settings)
        except TypeError:
            if takes(self.ops, values, settings):
                raise
            got = f"{len(values)} value{'s' * (len(values) != 1)}"
            expected = f"as many as {kind} reads"
            raise ValueError(_check.refusal(f"inputs of {kind}", got, expected)) from None
        results = (made,) if isinstance(made, Value) else made
        for value in results if isinstance(results, tuple) else (results,):
            if not isinstance(value, Value):
                expected = "a Value, which layers.op makes, or several in a tuple"
                raise TypeError(_check.refusal(f"ops of {kind}", _check.kind_of(value), expected))
            _refuse_foreign(kind, value, values)
            reals = value.op.lines * value.op.outputs
            if math.prod(value.shape) != reals:
                got = f"a value of shape {value.shape} that an op of {reals} numbers makes"
                raise ValueError(_check.refusal(f"ops of {kind}", got, "as many numbers"))
        if len(results) != (count := self.results(**settings)):
            got, expected = f"{len(results)} values", f"{count}, as its results says"
            raise ValueError(_check.refusal(f"ops of {kind}", got, expected))
        regularizer = self._activity_regularizer
        if regularizer is not None:
            if len(results) > 1:
                got = f"one for {kind}, which makes {len(results)} values"
                expected = "none; layers.ActivityRegularization costs what of them is meant"
                raise ValueError(_check.refusal("activity_regularizer", got, expected))
            results = (with_cost(results[0], regularizer.l1, regularizer.l2),)
        masks = self.mask_of(*values)
        if masks is None or isinstance(masks, Value):
            masks = (masks, *[None] * (len(results) - 1))
        return tuple(value._replace(mask=mask) for value, mask in zip(results, masks, strict=True))

    def made_of(self, *values: Value, **settings: Any) -> Value:
        """The one value that the layer makes."""
        results = self.results_of(*values, **settings)
        if len(results) > 1:
            got = f"{type(self).__name__}, which makes {len(results)} values"
            raise ValueError(_check.refusal("layer", got, "one that makes one"))
        return results[0]

    def output_shape(self, *input_shapes: Shape) -> Shape | tuple[Shape, ...]:
        """Shape of one row of output for one row of each input; of several values that of each."""
        made = self.results_of(*(given(shape) for shape in input_shapes))
        return made[0].shape if len(made) == 1 else tuple(value.shape for value in made)

    def __call__(self, *inputs: Tensor | Sequence[Tensor], **settings: Any) -> Any:
        """What the layer makes of what `fastweights.Input` or other layers made.

        Parameters
        ----------
        *inputs : Tensor or list of Tensor
            One by one, or in a list.
        **settings
            What this call alone is told: what the layer's `ops` takes by name only.

        Returns
        -------
        Tensor or tuple of Tensor
            A tuple where the layer makes several values.
        """
        several = inputs[0] if len(inputs) == 1 else inputs
        made = self._called(self._tensors_of(several), self._told(settings))
        return made if len(made) > 1 else made[0]

    def _tensors_of(self, given: Any) -> list[Tensor]:
        return _tensors.tensors_of(f"inputs of {type(self).__name__}", given)

    def _called(self, tensors: Sequence[Tensor], settings: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """All that the layer makes of these, told that."""
        results = self.results_of(*(given(tensor._row) for tensor in tensors), **settings)
        making = _tensors.Making(self, tensors, settings)
        made = tuple(
            _tensors.Tensor(value.shape, making, place) for place, value in enumerate(results)
        )
        if self._first_made is None:
            self._first_made = made
        return made

    @property
    def input(self) -> Tensor | list[Tensor]:
        """What the layer was called on first, a list where it reads several."""
        reads = cast("Making", self._first_call("input")[0]._made_by).reads
        return list(reads) if len(reads) > 1 else reads[0]

    @property
    def output(self) -> Tensor | list[Tensor]:
        """What the layer made when it was called first, a list where that is several values."""
        made = self._first_call("output")
        return list(made) if len(made) > 1 else made[0]

    def _first_call(self, wanted: str) -> tuple[Tensor, ...]:
        owner = None if self._built is None or self._home is None else self._home.owner()
        if self._first_made is None and owner is not None:
            owner._known_ends()  # calls the layers of a model that was not made of tensors
        if self._first_made is None:
            got = "a layer that was not called yet"
            raise ValueError(_check.refusal(wanted, got, "a call on tensors"))
        return self._first_made

    # ---- its weights -----------------------------------------------------------------------------

    def _built_or_refused(self, argument: str) -> Built:
        built = self._built
        if built is None:
            expected = "one of a model that knows its input"
            raise ValueError(_check.refusal(argument, "a layer that is not built", expected))
        return built

    def count_params(self) -> int:
        """Number of parameters."""
        self._built_or_refused("count_params")
        return sum(weight.size for weight in self.weights.values())

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the layer's arrays, in the order of `weights`."""
        return self._built_or_refused("get_weights").copies(self)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the layer's arrays, in the order of `weights`; none unless all of them fit."""
        self._built_or_refused("weights").write(weights, self)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them.

        A layer that takes more than a name adds to these: ``{"units": 3, **super().config()}``.
        """
        return {"name": self.name}

    def _undescribed(self, method: str) -> str:
        kind = type(self).__name__
        return f"{kind}.{method}: a layer describes itself by variables, ops and config"

    def _arguments(self) -> dict[str, Any]:
        """`config`, and what is not as it is by default of what every layer takes."""
        arguments = self.config()
        if not self.trainable:
            arguments["trainable"] = False
        if self.activity_regularizer is not None:
            arguments["activity_regularizer"] = self.activity_regularizer.config()
        return arguments

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            arrays = self._arrays
            if name in arrays:
                return arrays[name]
        built = self._built is not None
        instead = hint_for_object(name, type(self))
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}{instead}"
            + ("" if built else " (a layer has its weights once its model knows the input shape)")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and "_sealed" in vars(self):
            arrays = self._arrays
            if name in arrays:
                if not is_same_memory(
                    value, arrays[name]
                ):  # which it is after an operation in place
                    raise AttributeError(f"{name}: is the model's own; write {name}[...] = ...")
                return
        super().__setattr__(name, value)

    def _refuse(self, name: str) -> NoReturn:
        if name in self._names_of_arrays():
            start = f"{name}_initializer"
            says = f"; {start} says how it starts" if hasattr(self, start) else ""
            raise AttributeError(f"{name}: is there once its model knows the input{says}")
        super()._refuse(name)

    def _names_of_arrays(self) -> list[str]:
        """Of variables and states, also before it is known what the layer reads."""
        for axes in (1, 2, 3):
            try:
                row = self._input_row or (1,) * axes
                return [array.name for array in (*self.variables(row), *self.states(row))]
            except Exception:  # rows of another rank, or somebody's own class
                continue
        return []

    def __getstate__(self) -> dict[str, Any]:
        # A copy is a layer of no model yet.
        return {**vars(self), "_home": None, "_first_made": None}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"
