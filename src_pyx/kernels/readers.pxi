# The gradient by a value that ops read: where a backward pass ends.

# dx = dy, both of n reals, which may be one array (see `dx_over_dy`).
cdef inline void pass_on(real* dx, const real* dy, Py_ssize_t n) noexcept nogil:
    if dx != dy:
        memcpy(dx, dy, n * sizeof(real))


# dx (rows, width) += part, whose rows are `stride` apart.
cdef void add_part_of_dx(real* dx, const real* part, Py_ssize_t stride, Py_ssize_t rows,
                         Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t i, row
    if stride == width:
        width *= rows
        rows = 1
    for row in range(rows):
        i = 0
        while i + VL <= width:
            vstore(dx + i, vload(dx + i) + vload(part + i))
            i += VL
        if i < width:
            store_first(dx + i, load_first(dx + i, width - i) + load_first(part + i, width - i), width - i)
        dx += width
        part += stride


# Every backward finishes rows [begin, end) of each dx with this: once the other readers' parts are in it they
# become the dz of the op that made the value. Without an op (NULL) there is nothing to finish.
cdef inline void finish_dx(const Op* op, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Read* read
    cdef const Read* other
    if op == NULL or not (op.reads[k].is_first and op.reads[k].is_wanted):
        return
    read = &op.reads[k]
    other = read.next
    while other != NULL:
        add_part_of_dx(rows_of(read.dx, begin, read.width), rows_of(other.dx, begin, other.dx_stride),
                       other.dx_stride, end - begin, read.width)
        other = other.next
    if read.maker != NULL and read.maker.to_dz != NULL:
        read.maker.to_dz(read.maker, begin, end)


# Rows that a backward hands back at a time, about `wanted` of them: whole tiles of the ops that made what it read, whose
# `to_dz` expects no less, but at the end.
cdef inline Py_ssize_t rows_handed_back(const Op* op, Py_ssize_t wanted) noexcept nogil:
    cdef Py_ssize_t step = 1, k
    for k in range(op.n_reads):
        if op.reads[k].maker != NULL:
            step = max(step, op.reads[k].maker.row_step)
    return max(<Py_ssize_t>1, wanted // step) * step


# For a backward that makes one dx row by row: it is made up to `row` now, of rows up to `end`, and finished up to
# `finished`.
cdef inline void finish_rows(const Op* op, Py_ssize_t* finished, Py_ssize_t row, Py_ssize_t end) noexcept nogil:
    if row == end or row - finished[0] >= rows_handed_back(op, 1):
        finish_dx(op, 0, finished[0], row)
        finished[0] = row
