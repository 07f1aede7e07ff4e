# The one seam for matrix products: c (rows, columns) = start + a (rows, depth) . b (depth, columns).
#
# The product is cut into register tiles of up to TILE_VECTORS vectors by as many rows as there are
# accumulators for, which stay in registers while k runs. One element of the result is therefore one
# chain of fused multiply-adds in ascending k, whatever tile it fell into and wherever the depth is cut:
# the bits depend neither on the CPU level's tile nor on how work is split over output tiles.
#
# * c and start are rows of reals. `start` is NULL (zero), a row used for every row of c (start_row 0: a
#   bias) or c itself (start_row ldc: accumulate).
# * Where there is a `scale`, a column of that is multiplied by its scale and its shift is added; where `relu`, c is
#   what is above zero of that. Both cost next to nothing here.
# * a is read one real at a time through two strides, one of them 1, so its transpose (a_row 1) costs nothing.
# * b is read in panels of PANEL columns, which lie b_panel apart, with ldb from one k to the next. A
#   matrix as it stands has panels b_panel = PANEL apart; `pack` and `pack_transposed` make panels that
#   are contiguous, which is faster by half where the rows of b are long.

cdef extern from *:
    """
    #define PANEL (TILE_VECTORS * VL)
    /* Rows of a tile nv vectors wide. Compilers give each of a's rows an address register unless they
     * are next to each other in memory, and keep acc in memory rather than unroll beyond 16. */
    #define TILE_ROWS(nv, unit) fw_least(TILE_ACCUMULATORS / (nv), (unit) ? 12 : 8)
    #define fw_least(a, b) ((a) < (b) ? (a) : (b))
    static const real FW_ZEROS[PANEL];
    """
    const Py_ssize_t PANEL
    int TILE_ROWS(int nv, bint unit) nogil
    const real* ZEROS "FW_ZEROS"

# Depth that is gone through at a time: a panel this deep stays in the second-level cache with a's rows.
cdef enum: DEPTH_BLOCK = 512
# Bytes of b from which its panels are not taken to be in the second-level cache: they are fetched ahead.
cdef enum: FAR_BYTES = 262144
cdef enum: LINE_BYTES = 64
# Bytes from row to row of a from which few of its lines find room in the cache at once, since they fall
# on the same places. Such rows are copied together, LEFT_STRIDE apart, if there is room for it.
cdef enum: LONG_ROW_BYTES = 8192
cdef enum: LEFT_STRIDE = DEPTH_BLOCK + 16


cdef struct Product:
    real* c
    Py_ssize_t ldc
    const real* a
    Py_ssize_t a_row
    Py_ssize_t a_k
    const real* b
    Py_ssize_t ldb
    Py_ssize_t b_panel
    const real* start
    Py_ssize_t start_row
    Py_ssize_t depth
    const real* scale           # (columns,), or NULL ...
    const real* shift           # ... and likewise
    bint relu
    real* left                  # room for LEFT_STRIDE reals for each row of a, or NULL


# A walk through memory that is to be in the cache soon: `pace` bytes further with every step of k.
cdef struct Fetch:
    const char* at
    Py_ssize_t pace


# mr rows of nv vectors, which begin with this column. These, unit (a_row is 1) and ragged are constants where this is inlined, so the
# loops over them unroll and the accumulators live in registers. Where ragged, the last vector is a tail.
# fetch may be NULL, which is a constant too; where it is not, b is packed.
cdef inline void tile(const int mr, const int nv, const bint unit, const bint ragged, const Product* p,
                      real* c, const real* a, const real* b, const real* start, Py_ssize_t start_row,
                      Py_ssize_t column, vtail tail, Fetch* fetch) noexcept nogil:
    cdef vreal[TILE_ACCUMULATORS] acc
    cdef vreal[TILE_VECTORS] line
    cdef vreal factor
    # The fewer numbers the loop over k needs, the more of them have a register.
    cdef Py_ssize_t a_row = 1 if unit else p.a_row, a_k = p.a_k if unit else 1
    cdef Py_ssize_t ldb = p.ldb if fetch == NULL else PANEL
    cdef const real* end = b + p.depth * ldb
    cdef Py_ssize_t ldc = p.ldc
    # With two addresses four rows apart, every row's is one of them plus a few times a_row.
    cdef const real* further = a + 4 * a_row
    cdef int i, j
    if start_row == 0:
        for j in range(nv):
            line[j] = load_part(ragged and j == nv - 1, start + j * VL, tail)
        for i in range(mr):
            for j in range(nv):
                acc[i * nv + j] = line[j]
    else:
        for i in range(mr):
            for j in range(nv):
                acc[i * nv + j] = load_part(ragged and j == nv - 1, start + i * start_row + j * VL, tail)
    while b != end:
        if fetch != NULL:
            vprefetch(fetch.at)
            fetch.at += fetch.pace
        for j in range(nv):
            line[j] = load_part(ragged and j == nv - 1, b + j * VL, tail)
        for i in range(mr):
            factor = vset1(a[i * a_row] if i < 4 or unit else further[(i - 4) * a_row])
            for j in range(nv):
                acc[i * nv + j] = vfma(factor, line[j], acc[i * nv + j])
        a += a_k
        further += a_k
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
            store_part(ragged and j == nv - 1, c + j * VL, acc[i * nv + j], tail)
        c += ldc


# All rows of one panel of nv vectors: whole tiles, then what is left of them. Meanwhile, where far (a
# constant), the panel at `next` comes into the cache, a part with every whole tile.
cdef inline void panel(const int nv, const bint unit, const bint ragged, const Product* p,
                       Py_ssize_t rows, Py_ssize_t number, vtail tail, const bint far,
                       const real* next) noexcept nogil:
    cdef const real* b = p.b + number * p.b_panel
    cdef const real* start = ZEROS if p.start == NULL else p.start + number * PANEL
    cdef Py_ssize_t start_row = 0 if p.start == NULL else p.start_row
    cdef const real* a = p.a
    cdef real* c = p.c + number * PANEL
    cdef Py_ssize_t row = 0, done
    cdef Fetch fetch
    if far:
        fetch.at = <const char*>next
        fetch.pace = min(<Py_ssize_t>LINE_BYTES,
                         PANEL * <Py_ssize_t>sizeof(real) * TILE_ROWS(nv, unit) // max(rows, <Py_ssize_t>1))
    while row < rows:
        if rows - row >= TILE_ROWS(nv, unit):
            tile(TILE_ROWS(nv, unit), nv, unit, ragged, p, c, a, b, start, start_row, number * PANEL, tail,
                 &fetch if far else NULL)
            done = TILE_ROWS(nv, unit)
        elif TILE_ROWS(nv, unit) > 8 and rows - row >= 8:
            tile(8, nv, unit, ragged, p, c, a, b, start, start_row, number * PANEL, tail, NULL)
            done = 8
        elif TILE_ROWS(nv, unit) > 4 and rows - row >= 4:
            tile(4, nv, unit, ragged, p, c, a, b, start, start_row, number * PANEL, tail, NULL)
            done = 4
        elif TILE_ROWS(nv, unit) > 2 and rows - row >= 2:
            tile(2, nv, unit, ragged, p, c, a, b, start, start_row, number * PANEL, tail, NULL)
            done = 2
        else:
            tile(1, nv, unit, ragged, p, c, a, b, start, start_row, number * PANEL, tail, NULL)
            done = 1
        row += done
        a += done * p.a_row
        c += done * p.ldc
        start += done * start_row


# The panel of the columns that are left over, up to TILE_VECTORS vectors of them.
cdef inline void last_panel(const bint unit, const Product* p, Py_ssize_t rows, Py_ssize_t number,
                            Py_ssize_t columns) noexcept nogil:
    cdef vtail tail = vtail_of(1 + (columns - 1) % VL)
    if TILE_VECTORS > 3 and columns > 3 * VL:
        panel(TILE_VECTORS, unit, True, p, rows, number, tail, False, NULL)
    elif TILE_VECTORS > 2 and columns > 2 * VL:
        panel(3 if TILE_VECTORS > 2 else 1, unit, True, p, rows, number, tail, False, NULL)
    elif columns > VL:
        panel(2, unit, True, p, rows, number, tail, False, NULL)
    elif columns > 0:
        panel(1, unit, True, p, rows, number, tail, False, NULL)


# `next` (where far) is the panel that will be read after these.
cdef inline void all_panels(const bint unit, const bint far, const Product* p, Py_ssize_t rows,
                            Py_ssize_t columns, const real* next) noexcept nogil:
    cdef Py_ssize_t number = 0
    while columns >= PANEL:
        columns -= PANEL
        panel(TILE_VECTORS, unit, False, p, rows, number, vtail_of(0), far,
              p.b + (number + 1) * p.b_panel if columns > 0 else next)
        number += 1
    last_panel(unit, p, rows, number, columns)


cdef void panels(const Product* p, Py_ssize_t rows, Py_ssize_t columns, const real* next) noexcept nogil:
    cdef bint far = p.ldb == PANEL and columns * p.depth * <Py_ssize_t>sizeof(real) > FAR_BYTES
    if p.a_row == 1:
        if far:
            all_panels(True, True, p, rows, columns, next)
        else:
            all_panels(True, False, p, rows, columns, NULL)
    elif far:
        all_panels(False, True, p, rows, columns, next)
    else:
        all_panels(False, False, p, rows, columns, NULL)


cdef void matmul(const Product* product, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Product p
    cdef const real* a = product.a
    cdef Py_ssize_t left = product.depth
    cdef bint gathered = (product.left != NULL
                          and product.a_row * <Py_ssize_t>sizeof(real) >= LONG_ROW_BYTES)
    if left <= DEPTH_BLOCK and not gathered:
        # Without a copy of what has just been written: a processor waits for that to arrive in its cache.
        panels(product, rows, columns, product.b)
        return
    p = product[0]
    while True:
        p.depth = min(left, <Py_ssize_t>DEPTH_BLOCK)
        left -= p.depth
        p.scale = product.scale if left == 0 else NULL
        p.relu = product.relu and left == 0
        p.a = a
        if gathered:
            copy_rows(p.left, LEFT_STRIDE, a, product.a_row, rows, p.depth)
            p.a = p.left
            p.a_row = LEFT_STRIDE
        # After the last block comes, as a rule, the first one for other rows.
        panels(&p, rows, columns, p.b + p.depth * p.ldb if left > 0 else product.b)
        if left == 0:
            return
        # The chains go on from where they stand in c.
        p.start = p.c
        p.start_row = p.ldc
        a += p.depth * p.a_k
        p.b += p.depth * p.ldb


# to (rows, columns) with ldt = a (rows, columns) with lda.
cdef inline void copy_rows(real* to, Py_ssize_t ldt, const real* a, Py_ssize_t lda, Py_ssize_t rows,
                           Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(rows):
        memcpy(to + row * ldt, a + row * lda, columns * sizeof(real))


# ---- packing -------------------------------------------------------------------------------------

# What `pack` needs for a matrix of depth x columns.
cdef inline Py_ssize_t packed_reals(Py_ssize_t depth, Py_ssize_t columns) noexcept nogil:
    return (columns + PANEL - 1) // PANEL * PANEL * depth


# Rows of b that are packed at a time: so many streams of memory are read ahead by the hardware.
cdef enum: PACK_ROWS = 8


# b (depth, columns) as panels (depth, PANEL), of which the last is filled up with zeros.
cdef void pack(real* panels, Py_ssize_t panel_stride, const real* b, Py_ssize_t depth,
               Py_ssize_t columns) noexcept nogil:
    cdef vtail[TILE_VECTORS] tails
    cdef Py_ssize_t k = 0, left
    cdef int j
    for j in range(TILE_VECTORS):
        left = columns % PANEL - j * VL
        tails[j] = vtail_of(min(max(left, <Py_ssize_t>0), <Py_ssize_t>VL))
    while k < depth:
        pack_rows(panels + k * PANEL, panel_stride, b + k * columns, min(depth - k, <Py_ssize_t>PACK_ROWS),
                  columns, tails)
        k += PACK_ROWS


# The same for a few rows; tails of the last panel if it is not whole.
cdef inline void pack_rows(real* panels, Py_ssize_t panel_stride, const real* b, Py_ssize_t rows,
                           Py_ssize_t columns, const vtail* tails) noexcept nogil:
    cdef Py_ssize_t column = 0, k
    cdef real* line
    cdef int j
    while column < columns:
        line = panels
        for k in range(rows):
            for j in range(TILE_VECTORS):
                if column + PANEL <= columns:
                    vstore(line + j * VL, vload(b + k * columns + column + j * VL))
                else:
                    vstore(line + j * VL, vload_tail(b + k * columns + column + j * VL, tails[j]))
            line += PANEL
        panels += panel_stride
        column += PANEL


# block (VL, VL) transposed, by log2(VL) perfect shuffles of its rows.
cdef inline void transpose_block(vreal* block) noexcept nogil:
    cdef vreal[VL] shuffled
    cdef int i, width = 1
    while width < VL:
        for i in range(VL // 2):
            shuffled[2 * i] = vzip_low(block[i], block[i + VL // 2])
            shuffled[2 * i + 1] = vzip_high(block[i], block[i + VL // 2])
        for i in range(VL):
            block[i] = shuffled[i]
        width *= 2


# at (columns, rows) with leading dimension ldt = columns [column, column + VL) of VL rows of a,
# of which those that exist are read; where at has no room for a whole vector it gets a tail.
cdef inline void transpose_strip(real* at, Py_ssize_t ldt, const real* a, Py_ssize_t lda,
                                 Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t room) noexcept nogil:
    cdef vreal[VL] block
    cdef Py_ssize_t column = 0
    cdef int i
    while column < columns:
        for i in range(VL):
            if i < rows:
                block[i] = load_first(a + i * lda + column, columns - column)
            else:
                block[i] = vzero()
        transpose_block(block)
        for i in range(VL):
            if i < columns - column:
                store_first(at + (column + i) * ldt, block[i], room)
        column += VL


# Rows [begin, end) of a (rows, columns), transposed, into the panels that `pack` would make of its
# transpose. begin is a multiple of LANES, and so is end unless it is rows.
cdef void pack_transposed(real* packed, const real* a, Py_ssize_t rows, Py_ssize_t columns,
                          Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row = begin
    if end == rows:
        end = (rows + PANEL - 1) // PANEL * PANEL
    while row < end:
        transpose_strip(packed + row // PANEL * PANEL * columns + row % PANEL, PANEL, a + row * columns,
                        columns, rows - row, columns, VL)
        row += VL


# at (columns, rows) with leading dimension ldt = a (rows, columns), with lda, transposed.
cdef void transpose(real* at, Py_ssize_t ldt, const real* a, Py_ssize_t lda, Py_ssize_t rows,
                    Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t row = 0
    while row < rows:
        transpose_strip(at + row, ldt, a + row * lda, lda, rows - row, columns, rows - row)
        row += VL
