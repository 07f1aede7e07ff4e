"""What activations, initialisers, losses and metrics are: a class and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from fastweights import _check

D = TypeVar("D", bound="Description")


def identified(
    argument: str, identifier: Any, base: type[D], known: Mapping[str, type[D]]
) -> D | None:
    """A description from its name, its `config` or itself; None for none."""
    if identifier is None or isinstance(identifier, base):
        return identifier
    if isinstance(identifier, Mapping):
        settings = dict(identifier)
        name = settings.pop("name", None)
        return _check.choice(argument, name, known).from_settings(argument, settings)
    return _check.choice(argument, identifier, known)()


def config_of(description: Description | None) -> dict[str, Any] | None:
    """What `identified` turns back, None for none."""
    return None if description is None else description.config()


class Description:
    """Immutable; equal, and of one hash, where class and settings are.

    A subclass with settings takes them in ``__init__``, checks them there and hands them to
    ``_set``, in the order of its arguments.
    """

    #: What stands for the class, in its config and as a string.
    name: str

    def _set(self, **settings: Any) -> None:
        vars(self).update(settings)

    @classmethod
    def from_settings(cls: type[D], argument: str, settings: Mapping[str, Any]) -> D:
        """The description with these settings; ValueError about ``argument`` where one is unknown.

        All others keep their defaults.
        """
        known = vars(cls())
        for setting in settings:
            if setting not in known:
                expected = f"settings of {cls.name}: {', '.join(known) or 'none'}"
                raise ValueError(_check.refusal(argument, repr(setting), expected))
        return cls(**settings)

    def config(self) -> dict[str, Any]:
        """Name and settings, as JSON can hold them; its module's ``get`` turns them back."""
        return {"name": self.name, **vars(self)}

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: is fixed; make a new {type(self).__name__}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: is fixed; make a new {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({settings})"
