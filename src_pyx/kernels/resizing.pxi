# Images of another height and width: the op "resize"; and parts of images from random places: "random_crop".
#
# A row is one line, an image whose channels come last.

# ---- resize: sizes are those of x (height, width, channels), height and width of y, and whether pixels between others
# are mixed or the nearest is taken ------------------------------------------------------------------------------------
#
# The middle of pixel i of y lies at (i + 1/2) n / m of x, where n and m are the sizes of x and y along an axis; pixels
# beyond the edges are those at the edges. Lines are mixed first, then pixels of a line. Backward goes the other way:
# each line of dy becomes one of the width of x, which is shared out among two lines of dx.

cdef struct Mix:
    Py_ssize_t low
    Py_ssize_t high
    real share            # of high; 0 where they are the same


# What pixel i of m is mixed of, where there were n.
cdef inline Mix mix_of(Py_ssize_t i, Py_ssize_t m, Py_ssize_t n, bint mixes) noexcept nogil:
    cdef Mix mix
    cdef Py_ssize_t place, unit = 2 * m
    if not mixes:
        mix.low = mix.high = (2 * i + 1) * n // unit
        mix.share = 0
        return mix
    place = max((2 * i + 1) * n - m, <Py_ssize_t>0)       # in units of a pixel
    mix.low = place // unit
    mix.high = min(mix.low + 1, n - 1)
    mix.share = <real>(<double>(place - mix.low * unit) / <double>unit) if mix.high > mix.low else 0
    return mix


# y = (1 - share) low + share high, all of n reals.
cdef inline void mix_reals(real* y, const real* low, const real* high, real share, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vreal by = vset1(share), rest = vset1(1 - share)
    if share == 0:
        copy_reals(y, low, n)
        return
    while i < n:
        store_first(y + i, vfma(by, load_first(high + i, n - i), rest * load_first(low + i, n - i)), n - i)
        i += VL


# dx += share dy, all of n reals.
cdef inline void add_share(real* dx, const real* dy, real share, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vreal by = vset1(share)
    if share == 0:
        return
    while i < n:
        store_first(dx + i, vfma(by, load_first(dy + i, n - i), load_first(dx + i, n - i)), n - i)
        i += VL


cdef void resize_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = -1
    if op.n_reads == 1 and op.n_variables == 0 and op.lines == 1 and has_sizes(op, 5) and op.sizes[5] in (0, 1) and (
            op.inputs <= LARGEST_IMAGE and op.outputs <= LARGEST_IMAGE
            and is_image(op.inputs, op.sizes[0], op.sizes[1], op.sizes[2])
            and is_image(op.outputs, op.sizes[3], op.sizes[4], op.sizes[2])):
        op.parameter_reals = 0
    op.workspace_reals = op.sizes[1] * op.sizes[2]
    op.work_per_row = 4.0 * op.outputs


cdef void resize_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t height = op.sizes[0], width = op.sizes[1], channels = op.sizes[2], row, line, column
    cdef bint mixes = op.sizes[5] != 0
    cdef real* mixed = <real*>op.workspace
    cdef real* y = y_of(op, begin)
    cdef const real* x
    cdef Mix mix
    for row in range(begin, end):
        x = x_of(op, row)
        for line in range(op.sizes[3]):
            mix = mix_of(line, op.sizes[3], height, mixes)
            mix_reals(mixed, x + mix.low * width * channels, x + mix.high * width * channels, mix.share,
                      width * channels)
            for column in range(op.sizes[4]):
                mix = mix_of(column, op.sizes[4], width, mixes)
                mix_reals(y, mixed + mix.low * channels, mixed + mix.high * channels, mix.share, channels)
                y += channels


cdef void resize_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t finished = begin, height = op.sizes[0], width = op.sizes[1], channels = op.sizes[2], row, line, column
    cdef bint mixes = op.sizes[5] != 0
    cdef real* mixed = <real*>op.workspace
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx
    cdef Mix mix
    for row in range(begin, end):
        dx = dx_of(op, row)
        memset(dx, 0, op.inputs * sizeof(real))
        for line in range(op.sizes[3]):
            memset(mixed, 0, width * channels * sizeof(real))
            for column in range(op.sizes[4]):
                mix = mix_of(column, op.sizes[4], width, mixes)
                add_share(mixed + mix.low * channels, dy, 1 - mix.share, channels)
                add_share(mixed + mix.high * channels, dy, mix.share, channels)
                dy += channels
            mix = mix_of(line, op.sizes[3], height, mixes)
            add_share(dx + mix.low * width * channels, mixed, 1 - mix.share, width * channels)
            add_share(dx + mix.high * width * channels, mixed, mix.share, width * channels)
        finish_rows(op, &finished, row + 1, end)


# ---- random_crop: sizes are the op's seed, those of x (height, width, channels), height and width of y ---------------
#
# In training each row is taken from a place of its own, in inference, where nothing is drawn, from the middle.

cdef inline Frame part_of_image(const Op* op, Py_ssize_t row) noexcept nogil:
    cdef double[ROW_WORDS] units
    cdef Frame f = Frame(op.sizes[1], op.sizes[2], op.sizes[3], op.sizes[4], op.sizes[5], 0, 0)
    if draws(op):
        draw_row(units, 1, op, row)
        f.top = <Py_ssize_t>(units[0] * <double>(f.height - f.inner_height + 1))
        f.left = <Py_ssize_t>(units[1] * <double>(f.width - f.inner_width + 1))
    else:
        f.top = (f.height - f.inner_height) // 2
        f.left = (f.width - f.inner_width) // 2
    return f


cdef void random_crop_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = -1
    if op.n_reads == 1 and op.n_variables == 0 and op.lines == 1 and (
            is_image(op.inputs, op.sizes[1], op.sizes[2], op.sizes[3])
            and is_image(op.outputs, op.sizes[4], op.sizes[5], op.sizes[3])
            and op.sizes[4] <= op.sizes[1] and op.sizes[5] <= op.sizes[2]):
        op.parameter_reals = 0
    op.work_per_row = <double>op.outputs


cdef void random_crop_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row
    cdef Frame f
    for row in range(begin, end):
        f = part_of_image(op, row)
        take_from_frame(y_of(op, row), x_of(op, row), &f, 1)


cdef void random_crop_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t finished = begin, row
    cdef Frame f
    for row in range(begin, end):
        f = part_of_image(op, row)
        put_in_frame(dx_of(op, row), dy_of(op, row), &f, 1)
        finish_rows(op, &finished, row + 1, end)
