"""What weights, and what layers make, cost; Keras's names and definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastweights import _check
from fastweights._core.float_mode import in_default_float_mode
from fastweights._description import Description, identified
from fastweights.constraints import norms_of

Shape = tuple[int, ...]


class Penalty(NamedTuple):
    """Parameters from begin to end cost ``l1 |w| + l2 w^2`` each.

    Beside the mean loss of a batch or, if `of_sum`, beside the sum that this mean is made of.
    """

    begin: int
    end: int
    l1: float
    l2: float
    of_sum: bool


class Matrix(NamedTuple):
    """A matrix at `begin`, whose rows or columns cost factor |cos| for each pair of them."""

    begin: int
    vectors: int
    length: int
    are_columns: bool
    factor: float


class Regularizer(Description):
    """Base of all regularizers: what an array of weights costs.

    The loss that is trained and reported contains it. A layer that is not trainable costs nothing.
    """

    _uncalled: ClassVar[dict[str, str]] = dict.fromkeys(
        ("__call__", "call", "get_config"),
        "l1, l2, l1_l2 or orthogonal_regularizer with settings of your own: kinds of your own "
        "cannot be compiled; add their gradient to model.gradients, and model.apply_gradients()",
    )

    def __call__(self, weights: Any) -> float:
        """What these weights cost.

        Parameters
        ----------
        weights : array_like of real numbers
        """
        array = _check.real_copy("weights", weights).astype(np.float64)
        self.refuse("weights", array.shape)
        return in_default_float_mode(self._cost, array)

    def _cost(self, weights: np.ndarray) -> float:
        """What an array of float64 costs whose shape suits."""
        raise NotImplementedError

    def refuse(self, argument: str, shape: Shape) -> None:
        """ValueError where an array of this shape does not suit."""

    def penalties(self, begin: int, size: int) -> list[Penalty]:
        """What so many weights from `begin` on cost each."""
        return []

    def matrices(self, begin: int, shape: Shape) -> list[Matrix]:
        """What an array of this shape at `begin` costs as a whole."""
        return []


class _Sum(Regularizer):
    """Base of those that add up what each number costs: ``l1 |w| + l2 w^2``.

    With `of_sum` that is what it costs beside the sum of what the rows of a batch cost, whatever
    their number: in the batch's mean it is divided by what they count together, their number or,
    where the model has one output, without a mask, and they have weights, the sum of these.
    """

    l1: float
    l2: float
    of_sum: bool

    def _cost(self, weights: np.ndarray) -> float:
        sizes = np.abs(weights)
        with np.errstate(over="ignore", under="ignore"):
            return float((sizes * (self.l1 + self.l2 * sizes)).sum())

    def penalties(self, begin: int, size: int) -> list[Penalty]:
        return [Penalty(begin, begin + size, self.l1, self.l2, self.of_sum)]


class L1L2(_Sum):
    """``l1 |w| + l2 w^2``.

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    of_sum : bool
        Whether the batch's rows share the cost: it is divided by what they count together.
    """

    name = "l1_l2"

    def __init__(self, l1: float = 0.0, l2: float = 0.0, of_sum: bool = False) -> None:
        self._set(
            l1=_check.number("l1", l1, minimum=0.0),
            l2=_check.number("l2", l2, minimum=0.0),
            of_sum=_check.flag("of_sum", of_sum),
        )


class L1(_Sum):
    """``l1 |w|``, which draws weights to 0.

    Parameters
    ----------
    l1 : float
        At least 0.
    of_sum : bool
        Whether the batch's rows share the cost: it is divided by what they count together.
    """

    name = "l1"
    l2 = 0.0

    def __init__(self, l1: float = 0.01, of_sum: bool = False) -> None:
        self._set(l1=_check.number("l1", l1, minimum=0.0), of_sum=_check.flag("of_sum", of_sum))


class L2(_Sum):
    """``l2 w^2``, which keeps weights small.

    Parameters
    ----------
    l2 : float
        At least 0.
    of_sum : bool
        Whether the batch's rows share the cost: it is divided by what they count together. Half of
        scikit-learn's `alpha` is such a number.
    """

    name = "l2"
    l1 = 0.0

    def __init__(self, l2: float = 0.01, of_sum: bool = False) -> None:
        self._set(l2=_check.number("l2", l2, minimum=0.0), of_sum=_check.flag("of_sum", of_sum))


#: The least norm that rows and columns of a matrix are divided by.
LEAST_NORM = 1e-7


class OrthogonalRegularizer(Regularizer):
    """The mean of ``factor |cos|`` over all pairs of rows, or of columns, of a matrix.

    Parameters
    ----------
    factor : float
        At least 0.
    mode : {"rows", "columns"}
        Which are to be orthogonal; there are at least two of them.
    """

    name = "orthogonal_regularizer"
    factor: float
    mode: str

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self._set(
            factor=_check.number("factor", factor, minimum=0.0),
            mode=_check.choice("mode", mode, {"rows": "rows", "columns": "columns"}),
        )

    def _cost(self, weights: np.ndarray) -> float:
        vectors = weights if self.mode == "rows" else weights.T
        with np.errstate(under="ignore"):
            units = vectors / np.maximum(norms_of(vectors, 1), LEAST_NORM)
            products = np.abs(units @ units.T)
        np.fill_diagonal(products, 0.0)
        pairs = len(units) * (len(units) - 1) / 2.0
        return float(self.factor * 0.5 * products.sum() / pairs)

    def refuse(self, argument: str, shape: Shape) -> None:
        if len(shape) != 2 or shape[self.mode == "columns"] < 2:
            got = f"orthogonal {self.mode} of weights {shape}"
            raise ValueError(_check.refusal(argument, got, "a matrix with two of them at least"))

    def matrices(self, begin: int, shape: Shape) -> list[Matrix]:
        are_columns = self.mode == "columns"
        vectors, length = reversed(shape) if are_columns else shape
        pairs = vectors * (vectors - 1) / 2.0
        return [Matrix(begin, vectors, length, are_columns, self.factor / pairs)]


#: Every regularizer by its name.
REGULARIZERS: dict[str, type[Regularizer]] = {
    kind.name: kind for kind in (L1, L2, L1L2, OrthogonalRegularizer)
}


def get(
    identifier: str | Regularizer | Mapping[str, Any] | None, argument: str = "regularizer"
) -> Regularizer | None:
    """A regularizer from its name, its `config` or itself; None for none."""
    return identified(argument, identifier, Regularizer, REGULARIZERS)


def of_numbers(
    identifier: str | Regularizer | Mapping[str, Any] | None, argument: str
) -> _Sum | None:
    """The same, of those that look at each number by itself."""
    regularizer = get(identifier, argument)
    if regularizer is not None and not isinstance(regularizer, _Sum):
        raise TypeError(_check.refusal(argument, repr(regularizer), "l1, l2 or l1_l2"))
    if regularizer is not None and regularizer.of_sum:
        expected = "of_sum=False: what a row's numbers cost is the row's"
        raise ValueError(_check.refusal(argument, repr(regularizer), expected))
    return regularizer
