"""What is planted in the compiled core, by family; all of it stands in one build.

A fault is switched on by its number: its place in `PLANTED`, from 1 on.
"""

from faults import (
    dense,
    functions,
    images,
    metrics,
    minimizers,
    plain_layers,
    series,
    sources,
    steps,
    tiles,
    weights,
)

GRADIENTS = {
    **dense.GRADIENTS,
    **plain_layers.GRADIENTS,
    **functions.GRADIENTS,
    **weights.GRADIENTS,
    **images.GRADIENTS,
    **series.GRADIENTS,
}
DRAWS = {**plain_layers.DRAWS, **series.DRAWS}

PLANTED = [
    *(*GRADIENTS, *DRAWS, *images.CHANGES, *dense.BYTES, *dense.WEIGHTED, *weights.STEPS),
    *functions.UPDATE_STEPS,
    *(*plain_layers.INFERENCE, *weights.KEPT, *series.STREAMS, *series.STATES, *tiles.TILES),
    *(*metrics.METRICS, *steps.SETTINGS, *steps.RULES, *minimizers.STEPS, *sources.PIECES),
]


def number_of(fault):
    return 1 + PLANTED.index(fault)
