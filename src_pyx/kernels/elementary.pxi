# exp, expm1, log, log1p, tanh, sigmoid, erf on vectors, each within 4 ULP of the true value.
#
# That holds over the whole range, gradual underflow included, in float32 and in float64. +-0, +-inf
# and NaN give what C99 says they give. No libm, no table, no branch: a special case is a select.
#
# The reductions are textbook (J.-M. Muller, Elementary Functions, 3rd ed. 2016, ch. 11; W. J. Cody
# and W. Waite, Software Manual for the Elementary Functions, 1980); every polynomial is our own,
# see src_pyx/minimax.py.

from libc.math cimport INFINITY, NAN
from libc.string cimport strcmp

include "polynomials.pxi"


# ---- exp, expm1: e^x = (1 + m) 2^n, m = expm1(x - n ln 2), |x - n ln 2| <= ln(2) / 2 -------------

cdef inline vreal exp_reduced(vreal high, vreal low, vreal* n) noexcept nogil:
    # Returns m of e^(high + low), where low is at most a rounding error of high. Overflow by far is
    # clamped. Underflow by far, which no factor of ours brings back, is 0: m = -1 says so exactly,
    # and spares the hardware's slow way to round to 0.
    cdef vreal r, m, least = vconst(-120.0, -800.0)
    high = vmin(vconst(89.0, 710.0), vmax(least, high))
    n[0] = vround(high * log2_e())
    r = vfnma(n[0], ln2_low(), vfnma(n[0], ln2_high(), high)) + low
    m = vfma(r * r, exp_tail(r), r)
    return vselect(veq(high, least), vset1(-1.0), m)


cdef inline vreal expm1_restored(vreal m, vreal n) noexcept nogil:
    # (1 + m) 2^n - 1, through its half, which does not overflow before the result does.
    cdef vreal one_half = vset1(0.5)
    cdef vreal scale = vexp2i(vmax(vset1(-64.0), n) - vset1(1.0))
    cdef vreal half = vfma(scale, m, scale - one_half)
    return vselect(veq(n, vzero()), m, half + half)


cdef inline vreal vexp_sum(vreal high, vreal low) noexcept nogil:
    # e^(high + low): what a rounding error in the exponent would cost is not lost.
    cdef vreal n
    cdef vreal m = exp_reduced(high, low, &n)
    return vscale(vset1(1.0) + m, n)


cdef inline vreal vexp(vreal x) noexcept nogil:
    return vexp_sum(x, vset1(-0.0))


cdef inline vreal vexpm1(vreal x) noexcept nogil:
    cdef vreal n
    cdef vreal m = exp_reduced(x, vset1(-0.0), &n)
    return vcopysign(expm1_restored(m, n), x)


# ---- log, log1p: x = (1 + f) 2^k, log(1 + f) = f - s (f - s^2 P(s^2)), s = f / (2 + f) -----------

cdef inline vreal log_reduced(vreal x, vreal error, vreal* k) noexcept nogil:
    # Returns f in [sqrt(1/2) - 1, sqrt(2) - 1] of a normal positive x + error, where error is at
    # most the rounding error of x.
    cdef vreal one = vset1(1.0), mantissa = vmantissa(x)
    cdef vmask upper = vlt(sqrt_2(), mantissa)
    mantissa = vselect(upper, vset1(0.5) * mantissa, mantissa)
    k[0] = vexponent(x) + vselect(upper, one, vzero())
    return (mantissa - one) + error * vexp2i(vmax(vset1(-64.0), -k[0]))


cdef inline vreal log_restored(vreal f, vreal k) noexcept nogil:
    cdef vreal s = f / (vset1(2.0) + f)
    cdef vreal s2 = s * s
    cdef vreal curve = vfma(s, vfnma(s2, log_tail(s2), f), -(k * ln2_low()))
    return vfma(k, ln2_high(), f - curve)


cdef inline vreal log_specials(vreal x, vreal result) noexcept nogil:
    # log(x) = result for positive finite x; inf, NaN and what is below zero have their own.
    result = vselect(veq(x, vset1(<real>INFINITY)), x, result)
    result = vselect(vlt(vzero(), x), result, vset1(<real>NAN))
    return vselect(veq(x, vzero()), vset1(<real>-INFINITY), result)


cdef inline vreal vlog(vreal x) noexcept nogil:
    # A subnormal x is made normal first.
    cdef vmask subnormal = vlt(x, vconst(1.1754943508222875e-38, 2.2250738585072014e-308))
    cdef vreal shift = vconst(23.0, 52.0), k, f
    f = log_reduced(vselect(subnormal, x * vexp2i(shift), x), vset1(-0.0), &k)
    return log_specials(x, log_restored(f, k - vselect(subnormal, shift, vzero())))


cdef inline vreal log1p_finite(vreal x) noexcept nogil:
    # log1p for finite x > -1, from 1 + x and its rounding error (D. E. Knuth, TAOCP 2, 4.2.2).
    cdef vreal one = vset1(1.0), k
    cdef vreal total = one + x
    cdef vreal part = total - one
    cdef vreal error = (one - (total - part)) + (x - part)
    cdef vreal f = log_reduced(total, error, &k)
    return log_restored(f, k)


cdef inline vreal vlog1p(vreal x) noexcept nogil:
    return vcopysign(log_specials(vset1(1.0) + x, log1p_finite(x)), x)


# ---- tanh, sigmoid -------------------------------------------------------------------------------

cdef inline vreal tanh_of_magnitude(vreal a, vreal* decay) noexcept nogil:
    # tanh(a) = -t / (2 + t), t = expm1(-2 a), for a >= 0; decay = e^(-2 a).
    cdef vreal n, t
    cdef vreal m = exp_reduced(vset1(-2.0) * a, vset1(-0.0), &n)
    t = expm1_restored(m, n)
    decay[0] = vscale(vset1(1.0) + m, n)
    return -t / (vset1(2.0) + t)


cdef inline vreal vtanh(vreal x) noexcept nogil:
    cdef vreal decay
    return vcopysign(tanh_of_magnitude(vabs(x), &decay), x)


cdef inline vreal sigmoid_of_decay(vreal x, vreal decay, vreal share) noexcept nogil:
    # sigmoid(x), given decay = e^-|x| and share = 1 / (1 + decay) = sigmoid(|x|).
    return vselect(vlt(x, vzero()), decay * share, share)


cdef inline vreal vsigmoid(vreal x) noexcept nogil:
    cdef vreal one = vset1(1.0), decay = vexp(-vabs(x))
    return sigmoid_of_decay(x, decay, one / (one + decay))


# ---- erf and the normal distribution's tail ------------------------------------------------------

cdef inline vreal mills(vreal a) noexcept nogil:
    # e^(a^2 / 2) Phi(-a) for 0 <= a <= 40, Phi the normal distribution (J. P. Mills, Biometrika 18,
    # 1926): smooth in (a - 4) / (a + 4).
    cdef vreal inverse = vset1(1.0) / (a + vset1(4.0))
    return inverse * mills_polynomial((a - vset1(4.0)) * inverse)


cdef inline vreal verf(vreal x) noexcept nogil:
    # Up to 1/2 its odd series; from there on 1 - 2 Phi(-sqrt(2) |x|), which is 1 before 6.5.
    cdef vreal a = vmin(vset1(6.5), vabs(x))
    cdef vreal square = a * a
    cdef vreal decay = vexp_sum(-square, -vmul_error(a, a, square))
    cdef vreal tail = vset1(2.0) * decay * mills(sqrt_2() * a)
    return vselect(vlt(a, vset1(0.5)), vfma(x, erf_tail(square), x),
                   vcopysign(vset1(1.0) - tail, x))


# ---- the functions on arrays, for tests and for Python -------------------------------------------

ctypedef vreal (*vector_function)(vreal x) noexcept nogil
ctypedef void (*array_function)(real* out, const real* x, Py_ssize_t n) noexcept nogil

cdef struct Elementary:
    const char* name
    array_function apply


cdef inline void map_array(const vector_function f, real* out, const real* x,
                           Py_ssize_t n) noexcept nogil:
    # out[i] = f(x[i]); out may be x.
    while n > 0:
        store_first(out, f(load_first(x, n)), n)
        out += VL
        x += VL
        n -= VL


cdef void exp_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vexp, out, x, n)


cdef void expm1_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vexpm1, out, x, n)


cdef void log_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vlog, out, x, n)


cdef void log1p_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vlog1p, out, x, n)


cdef void tanh_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vtanh, out, x, n)


cdef void sigmoid_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vsigmoid, out, x, n)


cdef void erf_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(verf, out, x, n)


cdef Elementary[8] ELEMENTARY = [
    Elementary("exp", exp_array),
    Elementary("expm1", expm1_array),
    Elementary("log", log_array),
    Elementary("log1p", log1p_array),
    Elementary("tanh", tanh_array),
    Elementary("sigmoid", sigmoid_array),
    Elementary("erf", erf_array),
    Elementary(NULL, NULL),
]


def apply_elementary(str name, size_t out, size_t x, Py_ssize_t n):
    """out[i] = f(x[i]) for the function of that name; out and x are addresses of n reals."""
    cdef bytes wanted = name.encode()
    cdef const Elementary* entry = ELEMENTARY
    while entry.name != NULL:
        if strcmp(entry.name, wanted) == 0:
            entry.apply(<real*>out, <const real*>x, n)
            return
        entry += 1
    raise KeyError(name)
