# What a dense layer does by bfloat16 tiles (see amx.pxi) where they are faster, and when they are.

# Whether bfloat16 tiles are faster for this layer where so many rows go through at a time. If they are for
# some number of rows, they are for every larger one.
cdef inline bint tiles_pay(const Op* op, Py_ssize_t rows) noexcept nogil:
    cdef double saved, kernels = <double>op.inputs * op.outputs, columns = op.inputs
    if not FW_TILES or op.matmul_parts == 0 or is_narrow(op.outputs):
        return False
    saved = tiles_save(rows, op.inputs, op.outputs, op.matmul_parts)
    if op.trains:
        saved *= 2
        columns += op.inputs + op.outputs
    if op.wants_dx:
        saved += tiles_save(rows, op.outputs, op.inputs, op.matmul_parts)
        columns += op.outputs
        kernels *= 2
    return saved > splitting_costs(rows * columns + kernels, op.matmul_parts)


# The parts of the tiles that the layer goes by, 0 if it goes by reals.
cdef inline int parts_for(const Op* op, Py_ssize_t rows) noexcept nogil:
    return op.matmul_parts if tiles_pay(op, rows) else 0


# Rows of the kernel (inputs, outputs), of which `begin` stand before them, into its tiles and, if they are
# wanted, those of its transpose.
cdef void split_kernel(const Op* op, int parts, real* tiles, real* transposed, const real* kernel,
                       Py_ssize_t begin, Py_ssize_t inputs) noexcept nogil:
    cdef Split whole = Split(tiles, line_reals(op.inputs, parts), parts)
    cdef Split part = split_from(&whole, 0, begin)
    split_right(&part, kernel, op.outputs, op.outputs, inputs)
    if op.wants_dx:
        whole = Split(transposed, line_reals(op.outputs, parts), parts)
        part = split_from(&whole, begin, 0)
        split_right_transposed(&part, kernel, op.outputs, inputs, op.outputs)


# c (rows, columns) = start (a row, or NULL) + a (rows, depth) . b, which is in tiles.
cdef void multiply_by_tiles(real* c, const real* start, const real* a, const real* b, int parts,
                            real* workspace, Py_ssize_t rows, Py_ssize_t depth,
                            Py_ssize_t columns) noexcept nogil:
    cdef SplitProduct p
    p.c = c
    p.ldc = columns
    p.b = Split(<real*>b, line_reals(depth, parts), parts)
    p.start = start
    p.start_row = 0
    p.rows = rows
    p.columns = columns
    p.depth = depth
    multiply_splitting(&p, a, depth, False, workspace)


# dkernel (inputs, outputs) = x^T . dz by tiles.
cdef void tiled_gradient(real* dkernel, const real* x, const RightHand* right, real* workspace,
                         Py_ssize_t rows, Py_ssize_t ldx, Py_ssize_t inputs, Py_ssize_t outputs) noexcept nogil:
    cdef SplitProduct p
    p.c = dkernel
    p.ldc = outputs
    p.b = Split(right.at, right.stride, right.parts)
    p.start = NULL
    p.start_row = outputs
    p.rows = inputs
    p.columns = outputs
    p.depth = rows
    multiply_splitting(&p, x, ldx, True, workspace)
