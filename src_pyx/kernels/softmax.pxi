# softmax, its logarithm, and softmin, over the columns of each row.
#
# Design: everything is a function of z - top, top being the row's largest. The rounding error of
# that difference is handed to exp, so that entries are within 16 ULP of the true ones however large
# the logits are. An entry that is top counts as 0 apart, which is the limit also where top is inf; a
# row of nothing but -inf has no limit and gives NaN, and so does a row with a NaN in it.

# z - top, and what rounding left of it; that is NaN where z - top is not finite.
cdef inline vreal difference_to(vreal z, vreal top, vreal* low) noexcept nogil:
    cdef vreal difference = z - top
    low[0] = vadd_error(z, -top, difference)
    return difference


# e^(z - top). Where z is so far below that this is 0, rounding may have left any number.
cdef inline vreal power_below(vreal z, vreal top) noexcept nogil:
    cdef vreal low, difference = difference_to(z, top, &low)
    low = vselect(vlt(exp_least(), difference), low, vzero())
    return vexp_sum(vselect(veq(z, top), vzero(), difference), low)


cdef inline vreal load_logits(const real* z, Py_ssize_t n) noexcept nogil:
    # Beyond the end of a row comes -inf, whose power adds nothing.
    return load_first_or(z, n, vset1(<real>-INFINITY))


# ---- softmax: e^z / sum(e^z) -----------------------------------------------------------------------

cdef inline void softmax_row(const bint across, real* y, const real* z, const real* unused,
                             Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef vreal top = largest_of(across, z, n), power, share
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                power = power_below(load_logits(z + i, n - i), top)
                add_to_sum(&sum, part, power)
                store_first(y + i, power, n - i)
                i += VL
    share = vset1(1.0) / sum_of(across, &sum)
    i = 0
    while i < n:
        store_first(y + i, load_first(y + i, n - i) * share, n - i)
        i += VL


# dx = y (dy - sum(dy y)), where the sum is a mean of dy and no larger than the largest
cdef inline void softmax_row_gradient(const bint across, real* dx, const real* dy, const real* y,
                                      Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef vreal mean, share
    cdef Py_ssize_t i = 0, left
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                add_to_sum(&sum, part, load_first(dy + i, n - i) * load_first(y + i, n - i))
                i += VL
    mean = within_range(sum_of(across, &sum))
    i = 0
    while i < n:
        left = n - i
        share = load_first(y + i, left)
        # Products of a share are in range, where dy - mean may not be.
        store_first(dx + i, without_traces(vfma(share, load_first(dy + i, left), -(share * mean))), left)
        i += VL


# ---- softmin: softmax of -z ------------------------------------------------------------------------

# out = -a; out may be a
cdef inline void negate_row(real* out, const real* a, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(out + i, -load_first(a + i, n - i), n - i)
        i += VL


cdef inline void softmin_row(const bint across, real* y, const real* z, const real* unused,
                             Py_ssize_t n) noexcept nogil:
    negate_row(y, z, n)
    softmax_row(across, y, y, NULL, n)


cdef inline void softmin_row_gradient(const bint across, real* dx, const real* dy, const real* y,
                                      Py_ssize_t n) noexcept nogil:
    negate_row(dx, dy, n)
    softmax_row_gradient(across, dx, dx, y, n)


# ---- log_softmax: log(e^z / sum(e^z)) --------------------------------------------------------------

# The sum of e^(z - top) over all but one top, so that log(1 + rest) is exact however much the largest
# stands out. All powers, tops' included, go to powers (may be NULL).
cdef inline vreal rest_of(const bint across, real* powers, const real* z, Py_ssize_t n,
                          vreal top) noexcept nogil:
    cdef RowSum sum, tops
    cdef vreal logits, power
    cdef vmask is_top
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    clear_sum(&tops)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                logits = load_logits(z + i, n - i)
                is_top = veq(logits, top)
                power = power_below(logits, top)
                add_to_sum(&sum, part, vselect(is_top, vzero(), power))
                tops.total[part] = tops.total[part] + vselect(is_top, vset1(1.0), vzero())
                if powers != NULL:
                    store_first(powers + i, power, n - i)
                i += VL
    return (sum_of(across, &tops) - vset1(1.0)) + sum_of(across, &sum)


# y = (z - top) - log1p(rest): two terms of one sign
cdef inline void log_softmax_row(const bint across, real* y, const real* z, const real* unused,
                                 Py_ssize_t n) noexcept nogil:
    cdef vreal top = largest_of(across, z, n), logits, difference, low
    cdef vreal log_total = vlog1p(rest_of(across, NULL, z, n, top))
    cdef Py_ssize_t i = 0
    while i < n:
        logits = load_logits(z + i, n - i)
        difference = difference_to(logits, top, &low)
        difference = vselect(veq(logits, top), vzero(), difference)
        low = vselect(veq(low, low), low, vzero())
        store_first(y + i, difference - (log_total - low), n - i)
        i += VL


# dx = dy - e^y sum(dy)
cdef inline void log_softmax_row_gradient(const bint across, real* dx, const real* dy, const real* y,
                                          Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef vreal total
    cdef Py_ssize_t i = 0, left
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                add_to_sum(&sum, part, load_first(dy + i, n - i))
                i += VL
    total = sum_of(across, &sum)
    i = 0
    while i < n:
        left = n - i
        store_first(dx + i, without_traces(vfnma(vexp(load_first(y + i, left)), total, load_first(dy + i, left))),
                    left)
        i += VL
