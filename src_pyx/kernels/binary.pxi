# Crossentropy of two classes, each output on its own; also focal, which counts less what is right already.

# t drawn towards `share`: (1 - smoothing) t + smoothing * share              (Szegedy et al. 2016)
cdef inline vreal smoothed(vreal t, vreal smoothing, vreal share) noexcept nogil:
    return vfma(smoothing, share - t, t)


cdef inline vreal clipped(vreal p) noexcept nogil:
    return vmin(vset1(<real>(1.0 - CLIP)), vmax(vset1(<real>CLIP), p))


cdef inline vmask is_outside(vreal p) noexcept nogil:
    return vor(vlt(p, vset1(<real>CLIP)), vlt(vset1(<real>(1.0 - CLIP)), p))


# -(t log q + (1 - t) log(1 - q)), with q = clip(p)
cdef inline vreal binary_crossentropy(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), q = clipped(p)
    t = smoothed(t, options[0], vset1(<real>0.5))
    slope[0] = vselect(is_outside(p), vzero(), (q - t) / (q * (one - q)))
    return -vfma(t, vlog(q), (one - t) * vlog1p(-q))


# The same of q = sigmoid(z): max(z, 0) - z t + log(1 + exp(-|z|)), with slope q - t.
# With w = t for z < 0, else 1 - t, it is |z| w + log(1 + exp(-|z|)): nothing cancels.
cdef inline vreal binary_crossentropy_logits(vreal z, vreal t, const vreal* options,
                                             vreal* slope) noexcept nogil:
    cdef vreal e = decay_of(z), share
    cdef vreal log_part = log1p_of_decay(e, &share)
    cdef vmask is_negative = vlt(z, vzero())
    cdef vreal w, difference
    t = smoothed(t, options[0], vset1(<real>0.5))
    w = vselect(is_negative, t, vset1(1) - t)
    difference = vfma(e, share, -w)
    slope[0] = without_traces(vselect(is_negative, difference, -difference))
    return vfma(vabs(z), w, log_part)


# No more of a value than options[1]; the slope knows nothing of it.
cdef inline vreal within_limit(vreal value, const vreal* options) noexcept nogil:
    return vselect(vlt(options[1], value), options[1], value)


cdef inline vreal limited_binary_crossentropy(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    return within_limit(binary_crossentropy(p, t, options, slope), options)


cdef inline vreal limited_binary_crossentropy_logits(vreal z, vreal t, const vreal* options,
                                                     vreal* slope) noexcept nogil:
    return within_limit(binary_crossentropy_logits(z, t, options, slope), options)


# ---- focal: m^gamma times the crossentropy and a weight of the target -----------------------------
# m = t (1 - q) + (1 - t) q is how wrong q is                                        (Lin et al. 2017)
# options: smoothing, gamma, the weight of 0, and how much more that of 1 is

cdef enum:
    FOCAL_OPTIONS = 4


# base^exponent, of log(base) = high + low and exponent >= 0; 0^0 is 1.
cdef inline vreal power_by_log(vreal high, vreal low, vreal exponent) noexcept nogil:
    cdef vreal clamped = vmax(vset1(-LARGEST), high)
    cdef vreal product = exponent * clamped
    cdef vreal rest = vfma(exponent, low, vmul_error(exponent, clamped, product))
    return vexp_sum(product, vselect(vlt(exp_least(), product), rest, vzero()))


cdef inline vreal binary_focal_crossentropy(vreal p, vreal t, const vreal* options, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), q = clipped(p), gamma = options[1], value, wrong, weight
    t = smoothed(t, options[0], vset1(<real>0.5))
    value = -vfma(t, vlog(q), (one - t) * vlog1p(-q))
    wrong = vfma(t, one - q, (one - t) * q)
    weight = power_by_log(vlog(wrong), vzero(), gamma) * vfma(t, options[3], options[2])
    slope[0] = vselect(is_outside(p), vzero(),
                       weight * ((q - t) / (q * (one - q)) + gamma * (value * ((one - t) - t) / wrong)))
    return weight * value


# With e = exp(-|z|), q = sigmoid(z) and w as for the crossentropy: m = (w + (1 - w) e) / (1 + e), and
# dm / m = (1 - 2 w) e / ((1 + e) (w + (1 - w) e)), with the sign of z. Where w is 0, e is not divided by itself.
cdef inline vreal binary_focal_crossentropy_logits(vreal z, vreal t, const vreal* options,
                                                   vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), e = decay_of(z), size = vabs(z), gamma = options[1], share
    cdef vreal log_part = log1p_of_decay(e, &share)
    cdef vmask is_negative = vlt(z, vzero()), is_right
    cdef vreal w, value, mix, log_mix, log_wrong, weight, ratio, difference
    t = smoothed(t, options[0], vset1(<real>0.5))
    w = vselect(is_negative, t, one - t)
    is_right = veq(w, vzero())
    value = vfma(size, w, log_part)
    mix = vselect(is_right, one, vfma(e, one - w, w))
    log_mix = vselect(is_right, -size, vlog(mix))
    log_wrong = log_mix - log_part
    weight = power_by_log(log_wrong, vadd_error(log_mix, -log_part, log_wrong), gamma)
    weight = weight * vfma(t, options[3], options[2])
    ratio = vselect(is_right, share, e * share / mix)
    difference = vfma(e, share, -w) + gamma * (((one - w) - w) * (value * ratio))
    slope[0] = without_traces(weight * vselect(is_negative, difference, -difference))
    return weight * value


cdef void binary_crossentropy_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    if options[1] > 0.0:
        elementwise(limited_binary_crossentropy, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 2, scale)
    else:
        elementwise(binary_crossentropy, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 1, scale)


cdef void binary_crossentropy_logits_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    if options[1] > 0.0:
        elementwise(limited_binary_crossentropy_logits, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 2, scale)
    else:
        elementwise(binary_crossentropy_logits, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, 1, scale)


cdef void binary_focal_crossentropy_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_focal_crossentropy, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, FOCAL_OPTIONS, scale)


cdef void binary_focal_crossentropy_logits_loss(
    double* values, void* dy, const void* prediction, const void* target,
    Py_ssize_t rows, Py_ssize_t columns, const double* options, double scale,
) noexcept nogil:
    elementwise(binary_focal_crossentropy_logits, NULL, values, dy, prediction, target, rows, columns, <double>columns, options, FOCAL_OPTIONS, scale)
