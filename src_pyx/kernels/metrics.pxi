# Metrics: sums over a batch are added to `state`, so that an epoch's figure is exact over all of its
# rows, however they were cut into batches. What is divided by what is the description's business
# (fastweights/metrics/). Scalar code in double; where a metric is a loss, the loss's kernel is it. Targets are
# reals of the predictions' shape or, `labelled`, the number of each row's class.
# A row counts as often as its weight says; one of weight 0 is not looked at, whatever stands there.

cdef enum:
    METRIC_BLOCK = 64


# state: sum of the losses of the rows, rows
cdef void add_losses(loss_function compute, double* state, const void* prediction, const void* target,
                     bint labelled, const double* weights, Py_ssize_t rows, Py_ssize_t columns,
                     const double* options) noexcept nogil:
    cdef double[METRIC_BLOCK] values
    cdef const real* p = <const real*>prediction
    cdef const char* t = <const char*>target
    cdef Py_ssize_t target_row_bytes = sizeof(int32_t) if labelled else columns * sizeof(real)
    cdef Py_ssize_t done = 0, count, k
    cdef double weight
    while done < rows:
        count = min(METRIC_BLOCK, rows - done)
        compute(values, NULL, p + done * columns, t + done * target_row_bytes, count, columns, options, 0.0)
        for k in range(count):
            weight = weight_of(weights, done + k)
            if weight != 0.0:
                state[0] += weight * values[k]
                state[1] += weight
        done += count


cdef enum:
    R2_SUMS = 6
    MOMENTS = 9


# state of each output: weights, shift, sum(t - shift), sum((t - shift)^2), sum((p - t)^2), rows
# The shift is the first target seen: a spread that is small beside the mean does not cancel away.
cdef void r2_score(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const real* t = <const real*>target
    cdef Py_ssize_t row, column
    cdef double* sums
    cdef double shifted, error, weight
    for row in range(rows):
        weight = weight_of(weights, row)
        for column in range(columns if weight != 0.0 else 0):
            sums = state + column * R2_SUMS
            if sums[0] == 0.0:
                sums[1] = t[column]
            shifted = <double>t[column] - sums[1]
            error = <double>p[column] - <double>t[column]
            sums[0] += weight
            sums[2] += weight * shifted
            sums[3] += weight * shifted * shifted
            sums[4] += weight * error * error
            sums[5] += 1.0
        p += columns
        t += columns


cdef void merge_r2(double* state, const double* later, Py_ssize_t sums) noexcept nogil:
    cdef Py_ssize_t column
    cdef double shift
    for column in range(sums // R2_SUMS):
        if state[0] == 0.0:
            state[1] = later[1]
        shift = later[1] - state[1]
        state[0] += later[0]
        state[2] += later[2] + later[0] * shift
        state[3] += later[3] + shift * (2.0 * later[2] + later[0] * shift)
        state[4] += later[4]
        state[5] += later[5]
        state += R2_SUMS
        later += R2_SUMS


# state of each output: weights, the first a and the first b, the means of how far a and b lie from these, sums of the
# squares and products of how far they lie from their means, rows
# Of b, the targets, and of a, the predictions or, with options[0], b less the predictions. Means move row by row
# (Welford, Technometrics 1962; West, Communications of the ACM 1979, with weights): nothing cancels.
cdef void moments(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const real* t = <const real*>target
    cdef Py_ssize_t row, column
    cdef double* sums
    cdef double a, b, weight, share, left
    for row in range(rows):
        weight = weight_of(weights, row)
        for column in range(columns if weight != 0.0 else 0):
            sums = state + column * MOMENTS
            b = <double>t[column]
            a = b - <double>p[column] if options[0] != 0.0 else <double>p[column]
            if sums[0] == 0.0:
                sums[1] = a
                sums[2] = b
            sums[0] += weight
            share = weight / sums[0]
            # What is left of the weight once the means have moved.
            left = weight * (1.0 - share)
            a = a - sums[1] - sums[3]
            b = b - sums[2] - sums[4]
            sums[3] += share * a
            sums[4] += share * b
            sums[5] += left * a * a
            sums[6] += left * b * b
            sums[7] += left * a * b
            sums[8] += 1.0
        p += columns
        t += columns


# Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1982).
cdef void merge_moments(double* state, const double* later, Py_ssize_t sums) noexcept nogil:
    cdef Py_ssize_t column
    cdef double a, b, share, left
    for column in range(sums // MOMENTS):
        if state[0] == 0.0:
            memcpy(state, later, MOMENTS * sizeof(double))
        elif later[0] != 0.0:
            left = state[0]
            state[0] += later[0]
            share = later[0] / state[0]
            left *= share
            a = later[1] - state[1] + later[3] - state[3]
            b = later[2] - state[2] + later[4] - state[4]
            state[3] += share * a
            state[4] += share * b
            state[5] += later[5] + left * a * a
            state[6] += later[6] + left * b * b
            state[7] += later[7] + left * a * b
            state[8] += later[8]
        state += MOMENTS
        later += MOMENTS


cdef void add_sums(double* state, const double* later, Py_ssize_t sums) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(sums):
        state[i] += later[i]


cdef Py_ssize_t r2_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    return R2_SUMS * columns


cdef Py_ssize_t moments_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    return MOMENTS * columns


cdef Metric[8] METRICS = [
    Metric("r2_score", r2_sums, r2_score, merge_r2),
    Metric("moments", moments_sums, moments, merge_moments),
    Metric("binary_accuracy", two_sums, binary_accuracy, add_sums),
    Metric("categorical_accuracy", two_sums, categorical_accuracy, add_sums),
    Metric("score_counts", score_sums, score_counts, add_sums),
    Metric("class_counts", class_sums, class_counts, add_sums),
    Metric("confusion_matrix", confusion_sums, confusion_matrix, add_sums),
    Metric(NULL, NULL, NULL, NULL),
]

cdef const Metric* metric_named(bytes name) noexcept:
    """One of the list; NULL where there is none, since the name may be a loss's."""
    cdef Py_ssize_t i = 0
    while METRICS[i].name != NULL:
        if METRICS[i].name == name:
            return &METRICS[i]
        i += 1
    return NULL


cdef const Loss* loss_named(bytes name) except NULL:
    cdef Py_ssize_t i = 0
    while LOSSES[i].name != NULL:
        if LOSSES[i].name == name:
            return &LOSSES[i]
        i += 1
    raise KeyError(name.decode())


# One metric on arrays given by address.
def apply_metric(str name, size_t state, size_t prediction, size_t target, bint labelled, size_t weights,
                 Py_ssize_t rows, Py_ssize_t columns, options):
    cdef fw_float_mode mode
    cdef const Metric* metric = metric_named(name.encode())
    cdef const Loss* loss = loss_named(name.encode()) if metric == NULL else NULL
    cdef double* numbers = <double*>calloc(len(options) + LOSS_NUMBERS, sizeof(double))
    cdef Py_ssize_t i
    if numbers == NULL:
        raise MemoryError()
    for i in range(len(options)):
        numbers[i] = options[i]
    with nogil:
        mode = fw_enter_float_mode()
        if metric != NULL:
            metric.update(<double*>state, <const void*>prediction, <const void*>target, labelled,
                          <const double*>weights, rows, columns, numbers)
        else:
            add_losses(loss.compute, <double*>state, <const void*>prediction, <const void*>target, labelled,
                       <const double*>weights, rows, columns, numbers)
        fw_leave_float_mode(mode)
    free(numbers)


# How many sums it keeps; -1: its options do not suit so many columns.
def metric_sums_of(str name, Py_ssize_t columns, options):
    cdef const Metric* metric = metric_named(name.encode())
    cdef double[SCORE_SETTINGS] numbers
    cdef Py_ssize_t i
    for i in range(SCORE_SETTINGS):
        numbers[i] = options[i] if i < len(options) else 0.0
    return 2 if metric == NULL else metric.sums(columns, numbers)
