# Losses of what is predicted of a target's distribution: some of its quantiles, or mean and variance.
#
# Design: each target has a group of outputs, which follow each other, and a row the mean of what all its outputs
# (quantiles) or targets (mean and variance) cost. Rows lie across vectors, however long they are: so many groups of
# VL rows at a time as ACROSS columns hold.

# What a group of outputs costs, added to sum; d (may be NULL) = factor * its gradient.
ctypedef void (*group_rule)(RowSum* sum, vreal* d, const vreal* p, vreal t, Py_ssize_t outputs,
                            const double* options, vreal factor) noexcept nogil
# The same of one row's group in double, each cost times share; the gradient times scale.
ctypedef double (*far_group_rule)(real* d, const real* p, double t, Py_ssize_t outputs, const double* options,
                                  double share, double scale) noexcept nogil


cdef inline void of_groups(const group_rule rule, const far_group_rule far, double* values, void* dy,
                           const void* prediction, const void* target, Py_ssize_t rows, Py_ssize_t columns,
                           Py_ssize_t outputs, double divisor, const double* options, double scale) noexcept nogil:
    cdef vreal[ACROSS] d, p, t
    cdef RowSum sum
    cdef vreal factor = vset1(<real>(scale / divisor)), value
    cdef Py_ssize_t targets = columns // outputs, row = 0, first, count, groups, k, i
    cdef double total
    cdef real* gradient
    cdef const real* given
    cdef const real* wanted
    while row < rows:
        count = min(VL, rows - row)
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        wanted = rows_of(target, row, targets)
        clear_sum(&sum)
        first = 0
        while first < targets:
            groups = min(ACROSS // outputs, targets - first)
            lay_part_across(p, given + first * outputs, columns, count, groups * outputs)
            lay_part_across(t, wanted + first, targets, count, groups)
            for i in range(groups):
                rule(&sum, NULL if gradient == NULL else d + i * outputs, p + i * outputs, t[i], outputs, options, factor)
            if gradient != NULL:
                lay_part_back(gradient + first * outputs, columns, d, count, groups * outputs)
            first += groups
        value = sum_of(True, &sum)
        set_values(values + row, value, count, divisor)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    total = 0.0
                    for i in range(targets):
                        total += far(rows_of(gradient, k, columns) + i * outputs if gradient != NULL else NULL,
                                     given + k * columns + i * outputs, wanted[k * targets + i], outputs, options,
                                     1.0 / divisor, scale / divisor)
                    values[row + k] = total
        row += count


# ---- quantiles: (1 - quantile) d where d = p - t > 0, else -quantile d, with slope 0 at 0 ---------
# options: how many quantiles, and these                                    (Koenker and Bassett 1978)

cdef inline void pinball(RowSum* sum, vreal* d, const vreal* p, vreal t, Py_ssize_t outputs, const double* options,
                         vreal factor) noexcept nogil:
    cdef vreal difference, slope
    cdef Py_ssize_t k
    for k in range(outputs):
        difference = p[k] - t
        slope = vselect(vlt(vzero(), difference), vset1(<real>(1.0 - options[1 + k])), vset1(<real>-options[1 + k]))
        add_to_sum(sum, 0, slope * difference)
        if d != NULL:
            # NaN goes through.
            d[k] = vselect(veq(vabs(difference), vabs(difference)),
                           factor * vselect(veq(difference, vzero()), vzero(), slope), difference)


cdef double far_pinball(real* d, const real* p, double t, Py_ssize_t outputs, const double* options, double share,
                        double scale) noexcept nogil:
    cdef double total = 0.0, half, slope
    cdef Py_ssize_t k
    for k in range(outputs):
        half = half_difference(p[k], t, share)
        slope = 1.0 - options[1 + k] if p[k] > t else -options[1 + k]
        total += 2.0 * (slope * half)
        if d != NULL:
            d[k] = <real>(scale * (slope if p[k] != t else 0.0)) if half == half else <real>half
    return total


cdef void quantile_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    of_groups(pinball, far_pinball, values, dy, prediction, target, rows, columns, <Py_ssize_t>options[0],
              <double>columns, options, scale)


# ---- a normal's mean p and variance v = epsilon + exp(s): (log(v) + (p - t)^2 / v) / 2 + constant --
# options: epsilon, constant                                                  (Nix and Weigend 1994)

cdef inline void gaussian(RowSum* sum, vreal* d, const vreal* p, vreal t, Py_ssize_t outputs, const double* options,
                          vreal factor) noexcept nogil:
    cdef vreal half = vset1(<real>0.5), infinite = vset1(<real>INFINITY)
    cdef vreal power = vexp(p[1]), difference = p[0] - t
    cdef vreal variance = power + vset1(<real>options[0])
    cdef vreal share = difference / variance, square = difference * share
    cdef vreal value = vfma(half, vlog(variance) + square, vset1(<real>options[1]))
    # Where the variance has overflowed nothing is known yet.
    add_any_to_sum(sum, 0, vselect(veq(variance, infinite), infinite, value))
    if d != NULL:
        d[0] = factor * share
        d[1] = factor * (half * (power / variance) * (vset1(1) - square))


cdef double far_gaussian(real* d, const real* p, double t, Py_ssize_t outputs, const double* options, double share,
                         double scale) noexcept nogil:
    cdef double epsilon = <double><real>options[0], log_variance = p[1], power_share = 1.0, root, distance
    cdef double variance = epsilon + first_lane(vexp(vset1(p[1])))
    if variance > LARGEST:
        # epsilon is nothing beside it, and the root of its inverse is a square of what does not underflow before.
        root = first_lane(vexp(vset1(<real>(-0.25 * p[1]))))
        root *= root
    else:
        root = sqrt(1.0 / variance)
        log_variance = first_lane(vlog(vset1(<real>variance)))
        power_share = first_lane(vexp(vset1(p[1]))) / variance
    # 2^-41 of it, which is no larger than the difference.
    distance = half_difference(p[0], t, 9.094947017729282e-13) * root
    if d != NULL:
        d[0] = <real>(scale * 2199023255552.0 * distance * root)
        d[1] = <real>(0.5 * scale * power_share - 2417851639229258349412352.0 * scale * power_share * distance * distance)
    return share * (0.5 * log_variance + options[1]) + 2417851639229258349412352.0 * share * distance * distance


cdef void gaussian_nll_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    of_groups(gaussian, far_gaussian, values, dy, prediction, target, rows, columns, 2, <double>(columns // 2),
              options, scale)
