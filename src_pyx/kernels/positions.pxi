# Ops that know where in a series a line is: learned_positions, sine_positions, rotary.
#
# A row is `steps` vectors, and the first of them is at place `first`, or behind it by the steps that have gone. Angles grow evenly with the place: pair i of n
# columns turns by factor * ratio^i with each step, made by turning on from step to step in double, so that no angle
# is ever large.

# ---- learned_positions: y[t] = table[first + t], whatever x is; sizes: first ---------------------------
#
# The table (places, outputs) is the op's variable; pieces are parts of it.

cdef void learned_positions_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t places = op.variables[0] // op.outputs
    op.parameter_reals = -1
    if (op.n_reads != 1 or op.inputs != op.outputs or op.n_variables != 1 or op.variables[0] % op.outputs
            or not 0 <= op.sizes[0] <= places - op.lines):
        return
    op.parameter_reals = op.variables[0]
    op.piece_parameters = PIECE_COLUMNS
    op.pieces = (op.parameter_reals + PIECE_COLUMNS - 1) // PIECE_COLUMNS
    op.work_per_row = <double>row_reals(op)


cdef void learned_positions_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const real* table = <const real*>op.parameters + (op.sizes[0] + gone_before(op)) * op.outputs
    cdef Py_ssize_t row
    for row in range(begin, end):
        memcpy(y_of(op, row), table, row_reals(op) * sizeof(real))


# x has no part in y.
cdef void positions_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    memset(dx_of(op, begin), 0, (end - begin) * row_reals(op) * sizeof(real))
    finish_dx(op, 0, begin, end)


cdef void learned_positions_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                        Py_ssize_t end_piece) noexcept nogil:
    cdef Py_ssize_t before = op.sizes[0] * op.outputs, n = row_reals(op)
    cdef Py_ssize_t first = begin_piece * op.piece_parameters
    cdef Py_ssize_t last = min(op.parameter_reals, end_piece * op.piece_parameters)
    cdef Py_ssize_t used = max(first, before), upto = min(last, before + n)
    cdef const real* dy
    cdef real* total = <real*>op.gradients
    memset(total + first, 0, (last - first) * sizeof(real))
    if used < upto:
        dy = dy_of(op, begin) + used - before
        sum_lines(add_element, total + used, dy, dy, dy, n, end - begin, upto - used)


# ---- angles ------------------------------------------------------------------------------------------

# The largest factor: what is left of an angle is no use beyond it.
cdef enum: LARGEST_TURN = 1000000


# Whether an op's options, ratio and factor, are such numbers.
cdef inline bint has_angles(const Op* op) noexcept nogil:
    return 0 <= op.options[0] <= 1 and 0 <= op.options[1] <= LARGEST_TURN


cdef struct Turn:
    double cosine
    double sine


cdef inline Turn turned_by(Turn a, Turn b) noexcept nogil:
    cdef Turn both
    both.cosine = a.cosine * b.cosine - a.sine * b.sine
    both.sine = a.sine * b.cosine + a.cosine * b.sine
    return both


# Of an angle that is at least 0: by Taylor's series of a part of it, turned by itself again and again.
cdef Turn turn_of(double angle) noexcept nogil:
    cdef int halvings = 0, k
    cdef double square, cosine = 1, sine = 1
    cdef Turn turn
    while angle > 0.5:
        angle *= 0.5
        halvings += 1
    square = angle * angle
    for k in range(9, 0, -1):
        cosine = 1 - square / ((2 * k - 1) * (2 * k)) * cosine
        sine = 1 - square / (2 * k * (2 * k + 1)) * sine
    turn.cosine = cosine
    turn.sine = angle * sine
    for k in range(halvings):
        turn = turned_by(turn, turn)
    return turn


# So many times a turn.
cdef Turn turn_times(Turn turn, Py_ssize_t times) noexcept nogil:
    cdef Turn all
    all.cosine = 1
    all.sine = 0
    while times > 0:
        if times % 2:
            all = turned_by(all, turn)
        turn = turned_by(turn, turn)
        times //= 2
    return all


# Places that follow each other by one more turn; the first of so many is found anew, whoever begins where.
cdef enum: PLACES_TOGETHER = 16


cdef Turn turn_at(Turn turn, Py_ssize_t place) noexcept nogil:
    cdef Turn at = turn_times(turn, place // PLACES_TOGETHER * PLACES_TOGETHER)
    cdef Py_ssize_t i
    for i in range(place % PLACES_TOGETHER):
        at = turned_by(at, turn)
    return at


# Cosines and sines (steps, pairs) of the angles of pairs at places from `first` on.
cdef void fill_angles(real* cosines, real* sines, Py_ssize_t steps, Py_ssize_t pairs, Py_ssize_t first, double ratio,
                      double factor) noexcept nogil:
    cdef Py_ssize_t pair, step
    cdef Turn turn, at
    for pair in range(pairs):
        turn = turn_of(factor)
        at = turn_at(turn, first)
        for step in range(steps):
            cosines[step * pairs + pair] = <real>at.cosine
            sines[step * pairs + pair] = <real>at.sine
            at = turned_by(at, turn) if (first + step + 1) % PLACES_TOGETHER else turn_at(turn, first + step + 1)
        factor *= ratio


# ---- sine_positions: y[t, 2 i] = sin(angle_i), y[t, 2 i + 1] = cos(angle_i), whatever x is ----------------
#
# sizes: first; options: ratio, factor.

cdef void sine_positions_op_measure(Op* op) noexcept nogil:
    op.parameter_reals = 0 if keeps_size(op) and has_angles(op) and op.sizes[0] >= 0 else -1
    op.workspace_reals = op.lines * (op.outputs + 1)
    op.work_per_row = <double>row_reals(op)


cdef void sine_positions_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t pairs = (op.outputs + 1) // 2, step, i, row
    cdef real* cosines = <real*>op.workspace
    cdef real* sines = cosines + op.lines * pairs
    cdef real* y = y_of(op, begin)
    if begin == end:
        return
    fill_angles(cosines, sines, op.lines, pairs, op.sizes[0] + gone_before(op), op.options[0], op.options[1])
    for step in range(op.lines):
        for i in range(op.outputs):
            y[step * op.outputs + i] = (cosines if i % 2 else sines)[step * pairs + i // 2]
    for row in range(begin + 1, end):
        memcpy(y_of(op, row), y, row_reals(op) * sizeof(real))


# ---- rotary: each pair of columns i and i + n / 2 of a line is turned by angle_i of its step ----------------
#
# sizes: lines of a step, first; options: ratio, factor.

cdef void rotary_op_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t together = op.sizes[0]
    op.parameter_reals = -1
    if (not (keeps_size(op) and has_angles(op)) or op.outputs % 2 or together < 1 or op.lines % together
            or op.sizes[1] < 0):
        return
    op.parameter_reals = 0
    op.workspace_reals = op.lines // together * op.outputs
    op.work_per_row = 2.0 * row_reals(op)


# to = come, turned by each angle or, where it goes `back`, by minus that.
cdef void rotate_rows(const bint back, real* to, const real* come, const Op* op, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t pairs = op.outputs // 2, steps = op.lines // op.sizes[0], row, step, line, i, left
    cdef real* cosines = <real*>op.workspace
    cdef real* sines = cosines + steps * pairs
    cdef vreal first, second, cosine, sine
    fill_angles(cosines, sines, steps, pairs, op.sizes[1] + gone_before(op), op.options[0], op.options[1])
    for row in range(rows):
        for step in range(steps):
            for line in range(op.sizes[0]):
                i = 0
                while i < pairs:
                    left = pairs - i
                    cosine = load_first(cosines + step * pairs + i, left)
                    sine = load_first(sines + step * pairs + i, left)
                    if back:
                        sine = -sine
                    first = load_first(come + i, left)
                    second = load_first(come + pairs + i, left)
                    store_first(to + i, vfnma(second, sine, first * cosine), left)
                    store_first(to + pairs + i, vfma(first, sine, second * cosine), left)
                    i += VL
                to += op.outputs
                come += op.outputs


cdef void rotary_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    rotate_rows(False, y_of(op, begin), x_of(op, begin), op, end - begin)


cdef void rotary_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    rotate_rows(True, dx_of(op, begin), dy_of(op, begin), op, end - begin)
    finish_dx(op, 0, begin, end)
