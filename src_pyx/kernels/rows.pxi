# Kernels that reduce each row of a batch: how rows lie in vectors, their sums and maxima.
#
# Design: such a kernel is written once, over vectors, for two ways in which rows can lie. Rows of up to
# ACROSS columns lie across vectors: VL of them at a time are transposed, so that vector j holds their
# column j, a lane is a row, and nothing is ever folded. A longer row lies along its vectors, and what
# is added up or compared over LANES lanes is folded at the end. Either way the bits of a row depend on
# nothing but the row, and what holds for a whole row is a vreal: one number for each of VL rows, or
# the same in every lane. `across` is a constant wherever a kernel is inlined.
#
# Sums are accurate for any number of columns: their excess is taken off (see simd.pxi).

cdef enum:
    ACROSS = 64


cdef inline bint lies_across(Py_ssize_t columns) noexcept nogil:
    return columns <= ACROSS


# at (columns, VL) = a (rows, columns) transposed, with rows <= VL; lanes without a row hold 0. Rows of a begin
# `stride` reals apart.
cdef void lay_part_across(vreal* at, const real* a, Py_ssize_t stride, Py_ssize_t rows,
                          Py_ssize_t columns) noexcept nogil:
    transpose_strip(<real*>at, VL, a, stride, rows, columns, VL)


cdef void lay_across(vreal* at, const real* a, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    lay_part_across(at, a, columns, rows, columns)


# ... and back: a (rows, columns) = at (columns, VL) transposed.
cdef void lay_part_back(real* a, Py_ssize_t stride, const vreal* at, Py_ssize_t rows,
                        Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t column = 0
    while column < columns:
        transpose_strip(a + column, stride, <const real*>(at + column), VL, columns - column, rows,
                        columns - column)
        column += VL


cdef void lay_back(real* a, const vreal* at, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    lay_part_back(a, columns, at, rows, columns)


# ---- reductions -----------------------------------------------------------------------------------

# Partial sums that a row is cut into, vector by vector.
cdef inline int parts_of(const bint across) noexcept nogil:
    return 1 if across else LANE_VECTORS


cdef struct RowSum:
    vreal total[LANE_VECTORS]
    vreal excess[LANE_VECTORS]


cdef inline void clear_sum(RowSum* sum) noexcept nogil:
    cdef int part
    for part in range(LANE_VECTORS):
        sum.total[part] = vzero()
        sum.excess[part] = vzero()


# For terms that are no larger than the sum in the end: in half the steps that it takes for any.
cdef inline void add_to_sum(RowSum* sum, const int part, vreal term) noexcept nogil:
    cdef vreal total = sum.total[part]
    sum.total[part] = total + term
    sum.excess[part] = sum.excess[part] + ((sum.total[part] - total) - term)


cdef inline void add_any_to_sum(RowSum* sum, const int part, vreal term) noexcept nogil:
    add_exactly(&sum.total[part], &sum.excess[part], term)


cdef inline vreal part_of(const RowSum* sum, const int part) noexcept nogil:
    return without_excess(sum.total[part], sum.excess[part])


cdef inline vreal sum_of(const bint across, const RowSum* sum) noexcept nogil:
    cdef real[LANES] lanes
    cdef int k, half = LANES
    if across:
        return part_of(sum, 0)
    for k in range(LANE_VECTORS):
        vstore(lanes + k * VL, part_of(sum, k))
    while half > 1:
        half //= 2
        for k in range(half):
            lanes[k] += lanes[k + half]
    return vset1(lanes[0])


cdef inline vreal row_total(const bint across, const real* a, Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                add_any_to_sum(&sum, part, load_first(a + i, n - i))
                i += VL
    return sum_of(across, &sum)


# At least the lowest finite number. A NaN may get lost here; the sum of the row finds it.
cdef inline vreal largest_of(const bint across, const real* z, Py_ssize_t n) noexcept nogil:
    cdef vreal lowest = vset1(-LARGEST)
    cdef vreal best = lowest
    cdef Py_ssize_t i = 0
    while i < n:
        best = vmax(best, load_first_or(z + i, n - i, lowest))
        i += VL
    return folded_largest(across, best)


# The largest of a row, of those that its vectors have in each lane.
cdef inline vreal folded_largest(const bint across, vreal best) noexcept nogil:
    cdef real[VL] lanes
    cdef int k, half = VL
    if across:
        return best
    vstore(lanes, best)
    while half > 1:
        half //= 2
        for k in range(half):
            lanes[k] = lanes[k] if lanes[k] > lanes[k + half] else lanes[k + half]
    return vset1(lanes[0])


# ---- a kernel over all rows -----------------------------------------------------------------------

# out from a and b, which are n reals long: a row along vectors, or VL rows across them.
ctypedef void (*row_kernel)(const bint across, real* out, const real* a, const real* b,
                            Py_ssize_t n) noexcept nogil


# out, a and b are (rows, columns); b may be NULL, and out either of them.
cdef inline void map_rows(const row_kernel kernel, real* out, const real* a, const real* b,
                          Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef vreal[ACROSS] result, first, second
    cdef Py_ssize_t row = 0, count
    while row < rows:
        if lies_across(columns):
            count = min(VL, rows - row)
            lay_across(first, rows_of(a, row, columns), count, columns)
            if b != NULL:
                lay_across(second, rows_of(b, row, columns), count, columns)
            kernel(True, <real*>result, <const real*>first, <const real*>second, columns * VL)
            lay_back(rows_of(out, row, columns), result, count, columns)
        else:
            count = 1
            kernel(False, rows_of(out, row, columns), rows_of(a, row, columns), rows_of(b, row, columns),
                   columns)
        row += count
