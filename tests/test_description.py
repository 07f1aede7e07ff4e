"""What activations, initialisers, losses, metrics, regularizers and constraints have in common."""

import copy
import inspect
import pickle

import pytest

from fastweights import activations, constraints, initializers, losses, metrics, regularizers

KINDS = [
    *activations.ACTIVATIONS.values(),
    *initializers.INITIALIZERS.values(),
    *dict.fromkeys(losses.LOSSES.values()),
    *metrics.KINDS.values(),
    *regularizers.REGULARIZERS.values(),
    *constraints.CONSTRAINTS.values(),
]
CHANGED = [
    activations.LeakyReLU(0.5),
    activations.ELU(0.5),
    initializers.Constant(2),
    initializers.RandomNormal(1, 2),
    initializers.TruncatedNormal(1, 2),
    initializers.RandomUniform(-1, 2),
    initializers.Orthogonal(2),
    losses.Huber(0.5),
    losses.BinaryCrossentropy(True, 0.1),
    losses.CategoricalCrossentropy(True, 0.1),
    losses.SparseCategoricalCrossentropy(True),
    *(kind(name="mine") for kind in metrics.KINDS.values()),
    metrics.BinaryAccuracy("mine", 0.25),
    metrics.BinaryCrossentropy("mine", True),
    metrics.CategoricalCrossentropy("mine", True),
    metrics.SparseCategoricalCrossentropy("mine", True),
    metrics.Precision([0.9, 0.1], 2, 1, "mine"),
    metrics.TruePositives(0.25, "mine"),
    metrics.F1Score("macro", 0.25, "mine"),
    metrics.FBetaScore("macro", 2.0, 0.25, "mine"),
    metrics.AUC(None, "PR", "minoring", "mine", [0.5], True, 2, [1.0, 2.0], True),
    metrics.CohenKappa("linear", "mine", 0.25),
    metrics.TopKCategoricalAccuracy(3, "mine"),
    regularizers.L1L2(0.1, 0.2),
    regularizers.OrthogonalRegularizer(0.1, "columns"),
    constraints.MaxNorm(3.0, (0, 1)),
    constraints.MinMaxNorm(0.5, 2.0, 0.1, -1),
]
ALL = [*(kind() for kind in KINDS), *CHANGED]
every = pytest.mark.parametrize("description", ALL, ids=repr)


def settings(description):
    """What ``__init__`` takes, and what the description has of it."""
    names = inspect.signature(type(description)).parameters
    return {name: getattr(description, name) for name in names}


@every
def test_its_settings_make_it_again(description):
    again = type(description)(**settings(description))
    assert again == description
    assert hash(again) == hash(description)


@every
def test_repr_is_the_call(description):
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings(description).items())
    assert repr(description) == f"{type(description).__name__}({arguments})"


@every
def test_config_is_the_name_and_the_settings(description):
    own = {"kind" if isinstance(description, metrics.Metric) else "name"}
    assert description.config().keys() == own | settings(description).keys()


@every
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies_are_equal(description, way):
    again = way(description)
    assert type(again) is type(description)
    assert again == description
    assert again.config() == description.config()


@every
def test_nothing_can_be_set_or_deleted(description):
    before = description.config()
    for name in (*settings(description), "name", "other"):
        with pytest.raises(AttributeError, match=f"{name}: is fixed; make a new"):
            setattr(description, name, 1.0)
        with pytest.raises(AttributeError, match=f"{name}: is fixed; make a new"):
            delattr(description, name)
    assert description.config() == before


def test_no_two_are_equal():
    assert len(set(ALL)) == len(ALL)
    for i, description in enumerate(ALL):
        assert [other == description for other in ALL].index(True) == i
        assert description != description.config()
