"""The recipe of tables, of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets

from fastweights.sklearn._table_documents import ATTRIBUTES, NOTES, PARAMETERS
from fastweights.sklearn._table_files import classes_of_model
from fastweights.sklearn._table_frames import labels_of, names_of_classes, places_of
from fastweights.sklearn._tables import TableEstimator
from fastweights.table import Cells, Recipe, Table, TableModel
from fastweights.table.fitting import Callbacks


class TableClassifier(ClassifierMixin, TableEstimator):
    __doc__ = f"""Tells the class of a table's rows: columns of any kind in, probabilities out.

    Parameters
    ----------
{PARAMETERS}\
    class_weight : dict, "balanced" or None, default=None
        What rows of each class count, as in scikit-learn's other classifiers: it multiplies
        `sample_weight`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels as they came, in the order of the columns of `predict_proba`.
{ATTRIBUTES}
    Notes
    -----
{NOTES}
    Examples
    --------
    >>> from fastweights.sklearn import TableClassifier
    >>> model = TableClassifier(random_state=0).fit(frame, frame.pop("species"))
    >>> model.predict_proba(new_frame)
    """

    #: Where it is public: what is pickled by name is found there.
    __module__ = "fastweights.sklearn"

    _task = "classification"
    _choices = (
        *("bins", "min_category_rows", "max_categories", "category_numbers", "target_means"),
        *("layers", "activation", "variety", "dropout", "linear", "linear_gain"),
        *("learning_rate", "scale_rate", "warmup"),
        *("batch_size", "epochs", "patience", "nets", "folds", "split"),
        *("optimizer", "l2", "monitor", "metrics", "dtype"),
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
        class_weight: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self,
        X: Any,  # noqa: N803  (scikit-learn's name)
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        callbacks: Callbacks = (),
    ) -> TableClassifier:
        """Trains.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels: numbers, texts or booleans, of at least two classes.
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
        self._fit(X, y, sample_weight, self.class_weight, eval_set, callbacks)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The label of each row: ndarray of shape (n_samples,).

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        """
        chosen = self._predicted(X).argmax(axis=1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        float64 ndarray of shape (n_samples, n_classes)
        """
        return self._predicted(X)

    def predict_log_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The logarithms of `predict_proba`, of the same shape."""
        with np.errstate(divide="ignore"):
            return np.log(self._predicted(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """The part of the rows whose label is told.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
        """
        return super().score(X, labels_of(y), sample_weight)

    # ---- classes as targets --------------------------------------------------------------------

    def _learnt_target(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        classes, places = np.unique(y, return_inverse=True)
        self._be_told(classes)
        return places

    def _be_told(self, classes: np.ndarray) -> None:
        self.classes_ = classes
        self._names = names_of_classes(classes)

    def _restore_classes(self, model: TableModel, classes: np.ndarray | None) -> None:
        self._be_told(classes_of_model(model, classes))

    def _held_target(self, y: np.ndarray) -> np.ndarray:
        return places_of(y, self.classes_)

    def _target_cells(self, targets: np.ndarray) -> Cells:
        return Cells.from_codes(targets, self._names)

    def _labels(self, targets: np.ndarray) -> np.ndarray:
        return self.classes_[targets]

    def _answers(self, model: TableModel, table: Table) -> np.ndarray:
        """Probabilities, which add up to 1 in float64 too, of all classes."""
        found = model.predict_proba(table)
        probabilities = np.zeros((len(found), len(self.classes_)))
        places = [self._names.index(name) for name in model.classes]
        probabilities[:, places] = found / found.sum(axis=1, keepdims=True)
        return probabilities

    def _metric(
        self, recipe: Recipe, targets: np.ndarray, answers: np.ndarray, weights: Any
    ) -> float:
        return accuracy_score(targets, answers.argmax(axis=1), sample_weight=weights)
