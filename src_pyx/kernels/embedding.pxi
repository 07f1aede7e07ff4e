# The op "embedding": each line of x is a whole number, and y that row of a table.
#
#   forward:   y[line] = table[x[line]]
#   gradient:  dtable[k] = the sum of dy[line] over the lines with x[line] = k, one chain over the lines in order
#
# x (rows, lines) int32, each in [0, sizes[0]); table (sizes[0], outputs). pieces are ranges of the table.
# touched: for each piece the last of the rows that the last step touched, and for each row of the table the one
# that was touched before it, so that neither needs to look at any other.

cdef enum:
    # Parameters of a piece at least, and at most; between these a table has so many pieces.
    TABLE_PIECE_LEAST = 256
    TABLE_PIECE_MOST = 32768
    TABLE_PIECES = 64
    # What stands for "none" behind a row that was touched; a row that was not has 0 there.
    NO_ROW = -1


# Rows of n reals.
cdef inline Py_ssize_t rows_of_piece(const Op* op, Py_ssize_t n) noexcept nogil:
    return op.piece_parameters // n


# Parameters and pieces of a table (sizes[0], n). All ops that may have it in common have the same pieces: whole vectors
# of rows, since some transpose it.
cdef void measure_table(Op* op, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t rows = max(<Py_ssize_t>1, TABLE_PIECE_LEAST // n,
                               min(<Py_ssize_t>(TABLE_PIECE_MOST // n), op.sizes[0] // TABLE_PIECES))
    op.parameter_reals = op.sizes[0] * n
    op.piece_parameters = n * ((rows + LANES - 1) // LANES * LANES)
    op.pieces = (op.parameter_reals + op.piece_parameters - 1) // op.piece_parameters


cdef inline const int32_t* labels_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <const int32_t*>op.reads[0].x + row * op.lines


cdef void embedding_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t table_rows = op.sizes[0], n = op.outputs
    op.parameter_reals = -1
    if table_rows < 1 or op.inputs != 1 or op.n_reads != 1 or op.n_variables != 1 or op.variables[0] != table_rows * n:
        return
    measure_table(op, n)
    op.touched_reals = ((op.pieces + table_rows) * <Py_ssize_t>sizeof(int32_t) + <Py_ssize_t>sizeof(real) - 1
                        ) // <Py_ssize_t>sizeof(real)
    op.work_per_row = <double>(op.lines * n)


cdef void embedding_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const int32_t* labels = labels_of(op, begin)
    cdef const real* table = <const real*>op.parameters
    cdef real* y = y_of(op, begin)
    cdef Py_ssize_t line, n = op.outputs
    for line in range((end - begin) * op.lines):
        copy_reals(y + line * n, table + labels[line] * n, n)


# to += line, n reals.
cdef inline void add_line(real* to, const real* line, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(to + i, load_first(to + i, n - i) + load_first(line + i, n - i), n - i)
        i += VL


cdef void embedding_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    cdef const int32_t* labels = labels_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef real* dtable = <real*>op.gradients
    cdef Py_ssize_t n = op.outputs, line
    cdef Py_ssize_t piece_rows = rows_of_piece(op, n), first = begin_piece * piece_rows
    cdef Py_ssize_t last = min(op.sizes[0], end_piece * piece_rows)
    memset(dtable + first * n, 0, (last - first) * n * sizeof(real))
    for line in range((end - begin) * op.lines):
        if first <= labels[line] < last:
            add_line(dtable + labels[line] * n, dy + line * n, n)


# The row that was touched before this one, or the last one of a piece; below 0: none. Rows are kept one higher.
cdef inline Py_ssize_t touched_before(int32_t kept) noexcept nogil:
    return kept - 1 if kept > 0 else NO_ROW


cdef void embedding_op_step(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece, bint goes_on, update_function apply, void* state,
                            Py_ssize_t stride, const double* options) noexcept nogil:
    cdef const int32_t* labels = labels_of(op, begin)
    cdef const real* dy = dy_of(op, begin)
    cdef real* dtable = <real*>op.gradients
    cdef int32_t* lasts = <int32_t*>op.touched
    cdef int32_t* previous = lasts + op.pieces
    cdef Py_ssize_t n = op.outputs, line, piece, row, before
    cdef Py_ssize_t piece_rows = rows_of_piece(op, n), first = begin_piece * piece_rows
    cdef Py_ssize_t last = min(op.sizes[0], end_piece * piece_rows)
    if not goes_on:
        memset(dtable + first * n, 0, (last - first) * n * sizeof(real))
        memset(previous + first, 0, (last - first) * sizeof(int32_t))
        memset(lasts + begin_piece, 0, (end_piece - begin_piece) * sizeof(int32_t))
    for piece in range(begin_piece, end_piece):
        row = touched_before(lasts[piece])
        while row >= 0:
            before = touched_before(previous[row])
            memset(dtable + row * n, 0, n * sizeof(real))
            previous[row] = 0
            row = before
        lasts[piece] = 0
    for line in range((end - begin) * op.lines):
        row = labels[line]
        if not first <= row < last:
            continue
        if previous[row] == 0:
            piece = row // piece_rows
            previous[row] = lasts[piece] if lasts[piece] > 0 else NO_ROW
            lasts[piece] = <int32_t>(row + 1)
        add_line(dtable + row * n, dy + line * n, n)
    for piece in range(begin_piece, end_piece):
        row = touched_before(lasts[piece])
        while row >= 0:
            apply(<void*>op.parameters, dtable, state, stride, row * n, (row + 1) * n, options)
            row = touched_before(previous[row])
