# Correlations of images with kernels, of which convolutions are made: how pixels, taps and packed kernels lie.
#
# Design: no patches are copied. In an image whose channels come last a row of a patch is contiguous, so patches are
# left-hand rows of `segmented` products. A convolution, and the gradient by what it reads, are one thing: an image is
# correlated with a kernel that is packed, and turned for the gradient. Where strides are not 1 that has *phases*:
# pixels that see the same taps of the kernel.
#
# * Taps that fall beside the image are left out: pixels that have the same ones go through together, of many images.
# * Where few lanes have a filter, neighbouring pixels are *merged*: a vector has their filters side by side, and the
#   kernel is wider, with zeros in it. So many as pays for LANES, whatever VL: the bits are the same on all levels.
#   (What is infinite becomes NaN in its neighbours too then.)
# * Zeros of packed kernels are never written: a plan's memory is 0 before it is.

# Pixels for whose places there is room: tiles go through so many images, or rows of one, without a rest.
cdef enum: TABLE_PIXELS = 768
# Reals that go through product, activation and derivative while they are in the cache.
cdef enum: IMAGE_REALS = 32768
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


# Of the large image with zeros around it.
cdef inline Py_ssize_t padded_height(const Geometry* g) noexcept nogil:
    return max(g.top + g.height, (g.out_height - 1) * g.stride_down + (g.kernel_height - 1) * g.dilation_down + 1)


cdef inline Py_ssize_t padded_width(const Geometry* g) noexcept nogil:
    return max(g.left + g.width, (g.out_width - 1) * g.stride_across + (g.kernel_width - 1) * g.dilation_across + 1)


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
            and kernel % g.filters == 0 and is_image(kernel // g.filters, g.kernel_height, g.kernel_width, channels)
            # Of reals that can be counted.
            and <double>padded_height(&g) * <double>padded_width(&g) * <double>g.channels < 1e12)


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


# What a sum of taps begins with, and what it is scaled and shifted by then, each of one number a column, or NULL; and
# whether what is below zero becomes 0.
cdef struct Ends:
    const real* start
    const real* scale
    const real* shift
    bint relu


# Of an op whose result has so many columns: its bias, or the normalisation that is done within it, and a relu if it
# keeps no slope.
cdef inline Ends ends_of(const Op* op, Py_ssize_t columns) noexcept nogil:
    cdef Ends ends = Ends(NULL, NULL, NULL, op.activation.forward == relu_forward and op.saved == NULL)
    if op.n_variables == 2:
        ends.start = <const real*>op.parameters + op.variables[0]
    if op.within != NULL:
        ends.start = <const real*>op.within.prepared
        ends.scale = ends.start + columns
        ends.shift = ends.scale + columns
    return ends


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
    if axis.taps == 0:
        return axis.count
    taps_within(axis, t, &begin, &end)
    if end - begin == axis.taps:
        # All of them, up to where the last tap leaves the image.
        return min(axis.count, (axis.size - 1 - axis.begin - (axis.taps - 1) * axis.tap_step) // axis.stride + 1)
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
cdef Py_ssize_t taps_workspace(const Correlation* c, Py_ssize_t images) noexcept nogil:
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


# `correlate` tap by tap.
cdef void correlate_taps(real* y, const real* x, const Correlation* c, const real* panels, const Ends* ends,
                         Py_ssize_t images, real* workspace) noexcept nogil:
    cdef Segmented p
    cdef Alike some
    cdef Py_ssize_t at_once = images_at_once(c, images), pixels = table_pixels(c, at_once), now, done = 0, table, rows
    cdef Py_ssize_t* a_at = <Py_ssize_t*>workspace
    cdef const real* starts[3]
    workspace += reals_for_places(2 * pixels)
    starts[0] = for_merged(workspace, ends.start, c)
    starts[1] = for_merged(workspace + c.outputs, ends.scale, c)
    starts[2] = for_merged(workspace + 2 * c.outputs, ends.shift, c)
    p.a_k = 1
    p.ldb = 0
    p.depth = correlation_depth(c)
    p.goes_on = False
    p.relu = ends.relu
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
