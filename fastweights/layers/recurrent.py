"""Layers that go through the steps of a row one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastweights import _check, _tensors, activations, constraints, initializers, regularizers
from fastweights._core import philox
from fastweights._description import config_of
from fastweights.layers.base import Layer, RowState, Variable
from fastweights.layers.noise import dropped_draws, own_seed, scale_of
from fastweights.layers.ops import Shape, Value, lines_of, op

if TYPE_CHECKING:
    from fastweights._tensors import Tensor

#: Activations by the numbers that kernels know them by (``kernels/activations.pxi``).
_NUMBERED = (
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish",
    "hard_silu", "hard_sigmoid", "sigmoid", "softplus", "softsign", "exponential", "tanh",
)  # fmt: skip

#: Where h of each step is put: nowhere but for the last one, in the order in which steps are done,
#: or from the end on.
LAST, AS_DONE, TURNED = range(3)


def _elementwise(argument: str, given: Any) -> activations.Activation:
    activation = activations.get(given)
    if not activation.is_elementwise:
        expected = "one that works element by element"
        raise ValueError(_check.refusal(argument, repr(activation.name), expected))
    return activation


def state_tensors(layer: Layer, inputs: Sequence[Any], states: Any) -> list[Tensor]:
    """What a call of a recurrent layer reads: the series, then the states that it begins with."""
    if len(inputs) == 2 and states is None:
        inputs, states = inputs[:1], inputs[1]
    tensors = layer._tensors_of(inputs[0] if len(inputs) == 1 else inputs)
    if len(tensors) > 1:
        got, expected = f"{len(tensors)} tensors", "one; states are given as initial_state=[...]"
        raise ValueError(_check.refusal(f"inputs of {type(layer).__name__}", got, expected))
    return tensors if states is None else tensors + _tensors.tensors_of("initial_state", states)


def forget_rows(layer: Layer) -> None:
    """Has the rows of the next batch begin anew, if the layer's model is built."""
    if (built := layer._built) is not None:
        built.forget_rows(layer)


class Recurrent(Layer):
    """Base of these layers: their settings, variables and op."""

    activation: activations.Activation
    use_bias: bool
    kernel_initializer: initializers.Initializer
    recurrent_initializer: initializers.Initializer
    bias_initializer: initializers.Initializer
    kernel_regularizer: regularizers.Regularizer | None
    recurrent_regularizer: regularizers.Regularizer | None
    bias_regularizer: regularizers.Regularizer | None
    kernel_constraint: constraints.Constraint | None
    recurrent_constraint: constraints.Constraint | None
    bias_constraint: constraints.Constraint | None

    _kind: ClassVar[str]
    #: How many columns of the kernels a unit has.
    _gates: ClassVar[int]

    supports_masking = True

    #: How many states a row has: h, and what some kinds hold beside it.
    _states: ClassVar[int] = 1

    def results(self, **settings: Any) -> int:
        return 1 + self._states if self.return_state else 1

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return not self.go_backwards and not self.stateful and reads == 1

    def __call__(
        self, *inputs: Tensor | Sequence[Tensor], initial_state: Any = None, **settings: Any
    ) -> Any:
        """What the layer makes of a series.

        Parameters
        ----------
        *inputs : Tensor (rows, steps, features)
            Also two of them, of which the second one is `initial_state`.
        initial_state : Tensor or list of Tensor (rows, units), optional
            What each row begins with in place of zeros: h and, of an LSTM, c.

        Returns
        -------
        Tensor or tuple of Tensor
            With `return_state` h as without it, then h of the last step and, of an LSTM, its c.
        """
        return super().__call__(state_tensors(self, inputs, initial_state), **settings)

    def __init__(self, units: int, name: str | None, settings: dict[str, Any]) -> None:
        super().__init__(name)
        self.units = _check.whole("units", units, 1)
        self.activation = _elementwise("activation", settings["activation"])
        self.use_bias = _check.flag("use_bias", settings["use_bias"])
        for part in ("kernel", "recurrent", "bias"):
            start, cost, bound = (
                f"{part}_{what}" for what in ("initializer", "regularizer", "constraint")
            )
            setattr(self, start, initializers.get(settings[start], self.activation.name, start))
            setattr(self, cost, regularizers.get(settings[cost], cost))
            setattr(self, bound, constraints.get(settings[bound], bound))
        self.dropout = _check.number("dropout", settings["dropout"], minimum=0, below=1)
        self.recurrent_dropout = _check.number(
            "recurrent_dropout", settings["recurrent_dropout"], minimum=0, below=1
        )
        seed = settings["seed"]
        self.seed = None if seed is None else _check.whole("seed", seed, 0, philox.MAX_SEED)
        self.return_sequences = _check.flag("return_sequences", settings["return_sequences"])
        self.return_state = _check.flag("return_state", settings["return_state"])
        self.go_backwards = _check.flag("go_backwards", settings["go_backwards"])
        self.stateful = _check.flag("stateful", settings["stateful"])
        _check.flag("unroll", settings["unroll"])

    def variables(self, input_shape: Shape, *states: Shape) -> list[Variable]:
        return self.own_variables("", input_shape)

    def states(self, input_shape: Shape, *states: Shape) -> list[Variable]:
        return self.own_states("")

    def own_states(self, prefix: str) -> list[Variable]:
        """What it remembers of the rows of a batch, with this before the names."""
        return [
            RowState(name, (self.units,), initializers.Zeros())
            for name in self._names_of_states(prefix)
        ]

    def _names_of_states(self, prefix: str) -> list[str]:
        held = ("state_h", "state_c")[: self._states]
        return [f"{prefix}{name}" for name in held] if self.stateful else []

    def reset_state(self) -> None:
        """Has the rows of the next batch begin with zeros, where the layer is `stateful`."""
        forget_rows(self)

    reset_states = reset_state

    def own_variables(self, prefix: str, input_shape: Shape) -> list[Variable]:
        """Its variables for rows of that shape, with this before their names."""
        columns = self._gates * self.units
        fans = (self._features(input_shape), columns)
        found = [
            Variable(
                f"{prefix}kernel",
                fans,
                self.kernel_initializer,
                *fans,
                self.kernel_regularizer,
                constraint=self.kernel_constraint,
            ),
            Variable(
                f"{prefix}recurrent_kernel",
                (self.units, columns),
                self.recurrent_initializer,
                self.units,
                columns,
                self.recurrent_regularizer,
                constraint=self.recurrent_constraint,
            ),
        ]
        if self.use_bias:
            shape = self._bias_shape()
            found.append(
                Variable(
                    f"{prefix}bias",
                    shape,
                    self._bias_start(),
                    regularizer=self.bias_regularizer,
                    constraint=self.bias_constraint,
                )
            )
        return found

    def _bias_shape(self) -> Shape:
        return (self._gates * self.units,)

    def _bias_start(self) -> initializers.Initializer:
        return self.bias_initializer

    def _features(self, shape: Shape) -> int:
        if len(shape) != 2:
            got, kind = f"rows of shape {shape}", type(self).__name__
            expected = "rows (steps, features); layers.TimeDistributed(layers.Flatten()) makes them"
            if len(shape) == 1:
                expected = (
                    f"rows (steps, features); x[..., None] or layers.Reshape({(*shape, 1)}) makes "
                    "steps of one feature, return_sequences=True has a layer before keep all steps"
                )
            raise ValueError(_check.refusal(f"input of {kind}", got, expected))
        return shape[1]

    def ops(self, x: Value, *initial_state: Value) -> Value | tuple[Value, ...]:
        made = self.through(x, initial_state, "", AS_DONE if self.return_sequences else LAST)
        return made if self.return_state else made[0]

    def through(
        self,
        x: Value,
        states: Sequence[Value],
        prefix: str,
        put: int,
        masked_is_zero: bool = False,
    ) -> tuple[Value, ...]:
        """What it makes of x and states with variables of that prefix, and h put as said.

        Where a step is masked h is that of the step before, or 0.
        """
        self._features(x.shape)
        self._refuse_states(states)
        steps, _ = x.shape
        drawn, seed = dropped_draws(self.dropout), own_seed(self.seed)
        if drawn:
            x = op(
                "dropout",
                x,
                lines=steps,
                sizes=(seed, drawn - 1),
                options=(scale_of(drawn), 0.0, 0.0),
            )._replace(mask=x.mask)
        drawn = dropped_draws(self.recurrent_dropout)
        # Lines of what the op makes: of h in its place, and of all.
        lines = 1 if put == LAST else steps
        all_lines = lines + (self._states - (put == LAST) if self.return_state else 0)
        made = op(
            self._kind,
            x,
            *states,
            *(() if x.mask is None else (x.mask,)),
            shape=(all_lines, self.units),
            variables=[f"{prefix}{name}" for name in self._names()],
            sizes=(
                seed,
                steps,
                self.units,
                put,
                int(self.go_backwards),
                _NUMBERED.index(self.activation.name),
                _NUMBERED.index(self._recurrent_activation().name),
                drawn,
                self._variant(),
                int(masked_is_zero),
                len(states),
                int(self.return_state),
            ),
            options=(
                *self.activation.options,
                *self._recurrent_activation().options,
                scale_of(drawn),
            ),
            states=self._names_of_states(prefix),
        )
        parts = [made if all_lines == lines else lines_of(made, 0, lines)]
        if put == LAST:
            parts = [parts[0].reshaped(self.units)]
        if self.return_state:
            # Of the last step alone h is the state.
            parts += parts if put == LAST else []
            parts += [
                lines_of(made, line, line + 1).reshaped(self.units)
                for line in range(lines, all_lines)
            ]
        return tuple(parts)

    def _refuse_states(self, states: Sequence[Value]) -> None:
        """Raises ValueError where these are not what a row begins with."""
        shapes = [value.shape for value in states]
        if shapes not in ([], [(self.units,)] * self._states):
            count, each = len(shapes), ", ".join(map(str, dict.fromkeys(shapes)))
            got = f"{count} tensor{'s' * (count != 1)} of rows {each}"
            several = f"{self._states} tensors" if self._states > 1 else "1 tensor"
            expected = f"{several} of rows ({self.units},)"
            raise ValueError(_check.refusal("initial_state", got, expected))

    def _names(self) -> tuple[str, ...]:
        return ("kernel", "recurrent_kernel", "bias")[: 3 if self.use_bias else 2]

    def _recurrent_activation(self) -> activations.Activation:
        return self.activation

    def _variant(self) -> int:
        """Which of several definitions of its kind the layer follows."""
        return 0

    def mask_of(self, x: Value, *initial_state: Value) -> Value | None:
        return x.mask if self.return_sequences else None

    def config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": self.activation.config(),
            **self._own_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "recurrent_initializer": self.recurrent_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": config_of(self.kernel_regularizer),
            "recurrent_regularizer": config_of(self.recurrent_regularizer),
            "bias_regularizer": config_of(self.bias_regularizer),
            "kernel_constraint": config_of(self.kernel_constraint),
            "recurrent_constraint": config_of(self.recurrent_constraint),
            "bias_constraint": config_of(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "name": self.name,
        }

    def _own_config(self) -> dict[str, Any]:
        """What not every kind of these layers takes."""
        return {}


class SimpleRNN(Recurrent):
    """``h[t] = activation(x[t] @ kernel + h[t - 1] @ recurrent_kernel + bias)``.

    Parameters
    ----------
    units : int
        How many numbers h has, at least 1.
    activation : str or Activation, optional
        One that works element by element; None is linear.
    use_bias : bool
        Whether a bias is added.
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        How they start (see :mod:`fastweights.initializers`).
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
        What their weights cost (see :mod:`fastweights.regularizers`).
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
        What each step leaves of them (see :mod:`fastweights.constraints`).
    dropout, recurrent_dropout : float
        In training, the share of features of x, and of elements of ``h[t - 1]``, that are 0: at
        least 0 and below 1, the same ones in all steps of a row.
    seed : int, optional
        Mixed into the model's seed for these, as for `Dropout`.
    return_sequences : bool
        Whether h of all steps is returned; otherwise that of the last one.
    go_backwards : bool
        Whether the last step goes first; h of all steps is then in the order in which they went.
    return_state : bool
        Whether the layer makes more values: h of the last step and, of an `LSTM`, its c.
    stateful : bool
        Whether each row begins with the states that the same row of the batch before ended with,
        also of another epoch, and of `predict` and `evaluate`, unless a call is given some. See
        Notes.
    unroll : bool
        For code written for Keras; changes nothing.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    kernel : ndarray (features, units)
        View of the model's parameters, once the model is built.
    recurrent_kernel : ndarray (units, units)
        Likewise.
    bias : ndarray (units,)
        Likewise; absent without bias.
    state_h : ndarray (rows of a batch, units)
        Where it is `stateful`: what the last batch left; of an `LSTM` also `state_c`.

    Notes
    -----
    Input ``(rows, steps, features)``, output ``(rows, units)``, or ``(rows, steps, units)`` with
    `return_sequences`. ``h[-1]`` is 0, or what a call gives as ``initial_state``. A step that is
    masked (see `Masking`) leaves h as it is, and takes no time.

    With `stateful` all batches have the rows that ``fw.Input(shape, batch_size=...)`` says, and
    long series are cut into pieces that stand at the same row of batches that follow each other:
    ``fit`` is to have ``shuffle=False``. No gradient goes back to the batch before. `reset_state`
    begins anew, for instance in a callback's `on_epoch_begin`; nothing else does. The states are
    part of ``model.state``, of copies and of what a step that diverges takes back, but no weights:
    files do not keep them, as in Keras. `loss_and_gradients` begins with them and leaves them.

    Examples
    --------
    What one layer has read is where another one begins:

    >>> told = layers.GRU(32, return_state=True)(questions)
    >>> answers = layers.GRU(32, return_sequences=True)(begun, initial_state=told[1])
    """

    _kind = "simple_rnn"
    _gates = 1

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        recurrent_initializer: str | initializers.Initializer = "orthogonal",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        recurrent_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        recurrent_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(units, name, locals())


class _Gated(Recurrent):
    """Base of those that have gates."""

    def __init__(self, units: int, name: str | None, settings: dict[str, Any]) -> None:
        super().__init__(units, name, settings)
        self.recurrent_activation = _elementwise(
            "recurrent_activation", settings["recurrent_activation"]
        )

    def _recurrent_activation(self) -> activations.Activation:
        return self.recurrent_activation

    def _own_config(self) -> dict[str, Any]:
        return {"recurrent_activation": self.recurrent_activation.config()}


class _ForgetBias(initializers.Initializer):
    """A bias of four gates, of which the second one starts with ones."""

    name = "forget_bias"
    others: initializers.Initializer

    def __init__(self, others: initializers.Initializer) -> None:
        self._set(others=others)

    def _draw(self, out: np.ndarray, seed: int, stream: int, fan_in: int, fan_out: int) -> None:
        self.others.fill(out, seed, stream, fan_in, fan_out)
        out[out.size // 4 : out.size // 2] = 1.0


class LSTM(_Gated):
    """Long short-term memory: what a unit remembers is kept, added to and told by three gates.

    With ``z = x[t] @ kernel + h[t - 1] @ recurrent_kernel + bias``, whose columns are those of i,
    f, g and o: ``i, f, o = recurrent_activation(z)``, ``g = activation(z)``,
    ``c[t] = f c[t - 1] + i g``, ``h[t] = o activation(c[t])``. Its states are h and c.

    Parameters
    ----------
    units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, \\
    kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, \\
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, return_sequences, \\
    return_state, go_backwards, stateful, unroll, name
        As for `SimpleRNN`.
    recurrent_activation : str or Activation, optional
        That of the gates, which works element by element.
    unit_forget_bias : bool
        Whether the bias of f starts with ones.

    Attributes
    ----------
    kernel : ndarray (features, 4 units)
        View of the model's parameters, once the model is built; gates in the order i, f, g, o.
    recurrent_kernel : ndarray (units, 4 units)
        Likewise.
    bias : ndarray (4 units,)
        Likewise; absent without bias. PyTorch has two, of which files hold the second one as zeros.

    Notes
    -----
    Shapes and masks are those of `SimpleRNN`.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long short-term memory" (Neural Computation 9, 1997); F.
    Gers, J. Schmidhuber and F. Cummins, "Learning to forget" (Neural Computation 12, 2000).
    """

    _kind = "lstm"
    _gates = 4
    _states = 2

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = "tanh",
        recurrent_activation: str | activations.Activation | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        recurrent_initializer: str | initializers.Initializer = "orthogonal",
        bias_initializer: str | initializers.Initializer = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        recurrent_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        recurrent_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(units, name, locals())
        self.unit_forget_bias = _check.flag("unit_forget_bias", unit_forget_bias)

    def _bias_start(self) -> initializers.Initializer:
        start = self.bias_initializer
        return _ForgetBias(start) if self.unit_forget_bias else start

    def _own_config(self) -> dict[str, Any]:
        return {**super()._own_config(), "unit_forget_bias": self.unit_forget_bias}


class GRU(_Gated):
    """Gated recurrent unit: h is kept where z is 1, and made anew where it is 0.

    ``z, r = recurrent_activation(x[t] @ kernel + h[t - 1] @ recurrent_kernel + bias)``,
    ``g = activation(x[t] @ kernel + r (h[t - 1] @ recurrent_kernel))``, each with its own columns
    and biases, and ``h[t] = z h[t - 1] + (1 - z) g``.

    Parameters
    ----------
    units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, \\
    kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, \\
    recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, return_sequences, \\
    return_state, go_backwards, stateful, unroll, name
        As for `SimpleRNN`.
    recurrent_activation : str or Activation, optional
        That of the gates, which works element by element.
    reset_after : bool
        Whether r stands behind the product, as above and in PyTorch; otherwise before it, as in the
        paper: ``(r h[t - 1]) @ recurrent_kernel``.

    Attributes
    ----------
    kernel : ndarray (features, 3 units)
        View of the model's parameters, once the model is built; columns in the order z, r, g.
    recurrent_kernel : ndarray (units, 3 units)
        Likewise.
    bias : ndarray (2, 3 units), or (3 units,) without reset_after
        Likewise; that of x and that of h. Absent without bias.

    Notes
    -----
    Shapes and masks are those of `SimpleRNN`. With `recurrent_dropout` all of ``h[t - 1]`` that is
    dropped is 0, also where z would keep it, as in Keras. PyTorch's order is r, z, g, which is that
    of files.

    References
    ----------
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation" (EMNLP 2014).
    """

    _kind = "gru"
    _gates = 3

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = "tanh",
        recurrent_activation: str | activations.Activation | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        recurrent_initializer: str | initializers.Initializer = "orthogonal",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        recurrent_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        recurrent_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(units, name, locals())
        self.reset_after = _check.flag("reset_after", reset_after)

    def _bias_shape(self) -> Shape:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _variant(self) -> int:
        return int(self.reset_after)

    def _own_config(self) -> dict[str, Any]:
        return {**super()._own_config(), "reset_after": self.reset_after}
