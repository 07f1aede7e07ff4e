# What a step does with gradients before the update, and with weights after it; parameters [begin, end) of flat vectors.

# total += gradients
cdef void accumulate(void* total, const void* gradients, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real* sums = <real*>total
    cdef const real* g = <const real*>gradients
    cdef Py_ssize_t i = begin
    while i < end:
        store_first(sums + i, load_first(sums + i, end - i) + load_first(g + i, end - i), end - i)
        i += VL


# gradients = (gradients + total) / count;  total = 0
cdef void settle_mean(void* gradients, void* total, Py_ssize_t begin, Py_ssize_t end, double count) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef real* sums = <real*>total
    cdef vreal divisor = vset1(<real>count)
    cdef Py_ssize_t i = begin
    while i < end:
        store_first(g + i, (load_first(g + i, end - i) + load_first(sums + i, end - i)) / divisor, end - i)
        store_first(sums + i, vzero(), end - i)
        i += VL


# Gradients beyond limit become limit, those beyond -limit become that; NaN stays what it is.
cdef void clip_values(void* gradients, Py_ssize_t begin, Py_ssize_t end, double limit) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef vreal most = vset1(<real>limit)
    cdef Py_ssize_t i = begin
    while i < end:
        store_first(g + i, vmin(most, vmax(-most, load_first(g + i, end - i))), end - i)
        i += VL


# gradients *= factor
cdef void scale_by(void* gradients, Py_ssize_t begin, Py_ssize_t end, double factor) noexcept nogil:
    cdef real* g = <real*>gradients
    cdef vreal times = vset1(<real>factor)
    cdef Py_ssize_t i = begin
    while i < end:
        store_first(g + i, times * load_first(g + i, end - i), end - i)
        i += VL


# The sum of the squares, in double: CHAINS sums, added by halves.
cdef double squares(const void* gradients, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* g = <const real*>gradients + begin
    cdef double[CHAINS] sums
    cdef double value
    cdef Py_ssize_t n = end - begin, i = 0
    cdef int k
    for k in range(CHAINS):
        sums[k] = 0.0
    while i + CHAINS <= n:
        for k in range(CHAINS):
            value = g[i + k]
            sums[k] += value * value
        i += CHAINS
    for k in range(<int>(n - i)):
        value = g[i + k]
        sums[k] += value * value
    return sum_by_halves(sums)


# averages = momentum averages + (1 - momentum) parameters, which become the averages if `overwrites`.
cdef void average(void* averages, void* parameters, Py_ssize_t begin, Py_ssize_t end, double momentum,
                  bint overwrites) noexcept nogil:
    cdef real* mean = <real*>averages
    cdef real* w = <real*>parameters
    cdef vreal kept = vset1(<real>momentum), share = vset1(<real>(1.0 - momentum)), value
    cdef Py_ssize_t i = begin
    while i < end:
        value = without_subnormals(vfma(kept, load_first(mean + i, end - i), share * load_first(w + i, end - i)))
        store_first(mean + i, value, end - i)
        if overwrites:
            store_first(w + i, value, end - i)
        i += VL
