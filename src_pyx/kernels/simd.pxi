# simd.h as Cython sees it. The widths written here are only for Cython's type checks: the C compiler
# knows the true ones, and + - * / between two vreal are vector arithmetic.

from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t

cdef extern from "simd.h" nogil:
    ctypedef double real
    ctypedef double vreal
    ctypedef int vmask
    ctypedef int vtail
    enum: FW_F64
    const real LARGEST "FW_LARGEST"
    const real SMALLEST_NORMAL "FW_SMALLEST_NORMAL"
    enum: FW_NORMAL_BITS
    enum: FW_TRACE_BITS
    enum: FW_ROOT_BITS
    enum: VL
    enum: LANES
    enum: LANE_VECTORS
    enum: TILE_VECTORS
    enum: TILE_ACCUMULATORS
    vreal vload(const real* p)
    void vstore(real* p, vreal a)
    void vprefetch(const void* p)
    vreal vload_tail(const real* p, vtail t)
    vreal vkeep_tail(vreal a, vtail t)
    vreal vload_tail_or(const real* p, vtail t, vreal fill)
    void vstore_tail(real* p, vreal a, vtail t)
    vtail vtail_of(Py_ssize_t n)
    vreal vset1(real a)
    vreal vzero()
    vmask vlt(vreal a, vreal b)
    vmask vle(vreal a, vreal b)
    vmask veq(vreal a, vreal b)
    vmask vand(vmask a, vmask b)
    vmask vor(vmask a, vmask b)
    vmask vnot(vmask a)
    bint vany(vmask m)
    vreal vselect(vmask m, vreal a, vreal b)
    vreal vkeep_exponents(vreal a, long long bits)
    vreal vzip_low(vreal a, vreal b)
    vreal vzip_high(vreal a, vreal b)
    vreal vunzip_even(vreal a, vreal b)
    vreal vunzip_odd(vreal a, vreal b)
    vreal vfma(vreal a, vreal b, vreal c)
    vreal vfnma(vreal a, vreal b, vreal c)
    vreal vmul_error(vreal a, vreal b, vreal p)
    vreal vadd_error(vreal a, vreal b, vreal s)
    vreal vmin(vreal a, vreal b)
    vreal vmax(vreal a, vreal b)
    vreal vsqrt(vreal a)
    vreal vabs(vreal a)
    vreal vminus_abs(vreal a)
    vreal vcopysign(vreal a, vreal b)
    vreal vexp2i(vreal n)
    vreal vexp2_round(vreal a, vreal b, vmask m, vreal* n)
    vreal vexponent(vreal a)
    vreal vmantissa(vreal a)
    vreal vreciprocal_guess(vreal a)
    ctypedef unsigned long long vwide
    enum: WIDE
    vwide wide_set1(uint64_t a)
    vwide wide_count()
    vwide wide_product(vwide a, vwide b)
    vwide wide_upper(vwide a)
    vwide wide_join(vwide low, vwide high)
    void wide_store(int32_t* p, vwide a)
    uint32_t wide_above(vwide a, uint16_t limit)
    vmask vmask_of(uint64_t bits)
    vreal vreal_of_words(const int32_t* p)


# ---- parts of vectors ------------------------------------------------------------------------------

# The first n reals of a vector, where n may be larger than the vector; the rest is 0.
cdef inline vreal load_first(const real* p, Py_ssize_t n) noexcept nogil:
    return vload(p) if n >= VL else vload_tail(p, vtail_of(n))


cdef inline vreal load_first_or(const real* p, Py_ssize_t n, vreal fill) noexcept nogil:
    # As load_first, but the rest is `fill`.
    return vload(p) if n >= VL else vload_tail_or(p, vtail_of(n), fill)


cdef inline vreal keep_first(vreal a, Py_ssize_t n) noexcept nogil:
    # The first n lanes; the rest is 0.
    return a if n >= VL else vkeep_tail(a, vtail_of(n))


cdef inline void store_first(real* p, vreal a, Py_ssize_t n) noexcept nogil:
    if n >= VL:
        vstore(p, a)
    else:
        vstore_tail(p, a, vtail_of(n))


# Neither NaN nor infinite.
cdef inline vmask is_finite(vreal a) noexcept nogil:
    return vle(vabs(a), vset1(LARGEST))


# The nearest finite number; NaN goes through.
cdef inline vreal within_range(vreal a) noexcept nogil:
    return vmin(vset1(LARGEST), vmax(vset1(-LARGEST), a))


# a, or 0 where it is below the smallest normal number.
cdef inline vreal without_subnormals(vreal a) noexcept nogil:
    return vkeep_exponents(a, FW_NORMAL_BITS)


# a, or 0 where it is below 2^-95 (float64: 2^-959): what is left of gradients that have died away. It moves
# nothing, but the products it goes into are subnormal numbers, with which CPUs are slow.
cdef inline vreal without_traces(vreal a) noexcept nogil:
    return vkeep_exponents(a, FW_TRACE_BITS)


# 1, -1 or, where it is 0, 0.
cdef inline vreal sign_of(vreal a) noexcept nogil:
    return vselect(veq(a, vzero()), vzero(), vcopysign(vset1(1), a))


cdef inline real first_lane(vreal a) noexcept nogil:
    cdef real[VL] lanes
    vstore(lanes, a)
    return lanes[0]


# A whole vector or, where ragged, its tail; ragged is a constant where these are inlined.
cdef inline vreal load_part(const bint ragged, const real* p, vtail tail) noexcept nogil:
    return vload_tail(p, tail) if ragged else vload(p)


cdef inline void store_part(const bint ragged, real* p, vreal a, vtail tail) noexcept nogil:
    if ragged:
        vstore_tail(p, a, tail)
    else:
        vstore(p, a)


# ---- long sums: what rounding puts in excess is added up apart, and taken off at the end ------------
# (A. Neumaier, ZAMM 54, 1974; T. Ogita, S. Rump and S. Oishi, SIAM J. Sci. Comput. 26, 2005)

cdef inline void add_exactly(vreal* total, vreal* excess, vreal term) noexcept nogil:
    cdef vreal before = total[0]
    total[0] = before + term
    excess[0] = excess[0] - vadd_error(before, term, total[0])


# A sum that is infinite has no excess that is finite.
cdef inline vreal without_excess(vreal total, vreal excess) noexcept nogil:
    return total - vselect(is_finite(excess), excess, vzero())
