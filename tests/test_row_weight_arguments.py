"""Weights of rows as users say them: by classes, outputs and columns; what is told; refusals."""

import numpy as np
import pytest
from helpers import data, network, same_bits
from test_row_weights import series, two_headed

import fastweights as fw

# ---- classes -------------------------------------------------------------------------------------


CLASSES = {
    "labels": ("sparse_categorical_crossentropy", "softmax", lambda labels: labels),
    "labels in a column": (
        "sparse_categorical_crossentropy",
        "softmax",
        lambda labels: labels[:, None],
    ),
    "one-hot": ("categorical_crossentropy", "softmax", lambda labels: np.eye(3)[labels]),
    "binary": ("binary_crossentropy", "sigmoid", lambda labels: labels % 2),
    "signed": ("hinge", "tanh", lambda labels: 2.0 * (labels % 2) - 1),
    "numbers": ("mse", None, lambda labels: labels % 2),
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("with_samples", [False, True])
def test_classes_count_as_they_are_told(kind, with_samples):
    loss, last, made = CLASSES[kind]
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 50)
    x, y = random.standard_normal((50, 5)), made(labels)
    classes = labels if loss.endswith("categorical_crossentropy") else labels % 2
    own = random.random(50) if with_samples else None
    outputs = 3 if "categorical" in loss else 1
    by_class = {0: 2.0, 1: 0.5}  # one that is left out counts 1
    w = np.array([2.0, 0.5, 1.0])[classes] * (own if with_samples else 1.0)
    model, other = (network((5, 6, outputs), "tanh", last, "adam", loss) for _ in range(2))
    logs = model.fit(x, y, 16, 3, 0, class_weight=by_class, sample_weight=own).history
    assert logs == other.fit(x, y, 16, 3, 0, sample_weight=w).history
    same_bits(model.parameters, other.parameters)
    assert model.train_on_batch(x, y, own, by_class) == other.train_on_batch(x, y, w)
    counts = np.bincount(classes)
    balanced = (50 / (len(counts) * counts))[classes] * (own if with_samples else 1.0)
    found = model.train_on_batch(x, y, own, class_weight="balanced")
    assert found == other.train_on_batch(x, y, balanced)
    same_bits(model.parameters, other.parameters)


def test_balanced_is_of_the_rows_to_train_on_and_of_the_classes_that_occur():
    x, _ = data(40)
    y = np.repeat([0, 2], [25, 15])
    model, other = (
        network((5, 6, 3), "tanh", "softmax", "sgd", "sparse_categorical_crossentropy")
        for _ in range(2)
    )
    settings = {"batch_size": 8, "epochs": 2, "verbose": 0, "validation_split": 0.25}
    logs = model.fit(x, y, class_weight="balanced", **settings).history
    w = np.ones(40)
    w[:25], w[25:] = 30 / (2 * 25), 30 / (2 * 5)
    expected = other.fit(x, y, sample_weight=w, **settings).history
    assert logs["loss"] == expected["loss"]
    # Held out rows are not weighted by classes; here they are of one class.
    assert logs["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-13)


def test_steps_of_series_have_classes():
    model, x, y, _ = series("sparse_categorical_crossentropy", "softmax", False)
    other = model.copy()
    w = np.array([3.0, 1.0, 0.5])[y]
    model.train_on_batch(x, y, class_weight={0: 3.0, 2: 0.5})
    other.train_on_batch(x, y, sample_weight=w)
    same_bits(model.parameters, other.parameters)
    model.train_on_batch(x, y, np.arange(12), class_weight={0: 3.0, 2: 0.5})
    other.train_on_batch(x, y, w * np.arange(12)[:, None])
    same_bits(model.parameters, other.parameters)


def test_outputs_have_classes_of_their_own():
    model, x, y = two_headed()
    others = [model.copy() for _ in range(3)]
    w = np.array([2.0, 1.0, 1.0, 0.0])[y["kind"]]
    found = model.train_on_batch(x, y, class_weight={"kind": {0: 2, 3: 0}})
    assert found == others[0].train_on_batch(x, y, class_weight=[None, {0: 2, 3: 0}])
    assert found == others[1].train_on_batch(x, y, {"kind": w})
    half = {"size": np.arange(40), "kind": np.arange(40)}
    found = model.train_on_batch(x, y, half, {"kind": {0: 2, 3: 0}})
    half["kind"] = half["kind"] * w
    assert found == others[1].train_on_batch(x, y, half)


# ---- validation ----------------------------------------------------------------------------------


def test_held_out_rows_have_theirs():
    x, y = data(40)
    w = np.random.default_rng(0).random(40)
    model, other = network(metrics=("mae",)), network(metrics=("mae",))
    logs = model.fit(x, y, 8, 2, 0, validation_split=0.25, sample_weight=w).history
    held_out = x[30:], y[30:], w[30:]
    expected = other.fit(x[:30], y[:30], 8, 2, 0, None, 0.0, held_out, True, None, w[:30]).history
    assert logs == expected
    told = model.evaluate(*held_out[:2], sample_weight=w[30:], return_dict=True)
    assert {f"val_{name}": figure for name, figure in told.items()} == {
        name: figures[-1] for name, figures in logs.items() if name.startswith("val_")
    }
    plain = network(metrics=("mae",)).fit(
        x[:30], y[:30], 8, 2, 0, validation_data=(*held_out[:2], None), sample_weight=w[:30]
    )
    assert plain.history["loss"] == logs["loss"]
    assert plain.history["val_loss"] != logs["val_loss"]


def test_weights_whose_products_have_no_sum_are_refused():
    x, labels = data(40)[0], np.arange(40) % 3
    model = fw.Sequential([fw.layers.Dense(3, "softmax")], x.shape[1], "float64", seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.parameters.copy()
    for weights, by_class, match in (
        (np.full(40, 1e200), {0: 1e200}, "class_weight: got weights that are multiplied with sam"),
        (np.full((40, 1), 1e200), {0: 1e106, 1: 2e107}, "too large, expected smaller ones"),
        (None, {0: 1e308}, "class_weight: got weights whose sum is too large, expected smaller"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(x, labels, sample_weight=weights, class_weight=by_class, verbose=0)
    same_bits(model.parameters, before)


# ---- figures of a batch --------------------------------------------------------------------------


def test_batches_tell_loss_and_metrics_as_evaluate_does():
    x, y = data(20)
    plain, model = network(), network(metrics=("mae", "r2"))
    assert isinstance(plain.copy().train_on_batch(x, y), float)
    assert isinstance(plain.test_on_batch(x, y), float)
    assert plain.copy().train_on_batch(x, y, return_dict=True) == {"loss": plain.evaluate(x, y)}
    expected = model.evaluate(x, y, return_dict=True)
    assert model.test_on_batch(x, y, return_dict=True) == expected
    assert model.test_on_batch(x, y) == list(expected.values())
    found = model.copy().train_on_batch(x, y, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-13)
    assert list(found) == list(expected)
    assert model.copy().train_on_batch(x, y) == list(found.values())
    # Of these rows alone, not of all calls.
    model.train_on_batch(x, y)
    assert model.train_on_batch(x, y, return_dict=True)["loss"] < expected["loss"]
    with pytest.raises(
        AttributeError, match="train_on_batch and evaluate tell of their rows alone"
    ):
        _ = model.reset_metrics


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(11), ValueError, "sample_weight: got 11 rows, expected as many as there are inp"),
        (np.ones((12, 3)), ValueError, r"sample_weight: got shape \(12, 3\), expected shape \(row"),
        (1.0, ValueError, r"sample_weight: got shape \(\), expected shape \(rows,\)"),
        (
            np.zeros(12),
            ValueError,
            "sample_weight: got 12 rows of weight 0, expected numbers of at",
        ),
        (np.r_[np.ones(11), -1], ValueError, "sample_weight: got -1.0 in row 11, expected numbers"),
        (np.r_[np.nan, np.ones(11)], ValueError, "sample_weight: got 1 NaN or inf"),
        (np.r_[np.inf, np.ones(11)], ValueError, "sample_weight: got 1 NaN or inf"),
        (np.full(12, 1e308), ValueError, "sample_weight: got numbers whose sum is too large"),
        (["1"] * 12, TypeError, "sample_weight: got the text '1'"),
        (np.ones(12, complex), TypeError, "sample_weight: got"),
        ({"wrong": np.ones(12)}, TypeError, "sample_weight: got"),
    ],
)
def test_weights_that_no_row_can_have(weights, error, message):
    model, (x, y) = network(), data(12)
    before = model.parameters.copy()
    uses = [
        lambda: model.fit(x, y, sample_weight=weights, verbose=0),
        lambda: model.evaluate(x, y, sample_weight=weights),
        lambda: model.train_on_batch(x, y, weights),
        lambda: model.test_on_batch(x, y, weights),
        lambda: model.loss_and_gradients(x, y, weights),
        lambda: fw.check_gradients(model, x, y, sample_weight=weights),
    ]
    for use in uses:
        with pytest.raises(error, match=message):
            use()
    with pytest.raises(error, match=message.replace("sample_weight", "validation sample_weight")):
        model.fit(x, y, validation_data=(x, y, weights), verbose=0)
    same_bits(model.parameters, before)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({3: 1.0}, ValueError, "a class of class_weight: got 3, expected at most 2"),
        ({-1: 1.0}, ValueError, "a class of class_weight: got -1, expected at least 0"),
        ({"0": 1.0}, TypeError, "a class of class_weight: got '0', expected a whole number"),
        ({0: -1.0}, ValueError, r"class_weight\[0\]: got -1.0, expected a finite number and at le"),
        ({0: np.nan}, ValueError, r"class_weight\[0\]: got nan"),
        ({0: "1"}, TypeError, r"class_weight\[0\]: got '1', expected a number"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "class_weight: got 12 rows of weight 0"),
        ("even", ValueError, "class_weight: got 'even', expected one of balanced"),
        ([1.0, 2.0, 3.0], TypeError, "class_weight: got list, expected a dict of a number for"),
        (2.0, TypeError, "class_weight: got"),
    ],
)
def test_weights_that_no_class_can_have(weights, error, message):
    model = network((5, 4, 3), "tanh", "softmax", "sgd", "sparse_categorical_crossentropy")
    x, y = data(12)[0], np.arange(12) % 3
    for use in (
        lambda: model.fit(x, y, class_weight=weights, verbose=0),
        lambda: model.train_on_batch(x, y, class_weight=weights),
    ):
        with pytest.raises(error, match=message):
            use()


@pytest.mark.parametrize("outputs", [1, 3])
def test_targets_that_are_no_classes(outputs):
    model, (x, y) = network((5, 4, outputs)), data(12, outputs=outputs)
    with pytest.raises(
        ValueError, match="class_weight: got targets of mean_squared_error that are"
    ):
        model.fit(x, y, class_weight={0: 2.0})


def test_a_split_that_leaves_no_weight():
    x, y = data(12)
    with pytest.raises(ValueError, match=r"^sample_weight: got 6 rows of weight 0"):
        network().fit(x, y, validation_split=0.5, sample_weight=np.arange(12) >= 6)
    with pytest.raises(ValueError, match=r"^validation sample_weight: got 6 rows of weight 0"):
        network().fit(x, y, validation_split=0.5, sample_weight=np.arange(12) < 6)


def test_weights_of_outputs_that_are_not_there():
    model, x, y = two_headed()
    with pytest.raises(ValueError, match="sample_weight: got 'colour', expected one of size, kind"):
        model.fit(x, y, sample_weight={"colour": np.ones(40)})
    with pytest.raises(
        ValueError, match="sample_weight: got 3 entries, expected weights for 'size'"
    ):
        model.fit(x, y, sample_weight=[None, None, None])
    with pytest.raises(ValueError, match=r"sample_weight\['kind'\]: got 3 rows"):
        model.fit(x, y, sample_weight={"kind": np.ones(3)})
    with pytest.raises(TypeError, match="class_weight: got str, expected weights of classes for"):
        model.fit(x, y, class_weight="balanced")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_frames_are_weights(library):
    frames = pytest.importorskip(library)
    x, y = data(12)
    w = np.arange(12.0)
    column = frames.Series(w)
    frame = frames.DataFrame({"weight": w})
    model = network()
    expected = model.evaluate(x, y, sample_weight=w)
    for weights in (column, frame, frame["weight"], list(w), w[:, None], w.astype("f")):
        assert model.evaluate(x, y, sample_weight=weights) == expected
    some = w % 2 == 0
    found = model.evaluate(x, y, sample_weight=some)
    assert found == pytest.approx(model.evaluate(x[some], y[some]), rel=1e-13)
    with pytest.raises(ValueError, match="sample_weight: got 1 missing"):
        model.evaluate(x, y, sample_weight=frames.DataFrame({"w": [None, *w[1:]]})["w"])
