# exp, expm1, log, log1p, tanh, sigmoid, erf on vectors, each within 4 ULP of the true value; quotients.
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


# ---- exp, expm1: e^x = (1 + m) 4^n, m = expm1(x - n ln 4), |x - n ln 4| <= ln(4) / 2 -------------
# 4^n is put in as its root 2^n, twice: that does not leave the exponents' range before the result does.

cdef inline vreal exp_least() noexcept nogil:
    # From here down e^x is 0, whatever factor of ours it meets.
    return vconst(-120.0, -800.0)


cdef inline vreal exp_clamped(vreal x) noexcept nogil:
    return vmin(vconst(89.0, 710.0), vmax(exp_least(), x))


cdef inline vreal exp_reduced(vreal high, vreal low, vreal* root) noexcept nogil:
    # Returns m of e^(high + low) = (1 + m) root^2, for clamped high; low is at most its rounding
    # error. An e^x of 0 has a root of 0, which spares the hardware's slow way to round to 0.
    cdef vreal n, r
    root[0] = vexp2_round(high, log4_e(), vlt(exp_least(), high), &n)
    r = vfnma(n, ln4_low(), vfnma(n, ln4_high(), high)) + low
    return vfma(r * r, exp_tail(r), r)


cdef inline vreal exp_rooted(vreal high, vreal low, vreal* root) noexcept nogil:
    # e^(high + low) = result * root: with other factors between them, underflow rounds once.
    cdef vreal m = exp_reduced(high, low, root)
    return vfma(root[0], m, root[0])


cdef inline vreal expm1_restored(vreal m, vreal square, vreal one) noexcept nogil:
    # (1 + m) square - one: what e^x lacks in digits near 1 is not lost.
    return vfma(square, m, square - one)


cdef inline vreal vexp_sum(vreal high, vreal low) noexcept nogil:
    # e^(high + low): what a rounding error in the exponent would cost is not lost.
    cdef vreal root
    cdef vreal power = exp_rooted(exp_clamped(high), low, &root)
    return power * root


cdef inline vreal vexp(vreal x) noexcept nogil:
    return vexp_sum(x, vset1(-0.0))


cdef inline vreal vexpm1(vreal x) noexcept nogil:
    # Through its half, which does not overflow before the result does.
    cdef vreal root, one_half = vset1(0.5)
    cdef vreal m = exp_reduced(exp_clamped(x), vset1(-0.0), &root)
    cdef vreal half = expm1_restored(m, one_half * root * root, one_half)
    return vcopysign(half + half, x)


cdef inline vreal decay_reduced(vreal x, vreal* square) noexcept nogil:
    # Returns m of e^x = (1 + m) square, for x <= 0.
    cdef vreal root
    cdef vreal m = exp_reduced(vmax(exp_least(), x), vset1(-0.0), &root)
    square[0] = root * root
    return m


cdef inline vreal decay_of(vreal x) noexcept nogil:
    # e^-|x|
    cdef vreal square
    cdef vreal m = decay_reduced(vminus_abs(x), &square)
    return vfma(square, m, square)


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


cdef inline vreal log1p_of_decay(vreal decay, vreal* share) noexcept nogil:
    # log(1 + decay) = 2 atanh(s), s = decay / (2 + decay), and share = 1 / (1 + decay), for a decay
    # between 0 and 1. Both come from one division.
    cdef vreal total = vset1(1.0) + decay, above = vset1(2.0) + decay
    cdef vreal inverse = vset1(1.0) / (total * above)
    cdef vreal s = decay * (total * inverse)
    cdef vreal s2 = s * s
    share[0] = above * inverse
    return vfma(s * s2, log1p_tail(s2), s + s)


# ---- tanh, sigmoid -------------------------------------------------------------------------------

cdef inline vreal minus_tanh_abs(vreal x, vreal* decay) noexcept nogil:
    # -tanh(|x|) = (decay - 1) / (decay + 1), decay = e^(-2 |x|)
    cdef vreal one = vset1(1.0), down = vminus_abs(x), square
    cdef vreal m = decay_reduced(down + down, &square)
    decay[0] = vfma(square, m, square)
    return expm1_restored(m, square, one) / (decay[0] + one)


cdef inline vreal vtanh(vreal x) noexcept nogil:
    cdef vreal decay
    return vcopysign(minus_tanh_abs(x, &decay), x)


cdef inline vreal sigmoid_of_decay(vreal x, vreal decay, vreal share) noexcept nogil:
    # sigmoid(x), given decay = e^-|x| and share = 1 / (1 + decay) = sigmoid(|x|).
    return vselect(vlt(x, vzero()), decay * share, share)


cdef inline vreal vsigmoid(vreal x) noexcept nogil:
    cdef vreal one = vset1(1.0), decay = decay_of(x)
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


# ---- quotients without the divider, which does nothing else meanwhile ------------------------------

# a / b within 2 ULP (1 / b within 1, where vfma rounds once) for positive normal b below 2^125 (float64: 2^1021).
# With r b = 1 - e, each pass makes r (1 + e + e^2), whose e is the cube of that before; the last one, for the
# quotient itself, makes it the square.
cdef inline vreal vquotient(vreal a, vreal b) noexcept nogil:
    cdef vreal one = vset1(1), r = vreciprocal_guess(b), e
    cdef int i
    for i in range(2 if FW_F64 else 1):
        e = vfnma(b, r, one)
        r = vfma(vfma(e, e, e), r, r)
    a = a * r
    return vfma(vfnma(b, r, one), a, a)


cdef inline vreal vreciprocal(vreal x) noexcept nogil:
    return vquotient(vset1(1), x)


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


cdef void reciprocal_array(real* out, const real* x, Py_ssize_t n) noexcept nogil:
    map_array(vreciprocal, out, x, n)


cdef Elementary[9] ELEMENTARY = [
    Elementary("exp", exp_array),
    Elementary("expm1", expm1_array),
    Elementary("log", log_array),
    Elementary("log1p", log1p_array),
    Elementary("tanh", tanh_array),
    Elementary("sigmoid", sigmoid_array),
    Elementary("erf", erf_array),
    Elementary("reciprocal", reciprocal_array),
    Elementary(NULL, NULL),
]


def apply_elementary(str name, size_t out, size_t x, Py_ssize_t n):
    """out[i] = f(x[i]) for the function of that name; out and x are addresses of n reals."""
    cdef fw_float_mode mode
    cdef bytes wanted = name.encode()
    cdef const Elementary* entry = ELEMENTARY
    while entry.name != NULL:
        if strcmp(entry.name, wanted) == 0:
            with nogil:
                mode = fw_enter_float_mode()
                entry.apply(<real*>out, <const real*>x, n)
                fw_leave_float_mode(mode)
            return
        entry += 1
    raise KeyError(name)
