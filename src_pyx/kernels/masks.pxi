# Which steps of a row count, 1 or 0 for each, and what is left of those that do not. Nothing has a gradient by that.
#
#     mask_steps      y (lines,) = 0 where all of a line is the op's number, else 1
#     mask_zeros      y = 0 where a whole number is 0, else 1
#     masking         y = x in lines that count, 0 in the others; the op's number as for mask_steps

# Whether some number of a line is another one; NaN is.
cdef inline bint differs(const real* x, Py_ssize_t n, real number) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        if vany(vnot(veq(load_first_or(x + i, n - i, vset1(number)), vset1(number)))):
            return True
        i += VL
    return False


# dx = 0 of a value whose numbers nobody's gradient knows.
cdef inline void give_no_gradient(const Op* op, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Read* read = &op.reads[k]
    if read.is_wanted:
        memset(rows_of(read.dx, begin, read.width), 0, (end - begin) * read.width * sizeof(real))
        finish_dx(op, k, begin, end)


cdef void mask_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    give_no_gradient(op, 0, begin, end)


cdef void mask_steps_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if op.n_reads == 1 and op.outputs == 1 and op.n_variables == 0 else -1
    op.work_per_row = <double>(op.lines * op.inputs)


cdef void mask_steps_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t line
    for line in range((end - begin) * op.lines):
        y[line] = differs(x, op.inputs, <real>op.options[0])
        x += op.inputs


cdef void mask_zeros_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) and op.sizes[0] > 0 else -1
    op.work_per_row = <double>row_reals(op)


cdef void mask_zeros_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const int32_t* x = <const int32_t*>op.reads[0].x + begin * op.reads[0].width
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t i
    for i in range((end - begin) * row_reals(op)):
        y[i] = x[i] != 0


cdef void masking_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.work_per_row = 2.0 * row_reals(op)


# to (lines, inputs) = those of a where the line of x counts.
cdef inline void keep_lines(real* to, const real* a, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* x = x_of(op, begin)
    cdef Py_ssize_t line
    for line in range((end - begin) * op.lines):
        if differs(x, op.inputs, <real>op.options[0]):
            copy_reals(to, a, op.inputs)
        else:
            memset(to, 0, op.inputs * sizeof(real))
        x += op.inputs
        a += op.inputs
        to += op.inputs


cdef void masking_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    keep_lines(y_of(op, begin), x_of(op, begin), op, begin, end)


cdef void masking_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    keep_lines(dx_of(op, begin), dy_of(op, begin), op, begin, end)
    finish_dx(op, 0, begin, end)
