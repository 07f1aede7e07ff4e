# What the rows or columns of a matrix cost that are not orthogonal: factor times the sum over all pairs of them of
# |u_i . u_j|, u being a vector v divided by its norm (no less than 1e-7).
#
#     d cost / d u_i = g_i = factor * sum over j of sign(u_i . u_j) u_j,    j other than i
#     d cost / d v_i = (g_i - u_i (u_i . g_i)) / |v_i|,    or g_i / 1e-7 below that norm
#
# units (vectors, length) holds the u, turned (length, vectors) the same transposed: so both are products with a
# matrix as it stands, for some vectors at a time.

cdef enum: MATRIX_BLOCK = 32


cdef Py_ssize_t matrix_workspace_reals(const Matrix* m) noexcept nogil:
    # Products of the units of a block of vectors with all, and what their signs make of these
    return MATRIX_BLOCK * (m.vectors + m.length)


# Fills units, turned and norms for vectors [begin, end).
cdef void matrix_units(const Matrix* m, const void* parameters, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* w = <const real*>parameters + m.begin
    cdef real* units = <real*>m.units
    cdef real* turned = <real*>m.turned
    cdef Py_ssize_t inner = m.vectors if m.are_columns else 1, step = 1 if m.are_columns else m.length, i = begin, k
    cdef int count, j
    cdef double norm
    cdef real unit
    while i < end:
        count = groups_at_once(i, end, inner)
        find_norms(m.norms + i, w + i * step, m.length, inner, count)
        for j in range(count):
            norm = fmax(m.norms[i], NORM_EPSILON)
            for k in range(m.length):
                unit = <real>(<double>w[i * step + k * inner] / norm)   # which may be beyond a real
                units[i * m.length + k] = unit
                turned[k * m.vectors + i] = unit
            i += 1


# products (vectors,) of one vector, the one with itself being 0, become their signs; returns the sum of their sizes.
cdef inline double take_signs(real* products, Py_ssize_t vectors) noexcept nogil:
    cdef double size = penalty(products, 0, vectors, 1.0, 0.0)
    cdef Py_ssize_t i = 0
    cdef vreal product
    while i < vectors:
        product = load_first(products + i, vectors - i)
        store_first(products + i, sign_of(product), vectors - i)
        i += VL
    return size


# Fills costs and, unless that is NULL, gradients for vectors [begin, end), once all units are there.
cdef void matrix_penalty(const Matrix* m, void* workspace, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* units = <const real*>m.units
    cdef real* products = <real*>workspace
    cdef real* sums = products + MATRIX_BLOCK * m.vectors
    cdef Py_ssize_t first = begin, rows, i
    while first < end:
        rows = min(<Py_ssize_t>MATRIX_BLOCK, end - first)
        multiply_plain(products, units + first * m.length, m.length, 1, <const real*>m.turned, rows, m.vectors, m.length)
        for i in range(rows):
            products[i * m.vectors + first + i] = 0.0
            m.costs[first + i] = 0.5 * m.factor * take_signs(products + i * m.vectors, m.vectors)
        if m.gradients != NULL:
            multiply_plain(sums, products, m.vectors, 1, units, rows, m.length, m.vectors)
            for i in range(rows):
                matrix_gradient(m, sums + i * m.length, first + i)
        first += rows


# The gradient by vector i, from the sum of its fellows' units by their signs.
cdef inline void matrix_gradient(const Matrix* m, const real* sums, Py_ssize_t i) noexcept nogil:
    cdef const real* unit = <const real*>m.units + i * m.length
    cdef real* gradient = <real*>m.gradients + (i if m.are_columns else i * m.length)
    cdef Py_ssize_t inner = m.vectors if m.are_columns else 1, k
    cdef double along = 0.0, share = m.factor / fmax(m.norms[i], NORM_EPSILON)
    if m.norms[i] > NORM_EPSILON:
        for k in range(m.length):
            along += <double>unit[k] * sums[k]
    for k in range(m.length):
        gradient[k * inner] = <real>(share * (sums[k] - along * unit[k]))


# Adds the gradient of what the matrix costs to that of parameters [begin, end), all of which are its own.
cdef void penalise_matrix(void* gradients, const Matrix* m, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef const real* more = <const real*>m.gradients - m.begin
    cdef Py_ssize_t i = begin
    while i < end:
        store_first(g + i, load_first(g + i, end - i) + load_first(more + i, end - i), end - i)
        i += VL
