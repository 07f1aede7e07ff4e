"""What activations, initialisers, losses, metrics, regularizers and constraints are: a class and
its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from fastweights import _check
from fastweights._arguments import Telling
from fastweights._refusal import refuse_uncalled

D = TypeVar("D", bound="Description")
T = TypeVar("T")


def identified(
    argument: str, identifier: Any, base: type[D], known: Mapping[str, type[D]]
) -> D | None:
    """A description from its name, its `config` or itself; None for none."""
    if isinstance(identifier, base):
        return of_library(argument, identifier, known)
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return from_config(argument, identifier, known)
    return _check.choice(argument, identifier, known)()


def of_library(argument: str, description: D, known: Mapping[str, type[D] | None]) -> D:
    """The description, of a known kind: with settings of one's own, if it is a subclass."""
    kinds = tuple(kind for kind in known.values() if kind is not None)
    if not isinstance(description, kinds):
        expected = f"one of {', '.join(known)}: kinds of your own cannot be compiled"
        raise TypeError(_check.refusal(argument, _check.kind_of(description), expected))
    return description


def from_config(
    argument: str,
    config: Mapping[str, Any],
    known: Mapping[str, Callable[..., T]],
    key: str = "name",
    ignore_case: bool = False,
) -> T:
    """What `config` describes: the kind that its `key` names, with the settings that it has.

    All others keep their defaults. A setting that the kind does not have is a ValueError.
    """
    settings = dict(config)
    if key not in settings:
        got = f"a dict of {_check.listed(map(repr, settings)) or 'nothing'}"
        hint = ""
        if "class_name" in settings:
            hint = "; of Keras's class_name and config write {" + f"{key!r}: class_name, **config}}"
        raise ValueError(
            _check.refusal(argument, got, f"one with {key!r}, as config() gives") + hint
        )
    name = settings.pop(key)
    kind = _check.choice(f"{argument}[{key!r}]", name, known, ignore_case)
    own = [setting for setting in kind().config() if setting != key]  # type: ignore[attr-defined]
    for setting in settings:
        if setting not in own:
            expected = f"settings of {name}: {', '.join(own) or 'none'}"
            raise ValueError(_check.refusal(argument, _check.shown(setting), expected))
    return kind(**settings)


def config_of(description: Description | None) -> dict[str, Any] | None:
    """What `identified` turns back, None for none."""
    return None if description is None else description.config()


class Description(metaclass=Telling):
    """Immutable; equal, and of one hash, where class and settings are.

    A subclass with settings takes them in ``__init__``, checks them there and hands them to
    ``_set``, in the order of its arguments.
    """

    #: What stands for the class, in its config and as a string.
    name: str
    #: What an override of these methods should be instead: nobody would call it.
    _uncalled: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_uncalled(cls)

    def _set(self, **settings: Any) -> None:
        vars(self).update(settings)

    def config(self) -> dict[str, Any]:
        """Name and settings, as JSON can hold them; its module's ``get`` turns them back."""
        return {"name": self.name, **vars(self)}

    def __setattr__(self, name: str, value: object) -> None:
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
