"""Recurrent layers in PyTorch's ops, step by step, for all rows at once; masks and all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Apply = Callable[[Any, Any], Any]


def one_way(
    layer: Any,
    w: Mapping[str, Any],
    x: Any,
    mask: Any,
    apply: Apply,
    zero: bool = False,
    begin: Any = None,
):
    """The states of the last step, and h of all of them in the order in which they are done.

    `apply` is an activation of a description; `zero` says that masked steps tell 0; `begin` are
    the states before the first step.
    """
    rows, steps, _ = x.shape
    kind, n = type(layer).__name__, layer.units
    recurrent, bias = w["recurrent_kernel"], w.get("bias")
    h, c = ((*begin, None)[:2]) if begin else (x.new_zeros((rows, n)),) * 2
    told = []
    for number in range(steps):
        step = steps - 1 - number if layer.go_backwards else number
        of_x, of_h = x[:, step] @ w["kernel"], h @ recurrent
        if bias is not None:
            both = bias if bias.ndim == 2 else (bias, torch.zeros_like(bias))
            of_x, of_h = of_x + both[0], of_h + both[1]
        if kind == "SimpleRNN":
            new_h, new_c = apply(layer.activation, of_x + of_h), c
        elif kind == "LSTM":
            i, f, g, o = (of_x + of_h).split(n, 1)
            i, f, o = (apply(layer.recurrent_activation, gate) for gate in (i, f, o))
            new_c = f * c + i * apply(layer.activation, g)
            new_h = o * apply(layer.activation, new_c)
        else:
            z, r = (
                apply(layer.recurrent_activation, part)
                for part in (of_x + of_h)[:, : 2 * n].split(n, 1)
            )
            inner = r * of_h[:, 2 * n :] if layer.reset_after else (r * h) @ recurrent[:, 2 * n :]
            g = apply(layer.activation, of_x[:, 2 * n :] + inner)
            new_h, new_c = z * h + (1 - z) * g, c
        if mask is None:
            h, c = new_h, new_c
            told.append(h)
            continue
        counts = mask[:, step, None]
        h = torch.where(counts, new_h, h)
        c = torch.where(counts, new_c, c) if kind == "LSTM" else c
        told.append(torch.where(counts, h, torch.zeros_like(h)) if zero else h)
    return (h, c) if kind == "LSTM" else (h,), torch.stack(told, 1)


def recurrent(layer: Any, w: Mapping[str, Any], x: Any, mask: Any, apply: Apply):
    last, told = one_way(layer, w, x, mask, apply)
    return told if layer.return_sequences else last[0]


def bidirectional(layer: Any, w: Mapping[str, Any], x: Any, mask: Any, apply: Apply):
    found = []
    for way, one in (("forward_", layer.forward_layer), ("backward_", layer.backward_layer)):
        own = {name.removeprefix(way): array for name, array in w.items() if name.startswith(way)}
        last, told = one_way(one, own, x, mask, apply, one.return_sequences)
        if way == "backward_":
            told = told.flip(1)
        found.append(told if one.return_sequences else last[0])
    if layer.merge_mode == "concat":
        return torch.cat(found, -1)
    one, other = found
    return {"sum": one + other, "ave": (one + other) / 2, "mul": one * other}[layer.merge_mode]
