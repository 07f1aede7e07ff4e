"""What features do to predictions, on models whose answer is known."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers


def linear(weights, metrics=("mae",)):
    """A model that predicts ``x @ weights``."""
    model = fw.Sequential(
        [layers.Dense(1, use_bias=False)], (len(weights),), dtype="float64", seed=0
    )
    model.compile("sgd", "mse", list(metrics))
    model.parameters[:] = weights
    return model


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(300, 3))


def test_a_feature_is_as_important_as_what_its_shuffling_costs(x):
    """Of independent features the loss grows by ``2 w^2`` times the variance, on average."""
    model = linear([2.0, 0.0, -1.0])
    found = fw.permutation_importance(model, x, x @ [2.0, 0.0, -1.0], n_repeats=60)
    expected = 2 * np.array([4.0, 0.0, 1.0]) * x.var(axis=0)
    np.testing.assert_allclose(found.means, expected, rtol=0.05, atol=1e-12)
    assert found.baseline == 0.0
    assert [name for name, _ in found.ranked()] == ["0", "2", "1"]
    assert found.repeats.shape == (3, 60)
    assert (found.deviations[[0, 2]] > 0).all()


def test_metrics_of_which_larger_is_better_become_worse_downwards(x):
    model = linear([1.0, 0.0, 0.0], ["r2_score"])
    found = fw.permutation_importance(model, x, x[:, 0], "r2_score")
    assert found.means[0] > 1.0
    np.testing.assert_allclose(found.means[1:], 0.0, atol=1e-12)


def test_importances_are_those_of_the_seed_and_leave_all_as_it_was(x):
    model, y, before = linear([1.0, 2.0, 3.0]), x[:, 0], x.copy()
    weights = model.parameters.copy()
    one, again, other = (
        fw.permutation_importance(model, x, y, seed=seed).repeats for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(model.parameters, weights)


def test_columns_of_frames_have_their_names(x):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    model = linear([1.0, 0.0, 0.0])
    assert fw.permutation_importance(model, frame, x[:, 0]).names == ("a", "b", "c")
    (one,) = fw.partial_dependence(model, frame, "b")
    assert one.name == "b"


def test_dependence_of_a_line_is_a_line(x):
    model = linear([2.0, 0.0, -1.0])
    found = fw.partial_dependence(model, x, kind="both", grid_resolution=7)
    for column, one in enumerate(found):
        low, high = np.quantile(x[:, column], (0.05, 0.95))
        np.testing.assert_allclose(one.grid, np.linspace(low, high, 7))
        weights, others = np.array([2.0, 0.0, -1.0]), np.arange(3) != column
        rest = x[:, others] @ weights[others]
        each = rest[:, np.newaxis] + weights[column] * one.grid
        np.testing.assert_allclose(one.average[:, 0], each.mean(axis=0), atol=1e-12)
        assert one.individual.shape == (200, 7, 1)
        assert {*np.round(one.individual[:, 0, 0], 9)} <= {*np.round(each[:, 0], 9)}


def test_values_of_a_column_that_are_few_are_the_grid():
    x = np.array([[0.0, 1], [3, 2], [3, 5], [1, 4]])
    (one,) = fw.partial_dependence(linear([1.0, 1.0]), x, [0])
    np.testing.assert_array_equal(one.grid, [0, 1, 3])
    assert one.individual is None
    spiked = np.concatenate([np.zeros(97), [1.0, 2.0, 3.0]])[:, np.newaxis]
    (one,) = fw.partial_dependence(linear([1.0]), spiked, grid_resolution=3)
    np.testing.assert_array_equal(one.grid, [0, 1.5, 3])


def test_rows_of_whole_numbers_are_given_the_values_of_the_grid():
    x = np.arange(200, dtype=np.uint8)[:, np.newaxis]
    (one,) = fw.partial_dependence(linear([1.0]), x, grid_resolution=3)
    np.testing.assert_allclose(one.average[:, 0], one.grid)
    table = fw.Sequential([layers.Embedding(300, 1), layers.Flatten()], 1, seed=0)
    numbers = np.arange(300)[:, np.newaxis]
    (one,) = fw.partial_dependence(table, numbers, grid_resolution=7)
    assert (one.grid == np.round(one.grid)).all()
    np.testing.assert_allclose(
        one.average[:, 0], table.predict(one.grid.astype(int)[:, np.newaxis])[:, 0]
    )


def test_pictures(x, tmp_path):
    pytest.importorskip("matplotlib")
    model = linear([2.0, 0.0, -1.0])
    axes = fw.permutation_importance(model, x, x[:, 0]).plot(2, to_file=tmp_path / "i.png")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["2", "0"]
    curves = fw.partial_dependence(model, x, kind="both")
    drawn = curves.plot(to_file=tmp_path / "d.png")
    for one, curve in zip(drawn, curves, strict=True):
        np.testing.assert_array_equal(one.lines[-1].get_ydata(), curve.average[:, 0])
        assert len(one.lines) == 201
    assert {path.name for path in tmp_path.iterdir()} == {"i.png", "d.png"}
    assert len({one.get_ylim() for one in drawn}) == 1
    assert [one.get_ylabel() for one in drawn] == ["prediction", "", ""]
    several = fw.Sequential([layers.Dense(2)], 3, seed=0)
    (first, *_) = fw.partial_dependence(several, x).plot(output=1)
    assert first.get_ylabel() == "prediction, output 1"


def test_refusals(x):
    model = linear([1.0, 0.0, 0.0])
    two = fw.Model([a := fw.Input(3), b := fw.Input(3)], layers.Dense(1)(layers.Add()(a, b)))
    images = fw.Sequential([layers.Flatten(), layers.Dense(1)], (4, 4))
    for call, error, message in (
        (lambda: fw.permutation_importance(3, x, x), TypeError, "model: got int, expected a mo"),
        (lambda: fw.partial_dependence(two, [x, x]), ValueError, "model: got a model on rows of"),
        (lambda: fw.partial_dependence(images, x), ValueError, "model: got a model on rows of"),
        (lambda: fw.partial_dependence(model, x, "d"), ValueError, "features: got 'd', expected"),
        (lambda: fw.partial_dependence(model, x, [3]), ValueError, "features: got 3, expected"),
        (lambda: fw.partial_dependence(model, x, []), ValueError, "features: got none, expected"),
        (lambda: fw.partial_dependence(model, x[:0]), ValueError, "x: got "),
        (lambda: fw.partial_dependence(model, x, kind="x"), ValueError, "kind: got 'x'"),
        (lambda: fw.permutation_importance(model, x, x[:, 0], "acc"), ValueError, "figure: got"),
        (
            lambda: fw.permutation_importance(model, x, x[:, 0], n_repeats=0),
            ValueError,
            "n_repeats: got 0",
        ),
    ):
        with pytest.raises(error, match=message):
            call()
