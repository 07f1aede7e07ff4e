# Ops that go through the steps of a row one after the other: lstm, gru, simple_rnn. What one step does to a row stands
# in cells.pxi.
#
# sizes: the seed of what is dropped, steps, units, what y is: h of the last step (0), of all in the order in which they
# are done (1), or the other way round (2); whether the last step goes first, the numbers of activation and recurrent activation in ACTIVATIONS, how many draws of 16 bits drop
# an element of h on its way into the next step's product, whether r stands behind the product (gru), and whether h of masked steps is 0 in y, instead of that before. options:
# two numbers of each activation, and what elements that are kept are multiplied by.
# variables: kernel (inputs, columns), recurrent_kernel (units, columns) and, if there is one, the bias; gates follow
# each other as in Keras: i f g o; z r g. reads: x (steps, inputs) and, if there is one, the mask (steps,): where it is
# 0 nothing is done, and h stays as it is.
#
# Design: a block of rows goes through all steps. A step puts what the products read, h' and x, together in a *line* of
# each row that is not masked, multiplies all lines at once, and makes the gates of each. Masked steps of a row cost
# nothing, wherever they are. Products come in *groups* of columns, which are the same for x and h' but for gru's g:
#
#               a line is         products                                             a row of z is
#     lstm      h' x              [h' x] . all                                         i f g o
#     gru       h' x              [h' x] . zr,  x . g,  h' . g                         g z r d
#     before    h' x r h'         [h' x] . zr,  [x r h'] . g                           g z r
#     simple    h' x              [h' x] . all                                         h
#
# saved, of all rows one after the other: lines, gates, c and activation(c) (lstm), slopes (where they are kept); those
# of a row's masked steps are left out, so that what is there stands together. scratch: dz of all groups in panels, made
# by `to_dz` from the last step to the first; `backward` and `gradient` are products of all lines at once.

# Rows that go through the steps together, and of which a reader should hand back as many.
cdef enum: RECURRENT_ROWS = 64
cdef enum: RECURRENT_ROW_STEP = 16
cdef enum: GROUPS = 3


# Columns that have one product.
cdef struct Group:
    Py_ssize_t first             # of the kernels' columns ...
    Py_ssize_t columns           # ... so many
    Py_ssize_t at                # where they are in a row of z
    bint reads_x
    bint reads_h
    Py_ssize_t h_at              # where in a line is what stands for h'; x is next to it
    Py_ssize_t bias              # where in the bias theirs begins ...
    Py_ssize_t second_bias       # ... and what is added to that; 0: none
    Py_ssize_t panels            # where they are in `prepared`


cdef struct Cell:
    int kind
    bint fast
    Py_ssize_t steps
    Py_ssize_t units
    Py_ssize_t inputs
    Py_ssize_t columns           # of the kernels
    Py_ssize_t biases
    Py_ssize_t line              # reals of a line, ...
    Py_ssize_t gates             # ... of a row of z, ...
    Py_ssize_t held              # ... of what a row remembers beside h ...
    Py_ssize_t slopes            # ... and of slopes that are kept
    int groups
    Group[GROUPS] group
    Py_ssize_t turned_kernel     # where the transposed kernels are in `prepared`, in panels ...
    Py_ssize_t turned_recurrent
    Py_ssize_t start             # ... and the biases as products begin with them
    Py_ssize_t prepared
    const Activation* activation
    const Activation* recurrent
    const double* options
    const double* recurrent_options


cdef inline bint is_sequence(const Op* op) noexcept nogil:
    return op.sizes[3] != 0


# Where h of a step is in y.
cdef inline Py_ssize_t place_in_y(const Op* op, Py_ssize_t number) noexcept nogil:
    return op.sizes[1] - 1 - number if op.sizes[3] == 2 else number


# Whether y has h of a row's step, and not 0.
cdef inline bint is_told(const Op* op, const real* mask, Py_ssize_t row, Py_ssize_t step) noexcept nogil:
    return op.sizes[9] == 0 or mask == NULL or mask[row * op.sizes[1] + step] != 0


cdef inline bint goes_backwards(const Op* op) noexcept nogil:
    return op.sizes[4] != 0


cdef inline const real* mask_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return NULL if op.n_reads < 2 else <const real*>op.reads[1].x + row * op.sizes[1]


cdef inline Group group_of(Py_ssize_t first, Py_ssize_t columns, Py_ssize_t at, bint reads_x, bint reads_h,
                           Py_ssize_t h_at, Py_ssize_t bias, Py_ssize_t second_bias) noexcept nogil:
    return Group(first, columns, at, reads_x, reads_h, h_at, bias, second_bias, 0)


cdef inline Py_ssize_t depth_of_group(const Cell* cell, const Group* group) noexcept nogil:
    return (cell.inputs if group.reads_x else 0) + (cell.units if group.reads_h else 0)


# Where a group's left-hand operand begins in a line, and where x and h' are in that.
cdef inline Py_ssize_t operand_at(const Cell* cell, const Group* group) noexcept nogil:
    return min(group.h_at if group.reads_h else cell.units, cell.units if group.reads_x else group.h_at)


# What the op's sizes say; they suit each other once `measure` has seen them.
cdef inline void set_cell(const int kind, Cell* cell, const Op* op) noexcept nogil:
    cdef Py_ssize_t n = op.sizes[2], at = 0
    cdef int k
    cell.kind = kind
    cell.steps = op.sizes[1]
    cell.units = n
    cell.inputs = op.inputs // cell.steps
    cell.activation = &ACTIVATIONS[op.sizes[5]]
    cell.recurrent = &ACTIVATIONS[op.sizes[6]]
    cell.options = op.options
    cell.recurrent_options = op.options + 2
    cell.fast = cell.activation.forward == tanh_forward and (
        kind == SIMPLE_RNN or cell.recurrent.forward == sigmoid_forward)
    cell.line = n + cell.inputs
    cell.held = 0
    cell.groups = 1
    if kind == LSTM:
        cell.columns = cell.gates = 4 * n
        cell.held = 2 * n
        cell.slopes = 5 * n
        cell.group[0] = group_of(0, 4 * n, 0, True, True, 0, 0, 0)
    elif kind == SIMPLE_RNN:
        cell.columns = cell.gates = cell.slopes = n
        cell.group[0] = group_of(0, n, 0, True, True, 0, 0, 0)
    else:
        cell.columns = cell.gates = cell.slopes = 3 * n
        cell.group[0] = group_of(0, 2 * n, n, True, True, 0, 0, 0)
        cell.group[1] = group_of(2 * n, n, 0, True, False, 0, 2 * n, 0)
        if kind == GRU:
            cell.groups = 3
            cell.gates = 4 * n
            cell.group[0].second_bias = 3 * n
            cell.group[2] = group_of(2 * n, n, 3 * n, False, True, 0, 5 * n, 0)
        else:
            cell.groups = 2
            cell.group[1].reads_h = True
            cell.group[1].h_at = cell.line
            cell.line += n
    cell.biases = 2 * cell.columns if kind == GRU else cell.columns
    if cell.fast:
        cell.slopes = 0
    for k in range(cell.groups):
        cell.group[k].panels = at
        at += packed_reals(depth_of_group(cell, &cell.group[k]), cell.group[k].columns)
    cell.turned_kernel = at
    if op.reads[0].is_wanted:
        at += packed_reals(cell.columns, cell.inputs)
    cell.turned_recurrent = at
    if op.trains:
        at += packed_reals(cell.columns, n)
    cell.start = at
    cell.prepared = at + (cell.gates if op.n_variables == 3 else 0)


# ---- what is saved, from this row on; NULL in inference ----------------------------------------------

cdef inline real* lines_saved(const Cell* cell, const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.saved, row, cell.steps * cell.line)


cdef inline real* gates_saved(const Cell* cell, const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(lines_saved(cell, op, op.rows), row, cell.steps * cell.gates)


cdef inline real* held_saved(const Cell* cell, const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(gates_saved(cell, op, op.rows), row, cell.steps * cell.held)


cdef inline real* slopes_saved(const Cell* cell, const Op* op, Py_ssize_t row) noexcept nogil:
    return NULL if cell.slopes == 0 else rows_of(held_saved(cell, op, op.rows), row, cell.steps * cell.slopes)


# ---- scratch: dz of a group in panels, of which each has room for all lines -------------------------------

cdef inline Py_ssize_t all_lines(const Cell* cell, const Op* op) noexcept nogil:
    return op.rows * cell.steps


cdef inline real* dz_panels(const Cell* cell, const Op* op, int group) noexcept nogil:
    cdef real* at = <real*>op.scratch
    cdef int k
    for k in range(group):
        at += packed_reals(all_lines(cell, op), cell.group[k].columns)
    return at


# ---- workspace --------------------------------------------------------------------------------------------

# What a block of rows works with. Forward: line, z, h, held. Back: dz, dh, dc, what h' gets, the gradient by r h'.
cdef struct Room:
    real* lines
    real* z
    real* h
    real* held
    real* back
    real* reset
    real* kept                   # factors of h', where elements are dropped


cdef inline Py_ssize_t whole_lines(Py_ssize_t reals) noexcept nogil:
    return (reals + LANES - 1) // LANES * LANES


cdef inline Py_ssize_t set_room(Room* room, const Cell* cell, real* at, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t units = whole_lines(rows * cell.units)
    room.lines = at
    room.z = room.lines + whole_lines(rows * cell.line)
    room.h = room.z + whole_lines(rows * cell.gates)
    room.held = room.h + units
    room.back = room.held + whole_lines(rows * cell.held)
    room.reset = room.back + units
    room.kept = room.reset + units
    return room.kept + units - at


cdef inline void clear_reals(real* to, Py_ssize_t n) noexcept nogil:
    memset(to, 0, n * sizeof(real))


# ---- measure and prepare ------------------------------------------------------------------------------------

cdef inline bint suits(const Op* op, Py_ssize_t gates, bint two_biases) noexcept nogil:
    cdef Py_ssize_t steps = op.sizes[1], units = op.sizes[2], columns = gates * units
    if steps < 1 or units < 1 or op.lines != 1 or op.n_reads not in (1, 2) or op.n_variables not in (2, 3):
        return False
    if op.outputs != units and not is_product(op.outputs, steps, units):
        return False
    if (op.outputs != units) != is_sequence(op) and steps > 1:
        return False
    if op.inputs % steps or not 0 <= op.sizes[5] < COUNT_ACTIVATIONS or not 0 <= op.sizes[6] < COUNT_ACTIVATIONS:
        return False
    if not 0 <= op.sizes[7] < 65536 or (op.n_reads == 2 and op.reads[1].width != steps):
        return False
    if not is_product(op.variables[0], op.inputs // steps, columns) or not is_product(op.variables[1], units, columns):
        return False
    return op.n_variables == 2 or op.variables[2] == (2 if two_biases else 1) * columns


# Rows of both kernels, one after the other, that are a piece of the parameters: whole register tiles, and four
# pieces at least, which several threads share.
cdef inline Py_ssize_t rows_of_pieces(const Cell* cell) noexcept nogil:
    return min(<Py_ssize_t>PIECE_INPUTS, (cell.inputs + cell.units + 47) // 48 * 12)


cdef inline void recurrent_measure(const int kind, Op* op) noexcept nogil:
    cdef Cell cell
    cdef Room room
    cdef int k
    op.parameter_reals = -1
    if not suits(op, 4 if kind == LSTM else 1 if kind == SIMPLE_RNN else 3, kind == GRU):
        return
    set_cell(kind, &cell, op)
    op.parameter_reals = op.variables[0] + op.variables[1] + (op.variables[2] if op.n_variables == 3 else 0)
    op.saved_per_row = cell.steps * (cell.line + cell.gates + cell.held + cell.slopes)
    op.prepared_reals = cell.prepared
    op.carried_per_row = cell.units + cell.held
    for k in range(cell.groups if op.trains else 0):
        op.scratch_reals += packed_reals(all_lines(&cell, op), cell.group[k].columns)
    op.workspace_reals = set_room(&room, &cell, NULL, RECURRENT_ROWS)
    if op.trains:
        op.workspace_reals = max(op.workspace_reals, <Py_ssize_t>TURNED_INPUTS * TURNED_STRIDE)
        op.workspace_reals = max(op.workspace_reals, cell.steps * cell.inputs)
    op.row_step = RECURRENT_ROW_STEP
    op.pieces = (cell.inputs + cell.units + rows_of_pieces(&cell) - 1) // rows_of_pieces(&cell)
    op.piece_parameters = rows_of_pieces(&cell) * cell.columns
    op.work_per_row = <double>cell.steps * (cell.columns * <double>(cell.inputs + cell.units) + 20.0 * cell.columns)


# Rows of b as rows from `at` on of panels of that depth.
cdef inline void pack_lines(real* panels, Py_ssize_t depth, Py_ssize_t at, const real* b, Py_ssize_t ldb,
                            Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef real* to
    for row in range(rows):
        to = panels + (at + row) * PANEL
        column = 0
        while column < columns:
            vstore(to + column // PANEL * (depth * PANEL) + column % PANEL, load_first(b + column, columns - column))
            column += VL
        b += ldb


# Rows [begin, end) of a (rows, columns), transposed, in the panels that its transpose has.
cdef void pack_turned(real* panels, const real* a, Py_ssize_t columns, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t row = begin, upto
    while row < end:
        upto = min(end, (row // VL + 1) * VL)
        transpose_strip(panels + row // PANEL * PANEL * columns + row % PANEL, PANEL, a + row * columns, columns,
                        upto - row, columns, upto - row)
        row = upto


# What rows of both kernels, counted as in the flat vector, are of one of them.
cdef inline Py_ssize_t within(Py_ssize_t row, Py_ssize_t first, Py_ssize_t count) noexcept nogil:
    return min(max(row - first, <Py_ssize_t>0), count)


cdef inline void recurrent_prepare(const int kind, const Op* op, Py_ssize_t begin_piece,
                                   Py_ssize_t end_piece) noexcept nogil:
    cdef Cell cell
    cdef const Group* group
    cdef const real* kernel = <const real*>op.parameters
    cdef const real* recurrent
    cdef const real* bias
    cdef real* panels
    cdef real* start
    cdef Py_ssize_t begin, end, first, last, depth, i
    cdef int k
    set_cell(kind, &cell, op)
    begin = begin_piece * rows_of_pieces(&cell)
    end = end_piece * rows_of_pieces(&cell)
    recurrent = kernel + cell.inputs * cell.columns
    for k in range(cell.groups):
        group = &cell.group[k]
        panels = <real*>op.prepared + group.panels
        depth = depth_of_group(&cell, group)
        if group.reads_x:
            first = within(begin, 0, cell.inputs)
            last = within(end, 0, cell.inputs)
            pack_lines(panels, depth, cell.units - operand_at(&cell, group) + first,
                       kernel + first * cell.columns + group.first, cell.columns, last - first, group.columns)
        if group.reads_h:
            first = within(begin, cell.inputs, cell.units)
            last = within(end, cell.inputs, cell.units)
            pack_lines(panels, depth, group.h_at - operand_at(&cell, group) + first,
                       recurrent + first * cell.columns + group.first, cell.columns, last - first, group.columns)
    if op.reads[0].is_wanted:
        pack_turned(<real*>op.prepared + cell.turned_kernel, kernel, cell.columns, within(begin, 0, cell.inputs),
                    within(end, 0, cell.inputs))
    if op.trains:
        pack_turned(<real*>op.prepared + cell.turned_recurrent, recurrent, cell.columns,
                    within(begin, cell.inputs, cell.units), within(end, cell.inputs, cell.units))
    if end_piece < op.pieces or op.n_variables < 3:
        return
    bias = recurrent + cell.units * cell.columns
    for k in range(cell.groups):
        group = &cell.group[k]
        start = <real*>op.prepared + cell.start + group.at
        for i in range(group.columns):
            start[i] = bias[group.bias + i]
            if group.second_bias > 0:
                start[i] += bias[group.second_bias + i]


# ---- forward --------------------------------------------------------------------------------------------------

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
        clear_reals(room.h, rows * n)
        clear_reals(room.held, rows * cell.held)
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
                    clear_reals(y + (row * cell.steps + place_in_y(op, number)) * n, n)
                    continue
                copy_reals(y + (row * cell.steps + place_in_y(op, number)) * n, room.h + row * n, n)
    if not is_sequence(op):
        copy_reals(y, room.h, rows * n)
    if op.carried != NULL:
        carry(cell, op, &room, first, rows, True)


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


# ---- back through the steps -----------------------------------------------------------------------------------

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
                                const real* dh, real* dheld, const real* zeros, Py_ssize_t row,
                                Py_ssize_t done) noexcept nogil:
    cdef Py_ssize_t place = row * cell.steps + done
    cdef const real* gates = gates_saved(cell, op, 0) + place * cell.gates
    cdef const real* slopes = NULL if cell.slopes == 0 else slopes_saved(cell, op, 0) + place * cell.slopes
    cdef const real* held = held_saved(cell, op, 0) + place * cell.held
    cdef const real* h_before = lines_saved(cell, op, 0) + place * cell.line
    if kind == LSTM:
        lstm_step_back(fast, cell, dz, dheld, dh, held, gates, slopes, zeros if done == 0 else held - cell.held)
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
    cdef real* zeros
    cdef bint dropping = drops(op)
    cdef int k
    set_room(&room, cell, <real*>op.workspace, RECURRENT_ROWS)
    # What is held beside h has room for two: the gradient by c, and 0 for the c before all steps.
    zeros = room.held + rows * n
    clear_reals(room.held, rows * cell.held)
    if is_sequence(op):
        clear_reals(room.h, rows * n)
    else:
        copy_reals(room.h, dy, rows * n)
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
                add_reals(room.h + row * n, dy + (row * cell.steps + place_in_y(op, number)) * n, n)
        count = find_active(active, mask, rows, cell.steps, step)
        for j in range(count):
            row = active[j]
            done[row] -= 1
            step_line_back(kind, fast, cell, op, room.z + j * cell.gates, room.back + j * n, room.h + row * n,
                           room.held + row * n, zeros, first + row, done[row])
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
cdef inline void multiply_dx(const Cell* cell, const Op* op, real* dx, Py_ssize_t line, Py_ssize_t lines) noexcept nogil:
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
    if op.n_reads == 2:
        give_no_gradient(op, 1, begin, end)
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


# ---- gradients ------------------------------------------------------------------------------------------------

# Rows of the gradient of one kernel, whose left-hand operand begins there in a line, by one group: begun where
# `first`, else added to.
cdef inline void multiply_gradient(const Cell* cell, const Op* op, real* gradient, int group, Py_ssize_t at,
                                   Py_ssize_t line, Py_ssize_t lines, Py_ssize_t rows, bint first) noexcept nogil:
    cdef Product p
    cdef const real* a = lines_saved(cell, op, 0) + line * cell.line + at
    multiply_by(&p, dz_panels(cell, op, group) + line * PANEL, NULL, lines, cell.group[group].columns)
    p.b_panel = all_lines(cell, op) * PANEL
    p.c = gradient + cell.group[group].first
    p.ldc = p.start_row = cell.columns
    p.start = NULL if first else p.c
    if cell.group[group].columns >= TURNED_OUTPUTS and cell.group[group].columns == cell.columns:
        turned_gradient(&p, a, <real*>op.workspace, lines, cell.line, rows, cell.columns)
        return
    p.a = a
    p.a_row = 1
    p.a_k = cell.line
    matmul(&p, rows, cell.group[group].columns)


cdef inline void kernels_gradient(const Cell* cell, const Op* op, Py_ssize_t line, Py_ssize_t lines,
                                  Py_ssize_t begin, Py_ssize_t end, bint first) noexcept nogil:
    cdef real* gradient = <real*>op.gradients
    cdef const Group* group
    cdef Py_ssize_t from_x = within(begin, 0, cell.inputs), to_x = within(end, 0, cell.inputs)
    cdef Py_ssize_t from_h = within(begin, cell.inputs, cell.units), to_h = within(end, cell.inputs, cell.units)
    cdef int k
    for k in range(cell.groups):
        group = &cell.group[k]
        if group.reads_x and from_x < to_x:
            multiply_gradient(cell, op, gradient + from_x * cell.columns, k, cell.units + from_x, line, lines,
                              to_x - from_x, first)
        if group.reads_h and from_h < to_h:
            multiply_gradient(cell, op, gradient + (cell.inputs + from_h) * cell.columns, k, group.h_at + from_h, line,
                              lines, to_h - from_h, first)


cdef inline void recurrent_gradient(const int kind, const Op* op, Py_ssize_t begin, Py_ssize_t end,
                                    Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    cdef Cell cell
    cdef const Group* group
    cdef const real* mask
    cdef const real* panels
    cdef real* bias
    cdef Py_ssize_t row, step, done, column, columns
    cdef Py_ssize_t first, last
    cdef int k
    set_cell(kind, &cell, op)
    first = begin_piece * rows_of_pieces(&cell)
    last = end_piece * rows_of_pieces(&cell)
    if op.n_reads < 2:
        kernels_gradient(&cell, op, begin * cell.steps, (end - begin) * cell.steps, first, last, True)
    else:
        for row in range(begin, end):
            mask = mask_of(op, row)
            done = 0
            for step in range(cell.steps):
                done += mask[step] != 0
            if done > 0 or row == begin:
                kernels_gradient(&cell, op, row * cell.steps, done, first, last, row == begin)
    if op.n_variables < 3 or end_piece < op.pieces:
        return
    bias = <real*>op.gradients + (cell.inputs + cell.units) * cell.columns
    for k in range(cell.groups):
        group = &cell.group[k]
        column = 0
        while column < group.columns:
            columns = min(group.columns - column, PANEL)
            panels = dz_panels(&cell, op, k) + column * all_lines(&cell, op) + begin * cell.steps * PANEL
            sum_lines(add_element, bias + group.bias + column, panels, panels, panels, PANEL,
                      (end - begin) * cell.steps, columns)
            column += PANEL
        if group.second_bias > 0:
            copy_reals(bias + group.second_bias, bias + group.bias, group.columns)


# ---- the ops ----------------------------------------------------------------------------------------------------

cdef void lstm_op_measure(Op* op) noexcept nogil:
    recurrent_measure(LSTM, op)


cdef void lstm_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    recurrent_prepare(LSTM, op, begin_piece, end_piece)


cdef void lstm_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_forward(LSTM, op, begin, end)


cdef void lstm_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_to_dz(LSTM, op, begin, end)


cdef void lstm_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_backward(LSTM, op, begin, end)


cdef void lstm_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                           Py_ssize_t end_piece) noexcept nogil:
    recurrent_gradient(LSTM, op, begin, end, begin_piece, end_piece)


cdef inline bint resets_after(const Op* op) noexcept nogil:
    return op.sizes[8] != 0


cdef void gru_op_measure(Op* op) noexcept nogil:
    if resets_after(op):
        recurrent_measure(GRU, op)
    else:
        recurrent_measure(GRU_BEFORE, op)


cdef void gru_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece, Py_ssize_t end_piece) noexcept nogil:
    if resets_after(op):
        recurrent_prepare(GRU, op, begin_piece, end_piece)
    else:
        recurrent_prepare(GRU_BEFORE, op, begin_piece, end_piece)


cdef void gru_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_forward(GRU, op, begin, end)
    else:
        recurrent_forward(GRU_BEFORE, op, begin, end)


cdef void gru_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_to_dz(GRU, op, begin, end)
    else:
        recurrent_to_dz(GRU_BEFORE, op, begin, end)


cdef void gru_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if resets_after(op):
        recurrent_backward(GRU, op, begin, end)
    else:
        recurrent_backward(GRU_BEFORE, op, begin, end)


cdef void gru_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                          Py_ssize_t end_piece) noexcept nogil:
    if resets_after(op):
        recurrent_gradient(GRU, op, begin, end, begin_piece, end_piece)
    else:
        recurrent_gradient(GRU_BEFORE, op, begin, end, begin_piece, end_piece)


cdef void simple_rnn_op_measure(Op* op) noexcept nogil:
    recurrent_measure(SIMPLE_RNN, op)


cdef void simple_rnn_op_prepare(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                                Py_ssize_t end_piece) noexcept nogil:
    recurrent_prepare(SIMPLE_RNN, op, begin_piece, end_piece)


cdef void simple_rnn_op_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_forward(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_to_dz(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_to_dz(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    recurrent_backward(SIMPLE_RNN, op, begin, end)


cdef void simple_rnn_op_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                                 Py_ssize_t end_piece) noexcept nogil:
    recurrent_gradient(SIMPLE_RNN, op, begin, end, begin_piece, end_piece)
