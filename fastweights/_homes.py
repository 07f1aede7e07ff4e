"""Where layers have their weights: models, and families of those that have layers in common."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastweights import _check

if TYPE_CHECKING:
    from fastweights._building import Built
    from fastweights.layers import Layer
    from fastweights.models import Model


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

    def take_on(self, built: Built) -> None:
        """Makes the layers' weights those of `built`."""
        self.family.join(self, built)
        self.family.whole = built


class Family:
    """Models that have layers in common, and the one that has all of them: see `_sharing`."""

    def __init__(self) -> None:
        self.homes: tuple[Home, ...] = ()
        self.whole: Built

    def models(self) -> list[Model]:
        """Those that are there."""
        owners = (home.owner() for home in self.homes if home.built is not None)
        return [owner for owner in owners if owner is not None]

    def is_in_use(self) -> bool:
        """Whether there is a model whose layers these are."""
        return bool(self.models())

    def join(self, home: Home, built: Built) -> None:
        """Makes what a model is built of one of these."""
        home.family = self
        if home not in self.homes:
            self.homes = (*self.homes, home)
        for layer in built.layers:
            # Others' layers stay at home where they are: their numbers are the same ones.
            if family_of(layer) is None:
                layer._home = home
        home.built = built

    def joined(self, others: Sequence[Family], whole: Built) -> Family:
        """One family of this one and others."""
        family = Family()
        family.homes = tuple(home for one in (self, *others) for home in one.homes)
        family.whole = whole
        for home in family.homes:
            home.family = family
        return family


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
                "new layers, since those of a Sequential are its own; in a notebook make the "
                "layers anew in the cell that makes the model"
            )
            raise ValueError(_check.refusal("layers", got, expected))
