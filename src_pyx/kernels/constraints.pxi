# What a step leaves of weights: norm, non_neg.
#
# A variable is (outer, along, inner). Each of its outer * inner groups is `along` weights, `inner` apart; groups are
# counted in the order in which their first weights lie.
#
# norm       w *= ((1 - rate) n + rate min(max(n, least), most)) / (n + 1e-7), n being the norm of a group;
#            the options are least, most and rate
# non_neg    w = max(w, 0); each weight is a group
#
# Norms are sums in double: of a group that lies by itself 16 chains, added by halves, of others one chain. So they are
# the same on every CPU level.

cdef enum: CHAINS = 16
cdef double NORM_EPSILON = 1e-7
cdef double LARGEST_DOUBLE = 1.7976931348623157e308


cdef inline double sum_by_halves(double* sums) noexcept nogil:
    cdef int k, half = CHAINS // 2
    while half > 0:
        for k in range(half):
            sums[k] += sums[k + half]
        half //= 2
    return sums[0]


# The sum of the squares of n weights that follow each other, each times scale.
cdef inline double sum_of_squares(const real* w, Py_ssize_t n, double scale) noexcept nogil:
    cdef double[CHAINS] sums
    cdef Py_ssize_t i = 0
    cdef int k
    cdef double value
    for k in range(CHAINS):
        sums[k] = 0.0
    while i + CHAINS <= n:
        for k in range(CHAINS):
            value = scale * w[i + k]
            sums[k] += value * value
        i += CHAINS
    for k in range(<int>(n - i)):
        value = scale * w[i + k]
        sums[k] += value * value
    return sum_by_halves(sums)


# The same of `count` groups that lie side by side.
cdef inline void sum_squares_of_groups(double* sums, const real* w, Py_ssize_t along, Py_ssize_t inner, const int count,
                                       double scale) noexcept nogil:
    cdef Py_ssize_t i
    cdef int k
    cdef double value
    for k in range(count):
        sums[k] = 0.0
    for i in range(along):
        for k in range(count):
            value = scale * w[k]
            sums[k] += value * value
        w += inner


cdef void squares_of(double* sums, const real* w, Py_ssize_t along, Py_ssize_t inner, int count, double scale) noexcept nogil:
    if inner == 1:
        sums[0] = sum_of_squares(w, along, scale)
    elif count == CHAINS:
        sum_squares_of_groups(sums, w, along, inner, CHAINS, scale)
    else:
        sum_squares_of_groups(sums, w, along, inner, count, scale)


# The norms of `count` groups from the one at w on: up to CHAINS side by side, or one that lies by itself.
cdef void find_norms(double* norms, const real* w, Py_ssize_t along, Py_ssize_t inner, int count) noexcept nogil:
    cdef double scale = 1.4996968138956309e-241      # 2^-800, for squares that overflow
    cdef double[CHAINS] scaled
    cdef bint fits = True
    cdef int k
    squares_of(norms, w, along, inner, count, 1.0)
    for k in range(count):
        fits = fits and norms[k] <= LARGEST_DOUBLE
    if not fits:
        squares_of(scaled, w, along, inner, count, scale)
    for k in range(count):
        # Beside a group that overflows another one may be so small that it would be nothing.
        norms[k] = sqrt(norms[k]) if norms[k] <= LARGEST_DOUBLE else sqrt(scaled[k]) / scale


# How many groups from this one on, but none beyond `end`, lie side by side, up to CHAINS.
cdef inline int groups_at_once(Py_ssize_t group, Py_ssize_t end, Py_ssize_t inner) noexcept nogil:
    return <int>min(min(<Py_ssize_t>CHAINS, inner - group % inner), end - group)


cdef void constrain_norms(void* parameters, Py_ssize_t along, Py_ssize_t inner, Py_ssize_t begin, Py_ssize_t end,
                          const double* options) noexcept nogil:
    cdef double[CHAINS] norms
    cdef real[CHAINS] factors
    cdef real* w
    cdef Py_ssize_t group = begin, i
    cdef int k, count
    cdef double kept
    while group < end:
        count = groups_at_once(group, end, inner)
        w = <real*>parameters + group // inner * along * inner + group % inner
        find_norms(norms, w, along, inner, count)
        for k in range(count):
            kept = fmin(fmax(norms[k], options[0]), options[1])
            kept = options[2] * kept + (1.0 - options[2]) * norms[k]
            factors[k] = <real>(kept / (norms[k] + NORM_EPSILON))
        if inner == 1:
            scale_weights(w, along, factors[0])
        else:
            for i in range(along):
                scale_weights_apart(w + i * inner, count, factors)
        group += count


cdef inline void scale_weights(real* w, Py_ssize_t n, real factor) noexcept nogil:
    cdef vreal factors = vset1(factor)
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(w + i, without_subnormals(load_first(w + i, n - i) * factors), n - i)
        i += VL


cdef inline void scale_weights_apart(real* w, int n, const real* factors) noexcept nogil:
    cdef int i = 0
    while i < n:
        store_first(w + i, without_subnormals(load_first(w + i, n - i) * load_first(factors + i, n - i)), n - i)
        i += VL


cdef void constrain_non_neg(void* parameters, Py_ssize_t along, Py_ssize_t inner, Py_ssize_t begin, Py_ssize_t end,
                            const double* options) noexcept nogil:
    cdef real* w = <real*>parameters
    cdef Py_ssize_t i = begin
    cdef vreal weight
    while i < end:
        weight = load_first(w + i, end - i)
        store_first(w + i, vselect(vlt(weight, vzero()), vzero(), weight), end - i)
        i += VL


cdef Constraint[3] CONSTRAINTS = [
    Constraint("norm", constrain_norms),
    Constraint("non_neg", constrain_non_neg),
    Constraint(NULL, NULL),
]
