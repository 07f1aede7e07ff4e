"""Losses, metrics, optimizers and what a step has besides: one hash for threads and FMA levels."""

import hashlib
import itertools
import sys

import numpy as np
import pytest
import truth
from reference_updates import CASES as UPDATES

import fastweights as fw
from fastweights import _dispatch, layers, losses, metrics, optimizers, schedules

THREADS = (1, 2, 3, 7)
ROWS, FEATURES = 300, 5

LOSSES = {
    **{name: name for name, kind in losses.LOSSES.items() if getattr(kind, "name", None) == name},
    "binary focal, balanced": losses.BinaryFocalCrossentropy(True, 0.3, 1.5, label_smoothing=0.1),
    "categorical focal": losses.CategoricalFocalCrossentropy(0.3, 1.5, label_smoothing=0.1),
    "logits": losses.SparseCategoricalCrossentropy(from_logits=True),
    "many quantiles": losses.Quantile(tuple(np.linspace(0.02, 0.98, 6))),
    "full gaussian": losses.GaussianNLL(full=True, epsilon=0.1),
}
#: Metrics by the last activation, loss and targets that they suit.
OF_NUMBERS = (
    "mse", "rmse", "mae", "mape", "msle", "log_cosh", "poisson", "cosine_similarity",
    "r2", "explained_variance", "pearson_correlation",
    "concordance_correlation",
)  # fmt: skip
OF_TWO = (
    "accuracy", "log_loss", "true_positives", "false_positives", "true_negatives",
    "false_negatives", "precision", "recall", "auc",
)  # fmt: skip
OF_MARGINS = ("accuracy", "hinge", "squared_hinge", "precision")
OF_CLASSES = (
    "accuracy", "log_loss", "top_k_categorical_accuracy", "f1_score", "fbeta_score", "mcc",
    "cohen_kappa", "balanced_accuracy", "confusion_matrix", "categorical_hinge",
    "kl_divergence",
)  # fmt: skip
SETTINGS = [
    {"weight_decay": schedules.CosineDecay(0.1, 20)},
    {"clipvalue": 0.01},
    {"clipnorm": 0.05},
    {"global_clipnorm": 0.05},
    {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"learning_rate_factors": {"dense/*": 0.3}, "weight_decay": 0.1},
]


def targets_for(loss, outputs, random):
    """Targets that suit a loss, of so many outputs."""
    labels = random.integers(0, outputs, ROWS)
    if loss.takes_labels:
        return labels
    if loss.name == "kl_divergence":
        return random.dirichlet(np.ones(outputs), ROWS)
    if "categorical" in loss.name:
        return np.eye(outputs)[labels]
    if "hinge" in loss.name or "binary" in loss.name:
        return random.integers(0, 2, (ROWS, outputs)).astype(float)
    return random.uniform(0.5, 2.5, (ROWS, loss.target_columns(outputs)))


def trained(dtype, loss="mse", optimizer="adam", chosen=(), last=None, outputs=6, weighted=False):
    """The hash of all that some epochs leave, in batches small and large."""
    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, FEATURES))
    found = hashlib.sha256()
    loss = losses.get(loss)
    y = targets_for(loss, outputs, random)
    weights = random.uniform(0.0, 2.0, ROWS) if weighted else None
    whole = isinstance(optimizer, (optimizers.Minimizer, optimizers.Rprop))
    for batch_size in (ROWS,) if whole else (19, ROWS):
        stack = [layers.Dense(17, "tanh"), layers.Dense(outputs, last)]
        model = fw.Sequential(stack, FEATURES, dtype, seed=1)
        model.compile(optimizer, loss, list(chosen))
        history = model.fit(
            x, y, batch_size, 3, sample_weight=weights, verbose=0, validation_split=0.1
        ).history
        memory = model._compiled.memory
        for left in (model.parameters, model.predict(x), memory.vectors, *history.values()):
            found.update(np.ascontiguousarray(left).tobytes())
    return found.hexdigest()


@pytest.fixture
def one_hash(monkeypatch):
    """Fails unless a function makes one hash for every FMA level and number of threads."""
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    fw.set_reproducible(True)

    def check(function):
        hashes = {}
        for level, threads in itertools.product(truth.FUSED or ["baseline"], THREADS):
            monkeypatch.setattr(
                _dispatch, "kernels", lambda dtype, level=level: truth.kernels(level, dtype.name)
            )
            with fw.threads(threads):
                hashes[level, threads] = function()
        assert len(set(hashes.values())) == 1, hashes

    yield check
    fw.set_reproducible(False)


real = pytest.mark.parametrize("dtype", ["float32", "float64"])


def suited_to(loss):
    """A last activation."""
    loss = losses.get(loss)
    if getattr(loss, "from_logits", False) or "hinge" in loss.name:
        return None
    if loss.name == "poisson":
        return "softplus"
    if "binary" in loss.name:
        return "sigmoid"
    return "softmax" if "categorical" in loss.name or "kl" in loss.name else None


@real
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(one_hash, name, weighted, dtype):
    loss = LOSSES[name]
    one_hash(lambda: trained(dtype, loss, last=suited_to(loss), weighted=weighted))


@real
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "last", "chosen", "outputs"),
    [
        ("mse", "softplus", OF_NUMBERS, 6),
        ("binary_crossentropy", "sigmoid", OF_TWO, 1),
        ("binary_crossentropy", "sigmoid", (*OF_TWO, metrics.F1Score("macro", 0.4)), 6),
        ("hinge", None, OF_MARGINS, 6),
        ("categorical_crossentropy", "softmax", OF_CLASSES, 6),
        (
            "sparse_categorical_crossentropy",
            "softmax",
            (
                "accuracy",
                "log_loss",
                "sparse_top_k_categorical_accuracy",
                "mcc",
                "confusion_matrix",
            ),
            6,
        ),
    ],
    ids=["numbers", "two", "labels", "margins", "classes", "sparse"],
)
def test_metrics(one_hash, loss, last, chosen, outputs, weighted, dtype):
    one_hash(lambda: trained(dtype, loss, "sgd", chosen, last, outputs, weighted))


@real
@pytest.mark.parametrize("name", UPDATES)
def test_rules(one_hash, name, dtype):
    optimizer = UPDATES[name][0]
    one_hash(lambda: trained(dtype, optimizer=optimizer))


@real
@pytest.mark.parametrize("kind", [optimizers.LBFGS, optimizers.LevenbergMarquardt])
def test_minimizers(one_hash, kind, dtype):
    one_hash(lambda: trained(dtype, optimizer=kind()))


@real
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam])
def test_steps(one_hash, kind, settings, dtype):
    rate = schedules.ExponentialDecay(0.05, 7, 0.8)
    one_hash(lambda: trained(dtype, optimizer=kind(rate, **settings)))


def test_all_metrics_are_looked_at():
    every = (*OF_NUMBERS, *OF_TWO, *OF_MARGINS, *OF_CLASSES)
    named = {metrics.METRICS[name] for name in every if isinstance(metrics.METRICS[name], type)}
    known = set(metrics.KINDS.values())
    crossentropies = {kind for kind in known if "crossentropy" in kind.kind}
    accuracies = {kind for kind in known if "accuracy" in kind.kind}
    assert known == named | crossentropies | accuracies
