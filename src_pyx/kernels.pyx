"""The kernels of one CPU level and one dtype. Compiled once for each: see setup.py and simd.h.

The module's face is `table`, a capsule with the KernelTable that plans take their functions from,
and the `apply_*` functions, which run one kernel on arrays given by address.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.string cimport memcpy

from ops cimport (
    Activation, KernelTable, Loss, METRIC_STATE, Metric, Op, OpKind, Read, Update,
    activation_backward, activation_forward, loss_function,
)

from float_mode cimport fw_enter_float_mode, fw_float_mode, fw_leave_float_mode

cdef extern from *:
    const char* FW_LEVEL
    const char* FW_KERNELS_STAMP

# Which sources this was built from: see setup.py.
STAMP = FW_KERNELS_STAMP.decode()

include "kernels/simd.pxi"


# Where a row of such width stands in a, which may be NULL.
cdef inline real* rows_of(const void* a, Py_ssize_t row, Py_ssize_t width) noexcept nogil:
    return NULL if a == NULL else <real*>a + row * width


# The same of an op's arrays.
cdef inline const real* x_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.reads[0].x, row, op.reads[0].width)


cdef inline real* dx_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.reads[0].dx, row, op.reads[0].width)


cdef inline real* y_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.y, row, op.lines * op.outputs)


cdef inline real* dy_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.dy, row, op.lines * op.outputs)


cdef inline real* saved_of(const Op* op, Py_ssize_t row) noexcept nogil:
    return rows_of(op.saved, row, op.saved_per_row)


include "kernels/readers.pxi"


cdef enum:
    OPTIONS = 2              # numbers that an activation, a loss or a metric may have for its own


# The options given to an `apply_*` function; those that are not are 0.
cdef int read_options(double* numbers, options) except -1:
    cdef Py_ssize_t k
    if len(options) > OPTIONS:
        raise ValueError(f"options: got {len(options)} numbers, expected at most {OPTIONS}")
    for k in range(OPTIONS):
        numbers[k] = options[k] if k < len(options) else 0.0
    return 0


include "kernels/elementary.pxi"
include "kernels/activations.pxi"
include "kernels/matmul.pxi"
include "kernels/narrow.pxi"
include "kernels/amx.pxi"
include "kernels/dense.pxi"
include "kernels/turned.pxi"
include "kernels/tiled.pxi"
include "kernels/elementwise.pxi"
include "kernels/merging.pxi"
include "kernels/noise.pxi"
include "kernels/rows.pxi"
include "kernels/softmax.pxi"
include "kernels/sparsemax.pxi"
include "kernels/row_activations.pxi"
include "kernels/losses.pxi"
include "kernels/crossentropy.pxi"
include "kernels/metrics.pxi"
include "kernels/updates.pxi"
include "kernels/peak.pxi"

cdef OpKind[17] OPS = [
    OpKind("dense", dense_op_measure, dense_op_prepare, dense_op_forward, dense_op_to_dz,
           dense_op_backward, dense_op_gradient),
    OpKind("activation", activation_op_measure, NULL, activation_op_forward, activation_op_to_dz,
           activation_op_backward, NULL),
    OpKind("softmax", softmax_op_measure, NULL, softmax_op_forward, NULL, softmax_op_backward, NULL),
    OpKind("log_softmax", softmax_op_measure, NULL, log_softmax_op_forward, NULL, log_softmax_op_backward,
           NULL),
    OpKind("add", add_op_measure, NULL, add_op_forward, NULL, add_op_backward, NULL),
    OpKind("subtract", subtract_op_measure, NULL, subtract_op_forward, NULL, subtract_op_backward, NULL),
    OpKind("average", average_op_measure, NULL, average_op_forward, NULL, average_op_backward, NULL),
    OpKind("multiply", merge_op_measure, NULL, multiply_op_forward, NULL, multiply_op_backward, NULL),
    OpKind("maximum", merge_op_measure, NULL, maximum_op_forward, NULL, maximum_op_backward, NULL),
    OpKind("minimum", merge_op_measure, NULL, minimum_op_forward, NULL, minimum_op_backward, NULL),
    OpKind("concatenate", concatenate_op_measure, NULL, concatenate_op_forward, NULL, concatenate_op_backward,
           NULL),
    OpKind("softmin", softmax_op_measure, NULL, softmin_op_forward, NULL, softmin_op_backward, NULL),
    OpKind("sparsemax", sparsemax_op_measure, NULL, sparsemax_op_forward, NULL, sparsemax_op_backward, NULL),
    OpKind("dropout", dropout_op_measure, NULL, dropout_op_forward, NULL, dropout_op_backward, NULL),
    OpKind("gaussian_noise", gaussian_noise_op_measure, NULL, gaussian_noise_op_forward, NULL,
           gaussian_noise_op_backward, NULL),
    OpKind("gaussian_dropout", gaussian_op_measure, NULL, gaussian_dropout_op_forward, NULL,
           gaussian_dropout_op_backward, NULL),
    OpKind(NULL, NULL, NULL, NULL, NULL, NULL, NULL),
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
TABLE.updates = &UPDATES[0]
TABLE.sum_parts = sum_parts
TABLE.add_part = add_part
table = PyCapsule_New(&TABLE, "fastweights.kernels", NULL)
