"""The seam between the plan and the kernels: what an op is, and the table a CPU level fills.

Every array is given as a ``void*`` to contiguous reals of the table's dtype, so that the plan,
which never does arithmetic on them, is written once for all dtypes.
"""

from libc.stdint cimport uint64_t

cdef enum:
    OPTION_NUMBERS = 2       # that an activation may have, ...
    LOSS_NUMBERS = 65        # ... and a loss
    OP_VARIABLES = 8         # that an op may have, ...
    OP_SIZES = 24            # ... sizes of its own ...
    OP_OPTIONS = 8           # ... and other numbers
    CONSTRAINT_NUMBERS = 3   # that a constraint may have

cdef struct Op
cdef struct Activation

# Sets what is asked for below, for batches of which up to `rows` are in the arena at a time.
ctypedef void (*op_measure)(Op* op) noexcept nogil
# After the parameters have changed and before forward: what depends on these pieces of them alone, where
# `rows` go through at a time. May be NULL.
ctypedef void (*op_prepare)(const Op* op, Py_ssize_t rows, Py_ssize_t begin_piece,
                            Py_ssize_t end_piece) noexcept nogil
# forward: y from x (NULL: the op that made x, whose only reader this is, does it in the same place, and only in
# inference); to_dz: dy becomes dz, the gradient by what the op's own activation was applied to
# (NULL: it has none); backward: dx from dz, which `finish_dx` then makes its maker's dz, while it is in the cache.
# Rows [begin, end) of the batch only, and no row looks at another.
ctypedef void (*op_rows)(const Op* op, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
# Gradients of these pieces of the parameters from rows [begin, end), one chain over the rows in order. NULL
# without parameters.
ctypedef void (*op_gradient)(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                             Py_ssize_t end_piece) noexcept nogil

# What every backward finishes rows [begin, end) of the dx of read k with: the value's other readers' parts are added,
# and make its maker's dz.
ctypedef void (*op_finish)(const Op* op, Py_ssize_t k, Py_ssize_t begin, Py_ssize_t end) noexcept nogil

# For ops that must know all rows of a batch in training, NULL for all others. What [0, rows) of x say of columns
# [begin, end), before forward; what those of dz do, before backward; both for op.batch, one chain over the rows
# in order. settle moves the state by that once a step is accepted (there rows is 0); of an op that remembers states of
# rows, by what forward left in op.batch, after each batch: also in inference, and of layers that are not trained.
ctypedef void (*op_columns)(const Op* op, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end) noexcept nogil

# One step in place on parameters [begin, end) of n. state holds `slots` vectors of n reals, one after
# the other; options are learning rate, weight decay and the optimizer's own numbers, which `advance` (may be NULL)
# carries to the next step before it is made (running powers, say).
ctypedef void (*update_function)(void* parameters, const void* gradients, void* state, Py_ssize_t n,
                                 Py_ssize_t begin, Py_ssize_t end, const double* options) noexcept nogil
ctypedef void (*update_advance)(double* options) noexcept nogil

# For ops of whose parameters a batch touches but a few, NULL for all others: `gradient`, and a step of an update
# that rests where gradients are 0, in a time that the parameters that are not touched have no part in. state is the
# update's from the op's first parameter on, of vectors n reals apart. `goes_on`
# says that gradients hold what this made of the step before; else nothing is known of them. Such an op has
# nothing to prepare.
ctypedef void (*op_step)(const Op* op, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t begin_piece,
                         Py_ssize_t end_piece, bint goes_on, update_function apply, void* state, Py_ssize_t n,
                         const double* options) noexcept nogil


# Sets what follows from a setting that changes from step to step, such as a rate of dropout.
ctypedef void (*op_tune)(Op* op, double setting) noexcept nogil


# One value that an op reads. Where a value has several readers each leaves its part of the gradient in a place of
# its own; the first of them, whose backward runs last, has the maker's dy for it and adds the others' parts.
cdef struct Read:
    const void* x            # (rows, width), of int32 where the op's kind reads integers
    void* dx                 # NULL where nobody wants it
    Py_ssize_t width         # numbers of a row
    Py_ssize_t dx_stride     # from one row of dx to the next; more than width where dx is a part of wider rows
    const Op* maker          # whose y it is; NULL: it is given from outside
    const Read* next         # the value's next reader, going forward; NULL
    bint is_first            # of the value's readers
    bint is_wanted           # whether dx is
    # `measure` may say where in a row of dy the gradient by x stands as it is; -1: nowhere. Then a reader that is
    # not the first has dx there, and nothing to write.
    Py_ssize_t place_in_dy


# Where the random numbers of one pass over the data come from (see philox.pxd): those of an op are a function of
# the seed, of stream + its number and of a row's place in the pass, the same whoever asks, and as often as one likes.
cdef struct Pass:
    uint64_t seed
    uint64_t stream          # 0: none, which is how ops act in inference
    Py_ssize_t first         # place in the pass of the row that stands first in the arena


# Several threads run the functions of one op at once, on other rows, which begin at a multiple of row_step,
# or on other pieces of the parameters. Each has an Op of its own, whose addresses are those of the others
# but for x, which may lie in the caller's data, for gradients and for workspace.
cdef struct Op:
    # Batches, row by row, and the loss's gradients by them. A row is `lines` vectors that the op treats alike.
    Py_ssize_t lines
    Py_ssize_t inputs        # of a line of the first value that it reads
    Py_ssize_t outputs       # of a line of y
    Py_ssize_t n_reads
    Read* reads
    void* y
    void* dy                 # from `to_dz` on it holds dz
    const Pass* drawn        # of the pass that is going on; each thread has its own
    const Op* within         # in inference: the op without a forward of its own that this one does too; NULL
    Py_ssize_t number        # of the op in its network
    # The op's own part of the flat vectors; its layout is the op's business.
    const void* parameters
    void* gradients
    void* state              # what an op remembers between steps; of one step where `settle` moves it
    # What `measure` asked for.
    void* prepared           # prepared_reals: what `prepare` made
    void* saved              # rows x saved_per_row reals: `forward` writes, `backward` reads; NULL in inference
    void* scratch            # scratch_reals that live from `to_dz` to `gradient`; NULL in inference
    void* batch              # batch_reals: what `x_columns` and `dz_columns` found, or of states of rows what `forward`
                             # did; NULL in inference unless there are some
    void* touched            # touched_reals that only `step` looks at, all 0 at first; NULL in inference
    void* workspace          # workspace_reals that no other thread has and no call finds as it left them
    # Of a plan that goes on where its rows ended before, some steps at a time; NULL in all others:
    const Py_ssize_t* gone   # how many steps have gone before these ...
    # ... and what they left of each row, one row carried_stride reals behind the other: carried_per_row reals, which
    # are anything before the first step, then carried_per_step of each step, likewise before that.
    void* carried
    Py_ssize_t carried_stride
    Py_ssize_t carried_per_row
    Py_ssize_t carried_per_step
    Py_ssize_t prepared_reals
    Py_ssize_t saved_per_row
    Py_ssize_t scratch_reals
    Py_ssize_t batch_reals
    Py_ssize_t touched_reals
    Py_ssize_t workspace_reals
    Py_ssize_t state_reals       # how many the op has
    Py_ssize_t batch_rows        # of how many rows each batch is, whose states are part of these; 0: of any number
    Py_ssize_t row_step
    Py_ssize_t parameter_reals   # how many the op has; -1: its sizes or variables do not suit it
    Py_ssize_t pieces            # the parameters come in pieces that can be worked on apart ...
    Py_ssize_t piece_parameters  # ... of so many each, of which the last has what is left; 0: none
    double work_per_row          # of forward, in multiply-adds
    # What the layer's description said.
    Py_ssize_t n_variables
    Py_ssize_t variables[OP_VARIABLES]   # how many parameters each is; they follow each other
    Py_ssize_t sizes[OP_SIZES]
    double options[OP_OPTIONS]
    # Of an op that says it `costs_something`: what each row adds to the loss, which `forward` writes; and how much
    # a row counts in that of the batch, for `backward`.
    bint costs_something
    double* costs
    double row_share
    Py_ssize_t rows          # that the arena has room for
    void* callee             # the plan's business: what an op calls that is not compiled; NULL
    bint is_trained          # whether its layer is: one that is not acts as in inference
    bint trains              # whether backward and gradient follow forward
    bint wants_dx            # of one of its reads at least: without it there is no backward
    # `measure` may say that backward makes each real of the one dx of the same one of dy alone, and that nobody
    # needs dz any more: both may be one array then.
    bint dx_over_dy
    int matmul_parts         # bfloat16 parts that products may split float32 into; 0: none
    const Activation* activation
    double activation_options[OPTION_NUMBERS]
    op_measure measure
    op_prepare prepare
    op_rows forward
    op_rows to_dz
    op_rows backward
    op_gradient gradient
    op_columns x_columns
    op_columns dz_columns
    op_columns settle
    op_step step
    op_tune tune             # which `measure` names where the kind has such a setting


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

# Bytes of the targets of a line of so many columns; -1: the loss is not for so many.
ctypedef Py_ssize_t (*loss_targets)(Py_ssize_t columns, const double* options) noexcept nogil

cdef struct Loss:
    const char* name
    loss_function compute
    loss_targets target_bytes


# How many sums a metric keeps, of so many columns; -1: its options do not suit them.
ctypedef Py_ssize_t (*metric_sums)(Py_ssize_t columns, const double* options) noexcept nogil

# Adds this batch's sums to state, which is all zero before the first batch. Targets are class labels of int32 where
# they are `labelled`. Of `weights` each row has one; NULL: all are 1.
ctypedef void (*metric_function)(double* state, const void* prediction, const void* target, bint labelled,
                                 const double* weights, Py_ssize_t rows, Py_ssize_t columns,
                                 const double* options) noexcept nogil

# Adds to state the sums of rows that come later.
ctypedef void (*metric_merge)(double* state, const double* later, Py_ssize_t sums) noexcept nogil

cdef struct Metric:
    const char* name
    metric_sums sums
    metric_function update
    metric_merge merge


# Any loss as a metric: adds to state what rows lose, and their weights.
ctypedef void (*add_losses_function)(loss_function compute, double* state, const void* prediction,
                                     const void* target, bint labelled, const double* weights, Py_ssize_t rows,
                                     Py_ssize_t columns, const double* options) noexcept nogil


cdef struct Update:
    const char* name
    int slots
    int numbers              # of `options`
    bint rests               # whether a step without weight decay leaves parameters whose gradient is 0 as they are
    update_advance advance
    update_function apply


# total[i] = the sum over k, in order, of parts[k * n + i] for i in [begin, end) and k < count.
ctypedef void (*sum_parts_function)(void* total, const void* parts, Py_ssize_t n, Py_ssize_t begin,
                                    Py_ssize_t end, Py_ssize_t count) noexcept nogil

# Adds elements [begin, end) of part to a sum that is total - excess, both 0 before the first part. With the
# `last` one the excess is taken off total.
ctypedef void (*add_part_function)(void* total, void* excess, const void* part, Py_ssize_t begin,
                                   Py_ssize_t end, bint last) noexcept nogil


# lines (depth, columns) become panels of `panel_columns`, which lie panel_stride reals apart.
ctypedef void (*pack_function)(void* panels, Py_ssize_t panel_stride, const void* lines, Py_ssize_t depth,
                               Py_ssize_t columns) noexcept nogil
# c (n, n) += left^T right, of left and right (depth, n) in such panels: rows [begin, begin + panel_columns), from the
# diagonal on.
ctypedef void (*multiply_panels_function)(void* c, Py_ssize_t ldc, const void* left, const void* right,
                                          Py_ssize_t panel_stride, Py_ssize_t depth, Py_ssize_t n,
                                          Py_ssize_t begin) noexcept nogil


# to (n,) = whole numbers of 8 bits as reals.
ctypedef void (*widen_function)(void* to, const unsigned char* bytes, Py_ssize_t n) noexcept nogil


# gradients[i] += l1 sign(w) + 2 l2 w for parameters w in [begin, end).
ctypedef void (*penalise_function)(void* gradients, const void* parameters, Py_ssize_t begin, Py_ssize_t end,
                                   double l1, double l2) noexcept nogil
# The sum of l1 |w| + l2 w^2 over them.
ctypedef double (*penalty_function)(const void* parameters, Py_ssize_t begin, Py_ssize_t end, double l1,
                                    double l2) noexcept nogil


# What a step does with gradients before the update, and with weights after it; see kernels/stepping.pxi.
ctypedef void (*accumulate_function)(void* total, const void* gradients, Py_ssize_t begin,
                                     Py_ssize_t end) noexcept nogil
ctypedef void (*settle_mean_function)(void* gradients, void* total, Py_ssize_t begin, Py_ssize_t end,
                                      double count) noexcept nogil
# Of clip_values the number is the limit, of scale_by the factor.
ctypedef void (*clip_function)(void* gradients, Py_ssize_t begin, Py_ssize_t end, double number) noexcept nogil
ctypedef double (*squares_function)(const void* gradients, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
ctypedef void (*average_function)(void* averages, void* parameters, Py_ssize_t begin, Py_ssize_t end,
                                  double momentum, bint overwrites) noexcept nogil


# A matrix whose rows or columns are vectors that cost something unless they are orthogonal.
cdef struct Matrix:
    Py_ssize_t begin         # in the flat vector
    Py_ssize_t vectors
    Py_ssize_t length
    bint are_columns
    double factor            # of each pair
    void* units              # vectors x length reals
    void* turned             # as many
    void* gradients          # as many, in the matrix's own order; NULL: nobody wants them
    double* norms            # of each vector
    double* costs            # of each vector

ctypedef Py_ssize_t (*matrix_size)(const Matrix* matrix) noexcept nogil
# What depends on vectors [begin, end) alone; then what they cost, which depends on all.
ctypedef void (*matrix_units_function)(const Matrix* matrix, const void* parameters, Py_ssize_t begin,
                                       Py_ssize_t end) noexcept nogil
ctypedef void (*matrix_penalty_function)(const Matrix* matrix, void* workspace, Py_ssize_t begin,
                                         Py_ssize_t end) noexcept nogil
# Adds to the gradients of parameters [begin, end) what was found.
ctypedef void (*penalise_matrix_function)(void* gradients, const Matrix* matrix, Py_ssize_t begin,
                                          Py_ssize_t end) noexcept nogil


# Brings groups [begin, end) of a variable within bounds: each is `along` weights, `inner` apart.
ctypedef void (*constrain_function)(void* variable, Py_ssize_t along, Py_ssize_t inner, Py_ssize_t begin,
                                    Py_ssize_t end, const double* options) noexcept nogil

cdef struct Constraint:
    const char* name
    constrain_function apply


cdef struct OpKind:
    const char* name
    op_measure measure
    op_prepare prepare
    op_rows forward
    op_rows to_dz
    op_rows backward
    op_gradient gradient
    op_columns x_columns
    op_columns dz_columns
    op_columns settle
    op_step step
    bint reads_integers      # whether x is of int32: a feed's, of which nobody wants the gradient


# Each list ends with an entry whose name is NULL.
cdef struct KernelTable:
    Py_ssize_t table_bytes   # sizes of this struct and of Op where the kernels were compiled
    Py_ssize_t op_bytes
    const char* level
    int real_bytes
    bint has_tiles           # whether matmul_parts makes a difference
    const OpKind* ops
    const Activation* activations
    const Loss* losses
    const Metric* metrics
    add_losses_function add_losses
    const Update* updates
    sum_parts_function sum_parts
    add_part_function add_part
    widen_function widen
    penalise_function penalise
    penalty_function penalty
    accumulate_function accumulate
    settle_mean_function settle_mean
    clip_function clip_values
    clip_function scale_by
    squares_function squares
    average_function average
    op_finish finish_dx
    matrix_size matrix_workspace_reals
    matrix_units_function matrix_units
    matrix_penalty_function matrix_penalty
    penalise_matrix_function penalise_matrix
    const Constraint* constraints
    Py_ssize_t panel_columns
    pack_function pack_panels
    multiply_panels_function multiply_panels
