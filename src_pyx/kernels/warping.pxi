# Ops that take each pixel of an image from another place in training (see `augmentation.pxi`): flip, translate,
# rotate, zoom: y[line, column] = x at the place that a map of the row's own says.
#
# sizes: seed, channels, what is beyond the edges (a Fill), and whether the four pixels around a place have shares in
# it; otherwise the nearest one is taken, a half to the next one. options: the fill, then those of the map.
#
# Two lines are blended first and then two pixels of the result. dx is what the shares of all pixels make of dy, pixel
# by pixel in order. Places are found in double, whatever `real` is, by + - * alone: they are the same pixels on every
# CPU level.

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


# A row's map, and all else that pixels depend on.
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
    tap.first_share = <real>1 - tap.second_share
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


# As warp_pixels, of pixels that are inside: first where they come from, then what is there.
cdef inline void warp_inside(const Py_ssize_t channels, real* y, const real* x, const Warp* warp, Py_ssize_t line,
                             Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef double half = 0.5 if warp.is_nearest else 0.0, sharing = 0.0 if warp.is_nearest else 1.0
    cdef double first_x = warp.map.xy * line + warp.map.x, first_y = warp.map.yy * line + warp.map.y, at_x, at_y
    cdef double per_column_x = warp.map.xx, per_column_y = warp.map.yx
    cdef int32_t stride = <int32_t>(warp.columns * channels), step = <int32_t>channels, column, low_x, low_y, k
    # The taps of lines that stay lines have no use for their room.
    cdef real* right = <real*>warp.across
    cdef real* below = right + warp.columns
    cdef int32_t* places = <int32_t*>(below + warp.columns)
    cdef const real* near
    cdef real left, above
    for column in range(<int32_t>begin, <int32_t>end):
        at_x = per_column_x * column + first_x + half
        at_y = per_column_y * column + first_y + half
        low_x, low_y = <int32_t>at_x, <int32_t>at_y
        right[column] = <real>(sharing * (at_x - low_x))
        below[column] = <real>(sharing * (at_y - low_y))
        places[column] = low_y * stride + low_x * step
    for column in range(<int32_t>begin, <int32_t>end):
        near = x + places[column]
        left, above = <real>1 - right[column], <real>1 - below[column]
        for k in range(step):
            y[column * step + k] = (left * (above * near[k] + below[column] * near[stride + k])
                                    + right[column] * (above * near[step + k] + below[column] * near[stride + step + k]))


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


# The same from one line, which is one of x or what is blended of two.
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


# n pixels in the other order.
cdef inline void reverse_pixels(const Py_ssize_t channels, real* y, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t pixel, k
    for pixel in range(n):
        for k in range(channels):
            y[pixel * channels + k] = x[(n - 1 - pixel) * channels + k]


# A map under which lines stay lines: all of them take their pixels from the same columns.
cdef inline void warp_straight(const Py_ssize_t channels, real* y, const real* x, const Warp* warp) noexcept nogil:
    cdef Py_ssize_t stride = warp.columns * channels, line, begin, end
    cdef const Tap* from_run
    cdef const real* source
    cdef Tap down
    cdef bint is_reversed
    tap_columns(warp)
    is_reversed = warp.map.xx == -1 and warp.across.first == warp.columns - 1 and warp.across.second_share == 0
    find_run(&begin, &end, warp)
    from_run = &warp.across[begin]
    for line in range(warp.lines):
        tap_at(&down, warp.map.yy * line + warp.map.y, warp.lines, warp)
        source = x + down.first * stride
        if down.second_share != 0 or down.outside != 0:
            blend(warp.blended, source, down.first_share, x + down.second * stride, down.second_share, stride)
            source = warp.blended
        if is_reversed and down.outside == 0:
            reverse_pixels(channels, y, source, warp.columns)
        else:
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
    warp.fill, warp.is_nearest, warp.value = <int>op.sizes[2], op.sizes[3] == 0, <real>op.options[0]
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
    cdef Py_ssize_t finished = begin, row
    for row in range(begin, end):
        if draws(op):
            rule(&warp.map, op, row)
            warp_row_back(dx_of(op, row), dy_of(op, row), &warp)
        else:
            pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        finish_rows(op, &finished, row + 1, end)


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
