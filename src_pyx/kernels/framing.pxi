# Images within larger ones, and larger ones of smaller ones: the ops "zero_pad", "crop" and "upsample".
#
# A row is one line, an image whose channels come last.

# ---- zero_pad, crop: sizes are those of the large image (height, width, channels), height and width of the small one,
# and where in the large one that begins: top, left --------------------------------------------------------------------

cdef struct Frame:
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t inner_height
    Py_ssize_t inner_width
    Py_ssize_t top
    Py_ssize_t left


cdef inline Frame frame_of(const Op* op) noexcept nogil:
    cdef Frame f
    memcpy(&f, op.sizes, sizeof(Frame))
    return f


cdef inline void measure_frame(Op* op, Py_ssize_t large, Py_ssize_t small) noexcept nogil:
    cdef Frame f = frame_of(op)
    op.parameter_reals = -1
    if op.n_reads == 1 and op.n_variables == 0 and op.lines == 1 and has_sizes(op, 5) and (
            is_image(large, f.height, f.width, f.channels) and is_image(small, f.inner_height, f.inner_width, f.channels)
            and 0 <= f.top <= f.height - f.inner_height and 0 <= f.left <= f.width - f.inner_width):
        op.parameter_reals = 0
    op.work_per_row = <double>large


# to = come with zeros around it.
cdef void put_in_frame(real* to, const real* come, const Frame* f, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t image, row, width = f.width * f.channels, inner = f.inner_width * f.channels
    cdef Py_ssize_t left = f.left * f.channels, right = width - left - inner
    for image in range(images):
        memset(to, 0, (f.top * width + left) * sizeof(real))
        to += f.top * width + left
        for row in range(f.inner_height):
            copy_reals(to, come, inner)
            if row < f.inner_height - 1:
                memset(to + inner, 0, (left + right) * sizeof(real))
                to += width
            come += inner
        memset(to + inner, 0, (right + (f.height - f.top - f.inner_height) * width) * sizeof(real))
        to += inner + right + (f.height - f.top - f.inner_height) * width


# to = what of come is within the frame.
cdef void take_from_frame(real* to, const real* come, const Frame* f, Py_ssize_t images) noexcept nogil:
    cdef Py_ssize_t image, width = f.width * f.channels, inner = f.inner_width * f.channels
    for image in range(images):
        copy_lines(to, inner, come + (f.top * f.width + f.left) * f.channels, width, inner, f.inner_height)
        to += f.inner_height * inner
        come += f.height * width


cdef void zero_pad_op_measure(Op* op) noexcept nogil:
    measure_frame(op, op.outputs, op.inputs)


cdef void zero_pad_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Frame f = frame_of(op)
    put_in_frame(y_of(op, begin), x_of(op, begin), &f, end - begin)


cdef void zero_pad_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Frame f = frame_of(op)
    take_from_frame(dx_of(op, begin), dy_of(op, begin), &f, end - begin)
    finish_dx(op, 0, begin, end)


cdef void crop_op_measure(Op* op) noexcept nogil:
    measure_frame(op, op.inputs, op.outputs)


cdef void crop_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Frame f = frame_of(op)
    take_from_frame(y_of(op, begin), x_of(op, begin), &f, end - begin)


cdef void crop_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Frame f = frame_of(op)
    put_in_frame(dx_of(op, begin), dy_of(op, begin), &f, end - begin)
    finish_dx(op, 0, begin, end)


# ---- upsample: each pixel of x (height, width, channels) becomes `down` x `across` pixels of y; these are its sizes ----

cdef void upsample_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t height = op.sizes[0], width = op.sizes[1], channels = op.sizes[2]
    op.parameter_reals = -1
    if op.n_reads == 1 and op.n_variables == 0 and op.lines == 1 and has_sizes(op, 5) and (
            is_image(op.inputs, height, width, channels) and op.outputs % op.inputs == 0
            and is_product(op.outputs // op.inputs, op.sizes[3], op.sizes[4])):
        op.parameter_reals = 0
    op.work_per_row = <double>op.outputs


cdef void upsample_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t width = op.sizes[1], channels = op.sizes[2], down = op.sizes[3], across = op.sizes[4]
    cdef Py_ssize_t row, column, i, line = width * across * channels
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    for row in range((end - begin) * op.sizes[0]):
        for column in range(width):
            for i in range(across):
                copy_reals(y + (column * across + i) * channels, x, channels)
            x += channels
        for i in range(1, down):
            copy_reals(y + i * line, y, line)
        y += down * line


cdef void upsample_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t width = op.sizes[1], channels = op.sizes[2], down = op.sizes[3], across = op.sizes[4]
    cdef Py_ssize_t row, column, i, j, k, line = width * across * channels
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef vreal total
    for row in range((end - begin) * op.sizes[0]):
        for column in range(width):
            k = 0
            while k < channels:
                total = vzero()
                for i in range(down):
                    for j in range(across):
                        total = total + load_first(dy + i * line + j * channels + k, channels - k)
                store_first(dx + k, total, channels - k)
                k += VL
            dx += channels
            dy += across * channels
        dy += (down - 1) * line
    finish_dx(op, 0, begin, end)
