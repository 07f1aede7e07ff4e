"""Where layers have their weights: models, and families of those that have layers in common."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any

from fastweights import _check

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights.layers import Layer
    from fastweights.models import Model

#: An object, the name of one of its attributes, and what that becomes.
Assignment = tuple[object, str, Any]


def assign(assignments: Iterable[Assignment]) -> None:
    """Makes all of these assignments or, where Ctrl-C comes, none of them."""
    made = list(assignments)
    # In one call of compiled code, in the middle of which no handler of a signal runs.
    deque(starmap(object.__setattr__, made), maxlen=0)


class Home:
    """Where layers have their weights: in what a model is built of.

    A model is built, or built anew of other layers, by the one assignment of `built`: a layer is
    at home where that has it.
    """

    def __init__(self, model: Model) -> None:
        self._owner = weakref.ref(model)
        self.built: Built | None = None
        self.family = Family()

    def owner(self) -> Model | None:
        """The model; None where there is none, since a constructor may have been interrupted."""
        return self._owner()

    def take_on(self, built: Built, *besides: Assignment) -> None:
        """Makes the layers' weights those of `built`, and what follows from that."""
        assign([*self.family.with_home(self, built), (self.family, "whole", built), *besides])


class Family:
    """Models that have layers in common, and the one that has all of them: see `_sharing`."""

    def __init__(self) -> None:
        #: Of models that may be gone.
        self.homes: tuple[weakref.ref[Home], ...] = ()
        self.whole: Built

    def living(self) -> list[Home]:
        """Where models that are there have their weights."""
        homes = (ref() for ref in self.homes)
        return [
            home
            for home in homes
            if home is not None and home.built is not None and home.owner() is not None
        ]

    def models(self) -> list[Model]:
        """Those that are there."""
        owners = (home.owner() for home in self.living())
        return [owner for owner in owners if owner is not None]

    def is_in_use(self) -> bool:
        """Whether there is a model whose layers these are."""
        return bool(self.models())

    def let_go(self) -> None:
        """Has no more than the models that are there, if one of them has all of their layers."""
        builts = [home.built for home in self.living() if home.built is not None]
        largest = max(builts, key=lambda built: len(built.layers))
        if all(largest.has(layer) for built in builts for layer in built.layers):
            self.whole = largest

    def with_home(self, home: Home, built: Built) -> list[Assignment]:
        """What makes that which a model is built of one of these."""
        homes = tuple(weakref.ref(other) for other in self.living() if other is not home)
        # Others' layers stay at home where they are: their numbers are the same ones.
        free = [layer for layer in built.layers if family_of(layer) is None]
        return [
            (home, "family", self),
            (self, "homes", (*homes, weakref.ref(home))),
            *((layer, "_home", home) for layer in free),
            (home, "built", built),
        ]


def family_of(layer: Layer, apart_from: Home | None = None) -> Family | None:
    """The models that a layer has its weights in; None where it has none, or in that home's."""
    home = layer._home
    if home is None or home is apart_from or layer._built is None:
        return None
    return home.family if home.family.is_in_use() else None


def refuse_taken(layers: Sequence[Layer], home: Home) -> None:
    """Raises ValueError where a layer has its weights in another model than that of `home`."""
    for layer in layers:
        if family_of(layer, apart_from=home) is not None:
            got = f"{layer.name!r} of another model"
            expected = (
                "new layers, since those of a Sequential are its own: for another head "
                "new = model.copy(), new.pop() and new.add(...); in a notebook make the layers "
                "anew in the cell that makes the model"
            )
            raise ValueError(_check.refusal("layers", got, expected))
