# Back through the steps of a recurrent op (`to_dz`), which makes dz of all of them, and dx from that: see
# recurrent.pxi.

# c (lines, units) = start + dz . rows [first, first + depth) of the transposed recurrent kernel
cdef inline void multiply_back(const Cell* cell, const Op* op, real* c, const real* start, const real* dz,
                               Py_ssize_t first, Py_ssize_t depth, Py_ssize_t lines) noexcept nogil:
    cdef Product p
    multiply_by(&p, <const real*>op.prepared + cell.turned_recurrent, NULL, depth, cell.units)
    p.b += first * PANEL
    p.b_panel = cell.columns * PANEL
    p.c = c
    p.ldc = cell.units
    p.a = dz
    p.a_row = cell.gates
    p.a_k = 1
    p.start = start
    p.start_row = cell.units
    matmul(&p, lines, cell.units)


cdef inline void step_line_back(const int kind, const bint fast, const Cell* cell, const Op* op, real* dz, real* back,
                                const real* dh, real* dheld, const real* held_first, Py_ssize_t row,
                                Py_ssize_t done) noexcept nogil:
    cdef Py_ssize_t place = row * cell.steps + done
    cdef const real* gates = gates_saved(cell, op, 0) + place * cell.gates
    cdef const real* slopes = NULL if cell.slopes == 0 else slopes_saved(cell, op, 0) + place * cell.slopes
    cdef const real* held = held_saved(cell, op, 0) + place * cell.held
    cdef const real* h_before = lines_saved(cell, op, 0) + place * cell.line
    if kind == LSTM:
        lstm_step_back(fast, cell, dz, dheld, dh, held, gates, slopes, held_first if done == 0 else held - cell.held)
    elif kind == SIMPLE_RNN:
        simple_step_back(fast, cell, dz, dh, gates, slopes)
    else:
        gru_step_back(kind == GRU, fast, cell, dz, back, dh, gates, slopes, h_before)


cdef inline void back_block(const int kind, const bint fast, const Cell* cell, const Op* op, Py_ssize_t first,
                            Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t[RECURRENT_ROWS] active, done
    cdef Room room
    cdef Py_ssize_t n = cell.units, number, step, count, j, row, place
    cdef const real* dy = dy_of(op, first)
    cdef const real* mask = mask_of(op, first)
    cdef const real* slopes
    cdef const real* last
    cdef const real* held_first
    cdef real* zeros
    cdef bint dropping = drops(op)
    cdef int k
    set_room(&room, cell, <real*>op.workspace, RECURRENT_ROWS)
    # What is held beside h has room for two: the gradient by c, and 0 for the c before all steps.
    zeros = room.held + rows * n
    clear_reals(room.held, rows * cell.held)
    for row in range(rows):
        last = dy + row * cell.told + cell.states_at
        if cell.states_told > 0:
            copy_reals(room.h + row * n, last, n)
        else:
            clear_reals(room.h + row * n, n)
        if cell.states_told > 1:
            copy_reals(room.held + row * n, last + n, n)
    if dropping:
        draw_factors(room.kept, op, first, rows)
    for row in range(rows):
        done[row] = cell.steps
        if mask != NULL:
            done[row] = 0
            for step in range(cell.steps):
                done[row] += mask[row * cell.steps + step] != 0
            for k in range(cell.groups):
                clear_lines(dz_panels(cell, op, k), all_lines(cell, op), cell.group[k].columns,
                            (first + row) * cell.steps + done[row], cell.steps - done[row])
    number = cell.steps - 1
    while number >= 0:
        step = cell.steps - 1 - number if goes_backwards(op) else number
        if is_sequence(op):
            for row in range(rows):
                if not is_told(op, mask, row, step):
                    continue
                add_reals(room.h + row * n, dy + row * cell.told + place_in_y(op, number) * n, n)
        count = find_active(active, mask, rows, cell.steps, step)
        for j in range(count):
            row = active[j]
            done[row] -= 1
            held_first = zeros
            if cell.states_read > 1:
                held_first = state_read(op, 1, first + row)
            elif kind == LSTM and cell.states_read == 0 and op.batch_rows > 0:
                held_first = c_before(op, first + row)
            step_line_back(kind, fast, cell, op, room.z + j * cell.gates, room.back + j * n, room.h + row * n,
                           room.held + row * n, held_first, first + row, done[row])
        if kind == GRU_BEFORE and count > 0:
            multiply_back(cell, op, room.reset, NULL, room.z, 2 * n, n, count)
            for j in range(count):
                place = (first + active[j]) * cell.steps + done[active[j]]
                slopes = NULL if cell.slopes == 0 else slopes_saved(cell, op, 0) + place * cell.slopes
                gru_reset_back(fast, cell, room.z + j * cell.gates, room.back + j * n, room.reset + j * n,
                               gates_saved(cell, op, 0) + place * cell.gates, slopes,
                               lines_saved(cell, op, 0) + place * cell.line)
        if count > 0:
            if kind == GRU_BEFORE:
                multiply_back(cell, op, room.back, room.back, room.z + n, 0, 2 * n, count)
            elif kind == GRU:
                multiply_back(cell, op, room.back, room.back, room.z + n, 0, 3 * n, count)
            else:
                multiply_back(cell, op, room.back, NULL, room.z, 0, cell.columns, count)
        for j in range(count):
            row = active[j]
            place = (first + row) * cell.steps + done[row]
            copy_times(room.h + row * n, room.back + j * n, room.kept + row * n if dropping else NULL, n)
            for k in range(cell.groups):
                pack_lines(dz_panels(cell, op, k), all_lines(cell, op), place,
                           room.z + j * cell.gates + cell.group[k].at, 0, 1, cell.group[k].columns)
        number -= 1
    if cell.states_read > 0:
        copy_reals(state_gradient(cell, op, 0, first), room.h, rows * n)
    if cell.states_read > 1:
        copy_reals(state_gradient(cell, op, 1, first), room.held, rows * n)


cdef inline void add_reals(real* to, const real* of, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n:
        store_first(to + i, load_first(to + i, n - i) + load_first(of + i, n - i), n - i)
        i += VL


# Sets lines of panels to 0.
cdef inline void clear_lines(real* panels, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t line,
                             Py_ssize_t lines) noexcept nogil:
    cdef Py_ssize_t column = 0
    while column < columns:
        clear_reals(panels + column * depth + line * PANEL, lines * PANEL)
        column += PANEL


cdef inline void recurrent_to_dz(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Cell cell
    cdef Py_ssize_t rows
    set_cell(kind, &cell, op)
    while begin < end:
        rows = min(end - begin, <Py_ssize_t>RECURRENT_ROWS)
        if cell.fast:
            back_block(kind, True, &cell, op, begin, rows)
        else:
            back_block(kind, False, &cell, op, begin, rows)
        begin += rows


# dx of lines of dz that stand together: panel by panel, in the order of the kernel's columns.
cdef inline void multiply_dx(const Cell* cell, const Op* op, real* dx, Py_ssize_t line,
                             Py_ssize_t lines) noexcept nogil:
    cdef Product p
    cdef Py_ssize_t column
    cdef int k
    p.start = NULL
    for k in range(cell.groups):
        if not cell.group[k].reads_x:
            continue
        column = 0
        while column < cell.group[k].columns:
            multiply_by(&p, <const real*>op.prepared + cell.turned_kernel, NULL,
                        min(cell.group[k].columns - column, PANEL), cell.inputs)
            p.b += (cell.group[k].first + column) * PANEL
            p.b_panel = cell.columns * PANEL
            p.c = dx
            p.ldc = p.start_row = cell.inputs
            p.a = dz_panels(cell, op, k) + column * all_lines(cell, op) + line * PANEL
            p.a_row = PANEL
            p.a_k = 1
            matmul(&p, lines, cell.inputs)
            p.start = dx
            column += PANEL


cdef inline void recurrent_backward(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Cell cell
    cdef const real* mask
    cdef real* dx
    cdef real* together = <real*>op.workspace
    cdef Py_ssize_t row, number, step, done, line, lines
    set_cell(kind, &cell, op)
    if is_masked(op):
        give_no_gradient(op, op.n_reads - 1, begin, end)
    for number in range(cell.states_read, 0, -1):
        if op.reads[number].is_wanted:
            copy_reals(rows_of(op.reads[number].dx, begin, cell.units), state_gradient(&cell, op, number - 1, begin),
                       (end - begin) * cell.units)
        finish_dx(op, number, begin, end)
    if not op.reads[0].is_wanted:
        return
    for row in range(begin, end):
        dx = dx_of(op, row)
        mask = mask_of(op, row)
        if mask == NULL and not goes_backwards(op):
            if row == begin:
                line = begin * cell.steps
                while line < end * cell.steps:
                    lines = min(end * cell.steps - line, <Py_ssize_t>DENSE_BLOCK)
                    multiply_dx(&cell, op, <real*>op.reads[0].dx + line * cell.inputs, line, lines)
                    line += lines
            continue
        done = 0
        for step in range(cell.steps):
            done += mask == NULL or mask[step] != 0
        multiply_dx(&cell, op, together, row * cell.steps, done)
        done = 0
        for number in range(cell.steps):
            step = cell.steps - 1 - number if goes_backwards(op) else number
            if mask == NULL or mask[step] != 0:
                copy_reals(dx + step * cell.inputs, together + done * cell.inputs, cell.inputs)
                done += 1
            else:
                clear_reals(dx + step * cell.inputs, cell.inputs)
    finish_dx(op, 0, begin, end)
