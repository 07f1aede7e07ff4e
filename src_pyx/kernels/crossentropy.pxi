# Crossentropy between distributions over classes: the losses that look at whole rows.
#
# Design: one rule for each kind of target and prediction, a kernel over rows (see rows.pxi). Its value is
# the loss of each row; d (may be NULL) gets the gradient by the prediction, which is n reals long: a row
# along vectors, or VL rows across them. What losses promise is said in losses.pxi. Where the shares of a
# row of probabilities are not sure to be right, the value is infinite, so that the row is done again.

from libc.stdint cimport int32_t


# ---- dense: the target is a distribution, perhaps smoothed ---------------------------------------

cdef struct CrossentropyOptions:
    vreal smoothing
    vreal share                  # of each class in the smoothed target
    vreal scale


ctypedef vreal (*dense_rule)(const bint across, real* d, const real* p, const real* t, Py_ssize_t n,
                             const CrossentropyOptions* options) noexcept nogil


# With -log q_j = (top - z_j) + log(1 + rest), q = softmax(z): the value is -sum_j t_j log q_j, the
# gradient by z_j is q_j sum(t) - t_j.
cdef inline vreal dense_logits(const bint across, real* d, const real* z, const real* labels,
                               Py_ssize_t n, const CrossentropyOptions* options) noexcept nogil:
    cdef RowSum loss, weight
    cdef vreal top = largest_of(across, z, n)
    cdef vreal rest = rest_of(across, d, z, n, top)
    cdef vreal log_total = vlog1p(rest), t, logits, sum_t, ratio, excess, slope
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&loss)
    clear_sum(&weight)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = smoothed(load_first(labels + i, n - i), options.smoothing, options.share)
                t = keep_first(t, n - i)
                add_to_sum(&loss, part, t * ((top - load_first(z + i, n - i)) + log_total))
                add_to_sum(&weight, part, t)
                i += VL
    if d != NULL:
        sum_t = sum_of(across, &weight)
        ratio = sum_t / (vset1(1) + rest)
        excess = rest * ratio
        i = 0
        while i < n:
            t = smoothed(load_first(labels + i, n - i), options.smoothing, options.share)
            logits = load_first(z + i, n - i)
            slope = vfma(load_first(d + i, n - i), ratio, -t)
            # A sure prediction's q sum(t) - t, without cancellation.
            slope = vselect(veq(logits, top), (sum_t - t) - excess, slope)
            store_first(d + i, without_traces(options.scale * slope), n - i)
            i += VL
    return sum_of(across, &loss)


# Sums of probabilities that these can be divided by, and whose inverse is a number.
cdef inline vreal far_if_not_in_range(vreal total, vreal value) noexcept nogil:
    cdef vreal size = vabs(total)
    return vselect(vand(vle(vset1(4 * SMALLEST_NORMAL), size), vle(size, vset1(LARGEST))), value,
                   vselect(veq(total, total), vset1(<real>INFINITY), value))


# With u = p / sum(p): the value is -sum_j t_j log clip(u_j), the gradient by p_j is
# (s - t_j / u_j) / sum(p) with s = sum of t, both over what is not clipped only.
cdef inline vreal dense_probabilities(const bint across, real* d, const real* p, const real* labels,
                                      Py_ssize_t n, const CrossentropyOptions* options) noexcept nogil:
    cdef RowSum loss, weight
    cdef vreal total = row_total(across, p, n), t, u, q, sum_t, factor
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&loss)
    clear_sum(&weight)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = smoothed(load_first(labels + i, n - i), options.smoothing, options.share)
                t = keep_first(t, n - i)
                u = load_first(p + i, n - i) / total
                q = clipped(u)
                add_to_sum(&loss, part, -(t * vlog(q)))
                t = vselect(is_outside(u), vzero(), t)
                add_to_sum(&weight, part, t)
                if d != NULL:
                    store_first(d + i, t / q, n - i)
                i += VL
    if d != NULL:
        sum_t = sum_of(across, &weight)
        factor = options.scale / total
        i = 0
        while i < n:
            store_first(d + i, factor * (sum_t - load_first(d + i, n - i)), n - i)
            i += VL
    return far_if_not_in_range(total, sum_of(across, &loss))


# ---- sparse: the target is the label of a row alone ----------------------------------------------

cdef struct Label:
    vreal lanes                  # of rows across vectors ...
    Py_ssize_t index             # ... and of a row along them


ctypedef vreal (*sparse_rule)(const bint across, real* d, const real* p, const Label* label,
                              Py_ssize_t n, vreal scale) noexcept nogil


# Where the elements from i on are those of the label.
cdef inline vmask is_label(const bint across, const Label* label, Py_ssize_t i) noexcept nogil:
    cdef real[VL] lanes
    cdef int k
    if across:
        return veq(label.lanes, vset1(<real>(i // VL)))
    for k in range(VL):
        lanes[k] = k
    return veq(vload(lanes), vset1(<real>(label.index - i)))


cdef inline vreal at_label(const bint across, const real* p, const Label* label,
                           Py_ssize_t n) noexcept nogil:
    cdef vreal found
    cdef Py_ssize_t i = 0
    if not across:
        return vset1(p[label.index])
    found = vzero()
    while i < n:
        found = vselect(is_label(True, label, i), vload(p + i), found)
        i += VL
    return found


# With q = softmax(z): the value is -log q_label, the gradient by z_j is q_j - [j = label].
cdef inline vreal sparse_logits(const bint across, real* d, const real* z, const Label* label,
                                Py_ssize_t n, vreal scale) noexcept nogil:
    cdef vreal top = largest_of(across, z, n)
    cdef vreal rest = rest_of(across, d, z, n, top), chosen = at_label(across, z, label, n)
    cdef vreal factor, q, missing
    cdef Py_ssize_t i = 0
    if d != NULL:
        factor = scale / (vset1(1) + rest)
        while i < n:
            q = factor * load_first(d + i, n - i)
            # A sure prediction's q - 1, without cancellation.
            missing = vselect(veq(chosen, top), -(factor * rest), q - scale)
            store_first(d + i, without_traces(vselect(is_label(across, label, i), missing, q)), n - i)
            i += VL
    return (top - chosen) + vlog1p(rest)


# With u = p / sum(p): the value is -log clip(u_label), the gradient by p_j is
# (1 - [j = label] / u_label) / sum(p), or 0 where u_label is clipped.
cdef inline vreal sparse_probabilities(const bint across, real* d, const real* p, const Label* label,
                                       Py_ssize_t n, vreal scale) noexcept nogil:
    cdef vreal total = row_total(across, p, n)
    cdef vreal u = at_label(across, p, label, n) / total
    cdef vreal factor = vselect(is_outside(u), vzero(), scale / total), chosen
    cdef Py_ssize_t i = 0
    if d != NULL:
        chosen = factor * (u - vset1(1)) / clipped(u)
        while i < n:
            store_first(d + i, vselect(is_label(across, label, i), chosen, factor), n - i)
            i += VL
    return far_if_not_in_range(total, -vlog(clipped(u)))


# ---- one row again, in double, for either kind of target ------------------------------------------

cdef struct FarTarget:
    const real* shares           # of the classes, to be smoothed; NULL: all of it is the label's
    Py_ssize_t label
    double smoothing


cdef inline double share_of(const FarTarget* target, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    if target.shares == NULL:
        return i == target.label
    return target.shares[i] + target.smoothing * (1.0 / n - target.shares[i])


# The loss of a row of a rule and, unless d is NULL, scale times its gradient.
ctypedef double (*far_rule)(real* d, const real* p, const FarTarget* target, Py_ssize_t n,
                            double scale) noexcept nogil


cdef double far_logits(real* d, const real* z, const FarTarget* target, Py_ssize_t n,
                       double scale) noexcept nogil:
    cdef vreal highest = largest_of(False, z, n), others = rest_of(False, d, z, n, highest)
    cdef double top = first_lane(highest), rest = first_lane(others), half = 0.0, sum_t = 0.0, slope, t
    cdef double half_log = 0.5 * first_lane(vlog1p(others))
    cdef Py_ssize_t i
    for i in range(n):
        t = share_of(target, i, n)
        # A class that has no share may be infinitely far below.
        if t != 0.0 or z[i] != z[i]:
            half += t * ((0.5 * top - 0.5 * z[i]) + half_log)
        sum_t += t
    if d != NULL:
        for i in range(n):
            t = share_of(target, i, n)
            slope = <double>d[i] * sum_t / (1.0 + rest) - t
            if z[i] == top:
                slope = (sum_t - t) - rest * sum_t / (1.0 + rest)
            d[i] = <real>(scale * slope)
    return 2.0 * half


# unit * sum(p), with what rounding leaves out added at the end.
cdef double far_total(const real* p, Py_ssize_t n, double unit) noexcept nogil:
    cdef double total = 0.0, left_out = 0.0, before, part
    cdef Py_ssize_t i
    for i in range(n):
        before = total
        total += unit * p[i]
        part = total - before
        left_out += (before - (total - part)) + (unit * p[i] - part)
    return total + left_out


cdef double far_probabilities(real* d, const real* p, const FarTarget* target, Py_ssize_t n,
                              double scale) noexcept nogil:
    # u stays the same where p is multiplied by 2^-64 or 2^64, which keeps the sum in float64's range.
    cdef double unit = 1.0, largest = 0.0, total, value = 0.0, sum_t = 0.0, slope, t
    cdef vreal u, q
    cdef Py_ssize_t i
    if FW_F64:
        for i in range(n):
            largest = max(largest, fabs(p[i]))
        unit = 5.421010862427522e-20 if largest > 1.0 else 18446744073709551616.0
    total = far_total(p, n, unit)
    for i in range(n):
        u = vset1(<real>(unit * <double>p[i] / total))
        t = share_of(target, i, n)
        value -= t * first_lane(vlog(clipped(u)))
        if not vany(is_outside(u)):
            sum_t += t
    if d != NULL:
        for i in range(n):
            u = vset1(<real>(unit * <double>p[i] / total))
            q = clipped(u)
            slope = sum_t if vany(is_outside(u)) else sum_t - share_of(target, i, n) / <double>first_lane(q)
            # Where all is clipped, a sum of 0 changes nothing.
            d[i] = <real>(scale * slope / total * unit) if slope != 0.0 else 0.0
    return value


# ---- over a batch: values[r] = the loss of row r -------------------------------------------------

cdef inline void dense_crossentropy(const dense_rule rule, const far_rule far, double* values, void* dy,
                                    const void* prediction, const void* target, Py_ssize_t rows,
                                    Py_ssize_t columns, double smoothing, double scale) noexcept nogil:
    cdef CrossentropyOptions options
    cdef FarTarget again
    cdef vreal[ACROSS] d, p, t
    cdef vreal value
    cdef Py_ssize_t row = 0, count, k
    cdef real* gradient
    cdef const real* given
    cdef const real* labels
    options.smoothing = vset1(<real>smoothing)
    options.share = vset1(<real>(1.0 / columns))
    options.scale = vset1(<real>scale)
    while row < rows:
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        labels = rows_of(target, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            lay_across(p, given, count, columns)
            lay_across(t, labels, count, columns)
            value = rule(True, <real*>d, <const real*>p, <const real*>t, columns * VL, &options)
            if gradient != NULL:
                lay_back(gradient, d, count, columns)
        else:
            count = 1
            value = rule(False, gradient, given, labels, columns, &options)
        set_values(values + row, value, count, 1.0)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    again = FarTarget(labels + k * columns, 0, smoothing)
                    values[row + k] = far(rows_of(gradient, k, columns), given + k * columns, &again, columns,
                                          scale)
        row += count


cdef inline void sparse_crossentropy(const sparse_rule rule, const far_rule far, double* values, void* dy,
                                     const void* prediction, const void* target, Py_ssize_t rows,
                                     Py_ssize_t columns, double scale) noexcept nogil:
    cdef const int32_t* labels = <const int32_t*>target
    cdef Label label
    cdef FarTarget again
    cdef vreal[ACROSS] d, p
    cdef real[VL] lanes
    cdef vreal factor = vset1(<real>scale), value
    cdef Py_ssize_t row = 0, count, k
    cdef real* gradient
    cdef const real* given
    while row < rows:
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            for k in range(VL):
                lanes[k] = labels[row + k] if k < count else 0
            label.lanes = vload(lanes)
            lay_across(p, given, count, columns)
            value = rule(True, <real*>d, <const real*>p, &label, columns * VL, factor)
            if gradient != NULL:
                lay_back(gradient, d, count, columns)
        else:
            count = 1
            label.index = labels[row]
            value = rule(False, gradient, given, &label, columns, factor)
        set_values(values + row, value, count, 1.0)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    again = FarTarget(NULL, labels[row + k], 0.0)
                    values[row + k] = far(rows_of(gradient, k, columns), given + k * columns, &again, columns,
                                          scale)
        row += count


cdef void categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_probabilities, far_probabilities, values, dy, prediction, target, rows, columns,
                       options[0], scale)


cdef void categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_logits, far_logits, values, dy, prediction, target, rows, columns, options[0],
                       scale)


cdef void sparse_categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_probabilities, far_probabilities, values, dy, prediction, target, rows, columns,
                        scale)


cdef void sparse_categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_logits, far_logits, values, dy, prediction, target, rows, columns, scale)
