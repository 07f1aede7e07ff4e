"""Series step by step: each call has the next step, and what came before stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastweights import _check, _plans
from fastweights._building import Built
from fastweights._core import arrays
from fastweights._registry import is_of_library

if TYPE_CHECKING:
    from fastweights.models import Model

#: Steps that a stream may have unless it is told otherwise: up to here each place has its number.
LONGEST = 1 << 53

_BY_STATE = "the last step of a recurrent layer, which has seen all of them"
_BY_STEP = "it within layers.TimeDistributed, which takes each step alone"
_CAUSAL = "Conv1D with padding='causal' and strides=1"

#: What to write instead of layers that do not go on step by step, or how to have them do so.
_INSTEAD: dict[str, str] = {
    "Conv1D": "padding='causal' and strides=1",
    **dict.fromkeys(
        ("DepthwiseConv1D", "SeparableConv1D"),
        f"{_CAUSAL}, and groups for channels that are worked on apart",
    ),
    **dict.fromkeys(("ZeroPadding1D", "Cropping1D"), f"{_CAUSAL} behind it, which needs none"),
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), f"{_CAUSAL} in its place"),
    **dict.fromkeys(
        ("UpSampling1D", "Conv1DTranspose"), f"{_CAUSAL}, which makes one step of each"
    ),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalAveragePooling1D", "RepeatVector"), _BY_STATE),
    **dict.fromkeys(("Flatten", "Reshape", "Permute"), _BY_STEP),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN"),
        "go_backwards=False and stateful=False, since a stream has states of its own",
    ),
    "Bidirectional": "its forward_layer alone: the other one begins at the last step",
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupQueryAttention"),
        "use_causal_mask=True in the call, and no attention_mask",
    ),
    "GroupNormalization": "LayerNormalization or RMSNormalization, which take each step alone",
    "Concatenate": "axis=-1",
}


class Stream:
    """Predicts series step by step, as `predict` would predict them whole.

    Made by :meth:`fastweights.Model.stream`. It keeps what the layers carry from one step to the
    next: states of recurrent layers, keys and values of attention. Weights are the model's of the
    moment.

    Parameters
    ----------
    model : Model
        Built; its one input is rows of steps, ``(steps, features)`` or whole numbers ``(steps,)``,
        and each of its layers makes a step of that step and those before it alone.
    rows : int
        How many series go on side by side.
    longest : int
        How many steps there may be. Attention keeps keys and values of all that have gone.

    Attributes
    ----------
    steps : int
        How many have gone.
    longest : int
        How many there may be.
    """

    def __init__(self, model: Model, rows: int = 1, longest: int | None = None) -> None:
        self._rows = _check.whole("rows", rows, 1)
        self._model, self._built = model, model._built_or_refused()
        built = self._built
        _refuse_unsuited(built)
        one, several = (_of_steps(built, steps) for steps in (1, 2))
        most = most_steps(built)
        self._longest = most if longest is None else _check.whole("longest", longest, 1, most)
        self._plan = _plans.stream_plan(one, built, self._rows, self._longest)
        self._limit = one.limits[0]
        self._input_shape = (self._rows, *built.input_shapes[0][1:])
        #: Whether a step is vectors of any reals.
        self._is_plain = self._limit is None and len(self._input_shape) == 2 and not built.masks
        made = one.output_shapes[0]
        # Without the axis of steps, if there is one.
        has_steps = made != several.output_shapes[0]
        self._output_shape = (self._rows, *(made[1:] if has_steps else made))

    @property
    def longest(self) -> int:
        """How many steps there may be."""
        return self._longest

    @property
    def steps(self) -> int:
        """How many have gone."""
        return int(self._plan.gone)

    def step(self, x: Any) -> np.ndarray:
        """The output for the next step of each row.

        Parameters
        ----------
        x : array_like (rows, features), or (rows,) of whole numbers
            One row may come without its axis.

        Returns
        -------
        ndarray (rows, *features)
            As the last step of `predict` of all steps so far.

        Raises
        ------
        ValueError
            After the longest series that there is room for, for numbers that are not finite, or
            once the model has been built anew.
        """
        if self._model._built is not self._built:
            got = "a model whose weights have moved"
            raise ValueError(_check.refusal("step", got, "a new stream: model.stream()"))
        taken = None
        if type(x) is np.ndarray and self._is_plain:
            taken = arrays.taken(x, self._built.dtype.itemsize, self._input_shape[1])
        if taken is None or len(taken) != self._rows:
            taken = self._checked(x)
        made = self._plan.go_on(taken)
        return made if len(self._output_shape) == 2 else made.reshape(self._output_shape)

    def _checked(self, x: Any) -> np.ndarray:
        array = _check.numeric_array("x", x)
        if self._rows == 1 and array.shape == self._input_shape[1:]:
            array = array[np.newaxis]
        if array.shape != self._input_shape:
            got, expected = f"shape {array.shape}", f"shape {self._input_shape}, a step of each row"
            raise ValueError(_check.refusal("x", got, expected))
        if self._limit is not None:
            return _check.tokens("x", array, self._limit)
        if self._built.masks:
            _check.mask("x", array)
        return _check.reals("x", array, self._built.dtype)

    def reset(self) -> None:
        """Forgets all steps: the next one is the first of new series."""
        self._plan.begin_again()


def most_steps(built: Built) -> int:
    """How many steps a stream of the network may have."""
    bounds = [call.layer.most_steps(**dict(call.settings)) for call in built.topology.calls]
    return min([bound for bound in bounds if bound is not None], default=LONGEST)


def _refuse_unsuited(built: Built) -> None:
    """Raises ValueError for a network that does not go from step to step."""
    shape = built.input_shapes[0]
    if len(built.input_shapes) > 1 or len(built.output_shapes) > 1:
        got = f"a model of {len(built.input_shapes)} inputs and {len(built.output_shapes)} outputs"
        raise ValueError(_check.refusal("stream", got, "one of each"))
    if len(shape) < 2 and built.limits[0] is None:
        got = f"a model of rows {shape}"
        raise ValueError(_check.refusal("stream", got, "rows of steps: (steps, features)"))
    for layer, reads, settings in built.topology.calls:
        if not layer.goes_on(len(reads), **dict(settings)):
            got = f"the layer {layer.name!r} of the class {type(layer).__name__}"
            expected = "layers of which a step needs that step and those before it alone"
            instead = _INSTEAD.get(type(layer).__name__) if is_of_library(layer) else None
            if instead is not None:
                expected += f"; write {instead}"
            raise ValueError(_check.refusal("stream", got, expected))


def _of_steps(built: Built, steps: int) -> Built:
    """The same layers for rows of so many steps: other sizes of ops, the same variables."""
    shape = (steps, *built.input_shapes[0][1:])
    twin = Built(built.topology, (shape,), built.dtype)
    for (layer, variable), (_, own) in zip(twin.owned, built.owned, strict=True):
        if variable.shape != own.shape:
            got = f"{variable.name!r} of {layer.name!r}, whose shape depends on the steps"
            raise ValueError(_check.refusal("stream", got, "weights for any number of steps"))
    return twin
