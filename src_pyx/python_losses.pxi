# Losses that are not compiled: a function of NumPy arrays, called for all rows of a batch at once in training, for a
# chunk of them in inference, and always by the thread that called the plan. What it gets are copies, and where it
# raises the call ends as with a layer's own functions (see python_ops.pxi).

# What the loss of one output is asked about: these lines, of which those count that the mask says.
cdef struct LossCall:
    const Head* head
    const char* mask             # NULL: all do
    const char* y
    const char* targets
    double* values
    char* dy                     # NULL: nobody wants it
    Py_ssize_t lines
    double scale
    int real_bytes
    fw_shared* interrupted       # of the plan's job


# The first lines from `begin` on that count and follow each other.
cdef inline Lines next_asked(const LossCall* asked, Py_ssize_t begin) noexcept nogil:
    if asked.mask == NULL:
        return Lines(begin, asked.lines)
    return next_told(asked.head, asked.mask, asked.real_bytes, begin, asked.lines)


# a, with rows of so many bytes for the lines that count, from one for all lines; or back.
cdef void copy_asked(const LossCall* asked, char* a, char* lines, Py_ssize_t row_bytes, bint back) noexcept nogil:
    cdef Lines told = next_asked(asked, 0)
    cdef Py_ssize_t size
    while told.begin < asked.lines:
        size = (told.end - told.begin) * row_bytes
        if back:
            memcpy(lines + told.begin * row_bytes, a, size)
        else:
            memcpy(a, lines + told.begin * row_bytes, size)
        a += size
        told = next_asked(asked, told.end)


@cython.final
cdef class PythonLoss:
    """The function of one loss, which gets targets, predictions and a scale, and the bytes of a row's targets."""

    cdef object call
    cdef Py_ssize_t target_bytes

    def __cinit__(self, call, Py_ssize_t target_bytes):
        self.call, self.target_bytes = call, target_bytes

    cdef int measure(self, const LossCall* asked) except -1:
        """The loss of each line and, where it is wanted, scale times its gradient; 0 for lines that do not count."""
        cdef const Head* head = asked.head
        cdef Py_ssize_t bytes = asked.real_bytes, lines = 0, line_bytes = head.columns * bytes
        cdef Py_ssize_t target_bytes = head.target_bytes // head.lines
        cdef Lines told = next_asked(asked, 0)
        cdef Address found
        while told.begin < asked.lines:
            lines += told.end - told.begin
            told = next_asked(asked, told.end)
        memset(asked.values, 0, asked.lines * sizeof(double))
        if asked.dy != NULL:
            memset(asked.dy, 0, asked.lines * line_bytes)
        if lines == 0:
            return 0
        kind = "f" if bytes == 4 else "d"
        predictions, targets = empty((lines, head.columns), kind), empty((lines, target_bytes // bytes), kind)
        copy_asked(asked, Address(predictions, True).at, <char*>asked.y, line_bytes, False)
        if target_bytes > 0:
            copy_asked(asked, Address(targets, True).at, <char*>asked.targets, target_bytes, False)
        values, gradient = self.call(targets, predictions, asked.scale)
        found = Address(values)
        expect("values", found, lines * sizeof(double))
        copy_asked(asked, found.at, <char*>asked.values, sizeof(double), True)
        if asked.dy != NULL:
            found = Address(gradient)
            expect("gradient", found, lines * line_bytes)
            copy_asked(asked, found.at, asked.dy, line_bytes, True)
        return 0


cdef void call_loss(const LossCall* asked) noexcept with gil:
    cdef long forks = FORKS
    raised = None
    try:
        (<PythonLoss>asked.head.python_loss).measure(asked)
    except BaseException as error:
        raised = error
    end_of_python(raised, "a loss's", forks, asked.interrupted)
