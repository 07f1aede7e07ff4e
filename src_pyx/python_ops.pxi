# Ops that are not compiled: a layer's own functions of NumPy arrays, called in the middle of a plan's work.
#
# Such an op has all rows of a batch at once in training, a chunk of them in inference, and always the thread that
# called the plan, which has a Python to run (`run_alone`). What the functions get are copies and what they give is
# copied, so nobody holds on to the arena. Where one raises, the call ends as by a signal's handler that raises:
# nothing more is called, the step is not made, and its exception is the call's.

# What `Op.callee` is.
cdef struct Callee:
    void* python_op              # the PythonOp, which the plan keeps
    int real_bytes
    fw_shared* interrupted       # of the plan's job


@cython.final
cdef class PythonOp:
    """The functions of one op, and what the last forward pass keeps for its backward pass."""

    cdef Callee callee
    cdef const KernelTable* table
    cdef object calls, kept

    def __cinit__(self, calls):
        self.calls = calls
        self.callee.python_op = <void*>self

    cdef copied(self, const void* at, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t width):
        """A new array of these rows."""
        cdef Py_ssize_t row_bytes = width * self.callee.real_bytes
        array = empty((rows, width), "f" if self.callee.real_bytes == 4 else "d")
        memcpy(Address(array, True).at, <const char*>at + first * row_bytes, rows * row_bytes)
        return array

    cdef int write(self, void* at, Py_ssize_t first, array, Py_ssize_t rows, Py_ssize_t width) except -1:
        """Rows of the arena become those of the array."""
        cdef Py_ssize_t row_bytes = width * self.callee.real_bytes
        cdef Address given = Address(array)
        expect("python op", given, rows * row_bytes)
        if rows * row_bytes > 0:        # of no parameters there is no place
            memcpy(<char*>at + first * row_bytes, given.at, rows * row_bytes)
        return 0

    cdef int forward(self, const Op* op, Py_ssize_t begin, Py_ssize_t end) except -1:
        cdef Py_ssize_t rows = end - begin, k
        self.kept = None
        values = [self.copied(op.reads[k].x, begin, rows, op.reads[k].width) for k in range(op.n_reads)]
        weights = self.copied(op.parameters, 0, 1, op.parameter_reals)
        y, kept = self.calls.forward(values, weights, op.drawn.stream != 0)
        self.write(op.y, begin, y, rows, width_of(op))
        if op.trains:
            self.kept = kept
        return 0

    cdef int backward(self, const Op* op, Py_ssize_t begin, Py_ssize_t end) except -1:
        cdef Py_ssize_t rows = end - begin, k
        found, gradient = self.calls.backward(self.copied(op.dy, begin, rows, width_of(op)), self.kept)
        self.write(op.scratch, 0, gradient, 1, op.parameter_reals)
        for k in range(op.n_reads - 1, -1, -1):
            if op.reads[k].is_wanted:
                self.write(op.reads[k].dx, begin, found[k], rows, op.reads[k].width)
                self.table.finish_dx(op, k, begin, end)
        return 0


cdef void end_of_python(raised, str whose, long forks, fw_shared* interrupted) noexcept:
    """What follows a call of Python that raised this, or None, and before which there were so many forks."""
    if raised is None and forks != FORKS:
        raised = RuntimeError(f"{whose} own function has forked in the middle of a call: this process has not the "
                              "threads that it was shared with")
    fw_enter_float_mode()        # whatever the functions have set
    if raised is not None:
        fw_exchange(interrupted, 1)
        PyErr_SetObject(type(raised), raised)


cdef void call_python(const Op* op, Py_ssize_t begin, Py_ssize_t end, bint goes_back) noexcept with gil:
    cdef const Callee* callee = <const Callee*>op.callee
    cdef PythonOp python_op = <PythonOp>callee.python_op
    cdef long forks = FORKS
    raised = None
    try:
        if goes_back:
            python_op.backward(op, begin, end)
        else:
            python_op.forward(op, begin, end)
    except BaseException as error:
        raised = error
    end_of_python(raised, "a layer's", forks, callee.interrupted)


cdef inline bint may_call(const Op* op) noexcept nogil:
    return fw_read((<const Callee*>op.callee).interrupted) == 0


cdef void python_measure(Op* op) noexcept nogil:
    cdef Py_ssize_t i
    op.parameter_reals = 0
    for i in range(op.n_variables):
        op.parameter_reals += op.variables[i]
    op.piece_parameters = op.scratch_reals = op.parameter_reals
    op.pieces = 1 if op.parameter_reals > 0 else 0


cdef void python_forward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if may_call(op):
        call_python(op, begin, end, False)


cdef void python_backward(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """dx and, into scratch, the gradient of the parameters by all rows."""
    if may_call(op):
        call_python(op, begin, end, True)


cdef void python_gradient(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                          Py_ssize_t end_piece) noexcept nogil:
    """That of all rows counts for the first of them, where it is asked for chunk by chunk."""
    cdef Py_ssize_t size = op.parameter_reals * (<const Callee*>op.callee).real_bytes
    if begin == 0:
        memcpy(op.gradients, op.scratch, size)
    else:
        memset(op.gradients, 0, size)


cdef OpKind PYTHON = OpKind("numpy", python_measure, NULL, python_forward, NULL, python_backward,
                            python_gradient, NULL, NULL, NULL, NULL, False)
