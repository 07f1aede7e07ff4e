"""A table in, predictions out: reading, columns, recipe and networks in one."""

from __future__ import annotations

import functools
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastweights import _check, _files, _json, saving, serialization
from fastweights._core import philox
from fastweights._json import shown
from fastweights._weight_files import refuse_models_of_others
from fastweights.ensembles import Ensemble
from fastweights.models import Model
from fastweights.table import fitting, scores
from fastweights.table.fitting import Callbacks, Trained
from fastweights.table.footers import without_sums
from fastweights.table.learnable import learnable, rows_in_words
from fastweights.table.networks import network
from fastweights.table.numerals import missing
from fastweights.table.preprocessing import Preprocessor
from fastweights.table.reading import read
from fastweights.table.recipe import (
    MIN_ROWS,
    NETS,
    TASKS,
    Recipe,
    recipe_for,
    refuse_unknown,
    restored,
)
from fastweights.table.splitting import Parts
from fastweights.table.tables import Table
from fastweights.table.targets import ClassTarget, has_target

#: Under which keys a model file has its recipe, and how it was trained.
RECIPE = "fastweights.recipe"
HISTORY = "fastweights.history"
#: What is said of networks that were not compared to the other kind.
UNDECIDED = "networks without a linear path: those with one were not trained to their end"
#: Rows that are encoded at a time for predictions.
CHUNK = 1 << 14


@dataclass(frozen=True)
class Prepared:
    """All that a training begins with: features, which rows serve for what, and what was decided.

    Parameters
    ----------
    preprocessor : Preprocessor
    recipe : Recipe
    rows : fitting.Rows
    remarks : tuple of str
        What was decided so far without being asked, in words.
    table_rows : int
        Of the table, those with a target.
    seconds : float
        That it took.
    parts_for : function
        Of a recipe: the parts of the rows that its networks have.
    """

    preprocessor: Preprocessor
    recipe: Recipe
    rows: fitting.Rows
    remarks: tuple[str, ...]
    table_rows: int
    seconds: float
    parts_for: Callable[[Recipe], list[Parts]]

    def networks(self, seed: int) -> list[Model]:
        """The networks, compiled, each with the next seed."""
        features, outputs = self.rows.encoded.shape[1], _outputs(self.recipe, self.preprocessor)
        models = [
            network(
                self.recipe.of(number),
                features,
                outputs,
                self.recipe.steps(len(learnt)),
                (seed + number) % (philox.MAX_SEED + 1),
            )
            for number, (learnt, _) in enumerate(self.rows.parts)
        ]
        fitting.begin(models, self.rows, self.recipe)
        return models

    def otherwise(self, recipe: Recipe) -> Prepared:
        """The same with another recipe, whose features stay as they are here."""
        recipe = replace(recipe, **self.recipe.encoding)
        rows = replace(self.rows, parts=self.parts_for(recipe))
        return replace(self, recipe=recipe, rows=rows)


@dataclass(frozen=True)
class _Fitted:
    """What a fit leaves, in one value: it is there as a whole or not at all."""

    preprocessor: Preprocessor
    recipe: Recipe
    model: Model | Ensemble
    trained: tuple[Trained, ...]
    remarks: tuple[str, ...]
    report: dict[str, Any]


class TableModel:
    """Learns to predict one column of a table from the others.

    Parameters
    ----------
    target : str
        The column to be predicted.
    preset : {"fast", "best"}
        Seconds; or an ensemble, within a minute for 20,000 rows.
    task : {"regression", "classification"}, optional
        Found from the target's cells unless given.
    seed : int
        One seed, one model, bit for bit, whatever the number of threads.
    kinds : dict of str to str, optional
        What columns are, where that is not to be found out: "number", "category", "date", "text",
        "drop", or "keep" for one that looks like an id.
    **choices
        Fields of `fastweights.table.Recipe` that are to be otherwise than its preset has them.

    Attributes
    ----------
    preprocessor : Preprocessor
    recipe : Recipe
    model : Sequential, or Ensemble of these
    history : tuple of dict
        For each network its loss epoch by epoch, and that of held-out rows.
    remarks : tuple of str
        What was decided in the fit without being asked, in words.
    report : dict
        How it was trained, as JSON can hold it.

    Examples
    --------
    >>> model = TableModel("price").fit("houses.csv")
    >>> model.predict("new_houses.csv")
    >>> model.save("houses.safetensors")
    """

    def __init__(
        self,
        target: str,
        *others: Any,
        preset: str = "fast",
        task: str | None = None,
        seed: int = 0,
        kinds: Mapping[str, str] | None = None,
        **choices: Any,
    ) -> None:
        self.target = _name_of_target(target)
        if others:
            got = f"{len(others)} more without a name, the first {shown(others[0])}"
            expected = "the target alone; what else there is by its name, preset='best'"
            raise TypeError(_check.refusal("TableModel", got, expected))
        self.preset = preset
        _check.choice("preset", preset, NETS)
        if task is not None:
            _check.choice("task", task, TASKS)
        self.task = task
        self.seed = _check.whole("seed", seed, 0, maximum=philox.MAX_SEED)
        self.kinds = dict(kinds or {})
        refuse_unknown(choices)
        self.choices = choices
        self._fitted: _Fitted | None = None

    # ---- training --------------------------------------------------------------------------------

    def fit(
        self,
        table: Any,
        y: None = None,
        *,
        sample_weight: Any = None,
        validation: Any = None,
        callbacks: Callbacks = (),
        verbose: str | int = 0,
        keep_interrupted: bool = False,
    ) -> TableModel:
        """Learns from a table.

        Parameters
        ----------
        table : Table, or what `fastweights.table.read` reads
            Rows whose target is missing are left out, with a remark.
        y : None
            Nothing: the target is a column of the table.
        sample_weight : array_like (rows,), optional
            What each row counts, 0 or more, in training and when to stop.
        validation : Table, or what `read` reads, optional
            Rows that say which epoch is the best; all of `table` is then trained on.
        callbacks : sequence of Callback, or function
            Of the only network; or a function that gives those of the network of a number, from 0
            (where two kinds are tried, `Recipe.kinds`, the second one's follow).
        verbose : {"auto", 0, 1, 2}
            As for `fastweights.fit_many`.
        keep_interrupted : bool
            Whether Ctrl-C ends the training with the best epochs so far, of the networks that have
            one, instead of leaving the model as it was.

        Returns
        -------
        TableModel
            Itself.

        Raises
        ------
        ValueError, TypeError
            The table, or an argument, does not fit; the model is as it was.
        """
        if y is not None:
            expected = f"none: one table, with the target in its column {shown(self.target)}"
            hint = "; TableClassifier and TableRegressor of fastweights.sklearn have fit(X, y)"
            raise TypeError(_check.refusal("y", _check.kind_of(y), expected) + hint)
        prepared = self.prepare(table, sample_weight=sample_weight, validation=validation)
        return self.train(
            prepared, callbacks=callbacks, verbose=verbose, keep_interrupted=keep_interrupted
        )

    def prepare(self, table: Any, *, sample_weight: Any = None, validation: Any = None) -> Prepared:
        """The first half of `fit`, with the same arguments: what `train` goes on with."""
        began = time.perf_counter()
        given = learnable(_table_of(table), self.target, self.task)
        table, task, remarks = given.table, given.task, [*given.remarks]
        weights = _weights(sample_weight, len(given.kept))
        weights = None if weights is None else weights[given.kept]
        if len(table) < MIN_ROWS:
            got = f"{len(table)} rows with a target"
            raise ValueError(_check.refusal("table", got, f"at least {MIN_ROWS}"))
        columns = max(1, len(table.columns) - 1)
        recipe = recipe_for(self.preset, task, len(table), columns, **self.choices)
        held = self._validation(validation, task)
        preprocessor = self._preprocessor(table, recipe)
        usual, pieces = recipe.bins, preprocessor.pieces
        recipe = recipe_for(self.preset, task, len(table), columns, pieces, **self.choices)
        if recipe.bins < usual:
            remarks.append(
                f"bins of numbers: {recipe.bins} instead of {usual}, of which there would be "
                f"{preprocessor.input_shape[0]:,} features"
            )
            preprocessor = self._preprocessor(table, recipe)
        choices = {**self.choices, **recipe.encoding}
        recipe = recipe_for(self.preset, task, len(table), preprocessor.input_shape[0], **choices)
        preprocessor = _without_groups(preprocessor, recipe)
        if isinstance(preprocessor.target, ClassTarget):
            remarks += filter(None, [scores.imbalance(preprocessor.target)])
        if weights is not None and held is not None:
            weights = np.append(weights, np.ones(len(held)))
        rows = self._rows(preprocessor, recipe, table, held, weights)
        _refuse_weightless(rows)
        return Prepared(
            preprocessor,
            recipe,
            rows,
            (*remarks, *preprocessor.decisions),
            len(table),
            time.perf_counter() - began,
            functools.partial(self._parts, table, held, rows.targets),
        )

    def train(
        self,
        prepared: Prepared,
        *,
        callbacks: Callbacks = (),
        verbose: str | int = 0,
        keep_interrupted: bool = False,
    ) -> TableModel:
        """The second half of `fit`, with the same arguments."""
        began = time.perf_counter()
        recipe, models, trained, interrupted, said = self._trained(
            prepared, callbacks, verbose, keep_interrupted
        )
        report = {
            "preset": self.preset,
            "rows": prepared.table_rows,
            "features": prepared.rows.encoded.shape[1],
            "parameters": sum(model.count_params() for model in models),
            "seconds": prepared.seconds + time.perf_counter() - began,
            "interrupted": interrupted,
            "best_epochs": [one.best_epoch + 1 for one in trained],
        }
        self._fitted = _Fitted(
            prepared.preprocessor,
            recipe,
            models[0] if len(models) == 1 else Ensemble(models),
            trained,
            (*prepared.remarks, *said),
            report,
        )
        return self

    def _trained(
        self, prepared: Prepared, callbacks: Callbacks, verbose: str | int, keep_interrupted: bool
    ) -> tuple[Recipe, list[Model], tuple[Trained, ...], bool, list[str]]:
        """The recipe as it was decided, its networks, what became of each, whether Ctrl-C came.

        And what was decided, in words.
        """
        tried: list[tuple[Recipe, list[Model], tuple[Trained, ...]]] = []
        for recipe in prepared.recipe.kinds:
            models = replace(prepared, recipe=recipe).networks(self.seed)
            before = len(tried) * len(models)
            listening = _numbered(callbacks, before) if callable(callbacks) else callbacks
            try:
                found, interrupted = fitting.train(
                    models, prepared.rows, recipe, listening, verbose, keep_interrupted
                )
            except KeyboardInterrupt:
                if not (tried and keep_interrupted):
                    raise
                return *tried[0], True, [UNDECIDED]
            whole = [model for model, one in zip(models, found, strict=True) if one is not None]
            trained = tuple(one for one in found if one is not None)
            tried.append((recipe, whole, trained))
            if interrupted:
                return *tried[0], True, [UNDECIDED] if prepared.recipe.linear is None else []
        kept = fitting.better(tried)
        return *kept, False, _decided(tried, kept[0]) if len(tried) > 1 else []

    def _rows(
        self,
        preprocessor: Preprocessor,
        recipe: Recipe,
        table: Table,
        held: Table | None,
        weights: np.ndarray | None,
    ) -> fitting.Rows:
        """What the networks learn from: the table, and rows that were given to be held out."""
        of_class = _class_weight(recipe, preprocessor)
        train = np.arange(len(table))
        encoded = preprocessor.encoded(table, train)
        targets = preprocessor.transform_target(table)
        if held is None:
            parts = self._parts(table, held, targets, recipe)
            return fitting.Rows(encoded, targets, weights, parts, of_class)
        both = np.concatenate([targets, preprocessor.transform_target(held)])
        encoded = encoded.followed_by(preprocessor.encoded(held))
        return fitting.Rows(
            encoded, both, weights, self._parts(table, held, both, recipe), of_class
        )

    def _parts(
        self, table: Table, held: Table | None, targets: np.ndarray, recipe: Recipe
    ) -> list[Parts]:
        """Which rows each network of a recipe has: of the table, and those that were given."""
        if held is not None:
            beside = np.arange(len(table), len(targets))
            return [(np.arange(len(table)), beside)] * recipe.nets
        labels = targets if recipe.task == "classification" else None
        return fitting.parts_of(recipe, table, labels, self.seed)

    def _preprocessor(self, table: Table, recipe: Recipe) -> Preprocessor:
        """What a recipe learns of the columns."""
        return Preprocessor.fit(
            self._usable(table, recipe),
            self.target,
            task=recipe.task,
            kinds=self.kinds,
            log_target=recipe.log_target,
            **recipe.encoding,
        )

    def _usable(self, table: Table, recipe: Recipe) -> Table:
        """The table without the column of the groups that rows are left out by."""
        kind, _, column = recipe.split.partition(":")
        return table.drop([column]) if kind == "group" else table

    def _validation(self, given: Any, task: str) -> Table | None:
        if given is None:
            return None
        table = _table_of(given)
        known = has_target(table, self.target, task)
        if not known.any():
            raise ValueError(_check.refusal("validation", "no row with a target", "at least one"))
        return table.take(known)

    # ---- using -----------------------------------------------------------------------------------

    @property
    def _fit(self) -> _Fitted:
        if self._fitted is None:
            expected = "model.fit(table) before"
            raise ValueError(_check.refusal("TableModel", "no training yet", expected))
        return self._fitted

    @property
    def preprocessor(self) -> Preprocessor:
        return self._fit.preprocessor

    @property
    def recipe(self) -> Recipe:
        return self._fit.recipe

    @property
    def model(self) -> Model | Ensemble:
        return self._fit.model

    @property
    def history(self) -> tuple[dict[str, list[Any]], ...]:
        return tuple(one.history for one in self._fit.trained)

    @property
    def remarks(self) -> tuple[str, ...]:
        return self._fit.remarks

    @property
    def report(self) -> dict[str, Any]:
        return dict(self._fit.report)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes as `predict` gives them, in the order of the columns of `predict_proba`."""
        return tuple(self._classes.labels.tolist())

    @property
    def _classes(self) -> ClassTarget:
        target = self.preprocessor.target
        if not isinstance(target, ClassTarget):
            got = f"a target of numbers, {shown(self.target)}"
            raise ValueError(_check.refusal("classes", got, "a target of classes"))
        return target

    def predict(self, table: Any) -> np.ndarray:
        """The target of each row.

        Warns where a column says hardly anything: more than half of its cells are of no kind that
        was trained on, or all are missing. `remarks_on` tells more.

        Returns
        -------
        float64 (rows,) in the target's units, (rows, quantiles) for the loss ``"quantile"``; or
        the classes (rows,): whole numbers (int64) where all of them are, other numbers (float64),
        bool where they are True and False, else their texts (object), whatever a frame had them
        as: of labels ``"0"`` and ``"1"`` in a frame these are the numbers 0 and 1.
        """
        task, table = self.recipe.task, _table_of(table)
        self._warn(table)
        found = self._predicted(table)
        if task == "regression":
            return found
        return self._classes.labels[found.argmax(axis=1)]

    def predict_proba(self, table: Any) -> np.ndarray:
        """The probability of each class: float64 (rows, classes), in the order of `classes`.

        Warns as `predict` does. Raises ValueError for a target of numbers.
        """
        self._classes  # noqa: B018 - refuses a target of numbers
        table = _table_of(table)
        self._warn(table)
        return self._predicted(table)

    def remarks_on(self, table: Any) -> list[str]:
        """What is odd about the cells of a table that is to be predicted, in words.

        Text where there were numbers, categories that training did not have, numbers far outside
        of those of training, columns without any known cell, and what becomes of them.
        """
        preprocessor = self.preprocessor
        return preprocessor.remarks(_table_of(table))

    def _warn(self, table: Table) -> None:
        """Says of which columns hardly any cell is like those of training."""
        alarms = self.preprocessor.alarms(table)
        if alarms:
            said = "; ".join(alarms)
            warnings.warn(f"{table.source}: columns unlike in training: {said}", stacklevel=3)

    def _predicted(self, table: Table) -> np.ndarray:
        fitted = self._fit
        quantiles = fitted.recipe.quantiles_asked
        return predictions(fitted.model, fitted.preprocessor, table, quantiles)

    def score(self, table: Any) -> dict[str, Any]:
        """How good the predictions are, beside the trivial ones: see `fastweights.table.score`.

        Of quantiles it is `fastweights.table.scores.quantile_score`. ``rows`` counts the rows that
        were predicted, ``rows_left_out`` those without a target that the model knows, of which
        those that say something else are warned of; rows of sums are neither.
        """
        fitted, table = self._fit, without_sums(_table_of(table))[0]
        truth, known = fitted.preprocessor.truth(table)
        if not known.any():
            raise ValueError(_check.refusal("table", "no row with a target", "at least one"))
        strange = ~known & ~missing(table[self.target])
        if strange.any():
            first = shown(table[self.target][int(strange.argmax())])
            said = f"left out, whose {shown(self.target)} the model does not know, such as {first}"
            warnings.warn(f"{table.source}: {rows_in_words(strange.sum())} {said}", stacklevel=2)
        counts = {"rows": int(known.sum()), "rows_left_out": int((~known).sum())}
        table, truth = table.take(known), truth[known]
        self._warn(table)
        predicted = self._predicted(table)
        if quantiles := fitted.recipe.quantiles_asked:
            return {**scores.quantile_score(truth, predicted, quantiles), **counts}
        return {**scores.score(fitted.preprocessor.target, truth, predicted), **counts}

    # ---- keeping ---------------------------------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        about: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Writes all that predictions need to one safetensors file, which `load` reads.

        `about`, as JSON can hold it, is kept in the place of the `report`; `metadata` is what else
        the file is to have, under keys of your own.
        """
        fitted = self._fit
        described = {
            "preset": self.preset,
            "seed": self.seed,
            "kinds": self.kinds,
            "recipe": fitted.recipe.config(),
            "remarks": fitted.remarks,
            "best_epochs": [one.best_epoch for one in fitted.trained],
        }
        told = {**(fitted.report if about is None else about), "history": _plain(self.history)}
        texts = {
            **(metadata or {}),
            saving.TABLE: fitted.preprocessor.to_json(),
            RECIPE: json.dumps(described),
            HISTORY: json.dumps(_json.with_null(told), allow_nan=False),
        }
        fitted.model.save(path, metadata=texts, include_optimizer=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """The model that `save` wrote.

        Raises
        ------
        ValueError
            The file is damaged, or no model of a table.
        OSError
            The file cannot be read.
        """
        refuse_models_of_others(path)
        name = _files.path_text(path)
        metadata = serialization.read_metadata(path)
        if saving.TABLE not in metadata or RECIPE not in metadata:
            raise ValueError(_check.refusal(name, "another model", "one of TableModel.save"))
        size = os.path.getsize(path)
        try:
            preprocessor = Preprocessor.from_json(metadata[saving.TABLE], size)
            described = _json.loads("the recipe", metadata[RECIPE], size)
            recipe = restored(described["recipe"])
            loaded = cls(
                preprocessor.target.name,
                preset=described["preset"],
                task=recipe.task,
                seed=described["seed"],
                kinds=described["kinds"],
            )
            told = _json.loads("the history", metadata.get(HISTORY, "{}"), size)
            history = told.pop("history", [{}])
            trained = tuple(
                Trained(_history(one), _check.whole("best_epochs", epoch, 0))
                for one, epoch in zip(history, described["best_epochs"], strict=True)
            )
            remarks = tuple(_check.text("remarks", text) for text in described["remarks"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: {' '.join(str(error).split())[:400]}") from error
        model = saving.loaded(path)
        first = model[0] if isinstance(model, Ensemble) else model
        wanted = (preprocessor.input_shape, (_outputs(recipe, preprocessor),))
        if (first.input_shape, first.output_shape) != wanted:
            raise ValueError(f"{name}: the network does not fit the preprocessing beside it")
        loaded._fitted = _Fitted(preprocessor, recipe, model, trained, remarks, told)
        return loaded


def _decided(
    tried: Sequence[tuple[Recipe, list[Model], tuple[Trained, ...]]], kept: Recipe
) -> list[str]:
    """Which kind of network was kept, without a linear path or with one."""
    errors = {recipe.linear: fitting.error_of(trained) for recipe, _, trained in tried}
    words, others = ("with", "without") if kept.linear else ("without", "with")
    return [
        f"networks {words} a linear path: the loss of the rows left out is "
        f"{errors[kept.linear]:.4g}, of those {others} one {errors[not kept.linear]:.4g}"
    ]


def _numbered(callbacks: Callable[[int], Any], before: int) -> Callable[[int], Any]:
    """The same of networks that come behind so many others."""
    return lambda number: callbacks(before + number)


def _history(content: Any) -> dict[str, list[Any]]:
    """The figures of a network's epochs, as a file has them."""
    if not isinstance(content, dict) or not all(isinstance(one, list) for one in content.values()):
        expected = "lists of figures under their names"
        raise ValueError(_check.refusal("history", shown(content), expected))
    return content


def _table_of(given: Any) -> Table:
    return given if isinstance(given, Table) else read(given)


def _name_of_target(given: Any) -> str:
    if isinstance(given, str):
        return _check.name("target", given)
    got, expected = shown(given), "the name of a column"
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        expected = f"the name of a column, which is a text: {str(given)!r}"
    elif hasattr(given, "columns") or isinstance(given, (np.ndarray, Mapping, Table)):
        got = _check.kind_of(given)
        expected = "the name of a column; the table goes to fit: TableModel(name).fit(table)"
    raise TypeError(_check.refusal("target", got, expected))


def _without_groups(preprocessor: Preprocessor, recipe: Recipe) -> Preprocessor:
    """What was learnt, which tells that nothing is learnt of the column of the groups."""
    kind, _, column = recipe.split.partition(":")
    if kind != "group":
        return preprocessor
    dropped = {**preprocessor.dropped, column: "rows are left out by it, group by group"}
    return replace(preprocessor, dropped=dropped)


def _class_weight(recipe: Recipe, preprocessor: Preprocessor) -> str | dict[int, float] | None:
    """What rows of each class count, by the classes' numbers."""
    given, target = recipe.class_weight, preprocessor.target
    if not isinstance(given, Mapping) or not isinstance(target, ClassTarget):
        return given
    places = {name: place for place, name in enumerate(target.classes)}
    return {_check.choice("class_weight", name, places): w for name, w in given.items()}


def _weights(given: Any, rows: int) -> np.ndarray | None:
    """What each row counts, float64 (rows,)."""
    if given is None:
        return None
    weights = _check.numeric_array("sample_weight", given).astype(np.float64)
    if weights.shape != (rows,):
        raise ValueError(_check.refusal("sample_weight", f"shape {weights.shape}", f"({rows},)"))
    _check.finite("sample_weight", weights)
    if (weights < 0).any():
        place = int((weights < 0).argmax())
        got = f"{weights[place]:g} in row {place}"
        raise ValueError(_check.refusal("sample_weight", got, "0 or more in every row"))
    return weights


def _refuse_weightless(rows: fitting.Rows) -> None:
    """Raises ValueError where no row of a part counts."""
    for part in (part for pair in rows.parts for part in pair):
        if rows.weights is not None and len(part) and not rows.weights[part].any():
            got = "0 in all rows to train on, or to validate on"
            raise ValueError(_check.refusal("sample_weight", got, "some above 0"))


def _plain(history: Sequence[Mapping[str, list[Any]]]) -> list[dict[str, list[Any]]]:
    """Histories as JSON can hold them."""
    return [
        {name: [np.asarray(value).tolist() for value in values] for name, values in one.items()}
        for one in history
    ]


def _outputs(recipe: Recipe, preprocessor: Preprocessor) -> int:
    """How many outputs the networks have."""
    return len(recipe.quantiles_asked) or preprocessor.target.outputs


def predictions(
    model: Model | Ensemble, preparation: Any, source: Any, quantiles: tuple[float, ...] = ()
) -> np.ndarray:
    """What a model makes of rows, some at a time: values, quantiles, or probabilities.

    `preparation` turns rows of the `source` into features, and outputs into predictions.
    """
    parts = []
    for first in range(0, max(len(source), 1), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(source)))
        outputs = model.predict(preparation.transform(source.take(rows)), verbose=0)
        parts.append(preparation.inverse_transform(outputs))
    predicted = np.concatenate(parts)
    if not quantiles:
        return predicted
    # Quantiles that cross are put in order, which brings none further from the right one.
    return np.sort(predicted.reshape(len(predicted), -1), axis=1)
