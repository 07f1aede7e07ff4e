# The ops "conv" and "conv_transpose".
#
#     conv:            y[i, j, f] = f(bias[f] + sum of x[i sh - top + k dh, j sw - left + l dw, c] kernel[k, l, c, f])
#     conv_transpose:  what backward of a conv makes of its dz is forward here, and the other way round
#
# A row is one line, an image (height, width, channels) or (out_height, out_width, filters); one of height 1 is a
# series. Variables: kernel (kernel_height, kernel_width, channels / groups, filters) and, if there is one, the bias, of
# the channels of y. Beyond an image all is 0. Sizes as in Geometry. A conv_transpose reads the small image and makes
# the large one.
#
# dkernel is a segmented product, too: its rows are those of the kernel, and its depth runs over the pixels of dz. Or it
# is made by minimal filtering, as dx and y are.

# Bytes of images that are multiplied by each row of a kernel in turn: the first cache has room for them.
cdef enum: NEAR_BYTES = 32768
# Rows of a kernel that are one piece of the parameters: whole tiles. There are few pieces, since each goes through
# all images.
cdef enum: PIECE_ROWS = 40
cdef enum: CONV_PIECES = 8


# ---- the kernel's gradient ---------------------------------------------------------------------------------------

# Pixels of the small image that are merged for it, and taps across that the rows of its product have.
cdef inline Py_ssize_t gradient_merged(const Geometry* g) noexcept nogil:
    if g.groups > 1 or g.dilation_across > 1:
        return 1
    return merged_pixels(g.filters, g.kernel_width, g.stride_across, g.out_width)


cdef inline Py_ssize_t gradient_taps(const Geometry* g) noexcept nogil:
    return g.kernel_width + (gradient_merged(g) - 1) * g.stride_across


cdef inline bint gradient_pads(const Geometry* g) noexcept nogil:
    return padded_height(g) > g.height or padded_width(g) > g.width


cdef inline Py_ssize_t near_images(const Geometry* g, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t reals = padded_height(g) * padded_width(g) * g.channels + g.out_height * g.out_width * g.filters
    return max(<Py_ssize_t>1, min(images, NEAR_BYTES // <Py_ssize_t>sizeof(real) // reals))


# Output rows of one image that are near together.
cdef inline Py_ssize_t near_rows(const Geometry* g) noexcept nogil:
    cdef Py_ssize_t reals = g.stride_down * padded_width(g) * g.channels + g.out_width * g.filters
    return max(<Py_ssize_t>1, min(g.out_height, NEAR_BYTES // <Py_ssize_t>sizeof(real) // reals))


# Rows of the product: of these rows of the kernel, or of all their taps if pixels are merged.
cdef inline Py_ssize_t product_rows(const Geometry* g, Py_ssize_t rows) noexcept nogil:
    return rows // g.kernel_width * gradient_taps(g)


# Tables of places, the product if pixels are merged, padded images.
cdef Py_ssize_t gradient_workspace(const Geometry* g, Py_ssize_t images) noexcept nogil:
    cdef Correlation c = reduction(g)
    if is_minimal(&c):
        return minimal_gradient_workspace(&c)
    return segmented_gradient_workspace(g, images)


cdef Py_ssize_t segmented_gradient_workspace(const Geometry* g, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t rows = product_rows(g, kernel_rows(g)), found = reals_for_places(2 * rows)
    if gradient_merged(g) > 1:
        found += rows * gradient_merged(g) * g.filters
    if gradient_pads(g):
        found += near_images(g, images) * padded_height(g) * padded_width(g) * g.channels
    return found


# Images whose rows are `row` reals, with zeros around them; what is 0 already stays.
cdef void copy_padded(real* to, const real* come, const Geometry* g, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t image, row = g.width * g.channels, padded = padded_width(g) * g.channels
    for image in range(images):
        copy_lines(to + (image * padded_height(g) + g.top) * padded + g.left * g.channels, padded,
                   come + image * g.height * row, row, row, g.height)


# Where rows [begin, end) of the product begin in a padded image, and where they stand.
cdef void find_kernel_places(Py_ssize_t* a_at, Py_ssize_t* c_at, const Geometry* g, Py_ssize_t begin, Py_ssize_t end,
                             Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t channels = g.channels // g.groups, taps = gradient_taps(g), row, tap
    for row in range(begin, end):
        tap = row // channels
        a_at[row - begin] = (row % channels + (tap % taps) * g.dilation_across * g.channels
                             + tap // taps * g.dilation_down * padded_width(g) * g.channels)
        c_at[row - begin] = (row - begin) * columns


# What merged pixels say of n reals of a row are added up in their order: those of the next one are `apart` further.
cdef inline void fold_merged(real* to, const real* come, Py_ssize_t merged, Py_ssize_t apart, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t pixel, i = 0
    cdef vreal total
    while i < n:
        total = load_first(come + i, n - i)
        for pixel in range(1, merged):
            total = total + load_first(come + pixel * apart + i, n - i)
        store_first(to + i, total, n - i)
        i += VL


# Rows [begin, end) of dkernel from the large images and the small ones; where pixels are merged these are all
# channels of all taps across.
cdef void kernel_gradient(real* dkernel, const real* large, const real* small, const Geometry* g, Py_ssize_t images,
                          Py_ssize_t begin, Py_ssize_t end, real* workspace) noexcept nogil:
    cdef Segmented p
    cdef Py_ssize_t merged = gradient_merged(g), columns = merged * g.filters, taps = gradient_taps(g), group
    cdef Py_ssize_t first = product_rows(g, begin) if merged > 1 else begin, channels = g.channels // g.groups
    cdef Py_ssize_t rows = (product_rows(g, end) if merged > 1 else end) - first
    cdef Py_ssize_t at_once = near_images(g, images), row_reals = padded_width(g) * g.channels, row, block, some, done = 0
    cdef Py_ssize_t* a_at = <Py_ssize_t*>workspace
    cdef real* product = dkernel + begin * g.filters
    cdef real* padded
    cdef const real* images_at
    find_kernel_places(a_at, a_at + rows, g, first, first + rows, columns)
    padded = workspace + reals_for_places(2 * rows)
    if merged > 1:
        product = padded
        padded += rows * columns
    if gradient_pads(g):
        memset(padded, 0, at_once * padded_height(g) * row_reals * sizeof(real))
    p.a_at = a_at
    p.c_at = a_at + rows
    p.outer_step = padded_height(g) * row_reals
    p.inner_step = g.stride_down * row_reals
    p.length = g.out_width // merged
    p.a_k = merged * g.stride_across * g.channels
    p.ldb = columns
    p.depth = p.first = p.skip = 0
    p.start = p.scale = p.shift = NULL
    p.relu = False
    while done < images:
        some = min(at_once, images - done)
        images_at = large
        if gradient_pads(g):
            copy_padded(padded, large, g, some)
            images_at = padded
        p.outer = some
        row = 0
        while row < g.out_height:
            block = g.out_height if some > 1 else min(near_rows(g), g.out_height - row)
            p.inner = block
            p.goes_on = done > 0 or row > 0
            for group in range(g.groups):
                p.a = images_at + row * p.inner_step + group * channels
                p.b = small + row * g.out_width * g.filters + group * (g.filters // g.groups)
                p.c = product + group * (g.filters // g.groups)
                segmented(&p, rows, columns // g.groups)
            row += block
        large += some * g.height * g.width * g.channels
        small += some * g.out_height * g.out_width * g.filters
        done += some
    if merged > 1:
        for row in range(begin, end):
            some = row // channels // g.kernel_width * taps + row // channels % g.kernel_width
            fold_merged(dkernel + row * g.filters, product + (some * channels + row % channels - first) * columns, merged,
                        g.stride_across * channels * columns + g.filters, g.filters)


# Pixels of an image that make one line of a sum over all: it works on several vectors at a time then.
cdef inline Py_ssize_t summed_pixels(Py_ssize_t pixels, Py_ssize_t channels) noexcept nogil:
    cdef Py_ssize_t m = max(<Py_ssize_t>1, min(pixels, 4 * LANES // channels))
    while pixels % m:
        m -= 1
    return m


# total (channels,) = the sum over all pixels of all images.
cdef void pixel_sums(real* total, const real* images_at, Py_ssize_t images, Py_ssize_t pixels, Py_ssize_t channels,
                     real* workspace) noexcept nogil:
    cdef Py_ssize_t m = summed_pixels(pixels, channels)
    cdef real* to = total if m == 1 else workspace
    sum_lines(add_element, to, images_at, images_at, images_at, m * channels, images * (pixels // m), m * channels)
    if m > 1:
        fold_merged(total, workspace, m, channels, channels)


# ---- both ops: prepared are the kernel for the reduction and those for each phase of the expansion, one after the other

cdef inline Py_ssize_t reduction_reals(const Geometry* g) noexcept nogil:
    cdef Correlation c = reduction(g)
    return c.groups * group_reals(&c)


cdef inline bint has_reduction(const Op* op, bint expands) noexcept nogil:
    return op.wants_dx or not expands


cdef inline bint has_expansion(const Op* op, bint expands) noexcept nogil:
    return op.wants_dx or expands


cdef inline Py_ssize_t piece_rows(const Geometry* g) noexcept nogil:
    cdef Correlation c = reduction(g)
    cdef Py_ssize_t rows = kernel_rows(g)
    cdef bint by_taps = gradient_merged(g) > 1 or is_minimal(&c)
    cdef Py_ssize_t unit = rows // g.kernel_height if by_taps else <Py_ssize_t>PIECE_ROWS
    return ((rows + CONV_PIECES - 1) // CONV_PIECES + unit - 1) // unit * unit


cdef void measure_convolution(Op* op, bint expands) noexcept nogil:
    cdef Geometry g
    cdef Correlation c
    cdef Py_ssize_t phase, large = row_reals(op) if expands else op.inputs, small = op.inputs if expands else row_reals(op)
    op.parameter_reals = -1
    if not is_convolution(op, large, small):
        return
    g = geometry_of(op)
    op.parameter_reals = op.variables[0] + (op.variables[1] if op.n_variables == 2 else 0)
    if op.n_variables == 2 and op.variables[1] != (g.channels if expands else g.filters):
        op.parameter_reals = -1
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.prepared_reals = 0
    if has_reduction(op, expands):
        c = reduction(&g)
        op.prepared_reals += reduction_reals(&g)
        op.workspace_reals = correlation_workspace(&c, op.rows)
    if has_expansion(op, expands):
        for phase in range(phases_of(&g)):
            c = expansion(&g, phase)
            op.prepared_reals += c.groups * group_reals(&c)
            op.workspace_reals = max(op.workspace_reals, correlation_workspace(&c, op.rows))
    if op.trains:
        op.workspace_reals = max(op.workspace_reals, gradient_workspace(&g, op.rows), <Py_ssize_t>(4 * LANES))
    op.pieces = (kernel_rows(&g) + piece_rows(&g) - 1) // piece_rows(&g)
    op.piece_parameters = piece_rows(&g) * g.filters
    op.work_per_row = <double>(g.out_height * g.out_width) * <double>op.variables[0]


cdef void prepare_convolution(const Op* op, bint expands, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c
    cdef real* panels = <real*>op.prepared
    cdef const real* kernel = <const real*>op.parameters
    cdef Py_ssize_t begin = min(kernel_rows(&g), begin_piece * piece_rows(&g)), phase
    cdef Py_ssize_t end = min(kernel_rows(&g), end_piece * piece_rows(&g))
    if has_reduction(op, expands):
        c = reduction(&g)
        pack_correlation(panels, &c, kernel, &g, begin, end)
        panels += c.groups * group_reals(&c)
    if has_expansion(op, expands):
        for phase in range(phases_of(&g)):
            c = expansion(&g, phase)
            pack_correlation(panels, &c, kernel, &g, begin, end)
            panels += c.groups * group_reals(&c)


# to (images) = come expanded, or reduced.
cdef void apply_convolution(real* to, const real* come, const Op* op, bint expands, bint goes_back, const Ends* ends,
                            Py_ssize_t images) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c
    cdef const real* panels = <const real*>op.prepared
    cdef Py_ssize_t phase
    if expands == goes_back:
        c = reduction(&g)
        correlate(to, come, &c, panels, ends, images, <real*>op.workspace)
        return
    if has_reduction(op, expands):
        panels += reduction_reals(&g)
    for phase in range(phases_of(&g)):
        c = expansion(&g, phase)
        correlate(to, come, &c, panels, ends, images, <real*>op.workspace)
        panels += c.groups * group_reals(&c)


cdef void convolution_forward(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Ends ends = ends_of(op, op.sizes[2] if expands else op.sizes[5])
    cdef Py_ssize_t upto
    while begin < end:
        upto = min(end, begin + max(<Py_ssize_t>1, IMAGE_REALS // row_reals(op)))
        if op.gone != NULL:
            causal_forward(op, &ends, begin, upto)
        else:
            apply_convolution(y_of(op, begin), x_of(op, begin), op, expands, False, &ends, upto - begin)
        if not ends.relu:
            activate(op, y_of(op, begin), saved_of(op, begin), (upto - begin) * row_reals(op))
        begin = upto


cdef void convolution_backward(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Ends plain = Ends(NULL, NULL, NULL, False)
    cdef Py_ssize_t at_once = rows_handed_back(op, IMAGE_REALS // op.inputs), upto
    while begin < end:
        upto = min(end, begin + at_once)
        apply_convolution(dx_of(op, begin), dy_of(op, begin), op, expands, True, &plain, upto - begin)
        finish_dx(op, 0, begin, upto)
        begin = upto


cdef void convolution_gradient(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                               Py_ssize_t end_piece) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef const real* large = dy_of(op, begin) if expands else x_of(op, begin)
    cdef const real* small = x_of(op, begin) if expands else dy_of(op, begin)
    cdef real* dkernel = <real*>op.gradients
    cdef Correlation c = reduction(&g)
    if is_minimal(&c):
        minimal_gradient(dkernel, large, small, &c, end - begin, begin_piece, end_piece, <real*>op.workspace)
    else:
        kernel_gradient(dkernel, large, small, &g, end - begin, min(kernel_rows(&g), begin_piece * piece_rows(&g)),
                        min(kernel_rows(&g), end_piece * piece_rows(&g)), <real*>op.workspace)
    if op.n_variables == 2 and end_piece == op.pieces:
        if expands:
            pixel_sums(dkernel + op.variables[0], large, end - begin, g.height * g.width, g.channels,
                       <real*>op.workspace)
        else:
            pixel_sums(dkernel + op.variables[0], small, end - begin, g.out_height * g.out_width, g.filters,
                       <real*>op.workspace)


cdef void conv_op_measure(Op* op) noexcept nogil:
    measure_convolution(op, False)
    if op.gone != NULL:
        causal_measure(op)


cdef void conv_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    if op.gone == NULL:
        prepare_convolution(op, False, begin_piece, end_piece)


cdef void conv_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    convolution_forward(op, False, begin, end)


cdef void conv_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    convolution_backward(op, False, begin, end)


cdef void conv_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                           Py_ssize_t end_piece) noexcept nogil:
    convolution_gradient(op, False, begin, end, begin_piece, end_piece)


cdef void conv_transpose_op_measure(Op* op) noexcept nogil:
    measure_convolution(op, True)


cdef void conv_transpose_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                    Py_ssize_t end_piece) noexcept nogil:
    prepare_convolution(op, True, begin_piece, end_piece)


cdef void conv_transpose_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    convolution_forward(op, True, begin, end)


cdef void conv_transpose_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    convolution_backward(op, True, begin, end)


cdef void conv_transpose_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                     Py_ssize_t end_piece) noexcept nogil:
    convolution_gradient(op, True, begin, end, begin_piece, end_piece)
