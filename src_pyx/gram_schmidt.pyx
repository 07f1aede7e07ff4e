"""Orthonormal rows, the same bits on every machine: what LAPACK, whose last bits differ from build
to build, cannot promise.

# Design: every sum has a fixed order of LANES partial sums, in plain double arithmetic. Rows are made
# orthonormal in blocks: what a block has in common with the rows before it is taken off GROUP of these
# at a time, which is a product of matrices and reads each of them once for the block; then the block's
# rows are made orthonormal among themselves. All of it is done twice, which is enough: Giraud, Langou,
# Rozloznik and van den Eshof, "Rounding error analysis of the classical Gram-Schmidt orthogonalization
# process" (Numerische Mathematik 101, 2005); for blocks Barlow and Smoktunowicz, "Reorthogonalized
# block classical Gram-Schmidt" (Numerische Mathematik 123, 2013). Rows of independent standard normal
# numbers become rows that are uniform over all orthonormal ones, as what is left of a row keeps its
# sign.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport sqrt

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode

cdef enum:
    LANES = 8
    BLOCK = 16
    GROUP = 4
    # Multiplications between two looks for an interrupt, a few milliseconds.
    AT_ONCE = 10000000


# products[i] = a . b_i for the GROUP rows b_i, `stride` apart.
cdef void dots(double* products, const double* a, const double* b, Py_ssize_t stride,
               Py_ssize_t n) noexcept nogil:
    cdef double[GROUP][LANES] sums
    cdef Py_ssize_t k = 0
    cdef int i, lane
    for i in range(GROUP):
        for lane in range(LANES):
            sums[i][lane] = 0.0
    while k + LANES <= n:
        for i in range(GROUP):
            for lane in range(LANES):
                sums[i][lane] += a[k + lane] * b[i * stride + k + lane]
        k += LANES
    for i in range(GROUP):
        for lane in range(<int>(n - k)):
            sums[i][lane] += a[k + lane] * b[i * stride + k + lane]
        products[i] = (((sums[i][0] + sums[i][4]) + (sums[i][1] + sums[i][5]))
                       + ((sums[i][2] + sums[i][6]) + (sums[i][3] + sums[i][7])))


cdef double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double[LANES] sums
    cdef Py_ssize_t k = 0
    cdef int lane
    for lane in range(LANES):
        sums[lane] = 0.0
    while k + LANES <= n:
        for lane in range(LANES):
            sums[lane] += a[k + lane] * b[k + lane]
        k += LANES
    for lane in range(<int>(n - k)):
        sums[lane] += a[k + lane] * b[k + lane]
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))


# a -= (a . b) b for the unit vector b
cdef void take_off(double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double factor = dot(a, b, n)
    cdef Py_ssize_t k
    for k in range(n):
        a[k] -= factor * b[k]


# The same for GROUP orthonormal rows b_i at once, `stride` apart.
cdef void take_off_group(double* a, const double* b, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    cdef double[GROUP] factors
    cdef Py_ssize_t k
    dots(factors, a, b, stride, n)
    for k in range(n):
        a[k] = (((a[k] - factors[0] * b[k]) - factors[1] * b[stride + k])
                - factors[2] * b[2 * stride + k]) - factors[3] * b[3 * stride + k]


# a /= |a|
cdef void normalise(double* a, Py_ssize_t n) noexcept nogil:
    cdef double norm = sqrt(dot(a, a, n))
    cdef Py_ssize_t k
    for k in range(n):
        a[k] /= norm


# Some of the rows before a block are taken off it; `before` is a multiple of GROUP.
cdef void take_off_block(double* block, Py_ssize_t count, const double* rows, Py_ssize_t before,
                         Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t row = 0, i
    while row < before:
        for i in range(count):
            take_off_group(block + i * n, rows + row * n, n, n)
        row += GROUP


cdef void orthonormalise_block(double* block, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t row, i
    cdef int sweep
    for row in range(count):
        for sweep in range(2):
            for i in range(row):
                take_off(block + row * n, block + i * n, n)
            normalise(block + row * n, n)


def orthonormalise(rows, Py_ssize_t count, Py_ssize_t length):
    """Makes ``count`` <= ``length`` independent float64 rows orthonormal, in place."""
    cdef Py_buffer view
    cdef double* first
    cdef double* block
    cdef Py_ssize_t done = 0, in_block, taken, some
    cdef Py_ssize_t at_once = max(1, AT_ONCE // (BLOCK * GROUP * length)) * GROUP
    cdef int sweep
    cdef fw_float_mode mode
    PyObject_GetBuffer(rows, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        first = <double*>view.buf
        while done < count:
            block = first + done * length
            in_block = min(<Py_ssize_t>BLOCK, count - done)
            for sweep in range(2):
                taken = 0
                while taken < done:
                    some = min(at_once, done - taken)
                    with nogil:
                        mode = fw_enter_float_mode()
                        take_off_block(block, in_block, first + taken * length, some, length)
                        fw_leave_float_mode(mode)
                    taken += some
                    PyErr_CheckSignals()
                with nogil:
                    mode = fw_enter_float_mode()
                    orthonormalise_block(block, in_block, length)
                    fw_leave_float_mode(mode)
                PyErr_CheckSignals()
            done += in_block
    finally:
        PyBuffer_Release(&view)
