"""Crossentropies: of two classes, each output on its own, and of several; also the focal ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastweights import _check, _frames
from fastweights.losses.base import Loss, check_length, refuse


class Crossentropy(Loss):
    """What the crossentropies share."""

    activation: ClassVar[str]
    from_logits: bool

    def __init__(self, from_logits: bool = False) -> None:
        self._set(from_logits=_check.flag("from_logits", from_logits))

    @property
    def kernel(self) -> str:
        return self.name + "_logits" if self.from_logits else self.name

    @property
    def fused_with(self) -> str | None:
        return None if self.from_logits else self.activation

    @property
    def fused_kernel(self) -> str | None:
        return None if self.from_logits else self.name + "_logits"


class SmoothedCrossentropy(Crossentropy):
    """What those share whose targets can be smoothed."""

    label_smoothing: float

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        smoothing = _check.number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
        self._set(label_smoothing=smoothing)

    @property
    def options(self) -> tuple[float, ...]:
        """How much targets are smoothed, first of all."""
        return (self.label_smoothing,)


class LimitedCrossentropy(SmoothedCrossentropy):
    """What those share of which no more than some value may be told."""

    value_limit: float | None

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        value_limit: float | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing)
        if value_limit is not None:
            value_limit = _check.number("value_limit", value_limit, above=0.0)
        self._set(value_limit=value_limit)

    @property
    def options(self) -> tuple[float, ...]:
        limit = () if self.value_limit is None else (self.value_limit,)
        return (self.label_smoothing, *limit)


class BinaryCrossentropy(LimitedCrossentropy):
    """``-mean(t log(p) + (1 - t) log(1 - p))`` for each output on its own, ``t`` within [0, 1].

    Probabilities are clipped to [1e-7, 1 - 1e-7]. Where sigmoid is the last activation, or with
    `from_logits`, the loss works on what goes into it and is exact for any logit.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/2 by this share (Szegedy et al. 2016).
    value_limit : float, optional
        Of what an output costs no more than this is told; gradients know nothing of it. Minus the
        logarithm of the dtype's epsilon is scikit-learn's limit.
    """

    name = "binary_crossentropy"
    activation = "sigmoid"
    _hint_for_labels = (
        "; one unit with sigmoid takes labels 0 and 1, or two with softmax and the loss "
        "sparse_categorical_crossentropy"
    )

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        refuse(
            argument,
            targets,
            (targets < 0) | (targets > 1),
            f"numbers from 0 to 1 for the loss {self.name}",
        )
        return targets


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """The mean of ``(1 - r)^gamma`` times the binary crossentropy: what is right counts less.

    ``r = t p + (1 - t)(1 - p)`` is how right a prediction is. Lin et al., "Focal loss for dense
    object detection" (ICCV 2017). With gamma 0 it is :class:`BinaryCrossentropy`, of which all else
    is said.

    Parameters
    ----------
    apply_class_balancing : bool
        Whether targets of 1 count `alpha` and those of 0 count ``1 - alpha``.
    alpha : float
        In [0, 1].
    gamma : float
        How much less a prediction counts that is right already, at least 0.
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/2 by this share.
    """

    name = "binary_focal_crossentropy"
    apply_class_balancing: bool
    alpha: float
    gamma: float

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self._set(
            apply_class_balancing=_check.flag("apply_class_balancing", apply_class_balancing),
            alpha=_check.number("alpha", alpha, minimum=0.0, maximum=1.0),
            gamma=_check.number("gamma", gamma, minimum=0.0),
        )
        SmoothedCrossentropy.__init__(self, from_logits, label_smoothing)

    @property
    def options(self) -> tuple[float, ...]:
        zero, one = (1.0 - self.alpha, self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        return (self.label_smoothing, self.gamma, zero, one - zero)


# ---- several classes -----------------------------------------------------------------------------


def _check_classes(loss: Loss, outputs: int) -> None:
    if outputs < 2:
        raise ValueError(
            _check.refusal("loss", f"{loss.name} for a network with 1 output", "2 outputs or more")
            + "; for one output use binary_crossentropy"
        )


class CategoricalCrossentropy(SmoothedCrossentropy):
    """``-sum(t log(p))`` over the classes; `t` is a row of probabilities, one-hot as a rule.

    Predictions are divided by their sum and clipped to [1e-7, 1 - 1e-7]. Where softmax is the last
    activation, or with `from_logits`, the loss works on what goes into it and is exact for any
    logit.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/classes by this share (Szegedy et al. 2016).
    """

    name = "categorical_crossentropy"
    activation = "softmax"
    of_classes = True
    _hint_for_labels = "; for class labels use the loss sparse_categorical_crossentropy"

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        _check_classes(self, outputs)
        if type(y) is np.ndarray and y.ndim == 2 and y.shape[1] not in (1, outputs):
            got, expected = f"shape {y.shape}", f"shape (rows, {outputs})"
            hint = "; the last layer has as many units as there are classes"
            raise ValueError(_check.refusal(argument, got, expected) + hint)
        return super().prepare_targets(y, rows, outputs, real, argument)

    def suitable(self, argument: str, targets: np.ndarray) -> np.ndarray:
        refuse(
            argument,
            targets,
            targets < 0,
            f"numbers of at least 0 for the loss {self.name}",
        )
        return targets


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """``-alpha sum(t (1 - p)^gamma log(p))`` over the classes: what is right already counts less.

    Lin et al., "Focal loss for dense object detection" (ICCV 2017). With gamma 0 and alpha 1 it is
    :class:`CategoricalCrossentropy`, of which all else is said. Keras also has an `alpha` for each
    class.

    Parameters
    ----------
    alpha : float
        What the loss is multiplied by, above 0.
    gamma : float
        How much less a class counts that is right already, at least 0.
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        In [0, 1]: draws targets towards 1/classes by this share.
    """

    name = "categorical_focal_crossentropy"
    alpha: float
    gamma: float

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self._set(
            alpha=_check.number("alpha", alpha, above=0.0),
            gamma=_check.number("gamma", gamma, minimum=0.0),
        )
        super().__init__(from_logits, label_smoothing)

    @property
    def options(self) -> tuple[float, ...]:
        return (self.label_smoothing, self.gamma, self.alpha)


class SparseCategoricalCrossentropy(LimitedCrossentropy):
    """``-log(p[label])``: :class:`CategoricalCrossentropy` for labels 0, 1, ..., outputs - 1.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits instead of probabilities.
    label_smoothing : float
        As of :class:`CategoricalCrossentropy`; Keras has it there alone.
    value_limit : float, optional
        Of what a row costs no more than this is told, as of :class:`BinaryCrossentropy`.
    """

    name = "sparse_categorical_crossentropy"
    activation = "softmax"
    of_classes = True
    takes_labels = True

    def target_bytes(self, outputs: int, real: np.dtype) -> int:
        return np.dtype(np.int32).itemsize

    def prepare_targets(
        self, y: Any, rows: int, outputs: int, real: np.dtype, argument: str = "y"
    ) -> np.ndarray:
        _check_classes(self, outputs)
        given = _check.numeric_array(argument, y)
        if given.ndim != 1 and given.shape[1:] != (1,):
            is_dense = given.shape[1:] == (outputs,)
            hint = "; for one-hot rows use the loss categorical_crossentropy" if is_dense else ""
            raise ValueError(
                _check.refusal(argument, f"shape {given.shape}", "class labels of shape (rows,)")
                + hint
            )
        check_length(argument, given, rows)
        if given.dtype.kind == "f":
            given = _check.reals(argument, given, np.dtype(np.float64), _frames.labels(y))
        # A copy, and checked after it was made: kernels read memory at what a label says.
        labels = given.reshape(rows).copy()
        is_bad = (labels < 0) | (labels >= outputs) | (labels != np.floor(labels))
        expected = f"whole numbers from 0 to {outputs - 1}, one for each unit of the last layer"
        if is_bad.any() and (labels != np.floor(labels)).any():
            expected += "; for other numbers use a loss such as mean_squared_error"
        refuse(argument, labels, is_bad, expected)
        return labels.astype(np.int32)
