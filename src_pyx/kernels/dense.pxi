# Dense: y (rows, outputs) = f(x (rows, inputs) . kernel (inputs, outputs) + bias (outputs,)).
#
# Three products, each in the form that suits its shape:
#     z = x . kernel        dx = dz . kernel^T        dkernel = x^T . dz
# The matrix on the right is packed into panels where its rows are long (see matmul.pxi), a kernel once
# a step. A narrow layer goes by its transposed kernel in all three, so that lanes run along the inputs:
#     z = dots of rows      dx = dz . kernel^T        dkernel^T = dz^T . x

# Outputs up to which a layer is narrow.
cdef enum: NARROW = 7
# Rows that go through product, activation and derivative while they are in the nearest cache: whole
# register tiles of any width.
cdef enum: DENSE_BLOCK = 48


cdef struct DenseKernel:
    Py_ssize_t inputs
    Py_ssize_t outputs
    const real* kernel          # (inputs, outputs)
    const real* bias            # (outputs,) or NULL
    const real* panels          # the kernel in panels, or NULL: go by the kernel itself
    const real* transposed      # its transpose: in panels or, if narrow, as a matrix; NULL: not wanted


cdef inline bint is_narrow(Py_ssize_t outputs) noexcept nogil:
    return outputs <= NARROW


# b (depth, columns) as the right-hand side of p, in panels if there are any.
cdef inline void multiply_by(Product* p, const real* panels, const real* b, Py_ssize_t depth,
                             Py_ssize_t columns) noexcept nogil:
    p.depth = depth
    p.b = b if panels == NULL else panels
    p.ldb = columns if panels == NULL else PANEL
    p.b_panel = PANEL if panels == NULL else depth * PANEL


# z = x . kernel + bias;  y = f(z);  slope = f'(z) where f keeps its slope and slope is not NULL.
cdef void dense_forward(real* y, real* slope, const real* x, const DenseKernel* k, Py_ssize_t rows,
                        const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    cdef Py_ssize_t at_once = rows if k.inputs > DEPTH_BLOCK else <Py_ssize_t>DENSE_BLOCK
    multiply_by(&p, k.panels, k.kernel, k.inputs, k.outputs)
    p.ldc = k.outputs
    p.a_row = k.inputs
    p.a_k = 1
    p.start = k.bias
    p.start_row = 0
    while row < rows:
        block = min(at_once, rows - row)
        first = row * k.outputs
        p.c = y + first
        p.a = x + row * k.inputs
        if is_narrow(k.outputs):
            matmul_narrow(p.c, p.a, k.transposed, k.bias, block, k.outputs, k.inputs)
        else:
            matmul(&p, block, k.outputs)
        activation.forward(p.c, NULL if slope == NULL else slope + first, block * k.outputs, options)
        row += block


# On entry dy is the loss's gradient by y; on return it is dz, that by z:  dz = dy * f'(z).
# dx (may be NULL) = dz . kernel^T.
cdef void dense_backward(real* dx, real* dy, const real* y, const real* slope, const DenseKernel* k,
                         Py_ssize_t rows, const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    cdef Py_ssize_t at_once = rows if k.outputs > DEPTH_BLOCK else <Py_ssize_t>DENSE_BLOCK
    multiply_by(&p, NULL if is_narrow(k.outputs) else k.transposed, k.transposed, k.outputs, k.inputs)
    p.ldc = k.inputs
    p.a_row = k.outputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    while row < rows:
        block = min(at_once, rows - row)
        first = row * k.outputs
        activation.backward(dy + first, y + first, NULL if slope == NULL else slope + first,
                            block * k.outputs, options)
        if dx != NULL:
            p.c = dx + row * k.inputs
            p.a = dy + first
            matmul(&p, block, k.inputs)
        row += block


# dkernel = x^T . dz;  dbias (may be NULL) = the sum of dz over the rows; added to what is there if
# `accumulate`. scratch: dense_gradient_scratch reals.
cdef void dense_gradient(real* dkernel, real* dbias, const real* x, const real* dz,
                         Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         bint accumulate, real* scratch) noexcept nogil:
    cdef Product p
    p.a_row = 1
    if is_narrow(outputs):
        # With one output the transpose is the thing itself.
        p.c = dkernel if outputs == 1 else scratch
        if accumulate and outputs > 1:
            transpose(scratch, dkernel, inputs, outputs)
        multiply_by(&p, NULL, x, rows, inputs)
        p.ldc = inputs
        p.a = dz
        p.a_k = outputs
        p.start = p.c if accumulate else NULL
        p.start_row = inputs
        matmul(&p, outputs, inputs)
        if outputs > 1:
            transpose(dkernel, scratch, outputs, inputs)
    else:
        if outputs > PANEL:
            pack(scratch, dz, rows, outputs)
        multiply_by(&p, scratch if outputs > PANEL else NULL, dz, rows, outputs)
        p.c = dkernel
        p.ldc = outputs
        p.a = x
        p.a_k = inputs
        p.start = dkernel if accumulate else NULL
        p.start_row = outputs
        matmul(&p, inputs, outputs)
    if dbias != NULL:
        sum_rows(dbias, dz, rows, outputs, accumulate)


cdef inline Py_ssize_t dense_gradient_scratch(Py_ssize_t rows, Py_ssize_t inputs,
                                              Py_ssize_t outputs) noexcept nogil:
    if is_narrow(outputs):
        return inputs * outputs
    return packed_reals(rows, outputs) if outputs > PANEL else 0


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


# ---- the op: parameters are the kernel, row by row, then the bias ----------------------------------
# scratch: the DenseKernel, the kernel in panels, its transpose, and what dense_gradient wants.

cdef inline Py_ssize_t panels_reals(const Op* op) noexcept nogil:
    return packed_reals(op.inputs, op.outputs) if op.outputs > PANEL else 0


cdef inline Py_ssize_t transposed_reals(const Op* op) noexcept nogil:
    if op.outputs == 1:
        return 0
    if is_narrow(op.outputs):
        return aligned(op.inputs * op.outputs)
    return packed_reals(op.outputs, op.inputs) if op.gradients != NULL else 0


cdef inline Py_ssize_t aligned(Py_ssize_t reals) noexcept nogil:
    return (reals + LANES - 1) // LANES * LANES


cdef inline Py_ssize_t header_reals() noexcept nogil:
    return aligned(<Py_ssize_t>((sizeof(DenseKernel) + sizeof(real) - 1) // sizeof(real)))


cdef void dense_op_measure(Op* op, Py_ssize_t rows) noexcept nogil:
    op.saved_per_row = op.outputs if op.activation.keeps_slope else 0
    op.scratch_reals = header_reals() + panels_reals(op) + transposed_reals(op)
    if op.gradients != NULL:
        op.scratch_reals += dense_gradient_scratch(rows, op.inputs, op.outputs)


cdef void dense_op_prepare(const Op* op, Py_ssize_t rows) noexcept nogil:
    cdef DenseKernel* k = <DenseKernel*>op.scratch
    cdef real* panels = <real*>op.scratch + header_reals()
    cdef real* transposed = panels + panels_reals(op)
    k.inputs = op.inputs
    k.outputs = op.outputs
    k.kernel = <const real*>op.parameters
    k.bias = k.kernel + op.inputs * op.outputs if op.has_bias else NULL
    k.panels = NULL
    # A few rows do not repay the packing.
    if op.outputs > PANEL and rows >= TILE_ACCUMULATORS:
        pack(panels, k.kernel, op.inputs, op.outputs)
        k.panels = panels
    k.transposed = NULL
    if op.outputs == 1:
        k.transposed = k.kernel
    elif is_narrow(op.outputs):
        transpose(transposed, k.kernel, op.inputs, op.outputs)
        k.transposed = transposed
    elif op.dx != NULL:
        pack_transposed(transposed, k.kernel, op.inputs, op.outputs)
        k.transposed = transposed


cdef inline real* rows_of(const void* a, Py_ssize_t row, Py_ssize_t width) noexcept nogil:
    return NULL if a == NULL else <real*>a + row * width


cdef void dense_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_forward(rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                  rows_of(op.x, begin, op.inputs), <const DenseKernel*>op.scratch, end - begin,
                  op.activation, op.activation_options)


cdef void dense_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_backward(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
                   rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                   <const DenseKernel*>op.scratch, end - begin, op.activation, op.activation_options)


cdef void dense_op_gradient(const Op* op, Py_ssize_t rows, bint accumulate) noexcept nogil:
    cdef real* dkernel = <real*>op.gradients
    cdef real* scratch = <real*>op.scratch + header_reals() + panels_reals(op) + transposed_reals(op)
    dense_gradient(dkernel, dkernel + op.inputs * op.outputs if op.has_bias else NULL,
                   <const real*>op.x, <const real*>op.dy, rows, op.inputs, op.outputs, accumulate,
                   scratch)


# ---- the same on plain arrays, by address: what fastweights.kernels stands on -----------------------
# scratch: apply_dense_scratch reals.

def apply_dense_scratch(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs):
    return max(packed_reals(outputs, inputs), dense_gradient_scratch(rows, inputs, outputs))


def apply_dense_forward(size_t y, size_t slope, size_t x, size_t kernel, size_t bias, size_t scratch,
                        Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                        str activation, options):
    """Here slope, if not 0, gets the derivative of every activation, also of those that keep none."""
    cdef const Activation* f = find_activation(activation)
    cdef DenseKernel k = DenseKernel(inputs, outputs, <const real*>kernel, <const real*>bias, NULL, NULL)
    cdef double[2] numbers
    numbers[0], numbers[1] = options
    with nogil:
        if is_narrow(outputs):
            transpose(<real*>scratch, k.kernel, inputs, outputs)
            k.transposed = <const real*>scratch
        dense_forward(<real*>y, <real*>slope, <const real*>x, &k, rows, f, numbers)


def apply_dense_backward(size_t dx, size_t dkernel, size_t dbias, size_t dz, size_t x, size_t kernel,
                         size_t scratch, Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         bint accumulate):
    cdef const Activation* linear = find_activation("linear")
    cdef DenseKernel k = DenseKernel(inputs, outputs, <const real*>kernel, NULL, NULL, <const real*>scratch)
    with nogil:
        if is_narrow(outputs):
            transpose(<real*>scratch, k.kernel, inputs, outputs)
        else:
            pack_transposed(<real*>scratch, k.kernel, inputs, outputs)
        dense_backward(<real*>dx, <real*>dz, NULL, NULL, &k, rows, linear, NULL)
        dense_gradient(<real*>dkernel, <real*>dbias, <const real*>x, <const real*>dz,
                       rows, inputs, outputs, accumulate, <real*>scratch)
