# Dense: y (rows, outputs) = f(x (rows, inputs) . kernel (inputs, outputs) + bias (outputs,)).
#
# Three products, each in the form that suits its shape:
#     z = x . kernel        dx = dz . kernel^T        dkernel = x^T . dz
# The matrix on the right is packed into panels where its rows are long (see matmul.pxi), a kernel when it
# has changed. A narrow layer goes by its transposed kernel in all three, so that lanes run along the inputs:
#     z = dots of rows      dx = dz . kernel^T        dkernel^T = dz^T . x

# Outputs up to which a layer is narrow.
cdef enum: NARROW = 7
# Rows that go through product, activation and derivative while they are in the cache: whole register
# tiles of any width. With a deep product all panels of the kernel pass by each block.
cdef enum: DENSE_BLOCK = 48
cdef enum: DEEP_BLOCK = 192
# Inputs whose weights are one piece of the parameters: whole register tiles and whole vectors.
cdef enum: PIECE_INPUTS = 48
# Outputs from which it pays to transpose x for the kernel's gradient, and what its rows then lie apart:
# a power of two would put all of them on the same lines of the cache.
cdef enum: TURNED_OUTPUTS = 256
cdef enum: TURNED_DEPTH = DEPTH_BLOCK
cdef enum: TURNED_STRIDE = TURNED_DEPTH + 16
cdef enum: TURNED_INPUTS = 48


# Inputs whose dx is transposed at a time where dx goes by the kernel.
cdef enum: TURNED_BACK = 192
# Rows of the arena from which dx may go by the kernel.
cdef enum: TURNED_ROWS = 128


cdef struct DenseKernel:
    Py_ssize_t inputs
    Py_ssize_t outputs
    const real* kernel          # (inputs, outputs)
    const real* bias            # (outputs,) or NULL
    const real* panels          # the kernel in panels, or NULL: go by the kernel itself
    # Its transpose: in panels or, if narrow, as a matrix. NULL: dx is not wanted, or goes by the kernel.
    const real* transposed


cdef inline bint is_narrow(Py_ssize_t outputs) noexcept nogil:
    return outputs <= NARROW


# b (depth, columns) as the right-hand side of p, in panels if there are any.
cdef inline void multiply_by(Product* p, const real* panels, const real* b, Py_ssize_t depth,
                             Py_ssize_t columns) noexcept nogil:
    p.depth = depth
    p.b = b if panels == NULL else panels
    p.ldb = columns if panels == NULL else PANEL
    p.b_panel = PANEL if panels == NULL else depth * PANEL
    p.left = NULL


# z = x . kernel + bias;  y = f(z);  slope = f'(z) where f keeps its slope and slope is not NULL.
# left (may be NULL): room for LEFT_STRIDE reals for each row.
cdef void dense_forward(real* y, real* slope, const real* x, real* left, const DenseKernel* k,
                        Py_ssize_t rows, const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    cdef Py_ssize_t at_once = DEEP_BLOCK if k.inputs > DEPTH_BLOCK else DENSE_BLOCK
    multiply_by(&p, k.panels, k.kernel, k.inputs, k.outputs)
    p.left = left
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
# dx (may be NULL) = dz . kernel^T. panels (may be NULL), which lie panel_stride apart, get dz too.
# turned is for the transposes of dz and of some of dx, where dx goes by the kernel.
cdef void dense_backward(real* dx, real* dy, const real* y, const real* slope, real* panels,
                         Py_ssize_t panel_stride, real* turned, const DenseKernel* k, Py_ssize_t rows,
                         const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    cdef Py_ssize_t at_once = DEEP_BLOCK if k.outputs > DEPTH_BLOCK else DENSE_BLOCK
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
        if panels != NULL:
            pack(panels + row * PANEL, panel_stride, dy + first, block, k.outputs)
        if dx != NULL and k.transposed != NULL:
            p.c = dx + row * k.inputs
            p.a = dy + first
            matmul(&p, block, k.inputs)
        row += block
    if dx != NULL and k.transposed == NULL:
        turned_backward(dx, dy, turned, k, rows)


# dx = dz . kernel^T as dx^T = kernel . dz^T, which reads the kernel as it stands, and once.
# turned: turned_width reals for each row.
cdef void turned_backward(real* dx, const real* dz, real* turned, const DenseKernel* k,
                          Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t whole = rows // PANEL * PANEL, input = 0, some
    cdef Py_ssize_t at_once = min(rows, <Py_ssize_t>TURNED_BACK)
    cdef real* left = turned + TURNED_BACK * rows
    cdef real* dzt = left + LEFT_STRIDE * rows
    cdef Product p, last
    # Whole panels of rows, and those that are left over as a matrix.
    pack_transposed(dzt, dz, whole, k.outputs, 0, whole)
    multiply_by(&p, dzt, NULL, k.outputs, whole)
    p.left = left if whole >= TURNED_OUTPUTS else NULL
    p.c = turned
    p.ldc = rows
    p.a_row = k.outputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    last = p
    transpose(dzt + whole * k.outputs, rows - whole, dz + whole * k.outputs, k.outputs, rows - whole, k.outputs)
    multiply_by(&last, NULL, dzt + whole * k.outputs, k.outputs, rows - whole)
    last.c = turned + whole
    while input < k.inputs:
        some = min(k.inputs - input, at_once)
        p.a = last.a = k.kernel + input * k.outputs
        matmul(&p, some, whole)
        matmul(&last, some, rows - whole)
        transpose(dx + input, k.inputs, turned, rows, some, rows)
        input += some


# What turned_backward wants for each row.
cdef inline Py_ssize_t turned_width(Py_ssize_t outputs) noexcept nogil:
    return TURNED_BACK + LEFT_STRIDE + outputs


# Rows [begin, end) of dkernel = x^T . dz, going on from what is there if `accumulate`. dz comes in panels,
# which lie `panel_stride` reals apart, or (panels NULL) as it is.
cdef void dense_gradient(real* dkernel, const real* x, const real* dz, const real* panels,
                         Py_ssize_t panel_stride, Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         Py_ssize_t begin, Py_ssize_t end, bint accumulate) noexcept nogil:
    cdef Product p
    if is_narrow(outputs):
        narrow_gradient(dkernel, x, dz, rows, inputs, outputs, begin, end, accumulate)
        return
    multiply_by(&p, panels, dz, rows, outputs)
    if panels != NULL:
        p.b_panel = panel_stride
    p.c = dkernel + begin * outputs
    p.ldc = outputs
    p.start = p.c if accumulate else NULL
    p.start_row = outputs
    if outputs >= TURNED_OUTPUTS:
        turned_gradient(&p, x + begin, rows, inputs, end - begin, outputs)
    else:
        p.a = x + begin
        p.a_row = 1
        p.a_k = inputs
        matmul(&p, end - begin, outputs)


# c of p = x^T . b of p with x transposed beforehand, block by block: along a column of x every real is on
# another cache line and, where rows are long, on another page.
cdef void turned_gradient(const Product* product, const real* x, Py_ssize_t rows, Py_ssize_t ldx,
                          Py_ssize_t inputs, Py_ssize_t outputs) noexcept nogil:
    cdef real[TURNED_INPUTS * TURNED_STRIDE] turned
    cdef Product p = product[0]
    cdef Py_ssize_t input = 0, row, columns
    p.a = turned
    p.a_row = TURNED_STRIDE
    p.a_k = 1
    while input < inputs:
        columns = min(inputs - input, <Py_ssize_t>TURNED_INPUTS)
        p.c = product.c + input * outputs
        p.start = NULL if product.start == NULL else p.c
        row = 0
        while row < rows:
            p.depth = min(rows - row, <Py_ssize_t>TURNED_DEPTH)
            p.b = product.b + row * product.ldb
            transpose(turned, TURNED_STRIDE, x + row * ldx + input, ldx, p.depth, columns)
            matmul(&p, columns, outputs)
            p.start = p.c
            row += p.depth
        input += columns


# The same for a narrow layer: dkernel^T = dz^T . x, panel by panel. With one output the transpose is the
# thing itself.
cdef void narrow_gradient(real* dkernel, const real* x, const real* dz, Py_ssize_t rows, Py_ssize_t inputs,
                          Py_ssize_t outputs, Py_ssize_t begin, Py_ssize_t end,
                          bint accumulate) noexcept nogil:
    cdef real[NARROW * PANEL] transposed
    cdef Py_ssize_t columns = end - begin if outputs == 1 else <Py_ssize_t>PANEL
    cdef real* part = dkernel + begin * outputs
    cdef Product p
    multiply_by(&p, NULL, x, rows, inputs)
    p.c = part if outputs == 1 else transposed
    p.ldc = columns
    p.a = dz
    p.a_row = 1
    p.a_k = outputs
    p.start = p.c if accumulate else NULL
    p.start_row = columns
    while begin < end:
        columns = min(columns, end - begin)
        p.b = x + begin
        if accumulate and outputs > 1:
            transpose(transposed, PANEL, part, outputs, columns, outputs)
        matmul(&p, outputs, columns)
        if outputs > 1:
            transpose(part, outputs, transposed, PANEL, outputs, columns)
            part += columns * outputs
        begin += columns


# total (columns,) = the sum of a (rows, columns) over its rows, in order. Whole panels, if there are any,
# are read one after the other.
cdef void sum_rows(real* total, const real* a, const real* panels, Py_ssize_t panel_stride, Py_ssize_t rows,
                   Py_ssize_t columns, bint accumulate) noexcept nogil:
    cdef Py_ssize_t column = 0
    while panels != NULL and column + PANEL <= columns:
        sum_columns(TILE_VECTORS, False, total + column, panels, PANEL, rows, vtail_of(0), accumulate)
        panels += panel_stride
        column += PANEL
    while column + 2 * VL <= columns:
        sum_columns(2, False, total + column, a + column, columns, rows, vtail_of(0), accumulate)
        column += 2 * VL
    if column + VL <= columns:
        sum_columns(1, False, total + column, a + column, columns, rows, vtail_of(0), accumulate)
        column += VL
    if column < columns:
        sum_columns(1, True, total + column, a + column, columns, rows, vtail_of(columns - column), accumulate)


# The same for nv vectors of columns, a tail of one where ragged; nv and ragged are constants.
cdef inline void sum_columns(const int nv, const bint ragged, real* total, const real* a, Py_ssize_t lda,
                             Py_ssize_t rows, vtail tail, bint accumulate) noexcept nogil:
    cdef vreal[TILE_VECTORS] acc
    cdef Py_ssize_t row
    cdef int j
    for j in range(nv):
        acc[j] = load_part(ragged, total + j * VL, tail) if accumulate else vzero()
    for row in range(rows):
        for j in range(nv):
            acc[j] = acc[j] + load_part(ragged, a + row * lda + j * VL, tail)
    for j in range(nv):
        store_part(ragged, total + j * VL, acc[j], tail)


# ---- the op: parameters are the kernel, row by row, then the bias ----------------------------------
# prepared: the DenseKernel, the kernel in panels, its transpose, room for rows of x.
# scratch: dz in panels, what turned_backward wants.

cdef inline bint has_panels(Py_ssize_t columns) noexcept nogil:
    return columns > PANEL


cdef inline Py_ssize_t panels_reals(const Op* op) noexcept nogil:
    return packed_reals(op.inputs, op.outputs) if has_panels(op.outputs) else 0


# Whether dx goes by the kernel as it stands: if transposing dz and dx is less work than the kernel.
cdef inline bint goes_by_kernel(const Op* op) noexcept nogil:
    return (op.wants_dx and not is_narrow(op.outputs) and op.rows >= TURNED_ROWS
            and op.rows * (op.inputs + op.outputs) <= op.inputs * op.outputs)


# Reals of scratch that hold dz in panels.
cdef inline Py_ssize_t scratch_panels(const Op* op) noexcept nogil:
    return packed_reals(op.rows, op.outputs) if has_panels(op.outputs) else 0


cdef inline Py_ssize_t transposed_reals(const Op* op) noexcept nogil:
    if op.outputs == 1:
        return 0
    if is_narrow(op.outputs):
        return op.inputs * op.outputs
    return packed_reals(op.outputs, op.inputs) if op.wants_dx and not goes_by_kernel(op) else 0


cdef inline Py_ssize_t header_reals() noexcept nogil:
    return (<Py_ssize_t>sizeof(DenseKernel) + LANES * <Py_ssize_t>sizeof(real) - 1) // (
        LANES * <Py_ssize_t>sizeof(real)) * LANES


# Where rows of x are long and it pays to copy them together: room for LEFT_STRIDE reals for each.
cdef inline Py_ssize_t left_reals(const Op* op) noexcept nogil:
    if op.outputs < TURNED_OUTPUTS or op.inputs * <Py_ssize_t>sizeof(real) < LONG_ROW_BYTES:
        return 0
    return op.rows * LEFT_STRIDE


cdef void dense_op_measure(Op* op, Py_ssize_t rows) noexcept nogil:
    op.saved_per_row = op.outputs if op.activation.keeps_slope else 0
    op.prepared_reals = header_reals() + panels_reals(op) + transposed_reals(op) + left_reals(op)
    if op.gradients != NULL:
        op.scratch_reals = scratch_panels(op)
        if goes_by_kernel(op):
            op.scratch_reals += rows * turned_width(op.outputs)
    op.pieces = (op.inputs + PIECE_INPUTS - 1) // PIECE_INPUTS
    op.piece_parameters = PIECE_INPUTS * op.outputs
    op.work_per_row = <double>(op.inputs * op.outputs)


cdef inline Py_ssize_t inputs_of(const Op* op, Py_ssize_t pieces) noexcept nogil:
    return min(op.inputs, pieces * PIECE_INPUTS)


cdef void dense_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                           Py_ssize_t end_piece) noexcept nogil:
    cdef DenseKernel* k = <DenseKernel*>op.prepared
    cdef real* panels = <real*>op.prepared + header_reals()
    cdef real* transposed = panels + panels_reals(op)
    cdef const real* kernel = <const real*>op.parameters
    cdef Py_ssize_t begin = inputs_of(op, begin_piece), end = inputs_of(op, end_piece)
    # A few rows do not repay the packing.
    cdef bint packed = has_panels(op.outputs) and rows >= TILE_ACCUMULATORS
    if begin_piece == 0:
        k.inputs = op.inputs
        k.outputs = op.outputs
        k.kernel = kernel
        k.bias = kernel + op.inputs * op.outputs if op.has_bias else NULL
        k.panels = panels if packed else NULL
        k.transposed = kernel if op.outputs == 1 else NULL if goes_by_kernel(op) else transposed
    if packed:
        pack(panels + begin * PANEL, op.inputs * PANEL, kernel + begin * op.outputs, end - begin, op.outputs)
    if op.outputs > 1 and is_narrow(op.outputs):
        transpose(transposed + begin, op.inputs, kernel + begin * op.outputs, op.outputs, end - begin,
                  op.outputs)
    elif op.outputs > 1 and op.wants_dx and not goes_by_kernel(op):
        pack_transposed(transposed, kernel, op.inputs, op.outputs, begin, end)


cdef inline real* rows_of(const void* a, Py_ssize_t row, Py_ssize_t width) noexcept nogil:
    return NULL if a == NULL else <real*>a + row * width


cdef void dense_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real* left = NULL
    if left_reals(op) > 0:
        left = <real*>op.prepared + header_reals() + panels_reals(op) + transposed_reals(op)
    dense_forward(rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                  rows_of(op.x, begin, op.inputs), rows_of(left, begin, LEFT_STRIDE),
                  <const DenseKernel*>op.prepared, end - begin, op.activation, op.activation_options)


cdef void dense_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # Where has_panels, panels come first; scratch is NULL where neither is wanted.
    cdef real* turned = <real*>op.scratch + scratch_panels(op) if goes_by_kernel(op) else NULL
    cdef real* panels = <real*>op.scratch if has_panels(op.outputs) else NULL
    dense_backward(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
                   rows_of(op.y, begin, op.outputs), rows_of(op.saved, begin, op.outputs),
                   rows_of(panels, begin, PANEL), op.rows * PANEL,
                   rows_of(turned, begin, turned_width(op.outputs)), <const DenseKernel*>op.prepared,
                   end - begin, op.activation, op.activation_options)


cdef void dense_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece, bint accumulate) noexcept nogil:
    cdef real* dkernel = <real*>op.gradients
    cdef const real* dz = rows_of(op.dy, begin, op.outputs)
    dense_gradient(dkernel, rows_of(op.x, begin, op.inputs), dz, rows_of(op.scratch, begin, PANEL),
                   op.rows * PANEL, end - begin, op.inputs, op.outputs, inputs_of(op, begin_piece),
                   inputs_of(op, end_piece), accumulate)
    if op.has_bias and end_piece == op.pieces:
        sum_rows(dkernel + op.inputs * op.outputs, dz, rows_of(op.scratch, begin, PANEL), op.rows * PANEL,
                 end - begin, op.outputs, accumulate)


# ---- the same on plain arrays, by address: what fastweights.kernels stands on -----------------------
# scratch: apply_dense_scratch reals.

def apply_dense_scratch(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs):
    return packed_reals(outputs, inputs) + packed_reals(rows, outputs)


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
            transpose(<real*>scratch, inputs, k.kernel, outputs, inputs, outputs)
            k.transposed = <const real*>scratch
        dense_forward(<real*>y, <real*>slope, <const real*>x, NULL, &k, rows, f, numbers)


def apply_dense_backward(size_t dx, size_t dkernel, size_t dbias, size_t dz, size_t x, size_t kernel,
                         size_t scratch, Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         bint accumulate):
    cdef const Activation* linear = find_activation("linear")
    cdef DenseKernel k = DenseKernel(inputs, outputs, <const real*>kernel, NULL, NULL, <const real*>scratch)
    cdef real* panels = NULL
    with nogil:
        if is_narrow(outputs):
            transpose(<real*>scratch, inputs, k.kernel, outputs, inputs, outputs)
        else:
            pack_transposed(<real*>scratch, k.kernel, inputs, outputs, 0, inputs)
        if has_panels(outputs):
            panels = <real*>scratch + packed_reals(outputs, inputs)
        dense_backward(<real*>dx, <real*>dz, NULL, NULL, panels, rows * PANEL, NULL, &k, rows, linear, NULL)
        dense_gradient(<real*>dkernel, <const real*>x, <const real*>dz, panels, rows * PANEL, rows, inputs,
                       outputs, 0, inputs, accumulate)
        if dbias:
            sum_rows(<real*>dbias, <const real*>dz, panels, rows * PANEL, rows, outputs, accumulate)
