"""The plan: a network as a flat array of ops over one arena, run without Python.

    gather -> forward ops -> loss -> backward ops (reversed) -> gradients, update and preparation

A plan is built once for a network and a number of rows. It owns one arena for everything that is not
a parameter, allocates nothing while it runs and holds no GIL. A team of threads runs it together, in
one of two ways, which the network and the rows of the batch decide and the number of threads never
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
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from numpy import empty, ndarray

from fastweights._core.arrays import taken

from ops cimport (
    Activation, KernelTable, Loss, METRIC_STATE, Metric, OPTION_NUMBERS, Op, OpKind, Update,
)

cdef extern from *:
    const char* FW_OPS_STAMP

# Which ops.pxd this was built from: see setup.py.
STAMP = FW_OPS_STAMP.decode()

cdef extern from "Python.h":
    # Runs the handlers of signals that have come; where one raises, its exception is pending from then on.
    int check_signals "PyErr_CheckSignals"()
    void PyErr_SetString(object kind, const char* message)
    void* PyErr_Occurred()

include "memory.pxi"
include "team.pxi"
include "lock.pxi"
include "contest.pxi"
include "gather.pxi"
include "meter.pxi"

cdef enum:
    # A network with more parameters than this runs whole: the slices' gradients would leave the cache.
    SLICED_PARAMETERS = 65536
    MIN_SLICE_ROWS = 128
    MAX_SLICES = 16
    # Rows of a whole batch in the arena at a time, and of a slice or in inference.
    WHOLE_ROWS = 1024
    CHUNK_ROWS = 256
    # Rows of a kept batch between two looks for signals.
    LOOK_ROWS = 1024
    # Parameters whose gradient, update and preparation follow each other while they are in the cache.
    GROUP_PARAMETERS = 32768
    # The members' rows begin at multiples of this, whole register tiles, or of an op's row_step.
    ROW_STEP = 8
    # Of an optimizer.
    UPDATE_NUMBERS = 8

# Between two looks for signals within a call that goes through many chunks.
cdef double SIGNAL_SECONDS = 0.04


# Pieces [begin, end) of an op's parameters.
cdef struct Pieces:
    Py_ssize_t begin
    Py_ssize_t end


# One call's work, as all members see it.
cdef struct Job:
    const char* x
    const char* y
    char* out                    # predictions or gradients by the input; may be NULL
    const int64_t* order         # rows in the order of training; NULL: as they are
    Py_ssize_t first
    Py_ssize_t last
    Py_ssize_t batch_size
    double seconds
    double until
    double loss
    Sums* sums                   # NULL: nobody wants them
    bint stop
    fw_shared[LINE] interrupted  # 1: by a signal's handler, whose exception is pending
    fw_shared[LINE] taken        # chunks that members have taken on ...
    fw_shared[LINE] merged       # ... and whose sums are in the plan's


# Where gradients go that come chunk by chunk.
cdef struct Total:
    char* gradients
    char* excess                 # what rounding took from them ...
    char* chunk                  # ... and room for those of one chunk


@cython.final
cdef class Plan:
    """Runs one network, in training for batches of up to `rows`.

    Parameters
    ----------
    table : capsule
        The KernelTable of a kernels module.
    specs : sequence of OpSpec
        The network, op by op.
    parameters, gradients : buffer
        The flat vectors; `gradients` None builds a plan for inference, which keeps nothing for a
        backward pass.
    lock : ModelLock
        Of the model; held while the plan runs.
    rows : int
        The largest batch; in inference, where rows go through in chunks, how many there are.
    budget : fastweights.config.Budget
        How many threads a team may have, and what a thread must have to do.
    input_gradient : bool
        Whether the gradient by the input is wanted too.
    kept : bool
        Whether all rows must stay in the arena from `forward` to `backward`.
    matmul_parts : int
        Into how many bfloat16 parts matrix products may split float32, up to 3; 0: not at all.
    only_measured : bool
        Whether `arena_bytes` is all that is wanted: then nothing is allocated, and nothing runs.
    """

    cdef const KernelTable* table
    cdef Address parameters, gradients, state, update_options
    cdef char* memory
    cdef readonly Py_ssize_t arena_bytes
    cdef readonly Py_ssize_t rows
    cdef int threads                    # of the budget ...
    cdef fw_shared[LINE] allowed        # ... and of those granted for now
    cdef readonly int members           # the largest team
    cdef double grain
    cdef double work_per_row            # of a forward pass, in multiply-adds
    cdef Py_ssize_t slices              # of a batch of `rows`
    cdef int matmul_parts               # 0 where they make no difference
    cdef Py_ssize_t row_step
    cdef Py_ssize_t room                # rows of the arena that are one member's
    cdef Py_ssize_t capacity            # rows of the arena
    cdef Py_ssize_t n_ops, n_parameters
    cdef Py_ssize_t slice_rows          # the fewest of a slice
    cdef Py_ssize_t n_loss_ops          # how many ops stand before the loss
    cdef Op* ops                        # each member's, one after the other
    cdef Py_ssize_t* offsets            # where each op's parameters begin, and where the last one's end
    cdef Py_ssize_t workspace_bytes     # of each member
    cdef char* workspaces
    cdef char* inputs                   # gathered rows of x ...
    cdef char* targets                  # ... and of y
    cdef double* values                 # the loss of each row
    cdef char* parts                    # the gradients of each slice
    cdef char* chunks                   # for each member, or for all, the excess and one chunk of a Total
    cdef double[MAX_SLICES] slice_loss
    cdef const Loss* loss
    cdef double[OPTION_NUMBERS] loss_options
    cdef Py_ssize_t target_bytes        # of one row
    cdef Meter meter
    cdef const Update* update
    cdef Job job
    cdef double next_look               # for signals
    cdef Contest contest
    cdef ModelLock lock
    cdef readonly Py_ssize_t kept_rows  # that `forward` left in the arena for `backward` ...
    cdef uint64_t kept_weights          # ... and a digest of the parameters that it had

    def __cinit__(self, table, specs, parameters, gradients, ModelLock lock not None, Py_ssize_t rows, budget,
                  bint input_gradient=False, bint kept=False, int matmul_parts=0, bint only_measured=False):
        self.table = table_of(table)
        self.parameters = Address(parameters, True)
        self.gradients = Address(gradients, True)
        self.lock = lock
        self.rows = rows
        cdef Py_ssize_t i
        self.threads, cpus, self.grain = budget
        self.allowed[0] = self.threads
        self.n_ops = len(specs)
        self.n_loss_ops = self.n_ops
        self.offsets = <Py_ssize_t*>calloc(self.n_ops + 1, sizeof(Py_ssize_t))
        if self.offsets == NULL:
            raise MemoryError()
        self.matmul_parts = matmul_parts if self.table.has_tiles else 0
        self.weigh(specs)
        self.divide(kept)
        self.ops = <Op*>calloc(self.members * self.n_ops, sizeof(Op))
        if self.ops == NULL:
            raise MemoryError()
        self.describe(specs, input_gradient)
        self.measure()
        for i, spec in enumerate(specs):
            if self.ops[i].parameter_reals < 0:
                raise ValueError(f"specs: got {spec}, expected sizes that suit its kind")
            if self.ops[i].parameter_reals != spec.parameters:
                raise ValueError(f"specs: got {spec}, expected {self.ops[i].parameter_reals} parameters")
        self.arena_bytes = <Py_ssize_t>(<uintptr_t>self.place(NULL))
        if not only_measured:
            self.lay_out()
            recruit(self.members, cpus)

    def __dealloc__(self):
        free(self.ops)
        free(self.offsets)
        free(self.memory)
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
        return rows <= self.rows or (self.gradients.at == NULL and self.room == CHUNK_ROWS)

    def team(self, Py_ssize_t rows, int threads):
        """How many of so many threads `rows` take."""
        return self.team_of(rows, threads)

    cdef int team_of(self, Py_ssize_t rows, int threads) noexcept nogil:
        cdef Py_ssize_t units, slices
        if self.gradients.at == NULL:
            return self.team_for(rows * self.work_per_row, (rows + self.room - 1) // self.room, threads)
        slices = self.slices_of(rows)
        units = slices if slices > 1 else (rows + self.row_step - 1) // self.row_step
        return self.team_for(3.0 * rows * self.work_per_row, units, threads)

    # ---- building ----------------------------------------------------------------------------------

    cdef weigh(self, specs):
        cdef Py_ssize_t i, width = specs[0].inputs, bytes = self.table.real_bytes
        for i, spec in enumerate(specs):
            if spec.inputs < 1 or spec.outputs < 1 or spec.parameters < 0:
                raise ValueError(f"specs: got {spec}, expected sizes of at least 1")
            if i > 0 and spec.inputs != specs[i - 1].outputs:
                raise ValueError(f"specs: got {spec}, expected {specs[i - 1].outputs} inputs, as the op before "
                                 "has outputs")
            self.offsets[i + 1] = self.offsets[i] + spec.parameters
            width += spec.outputs
        self.n_parameters = self.offsets[self.n_ops]
        for name, vector in (("parameters", self.parameters), ("gradients", self.gradients)):
            expect(name, <Address>vector, self.n_parameters * bytes)
        self.slice_rows = max(<Py_ssize_t>MIN_SLICE_ROWS, self.n_parameters // width)

    cdef divide(self, bint kept):
        """How many threads can be of use, and the rows that each has in the arena."""
        self.members = <int>max(1, min(self.threads, <Py_ssize_t>MAX_MEMBERS))
        self.slices = 1
        if kept:
            self.room = self.rows
        elif self.gradients.at == NULL:
            self.room = min(self.rows, <Py_ssize_t>CHUNK_ROWS)
        else:
            self.slices = self.slices_of(self.rows)
            if self.slices > 1:
                self.members = <int>min(<Py_ssize_t>self.members, self.slices)
                self.room = CHUNK_ROWS
            else:
                self.room = min(self.rows, <Py_ssize_t>WHOLE_ROWS)

    cdef describe(self, specs, bint input_gradient):
        cdef Op* op
        cdef const OpKind* kind
        cdef Py_ssize_t i
        for i, spec in enumerate(specs):
            op = &self.ops[i]
            kind = <const OpKind*>find(self.table.ops, sizeof(OpKind), spec.kind)
            op.measure = kind.measure
            op.prepare = kind.prepare
            op.forward = kind.forward
            op.to_dz = kind.to_dz
            op.backward = kind.backward
            op.gradient = kind.gradient
            op.inputs = spec.inputs
            op.outputs = spec.outputs
            op.matmul_parts = self.matmul_parts
            op.has_bias = spec.has_bias
            op.activation = <const Activation*>find(self.table.activations, sizeof(Activation),
                                                    spec.activation.name)
            copy_numbers(op.activation_options, OPTION_NUMBERS, spec.activation.name, spec.activation.options)
            op.parameters = self.parameters.at + self.offsets[i] * self.table.real_bytes
            if self.gradients.at != NULL:
                op.gradients = self.gradients.at + self.offsets[i] * self.table.real_bytes
                op.wants_dx = i > 0 or input_gradient

    cdef void measure(self) noexcept nogil:
        """What each op wants, once more where the members' rows must begin further apart for that."""
        cdef Py_ssize_t i, shares = self.members if self.gradients.at == NULL or self.slices > 1 else 1
        # A smaller batch may be too small for slices; then all of it is in the arena.
        cdef Py_ssize_t fewest = min(self.rows, 2 * self.slice_rows) if self.slices > 1 else 0
        cdef Op* op
        while True:
            self.capacity = max(shares * self.room, fewest)
            self.work_per_row = 0.0
            self.row_step = ROW_STEP
            for i in range(self.n_ops):
                op = &self.ops[i]
                op.rows = self.capacity
                op.measure(op)
                self.work_per_row += op.work_per_row
                self.row_step = max(self.row_step, op.row_step)
                self.workspace_bytes = max(self.workspace_bytes, op.workspace_reals * self.table.real_bytes)
            if self.row_step == ROW_STEP or self.room % self.row_step == 0:
                return
            self.room += self.row_step - self.room % self.row_step

    cdef lay_out(self):
        """Allocates the arena, whose bytes `place` counted with no memory behind it, and hands it out."""
        cdef int member
        cdef Py_ssize_t i
        cdef Op* ops
        self.memory = <char*>calloc(self.arena_bytes + ALIGNMENT, 1)
        if self.memory == NULL:
            raise MemoryError(f"no {self.arena_bytes:,} bytes for batches of {self.rows} rows")
        fw_want_huge_pages(self.memory, self.arena_bytes + ALIGNMENT)
        self.place(self.memory + ALIGNMENT - <uintptr_t>self.memory % ALIGNMENT)
        for member in range(self.members):
            ops = self.ops + member * self.n_ops
            if member > 0:
                memcpy(ops, self.ops, self.n_ops * sizeof(Op))
            for i in range(self.n_ops):
                ops[i].before = &ops[i - 1] if i > 0 else NULL
                ops[i].workspace = self.workspaces + member * self.workspace_bytes

    cdef char* place(self, char* at):
        cdef Py_ssize_t bytes = self.table.real_bytes, row_bytes = self.capacity * bytes, i
        cdef Py_ssize_t shares
        cdef bint training = self.gradients.at != NULL
        cdef Op* op
        cdef char* previous_dy = NULL
        self.inputs = take(&at, row_bytes * self.ops[0].inputs)
        self.targets = take(&at, row_bytes * self.ops[self.n_ops - 1].outputs)
        self.values = <double*>take(&at, self.capacity * sizeof(double))
        if self.slices > 1:
            self.parts = take(&at, self.slices * self.n_parameters * bytes)
        if training and self.comes_in_chunks():
            shares = self.members if self.slices > 1 else 1
            self.chunks = take(&at, shares * 2 * self.n_parameters * bytes)
        self.workspaces = take(&at, self.members * self.workspace_bytes)
        if self.ops[0].wants_dx:
            previous_dy = take(&at, row_bytes * self.ops[0].inputs)
        for i in range(self.n_ops):
            op = &self.ops[i]
            op.x = self.inputs if i == 0 else self.ops[i - 1].y
            op.y = take(&at, row_bytes * op.outputs)
            op.prepared = take(&at, op.prepared_reals * bytes)
            if training:
                op.dx = previous_dy
                op.dy = take(&at, row_bytes * op.outputs)
                op.saved = take(&at, row_bytes * op.saved_per_row)
                op.scratch = take(&at, op.scratch_reals * bytes)
                previous_dy = <char*>op.dy
        return at

    def set_loss(self, str name, options, Py_ssize_t target_bytes, Py_ssize_t skipped_ops):
        """The loss, which looks at what comes before the last `skipped_ops` ops (a fused softmax)."""
        if not 0 <= skipped_ops < self.n_ops or not 0 < target_bytes <= 8 * self.ops[self.n_ops - 1].outputs:
            raise ValueError(f"{name}: got {target_bytes} bytes a row and {skipped_ops} ops to skip of {self.n_ops}")
        self.loss = <const Loss*>find(self.table.losses, sizeof(Loss), name)
        copy_numbers(self.loss_options, OPTION_NUMBERS, name, options)
        self.target_bytes = target_bytes
        self.n_loss_ops = self.n_ops - skipped_ops

    def set_metrics(self, metrics):
        """(name, options) of each metric, which look at the network's last output."""
        set_meter(&self.meter, self.table, metrics, self.ops[self.n_ops - 1].outputs,
                  max(self.slices, <Py_ssize_t>self.members))

    def set_update(self, str name, state, options):
        """The optimizer: its kernel, its state vectors and its numbers (float64, UPDATE_NUMBERS at most)."""
        cdef const Update* update = <const Update*>find(self.table.updates, sizeof(Update), name)
        cdef Address vectors = Address(state, True), numbers = Address(options, True)
        expect("state", vectors, update.slots * self.n_parameters * self.table.real_bytes)
        if numbers.view.len != update.numbers * <Py_ssize_t>sizeof(double) or update.numbers > UPDATE_NUMBERS:
            raise ValueError(f"{name}: got {len(options)} numbers, expected {update.numbers}")
        self.update, self.state, self.update_options = update, vectors, numbers

    def tally(self):
        """Empty sums of loss and metrics, for one call or many."""
        return empty_tally(&self.meter)

    # ---- how the work is divided -------------------------------------------------------------------

    cdef Py_ssize_t slices_of(self, Py_ssize_t rows) noexcept nogil:
        """Into how many slices a batch is cut: 1 (whole) unless activations outweigh the gradients."""
        if rows < 2 * self.slice_rows or self.n_parameters > SLICED_PARAMETERS:
            return 1
        return min(rows // self.slice_rows, <Py_ssize_t>MAX_SLICES)

    cdef Py_ssize_t rows_at_a_time(self, Py_ssize_t rows) noexcept nogil:
        """Of a batch, or in inference of all there are: it decides how ops go about them."""
        cdef Py_ssize_t slices
        if self.gradients.at == NULL:
            return min(rows, <Py_ssize_t>CHUNK_ROWS)
        slices = self.slices_of(rows)
        if slices == 1:
            return min(rows, <Py_ssize_t>WHOLE_ROWS)
        return min((rows + slices - 1) // slices, <Py_ssize_t>CHUNK_ROWS)

    cdef int team_for(self, double work, Py_ssize_t units, int threads) noexcept nogil:
        """Members that `work` multiply-adds in so many units repay, of `threads` that are allowed."""
        cdef Py_ssize_t members = min(<Py_ssize_t>threads, units)
        if self.grain > 0.0 and work < self.grain * members:
            members = <Py_ssize_t>(work / self.grain)
        return <int>max(members, <Py_ssize_t>1)

    cdef Py_ssize_t share_of(self, Py_ssize_t rows, int member, int members) noexcept nogil:
        """Where the rows of a member begin; those of the last one end at share_of(rows, members, members)."""
        if member == 0:
            return 0
        if member == members:
            return rows
        return min(rows, (rows * member // members + self.row_step // 2) // self.row_step * self.row_step)

    cdef Pieces pieces_of(self, Py_ssize_t i, int member, Team* team) noexcept nogil:
        """The pieces of op i that are this member's."""
        return Pieces(self.first_piece(i, member, team.members), self.first_piece(i, member + 1, team.members))

    cdef Py_ssize_t first_piece(self, Py_ssize_t i, int member, int members) noexcept nogil:
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t share
        # Without a division at both ends, which a step of one row would notice.
        if member == 0 or op.pieces == 0:
            return 0
        if member == members:
            return op.pieces
        share = max(<Py_ssize_t>0, self.n_parameters * member // members - self.offsets[i])
        return min((share + op.piece_parameters - 1) // op.piece_parameters, op.pieces)

    cdef bint comes_in_chunks(self) noexcept nogil:
        """Whether a batch's gradients are added up from those of several chunks."""
        if self.slices > 1:
            return (self.rows + self.slices - 1) // self.slices > self.room
        return self.rows > WHOLE_ROWS

    cdef Total total_of(self, char* gradients, Py_ssize_t share) noexcept nogil:
        cdef Py_ssize_t size = self.n_parameters * self.table.real_bytes
        cdef Total total = Total(gradients, NULL, NULL)
        if self.chunks != NULL:
            total.excess = self.chunks + 2 * share * size
            total.chunk = total.excess + size
        return total

    # ---- rows --------------------------------------------------------------------------------------

    cdef void load(self, Op* ops, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        """Rows [first, ...) of the data, in training in its order, become rows [begin, end) of the arena."""
        cdef const Job* job = &self.job
        cdef Py_ssize_t x_bytes = ops[0].inputs * self.table.real_bytes, y_bytes = self.target_bytes
        if job.order == NULL:
            ops[0].x = <const char*>(<uintptr_t>job.x + (first - begin) * x_bytes)
            if job.y != NULL:
                memcpy(self.targets + begin * y_bytes, job.y + first * y_bytes, (end - begin) * y_bytes)
            return
        ops[0].x = self.inputs
        gather(self.inputs + begin * x_bytes, job.x, x_bytes, job.order, first, first + end - begin, job.last)
        gather(self.targets + begin * y_bytes, job.y, y_bytes, job.order, first, first + end - begin, job.last)

    cdef void run_forward(self, Op* ops, Py_ssize_t begin_op, Py_ssize_t end_op, Py_ssize_t begin,
                          Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(begin_op, end_op):
            ops[i].forward(&ops[i], begin, end)

    cdef void measure_loss(self, Op* ops, Py_ssize_t begin, Py_ssize_t end, double scale,
                           bint with_gradient) noexcept nogil:
        """The loss of each row and, times scale, its gradient by what backward starts from."""
        cdef Op* op = &ops[self.n_loss_ops - 1]
        cdef Py_ssize_t row_bytes = op.outputs * self.table.real_bytes
        self.loss.compute(self.values + begin, <char*>op.dy + begin * row_bytes if with_gradient else NULL,
                          <char*>op.y + begin * row_bytes, self.targets + begin * self.target_bytes,
                          end - begin, op.outputs, self.loss_options, scale)
        if with_gradient and op.to_dz != NULL:
            op.to_dz(op, begin, end)

    cdef void measure_metrics(self, Op* ops, double* state, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        cdef Op* last = &ops[self.n_ops - 1]
        if self.meter.count > 0 and self.job.sums != NULL:
            self.run_forward(ops, self.n_loss_ops, self.n_ops, begin, end)
            add_rows(&self.meter, state, <char*>last.y + begin * last.outputs * self.table.real_bytes,
                     self.targets + begin * self.target_bytes, end - begin)

    # ---- one batch ---------------------------------------------------------------------------------

    cdef double run_rows(self, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                         Py_ssize_t* left) noexcept nogil:
        """All that a batch's rows have to do. Returns its mean loss to every member.

        What is left for `renew` are the gradients of the last `left` rows, which are in the arena, or
        (0) the sum of the slices' gradients.
        """
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Py_ssize_t slices = self.slices_of(rows)
        if slices > 1:
            left[0] = 0
            return self.run_slices(ops, member, team, first, rows, slices)
        return self.run_whole(ops, member, team, first, rows, left)

    cdef double run_whole(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                          Py_ssize_t* left) noexcept nogil:
        cdef Py_ssize_t done = 0, chunk, begin, end, i
        cdef Pieces own
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef double total = 0.0
        while True:
            # Never more, though there may be room: some kernels' sums depend on where chunks begin.
            chunk = min(rows - done, min(self.capacity, <Py_ssize_t>WHOLE_ROWS))
            begin = self.share_of(chunk, member, team.members)
            end = self.share_of(chunk, member + 1, team.members)
            self.load(ops, first + done + begin, begin, end)
            if begin < end:
                self.run_forward(ops, 0, self.n_loss_ops, begin, end)
                self.measure_loss(ops, begin, end, 1.0 / rows, True)
                for i in range(self.n_loss_ops - 1, -1, -1):
                    ops[i].backward(&ops[i], begin, end)
                self.give_dx(ops, first + done + begin, begin, end)
            if member == 0 and done + chunk < rows:
                self.look_for_signals()
            meet(team)
            if self.is_interrupted():
                return 0.0
            total += sum_of(self.values, chunk)
            if member == 0 and self.job.sums != NULL:
                self.measure_metrics(ops, self.job.sums.metrics, 0, chunk)
            done += chunk
            if done == rows:
                left[0] = chunk
                return total / rows
            for i in range(self.n_loss_ops):
                own = self.pieces_of(i, member, team)
                if own.begin < own.end:
                    self.add_gradient(&ops[i], i, &sums, 0, chunk, own, done == chunk, False)
            meet(team)

    cdef double run_slices(self, Op* ops, int member, Team* team, Py_ssize_t first, Py_ssize_t rows,
                           Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t part, last_part = slices * (member + 1) // team.members
        cdef double total = 0.0
        for part in range(slices * member // team.members, last_part):
            self.run_slice(ops, member, part, first, rows, slices)
        meet(team)
        if self.is_interrupted():
            return 0.0
        for part in range(slices):
            total += self.slice_loss[part]
            if member == 0 and self.job.sums != NULL:
                merge_part(&self.meter, self.job.sums.metrics, part)
        return total / rows

    cdef void run_slice(self, Op* ops, int member, Py_ssize_t part, Py_ssize_t first, Py_ssize_t rows,
                        Py_ssize_t slices) noexcept nogil:
        cdef Py_ssize_t done = rows * part // slices, last = rows * (part + 1) // slices
        cdef Py_ssize_t begin = member * self.room, end, i
        cdef Total sums = self.total_of(self.parts + part * self.n_parameters * self.table.real_bytes, member)
        cdef bint is_first = True, is_last
        cdef double total = 0.0
        forget_part(&self.meter, part)
        while done < last and not self.is_interrupted():
            end = begin + min(self.room, last - done)
            is_last = done + end - begin == last
            self.load(ops, first + done, begin, end)
            self.run_forward(ops, 0, self.n_loss_ops, begin, end)
            self.measure_loss(ops, begin, end, 1.0 / rows, True)
            total += sum_of(self.values + begin, end - begin)
            self.measure_metrics(ops, part_of(&self.meter, part), begin, end)
            for i in range(self.n_loss_ops - 1, -1, -1):
                ops[i].backward(&ops[i], begin, end)
                if ops[i].pieces > 0:
                    self.add_gradient(&ops[i], i, &sums, begin, end, Pieces(0, ops[i].pieces), is_first, is_last)
            self.give_dx(ops, first + done, begin, end)
            is_first = False
            done += end - begin
            if member == 0 and not is_last:
                self.look_for_signals()
        self.slice_loss[part] = total

    cdef Pieces places_of(self, Py_ssize_t i, Pieces own) noexcept nogil:
        """Where these pieces of op i's parameters begin and end in the flat vectors."""
        cdef const Op* op = &self.ops[i]
        cdef Py_ssize_t end = self.offsets[i] + own.end * op.piece_parameters
        return Pieces(self.offsets[i] + own.begin * op.piece_parameters,
                      self.offsets[i + 1] if own.end == op.pieces else end)

    cdef void add_gradient(self, Op* op, Py_ssize_t i, const Total* sums, Py_ssize_t begin, Py_ssize_t end,
                           Pieces own, bint is_first, bint is_last) noexcept nogil:
        """The gradient of op i from one chunk, rows [begin, end), of a batch that may have more.

        A chunk's is one chain over its rows; chunks are added with compensation, since chains of any
        length would lose any number of digits.
        """
        cdef Py_ssize_t bytes = self.table.real_bytes, offset = self.offsets[i] * bytes
        cdef Pieces places
        op.gradients = (sums.gradients if is_first else sums.chunk) + offset
        op.gradient(op, begin, end, own.begin, own.end)
        if is_first and is_last:
            return
        places = self.places_of(i, own)
        if is_first:
            memset(sums.excess + places.begin * bytes, 0, (places.end - places.begin) * bytes)
        else:
            self.table.add_part(sums.gradients, sums.excess, sums.chunk, places.begin, places.end, is_last)

    cdef inline bint is_interrupted(self) noexcept nogil:
        return fw_read(&self.job.interrupted[0]) != 0

    cdef void look_for_signals(self) noexcept nogil:
        """Now and then, by the caller's thread: says so where a signal's handler ends the call."""
        cdef long forks
        if self.is_interrupted() or fw_seconds() < self.next_look:
            return
        with gil:
            forks = FORKS
            if check_signals() == 0 and forks != FORKS:
                PyErr_SetString(RuntimeError, "a signal's handler has forked in the middle of a call: this "
                                "process has not the threads that it was shared with")
            if PyErr_Occurred() != NULL:
                fw_exchange(&self.job.interrupted[0], 1)
        self.next_look = fw_seconds() + SIGNAL_SECONDS

    cdef void give_dx(self, Op* ops, Py_ssize_t first, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        cdef Py_ssize_t x_bytes = ops[0].inputs * self.table.real_bytes
        if self.job.out != NULL:
            memcpy(self.job.out + first * x_bytes, <char*>ops[0].dx + begin * x_bytes, (end - begin) * x_bytes)

    cdef void renew(self, int member, Team* team, Py_ssize_t rows, Py_ssize_t left, const double* numbers,
                    bint prepare) noexcept nogil:
        """This member's pieces of the parameters: gradient, update (unless numbers is NULL), preparation."""
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* op
        cdef Pieces own, group, places
        cdef Total sums = self.total_of(self.gradients.at, 0)
        cdef Py_ssize_t slices = self.slices_of(rows), i, done, upto
        for i in range(self.n_ops):
            op = &ops[i]
            own = self.pieces_of(i, member, team)
            while own.begin < own.end:
                group = Pieces(own.begin, group_end(op, own))
                places = self.places_of(i, group)
                done = 0
                while done < left:
                    upto = min(left, done + WHOLE_ROWS)
                    self.add_gradient(op, i, &sums, done, upto, group, done == 0 and left == rows, upto == left)
                    done = upto
                if left == 0 and slices > 1:
                    self.table.sum_parts(self.gradients.at, self.parts, self.n_parameters,
                                         places.begin, places.end, slices)
                if numbers != NULL:
                    self.update.apply(self.parameters.at, self.gradients.at, self.state.at,
                                      self.n_parameters, places.begin, places.end, numbers)
                elif member == 0 and left > WHOLE_ROWS:
                    self.look_for_signals()
                if self.is_interrupted():
                    return
                if prepare and op.prepare != NULL:
                    op.prepare(op, self.rows_at_a_time(rows), group.begin, group.end)
                own.begin = group.end

    cdef void prepare(self, int member, Team* team, Py_ssize_t rows) noexcept nogil:
        """What depends on the parameters alone, before the first rows."""
        cdef Op* op
        cdef Pieces own
        cdef Py_ssize_t i
        for i in range(self.n_ops):
            op = &self.ops[member * self.n_ops + i]
            own = self.pieces_of(i, member, team)
            if op.prepare != NULL and own.begin < own.end:
                op.prepare(op, rows, own.begin, own.end)
        meet(team)

    # ---- what each member does ---------------------------------------------------------------------

    cdef void train_share(self, int member, Team* team) noexcept nogil:
        cdef Job* job = &self.job
        cdef double[UPDATE_NUMBERS] numbers
        cdef Py_ssize_t first = job.first, rows, left
        cdef double loss
        cdef bint last = False
        cdef int unchecked = 1, patience = 1
        memcpy(numbers, self.update_options.at, self.update_options.view.len)
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
            loss = self.run_rows(member, team, first, rows, &left)
            if self.is_interrupted() or not isfinite(loss):
                break
            first += rows
            # Known before the update, since what it would prepare for a next step may cost as much.
            last = job.stop or first == job.last
            if self.update.advance != NULL:
                self.update.advance(numbers)
            self.renew(member, team, rows, left, numbers, not last)
            if member == 0 and job.sums != NULL:
                job.sums.loss += loss * rows
                job.sums.rows += rows
            meet(team)
        if member == 0:
            memcpy(self.update_options.at, numbers, self.update_options.view.len)
            job.first = first
            job.loss = loss

    cdef void gradient_share(self, int member, Team* team) noexcept nogil:
        cdef Py_ssize_t left, rows = self.job.last
        cdef double loss
        self.prepare(member, team, self.rows_at_a_time(rows))
        loss = self.run_rows(member, team, 0, rows, &left)
        if self.is_interrupted():
            return
        self.renew(member, team, rows, left, NULL, False)
        if member == 0:
            self.job.loss = loss

    cdef void infer_share(self, int member, Team* team) noexcept nogil:
        """Chunk by chunk: predictions where `out` is given, loss and metrics where y is."""
        cdef Job* job = &self.job
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* final = &ops[self.n_ops - 1]
        cdef Py_ssize_t out_bytes = final.outputs * self.table.real_bytes
        cdef Py_ssize_t begin = member * self.room, first, rows
        cdef long chunk
        self.prepare(member, team, self.rows_at_a_time(job.last))
        while True:
            chunk = fw_add(&job.taken[0], 1)
            first = job.first + chunk * self.room
            if first >= job.last:
                break
            rows = min(self.room, job.last - first)
            self.load(ops, first, begin, begin + rows)
            if job.y != NULL:
                self.run_forward(ops, 0, self.n_loss_ops, begin, begin + rows)
                self.measure_loss(ops, begin, begin + rows, 1.0, False)
                forget_part(&self.meter, member)
                self.measure_metrics(ops, part_of(&self.meter, member), begin, begin + rows)
                wait_until(&job.merged[0], chunk, team.spins)
                if job.sums != NULL:
                    job.sums.loss += sum_of(self.values + begin, rows)
                    job.sums.rows += rows
                    merge_part(&self.meter, job.sums.metrics, member)
                fw_add(&job.merged[0], 1)
            else:
                self.run_forward(ops, 0, self.n_ops, begin, begin + rows)
                memcpy(job.out + first * out_bytes, <char*>final.y + begin * out_bytes, rows * out_bytes)
            if first + rows == job.last or fw_seconds() >= job.until or fw_read(&self.lock.waiting[0]) != 0:
                break

    cdef void forward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* final = &ops[self.n_ops - 1]
        cdef Py_ssize_t x_bytes = ops[0].inputs * self.table.real_bytes
        cdef Py_ssize_t out_bytes = final.outputs * self.table.real_bytes, rows = self.job.last, upto
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members)
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        self.prepare(member, team, self.rows_at_a_time(rows))
        memcpy(self.inputs + begin * x_bytes, self.job.x + begin * x_bytes, (end - begin) * x_bytes)
        ops[0].x = self.inputs
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            self.run_forward(ops, 0, self.n_ops, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        begin = self.share_of(rows, member, team.members)
        memcpy(self.job.out + begin * out_bytes, <char*>final.y + begin * out_bytes, (end - begin) * out_bytes)

    cdef void backward_share(self, int member, Team* team) noexcept nogil:
        cdef Op* ops = self.ops + member * self.n_ops
        cdef Op* final = &ops[self.n_ops - 1]
        cdef Py_ssize_t dy_bytes = final.outputs * self.table.real_bytes, rows = self.job.last, upto, i
        cdef Py_ssize_t begin = self.share_of(rows, member, team.members)
        cdef Py_ssize_t end = self.share_of(rows, member + 1, team.members)
        ops[0].x = self.inputs
        memcpy(<char*>final.dy + begin * dy_bytes, self.job.x + begin * dy_bytes, (end - begin) * dy_bytes)
        while begin < end and not self.is_interrupted():
            upto = min(end, begin + LOOK_ROWS)
            if final.to_dz != NULL:
                final.to_dz(final, begin, upto)
            for i in range(self.n_ops - 1, -1, -1):
                ops[i].backward(&ops[i], begin, upto)
            self.give_dx(ops, begin, begin, upto)
            begin = upto
            if member == 0 and begin < end:
                self.look_for_signals()
        meet(team)
        if not self.is_interrupted():
            self.renew(member, team, rows, rows, NULL, False)

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

    cdef int expect_batch(self, Address x, Address y, Address order, Py_ssize_t last) except -1:
        """Raises ValueError where the buffers are smaller than the first `last` rows of them."""
        cdef Py_ssize_t rows = last
        if self.loss == NULL:
            raise ValueError("y: got targets, expected set_loss before")
        if order.at != NULL:
            expect("order", order, last * <Py_ssize_t>sizeof(int64_t))
            rows = order.view.len // <Py_ssize_t>sizeof(int64_t)
        expect("x", x, rows * self.ops[0].inputs * self.table.real_bytes)
        expect("y", y, rows * self.target_bytes)
        return 0

    def train(self, x, y, order, Py_ssize_t first, Py_ssize_t last, Py_ssize_t batch_size, double seconds,
              Tally tally=None):
        """Trains on the batches from row `first` on, for about `seconds` or until row `last`.

        Returns the first row not trained on and the loss of the last batch. A batch whose loss is not
        finite is not applied: the stretch ends before it. With a tally losses and metrics are added up.
        """
        cdef Address data = Address(x), labels = Address(y), indices = Address(order)
        cdef Job job
        self.expect_batch(data, labels, indices, last)
        if not 0 < batch_size <= self.rows or self.update == NULL:
            raise ValueError(f"batch_size: got {batch_size}, expected 1 to {self.rows}, and set_update before")
        memset(&job, 0, sizeof(job))
        job.x, job.y, job.order = data.at, labels.at, <const int64_t*>indices.at
        job.first, job.last, job.batch_size = first, last, batch_size
        job.sums = self.sums_of(tally)
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
        if tally.count != self.meter.count or tally.width != self.meter.sums:
            raise ValueError("tally: got that of other metrics, expected one of this plan")
        return &tally.sums

    def gradients_of(self, x, y, dx, Py_ssize_t rows):
        """Mean loss of these rows; gradients into the flat vector and, unless None, into dx."""
        cdef Address data = Address(x), labels = Address(y), input_gradient = Address(dx, True)
        cdef Job job
        self.expect_batch(data, labels, NOTHING, rows)
        expect("dx", input_gradient, rows * self.ops[0].inputs * self.table.real_bytes)
        if not 0 < rows <= self.rows or (dx is not None and not self.ops[0].wants_dx):
            raise ValueError(f"rows: got {rows}, expected 1 to {self.rows}, and dx of a plan that makes it")
        memset(&job, 0, sizeof(job))
        job.x, job.y, job.out, job.last = data.at, labels.at, input_gradient.at, rows
        self.lock.enter()
        with nogil:
            self.run(gradient_task, &job, self.most_for(rows))
            job = self.job
            self.lock.leave()
        raise_pending(&job)
        return job.loss

    def apply_update(self):
        """One step of the optimizer with the gradients that are there."""
        cdef double* numbers = <double*>self.update_options.at
        cdef fw_float_mode mode
        self.lock.enter()
        with nogil:
            mode = fw_enter_float_mode()
            if self.update.advance != NULL:
                self.update.advance(numbers)
            self.update.apply(self.parameters.at, self.gradients.at, self.state.at, self.n_parameters, 0,
                              self.n_parameters, numbers)
            fw_leave_float_mode(mode)
            self.lock.leave()

    def infer(self, x, y, out, Py_ssize_t first, Py_ssize_t last, double seconds, Tally tally=None):
        """Rows from `first` on, for about `seconds` or until row `last`: returns the first row not done.

        Where y is given, loss and metrics are added up in the tally; where it is None, out gets the
        network's output.
        """
        cdef Address data = Address(x), labels = Address(y), result = Address(out, True)
        if y is not None:
            self.expect_batch(data, labels, NOTHING, last)
        else:
            expect("x", data, last * self.ops[0].inputs * self.table.real_bytes)
            expect("out", result, last * self.ops[self.n_ops - 1].outputs * self.table.real_bytes)
        return self.infer_rows(data, labels, result, first, last, seconds, self.sums_of(tally))

    cdef Py_ssize_t infer_rows(self, Address x, Address y, Address out, Py_ssize_t first, Py_ssize_t last,
                               double seconds, Sums* sums) except -1:
        cdef Job job
        memset(&job, 0, sizeof(job))
        job.x, job.y, job.out, job.first, job.last = x.at, y.at, out.at, first, last
        job.sums = sums
        # A look at the clock costs as much as a row of a small network.
        job.until = fw_seconds() + seconds if last - first > self.room else 0.0
        self.lock.enter()
        with nogil:
            self.run(infer_task, &job, self.most_for(last - first))
            first = min(last, first + self.job.taken[0] * self.room)
            self.lock.leave()
        return first

    def answer(self, x, int matmul_parts):
        """The output for a few rows that kernels can take as they are; None for any other x.

        The short way from one call to its prediction, (rows, outputs).
        """
        cdef Py_ssize_t rows, inputs = self.ops[0].inputs
        cdef Address data
        # A subclass, such as one with a mask, may be more than its numbers.
        x = taken(x, self.table.real_bytes, inputs) if type(x) is ndarray else None
        if x is None:
            return None
        data = Address(x)
        rows = data.view.len // (inputs * self.table.real_bytes)
        if rows > self.room or not self.serves(rows, matmul_parts) or self.team_of(rows, 2) > 1:
            return None
        out = empty((rows, self.ops[self.n_ops - 1].outputs), "f" if self.table.real_bytes == 4 else "d")
        self.infer_rows(data, NOTHING, Address(out, True), 0, rows, 0.0, NULL)
        return out

    def forward(self, x, out, Py_ssize_t rows):
        """The network's output for all rows, keeping what `backward` needs; x is copied."""
        cdef Address data = Address(x), result = Address(out, True)
        cdef Job job
        expect("x", data, rows * self.ops[0].inputs * self.table.real_bytes)
        expect("out", result, rows * self.ops[self.n_ops - 1].outputs * self.table.real_bytes)
        if rows > self.rows:
            raise ValueError(f"rows: got {rows}, expected at most {self.rows}")
        memset(&job, 0, sizeof(job))
        job.x, job.out, job.last = data.at, result.at, rows
        self.kept_rows = 0
        self.run_locked(forward_task, &job, rows)
        self.kept_weights = digest_of(self.parameters.at, self.parameters.view.len)
        self.kept_rows = rows

    def backward(self, dy, dx, Py_ssize_t rows):
        """Gradients of the parameters and of the input, from those of the last `forward`'s output."""
        cdef Address given = Address(dy), result = Address(dx, True)
        cdef Job job
        if rows != self.kept_rows:
            raise ValueError(f"rows: got {rows}, expected {self.kept_rows}, as forward had")
        expect("dy", given, rows * self.ops[self.n_ops - 1].outputs * self.table.real_bytes)
        expect("dx", result, rows * self.ops[0].inputs * self.table.real_bytes)
        memset(&job, 0, sizeof(job))
        job.x, job.out, job.last = given.at, result.at, rows
        if digest_of(self.parameters.at, self.parameters.view.len) != self.kept_weights:
            raise ValueError("backward: got weights that were changed since model.forward(x), expected "
                             "model.forward(x) again")
        self.run_locked(backward_task, &job, rows)


# Raises what a signal's handler raised, which is pending already.
cdef int raise_pending(const Job* job) except -1:
    return -1 if job.interrupted[0] else 0


cdef Address NOTHING = Address(None)


cdef void train_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).train_share(member, team)


cdef void gradient_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).gradient_share(member, team)


cdef void infer_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).infer_share(member, team)


cdef void forward_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).forward_share(member, team)


cdef void backward_task(void* plan, int member, Team* team) noexcept nogil:
    (<Plan>plan).backward_share(member, team)


cdef inline Py_ssize_t group_end(const Op* op, Pieces own) noexcept nogil:
    """Where the first group of these pieces ends."""
    # Without a division for small networks.
    if (own.end - own.begin) * op.piece_parameters <= GROUP_PARAMETERS:
        return own.end
    return own.begin + max(<Py_ssize_t>1, GROUP_PARAMETERS // op.piece_parameters)


cdef inline double sum_of(const double* values, Py_ssize_t n) noexcept nogil:
    cdef double[4] sums
    cdef Py_ssize_t i
    sums[0] = sums[1] = sums[2] = sums[3] = 0.0
    for i in range(n):
        sums[i % 4] += values[i]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


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
