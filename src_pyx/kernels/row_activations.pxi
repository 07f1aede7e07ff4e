# Activations that look at whole rows, over a batch and as ops of their own: softmax and its kin.

# y from x, and dx from dy and y. All arrays are (rows, columns); y may be x, and dx may be dy.
ctypedef void (*rows_forward)(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil
ctypedef void (*rows_backward)(real* dx, const real* dy, const real* y, Py_ssize_t rows,
                               Py_ssize_t columns) noexcept nogil

cdef struct RowActivation:
    const char* name
    rows_forward forward
    rows_backward backward


cdef void softmax_forward(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(softmax_row, y, x, NULL, rows, columns)


cdef void softmax_backward(real* dx, const real* dy, const real* y,
                           Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(softmax_row_gradient, dx, dy, y, rows, columns)


cdef void log_softmax_forward(real* y, const real* x, Py_ssize_t rows,
                              Py_ssize_t columns) noexcept nogil:
    map_rows(log_softmax_row, y, x, NULL, rows, columns)


cdef void log_softmax_backward(real* dx, const real* dy, const real* y,
                               Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(log_softmax_row_gradient, dx, dy, y, rows, columns)


cdef void softmin_forward(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(softmin_row, y, x, NULL, rows, columns)


cdef void softmin_backward(real* dx, const real* dy, const real* y,
                           Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(softmin_row_gradient, dx, dy, y, rows, columns)


cdef void sparsemax_forward(real* y, const real* x, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(sparsemax_row, y, x, NULL, rows, columns)


cdef void sparsemax_backward(real* dx, const real* dy, const real* y,
                             Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    map_rows(sparsemax_row_gradient, dx, dy, y, rows, columns)


cdef RowActivation[5] ROW_ACTIVATIONS = [
    RowActivation("softmax", softmax_forward, softmax_backward),
    RowActivation("log_softmax", log_softmax_forward, log_softmax_backward),
    RowActivation("softmin", softmin_forward, softmin_backward),
    RowActivation("sparsemax", sparsemax_forward, sparsemax_backward),
    RowActivation(NULL, NULL, NULL),
]


# ---- the ops ---------------------------------------------------------------------------------------

cdef inline void row_op_forward(const rows_forward forward, const Op* op, Py_ssize_t begin,
                                Py_ssize_t end) noexcept nogil:
    forward(y_of(op, begin), x_of(op, begin), (end - begin) * op.lines, op.outputs)


cdef inline void row_op_backward(const rows_backward backward, const Op* op, Py_ssize_t begin,
                                 Py_ssize_t end) noexcept nogil:
    backward(dx_of(op, begin), dy_of(op, begin), y_of(op, begin), (end - begin) * op.lines, op.outputs)
    finish_dx(op, 0, begin, end)


cdef void softmax_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.work_per_row = 8.0 * row_reals(op)


cdef void softmax_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_forward(softmax_forward, op, begin, end)


cdef void softmax_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_backward(softmax_backward, op, begin, end)


cdef void log_softmax_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_forward(log_softmax_forward, op, begin, end)


cdef void log_softmax_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_backward(log_softmax_backward, op, begin, end)


cdef void softmin_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_forward(softmin_forward, op, begin, end)


cdef void softmin_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_backward(softmin_backward, op, begin, end)


cdef void sparsemax_op_measure(Op* op) noexcept nogil:
    softmax_op_measure(op)
    op.work_per_row = 64.0 * row_reals(op)
    if op.outputs > LONGEST_SPARSE:
        op.parameter_reals = -1


cdef void sparsemax_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_forward(sparsemax_forward, op, begin, end)


cdef void sparsemax_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    row_op_backward(sparsemax_backward, op, begin, end)


# ---- the same on plain arrays, by address ----------------------------------------------------------

cdef const RowActivation* find_row_activation(str name) except NULL:
    cdef bytes wanted = name.encode()
    cdef const RowActivation* entry = ROW_ACTIVATIONS
    while entry.name != NULL:
        if strcmp(entry.name, wanted) == 0:
            return entry
        entry += 1
    raise KeyError(name)


def apply_row_activation(str name, size_t y, size_t x, Py_ssize_t rows, Py_ssize_t columns):
    cdef fw_float_mode mode
    cdef const RowActivation* f = find_row_activation(name)
    with nogil:
        mode = fw_enter_float_mode()
        f.forward(<real*>y, <const real*>x, rows, columns)
        fw_leave_float_mode(mode)


def apply_row_activation_gradient(str name, size_t dx, size_t dy, size_t y, Py_ssize_t rows,
                                  Py_ssize_t columns):
    cdef fw_float_mode mode
    cdef const RowActivation* f = find_row_activation(name)
    with nogil:
        mode = fw_enter_float_mode()
        f.backward(<real*>dx, <const real*>dy, <const real*>y, rows, columns)
        fw_leave_float_mode(mode)
