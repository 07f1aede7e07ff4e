"""What the library is to reach, as ratios of one run on an AVX-512 machine, with AMX or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.peers.contenders import OURS
from bench.peers.results import Results, Row

Measure = Callable[[Row], "float | None"]

MEASURES: dict[str, Measure] = {
    "times the fastest peer": lambda row: row.times(row.fastest_peer()),
    "times PyTorch": lambda row: row.times("PyTorch"),
    "share of the float32 peak": lambda row: row.share(),
    "times its own speed on 1 thread": lambda row: row.against_one_thread(),
    "steps a second (200 us each)": lambda row: 1 / seconds if (seconds := row.seconds()) else None,
}


@dataclass(frozen=True)
class Goal:
    """At least `least` of a measure, or `with_amx` on a machine that has it."""

    workload: str
    measure: str
    least: float
    with_amx: float | None = None
    threads: tuple[int, ...] = (1,)
    optimizer: str = "sgd"


GOALS = (
    Goal("online", "times the fastest peer", 2),
    Goal("online", "times PyTorch", 250),
    Goal("policy", "times the fastest peer", 2),
    Goal("policy", "times PyTorch", 20),
    Goal("policy", "share of the float32 peak", 0.55),
    Goal("matexp", "times the fastest peer", 3),
    Goal("matexp", "times PyTorch", 30),
    Goal("matexp", "share of the float32 peak", 0.45),
    Goal("shallow", "times the fastest peer", 1.8),
    Goal("shallow", "times PyTorch", 10),
    Goal("shallow", "share of the float32 peak", 0.65),
    Goal("tabular", "times the fastest peer", 1.3),
    Goal("tabular", "times PyTorch", 2.8),
    Goal("tabular", "share of the float32 peak", 0.85),
    Goal("mnist", "times the fastest peer", 1.4),
    Goal("mnist", "times PyTorch", 2),
    Goal("mnist", "share of the float32 peak", 0.90, with_amx=1.0),
    *(
        goal
        for workload in ("wide", "large")
        for goal in (
            Goal(workload, "times the fastest peer", 1.1, with_amx=1.6, threads=(1, 2)),
            Goal(workload, "share of the float32 peak", 0.92, with_amx=1.4, threads=(1, 2)),
        )
    ),
    Goal("matexp full batch", "times PyTorch", 7, threads=(2,), optimizer="adam"),
    Goal("matexp full batch", "steps a second (200 us each)", 5000, threads=(2,), optimizer="adam"),
    *(
        Goal(workload, measure, least, optimizer="adam")
        for workload in ("resmlp", "batchnorm", "embedding", "members")
        for measure, least in (("times the fastest peer", 1.5), ("times PyTorch", 3))
    ),
    *(
        Goal(workload, measure, least, optimizer="adam")
        for workload, times, share in (
            ("lenet", 5, 0.40),
            ("cnn", 5, 0.50),
            ("resnet", 1.3, 0.55),
            ("lstm", 3, 0.30),
            ("lstm_wide", 2, 0.55),
            ("gru", 3, 0.30),
            ("gpt", 2.5, 0.45),
        )
        for measure, least in (
            ("times the fastest peer", times),
            ("share of the float32 peak", share),
        )
    ),
    *(
        Goal(workload, "times its own speed on 1 thread", 1.7, threads=(2,), optimizer="adam")
        for workload in ("lenet", "cnn", "resnet", "lstm", "lstm_wide", "gru", "gpt")
    ),
    *(
        Goal(workload, "times its own speed on 1 thread", 0.97, threads=(2,))
        for workload in ("online", "policy", "matexp", "shallow", "tabular")
    ),
    *(
        Goal(workload, "times its own speed on 1 thread", 1.85, threads=(2,))
        for workload in ("mnist", "wide", "large")
    ),
    Goal(
        "matexp full batch",
        "times its own speed on 1 thread",
        0.97,
        threads=(2,),
        optimizer="adam",
    ),
)

#: Of the two precisions below float32's: speed, and error, against PyTorch's "medium".
PRECISION_GOALS = (
    ("high", "times the speed of PyTorch's medium", "best", 0.9),
    ("high", "times the exactness of PyTorch's medium", "error", 500),
    ("medium", "times the speed of PyTorch's medium", "best", 1.7),
)


@dataclass(frozen=True)
class Outcome:
    """A goal beside what was reached."""

    workload: str
    threads: int
    measure: str
    goal: float
    reached: float

    @property
    def met(self) -> bool:
        return self.reached >= self.goal


def outcomes(results: Results) -> Iterator[Outcome]:
    """Every goal whose row was run, in the order of the table above."""
    amx = results.machine["cpu_level"] == "amx"
    for goal in GOALS:
        least = goal.with_amx if amx and goal.with_amx else goal.least
        for threads in goal.threads:
            row = results.row(goal.workload, goal.optimizer, threads)
            reached = row and MEASURES[goal.measure](row)
            if reached:
                yield Outcome(goal.workload, threads, goal.measure, least, reached)
    for figures in results.precisions:
        found = figures["precisions"]
        for precision, measure, figure, least in PRECISION_GOALS:
            theirs, ours = found.get("PyTorch medium"), found.get(f"{OURS} {precision}")
            if theirs and ours:
                name = f"{figures['workload']} in {precision}"
                yield Outcome(
                    name, figures["threads"], measure, least, theirs[figure] / ours[figure]
                )
