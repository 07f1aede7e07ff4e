# The rows of a plan: how they are divided among the members of a team, and how they go through the ops.

# One call's work, as all members see it.
cdef struct Job:
    const char** x               # each input's data ...
    const Py_ssize_t* item_bytes # ... and what a number of it takes
    const char** y               # each output's targets, or NULL
    const double** weights       # each output's weights of rows, some of which may be NULL; or NULL ...
    const Py_ssize_t* weight_bytes   # ... and what those of a row take: one, or one for each line
    const char** dy              # each output's gradient, from which a kept batch starts
    char** out                   # each output's predictions; beside y some may be NULL, or all
    const char** told            # beside y and out: of each line of an output with a mask, whether it counts
    char** dx                    # each input's gradient, some of which may be NULL; or NULL
    uint64_t seed                # of the pass over the data ...
    uint64_t stream              # ... and its stream; 0: the ops act as in inference
    const int64_t* order         # rows in the order of training; NULL: as they are
    Py_ssize_t first
    Py_ssize_t last
    Py_ssize_t before            # rows of the pass that came before these data: random numbers follow the pass
    Py_ssize_t batch_size
    double seconds
    double until
    double loss
    Sums* sums                   # NULL: nobody wants them
    bint stop
    fw_shared[LINE] interrupted  # 1: by a signal's handler or by what an op called, whose exception is pending
    fw_shared[LINE] taken        # chunks that members have taken on ...
    fw_shared[LINE] merged       # ... and whose sums are in the plan's


cdef class Rows(Layout):
    """Takes rows through the ops, forward and back."""

    cdef Py_ssize_t n_loss_ops          # how many ops the losses need; the others are for predictions alone
    cdef double grain
    cdef Meter meter
    cdef Job job
    cdef double next_look               # for signals

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
        cdef double share
        # Without a division at both ends, which a step of one row would notice.
        if member == 0 or op.pieces == 0:
            return 0
        if member == members or self.is_uneven[i]:
            return op.pieces
        share = self.work * member / members - self.work_before[i]
        return 0 if share <= 0.0 else <Py_ssize_t>min(share / self.piece_work[i] + 0.5, <double>op.pieces)

    @cython.final
    cdef Total total_of(self, char* gradients, Py_ssize_t share) noexcept nogil:
        cdef Py_ssize_t size = self.n_parameters * self.table.real_bytes
        cdef Total total = Total(gradients, NULL, NULL)
        if self.chunks != NULL:
            total.excess = self.chunks + 2 * share * size
            total.chunk = total.excess + size
        return total

    cdef inline bint is_interrupted(self) noexcept nogil:
        return fw_read(&self.job.interrupted[0]) != 0

    @cython.final
    cdef void look_for_signals(self) noexcept nogil:
        """Now and then, by the caller's thread: says so where a signal's handler, or the thread, ends the call."""
        cdef long forks
        if self.is_interrupted() or fw_seconds() < self.next_look:
            return
        with gil:
            forks = FORKS
            if check_signals() == 0 and forks != FORKS:
                PyErr_SetString(RuntimeError, "a signal's handler has forked in the middle of a call: this "
                                "process has not the threads that it was shared with")
            if PyErr_Occurred() == NULL and (raised := raised_by_thread()) is not None:
                PyErr_SetObject(type(raised), raised)
            if PyErr_Occurred() != NULL:
                fw_exchange(&self.job.interrupted[0], 1)
        self.next_look = fw_seconds() + SIGNAL_SECONDS

    # ---- rows --------------------------------------------------------------------------------------

    @cython.final
    cdef void load(self, int member, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Rows [first, ...) of the data, in training in its order, become rows [begin, end) of the arena."""
        cdef const Job* job = &self.job
        cdef Py_ssize_t row_bytes, i
        self.passes[member] = Pass(job.seed, job.stream, job.before + first - begin)
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].row_bytes
            if comes_as_bytes(&self.feeds[i], job.item_bytes[i]):
                self.load_bytes(member, i, first, begin, end)
            elif job.order == NULL:
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
            if self.has_weights(i):
                self.load_weights(i, first, begin, end)

    cdef inline bint has_weights(self, Py_ssize_t head) noexcept nogil:
        return self.job.weights != NULL and self.job.weights[head] != NULL

    cdef inline const double* weights_of(self, Py_ssize_t head, Py_ssize_t row) noexcept nogil:
        """The weight of a row of the pass, or those of its lines."""
        if self.job.order != NULL:
            row = self.job.order[row]
        return self.job.weights[head] + row * (self.job.weight_bytes[head] // <Py_ssize_t>sizeof(double))

    @cython.final
    cdef void load_weights(self, Py_ssize_t i, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The same of a head's weights, of which each line gets one."""
        cdef const Head* head = &self.heads[i]
        cdef double* to = head.weights + begin * head.lines
        cdef bint by_lines = self.job.weight_bytes[i] > <Py_ssize_t>sizeof(double)
        cdef const double* weights
        cdef Py_ssize_t row, line
        for row in range(first, first + end - begin):
            weights = self.weights_of(i, row)
            for line in range(head.lines):
                to[line] = weights[line if by_lines else 0]
            to += head.lines

    @cython.final
    cdef void load_bytes(self, int member, Py_ssize_t i, Py_ssize_t first, Py_ssize_t begin,
                         Py_ssize_t end) noexcept nogil:
        """The same of a feed of reals that comes as bytes."""
        cdef const Job* job = &self.job
        cdef const Feed* feed = &self.feeds[i]
        cdef char* to = feed.rows + begin * feed.row_bytes
        self.give_x(member, i, feed.rows)
        if job.order == NULL:
            self.table.widen(to, <const unsigned char*>job.x[i] + first * feed.width, (end - begin) * feed.width)
        else:
            gather_bytes(self.table.widen, to, feed.row_bytes, job.x[i], feed.width, job.order, first,
                         first + end - begin, job.last)

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
    cdef const char* mask_of(self, const Op* ops, const Head* head, Py_ssize_t row) noexcept nogil:
        """What says which lines of a head count, from this row on."""
        cdef const Op* op = &ops[head.mask_op]
        return <const char*>op.y + row * width_of(op) * self.table.real_bytes

    @cython.final
    cdef Py_ssize_t count_told(self, const Op* ops, const Head* head, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """How many lines of these rows count."""
        cdef const char* mask = self.mask_of(ops, head, begin)
        cdef Py_ssize_t line, told = 0
        for line in range((end - begin) * head.lines):
            told += is_told(head, mask, self.table.real_bytes, line)
        return told

    @cython.final
    cdef void share_told(self, const Op* ops, int member, Team* team, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Counts lines of this member's rows, so that all members know those of the batch."""
        cdef Py_ssize_t i
        for i in range(self.n_heads):
            if self.heads[i].mask_op >= 0:
                self.told[member * self.n_heads + i] = self.count_told(ops, &self.heads[i], begin, end)
        meet(team)

    @cython.final
    cdef void weigh_batch(self, const Op* ops, int member, Py_ssize_t first, Py_ssize_t rows,
                          bint masked) noexcept nogil:
        """The mean weights of a batch, of the heads that have a mask or of all others, for this member.

        Each member has its own: all add up all rows, in one order whatever the team.
        """
        cdef Py_ssize_t i
        for i in range(self.n_heads):
            if self.has_weights(i) and (self.heads[i].mask_op >= 0) == masked:
                self.mean_weights[member * self.n_heads + i] = self.mean_weight(ops, i, first, rows)

    @cython.final
    cdef double mean_weight(self, const Op* ops, Py_ssize_t i, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
        """Of the lines that count of these rows of the pass; 0 where none does."""
        cdef const Head* head = &self.heads[i]
        cdef bint by_lines = self.job.weight_bytes[i] > <Py_ssize_t>sizeof(double)
        cdef const char* mask = NULL if head.mask_op < 0 else self.mask_of(ops, head, 0)
        cdef const double* weights
        cdef double total = 0.0
        cdef Py_ssize_t row, line, count = 0
        for row in range(rows):
            weights = self.weights_of(i, first + row)
            for line in range(head.lines if by_lines or mask != NULL else 1):
                if mask == NULL or is_told(head, mask, self.table.real_bytes, row * head.lines + line):
                    total += weights[line if by_lines else 0]
                    count += 1
        return total / count if count > 0 else 0.0

    cdef inline double count_of_batch(self, Py_ssize_t rows) noexcept nogil:
        """What its rows count together: their weights where it has one output, without a mask."""
        if self.n_heads == 1 and self.heads[0].mask_op < 0 and self.has_weights(0):
            return rows * self.mean_weights[0]
        return rows

    @cython.final
    cdef double share_of_line(self, Py_ssize_t head, int members, double rows) noexcept nogil:
        """What a line that counts has in the mean loss of a batch, times its rows."""
        cdef Py_ssize_t told = 0
        cdef int member
        if self.heads[head].mask_op < 0:
            return self.heads[head].share
        for member in range(members):
            told += self.told[member * self.n_heads + head]
        return rows / told if told > 0 else 0.0

    @cython.final
    cdef void measure_told(self, const Op* ops, const Head* head, char* dy, Py_ssize_t begin, Py_ssize_t end,
                           double scale) noexcept nogil:
        """`measure_loss` of a head of which some lines do not count, and cost nothing."""
        cdef Py_ssize_t line_bytes = head.columns * self.table.real_bytes, lines = (end - begin) * head.lines
        cdef Py_ssize_t target_bytes = head.target_bytes // head.lines
        cdef const char* mask = self.mask_of(ops, head, begin)
        cdef const char* y = <const char*>ops[head.loss_op].y + begin * head.lines * line_bytes
        cdef const char* targets = head.targets + begin * head.target_bytes
        cdef double* values = head.values + begin * head.lines
        cdef Lines told = next_told(head, mask, self.table.real_bytes, 0, lines)
        memset(values, 0, lines * sizeof(double))
        if dy != NULL:
            memset(dy, 0, lines * line_bytes)
        while told.begin < lines:
            head.loss.compute(values + told.begin, NULL if dy == NULL else dy + told.begin * line_bytes,
                              y + told.begin * line_bytes, targets + told.begin * target_bytes, told.end - told.begin,
                              head.columns, head.options, scale)
            told = next_told(head, mask, self.table.real_bytes, told.end, lines)

    @cython.final
    cdef void ask_python(self, const Op* ops, Py_ssize_t i, char* dy, Py_ssize_t begin, Py_ssize_t end,
                         double scale) noexcept nogil:
        """`measure_loss` of a head whose loss is Python's."""
        cdef const Head* head = &self.heads[i]
        cdef Py_ssize_t row_bytes = head.lines * head.columns * self.table.real_bytes
        cdef LossCall asked
        asked.head = head
        asked.mask = NULL if head.mask_op < 0 else self.mask_of(ops, head, begin)
        asked.y = <const char*>ops[head.loss_op].y + begin * row_bytes
        asked.targets = head.targets + begin * head.target_bytes
        asked.values = head.values + begin * head.lines
        asked.dy = dy
        asked.lines = (end - begin) * head.lines
        asked.scale, asked.real_bytes, asked.interrupted = scale, self.table.real_bytes, &self.job.interrupted[0]
        if not self.is_interrupted():
            call_loss(&asked)

    @cython.final
    cdef void ask_python_of_batch(self, Op* ops, int member, Team* team, Py_ssize_t rows) noexcept nogil:
        """Losses that are Python's, of all rows by the caller's thread, once all members have come so far."""
        cdef Py_ssize_t i
        cdef double scale
        if self.python_losses is None:
            return
        meet(team)
        for i in range(self.n_heads if member == 0 else 0):
            if self.heads[i].python_loss != NULL:
                scale = 1.0 / rows * self.heads[i].weight * self.share_of_line(i, team.members, rows)
                self.ask_python(ops, i, <char*>ops[self.heads[i].loss_op].dy, 0, rows, scale)
        meet(team)

    @cython.final
    cdef void weigh_lines(self, Py_ssize_t i, int member, char* dy, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Multiplies losses and gradients of a head's lines by their weights, in training by mean weights of 1.

        What has the weight 0 is 0, be it finite or not.
        """
        cdef const Head* head = &self.heads[i]
        cdef double mean = self.mean_weights[member * self.n_heads + i] if self.trains else 1.0, weight
        cdef double* values = head.values + begin * head.lines
        cdef const double* weights = head.weights + begin * head.lines
        cdef Py_ssize_t line
        for line in range((end - begin) * head.lines):
            weight = weights[line] / mean if mean > 0.0 else 0.0
            values[line] = weight * values[line] if weight != 0.0 else 0.0
            if dy == NULL:
                continue
            if self.table.real_bytes == 4:
                scale_reals[float](<float*>dy + line * head.columns, head.columns, <float>weight)
            else:
                scale_reals[double](<double*>dy + line * head.columns, head.columns, weight)

    @cython.final
    cdef void measure_loss(self, Op* ops, int member, Py_ssize_t begin, Py_ssize_t end, double rows,
                           bint with_gradient, int members) noexcept nogil:
        """The loss of each line and its gradient, in the mean of so many rows, by what backward starts from."""
        cdef const Head* head
        cdef Op* op
        cdef Py_ssize_t row_bytes, i
        cdef double scale
        cdef char* dy
        for i in range(self.n_heads):
            head = &self.heads[i]
            op = &ops[head.loss_op]
            scale = 1.0 / rows * head.weight * self.share_of_line(i, members, rows)
            row_bytes = width_of(op) * self.table.real_bytes
            dy = <char*>op.dy + begin * row_bytes if with_gradient and op.dy != NULL else NULL
            if head.python_loss != NULL:
                if not self.trains:     # else it is known already
                    self.ask_python(ops, i, NULL, begin, end, scale)
            elif head.mask_op >= 0:
                self.measure_told(ops, head, dy, begin, end, scale)
            else:
                head.loss.compute(head.values + begin * head.lines, dy, <char*>op.y + begin * row_bytes,
                                  head.targets + begin * head.target_bytes, (end - begin) * head.lines,
                                  head.columns, head.options, scale)
            if self.has_weights(i):
                self.weigh_lines(i, member, dy, begin, end)
            if dy != NULL and op.to_dz != NULL:
                op.to_dz(op, begin, end)

    @cython.final
    cdef double loss_of(self, Py_ssize_t begin, Py_ssize_t end, int members) noexcept nogil:
        """The sum of these rows' losses, with the weights of the heads.

        What lines count of a head that has a mask, or weights, is known of batches alone: in inference they are
        added up apart.
        """
        cdef double total = 0.0
        cdef Py_ssize_t i
        for i in range(self.n_heads):
            if self.counts_by_rows(i):
                total += self.heads[i].weight * self.losses_of(i, begin, end, members)
        return total

    cdef inline bint counts_by_rows(self, Py_ssize_t i) noexcept nogil:
        """Whether each row's loss of a head has the same share in the mean of the rows at hand."""
        return self.trains or (self.heads[i].mask_op < 0 and not self.has_weights(i))

    cdef inline double losses_of(self, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end, int members) noexcept nogil:
        """The sum over rows [begin, end) of a head's losses, each the mean over its lines."""
        cdef const Head* head = &self.heads[i]
        cdef double total = sum_of(head.values + begin * head.lines, (end - begin) * head.lines)
        return total * self.share_of_line(i, members, <double>(end - begin))

    cdef inline double cost_of(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """What ops say that these rows cost beside the loss, added up."""
        cdef double total = 0.0
        cdef Py_ssize_t i
        if self.costs_something:
            for i in range(self.n_ops):
                if self.ops[i].costs_something:
                    total += sum_of(self.ops[i].costs + begin, end - begin)
        return total

    cdef inline void share_costs(self, Op* ops, Py_ssize_t rows) noexcept nogil:
        """Says how much a row of so many counts."""
        cdef Py_ssize_t i
        if self.costs_something:
            for i in range(self.n_ops):
                ops[i].row_share = 1.0 / rows

    @cython.final
    cdef void run_backward(self, Op* ops, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        if ops[i].wants_dx:
            ops[i].backward(&ops[i], begin, end)

    @cython.final
    cdef void measure_metrics(self, Op* ops, int member, double* state, Py_ssize_t first, Py_ssize_t begin,
                              Py_ssize_t end, int members) noexcept nogil:
        """Adds up in `state`, which is a tally's or a part's, what the meter is to know of these rows.

        They are rows [first, ...) of the pass, where their outputs go if somebody wants to see them.
        """
        cdef Py_ssize_t heads = self.meter.heads if self.meter.tells_heads or self.job.weights != NULL else 0, i
        if self.job.sums == NULL or (heads + self.meter.count == 0 and self.job.out == NULL):
            return
        for i in range(heads):
            self.add_losses(ops, i, member, state + HEAD_SUMS * i, begin, end, members)
        if self.meter.count > 0 or self.job.out != NULL:
            self.run_forward(ops, self.n_loss_ops, self.n_ops, begin, end)
        for i in range(self.meter.count):
            self.update_metric(ops, &self.meter.measures[i], state + self.meter.measures[i].at, begin, end)
        if self.job.out != NULL:
            self.give_out(ops, first, begin, end)
            self.give_told(ops, first, begin, end)

    @cython.final
    cdef void add_losses(self, const Op* ops, Py_ssize_t i, int member, double* sums, Py_ssize_t begin,
                         Py_ssize_t end, int members) noexcept nogil:
        """Adds up the losses of a head apart."""
        cdef const Head* head = &self.heads[i]
        cdef double losses, mean = 1.0
        if not self.counts_by_rows(i):
            sums[0] += sum_of(head.values + begin * head.lines, (end - begin) * head.lines)
            sums[1] += self.told_weight(ops, i, begin, end)
            return
        losses = self.losses_of(i, begin, end, members)
        if self.has_weights(i):
            mean = self.mean_weights[member * self.n_heads + i]
            sums[2] += losses
            sums[3] += end - begin
        sums[0] += mean * losses
        sums[1] += mean * (end - begin)

    @cython.final
    cdef double told_weight(self, const Op* ops, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """How much all lines of these rows count."""
        cdef const Head* head = &self.heads[i]
        cdef const char* mask
        cdef double total = 0.0
        cdef Py_ssize_t line
        if not self.has_weights(i):
            return self.count_told(ops, head, begin, end)
        if head.mask_op < 0:
            return sum_of(head.weights + begin * head.lines, (end - begin) * head.lines)
        mask = self.mask_of(ops, head, begin)
        for line in range((end - begin) * head.lines):
            if is_told(head, mask, self.table.real_bytes, line):
                total += head.weights[begin * head.lines + line]
        return total

    @cython.final
    cdef void update_metric(self, const Op* ops, const Measure* measure, double* state, Py_ssize_t begin,
                            Py_ssize_t end) noexcept nogil:
        """Adds up one metric of the lines of these rows that count."""
        cdef const Head* head = &self.heads[measure.head]
        cdef Py_ssize_t lines = (end - begin) * head.lines
        cdef const char* mask
        cdef Lines told = Lines(0, lines)
        if head.mask_op < 0:
            self.update_lines(ops, measure, state, begin, told)
            return
        mask = self.mask_of(ops, head, begin)
        told = next_told(head, mask, self.table.real_bytes, 0, lines)
        while told.begin < lines:
            self.update_lines(ops, measure, state, begin, told)
            told = next_told(head, mask, self.table.real_bytes, told.end, lines)

    @cython.final
    cdef void update_lines(self, const Op* ops, const Measure* measure, double* state, Py_ssize_t row,
                           Lines lines) noexcept nogil:
        """Adds up one metric of these lines, of those from `row` on."""
        cdef const Head* head = &self.heads[measure.head]
        cdef Py_ssize_t first = row * head.lines + lines.begin, count = lines.end - lines.begin
        cdef const char* y = <const char*>ops[head.op].y + first * head.columns * self.table.real_bytes
        cdef const char* targets = head.targets + first * (head.target_bytes // head.lines)
        cdef const double* weights = head.weights + first if self.has_weights(measure.head) else NULL
        if measure.metric != NULL:
            measure.metric.update(state, y, targets, measure.is_labelled, weights, count, head.columns, measure.options)
        else:
            self.table.add_losses(measure.loss.compute, state, y, targets, measure.is_labelled, weights, count,
                                  head.columns, measure.options)

    @cython.final
    cdef void give_out(self, const Op* ops, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Outputs of rows [begin, end) of the arena become those of rows [first, ...) of the pass."""
        cdef const Op* op
        cdef Py_ssize_t row_bytes, i
        for i in range(self.n_heads):
            if self.job.out[i] != NULL:
                op = &ops[self.heads[i].op]
                row_bytes = width_of(op) * self.table.real_bytes
                memcpy(self.job.out[i] + first * row_bytes, <char*>op.y + begin * row_bytes, (end - begin) * row_bytes)

    @cython.final
    cdef void give_told(self, const Op* ops, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The same of which lines count."""
        cdef const Head* head
        cdef const char* mask
        cdef char* told
        cdef Py_ssize_t i, line
        for i in range(self.n_heads):
            head = &self.heads[i]
            if self.job.told[i] != NULL and head.mask_op >= 0:
                mask = self.mask_of(ops, head, begin)
                told = <char*>self.job.told[i] + first * head.lines
                for line in range((end - begin) * head.lines):
                    told[line] = is_told(head, mask, self.table.real_bytes, line)

    @cython.final
    cdef void give_dx(self, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Gradients by rows [begin, end) of the arena become those by rows [first, ...) of the data."""
        cdef Py_ssize_t row_bytes, i
        if self.job.dx == NULL:
            return
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].row_bytes
            if self.job.dx[i] != NULL:
                memcpy(self.job.dx[i] + first * row_bytes, self.feeds[i].dx + begin * row_bytes,
                       (end - begin) * row_bytes)

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
    cdef void run_stage(self, Op* ops, Py_ssize_t begin_op, Py_ssize_t end_op, bint back, int member, Py_ssize_t begin,
                        Py_ssize_t end) noexcept nogil:
        """Ops of which none looks at all rows, on a few rows at a time; now and then a look for signals."""
        cdef Py_ssize_t near = self.near_rows(ops, begin_op, end_op), looked = begin, upto, i
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + near)
            if back:
                for i in range(end_op - 1, begin_op - 1, -1):
                    self.run_backward(ops, i, begin, upto)
            else:
                self.run_forward(ops, begin_op, end_op, begin, upto)
            if member == 0 and upto - looked > LOOK_ROWS:
                self.look_for_signals()
                looked = upto
            begin = upto

    @cython.final
    cdef Py_ssize_t near_rows(self, const Op* ops, Py_ssize_t begin_op, Py_ssize_t end_op) noexcept nogil:
        """How many rows of what these ops make the cache has room for."""
        cdef Py_ssize_t reals = 0, i
        for i in range(begin_op, end_op):
            reals += width_of(&ops[i]) + ops[i].saved_per_row
        # Rows may be handed back to any op.
        return rows_within(NEAR_BYTES, reals * self.table.real_bytes, self.ops_step, LOOK_ROWS)

    @cython.final
    cdef void run_stages(self, Op* ops, int member, Team* team, Py_ssize_t end_op, Py_ssize_t rows,
                         Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Forward through ops, some of which look at all rows first.

        Where a signal ends the call members go on to meet, and do nothing else.
        """
        cdef Py_ssize_t i = 0, first
        while i < end_op:
            first = i
            i += 1
            if ops[first].callee != NULL:
                self.run_alone(ops[first].forward, &ops[first], rows, member, team)
                continue
            if self.looks_at_batch(&ops[first]):
                self.run_columns(ops[first].x_columns, &ops[first], rows, member, team)
            while i < end_op and ops[i].callee == NULL and not self.looks_at_batch(&ops[i]):
                i += 1
            self.run_stage(ops, first, i, False, member, begin, end)

    @cython.final
    cdef void run_stages_back(self, Op* ops, int member, Team* team, Py_ssize_t end_op, Py_ssize_t rows,
                              Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t last
        while end_op > 0:
            last = end_op
            end_op -= 1
            if ops[end_op].callee != NULL:
                if ops[end_op].trains:
                    self.run_alone(ops[end_op].backward, &ops[end_op], rows, member, team)
                continue
            if self.looks_at_batch(&ops[end_op]) and ops[end_op].trains:
                self.run_columns(ops[end_op].dz_columns, &ops[end_op], rows, member, team)
            while end_op > 0 and ops[end_op - 1].callee == NULL and not self.looks_at_batch(&ops[end_op - 1]):
                end_op -= 1
            self.run_stage(ops, end_op, last, True, member, begin, end)

    cdef inline bint has_states(self) noexcept nogil:
        """Whether a batch may move the state of some op."""
        return self.knows_all_rows or self.batch_rows > 0

    @cython.final
    cdef void settle(self, Op* ops, int member, Team* team) noexcept nogil:
        """Moves the state of ops by what they found in the batch."""
        cdef Py_ssize_t i, begin, end
        for i in range(self.n_ops):
            if ops[i].batch_rows > 0 or self.looks_at_batch(&ops[i]):
                begin = self.share_of_columns(&ops[i], member, team.members)
                end = self.share_of_columns(&ops[i], member + 1, team.members)
                if begin < end:
                    ops[i].settle(&ops[i], 0, begin, end)
