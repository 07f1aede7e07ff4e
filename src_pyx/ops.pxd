"""The seam between the plan and the kernels: what an op is, and the table a CPU level fills.

Every array is given as a ``void*`` to contiguous reals of the table's dtype, so that the plan,
which never does arithmetic on them, is written once for all dtypes.
"""

cdef struct Op
cdef struct Activation

# Sets saved_per_row and scratch_reals for batches of up to `rows`; `gradients` is NULL in inference.
ctypedef void (*op_measure)(Op* op, Py_ssize_t rows) noexcept nogil
# Once a step of `rows`, before forward: what depends on the parameters alone. May be NULL.
ctypedef void (*op_prepare)(const Op* op, Py_ssize_t rows) noexcept nogil
# forward: y from x; backward: dx from dy. Rows [begin, end) only, and no row looks at another.
ctypedef void (*op_rows)(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
# Gradients of the parameters, one chain over the rows in order; added to what is there if
# `accumulate`, written over it if not. NULL without parameters.
ctypedef void (*op_gradient)(const Op* op, Py_ssize_t rows, bint accumulate) noexcept nogil


cdef struct Op:
    # Batches, row by row: x (rows, inputs), y (rows, outputs) and the loss's gradients by them.
    Py_ssize_t inputs
    Py_ssize_t outputs
    const void* x
    void* y
    void* dx                 # NULL where nobody wants it
    void* dy                 # `backward` may overwrite it
    # The op's own part of the flat vectors; its layout is the op's business.
    const void* parameters
    void* gradients
    # What `measure` asked for.
    void* saved              # rows x saved_per_row reals: `forward` writes, `backward` reads; NULL in inference
    void* scratch            # scratch reals that live within one step
    Py_ssize_t saved_per_row
    Py_ssize_t scratch_reals
    # What the layer's description said.
    bint has_bias
    const Activation* activation
    double activation_options[2]
    op_prepare prepare
    op_rows forward
    op_rows backward
    op_gradient gradient


# y holds z on entry and the activation's value on return; slope (may be NULL) its derivative at z.
ctypedef void (*activation_forward)(void* y, void* slope, Py_ssize_t n, const double* options) noexcept nogil
# dy *= the activation's derivative, from y or, for those that keep it, from slope.
ctypedef void (*activation_backward)(void* dy, const void* y, const void* slope, Py_ssize_t n,
                                     const double* options) noexcept nogil

cdef struct Activation:
    const char* name
    bint keeps_slope
    activation_forward forward
    activation_backward backward


# values[r] = the loss of row r; dy (may be NULL) = scale * the gradient of values[r] by prediction.
ctypedef void (*loss_function)(double* values, void* dy, const void* prediction, const void* target,
                               Py_ssize_t rows, Py_ssize_t columns, const double* options,
                               double scale) noexcept nogil

cdef struct Loss:
    const char* name
    loss_function compute


cdef enum:
    METRIC_STATE = 8         # sums a metric may keep for each output

# Adds this batch's sums to state (columns, METRIC_STATE), which is all zero before the first batch.
ctypedef void (*metric_function)(double* state, const void* prediction, const void* target,
                                 Py_ssize_t rows, Py_ssize_t columns, const double* options) noexcept nogil

cdef struct Metric:
    const char* name
    metric_function update


# One step in place. state holds `slots` vectors of n reals, one after the other; options are the
# optimizer's own numbers, which it may carry from step to step (running powers, say).
ctypedef void (*update_function)(void* parameters, const void* gradients, void* state,
                                 Py_ssize_t n, double* options) noexcept nogil

cdef struct Update:
    const char* name
    int slots
    update_function apply


cdef struct OpKind:
    const char* name
    op_measure measure
    op_prepare prepare
    op_rows forward
    op_rows backward
    op_gradient gradient


# Each list ends with an entry whose name is NULL.
cdef struct KernelTable:
    const char* level
    int real_bytes
    const OpKind* ops
    const Activation* activations
    const Loss* losses
    const Metric* metrics
    const Update* updates
