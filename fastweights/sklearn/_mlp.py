"""What `MLPClassifier` and `MLPRegressor` have in common: how they are trained and kept.

# Design: the weights are a network's flat vector, of which `coefs_` and `intercepts_` are views.
# They are lists that others may write to, or put other arrays into, so whoever needs the network
# first has it take on what they hold (`_network_now`). It is trained by this library's own loop,
# with a source that has scikit-learn's order of rows and a callback that does what scikit-learn
# does between epochs, so callbacks, optimizers and schedules are what they are everywhere.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastweights import _check, _listening, training
from fastweights._feeding import Names, validation_arrays
from fastweights._plans import Compiled
from fastweights._rows import Examples
from fastweights._turns import Turn
from fastweights.models import Sequential
from fastweights.sklearn import _layers, _lbfgs
from fastweights.sklearn._base import NetworkEstimator
from fastweights.sklearn._following import Following
from fastweights.sklearn._layers import Shape
from fastweights.sklearn._settings import Settings, is_stochastic, optimizer_of
from fastweights.sklearn._sources import DenseRows, SparseRows, dense, dense_pieces, pieces

_SPARSE = ("csr", "csc")


class MLP(NetworkEstimator):
    """Base of both. A subclass says what targets, losses and scores are, and what outputs mean:

    ``_validated``, ``_count_outputs``, ``_last_activation``, ``_loss_and_weight``,
    ``_targets_of``, ``_strata``, ``_answers``, ``_metric`` and ``_named``.
    """

    def _first_fit(self, incremental: bool) -> bool:
        return not hasattr(self, "coefs_") or (not self.warm_start and not incremental)

    # ---- training ------------------------------------------------------------------------------

    def _fit(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        callbacks: Any = None,
        incremental: bool = False,
    ) -> MLP:
        settings, callbacks = Settings.of(self), _listening.checked(callbacks)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        is_first = self._first_fit(incremental)
        x, y, weights = self._validated(x, y, sample_weight, incremental, is_first)
        outputs, random_state = self._count_outputs(y), check_random_state(self.random_state)
        self._random_state = random_state
        if is_first:
            self._initialize(settings, x, outputs, random_state)
        elif outputs != self.n_outputs_:
            got = f"{outputs} outputs"
            raise ValueError(_check.refusal("y", got, f"{self.n_outputs_}, as before"))
        model = self._network_now(settings)
        if not incremental or not hasattr(self, "_optimizer"):
            self._compile(model, settings)
        if self.solver == "lbfgs":
            self._fit_lbfgs(model, x, y, weights, validation_data, callbacks)
        else:
            held_out = self._held_out(validation_data)
            self._fit_by_epochs(model, settings, x, y, weights, held_out, callbacks, incremental)
        if not np.isfinite(model.parameters).all():
            raise ValueError(_NOT_FINITE)
        return self

    def _initialize(
        self, settings: Settings, x: Any, outputs: int, random_state: np.random.RandomState
    ) -> None:
        """What a fit begins with that goes on from nothing."""
        self.n_iter_, self.t_, self.n_outputs_ = 0, 0, outputs
        self.n_layers_ = len(settings.hidden) + 2
        self.out_activation_ = self._last_activation()
        real = settings.dtype or np.dtype(np.float32 if x.dtype == np.float32 else np.float64)
        if self.solver == "lbfgs" and settings.dtype is None:
            real = np.dtype(np.float64)
        units = (x.shape[1], *settings.hidden, outputs)
        shape = self._shape_of(settings, units, real)
        kernels, biases = _layers.drawn(shape, random_state)
        seed = random_state.randint(np.iinfo(np.int32).max) if any(settings.dropout) else 0
        self._be_network(_layers.network_of(shape, seed), shape, kernels, biases)
        with contextlib.suppress(AttributeError):
            del self._optimizer
        self._best_parameters = None
        self._no_improvement_count = 0
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            self._begin_figures(self.early_stopping)

    def _begin_figures(self, has_scores: bool) -> None:
        """Nothing is known yet of what decides when a fit ends."""
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if has_scores else None
        self.best_validation_score_ = -np.inf if has_scores else None

    def _compile(self, model: Sequential, settings: Settings) -> None:
        """Gives the network an optimizer that remembers nothing."""
        loss, weight = self._loss_and_weight(model.dtype)
        self._optimizer = optimizer_of(self, settings) if self.solver != "lbfgs" else None
        model.compile(self._optimizer or "sgd", loss, loss_weights=[weight])

    def _fit_by_epochs(
        self,
        model: Sequential,
        settings: Settings,
        x: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        held_out: tuple[Any, Any, Any] | None,
        callbacks: list[Any],
        incremental: bool,
    ) -> None:
        if self.early_stopping and held_out is None:
            x, y, weights, held_out = self._split(x, y, weights)
        if not hasattr(self, "loss_curve_"):  # after a fit by another solver
            self.loss_curve_ = []
        has_scores = getattr(self, "validation_scores_", None) is not None
        is_by_score = getattr(self, "best_loss_", np.inf) is None
        if has_scores != (held_out is not None) or is_by_score != self.early_stopping:
            self._begin_figures(held_out is not None)
        if self.early_stopping and getattr(self, "_best_parameters", None) is None:
            self._best_parameters = model.parameters.copy()
        rows, rate = x.shape[0], settings.rate
        following = Following(
            self,
            None if held_out is None else lambda: self._score_of(*held_out),
            rate if isinstance(rate, str) and self.solver != "adam" else "constant",
        )
        batch_size = self._batch_size(rows)
        random_state = self._random_state if self.shuffle else None
        targets = self._targets_of(y, model)
        weights = self._weights_for_plans(weights, rows)
        if hasattr(x, "toarray"):
            source: Any = SparseRows(
                x.tocsr(), targets, weights, model.dtype, batch_size, random_state
            )
        else:
            of_outputs = None if weights is None else (weights,)
            examples = Examples(dense(x, model.dtype), targets, of_outputs)
            source = DenseRows(examples, batch_size, random_state)
        epochs = 1 if incremental else self.max_iter
        course = training.Course(batch_size, epochs, 0, False, [following, *callbacks])
        if not is_stochastic(self.solver):
            course = course._replace(batch_size=None)
        self.n_iter_ = 0
        try:
            with Turn(model._turns, "fit", is_long=True):
                training.run(model, course, source, None, (), Names((None,), None))
        except training.DivergenceError as error:
            if not self.early_stopping:
                raise ValueError(f"{_NOT_FINITE} ({error})") from error
            following.diverge(rows)
            warnings.warn(f"the training diverged: {error}", ConvergenceWarning, stacklevel=4)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        else:
            if not incremental and not model.stop_training:
                text = (
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                    "optimization hasn't converged yet."
                )
                warnings.warn(text, ConvergenceWarning, stacklevel=4)
        if self.early_stopping:
            model.parameters[...] = self._best_parameters

    def _batch_size(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            text = (
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
            warnings.warn(text, stacklevel=5)
        return min(int(self.batch_size), rows)

    def _split(
        self, x: Any, y: np.ndarray, weights: np.ndarray | None
    ) -> tuple[Any, np.ndarray, np.ndarray | None, tuple[Any, Any, Any]]:
        """Rows to train on and rows that are held out, which scikit-learn would choose."""
        kept, held = train_test_split(
            np.arange(x.shape[0]),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(y),
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        of_kept = of_held = None
        if weights is not None:
            of_kept, of_held = weights[kept], weights[held]
        if hasattr(x, "toarray"):
            x = x.tocsr()
        return x[kept], y[kept], of_kept, (x[held], self._answers(y[held]), of_held)

    def _held_out(self, validation_data: Any) -> tuple[Any, Any, Any] | None:
        """What somebody gave to validate with, checked."""
        if validation_data is None:
            return None
        x, y, sample_weight = validation_arrays(validation_data)
        x = validate_data(self, x, accept_sparse=list(_SPARSE), reset=False)
        if x.shape[0] != np.shape(y)[0]:
            got = f"{x.shape[0]} rows of x and {np.shape(y)[0]} of y"
            raise ValueError(_check.refusal("validation_data", got, "as many of both"))
        return x, np.asarray(y), self._weights_of_rows(x, sample_weight)

    def _score_of(self, x: Any, y: Any, weights: np.ndarray | None) -> float:
        """The score on validated rows; NaN where predictions are no numbers."""
        outputs = self._outputs(x)
        if not np.isfinite(outputs).all():
            return float("nan")
        with np.errstate(over="ignore", invalid="ignore"):
            return float(self._metric(y, self._named(outputs), sample_weight=weights))

    def _fit_lbfgs(
        self,
        model: Sequential,
        x: Any,
        y: np.ndarray,
        weights: np.ndarray | None,
        validation_data: Any,
        callbacks: list[Any],
    ) -> None:
        for name, got in (("validation_data", validation_data), ("callbacks", callbacks or None)):
            if got is not None:
                expected = "None with the solver 'lbfgs', which has no epochs"
                raise ValueError(_check.refusal(name, _check.kind_of(got), expected))
        x = x.tocsr() if hasattr(x, "toarray") else x
        targets = self._targets_of(y, model)
        found = _lbfgs.descend(
            model,
            self._units(),
            dense_pieces(x, targets, weights, model.dtype),
            float(self.alpha),
            self.tol,
            self.max_iter,
            self.max_fun,
            self.verbose,
        )
        self.n_iter_ = found.steps
        self.loss_ = (found.loss - found.penalty) / self._outputs_in_mean() + found.penalty

    # ---- its figures ---------------------------------------------------------------------------

    def _outputs_in_mean(self) -> int:
        """How many times what is trained is what is told of a row: see `_loss_of`."""
        return 1

    def _weights_for_plans(self, weights: np.ndarray | None, rows: int) -> np.ndarray | None:
        """Weights, also where all are 1, if the loss is to be known apart from the penalty."""
        return np.ones(rows) if weights is None and self._outputs_in_mean() > 1 else weights

    def _loss_of(self, tally: Any) -> float:
        """The loss of an epoch as scikit-learn tells it: of each batch by its rows.

        Of several outputs scikit-learn goes along the gradient of the sum of squares and tells of
        their mean.
        """
        loss, share = tally.loss_sum / tally.rows_seen, self._outputs_in_mean()
        if share == 1:
            return loss
        losses, rows = tally.numbers()[4:6]
        mean = 0.5 * losses / rows
        return loss - (share - 1) * mean

    # ---- the network ---------------------------------------------------------------------------

    def _units(self) -> tuple[int, ...]:
        """Of all layers, as the weights say."""
        kernels = [np.shape(kernel) for kernel in self.coefs_]
        return (kernels[0][0], *(outputs for _, outputs in kernels))

    def _shape_of(self, settings: Settings, units: tuple[int, ...], real: np.dtype) -> Shape:
        alpha = settings.alpha if self.solver != "lbfgs" else 0.0
        last = self.out_activation_
        return Shape(units, settings.activations, settings.dropout, last, alpha, real)

    def _be_network(
        self, model: Sequential, shape: Shape, kernels: list[Any], biases: list[Any]
    ) -> None:
        """Makes this the network, with these weights."""
        of_kernels, of_biases = _layers.views(shape.units, model.parameters)
        _layers.write(of_kernels, kernels)
        _layers.write(of_biases, biases)
        self._network, self._network_shape = model, shape
        self._views = (of_kernels, of_biases)
        self.coefs_, self.intercepts_ = list(of_kernels), list(of_biases)

    def _network_now(self, settings: Settings | None = None) -> Sequential:
        """The network with the weights that `coefs_` and `intercepts_` hold.

        For the parameters of the moment, if `settings` are theirs: another one goes on from what
        the optimizer remembers.
        """
        model = getattr(self, "_network", None)
        if model is None or settings is not None:
            real = np.result_type(*self.coefs_) if model is None else model.dtype
            if model is None and real != np.float32:
                real = np.dtype(np.float64)
            shape = self._shape_of(settings or Settings.of(self), self._units(), real)
            if model is None or shape != self._network_shape:
                new = _layers.network_of(shape, 0 if model is None else model.seed)
                if model is not None:
                    new._progress = model._progress
                    compiled = model._compiled
                    new._compiled = Compiled(compiled.optimizer, compiled.objectives)
                    new._compiled.memory = compiled.memory
                self._be_network(new, shape, self.coefs_, self.intercepts_)
                return new
        for views, arrays in zip(self._views, (self.coefs_, self.intercepts_), strict=True):
            for number, view in enumerate(views):
                if arrays[number] is not view:
                    view[...] = arrays[number]
                    arrays[number] = view
        return model

    def __getstate__(self) -> dict[str, Any]:
        if hasattr(self, "_network"):
            self._network_now()
        state = dict(super().__getstate__())
        if "_network" in state:
            for name in ("coefs_", "intercepts_", "_views"):
                state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_network" in state:
            self._views = _layers.views(self._network_shape.units, self._network.parameters)
            self.coefs_, self.intercepts_ = list(self._views[0]), list(self._views[1])
            if getattr(self, "_optimizer", None) is not None:
                self._optimizer = self._network.optimizer

    # ---- predicting ----------------------------------------------------------------------------

    def _checked_outputs(self, x: Any) -> np.ndarray:
        """What the network makes of rows, which are looked at first."""
        check_is_fitted(self)
        return self._outputs(validate_data(self, x, accept_sparse=list(_SPARSE), reset=False))

    def _outputs(self, x: Any) -> np.ndarray:
        """What the network makes of validated rows, (rows, n_outputs_)."""
        model = self._network_now()
        if hasattr(x, "toarray"):
            x = x.tocsr()
            bytes_of_row = x.shape[1] * model.dtype.itemsize
            found = [
                model.predict(dense(x[first:last], model.dtype))
                for first, last in pieces(x.shape[0], bytes_of_row)
            ]
            outputs = np.concatenate(found)
        else:
            outputs = model.predict(x)
        if self.out_activation_ == "exp":
            with np.errstate(over="ignore", under="ignore"):
                np.exp(outputs, out=outputs)
        return outputs

    def _check_solver(self) -> bool:
        """Whether there is a `partial_fit`."""
        if not is_stochastic(self.solver):
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
