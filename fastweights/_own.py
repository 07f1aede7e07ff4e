"""What is of somebody's own, by the names that files know."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastweights import _check
from fastweights._refusal import UnknownError


class Registry(dict[str, Any]):
    """Functions and classes of one kind by ``package>name``, as they were registered.

    Parameters
    ----------
    kind : str
        ``"loss"``; `fastweights.register_loss` then is what registers them.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def name_of(self, made: Any) -> str | None:
        """By which name files know it; None where nobody could find it."""
        return next((name for name, known in self.items() if known is made), None)

    def find(self, name: str, custom: Mapping[str, Any]) -> Any:
        """What a name stands for, in `custom` before what is registered.

        Raises
        ------
        UnknownError
            In neither.
        """
        own = name.rpartition(">")[2]
        made = custom.get(name) or custom.get(own) or self.get(name)
        if made is None:
            title, article = _check.shown(own), "an" if self._kind[0] in "aeio" else "a"
            expected = (
                f"{article} {self._kind} that is registered: import the module that has {title} "
                f"under @fw.register_{self._kind}, or give it as custom_objects[{title}]"
            )
            raise UnknownError(_check.refusal(self._kind, _check.shown(name), expected))
        return made

    @contextlib.contextmanager
    def making(self, name: str, found: Any) -> Iterator[None]:
        """Errors of the block, which makes `found` anew, tell of settings that are not its own."""
        try:
            yield
        except Exception as error:
            title = getattr(found, "__name__", type(found).__name__)
            got = f"settings that {title} does not take ({type(error).__name__}: {error})"
            argument = f"{self._kind} {_check.shown(name)}"
            raise UnknownError(_check.refusal(argument, got, "those it was saved with")) from error


def lost_setting(made: Any, config: Mapping[str, Any], besides: Mapping[str, Any]) -> str | None:
    """What the constructor takes and the config, of which it is made again, has not; None: nothing.

    `besides` are arguments that need not be there.
    """
    taken = inspect.signature(type(made)).parameters.values()
    named = [one.name for one in taken if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return next((name for name in named if name not in config and name not in besides), None)


def refuse_lost_settings(argument: str, made: Any) -> None:
    """Raises TypeError where an object of one's own could not be made again of its `config`."""
    name = lost_setting(made, made.config(), {})
    if name is not None:
        got = f"{type(made).__name__}, whose __init__ takes {name} and keeps it under no such name"
        expected = f"self.{name} = {name}: of that it is made again for files and copies"
        raise TypeError(_check.refusal(argument, got, expected))


def refuse_other_methods(argument: str, made: Any, name: str, given: Sequence[str]) -> None:
    """Raises TypeError unless the method can be called with so many arguments."""
    method: Callable[..., Any] = getattr(made, name)
    try:
        inspect.signature(method).bind(*given)
    except TypeError:
        got = f"{type(made).__name__}, whose {name} is one of {inspect.signature(method)}"
        raise TypeError(_check.refusal(argument, got, f"one of ({', '.join(given)})")) from None


def is_of_somebody(name: Any) -> bool:
    """Whether the name in a config is none of the library's."""
    return isinstance(name, str) and ">" in name
