# What a plan's metrics add up, for all rows since they were last forgotten and, before that, apart for each
# part of the rows: a slice of a batch, or what a member of the team has taken on. Parts are merged in the
# order of their rows, so the sums do not depend on who made them.

cdef struct Meter:
    Py_ssize_t count
    Py_ssize_t outputs
    Py_ssize_t sums              # doubles that one metric keeps: METRIC_STATE for each output
    const Metric** metrics
    double* options              # two of each
    double* total
    double* parts


cdef set_meter(Meter* m, const KernelTable* table, metrics, Py_ssize_t outputs, Py_ssize_t parts):
    """For (name, options) of each metric, and so many parts."""
    cdef Py_ssize_t i, k
    free_meter(m)
    m.count = len(metrics)
    m.outputs = outputs
    m.sums = METRIC_STATE * outputs
    m.metrics = <const Metric**>calloc(m.count + 1, sizeof(Metric*))
    m.options = <double*>calloc(2 * m.count + 1, sizeof(double))
    m.total = <double*>calloc(m.sums * m.count + 1, sizeof(double))
    m.parts = <double*>calloc(parts * m.sums * m.count + 1, sizeof(double))
    if m.metrics == NULL or m.options == NULL or m.total == NULL or m.parts == NULL:
        m.count = 0
        raise MemoryError()
    for i, (name, options) in enumerate(metrics):
        m.metrics[i] = <const Metric*>find(table.metrics, sizeof(Metric), name)
        for k, option in enumerate(options):
            m.options[2 * i + k] = option


cdef void free_meter(Meter* m) noexcept nogil:
    free(m.metrics)
    free(m.options)
    free(m.total)
    free(m.parts)
    memset(m, 0, sizeof(Meter))


cdef states_of(const Meter* m):
    """The sums of each metric, a tuple of METRIC_STATE for each output."""
    return [tuple([m.total[i * m.sums + k] for k in range(m.sums)]) for i in range(m.count)]


cdef inline void forget_all(Meter* m) noexcept nogil:
    memset(m.total, 0, m.count * m.sums * sizeof(double))


cdef inline double* part_of(const Meter* m, Py_ssize_t part) noexcept nogil:
    return m.parts + part * m.count * m.sums


cdef inline void forget_part(Meter* m, Py_ssize_t part) noexcept nogil:
    if m.count > 0:
        memset(part_of(m, part), 0, m.count * m.sums * sizeof(double))


cdef inline void merge_part(Meter* m, Py_ssize_t part) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m.count):
        m.metrics[i].merge(m.total + i * m.sums, part_of(m, part) + i * m.sums, m.outputs)


# Adds rows to `state`, which is the total or a part.
cdef inline void add_rows(const Meter* m, double* state, const void* prediction, const void* target,
                          Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m.count):
        m.metrics[i].update(state + i * m.sums, prediction, target, rows, m.outputs, m.options + 2 * i)
