"""The plan: a network as a flat array of ops over one arena, run without Python.

    gather -> forward ops -> loss -> backward ops (reversed) -> update

A plan is built once for a network and a capacity in rows. It owns one arena for everything that is
not a parameter, allocates nothing while it runs and holds no GIL. A batch larger than the capacity
is run chunk by chunk, gradients adding up: since every sum over the batch is one chain in the order
of the rows, the bits are the same for any capacity.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ops cimport Activation, KernelTable, Loss, METRIC_STATE, Metric, Op, OpKind, Update

cdef extern from *:
    """
    #if defined(_WIN32)
    #include <windows.h>
    static double fw_seconds(void)
    {
        LARGE_INTEGER now, frequency;
        QueryPerformanceCounter(&now);
        QueryPerformanceFrequency(&frequency);
        return (double)now.QuadPart / (double)frequency.QuadPart;
    }
    #else
    #include <time.h>
    static double fw_seconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    #endif
    """
    double fw_seconds() noexcept nogil

cdef enum:
    ALIGNMENT = 64


cdef class Address:
    """A C-contiguous buffer held for as long as this object lives; None is a null address."""

    cdef Py_buffer view
    cdef char* at

    def __cinit__(self, buffer, bint writable=False):
        self.at = NULL
        if buffer is not None:
            PyObject_GetBuffer(buffer, &self.view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
            self.at = <char*>self.view.buf

    def __dealloc__(self):
        if self.at != NULL:
            PyBuffer_Release(&self.view)


cdef class Plan:
    """Runs one network for batches of up to `capacity` rows at a time.

    Parameters
    ----------
    table : capsule
        The KernelTable of a kernels module.
    specs : sequence of OpSpec
        The network, op by op.
    parameters, gradients : buffer
        The flat vectors; `gradients` None builds a plan for inference, which keeps nothing for a
        backward pass.
    capacity : int
        Rows that the arena has room for.
    input_gradient : bool
        Whether `backward` also gives the gradient by the input.
    """

    cdef const KernelTable* table
    cdef Address parameters, gradients, state, update_options
    cdef Op* ops
    cdef char* memory
    cdef readonly Py_ssize_t arena_bytes
    cdef readonly Py_ssize_t capacity
    cdef Py_ssize_t n_ops, n_parameters
    cdef Py_ssize_t n_loss_ops          # how many ops stand before the loss
    cdef char* inputs                   # gathered rows of x ...
    cdef char* targets                  # ... and of y
    cdef double* values                 # the loss of each row
    cdef const Loss* loss
    cdef double[2] loss_options
    cdef Py_ssize_t target_bytes        # of one row
    cdef Py_ssize_t n_metrics
    cdef const Metric** metrics
    cdef double* metric_options
    cdef double* metric_state
    cdef Py_ssize_t metric_sums         # doubles that one metric keeps: METRIC_STATE for each output
    cdef const Update* update
    # Sums since `reset`.
    cdef readonly double loss_sum
    cdef readonly Py_ssize_t rows_seen
    cdef readonly double last_loss

    def __cinit__(self, table, specs, parameters, gradients, Py_ssize_t capacity, bint input_gradient=False):
        self.table = <const KernelTable*>PyCapsule_GetPointer(table, "fastweights.kernels")
        self.parameters = Address(parameters, True)
        self.gradients = Address(gradients, True)
        self.capacity = capacity
        self.n_ops = len(specs)
        self.n_loss_ops = self.n_ops
        self.ops = <Op*>calloc(max(self.n_ops, 1), sizeof(Op))
        if self.ops == NULL:
            raise MemoryError()
        self.describe(specs)
        self.lay_out(input_gradient)

    def __dealloc__(self):
        free(self.ops)
        free(self.memory)
        free(self.metrics)
        free(self.metric_options)
        free(self.metric_state)

    # ---- building ----------------------------------------------------------------------------------

    cdef describe(self, specs):
        cdef Op* op
        cdef const OpKind* kind
        cdef Py_ssize_t i, k, offset = 0
        for i, spec in enumerate(specs):
            op = &self.ops[i]
            kind = <const OpKind*>find(self.table.ops, sizeof(OpKind), spec.kind)
            op.prepare = kind.prepare
            op.forward = kind.forward
            op.backward = kind.backward
            op.gradient = kind.gradient
            op.inputs = spec.inputs
            op.outputs = spec.outputs
            op.has_bias = spec.has_bias
            op.activation = <const Activation*>find(self.table.activations, sizeof(Activation),
                                                    spec.activation.name)
            for k, option in enumerate(spec.activation.options):
                op.activation_options[k] = option
            op.parameters = self.parameters.at + offset * self.table.real_bytes
            if self.gradients.at != NULL:
                op.gradients = self.gradients.at + offset * self.table.real_bytes
            offset += spec.parameters
            kind.measure(op, self.capacity)
        self.n_parameters = offset

    cdef lay_out(self, bint input_gradient):
        """Counts the arena's bytes with no memory behind it, allocates it, hands out the addresses."""
        cdef char* end = self.place(NULL, input_gradient)
        self.arena_bytes = <Py_ssize_t>(<uintptr_t>end)
        self.memory = <char*>calloc(self.arena_bytes + ALIGNMENT, 1)
        if self.memory == NULL:
            raise MemoryError(f"no {self.arena_bytes:,} bytes for batches of {self.capacity} rows")
        self.place(self.memory + ALIGNMENT - <uintptr_t>self.memory % ALIGNMENT, input_gradient)

    cdef char* place(self, char* at, bint input_gradient):
        cdef Py_ssize_t row_bytes = self.capacity * self.table.real_bytes, i
        cdef bint training = self.gradients.at != NULL
        cdef Op* op
        cdef char* previous_dy = NULL
        self.inputs = take(&at, row_bytes * self.ops[0].inputs)
        self.targets = take(&at, row_bytes * self.ops[self.n_ops - 1].outputs)
        self.values = <double*>take(&at, self.capacity * sizeof(double))
        if training and input_gradient:
            previous_dy = take(&at, row_bytes * self.ops[0].inputs)
        for i in range(self.n_ops):
            op = &self.ops[i]
            op.x = self.inputs if i == 0 else self.ops[i - 1].y
            op.y = take(&at, row_bytes * op.outputs)
            op.scratch = take(&at, op.scratch_reals * self.table.real_bytes)
            if training:
                op.dx = previous_dy
                op.dy = take(&at, row_bytes * op.outputs)
                op.saved = take(&at, row_bytes * op.saved_per_row)
                previous_dy = <char*>op.dy
        return at

    def set_loss(self, str name, options, Py_ssize_t target_bytes, Py_ssize_t skipped_ops):
        """The loss, which looks at what comes before the last `skipped_ops` ops (a fused softmax)."""
        cdef Py_ssize_t k
        self.loss = <const Loss*>find(self.table.losses, sizeof(Loss), name)
        for k, option in enumerate(options):
            self.loss_options[k] = option
        self.target_bytes = target_bytes
        self.n_loss_ops = self.n_ops - skipped_ops

    def set_metrics(self, metrics):
        """(name, options) of each metric, which look at the network's last output."""
        cdef Py_ssize_t i, k
        free(self.metrics)
        free(self.metric_options)
        free(self.metric_state)
        self.n_metrics = len(metrics)
        self.metric_sums = METRIC_STATE * self.ops[self.n_ops - 1].outputs
        self.metrics = <const Metric**>calloc(self.n_metrics + 1, sizeof(Metric*))
        self.metric_options = <double*>calloc(2 * self.n_metrics + 1, sizeof(double))
        self.metric_state = <double*>calloc(self.metric_sums * self.n_metrics + 1, sizeof(double))
        if self.metrics == NULL or self.metric_options == NULL or self.metric_state == NULL:
            raise MemoryError()
        for i, (name, options) in enumerate(metrics):
            self.metrics[i] = <const Metric*>find(self.table.metrics, sizeof(Metric), name)
            for k, option in enumerate(options):
                self.metric_options[2 * i + k] = option

    def set_update(self, str name, state, options):
        """The optimizer: its kernel, its state vectors and its numbers (float64, read at every step)."""
        self.update = <const Update*>find(self.table.updates, sizeof(Update), name)
        self.state = Address(state, True)
        self.update_options = Address(options, True)

    # ---- what happened -----------------------------------------------------------------------------

    def reset(self):
        """Forgets the sums of loss and metrics."""
        self.loss_sum = 0.0
        self.rows_seen = 0
        memset(self.metric_state, 0, self.metric_sums * self.n_metrics * sizeof(double))

    def metric_states(self):
        """The sums of each metric, a tuple of METRIC_STATE for each output."""
        return [
            tuple([self.metric_state[i * self.metric_sums + k] for k in range(self.metric_sums)])
            for i in range(self.n_metrics)
        ]

    # ---- one chunk: at most `capacity` rows, all of it without Python ------------------------------

    cdef void load(self, const char* x, const char* y, const int64_t* order, Py_ssize_t first,
                   Py_ssize_t rows) noexcept nogil:
        """Points the ops at rows [first, first + rows) of the order, gathered if there is one."""
        cdef Py_ssize_t x_bytes = self.ops[0].inputs * self.table.real_bytes, i
        if order == NULL:
            self.ops[0].x = x + first * x_bytes
            if y != NULL:
                memcpy(self.targets, y + first * self.target_bytes, rows * self.target_bytes)
            return
        for i in range(rows):
            memcpy(self.inputs + i * x_bytes, x + order[first + i] * x_bytes, x_bytes)
            memcpy(self.targets + i * self.target_bytes, y + order[first + i] * self.target_bytes,
                   self.target_bytes)
        self.ops[0].x = self.inputs

    cdef void run_forward(self, Py_ssize_t begin_op, Py_ssize_t end_op, Py_ssize_t rows) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(begin_op, end_op):
            self.ops[i].forward(&self.ops[i], 0, rows)

    cdef void run_backward(self, Py_ssize_t end_op, Py_ssize_t rows, bint accumulate) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(end_op - 1, -1, -1):
            self.ops[i].backward(&self.ops[i], 0, rows)
            if self.ops[i].gradient != NULL:
                self.ops[i].gradient(&self.ops[i], rows, accumulate)

    cdef void prepare(self, Py_ssize_t rows) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.n_ops):
            if self.ops[i].prepare != NULL:
                self.ops[i].prepare(&self.ops[i], rows)

    cdef double measure_loss(self, double total, Py_ssize_t rows, double scale,
                             bint with_gradient) noexcept nogil:
        """`total` plus the loss of each row, in order; the gradient times scale where backward starts."""
        cdef Op* op = &self.ops[self.n_loss_ops - 1]
        cdef Py_ssize_t i
        self.loss.compute(self.values, op.dy if with_gradient else NULL, op.y, self.targets,
                          rows, op.outputs, self.loss_options, scale)
        for i in range(rows):
            total += self.values[i]
        return total

    cdef void measure_metrics(self, Py_ssize_t rows) noexcept nogil:
        cdef Op* last = &self.ops[self.n_ops - 1]
        cdef Py_ssize_t i
        if self.n_metrics == 0:
            return
        self.run_forward(self.n_loss_ops, self.n_ops, rows)
        for i in range(self.n_metrics):
            self.metrics[i].update(self.metric_state + i * self.metric_sums, last.y, self.targets,
                                   rows, last.outputs, self.metric_options + 2 * i)

    cdef double step_gradients(self, const char* x, const char* y, const int64_t* order,
                               Py_ssize_t first, Py_ssize_t rows, char* dx) noexcept nogil:
        """Mean loss and gradients of one batch, whatever its size; the input's gradient into dx."""
        cdef Py_ssize_t done = 0, chunk, dx_bytes = self.ops[0].inputs * self.table.real_bytes
        cdef double total = 0.0
        self.prepare(rows)
        while done < rows:
            chunk = min(self.capacity, rows - done)
            self.load(x, y, order, first + done, chunk)
            self.run_forward(0, self.n_loss_ops, chunk)
            total = self.measure_loss(total, chunk, 1.0 / rows, True)
            self.measure_metrics(chunk)
            self.run_backward(self.n_loss_ops, chunk, done > 0)
            if dx != NULL:
                memcpy(dx + done * dx_bytes, self.ops[0].dx, chunk * dx_bytes)
            done += chunk
        return total / rows

    cdef void step_update(self) noexcept nogil:
        self.update.apply(self.parameters.at, self.gradients.at, self.state.at, self.n_parameters,
                          <double*>self.update_options.at)

    # ---- whole stretches of work -------------------------------------------------------------------

    def train(self, x, y, order, Py_ssize_t first, Py_ssize_t last, Py_ssize_t batch_size, double seconds):
        """Trains on the batches from row `first` on, for about `seconds` or until row `last`.

        Returns the first row not trained on. A batch whose loss is not finite is not applied: the
        stretch ends before it and `last_loss` is that loss.
        """
        cdef Address data = Address(x), labels = Address(y), indices = Address(order)
        cdef Py_ssize_t rows
        cdef double until, loss = 0.0
        cdef int unchecked = 0, patience = 1
        with nogil:
            until = fw_seconds() + seconds
            while first < last:
                rows = min(batch_size, last - first)
                loss = self.step_gradients(data.at, labels.at, <const int64_t*>indices.at, first, rows, NULL)
                if not isfinite(loss):
                    break
                self.step_update()
                self.loss_sum += loss * rows
                self.rows_seen += rows
                first += rows
                unchecked += 1
                if unchecked == patience:
                    # Looking at the clock costs as much as a small step: look ever less often, as
                    # long as no more than a sixteenth of the time passes between two looks.
                    unchecked = 0
                    if fw_seconds() >= until:
                        break
                    if patience < 64 and fw_seconds() < until - seconds * 15 / 16:
                        patience *= 2
        self.last_loss = loss
        return first

    def gradients_of(self, x, y, dx, Py_ssize_t rows):
        """Mean loss of these rows; gradients into the flat vector and, unless None, into dx."""
        cdef Address data = Address(x), labels = Address(y), input_gradient = Address(dx, True)
        with nogil:
            self.last_loss = self.step_gradients(data.at, labels.at, NULL, 0, rows, input_gradient.at)
        return self.last_loss

    def apply_update(self):
        """One step of the optimizer with the gradients that are there."""
        with nogil:
            self.step_update()

    def evaluate(self, x, y, Py_ssize_t first, Py_ssize_t last, double seconds):
        """Adds loss and metrics of rows from `first` on; returns the first row not looked at."""
        cdef Address data = Address(x), labels = Address(y)
        cdef Py_ssize_t chunk
        cdef double until
        with nogil:
            until = fw_seconds() + seconds
            self.prepare(last - first)
            while first < last:
                chunk = min(self.capacity, last - first)
                self.load(data.at, labels.at, NULL, first, chunk)
                self.run_forward(0, self.n_loss_ops, chunk)
                self.loss_sum = self.measure_loss(self.loss_sum, chunk, 1.0, False)
                self.measure_metrics(chunk)
                self.rows_seen += chunk
                first += chunk
                if fw_seconds() >= until:
                    break
        return first

    def predict(self, x, out, Py_ssize_t first, Py_ssize_t last, double seconds):
        """The network's output for rows from `first` on; returns the first row not done."""
        cdef Address data = Address(x), result = Address(out, True)
        cdef Op* final = &self.ops[self.n_ops - 1]
        cdef Py_ssize_t chunk, out_bytes = final.outputs * self.table.real_bytes
        cdef double until
        with nogil:
            until = fw_seconds() + seconds
            self.prepare(last - first)
            while first < last:
                chunk = min(self.capacity, last - first)
                self.load(data.at, NULL, NULL, first, chunk)
                self.run_forward(0, self.n_ops, chunk)
                memcpy(result.at + first * out_bytes, final.y, chunk * out_bytes)
                first += chunk
                if fw_seconds() >= until:
                    break
        return first

    def forward(self, x, out, Py_ssize_t rows):
        """As `predict` for at most `capacity` rows, keeping what `backward` needs; x is copied."""
        cdef Address data = Address(x), result = Address(out, True)
        cdef Op* final = &self.ops[self.n_ops - 1]
        with nogil:
            memcpy(self.inputs, data.at, rows * self.ops[0].inputs * self.table.real_bytes)
            self.ops[0].x = self.inputs
            self.prepare(rows)
            self.run_forward(0, self.n_ops, rows)
            memcpy(result.at, final.y, rows * final.outputs * self.table.real_bytes)

    def backward(self, dy, dx, Py_ssize_t rows):
        """Gradients of the parameters and of the input, from those of the last `forward`'s output."""
        cdef Address given = Address(dy), result = Address(dx, True)
        cdef Op* final = &self.ops[self.n_ops - 1]
        with nogil:
            memcpy(final.dy, given.at, rows * final.outputs * self.table.real_bytes)
            self.run_backward(self.n_ops, rows, False)
            memcpy(result.at, self.ops[0].dx, rows * self.ops[0].inputs * self.table.real_bytes)


cdef inline char* take(char** at, Py_ssize_t size) noexcept nogil:
    """The next `size` bytes of an arena, aligned; NULL for none."""
    cdef char* taken = at[0]
    at[0] += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    return taken if size > 0 else NULL


cdef const void* find(const void* entries, size_t stride, str name) except NULL:
    """The entry of that name in one of the table's lists; every entry begins with its name."""
    cdef const char* entry = <const char*>entries
    wanted = name.encode()
    while (<const char**>entry)[0] != NULL:
        if (<const char**>entry)[0] == wanted:
            return entry
        entry += stride
    raise KeyError(name)


def update_slots(table, str name):
    """How many state vectors the optimizer of that name keeps."""
    cdef const KernelTable* kernels = <const KernelTable*>PyCapsule_GetPointer(table, "fastweights.kernels")
    return (<const Update*>find(kernels.updates, sizeof(Update), name)).slots
