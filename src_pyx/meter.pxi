# What loss and metrics add up. A plan's meter knows the metrics and has, for each part of the rows (a slice
# of a batch, or what a member of the team has taken on), sums of its own; a call's tally gets them in the
# order of their rows, so the sums do not depend on who made them, nor on other calls of the same plan.

cdef struct Meter:
    Py_ssize_t count
    Py_ssize_t outputs
    Py_ssize_t sums              # doubles that one metric keeps: METRIC_STATE for each output
    const Metric** metrics
    double* options              # OPTION_NUMBERS of each
    double* parts


# What one call adds up: losses of rows, how many, and the metrics' sums.
cdef struct Sums:
    double loss
    Py_ssize_t rows
    double* metrics


cdef class Tally:
    """Sums over the rows of one call; made by `Plan.tally`."""

    cdef Sums sums
    cdef Py_ssize_t count, width

    def __dealloc__(self):
        free(self.sums.metrics)

    @property
    def loss_sum(self):
        return self.sums.loss

    @property
    def rows_seen(self):
        return self.sums.rows

    def metric_states(self):
        """A tuple for each metric: METRIC_STATE sums for each output, one output after the other."""
        return [tuple([self.sums.metrics[i * self.width + k] for k in range(self.width)])
                for i in range(self.count)]


cdef Tally empty_tally(const Meter* m):
    cdef Tally tally = Tally()
    tally.sums.metrics = <double*>calloc(m.count * m.sums + 1, sizeof(double))
    if tally.sums.metrics == NULL:
        raise MemoryError()
    tally.count = m.count
    tally.width = m.sums
    return tally


cdef set_meter(Meter* m, const KernelTable* table, metrics, Py_ssize_t outputs, Py_ssize_t parts):
    """For (name, options) of each metric, and so many parts."""
    cdef Py_ssize_t i
    free_meter(m)
    m.count = len(metrics)
    m.outputs = outputs
    m.sums = METRIC_STATE * outputs
    m.metrics = <const Metric**>calloc(m.count + 1, sizeof(Metric*))
    m.options = <double*>calloc(OPTION_NUMBERS * m.count + 1, sizeof(double))
    m.parts = <double*>calloc(parts * m.sums * m.count + 1, sizeof(double))
    if m.metrics == NULL or m.options == NULL or m.parts == NULL:
        m.count = 0
        raise MemoryError()
    for i, (name, options) in enumerate(metrics):
        m.metrics[i] = <const Metric*>find(table.metrics, sizeof(Metric), name)
        copy_numbers(m.options + OPTION_NUMBERS * i, OPTION_NUMBERS, name, options)


cdef void free_meter(Meter* m) noexcept nogil:
    free(m.metrics)
    free(m.options)
    free(m.parts)
    memset(m, 0, sizeof(Meter))


cdef inline double* part_of(const Meter* m, Py_ssize_t part) noexcept nogil:
    return m.parts + part * m.count * m.sums


cdef inline void forget_part(Meter* m, Py_ssize_t part) noexcept nogil:
    if m.count > 0:
        memset(part_of(m, part), 0, m.count * m.sums * sizeof(double))


cdef inline void merge_part(const Meter* m, double* total, Py_ssize_t part) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m.count):
        m.metrics[i].merge(total + i * m.sums, part_of(m, part) + i * m.sums, m.outputs)


# Adds rows to `state`, which is a tally's or a part's.
cdef inline void add_rows(const Meter* m, double* state, const void* prediction, const void* target,
                          Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m.count):
        m.metrics[i].update(state + i * m.sums, prediction, target, rows, m.outputs,
                            m.options + OPTION_NUMBERS * i)
