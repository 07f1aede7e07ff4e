"""Dense layers of every shape that the products tell apart, through the plan, against the oracle.

Narrow or not, packed or as it stands, one panel or several, with a depth in one piece or in two,
with rows that fill register tiles or leave some over, in one chunk or in several.
"""

import importlib

import numpy as np
import pytest
from helpers import data, network, same_bits, twin

from fastweights import _dispatch

#: Around the narrow limit, the lanes, the panels (16 to 64 columns) and the depth of a block (512).
WIDTHS = (1, 2, 7, 8, 15, 16, 17, 31, 33, 48, 63, 64, 65, 100, 129)
DEPTHS = (1, 16, 17, 256, 511, 512, 513, 1100)
ROWS = (1, 2, 3, 4, 5, 8, 11, 12, 13, 23, 24, 25, 47, 48, 49, 100, 255, 256, 257, 515)

SHAPES = [
    *((9, 20, width) for width in WIDTHS),
    *((9, width, 10) for width in WIDTHS),
    *((9, depth, 70) for depth in DEPTHS),
    *((9, depth, 3) for depth in DEPTHS),
    *((rows, 18, 40) for rows in ROWS),
    *((rows, 70, 5) for rows in ROWS),
    # Large layers, whose dx goes by the kernel; the last one has rows so long that they are copied.
    *((rows, 600, 300) for rows in (128, 141, 193)),
    (270, 2100, 330),
]


@pytest.fixture(params=_dispatch.available_levels())
def level(request, monkeypatch):
    """Every CPU level in turn."""

    def kernels(dtype):
        suffix = {"float32": "f32", "float64": "f64"}[dtype.name]
        return importlib.import_module(f"fastweights._core.kernels_{request.param}_{suffix}")

    monkeypatch.setattr(_dispatch, "kernels", kernels)
    return request.param


def results(rows, inputs, outputs, dtype):
    """Prediction, gradient and input gradient of a network with two layers of these shapes."""
    model = network((inputs, outputs, inputs), dtype=dtype)
    x, y = data(rows, inputs, inputs)
    x, y = x.astype(dtype), y.astype(dtype)
    _, gradient, dx = model.loss_and_gradients(x, y)
    return model, x, y, (model.predict(x), gradient.copy(), dx)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_agree_with_the_oracle(level, rows, inputs, outputs, dtype):
    model, x, y, found = results(rows, inputs, outputs, dtype)
    oracle = twin(model)
    gradient, dx = oracle.gradients(x.astype(float), y.astype(float))
    tolerance = 2e-6 if dtype == "float32" else 2e-14
    for ours, exact in zip(found, (oracle.forward(x.astype(float)), gradient, dx), strict=True):
        assert np.linalg.norm(ours - exact) <= tolerance * np.linalg.norm(exact)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_alone_and_in_a_batch(rows, inputs, outputs, dtype):
    model, x, _, (prediction, _, _) = results(rows, inputs, outputs, dtype)
    same_bits(model.predict(x[-1:]), prediction[-1:])


@pytest.mark.parametrize("outputs", [3, 9, 40, 200])
@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_goes_through(level, dtype, activation, outputs):
    """Also where a maximum is part of the product: inf - inf is no number, and no 0."""
    model = network((4, outputs, 2), activation, dtype=dtype)
    kernel = model.weights[0]
    kernel[0, -1], kernel[1, -1] = np.inf, -np.inf
    assert np.isnan(model.predict(np.ones((30, 4)))).all()
