# The op "activation": y = f(x) element by element, for an activation that stands on its own.

# Reals that are made before the activation, while they are in the first cache.
cdef enum: ACTIVATED_REALS = 2048

# How many reals a row is, for ops that change no size.
cdef inline Py_ssize_t row_reals(const Op* op) noexcept nogil:
    return op.lines * op.outputs


# Whether the op reads one value, of the size of its own result, and has no variables.
cdef inline bint keeps_size(const Op* op) noexcept nogil:
    return op.n_reads == 1 and op.inputs == op.outputs and op.n_variables == 0


# Whether the first sizes of the op's own are sizes of something.
cdef inline bint has_sizes(const Op* op, int count) noexcept nogil:
    cdef int k
    for k in range(count):
        if op.sizes[k] < 1:
            return False
    return True


# Whether whole = a * b, of which no product is made: sizes may be anything.
cdef inline bint is_product(Py_ssize_t whole, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a > 0 and b > 0 and whole % a == 0 and whole // a == b


# The op's activation of n reals; returns where the slopes of the next ones are, or NULL where none are kept.
cdef inline real* activate(const Op* op, real* y, real* slope, Py_ssize_t n) noexcept nogil:
    op.activation.forward(y, slope, n, op.activation_options)
    return NULL if slope == NULL else slope + n


cdef void activation_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.dx_over_dy = True
    op.work_per_row = 8.0 * row_reals(op)


cdef void activation_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t left = (end - begin) * row_reals(op), n
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef real* slope = saved_of(op, begin)
    while left > 0:
        n = min(left, <Py_ssize_t>ACTIVATED_REALS)
        memcpy(y, x, n * sizeof(real))
        slope = activate(op, y, slope, n)
        x += n
        y += n
        left -= n


cdef void activation_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    op.activation.backward(dy_of(op, begin), y_of(op, begin), saved_of(op, begin),
                           (end - begin) * row_reals(op), op.activation_options)


cdef void activation_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    pass_on(dx_of(op, begin), dy_of(op, begin), (end - begin) * row_reals(op))
    finish_dx(op, 0, begin, end)


# ---- rescale: y = scale x + offset; these are its options --------------------------------------------

cdef void rescale_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.dx_over_dy = True
    op.work_per_row = <double>row_reals(op)


cdef void rescale_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i = 0
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef vreal scale = vset1(<real>op.options[0]), offset = vset1(<real>op.options[1])
    while i < n:
        store_first(y + i, vfma(scale, load_first(x + i, n - i), offset), n - i)
        i += VL


cdef void rescale_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i = 0
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef vreal scale = vset1(<real>op.options[0])
    while i < n:
        store_first(dx + i, without_traces(scale * load_first(dy + i, n - i)), n - i)
        i += VL
    finish_dx(op, 0, begin, end)


# ---- bent_relu: min(x, most) above the threshold, else negative_slope (x - threshold). The options are
# negative_slope, threshold and most; the derivative at the threshold is that below it, at `most` 0 ------

cdef void bent_relu_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i = 0
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef vreal slope = vset1(<real>op.options[0]), threshold = vset1(<real>op.options[1]), z, below
    cdef vreal most = vset1(<real>op.options[2])
    while i < n:
        z = load_first(x + i, n - i)
        # 0 times -inf would be NaN.
        below = vselect(vand(veq(slope, vzero()), veq(z, z)), vzero(), slope * (z - threshold))
        store_first(y + i, vselect(vlt(threshold, z), vmin(most, z), below), n - i)
        i += VL


cdef void bent_relu_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op), i = 0
    cdef const real* x = x_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef vreal slope = vset1(<real>op.options[0]), threshold = vset1(<real>op.options[1]), z, d
    cdef vreal most = vset1(<real>op.options[2])
    while i < n:
        z = load_first(x + i, n - i)
        d = load_first(dy + i, n - i)
        d = vselect(vlt(threshold, z), vselect(vlt(z, most), d, vzero()), vselect(vle(z, threshold), slope * d, z))
        store_first(dx + i, without_traces(d), n - i)
        i += VL
    finish_dx(op, 0, begin, end)
