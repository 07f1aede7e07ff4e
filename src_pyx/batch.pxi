# One batch: its rows, the gradients of its pieces of the parameters, and the step.

cdef class Batch(Asking):
    """Trains on one batch, each member of the team on its rows and then on its pieces of the parameters."""

    cdef double[MAX_SLICES] slice_loss
    cdef double penalty_now             # of the parameters that the batch meets

    @cython.final
    cdef double run_rows(self, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                         Py_ssize_t* left) noexcept nogil:
        """All that a batch's rows have to do. Returns its mean loss to every member.

        What is left for `renew` are the gradients of the last `left` rows, which are in the arena, or
        (0) the sum of the slices' gradients.
        """
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t slices = self.slices_of(rows)
        self.share_costs(ops, rows)
        if self.job.weights != NULL:
            self.weigh_batch(ops, member, first, rows, False)
        if member == 0 and self.n_penalties > 0:
            self.divide_penalties(self.count_of_batch(rows))
        if self.n_matrices > 0:
            self.weigh_matrices(member, team)
        if slices > 1:
            left[0] = 0
            return self.run_slices(ops, member, team, first, rows, slices)
        return self.run_whole(ops, member, team, first, rows, left)

    @cython.final
    cdef double run_whole(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                          Py_ssize_t* left) noexcept nogil:
        cdef Py_ssize_t done = 0, chunk, begin, end, i
        cdef Pieces own
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef double total = 0.0
        while True:
            chunk = self.whole_rows(rows - done)
            begin = self.share_of(chunk, member, team.members)
            end = self.share_of(chunk, member + 1, team.members)
            self.load(member, first + done + begin, begin, end)
            if self.knows_all_rows:
                self.run_stages(ops, member, team, self.n_loss_ops, chunk, begin, end)
                if self.is_masked:
                    self.share_told(ops, member, team, begin, end)
                    if self.job.weights != NULL:
                        self.weigh_batch(ops, member, first, rows, True)
                self.ask_python_of_batch(ops, member, team, chunk)
                if begin < end:
                    self.measure_loss(ops, member, begin, end, rows, True, team.members)
                self.run_stages_back(ops, member, team, self.n_loss_ops, chunk, begin, end)
                self.give_dx(first + done + begin, begin, end)
            elif begin < end:
                self.run_forward(ops, 0, self.n_loss_ops, begin, end)
                self.measure_loss(ops, member, begin, end, rows, True, team.members)
                for i in range(self.n_loss_ops - 1, -1, -1):
                    self.run_backward(ops, i, begin, end)
                self.give_dx(first + done + begin, begin, end)
            if member == 0 and done + chunk < rows:
                self.look_for_signals()
            if member == 0 and done == 0:
                self.penalty_now = self.penalty()
            meet(team)
            if self.is_interrupted():
                return 0.0
            total += self.loss_of(0, chunk, team.members) + self.cost_of(0, chunk)
            if member == 0 and self.job.sums != NULL:
                self.measure_metrics(ops, member, self.job.sums.apart, first + done, 0, chunk, team.members)
            done += chunk
            if done == rows:
                left[0] = chunk
                return total / rows + self.penalty_now
            for i in range(self.n_loss_ops - 1, -1, -1):
                own = self.pieces_of(i, member, team)
                if own.begin < own.end and self.is_trained[i]:
                    self.add_gradient(&ops[i], i, &sums, 0, chunk, own, done == chunk, False)
            meet(team)

    @cython.final
    cdef double run_slices(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                           Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t part, last_part = slices * (member + 1) // team.members
        cdef double total = 0.0
        for part in range(slices * member // team.members, last_part):
            self.run_slice(ops, member, part, first, rows, slices)
        if member == 0:
            self.penalty_now = self.penalty()
        meet(team)
        if self.is_interrupted():
            return 0.0
        for part in range(slices):
            total += self.slice_loss[part]
            if member == 0 and self.job.sums != NULL:
                merge_part(&self.meter, self.job.sums.apart, part)
        return total / rows + self.penalty_now

    @cython.final
    cdef void run_slice(self, Op* ops, int member, Py_ssize_t part, Py_ssize_t first, Py_ssize_t rows,
                        Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t done = rows * part // slices, last = rows * (part + 1) // slices
        cdef Py_ssize_t begin = member * self.room, end, i
        cdef Total sums = self.total_of(self.slice_gradients + part * self.n_parameters * self.table.real_bytes, member)
        cdef bint is_first = True, is_last
        cdef double total = 0.0
        forget_part(&self.meter, part)
        while done < last and not self.is_interrupted():
            end = begin + min(self.room, last - done)
            is_last = done + end - begin == last
            self.load(member, first + done, begin, end)
            self.run_forward(ops, 0, self.n_loss_ops, begin, end)
            self.measure_loss(ops, member, begin, end, rows, True, 1)
            total += self.loss_of(begin, end, 1) + self.cost_of(begin, end)
            self.measure_metrics(ops, member, part_of(&self.meter, part), first + done, begin, end, 1)
            for i in range(self.n_loss_ops - 1, -1, -1):
                self.run_backward(ops, i, begin, end)
                if self.is_trained[i]:
                    self.add_gradient(&ops[i], i, &sums, begin, end, Pieces(0, ops[i].pieces), is_first, is_last)
            self.give_dx(first + done, begin, end)
            is_first = False
            done += end - begin
            if member == 0 and not is_last:
                self.look_for_signals()
        self.slice_loss[part] = total

    @cython.final
    cdef Pieces places_of(self, Py_ssize_t i, Pieces own) noexcept nogil:
        """Where these pieces of op i's parameters begin and end in the flat vectors."""
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t end = op.parameter_reals if own.end == op.pieces else own.end * op.piece_parameters
        return Pieces(self.offsets[i] + own.begin * op.piece_parameters, self.offsets[i] + end)

    @cython.final
    cdef void add_gradient(self, Op* op, Py_ssize_t i, const Total* sums, Py_ssize_t begin, Py_ssize_t end,
                           Pieces own, bint is_first, bint is_last) noexcept nogil:
        """The gradient of op i from one chunk, rows [begin, end), of a batch that may have more.

        A chunk's is one chain over its rows; chunks are added with compensation, since chains of any
        length would lose any number of digits. So are several ops' that have the same parameters, the
        last op's first, as backward comes by them.
        """
        cdef Py_ssize_t bytes = self.table.real_bytes, offset = self.offsets[i] * bytes
        cdef Pieces places
        is_first = is_first and self.is_last_user[i]
        is_last = is_last and self.earlier_user[i] < 0
        op.gradients = (sums.gradients if is_first else sums.chunk) + offset
        op.gradient(op, begin, end, own.begin, own.end)
        if is_first and is_last:
            return
        places = self.places_of(i, own)
        if is_first:
            memset(sums.excess + places.begin * bytes, 0, (places.end - places.begin) * bytes)
        else:
            self.table.add_part(sums.gradients, sums.excess, sums.chunk, places.begin, places.end, is_last)

    @cython.final
    cdef bint rests(self, Py_ssize_t rows, Py_ssize_t left, const Moment* now) noexcept nogil:
        """Whether a step is on the parameters alone that the batch touches, where an op knows which these are."""
        return (self.update.rests and now.numbers[1] == 0.0 and left == rows and left <= WHOLE_ROWS
                and self.is_plain())

    @cython.final
    cdef void renew(self, int member, Team* team, Py_ssize_t rows, Py_ssize_t left, const Moment* now,
                    bint prepare, bint goes_on) noexcept nogil:
        """This member's pieces of the parameters: gradient, update (unless now is NULL), preparation.

        The update waits where it looks at all gradients. `goes_on` is whether the gradients are
        those of a step that `rests`, of this plan's.
        """
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* op
        cdef Pieces own, group, places
        cdef Py_ssize_t slices = self.slices_of(rows), at_once = self.rows_at_a_time(rows), i
        for i in range(self.n_ops):
            if not self.is_last_user[i] or not self.is_trained[i]:
                continue
            op = &ops[i]
            own = self.pieces_of(i, member, team)
            if op.step != NULL and now != NULL and self.earlier_user[i] < 0 and self.rests(rows, left, now):
                op.gradients = self.gradients.at + self.offsets[i] * self.table.real_bytes
                if own.begin < own.end:
                    op.step(op, 0, left, own.begin, own.end, goes_on, self.update.apply,
                            self.state.at + self.offsets[i] * self.table.real_bytes, self.n_parameters, now.numbers)
                continue
            while own.begin < own.end:
                group = Pieces(own.begin, own.end if self.is_uneven[i] else group_end(op, own))
                places = self.places_of(i, group)
                if left == rows and left <= WHOLE_ROWS and self.earlier_user[i] < 0:
                    op.gradients = self.gradients.at + self.offsets[i] * self.table.real_bytes
                    op.gradient(op, 0, left, group.begin, group.end)
                elif left > 0:
                    self.add_gradients(ops, i, rows, left, group)
                elif slices > 1:
                    self.table.sum_parts(self.gradients.at, self.slice_gradients, self.n_parameters,
                                         places.begin, places.end, slices)
                if self.n_penalties + self.n_matrices > 0:
                    self.penalise(places)
                if now != NULL:
                    self.take_in(places, now)
                    if not self.waits():
                        self.move(i, places, now)
                elif member == 0 and left > WHOLE_ROWS:
                    self.look_for_signals()
                if self.is_interrupted():
                    return
                if prepare:
                    self.prepare_users(ops, i, at_once, group)
                own.begin = group.end

    @cython.final
    cdef void step(self, int member, Team* team, Py_ssize_t rows, Py_ssize_t left, const Moment* now,
                   bint prepare, bint goes_on) noexcept nogil:
        """Gradients and update, and what follows them before the next rows."""
        prepare = prepare and (now.moves or now.overwrites)
        self.renew(member, team, rows, left, now, prepare and self.n_bounds == 0 and not self.waits(), goes_on)
        self.finish_step(member, team, now, self.rows_at_a_time(rows) if prepare else 0)

    @cython.final
    cdef void finish_step(self, int member, Team* team, const Moment* now, Py_ssize_t prepared_for) noexcept nogil:
        """What all gradients, and all weights, must be there for; then preparation for rows, if there are any."""
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Pieces own, group
        cdef Py_ssize_t i
        cdef bint has_bounds = self.n_bounds > 0
        if self.waits():
            if now.moves:
                meet(team)
                if self.has_norms():
                    self.add_squares(member, team)
                    meet(team)
                if self.is_called:
                    self.clip_own(member, team)
                    meet(team)
                    if member == 0:
                        ask_rule(<void*>self, now)
                    meet(team)
                    if self.is_interrupted():
                        return
            for i in range(self.n_ops):
                if not self.is_last_user[i] or not self.is_trained[i]:
                    continue
                own = self.pieces_of(i, member, team)
                while own.begin < own.end:
                    group = Pieces(own.begin, own.end if self.is_uneven[i] else group_end(&ops[i], own))
                    self.move(i, self.places_of(i, group), now)
                    if prepared_for > 0 and not has_bounds:
                        self.prepare_users(ops, i, prepared_for, group)
                    own.begin = group.end
        if not has_bounds:
            return
        meet(team)
        self.keep_bounds(member, team)
        if prepared_for > 0:
            meet(team)
            for i in range(self.n_ops):
                if self.is_last_user[i] and self.is_trained[i]:
                    self.prepare_users(ops, i, prepared_for, self.pieces_of(i, member, team))

    @cython.final
    cdef void clip_own(self, int member, Team* team) noexcept nogil:
        """This member's gradients, before a rule looks at all of them."""
        cdef Pieces own
        cdef Py_ssize_t i
        if not self.has_norms():
            return
        for i in range(self.n_ops):
            own = self.pieces_of(i, member, team)
            if self.is_last_user[i] and self.is_trained[i] and own.begin < own.end:
                self.clip_norms(i, self.places_of(i, own))

    @cython.final
    cdef void add_gradients(self, Op* ops, Py_ssize_t user, Py_ssize_t rows, Py_ssize_t left,
                            Pieces group) noexcept nogil:
        """The gradient of pieces that several ops have, or from several chunks of the last `left` rows."""
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef Py_ssize_t done, upto
        while user >= 0:
            group = self.pieces_for(user, group)
            done = 0
            while done < left:
                upto = min(left, done + WHOLE_ROWS)
                self.add_gradient(&ops[user], user, &sums, done, upto,
                                  group, done == 0 and left == rows, upto == left)
                done = upto
            user = self.earlier_user[user]

    cdef inline Pieces pieces_for(self, Py_ssize_t user, Pieces group) noexcept nogil:
        """What pieces of parameters that another op has, too, are for this one."""
        return Pieces(0, self.ops[user].pieces) if self.is_uneven[user] else group

    cdef inline void prepare_users(self, Op* ops, Py_ssize_t user, Py_ssize_t rows, Pieces group) noexcept nogil:
        """What all ops that have these pieces make of them."""
        while user >= 0:
            if group.begin < group.end:
                group = self.pieces_for(user, group)
            if ops[user].prepare != NULL and group.begin < group.end:
                ops[user].prepare(&ops[user], rows, group.begin, group.end)
            user = self.earlier_user[user]

    @cython.final
    cdef void prepare(self, int member, Team* team, Py_ssize_t rows) noexcept nogil:
        """What depends on the parameters alone, before the first rows."""
        cdef Op* op
        cdef Pieces own
        cdef Py_ssize_t i
        for i in range(self.n_ops):
            op = &self.ops[member * self.n_ops + i]
            own = self.pieces_of(i, member, team)
            if op.prepare != NULL and (own.begin < own.end or (op.pieces == 0 and member == 0)):
                op.prepare(op, rows, own.begin, own.end)
        meet(team)


cdef inline Py_ssize_t group_end(const Op* op, Pieces own) noexcept nogil:
    """Where the first group of these pieces ends."""
    # Without a division for small networks.
    if (own.end - own.begin) * op.piece_parameters <= GROUP_PARAMETERS:
        return own.end
    return own.begin + max(<Py_ssize_t>1, GROUP_PARAMETERS // op.piece_parameters)
