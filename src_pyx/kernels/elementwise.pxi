# The op "activation": y = f(x) element by element, for an activation that stands on its own.

# How many reals a row is, for ops that change no size.
cdef inline Py_ssize_t row_reals(const Op* op) noexcept nogil:
    return op.lines * op.outputs


# Whether the op reads one value, of the size of its own result, and has no variables.
cdef inline bint keeps_size(const Op* op) noexcept nogil:
    return op.n_reads == 1 and op.inputs == op.outputs and op.n_variables == 0


cdef void activation_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.work_per_row = 8.0 * row_reals(op)


cdef void activation_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op)
    memcpy(y_of(op, begin), x_of(op, begin), n * sizeof(real))
    op.activation.forward(y_of(op, begin), saved_of(op, begin), n, op.activation_options)


cdef void activation_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    op.activation.backward(dy_of(op, begin), y_of(op, begin), saved_of(op, begin),
                           (end - begin) * row_reals(op), op.activation_options)


cdef void activation_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    memcpy(dx_of(op, begin), dy_of(op, begin), (end - begin) * row_reals(op) * sizeof(real))
    finish_dx(op, 0, begin, end)
