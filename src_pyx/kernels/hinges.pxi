# Losses of margins: hinge and its square for two classes, of each output on its own, and for several classes.

# max(0, 1 - t p), for t of -1 or 1
cdef inline vreal hinge(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal margin = vfnma(t, p, vset1(1)), value = vmax(vzero(), margin)
    slope[0] = vselect(vlt(vzero(), margin), -t, value)
    return value


# max(0, 1 - t p)^2
cdef inline vreal squared_hinge(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal margin = vmax(vzero(), vfnma(t, p, vset1(1)))
    slope[0] = -(t * (margin + margin))
    return margin * margin


cdef double far_squared_hinge(double p, double t, const double* options, double share, double* slope) noexcept nogil:
    cdef double margin = 1.0 - t * p
    slope[0] = -2.0 * t * (share * margin)
    return share * margin * margin


cdef void hinge_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(hinge, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


cdef void squared_hinge_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(squared_hinge, far_squared_hinge, values, dy, prediction, target, rows, columns, <double>columns, options, 0, scale)


# ---- several classes: max(0, 1 + highest - right), with right = sum of t p and highest = max of (1 - t) p --------
# What is highest shares its part of the gradient alike with what is as high.

cdef inline vreal categorical_hinge(const bint across, real* d, const real* p, const real* labels, Py_ssize_t n,
                                    vreal scale) noexcept nogil:
    cdef vreal lowest = vset1(-LARGEST), one = vset1(1)
    cdef vreal best = lowest, highest, right, value, t, wrong, share
    cdef RowSum sum, ties
    cdef vmask is_highest
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&sum)
    clear_sum(&ties)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = load_first(labels + i, n - i)
                best = vmax(best, (one - t) * load_first_or(p + i, n - i, lowest))
                add_any_to_sum(&sum, part, t * load_first(p + i, n - i))
                i += VL
    highest, right = folded_largest(across, best), sum_of(across, &sum)
    value = vmax(vzero(), (highest - right) + one)
    if d == NULL:
        return vselect(is_finite(right), value, vset1(<real>INFINITY))
    i = 0
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = load_first(labels + i, n - i)
                is_highest = veq((one - t) * load_first_or(p + i, n - i, lowest), highest)
                ties.total[part] = ties.total[part] + keep_first(vselect(is_highest, one, vzero()), n - i)
                i += VL
    share = vselect(vlt(vzero(), value), scale, vzero())
    wrong = one / sum_of(across, &ties)
    i = 0
    while i < n:
        t = load_first(labels + i, n - i)
        is_highest = veq((one - t) * load_first_or(p + i, n - i, lowest), highest)
        store_first(d + i, share * (vselect(is_highest, (one - t) * wrong, vzero()) - t), n - i)
        i += VL
    return vselect(is_finite(right), value, vset1(<real>INFINITY))


cdef double far_categorical_hinge(real* d, const real* p, const real* labels, Py_ssize_t n,
                                  double scale) noexcept nogil:
    # In units in which no sum leaves float64's range.
    cdef double unit = 0.25 / n, highest = -INFINITY, right = 0.0, wrong, value
    cdef Py_ssize_t ties = 0, i
    for i in range(n):
        wrong = (1.0 - labels[i]) * (unit * p[i])
        right += labels[i] * (unit * p[i])
        if wrong > highest:
            highest, ties = wrong, 0
        ties += wrong == highest
    value = (highest - right + unit) / unit
    if d != NULL:
        for i in range(n):
            if right != right:
                d[i] = NAN
            elif value <= 0.0:
                d[i] = 0.0
            else:
                wrong = (1.0 - labels[i]) / ties if (1.0 - labels[i]) * (unit * p[i]) == highest else 0.0
                d[i] = <real>(scale * (wrong - labels[i]))
    return right if right != right else max(0.0, value)


cdef void categorical_hinge_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    of_whole_rows(categorical_hinge, far_categorical_hinge, values, dy, prediction, target, rows, columns, scale)
