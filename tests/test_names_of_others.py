"""What refusals say of names, arguments and objects of Keras, PyTorch and scikit-learn."""

import numpy as np
import pytest

import fastweights as fw
from fastweights import callbacks, layers, losses, metrics, optimizers

X, Y = np.zeros((6, 4)), np.zeros((6, 3))


def a_model():
    model = fw.Sequential([layers.Dense(3)], 4)
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fit_generator", "fit, evaluate and predict take generators"),
        ("partial_fit", "use train_on_batch"),
        ("score", "use evaluate"),
        ("predict_proba", "use predict"),
        ("to", "all runs on CPUs"),
        ("train", "fit trains"),
        ("eval", "predict and evaluate do not"),
        ("state_dict", "get_weights"),
        ("load_state_dict", "use load_weights"),
        ("requires_grad_", "set layer.trainable"),
    ],
)
def test_attributes_of_models(name, meant):
    with pytest.raises(AttributeError, match=meant):
        getattr(a_model(), name)


def test_attributes_of_others():
    with pytest.raises(AttributeError, match=r"the layer is Dense\(units\)"):
        layers.Linear  # noqa: B018
    with pytest.raises(AttributeError, match=r"use model\.apply_gradients"):
        optimizers.Adam().step  # noqa: B018
    with pytest.raises(AttributeError, match=r"set layer\.trainable"):
        layers.Dense(1).requires_grad  # noqa: B018
    with pytest.raises(AttributeError, match=r"use fw\.layers"):
        fw.nn  # noqa: B018


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: a_model().load_weights("a", by_name=True), "load_weights: got by_name=True"),
        (lambda: a_model().save("a", overwrite=True), "save: got overwrite=True"),
        (lambda: fw.sweep(None, {}, X, Y, n_iter=3), "write n_trials"),
        (lambda: fw.sweep(None, {}, X, Y, cv=3), "write folds"),
        (lambda: fw.sweep(None, {}, X, Y, scoring="r2"), "write monitor"),
        (lambda: fw.Ensemble([a_model()]).fit(X, Y, steps_per_epoch=2), "fit: got steps_per_epoch"),
    ],
)
def test_arguments_of_others(call, meant):
    with pytest.raises(TypeError, match=meant):
        call()


def of_another(module, name):
    """An object of a class of that name of another library, which is not there."""
    return type(name, (), {"__module__": module, "__call__": lambda self, *given: 0.0})()


@pytest.mark.parametrize(
    ("use", "meant"),
    [
        (
            lambda: a_model().compile("adam", of_another("torch.nn.modules.loss", "MSELoss")),
            r"loss: got MSELoss of torch, .*use losses\.MeanSquaredError",
        ),
        (
            lambda: a_model().compile("adam", "mse", metrics=[of_another("keras.src", "AUC")]),
            r"metrics: got AUC of keras, .*use metrics\.AUC",
        ),
        (
            lambda: a_model().compile(of_another("torch.optim.adam", "Adam"), "mse"),
            r"optimizer: got Adam of torch, .*use optimizers\.Adam",
        ),
        (
            lambda: fw.Sequential([of_another("torch.nn", "Linear")], 4),
            r"layers: got Linear of torch, .*the layer is Dense",
        ),
        (
            lambda: a_model().fit(X, Y, callbacks=[of_another("keras.src", "EarlyStopping")]),
            r"callbacks: got EarlyStopping of keras, .*use callbacks\.EarlyStopping",
        ),
    ],
)
def test_objects_of_others(use, meant):
    with pytest.raises(TypeError, match=meant):
        use()


def test_values_that_are_meant_otherwise():
    with pytest.raises(ValueError, match=r"quantiles: got 90, .*did you mean 0\.9"):
        losses.Quantile(90)
    with pytest.raises(ValueError, match=r"thresholds: got 1\.5"):
        metrics.Precision(thresholds=1.5)
    with pytest.raises(TypeError, match=r"callbacks: got None in a list"):
        a_model().fit(X, Y, callbacks=[None])
    a = fw.Input(4)
    two = fw.Model(a, [layers.Dense(1)(a), layers.Dense(1)(a)])
    two.compile("adam", "mse")
    with pytest.raises(TypeError, match=r"class_weight: got \{0: 1\}, expected one of each output"):
        two.fit(X, [Y[:, :1], Y[:, :1]], class_weight={0: 1})


@pytest.mark.parametrize("k", [3, 5])
def test_the_best_of_all_classes_are_all(k):
    model = fw.Sequential([layers.Dense(3, "softmax")], 4)
    model.compile("adam", "categorical_crossentropy", metrics=[metrics.TopKCategoricalAccuracy(k)])
    with pytest.raises(ValueError, match=r"of which it is always 1, expected k below 3"):
        model.fit(X, np.eye(3)[[0, 1, 2, 0, 1, 2]])


def test_numbers_of_numpy_are_a_callback_s_state(tmp_path):
    class Counting(callbacks.Callback):
        def __init__(self):
            self.count, self.is_odd = np.int64(0), np.bool_(False)

        def on_epoch_end(self, epoch, logs):
            self.count, self.is_odd = self.count + 1, ~self.is_odd

        def state(self):
            return {"count": self.count, "is_odd": self.is_odd}

        def load_state(self, state):
            self.count, self.is_odd = np.int64(state["count"]), np.bool_(state["is_odd"])

    backup = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    a_model().fit(X, Y, epochs=3, callbacks=[Counting(), backup], verbose=0)
    again = Counting()
    a_model().fit(X, Y, epochs=3, callbacks=[again, backup], verbose=0)
    assert again.count == 3
    assert again.is_odd
