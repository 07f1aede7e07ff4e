"""The kernels of one CPU level and one dtype. Compiled once for each: see setup.py and simd.h.

The module's face is `table`, a capsule with the KernelTable that plans take their functions from,
and the `apply_*` functions, which run one kernel on arrays given by address.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ops cimport (
    Activation, Constraint, KernelTable, LOSS_NUMBERS, Loss, Matrix, Metric, Op, OpKind, Read, Update,
    activation_backward, activation_forward, loss_function, op_gradient, op_measure, op_rows, update_function,
)

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode
from philox cimport philox_block

cdef extern from *:
    const char* FW_LEVEL
    const char* FW_KERNELS_STAMP

# Which sources this was built from: see setup.py.
STAMP = FW_KERNELS_STAMP.decode()

include "kernels/simd.pxi"


# How many steps of each row have gone before these.
cdef inline Py_ssize_t gone_before(const Op* op) noexcept nogil:
    return 0 if op.gone == NULL else op.gone[0]


# Where a row of such width stands in a, which may be NULL.
cdef inline real* rows_of(const void* a, Py_ssize_t row, Py_ssize_t width) noexcept nogil:
    return NULL if a == NULL else <real*>a + row * width


# The same of an op's arrays, of which only the saved ones may be missing.
cdef inline const real* x_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <const real*>op.reads[0].x + row * op.reads[0].width


cdef inline real* dx_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <real*>op.reads[0].dx + row * op.reads[0].width


cdef inline real* y_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <real*>op.y + row * (op.lines * op.outputs)


cdef inline real* dy_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return <real*>op.dy + row * (op.lines * op.outputs)


cdef inline real* saved_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.saved, row, op.saved_per_row)


# Of a plan that goes on: what the steps before left of a row.
cdef inline real* carried_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.carried, row, op.carried_stride)


include "kernels/readers.pxi"


cdef enum:
    OPTIONS = 2              # numbers that an activation may have for its own


# The options given to an `apply_*` function; those that are not are 0.
cdef int read_numbers(double* numbers, Py_ssize_t room, options) except -1:
    cdef Py_ssize_t k
    if len(options) > room:
        raise ValueError(f"options: got {len(options)} numbers, expected at most {room}")
    for k in range(room):
        numbers[k] = options[k] if k < len(options) else 0.0
    return 0


cdef int read_options(double* numbers, options) except -1:
    return read_numbers(numbers, OPTIONS, options)


include "kernels/elementary.pxi"
include "kernels/activations.pxi"
include "kernels/line_sums.pxi"
include "kernels/matmul.pxi"
include "kernels/panel_products.pxi"
include "kernels/narrow.pxi"
include "kernels/amx.pxi"
include "kernels/dense.pxi"
include "kernels/turned.pxi"
include "kernels/tiled.pxi"
include "kernels/elementwise.pxi"
include "kernels/members.pxi"
include "kernels/merging.pxi"
include "kernels/segmented.pxi"
include "kernels/correlation.pxi"
include "kernels/minimal.pxi"
include "kernels/convolution.pxi"
include "kernels/causal.pxi"
include "kernels/depthwise.pxi"
include "kernels/pooling.pxi"
include "kernels/framing.pxi"
include "kernels/noise.pxi"
include "kernels/masks.pxi"
include "kernels/cells.pxi"
include "kernels/recurrent.pxi"
include "kernels/recurrent_forward.pxi"
include "kernels/recurrent_back.pxi"
include "kernels/recurrent_gradient.pxi"
include "kernels/recurrent_ops.pxi"
include "kernels/rows.pxi"
include "kernels/softmax.pxi"
include "kernels/sparsemax.pxi"
include "kernels/row_activations.pxi"
include "kernels/columns.pxi"
include "kernels/normalizing.pxi"
include "kernels/batch_norm.pxi"
include "kernels/shaping.pxi"
include "kernels/attention.pxi"
include "kernels/positions.pxi"
include "kernels/augmentation.pxi"
include "kernels/resizing.pxi"
include "kernels/warping.pxi"
include "kernels/embedding.pxi"
include "kernels/reverse_embedding.pxi"
include "kernels/losses.pxi"
include "kernels/regression.pxi"
include "kernels/hinges.pxi"
include "kernels/binary.pxi"
include "kernels/likeness.pxi"
include "kernels/distributions.pxi"
include "kernels/crossentropy.pxi"
include "kernels/focal.pxi"
include "kernels/loss_table.pxi"
include "kernels/counts.pxi"
include "kernels/metrics.pxi"
include "kernels/rules.pxi"
include "kernels/updates.pxi"
include "kernels/part_sums.pxi"
include "kernels/constraints.pxi"
include "kernels/penalties.pxi"
include "kernels/stepping.pxi"
include "kernels/orthogonal.pxi"
include "kernels/peak.pxi"

cdef inline OpKind rows_op(const char* name, op_measure measure, op_rows forward, op_rows backward) noexcept:
    """An op that has nothing but rows."""
    return OpKind(name, measure, NULL, forward, NULL, backward, NULL, NULL, NULL, NULL, NULL, False)


cdef inline OpKind merge_op(const char* name, op_measure measure, op_rows forward, op_rows backward) noexcept:
    """One that applies an activation besides."""
    return OpKind(name, measure, NULL, forward, activation_op_to_dz, backward, NULL, NULL, NULL, NULL, NULL, False)


cdef inline OpKind gradient_op(const char* name, op_measure measure, op_rows forward, op_rows backward,
                               op_gradient gradient) noexcept:
    """One that has parameters besides."""
    return OpKind(name, measure, NULL, forward, NULL, backward, gradient, NULL, NULL, NULL, NULL, False)


cdef OpKind[62] OPS = [
    OpKind("dense", dense_op_measure, dense_op_prepare, dense_op_forward, dense_op_to_dz,
           dense_op_backward, dense_op_gradient, NULL, NULL, NULL, NULL, False),
    OpKind("activation", activation_op_measure, NULL, activation_op_forward, activation_op_to_dz,
           activation_op_backward, NULL, NULL, NULL, NULL, NULL, False),
    OpKind("batch_norm", batch_norm_op_measure, batch_norm_op_prepare, batch_norm_op_forward, activation_op_to_dz,
           batch_norm_op_backward, batch_norm_op_gradient, batch_norm_op_x_columns, batch_norm_op_dz_columns,
           batch_norm_op_settle, NULL, False),
    OpKind("batch_norm_within", batch_norm_within_op_measure, batch_norm_within_op_prepare, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, False),
    OpKind("member_dense", member_dense_op_measure, member_dense_op_prepare, member_dense_op_forward,
           activation_op_to_dz, member_dense_op_backward, member_dense_op_gradient, NULL, NULL, NULL, NULL, False),
    OpKind("standardize", batch_norm_op_measure, batch_norm_op_prepare, batch_norm_op_forward, NULL,
           batch_norm_op_backward, NULL, NULL, NULL, NULL, NULL, False),
    OpKind("embedding", embedding_op_measure, NULL, embedding_op_forward, NULL, NULL, embedding_op_gradient, NULL, NULL,
           NULL, embedding_op_step, True),
    OpKind("reverse_embedding", reverse_embedding_op_measure, reverse_embedding_op_prepare, reverse_embedding_op_forward,
           reverse_embedding_op_to_dz, reverse_embedding_op_backward, reverse_embedding_op_gradient, NULL, NULL, NULL, NULL,
           False),
    rows_op("softmax", softmax_op_measure, softmax_op_forward, softmax_op_backward),
    rows_op("log_softmax", softmax_op_measure, log_softmax_op_forward, log_softmax_op_backward),
    rows_op("softmin", softmax_op_measure, softmin_op_forward, softmin_op_backward),
    rows_op("sparsemax", sparsemax_op_measure, sparsemax_op_forward, sparsemax_op_backward),
    merge_op("add", add_op_measure, add_op_forward, add_op_backward),
    merge_op("subtract", subtract_op_measure, subtract_op_forward, subtract_op_backward),
    merge_op("average", merge_op_measure, average_op_forward, average_op_backward),
    merge_op("multiply", merge_op_measure, multiply_op_forward, multiply_op_backward),
    merge_op("maximum", merge_op_measure, maximum_op_forward, maximum_op_backward),
    merge_op("minimum", merge_op_measure, minimum_op_forward, minimum_op_backward),
    rows_op("concatenate", concatenate_op_measure, concatenate_op_forward, concatenate_op_backward),
    rows_op("dot", dot_op_measure, dot_op_forward, dot_op_backward),
    rows_op("unit_normalize", unit_normalize_op_measure, unit_normalize_op_forward, unit_normalize_op_backward),
    rows_op("bent_relu", rescale_op_measure, bent_relu_op_forward, bent_relu_op_backward),
    rows_op("rescale", rescale_op_measure, rescale_op_forward, rescale_op_backward),
    rows_op("activity", activity_op_measure, activity_op_forward, activity_op_backward),
    rows_op("swap", swap_op_measure, swap_op_forward, swap_op_backward),
    rows_op("repeat", repeat_op_measure, repeat_op_forward, repeat_op_backward),
    rows_op("dropout", dropout_op_measure, dropout_op_forward, dropout_op_backward),
    rows_op("gaussian_noise", gaussian_noise_op_measure, gaussian_noise_op_forward, gaussian_noise_op_backward),
    rows_op("gaussian_dropout", gaussian_dropout_op_measure, gaussian_dropout_op_forward, gaussian_dropout_op_backward),
    rows_op("flip", warp_op_measure, flip_op_forward, flip_op_backward),
    rows_op("translate", warp_op_measure, translate_op_forward, translate_op_backward),
    rows_op("rotate", warp_op_measure, rotate_op_forward, rotate_op_backward),
    rows_op("zoom", warp_op_measure, zoom_op_forward, zoom_op_backward),
    rows_op("contrast", contrast_op_measure, contrast_op_forward, contrast_op_backward),
    rows_op("brightness", brightness_op_measure, brightness_op_forward, brightness_op_backward),
    rows_op("erase", erase_op_measure, erase_op_forward, erase_op_backward),
    gradient_op("layer_normalize", normalize_op_measure, layer_normalize_op_forward, layer_normalize_op_backward,
                normalize_op_gradient),
    gradient_op("rms_normalize", normalize_op_measure, rms_normalize_op_forward, rms_normalize_op_backward,
                normalize_op_gradient),
    gradient_op("scale", scale_op_measure, scale_op_forward, scale_op_backward, scale_op_gradient),
    gradient_op("prelu", prelu_op_measure, prelu_op_forward, prelu_op_backward, prelu_op_gradient),
    OpKind("conv", conv_op_measure, conv_op_prepare, conv_op_forward, activation_op_to_dz, conv_op_backward,
           conv_op_gradient, NULL, NULL, NULL, NULL, False),
    OpKind("conv_transpose", conv_transpose_op_measure, conv_transpose_op_prepare, conv_transpose_op_forward,
           activation_op_to_dz, conv_transpose_op_backward, conv_transpose_op_gradient, NULL, NULL, NULL, NULL, False),
    OpKind("depthwise", depthwise_op_measure, NULL, depthwise_op_forward, activation_op_to_dz, depthwise_op_backward,
           depthwise_op_gradient, NULL, NULL, NULL, NULL, False),
    rows_op("max_pool", pool_op_measure, max_pool_op_forward, max_pool_op_backward),
    rows_op("average_pool", pool_op_measure, average_pool_op_forward, average_pool_op_backward),
    rows_op("zero_pad", zero_pad_op_measure, zero_pad_op_forward, zero_pad_op_backward),
    rows_op("crop", crop_op_measure, crop_op_forward, crop_op_backward),
    rows_op("upsample", upsample_op_measure, upsample_op_forward, upsample_op_backward),
    rows_op("resize", resize_op_measure, resize_op_forward, resize_op_backward),
    rows_op("random_crop", random_crop_op_measure, random_crop_op_forward, random_crop_op_backward),
    rows_op("mask_steps", mask_steps_op_measure, mask_steps_op_forward, mask_op_backward),
    OpKind("mask_zeros", mask_zeros_op_measure, NULL, mask_zeros_op_forward, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           True),
    rows_op("masking", masking_op_measure, masking_op_forward, masking_op_backward),
    rows_op("masked_mean", masked_mean_op_measure, masked_mean_op_forward, masked_mean_op_backward),
    OpKind("lstm", lstm_op_measure, lstm_op_prepare, lstm_op_forward, lstm_op_to_dz, lstm_op_backward, lstm_op_gradient,
           NULL, NULL, recurrent_op_settle, NULL, False),
    OpKind("gru", gru_op_measure, gru_op_prepare, gru_op_forward, gru_op_to_dz, gru_op_backward, gru_op_gradient, NULL,
           NULL, recurrent_op_settle, NULL, False),
    OpKind("simple_rnn", simple_rnn_op_measure, simple_rnn_op_prepare, simple_rnn_op_forward, simple_rnn_op_to_dz,
           simple_rnn_op_backward, simple_rnn_op_gradient, NULL, NULL, recurrent_op_settle, NULL, False),
    rows_op("attention", attention_op_measure, attention_op_forward, attention_op_backward),
    gradient_op("learned_positions", learned_positions_op_measure, learned_positions_op_forward, positions_op_backward,
                learned_positions_op_gradient),
    rows_op("sine_positions", sine_positions_op_measure, sine_positions_op_forward, positions_op_backward),
    rows_op("rotary", rotary_op_measure, rotary_op_forward, rotary_op_backward),
    rows_op(NULL, NULL, NULL, NULL),
]

cdef KernelTable TABLE
TABLE.table_bytes = sizeof(KernelTable)
TABLE.op_bytes = sizeof(Op)
TABLE.level = FW_LEVEL
TABLE.real_bytes = sizeof(real)
TABLE.has_tiles = FW_TILES
TABLE.ops = &OPS[0]
TABLE.activations = &ACTIVATIONS[0]
TABLE.losses = &LOSSES[0]
TABLE.metrics = &METRICS[0]
TABLE.add_losses = add_losses
TABLE.updates = &UPDATES[0]
TABLE.sum_parts = sum_parts
TABLE.add_part = add_part
TABLE.widen = widen
TABLE.penalise = penalise
TABLE.penalty = penalty
TABLE.accumulate = accumulate
TABLE.settle_mean = settle_mean
TABLE.clip_values = clip_values
TABLE.scale_by = scale_by
TABLE.squares = squares
TABLE.average = average
TABLE.finish_dx = finish_dx
TABLE.matrix_workspace_reals = matrix_workspace_reals
TABLE.matrix_units = matrix_units
TABLE.matrix_penalty = matrix_penalty
TABLE.penalise_matrix = penalise_matrix
TABLE.constraints = &CONSTRAINTS[0]
TABLE.panel_columns = PANEL
TABLE.pack_panels = pack_panels
TABLE.multiply_panels = multiply_panels
table = PyCapsule_New(&TABLE, "fastweights.kernels", NULL)
