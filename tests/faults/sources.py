"""Faults of data that come in pieces."""

from planted import Fault

PIECES = [
    Fault(
        "place in the pass forgotten",
        "rows.pxi",
        "Pass(job.seed, job.stream, «job.before» + first - begin)",
        "0",
    ),
]
