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
    vreal gamma                  # of focal ones ...
    vreal alpha                  # ... and what they are multiplied by
    vreal scale


# The label of a row alone.
cdef struct Label:
    vreal lanes                  # of rows across vectors ...
    Py_ssize_t index             # ... and of a row along them


cdef struct Distribution:
    const real* shares           # of the classes; NULL: all of it is the label's
    Label label


ctypedef vreal (*dense_rule)(const bint across, real* d, const real* p, const Distribution* target, Py_ssize_t n,
                             const CrossentropyOptions* options) noexcept nogil


# Where the elements from i on are those of the label.
cdef inline vmask is_label(const bint across, const Label* label, Py_ssize_t i) noexcept nogil:
    cdef real[VL] lanes
    cdef int k
    if across:
        return veq(label.lanes, vset1(<real>(i // VL)))
    for k in range(VL):
        lanes[k] = k
    return veq(vload(lanes), vset1(<real>(label.index - i)))


# What the smoothed target has of the classes from i on, of n.
cdef inline vreal shares_at(const bint across, const Distribution* target, Py_ssize_t i, Py_ssize_t n,
                            const CrossentropyOptions* options) noexcept nogil:
    cdef vreal t
    if target.shares != NULL:
        t = load_first(target.shares + i, n - i)
    else:
        t = vselect(is_label(across, &target.label, i), vset1(1), vzero())
    return keep_first(smoothed(t, options.smoothing, options.share), n - i)


# With -log q_j = (top - z_j) + log(1 + rest), q = softmax(z): the value is -sum_j t_j log q_j, the
# gradient by z_j is q_j sum(t) - t_j.
cdef inline vreal dense_logits(const bint across, real* d, const real* z, const Distribution* target,
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
                t = shares_at(across, target, i, n, options)
                add_to_sum(&loss, part, t * ((top - load_first(z + i, n - i)) + log_total))
                add_to_sum(&weight, part, t)
                i += VL
    if d != NULL:
        sum_t = sum_of(across, &weight)
        ratio = sum_t / (vset1(1) + rest)
        excess = rest * ratio
        i = 0
        while i < n:
            t = shares_at(across, target, i, n, options)
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
cdef inline vreal dense_probabilities(const bint across, real* d, const real* p, const Distribution* target,
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
                t = shares_at(across, target, i, n, options)
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

ctypedef vreal (*sparse_rule)(const bint across, real* d, const real* p, const Label* label,
                              Py_ssize_t n, vreal scale) noexcept nogil


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
    double gamma
    double alpha


cdef inline double share_of(const FarTarget* target, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    cdef double share = target.shares[i] if target.shares != NULL else <double>(i == target.label)
    return share + target.smoothing * (1.0 / n - share)


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


# By what p is multiplied before its sum: u stays the same, and the sum in float64's range.
cdef double far_unit(const real* p, Py_ssize_t n) noexcept nogil:
    cdef double largest = 0.0
    cdef Py_ssize_t i
    if not FW_F64:
        return 1.0
    for i in range(n):
        largest = max(largest, fabs(p[i]))
    return 5.421010862427522e-20 if largest > 1.0 else 18446744073709551616.0


cdef double far_probabilities(real* d, const real* p, const FarTarget* target, Py_ssize_t n,
                              double scale) noexcept nogil:
    cdef double unit = far_unit(p, n), total, value = 0.0, sum_t = 0.0, slope, t
    cdef vreal u, q
    cdef Py_ssize_t i
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

# options: smoothing and, of focal ones, gamma and alpha.
cdef inline CrossentropyOptions options_of(Py_ssize_t columns, const double* options, const bint is_focal,
                                           double scale) noexcept nogil:
    cdef CrossentropyOptions lanes
    lanes.smoothing = vset1(<real>options[0])
    lanes.share = vset1(<real>(1.0 / columns))
    lanes.gamma = vset1(<real>fmin(options[1], LARGEST)) if is_focal else vzero()
    lanes.alpha = vset1(<real>fmin(options[2], LARGEST)) if is_focal else vset1(1)
    lanes.scale = vset1(<real>scale)
    return lanes


cdef inline FarTarget far_target(const real* shares, Py_ssize_t label, const double* options,
                                 const bint is_focal) noexcept nogil:
    return FarTarget(shares, label, options[0], options[1] if is_focal else 0.0, options[2] if is_focal else 1.0)


cdef inline void dense_crossentropy(const dense_rule rule, const far_rule far, double* values, void* dy,
                                    const void* prediction, const void* target, Py_ssize_t rows,
                                    Py_ssize_t columns, const double* options, const bint is_focal,
                                    double scale) noexcept nogil:
    cdef CrossentropyOptions lanes = options_of(columns, options, is_focal, scale)
    cdef Distribution distribution
    cdef FarTarget again
    cdef vreal[ACROSS] d, p, t
    cdef vreal value
    cdef Py_ssize_t row = 0, count, k
    cdef real* gradient
    cdef const real* given
    cdef const real* shares
    distribution.label.lanes, distribution.label.index = vzero(), 0
    while row < rows:
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        shares = rows_of(target, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            lay_across(p, given, count, columns)
            lay_across(t, shares, count, columns)
            distribution.shares = <const real*>t
            value = rule(True, <real*>d, <const real*>p, &distribution, columns * VL, &lanes)
            if gradient != NULL:
                lay_back(gradient, d, count, columns)
        else:
            count = 1
            distribution.shares = shares
            value = rule(False, gradient, given, &distribution, columns, &lanes)
        set_values(values + row, value, count, 1.0)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    again = far_target(shares + k * columns, 0, options, is_focal)
                    values[row + k] = far(rows_of(gradient, k, columns), given + k * columns, &again, columns,
                                          scale)
        row += count


# By `rule`, or where labels are smoothed as for any other distribution. Of a value no more than options[1] is told,
# unless that is 0; gradients know nothing of it.
cdef inline void sparse_crossentropy(const sparse_rule rule, const dense_rule smoothed_rule, const far_rule far,
                                     double* values, void* dy, const void* prediction, const void* target,
                                     Py_ssize_t rows, Py_ssize_t columns, const double* options,
                                     double scale) noexcept nogil:
    cdef const int32_t* labels = <const int32_t*>target
    cdef CrossentropyOptions lanes = options_of(columns, options, False, scale)
    cdef bint is_smoothed = options[0] != 0.0
    cdef Distribution distribution
    cdef FarTarget again
    cdef vreal[ACROSS] d, p
    cdef real[VL] label_lanes
    cdef vreal value
    cdef Py_ssize_t row = 0, count, k
    cdef real* gradient
    cdef const real* given
    distribution.shares, distribution.label.index = NULL, 0
    while row < rows:
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            for k in range(VL):
                label_lanes[k] = labels[row + k] if k < count else 0
            distribution.label.lanes = vload(label_lanes)
            lay_across(p, given, count, columns)
            if is_smoothed:
                value = smoothed_rule(True, <real*>d, <const real*>p, &distribution, columns * VL, &lanes)
            else:
                value = rule(True, <real*>d, <const real*>p, &distribution.label, columns * VL, lanes.scale)
            if gradient != NULL:
                lay_back(gradient, d, count, columns)
        else:
            count = 1
            distribution.label.index = labels[row]
            if is_smoothed:
                value = smoothed_rule(False, gradient, given, &distribution, columns, &lanes)
            else:
                value = rule(False, gradient, given, &distribution.label, columns, lanes.scale)
        set_values(values + row, value, count, 1.0)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    again = far_target(NULL, labels[row + k], options, False)
                    values[row + k] = far(rows_of(gradient, k, columns), given + k * columns, &again, columns,
                                          scale)
        if options[1] > 0.0:
            for k in range(count):
                if values[row + k] > options[1]:
                    values[row + k] = options[1]
        row += count


cdef void categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_probabilities, far_probabilities, values, dy, prediction, target, rows, columns, options,
                       False, scale)


cdef void categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_logits, far_logits, values, dy, prediction, target, rows, columns, options,
                       False, scale)


cdef void sparse_categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_probabilities, dense_probabilities, far_probabilities, values, dy, prediction, target, rows,
                        columns, options, scale)


cdef void sparse_categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_logits, dense_logits, far_logits, values, dy, prediction, target, rows,
                        columns, options, scale)
