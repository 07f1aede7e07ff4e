"""A plan that runs allocates nothing, counted by an allocator put in front of the system's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/mman.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
static volatile long count;
long allocations(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }
void *malloc(size_t n) { __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST); return __libc_malloc(n); }
void *calloc(size_t n, size_t m)
{
    __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
    return __libc_calloc(n, m);
}
void *realloc(void *p, size_t n)
{
    __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
    return __libc_realloc(p, n);
}
"""

COUNTED = """
import ctypes, sys
import numpy as np
import fastweights as fw
from fastweights._plans import plan_for
from helpers import data, network
allocations = ctypes.CDLL(None).allocations
allocations.restype = ctypes.c_long
assert allocations() > 1000

def spent(call, *arguments):
    call(*arguments)
    before = allocations()
    call(*arguments)
    return allocations() - before

for widths, batch_size in (((5, 9, 3), 7), ((4, 32, 16, 4), 600), ((40, 100, 70, 3), 300)):
    for optimizer in ("sgd", "adam"):
        for threads in (1, 2):
            fw.set_num_threads(threads)
            model = network(widths, optimizer=optimizer, metrics=("mae", "r2"))
            x, y = data(100 * batch_size, widths[0], widths[-1])
            order = np.random.default_rng(0).permutation(len(x))
            plan = plan_for(model, "fit", batch_size)
            assert plan.members == threads
            few, many = (
                spent(plan.train, x, y, order, 0, steps * batch_size, batch_size, 60.0)
                for steps in (1, 100)
            )
            assert few == many < 20, (few, many)
            plan = plan_for(model, "infer", len(x))
            few, many = (
                spent(plan.infer, x, y, None, 0, rows, 60.0) for rows in (1, len(x))
            )
            assert few == many < 20, (few, many)
print("ok")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts by LD_PRELOAD and glibc's names")
def test_a_step_allocates_nothing(tmp_path):
    source, library = tmp_path / "counter.c", tmp_path / "counter.so"
    source.write_text(COUNTER)
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60
    )
    done = subprocess.run(
        [sys.executable, "-c", COUNTED],
        cwd=Path(__file__).parent,
        env={**os.environ, "LD_PRELOAD": str(library), "FASTWEIGHTS_GRAIN": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "ok\n", done.stderr
