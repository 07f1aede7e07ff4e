# What a matrix product could reach at best: a register tile's worth of fused multiply-adds that wait
# for nothing, neither for memory nor for each other.

# The sum over all lanes of TILE_ACCUMULATORS chains a = a / 2 + 1, n links each. They start apart, so
# that no compiler takes them for one, and end at 2.
cdef double multiply_adds(Py_ssize_t n) noexcept nogil:
    # In two loops, since compilers keep acc in memory rather than unroll beyond 16.
    cdef vreal[TILE_ACCUMULATORS] acc
    cdef vreal half = vset1(<real>0.5), one = vset1(<real>1), lines = vzero()
    cdef real[VL] lanes
    cdef double total = 0.0
    cdef Py_ssize_t link
    cdef int i, j
    for i in range(TILE_ACCUMULATORS // TILE_VECTORS):
        for j in range(TILE_VECTORS):
            acc[i * TILE_VECTORS + j] = vset1(<real>(i * TILE_VECTORS + j))
    for link in range(n):
        for i in range(TILE_ACCUMULATORS // TILE_VECTORS):
            for j in range(TILE_VECTORS):
                acc[i * TILE_VECTORS + j] = vfma(acc[i * TILE_VECTORS + j], half, one)
    for i in range(TILE_ACCUMULATORS // TILE_VECTORS):
        for j in range(TILE_VECTORS):
            lines = lines + acc[i * TILE_VECTORS + j]
    vstore(lanes, lines)
    for i in range(VL):
        total += lanes[i]
    return total


def peak(Py_ssize_t n):
    """How many operations n links of each chain are, done; and their sum, 2 a lane from n = 100 on."""
    cdef fw_float_mode mode
    cdef double total
    with nogil:
        mode = fw_enter_float_mode()
        total = multiply_adds(n)
        fw_leave_float_mode(mode)
    return 2 * n * TILE_ACCUMULATORS * VL, total
