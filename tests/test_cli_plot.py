"""The picture of ``fastweights train --plot``: what is drawn, and that it is legible."""

from __future__ import annotations

import numpy as np
import pytest
from cli_running import write_csv

from fastweights import cli

pytest.importorskip("matplotlib")

from fastweights.cli import plot
from fastweights.plotting.letters import lettered, shortened
from fastweights.plotting.results import merged_classes

ROWS = 150


@pytest.fixture
def drawn(tmp_path, monkeypatch, capsys):
    """Trains and draws; the figure, and what is said on standard error."""
    figures, savefig = [], plot.Figure.savefig

    def kept(figure, *arguments, **options):
        figures.append(figure)
        savefig(figure, *arguments, **{**options, "dpi": 30})

    monkeypatch.setattr(plot.Figure, "savefig", kept)

    def draw(columns, target, *options):
        data, picture = write_csv(tmp_path / "t.csv", columns), tmp_path / "p.png"
        argv = ["train", data, "--target", target, "--out", str(tmp_path / "m"), "--quiet"]
        argv += ["--epochs", "2", "--layers", "8", "--ensemble", "1", "--plot", str(picture)]
        assert cli.main([*argv, *options]) == 0
        assert picture.read_bytes().startswith(b"\x89PNG")
        return figures[-1], capsys.readouterr().err

    return draw


def numbers():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS)).round(4)
    return {"a": a, "b": b, "y": (3 * a + b + 20).round(4)}


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def test_numbers_have_curves_truth_errors_and_importances(drawn):
    figure, _ = drawn(numbers(), "y")
    loss, truth, errors, importance = figure.axes
    assert [line.get_label() for line in loss.lines[:3:2]] == ["training", "validation"]
    assert any(line.get_label().startswith("trivial: ") for line in truth.lines)
    assert truth.get_xlabel() == "y, truth"
    assert truth.get_xscale() == "linear"
    assert [line.get_label() for line in errors.lines] == ["this model", "always the training mean"]
    assert [label.get_text() for label in importance.get_yticklabels()] == ["b", "a"]


def test_a_heavy_tail_has_logarithmic_axes_and_the_unit(drawn):
    columns = numbers()
    prices = np.exp(2 * (columns["y"] - 20))
    figure, _ = drawn({**columns, "y": [f"{price:.6g} kg" for price in prices]}, "y")
    truth = figure.axes[1]
    assert (truth.get_xscale(), truth.get_yscale()) == ("log", "log")
    assert truth.get_xlabel() == "y in kg, truth"


def test_quantiles_have_the_shares_below_them(drawn):
    figure, _ = drawn(numbers(), "y", "--loss", "quantile", "--quantiles", "0.1,0.9")
    below = figure.axes[1]
    _, found = below.lines
    np.testing.assert_array_equal(found.get_xdata(), (0.1, 0.9))
    assert below.get_xlabel() == "quantile of y, predicted"


def test_many_classes_are_merged_the_most_confused_first(drawn):
    rng = np.random.default_rng(0)
    names = np.array([f"class number {n} of those with long names" for n in range(30)])
    figure, _ = drawn({"a": rng.normal(size=600).round(3), "k": rng.choice(names, 600)}, "k")
    confusion = figure.axes[1]
    labels = [label.get_text() for label in confusion.get_xticklabels()]
    assert len(labels) == plot.MOST_CLASSES
    assert labels[-1] == "19 others"
    assert max(map(len, labels)) <= plot.MOST_LETTERS
    assert "trivial: " in confusion.get_title(loc="left")
    assert any("calibration error" in title for title in titles(figure))


def test_classes_are_merged_without_losing_rows():
    counts = np.array([[5, 1, 0, 0], [4, 3, 0, 0], [0, 0, 9, 0], [0, 0, 1, 7]])
    merged, names = merged_classes(counts, ["a", "b", "c", "d"], 3)
    assert names == ["b", "a", "2 others"]
    assert merged.tolist() == [[3, 4, 0], [1, 5, 0], [0, 0, 17]]
    same, names = merged_classes(counts, ["a", "b", "c", "d"], 4)
    assert (same == counts).all()
    assert names == ["a", "b", "c", "d"]


def test_without_unseen_rows_curves_and_importances_are_drawn(drawn):
    figure, _ = drawn(numbers(), "y", "--test-fraction", "0")
    assert titles(figure) == ["Loss; the weights of epoch 2 are kept", "What it goes by"]


def test_several_networks_have_a_curve_each(drawn):
    figure, _ = drawn(numbers(), "y", "--ensemble", "3")
    assert titles(figure)[0] == "Loss of 3 networks; dots: the epochs kept"


def test_letters_that_no_font_has_are_said(drawn):
    columns = numbers()
    figure, said = drawn({"\U0001d173": columns["a"], "b": columns["b"], "y": columns["y"]}, "y")
    assert figure.axes
    assert "no installed font has letters such as" in said
    with lettered(["plain", "größer ≥ 3 €", "Цена", "τιμή"]) as found:
        assert found == []


def test_names_are_shortened_to_their_ends():
    assert shortened("short", 10) == "short"
    assert shortened("one\n two", 10) == "one two"
    name = shortened("a very long name of a column, 2019", 12)
    assert len(name) == 12
    assert name.startswith("a very")
    assert name.endswith("2019")


def test_importances_are_of_columns_and_take_no_longer_than_they_may():
    x = np.random.default_rng(0).normal(size=(200, 4))
    y = x[:, 0] + x[:, 1]

    def loss_of(features):
        return float(np.mean((features[:, 0] + features[:, 1] - y) ** 2))

    groups = {"both": np.array([0, 1]), "neither": np.array([2, 3])}
    found = plot.importance_of(groups, x, loss_of, 0, 60.0)
    assert found.names == ["both", "neither"]
    assert found.worse.shape == (2, 3)
    assert found.worse[0].min() > 1
    assert not found.worse[1].any()
    none = plot.importance_of(groups, x, loss_of, 0, -1.0)
    assert none.names == []


def test_the_axes_of_few_values_are_plain():
    assert not plot._is_heavy(np.array([0.0, 1.0, 1000.0]))
    assert plot._is_heavy(np.geomspace(1, 1e4, 50))
