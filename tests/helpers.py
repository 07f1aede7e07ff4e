"""What several test files share: networks, their twins in plain NumPy, fresh interpreters."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import reference

import fastweights as fw
from fastweights import layers, optimizers
from fastweights._core import philox
from fastweights._plans import plan_for


def network(
    widths: tuple[int, ...] = (5, 7, 3),
    activation: str = "tanh",
    last: str | None = None,
    optimizer: Any = "sgd",
    loss: Any = "mse",
    metrics: tuple[str, ...] = (),
    dtype: str = "float64",
    seed: int = 0,
) -> fw.Sequential:
    """A compiled stack of Dense layers; widths begin with the inputs."""
    *hidden, outputs = widths[1:]
    stack = [layers.Dense(units, activation) for units in hidden]
    model = fw.Sequential([*stack, layers.Dense(outputs, last)], widths[0], dtype, seed)
    model.compile(optimizer, loss, metrics)
    return model


def build(width: int = 4, rate: float = 0.05, seed: int = 0) -> fw.Sequential:
    """What sweeps tune, where processes of other pools can import it."""
    model = fw.Sequential([layers.Dense(width, "tanh"), layers.Dense(3)], None, "float64", seed)
    model.compile(optimizers.Adam(rate), "mse", ["mae", "r2"])
    return model


def data(rows: int, inputs: int = 5, outputs: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """Normally distributed rows and targets."""
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, inputs)), random.standard_normal((rows, outputs))


def twin(model: fw.Sequential) -> reference.MLP:
    """The oracle's network with the model's weights."""
    widths = [model.input_shape[0], *(layer.units for layer in model.layers)]
    activations = [layer.activation.name for layer in model.layers]
    loss = "mean_squared_error" if model.loss is None else model.loss.kernel
    copy = reference.MLP(widths, activations, loss)
    copy.parameters = model.parameters.astype(float)
    return copy


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


def expect_no_thread(name: str = "fastweights-ahead") -> None:
    """Fails unless threads of this name, which may be ending, end."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(2.0)
            assert not thread.is_alive()


def run_python(
    code: str, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own, which finds the installed library, not this tree."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def expect_one_answer(code: str, levels: Sequence[str]) -> None:
    """Fails unless code prints the same on all these levels, each in an interpreter of its own."""
    found = set()
    for level in levels:
        result = run_python(code, FASTWEIGHTS_ISA=level)
        assert result.returncode == 0, result.stderr
        found.add(result.stdout)
    assert len(found) == 1


def expect_one_training(
    make: Callable[[], fw.Model], x: Any, y: Any, batch: int, most: int
) -> None:
    """Fails unless 1 to `most` threads train a network to the same bits, with the same losses."""
    found = []
    for threads in range(1, most + 1):
        model = make()
        with fw.threads(threads):
            history = model.fit(x, y, batch, 2, verbose=0).history["loss"]
        found.append((model.parameters.copy(), history))
    for parameters, history in found[1:]:
        same_bits(parameters, found[0][0])
        assert history == found[0][1]


def guarded(shape: Any, dtype: Any = "float32", at_the_end: bool = True) -> np.ndarray:
    """An array of its own pages, between two unreadable ones: it ends, or begins, next to one."""
    real, page = np.dtype(dtype), mmap.PAGESIZE
    count = int(np.prod(shape))
    size = count * real.itemsize
    room = -(-max(size, 1) // page) * page
    memory = mmap.mmap(-1, room + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for guard in (address, address + page + room):
        assert protect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    offset = page + (room - size if at_the_end else 0)
    return np.frombuffer(memory, real, count, offset).reshape(shape)


def error_with_noise(model: fw.Model, x: np.ndarray, y: np.ndarray, step: float = 1e-4) -> float:
    """How far gradients are from differences, in norm, with the random numbers held fixed."""
    plan, dx = plan_for(model, "check", len(x)), np.empty_like(x)
    drawn = (model.seed, philox.STREAM_PASS)
    plan.gradients_of(x, y, dx, len(x), *drawn)
    found = np.concatenate([dx.ravel(), model.gradients])
    expected = []
    for values in (x.reshape(-1), model.parameters):
        for i, value in enumerate(values.tolist()):
            sides = []
            for side in (value + step, value - step):
                values[i] = side
                sides.append(plan.gradients_of(x, y, None, len(x), *drawn))
            values[i] = value
            expected.append((sides[0] - sides[1]) / (2 * step))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
