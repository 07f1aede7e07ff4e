"""What is of somebody's own, by the names that files know."""

from __future__ import annotations

from collections.abc import Mapping
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


def is_of_somebody(name: Any) -> bool:
    """Whether the name in a config is none of the library's."""
    return isinstance(name, str) and ">" in name
