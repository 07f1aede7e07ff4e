"""How much the predictions of a table's columns need each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastweights.ensembles import Ensemble
from fastweights.models import Model

#: How often each column is shuffled.
REPEATS = 5
#: No probability is taken as less, so that an error is a number.
_LEAST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class LeftOut:
    """Rows that a network has not learnt from.

    Parameters
    ----------
    network : Model or Ensemble
    features : float32 (rows, features)
    targets : float64 (rows, 1) or int64 (rows,)
        As the network learns them.
    weights : float64 (rows,), optional
        What each row counts.
    """

    network: Model | Ensemble
    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None


def column_importances(
    left_out: Sequence[LeftOut],
    groups: Mapping[str, np.ndarray],
    quantiles: Sequence[float] = (),
    seed: int = 0,
    repeats: int = REPEATS,
) -> dict[str, float]:
    """How much the error on rows that were left out grows where a column says nothing of its row.

    All features of a column are shuffled among the rows together (Breiman, "Random forests", 2001;
    Fisher, Rudin and Dominici, "All Models are Wrong, but Many are Useful", 2019). The error is the
    log loss of classes, and of the standardised target the squared one, or the pinball loss of
    quantiles. Of columns that say the same a network may need none.

    Parameters
    ----------
    left_out : sequence of LeftOut
    groups : mapping of str to int array
        The places of each column's features.
    quantiles : sequence of float
        Those that are predicted, if quantiles are.
    seed : int
        Of the shuffles.
    repeats : int
        How many shuffles of each column.

    Returns
    -------
    dict of str to float
        By the columns' names, parts of 1; 0 where the error does not grow. All are 0 where none
        does.
    """
    random = np.random.default_rng(seed)
    growth = dict.fromkeys(groups, 0.0)
    for part in left_out:
        before = _error(part, part.features, quantiles)
        shuffled = part.features.copy()
        for name, places in groups.items():
            for _ in range(repeats):
                order = random.permutation(len(shuffled))
                shuffled[:, places] = part.features[np.ix_(order, places)]
                growth[name] += _error(part, shuffled, quantiles) - before
            shuffled[:, places] = part.features[:, places]
    grown = {name: max(value, 0.0) for name, value in growth.items()}
    whole = sum(grown.values())
    return {name: value / whole if whole else 0.0 for name, value in grown.items()}


def _error(part: LeftOut, features: np.ndarray, quantiles: Sequence[float]) -> float:
    """The sum over rows."""
    outputs = part.network.predict(features, verbose=0).astype(np.float64)
    if part.targets.ndim == 1:
        likelihood = outputs[np.arange(len(outputs)), part.targets]
        errors = -np.log(np.maximum(likelihood, _LEAST))
    else:
        apart = part.targets - outputs
        levels = np.asarray(quantiles)
        each = np.maximum(levels * apart, (levels - 1.0) * apart) if len(levels) else apart**2
        errors = each.mean(axis=1)
    return float((errors if part.weights is None else errors * part.weights).sum())
