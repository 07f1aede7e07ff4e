"""Weights of rows and classes as scikit-learn has them: steps from the same weights."""

import numpy as np
import pytest
from helpers import network

import fastweights as fw

neural = pytest.importorskip("sklearn.neural_network")
class_weights = pytest.importorskip("sklearn.utils.class_weight")

STEPS = 5


def theirs(kind, x, y, w, **settings):
    """A multilayer perceptron of scikit-learn with float64 weights of its own, and its steps."""
    made = getattr(neural, kind)(
        hidden_layer_sizes=(6,), activation="tanh", solver="sgd", alpha=0.0, momentum=0.0,
        batch_size=len(x), learning_rate_init=0.1, shuffle=False, random_state=0, **settings,
    )  # fmt: skip
    classes = {"classes": np.unique(y)} if kind == "MLPClassifier" else {}
    made.partial_fit(x, y, sample_weight=w, **classes)
    return made


def laid(made):
    return [*(part for pair in zip(made.coefs_, made.intercepts_, strict=True) for part in pair)]


@pytest.mark.parametrize("kind", ["MLPRegressor", "MLPClassifier", "two classes", "poisson"])
@pytest.mark.parametrize("weights", ["random", "whole", "balanced"])
def test_steps_are_those_of_scikit_learn(kind, weights):
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((40, 5)), np.sort(random.integers(0, 3, 40))
    loss, last, outputs, scale, y = {
        "MLPRegressor": ("mse", None, 1, 0.5, random.standard_normal(40)),
        "poisson": ("poisson", "exponential", 1, 1.0, random.integers(0, 4, 40).astype(float)),
        "MLPClassifier": ("sparse_categorical_crossentropy", "softmax", 3, 1.0, labels),
        "two classes": ("binary_crossentropy", "sigmoid", 1, 1.0, (labels > 0).astype(int)),
    }[kind]
    by_class, is_classifier = None, kind in ("MLPClassifier", "two classes")
    w = random.random(40) if weights == "random" else random.integers(0, 4, 40).astype(float)
    own = w
    if weights == "balanced":
        if not is_classifier:
            pytest.skip("has no classes")
        by_class, own = "balanced", None
        w = class_weights.compute_sample_weight("balanced", y)
    settings = {"loss": "poisson"} if kind == "poisson" else {}
    made = theirs("MLPClassifier" if is_classifier else "MLPRegressor", x, y, w, **settings)
    model = network((5, 6, outputs), "tanh", last, fw.optimizers.SGD(0.1 * scale), loss)
    model.set_weights(laid(made))
    for _ in range(STEPS):
        found = model.train_on_batch(x, y, own, by_class)
        made.partial_fit(x, y, sample_weight=w)
        if kind != "poisson":  # whose loss has another constant
            assert scale * found == pytest.approx(made.loss_, rel=1e-6)
        for one, other in zip(model.get_weights(), laid(made), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
