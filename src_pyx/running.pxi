# Running a plan: what each member of a team does with its rows and with its pieces of the parameters.

# One call's work, as all members see it.
cdef struct Job:
    const char** x               # each input's data
    const char** y               # each output's targets, or NULL
    const char** dy              # each output's gradient, from which a kept batch starts
    char** out                   # each output's predictions
    char** dx                    # each input's gradient, some of which may be NULL; or NULL
    uint64_t seed                # of the pass over the data ...
    uint64_t stream              # ... and its stream; 0: the ops act as in inference
    const int64_t* order         # rows in the order of training; NULL: as they are
    Py_ssize_t first
    Py_ssize_t last
    Py_ssize_t batch_size
    double seconds
    double until
    double loss
    Sums* sums                   # NULL: nobody wants them
    bint stop
    fw_shared[LINE] interrupted  # 1: by a signal's handler or by what an op called, whose exception is pending
    fw_shared[LINE] taken        # chunks that members have taken on ...
    fw_shared[LINE] merged       # ... and whose sums are in the plan's


cdef class Runner(Layout):
    """Runs the ops, batch by batch."""

    cdef Address state, update_options
    cdef fw_shared[LINE] allowed        # threads of the budget that are granted for now
    cdef double grain
    cdef Py_ssize_t n_loss_ops          # how many ops the losses need; the others are for predictions alone
    cdef double[MAX_SLICES] slice_loss
    cdef bint has_losses
    cdef double penalty_now             # of the parameters that a batch meets
    cdef Meter meter
    cdef const Update* update
    cdef Job job
    cdef double next_look               # for signals
    cdef Contest contest
    cdef ModelLock lock

    # ---- how the work is divided -------------------------------------------------------------------

    @cython.final
    cdef Py_ssize_t rows_at_a_time(self, Py_ssize_t rows) noexcept nogil:
        """Of a batch, or in inference of all there are: it decides how ops go about them."""
        cdef Py_ssize_t slices
        if not self.trains:
            return min(rows, self.chunk_limit)
        slices = self.slices_of(rows)
        if slices == 1:
            return self.whole_rows(rows)
        return min((rows + slices - 1) // slices, self.chunk_limit)

    @cython.final
    cdef Py_ssize_t whole_rows(self, Py_ssize_t rows) noexcept nogil:
        """Of so many rows of a whole batch, those that go through at a time."""
        # Never more, though there may be room: some kernels' sums depend on where chunks begin.
        return rows if self.knows_all_rows else min(rows, self.whole_limit)

    @cython.final
    cdef int team_for(self, double work, Py_ssize_t units, int threads) noexcept nogil:
        """Members that `work` multiply-adds in so many units repay, of `threads` that are allowed."""
        cdef Py_ssize_t members = min(<Py_ssize_t>threads, units)
        if self.grain > 0.0 and work < self.grain * members:
            members = <Py_ssize_t>(work / self.grain)
        return <int>max(members, <Py_ssize_t>1)

    @cython.final
    cdef Py_ssize_t share_of(self, Py_ssize_t rows, int member, int members) noexcept nogil:
        """Where the rows of a member begin; those of the last one end at share_of(rows, members, members)."""
        if member == 0:
            return 0
        if member == members:
            return rows
        return min(rows, (rows * member // members + self.row_step // 2) // self.row_step * self.row_step)

    @cython.final
    cdef Pieces pieces_of(self, Py_ssize_t i, int member, Team* team) noexcept nogil:
        """The pieces of op i that are this member's."""
        return Pieces(self.first_piece(i, member, team.members), self.first_piece(i, member + 1, team.members))

    @cython.final
    cdef Py_ssize_t first_piece(self, Py_ssize_t i, int member, int members) noexcept nogil:
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t share
        # Without a division at both ends, which a step of one row would notice.
        if member == 0 or op.pieces == 0:
            return 0
        if member == members:
            return op.pieces
        share = max(<Py_ssize_t>0, self.n_parameters * member // members - self.offsets[i])
        return min((share + op.piece_parameters - 1) // op.piece_parameters, op.pieces)

    @cython.final
    cdef Total total_of(self, char* gradients, Py_ssize_t share) noexcept nogil:
        cdef Py_ssize_t size = self.n_parameters * self.table.real_bytes
        cdef Total total = Total(gradients, NULL, NULL)
        if self.chunks != NULL:
            total.excess = self.chunks + 2 * share * size
            total.chunk = total.excess + size
        return total

    # ---- rows --------------------------------------------------------------------------------------

    @cython.final
    cdef void load(self, int member, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Rows [first, ...) of the data, in training in its order, become rows [begin, end) of the arena."""
        cdef const Job* job = &self.job
        cdef Py_ssize_t bytes = self.table.real_bytes, row_bytes, i
        self.passes[member] = Pass(job.seed, job.stream, first - begin)
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].width * bytes
            if job.order == NULL:
                self.give_x(member, i, <const char*>(<uintptr_t>job.x[i] + (first - begin) * row_bytes))
            else:
                self.give_x(member, i, self.feeds[i].rows)
                gather(self.feeds[i].rows + begin * row_bytes, job.x[i], row_bytes, job.order, first,
                       first + end - begin, job.last)
        if job.y == NULL:
            return
        for i in range(self.n_heads):
            row_bytes = self.heads[i].target_bytes
            if job.order != NULL:
                gather(self.heads[i].targets + begin * row_bytes, job.y[i], row_bytes, job.order, first,
                       first + end - begin, job.last)
            else:
                memcpy(self.heads[i].targets + begin * row_bytes, job.y[i] + first * row_bytes,
                       (end - begin) * row_bytes)

    cdef inline void give_x(self, int member, Py_ssize_t feed, const char* x) noexcept nogil:
        """Has this member's ops read the feed at x."""
        cdef Read* read = self.feed_reads[member * self.n_feeds + feed]
        # All readers of a feed read it at one place.
        while read != NULL and read.x != x:
            read.x = x
            read = <Read*>read.next

    @cython.final
    cdef void run_forward(self, Op* ops, Py_ssize_t begin_op, Py_ssize_t end_op, Py_ssize_t begin,
                          Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(begin_op, end_op):
            if ops[i].forward != NULL:
                ops[i].forward(&ops[i], begin, end)

    @cython.final
    cdef void measure_loss(self, Op* ops, Py_ssize_t begin, Py_ssize_t end, double scale,
                           bint with_gradient) noexcept nogil:
        """The loss of each line and, times scale, its gradient by what backward starts from."""
        cdef const Head* head
        cdef Op* op
        cdef Py_ssize_t row_bytes, i
        cdef char* dy
        for i in range(self.n_heads):
            head = &self.heads[i]
            op = &ops[head.loss_op]
            row_bytes = width_of(op) * self.table.real_bytes
            dy = <char*>op.dy + begin * row_bytes if with_gradient and op.dy != NULL else NULL
            head.loss.compute(head.values + begin * head.lines, dy, <char*>op.y + begin * row_bytes,
                              head.targets + begin * head.target_bytes, (end - begin) * head.lines,
                              head.columns, head.options, scale * head.weight * head.share)
            if dy != NULL and op.to_dz != NULL:
                op.to_dz(op, begin, end)

    @cython.final
    cdef double loss_of(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The sum of these rows' losses, with the weights of the heads."""
        cdef double total = 0.0
        cdef Py_ssize_t i
        for i in range(self.n_heads):
            total += self.heads[i].weight * losses_of(&self.heads[i], begin, end)
        return total

    @cython.final
    cdef void run_backward(self, Op* ops, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        if ops[i].wants_dx:
            ops[i].backward(&ops[i], begin, end)

    @cython.final
    cdef void measure_metrics(self, Op* ops, double* state, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Adds up in `state`, which is a tally's or a part's, what the meter is to know of these rows."""
        cdef const Measure* measure
        cdef const Head* head
        cdef const Op* op
        cdef Py_ssize_t i
        if self.job.sums == NULL or self.meter.sums == 0:
            return
        for i in range(self.meter.heads):
            state[i] += losses_of(&self.heads[i], begin, end)
        if self.meter.count > 0:
            self.run_forward(ops, self.n_loss_ops, self.n_ops, begin, end)
        for i in range(self.meter.count):
            measure = &self.meter.measures[i]
            head = &self.heads[measure.head]
            op = &ops[head.op]
            measure.metric.update(state + measure.at,
                                  <char*>op.y + begin * width_of(op) * self.table.real_bytes,
                                  head.targets + begin * head.target_bytes, (end - begin) * head.lines,
                                  head.columns, measure.options)

    # ---- ops that must know all rows ---------------------------------------------------------------

    @cython.final
    cdef bint looks_at_batch(self, const Op* op) noexcept nogil:
        return op.x_columns != NULL and op.is_trained and op.drawn.stream != 0

    @cython.final
    cdef Py_ssize_t share_of_columns(self, const Op* op, int member, int members) noexcept nogil:
        """Where the columns of a member begin, with a cache line."""
        return op.outputs if member == members else op.outputs * member // members // LINE_REALS * LINE_REALS

    @cython.final
    cdef void run_columns(self, op_columns function, const Op* op, Py_ssize_t rows, int member,
                          Team* team) noexcept nogil:
        """This member's columns, once all members have come so far; all go on together."""
        cdef Py_ssize_t begin = self.share_of_columns(op, member, team.members)
        cdef Py_ssize_t end = self.share_of_columns(op, member + 1, team.members)
        meet(team)
        if begin < end and not self.is_interrupted():
            function(op, rows, begin, end)
        meet(team)

    @cython.final
    cdef void run_alone(self, op_rows function, const Op* op, Py_ssize_t rows, int member,
                        Team* team) noexcept nogil:
        """All rows by the caller's thread, which alone may call Python, once all members have come so far."""
        meet(team)
        if member == 0:
            function(op, 0, rows)
        meet(team)

    @cython.final
    cdef void run_stages(self, Op* ops, int member, Team* team, Py_ssize_t end_op, Py_ssize_t rows,
                         Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Forward through ops, some of which look at all rows first.

        Where a signal ends the call members go on to meet, and do nothing else.
        """
        cdef Py_ssize_t i, done, upto
        for i in range(end_op):
            if ops[i].callee != NULL:
                self.run_alone(ops[i].forward, &ops[i], rows, member, team)
                continue
            if self.looks_at_batch(&ops[i]):
                self.run_columns(ops[i].x_columns, &ops[i], rows, member, team)
            done = begin
            while done < end and not self.is_interrupted():
                upto = min(end, done + LOOK_ROWS)
                ops[i].forward(&ops[i], done, upto)
                if member == 0 and done > begin:
                    self.look_for_signals()
                done = upto

    @cython.final
    cdef void run_stages_back(self, Op* ops, int member, Team* team, Py_ssize_t end_op, Py_ssize_t rows,
                              Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t i, done, upto
        for i in range(end_op - 1, -1, -1):
            if ops[i].callee != NULL:
                if ops[i].trains:
                    self.run_alone(ops[i].backward, &ops[i], rows, member, team)
                continue
            if self.looks_at_batch(&ops[i]) and ops[i].trains:
                self.run_columns(ops[i].dz_columns, &ops[i], rows, member, team)
            done = begin
            while done < end and not self.is_interrupted():
                upto = min(end, done + LOOK_ROWS)
                self.run_backward(ops, i, done, upto)
                if member == 0 and done > begin:
                    self.look_for_signals()
                done = upto

    @cython.final
    cdef void settle(self, Op* ops, int member, Team* team) noexcept nogil:
        """Moves the state of ops by what they found in the batch."""
        cdef Py_ssize_t i, begin, end
        for i in range(self.n_ops):
            if self.looks_at_batch(&ops[i]):
                begin = self.share_of_columns(&ops[i], member, team.members)
                end = self.share_of_columns(&ops[i], member + 1, team.members)
                if begin < end:
                    ops[i].settle(&ops[i], 0, begin, end)

    # ---- one batch ---------------------------------------------------------------------------------

    @cython.final
    cdef double run_rows(self, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                         Py_ssize_t* left) noexcept nogil:
        """All that a batch's rows have to do. Returns its mean loss to every member.

        What is left for `renew` are the gradients of the last `left` rows, which are in the arena, or
        (0) the sum of the slices' gradients.
        """
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t slices = self.slices_of(rows)
        if slices > 1:
            left[0] = 0
            return self.run_slices(ops, member, team, first, rows, slices)
        return self.run_whole(ops, member, team, first, rows, left)

    @cython.final
    cdef double run_whole(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                          Py_ssize_t* left) noexcept nogil:
        cdef Py_ssize_t done = 0, chunk, begin, end, i
        cdef Pieces own
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef double total = 0.0
        while True:
            chunk = self.whole_rows(rows - done)
            begin = self.share_of(chunk, member, team.members)
            end = self.share_of(chunk, member + 1, team.members)
            self.load(member, first + done + begin, begin, end)
            if self.knows_all_rows:
                self.run_stages(ops, member, team, self.n_loss_ops, chunk, begin, end)
                if begin < end:
                    self.measure_loss(ops, begin, end, 1.0 / rows, True)
                self.run_stages_back(ops, member, team, self.n_loss_ops, chunk, begin, end)
                self.give_dx(first + done + begin, begin, end)
            elif begin < end:
                self.run_forward(ops, 0, self.n_loss_ops, begin, end)
                self.measure_loss(ops, begin, end, 1.0 / rows, True)
                for i in range(self.n_loss_ops - 1, -1, -1):
                    self.run_backward(ops, i, begin, end)
                self.give_dx(first + done + begin, begin, end)
            if member == 0 and done + chunk < rows:
                self.look_for_signals()
            if member == 0 and done == 0:
                self.penalty_now = self.penalty()
            meet(team)
            if self.is_interrupted():
                return 0.0
            total += self.loss_of(0, chunk)
            if member == 0 and self.job.sums != NULL:
                self.measure_metrics(ops, self.job.sums.apart, 0, chunk)
            done += chunk
            if done == rows:
                left[0] = chunk
                return total / rows + self.penalty_now
            for i in range(self.n_loss_ops):
                own = self.pieces_of(i, member, team)
                if own.begin < own.end and self.is_trained[i]:
                    self.add_gradient(&ops[i], i, &sums, 0, chunk, own, done == chunk, False)
            meet(team)

    @cython.final
    cdef double run_slices(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                           Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t part, last_part = slices * (member + 1) // team.members
        cdef double total = 0.0
        for part in range(slices * member // team.members, last_part):
            self.run_slice(ops, member, part, first, rows, slices)
        if member == 0:
            self.penalty_now = self.penalty()
        meet(team)
        if self.is_interrupted():
            return 0.0
        for part in range(slices):
            total += self.slice_loss[part]
            if member == 0 and self.job.sums != NULL:
                merge_part(&self.meter, self.job.sums.apart, part)
        return total / rows + self.penalty_now

    @cython.final
    cdef void run_slice(self, Op* ops, int member, Py_ssize_t part, Py_ssize_t first, Py_ssize_t rows,
                        Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t done = rows * part // slices, last = rows * (part + 1) // slices
        cdef Py_ssize_t begin = member * self.room, end, i
        cdef Total sums = self.total_of(self.slice_gradients + part * self.n_parameters * self.table.real_bytes, member)
        cdef bint is_first = True, is_last
        cdef double total = 0.0
        forget_part(&self.meter, part)
        while done < last and not self.is_interrupted():
            end = begin + min(self.room, last - done)
            is_last = done + end - begin == last
            self.load(member, first + done, begin, end)
            self.run_forward(ops, 0, self.n_loss_ops, begin, end)
            self.measure_loss(ops, begin, end, 1.0 / rows, True)
            total += self.loss_of(begin, end)
            self.measure_metrics(ops, part_of(&self.meter, part), begin, end)
            for i in range(self.n_loss_ops - 1, -1, -1):
                self.run_backward(ops, i, begin, end)
                if self.is_trained[i]:
                    self.add_gradient(&ops[i], i, &sums, begin, end, Pieces(0, ops[i].pieces), is_first, is_last)
            self.give_dx(first + done, begin, end)
            is_first = False
            done += end - begin
            if member == 0 and not is_last:
                self.look_for_signals()
        self.slice_loss[part] = total

    @cython.final
    cdef Pieces places_of(self, Py_ssize_t i, Pieces own) noexcept nogil:
        """Where these pieces of op i's parameters begin and end in the flat vectors."""
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t end = op.parameter_reals if own.end == op.pieces else own.end * op.piece_parameters
        return Pieces(self.offsets[i] + own.begin * op.piece_parameters, self.offsets[i] + end)

    @cython.final
    cdef void add_gradient(self, Op* op, Py_ssize_t i, const Total* sums, Py_ssize_t begin, Py_ssize_t end,
                           Pieces own, bint is_first, bint is_last) noexcept nogil:
        """The gradient of op i from one chunk, rows [begin, end), of a batch that may have more.

        A chunk's is one chain over its rows; chunks are added with compensation, since chains of any
        length would lose any number of digits. So are several ops' that have the same parameters, the
        last op's first, as backward comes by them.
        """
        cdef Py_ssize_t bytes = self.table.real_bytes, offset = self.offsets[i] * bytes
        cdef Pieces places
        is_first = is_first and self.is_last_user[i]
        is_last = is_last and self.earlier_user[i] < 0
        op.gradients = (sums.gradients if is_first else sums.chunk) + offset
        op.gradient(op, begin, end, own.begin, own.end)
        if is_first and is_last:
            return
        places = self.places_of(i, own)
        if is_first:
            memset(sums.excess + places.begin * bytes, 0, (places.end - places.begin) * bytes)
        else:
            self.table.add_part(sums.gradients, sums.excess, sums.chunk, places.begin, places.end, is_last)

    cdef inline bint is_interrupted(self) noexcept nogil:
        return fw_read(&self.job.interrupted[0]) != 0

    @cython.final
    cdef void look_for_signals(self) noexcept nogil:
        """Now and then, by the caller's thread: says so where a signal's handler ends the call."""
        cdef long forks
        if self.is_interrupted() or fw_seconds() < self.next_look:
            return
        with gil:
            forks = FORKS
            if check_signals() == 0 and forks != FORKS:
                PyErr_SetString(RuntimeError, "a signal's handler has forked in the middle of a call: this "
                                "process has not the threads that it was shared with")
            if PyErr_Occurred() != NULL:
                fw_exchange(&self.job.interrupted[0], 1)
        self.next_look = fw_seconds() + SIGNAL_SECONDS

    @cython.final
    cdef void give_dx(self, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Gradients by rows [begin, end) of the arena become those by rows [first, ...) of the data."""
        cdef Py_ssize_t row_bytes, i
        if self.job.dx == NULL:
            return
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].width * self.table.real_bytes
            if self.job.dx[i] != NULL:
                memcpy(self.job.dx[i] + first * row_bytes, self.feeds[i].dx + begin * row_bytes,
                       (end - begin) * row_bytes)

    @cython.final
    cdef void renew(self, int member, Team* team, Py_ssize_t rows, Py_ssize_t left, const double* numbers,
                    bint prepare) noexcept nogil:
        """This member's pieces of the parameters: gradient, update (unless numbers is NULL), preparation."""
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* op
        cdef Pieces own, group, places
        cdef Py_ssize_t slices = self.slices_of(rows), at_once = self.rows_at_a_time(rows), i
        for i in range(self.n_ops):
            if not self.is_last_user[i] or not self.is_trained[i]:
                continue
            op = &ops[i]
            own = self.pieces_of(i, member, team)
            while own.begin < own.end:
                group = Pieces(own.begin, group_end(op, own))
                places = self.places_of(i, group)
                if left == rows and left <= WHOLE_ROWS and self.earlier_user[i] < 0:
                    op.gradients = self.gradients.at + self.offsets[i] * self.table.real_bytes
                    op.gradient(op, 0, left, group.begin, group.end)
                elif left > 0:
                    self.add_gradients(ops, i, rows, left, group)
                elif slices > 1:
                    self.table.sum_parts(self.gradients.at, self.slice_gradients, self.n_parameters,
                                         places.begin, places.end, slices)
                if self.n_penalties > 0:
                    self.penalise(places)
                if numbers != NULL:
                    self.update.apply(self.parameters.at, self.gradients.at, self.state.at,
                                      self.n_parameters, places.begin, places.end, numbers)
                elif member == 0 and left > WHOLE_ROWS:
                    self.look_for_signals()
                if self.is_interrupted():
                    return
                if prepare:
                    self.prepare_users(ops, i, at_once, group)
                own.begin = group.end

    @cython.final
    cdef void add_gradients(self, Op* ops, Py_ssize_t user, Py_ssize_t rows, Py_ssize_t left,
                            Pieces group) noexcept nogil:
        """The gradient of pieces that several ops have, or from several chunks of the last `left` rows."""
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef Py_ssize_t done, upto
        while user >= 0:
            done = 0
            while done < left:
                upto = min(left, done + WHOLE_ROWS)
                self.add_gradient(&ops[user], user, &sums, done, upto,
                                  group, done == 0 and left == rows, upto == left)
                done = upto
            user = self.earlier_user[user]

    cdef inline void prepare_users(self, Op* ops, Py_ssize_t user, Py_ssize_t rows, Pieces group) noexcept nogil:
        """What all ops that have these pieces make of them."""
        while user >= 0:
            if ops[user].prepare != NULL:
                ops[user].prepare(&ops[user], rows, group.begin, group.end)
            user = self.earlier_user[user]

    @cython.final
    cdef void penalise(self, Pieces places) noexcept nogil:
        """The gradient of what these parameters cost is added to theirs."""
        cdef Py_ssize_t i, begin, end
        for i in range(self.n_penalties):
            begin = max(places.begin, self.penalties[i].begin)
            end = min(places.end, self.penalties[i].end)
            if begin < end:
                self.table.penalise(self.gradients.at, self.parameters.at, begin, end, self.penalties[i].l1,
                                    self.penalties[i].l2)

    @cython.final
    cdef void prepare(self, int member, Team* team, Py_ssize_t rows) noexcept nogil:
        """What depends on the parameters alone, before the first rows."""
        cdef Op* op
        cdef Pieces own
        cdef Py_ssize_t i
        for i in range(self.n_ops):
            op = &self.ops[member * self.n_ops + i]
            own = self.pieces_of(i, member, team)
            if op.prepare != NULL and (own.begin < own.end or (op.pieces == 0 and member == 0)):
                op.prepare(op, rows, own.begin, own.end)
        meet(team)

    # ---- what each member does ---------------------------------------------------------------------

    @cython.final
    cdef void train_share(self, int member, Team* team) noexcept nogil:
        cdef Job* job = &self.job
        cdef double[UPDATE_NUMBERS] numbers
        cdef Py_ssize_t first = job.first, rows, left
        cdef double loss
        cdef bint last = False
        cdef int unchecked = 1, patience = 1
        memcpy(numbers, self.update_options.at, self.update_options.view.len)
        self.prepare(member, team, self.rows_at_a_time(job.batch_size))
        while not last:
            rows = min(job.batch_size, job.last - first)
            if member == 0 and unchecked == patience:
                # Looking at the clock costs as much as a small step: look ever less often, as long as
                # no more than a sixteenth of the time passes between two looks.
                unchecked = 0
                job.stop = fw_seconds() >= job.until or fw_read(&self.lock.waiting[0]) != 0
                if patience < 64 and fw_seconds() < job.until - job.seconds * 15 / 16:
                    patience *= 2
            unchecked += 1
            loss = self.run_rows(member, team, first, rows, &left)
            if self.is_interrupted() or not isfinite(loss):
                break
            first += rows
            # Known before the update, since what it would prepare for a next step may cost as much.
            last = job.stop or first == job.last
            if self.update.advance != NULL:
                self.update.advance(numbers)
            if self.knows_all_rows:
                self.settle(self.ops + member * self.n_ops, member, team)
            self.renew(member, team, rows, left, numbers, not last)
            if member == 0 and job.sums != NULL:
                job.sums.loss += loss * rows
                job.sums.rows += rows
            meet(team)
        if member == 0:
            memcpy(self.update_options.at, numbers, self.update_options.view.len)
            job.first = first
            job.loss = loss

    @cython.final
    cdef void gradient_share(self, int member, Team* team) noexcept nogil:
        cdef Py_ssize_t left, rows = self.job.last
        cdef double loss
        self.prepare(member, team, self.rows_at_a_time(rows))
        loss = self.run_rows(member, team, 0, rows, &left)
        if self.is_interrupted():
            return
        self.renew(member, team, rows, left, NULL, False)
        if member == 0:
            self.job.loss = loss

    @cython.final
    cdef void infer_share(self, int member, Team* team) noexcept nogil:
        """Chunk by chunk: predictions where `out` is given, loss and metrics where y is."""
        cdef Job* job = &self.job
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t begin = member * self.room, first, rows
        cdef long chunk
        self.prepare(member, team, self.rows_at_a_time(job.last))
        while True:
            chunk = fw_add(&job.taken[0], 1)
            first = job.first + chunk * self.room
            if first >= job.last:
                break
            rows = min(self.room, job.last - first)
            self.load(member, first, begin, begin + rows)
            if job.y != NULL:
                self.run_forward(ops, 0, self.n_loss_ops, begin, begin + rows)
                self.measure_loss(ops, begin, begin + rows, 1.0, False)
                forget_part(&self.meter, member)
                self.measure_metrics(ops, part_of(&self.meter, member), begin, begin + rows)
                wait_until(&job.merged[0], chunk, team.spins)
                if job.sums != NULL:
                    job.sums.loss += self.loss_of(begin, begin + rows)
                    job.sums.rows += rows
                    merge_part(&self.meter, job.sums.apart, member)
                fw_add(&job.merged[0], 1)
            else:
                self.run_forward(ops, 0, self.n_ops, begin, begin + rows)
                self.give_out(ops, first, begin, begin + rows)
            if first + rows == job.last or fw_seconds() >= job.until or fw_read(&self.lock.waiting[0]) != 0:
                break
            if self.is_interrupted():       # by what an op has called
                break

    @cython.final
    cdef void forward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t rows = self.job.last, upto, i
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members), row_bytes
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        self.prepare(member, team, self.rows_at_a_time(rows))
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].width * self.table.real_bytes
            memcpy(self.feeds[i].rows + begin * row_bytes, self.job.x[i] + begin * row_bytes,
                   (end - begin) * row_bytes)
            self.give_x(member, i, self.feeds[i].rows)
        self.passes[member] = Pass(self.job.seed, self.job.stream, 0)
        if self.knows_all_rows:
            self.run_stages(ops, member, team, self.n_ops, rows, begin, end)
            if not self.is_interrupted():
                self.settle(ops, member, team)
            begin = end
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            self.run_forward(ops, 0, self.n_ops, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        begin = self.share_of(rows, member, team.members)
        self.give_out(ops, begin, begin, end)

    @cython.final
    cdef void give_out(self, const Op* ops, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Outputs of rows [begin, end) of the arena become those of rows [first, ...) of the data."""
        cdef const Op* op
        cdef Py_ssize_t row_bytes, i
        for i in range(self.n_heads):
            op = &ops[self.heads[i].op]
            row_bytes = width_of(op) * self.table.real_bytes
            memcpy(self.job.out[i] + first * row_bytes, <char*>op.y + begin * row_bytes, (end - begin) * row_bytes)

    @cython.final
    cdef void backward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t rows = self.job.last, upto, i
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members)
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        for i in range(self.n_feeds):
            self.give_x(member, i, self.feeds[i].rows)
        self.passes[member] = Pass(self.job.seed, self.job.stream, 0)
        if self.knows_all_rows:
            self.take_dy(ops, begin, end)
            self.run_stages_back(ops, member, team, self.n_ops, rows, begin, end)
            self.give_dx(begin, begin, end)
            begin = end
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            self.take_dy(ops, begin, upto)
            for i in range(self.n_ops - 1, -1, -1):
                self.run_backward(ops, i, begin, upto)
            self.give_dx(begin, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        meet(team)
        if not self.is_interrupted():
            self.renew(member, team, rows, rows, NULL, False)

    @cython.final
    cdef void take_dy(self, Op* ops, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The caller's gradients by these rows of the outputs, from which a kept batch goes back."""
        cdef Op* op
        cdef Py_ssize_t row_bytes, i
        for i in range(self.n_heads):
            op = &ops[self.heads[i].op]
            if op.dy == NULL or begin == end:
                continue
            row_bytes = width_of(op) * self.table.real_bytes
            memcpy(<char*>op.dy + begin * row_bytes, self.job.dy[i] + begin * row_bytes, (end - begin) * row_bytes)
            if op.to_dz != NULL:
                op.to_dz(op, begin, end)


cdef inline Py_ssize_t group_end(const Op* op, Pieces own) noexcept nogil:
    """Where the first group of these pieces ends."""
    # Without a division for small networks.
    if (own.end - own.begin) * op.piece_parameters <= GROUP_PARAMETERS:
        return own.end
    return own.begin + max(<Py_ssize_t>1, GROUP_PARAMETERS // op.piece_parameters)
