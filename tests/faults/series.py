"""Faults of recurrent layers, attention and positions."""

from layer_cases import SAME, Merged
from planted import Fault

from fastweights import layers

ATTENTION = "kernels/attention.pxi"
REVERSE = "kernels/reverse_embedding.pxi"
POSITIONS = "kernels/positions.pxi"
MASKS = "kernels/masks.pxi"
PLAN_ROWS = "rows.pxi"
CELLS = "kernels/cells.pxi"
STEPS_THERE = "kernels/recurrent_forward.pxi"
STEPS_BACK = "kernels/recurrent_back.pxi"
STEPS_GRADIENT = "kernels/recurrent_gradient.pxi"


def noisy_attention(dropout):
    return Merged(layers.MultiHeadAttention(2, 3, dropout=dropout), (SAME, SAME))


#: With the network whose gradients must show it: what `net` of the test is told.
GRADIENTS = {
    Fault(
        "row of a table beside the one that scores",
        REVERSE,
        "<const real*>op.parameters + «first» * op.inputs",
        "0",
    ): {"layer": "reverse embedding 130x5 "},
    Fault(
        "transpose without the first rows",
        REVERSE,
        "begin = «begin_piece * rows_of_piece(op, op.inputs)»",
        "16",
    ): {"layer": "reverse embedding 90x9 4", "rows": 20},
    Fault(
        "gradient of a table's first rows alone",
        REVERSE,
        "piece = «rows_of_piece(op, op.inputs)»",
        "1",
    ): {"layer": "reverse embedding 90x9 4"},
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
    Fault(
        "dy of the first row for all",
        MASKS,
        "share * load_first(«dy_of(op, row)» + i",
        "dy_of(op, 0)",
    ): {"layer": "mean of steps that count"},
    Fault("masked steps counted", PLAN_ROWS, "return rows / «told» if told", "(4 * rows)"): {
        "masked": True
    },
    Fault("gradient of other steps", PLAN_ROWS, "else dy + «told.begin * line_bytes»,", "0"): {
        "masked": True
    },
    Fault("gradient by masked steps", MASKS, "vzero() if «mask[step] == 0»", "False"): {
        "layer": "mean of steps that count"
    },
    Fault(
        "nothing seen, divided by nothing",
        ATTENTION,
        "vload(sum + i), vzero()), «vzero()», share)",
        "share",
    ): {"layer": "attention of masked queries"},
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
    Fault("turned forth, not back", POSITIONS, "rotate_rows(«True», dx_of", "False"): {
        "layer": "rotary of heads"
    },
    Fault("gradient of the first places", POSITIONS, "add_element, total + «used», dy", "0"): {
        "layer": "learned positions in pieces"
    },
    Fault("gradient of one row alone", POSITIONS, "dy, dy, n, «end - begin», upto", "1"): {
        "layer": "learned positions"
    },
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
        "first step's line",
        STEPS_THERE,
        "lines_saved(cell, op, 0) + «place * cell.line», line",
        "0",
    ): {"layer": "SimpleRNN 5 4x3 sequences"},
    Fault(
        "one step's gradient alone",
        STEPS_BACK,
        "copy_times(room.h + row * n, «room.back + j * n»,",
        "zeros",
    ): {"layer": "SimpleRNN 5 4x3 sequences"},
    Fault(
        "gradient of another step's h",
        STEPS_BACK,
        "dy + row * cell.told + «place_in_y(op, number)» * n",
        "number",
    ): {"layer": "both ways added"},
    Fault(
        "dx in the order of steps done",
        STEPS_BACK,
        "copy_reals(dx + «step» * cell.inputs",
        "number",
    ): {"layer": "LSTM 17 3x20 sequences backwards"},
    Fault(
        "mask that is not seen",
        STEPS_THERE,
        "mask == NULL or «mask[row * steps + step] != 0»",
        "True",
    ): {"layer": "LSTM 5 6x2 masked"},
    Fault(
        "second bias forgotten",
        STEPS_GRADIENT,
        "if «group.second_bias > 0»:\n            copy_reals",
        "False",
    ): {"layer": "GRU 5 4x3 sequences"},
    Fault(
        "first c taken for 0", STEPS_BACK, "«held_first» if done == 0 else held - cell.held", "held"
    ): {"layer": "LSTM begun"},
    Fault(
        "gradient by the first h lost",
        STEPS_BACK,
        "copy_reals(state_gradient(cell, op, 0, first), «room.h», rows * n)",
        "room.held",
    ): {"layer": "LSTM begun, sequences"},
    Fault(
        "gradient by the first h for that by c",
        STEPS_BACK,
        "state_gradient(&cell, op, «number - 1», begin)",
        "0",
    ): {"layer": "LSTM begun"},
    Fault("gradient by the last c lost", STEPS_BACK, "if «cell.states_told > 1»:", "False"): {
        "layer": "LSTM begun"
    },
    Fault(
        "c of the first step told",
        STEPS_THERE,
        "((first + row) * cell.steps + «done - 1») * cell.held",
        "0",
    ): {"layer": "LSTM begun, sequences"},
    Fault("h begins as c", STEPS_THERE, "copy_reals(room.h, state_read(op, «0», first)", "1"): {
        "layer": "LSTM begun"
    },
    Fault(
        "panel of the first columns",
        STEPS_BACK,
        "p.b += («cell.group[k].first + column») * PANEL",
        "0",
    ): {"layer": "LSTM 17 3x20 sequences backwards"},
}

#: That show with random numbers alone, with the kind of layer whose gradients must show it.
DRAWS = {
    Fault(
        "attention's draws not those of forward",
        ATTENTION,
        "p, vzero()))\n            dp = vselect(kept_of(h, «k», query)",
        "0",
    ): noisy_attention,
    Fault(
        "gradient of draws not scaled", ATTENTION, "query), «factor * dp», vzero())", "dp"
    ): noisy_attention,
    Fault(
        "h of all units goes back",
        STEPS_BACK,
        "room.back + j * n, «room.kept + row * n if dropping else NULL», n)",
        "NULL",
    ): lambda rate: layers.GRU(4, recurrent_dropout=rate, return_sequences=True),
}

#: Of series that go on from batch to batch.
STATES = [
    Fault(
        "every batch begins anew", STEPS_THERE, "states_read == 0 and «op.batch_rows > 0»", "False"
    ),
    Fault(
        "rows of the arena for those of the batch",
        "kernels/recurrent.pxi",
        "return «(op.drawn.first + row) % op.batch_rows»",
        "row % op.batch_rows",
    ),
    Fault(
        "c of all batches begins with 0",
        STEPS_BACK,
        "cell.states_read == 0 and «op.batch_rows > 0»:",
        "False",
    ),
    Fault(
        "c of the batch before is that of this one",
        STEPS_BACK,
        "held_first = «c_before(op, first + row)»",
        "<const real*>op.state + (op.batch_rows + first + row) * n",
    ),
    Fault(
        "c is left as the row began with it",
        STEPS_THERE,
        "state_after(op, 1, first + row), «held_last(cell, op, room, first, row, done)», cell",
        "room.held + row * cell.held",
    ),
    Fault("layers that rest do not go on", "rows.pxi", "if «ops[i].batch_rows > 0» or", "False"),
]

#: Of series that go on step by step.
STREAMS = [
    Fault("taps before the first step", "kernels/causal.pxi", "if «step < 0»:", "step < 1 - gone"),
    Fault("one place in the ring for all steps", "kernels/causal.pxi", "«gone» % ring_steps", "0"),
    Fault(
        "state of the series before",
        STEPS_THERE,
        "if «gone_before(op)» == 0",
        "<Py_ssize_t>(op.gone != NULL)",
    ),
    Fault(
        "values of another step",
        ATTENTION,
        "values_carried(op, row) + «at», read_of",
        "at - 1",
    ),
    Fault("keys left behind", "layout.pxi", "+ «self.gone» * op.carried_per_step", "0"),
]
