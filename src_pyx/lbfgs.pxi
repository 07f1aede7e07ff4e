# L-BFGS: Nocedal & Wright, "Numerical Optimization", 2nd ed. (2006), algorithms 7.4 (two loops) and 7.5.
#
# What it remembers are pairs s = the parameters' difference, y = the gradient's, of the last steps, in the model's
# dtype: `history` vectors s, then as many y, of the flat vector's size, which go round. Of its numbers the last two
# are how many pairs there are and where the next one goes.

@cython.final
cdef class LBFGS(Minimizer):
    """Directions by the curvature along the last steps; lengths by a line search.

    Parameters
    ----------
    As `Minimizer`'s, then (learning_rate, history, tolerance_grad, tolerance_change, c1, c2, trials).
    """

    cdef double learning_rate, c1, c2
    cdef Py_ssize_t history, trials
    cdef double* pairs               # of the parameters that move: as the vectors
    cdef double* alphas

    def __cinit__(self, plan, vectors, numbers, x, y, weights, rows, double learning_rate, Py_ssize_t history,
                  double tolerance_grad, double tolerance_change, double c1, double c2, Py_ssize_t trials):
        cdef Py_ssize_t k, size = self.plan.n_parameters * self.plan.table.real_bytes
        self.learning_rate, self.history, self.c1, self.c2, self.trials = learning_rate, history, c1, c2, trials
        self.tolerance_grad, self.tolerance_change = tolerance_grad, tolerance_change
        if self.vectors.view.len < 2 * history * size or self.numbers.view.len != 3 * <Py_ssize_t>sizeof(double):
            raise ValueError(f"vectors: got {self.vectors.view.len} bytes, expected {2 * history * size}")
        if not (0 <= self.count_now() <= history and 0 <= self.next_now() < history):
            raise ValueError(f"numbers: got {self.count_now()} pairs and place {self.next_now()}, expected some of "
                             f"{history}")
        self.pairs = <double*>room_for(2 * history * self.n, sizeof(double))
        self.alphas = <double*>room_for(history, sizeof(double))
        for k in range(2 * history):
            self.gather(self.pairs + k * self.n, self.vectors.at + k * size)

    def __dealloc__(self):
        free(self.pairs)
        free(self.alphas)

    cdef inline Py_ssize_t count_now(self) noexcept nogil:
        return <Py_ssize_t>(<double*>self.numbers.at)[1]

    cdef inline Py_ssize_t next_now(self) noexcept nogil:
        return <Py_ssize_t>(<double*>self.numbers.at)[2]

    cdef inline double* s_of(self, Py_ssize_t slot) noexcept nogil:
        return self.pairs + slot * self.n

    cdef inline double* y_of(self, Py_ssize_t slot) noexcept nogil:
        return self.pairs + (self.history + slot) * self.n

    cdef void forget(self) noexcept nogil:
        (<double*>self.numbers.at)[1] = 0.0

    cdef int advance(self) noexcept nogil:
        cdef int outcome
        while True:
            self.find_direction()
            outcome = self.search()
            if outcome != STUCK or self.count_now() == 0:
                return outcome
            # What it remembers may be of other rows, or of a place where the loss was another one.
            self.forget()

    cdef void find_direction(self) noexcept nogil:
        """-H g, of the inverse Hessian H that the pairs say; -g where that leads nowhere."""
        cdef Py_ssize_t n = self.n, count = self.count_now(), k, slot
        cdef double* d = self.direction
        cdef double curvature, slope
        for k in range(n):
            d[k] = -self.gradient[k]
        slot = self.next_now()
        for k in range(count):
            slot = (slot if slot > 0 else self.history) - 1
            self.alphas[slot] = dot_of(self.s_of(slot), d, n) / dot_of(self.s_of(slot), self.y_of(slot), n)
            add_times(d, -self.alphas[slot], self.y_of(slot), n)
            if k == 0:
                curvature = (dot_of(self.s_of(slot), self.y_of(slot), n)
                             / dot_of(self.y_of(slot), self.y_of(slot), n))
        if count > 0:
            for k in range(n):
                d[k] *= curvature
        for k in range(count):
            add_times(d, self.alphas[slot] - dot_of(self.y_of(slot), d, n)
                      / dot_of(self.s_of(slot), self.y_of(slot), n), self.s_of(slot), n)
            slot = slot + 1 if slot + 1 < self.history else 0
        slope = dot_of(self.gradient, d, n)
        if count > 0 and not (slope < 0.0 and isfinite(slope)):
            self.forget()
            for k in range(n):
                d[k] = -self.gradient[k]

    cdef int search(self) noexcept nogil:
        """A step along the direction that meets Wolfe's conditions, or the best one of those that were tried."""
        cdef Search search
        cdef double slope = dot_of(self.gradient, self.direction, self.n), length = self.learning_rate
        cdef int became = GO_ON
        cdef Py_ssize_t trial = 0
        if self.count_now() == 0:
            length /= sqrt(-slope)          # which is the gradient's norm
        begin_search(&search, self.loss, slope, length, self.c1, self.c2)
        while became == GO_ON and trial < self.trials:
            self.try_step(search.step)
            if self.plan.is_interrupted():
                return self.go_back(INTERRUPTED)
            became = consider(&search, self.tried_loss, dot_of(self.tried_gradient, self.direction, self.n))
            trial += 1
        if became != FOUND:
            if search.best.step == 0.0 or not search.best.loss < self.loss:
                return self.go_back(STUCK)
            self.try_step(search.best.step)
            if self.plan.is_interrupted():
                return self.go_back(INTERRUPTED)
        self.remember()
        return self.accept()

    cdef void remember(self) noexcept nogil:
        """The pair of this step, if the loss is convex along it."""
        cdef double* numbers = <double*>self.numbers.at
        cdef Py_ssize_t slot = self.next_now(), size = self.plan.n_parameters * self.plan.table.real_bytes, k
        cdef double* s = self.s_of(slot)
        cdef double* y = self.y_of(slot)
        cdef double before = 0.0
        # Not over the oldest pair, which stays where this one is of no use.
        cdef double* room = self.direction
        self.gather(room, self.plan.parameters.at)
        for k in range(self.n):
            room[k] -= self.start[k]
            before -= room[k] * self.gradient[k]
        if not self.bends(room, before):
            return
        for k in range(self.n):
            s[k] = room[k]
            y[k] = self.tried_gradient[k] - self.gradient[k]
        # As they will be read from there.
        self.scatter(self.vectors.at + slot * size, s)
        self.gather(s, self.vectors.at + slot * size)
        self.scatter(self.vectors.at + (self.history + slot) * size, y)
        self.gather(y, self.vectors.at + (self.history + slot) * size)
        numbers[1] = min(self.count_now() + 1, self.history)
        numbers[2] = slot + 1 if slot + 1 < self.history else 0

    cdef bint bends(self, const double* s, double before) noexcept nogil:
        """Whether s . y is above what rounding makes of a step that promised to take off `before`."""
        cdef double found = before
        cdef Py_ssize_t k
        for k in range(self.n):
            found += s[k] * self.tried_gradient[k]
        return found > EPSILON * fabs(before)


# Of a double.
cdef double EPSILON = 2.220446049250313e-16
