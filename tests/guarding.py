"""A plan whose every buffer ends where an unreadable page begins, and all that models do on it.

It is built once more with an arena in which every buffer has a mapping of its own; the arrays that
it is given are mapped in the same way.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from helpers import data, guarded
from planted import SOURCE, built_once, compile_modules, replace

import fastweights as fw
from fastweights import _feeding, _plans, layers
from fastweights._core import philox
from fastweights._plans import plan_for

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


def build_plan(folder: Path) -> object:
    """The plan's module with that arena."""

    def build() -> None:
        sources = folder / "src"
        shutil.copytree(SOURCE, sources)
        replace(sources / "memory.pxi", {TAKE: GUARDED_TAKE})
        replace(sources / "layout.pxi", {SHARED_PLACE: "fw_guarded(self.room * row_bytes)"})
        compile_modules(folder, sources, ("plan",), {}, ("-O1",))

    (plan,) = built_once(folder, build, ("plan",))
    return plan


def exercise(sizes, hidden, last, loss, rows, dtype):
    inputs, units, outputs = sizes
    stack = [layers.Dense(units, hidden), layers.Dense(units, hidden), layers.Dense(outputs, last)]
    model = fw.Sequential(stack, inputs, dtype, 0)
    model.compile("adam", loss)
    x, y = data(rows, inputs, outputs)
    if last == "softmax":
        y = np.eye(outputs)[y.argmax(axis=1)]
    elif last == "sigmoid":
        y = (y > 0).astype(float)
    run(model, x, y)


def run(model, x, y, weights=None):
    """All that a model's plans do, with random numbers where they train.

    Of weights there is one for each row, or one for each of its lines.
    """
    rows, dtype, drawn = len(x), model.dtype, (0, philox.STREAM_PASS)
    memory = model._compiled.memory_for(model._built)
    memory.vectors = guarded_copy(memory.vectors)
    (objective,) = model._compiled.objectives
    shape = model._built.output_shapes[0]
    x = guarded_copy(_feeding.rows(model, x))
    y = guarded_copy(objective.targets("y", y, rows, shape, dtype))
    weights = None if weights is None else (guarded_copy(np.asarray(weights, float)),)
    order = guarded_copy(np.arange(rows)[::-1])
    for batch in {rows, max(1, rows // 2)}:
        plan = plan_for(model, "fit", batch, weights=weights)
        tally = plan.tally(weights) if objective.metrics or weights else None
        plan.train(x, y, order, 0, rows, batch, 60.0, tally, *drawn, weights)
    dx = model._built.input_gradients(rows)
    dx = None if dx is None else guarded_copy(dx)
    out = guarded_copy(np.zeros((rows, *shape), dtype))
    plan_for(model, "check", rows, weights=weights).gradients_of(x, y, dx, rows, *drawn, weights)
    keep = plan_for(model, "keep", rows)
    keep.forward(x, out, rows, *drawn)
    keep.backward(out, dx, rows)
    infer = plan_for(model, "infer", rows, weights=weights)
    infer.infer(x, None, out, 0, rows, 60.0)
    infer.infer(x, y, None, 0, rows, 60.0, infer.tally(weights), weights)
    infer.parameters_cost(infer.tally(weights))
    _plans._plan.unmap()
