# Running a plan: what each member of a team does.

cdef class Runner(Batch):
    """Runs the ops, batch by batch."""

    cdef ModelLock lock

    @cython.final
    cdef void train_share(self, int member, Team* team) noexcept nogil:
        cdef Job* job = &self.job
        cdef Moment now
        cdef int64_t batches = (<int64_t*>self.batch_count.at)[0]
        cdef Py_ssize_t first = job.first, rows, left
        cdef double loss
        cdef bint last = False, goes_on = self.lock.rested == <void*>self and not self.lock.gradients_shown
        cdef int unchecked = 1, patience = 1
        memcpy(now.numbers, self.update_options.at, self.update_options.view.len)
        self.prepare(member, team, self.rows_at_a_time(job.batch_size))
        while not last:
            rows = min(job.batch_size, job.last - first)
            if member == 0 and unchecked == patience:
                # Looking at the clock costs as much as a small step: look ever less often, as long as
                # no more than a sixteenth of the time passes between two looks.
                unchecked = 0
                job.stop = fw_seconds() >= job.until or fw_read(&self.lock.waiting[0]) != 0
                if patience < 64 and fw_seconds() < job.until - job.seconds * 15 / 16:
                    patience *= 2
            unchecked += 1
            # Gradients of chunks are there before a batch is done, which may be interrupted.
            goes_on = goes_on and rows <= WHOLE_ROWS
            if self.n_tuned > 0:
                self.tune(self.ops + member * self.n_ops, batches)
            loss = self.run_rows(member, team, first, rows, &left)
            if self.is_interrupted() or not isfinite(loss):
                break
            if not self.begin_step(&now, batches):
                loss = NAN
                break
            first += rows
            # Known before the update, since what it would prepare for a next step may cost as much.
            last = job.stop or first == job.last
            if self.is_called:
                if member == 0:
                    self.keep_waiting()
                meet(team)
            if self.has_states():
                self.settle(self.ops + member * self.n_ops, member, team)
            self.step(member, team, rows, left, &now, not last, goes_on)
            if self.is_called and self.is_interrupted():
                goes_on = False
                break
            batches += 1
            goes_on = self.rests(rows, left, &now)
            if member == 0 and job.sums != NULL:
                job.sums.loss += loss * rows
                job.sums.rows += rows
            meet(team)
        if member == 0:
            memcpy(self.update_options.at, now.numbers, self.update_options.view.len)
            (<int64_t*>self.batch_count.at)[0] = batches
            self.lock.rested = <void*>self if goes_on else NULL
            job.first = first
            job.loss = loss

    @cython.final
    cdef void update_share(self, int member, Team* team) noexcept nogil:
        """A step by the gradients that are there."""
        cdef Moment now
        cdef Pieces places
        cdef int64_t* batches = <int64_t*>self.batch_count.at
        cdef Py_ssize_t i
        memcpy(now.numbers, self.update_options.at, self.update_options.view.len)
        if not self.begin_step(&now, batches[0]):
            return
        if self.is_called:
            self.keep_waiting()
        for i in range(self.n_ops):
            if self.is_trained[i] and self.is_last_user[i]:
                places = Pieces(self.offsets[i], self.offsets[i] + self.ops[i].parameter_reals)
                self.take_in(places, &now)
                if not self.waits():
                    self.move(i, places, &now)
        self.finish_step(member, team, &now, 0)
        if self.is_called and self.is_interrupted():
            return
        memcpy(self.update_options.at, now.numbers, self.update_options.view.len)
        self.lock.rested = NULL
        batches[0] += 1

    @cython.final
    cdef void gradient_share(self, int member, Team* team) noexcept nogil:
        cdef Py_ssize_t left, rows = self.job.last
        cdef double loss
        if member == 0:
            self.lock.rested = NULL
        self.prepare(member, team, self.rows_at_a_time(rows))
        loss = self.run_rows(member, team, 0, rows, &left)
        if self.is_interrupted():
            return
        self.renew(member, team, rows, left, NULL, False, False)
        if member == 0:
            self.job.loss = loss

    @cython.final
    cdef void infer_share(self, int member, Team* team) noexcept nogil:
        """Chunk by chunk: predictions where `out` is given, loss and metrics where y is."""
        cdef Job* job = &self.job
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t begin = member * self.room, first, rows
        cdef long chunk
        self.prepare(member, team, self.rows_at_a_time(job.last))
        while True:
            chunk = fw_add(&job.taken[0], 1)
            first = job.first + chunk * self.room
            if first >= job.last:
                break
            rows = min(self.room, job.last - first)
            self.load(member, first, begin, begin + rows)
            if job.y != NULL:
                self.run_forward(ops, 0, self.n_loss_ops, begin, begin + rows)
                self.measure_loss(ops, member, begin, begin + rows, 1.0, False, 1)
                forget_part(&self.meter, member)
                self.measure_metrics(ops, member, part_of(&self.meter, member), first, begin, begin + rows, 1)
                wait_until(&job.merged[0], chunk, team.spins)
                if job.sums != NULL:
                    job.sums.loss += self.loss_of(begin, begin + rows, 1) + self.cost_of(begin, begin + rows)
                    job.sums.rows += rows
                    merge_part(&self.meter, job.sums.apart, member)
                fw_add(&job.merged[0], 1)
            else:
                self.run_forward(ops, 0, self.n_ops, begin, begin + rows)
                self.give_out(ops, first, begin, begin + rows)
            if first + rows == job.last or self.is_interrupted():   # by what an op has called
                break
            if self.batch_rows > 0:
                # Rows go on from those of the batch before: nobody else may come before all have.
                if member == 0:
                    self.look_for_signals()
            elif fw_seconds() >= job.until or fw_read(&self.lock.waiting[0]) != 0:
                break
        if self.batch_rows > 0:
            meet(team)
            if not self.is_interrupted():
                self.settle(ops, member, team)

    @cython.final
    cdef void forward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t rows = self.job.last, upto, i
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members), row_bytes
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        self.prepare(member, team, self.rows_at_a_time(rows))
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].row_bytes
            if comes_as_bytes(&self.feeds[i], self.job.item_bytes[i]):
                self.load_bytes(member, i, begin, begin, end)
                continue
            memcpy(self.feeds[i].rows + begin * row_bytes, self.job.x[i] + begin * row_bytes,
                   (end - begin) * row_bytes)
            self.give_x(member, i, self.feeds[i].rows)
        self.passes[member] = Pass(self.job.seed, self.job.stream, 0)
        if self.n_tuned > 0:
            self.tune(ops, 0 if self.batch_count is None else (<int64_t*>self.batch_count.at)[0])
        if self.knows_all_rows:
            self.run_stages(ops, member, team, self.n_ops, rows, begin, end)
            begin = end
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            self.run_forward(ops, 0, self.n_ops, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        if self.has_states():
            meet(team)
            if not self.is_interrupted():
                self.settle(ops, member, team)
        begin = self.share_of(rows, member, team.members)
        self.give_out(ops, begin, begin, end)

    @cython.final
    cdef void backward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t rows = self.job.last, upto, i
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members)
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        for i in range(self.n_feeds):
            self.give_x(member, i, self.feeds[i].rows)
        self.passes[member] = Pass(self.job.seed, self.job.stream, 0)
        self.share_costs(ops, rows)
        if member == 0:
            self.divide_penalties(rows)
        if self.n_matrices > 0:
            self.weigh_matrices(member, team)
        if self.knows_all_rows:
            self.take_dy(ops, begin, end)
            self.run_stages_back(ops, member, team, self.n_ops, rows, begin, end)
            self.give_dx(begin, begin, end)
            begin = end
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            self.take_dy(ops, begin, upto)
            for i in range(self.n_ops - 1, -1, -1):
                self.run_backward(ops, i, begin, upto)
            self.give_dx(begin, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        meet(team)
        if not self.is_interrupted():
            if member == 0:
                self.lock.rested = NULL
            self.renew(member, team, rows, rows, NULL, False, False)

    @cython.final
    cdef void take_dy(self, Op* ops, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """The caller's gradients by these rows of the outputs, from which a kept batch goes back."""
        cdef Op* op
        cdef Py_ssize_t row_bytes, i
        for i in range(self.n_heads):
            op = &ops[self.heads[i].op]
            if op.dy == NULL or begin == end:
                continue
            row_bytes = width_of(op) * self.table.real_bytes
            memcpy(<char*>op.dy + begin * row_bytes, self.job.dy[i] + begin * row_bytes, (end - begin) * row_bytes)
            if op.to_dz != NULL:
                op.to_dz(op, begin, end)
