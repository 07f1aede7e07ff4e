# Updates that are not compiled: a rule of NumPy arrays, called once a step by the thread that called the plan, while
# all others wait. What it gets are copies. What it gives is copied once all of it is there and only where parameters
# are trained; where it raises the step is not made, and the call ends as with a layer's own functions (see
# python_ops.pxi).

cdef class Asking(Stepping):
    """Asks the rule for a step."""

    cdef inline Py_ssize_t accumulated_bytes(self) noexcept nogil:
        return 0 if self.accumulated == NULL else self.n_parameters * self.table.real_bytes

    @cython.final
    cdef void keep_waiting(self) noexcept nogil:
        """What the batch moves before the rule is asked: what ops remember, and the sums of gradients."""
        cdef Py_ssize_t size = self.states.view.len
        if size > 0:
            memcpy(self.waiting.at, self.states.at, size)
        if self.accumulated != NULL:
            memcpy(self.waiting.at + size, self.accumulated, self.accumulated_bytes())

    @cython.final
    cdef void bring_back(self) noexcept nogil:
        cdef Py_ssize_t size = self.states.view.len
        if size > 0:
            memcpy(self.states.at, self.waiting.at, size)
        if self.accumulated != NULL:
            memcpy(self.accumulated, self.waiting.at + size, self.accumulated_bytes())

    cdef copied(self, const char* at, Py_ssize_t vectors):
        array = empty((vectors, self.n_parameters), "f" if self.table.real_bytes == 4 else "d")
        if vectors * self.n_parameters > 0:
            memcpy(Address(array, True).at, at, vectors * self.n_parameters * self.table.real_bytes)
        return array

    cdef int ask(self, const Moment* now) except -1:
        cdef Py_ssize_t bytes = self.table.real_bytes, size = self.n_parameters * bytes, begin, length, i, slot
        cdef long forks = FORKS
        cdef Address parameters, vectors
        moved, kept = self.rule(now.number, now.numbers[0], now.numbers[1], self.copied(self.parameters.at, 1)[0],
                                self.copied(self.gradients.at, 1)[0], self.copied(self.state.at, self.update.slots))
        parameters, vectors = Address(moved), Address(kept)
        expect("parameters", parameters, size)
        expect("vectors", vectors, self.update.slots * size)
        if forks != FORKS:
            return 0
        for i in range(self.n_ops):
            begin, length = self.offsets[i] * bytes, self.ops[i].parameter_reals * bytes
            if not (self.is_trained[i] and self.is_last_user[i]) or length == 0:
                continue
            memcpy(self.parameters.at + begin, parameters.at + begin, length)
            for slot in range(self.update.slots):
                memcpy(self.state.at + slot * size + begin, vectors.at + slot * size + begin, length)
        return 0


cdef void ask_rule(void* plan, const Moment* now) noexcept with gil:
    cdef Asking asking = <Asking>plan
    cdef long forks = FORKS
    raised = None
    try:
        asking.ask(now)
    except BaseException as error:
        raised = error
    end_of_python(raised, "an optimizer's", forks, &asking.job.interrupted[0])
    if asking.is_interrupted():
        asking.bring_back()
