# The op "activation": y = f(x) element by element, for an activation that stands on its own.

cdef void activation_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if op.inputs == op.outputs else -1
    op.saved_per_row = op.outputs if op.activation.keeps_slope else 0
    op.work_per_row = 8.0 * op.outputs


cdef void activation_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real* y = rows_of(op.y, begin, op.outputs)
    memcpy(y, rows_of(op.x, begin, op.inputs), (end - begin) * op.inputs * sizeof(real))
    op.activation.forward(y, rows_of(op.saved, begin, op.outputs), (end - begin) * op.outputs,
                          op.activation_options)


cdef void activation_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    op.activation.backward(rows_of(op.dy, begin, op.outputs), rows_of(op.y, begin, op.outputs),
                           rows_of(op.saved, begin, op.outputs), (end - begin) * op.outputs,
                           op.activation_options)


cdef void activation_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if op.dx != NULL:
        memcpy(rows_of(op.dx, begin, op.inputs), rows_of(op.dy, begin, op.outputs),
               (end - begin) * op.inputs * sizeof(real))
        finish_dx(op, begin, end)
