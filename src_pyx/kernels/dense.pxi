# Dense: y (rows, outputs) = f(x (rows, inputs) . kernel (inputs, outputs) + bias (outputs,)).
#
# Three products, each in the form that suits its shape:
#     z = x . kernel        dx = dz . kernel^T        dkernel = x^T . dz
# The matrix on the right is packed into panels where its rows are long (see matmul.pxi), a kernel when it
# has changed. A narrow layer has products of its own (narrow.pxi), a large one ways of its own (turned.pxi),
# and where that is faster products and packing go by bfloat16 tiles (tiled.pxi).

# Rows that go through product, activation and derivative while they are in the cache: whole register
# tiles of any width. With a deep product all panels of the kernel pass by each block.
cdef enum: DENSE_BLOCK = 48
cdef enum: DEEP_BLOCK = 192
# Inputs whose weights are one piece of the parameters: whole register tiles and whole vectors, or whole
# tiles in depth.
cdef enum: PIECE_INPUTS = 48
cdef enum: TILED_PIECE_INPUTS = 96
# Inputs from which it pays to pack dz for the kernel's gradient.
cdef enum: PACKED_INPUTS = 64


cdef struct DenseKernel:
    Py_ssize_t inputs
    Py_ssize_t outputs
    const real* kernel          # (inputs, outputs)
    const real* bias            # (outputs,) or NULL
    const real* scale           # (outputs,), of a normalisation that is done here; NULL ...
    const real* shift           # ... and likewise
    const real* panels          # the kernel in panels, or NULL: go by the kernel itself
    # Its transpose: in panels or, if narrow, as a matrix. NULL: dx is not wanted, or goes by the kernel.
    const real* transposed
    int parts                   # both are in tiles, of so many parts, instead; 0: they are not


# dz in other forms, for the products that want it so.
cdef struct RightHand:
    real* at                    # for the kernel's gradient; NULL: dz itself will do
    Py_ssize_t stride           # from one panel, or one line of tiles, to the next
    int parts                   # of the tiles; 0: panels
    real* turned                # its transpose, for dx by the kernel; NULL where k.transposed is not


# b (depth, columns) as the right-hand side of p, in panels if there are any.
cdef inline void multiply_by(Product* p, const real* panels, const real* b, Py_ssize_t depth,
                             Py_ssize_t columns) noexcept nogil:
    p.depth = depth
    p.b = b if panels == NULL else panels
    p.ldb = columns if panels == NULL else PANEL
    p.b_panel = PANEL if panels == NULL else depth * PANEL
    p.scale = NULL
    p.relu = False
    p.left = NULL


# Rows that go through a layer at a time.
cdef inline Py_ssize_t block_rows(Py_ssize_t depth, int parts) noexcept nogil:
    if FW_TILES and parts > 0:
        return SPLIT_ROWS
    return DEEP_BLOCK if depth > DEPTH_BLOCK else DENSE_BLOCK


# z = x . kernel + bias, where there is a scale times that, plus shift;  y = f(z);  slope = f'(z) where f keeps its
# slope and slope is not NULL.
cdef void dense_forward(real* y, real* slope, const real* x, const DenseKernel* k, real* workspace,
                        Py_ssize_t rows, const Activation* activation, const double* options) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t row = 0, block, first
    cdef Py_ssize_t at_once = block_rows(k.inputs, k.parts)
    if is_narrow(k.outputs):
        narrow_forward(y, x, k.transposed, k.bias, rows, k.inputs, k.outputs)
        if k.scale != NULL:
            scale_lines(y, k.scale, k.shift, rows, k.outputs)
        activation.forward(y, slope, rows * k.outputs, options)
        return
    multiply_by(&p, k.panels, k.kernel, k.inputs, k.outputs)
    p.left = left_room(k.inputs, k.outputs, workspace)
    p.ldc = k.outputs
    p.a_row = k.inputs
    p.a_k = 1
    p.start = k.bias
    p.start_row = 0
    p.scale = k.scale
    p.shift = k.shift
    # A relu without slope is part of the product.
    p.relu = activation.forward == relu_forward and slope == NULL and k.parts == 0
    while row < rows:
        block = min(at_once, rows - row)
        first = row * k.outputs
        p.c = y + first
        p.a = x + row * k.inputs
        if FW_TILES and k.parts > 0:
            multiply_by_tiles(p.c, k.bias, p.a, k.panels, k.parts, workspace, block, k.inputs, k.outputs)
            if k.scale != NULL:
                scale_lines(p.c, k.scale, k.shift, block, k.outputs)
        else:
            matmul(&p, block, k.outputs)
        if not p.relu:
            activation.forward(p.c, NULL if slope == NULL else slope + first, block * k.outputs, options)
        row += block


# y (lines, columns) = y scale + shift
cdef void scale_lines(real* y, const real* scale, const real* shift, Py_ssize_t lines,
                      Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t line, i
    for line in range(lines):
        i = 0
        while i < columns:
            store_first(y + i, vfma(load_first(y + i, columns - i), load_first(scale + i, columns - i),
                                    load_first(shift + i, columns - i)), columns - i)
            i += VL
        y += columns


# dy (rows, outputs) is the loss's gradient by y on entry and dz, that by z, on return:  dz = dy * f'(z).
# right gets dz as well, as `dense_gradient` wants it.
cdef void dense_to_dz(real* dy, const real* y, const real* slope, const RightHand* right, Py_ssize_t rows,
                      Py_ssize_t outputs, const Activation* activation, const double* options) noexcept nogil:
    cdef Split tiles
    activation.backward(dy, y, slope, rows * outputs, options)
    if FW_TILES and right.parts > 0:
        tiles = Split(right.at, right.stride, right.parts)
        split_right(&tiles, dy, outputs, outputs, rows)
    elif right.at != NULL:
        pack(right.at, right.stride, dy, rows, outputs)


# dx = dz . kernel^T, block by block, and each block finished (see `finish_dx`) as rows from `first` on of op,
# unless op is NULL: then rows are the lines of a batch, and blocks are whole rows of it.
cdef void dense_backward(real* dx, const real* dz, real* dzt, const DenseKernel* k, real* workspace,
                         Py_ssize_t rows, const Op* op, Py_ssize_t first) noexcept nogil:
    cdef Product p
    cdef const Op* maker = NULL if op == NULL else op.reads[0].maker
    cdef Py_ssize_t row = 0, block, lines = 1 if op == NULL else op.lines
    cdef Py_ssize_t at_once = block_rows(k.outputs, k.parts), step = lines
    if k.transposed == NULL:
        turned_backward(dx, dz, dzt, k, workspace, rows)
        finish_dx(op, 0, first, first + rows // lines)
        return
    multiply_by(&p, k.transposed, k.transposed, k.outputs, k.inputs)
    p.ldc = k.inputs
    p.a_row = k.outputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    if maker != NULL and maker.row_step > 0:
        step *= maker.row_step
    if step > 1:
        at_once = (at_once + step - 1) // step * step
    while row < rows:
        block = min(at_once, rows - row)
        p.c = dx + row * k.inputs
        p.a = dz + row * k.outputs
        if is_narrow(k.outputs):
            narrow_backward(p.c, p.a, k.transposed, block, k.inputs, k.outputs)
        elif FW_TILES and k.parts > 0:
            multiply_by_tiles(p.c, NULL, p.a, k.transposed, k.parts, workspace, block, k.outputs, k.inputs)
        else:
            matmul(&p, block, k.inputs)
        if lines == 1:
            finish_dx(op, 0, first + row, first + row + block)
        else:
            finish_dx(op, 0, first + row // lines, first + (row + block) // lines)
        row += block


# Rows [begin, end) of dkernel = x^T . dz and dbias (may be NULL) = the sum of dz over its rows.
cdef void dense_gradient(real* dkernel, real* dbias, const real* x, const real* dz, const RightHand* right,
                         real* workspace, Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                         Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Product p
    if dbias != NULL:
        bias_gradient(dbias, dz, right, rows, outputs)
    if is_narrow(outputs):
        narrow_gradient(dkernel, x, dz, rows, inputs, outputs, begin, end)
        return
    if rows == 1 and right.parts == 0:
        row_gradient(dkernel + begin * outputs, x + begin, dz, end - begin, outputs)
        return
    if FW_TILES and right.parts > 0:
        tiled_gradient(dkernel + begin * outputs, x + begin, right, workspace, rows, inputs, end - begin,
                       outputs)
        return
    multiply_by(&p, right.at, dz, rows, outputs)
    if right.at != NULL:
        p.b_panel = right.stride
    p.c = dkernel + begin * outputs
    p.ldc = outputs
    p.start = NULL
    p.start_row = outputs
    if outputs >= TURNED_OUTPUTS:
        turned_gradient(&p, x + begin, workspace, rows, inputs, end - begin, outputs)
    else:
        p.a = x + begin
        p.a_row = 1
        p.a_k = inputs
        matmul(&p, end - begin, outputs)


# dkernel (inputs, outputs) = x^T . dz of one row.
cdef void row_gradient(real* dkernel, const real* x, const real* dz, Py_ssize_t inputs,
                       Py_ssize_t outputs) noexcept nogil:
    cdef Py_ssize_t column = 0
    while column + PANEL <= outputs:
        row_columns(TILE_VECTORS, False, dkernel + column, x, dz + column, inputs, outputs, vtail_of(0))
        column += PANEL
    while column + VL <= outputs:
        row_columns(1, False, dkernel + column, x, dz + column, inputs, outputs, vtail_of(0))
        column += VL
    if column < outputs:
        row_columns(1, True, dkernel + column, x, dz + column, inputs, outputs, vtail_of(outputs - column))


# The same for nv vectors of columns, a tail of one where ragged; nv and ragged are constants.
cdef inline void row_columns(const int nv, const bint ragged, real* dkernel, const real* x, const real* dz,
                             Py_ssize_t inputs, Py_ssize_t outputs, vtail tail) noexcept nogil:
    cdef vreal[TILE_VECTORS] line
    cdef vreal factor
    cdef Py_ssize_t i
    cdef int j
    for j in range(nv):
        line[j] = load_part(ragged, dz + j * VL, tail)
    for i in range(inputs):
        factor = vset1(x[i])
        for j in range(nv):
            # As in a longer sum, which begins at 0: no product is -0.
            store_part(ragged, dkernel + i * outputs + j * VL, vfma(factor, line[j], vzero()), tail)


# dbias (outputs,) = the sum of dz over its rows. Whole panels, if there are any, are read one after the other.
cdef void bias_gradient(real* dbias, const real* dz, const RightHand* right, Py_ssize_t rows,
                        Py_ssize_t outputs) noexcept nogil:
    cdef const real* panels = right.at if right.parts == 0 else NULL
    cdef Py_ssize_t stride = outputs, i = 0
    if rows == 1:
        while i < outputs:
            # As in a longer sum, which begins at 0: none is -0.
            store_first(dbias + i, load_first(dz + i, outputs - i) + vzero(), outputs - i)
            i += VL
        return
    while panels != NULL and outputs >= PANEL:
        sum_lines(add_element, dbias, panels, panels, panels, PANEL, rows, PANEL)
        panels += right.stride
        dbias += PANEL
        dz += PANEL
        outputs -= PANEL
    sum_lines(add_element, dbias, dz, dz, dz, stride, rows, outputs)


# ---- the op: variables are the kernel (inputs, outputs) and, if there is one, the bias (outputs,) --------
# prepared: the DenseKernel, the kernel in panels or tiles, its transpose. scratch: dz in panels or tiles, its
# transpose.

# Lines that the arena has room for.
cdef inline Py_ssize_t lines_of(const Op* op) noexcept nogil:
    return op.rows * op.lines


cdef inline bint has_bias(const Op* op) noexcept nogil:
    return op.n_variables == 2


cdef inline const real* bias_of(const Op* op) noexcept nogil:
    return <const real*>op.parameters + op.inputs * op.outputs if has_bias(op) else NULL


cdef inline bint has_panels(Py_ssize_t columns) noexcept nogil:
    return columns > PANEL


# What a matrix (depth, columns) takes as a right-hand operand, in panels or (parts > 0) in tiles.
cdef inline Py_ssize_t right_reals(Py_ssize_t depth, Py_ssize_t columns, int parts) noexcept nogil:
    return split_reals(columns, depth, parts) if parts > 0 else packed_reals(depth, columns)


cdef inline Py_ssize_t panels_reals(const Op* op, int parts) noexcept nogil:
    return right_reals(op.inputs, op.outputs, parts) if parts > 0 or has_panels(op.outputs) else 0


cdef inline Py_ssize_t transposed_reals(const Op* op, int parts) noexcept nogil:
    if op.outputs == 1:
        return 0
    if is_narrow(op.outputs):
        return op.inputs * op.outputs
    if not op.wants_dx or (parts == 0 and goes_by_kernel(op)):
        return 0
    return right_reals(op.outputs, op.inputs, parts)


cdef inline bint packs_dz(const Op* op) noexcept nogil:
    return has_panels(op.outputs) and op.inputs >= PACKED_INPUTS


# Reals of scratch that hold dz in panels.
cdef inline Py_ssize_t scratch_panels(const Op* op) noexcept nogil:
    return packed_reals(lines_of(op), op.outputs) if packs_dz(op) else 0


cdef inline Py_ssize_t header_reals() noexcept nogil:
    return (<Py_ssize_t>sizeof(DenseKernel) + LANES * <Py_ssize_t>sizeof(real) - 1) // (
        LANES * <Py_ssize_t>sizeof(real)) * LANES


cdef inline Py_ssize_t piece_inputs(const Op* op) noexcept nogil:
    return TILED_PIECE_INPUTS if parts_for(op, lines_of(op)) > 0 else PIECE_INPUTS


cdef void dense_op_measure(Op* op) noexcept nogil:
    # With fewer rows than these the layer may go by reals where with them it goes by tiles.
    cdef int parts = parts_for(op, lines_of(op))
    op.saved_per_row = op.lines * op.outputs if op.activation.keeps_slope else 0
    op.prepared_reals = header_reals() + max(panels_reals(op, 0) + transposed_reals(op, 0),
                                             panels_reals(op, parts) + transposed_reals(op, parts))
    if op.trains:
        op.scratch_reals = max(scratch_panels(op) + (lines_of(op) * op.outputs if goes_by_kernel(op) else 0),
                               split_reals(op.outputs, lines_of(op), parts))
    if copies_left(op.inputs, op.outputs):
        op.workspace_reals = DEEP_BLOCK * LEFT_STRIDE
    if op.trains and op.outputs >= TURNED_OUTPUTS:
        op.workspace_reals = max(op.workspace_reals, <Py_ssize_t>TURNED_INPUTS * TURNED_STRIDE)
    if goes_by_kernel(op):
        op.workspace_reals = max(op.workspace_reals, TURNED_BACK * (LEFT_STRIDE + lines_of(op)))
    if parts > 0:
        op.row_step = 2 * LANES
        op.workspace_reals = max(op.workspace_reals, splitting_reals(parts))
    op.pieces = (op.inputs + piece_inputs(op) - 1) // piece_inputs(op)
    op.piece_parameters = piece_inputs(op) * op.outputs
    op.parameter_reals = (op.inputs + has_bias(op)) * op.outputs
    if op.n_reads != 1 or op.n_variables not in (1, 2) or op.variables[0] != op.inputs * op.outputs or (
            has_bias(op) and op.variables[1] != op.outputs):
        op.parameter_reals = -1
    op.work_per_row = <double>(op.lines * op.inputs * op.outputs)


cdef inline Py_ssize_t inputs_of(const Op* op, Py_ssize_t pieces) noexcept nogil:
    return min(op.inputs, pieces * piece_inputs(op))


cdef void dense_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                           Py_ssize_t end_piece) noexcept nogil:
    cdef DenseKernel* k = <DenseKernel*>op.prepared
    cdef Py_ssize_t lines = rows * op.lines
    cdef int parts = parts_for(op, lines)
    cdef real* panels = <real*>op.prepared + header_reals()
    cdef real* transposed = panels + panels_reals(op, parts)
    cdef const real* kernel = <const real*>op.parameters
    cdef Py_ssize_t begin = inputs_of(op, begin_piece), end = inputs_of(op, end_piece)
    cdef bint turns = parts == 0 and goes_by_kernel(op)
    # A few lines do not repay the packing.
    cdef bint packed = parts > 0 or (has_panels(op.outputs) and lines >= TILE_ACCUMULATORS)
    cdef DenseKernel found
    found.inputs = op.inputs
    found.outputs = op.outputs
    found.kernel = kernel
    found.bias = bias_of(op)
    found.scale = NULL
    found.shift = NULL
    if op.within != NULL:
        found.bias = <const real*>op.within.prepared
        found.scale = found.bias + op.outputs
        found.shift = found.scale + op.outputs
    found.panels = panels if packed else NULL
    found.transposed = kernel if op.outputs == 1 else NULL if turns else transposed
    found.parts = parts
    # Others may be reading it while nothing about it changes.
    if begin_piece == 0 and (k.kernel != kernel or k.parts != parts or k.panels != found.panels
                             or k.transposed != found.transposed):
        k[0] = found
    if FW_TILES and parts > 0:
        split_kernel(op, parts, panels, transposed, kernel + begin * op.outputs, begin, end - begin)
        return
    if packed:
        pack(panels + begin * PANEL, op.inputs * PANEL, kernel + begin * op.outputs, end - begin, op.outputs)
    if op.outputs > 1 and is_narrow(op.outputs):
        transpose(transposed + begin, op.inputs, kernel + begin * op.outputs, op.outputs, end - begin,
                  op.outputs)
    elif op.outputs > 1 and op.wants_dx and not turns:
        pack_transposed(transposed, kernel, op.inputs, op.outputs, begin, end)


# Where dz from this line on goes in its other forms.
cdef inline RightHand right_hand(const Op* op, Py_ssize_t line) noexcept nogil:
    cdef int parts = (<const DenseKernel*>op.prepared).parts
    cdef RightHand right = RightHand(NULL, 0, parts, NULL)
    if FW_TILES and parts > 0:
        right.at = <real*>op.scratch + line_reals(line, parts)
        right.stride = line_reals(lines_of(op), parts)
        return right
    if packs_dz(op):
        right.at = <real*>op.scratch + line * PANEL
        right.stride = lines_of(op) * PANEL
    if goes_by_kernel(op):
        right.turned = <real*>op.scratch + scratch_panels(op) + line * op.outputs
    return right


cdef void dense_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_forward(y_of(op, begin), saved_of(op, begin), x_of(op, begin), <const DenseKernel*>op.prepared,
                  <real*>op.workspace, (end - begin) * op.lines, op.activation, op.activation_options)


cdef void dense_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef RightHand right = right_hand(op, begin * op.lines)
    dense_to_dz(dy_of(op, begin), y_of(op, begin), saved_of(op, begin), &right, (end - begin) * op.lines,
                op.outputs, op.activation, op.activation_options)


cdef void dense_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    dense_backward(dx_of(op, begin), dy_of(op, begin), right_hand(op, begin * op.lines).turned,
                   <const DenseKernel*>op.prepared, <real*>op.workspace, (end - begin) * op.lines, op, begin)


cdef void dense_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece) noexcept nogil:
    cdef real* dkernel = <real*>op.gradients
    cdef real* dbias = dkernel + op.inputs * op.outputs if has_bias(op) and end_piece == op.pieces else NULL
    cdef RightHand right = right_hand(op, begin * op.lines)
    dense_gradient(dkernel, dbias, x_of(op, begin), dy_of(op, begin), &right, <real*>op.workspace,
                   (end - begin) * op.lines, op.inputs, op.outputs, inputs_of(op, begin_piece),
                   inputs_of(op, end_piece))


# ---- the same on plain arrays, by address: what fastweights.kernels stands on -----------------------
# scratch: apply_dense_scratch reals.

def apply_dense_scratch(Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs):
    return packed_reals(outputs, inputs) + packed_reals(rows, outputs) + TURNED_INPUTS * TURNED_STRIDE


def apply_dense_forward(size_t y, size_t slope, size_t x, size_t kernel, size_t bias, size_t scratch,
                        Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs,
                        str activation, options):
    """Here slope, if not 0, gets the derivative of every activation, also of those that keep none."""
    cdef fw_float_mode mode
    cdef const Activation* f = find_activation(activation)
    cdef DenseKernel k = DenseKernel(inputs, outputs, <const real*>kernel, <const real*>bias, NULL, NULL, NULL, NULL, 0)
    cdef double[OPTIONS] numbers
    read_options(numbers, options)
    with nogil:
        mode = fw_enter_float_mode()
        if is_narrow(outputs):
            transpose(<real*>scratch, inputs, k.kernel, outputs, inputs, outputs)
            k.transposed = <const real*>scratch
        dense_forward(<real*>y, <real*>slope, <const real*>x, &k, NULL, rows, f, numbers)
        fw_leave_float_mode(mode)


def apply_dense_backward(size_t dx, size_t dkernel, size_t dbias, size_t dz, size_t x, size_t kernel,
                         size_t scratch, Py_ssize_t rows, Py_ssize_t inputs, Py_ssize_t outputs):
    cdef fw_float_mode mode
    cdef DenseKernel k = DenseKernel(inputs, outputs, <const real*>kernel, NULL, NULL, NULL, NULL, <const real*>scratch, 0)
    cdef RightHand right = RightHand(NULL, rows * PANEL, 0, NULL)
    cdef real* workspace = <real*>scratch + packed_reals(outputs, inputs) + packed_reals(rows, outputs)
    with nogil:
        mode = fw_enter_float_mode()
        if is_narrow(outputs):
            transpose(<real*>scratch, inputs, k.kernel, outputs, inputs, outputs)
        else:
            pack_transposed(<real*>scratch, k.kernel, inputs, outputs, 0, inputs)
        if has_panels(outputs):
            right.at = <real*>scratch + packed_reals(outputs, inputs)
            pack(right.at, right.stride, <const real*>dz, rows, outputs)
        dense_backward(<real*>dx, <const real*>dz, NULL, &k, NULL, rows, NULL, 0)
        dense_gradient(<real*>dkernel, <real*>dbias, <const real*>x, <const real*>dz, &right, workspace,
                       rows, inputs, outputs, 0, inputs)
        fw_leave_float_mode(mode)
