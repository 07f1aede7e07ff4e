"""Series from a model that tells the next of whole numbers: it reads what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastweights import _check
from fastweights._arguments import telling
from fastweights._core import philox
from fastweights.layers.ops import LINEAR
from fastweights.models import Model
from fastweights.streaming import most_steps

#: Ops that make probabilities, of which logits are the logarithms.
_PROBABILITIES = ("softmax", "softmin", "sparsemax")

#: What decoders make of bytes that are no character yet.
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"

#: How many numbers before the next one are decoded with it, at least: what decoders make of one may
#: depend on those before it.
WINDOW = 32


@telling
def generate(
    model: Model,
    prompt: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop: Any = None,
    tokenizer: Any = None,
) -> Any:
    """Goes on from a prompt by what a model finds likely, one number after the other.

    Parameters
    ----------
    model : Model
        Reads rows of whole numbers ``(steps,)`` and tells of each step how likely every number is
        to come next, ``(steps, numbers)``: by a softmax, or by logits where it ends with none. See
        `Model.stream` for the layers that it may have.
    prompt : array_like (n,) or (rows, n) of whole numbers, list of such (n,), str or list of str
        What is there already, at least one number. Several prompts go on side by side, and none has
        a part in what another becomes: its number among them decides what is drawn. Texts need a
        `tokenizer`.
    length : int
        How many numbers are added to each prompt.
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
    stop : int or sequence of int, optional
        Numbers after which a series ends; with a tokenizer also texts that are one token each.
    tokenizer : object, optional
        Makes whole numbers of a text and texts of numbers: a ``tokenizers.Tokenizer``, or whatever
        has ``encode(text)``, which returns the numbers or has them as ``ids``, and
        ``decode(numbers)``.

    Returns
    -------
    ndarray (n + length,) or (rows, n + length) of int
        The prompt and what was added; a list of arrays ``(n + added,)`` for prompts in a list of
        unequal lengths, and for several prompts with a `stop`. With a tokenizer the text of that,
        or a list of texts.

    Notes
    -----
    Each number costs one step of `Model.stream`. Where a model knows no more places than have gone,
    each prompt goes on from the last half of its own. `generate_steps` has each number as it is
    said.
    """
    saying = _Saying(
        model, prompt, length, temperature, top_k, top_p, seed, stop, _known(tokenizer)
    )
    for _ in saying.steps():
        pass
    return saying.whole()


@telling
def generate_steps(
    model: Model,
    prompt: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop: Any = None,
    tokenizer: Any = None,
) -> Iterator[Any]:
    """What `generate` adds, as it comes: to show a text while it is made.

    Parameters
    ----------
    model, prompt, length, temperature, top_k, top_p, seed, stop, tokenizer
        As for `generate`; the prompt is one, not several.

    Returns
    -------
    iterator of int, or of str with a tokenizer
        Each number that is added to the prompt. Pieces of text may be empty, where a number is but
        a part of a character.

    Examples
    --------
    >>> for piece in fw.generate_steps(model, "HAMLET.", 200, tokenizer=tokenizer):
    ...     print(piece, end="", flush=True)
    """
    saying = _Saying(
        model, prompt, length, temperature, top_k, top_p, seed, stop, _known(tokenizer)
    )
    if not saying.is_one:
        got, expected = f"{len(saying.told)} of them", "one; generate takes several"
        raise ValueError(_check.refusal("prompt", got, expected))
    return saying.numbers() if tokenizer is None else saying.pieces()


def _known(tokenizer: Any) -> Any:
    """The tokenizer, if it is one."""
    for method in ("encode", "decode"):
        if tokenizer is not None and not callable(getattr(tokenizer, method, None)):
            expected = "an object that can encode(text) and decode(numbers)"
            raise TypeError(_check.refusal("tokenizer", _check.kind_of(tokenizer), expected))
    return tokenizer


class _Saying:
    """Series that go on side by side, each from a prompt of its own.

    Attributes
    ----------
    is_one : bool
        Whether there is one prompt, and not several.
    told : ndarray (rows, steps)
        What is said so far, up to `ends`.
    ends : ndarray (rows,)
        How many numbers each row has.
    """

    is_one: bool
    #: Whether all rows end together, so that they are one array.
    _is_even: bool

    def __init__(
        self,
        model: Model,
        prompt: Any,
        length: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        seed: Any,
        stop: Any,
        tokenizer: Any,
    ) -> None:
        if not isinstance(model, Model):
            raise TypeError(_check.refusal("model", _check.kind_of(model), "a Model"))
        built = model._built_or_refused()
        limit, made = built.limits[0], built.output_shapes[0]
        if limit is None or len(made) != 2:
            got = f"one that makes {made} of rows {built.input_shapes[0]}"
            expected = "one that reads whole numbers (steps,) and makes (steps, numbers)"
            raise ValueError(_check.refusal("model", got, expected))
        if made[-1] > limit:
            got = f"one that tells of {made[-1]} numbers and reads those below {limit}"
            raise ValueError(_check.refusal("model", got, "one that can read what it says"))
        last = built.ops[built.output_ops[0]]
        if last.activation != LINEAR:
            got = f"one that ends in {last.activation.name}"
            expected = "one that ends in a softmax, or in logits without an activation"
            raise ValueError(_check.refusal("model", got, expected))
        self._model, self._tokenizer, self._limit = model, tokenizer, limit
        self._most = most_steps(built)
        self._are_probabilities = built.ops[built.output_ops[0]].kind in _PROBABILITIES
        self._length = _check.whole("length", length, 0)
        self._temperature = _check.number("temperature", temperature, minimum=0.0)
        self._top_k = None if top_k is None else _check.whole("top_k", top_k, 1)
        self._top_p = (
            1.0 if top_p is None else _check.number("top_p", top_p, above=0.0, maximum=1.0)
        )
        self._seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        self._stop = () if stop is None else self._stops(stop)
        prompts = self._prompts(prompt)
        self._starts = np.array([len(one) for one in prompts])
        self._is_even &= self.is_one or not self._stop
        self.ends = self._starts.copy()
        self.told = np.zeros((len(prompts), int(self._starts.max()) + self._length), np.int64)
        for row, one in zip(self.told, prompts, strict=True):
            row[: len(one)] = one

    # ---- what it is asked ------------------------------------------------------------------------

    def _prompts(self, prompt: Any) -> list[np.ndarray]:
        """The numbers of each; says whether it is one, and whether all have as many."""
        are_several = isinstance(prompt, (list, tuple)) and any(
            isinstance(one, (str, list, tuple, np.ndarray)) for one in prompt
        )
        if self._tokenizer is not None:
            texts = list(prompt) if are_several else [prompt]
            self.is_one, self._is_even = not are_several, False
            return [self._encoded("prompt", text) for text in texts]
        if isinstance(prompt, str) or (are_several and isinstance(prompt[0], str)):
            expected = "whole numbers, or a tokenizer that makes them of a text"
            raise TypeError(_check.refusal("prompt", "a text", expected))
        if are_several and len({np.shape(one) for one in prompt}) > 1:
            self.is_one = self._is_even = False
            return [self._checked(np.asarray(one), 1) for one in prompt]
        known = np.asarray(_check.numeric_array("prompt", prompt))
        self.is_one, self._is_even = known.ndim == 1, True
        return list(np.atleast_2d(self._checked(known, 2)))

    def _checked(self, known: np.ndarray, axes: int) -> np.ndarray:
        known = np.asarray(_check.numeric_array("prompt", known))
        if not 1 <= known.ndim <= axes or 0 in known.shape:
            expected = "whole numbers (n,) or (rows, n), at least one"
            raise ValueError(_check.refusal("prompt", f"shape {known.shape}", expected))
        return _check.tokens("prompt", known, self._limit)

    def _encoded(self, argument: str, text: Any) -> np.ndarray:
        if not isinstance(text, str):
            expected = "a text, which the tokenizer makes numbers of"
            raise TypeError(_check.refusal(argument, _check.kind_of(text), expected))
        encoded = self._tokenizer.encode(text)
        numbers = np.asarray(_check.numeric_array(argument, getattr(encoded, "ids", encoded)))
        if numbers.ndim != 1 or not numbers.size:
            got = f"{_check.shown(text)}, of which the tokenizer makes no tokens"
            raise ValueError(_check.refusal(argument, got, "at least one token"))
        if numbers.max() >= self._limit:
            got = f"one whose tokens of {_check.shown(text)} go up to {numbers.max()}"
            expected = f"that of the model, which reads numbers below {self._limit}"
            raise ValueError(_check.refusal("tokenizer", got, expected))
        return _check.tokens(argument, numbers, self._limit)

    def _stops(self, stop: Any) -> tuple[int, ...]:
        found = []
        for one in stop if isinstance(stop, (list, tuple, set, np.ndarray)) else (stop,):
            if not isinstance(one, str):
                found.append(_check.whole("stop", one, 0, maximum=self._limit - 1))
                continue
            if self._tokenizer is None:
                expected = "whole numbers, or a tokenizer that makes them of a text"
                raise TypeError(_check.refusal("stop", "a text", expected))
            tokens = self._encoded("stop", one)
            if len(tokens) > 1:
                got, expected = f"{_check.shown(one)}, {len(tokens)} tokens", "one token"
                raise ValueError(_check.refusal("stop", got, expected))
            found.append(int(tokens[0]))
        return tuple(found)

    # ---- what it says ----------------------------------------------------------------------------

    def steps(self) -> Iterator[None]:
        """Adds a number to rows whose prompt is over."""
        for rows in self._abreast():
            yield from self._steps_of(rows)

    def _abreast(self) -> list[np.ndarray]:
        """The numbers of the rows that may go on in one stream, as each would in one of its own.

        A row that has filled the places begins anew with its last half, so often as there are
        others; one whose prompt has more begins so at its end.
        """
        if self.told.shape[1] <= self._most:
            return [np.arange(len(self.told))]
        first = np.where(self._starts > self._most, self._starts, self._most + 1)
        phases = first % (self._most + 1 - _half(self._most))
        return [np.flatnonzero(phases == phase) for phase in np.unique(phases)]

    def _steps_of(self, rows: np.ndarray) -> Iterator[None]:
        starts, told = self._starts[rows], self.told[rows]
        # Numbers of a row are those of its place among the rows, whatever the others do.
        draws = np.empty((len(rows), self._length))
        for row, own in zip(rows.tolist(), draws, strict=True):
            philox.uniform(own, self._seed, philox.STREAM_GENERATE + row)
        done, is_over = 0, np.zeros(len(rows), bool)
        stream = self._model.stream(len(rows), min(self._most, told.shape[1]))
        for end in range(int(starts.min()), told.shape[1]):
            is_over |= starts + self._length <= end
            if is_over.all():
                return
            if stream.steps == stream.longest or end - done > stream.longest:
                stream.reset()
                done = end - _half(stream.longest)
            for step in range(done, end):
                made = stream.step(told[:, step])
            done = end
            saying = np.flatnonzero((starts <= end) & ~is_over)
            if len(saying):
                logits = self._logits(made[saying])
                drawn = draws[saying, end - starts[saying]]
                said = _chosen(logits, self._temperature, self._top_k, self._top_p, drawn)
                told[saying, end] = said
                self.told[rows[saying], end], self.ends[rows[saying]] = said, end + 1
                is_over[saying] = np.isin(said, self._stop)
                yield

    def _logits(self, made: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            logits = np.log(made) if self._are_probabilities else made
        # A number that cannot come has -inf.
        if not np.isfinite(logits.max(axis=-1)).all():
            expected = "finite numbers: its weights may be too large"
            raise ValueError(_check.refusal("model", "logits that are NaN or infinite", expected))
        return logits

    def whole(self) -> Any:
        """Prompts and what was added."""
        if self._tokenizer is not None:
            found: Sequence[Any] = [self._text(row) for row in range(len(self.told))]
        elif self._is_even and not self.is_one:
            return self.told
        else:
            found = [row[:end] for row, end in zip(self.told, self.ends, strict=True)]
        return found[0] if self.is_one else found

    def numbers(self) -> Iterator[int]:
        """What is added to the one prompt."""
        for _ in self.steps():
            yield int(self.told[0, self.ends[0] - 1])

    def pieces(self) -> Iterator[str]:
        """The same as text, of which each piece is whole characters."""
        begin = max(int(self._starts[0]) - WINDOW, 0)
        text = self._text(0, begin)
        shown = len(text)
        for _ in self.steps():
            text = self._text(0, begin)
            whole = len(text.rstrip(_UNFINISHED))
            yield text[shown:whole]
            shown = max(shown, whole)
            if shown == len(text) and self.ends[0] - begin > 2 * WINDOW:
                begin = int(self.ends[0]) - WINDOW
                text = self._text(0, begin)
                shown = len(text)
        yield text[shown:]

    def _text(self, row: int, begin: int = 0) -> str:
        return str(self._tokenizer.decode(self.told[row, begin : self.ends[row]].tolist()))


def _half(places: int) -> int:
    return (places + 1) // 2


def _chosen(
    logits: np.ndarray,
    temperature: float,
    top_k: int | None,
    top_p: float,
    drawn: np.ndarray,
) -> np.ndarray:
    """A number for each row of logits, by one that is drawn from [0, 1)."""
    if temperature == 0.0:
        return logits.argmax(axis=-1)
    order = None
    if top_p < 1.0 or (top_k is not None and top_k < logits.shape[1]):
        order = np.argsort(-logits, axis=-1, kind="stable")[:, :top_k]
        logits = np.take_along_axis(logits, order, -1)
    # The largest is 0: no temperature makes it overflow.
    apart = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):
        p = np.exp(apart / temperature)
    total = p.cumsum(axis=-1)
    if top_p < 1.0:
        p[total - p >= top_p * total[:, -1:]] = 0.0
        total = p.cumsum(axis=-1)
    # Below the last sum, which rounding might make of it.
    aim = np.minimum(drawn * total[:, -1], np.nextafter(total[:, -1], 0.0))
    at = (total > aim[:, np.newaxis]).argmax(axis=-1)
    return at if order is None else order[np.arange(len(at)), at]
