# Optimizers: one pass over the flat vectors, element by element, in place.
#
# What an optimizer remembers decays step by step where gradients are 0, and by SGD so do weights whose outputs
# are to be 0. Before they come to subnormal numbers, with which CPUs are slow, they become 0; with momentum a
# little earlier, since a velocity that has become 0 leaves its weight where it is.
#
# The first two of an update's options are the learning rate and the weight decay: w -= w * (learning_rate *
# weight_decay) before the update, which knows nothing of it (Loshchilov & Hutter 2019). Without decay the code is
# compiled without it.

from libc.math cimport fmax, fmin, sqrt


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


# m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2
# w -= step * m / (sqrt(v) * root + epsilon)                        (Kingma & Ba 2015, Algorithm 1)
# with step = learning_rate / (1 - beta_1^t) and root = 1 / sqrt(1 - beta_2^t).
# o: step, 1 - beta_1, sqrt(1 - beta_2), epsilon, root, beta_1, beta_2
# A gradient counts as no larger than a number whose square is finite, unless it is infinite itself, and in v
# as 0 where (1 - beta_2) g^2 would be below the smallest normal number: v is 0 or normal.
cdef inline vreal adam(vreal w, vreal g, vreal* m, vreal* v, const vreal* o) noexcept nogil:
    cdef vreal largest = vconst(1.8446742974197924e19, 1.3407807929942596e154)
    cdef vreal nothing = g - g, felt
    g = vmin(largest, vmax(-largest, g))
    felt = vkeep_exponents(o[2] * g, FW_ROOT_BITS)
    m[0] = without_traces(vfma(o[5], m[0], vfma(o[1], g, nothing)))
    v[0] = without_subnormals(vfma(o[6], v[0], felt * felt))
    return w - vquotient(o[0] * m[0], vfma(vsqrt(v[0]), o[4], o[3]))


cdef enum Rule:
    SGD
    MOMENTUM
    NESTEROV
    ADAM


cdef inline vreal updated(const Rule rule, vreal w, vreal g, vreal* s0, vreal* s1,
                          const vreal* o) noexcept nogil:
    if rule == SGD:
        return sgd(w, g, o)
    if rule == MOMENTUM:
        return momentum(w, g, s0, o)
    if rule == NESTEROV:
        return nesterov(w, g, s0, o)
    return adam(w, g, s0, s1, o)


# One vector of parameters, a tail of n where ragged. rule, slots, decays and ragged are constants where
# this is inlined.
cdef inline void update_vector(const Rule rule, const int slots, const bint decays, const bint ragged, real* w,
                               const real* g, real* state, Py_ssize_t n, vreal decay, const vreal* o,
                               vtail tail) noexcept nogil:
    # state points at this vector's part of the first slot; the second lies n reals further.
    cdef vreal s0 = vzero(), s1 = vzero(), result = load_part(ragged, w, tail)
    if slots > 0:
        s0 = load_part(ragged, state, tail)
    if slots > 1:
        s1 = load_part(ragged, state + n, tail)
    if decays:
        result = without_subnormals(vfnma(result, decay, result))
    result = updated(rule, result, load_part(ragged, g, tail), &s0, &s1, o)
    store_part(ragged, w, result, tail)
    if slots > 0:
        store_part(ragged, state, s0, tail)
    if slots > 1:
        store_part(ragged, state + n, s1, tail)


# A step of SGD on few parameters is the loop itself, for a good part: it goes round once for so many vectors.
cdef enum: UPDATE_VECTORS = 4


cdef inline void update_vectors(const Rule rule, const int slots, const bint decays, real* w, const real* g, real* s,
                                Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, vreal decay,
                                const vreal* o) noexcept nogil:
    cdef Py_ssize_t i = begin
    cdef int k
    while i + UPDATE_VECTORS * VL <= end:
        for k in range(UPDATE_VECTORS):
            update_vector(rule, slots, decays, False, w + i, g + i, s + i if slots > 0 else NULL, n, decay, o,
                          vtail_of(0))
            i += VL
    while i + VL <= end:
        update_vector(rule, slots, decays, False, w + i, g + i, s + i if slots > 0 else NULL, n, decay, o,
                      vtail_of(0))
        i += VL
    if i < end:
        update_vector(rule, slots, decays, True, w + i, g + i, s + i if slots > 0 else NULL, n, decay, o,
                      vtail_of(end - i))


# options are the optimizer's; numbers are those that the rule's formula has.
cdef inline void update(const Rule rule, const int slots, void* parameters, const void* gradients,
                        void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, const double* options,
                        const double* numbers, const int count) noexcept nogil:
    cdef real* w = <real*>parameters
    cdef const real* g = <const real*>gradients
    cdef vreal[8] o
    cdef double decay = options[0] * options[1]
    cdef int k
    for k in range(count):
        o[k] = vset1(<real>numbers[k])
    if decay == 0.0:
        update_vectors(rule, slots, False, w, g, <real*>state, n, begin, end, vzero(), o)
    else:
        update_vectors(rule, slots, True, w, g, <real*>state, n, begin, end, vset1(<real>decay), o)


# options: learning_rate, weight_decay, and of the two that have a velocity momentum
cdef void apply_sgd(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                    const double* options) noexcept nogil:
    update(SGD, 0, w, g, NULL, n, begin, end, options, options, 1)


cdef inline void apply_velocity(const Rule rule, void* w, const void* g, void* state, Py_ssize_t n,
                                Py_ssize_t begin, Py_ssize_t end, const double* options) noexcept nogil:
    cdef double[2] numbers
    numbers[0], numbers[1] = options[0], options[2]
    update(rule, 1, w, g, state, n, begin, end, options, numbers, 2)


cdef void apply_momentum(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin,
                         Py_ssize_t end, const double* options) noexcept nogil:
    apply_velocity(MOMENTUM, w, g, state, n, begin, end, options)


cdef void apply_nesterov(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin,
                         Py_ssize_t end, const double* options) noexcept nogil:
    apply_velocity(NESTEROV, w, g, state, n, begin, end, options)


# options: learning_rate, weight_decay, beta_1, beta_2, epsilon, beta_1^t, beta_2^t (the last two carried: 1 at first)
cdef void advance_adam(double* options) noexcept nogil:
    options[5] *= options[2]
    options[6] *= options[3]


cdef void apply_adam(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                     const double* options) noexcept nogil:
    cdef double[7] numbers
    cdef double share = 1.0 - options[3]
    numbers[0] = options[0] / (1.0 - options[5])
    numbers[1] = 1.0 - options[2]
    numbers[2] = sqrt(share)
    # Where v is 0, m need not be; and no m is worth mentioning beside the largest of these.
    numbers[3] = fmin(fmax(options[4], sqrt(<double>SMALLEST_NORMAL / share)), <double>LARGEST / 32)
    numbers[4] = 1.0 / sqrt(1.0 - options[6])
    numbers[5] = options[2]
    numbers[6] = options[3]
    update(ADAM, 2, w, g, state, n, begin, end, options, numbers, 7)


cdef Update[5] UPDATES = [
    Update("sgd", 0, 2, True, NULL, apply_sgd),
    Update("momentum", 1, 3, False, NULL, apply_momentum),
    Update("nesterov", 1, 3, False, NULL, apply_nesterov),
    Update("adam", 2, 7, False, advance_adam, apply_adam),
    Update(NULL, 0, 0, False, NULL, NULL),
]


# total[i] = the sum over k, in order, of parts[k * n + i] for i in [begin, end) and k < count.
cdef void sum_parts(void* total, const void* parts, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                    Py_ssize_t count) noexcept nogil:
    cdef real* sums = <real*>total
    cdef const real* part = <const real*>parts
    cdef Py_ssize_t i = begin, k
    cdef vreal acc
    while i < end:
        acc = load_first(part + i, end - i)
        for k in range(1, count):
            acc = acc + load_first(part + k * n + i, end - i)
        store_first(sums + i, acc, end - i)
        i += VL


# total, excess = the sum of both and part, exact but for the rounding of excess, for elements [begin, end).
# The sum is total - excess; if `last`, this becomes total, and excess is of no more use.
cdef void add_part(void* total, void* excess, const void* part, Py_ssize_t begin, Py_ssize_t end,
                   bint last) noexcept nogil:
    cdef real* sums = <real*>total
    cdef real* over = <real*>excess
    cdef const real* terms = <const real*>part
    cdef vreal sum, left
    cdef Py_ssize_t i = begin
    while i < end:
        sum = load_first(sums + i, end - i)
        left = load_first(over + i, end - i)
        add_exactly(&sum, &left, load_first(terms + i, end - i))
        if last:
            sum = without_excess(sum, left)
        else:
            store_first(over + i, left, end - i)
        store_first(sums + i, sum, end - i)
        i += VL


# One step on arrays given by address.
def apply_update(str name, size_t parameters, size_t gradients, size_t state, Py_ssize_t n, size_t options):
    cdef fw_float_mode mode
    cdef Py_ssize_t i = 0
    cdef double* numbers = <double*>options
    wanted = name.encode()
    while UPDATES[i].name != NULL:
        if UPDATES[i].name == wanted:
            with nogil:
                mode = fw_enter_float_mode()
                if UPDATES[i].advance != NULL:
                    UPDATES[i].advance(numbers)
                UPDATES[i].apply(<void*>parameters, <const void*>gradients, <void*>state, n, 0, n, numbers)
                fw_leave_float_mode(mode)
            return
        i += 1
    raise KeyError(name)


# `add_part` on arrays of n reals given by address.
def apply_add_part(size_t total, size_t excess, size_t part, Py_ssize_t n, bint last):
    cdef fw_float_mode mode
    with nogil:
        mode = fw_enter_float_mode()
        add_part(<void*>total, <void*>excess, <const void*>part, 0, n, last)
        fw_leave_float_mode(mode)
