# The op "member_dense": a dense layer of its own for each member of a line: y_m = f(x_m . kernel_m + bias_m).
#
# A line of x is the members' inputs, one member after the other, and so is a line of y. sizes: how many members.
# variables: the kernels (members, inputs, outputs) and, if there are any, the biases (members, outputs). pieces
# are members; the last one has all biases. prepared: each member's panels, then each one's transposed kernel in
# panels, then, where members are narrow (see narrow.pxi), each one's transposed kernel as it is.
#
# A member's lines lie far apart, on the same few places of the cache. So what a kernel's gradient reads again and
# again is copied together, some lines at a time, and so is what a narrow member reads.

# Lines that are copied at a time: the first cache has room for them.
cdef enum: MEMBER_LINES = 96


cdef inline Py_ssize_t member_inputs(const Op* op) noexcept nogil:
    return op.inputs // op.sizes[0]


cdef inline Py_ssize_t member_outputs(const Op* op) noexcept nogil:
    return op.outputs // op.sizes[0]


# Reals of one member's panels and of its transposed kernel.
cdef inline Py_ssize_t member_panels(const Op* op) noexcept nogil:
    return packed_reals(member_inputs(op), member_outputs(op)) if has_panels(member_outputs(op)) else 0


cdef inline Py_ssize_t member_transposed(const Op* op) noexcept nogil:
    return packed_reals(member_outputs(op), member_inputs(op)) if op.wants_dx else 0


cdef inline Py_ssize_t member_narrow(const Op* op) noexcept nogil:
    return member_inputs(op) * member_outputs(op) if is_narrow(member_outputs(op)) else 0


cdef inline real* narrow_kernels(const Op* op) noexcept nogil:
    return <real*>op.prepared + op.sizes[0] * (member_panels(op) + member_transposed(op))


cdef inline const real* member_kernel(const Op* op, Py_ssize_t member) noexcept nogil:
    return <const real*>op.parameters + member * member_inputs(op) * member_outputs(op)


cdef inline const real* member_bias(const Op* op, Py_ssize_t member) noexcept nogil:
    return NULL if op.n_variables < 2 else member_kernel(op, op.sizes[0]) + member * member_outputs(op)


cdef void member_dense_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t members = op.sizes[0], kernels
    if (members < 1 or op.inputs % members or op.outputs % members or op.n_reads != 1
            or op.n_variables not in (1, 2)):
        op.parameter_reals = -1
        return
    kernels = op.inputs * member_outputs(op)
    op.parameter_reals = kernels + (op.outputs if op.n_variables == 2 else 0)
    if op.variables[0] != kernels or (op.n_variables == 2 and op.variables[1] != op.outputs):
        op.parameter_reals = -1
    op.saved_per_row = row_reals(op) if op.activation.keeps_slope else 0
    op.prepared_reals = members * (member_panels(op) + member_transposed(op) + member_narrow(op))
    if op.trains or is_narrow(member_outputs(op)):
        op.workspace_reals = MEMBER_LINES * (member_inputs(op) + member_outputs(op)) + member_narrow(op)
    op.pieces = members
    op.piece_parameters = member_inputs(op) * member_outputs(op)
    op.work_per_row = <double>(op.lines * kernels)


cdef void member_dense_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                  Py_ssize_t end_piece) noexcept nogil:
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op), member
    cdef real* panels = <real*>op.prepared
    cdef real* transposed = panels + op.sizes[0] * member_panels(op)
    for member in range(begin_piece, end_piece):
        if member_panels(op) > 0:
            pack(panels + member * member_panels(op), inputs * PANEL, member_kernel(op, member), inputs, outputs)
        if op.wants_dx:
            pack_transposed(transposed + member * member_transposed(op), member_kernel(op, member), inputs, outputs,
                            0, inputs)
        if is_narrow(outputs):
            transpose(narrow_kernels(op) + member * inputs * outputs, inputs, member_kernel(op, member), outputs,
                      inputs, outputs)


# z of some lines of one narrow member.
cdef void narrow_member_forward(real* y, const real* x, const Op* op, Py_ssize_t member,
                                Py_ssize_t lines) noexcept nogil:
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op)
    cdef real* together = <real*>op.workspace
    cdef real* z = together + MEMBER_LINES * inputs
    copy_lines(together, inputs, x, op.inputs, inputs, lines)
    narrow_forward(z, together, narrow_kernels(op) + member * inputs * outputs, member_bias(op, member), lines, inputs,
                   outputs)
    copy_lines(y, op.outputs, z, outputs, outputs, lines)


cdef void member_dense_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op), member, line = 0, block
    cdef Py_ssize_t lines = (end - begin) * op.lines
    cdef const real* panels = <const real*>op.prepared
    cdef const real* x = x_of(op, begin)
    cdef real* y = y_of(op, begin)
    cdef real* slope = saved_of(op, begin)
    # A relu without slope is part of the product.
    cdef bint by_product = op.activation.forward == relu_forward and slope == NULL and not is_narrow(outputs)
    while line < lines:
        block = min(<Py_ssize_t>DENSE_BLOCK, lines - line)
        for member in range(op.sizes[0]):
            if is_narrow(outputs):
                narrow_member_forward(y + member * outputs, x + member * inputs, op, member, block)
                continue
            multiply_by(&p, NULL if member_panels(op) == 0 else panels + member * member_panels(op),
                        member_kernel(op, member), inputs, outputs)
            p.relu = by_product
            p.c = y + member * outputs
            p.ldc = op.outputs
            p.a = x + member * inputs
            p.a_row = op.inputs
            p.a_k = 1
            p.start = member_bias(op, member)
            p.start_row = 0
            matmul(&p, block, outputs)
        if not by_product:
            op.activation.forward(y, slope, block * op.outputs, op.activation_options)
        x += block * op.inputs
        y += block * op.outputs
        slope = NULL if slope == NULL else slope + block * op.outputs
        line += block


# Some rows at a time, which are finished while they are in the cache.
cdef void member_dense_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op), member, upto
    cdef Py_ssize_t at_once = rows_handed_back(op, DENSE_BLOCK // op.lines + 1)
    cdef const real* transposed = <const real*>op.prepared + op.sizes[0] * member_panels(op)
    while begin < end:
        upto = min(end, begin + at_once)
        for member in range(op.sizes[0]):
            multiply_by(&p, transposed + member * member_transposed(op), NULL, outputs, inputs)
            p.c = dx_of(op, begin) + member * inputs
            p.ldc = op.inputs
            p.a = dy_of(op, begin) + member * outputs
            p.a_row = op.outputs
            p.a_k = 1
            p.start = NULL
            p.start_row = 0
            matmul(&p, (upto - begin) * op.lines, inputs)
        finish_dx(op, 0, begin, upto)
        begin = upto


# dkernel (inputs, outputs) of one member = x^T . dz, or of a narrow one its transpose, dz^T . x.
cdef void member_gradient(real* dkernel, const real* x, const real* dz, const Op* op, Py_ssize_t lines) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op), done = 0, block
    cdef bint narrow = is_narrow(outputs)
    cdef real* together = <real*>op.workspace
    cdef real* turned = together + MEMBER_LINES * max(inputs, outputs)
    cdef const real* right = x if narrow else dz
    cdef Py_ssize_t columns = inputs if narrow else outputs, stride = op.inputs if narrow else op.outputs
    p.c = turned if narrow else dkernel
    p.ldc = columns
    p.a = dz if narrow else x
    p.a_row = 1
    p.a_k = op.outputs if narrow else op.inputs
    p.start_row = columns
    while done < lines:
        block = min(<Py_ssize_t>MEMBER_LINES, lines - done)
        copy_lines(together, columns, right, stride, columns, block)
        multiply_by(&p, NULL, together, block, columns)
        p.start = NULL if done == 0 else p.c
        matmul(&p, outputs if narrow else inputs, columns)
        right += block * stride
        p.a += block * p.a_k
        done += block
    if narrow:
        transpose(dkernel, outputs, turned, inputs, outputs, inputs)


cdef void member_dense_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                   Py_ssize_t end_piece) noexcept nogil:
    cdef Py_ssize_t inputs = member_inputs(op), outputs = member_outputs(op), lines = (end - begin) * op.lines
    cdef Py_ssize_t member
    cdef real* gradients = <real*>op.gradients
    for member in range(begin_piece, end_piece):
        member_gradient(gradients + member * inputs * outputs, x_of(op, begin) + member * inputs,
                        dy_of(op, begin) + member * outputs, op, lines)
    if op.n_variables == 2 and end_piece == op.pieces:
        sum_lines(add_element, gradients + op.inputs * outputs, dy_of(op, begin), dy_of(op, begin),
                  dy_of(op, begin), op.outputs, lines, op.outputs)
