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
from fastweights._turns import Turn

if TYPE_CHECKING:
    from fastweights._building import Built, Fill
    from fastweights._homes import Family, Home
    from fastweights.layers.base import Variable


def share(built: Built, home: Home, families: Sequence[Family], fill: Fill) -> None:
    """Gives what a new model is built of its numbers, and its place among these families."""
    for family in families:
        if family.whole.dtype != built.dtype:
            got = f"those of a model of {family.whole.dtype}"
            raise ValueError(_check.refusal("layers", got, f"layers of {built.dtype}"))
    if len(families) == 1 and all(families[0].whole.has(layer) for layer in built.layers):
        (family,) = families
        built.be_window(family.whole, *_place(built, family.whole))
        family.join(home, built)
        return
    for family in families:
        missing = [layer for layer in family.whole.layers if not built.has(layer)]
        if missing:
            got = f"some of another model's layers, without {missing[0].name!r}"
            expected = "layers of its own, or all of that model's, or none but that model's"
            raise ValueError(_check.refusal("layers", got, expected))
    _grow(built, home, families, fill)


def _grow(built: Built, home: Home, families: Sequence[Family], fill: Fill) -> None:
    """Makes a vector for all of these families and what is new."""
    places = [_place(family.whole, built) for family in families]

    def fill_new(number: int, variable: Variable, view: np.ndarray) -> None:
        if not any(family.whole.has(built.owned[number][0]) for family in families):
            fill(number, variable, view)

    built.allocate(fill_new)
    models = [model for family in families for model in family.models()]
    with contextlib.ExitStack() as turns:
        for model in models:
            turns.enter_context(Turn(model._turns, "sharing layers"))
        for family, place in zip(families, places, strict=True):
            _move(family, built, place)
        family = families[0].joined(families[1:], built)
        family.join(home, built)


def _move(family: Family, whole: Built, place: tuple[int, int]) -> None:
    """Has a family's models see their numbers in a larger vector."""
    old = family.whole
    windows = tuple(
        vector[begin : begin + part.size]
        for vector, part, begin in zip(whole.vectors, old.vectors, place, strict=True)
    )
    old.lock.copy(windows, old.vectors)
    for model in family.models():
        own = model._built_or_refused()
        begin, state_begin = own.begins
        moved = copy.copy(own)
        moved.be_window(whole, begin + place[0], state_begin + place[1])
        model._home.built = moved
        model._compiled = model._compiled.moved()


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
