# The op "attention": in each row every query q_i has a mean of the values, those of keys like it counting most,
#
#     y_i = sum_j p_ij v_j,   p_i = softmax over j of scale q_i . k_j,
#
# in each head apart. Reads: queries (lines, heads * key_dim), keys (keys, kv_heads * key_dim), values
# (keys, kv_heads * value_dim), of which heads / kv_heads heads that follow each other share one; then, if there is one,
# the mask of queries (lines,): where it is 0 a query sees nothing; then those of keys, any number of them, (keys,) or
# (lines, keys): where one is 0 nobody sees the key. y is (lines, heads * value_dim), 0 for a query that sees no key.
# sizes: the op's seed, how many of the 65536 draws drop a p, heads, kv_heads, keys, whether query i sees keys
# 0 to i alone, and whether there is a mask of queries. options: scale, and what a p that is not dropped is
# multiplied by.
#
# The p are never there all at once (T. Dao et al., "FlashAttention", NeurIPS 2022): blocks of QUERIES meet blocks of
# KEYS, and what a query has of one block is brought to the largest score of all so far. `saved` has that and the
# inverse of the sum of each head's queries, by which backward makes each block again. With dp = dy . v^T
#
#     dv += p^T . dy     ds = p (dp - sum_j(p dp)) = p (dp - dy . y)     dq += scale ds . k     dk += scale ds^T . q
#
# Queries behind the last that its mask leaves, and keys behind the last that theirs leave, cost nothing.
#
# A plan that goes on step by step carries keys and values of the steps before, which come first among the keys, and
# which of these keys are seen.
#
# Scores lie (keys, queries), so lanes are queries: their maxima and sums are vectors, and products read keys and
# values, whose lines lie far apart, one real at a time.

cdef enum:
    QUERIES = 32
    KEYS = 128               # a block's scores and their gradients are in the first cache, ...
    KEY_PARTS = 4            # ... whose maxima and sums are as many chains
    KEPT_WORDS = 64          # of 64 bits, one for each of its scores


# What functions of a head share.
cdef struct Head:
    const Op* op
    Py_ssize_t row
    Py_ssize_t number
    Py_ssize_t queries
    Py_ssize_t keys
    Py_ssize_t asking            # queries from here on are masked
    Py_ssize_t seen              # keys from here on are masked for all
    Py_ssize_t before            # keys of steps that went before: the place of the first query among them
    Py_ssize_t key_dim
    Py_ssize_t value_dim
    Py_ssize_t q_stride          # from line to line, also of dq and so on
    Py_ssize_t k_stride
    Py_ssize_t v_stride
    Py_ssize_t y_stride
    const real* q
    const real* k
    const real* v
    const real* query_mask       # (queries,); NULL
    real* y
    real* top                    # of each query its largest score and 1 / the sum of e^(score - top); NULL
    real* share
    # Of a block of queries:
    real* q_turned               # (key_dim, QUERIES), times scale
    real* dy_turned              # (value_dim, QUERIES)
    real* y_turned               # likewise
    real* scores                 # (KEYS, QUERIES), which become p
    real* dscores                # (KEYS, QUERIES)
    real* mask                   # (KEYS, QUERIES)
    bint is_dropping
    uint64_t[KEPT_WORDS] kept    # 32 bits for each key
    Generator generator


# The first of the masks of keys.
cdef inline Py_ssize_t key_masks(const Op* op) noexcept nogil:
    return 4 if op.sizes[6] else 3


# Whether a mask of keys is the same for all queries.
cdef inline bint is_for_all(const Op* op, Py_ssize_t k) noexcept nogil:
    return op.reads[k].width == op.sizes[4]


cdef inline bint has_wide_mask(const Op* op) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(key_masks(op), op.n_reads):
        if not is_for_all(op, k):
            return True
    return False


cdef inline bint has_key_mask(const Op* op) noexcept nogil:
    return op.n_reads > key_masks(op)


cdef inline Py_ssize_t query_blocks(const Op* op) noexcept nogil:
    return (op.lines + QUERIES - 1) // QUERIES


# The draws of a row: all groups of them are whole.
cdef inline Py_ssize_t keys_drawn(const Op* op) noexcept nogil:
    return (op.sizes[4] + DRAWS // QUERIES - 1) // (DRAWS // QUERIES) * (DRAWS // QUERIES)


cdef inline bint suits_attention(const Op* op) noexcept nogil:
    cdef Py_ssize_t heads = op.sizes[2], kv_heads = op.sizes[3], keys = op.sizes[4], k
    if not (op.n_reads >= 3 and op.n_variables == 0 and 0 <= op.sizes[1] <= 65536 and 0 <= op.sizes[5] <= 1
            and 0 <= op.sizes[6] <= 1 and heads >= 1 and kv_heads >= 1 and keys >= 1):
        return False
    if (heads % kv_heads or op.inputs % heads or op.outputs % heads or op.inputs == 0
            or not is_product(op.reads[0].width, op.lines, op.inputs)
            or not is_product(op.reads[1].width, keys, op.inputs // heads * kv_heads)
            or not is_product(op.reads[2].width, keys, op.outputs // heads * kv_heads)):
        return False
    if op.sizes[6] and (op.n_reads < 4 or op.reads[3].width != op.lines):
        return False
    for k in range(key_masks(op), op.n_reads):
        if not is_for_all(op, k) and (op.gone != NULL or not is_product(op.reads[k].width, op.lines, keys)):
            return False
    return True


cdef void attention_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t heads = op.sizes[2], key_dim, value_dim
    if not suits_attention(op):
        op.parameter_reals = -1
        return
    op.parameter_reals = 0
    key_dim = op.inputs // heads
    value_dim = op.outputs // heads
    op.saved_per_row = 2 * heads * op.lines
    op.carried_per_step = (op.reads[1].width + op.reads[2].width) // op.sizes[4] + has_key_mask(op)
    op.workspace_reals = QUERIES * (key_dim + 2 * value_dim + (3 if has_wide_mask(op) else 2) * KEYS)
    op.work_per_row = (<double>heads * op.lines * op.sizes[4] * (key_dim + value_dim + 16)
                       * (0.5 if op.sizes[5] else 1.0))


# ---- blocks ----------------------------------------------------------------------------------------

# at (columns, QUERIES) = up to QUERIES lines a (lines, columns) transposed; 0 in what is left of a vector.
cdef inline void turn_lines(real* at, const real* a, Py_ssize_t stride, Py_ssize_t lines,
                            Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t line = 0
    while line < lines:
        transpose_strip(at + line, QUERIES, a + line * stride, stride, lines - line, columns, VL)
        line += VL


# c (rows, columns) = a . b (depth, columns), added to what is there where it `adds`.
cdef inline void multiply_apart(real* c, Py_ssize_t ldc, const real* a, Py_ssize_t a_row, Py_ssize_t a_k, const real* b,
                                Py_ssize_t ldb, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t depth,
                                bint adds) noexcept nogil:
    cdef Product p
    multiply_by(&p, NULL, b, depth, columns)
    p.ldb = ldb
    p.c = c
    p.ldc = ldc
    p.a = a
    p.a_row = a_row
    p.a_k = a_k
    p.start = c if adds else NULL
    p.start_row = ldc
    matmul(&p, rows, columns)


# Of a series that goes on step by step: the keys of each step, its values, and, if there are masks, whether it is seen.
cdef inline real* keys_carried(const Op* op, Py_ssize_t row) noexcept nogil:
    return carried_of(op, row)


cdef inline real* values_carried(const Op* op, Py_ssize_t row) noexcept nogil:
    return carried_of(op, row) + op.reads[1].width // op.sizes[4]


cdef inline real* mask_carried(const Op* op, Py_ssize_t row) noexcept nogil:
    return values_carried(op, row) + op.reads[2].width // op.sizes[4]


# A key of (keys, QUERIES) of which nobody sees anything.
cdef inline void hide_key(real* scores) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < QUERIES:
        vstore(scores + i, vset1(<real>-INFINITY))
        i += VL


# Of keys that are 0 in a mask of keys, which stand `stride` apart, from this one on.
cdef inline void hide_keys(real* scores, const real* mask, Py_ssize_t stride, Py_ssize_t keys) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(keys):
        if mask[i * stride] == 0:
            hide_key(scores + i * QUERIES)


# Where mask (keys, QUERIES), whose keys are `stride` apart, is 0.
cdef inline void hide_pairs(real* scores, const real* mask, Py_ssize_t stride, Py_ssize_t keys) noexcept nogil:
    cdef Py_ssize_t k, i
    for k in range(keys):
        i = 0
        while i < QUERIES:
            vstore(scores + k * QUERIES + i, vselect(veq(vload(mask + k * stride + i), vzero()),
                                                     vset1(<real>-INFINITY), vload(scores + k * QUERIES + i)))
            i += VL


# What masks say of scores of some keys by a block of queries.
cdef void hide_by_masks(Head* h, Py_ssize_t query, Py_ssize_t queries, Py_ssize_t key, Py_ssize_t keys) noexcept nogil:
    cdef const Op* op = h.op
    cdef real[QUERIES] asking
    cdef bint is_hidden = False
    cdef Py_ssize_t k
    if op.carried != NULL and has_key_mask(op):
        hide_keys(h.scores, mask_carried(op, h.row) + key * op.carried_per_step, op.carried_per_step, keys)
    for k in range(key_masks(op), op.n_reads if op.carried == NULL else 0):
        if is_for_all(op, k):
            hide_keys(h.scores, read_of(op, k, h.row) + key, 1, keys)
        else:
            turn_lines(h.mask, read_of(op, k, h.row) + query * h.keys + key, h.keys, queries, keys)
            hide_pairs(h.scores, h.mask, QUERIES, keys)
    if h.query_mask != NULL:
        for k in range(QUERIES):
            asking[k] = h.query_mask[query + k] if k < queries else 1
            is_hidden = is_hidden or asking[k] == 0
        if is_hidden:
            hide_pairs(h.scores, asking, 0, keys)


# Of a later key than each query's own.
cdef void hide_future(real* scores, Py_ssize_t query, Py_ssize_t key, Py_ssize_t keys) noexcept nogil:
    cdef real[QUERIES] places
    cdef Py_ssize_t i, k
    for i in range(QUERIES):
        places[i] = <real>i
    for k in range(max(<Py_ssize_t>0, query + 1 - key), keys):
        i = 0
        while i < QUERIES:
            vstore(scores + k * QUERIES + i,
                   vselect(vlt(vload(places + i), vset1(<real>(key + k - query))), vset1(<real>-INFINITY),
                           vload(scores + k * QUERIES + i)))
            i += VL


# Scores of some keys by a block of queries, -inf where a key is not seen, and of keys up to whole parts.
cdef void score_block(Head* h, Py_ssize_t query, Py_ssize_t queries, Py_ssize_t key, Py_ssize_t keys) noexcept nogil:
    cdef Py_ssize_t k
    multiply_apart(h.scores, QUERIES, h.k + key * h.k_stride, h.k_stride, 1, h.q_turned, QUERIES, keys,
                   (queries + VL - 1) // VL * VL, h.key_dim, False)
    if h.op.n_reads > 3:
        hide_by_masks(h, query, queries, key, keys)
    if h.op.sizes[5] and key + keys > h.before + query + 1:
        hide_future(h.scores, h.before + query, key, keys)
    for k in range(keys, (keys + KEY_PARTS - 1) // KEY_PARTS * KEY_PARTS):
        hide_key(h.scores + k * QUERIES)


# Which p of some keys by a block of queries are kept.
cdef void draw_block(Head* h, Py_ssize_t query, Py_ssize_t key, Py_ssize_t keys) noexcept nogil:
    cdef const Op* op = h.op
    cdef Py_ssize_t blocks = query_blocks(op), n = (keys + 3) // 4 * 4 * QUERIES, done = 0
    cdef uint64_t first = place_of(op, h.row, op.sizes[2] * blocks * keys_drawn(op) * QUERIES)
    first += <uint64_t>(((h.number * blocks + query // QUERIES) * keys_drawn(op) + key) * QUERIES)
    while done < n:
        draw_kept(h.kept + done // 64, &h.generator, <uint16_t>(op.sizes[1] - 1), first + <uint64_t>done,
                  min(n - done, <Py_ssize_t>STRETCH))
        done += STRETCH


# Whether p of VL queries from this one on by the k-th key of a block are kept.
cdef inline vmask kept_of(const Head* h, Py_ssize_t k, Py_ssize_t query) noexcept nogil:
    return vmask_of(h.kept[k // 2] >> (32 * (k % 2) + query))


# e^(score - top) for a finite top that is the largest score, or the largest number where that is inf. It passes no
# traces: they are nothing beside the 1 of the top.
cdef inline vreal power_of(vreal score, vreal top) noexcept nogil:
    cdef vreal square, m = decay_reduced(vmin(vzero(), score - top), &square)
    return without_traces(vfma(square, m, square))


# Keys of the head that this query and those before it see.
cdef inline Py_ssize_t keys_seen(const Head* h, Py_ssize_t upto) noexcept nogil:
    return min(h.seen, h.before + upto) if h.op.sizes[5] else h.seen


# Puts keys and values of these steps behind those before.
cdef void carry_on(const Head* h, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef Py_ssize_t k_reals = op.reads[1].width // op.sizes[4], v_reals = op.reads[2].width // op.sizes[4], step, at, k
    for step in range(op.sizes[4]):
        at = (h.before + step) * op.carried_per_step
        copy_reals(keys_carried(op, row) + at, read_of(op, 1, row) + step * k_reals, k_reals)
        copy_reals(values_carried(op, row) + at, read_of(op, 2, row) + step * v_reals, v_reals)
        if has_key_mask(op):
            mask_carried(op, row)[at] = 1
            for k in range(key_masks(op), op.n_reads):
                if read_of(op, k, row)[step] == 0:
                    mask_carried(op, row)[at] = 0


cdef void start_head(Head* h, const Op* op, Py_ssize_t row, Py_ssize_t number) noexcept nogil:
    cdef Py_ssize_t kv_head = number // (op.sizes[2] // op.sizes[3])
    cdef real* saved = saved_of(op, row)
    h.row = row
    h.number = number
    h.q = read_of(op, 0, row) + number * h.key_dim
    h.k = (read_of(op, 1, row) if op.carried == NULL else keys_carried(op, row)) + kv_head * h.key_dim
    h.v = (read_of(op, 2, row) if op.carried == NULL else values_carried(op, row)) + kv_head * h.value_dim
    h.y = y_of(op, row) + number * h.value_dim
    h.top = NULL if saved == NULL else saved + 2 * number * h.queries
    h.share = NULL if saved == NULL else h.top + h.queries


# What all heads of a call share.
cdef void start_heads(Head* h, const Op* op) noexcept nogil:
    cdef real* room = <real*>op.workspace
    h.op = op
    h.queries = op.lines
    h.before = gone_before(op)
    h.keys = h.before + op.sizes[4]
    h.key_dim = op.inputs // op.sizes[2]
    h.value_dim = op.outputs // op.sizes[2]
    h.q_stride = op.inputs
    h.k_stride = h.key_dim * op.sizes[3] if op.carried == NULL else op.carried_per_step
    h.v_stride = h.value_dim * op.sizes[3] if op.carried == NULL else op.carried_per_step
    h.y_stride = op.outputs
    h.scores = room
    h.dscores = h.scores + KEYS * QUERIES
    h.q_turned = h.dscores + KEYS * QUERIES
    h.dy_turned = h.q_turned + h.key_dim * QUERIES
    h.y_turned = h.dy_turned + h.value_dim * QUERIES
    h.mask = h.y_turned + h.value_dim * QUERIES
    h.is_dropping = draws(op) and op.sizes[1] > 0
    if h.is_dropping:
        start_drawing(&h.generator, op)


# How many there are up to the last that is not 0.
cdef inline Py_ssize_t without_zeros(const real* mask, Py_ssize_t n) noexcept nogil:
    while n > 0 and mask[n - 1] == 0:
        n -= 1
    return n


# What masks leave of this row: up to the last query, and up to the last key.
cdef void start_row(Head* h, Py_ssize_t row) noexcept nogil:
    cdef const Op* op = h.op
    cdef Py_ssize_t k
    h.query_mask = read_of(op, 3, row) if op.sizes[6] else NULL
    h.asking = h.queries if h.query_mask == NULL else without_zeros(h.query_mask, h.queries)
    h.seen = h.keys
    for k in range(key_masks(op), op.n_reads if op.carried == NULL else 0):
        if is_for_all(op, k):
            h.seen = without_zeros(read_of(op, k, row), h.seen)


# q_turned of a block of queries.
cdef void turn_queries(Head* h, Py_ssize_t query, Py_ssize_t queries) noexcept nogil:
    cdef vreal scale = vset1(<real>h.op.options[0])
    cdef Py_ssize_t k, i
    turn_lines(h.q_turned, h.q + query * h.q_stride, h.q_stride, queries, h.key_dim)
    for k in range(h.key_dim):
        i = 0
        while i < queries:
            vstore(h.q_turned + k * QUERIES + i, scale * vload(h.q_turned + k * QUERIES + i))
            i += VL


# ---- forward ---------------------------------------------------------------------------------------

# Scores of VL queries become e^(score - top), with top the largest of all so far. Returns the power of what top has
# grown by, which the sum before is multiplied by.
cdef inline vreal raise_scores(const bint is_dropping, real* scores, real* top, real* sum, const Head* h,
                               Py_ssize_t query, Py_ssize_t keys) noexcept nogil:
    cdef vreal[KEY_PARTS] part
    cdef vreal before = vload(top), best, grown, power, factor = vset1(<real>h.op.options[1])
    cdef Py_ssize_t k = 0
    cdef int i
    for i in range(KEY_PARTS):
        part[i] = before
    while k < keys:
        for i in range(KEY_PARTS):
            part[i] = vmax(part[i], vload(scores + (k + i) * QUERIES))
        k += KEY_PARTS
    best = vmin(vset1(LARGEST), vmax(vmax(part[0], part[1]), vmax(part[2], part[3])))
    grown = power_of(before, best)
    for i in range(KEY_PARTS):
        part[i] = vzero()
    k = 0
    while k < keys:
        for i in range(KEY_PARTS):
            power = power_of(vload(scores + (k + i) * QUERIES), best)
            part[i] = part[i] + power
            if is_dropping:
                power = vselect(kept_of(h, k + i, query), factor * power, vzero())
            vstore(scores + (k + i) * QUERIES, power)
        k += KEY_PARTS
    vstore(top, best)
    vstore(sum, vfma(vload(sum), grown, (part[0] + part[1]) + (part[2] + part[3])))
    return grown


# Lines times a factor each.
cdef void scale_each(real* y, Py_ssize_t stride, const real* factors, Py_ssize_t lines,
                     Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t line, i
    cdef vreal factor
    for line in range(lines):
        factor = vset1(factors[line])
        i = 0
        while i < columns:
            store_first(y + i, factor * load_first(y + i, columns - i), columns - i)
            i += VL
        y += stride


cdef void attend(Head* h, Py_ssize_t query, Py_ssize_t queries) noexcept nogil:
    cdef real[QUERIES] top, sum, factor
    cdef Py_ssize_t seen = keys_seen(h, query + queries), key = 0, keys, i
    cdef real* y = h.y + query * h.y_stride
    cdef vreal share
    for i in range(QUERIES):
        top[i] = -LARGEST
        sum[i] = 0
    if seen == 0:
        for i in range(queries):
            memset(y + i * h.y_stride, 0, h.value_dim * sizeof(real))
    turn_queries(h, query, queries)
    while key < seen:
        keys = min(<Py_ssize_t>KEYS, seen - key)
        score_block(h, query, queries, key, keys)
        if h.is_dropping:
            draw_block(h, query, key, keys)
        i = 0
        while i < queries:
            if h.is_dropping:
                vstore(factor + i, raise_scores(True, h.scores + i, top + i, sum + i, h, i, keys))
            else:
                vstore(factor + i, raise_scores(False, h.scores + i, top + i, sum + i, h, i, keys))
            i += VL
        if key > 0:
            scale_each(y, h.y_stride, factor, queries, h.value_dim)
        multiply_apart(y, h.y_stride, h.scores, 1, QUERIES, h.v + key * h.v_stride, h.v_stride, queries, h.value_dim,
                       keys, key > 0)
        key += keys
    i = 0
    while i < queries:
        share = vset1(1) / vload(sum + i)
        if h.op.n_reads > 3:
            share = vselect(veq(vload(sum + i), vzero()), vzero(), share)
        vstore(factor + i, share)
        if h.top != NULL:
            store_first(h.top + query + i, vload(top + i), queries - i)
            store_first(h.share + query + i, share, queries - i)
        i += VL
    scale_each(y, h.y_stride, factor, queries, h.value_dim)


cdef void attention_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Head h
    cdef Py_ssize_t row, number, query
    start_heads(&h, op)
    for row in range(begin, end):
        start_row(&h, row)
        if op.carried != NULL:
            carry_on(&h, op, row)
        for number in range(op.sizes[2]):
            start_head(&h, op, row, number)
            query = 0
            while query < h.asking:
                attend(&h, query, min(<Py_ssize_t>QUERIES, h.asking - query))
                query += QUERIES
        memset(y_of(op, row) + h.asking * h.y_stride, 0, (h.queries - h.asking) * h.y_stride * sizeof(real))


# ---- backward --------------------------------------------------------------------------------------

# Scores of VL queries become p, and dp, which dscores hold, become scale ds.
cdef inline void lower_scores(const bint is_dropping, real* scores, real* dscores, const Head* h, Py_ssize_t query,
                              vreal top, vreal share, vreal mean, Py_ssize_t keys) noexcept nogil:
    cdef vreal p, dp, factor = vset1(<real>h.op.options[1]), scale = vset1(<real>h.op.options[0])
    cdef Py_ssize_t k
    for k in range(keys):
        p = without_traces(share * power_of(vload(scores), top))
        dp = vload(dscores)
        if is_dropping:
            vstore(scores, vselect(kept_of(h, k, query), factor * p, vzero()))
            dp = vselect(kept_of(h, k, query), factor * dp, vzero())
        else:
            vstore(scores, p)
        # Products of a p are in range, where dp - mean may not be.
        vstore(dscores, without_traces(scale * vfma(p, dp, -(p * mean))))
        scores += QUERIES
        dscores += QUERIES


# Of each query dy . y.
cdef inline vreal mean_of(const Head* h, Py_ssize_t query) noexcept nogil:
    cdef vreal mean = vzero()
    cdef Py_ssize_t k
    for k in range(h.value_dim):
        mean = vfma(vload(h.dy_turned + k * QUERIES + query), vload(h.y_turned + k * QUERIES + query), mean)
    return within_range(mean)


# The gradients of a block of queries: each is where the head's part of it begins in the row, or NULL.
cdef void attend_back(Head* h, real* dq, real* dk, real* dv, const real* dy, Py_ssize_t query,
                      Py_ssize_t queries) noexcept nogil:
    cdef real[QUERIES] top, share, mean
    cdef Py_ssize_t seen = keys_seen(h, query + queries), lanes = (queries + VL - 1) // VL * VL, key = 0, keys, i = 0
    dy += query * h.y_stride
    turn_queries(h, query, queries)
    turn_lines(h.dy_turned, dy, h.y_stride, queries, h.value_dim)
    turn_lines(h.y_turned, h.y + query * h.y_stride, h.y_stride, queries, h.value_dim)
    while i < lanes:
        vstore(top + i, load_first(h.top + query + i, queries - i))
        vstore(share + i, load_first(h.share + query + i, queries - i))
        vstore(mean + i, mean_of(h, i))
        i += VL
    while key < seen:
        keys = min(<Py_ssize_t>KEYS, seen - key)
        score_block(h, query, queries, key, keys)
        if h.is_dropping:
            draw_block(h, query, key, keys)
        multiply_apart(h.dscores, QUERIES, h.v + key * h.v_stride, h.v_stride, 1, h.dy_turned, QUERIES, keys, lanes,
                       h.value_dim, False)
        i = 0
        while i < lanes:
            if h.is_dropping:
                lower_scores(True, h.scores + i, h.dscores + i, h, i, vload(top + i), vload(share + i),
                             vload(mean + i), keys)
            else:
                lower_scores(False, h.scores + i, h.dscores + i, h, i, vload(top + i), vload(share + i),
                             vload(mean + i), keys)
            i += VL
        if dv != NULL:
            multiply_apart(dv + key * h.v_stride, h.v_stride, h.scores, QUERIES, 1, dy, h.y_stride, keys, h.value_dim,
                           queries, True)
        if dk != NULL:
            multiply_apart(dk + key * h.k_stride, h.k_stride, h.dscores, QUERIES, 1, h.q + query * h.q_stride,
                           h.q_stride, keys, h.key_dim, queries, True)
        if dq != NULL:
            multiply_apart(dq + query * h.q_stride, h.q_stride, h.dscores, 1, QUERIES, h.k + key * h.k_stride,
                           h.k_stride, queries, h.key_dim, keys, True)
        key += keys


# All dx of a row.
cdef void attention_row_backward(Head* h, const Op* op, Py_ssize_t row) noexcept nogil:
    cdef real* dq = dx_to_write(op, 0, row)
    cdef real* dk = dx_to_write(op, 1, row)
    cdef real* dv = dx_to_write(op, 2, row)
    cdef Py_ssize_t number, kv_head, query, k
    for k in range(op.n_reads):
        if op.reads[k].is_wanted:
            # By a mask there is none.
            memset(dx_to_write(op, k, row), 0, op.reads[k].width * sizeof(real))
    start_row(h, row)
    for number in range(op.sizes[2]):
        start_head(h, op, row, number)
        kv_head = number // (op.sizes[2] // op.sizes[3])
        query = 0
        while query < h.asking:
            attend_back(h, NULL if dq == NULL else dq + number * h.key_dim,
                        NULL if dk == NULL else dk + kv_head * h.key_dim,
                        NULL if dv == NULL else dv + kv_head * h.value_dim, dy_of(op, row) + number * h.value_dim,
                        query, min(<Py_ssize_t>QUERIES, h.asking - query))
            query += QUERIES


cdef void attention_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Head h
    cdef Py_ssize_t at_once = rows_handed_back(op, 1), row, upto, k
    start_heads(&h, op)
    while begin < end:
        upto = min(end, begin + at_once)
        for row in range(begin, upto):
            attention_row_backward(&h, op, row)
        for k in range(op.n_reads - 1, -1, -1):
            finish_dx(op, k, begin, upto)
        begin = upto
