"""Random numbers that are the same bits on every machine; philox.pxd has the generator.

Each function fills a writeable C-contiguous buffer and releases the GIL while it does. Element i
of ``uniform``, ``normal`` and ``truncated_normal`` is a function of ``(seed, stream, offset + i)``
alone.

# Design: only + - * / and sqrt in double, each rounded as IEEE 754 says and none contracted, and no
# function of the C library, whose last bits differ between platforms. A normal number is the
# inverse of the distribution function at one uniform number: 64 bits of the stream, one number.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode

cimport philox
from philox cimport RUN, Source, next_below, next_pair, source_at

# Seeds and streams are 64 bits.
MAX_SEED = 2**64 - 1

# What a stream is for stands in its top byte, which leaves each purpose 2^56 streams of its own:
# add the parameter's index; the epoch; the pass times PASS_OPS, and an op's number; the draw; the series.
STREAM_INIT = 1 << 56
STREAM_SHUFFLE = 2 << 56
STREAM_PASS = 3 << 56
STREAM_SPLIT = 4 << 56
STREAM_GENERATE = 5 << 56

# Ops of a network that may draw numbers of their own in one pass.
PASS_OPS = 1 << 20


def block(uint64_t seed, uint64_t stream, uint64_t counter):
    """The four words, of 32 bits, of one block of the generator."""
    cdef uint32_t[4] words
    philox.philox_block(words, seed, stream, counter)
    return words[0], words[1], words[2], words[3]


def below(uint64_t bound, uint64_t seed, uint64_t stream, uint64_t index=0):
    """A whole number in [0, ``bound``), each equally likely, from word ``index`` on."""
    cdef uint32_t[RUN] words
    cdef Source source = source_at(words, seed, stream, index)
    return next_below(&source, bound)


# ---- one number from 64 bits --------------------------------------------------------------------

# A multiple of 2^-53 in [0, 1).
cdef double unit(uint64_t drawn) noexcept nogil:
    return <double>(drawn >> 11) / 9007199254740992.0


# In (-1/2, 1/2), symmetric and never 0: an odd multiple of 2^-53.
cdef inline double centred(uint64_t drawn) noexcept nogil:
    return (<double>(drawn >> 12) + 0.5) / 4503599627370496.0 - 0.5


cdef double LOG_2 = 0.693147180559945309417232121458

# log(x) for a positive normal x, within 2 ULP: x = m 2^e with m in [1/sqrt(2), sqrt(2)), and
# log(m) = 2 artanh(s) with s = (m - 1) / (m + 1), whose series needs 11 terms as s^2 < 0.0295.
cdef double natural_log(double x) noexcept nogil:
    cdef uint64_t bits
    cdef int exponent, k
    cdef double m, s, s2, series
    memcpy(&bits, &x, 8)
    exponent = <int>(bits >> 52) - 1023
    bits = bits & 0xFFFFFFFFFFFFFULL | 0x3FF0000000000000ULL
    memcpy(&m, &bits, 8)
    if m > 1.4142135623730951:
        m = m * 0.5
        exponent += 1
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    series = 0.0
    for k in range(21, 1, -2):
        series = (series + 1.0 / k) * s2
    return exponent * LOG_2 + 2.0 * (s + s * series)


# Wichura, "Algorithm AS 241: the percentage points of the normal distribution" (Applied Statistics
# 37, 1988), PPND16: numerators and denominators by rising power, for the middle, the tails and the
# far tails.
cdef double[8] MIDDLE_P = [
    3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3,
    1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
    3.3430575583588128105e4, 2.5090809287301226727e3,
]
cdef double[8] MIDDLE_Q = [
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2,
    5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
    2.8729085735721942674e4, 5.2264952788528545610e3,
]
cdef double[8] TAIL_P = [
    1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550,
    3.64784832476320460504, 1.27045825245236838258, 2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4,
]
cdef double[8] TAIL_Q = [
    1.0, 2.05319162663775882187, 1.67638483018380384940,
    6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
    5.47593808499534494600e-4, 1.05075007164441684324e-9,
]
cdef double[8] FAR_P = [
    6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580,
    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
    2.71155556874348757815e-5, 2.01033439929228813265e-7,
]
cdef double[8] FAR_Q = [
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
    1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
    1.42151175831644588870e-7, 2.04426310338993978564e-15,
]


cdef inline double ratio(const double* p, const double* q, double x) noexcept nogil:
    cdef double numerator = p[7], denominator = q[7]
    cdef int k
    for k in range(6, -1, -1):
        numerator = numerator * x + p[k]
        denominator = denominator * x + q[k]
    return numerator / denominator


cpdef double normal_quantile(double q) noexcept nogil:
    """z with P(Z < z) = 1/2 + q for a standard normal Z, -1/2 < q < 1/2; odd in q to the bit."""
    cdef double distance = q if q > 0.0 else -q
    cdef double r, z
    if distance <= 0.425:
        return q * ratio(MIDDLE_P, MIDDLE_Q, 0.180625 - q * q)
    r = sqrt(-natural_log(0.5 - distance))
    z = ratio(TAIL_P, TAIL_Q, r - 1.6) if r <= 5.0 else ratio(FAR_P, FAR_Q, r - 5.0)
    return z if q > 0.0 else -z


# erf(sqrt(2)), the probability that a standard normal number lies in (-2, 2).
cdef double WITHIN_TWO = 0.954499736103641585599434725667

cdef double standard_normal(uint64_t drawn) noexcept nogil:
    return normal_quantile(centred(drawn))

cdef double truncated_standard_normal(uint64_t drawn) noexcept nogil:
    return normal_quantile(WITHIN_TWO * centred(drawn))


# ---- arrays -------------------------------------------------------------------------------------

cdef enum:
    AT_ONCE = 65536          # numbers between two looks for an interrupt, about a millisecond


# out[i] = number(pair offset + i of the words of the stream).
cdef int fill(object out, uint64_t seed, uint64_t stream, uint64_t offset,
              double (*number)(uint64_t) noexcept nogil) except -1:
    cdef Py_buffer view
    cdef uint32_t[RUN] words
    cdef Source source = source_at(words, seed, stream, 2 * offset)
    cdef double* values
    cdef Py_ssize_t done = 0, n, i
    cdef fw_float_mode mode
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        values = <double*>view.buf
        n = view.len // <Py_ssize_t>sizeof(double)
        while done < n:
            with nogil:
                mode = fw_enter_float_mode()
                for i in range(done, min(n, done + AT_ONCE)):
                    values[i] = number(next_pair(&source))
                fw_leave_float_mode(mode)
            done += AT_ONCE
            PyErr_CheckSignals()
    finally:
        PyBuffer_Release(&view)
    return 0


def uniform(out, uint64_t seed, uint64_t stream, uint64_t offset=0):
    """Fills ``out`` (float64) with multiples of 2**-53, uniform in [0, 1)."""
    fill(out, seed, stream, offset, unit)


def normal(out, uint64_t seed, uint64_t stream, uint64_t offset=0):
    """Fills ``out`` (float64) with standard normal numbers, of which none is beyond 8.3."""
    fill(out, seed, stream, offset, standard_normal)


def truncated_normal(out, uint64_t seed, uint64_t stream, uint64_t offset=0):
    """Fills ``out`` (float64) with standard normal numbers, given that they are in (-2, 2)."""
    fill(out, seed, stream, offset, truncated_standard_normal)


def permutation(out, uint64_t seed, uint64_t stream):
    """Fills ``out`` (int64) with a permutation of 0 .. len(out) - 1, each equally likely."""
    cdef Py_buffer view
    cdef uint32_t[RUN] words
    cdef Source source = source_at(words, seed, stream, 0)
    cdef Py_ssize_t done = 0, n
    PyObject_GetBuffer(out, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        n = view.len // <Py_ssize_t>sizeof(int64_t)
        while done < n:
            with nogil:
                philox.permute(<int64_t*>view.buf, done, min(n, done + AT_ONCE), &source)
            done += AT_ONCE
            PyErr_CheckSignals()
    finally:
        PyBuffer_Release(&view)
