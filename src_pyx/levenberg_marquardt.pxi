# Levenberg and Marquardt's method for losses that are sums of squares: Madsen, Nielsen & Tingleff, "Methods for
# non-linear least squares problems", 2nd ed. (2004), algorithm 3.16, with Nielsen's rule for the damping (1999).
#
#     (J^T J + 2 l2 + mu) h = -gradient
#
# A line of J is one number of one row's output, by all parameters that move, times sqrt(2 / (rows * numbers) * weight):
# the loss is half the sum of squares of what J is the derivative of. J is made block by block: rows go forward, then
# back once for each number of an output (its dy is 1), and each op's `gradient` of one row is a part of a line. Rows
# do not look at each other, so a pass back serves all rows of a block. Lines are added up as doubles, in panels, as
# products of a matrix with itself (`panel_products.pxi`): each element is one chain over all lines in order.
#
# Of the optimizer's numbers the last two are mu, 0 before the first step, and nu, by which it grows.

cdef enum:
    # Lines of J at a time: a multiple of what panels are cut by.
    BLOCK_LINES = 512
    # Of the matrix, eliminated at a time.
    BLOCK_PIVOTS = 64

# Of the largest parameter: a step that is smaller leaves all of them where they are.
cdef double SMALLEST_STEP = 1e-16
# What is left of mu where step after step is as good as the model of the loss says: nothing beside any matrix of
# rank, and yet more than the 0 that stands for "none chosen yet".
cdef double SMALLEST_DAMPING = 1e-16


@cython.final
cdef class LevenbergMarquardt(Minimizer):
    """Steps between Gauss and Newton's and the gradient's.

    Parameters
    ----------
    As `Minimizer`'s, then (doubles, damping, tolerance_grad, tolerance_change): `doubles` is the table of the kernels for
    float64.
    """

    cdef const KernelTable* table64
    cdef double damping
    cdef Py_ssize_t numbers_of_row           # of all outputs together
    cdef Py_ssize_t block_rows, block_numbers, block_lines
    cdef Py_ssize_t* places                  # of each op's parameters among those that move
    cdef double* matrix                      # J^T J ...
    cdef double* factor                      # ... and of the damped one
    cdef char* lines                         # BLOCK_LINES of J
    cdef char* spare                         # a line of each member's
    cdef double* widened                     # the lines as doubles; NULL: they are
    cdef double* left
    cdef double* right
    cdef double* strip

    def __cinit__(self, plan, vectors, numbers, x, y, weights, rows, doubles, double damping, double tolerance_grad,
                  double tolerance_change):
        cdef Py_ssize_t i, k, columns, bytes = self.plan.table.real_bytes, n = self.n
        self.table64 = table_of(doubles)
        self.damping, self.tolerance_grad, self.tolerance_change = damping, tolerance_grad, tolerance_change
        if self.numbers.view.len != 3 * <Py_ssize_t>sizeof(double):
            raise ValueError(f"numbers: got {self.numbers.view.len} bytes, expected three numbers")
        if self.plan.knows_all_rows or self.plan.n_matrices > 0 or self.plan.costs_something:
            raise ValueError("plan: got one whose rows look at each other, or cost something beside the loss")
        self.places = <Py_ssize_t*>room_for(self.plan.n_ops, sizeof(Py_ssize_t))
        for i in range(self.plan.n_ops):
            for k in range(self.n_spans):
                if self.spans[k].end <= self.plan.offsets[i]:
                    self.places[i] += self.spans[k].end - self.spans[k].begin
        for i in range(self.plan.n_heads):
            self.numbers_of_row += width_of(&self.plan.ops[self.plan.heads[i].loss_op])
        self.block_numbers = min(self.numbers_of_row, <Py_ssize_t>BLOCK_LINES)
        self.block_rows = min(min(rows, self.plan.capacity), BLOCK_LINES // self.block_numbers)
        self.block_lines = self.block_rows * self.block_numbers
        columns = (n + self.table64.panel_columns - 1) // self.table64.panel_columns * self.table64.panel_columns
        self.matrix = <double*>room_for(n * n, sizeof(double))
        self.factor = <double*>room_for(n * n, sizeof(double))
        self.lines = <char*>room_for(self.block_lines * n, bytes)
        self.spare = <char*>room_for(self.plan.members * n, bytes)
        if bytes == 4:
            self.widened = <double*>room_for(self.block_lines * n, sizeof(double))
        self.left = <double*>room_for(BLOCK_PIVOTS * columns, sizeof(double))
        self.right = <double*>room_for(max(self.block_lines, <Py_ssize_t>BLOCK_PIVOTS) * columns, sizeof(double))
        self.strip = <double*>room_for(BLOCK_PIVOTS * n, sizeof(double))

    def __dealloc__(self):
        free(self.places)
        free(self.matrix)
        free(self.factor)
        free(self.lines)
        free(self.spare)
        free(self.widened)
        free(self.left)
        free(self.right)
        free(self.strip)

    def normal_matrix(self, uint64_t seed, uint64_t stream):
        """J^T J and what penalties add to its diagonal, (n, n), of the parameters that move, as they are now."""
        cdef fw_float_mode mode
        cdef Py_ssize_t i, j
        found = empty((self.n, self.n))
        cdef Address result = Address(found, True)
        self.wanted.seed, self.wanted.stream = seed, stream
        self.plan.lock.enter()
        mode = fw_enter_float_mode()
        self.plan.job.interrupted[0] = 0
        self.add_up()
        fw_leave_float_mode(mode)
        self.plan.lock.leave()
        raise_pending(&self.plan.job)
        for i in range(self.n):
            for j in range(self.n):
                (<double*>result.at)[i * self.n + j] = self.matrix[min(i, j) * self.n + max(i, j)]
        return found

    cdef int advance(self) noexcept nogil:
        cdef double* numbers = <double*>self.numbers.at
        cdef double* h = self.direction
        cdef double mu = numbers[1], nu = numbers[2], largest = 0.0, predicted, gain
        cdef Py_ssize_t i
        cdef int outcome
        self.add_up()
        if self.plan.is_interrupted():
            return INTERRUPTED
        if mu == 0.0:
            for i in range(self.n):
                largest = max(largest, self.matrix[i * (self.n + 1)])
            mu = self.damping * (largest if largest > 0.0 else 1.0)
        while True:
            if self.factorize(mu):
                self.solve()
                predicted = 0.0
                for i in range(self.n):
                    predicted += 0.5 * h[i] * (mu * h[i] - self.gradient[i])
                self.try_step(1.0)
                # NaN is not below.
                if not self.plan.is_interrupted() and self.tried_loss < self.loss and (
                        isfinite(largest_of(self.tried_gradient, self.n))):
                    gain = 2.0 * (self.loss - self.tried_loss) / predicted - 1.0
                    numbers[1] = max(SMALLEST_DAMPING, mu * max(1.0 / 3.0, 1.0 - gain * gain * gain))
                    numbers[2] = 2.0
                    return self.accept()
                self.go_back(MOVED)
                if largest_of(h, self.n) <= SMALLEST_STEP * largest_of(self.start, self.n):
                    return STUCK
            if self.plan.is_interrupted():
                return INTERRUPTED
            mu, nu = mu * nu, 2.0 * nu
            if not isfinite(mu):
                return STUCK

    # ---- J^T J -------------------------------------------------------------------------------------

    cdef void add_up(self) noexcept nogil:
        """The upper half of the matrix, of all rows and of penalties."""
        cdef Py_ssize_t i, k, at = 0, place, begin, end
        cdef double share
        memset(self.matrix, 0, self.n * self.n * sizeof(double))
        self.plan.job = self.wanted
        run_together(lines_task, <void*>self, min(self.plan.most_for(self.rows), self.plan.members))
        for k in range(self.n_spans):
            for i in range(self.plan.n_penalties):
                begin = max(self.spans[k].begin, self.plan.penalties[i].begin)
                end = min(self.spans[k].end, self.plan.penalties[i].end)
                share = 2.0 * self.plan.penalty_share(&self.plan.penalties[i]) * self.plan.penalties[i].l2
                for place in range(begin, end):
                    self.matrix[(at + place - self.spans[k].begin) * (self.n + 1)] += share
            at += self.spans[k].end - self.spans[k].begin

    cdef void share_lines(self, int member, Team* team) noexcept nogil:
        """What a member does for `add_up`."""
        cdef Op* ops = self.plan.ops + member * self.plan.n_ops
        cdef Py_ssize_t first = 0, rows, begin, end, number, count
        self.plan.prepare(member, team, self.block_rows)
        if self.wanted.weights != NULL:
            self.plan.weigh_batch(ops, member, 0, self.rows, False)
        while first < self.rows:
            rows = min(self.block_rows, self.rows - first)
            begin = self.plan.share_of(rows, member, team.members)
            end = self.plan.share_of(rows, member + 1, team.members)
            self.plan.load(member, first + begin, begin, end)
            if begin < end:
                self.plan.run_forward(ops, 0, self.plan.n_loss_ops, begin, end)
            number = 0
            while number < self.numbers_of_row:
                count = min(self.block_numbers, self.numbers_of_row - number)
                if begin < end:
                    self.write_lines(ops, member, begin, end, number, count)
                if member == 0:
                    self.plan.look_for_signals()
                meet(team)
                if self.plan.is_interrupted():
                    return
                self.add_lines(member, team, rows * count)
                number += count
            first += rows

    cdef void write_lines(self, Op* ops, int member, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t first_number,
                          Py_ssize_t count) noexcept nogil:
        """The lines of so many numbers of rows [begin, end) of the arena: a row's stand next to each other."""
        cdef Py_ssize_t bytes = self.n * self.plan.table.real_bytes, number, i, row
        for number in range(count):
            self.ask_for(ops, member, first_number + number, begin, end)
            for i in range(self.plan.n_loss_ops - 1, -1, -1):
                self.plan.run_backward(ops, i, begin, end)
            for row in range(begin, end):
                self.write_line(ops, self.lines + (row * count + number) * bytes, self.spare + member * bytes, row)

    cdef void ask_for(self, Op* ops, int member, Py_ssize_t number, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The gradient is that of one number of these rows' outputs, times the root of what its square counts."""
        cdef Py_ssize_t i, row, width, line
        cdef const Head* head
        cdef double size, told
        cdef Op* op
        for i in range(self.plan.n_heads):
            head = &self.plan.heads[i]
            op = &ops[head.loss_op]
            width = width_of(op)
            if op.dy != NULL:
                memset(<char*>op.dy + begin * width * self.plan.table.real_bytes, 0,
                       (end - begin) * width * self.plan.table.real_bytes)
                if 0 <= number < width:
                    size = sqrt(2.0 * head.weight * head.share / (<double>self.rows * head.columns))
                    for row in range(begin, end):
                        line = row * head.lines + number // head.columns
                        told = size * sqrt(self.share_of(i, member, line))
                        if self.plan.table.real_bytes == 4:
                            (<float*>op.dy)[row * width + number] = <float>told
                        else:
                            (<double*>op.dy)[row * width + number] = told
                if op.to_dz != NULL:
                    op.to_dz(op, begin, end)
            number -= width

    cdef inline double share_of(self, Py_ssize_t head, int member, Py_ssize_t line) noexcept nogil:
        """What a line of the arena counts beside the others of all rows, which count 1 in the mean."""
        cdef double mean
        if not self.plan.has_weights(head):
            return 1.0
        mean = self.plan.mean_weights[member * self.plan.n_heads + head]
        return self.plan.heads[head].weights[line] / mean if mean > 0.0 else 0.0

    cdef void write_line(self, Op* ops, char* line, char* spare, Py_ssize_t row) noexcept nogil:
        """The gradient of one row, of parameters that several ops have the sum."""
        cdef Py_ssize_t bytes = self.plan.table.real_bytes, i, k, user
        cdef char* part
        for i in range(self.plan.n_loss_ops):
            if not self.plan.is_trained[i] or not self.plan.is_last_user[i]:
                continue
            part = line + self.places[i] * bytes
            ops[i].gradients = part
            ops[i].gradient(&ops[i], row, row + 1, 0, ops[i].pieces)
            user = self.plan.earlier_user[i]
            while user >= 0:
                ops[user].gradients = spare
                ops[user].gradient(&ops[user], row, row + 1, 0, ops[user].pieces)
                if bytes == 4:
                    for k in range(ops[i].parameter_reals):
                        (<float*>part)[k] += (<float*>spare)[k]
                else:
                    for k in range(ops[i].parameter_reals):
                        (<double*>part)[k] += (<double*>spare)[k]
                user = self.plan.earlier_user[user]

    cdef void add_lines(self, int member, Team* team, Py_ssize_t lines) noexcept nogil:
        """All members have come so far with their lines, and go on together."""
        cdef Py_ssize_t begin = lines * member // team.members, end = lines * (member + 1) // team.members, i
        cdef Py_ssize_t panel = self.table64.panel_columns, stride = lines * panel
        cdef double* doubles = <double*>self.lines
        if self.widened != NULL:
            doubles = self.widened
            for i in range(begin * self.n, end * self.n):
                doubles[i] = (<float*>self.lines)[i]
        self.table64.pack_panels(self.right + begin * panel, stride, doubles + begin * self.n, end - begin, self.n)
        meet(team)
        i = member * panel
        while i < self.n:
            self.table64.multiply_panels(self.matrix, self.n, self.right, self.right, stride, lines, self.n, i)
            i += team.members * panel
        meet(team)

    # ---- the equations -----------------------------------------------------------------------------

    cdef bint factorize(self, double mu) noexcept nogil:
        """The upper triangle U of matrix + mu = U^T U (Cholesky), block by block; whether it is positive definite."""
        cdef Py_ssize_t n = self.n, first = 0, count, rest, i, k
        cdef Py_ssize_t panel = self.table64.panel_columns
        cdef double* u = self.factor
        cdef double* line
        memcpy(u, self.matrix, n * n * sizeof(double))
        for i in range(n):
            u[i * (n + 1)] += mu
        while first < n:
            self.plan.look_for_signals()
            count = min(n - first, <Py_ssize_t>BLOCK_PIVOTS)
            rest = n - first - count
            for i in range(first, first + count):
                line = u + i * n
                if not (0.0 < line[i] and isfinite(line[i])) or self.plan.is_interrupted():
                    return False
                line[i] = sqrt(line[i])
                for k in range(i + 1, n):
                    line[k] /= line[i]
                # Of the block's other lines all that stands right of the diagonal, so that they are done with.
                for k in range(i + 1, first + count):
                    add_times(u + k * n + k, -line[k], line + k, n - k)
            for i in range(count):
                memcpy(self.strip + i * rest, u + (first + i) * n + first + count, rest * sizeof(double))
            self.table64.pack_panels(self.right, count * panel, self.strip, count, rest)
            for i in range(count * rest):
                self.strip[i] = -self.strip[i]
            self.table64.pack_panels(self.left, count * panel, self.strip, count, rest)
            i = 0
            while i < rest:
                self.table64.multiply_panels(u + (first + count) * (n + 1), n, self.left, self.right, count * panel,
                                             count, rest, i)
                i += panel
            first += count
        return True

    cdef void solve(self) noexcept nogil:
        """The direction h of U^T U h = -gradient."""
        cdef Py_ssize_t n = self.n, i
        cdef double* h = self.direction
        for i in range(n):
            h[i] = -self.gradient[i]
        for i in range(n):
            h[i] /= self.factor[i * (n + 1)]
            add_times(h + i + 1, -h[i], self.factor + i * n + i + 1, n - i - 1)
        for i in range(n - 1, -1, -1):
            h[i] = (h[i] - dot_of(self.factor + i * n + i + 1, h + i + 1, n - i - 1)) / self.factor[i * (n + 1)]


cdef void lines_task(void* minimizer, int member, Team* team) noexcept nogil:
    (<LevenbergMarquardt>minimizer).share_lines(member, team)
