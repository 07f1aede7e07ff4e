# Ops that change images at random in training and let them through in inference, where a pass has no stream: flip,
# translate, rotate, zoom, which take each pixel from another place; contrast, brightness, erase, which change it.
#
# A row is an image of `lines` lines (width, channels); sizes begin with the op's seed and the channels. What is drawn
# is a function of the pass's seed and stream, the op's number and seed, and the row's place in the pass: 32-bit words
# of the row's own blocks of the generator (philox.pxd), each of which is a number from 0 up to 1. Backward draws the
# same once more.
#
# Places are found in double, whatever `real` is, by + - * alone: they are the same pixels on every CPU level.

from libc.math cimport sqrt

cdef enum:
    ROW_WORDS = 8            # that a row may draw ...
    ROW_BLOCKS = 2           # ... and the blocks that hold them
    LONGEST_SIDE = 1 << 30

# The first of the normal numbers of an op lies far behind all words.
cdef uint64_t FIRST_NORMAL = <uint64_t>1 << 62


# ---- what rows draw --------------------------------------------------------------------------------

# units = the row's numbers from 0 up to 1, of which `blocks` hold 4 each.
cdef inline void draw_row(double* units, const int blocks, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef uint32_t[ROW_WORDS] words
    cdef int k
    for k in range(blocks):
        philox_block(words + 4 * k, op.drawn.seed ^ <uint64_t>op.sizes[0], op.drawn.stream + <uint64_t>op.number,
                     place_of(op, row, blocks) + <uint64_t>k)
    for k in range(4 * blocks):
        units[k] = words[k] * (1.0 / 4294967296.0)


# The number of that share of the way between two of the op's options.
cdef inline double between(const Op* op, int first, double unit) noexcept nogil:
    return op.options[first] + (op.options[first + 1] - op.options[first]) * unit


cdef inline Py_ssize_t floor_of(double a) noexcept nogil:
    cdef Py_ssize_t whole = <Py_ssize_t>a
    return whole - (whole > a)


cdef inline Py_ssize_t channels_of(const Op* op) noexcept nogil:
    return op.sizes[1]


cdef inline Py_ssize_t width_of_image(const Op* op) noexcept nogil:
    return op.outputs // op.sizes[1]


# Whether the op reads images and makes such, and options [first, end) are not beyond `most`.
cdef inline bint takes_images(const Op* op, int first, int end, double most) noexcept nogil:
    cdef int k
    for k in range(first, end):
        if not -most <= op.options[k] <= most:
            return False
    return keeps_size(op) and op.sizes[1] > 0 and op.outputs % op.sizes[1] == 0 and (
        op.lines < LONGEST_SIDE and op.outputs < LONGEST_SIDE)


# ---- flip, translate, rotate, zoom: y[line, column] = x at the place that a map of the row's own says ------
#
# sizes: seed, channels, what is beyond the edges (a Fill), and whether the nearest pixel is taken, a half to the
# next one; otherwise the four around a place have shares in it. options: the fill, then those of the map.
#
# Values go along lines first and then across them: two lines are blended into one, then its pixels. dx is what the
# shares of all pixels make of dy, pixel by pixel in order.

cdef enum Fill:
    FILL_CONSTANT            # k k k | a b c | k k k
    FILL_NEAREST             # a a a | a b c | c c c
    FILL_REFLECT             # c b a | a b c | c b a
    FILL_WRAP                # a b c | a b c | a b c


# Pixel (line, column) comes from column xx column + xy line + x and line yx column + yy line + y.
cdef struct Map:
    double xx
    double xy
    double x
    double yx
    double yy
    double y


# What a place along one axis takes from two pixels next to it, and from beyond the edges.
cdef struct Tap:
    int32_t first
    int32_t second
    real first_share
    real second_share
    real outside


# How the op fills, for functions that go through pixels.
cdef struct Warp:
    Map map
    Py_ssize_t lines
    Py_ssize_t columns
    Py_ssize_t channels
    int fill
    bint is_nearest
    real value
    Tap* across              # room for one of each column ...
    real* blended            # ... and for a line


ctypedef void (*map_rule)(Map* map, const Op* op, Py_ssize_t row) noexcept nogil


# The pixel that one beyond the edges stands for.
cdef inline Py_ssize_t pixel_for(Py_ssize_t at, Py_ssize_t n, int fill) noexcept nogil:
    cdef Py_ssize_t period = n if fill == FILL_WRAP else 2 * n
    if fill <= FILL_NEAREST:
        return min(max(at, <Py_ssize_t>0), n - 1)
    at %= period
    if at < 0:
        at += period
    return at if at < n else period - 1 - at


cdef inline void tap_edge(Tap* tap, Py_ssize_t at, Py_ssize_t n, int fill) noexcept nogil:
    tap.first = <int32_t>pixel_for(at, n, fill)
    tap.second = <int32_t>pixel_for(at + 1, n, fill)
    if fill != FILL_CONSTANT:
        return
    if not 0 <= at < n:
        tap.outside += tap.first_share
        tap.first_share = 0
    if not 0 <= at + 1 < n:
        tap.outside += tap.second_share
        tap.second_share = 0


# What the place `at` takes of n pixels.
cdef inline void tap_at(Tap* tap, double at, Py_ssize_t n, const Warp* warp) noexcept nogil:
    cdef Py_ssize_t low = floor_of(at + 0.5 if warp.is_nearest else at)
    cdef double share = 0 if warp.is_nearest else at - low
    tap.first = <int32_t>low
    tap.second = <int32_t>(low + 1)
    tap.second_share = <real>share
    tap.first_share = 1 - tap.second_share
    tap.outside = 0
    if not 0 <= low < n - 1:
        tap_edge(tap, low, n, warp.fill)


# What each column takes of a line, under a map by which lines stay lines.
cdef inline void tap_columns(const Warp* warp) noexcept nogil:
    cdef Py_ssize_t column
    for column in range(warp.columns):
        tap_at(&warp.across[column], warp.map.xx * column + warp.map.x, warp.columns, warp)


# What a pixel takes along its line and across lines.
cdef inline void tap_pixel(Tap* across, Tap* down, const Warp* warp, Py_ssize_t line, Py_ssize_t column) noexcept nogil:
    tap_at(across, warp.map.xx * column + (warp.map.xy * line + warp.map.x), warp.columns, warp)
    tap_at(down, warp.map.yx * column + (warp.map.yy * line + warp.map.y), warp.lines, warp)


cdef inline real filled(const Warp* warp, const Tap* across, const Tap* down) noexcept nogil:
    return warp.value * (across.outside + down.outside - across.outside * down.outside)


# Pixels [begin, end) of a line of y.
cdef inline void warp_pixels(const Py_ssize_t channels, real* y, const real* x, const Warp* warp, Py_ssize_t line,
                             Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t stride = warp.columns * channels, column, first, second, k
    cdef Tap across, down
    cdef const real* above
    cdef const real* below
    cdef real fill
    for column in range(begin, end):
        tap_pixel(&across, &down, warp, line, column)
        above = x + down.first * stride
        below = x + down.second * stride
        first, second = across.first * channels, across.second * channels
        fill = filled(warp, &across, &down)
        for k in range(channels):
            y[column * channels + k] = (
                across.first_share * (down.first_share * above[first + k] + down.second_share * below[first + k])
                + across.second_share * (down.first_share * above[second + k] + down.second_share * below[second + k])
                + fill)


# Whether both places of a pixel have two neighbours each.
cdef inline bint is_inside(const Warp* warp, Py_ssize_t line, Py_ssize_t column) noexcept nogil:
    cdef double half = 0.5 if warp.is_nearest else 0.0
    return 0 <= warp.map.xx * column + (warp.map.xy * line + warp.map.x) + half < warp.columns - 1 and (
        0 <= warp.map.yx * column + (warp.map.yy * line + warp.map.y) + half < warp.lines - 1)


# As warp_pixels, of pixels that are inside.
cdef inline void warp_inside(const Py_ssize_t channels, real* y, const real* x, const Warp* warp, Py_ssize_t line,
                             Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t stride = warp.columns * channels, column, k
    cdef double half = 0.5 if warp.is_nearest else 0.0, sharing = 0.0 if warp.is_nearest else 1.0
    cdef double first_x = warp.map.xy * line + warp.map.x, first_y = warp.map.yy * line + warp.map.y, at_x, at_y
    cdef double share_x, share_y
    cdef int32_t low_x, low_y
    cdef real left, right, above, below
    cdef const real* near
    for column in range(begin, end):
        at_x = warp.map.xx * column + first_x + half
        at_y = warp.map.yx * column + first_y + half
        low_x, low_y = <int32_t>at_x, <int32_t>at_y
        share_x, share_y = sharing * (at_x - low_x), sharing * (at_y - low_y)
        right, below = <real>share_x, <real>share_y
        left, above = 1 - right, 1 - below
        near = x + low_y * stride + low_x * channels
        for k in range(channels):
            y[column * channels + k] = (
                left * (above * near[k] + below * near[stride + k])
                + right * (above * near[channels + k] + below * near[stride + channels + k]))


# A line of y; those of its pixels that are inside follow each other.
cdef inline void warp_slanted(const Py_ssize_t channels, real* y, const real* x, const Warp* warp,
                              Py_ssize_t line) noexcept nogil:
    cdef Py_ssize_t begin = 0, end = warp.columns
    while begin < end and not is_inside(warp, line, begin):
        begin += 1
    while begin < end and not is_inside(warp, line, end - 1):
        end -= 1
    warp_pixels(channels, y, x, warp, line, 0, begin)
    warp_inside(channels, y, x, warp, line, begin, end)
    warp_pixels(channels, y, x, warp, line, end, warp.columns)


# Pixels [begin, end) of a line of y from one line, what is blended of two.
cdef inline void warp_line_pixels(const Py_ssize_t channels, real* y, const real* line, const Tap* down,
                                  const Warp* warp, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t column, k
    cdef const Tap* across
    cdef const real* first
    cdef const real* second
    cdef real fill
    for column in range(begin, end):
        across = &warp.across[column]
        first = line + across.first * channels
        second = line + across.second * channels
        fill = filled(warp, across, down)
        for k in range(channels):
            y[column * channels + k] = across.first_share * first[k] + across.second_share * second[k] + fill


# y = a first + b second, n reals.
cdef inline void blend(real* y, const real* first, real a, const real* second, real b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(y + i, vset1(a) * load_first(first + i, n - i) + vset1(b) * load_first(second + i, n - i), n - i)
        i += VL


# Where columns begin, and end, that take the shares of neighbours that follow each other as they do in x.
cdef inline void find_run(Py_ssize_t* begin, Py_ssize_t* end, const Warp* warp) noexcept nogil:
    cdef const Tap* taps = warp.across
    cdef Py_ssize_t n = warp.columns if warp.map.xx == 1 else 0
    begin[0] = 0
    while begin[0] < n and not (taps[begin[0]].second == taps[begin[0]].first + 1 and taps[begin[0]].outside == 0):
        begin[0] += 1
    end[0] = begin[0]
    while end[0] < n and taps[end[0]].second == taps[end[0]].first + 1 and taps[end[0]].outside == 0 and (
            taps[end[0]].first == taps[begin[0]].first + end[0] - begin[0]):
        end[0] += 1


# A map under which lines stay lines: all of them take their pixels from the same columns.
cdef inline void warp_straight(const Py_ssize_t channels, real* y, const real* x, const Warp* warp) noexcept nogil:
    cdef Py_ssize_t stride = warp.columns * channels, line, begin, end
    cdef const Tap* from_run
    cdef const real* source
    cdef Tap down
    tap_columns(warp)
    find_run(&begin, &end, warp)
    from_run = &warp.across[begin]
    for line in range(warp.lines):
        tap_at(&down, warp.map.yy * line + warp.map.y, warp.lines, warp)
        source = x + down.first * stride
        if down.second_share != 0 or down.outside != 0:
            blend(warp.blended, source, down.first_share, x + down.second * stride, down.second_share, stride)
            source = warp.blended
        warp_line_pixels(channels, y, source, &down, warp, 0, begin)
        if begin < end:
            warp_run(y + begin * channels, source + from_run.first * channels, from_run, &down, warp,
                     (end - begin) * channels)
        warp_line_pixels(channels, y, source, &down, warp, end, warp.columns)
        y += stride


# n reals of such a run.
cdef inline void warp_run(real* y, const real* line, const Tap* across, const Tap* down, const Warp* warp,
                          Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vreal fill = vset1(filled(warp, across, down))
    if across.second_share == 0 and down.outside == 0:
        memcpy(y, line, n * sizeof(real))
        return
    while i < n:
        store_first(y + i, vset1(across.first_share) * load_first(line + i, n - i)
                    + vset1(across.second_share) * load_first(line + warp.channels + i, n - i) + fill, n - i)
        i += VL


cdef inline void warp_channels(const Py_ssize_t channels, real* y, const real* x, const Warp* warp) noexcept nogil:
    cdef Py_ssize_t line
    if warp.map.xy == 0 and warp.map.yx == 0:
        warp_straight(channels, y, x, warp)
        return
    for line in range(warp.lines):
        warp_slanted(channels, y + line * warp.columns * channels, x, warp, line)


cdef inline bint stays(const Map* map) noexcept nogil:
    return map.xx == 1 and map.yy == 1 and map.xy == 0 and map.yx == 0 and map.x == 0 and map.y == 0


cdef void warp_row(real* y, const real* x, const Warp* warp) noexcept nogil:
    if stays(&warp.map):
        memcpy(y, x, warp.lines * warp.columns * warp.channels * sizeof(real))
    elif warp.channels == 1:
        warp_channels(1, y, x, warp)
    elif warp.channels == 3:
        warp_channels(3, y, x, warp)
    else:
        warp_channels(warp.channels, y, x, warp)


# dx = what the shares that each pixel of y has in those of x make of dy.
cdef void warp_row_back(real* dx, const real* dy, const Warp* warp) noexcept nogil:
    cdef Py_ssize_t channels = warp.channels, stride = warp.columns * channels, line, column, k
    cdef Tap across, down
    cdef real* above
    cdef real* below
    if stays(&warp.map):
        memcpy(dx, dy, warp.lines * stride * sizeof(real))
        return
    memset(dx, 0, warp.lines * stride * sizeof(real))
    for line in range(warp.lines):
        for column in range(warp.columns):
            tap_pixel(&across, &down, warp, line, column)
            above = dx + down.first * stride
            below = dx + down.second * stride
            for k in range(channels):
                above[across.first * channels + k] += across.first_share * (down.first_share * dy[k])
                above[across.second * channels + k] += across.second_share * (down.first_share * dy[k])
                below[across.first * channels + k] += across.first_share * (down.second_share * dy[k])
                below[across.second * channels + k] += across.second_share * (down.second_share * dy[k])
            dy += channels


cdef inline Warp warp_of(const Op* op) noexcept nogil:
    cdef Warp warp
    warp.lines, warp.columns, warp.channels = op.lines, width_of_image(op), channels_of(op)
    warp.fill, warp.is_nearest, warp.value = <int>op.sizes[2], op.sizes[3] != 0, <real>op.options[0]
    warp.across = <Tap*>op.workspace
    warp.blended = <real*>(warp.across + warp.columns)
    return warp


cdef inline void warp_rows(const map_rule rule, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Warp warp = warp_of(op)
    cdef Py_ssize_t row
    if not draws(op):
        memcpy(y_of(op, begin), x_of(op, begin), (end - begin) * row_reals(op) * sizeof(real))
        return
    for row in range(begin, end):
        rule(&warp.map, op, row)
        warp_row(y_of(op, row), x_of(op, row), &warp)


cdef inline void warp_rows_back(const map_rule rule, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Warp warp = warp_of(op)
    cdef Py_ssize_t row
    for row in range(begin, end):
        if draws(op):
            rule(&warp.map, op, row)
            warp_row_back(dx_of(op, row), dy_of(op, row), &warp)
        else:
            pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        finish_dx(op, 0, row, row + 1)


cdef void warp_op_measure(Op* op) noexcept nogil:
    # Factors far beyond 1 would lead to places that are no whole numbers.
    op.parameter_reals = 0 if takes_images(op, 1, 5, 16.0) and 0 <= op.sizes[2] <= FILL_WRAP else -1
    if op.parameter_reals == 0:
        op.workspace_reals = width_of_image(op) * <Py_ssize_t>sizeof(Tap) // <Py_ssize_t>sizeof(real) + op.outputs
    op.work_per_row = 16.0 * row_reals(op)


# ---- their maps ------------------------------------------------------------------------------------

# sizes besides: whether columns change their order, and whether lines do; both by one draw.
cdef inline void flip_map(Map* map, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    draw_row(units, 1, op, row)
    map.xx = map.yy = 1
    map.x = map.xy = map.yx = map.y = 0
    if units[0] < 0.5:
        if op.sizes[4] != 0:
            map.xx, map.x = -1, <double>(width_of_image(op) - 1)
        if op.sizes[5] != 0:
            map.yy, map.y = -1, <double>(op.lines - 1)


# options besides: from how much of the height down to how much, and of the width to the right.
cdef inline void translate_map(Map* map, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    draw_row(units, 1, op, row)
    map.xx = map.yy = 1
    map.xy = map.yx = 0
    map.x = -between(op, 3, units[1]) * width_of_image(op)
    map.y = -between(op, 1, units[0]) * op.lines


# options besides: from how much of a turn against the clock to how much.
cdef inline void rotate_map(Map* map, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    cdef double quarters, sine, cosine, before, center_x = 0.5 * (width_of_image(op) - 1), center_y = 0.5 * (op.lines - 1)
    cdef Py_ssize_t whole, k
    cdef vreal rest
    draw_row(units, 1, op, row)
    quarters = 4 * between(op, 1, units[0])
    whole = floor_of(quarters + 0.5)
    rest = vset1(<real>(quarters - whole))
    cosine, sine = first_lane(cosine_of_turn(rest * rest)), first_lane(rest * sine_of_turn(rest * rest))
    for k in range(whole & 3):
        before = cosine
        cosine, sine = -sine, before
    map.xx, map.xy, map.x = cosine, -sine, center_x - center_x * cosine + center_y * sine
    map.yx, map.yy, map.y = sine, cosine, center_y - center_x * sine - center_y * cosine


# options besides: by how much more of the height than there is at least and at most, and of the width; sizes besides:
# whether the width has a draw of its own.
cdef inline void zoom_map(Map* map, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    draw_row(units, 1, op, row)
    map.yy = 1 + between(op, 1, units[0])
    map.xx = 1 + between(op, 3, units[1]) if op.sizes[4] != 0 else map.yy
    map.xy = map.yx = 0
    map.x = 0.5 * (width_of_image(op) - 1) * (1 - map.xx)
    map.y = 0.5 * (op.lines - 1) * (1 - map.yy)


cdef void flip_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows(flip_map, op, begin, end)


cdef void flip_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows_back(flip_map, op, begin, end)


cdef void translate_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows(translate_map, op, begin, end)


cdef void translate_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows_back(translate_map, op, begin, end)


cdef void rotate_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows(rotate_map, op, begin, end)


cdef void rotate_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows_back(rotate_map, op, begin, end)


cdef void zoom_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows(zoom_map, op, begin, end)


cdef void zoom_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    warp_rows_back(zoom_map, op, begin, end)


# ---- contrast: y = mean + factor (x - mean), by the mean of each channel; brightness: y = x + shift ------
#
# Both end at the bounds, beyond which no gradient goes. options: the least and the largest that is drawn, and the
# two bounds.

cdef inline vreal within_bounds(vreal a, const Op* op) noexcept nogil:
    return vmin(vset1(<real>op.options[3]), vmax(vset1(<real>op.options[2]), a))


# dx = dy where y is within the bounds, else 0; it may be dy itself.
cdef inline void keep_within_bounds(real* dx, const real* dy, const real* y, Py_ssize_t n, const Op* op) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vreal least = vset1(<real>op.options[2]), most = vset1(<real>op.options[3]), value
    while i < n:
        value = load_first(y + i, n - i)
        store_first(dx + i, vselect(vand(vlt(least, value), vlt(value, most)), load_first(dy + i, n - i), vzero()),
                    n - i)
        i += VL


# line (width, channels) = factor times the mean of each channel of x, at each of the pixels of a line.
cdef inline void spread_means(real* line, const real* x, real factor, const Op* op) noexcept nogil:
    cdef Py_ssize_t channels = channels_of(op), pixels = op.lines * width_of_image(op), k
    if channels == 1:
        line[0] = first_lane(row_total(False, x, pixels))
    else:
        sum_lines(add_element, line, x, x, x, channels, pixels, channels)
    for k in range(channels):
        line[k] = factor * (line[k] / <real>pixels)
    for k in range(channels, op.outputs):
        line[k] = line[k - channels]


cdef inline double contrast_of(const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    draw_row(units, 1, op, row)
    return between(op, 0, units[0])


cdef void contrast_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if takes_images(op, 0, 4, <double>LARGEST) else -1
    op.workspace_reals = op.outputs
    op.work_per_row = 4.0 * row_reals(op)


cdef void contrast_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, row, line, i
    cdef real* y = y_of(op, begin)
    cdef const real* x = x_of(op, begin)
    cdef real* means = <real*>op.workspace
    cdef vreal factor, mean
    if not draws(op):
        memcpy(y, x, (end - begin) * row_reals(op) * sizeof(real))
        return
    for row in range(begin, end):
        factor = vset1(<real>contrast_of(op, row))
        spread_means(means, x, 1, op)
        for line in range(op.lines):
            i = 0
            while i < n:
                mean = load_first(means + i, n - i)
                store_first(y + i, within_bounds(vfma(factor, load_first(x + i, n - i) - mean, mean), op), n - i)
                i += VL
            y += n
            x += n


cdef void contrast_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, row, line, i
    cdef real* means = <real*>op.workspace
    cdef real* dx
    cdef vreal by
    cdef double factor
    for row in range(begin, end):
        dx = dx_of(op, row)
        if draws(op):
            factor = contrast_of(op, row)
            by = vset1(<real>factor)
            keep_within_bounds(dx, dy_of(op, row), y_of(op, row), row_reals(op), op)
            spread_means(means, dx, <real>(1 - factor), op)
            for line in range(op.lines):
                i = 0
                while i < n:
                    store_first(dx + i, vfma(by, load_first(dx + i, n - i), load_first(means + i, n - i)), n - i)
                    i += VL
                dx += n
        else:
            pass_on(dx, dy_of(op, row), row_reals(op))
        finish_dx(op, 0, row, row + 1)


cdef void brightness_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if takes_images(op, 0, 4, <double>LARGEST) else -1
    op.dx_over_dy = True
    op.work_per_row = 2.0 * row_reals(op)


cdef void brightness_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = row_reals(op), row, i
    cdef double[ROW_WORDS] units
    cdef real* y = y_of(op, begin)
    cdef const real* x = x_of(op, begin)
    cdef vreal shift
    if not draws(op):
        memcpy(y, x, (end - begin) * n * sizeof(real))
        return
    for row in range(begin, end):
        draw_row(units, 1, op, row)
        shift = vset1(<real>between(op, 0, units[0]))
        i = 0
        while i < n:
            store_first(y + i, within_bounds(load_first(x + i, n - i) + shift, op), n - i)
            i += VL
        y += n
        x += n


cdef void brightness_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(begin, end):
        if draws(op):
            keep_within_bounds(dx_of(op, row), dy_of(op, row), y_of(op, row), row_reals(op), op)
        else:
            pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        finish_dx(op, 0, row, row + 1)


# ---- erase: a rectangle of some rows is something else, and has no gradient --------------------------
#
# options: the least and the largest chance of a row, and share of an image, whose root is that of each side; then
# the value of each of three channels, or, for normal numbers, the bounds that they are brought within. sizes besides:
# whether it is normal numbers, whose deviation is the upper bound.

cdef struct Patch:
    Py_ssize_t first_line
    Py_ssize_t end_line
    Py_ssize_t first             # reals of a line
    Py_ssize_t end


# Which whole numbers below n are not below `begin`, nor as large as that and `length`.
cdef inline void whole_between(Py_ssize_t* first, Py_ssize_t* end, double begin, double length,
                               Py_ssize_t n) noexcept nogil:
    first[0] = min(-floor_of(-begin), n)
    end[0] = max(first[0], min(-floor_of(-(begin + length)), n))


# What is erased of a row, which may be nothing.
cdef inline Patch patch_of(const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    cdef double wide, high
    cdef Patch patch = Patch(0, 0, 0, 0)
    draw_row(units, ROW_BLOCKS, op, row)
    if units[5] < between(op, 0, units[4]):
        wide = sqrt(between(op, 2, units[0])) * width_of_image(op)
        high = sqrt(between(op, 2, units[1])) * op.lines
        whole_between(&patch.first, &patch.end, units[2] * (width_of_image(op) - wide), wide, width_of_image(op))
        whole_between(&patch.first_line, &patch.end_line, units[3] * (op.lines - high), high, op.lines)
        patch.first *= channels_of(op)
        patch.end *= channels_of(op)
    return patch


cdef void erase_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = -1
    if takes_images(op, 0, 7, <double>LARGEST) and 0 <= op.options[2] <= op.options[3] <= 1:
        op.parameter_reals = 0
    op.dx_over_dy = True
    op.work_per_row = (8.0 if op.sizes[2] != 0 else 1.0) * row_reals(op)


# n normal numbers within the bounds, the first of them number `first` of the op's.
cdef void erase_by_noise(real* y, const Op* op, const Generator* generator, uint64_t first, Py_ssize_t n) noexcept nogil:
    cdef real[STRETCH + 2 * NORMALS] room
    cdef vreal least = vset1(<real>op.options[4]), most = vset1(<real>op.options[5])
    cdef const real* z
    cdef Py_ssize_t count, i
    while n > 0:
        count = min(n, <Py_ssize_t>STRETCH)
        z = draw_normals(room, generator, first, count)
        i = 0
        while i < count:
            store_first(y + i, vmin(most, vmax(least, most * load_first(z + i, count - i))), count - i)
            i += VL
        y += count
        first += <uint64_t>count
        n -= count


cdef void erase_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row, line, i
    cdef Generator generator
    cdef Patch patch
    cdef real* y
    memcpy(y_of(op, begin), x_of(op, begin), (end - begin) * row_reals(op) * sizeof(real))
    if not draws(op):
        return
    if op.sizes[2] != 0:
        start_drawing(&generator, op)
    for row in range(begin, end):
        patch = patch_of(op, row)
        for line in range(patch.first_line, patch.end_line):
            y = y_of(op, row) + line * op.outputs
            if op.sizes[2] != 0:
                erase_by_noise(y + patch.first, op, &generator, FIRST_NORMAL + place_of(op, row, row_reals(op))
                               + <uint64_t>(line * op.outputs + patch.first), patch.end - patch.first)
            else:
                for i in range(patch.first, patch.end):
                    y[i] = <real>op.options[4 + i % channels_of(op) % 3]


cdef void erase_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row, line
    cdef Patch patch
    for row in range(begin, end):
        pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        if draws(op):
            patch = patch_of(op, row)
            for line in range(patch.first_line, patch.end_line):
                memset(dx_of(op, row) + line * op.outputs + patch.first, 0, (patch.end - patch.first) * sizeof(real))
        finish_dx(op, 0, row, row + 1)
