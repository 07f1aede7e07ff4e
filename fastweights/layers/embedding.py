"""A vector for each of some things that are counted: words, categories, users."""

from __future__ import annotations

from typing import Any

from fastweights import _check, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, op

#: Whole numbers are kept as int32.
MOST = 2**31 - 1


class Embedding(Layer):
    """``y = embeddings[x]``: a row of a table for each whole number of the input.

    Parameters
    ----------
    input_dim : int
        How many rows the table has: numbers are from 0 to ``input_dim - 1``.
    output_dim : int
        Width of a row.
    embeddings_initializer : str or Initializer
        How the table starts (see :mod:`fastweights.initializers`).
    embeddings_regularizer : str or Regularizer, optional
        What its weights cost, such as ``"l2"`` (see :mod:`fastweights.regularizers`).
    mask_zero : bool
        Whether 0 is no word, but fills up short rows: such steps are masked (see `Masking`).
    name : str, optional
        Name in the model.

    Attributes
    ----------
    embeddings : ndarray (input_dim, output_dim)
        View of the model's parameters, once the model is built.

    Notes
    -----
    Input ``(rows, ...)``, output ``(rows, ..., output_dim)``. It reads a network's input, which is
    then kept as int32 whatever dtype it comes in; floats must be whole numbers. There is no
    gradient by it. What is not from 0 to ``input_dim - 1`` is refused on every call.

    Rows of the table that a batch does not touch have no gradient. Plain SGD spends no time on
    them; other optimizers, which remember, move them, as a table with a regularizer does, one that
    several calls share, and batches of more than 1,024 rows spend the time.

    Examples
    --------
    >>> colour = fw.Input(1, dtype="int32")
    >>> size = fw.Input(3)
    >>> vector = layers.Flatten()(layers.Embedding(50, 8)(colour))
    >>> both = layers.Concatenate()([vector, size])
    >>> model = fw.Model([colour, size], layers.Dense(1)(both))
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | initializers.Initializer = "uniform",
        embeddings_regularizer: str | regularizers.Regularizer | None = None,
        mask_zero: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.input_dim = _check.whole("input_dim", input_dim, 1, maximum=MOST)
        self.output_dim = _check.whole("output_dim", output_dim, 1)
        self.embeddings_initializer = initializers.get(
            embeddings_initializer, argument="embeddings_initializer"
        )
        self.embeddings_regularizer = regularizers.get(
            embeddings_regularizer, "embeddings_regularizer"
        )
        self.mask_zero = _check.flag("mask_zero", mask_zero)

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return True

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = (self.input_dim, self.output_dim)
        start, cost = self.embeddings_initializer, self.embeddings_regularizer
        return [Variable("embeddings", shape, start, *shape, cost)]

    def ops(self, x: Value) -> Value:
        return op(
            "embedding",
            x,
            shape=(*x.shape, self.output_dim),
            lines=x.lines * x.features,
            variables=("embeddings",),
            sizes=(self.input_dim,),
        )

    def mask_of(self, x: Value) -> Value | None:
        if not self.mask_zero:
            return None
        return op("mask_zeros", x, sizes=(self.input_dim,))

    def config(self) -> dict[str, Any]:
        return {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer.config(),
            "embeddings_regularizer": config_of(self.embeddings_regularizer),
            "mask_zero": self.mask_zero,
            "name": self.name,
        }
