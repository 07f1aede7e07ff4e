# Minimizers: optimizers that look at the loss of all rows several times a step, each look a pass of the plan's.
#
# Between two looks there is no Python but a signal's handler. The parameters that move are gathered in one vector of
# doubles, in the order of the flat vector; sums go over it in one order, by one thread, so the bits do not depend on
# the threads. A step that does not come to its end leaves the parameters as they were, and what the minimizer
# remembers is written once a step is accepted.

cdef enum:
    # How a step ended.
    MOVED           # to a smaller loss
    FLAT            # where it began: no gradient is larger than its tolerance
    SETTLED         # at a loss that is hardly smaller
    STUCK           # where it began: no smaller loss was found
    DIVERGED        # where it began, where the loss is no finite number
    INTERRUPTED     # likewise, by an exception that is pending

# How the outside hears of it.
OUTCOMES = ("moved", "flat", "settled", "stuck", "diverged", "interrupted")

cdef enum: SUM_LANES = 8


cdef class Minimizer:
    """What one fit, or one call, knows of the loss of its rows.

    Parameters
    ----------
    plan : Plan
        That trains, with losses, for batches of all these rows.
    vectors, numbers : buffer
        What the optimizer remembers of the model.
    x, y, weights : array or tuple of arrays
        All rows, which nobody writes to; what they count, or None.
    rows : int
        How many there are.
    """

    cdef Plan plan
    cdef Address vectors, numbers
    cdef Arrays x, y, weights
    cdef Job wanted                  # a look at all rows
    cdef Py_ssize_t rows
    cdef Py_ssize_t n_spans
    cdef Pieces* spans               # of the flat vector, which move ...
    cdef Py_ssize_t n                # ... so many parameters together
    cdef double* doubles             # room for all that follows
    cdef double* start               # parameters where the step begins
    cdef double* gradient            # there
    cdef double* direction
    cdef double* tried_gradient      # at the parameters that were tried last ...
    cdef double loss, tried_loss
    cdef Tally here, tried           # ... and what was added up over their rows
    cdef bint has_moved
    cdef uint64_t place              # a digest of the parameters whose loss and gradient are known
    cdef bint is_known
    cdef double tolerance_grad, tolerance_change

    def __cinit__(self, Plan plan not None, vectors, numbers, x, y, weights, Py_ssize_t rows, *settings):
        cdef Py_ssize_t i
        self.plan, self.rows = plan, rows
        self.vectors, self.numbers = Address(vectors, True), Address(numbers, True)
        self.x, self.y, self.weights = Arrays(x), Arrays(y), weights_or_none(weights)
        plan.expect_batch(self.x, self.y, self.weights, NOTHING, rows)
        begin_job(&self.wanted, self.x.at, self.x.item_bytes)
        self.wanted.y, self.wanted.last = self.y.at, rows
        give_weights(&self.wanted, self.weights)
        if not 0 < rows <= plan.rows or not plan.trains or plan.n_bounds > 0 or plan.batch_rows > 0:
            raise ValueError(f"rows: got {rows}, expected 1 to {plan.rows} of a plan that trains, without bounds and "
                             "states of rows")
        found = sorted([(plan.offsets[i], plan.offsets[i] + plan.ops[i].parameter_reals)
                        for i in range(plan.n_ops) if plan.is_trained[i] and plan.is_last_user[i]])
        self.spans = <Pieces*>room_for(len(found), sizeof(Pieces))
        for i, (begin, end) in enumerate(found):
            self.spans[i] = Pieces(begin, end)
            self.n += end - begin
        self.n_spans = len(found)
        self.doubles = <double*>room_for(4 * self.n, sizeof(double))
        self.start, self.gradient = self.doubles, self.doubles + self.n
        self.direction, self.tried_gradient = self.doubles + 2 * self.n, self.doubles + 3 * self.n
        self.here, self.tried = plan.tally(weights), plan.tally(weights)

    def __dealloc__(self):
        free(self.spans)
        free(self.doubles)

    @property
    def tally(self):
        """What was added up over the rows where the last step ended."""
        return self.here

    @property
    def tally_before(self):
        """Likewise, where it began."""
        return self.tried if self.has_moved else self.here

    def step(self, uint64_t seed, uint64_t stream):
        """One step; how it ended, one of `OUTCOMES`, with the losses before and after it.

        The random numbers are those of this seed and stream, which must make no difference: they stand for training.
        """
        cdef fw_float_mode mode
        cdef double before = 0.0
        cdef int outcome
        self.wanted.seed, self.wanted.stream = seed, stream
        self.has_moved = False
        self.plan.lock.enter()
        with nogil:
            mode = fw_enter_float_mode()
            outcome = self.find_here()
            before = self.loss
            if outcome == MOVED:
                outcome = self.advance()
            if self.plan.is_interrupted():
                outcome = INTERRUPTED
            self.is_known = outcome < DIVERGED
            self.place = self.plan.digest()
            fw_leave_float_mode(mode)
            self.plan.lock.leave()
        raise_pending(&self.plan.job)
        return OUTCOMES[outcome], before, self.loss

    cdef int advance(self) noexcept nogil:
        """A step from where loss and gradient are known; how it ended."""
        return STUCK

    # ---- the loss ----------------------------------------------------------------------------------

    @cython.final
    cdef int find_here(self) noexcept nogil:
        """Loss and gradient where the parameters are, unless they are known; whether a step may follow."""
        cdef Py_ssize_t i
        self.plan.job.interrupted[0] = 0
        if not (self.is_known and self.place == self.plan.digest()):
            self.look()
            self.loss = self.tried_loss
            memcpy(self.gradient, self.tried_gradient, self.n * sizeof(double))
            self.exchange_tallies()
        self.gather(self.start, self.plan.parameters.at)
        if self.plan.is_interrupted():
            return INTERRUPTED
        if not isfinite(self.loss) or not isfinite(largest_of(self.gradient, self.n)):
            return DIVERGED
        return FLAT if largest_of(self.gradient, self.n) <= self.tolerance_grad else MOVED

    @cython.final
    cdef void look(self) noexcept nogil:
        """Loss and gradient of all rows, where the parameters are now."""
        cdef Sums* sums = &self.tried.sums
        cdef int most = self.plan.most_for(self.rows), members = most
        cdef bint is_contest = most > 1 and self.plan.grain > 0.0
        cdef double began = fw_seconds()
        cdef Job job = self.wanted
        if is_contest:
            members = choose_members(&self.plan.contest, self.rows, most)
        memset(sums.apart, 0, self.plan.meter.sums * sizeof(double))
        job.sums = sums
        self.plan.run(gradient_task, &job, members)
        if is_contest:
            note_steps(&self.plan.contest, 1.0, fw_seconds() - began)
        self.tried_loss = self.plan.job.loss
        sums.loss, sums.rows = self.plan.job.loss * self.rows, self.rows
        self.gather(self.tried_gradient, self.plan.gradients.at)
        self.plan.look_for_signals()

    @cython.final
    cdef void try_step(self, double length) noexcept nogil:
        """Loss and gradient so far along the direction."""
        cdef Py_ssize_t i, k, at = 0, begin, end
        cdef float* floats = <float*>self.plan.parameters.at
        cdef double* doubles = <double*>self.plan.parameters.at
        for k in range(self.n_spans):
            begin, end = self.spans[k].begin, self.spans[k].end
            if self.plan.table.real_bytes == 4:
                for i in range(begin, end):
                    floats[i] = <float>(self.start[at + i - begin] + length * self.direction[at + i - begin])
            else:
                for i in range(begin, end):
                    doubles[i] = self.start[at + i - begin] + length * self.direction[at + i - begin]
            at += end - begin
        self.look()

    @cython.final
    cdef int go_back(self, int outcome) noexcept nogil:
        """The parameters are as they were when the step began; returns the outcome."""
        self.scatter(self.plan.parameters.at, self.start)
        return outcome

    @cython.final
    cdef int accept(self) noexcept nogil:
        """The step ends where the last look was; how that is."""
        cdef Team alone
        cdef double decrease = self.loss - self.tried_loss
        cdef double least = self.tolerance_change * max(fabs(self.loss), fabs(self.tried_loss))
        alone.members = 1
        if self.plan.has_states():
            self.plan.settle(self.plan.ops, 0, &alone)
        self.loss = self.tried_loss
        self.gradient, self.tried_gradient = self.tried_gradient, self.gradient
        self.exchange_tallies()
        self.has_moved = True
        return SETTLED if decrease <= least else MOVED

    @cython.final
    cdef void exchange_tallies(self) noexcept nogil:
        self.here.sums, self.tried.sums = self.tried.sums, self.here.sums

    # ---- the parameters that move ------------------------------------------------------------------

    @cython.final
    cdef void gather(self, double* to, const char* flat) noexcept nogil:
        """Those of a flat vector, as doubles."""
        cdef Py_ssize_t i, k
        for k in range(self.n_spans):
            if self.plan.table.real_bytes == 4:
                for i in range(self.spans[k].begin, self.spans[k].end):
                    to[i - self.spans[k].begin] = (<const float*>flat)[i]
            else:
                for i in range(self.spans[k].begin, self.spans[k].end):
                    to[i - self.spans[k].begin] = (<const double*>flat)[i]
            to += self.spans[k].end - self.spans[k].begin

    @cython.final
    cdef void scatter(self, char* flat, const double* doubles) noexcept nogil:
        """Those of a flat vector, from doubles that it can hold."""
        cdef Py_ssize_t i, k
        for k in range(self.n_spans):
            if self.plan.table.real_bytes == 4:
                for i in range(self.spans[k].begin, self.spans[k].end):
                    (<float*>flat)[i] = <float>doubles[i - self.spans[k].begin]
            else:
                for i in range(self.spans[k].begin, self.spans[k].end):
                    (<double*>flat)[i] = doubles[i - self.spans[k].begin]
            doubles += self.spans[k].end - self.spans[k].begin


# ---- sums over them, in one order ------------------------------------------------------------------

cdef double dot_of(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double[SUM_LANES] sums
    cdef Py_ssize_t whole = n // SUM_LANES * SUM_LANES, i = 0, k
    for k in range(SUM_LANES):
        sums[k] = 0.0
    while i < whole:
        for k in range(SUM_LANES):
            sums[k] += a[i + k] * b[i + k]
        i += SUM_LANES
    for i in range(whole, n):
        sums[i - whole] += a[i] * b[i]
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))


cdef void add_times(double* a, double factor, const double* b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        a[i] += factor * b[i]


# The largest magnitude; NaN where there is one.
cdef double largest_of(const double* a, Py_ssize_t n) noexcept nogil:
    cdef double found = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        if not fabs(a[i]) <= found:
            found = fabs(a[i])
            if found != found:
                break
    return found
