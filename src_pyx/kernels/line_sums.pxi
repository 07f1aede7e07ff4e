# Sums over the lines of a batch, one for each column: gradients of biases and of other numbers that all lines
# share, means and variances of columns.

# Lines that are one chain, and those whose chains are added up before rounding is taken care of.
cdef enum: CHAIN_LINES = 8
cdef enum: GROUP_LINES = 64
# Vectors of columns that are worked on at a time.
cdef enum: SUMMED_VECTORS = 4

# sum + the term of one line, of its element of a, of b and of `center`, which is one line for all.
ctypedef vreal (*term_rule)(vreal sum, vreal a, vreal b, vreal center) noexcept nogil


cdef inline vreal add_element(vreal sum, vreal a, vreal b, vreal center) noexcept nogil:
    return sum + a


cdef inline vreal add_product(vreal sum, vreal a, vreal b, vreal center) noexcept nogil:
    return vfma(a, b, sum)


# total (columns,) = the sums of the terms of all lines of a and b, whose lines are `stride` apart: chains of a few
# lines, sums of a few chains, and these added up with their excess apart, so that the error does not grow with
# the lines.
# What a rule has no use for is not read, and may be a itself.
cdef inline void sum_lines(const term_rule rule, real* total, const real* a, const real* b, const real* center,
                           Py_ssize_t stride, Py_ssize_t lines, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i + SUMMED_VECTORS * VL <= columns:
        sum_vectors(rule, SUMMED_VECTORS, False, total + i, a + i, b + i, center + i, stride, lines, vtail_of(0))
        i += SUMMED_VECTORS * VL
    while i + VL <= columns:
        sum_vectors(rule, 1, False, total + i, a + i, b + i, center + i, stride, lines, vtail_of(0))
        i += VL
    if i < columns:
        sum_vectors(rule, 1, True, total + i, a + i, b + i, center + i, stride, lines, vtail_of(columns - i))


# The same for nv vectors of columns, a tail of one where ragged; nv and ragged are constants.
cdef inline void sum_vectors(const term_rule rule, const int nv, const bint ragged, real* total, const real* a,
                             const real* b, const real* center, Py_ssize_t stride, Py_ssize_t lines,
                             vtail tail) noexcept nogil:
    cdef vreal[SUMMED_VECTORS] sums, excess, group, chain, middle
    cdef Py_ssize_t line = 0, group_end
    cdef int j, k
    for j in range(nv):
        sums[j] = vzero()
        excess[j] = vzero()
        middle[j] = load_part(ragged, center + j * VL, tail)
    while line < lines:
        group_end = min(lines, line + GROUP_LINES)
        for j in range(nv):
            group[j] = vzero()
        while line < group_end:
            for j in range(nv):
                chain[j] = vzero()
            # A whole chain is a loop of a constant length, which unrolls.
            if group_end - line >= CHAIN_LINES:
                for k in range(CHAIN_LINES):
                    for j in range(nv):
                        chain[j] = rule(chain[j], load_part(ragged, a + k * stride + j * VL, tail),
                                        load_part(ragged, b + k * stride + j * VL, tail), middle[j])
                a += CHAIN_LINES * stride
                b += CHAIN_LINES * stride
                line += CHAIN_LINES
            else:
                while line < group_end:
                    for j in range(nv):
                        chain[j] = rule(chain[j], load_part(ragged, a + j * VL, tail),
                                        load_part(ragged, b + j * VL, tail), middle[j])
                    a += stride
                    b += stride
                    line += 1
            for j in range(nv):
                group[j] = group[j] + chain[j]
        for j in range(nv):
            add_exactly(&sums[j], &excess[j], group[j])
    for j in range(nv):
        store_part(ragged, total + j * VL, without_excess(sums[j], excess[j]), tail)
