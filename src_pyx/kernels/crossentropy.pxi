# Crossentropy between distributions over classes: the losses that look at whole rows.
#
# Design: one rule for each kind of target and prediction, a kernel over rows (see rows.pxi). Its value is
# the loss of each row; d (may be NULL) gets the gradient by the prediction, which is n reals long: a row
# along vectors, or VL rows across them. What losses promise is said in losses.pxi.

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
            store_first(d + i, options.scale * slope, n - i)
            i += VL
    return sum_of(across, &loss)


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
    return sum_of(across, &loss)


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
            store_first(d + i, vselect(is_label(across, label, i), missing, q), n - i)
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
    return -vlog(clipped(u))


# ---- over a batch: values[r] = the loss of row r -------------------------------------------------

cdef inline void dense_crossentropy(const dense_rule rule, double* values, void* dy,
                                    const void* prediction, const void* target, Py_ssize_t rows,
                                    Py_ssize_t columns, double smoothing, double scale) noexcept nogil:
    cdef CrossentropyOptions options
    cdef vreal[ACROSS] d, p, t
    cdef vreal value
    cdef Py_ssize_t row = 0, count
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
        row += count


cdef inline void sparse_crossentropy(const sparse_rule rule, double* values, void* dy,
                                     const void* prediction, const void* target, Py_ssize_t rows,
                                     Py_ssize_t columns, double scale) noexcept nogil:
    cdef const int32_t* labels = <const int32_t*>target
    cdef Label label
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
        row += count


cdef void categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_probabilities, values, dy, prediction, target, rows, columns, options[0],
                       scale)


cdef void categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(dense_logits, values, dy, prediction, target, rows, columns, options[0], scale)


cdef void sparse_categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_probabilities, values, dy, prediction, target, rows, columns, scale)


cdef void sparse_categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    sparse_crossentropy(sparse_logits, values, dy, prediction, target, rows, columns, scale)
