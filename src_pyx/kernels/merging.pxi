# Ops that make one value of several, element by element, before the op's activation: add, subtract, average, multiply,
# maximum, minimum; and concatenate. A backward goes through what was read from the last to the first, since a value may be read twice.

ctypedef vreal (*pair_rule)(vreal a, vreal b) noexcept nogil


cdef inline const real* read_of(const Op* op, Py_ssize_t k, Py_ssize_t row) noexcept nogil:
    return rows_of(op.reads[k].x, row, op.reads[k].width)


# Where the k-th dx is to be written from this row on; NULL where nobody wants it, or where it stands in dy.
cdef inline real* dx_to_write(const Op* op, Py_ssize_t k, Py_ssize_t row) noexcept nogil:
    if not op.reads[k].is_wanted or (op.reads[k].place_in_dy >= 0 and not op.reads[k].is_first):
        return NULL
    return rows_of(op.reads[k].dx, row, op.reads[k].width)


# Of ops that read values of the size of the result and have no variables.
cdef inline void measure_merge(Op* op, bint suits) noexcept nogil:
    cdef Py_ssize_t k
    op.parameter_reals = 0 if suits and op.n_variables == 0 else -1
    for k in range(op.n_reads):
        if op.reads[k].width != row_reals(op):
            op.parameter_reals = -1
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.work_per_row = <double>(op.n_reads * row_reals(op))


# y = f(rule(... rule(x_0, x_1) ..., x_n) / count)
cdef inline void fold_reads(const pair_rule rule, const Op* op, Py_ssize_t begin, Py_ssize_t end,
                            real count) noexcept nogil:
    cdef Py_ssize_t left = (end - begin) * row_reals(op), done = 0, n, k
    cdef real* y = y_of(op, begin)
    cdef real* slope = saved_of(op, begin)
    while left > 0:
        n = min(left, <Py_ssize_t>ACTIVATED_REALS)
        if op.n_reads == 1:
            memcpy(y, read_of(op, 0, begin) + done, n * sizeof(real))
        else:
            fold_pair(rule, y, read_of(op, 0, begin) + done, read_of(op, 1, begin) + done, n)
        for k in range(2, op.n_reads):
            fold_pair(rule, y, y, read_of(op, k, begin) + done, n)
        if count != 1:
            divide_by(y, count, n)
        slope = activate(op, y, slope, n)
        y += n
        done += n
        left -= n


# y = rule(a, b), of n reals.
cdef inline void fold_pair(const pair_rule rule, real* y, const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + VL <= n:
        vstore(y + i, rule(vload(a + i), vload(b + i)))
        i += VL
    if i < n:
        store_first(y + i, rule(load_first(a + i, n - i), load_first(b + i, n - i)), n - i)


cdef inline void divide_by(real* y, real count, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(y + i, load_first(y + i, n - i) / vset1(count), n - i)
        i += VL


# dx = factor * dy
cdef inline void scale_dy(const Op* op, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end, real factor) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i = 0
    cdef real* dx = dx_to_write(op, k, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef vreal by = vset1(factor)
    if dx == NULL:
        return
    if factor == 1:
        pass_on(dx, dy, n)
        return
    while i < n:
        store_first(dx + i, by * load_first(dy + i, n - i), n - i)
        i += VL


# ---- add, subtract, average ------------------------------------------------------------------------

cdef inline vreal sum_of_pair(vreal a, vreal b) noexcept nogil:
    return a + b


cdef inline vreal difference_of_pair(vreal a, vreal b) noexcept nogil:
    return a - b


cdef void merge_op_measure(Op* op) noexcept nogil:
    measure_merge(op, True)


cdef void add_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t k
    measure_merge(op, True)
    for k in range(op.n_reads):
        op.reads[k].place_in_dy = 0


cdef void add_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(sum_of_pair, op, begin, end, 1)


cdef void add_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(op.n_reads - 1, -1, -1):
        scale_dy(op, k, begin, end, 1)
        finish_dx(op, k, begin, end)


cdef void subtract_op_measure(Op* op) noexcept nogil:
    measure_merge(op, op.n_reads == 2)
    op.reads[0].place_in_dy = 0


cdef void subtract_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(difference_of_pair, op, begin, end, 1)


cdef void subtract_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    scale_dy(op, 1, begin, end, -1)
    finish_dx(op, 1, begin, end)
    scale_dy(op, 0, begin, end, 1)
    finish_dx(op, 0, begin, end)


cdef void average_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(sum_of_pair, op, begin, end, <real>op.n_reads)


cdef void average_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(op.n_reads - 1, -1, -1):
        scale_dy(op, k, begin, end, <real>1 / <real>op.n_reads)
        finish_dx(op, k, begin, end)


# ---- multiply --------------------------------------------------------------------------------------

cdef inline vreal product_of_pair(vreal a, vreal b) noexcept nogil:
    return a * b


cdef void multiply_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(product_of_pair, op, begin, end, 1)


# dx_k = dy times all that is read but x_k: no division, which a 0 would spoil.
cdef void multiply_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i, j, k
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx
    cdef vreal product
    for k in range(op.n_reads - 1, -1, -1):
        dx = dx_to_write(op, k, begin)
        i = 0
        while dx != NULL and i < n:
            product = load_first(dy + i, n - i)
            for j in range(op.n_reads):
                if j != k:
                    product = product * load_first(read_of(op, j, begin) + i, n - i)
            store_first(dx + i, without_traces(product), n - i)
            i += VL
        finish_dx(op, k, begin, end)


# ---- maximum, minimum: NaN where one of them is ----------------------------------------------------

cdef inline vreal larger_of_pair(vreal a, vreal b) noexcept nogil:
    return vselect(vor(vle(b, a), vnot(veq(a, a))), a, b)


cdef inline vreal smaller_of_pair(vreal a, vreal b) noexcept nogil:
    return vselect(vor(vle(a, b), vnot(veq(a, a))), a, b)


cdef void maximum_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(larger_of_pair, op, begin, end, 1)


cdef void minimum_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    fold_reads(smaller_of_pair, op, begin, end, 1)


# Of two that are equal each has half of the gradient, pair by pair from the first on, as in Keras.
cdef inline void choose_backward(const pair_rule rule, const Op* op, Py_ssize_t begin,
                                 Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i, j, k
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx
    cdef vreal share, before, x
    for k in range(op.n_reads - 1, -1, -1):
        dx = dx_to_write(op, k, begin)
        i = 0
        while dx != NULL and i < n:
            share = load_first(dy + i, n - i)
            before = load_first(read_of(op, 0, begin) + i, n - i)
            for j in range(1, k):
                before = rule(before, load_first(read_of(op, j, begin) + i, n - i))
            if k > 0:
                x = load_first(read_of(op, k, begin) + i, n - i)
                share = chosen_share(rule, share, x, before)
                before = rule(before, x)
            for j in range(k + 1, op.n_reads):
                x = load_first(read_of(op, j, begin) + i, n - i)
                share = chosen_share(rule, share, before, x)
                before = rule(before, x)
            store_first(dx + i, share, n - i)
            i += VL
        finish_dx(op, k, begin, end)


# What of share goes to a, of which and `other` the rule chose one.
cdef inline vreal chosen_share(const pair_rule rule, vreal share, vreal a, vreal other) noexcept nogil:
    cdef vreal half = vselect(veq(a, other), vset1(<real>0.5) * share, vzero())
    return vselect(vand(veq(rule(a, other), a), vnot(veq(a, other))), share, half)


cdef void maximum_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    choose_backward(larger_of_pair, op, begin, end)


cdef void minimum_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    choose_backward(smaller_of_pair, op, begin, end)


# ---- concatenate: each line of y is a line of each that is read, one after the other ---------------

cdef void concatenate_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t k, width = 0
    for k in range(op.n_reads):
        if op.lines == 1:
            op.reads[k].place_in_dy = width
        if op.reads[k].width % op.lines:
            width = -1
            break
        width += op.reads[k].width // op.lines
    op.parameter_reals = 0 if width == op.outputs and op.n_variables == 0 else -1
    op.work_per_row = <double>row_reals(op)


# Few reals go by vectors, since a call would cost more.
cdef inline void copy_reals(real* to, const real* come, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    if n > 4 * VL:
        memcpy(to, come, n * sizeof(real))
        return
    while i < n:
        store_first(to + i, load_first(come + i, n - i), n - i)
        i += VL


# Lines of `width`, `from_stride` apart, become lines that are `to_stride` apart.
cdef inline void copy_lines(real* to, Py_ssize_t to_stride, const real* come, Py_ssize_t from_stride,
                            Py_ssize_t width, Py_ssize_t lines) noexcept nogil:
    cdef Py_ssize_t line
    for line in range(lines):
        copy_reals(to + line * to_stride, come + line * from_stride, width)


cdef void concatenate_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t k, width
    cdef real* y = y_of(op, begin)
    for k in range(op.n_reads):
        width = op.reads[k].width // op.lines
        copy_lines(y, op.outputs, read_of(op, k, begin), width, width, (end - begin) * op.lines)
        y += width


cdef void concatenate_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t k, width
    cdef const real* dy = dy_of(op, begin) + op.outputs
    cdef real* dx
    for k in range(op.n_reads - 1, -1, -1):
        width = op.reads[k].width // op.lines
        dy -= width
        dx = dx_to_write(op, k, begin)
        if dx != NULL:
            copy_lines(dx, width, dy, op.outputs, width, (end - begin) * op.lines)
        finish_dx(op, k, begin, end)


# ---- dot: y (I, J) = a (I, K) . b (J, K)^T in each row; the sizes are I, J and K -----------------------

cdef void dot_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t depth = op.sizes[2]
    op.parameter_reals = -1
    if not (op.n_reads == 2 and op.n_variables == 0 and has_sizes(op, 3)
            and is_product(row_reals(op), op.sizes[0], op.sizes[1])
            and is_product(op.reads[0].width, op.sizes[0], depth)
            and is_product(op.reads[1].width, op.sizes[1], depth)):
        return
    op.parameter_reals = 0
    # b transposed
    op.workspace_reals = 0 if is_narrow(op.sizes[1]) else op.sizes[1] * depth
    op.work_per_row = <double>(row_reals(op) * depth)


# c (rows, columns) = a . b (depth, columns), where a is given by the strides of its rows and columns.
cdef void multiply_plain(real* c, const real* a, Py_ssize_t a_row, Py_ssize_t a_k, const real* b, Py_ssize_t rows,
                         Py_ssize_t columns, Py_ssize_t depth) noexcept nogil:
    cdef Product p
    multiply_by(&p, NULL, b, depth, columns)
    p.c = c
    p.ldc = columns
    p.a = a
    p.a_row = a_row
    p.a_k = a_k
    p.start = NULL
    p.start_row = 0
    matmul(&p, rows, columns)


cdef void dot_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t m = op.sizes[0], n = op.sizes[1], depth = op.sizes[2], row
    cdef real* turned = <real*>op.workspace
    for row in range(begin, end):
        if is_narrow(n):
            narrow_forward(y_of(op, row), read_of(op, 0, row), read_of(op, 1, row), NULL, m, depth, n)
        else:
            transpose(turned, n, read_of(op, 1, row), depth, n, depth)
            multiply_plain(y_of(op, row), read_of(op, 0, row), depth, 1, turned, m, n, depth)


# db = dy^T . a;  da = dy . b
cdef void dot_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t m = op.sizes[0], n = op.sizes[1], depth = op.sizes[2], row
    if op.reads[1].is_wanted:
        for row in range(begin, end):
            multiply_plain(dx_to_write(op, 1, row), dy_of(op, row), 1, n, read_of(op, 0, row), n, depth, m)
    finish_dx(op, 1, begin, end)
    if op.reads[0].is_wanted:
        for row in range(begin, end):
            multiply_plain(dx_to_write(op, 0, row), dy_of(op, row), n, 1, read_of(op, 1, row), m, depth, n)
    finish_dx(op, 0, begin, end)
