"""Layers as the command line spells them: ``64:relu,32,1``."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence

import numpy as np

from fastweights import _check, activations, regularizers
from fastweights._memory import total_memory

#: Units are written in fewer digits.
MAX_DIGITS = 9


def parse_layers(spec: str, activation: str | None) -> list[tuple[int, str | None]]:
    """The units and activation of each layer; `activation` is that of layers which name none.

    Raises ValueError, which names ``--layers``, where the spec is not ``UNITS[:ACTIVATION],...``.
    """
    layers = []
    for part in spec.split(","):
        units, colon, name = part.strip().partition(":")
        known = units.isdecimal() and len(units) <= MAX_DIGITS and int(units) > 0
        if not known or (colon and not name):
            expected = f"UNITS[:ACTIVATION],... such as 64:relu,32, UNITS below 10^{MAX_DIGITS}"
            raise ValueError(_check.refusal("--layers", repr(spec), expected))
        if name:
            activations.get(name, "--layers")
        layers.append((int(units), name or activation))
    return layers


def penalty(args: argparse.Namespace) -> regularizers.L2 | None:
    """What ``--l2`` adds to the loss for the weights that inputs are multiplied by."""
    return regularizers.L2(args.l2) if args.l2 else None


def refuse_huge_networks(widths: Sequence[int], dtype: str, rows: int = 1) -> None:
    """Raises ValueError where such a network, or what it makes of so many rows, cannot fit."""
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    # Beside each parameter lie its gradient and what the optimizer remembers, two for adam.
    needs = {
        "--layers": (4 * parameters, f"{parameters:,} parameters"),
        "--rows": (2 * rows * sum(widths), f"{rows:,} rows"),
    }
    memory = total_memory()
    for option, (numbers, what) in needs.items():
        size = numbers * np.dtype(dtype).itemsize
        if memory is not None and size > memory:
            got = f"{what}, which take {size // 2**30:,} GiB"
            expected = f"what fits the {memory // 2**30:,} GiB of this machine"
            raise ValueError(_check.refusal(option, got, expected))
