"""Networks behind scikit-learn's face: estimators for its pipelines, searches and scorers.

>>> from fastweights.sklearn import MLPClassifier
>>> model = MLPClassifier(random_state=0).fit(x, y)
>>> model.predict_proba(x_new)

`MLPClassifier` and `MLPRegressor` have the parameters, defaults and attributes of scikit-learn's,
and with one `random_state` its numbers: see docs/scikit-learn.md.
"""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401  (to say what is missing)
except ImportError:
    raise ModuleNotFoundError(
        "fastweights.sklearn needs scikit-learn, which is not installed: "
        "pip install 'fastweights[sklearn]'"
    ) from None

from fastweights.sklearn._mlp_classifier import MLPClassifier
from fastweights.sklearn._mlp_regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
