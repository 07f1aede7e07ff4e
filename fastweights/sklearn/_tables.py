"""The recipe of tables as an estimator."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral
from typing import Any

import joblib
import numpy as np
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_y, check_is_fitted, validate_data

from fastweights import _check, _frames
from fastweights._core import philox
from fastweights.config import threads
from fastweights.ensembles import Ensemble
from fastweights.sklearn._base import NetworkEstimator
from fastweights.sklearn._table_files import load_estimator, save_estimator
from fastweights.sklearn._table_folds import folds_of
from fastweights.sklearn._table_frames import (
    has_names,
    kinds_of_unnamed,
    labels_of,
    name_of_target,
    refuse_times,
    table_of,
)
from fastweights.table import Cells, Recipe, Table, TableModel
from fastweights.table.fitting import Callbacks, parts_of
from fastweights.table.importances import LeftOut, column_importances
from fastweights.table.recipe import MIN_ROWS

#: Rows that importances are measured on, and numbers that these may have in all.
IMPORTANCE_ROWS = 1000
IMPORTANCE_NUMBERS = 1 << 19


class TableEstimator(NetworkEstimator):
    """Base of both. A subclass says what targets are and what predictions mean:

    ``_task``, ``_choices``, ``_learnt_target``, ``_held_target``, ``_target_cells``, ``_answers``
    and ``_metric``.
    """

    #: "classification" or "regression".
    _task: str
    #: Parameters that are fields of `fastweights.table.Recipe`.
    _choices: tuple[str, ...]

    # ---- training ------------------------------------------------------------------------------

    def _fit(self, *arguments: Any) -> None:
        """Fits, or leaves the estimator as it was."""
        before = self.__dict__.copy()
        try:
            self._fit_anew(*arguments)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit_anew(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        eval_set: Any,
        callbacks: Callbacks,
    ) -> None:
        for name in ("cv_scores_", "_importances"):
            self.__dict__.pop(name, None)
        table = self._rows_of(x, y, is_first=True)
        if len(table) < MIN_ROWS:
            got = f"n_samples={len(table)}"
            raise ValueError(_check.refusal("X", got, f"at least {MIN_ROWS} rows"))
        self._target_name = name_of_target(y, list(table.columns))
        targets = self._learnt_target(self._plain_target(y, len(table)))
        weights = self._weights_of_rows(x, sample_weight, class_weight, self._labels(targets))
        validation = self._validation(eval_set)
        seed = self._seed()
        folds = folds_of(self.cv, table, targets, self.split, self._task, seed)
        with self._threads():
            if folds is not None:
                scores = [
                    self._fold_score(table, targets, weights, validation, seed, *parts)
                    for parts in folds
                ]
                self.cv_scores_ = np.array(scores)
            kept = slice(None) if weights is None else np.flatnonzero(weights)
            model, learnt = self._learn(table, targets, weights, validation, seed, callbacks)
            own = None if weights is None else weights[kept]
            self._left_out = self._left_out_rows(model, learnt, own, validation)
        self._be_fitted(model)

    def _be_fitted(self, model: TableModel) -> None:
        """Takes what a fit, or a file, has found."""
        self.model_ = model
        self.recipe_: Recipe = model.recipe
        self.dropped_columns_ = dict(model.preprocessor.dropped)
        self.remarks_ = list(model.remarks)

    def _rows_of(self, x: Any, y: Any = "no_validation", is_first: bool = False) -> Table:
        """The table of rows, its columns as the fit knows them."""
        if not is_first:
            x = _frames.arranged("X", x, getattr(self, "_frame_names", None))
        table = table_of(x, None if is_first else self._names_for(x))
        validate_data(
            self,
            x if hasattr(x, "shape") else np.empty((len(table), len(table.columns))),
            None if y is None else "no_validation",
            reset=is_first,
            skip_check_array=True,
        )
        if is_first:
            self._frame_names = _frames.names(x)
            self._column_names = list(table.columns)
            self._is_named = has_names(x)
        return table

    def _names_for(self, x: Any) -> list[str] | None:
        """What the columns of more rows are called; None where these are not as many."""
        shape = x.shape if hasattr(x, "shape") else np.shape(np.asarray(x, dtype=object))
        is_same = len(shape) == 2 and shape[1] == len(self._column_names)
        return self._column_names if is_same else None

    def _plain_target(self, y: Any, rows: int) -> np.ndarray:
        is_classes = self._task == "classification"
        if not is_classes:
            refuse_times(y)
        y = labels_of(y) if is_classes else y
        y = _check_y(y, multi_output=False, y_numeric=not is_classes, estimator=self)
        check_consistent_length(y, np.empty(rows))
        return y

    def _seed(self) -> int:
        """One of this library's, that is an int itself."""
        given = self.random_state
        if isinstance(given, Integral) and not isinstance(given, (bool, np.bool_)):
            return _check.whole("random_state", given, 0, maximum=philox.MAX_SEED)
        return int(check_random_state(given).randint(np.iinfo(np.int32).max))

    def _threads(self) -> contextlib.AbstractContextManager[None]:
        """Training and predictions within take so many threads."""
        if self.n_jobs is None:
            return contextlib.nullcontext()
        return threads(joblib.effective_n_jobs(self.n_jobs))

    def _chosen(self) -> dict[str, Any]:
        """The fields of the recipe that are not by the preset."""
        given = {name: getattr(self, name) for name in self._choices}
        chosen = {name: value for name, value in given.items() if value is not None}
        if chosen.get("target_means") == math.inf:
            chosen["target_means"] = None
        return chosen

    def _kinds(self, table: Table) -> dict[str, str]:
        own = {_check.name("kinds", name): kind for name, kind in dict(self.kinds or {}).items()}
        for name in own:
            table[name]  # which refuses a name that no column has, the target's too
        return own if self._is_named else {**kinds_of_unnamed(table), **own}

    def _with_target(self, table: Table, targets: np.ndarray) -> Table:
        cells = self._target_cells(targets)
        return replace(table, columns={**table.columns, self._target_name: cells})

    def _learn(
        self,
        table: Table,
        targets: np.ndarray,
        weights: np.ndarray | None,
        validation: tuple[Table, np.ndarray] | None,
        seed: int,
        callbacks: Callbacks = (),
    ) -> tuple[TableModel, Table]:
        """A model of the rows that count, and these."""
        model = TableModel(
            self._target_name,
            preset=self.preset,
            task=self._task,
            seed=seed,
            kinds=self._kinds(table),
            **self._chosen(),
        )
        learnt = self._with_target(table, targets)
        if weights is not None and not weights.all():
            learnt, weights = learnt.take(np.flatnonzero(weights)), weights[weights > 0]
        with self._naming_y():
            model.fit(
                learnt,
                sample_weight=weights,
                validation=None if validation is None else self._with_target(*validation),
                callbacks=callbacks,
                verbose=self.verbose,
            )
        return model, learnt

    @contextlib.contextmanager
    def _naming_y(self) -> Iterator[None]:
        """Refusals of the target name the argument, `y`, not a column of the table with it."""
        try:
            yield
        except ValueError as error:
            argument, colon, rest = str(error).partition(":")
            if argument != "target":
                raise
            rest = rest.replace(f" in column {_check.shown(self._target_name)}", "")
            raise ValueError(f"y{colon}{rest}") from None

    def _validation(self, given: Any) -> tuple[Table, np.ndarray] | None:
        """Rows that say which epoch is the best, and their targets."""
        if given is None:
            return None
        if isinstance(given, list) and len(given) == 1:
            (given,) = given
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            got = _check.kind_of(given)
            raise ValueError(_check.refusal("eval_set", got, "a tuple (X, y)"))
        table = self._rows_of(given[0])
        return table, self._held_target(self._plain_target(given[1], len(table)))

    def _fold_score(
        self,
        table: Table,
        targets: np.ndarray,
        weights: np.ndarray | None,
        validation: tuple[Table, np.ndarray] | None,
        seed: int,
        train: np.ndarray,
        test: np.ndarray,
    ) -> float:
        """The score on some rows of a model of others."""
        of_train, of_test = (None if weights is None else weights[rows] for rows in (train, test))
        model, _ = self._learn(table.take(train), targets[train], of_train, validation, seed)
        return self._metric(
            model.recipe, targets[test], self._answers(model, table.take(test)), of_test
        )

    # ---- using ---------------------------------------------------------------------------------

    def _predicted(self, x: Any) -> np.ndarray:
        check_is_fitted(self)
        with self._threads():
            return self._answers(self.model_, self._rows_of(x))

    def remarks_on(self, X: Any) -> list[str]:  # noqa: N803
        """What is odd about the cells of rows that are to be predicted, in words.

        Text where there were numbers, categories that training did not have, numbers far outside
        of those of training, columns without any known cell, and what becomes of them. Where that
        is most of a column, `predict` warns.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self.model_.remarks_on(self._rows_of(X))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all that predictions need to one safetensors file, without pickle.

        It is a file of `fastweights.table.TableModel`, too, so that ``fastweights predict`` takes
        it. Parameters that are objects (a splitter, a generator of random numbers) are not kept,
        and neither are the rows that `feature_importances_` is measured on: those are kept if they
        were asked for before.

        Parameters
        ----------
        path : path
        """
        check_is_fitted(self)
        save_estimator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """The estimator that `save` wrote, which predicts the same bits.

        Parameters
        ----------
        path : path

        Returns
        -------
        estimator

        Raises
        ------
        ValueError
            The file is damaged, or none of this estimator.
        OSError
            The file cannot be read.
        """
        return load_estimator(cls, path)

    # ---- importances ---------------------------------------------------------------------------

    def _left_out_rows(
        self,
        model: TableModel,
        table: Table,
        weights: np.ndarray | None,
        validation: tuple[Table, np.ndarray] | None,
    ) -> list[LeftOut]:
        """Rows, not too many, by the network that has not learnt from them."""
        preprocessor, recipe = model.preprocessor, model.recipe
        share = IMPORTANCE_NUMBERS // preprocessor.input_shape[0]
        most = max(1, min(IMPORTANCE_ROWS, share))
        if validation is not None:
            of_eval_set = self._with_target(*validation)
            of_eval_set = of_eval_set.take(_some(np.arange(len(of_eval_set)), most))
            targets = preprocessor.transform_target(of_eval_set)
            return [LeftOut(model.model, preprocessor.transform(of_eval_set), targets)]
        if not recipe.folds or model.report["rows"] != len(table):
            return []
        targets = preprocessor.transform_target(table)
        labels = targets if self._task == "classification" else None
        networks = model.model if isinstance(model.model, Ensemble) else [model.model]
        parts = parts_of(recipe, table, labels, model.seed)
        # As for training: a row's own target is in no mean of its categories.
        encoded = preprocessor.encoded(table, np.arange(len(table)))
        found = []
        for network, (_, held) in zip(networks, parts, strict=True):
            rows = _some(held, max(1, most // len(parts)))
            own = None if weights is None else weights[rows]
            found.append(LeftOut(network, encoded[rows], targets[rows], own))
        return found

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the predictions need each column: (n_features_in_,), parts of 1.

        By how much the error on rows that a network has not learnt from (of `folds`, or of
        `eval_set`; at most 1,000 of them) grows where the column is shuffled: the log loss, the
        squared error or the pinball loss of the standardised target, the mean of five shuffles. A
        column that is not used has 0. It is computed when it is first asked for.

        Raises AttributeError where no rows were left out (``folds=0``), and after `load` unless the
        file has it.
        """
        check_is_fitted(self)
        if not hasattr(self, "_importances"):
            if not self._left_out:
                raise AttributeError(
                    "feature_importances_: got no rows that were left out of training, expected "
                    "folds or an eval_set; sklearn.inspection.permutation_importance takes rows "
                    "of your own"
                )
            with self._threads():
                found = column_importances(
                    self._left_out,
                    self.model_.preprocessor.groups,
                    self.recipe_.quantiles_asked,
                    self.model_.seed,
                )
            self._importances = np.array([found.get(name, 0.0) for name in self._column_names])
        return self._importances

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- what a subclass says ------------------------------------------------------------------

    def _learnt_target(self, y: np.ndarray) -> np.ndarray:
        """What is learnt of the targets, one number a row."""
        raise NotImplementedError

    def _held_target(self, y: np.ndarray) -> np.ndarray:
        """The same, of rows that the classes are known of."""
        raise NotImplementedError

    def _target_cells(self, targets: np.ndarray) -> Cells:
        raise NotImplementedError

    def _labels(self, targets: np.ndarray) -> np.ndarray:
        """The targets that these were made of."""
        raise NotImplementedError

    def _restore_classes(self, model: TableModel, classes: np.ndarray | None) -> None:
        """Takes the labels that a file has; ValueError where they are not the model's."""
        raise NotImplementedError

    def _answers(self, model: TableModel, table: Table) -> np.ndarray:
        """What a model says of rows."""
        raise NotImplementedError

    def _metric(
        self, recipe: Recipe, targets: np.ndarray, answers: np.ndarray, weights: Any
    ) -> float:
        raise NotImplementedError


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, from everywhere."""
    return rows[:: math.ceil(len(rows) / most) or 1]
