# Ops with a number for each column of a line, the same for all lines: scale (gamma and beta), prelu. And what the
# gradients of such numbers are: sums over lines.

# Parameters that are one piece.
cdef enum: PIECE_COLUMNS = 256

# ---- ops with such variables -----------------------------------------------------------------------

# Of an op that changes no size and has `count` variables, each with a number for each column.
cdef inline void measure_columns(Op* op, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t k
    op.parameter_reals = count * op.outputs
    if op.n_reads != 1 or op.inputs != op.outputs or op.n_variables != count:
        op.parameter_reals = -1
    for k in range(op.n_variables):
        if op.variables[k] != op.outputs:
            op.parameter_reals = -1
    op.piece_parameters = PIECE_COLUMNS
    op.pieces = (count * op.outputs + PIECE_COLUMNS - 1) // PIECE_COLUMNS


# The gradient of these pieces of the variables; only of the first one, if it is `has_factor`, does a line's
# part have a factor, with lines like dy's. The others' is dy.
cdef inline void columns_gradient(const term_rule rule, const bint has_factor, const Op* op, const real* factor,
                                  Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                  Py_ssize_t end_piece) noexcept nogil:
    cdef Py_ssize_t first = begin_piece * op.piece_parameters, lines = (end - begin) * op.lines, k, upto
    cdef Py_ssize_t last = min(op.parameter_reals, end_piece * op.piece_parameters)
    cdef const real* dy = dy_of(op, begin)
    cdef real* total = <real*>op.gradients
    for k in range(op.n_variables):
        upto = min(last, op.outputs)
        if first < upto and k == 0 and has_factor:
            sum_lines(rule, total + first, dy + first, factor + first, dy, op.outputs, lines, upto - first)
        elif first < upto:
            sum_lines(add_element, total + first, dy + first, dy, dy, op.outputs, lines, upto - first)
        total += op.outputs
        first = max(<Py_ssize_t>0, first - op.outputs)
        last -= op.outputs


# ---- gamma and beta, either of which may be missing: sizes say which there are ---------------------

cdef inline const real* gamma_of(const Op* op) noexcept nogil:
    return <const real*>op.parameters if op.sizes[0] else NULL


cdef inline const real* beta_of(const Op* op) noexcept nogil:
    return <const real*>op.parameters + (op.outputs if op.sizes[0] else 0) if op.sizes[1] else NULL


cdef inline Py_ssize_t count_gamma_beta(const Op* op) noexcept nogil:
    return (op.sizes[0] != 0) + (op.sizes[1] != 0)


# The column's number: of column i // VL of a line that lies across vectors, or of columns from i on.
cdef inline vreal of_column(const bint across, const real* numbers, Py_ssize_t i, Py_ssize_t left) noexcept nogil:
    return vset1(numbers[i // VL]) if across else load_first(numbers + i, left)


# x * gamma, where there is one.
cdef inline vreal times_gamma(const bint across, vreal x, const real* gamma, Py_ssize_t i,
                              Py_ssize_t left) noexcept nogil:
    return x if gamma == NULL else x * of_column(across, gamma, i, left)


cdef inline vreal times_gamma_plus_beta(const bint across, vreal x, const real* gamma, const real* beta,
                                        Py_ssize_t i, Py_ssize_t left) noexcept nogil:
    if beta == NULL:
        return times_gamma(across, x, gamma, i, left)
    if gamma == NULL:
        return x + of_column(across, beta, i, left)
    return vfma(x, of_column(across, gamma, i, left), of_column(across, beta, i, left))


# ---- scale: y = x * gamma + beta -------------------------------------------------------------------

cdef void scale_op_measure(Op* op) noexcept nogil:
    measure_columns(op, count_gamma_beta(op))
    op.work_per_row = <double>row_reals(op)


cdef void scale_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t line, i, n = op.outputs
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            store_first(y + i, times_gamma_plus_beta(False, load_first(x + i, n - i), gamma_of(op), beta_of(op), i,
                                                     n - i), n - i)
            i += VL
        x += n
        y += n


cdef void scale_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef Py_ssize_t line, i, n = op.outputs
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            store_first(dx + i, without_traces(times_gamma(False, load_first(dy + i, n - i), gamma_of(op), i, n - i)),
                        n - i)
            i += VL
        dy += n
        dx += n
    finish_dx(op, 0, begin, end)


cdef void scale_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece) noexcept nogil:
    columns_gradient(add_product, op.sizes[0], op, x_of(op, begin), begin, end, begin_piece, end_piece)


# ---- prelu: x where x > 0, else alpha x (K. He et al., ICCV 2015) ------------------------------------

cdef inline vreal add_below(vreal sum, vreal dy, vreal x, vreal center) noexcept nogil:
    return vfma(dy, vmin(vzero(), x), sum)


cdef void prelu_op_measure(Op* op) noexcept nogil:
    measure_columns(op, 1)
    op.work_per_row = <double>row_reals(op)


cdef void prelu_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef const real* alpha = <const real*>op.parameters
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t line, i, n = op.outputs
    cdef vreal z
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            z = load_first(x + i, n - i)
            store_first(y + i, vselect(vlt(vzero(), z), z, load_first(alpha + i, n - i) * z), n - i)
            i += VL
        x += n
        y += n


cdef void prelu_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef const real* alpha = <const real*>op.parameters
    cdef real* dx = dx_of(op, begin)
    cdef Py_ssize_t line, i, n = op.outputs
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            store_first(dx + i, without_traces(leaky_relu_gradient(load_first(dy + i, n - i), load_first(x + i, n - i),
                                                                   load_first(alpha + i, n - i))), n - i)
            i += VL
        x += n
        dy += n
        dx += n
    finish_dx(op, 0, begin, end)


cdef void prelu_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece) noexcept nogil:
    columns_gradient(add_below, True, op, x_of(op, begin), begin, end, begin_piece, end_piece)
