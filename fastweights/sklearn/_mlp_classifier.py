"""The MLP of classes and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import validate_data

from fastweights import _check, losses
from fastweights.losses import Loss
from fastweights.models import Sequential
from fastweights.sklearn._documents import ATTRIBUTES, NOTES, OWN_PARAMETERS, PARAMETERS
from fastweights.sklearn._mlp import _SPARSE, MLP
from fastweights.sklearn._settings import loss_of


class MLPClassifier(ClassifierMixin, MLP):
    __doc__ = f"""A network that tells classes, or labels: scikit-learn's, by changing the import.

    Parameters
    ----------
{PARAMETERS}\
    loss : str or loss, default="log_loss"
        Or one of :mod:`fastweights.losses` for the probabilities that the network gives, such as
        ``losses.BinaryFocalCrossentropy()``. Not scikit-learn's.
    class_weight : dict, "balanced" or None, default=None
        What rows of each class count, as in scikit-learn's other classifiers: it multiplies
        `sample_weight`. Not scikit-learn's.
{OWN_PARAMETERS}
    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        In the order of the columns of `predict_proba`.
{ATTRIBUTES}
    Notes
    -----
{NOTES}
    Examples
    --------
    >>> from fastweights.sklearn import MLPClassifier
    >>> model = MLPClassifier(hidden_layer_sizes=(64, 32), early_stopping=True, random_state=0)
    >>> model.fit(x, y).predict_proba(x_new)
    """

    #: Where it is public: what is pickled by name is found there.
    __module__ = "fastweights.sklearn"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        dropout: Any = 0.0,
        class_weight: Any = None,
        dtype: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self,
        X: Any,  # noqa: N803  (scikit-learn's name)
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        callbacks: Any = None,
    ) -> MLPClassifier:
        """Trains.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Finite numbers; a frame's columns are known by their names from then on.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes, or a column of 0 and 1 for each label.
        sample_weight : array-like of shape (n_samples,), default=None
            What each row counts, 0 or more.
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to score after each epoch, in `validation_scores_`: with `early_stopping` in the
            place of a part of `X`, else beside all of it.
        callbacks : callback or list of callbacks of :mod:`fastweights.callbacks`, default=None
            Told what happens; their logs have the ``"loss"`` and, where rows are held out, the
            ``"val_score"``.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, validation_data, callbacks)
        return self

    @available_if(lambda estimator: estimator._check_solver())
    def partial_fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
    ) -> MLPClassifier:
        """One epoch on these rows, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array of shape (n_classes,), default=None
            All classes that will ever come, at the first call.

        Returns
        -------
        self
        """
        if _check_partial_fit_first_call(self, classes):
            is_multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if is_multilabel else classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The class of each row, or 0 and 1 for each label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._named(self._checked_outputs(X))

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The probability of each class, in the order of `classes_`, or of each label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._checked_outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The logarithms of `predict_proba`, of the same shape."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    # ---- classes as targets --------------------------------------------------------------------

    def _validated(
        self, x: Any, y: Any, sample_weight: Any, incremental: bool, is_first: bool
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Rows, numbers of classes or booleans for each output, and what rows count."""
        x, y = validate_data(
            self, x, y, accept_sparse=list(_SPARSE), multi_output=True,
            dtype=(np.float64, np.float32), reset=is_first,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._refuse_other_classes(unique_labels(y))
        if self.class_weight is not None and incremental and self.class_weight == "balanced":
            expected = "a dict: a part of the rows does not say how often classes come"
            raise ValueError(_check.refusal("class_weight", "'balanced' in partial_fit", expected))
        weights = self._weights_of_rows(x, sample_weight, self.class_weight, y)
        kind = self._label_binarizer.y_type_
        if kind == "multiclass":
            return x, np.searchsorted(self.classes_, y), weights
        if kind == "binary" and len(self.classes_) == 2 and y.ndim == 1:
            return x, (y == self.classes_[1])[:, np.newaxis], weights
        return x, self._label_binarizer.transform(y).astype(bool), weights

    def _count_outputs(self, y: np.ndarray) -> int:
        return len(self.classes_) if y.ndim == 1 else y.shape[1]

    def _refuse_other_classes(self, classes: np.ndarray) -> None:
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _last_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _loss_and_weight(self, real: np.dtype) -> tuple[Loss, float]:
        """The loss, and by what its mean over the outputs is multiplied."""
        if not isinstance(self.loss, str) or self.loss != "log_loss":
            return loss_of(self.loss, ("log_loss",)), 1.0
        limit = -float(np.log(np.finfo(real).eps))
        if self.out_activation_ == "softmax":
            return losses.SparseCategoricalCrossentropy(value_limit=limit), 1.0
        return losses.BinaryCrossentropy(value_limit=limit), float(self.n_outputs_)

    def _targets_of(self, y: np.ndarray, model: Sequential) -> np.ndarray:
        """Targets as the loss takes them, of what `_validated` gives."""
        loss = model.loss
        assert isinstance(loss, Loss)
        if y.ndim == 1 and not loss.takes_labels:
            y = np.eye(self.n_outputs_)[y]
        return loss.prepared(y, len(y), self.n_outputs_, model.dtype)

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        """By what a split of rows is stratified."""
        return y if self.n_outputs_ == 1 else None

    def _answers(self, y: np.ndarray) -> np.ndarray:
        """The classes, or labels, that `_validated` made these of."""
        return self.classes_[y] if y.ndim == 1 else self._label_binarizer.inverse_transform(y)

    def _metric(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        return accuracy_score(y, predicted, sample_weight=sample_weight)

    def _named(self, outputs: np.ndarray) -> np.ndarray:
        """The classes, or labels, that outputs stand for."""
        return self._label_binarizer.inverse_transform(
            outputs.ravel() if self.n_outputs_ == 1 else outputs
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
