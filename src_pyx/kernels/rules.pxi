# How an optimizer moves one weight: formulas on vectors, of which every lane is a weight w of gradient g.
#
# Each gives the new w and leaves in s what it remembers for the next step; o are its numbers, which `updates.pxi`
# makes of an optimizer's options.
#
# What an optimizer remembers decays step by step where gradients are 0, and so do weights whose outputs are to be
# 0. Before they come to subnormal numbers, with which CPUs are slow, they become 0; with momentum a little earlier,
# since a velocity that has become 0 leaves its weight where it is.
#
# Where a rule squares gradients, one counts as no larger than a number whose square is finite, and as 0 in the
# square where that would be below the smallest normal number. A gradient that is infinite or NaN makes a weight or
# what is remembered of it NaN, so that nobody takes the step for a good one.

from libc.math cimport fmax, fmin, sqrt


cdef enum Rule:
    SGD
    MOMENTUM
    NESTEROV
    ADAM
    AMSGRAD
    ADAMAX
    NADAM
    RMSPROP
    RMSPROP_MOMENTUM
    RMSPROP_CENTERED
    RMSPROP_CENTERED_MOMENTUM
    ADAGRAD
    ADADELTA
    LION
    RPROP


# 0, or NaN where a is infinite or NaN.
cdef inline vreal nothing_of(vreal a) noexcept nogil:
    return a - a


# No larger than half the root of the largest number.
cdef inline vreal limited(vreal g) noexcept nogil:
    cdef vreal largest = vconst(9.223371487098962e18, 6.703903964971298e153)
    return vmin(largest, vmax(-largest, g))


# What the square of a times share counts, share being a root.
cdef inline vreal felt(vreal share, vreal a) noexcept nogil:
    return vkeep_exponents(share * a, FW_ROOT_BITS)


# ---- steepest descent ----------------------------------------------------------------------------------

# w -= learning_rate * g                                            o: learning_rate
cdef inline vreal sgd(vreal w, vreal g, const vreal* o) noexcept nogil:
    return without_subnormals(vfma(-o[0], g, w))


# v = momentum * v - learning_rate * g;  w += v                     o: learning_rate, momentum
# (Polyak 1964, as Sutskever et al. 2013 write it)
cdef inline vreal momentum(vreal w, vreal g, vreal* v, const vreal* o) noexcept nogil:
    v[0] = without_subnormals(vfma(o[1], v[0], -(o[0] * g)))
    return without_traces(w + v[0])


# v as above;  w += momentum * v - learning_rate * g                (Nesterov 1983, Sutskever et al. 2013)
cdef inline vreal nesterov(vreal w, vreal g, vreal* v, const vreal* o) noexcept nogil:
    v[0] = without_subnormals(vfma(o[1], v[0], -(o[0] * g)))
    return without_traces(w + vfma(o[1], v[0], -(o[0] * g)))


# ---- Adam and its kin -----------------------------------------------------------------------------------

# m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2
# o: ..., 1 - beta_1, sqrt(1 - beta_2), ..., ..., beta_1, beta_2;  g is limited, nothing is 0
cdef inline void move_moments(vreal g, vreal nothing, vreal* m, vreal* v, const vreal* o) noexcept nogil:
    cdef vreal part = felt(o[2], g)
    m[0] = without_traces(vfma(o[5], m[0], vfma(o[1], g, nothing)))
    v[0] = without_subnormals(vfma(o[6], v[0], part * part))


# w -= step * m / (sqrt(v) * root + epsilon)                        (Kingma & Ba 2015, Algorithm 1)
# with step = learning_rate / (1 - beta_1^t) and root = 1 / sqrt(1 - beta_2^t).
# o: step, 1 - beta_1, sqrt(1 - beta_2), epsilon, root, beta_1, beta_2;  s: m, v
cdef inline vreal adam(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g)
    move_moments(limited(g), nothing, &s[0], &s[1], o)
    return w - vquotient(o[0] * s[0], vfma(vsqrt(s[1]), o[4], o[3]))


# As Adam with the largest v there was                              (Reddi, Kale & Kumar 2018)
# s: m, v, largest v
cdef inline vreal amsgrad(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g)
    move_moments(limited(g), nothing, &s[0], &s[1], o)
    s[2] = vmax(s[2], s[1])
    return w - vquotient(o[0] * s[0], vfma(vsqrt(s[2]), o[4], o[3]))


# w -= (ahead * m + now * g) / (sqrt(v) * root + epsilon)           (Dozat 2015)
# o: ahead, 1 - beta_1, sqrt(1 - beta_2), epsilon, root, beta_1, beta_2, now;  s: m, v
cdef inline vreal nadam(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g)
    g = limited(g)
    move_moments(g, nothing, &s[0], &s[1], o)
    return w - vquotient(vfma(o[0], s[0], o[7] * g), vfma(vsqrt(s[1]), o[4], o[3]))


# m as Adam's;  u = max(beta_2 u, |g|);  w -= step * m / (u + epsilon)      (Kingma & Ba 2015, 7.1)
# o: step, 1 - beta_1, epsilon, beta_1, beta_2;  s: m, u.  A gradient counts as no larger than a 16th of the
# largest number.
cdef inline vreal adamax(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal largest = vset1(LARGEST / 16), nothing = nothing_of(g)
    g = vmin(largest, vmax(-largest, g))
    s[0] = without_traces(vfma(o[3], s[0], vfma(o[1], g, nothing)))
    s[1] = without_subnormals(vmax(o[4] * s[1], vabs(g)))
    return w - vquotient(o[0] * s[0], s[1] + o[2])


# w -= learning_rate * sign(beta_1 m + (1 - beta_1) g);  m = beta_2 m + (1 - beta_2) g     (Chen et al. 2023)
# o: learning_rate, beta_1, 1 - beta_1, beta_2, 1 - beta_2;  s: m
cdef inline vreal lion(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal direction = sign_of(vfma(o[1], s[0], o[2] * g))
    s[0] = without_traces(vfma(o[3], s[0], o[4] * g))
    return vfnma(o[0], direction, w) + nothing_of(g)


# ---- steps by the size of gradients -----------------------------------------------------------------

# v = rho v + (1 - rho) g^2;  w -= learning_rate * g / sqrt(v + epsilon)    (Hinton 2012)
# centered: a = rho a + (1 - rho) g, and v - a^2 in place of v      (Graves 2013)
# with momentum: b = momentum b + learning_rate * g / sqrt(...);  w -= b
# o: learning_rate, sqrt(1 - rho), rho, epsilon, momentum, 1 - rho;  s: v, then a, then b, of those that there are.
# v - a^2 is the variance, which rounding does not make negative.
cdef inline vreal rmsprop(const bint centered, const bint has_momentum, vreal w, vreal g, vreal* s,
                          const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g), part, spread
    cdef vreal* a = &s[1]
    cdef vreal* b = &s[2] if centered else &s[1]
    g = limited(g)
    part = felt(o[1], g)
    s[0] = without_subnormals(vfma(o[2], s[0], part * part))
    spread = s[0]
    if centered:
        a[0] = without_traces(vfma(o[2], a[0], o[5] * g))
        spread = vmax(vzero(), vfnma(a[0], a[0], spread))
    part = vquotient(g, vsqrt(spread + o[3])) + nothing
    if has_momentum:
        b[0] = without_subnormals(vfma(o[4], b[0], o[0] * part))
        return without_traces(w - b[0])
    return without_subnormals(vfnma(o[0], part, w))


# n += g^2;  w -= learning_rate * g / sqrt(n + epsilon)             (Duchi, Hazan & Singer 2011)
# o: learning_rate, epsilon;  s: n, which stops growing at half of the largest number
cdef inline vreal adagrad(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g), part
    g = limited(g)
    part = felt(vset1(1), g)
    s[0] = vmin(vset1(LARGEST / 2), vfma(part, part, s[0]))
    return without_subnormals(vfnma(o[0], vquotient(g, vsqrt(s[0] + o[1])) + nothing, w))


# n = rho n + (1 - rho) g^2;  d = sqrt(u + epsilon) / sqrt(n + epsilon) * g;  u = rho u + (1 - rho) d^2
# w -= learning_rate * d                                            (Zeiler 2012)
# o: learning_rate, sqrt(1 - rho), rho, epsilon;  s: n, u
cdef inline vreal adadelta(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal nothing = nothing_of(g), part, d
    g = limited(g)
    part = felt(o[1], g)
    s[0] = without_subnormals(vfma(o[2], s[0], part * part))
    d = vquotient(vsqrt(s[1] + o[3]), vsqrt(s[0] + o[3])) * g + nothing
    part = felt(o[1], limited(d))
    s[1] = without_subnormals(vfma(o[2], s[1], part * part))
    return without_subnormals(vfnma(o[0], d, w))


# step *= eta_plus where the sign of g is that of before, eta_minus where it has turned, within [least, most]; there
# g counts as 0, also for the next step.  w -= learning_rate * sign(g) * step       (Riedmiller & Braun 1993)
# o: learning_rate, eta_minus, eta_plus, least, most;  s: sign of g before, step
cdef inline vreal rprop(vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    cdef vreal sign = sign_of(g), agrees = sign * s[0]
    cdef vmask turned = vlt(agrees, vzero())
    cdef vreal eta = vselect(turned, o[1], vselect(vlt(vzero(), agrees), o[2], vset1(1)))
    s[1] = vmin(o[4], vmax(o[3], s[1] * eta))
    s[0] = vselect(turned, vzero(), sign)
    return without_subnormals(vfnma(o[0] * s[0], s[1], w)) + nothing_of(g)


# ---- all of them ----------------------------------------------------------------------------------------

cdef inline vreal updated(const Rule rule, vreal w, vreal g, vreal* s, const vreal* o) noexcept nogil:
    if rule == SGD:
        return sgd(w, g, o)
    if rule == MOMENTUM:
        return momentum(w, g, s, o)
    if rule == NESTEROV:
        return nesterov(w, g, s, o)
    if rule == ADAM:
        return adam(w, g, s, o)
    if rule == AMSGRAD:
        return amsgrad(w, g, s, o)
    if rule == ADAMAX:
        return adamax(w, g, s, o)
    if rule == NADAM:
        return nadam(w, g, s, o)
    if rule == RMSPROP:
        return rmsprop(False, False, w, g, s, o)
    if rule == RMSPROP_MOMENTUM:
        return rmsprop(False, True, w, g, s, o)
    if rule == RMSPROP_CENTERED:
        return rmsprop(True, False, w, g, s, o)
    if rule == RMSPROP_CENTERED_MOMENTUM:
        return rmsprop(True, True, w, g, s, o)
    if rule == ADAGRAD:
        return adagrad(w, g, s, o)
    if rule == ADADELTA:
        return adadelta(w, g, s, o)
    if rule == LION:
        return lion(w, g, s, o)
    return rprop(w, g, s, o)


cdef inline int slots_of(const Rule rule) noexcept nogil:
    if rule == SGD:
        return 0
    if rule == AMSGRAD or rule == RMSPROP_CENTERED_MOMENTUM:
        return 3
    if rule == MOMENTUM or rule == NESTEROV or rule == RMSPROP or rule == ADAGRAD or rule == LION:
        return 1
    return 2
