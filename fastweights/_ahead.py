"""A thread that reads ahead: what comes slowly is made while what has come is worked on.

# Design: one thread for one fit, which goes through one iterator after the other, always the same
# thread: what a user's generator has opened may be bound to it. It stops between two items, so it
# cannot be ended in the middle of one; whoever closes it waits a moment, and else leaves it to end
# by itself when that item is there. Exceptions of the iterator are raised where items are taken.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What takes memory."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)

#: Items that wait to be taken, and their bytes: one may always wait.
MOST_ITEMS = 256
MOST_BYTES = 4 << 20
#: How long `close` waits for an item that is being made.
PATIENCE_SECONDS = 1.0


class Ahead(Generic[T]):
    """Goes through iterators in a thread of its own, which starts with the first one."""

    def __init__(self) -> None:
        self._state: _State[T] = _State()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def through(self, items: Iterator[T]) -> Generator[list[T], None, None]:
        """All items in their order: at each turn those that are there, one at least.

        A generator that is closed early, or left, has the thread stop going through them.

        Raises
        ------
        RuntimeError
            This is a process that was forked meanwhile, where the thread is not.
        """
        state = self._state
        self._refuse_fork()
        with state.lock:
            state.items, state.waiting, state.bytes = items, deque(), 0
            state.ended, state.error = False, None
            state.changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(
                target=_go_through, args=(state,), name="fastweights-ahead", daemon=True
            )
            self._thread.start()
        try:
            while True:
                self._refuse_fork()
                with state.lock:
                    while not state.waiting and not state.ended:
                        state.is_awaited = True
                        state.changed.wait()
                    taken, state.waiting, state.bytes = state.waiting, deque(), 0
                    error = state.error if not taken else None
                    state.changed.notify_all()
                if error is not None:
                    raise error
                if not taken:
                    return
                yield list(taken)
        finally:
            if self._process == os.getpid():
                with state.lock:
                    if state.items is items:
                        state.items = None
                    state.waiting, state.error = deque(), None
                    state.changed.notify_all()

    def is_awaited(self) -> bool:
        """Whether somebody waits for an item."""
        return self._state.is_awaited

    def _refuse_fork(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError(
                "x: this process was forked in the middle of a pass over data that a thread of its "
                "parent reads; it can begin a pass of its own"
            )

    def close(self) -> None:
        """Ends the thread, as soon as an item that is being made is there."""
        state, thread = self._state, self._thread
        if self._process != os.getpid():
            return
        with state.lock:
            state.items, state.is_closed = None, True
            state.changed.notify_all()
        state.let_go()
        if thread is not None:
            with contextlib.suppress(RuntimeError):  # Ctrl-C came before it was started
                thread.join(PATIENCE_SECONDS)

    def __del__(self) -> None:
        # Where Ctrl-C came in the middle of `close`.
        if getattr(self, "_process", None) == os.getpid():
            with self._state.lock:
                self._state.items, self._state.is_closed = None, True
                self._state.changed.notify_all()
            if threading.current_thread() is not self._thread:
                self._state.let_go()


class _State(Generic[T]):
    """What the thread and those who take have in common."""

    def __init__(self) -> None:
        # `with` takes a lock in one instruction, and a condition in several.
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.items: Iterator[T] | None = None
        self.waiting: deque[T] = deque()
        self.bytes = 0
        self.ended = False
        self.error: BaseException | None = None
        self.is_awaited = self.is_closed = False

    def let_go(self) -> None:
        """Gives back the lock that Ctrl-C has kept this thread from giving back."""
        with contextlib.suppress(RuntimeError):  # as it is given back
            while True:
                self.lock.release()

    def has_room(self, item: T) -> bool:
        is_full = len(self.waiting) >= MOST_ITEMS or self.bytes + item.nbytes > MOST_BYTES
        return not self.waiting or not is_full


def _go_through(state: _State[T]) -> None:
    """What the thread does."""
    process = os.getpid()
    while True:
        with state.lock:
            while (state.items is None or state.ended) and not state.is_closed:
                state.changed.wait()
            if state.is_closed:
                return
            items = state.items
        assert items is not None
        error: BaseException | None = None
        try:
            for item in items:
                if os.getpid() != process:  # the iterator has forked: nobody waits for this here
                    return
                with state.lock:
                    while state.items is items and not state.has_room(item):
                        state.changed.wait()
                    if state.items is not items:
                        break
                    state.waiting.append(item)
                    state.is_awaited = False
                    state.bytes += item.nbytes
                    state.changed.notify_all()
                del item
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        with state.lock:
            if state.items is items:
                state.ended, state.error = True, error
                state.changed.notify_all()
        del items, error
