"""Faults of products, of dense layers and of what the plan does with batches."""

from planted import Fault

MATMUL = "kernels/matmul.pxi"
LINE_SUMS = "kernels/line_sums.pxi"
NARROW = "kernels/narrow.pxi"
DENSE = "kernels/dense.pxi"
PLAN_ROWS = "rows.pxi"
PLAN_BATCH = "batch.pxi"
GATHER = "gather.pxi"

#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
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
    Fault(
        "missing 1/n",
        PLAN_BATCH,
        "begin, end, «rows», True, team.members)\n                for",
        "1.0",
    ): {},
    Fault(
        "missing 1/n in slices",
        PLAN_BATCH,
        "begin, end, «rows», True, 1)\n            total",
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
    Fault("one factor for all lines", LINE_SUMS, "b += «stride»\n", "0"): {"layer": "layer 5"},
    Fault("a row's share of no batch", PLAN_ROWS, "ops[i].row_share = «1.0 / rows»", "0.0"): {
        "layer": "activity"
    },
    Fault(
        "cost left out of the loss",
        PLAN_ROWS,
        "total += «sum_of(self.ops[i].costs + begin, end - begin)»",
        "0.0",
    ): {"layer": "activity of a layer"},
}

#: Of rows that come as bytes.
BYTES = [
    Fault("the first bytes for all", PLAN_ROWS, "job.x[i] + «first * feed.width», (end", "0"),
    Fault("bytes not in the order", GATHER, "(data + «order[i]» * width)", "i"),
    Fault("tail of a row dropped", GATHER, "(data + order[i] * width), «width»)", "width - 1"),
]

#: Of the weights of rows; that they are seen is said by gradients, by rows repeated or by no NaN.
WEIGHTED = [
    Fault(
        "losses weighted, not their gradients",
        PLAN_ROWS,
        "line * head.columns, head.columns, «weight»)",
        "1.0",
    ),
    Fault("losses not weighted", PLAN_ROWS, "weight * values[line] if «weight != 0.0»", "False"),
    Fault(
        "weights of the batch's first rows for all",
        PLAN_ROWS,
        "self.weights_of(i, «first + row»)",
        "row",
    ),
    Fault("weights not in the order of the rows", PLAN_ROWS, "row = «self.job.order[row]»", "row"),
    Fault(
        "a batch's sum of weights without its last row",
        PLAN_ROWS,
        "for row in range(«rows»):\n            weights = self.weights_of(i, first + row)",
        "rows - 1",
    ),
    Fault(
        "the first step's weight for all",
        PLAN_ROWS,
        "total += weights[«line if by_lines else 0»]",
        "0",
    ),
    Fault(
        "inference divides by rows",
        PLAN_ROWS,
        "sums[1] += «self.told_weight(ops, i, begin, end)»",
        "<double>(end - begin) * head.lines",
    ),
    Fault(
        "masked lines weigh as well",
        PLAN_ROWS,
        "if «mask == NULL or is_told(head, mask, self.table.real_bytes, row * head.lines + line)»",
        "True",
    ),
]
