# Convolutions, and transposed ones: the ops "conv" and "conv_transpose".
#
#     conv:            y[oy, ox, f] = f(bias[f] + sum of x[oy sh - top + ky dh, ox sw - left + kx dw, c] kernel[ky, kx, c, f])
#     conv_transpose:  what backward of a conv makes of its dz is forward here, and the other way round
#
# A row is one line, an image (height, width, channels) or (out_height, out_width, filters); one of height 1 is a
# series. Variables: kernel (kernel_height, kernel_width, channels / groups, filters) and, if there is one, the bias.
# Beyond an image all is 0. Sizes as in Geometry. A conv_transpose reads the small image and makes the large one.
#
# Design: no patches are copied. In an image whose channels come last a row of a patch is contiguous, so that patches
# are left-hand rows of `segmented` products. Forward, and dx of each *phase* (of pixels that see the same taps of a
# kernel whose strides are not 1), are one thing: a Correlation of an image with a kernel that is packed, turned for
# dx. dkernel is a product whose rows are those of the kernel, and whose depth runs over pixels of dz.
#
# * Taps that fall beside the image are left out: pixels that have the same ones go through together, of many images.
# * Where few lanes have a filter, neighbouring pixels are *merged*: a vector has their filters side by side, and a
#   wider kernel with zeros in it. So many as pays for LANES, whatever VL: the bits are the same on all levels.
#   (What is infinite becomes NaN in its neighbours too then.)
# * `prepared` is 0 where nothing was packed: a plan's memory is, before it is written.

# Pixels for whose places there is room: tiles go through so many images, or rows of one, without a rest.
cdef enum: TABLE_PIXELS = 768
# Reals that go through product, activation and derivative while they are in the cache.
cdef enum: IMAGE_REALS = 32768
# Bytes of images that are multiplied by each row of a kernel in turn: the first cache has room for them.
cdef enum: NEAR_BYTES = 32768
# Rows of a kernel that are one piece of the parameters: whole tiles. There are few pieces, since each goes through
# all images.
cdef enum: PIECE_ROWS = 40
cdef enum: CONV_PIECES = 8
# How far a window may reach.
cdef enum: LONGEST_WINDOW = 16777216


cdef struct Geometry:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t out_height
    Py_ssize_t out_width
    Py_ssize_t filters
    Py_ssize_t kernel_height
    Py_ssize_t kernel_width
    Py_ssize_t stride_down
    Py_ssize_t stride_across
    Py_ssize_t dilation_down
    Py_ssize_t dilation_across
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t groups


# One axis of a correlation: output t stands at first + t step, and tap j of it reads begin + t stride + j tap_step,
# which may lie outside of [0, size). That tap is the kernel's kernel_first + j kernel_step.
cdef struct Axis:
    Py_ssize_t size
    Py_ssize_t count
    Py_ssize_t first
    Py_ssize_t step
    Py_ssize_t begin
    Py_ssize_t stride
    Py_ssize_t taps
    Py_ssize_t tap_step
    Py_ssize_t kernel_first
    Py_ssize_t kernel_step


cdef struct Correlation:
    Axis down
    Axis across
    Py_ssize_t groups
    Py_ssize_t inputs           # channels of a group
    Py_ssize_t outputs          # likewise, of all pixels that are merged
    Py_ssize_t merged           # so many ...
    Py_ssize_t taps             # ... with so many taps across of their own, ...
    Py_ssize_t apart            # ... which begin so far apart
    Py_ssize_t out_pixel        # reals from pixel to pixel of the output, ...
    Py_ssize_t out_row          # ... from row to row ...
    Py_ssize_t out_image        # ... and from image to image
    bint turned                 # whether the kernel's filters are its inputs


# ---- geometry ----------------------------------------------------------------------------------------------------

cdef inline Geometry geometry_of(const Op* op) noexcept nogil:
    cdef Geometry g
    memcpy(&g, op.sizes, sizeof(Geometry))
    # Steps that are never made are 1.
    g.stride_down = 1 if g.out_height == 1 else g.stride_down
    g.stride_across = 1 if g.out_width == 1 else g.stride_across
    g.dilation_down = 1 if g.kernel_height == 1 else g.dilation_down
    g.dilation_across = 1 if g.kernel_width == 1 else g.dilation_across
    return g


# Whether a window of that size fits `size` numbers, `before` of it outside, where it makes so many steps.
cdef inline bint fits_axis(Py_ssize_t size, Py_ssize_t count, Py_ssize_t taps, Py_ssize_t stride, Py_ssize_t tap_step,
                           Py_ssize_t before) noexcept nogil:
    if taps > LONGEST_WINDOW or tap_step > LONGEST_WINDOW // taps or before < 0 or before > (taps - 1) * tap_step:
        return False
    return count == 1 or stride <= (size - 1 + before) // (count - 1)


cdef inline bint is_image(Py_ssize_t reals, Py_ssize_t height, Py_ssize_t width, Py_ssize_t channels) noexcept nogil:
    return channels > 0 and reals % channels == 0 and is_product(reals // channels, height, width)


# Whether sizes and variables suit each other, where the op reads and makes so much.
cdef bint is_convolution(const Op* op, Py_ssize_t large, Py_ssize_t small) noexcept nogil:
    cdef Geometry g
    cdef Py_ssize_t kernel = op.variables[0], channels
    memcpy(&g, op.sizes, sizeof(Geometry))
    if op.n_reads != 1 or op.lines != 1 or op.n_variables not in (1, 2) or not has_sizes(op, 12) or g.groups < 1:
        return False
    if not (is_image(large, g.height, g.width, g.channels) and is_image(small, g.out_height, g.out_width, g.filters)):
        return False
    g = geometry_of(op)
    if g.channels % g.groups or g.filters % g.groups:
        return False
    channels = g.channels // g.groups
    return (fits_axis(g.height, g.out_height, g.kernel_height, g.stride_down, g.dilation_down, g.top)
            and fits_axis(g.width, g.out_width, g.kernel_width, g.stride_across, g.dilation_across, g.left)
            and kernel % g.filters == 0 and is_image(kernel // g.filters, g.kernel_height, g.kernel_width, channels))


cdef inline Py_ssize_t kernel_rows(const Geometry* g) noexcept nogil:
    return g.kernel_height * g.kernel_width * (g.channels // g.groups)


# Pixels that it pays to merge, of `count` in a row whose windows of so many taps are `stride` apart: lanes are full
# then, and there are more taps.
cdef Py_ssize_t merged_pixels(Py_ssize_t outputs, Py_ssize_t taps, Py_ssize_t stride, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t m, best = 1
    for m in range(2, min(count, LANES // outputs) + 1):
        # More pixels in as many vectors, if the taps do not grow as fast.
        if count % m == 0 and m * (taps + (best - 1) * stride) > best * (taps + (m - 1) * stride):
            best = m
    return best


cdef void merge_pixels(Correlation* c) noexcept nogil:
    c.taps = c.across.taps
    c.apart = c.across.stride
    c.merged = 1
    if c.groups > 1 or c.across.step > 1 or c.across.tap_step > 1 or c.across.taps == 0:
        return
    c.merged = merged_pixels(c.outputs, c.taps, c.apart, c.across.count)
    c.outputs *= c.merged
    c.across.count //= c.merged
    c.across.step = c.merged
    c.across.stride *= c.merged
    c.across.taps += (c.merged - 1) * c.apart


cdef inline Axis forward_axis(Py_ssize_t size, Py_ssize_t count, Py_ssize_t taps, Py_ssize_t stride,
                              Py_ssize_t tap_step, Py_ssize_t before) noexcept nogil:
    return Axis(size, count, 0, 1, -before, stride, taps, tap_step, 0, 1)


# From the large image to the small one.
cdef Correlation reduction(const Geometry* g) noexcept nogil:
    cdef Correlation c
    c.down = forward_axis(g.height, g.out_height, g.kernel_height, g.stride_down, g.dilation_down, g.top)
    c.across = forward_axis(g.width, g.out_width, g.kernel_width, g.stride_across, g.dilation_across, g.left)
    c.groups = g.groups
    c.inputs = g.channels // g.groups
    c.outputs = g.filters // g.groups
    c.out_pixel = g.filters
    c.out_row = g.out_width * g.filters
    c.out_image = g.out_height * c.out_row
    c.turned = False
    merge_pixels(&c)
    return c


# Numbers of the large image at `phase`, phase + stride, ... of its axis with what is before it: those that the taps
# k with k tap_step = phase (modulo stride) reach, from numbers of the small one.
cdef Axis phase_axis(Py_ssize_t size, Py_ssize_t count, Py_ssize_t taps, Py_ssize_t stride, Py_ssize_t tap_step,
                     Py_ssize_t before, Py_ssize_t phase) noexcept nogil:
    cdef Axis axis
    cdef Py_ssize_t tap = 0, period = 1
    axis.size = count
    axis.first = (phase - before) % stride
    axis.first += stride if axis.first < 0 else 0
    axis.step = stride
    axis.count = 0 if axis.first >= size else (size - 1 - axis.first) // stride + 1
    axis.stride = 1
    while period * tap_step % stride:
        period += 1
    while tap < taps and tap < period and tap * tap_step % stride != phase:
        tap += 1
    axis.taps = 0 if tap >= min(taps, period) else (taps - 1 - tap) // period + 1
    axis.tap_step = max(<Py_ssize_t>1, period * tap_step // stride)
    # The kernel's last tap reads first.
    axis.kernel_first = tap + (axis.taps - 1) * period
    axis.kernel_step = -period
    axis.begin = (axis.first + before - tap * tap_step) // stride - (axis.taps - 1) * axis.tap_step
    if axis.taps == 0:
        axis.begin = 0
    return axis


cdef inline Py_ssize_t phases_of(const Geometry* g) noexcept nogil:
    return g.stride_down * g.stride_across


# From the small image to pixels of one phase of the large one.
cdef Correlation expansion(const Geometry* g, Py_ssize_t phase) noexcept nogil:
    cdef Correlation c
    c.down = phase_axis(g.height, g.out_height, g.kernel_height, g.stride_down, g.dilation_down, g.top,
                        phase // g.stride_across)
    c.across = phase_axis(g.width, g.out_width, g.kernel_width, g.stride_across, g.dilation_across, g.left,
                          phase % g.stride_across)
    c.groups = g.groups
    c.inputs = g.filters // g.groups
    c.outputs = g.channels // g.groups
    c.out_pixel = g.channels
    c.out_row = g.width * g.channels
    c.out_image = g.height * c.out_row
    c.turned = True
    merge_pixels(&c)
    return c


# ---- kernels, packed ---------------------------------------------------------------------------------------------

cdef inline Py_ssize_t correlation_depth(const Correlation* c) noexcept nogil:
    return c.down.taps * c.across.taps * c.inputs


# Reals of one group's kernel; all groups' follow each other.
cdef inline Py_ssize_t group_reals(const Correlation* c) noexcept nogil:
    return correlation_depth(c) * panels_width(c.outputs)


# Rows [begin, end) of the kernel go where a correlation reads them.
cdef void pack_correlation(real* panels, const Correlation* c, const real* kernel, const Geometry* g, Py_ssize_t begin,
                           Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t channels = g.channels // g.groups, filters = g.filters // g.groups
    cdef Py_ssize_t down, across, row, first, group, pixel, tap
    for down in range(c.down.taps):
        for across in range(c.taps):
            first = ((c.down.kernel_first + down * c.down.kernel_step) * g.kernel_width
                     + c.across.kernel_first + across * c.across.kernel_step) * channels
            for row in range(max(begin, first), min(end, first + channels)):
                for group in range(c.groups):
                    for pixel in range(c.merged):
                        tap = down * c.across.taps + across + pixel * c.apart
                        if c.turned:
                            place_column(panels + group * group_reals(c), c, tap * filters,
                                         pixel * channels + row - first, kernel + row * g.filters + group * filters)
                        else:
                            place_row(panels + group * group_reals(c), c, tap * channels + row - first, pixel * filters,
                                      kernel + row * g.filters + group * filters, filters)


# n reals become elements of row k from this column on.
cdef inline void place_row(real* panels, const Correlation* c, Py_ssize_t k, Py_ssize_t column, const real* come,
                           Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t stride, done = 0, count
    while done < n:
        count = min(n - done, PANEL - (column + done) % PANEL)
        copy_reals(panels + place_in_panels(correlation_depth(c), c.outputs, k, column + done, &stride), come + done,
                   count)
        done += count


# All inputs of a tap become elements of a column from row k on.
cdef inline void place_column(real* panels, const Correlation* c, Py_ssize_t k, Py_ssize_t column,
                              const real* come) noexcept nogil:
    cdef Py_ssize_t stride, i
    cdef real* at = panels + place_in_panels(correlation_depth(c), c.outputs, k, column, &stride)
    for i in range(c.inputs):
        at[i * stride] = come[i]


# ---- a correlation -----------------------------------------------------------------------------------------------

cdef inline Py_ssize_t images_at_once(const Correlation* c, Py_ssize_t images) noexcept nogil:
    return max(<Py_ssize_t>1, min(images, TABLE_PIXELS // max(<Py_ssize_t>1, c.down.count * c.across.count)))


# Of so many rows of pixels.
cdef inline Py_ssize_t rows_at_once(Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    return max(<Py_ssize_t>1, min(rows, TABLE_PIXELS // columns))


# The taps [begin, end) of output t that fall into the image.
cdef inline void taps_within(const Axis* axis, Py_ssize_t t, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    cdef Py_ssize_t at = axis.begin + t * axis.stride
    begin[0] = 0 if at >= 0 else (axis.tap_step - 1 - at) // axis.tap_step
    end[0] = 0 if at >= axis.size else min(axis.taps, (axis.size - 1 - at) // axis.tap_step + 1)
    if begin[0] >= end[0]:
        begin[0] = end[0] = 0


# Where the outputs from t on end that have the same taps.
cdef inline Py_ssize_t alike_upto(const Axis* axis, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t begin, end, other_begin, other_end
    taps_within(axis, t, &begin, &end)
    while True:
        t += 1
        if t == axis.count:
            return t
        taps_within(axis, t, &other_begin, &other_end)
        if other_begin != begin or other_end != end:
            return t


# Pixels of so many images whose places a table holds.
cdef Py_ssize_t table_pixels(const Correlation* c, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t row = 0, column, next_row, next_column, found = 0
    while row < c.down.count:
        next_row = alike_upto(&c.down, row)
        column = 0
        while column < c.across.count:
            next_column = alike_upto(&c.across, column)
            found += rows_at_once(next_row - row, next_column - column) * (next_column - column)
            column = next_column
        row = next_row
    return found * images


cdef inline Py_ssize_t reals_for_places(Py_ssize_t count) noexcept nogil:
    return (count * <Py_ssize_t>sizeof(Py_ssize_t) + <Py_ssize_t>sizeof(real) - 1) // <Py_ssize_t>sizeof(real)


# Tables of places; start, scale and shift of merged pixels.
cdef Py_ssize_t correlation_workspace(const Correlation* c, Py_ssize_t images) noexcept nogil:
    return reals_for_places(2 * table_pixels(c, images_at_once(c, images))) + 3 * c.outputs


# The pixels of a correlation that have the same taps: [top, bottom) x [left, right) of each image, taps
# [first_down, last_down) x [first_across, last_across).
cdef struct Alike:
    Py_ssize_t top
    Py_ssize_t bottom
    Py_ssize_t left
    Py_ssize_t right
    Py_ssize_t first_down
    Py_ssize_t last_down
    Py_ssize_t first_across
    Py_ssize_t last_across


# Where they are read and written, of so many rows of so many images.
cdef void find_places(Py_ssize_t* a_at, Py_ssize_t* c_at, const Correlation* c, const Alike* some, Py_ssize_t rows,
                      Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t pixel = c.inputs * c.groups, columns = some.right - some.left, image, row, column, a, to
    for image in range(images):
        for row in range(some.top, some.top + rows):
            a = (image * c.down.size + c.down.begin + row * c.down.stride + some.first_down * c.down.tap_step)
            a = a * c.across.size + c.across.begin + some.left * c.across.stride + some.first_across * c.across.tap_step
            to = (image * c.out_image + (c.down.first + row * c.down.step) * c.out_row
                  + (c.across.first + some.left * c.across.step) * c.out_pixel)
            for column in range(columns):
                a_at[column] = (a + column * c.across.stride) * pixel
                c_at[column] = to + column * c.across.step * c.out_pixel
            a_at += columns
            c_at += columns


# A row of numbers for one pixel, as often as pixels are merged.
cdef inline const real* for_merged(real* to, const real* numbers, const Correlation* c) noexcept nogil:
    cdef Py_ssize_t pixel, n = c.outputs // c.merged
    if numbers == NULL or c.merged == 1:
        return numbers
    for pixel in range(c.merged):
        memcpy(to + pixel * n, numbers, n * sizeof(real))
    return to


# Beside what these have in common p knows of a product of pixels: those of `images` images, whose places are there.
cdef void correlate_alike(Segmented* p, real* y, const real* x, const Correlation* c, const Alike* some,
                          const real* panels, const real** starts, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t pixel = c.inputs * c.groups, columns = some.right - some.left, row = some.top, group
    cdef Py_ssize_t rows = rows_at_once(some.bottom - some.top, columns)
    cdef Py_ssize_t taps = some.last_across - some.first_across
    p.outer = some.last_down - some.first_down
    p.outer_step = c.down.tap_step * c.across.size * pixel
    # A row of taps is one segment where its numbers are neighbours.
    p.inner = 1 if c.groups == 1 and c.across.tap_step == 1 else taps
    p.inner_step = c.across.tap_step * pixel
    p.length = taps * c.inputs // max(<Py_ssize_t>1, p.inner)
    p.first = (some.first_down * c.across.taps + some.first_across) * c.inputs
    p.skip = (c.across.taps - taps) * c.inputs
    while row < some.bottom:
        for group in range(c.groups):
            p.b = panels + group * group_reals(c)
            p.a = x + group * c.inputs
            p.c = y + group * c.outputs
            # Groups are of pixels that are not merged.
            p.start = rows_of(starts[0], group, c.outputs)
            p.scale = rows_of(starts[1], group, c.outputs)
            p.shift = rows_of(starts[2], group, c.outputs)
            segmented(p, images * min(rows, some.bottom - row) * columns, c.outputs)
        x += rows * c.down.stride * c.across.size * pixel
        y += rows * c.down.step * c.out_row
        row += rows


# y of `images` images x; start, scale and shift (columns,), each of which may be NULL, and relu as in a Product.
cdef void correlate(real* y, const real* x, const Correlation* c, const real* panels, const real* start,
                    const real* scale, const real* shift, bint relu, Py_ssize_t images, real* workspace) noexcept nogil:
    cdef Segmented p
    cdef Alike some
    cdef Py_ssize_t at_once = images_at_once(c, images), pixels = table_pixels(c, at_once), now, done = 0, table, rows
    cdef Py_ssize_t* a_at = <Py_ssize_t*>workspace
    cdef const real* starts[3]
    workspace += reals_for_places(2 * pixels)
    starts[0] = for_merged(workspace, start, c)
    starts[1] = for_merged(workspace + c.outputs, scale, c)
    starts[2] = for_merged(workspace + 2 * c.outputs, shift, c)
    p.a_k = 1
    p.ldb = 0
    p.depth = correlation_depth(c)
    p.goes_on = False
    p.relu = relu
    while done < images:
        now = min(at_once, images - done)
        some.top = table = 0
        while some.top < c.down.count:
            some.bottom = alike_upto(&c.down, some.top)
            taps_within(&c.down, some.top, &some.first_down, &some.last_down)
            some.left = 0
            while some.left < c.across.count:
                some.right = alike_upto(&c.across, some.left)
                taps_within(&c.across, some.left, &some.first_across, &some.last_across)
                p.a_at = a_at + table
                p.c_at = a_at + pixels + table
                rows = rows_at_once(some.bottom - some.top, some.right - some.left)
                if done == 0:
                    find_places(a_at + table, a_at + pixels + table, c, &some, rows, now)
                table += at_once * rows * (some.right - some.left)
                correlate_alike(&p, y, x, c, &some, panels, starts, now)
                some.left = some.right
            some.top = some.bottom
        x += now * c.down.size * c.across.size * c.inputs * c.groups
        y += now * c.out_image
        done += now


# ---- the kernel's gradient ---------------------------------------------------------------------------------------

# Pixels of the small image that are merged for it, and taps across that the rows of its product have.
cdef inline Py_ssize_t gradient_merged(const Geometry* g) noexcept nogil:
    if g.groups > 1 or g.dilation_across > 1:
        return 1
    return merged_pixels(g.filters, g.kernel_width, g.stride_across, g.out_width)


cdef inline Py_ssize_t gradient_taps(const Geometry* g) noexcept nogil:
    return g.kernel_width + (gradient_merged(g) - 1) * g.stride_across


# Of the large image with zeros around it.
cdef inline Py_ssize_t padded_height(const Geometry* g) noexcept nogil:
    return max(g.top + g.height, (g.out_height - 1) * g.stride_down + (g.kernel_height - 1) * g.dilation_down + 1)


cdef inline Py_ssize_t padded_width(const Geometry* g) noexcept nogil:
    return max(g.left + g.width, (g.out_width - 1) * g.stride_across + (g.kernel_width - 1) * g.dilation_across + 1)


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
    cdef Py_ssize_t rows = kernel_rows(g)
    cdef Py_ssize_t unit = rows // g.kernel_height if gradient_merged(g) > 1 else <Py_ssize_t>PIECE_ROWS
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


# to (images) = come expanded, or reduced; start, scale, shift and relu as in `correlate`.
cdef void apply_convolution(real* to, const real* come, const Op* op, bint expands, bint goes_back, const real* start,
                            const real* scale, const real* shift, bint relu, Py_ssize_t images) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Correlation c
    cdef const real* panels = <const real*>op.prepared
    cdef Py_ssize_t phase
    if expands == goes_back:
        c = reduction(&g)
        correlate(to, come, &c, panels, start, scale, shift, relu, images, <real*>op.workspace)
        return
    if has_reduction(op, expands):
        panels += reduction_reals(&g)
    for phase in range(phases_of(&g)):
        c = expansion(&g, phase)
        correlate(to, come, &c, panels, start, scale, shift, relu, images, <real*>op.workspace)
        panels += c.groups * group_reals(&c)


# Rows whose images are worked on at a time: a multiple of `step`.
cdef inline Py_ssize_t block_images(Py_ssize_t reals, Py_ssize_t step) noexcept nogil:
    return max(<Py_ssize_t>1, IMAGE_REALS // reals // step) * step


cdef void convolution_forward(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* start = NULL
    cdef const real* scale = NULL
    cdef Py_ssize_t channels = op.sizes[2] if expands else op.sizes[5], upto
    cdef real* slope
    # A relu without slope is part of the product.
    cdef bint by_product = op.activation.forward == relu_forward and op.saved == NULL
    if op.n_variables == 2:
        start = <const real*>op.parameters + op.variables[0]
    if op.within != NULL:
        start = <const real*>op.within.prepared
        scale = start + channels
    while begin < end:
        upto = min(end, begin + block_images(row_reals(op), 1))
        apply_convolution(y_of(op, begin), x_of(op, begin), op, expands, False, start, scale,
                          NULL if scale == NULL else scale + channels, by_product, upto - begin)
        slope = saved_of(op, begin)
        if not by_product:
            op.activation.forward(y_of(op, begin), slope, (upto - begin) * row_reals(op), op.activation_options)
        begin = upto


cdef void convolution_backward(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Op* maker = op.reads[0].maker
    cdef Py_ssize_t step = 1 if maker == NULL else max(<Py_ssize_t>1, maker.row_step), upto
    while begin < end:
        upto = min(end, begin + block_images(op.inputs, step))
        apply_convolution(dx_of(op, begin), dy_of(op, begin), op, expands, True, NULL, NULL, NULL, False, upto - begin)
        finish_dx(op, 0, begin, upto)
        begin = upto


cdef void convolution_gradient(const Op* op, bint expands, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                               Py_ssize_t end_piece) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef const real* large = dy_of(op, begin) if expands else x_of(op, begin)
    cdef const real* small = x_of(op, begin) if expands else dy_of(op, begin)
    cdef real* dkernel = <real*>op.gradients
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


cdef void conv_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
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
