# The op "batch_norm": each column of all lines of a batch gets mean 0 and variance 1, then y = xhat gamma + beta
# (S. Ioffe and C. Szegedy, ICML 2015). In inference, and where it is not trained, by the moving mean and variance
# of the batches that it was trained on. Then the op's activation. reads: x and, if there is one, the mask (lines,): mean
# and variance are those of lines where it is not 0, and all lines are normalised by them.
#
# The op "standardize" is the same for ever by its state, which no batch moves.
#
# The op "batch_norm_within" is batch_norm in inference alone, and has no forward of its own: the op before it, a dense
# layer or a convolution, does it as its lines leave the registers, ((x . kernel + (bias - mean)) scale + shift).
# prepared: bias - mean, scale, shift, each (columns,).
#
# sizes: whether there is a gamma, a beta. options: epsilon, momentum. variables: gamma, beta (columns,), those
# that there are. state: moving mean, moving variance. prepared: mean, scale, shift of the moving ones.
# batch: mean, scale, 1 / deviation, sum of dz, sum of dz xhat, variance; each (columns,), and how many lines count.

# Columns whose sums over stretches of lines are added up at a time.
cdef enum: TOLD_COLUMNS = 64


cdef struct Normalizer:
    const real* mean
    const real* scale            # gamma / deviation
    const real* shift            # beta; NULL: 0


cdef inline bint acts_on_batch(const Op* op) noexcept nogil:
    return op.is_trained and op.drawn.stream != 0 and op.x_columns != NULL


cdef inline real* of_batch(const Op* op, int which) noexcept nogil:
    return <real*>op.batch + which * op.outputs


cdef void batch_norm_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t count = count_gamma_beta(op), reads = op.n_reads
    if op.x_columns != NULL and reads == 2 and op.reads[1].width == op.lines:
        op.n_reads = 1
    measure_columns(op, count)
    op.n_reads = reads
    op.state_reals = 2 * op.outputs
    op.batch_reals = 6 * op.outputs + 1 if op.x_columns != NULL else 0
    op.prepared_reals = 2 * op.outputs
    op.pieces = 1 if count > 0 else 0
    op.piece_parameters = op.parameter_reals if count > 0 else 0
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.work_per_row = <double>(4 * op.lines * op.outputs)


# scale by the moving variance of columns from i on, of which so many are left
cdef inline vreal moving_scale(const Op* op, Py_ssize_t i, Py_ssize_t left) noexcept nogil:
    cdef const real* variance = <const real*>op.state + op.outputs
    cdef const real* gamma = gamma_of(op)
    cdef vreal inverse = vreciprocal(vsqrt(load_first_or(variance + i, left, vset1(1)) + vset1(<real>op.options[0])))
    return inverse if gamma == NULL else inverse * load_first(gamma + i, left)


# mean and scale by the moving mean and variance.
cdef void batch_norm_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    cdef real* mean = <real*>op.prepared
    cdef const real* moving = <const real*>op.state
    cdef Py_ssize_t i = 0, n = op.outputs
    while i < n:
        store_first(mean + i, load_first(moving + i, n - i), n - i)
        store_first(mean + n + i, moving_scale(op, i, n - i), n - i)
        i += VL


cdef inline Normalizer normalizer_of(const Op* op) noexcept nogil:
    cdef const real* mean = of_batch(op, 0) if acts_on_batch(op) else <const real*>op.prepared
    return Normalizer(mean, mean + op.outputs, beta_of(op))


cdef void batch_norm_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Normalizer by = normalizer_of(op)
    cdef Py_ssize_t n = op.outputs, lines = (end - begin) * op.lines, line = 0, block
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef real* slope = saved_of(op, begin)
    while line < lines:
        block = min(max(<Py_ssize_t>1, ACTIVATED_REALS // n), lines - line)
        normalize_lines(y, x, &by, block, n)
        slope = activate(op, y, slope, block * n)
        line += block
        x += block * n
        y += block * n


# y = (x - mean) scale + shift.
cdef inline void normalize_lines(real* y, const real* x, const Normalizer* by, Py_ssize_t lines,
                                 Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t line, i
    cdef vreal shift = vzero()
    for line in range(lines):
        i = 0
        while i < n:
            if by.shift != NULL:
                shift = load_first(by.shift + i, n - i)
            store_first(y + i, vfma(load_first(x + i, n - i) - load_first(by.mean + i, n - i),
                                    load_first(by.scale + i, n - i), shift), n - i)
            i += VL
        x += n
        y += n


# ---- sums over the lines: (x - mean)^2, dz (x - mean) ------------------------------------------------

cdef inline vreal add_square(vreal sum, vreal x, vreal dz, vreal mean) noexcept nogil:
    cdef vreal centered = x - mean
    return vfma(centered, centered, sum)


cdef inline vreal add_centered_product(vreal sum, vreal x, vreal dz, vreal mean) noexcept nogil:
    return vfma(x - mean, dz, sum)


# The mask of lines from this row on; NULL: all count.
cdef inline const real* told_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return read_of(op, 1, row) if op.n_reads > 1 else NULL


# `sum_lines` of lines that count: those of stretches of them, added up with their excess apart.
cdef inline void sum_told(const term_rule rule, real* total, const real* a, const real* center, const real* mask,
                          Py_ssize_t stride, Py_ssize_t lines, Py_ssize_t columns) noexcept nogil:
    cdef real[TOLD_COLUMNS] part, sums, excess
    cdef Py_ssize_t first = 0, count, line, last, i
    cdef vreal sum, over
    if mask == NULL:
        sum_lines(rule, total, a, a, center, stride, lines, columns)
        return
    while first < columns:
        count = min(<Py_ssize_t>TOLD_COLUMNS, columns - first)
        memset(part, 0, sizeof(part))
        memset(sums, 0, sizeof(sums))
        memset(excess, 0, sizeof(excess))
        line = 0
        while line < lines:
            last = line
            while last < lines and mask[last] != 0:
                last += 1
            if last > line:
                sum_lines(rule, part, a + line * stride + first, a + line * stride + first, center + first, stride,
                          last - line, count)
                i = 0
                while i < TOLD_COLUMNS:
                    sum = vload(sums + i)
                    over = vload(excess + i)
                    add_exactly(&sum, &over, vload(part + i))
                    vstore(sums + i, sum)
                    vstore(excess + i, over)
                    i += VL
            line = last + 1
        i = 0
        while i < count:
            store_first(total + first + i, without_excess(vload(sums + i), vload(excess + i)), count - i)
            i += VL
        first += TOLD_COLUMNS


cdef void batch_norm_op_x_columns(const Op* op, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, lines = rows * op.lines, told = lines, i
    cdef const real* mask = told_of(op, 0)
    cdef const real* x = x_of(op, 0) + begin
    cdef const real* gamma = gamma_of(op)
    cdef real* mean = of_batch(op, 0)
    cdef real* variance = of_batch(op, 5)
    cdef vreal count, deviation, inverse
    for i in range(0 if mask == NULL else lines):
        told -= mask[i] == 0
    # Of no lines mean and variance are 0.
    told = max(<Py_ssize_t>1, told)
    count = vset1(<real>told)
    if begin == 0:
        of_batch(op, 6)[0] = <real>told
    sum_told(add_element, mean + begin, x, x, mask, n, lines, end - begin)
    i = begin
    while i < end:
        store_first(mean + i, load_first(mean + i, end - i) / count, end - i)
        i += VL
    sum_told(add_square, variance + begin, x, mean + begin, mask, n, lines, end - begin)
    i = begin
    while i < end:
        deviation = load_first(variance + i, end - i) / count
        store_first(variance + i, deviation, end - i)
        inverse = vset1(1) / vsqrt(deviation + vset1(<real>op.options[0]))
        store_first(of_batch(op, 1) + i, inverse if gamma == NULL else inverse * load_first(gamma + i, end - i),
                    end - i)
        store_first(of_batch(op, 2) + i, inverse, end - i)
        i += VL


cdef void batch_norm_op_dz_columns(const Op* op, Py_ssize_t rows, Py_ssize_t begin,
                                   Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, lines = rows * op.lines, i
    cdef const real* dz = dy_of(op, 0) + begin
    cdef real* products = of_batch(op, 4)
    sum_lines(add_element, of_batch(op, 3) + begin, dz, dz, dz, n, lines, end - begin)
    sum_lines(add_centered_product, products + begin, x_of(op, 0) + begin, dz, of_batch(op, 0) + begin, n, lines,
              end - begin)
    i = begin
    while i < end:
        store_first(products + i, load_first(products + i, end - i) * load_first(of_batch(op, 2) + i, end - i), end - i)
        i += VL


# By the batch dx = scale (dz - (sum of dz + xhat (sum of dz xhat)) / lines), else dx = scale dz, as in lines that do
# not count.
cdef void batch_norm_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Normalizer by = normalizer_of(op)
    cdef Py_ssize_t n = op.outputs, line, i, left
    cdef const real* x = x_of(op, begin)
    cdef const real* dz = dy_of(op, begin)
    cdef const real* mask = told_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef bint on_batch = acts_on_batch(op)
    cdef vreal share = vset1(1 / of_batch(op, 6)[0]) if on_batch else vzero()
    cdef vreal change, xhat
    if mask != NULL:
        give_no_gradient(op, 1, begin, end)
    if not op.reads[0].is_wanted:
        return
    for line in range((end - begin) * op.lines):
        i = 0
        while i < n:
            left = n - i
            change = load_first(dz + i, left)
            if on_batch and (mask == NULL or mask[line] != 0):
                xhat = (load_first(x + i, left) - load_first(by.mean + i, left)) * load_first(of_batch(op, 2) + i, left)
                change = vfnma(share, vfma(xhat, load_first(of_batch(op, 4) + i, left),
                                           load_first(of_batch(op, 3) + i, left)), change)
            store_first(dx + i, without_traces(load_first(by.scale + i, left) * change), left)
            i += VL
        x += n
        dz += n
        dx += n
    finish_dx(op, 0, begin, end)


# Of a layer that acts on the batch dz_columns has found those of all rows: the chunk that begins with the first row
# has them, and others of the same batch have none.
cdef void batch_norm_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                 Py_ssize_t end_piece) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, lines = (end - begin) * op.lines, i
    cdef const real* moving = <const real*>op.state
    cdef const real* dz = dy_of(op, begin)
    cdef real* dgamma = <real*>op.gradients
    cdef real* dbeta = dgamma + (n if op.sizes[0] else 0)
    if acts_on_batch(op):
        if begin > 0:
            memset(dgamma, 0, op.parameter_reals * sizeof(real))
            return
        if op.sizes[0]:
            copy_reals(dgamma, of_batch(op, 4), n)
        if op.sizes[1]:
            copy_reals(dbeta, of_batch(op, 3), n)
        return
    if op.sizes[1]:
        sum_lines(add_element, dbeta, dz, dz, dz, n, lines, n)
    if op.sizes[0]:
        sum_lines(add_centered_product, dgamma, x_of(op, begin), dz, moving, n, lines, n)
        i = 0
        while i < n:
            store_first(dgamma + i, load_first(dgamma + i, n - i) / vsqrt(
                load_first_or(moving + n + i, n - i, vset1(1)) + vset1(<real>op.options[0])), n - i)
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


# ---- batch_norm_within -----------------------------------------------------------------------------

# Columns that an op of those that scale and shift what they make has a bias, a scale and a shift for; 0: not one of them.
cdef inline Py_ssize_t scaled_columns(const Op* op) noexcept nogil:
    if op.forward == dense_op_forward:
        return op.outputs
    if op.forward == conv_op_forward or op.forward == depthwise_op_forward:
        return op.sizes[5]
    return op.sizes[2] if op.forward == conv_transpose_op_forward else 0


cdef void batch_norm_within_op_measure(Op* op) noexcept nogil:
    cdef const Op* maker = op.reads[0].maker
    batch_norm_op_measure(op)
    op.prepared_reals = 3 * op.outputs
    if maker == NULL or scaled_columns(maker) != op.outputs:
        op.parameter_reals = -1


cdef void batch_norm_within_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                       Py_ssize_t end_piece) noexcept nogil:
    cdef real* start = <real*>op.prepared
    cdef const Op* maker = op.reads[0].maker
    cdef const real* bias = <const real*>maker.parameters + maker.variables[0] if maker.n_variables == 2 else NULL
    cdef const real* beta = beta_of(op)
    cdef Py_ssize_t i = 0, n = op.outputs, left
    while i < n:
        left = n - i
        store_first(start + i, (vzero() if bias == NULL else load_first(bias + i, left))
                    - load_first(<const real*>op.state + i, left), left)
        store_first(start + n + i, moving_scale(op, i, left), left)
        store_first(start + 2 * n + i, vzero() if beta == NULL else load_first(beta + i, left), left)
        i += VL
