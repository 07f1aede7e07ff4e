"""The oracle's recurrent layers: loops over rows and steps in plain NumPy, always in float64.

Like `reference` they call nothing of fastweights. Kernels and biases lie as in Keras: gates i f g o
and z r g.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Function = Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def lstm_step(x, h, c, kernel, recurrent, bias, activation, gate):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = gate(f) * c + gate(i) * activation(g)
    return gate(o) * activation(c), c


def gru_step(x, h, c, kernel, recurrent, bias, activation, gate):
    """With r behind the product where there is a bias of h by itself."""
    of_x, of_h = (bias, np.zeros_like(bias)) if bias.ndim == 1 else bias
    z, r, g = np.split(x @ kernel + of_x, 3)
    first, second, third = np.split(recurrent, 3, axis=1)
    of_z, of_r, of_g = np.split(of_h, 3)
    z, r = gate(z + h @ first + of_z), gate(r + h @ second + of_r)
    inner = (r * h) @ third if bias.ndim == 1 else r * (h @ third + of_g)
    return z * h + (1 - z) * activation(g + inner), c


def simple_step(x, h, c, kernel, recurrent, bias, activation, gate):
    return activation(x @ kernel + h @ recurrent + bias), c


STEPS = {"LSTM": lstm_step, "GRU": gru_step, "SimpleRNN": simple_step}


def recurrent(
    kind: str,
    x: Array,
    kernel: Array,
    recurrent_kernel: Array,
    bias: Array | float | None = None,
    *,
    mask: Array | None = None,
    sequences: bool = False,
    backwards: bool = False,
    reset_after: bool = True,
    masked_is_zero: bool = False,
    activation: Function = np.tanh,
    gate: Function = sigmoid,
    begin: tuple[Array, ...] | None = None,
) -> Array | tuple[Array, ...]:
    """h of the last step, or of all in the order in which they are done.

    Where states are given to begin with, h and c of an LSTM, those of the end come behind it.
    """
    rows, steps, _ = x.shape
    units = len(recurrent_kernel)
    if bias is None:
        columns = kernel.shape[1]
        bias = np.zeros((2, columns) if kind == "GRU" and reset_after else columns)
    told, states = np.zeros((rows, steps, units)), np.zeros((2, rows, units))
    if begin is not None:
        states[: len(begin)] = begin
    for row in range(rows):
        h, c = (ends[row] for ends in states)
        for number in range(steps):
            step = steps - 1 - number if backwards else number
            counts = mask is None or mask[row, step]
            if counts:
                h, c = STEPS[kind](
                    x[row, step], h, c, kernel, recurrent_kernel, bias, activation, gate
                )
            told[row, number] = h if counts or not masked_is_zero else 0
        states[0][row], states[1][row] = h, c
    made = told if sequences else told[:, -1]
    return made if begin is None else (made, *states[: 2 if kind == "LSTM" else 1])


def bidirectional(
    kinds: tuple[str, str],
    x: Array,
    *weights: Array,
    merge: str | None = "concat",
    begin: tuple[Array, ...] | None = None,
    **settings,
) -> Array | tuple[Array, ...]:
    """Of the weights of the layer that goes there, then of that which comes back; states too."""
    half, sequences = len(weights) // 2, settings.get("sequences", False)
    of_first = 2 if kinds[0] == "LSTM" else 1
    begins = (None, None) if begin is None else (begin[:of_first], begin[of_first:])
    settings["masked_is_zero"] = sequences
    there = recurrent(kinds[0], x, *weights[:half], begin=begins[0], **settings)
    back = recurrent(kinds[1], x, *weights[half:], begin=begins[1], backwards=True, **settings)
    ends = () if begin is None else (*there[1:], *back[1:])
    if begin is not None:
        there, back = there[0], back[0]
    if sequences:
        back = back[:, ::-1]
    if merge == "concat":
        made = (np.concatenate([there, back], axis=-1),)
    elif merge is None:
        made = there, back
    else:
        made = ({"sum": there + back, "ave": (there + back) / 2, "mul": there * back}[merge],)
    return made[0] if len(made) == 1 and not ends else (*made, *ends)
