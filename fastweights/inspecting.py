"""What a model makes of its inputs: features that matter, and what each does to a prediction.

# Design: both work on whole columns of checked rows through `Model.evaluate` and `Model.predict`,
# so they say what users of the model would see, whatever the network is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastweights import _check, _feeding, _frames
from fastweights.callbacks.monitoring import figure_of
from fastweights.models import Model

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


class Importances(NamedTuple):
    """How much worse a figure becomes where a feature is shuffled among the rows.

    Attributes
    ----------
    names : tuple of str
        Of the features, a frame's columns or numbers.
    figure : str
        What is worse: ``"loss"`` or the name of a metric.
    baseline : float
        The figure on rows as they are.
    repeats : ndarray (features, n_repeats)
        By how much it was worse each time; below 0 it was better.
    """

    names: tuple[str, ...]
    figure: str
    baseline: float
    repeats: Array

    @property
    def means(self) -> Array:
        """Of the repeats, (features,)."""
        return self.repeats.mean(axis=1)

    @property
    def deviations(self) -> Array:
        """Standard deviations of the repeats, (features,)."""
        return self.repeats.std(axis=1)

    def ranked(self) -> list[tuple[str, float]]:
        """Name and mean of each feature, the most important one first."""
        order = np.argsort(-self.means, kind="stable")
        return [(self.names[number], float(self.means[number])) for number in order]

    def plot(
        self, most: int = 30, ax: Any = None, to_file: str | os.PathLike[str] | None = None
    ) -> Any:
        """Draws the `most` important features as bars; returns the matplotlib axes."""
        from fastweights.plotting.effects import plot_importances

        most = _check.whole("most", most, 1)
        return plot_importances(self.names, self.repeats, self.figure, most, ax, to_file)


def permutation_importance(
    model: Model,
    x: Any,
    y: Any,
    figure: str = "loss",
    n_repeats: int = 5,
    seed: int = 0,
) -> Importances:
    """How much a trained model needs each feature (Breiman, "Random forests", 2001).

    A feature's values are shuffled among the rows, which leaves all but what they say of the row.
    Of two features that say the same the model may need neither. On unseen rows it tells what helps
    to predict, on those of training also what was learnt by heart.

    Parameters
    ----------
    model : Model
        Trained and compiled, with one input of plain rows ``(features,)``.
    x : array_like or frame (rows, features)
    y : array_like
        As for `Model.evaluate`.
    figure : str
        ``"loss"`` or the name of a metric that the model was compiled with, whose figure is a
        number.
    n_repeats : int
        How many shuffles of each feature.
    seed : int
        Of the shuffles.

    Returns
    -------
    Importances
        Draws itself: ``permutation_importance(model, x, y).plot()``.
    """
    rows, names = _plain_rows(model, x)
    repeats = _check.whole("n_repeats", n_repeats, 1)
    random = np.random.default_rng(_check.whole("seed", seed, 0))
    figures = _figures(model, rows, y)
    _check.choice("figure", figure, figures)
    figure_of(figure, figures, "figure")
    sign = -1.0 if model._larger_is_better(figure) else 1.0
    shuffled = rows.copy()
    worse = np.empty((len(names), repeats))
    for column in range(len(names)):
        for repeat in range(repeats):
            shuffled[:, column] = random.permutation(rows[:, column])
            found = _figures(model, shuffled, y)[figure]
            worse[column, repeat] = sign * (found - figures[figure])
        shuffled[:, column] = rows[:, column]
    return Importances(names, figure, figures[figure], worse)


def _figures(model: Model, rows: Array, y: Any) -> dict[str, float]:
    figures = model.evaluate(rows, y, return_dict=True)
    assert isinstance(figures, dict)
    return figures


class Dependence(NamedTuple):
    """What one feature does to predictions.

    Attributes
    ----------
    name : str
    grid : ndarray (points,)
        Values that the feature was given.
    average : ndarray (points, outputs)
        Mean prediction over the rows, which keep all their other features.
    individual : ndarray (rows, points, outputs) or None
        The prediction of each row, where they were asked for.
    """

    name: str
    grid: Array
    average: Array
    individual: Array | None


class PartialDependence(tuple[Dependence, ...]):
    """One `Dependence` for each feature."""

    __slots__ = ()

    def plot(self, output: int = 0, to_file: str | os.PathLike[str] | None = None) -> Array:
        """Draws a curve for each feature, by the output of that number, on one scale.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
        """
        from fastweights.plotting.effects import plot_dependences

        outputs = self[0].average.shape[1]
        output = _check.whole("output", output, 0, outputs - 1)
        return plot_dependences(
            [
                (
                    one.name,
                    one.grid,
                    one.average[:, output],
                    None if one.individual is None else one.individual[:, :, output],
                )
                for one in self
            ],
            "prediction" if outputs == 1 else f"prediction, output {output}",
            to_file,
        )


#: Rows that a prediction is asked for at a time, as many as are drawn one by one, points of a grid.
MOST_ROWS, MOST_DRAWN = 10_000, 200


def partial_dependence(
    model: Model,
    x: Any,
    features: int | str | Sequence[int | str] | None = None,
    grid_resolution: int = 50,
    kind: str = "average",
    seed: int = 0,
) -> PartialDependence:
    """The mean prediction by a feature's value, all others as they are (Friedman 2001).

    Parameters
    ----------
    model : Model
        With one input of plain rows ``(features,)``, and one output.
    x : array_like or frame (rows, features)
        Of more than 10,000 rows so many are drawn.
    features : int, str or sequence of those, optional
        Columns by number or name; all unless given.
    grid_resolution : int
        Points at most, from the 5 % to the 95 % quantile; fewer where a column has fewer values.
    kind : {"average", "both"}
        "both" keeps the curves of up to 200 rows as well, which show whether the mean hides
        opposite effects (Goldstein et al. 2015).
    seed : int
        Of the rows that are drawn.

    Returns
    -------
    PartialDependence
        Draws itself: ``partial_dependence(model, x, ["age"]).plot()``.
    """
    rows, names = _plain_rows(model, x)
    _check.choice("kind", kind, dict.fromkeys(("average", "both")))
    points = _check.whole("grid_resolution", grid_resolution, 2)
    random = np.random.default_rng(_check.whole("seed", seed, 0))
    if len(model.output_names) > 1:
        got = f"a model with outputs {', '.join(model.output_names)}"
        raise ValueError(_check.refusal("model", got, "one output"))
    if len(rows) > MOST_ROWS:
        rows = rows[np.sort(random.choice(len(rows), MOST_ROWS, replace=False))]
    drawn = np.arange(len(rows))
    if len(rows) > MOST_DRAWN:
        drawn = np.sort(random.choice(len(rows), MOST_DRAWN, replace=False))
    found = []
    for column in _columns_meant(features, names):
        grid = _grid(rows[:, column], points)
        changed, average, each = rows.copy(), [], []
        for value in grid:
            changed[:, column] = value
            predicted = np.asarray(model.predict(changed), float).reshape(len(rows), -1)
            average.append(predicted.mean(axis=0))
            if kind == "both":
                each.append(predicted[drawn])
        individual = np.stack(each, axis=1) if each else None
        found.append(Dependence(names[column], grid, np.stack(average), individual))
    return PartialDependence(found)


def _plain_rows(model: Any, x: Any) -> tuple[Array, tuple[str, ...]]:
    """Checked rows of numbers, and what their columns are called."""
    if not isinstance(model, Model):
        raise TypeError(_check.refusal("model", _check.kind_of(model), "a model"))
    built = model._built_or_refused()
    shapes = built.input_shapes
    if len(shapes) > 1 or len(shapes[0]) != 1:
        got = f"a model on rows of {', '.join(map(str, shapes))}"
        raise ValueError(_check.refusal("model", got, "one input of rows (features,)"))
    rows = np.asarray(_feeding.rows(model, x), None)
    if built.limits[0] is None:
        rows = rows.astype(model.dtype, copy=False)  # bytes are reals to the model
    if len(rows) == 0:
        raise ValueError(_check.refusal("x", "no rows", "some"))
    names = _feeding.known_names(model).features[0] or _frames.names(x)
    return rows, names or tuple(str(number) for number in range(rows.shape[1]))


def _columns_meant(features: Any, names: tuple[str, ...]) -> list[int]:
    if features is None:
        return list(range(len(names)))
    if not isinstance(features, (int, str, np.integer, Iterable)):
        expected = "a column's name or number, or a list of those"
        raise TypeError(_check.refusal("features", _check.kind_of(features), expected))
    given = [features] if isinstance(features, (int, str, np.integer)) else list(features)
    if not given:
        raise ValueError(_check.refusal("features", "none", f"some of {', '.join(names[:8])}"))
    places = {name: number for number, name in enumerate(names)}
    return [
        _check.choice("features", one, places)
        if isinstance(one, str)
        else _check.whole("features", one, 0, len(names) - 1)
        for one in given
    ]


def _grid(column: Array, points: int) -> Array:
    """Values of a column: all where they are few, or else evenly within its middle."""
    values = np.unique(column)
    if len(values) <= points:
        return values.astype(float)
    low, high = np.quantile(column, (0.05, 0.95))
    if low == high:
        low, high = values[0], values[-1]
    grid = np.linspace(low, high, points)
    return np.unique(np.round(grid)) if column.dtype.kind == "i" else grid
