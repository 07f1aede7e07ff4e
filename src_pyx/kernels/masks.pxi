# Which steps of a row count, 1 or 0 for each, and what is left of those that do not. Nothing has a gradient by that.
#
#     mask_steps      y (lines,) = 0 where all of a line is the op's number, else 1
#     mask_zeros      y = 0 where a whole number is 0, else 1
#     masking         y = x in lines that count, 0 in the others; the op's number as for mask_steps
#     masked_mean     y (outputs,) = the mean of those of x (steps, outputs) that count; 0 if none does. reads: x and the
#                     mask (steps,); sizes: steps

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


cdef void masked_mean_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if (
        op.n_reads == 2 and op.n_variables == 0 and op.lines == 1 and op.sizes[0] == op.reads[1].width
        and is_product(op.reads[0].width, op.sizes[0], op.outputs)) else -1
    op.work_per_row = <double>op.reads[0].width


# What each step that counts has in the mean.
cdef inline real share_of_step(const real* mask, Py_ssize_t steps) noexcept nogil:
    cdef Py_ssize_t told = 0, step
    for step in range(steps):
        told += mask[step] != 0
    return <real>1 / <real>max(<Py_ssize_t>1, told)


cdef void masked_mean_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, row, step, i
    cdef const real* x
    cdef const real* mask
    cdef vreal sum, share
    for row in range(begin, end):
        x = read_of(op, 0, row)
        mask = read_of(op, 1, row)
        share = vset1(share_of_step(mask, op.sizes[0]))
        i = 0
        while i < n:
            sum = vzero()
            for step in range(op.sizes[0]):
                if mask[step] != 0:
                    sum = sum + load_first(x + step * n + i, n - i)
            store_first(y_of(op, row) + i, share * sum, n - i)
            i += VL


cdef void masked_mean_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = op.outputs, row, step, i
    cdef const real* mask
    cdef real* dx
    cdef vreal share
    give_no_gradient(op, 1, begin, end)
    if not op.reads[0].is_wanted:
        return
    for row in range(begin, end):
        mask = read_of(op, 1, row)
        share = vset1(share_of_step(mask, op.sizes[0]))
        for step in range(op.sizes[0]):
            dx = dx_to_write(op, 0, row) + step * n
            i = 0
            while i < n:
                store_first(dx + i, vzero() if mask[step] == 0
                            else without_traces(share * load_first(dy_of(op, row) + i, n - i)), n - i)
                i += VL
    finish_dx(op, 0, begin, end)
