"""Recurrent layers, attention and positions."""

from __future__ import annotations

import numpy as np
import reference_layers as oracle
import reference_recurrent as steps_oracle

from fastweights import activations, layers
from layer_cases.base import Begun, Case, Masked, Merged
from layer_cases.plain import SAME, TANH, tanh_dense

CASES: dict[str, Case] = {}


def going(kind, units, shape, masked=False, smooth=True, **settings):
    """A recurrent layer of that kind; `sequences` is return_sequences, `backwards` go_backwards."""

    def made():
        given = {
            "return_sequences": settings.get("sequences", False),
            "go_backwards": settings.get("backwards", False),
        }
        for name, ours in (("activation", "activation"), ("gate", "recurrent_activation")):
            if name in settings:
                given[ours] = settings[name]
        if "reset_after" in settings:
            given["reset_after"] = settings["reset_after"]
        layer = getattr(layers, kind)(units, use_bias=settings.get("bias", True), **given)
        return Masked(layer) if masked else layer

    def told(x, *weights):
        chosen = {name: value for name, value in settings.items() if name != "bias"}
        for name in ("activation", "gate"):
            if name in chosen:
                chosen[name] = activations.get(chosen[name])
        mask = (x > 0).any(axis=-1) if masked else None
        return steps_oracle.recurrent(kind, x, *weights, mask=mask, **chosen)

    return Case(made, shape, told, smooth and not masked, around=0.0)


KINDS = {
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU before": ("GRU", {"reset_after": False}),
    "SimpleRNN": ("SimpleRNN", {}),
}
CASES |= {
    " ".join([title, str(units), f"{steps}x{features}", *more, *["masked"][:masked]]): going(
        kind, units, (steps, features), masked, **own, **more
    )
    for title, (kind, own) in KINDS.items()
    for units, steps, features, masked, more in (
        (1, 1, 1, False, {}),
        (5, 4, 3, False, {"sequences": True}),
        (9, 3, 2, False, {"backwards": True, "bias": False}),
        (17, 3, 20, False, {"sequences": True, "backwards": True}),
        (70, 2, 9, False, {}),
        (5, 6, 2, True, {}),
        (17, 5, 1, True, {"sequences": True}),
        (3, 5, 2, True, {"sequences": True, "backwards": True, "bias": False}),
    )
}
CASES |= {
    f"{kind} of {activation} and {gate}": going(
        kind,
        9,
        (4, 3),
        masked,
        smooth,
        activation=activation,
        **({} if gate is None else {"gate": gate}),
        **own,
    )
    for kind, own, activation, gate, masked, smooth in (
        ("LSTM", {}, "gelu", "tanh", False, True),
        ("LSTM", {"sequences": True}, "relu", "hard_sigmoid", False, False),
        ("GRU", {}, "softplus", "sigmoid", False, True),
        ("GRU", {"reset_after": False, "sequences": True}, "elu", "silu", True, False),
        ("SimpleRNN", {"sequences": True}, "linear", None, False, True),
        ("SimpleRNN", {}, "mish", None, True, True),
    )
}


def begun(kinds, units, steps, masked=False, **settings):
    """Of one kind, or of two that go both ways: states that are given, and those that are told."""
    names = {"sequences": "return_sequences", "backwards": "go_backwards"}
    given = {names.get(name, name): value for name, value in settings.items() if name != "merge"}
    count = sum(2 if kind == "LSTM" else 1 for kind in kinds)

    def made():
        first, *second = (
            getattr(layers, kind)(units, return_state=True, **given) for kind in kinds
        )
        if second:
            back = type(second[0])(**{**second[0].config(), "go_backwards": True})
            first = layers.Bidirectional(first, settings["merge"], back)
        return Begun(first, count, masked)

    def told(x, *weights):
        begin, series = tuple(x[:, :count].swapaxes(0, 1)), x[:, count:]
        chosen = {"mask": (series > 0).any(axis=-1) if masked else None, **settings}
        if "activation" in chosen:
            chosen["activation"] = activations.get(chosen["activation"])
        if len(kinds) > 1:
            parts = steps_oracle.bidirectional(kinds, series, *weights, begin=begin, **chosen)
        else:
            parts = steps_oracle.recurrent(*kinds, series, *weights, begin=begin, **chosen)
        return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=1)

    return Case(made, (steps + count, units), told, not masked, around=0.0)


CASES |= {
    "LSTM begun": begun(["LSTM"], 5, 3),
    "LSTM begun, sequences": begun(["LSTM"], 17, 4, sequences=True),
    "LSTM begun, masked": begun(["LSTM"], 2, 4, True, sequences=True, backwards=True),
    "GRU begun, masked": begun(["GRU"], 3, 4, True),
    "GRU before begun": begun(["GRU"], 9, 2, sequences=True, reset_after=False),
    "SimpleRNN begun": begun(["SimpleRNN"], 1, 3, backwards=True, activation="softsign"),
    "LSTM of gelu begun": begun(["LSTM"], 4, 2, activation="gelu"),
    "both ways begun": begun(["LSTM", "GRU"], 3, 3, merge="concat", sequences=True),
    "both ways begun, apart": begun(["GRU", "SimpleRNN"], 2, 4, True, merge=None, sequences=True),
}


def both_ways(kinds, shape, merge="concat", sequences=False, masked=False):
    there, back = kinds

    def made():
        layer = layers.Bidirectional(
            getattr(layers, there)(4, return_sequences=sequences),
            merge,
            getattr(layers, back)(4, return_sequences=sequences, go_backwards=True),
        )
        return Masked(layer) if masked else layer

    def told(x, *weights):
        mask = (x > 0).any(axis=-1) if masked else None
        return steps_oracle.bidirectional(
            kinds, x, *weights, merge=merge, sequences=sequences, mask=mask
        )

    return Case(made, shape, told, not masked, around=0.0)


CASES |= {
    "both ways": both_ways(("LSTM", "LSTM"), (5, 3)),
    "both ways added": both_ways(("GRU", "LSTM"), (5, 3), "sum", True),
    "both ways averaged": both_ways(("SimpleRNN", "GRU"), (3, 2), "ave"),
    "both ways multiplied": both_ways(("GRU", "GRU"), (4, 2), "mul", True),
    "both ways masked": both_ways(("LSTM", "GRU"), (6, 2), "concat", True, True),
    "steps' dense layer": Case(
        lambda: layers.TimeDistributed(layers.Dense(9, "tanh")), (3, 5), tanh_dense
    ),
    "steps' normalisation": Case(
        lambda: layers.TimeDistributed(layers.LayerNormalization()),
        (3, 4),
        oracle.layer_normalization,
    ),
    "steps' axes": Case(
        lambda: layers.TimeDistributed(layers.Permute((2, 1))),
        (3, 4, 5),
        lambda x: np.swapaxes(x, 2, 3),
    ),
    "steps' noise": Case(lambda: layers.TimeDistributed(layers.Dropout(0.4)), (3, 7), lambda x: x),
    "masking": Case(layers.Masking, (3, 7), lambda x: x),
}

TURNED, CAUSAL = layers.Permute((2, 1)), {"use_causal_mask": True}
#: Masks: which keys are above 0, and which queries and keys are alike.
ABOVE = Merged(layers.Flatten(), (layers.ReLU(),))
ALIKE = Merged(layers.ReLU(), (Merged(layers.Dot(2), (SAME, SAME)),))


def attention(layer, shape, branches=(SAME, SAME), told=None, masked=False, **what):
    """Of values that branches make of x, `masked` or not; `what` the oracle is told besides."""
    names = ("query", "value", "key", "mask")

    def made(x, *weights):
        values = {SAME: x, TURNED: x.swapaxes(1, 2), TANH: np.tanh(x), ABOVE: x[..., 0]}
        values[ALIKE] = x @ values[TURNED]
        reads = dict(zip(names, (values[branch] for branch in branches), strict=False))
        if masked:
            # Of what branches make, x alone keeps it.
            mask = (x > 0).any(axis=-1)
            reads |= {"query_mask": mask} if branches[0] is SAME else {}
            reads |= {"key_mask": mask} if SAME in branches[1:3] else {}
        return oracle.attention(**reads, weights=weights, is_causal=told is not None, **what)

    def wrapped():
        merged = Merged(layer(), branches, told)
        return Masked(merged) if masked else merged

    # Which keys are seen jumps where a mask comes from x.
    is_smooth = not masked and not {ABOVE, ALIKE} & set(branches)
    return Case(wrapped, shape, made, is_smooth, around=0.3)


CASES |= {
    "attention": attention(lambda: layers.MultiHeadAttention(2, 3), (5, 4)),
    "attention without bias": attention(
        lambda: layers.MultiHeadAttention(3, 2, 4, use_bias=False), (4, 3)
    ),
    "attention of one step": attention(lambda: layers.MultiHeadAttention(2, 1), (1, 3)),
    "attention of wide heads": attention(lambda: layers.MultiHeadAttention(1, 37, 70), (4, 2)),
    "attention with dropout": attention(
        lambda: layers.MultiHeadAttention(2, 3, dropout=0.4), (5, 4)
    ),
    "attention over blocks": attention(lambda: layers.MultiHeadAttention(1, 2, 3), (131, 2)),
    "causal attention": attention(lambda: layers.MultiHeadAttention(2, 2), (37, 3), told=CAUSAL),
    "causal attention over blocks": attention(
        lambda: layers.MultiHeadAttention(1, 2), (140, 2), told=CAUSAL
    ),
    "attention elsewhere": attention(
        lambda: layers.MultiHeadAttention(2, 2, output_shape=6), (4, 3), (SAME, TURNED)
    ),
    "causal attention elsewhere": attention(
        lambda: layers.MultiHeadAttention(2, 3), (5, 2), (SAME, TURNED), CAUSAL
    ),
    "attention to keys": attention(
        lambda: layers.MultiHeadAttention(1, 9, 1), (6, 3), (SAME, SAME, TANH)
    ),
    "attention by a mask": attention(
        lambda: layers.MultiHeadAttention(2, 3), (6, 2), (SAME, SAME, SAME, ALIKE)
    ),
    "causal attention by a mask": attention(
        lambda: layers.MultiHeadAttention(2, 1), (35, 2), (SAME, SAME, SAME, ALIKE), CAUSAL
    ),
    "attention by a mask of keys": attention(
        lambda: layers.MultiHeadAttention(2, 3), (4, 1), (SAME, SAME, SAME, ABOVE)
    ),
    "attention of masked steps": attention(
        lambda: layers.MultiHeadAttention(2, 3), (7, 2), masked=True
    ),
    "causal attention of masked steps": attention(
        lambda: layers.MultiHeadAttention(1, 2), (35, 1), told=CAUSAL, masked=True
    ),
    "attention of masked queries": attention(
        lambda: layers.MultiHeadAttention(2, 1), (33, 1), (SAME, TANH), masked=True
    ),
    "attention to masked keys": attention(
        lambda: layers.MultiHeadAttention(1, 2), (5, 2), (TANH, TANH, SAME), masked=True
    ),
    "attention over blocks of masked keys": attention(
        lambda: layers.MultiHeadAttention(1, 1), (135, 1), (TANH, SAME), masked=True
    ),
    "attention by masks": attention(
        lambda: layers.MultiHeadAttention(2, 1), (6, 2), (SAME, SAME, SAME, ALIKE), masked=True
    ),
    "attention of groups, of masked steps": attention(
        lambda: layers.GroupQueryAttention(2, 4, 2), (9, 1), masked=True
    ),
    "attention of groups": attention(lambda: layers.GroupQueryAttention(3, 4, 2), (7, 5)),
    "causal attention of groups": attention(
        lambda: layers.GroupQueryAttention(2, 3, 1), (5, 3), told=CAUSAL
    ),
}


def masked_mean(shape, keepdims=False):
    """Of steps some of which have no number above 0."""

    def told(x):
        is_told = (x > 0).any(axis=-1, keepdims=True)
        counts = np.maximum(is_told.sum(axis=1, keepdims=True), 1)
        means = np.where(is_told, x, 0.0).sum(axis=1, keepdims=True) / counts
        return means if keepdims else means[:, 0]

    layer = layers.GlobalAveragePooling1D(keepdims=keepdims)
    return Case(lambda: Masked(layer), shape, told, smooth=False)


CASES |= {
    "mean of steps that count": masked_mean((5, 2)),
    "mean of steps that count, kept": masked_mean((3, 1), True),
    "mean of many steps that count": masked_mean((9, 35)),
}


CASES |= {
    "learned positions": Case(
        lambda: layers.PositionEmbedding(7),
        (5, 3),
        lambda x, table: np.broadcast_to(table[:5], x.shape),
    ),
    "learned positions in pieces": Case(
        lambda: Merged(layers.PositionEmbedding(80), (SAME,), {"start_index": 20}),
        (50, 9),
        lambda x, table: np.broadcast_to(table[20:70], x.shape),
    ),
    "sine positions": Case(
        lambda: Merged(layers.Add(), (SAME, layers.SinePositionEncoding())),
        (5, 7),
        lambda x: x + oracle.sine_positions(5, 7),
    ),
    "sine positions later": Case(
        lambda: Merged(
            layers.Add(),
            (SAME, Merged(layers.SinePositionEncoding(3.0), (SAME,), {"start_index": 9})),
        ),
        (3, 34),
        lambda x: x + oracle.sine_positions(12, 34, 3.0)[9:],
    ),
    "rotary": Case(layers.RotaryEmbedding, (5, 6), oracle.rotary),
    "rotary of heads": Case(
        lambda: Merged(layers.RotaryEmbedding(50.0, 1.7), (SAME,), {"start_index": 4}),
        (3, 2, 38),
        lambda x: oracle.rotary(x, 50.0, 1.7, 4),
    ),
}
