# The op "batch_norm": each column of all lines of a batch gets mean 0 and variance 1, then y = xhat gamma + beta
# (S. Ioffe and C. Szegedy, ICML 2015). In inference, and where it is not trained, by the moving mean and variance
# of the batches that it was trained on.
#
# The op "standardize" is the same for ever by its state, which no batch moves.
#
# sizes: whether there is a gamma, a beta. options: epsilon, momentum. variables: gamma, beta (columns,), those
# that there are. state: moving mean, moving variance. prepared: mean, scale, shift of the moving ones.
# batch: mean, scale, 1 / deviation, sum of dz, sum of dz xhat, variance; each (columns,), and how many lines.

cdef struct Normalizer:
    const real* mean
    const real* scale            # gamma / deviation
    const real* shift            # beta; NULL: 0


cdef inline bint acts_on_batch(const Op* op) noexcept nogil:
    return op.is_trained and op.drawn.stream != 0 and op.x_columns != NULL


cdef inline real* of_batch(const Op* op, int which) noexcept nogil:
    return <real*>op.batch + which * op.outputs


cdef void batch_norm_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t count = count_gamma_beta(op)
    measure_columns(op, count)
    op.state_reals = 2 * op.outputs
    op.batch_reals = 6 * op.outputs + 1 if op.x_columns != NULL else 0
    op.prepared_reals = 2 * op.outputs
    op.pieces = 1 if count > 0 else 0
    op.piece_parameters = op.parameter_reals if count > 0 else 0
    op.work_per_row = <double>(4 * op.lines * op.outputs)


# mean and scale by the moving mean and variance.
cdef void batch_norm_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    cdef real* mean = <real*>op.prepared
    cdef const real* moving = <const real*>op.state
    cdef const real* gamma = gamma_of(op)
    cdef Py_ssize_t i = 0, n = op.outputs
    cdef vreal epsilon = vset1(<real>op.options[0]), scale
    while i < n:
        store_first(mean + i, load_first(moving + i, n - i), n - i)
        scale = vset1(1) / vsqrt(load_first_or(moving + n + i, n - i, vset1(1)) + epsilon)
        if gamma != NULL:
            scale = scale * load_first(gamma + i, n - i)
        store_first(mean + n + i, scale, n - i)
        i += VL


cdef inline Normalizer normalizer_of(const Op* op) noexcept nogil:
    cdef const real* mean = of_batch(op, 0) if acts_on_batch(op) else <const real*>op.prepared
    return Normalizer(mean, mean + op.outputs, beta_of(op))


cdef void batch_norm_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Normalizer by = normalizer_of(op)
    cdef Py_ssize_t n = op.outputs, line, i
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef vreal shift = vzero()
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            if by.shift != NULL:
                shift = load_first(by.shift + i, n - i)
            store_first(y + i, vfma(load_first(x + i, n - i) - load_first(by.mean + i, n - i),
                                    load_first(by.scale + i, n - i), shift), n - i)
            i += VL
        x += n
        y += n


# The sum of a column's terms over all lines: chains of CHAIN_ROWS added up with their excess apart.
#     MEANS: x    SQUARES: (x - mean)^2    SUMS: dz    PRODUCTS: dz (x - mean)
cdef enum:
    MEANS
    SQUARES
    SUMS
    PRODUCTS


cdef inline vreal column_term(const int what, const real* x, const real* dz, vreal mean, Py_ssize_t left) noexcept nogil:
    cdef vreal centred
    if what == MEANS:
        return load_first(x, left)
    if what == SUMS:
        return load_first(dz, left)
    centred = load_first(x, left) - mean
    return centred * (centred if what == SQUARES else load_first(dz, left))


cdef inline vreal column_sum(const int what, const real* x, const real* dz, vreal mean, Py_ssize_t lines,
                             Py_ssize_t columns, Py_ssize_t left) noexcept nogil:
    cdef vreal total = vzero(), excess = vzero(), chain
    cdef Py_ssize_t line = 0, end
    while line < lines:
        end = min(lines, line + CHAIN_ROWS)
        chain = vzero()
        for line in range(line, end):
            chain = chain + column_term(what, x + line * columns, NULL if dz == NULL else dz + line * columns,
                                        mean, left)
        add_exactly(&total, &excess, chain)
        line = end
    return without_excess(total, excess)


cdef void batch_norm_op_x_columns(const Op* op, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, lines = rows * op.lines, i = begin, left
    cdef const real* x = x_of(op, 0)
    cdef const real* gamma = gamma_of(op)
    cdef vreal count = vset1(<real>lines), mean, variance, inverse
    if begin == 0:
        of_batch(op, 6)[0] = <real>lines
    while i < end:
        left = end - i
        mean = column_sum(MEANS, x + i, NULL, vzero(), lines, n, left) / count
        variance = column_sum(SQUARES, x + i, NULL, mean, lines, n, left) / count
        inverse = vset1(1) / vsqrt(variance + vset1(<real>op.options[0]))
        store_first(of_batch(op, 0) + i, mean, left)
        store_first(of_batch(op, 1) + i, inverse if gamma == NULL else inverse * load_first(gamma + i, left), left)
        store_first(of_batch(op, 2) + i, inverse, left)
        store_first(of_batch(op, 5) + i, variance, left)
        i += VL


cdef void batch_norm_op_dz_columns(const Op* op, Py_ssize_t rows, Py_ssize_t begin,
                                   Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, lines = rows * op.lines, i = begin, left
    cdef const real* x = x_of(op, 0)
    cdef const real* dz = dy_of(op, 0)
    cdef vreal mean
    while i < end:
        left = end - i
        mean = load_first(of_batch(op, 0) + i, left)
        store_first(of_batch(op, 3) + i, column_sum(SUMS, x + i, dz + i, mean, lines, n, left), left)
        store_first(of_batch(op, 4) + i,
                    column_sum(PRODUCTS, x + i, dz + i, mean, lines, n, left) * load_first(of_batch(op, 2) + i, left),
                    left)
        i += VL


# By the batch dx = scale (dz - (sum of dz + xhat (sum of dz xhat)) / lines), else dx = scale dz.
cdef void batch_norm_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Normalizer by = normalizer_of(op)
    cdef Py_ssize_t n = op.outputs, line, i, left
    cdef const real* x = x_of(op, begin)
    cdef const real* dz = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef bint on_batch = acts_on_batch(op)
    cdef vreal share = vset1(1 / of_batch(op, 6)[0]) if on_batch else vzero()
    cdef vreal change, xhat
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            left = n - i
            change = load_first(dz + i, left)
            if on_batch:
                xhat = (load_first(x + i, left) - load_first(by.mean + i, left)) * load_first(of_batch(op, 2) + i, left)
                change = vfnma(share, vfma(xhat, load_first(of_batch(op, 4) + i, left),
                                           load_first(of_batch(op, 3) + i, left)), change)
            store_first(dx + i, without_traces(load_first(by.scale + i, left) * change), left)
            i += VL
        x += n
        dz += n
        dx += n
    finish_dx(op, 0, begin, end)


# Of a layer that acts on the batch: dz_columns has found them.
cdef void batch_norm_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                 Py_ssize_t end_piece) noexcept nogil:
    cdef real* gradients = <real*>op.gradients
    cdef Py_ssize_t n = op.outputs, lines = (end - begin) * op.lines, i = 0
    cdef const real* moving = <const real*>op.state
    cdef const real* x = x_of(op, begin)
    cdef const real* dz = dy_of(op, begin)
    cdef vreal sums, products
    while i < n:
        if acts_on_batch(op):
            sums = load_first(of_batch(op, 3) + i, n - i)
            products = load_first(of_batch(op, 4) + i, n - i)
        else:
            sums = column_sum(SUMS, x + i, dz + i, vzero(), lines, n, n - i)
            products = column_sum(PRODUCTS, x + i, dz + i, load_first(moving + i, n - i), lines, n, n - i) / vsqrt(
                load_first_or(moving + n + i, n - i, vset1(1)) + vset1(<real>op.options[0]))
        if op.sizes[0]:
            store_first(gradients + i, products, n - i)
        if op.sizes[1]:
            store_first(gradients + (n if op.sizes[0] else 0) + i, sums, n - i)
        i += VL


# moving += (1 - momentum) (found - moving)
cdef void batch_norm_op_settle(const Op* op, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real* moving = <real*>op.state
    cdef Py_ssize_t n = op.outputs, i = begin, left
    cdef vreal share = vset1(<real>(1.0 - op.options[1])), mean, variance
    while i < end:
        left = end - i
        mean = load_first(moving + i, left)
        variance = load_first(moving + n + i, left)
        store_first(moving + i, vfma(share, load_first(of_batch(op, 0) + i, left) - mean, mean), left)
        store_first(moving + n + i, vfma(share, load_first(of_batch(op, 5) + i, left) - variance, variance), left)
        i += VL
