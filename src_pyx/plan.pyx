"""The plan: a network as a flat array of ops over one arena, run without Python.

    gather -> forward ops -> loss -> backward ops (reversed) -> gradients, update and preparation

A plan is built once for a network and a number of rows (`layout.pxi`), then runs (`rows.pxi`,
`batch.pxi`, `running.pxi`). It owns one arena for everything that is not a parameter, allocates nothing
while it runs and holds no GIL. A team of threads runs it together, in one of two ways, which the network and the rows of the batch decide and the number of threads never
does, so that the bits are the same for any team:

* **whole**: the batch lies in the arena. Members share its rows, meet, and share the pieces of the
  parameters: of each the gradient, which is one chain over all rows, then the update, then what the
  next step's forward pass wants prepared. They meet again. A batch larger than the arena goes through
  in chunks, whose gradients are added up with compensation.
* **sliced**: small networks on many rows. The batch is cut into slices, and members share them: each
  slice has gradients of its own, made chunk by chunk in the member's part of the arena. They meet, and
  share the pieces of the parameters: the slices' gradients are added in order; then as above.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport INFINITY, NAN, fabs, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

from threading import local

from numpy import empty, empty_like, ndarray

from fastweights._core.arrays import taken

from ops cimport (
    Activation, CONSTRAINT_NUMBERS, Constraint, KernelTable, LOSS_NUMBERS, Loss, Matrix, Metric, OP_OPTIONS, OP_SIZES,
    OP_VARIABLES, OPTION_NUMBERS, Op, op_columns, op_rows, OpKind, Pass, Read, Update, widen_function,
)

cdef extern from *:
    const char* FW_OPS_STAMP

# Which ops.pxd this was built from: see setup.py.
STAMP = FW_OPS_STAMP.decode()

cdef extern from "Python.h":
    # Runs the handlers of signals that have come; where one raises, its exception is pending from then on.
    int check_signals "PyErr_CheckSignals"()
    void PyErr_SetString(object kind, const char* message)
    void PyErr_SetObject(object kind, object raised)
    void* PyErr_Occurred()

include "memory.pxi"
include "schedules.pxi"
include "team.pxi"
include "asking.pxi"
include "lock.pxi"
include "contest.pxi"
include "gather.pxi"
include "heads.pxi"

cdef enum:
    # A network with more parameters than this runs whole: the slices' gradients would leave the cache.
    SLICED_PARAMETERS = 65536
    MIN_SLICE_ROWS = 128
    # What the update of a parameter takes, in multiply-adds.
    PARAMETER_WORK = 16
    MAX_SLICES = 16
    # Rows of a whole batch in the arena at a time, and of a slice or in inference.
    WHOLE_ROWS = 1024
    CHUNK_ROWS = 256
    # Bytes that they may take, unless that is too few for a step from one member's rows to the next: each member
    # has as many of a slice.
    WHOLE_BYTES = 1 << 28
    CHUNK_BYTES = 1 << 26
    SLICE_BYTES = 6 << 20
    # Rows of a kept batch between two looks for signals.
    LOOK_ROWS = 1024
    # Of what the ops between two that look at all rows make, so much at a time: it stays in the second cache.
    NEAR_BYTES = 1 << 20
    # Parameters whose gradient, update and preparation follow each other while they are in the cache.
    GROUP_PARAMETERS = 36864
    # The members' rows begin at multiples of this, whole register tiles, or of an op's row_step.
    ROW_STEP = 8
    # The largest row_step there is, of ops that go by tiles.
    TILED_ROW_STEP = 32
    # Columns of a cache line: members that share columns write to lines of their own.
    LINE_REALS = 16
    # Of an optimizer.
    UPDATE_NUMBERS = 8

# Between two looks for signals within a call that goes through many chunks.
cdef double SIGNAL_SECONDS = 0.04

include "python_ops.pxi"
include "python_losses.pxi"
include "weights.pxi"
include "layout.pxi"
include "rows.pxi"
include "stepping.pxi"
include "python_rules.pxi"
include "batch.pxi"
include "running.pxi"


cdef class Seen:
    """Where a pass leaves outputs, and which of their lines count."""

    cdef Arrays out, told

    def __cinit__(self, Arrays out, Arrays told):
        self.out, self.told = out, told


@cython.final
cdef class Plan(Runner):
    """Runs one network, in training for batches of up to `rows`.

    Parameters
    ----------
    table : capsule
        The KernelTable of a kernels module.
    specs : sequence of OpSpec
        The network, op by op, in an order in which they can run.
    inputs : sequence of int
        How wide rows are of each array that the network is given: reals, or whole numbers of 8 bits
        that become reals, or int32 where ops read it that take nothing else.
    parameters, gradients : buffer
        The flat vectors; without `gradients` (None) the plan is for inference, and keeps nothing for a
        backward pass.
    lock : ModelLock
        Of the model; held while the plan runs.
    rows : int
        The largest batch; in inference, where rows go through in chunks, how many there are.
    budget : fastweights.config.Budget
        How many threads a team may have, and what a thread must have to do.
    input_gradient : bool
        Whether the gradients by the inputs are wanted too.
    kept : bool
        Whether all rows must stay in the arena from `forward` to `backward`.
    matmul_parts : int
        Into how many bfloat16 parts matrix products may split float32, up to 3; 0: not at all.
    only_measured : bool
        Whether `arena_bytes` is all that is wanted: then nothing is allocated, and nothing runs.
    trained : tuple of bool, optional
        Whether the parameters of the first ops are to move; those of all others do.
    states : buffer, optional
        The flat vector of what ops remember.
    penalties : sequence of (begin, end, l1, l2, is_of_sum)
        Parameters that cost l1 |w| + l2 w^2 each, which is part of a batch's loss: beside the mean of its rows or,
        where the last is true, beside their sum, which is divided by what they count together.
    matrices : sequence of (begin, vectors, length, are_columns, factor)
        Those whose rows or columns cost factor |cos| for each pair of them.
    bounds : sequence of (begin, groups, along, inner, constraint, options)
        What a step leaves of variables: each is groups of `along` parameters, `inner` apart.
    heads : sequence of (int, int, int, int), optional
        Of each output the op that makes it, the op that its loss looks at, into how many lines loss and metrics
        cut a row, each with a target of its own, and the op that says which of these count, -1 where all do.
        The row's loss is the mean of its lines; with a mask a batch's is that of all its lines that count.
        The last op by default.
    own_losses : sequence of (callable, int) or None
        Of each output, if any has one, the function that is its loss and the bytes of a row's targets; None where
        `set_losses` says a kernel. It gets targets and predictions, both with a row for each line that counts, and a
        scale: it returns the lines' losses (float64) and scale times their gradients by the predictions.
    late_ops : int
        How many ops, the last ones, only predictions and metrics need.
    longest : int
        In inference: that each call of `go_on` has the next step of the same rows, up to so many; 0: no.
    """

    cdef fw_shared[LINE] allowed        # threads of the budget that are granted for now
    cdef Contest contest
    cdef bint has_losses
    cdef readonly Py_ssize_t kept_rows  # that `forward` left in the arena for `backward` ...
    cdef uint64_t kept_weights          # ... a digest of the parameters that it had ...
    cdef uint64_t kept_seed, kept_stream    # ... and the random numbers

    def __cinit__(self, table, specs, inputs, parameters, gradients, ModelLock lock not None, Py_ssize_t rows,
                  budget, bint input_gradient=False, bint kept=False, int matmul_parts=0,
                  bint only_measured=False, tuple trained=None, states=None, penalties=(), matrices=(), bounds=(),
                  heads=None, own_losses=(), Py_ssize_t late_ops=0, Py_ssize_t longest=0):
        self.table = table_of(table)
        self.parameters = Address(parameters, True)
        self.gradients = Address(gradients, True)
        self.states = Address(states, True)
        self.trains = gradients is not None
        self.lock = lock
        self.rows = rows
        self.longest = longest
        self.threads, cpus, self.grain = budget
        self.allowed[0] = self.threads
        self.matmul_parts = matmul_parts if self.table.has_tiles else 0
        self.set_penalties(penalties, matrices)
        self.set_bounds(bounds)
        heads = heads or [(len(specs) - 1, len(specs) - 1, 1, -1)]
        if any([own is not None for own in own_losses]):
            if len(own_losses) != len(heads):
                raise ValueError(f"own_losses: got {len(own_losses)}, expected {len(heads)}")
            self.python_losses = tuple([None if own is None else PythonLoss(*own) for own in own_losses])
        self.build(specs, inputs, heads, trained, input_gradient, kept)
        for python_op in self.python_ops:
            (<PythonOp>python_op).callee.interrupted = &self.job.interrupted[0]
        self.tune_by(specs)
        self.n_loss_ops = self.n_ops - late_ops
        if not 0 <= late_ops < self.n_ops:
            raise ValueError(f"late_ops: got {late_ops}, expected some of {self.n_ops}")
        if not only_measured:
            if self.trains:
                lock.enter()
                lock.rested = NULL      # which may be a plan that was here before
                self.forget_gradients()
                lock.leave()
            self.lay_out()
            recruit(self.members, cpus)

    def __dealloc__(self):
        free_meter(&self.meter)

    def grant(self, Py_ssize_t rows, int matmul_parts, int threads):
        """Sets how many threads may be taken, or says False: `rows` and so many need another plan."""
        if not self.serves(rows, matmul_parts) or threads > self.threads:
            return False
        fw_exchange(&self.allowed[0], threads)
        return True

    def needs_no_grant(self, Py_ssize_t rows, int matmul_parts):
        """Whether `rows` find all they need and are too little work for a second thread in any case."""
        return self.serves(rows, matmul_parts) and self.team_of(rows, 2) == 1

    cdef bint serves(self, Py_ssize_t rows, int matmul_parts):
        if self.table.has_tiles and matmul_parts != self.matmul_parts:
            return False
        return rows <= self.rows or (not self.trains and self.room >= self.chunk_limit)

    def team(self, Py_ssize_t rows, int threads):
        """How many of so many threads `rows` take."""
        return self.team_of(rows, threads)

    cdef int team_of(self, Py_ssize_t rows, int threads) noexcept nogil:
        cdef Py_ssize_t units, slices
        if not self.trains:
            return self.team_for(rows * self.work_per_row, (rows + self.room - 1) // self.room, threads)
        slices = self.slices_of(rows)
        units = slices if slices > 1 else (rows + self.row_step - 1) // self.row_step
        return self.team_for(3.0 * rows * self.work_per_row, units, threads)

    cdef uint64_t digest(self) noexcept nogil:
        """Another number for other parameters or another state, but for one case in 2^64."""
        cdef uint64_t found = digest_of(self.parameters.at, self.parameters.view.len)
        return found if self.states.at == NULL else found ^ 7 * digest_of(self.states.at, self.states.view.len)

    cdef forget_gradients(self):
        """Of parameters that stay as they are nobody makes a gradient: it is 0."""
        cdef Py_ssize_t bytes = self.table.real_bytes, i
        for i in range(self.n_ops):
            if self.trains and not self.is_trained[i]:
                memset(self.gradients.at + self.offsets[i] * bytes, 0, self.ops[i].parameter_reals * bytes)

    cdef Py_ssize_t output_bytes(self, Py_ssize_t head):
        """Of a row of an output."""
        return width_of(&self.ops[self.heads[head].op]) * self.table.real_bytes

    def set_losses(self, losses):
        """(name, options, target_bytes of a row, weight) of the loss of each output; of its own no name matters."""
        cdef Head* head
        cdef Py_ssize_t target_bytes
        if len(losses) != self.n_heads:
            raise ValueError(f"losses: got {len(losses)}, expected {self.n_heads}")
        for i, (name, options, target_bytes, weight) in enumerate(losses):
            head = &self.heads[<Py_ssize_t>i]
            head.weight = weight
            if head.python_loss == NULL:
                head.loss = <const Loss*>find(self.table.losses, sizeof(Loss), name)
                copy_numbers(head.options, LOSS_NUMBERS, name, options)
                head.target_bytes = head.lines * head.loss.target_bytes(head.columns, head.options)
            if target_bytes != head.target_bytes or target_bytes < 0:
                raise ValueError(f"{name}: got targets of {target_bytes} bytes, expected {head.target_bytes}")
        self.has_losses = True

    def set_metrics(self, metrics):
        """(output, name, options, labelled) of each metric, which looks at the output of that number.

        Any loss is one, too. Targets are those of `set_losses`: labels where the last says so.
        """
        set_meter(&self.meter, self.table, self.heads, self.n_heads, metrics,
                  max(self.slices, <Py_ssize_t>self.members))

    def lines(self):
        """Into how many lines loss and metrics cut a row of each output."""
        return [self.heads[i].lines for i in range(self.n_heads)]

    def tally(self, weights=None):
        """Empty sums of loss and metrics, for one call or many, on rows with these weights."""
        cdef Py_ssize_t i
        apart = [(i, self.heads[i].weight) for i in range(self.n_heads)
                 if (weights is not None and weights[i] is not None) or (self.heads[i].mask_op >= 0 and not self.trains)]
        return empty_tally(&self.meter, tuple(apart))

    # ---- whole stretches of work -------------------------------------------------------------------

    cdef int most_for(self, Py_ssize_t rows) noexcept nogil:
        return min(self.members, self.team_of(rows, <int>fw_read(&self.allowed[0])))

    cdef void run(self, task_function share, const Job* job, int members) noexcept nogil:
        self.job = job[0]
        run_together(share, <void*>self, members)

    cdef int run_locked(self, task_function share, Job* job, Py_ssize_t rows) except -1:
        """One call's work on `rows`, alone on the model; raises what a signal's handler raised meanwhile."""
        self.lock.enter()
        # Left before the GIL is asked for, which a daemon's thread may never get at the end of a process.
        with nogil:
            self.run(share, job, self.most_for(rows))
            job.interrupted[0] = self.job.interrupted[0]
            self.lock.leave()
        return raise_pending(job)

    cdef void run_batches(self, Job* job) noexcept nogil:
        """Trains on the job's rows until its time is up, by the team that turns out to be the fastest."""
        cdef Py_ssize_t first, last = job.last
        cdef int most = self.most_for(job.batch_size), members
        cdef double began, seconds = job.seconds, until = job.until
        if most == 1 or self.grain == 0.0:
            self.run(train_task, job, most)
            return
        while True:
            members = choose_members(&self.contest, job.batch_size, most)
            first, began = job.first, fw_seconds()
            if self.contest.turn < TURNS:
                job.seconds = 0.0 if settles(&self.contest) else TURN_SECONDS
                job.until = min(until, began + job.seconds)
                job.last = last
            else:
                job.seconds, job.until = seconds, until
                job.last = min(last, first + <Py_ssize_t>self.contest.steps_left * job.batch_size)
            self.run(train_task, job, min(members, self.most_for(min(job.batch_size, last - first))))
            job.first = self.job.first
            if job.first > first:
                note_steps(&self.contest, <double>(job.first - first) / job.batch_size, fw_seconds() - began)
            if job.first == last or not isfinite(self.job.loss) or self.is_interrupted() or fw_seconds() >= until:
                return
            if fw_read(&self.lock.waiting[0]) != 0:
                return

    cdef int expect_inputs(self, str argument, Arrays given, Py_ssize_t rows) except -1:
        """Raises ValueError unless there are so many rows for each input; those of x may be bytes."""
        cdef Py_ssize_t row_bytes, i
        if given.count != self.n_feeds:
            raise ValueError(f"{argument}: got {given.count} arrays, expected {self.n_feeds}")
        for i in range(self.n_feeds):
            row_bytes = self.feeds[i].row_bytes
            if argument == "x" and comes_as_bytes(&self.feeds[i], given.item_bytes[i]):
                row_bytes = self.feeds[i].width
            expect(argument, <Address>given.addresses[i], rows * row_bytes)
        return 0

    cdef int expect_outputs(self, str argument, Arrays given, Py_ssize_t rows) except -1:
        """Raises ValueError unless there are so many rows for each output, no more and no less."""
        cdef Py_ssize_t i
        if given.count != self.n_heads:
            raise ValueError(f"{argument}: got {given.count} arrays, expected {self.n_heads}")
        for i in range(self.n_heads):
            if given.at[i] == NULL:
                raise ValueError(f"{argument}: got None, expected an array")
            if (<Address>given.addresses[i]).view.len != rows * self.output_bytes(i):
                raise ValueError(f"{argument}: got {(<Address>given.addresses[i]).view.len} bytes, expected "
                                 f"{rows * self.output_bytes(i)}: has its array changed?")
        return 0

    cdef int expect_weights(self, Arrays given, Py_ssize_t rows) except -1:
        """Raises ValueError unless there are weights, or None, of so many rows for each output: doubles.

        One for each row, or one for each line of it; `given.item_bytes` then is what those of a row take.
        """
        cdef Address weights
        cdef Py_ssize_t line_bytes, i
        if given.count != self.n_heads:
            raise ValueError(f"weights: got {given.count} arrays, expected {self.n_heads}")
        for i in range(self.n_heads):
            if given.at[i] == NULL:
                continue
            weights, line_bytes = <Address>given.addresses[i], self.heads[i].lines * <Py_ssize_t>sizeof(double)
            if given.item_bytes[i] != sizeof(double) or weights.view.ndim not in (1, 2):
                raise ValueError("weights: expected one double for each row, or for each line of it")
            if weights.view.ndim == 2:
                given.item_bytes[i] *= weights.view.shape[1]
            if given.item_bytes[i] not in (sizeof(double), line_bytes):
                raise ValueError(f"weights: got {given.item_bytes[i]} bytes of a row, expected {sizeof(double)}, or "
                                 f"{line_bytes} of its lines")
            expect("weights", weights, rows * given.item_bytes[i])
        return 0

    cdef int expect_batch(self, Arrays x, Arrays y, Arrays weights, Address order, Py_ssize_t last) except -1:
        """Raises ValueError where the buffers are smaller than the first `last` rows of them."""
        cdef Py_ssize_t rows = last, i
        if not self.has_losses:
            raise ValueError("y: got targets, expected set_losses before")
        if order.at != NULL:
            expect("order", order, last * <Py_ssize_t>sizeof(int64_t))
            rows = order.view.len // <Py_ssize_t>sizeof(int64_t)
        self.expect_inputs("x", x, rows)
        if y.count != self.n_heads:
            raise ValueError(f"y: got {y.count} arrays, expected {self.n_heads}")
        for i in range(self.n_heads):
            if y.at[i] == NULL:
                raise ValueError("y: got None, expected an array")
            expect("y", <Address>y.addresses[i], rows * self.heads[i].target_bytes)
        if weights is not None:
            self.expect_weights(weights, rows)
        return 0

    def train(self, x, y, order, Py_ssize_t first, Py_ssize_t last, Py_ssize_t batch_size, double seconds,
              Tally tally=None, uint64_t seed=0, uint64_t stream=0, weights=None, out=None, told=None,
              Py_ssize_t before=0):
        """Trains on the batches from row `first` on, for about `seconds` or until row `last`.

        The random numbers of the pass are those of this seed and stream; stream 0: there are none. They follow a
        row's place in the pass, of which `before` rows came before the first of these data.

        Returns the first row not trained on and the loss of the last batch. A batch whose loss is not
        finite is not applied: the stretch ends before it. With a tally losses and metrics are added up,
        and out and told get what `infer` gives, in the order of the pass.
        Of weights there is an array, or None, for each output.
        """
        cdef Arrays data = Arrays(x), labels = Arrays(y), shares = weights_or_none(weights)
        cdef Seen seen = self.expect_seen(out, told, last, tally)
        cdef Address indices = Address(order)
        cdef Job job
        self.expect_batch(data, labels, shares, indices, last)
        self.expect_update()
        if not 0 < batch_size <= self.rows:
            raise ValueError(f"batch_size: got {batch_size}, expected 1 to {self.rows}")
        self.expect_batch_alone(batch_size)
        self.expect_batches("x", first, last)
        begin_job(&job, data.at, data.item_bytes)
        job.y, job.order = labels.at, <const int64_t*>indices.at
        give_weights(&job, shares)
        job.first, job.last, job.batch_size = first, last, batch_size
        job.seed, job.stream, job.before = seed, stream, before
        job.sums = self.sums_of(tally)
        see(&job, seen)
        self.lock.enter()
        with nogil:
            job.seconds = seconds
            job.until = fw_seconds() + seconds
            self.run_batches(&job)
            job = self.job
            self.lock.leave()
        raise_pending(&job)
        return job.first, job.loss

    cdef Sums* sums_of(self, Tally tally) except? NULL:
        if tally is None:
            return NULL
        if len(tally.ends) != self.meter.count or tally.width != self.meter.sums:
            raise ValueError("tally: got that of other metrics, expected one of this plan")
        return &tally.sums

    cdef int expect_batches(self, str argument, Py_ssize_t first, Py_ssize_t last) except -1:
        """Raises ValueError unless these rows are whole batches, where ops remember states of rows."""
        if self.batch_rows > 0 and (first % self.batch_rows or last % self.batch_rows):
            raise ValueError(f"{argument}: got rows {first} to {last}, expected batches of {self.batch_rows}")
        return 0

    cdef int expect_batch_alone(self, Py_ssize_t rows) except -1:
        """Raises ValueError unless so many rows are one batch, where ops remember states of rows."""
        if self.batch_rows > 0 and rows != self.batch_rows:
            raise ValueError(f"rows: got {rows}, expected {self.batch_rows}")
        return 0

    cdef int expect_dx(self, Arrays dx, Py_ssize_t rows) except -1:
        """Raises ValueError where gradients by inputs have no room, or nobody makes them."""
        cdef Py_ssize_t i
        self.expect_inputs("dx", dx, rows)
        for i in range(self.n_feeds):
            if dx.at[i] != NULL and self.feeds[i].dx == NULL:
                raise ValueError("dx: got an array, expected None or a plan that makes it")
        return 0

    def gradients_of(self, x, y, dx, Py_ssize_t rows, uint64_t seed=0, uint64_t stream=0, weights=None):
        """Mean loss of these rows; gradients into the flat vector and, unless None, into dx.

        x and dx are arrays, or tuples of one for each input; y and weights likewise for each output.
        """
        cdef Arrays data = Arrays(x), labels = Arrays(y), input_gradients = Arrays(dx, True)
        cdef Arrays shares = weights_or_none(weights)
        cdef Job job
        self.expect_batch(data, labels, shares, NOTHING, rows)
        self.expect_dx(input_gradients, rows)
        self.expect_batch_alone(rows)
        if not 0 < rows <= self.rows:
            raise ValueError(f"rows: got {rows}, expected 1 to {self.rows}")
        begin_job(&job, data.at, data.item_bytes)
        job.y, job.dx, job.last = labels.at, <char**>input_gradients.at, rows
        give_weights(&job, shares)
        job.seed, job.stream = seed, stream
        self.lock.enter()
        with nogil:
            self.run(gradient_task, &job, self.most_for(rows))
            job = self.job
            self.lock.leave()
        raise_pending(&job)
        return job.loss

    def parameters_cost(self, Tally tally not None):
        """What parameters cost as they are, beside the loss of rows that this tally counted."""
        cdef Team alone
        cdef fw_float_mode mode
        cdef double total, counted = tally.sums.rows
        if self.n_heads == 1 and self.heads[0].mask_op < 0 and tally.weights:
            counted = tally.sums.apart[1]
        alone.members = 1
        self.lock.enter()
        with nogil:
            mode = fw_enter_float_mode()
            self.weigh_matrices(0, &alone)
            self.divide_penalties(counted)
            total = self.penalty()
            fw_leave_float_mode(mode)
            self.lock.leave()
        return total

    def apply_update(self):
        """One step of the optimizer with the gradients that are there."""
        cdef Job job
        self.expect_update()
        begin_job(&job, NULL, NULL)
        self.lock.enter()
        with nogil:
            self.run(update_task, &job, 1)
            job.interrupted[0] = self.job.interrupted[0]
            self.lock.leave()
        raise_pending(&job)

    def infer(self, x, y, out, Py_ssize_t first, Py_ssize_t last, double seconds, Tally tally=None, weights=None,
              told=None):
        """Rows from `first` on, for about `seconds` or until row `last`: returns the first row not done.

        Where ops remember states of rows a call does one batch, all of it before anybody else comes.

        Where y is given, losses and metrics are added up in the tally. out gets the network's outputs; beside y
        those of which it has an array, for all rows of the pass, and told a byte for each line of outputs
        with a mask, whether it counts.
        """
        cdef Arrays data = Arrays(x), labels = Arrays(y), results = Arrays(out, True)
        cdef Arrays shares = weights_or_none(weights)
        cdef Seen seen
        cdef Job job
        if y is not None:
            self.expect_batch(data, labels, shares, NOTHING, last)
            seen = self.expect_seen(out, told, last, tally)
        else:
            self.expect_inputs("x", data, last)
            self.expect_outputs("out", results, last)
        self.expect_batches("x", first, last)
        self.widen_feeds(data)
        begin_job(&job, data.at, data.item_bytes)
        job.sums = self.sums_of(tally)
        if y is not None:
            job.y = labels.at
            give_weights(&job, shares)
            see(&job, seen)
        else:
            job.out = <char**>results.at
        first = self.infer_rows(&job, first, last, seconds)
        if first < last and (raised := raised_by_thread()) is not None:
            raise raised
        return first

    cdef Seen expect_seen(self, out, told, Py_ssize_t rows, Tally tally):
        """Checked places for the outputs of so many rows, and for which of their lines count; None: nobody asks."""
        cdef Seen seen
        cdef Py_ssize_t i
        if out is None:
            return None
        seen = Seen(Arrays(out, True), Arrays(told, True))
        if tally is None or seen.out.count != self.n_heads or seen.told.count != self.n_heads:
            raise ValueError(f"out: got {seen.out.count} arrays, expected {self.n_heads} beside told and a tally")
        for i in range(self.n_heads):
            expect("out", <Address>seen.out.addresses[i], rows * self.output_bytes(i))
            expect("told", <Address>seen.told.addresses[i], rows * self.heads[i].lines)
        return seen

    cdef Py_ssize_t infer_rows(self, Job* job, Py_ssize_t first, Py_ssize_t last, double seconds) except -1:
        cdef bint asks_python = job.y != NULL and self.python_losses is not None
        if self.batch_rows > 0:
            last = min(last, first + self.batch_rows)
        job.first, job.last = first, last
        # A look at the clock costs as much as a row of a small network.
        job.until = fw_seconds() + seconds if last - first > self.room else 0.0
        self.lock.enter()
        with nogil:
            # Members take chunks as they come, and only the caller has a Python.
            self.run(infer_task, job, 1 if asks_python else self.most_for(last - first))
            job.interrupted[0] = self.job.interrupted[0]
            first = min(last, first + self.job.taken[0] * self.room)
            self.lock.leave()
        raise_pending(job)
        return first

    def answer(self, x, int matmul_parts):
        """The output for a few rows that kernels can take as they are; None for any other x.

        The short way from one call to its prediction, (rows, outputs).
        """
        cdef Py_ssize_t rows, inputs = self.feeds[0].width, outputs = self.output_bytes(0) // self.table.real_bytes
        cdef Address data, result
        cdef const char* at
        cdef Job job
        if self.n_feeds > 1 or self.n_heads > 1 or self.feeds[0].is_integer:
            return None
        # A subclass, such as one with a mask, may be more than its numbers.
        x = taken(x, self.table.real_bytes, inputs) if type(x) is ndarray else None
        if x is None:
            return None
        data = Address(x)
        rows = data.view.len // (inputs * self.table.real_bytes)
        if self.batch_rows not in (0, rows):
            return None
        if rows > self.room or not self.serves(rows, matmul_parts) or self.team_of(rows, 2) > 1:
            return None
        out = empty((rows, outputs), "f" if self.table.real_bytes == 4 else "d")
        at, result = data.at, Address(out, True)
        begin_job(&job, &at, &data.view.itemsize)
        job.out = &result.at
        self.infer_rows(&job, 0, rows, 0.0)
        return out

    def go_on(self, x):
        """The output for the next step of all rows, of which x has one each: (rows, outputs)."""
        cdef Py_ssize_t outputs = self.output_bytes(0) // self.table.real_bytes
        cdef Arrays data = Arrays(x)
        cdef Address result
        cdef Job job
        self.expect_inputs("x", data, self.rows)
        out = empty((self.rows, outputs), "f" if self.table.real_bytes == 4 else "d")
        result = Address(out, True)
        self.widen_feeds(data)
        begin_job(&job, data.at, data.item_bytes)
        job.out, job.last = &result.at, self.rows
        self.lock.enter()
        if self.gone >= self.longest:
            self.lock.leave()
            raise ValueError(f"step: got one after {self.gone:,}, expected {self.longest:,} at most; stream.reset() "
                             "begins anew")
        if self.gone == self.carried_steps and not self.carry(min(self.longest, 2 * self.gone)):
            self.lock.leave()
            raise self.no_room(2 * self.gone)
        with nogil:
            self.run(infer_task, &job, 1)
            job.interrupted[0] = self.job.interrupted[0]
            self.gone += 1
            self.lock.leave()
        raise_pending(&job)
        return out

    def begin_again(self):
        """Forgets all steps that have gone."""
        self.lock.enter()
        self.gone = 0
        self.lock.leave()

    def forward(self, x, out, Py_ssize_t rows, uint64_t seed=0, uint64_t stream=0):
        """The network's outputs for all rows, keeping what `backward` needs; x is copied."""
        cdef Arrays data = Arrays(x), results = Arrays(out, True)
        cdef Job job
        self.expect_inputs("x", data, rows)
        self.expect_outputs("out", results, rows)
        if rows > self.rows or not self.is_kept:
            raise ValueError(f"rows: got {rows}, expected at most {self.rows} of a plan that keeps them")
        self.expect_batch_alone(rows)
        begin_job(&job, data.at, data.item_bytes)
        job.out, job.last = <char**>results.at, rows
        job.seed, job.stream = seed, stream
        self.kept_rows = 0
        self.run_locked(forward_task, &job, rows)
        self.kept_weights = self.digest()
        self.kept_seed, self.kept_stream = seed, stream
        self.kept_rows = rows

    def backward(self, dy, dx, Py_ssize_t rows):
        """Gradients of the parameters and of the inputs, from those of the last `forward`'s outputs."""
        cdef Arrays given = Arrays(dy), input_gradients = Arrays(dx, True)
        cdef Job job
        if rows != self.kept_rows:
            raise ValueError(f"rows: got {rows}, expected {self.kept_rows}, as forward had")
        self.expect_outputs("dy", given, rows)
        self.expect_dx(input_gradients, rows)
        begin_job(&job, NULL, NULL)
        job.dy, job.dx, job.last = given.at, <char**>input_gradients.at, rows
        job.seed, job.stream = self.kept_seed, self.kept_stream
        if self.digest() != self.kept_weights:
            raise ValueError("backward: got weights that were changed since model.forward(x), expected "
                             "model.forward(x) again")
        self.run_locked(backward_task, &job, rows)


# A job on these rows, of which nothing else is wanted yet.
cdef inline void begin_job(Job* job, const char** x, const Py_ssize_t* item_bytes) noexcept nogil:
    memset(job, 0, sizeof(Job))
    job.x, job.item_bytes = x, item_bytes


# Gives it places for what its pass makes; None: there are none.
cdef inline void see(Job* job, Seen seen):
    if seen is not None:
        job.out, job.told = <char**>seen.out.at, seen.told.at


# Weights as they come to a plan: a tuple, or None.
cdef Arrays weights_or_none(weights):
    return None if weights is None else Arrays(weights)


cdef inline void give_weights(Job* job, Arrays weights):
    if weights is not None:
        job.weights, job.weight_bytes = <const double**>weights.at, weights.item_bytes


# Raises what a signal's handler raised, or what the op called, which is pending already.
cdef int raise_pending(const Job* job) except -1:
    return -1 if job.interrupted[0] else 0


cdef Address NOTHING = Address(None)


cdef void train_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).train_share(member, team)


cdef void gradient_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).gradient_share(member, team)


cdef void update_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).update_share(member, team)


cdef void infer_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).infer_share(member, team)


cdef void forward_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).forward_share(member, team)


cdef void backward_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).backward_share(member, team)


cdef const void* find(const void* entries, size_t stride, str name) except NULL:
    """The entry of that name in one of the table's lists; every entry begins with its name."""
    cdef const char* entry = <const char*>entries
    wanted = name.encode()
    while (<const char**>entry)[0] != NULL:
        if (<const char**>entry)[0] == wanted:
            return entry
        entry += stride
    raise KeyError(name)


cdef const KernelTable* table_of(table) except NULL:
    """The table of a kernels module, if that was compiled against the same Op."""
    cdef const KernelTable* kernels = <const KernelTable*>PyCapsule_GetPointer(table, "fastweights.kernels")
    if kernels.table_bytes != sizeof(KernelTable) or kernels.op_bytes != sizeof(Op):
        raise ImportError("the compiled kernels are of another version than the plan; build fastweights again")
    return kernels


cdef int expect(str argument, Address buffer, Py_ssize_t size) except -1:
    """Raises ValueError where a buffer, unless it is None, is smaller than `size` bytes."""
    if buffer.at != NULL and buffer.view.len < size:
        raise ValueError(f"{argument}: got {buffer.view.len} bytes, expected {size}: has its array changed?")
    return 0


# Another number for other bytes, but for one case in 2^64.
cdef uint64_t digest_of(const char* at, Py_ssize_t size) noexcept nogil:
    cdef uint64_t[4] lanes
    cdef uint64_t word
    cdef Py_ssize_t i = 0
    cdef int lane = 0
    lanes[0] = lanes[1] = lanes[2] = lanes[3] = 0x9E3779B97F4A7C15
    while i < size:
        word = 0
        memcpy(&word, at + i, min(<Py_ssize_t>8, size - i))
        lanes[lane] = (lanes[lane] ^ word) * <uint64_t>0xD6E8FEB86659FD93
        lanes[lane] ^= lanes[lane] >> 32
        lane = (lane + 1) % 4
        i += 8
    return lanes[0] ^ 3 * lanes[1] ^ 5 * lanes[2] ^ 7 * lanes[3]


cdef int copy_numbers(double* to, Py_ssize_t room, str name, numbers) except -1:
    """The numbers of a loss, a metric or an activation, if there are no more than fit."""
    given = tuple(numbers)
    if len(given) > room:
        raise ValueError(f"{name}: got {len(given)} options, expected at most {room}")
    for i, number in enumerate(given):
        to[i] = number
    return 0


def update_slots(table, str name):
    """How many state vectors the optimizer of that name keeps."""
    return (<const Update*>find(table_of(table).updates, sizeof(Update), name)).slots


include "line_search.pxi"
include "minimizing.pxi"
include "lbfgs.pxi"
include "levenberg_marquardt.pxi"
