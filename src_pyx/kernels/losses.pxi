# Losses: values[r] = the loss of row r, and dy = scale * its gradient by the prediction.
#
# Design: an elementwise loss is a small function that maps a prediction p, its target t and the
# loss's one option to a value, and writes the slope dvalue / dp beside it; `elementwise` runs it
# over the batch and takes the mean over the columns. A crossentropy between distributions works row
# by row and sums over the classes. Definitions are those of Keras 3; every gradient is the exact
# derivative of the value reported, clipping and normalisation included. NaN goes through as NaN.
#
# The sum of a row is taken in double, a long one over LANES partial sums: its order depends neither
# on the CPU level nor on where the row lies in the batch.

from libc.stdint cimport int32_t

cdef extern from *:
    """
    #define FW_CLIP 1e-7
    """
    # Probabilities are clipped to [CLIP, 1 - CLIP] before their logarithm is taken.
    const double CLIP "FW_CLIP"


# ---- strips of at most LANES elements, and their sums -------------------------------------------

cdef inline void clear_lanes(double* lanes) noexcept nogil:
    cdef int k
    for k in range(LANES):
        lanes[k] = 0.0


# lanes += the first n reals of a strip
cdef void add_strip(double* lanes, const real* strip, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(min(n, LANES)):
        lanes[k] += strip[k]


cdef double sum_lanes(double* lanes) noexcept nogil:
    cdef int k, half = LANES
    while half > 1:
        half //= 2
        for k in range(half):
            lanes[k] += lanes[k + half]
    return lanes[0]


cdef double row_sum(const real* row, Py_ssize_t columns) noexcept nogil:
    cdef double[LANES] lanes
    cdef Py_ssize_t i = 0
    clear_lanes(lanes)
    while i < columns:
        add_strip(lanes, row + i, columns - i)
        i += LANES
    return sum_lanes(lanes)


# ---- elementwise losses -------------------------------------------------------------------------

# values[r] = mean of row r, of which lanes hold the elements or, if there are more, partial sums
cdef void set_means(double* values, const double* lanes, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t row, k
    cdef double total
    for row in range(rows):
        total = 0.0
        for k in range(min(columns, LANES)):
            total += lanes[k]
        values[row] = total / columns
        lanes += columns


ctypedef vreal (*Point)(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil


# losses = the losses of elements [i, i + LANES) of n; dy (may be NULL) = factor * their slopes
cdef inline void strip_of(const Point point, real* losses, real* dy, const real* p, const real* t,
                          Py_ssize_t i, Py_ssize_t n, vreal option, vreal factor) noexcept nogil:
    cdef vreal slope
    cdef Py_ssize_t end = min(i + LANES, n)
    while i < end:
        vstore(losses, point(load_first(p + i, n - i), load_first(t + i, n - i), option, &slope))
        if dy != NULL:
            store_first(dy + i, factor * slope, n - i)
        losses += VL
        i += VL


# values[r] = mean over the columns of point(prediction, target)
# Narrow rows share a strip, as many as fit; a wide one is cut into strips of its own.
cdef inline void elementwise(const Point point, double* values, void* dy, const void* prediction,
                             const void* target, Py_ssize_t rows, Py_ssize_t columns,
                             double option, double scale) noexcept nogil:
    cdef vreal setting = vset1(<real>option), factor = vset1(<real>(scale / columns))
    cdef real[LANES] losses
    cdef double[LANES] lanes
    cdef Py_ssize_t row = 0, count, i = 0, end
    while row < rows:
        count = min(max(1, LANES // columns), rows - row)
        end = i + count * columns
        clear_lanes(lanes)
        while i < end:
            strip_of(point, losses, <real*>dy, <const real*>prediction, <const real*>target, i, end,
                     setting, factor)
            add_strip(lanes, losses, end - i)
            i += LANES
        i = end
        set_means(values + row, lanes, count, columns)
        row += count


# (p - t)^2
cdef inline vreal squared_error(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal d = p - t
    slope[0] = d + d
    return d * d


# |p - t|, with slope 0 at 0
cdef inline vreal absolute_error(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d)
    slope[0] = vselect(vlt(vzero(), size), vcopysign(vset1(1), d), d)
    return size


# d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = p - t         (Huber 1964)
# In one piece: with c = min(delta, |d|) it is c (|d| - c / 2), with slope +-c.
cdef inline vreal huber(vreal p, vreal t, vreal delta, vreal* slope) noexcept nogil:
    cdef vreal d = p - t, size = vabs(d), c = vmin(delta, size)
    slope[0] = vcopysign(c, d)
    return c * (size - vset1(<real>0.5) * c)


# log(cosh(d)), with d = p - t and slope tanh(d)
# With m = exp(-2|d|) - 1: cosh(d)^2 = 1 + m^2 / (4 (1 + m)) keeps small d exact,
# log(cosh(d)) = |d| - log 2 + log(1 + (1 + m)) large ones.
cdef inline vreal log_cosh(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), half = vset1(<real>0.5), two = vset1(2)
    cdef vreal d = p - t, size = vabs(d)
    cdef vreal m = vexpm1(-(size + size)), power = one + m
    cdef vmask is_small = vlt(size, vset1(<real>0.6))
    cdef vreal small = m * m / (vset1(4) * vmax(half * half, power))
    cdef vreal log_part = vlog1p(vselect(is_small, small, power))
    slope[0] = vcopysign(m / (two + m), d)
    return vselect(is_small, half * log_part, (size - vset1(<real>0.6931471805599453)) + log_part)


# p - t log(p + CLIP)
cdef inline vreal poisson(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal shifted = p + vset1(<real>CLIP)
    slope[0] = vset1(1) - t / shifted
    return vfnma(t, vlog(shifted), p)


# max(0, 1 - t p), for t of -1 or 1
cdef inline vreal hinge(vreal p, vreal t, vreal option, vreal* slope) noexcept nogil:
    cdef vreal margin = vfnma(t, p, vset1(1)), value = vmax(vzero(), margin)
    slope[0] = vselect(vlt(vzero(), margin), -t, value)
    return value


# ---- binary crossentropy ------------------------------------------------------------------------

# t drawn towards `share`: (1 - smoothing) t + smoothing * share              (Szegedy et al. 2016)
cdef inline vreal smoothed(vreal t, vreal smoothing, vreal share) noexcept nogil:
    return vfma(smoothing, share - t, t)


cdef inline vreal clipped(vreal p) noexcept nogil:
    return vmin(vset1(<real>(1.0 - CLIP)), vmax(vset1(<real>CLIP), p))


cdef inline vmask is_outside(vreal p) noexcept nogil:
    return vor(vlt(p, vset1(<real>CLIP)), vlt(vset1(<real>(1.0 - CLIP)), p))


# -(t log q + (1 - t) log(1 - q)), with q = clip(p)
cdef inline vreal binary_crossentropy(vreal p, vreal t, vreal smoothing, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), q = clipped(p)
    t = smoothed(t, smoothing, vset1(<real>0.5))
    slope[0] = vselect(is_outside(p), vzero(), (q - t) / (q * (one - q)))
    return -vfma(t, vlog(q), (one - t) * vlog1p(-q))


# The same of q = sigmoid(z): max(z, 0) - z t + log(1 + exp(-|z|)), with slope q - t.
# With w = t for z < 0, else 1 - t, it is |z| w + log(1 + exp(-|z|)): nothing cancels.
cdef inline vreal binary_crossentropy_logits(vreal z, vreal t, vreal smoothing,
                                             vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), size = vabs(z), e = vexp(-size)
    cdef vmask is_negative = vlt(z, vzero())
    cdef vreal w, difference
    t = smoothed(t, smoothing, vset1(<real>0.5))
    w = vselect(is_negative, t, one - t)
    difference = e / (one + e) - w
    slope[0] = vselect(is_negative, difference, -difference)
    return vfma(size, w, vlog1p(e))


# ---- categorical crossentropy -------------------------------------------------------------------

cdef inline real first_lane(vreal a) noexcept nogil:
    cdef real[VL] lanes
    vstore(lanes, a)
    return lanes[0]


# The sum of exp(z - top) over all logits but (one of) the largest, `top`, whose own term is 1, so that
# log(1 + sum) is exact however sure the prediction is. All terms go to exps (may be NULL).
cdef double softmax_rest(real* exps, real* top, const real* z, Py_ssize_t columns) noexcept nogil:
    cdef vreal largest, e
    cdef real[LANES] strip
    cdef double[LANES] lanes
    cdef Py_ssize_t i = 0, j, best = 0
    top[0] = largest_logit(z, columns)
    largest = vset1(top[0])
    while best < columns and z[best] != top[0]:
        best += 1
    clear_lanes(lanes)
    while i < columns:
        j = i
        while j < min(i + LANES, columns):
            e = vexp(load_first(z + j, columns - j) - largest)
            vstore(strip + (j - i), e)
            if exps != NULL:
                store_first(exps + j, e, columns - j)
            j += VL
        if i <= best < i + LANES:
            strip[best - i] = 0
        add_strip(lanes, strip, columns - i)
        i += LANES
    return sum_lanes(lanes)


# values[r] = -sum_j t_j log q_j, with q = softmax(z); gradient by z_j: q_j sum(t) - t_j
# With the largest logit `top` and log(sum exp(z - top)) = log_rest, -log q_j = (top - z_j) + log_rest.
cdef void categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    cdef vreal smoothing = vset1(<real>options[0]), share = vset1(<real>(1.0 / columns))
    cdef vreal t, factor, ratio, slope
    cdef const real* z = <const real*>prediction
    cdef const real* labels = <const real*>target
    cdef real* d = <real*>dy
    cdef real[LANES] losses, weights
    cdef double[LANES] loss_lanes, weight_lanes
    cdef double rest, weight
    cdef real largest
    cdef vreal top, log_rest, sum_t, excess, logits
    cdef Py_ssize_t row, i, j
    factor = vset1(<real>scale)
    for row in range(rows):
        rest = softmax_rest(d, &largest, z, columns)
        top = vset1(largest)
        log_rest = vlog1p(vset1(<real>rest))
        clear_lanes(loss_lanes)
        clear_lanes(weight_lanes)
        i = 0
        while i < columns:
            j = i
            while j < min(i + LANES, columns):
                t = smoothed(load_first(labels + j, columns - j), smoothing, share)
                vstore(weights + (j - i), t)
                vstore(losses + (j - i), t * ((top - load_first(z + j, columns - j)) + log_rest))
                j += VL
            add_strip(loss_lanes, losses, columns - i)
            add_strip(weight_lanes, weights, columns - i)
            i += LANES
        values[row] = sum_lanes(loss_lanes)
        if d != NULL:
            weight = sum_lanes(weight_lanes)
            sum_t = vset1(<real>weight)
            ratio = vset1(<real>(weight / (1.0 + rest)))
            excess = vset1(<real>(weight * rest / (1.0 + rest)))
            i = 0
            while i < columns:
                t = smoothed(load_first(labels + i, columns - i), smoothing, share)
                logits = load_first(z + i, columns - i)
                slope = vfma(load_first(d + i, columns - i), ratio, -t)
                # A sure prediction's q sum(t) - t, without cancellation.
                slope = vselect(veq(logits, top), (sum_t - t) - excess, slope)
                store_first(d + i, factor * slope, columns - i)
                i += VL
            d += columns
        z += columns
        labels += columns


# values[r] = -log q_label, with q = softmax(z); gradient by z_j: q_j - [j = label]
cdef void sparse_categorical_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    cdef const real* z = <const real*>prediction
    cdef const int32_t* labels = <const int32_t*>target
    cdef real* d = <real*>dy
    cdef double rest
    cdef real top
    cdef vreal factor
    cdef Py_ssize_t row, label, i
    for row in range(rows):
        label = labels[row]
        rest = softmax_rest(d, &top, z, columns)
        values[row] = (<double>top - <double>z[label]) + first_lane(vlog1p(vset1(<real>rest)))
        if d != NULL:
            factor = vset1(<real>(scale / (1.0 + rest)))
            i = 0
            while i < columns:
                store_first(d + i, factor * load_first(d + i, columns - i), columns - i)
                i += VL
            if z[label] == top:
                d[label] = <real>(-scale * rest / (1.0 + rest))
            else:
                d[label] -= <real>scale
            d += columns
        z += columns


# values[r] = -sum_j t_j log clip(u_j), with u = p / sum(p)
# Gradient by p_j: (s - t_j / u_j) / sum(p) with s = sum of t, both over what is not clipped only.
cdef void categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    cdef vreal smoothing = vset1(<real>options[0]), share = vset1(<real>(1.0 / columns))
    cdef const real* p = <const real*>prediction
    cdef const real* labels = <const real*>target
    cdef real* d = <real*>dy
    cdef real[LANES] losses, weights
    cdef double[LANES] loss_lanes, weight_lanes
    cdef double total
    cdef vreal t, u, q, sum_p, factor, weight
    cdef Py_ssize_t row, i, j
    for row in range(rows):
        total = row_sum(p, columns)
        sum_p = vset1(<real>total)
        clear_lanes(loss_lanes)
        clear_lanes(weight_lanes)
        i = 0
        while i < columns:
            j = i
            while j < min(i + LANES, columns):
                t = smoothed(load_first(labels + j, columns - j), smoothing, share)
                u = load_first(p + j, columns - j) / sum_p
                q = clipped(u)
                vstore(losses + (j - i), -(t * vlog(q)))
                t = vselect(is_outside(u), vzero(), t)
                vstore(weights + (j - i), t)
                if d != NULL:
                    store_first(d + j, t / q, columns - j)
                j += VL
            add_strip(loss_lanes, losses, columns - i)
            add_strip(weight_lanes, weights, columns - i)
            i += LANES
        values[row] = sum_lanes(loss_lanes)
        if d != NULL:
            weight = vset1(<real>sum_lanes(weight_lanes))
            factor = vset1(<real>(scale / total))
            i = 0
            while i < columns:
                store_first(d + i, factor * (weight - load_first(d + i, columns - i)), columns - i)
                i += VL
            d += columns
        p += columns
        labels += columns


# values[r] = -log clip(u_label), with u = p / sum(p)
# Gradient by p_j: (1 - [j = label] / u_label) / sum(p), or 0 where u_label is clipped.
cdef void sparse_categorical_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const int32_t* labels = <const int32_t*>target
    cdef real* d = <real*>dy
    cdef double total, u, factor
    cdef Py_ssize_t row, i
    for row in range(rows):
        total = row_sum(p, columns)
        u = p[labels[row]] / total
        factor = scale / total
        if u < CLIP:
            u = CLIP
            factor = 0.0
        elif u > 1.0 - CLIP:
            u = 1.0 - CLIP
            factor = 0.0
        values[row] = -first_lane(vlog(vset1(<real>u)))
        if d != NULL:
            for i in range(columns):
                d[i] = <real>factor
            d[labels[row]] = <real>(factor * (u - 1.0) / u)
            d += columns
        p += columns


# ---- the table ----------------------------------------------------------------------------------

cdef void mean_squared_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(squared_error, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void mean_absolute_error_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(absolute_error, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void huber_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(huber, values, dy, prediction, target, rows, columns, options[0], scale)


cdef void log_cosh_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(log_cosh, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void poisson_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(poisson, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void hinge_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(hinge, values, dy, prediction, target, rows, columns, 0.0, scale)


cdef void binary_crossentropy_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_crossentropy, values, dy, prediction, target, rows, columns, options[0], scale)


cdef void binary_crossentropy_logits_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_crossentropy_logits, values, dy, prediction, target, rows, columns, options[0],
                scale)


cdef Loss[13] LOSSES = [
    Loss("mean_squared_error", mean_squared_error_loss),
    Loss("mean_absolute_error", mean_absolute_error_loss),
    Loss("huber", huber_loss),
    Loss("log_cosh", log_cosh_loss),
    Loss("poisson", poisson_loss),
    Loss("hinge", hinge_loss),
    Loss("binary_crossentropy", binary_crossentropy_loss),
    Loss("binary_crossentropy_logits", binary_crossentropy_logits_loss),
    Loss("categorical_crossentropy", categorical_crossentropy),
    Loss("categorical_crossentropy_logits", categorical_crossentropy_logits),
    Loss("sparse_categorical_crossentropy", sparse_categorical_crossentropy),
    Loss("sparse_categorical_crossentropy_logits", sparse_categorical_crossentropy_logits),
    Loss(NULL, NULL),
]


# ---- one loss on arrays -------------------------------------------------------------------------

# The arrays are given by address; dy may be 0.
def apply_loss(str name, size_t values, size_t dy, size_t prediction, size_t target,
               Py_ssize_t rows, Py_ssize_t columns, options, double scale):
    cdef double[2] numbers
    cdef Py_ssize_t i = 0, k
    for k, option in enumerate(options):
        numbers[k] = option
    wanted = name.encode()
    while LOSSES[i].name != NULL:
        if LOSSES[i].name == wanted:
            with nogil:
                LOSSES[i].compute(<double*>values, <void*>dy, <const void*>prediction,
                                  <const void*>target, rows, columns, numbers, scale)
            return
        i += 1
    raise KeyError(name)
