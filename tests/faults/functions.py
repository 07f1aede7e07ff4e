"""Faults of activations and of losses."""

from planted import Fault

from fastweights import losses

ACTIVATIONS = "kernels/activations.pxi"
SOFTMAX = "kernels/softmax.pxi"
SPARSEMAX = "kernels/sparsemax.pxi"
ROWS = "kernels/rows.pxi"
LOSSES = "kernels/losses.pxi"
REGRESSION, BINARY = "kernels/regression.pxi", "kernels/binary.pxi"
HINGES, LIKENESS = "kernels/hinges.pxi", "kernels/likeness.pxi"
FOCAL, DISTRIBUTIONS = "kernels/focal.pxi", "kernels/distributions.pxi"
CROSSENTROPY = "kernels/crossentropy.pxi"
RULES = "kernels/rules.pxi"
UPDATES = "kernels/updates.pxi"

#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
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
    Fault("missing 2 of the square", REGRESSION, "slope[0] = «d + d»", "d"): {},
    Fault("missing 1/columns", LOSSES, "«(scale / divisor)»", "scale"): {},
    Fault("wrong sign", REGRESSION, "slope[0] = «vset1(1) - ratio»", "ratio - vset1(1)"): {
        "output": "softplus",
        "loss": "poisson",
    },
    Fault("counts not taken off", REGRESSION, "slope[0] = «rate - t»", "rate"): {
        "loss": "poisson_deviance",
    },
    Fault("huber's gradient not cut off", REGRESSION, "slope[0] = vcopysign(«c», d)", "size"): {
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
        BINARY,
        "difference = «vfma(e, share, -w)»\n    slope",
        "vfma(e, share, w)",
    ): {"output": "sigmoid", "loss": "binary_crossentropy"},
    Fault("focal weight without its slope", BINARY, "-w) + «gamma» * (((one", "vzero()"): {
        "output": "sigmoid",
        "loss": "binary_focal_crossentropy",
    },
    Fault("focal pull without its slope", FOCAL, "vfma(«options.gamma», ratio, one)", "vzero()"): {
        "output": "softmax",
        "loss": "categorical_focal_crossentropy",
    },
    Fault("percentage of the prediction", REGRESSION, "vmax(vset1(<real>CLIP), vabs(«t»))", "p"): {
        "loss": "mape"
    },
    Fault("logarithm's slope forgotten", REGRESSION, "(d + d) / «(one + a)»", "one"): {
        "output": "softplus",
        "loss": "msle",
    },
    Fault("half of a squared margin's slope", HINGES, "-(t * «(margin + margin)»)", "margin"): {
        "loss": "squared_hinge"
    },
    Fault("right class not pulled up", HINGES, "vzero()) - «t»), n - i)", "vzero()"): {
        "loss": "categorical_hinge"
    },
    Fault("divergence's sign", LIKENESS, "vzero(), «-(b / a)»)", "b / a"): {
        "output": "softmax",
        "loss": "kl_divergence",
    },
    Fault("length's gradient forgotten", LIKENESS, "vfma(«kept», u, -v)", "vzero()"): {
        "loss": "cosine_similarity"
    },
    Fault("quantile mirrored", DISTRIBUTIONS, "vzero(), «slope»), difference)", "-slope"): {
        "loss": "quantile"
    },
    Fault("first target of all groups", DISTRIBUTIONS, "else d + «i * outputs», p", "0"): {
        "outputs": 6,
        "loss": "quantile",
    },
    Fault(
        "variance's gradient halved", DISTRIBUTIONS, "d[1] = factor * («half» * (power", "vset1(1)"
    ): {
        "outputs": 4,
        "loss": "gaussian_nll",
    },
}

#: Of updates, with the case of `reference_updates.py` that must show it.
UPDATE_STEPS = {
    Fault("decay forgets w", UPDATES, "vfnma(result, decay, «result»))", "vset1(1)"): "adamw",
    Fault("the last v for the largest", RULES, "s[2] = «vmax(s[2], s[1])»", "s[1]"): "amsgrad",
    Fault("epsilon hat forgotten", UPDATES, "numbers[3] *= «numbers[4]»", "1.0"): (
        "adam with epsilon hat"
    ),
    Fault("nadam does not look ahead", UPDATES, "«0.96 * options[7]»)\n", "options[7]"): "nadam",
    Fault("adamax forgets", RULES, "vmax(«o[4] * s[1]», vabs(g))", "vzero()"): "adamax",
    Fault("lion's one beta for both", RULES, "vfma(«o[3]», s[0], o[4] * g))", "o[1]"): "lion",
    Fault("mean not centered", RULES, "«vfnma(a[0], a[0], spread)»", "spread"): "centered rmsprop",
    Fault("adagrad forgets", RULES, "vfma(part, part, «s[0]»)", "vzero()"): "adagrad",
    Fault("adadelta's steps by n", RULES, "vquotient(vsqrt(«s[1]»", "s[0]"): "adadelta",
    Fault("rprop does not rest", RULES, "vselect(turned, «vzero()», sign)", "sign"): "rprop",
}
