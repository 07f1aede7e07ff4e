# Ops that bring each line of a batch to one size: layer_normalize, rms_normalize, unit_normalize.
#
#     layer_normalize    hat = (x - mean(x)) / sqrt(variance(x) + epsilon)       y = hat gamma + beta
#     rms_normalize      hat = x / sqrt(mean(x^2) + epsilon)                     y = hat gamma + beta
#     unit_normalize     hat = x / max(sqrt(sum(x^2)), epsilon)                  y = hat
#
# Design: a line lies across vectors or along them (see rows.pxi), and is read three times while it is in the
# cache: its mean, from its first number on; what rounding left of that, and the squares; y. Lines that have an
# offset far larger than they vary so lose no digits. A line whose squares overflow is done again, scaled down.
# Forward keeps hat (where that is not y) and, of each line, 1 / the root, for backward and gradient.

cdef enum: LAYER = 0
cdef enum: RMS = 1
cdef enum: UNIT = 2


# Of one line, or of VL lines.
cdef struct Moments:
    vreal scale              # x is x * scale below, where `scaled`
    vreal mean               # of x is mean + rest
    vreal rest
    vreal inverse            # hat = (x - mean - rest) * inverse


cdef inline vreal load_scaled(const bint scaled, const real* x, Py_ssize_t left, const Moments* m) noexcept nogil:
    return load_first(x, left) * m.scale if scaled else load_first(x, left)


# 1 / the least norm that unit_normalize divides by.
cdef inline vreal largest_inverse(double epsilon) noexcept nogil:
    return vset1(<real>(1.0 / epsilon))


# Fills in all but the scale of a line of n reals with so many columns; returns what is infinite where squares are.
cdef inline vreal find_moments(const int kind, const bint across, const bint scaled, Moments* m, const real* x,
                               Py_ssize_t n, Py_ssize_t columns, double epsilon) noexcept nogil:
    cdef RowSum sum, squares
    cdef vreal first, d, power, count = vset1(<real>columns), scale = m.scale if scaled else vset1(1)
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    clear_sum(&squares)
    m.mean = vzero()
    m.rest = vzero()
    if kind == LAYER:
        first = (vload(x) if across else vset1(x[0])) * scale
        while i < n:
            for part in range(parts_of(across)):
                if i < n:
                    d = keep_first(load_scaled(scaled, x + i, n - i, m) - first, n - i)
                    sum.total[part] = sum.total[part] + d
                    i += VL
        m.mean = first + sum_of(across, &sum) / count
        clear_sum(&sum)
        i = 0
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                d = keep_first(load_scaled(scaled, x + i, n - i, m) - m.mean, n - i)
                if kind == LAYER:
                    add_any_to_sum(&sum, part, d)
                add_to_sum(&squares, part, d * d)
                i += VL
    power = sum_of(across, &squares)
    if kind == UNIT:
        m.inverse = vmin(largest_inverse(epsilon) / scale, vset1(1) / vsqrt(power))
        return power
    power = power / count
    if kind == LAYER:
        m.rest = sum_of(across, &sum) / count
        power = vmax(vzero(), vfnma(m.rest, m.rest, power))
    m.inverse = vset1(1) / vsqrt(vfma(vset1(<real>epsilon) * scale, scale, power))
    return power


cdef inline void normalize_by(const bint across, const bint scaled, real* y, real* hat, const Moments* m,
                              const real* x, const real* gamma, const real* beta, Py_ssize_t n) noexcept nogil:
    cdef vreal value
    cdef Py_ssize_t i = 0
    while i < n:
        value = ((load_scaled(scaled, x + i, n - i, m) - m.mean) - m.rest) * m.inverse
        if hat != NULL:
            store_first(hat + i, value, n - i)
        store_first(y + i, times_gamma_plus_beta(across, value, gamma, beta, i, n - i), n - i)
        i += VL


# y and hat (may be NULL) of a line; returns 1 / its root.
cdef inline vreal normalize_line(const int kind, const bint across, real* y, real* hat, const real* x,
                                 const real* gamma, const real* beta, Py_ssize_t n, Py_ssize_t columns,
                                 double epsilon) noexcept nogil:
    cdef Moments m
    cdef vmask fits
    m.scale = vset1(1)
    fits = is_finite(find_moments(kind, across, False, &m, x, n, columns, epsilon))
    if not vany(vnot(fits)):
        normalize_by(across, False, y, hat, &m, x, gamma, beta, n)
        return m.inverse
    m.scale = vselect(fits, vset1(1), vconst(7.888609052210118e-31, 1.4996968138956309e-241))   # 2^-100, 2^-800
    find_moments(kind, across, True, &m, x, n, columns, epsilon)
    normalize_by(across, True, y, hat, &m, x, gamma, beta, n)
    return m.inverse * m.scale


# dx = inverse (g - mean(g) - hat mean(g hat)), g = dy gamma; of a root mean square without mean(g), and of a norm
# with the sum of g hat, or without any where it is below its least.
cdef inline void normalize_line_gradient(const int kind, const bint across, real* dx, const real* dy,
                                         const real* hat, const real* gamma, vreal inverse, Py_ssize_t n,
                                         Py_ssize_t columns, double epsilon) noexcept nogil:
    cdef RowSum sum, products
    cdef vreal g, offset = vzero(), share, count = vset1(<real>columns)
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    clear_sum(&products)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                g = times_gamma(across, load_first(dy + i, n - i), gamma, i, n - i)
                if kind == LAYER:
                    add_any_to_sum(&sum, part, g)
                add_any_to_sum(&products, part, g * load_first(hat + i, n - i))
                i += VL
    share = sum_of(across, &products)
    if kind == UNIT:
        share = vselect(veq(inverse, largest_inverse(epsilon)), vzero(), share)
    else:
        share = share / count
    if kind == LAYER:
        offset = sum_of(across, &sum) / count
    i = 0
    while i < n:
        g = times_gamma(across, load_first(dy + i, n - i), gamma, i, n - i) - offset
        store_first(dx + i, without_traces(inverse * vfnma(load_first(hat + i, n - i), share, g)), n - i)
        i += VL


# ---- the ops: saved are hat, unless it is y, and behind that of all rows the inverses of all lines ---

cdef inline bint hat_is_y(const Op* op) noexcept nogil:
    return op.n_variables == 0


# Where they are from this row on; NULL in inference.
cdef inline real* hat_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return y_of(op, row) if hat_is_y(op) else rows_of(op.saved, row, row_reals(op))


cdef inline real* inverses_of(const Op* op, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t before = 0 if hat_is_y(op) else op.rows * row_reals(op)
    return NULL if op.saved == NULL else <real*>op.saved + before + row * op.lines


cdef void normalize_op_measure(Op* op) noexcept nogil:
    measure_columns(op, count_gamma_beta(op))
    op.saved_per_row = op.lines + (0 if hat_is_y(op) else row_reals(op))
    op.work_per_row = 8.0 * row_reals(op)


cdef inline void normalize_forward(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef vreal[ACROSS] of_x, of_y, of_hat
    cdef vreal inverse
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef real* hat = NULL if hat_is_y(op) else hat_of(op, begin)
    cdef real* inverses = inverses_of(op, begin)
    cdef Py_ssize_t line = 0, lines = (end - begin) * op.lines, columns = op.outputs, count, at
    while line < lines:
        at = line * columns
        if lies_across(columns):
            count = min(VL, lines - line)
            lay_across(of_x, x + at, count, columns)
            inverse = normalize_line(kind, True, <real*>of_y, NULL if hat == NULL else <real*>of_hat, <const real*>of_x,
                                     gamma_of(op), beta_of(op), columns * VL, columns, op.options[0])
            lay_back(y + at, of_y, count, columns)
            if hat != NULL:
                lay_back(hat + at, of_hat, count, columns)
        else:
            count = 1
            inverse = normalize_line(kind, False, y + at, NULL if hat == NULL else hat + at, x + at, gamma_of(op),
                                     beta_of(op), columns, columns, op.options[0])
        if inverses != NULL:
            store_first(inverses + line, inverse, count)
        line += count


cdef inline void normalize_backward(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef vreal[ACROSS] of_dx, of_dy, of_hat
    cdef real* dx = dx_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef const real* hat = hat_of(op, begin)
    cdef const real* inverses = inverses_of(op, begin)
    cdef Py_ssize_t line = 0, lines = (end - begin) * op.lines, columns = op.outputs, count, at
    while line < lines:
        at = line * columns
        if lies_across(columns):
            count = min(VL, lines - line)
            lay_across(of_dy, dy + at, count, columns)
            lay_across(of_hat, hat + at, count, columns)
            normalize_line_gradient(kind, True, <real*>of_dx, <const real*>of_dy, <const real*>of_hat, gamma_of(op),
                                    load_first(inverses + line, count), columns * VL, columns, op.options[0])
            lay_back(dx + at, of_dx, count, columns)
        else:
            count = 1
            normalize_line_gradient(kind, False, dx + at, dy + at, hat + at, gamma_of(op), vset1(inverses[line]),
                                    columns, columns, op.options[0])
        line += count
    finish_dx(op, 0, begin, end)


cdef void normalize_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    columns_gradient(add_product, op.sizes[0], op, hat_of(op, begin), begin, end, begin_piece, end_piece)


cdef void layer_normalize_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_forward(LAYER, op, begin, end)


cdef void layer_normalize_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_backward(LAYER, op, begin, end)


cdef void rms_normalize_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_forward(RMS, op, begin, end)


cdef void rms_normalize_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_backward(RMS, op, begin, end)


cdef void unit_normalize_op_measure(Op* op) noexcept nogil:
    normalize_op_measure(op)
    if not hat_is_y(op):
        op.parameter_reals = -1


cdef void unit_normalize_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_forward(UNIT, op, begin, end)


cdef void unit_normalize_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    normalize_backward(UNIT, op, begin, end)
