# Metrics that count: how many rows of which class were taken for which. A prediction of NaN is never right.

cdef inline double weight_of(const double* weights, Py_ssize_t row) noexcept nogil:
    return 1.0 if weights == NULL else weights[row]


# Where the largest of a row is: the first of equals, or the first NaN.
cdef Py_ssize_t largest(const real* row, Py_ssize_t columns) noexcept nogil:
    cdef Py_ssize_t i, best = 0
    for i in range(columns):
        if row[i] != row[i]:
            return i
        if row[i] > row[best]:
            best = i
    return best


# Whether a row's target is of class `column`.
cdef inline bint is_of_class(const void* target, bint labelled, Py_ssize_t row, Py_ssize_t columns,
                             Py_ssize_t column) noexcept nogil:
    if labelled:
        return (<const int32_t*>target)[row] == column
    return (<const real*>target)[row * columns + column] > 0


# A row's class: that of its label or of its largest target; of one column 1 where the target is positive.
cdef inline Py_ssize_t class_of(const void* target, bint labelled, Py_ssize_t row, Py_ssize_t columns) noexcept nogil:
    cdef const real* t = <const real*>target + row * columns
    if labelled:
        return (<const int32_t*>target)[row]
    return t[0] > 0 if columns == 1 else largest(t, columns)


# The class that is predicted: of the largest prediction, or of one column 1 above the threshold; -1 for NaN.
cdef inline Py_ssize_t predicted_class(const real* p, Py_ssize_t columns, double threshold) noexcept nogil:
    cdef Py_ssize_t best = largest(p, columns)
    if p[best] != p[best]:
        return -1
    return p[0] > threshold if columns == 1 else best


cdef Py_ssize_t two_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    return 2


# state: elements on the right side of the threshold options[0], elements
# The positive class is a target of 1, the other 0 or -1; a prediction of NaN is always wrong.
cdef void binary_accuracy(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
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


# state: rows of whose class the prediction is among the largest options[0], rows
# Of equal ones at the border all are among them, as in Keras; with options[0] = 1 the first of equals alone counts.
cdef void categorical_accuracy(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef Py_ssize_t row, i, wanted, before
    cdef double weight
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            wanted = class_of(target, labelled, row, columns)
            if options[0] == 1.0:
                before = predicted_class(p, columns, 0.0) != wanted
            else:
                before = 0
                for i in range(columns):
                    # So NaN counts as larger than all.
                    before += not p[i] <= p[wanted]
            if before < options[0] and p[wanted] == p[wanted]:
                state[0] += weight
            state[1] += weight
        p += columns


# Where the largest `count` of a row end, the first of equals being the larger one: the last of them; -1: all are.
cdef Py_ssize_t last_of_largest(const real* p, Py_ssize_t columns, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t last = -1, best, found, i
    if count >= columns:
        return -1
    for found in range(count):
        best = -1
        for i in range(columns):
            if p[i] == p[i] and (last < 0 or p[i] < p[last] or (p[i] == p[last] and i > last)):
                if best < 0 or p[i] > p[best]:
                    best = i
        if best < 0:
            return -1
        last = best
    return last


# How many of `count` thresholds, in ascending order, lie below p.
cdef inline Py_ssize_t thresholds_below(double p, const double* thresholds, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t begin = 0, end = count, middle
    while begin < end:
        middle = (begin + end) // 2
        if p > thresholds[middle]:
            begin = middle + 1
        else:
            end = middle
    return begin


cdef enum:
    SCORE_SETTINGS = 4       # in front of the thresholds


# state (cells, thresholds + 1, 2): weights of the elements, of the negative and of the positive class, by how many
# thresholds their scores exceed; cells are all columns together or, with options[2], each by itself.
# options: the one column that is looked at, -1: all; the k largest of a row alone exceed anything, 0: all may;
# whether columns stand by themselves; how many thresholds, and these.
cdef void score_counts(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef Py_ssize_t only = <Py_ssize_t>options[0], largest_k = <Py_ssize_t>options[1]
    cdef Py_ssize_t count = <Py_ssize_t>options[3], row, column, level, last = -1
    cdef Py_ssize_t cell_sums = 2 * (count + 1) if options[2] != 0.0 else 0
    cdef double weight
    cdef bint positive
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            if largest_k > 0:
                last = last_of_largest(p, columns, largest_k)
            for column in range(0 if only < 0 else only, columns if only < 0 else only + 1):
                positive = is_of_class(target, labelled, row, columns, column)
                if p[column] != p[column]:
                    level = 0 if positive else count
                elif last >= 0 and (p[column] < p[last] or (p[column] == p[last] and column > last)):
                    level = 0
                else:
                    level = thresholds_below(p[column], options + SCORE_SETTINGS, count)
                state[column * cell_sums + 2 * level + positive] += weight
        p += columns


cdef Py_ssize_t score_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    cdef Py_ssize_t cells = columns if options[2] != 0.0 else 1
    if options[0] >= columns:
        return -1
    return cells * 2 * (<Py_ssize_t>options[3] + 1)


# One column tells two classes apart.
cdef inline Py_ssize_t classes_of(Py_ssize_t columns) noexcept nogil:
    return max(columns, <Py_ssize_t>2)


# state: how far predicted classes are from the rows' own, to the power of options[1], 0 being whether they differ;
# then of each class its rows that were found, its rows, and the rows that were taken for it.
# options: the threshold of one column; the power.
cdef void class_counts(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef Py_ssize_t row, is_of, taken_for
    cdef double weight, distance
    for row in range(rows):
        weight = weight_of(weights, row)
        if weight != 0.0:
            is_of = class_of(target, labelled, row, columns)
            taken_for = predicted_class(p, columns, options[0])
            state[1 + 3 * is_of + 1] += weight
            if taken_for >= 0:
                state[1 + 3 * taken_for + 2] += weight
                distance = is_of - taken_for if is_of > taken_for else taken_for - is_of
            else:
                distance = classes_of(columns) - 1
            if taken_for == is_of:
                state[1 + 3 * is_of] += weight
            elif options[1] == 0.0:
                state[0] += weight
            else:
                state[0] += weight * distance * (distance if options[1] == 2.0 else 1.0)
        p += columns


cdef Py_ssize_t class_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    return 1 + 3 * classes_of(columns)


# state (classes, classes): weights of rows of the first class that were taken for the second; NaN is left out.
# options: the threshold of one column.
cdef void confusion_matrix(
    double* state, const void* prediction, const void* target, bint labelled, const double* weights,
    Py_ssize_t rows, Py_ssize_t columns, const double* options,
) noexcept nogil:
    cdef const real* p = <const real*>prediction
    cdef Py_ssize_t row, taken_for
    for row in range(rows):
        taken_for = predicted_class(p, columns, options[0])
        if taken_for >= 0:
            state[class_of(target, labelled, row, columns) * classes_of(columns) + taken_for] += weight_of(weights, row)
        p += columns


cdef Py_ssize_t confusion_sums(Py_ssize_t columns, const double* options) noexcept nogil:
    return classes_of(columns) * classes_of(columns)
