"""Series from a model that tells the next of whole numbers: it reads what it says."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastweights import _check
from fastweights.models import Model
from fastweights.streaming import most_steps


def generate(
    model: Model,
    prompt: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Goes on from a prompt by what a model finds likely, one number after the other.

    Parameters
    ----------
    model : Model
        Reads rows of whole numbers ``(steps,)`` and tells of each step how likely every number is
        to come next, ``(steps, numbers)``: by a softmax, or by logits where it ends with none. See
        `Model.stream` for the layers that it may have.
    prompt : array_like (n,) or (rows, n) of whole numbers
        What is there already, at least one number.
    length : int
        How many numbers are added.
    temperature : float
        By which logits are divided: below 1 what is likely becomes likelier. At 0 the likeliest
        number is taken.
    top_k : int, optional
        Draws among the so many likeliest numbers alone.
    top_p : float, optional
        Draws among the fewest of the likeliest numbers that together are at least so likely, above
        0 and up to 1 (Holtzman et al., "The curious case of neural text degeneration", ICLR 2020).
    seed : int
        Decides what is drawn; the same seed makes the same series.

    Returns
    -------
    ndarray (n + length,) or (rows, n + length) of int
        The prompt and what was added.

    Notes
    -----
    Each number costs one step of `Model.stream`. Where a model knows no more places than have gone,
    it goes on from the last half of them.
    """
    known = np.asarray(_check.numeric_array("prompt", prompt))
    if known.ndim not in (1, 2) or 0 in known.shape:
        got, expected = f"shape {known.shape}", "whole numbers (n,) or (rows, n), at least one"
        raise ValueError(_check.refusal("prompt", got, expected))
    length = _check.whole("length", length, 0)
    temperature = _check.number("temperature", temperature, minimum=0.0)
    built = model._built_or_refused()
    if built.limits[0] is None or len(built.output_shapes[0]) != 2:
        got = f"one that makes {built.output_shapes[0]} of rows {built.input_shapes[0]}"
        expected = "one that reads whole numbers (steps,) and makes (steps, numbers)"
        raise ValueError(_check.refusal("model", got, expected))
    numbers = built.output_shapes[0][-1]
    if numbers > built.limits[0]:
        got = f"one that tells of {numbers} numbers and reads those below {built.limits[0]}"
        raise ValueError(_check.refusal("model", got, "one that can read what it says"))
    top_k = numbers if top_k is None else _check.whole("top_k", top_k, 1)
    top_p = 1.0 if top_p is None else _check.number("top_p", top_p, above=0.0, maximum=1.0)
    random = np.random.default_rng(_check.whole("seed", seed, 0))
    is_softmax = built.ops[built.output_ops[0]].kind == "softmax"

    first = np.atleast_2d(_check.tokens("prompt", known, built.limits[0]))
    told = np.empty((len(first), first.shape[1] + length), np.int64)
    told[:, : first.shape[1]] = first
    # Attention takes room for all steps of a stream: no more of them than there will be.
    stream, done = model.stream(len(first), min(most_steps(built), told.shape[1])), 0
    for end in range(first.shape[1], told.shape[1]):
        if stream.steps == stream.longest or end - done > stream.longest:
            stream.reset()
            done = max(0, end - (stream.longest + 1) // 2)
        for step in range(done, end):
            made = stream.step(told[:, step])
        done = end
        with np.errstate(divide="ignore"):
            logits = np.log(made) if is_softmax else made
        told[:, end] = [_chosen(row, temperature, top_k, top_p, random) for row in logits]
    return told if known.ndim == 2 else told[0]


def _chosen(
    logits: np.ndarray, temperature: float, top_k: int, top_p: float, random: np.random.Generator
) -> int:
    """A number drawn by its logit."""
    if temperature == 0.0:
        return int(logits.argmax())
    likeliest = np.argsort(-logits, kind="stable")[:top_k]
    # The largest is 0: no temperature makes it overflow.
    p = np.exp((logits[likeliest].astype(np.float64) - logits[likeliest[0]]) / temperature)
    p /= p.sum()
    if top_p < 1.0:
        kept = int(np.searchsorted(p.cumsum(), top_p)) + 1
        likeliest, p = likeliest[:kept], p[:kept] / p[:kept].sum()
    at = int(np.searchsorted(p.cumsum(), random.random(), side="right"))
    return int(likeliest[min(at, len(likeliest) - 1)])
