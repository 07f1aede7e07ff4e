# Gradients that come in parts, of slices or of chunks of a batch, added up in their order.

# total[i] = the sum over k, in order, of parts[k * n + i] for i in [begin, end) and k < count.
cdef void sum_parts(void* total, const void* parts, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                    Py_ssize_t count) noexcept nogil:
    cdef real* sums = <real*>total
    cdef const real* part = <const real*>parts
    cdef Py_ssize_t i = begin, k
    cdef vreal acc
    while i < end:
        acc = load_first(part + i, end - i)
        for k in range(1, count):
            acc = acc + load_first(part + k * n + i, end - i)
        store_first(sums + i, acc, end - i)
        i += VL


# total, excess = the sum of both and part, exact but for the rounding of excess, for elements [begin, end).
# The sum is total - excess; if `last`, this becomes total, and excess is of no more use.
cdef void add_part(void* total, void* excess, const void* part, Py_ssize_t begin, Py_ssize_t end,
                   bint last) noexcept nogil:
    cdef real* sums = <real*>total
    cdef real* over = <real*>excess
    cdef const real* terms = <const real*>part
    cdef vreal sum, left
    cdef Py_ssize_t i = begin
    while i < end:
        sum = load_first(sums + i, end - i)
        left = load_first(over + i, end - i)
        add_exactly(&sum, &left, load_first(terms + i, end - i))
        if last:
            sum = without_excess(sum, left)
        else:
            store_first(over + i, left, end - i)
        store_first(sums + i, sum, end - i)
        i += VL


# `add_part` on arrays of n reals given by address.
def apply_add_part(size_t total, size_t excess, size_t part, Py_ssize_t n, bint last):
    cdef fw_float_mode mode
    with nogil:
        mode = fw_enter_float_mode()
        add_part(<void*>total, <void*>excess, <const void*>part, 0, n, last)
        fw_leave_float_mode(mode)
