"""Faults of what weights cost, of tables and of what a step leaves."""

from planted import Fault

from fastweights import constraints

ORTHOGONAL = "kernels/orthogonal.pxi"
WEIGHTS = "weights.pxi"
PENALTIES = "kernels/penalties.pxi"
EMBEDDING = "kernels/embedding.pxi"
PLAN = "running.pxi"
CONSTRAINTS = "kernels/constraints.pxi"
PLAN_BATCH = "batch.pxi"

#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
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
    Fault("another matrix", ORTHOGONAL, "<const real*>parameters + «m.begin»", "0"): {
        "layer": "members with costs"
    },
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
}

#: Of steps on the rows of a table that a batch touches.
STEPS = [
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
    Fault(
        "rows of a whole step not known", PLAN, "goes_on = «self.rests(rows, left, &now)»", "True"
    ),
    Fault(
        "one touched row of each piece moved",
        EMBEDDING,
        "lasts[piece] if «lasts[piece] > 0»",
        "False",
    ),
    Fault("a step on the first rows", EMBEDDING, "stride, «row» * n, (row + 1) * n", "0"),
]

#: Of steps, with the constraint that must show it.
KEPT = {
    Fault(
        "weights of another group",
        CONSTRAINTS,
        "parameters + «group // inner * along * inner» +",
        "0",
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
    Fault(
        "norm that is too large", CONSTRAINTS, "options[0]), «options[1]»)", "norms[k]"
    ): constraints.MaxNorm(0.1),
    Fault(
        "sign turned", CONSTRAINTS, "vselect(«vlt(weight, vzero())»", "vlt(vzero(), weight)"
    ): "non_neg",
    Fault(
        "prepared before the step's bounds",
        PLAN_BATCH,
        "if «prepared_for > 0»:\n            meet(team)",
        "False",
    ): constraints.UnitNorm(0),
}
