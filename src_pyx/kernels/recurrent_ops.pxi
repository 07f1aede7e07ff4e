# The ops lstm, gru and simple_rnn: the functions of recurrent*.pxi, each made for one kind of cell.

# What the batch left is what the next one begins with; those who have the first columns do it.
cdef void recurrent_op_settle(const Op* op, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if begin == 0:
        copy_reals(<real*>op.state, <const real*>op.batch, op.state_reals)


cdef void lstm_op_measure(Op* op) noexcept nogil:
    recurrent_measure(LSTM, op)


cdef void lstm_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    recurrent_prepare(LSTM, op, begin_piece, end_piece)


cdef void lstm_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_forward(LSTM, op, begin, end)


cdef void lstm_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_to_dz(LSTM, op, begin, end)


cdef void lstm_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_backward(LSTM, op, begin, end)


cdef void lstm_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                           Py_ssize_t end_piece) noexcept nogil:
    recurrent_gradient(LSTM, op, begin, end, begin_piece, end_piece)


cdef inline bint resets_after(const Op* op) noexcept nogil:
    return op.sizes[8] != 0


cdef void gru_op_measure(Op* op) noexcept nogil:
    if resets_after(op):
        recurrent_measure(GRU, op)
    else:
        recurrent_measure(GRU_BEFORE, op)


cdef void gru_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    if resets_after(op):
        recurrent_prepare(GRU, op, begin_piece, end_piece)
    else:
        recurrent_prepare(GRU_BEFORE, op, begin_piece, end_piece)


cdef void gru_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_forward(GRU, op, begin, end)
    else:
        recurrent_forward(GRU_BEFORE, op, begin, end)


cdef void gru_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_to_dz(GRU, op, begin, end)
    else:
        recurrent_to_dz(GRU_BEFORE, op, begin, end)


cdef void gru_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_backward(GRU, op, begin, end)
    else:
        recurrent_backward(GRU_BEFORE, op, begin, end)


cdef void gru_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                          Py_ssize_t end_piece) noexcept nogil:
    if resets_after(op):
        recurrent_gradient(GRU, op, begin, end, begin_piece, end_piece)
    else:
        recurrent_gradient(GRU_BEFORE, op, begin, end, begin_piece, end_piece)


cdef void simple_rnn_op_measure(Op* op) noexcept nogil:
    recurrent_measure(SIMPLE_RNN, op)


cdef void simple_rnn_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    recurrent_prepare(SIMPLE_RNN, op, begin_piece, end_piece)


cdef void simple_rnn_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_forward(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_to_dz(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_backward(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                 Py_ssize_t end_piece) noexcept nogil:
    recurrent_gradient(SIMPLE_RNN, op, begin, end, begin_piece, end_piece)
