"""Faults of normalisation, noise, merges, shapes and members."""

from planted import Fault

from fastweights import layers

NORMALIZING = "kernels/normalizing.pxi"
COLUMNS = "kernels/columns.pxi"
ELEMENTWISE = "kernels/elementwise.pxi"
SHAPING = "kernels/shaping.pxi"
MERGING = "kernels/merging.pxi"
READERS = "kernels/readers.pxi"
BATCH = "kernels/batch_norm.pxi"
MEMBERS = "kernels/members.pxi"
NOISE = "kernels/noise.pxi"
DENSE = "kernels/dense.pxi"
MATMUL = "kernels/matmul.pxi"

#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
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
}

#: That show with random numbers alone, with the kind of layer whose gradients must show it.
DRAWS = {
    Fault(
        "dropout's gradient not scaled",
        NOISE,
        "return vselect(vmask_of(bits), «rule.scale * x»",
        "x",
    ): layers.AlphaDropout,
    Fault(
        "dropout's gradient not masked",
        NOISE,
        "return vselect(«vmask_of(bits)», rule.scale *",
        "veq(x, x)",
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
}

#: What a prediction must show: ops that are done within others, values that share places.
INFERENCE = [
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
    Fault(
        "scale for a convolution's shift",
        "kernels/correlation.pxi",
        "ends.shift = «ends.scale + columns»",
        "ends.scale",
    ),
    Fault(
        "scale for shift by channel",
        "kernels/depthwise.pxi",
        "load_part(ragged and j == nv - 1, «ends.shift» + i",
        "ends.scale",
    ),
    Fault(
        "bias for scale by channel",
        "kernels/depthwise.pxi",
        "vfma(acc[j], load_part(ragged and j == nv - 1, «ends.scale» +",
        "ends.start",
    ),
    Fault("places given up too early", "layout.pxi", "last_reader >= «i»", "i + 1"),
]
