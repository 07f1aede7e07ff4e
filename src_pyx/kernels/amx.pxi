# Products of float32 matrices by bfloat16 tiles (AMX): c (rows, columns) = start + a (rows, depth) .
# b (depth, columns), with c and start as in matmul.pxi.
#
# A real is split into bfloat16 parts, x = x0 + x1 + x2: each is the bfloat16 nearest to what those before
# it leave, and after three nothing is left. How many there are is the precision. A product has the terms
# that are not smaller than what is lost anyway:
#
#     HIGHEST  3 parts   a0b0 + (a0b1 + a1b0) + (a0b2 + a1b1 + a2b0)    as exact as a float32 sum
#     HIGH     2 parts   a0b0 + (a0b1 + a1b0)                           3 / 2^16 of |a| |b| at most
#     MEDIUM   1 part    a0b0                                           2 / 2^8 of |a| |b| at most
#
# The depth is cut into blocks, each summed in the tile registers from zero and then added to c, so that
# rounding errors grow with the number of blocks. Where it is cut depends on nothing but the precision:
# the bits of an element are the same however the product is cut into rectangles. They are not those of
# matmul.pxi.
#
# * NaN and infinity come out as in a float32 product: what is not finite goes into the last part and its
#   sign into the first, so that it meets the other operand's first part once and else zeros.
# * A finite number that rounds to infinity as a bfloat16 gets the largest one, and its other parts make
#   up for it. A result within 1 % of the largest float32 may be infinite, and one beyond 2^7 times the
#   largest may be NaN instead of infinite.
# * Tiles take subnormal numbers for zero, also among the parts: a number below 2^-103 may lose bits, and
#   one below 2^-126 is lost.

cdef extern from "tiles.h" nogil:
    enum: FW_TILES
    vreal vbfloat16(vreal a)
    vreal vpair(vreal first, vreal second)
    void tiles_begin()
    void tiles_end()
    void tile_zero(int t)
    void tile_load(int t, const void* rows, Py_ssize_t stride)
    void tile_store(int t, void* rows, Py_ssize_t stride)
    void tile_multiply(int c, int a, int b)

cdef enum: MEDIUM = 1, HIGH = 2, HIGHEST = 3
# A tile is LANES rows of LANES words, and LANES * 2 deep.
cdef extern from *:
    """
    #define TILE (LANES * LANES)
    #define FW_LARGEST_BFLOAT16 3.3895313892515355e38
    #define FW_LARGEST_FLOAT32 3.4028234663852886e38
    static const real FW_NO_START[2 * LANES];
    """
    enum: TILE
    const double LARGEST_BFLOAT16 "FW_LARGEST_BFLOAT16"
    const double LARGEST_FLOAT32 "FW_LARGEST_FLOAT32"
    const real* NO_START "FW_NO_START"

# ---- operands: a matrix in parts, as tiles -----------------------------------------------------------


# The rows of a left-hand matrix or the columns of a right-hand one are its lines. Tiles stand one after
# the other: all parts of LANES lines over LANES * 2 of the depth, then the next depth, then the next
# lines; where the matrix ends they are filled up with zeros. Word i of a line holds depths i and i + LANES
# of the tile; a row of a left-hand tile is a line, a row of a right-hand one is word i of every line.
cdef struct Split:
    real* tiles             # split_reals, on a 64-byte boundary
    Py_ssize_t lines
    Py_ssize_t depth
    int parts


cdef inline Py_ssize_t line_tiles(Py_ssize_t lines) noexcept nogil:
    return (lines + LANES - 1) // LANES


cdef inline Py_ssize_t depth_tiles(Py_ssize_t depth) noexcept nogil:
    return (depth + 2 * LANES - 1) // (2 * LANES)


cdef inline Py_ssize_t split_reals(Py_ssize_t lines, Py_ssize_t depth, int parts) noexcept nogil:
    return line_tiles(lines) * depth_tiles(depth) * parts * TILE


cdef inline real* tiles_at(const Split* s, Py_ssize_t line_tile, Py_ssize_t depth_tile) noexcept nogil:
    return s.tiles + (line_tile * depth_tiles(s.depth) + depth_tile) * s.parts * TILE


cdef inline bint has_unusual(vreal x) noexcept nogil:
    return vany(vnot(vle(vabs(x), vset1(<real>LARGEST_BFLOAT16))))


cdef inline vreal where_finite(vreal x, vreal then, vreal otherwise) noexcept nogil:
    return vselect(vle(vabs(x), vset1(<real>LARGEST_FLOAT32)), then, otherwise)


cdef inline vreal largest_part(vreal x) noexcept nogil:
    return vbfloat16(vcopysign(vmin(vset1(<real>LARGEST_BFLOAT16), vabs(x)), x))


# split_pairs for numbers that are too large for a bfloat16 or not finite.
cdef void split_unusual_pairs(int parts, real* words, vreal first, vreal second) noexcept nogil:
    cdef vreal rest = where_finite(first, first, vcopysign(vset1(1), first))
    cdef vreal other_rest = where_finite(second, second, vcopysign(vset1(1), second))
    cdef vreal part, other_part
    cdef int i
    for i in range(parts):
        part = largest_part(rest)
        other_part = largest_part(other_rest)
        if i == parts - 1:
            part = where_finite(first, part, first + first)
            other_part = where_finite(second, other_part, second + second)
        vstore(words + i * TILE, vpair(part, other_part))
        rest = rest - part
        other_rest = other_rest - other_part


# The same words of the tiles of all parts.
cdef inline void split_pairs(const int parts, real* words, vreal first, vreal second) noexcept nogil:
    cdef vreal part, other_part
    cdef int i
    if has_unusual(first) or has_unusual(second):
        split_unusual_pairs(parts, words, first, second)
        return
    for i in range(parts):
        part = vbfloat16(first)
        other_part = vbfloat16(second)
        vstore(words + i * TILE, vpair(part, other_part))
        first = first - part
        second = second - other_part


cdef inline vreal load_existing(const real* p, Py_ssize_t n) noexcept nogil:
    return load_first(p, n) if n > 0 else vzero()


# The tiles of all parts of what x, of which a number of rows and columns are left, begins with. Its depth
# runs along the columns or, where `across`, the rows; the tiles' rows run as those of x.
cdef inline void split_tile(const int parts, const bint across, real* tiles, const real* x, Py_ssize_t ldx,
                            Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t second_row = LANES if across else 0, second_column = 0 if across else LANES
    cdef Py_ssize_t row, column
    for row in range(LANES):
        column = 0
        while column < LANES:
            split_pairs(parts, tiles + row * LANES + column,
                        load_existing(x + row * ldx + column, columns - column if row < rows else 0),
                        load_existing(x + (row + second_row) * ldx + column + second_column,
                                      columns - column - second_column if row + second_row < rows else 0))
            column += VL


# All parts of one tile of s from x, which is (lines, depth) or, where `across`, (depth, lines).
cdef inline void split_tile_at(const int parts, const bint across, const bint turned, const Split* s,
                               const real* x, Py_ssize_t ldx, Py_ssize_t line_tile,
                               Py_ssize_t depth_tile) noexcept nogil:
    cdef vreal[HIGHEST * LANES * LANE_VECTORS] upright
    cdef Py_ssize_t line = line_tile * LANES, k = depth_tile * 2 * LANES
    cdef real* place = tiles_at(s, line_tile, depth_tile)
    cdef real* tiles = <real*>upright if turned else place
    cdef int part
    if across:
        split_tile(parts, True, tiles, x + k * ldx + line, ldx, s.depth - k, s.lines - line)
    else:
        split_tile(parts, False, tiles, x + line * ldx + k, ldx, s.lines - line, s.depth - k)
    if turned:
        for part in range(parts):
            transpose(place + part * TILE, LANES, tiles + part * TILE, LANES, LANES, LANES)


# Line tiles [begin, end) of s; what is next to each other in x is read one after the other.
cdef inline void split_lines(const int parts, const bint across, const bint turned, const Split* s,
                             const real* x, Py_ssize_t ldx, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t line_tile, depth_tile, depths = depth_tiles(s.depth)
    if across:
        for depth_tile in range(depths):
            for line_tile in range(begin, end):
                split_tile_at(parts, True, turned, s, x, ldx, line_tile, depth_tile)
    else:
        for line_tile in range(begin, end):
            for depth_tile in range(depths):
                split_tile_at(parts, False, turned, s, x, ldx, line_tile, depth_tile)


cdef inline void split_form(const bint across, const bint turned, const Split* s, const real* x, Py_ssize_t ldx,
                            Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if s.parts == HIGHEST:
        split_lines(HIGHEST, across, turned, s, x, ldx, begin, end)
    elif s.parts == HIGH:
        split_lines(HIGH, across, turned, s, x, ldx, begin, end)
    else:
        split_lines(MEDIUM, across, turned, s, x, ldx, begin, end)


# Line tiles [begin, end) of a left-hand a (lines, depth) with leading dimension lda.
cdef void split_left(const Split* s, const real* a, Py_ssize_t lda, Py_ssize_t begin,
                     Py_ssize_t end) noexcept nogil:
    split_form(False, False, s, a, lda, begin, end)


# The same from its transpose at (depth, lines).
cdef void split_left_transposed(const Split* s, const real* at, Py_ssize_t ldat, Py_ssize_t begin,
                                Py_ssize_t end) noexcept nogil:
    split_form(True, True, s, at, ldat, begin, end)


# Line tiles [begin, end) of a right-hand b (depth, lines) with leading dimension ldb.
cdef void split_right(const Split* s, const real* b, Py_ssize_t ldb, Py_ssize_t begin,
                      Py_ssize_t end) noexcept nogil:
    split_form(True, False, s, b, ldb, begin, end)


# The same from its transpose bt (lines, depth).
cdef void split_right_transposed(const Split* s, const real* bt, Py_ssize_t ldbt, Py_ssize_t begin,
                                 Py_ssize_t end) noexcept nogil:
    split_form(False, True, s, bt, ldbt, begin, end)


# ---- products ----------------------------------------------------------------------------------------


cdef struct SplitProduct:
    real* c
    Py_ssize_t ldc
    const Split* a
    const Split* b
    const real* start
    Py_ssize_t start_row


# Row tiles that are gone through while a's share of them, for one block of the depth, is in the
# second-level cache.
cdef enum: ROW_TILES = 32


# Depth tiles of a block: with few parts more of them fit into the nearest cache.
cdef inline Py_ssize_t block_depth(int parts) noexcept nogil:
    return 16 if parts == MEDIUM else 8


# Registers 0 to 3 are the accumulators of 2 x 2 tiles, 4 and 5 hold tiles of a, 6 and 7 tiles of b. mr
# and nr are the tiles that there are down and across, 1 or 2; here and below they are constants.
cdef inline void load_rows(const int mr, const real* a, Py_ssize_t next_row) noexcept nogil:
    tile_load(4, a, 64)
    if mr > 1:
        tile_load(5, a + next_row, 64)


cdef inline void load_columns(const int nr, const real* b, Py_ssize_t next_column) noexcept nogil:
    tile_load(6, b, 64)
    if nr > 1:
        tile_load(7, b + next_column, 64)


cdef inline void multiply_loaded(const int mr, const int nr) noexcept nogil:
    tile_multiply(0, 4, 6)
    if nr > 1:
        tile_multiply(1, 4, 7)
    if mr > 1:
        tile_multiply(2, 5, 6)
    if mr > 1 and nr > 1:
        tile_multiply(3, 5, 7)


# All products of parts for one tile of the depth. From one to the next either the tiles of a or those
# of b change: with all four registers in use that is 14 loads for 24 products, two more than there are
# tiles. The largest product comes last where that costs nothing.
cdef inline void multiply_depth(const int parts, const int mr, const int nr, const real* a, Py_ssize_t next_row,
                                const real* b, Py_ssize_t next_column) noexcept nogil:
    load_columns(nr, b, next_column)
    if parts == HIGHEST:
        load_rows(mr, a + 2 * TILE, next_row)
        multiply_loaded(mr, nr)
        load_rows(mr, a + TILE, next_row)
        multiply_loaded(mr, nr)
        load_columns(nr, b + TILE, next_column)
        multiply_loaded(mr, nr)
        load_rows(mr, a, next_row)
        multiply_loaded(mr, nr)
        load_columns(nr, b + 2 * TILE, next_column)
        multiply_loaded(mr, nr)
        load_columns(nr, b, next_column)
        multiply_loaded(mr, nr)
    elif parts == HIGH:
        load_rows(mr, a + TILE, next_row)
        multiply_loaded(mr, nr)
        load_rows(mr, a, next_row)
        multiply_loaded(mr, nr)
        load_columns(nr, b + TILE, next_column)
        multiply_loaded(mr, nr)
    else:
        load_rows(mr, a, next_row)
        multiply_loaded(mr, nr)


# c = start + block, of which there are `rows`, `columns` wide; a row of block is two of a tile.
cdef inline void add_block(const bint ragged, const int nr, real* c, Py_ssize_t ldc, const real* block,
                           const real* start, Py_ssize_t start_row, Py_ssize_t rows,
                           Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t row, left
    cdef int j
    for row in range(rows):
        for j in range(nr * LANE_VECTORS):
            left = columns - j * VL if ragged else VL
            if left > 0:
                store_first(c + j * VL, load_first(start + j * VL, left) + vload(block + j * VL), left)
        c += ldc
        start += start_row
        block += 2 * LANES


# mr x nr tiles of c from depth tiles [begin, end).
cdef inline void multiply_block(const int parts, const int mr, const int nr, const SplitProduct* p,
                                Py_ssize_t row_tile, Py_ssize_t column_tile, Py_ssize_t begin,
                                Py_ssize_t end) noexcept nogil:
    cdef vreal[4 * LANES * LANE_VECTORS] sums
    cdef real* block = <real*>sums
    cdef const real* a = tiles_at(p.a, row_tile, begin)
    cdef const real* b = tiles_at(p.b, column_tile, begin)
    cdef Py_ssize_t next_line = depth_tiles(p.a.depth) * parts * TILE
    cdef Py_ssize_t row = row_tile * LANES, column = column_tile * LANES, k
    cdef Py_ssize_t rows = min(mr * <Py_ssize_t>LANES, p.a.lines - row)
    cdef Py_ssize_t columns = min(nr * <Py_ssize_t>LANES, p.b.lines - column)
    cdef real* c = p.c + row * p.ldc + column
    cdef const real* start = c
    cdef Py_ssize_t start_row = p.ldc
    if begin == 0:
        start_row = 0 if p.start == NULL else p.start_row
        start = NO_START if p.start == NULL else p.start + row * start_row + column
    tile_zero(0)
    if nr > 1:
        tile_zero(1)
    if mr > 1:
        tile_zero(2)
    if mr > 1 and nr > 1:
        tile_zero(3)
    for k in range(begin, end):
        multiply_depth(parts, mr, nr, a, next_line, b, next_line)
        a += parts * TILE
        b += parts * TILE
    tile_store(0, block, 128)
    if nr > 1:
        tile_store(1, block + LANES, 128)
    if mr > 1:
        tile_store(2, block + 2 * TILE, 128)
    if mr > 1 and nr > 1:
        tile_store(3, block + 2 * TILE + LANES, 128)
    if columns < nr * LANES:
        add_block(True, nr, c, p.ldc, block, start, start_row, rows, columns)
    else:
        add_block(False, nr, c, p.ldc, block, start, start_row, rows, columns)


# One or two columns of tiles, of row tiles [row_begin, row_end).
cdef inline void multiply_columns(const int parts, const int nr, const SplitProduct* p, Py_ssize_t row_begin,
                                  Py_ssize_t row_end, Py_ssize_t column_tile, Py_ssize_t begin,
                                  Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row_tile = row_begin
    while row_tile + 1 < row_end:
        multiply_block(parts, 2, nr, p, row_tile, column_tile, begin, end)
        row_tile += 2
    if row_tile < row_end:
        multiply_block(parts, 1, nr, p, row_tile, column_tile, begin, end)


cdef inline void multiply_rectangle(const int parts, const SplitProduct* p, Py_ssize_t row_begin,
                                    Py_ssize_t row_end, Py_ssize_t column_begin, Py_ssize_t column_end,
                                    Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t column_tile = column_begin
    while column_tile + 1 < column_end:
        multiply_columns(parts, 2, p, row_begin, row_end, column_tile, begin, end)
        column_tile += 2
    if column_tile < column_end:
        multiply_columns(parts, 1, p, row_begin, row_end, column_tile, begin, end)


# Row tiles [row_begin, row_end) by column tiles [column_begin, column_end) of c. The calling thread is
# between tiles_begin and tiles_end.
cdef void split_matmul(const SplitProduct* p, Py_ssize_t row_begin, Py_ssize_t row_end, Py_ssize_t column_begin,
                       Py_ssize_t column_end) noexcept nogil:
    cdef Py_ssize_t total = depth_tiles(p.a.depth), begin = 0, end, row_tile, row_stop
    while True:
        end = min(begin + block_depth(p.a.parts), total)
        row_tile = row_begin
        while row_tile < row_end:
            row_stop = min(row_tile + ROW_TILES, row_end)
            if p.a.parts == HIGHEST:
                multiply_rectangle(HIGHEST, p, row_tile, row_stop, column_begin, column_end, begin, end)
            elif p.a.parts == HIGH:
                multiply_rectangle(HIGH, p, row_tile, row_stop, column_begin, column_end, begin, end)
            else:
                multiply_rectangle(MEDIUM, p, row_tile, row_stop, column_begin, column_end, begin, end)
            row_tile = row_stop
        begin = end
        if begin == total:
            return


# Whether a product is faster this way, its operands split for it alone, than on the float32 units. In
# picoseconds, as seen on a Xeon with AMX: 11 for a multiply-add of the float32 units, 1 for one of the
# tiles, and to split a real 100 and another 100 for each part.
cdef bint amx_pays(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts) noexcept nogil:
    cdef double multiplied = <double>rows * columns * depth
    cdef double tiled = <double>line_tiles(rows) * line_tiles(columns) * depth_tiles(depth) * (2 * TILE * LANES)
    cdef double split = <double>(rows + columns) * depth
    return FW_TILES and parts * (parts + 1) // 2 * tiled + 100 * (1 + parts) * split < 11 * multiplied


# ---- the same on plain arrays, by address ---------------------------------------------------------------


def apply_amx_pays(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts):
    return amx_pays(rows, depth, columns, parts)


def apply_amx_scratch(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts):
    """Reals of scratch that a product wants, on a 64-byte boundary."""
    return split_reals(rows, depth, parts) + split_reals(columns, depth, parts)


def apply_amx_product(size_t c, size_t a, size_t b, size_t start, Py_ssize_t start_row, size_t scratch,
                      Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts,
                      bint a_transposed, bint b_transposed, int pieces):
    """Splits and multiplies in so many pieces, down and across, as threads would."""
    cdef Split left = Split(<real*>scratch, rows, depth, parts)
    cdef Split right = Split(left.tiles + split_reals(rows, depth, parts), columns, depth, parts)
    cdef SplitProduct p = SplitProduct(<real*>c, columns, &left, &right, <const real*>start, start_row)
    cdef Py_ssize_t down = line_tiles(rows), across = line_tiles(columns), begin, end
    cdef int piece, other
    if not FW_TILES:
        raise RuntimeError("this CPU level has no tiles")
    with nogil:
        tiles_begin()
        for piece in range(pieces):
            begin, end = down * piece // pieces, down * (piece + 1) // pieces
            if a_transposed:
                split_left_transposed(&left, <const real*>a, rows, begin, end)
            else:
                split_left(&left, <const real*>a, depth, begin, end)
            begin, end = across * piece // pieces, across * (piece + 1) // pieces
            if b_transposed:
                split_right_transposed(&right, <const real*>b, depth, begin, end)
            else:
                split_right(&right, <const real*>b, columns, begin, end)
        for piece in range(pieces):
            for other in range(pieces):
                split_matmul(&p, down * piece // pieces, down * (piece + 1) // pieces,
                             across * other // pieces, across * (other + 1) // pieces)
        tiles_end()
