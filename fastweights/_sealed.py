"""Objects whose attributes are fixed once they are made: setting one takes effect, or raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from fastweights._absent import INSTEAD, hint
from fastweights._arguments import Telling
from fastweights._importing import imported
from fastweights._refusal import refuse_uncalled


class _Sealing(Telling, type):
    """Seals what its classes make, when their constructors are through."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        vars(made)["_sealed"] = True
        return made


class Sealed(metaclass=_Sealing):
    """Base of layers, models, optimizers and callbacks.

    Its constructor sets what it likes. After that a public attribute can be set only where it is a
    property that takes it; names that begin with an underscore are the object's own business.
    """

    #: Why an attribute of this class cannot be set, and what to do instead.
    _fixed: ClassVar[Mapping[str, str]] = {}
    #: What an override of these methods should be instead: nobody would call it.
    _uncalled: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        refuse_uncalled(cls)

    def __getattr__(self, name: str) -> Any:
        found = getattr(type(self), name, None)
        if isinstance(found, property):  # whose own AttributeError this would hide
            return found.__get__(self)
        kind = type(self).__name__
        raise AttributeError(f"{kind!r} object has no attribute {name!r}{hint(name)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            name.startswith("_")
            or "_sealed" not in self.__dict__
            or getattr(getattr(type(self), name, None), "fset", None) is not None
        ):
            object.__setattr__(self, name, value)
        else:
            self._refuse(name)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            super().__delattr__(name)
        else:
            self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        """Raises AttributeError about setting `name`."""
        kind = type(self).__name__
        if name in self._fixed:
            raise AttributeError(f"{name}: {self._fixed[name]}")
        if name in vars(self) or hasattr(type(self), name):
            raise AttributeError(f"{name}: is fixed once it is made; make a new {kind}")
        difflib = imported("difflib")  # slow to import, and seldom used

        public = [known for known in dir(self) if not known.startswith("_")]
        near = difflib.get_close_matches(name, public, n=1)
        meant = f"; did you mean {near[0]!r}?" if near and name not in INSTEAD else hint(name)
        raise AttributeError(f"{name}: {kind} has no such attribute{meant}")
