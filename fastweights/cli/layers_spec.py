"""Layers as the command line spells them: ``64:relu,32,1``."""

from __future__ import annotations

from fastweights import _check


def parse_layers(spec: str, activation: str | None) -> list[tuple[int, str | None]]:
    """The units and activation of each layer; `activation` is that of layers which name none.

    Raises ValueError where the spec is not ``UNITS[:ACTIVATION],...``.
    """
    layers = []
    for part in spec.split(","):
        units, colon, name = part.strip().partition(":")
        if not units.isdecimal() or int(units) == 0 or (colon and not name):
            expected = "UNITS[:ACTIVATION],... such as 64:relu,32"
            raise ValueError(_check.refusal("layers", repr(spec), expected))
        layers.append((int(units), name or activation))
    return layers
