"""Metrics that are functions: one's own, and scikit-learn's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from fastweights import _check, losses
from fastweights._arguments import refuse_other_functions
from fastweights._own import Registry
from fastweights.metrics.base import Metric, is_classifier, is_signed, reads_logits

#: Functions of other people's by package and name: see `fastweights.register_metric`.
REGISTERED = Registry("metric")


class _OfFunction(Metric):
    """What is found by Python code from all rows of a pass."""

    takes_labels = None

    @property
    def kernel(self) -> None:
        return None

    def __hash__(self) -> int:
        return hash((type(self), self.name))


class MeanMetricWrapper(_OfFunction):
    """A function ``(y_true, y_pred)`` of one's own: ``metrics=[function]`` is one, too.

    It is called once an epoch, after the last batch, with all rows of the pass, so its figure does
    not depend on how they were cut into batches. Of one number for each row, or of more of which
    the mean is taken, it is the mean, with the weights of the rows; one number alone is the figure
    as it is. Keras calls it for each batch, and takes the mean of such numbers. A pass keeps its
    predictions for that, 8 bytes a number at most. A row of weight 0 does not come.

    Parameters
    ----------
    fn : callable
        Takes arrays that it may not write to: targets as the loss takes them, in the shape of the
        predictions, or class labels (rows,), and predictions (rows, *output_shape). Of outputs
        with a mask, or with a weight for each step, the steps that count come as rows. If it has
        an argument `sample_weight`, that is an array (rows,) or None.
    name : str, optional
        What histories and logs call it; by default the function's.
    larger_is_better : bool
        Which way a callback takes for better.
    **kwargs
        Handed on to the function.
    """

    kind = "mean_metric_wrapper"
    needs_target_of_each = False
    fn: Callable[..., Any]
    kwargs: dict[str, Any]

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        larger_is_better: bool = False,
        **kwargs: Any,
    ) -> None:
        weights = {"sample_weight": None} if callable(fn) and _takes_weights(fn) else {}
        expected = f"a function (y_true, y_pred{''.join(f', {name}' for name in kwargs)})"
        refuse_other_functions("fn", fn, expected, (None, None), {**weights, **kwargs})
        super().__init__(_name_of(fn) if name is None else name, fn=fn)
        self._set(
            larger_is_better=_check.flag("larger_is_better", larger_is_better),
            kwargs=kwargs,
        )

    def config(self) -> dict[str, Any]:
        return {
            "kind": REGISTERED.name_of(self.fn) or self.kind,
            "name": self.name,
            "larger_is_better": self.larger_is_better,
            **({"kwargs": self.kwargs} if self.kwargs else {}),
        }

    @property
    def is_registered(self) -> bool:
        """Whether `fastweights.load` can make it again."""
        return REGISTERED.name_of(self.fn) is not None

    def figure(self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> float:
        takes_weights = _takes_weights(self.fn)
        more = {"sample_weight": weights} if takes_weights else {}
        try:
            found = np.asarray(self.fn(y_true, y_pred, **more, **self.kwargs))
        except ValueError as error:
            if not str(getattr(self.fn, "__module__", "")).startswith("sklearn."):
                raise
            got = f"{_name_of(self.fn)} of scikit-learn, which says: {error}"
            expected = "metrics.from_sklearn of it, which gives it classes or probabilities"
            raise ValueError(_check.refusal("metrics", got, expected)) from error
        if found.dtype.kind not in "biuf":
            got = f"{found.dtype} from {self.name}"
            raise TypeError(_check.refusal("metrics", got, "numbers"))
        rows = len(y_pred)
        if found.ndim == 0:
            if weights is not None and not takes_weights:
                got = f"one number from {self.name}, of rows with weights"
                expected = "one of each row, or an argument sample_weight of the function"
                raise ValueError(_check.refusal("metrics", got, expected))
            return float(found)
        if found.shape[0] != rows or 0 in found.shape[1:]:
            got = f"an array of shape {found.shape} from {self.name}"
            expected = f"one number, or one of each of {rows} rows"
            raise ValueError(_check.refusal("metrics", got, expected))
        if rows == 0:
            return 0.0
        return float(np.average(found.reshape(rows, -1).mean(axis=1, dtype=float), weights=weights))


def known_metric(config: Mapping[str, Any], custom: Mapping[str, Any]) -> MeanMetricWrapper:
    """What a config describes that names a function of somebody's own, of `custom` first."""
    settings = dict(config)
    name = settings.pop("kind")
    function = REGISTERED.find(name, custom)
    arguments = settings.pop("kwargs", {})
    with REGISTERED.making(name, function):
        return MeanMetricWrapper(function, **settings, **arguments)


class ScikitLearn(_OfFunction):
    """A metric of scikit-learn's; `from_sklearn` makes them."""

    kind = "scikit_learn"

    def __init__(
        self,
        metric: Callable[..., Any],
        name: str,
        response_method: str,
        larger_is_better: bool,
        kwargs: dict[str, Any],
        loss: losses.Loss | None = None,
    ) -> None:
        super().__init__(name)
        self._set(
            metric=metric,
            response_method=response_method,
            larger_is_better=larger_is_better,
            kwargs=kwargs,
            _loss=loss,
        )

    metric: Callable[..., Any]
    response_method: str
    kwargs: dict[str, Any]
    _loss: losses.Loss | None

    @property
    def of_classes(self) -> bool:
        return self._loss is not None and self._loss.of_classes

    def beside(self, loss: losses.Loss) -> Metric:
        return ScikitLearn(
            self.metric, self.name, self.response_method, self.larger_is_better, self.kwargs, loss
        )

    def figure(self, y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray | None) -> float:
        loss = self._loss
        if loss is None:
            raise TypeError(f"{self.name}: {ScikitLearn.__name__} is beside no loss")
        answers = _Answers(loss, y_pred)
        targets = answers.targets(y_true)
        if weights is not None and not _takes_weights(
            # That of a scorer.
            getattr(self.metric, "_score_func", self.metric)
        ):
            got = f"weights of rows for {self.name}"
            raise ValueError(_check.refusal("metrics", got, "one that has a sample_weight"))
        if _is_function(self.metric):
            response = getattr(answers, self.response_method)()
            if response.ndim == 2 and response.shape[1] == 2 and answers.is_of_two:
                response = response[:, 1]
            more = {} if weights is None else {"sample_weight": weights}
            return float(self.metric(targets, response, **more, **self.kwargs))
        model = answers.estimator()
        if weights is None:
            return float(self.metric(model, y_pred, targets))
        return float(self.metric(model, y_pred, targets, sample_weight=weights))


class _Answers:
    """A network's predictions as an estimator of scikit-learn's would give them."""

    def __init__(self, loss: losses.Loss, y_pred: np.ndarray) -> None:
        self._loss, self._outputs = loss, y_pred.shape[-1]
        self._scores = y_pred.reshape(-1, self._outputs)
        #: Whether there are classes at all.
        self.is_classifier = is_classifier(loss)
        self.is_of_two = self.is_classifier and max(self._outputs, 2) == 2

    def targets(self, y_true: np.ndarray) -> np.ndarray:
        """Classes, or numbers as they are."""
        if not self.is_classifier:
            return (
                y_true.reshape(len(self._scores), -1).squeeze(1)
                if self._outputs == 1
                else (y_true.reshape(self._scores.shape))
            )
        if y_true.dtype.kind == "i":
            return y_true.reshape(-1)
        rows = y_true.reshape(self._scores.shape)
        if self._outputs == 1:
            return (rows[:, 0] > 0).astype(int)
        return rows.argmax(axis=1) if self._loss.of_classes else (rows > 0).astype(int)

    def predict(self) -> np.ndarray:
        if not self.is_classifier:
            return self._scores[:, 0] if self._outputs == 1 else self._scores
        if self._loss.of_classes:
            return self._scores.argmax(axis=1)
        found = (self._scores > (0.0 if is_signed(self._loss) else 0.5)).astype(int)
        return found[:, 0] if self._outputs == 1 else found

    def predict_proba(self) -> np.ndarray:
        scores = self._scores.astype(float)
        if reads_logits(self._loss) and self._loss.of_classes:
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)
        if is_signed(self._loss):
            # 1 / (1 + exp(-z)), which overflows for no z.
            scores = 0.5 * (1.0 + np.tanh(0.5 * scores))
        return np.hstack([1.0 - scores, scores]) if self._outputs == 1 else scores

    def decision_function(self) -> np.ndarray:
        return self._scores[:, 0] if self._outputs == 1 else self._scores

    def estimator(self) -> Any:
        """One of scikit-learn's, fitted, that knows these rows alone."""
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

        answers = self

        class Regressor(RegressorMixin, BaseEstimator):
            def __sklearn_is_fitted__(self) -> bool:
                return True

            def predict(self, rows: Any) -> np.ndarray:
                return answers.predict()

        class Classifier(ClassifierMixin, BaseEstimator):
            classes_ = np.arange(max(answers._outputs, 2))

            def __sklearn_is_fitted__(self) -> bool:
                return True

            def predict(self, rows: Any) -> np.ndarray:
                return answers.predict()

            def predict_proba(self, rows: Any) -> np.ndarray:
                return answers.predict_proba()

        return Classifier() if self.is_classifier else Regressor()


_RESPONSES = ("predict", "predict_proba", "decision_function")


def from_sklearn(
    metric: str | Callable[..., Any],
    name: str | None = None,
    response_method: str = "predict",
    larger_is_better: bool | None = None,
    **kwargs: Any,
) -> Metric:
    """A metric of scikit-learn's, found once an epoch from all rows of the pass.

    A network that is trained with a crossentropy, hinge or KL divergence answers as a classifier
    with classes 0, 1, ..., any other one as a regressor. A pass keeps its predictions for that.

    Parameters
    ----------
    metric : str, scorer or function
        A scorer's name such as ``"neg_median_absolute_error"``, a scorer, or a function
        ``(y_true, y_pred)`` such as ``sklearn.metrics.median_absolute_error``.
    name : str, optional
        What histories and logs call it; by default that of the scorer or function.
    response_method : {"predict", "predict_proba", "decision_function"}
        What a function has as `y_pred`: values or classes, probabilities (of two classes of the
        second one), or outputs as they are. A scorer knows it.
    larger_is_better : bool, optional
        Which way a callback takes for better: of a scorer always, of a function False by default.
    **kwargs
        Handed on to a function; a scorer has its own.

    Raises
    ------
    ModuleNotFoundError
        scikit-learn is not there.
    """
    from sklearn.metrics import get_scorer

    _check.choice("response_method", response_method, dict.fromkeys(_RESPONSES))
    if isinstance(metric, str):
        name, metric = name or metric, get_scorer(metric)
    if _is_function(metric):
        larger = _check.flag("larger_is_better", larger_is_better or False)
        name = name or _name_of(_given_all(metric))
        return ScikitLearn(metric, name, response_method, larger, kwargs)
    if not callable(metric) or isinstance(metric, type):
        expected = "a scorer's name, a scorer or a function"
        raise TypeError(_check.refusal("metric", _check.kind_of(metric), expected))
    settings = {"larger_is_better": larger_is_better, **kwargs}
    if response_method != "predict":
        settings["response_method"] = response_method
    for argument, got in settings.items():
        if got is not None:
            expected = "none beside a scorer, which has its own"
            raise TypeError(_check.refusal(argument, _check.shown(got), expected))
    return ScikitLearn(metric, name or type(metric).__name__, "predict", True, {})


def _name_of(function: Any) -> str:
    found = getattr(function, "__name__", None)
    if found is None:
        raise TypeError(_check.refusal("name", "none", "one for a function that has no __name__"))
    return str(found)


def _is_function(metric: Any) -> TypeGuard[Callable[..., Any]]:
    """Whether it is a function, also one with some of its arguments given; a scorer is none."""
    return inspect.isfunction(_given_all(metric))


def _given_all(metric: Any) -> Any:
    return metric.func if isinstance(metric, functools.partial) else metric


def _takes_weights(function: Callable[..., Any]) -> bool:
    """Whether a function has an argument of that name."""
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
