"""Layers made of another layer: one for each direction of time, or the same one for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastweights import _check
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Op, Shape, Value, given, op
from fastweights.layers.recurrent import (
    AS_DONE,
    LAST,
    TURNED,
    Recurrent,
    forget_rows,
    state_tensors,
)

if TYPE_CHECKING:
    from fastweights._tensors import Tensor


def _layer(argument: str, got: Any, kind: type[Layer], expected: str) -> Any:
    """A layer, or what described one."""
    from fastweights import _registry  # which knows all layers, these too

    if isinstance(got, Mapping):
        got = _registry.made_of(got, {})
    if not isinstance(got, kind):
        expected += _FRAMES if kind is Layer and hasattr(got, "layers") else ""
        raise TypeError(_check.refusal(argument, _check.kind_of(got), expected))
    if got._built is not None:
        expected = "one of no other model, whose weights would not be shared"
        raise ValueError(_check.refusal(argument, f"{got.name!r}, a layer of a model", expected))
    return got


def _described(layer: Layer) -> dict[str, Any]:
    from fastweights import _registry

    return _registry.description_of(layer)


#: How the values of both directions become one.
_MERGES = {"concat": "concatenate", "sum": "add", "ave": "average", "mul": "multiply"}


class Bidirectional(Layer):
    """A recurrent layer that goes through the steps in their order, beside one that goes back.

    Parameters
    ----------
    layer : LSTM, GRU or SimpleRNN
    merge_mode : str or None
        What becomes of the two values: ``"concat"``, one after the other along the last axis,
        ``"sum"``, ``"ave"``, their mean, ``"mul"``, their product, or None: they stay two.
    backward_layer : LSTM, GRU or SimpleRNN, optional
        The one that goes back: by default one like `layer` with the other `go_backwards`.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    forward_kernel, forward_recurrent_kernel, forward_bias : ndarray
        What `layer` has as kernel, recurrent_kernel and bias: views of the model's parameters, once
        the model is built.
    backward_kernel, backward_recurrent_kernel, backward_bias : ndarray
        Those of the layer that goes back.

    Notes
    -----
    With `return_sequences` both values are in the order of the steps, and 0 in masked ones, as in
    Keras. With `return_state` the states of `layer` follow, then those of the layer that goes back;
    in this order they are also an ``initial_state``. With `stateful` layers each goes on from where
    it ended in the batch before, as in Keras: the one that goes back from the first step of that.

    References
    ----------
    M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks" (IEEE Transactions on
    Signal Processing 45, 1997).
    """

    supports_masking = True

    def results(self, **settings: Any) -> int:
        of_states = self.forward_layer.results() + self.backward_layer.results() - 2
        return (2 if self.merge_mode is None else 1) + of_states

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return False

    def __call__(
        self, *inputs: Tensor | Sequence[Tensor], initial_state: Any = None, **settings: Any
    ) -> Any:
        """What both layers make of a series.

        Parameters
        ----------
        *inputs : Tensor (rows, steps, features)
            Also two of them, of which the second one is `initial_state`.
        initial_state : list of Tensor (rows, units), optional
            What each row begins with: the states of `layer`, then those of the one that goes back.

        Returns
        -------
        Tensor or tuple of Tensor
            What is merged, or both values, then the states that both end with, if they are told.
        """
        return super().__call__(state_tensors(self, inputs, initial_state), **settings)

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        backward_layer: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.forward_layer = _layer("layer", layer, Recurrent, "an LSTM, GRU or SimpleRNN")
        if merge_mode is not None:
            _check.choice("merge_mode", merge_mode, _MERGES)
        self.merge_mode = merge_mode
        if backward_layer is None:
            config = self.forward_layer.config()
            config["go_backwards"] = not config["go_backwards"]
            backward_layer = type(self.forward_layer)(**config)
        self.backward_layer = _layer(
            "backward_layer", backward_layer, Recurrent, "an LSTM, GRU or SimpleRNN"
        )
        there, back = self.forward_layer, self.backward_layer
        if there.go_backwards == back.go_backwards:
            expected = f"one with go_backwards={not there.go_backwards}, as layer has it not"
            raise ValueError(_check.refusal("backward_layer", repr(back), expected))
        for same in ("stateful", "return_sequences", "return_state"):
            if getattr(there, same) != getattr(back, same):
                expected = f"one with {same}={getattr(there, same)}, as layer has it"
                raise ValueError(_check.refusal("backward_layer", repr(back), expected))

    def variables(self, input_shape: Shape, *states: Shape) -> list[Variable]:
        return [
            *self.forward_layer.own_variables("forward_", input_shape),
            *self.backward_layer.own_variables("backward_", input_shape),
        ]

    def states(self, input_shape: Shape, *states: Shape) -> list[Variable]:
        return [
            *self.forward_layer.own_states("forward_"),
            *self.backward_layer.own_states("backward_"),
        ]

    def reset_state(self) -> None:
        """Has the rows of the next batch begin with zeros, where the layers are `stateful`."""
        forget_rows(self)

    reset_states = reset_state

    def ops(self, x: Value, *initial_state: Value) -> Value | tuple[Value, ...]:
        there, back = self.forward_layer, self.backward_layer
        all_steps, half = there.return_sequences, there._states if initial_state else 0
        if initial_state and len(initial_state) != half + back._states:
            count = len(initial_state)
            got = f"{count} value{'s' * (count != 1)}"
            expected = f"{half + back._states}, as many as the two layers have"
            raise ValueError(_check.refusal("initial_state", got, expected))
        first, *states = there.through(
            x, initial_state[:half], "forward_", AS_DONE if all_steps else LAST, all_steps
        )
        second, *states_back = back.through(
            x, initial_state[half:], "backward_", TURNED if all_steps else LAST, all_steps
        )
        made = (*self._merged(first, second), *states, *states_back)
        return made if len(made) > 1 else made[0]

    def _merged(self, first: Value, second: Value) -> tuple[Value, ...]:
        if self.merge_mode is None:
            return first, second
        if self.merge_mode != "concat":
            return (op(_MERGES[self.merge_mode], first, second),)
        shape = (*first.shape[:-1], first.features + second.features)
        return (op("concatenate", first, second, shape=shape, lines=first.lines),)

    def mask_of(self, x: Value, *initial_state: Value) -> tuple[Value | None, ...]:
        merged = 2 if self.merge_mode is None else 1
        return (self.forward_layer.mask_of(x),) * merged + (None,) * (self.results() - merged)

    def config(self) -> dict[str, Any]:
        return {
            "layer": _described(self.forward_layer),
            "merge_mode": self.merge_mode,
            "backward_layer": _described(self.backward_layer),
            "name": self.name,
        }


#: Ops that treat the lines of a row alike, so that those of all steps may be the lines of one row.
_BY_LINES = {
    "dense", "member_dense", "activation", "softmax", "log_softmax", "softmin", "sparsemax", "add",
    "average", "multiply", "maximum", "minimum", "concatenate", "subtract", "layer_normalize",
    "rms_normalize", "unit_normalize", "scale", "prelu", "bent_relu", "rescale", "swap", "repeat",
    "embedding",
}  # fmt: skip
#: Ops that work number by number where a row is one line.
_BY_NUMBERS = {"activity", "dropout", "gaussian_noise", "gaussian_dropout"}


#: What it takes, and what to do with what it does not.
_ALONE = "a layer that takes each vector alone: Dense, LayerNormalization, activations, ..."
_FRAMES = "; for images or series in steps make a model of one, predict x.reshape(-1, *x.shape[2:])"


class TimeDistributed(Layer):
    """The same layer for each step of a row.

    Parameters
    ----------
    layer : Layer
        One whose ops treat all lines of a row alike: `Dense`, normalisations of a step,
        activations, merges, shapes, noise, or a layer of your own made of such ops.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    The variables of the layer, by their names there.

    Notes
    -----
    Input ``(rows, steps, ...)``, of which the layer reads ``(steps of rows, ...)``; output ``(rows,
    steps, ...)``. `Dense` works on the last axis already, and needs none of this.
    """

    supports_masking = True

    def __init__(self, layer: Any, name: str | None = None) -> None:
        super().__init__(name)
        self.layer = _layer("layer", layer, Layer, _ALONE)

    def _row(self, shape: Shape) -> Shape:
        if len(shape) < 2:
            expected = "rows (steps, ...)"
            got = f"rows of shape {shape}"
            raise ValueError(_check.refusal("input of TimeDistributed", got, expected))
        return shape[1:]

    def variables(self, input_shape: Shape) -> list[Variable]:
        return self.layer.variables(self._row(input_shape))

    def ops(self, x: Value) -> Value:
        if self.layer.states(self._row(x.shape)):
            kind = type(self.layer).__name__
            expected = "a layer that remembers nothing from step to step"
            raise ValueError(_check.refusal("layer of TimeDistributed", kind, expected))
        row = given(self._row(x.shape))
        made = self.layer.made_of(row)
        known = {id(row.op): x.op}
        return Value(self._for_all_steps(made.op, x.shape[0], known), (x.shape[0], *made.shape))

    def _for_all_steps(self, one: Op, steps: int, known: dict[int, Op]) -> Op:
        """The op for the lines of all steps; `known` are those that there are already."""
        waiting = [one]
        while waiting:
            made = waiting[-1]
            first = [read for read in made.reads if id(read) not in known]
            if first or id(waiting.pop()) in known:
                waiting += first
                continue
            by_numbers = made.kind in _BY_NUMBERS and made.lines == 1
            if made.kind not in _BY_LINES and not by_numbers:
                kind = type(self.layer).__name__
                got = f"{kind}, which sees several vectors of a step at once (op {made.kind!r})"
                raise ValueError(_check.refusal("layer of TimeDistributed", got, _ALONE) + _FRAMES)
            known[id(made)] = Op(
                made.kind,
                [known[id(read)] for read in made.reads],
                made.lines if by_numbers else made.lines * steps,
                made.outputs * steps if by_numbers else made.outputs,
                made.variables,
                made.sizes,
                made.options,
                made.activation,
            )
        return known[id(one)]

    def mask_of(self, x: Value) -> Value | None:
        return x.mask if x.mask is not None and x.mask.shape == x.shape[:1] else None

    def config(self) -> dict[str, Any]:
        return {"layer": _described(self.layer), "name": self.name}
