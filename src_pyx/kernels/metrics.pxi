# Metrics: sums over a batch are added to `state`, so that an epoch's figure is exact over all of its
# rows, however they were cut into batches. What is divided by what is the description's business
# (fastweights/metrics.py). Scalar code in double; where a metric is a loss, the loss's kernel is it.
# A row counts as often as its weight says; one of weight 0 is not looked at, whatever stands there.

cdef enum:
    METRIC_BLOCK = 64


cdef inline double weight_of(const double* weights, Py_ssize_t row) noexcept nogil:
    return 1.0 if weights == NULL else weights[row]


# state: sum of the losses of the rows, rows
cdef void add_losses(loss_function compute, double* state, const void* prediction, const void* target,
                     Py_ssize_t target_row_bytes, const double* weights, Py_ssize_t rows, Py_ssize_t columns,
                     const double* options) noexcept nogil:
    cdef double[METRIC_BLOCK] values
    cdef const real* p = <const real*>prediction
    cdef const char* t = <const char*>target
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


cdef void mean_squared_error_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(mean_squared_error_loss, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void mean_absolute_error_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(mean_absolute_error_loss, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void binary_crossentropy_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(binary_crossentropy_loss, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void binary_crossentropy_logits_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(binary_crossentropy_logits_loss, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void categorical_crossentropy_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(categorical_crossentropy, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void categorical_crossentropy_logits_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(categorical_crossentropy_logits, state, prediction, target, columns * sizeof(real), weights, rows,
               columns, options)


cdef void sparse_categorical_crossentropy_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(sparse_categorical_crossentropy, state, prediction, target, sizeof(int32_t), weights, rows,
               columns, options)


cdef void sparse_categorical_crossentropy_logits_metric(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    add_losses(sparse_categorical_crossentropy_logits, state, prediction, target, sizeof(int32_t), weights, rows,
               columns, options)


# Where the largest of a row is: the first of equals, or the first NaN.
cdef Py_ssize_t largest(const real* row, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i, best = 0
    for i in range(columns):
        if row[i] != row[i]:
            return i
        if row[i] > row[best]:
            best = i
    return best


# state: elements on the right side of the threshold options[0], elements
# The positive class is a target of 1, the other 0 or -1; a prediction of NaN is always wrong.
cdef void binary_accuracy(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const real* t = <const real*>target
    cdef Py_ssize_t row, i, hits
    cdef double weight
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            hits = 0
            for i in range(columns):
                hits += (p[i] > options[0] and t[i] == 1) or (p[i] <= options[0] and t[i] <= 0)
            state[0] += weight * hits
            state[1] += weight * columns
        p += columns
        t += columns


# state: rows whose largest prediction is where the largest target is, rows
cdef void categorical_accuracy(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const real* t = <const real*>target
    cdef Py_ssize_t row, best
    cdef double weight
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            best = largest(p, columns)
            if p[best] == p[best] and best == largest(t, columns):
                state[0] += weight
            state[1] += weight
        p += columns
        t += columns


# state: rows whose largest prediction is the label's, rows
cdef void sparse_categorical_accuracy(
    double* state, const void* prediction, const void* target, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef const int32_t* labels = <const int32_t*>target
    cdef Py_ssize_t row, best
    cdef double weight
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            best = largest(p, columns)
            if p[best] == p[best] and best == labels[row]:
                state[0] += weight
            state[1] += weight
        p += columns


# state of each output: weights, shift, sum(t - shift), sum((t - shift)^2), sum((p - t)^2), rows
# The shift is the first target seen: a spread that is small beside the mean does not cancel away.
cdef void r2_score(
    double* state, const void* prediction, const void* target, const double* weights,
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
            sums = state + column * METRIC_STATE
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


cdef void merge_r2(double* state, const double* later, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t column
    cdef double shift
    for column in range(columns):
        if state[0] == 0.0:
            state[1] = later[1]
        shift = later[1] - state[1]
        state[0] += later[0]
        state[2] += later[2] + later[0] * shift
        state[3] += later[3] + shift * (2.0 * later[2] + later[0] * shift)
        state[4] += later[4]
        state[5] += later[5]
        state += METRIC_STATE
        later += METRIC_STATE


cdef void add_sums(double* state, const double* later, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(columns * METRIC_STATE):
        state[i] += later[i]


cdef Metric[13] METRICS = [
    Metric("mean_squared_error", mean_squared_error_metric, add_sums),
    Metric("mean_absolute_error", mean_absolute_error_metric, add_sums),
    Metric("r2_score", r2_score, merge_r2),
    Metric("binary_accuracy", binary_accuracy, add_sums),
    Metric("categorical_accuracy", categorical_accuracy, add_sums),
    Metric("sparse_categorical_accuracy", sparse_categorical_accuracy, add_sums),
    Metric("binary_crossentropy", binary_crossentropy_metric, add_sums),
    Metric("binary_crossentropy_logits", binary_crossentropy_logits_metric, add_sums),
    Metric("categorical_crossentropy", categorical_crossentropy_metric, add_sums),
    Metric("categorical_crossentropy_logits", categorical_crossentropy_logits_metric, add_sums),
    Metric("sparse_categorical_crossentropy", sparse_categorical_crossentropy_metric, add_sums),
    Metric("sparse_categorical_crossentropy_logits", sparse_categorical_crossentropy_logits_metric, add_sums),
    Metric(NULL, NULL, NULL),
]


# One metric on arrays given by address.
def apply_metric(str name, size_t state, size_t prediction, size_t target, size_t weights,
                 Py_ssize_t rows, Py_ssize_t columns, options):
    cdef fw_float_mode mode
    cdef double[OPTIONS] numbers
    cdef Py_ssize_t i = 0
    read_options(numbers, options)
    wanted = name.encode()
    while METRICS[i].name != NULL:
        if METRICS[i].name == wanted:
            with nogil:
                mode = fw_enter_float_mode()
                METRICS[i].update(<double*>state, <const void*>prediction, <const void*>target,
                                  <const double*>weights, rows, columns, numbers)
                fw_leave_float_mode(mode)
            return
        i += 1
    raise KeyError(name)
