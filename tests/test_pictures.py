"""Pictures of training and of predictions: what is drawn in them, read back from the axes."""

import sys

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers

pytest.importorskip("matplotlib")
PNG = b"\x89PNG"


def trained(epochs=3, metrics=("accuracy",), validation=True):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 4)), random.integers(0, 3, 40)
    model = fw.Sequential([layers.Dense(5, "relu"), layers.Dense(3, "softmax")], (4,), seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", list(metrics))
    held_out = (x[:9], y[:9]) if validation else None
    return model, model.fit(x, y, epochs=epochs, verbose=0, validation_data=held_out)


# ---- history -------------------------------------------------------------------------------------


def test_a_history_draws_each_figure_with_that_of_validation(tmp_path):
    _, history = trained()
    axes = history.plot(to_file=tmp_path / "h.png")
    assert (tmp_path / "h.png").read_bytes().startswith(PNG)
    assert [one.get_title(loc="left") for one in axes] == ["loss", "accuracy"]
    for one, name in zip(axes, ("loss", "accuracy"), strict=True):
        for line, key in zip(one.lines, (name, f"val_{name}"), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), history.history[key])


def test_one_epoch_has_one_tick():
    (_, history) = trained(epochs=1)
    for one in history.plot():
        low, high = one.get_xlim()
        assert [tick for tick in one.get_xticks() if low <= tick <= high] == [1]


def test_a_history_draws_what_is_asked_for():
    _, history = trained(validation=False)
    (one,) = history.plot("accuracy")
    assert len(one.lines) == 1
    assert one.get_legend() is None


@pytest.mark.parametrize(("ratio", "scale"), [(9.0, "linear"), (11.0, "log")])
def test_losses_that_fall_far_have_a_logarithmic_axis(ratio, scale):
    history = fw.callbacks.History()
    for epoch, loss in enumerate((ratio, 1.0)):
        history.on_epoch_end(epoch, {"loss": loss})
    assert history.plot()[0].get_yscale() == scale


def test_what_a_history_refuses():
    with pytest.raises(ValueError, match="history: got no epoch, expected that of a fit"):
        fw.callbacks.History().plot()
    _, history = trained()
    with pytest.raises(ValueError, match="metrics: got 'acc', expected one of loss, accuracy"):
        history.plot("acc")
    with pytest.raises(ValueError, match=r"to_file: got 'h\.bmp'"):
        history.plot(to_file="h.bmp")


# ---- weights -------------------------------------------------------------------------------------


def test_weights_have_a_histogram_each(tmp_path):
    model, _ = trained()
    axes = model.plot_weights(tmp_path / "w.png")
    assert (tmp_path / "w.png").read_bytes().startswith(PNG)
    for one, weight in zip(axes, model.weights, strict=True):
        assert one.get_title(loc="left") == f"{weight.name} {weight.shape}"
        assert sum(patch.get_height() for patch in one.patches) == weight.size


def test_on_images_weights_are_images():
    image = (9, 8, 1)
    model = fw.Sequential([layers.Flatten(), layers.Dense(4), layers.Dense(2)], image, seed=0)
    axes = model.plot_weights()
    assert len(axes) == 4
    np.testing.assert_allclose(
        axes[2].images[0].get_array(), model.layers[1].kernel[:, 2].reshape(9, 8)
    )
    pooled = fw.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(4)], image, seed=0)
    assert [one.get_title(loc="left") for one in pooled.plot_weights()] == [
        "dense/kernel (1, 4)",
        "dense/bias (4,)",
    ]


def test_a_model_without_weights_draws_none():
    with pytest.raises(ValueError, match="model: got no weights"):
        fw.Sequential([layers.ReLU()], (4,)).plot_weights()


# ---- predictions ---------------------------------------------------------------------------------


def test_predictions_lie_against_the_truth(tmp_path):
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([[1.5], [2.0], [3.0]])
    axes = fw.plot_predictions(truth, predicted, "cost in $", to_file=tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(PNG)
    (points,) = axes.collections
    np.testing.assert_array_equal(points.get_offsets(), [[1, 1.5], [2, 2], [4, 3]])
    assert "error 0.5" in axes.get_title(loc="left")
    assert axes.get_xlabel() == r"cost in \$, truth"


def test_each_output_has_its_picture():
    axes = fw.plot_predictions(np.eye(3), np.eye(3) + 1, ["a", "b", "c"])
    assert [one.get_xlabel() for one in axes] == ["a, truth", "b, truth", "c, truth"]


def test_pictures_go_where_they_are_told_to():
    from matplotlib.figure import Figure

    figure = Figure()
    mine = figure.subplots(1, 2)
    assert fw.plot_predictions([1, 2], [1, 2], ax=mine[0]) is mine[0]
    assert fw.plot_confusion([0, 1], [1, 1], ax=mine[1]) is mine[1]
    with pytest.raises(TypeError, match="ax: got ndarray, expected axes of matplotlib"):
        fw.plot_predictions([1, 2], [1, 2], ax=mine)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([0, 1, 2, 1], [0, 2, 2, 1]),
        (np.eye(3)[[0, 1, 2, 1]], np.eye(3)[[0, 2, 2, 1]] * 0.8 + 0.05),
        ([0, 1, 2, 1], np.eye(3)[[0, 2, 2, 1]]),
    ],
)
def test_confusions_are_counted(truth, predicted, tmp_path):
    axes = fw.plot_confusion(truth, predicted, ["x", "y", "z"], to_file=tmp_path / "c.png")
    counts = np.array([int(text.get_text()) for text in axes.texts]).reshape(3, 3)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]
    assert "75.0% are right" in axes.get_title(loc="left")


def test_one_output_is_of_class_1_above_a_half():
    axes = fw.plot_confusion([0, 1, 1, 0], [[0.2], [0.7], [0.4], [0.1]])
    counts = [int(text.get_text()) for text in axes.texts]
    assert counts == [2, 0, 1, 1]


def test_many_classes_have_colours_alone():
    axes = fw.plot_confusion(np.arange(80), np.arange(80))
    assert not axes.texts
    assert len(axes.get_xticks()) == 40
    np.testing.assert_array_equal(axes.images[0].get_array(), np.eye(80))


def test_calibration_of_probabilities_that_hold(tmp_path):
    random = np.random.default_rng(0)
    said = random.uniform(size=100_000)
    held = random.uniform(size=100_000) < said
    axes = fw.plot_calibration(held, said, to_file=tmp_path / "k.png")
    drawn = axes.lines[1].get_xydata()
    assert drawn.shape == (10, 2)
    np.testing.assert_allclose(drawn[:, 0], np.arange(0.05, 1, 0.1), atol=0.005)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], atol=0.02)


def test_calibration_of_several_classes_is_that_of_the_largest():
    predicted = np.array([[0.6, 0.4, 0.0], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.9, 0.1, 0.0]])
    axes = fw.plot_calibration([0, 2, 2, 0], predicted, bins=2)
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[0.6, 0.5], [0.9, 1.0]])
    assert "error 0.100" in axes.get_title(loc="left")


@pytest.mark.parametrize("call", [fw.plot_predictions, fw.plot_confusion, fw.plot_calibration])
def test_one_row_is_drawn(call):
    call([1], [1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fw.plot_predictions([1, 2], [1, 2, 3]), r"y_pred: got shape \(3,\) beside y_true"),
        (lambda: fw.plot_predictions([1, np.nan], [1, 2]), "y_true: "),
        (lambda: fw.plot_predictions([], []), r"y_true: got shape \(0,\), expected shape"),
        (lambda: fw.plot_predictions([1], [1], ["a", "b"]), "names: got 2 names, expected 1"),
        (lambda: fw.plot_confusion([0, 1], [0, 1, 1]), "y_pred: got 3 rows beside y_true of 2"),
        (lambda: fw.plot_confusion([0, 1], [0, 0.5]), "y_pred: got 0.5, expected whole numbers"),
        (
            lambda: fw.plot_confusion([0, 1, 0], [[0.2], [3.5], [-1.5]]),
            "y_pred: got 3.5, expected probabilities, from 0 to 1: of logits",
        ),
        (lambda: fw.plot_confusion([-1, 1], [0, 0]), "y_true: got -1, expected whole numbers"),
        (lambda: fw.plot_confusion([0, 2], [0, 1], ["a", "b"]), "classes: got 2 names, expected 3"),
        (lambda: fw.plot_calibration([0, 1], [2.0, 0.1]), "y_pred: got other numbers, expected p"),
        (lambda: fw.plot_calibration([0, 2], [1.0, 0.1]), "y_true: got class 2, expected whole"),
        (lambda: fw.plot_calibration([0, 1], [1.0, 0.1], bins=0), "bins: got 0"),
        (lambda: fw.plot_calibration([0, 1], [1.0]), "y_pred: got 1 rows beside y_true of 2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_matplotlib(monkeypatch):
    _, history = trained()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (history.plot, lambda: fw.plot_confusion([0], [0])):
        with pytest.raises(ModuleNotFoundError, match="needs matplotlib, which is not installed"):
            call()


def test_styles_are_as_before_and_pyplot_shows_what_it_is_used_for():
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    axes = fw.plot_predictions([1, 2], [1, 2])
    assert axes.figure.number in pyplot.get_fignums()
    pyplot.close(axes.figure)
    assert dict(matplotlib.rcParams) == before
