# Products whose left-hand rows lie anywhere and come in segments: what convolutions are made of.
#
#     c_i (columns,) = start + a_i (depth,) . b (depth, columns)        for each of `rows` rows
#
# Row i of a begins at a + a_at[i] and is outer x inner segments of `length` reals, a_k apart, which begin at the
# same places for all rows; row i of c stands at c + c_at[i]. So a row of patches is read where it lies in its image,
# and tiles run on across the ends of image rows and of images. As in matmul.pxi an element is one chain of fused
# multiply-adds in ascending k. `start` is one row for all, NULL (zero), or, where it `goes_on`, c itself. scale,
# shift and relu are those of a Product.
#
# b is packed (see `place_in_panels`), or a matrix as it stands whose rows are ldb apart.

cdef extern from *:
    """
    /* Rows of a tile nv vectors wide: each has an address register, and there are accumulators enough to hide how
     * long a multiply-add takes. */
    #define SEGMENTED_ROWS(nv) fw_least(TILE_ACCUMULATORS / (nv), (nv) == 1 ? 10 : 8)
    """
    int SEGMENTED_ROWS(int nv) nogil

# Rows of the tile for what is left over.
cdef enum: FEW_ROWS = 4


cdef struct Segmented:
    real* c
    const Py_ssize_t* c_at
    const real* a
    const Py_ssize_t* a_at
    Py_ssize_t outer
    Py_ssize_t outer_step
    Py_ssize_t inner
    Py_ssize_t inner_step
    Py_ssize_t length
    Py_ssize_t a_k
    const real* b
    Py_ssize_t ldb              # 0: packed ...
    Py_ssize_t depth            # ... as a matrix of this depth, ...
    Py_ssize_t first            # ... of which the rows from this one on are read
    const real* start
    bint goes_on
    const real* scale           # (columns,), or NULL ...
    const real* shift           # ... and likewise
    bint relu


# mr rows of nv vectors, which begin with this column. These, packed and ragged are constants where this is inlined.
cdef inline void segmented_tile(const int mr, const int nv, const bint packed, const bint ragged, const Segmented* p,
                                const Py_ssize_t* a_at, const Py_ssize_t* c_at, const real* b, Py_ssize_t column,
                                vtail tail) noexcept nogil:
    cdef vreal[TILE_ACCUMULATORS] acc
    cdef vreal[TILE_VECTORS] line
    cdef vreal factor
    cdef const real* rows[TILE_ACCUMULATORS]
    cdef real* c = p.c + column
    cdef Py_ssize_t ldb = nv * VL if packed else p.ldb, a_k = 1 if packed else p.a_k
    cdef Py_ssize_t outer, inner, at, end
    cdef int i, j
    for i in range(mr):
        rows[i] = p.a + a_at[i]
    if p.goes_on:
        for i in range(mr):
            for j in range(nv):
                acc[i * nv + j] = load_part(ragged and j == nv - 1, c + c_at[i] + j * VL, tail)
    else:
        for j in range(nv):
            line[j] = vzero() if p.start == NULL else load_part(ragged and j == nv - 1, p.start + column + j * VL, tail)
        for i in range(mr):
            for j in range(nv):
                acc[i * nv + j] = line[j]
    for outer in range(p.outer):
        for inner in range(p.inner):
            at = outer * p.outer_step + inner * p.inner_step
            end = at + p.length * a_k
            while at != end:
                for j in range(nv):
                    line[j] = load_part(ragged and not packed and j == nv - 1, b + j * VL, tail)
                for i in range(mr):
                    factor = vset1(rows[i][at])
                    for j in range(nv):
                        acc[i * nv + j] = vfma(factor, line[j], acc[i * nv + j])
                at += a_k
                b += ldb
    if p.scale != NULL:
        for j in range(nv):
            line[j] = load_part(ragged and j == nv - 1, p.scale + column + j * VL, tail)
            factor = load_part(ragged and j == nv - 1, p.shift + column + j * VL, tail)
            for i in range(mr):
                acc[i * nv + j] = vfma(acc[i * nv + j], line[j], factor)
    if p.relu:
        for i in range(mr):
            for j in range(nv):
                acc[i * nv + j] = vmax(vzero(), acc[i * nv + j])
    for i in range(mr):
        for j in range(nv):
            store_part(ragged and j == nv - 1, c + c_at[i] + j * VL, acc[i * nv + j], tail)


# The last rows of a panel, fewer than a tile of mr: it does the last one of them more than once.
cdef inline void filled_tile(const int mr, const int nv, const bint packed, const bint ragged, const Segmented* p,
                             Py_ssize_t row, Py_ssize_t rows, const real* b, Py_ssize_t column,
                             vtail tail) noexcept nogil:
    cdef Py_ssize_t[TILE_ACCUMULATORS] a_at, c_at
    cdef Py_ssize_t i
    for i in range(mr):
        a_at[i] = p.a_at[min(row + i, rows - 1)]
        c_at[i] = p.c_at[min(row + i, rows - 1)]
    segmented_tile(mr, nv, packed, ragged, p, a_at, c_at, b, column, tail)


# All rows of the nv vectors that begin with this column.
cdef inline void segmented_panel(const int nv, const bint packed, const bint ragged, const Segmented* p,
                                 Py_ssize_t rows, Py_ssize_t column, vtail tail) noexcept nogil:
    cdef const real* b = p.b + column * p.depth + p.first * nv * VL if packed else p.b + column
    cdef Py_ssize_t row = 0
    while rows - row >= SEGMENTED_ROWS(nv):
        segmented_tile(SEGMENTED_ROWS(nv), nv, packed, ragged, p, p.a_at + row, p.c_at + row, b, column, tail)
        row += SEGMENTED_ROWS(nv)
    if rows - row > FEW_ROWS:
        filled_tile(SEGMENTED_ROWS(nv), nv, packed, ragged, p, row, rows, b, column, tail)
    elif rows - row > 1:
        filled_tile(FEW_ROWS, nv, packed, ragged, p, row, rows, b, column, tail)
    elif rows > row:
        segmented_tile(1, nv, packed, ragged, p, p.a_at + row, p.c_at + row, b, column, tail)


cdef inline void segmented_panels(const bint packed, const Segmented* p, Py_ssize_t rows,
                                  Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t column = 0
    cdef vtail tail = vtail_of(1 + (columns - 1) % VL)
    while column + PANEL <= columns:
        segmented_panel(TILE_VECTORS, packed, False, p, rows, column, tail)
        column += PANEL
    columns -= column
    if TILE_VECTORS > 3 and columns > 3 * VL:
        segmented_panel(TILE_VECTORS, packed, True, p, rows, column, tail)
    elif TILE_VECTORS > 2 and columns > 2 * VL:
        segmented_panel(3 if TILE_VECTORS > 2 else 1, packed, True, p, rows, column, tail)
    elif columns > VL:
        segmented_panel(2, packed, True, p, rows, column, tail)
    elif columns > 0:
        segmented_panel(1, packed, True, p, rows, column, tail)


cdef void segmented(const Segmented* p, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    if p.ldb == 0:
        segmented_panels(True, p, rows, columns)
    else:
        segmented_panels(False, p, rows, columns)


# ---- packing: panels of up to PANEL columns, each (depth, width), the last one as wide as its vectors are ----------

cdef inline Py_ssize_t panels_width(Py_ssize_t columns) noexcept nogil:
    return (columns + VL - 1) // VL * VL


# Where element (k, column) of a matrix stands, and how far it is from there to the next k.
cdef inline Py_ssize_t place_in_panels(Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t k, Py_ssize_t column,
                                       Py_ssize_t* stride) noexcept nogil:
    cdef Py_ssize_t begin = column // PANEL * PANEL
    stride[0] = min(<Py_ssize_t>PANEL, panels_width(columns) - begin)
    return begin * depth + k * stride[0] + column - begin
