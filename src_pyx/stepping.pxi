# What a step is, apart from the ops: its rates, what becomes of gradients before the update and of weights after it.

# Parameters [begin, end), of which these factors go with learning rate and weight decay.
cdef struct Span:
    Py_ssize_t begin
    Py_ssize_t end
    double learning_rate
    double weight_decay


# Parameters [begin, end) of a variable, of whose gradients the squares are added up by one member.
cdef struct Stretch:
    Py_ssize_t begin
    Py_ssize_t end


# One step of the optimizer; of several batches whose gradients are added up the last one's moves weights.
cdef struct Moment:
    double[UPDATE_NUMBERS] numbers
    int64_t number              # of the step, from 1 on
    bint moves                  # weights
    bint overwrites             # weights by their averages
    double momentum             # of these


cdef enum Clipping:
    UNCLIPPED
    BY_VALUE
    BY_NORM                     # of each variable
    BY_GLOBAL_NORM

CLIPPINGS = {"clipvalue": BY_VALUE, "clipnorm": BY_NORM, "global_clipnorm": BY_GLOBAL_NORM}

cdef enum:
    # The squares of so many gradients are one sum.
    STRETCH_PARAMETERS = 4096


cdef class Stepping(Rows):
    """The optimizer.

    Its state is the vectors of its kernel, then the sums of gradients of several batches, then the averages of
    weights, of which there may be neither. A norm has one order of additions: stretches of a variable, which members
    share, and their sums from the first on.
    """

    cdef Address state, update_options, batch_count
    cdef const Update* update
    cdef Update called              # what `update` is where a rule of Python's moves the weights ...
    cdef object rule                # ... which this is ...
    cdef bint is_called             # ... if so
    cdef Address waiting            # what a batch moves before the rule is asked, as it was; see python_rules.pxi
    cdef Schedule learning_rate, weight_decay
    cdef tuple rates                # the same, as they came
    cdef Clipping clipping
    cdef double clip
    cdef int64_t batches_a_step     # whose gradients are added up for a step
    cdef char* accumulated          # NULL: those of one are all
    cdef char* averages             # NULL: nobody wants them
    cdef double average_momentum
    cdef int64_t overwrite_frequency    # 0: never
    cdef Span* spans
    cdef Py_ssize_t n_spans
    cdef Stretch* stretches
    cdef double* squares            # of each
    cdef Py_ssize_t* first_stretch  # of each op's variables; those of all trained ops follow each other
    cdef Py_ssize_t n_stretches
    cdef Py_ssize_t* tuned          # ops that have a setting which changes from step to step ...
    cdef tuple tuned_by             # ... and its Schedules
    cdef const double** tunings     # the same, compiled
    cdef Py_ssize_t n_tuned

    cdef tune_by(self, specs):
        """Remembers which ops have a schedule."""
        numbers = [i for i, spec in enumerate(specs) if spec.schedule]
        self.tuned = <Py_ssize_t*>room_for(len(numbers), sizeof(Py_ssize_t))
        self.tunings = <const double**>room_for(len(numbers), sizeof(double*))
        self.tuned_by = tuple([Schedule(specs[i].schedule) for i in numbers])
        for k, i in enumerate(numbers):
            self.tuned[k] = i
            self.tunings[k] = (<Schedule>self.tuned_by[k]).numbers
            if self.ops[<Py_ssize_t>i].tune == NULL:
                raise ValueError(f"schedule: got one of an op {specs[i].kind!r}, expected none")
        self.n_tuned = len(numbers)

    @cython.final
    cdef void tune(self, Op* ops, int64_t batch) noexcept nogil:
        """A member's ops have the settings of this batch, of all that there were."""
        cdef Op* op
        cdef Py_ssize_t i
        for i in range(self.n_tuned):
            op = &ops[self.tuned[i]]
            op.tune(op, schedule_at(self.tunings[i], <double>batch))

    def set_update(self, str name, state, options, batches, clipping=None, Py_ssize_t accumulation=0, averaging=None,
                   spans=(), rule=None):
        """The optimizer.

        Parameters
        ----------
        name : str
            Its kernel; of a rule no name matters.
        state, options, batches : buffer
            Its vectors, its numbers (float64, UPDATE_NUMBERS at most), and how many batches there were (int64).
        clipping : (str, float), optional
            Of gradients: one of CLIPPINGS and its limit.
        accumulation : int
            How many batches make a step; 0: each does.
        averaging : (float, int), optional
            The momentum of the averages of weights, and after how many steps these become the weights; 0: never.
        spans : sequence of (begin, end, learning_rate, weight_decay)
            Factors of parameters, in order; those between have none. A rule knows its own.
        rule : (callable, int), optional
            What moves the weights in place of a kernel, and how many vectors it has. It gets the number of the step,
            learning rate and weight decay, and copies of parameters, gradients and vectors (slots, parameters); it
            returns parameters and vectors.
        """
        cdef const Update* update
        if rule is None:
            update = <const Update*>find(self.table.updates, sizeof(Update), name)
        else:
            self.called = Update(NULL, rule[1], 2, False, NULL, NULL)
            update = &self.called
        cdef Address vectors = Address(state, True), numbers = Address(options, True), made = Address(batches, True)
        cdef Py_ssize_t bytes = self.n_parameters * self.table.real_bytes, slots = update.slots
        expect("state", vectors, (slots + (accumulation > 0) + (averaging is not None)) * bytes)
        expect("batches", made, sizeof(int64_t))
        if numbers.view.len != update.numbers * <Py_ssize_t>sizeof(double) or update.numbers > UPDATE_NUMBERS:
            raise ValueError(f"{name}: got {len(options)} numbers, expected {update.numbers}")
        self.set_spans(spans)
        self.rule, self.is_called = None if rule is None else rule[0], rule is not None
        self.clipping, self.clip = UNCLIPPED, 0.0
        if clipping is not None:
            self.clipping, self.clip = CLIPPINGS[clipping[0]], clipping[1]
        self.cut_in_stretches()
        self.batches_a_step = max(<Py_ssize_t>1, accumulation)
        self.accumulated = vectors.at + slots * bytes if accumulation > 0 else NULL
        self.averages = NULL
        if averaging is not None:
            self.averages = vectors.at + (slots + (accumulation > 0)) * bytes
            self.average_momentum, self.overwrite_frequency = averaging
        self.waiting = Address(None)
        if self.is_called:
            self.waiting = Address(bytearray(self.states.view.len + (bytes if accumulation > 0 else 0)), True)
        self.update, self.state, self.update_options, self.batch_count = update, vectors, numbers, made
        self.learning_rate = self.weight_decay = self.rates = None

    def set_rates(self, tuple rates not None):
        """What learning rate and weight decay are at each step: a schedule's numbers of both."""
        if rates is not self.rates:
            learning_rate, weight_decay = rates
            self.learning_rate, self.weight_decay = Schedule(learning_rate), Schedule(weight_decay)
            self.rates = rates

    cdef set_spans(self, spans):
        cdef Py_ssize_t end = 0
        free(self.spans)
        self.spans = NULL
        self.spans = <Span*>room_for(len(spans), sizeof(Span))
        self.n_spans = len(spans)
        for i, (begin, stop, learning_rate, weight_decay) in enumerate(spans):
            self.expect_parameters("spans", begin, stop)
            if begin < end:
                raise ValueError(f"spans: got one from {begin}, expected at least {end}, where the last one ended")
            end = stop
            self.spans[i] = Span(begin, stop, learning_rate, weight_decay)

    cdef cut_in_stretches(self):
        """Of the variables that are trained, where norms are wanted."""
        cdef Py_ssize_t i, k, begin, end, upto
        cdef const Op* op
        found = []
        free(self.first_stretch)
        self.first_stretch = NULL
        self.first_stretch = <Py_ssize_t*>room_for(self.n_ops, sizeof(Py_ssize_t))
        if self.has_norms():
            for i in range(self.n_ops):
                op = &self.ops[i]
                self.first_stretch[i] = len(found)
                if not (self.is_trained[i] and self.is_last_user[i]):
                    continue
                begin = self.offsets[i]
                for k in range(op.n_variables):
                    end = begin + op.variables[k]
                    while begin < end:
                        upto = min(end, begin + STRETCH_PARAMETERS)
                        found.append((begin, upto))
                        begin = upto
        free(self.stretches)
        free(self.squares)
        self.stretches, self.squares, self.n_stretches = NULL, NULL, 0
        self.stretches = <Stretch*>room_for(len(found), sizeof(Stretch))
        self.squares = <double*>room_for(len(found), sizeof(double))
        self.n_stretches = len(found)
        for i in range(self.n_stretches):
            self.stretches[i] = Stretch(found[i][0], found[i][1])

    def __dealloc__(self):
        free(self.spans)
        free(self.first_stretch)
        free(self.stretches)
        free(self.squares)
        free(self.tuned)
        free(self.tunings)

    cdef inline bint waits(self) noexcept nogil:
        """Whether all gradients must be there before any weight is moved."""
        return self.has_norms() or self.is_called

    cdef inline bint has_norms(self) noexcept nogil:
        """Whether members must know all gradients before any weight is moved."""
        return self.clipping >= BY_NORM

    cdef inline bint is_plain(self) noexcept nogil:
        """Whether a step looks at nothing but the gradients of its batch, and treats all parameters alike."""
        return (self.clipping == UNCLIPPED and self.accumulated == NULL and self.averages == NULL
                and self.n_spans == 0)

    cdef int expect_update(self) except -1:
        """Raises ValueError where nobody has said how steps are made."""
        if self.update == NULL or self.learning_rate is None:
            raise ValueError("update: got none, expected set_update and set_rates before")
        return 0

    @cython.final
    cdef void begin_step(self, Moment* now, int64_t batch) noexcept nogil:
        """The step of this batch, of all that there were, counted from 0."""
        cdef int64_t before = batch // self.batches_a_step
        now.number = before + 1
        now.moves = (batch + 1) % self.batches_a_step == 0
        now.numbers[0] = schedule_at(self.learning_rate.numbers, <double>batch)
        now.numbers[1] = schedule_at(self.weight_decay.numbers, <double>batch)
        if now.moves and self.update.advance != NULL:
            self.update.advance(now.numbers)
        now.overwrites = False
        if self.averages != NULL:
            # Before the first step there is nothing that could be kept.
            now.momentum = self.average_momentum if before > 0 else 0.0
            now.overwrites = self.overwrite_frequency > 0 and (before + 1) % self.overwrite_frequency == 0

    @cython.final
    cdef void take_in(self, Pieces places, const Moment* now) noexcept nogil:
        """Gradients of these parameters become those of the step, or are added to those before."""
        if self.accumulated != NULL:
            if not now.moves:
                self.table.accumulate(self.accumulated, self.gradients.at, places.begin, places.end)
                return
            self.table.settle_mean(self.gradients.at, self.accumulated, places.begin, places.end,
                                   <double>self.batches_a_step)
        if self.clipping == BY_VALUE:
            self.table.clip_values(self.gradients.at, places.begin, places.end, self.clip)

    @cython.final
    cdef void add_squares(self, int member, Team* team) noexcept nogil:
        """This member's stretches."""
        cdef Py_ssize_t i
        for i in range(self.n_stretches * member // team.members, self.n_stretches * (member + 1) // team.members):
            self.squares[i] = self.table.squares(self.gradients.at, self.stretches[i].begin, self.stretches[i].end)

    @cython.final
    cdef double factor_of(self, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
        """What brings the norm of these stretches' gradients within the limit; NaN where it is not finite."""
        cdef double total = 0.0
        cdef Py_ssize_t i
        for i in range(first, last):
            total += self.squares[i]
        total = sqrt(total)
        return 1.0 if total <= self.clip else self.clip / total + (total - total)

    @cython.final
    cdef void clip_norms(self, Py_ssize_t i, Pieces places) noexcept nogil:
        """Gradients of these parameters of op i, of which all squares are there."""
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t begin = self.offsets[i], first = self.first_stretch[i], end, last, k
        cdef double factor
        if self.clipping == BY_GLOBAL_NORM:
            factor = self.factor_of(0, self.n_stretches)
            if factor != 1.0:
                self.table.scale_by(self.gradients.at, places.begin, places.end, factor)
            return
        for k in range(op.n_variables):
            end = begin + op.variables[k]
            last = first + (op.variables[k] + STRETCH_PARAMETERS - 1) // STRETCH_PARAMETERS
            if begin < places.end and end > places.begin:
                factor = self.factor_of(first, last)
                if factor != 1.0:
                    self.table.scale_by(self.gradients.at, max(begin, places.begin), min(end, places.end), factor)
            begin, first = end, last

    @cython.final
    cdef void move(self, Py_ssize_t i, Pieces places, const Moment* now) noexcept nogil:
        """A step of these parameters of op i, by the gradients that have been taken in."""
        if now.moves and not self.is_called:
            if self.has_norms():
                self.clip_norms(i, places)
            if self.n_spans == 0:
                self.update.apply(self.parameters.at, self.gradients.at, self.state.at, self.n_parameters,
                                  places.begin, places.end, now.numbers)
            else:
                self.move_by_spans(places, now)
        if self.averages != NULL:
            self.table.average(self.averages, self.parameters.at, places.begin, places.end, now.momentum,
                               now.overwrites)

    @cython.final
    cdef void move_by_spans(self, Pieces places, const Moment* now) noexcept nogil:
        cdef double[UPDATE_NUMBERS] numbers
        cdef Py_ssize_t low = 0, high = self.n_spans, middle, begin = places.begin, end
        cdef const Span* span
        memcpy(numbers, now.numbers, sizeof(numbers))
        # The first span that ends behind where the places begin.
        while low < high:
            middle = (low + high) // 2
            if self.spans[middle].end <= begin:
                low = middle + 1
            else:
                high = middle
        while begin < places.end:
            span = &self.spans[low]
            if low == self.n_spans or span.begin > begin:
                end = places.end if low == self.n_spans else min(places.end, span.begin)
                numbers[0], numbers[1] = now.numbers[0], now.numbers[1]
            else:
                end = min(places.end, span.end)
                numbers[0] = now.numbers[0] * span.learning_rate
                numbers[1] = now.numbers[1] * span.weight_decay
                low += 1
            self.update.apply(self.parameters.at, self.gradients.at, self.state.at, self.n_parameters, begin, end,
                              numbers)
            begin = end
