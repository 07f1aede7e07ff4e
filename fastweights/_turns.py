"""Whose turn it is to train a model: one call at a time.

# Design: a turn is worth as much as the frame that took it. Whoever finds a model taken looks
# whether that frame still runs, so a turn that was not given back (Ctrl-C between two lines, a fork
# that left its thread behind) is over by itself. The queue is a list whose methods are atomic, and
# no lock is held that a fork could copy.
"""

from __future__ import annotations

import contextlib
import sys
import time
from _thread import get_ident
from types import FrameType

Queue = list["Turn"]

#: Between two looks at a model that another thread has: seconds, growing.
_FIRST_NAP, _LONGEST_NAP = 20e-6, 1e-3


class Turn:
    """``with Turn(queue, "fit"): ...`` for the call in whose frame this is written.

    Parameters
    ----------
    queue : list
        The model's: who has the turn, and who waits for it.
    what : str
        The call, as messages name it.
    is_long : bool
        Whether others had better not wait for it.
    thing : str
        What it is a turn with.
    """

    __slots__ = ("frame", "is_long", "queue", "thing", "thread", "what")

    def __init__(
        self, queue: Queue, what: str, is_long: bool = False, thing: str = "model"
    ) -> None:
        self.queue, self.what, self.is_long, self.thing = queue, what, is_long, thing
        self.thread = get_ident()
        self.frame: FrameType | None = sys._getframe(1)

    def __enter__(self) -> None:
        self.queue.append(self)
        if self.queue[0] is not self:
            try:
                self._wait()
            except BaseException:
                self._give_back()
                raise

    def __exit__(self, *error: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        if self in self.queue:  # unless somebody found it over
            self.queue.remove(self)
        self.frame = None

    def _wait(self) -> None:
        nap = _FIRST_NAP
        while (first := self.queue[0]) is not self:
            if first.is_over():
                with contextlib.suppress(ValueError):
                    self.queue.remove(first)
                continue
            for other in [first, *self.queue]:
                if other is self:
                    break
                if other.thread == self.thread and not other.is_over():
                    raise RuntimeError(
                        f"{self.what}: got a {self.thing} in the middle of its own {other.what}, "
                        "expected a call before or after that"
                    )
            if first.is_long:
                raise RuntimeError(
                    f"{self.what}: got a {self.thing} that another thread is in the middle of a "
                    f"{first.what} with, expected a call before or after that, or one of its own"
                )
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP)

    def is_over(self) -> bool:
        """Whether the call is no longer running, though its turn was not given back."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is None
