"""The gradient checks prove themselves: each of these faults, planted in the compiled core, is caught.

With no fault switched on the same core passes, so it is the fault that is seen and nothing else.
"""

import numpy as np
import pytest
from helpers import error_with_noise
from layer_cases import CASES, SAME, Merged, model_between, rows_for
from planted import Fault, build, planted

import fastweights as fw
from fastweights import _building, _dispatch, _plans, cli, constraints, layers, losses, optimizers

NOISE = "kernels/noise.pxi"
PLAN_ROWS, PLAN_BATCH, PLAN, DENSE, MATMUL = (
    "rows.pxi",
    "batch.pxi",
    "running.pxi",
    "kernels/dense.pxi",
    "kernels/matmul.pxi",
)
NARROW, LINE_SUMS = "kernels/narrow.pxi", "kernels/line_sums.pxi"
ACTIVATIONS, ROWS, SOFTMAX, SPARSEMAX, LOSSES, CROSSENTROPY = (
    "kernels/activations.pxi",
    "kernels/rows.pxi",
    "kernels/softmax.pxi",
    "kernels/sparsemax.pxi",
    "kernels/losses.pxi",
    "kernels/crossentropy.pxi",
)
ELEMENTWISE, MERGING, SHAPING = (
    "kernels/elementwise.pxi",
    "kernels/merging.pxi",
    "kernels/shaping.pxi",
)
WEIGHTS, PENALTIES, ORTHOGONAL, CONSTRAINTS = (
    "weights.pxi",
    "kernels/penalties.pxi",
    "kernels/orthogonal.pxi",
    "kernels/constraints.pxi",
)
BATCH, MEMBERS = "kernels/batch_norm.pxi", "kernels/members.pxi"
EMBEDDING, ATTENTION = "kernels/embedding.pxi", "kernels/attention.pxi"
POSITIONS = "kernels/positions.pxi"
CELLS, RECURRENT, MASKS = "kernels/cells.pxi", "kernels/recurrent.pxi", "kernels/masks.pxi"
SEGMENTED, CORRELATION, CONVOLUTION = (
    "kernels/segmented.pxi",
    "kernels/correlation.pxi",
    "kernels/convolution.pxi",
)
DEPTHWISE, POOLING, FRAMING = (
    "kernels/depthwise.pxi",
    "kernels/pooling.pxi",
    "kernels/framing.pxi",
)
AUGMENTATION, WARPING = "kernels/augmentation.pxi", "kernels/warping.pxi"
RESIZING = "kernels/resizing.pxi"
GATHER = "gather.pxi"
COLUMNS, NORMALIZING, READERS = (
    "kernels/columns.pxi",
    "kernels/normalizing.pxi",
    "kernels/readers.pxi",
)


def net(
    hidden="tanh",
    output=None,
    loss="mse",
    rows=7,
    inputs=5,
    outputs=3,
    units=5,
    scale=1,
    layer=None,
):
    """The network that must notice a fault, with data for it."""
    rng = np.random.default_rng(5)
    if layer is not None:
        model = model_between(CASES[layer])
        model.compile(loss="mse")
        return model, rows_for(model, rows, rng), rng.standard_normal((rows, 2))
    stack = [
        layers.Dense(units, hidden),
        layers.Dense(units, hidden),
        layers.Dense(outputs, output),
    ]
    model = fw.Sequential(stack, input_shape=inputs, dtype="float64", seed=3)
    model.compile(loss=loss)
    x = scale * rng.standard_normal((rows, inputs))
    kind = losses.get(loss)
    if kind.takes_labels:
        return model, x, rng.integers(0, outputs, rows)
    if "crossentropy" in kind.name or kind.name == "hinge":
        return model, x, rng.integers(0, 2, (rows, outputs)).astype(float)
    return model, x, rng.uniform(0.5, 2.5, (rows, outputs))


FAULTS = {
    # The products
    Fault("last term of a product dropped", MATMUL, "end = b + «p.depth» * ldb", "p.depth - 1"): {
        "units": 9
    },
    Fault("tail columns of a sum over lines dropped", LINE_SUMS, "if «i < columns»:", "False"): {
        "units": 9
    },
    Fault(
        "last row of a product dropped", MATMUL, "while «row < rows»:\n        if", "row < rows - 1"
    ): {"units": 9},
    Fault("chain not continued", MATMUL, "p.start = «p.c»", "NULL"): {
        "inputs": 600,
        "units": 8,
        "rows": 2,
    },
    Fault(
        "last panel packed from the first", MATMUL, "vload_tail(b + k * columns + «column» + j", "0"
    ): {"units": 70},
    Fault(
        "last term of a dot dropped",
        NARROW,
        "weights = load_first(line + at, «n - at»)",
        "n - at - 1",
    ): {},
    Fault("dots of rows mixed up", NARROW, "fold_parts(acc + «i» * LANE_VECTORS)", "0"): {},
    # Dense
    Fault("weights not transposed", MATMUL, "block[«i»], room", "0"): {"units": 9},
    Fault(
        "weights of the step before",
        DENSE,
        "pack_transposed(transposed, kernel, «op.inputs»",
        "0",
    ): {"units": 9},
    Fault("derivative of another block", DENSE, "finish_dx(op, 0, first + «row», first", "0"): {
        "units": 9,
        "rows": 70,
    },
    Fault(
        "derivative of the last layer forgotten", PLAN_ROWS, "if «dy != NULL» and op.to_dz", "False"
    ): {"output": "sigmoid"},
    Fault("gradient of one row from one input", DENSE, "factor = vset1(x[«i»])", "0"): {
        "units": 9,
        "rows": 1,
    },
    Fault(
        "slope of another block",
        DENSE,
        "slope == NULL else «slope + first», block",
        "slope",
    ): {"units": 9, "rows": 70},
    Fault("input read as its transpose", DENSE, "p.a_k = «inputs»\n", "1"): {"units": 9},
    Fault("narrow gradient from one output", NARROW, "vfma(vset1(dz[«i»]), line[j]", "0"): {},
    Fault("narrow input's gradient from one output", NARROW, "vfma(vset1(dz[«k»]), lines", "0"): {},
    Fault(
        "last line missing in a sum over lines",
        LINE_SUMS,
        "k in range(«CHAIN_LINES»)",
        "CHAIN_LINES - 1",
    ): {
        "units": 9,
        "rows": 17,
    },
    Fault("no gradient of the bias", DENSE, "if «has_bias(op)» and", "False"): {},
    Fault(
        "a chunk's gradient added to itself",
        PLAN_BATCH,
        "sums.excess, «sums.chunk», places",
        "sums.gradients",
    ): {
        "units": 9,
        "rows": 260,
    },
    Fault(
        "chunks' pieces all to the first", PLAN_BATCH, "sums.chunk, «places.begin», places", "0"
    ): {
        "inputs": 60,
        "rows": 260,
    },
    # The plan
    Fault(
        "missing 1/n", PLAN_BATCH, "begin, end, «1.0 / rows», True)\n                for", "1.0"
    ): {},
    Fault(
        "missing 1/n in slices",
        PLAN_BATCH,
        "begin, end, «1.0 / rows», True)\n            total",
        "1.0",
    ): {"rows": 260},
    Fault(
        "gradient of the last chunk only",
        PLAN_BATCH,
        "group, «done == 0 and left == rows», upto",
        "True",
    ): {"rows": 70},
    Fault("gradient of the last chunk of a slice only", PLAN_BATCH, "is_first = «False»", "True"): {
        "rows": 260
    },
    Fault(
        "a slice forgotten",
        PLAN_BATCH,
        "places.end, «slices»",
        "1",
    ): {"rows": 260},
    Fault(
        "input of the batch before", PLAN_ROWS, "job.x[i] + («first» - begin) * row_bytes", "begin"
    ): {"rows": 260},
    Fault(
        "input's gradient put in the wrong rows", PLAN_ROWS, "job.dx[i] + «first» * row_bytes", "0"
    ): {"rows": 260},
    # Activations
    Fault("relu does not mask", ACTIVATIONS, "return «vselect(vlt(vzero(), y), dy, y)»", "dy"): {
        "hidden": "relu"
    },
    Fault("leaky_relu forgets its slope", ACTIVATIONS, "«negative_slope * dy», y))", "dy"): {
        "hidden": "leaky_relu"
    },
    Fault(
        "tanh's slope loses a factor",
        ACTIVATIONS,
        "slope[0] = «decay * above * above»",
        "decay * above",
    ): {},
    Fault(
        "sigmoid's slope is its value",
        ACTIVATIONS,
        "slope[0] = «decay * share * share»",
        "value[0]",
    ): {"hidden": "sigmoid"},
    Fault(
        "softsign's slope not squared", ACTIVATIONS, "slope[0] = «inverse * inverse»", "inverse"
    ): {"hidden": "softsign"},
    Fault(
        "relu6 does not mask above",
        ACTIVATIONS,
        "vlt(vzero(), y), «vlt(y, vset1(6.0))»)",
        "vle(y, y)",
    ): {"hidden": "relu6", "scale": 9},
    Fault(
        "hard_sigmoid's slope not divided",
        ACTIVATIONS,
        "vselect(vlt(vabs(z), vset1(3.0)), «sixth», zero",
        "vset1(1.0)",
    ): {"hidden": "hard_sigmoid"},
    Fault(
        "hard_silu's slope is its gate",
        ACTIVATIONS,
        "vselect(vlt(vabs(z), three), «(z + z + three) * inner», share)",
        "share",
    ): {"hidden": "hard_silu"},
    Fault(
        "mish's slope below zero lacks a term",
        ACTIVATIONS,
        "vset1(6.0) - «four_a»), four - four_a",
        "four",
    ): {"hidden": "mish"},
    Fault(
        "mish's slope above zero is its gate",
        ACTIVATIONS,
        "vfma(«four_a * (e * e)», above, part * total)",
        "vzero()",
    ): {"hidden": "mish"},
    Fault("exponential's slope is 1", ACTIVATIONS, "slope_backward(dy, y, y, «n», o", "0"): {
        "hidden": "exponential"
    },
    Fault(
        "tail of the derivatives dropped",
        ACTIVATIONS,
        "if «i < n»:\n        dz = rule(",
        "False",
    ): {},
    Fault("slope of the layer ignored", ACTIVATIONS, "return «dy * slope»", "dy"): {},
    Fault(
        "softmax's mean forgotten",
        SOFTMAX,
        "-(share * «mean»)",
        "vzero()",
    ): {"output": "softmax"},
    Fault(
        "softmin's gradient is softmax's",
        SOFTMAX,
        "softmax_row_gradient(across, dx, «dx», y, n)",
        "<real*>dy",
    ): {"output": "softmin"},
    Fault(
        "sparsemax's mean forgotten", SPARSEMAX, "load_first(dy + i, left) - «mean»", "vzero()"
    ): {"output": "sparsemax"},
    Fault(
        "sparsemax's mean over the whole row",
        SPARSEMAX,
        "count = count + «vselect(vlt(vzero(), share), vset1(1), share)»",
        "vset1(1)",
    ): {"output": "sparsemax"},
    Fault(
        "sparsemax's gradient outside of the support",
        SPARSEMAX,
        "- mean, «share»)",
        "load_first(dy + i, left) - mean",
    ): {"output": "sparsemax"},
    Fault(
        "sparsemax's support not cut down",
        SPARSEMAX,
        "while «vany(vlt(found.count, before.count))»",
        "False",
    ): {"output": "sparsemax"},
    Fault(
        "log_softmax's total forgotten",
        SOFTMAX,
        "vfnma(vexp(load_first(y + i, left)), «total»",
        "vzero()",
    ): {"output": "log_softmax"},
    # Rows
    Fault("half of a long row's sum dropped", ROWS, "lanes[k] += «lanes[k + half]»", "0"): {
        "outputs": 70,
        "output": "softmax",
        "loss": "sparse_categorical_crossentropy",
    },
    Fault(
        "only the first rows laid across vectors",
        ROWS,
        "lay_across(first, rows_of(a, «row», columns), count, columns)",
        "0",
    ): {"output": "softmax"},
    # Layers that look at no other row
    Fault(
        "mean's gradient forgotten",
        NORMALIZING,
        "offset = «sum_of(across, &sum) / count»",
        "vzero()",
    ): {"layer": "layer 9"},
    Fault(
        "variance's gradient forgotten",
        NORMALIZING,
        "share = «share / count»",
        "vzero()",
    ): {"layer": "layer 150"},
    Fault(
        "the norm's gradient where there is none",
        NORMALIZING,
        "largest_inverse(epsilon)), vzero(), «share»)",
        "vzero()",
    ): {"layer": "unit 9"},
    Fault(
        "root mean square of the sum",
        NORMALIZING,
        "else:\n        share = «share / count»",
        "share",
    ): {"layer": "rms 5"},
    Fault(
        "inverses of the first lines", NORMALIZING, "load_first(inverses + «line», count)", "0"
    ): {"layer": "layer 3x8", "rows": 9},
    Fault(
        "gamma left out of the gradient",
        NORMALIZING,
        "if i < n:\n                g = «times_gamma(across, load_first(dy + i, n - i), gamma, i, n - i)»",
        "load_first(dy + i, n - i)",
    ): {"layer": "layer 16"},
    Fault("tail of a line in its variance", NORMALIZING, "- m.mean, «n - i»)", "VL"): {
        "layer": "layer 65"
    },
    Fault("one factor for all lines", LINE_SUMS, "b += «stride»\n", "0"): {"layer": "layer 5"},
    Fault("beta's gradient forgotten", COLUMNS, "elif «first < upto»:", "False"): {
        "layer": "layer 5"
    },
    Fault(
        "scale's factor forgotten",
        COLUMNS,
        "store_first(dx + i, without_traces(«times_gamma(False, load_first(dy + i, n - i), gamma_of(op), i, n - i)»)",
        "load_first(dy + i, n - i)",
    ): {"layer": "3 groups 2x2x6"},
    Fault("alpha's gradient of all lines", COLUMNS, "vfma(dy, «vmin(vzero(), x)», sum)", "x"): {
        "layer": "prelu"
    },
    Fault("alpha of the first columns", COLUMNS, "load_first(«alpha + i», n - i)))", "alpha"): {
        "layer": "prelu"
    },
    Fault(
        "scale forgotten",
        ELEMENTWISE,
        "without_traces(«scale * load_first(dy + i, n - i)»)",
        "load_first(dy + i, n - i)",
    ): {"layer": "rescaling"},
    Fault("end forgotten", ELEMENTWISE, "vselect(«vlt(z, most)», d, vzero())", "veq(z, z)"): {
        "layer": "relu with an end"
    },
    Fault(
        "threshold's slope forgotten",
        ELEMENTWISE,
        "vselect(vle(z, threshold), «slope * d», z)",
        "d",
    ): {"layer": "relu with all"},
    Fault(
        "turned back the same way", SHAPING, "op.lines, «op.sizes[1]», op.sizes[0]", "op.sizes[0]"
    ): {"layer": "permute 2x1x3"},
    Fault("one of the repeated", SHAPING, "op.inputs, «op.sizes[0]», op.inputs)", "1"): {
        "layer": "repeat"
    },
    Fault("sign of what is taken off", MERGING, "scale_dy(op, 1, begin, end, «-1»)", "1"): {
        "layer": "subtract 5"
    },
    Fault("sum for a mean", MERGING, "«<real>1 / <real>op.n_reads»", "<real>1"): {
        "layer": "average 5"
    },
    Fault("a factor of the product forgotten", MERGING, "if «j != k»:", "j > k"): {
        "layer": "multiply 5"
    },
    Fault("gradient to all", MERGING, "vnot(veq(a, other))), «share», half)", "half"): {
        "layer": "maximum 5"
    },
    Fault(
        "gradient to the larger one",
        MERGING,
        "choose_backward(«smaller_of_pair», op",
        "larger_of_pair",
    ): {"layer": "minimum 5"},
    Fault("place in the row forgotten", MERGING, "dy -= «width»", "0"): {
        "layer": "concatenate 3x4"
    },
    Fault("the other's transpose", MERGING, "dy_of(op, row), «1», n, read_of(op, 0, row)", "n"): {
        "layer": "dot 2 9x10"
    },
    Fault("another reader's part forgotten", READERS, "while «other != NULL»", "False"): {
        "layer": "add 5"
    },
    # Normalisation by batches, and members
    Fault("gamma forgotten", BATCH, "else inverse * «load_first(gamma + i, left)»", "vset1(1)"): {
        "layer": "batch"
    },
    Fault(
        "gamma's gradient without the mean",
        BATCH,
        "vfma(«x - mean», dz, sum)",
        "x",
    ): {"layer": "batch"},
    Fault(
        "one member's kernel for all", MEMBERS, "&p, transposed + «member» * member_transposed", "0"
    ): {"layer": "members"},
    Fault(
        "one member's input for all",
        MEMBERS,
        "x_of(op, begin) + «member» * inputs,",
        "0",
    ): {"layer": "members"},
    Fault(
        "bias of the first member alone", MEMBERS, "op.outputs, lines, «op.outputs»)", "outputs"
    ): {"layer": "members"},
    # What weights cost, and what layers make
    Fault(
        "a vector's own direction kept", ORTHOGONAL, "along += «<double>unit[k] * sums[k]»", "0.0"
    ): {"layer": "orthogonal rows 9x3"},
    Fault(
        "one vector's sum for a block", ORTHOGONAL, "matrix_gradient(m, sums + «i * m.length»", "0"
    ): {"layer": "orthogonal columns 3x9"},
    Fault(
        "norm forgotten", ORTHOGONAL, "share = m.factor / «fmax(m.norms[i], NORM_EPSILON)»", "1.0"
    ): {"layer": "orthogonal rows 17x5"},
    Fault(
        "norms of the first columns for all",
        ORTHOGONAL,
        "find_norms(m.norms + i, w + «i * step»",
        "0",
    ): {"layer": "orthogonal columns 18x40"},
    Fault(
        "a matrix that costs nothing",
        WEIGHTS,
        "if «begin < end»:\n                self.table.penalise_matrix",
        "False",
    ): {"layer": "orthogonal rows 3x9"},
    Fault("missing 2 of a weight's square", PENALTIES, "two = vset1(<real>(«2.0 * l2»))", "l2"): {
        "layer": "prelu with costs"
    },
    Fault(
        "sum over rows, not their mean",
        PENALTIES,
        "op.row_share * op.options[0], «op.row_share» * op.options[1]",
        "1.0",
    ): {"layer": "activity of squares"},
    Fault("a row's share of no batch", PLAN_ROWS, "ops[i].row_share = «1.0 / rows»", "0.0"): {
        "layer": "activity"
    },
    Fault(
        "cost left out of the loss",
        PLAN_ROWS,
        "total += «sum_of(self.ops[i].costs + begin, end - begin)»",
        "0.0",
    ): {"layer": "activity of a layer"},
    Fault("another matrix", ORTHOGONAL, "<const real*>parameters + «m.begin»", "0"): {
        "layer": "members with costs"
    },
    # Whole numbers
    Fault("one row of the table for all", EMBEDDING, "table + «labels[line]» * n, n)", "0"): {
        "layer": "embedding 7x5 3"
    },
    Fault(
        "first line's gradient for all", EMBEDDING, "labels[line] * n, dy + «line» * n, n)", "0"
    ): {"layer": "embedding 7x5 3"},
    Fault(
        "first row of a piece forgotten",
        EMBEDDING,
        "if «first <= labels[line] < last»",
        "first < labels[line] < last",
    ): {"layer": "embedding 7x5 3"},
    Fault(
        "last column of a line dropped",
        EMBEDDING,
        "load_first(to + i, n - i) + load_first(line + i, «n - i»)",
        "n - i - 1",
    ): {"layer": "embedding 90x9 4"},
    # Attention
    Fault("scale forgotten", ATTENTION, "without_traces(«scale» * vfma(p, dp", "vset1(1)"): {
        "layer": "attention"
    },
    Fault("softmax's mean not taken off", ATTENTION, "-(p * «mean»)))", "vzero()"): {
        "layer": "attention"
    },
    Fault("y taken for dy", ATTENTION, "vload(«h.dy_turned» + k * QUERIES", "h.y_turned"): {
        "layer": "attention"
    },
    Fault(
        "first block's sums for all", ATTENTION, "load_first(h.share + «query + i», queries", "i"
    ): {"layer": "attention over blocks", "rows": 2},
    Fault("first block's queries for all", ATTENTION, "1, «h.q + query * h.q_stride»,", "h.q"): {
        "layer": "causal attention over blocks",
        "rows": 2,
    },
    Fault("last query alone", ATTENTION, "h.key_dim, queries, «True»)", "False"): {
        "layer": "causal attention over blocks",
        "rows": 2,
    },
    Fault("last block of keys alone", ATTENTION, "h.key_dim, keys, «True»)", "False"): {
        "layer": "attention over blocks",
        "rows": 2,
    },
    Fault("keys of the first head for all", ATTENTION, "dk + «kv_head» * h.key_dim", "0"): {
        "layer": "attention of groups"
    },
    Fault("values of the first head for all", ATTENTION, "dv + «kv_head» * h.value_dim", "0"): {
        "layer": "attention of groups"
    },
    # Positions
    Fault("turned forth, not back", POSITIONS, "rotate_rows(«True», dx_of", "False"): {
        "layer": "rotary of heads"
    },
    Fault("gradient of the first places", POSITIONS, "add_element, total + «used», dy", "0"): {
        "layer": "learned positions in pieces"
    },
    Fault("gradient of one row alone", POSITIONS, "dy, dy, n, «end - begin», upto", "1"): {
        "layer": "learned positions"
    },
    # Losses
    Fault("missing 2 of the square", LOSSES, "slope[0] = «d + d»", "d"): {},
    Fault("missing 1/columns", LOSSES, "«(scale / columns)»", "scale"): {},
    Fault("wrong sign", LOSSES, "slope[0] = «vset1(1) - ratio»", "ratio - vset1(1)"): {
        "output": "softplus",
        "loss": "poisson",
    },
    # Convolutions and pooling
    Fault("no skip of taps beside the image", SEGMENTED, "b += «p.skip» * ldb", "0"): {
        "layer": "conv same 5x7x4"
    },
    Fault("segments of a row of taps apart", SEGMENTED, "+ «inner * p.inner_step») * <Py", "0"): {
        "layer": "conv dilated 9x7x3"
    },
    Fault("last rows of a product not filled", SEGMENTED, "if rows - row > «FEW_ROWS»:", "9"): {
        "layer": "conv same 5x7x4"
    },
    Fault("columns beyond the first panel", SEGMENTED, "p.b + «column * p.depth» + p.first", "0"): {
        "layer": "conv above a panel 4x4x3"
    },
    Fault(
        "taps of the first phase for all",
        CORRELATION,
        "tap * tap_step % stride != «phase»:",
        "0",
    ): {"layer": "conv strided 9x8x3"},
    Fault("kernel not turned", CORRELATION, "axis.kernel_step = «-period»", "period"): {
        "layer": "conv without bias 6x6x2"
    },
    Fault("merged pixels read one place", CORRELATION, "across + «pixel * c.apart»\n", "0"): {
        "layer": "conv same merged 4x6x3"
    },
    Fault("tap above the image taken", CORRELATION, "begin[0] = 0 if «at >= 0» else", "at >= -1"): {
        "layer": "conv same 5x7x4"
    },
    Fault(
        "rows of images all at the top", CORRELATION, "c.down.begin + «row * c.down.stride»", "0"
    ): {"layer": "conv without bias 6x6x2"},
    Fault("first group's inputs for all", CORRELATION, "p.a = x + «group * c.inputs»", "0"): {
        "layer": "conv grouped 6x5x4"
    },
    Fault("images behind the first ones", CORRELATION, "x += «now» * c.down.size", "0"): {
        "layer": "conv of one channel 12x12x1",
        "rows": 14,
    },
    Fault(
        "kernel's gradient of the last images", CONVOLUTION, "p.goes_on = «done > 0» or", "False"
    ): {
        "layer": "conv from above a panel 3x3x70",
        "rows": 99,
    },
    Fault(
        "merged pixels not folded", CONVOLUTION, "in range(1, «merged»):\n            total", "1"
    ): {"layer": "conv of one channel 12x12x1"},
    Fault("padding left out of the kernel's gradient", CONVOLUTION, "+ «g.top») * padded", "0"): {
        "layer": "conv same 5x7x4"
    },
    Fault(
        "first group's gradient for all",
        CONVOLUTION,
        "+ row * p.inner_step + «group * channels»",
        "0",
    ): {"layer": "conv grouped 6x5x4"},
    Fault(
        "bias of a transposed convolution",
        CONVOLUTION,
        "if expands:\n            pixel_sums(dkernel + op.variables[0], large, «end - begin»,",
        "1",
    ): {"layer": "conv transposed 4x3x2"},
    Fault(
        "stride of dx forgotten",
        DEPTHWISE,
        "+ column * c.across.stride + «kx * c.across.tap_step») * n\n                    w",
        "0",
    ): {"layer": "conv by channel 6x5x9"},
    Fault("columns beside the image", DEPTHWISE, "first = 0 if «at >= 0» else", "True"): {
        "layer": "conv by channel same 4x5x17"
    },
    Fault(
        "filters of a channel not added up", DEPTHWISE, "to[i] += «come[i * multiplier + m]»", "0"
    ): {"layer": "conv by channel twice 4x5x3"},
    Fault("gradient to the first number", POOLING, "below = vlt(here, «largest»)", "here"): {
        "layer": "Max pool of three 6x7x9"
    },
    Fault(
        "gradient of the last window alone",
        POOLING,
        "given = «given + load_part(ragged, dx + column * p.channels, tail)»",
        "given",
    ): {"layer": "Max pool that overlaps 6x5x8"},
    Fault(
        "share of a mean not divided",
        POOLING,
        "share = without_traces(load_part(ragged, dy, tail) / «seen_count(seen)»)",
        "vset1(2)",
    ): {"layer": "Average pool same 5x4x3"},
    Fault("frame's left side", FRAMING, "(f.top * f.width + «f.left») * f.channels", "0"): {
        "layer": "zeros around images"
    },
    Fault("first of the pixels alone", FRAMING, "dy + i * line + «j * channels» + k", "0"): {
        "layer": "upsampled images"
    },
    Fault("share of the first line left out", RESIZING, "rest = vset1(«1 - share»)", "1"): {
        "layer": "resized images"
    },
    Fault(
        "share of the other line",
        RESIZING,
        "mixed, «mix.share», width * channels)",
        "1 - mix.share",
    ): {"layer": "bilinearly upsampled images"},
    Fault("part of the first image", RESIZING, "x_of(op, «row»), &f, 1)", "begin"): {
        "layer": "random part of images"
    },
    Fault("huber's gradient not cut off", LOSSES, "slope[0] = vcopysign(«c», d)", "size"): {
        "loss": losses.Huber(0.3)
    },
    Fault(
        "tail of a loss's gradient dropped",
        LOSSES,
        "store_first(dy, «factor * slope», n)",
        "(vzero() if n < VL else factor * slope)",
    ): {},
    Fault("label not taken off", CROSSENTROPY, "-(factor * rest), «q - scale»)", "q"): {
        "output": "softmax",
        "loss": "sparse_categorical_crossentropy",
    },
    Fault(
        "targets' sum taken for 1", CROSSENTROPY, "ratio = «sum_t» / (vset1(1) + rest)", "vset1(1)"
    ): {
        "output": "softmax",
        "loss": "categorical_crossentropy",
    },
    Fault(
        "clipping's gradient everywhere",
        LOSSES,
        "difference = «vfma(e, share, -w)»",
        "vfma(e, share, w)",
    ): {"output": "sigmoid", "loss": "binary_crossentropy"},
    Fault("forget gate forgotten", CELLS, "without_traces(«down * f»), left)", "down"): {
        "layer": "LSTM 5 4x3 sequences"
    },
    Fault("c of this step", CELLS, "down * load_first(«c_before + k», left)", "c + k"): {
        "layer": "LSTM 5 4x3 sequences"
    },
    Fault(
        "gradient by c of this step alone", CELLS, "left), «load_first(dc + k, left)»)", "vzero()"
    ): {"layer": "LSTM 5 4x3 sequences"},
    Fault(
        "slope of tanh for that of sigmoid",
        CELLS,
        "vfnma(value, value, «value») if fast",
        "vset1(1)",
    ): {"layer": "LSTM 1 1x1"},
    Fault(
        "what is kept gets no gradient",
        CELLS,
        "store_first(pass_on + k, «up * keep», left)",
        "vzero()",
    ): {"layer": "GRU 5 4x3 sequences"},
    Fault("reset outside of its gradient", CELLS, "without_traces(«dg * r»), left)", "dg"): {
        "layer": "GRU 5 4x3 sequences"
    },
    Fault("reset lost on its way back", CELLS, "vfma(«up», r, load_first(pass_on", "vzero()"): {
        "layer": "GRU before 5 4x3 sequences"
    },
    Fault(
        "first step's line", RECURRENT, "lines_saved(cell, op, 0) + «place * cell.line», line", "0"
    ): {"layer": "SimpleRNN 5 4x3 sequences"},
    Fault(
        "one step's gradient alone",
        RECURRENT,
        "copy_times(room.h + row * n, «room.back + j * n»,",
        "zeros",
    ): {"layer": "SimpleRNN 5 4x3 sequences"},
    Fault(
        "gradient of another step's h",
        RECURRENT,
        "dy + (row * cell.steps + «place_in_y(op, number)»)",
        "number",
    ): {"layer": "both ways added"},
    Fault(
        "dx in the order of steps done", RECURRENT, "copy_reals(dx + «step» * cell.inputs", "number"
    ): {"layer": "LSTM 17 3x20 sequences backwards"},
    Fault(
        "mask that is not seen",
        RECURRENT,
        "mask == NULL or «mask[row * steps + step] != 0»",
        "True",
    ): {"layer": "LSTM 5 6x2 masked"},
    Fault(
        "second bias forgotten",
        RECURRENT,
        "if «group.second_bias > 0»:\n            copy_reals",
        "False",
    ): {"layer": "GRU 5 4x3 sequences"},
    Fault(
        "panel of the first columns",
        RECURRENT,
        "p.b += («cell.group[k].first + column») * PANEL",
        "0",
    ): {"layer": "LSTM 17 3x20 sequences backwards"},
}


def noisy_attention(dropout):
    return Merged(layers.MultiHeadAttention(2, 3, dropout=dropout), (SAME, SAME))


#: Faults that show with random numbers alone, and the kind of layer that must notice.
NOISY_FAULTS = {
    Fault(
        "attention's draws not those of forward", ATTENTION, "p, vzero()))\n            dp = vselect(kept_of(h, «k», query)", "0"
    ): noisy_attention,
    Fault(
        "gradient of draws not scaled", ATTENTION, "query), «factor * dp», vzero())", "dp"
    ): noisy_attention,
    Fault(
        "h of all units goes back",
        RECURRENT,
        "room.back + j * n, «room.kept + row * n if dropping else NULL», n)",
        "NULL",
    ): lambda rate: layers.GRU(4, recurrent_dropout=rate, return_sequences=True),
    Fault(
        "dropout's gradient not scaled", NOISE, "return vselect(vmask_of(bits), «rule.scale * x»", "x"
    ): layers.AlphaDropout,
    Fault(
        "dropout's gradient not masked", NOISE, "return vselect(«vmask_of(bits)», rule.scale *", "veq(x, x)"
    ): layers.AlphaDropout,
    Fault(
        "bits of the first elements for all", NOISE, "memcpy(bits, saved + «done // 8», (", "0"
    ): layers.Dropout,
    Fault(
        "bits of one row for all", NOISE, "<unsigned char*>saved_of(op, «row»), generator", "begin"
    ): layers.SpatialDropout1D,
    Fault(
        "first line taken for all", NOISE, "+ done, x + «line * n» + done", "0"
    ): layers.SpatialDropout1D,
    Fault(
        "gaussian_dropout's gradient is noise", NOISE, "disturb(«times_noise», dx_of", "with_noise"
    ): layers.GaussianDropout,
}  # fmt: skip

#: Likewise of layers that change images.
IMAGE_FAULTS = {
    Fault(
        "shares of a pixel for its neighbour", WARPING, "channels + k] += «across.second_share» * (down.first_share", "across.first_share"
    ): lambda: layers.RandomRotation(0.3),
    Fault(
        "pixels of one line in the place of the next", WARPING, "below = dx + «down.second» * stride\n            for k", "down.first"
    ): lambda: layers.RandomRotation(0.3, "wrap"),
    Fault(
        "a line's share for the next", WARPING, "+ right[column] * («above» * near", "below[column]"
    ): lambda: layers.RandomRotation(0.3),
    Fault(
        "lines blended by the other's shares", WARPING, "blend(warp.blended, source, «down.first_share»,", "down.second_share"
    ): lambda: layers.RandomZoom(0.4),
    Fault(
        "a run from its own place", WARPING, "source + «from_run.first * channels», from_run", "begin * channels"
    ): lambda: layers.RandomTranslation(0.0, 0.5, "constant"),
    Fault(
        "the map of the next row", WARPING, "rule(&warp.map, op, «row»)\n            warp_row_back", "row + 1"
    ): layers.RandomFlip,
    Fault(
        "mean without a gradient", AUGMENTATION, "spread_means(means, dx, «<real>(1 - factor)», op)", "0"
    ): lambda: layers.RandomContrast(0.5, (-9, 9)),
    Fault(
        "gradient beyond the bounds", AUGMENTATION, "vselect(«vand(vlt(least, value), vlt(value, most))», load_first(dy", "veq(value, value)"
    ): lambda: layers.RandomBrightness(0.5, (-0.5, 0.5)),
    Fault(
        "gradient of what is erased", AUGMENTATION, "patch.first, 0, «(patch.end - patch.first) * sizeof(real)»)", "0"
    ): lambda: layers.RandomErasing((1, 1), 0.5, 0.0),
}  # fmt: skip

#: Faults of rows that come as bytes.
BYTE_FAULTS = [
    Fault("the first bytes for all", PLAN_ROWS, "job.x[i] + «first * feed.width», (end", "0"),
    Fault("bytes not in the order", GATHER, "(data + «order[i]» * width)", "i"),
    Fault("tail of a row dropped", GATHER, "(data + order[i] * width), «width»)", "width - 1"),
]

#: Faults of steps on the rows of a table that a batch touches.
STEP_FAULTS = [
    Fault(
        "gradients of the step before kept",
        EMBEDDING,
        "memset(dtable + row * n, 0, «n» * sizeof(real))\n            previous",
        "0",
    ),
    Fault(
        "gradients of another plan kept",
        PLAN,
        "goes_on = «self.lock.rested == <void*>self»",
        "True",
    ),
    Fault("rows of a whole step not known", PLAN, "goes_on = «self.rests(rows, left)»", "True"),
    Fault(
        "one touched row of each piece moved",
        EMBEDDING,
        "lasts[piece] if «lasts[piece] > 0»",
        "False",
    ),
    Fault("a step on the first rows", EMBEDDING, "op.parameter_reals, «row» * n, (row + 1)", "0"),
]


#: What a prediction must notice: ops that are done within others, values that share places.
INFERENCE_FAULTS = [
    Fault(
        "moving mean forgotten",
        BATCH,
        "- «load_first(<const real*>op.state + i, left)», left)",
        "vzero()",
    ),
    Fault(
        "moving scale forgotten",
        BATCH,
        "store_first(start + n + i, «moving_scale(op, i, left)»",
        "vset1(1)",
    ),
    Fault(
        "beta forgotten",
        BATCH,
        "«vzero() if beta == NULL else load_first(beta + i, left)», left)",
        "vzero()",
    ),
    Fault("scale for shift", DENSE, "found.shift = «found.scale + op.outputs»", "found.scale"),
    Fault("scales of the first panel", MATMUL, "p.scale + «column»", "0"),
    Fault("scaled at each cut of the depth", MATMUL, "product.scale if «left == 0»", "True"),
    Fault("first row scaled", DENSE, "scale_lines(y, k.scale, k.shift, «rows»", "1"),
    Fault("places given up too early", "layout.pxi", "last_reader >= «i»", "i + 1"),
]
#: Faults of steps, and the constraint that must notice.
UNKEPT_FAULTS = {
    Fault(
        "weights of another group", CONSTRAINTS, "parameters + «group // inner * along * inner» +", "0"
    ): constraints.UnitNorm(1),
    Fault(
        "one column's norm for all", CONSTRAINTS, "value = scale * «w[k]»\n            sums", "w[0]"
    ): constraints.MaxNorm(0.1),
    Fault(
        "tail of a norm dropped", CONSTRAINTS, "for k in range(«<int>(n - i)»)", "0"
    ): constraints.UnitNorm(1),
    Fault(
        "rate forgotten", CONSTRAINTS, "kept + «(1.0 - options[2])» * norms", "0.0"
    ): constraints.MinMaxNorm(0.1, 0.2, 0.5),
    Fault("norm that is too large", CONSTRAINTS, "options[0]), «options[1]»)", "norms[k]"): constraints.MaxNorm(0.1),
    Fault("sign turned", CONSTRAINTS, "vselect(«vlt(weight, vzero())»", "vlt(vzero(), weight)"): "non_neg",
    Fault(
        "prepared before the step's bounds", PLAN_BATCH, "if «prepare»:\n            meet(team)", "False"
    ): constraints.UnitNorm(0),
}  # fmt: skip


#: All of them, in one build; each is switched on by its number, from 1 on.
PLANTED = [
    *(*FAULTS, *NOISY_FAULTS, *IMAGE_FAULTS, *BYTE_FAULTS),
    *(*STEP_FAULTS, *INFERENCE_FAULTS, *UNKEPT_FAULTS),
]


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """The faulty core in place of the real one; `core(n)` switches fault n on, 0 none."""
    kernels, plan = build(tmp_path_factory.mktemp("planted"), PLANTED)

    def switch(number):
        kernels.plant(number)
        plan.plant(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_dispatch, "kernels", lambda dtype: kernels)
        patch.setattr(_plans, "_plan", plan)
        patch.setattr(optimizers, "_plan", plan)
        patch.setattr(_building, "_plan", plan)
        # On one thread a member's rows are several blocks, which some of the faults are about.
        with fw.threads(1):
            yield switch
        switch(0)


def test_faults_in_the_same_words():
    text = "total = first + second * third\n"
    both = {
        1: Fault("the whole", "file", "«first + second * third»", "0"),
        2: Fault("a part", "file", "first + «second» *", "1"),
        3: Fault("the same part", "file", "«second» * third", "2"),
        4: Fault("beside it", "file", "* «third»\n", "3"),
        5: Fault("words that another changes", "file", "total = «first»", "4"),
    }
    code = planted(text, both)
    names = {"first": 5, "second": 7, "third": 11}
    right, wrong = 5 + 7 * 11, {1: 0, 2: 5 + 1 * 11, 3: 5 + 2 * 11, 4: 5 + 7 * 3, 5: 4 + 7 * 11}
    for number in range(6):
        found = {**names, "FAULT": number}
        exec(code, found)
        assert found["total"] == wrong.get(number, right)
    crossing = {
        1: Fault("one", "file", "«first + second»", "0"),
        2: Fault("two", "file", "«second * third»", "0"),
    }
    with pytest.raises(AssertionError, match="'one' and 'two' share a part"):
        planted(text, crossing)
    with pytest.raises(AssertionError, match="'second or fourth' stands 0 times in file"):
        planted(text, {1: Fault("none", "file", "second or «fourth»", "0")})


def test_there_are_at_least_20():
    assert len(FAULTS) >= 20


@pytest.fixture(scope="module")
def known_good():
    """Settings of networks whose gradients were found right without a fault."""
    return set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(core, merged_is_known, known_good, fault):
    settings = tuple(FAULTS[fault].items())
    if settings not in known_good:
        core(0)
        report = fw.check_gradients(*net(**FAULTS[fault]), tolerance=1e-8)
        assert report.passed, f"without a fault:\n{report}"
        known_good.add(settings)
    core(1 + PLANTED.index(fault))
    report = fw.check_gradients(*net(**FAULTS[fault]), tolerance=1e-8)
    assert not report.passed, f"not noticed:\n{report}"


@pytest.mark.parametrize("fault", NOISY_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_a_layer_that_draws_is_caught(core, fault):
    stack = [layers.Dense(7, "tanh"), NOISY_FAULTS[fault](0.3), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (3, 5), dtype="float64", seed=3)
    model.compile(loss="mse")
    random = np.random.default_rng(5)
    batch = random.standard_normal((40, 3, 5)), random.standard_normal((40, 2))
    core(0)
    assert error_with_noise(model, *batch) < 1e-8
    core(1 + PLANTED.index(fault))
    assert error_with_noise(model, *batch) > 1e-4


@pytest.mark.parametrize("fault", IMAGE_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_a_layer_of_images_is_caught(core, fault):
    stack = [layers.Dense(2, "tanh"), IMAGE_FAULTS[fault](), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, (4, 7, 2), dtype="float64", seed=3)
    model.compile(loss="mse")
    random = np.random.default_rng(5)
    batch = random.standard_normal((20, 4, 7, 2)), random.standard_normal((20, 2))
    core(0)
    assert error_with_noise(model, *batch) < 1e-8
    core(1 + PLANTED.index(fault))
    assert error_with_noise(model, *batch) > 1e-4


@pytest.mark.parametrize("fault", BYTE_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_rows_of_bytes_is_caught(core, fault):
    random = np.random.default_rng(5)
    x, y = random.integers(0, 256, (70, 9), np.uint8), random.standard_normal((70, 2))

    def distance():
        found = []
        for given in (x, x.astype(float)):
            model = fw.Sequential([layers.Rescaling(1 / 255), layers.Dense(2)], 9, "float64", 3)
            model.compile("sgd", "mse")
            model.fit(given, y, 16, 1, verbose=0)
            model.fit(given, y, 16, 1, verbose=0, shuffle=False)
            found.append(np.concatenate([model.parameters, model.predict(given).ravel()]))
        return np.abs(found[0] - found[1]).max()

    core(0)
    assert distance() == 0
    core(1 + PLANTED.index(fault))
    assert distance() > 1e-4


@pytest.mark.parametrize("fault", INFERENCE_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_inference_is_caught(core, fault):
    def off():
        """How far a network's prediction is from the same with all values kept."""
        stack = []
        for units in (70, 3, 5):
            stack += [layers.Dense(units), layers.BatchNormalization(), layers.Activation("relu")]
        model = fw.Sequential(stack, 600, "float64", seed=3)
        random = np.random.default_rng(5)
        x = random.standard_normal((40, 600))
        for weight in model.weights:
            weight += random.uniform(0.1, 1.0, weight.shape)
        return np.abs(model.predict(x) - model.forward(x)).max()

    core(0)
    assert off() < 1e-8
    core(1 + PLANTED.index(fault))
    assert off() > 1e-4


@pytest.mark.parametrize("fault", UNKEPT_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_what_a_step_leaves_is_caught(core, fault):
    """Two steps, of which the second meets what was prepared of the weights after the first."""
    constraint = constraints.get(UNKEPT_FAULTS[fault])
    random = np.random.default_rng(5)
    x, y = random.standard_normal((40, 19)), random.standard_normal((40, 70))

    def distance():
        stacks = ([layers.Dense(70, kernel_constraint=given)] for given in (constraint, None))
        kept, plain = (fw.Sequential(stack, 19, dtype="float64", seed=3) for stack in stacks)
        for model in (kept, plain):
            model.compile(optimizers.SGD(20.0), "mse")
        kept.fit(x, y, 20, verbose=0, shuffle=False)
        for begin in (0, 20):
            plain.train_on_batch(x[begin : begin + 20], y[begin : begin + 20])
            plain.layers[0].kernel[...] = constraint(plain.layers[0].kernel)
        return np.abs(kept.parameters - plain.parameters).max()

    core(0)
    assert distance() < 1e-10
    core(1 + PLANTED.index(fault))
    assert distance() > 1e-4


def step_error():
    """How far gradients and weights are from those of the same steps in two halves."""
    stack = [layers.Embedding(90, 5), layers.Flatten(), layers.Dense(2)]
    model = fw.Sequential(stack, 3, dtype="float64", seed=0)
    model.compile(optimizers.SGD(0.1), "mse")
    random, apart = np.random.default_rng(0), 0.0
    for rows in (5, 70, 8, 9, 4):
        batch = random.integers(0, 90, (rows, 3)), random.standard_normal((rows, 2))
        if rows == 9:
            model.loss_and_gradients(random.integers(0, 90, (30, 3)), np.zeros((30, 2)))
        twin = model.copy()
        gradient = twin.loss_and_gradients(*batch)[1]
        twin.apply_gradients()
        model.train_on_batch(*batch)
        gradients = model._built.gradients  # of which the model does not know that anybody has them
        for found, expected in ((gradients, gradient), (model.parameters, twin.parameters)):
            apart = max(apart, np.abs(found - expected).max())
    return apart


@pytest.mark.parametrize("fault", STEP_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_a_step_is_caught(core, fault):
    core(0)
    assert step_error() < 1e-15
    core(1 + PLANTED.index(fault))
    assert step_error() > 1e-6


def test_the_command_line_exits_1_for_a_wrong_gradient(core, capsys):
    arguments = ["gradcheck", "--layers", "8,16:relu,4:tanh,3", "--loss", "mse"]
    core(0)
    assert cli.main(arguments) == 0
    core(1)
    assert cli.main(arguments) == 1
    assert "WRONG" in capsys.readouterr().out
