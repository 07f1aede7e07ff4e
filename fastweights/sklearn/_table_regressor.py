"""The recipe of tables, of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score

from fastweights import _check
from fastweights.sklearn._table_documents import ATTRIBUTES, NOTES, PARAMETERS
from fastweights.sklearn._tables import TableEstimator
from fastweights.table import Cells, Recipe, Table, TableModel
from fastweights.table.fitting import Callbacks


class TableRegressor(RegressorMixin, TableEstimator):
    __doc__ = f"""Tells a number for a table's rows, or quantiles: columns of any kind in.

    Parameters
    ----------
{PARAMETERS}\
    loss : str, default=None
        What is made small, of the standardised target: ``"huber"``, ``"mean_squared_error"``,
        ``"mean_absolute_error"``, ``"log_cosh"``, or ``"quantile"``, with which `predict` gives
        each of the `quantiles`.
    quantiles : sequence of float, default=None
        Of the loss ``"quantile"``: 0.1, 0.5 and 0.9 unless given.
    log_target : bool, default=None
        Whether the logarithm of the target is learnt; found out unless given.

    Attributes
    ----------
{ATTRIBUTES}
    Notes
    -----
{NOTES}
    No prediction is below the lowest target of the training rows or above their highest.

    Examples
    --------
    >>> from fastweights.sklearn import TableRegressor
    >>> model = TableRegressor(random_state=0).fit(frame, frame.pop("price"))
    >>> model.predict(new_frame)
    """

    #: Where it is public: what is pickled by name is found there.
    __module__ = "fastweights.sklearn"

    _task = "regression"
    _choices = (
        *("bins", "min_category_rows", "max_categories", "category_numbers", "target_means"),
        *("layers", "activation", "variety", "dropout", "linear", "linear_gain"),
        *("learning_rate", "scale_rate", "warmup"),
        *("batch_size", "epochs", "patience", "nets", "folds", "split"),
        *("optimizer", "l2", "monitor", "metrics", "dtype"),
        *("loss", "quantiles", "log_target"),
    )

    def __init__(
        self,
        *,
        preset: str = "fast",
        kinds: Any = None,
        cv: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: Any = 0,
        bins: int | None = None,
        min_category_rows: int | None = None,
        max_categories: int | None = None,
        category_numbers: int | None = None,
        target_means: float | None = None,
        layers: Any = None,
        activation: str | None = None,
        variety: Any = None,
        dropout: float | None = None,
        linear: bool | None = None,
        linear_gain: float | None = None,
        learning_rate: float | None = None,
        scale_rate: float | None = None,
        warmup: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        nets: int | None = None,
        folds: int | None = None,
        split: str | None = None,
        optimizer: Any = None,
        l2: float | None = None,
        monitor: Any = None,
        metrics: Any = None,
        dtype: str | None = None,
        loss: str | None = None,
        quantiles: Any = None,
        log_target: bool | None = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self,
        X: Any,  # noqa: N803  (scikit-learn's name)
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        callbacks: Callbacks = (),
    ) -> TableRegressor:
        """Trains.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            What each row counts, 0 or more, in training and when to stop.
        eval_set : tuple (X, y), default=None
            Rows that say which epoch is the best; all of `X` is then trained on.
        callbacks : sequence of callbacks of :mod:`fastweights.callbacks`, or function
            Of the only network; or a function that gives those of the network of a number, from 0.

        Returns
        -------
        self
        """
        if self.quantiles is not None and self.loss != "quantile":
            expected = "loss='quantile' beside it"
            raise ValueError(_check.refusal("quantiles", self.quantiles, expected))
        self._fit(X, y, sample_weight, None, eval_set, callbacks)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The number of each row, or its quantiles.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        float64 ndarray of shape (n_samples,), or (n_samples, n_quantiles) in rising order
        """
        return self._predicted(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """R², or for quantiles the mean of their D² pinball scores: at best 1, of the trivial 0.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
        """
        return self._metric(self.recipe_, y, self.predict(X), sample_weight)

    # ---- numbers as targets --------------------------------------------------------------------

    def _learnt_target(self, y: np.ndarray) -> np.ndarray:
        return np.asarray(y, dtype=np.float64)

    def _held_target(self, y: np.ndarray) -> np.ndarray:
        return self._learnt_target(y)

    def _restore_classes(self, model: TableModel, classes: np.ndarray | None) -> None:
        """There are none."""

    def _target_cells(self, targets: np.ndarray) -> Cells:
        return Cells.from_numbers(targets)

    def _labels(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def _answers(self, model: TableModel, table: Table) -> np.ndarray:
        return model.predict(table)

    def _metric(
        self, recipe: Recipe, targets: np.ndarray, answers: np.ndarray, weights: Any
    ) -> float:
        if not recipe.quantiles_asked:
            return r2_score(targets, answers, sample_weight=weights)
        scores = [
            d2_pinball_score(targets, of_level, sample_weight=weights, alpha=level)
            for of_level, level in zip(answers.T, recipe.quantiles_asked, strict=True)
        ]
        return float(np.mean(scores))
