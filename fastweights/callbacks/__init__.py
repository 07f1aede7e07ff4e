"""What `fit`, `evaluate` and `predict` tell while they run. Names and defaults are Keras 3's."""

from typing import NoReturn

from fastweights._absent import refusal_of
from fastweights.callbacks.averages import SwapEMAWeights
from fastweights.callbacks.base import Callback, Logs
from fastweights.callbacks.checkpoints import BackupAndRestore, ModelCheckpoint
from fastweights.callbacks.ending import OptunaPruning, TerminateOnNaN
from fastweights.callbacks.history import History
from fastweights.callbacks.logs import CSVLogger, TensorBoard
from fastweights.callbacks.monitoring import EarlyStopping, ReduceLROnPlateau
from fastweights.callbacks.own import LambdaCallback
from fastweights.callbacks.progress import EpochLines, FewLines, ProgbarLogger, format_logs
from fastweights.callbacks.rates import LearningRateScheduler

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "EpochLines",
    "FewLines",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "OptunaPruning",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "format_logs",
]


def __getattr__(name: str) -> NoReturn:
    raise refusal_of(__name__, name)
