"""What the checks of every call ask of an array, in one look."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy


# Whether none of n numbers has an exponent of all ones, which is how NaN and inf are written: one more
# carries into the sign.
cdef bint finite_floats(const char* at, Py_ssize_t n) noexcept nogil:
    cdef uint32_t number, exponent = 0x7f800000, one = 0x800000, carried = 0
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(&number, at + 4 * i, 4)
        carried |= (number & exponent) + one
    return carried >> 31 == 0


cdef bint finite_doubles(const char* at, Py_ssize_t n) noexcept nogil:
    cdef uint64_t number, exponent = <uint64_t>0x7ff << 52, one = <uint64_t>1 << 52, carried = 0
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(&number, at + 8 * i, 8)
        carried |= (number & exponent) + one
    return carried >> 63 == 0


cdef bint finite_numbers(const Py_buffer* view) noexcept nogil:
    if view.itemsize == 4:
        return finite_floats(<const char*>view.buf, view.len // 4)
    return finite_doubles(<const char*>view.buf, view.len // 8)


def finite(array):
    """Whether all of a C-contiguous float32 or float64 array is finite."""
    cdef Py_buffer view
    cdef bint fits
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    with nogil:
        fits = finite_numbers(&view)
    PyBuffer_Release(&view)
    return fits


def ready(array, Py_ssize_t size, Py_ssize_t columns):
    """Whether kernels can take an array as it is.

    That is: C-contiguous, aligned, (rows, columns) with at least one row, native float32 (`size` 4) or
    float64 (`size` 8), and all of it finite.
    """
    cdef Py_buffer view
    cdef bint fits
    try:
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except (BufferError, TypeError, ValueError):
        return False
    fits = (
        view.ndim == 2 and view.itemsize == size and view.shape[0] > 0 and view.shape[1] == columns
        and view.format[0] == (c'f' if size == 4 else c'd') and view.format[1] == 0
        and <uintptr_t>view.buf % <uintptr_t>size == 0
    )
    if fits:
        with nogil:
            fits = finite_numbers(&view)
    PyBuffer_Release(&view)
    return fits
