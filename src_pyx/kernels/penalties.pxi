# What a large weight costs: l1 |w| + l2 w^2.

cdef void penalise(void* gradients, const void* parameters, Py_ssize_t begin, Py_ssize_t end, double l1,
                   double l2) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef const real* w = <const real*>parameters
    cdef vreal one = vset1(<real>l1), two = vset1(<real>(2.0 * l2)), weight
    cdef Py_ssize_t i = begin
    while i < end:
        weight = load_first(w + i, end - i)
        store_first(g + i, load_first(g + i, end - i) + vfma(two, weight, one * sign_of(weight)), end - i)
        i += VL


cdef inline double cost_of(double weight, double l1, double l2) noexcept nogil:
    cdef double size = weight if weight >= 0.0 else -weight
    return size * (l1 + l2 * size)      # without 0 times the square, which may be inf


# In double, so that the loss keeps its digits; CHAINS sums, added by halves.
cdef double penalty(const void* parameters, Py_ssize_t begin, Py_ssize_t end, double l1, double l2) noexcept nogil:
    cdef const real* w = <const real*>parameters + begin
    cdef double[CHAINS] sums
    cdef Py_ssize_t n = end - begin, i = 0
    cdef int k
    for k in range(CHAINS):
        sums[k] = 0.0
    while i + CHAINS <= n:
        for k in range(CHAINS):
            sums[k] += cost_of(w[i + k], l1, l2)
        i += CHAINS
    for k in range(<int>(n - i)):
        sums[k] += cost_of(w[i + k], l1, l2)
    return sum_by_halves(sums)


# ---- activity: y = x, which costs l1 |x| + l2 x^2 a number; these are its options ----------------------

cdef void activity_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.costs_something = True
    op.work_per_row = 2.0 * row_reals(op)


cdef void activity_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = row_reals(op), row
    cdef const real* x = x_of(op, 0)
    memcpy(y_of(op, begin), x_of(op, begin), (end - begin) * n * sizeof(real))
    for row in range(begin, end):
        op.costs[row] = penalty(x, row * n, (row + 1) * n, op.options[0], op.options[1])


cdef void activity_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t n = (end - begin) * row_reals(op)
    memcpy(dx_of(op, begin), dy_of(op, begin), n * sizeof(real))
    penalise(dx_of(op, begin), y_of(op, begin), 0, n, op.row_share * op.options[0], op.row_share * op.options[1])
    finish_dx(op, 0, begin, end)
