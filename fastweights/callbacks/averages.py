"""What shows the averages of weights in place of the weights."""

from __future__ import annotations

from typing import Any

from fastweights import _averages, _check
from fastweights.callbacks.base import Callback, Logs, State


class SwapEMAWeights(Callback, closed=True):
    """Evaluates and predicts by the averages of the weights, and trains on by the weights.

    It is for an optimizer with ``use_ema=True``. With `swap_on_epoch` callbacks that stand after it
    find the averages at the end of an epoch, too: a `ModelCheckpoint` writes them. Keras's leaves
    the averages in place after `predict`.

    Parameters
    ----------
    swap_on_epoch : bool
        Whether averages and weights change places at the end of an epoch already, until the next.

    Raises
    ------
    ValueError
        By the call that has it, where the optimizer keeps no averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = _check.flag("swap_on_epoch", swap_on_epoch)

    def _exchange(self, wanted: bool) -> None:
        model: Any = self.model
        compiled = model._compiled
        if compiled.optimizer is None or not compiled.optimizer.use_ema:
            got, expected = f"{compiled.optimizer!r}", "one with use_ema=True"
            raise ValueError(_check.refusal("optimizer of SwapEMAWeights", got, expected))
        _averages.exchange(model._built_or_refused(), compiled, wanted)

    def _is_exchanged(self) -> bool:
        memory = self.model._compiled.memory
        return memory is not None and bool(memory.exchanged[0])

    def state(self) -> State:
        return {"exchanged": self._is_exchanged()}

    def load_state(self, state: State) -> None:
        model: Any = self.model
        model._compiled.memory_for(model._built_or_refused()).exchanged[0] = state["exchanged"]

    def _release(self) -> None:
        if self._is_exchanged():
            self._exchange(False)

    def on_train_begin(self, logs: Logs) -> None:
        self._exchange(False)

    def on_train_end(self, logs: Logs) -> None:
        self._release()

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._exchange(False)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._exchange(self.swap_on_epoch)

    def on_test_begin(self, logs: Logs) -> None:
        self._exchange(True)

    def on_test_end(self, logs: Logs) -> None:
        self._exchange(False)

    def on_predict_begin(self, logs: Logs) -> None:
        self._exchange(True)

    def on_predict_end(self, logs: Logs) -> None:
        self._exchange(False)
