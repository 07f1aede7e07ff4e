# A causal "conv" over a series, in a plan that goes on step by step.
#
#     y[f] = f(bias[f] + sum of x[step - (taps - 1 - k) dilation, c] kernel[k, c, f])     over the k whose step there was
#
# Its network is that of rows of one step, so Geometry says a window and no series. What it carries of a row is a ring:
# x of as many steps as a window reaches over, of which each new one takes the place of the oldest.

cdef inline Py_ssize_t ring_steps(const Geometry* g) noexcept nogil:
    return (g.kernel_width - 1) * g.dilation_across + 1


cdef void causal_measure(Op* op) noexcept nogil:
    cdef Geometry g
    if op.parameter_reals < 0:
        return
    g = geometry_of(op)
    op.prepared_reals = op.workspace_reals = 0
    op.carried_per_row = ring_steps(&g) * g.channels


cdef void causal_forward(const Op* op, const Ends* ends, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Geometry g = geometry_of(op)
    cdef Py_ssize_t channels = g.channels // g.groups, filters = g.filters // g.groups, gone = gone_before(op)
    cdef Py_ssize_t row, group, tap, step
    cdef Product p
    for row in range(begin, end):
        copy_reals(carried_of(op, row) + gone % ring_steps(&g) * g.channels, x_of(op, row), g.channels)
    for group in range(g.groups):
        multiply_by(&p, NULL, NULL, channels, g.filters)
        p.c = y_of(op, begin) + group * filters
        p.ldc = g.filters
        p.a_row = op.carried_stride
        p.a_k = 1
        p.start = rows_of(ends.start, group, filters)
        p.start_row = 0
        for tap in range(g.kernel_width):
            step = gone - (g.kernel_width - 1 - tap) * g.dilation_across
            if step < 0:
                continue
            p.a = carried_of(op, begin) + step % ring_steps(&g) * g.channels + group * channels
            p.b = <const real*>op.parameters + tap * channels * g.filters + group * filters
            if tap == g.kernel_width - 1:
                p.relu = ends.relu
                p.scale = rows_of(ends.scale, group, filters)
                p.shift = rows_of(ends.shift, group, filters)
            matmul(&p, end - begin, filters)
            p.start = p.c
            p.start_row = g.filters
