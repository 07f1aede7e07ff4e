# Ops that draw random numbers in training and let x through in inference, where a pass has no stream: dropout,
# gaussian_noise, gaussian_dropout.
#
# A number is a function of the pass's seed and stream, the op's number and seed, and the place of its element among
# all that the pass draws for the op, row by row. The generator is Philox4x32-10 (see philox.pxd): the key is the
# seed, the counter the stream above the number of a block, which is four words w0, w1, w2, w3 of 32 bits. BLOCKS
# blocks at a time make what a group of elements needs:
#
#     DRAWS draws of 16 bits: the halves of all blocks' w0 and w1, then those of all blocks' w2 and w3
#     NORMALS standard normal numbers, two from a pair of words, (w0, w2) or (w1, w3): first one of each pair, in
#     the order of blocks, then the other
#
# Draws are the same bits on every CPU level; normal numbers on all that have a fused multiply-add.

from libc.math cimport rint

cdef enum:
    ROUNDS = 10
    BLOCKS = 16
    DRAWS = 128
    NORMALS = 64
    BLOCK_REALS = 4096       # of a block of rows
    STRETCH = 512            # elements that are drawn at a time, whole groups ...
    STRETCH_BITS = 11        # ... and 64 bits each for DRAWS more than that, and one more


# ---- the generator ---------------------------------------------------------------------------------

cdef struct Generator:
    vwide[ROUNDS] key0
    vwide[ROUNDS] key1
    vwide low_stream
    vwide high_stream


cdef inline void start_generator(Generator* generator, uint64_t seed, uint64_t stream) noexcept nogil:
    cdef uint32_t key0 = <uint32_t>seed, key1 = <uint32_t>(seed >> 32)
    cdef int round
    for round in range(ROUNDS):
        generator.key0[round] = wide_set1(key0)
        generator.key1[round] = wide_set1(key1)
        key0 += 0x9E3779B9U
        key1 += 0xBB67AE85U
    generator.low_stream = wide_set1(stream)
    generator.high_stream = wide_set1(stream >> 32)


# Blocks counter, counter + 1, ..., one in each lane of two vectors, which do not wait for each other: low is
# w0 + 2^32 w1 and high w2 + 2^32 w3. What a word's lane holds above its 32 bits counts for nothing until they are
# joined.
cdef inline void draw_blocks(vwide* low, vwide* high, const Generator* generator, uint64_t counter) noexcept nogil:
    cdef vwide[2] c0, c1, c2, c3
    cdef vwide product0, product2
    cdef int round, k
    for k in range(2):
        c0[k] = wide_count() + wide_set1(counter + <uint64_t>(k * WIDE))
        c1[k] = c0[k] >> 32
        c2[k] = generator.low_stream
        c3[k] = generator.high_stream
    for round in range(ROUNDS):
        for k in range(2):
            product0 = wide_product(c0[k], wide_set1(0xD2511F53U))
            product2 = wide_product(c2[k], wide_set1(0xCD9E8D57U))
            c0[k] = wide_upper(product2) ^ c1[k] ^ generator.key0[round]
            c1[k] = product2
            c2[k] = wide_upper(product0) ^ c3[k] ^ generator.key1[round]
            c3[k] = product0
    for k in range(2):
        low[k] = wide_join(c0[k], c1[k])
        high[k] = wide_join(c2[k], c3[k])


# That of an op, whose own seed is its first size.
cdef inline void start_drawing(Generator* generator, const Op* op) noexcept nogil:
    start_generator(generator, op.drawn.seed ^ <uint64_t>op.sizes[0], op.drawn.stream + <uint64_t>op.number)


cdef inline bint draws(const Op* op) noexcept nogil:
    return op.drawn.stream != 0


# Where a row that draws so many numbers begins among all that the pass draws.
cdef inline uint64_t place_of(const Op* op, Py_ssize_t row, Py_ssize_t numbers) noexcept nogil:
    return <uint64_t>(op.drawn.first + row) * <uint64_t>numbers


# ---- dropout: y = scale x + shift where an element is kept, else `dropped`; dx = scale dy, else 0 -----
#
# options: scale, shift, dropped; sizes: the op's seed, and the largest draw of 16 bits that drops. With several
# lines a row's draws, one for each column, hold for all its lines.
#
# `saved` has a bit for each draw, 1 where kept: of rows that are one line one after the other, otherwise each row
# from its own place in `saved` on.

# Whether the elements of a group are kept: a bit for each.
cdef inline void draw_group(uint64_t* bits, const Generator* generator, uint16_t last_dropped,
                            uint64_t group) noexcept nogil:
    cdef vwide[2] low, high
    cdef int k
    bits[0] = bits[1] = 0
    for k in range(BLOCKS // WIDE):
        if k % 2 == 0:
            draw_blocks(low, high, generator, group * BLOCKS + <uint64_t>(k * WIDE))
        bits[0] |= <uint64_t>wide_above(low[k % 2], last_dropped) << (4 * WIDE * k)
        bits[1] |= <uint64_t>wide_above(high[k % 2], last_dropped) << (4 * WIDE * k)


# Bit i % 64 of bits[i // 64] = whether element first + i is kept, for i < n, which is at most STRETCH.
cdef inline void draw_kept(uint64_t* bits, const Generator* generator, uint16_t last_dropped, uint64_t first,
                           Py_ssize_t n) noexcept nogil:
    cdef uint64_t group = first // DRAWS
    cdef Py_ssize_t begin = <Py_ssize_t>(first % DRAWS), groups = (begin + n + DRAWS - 1) // DRAWS, i
    cdef Py_ssize_t skipped = begin // 64, shift = begin % 64
    for i in range(groups):
        draw_group(bits + 2 * i, generator, last_dropped, group + <uint64_t>i)
    if begin == 0:
        return
    bits[2 * groups] = 0
    for i in range((n + 63) // 64):
        # In two steps, since a shift by 64 is none.
        bits[i] = bits[i + skipped] >> shift | bits[i + skipped + 1] << 1 << (63 - shift)


# What becomes of an element; is_affine is a constant where these are inlined.
cdef struct Keeping:
    vreal scale
    vreal shift
    vreal dropped


cdef inline vreal kept_or_not(const bint is_affine, vreal x, uint64_t bits, const Keeping* rule) noexcept nogil:
    if is_affine:
        return vselect(vmask_of(bits), vfma(rule.scale, x, rule.shift), rule.dropped)
    return vselect(vmask_of(bits), rule.scale * x, vzero())


cdef inline void keep_some(const bint is_affine, real* y, const real* x, const uint64_t* bits, Py_ssize_t n,
                           const Keeping* rule) noexcept nogil:
    cdef Py_ssize_t i = 0, k
    while i + 64 <= n:
        for k in range(64 // VL):
            vstore(y + i + k * VL, kept_or_not(is_affine, vload(x + i + k * VL), bits[0] >> (k * VL), rule))
        bits += 1
        i += 64
    k = 0
    while i < n:
        store_first(y + i, kept_or_not(is_affine, load_first(x + i, n - i), bits[0] >> k, rule), n - i)
        i += VL
        k += VL


# A row of n draws, each of which holds for all of its lines. The bits come from saved unless a generator makes
# them, from draw `first` on; then they go there, if there is one.
cdef inline void drop_row(const bint is_affine, real* y, const real* x, unsigned char* saved,
                          const Generator* generator, const Op* op, uint64_t first, Py_ssize_t n,
                          Py_ssize_t lines) noexcept nogil:
    cdef uint64_t[STRETCH_BITS] bits
    cdef Py_ssize_t done = 0, count, line
    cdef Keeping rule
    rule.scale = vset1(<real>op.options[0])
    rule.shift = vset1(<real>op.options[1])
    rule.dropped = vset1(<real>op.options[2])
    while done < n:
        count = min(n - done, <Py_ssize_t>STRETCH)
        if generator == NULL:
            memcpy(bits, saved + done // 8, (count + 7) // 8)
        else:
            draw_kept(bits, generator, <uint16_t>op.sizes[1], first + <uint64_t>done, count)
            if saved != NULL:
                memcpy(saved + done // 8, bits, (count + 7) // 8)
        for line in range(lines):
            keep_some(is_affine, y + line * n + done, x + line * n + done, bits, count, &rule)
        done += count


cdef inline void drop_rows(const bint is_affine, real* y, const real* x, const Generator* generator, const Op* op,
                           Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t columns = op.outputs, row
    cdef unsigned char* saved = <unsigned char*>op.saved
    if op.lines == 1:
        # All rows are one; each begins a byte where a thread's rows may begin, at multiples of 8.
        if saved != NULL:
            saved += begin // 8 * columns
        drop_row(is_affine, y, x, saved, generator, op, place_of(op, begin, columns), (end - begin) * columns, 1)
        return
    for row in range(begin, end):
        drop_row(is_affine, y, x, <unsigned char*>saved_of(op, row), generator, op, place_of(op, row, columns), columns,
                 op.lines)
        y += row_reals(op)
        x += row_reals(op)


# Of a rate that changes: how many of the possible draws drop, so that a few do unless it is 0, and not all unless
# it is 1 or more; what is kept is scaled for that. Where 0 is not what is dropped it is selu's limit far below, and mean 0
# and variance 1 stay what they are (layers/noise.py).
cdef void dropout_op_tune(Op* op, double rate) noexcept nogil:
    cdef double draws = 65536.0, dropped = rint(rate * draws), least = -1.7580993408473766
    if rate >= 1.0 and op.options[2] == 0:
        dropped = draws
    elif rate > 0.0:
        dropped = min(max(1.0, dropped), draws - 1.0)
    op.sizes[1] = <Py_ssize_t>dropped - 1
    if op.options[2] == 0:
        op.options[0] = draws / (draws - dropped) if dropped < draws else 0.0
        return
    dropped /= draws
    op.options[0] = 1.0 / sqrt((1.0 - dropped) * (1.0 + dropped * (least * least)))
    op.options[1] = -op.options[0] * dropped * least
    op.options[2] = op.options[0] * least + op.options[1]


cdef inline bint drops_some(const Op* op) noexcept nogil:
    return draws(op) and op.sizes[1] >= 0


cdef void dropout_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t bits = 8 * <Py_ssize_t>sizeof(real)
    op.tune = dropout_op_tune
    op.parameter_reals = 0 if keeps_size(op) and 0 <= op.sizes[1] < 65536 else -1
    op.saved_per_row = (op.outputs + bits - 1) // bits
    op.row_step = 8
    op.dx_over_dy = True
    op.work_per_row = 3.0 * row_reals(op)


cdef void dropout_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Generator generator
    if not drops_some(op):
        memcpy(y_of(op, begin), x_of(op, begin), (end - begin) * row_reals(op) * sizeof(real))
        return
    start_drawing(&generator, op)
    if op.options[1] == 0 and op.options[2] == 0:
        drop_rows(False, y_of(op, begin), x_of(op, begin), &generator, op, begin, end)
    else:
        drop_rows(True, y_of(op, begin), x_of(op, begin), &generator, op, begin, end)


cdef void dropout_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # Blocks that stay in the first cache begin at multiples of 8, where the rows of all do.
    cdef Py_ssize_t at_once = rows_handed_back(op, max(<Py_ssize_t>1, BLOCK_REALS // (8 * row_reals(op))) * 8), upto
    while begin < end:
        upto = min(end, begin + at_once)
        if drops_some(op):
            drop_rows(False, dx_of(op, begin), dy_of(op, begin), NULL, op, begin, upto)
        else:
            pass_on(dx_of(op, begin), dy_of(op, begin), (upto - begin) * row_reals(op))
        finish_dx(op, 0, begin, upto)
        begin = upto


# ---- normal numbers (G. E. P. Box and M. E. Muller, Annals of Mathematical Statistics 29, 1958) ------

# With u = |a| / 2^31 and t = |b| / 2^31 - 1/2, the pair sqrt(-2 log u) (cos, sin)(pi / 4 + pi t / 2), each with a
# sign of its own; a and b are whole numbers from -2^31 to 2^31, odd but for rounding: all that a word says is used,
# nothing is 0 and nothing is beyond 6.6.
cdef inline void normal_pair(vreal* first, vreal* second, vreal a, vreal b) noexcept nogil:
    cdef vreal unit = vset1(<real>(1.0 / 2147483648.0)), k
    cdef vreal f = log_reduced(unit * vabs(a), vset1(-0.0), &k)
    cdef vreal radius = vsqrt(vabs(log_restored(f, k)))
    cdef vreal t = vfma(unit, vabs(b), vset1(-0.5))
    cdef vreal t2 = t * t
    cdef vreal sine = t * sine_of_turn(t2), cosine = cosine_of_turn(t2)
    first[0] = vcopysign(radius * (cosine - sine), b)
    second[0] = vcopysign(radius * (cosine + sine), a)


cdef inline void normals_of_group(real* z, const Generator* generator, uint64_t group) noexcept nogil:
    cdef int32_t[NORMALS] words
    cdef vwide[2] low, high
    cdef vwide odd = wide_set1(0x100000001)
    cdef vreal first, second
    cdef Py_ssize_t k, half = NORMALS // 2
    for k in range(BLOCKS // WIDE):
        if k % 2 == 0:
            draw_blocks(low, high, generator, group * BLOCKS + <uint64_t>(k * WIDE))
        wide_store(words + 2 * WIDE * k, low[k % 2] | odd)
        wide_store(words + half + 2 * WIDE * k, high[k % 2] | odd)
    for k in range(half // VL):
        normal_pair(&first, &second, vreal_of_words(words + k * VL), vreal_of_words(words + half + k * VL))
        vstore(z + k * VL, first)
        vstore(z + half + k * VL, second)


# Standard normal numbers first, first + 1, ..., n of them; they are put into room, which is for n + 2 NORMALS.
cdef inline const real* draw_normals(real* room, const Generator* generator, uint64_t first,
                                     Py_ssize_t n) noexcept nogil:
    cdef uint64_t group = first // NORMALS
    cdef Py_ssize_t begin = first % NORMALS, i
    for i in range((begin + n + NORMALS - 1) // NORMALS):
        normals_of_group(room + i * NORMALS, generator, group + i)
    return room + begin


# ---- gaussian_noise: y = x + deviation z; gaussian_dropout: y = x (1 + deviation z), z standard normal ----
#
# options: deviation; sizes: the op's seed. Backward draws the same numbers once more.

ctypedef vreal (*noise_rule)(vreal x, vreal z, vreal deviation) noexcept nogil


cdef inline vreal with_noise(vreal x, vreal z, vreal deviation) noexcept nogil:
    return vfma(deviation, z, x)


cdef inline vreal times_noise(vreal x, vreal z, vreal deviation) noexcept nogil:
    return x * vfma(deviation, z, vset1(1))


cdef inline void disturb(const noise_rule rule, real* y, const real* x, const Op* op, Py_ssize_t begin,
                         Py_ssize_t end) noexcept nogil:
    cdef Generator generator
    cdef real[STRETCH + 2 * NORMALS] room
    cdef const real* z
    cdef Py_ssize_t n = (end - begin) * row_reals(op), done = 0, count, i
    cdef vreal deviation = vset1(<real>op.options[0])
    if not draws(op):
        pass_on(y, x, n)
        return
    start_drawing(&generator, op)
    while done < n:
        count = min(n - done, <Py_ssize_t>STRETCH)
        z = draw_normals(room, &generator, place_of(op, begin, row_reals(op)) + <uint64_t>done, count)
        i = 0
        while i < count:
            store_first(y + i, rule(load_first(x + i, count - i), load_first(z + i, count - i), deviation), count - i)
            i += VL
        y += count
        x += count
        done += count


cdef void gaussian_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) else -1
    op.dx_over_dy = True
    op.work_per_row = 24.0 * row_reals(op)


cdef void gaussian_noise_op_measure(Op* op) noexcept nogil:
    gaussian_op_measure(op)
    op.reads[0].place_in_dy = 0


cdef void gaussian_noise_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    disturb(with_noise, y_of(op, begin), x_of(op, begin), op, begin, end)


cdef void gaussian_noise_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    scale_dy(op, 0, begin, end, 1)
    finish_dx(op, 0, begin, end)


cdef void gaussian_dropout_op_tune(Op* op, double rate) noexcept nogil:
    rate = min(rate, 65535.0 / 65536.0)
    op.options[0] = sqrt(rate / (1.0 - rate))


cdef void gaussian_dropout_op_measure(Op* op) noexcept nogil:
    gaussian_op_measure(op)
    op.tune = gaussian_dropout_op_tune


cdef void gaussian_dropout_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    disturb(times_noise, y_of(op, begin), x_of(op, begin), op, begin, end)


cdef void gaussian_dropout_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    disturb(times_noise, dx_of(op, begin), dy_of(op, begin), op, begin, end)
    finish_dx(op, 0, begin, end)


# ---- the same on plain arrays, by address ----------------------------------------------------------

# The words of blocks counter, counter + 1, ..., BLOCKS of them, block by block.
def apply_philox(size_t words, uint64_t seed, uint64_t stream, uint64_t counter):
    cdef Generator generator
    cdef int32_t[2 * WIDE] lows, highs
    cdef vwide[2] low, high
    cdef Py_ssize_t k, lane
    cdef int32_t* block = <int32_t*>words
    start_generator(&generator, seed, stream)
    for k in range(BLOCKS // WIDE):
        if k % 2 == 0:
            draw_blocks(low, high, &generator, counter + <uint64_t>(k * WIDE))
        wide_store(lows, low[k % 2])
        wide_store(highs, high[k % 2])
        for lane in range(WIDE):
            memcpy(block, lows + 2 * lane, 8)
            memcpy(block + 2, highs + 2 * lane, 8)
            block += 4


# Standard normal numbers first, first + 1, ... of a stream.
def apply_normals(size_t out, uint64_t seed, uint64_t stream, uint64_t first, Py_ssize_t n):
    cdef fw_float_mode mode
    cdef Generator generator
    cdef real[STRETCH + 2 * NORMALS] room
    cdef const real* z
    cdef Py_ssize_t done = 0, count
    with nogil:
        mode = fw_enter_float_mode()
        start_generator(&generator, seed, stream)
        while done < n:
            count = min(n - done, <Py_ssize_t>STRETCH)
            z = draw_normals(room, &generator, first + <uint64_t>done, count)
            memcpy(<real*>out + done, z, count * sizeof(real))
            done += count
        fw_leave_float_mode(mode)


# Dropout of x (rows, columns) by a pass of this seed and stream whose first row it begins with; saved: a bit for each
# element.
def apply_dropout(size_t y, size_t saved, size_t x, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t last_dropped,
                  double scale, uint64_t seed, uint64_t stream):
    cdef fw_float_mode mode
    cdef Generator generator
    cdef Op op
    op.options[0], op.sizes[1] = scale, last_dropped
    with nogil:
        mode = fw_enter_float_mode()
        start_generator(&generator, seed, stream)
        drop_row(False, <real*>y, <const real*>x, <unsigned char*>saved, &generator, &op, 0, rows * columns, 1)
        fw_leave_float_mode(mode)


def apply_dropout_gradient(size_t dx, size_t dy, size_t saved, Py_ssize_t rows, Py_ssize_t columns, double scale):
    cdef fw_float_mode mode
    cdef Op op
    op.options[0] = scale
    with nogil:
        mode = fw_enter_float_mode()
        drop_row(False, <real*>dx, <const real*>dy, <unsigned char*>saved, NULL, &op, 0, rows * columns, 1)
        fw_leave_float_mode(mode)
