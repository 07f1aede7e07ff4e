"""Layers in which each position of a series looks at others, as much as it is like them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastweights import _check, _tensors, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Variable
from fastweights.layers.noise import Noise, dropped_draws, scale_of
from fastweights.layers.ops import Shape, Value, op

#: What Keras's calls take besides, and what to write instead.
_NOT_TOLD = {
    "return_attention_scores": "fw.attention_scores(model, x) computes them",
    "training": "fit trains and predict does not",
    **dict.fromkeys(
        ("query_mask", "value_mask", "key_mask"),
        "masks go with values (Masking, Embedding(mask_zero=True)), or attention_mask=...",
    ),
}


class _Attention(Noise):
    """Base of these layers: projections to heads, attention, and a projection of what heads say."""

    def __init__(
        self,
        dropout: float,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        flash_attention: Any,
        seed: int | None,
        name: str | None,
    ) -> None:
        super().__init__(seed, name)
        self.dropout = _check.number("dropout", dropout, minimum=0, maximum=1)
        self.use_bias = _check.flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(
            kernel_initializer, argument="kernel_initializer"
        )
        self.bias_initializer = initializers.get(bias_initializer, argument="bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, "kernel_constraint")
        self.bias_constraint = constraints.get(bias_constraint, "bias_constraint")
        if flash_attention is not None and not _check.flag("flash_attention", flash_attention):
            expected = "None or True: there is no other way"
            raise ValueError(_check.refusal("flash_attention", flash_attention, expected))

    def _heads(self) -> tuple[int, int, int, int]:
        """Of queries and of keys and values; and how wide each is."""
        raise NotImplementedError

    def _output_features(self, query_shape: Shape) -> int:
        return query_shape[-1]

    def __call__(
        self,
        *inputs: _tensors.Tensor | Sequence[_tensors.Tensor],
        key: _tensors.Tensor | None = None,
        attention_mask: _tensors.Tensor | None = None,
        **settings: Any,
    ) -> _tensors.Tensor:
        """What queries find in values.

        Parameters
        ----------
        *inputs : Tensor or list of Tensor
            Queries ``(rows, steps, features)``, values ``(rows, keys, features)`` and, if they are
            not the values, keys ``(rows, keys, features)``.
        key : Tensor, optional
            The keys, by name.
        attention_mask : Tensor, optional
            1 where a query sees a key and 0 where it does not, as bool, whole numbers or reals:
            ``(rows, steps, keys)``, or ``(rows, keys)`` or ``(rows, 1, keys)`` for all queries of a
            row, for all heads. An `fw.Input` of it takes no other numbers: nothing is added.
        use_causal_mask : bool
            Whether query i sees keys 0 to i alone.
        """
        kind = type(self).__name__
        for name, instead in _NOT_TOLD.items():
            if settings.pop(name, None) not in (None, False):
                raise ValueError(_check.refusal(name, "a value", f"none: {instead}"))
        several = inputs[0] if len(inputs) == 1 else inputs
        tensors = _tensors.tensors_of(f"inputs of {kind}", several)
        self._refuse_one(len(tensors))
        if key is not None:
            if len(tensors) > 2:
                raise ValueError(_check.refusal("key", "a third tensor beside it", "one of both"))
            tensors += _tensors.tensors_of("key", key)
        if attention_mask is not None:
            tensors += tensors[1:2] if len(tensors) == 2 else []
            tensors += _tensors.tensors_of("attention_mask", attention_mask)
        return super().__call__(tensors, **settings)

    def results_of(self, *values: Value, **settings: Any) -> tuple[Value, ...]:
        self._refuse_one(len(values))
        return super().results_of(*values, **settings)

    def _refuse_one(self, count: int) -> None:
        """Raises ValueError for one tensor alone, as it comes to a layer of a Sequential."""
        if count == 1:
            expected = "query and value; for self-attention the same tensor twice"
            kind = type(self).__name__
            raise ValueError(_check.refusal(f"inputs of {kind}", "one tensor", expected))

    def goes_on(self, reads: int, **settings: Any) -> bool:
        return reads <= 3 and bool(settings.get("use_causal_mask"))

    def variables(
        self,
        query_shape: Shape,
        value_shape: Shape | None = None,
        key_shape: Shape | None = None,
        mask_shape: Shape | None = None,
    ) -> list[Variable]:
        heads, kv_heads, key_dim, value_dim = self._heads()
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        return [
            *self._projection("query", (query_shape[-1],), (heads, key_dim)),
            *self._projection("key", (key_shape[-1],), (kv_heads, key_dim)),
            *self._projection("value", (value_shape[-1],), (kv_heads, value_dim)),
            *self._projection("output", (heads, value_dim), (self._output_features(query_shape),)),
        ]

    def _projection(self, name: str, inputs: Shape, outputs: Shape) -> list[Variable]:
        fans = math.prod(inputs), math.prod(outputs)
        kernel = Variable(
            f"{name}_kernel",
            (*inputs, *outputs),
            self.kernel_initializer,
            *fans,
            self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        bias = Variable(
            f"{name}_bias",
            outputs,
            self.bias_initializer,
            *fans,
            self.bias_regularizer,
            constraint=self.bias_constraint,
        )
        return [kernel, bias] if self.use_bias else [kernel]

    def _projected(self, name: str, x: Value, features: int) -> Value:
        parts = ("kernel", "bias") if self.use_bias else ("kernel",)
        return op(
            "dense",
            x,
            shape=(x.shape[0], features),
            lines=x.shape[0],
            variables=[f"{name}_{part}" for part in parts],
        )

    def ops(
        self,
        query: Value,
        value: Value,
        key: Value | None = None,
        attention_mask: Value | None = None,
        *,
        use_causal_mask: bool = False,
    ) -> Value:
        key = value if key is None else key
        is_causal = _check.flag("use_causal_mask", use_causal_mask)
        kind = type(self).__name__
        for read in (query, value, key):
            if len(read.shape) != 2:
                expected = "rows of (steps, features)"
                raise ValueError(
                    _check.refusal(f"inputs of {kind}", f"rows of shape {read.shape}", expected)
                )
        steps, keys = query.shape[0], key.shape[0]
        if value.shape[0] != keys:
            got = f"{keys} keys and {value.shape[0]} values"
            raise ValueError(_check.refusal(f"inputs of {kind}", got, "as many of both"))
        query_masks = _masks_of(steps, query)
        key_masks = _masks_of(keys, value, key)
        if attention_mask is not None:
            if attention_mask.shape not in ((keys,), (1, keys), (steps, keys)):
                got = f"rows of shape {attention_mask.shape}"
                expected = f"rows {(steps, keys)}, of queries and keys, or {(keys,)}, for all heads"
                raise ValueError(_check.refusal("attention_mask", got, expected))
            key_masks.append(attention_mask)
        heads, kv_heads, key_dim, value_dim = self._heads()
        draws = dropped_draws(self.dropout)
        said = op(
            "attention",
            self._projected("query", query, heads * key_dim),
            self._projected("key", key, kv_heads * key_dim),
            self._projected("value", value, kv_heads * value_dim),
            *query_masks,
            *key_masks,
            shape=(steps, heads * value_dim),
            lines=steps,
            sizes=(
                *(self._own_seed(), draws, heads, kv_heads, keys),
                *(int(is_causal), len(query_masks)),
            ),
            options=(1.0 / math.sqrt(key_dim), scale_of(draws)),
        )
        return self._projected("output", said, self._output_features(query.shape))

    def mask_of(self, query: Value, *others: Value) -> Value | None:
        return query.mask

    def config(self) -> dict[str, Any]:
        return {
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.config(),
            "bias_initializer": self.bias_initializer.config(),
            "kernel_regularizer": config_of(self.kernel_regularizer),
            "bias_regularizer": config_of(self.bias_regularizer),
            "kernel_constraint": config_of(self.kernel_constraint),
            "bias_constraint": config_of(self.bias_constraint),
            "seed": self.seed,
            "name": self.name,
        }


class MultiHeadAttention(_Attention):
    """Several heads, in each of which every query has a mean of the values: those count most whose
    keys are like it, ``softmax(q @ k.T / sqrt(key_dim)) @ v``.

    Parameters
    ----------
    num_heads : int
        How many heads there are.
    key_dim : int
        Width of a head's queries and keys.
    value_dim : int, optional
        Width of a head's values; `key_dim` by default.
    dropout : float
        Share of the weights of the means that are set to 0 in training, the others scaled, as
        `Dropout` does.
    use_bias : bool
        Whether the projections add biases.
    output_shape : int, optional
        Width of the output; that of the queries by default.
    attention_axes : int, optional
        For code written for Keras: None or 1, the axis of the steps.
    flash_attention : bool, optional
        For code written for Keras: None or True.
    kernel_initializer, bias_initializer : str or Initializer
        How the kernels and the biases start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        What their weights cost.
    kernel_constraint, bias_constraint : str or Constraint, optional
        What each step leaves of them.
    seed : int, optional
        As for `Dropout`.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    query_kernel, key_kernel : ndarray (features, num_heads, key_dim)
        Views of the model's parameters, once the model is built.
    value_kernel : ndarray (features, num_heads, value_dim)
    output_kernel : ndarray (num_heads, value_dim, output features)
    query_bias, key_bias, value_bias, output_bias : ndarray
        Of the same axes without the first, and ``(output features,)``.

    Notes
    -----
    It is called as ``layer(query, value, key=None, attention_mask=None, use_causal_mask=False)`` on
    tensors ``(rows, steps, features)``, self-attention as ``layer(x, x)``.

    `attention_mask` is 1 where a query sees a key and 0 where not: ``(rows, steps, keys)``, or
    ``(rows, keys)`` or ``(rows, 1, keys)`` for all queries of a row; for all heads. An `fw.Input`
    of it takes bool, whole numbers or reals, and no numbers but these two. It is not added to
    anything: of a mask of 0 and -inf or -1e9, as PyTorch has them, give ``mask == 0``.

    What is masked goes with the tensors (see `Masking`): nobody sees a key whose step is masked in
    the keys or in the values, and a masked query sees no key; all that is said of a key holds at
    once. The output has the mask of the queries. Steps at the end of a row that are masked cost
    nothing.

    The matrix of all queries by all keys is never there: memory grows with the steps alone. A query
    that sees no key gets 0 of all heads, as in PyTorch; in Keras that depends on the backend.
    Kernels start by the fans of the projections they are, ``features`` and ``heads * width``, as in
    PyTorch; Keras counts the fans of a convolution and starts with smaller ones.

    References
    ----------
    A. Vaswani et al., "Attention is all you need" (NeurIPS 2017). T. Dao et al., "FlashAttention:
    fast and memory-efficient exact attention with IO-awareness" (NeurIPS 2022).

    Examples
    --------
    >>> x = fw.Input((64, 32))
    >>> seen = layers.MultiHeadAttention(4, 8)(x, x, use_causal_mask=True)
    >>> model = fw.Model(x, layers.LayerNormalization()(layers.Add()([x, seen])))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            dropout,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            flash_attention,
            seed,
            name,
        )
        self.num_heads = _check.whole("num_heads", num_heads, 1)
        self.key_dim = _check.whole("key_dim", key_dim, 1)
        self.value_dim = (
            self.key_dim if value_dim is None else _check.whole("value_dim", value_dim, 1)
        )
        self._features = _one_size("output_shape", output_shape)
        if _one_size("attention_axes", attention_axes) not in (None, 1):
            expected = "None or 1, the axis of the steps; Permute brings another one there"
            raise ValueError(
                _check.refusal("attention_axes", _check.shown(attention_axes), expected)
            )

    def _heads(self) -> tuple[int, int, int, int]:
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim

    def _output_features(self, query_shape: Shape) -> int:
        return query_shape[-1] if self._features is None else self._features

    def config(self) -> dict[str, Any]:
        return {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._features,
            **super().config(),
        }


class GroupQueryAttention(_Attention):
    """`MultiHeadAttention` in which several heads of queries share one head of keys and values.

    Parameters
    ----------
    head_dim : int
        Width of each head.
    num_query_heads : int
        How many heads queries have.
    num_key_value_heads : int
        How many heads keys and values have, a divisor of that. Heads of queries that follow each
        other share one.
    dropout, use_bias, flash_attention, kernel_initializer, bias_initializer, \\
    kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, seed, name
        As for `MultiHeadAttention`, and it is called as that is, with the same `attention_mask`.

    Attributes
    ----------
    query_kernel : ndarray (features, num_query_heads, head_dim)
        View of the model's parameters, once the model is built.
    key_kernel, value_kernel : ndarray (features, num_key_value_heads, head_dim)
    output_kernel : ndarray (num_query_heads, head_dim, features)
    query_bias, key_bias, value_bias, output_bias : ndarray
        Of the same axes without the first, and ``(features,)``.

    References
    ----------
    J. Ainslie et al., "GQA: Training generalized multi-query transformer models from multi-head
    checkpoints" (EMNLP 2023).
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        flash_attention: bool | None = None,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            dropout,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            flash_attention,
            seed,
            name,
        )
        self.head_dim = _check.whole("head_dim", head_dim, 1)
        self.num_query_heads = _check.whole("num_query_heads", num_query_heads, 1)
        self.num_key_value_heads = _check.whole("num_key_value_heads", num_key_value_heads, 1)
        if self.num_query_heads % self.num_key_value_heads:
            expected = f"a divisor of the {num_query_heads} heads of queries"
            raise ValueError(_check.refusal("num_key_value_heads", num_key_value_heads, expected))

    def _heads(self) -> tuple[int, int, int, int]:
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim

    def config(self) -> dict[str, Any]:
        return {
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            **super().config(),
        }


def _masks_of(steps: int, *values: Value) -> list[Value]:
    """The masks of values of so many steps, each once."""
    masks = {id(value.mask.op): value.mask for value in values if value.mask is not None}
    for mask in masks.values():
        if mask.shape != (steps,):
            got, expected = f"a mask of rows of shape {mask.shape}", f"masks of {(steps,)}"
            raise ValueError(_check.refusal("inputs", got, expected))
    return list(masks.values())


def _one_size(argument: str, got: Any) -> int | None:
    """A setting of one whole number, which may stand in a tuple."""
    if isinstance(got, (tuple, list)) and len(got) == 1:
        got = got[0]
    return None if got is None else _check.whole(argument, got, 1)
