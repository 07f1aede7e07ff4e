# Ops that change images at random in training and let them through in inference, where a pass has no stream:
# contrast, brightness, erase; and what those of `warping.pxi` have in common with them.
#
# A row is an image of `lines` lines (width, channels); sizes begin with the op's seed and the channels. What is drawn
# is a function of the pass's seed and stream, the op's number and seed, and the row's place in the pass: 32-bit words
# of the row's own blocks of the generator (philox.pxd), each of which is a number from 0 up to 1. Backward draws the
# same once more.

from libc.math cimport sqrt

cdef enum:
    ROW_WORDS = 8            # that a row may draw ...
    ROW_BLOCKS = 2           # ... and the blocks that hold them
    LARGEST_IMAGE = 1 << 30  # in numbers

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
        op.outputs <= LARGEST_IMAGE // op.lines)


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
    cdef Py_ssize_t finished = begin, n = op.outputs, row, line, i
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
        finish_rows(op, &finished, row + 1, end)


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
    cdef Py_ssize_t finished = begin, row
    for row in range(begin, end):
        if draws(op):
            keep_within_bounds(dx_of(op, row), dy_of(op, row), y_of(op, row), row_reals(op), op)
        else:
            pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        finish_rows(op, &finished, row + 1, end)


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
    cdef Py_ssize_t finished = begin, row, line
    cdef Patch patch
    for row in range(begin, end):
        pass_on(dx_of(op, row), dy_of(op, row), row_reals(op))
        if draws(op):
            patch = patch_of(op, row)
            for line in range(patch.first_line, patch.end_line):
                memset(dx_of(op, row) + line * op.outputs + patch.first, 0, (patch.end - patch.first) * sizeof(real))
        finish_rows(op, &finished, row + 1, end)
