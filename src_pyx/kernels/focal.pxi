# Focal crossentropy of several classes: what is right already counts less.
#
# Design: rules for `dense_crossentropy` (see crossentropy.pxi), with q the probabilities: the value is
# alpha sum_j t_j (1 - q_j)^gamma -log q_j.                                          (Lin et al. 2017)

# With l_j = -log q_j and B_j = (1 - q_j)^gamma (1 + gamma q_j l_j / (1 - q_j)) the gradient by z_j is
# alpha (q_j sum(t B) - t_j B_j). Of the largest 1 - q is rest / (1 + rest), where l (1 + rest) / rest goes to 1.
cdef inline vreal focal_logits(const bint across, real* d, const real* z, const Distribution* target,
                               Py_ssize_t n, const CrossentropyOptions* options) noexcept nogil:
    cdef RowSum loss, pull
    cdef vreal one = vset1(1), top = largest_of(across, z, n), rest = rest_of(across, NULL, z, n, top)
    cdef vreal log_total = vlog1p(rest), share = one / (one + rest)
    cdef vreal top_log_wrong = vlog(rest) - log_total
    cdef vreal top_ratio = vselect(veq(rest, vzero()), one, log_total / rest)
    cdef vreal t, logits, q, loss_part, factor, ratio, sum_t, excess, slope
    cdef vmask is_top
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&loss)
    clear_sum(&pull)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = shares_at(across, target, i, n, options)
                logits = load_first(z + i, n - i)
                is_top = veq(logits, top)
                q = power_below(logits, top) * share
                loss_part = (top - logits) + log_total
                factor = power_by_log(vselect(is_top, top_log_wrong, vlog(one - q)), vzero(), options.gamma)
                factor = options.alpha * factor
                add_to_sum(&loss, part, t * (factor * loss_part))
                if d != NULL:
                    ratio = vselect(is_top, top_ratio, q * loss_part / (one - q))
                    factor = t * (factor * vfma(options.gamma, ratio, one))
                    add_to_sum(&pull, part, factor)
                    store_first(d + i, factor, n - i)
                i += VL
    if d != NULL:
        sum_t = sum_of(across, &pull)
        excess = rest * share * sum_t
        i = 0
        while i < n:
            logits = load_first(z + i, n - i)
            t = load_first(d + i, n - i)
            slope = vfma(power_below(logits, top) * share, sum_t, -t)
            slope = vselect(veq(logits, top), (sum_t - t) - excess, slope)
            store_first(d + i, without_traces(options.scale * slope), n - i)
            i += VL
    return sum_of(across, &loss)


# With u = p / sum(p), q = clip(u) and C_j = (1 - q_j)^gamma (1 / q_j - gamma log q_j / (1 - q_j)) the gradient by
# p_j is alpha (sum(t C u) - t_j C_j) / sum(p), of what is not clipped only.
cdef inline vreal focal_probabilities(const bint across, real* d, const real* p, const Distribution* target,
                                      Py_ssize_t n, const CrossentropyOptions* options) noexcept nogil:
    cdef RowSum loss, pull
    cdef vreal one = vset1(1), total = row_total(across, p, n), t, u, q, loss_part, factor, sum_t
    cdef Py_ssize_t i = 0
    cdef int part
    clear_sum(&loss)
    clear_sum(&pull)
    while i < n:
        for part in range(parts_of(across)):
            if i < n:
                t = shares_at(across, target, i, n, options)
                u = load_first(p + i, n - i) / total
                q = clipped(u)
                loss_part = -vlog(q)
                factor = options.alpha * power_by_log(vlog1p(-q), vzero(), options.gamma)
                add_to_sum(&loss, part, t * (factor * loss_part))
                if d != NULL:
                    factor = factor * (one / q + options.gamma * (loss_part / (one - q)))
                    factor = vselect(is_outside(u), vzero(), t * factor)
                    add_to_sum(&pull, part, factor * u)
                    store_first(d + i, factor, n - i)
                i += VL
    if d != NULL:
        sum_t = sum_of(across, &pull)
        factor = options.scale / total
        i = 0
        while i < n:
            store_first(d + i, factor * (sum_t - load_first(d + i, n - i)), n - i)
            i += VL
    return far_if_not_in_range(total, sum_of(across, &loss))


# ---- one row again, in double ---------------------------------------------------------------------

# alpha (1 - q)^gamma, from what is wrong with q
cdef inline double far_factor(const FarTarget* target, double wrong) noexcept nogil:
    return target.alpha * <double>first_lane(power_by_log(vlog(vset1(<real>wrong)), vzero(), vset1(<real>target.gamma)))


cdef double far_focal_logits(real* d, const real* z, const FarTarget* target, Py_ssize_t n,
                             double scale) noexcept nogil:
    cdef vreal highest = largest_of(False, z, n), others = rest_of(False, NULL, z, n, highest)
    cdef double top = first_lane(highest), rest = first_lane(others), half = 0.0, sum_t = 0.0, t, q, wrong, half_loss
    cdef double half_log = 0.5 * first_lane(vlog1p(others)), ratio, factor
    cdef Py_ssize_t i
    cdef int turn
    # Twice, since the gradient needs what all add up to.
    for turn in range(2 if d != NULL else 1):
        for i in range(n):
            t = share_of(target, i, n)
            q = first_lane(power_below(vset1(z[i]), highest)) / (1.0 + rest)
            wrong = 1.0 - q if z[i] != top else rest / (1.0 + rest)
            half_loss = (0.5 * top - 0.5 * z[i]) + half_log
            factor = far_factor(target, wrong)
            ratio = 2.0 * (q * half_loss) / wrong if wrong > 0.0 else 1.0
            if turn == 0:
                # A class that has no share may be infinitely far below.
                if t != 0.0 or z[i] != z[i]:
                    half += t * factor * half_loss
                sum_t += t * factor * (1.0 + target.gamma * ratio)
            else:
                t *= factor * (1.0 + target.gamma * ratio)
                ratio = (sum_t - t) - rest / (1.0 + rest) * sum_t if z[i] == top else q * sum_t - t
                d[i] = <real>(scale * ratio)
    return 2.0 * half


cdef double far_focal_probabilities(real* d, const real* p, const FarTarget* target, Py_ssize_t n,
                                    double scale) noexcept nogil:
    cdef double unit = far_unit(p, n), value = 0.0, sum_t = 0.0, total, q, loss_part, factor, slope
    cdef vreal u
    cdef Py_ssize_t i
    cdef int turn
    total = far_total(p, n, unit)
    for turn in range(2 if d != NULL else 1):
        for i in range(n):
            u = vset1(<real>(unit * <double>p[i] / total))
            q = first_lane(clipped(u))
            loss_part = -<double>first_lane(vlog(clipped(u)))
            factor = share_of(target, i, n) * far_factor(target, 1.0 - q)
            slope = factor * (1.0 / q + target.gamma * loss_part / (1.0 - q))
            if vany(is_outside(u)):
                slope = 0.0
            if turn == 0:
                value += factor * loss_part
                # What is clipped may be infinitely far off.
                sum_t += slope * first_lane(u) if slope != 0.0 else 0.0
            else:
                slope = sum_t - slope
                # Where all is clipped, a sum of 0 changes nothing.
                d[i] = <real>(scale * slope / total * unit) if slope != 0.0 else 0.0
    return value


cdef void categorical_focal_crossentropy(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(focal_probabilities, far_focal_probabilities, values, dy, prediction, target, rows, columns, options,
                       True, scale)


cdef void categorical_focal_crossentropy_logits(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    dense_crossentropy(focal_logits, far_focal_logits, values, dy, prediction, target, rows, columns, options,
                       True, scale)
