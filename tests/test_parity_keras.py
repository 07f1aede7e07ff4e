"""Every layer that Keras has too, in float64: outputs, gradients, and what a layer remembers.

The settings are those of `keras_layers.py`, which a process of its own runs under Keras on PyTorch;
skipped where they are not there. Layers that draw random numbers are compared in inference.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_layers import CASES, chain, made_of, names

import fastweights as fw
from fastweights import layers

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("keras", "torch")),
    reason="needs Keras, and PyTorch on which it is run",
)

TOLERANCE = 1e-9

#: What Keras has not, and what no table of layers tells.
OWN = {
    *("MemberDense", "MemberScale", "PositionEmbedding", "RotaryEmbedding", "Scale"),
    "SinePositionEncoding",
}


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """All arrays that Keras told, by the number of the case and their name."""
    path = tmp_path_factory.mktemp("keras") / "told.npz"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "keras_layers.py"), str(path)],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def told(theirs, number, name):
    """One array, or as many as are numbered from 0 on."""
    if f"{number} {name}" in theirs:
        return theirs[f"{number} {name}"]
    found = []
    while f"{number} {name}{len(found)}" in theirs:
        found.append(theirs[f"{number} {name}{len(found)}"])
    return found


def agree(found, expected, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    scale = max(np.abs(expected).max(initial=0), 1e-3)
    assert np.abs(found - expected).max(initial=0) <= TOLERANCE * scale, what


def title(number):
    """The layer's name and which of its settings it is."""
    found = [type(chain(case, layers)[-1]).__name__ for case in CASES[: number + 1]]
    return f"{found[-1]} {found.count(found[-1])}"


@pytest.mark.parametrize("number", range(len(CASES)), ids=title)
def test_a_layer_is_as_in_keras(theirs, number):
    case = CASES[number]
    stack = chain(case, layers)
    inputs = [fw.Input(shape) for shape in case.shapes]
    model = fw.Model(inputs, made_of(stack, inputs, case.told), dtype="float64", seed=0)
    weights, x = told(theirs, number, "weights"), told(theirs, number, "x")
    assert len(weights) == len(model.get_weights()) or not weights
    if weights:
        model.set_weights(weights)
    given = x if len(x) > 1 else x[0]
    agree(model.forward(given, training=case.training), told(theirs, number, "y"), "output")
    dx = model.backward(told(theirs, number, "dy"))
    flat = [one.ravel() for one in told(theirs, number, "dweights")]
    agree(model.gradients, np.concatenate([np.zeros(0), *flat]), "gradient by the weights")
    if case.places is None:
        by_inputs = dx if isinstance(dx, (list, tuple)) else [dx]
        for one, other in zip(by_inputs, told(theirs, number, "dx"), strict=True):
            agree(one, other, "gradient by an input")
    left = told(theirs, number, "left")
    if left:
        for one, other in zip(model.get_weights(), left, strict=True):
            agree(one, other, "what is left in the layer")


def test_every_layer_that_keras_has_is_compared():
    assert names(CASES, layers) | OWN == set(layers.LAYERS)


def test_of_each_name_that_keras_has_there_is_the_layer_or_a_word_on_it():
    listing = "import keras; print(*(name for name in dir(keras.layers) if name[0] != '_'))"
    done = subprocess.run(
        [sys.executable, "-c", listing],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    for name in done.stdout.split():
        if not hasattr(layers, name):
            with pytest.raises(AttributeError, match=f"no attribute {name!r}; "):
                getattr(layers, name)
