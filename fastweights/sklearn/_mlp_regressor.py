"""The MLP of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastweights import losses
from fastweights.losses import Loss
from fastweights.models import Sequential
from fastweights.sklearn._documents import ATTRIBUTES, NOTES, OWN_PARAMETERS, PARAMETERS
from fastweights.sklearn._mlp import _SPARSE, MLP
from fastweights.sklearn._settings import loss_of


class MLPRegressor(RegressorMixin, MLP):
    __doc__ = f"""A network that tells numbers: scikit-learn's, by changing the import.

    Parameters
    ----------
    loss : str or loss, default="squared_error"
        Half the squared error; ``"poisson"``, half the Poisson deviance, with the exponential
        behind the last layer; or any of :mod:`fastweights.losses`, such as ``"huber"``, without.
{PARAMETERS}\
{OWN_PARAMETERS}
    Attributes
    ----------
{ATTRIBUTES}
    Notes
    -----
{NOTES}
    Examples
    --------
    >>> from fastweights.sklearn import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=(64, 32), loss="huber", random_state=0)
    >>> model.fit(x, y).predict(x_new)
    """

    #: Where it is public: what is pickled by name is found there.
    __module__ = "fastweights.sklearn"

    def __init__(
        self,
        loss: Any = "squared_error",
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
        dropout: Any = 0.0,
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
    ) -> MLPRegressor:
        """Trains.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Finite numbers; a frame's columns are known by their names from then on.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
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
    ) -> MLPRegressor:
        """One epoch on these rows, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """A number, or several, for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the dtype of the weights.
        """
        return self._named(self._checked_outputs(X))

    # ---- numbers as targets --------------------------------------------------------------------

    def _validated(
        self, x: Any, y: Any, sample_weight: Any, incremental: bool, is_first: bool
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Rows, targets, and what rows count."""
        x, y = validate_data(
            self, x, y, accept_sparse=list(_SPARSE), multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=is_first,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y[:, np.newaxis] if y.ndim == 1 else y
        return x, columns, self._weights_of_rows(x, sample_weight)

    def _count_outputs(self, y: np.ndarray) -> int:
        return y.shape[1]

    def _last_activation(self) -> str:
        return "exp" if self._is("poisson") else "identity"

    def _is(self, loss: str) -> bool:
        return isinstance(self.loss, str) and self.loss == loss

    def _outputs_in_mean(self) -> int:
        return self.n_outputs_ if self._is("squared_error") else 1

    def _loss_and_weight(self, real: np.dtype) -> tuple[Loss, float]:
        """The loss, and by what its mean over the outputs is multiplied."""
        if self._is("squared_error"):
            return losses.MeanSquaredError(), 0.5 * self.n_outputs_
        if self._is("poisson"):
            return losses.PoissonDeviance(), float(self.n_outputs_)
        return loss_of(self.loss, ("squared_error", "poisson")), 1.0

    def _targets_of(self, y: np.ndarray, model: Sequential) -> np.ndarray:
        loss = model.loss
        assert isinstance(loss, Loss)
        return loss.prepared(y, len(y), self.n_outputs_, model.dtype)

    def _strata(self, y: np.ndarray) -> None:
        """A split of rows is not stratified."""

    def _answers(self, y: np.ndarray) -> np.ndarray:
        return y

    def _metric(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        return r2_score(y, predicted, sample_weight=sample_weight)

    def _named(self, outputs: np.ndarray) -> np.ndarray:
        return outputs.ravel() if self.n_outputs_ == 1 else outputs
