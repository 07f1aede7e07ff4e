# Windows over images that keep their channels: the ops "max_pool" and "average_pool".
#
#     y[oy, ox, c] = the largest, or the mean, of x[oy stride_down - top + ky, ox stride_across - left + kx, c]
#
# over what of the window [0, window_height) x [0, window_width) falls into the image. A row is one line, an image
# (height, width, channels). Sizes as in Pool. The gradient of a maximum goes to the first number that is as large, row
# by row; where there is a NaN, to the window's first number. Lanes run along channels.

# How far a window may reach.
cdef enum: FARTHEST = 1 << 30


cdef struct Pool:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t out_height
    Py_ssize_t out_width
    Py_ssize_t window_height
    Py_ssize_t window_width
    Py_ssize_t stride_down
    Py_ssize_t stride_across
    Py_ssize_t top
    Py_ssize_t left


# What of a window falls into the image: rows and columns of it, the first number of which stands `at` so many reals.
cdef struct Seen:
    Py_ssize_t at
    Py_ssize_t rows
    Py_ssize_t columns


# y from what is seen of x; dx from that, y and dy, which is added to what is there where windows `overlap`. They work
# on one vector of channels; ragged, which says that it is a tail, and overlap are constants.
ctypedef void (*pool_rule)(const bint ragged, real* y, const real* x, const Seen* seen, const Pool* p,
                           vtail tail) noexcept nogil
ctypedef void (*pool_gradient)(const bint ragged, const bint overlap, real* dx, const real* dy, const real* x,
                               const real* y, const Seen* seen, const Pool* p, vtail tail) noexcept nogil


cdef inline Pool pool_of(const Op* op) noexcept nogil:
    cdef Pool p
    memcpy(&p, op.sizes, sizeof(Pool))
    return p


# Whether each of `count` windows has something of the axis.
cdef inline bint pools_axis(Py_ssize_t size, Py_ssize_t count, Py_ssize_t window, Py_ssize_t stride,
                            Py_ssize_t before) noexcept nogil:
    return 0 <= before < window <= FARTHEST and (count == 1 or stride <= (size - 1 + before) // (count - 1))


cdef void pool_op_measure(Op* op) noexcept nogil:
    cdef Pool p = pool_of(op)
    op.parameter_reals = -1
    if op.n_reads == 1 and op.n_variables == 0 and op.lines == 1 and has_sizes(op, 9) and (
            is_image(op.inputs, p.height, p.width, p.channels)
            and is_image(op.outputs, p.out_height, p.out_width, p.channels)
            and pools_axis(p.height, p.out_height, p.window_height, p.stride_down, p.top)
            and pools_axis(p.width, p.out_width, p.window_width, p.stride_across, p.left)):
        op.parameter_reals = 0
    op.work_per_row = <double>op.outputs * <double>min(p.window_height, p.height) * <double>min(p.window_width, p.width)


# Whether all windows lie within the image.
cdef inline bint sees_all(const Pool* p) noexcept nogil:
    return (p.top == 0 and p.left == 0 and (p.out_height - 1) * p.stride_down + p.window_height <= p.height
            and (p.out_width - 1) * p.stride_across + p.window_width <= p.width)


# Whether that is so, and windows are of 2 x 2: as most are.
cdef inline bint is_usual(const Pool* p) noexcept nogil:
    return p.window_height == 2 and p.window_width == 2 and sees_all(p)


# What window (row, column) sees; usual is a constant.
cdef inline Seen seen_by(const bint usual, const Pool* p, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    cdef Py_ssize_t y = row * p.stride_down - p.top, x = column * p.stride_across - p.left
    cdef Py_ssize_t first_y = max(<Py_ssize_t>0, y), first_x = max(<Py_ssize_t>0, x)
    if usual:
        return Seen((y * p.width + x) * p.channels, 2, 2)
    return Seen((first_y * p.width + first_x) * p.channels, min(p.height, y + p.window_height) - first_y,
                min(p.width, x + p.window_width) - first_x)


cdef inline void pool_windows(const pool_rule rule, const bint usual, const Op* op, const Pool* p, Py_ssize_t begin,
                              Py_ssize_t end) noexcept nogil:
    cdef Seen seen
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t image, row, column, i, channels = p.channels
    cdef vtail tail = vtail_of(channels % VL)
    for image in range(end - begin):
        for row in range(p.out_height):
            for column in range(p.out_width):
                seen = seen_by(usual, p, row, column)
                i = 0
                while i + VL <= channels:
                    rule(False, y + i, x + seen.at + i, &seen, p, tail)
                    i += VL
                if i < channels:
                    rule(True, y + i, x + seen.at + i, &seen, p, tail)
                y += channels
        x += op.inputs


cdef inline void pool_forward(const pool_rule rule, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Pool p = pool_of(op)
    if is_usual(&p):
        pool_windows(rule, True, op, &p, begin, end)
    else:
        pool_windows(rule, False, op, &p, begin, end)


cdef inline void pool_windows_backward(const pool_gradient rule, const bint usual, const bint overlap, const Op* op,
                                       const Pool* p, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Seen seen
    cdef const real* x = x_of(op, begin)
    cdef const real* y = y_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef Py_ssize_t image, row, column, i, channels = p.channels
    cdef vtail tail = vtail_of(channels % VL)
    for image in range(end - begin):
        for row in range(p.out_height):
            for column in range(p.out_width):
                seen = seen_by(usual, p, row, column)
                i = 0
                while i + VL <= channels:
                    rule(False, overlap, dx + seen.at + i, dy + i, x + seen.at + i, y + i, &seen, p, tail)
                    i += VL
                if i < channels:
                    rule(True, overlap, dx + seen.at + i, dy + i, x + seen.at + i, y + i, &seen, p, tail)
                y += channels
                dy += channels
        x += op.inputs
        dx += op.inputs


cdef inline void pool_backward(const pool_gradient rule, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Pool p = pool_of(op)
    cdef bint overlap = p.stride_down < p.window_height or p.stride_across < p.window_width
    cdef bint is_tiled = (p.stride_down == p.window_height and p.stride_across == p.window_width
                          and p.out_height * p.stride_down - p.top >= p.height
                          and p.out_width * p.stride_across - p.left >= p.width)
    # Some rows at a time, which are finished while they are in the cache.
    cdef Py_ssize_t at_once = rows_handed_back(op, IMAGE_REALS // op.inputs), upto
    while begin < end:
        upto = min(end, begin + at_once)
        if not is_tiled:
            memset(dx_of(op, begin), 0, (upto - begin) * op.inputs * sizeof(real))
        if overlap:
            pool_windows_backward(rule, False, True, op, &p, begin, upto)
        elif is_usual(&p):
            pool_windows_backward(rule, True, False, op, &p, begin, upto)
        else:
            pool_windows_backward(rule, False, False, op, &p, begin, upto)
        finish_dx(op, 0, begin, upto)
        begin = upto


# ---- the largest ---------------------------------------------------------------------------------------------------

cdef inline void max_pool(const bint ragged, real* y, const real* x, const Seen* seen, const Pool* p,
                          vtail tail) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef vreal best = load_part(ragged, x, tail)
    for row in range(seen.rows):
        for column in range(seen.columns):
            best = larger_of_pair(best, load_part(ragged, x + column * p.channels, tail))
        x += p.width * p.channels
    store_part(ragged, y, best, tail)


cdef inline void max_pool_gradient(const bint ragged, const bint overlap, real* dx, const real* dy, const real* x,
                                   const real* y, const Seen* seen, const Pool* p, vtail tail) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef vreal largest = load_part(ragged, y, tail), left = load_part(ragged, dy, tail), here, given
    cdef vmask below
    for row in range(seen.rows):
        for column in range(seen.columns):
            here = load_part(ragged, x + column * p.channels, tail)
            # Beside a NaN none is below.
            below = vlt(here, largest)
            given = vselect(below, vzero(), left)
            left = vselect(below, left, vzero())
            if overlap:
                given = given + load_part(ragged, dx + column * p.channels, tail)
            store_part(ragged, dx + column * p.channels, given, tail)
        x += p.width * p.channels
        dx += p.width * p.channels


cdef void max_pool_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    pool_forward(max_pool, op, begin, end)


cdef void max_pool_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    pool_backward(max_pool_gradient, op, begin, end)


# ---- the mean ------------------------------------------------------------------------------------------------------

cdef inline vreal seen_count(const Seen* seen) noexcept nogil:
    return vset1(<real>(seen.rows * seen.columns))


cdef inline void average_pool(const bint ragged, real* y, const real* x, const Seen* seen, const Pool* p,
                              vtail tail) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef vreal total = vzero(), line
    for row in range(seen.rows):
        line = vzero()
        for column in range(seen.columns):
            line = line + load_part(ragged, x + column * p.channels, tail)
        total = total + line
        x += p.width * p.channels
    store_part(ragged, y, total / seen_count(seen), tail)


cdef inline void average_pool_gradient(const bint ragged, const bint overlap, real* dx, const real* dy, const real* x,
                                       const real* y, const Seen* seen, const Pool* p, vtail tail) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef vreal share = without_traces(load_part(ragged, dy, tail) / seen_count(seen))
    for row in range(seen.rows):
        for column in range(seen.columns):
            store_part(ragged, dx + column * p.channels,
                       share + load_part(ragged, dx + column * p.channels, tail) if overlap else share, tail)
        dx += p.width * p.channels


cdef void average_pool_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Pool p = pool_of(op)
    cdef Py_ssize_t row, i
    cdef real* y = y_of(op, begin)
    if p.window_height < p.height or p.window_width < p.width or op.outputs > p.channels or p.top + p.left > 0:
        pool_forward(average_pool, op, begin, end)
        return
    # The mean of all there is may be a long sum.
    for row in range(begin, end):
        sum_lines(add_element, y, x_of(op, row), x_of(op, row), x_of(op, row), p.channels, p.height * p.width, p.channels)
        i = 0
        while i < p.channels:
            store_first(y + i, load_first(y + i, p.channels - i) / vset1(<real>(p.height * p.width)), p.channels - i)
            i += VL
        y += p.channels


cdef void average_pool_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    pool_backward(average_pool_gradient, op, begin, end)
