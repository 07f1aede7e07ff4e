# The ops "softmax" and "log_softmax", over the columns of each row.
#
# Design: everything is a function of z - top, top being the row's largest. The rounding error of
# that difference is handed to exp, so that entries are within 16 ULP of the true ones however large
# the logits are. An entry that is top counts as 0 apart, which is the limit also where top is inf; a
# row of nothing but -inf has no limit and gives NaN, and so does a row with a NaN in it.
#
# Sums over a row are Kahan's (Comm. ACM 8, 1965), in LANES sums whatever VL is, then added by halves:
# accurate for any number of columns, and the same bits on every CPU level.

cdef struct RowSum:
    vreal total[LANE_VECTORS]
    vreal excess[LANE_VECTORS]


cdef inline void clear_sum(RowSum* sum) noexcept nogil:
    cdef int part
    for part in range(LANE_VECTORS):
        sum.total[part] = vzero()
        sum.excess[part] = vzero()


cdef inline void add_to_sum(RowSum* sum, const int part, vreal term) noexcept nogil:
    cdef vreal total = sum.total[part]
    cdef vreal wanted = term - sum.excess[part]
    sum.total[part] = total + wanted
    sum.excess[part] = (sum.total[part] - total) - wanted


cdef inline real close_sum(const RowSum* sum) noexcept nogil:
    cdef real[LANES] lanes
    cdef int k, half = LANES
    for k in range(LANE_VECTORS):
        vstore(lanes + k * VL, sum.total[k] - sum.excess[k])
    while half > 1:
        half //= 2
        for k in range(half):
            lanes[k] += lanes[k + half]
    return lanes[0]


cdef inline vreal load_logits(const real* z, Py_ssize_t n) noexcept nogil:
    # The first n of a row; beyond its end comes -inf, which adds nothing.
    return vload(z) if n >= VL else vload_tail_or(z, vtail_of(n), vset1(<real>-INFINITY))


cdef inline real largest_logit(const real* z, Py_ssize_t columns) noexcept nogil:
    # At least the lowest finite number. A NaN may get lost here; the sum of the row finds it.
    cdef vreal best = vconst(-3.4028234663852886e38, -1.7976931348623157e308)
    cdef real[VL] lanes
    cdef Py_ssize_t i
    cdef int k, half = VL
    i = 0
    while i < columns:
        best = vmax(best, load_logits(z + i, columns - i))
        i += VL
    vstore(lanes, best)
    while half > 1:
        half //= 2
        for k in range(half):
            lanes[k] = lanes[k] if lanes[k] > lanes[k + half] else lanes[k + half]
    return lanes[0]


cdef inline vreal below_top(vreal z, vreal top, vreal* low) noexcept nogil:
    # z - top, and what rounding left of it (D. E. Knuth, TAOCP 2, 4.2.2).
    cdef vreal difference = z - top
    cdef vreal part = difference - z
    low[0] = (z - (difference - part)) - (top + part)
    low[0] = vselect(veq(low[0], low[0]), low[0], vzero())
    return vselect(veq(z, top), vzero(), difference)


# y = e^z / sum(e^z), row by row; y and x are (rows, columns).
cdef void softmax_forward(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # The powers of the last strip stay in registers: often it is the only one.
    cdef RowSum sum
    cdef vreal powers[LANE_VECTORS]
    cdef vreal top, difference, low, share
    cdef Py_ssize_t row, start, at
    cdef int part
    for row in range(rows):
        top = vset1(largest_logit(x, columns))
        clear_sum(&sum)
        start = 0
        while True:
            for part in range(LANE_VECTORS):
                at = start + part * VL
                if at < columns:
                    difference = below_top(load_logits(x + at, columns - at), top, &low)
                    powers[part] = vexp_sum(difference, low)
                    add_to_sum(&sum, part, powers[part])
            if columns - start <= LANES:
                break
            for part in range(LANE_VECTORS):
                vstore(y + start + part * VL, powers[part])
            start += LANES
        share = vset1(1.0) / vset1(close_sum(&sum))
        at = 0
        while at < start:
            vstore(y + at, vload(y + at) * share)
            at += VL
        for part in range(LANE_VECTORS):
            at = start + part * VL
            if at < columns:
                store_first(y + at, powers[part] * share, columns - at)
        x += columns
        y += columns


# dx = y (dy - sum(dy y)), row by row; dx may be dy.
cdef void softmax_backward(real* dx, const real* dy, const real* y,
                           Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef RowSum sum
    cdef vreal mean
    cdef Py_ssize_t row, i, at, left
    cdef int part
    for row in range(rows):
        clear_sum(&sum)
        i = 0
        while i < columns:
            for part in range(LANE_VECTORS):
                at = i + part * VL
                left = columns - at
                if left > 0:
                    add_to_sum(&sum, part, load_first(dy + at, left) * load_first(y + at, left))
            i += LANES
        mean = vset1(close_sum(&sum))
        i = 0
        while i < columns:
            left = columns - i
            store_first(dx + i, load_first(y + i, left) * (load_first(dy + i, left) - mean), left)
            i += VL
        dx += columns
        dy += columns
        y += columns


# y = (z - top) - log1p(sum of e^(z - top) over all but one top), row by row: two terms of one sign.
cdef void log_softmax_forward(real* y, const real* x, Py_ssize_t rows,
                              Py_ssize_t columns) noexcept nogil:
    cdef RowSum sum, tops
    cdef vreal top, z, difference, low, log_total
    cdef vmask is_top
    cdef Py_ssize_t row, i, at
    cdef int part
    for row in range(rows):
        top = vset1(largest_logit(x, columns))
        clear_sum(&sum)
        clear_sum(&tops)
        i = 0
        while i < columns:
            for part in range(LANE_VECTORS):
                at = i + part * VL
                if at < columns:
                    z = load_logits(x + at, columns - at)
                    is_top = veq(z, top)
                    difference = below_top(z, top, &low)
                    add_to_sum(&sum, part, vselect(is_top, vzero(), vexp_sum(difference, low)))
                    add_to_sum(&tops, part, vselect(is_top, vset1(1.0), vzero()))
            i += LANES
        log_total = vlog1p(vset1((close_sum(&tops) - <real>1.0) + close_sum(&sum)))
        i = 0
        while i < columns:
            difference = below_top(load_logits(x + i, columns - i), top, &low)
            store_first(y + i, difference - (log_total - low), columns - i)
            i += VL
        x += columns
        y += columns


# dx = dy - e^y sum(dy), row by row; dx may be dy.
cdef void log_softmax_backward(real* dx, const real* dy, const real* y,
                               Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef RowSum sum
    cdef vreal total
    cdef Py_ssize_t row, i, at, left
    cdef int part
    for row in range(rows):
        clear_sum(&sum)
        i = 0
        while i < columns:
            for part in range(LANE_VECTORS):
                at = i + part * VL
                if at < columns:
                    add_to_sum(&sum, part, load_first(dy + at, columns - at))
            i += LANES
        total = vset1(close_sum(&sum))
        i = 0
        while i < columns:
            left = columns - i
            store_first(dx + i, vfnma(vexp(load_first(y + i, left)), total, load_first(dy + i, left)), left)
            i += VL
        dx += columns
        dy += columns
        y += columns


# ---- the ops ---------------------------------------------------------------------------------------

cdef void softmax_op_measure(Op* op, Py_ssize_t rows) noexcept nogil:
    op.saved_per_row = 0
    op.work_per_row = 8.0 * op.outputs


cdef void softmax_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    softmax_forward(rows_of(op.y, begin, op.outputs), rows_of(op.x, begin, op.inputs),
                    end - begin, op.outputs)


cdef void softmax_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if op.dx != NULL:
        softmax_backward(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
                         rows_of(op.y, begin, op.outputs), end - begin, op.outputs)


cdef void log_softmax_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    log_softmax_forward(rows_of(op.y, begin, op.outputs), rows_of(op.x, begin, op.inputs),
                        end - begin, op.outputs)


cdef void log_softmax_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if op.dx != NULL:
        log_softmax_backward(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
                             rows_of(op.y, begin, op.outputs), end - begin, op.outputs)


# ---- the same on plain arrays, by address ----------------------------------------------------------

def apply_softmax(bint logarithm, size_t y, size_t x, Py_ssize_t rows, Py_ssize_t columns):
    with nogil:
        if logarithm:
            log_softmax_forward(<real*>y, <const real*>x, rows, columns)
        else:
            softmax_forward(<real*>y, <const real*>x, rows, columns)


def apply_softmax_gradient(bint logarithm, size_t dx, size_t dy, size_t y,
                           Py_ssize_t rows, Py_ssize_t columns):
    with nogil:
        if logarithm:
            log_softmax_backward(<real*>dx, <const real*>dy, <const real*>y, rows, columns)
        else:
            softmax_backward(<real*>dx, <const real*>dy, <const real*>y, rows, columns)
