"""Models that answer together."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastweights import (
    _check,
    _feeding,
    _json,
    _sources_of,
    layers,
    many,
    optimizers,
    saving,
    serialization,
    training,
)
from fastweights._arguments import telling
from fastweights._plans import Compiled
from fastweights._rows import Examples
from fastweights._sealed import Sealed
from fastweights._sources import Part, Source
from fastweights._sources_of import Given
from fastweights._tensors import Input
from fastweights.callbacks import Callback, History
from fastweights.layers import Layer
from fastweights.models import Model, figures_of

#: Models that a file may say it has.
MAX_MODELS = 100_000


class Ensemble(Sealed):
    """Models of the same rows and outputs, of which the mean counts, and how far they disagree.

    What is averaged are the outputs as they are: probabilities of models that end in a softmax or a
    sigmoid, which is what an ensemble of classifiers wants. Of models that give logits it is the
    mean of logits, a geometric mean of probabilities: give their last layer its activation unless
    that is meant. That the mean of models which differ by their seed alone is better than each,
    and that their spread says how sure they are: Lakshminarayanan, Pritzel, Blundell, Simple and
    Scalable Predictive Uncertainty Estimation using Deep Ensembles, 2017.

    Parameters
    ----------
    models : sequence of Model
        With no layers in common, and outputs of one shape.

    Attributes
    ----------
    models : tuple of Model
        Which may be trained, changed and saved by themselves.

    Examples
    --------
    >>> ensemble = fw.Ensemble([build(seed) for seed in range(8)])
    >>> histories = ensemble.fit(x, y, epochs=20, rows="bootstrap")
    >>> mean, std = ensemble.predict(x_new, return_std=True)
    """

    __module__ = "fastweights"

    _fixed: ClassVar[dict[str, str]] = {"models": "is fixed; make a new Ensemble"}

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = tuple(_check.instances("models", models, Model))
        if not self._models:
            raise ValueError(_check.refusal("models", "none", "at least one"))
        #: Entries of other people's in the file that it came from.
        self._metadata: dict[str, str] = {}
        many.refuse_common_layers(self._models)
        self._refuse_different(only_if_built=True)

    @property
    def models(self) -> tuple[Model, ...]:
        return self._models

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __getitem__(self, number: int) -> Model:
        return self._models[number]

    def __repr__(self) -> str:
        return f"Ensemble of {len(self)} models"

    def _refuse_different(self, only_if_built: bool = False) -> None:
        """Raises ValueError where models take or give something else than the first one."""
        wanted = None
        for number, model in enumerate(self._models):
            if only_if_built and model._built is None:
                continue
            built = model._built_or_refused()
            found = (built.input_shapes, built.output_shapes, model._output_keys)
            if wanted is None:
                wanted, first = found, number
            elif found != wanted:
                got = f"model {number} from {_shown(found)}"
                expected = f"{_shown(wanted)}, as model {first} has it"
                raise ValueError(_check.refusal("models", got, expected))

    # ---- training --------------------------------------------------------------------------------

    @telling
    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | Sequence[int | None] | None = None,
        epochs: int | Sequence[int] = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Sequence[Callback] | None] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool | Sequence[bool] = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int | Sequence[int] = 0,
        *,
        rows: str | Sequence[Any] | None = None,
        n_jobs: int | None = None,
    ) -> list[History]:
        """Trains all models, several at a time, as `fastweights.fit_many` does.

        Data are arrays, memory maps or frames; nothing that gives batches. Models that were made
        alike differ by their seeds; ``rows="bootstrap"`` has each draw rows
        of its own (bagging), ``rows="folds"`` has each leave out others, which it is validated on.
        """
        return many.fit_many(
            self._models, x, y, batch_size, epochs, verbose, callbacks, validation_split,
            validation_data, shuffle, class_weight, sample_weight, initial_epoch, rows=rows,
            n_jobs=n_jobs,
        )  # fmt: skip

    # ---- using -----------------------------------------------------------------------------------

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        *,
        return_std: bool = False,
    ) -> Any:
        """The mean of what the models predict.

        Parameters
        ----------
        x, batch_size, verbose, steps
            As for `Model.predict`. Where x gives batches each is read once, for all models.
        return_std : bool
            Whether the models' spread is wanted too.

        Returns
        -------
        mean : ndarray (rows, *output_shape), or a list or dict of them
            As `Model.predict` gives it, added up in float64.
        std : the same, only with `return_std`
            Standard deviation over the models: the root of the mean squared distance from `mean`,
            0 of a single one.
        """
        _check.flag("return_std", return_std)
        self._refuse_different()
        first = self._models[0]
        with contextlib.ExitStack() as opened:
            rows = self._rows(Given(x, batch_size=batch_size, steps=steps), opened)
            found = [self._moments(own, batch_size, verbose, return_std) for own in rows]
        means, spreads = (_joined(parts) for parts in zip(*found, strict=True))
        mean = first._predicted([part.astype(first.dtype) for part in means])
        if not return_std:
            return mean
        return mean, first._predicted([part.astype(first.dtype) for part in spreads])

    def _moments(
        self, x: Any, batch_size: int | None, verbose: str | int, with_spreads: bool
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Mean and standard deviation of each output in float64.

        By updates (Welford, Note on a method for calculating corrected sums of squares and
        products, 1962), so that no more than one model's predictions are there at a time.
        """
        means: list[np.ndarray] = []
        squares: list[np.ndarray] = []
        for number, model in enumerate(self._models, start=1):
            parts = _parts(model.predict(x, batch_size, verbose))
            if number == 1:
                means = [part.astype(np.float64) for part in parts]
                squares = [np.zeros_like(mean) for mean in means]
                continue
            for mean, square, part in zip(means, squares, parts, strict=True):
                apart = part - mean
                mean += apart / number
                if with_spreads:
                    square += apart * (part - mean)
        return means, [np.sqrt(square / len(self)) for square in squares]

    def predict_each(self, x: Any, steps: int | None = None) -> list[Any]:
        """What each model predicts, of the same rows as `predict` takes."""
        self._refuse_different()
        with contextlib.ExitStack() as opened:
            rows = self._rows(Given(x, steps=steps), opened)
            found = [[_parts(model.predict(own)) for model in self._models] for own in rows]
        several = zip(self._models, zip(*found, strict=True), strict=True)
        return [model._predicted(_joined(parts)) for model, parts in several]

    def _rows(self, given: Given, opened: contextlib.ExitStack) -> Iterator[Any]:
        """What all models make predictions of: x as it is, or checked batches of it in turn."""
        if not given.gives_batches():
            given.checked()
            yield given.x
            return
        source = self._source(given, opened, _sources_of.to_predict)
        for part in opened.enter_context(contextlib.closing(source.parts(None, 0))):
            yield part.examples.x

    def _source(
        self,
        given: Given,
        opened: contextlib.ExitStack,
        make: Callable[[Model, Compiled, Given, contextlib.ExitStack], Source],
    ) -> Source:
        """Batches that are checked once, for all models; ValueError where models take others."""
        first = self._models[0]
        wanted = first.dtype, _feeding.known_names(first).features
        for number, model in enumerate(self._models):
            dtype, names = model.dtype, _feeding.known_names(model).features
            if (dtype, names) != wanted:
                what = "dtypes" if dtype != wanted[0] else "names of columns"
                got = f"batches for models 0 and {number}, which are of different {what}"
                raise ValueError(_check.refusal("x", got, "arrays or frames"))
        return make(first, first._compiled, given, opened)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        *,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Loss and metrics of the mean of the predictions, those of the first model.

        The loss has no penalties of weights in it, which are each model's own. It looks at the
        mean of probabilities, and clips it as losses of probabilities do, where `Model.evaluate`
        looks at what goes into a last softmax or sigmoid: of rows that the models are certain, and
        wrong, about it is at most 16.1.

        Parameters
        ----------
        x, y, batch_size, verbose, steps, return_dict
            As for `Model.evaluate`. Where x gives batches each is read once, for all models.
        """
        judge, first = self._judge(), self._models[0]
        _check.batch_options(batch_size, verbose)
        _check.flag("return_dict", return_dict)
        given = Given(x, y, batch_size=batch_size, steps=steps)
        if given.gives_batches():
            with contextlib.ExitStack() as opened:
                source = self._source(given, opened, _sources_of.to_evaluate)
                figures = training.evaluate(judge, judge._compiled, _Answered(self, source))
            return figures_of(figures, return_dict)
        predicted = _parts(self.predict(x, batch_size, verbose, steps))
        answers = dict(zip(judge.input_names, predicted, strict=True))
        if isinstance(y, Mapping) and set(y) == set(first.output_names):
            y = dict(zip(judge.output_names, (y[name] for name in first.output_names), strict=True))
        return judge.evaluate(answers, y, return_dict=return_dict)

    def _judge(self) -> Model:
        """A model that gives on what it gets, with losses and metrics of the first one."""
        self._refuse_different()
        first = self._models[0]
        compiled = first._compiled
        compiled.training()
        built = first._built_or_refused()
        if any(mask is not None for mask in built.output_masks):
            got = "models that mask some steps of their output"
            expected = "outputs of which all steps count; evaluate the models by themselves"
            raise ValueError(_check.refusal("evaluate", got, expected))
        inputs = [Input(shape) for shape in built.output_shapes]
        outputs = {
            name: layers.Identity()(tensor)
            for name, tensor in zip(first.output_names, inputs, strict=True)
        }
        judge = Model(inputs, outputs, first.dtype, seed=0)
        judge._compiled = Compiled(optimizers.SGD(), compiled.objectives)
        return judge

    # ---- keeping ---------------------------------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str],
        metadata: Mapping[str, str] | None = None,
        *,
        include_optimizer: bool = True,
    ) -> None:
        """Writes all models to one safetensors file, which `fastweights.load` reads.

        Tensors are called as in a ``torch.nn.ModuleList`` of the equal modules: ``0.`` and what
        `Model.save` calls those of the first model, and so on.

        Parameters
        ----------
        path, metadata, include_optimizer
            As for `Model.save`.
        """
        _check.flag("include_optimizer", include_optimizer)
        saving.refuse_other_formats("path", path)
        if not isinstance(metadata, Mapping | None):
            expected = "a dict of strings, or None"
            raise TypeError(_check.refusal("metadata", _check.shown(metadata), expected))
        own = {**self._metadata, **(metadata or {})}
        for key in own:
            if key in ("format", saving.ENSEMBLE):
                got = f"the key {key!r}"
                raise ValueError(_check.refusal("metadata", got, "a key of your own"))
        tensors: dict[str, np.ndarray] = {}
        parts = []
        for number, model in enumerate(self._models):
            stored, told = saving.contents(model, model._metadata, include_optimizer)
            tensors.update((f"{number}.{name}", array) for name, array in stored.items())
            parts.append(told)
        serialization.write(
            path, tensors, {**own, "format": "pt", saving.ENSEMBLE: json.dumps(parts)}
        )


class _Answered(Source):
    """Batches with what an ensemble makes of their rows in the place of those."""

    comes_as_it_is = True

    def __init__(self, ensemble: Ensemble, source: Source) -> None:
        self._ensemble, self._source = ensemble, source
        self.rows, self.steps, self.batch_size = source.rows, source.steps, source.batch_size
        self.first = self._answered(source.first)

    def _answered(self, examples: Examples) -> Examples:
        answers = _parts(self._ensemble.predict(examples.x))
        return examples._replace(x=answers[0] if len(answers) == 1 else tuple(answers))

    def parts(
        self, order: np.ndarray | None, row: int, epoch: int | None = None
    ) -> Generator[Part, None, None]:
        for part in self._source.parts(order, row, epoch):
            yield part._replace(examples=self._answered(part.examples))


class _Part:
    """A model's part of a file of several."""

    def __init__(self, file: serialization.Tensors, number: int, metadata: dict[str, str]) -> None:
        self.size, self.metadata = file.size, metadata
        self._file, self._prefix = file, f"{number}."
        self.tensors = {
            name.removeprefix(self._prefix): entry
            for name, entry in file.tensors.items()
            if name.startswith(self._prefix)
        }

    def read(self, name: str) -> np.ndarray:
        return self._file.read(self._prefix + name)


def model_of(
    file: serialization.Tensors, name: str, custom_objects: Mapping[str, type[Layer]] | None
) -> Ensemble:
    """The ensemble whose file this is; messages call it `name`."""
    try:
        parts = _json.loads("the list of models", file.metadata[saving.ENSEMBLE], file.size)
        if not isinstance(parts, list) or not 0 < len(parts) <= MAX_MODELS:
            raise ValueError("expected a list of models")
        for part in parts:
            if not isinstance(part, dict) or not all(isinstance(v, str) for v in part.values()):
                raise ValueError("expected strings under strings for each model")
    except ValueError as error:
        why = " ".join(str(error).split())[:400]
        raise ValueError(f"{name}: the description of the ensemble is damaged: {why}") from error
    known = {str(number) for number in range(len(parts))}
    unknown = sorted(tensor for tensor in file.tensors if tensor.partition(".")[0] not in known)
    if unknown:
        got = f"unknown tensors {unknown!r:.80}"
        raise ValueError(_check.refusal(name, got, f"those of {len(parts)} models alone"))
    models = [
        saving.model_of(_Part(file, number, part), f"{name}: model {number}", custom_objects)
        for number, part in enumerate(parts)
    ]
    try:
        ensemble = Ensemble(models)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    own = ("format", saving.ENSEMBLE)
    ensemble._metadata = {k: v for k, v in file.metadata.items() if k not in own}
    return ensemble


def _joined(parts: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """Each output's array, of several stretches of rows."""
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _parts(predicted: Any) -> list[np.ndarray]:
    """The array of each output."""
    if isinstance(predicted, Mapping):
        return list(predicted.values())
    return predicted if isinstance(predicted, list) else [predicted]


def _shown(found: tuple[Any, ...]) -> str:
    inputs, outputs, keys = found
    named = "" if keys is None else f" as {', '.join(keys)}"
    return f"rows of {', '.join(map(str, inputs))} to {', '.join(map(str, outputs))}{named}"
