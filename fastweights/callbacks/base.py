"""What all callbacks are: the hooks that `fit`, `evaluate` and `predict` call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastweights import _check
from fastweights._sealed import Sealed

if TYPE_CHECKING:
    from fastweights._turns import Turn
    from fastweights.models import Model
    from fastweights.training import DivergenceError

#: Figures by their names; those of some metrics are arrays.
Logs = dict[str, Any]
#: What a callback remembers: numbers, texts, flags, lists of texts and arrays, by names.
State = dict[str, Any]


def _check_hook(name: str) -> None:
    """Raises TypeError where a name that looks like a hook is none."""
    if name not in HOOKS:
        expected = ", ".join(HOOKS)
        raise TypeError(_check.refusal(name, "a hook that fit does not call", f"one of {expected}"))


class Callback(Sealed):
    """Base of all callbacks; override what you want to hear.

    Names and arguments are Keras 3's; `on_progress` is this library's own. Every hook is given
    `logs`. A class of your own may set what attributes it likes; a hook that does not exist is an
    error. Hooks of batches are paid for only where somebody has them: batches then come one by one,
    and otherwise whole stretches of an epoch are one compiled call.

    Attributes
    ----------
    model : Model
        The model that is being fitted, evaluated or asked. ``self.model.stop_training = True`` ends
        a fit: before the epoch, in its middle or after it, as it is said in `on_epoch_begin`,
        between batches or in `on_epoch_end`. It cannot be compiled, or trained otherwise,
        meanwhile.
    params : dict
        ``epochs``: the fit will end before the epoch of that number; ``steps``: batches of an
        epoch; ``rows`` that these have. `evaluate` and `predict` have no epochs.
    """

    _is_closed = False
    _fixed: ClassVar[dict[str, str]] = dict.fromkeys(("model", "params"), "is set by fit")

    def __init_subclass__(cls, closed: bool = False) -> None:
        """With `closed`, instances take no attributes beside those of their constructor."""
        super().__init_subclass__()
        cls._is_closed = closed
        for name in dir(cls):
            if name.startswith("on_"):
                _check_hook(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("on_"):
            _check_hook(name)
            if vars(self).get("_queue"):
                raise AttributeError(f"{name}: is looked at when a fit begins; set it before")
        if name == "stop_training":
            raise AttributeError(f"{name}: is the model's; set self.model.{name} = {value!r}")
        is_new = "_sealed" not in self.__dict__
        if is_new or name.startswith("_") or not (self._is_closed or name in self._fixed):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        # A model is saved by itself; a history, say, is worth keeping without one.
        return {k: v for k, v in vars(self).items() if k not in ("_fit", "_queue")}

    @property
    def _turns(self) -> list[Turn]:
        """The fit that has this callback; made late, as subclasses may not call this class."""
        return vars(self).setdefault("_queue", [])

    def _join(self, model: Model, params: Mapping[str, Any]) -> None:
        """Takes part in a fit."""
        self._fit = (model, params)

    @property
    def model(self) -> Model:
        return self._fit_or_refused("model")[0]

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._fit_or_refused("params")[1])

    def _fit_or_refused(self, name: str) -> tuple[Model, Mapping[str, Any]]:
        if "_fit" not in vars(self):
            raise AttributeError(f"{name}: this {type(self).__name__} has been in no fit yet")
        return self._fit

    # ---- what goes on in another process ---------------------------------------------------------

    def state(self) -> State:
        """What it remembers of the fit so far; a model that is saved in a hook keeps it.

        Values are numbers, texts, True and False, None, lists of texts, and arrays.
        """
        return {}

    def load_state(self, state: State) -> None:
        """Takes on what `state` gave, in a fit that goes on from a file, after `on_train_begin`.

        A ValueError, for a state that is none of its own, ends the fit, and the model is as before.
        """

    def _identity(self) -> str:
        """By which a fit that goes on knows whose state is whose: class, and what it is about."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def _hears(self, hook: str) -> bool:
        """Whether it has this hook, or Keras's older name for it."""
        names = (hook, hook.replace("on_train_batch_", "on_batch_"))
        return any(
            name in vars(self) or getattr(type(self), name) is not getattr(Callback, name)
            for name in names
        )

    def _checkpoints(self) -> list[str]:
        """Files, of which a fit that begins goes on from the first that is whole."""
        return []

    def _leave_behind(self, path: str) -> None:
        """Hears which of these files was damaged, and so was not gone on from."""

    def _writes(self) -> list[str]:
        """Paths of what it writes, which nobody else may write meanwhile."""
        return []

    def _ends_quietly(self, error: DivergenceError) -> bool:
        """Whether a fit whose loss is no number should just end."""
        return False

    def _release(self) -> None:
        """Hears that `evaluate` or `predict`, or the validation of a fit, ended by an exception."""

    def _leave(self, has_finished: bool) -> None:
        """Hears, after all have heard the end, whether the fit came to it without an error."""

    # ---- hooks -----------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last epoch, also when the fit ended by an exception; its figures."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch; `logs` has its figures, one dict for all callbacks in turn.

        What a callback adds to it is in the history, too.
        """

    def on_progress(self, epoch: int, rows: int, total: int, logs: Logs) -> None:
        """At most about every 40 ms: `rows` of `total` are done, `logs` holds the means so far."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch is trained on; batches of an epoch count from 0."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After it; `logs` holds the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Another name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs) -> None:
        """Before rows are evaluated, those of validation too."""

    def on_test_end(self, logs: Logs) -> None:
        """After that, with the figures."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch is evaluated."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """After it; `logs` holds the means so far."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Before rows are predicted."""

    def on_predict_end(self, logs: Logs) -> None:
        """After that."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch is predicted."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """After it; ``logs["outputs"]`` is what was predicted."""


#: What a callback may hear, with the names of what each is given.
HOOKS = {
    name: tuple(inspect.signature(hook).parameters)[1:]
    for name, hook in vars(Callback).items()
    if name.startswith("on_")
}


def refuse_other_arguments(callback: Callback) -> None:
    """Raises TypeError where one of its hooks cannot be called with what hooks are given."""
    for name, given in HOOKS.items():
        hook = getattr(callback, name)
        if getattr(hook, "__func__", None) is getattr(Callback, name):
            continue
        try:
            inspect.signature(hook).bind(*given)
        except TypeError:
            got = f"a hook of {type(callback).__name__} that takes {inspect.signature(hook)}"
            expected = f"one that takes ({', '.join(given)})"
            raise TypeError(_check.refusal(name, got, expected)) from None
        except ValueError:  # written in C, with no signature to be read
            continue
