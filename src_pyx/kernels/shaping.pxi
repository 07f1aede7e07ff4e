# Ops that move numbers and change none: swap, repeat; and what is fed as bytes.

cdef void widen(void* to, const unsigned char* bytes, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        (<real*>to)[i] = bytes[i]


# ---- swap: each line (rows, columns, inner) becomes (columns, rows, inner); these are its sizes --------

cdef void swap_lines(real* to, const real* come, Py_ssize_t lines, Py_ssize_t rows, Py_ssize_t columns,
                     Py_ssize_t inner) noexcept nogil:
    cdef Py_ssize_t line, row, column
    for line in range(lines):
        if inner == 1:
            transpose(to, rows, come, columns, rows, columns)
        else:
            for row in range(rows):
                for column in range(columns):
                    copy_reals(to + (column * rows + row) * inner, come + (row * columns + column) * inner, inner)
        to += rows * columns * inner
        come += rows * columns * inner


cdef void swap_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = -1
    if keeps_size(op) and has_sizes(op, 3) and op.outputs % op.sizes[2] == 0 and (
            is_product(op.outputs // op.sizes[2], op.sizes[0], op.sizes[1])):
        op.parameter_reals = 0
    op.work_per_row = <double>row_reals(op)


cdef void swap_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    swap_lines(y_of(op, begin), x_of(op, begin), (end - begin) * op.lines, op.sizes[0], op.sizes[1], op.sizes[2])


cdef void swap_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    swap_lines(dx_of(op, begin), dy_of(op, begin), (end - begin) * op.lines, op.sizes[1], op.sizes[0], op.sizes[2])
    finish_dx(op, 0, begin, end)


# ---- repeat: each line of y is one of x, as often as the size says ------------------------------------

cdef void repeat_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if op.n_reads == 1 and op.n_variables == 0 and is_product(op.outputs, op.inputs, op.sizes[0]) else -1
    op.work_per_row = <double>row_reals(op)


cdef void repeat_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t line, i
    for line in range((end - begin) * op.lines):
        if op.inputs == 1:
            i = 0
            while i < op.outputs:
                store_first(y + i, vset1(x[0]), op.outputs - i)
                i += VL
        else:
            for i in range(op.sizes[0]):
                copy_reals(y + i * op.inputs, x, op.inputs)
        x += op.inputs
        y += op.outputs


cdef void repeat_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* dy = dy_of(op, begin)
    cdef real* dx = dx_of(op, begin)
    cdef Py_ssize_t line
    for line in range((end - begin) * op.lines):
        if op.inputs == 1:
            dx[0] = first_lane(row_total(False, dy, op.outputs))
        else:
            sum_lines(add_element, dx, dy, dy, dy, op.inputs, op.sizes[0], op.inputs)
        dx += op.inputs
        dy += op.outputs
    finish_dx(op, 0, begin, end)
