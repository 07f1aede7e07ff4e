"""What scikit-learn's MLP does between epochs: figures, learning rates, and when to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastweights.callbacks import Callback, Logs
from fastweights.optimizers import Optimizer


class Following(Callback):
    """Keeps an estimator's figures up to date, and ends its fit where scikit-learn would.

    Parameters
    ----------
    estimator : MLP
    score : callable, optional
        Gives the score on the rows that are held out.
    rate : {"constant", "invscaling", "adaptive"}
        How the learning rate goes on from epoch to epoch.
    """

    def __init__(self, estimator: Any, score: Callable[[], float] | None, rate: str) -> None:
        super().__init__()
        self._estimator, self._score, self._rate = estimator, score, rate

    def on_train_begin(self, logs: Logs) -> None:
        self._first_rate = self._optimizer().learning_rate

    def _optimizer(self) -> Optimizer:
        return self.model._compiled.training()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        one, model = self._estimator, self.model
        loop = model._loop
        assert loop is not None
        assert loop.figures is not None
        self.note(one._loss_of(loop.figures.tally), loop.figures.tally.rows_seen)
        if self._score is not None:
            logs["val_score"] = self._note_score(self._score())
        self._count(one.loss_curve_[-1])
        if self._rate == "invscaling":
            self._optimizer().learning_rate = self._first_rate / (one.t_ + 1) ** one.power_t
        if one._no_improvement_count > one.n_iter_no_change and not self._goes_on():
            model.stop_training = True

    def note(self, loss: float, rows: int) -> None:
        """One more epoch, of so many rows."""
        one = self._estimator
        one.n_iter_ += 1
        one.t_ += rows
        one.loss_ = loss
        one.loss_curve_.append(loss)
        if one.verbose:
            print(f"Iteration {one.n_iter_}, loss = {loss:.8f}")

    def _note_score(self, score: float) -> float:
        one = self._estimator
        one.validation_scores_.append(score)
        if one.verbose:
            print(f"Validation score: {score:f}")
        return score

    def _count(self, loss: float) -> None:
        """Counts epochs that have brought too little, and keeps the best weights."""
        one = self._estimator
        if self._score is not None:
            score, best = one.validation_scores_[-1], one.best_validation_score_
            has_failed = score < best + one.tol
            if score > best:
                one.best_validation_score_ = score
                one._best_parameters = self.model.parameters.copy()
        if self._score is None or not one.early_stopping:
            has_failed = loss > one.best_loss_ - one.tol
            one.best_loss_ = min(one.best_loss_, loss)
        one._no_improvement_count = one._no_improvement_count + 1 if has_failed else 0

    def _goes_on(self) -> bool:
        """Whether a fit that has come to a stand goes on, with a smaller learning rate."""
        one, optimizer = self._estimator, self._optimizer()
        what = "Validation score" if one.early_stopping else "Training loss"
        line = (
            f"{what} did not improve more than tol={one.tol:f} for "
            f"{one.n_iter_no_change} consecutive epochs."
        )
        if self._rate != "adaptive":
            self._say(f"{line} Stopping.")
            return False
        if optimizer.learning_rate <= 1e-6:
            self._say(f"{line} Learning rate too small. Stopping.")
            return False
        optimizer.learning_rate /= 5.0
        self._say(f"{line} Setting learning rate to {optimizer.learning_rate:f}")
        one._no_improvement_count = 0
        return True

    def _say(self, line: str) -> None:
        if self._estimator.verbose:
            print(line)

    def diverge(self, rows: int) -> None:
        """One more epoch of which nothing is a number."""
        self.note(np.nan, rows)
        self._note_score(float("nan"))
