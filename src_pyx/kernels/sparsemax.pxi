# sparsemax, over the columns of each row: y = max(0, z - tau) with the tau by which a row adds up to 1
# (A. Martins and R. Astudillo, ICML 2016).
#
# Design: where the entries that are not 0, the support, are k and add up to A, k y = 1 + k z - A. What
# an entry just above tau is left with is only what all these terms do not have in common, and whether
# it is above tau at all is their sign. So they are added up without an error: numbers are cut into
# *digits*, multiples of a step 2^-s, then of 2^-2s, ..., of so few bits each that k of them, or one
# times k, fit a real. Steps go down to the last bit that a number of this row has. Then k y is a sum
# of exact terms, the greatest first, whose additions round only where nothing is left that cancels: entries
# are within 16 ULP of the true ones for all finite numbers, and the bits depend on no order.
#
# The support is found without sorting: from all that can be in it on, those that are not above the tau
# of the rest are left out until none is (C. Michelot, J. Optim. Theory Appl. 50, 1986). The first tau is
# too small, and so is each that follows but the last.
#
# An infinite number is as in softmax: the largest of a row have it to themselves. A row of nothing but
# -inf, or with a NaN in it, gives NaN.

cdef enum:
    LONGEST_SPARSE = 1 << 19  # columns, with which a digit has 2 of float32's 24 bits ...
    DIGITS = 80               # ... and a number up to so many, from 2 down to the smallest there is


# What one row's numbers are measured by. Those that can be in the support are `base` + [-2, 2].
cdef struct Ruler:
    vreal base
    vreal lowest
    real grid                # added to a number and taken off again, it leaves the first digit
    real step


# How many entries of a row, and their sum less base, in as many digits as all possible ones have. Before these
# have been counted there are 0 digits, and every multiple is 1.
cdef struct Support:
    vreal count
    int digits
    vreal sums[DIGITS]


# z - base, which is exact for what can be in the support, and 0 for the rest.
cdef inline vreal offset_of(const Ruler* ruler, vreal z, vmask* possible) noexcept nogil:
    cdef vreal offset = vselect(veq(z, ruler.base), vzero(), z - ruler.base)
    possible[0] = vle(ruler.lowest, offset)
    return vselect(possible[0], offset, vzero())


cdef inline vreal cut_digit(vreal* number, real grid) noexcept nogil:
    cdef vreal digit = (number[0] + vset1(grid)) - vset1(grid)
    number[0] = number[0] - digit
    return digit


cdef inline void set_ruler(Ruler* ruler, vreal top, Py_ssize_t columns) noexcept nogil:
    # Differences to top are exact from 2 on and below -1; between them numbers are small themselves.
    cdef int bits = 50 if FW_F64 else 21, mantissa = 53 if FW_F64 else 24, i
    cdef vmask possible
    while columns > 1:
        columns = (columns + 1) // 2
        bits -= 1
    ruler.step = 1
    for i in range(bits):
        ruler.step *= <real>0.5
    ruler.grid = <real>1.5 * ruler.step
    for i in range(mantissa - 1):
        ruler.grid *= 2
    ruler.base = vselect(vand(vlt(vset1(-1), top), vlt(top, vset1(2))), vzero(), top)
    ruler.lowest = vset1(<real>-INFINITY)
    ruler.lowest = offset_of(ruler, top, &possible) - vset1(1)


# 1 + k z - A
cdef inline vreal multiple_of(const Support* support, vreal offset, const Ruler* ruler) noexcept nogil:
    cdef vreal total = vset1(1)
    cdef real grid = ruler.grid
    cdef int i
    for i in range(support.digits):
        total = total + (support.count * cut_digit(&offset, grid) - support.sums[i])
        grid *= ruler.step
    return total


# Those of a support before that are above its tau.
cdef inline void find_support(const bint across, Support* found, const Support* before, const Ruler* ruler,
                              const real* z, Py_ssize_t n) noexcept nogil:
    cdef vreal number, offset
    cdef vmask possible, inside
    cdef real grid
    cdef Py_ssize_t i = 0
    cdef int digit
    found.count = vzero()
    found.digits = before.digits
    for digit in range(found.digits):
        found.sums[digit] = vzero()
    while i < n:
        number = load_logits(z + i, n - i)
        offset = offset_of(ruler, number, &possible)
        inside = vand(possible, vlt(vzero(), multiple_of(before, offset, ruler)))
        found.count = found.count + vselect(inside, vset1(1), zero_or_nan(number))
        offset = vselect(inside, offset, vzero())
        digit = 0
        grid = ruler.grid
        while vany(vlt(vzero(), vabs(offset))):
            if digit == found.digits:
                found.sums[digit] = vzero()
                found.digits += 1
            found.sums[digit] = found.sums[digit] + cut_digit(&offset, grid)
            grid *= ruler.step
            digit += 1
        i += VL
    if not across:
        found.count = lane_sum(found.count)
        for digit in range(found.digits):
            found.sums[digit] = lane_sum(found.sums[digit])


cdef inline void sparsemax_row(const bint across, real* y, const real* z, const real* unused,
                               Py_ssize_t n) noexcept nogil:
    cdef Support[2] supports
    cdef Support* before = &supports[0]
    cdef Support* found = &supports[1]
    cdef Ruler ruler
    cdef vmask possible
    cdef vreal multiple, share, least = vconst(1.401298464324817e-45, 5e-324)
    cdef Py_ssize_t i = 0
    set_ruler(&ruler, largest_of(across, z, n), n // VL if across else n)
    before.digits = 0
    before.count = vset1(LARGEST)
    find_support(across, found, before, &ruler, z, n)
    while vany(vlt(found.count, before.count)):
        before, found = found, before
        find_support(across, found, before, &ruler, z, n)
    while i < n:
        multiple = multiple_of(found, offset_of(&ruler, load_logits(z + i, n - i), &possible), &ruler)
        # What is in the support is not 0, however small it is: so the gradient knows it.
        share = vmax(least, multiple / found.count)
        share = vselect(vand(possible, vlt(vzero(), multiple)), share, vzero() / found.count)
        store_first(y + i, share, n - i)
        i += VL


# dx = dy - mean(dy) over the support, which is where y is not 0, else 0
cdef inline void sparsemax_row_gradient(const bint across, real* dx, const real* dy, const real* y,
                                        Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef vreal share, inside, count = vzero(), mean
    cdef Py_ssize_t i = 0, left
    cdef int part
    while i < n:
        share = load_first(y + i, n - i)
        count = count + vselect(vlt(vzero(), share), vset1(1), share)
        i += VL
    inside = vset1(1) / (count if across else lane_sum(count))
    clear_sum(&sum)
    i = 0
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                share = load_first(y + i, n - i)
                share = vselect(vlt(vzero(), share), inside * load_first(dy + i, n - i), vzero())
                add_any_to_sum(&sum, part, share)
                i += VL
    mean = within_range(sum_of(across, &sum))
    i = 0
    while i < n:
        left = n - i
        share = load_first(y + i, left)
        # Elsewhere y is 0 or NaN, and so is the gradient.
        share = vselect(vlt(vzero(), share), load_first(dy + i, left) - mean, share)
        store_first(dx + i, without_traces(share), left)
        i += VL
