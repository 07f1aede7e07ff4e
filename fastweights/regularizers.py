"""What large weights cost; Keras's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._description import Description


class Regularizer(Description):
    """Base of all regularizers: ``l1 |w| + l2 w^2``, added up over a layer's weights.

    The loss that is trained and reported contains it. A layer that is not trainable costs nothing.
    """

    l1: float
    l2: float

    def __call__(self, weights: Any) -> float:
        """What these weights cost."""
        values = np.asarray(weights, np.float64)
        return float(self.l1 * np.abs(values).sum() + self.l2 * np.square(values).sum())


class L1L2(Regularizer):
    """``l1 |w| + l2 w^2``.

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    """

    name = "l1_l2"

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self._set(l1=_check.number("l1", l1, minimum=0.0), l2=_check.number("l2", l2, minimum=0.0))


class L1(Regularizer):
    """``l1 |w|``, which draws weights to 0.

    Parameters
    ----------
    l1 : float
        At least 0.
    """

    name = "l1"
    l2 = 0.0

    def __init__(self, l1: float = 0.01) -> None:
        self._set(l1=_check.number("l1", l1, minimum=0.0))


class L2(Regularizer):
    """``l2 w^2``, which keeps weights small.

    Parameters
    ----------
    l2 : float
        At least 0.
    """

    name = "l2"
    l1 = 0.0

    def __init__(self, l2: float = 0.01) -> None:
        self._set(l2=_check.number("l2", l2, minimum=0.0))


#: Every regularizer by its name.
REGULARIZERS: dict[str, type[Regularizer]] = {kind.name: kind for kind in (L1, L2, L1L2)}


def get(
    identifier: str | Regularizer | Mapping[str, Any] | None, argument: str = "regularizer"
) -> Regularizer | None:
    """A regularizer from its name, its `config` or itself; None for none."""
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if isinstance(identifier, Mapping):
        settings = dict(identifier)
        name = settings.pop("name", None)
        return _check.choice(argument, name, REGULARIZERS)(**settings)
    return _check.choice(argument, identifier, REGULARIZERS)()


def config_of(regularizer: Regularizer | None) -> dict[str, Any] | None:
    """What `get` turns back, None for none."""
    return None if regularizer is None else regularizer.config()
