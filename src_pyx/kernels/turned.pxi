# What a large dense layer does with a matrix transposed beforehand, or copied together: memory is read along
# its rows, and few lines fall on the same places of the cache.

# Outputs from which it pays to transpose x for the kernel's gradient, and what its rows then lie apart:
# a power of two would put all of them on the same lines of the cache.
cdef enum: TURNED_OUTPUTS = 256
cdef enum: TURNED_STRIDE = DEPTH_BLOCK + 16
cdef enum: TURNED_INPUTS = 48
# Inputs whose dx is transposed at a time where dx goes by the kernel, and rows of the arena from which it may.
cdef enum: TURNED_BACK = 192
cdef enum: TURNED_ROWS = 128


# Where rows of the left matrix are long and many columns repay it: workspace for their copies.
cdef inline real* left_room(Py_ssize_t depth, Py_ssize_t columns, real* workspace) noexcept nogil:
    return workspace if copies_left(depth, columns) else NULL


cdef inline bint copies_left(Py_ssize_t depth, Py_ssize_t columns) noexcept nogil:
    return columns >= TURNED_OUTPUTS and depth * <Py_ssize_t>sizeof(real) >= LONG_ROW_BYTES


# Whether dx goes by the kernel as it stands: if transposing dz and dx is less work than the kernel.
cdef inline bint goes_by_kernel(const Op* op) noexcept nogil:
    cdef Py_ssize_t lines = op.rows * op.lines
    return (op.wants_dx and not is_narrow(op.outputs) and lines >= TURNED_ROWS
            and lines * (op.inputs + op.outputs) <= op.inputs * op.outputs)


# dx = dz . kernel^T as dx^T = kernel . dz^T, which reads the kernel as it stands, and once.
# dzt gets dz^T.
cdef void turned_backward(real* dx, const real* dz, real* dzt, const DenseKernel* k, real* workspace,
                          Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t whole = rows // PANEL * PANEL, input = 0, some
    cdef real* turned = workspace + TURNED_BACK * LEFT_STRIDE
    cdef Product p, last
    # Whole panels of rows, and those that are left over as a matrix.
    pack_transposed(dzt, dz, whole, k.outputs, 0, whole)
    multiply_by(&p, dzt, NULL, k.outputs, whole)
    p.left = left_room(k.outputs, whole, workspace)
    p.c = turned
    p.ldc = rows
    p.a_row = k.outputs
    p.a_k = 1
    p.start = NULL
    p.start_row = 0
    last = p
    transpose(dzt + whole * k.outputs, rows - whole, dz + whole * k.outputs, k.outputs, rows - whole, k.outputs)
    multiply_by(&last, NULL, dzt + whole * k.outputs, k.outputs, rows - whole)
    last.c = turned + whole
    while input < k.inputs:
        some = min(k.inputs - input, <Py_ssize_t>TURNED_BACK)
        p.a = last.a = k.kernel + input * k.outputs
        matmul(&p, some, whole)
        matmul(&last, some, rows - whole)
        transpose(dx + input, k.inputs, turned, rows, some, rows)
        input += some


# c of p = x^T . b of p with x transposed beforehand, block by block: along a column of x every real is on
# another cache line and, where rows are long, on another page.
cdef void turned_gradient(const Product* product, const real* x, real* turned, Py_ssize_t rows,
                          Py_ssize_t ldx, Py_ssize_t inputs, Py_ssize_t outputs) noexcept nogil:
    cdef Product p = product[0]
    cdef Py_ssize_t input = 0, row, columns
    p.a = turned
    p.a_row = TURNED_STRIDE
    p.a_k = 1
    while input < inputs:
        columns = min(inputs - input, <Py_ssize_t>TURNED_INPUTS)
        p.c = product.c + input * outputs
        p.start = NULL if product.start == NULL else p.c
        row = 0
        while row < rows:
            p.depth = min(rows - row, <Py_ssize_t>DEPTH_BLOCK)
            p.b = product.b + row * product.ldb
            transpose(turned, TURNED_STRIDE, x + row * ldx + input, ldx, p.depth, columns)
            matmul(&p, columns, outputs)
            p.start = p.c
            row += p.depth
        input += columns
