"""Tasks that Python threads do side by side, each net by one thread.

# Design: compiled code runs without the GIL, so threads of one process train as many nets at a time
# as there are CPUs, and read the same data. Only the thread that asked talks: it hands out what is
# finished, hears Ctrl-C and tells the others to stop, which they look for between two stretches
# and, in a large batch, between some of its rows.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Generic, NamedTuple, TypeVar

from fastweights import _check
from fastweights._core.plan import OF_THREAD
from fastweights.callbacks import Callback, Logs, states
from fastweights.callbacks.base import State
from fastweights.config import budget, get_num_threads, one_thread

T = TypeVar("T")

#: Between two looks at what is going on, for progress.
LOOK_SECONDS = 0.1


class Stopped(BaseException):
    """Ends a task that nobody waits for any more, wherever it looks."""


class Watcher(Callback, closed=True):
    """Ends a fit when all are to stop, and says how far it is.

    Attributes
    ----------
    epochs : int
        That are done.
    logs : dict
        Of the last one.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._epochs, self._logs = stop, 0, Logs()

    @property
    def epochs(self) -> int:
        return self._epochs

    @property
    def logs(self) -> Logs:
        return self._logs

    def _look(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._look()

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        self._look()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._epochs, self._logs = self._epochs + 1, logs

    def state(self) -> State:
        return {"epochs": self._epochs}

    def load_state(self, state: State) -> None:
        self._epochs = states.whole(state, "epochs")


class Outcome(NamedTuple, Generic[T]):
    """What became of the task of this number: a result or an error."""

    number: int
    result: T | None
    error: BaseException | None


def workers(n_jobs: int | None, tasks: int) -> int:
    """How many threads there are for so many tasks; by default one for each CPU that may be used.

    -1 means the same, as in joblib.
    """
    if n_jobs is None or (type(n_jobs) is int and n_jobs == -1):
        return min(budget().threads, get_num_threads(), max(tasks, 1))
    return min(_check.whole("n_jobs", n_jobs, 1), max(tasks, 1))


def outcomes(
    tasks: Sequence[Callable[[], T]], members: int, stop: threading.Event
) -> Generator[Outcome[T] | None, None, None]:
    """Does the tasks in order, `members` at a time, and yields each as it is done.

    None comes every LOOK_SECONDS meanwhile. When the iterator is closed, and where Ctrl-C comes,
    `stop` is set, and threads are waited for.
    """
    waiting, done = deque(enumerate(tasks)), queue.SimpleQueue[Outcome[T]]()

    def look() -> None:
        if stop.is_set():
            raise Stopped

    def work() -> None:
        OF_THREAD.ask = look
        with one_thread() if members > 1 else contextlib.nullcontext():
            while not stop.is_set():
                try:
                    number, task = waiting.popleft()
                except IndexError:
                    return
                try:
                    outcome = Outcome(number, task(), None)
                except BaseException as error:
                    outcome = Outcome(number, None, error)
                done.put(outcome)

    threads: list[threading.Thread] = []
    left = len(tasks)
    try:
        for _ in range(members):
            threads.append(threading.Thread(target=work, name="fastweights"))
            threads[-1].start()
        while left:
            try:
                outcome = done.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                yield None
                if done.empty() and not any(thread.is_alive() for thread in threads):
                    raise RuntimeError(
                        f"threads: got none that is left for {left} tasks, as in a forked process; "
                        "expected those that were started"
                    ) from None
                continue
            left -= 1
            yield outcome
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:  # it was started
                thread.join()
