# One step of one row of a recurrent layer, forward and back: what stands between its products. See recurrent.pxi for
# what a row of numbers looks like.
#
#     lstm          i, f, o = recurrent(z);  g = activation(z);  c = f c' + i g;  h = o activation(c)
#     gru           z, r = recurrent(z);  g = activation(b + r d);  h = z h' + (1 - z) g
#     gru, reset_after False:             g = activation(b), where r stands in the product, r h' . kernel
#     simple_rnn    h = activation(z)
#
# c' and h' are those of the step before. tanh and sigmoid, the defaults, have their slopes from their values as in
# PyTorch and JAX, and are made vector by vector while z is in registers (`fast`, a constant); for all others the
# slopes lie beside the values.

cdef enum: LSTM = 0
cdef enum: GRU = 1
cdef enum: GRU_BEFORE = 2
cdef enum: SIMPLE_RNN = 3


cdef inline vreal quick_sigmoid(vreal x) noexcept nogil:
    cdef vreal decay = decay_of(x)
    return sigmoid_of_decay(x, decay, vreciprocal(vset1(1) + decay))


cdef inline vreal quick_tanh(vreal x) noexcept nogil:
    cdef vreal one = vset1(1), down = vminus_abs(x), square
    cdef vreal m = decay_reduced(down + down, &square)
    return vcopysign(vquotient(expm1_restored(m, square, one), vfma(square, m, square) + one), x)


cdef inline vreal slope_of_sigmoid(const bint fast, vreal value, const real* slope, Py_ssize_t left) noexcept nogil:
    return vfnma(value, value, value) if fast else load_first(slope, left)


cdef inline vreal slope_of_tanh(const bint fast, vreal value, const real* slope, Py_ssize_t left) noexcept nogil:
    return vfnma(value, value, vset1(1)) if fast else load_first(slope, left)


# y (n,) = f(x), and its slopes unless they are NULL; y may be x.
cdef inline void apply_to(const Activation* f, const double* options, real* y, real* slopes, const real* x,
                          Py_ssize_t n) noexcept nogil:
    if y != x:
        memcpy(y, x, n * sizeof(real))
    f.forward(y, slopes, n, options)


# Where a part of the slopes begins; there may be none.
cdef inline real* slopes_at(real* slopes, Py_ssize_t at) noexcept nogil:
    return NULL if slopes == NULL else slopes + at


# ---- lstm: gates i, f, g, o; c is followed by activation(c), and the slopes of the gates by its --------

cdef inline void lstm_step(const bint fast, const Cell* cell, real* h, real* c, real* gates, real* slopes,
                           const real* z, const real* c_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal i, f, g, o, value
    if not fast:
        apply_to(cell.recurrent, cell.recurrent_options, gates, slopes, z, 2 * n)
        apply_to(cell.activation, cell.options, gates + 2 * n, slopes_at(slopes, 2 * n), z + 2 * n, n)
        apply_to(cell.recurrent, cell.recurrent_options, gates + 3 * n, slopes_at(slopes, 3 * n), z + 3 * n, n)
    while k < n:
        left = n - k
        if fast:
            i = quick_sigmoid(load_first(z + k, left))
            f = quick_sigmoid(load_first(z + n + k, left))
            g = quick_tanh(load_first(z + 2 * n + k, left))
            o = quick_sigmoid(load_first(z + 3 * n + k, left))
            store_first(gates + k, i, left)
            store_first(gates + n + k, f, left)
            store_first(gates + 2 * n + k, g, left)
            store_first(gates + 3 * n + k, o, left)
            value = vfma(f, load_first(c_before + k, left), i * g)
            store_first(c + k, value, left)
            value = quick_tanh(value)
            store_first(c + n + k, value, left)
            store_first(h + k, o * value, left)
        else:
            value = load_first(gates + k, left) * load_first(gates + 2 * n + k, left)
            store_first(c + k, vfma(load_first(gates + n + k, left), load_first(c_before + k, left), value), left)
        k += VL
    if fast:
        return
    apply_to(cell.activation, cell.options, c + n, slopes_at(slopes, 4 * n), c, n)
    k = 0
    while k < n:
        store_first(h + k, load_first(gates + 3 * n + k, n - k) * load_first(c + n + k, n - k), n - k)
        k += VL


# dc is that by c on entry and that by c' on return.
cdef inline void lstm_step_back(const bint fast, const Cell* cell, real* dz, real* dc, const real* dh, const real* c,
                                const real* gates, const real* slopes, const real* c_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal i, f, g, o, value, up, down
    while k < n:
        left = n - k
        i = load_first(gates + k, left)
        f = load_first(gates + n + k, left)
        g = load_first(gates + 2 * n + k, left)
        o = load_first(gates + 3 * n + k, left)
        value = load_first(c + n + k, left)
        up = load_first(dh + k, left)
        down = vfma(up * o, slope_of_tanh(fast, value, slopes + 4 * n + k, left), load_first(dc + k, left))
        store_first(dz + k, without_traces(down * g * slope_of_sigmoid(fast, i, slopes + k, left)), left)
        store_first(dz + n + k, without_traces(down * load_first(c_before + k, left)
                                               * slope_of_sigmoid(fast, f, slopes + n + k, left)), left)
        store_first(dz + 2 * n + k, without_traces(down * i * slope_of_tanh(fast, g, slopes + 2 * n + k, left)), left)
        store_first(dz + 3 * n + k, without_traces(up * value * slope_of_sigmoid(fast, o, slopes + 3 * n + k, left)),
                    left)
        store_first(dc + k, without_traces(down * f), left)
        k += VL


# ---- gru: gates g, z, r and, with reset_after, d ------------------------------------------------------

# Without reset_after: z and r are made in their place, and what the product of g reads, r h'.
cdef inline void gru_reset(const bint fast, const Cell* cell, real* reset, real* gates, real* slopes,
                           const real* h_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal r
    if not fast:
        apply_to(cell.recurrent, cell.recurrent_options, gates + n, slopes_at(slopes, n), gates + n, 2 * n)
    while k < n:
        left = n - k
        r = load_first(gates + 2 * n + k, left)
        if fast:
            r = quick_sigmoid(r)
            store_first(gates + n + k, quick_sigmoid(load_first(gates + n + k, left)), left)
            store_first(gates + 2 * n + k, r, left)
        store_first(reset + k, r * load_first(h_before + k, left), left)
        k += VL


cdef inline void gru_step(const bint after, const bint fast, const Cell* cell, real* h, real* gates, real* slopes,
                          const real* z, const real* h_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal keep, r, d, value
    if not after:
        if gates != z:
            memcpy(gates, z, 3 * n * sizeof(real))
    elif not fast:
        apply_to(cell.recurrent, cell.recurrent_options, gates + n, slopes_at(slopes, n), z + n, 2 * n)
    while k < n:
        left = n - k
        value = load_first(z + k, left)
        keep = load_first((gates if not after or not fast else z) + n + k, left)
        if after:
            r = load_first((z if fast else gates) + 2 * n + k, left)
            d = load_first(z + 3 * n + k, left)
            if fast:
                keep = quick_sigmoid(keep)
                r = quick_sigmoid(r)
                store_first(gates + n + k, keep, left)
                store_first(gates + 2 * n + k, r, left)
            store_first(gates + 3 * n + k, d, left)
            value = vfma(r, d, value)
        if fast:
            value = quick_tanh(value)
            store_first(h + k, vfma(keep, load_first(h_before + k, left) - value, value), left)
        store_first(gates + k, value, left)
        k += VL
    if fast:
        return
    cell.activation.forward(gates, slopes, n, cell.options)
    k = 0
    while k < n:
        left = n - k
        value = load_first(gates + k, left)
        store_first(h + k, vfma(load_first(gates + n + k, left), load_first(h_before + k, left) - value, value), left)
        k += VL


# pass_on is what h' has of dh by itself. Without reset_after dz lacks that by r.
cdef inline void gru_step_back(const bint after, const bint fast, const Cell* cell, real* dz, real* pass_on,
                               const real* dh, const real* gates, const real* slopes,
                               const real* h_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal keep, r, up, value, dg
    while k < n:
        left = n - k
        value = load_first(gates + k, left)
        keep = load_first(gates + n + k, left)
        up = load_first(dh + k, left)
        dg = (up - up * keep) * slope_of_tanh(fast, value, slopes + k, left)
        store_first(pass_on + k, up * keep, left)
        store_first(dz + k, without_traces(dg), left)
        store_first(dz + n + k, without_traces(up * (load_first(h_before + k, left) - value)
                                               * slope_of_sigmoid(fast, keep, slopes + n + k, left)), left)
        if after:
            r = load_first(gates + 2 * n + k, left)
            store_first(dz + 2 * n + k, without_traces(dg * load_first(gates + 3 * n + k, left)
                                                       * slope_of_sigmoid(fast, r, slopes + 2 * n + k, left)), left)
            store_first(dz + 3 * n + k, without_traces(dg * r), left)
        k += VL


# The rest of it, given the gradient by r h'.
cdef inline void gru_reset_back(const bint fast, const Cell* cell, real* dz, real* pass_on, const real* dreset,
                                const real* gates, const real* slopes, const real* h_before) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    cdef vreal r, up
    while k < n:
        left = n - k
        r = load_first(gates + 2 * n + k, left)
        up = load_first(dreset + k, left)
        store_first(dz + 2 * n + k, without_traces(up * load_first(h_before + k, left)
                                                   * slope_of_sigmoid(fast, r, slopes + 2 * n + k, left)), left)
        store_first(pass_on + k, vfma(up, r, load_first(pass_on + k, left)), left)
        k += VL


# ---- simple_rnn: the gate is h itself -------------------------------------------------------------------

cdef inline void simple_step(const bint fast, const Cell* cell, real* h, real* gates, real* slopes,
                             const real* z) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0
    if not fast:
        apply_to(cell.activation, cell.options, gates, slopes, z, n)
    while k < n:
        if fast:
            store_first(gates + k, quick_tanh(load_first(z + k, n - k)), n - k)
        store_first(h + k, load_first(gates + k, n - k), n - k)
        k += VL


cdef inline void simple_step_back(const bint fast, const Cell* cell, real* dz, const real* dh, const real* gates,
                                  const real* slopes) noexcept nogil:
    cdef Py_ssize_t n = cell.units, k = 0, left
    while k < n:
        left = n - k
        store_first(dz + k, without_traces(load_first(dh + k, left)
                                           * slope_of_tanh(fast, load_first(gates + k, left), slopes + k, left)), left)
        k += VL
