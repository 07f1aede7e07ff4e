# Losses of numbers: each output on its own, the mean over them. See losses.pxi.

# share / 2 * (p - t)
cdef inline double half_difference(double p, double t, double share) noexcept nogil:
    cdef double d = p - t
    if fabs(d) == INFINITY:
        return 0.5 * share * p - 0.5 * share * t
    return 0.5 * share * d


# (p - t)^2
cdef inline vreal squared_error(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal d = p - t
    slope[0] = d + d
    return d * d


cdef double far_squared_error(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share)
    slope[0] = 4.0 * half
    return 2.0 * half * (p - t)


# |p - t|, with slope 0 at 0
cdef inline vreal absolute_error(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d)
    slope[0] = vselect(vlt(vzero(), size), vcopysign(vset1(1), d), d)
    return size


cdef double far_absolute_error(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share)
    slope[0] = share if half > 0.0 else -share
    return 2.0 * fabs(half)


# d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = p - t         (Huber 1964)
# In one piece: with c = min(delta, |d|) it is c (|d| - c / 2), with slope +-c.
cdef inline vreal huber(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d), c = vmin(options[0], size)
    slope[0] = vcopysign(c, d)
    return c * (size - vset1(<real>0.5) * c)


cdef double far_huber(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share), delta = options[0]
    if fabs(p - t) <= delta:
        slope[0] = 2.0 * half
        return half * (p - t)
    slope[0] = delta * share if half > 0.0 else -delta * share
    return 2.0 * (delta * (fabs(half) - 0.25 * share * delta))


# log(cosh(d)), with d = p - t and slope tanh(d)
# With m = exp(-2|d|) - 1: cosh(d)^2 = 1 + m^2 / (4 (1 + m)) keeps small d exact,
# log(cosh(d)) = |d| - log 2 + log(1 + (1 + m)) large ones.
cdef inline vreal log_cosh(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), half = vset1(<real>0.5), two = vset1(2)
    cdef vreal d = p - t, size = vabs(d)
    cdef vreal m = vexpm1(-(size + size)), power = one + m
    cdef vmask is_small = vlt(size, vset1(<real>0.6))
    cdef vreal small = m * m / (vset1(4) * vmax(half * half, power)), share
    cdef vreal log_part = log1p_of_decay(vselect(is_small, small, power), &share)
    slope[0] = vcopysign(m / (two + m), d)
    return vselect(is_small, half * log_part, (size - vset1(<real>0.6931471805599453)) + log_part)


# So far out log 2 is nothing.
cdef double far_log_cosh(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    return far_absolute_error(p, t, options, share, slope)


# p - t log(p + CLIP)
cdef inline vreal poisson(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal shifted = p + vset1(<real>CLIP)
    cdef vreal ratio = t / shifted, value = vfnma(t, vlog(shifted), p)
    slope[0] = vset1(1) - ratio
    # An infinite ratio need not be a part of an infinite value; as one it is seen.
    return vselect(veq(ratio, vset1(<real>INFINITY)), ratio, value)


cdef double far_poisson(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    cdef vreal shifted = vset1(<real>p) + vset1(<real>CLIP)
    slope[0] = share - share * t / <double>first_lane(shifted)
    return share * p - share * t * first_lane(vlog(shifted))


# t log(t / q) - t + q of the rate q = exp(z), with slope q - t
cdef inline vreal poisson_deviance(vreal z, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal rate = vexp(z), none = vzero()
    cdef vmask occurs = vlt(none, t)
    cdef vreal log_t = vlog(vselect(occurs, t, vset1(1)))
    slope[0] = rate - t
    return vselect(occurs, vfma(t, (log_t - z) - vset1(1), rate), rate)


# 100 |p - t| / max(|t|, CLIP), with slope 0 at p = t
cdef inline vreal absolute_percentage_error(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d), factor = vset1(100) / vmax(vset1(<real>CLIP), vabs(t))
    slope[0] = vselect(vlt(vzero(), size), vcopysign(factor, d), d)
    return size * factor


cdef double far_absolute_percentage_error(double p, double t, const double* options, double share,
                                          double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share), floor = <double><real>CLIP
    cdef double factor = 100.0 / (fabs(t) if fabs(t) > floor else floor)
    slope[0] = share * factor if half > 0.0 else -share * factor
    return 2.0 * (fabs(half) * factor)


# (log(1 + a) - log(1 + b))^2, with a = max(p, CLIP) and b = max(t, CLIP)
# Near each other through what they differ by, of which logarithms that are as good as equal have no digits.
cdef inline vreal squared_logarithmic_error(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), floor = vset1(<real>CLIP)
    cdef vreal a = vmax(floor, p), b = vmax(floor, t), above = one + b
    cdef vreal x = (a - b) / above
    cdef vmask is_near = vle(vabs(x), vset1(<real>0.5))
    cdef vreal d = vselect(is_near, vlog1p(vselect(is_near, x, vzero())), vlog((one + a) / above))
    slope[0] = vselect(vlt(p, floor), vzero(), (d + d) / (one + a))
    return d * d


# ---- on batches ---------------------------------------------------------------------------------

cdef void mean_squared_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(squared_error, far_squared_error, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void mean_absolute_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(absolute_error, far_absolute_error, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void huber_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(huber, far_huber, values, dy, prediction, target, rows, columns, <double>columns, options, 1, scale)


cdef void log_cosh_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(log_cosh, far_log_cosh, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void poisson_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(poisson, far_poisson, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void poisson_deviance_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(poisson_deviance, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void mean_absolute_percentage_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(absolute_percentage_error, far_absolute_percentage_error, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void mean_squared_logarithmic_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(squared_logarithmic_error, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)
