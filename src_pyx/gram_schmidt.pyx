"""Orthonormal rows, the same bits on every machine: what LAPACK, whose last bits differ from build
to build, cannot promise.

# Design: every sum has a fixed order of LANES partial sums, in plain double arithmetic. Gram-
# Schmidt is run twice on each row, which is enough: Giraud, Langou, Rozloznik and van den Eshof,
# "Rounding error analysis of the classical Gram-Schmidt orthogonalization process" (Numerische
# Mathematik 101, 2005). Rows of independent standard normal numbers become rows that are uniform
# over all orthonormal ones, as what is left of a row keeps its sign.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.math cimport sqrt

cdef enum:
    LANES = 8


cdef double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double[LANES] sums
    cdef Py_ssize_t block, lane
    for lane in range(LANES):
        sums[lane] = 0.0
    for block in range(n // LANES):
        for lane in range(LANES):
            sums[lane] += a[lane] * b[lane]
        a += LANES
        b += LANES
    for lane in range(n % LANES):
        sums[lane] += a[lane] * b[lane]
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))


# a -= factor * b
cdef void subtract(double* a, double factor, const double* b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] -= factor * b[i]


# a /= |a|
cdef void normalise(double* a, Py_ssize_t n) noexcept nogil:
    cdef double norm = sqrt(dot(a, a, n))
    cdef Py_ssize_t i
    for i in range(n):
        a[i] /= norm


def orthonormalise(rows, Py_ssize_t count, Py_ssize_t length):
    """Makes ``count`` <= ``length`` independent float64 rows orthonormal, in place."""
    cdef Py_buffer view
    cdef double* first
    cdef double* row
    cdef Py_ssize_t done, i
    cdef int sweep
    PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    with nogil:
        first = <double*>view.buf
        for done in range(count):
            row = first + done * length
            for sweep in range(2):
                for i in range(done):
                    subtract(row, dot(row, first + i * length, length), first + i * length, length)
                normalise(row, length)
    PyBuffer_Release(&view)
