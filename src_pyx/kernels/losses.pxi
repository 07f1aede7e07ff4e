# Losses: values[r] = the loss of row r, and dy = scale * its gradient by the prediction.
#
# Design: an elementwise loss is a small function that maps a prediction p, its target t and the
# loss's one option to a value, and writes the slope dvalue / dp beside it; `elementwise` runs it
# over the batch and takes the mean over the columns. A crossentropy between distributions sums over
# the classes: see crossentropy.pxi. Definitions are those of Keras 3; every gradient is the exact
# derivative of the value reported, clipping and normalisation included. NaN goes through as NaN. Where an
# activation is part of a loss, gradients are without traces (see simd.pxi), as they are behind any other.
#
# Values are doubles, and vectors of float32 cannot hold all of them. A batch is done as if they could; a
# row whose value does not come out finite is done again in double, by plain functions called `far_`. In float32
# no square, product or sum leaves double's range; what may leave it in float64, while the result does not,
# is divided or halved first.

from libc.math cimport INFINITY, fabs, fmin, isfinite

cdef extern from *:
    """
    #define FW_CLIP 1e-7
    """
    # Probabilities are clipped to [CLIP, 1 - CLIP] before their logarithm is taken.
    const double CLIP "FW_CLIP"


# values[r] = lane r / divisor
cdef inline void set_values(double* values, vreal lanes, Py_ssize_t count,
                            double divisor) noexcept nogil:
    cdef real[VL] rows
    cdef Py_ssize_t k
    vstore(rows, lanes)
    if count == VL:
        for k in range(VL):
            values[k] = rows[k] / divisor
    else:
        for k in range(count):
            values[k] = rows[k] / divisor


# Whether one of the first `count` lanes is not finite.
cdef inline bint some_are_far(vreal lanes, Py_ssize_t count) noexcept nogil:
    return vany(vnot(is_finite(keep_first(lanes, count))))


# ---- elementwise losses -------------------------------------------------------------------------

ctypedef vreal (*Point)(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil
# Value and slope where the vectors' value is infinite, both times `share`.
ctypedef double (*FarPoint)(double p, double t, double option, double share, double* slope) noexcept nogil


# The losses of the first n reals of p and t; dy (may be NULL) = factor * their slopes.
cdef inline vreal point_of(const Point point, real* dy, const real* p, const real* t, Py_ssize_t n,
                           vreal option, vreal factor) noexcept nogil:
    cdef vreal slope
    cdef vreal value = point(load_first(p, n), load_first(t, n), option, &slope)
    if dy != NULL:
        store_first(dy, factor * slope, n)
    return value


# The loss of each of VL rows, `count` of them there, times columns. Losses are found where the rows lie,
# end to end, so that vectors are full, and added in pairs while that leaves whole rows.
cdef inline vreal points_across(const Point point, real* dy, const real* p, const real* t,
                                Py_ssize_t count, Py_ssize_t columns, vreal option,
                                vreal factor) noexcept nogil:
    cdef vreal[ACROSS] losses, across
    cdef Py_ssize_t i, at, n = count * columns
    for i in range(columns):
        at = i * VL
        losses[i] = vzero()
        if at < n:
            losses[i] = point_of(point, NULL if dy == NULL else dy + at, p + at, t + at, n - at, option,
                                 factor)
    while columns % 2 == 0:
        columns //= 2
        for i in range(columns):
            losses[i] = (vunzip_even(losses[2 * i], losses[2 * i + 1])
                         + vunzip_odd(losses[2 * i], losses[2 * i + 1]))
    if columns == 1:
        return losses[0]
    lay_across(across, <const real*>losses, count, columns)
    return row_total(True, <const real*>across, columns * VL)


# The loss of a row along vectors, times columns.
cdef inline vreal points_along(const Point point, real* dy, const real* p, const real* t,
                               Py_ssize_t columns, vreal option, vreal factor) noexcept nogil:
    cdef RowSum sum
    cdef vreal value
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < columns:
        for part in range(parts_of(False)):
            if i < columns:
                value = point_of(point, NULL if dy == NULL else dy + i, p + i, t + i, columns - i,
                                 option, factor)
                add_to_sum(&sum, part, keep_first(value, columns - i))
                i += VL
    return sum_of(False, &sum)


# The mean loss of a row; of its gradient dy (may be NULL) only what belongs to infinite losses is replaced.
# far is NULL where no loss is infinite, but for a sum of them.
cdef double far_points(const Point point, const FarPoint far, real* dy, const real* p, const real* t,
                       Py_ssize_t columns, double option, double scale) noexcept nogil:
    cdef double share = 1.0 / columns, total = 0.0, slope
    cdef vreal unused
    cdef real value
    cdef Py_ssize_t i
    for i in range(columns):
        value = first_lane(point(vset1(p[i]), vset1(t[i]), vset1(<real>option), &unused))
        if far == NULL or fabs(value) != INFINITY:
            total += share * value
        else:
            total += far(p[i], t[i], option, share, &slope)
            if dy != NULL:
                dy[i] = <real>(scale * slope)
    return total


# values[r] = mean over the columns of point(prediction, target)
cdef inline void elementwise(const Point point, const FarPoint far, double* values, void* dy,
                             const void* prediction, const void* target, Py_ssize_t rows,
                             Py_ssize_t columns, double option, double scale) noexcept nogil:
    cdef vreal setting = vset1(<real>option), factor = vset1(<real>(scale / columns)), sums
    cdef const real* p
    cdef const real* t
    cdef real* d
    cdef Py_ssize_t row = 0, count, k
    while row < rows:
        d = rows_of(dy, row, columns)
        p = rows_of(prediction, row, columns)
        t = rows_of(target, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            sums = points_across(point, d, p, t, count, columns, setting, factor)
        else:
            count = 1
            sums = points_along(point, d, p, t, columns, setting, factor)
        set_values(values + row, sums, count, columns)
        if some_are_far(sums, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    values[row + k] = far_points(point, far, rows_of(d, k, columns), p + k * columns,
                                                 t + k * columns, columns, option, scale)
        row += count


# share / 2 * (p - t)
cdef inline double half_difference(double p, double t, double share) noexcept nogil:
    cdef double d = p - t
    if fabs(d) == INFINITY:
        return 0.5 * share * p - 0.5 * share * t
    return 0.5 * share * d


# (p - t)^2
cdef inline vreal squared_error(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal d = p - t
    slope[0] = d + d
    return d * d


cdef double far_squared_error(double p, double t, double option, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share)
    slope[0] = 4.0 * half
    return 2.0 * half * (p - t)


# |p - t|, with slope 0 at 0
cdef inline vreal absolute_error(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d)
    slope[0] = vselect(vlt(vzero(), size), vcopysign(vset1(1), d), d)
    return size


cdef double far_absolute_error(double p, double t, double option, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share)
    slope[0] = share if half > 0.0 else -share
    return 2.0 * fabs(half)


# d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = p - t         (Huber 1964)
# In one piece: with c = min(delta, |d|) it is c (|d| - c / 2), with slope +-c.
cdef inline vreal huber(vreal p, vreal t, vreal delta, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d), c = vmin(delta, size)
    slope[0] = vcopysign(c, d)
    return c * (size - vset1(<real>0.5) * c)


cdef double far_huber(double p, double t, double delta, double share, double* slope) noexcept nogil:
    cdef double half = half_difference(p, t, share)
    if fabs(p - t) <= delta:
        slope[0] = 2.0 * half
        return half * (p - t)
    slope[0] = delta * share if half > 0.0 else -delta * share
    return 2.0 * (delta * (fabs(half) - 0.25 * share * delta))


# log(cosh(d)), with d = p - t and slope tanh(d)
# With m = exp(-2|d|) - 1: cosh(d)^2 = 1 + m^2 / (4 (1 + m)) keeps small d exact,
# log(cosh(d)) = |d| - log 2 + log(1 + (1 + m)) large ones.
cdef inline vreal log_cosh(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), half = vset1(<real>0.5), two = vset1(2)
    cdef vreal d = p - t, size = vabs(d)
    cdef vreal m = vexpm1(-(size + size)), power = one + m
    cdef vmask is_small = vlt(size, vset1(<real>0.6))
    cdef vreal small = m * m / (vset1(4) * vmax(half * half, power)), share
    cdef vreal log_part = log1p_of_decay(vselect(is_small, small, power), &share)
    slope[0] = vcopysign(m / (two + m), d)
    return vselect(is_small, half * log_part, (size - vset1(<real>0.6931471805599453)) + log_part)


# So far out log 2 is nothing.
cdef double far_log_cosh(double p, double t, double option, double share, double* slope) noexcept nogil:
    return far_absolute_error(p, t, option, share, slope)


# p - t log(p + CLIP)
cdef inline vreal poisson(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal shifted = p + vset1(<real>CLIP)
    cdef vreal ratio = t / shifted, value = vfnma(t, vlog(shifted), p)
    slope[0] = vset1(1) - ratio
    # An infinite ratio need not be a part of an infinite value; as one it is seen.
    return vselect(veq(ratio, vset1(<real>INFINITY)), ratio, value)


cdef double far_poisson(double p, double t, double option, double share, double* slope) noexcept nogil:
    cdef vreal shifted = vset1(<real>p) + vset1(<real>CLIP)
    slope[0] = share - share * t / <double>first_lane(shifted)
    return share * p - share * t * first_lane(vlog(shifted))


# max(0, 1 - t p), for t of -1 or 1
cdef inline vreal hinge(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal margin = vfnma(t, p, vset1(1)), value = vmax(vzero(), margin)
    slope[0] = vselect(vlt(vzero(), margin), -t, value)
    return value


# ---- binary crossentropy ------------------------------------------------------------------------

# t drawn towards `share`: (1 - smoothing) t + smoothing * share              (Szegedy et al. 2016)
cdef inline vreal smoothed(vreal t, vreal smoothing, vreal share) noexcept nogil:
    return vfma(smoothing, share - t, t)


cdef inline vreal clipped(vreal p) noexcept nogil:
    return vmin(vset1(<real>(1.0 - CLIP)), vmax(vset1(<real>CLIP), p))


cdef inline vmask is_outside(vreal p) noexcept nogil:
    return vor(vlt(p, vset1(<real>CLIP)), vlt(vset1(<real>(1.0 - CLIP)), p))


# -(t log q + (1 - t) log(1 - q)), with q = clip(p)
cdef inline vreal binary_crossentropy(vreal p, vreal t, vreal smoothing, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), q = clipped(p)
    t = smoothed(t, smoothing, vset1(<real>0.5))
    slope[0] = vselect(is_outside(p), vzero(), (q - t) / (q * (one - q)))
    return -vfma(t, vlog(q), (one - t) * vlog1p(-q))


# The same of q = sigmoid(z): max(z, 0) - z t + log(1 + exp(-|z|)), with slope q - t.
# With w = t for z < 0, else 1 - t, it is |z| w + log(1 + exp(-|z|)): nothing cancels.
cdef inline vreal binary_crossentropy_logits(vreal z, vreal t, vreal smoothing,
                                             vreal* slope) noexcept nogil:
    cdef vreal e = decay_of(z), share
    cdef vreal log_part = log1p_of_decay(e, &share)
    cdef vmask is_negative = vlt(z, vzero())
    cdef vreal w, difference
    t = smoothed(t, smoothing, vset1(<real>0.5))
    w = vselect(is_negative, t, vset1(1) - t)
    difference = vfma(e, share, -w)
    slope[0] = without_traces(vselect(is_negative, difference, -difference))
    return vfma(vabs(z), w, log_part)


# ---- the table ----------------------------------------------------------------------------------

cdef void mean_squared_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(squared_error, far_squared_error, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void mean_absolute_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(absolute_error, far_absolute_error, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void huber_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    # What float32 cannot hold is larger than any error.
    elementwise(huber, far_huber, values, dy, prediction, target, rows, columns,
                fmin(options[0], LARGEST), scale)


cdef void log_cosh_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(log_cosh, far_log_cosh, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void poisson_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(poisson, far_poisson, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void hinge_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(hinge, NULL, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void binary_crossentropy_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_crossentropy, NULL, values, dy, prediction, target, rows, columns, options[0], scale)


cdef void binary_crossentropy_logits_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_crossentropy_logits, NULL, values, dy, prediction, target, rows, columns,
                options[0], scale)


cdef Loss[13] LOSSES = [
    Loss("mean_squared_error", mean_squared_error_loss),
    Loss("mean_absolute_error", mean_absolute_error_loss),
    Loss("huber", huber_loss),
    Loss("log_cosh", log_cosh_loss),
    Loss("poisson", poisson_loss),
    Loss("hinge", hinge_loss),
    Loss("binary_crossentropy", binary_crossentropy_loss),
    Loss("binary_crossentropy_logits", binary_crossentropy_logits_loss),
    Loss("categorical_crossentropy", categorical_crossentropy),
    Loss("categorical_crossentropy_logits", categorical_crossentropy_logits),
    Loss("sparse_categorical_crossentropy", sparse_categorical_crossentropy),
    Loss("sparse_categorical_crossentropy_logits", sparse_categorical_crossentropy_logits),
    Loss(NULL, NULL),
]


# ---- one loss on arrays -------------------------------------------------------------------------

# The arrays are given by address; dy may be 0.
def apply_loss(str name, size_t values, size_t dy, size_t prediction, size_t target,
               Py_ssize_t rows, Py_ssize_t columns, options, double scale):
    cdef fw_float_mode mode
    cdef double[OPTIONS] numbers
    cdef Py_ssize_t i = 0
    read_options(numbers, options)
    wanted = name.encode()
    while LOSSES[i].name != NULL:
        if LOSSES[i].name == wanted:
            with nogil:
                mode = fw_enter_float_mode()
                LOSSES[i].compute(<double*>values, <void*>dy, <const void*>prediction,
                                  <const void*>target, rows, columns, numbers, scale)
                fw_leave_float_mode(mode)
            return
        i += 1
    raise KeyError(name)
