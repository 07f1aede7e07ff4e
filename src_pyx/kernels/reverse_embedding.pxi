# The op "reverse_embedding": how much each row of a table is like a line.
#
#   forward:   y = x . table^T        backward:  dx = dy . table        gradient:  dtable = dy^T . x
#
# x (lines, inputs), table (sizes[0], inputs), y (lines, sizes[0]). The pieces are those of "embedding", with which it
# may have its table in common. prepared: the transpose in panels, unless few lines go through, and the table in panels
# where its rows are long and dx is wanted. scratch: x in panels, where dtable is to have it so.

# Whether so many lines go through that they repay a transpose of the table; few have it made piece by piece.
cdef inline bint keeps_transpose(const Op* op) noexcept nogil:
    return lines_of(op) >= TILE_ACCUMULATORS


cdef inline Py_ssize_t kept_transpose(const Op* op) noexcept nogil:
    return packed_reals(op.inputs, op.outputs) if keeps_transpose(op) else 0


cdef inline bint has_table_panels(const Op* op) noexcept nogil:
    return op.wants_dx and has_panels(op.inputs)


cdef inline bint packs_x(const Op* op) noexcept nogil:
    return has_panels(op.inputs) and op.outputs >= PACKED_INPUTS


cdef void reverse_embedding_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = -1
    if op.sizes[0] != op.outputs or op.n_reads != 1 or op.n_variables != 1 or not is_product(
            op.variables[0], op.outputs, op.inputs):
        return
    measure_table(op, op.inputs)
    op.prepared_reals = kept_transpose(op) + (packed_reals(op.outputs, op.inputs) if has_table_panels(op) else 0)
    op.workspace_reals = 0 if keeps_transpose(op) else PANEL * op.inputs
    if copies_left(op.inputs, op.outputs) or (op.wants_dx and copies_left(op.outputs, op.inputs)):
        op.workspace_reals = max(op.workspace_reals, <Py_ssize_t>DEEP_BLOCK * LEFT_STRIDE)
    if op.trains and op.inputs >= TURNED_OUTPUTS:
        op.workspace_reals = max(op.workspace_reals, <Py_ssize_t>TURNED_INPUTS * TURNED_STRIDE)
    op.scratch_reals = packed_reals(lines_of(op), op.inputs) if op.trains and packs_x(op) else 0
    op.work_per_row = <double>(op.lines * op.inputs) * <double>op.outputs


cdef void reverse_embedding_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                       Py_ssize_t end_piece) noexcept nogil:
    cdef const real* table = <const real*>op.parameters
    cdef real* panels = <real*>op.prepared + kept_transpose(op)
    cdef Py_ssize_t begin = begin_piece * rows_of_piece(op, op.inputs)
    cdef Py_ssize_t end = min(op.outputs, end_piece * rows_of_piece(op, op.inputs))
    if keeps_transpose(op):
        pack_transposed(<real*>op.prepared, table, op.outputs, op.inputs, begin, end)
    if has_table_panels(op):
        pack(panels + begin * PANEL, op.outputs * PANEL, table + begin * op.inputs, end - begin, op.inputs)


# y (lines, columns of y from `first` on) = x . b; those columns are `columns`, and b is `panels` of them.
cdef inline void score_lines(const Op* op, real* y, const real* x, const real* panels, Py_ssize_t lines,
                             Py_ssize_t columns, bint has_room) noexcept nogil:
    cdef Product p
    multiply_by(&p, panels, NULL, op.inputs, columns)
    p.left = left_room(op.inputs, op.outputs, <real*>op.workspace) if has_room else NULL
    p.c = y
    p.ldc = op.outputs
    p.a = x
    p.a_row = op.inputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    matmul(&p, lines, columns)


cdef void reverse_embedding_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t lines = (end - begin) * op.lines, at_once = block_rows(op.inputs, 0), done = 0, first = 0, some
    cdef real* panel = <real*>op.workspace
    if keeps_transpose(op):
        while done < lines:
            some = min(at_once, lines - done)
            score_lines(op, y_of(op, begin) + done * op.outputs, x_of(op, begin) + done * op.inputs,
                        <const real*>op.prepared, some, op.outputs, True)
            done += some
        return
    while first < op.outputs:
        some = min(op.outputs - first, PANEL)
        pack_transposed(panel, <const real*>op.parameters + first * op.inputs, some, op.inputs, 0, some)
        score_lines(op, y_of(op, begin) + first, x_of(op, begin), panel, lines, some, False)
        first += PANEL


# What dtable has on its right-hand side, from this line on.
cdef inline RightHand x_in_panels(const Op* op, Py_ssize_t line) noexcept nogil:
    cdef RightHand right = RightHand(NULL, lines_of(op) * PANEL, 0, NULL)
    if packs_x(op):
        right.at = <real*>op.scratch + line * PANEL
    return right


cdef void reverse_embedding_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef RightHand right = x_in_panels(op, begin * op.lines)
    if right.at != NULL:
        pack(right.at, right.stride, x_of(op, begin), (end - begin) * op.lines, op.inputs)


cdef void reverse_embedding_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t at_once = rows_handed_back(op, block_rows(op.outputs, 0) // op.lines), row = begin, some
    cdef const real* table = <const real*>op.parameters
    cdef const real* panels = <const real*>op.prepared + kept_transpose(op) if has_table_panels(op) else NULL
    cdef Product p
    multiply_by(&p, panels, table, op.outputs, op.inputs)
    p.left = left_room(op.outputs, op.inputs, <real*>op.workspace)
    p.ldc = op.inputs
    p.a_row = op.outputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    while row < end:
        some = min(at_once, end - row)
        p.c = dx_of(op, row)
        p.a = dy_of(op, row)
        matmul(&p, some * op.lines, op.inputs)
        finish_dx(op, 0, row, row + some)
        row += some


cdef void reverse_embedding_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                        Py_ssize_t end_piece) noexcept nogil:
    cdef RightHand right = x_in_panels(op, begin * op.lines)
    cdef Py_ssize_t piece = rows_of_piece(op, op.inputs)
    dense_gradient(<real*>op.gradients, NULL, dy_of(op, begin), x_of(op, begin), &right, <real*>op.workspace,
                   (end - begin) * op.lines, op.outputs, op.inputs, begin_piece * piece,
                   min(op.outputs, end_piece * piece))
