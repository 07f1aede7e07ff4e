# The ends of a network. A head is one output: its loss, whose targets it keeps, and what is added up over rows.
# The plan's meter knows the metrics of all heads and has, for each part of the rows (a slice of a batch, or what a
# member of the team has taken on), sums of its own; a call's tally gets them in the order of their rows, so the
# sums do not depend on who made them, nor on other calls of the same plan.

cdef struct Head:
    Py_ssize_t op                # whose y is the output
    Py_ssize_t loss_op           # whose y the loss looks at: another one where it takes an activation into itself
    Py_ssize_t lines             # of a row, each with a target of its own ...
    Py_ssize_t columns           # ... and of so many columns
    Py_ssize_t mask_op           # whose y says which lines count; -1: all do
    Py_ssize_t lines_told        # lines that one number of that says it of
    double share                 # what a line's loss counts in that of its row, which is the mean over them
    const Loss* loss
    double[LOSS_NUMBERS] options
    void* python_loss            # the PythonLoss in its place, which the plan keeps; NULL
    double weight                # of its loss in the model's
    Py_ssize_t target_bytes      # of one row
    char* targets                # gathered rows of y
    double* values               # the loss of each line
    double* weights              # what each counts, in a call that has weights of this output


# One metric of one head.
cdef struct Measure:
    const Metric* metric         # NULL: it is a loss
    const Loss* loss
    double* options
    Py_ssize_t head
    bint is_labelled             # whether its targets are class labels, of int32
    Py_ssize_t at                # where its sums begin ...
    Py_ssize_t sums              # ... and how many there are


cdef struct Meter:
    Py_ssize_t heads             # whose losses can be added up apart, in front of all else ...
    bint tells_heads             # ... and are in any case, not only where they have weights
    Py_ssize_t count
    Measure* measures
    Py_ssize_t sums              # doubles of all together
    double* parts


# What one call adds up: losses of rows, how many, and the meter's sums.
cdef struct Sums:
    double loss
    Py_ssize_t rows
    double* apart


# In front of the sums of metrics, of each head: its losses, how much they count (what their sum is divided by) and,
# in training with weights, the same two as they are in the loss of the rows, where a batch counts by its rows.
cdef enum: HEAD_SUMS = 4


cdef class Tally:
    """Sums over the rows of one call; made by `Plan.tally`."""

    cdef Sums sums
    cdef Py_ssize_t heads
    cdef tuple weights           # of heads whose losses are not in that of the rows, or not as they count
    cdef tuple ends              # of each metric's sums
    cdef Py_ssize_t width

    def __dealloc__(self):
        free(self.sums.apart)

    @property
    def loss_sum(self):
        return self.sums.loss

    @property
    def rows_seen(self):
        return self.sums.rows

    def mean_losses(self):
        """Of a row: the loss and, where there are several heads, that of each."""
        losses = [self.mean_at(HEAD_SUMS * i) for i in range(self.heads)]
        total = self.sums.loss / self.sums.rows
        for i, weight in self.weights:
            total += weight * (losses[i] - self.mean_at(HEAD_SUMS * i + 2))
        return [total] + (losses if self.heads > 1 else [])

    cdef double mean_at(self, Py_ssize_t k):
        cdef double* sums = self.sums.apart + k
        return sums[0] / sums[1] if sums[1] > 0 else 0.0

    def metric_states(self):
        """A tuple of its sums for each metric."""
        begins = (HEAD_SUMS * self.heads, *self.ends)
        return [tuple([self.sums.apart[k] for k in range(begin, end)])
                for begin, end in zip(begins, self.ends)]

    def numbers(self):
        """All that is added up so far, which `take_on` of an empty one of the same plan goes on from."""
        found = empty(2 + self.width)
        cdef double[::1] numbers = found
        numbers[0], numbers[1] = self.sums.loss, self.sums.rows
        memcpy(&numbers[0] + 2, self.sums.apart, self.width * sizeof(double))
        return found

    def take_on(self, const double[::1] numbers):
        """Makes this tally that of which these are the numbers."""
        if numbers.shape[0] != 2 + self.width:
            raise ValueError(f"tally: got {numbers.shape[0]} numbers, expected {2 + self.width}")
        self.sums.loss, self.sums.rows = numbers[0], <Py_ssize_t>numbers[1]
        memcpy(self.sums.apart, &numbers[0] + 2, self.width * sizeof(double))


cdef Tally empty_tally(const Meter* m, tuple weights):
    cdef Tally tally = Tally()
    tally.sums.apart = <double*>calloc(m.sums + 1, sizeof(double))
    if tally.sums.apart == NULL:
        raise MemoryError()
    tally.heads, tally.width, tally.weights = m.heads, m.sums, weights
    tally.ends = tuple([m.measures[i].at + m.measures[i].sums for i in range(m.count)])
    return tally


cdef set_meter(Meter* m, const KernelTable* table, const Head* heads, Py_ssize_t n_heads, metrics, Py_ssize_t parts):
    """For (head, name, options, labelled) of each metric, and so many parts."""
    cdef Measure* measure
    cdef Py_ssize_t line_bytes
    free_meter(m)
    m.measures = <Measure*>calloc(len(metrics) + 1, sizeof(Measure))
    if m.measures == NULL:
        raise MemoryError()
    m.heads, m.tells_heads = n_heads, n_heads > 1 or heads[0].mask_op >= 0
    m.sums = HEAD_SUMS * m.heads
    for head, name, options, labelled in metrics:
        if not 0 <= head < n_heads:
            raise ValueError(f"metrics: got one of output {head}, expected one of {n_heads} outputs")
        measure = &m.measures[m.count]
        set_measure(measure, table, name, tuple(options))
        m.count += 1
        measure.head, measure.is_labelled, measure.at, measure.sums = head, labelled, m.sums, 2
        line_bytes = sizeof(int32_t) if labelled else heads[<Py_ssize_t>head].columns * table.real_bytes
        if heads[<Py_ssize_t>head].target_bytes != heads[<Py_ssize_t>head].lines * line_bytes:
            raise ValueError(f"{name}: got targets of {heads[<Py_ssize_t>head].target_bytes} bytes, expected "
                             f"{heads[<Py_ssize_t>head].lines * line_bytes}")
        if measure.metric != NULL:
            measure.sums = measure.metric.sums(heads[<Py_ssize_t>head].columns, measure.options)
        if measure.sums < 0:
            raise ValueError(f"{name}: got options that do not suit {heads[<Py_ssize_t>head].columns} columns")
        m.sums += measure.sums
    m.parts = <double*>calloc(parts * m.sums + 1, sizeof(double))
    if m.parts == NULL:
        raise MemoryError()


cdef set_measure(Measure* measure, const KernelTable* table, name, tuple options):
    """Its kernel, that of a metric or of a loss, and its numbers."""
    try:
        measure.metric = <const Metric*>find(table.metrics, sizeof(Metric), name)
    except KeyError:
        measure.loss = <const Loss*>find(table.losses, sizeof(Loss), name)
    # A kernel may read as many as it is to have.
    measure.options = <double*>calloc(len(options) + LOSS_NUMBERS, sizeof(double))
    if measure.options == NULL:
        raise MemoryError()
    copy_numbers(measure.options, len(options), name, options)


cdef void free_meter(Meter* m) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m.count):
        free(m.measures[i].options)
    free(m.measures)
    free(m.parts)
    memset(m, 0, sizeof(Meter))


cdef inline double* part_of(const Meter* m, Py_ssize_t part) noexcept nogil:
    return m.parts + part * m.sums


cdef inline void forget_part(Meter* m, Py_ssize_t part) noexcept nogil:
    if m.sums > 0:
        memset(part_of(m, part), 0, m.sums * sizeof(double))


cdef inline void merge_part(const Meter* m, double* total, Py_ssize_t part) noexcept nogil:
    cdef const double* later = part_of(m, part)
    cdef const Measure* measure
    cdef Py_ssize_t i
    for i in range(HEAD_SUMS * m.heads):
        total[i] += later[i]
    for i in range(m.count):
        measure = &m.measures[i]
        if measure.metric != NULL:
            measure.metric.merge(total + measure.at, later + measure.at, measure.sums)
        else:
            total[measure.at] += later[measure.at]
            total[measure.at + 1] += later[measure.at + 1]


cdef inline double sum_of(const double* values, Py_ssize_t n) noexcept nogil:
    cdef double[4] sums
    cdef Py_ssize_t i
    sums[0] = sums[1] = sums[2] = sums[3] = 0.0
    for i in range(n):
        sums[i % 4] += values[i]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


# The first n reals times a factor, which is 0 where it makes 0 of anything.
ctypedef fused scaled_real:
    float
    double


cdef inline void scale_reals(scaled_real* reals, Py_ssize_t n, scaled_real factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        reals[i] = factor * reals[i] if factor != 0 else 0


# Lines [begin, end) of some rows.
cdef struct Lines:
    Py_ssize_t begin
    Py_ssize_t end


# Whether a line counts, of those whose mask this is.
cdef inline bint is_told(const Head* head, const char* mask, int real_bytes, Py_ssize_t line) noexcept nogil:
    line //= head.lines_told
    return (<const float*>mask)[line] != 0 if real_bytes == 4 else (<const double*>mask)[line] != 0


# The first lines from `begin` on that count and follow each other; from `end` on there are none.
cdef inline Lines next_told(const Head* head, const char* mask, int real_bytes, Py_ssize_t begin,
                            Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t last
    while begin < end and not is_told(head, mask, real_bytes, begin):
        begin += 1
    last = begin
    while last < end and is_told(head, mask, real_bytes, last):
        last += 1
    return Lines(begin, last)
