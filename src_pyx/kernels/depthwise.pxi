# The op "depthwise": a convolution of each channel by itself, with `multiplier` filters for each.
#
#     y[oy, ox, c multiplier + m] = f(bias[...] + sum of x[oy sh - top + ky dh, ox sw - left + kx dw, c] kernel[ky, kx, c, m])
#
# A row is one line, an image. Variables: kernel (kernel_height, kernel_width, channels, multiplier), a row of which
# is one for each filter in the order of y, and, if there is one, the bias. Sizes as in Geometry, whose groups are the
# multiplier, and filters = channels multiplier. Lanes run along filters. Where a channel has several, x is read from a
# copy that has each channel as often, so that lanes meet; dx is added up from one that is as wide.

# Vectors of filters that are worked on at a time in forward: so many chains, none of which waits for another.
cdef enum: DEPTH_VECTORS = 4


cdef void depthwise_op_measure(Op* op) noexcept nogil:
    cdef Geometry g
    memcpy(&g, op.sizes, sizeof(Geometry))
    op.parameter_reals = -1
    if op.n_reads != 1 or op.lines != 1 or op.n_variables not in (1, 2) or not has_sizes(op, 12) or g.groups < 1:
        return
    if not (is_product(g.filters, g.channels, g.groups) and is_image(op.inputs, g.height, g.width, g.channels)
            and is_image(op.outputs, g.out_height, g.out_width, g.filters)):
        return
    g = geometry_of(op)
    if not (fits_axis(g.height, g.out_height, g.kernel_height, g.stride_down, g.dilation_down, g.top)
            and fits_axis(g.width, g.out_width, g.kernel_width, g.stride_across, g.dilation_across, g.left)
            and is_image(op.variables[0], g.kernel_height, g.kernel_width, g.filters)):
        return
    op.parameter_reals = op.variables[0] + (op.variables[1] if op.n_variables == 2 else 0)
    if op.n_variables == 2 and op.variables[1] != g.filters:
        op.parameter_reals = -1
    op.saved_per_row = op.outputs if op.activation.keeps_slope else 0
    # An image as wide as the filters, for x or dx.
    op.workspace_reals = max(g.height * g.width * g.filters if g.groups > 1 else 0,
                             <Py_ssize_t>(4 * LANES) if op.trains else 0)
    op.pieces = g.kernel_height
    op.piece_parameters = op.variables[0] // g.kernel_height
    op.work_per_row = <double>op.outputs * <double>(g.kernel_height * g.kernel_width)


# to (pixels, channels multiplier) = each channel of come as often.
cdef void widen_channels(real* to, const real* come, Py_ssize_t channels, Py_ssize_t multiplier) noexcept nogil:
    cdef Py_ssize_t i, m
    for i in range(channels):
        for m in range(multiplier):
            to[i * multiplier + m] = come[i]


cdef void narrow_channels(real* to, const real* come, Py_ssize_t channels, Py_ssize_t multiplier) noexcept nogil:
    cdef Py_ssize_t i, m
    for i in range(channels):
        to[i] = come[i * multiplier]
        for m in range(1, multiplier):
            to[i] += come[i * multiplier + m]


# x of one row, as wide as the filters.
cdef inline const real* wide_image(const Op* op, const Geometry* g, Py_ssize_t row) noexcept nogil:
    if g.groups == 1:
        return x_of(op, row)
    widen_channels(<real*>op.workspace, x_of(op, row), op.inputs, g.groups)
    return <const real*>op.workspace


# nv vectors of one pixel's filters from number i on, the last of which is a tail where ragged: the taps of the window
# at x are added up.
cdef inline void depthwise_pixel(const int nv, const bint ragged, real* y, const real* x, const real* kernel,
                                 const Ends* ends, Py_ssize_t i, const Geometry* g, Py_ssize_t down, Py_ssize_t last_down,
                                 Py_ssize_t across, Py_ssize_t last_across, vtail tail) noexcept nogil:
    cdef vreal[DEPTH_VECTORS] acc
    cdef Py_ssize_t ky, kx
    cdef const real* a
    cdef const real* w
    cdef int j
    for j in range(nv):
        acc[j] = vzero() if ends.start == NULL else load_part(ragged and j == nv - 1, ends.start + i + j * VL, tail)
    for ky in range(down, last_down):
        a = x + (ky - down) * g.dilation_down * g.width * g.filters
        w = kernel + (ky * g.kernel_width + across) * g.filters
        for kx in range(across, last_across):
            for j in range(nv):
                acc[j] = vfma(load_part(ragged and j == nv - 1, a + j * VL, tail),
                              load_part(ragged and j == nv - 1, w + j * VL, tail), acc[j])
            a += g.dilation_across * g.filters
            w += g.filters
    if ends.scale != NULL:
        for j in range(nv):
            acc[j] = vfma(acc[j], load_part(ragged and j == nv - 1, ends.scale + i + j * VL, tail),
                          load_part(ragged and j == nv - 1, ends.shift + i + j * VL, tail))
    if ends.relu:
        for j in range(nv):
            acc[j] = vmax(vzero(), acc[j])
    for j in range(nv):
        store_part(ragged and j == nv - 1, y + j * VL, acc[j], tail)


cdef void depthwise_image(real* y, const real* x, const real* kernel, const Ends* ends, const Geometry* g,
                          const Correlation* c) noexcept nogil:
    cdef Py_ssize_t row, column, i, down, last_down, across, last_across, n = g.filters
    cdef const real* at
    cdef vtail tail = vtail_of(n % VL)
    for row in range(g.out_height):
        taps_within(&c.down, row, &down, &last_down)
        for column in range(g.out_width):
            taps_within(&c.across, column, &across, &last_across)
            at = x + ((c.down.begin + row * c.down.stride + down * c.down.tap_step) * g.width
                      + c.across.begin + column * c.across.stride + across * c.across.tap_step) * n
            i = 0
            while i < n:
                if i + DEPTH_VECTORS * VL <= n:
                    depthwise_pixel(DEPTH_VECTORS, False, y + i, at + i, kernel + i, ends, i, g, down, last_down, across,
                                    last_across, tail)
                    i += DEPTH_VECTORS * VL
                elif i + VL <= n:
                    depthwise_pixel(1, False, y + i, at + i, kernel + i, ends, i, g, down, last_down, across,
                                    last_across, tail)
                    i += VL
                else:
                    depthwise_pixel(1, True, y + i, at + i, kernel + i, ends, i, g, down, last_down, across,
                                    last_across, tail)
                    i += VL
            y += n


# Taps and pixels along both axes, without pixels that are merged.
cdef inline Correlation plain_reduction(const Geometry* g) noexcept nogil:
    cdef Correlation c
    c.down = forward_axis(g.height, g.out_height, g.kernel_height, g.stride_down, g.dilation_down, g.top)
    c.across = forward_axis(g.width, g.out_width, g.kernel_width, g.stride_across, g.dilation_across, g.left)
    return c


cdef void depthwise_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c = plain_reduction(&g)
    cdef Ends ends = ends_of(op, g.filters)
    cdef Py_ssize_t row
    for row in range(begin, end):
        depthwise_image(y_of(op, row), wide_image(op, &g, row), <const real*>op.parameters, &ends, &g, &c)
        if not ends.relu:
            activate(op, y_of(op, row), saved_of(op, row), op.outputs)


# dx (height, width, filters) += dz kernel, pixel by pixel of dz.
cdef void depthwise_image_backward(real* dx, const real* dz, const real* kernel, const Geometry* g,
                                   const Correlation* c) noexcept nogil:
    cdef Py_ssize_t row, column, i, ky, kx, down, last_down, across, last_across, n = g.filters
    cdef Py_ssize_t at
    cdef const real* w
    for row in range(g.out_height):
        taps_within(&c.down, row, &down, &last_down)
        for column in range(g.out_width):
            taps_within(&c.across, column, &across, &last_across)
            for ky in range(down, last_down):
                for kx in range(across, last_across):
                    at = ((c.down.begin + row * c.down.stride + ky * c.down.tap_step) * g.width
                          + c.across.begin + column * c.across.stride + kx * c.across.tap_step) * n
                    w = kernel + (ky * g.kernel_width + kx) * n
                    i = 0
                    while i + VL <= n:
                        vstore(dx + at + i, vfma(vload(dz + i), vload(w + i), vload(dx + at + i)))
                        i += VL
                    if i < n:
                        store_first(dx + at + i, vfma(load_first(dz + i, n - i), load_first(w + i, n - i),
                                                      load_first(dx + at + i, n - i)), n - i)
            dz += n


cdef void depthwise_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c = plain_reduction(&g)
    cdef Py_ssize_t at_once = rows_handed_back(op, IMAGE_REALS // op.inputs), upto, row
    cdef real* dx
    while begin < end:
        upto = min(end, begin + at_once)
        for row in range(begin, upto):
            dx = dx_of(op, row) if g.groups == 1 else <real*>op.workspace
            memset(dx, 0, op.inputs * g.groups * sizeof(real))
            depthwise_image_backward(dx, dy_of(op, row), <const real*>op.parameters, &g, &c)
            if g.groups > 1:
                narrow_channels(dx_of(op, row), dx, op.inputs, g.groups)
        finish_dx(op, 0, begin, upto)
        begin = upto


# dkernel[ky] += what one image says of it, a vector of filters at a time.
cdef void depthwise_image_gradient(real* dkernel, const real* x, const real* dz, const Geometry* g, const Correlation* c,
                                   Py_ssize_t ky) noexcept nogil:
    cdef Py_ssize_t row, column, i, kx, at, first, upto, n = g.filters
    cdef vreal total
    for kx in range(g.kernel_width):
        # Columns whose tap kx falls into the image.
        at = c.across.begin + kx * c.across.tap_step
        first = 0 if at >= 0 else (c.across.stride - 1 - at) // c.across.stride
        upto = 0 if at >= g.width else min(g.out_width, (g.width - 1 - at) // c.across.stride + 1)
        i = 0
        while i < n:
            total = load_first(dkernel + kx * n + i, n - i)
            for row in range(g.out_height):
                at = c.down.begin + row * c.down.stride + ky * c.down.tap_step
                if at < 0 or at >= g.height:
                    continue
                at = (at * g.width + c.across.begin + first * c.across.stride + kx * c.across.tap_step) * n + i
                for column in range(first, upto):
                    total = vfma(load_first(x + at, n - i), load_first(dz + (row * g.out_width + column) * n + i, n - i),
                                 total)
                    at += c.across.stride * n
            store_first(dkernel + kx * n + i, total, n - i)
            i += VL


cdef void depthwise_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c = plain_reduction(&g)
    cdef real* dkernel = <real*>op.gradients
    cdef const real* x
    cdef Py_ssize_t row, ky
    memset(dkernel + begin_piece * op.piece_parameters, 0,
           (end_piece - begin_piece) * op.piece_parameters * sizeof(real))
    for row in range(begin, end):
        x = wide_image(op, &g, row)
        for ky in range(begin_piece, end_piece):
            depthwise_image_gradient(dkernel + ky * op.piece_parameters, x, dy_of(op, row), &g, &c, ky)
    if op.n_variables == 2 and end_piece == op.pieces:
        pixel_sums(dkernel + op.variables[0], dy_of(op, begin), end - begin, g.out_height * g.out_width, g.filters,
                   <real*>op.workspace)
