# Forward through the steps of a recurrent op: lines are put together, multiplied and made gates. See recurrent.pxi.

# The columns of a group for so many lines.
cdef inline void multiply_group(const Cell* cell, const Op* op, const Group* group, const Room* room,
                                Py_ssize_t lines) noexcept nogil:
    cdef Product p
    multiply_by(&p, <const real*>op.prepared + group.panels, NULL, depth_of_group(cell, group), group.columns)
    p.c = room.z + group.at
    p.ldc = cell.gates
    p.a = room.lines + operand_at(cell, group)
    p.a_row = cell.line
    p.a_k = 1
    p.start = NULL if op.n_variables < 3 else <const real*>op.prepared + cell.start + group.at
    p.start_row = 0
    matmul(&p, lines, group.columns)


# What elements of h' are multiplied by, the same in all steps of a row.
cdef void draw_factors(real* kept, const Op* op, Py_ssize_t row, Py_ssize_t rows) noexcept nogil:
    cdef uint64_t[STRETCH_BITS] bits
    cdef Py_ssize_t n = rows * op.sizes[2], done = 0, count, i
    cdef Generator generator
    cdef Keeping rule
    start_drawing(&generator, op)
    rule.scale = vset1(<real>op.options[4])
    for i in range(n):
        kept[i] = 1
    while done < n:
        count = min(n - done, <Py_ssize_t>STRETCH)
        draw_kept(bits, &generator, <uint16_t>(op.sizes[7] - 1), place_of(op, row, op.sizes[2]) + <uint64_t>done, count)
        keep_some(False, kept + done, kept + done, bits, count, &rule)
        done += count


cdef inline bint drops(const Op* op) noexcept nogil:
    return op.sizes[7] > 0 and draws(op)


# Which of so many rows do a step, and how many do.
cdef inline Py_ssize_t find_active(Py_ssize_t* active, const real* mask, Py_ssize_t rows, Py_ssize_t steps,
                                   Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t row, count = 0
    for row in range(rows):
        if mask == NULL or mask[row * steps + step] != 0:
            active[count] = row
            count += 1
    return count


# to (n,) = a b, or a where b is NULL
cdef inline void copy_times(real* to, const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    if b == NULL:
        copy_reals(to, a, n)
        return
    while i < n:
        store_first(to + i, load_first(a + i, n - i) * load_first(b + i, n - i), n - i)
        i += VL


# The gates of a line, and with them h and what is held beside it.
cdef inline void step_line(const int kind, const bint fast, const Cell* cell, const Op* op, real* h, real* held,
                           real* line, real* z, Py_ssize_t row, Py_ssize_t done) noexcept nogil:
    cdef Py_ssize_t place = row * cell.steps + done
    cdef real* gates = z
    cdef real* slopes = NULL
    cdef real* before = held
    if op.saved != NULL:
        gates = gates_saved(cell, op, 0) + place * cell.gates
        slopes = slopes_saved(cell, op, 0)
        slopes = NULL if slopes == NULL else slopes + place * cell.slopes
        copy_reals(lines_saved(cell, op, 0) + place * cell.line, line, cell.line)
        if kind == LSTM:
            before = held if done == 0 else held_saved(cell, op, 0) + (place - 1) * cell.held
            held = held_saved(cell, op, 0) + place * cell.held
    if kind == LSTM:
        lstm_step(fast, cell, h, held, gates, slopes, z, before)
    elif kind == SIMPLE_RNN:
        simple_step(fast, cell, h, gates, slopes, z)
    else:
        gru_step(kind == GRU, fast, cell, h, gates, slopes, z, line)


cdef inline void forward_block(const int kind, const bint fast, const Cell* cell, const Op* op, Py_ssize_t first,
                               Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t[RECURRENT_ROWS] active, done
    cdef Room room
    cdef Py_ssize_t n = cell.units, number, step, count, j, row
    cdef const real* x = x_of(op, first)
    cdef real* y = y_of(op, first)
    cdef real* slopes
    cdef bint dropping = drops(op)
    set_room(&room, cell, <real*>op.workspace, RECURRENT_ROWS)
    if gone_before(op) == 0:
        begin_rows(cell, op, &room, first, rows)
    else:
        carry(cell, op, &room, first, rows, False)
    if dropping:
        draw_factors(room.kept, op, first, rows)
    for row in range(rows):
        done[row] = 0
    for number in range(cell.steps):
        step = cell.steps - 1 - number if goes_backwards(op) else number
        count = find_active(active, mask_of(op, first), rows, cell.steps, step)
        for j in range(count):
            row = active[j]
            copy_times(room.lines + j * cell.line, room.h + row * n, room.kept + row * n if dropping else NULL, n)
            copy_reals(room.lines + j * cell.line + n, x + (row * cell.steps + step) * cell.inputs, cell.inputs)
        if count > 0:
            multiply_group(cell, op, &cell.group[0], &room, count)
        if kind == GRU_BEFORE:
            for j in range(count):
                row = active[j]
                slopes = slopes_saved(cell, op, first + row)
                gru_reset(fast, cell, room.lines + j * cell.line + n + cell.inputs, room.z + j * cell.gates,
                          NULL if slopes == NULL else slopes + done[row] * cell.slopes, room.lines + j * cell.line)
        if count > 0 and cell.groups > 1:
            multiply_group(cell, op, &cell.group[1], &room, count)
        if count > 0 and cell.groups > 2:
            multiply_group(cell, op, &cell.group[2], &room, count)
        for j in range(count):
            row = active[j]
            step_line(kind, fast, cell, op, room.h + row * n, room.held + row * cell.held, room.lines + j * cell.line,
                      room.z + j * cell.gates, first + row, done[row])
            done[row] += 1
        if is_sequence(op):
            for row in range(rows):
                if not is_told(op, mask_of(op, first), row, step):
                    clear_reals(y + row * cell.told + place_in_y(op, number) * n, n)
                    continue
                copy_reals(y + row * cell.told + place_in_y(op, number) * n, room.h + row * n, n)
    for row in range(rows):
        tell_states(cell, op, y + row * cell.told + cell.states_at, &room, first, row, done[row])
        if op.batch_rows > 0:
            leave_states(kind, cell, op, &room, first, row, done[row])
    if op.carried != NULL:
        carry(cell, op, &room, first, rows, True)


# h and what is held of some rows, before their first step.
cdef inline void begin_rows(const Cell* cell, const Op* op, Room* room, Py_ssize_t first,
                            Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t row
    if cell.states_read == 0 and op.batch_rows > 0:
        for row in range(rows):
            copy_reals(room.h + row * cell.units, state_before(op, 0, first + row), cell.units)
            if cell.held > 0:
                copy_reals(room.held + row * cell.held, state_before(op, 1, first + row), cell.units)
                copy_reals(c_before(op, first + row), state_before(op, 1, first + row), cell.units)
        return
    if cell.states_read == 0:
        clear_reals(room.h, rows * cell.units)
        clear_reals(room.held, rows * cell.held)
        return
    copy_reals(room.h, state_read(op, 0, first), rows * cell.units)
    for row in range(rows if cell.states_read > 1 else 0):
        copy_reals(room.held + row * cell.held, state_read(op, 1, first + row), cell.units)


# What y is to have of the states of a row that has done so many steps.
cdef inline void tell_states(const Cell* cell, const Op* op, real* y, const Room* room, Py_ssize_t first,
                             Py_ssize_t row, Py_ssize_t done) noexcept nogil:
    if cell.states_told > 0:
        copy_reals(y, room.h + row * cell.units, cell.units)
    if cell.states_told > 1:
        copy_reals(y + cell.units, held_last(cell, op, room, first, row, done), cell.units)


# What a row that has done so many steps holds beside h.
cdef inline const real* held_last(const Cell* cell, const Op* op, const Room* room, Py_ssize_t first, Py_ssize_t row,
                                  Py_ssize_t done) noexcept nogil:
    if op.saved != NULL and done > 0:
        return held_saved(cell, op, 0) + ((first + row) * cell.steps + done - 1) * cell.held
    return room.held + row * cell.held


# Leaves the states of a row that has done so many steps for the batch that comes.
cdef inline void leave_states(const int kind, const Cell* cell, const Op* op, const Room* room, Py_ssize_t first,
                              Py_ssize_t row, Py_ssize_t done) noexcept nogil:
    copy_reals(state_after(op, 0, first + row), room.h + row * cell.units, cell.units)
    if states_of(kind) > 1:
        copy_reals(state_after(op, 1, first + row), held_last(cell, op, room, first, row, done), cell.units)


# h and what is held of some rows, from what they carry, or to it.
cdef inline void carry(const Cell* cell, const Op* op, Room* room, Py_ssize_t first, Py_ssize_t rows,
                       bint away) noexcept nogil:
    cdef Py_ssize_t row, n = cell.units
    cdef real* carried
    for row in range(rows):
        carried = carried_of(op, first + row)
        if away:
            copy_reals(carried, room.h + row * n, n)
            copy_reals(carried + n, room.held + row * cell.held, cell.held)
        else:
            copy_reals(room.h + row * n, carried, n)
            copy_reals(room.held + row * cell.held, carried + n, cell.held)


cdef inline void recurrent_forward(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Cell cell
    cdef Py_ssize_t rows
    set_cell(kind, &cell, op)
    while begin < end:
        rows = min(end - begin, <Py_ssize_t>RECURRENT_ROWS)
        if cell.fast:
            forward_block(kind, True, &cell, op, begin, rows)
        else:
            forward_block(kind, False, &cell, op, begin, rows)
        begin += rows
