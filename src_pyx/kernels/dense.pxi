# Dense: y (rows, outputs) = f(x (rows, inputs) . kernel (inputs, outputs) + bias (outputs,)).

# Rows that go through product, activation and derivative while they are in the nearest cache.
cdef enum: DENSE_BLOCK = 64
cdef enum: TRANSPOSE_STRIP = 32


# z = x . kernel + bias;  y = f(z);  slope = f'(z) where f keeps its slope and slope is not NULL.
cdef void dense_forward(real* y, real* slope, const real* x, const real* kernel, const real* bias,
                        Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                        const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    p.ldc = outputs
    p.a_row = inputs
    p.a_k = 1
    p.b = kernel
    p.ldb = outputs
    p.start = bias
    p.start_stride = 0
    p.depth = inputs
    while row < rows:
        block = min(<Py_ssize_t>DENSE_BLOCK, rows - row)
        first = row * outputs
        p.c = y + first
        p.a = x + row * inputs
        matmul(&p, block, outputs)
        activation.forward(y + first, NULL if slope == NULL else slope + first, block * outputs, options)
        row += block


# On entry dy is the loss's gradient by y; on return it is dz, that by z:  dz = dy * f'(z).
# dx (may be NULL) = dz . kernel^T, with the kernel given transposed, (outputs, inputs).
cdef void dense_backward(real* dx, real* dy, const real* y, const real* slope,
                         const real* kernel_transposed,
                         Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    p.ldc = inputs
    p.a_row = outputs
    p.a_k = 1
    p.b = kernel_transposed
    p.ldb = inputs
    p.start = NULL
    p.start_stride = 0
    p.depth = outputs
    while row < rows:
        block = min(<Py_ssize_t>DENSE_BLOCK, rows - row)
        first = row * outputs
        activation.backward(dy + first, y + first, NULL if slope == NULL else slope + first,
                            block * outputs, options)
        if dx != NULL:
            p.c = dx + row * inputs
            p.a = dy + first
            matmul(&p, block, inputs)
        row += block


# dkernel = x^T . dz;  dbias (may be NULL) = the sum of dz over the rows; added to what is there if
# `accumulate`.
cdef void dense_gradient(real* dkernel, real* dbias, const real* x, const real* dz,
                         Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         bint accumulate) noexcept nogil:
    cdef Product p
    p.c = dkernel
    p.ldc = outputs
    p.a = x
    p.a_row = 1
    p.a_k = inputs
    p.b = dz
    p.ldb = outputs
    p.start = dkernel if accumulate else NULL
    p.start_stride = outputs
    p.depth = rows
    matmul(&p, inputs, outputs)
    if dbias != NULL:
        sum_rows(dbias, dz, rows, outputs, accumulate)


# total (columns,) = the sum of a (rows, columns) over its rows, in order.
cdef void sum_rows(real* total, const real* a, Py_ssize_t rows, Py_ssize_t columns,
                   bint accumulate) noexcept nogil:
    cdef Py_ssize_t column = 0, row
    cdef vreal acc
    cdef vtail tail
    while column + VL <= columns:
        acc = vload(total + column) if accumulate else vzero()
        for row in range(rows):
            acc = acc + vload(a + row * columns + column)
        vstore(total + column, acc)
        column += VL
    if column < columns:
        tail = vtail_of(columns - column)
        acc = vload_tail(total + column, tail) if accumulate else vzero()
        for row in range(rows):
            acc = acc + vload_tail(a + row * columns + column, tail)
        vstore_tail(total + column, acc, tail)


# at (columns, rows) = a (rows, columns) transposed, a strip of rows at a time that fits the cache.
cdef void transpose(real* at, const real* a, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t first = 0, last, row, column
    while first < rows:
        last = min(first + TRANSPOSE_STRIP, rows)
        for column in range(columns):
            for row in range(first, last):
                at[column * rows + row] = a[row * columns + column]
        first = last


# ---- the op: parameters are the kernel, row by row, then the bias; scratch is the kernel transposed --

cdef void dense_op_measure(Op* op) noexcept nogil:
    op.saved_per_row = op.outputs if op.activation.keeps_slope else 0
    op.scratch_reals = op.inputs * op.outputs


cdef inline const real* bias_of(const Op* op) noexcept nogil:
    return <const real*>op.parameters + op.inputs * op.outputs if op.has_bias else NULL


cdef inline real* rows_of(const void* a, Py_ssize_t row, Py_ssize_t width) noexcept nogil:
    return NULL if a == NULL else <real*>a + row * width


cdef void dense_op_prepare(const Op* op) noexcept nogil:
    transpose(<real*>op.scratch, <const real*>op.parameters, op.inputs, op.outputs)


cdef void dense_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_forward(rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                  rows_of(op.x, begin, op.inputs), <const real*>op.parameters, bias_of(op),
                  end - begin, op.inputs, op.outputs, op.activation, op.activation_options)


cdef void dense_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_backward(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
                   rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                   <const real*>op.scratch, end - begin, op.inputs, op.outputs,
                   op.activation, op.activation_options)


cdef void dense_op_gradient(const Op* op, Py_ssize_t rows, bint accumulate) noexcept nogil:
    cdef real* dkernel = <real*>op.gradients
    dense_gradient(dkernel, dkernel + op.inputs * op.outputs if op.has_bias else NULL,
                   <const real*>op.x, <const real*>op.dy, rows, op.inputs, op.outputs, accumulate)


# ---- the same on plain arrays, by address: what fastweights.kernels stands on -----------------------

def apply_dense_forward(size_t y, size_t slope, size_t x, size_t kernel, size_t bias,
                        Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                        str activation, options):
    """Here slope, if not 0, gets the derivative of every activation, also of those that keep none."""
    cdef const Activation* f = find_activation(activation)
    cdef Py_ssize_t i
    cdef double[2] numbers
    numbers[0], numbers[1] = options
    with nogil:
        dense_forward(<real*>y, <real*>slope, <const real*>x, <const real*>kernel,
                      <const real*>bias, rows, inputs, outputs, f, numbers)
        if slope != 0 and not f.keeps_slope:
            for i in range(rows * outputs):
                (<real*>slope)[i] = 1
            f.backward(<void*>slope, <const void*>y, NULL, rows * outputs, numbers)


def apply_dense_backward(size_t dx, size_t dkernel, size_t dbias, size_t dz, size_t x,
                         size_t kernel_transposed,
                         Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs, bint accumulate):
    cdef const Activation* linear = find_activation("linear")
    with nogil:
        dense_backward(<real*>dx, <real*>dz, NULL, NULL, <const real*>kernel_transposed,
                       rows, inputs, outputs, linear, NULL)
        dense_gradient(<real*>dkernel, <real*>dbias, <const real*>x, <const real*>dz,
                       rows, inputs, outputs, accumulate)
