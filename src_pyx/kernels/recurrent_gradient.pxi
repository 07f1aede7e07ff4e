# Gradients of the kernels and the bias of a recurrent op, from its lines and dz of all steps. See recurrent.pxi.

# Rows of the gradient of one kernel, whose left-hand operand begins there in a line, by one group: begun where
# `first`, else added to.
cdef inline void multiply_gradient(const Cell* cell, const Op* op, real* gradient, int group, Py_ssize_t at,
                                   Py_ssize_t line, Py_ssize_t lines, Py_ssize_t rows, bint first) noexcept nogil:
    cdef Product p
    cdef const real* a = lines_saved(cell, op, 0) + line * cell.line + at
    multiply_by(&p, dz_panels(cell, op, group) + line * PANEL, NULL, lines, cell.group[group].columns)
    p.b_panel = all_lines(cell, op) * PANEL
    p.c = gradient + cell.group[group].first
    p.ldc = p.start_row = cell.columns
    p.start = NULL if first else p.c
    if cell.group[group].columns >= TURNED_OUTPUTS and cell.group[group].columns == cell.columns:
        turned_gradient(&p, a, <real*>op.workspace, lines, cell.line, rows, cell.columns)
        return
    p.a = a
    p.a_row = 1
    p.a_k = cell.line
    matmul(&p, rows, cell.group[group].columns)


cdef inline void kernels_gradient(const Cell* cell, const Op* op, Py_ssize_t line, Py_ssize_t lines,
                                  Py_ssize_t begin, Py_ssize_t end, bint first) noexcept nogil:
    cdef real* gradient = <real*>op.gradients
    cdef const Group* group
    cdef Py_ssize_t from_x = within(begin, 0, cell.inputs), to_x = within(end, 0, cell.inputs)
    cdef Py_ssize_t from_h = within(begin, cell.inputs, cell.units), to_h = within(end, cell.inputs, cell.units)
    cdef int k
    for k in range(cell.groups):
        group = &cell.group[k]
        if group.reads_x and from_x < to_x:
            multiply_gradient(cell, op, gradient + from_x * cell.columns, k, cell.units + from_x, line, lines,
                              to_x - from_x, first)
        if group.reads_h and from_h < to_h:
            multiply_gradient(cell, op, gradient + (cell.inputs + from_h) * cell.columns, k, group.h_at + from_h, line,
                              lines, to_h - from_h, first)


cdef inline void recurrent_gradient(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end,
                                    Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    cdef Cell cell
    cdef const Group* group
    cdef const real* mask
    cdef const real* panels
    cdef real* bias
    cdef Py_ssize_t row, step, done, column, columns
    cdef Py_ssize_t first, last
    cdef int k
    set_cell(kind, &cell, op)
    first = begin_piece * rows_of_pieces(&cell)
    last = end_piece * rows_of_pieces(&cell)
    if not is_masked(op):
        kernels_gradient(&cell, op, begin * cell.steps, (end - begin) * cell.steps, first, last, True)
    else:
        for row in range(begin, end):
            mask = mask_of(op, row)
            done = 0
            for step in range(cell.steps):
                done += mask[step] != 0
            if done > 0 or row == begin:
                kernels_gradient(&cell, op, row * cell.steps, done, first, last, row == begin)
    if op.n_variables < 3 or end_piece < op.pieces:
        return
    bias = <real*>op.gradients + (cell.inputs + cell.units) * cell.columns
    for k in range(cell.groups):
        group = &cell.group[k]
        column = 0
        while column < group.columns:
            columns = min(group.columns - column, PANEL)
            panels = dz_panels(&cell, op, k) + column * all_lines(&cell, op) + begin * cell.steps * PANEL
            sum_lines(add_element, bias + group.bias + column, panels, panels, panels, PANEL,
                      (end - begin) * cell.steps, columns)
            column += PANEL
        if group.second_bias > 0:
            copy_reals(bias + group.second_bias, bias + group.bias, group.columns)
