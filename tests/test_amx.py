"""Products by bfloat16 tiles: on tiles emulated in C, and on those of the CPU where it has them.

The emulation follows the manual of the instructions, so that splitting, tiling, ragged edges and
accuracy are tested on every CPU. It is built here, from the kernels' own source.
"""

import functools
import importlib
import itertools
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import guarded, run_python, same_bits
from planted import SWITCH, Fault, compile_modules, emulated_tiles, load, plant

from fastweights import _dispatch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="MSVC has no AMX")

#: Precisions are numbers of parts.
HIGHEST, HIGH, MEDIUM = 3, 2, 1
PRECISIONS = (HIGHEST, HIGH, MEDIUM)
#: The two ways in which each operand can lie in memory.
FORMS = list(itertools.product((False, True), repeat=2))

#: Around the sides of a tile (16, and 32 deep) and of two of them, beside one size that is none.
SIDES = (1, 2, 15, 16, 17, 31, 32, 33, 47, 49)
SHAPES = [
    *((side, 40, 20) for side in SIDES),
    *((20, 40, side) for side in SIDES),
    *((20, side, 20) for side in (*SIDES, 63, 64, 65)),
    *itertools.product((1, 16, 17, 33), repeat=3),
    # Around the blocks of the depth and of the rows.
    *((3, depth, 5) for depth in (255, 256, 257, 300, 511, 512, 513, 1100)),
    *((rows, 5, 18) for rows in (511, 512, 513)),
]

#: What the files below take from those that they usually stand among.
IMPORTS = """
from libc.math cimport INFINITY
from libc.string cimport memcpy
from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode
"""

AMX = "kernels/amx.pxi"
FAULTS = [
    Fault("rest of a number forgotten", AMX, "first = «first - part»", "first"),
    Fault("ragged columns not masked", AMX, "left = columns - j * VL if «ragged» else VL", "False"),
    Fault(
        "last depth tile dropped",
        AMX,
        "range(«depth_tiles(end - begin)»)",
        "depth_tiles(end - begin) - 1",
    ),
    Fault("second row tile from the first", AMX, "tile_load(5, a + «next_row», 64)", "0"),
    Fault("second column tile from the first", AMX, "tile_load(7, b + «next_column», 64)", "0"),
    Fault("blocks overwrite instead of adding up", AMX, "if begin == «0»:", "begin"),
    Fault("a's smallest part forgotten", AMX, "load_rows(mr, a + «2 * TILE», next_row)", "0"),
    Fault("tile not transposed", AMX, "place + part * TILE, LANES, tiles + «part» * TILE", "0"),
    Fault("bias of the first columns", AMX, "p.start + row * start_row + «column»", "0"),
    Fault("depths paired with themselves", AMX, "(row + «second_row») * ldx", "0"),
    Fault("infinity lost", AMX, "where_finite(first, part, «first + first»)", "part"),
    Fault(
        "neighbour of infinity spoilt",
        AMX,
        "where_finite(second, «other_part», second + second)",
        "second",
    ),
    # What only a guard page sees.
    Fault("rows beyond the last are read", AMX, "columns - column if «row < rows» else 0", "True"),
]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The kernels of this file alone on emulated tiles, all faults switched off."""
    folder = tmp_path_factory.mktemp("amx")
    sources = plant(folder, FAULTS)
    files = (f'include "kernels/{name}.pxi"\n' for name in ("simd", "matmul", "amx"))
    (sources / "amx_emulated.pyx").write_text("".join([IMPORTS, SWITCH, *files]))
    (kernels,) = compile_modules(folder, sources, ("amx_emulated",), *emulated_tiles())
    return kernels


HAS_AMX = "amx" in _dispatch.available_levels()


def kernels_of_the_cpu():
    return importlib.import_module("fastweights._core.kernels_amx_f32")


@pytest.fixture(scope="module", params=["emulated", "cpu"] if HAS_AMX else ["emulated"])
def kernels(request):
    if request.param == "cpu":
        return kernels_of_the_cpu()
    return request.getfixturevalue("emulated")


def aligned(shape):
    """An array that begins on a 64-byte boundary, with room behind it for what a fault writes."""
    size = int(np.prod(shape))
    memory = np.empty(size + 80, np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + size].reshape(shape)


def product(
    kernels, a, b, parts, start=None, *, a_transposed=False, b_transposed=False, pieces=1,
    allocate=aligned,
):  # fmt: skip
    """``start + a @ b`` with operands stored as they are or transposed; start may be a row."""

    def stored(x):
        copy = allocate(x.shape)
        copy[...] = x
        return copy

    (rows, depth), columns = a.shape, b.shape[1]
    a, b = stored(a.T if a_transposed else a), stored(b.T if b_transposed else b)
    c, begin, start_row = allocate((rows, columns)), None, 0
    c[...] = np.nan
    if start is not None and start.ndim == 1:
        begin = stored(start)
    elif start is not None:
        c[...] = start
        begin, start_row = c, columns
    scratch = allocate((kernels.apply_amx_scratch(rows, depth, columns, parts),))
    kernels.apply_amx_product(
        c.ctypes.data, a.ctypes.data, b.ctypes.data, 0 if begin is None else begin.ctypes.data,
        start_row, scratch.ctypes.data, rows, depth, columns, parts, a_transposed, b_transposed,
        pieces,
    )  # fmt: skip
    return c


def whole(shape, seed=0, largest=9):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float32)


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def error(c, a, b):
    """The norm of the error, relative to that of the exact product."""
    exact = a.astype(float) @ b.astype(float)
    return np.linalg.norm(c - exact) / np.linalg.norm(exact)


def float32_sum(a, b):
    """``a @ b`` in float32, the terms added one after the other."""
    c = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        c += a[:, k, np.newaxis] * b[k]
    return c


def check_whole_numbers(kernels, shape, parts):
    """Whole numbers have one part, and their products are exact, with every start."""
    rows, depth, columns = shape
    a, b = whole((rows, depth), 1), whole((depth, columns), 2)
    for start in (None, whole(columns, 3), whole((rows, columns), 4)):
        np.testing.assert_array_equal(
            product(kernels, a, b, parts, start), a @ b + (0 if start is None else start)
        )


def check_every_bit(kernels, a_transposed, b_transposed):
    """Powers of two in another order: each element is one of the other operand, all its bits."""
    x, order = normal((50, 77)), np.random.default_rng(1).permutation(77)
    powers = np.zeros((77, 77), np.float32)
    powers[order, np.arange(77)] = np.ldexp(np.float32(1), np.arange(77) % 9)
    form = {"a_transposed": a_transposed, "b_transposed": b_transposed}
    same_bits(product(kernels, x, powers, HIGHEST, **form), x @ powers)
    same_bits(product(kernels, powers.T, x.T, HIGHEST, **form), powers.T @ x.T)


def check_non_finite(kernels, parts):
    """NaN and infinity stand where a float32 product has them, and do no harm elsewhere."""
    a, b = whole((40, 70)) + np.float32(0.7), whole((70, 40), 1) + np.float32(0.3)
    a[5], a[6, 3], a[7, 9], a[8, 4], a[8, 5] = 0, np.inf, -np.inf, np.nan, np.inf
    b[:, 20], b[3, 25], b[9, 30], b[5, 35] = 0, -np.inf, np.inf, np.nan
    with np.errstate(invalid="ignore"):
        expected = float32_sum(a, b)
    found = product(kernels, a, b, parts)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), finite)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    with np.errstate(invalid="ignore"):
        scale = abs(a) @ abs(b)
    tolerance = {HIGHEST: 2.0**-20, HIGH: 3 * 2.0**-16, MEDIUM: 2.0**-7}[parts]
    assert (abs(found[finite] - expected[finite]) <= tolerance * scale[finite]).all()


@pytest.mark.parametrize("parts", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_numbers_are_exact(kernels, shape, parts):
    check_whole_numbers(kernels, shape, parts)


@pytest.mark.parametrize(("a_transposed", "b_transposed"), FORMS)
def test_three_parts_keep_every_bit(kernels, a_transposed, b_transposed):
    check_every_bit(kernels, a_transposed, b_transposed)


@pytest.mark.parametrize("depth", [*range(1, 18), 31, 32, 33, 100, 256, 257, 700, 1024, 2048])
def test_accuracy(kernels, depth):
    """``highest`` is no worse than a float32 sum, or than one rounding."""
    side = 24 if depth > 256 else 64
    a, b = normal((side, depth)), normal((depth, side), 1)
    found = {parts: error(product(kernels, a, b, parts), a, b) for parts in PRECISIONS}
    assert found[HIGHEST] <= max(error(float32_sum(a, b), a, b), 2.0**-24)
    assert found[HIGHEST] <= 2e-7
    assert found[HIGH] <= 1e-5
    assert found[MEDIUM] <= 4e-3


@pytest.mark.parametrize("size", [1, 5, 16, 48, 100, 200])
@pytest.mark.parametrize("spread", [0.1, 1, 6])
def test_accuracy_of_every_element(kernels, size, spread):
    """Sums of positive numbers, of one magnitude and of many: each element by its own measure."""
    a, b = (np.exp(spread * normal((size, size), seed)) for seed in (2, 3))
    exact = a.astype(float) @ b.astype(float)

    def relative(c):
        return np.sqrt(np.mean((c / exact - 1) ** 2))

    found = {parts: relative(product(kernels, a, b, parts)) for parts in PRECISIONS}
    assert found[HIGHEST] <= max(relative(float32_sum(a, b)), 2.0**-24)
    assert found[HIGH] <= 1e-5
    assert found[MEDIUM] <= 4e-3


@pytest.mark.parametrize("parts", PRECISIONS)
def test_bits_depend_on_neither_the_cut_nor_the_layout(kernels, parts):
    a, b, start = normal((90, 600)), normal((600, 70), 1), normal((90, 70), 2)
    expected = product(kernels, a, b, parts, start)
    for pieces in (2, 3, 7):
        same_bits(product(kernels, a, b, parts, start, pieces=pieces), expected)
    for a_transposed, b_transposed in FORMS:
        form = {"a_transposed": a_transposed, "b_transposed": b_transposed}
        same_bits(product(kernels, a, b, parts, start, **form), expected)
        same_bits(product(kernels, a, b, parts, start, pieces=4, **form), expected)
    # An element knows nothing of its neighbours.
    same_bits(product(kernels, a[33:], b[:, 9:], parts, start[33:, 9:]), expected[33:, 9:])


@pytest.mark.parametrize("parts", PRECISIONS)
def test_nan_and_infinity_are_those_of_a_float32_product(kernels, parts):
    check_non_finite(kernels, parts)


def test_numbers_of_every_kind_pass_through_the_identity(kernels):
    largest = np.finfo(np.float32).max
    bits = np.random.default_rng(0).integers(0, 2**32, 900, np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values) & (abs(values) >= 2.0**-103)]
    values = np.concatenate([values, [largest, -largest, 3.39e38, 3.395e38, 3.4e38, -0.0]])
    x = values[: len(values) // 10 * 10].reshape(-1, 10).astype(np.float32)
    np.testing.assert_array_equal(product(kernels, x, np.eye(10, dtype=np.float32), HIGHEST), x)
    np.testing.assert_array_equal(product(kernels, np.eye(len(x), dtype=np.float32), x, HIGHEST), x)
    for parts, tolerance in ((HIGH, 2.0**-16), (MEDIUM, 2.0**-8)):
        found = product(kernels, x, np.eye(10, dtype=np.float32), parts)
        assert np.isfinite(found).all()
        assert (abs(found - x.astype(float)) <= tolerance * abs(x)).all()


def test_tiny_numbers_lose_no_more_than_the_smallest_normal_number(kernels):
    x = (normal((30, 30)) * np.exp2(-100 - np.arange(30))).astype(np.float32)
    found = product(kernels, x, np.eye(30, dtype=np.float32), HIGHEST)
    assert abs(found - x.astype(float)).max() <= 2.0**-125


def test_overflow_is_not_finite(kernels):
    a = np.full((3, 3), 1e30, np.float32)
    assert not np.isfinite(product(kernels, a, a, HIGHEST)).any()


def run_guarded(name, path, fault):
    kernels = load(name, Path(path))
    if fault:
        kernels.plant(fault)
    sizes = (1, 15, 16, 17, 33)
    for rows, depth, columns in itertools.product(sizes, (*sizes, 65), sizes):
        a, b, start = whole((rows, depth)), whole((depth, columns), 1), whole(columns, 2)
        for (a_transposed, b_transposed), at_the_end in itertools.product(FORMS, (True, False)):
            c = product(
                kernels, a, b, (rows + depth + columns) % 3 + 1, start,
                a_transposed=a_transposed, b_transposed=b_transposed,
                allocate=functools.partial(guarded, at_the_end=at_the_end),
            )  # fmt: skip
            np.testing.assert_array_equal(c, a @ b + start)


def run_guarded_elsewhere(kernels, fault=0):
    """In an interpreter of its own, which a touch of a guard page ends."""
    name = kernels.__name__.rpartition(".")[2]
    return run_python(f"import test_amx; test_amx.run_guarded{name, kernels.__file__, fault}")


def test_nothing_is_touched_beyond_the_arrays(kernels):
    result = run_guarded_elsewhere(kernels)
    assert result.returncode == 0, result.stderr


def test_a_read_beyond_an_array_is_caught(emulated):
    result = run_guarded_elsewhere(emulated, fault=len(FAULTS))
    assert result.returncode == -signal.SIGSEGV


@pytest.mark.skipif(not HAS_AMX, reason="no AMX: the CPU lacks it, or it is not built or permitted")
def test_the_cpu_agrees_with_the_emulation(emulated):
    for parts in PRECISIONS:
        a, b = normal((100, 700)), normal((700, 50), 1)
        same_bits(product(kernels_of_the_cpu(), a, b, parts), product(emulated, a, b, parts))


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_levels_without_tiles_say_so(suffix):
    level = _dispatch.available_levels()[-1]
    without = importlib.import_module(f"fastweights._core.kernels_{level}_{suffix}")
    with pytest.raises(RuntimeError, match="no tiles"):
        product(without, whole((3, 3)), whole((3, 3)), HIGHEST)


@pytest.mark.parametrize("number", range(1, len(FAULTS)), ids=lambda n: FAULTS[n - 1].name)
def test_planted_faults_are_caught(emulated, number):
    def check():
        check_whole_numbers(emulated, (40, 300, 40), HIGHEST)
        for form in FORMS:
            check_every_bit(emulated, *form)
        check_non_finite(emulated, HIGHEST)

    check()
    emulated.plant(number)
    try:
        with pytest.raises(AssertionError):
            check()
    finally:
        emulated.plant(0)
