from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from fastweights.config import Budget
from fastweights.layers.ops import OpSpec

T = TypeVar("T")

#: One array, or one for each input or output.
Arrays = np.ndarray | tuple[np.ndarray | None, ...]

STAMP: str

class _OfThread:
    ask: Callable[[], None] | None

OF_THREAD: _OfThread

class ModelLock:
    gradients_shown: bool
    def show_gradients(self) -> None: ...
    def hold(self, function: Callable[..., T], *arguments: Any) -> T: ...
    def copy(self, targets: Iterable[np.ndarray], sources: Iterable[np.ndarray]) -> None: ...
    def room_for(self, live: Iterable[np.ndarray]) -> Copies: ...

class Schedule:
    def __init__(self, numbers: Sequence[float]) -> None: ...
    def at(self, step: float) -> float: ...

SCHEDULES: dict[str, int]

class Copies:
    arrays: tuple[np.ndarray, ...]
    def keep(self) -> tuple[np.ndarray, ...]: ...
    def bring_back(self) -> None: ...

class Tally:
    loss_sum: float
    rows_seen: int
    def mean_losses(self) -> list[float]: ...
    def metric_states(self) -> list[tuple[float, ...]]: ...
    def numbers(self) -> np.ndarray: ...
    def take_on(self, numbers: np.ndarray) -> None: ...

class Plan:
    arena_bytes: int
    gone: int
    chunk_limit: int
    rows: int
    room: int
    members: int
    trained: tuple[bool, ...] | None
    kept_rows: int
    def __init__(
        self,
        table: object,
        specs: Sequence[OpSpec],
        inputs: Sequence[int],
        parameters: np.ndarray,
        gradients: np.ndarray | None,
        lock: ModelLock,
        rows: int,
        budget: Budget,
        input_gradient: bool = False,
        kept: bool = False,
        matmul_parts: int = 0,
        only_measured: bool = False,
        trained: tuple[bool, ...] | None = None,
        states: np.ndarray | None = None,
        penalties: Sequence[tuple[int, int, float, float, bool]] = (),
        matrices: Sequence[tuple[int, int, int, bool, float]] = (),
        bounds: Sequence[tuple[int, int, int, int, str, tuple[float, ...]]] = (),
        heads: Sequence[tuple[int, int, int, int]] | None = None,
        own_losses: Sequence[tuple[Callable[..., Any], int] | None] = (),
        late_ops: int = 0,
        longest: int = 0,
    ) -> None: ...
    def grant(self, rows: int, matmul_parts: int, threads: int) -> bool: ...
    def needs_no_grant(self, rows: int, matmul_parts: int) -> bool: ...
    def team(self, rows: int, threads: int) -> int: ...
    def set_losses(self, losses: Sequence[tuple[str, Iterable[float], int, float]]) -> None: ...
    def set_metrics(self, metrics: Sequence[tuple[int, str, Iterable[float], bool]]) -> None: ...
    def set_update(
        self,
        name: str,
        state: np.ndarray,
        options: np.ndarray,
        batches: np.ndarray,
        clipping: tuple[str, float] | None = None,
        accumulation: int = 0,
        averaging: tuple[float, int] | None = None,
        spans: Sequence[tuple[int, int, float, float]] = (),
        rule: tuple[Callable[..., Any], int] | None = None,
    ) -> None: ...
    def set_rates(self, rates: tuple[Sequence[float], Sequence[float]]) -> None: ...
    def lines(self) -> list[int]: ...
    def tally(self, weights: tuple[np.ndarray | None, ...] | None = None) -> Tally: ...
    def train(
        self,
        x: Arrays,
        y: Arrays,
        order: np.ndarray | None,
        first: int,
        last: int,
        batch_size: int,
        seconds: float,
        tally: Tally | None = None,
        seed: int = 0,
        stream: int = 0,
        weights: tuple[np.ndarray | None, ...] | None = None,
        out: Arrays | None = None,
        told: Arrays | None = None,
        before: int = 0,
    ) -> tuple[int, float]: ...
    def gradients_of(
        self,
        x: Arrays,
        y: Arrays,
        dx: Arrays | None,
        rows: int,
        seed: int = 0,
        stream: int = 0,
        weights: tuple[np.ndarray | None, ...] | None = None,
    ) -> float: ...
    def parameters_cost(self, tally: Tally) -> float: ...
    def apply_update(self) -> None: ...
    def infer(
        self,
        x: Arrays,
        y: Arrays | None,
        out: Arrays | None,
        first: int,
        last: int,
        seconds: float,
        tally: Tally | None = None,
        weights: tuple[np.ndarray | None, ...] | None = None,
        told: Arrays | None = None,
    ) -> int: ...
    def go_on(self, x: np.ndarray) -> np.ndarray: ...
    def begin_again(self) -> None: ...
    def answer(self, x: object, matmul_parts: int) -> np.ndarray | None: ...
    def forward(
        self, x: Arrays, out: Arrays, rows: int, seed: int = 0, stream: int = 0
    ) -> None: ...
    def backward(self, dy: Arrays, dx: Arrays | None, rows: int) -> None: ...

OUTCOMES: tuple[str, ...]

class Minimizer:
    tally: Tally
    tally_before: Tally
    def step(self, seed: int, stream: int) -> tuple[str, float, float]: ...

class LBFGS(Minimizer):
    def __init__(
        self,
        plan: Plan,
        vectors: np.ndarray,
        numbers: np.ndarray,
        x: Arrays,
        y: Arrays,
        weights: tuple[np.ndarray | None, ...] | None,
        rows: int,
        *settings: float,
    ) -> None: ...

class LevenbergMarquardt(Minimizer):
    def __init__(
        self,
        plan: Plan,
        vectors: np.ndarray,
        numbers: np.ndarray,
        x: Arrays,
        y: Arrays,
        weights: tuple[np.ndarray | None, ...] | None,
        rows: int,
        doubles: object,
        *settings: float,
    ) -> None: ...
    def normal_matrix(self, seed: int, stream: int) -> np.ndarray: ...

def search_line(
    function: Callable[[float], tuple[float, float]],
    step: float,
    c1: float,
    c2: float,
    most: int,
) -> tuple[float, int]: ...
def update_slots(table: object, name: str) -> int: ...
def first_unsuited(
    table: object, specs: Sequence[OpSpec], inputs: Sequence[int]
) -> tuple[int, str] | None: ...
