"""Callbacks made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastweights import _check
from fastweights.callbacks.base import HOOKS, Callback

Hook = Callable[..., Any] | None


class LambdaCallback(Callback, closed=True):
    """A callback whose hooks are these functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called with the number of the epoch and the logs.
    on_train_begin, on_train_end : callable, optional
        Called with the logs.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called with the number of the batch and the logs.
    **kwargs
        Any other hook of `Callback`.
    """

    def __init__(
        self,
        on_epoch_begin: Hook = None,
        on_epoch_end: Hook = None,
        on_train_begin: Hook = None,
        on_train_end: Hook = None,
        on_train_batch_begin: Hook = None,
        on_train_batch_end: Hook = None,
        **kwargs: Hook,
    ) -> None:
        hooks: dict[str, Hook] = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, hook in hooks.items():
            if name not in HOOKS:
                expected = f"one of {', '.join(HOOKS)}"
                raise TypeError(_check.refusal("LambdaCallback", f"{name}=", expected))
            if hook is None:
                continue
            if not callable(hook):
                raise TypeError(_check.refusal(name, _check.shown(hook), "a function"))
            setattr(self, name, hook)
