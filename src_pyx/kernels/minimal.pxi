# Correlations with 3 x 3 taps by minimal filtering, F(2 x 2, 3 x 3): 16 multiplications for four outputs instead of 36
# (Winograd 1980, "Arithmetic complexity of computations"; as products: Lavin & Gray 2016, arXiv:1509.09308).
#
#     y (2, 2) = A [(G g G') * (B d B')] A'      for each 4 x 4 of the image, d, with the kernel g
#     dg (3, 3) = G' [sum of (B d B') * (A' dy A)] G
#
# The 16 numbers of d, for all channels of some tiles, and those of g are the two sides of 16 products (tiles, inputs) .
# (inputs, outputs). Sums are of a ninth of the terms, so no more is rounded; what is infinite becomes NaN in its tile.
#
#     B = 1  0 -1  0      G = 1    0    0       A = 1  1  1  0
#         0  1  1  0          1/2  1/2  1/2         0  1 -1 -1
#         0 -1  1  0          1/2 -1/2  1/2
#         0  1  0 -1          0    0    1

# The products of a tile.
cdef enum: TILE_PRODUCTS = 16
# Tiles at a time: a multiple of the rows that any register tile has, so many that both sides of the products stay near.
cdef enum: SPREAD_STEP = 24
cdef enum: SPREAD_REALS = 32768
# From so many channels on, on both sides, a tile's products outweigh its sums; up to so many pairs of them the spread
# kernel stays in the second cache.
cdef enum: MINIMAL_CHANNELS = 8
cdef enum: MINIMAL_PAIRS = 16384


# Multiplications across an axis that is minimal, taps beside the image left out.
cdef Py_ssize_t taps_seen(const Axis* axis) noexcept nogil:
    cdef Py_ssize_t at, found = 0
    for at in range(axis.begin, axis.begin + axis.taps):
        found += max(<Py_ssize_t>0, min(axis.count, axis.size - at) - max(<Py_ssize_t>0, -at))
    return found


cdef inline bint is_minimal_axis(const Axis* axis) noexcept nogil:
    return axis.taps == 3 and axis.stride == 1 and axis.step == 1 and axis.tap_step == 1


cdef inline Py_ssize_t tiles_across(const Axis* axis) noexcept nogil:
    return (axis.count + 1) // 2


# Whether it goes this way: what is saved must be more than what tiles that stand out of the image, and sums, take.
cdef bint is_minimal(const Correlation* c) noexcept nogil:
    if c.groups > 1 or c.merged > 1 or c.inputs < MINIMAL_CHANNELS or c.outputs < MINIMAL_CHANNELS:
        return False
    if c.inputs > MINIMAL_PAIRS // c.outputs:
        return False
    if not is_minimal_axis(&c.down) or not is_minimal_axis(&c.across):
        return False
    return (<double>(tiles_across(&c.down) * tiles_across(&c.across)) * TILE_PRODUCTS * 1.4
            < <double>taps_seen(&c.down) * <double>taps_seen(&c.across))


cdef inline Py_ssize_t tiles_at_once(const Correlation* c) noexcept nogil:
    return max(<Py_ssize_t>1, SPREAD_REALS // (TILE_PRODUCTS * SPREAD_STEP * (c.inputs + c.outputs))) * SPREAD_STEP


# From one product's numbers to the next one's: an odd number of lines, so they do not fall on the same places.
cdef inline Py_ssize_t spread_apart(Py_ssize_t reals) noexcept nogil:
    return ((reals + LANES - 1) // LANES | 1) * LANES


cdef inline Py_ssize_t spread_kernel_reals(const Correlation* c) noexcept nogil:
    return TILE_PRODUCTS * spread_apart(c.inputs * panels_width(c.outputs))


# The spread kernel, a tile's pixels, a pixel that nobody reads, and both sides of the products.
cdef Py_ssize_t minimal_workspace(const Correlation* c) noexcept nogil:
    return (spread_kernel_reals(c) + spread_apart(TILE_PRODUCTS * c.inputs) + spread_apart(c.outputs)
            + TILE_PRODUCTS * (spread_apart(tiles_at_once(c) * c.inputs) + spread_apart(tiles_at_once(c) * c.outputs)))


# ---- the kernel --------------------------------------------------------------------------------------------------

cdef inline void spread_taps(vreal* to, vreal first, vreal middle, vreal last) noexcept nogil:
    cdef vreal half = vset1(<real>0.5), ends = half * (first + last)
    middle = half * middle
    to[0] = first
    to[1] = ends + middle
    to[2] = ends - middle
    to[3] = last


# G g G' of all channels and filters, from panels: the 16 matrices of the products, (inputs, outputs) with rows of whole
# vectors.
cdef void spread_kernel(real* to, const Correlation* c, const real* panels) noexcept nogil:
    cdef Py_ssize_t width = panels_width(c.outputs), apart = spread_apart(c.inputs * width), row, column, stride, tap, at
    cdef vreal[12] down
    cdef vreal[4] line
    cdef int i, j
    for row in range(c.inputs):
        column = 0
        while column < width:
            at = place_in_panels(correlation_depth(c), c.outputs, row, column, &stride)
            tap = c.inputs * stride
            for j in range(3):
                spread_taps(line, vload(panels + at + j * tap), vload(panels + at + (3 + j) * tap),
                            vload(panels + at + (6 + j) * tap))
                for i in range(4):
                    down[3 * i + j] = line[i]
            for i in range(4):
                spread_taps(line, down[3 * i], down[3 * i + 1], down[3 * i + 2])
                for j in range(4):
                    vstore(to + (4 * i + j) * apart + row * width + column, line[j])
            column += VL


# ---- tiles -------------------------------------------------------------------------------------------------------

# Where a walk through the tiles of images stands.
cdef struct Walk:
    Py_ssize_t image
    Py_ssize_t row
    Py_ssize_t column


cdef inline void walk_on(Walk* walk, const Correlation* c) noexcept nogil:
    walk.column += 1
    if walk.column == tiles_across(&c.across):
        walk.column = 0
        walk.row += 1
        if walk.row == tiles_across(&c.down):
            walk.row = 0
            walk.image += 1


cdef inline void spread_numbers(vreal* to, vreal a, vreal b, vreal c, vreal d) noexcept nogil:
    to[0] = a - c
    to[1] = b + c
    to[2] = c - b
    to[3] = b - d


# B d B' of some channels of the 4 x 4 pixels, whose rows are `row` and whose neighbours are `pixel` apart.
cdef inline void spread_pixels(const bint ragged, real* to, Py_ssize_t apart, const real* d, Py_ssize_t row,
                               Py_ssize_t pixel, vtail tail) noexcept nogil:
    cdef vreal[16] down
    cdef vreal[4] line
    cdef int i, j
    for j in range(4):
        spread_numbers(line, load_part(ragged, d, tail), load_part(ragged, d + row, tail),
                       load_part(ragged, d + 2 * row, tail), load_part(ragged, d + 3 * row, tail))
        for i in range(4):
            down[4 * i + j] = line[i]
        d += pixel
    for i in range(4):
        spread_numbers(line, down[4 * i], down[4 * i + 1], down[4 * i + 2], down[4 * i + 3])
        for j in range(4):
            store_part(ragged, to + j * apart, line[j], tail)
        to += 4 * apart


# The pixels of a tile that stands out of the image, with zeros beside it.
cdef void copy_edge(real* to, const Correlation* c, const real* image, Py_ssize_t top, Py_ssize_t left) noexcept nogil:
    cdef Py_ssize_t n = c.inputs, y, x
    for y in range(top, top + 4):
        for x in range(left, left + 4):
            if 0 <= y < c.down.size and 0 <= x < c.across.size:
                copy_reals(to, image + (y * c.across.size + x) * n, n)
            else:
                clear_reals(to, n)
            to += n


cdef void spread_tiles(real* to, Py_ssize_t apart, const Correlation* c, const real* x, Walk walk, Py_ssize_t tiles,
                       real* edge) noexcept nogil:
    cdef Py_ssize_t n = c.inputs, image_reals = c.down.size * c.across.size * n, tile, top, left, row, channel
    cdef vtail tail = vtail_of(n % VL)
    cdef const real* d
    for tile in range(tiles):
        top = c.down.begin + 2 * walk.row
        left = c.across.begin + 2 * walk.column
        d = x + walk.image * image_reals + (top * c.across.size + left) * n
        row = c.across.size * n
        if top < 0 or left < 0 or top + 4 > c.down.size or left + 4 > c.across.size:
            copy_edge(edge, c, x + walk.image * image_reals, top, left)
            d = edge
            row = 4 * n
        channel = 0
        while channel + VL <= n:
            # Addresses that are not the loop's own would be more than there are registers.
            spread_pixels(False, to + channel, unknown(apart), d + channel, unknown(row), unknown(n), tail)
            channel += VL
        if channel < n:
            spread_pixels(True, to + channel, apart, d + channel, row, n, tail)
        to += n
        walk_on(&walk, c)


cdef inline void gather_numbers(vreal* to, vreal a, vreal b, vreal c, vreal d) noexcept nogil:
    to[0] = a + b + c
    to[1] = b - c - d


# A m A' of some filters of a tile, to its four pixels.
cdef inline void gather_pixels(const bint ragged, real** pixels, const real* m, Py_ssize_t apart, const Ends* ends,
                               Py_ssize_t filter, vtail tail) noexcept nogil:
    cdef vreal[8] down
    cdef vreal[2] line
    cdef vreal value
    cdef int i, j
    m += filter
    for j in range(4):
        gather_numbers(line, load_part(ragged, m, tail), load_part(ragged, m + 4 * apart, tail),
                       load_part(ragged, m + 8 * apart, tail), load_part(ragged, m + 12 * apart, tail))
        down[j] = line[0]
        down[4 + j] = line[1]
        m += apart
    for i in range(2):
        gather_numbers(line, down[4 * i], down[4 * i + 1], down[4 * i + 2], down[4 * i + 3])
        for j in range(2):
            value = line[j]
            if ends.start != NULL:
                value = value + load_part(ragged, ends.start + filter, tail)
            if ends.scale != NULL:
                value = vfma(value, load_part(ragged, ends.scale + filter, tail),
                             load_part(ragged, ends.shift + filter, tail))
            if ends.relu:
                value = vmax(vzero(), value)
            store_part(ragged, pixels[2 * i + j] + filter, value, tail)


cdef void gather_tiles(real* y, const Correlation* c, const real* m, Py_ssize_t apart, Walk walk, Py_ssize_t tiles,
                       const Ends* ends, real* nowhere) noexcept nogil:
    cdef Py_ssize_t tile, filter
    cdef vtail tail = vtail_of(c.outputs % VL)
    cdef real* pixels[4]
    cdef real* at
    cdef bint below, beside
    for tile in range(tiles):
        at = y + walk.image * c.out_image + 2 * walk.row * c.out_row + 2 * walk.column * c.out_pixel
        below = 2 * walk.row + 1 < c.down.count
        beside = 2 * walk.column + 1 < c.across.count
        pixels[0] = at
        pixels[1] = at + c.out_pixel if beside else nowhere
        pixels[2] = at + c.out_row if below else nowhere
        pixels[3] = at + c.out_row + c.out_pixel if below and beside else nowhere
        filter = 0
        while filter + VL <= c.outputs:
            gather_pixels(False, pixels, m, unknown(apart), ends, filter, tail)
            filter += VL
        if filter < c.outputs:
            gather_pixels(True, pixels, m, apart, ends, filter, tail)
        m += c.outputs
        walk_on(&walk, c)


# ---- products ------------------------------------------------------------------------------------------------------

# The 16 products of so many tiles: v (tiles, inputs), m (tiles, outputs) and the spread kernel (inputs, width).
cdef struct Products:
    Product each
    real* m
    Py_ssize_t m_apart
    const real* v
    Py_ssize_t v_apart
    const real* kernel
    Py_ssize_t kernel_apart


# nv vectors of filters from this one on; whole register tiles, since there is room.
cdef inline void multiply_tiles(const int nv, const bint ragged, const Products* p, Py_ssize_t tiles,
                                Py_ssize_t filter, vtail tail) noexcept nogil:
    cdef Py_ssize_t i, done
    for i in range(TILE_PRODUCTS):
        done = 0
        while done < tiles:
            tile(TILE_ROWS(nv, False), nv, False, ragged, &p.each, p.m + i * p.m_apart + done * p.each.ldc + filter,
                 p.v + i * p.v_apart + done * p.each.a_row, p.kernel + i * p.kernel_apart + filter, ZEROS, 0, filter,
                 tail, NULL)
            done += TILE_ROWS(nv, False)


cdef inline void multiply_panel(const int nv, const Products* p, Py_ssize_t tiles, Py_ssize_t filter,
                                Py_ssize_t filters) noexcept nogil:
    if filters - filter >= nv * VL:
        multiply_tiles(nv, False, p, tiles, filter, vtail_of(0))
    else:
        multiply_tiles(nv, True, p, tiles, filter, vtail_of(filters - filter - (nv - 1) * VL))


cdef void multiply_all_tiles(const Products* p, Py_ssize_t tiles, Py_ssize_t filters) noexcept nogil:
    cdef Py_ssize_t filter = 0, vectors
    while filter < filters:
        vectors = (filters - filter + VL - 1) // VL
        if vectors >= TILE_VECTORS:
            multiply_panel(TILE_VECTORS, p, tiles, filter, filters)
        elif vectors == 3:
            multiply_panel(min(3, TILE_VECTORS), p, tiles, filter, filters)
        elif vectors == 2:
            multiply_panel(2, p, tiles, filter, filters)
        else:
            multiply_panel(1, p, tiles, filter, filters)
        filter += PANEL


# As `correlate`, for what `is_minimal`.
cdef void correlate_minimal(real* y, const real* x, const Correlation* c, const real* panels, const Ends* ends,
                            Py_ssize_t images, real* workspace) noexcept nogil:
    cdef Products p
    cdef Walk walk = Walk(0, 0, 0)
    cdef Py_ssize_t at_once = tiles_at_once(c), left = images * tiles_across(&c.down) * tiles_across(&c.across), now, i
    cdef real* edge = workspace + spread_kernel_reals(c)
    cdef real* nowhere = edge + spread_apart(TILE_PRODUCTS * c.inputs)
    cdef real* v = nowhere + spread_apart(c.outputs)
    p.each.a_row = p.each.depth = c.inputs
    p.each.a_k = 1
    p.each.ldb = panels_width(c.outputs)
    p.each.ldc = c.outputs
    p.each.scale = NULL
    p.each.relu = False
    p.kernel = workspace
    p.kernel_apart = spread_apart(c.inputs * p.each.ldb)
    p.v = v
    p.v_apart = spread_apart(at_once * c.inputs)
    p.m = v + TILE_PRODUCTS * p.v_apart
    p.m_apart = spread_apart(at_once * c.outputs)
    spread_kernel(workspace, c, panels)
    # Rows of v that no tile has may hold anything; nobody reads what comes of them.
    memset(v, 0, TILE_PRODUCTS * p.v_apart * sizeof(real))
    while left > 0:
        now = min(left, at_once)
        spread_tiles(v, p.v_apart, c, x, walk, now, edge)
        multiply_all_tiles(&p, now, c.outputs)
        gather_tiles(y, c, p.m, p.m_apart, walk, now, ends, nowhere)
        for i in range(now):
            walk_on(&walk, c)
        left -= now


# ---- the kernel's gradient -----------------------------------------------------------------------------------------

# The sums of products, a tile's pixels, and both sides of the products.
cdef Py_ssize_t minimal_gradient_workspace(const Correlation* c) noexcept nogil:
    return (TILE_PRODUCTS * (spread_apart(c.inputs * c.outputs) + spread_apart(tiles_at_once(c) * c.inputs)
                             + spread_apart(tiles_at_once(c) * c.outputs)) + spread_apart(TILE_PRODUCTS * c.inputs))


cdef inline void spread_pair(vreal* to, vreal first, vreal second) noexcept nogil:
    to[0] = first
    to[1] = first + second
    to[2] = first - second
    to[3] = vzero() - second


# A' dy A of some filters of a tile; where a row or a column of it is beside the image it counts as 0.
cdef inline void spread_gradient(const bint ragged, real* to, Py_ssize_t apart, const real* dy, Py_ssize_t row,
                                 Py_ssize_t pixel, bint below, bint beside, vtail tail) noexcept nogil:
    cdef vreal[8] down
    cdef vreal[4] line
    cdef int i, j
    for j in range(2):
        spread_pair(line, load_part(ragged, dy, tail) if j == 0 or beside else vzero(),
                    load_part(ragged, dy + row, tail) if below and (j == 0 or beside) else vzero())
        for i in range(4):
            down[2 * i + j] = line[i]
        dy += pixel
    for i in range(4):
        spread_pair(line, down[2 * i], down[2 * i + 1])
        for j in range(4):
            store_part(ragged, to + j * apart, line[j], tail)
        to += 4 * apart


cdef void spread_gradients(real* to, Py_ssize_t apart, const Correlation* c, const real* dy, Walk walk,
                           Py_ssize_t tiles) noexcept nogil:
    cdef Py_ssize_t n = c.outputs, tile, filter
    cdef vtail tail = vtail_of(n % VL)
    cdef const real* at
    cdef bint below, beside
    for tile in range(tiles):
        at = dy + walk.image * c.out_image + 2 * walk.row * c.out_row + 2 * walk.column * n
        below = 2 * walk.row + 1 < c.down.count
        beside = 2 * walk.column + 1 < c.across.count
        filter = 0
        while filter + VL <= n:
            spread_gradient(False, to + filter, unknown(apart), at + filter, c.out_row, n, below, beside, tail)
            filter += VL
        if filter < n:
            spread_gradient(True, to + filter, apart, at + filter, c.out_row, n, below, beside, tail)
        to += n
        walk_on(&walk, c)


# The three taps of four sums.
cdef inline void gather_taps(vreal* to, vreal a, vreal b, vreal c, vreal d) noexcept nogil:
    cdef vreal half = vset1(<real>0.5), ends = half * (b + c)
    to[0] = a + ends
    to[1] = half * (b - c)
    to[2] = ends + d


# G' u G: rows [first, last) of the kernel, of which `sums` has what they need.
cdef void gather_kernel(real* dkernel, const Correlation* c, const real* sums, Py_ssize_t first,
                        Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t pairs = c.inputs * c.outputs, apart = spread_apart(pairs), at = 0, left
    cdef vreal[12] across
    cdef vreal[3] taps
    cdef int i, j
    while at < pairs:
        left = pairs - at
        for i in range(4):
            # What no row of these needs is 0 times what it may be.
            if (i == 0 and first > 0) or (i == 3 and last < 3):
                taps[0] = taps[1] = taps[2] = vzero()
            else:
                gather_taps(taps, load_first(sums + (4 * i) * apart + at, left),
                            load_first(sums + (4 * i + 1) * apart + at, left),
                            load_first(sums + (4 * i + 2) * apart + at, left),
                            load_first(sums + (4 * i + 3) * apart + at, left))
            for j in range(3):
                across[3 * i + j] = taps[j]
        for j in range(3):
            gather_taps(taps, across[j], across[3 + j], across[6 + j], across[9 + j])
            for i in range(3):
                if first <= i < last:
                    store_first(dkernel + (3 * i + j) * pairs + at, taps[i], left)
        at += VL


# Rows [first, last) of the 3 x 3 kernel's gradient, from images x and the gradients dy by what is made of them.
cdef void minimal_gradient(real* dkernel, const real* x, const real* dy, const Correlation* c, Py_ssize_t images,
                           Py_ssize_t first, Py_ssize_t last, real* workspace) noexcept nogil:
    cdef Product p
    cdef Walk walk = Walk(0, 0, 0)
    cdef Py_ssize_t at_once = tiles_at_once(c), left = images * tiles_across(&c.down) * tiles_across(&c.across), now, i
    cdef Py_ssize_t sums_apart = spread_apart(c.inputs * c.outputs), v_apart = spread_apart(at_once * c.inputs)
    cdef Py_ssize_t m_apart = spread_apart(at_once * c.outputs)
    cdef real* v = workspace + TILE_PRODUCTS * sums_apart
    cdef real* m = v + TILE_PRODUCTS * v_apart
    cdef real* edge = m + TILE_PRODUCTS * m_apart
    p.a_row = 1
    p.a_k = c.inputs
    p.ldb = p.ldc = p.start_row = c.outputs
    p.b_panel = PANEL
    p.start = p.scale = p.shift = p.left = NULL
    p.relu = False
    while left > 0:
        now = min(left, at_once)
        p.depth = now
        spread_tiles(v, v_apart, c, x, walk, now, edge)
        spread_gradients(m, m_apart, c, dy, walk, now)
        for i in range(0 if first == 0 else 4, 16 if last == 3 else 12):
            p.a = v + i * v_apart
            p.b = m + i * m_apart
            p.c = workspace + i * sums_apart
            if walk.image > 0 or walk.row > 0 or walk.column > 0:
                p.start = p.c
            matmul(&p, c.inputs, c.outputs)
        for i in range(now):
            walk_on(&walk, c)
        left -= now
    gather_kernel(dkernel, c, workspace, first, last)


# ---- a correlation, either way -------------------------------------------------------------------------------------

cdef inline Py_ssize_t correlation_workspace(const Correlation* c, Py_ssize_t images) noexcept nogil:
    return minimal_workspace(c) if is_minimal(c) else taps_workspace(c, images)


# y of `images` images x.
cdef inline void correlate(real* y, const real* x, const Correlation* c, const real* panels, const Ends* ends,
                           Py_ssize_t images, real* workspace) noexcept nogil:
    if is_minimal(c):
        correlate_minimal(y, x, c, panels, ends, images, workspace)
    else:
        correlate_taps(y, x, c, panels, ends, images, workspace)
