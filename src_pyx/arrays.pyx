"""What the checks of every call ask of an array, in one look."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from numpy import empty

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode


cdef extern from *:
    """
    /* Where the loader can choose, each of these is compiled for several CPUs. */
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) \\
        && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    #define FW_FOR_SEVERAL_CPUS __attribute__((target_clones("avx512f", "avx2", "default")))
    #else
    #define FW_FOR_SEVERAL_CPUS
    #endif

    /* Whether none of n numbers has an exponent of all ones, which is how NaN and inf are written: one
     * more carries into the sign. */
    FW_FOR_SEVERAL_CPUS static int fw_finite_floats(const char *at, Py_ssize_t n)
    {
        uint32_t number, carried = 0;
        for (Py_ssize_t i = 0; i < n; i++) {
            memcpy(&number, at + 4 * i, 4);
            carried |= (number & 0x7f800000u) + 0x800000u;
        }
        return carried >> 31 == 0;
    }

    FW_FOR_SEVERAL_CPUS static int fw_finite_doubles(const char *at, Py_ssize_t n)
    {
        const uint64_t exponent = (uint64_t)0x7ff << 52, one = (uint64_t)1 << 52;
        uint64_t number, carried = 0;
        for (Py_ssize_t i = 0; i < n; i++) {
            memcpy(&number, at + 8 * i, 8);
            carried |= (number & exponent) + one;
        }
        return carried >> 63 == 0;
    }
    """
    bint finite_floats "fw_finite_floats"(const char* at, Py_ssize_t n) nogil
    bint finite_doubles "fw_finite_doubles"(const char* at, Py_ssize_t n) nogil


# Of floats or doubles.
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


cdef bint is_native(const Py_buffer* view, Py_ssize_t size) noexcept:
    """Whether these are aligned native floats of `size` bytes."""
    return (view.itemsize == size and view.format[0] == (c'f' if size == 4 else c'd') and view.format[1] == 0
            and <uintptr_t>view.buf % <uintptr_t>size == 0)


cdef void to_floats(char* to, const char* come, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        (<float*>to)[i] = <float>(<const double*>come)[i]


cdef void to_doubles(char* to, const char* come, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        (<double*>to)[i] = (<const float*>come)[i]


def taken(array, Py_ssize_t size, Py_ssize_t columns):
    """An array as kernels can take it, or None where more has to be looked at.

    That is: C-contiguous, aligned, (rows, columns) with at least one row, native float32 (`size` 4) or
    float64 (`size` 8), and all of it finite. An array of the other of the two comes back as a converted
    copy, any other that fits as it is.
    """
    cdef Py_buffer view, converted
    cdef fw_float_mode mode
    cdef bint fits = False
    result = None
    try:
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except (BufferError, TypeError, ValueError):
        return None
    try:
        if view.ndim != 2 or view.shape[0] < 1 or view.shape[1] != columns:
            return None
        if is_native(&view, size):
            result = array
            with nogil:
                fits = finite_numbers(&view)
        elif is_native(&view, 12 - size):
            result = empty((view.shape[0], columns), "f" if size == 4 else "d")
            PyObject_GetBuffer(result, &converted, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
            with nogil:
                mode = fw_enter_float_mode()
                if size == 4:
                    to_floats(<char*>converted.buf, <const char*>view.buf, view.shape[0] * columns)
                else:
                    to_doubles(<char*>converted.buf, <const char*>view.buf, view.shape[0] * columns)
                fw_leave_float_mode(mode)
                fits = finite_numbers(&converted)
            PyBuffer_Release(&converted)
    finally:
        PyBuffer_Release(&view)
    return result if fits else None
