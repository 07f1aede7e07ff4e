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
    /* The same number, of which the compiler knows nothing: it would keep differences of addresses, in memory. */
    static inline Py_ssize_t fw_unknown(Py_ssize_t n)
    {
    #if defined(__GNUC__)
        __asm__("" : "+r"(n));
    #endif
        return n;
    }
    """
    int SEGMENTED_ROWS(int nv) nogil
    Py_ssize_t unknown "fw_unknown"(Py_ssize_t n) nogil

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
    Py_ssize_t skip             # rows of b that are left out after each outer segment
    const real* start
    bint goes_on
    const real* scale           # (columns,), or NULL ...
    const real* shift           # ... and likewise
    bint relu


# acc (mr, nv) += the product of mr rows by nv vectors. All but p, rows and b are constants where this is inlined, so
# that loops over rows and vectors unroll and the accumulators live in registers.
cdef inline void add_segments(const int mr, const int nv, const bint packed, const bint ragged, vreal* acc,
                              const Segmented* p, const real** rows, const real* b, vtail tail) noexcept nogil:
    cdef vreal[TILE_VECTORS] line
    cdef vreal factor
    # In bytes, which an address takes as they are.
    cdef Py_ssize_t a_k = sizeof(real) * (1 if packed else p.a_k), ldb = nv * VL if packed else p.ldb
    cdef Py_ssize_t outer, inner, at, end
    cdef int i, j
    for outer in range(p.outer):
        for inner in range(p.inner):
            at = (outer * p.outer_step + inner * p.inner_step) * <Py_ssize_t>sizeof(real)
            end = at + p.length * a_k
            while at != end:
                for j in range(nv):
                    line[j] = load_part(ragged and j == nv - 1, b + j * VL, tail)
                for i in range(mr):
                    factor = vset1((<const real*>(<const char*>rows[i] + at))[0])
                    for j in range(nv):
                        acc[i * nv + j] = vfma(factor, line[j], acc[i * nv + j])
                at = unknown(at + a_k)
                b += ldb
        b += p.skip * ldb


# mr rows of nv vectors, which begin with this column; the last vector is a tail where ragged.
cdef inline void segmented_tile(const int mr, const int nv, const bint packed, const bint ragged, const Segmented* p,
                                const Py_ssize_t* a_at, const Py_ssize_t* c_at, const real* b, Py_ssize_t column,
                                vtail tail) noexcept nogil:
    cdef vreal[TILE_ACCUMULATORS] acc
    cdef vreal[TILE_VECTORS] line
    cdef vreal factor
    cdef const real* rows[TILE_ACCUMULATORS]
    cdef real* c = p.c + column
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
    add_segments(mr, nv, packed, ragged and not packed, acc, p, rows, b, tail)
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
cdef inline void filled_tile(const int mr, const int nv, const bint packed, const Segmented* p, Py_ssize_t row,
                             Py_ssize_t rows, const real* b, Py_ssize_t column, vtail tail) noexcept nogil:
    cdef Py_ssize_t[TILE_ACCUMULATORS] a_at, c_at
    cdef Py_ssize_t i
    for i in range(mr):
        a_at[i] = p.a_at[min(row + i, rows - 1)]
        c_at[i] = p.c_at[min(row + i, rows - 1)]
    segmented_tile(mr, nv, packed, True, p, a_at, c_at, b, column, tail)


# All rows of the nv vectors that begin with this column, of which the last one is a tail if it is not whole.
cdef inline void segmented_panel(const int nv, const bint packed, const Segmented* p, Py_ssize_t rows,
                                 Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    cdef const real* b = p.b + column * p.depth + p.first * nv * VL if packed else p.b + column
    cdef bint whole = columns - column >= nv * VL
    cdef vtail tail = vtail_of(min(<Py_ssize_t>VL, columns - column - (nv - 1) * VL))
    cdef Py_ssize_t row = 0
    while rows - row >= SEGMENTED_ROWS(nv):
        if whole:
            segmented_tile(SEGMENTED_ROWS(nv), nv, packed, False, p, p.a_at + row, p.c_at + row, b, column, tail)
        else:
            segmented_tile(SEGMENTED_ROWS(nv), nv, packed, True, p, p.a_at + row, p.c_at + row, b, column, tail)
        row += SEGMENTED_ROWS(nv)
    if rows - row > FEW_ROWS:
        filled_tile(SEGMENTED_ROWS(nv), nv, packed, p, row, rows, b, column, tail)
    elif rows > row:
        filled_tile(FEW_ROWS, nv, packed, p, row, rows, b, column, tail)


# Each in a function of its own, which has all registers for itself.
ctypedef void (*segmented_function)(const Segmented* p, Py_ssize_t rows, Py_ssize_t column,
                                    Py_ssize_t columns) noexcept nogil

cdef void packed_panel_1(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(1, True, p, rows, column, columns)


cdef void packed_panel_2(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(2, True, p, rows, column, columns)


cdef void packed_panel_3(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(min(3, TILE_VECTORS), True, p, rows, column, columns)


cdef void packed_panel_4(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(TILE_VECTORS, True, p, rows, column, columns)


cdef void plain_panel_1(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(1, False, p, rows, column, columns)


cdef void plain_panel_2(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(2, False, p, rows, column, columns)


cdef void plain_panel_3(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(min(3, TILE_VECTORS), False, p, rows, column, columns)


cdef void plain_panel_4(const Segmented* p, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) noexcept nogil:
    segmented_panel(TILE_VECTORS, False, p, rows, column, columns)


cdef segmented_function[8] SEGMENTED_PANELS = [
    packed_panel_1, packed_panel_2, packed_panel_3, packed_panel_4, plain_panel_1, plain_panel_2, plain_panel_3,
    plain_panel_4,
]


cdef void segmented(const Segmented* p, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t column = 0, vectors
    while column < columns:
        vectors = min(<Py_ssize_t>TILE_VECTORS, (columns - column + VL - 1) // VL)
        SEGMENTED_PANELS[(0 if p.ldb == 0 else 4) + vectors - 1](p, rows, column, columns)
        column += PANEL


# ---- packing: panels of up to PANEL columns, each (depth, width), the last one as wide as its vectors are ----------

cdef inline Py_ssize_t panels_width(Py_ssize_t columns) noexcept nogil:
    return (columns + VL - 1) // VL * VL


# Where element (k, column) of a matrix stands, and how far it is from there to the next k.
cdef inline Py_ssize_t place_in_panels(Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t k, Py_ssize_t column,
                                       Py_ssize_t* stride) noexcept nogil:
    cdef Py_ssize_t begin = column // PANEL * PANEL
    stride[0] = min(<Py_ssize_t>PANEL, panels_width(columns) - begin)
    return begin * depth + k * stride[0] + column - begin
