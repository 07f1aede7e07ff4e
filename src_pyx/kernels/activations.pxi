# Activations that act element by element, and their derivatives.
#
# Design: one activation is one function of a vector z that gives the value and, beside it, the
# derivative at z (the slope), which share their work. The slope comes from z and not from the value,
# so that it is right where the value is saturated. `sweep` runs it over an array; where the slope is
# not wanted the compiler drops its part. Value and slope are within 16 ULP of the true ones from
# -inf to inf, roots and underflow included, and NaN gives NaN in both.
#
# Gradients are without traces (see simd.pxi): where a network is saturated they would be subnormal numbers.
#
# linear, relu, relu6, leaky_relu and exponential need no slope kept: their derivative is as well known from y.

ctypedef void (*activation_rule)(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil
ctypedef vreal (*gradient_rule)(vreal dy, vreal y, vreal option) noexcept nogil


# Vectors that a sweep works on at a time: one alone waits for itself.
cdef enum: AT_ONCE = 4


cdef inline void sweep_vector(const activation_rule rule, const bint keep, const bint ragged,
                              real* y, real* slope, vtail tail, vreal option) noexcept nogil:
    cdef vreal value, derivative
    rule(load_part(ragged, y, tail), option, &value, &derivative)
    store_part(ragged, y, value, tail)
    if keep:
        store_part(ragged, slope, derivative, tail)


# y = value(y), slope = slope(y) if `keep`
cdef inline void sweep_array(const activation_rule rule, const bint keep, real* y, real* slope,
                             Py_ssize_t n, vreal option) noexcept nogil:
    cdef vreal[AT_ONCE] values, slopes
    cdef Py_ssize_t i = 0
    cdef int k
    while i + AT_ONCE * VL <= n:
        for k in range(AT_ONCE):
            values[k] = vload(y + i + k * VL)
        for k in range(AT_ONCE):
            rule(values[k], option, &values[k], &slopes[k])
        for k in range(AT_ONCE):
            vstore(y + i + k * VL, values[k])
            if keep:
                vstore(slope + i + k * VL, slopes[k])
        i += AT_ONCE * VL
    while i + VL <= n:
        sweep_vector(rule, keep, False, y + i, slope + i, vtail_of(0), option)
        i += VL
    if i < n:
        sweep_vector(rule, keep, True, y + i, slope + i, vtail_of(n - i), option)


cdef inline void sweep(const activation_rule rule, void* y, void* slope, Py_ssize_t n,
                       double option) noexcept nogil:
    if slope == NULL:
        sweep_array(rule, False, <real*>y, NULL, n, vset1(<real>option))
    else:
        sweep_array(rule, True, <real*>y, <real*>slope, n, vset1(<real>option))


# dy = rule(dy, y); traces are left out where the rule shrinks (a constant): a relu passes on what it is given,
# from which those before it have left them out.
cdef inline void sweep_back(const gradient_rule rule, const bint shrinks, void* gradient, const void* given,
                            Py_ssize_t n, double option) noexcept nogil:
    cdef real* dy = <real*>gradient
    cdef const real* y = <const real*>given
    cdef vreal setting = vset1(<real>option), dz
    cdef Py_ssize_t i = 0
    while i + VL <= n:
        dz = rule(vload(dy + i), vload(y + i), setting)
        vstore(dy + i, without_traces(dz) if shrinks else dz)
        i += VL
    if i < n:
        dz = rule(load_first(dy + i, n - i), load_first(y + i, n - i), setting)
        store_first(dy + i, without_traces(dz) if shrinks else dz, n - i)


# 0 without a NaN, else NaN.
cdef inline vreal zero_or_nan(vreal z) noexcept nogil:
    return vmin(vzero(), vabs(z))


cdef inline vreal times_slope(vreal dy, vreal slope, vreal option) noexcept nogil:
    return dy * slope


cdef void slope_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                         const double* options) noexcept nogil:
    sweep_back(times_slope, True, dy, slope, n, 0.0)


# ---- linear: z -----------------------------------------------------------------------------------

cdef inline void linear(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    value[0] = z
    slope[0] = vset1(1.0)


cdef void linear_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    if slope != NULL:
        sweep(linear, y, slope, n, 0.0)


cdef void linear_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                          const double* options) noexcept nogil:
    pass


# ---- relu: max(0, z); slope 0 at 0 (V. Nair and G. Hinton, ICML 2010) ----------------------------

cdef inline vreal relu_gradient(vreal dy, vreal y, vreal option) noexcept nogil:
    # Where y is not positive it is 0 or NaN, and so is the gradient.
    return vselect(vlt(vzero(), y), dy, y)


cdef inline void relu(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    value[0] = vmax(vzero(), z)
    slope[0] = relu_gradient(vset1(1.0), value[0], option)


cdef void relu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(relu, y, slope, n, 0.0)


cdef void relu_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                        const double* options) noexcept nogil:
    sweep_back(relu_gradient, False, dy, y, n, 0.0)


# ---- relu6: min(6, max(0, z)); slope 0 at 0 and 6 (A. Krizhevsky, 2010) ---------------------------

cdef inline vreal clamped_to_6(vreal z) noexcept nogil:
    return vmin(vset1(6.0), vmax(vzero(), z))


cdef inline vreal relu6_gradient(vreal dy, vreal y, vreal option) noexcept nogil:
    return vselect(vand(vlt(vzero(), y), vlt(y, vset1(6.0))), dy, zero_or_nan(y))


cdef inline void relu6(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    value[0] = clamped_to_6(z)
    slope[0] = relu6_gradient(vset1(1.0), value[0], option)


cdef void relu6_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(relu6, y, slope, n, 0.0)


cdef void relu6_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                         const double* options) noexcept nogil:
    sweep_back(relu6_gradient, False, dy, y, n, 0.0)


# ---- leaky_relu: z where z > 0, else negative_slope z, negative_slope >= 0 (A. Maas et al., ICML 2013)

cdef inline vreal leaky_relu_gradient(vreal dy, vreal y, vreal negative_slope) noexcept nogil:
    # What is neither positive nor at most 0 is NaN.
    return vselect(vlt(vzero(), y), dy, vselect(vle(y, vzero()), negative_slope * dy, y))


cdef inline void leaky_relu(vreal z, vreal negative_slope, vreal* value, vreal* slope) noexcept nogil:
    value[0] = vselect(vlt(vzero(), z), z, negative_slope * z)
    slope[0] = leaky_relu_gradient(vset1(1.0), value[0], negative_slope)


cdef void leaky_relu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    # 0 times -inf would be NaN.
    if <real>options[0] == 0.0:
        sweep(relu, y, slope, n, 0.0)
    else:
        sweep(leaky_relu, y, slope, n, options[0])


cdef void leaky_relu_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                              const double* options) noexcept nogil:
    sweep_back(leaky_relu_gradient, True, dy, y, n, options[0])


# ---- elu: z where z > 0, else alpha (e^z - 1) (D.-A. Clevert et al., ICLR 2016) ------------------

cdef inline void scaled_elu(vreal z, vreal scale, vreal scaled_alpha,
                            vreal* value, vreal* slope) noexcept nogil:
    cdef vreal root, m = exp_reduced(exp_clamped(z), vset1(-0.0), &root)
    cdef vmask positive = vlt(vzero(), z)
    cdef vreal below = vcopysign(scaled_alpha * expm1_restored(m, root * root, vset1(1.0)), z)
    value[0] = vselect(positive, scale * z, below)
    slope[0] = vselect(positive, scale, scaled_alpha * vfma(root, m, root) * root)


cdef inline void elu(vreal z, vreal alpha, vreal* value, vreal* slope) noexcept nogil:
    scaled_elu(z, vset1(1.0), alpha, value, slope)


cdef void elu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(elu, y, slope, n, options[0])


# ---- selu: scale elu(z, alpha), which keeps mean 0 and variance 1 (G. Klambauer et al., NeurIPS 2017)

cdef inline void selu(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    scaled_elu(z, vset1(1.0507009873554805), vset1(1.7580993408473768), value, slope)


cdef void selu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(selu, y, slope, n, 0.0)


# ---- gelu: z Phi(z) (D. Hendrycks and K. Gimpel, 2016) -------------------------------------------

cdef inline vreal near_root(vreal distance, vreal curve, vreal far) noexcept nogil:
    # `far` loses its digits where it crosses zero; there the root's own polynomial takes over.
    return vselect(vlt(vabs(distance), vset1(0.25)), distance * curve, far)


cdef inline void gate(vreal z, vreal lost, vreal left, vreal* value, vreal* slope) noexcept nogil:
    # z g(z) with g(z) + g(-z) = 1, given what it lacks of relu, lost = a g(-a) at a = |z|, and its
    # derivative at -a, left.
    value[0] = vmax(vzero(), z) - lost
    slope[0] = vselect(vlt(z, vzero()), left, vset1(1.0) - left)


cdef inline void gelu(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    # With e = e^(-a^2 / 2) and Phi(-a) = e mills(a):
    # lost = e a mills(a),  left = e (mills(a) - a / sqrt(2 pi))
    cdef vreal half = vset1(-0.5), a = vmin(vconst(15.5, 40.0), vabs(z))
    cdef vreal square = a * a
    cdef vreal root, tail = mills(a)
    cdef vreal power = exp_rooted(half * square, half * vmul_error(a, a, square), &root)
    cdef vreal distance = (a - gelu_root_high()) - gelu_root_low()
    cdef vreal bracket = near_root(distance, gelu_near_root(distance),
                                   vfnma(inverse_sqrt_2pi(), a, tail))
    gate(z, power * (a * tail) * root, power * bracket * root, value, slope)


cdef void gelu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(gelu, y, slope, n, 0.0)


# ---- silu: z sigmoid(z) (S. Elfwing et al., Neural Networks 107, 2018) ---------------------------

cdef inline void sigmoid_gate(vreal z, vreal a, vreal power, vreal root, vreal share, vreal bracket,
                              vreal* value, vreal* slope) noexcept nogil:
    # z sigmoid(v(z)), v odd. With e = e^-v(a) = power root and share = 1 / (1 + e):
    # lost = e a share,  left = e share^2 bracket,  bracket = 1 + e - a v'(a)
    gate(z, power * (a * share) * root, power * bracket * (share * share) * root, value, slope)


cdef inline void silu(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1.0), a = vmin(vconst(120.0, 800.0), vabs(z))
    cdef vreal root, power = exp_rooted(-a, vset1(-0.0), &root)
    cdef vreal total = vfma(power, root, one)
    cdef vreal distance = (a - silu_root_high()) - silu_root_low()
    cdef vreal bracket = near_root(distance, silu_near_root(distance), total - a)
    sigmoid_gate(z, a, power, root, one / total, bracket, value, slope)


cdef void silu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(silu, y, slope, n, 0.0)


# ---- hard_sigmoid: relu6(z + 3) / 6; slope 0 at -3 and 3 (A. Howard et al., ICCV 2019) -----------

cdef inline void hard_sigmoid(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    # Near its root z + 3 is exact. Just below 3 it is 6, so the slope does not come from the value.
    cdef vreal sixth = vset1(1.0 / 6.0)
    value[0] = clamped_to_6(z + vset1(3.0)) * sixth
    slope[0] = vselect(vlt(vabs(z), vset1(3.0)), sixth, zero_or_nan(z))


cdef void hard_sigmoid_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(hard_sigmoid, y, slope, n, 0.0)


# ---- hard_silu: z hard_sigmoid(z); slope 0 at -3, 1 at 3 (the same paper) ------------------------

cdef inline void hard_silu(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    cdef vreal three = vset1(3.0), share, inner
    hard_sigmoid(z, option, &share, &inner)
    value[0] = vmax(-three, z) * share
    # Near its root 2 z + 3 is exact.
    slope[0] = vselect(vlt(vabs(z), three), (z + z + three) * inner, share)


cdef void hard_silu_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(hard_silu, y, slope, n, 0.0)


# ---- gelu_tanh: z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2 (Hendrycks and Gimpel, 2016) ---

cdef inline vreal gelu_tanh_exponent(vreal a, vreal* low) noexcept nogil:
    # v = a (linear + cubic a^2) and what rounding left of it (T. J. Dekker, Numer. Math. 18, 1971).
    cdef vreal square = a * a, linear = gelu_linear_high(), cubic = gelu_cubic_high()
    cdef vreal term = cubic * square
    cdef vreal rest = (vmul_error(cubic, square, term) + cubic * vmul_error(a, a, square)
                       + gelu_cubic_low() * square)
    cdef vreal factor = linear + term
    cdef vreal part = factor - linear
    cdef vreal v = a * factor
    rest = rest + ((linear - (factor - part)) + (term - part)) + gelu_linear_low()
    low[0] = vfma(a, rest, vmul_error(a, factor, v))
    return v


cdef inline void gelu_tanh(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    # (1 + tanh(v / 2)) / 2 = sigmoid(v)
    cdef vreal one = vset1(1.0), a = vmin(vconst(11.5, 22.25), vabs(z)), low, root
    cdef vreal v = gelu_tanh_exponent(a, &low)
    cdef vreal power = exp_rooted(-v, -low, &root)
    cdef vreal total = vfma(power, root, one)
    cdef vreal dv = vfma(vset1(3.0) * gelu_cubic_high(), a * a, gelu_linear_high())
    cdef vreal distance = (a - gelu_tanh_root_high()) - gelu_tanh_root_low()
    cdef vreal bracket = near_root(distance, gelu_tanh_near_root(distance), vfnma(a, dv, total))
    sigmoid_gate(z, a, power, root, one / total, bracket, value, slope)


cdef void gelu_tanh_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(gelu_tanh, y, slope, n, 0.0)


# ---- sigmoid: 1 / (1 + e^-z); slope sigmoid(z) sigmoid(-z) ---------------------------------------

cdef inline void sigmoid(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1.0), decay = decay_of(z)
    cdef vreal share = one / (one + decay)
    value[0] = sigmoid_of_decay(z, decay, share)
    slope[0] = decay * share * share


cdef void sigmoid_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(sigmoid, y, slope, n, 0.0)


# ---- softplus: log(1 + e^z) = max(0, z) + log1p(e^-|z|); slope sigmoid(z) (C. Dugas et al., NeurIPS 2000)

cdef inline void softplus(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    cdef vreal share, decay = decay_of(z)
    value[0] = vmax(vzero(), z) + log1p_of_decay(decay, &share)
    slope[0] = sigmoid_of_decay(z, decay, share)


cdef void softplus_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(softplus, y, slope, n, 0.0)


# ---- mish: z tanh(log(1 + e^z)) (D. Misra, BMVC 2020) --------------------------------------------

cdef inline void mish(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    # With a = |z| and e = e^-a = power root, tanh(log(1 + e^z)) is a quotient of polynomials of e:
    # z < 0:  e (2 + e) / total,  total = 2 + 2 e + e^2,  slope = e bracket / total^2,
    #         bracket = 4 - 4 a + e (6 - 4 a + e (4 + e))
    # z > 0:  part / total,  part = 1 + 2 e,  total = 1 + 2 e + 2 e^2,
    #         slope = (part total + 4 a e^2 (1 + e)) / total^2
    cdef vreal one = vset1(1.0), two = vset1(2.0), four = vset1(4.0)
    cdef vreal a = vmin(vconst(120.0, 800.0), vabs(z))
    cdef vreal root, power = exp_rooted(-a, vset1(-0.0), &root)
    cdef vreal e = power * root
    cdef vreal four_a = four * a, above = one + e, part = vfma(two, e, one)
    cdef vmask negative = vlt(z, vzero())
    cdef vreal total = vselect(negative, vfma(e, two + e, two), vfma(e, two * above, one))
    cdef vreal inverse = one / total
    cdef vreal distance = (a - mish_root_high()) - mish_root_low()
    cdef vreal bracket = near_root(distance, mish_near_root(distance),
                                   vfma(e, vfma(e, four + e, vset1(6.0) - four_a), four - four_a))
    value[0] = vselect(negative, -(power * (a * (two + e) * inverse) * root), z * (part * inverse))
    slope[0] = vselect(negative, power * (bracket * (inverse * inverse)) * root,
                       vfma(four_a * (e * e), above, part * total) * (inverse * inverse))


cdef void mish_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(mish, y, slope, n, 0.0)


# ---- exponential: e^z, which is its own slope ----------------------------------------------------

cdef inline void exponential(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    value[0] = slope[0] = vexp(z)


cdef void exponential_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(exponential, y, slope, n, 0.0)


cdef void exponential_backward(void* dy, const void* y, const void* slope, Py_ssize_t n,
                               const double* options) noexcept nogil:
    slope_backward(dy, y, y, n, options)


# ---- tanh; slope 1 - tanh^2 = e^-2a (1 + tanh a)^2 at a = |z| ------------------------------------

cdef inline void tanh(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    cdef vreal decay, below = minus_tanh_abs(z, &decay)
    cdef vreal above = vset1(1.0) - below
    value[0] = vcopysign(below, z)
    slope[0] = decay * above * above


cdef void tanh_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(tanh, y, slope, n, 0.0)


# ---- softsign: z / (1 + |z|); slope 1 / (1 + |z|)^2 (J. Turian et al., NAACL 2009) ---------------

cdef inline void softsign(vreal z, vreal option, vreal* value, vreal* slope) noexcept nogil:
    # A large number stands for those whose inverse is not normal.
    cdef vreal a = vmin(vconst(1e30, 1e300), vabs(z))
    cdef vreal inverse = vset1(1.0) / (vset1(1.0) + a)
    value[0] = vcopysign(a * inverse, z)
    slope[0] = inverse * inverse


cdef void softsign_forward(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil:
    sweep(softsign, y, slope, n, 0.0)


# ---- the table -----------------------------------------------------------------------------------

cdef enum: COUNT_ACTIVATIONS = 17

cdef Activation[COUNT_ACTIVATIONS + 1] ACTIVATIONS = [
    Activation("linear", False, linear_forward, linear_backward),
    Activation("relu", False, relu_forward, relu_backward),
    Activation("relu6", False, relu6_forward, relu6_backward),
    Activation("leaky_relu", False, leaky_relu_forward, leaky_relu_backward),
    Activation("elu", True, elu_forward, slope_backward),
    Activation("selu", True, selu_forward, slope_backward),
    Activation("gelu", True, gelu_forward, slope_backward),
    Activation("gelu_tanh", True, gelu_tanh_forward, slope_backward),
    Activation("silu", True, silu_forward, slope_backward),
    Activation("mish", True, mish_forward, slope_backward),
    Activation("hard_silu", True, hard_silu_forward, slope_backward),
    Activation("hard_sigmoid", True, hard_sigmoid_forward, slope_backward),
    Activation("sigmoid", True, sigmoid_forward, slope_backward),
    Activation("softplus", True, softplus_forward, slope_backward),
    Activation("softsign", True, softsign_forward, slope_backward),
    Activation("exponential", False, exponential_forward, exponential_backward),
    Activation("tanh", True, tanh_forward, slope_backward),
    Activation(NULL, False, NULL, NULL),
]


cdef const Activation* find_activation(str name) except NULL:
    cdef bytes wanted = name.encode()
    cdef const Activation* entry = ACTIVATIONS
    while entry.name != NULL:
        if strcmp(entry.name, wanted) == 0:
            return entry
        entry += 1
    raise KeyError(name)


def apply_activation(str name, size_t y, size_t slope, Py_ssize_t n, options):
    """y = f(y), slope = f'(y); both are addresses of n reals, slope may be 0."""
    cdef fw_float_mode mode
    cdef const Activation* f = find_activation(name)
    cdef double[OPTIONS] numbers
    read_options(numbers, options)
    with nogil:
        mode = fw_enter_float_mode()
        f.forward(<void*>y, <void*>slope, n, numbers)
        fw_leave_float_mode(mode)


def apply_activation_gradient(str name, size_t dy, size_t y, size_t slope, Py_ssize_t n, options):
    """dy *= f', from what `apply_activation` left in y and slope."""
    cdef fw_float_mode mode
    cdef const Activation* f = find_activation(name)
    cdef double[OPTIONS] numbers
    read_options(numbers, options)
    with nogil:
        mode = fw_enter_float_mode()
        f.backward(<void*>dy, <const void*>y, <const void*>slope, n, numbers)
        fw_leave_float_mode(mode)
