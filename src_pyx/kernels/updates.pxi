# Optimizers: one pass over the flat vectors, element by element, in place, by the rules of `rules.pxi`.
#
# The first two of an update's options are the learning rate and the weight decay: w -= w * (learning_rate *
# weight_decay) before the update, which knows nothing of it (Loshchilov & Hutter 2019). Without decay the code is
# compiled without it.

cdef enum:
    MOST_SLOTS = 3           # that a rule remembers
    RULE_NUMBERS = 8         # that its formula has
    # A step of SGD on few parameters is the loop itself, for a good part: it goes round once for so many vectors.
    UPDATE_VECTORS = 4


# One vector of parameters, a tail of n where ragged. rule, decays and ragged are constants where this is inlined.
cdef inline void update_vector(const Rule rule, const bint decays, const bint ragged, real* w, const real* g,
                               real* state, Py_ssize_t n, vreal decay, const vreal* o, vtail tail) noexcept nogil:
    # state points at this vector's part of the first slot; the others lie n reals further each.
    cdef vreal[MOST_SLOTS] s
    cdef vreal result = load_part(ragged, w, tail)
    cdef int k
    for k in range(slots_of(rule)):
        s[k] = load_part(ragged, state + k * n, tail)
    if decays:
        result = without_subnormals(vfnma(result, decay, result))
    result = updated(rule, result, load_part(ragged, g, tail), s, o)
    store_part(ragged, w, result, tail)
    for k in range(slots_of(rule)):
        store_part(ragged, state + k * n, s[k], tail)


cdef inline void update_vectors(const Rule rule, const bint decays, real* w, const real* g, real* state,
                                Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, vreal decay,
                                const vreal* o) noexcept nogil:
    cdef bint remembers = slots_of(rule) > 0
    cdef Py_ssize_t i = begin
    cdef int k
    while i + UPDATE_VECTORS * VL <= end:
        for k in range(UPDATE_VECTORS):
            update_vector(rule, decays, False, w + i, g + i, state + i if remembers else NULL, n, decay, o,
                          vtail_of(0))
            i += VL
    while i + VL <= end:
        update_vector(rule, decays, False, w + i, g + i, state + i if remembers else NULL, n, decay, o, vtail_of(0))
        i += VL
    if i < end:
        update_vector(rule, decays, True, w + i, g + i, state + i if remembers else NULL, n, decay, o,
                      vtail_of(end - i))


# options are the optimizer's; numbers are those that the rule's formula has.
cdef inline void update(const Rule rule, void* parameters, const void* gradients, void* state, Py_ssize_t n,
                        Py_ssize_t begin, Py_ssize_t end, const double* options, const double* numbers,
                        const int count) noexcept nogil:
    cdef real* w = <real*>parameters
    cdef const real* g = <const real*>gradients
    cdef vreal[RULE_NUMBERS] o
    cdef double decay = options[0] * options[1]
    cdef int k
    for k in range(count):
        o[k] = vset1(<real>numbers[k])
    if decay == 0.0:
        update_vectors(rule, False, w, g, <real*>state, n, begin, end, vzero(), o)
    else:
        update_vectors(rule, True, w, g, <real*>state, n, begin, end, vset1(<real>decay), o)


# The least that may stand beside the root of a mean of squares, each taken times share: where the mean is 0, what
# stands above it need not be; and nothing is worth mentioning beside the most.
cdef inline double epsilon_of_root(double epsilon, double share) noexcept nogil:
    return fmin(fmax(epsilon, sqrt(<double>SMALLEST_NORMAL / share)), <double>LARGEST / 32)


# The same of what stands beside the mean itself, within the root.
cdef inline double epsilon_of_square(double epsilon, double share) noexcept nogil:
    return fmin(fmax(epsilon, <double>SMALLEST_NORMAL / share), <double>LARGEST / 4)


# ---- options are learning_rate, weight_decay, and ... -----------------------------------------------------

cdef void apply_sgd(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                    const double* options) noexcept nogil:
    update(SGD, w, g, NULL, n, begin, end, options, options, 1)


# ... momentum
cdef inline void apply_velocity(const Rule rule, void* w, const void* g, void* state, Py_ssize_t n,
                                Py_ssize_t begin, Py_ssize_t end, const double* options) noexcept nogil:
    cdef double[2] numbers
    numbers[0], numbers[1] = options[0], options[2]
    update(rule, w, g, state, n, begin, end, options, numbers, 2)


cdef void apply_momentum(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                         const double* options) noexcept nogil:
    apply_velocity(MOMENTUM, w, g, state, n, begin, end, options)


cdef void apply_nesterov(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                         const double* options) noexcept nogil:
    apply_velocity(NESTEROV, w, g, state, n, begin, end, options)


# ... beta_1, beta_2, epsilon, beta_1^t, beta_2^t (the last two carried: 1 at first)
cdef void advance_adam(double* options) noexcept nogil:
    options[5] *= options[2]
    options[6] *= options[3]


# What the moments want; the first is the rule's own.
cdef inline void set_moments(double* numbers, const double* options) noexcept nogil:
    cdef double share = 1.0 - options[3]
    numbers[1] = 1.0 - options[2]
    numbers[2] = sqrt(share)
    numbers[3] = epsilon_of_root(options[4], share)
    numbers[4] = 1.0 / sqrt(1.0 - options[6])
    numbers[5] = options[2]
    numbers[6] = options[3]


# `has_hat`: epsilon stands beside the root of the v that is not corrected, as what the paper calls epsilon hat; of
# the corrected one that is epsilon times the factor of its root.
cdef inline void apply_adam_as(const Rule rule, const bint has_hat, void* w, const void* g, void* state, Py_ssize_t n,
                               Py_ssize_t begin, Py_ssize_t end, const double* options) noexcept nogil:
    cdef double[7] numbers
    numbers[0] = options[0] / (1.0 - options[5])
    set_moments(numbers, options)
    if has_hat:
        numbers[3] *= numbers[4]
    update(rule, w, g, state, n, begin, end, options, numbers, 7)


cdef void apply_adam(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                     const double* options) noexcept nogil:
    apply_adam_as(ADAM, False, w, g, state, n, begin, end, options)


cdef void apply_amsgrad(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                        const double* options) noexcept nogil:
    apply_adam_as(AMSGRAD, False, w, g, state, n, begin, end, options)


cdef void apply_adam_hat(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                         const double* options) noexcept nogil:
    apply_adam_as(ADAM, True, w, g, state, n, begin, end, options)


cdef void apply_amsgrad_hat(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                            const double* options) noexcept nogil:
    apply_adam_as(AMSGRAD, True, w, g, state, n, begin, end, options)


# ... beta_1, beta_2, epsilon, product of u_1 to u_t, beta_2^t, 0.96^t (the last three carried: 1 at first), with
# u_t = beta_1 (1 - 0.96^t / 2)
cdef inline double nadam_momentum(const double* options, double decay) noexcept nogil:
    return options[2] * (1.0 - 0.5 * decay)


cdef void advance_nadam(double* options) noexcept nogil:
    options[7] *= 0.96
    options[5] *= nadam_momentum(options, options[7])
    options[6] *= options[3]


cdef void apply_nadam(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                      const double* options) noexcept nogil:
    cdef double[8] numbers
    cdef double now = nadam_momentum(options, options[7]), ahead = nadam_momentum(options, 0.96 * options[7])
    numbers[0] = options[0] * ahead / (1.0 - options[5] * ahead)
    set_moments(numbers, options)
    numbers[7] = options[0] * (1.0 - now) / (1.0 - options[5])
    update(NADAM, w, g, state, n, begin, end, options, numbers, 8)


# ... beta_1, beta_2, epsilon, beta_1^t (carried: 1 at first)
cdef void advance_adamax(double* options) noexcept nogil:
    options[5] *= options[2]


cdef void apply_adamax(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                       const double* options) noexcept nogil:
    cdef double[5] numbers
    numbers[0] = options[0] / (1.0 - options[5])
    numbers[1] = 1.0 - options[2]
    numbers[2] = fmin(fmax(options[4], <double>SMALLEST_NORMAL), <double>LARGEST / 32)
    numbers[3] = options[2]
    numbers[4] = options[3]
    update(ADAMAX, w, g, state, n, begin, end, options, numbers, 5)


# ... beta_1, beta_2
cdef void apply_lion(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                     const double* options) noexcept nogil:
    cdef double[5] numbers
    numbers[0] = options[0]
    numbers[1] = options[2]
    numbers[2] = 1.0 - options[2]
    numbers[3] = options[3]
    numbers[4] = 1.0 - options[3]
    update(LION, w, g, state, n, begin, end, options, numbers, 5)


# ... rho, epsilon and, for those that have it, momentum
cdef inline void apply_rmsprop_as(const Rule rule, void* w, const void* g, void* state, Py_ssize_t n,
                                  Py_ssize_t begin, Py_ssize_t end, const double* options) noexcept nogil:
    cdef double[6] numbers
    cdef double share = 1.0 - options[2]
    numbers[0] = options[0]
    numbers[1] = sqrt(share)
    numbers[2] = options[2]
    numbers[3] = epsilon_of_square(options[3], share)
    numbers[4] = options[4] if rule == RMSPROP_MOMENTUM or rule == RMSPROP_CENTERED_MOMENTUM else 0.0
    numbers[5] = share
    update(rule, w, g, state, n, begin, end, options, numbers, 6)


cdef void apply_rmsprop(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                        const double* options) noexcept nogil:
    apply_rmsprop_as(RMSPROP, w, g, state, n, begin, end, options)


cdef void apply_rmsprop_momentum(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                                 const double* options) noexcept nogil:
    apply_rmsprop_as(RMSPROP_MOMENTUM, w, g, state, n, begin, end, options)


cdef void apply_rmsprop_centered(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                                 const double* options) noexcept nogil:
    apply_rmsprop_as(RMSPROP_CENTERED, w, g, state, n, begin, end, options)


cdef void apply_rmsprop_centered_momentum(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                                          const double* options) noexcept nogil:
    apply_rmsprop_as(RMSPROP_CENTERED_MOMENTUM, w, g, state, n, begin, end, options)


# ... epsilon
cdef void apply_adagrad(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                        const double* options) noexcept nogil:
    cdef double[2] numbers
    numbers[0] = options[0]
    numbers[1] = epsilon_of_square(options[2], 1.0)
    update(ADAGRAD, w, g, state, n, begin, end, options, numbers, 2)


# ... rho, epsilon
cdef void apply_adadelta(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                         const double* options) noexcept nogil:
    cdef double[4] numbers
    cdef double share = 1.0 - options[2]
    numbers[0] = options[0]
    numbers[1] = sqrt(share)
    numbers[2] = options[2]
    numbers[3] = epsilon_of_square(options[3], share)
    update(ADADELTA, w, g, state, n, begin, end, options, numbers, 4)


# ... eta_minus, eta_plus, and the smallest and the largest step; what is remembered of steps, and bounded, is how
# many times the learning rate they are, which may change
cdef void apply_rprop(void* w, const void* g, void* state, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end,
                      const double* options) noexcept nogil:
    cdef double[5] numbers
    numbers[0] = options[0]
    numbers[1] = options[2]
    numbers[2] = options[3]
    numbers[3] = fmin(options[4] / options[0], <double>LARGEST) if options[0] > 0.0 else 0.0
    numbers[4] = fmin(options[5] / options[0], <double>LARGEST) if options[0] > 0.0 else <double>LARGEST
    update(RPROP, w, g, state, n, begin, end, options, numbers, 5)


cdef Update[18] UPDATES = [
    Update("sgd", slots_of(SGD), 2, True, NULL, apply_sgd),
    Update("momentum", slots_of(MOMENTUM), 3, False, NULL, apply_momentum),
    Update("nesterov", slots_of(NESTEROV), 3, False, NULL, apply_nesterov),
    Update("adam", slots_of(ADAM), 7, False, advance_adam, apply_adam),
    Update("amsgrad", slots_of(AMSGRAD), 7, False, advance_adam, apply_amsgrad),
    Update("adam_hat", slots_of(ADAM), 7, False, advance_adam, apply_adam_hat),
    Update("amsgrad_hat", slots_of(AMSGRAD), 7, False, advance_adam, apply_amsgrad_hat),
    Update("nadam", slots_of(NADAM), 8, False, advance_nadam, apply_nadam),
    Update("adamax", slots_of(ADAMAX), 6, False, advance_adamax, apply_adamax),
    Update("lion", slots_of(LION), 4, False, NULL, apply_lion),
    Update("rmsprop", slots_of(RMSPROP), 4, False, NULL, apply_rmsprop),
    Update("rmsprop_momentum", slots_of(RMSPROP_MOMENTUM), 5, False, NULL, apply_rmsprop_momentum),
    Update("rmsprop_centered", slots_of(RMSPROP_CENTERED), 4, False, NULL, apply_rmsprop_centered),
    Update("rmsprop_centered_momentum", slots_of(RMSPROP_CENTERED_MOMENTUM), 5, False, NULL,
           apply_rmsprop_centered_momentum),
    Update("adagrad", slots_of(ADAGRAD), 3, True, NULL, apply_adagrad),
    Update("adadelta", slots_of(ADADELTA), 4, False, NULL, apply_adadelta),
    Update("rprop", slots_of(RPROP), 6, False, NULL, apply_rprop),
    Update(NULL, 0, 0, False, NULL, NULL),
]


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
