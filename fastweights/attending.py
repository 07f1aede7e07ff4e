"""What attention looks at: scores as numbers, and as a picture by matplotlib.

# Design: the fused op never has the matrix of all queries by all keys. Here a copy of the model
# tells what an attention layer reads, and the scores are computed of that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastweights import _check, layers
from fastweights.layers import Layer
from fastweights.layers.attention import _Attention
from fastweights.layers.ops import Value, op
from fastweights.models import Model
from fastweights.plotting.style import INK, LINE, escaped_math, new_figure, wanted_ending, write

#: Heads beside each other.
ABREAST = 4
#: In inches: of one head at least and at most, and of a token. More are not all named.
SIDE, LONGEST, TOKEN = 2.6, 7.0, 0.11
MOST_NAMED = int(LONGEST / TOKEN)
UNSEEN = "#e4e7ea"


class _Mask(Layer):
    """The mask that goes with what it reads, where one does."""

    def ops(self, x: Value) -> Value:
        # Called on tensors, which have no masks, it says of which shape it will be.
        shape = op("mask_steps", x, shape=x.shape[:-1], lines=x.lines, options=(0.0,))
        return shape if x.mask is None else x.mask


def attention_scores(model: Model, x: Any, layer: Layer | str | None = None) -> np.ndarray:
    """How much each query of an attention layer takes of each key, as in inference.

    ``softmax(q @ k.T / sqrt(key_dim))`` over the keys that a query sees, what Keras's layers return
    with ``return_attention_scores=True``. A query that sees none has zeros.

    Parameters
    ----------
    model : Model
    x : array_like, list or dict of these
        Rows, as `Model.predict` takes them.
    layer : Layer or str, optional
        An attention layer of the model, or its name; the first one unless given. Of one that is
        called more than once, the first call.

    Returns
    -------
    ndarray (rows, heads, queries, keys)
    """
    if not isinstance(model, Model):
        raise TypeError(_check.refusal("model", _check.kind_of(model), "a model"))
    place = _place_of(model, layer)
    copied = model.copy()
    topology = copied._topology
    attention, reads, settings = topology.calls[place]
    tensors = list(copied.inputs)
    for maker, numbers, told in topology.calls:
        tensors.append(maker(*(tensors[number] for number in numbers), **dict(told)))
    values = topology.values(copied._built_or_refused().input_shapes)
    masked = [number for number in reads[:3] if values[number].mask is not None]
    outputs = [layers.Identity()(tensors[number]) for number in reads]
    outputs += [_Mask()(tensors[number]) for number in masked]
    # So that all inputs are read.
    outputs += [tensors[number] for number in topology.outputs]
    found = Model(copied.inputs, outputs, copied.dtype).predict(x)
    read = [np.asarray(one, np.float64) for one in found[: len(reads)]]
    masks = dict(zip(masked, found[len(reads) :], strict=False))
    query, keys = read[0], read[2] if len(read) > 2 else read[1]
    sees = np.ones((len(query), query.shape[1], keys.shape[1]), bool)
    if dict(settings).get("use_causal_mask"):
        sees &= np.tri(*sees.shape[1:], dtype=bool)
    if len(read) > 3:
        sees &= read[3].reshape(len(query), -1, keys.shape[1]) != 0
    for role, number in enumerate(reads[:3]):
        if number in masks:
            steps = masks[number].reshape(len(query), -1) != 0
            sees &= steps[:, :, np.newaxis] if role == 0 else steps[:, np.newaxis, :]
    return _scores(attention, query, keys, sees)


def _place_of(model: Model, layer: Any) -> int:
    """The number of the call of the layer that is meant."""
    model._built_or_refused()
    if layer is not None and not isinstance(layer, (str, Layer)):
        expected = "a layer of the model, or its name"
        raise TypeError(_check.refusal("layer", _check.kind_of(layer), expected))
    found: dict[Layer, int] = {}
    for place, call in enumerate(model._topology.calls):
        if isinstance(call.layer, _Attention):
            found.setdefault(call.layer, place)
    if not found:
        expected = "one with MultiHeadAttention or GroupQueryAttention"
        raise ValueError(_check.refusal("model", "a model without attention", expected))
    if isinstance(layer, str):
        return _check.choice("layer", layer, {str(one.name): found[one] for one in found})
    if layer is None:
        return next(iter(found.values()))
    if layer in found:
        return found[layer]
    named = "of no model" if layer.name is None else repr(layer.name)
    names = ", ".join(repr(one.name) for one in found)
    expected = f"an attention layer of the model: {names}"
    raise ValueError(_check.refusal("layer", f"{type(layer).__name__} {named}", expected))


def _scores(layer: Any, query: np.ndarray, keys: np.ndarray, sees: np.ndarray) -> np.ndarray:
    weights = {name: weight.astype(np.float64) for name, weight in layer.weights.items()}
    q, k = (
        np.einsum("rsf,fhd->rhsd", x, weights[f"{name}_kernel"])
        + weights.get(f"{name}_bias", np.zeros(1))[..., np.newaxis, :]
        for name, x in (("query", query), ("key", keys))
    )
    # Heads of queries that follow each other may share one of keys.
    k = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
    scores = np.einsum("rhsd,rhkd->rhsk", q, k) / math.sqrt(q.shape[-1])
    scores = np.where(sees[:, np.newaxis], scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - np.where(np.isfinite(highest), highest, 0.0))
    total = shares.sum(axis=-1, keepdims=True)
    return shares / np.where(total == 0.0, 1.0, total)


def plot_attention(
    model: Model,
    x: Any,
    layer: Layer | str | None = None,
    row: int = 0,
    tokens: Sequence[Any] | None = None,
    key_tokens: Sequence[Any] | None = None,
    to_file: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Draws how much each query of an attention layer takes of each key, head by head.

    Grey are the keys that a query does not see.

    Parameters
    ----------
    model, x, layer
        As for `attention_scores`.
    row : int
        Which of the rows is drawn.
    tokens : sequence, optional
        What stands at each step of the row, written beside the queries, and below the keys where
        there are as many; the numbers of the steps unless given.
    key_tokens : sequence, optional
        The same of the keys, where they are others.
    to_file : path, optional
        Ends in ``.png``, ``.svg`` or ``.pdf``; the figure is written there too.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        One for each head; ``axes[0].figure`` is the figure.

    Raises
    ------
    ModuleNotFoundError
        There is no matplotlib: ``pip install 'fastweights[plot]'``.

    Examples
    --------
    >>> fw.plot_attention(model, x, tokens="to be or not".split(), to_file="heads.png")
    """
    ending = wanted_ending(to_file)
    every = attention_scores(model, x, layer)
    scores = every[_check.whole("row", row, 0, len(every) - 1)]
    heads, queries, keys = scores.shape
    beside = _names("tokens", tokens, queries)
    shared = tokens if key_tokens is None and keys == queries else key_tokens
    below = _names("key_tokens", shared, keys)
    columns = min(heads, ABREAST)
    lines = -(-heads // columns)
    width, height = (min(max(SIDE, TOKEN * count), LONGEST) for count in (keys, queries))
    size = (columns * width + 0.9, lines * height + 0.6)
    figure = new_figure("plot_attention", size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    largest = float(scores.max()) or 1.0
    for head, one in enumerate(axes):
        if head >= heads:
            one.set_axis_off()
            continue
        seen = np.ma.masked_equal(scores[head], 0.0)
        image = one.imshow(seen, cmap="Blues", vmin=0.0, vmax=largest, aspect="auto")
        one.set_facecolor(UNSEEN)
        one.set_title(f"head {head + 1}", fontsize=9, color=INK, loc="left")
        one.tick_params(length=0, labelsize=7, labelcolor=INK)
        one.spines[:].set_color(LINE)
        one.spines[:].set_linewidth(0.4)
        # Below the lowest of each column, and beside the first of each line.
        one.set_xticks(*(_ticks(below) if head + columns >= heads else ([], [])), rotation=90)
        one.set_yticks(*(_ticks(beside) if head % columns == 0 else ([], [])))
    figure.supxlabel("keys", fontsize=8, color=INK)
    figure.supylabel("queries", fontsize=8, color=INK)
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7, labelcolor=INK)
    write(figure, to_file, ending)
    return axes[:heads]


def _names(argument: str, given: Sequence[Any] | None, count: int) -> list[str]:
    if given is None:
        return [str(number) for number in range(count)]
    if not hasattr(given, "__len__") or len(given) != count:
        got = f"{len(given)}" if hasattr(given, "__len__") else _check.kind_of(given)
        raise ValueError(_check.refusal(argument, got, f"{count}, one for each step"))
    # White space would not be seen.
    return [escaped_math(token if str(token).strip() else repr(token)) for token in map(str, given)]


def _ticks(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """The places and names of all of them, or of some at even distances."""
    step = -(-len(names) // MOST_NAMED)
    places = list(range(0, len(names), step))
    return places, [names[place] for place in places]
