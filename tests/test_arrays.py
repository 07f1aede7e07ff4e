"""The one look at an array: what is finite, and what kernels can take as it is."""

from __future__ import annotations

import numpy as np
import pytest

from fastweights._core import arrays

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, -np.nan])
def test_a_number_that_is_not_finite_is_found_wherever_it_stands(dtype, bad):
    for n in range(1, 40):
        array = np.linspace(-1.0, 1.0, n, dtype=dtype)
        assert arrays.finite(array)
        for i in range(n):
            spoilt = array.copy()
            spoilt[i] = bad
            assert not arrays.finite(spoilt), (n, i)
            assert arrays.taken(spoilt[:, None], spoilt.itemsize, 1) is None, (n, i)
            assert arrays.taken(spoilt[:, None], 12 - spoilt.itemsize, 1) is None, (n, i)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_and_the_tiniest_numbers_are_finite(dtype):
    info = np.finfo(dtype)
    numbers = np.array([info.max, info.tiny, info.smallest_subnormal, 0.0, 1.0], dtype)
    for array in (numbers, -numbers):
        assert arrays.finite(array)
        assert arrays.finite(array[:1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_kernels_can_take_as_it_is(dtype):
    array = np.ones((6, 4), dtype)
    size = array.itemsize
    assert arrays.taken(array, size, 4) is array
    unaligned = np.ones(6 * 4 * size + 1, np.uint8)[1:].view(dtype).reshape(6, 4)
    unaligned[...] = 1
    for unfit in (
        array[:, :3], array[::2], np.asfortranarray(array), array[:0], array[0], array[None],
        array.astype(array.dtype.newbyteorder()), unaligned, array.tolist(), None,
        array.astype(int), array.astype(np.longdouble), array.astype(np.float16),
    ):  # fmt: skip
        assert arrays.taken(unfit, size, 4) is None
    assert arrays.taken(array, size, 5) is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_other_kind_of_floats_is_converted(dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    array = np.random.default_rng(0).standard_normal((7, 3)).astype(other)
    found = arrays.taken(array, np.dtype(dtype).itemsize, 3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, array.astype(dtype))


def test_a_number_that_overflows_in_conversion_is_not_taken():
    largest = float(np.finfo(np.float32).max)
    assert arrays.taken(np.array([[largest]]), 4, 1) is not None
    assert arrays.taken(np.array([[largest * 1.01]]), 4, 1) is None
