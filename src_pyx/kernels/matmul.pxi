# The one seam for matrix products: c (rows, columns) = start + a (rows, depth) . b (depth, columns).
#
# The product is cut into register tiles of TILE_ROWS x TILE_VECTORS vectors that stay in
# accumulators while k runs over the whole depth. One element of the result is therefore one chain
# of fused multiply-adds in ascending k, whatever tile it fell into: the bits depend neither on the
# CPU level's tile nor on how work is split over output tiles.
#
# a is read through two strides, so that its transpose costs nothing; b and c are rows of reals
# with leading dimensions ldb and ldc. `start` is NULL (zero), a row of `columns` reals used for
# every row of c (start_stride 0: a bias) or c itself (start_stride ldc: accumulate).

cdef struct Product:
    real* c
    Py_ssize_t ldc
    const real* a
    Py_ssize_t a_row
    Py_ssize_t a_k
    const real* b
    Py_ssize_t ldb
    const real* start
    Py_ssize_t start_stride
    Py_ssize_t depth


cdef inline void tile(const int mr, const int nv, const bint ragged, const Product* p,
                      Py_ssize_t row, Py_ssize_t column, vtail tail) noexcept nogil:
    # mr, nv and ragged are constants where this is inlined, so the loops over them unroll and the
    # accumulators live in registers. Where ragged, the last vector is a tail.
    cdef vreal acc[TILE_ROWS * TILE_VECTORS]
    cdef vreal line[TILE_VECTORS]
    cdef vreal factor
    cdef const real* a = p.a + row * p.a_row
    cdef const real* b = p.b + column
    cdef const real* start = NULL if p.start == NULL else p.start + row * p.start_stride + column
    cdef real* c = p.c + row * p.ldc + column
    cdef Py_ssize_t a_row = p.a_row, a_k = p.a_k, ldb = p.ldb, k
    cdef int i, j
    for i in range(mr):
        for j in range(nv):
            if start == NULL:
                acc[i * nv + j] = vzero()
            else:
                acc[i * nv + j] = load_part(ragged and j == nv - 1,
                                            start + i * p.start_stride + j * VL, tail)
    for k in range(p.depth):
        for j in range(nv):
            line[j] = load_part(ragged and j == nv - 1, b + j * VL, tail)
        for i in range(mr):
            factor = vset1(a[i * a_row])
            for j in range(nv):
                acc[i * nv + j] = vfma(factor, line[j], acc[i * nv + j])
        a += a_k
        b += ldb
    for i in range(mr):
        for j in range(nv):
            store_part(ragged and j == nv - 1, c + i * p.ldc + j * VL, acc[i * nv + j], tail)


cdef inline void panel(const int nv, const bint ragged, const Product* p,
                       Py_ssize_t rows, Py_ssize_t column, vtail tail) noexcept nogil:
    cdef Py_ssize_t row = 0
    while rows - row >= TILE_ROWS:
        tile(TILE_ROWS, nv, ragged, p, row, column, tail)
        row += TILE_ROWS
    if TILE_ROWS > 4 and rows - row >= 4:
        tile(4, nv, ragged, p, row, column, tail)
        row += 4
    if rows - row >= 2:
        tile(2, nv, ragged, p, row, column, tail)
        row += 2
    if rows - row >= 1:
        tile(1, nv, ragged, p, row, column, tail)


cdef void matmul(const Product* p, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t column = 0, left
    cdef vtail tail
    while columns - column >= TILE_VECTORS * VL:
        panel(TILE_VECTORS, False, p, rows, column, vtail_of(0))
        column += TILE_VECTORS * VL
    left = columns - column
    if left == 0:
        return
    tail = vtail_of(left % VL)
    if left % VL == 0:
        if left == VL:
            panel(1, False, p, rows, column, tail)
        else:
            panel(2, False, p, rows, column, tail)
    elif left < VL:
        panel(1, True, p, rows, column, tail)
    elif left < 2 * VL or TILE_VECTORS < 3:
        panel(2, True, p, rows, column, tail)
    else:
        panel(3, True, p, rows, column, tail)
