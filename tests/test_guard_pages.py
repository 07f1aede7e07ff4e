"""Nothing is read or written beyond any buffer: each ends where an unreadable page begins.

The plan is built once more with an arena in which every buffer has a mapping of its own, and the
arrays that it is given are mapped in the same way.
"""

import itertools
import shutil
import sys

import numpy as np
import pytest
from helpers import data, guarded, run_python
from layer_cases import CASES, model_between, rows_for
from planted import SOURCE, compile_modules, replace

import fastweights as fw
from fastweights import _building, _feeding, _plans, constraints, layers, optimizers, regularizers
from fastweights._core import philox
from fastweights._plans import plan_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="maps pages as Linux does")

#: In inference values share places, in which one goes on where another ends.
SHARED_PLACE = "self.values_at + member * self.values_bytes + self.places[i]"
TAKE = "cdef inline char* take(char** at, Py_ssize_t size) noexcept nogil:\n"
GUARDED_TAKE = '''cdef extern from *:
    """
    #include <sys/mman.h>
    #include <unistd.h>
    static struct { char *at; long bytes; } fw_mapped[4096];
    static int fw_mappings;
    static char *fw_guarded(long size)
    {
        long page = sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
        long room = (size + 7) / 8 * 8;  /* Some begin with numbers of 8 bytes, and end with 4. */
        int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
        char *at = mmap(0, whole + page, access, kind, -1, 0);
        mprotect(at + whole, page, PROT_NONE);
        fw_mapped[fw_mappings].at = at;
        fw_mapped[fw_mappings++].bytes = whole + page;
        return at + whole - room;
    }
    static void fw_unmap(void)
    {
        while (fw_mappings > 0)
            fw_mappings--, munmap(fw_mapped[fw_mappings].at, fw_mapped[fw_mappings].bytes);
    }
    """
    char* fw_guarded(long size) noexcept nogil
    void fw_unmap() noexcept nogil


def unmap():
    fw_unmap()


cdef inline char* take(char** at, Py_ssize_t size) noexcept nogil:
    at[0] += 1
    return fw_guarded(size) if size > 0 else NULL


cdef inline char* take_in_a_row(char** at, Py_ssize_t size) noexcept nogil:
'''


def guarded_copy(array):
    """A copy that ends where an unreadable page begins."""
    copy = guarded(np.shape(array), array.dtype)
    copy[...] = array
    return copy


@pytest.fixture(scope="module")
def guarded_plan(tmp_path_factory):
    """The plan's module with that arena."""
    folder = tmp_path_factory.mktemp("guarded")
    sources = folder / "src"
    shutil.copytree(SOURCE, sources)
    replace(sources / "memory.pxi", {TAKE: GUARDED_TAKE})
    replace(sources / "layout.pxi", {SHARED_PLACE: "fw_guarded(self.room * row_bytes)"})
    (plan,) = compile_modules(folder, sources, ("plan",), {}, ("-O1",))
    return plan


@pytest.fixture
def library(guarded_plan, monkeypatch):
    monkeypatch.setattr(_plans, "_plan", guarded_plan)
    monkeypatch.setattr(_building, "_plan", guarded_plan)
    monkeypatch.setattr(optimizers, "_plan", guarded_plan)
    monkeypatch.setattr(
        _building, "aligned_zeros", lambda n, dtype: guarded_copy(np.zeros(n, dtype))
    )


def exercise(sizes, hidden, last, loss, rows, dtype):
    inputs, units, outputs = sizes
    stack = [layers.Dense(units, hidden), layers.Dense(units, hidden), layers.Dense(outputs, last)]
    model = fw.Sequential(stack, inputs, dtype, 0)
    model.compile("adam", loss)
    x, y = data(rows, inputs, outputs)
    if last == "softmax":
        y = np.eye(outputs)[y.argmax(axis=1)]
    run(model, x, y)


def run(model, x, y):
    """All that a model's plans do, with random numbers where they train."""
    rows, dtype, drawn = len(x), model.dtype, (0, philox.STREAM_PASS)
    memory = model._compiled.memory_for(model._built)
    memory.vectors = guarded_copy(memory.vectors)
    x, y = guarded_copy(_feeding.rows(model, x)), guarded_copy(y.astype(dtype))
    order = guarded_copy(np.arange(rows)[::-1])
    for batch in {rows, max(1, rows // 2)}:
        plan = plan_for(model, "fit", batch)
        plan.train(x, y, order, 0, rows, batch, 60.0, None, *drawn)
    dx = model._built.input_gradients(rows)
    dx = None if dx is None else guarded_copy(dx)
    out = guarded_copy(np.empty_like(y))
    plan_for(model, "check", rows).gradients_of(x, y, dx, rows, *drawn)
    keep = plan_for(model, "keep", rows)
    keep.forward(x, out, rows, *drawn)
    keep.backward(out, dx, rows)
    infer = plan_for(model, "infer", rows)
    infer.infer(x, None, out, 0, rows, 60.0)
    infer.infer(x, y, None, 0, rows, 60.0, infer.tally())
    infer.parameters_cost()
    _plans._plan.unmap()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_width_up_to_two_vectors(library, threads, dtype, monkeypatch):
    """Widths and rows of 1 to twice the widest vector and one more, in turn."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    vector = 64 // np.dtype(dtype).itemsize
    with fw.threads(threads):
        for n in range(1, 2 * vector + 2):
            exercise((n, 5, 3), "tanh", None, "mse", 9, dtype)
            exercise((5, n, 3), "relu", None, "mae", 9, dtype)
            if n > 1:
                exercise((5, 9, n), "silu", "softmax", "categorical_crossentropy", 9, dtype)
                exercise((5, 9, n), "mish", "sparsemax", "mse", 9, dtype)
                exercise((5, 9, n), "hard_silu", "softmin", "mse", 9, dtype)
            exercise((5, 9, n), "gelu", "sigmoid", "binary_crossentropy", 9, dtype)
            exercise((7, 9, 8), "softplus", None, "huber", n, dtype)
            exercise((n, n, n), "elu", None, "mse", n, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_widths_around_panels_and_blocks(library, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(2):
        for n in (47, 49, 63, 65, 97, 127, 129, 191, 193, 257):
            exercise((n, 70, 3), "tanh", None, "mse", 50, dtype)
            exercise((70, n, 9), "relu", None, "mse", 33, dtype)
            exercise((3, 20, n), "tanh", None, "mse", 300, dtype)
            exercise((3, 20, n), "relu6", "sparsemax", "mse", 9, dtype)
        # Long rows, and a layer whose dx goes by the kernel.
        exercise((2049, 300, 3), "relu", None, "mse", 141, dtype)
        exercise((520, 530, 300), "relu", None, "mse", 141, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_layers_that_look_at_no_other_row(library, name, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(2):
        for rows, optimizer in itertools.product((1, 9), ("adam", "sgd")):
            model = model_between(CASES[name], dtype)
            model.compile(optimizer, "mse")
            random = np.random.default_rng(0)
            run(model, rows_for(model, rows, random), random.standard_normal((rows, 2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_layers_that_draw(library, threads, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    random = np.random.default_rng(0)
    with fw.threads(threads):
        for rows, features in [
            *((9, n) for n in range(1, 34)),
            (1, 7),
            (17, 64),
            (3, 700),
            (300, 5),
        ]:
            stack = [
                layers.Dropout(0.5),
                layers.SpatialDropout1D(0.5),
                layers.GaussianNoise(0.5),
                layers.Dense(features),
                layers.AlphaDropout(0.5),
                layers.GaussianDropout(0.5),
                layers.Dropout(0.5),
            ]
            model = fw.Sequential(stack, (2, features), dtype, 0)
            model.compile("adam", "mse")
            run(model, *random.standard_normal((2, rows, 2, features)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_normalised_dense_layers(library, threads, dtype, monkeypatch):
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    with fw.threads(threads):
        for n in [*range(1, 34), 47, 63, 65, 127, 129, 257]:
            for rows in (1, 9, 300):
                stack = [layers.Dense(n), layers.BatchNormalization(), layers.Activation("relu")]
                model = fw.Sequential([*stack, layers.Dropout(0.1)], 5, dtype, 0)
                model.compile("adam", "mse")
                run(model, *data(rows, 5, n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_are_kept_in_check(library, threads, dtype, monkeypatch):
    """Kernels and biases that end where the parameters do, of every width up to two vectors."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    kinds = ("max_norm", constraints.UnitNorm(-1), "non_neg")
    with fw.threads(threads):
        for n in range(1, 34):
            kept = kinds[n % 3]
            for use_bias in (False, True):
                settings = {"use_bias": use_bias, "kernel_constraint": kept}
                if n > 1:
                    mode = ("rows", "columns")[n % 2]
                    cost = regularizers.OrthogonalRegularizer(0.1, mode)
                    settings["kernel_regularizer"] = cost
                stack = [
                    layers.Dense(3, activity_regularizer="l1_l2"),
                    layers.Dense(n, bias_constraint="non_neg", **settings),
                    layers.ActivityRegularization(0.1, 0.1),
                    layers.Dense(n, bias_constraint="unit_norm", **settings),
                ]
                model = fw.Sequential(stack, 5, dtype, 0)
                model.compile("adam", "mse")
                x, y = data(9, 5, n)
                run(model, x, y)
                model.apply_gradients()


def test_the_guard_guards():
    code = (
        "import numpy as np; from helpers import guarded; a = guarded(5);"
        "import ctypes; print(ctypes.string_at(a.ctypes.data + a.nbytes, 1))"
    )
    assert run_python(code).returncode != 0
