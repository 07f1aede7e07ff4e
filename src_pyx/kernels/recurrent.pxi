# Ops that go through the steps of a row one after the other: lstm, gru, simple_rnn. What one step does to a row stands
# in cells.pxi; how rows go forward, back, and what gradients come of it, in recurrent_*.pxi.
#
# sizes: the seed of what is dropped; steps; units; which h y begins with: none but that of the last step (0), those of
# all steps in the order in which they are done (1), or the other way round (2); whether the last step goes first; the
# numbers of activation and recurrent activation in ACTIVATIONS; how many draws of 16 bits drop an element of h on its
# way into the next step's product; whether r stands behind the product (gru); whether h of masked steps is 0 in y,
# instead of that before; how many states a row begins with that are read (0: they are 0); and whether y ends with the
# states that the last step leaves. options: two numbers of each activation, and what elements that are kept are
# multiplied by.
# States are h and, of lstm, c. y (lines, units): h of all steps, if it has them, then h of the last one, if there is
# nothing else or y ends with the states, then its c, if so.
# variables: kernel (inputs, columns), recurrent_kernel (units, columns) and, if there is one, the bias; gates follow
# each other as in Keras: i f g o; z r g. reads: x (steps, inputs), the states (units,) to begin with, if there are
# some, and, if there is one, the mask (steps,): where it is 0 nothing is done, and h stays as it is.
#
# state, where batches are of `batch_rows` rows that go on from each other: h of all rows, then, of lstm, their c, as the
# batch before left them; rows begin with these unless states are read. batch: the same as this batch leaves them, which
# `settle` makes the state, then the c that its rows begin with, which the state may be no longer when they go back.
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
# by `to_dz` from the last step to the first, and the gradients by states that are read; `backward` and `gradient` are
# products of all lines at once.

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
    Py_ssize_t told              # reals of a row of y, ...
    Py_ssize_t states_told       # ... of which the last so many lines are states of the last step, ...
    Py_ssize_t states_at         # ... from here on
    Py_ssize_t states_read       # how many a row begins with
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


# Columns of the kernels for each unit.
cdef inline Py_ssize_t gates_of(const int kind) noexcept nogil:
    return 4 if kind == LSTM else 1 if kind == SIMPLE_RNN else 3


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


# How many states a row has.
cdef inline Py_ssize_t states_of(const int kind) noexcept nogil:
    return 2 if kind == LSTM else 1


cdef inline Py_ssize_t states_read(const Op* op) noexcept nogil:
    return op.sizes[10]


# How many of the states that the last step leaves are in y.
cdef inline Py_ssize_t states_told(const int kind, const Op* op) noexcept nogil:
    return states_of(kind) if op.sizes[11] != 0 else 0 if is_sequence(op) else 1


# A state that this row begins with.
cdef inline const real* state_read(const Op* op, Py_ssize_t number, Py_ssize_t row) noexcept nogil:
    return <const real*>op.reads[1 + number].x + row * op.sizes[2]


# Where this row is among those of a batch, whose rows go through wherever the arena has room.
cdef inline Py_ssize_t place_in_batch(const Op* op, Py_ssize_t row) noexcept nogil:
    return (op.drawn.first + row) % op.batch_rows


# A state that this row goes on from, and where it is left for the batch that comes.
cdef inline const real* state_before(const Op* op, Py_ssize_t number, Py_ssize_t row) noexcept nogil:
    return <const real*>op.state + (number * op.batch_rows + place_in_batch(op, row)) * op.sizes[2]


cdef inline real* state_after(const Op* op, Py_ssize_t number, Py_ssize_t row) noexcept nogil:
    return <real*>op.batch + (number * op.batch_rows + place_in_batch(op, row)) * op.sizes[2]


# The c that this row goes on from, for as long as it may go back.
cdef inline real* c_before(const Op* op, Py_ssize_t row) noexcept nogil:
    return <real*>op.batch + op.state_reals + place_in_batch(op, row) * op.sizes[2]


cdef inline bint is_masked(const Op* op) noexcept nogil:
    return op.n_reads > 1 + states_read(op)


cdef inline const real* mask_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <const real*>op.reads[1 + states_read(op)].x + row * op.sizes[1] if is_masked(op) else NULL


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
    cell.states_at = cell.steps * n if is_sequence(op) else 0
    cell.states_told = states_told(kind, op)
    cell.told = cell.states_at + cell.states_told * n
    cell.states_read = states_read(op)
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


# The gradient by a state that this row begins with.
cdef inline real* state_gradient(const Cell* cell, const Op* op, Py_ssize_t number, Py_ssize_t row) noexcept nogil:
    return dz_panels(cell, op, cell.groups) + (number * op.rows + row) * cell.units


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

cdef inline bint suits(const int kind, const Op* op) noexcept nogil:
    cdef Py_ssize_t steps = op.sizes[1], units = op.sizes[2], columns = gates_of(kind) * units, k
    if steps < 1 or units < 1 or op.lines != 1 or op.n_variables not in (2, 3):
        return False
    # One that does not divide the inputs may be too large to be added to.
    if op.inputs % steps:
        return False
    if not is_product(op.outputs, (steps if is_sequence(op) else 0) + states_told(kind, op), units):
        return False
    if not 0 <= op.sizes[5] < COUNT_ACTIVATIONS or not 0 <= op.sizes[6] < COUNT_ACTIVATIONS:
        return False
    if not 0 <= op.sizes[7] < 65536 or states_read(op) not in (0, states_of(kind)):
        return False
    if op.n_reads not in (1 + states_read(op), 2 + states_read(op)):
        return False
    for k in range(states_read(op)):
        if op.reads[1 + k].width != units:
            return False
    if is_masked(op) and op.reads[op.n_reads - 1].width != steps:
        return False
    if not is_product(op.variables[0], op.inputs // steps, columns) or not is_product(op.variables[1], units, columns):
        return False
    return op.n_variables == 2 or op.variables[2] == (2 if kind == GRU else 1) * columns


# Rows of both kernels, one after the other, that are a piece of the parameters: whole register tiles, and four
# pieces at least, which several threads share.
cdef inline Py_ssize_t rows_of_pieces(const Cell* cell) noexcept nogil:
    return min(<Py_ssize_t>PIECE_INPUTS, (cell.inputs + cell.units + 47) // 48 * 12)


cdef inline void recurrent_measure(const int kind, Op* op) noexcept nogil:
    cdef Cell cell
    cdef Room room
    op.parameter_reals = -1
    if not suits(kind, op):
        return
    set_cell(kind, &cell, op)
    op.parameter_reals = op.variables[0] + op.variables[1] + (op.variables[2] if op.n_variables == 3 else 0)
    op.saved_per_row = cell.steps * (cell.line + cell.gates + cell.held + cell.slopes)
    op.prepared_reals = cell.prepared
    op.carried_per_row = cell.units + cell.held
    op.state_reals = states_of(kind) * op.batch_rows * cell.units
    op.batch_reals = op.state_reals + (states_of(kind) - 1) * op.batch_rows * cell.units
    op.scratch_reals = 0
    if op.trains:
        op.scratch_reals = state_gradient(&cell, op, cell.states_read, 0) - <real*>op.scratch
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
