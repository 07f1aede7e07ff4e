# Losses that say how alike two rows are: as distributions, or in their direction.

from libc.math cimport sqrt

# ---- Kullback-Leibler: the sum of b log(b / a), with a = p and b = t clipped to [CLIP, 1] ---------

cdef inline vreal kl_divergence(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), floor = vset1(<real>CLIP)
    cdef vreal a = vmin(one, vmax(floor, p)), b = vmin(one, vmax(floor, t))
    slope[0] = vselect(vor(vlt(p, floor), vlt(one, p)), vzero(), -(b / a))
    return b * vlog(b / a)


cdef void kl_divergence_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(kl_divergence, NULL, values, dy, prediction, target, rows, columns, 1.0, options, 0, scale)


# ---- cosine similarity: -sum(u v), with u = p / max(|p|, CLIP) and v = t / max(|t|, CLIP) ---------
# Its gradient is (c u - v) / |p|, with c = sum(u v), or -v / CLIP where |p| is less than CLIP.

cdef inline vreal norm_of(const bint across, const real* a, Py_ssize_t n) noexcept nogil:
    cdef RowSum sum
    cdef vreal x
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                x = load_first(a + i, n - i)
                add_to_sum(&sum, part, x * x)
                i += VL
    return vsqrt(sum_of(across, &sum))


cdef inline vreal cosine_similarity(const bint across, real* d, const real* p, const real* t, Py_ssize_t n,
                                    vreal scale) noexcept nogil:
    cdef RowSum sum
    cdef vreal floor = vset1(<real>CLIP)
    cdef vreal length = norm_of(across, p, n), other_length = norm_of(across, t, n)
    cdef vreal norm = vmax(floor, length), other_norm = vmax(floor, other_length), cosine, kept, u, v
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                add_any_to_sum(&sum, part, load_first(p + i, n - i) / norm * (load_first(t + i, n - i) / other_norm))
                i += VL
    cosine = sum_of(across, &sum)
    if d != NULL:
        kept = vselect(vlt(length, floor), vzero(), cosine)
        i = 0
        while i < n:
            u, v = load_first(p + i, n - i) / norm, load_first(t + i, n - i) / other_norm
            store_first(d + i, scale * ((vfma(kept, u, -v)) / norm), n - i)
            i += VL
    # Where a sum of squares has overflowed the row is done again.
    return vselect(vand(vlt(length, vset1(<real>INFINITY)), vlt(other_length, vset1(<real>INFINITY))), -cosine,
                   vselect(veq(length + other_length, length + other_length), vset1(<real>INFINITY),
                           length + other_length))


# a is `largest` times numbers whose squares add up to root^2; no root if all are 0.
cdef struct FarNorm:
    double largest
    double root


cdef FarNorm far_norm(const real* a, Py_ssize_t n) noexcept nogil:
    cdef double largest = 0.0, squares = 0.0, part
    cdef Py_ssize_t i
    for i in range(n):
        largest = max(largest, fabs(<double>a[i]))
    for i in range(n):
        part = a[i] / largest if largest > 0.0 else a[i]
        squares += part * part
    # Lengths below CLIP count as that.
    if largest * sqrt(squares) < CLIP:
        return FarNorm(CLIP, 1.0)
    return FarNorm(largest, sqrt(squares))


cdef double far_cosine_similarity(real* d, const real* p, const real* t, Py_ssize_t n, double scale) noexcept nogil:
    cdef FarNorm norm = far_norm(p, n), other = far_norm(t, n)
    cdef double cosine = 0.0, u, v, kept
    cdef Py_ssize_t i
    for i in range(n):
        cosine += p[i] / norm.largest / norm.root * (t[i] / other.largest / other.root)
    if d != NULL:
        kept = 0.0 if norm.largest == CLIP and norm.root == 1.0 else cosine
        for i in range(n):
            u, v = p[i] / norm.largest / norm.root, t[i] / other.largest / other.root
            d[i] = <real>(scale * (kept * u - v) / norm.largest / norm.root)
    return -cosine


cdef void cosine_similarity_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    of_whole_rows(cosine_similarity, far_cosine_similarity, values, dy, prediction, target, rows, columns, scale)


# ---- over a batch, for losses of whole rows that have no options ----------------------------------

# The loss of a row along vectors, or of VL rows across them; d (may be NULL) = scale * its gradient.
ctypedef vreal (*whole_rule)(const bint across, real* d, const real* p, const real* t, Py_ssize_t n,
                            vreal scale) noexcept nogil
# The same of one row in double.
ctypedef double (*far_whole_rule)(real* d, const real* p, const real* t, Py_ssize_t n, double scale) noexcept nogil


cdef inline void of_whole_rows(const whole_rule rule, const far_whole_rule far, double* values, void* dy,
                          const void* prediction, const void* target, Py_ssize_t rows, Py_ssize_t columns,
                          double scale) noexcept nogil:
    cdef vreal[ACROSS] d, p, t
    cdef vreal factor = vset1(<real>scale), value
    cdef Py_ssize_t row = 0, count, k
    cdef real* gradient
    cdef const real* given
    cdef const real* wanted
    while row < rows:
        gradient = rows_of(dy, row, columns)
        given = rows_of(prediction, row, columns)
        wanted = rows_of(target, row, columns)
        if lies_across(columns):
            count = min(VL, rows - row)
            lay_across(p, given, count, columns)
            lay_across(t, wanted, count, columns)
            value = rule(True, NULL if gradient == NULL else <real*>d, <const real*>p, <const real*>t, columns * VL,
                         factor)
            if gradient != NULL:
                lay_back(gradient, d, count, columns)
        else:
            count = 1
            value = rule(False, gradient, given, wanted, columns, factor)
        set_values(values + row, value, count, 1.0)
        if some_are_far(value, count):
            for k in range(count):
                if not isfinite(values[row + k]):
                    values[row + k] = far(rows_of(gradient, k, columns), given + k * columns, wanted + k * columns,
                                          columns, scale)
        row += count
