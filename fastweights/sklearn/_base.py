"""What all estimators have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

from fastweights import _check


class NetworkEstimator(BaseEstimator):
    """Base of the estimators: keeps parameters, and says how much rows count."""

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Takes the parameters, as they are, from the locals of the constructor."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _weights_of_rows(
        self, x: Any, sample_weight: Any, class_weight: Any = None, classes: Any = None
    ) -> np.ndarray | None:
        """What each row of `x` counts, in float64; None where all count 1.

        Parameters
        ----------
        x : array or sparse matrix (rows, features)
            Validated.
        sample_weight : array_like (rows,), optional
        class_weight : dict, list of dict or "balanced", optional
            As scikit-learn's `compute_sample_weight` takes them.
        classes : array (rows,) or (rows, outputs), optional
            Whose classes these are.

        Raises
        ------
        ValueError
            A weight is negative.
        """
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, x, dtype=np.float64)
        if class_weight is not None:
            by_class = compute_sample_weight(class_weight, classes)
            weights = by_class if weights is None else weights * by_class
        if weights is None:
            return None
        if (weights < 0).any():
            row = int((weights < 0).argmax())
            got = f"{weights[row]} in row {row}"
            raise ValueError(_check.refusal("sample_weight", got, "numbers of at least 0"))
        return np.ascontiguousarray(weights, np.float64)
