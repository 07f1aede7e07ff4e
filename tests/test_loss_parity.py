"""Losses beside Keras's and PyTorch's, where these are installed."""

import os

import numpy as np
import pytest

from fastweights import losses

RANDOM = np.random.default_rng(7)
ROWS, COLUMNS = 23, 6
P = RANDOM.dirichlet(np.ones(COLUMNS), ROWS) * 0.99 + 0.001
Z = RANDOM.standard_normal((ROWS, COLUMNS)) * 3
SHARES = RANDOM.dirichlet(np.ones(COLUMNS), ROWS)
ONE_HOT = np.eye(COLUMNS)[RANDOM.integers(0, COLUMNS, ROWS)]
BINARY = RANDOM.integers(0, 2, (ROWS, COLUMNS)).astype(float)
POSITIVE = RANDOM.uniform(0.1, 5.0, (ROWS, COLUMNS))

#: Keras's name, settings, targets, predictions.
CASES = [
    ("KLDivergence", {}, SHARES, P),
    ("MeanAbsolutePercentageError", {}, POSITIVE, Z),
    ("MeanSquaredLogarithmicError", {}, POSITIVE, Z),
    ("Hinge", {}, BINARY, Z),
    ("SquaredHinge", {}, BINARY, Z),
    ("CategoricalHinge", {}, ONE_HOT, Z),
    ("CosineSimilarity", {}, POSITIVE, Z),
    ("CosineSimilarity", {}, POSITIVE, Z * 0),
    *(
        (f"{kind}FocalCrossentropy", {"gamma": gamma, **settings}, targets, given)
        for kind, targets in (("Binary", BINARY), ("Categorical", ONE_HOT))
        for gamma in (0.0, 1.0, 2.0, 3.5)
        for settings, given in (
            ({"label_smoothing": 0.1}, P),
            ({"from_logits": True}, Z),
            ({"alpha": 0.6}, P),
            *([({"apply_class_balancing": True, "alpha": 0.3}, P)] if kind == "Binary" else ()),
        )
    ),
]


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize(("name", "settings", "y_true", "y_pred"), CASES)
def test_values_are_kerass(keras, name, settings, y_true, y_pred):
    own = getattr(losses, name)(**settings)(y_true, y_pred)
    theirs = getattr(keras.losses, name)(**settings)(y_true, y_pred)
    assert own == pytest.approx(float(theirs), rel=2e-5, abs=1e-6)


def test_names_and_defaults_are_kerass(keras):
    for name in {case[0] for case in CASES}:
        own, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
        assert own.name == theirs.name
        for setting, value in own.config().items():
            if setting not in ("name", "axis"):
                assert theirs.get_config()[setting] == value
    for short in ("kld", "mape", "msle"):
        assert losses.get(short).name == keras.losses.get(short).__name__


@pytest.mark.parametrize("full", [False, True])
def test_the_likelihood_of_a_normal_is_pytorchs(torch, full):
    outputs, y = Z.reshape(ROWS, -1, 2), POSITIVE[:, :3]
    mean, variance = torch.tensor(outputs[..., 0]), 1e-6 + np.exp(outputs[..., 1])
    theirs = torch.nn.GaussianNLLLoss(full=full)(mean, torch.tensor(y), torch.tensor(variance))
    assert losses.GaussianNLL(full=full)(y, Z) == pytest.approx(float(theirs), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_labels_are_pytorchs(torch, smoothing):
    labels = ONE_HOT.argmax(axis=1)
    theirs = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(
        torch.tensor(Z), torch.tensor(labels)
    )
    own = losses.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    assert own(labels, Z) == pytest.approx(float(theirs), rel=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantile_is_scikit_learns(quantile):
    metrics = pytest.importorskip("sklearn.metrics")
    expected = metrics.mean_pinball_loss(POSITIVE, Z, alpha=quantile)
    assert losses.Quantile(quantile)(POSITIVE, Z) == pytest.approx(expected, rel=1e-12)
