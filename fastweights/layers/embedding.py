"""A vector for each of some things that are counted: words, categories, users."""

from __future__ import annotations

from typing import Any

from fastweights import _check, constraints, initializers, regularizers
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
    embeddings_constraint : str or Constraint, optional
        What each step leaves of it, such as ``"max_norm"`` (see :mod:`fastweights.constraints`).
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
    them; other optimizers, which remember, move them, as a table with a regularizer or a constraint
    does, one that several calls share, and batches of more than 1,024 rows spend the time.

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
        embeddings_constraint: str | constraints.Constraint | None = None,
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
        self.embeddings_constraint = constraints.get(embeddings_constraint, "embeddings_constraint")
        self.mask_zero = _check.flag("mask_zero", mask_zero)

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return True

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = (self.input_dim, self.output_dim)
        start, cost = self.embeddings_initializer, self.embeddings_regularizer
        bound = self.embeddings_constraint
        return [Variable("embeddings", shape, start, *shape, cost, constraint=bound)]

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
            "embeddings_constraint": config_of(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            "name": self.name,
        }


class ReversibleEmbedding(Embedding):
    """An `Embedding` that also tells how likely each of its things is, by the vectors of all.

    ``y = embeddings[x]``, or with ``reverse=True`` in the call ``y = x @ embeddings.T``: the first
    and the last layer of a language model are one (Press and Wolf, "Using the output embedding to
    improve language models", EACL 2017).

    Parameters
    ----------
    input_dim, output_dim, embeddings_initializer, embeddings_regularizer, \\
    embeddings_constraint, mask_zero, name
        As for `Embedding`.
    tie_weights : bool
        Whether both ways have one table. If not, ``reverse=True`` has a kernel of its own, which
        starts as the table does.
    reverse_dtype : None
        As Keras has it; there is no other: all is in the model's dtype.
    logit_soft_cap : float, optional
        Above 0: with ``reverse=True`` numbers are brought within so much of 0, as ``cap * tanh(y /
        cap)``.

    Attributes
    ----------
    embeddings : ndarray (input_dim, output_dim)
        View of the model's parameters, once the model is built.
    reverse_embeddings : ndarray (output_dim, input_dim)
        Likewise, where the weights are not tied.

    Notes
    -----
    Call it on whole numbers as an `Embedding`; and on ``(rows, ..., output_dim)`` with
    ``reverse=True``, which makes logits ``(rows, ..., input_dim)`` without a mask and without a
    bias. In PyTorch write ``head.weight = table.weight`` for it. A step moves all of a table that
    both ways have.

    Examples
    --------
    >>> words = fw.Input(20)
    >>> table = layers.ReversibleEmbedding(50, 8)
    >>> hidden = layers.LSTM(8, return_sequences=True)(table(words))
    >>> model = fw.Model(words, table(hidden, reverse=True))
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: str | initializers.Initializer = "uniform",
        embeddings_regularizer: str | regularizers.Regularizer | None = None,
        embeddings_constraint: str | constraints.Constraint | None = None,
        mask_zero: bool = False,
        reverse_dtype: None = None,
        logit_soft_cap: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            name,
        )
        self.tie_weights = _check.flag("tie_weights", tie_weights)
        if reverse_dtype is not None:
            expected = "None: all is in the model's dtype"
            raise ValueError(_check.refusal("reverse_dtype", _check.shown(reverse_dtype), expected))
        self.logit_soft_cap = (
            None
            if logit_soft_cap is None
            else _check.number("logit_soft_cap", logit_soft_cap, above=0.0)
        )

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = (self.output_dim, self.input_dim)
        reverse = Variable("reverse_embeddings", shape, self.embeddings_initializer, *shape)
        tied = super().variables(input_shape)
        return tied if self.tie_weights else [*tied, reverse]

    def ops(self, x: Value, *, reverse: bool = False) -> Value:
        if not _check.flag("reverse", reverse):
            return super().ops(x)
        if x.features != self.output_dim:
            got, expected = f"rows of shape {x.shape}", f"rows (..., {self.output_dim})"
            raise ValueError(_check.refusal(f"input of {type(self).__name__}", got, expected))
        shape = (*x.shape[:-1], self.input_dim)
        if self.tie_weights:
            y = op(
                "reverse_embedding",
                x,
                shape=shape,
                lines=x.lines,
                variables=("embeddings",),
                sizes=(self.input_dim,),
            )
        else:
            y = op("dense", x, shape=shape, lines=x.lines, variables=("reverse_embeddings",))
        if self.logit_soft_cap is None:
            return y
        small = op("rescale", y, options=(1 / self.logit_soft_cap, 0.0))
        bent = op("activation", small, activation="tanh")
        return op("rescale", bent, options=(self.logit_soft_cap, 0.0))

    def results_of(self, *values: Value, **settings: Any) -> tuple[Value, ...]:
        (made,) = super().results_of(*values, **settings)
        # As in Keras, logits have no mask.
        return (made._replace(mask=None) if settings.get("reverse") else made,)

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": None,
            "logit_soft_cap": self.logit_soft_cap,
        }
