# Losses: values[r] = the loss of row r, and dy = scale * its gradient by the prediction.
#
# Design: an elementwise loss is a small function that maps a prediction p, its target t and the
# loss's options to a value, and writes the slope dvalue / dp beside it; `elementwise` runs it over the
# batch and takes the mean over the columns, or their sum. Those are in regression.pxi, hinges.pxi,
# binary.pxi and, with the others that look at whole rows, in crossentropy.pxi, focal.pxi, likeness.pxi
# and distributions.pxi; loss_table.pxi lists all. Definitions are those of Keras 3; every gradient is the exact
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

cdef enum:
    POINT_OPTIONS = 4

ctypedef vreal (*Point)(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil
# Value and slope where the vectors' value is infinite, both times `share`.
ctypedef double (*FarPoint)(double p, double t, const double* options, double share, double* slope) noexcept nogil


# The losses of the first n reals of p and t; dy (may be NULL) = factor * their slopes.
cdef inline vreal point_of(const Point point, real* dy, const real* p, const real* t, Py_ssize_t n,
                           const vreal* options, vreal factor) noexcept nogil:
    cdef vreal slope
    cdef vreal value = point(load_first(p, n), load_first(t, n), options, &slope)
    if dy != NULL:
        store_first(dy, factor * slope, n)
    return value


# The loss of each of VL rows, `count` of them there, times columns. Losses are found where the rows lie,
# end to end, so that vectors are full, and added in pairs while that leaves whole rows.
cdef inline vreal points_across(const Point point, real* dy, const real* p, const real* t,
                                Py_ssize_t count, Py_ssize_t columns, const vreal* options,
                                vreal factor) noexcept nogil:
    cdef vreal[ACROSS] losses, across
    cdef Py_ssize_t i, at, n = count * columns
    for i in range(columns):
        at = i * VL
        losses[i] = vzero()
        if at < n:
            losses[i] = point_of(point, NULL if dy == NULL else dy + at, p + at, t + at, n - at, options,
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
                               Py_ssize_t columns, const vreal* options, vreal factor) noexcept nogil:
    cdef RowSum sum
    cdef vreal value
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < columns:
        for part in range(parts_of(False)):
            if i < columns:
                value = point_of(point, NULL if dy == NULL else dy + i, p + i, t + i, columns - i,
                                 options, factor)
                add_to_sum(&sum, part, keep_first(value, columns - i))
                i += VL
    return sum_of(False, &sum)


# The options of a point, in every lane.
cdef inline void spread_options(vreal* lanes, const double* options, const int count) noexcept nogil:
    cdef int i
    for i in range(count):
        # What float32 cannot hold is larger than any error.
        lanes[i] = vset1(<real>fmin(options[i], LARGEST))


# The loss of a row, of each of whose columns `share` counts; of its gradient dy (may be NULL) only what belongs
# to infinite losses is replaced. far is NULL where no loss is infinite, but for a sum of them.
cdef double far_points(const Point point, const FarPoint far, real* dy, const real* p, const real* t,
                       Py_ssize_t columns, const double* options, const vreal* lanes, double share,
                       double scale) noexcept nogil:
    cdef double total = 0.0, slope
    cdef vreal unused
    cdef real value
    cdef Py_ssize_t i
    for i in range(columns):
        value = first_lane(point(vset1(p[i]), vset1(t[i]), lanes, &unused))
        if far == NULL or fabs(value) != INFINITY:
            total += share * value
        else:
            total += far(p[i], t[i], options, share, &slope)
            if dy != NULL:
                dy[i] = <real>(scale * slope)
    return total


# values[r] = the sum over the columns of point(prediction, target), divided by `divisor`; the first `count`
# options are point's
cdef inline void elementwise(const Point point, const FarPoint far, double* values, void* dy,
                             const void* prediction, const void* target, Py_ssize_t rows,
                             Py_ssize_t columns, double divisor, const double* options, const int count,
                             double scale) noexcept nogil:
    cdef vreal[POINT_OPTIONS] lanes
    cdef vreal factor = vset1(<real>(scale / divisor)), sums
    cdef const real* p
    cdef const real* t
    cdef real* d
    cdef Py_ssize_t row = 0, done, k
    spread_options(lanes, options, count)
    while row < rows:
        d = rows_of(dy, row, columns)
        p = rows_of(prediction, row, columns)
        t = rows_of(target, row, columns)
        if lies_across(columns):
            done = min(VL, rows - row)
            sums = points_across(point, d, p, t, done, columns, lanes, factor)
        else:
            done = 1
            sums = points_along(point, d, p, t, columns, lanes, factor)
        set_values(values + row, sums, done, divisor)
        if some_are_far(sums, done):
            for k in range(done):
                if not isfinite(values[row + k]):
                    values[row + k] = far_points(point, far, rows_of(d, k, columns), p + k * columns,
                                                 t + k * columns, columns, options, lanes, 1.0 / divisor, scale)
        row += done
