# Building a plan: ops that know their sizes and whom they read, over one arena.

# Where gradients go that come chunk by chunk, or from several ops.
cdef struct Total:
    char* gradients
    char* excess                 # what rounding took from them ...
    char* chunk                  # ... and room for those of one chunk


# What a network is given: an array of rows.
cdef struct Feed:
    Py_ssize_t width             # numbers of a row ...
    Py_ssize_t row_bytes         # ... and what they take
    bint is_integer              # whether they are int32
    char* rows                   # room for those picked from the data, or made of bytes
    char* dx                     # the gradient by them; NULL: nobody wants it


# Whether data whose numbers take so many bytes are whole numbers of 8 bits, of which reals are to be made.
cdef inline bint comes_as_bytes(const Feed* feed, Py_ssize_t item_bytes) noexcept nogil:
    return item_bytes == 1 and not feed.is_integer


# Steps of which there is room at first for what a plan carries from one to the next.
cdef enum: FIRST_STEPS = 64


# A place in a member's part of the arena that a value has until its last reader has run.
cdef struct Place:
    Py_ssize_t begin
    Py_ssize_t end
    Py_ssize_t last_reader


cdef class Layout(Weights):
    """The ops of one network, in an order in which they can run, and all the memory that they work in.

    Parameters
    ----------
    As `Plan`'s.
    """

    cdef Address states
    cdef bint trains
    cdef char* memory
    cdef readonly Py_ssize_t arena_bytes
    cdef readonly Py_ssize_t rows
    cdef int threads                    # of the budget
    cdef readonly int members           # the largest team
    cdef double work_per_row            # of a forward pass, in multiply-adds
    cdef Py_ssize_t slices              # of a batch of `rows`
    cdef int matmul_parts               # 0 where they make no difference
    cdef Py_ssize_t row_step            # at multiples of which members' rows begin ...
    cdef Py_ssize_t ops_step            # ... and what all ops need of that
    cdef readonly Py_ssize_t chunk_limit    # rows of a slice, or in inference, that go through at a time ...
    cdef Py_ssize_t whole_limit         # ... and of a whole batch
    cdef readonly Py_ssize_t room       # rows of the arena that are one member's
    cdef Py_ssize_t capacity            # rows of the arena
    cdef Py_ssize_t n_feeds, n_ops, n_reads, n_parameters
    cdef Py_ssize_t slice_rows          # the fewest of a slice
    cdef Feed* feeds
    cdef Op* ops                        # each member's, one after the other
    cdef Pass* passes                   # each member's
    cdef Read* reads                    # likewise: those of the first op, then those of the second ...
    cdef Read** feed_reads              # likewise: each feed's first reader; NULL
    cdef Py_ssize_t* offsets            # where each op's parameters begin in the flat vector
    cdef Py_ssize_t* earlier_user       # of each op's parameters: the op before it that has the same; -1: none
    cdef bint* is_last_user             # whether no op after it has the same
    cdef bint* is_uneven                # whether another op has them in other pieces: each works on all of them at once
    cdef bint* is_trained               # whether they are to move
    cdef double* work_before            # what `renew` has to do for all parameters of the ops before each, ...
    cdef double* piece_work             # ... and for a piece of its own, in multiply-adds
    cdef double work                    # likewise for all there are
    cdef bint is_kept                   # whether all rows of a batch must be in the arena
    cdef Py_ssize_t* last_readers       # of each op's y: an op; n_ops: someone after all ops
    cdef Py_ssize_t* places             # in inference: where each op's y begins in its member's part ...
    cdef Place* held                    # ... and room for those that are held at a time
    cdef char* values_at                # those parts ...
    cdef Py_ssize_t values_bytes        # ... of so many bytes each
    cdef readonly tuple trained         # likewise, as it came
    cdef bint costs_something           # whether some op's rows do, beside the loss
    cdef bint knows_all_rows            # whether some op, or a loss, must, in training
    cdef readonly Py_ssize_t batch_rows # of how many rows each batch is, where ops remember states of rows; else 0
    cdef bint is_masked                 # whether some lines of some head may not count
    cdef Py_ssize_t* told               # by each member, for each head: how many lines of its rows do
    cdef double* mean_weights           # likewise: the mean weight of the batch's lines that count, for those with weights
    cdef tuple python_ops               # of the ops that are not compiled ...
    cdef tuple python_losses            # ... and of the losses, None for those that are; or None: all are
    cdef Py_ssize_t workspace_bytes     # of each member
    cdef char* workspaces
    cdef Py_ssize_t n_heads
    cdef Head* heads
    cdef Py_ssize_t longest             # of a plan that goes on step by step: how many steps there may be, ...
    cdef readonly Py_ssize_t gone       # ... how many have gone, ...
    cdef char* carried                  # ... what ops carry from one to the next, ...
    cdef Py_ssize_t carried_steps       # ... and of how many steps there is room for it
    cdef char* slice_gradients          # of each slice
    cdef char* chunks                   # for each member, or for all, the excess and one chunk of a Total

    cdef build(self, specs, inputs, heads, tuple trained, bint input_gradient, bint kept):
        """All but the arena; raises ValueError where things do not add up."""
        cdef const OpKind* kind
        self.n_feeds, self.n_ops = len(inputs), len(specs)
        if self.n_feeds < 1 or self.n_ops < 1:
            raise ValueError(f"specs: got {self.n_ops} ops and {self.n_feeds} inputs, expected some of both")
        for spec in specs:
            self.n_reads += len(spec.reads)
        self.feeds = <Feed*>room_for(self.n_feeds, sizeof(Feed))
        self.n_heads = len(heads)
        self.heads = <Head*>room_for(self.n_heads, sizeof(Head))
        self.offsets = <Py_ssize_t*>room_for(self.n_ops, sizeof(Py_ssize_t))
        self.earlier_user = <Py_ssize_t*>room_for(self.n_ops, sizeof(Py_ssize_t))
        self.is_last_user = <bint*>room_for(self.n_ops, sizeof(bint))
        self.is_uneven = <bint*>room_for(self.n_ops, sizeof(bint))
        self.is_trained = <bint*>room_for(self.n_ops, sizeof(bint))
        self.work_before = <double*>room_for(self.n_ops, sizeof(double))
        self.piece_work = <double*>room_for(self.n_ops, sizeof(double))
        self.last_readers = <Py_ssize_t*>room_for(self.n_ops, sizeof(Py_ssize_t))
        self.places = <Py_ssize_t*>room_for(self.n_ops, sizeof(Py_ssize_t))
        self.held = <Place*>room_for(self.n_ops, sizeof(Place))
        self.trained = trained
        self.python_ops = tuple([PythonOp(spec.calls) for spec in specs if spec.calls is not None])
        # What a line counts depends on how many of a batch do.
        self.knows_all_rows = self.trains and (len(self.python_ops) > 0 or self.python_losses is not None or
                                               any([head[3] >= 0 for head in heads]))
        for i, spec in enumerate(specs):
            kind = self.kind_of(spec)
            self.knows_all_rows = self.knows_all_rows or (self.trains and kind.x_columns != NULL)
            self.is_trained[i] = self.trains and bool(spec.variables) and self.may_move(i)
        # What a row carries from step to step has the row's own place.
        self.is_kept = kept or self.knows_all_rows or self.longest > 0
        widths = self.weigh(specs, inputs)
        self.divide()
        self.expect_room(specs, widths)
        self.ops = <Op*>room_for(self.members * self.n_ops, sizeof(Op))
        self.reads = <Read*>room_for(self.members * self.n_reads, sizeof(Read))
        self.passes = <Pass*>room_for(self.members, sizeof(Pass))
        self.told = <Py_ssize_t*>room_for(self.members * self.n_heads, sizeof(Py_ssize_t))
        self.mean_weights = <double*>room_for(self.members * self.n_heads, sizeof(double))
        self.feed_reads = <Read**>room_for(self.members * self.n_feeds, sizeof(Read*))
        self.describe(specs, input_gradient)
        self.set_heads(heads)
        self.set_batch_rows(specs)
        self.limit_rows()
        self.measure()
        self.weigh_pieces()
        self.touch_kept()
        for i, spec in enumerate(specs):
            wanted = wanted_of(&self.ops[i], spec)
            if wanted is not None:
                raise ValueError(f"specs: got {spec}, expected {wanted}")
        if self.trains:
            self.compare_pieces()
        self.arena_bytes = <Py_ssize_t>(<uintptr_t>self.place(NULL))

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(0 if self.trains or self.feeds == NULL else self.n_feeds):
            free(self.feeds[i].rows)
        free(self.feeds)
        free(self.heads)
        free(self.ops)
        free(self.reads)
        free(self.feed_reads)
        free(self.passes)
        free(self.told)
        free(self.mean_weights)
        free(self.offsets)
        free(self.earlier_user)
        free(self.is_last_user)
        free(self.is_uneven)
        free(self.is_trained)
        free(self.work_before)
        free(self.piece_work)
        free(self.last_readers)
        free(self.places)
        free(self.held)
        free(self.memory)
        free(self.carried)

    cdef weigh(self, specs, inputs):
        """How wide all values are, and how many parameters there are."""
        cdef Py_ssize_t i, end
        widths = [int(width) for width in inputs]
        for i in range(self.n_feeds):
            self.feeds[i].width = widths[i]
        for i, spec in enumerate(specs):
            if spec.outputs < 1 or spec.lines < 1 or min(spec.variables, default=1) < 1:
                raise ValueError(f"specs: got {spec}, expected sizes of at least 1")
            if not spec.reads or not 0 <= min(spec.reads) <= max(spec.reads) < len(widths):
                raise ValueError(f"specs: got {spec}, expected to read some of {len(widths)} values")
            if widths[spec.reads[0]] % spec.lines:
                raise ValueError(f"specs: got {spec}, expected lines that {widths[spec.reads[0]]} inputs make up")
            self.offsets[i] = spec.offset
            expect("states", self.states, (spec.state_offset + spec.states) * self.table.real_bytes)
            if spec.states and self.states.at == NULL:
                raise ValueError(f"states: got None, expected {spec.states} numbers for {spec}")
            end = spec.offset + sum(spec.variables)
            expect("parameters", self.parameters, end * self.table.real_bytes)
            expect("gradients", self.gradients, end * self.table.real_bytes)
            self.n_parameters = max(self.n_parameters, end)
            widths.append(spec.lines * spec.outputs)
        if min(widths) < 1:
            raise ValueError(f"inputs: got {inputs}, expected widths of at least 1")
        self.find_integers(specs)
        if self.trains:
            self.find_users(specs)
        self.slice_rows = max(<Py_ssize_t>MIN_SLICE_ROWS, self.n_parameters // <Py_ssize_t>sum(widths))
        return widths

    cdef const OpKind* kind_of(self, spec) except NULL:
        return kind_in(self.table, spec)

    cdef find_integers(self, specs):
        """Which feeds are integers: those whose readers take nothing else."""
        cdef const OpKind* kind
        cdef Py_ssize_t i
        taken = {}                      # by a value's number, whether its readers take integers
        for spec in specs:
            kind = self.kind_of(spec)
            for number in spec.reads:
                if kind.reads_integers and number >= self.n_feeds:
                    raise ValueError(f"specs: got {spec}, expected one that reads inputs alone")
                if taken.setdefault(number, kind.reads_integers) != kind.reads_integers:
                    raise ValueError(f"specs: got {spec}, expected what others read too, integers or reals")
        for i in range(self.n_feeds):
            self.feeds[i].is_integer = taken.get(i, False)
            size = sizeof(int32_t) if self.feeds[i].is_integer else self.table.real_bytes
            self.feeds[i].row_bytes = self.feeds[i].width * size

    cdef bint may_move(self, Py_ssize_t i):
        """Whether op i is of a layer that is trained."""
        return self.trained is None or i >= len(self.trained) or self.trained[i]

    cdef find_users(self, specs):
        """Who has the same parameters."""
        users = {}
        for i, spec in enumerate(specs):
            self.is_last_user[i] = True
            self.earlier_user[i] = -1
            if not spec.variables:
                continue
            earlier = users.get(spec.offset)
            if earlier is not None:
                if specs[earlier].variables != spec.variables or self.is_trained[earlier] != self.is_trained[i]:
                    raise ValueError(f"specs: got {spec}, expected parameters of its own or those of "
                                     f"{specs[earlier]}")
                self.earlier_user[i] = earlier
                self.is_last_user[earlier] = False
            users[spec.offset] = i
        end = 0
        for offset, i in sorted(users.items()):
            if offset < end:
                raise ValueError(f"specs: got {specs[i]}, expected parameters of its own or all of another's")
            end = offset + sum(specs[i].variables)

    cdef void compare_pieces(self) noexcept nogil:
        """Finds the parameters that do not come in the same pieces for all ops that have them."""
        cdef Py_ssize_t i, user
        cdef bint is_uneven
        for i in range(self.n_ops):
            if not self.is_last_user[i]:
                continue
            is_uneven = False
            user = self.earlier_user[i]
            while user >= 0:
                is_uneven = is_uneven or (self.ops[user].pieces != self.ops[i].pieces
                                          or self.ops[user].piece_parameters != self.ops[i].piece_parameters)
                user = self.earlier_user[user]
            user = i
            while user >= 0:
                self.is_uneven[user] = is_uneven
                user = self.earlier_user[user]

    cdef divide(self):
        """How many threads can be of use."""
        self.members = <int>max(1, min(self.threads, <Py_ssize_t>MAX_MEMBERS))
        self.slices = 1 if self.is_kept or not self.trains else self.slices_of(self.rows)
        if self.slices > 1:
            self.members = <int>min(<Py_ssize_t>self.members, self.slices)
        if not self.trains and self.python_ops:
            self.members = 1            # Members take chunks as they come, and only the caller has a Python.

    cdef void limit_rows(self) noexcept nogil:
        """How many rows go through at a time, fewer where they are long: the network alone decides."""
        cdef Py_ssize_t bytes = self.bytes_of_row(), step = TILED_ROW_STEP if self.matmul_parts > 0 else ROW_STEP
        self.chunk_limit = rows_within(SLICE_BYTES if self.trains else CHUNK_BYTES, bytes, step, CHUNK_ROWS)
        self.whole_limit = rows_within(WHOLE_BYTES, bytes, step, WHOLE_ROWS)
        if self.is_kept:
            self.room = self.rows
        elif not self.trains:
            self.room = min(self.rows, self.chunk_limit)
        else:
            self.room = self.chunk_limit if self.slices > 1 else min(self.rows, self.whole_limit)

    cdef Py_ssize_t bytes_of_row(self) noexcept nogil:
        """What a row takes in the arena."""
        cdef Py_ssize_t i, fixed, some = ALIGNMENT // self.table.real_bytes     # rows that fill up whole lines
        for i in range(self.n_ops):
            self.ops[i].rows = some
            self.ops[i].measure(&self.ops[i])
        if not self.trains:
            return self.arrange(some) // some
        self.capacity = 0
        fixed = <Py_ssize_t>(<uintptr_t>self.place(NULL))
        self.capacity = some
        return (<Py_ssize_t>(<uintptr_t>self.place(NULL)) - fixed) // some

    cdef expect_room(self, specs, widths):
        """Raises MemoryError where bytes could not be counted, long before any are asked for."""
        # In Python's numbers, which have no end; an op takes a few times what it reads and makes.
        rows = max(int(self.rows) if self.is_kept else 0, 64 * self.members)
        reals = rows * (sum(widths) + sum([widths[read] for spec in specs for read in spec.reads]))
        if 64 * reals * self.table.real_bytes >= 2**62:
            raise MemoryError(f"no {reals * self.table.real_bytes:,} bytes for batches of {int(self.rows):,} rows")

    @cython.final
    cdef Py_ssize_t slices_of(self, Py_ssize_t rows) noexcept nogil:
        """Into how many slices a batch is cut: 1 (whole) unless activations outweigh the gradients."""
        if self.knows_all_rows or rows < 2 * self.slice_rows or self.n_parameters > SLICED_PARAMETERS:
            return 1
        return min(rows // self.slice_rows, <Py_ssize_t>MAX_SLICES)

    cdef describe(self, specs, bint input_gradient):
        cdef Op* op
        cdef Py_ssize_t i
        cdef Read* read = self.reads
        cdef PythonOp python_op
        python_ops = iter(self.python_ops)
        for i, spec in enumerate(specs):
            op = &self.ops[i]
            if spec.calls is not None:
                python_op = next(python_ops)
                python_op.table, python_op.callee.real_bytes = self.table, self.table.real_bytes
                op.callee = &python_op.callee
            set_kind(op, self.table, spec)
            op.is_trained = self.may_move(i)
            if spec.states:
                op.state = self.states.at + <Py_ssize_t>spec.state_offset * self.table.real_bytes
            op.number = i
            op.gone = &self.gone if self.longest > 0 else NULL
            op.drawn = self.passes
            op.matmul_parts = self.matmul_parts
            op.parameters = self.parameters.at + self.offsets[i] * self.table.real_bytes
            if self.trains:
                op.gradients = self.gradients.at + self.offsets[i] * self.table.real_bytes
            op.n_reads, op.reads = len(spec.reads), read
            read += op.n_reads
        self.link(specs, input_gradient)
        for i in range(self.n_ops):
            self.ops[i].inputs = self.ops[i].reads[0].width // self.ops[i].lines

    cdef link(self, specs, bint input_gradient):
        """Says which ops read what, and what gradients are wanted."""
        cdef Py_ssize_t i, k, number
        cdef Op* op
        cdef Read* read = self.reads
        latest = {}                     # each value's latest reader, by its place in `reads`
        wanted = [self.trains and input_gradient and not self.feeds[i].is_integer for i in range(self.n_feeds)]
        for i, spec in enumerate(specs):
            op = &self.ops[i]
            for k in range(op.n_reads):
                number = spec.reads[k]
                read.place_in_dy = -1
                read.is_first = number not in latest
                read.is_wanted = wanted[number]
                if number < self.n_feeds:
                    read.width = self.feeds[number].width
                else:
                    read.maker = &self.ops[number - self.n_feeds]
                    read.width = read.maker.lines * read.maker.outputs
                if not read.is_first:
                    self.reads[<Py_ssize_t>latest[number]].next = read
                elif number < self.n_feeds:
                    self.feed_reads[number] = read
                latest[number] = read - self.reads
                if number >= self.n_feeds:
                    self.last_readers[self.holder_of(number - self.n_feeds)] = i
                op.wants_dx = op.wants_dx or read.is_wanted
                read += 1
            op.trains = self.is_trained[i] or op.wants_dx
            wanted.append(op.trains)
            self.last_readers[self.holder_of(i)] = self.n_ops
        for i in range(self.n_ops):
            if self.ops[i].forward == NULL:
                self.join(i, specs[i])

    cdef Py_ssize_t holder_of(self, Py_ssize_t i) noexcept nogil:
        """The op whose y that of op i is: its own, unless another one does its work."""
        cdef const Op* op = &self.ops[i]
        while op.forward == NULL and op.reads[0].maker != NULL:
            op = op.reads[0].maker
        return op - self.ops

    cdef join(self, Py_ssize_t i, spec):
        """Has op i done within the one that it reads."""
        cdef const Read* read = self.ops[i].reads
        if self.trains or read.maker == NULL or not read.is_first or read.next != NULL:
            raise ValueError(f"specs: got {spec}, expected to read, in inference, what no other op does")
        self.ops[read.maker - self.ops].within = &self.ops[i]

    cdef set_heads(self, heads):
        """(op, loss_op, lines, mask_op) of each; in training nobody else reads an op that a loss looks at."""
        cdef Py_ssize_t op, loss_op, lines, mask_op, i
        cdef Read* read
        if not heads:
            raise ValueError("heads: got none, expected at least one output")
        for i, (op, loss_op, lines, mask_op) in enumerate(heads):
            if not (0 <= loss_op < self.n_ops and 0 <= op < self.n_ops) or lines < 1 or (
                    width_of(&self.ops[op]) != width_of(&self.ops[loss_op]) or width_of(&self.ops[op]) % lines):
                raise ValueError(f"heads: got {heads[i]}, expected two of {self.n_ops} ops of one width, and lines "
                                 "that make it up")
            self.heads[i].op, self.heads[i].loss_op, self.heads[i].lines = op, loss_op, lines
            self.heads[i].columns, self.heads[i].share = width_of(&self.ops[op]) // lines, 1.0 / lines
            self.last_readers[self.holder_of(op)] = self.last_readers[self.holder_of(loss_op)] = self.n_ops
            self.heads[i].mask_op = mask_op
            if self.python_losses is not None and self.python_losses[i] is not None:
                self.heads[i].python_loss = <void*>self.python_losses[i]
                self.heads[i].target_bytes = (<PythonLoss>self.python_losses[i]).target_bytes
            if mask_op >= 0:
                if mask_op >= self.n_ops or lines % width_of(&self.ops[mask_op]):
                    raise ValueError(f"heads: got {heads[i]}, expected a mask whose numbers make up the lines")
                self.heads[i].lines_told = lines // width_of(&self.ops[mask_op])
                self.last_readers[self.holder_of(mask_op)] = self.n_ops
                self.is_masked = True
        for i in range(self.n_reads if self.trains else 0):
            read = &self.reads[i]
            for head in heads:
                if read.maker == &self.ops[<Py_ssize_t>head[0]] or (
                        read.maker == &self.ops[<Py_ssize_t>head[1]] and read.next != NULL):
                    raise ValueError(f"heads: got {head}, expected ops that no other reads")

    cdef set_batch_rows(self, specs):
        """Of how many rows each batch is, by the ops that remember states of rows from batch to batch."""
        cdef Py_ssize_t i
        for i, spec in enumerate(specs):
            if self.ops[i].batch_rows == 0:
                continue
            if self.batch_rows not in (0, self.ops[i].batch_rows) or self.longest > 0:
                raise ValueError(f"specs: got {spec}, expected batches of as many rows as all ops, and no steps that "
                                 "go on one by one")
            self.batch_rows = self.ops[i].batch_rows

    cdef void touch_kept(self) noexcept nogil:
        """Has no op rest on parameters that cost something or have bounds: all of them have gradients."""
        cdef Py_ssize_t i
        for i in range(self.n_penalties):
            self.touch_all(self.penalties[i].begin, self.penalties[i].end)
        for i in range(self.n_matrices):
            self.touch_all(self.matrices[i].begin,
                           self.matrices[i].begin + self.matrices[i].vectors * self.matrices[i].length)
        for i in range(self.n_bounds):
            self.touch_all(self.bounds[i].begin, self.bounds[i].begin + self.bounds[i].groups * self.bounds[i].along)

    cdef void touch_all(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Has no op rest on parameters [begin, end), all of which have gradients."""
        cdef Py_ssize_t i
        for i in range(self.n_ops):
            if self.offsets[i] < end and begin < self.offsets[i] + self.ops[i].parameter_reals:
                self.ops[i].step = NULL

    cdef void measure(self) noexcept nogil:
        """What each op wants, once more where the members' rows must begin further apart for that."""
        cdef Py_ssize_t i, shares = self.members if not self.trains or self.slices > 1 else 1
        # A smaller batch may be too small for slices; then all of it is in the arena.
        cdef Py_ssize_t fewest = min(self.unsliced_rows(), self.whole_limit) if self.slices > 1 else 0
        cdef Op* op
        while True:
            self.capacity = max(shares * self.room, fewest)
            self.work_per_row = 0.0
            self.row_step = ROW_STEP
            self.ops_step = 1
            for i in range(self.n_ops):
                op = &self.ops[i]
                op.rows = self.capacity
                op.measure(op)
                self.work_per_row += op.work_per_row
                self.ops_step = max(self.ops_step, op.row_step)
                self.row_step = max(self.row_step, op.row_step)
                self.costs_something = self.costs_something or op.costs_something
                # Each member's begins on a line of its own: some ops have places of 8 bytes there.
                self.workspace_bytes = max(self.workspace_bytes,
                                           aligned(op.workspace_reals * self.table.real_bytes))
            if self.row_step == ROW_STEP or self.room % self.row_step == 0:
                return
            self.room += self.row_step - self.room % self.row_step

    cdef void weigh_pieces(self) noexcept nogil:
        """How much work there is between forward passes, by which members divide the parameters."""
        cdef double rows = <double>self.rows if self.slices == 1 else 0.0, work
        cdef Py_ssize_t i, user
        for i in range(self.n_ops):
            if self.ops[i].pieces == 0 or (self.trains and not self.is_last_user[i]):
                continue
            work, user = PARAMETER_WORK * self.ops[i].parameter_reals, i
            while self.is_trained[i] and user >= 0:
                work += rows * self.ops[user].work_per_row
                user = self.earlier_user[user]
            # Users of the same parameters have the same pieces.
            user = i
            while user >= 0:
                self.work_before[user], self.piece_work[user] = self.work, work / self.ops[i].pieces
                user = self.earlier_user[user] if self.trains else -1
            self.work += work

    cdef Py_ssize_t unsliced_rows(self) noexcept nogil:
        """Up to how many rows of a batch may be too few for slices where there are some."""
        return min(self.rows, 2 * self.slice_rows)

    cdef lay_out(self):
        """Allocates the arena, whose bytes `place` counted with no memory behind it, and hands it out."""
        cdef int member
        if self.longest > 0 and not self.carry(min(self.longest, <Py_ssize_t>FIRST_STEPS)):
            raise self.no_room(FIRST_STEPS)
        self.memory = <char*>calloc(self.arena_bytes + ALIGNMENT, 1)
        if self.memory == NULL:
            raise MemoryError(f"no {self.arena_bytes:,} bytes for batches of {self.rows} rows")
        fw_want_huge_pages(self.memory, self.arena_bytes + ALIGNMENT)
        self.place(self.memory + ALIGNMENT - <uintptr_t>self.memory % ALIGNMENT)
        for member in range(1, self.members):
            self.copy_to(member)

    cdef bint carry(self, Py_ssize_t steps) noexcept nogil:
        """Has room for what ops carry from step to step of so many of them; what they carry already moves there.

        Returns whether there is so much memory; if not all is as it was.
        """
        cdef Py_ssize_t i, row, row_bytes, kept, bytes = self.table.real_bytes
        cdef int member
        cdef double wanted = ALIGNMENT
        cdef char* carried
        cdef char* at
        cdef Op* op
        for i in range(self.n_ops):
            op = &self.ops[i]
            wanted += (op.carried_per_row + <double>steps * op.carried_per_step) * bytes * self.rows
        # Nobody reads what was not written before, and memory that nobody writes to is not there yet.
        carried = <char*>malloc(<size_t>wanted) if wanted < 2.0**62 else NULL
        if carried == NULL:
            return False
        at = carried
        for i in range(self.n_ops):
            op = &self.ops[i]
            row_bytes = (op.carried_per_row + steps * op.carried_per_step) * bytes
            kept = (op.carried_per_row + self.gone * op.carried_per_step) * bytes
            for row in range(self.rows if self.gone > 0 else 0):
                memcpy(at + row * row_bytes, <char*>op.carried + row * op.carried_stride * bytes, kept)
            for member in range(self.members):
                op = &self.ops[member * self.n_ops + i]
                op.carried, op.carried_stride = at, row_bytes // bytes
            at += self.rows * row_bytes
        free(self.carried)
        self.carried, self.carried_steps = carried, steps
        return True

    cdef no_room(self, Py_ssize_t steps):
        return MemoryError(f"no memory for what layers keep of {steps:,} steps of {self.rows:,} rows")

    cdef char* place(self, char* at) noexcept nogil:
        cdef Py_ssize_t bytes = self.table.real_bytes, row_bytes = self.capacity * bytes, i, k
        cdef Py_ssize_t shares
        cdef Op* op
        cdef Read* read
        for i in range(self.n_feeds):
            # In inference they are read where they are, unless they come as bytes: see `widen_feeds`.
            self.feeds[i].rows = take(&at, self.capacity * self.feeds[i].row_bytes if self.trains else 0)
            if self.feed_reads[i] != NULL and self.feed_reads[i].is_wanted:
                self.feeds[i].dx = take(&at, self.capacity * self.feeds[i].row_bytes)
        for i in range(self.n_heads):
            self.heads[i].targets = take(&at, max(row_bytes * width_of(&self.ops[self.heads[i].op]),
                                                  self.capacity * self.heads[i].target_bytes))
            self.heads[i].values = <double*>take(&at, self.capacity * self.heads[i].lines * sizeof(double))
            self.heads[i].weights = <double*>take(&at, self.capacity * self.heads[i].lines * sizeof(double))
        if self.slices > 1:
            self.slice_gradients = take(&at, self.slices * self.n_parameters * bytes)
        if self.adds_up():
            shares = self.members if self.slices > 1 else 1
            self.chunks = take(&at, shares * 2 * self.n_parameters * bytes)
        self.workspaces = take(&at, self.members * self.workspace_bytes)
        if not self.trains:
            self.values_bytes = self.arrange(self.room)
            self.values_at = take(&at, self.members * self.values_bytes)
            self.place_values(0)
        at = self.place_matrices(at, self.members, self.trains)
        for i in range(self.n_ops):
            op = &self.ops[i]
            if self.trains:
                op.y = take(&at, row_bytes * width_of(op))
            op.prepared = take(&at, op.prepared_reals * bytes)
            op.workspace = self.workspaces
            if op.trains:
                op.dy = dy_of_maker(op)
                if op.dy == NULL:
                    op.dy = take(&at, row_bytes * width_of(op))
                op.saved = take(&at, row_bytes * op.saved_per_row)
                op.scratch = take(&at, op.scratch_reals * bytes)
            if self.trains or op.batch_rows > 0:
                op.batch = take(&at, op.batch_reals * bytes)
            if self.trains:
                op.touched = take(&at, op.touched_reals * bytes)
            if op.costs_something:
                op.costs = <double*>take(&at, self.capacity * sizeof(double))
            for k in range(op.n_reads):
                read = &op.reads[k]
                if read.maker != NULL:
                    read.x = read.maker.y
                if not read.is_wanted:
                    continue
                read.dx_stride = read.width
                if read.is_first:
                    # Of a feed: below.
                    read.dx = NULL if read.maker == NULL else read.maker.dy
                elif read.place_in_dy >= 0:
                    read.dx = <char*>op.dy + read.place_in_dy * bytes
                    read.dx_stride = width_of(op)
                else:
                    read.dx = take(&at, row_bytes * read.width)
        for i in range(self.n_feeds):
            read = self.feed_reads[i]
            if read != NULL:
                read.dx = self.feeds[i].dx
            while read != NULL:
                read.x = self.feeds[i].rows
                read = <Read*>read.next
        return at

    cdef int widen_feeds(self, Arrays given) except -1:
        """Has room for the rows of feeds that come as bytes, in inference once some do."""
        cdef Py_ssize_t i
        cdef Feed* feed
        for i in range(0 if self.trains else self.n_feeds):
            feed = &self.feeds[i]
            if feed.rows == NULL and comes_as_bytes(feed, given.item_bytes[i]):
                feed.rows = <char*>calloc(self.capacity, feed.row_bytes)
                if feed.rows == NULL:
                    raise MemoryError(f"no {self.capacity * feed.row_bytes:,} bytes for rows of {feed.width} numbers")
        return 0

    cdef Py_ssize_t arrange(self, Py_ssize_t rows) noexcept nogil:
        """Finds each y of so many rows a place for as long as it is read; returns the bytes that all take."""
        cdef Py_ssize_t i, k, n = 0, kept, size, begin, total = 0
        for i in range(self.n_ops):
            if self.holder_of(i) != i:
                continue
            size = aligned(rows * width_of(&self.ops[i]) * self.table.real_bytes)
            kept = 0
            for k in range(n):
                if self.held[k].last_reader >= i:
                    self.held[kept] = self.held[k]
                    kept += 1
            # The first gap that is large enough; they are held in the order of their places.
            n = begin = 0
            while n < kept and self.held[n].begin - begin < size:
                begin = self.held[n].end
                n += 1
            memmove(&self.held[n + 1], &self.held[n], (kept - n) * sizeof(Place))
            self.held[n] = Place(begin, begin + size, self.last_readers[i])
            n = kept + 1
            self.places[i] = begin
            total = max(total, begin + size)
        return total

    cdef void place_values(self, int member) noexcept nogil:
        """Has each op of a member, whose rows are not the first of the arena, write to the member's own part."""
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t i, row_bytes
        cdef char* own
        for i in range(self.n_ops):
            row_bytes = width_of(&ops[i]) * self.table.real_bytes
            own = self.values_at + member * self.values_bytes + self.places[i]
            ops[i].y = <void*>(<uintptr_t>own - member * self.room * row_bytes)
            if self.holder_of(i) != i:
                ops[i].y = ops[self.holder_of(i)].y

    cdef void copy_to(self, int member) noexcept nogil:
        """Gives this member ops of its own, which read each other."""
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Read* reads = self.reads + member * self.n_reads
        cdef Py_ssize_t i
        memcpy(ops, self.ops, self.n_ops * sizeof(Op))
        memcpy(reads, self.reads, self.n_reads * sizeof(Read))
        for i in range(self.n_ops):
            ops[i].reads = reads + (self.ops[i].reads - self.reads)
            ops[i].drawn = self.passes + member
            ops[i].workspace = self.workspaces + member * self.workspace_bytes
            if ops[i].within != NULL:
                ops[i].within = ops + (ops[i].within - self.ops)
        if not self.trains:
            self.place_values(member)
        for i in range(self.n_reads):
            if reads[i].maker != NULL:
                reads[i].maker = ops + (reads[i].maker - self.ops)
                reads[i].x = reads[i].maker.y
            if reads[i].next != NULL:
                reads[i].next = reads + (reads[i].next - self.reads)
        for i in range(self.n_feeds):
            if self.feed_reads[i] != NULL:
                self.feed_reads[member * self.n_feeds + i] = reads + (self.feed_reads[i] - self.reads)

    cdef bint adds_up(self) noexcept nogil:
        """Whether gradients are added up from those of several chunks, or of several ops."""
        cdef Py_ssize_t i
        if not self.trains:
            return False
        for i in range(self.n_ops):
            if self.earlier_user[i] >= 0 and self.is_trained[i]:
                return True
        if self.slices > 1:
            return (self.rows + self.slices - 1) // self.slices > self.room or self.unsliced_rows() > self.whole_limit
        return self.rows > self.whole_limit


cdef const OpKind* kind_in(const KernelTable* table, spec) except NULL:
    if spec.calls is not None:
        return &PYTHON
    return <const OpKind*>find(table.ops, sizeof(OpKind), spec.kind)


cdef int set_kind(Op* op, const KernelTable* table, spec) except -1:
    """Tells an op what its description says of it alone."""
    cdef const OpKind* kind = kind_in(table, spec)
    op.measure = kind.measure
    op.prepare = kind.prepare
    op.forward = kind.forward
    op.to_dz = kind.to_dz
    op.backward = kind.backward
    op.gradient = kind.gradient
    op.x_columns = kind.x_columns
    op.dz_columns = kind.dz_columns
    op.settle = kind.settle
    op.step = kind.step
    op.lines = spec.lines
    op.outputs = spec.outputs
    op.batch_rows = spec.batch_rows
    op.n_variables = copy_sizes(op.variables, OP_VARIABLES, spec, spec.variables)
    copy_sizes(op.sizes, OP_SIZES, spec, spec.sizes)
    copy_numbers(op.options, OP_OPTIONS, spec.kind, spec.options)
    op.activation = <const Activation*>find(table.activations, sizeof(Activation), spec.activation.name)
    if spec.activation.name == "linear" and (
            op.to_dz == (<const OpKind*>find(table.ops, sizeof(OpKind), "activation")).to_dz):
        op.to_dz = NULL
    copy_numbers(op.activation_options, OPTION_NUMBERS, spec.activation.name, spec.activation.options)
    return 0


cdef void* dy_of_maker(const Op* op) noexcept nogil:
    """What an op can have for its dy: that of one whose value it is the first to read, where dx is dy; or NULL."""
    cdef const Read* read
    cdef Py_ssize_t k
    for k in range(op.n_reads):
        read = &op.reads[k]
        if read.maker == NULL or not (read.is_first and read.is_wanted):
            continue
        if op.dx_over_dy and k == 0:
            return <void*>read.maker.dy
        # The other readers of what op reads still want it as it is: nobody may write there.
        if (read.place_in_dy == 0 and read.width == width_of(op) and read.next == NULL and read.maker.to_dz == NULL
                and not read.maker.dx_over_dy):
            return <void*>read.maker.dy
    return NULL


cdef str wanted_of(const Op* op, spec):
    """What a measured op would have to be described by; None: it is."""
    if op.parameter_reals < 0:
        return "sizes that suit its kind"
    if op.parameter_reals != sum(spec.variables):
        return f"{op.parameter_reals} parameters"
    if op.batch_rows != 0 and (op.batch_rows < 0 or op.settle == NULL or op.x_columns != NULL):
        return "one of a kind that remembers states of rows"
    if op.state_reals != spec.states:
        return f"{op.state_reals} numbers of state"
    return None


def first_unsuited(table, specs, inputs):
    """The first op, as its network describes it, that is none of its kind, and what it would have to have.

    A plan knows this of the ops that it runs; in inference these may be fewer, and others.

    Returns
    -------
    (int, str) or None
    """
    cdef const KernelTable* kernels = table_of(table)
    cdef Read* reads
    cdef Op op
    cdef Py_ssize_t k
    widths = list(inputs)
    for number, spec in enumerate(specs):
        if widths[spec.reads[0]] % spec.lines:
            return number, f"lines that the {widths[spec.reads[0]]} numbers that it reads make up"
        memset(&op, 0, sizeof(Op))
        set_kind(&op, kernels, spec)
        reads = <Read*>room_for(len(spec.reads), sizeof(Read))
        for k in range(len(spec.reads)):
            reads[k].width = widths[spec.reads[k]]
        op.n_reads, op.reads, op.rows = len(spec.reads), reads, ROW_STEP
        op.inputs = reads[0].width // op.lines
        op.measure(&op)
        free(reads)
        wanted = wanted_of(&op, spec)
        if wanted is not None:
            return number, wanted
        widths.append(spec.lines * spec.outputs)
    return None


cdef inline Py_ssize_t rows_within(Py_ssize_t budget, Py_ssize_t bytes, Py_ssize_t step,
                                   Py_ssize_t most) noexcept nogil:
    """How many rows of so many bytes a budget has room for: `step` at least, and a multiple of it."""
    return max(step, min(most, budget // max(bytes, <Py_ssize_t>1) // step * step))


cdef inline Py_ssize_t width_of(const Op* op) noexcept nogil:
    """Reals of a row of y."""
    return op.lines * op.outputs


cdef void* room_for(Py_ssize_t count, size_t size) except NULL:
    """Zeros for so many of that size, and one more."""
    cdef void* room = calloc(count + 1, size)
    if room == NULL:
        raise MemoryError()
    return room


cdef Py_ssize_t copy_sizes(Py_ssize_t* to, Py_ssize_t room, spec, given) except -1:
    """The sizes of an op, if there are no more than fit; returns how many."""
    cdef Py_ssize_t i
    if len(given) > room:
        raise ValueError(f"specs: got {spec}, expected at most {room} sizes of a kind")
    for i in range(len(given)):
        to[i] = given[i]
    return len(given)
