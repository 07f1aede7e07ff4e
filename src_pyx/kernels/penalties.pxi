# What a large weight costs: l1 |w| + l2 w^2.

cdef void penalise(void* gradients, const void* parameters, Py_ssize_t begin, Py_ssize_t end, double l1,
                   double l2) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef const real* w = <const real*>parameters
    cdef vreal one = vset1(<real>l1), two = vset1(<real>(2.0 * l2)), weight, sign
    cdef Py_ssize_t i = begin
    while i < end:
        weight = load_first(w + i, end - i)
        sign = vselect(veq(weight, vzero()), vzero(), vcopysign(one, weight))
        store_first(g + i, load_first(g + i, end - i) + vfma(two, weight, sign), end - i)
        i += VL


# In double, so that the loss keeps its digits; LANES sums, added by halves.
cdef double penalty(const void* parameters, Py_ssize_t begin, Py_ssize_t end, double l1, double l2) noexcept nogil:
    cdef const real* w = <const real*>parameters
    cdef double[16] sums
    cdef Py_ssize_t i
    cdef int k, half = 8
    cdef double weight
    for k in range(16):
        sums[k] = 0.0
    for i in range(begin, end):
        weight = w[i]
        sums[(i - begin) % 16] += l1 * (weight if weight >= 0.0 else -weight) + l2 * (weight * weight)
    while half > 0:
        for k in range(half):
            sums[k] += sums[k + half]
        half //= 2
    return sums[0]
