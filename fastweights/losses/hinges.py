"""Losses of margins, for signed scores: of two classes, each output on its own, and of several."""

from __future__ import annotations

import numpy as np

from fastweights.losses.base import Loss, refuse


class Hinge(Loss):
    """``mean(max(0, 1 - t p))`` for targets of -1 and 1; targets of 0 and 1 are taken as such.

    The last activation should be linear or tanh.
    """

    name = "hinge"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        expected = f"targets of -1 and 1, or of 0 and 1, for the loss {self.name}"
        is_zero = targets == 0
        refuse(argument, targets, ~is_zero & (np.abs(targets) != 1), expected)
        if not is_zero.any():
            return targets
        refuse(argument, targets, targets == -1, expected + ", not a mixture")
        return np.where(is_zero, targets.dtype.type(-1), targets)


class SquaredHinge(Hinge):
    """``mean(max(0, 1 - t p)^2)``, for what :class:`Hinge` is for."""

    name = "squared_hinge"


class CategoricalHinge(Loss):
    """``max(0, 1 + max((1 - t) p) - sum(t p))`` over the classes; `t` is one-hot.

    So the right class has a margin of 1 before the best of the others. Classes that are as good as
    the best one share its gradient alike. The last activation should be linear.
    """

    name = "categorical_hinge"
    of_classes = True
    _hint_for_labels = "; np.eye(classes)[labels] makes rows of class labels"

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        expected = f"numbers from 0 to 1 for the loss {self.name}"
        refuse(argument, targets, (targets < 0) | (targets > 1), expected)
        return targets
