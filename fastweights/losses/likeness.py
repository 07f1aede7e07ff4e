"""Losses that say how alike two rows are: as distributions, or in their direction."""

from __future__ import annotations

import numpy as np

from fastweights import _check
from fastweights.losses.base import Loss, refuse


class KLDivergence(Loss):
    """``sum(t log(t / p))``, predictions and targets clipped to [1e-7, 1].

    Kullback and Leibler, "On information and sufficiency" (Annals of Mathematical Statistics,
    1951). `t` is a row of probabilities, and so should `p` be: the last activation softmax.
    """

    name = "kl_divergence"
    of_classes = True
    _hint_for_labels = "; for class labels use the loss sparse_categorical_crossentropy"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        expected = f"probabilities, from 0 to 1, for the loss {self.name}"
        refuse(argument, targets, (targets < 0) | (targets > 1), expected)
        return targets


class CosineSimilarity(Loss):
    """``-sum(p t) / (|p| |t|)``: -1 where both have one direction, 1 where they are opposed.

    Norms below 1e-7 are taken for that, so a row of zeros costs 0.

    Parameters
    ----------
    axis : int
        -1, the last one: there is no other.
    """

    name = "cosine_similarity"
    of_classes = True
    axis: int

    def __init__(self, axis: int = -1) -> None:
        if axis != -1 or isinstance(axis, bool):
            raise ValueError(_check.refusal("axis", _check.shown(axis), "-1, the last one"))
        self._set(axis=-1)
