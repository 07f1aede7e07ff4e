"""Models that have layers in common: one flat vector, of which each model has a window.

# Design: a family of models has one vector, that of the model which has all of its layers. A new
# model that has some of them, which follow each other, gets a window; one that has all of them, and
# others perhaps, gets a vector of its own that becomes the family's, and the others' windows are
# cut out of it. What cannot be a window is refused: `model.parameters` is one stretch of memory.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastweights import _check
from fastweights._homes import Assignment, Family, Home, assign
from fastweights._turns import Turn

if TYPE_CHECKING:
    from fastweights._building import Built, Fill
    from fastweights.layers import Layer
    from fastweights.layers.base import Variable


def share(built: Built, home: Home, families: Sequence[Family], fill: Fill) -> None:
    """Gives what a new model is built of its numbers, and its place among these families."""
    for family in families:
        family.let_go()
    if len(families) == 1 and all(families[0].whole.has(layer) for layer in built.layers):
        (family,) = families
        built.be_window(family.whole, *_place(built, family.whole))
        assign(family.with_home(home, built))
        return
    for family in families:
        missing = [layer for layer in family.whole.layers if not built.has(layer)]
        if missing:
            got = f"some of another model's layers, without {missing[0].name!r}"
            expected = (
                "all layers of that model or none, as both have one vector of weights; a copy, "
                "model.copy(), has weights of its own to build on, and so has one of a part, "
                "fw.Model(model.input, layer.output).copy()"
            )
            raise ValueError(_check.refusal("layers", got, expected))
    _grow(built, home, families, fill)


def _has_owner(layer: Layer) -> bool:
    return layer._home is not None and layer._home.owner() is not None


def refuse_unfit(built: Built, home: Home) -> None:
    """Raises ValueError where the weights that layers have already are none for this model."""
    for layer in built.layers:
        old = layer._built
        if old is None or layer._home is home:
            continue
        if old.dtype != built.dtype:
            got = f"those of a model of {old.dtype}"
            raise ValueError(_check.refusal("layers", got, f"layers of {built.dtype}"))
        known = old.views_of(layer)
        for number in built.numbers_of(layer):
            name, shape = built.owned[number][1].name, built.owned[number][1].shape
            if shape != known[name].shape:
                got = f"rows for which {name} of {layer.name!r} would be of shape {shape}"
                expected = f"such that it is {known[name].shape}, as the layer has it already"
                raise ValueError(_check.refusal("layers", got, expected))


def keeping(built: Built, home: Home, fill: Fill) -> Fill:
    """Fills what is new; layers whose model is gone keep the numbers that they have."""
    kept = {
        id(layer): old.views_of(layer)
        for layer in built.layers
        if (old := layer._built) is not None and layer._home is not home
    }

    def fill_new(number: int, variable: Variable, view: np.ndarray) -> None:
        views = kept.get(id(built.owned[number][0]))
        if views is None:
            fill(number, variable, view)
        else:
            view[...] = views[variable.name]

    return fill_new


def _grow(built: Built, home: Home, families: Sequence[Family], fill: Fill) -> None:
    """Makes a vector for all of these families and what is new: all of them move, or none."""
    places = [_place(family.whole, built) for family in families]

    def fill_all(number: int, variable: Variable, view: np.ndarray) -> None:
        layer = built.owned[number][0]
        for family in families:
            if family.whole.has(layer):
                view[...] = family.whole.views_of(layer)[variable.name]
                return
        fill(number, variable, view)

    built.allocate(fill_all)
    models = [model for family in families for model in family.models()]
    with contextlib.ExitStack() as turns:
        for model in models:
            turns.enter_context(Turn(model._turns, "sharing layers"))
        joined = Family()
        joined.whole = built
        joined.homes = tuple(home for family in families for home in family.homes)
        moves = [
            assignment
            for family, place in zip(families, places, strict=True)
            for assignment in _moved(family, joined, place)
        ]
        assign([*moves, *joined.with_home(home, built)])


def _moved(family: Family, joined: Family, place: tuple[int, int]) -> list[Assignment]:
    """What has a family's models see their numbers in a larger vector, where they are then."""
    old, whole = family.whole, joined.whole
    windows = tuple(
        vector[begin : begin + part.size]
        for vector, part, begin in zip(whole.vectors, old.vectors, place, strict=True)
    )
    old.lock.copy(windows, old.vectors)
    if old.lock.gradients_shown:
        whole.lock.show_gradients()
    assignments: list[Assignment] = []
    for home in family.living():
        model, own = home.owner(), home.built
        if model is None or own is None:
            continue
        moved = copy.copy(own)
        begins = (
            begin - first + there
            for begin, first, there in zip(own.begins, old.begins, place, strict=True)
        )
        moved.be_window(whole, *begins)
        assignments += [
            (home, "family", joined),
            (home, "built", moved),
            (model, "_compiled", model._compiled.moved()),
            # Those that were at home in a model that is gone.
            *((layer, "_home", home) for layer in own.layers if not _has_owner(layer)),
        ]
    return assignments


def _place(part: Built, whole: Built) -> tuple[int, int]:
    """Where in the vectors of `whole` those of `part` are; ValueError where in several places."""
    begins = []
    for offsets in (part.offsets_in(whole), part.offsets_in(whole, of_states=True)):
        apart = {there - here for here, there in offsets}
        if len(apart) > 1:
            got = "layers whose weights do not follow each other in the model that has all of them"
            expected = "layers of one stretch of that model, in its order"
            raise ValueError(_check.refusal("layers", got, expected))
        begins.append(apart.pop() if apart else 0)
    return begins[0], begins[1]
