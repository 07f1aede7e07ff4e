# The three products of a narrow layer, one with up to NARROW outputs, in which few lanes would be filled
# along the outputs. Lanes run along the inputs instead; kt (outputs, inputs) is the transposed kernel:
#     z = x . kt^T + bias: dots of rows        dx = dz . kt        dkernel^T = dz^T . x
# Each is the same on every CPU level: z is LANES chains in ascending inputs, added by halves; an element
# of the others is one chain, in ascending outputs or rows.

# Outputs up to which a layer is narrow.
cdef enum: NARROW = 7
cdef extern from *:
    """
    /* The rows of x that share a row of kt in a dot, and those whose lanes are added up together. */
    #define DOT_ROWS (LANE_VECTORS > 1 ? 4 : 8)
    #define FOLD_ROWS (VL > DOT_ROWS ? VL : DOT_ROWS)
    """
    enum: DOT_ROWS
    enum: FOLD_ROWS


# Sums up to which one after the other is faster than VL of them at once.
cdef enum: FEW_SUMS = 2


cdef inline bint is_narrow(Py_ssize_t outputs) noexcept nogil:
    return outputs <= NARROW


# ---- z = x . kt^T + bias --------------------------------------------------------------------------

# The lanes of a and of b by turns, each added to the one half a vector away.
cdef inline vreal fold(vreal a, vreal b) noexcept nogil:
    return vzip_low(a, b) + vzip_high(a, b)


# The VL reals of each of VL vectors added up by halves: lane i of the result is the sum of vector i.
cdef inline vreal lane_sums(const vreal* sums) noexcept nogil:
    cdef vreal[VL] folded
    cdef int i, half = VL
    for i in range(VL):
        folded[i] = sums[i]
    while half > 1:
        half //= 2
        for i in range(half):
            folded[i] = fold(folded[i], folded[i + half])
    return folded[0]


# The same for one vector, in every lane.
cdef inline vreal lane_sum(vreal sums) noexcept nogil:
    cdef int half = VL
    while half > 1:
        half //= 2
        sums = fold(sums, sums)
    return sums


# acc (LANE_VECTORS,) added up by halves until one vector is left.
cdef inline vreal fold_parts(const vreal* acc) noexcept nogil:
    cdef vreal[LANE_VECTORS] parts
    cdef int k, half = LANE_VECTORS
    for k in range(LANE_VECTORS):
        parts[k] = acc[k]
    while half > 1:
        half //= 2
        for k in range(half):
            parts[k] = parts[k] + parts[k + half]
    return parts[0]


# acc (mr, LANE_VECTORS) += the products of LANES inputs of mr rows and a row of kt; of fewer where ragged.
cdef inline void add_products(const int mr, const bint ragged, vreal* acc, const real* x, Py_ssize_t inputs,
                              const real* line, Py_ssize_t n) noexcept nogil:
    cdef vreal weights
    cdef Py_ssize_t at = 0
    cdef int i, part
    for part in range(LANE_VECTORS):
        if not ragged or at < n:
            weights = load_first(line + at, n - at) if ragged else vload(line + at)
            for i in range(mr):
                acc[i * LANE_VECTORS + part] = vfma(
                    load_first(x + i * inputs + at, n - at) if ragged else vload(x + i * inputs + at),
                    weights, acc[i * LANE_VECTORS + part])
        at += VL


# sums (mr, outputs) of vectors whose lanes add up to the dots of mr rows of x with the rows of kt.
cdef inline void dot_rows(const int mr, vreal* sums, const real* x, const real* kt, Py_ssize_t outputs,
                          Py_ssize_t inputs) noexcept nogil:
    cdef vreal[DOT_ROWS * LANE_VECTORS] acc
    cdef Py_ssize_t output, k
    cdef int i
    for output in range(outputs):
        for i in range(mr * LANE_VECTORS):
            acc[i] = vzero()
        k = 0
        while k + LANES <= inputs:
            add_products(mr, False, acc, x + k, inputs, kt + k, LANES)
            k += LANES
        if k < inputs:
            add_products(mr, True, acc, x + k, inputs, kt + k, inputs - k)
        for i in range(mr):
            sums[i * outputs + output] = fold_parts(acc + i * LANE_VECTORS)
        kt += inputs


# z (rows, outputs) = x (rows, inputs) . kt^T + bias (outputs,), which may be NULL.
cdef void narrow_forward(real* z, const real* x, const real* kt, const real* bias, Py_ssize_t rows,
                         Py_ssize_t inputs, Py_ssize_t outputs) noexcept nogil:
    # A multiple of VL rows has sums for whole vectors of z, in the order in which z wants them.
    cdef vreal[FOLD_ROWS * NARROW] sums
    cdef real[FOLD_ROWS * NARROW] start
    cdef vreal result
    cdef Py_ssize_t row, i, done, count, n
    cdef bint few
    if bias != NULL:
        for row in range(min(rows, <Py_ssize_t>FOLD_ROWS)):
            for i in range(outputs):
                start[row * outputs + i] = bias[i]
    row = 0
    while row < rows:
        count = min(rows - row, FOLD_ROWS)
        n = count * outputs
        i = 0
        while i + DOT_ROWS <= count:
            dot_rows(DOT_ROWS, sums + i * outputs, x + i * inputs, kt, outputs, inputs)
            i += DOT_ROWS
        while i < count:
            dot_rows(1, sums + i * outputs, x + i * inputs, kt, outputs, inputs)
            i += 1
        few = n <= FEW_SUMS
        if not few:
            for i in range(n, (n + VL - 1) // VL * VL):
                sums[i] = vzero()
        i = 0
        while i < n:
            result = lane_sum(sums[i]) if few else lane_sums(sums + i)
            done = 1 if few else min(n - i, <Py_ssize_t>VL)
            store_first(z + i, result if bias == NULL else load_first(start + i, done) + result, done)
            i += done
        row += count
        x += count * inputs
        z += n


# ---- dx = dz . kt ---------------------------------------------------------------------------------

# nv vectors of columns of dx, a tail of one where ragged; outputs, nv and ragged are constants.
cdef inline void spread(const int outputs, const int nv, const bint ragged, real* dx, const real* dz,
                        const real* kt, Py_ssize_t rows, Py_ssize_t inputs, vtail tail) noexcept nogil:
    cdef vreal[4 * NARROW] lines
    cdef vreal[4] acc
    cdef Py_ssize_t row
    cdef int j, k
    for k in range(outputs):
        for j in range(nv):
            lines[k * nv + j] = load_part(ragged, kt + k * inputs + j * VL, tail)
    for row in range(rows):
        for j in range(nv):
            acc[j] = vzero()
        for k in range(outputs):
            for j in range(nv):
                acc[j] = vfma(vset1(dz[k]), lines[k * nv + j], acc[j])
        for j in range(nv):
            store_part(ragged, dx + j * VL, acc[j], tail)
        dz += outputs
        dx += inputs


cdef inline void spread_all(const int outputs, real* dx, const real* dz, const real* kt, Py_ssize_t rows,
                            Py_ssize_t inputs) noexcept nogil:
    cdef int nv = 4 if outputs <= 3 else 2      # as many as leave the lines of kt in registers
    cdef Py_ssize_t column = 0
    while column + nv * VL <= inputs:
        spread(outputs, 4 if outputs <= 3 else 2, False, dx + column, dz, kt + column, rows, inputs,
               vtail_of(0))
        column += nv * VL
    while column + VL <= inputs:
        spread(outputs, 1, False, dx + column, dz, kt + column, rows, inputs, vtail_of(0))
        column += VL
    if column < inputs:
        spread(outputs, 1, True, dx + column, dz, kt + column, rows, inputs, vtail_of(inputs - column))


# dx (rows, inputs) = dz (rows, outputs) . kt
cdef void narrow_backward(real* dx, const real* dz, const real* kt, Py_ssize_t rows, Py_ssize_t inputs,
                          Py_ssize_t outputs) noexcept nogil:
    if outputs == 1:
        spread_all(1, dx, dz, kt, rows, inputs)
    elif outputs == 2:
        spread_all(2, dx, dz, kt, rows, inputs)
    elif outputs == 3:
        spread_all(3, dx, dz, kt, rows, inputs)
    elif outputs == 4:
        spread_all(4, dx, dz, kt, rows, inputs)
    elif outputs == 5:
        spread_all(5, dx, dz, kt, rows, inputs)
    elif outputs == 6:
        spread_all(6, dx, dz, kt, rows, inputs)
    else:
        spread_all(7, dx, dz, kt, rows, inputs)


# ---- dkernel = x^T . dz ---------------------------------------------------------------------------

cdef extern from *:
    """
    /* Vectors of inputs that are worked on at a time: a power of two, for accumulators that fit. */
    #define GATHER_VECTORS(n) ((n) == 1 ? 8 : (n) == 2 || 4 * (n) <= fw_least(16, TILE_ACCUMULATORS) ? 4 \\
                               : 2 * (n) <= fw_least(16, TILE_ACCUMULATORS) ? 2 : 1)
    """
    int GATHER_VECTORS(int n) nogil


# c (outputs, ldc) = dz^T . x for nv vectors of inputs, of which `columns` are there where ragged. outputs, nv
# and ragged are constants.
cdef inline void gather(const int outputs, const int nv, const bint ragged, real* c, Py_ssize_t ldc,
                        const real* x, const real* dz, Py_ssize_t rows, Py_ssize_t inputs,
                        Py_ssize_t columns) noexcept nogil:
    cdef vreal[16] acc
    cdef vreal[8] line
    cdef vtail[8] tails
    cdef Py_ssize_t row
    cdef int i, j
    for j in range(nv):
        tails[j] = vtail_of(min(max(columns - j * VL, <Py_ssize_t>0), <Py_ssize_t>VL) if ragged else 0)
    for i in range(outputs):
        for j in range(nv):
            acc[i * nv + j] = vzero()
    for row in range(rows):
        for j in range(nv):
            line[j] = load_part(ragged, x + j * VL, tails[j])
        for i in range(outputs):
            for j in range(nv):
                acc[i * nv + j] = vfma(vset1(dz[i]), line[j], acc[i * nv + j])
        x += inputs
        dz += outputs
    for i in range(outputs):
        for j in range(nv):
            store_part(ragged, c + i * ldc + j * VL, acc[i * nv + j], tails[j])


# One part of the inputs, up to GATHER_VECTORS vectors of them.
cdef inline void gather_part(const int outputs, real* c, Py_ssize_t ldc, const real* x, const real* dz,
                             Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t columns) noexcept nogil:
    if columns == GATHER_VECTORS(outputs) * VL:
        gather(outputs, GATHER_VECTORS(outputs), False, c, ldc, x, dz, rows, inputs, columns)
    elif GATHER_VECTORS(outputs) > 4 and columns > 4 * VL:
        gather(outputs, GATHER_VECTORS(outputs), True, c, ldc, x, dz, rows, inputs, columns)
    elif GATHER_VECTORS(outputs) > 2 and columns > 2 * VL:
        gather(outputs, 4 if GATHER_VECTORS(outputs) > 2 else 1, True, c, ldc, x, dz, rows, inputs, columns)
    elif GATHER_VECTORS(outputs) > 1 and columns > VL:
        gather(outputs, 2 if GATHER_VECTORS(outputs) > 1 else 1, True, c, ldc, x, dz, rows, inputs, columns)
    else:
        gather(outputs, 1, True, c, ldc, x, dz, rows, inputs, columns)


# With one output the transpose is the thing itself.
cdef inline void gather_all(const int outputs, real* dkernel, const real* x, const real* dz, Py_ssize_t rows,
                            Py_ssize_t inputs, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real[16 * VL] transposed
    cdef Py_ssize_t width = GATHER_VECTORS(outputs) * VL, columns
    cdef real* part
    while begin < end:
        columns = min(width, end - begin)
        part = dkernel + begin * outputs
        if outputs == 1:
            gather_part(1, part, width, x + begin, dz, rows, inputs, columns)
        else:
            gather_part(outputs, transposed, width, x + begin, dz, rows, inputs, columns)
            transpose(part, outputs, transposed, width, outputs, columns)
        begin += columns


# Rows [begin, end) of dkernel (inputs, outputs) = x^T . dz.
cdef void narrow_gradient(real* dkernel, const real* x, const real* dz, Py_ssize_t rows, Py_ssize_t inputs,
                          Py_ssize_t outputs, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if outputs == 1:
        gather_all(1, dkernel, x, dz, rows, inputs, begin, end)
    elif outputs == 2:
        gather_all(2, dkernel, x, dz, rows, inputs, begin, end)
    elif outputs == 3:
        gather_all(3, dkernel, x, dz, rows, inputs, begin, end)
    elif outputs == 4:
        gather_all(4, dkernel, x, dz, rows, inputs, begin, end)
    elif outputs == 5:
        gather_all(5, dkernel, x, dz, rows, inputs, begin, end)
    elif outputs == 6:
        gather_all(6, dkernel, x, dz, rows, inputs, begin, end)
    else:
        gather_all(7, dkernel, x, dz, rows, inputs, begin, end)
