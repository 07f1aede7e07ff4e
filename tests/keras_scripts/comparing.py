"""What the scripts have in common: weights that are handed on, and what is told to compare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def share_weights(model: Any) -> None:
    """Under Keras writes the weights into the folder that is given, otherwise takes them there."""
    if len(sys.argv) < 3:
        return
    path = Path(sys.argv[2]) / f"{Path(sys.argv[0]).stem}.npz"
    if sys.argv[1] == "keras":
        np.savez(path, *[weight for layer in _compared(model) for weight in layer.get_weights()])
        return
    with np.load(path) as file:
        given = [file[name] for name in file.files]
    for layer in _compared(model):
        layer.set_weights([given.pop(0) for _ in layer.get_weights()])


def _compared(model: Any) -> list[Any]:
    """Its layers with weights, but for what Normalization has found out by itself.

    Keras has a count of rows among its weights, and none where mean and variance are given.
    """
    found = [layer for layer in model.layers if layer.weights]
    return [layer for layer in found if type(layer).__name__ != "Normalization"]


def tell(model: Any, **figures: Any) -> None:
    """Prints shapes, counts of parameters, and figures as a line of JSON."""
    print(
        json.dumps(
            {
                "figures": {name: np.asarray(one, float).tolist() for name, one in figures.items()},
                "parameters": {layer.name: layer.count_params() for layer in _compared(model)},
                "shapes": [
                    list(weight.shape)
                    for layer in _compared(model)
                    for weight in layer.get_weights()
                ],
            }
        )
    )
