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
# the other: all parts of LANES lines over LANES * 2 of the depth, then the next depth; the next lines are
# `next_line` reals further. Where the matrix ends they are filled up with zeros. Word i of a line holds
# depths i and i + LANES of the tile; a row of a left-hand tile is a line, a row of a right-hand one is word
# i of every line.
cdef struct Split:
    real* tiles             # on a 64-byte boundary
    Py_ssize_t next_line
    int parts


cdef inline Py_ssize_t line_tiles(Py_ssize_t lines) noexcept nogil:
    return (lines + LANES - 1) // LANES


cdef inline Py_ssize_t depth_tiles(Py_ssize_t depth) noexcept nogil:
    return (depth + 2 * LANES - 1) // (2 * LANES)


# The reals of one line of tiles.
cdef inline Py_ssize_t line_reals(Py_ssize_t depth, int parts) noexcept nogil:
    return depth_tiles(depth) * parts * TILE


cdef inline Py_ssize_t split_reals(Py_ssize_t lines, Py_ssize_t depth, int parts) noexcept nogil:
    return line_tiles(lines) * line_reals(depth, parts)


# The part of s from this line and this depth on, which are the first of a tile.
cdef inline Split split_from(const Split* s, Py_ssize_t line, Py_ssize_t depth) noexcept nogil:
    return Split(s.tiles + line // LANES * s.next_line + line_reals(depth, s.parts), s.next_line, s.parts)


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


# All parts of one tile of s, at this line and depth, from x, which is (lines, depth) or, where `across`,
# (depth, lines).
cdef inline void split_tile_at(const int parts, const bint across, const bint turned, const Split* s,
                               const real* x, Py_ssize_t ldx, Py_ssize_t lines, Py_ssize_t depth,
                               Py_ssize_t line, Py_ssize_t k) noexcept nogil:
    cdef vreal[HIGHEST * LANES * LANE_VECTORS] upright
    cdef real* place = split_from(s, line, k).tiles
    cdef real* tiles = <real*>upright if turned else place
    cdef int part
    if across:
        split_tile(parts, True, tiles, x + k * ldx + line, ldx, depth - k, lines - line)
    else:
        split_tile(parts, False, tiles, x + line * ldx + k, ldx, lines - line, depth - k)
    if turned:
        for part in range(parts):
            transpose(place + part * TILE, LANES, tiles + part * TILE, LANES, LANES, LANES)


# What is next to each other in x is read one after the other.
cdef inline void split_tiles(const int parts, const bint across, const bint turned, const Split* s,
                             const real* x, Py_ssize_t ldx, Py_ssize_t lines, Py_ssize_t depth) noexcept nogil:
    cdef Py_ssize_t i, j
    if across:
        for j in range(depth_tiles(depth)):
            for i in range(line_tiles(lines)):
                split_tile_at(parts, True, turned, s, x, ldx, lines, depth, i * LANES, j * 2 * LANES)
    else:
        for i in range(line_tiles(lines)):
            for j in range(depth_tiles(depth)):
                split_tile_at(parts, False, turned, s, x, ldx, lines, depth, i * LANES, j * 2 * LANES)


cdef inline void split_form(const bint across, const bint turned, const Split* s, const real* x, Py_ssize_t ldx,
                            Py_ssize_t lines, Py_ssize_t depth) noexcept nogil:
    if s.parts == HIGHEST:
        split_tiles(HIGHEST, across, turned, s, x, ldx, lines, depth)
    elif s.parts == HIGH:
        split_tiles(HIGH, across, turned, s, x, ldx, lines, depth)
    else:
        split_tiles(MEDIUM, across, turned, s, x, ldx, lines, depth)


# s from a left-hand a (lines, depth) with leading dimension lda.
cdef void split_left(const Split* s, const real* a, Py_ssize_t lda, Py_ssize_t lines,
                     Py_ssize_t depth) noexcept nogil:
    split_form(False, False, s, a, lda, lines, depth)


# The same from its transpose at (depth, lines).
cdef void split_left_transposed(const Split* s, const real* at, Py_ssize_t ldat, Py_ssize_t lines,
                                Py_ssize_t depth) noexcept nogil:
    split_form(True, True, s, at, ldat, lines, depth)


# s from a right-hand b (depth, lines) with leading dimension ldb.
cdef void split_right(const Split* s, const real* b, Py_ssize_t ldb, Py_ssize_t lines,
                      Py_ssize_t depth) noexcept nogil:
    split_form(True, False, s, b, ldb, lines, depth)


# The same from its transpose bt (lines, depth).
cdef void split_right_transposed(const Split* s, const real* bt, Py_ssize_t ldbt, Py_ssize_t lines,
                                 Py_ssize_t depth) noexcept nogil:
    split_form(False, True, s, bt, ldbt, lines, depth)


# ---- products ----------------------------------------------------------------------------------------


cdef struct SplitProduct:
    real* c
    Py_ssize_t ldc
    Split a
    Split b
    const real* start
    Py_ssize_t start_row
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t depth


# Rows that are gone through while a's share of them, for one block of the depth, is in the second-level
# cache.
cdef enum: SPLIT_ROWS = 256


# Depth of a block, whole tiles: with few parts more of them fit into the nearest cache.
cdef inline Py_ssize_t block_depth(int parts) noexcept nogil:
    return 512 if parts == MEDIUM else 256


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


# mr x nr tiles of c, which begin at this row and column, from depths [begin, end).
cdef inline void multiply_block(const int parts, const int mr, const int nr, const SplitProduct* p,
                                Py_ssize_t row, Py_ssize_t column, Py_ssize_t begin,
                                Py_ssize_t end) noexcept nogil:
    cdef vreal[4 * LANES * LANE_VECTORS] sums
    cdef real* block = <real*>sums
    cdef const real* a = split_from(&p.a, row, begin).tiles
    cdef const real* b = split_from(&p.b, column, begin).tiles
    cdef Py_ssize_t rows = min(mr * <Py_ssize_t>LANES, p.rows - row)
    cdef Py_ssize_t columns = min(nr * <Py_ssize_t>LANES, p.columns - column), k
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
    for k in range(depth_tiles(end - begin)):
        multiply_depth(parts, mr, nr, a, p.a.next_line, b, p.b.next_line)
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


# One or two columns of tiles, of rows [first, last).
cdef inline void multiply_columns(const int parts, const int nr, const SplitProduct* p, Py_ssize_t first,
                                  Py_ssize_t last, Py_ssize_t column, Py_ssize_t begin,
                                  Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row = first
    while row + LANES < last:
        multiply_block(parts, 2, nr, p, row, column, begin, end)
        row += 2 * LANES
    if row < last:
        multiply_block(parts, 1, nr, p, row, column, begin, end)


cdef inline void multiply_rows(const int parts, const SplitProduct* p, Py_ssize_t first, Py_ssize_t last,
                               Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t column = 0
    while column + LANES < p.columns:
        multiply_columns(parts, 2, p, first, last, column, begin, end)
        column += 2 * LANES
    if column < p.columns:
        multiply_columns(parts, 1, p, first, last, column, begin, end)


# The calling thread is between tiles_begin and tiles_end.
cdef void split_matmul(const SplitProduct* p) noexcept nogil:
    cdef Py_ssize_t begin = 0, end, row, last
    while begin < p.depth:
        end = min(begin + block_depth(p.a.parts), p.depth)
        row = 0
        while row < p.rows:
            last = min(row + <Py_ssize_t>SPLIT_ROWS, p.rows)
            if p.a.parts == HIGHEST:
                multiply_rows(HIGHEST, p, row, last, begin, end)
            elif p.a.parts == HIGH:
                multiply_rows(HIGH, p, row, last, begin, end)
            else:
                multiply_rows(MEDIUM, p, row, last, begin, end)
            row = last
        begin = end


# The reals that `multiply_splitting` works in.
cdef inline Py_ssize_t splitting_reals(int parts) noexcept nogil:
    return split_reals(SPLIT_ROWS, block_depth(parts), parts)


# c of p with its a, which is (rows, depth) or, where `across`, (depth, rows), split block by block into
# workspace, just before the block is used.
cdef void multiply_splitting(const SplitProduct* product, const real* a, Py_ssize_t lda, bint across,
                             real* workspace) noexcept nogil:
    cdef SplitProduct p = product[0]
    cdef Py_ssize_t row = 0, k, deep = block_depth(product.b.parts)
    p.a = Split(workspace, line_reals(deep, product.b.parts), product.b.parts)
    tiles_begin()
    while row < product.rows:
        p.c = product.c + row * product.ldc
        p.rows = min(product.rows - row, <Py_ssize_t>SPLIT_ROWS)
        p.start = NULL if product.start == NULL else product.start + row * product.start_row
        p.start_row = product.start_row
        k = 0
        while k < product.depth:
            p.depth = min(product.depth - k, deep)
            p.b = split_from(&product.b, 0, k)
            if across:
                split_left_transposed(&p.a, a + k * lda + row, lda, p.rows, p.depth)
            else:
                split_left(&p.a, a + row * lda + k, lda, p.rows, p.depth)
            split_matmul(&p)
            p.start = p.c
            p.start_row = p.ldc
            k += p.depth
        row += p.rows
    tiles_end()


# ---- what it saves -----------------------------------------------------------------------------------
# In picoseconds, as seen on a Xeon with AMX: 11 for a multiply-add of the float32 units, 1 for one of the
# tiles, and to split a real 100 and another 100 for each part.


cdef inline double tiles_save(double rows, Py_ssize_t inputs, Py_ssize_t outputs, int parts) noexcept nogil:
    """By a product of so many multiply-adds, whichever of its sides is which; the tiles of rows are whole."""
    cdef double filled = <double>line_tiles(outputs) * LANES * depth_tiles(inputs) * 2 * LANES
    return rows * (11.0 * inputs * outputs - parts * (parts + 1) // 2 * filled)


cdef inline double splitting_costs(double reals, int parts) noexcept nogil:
    return 100.0 * (1 + parts) * reals


# ---- the same on plain arrays, by address ---------------------------------------------------------------


def apply_amx_scratch(Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts):
    """Reals of scratch that a product wants, on a 64-byte boundary."""
    return split_reals(rows, depth, parts) + split_reals(columns, depth, parts)


def apply_amx_product(size_t c, size_t a, size_t b, size_t start, Py_ssize_t start_row, size_t scratch,
                      Py_ssize_t rows, Py_ssize_t depth, Py_ssize_t columns, int parts,
                      bint a_transposed, bint b_transposed, int pieces):
    """Splits and multiplies in so many pieces, down and across, as threads would."""
    cdef fw_float_mode mode
    cdef Split left = Split(<real*>scratch, line_reals(depth, parts), parts)
    cdef Split right = Split(left.tiles + split_reals(rows, depth, parts), left.next_line, parts)
    cdef Split part
    cdef SplitProduct p
    cdef const real* at_a = <const real*>a
    cdef const real* at_b = <const real*>b
    cdef Py_ssize_t row, column, upto
    cdef int piece, other
    if not FW_TILES:
        raise RuntimeError("this CPU level has no tiles")
    with nogil:
        mode = fw_enter_float_mode()
        tiles_begin()
        for piece in range(pieces):
            row, upto = piece_begin(rows, piece, pieces), piece_begin(rows, piece + 1, pieces)
            part = split_from(&left, row, 0)
            if a_transposed:
                split_left_transposed(&part, at_a + row, rows, upto - row, depth)
            else:
                split_left(&part, at_a + row * depth, depth, upto - row, depth)
            column, upto = piece_begin(columns, piece, pieces), piece_begin(columns, piece + 1, pieces)
            part = split_from(&right, column, 0)
            if b_transposed:
                split_right_transposed(&part, at_b + column * depth, depth, upto - column, depth)
            else:
                split_right(&part, at_b + column, columns, upto - column, depth)
        for piece in range(pieces):
            row, upto = piece_begin(rows, piece, pieces), piece_begin(rows, piece + 1, pieces)
            for other in range(pieces):
                column = piece_begin(columns, other, pieces)
                p = SplitProduct(<real*>c + row * columns + column, columns, split_from(&left, row, 0),
                                 split_from(&right, column, 0), NULL, start_row, upto - row,
                                 piece_begin(columns, other + 1, pieces) - column, depth)
                if start:
                    p.start = <const real*>start + row * start_row + column
                split_matmul(&p)
        tiles_end()
        fw_leave_float_mode(mode)


cdef inline Py_ssize_t piece_begin(Py_ssize_t lines, int piece, int pieces) noexcept nogil:
    return min(lines, line_tiles(lines) * piece // pieces * LANES)
