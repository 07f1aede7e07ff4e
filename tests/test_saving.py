"""Models as files: every bit comes back, in torch's names and layout; damaged files are refused."""

import copy
import json
import os

import numpy as np
import pytest
from helpers import data, network

import fastweights as fw
from fastweights import layers, losses, metrics, optimizers, serialization


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_bit_comes_back(path, dtype):
    model = network(
        (5, 9, 1), "gelu", optimizer="adam", metrics=("mae", "r2"), dtype=dtype, seed=2**64 - 1
    )
    x, y = data(30, outputs=1)
    model.fit(x, y, verbose=0)
    model.save(path)
    loaded = fw.load(path)
    assert loaded.parameters.dtype == dtype
    assert loaded.parameters.tobytes() == model.parameters.tobytes()
    assert loaded.config() == model.config()
    assert loaded.predict(x).tobytes() == model.predict(x).tobytes()
    assert loaded.evaluate(x, y, return_dict=True) == model.evaluate(x, y, return_dict=True)
    # The flat vectors of a loaded model are as alive as those of any other.
    loaded.parameters[:] = 0
    assert (loaded.predict(x) == 0).all()
    loaded.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.1),
        optimizers.SGD(0.1, 0.9),
        optimizers.SGD(0.1, 0.9, True),
        optimizers.Adam(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("how", ["load", "copy"])
def test_training_goes_on_as_it_would_have(path, optimizer, how):
    model = network(optimizer=optimizers.get(optimizer.config()), metrics=("mae",))
    x, y = data(50)
    model.fit(x, y, 16, 3, verbose=0)
    model.save(path)
    other = fw.load(path) if how == "load" else model.copy()
    assert other.epochs_trained == 3
    for each in (model, other):
        each.train_on_batch(x, y)
        each.fit(x, y, 16, 5, verbose=0, initial_epoch=3)
    assert other.parameters.tobytes() == model.parameters.tobytes()
    model.optimizer.learning_rate = 0.0
    assert other.optimizer.learning_rate != 0.0


def test_a_file_without_the_optimizer_has_torchs_tensors_alone(path):
    model = network(optimizer="adam")
    x, y = data(50)
    model.fit(x, y, verbose=0)
    model.save(path)
    whole, _ = serialization.read(path)
    model.save(path, include_optimizer=False)
    weights, _ = serialization.read(path)
    assert set(whole) - set(weights) == {"optimizer.state"}
    assert whole["optimizer.state"].shape == (2, model.count_params())
    other = fw.load(path)
    assert other.epochs_trained == 0
    fresh = network(optimizer="adam")
    fresh.set_weights(model.get_weights())
    for each in (other, fresh):
        each.train_on_batch(x, y)
    assert other.parameters.tobytes() == fresh.parameters.tobytes()


class MyDense(layers.Dense):
    pass


class MyTanh(fw.activations.Tanh):
    pass


class MyOnes(fw.initializers.Ones):
    name = "mine"


class MyL2(fw.regularizers.L2):
    name = "mine"


class Nameless(fw.initializers.Initializer):
    def _draw(self, out, seed, stream, fan_in, fan_out):
        out[...] = 1.0


class MyNonNeg(fw.constraints.NonNeg):
    pass


class MySGD(optimizers.SGD):
    pass


class MyMetric(metrics.MeanSquaredError):
    pass


@pytest.mark.parametrize("call", ["save", "copy"])
@pytest.mark.parametrize(
    ("layer", "optimizer", "metric", "named"),
    [
        (MyDense(2), "sgd", "mae", "the layer 'my_dense' of the class MyDense"),
        (layers.Dense(2, MyTanh()), "sgd", "mae", "activation of the class MyTanh for .* 'dense'"),
        (
            layers.Dense(2, kernel_initializer=MyOnes()),
            "sgd",
            "mae",
            "kernel_initializer of the class MyOnes for the layer 'dense' of the class Dense",
        ),
        (
            layers.Dense(2, bias_initializer=Nameless()),
            "sgd",
            "mae",
            "bias_initializer of the class Nameless for the layer 'dense'",
        ),
        (
            layers.PReLU(alpha_initializer=MyOnes()),
            "sgd",
            "mae",
            "alpha_initializer of the class MyOnes for the layer 'p_re_lu'",
        ),
        (
            layers.Dense(2, kernel_regularizer=MyL2()),
            "sgd",
            "mae",
            "kernel_regularizer of the class MyL2 for the layer 'dense'",
        ),
        (
            layers.Dense(2, activity_regularizer=MyL2()),
            "sgd",
            "mae",
            "activity_regularizer of the class MyL2 for the layer 'dense'",
        ),
        (
            layers.Dense(2, kernel_constraint=MyNonNeg()),
            "sgd",
            "mae",
            "kernel_constraint of the class MyNonNeg for the layer 'dense'",
        ),
        (layers.Dense(2), MySGD(), "mae", "MySGD.* of the class MySGD"),
        (layers.Dense(2), "sgd", MyMetric(), "MyMetric.* of the class MyMetric"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(
    path, call, layer, optimizer, metric, named
):
    model = fw.Sequential([copy.copy(layer)], 3)
    model.compile(optimizer, "mse", [metric])
    with pytest.raises(TypeError, match=f"^{call}: got {named}.*, expected .*of this library"):
        model.save(path) if call == "save" else model.copy()
    assert not path.exists()


def test_a_layer_within_a_layer_comes_back_too(path):
    inner = layers.Dense(2, kernel_initializer=MyOnes())
    model = fw.Sequential([layers.TimeDistributed(inner)], (3, 4))
    with pytest.raises(TypeError, match="save: got kernel_initializer of the class MyOnes"):
        model.save(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.PT", "m.pkl"])
def test_names_of_other_formats_are_refused(tmp_path, name):
    with pytest.raises(
        ValueError, match=r"path: got .*, expected a name that ends in \.safetensors"
    ):
        network().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metadata", [True, False, "note", 3])
def test_metadata_are_a_mapping(path, metadata):
    with pytest.raises(TypeError, match=r"metadata: got .*, expected a dict of strings, or None"):
        network().save(path, metadata)


def test_entries_of_other_people_stay_in_the_file(path):
    network().save(path, {"note": "one"})
    fw.load(path).copy().save(path, {"other": "two"})
    kept = serialization.read_metadata(path)
    assert (kept["note"], kept["other"]) == ("one", "two")


def test_a_model_of_the_command_line_is_told_from_others(path):
    network().save(path, {"fastweights.table": "{}"})
    with pytest.warns(UserWarning, match="takes features that were prepared as the file says"):
        fw.load(path)


def test_an_architecture_alone():
    model = network(seed=7)
    again = fw.Sequential.from_config(model.config())
    np.testing.assert_array_equal(again.parameters, model.parameters)
    for nonsense in ({}, None, {"layers": []}, "model"):
        with pytest.raises(ValueError, match=r"config: got .*, expected what a model's config"):
            fw.Sequential.from_config(nonsense)


def test_weights_that_are_no_numbers_are_not_written(path):
    model = network()
    model.parameters[3] = np.nan
    with pytest.raises(ValueError, match="parameters: got 1 NaN or inf"):
        model.save(path)
    assert not path.exists()


def test_a_frame_of_many_columns(path):
    pandas = pytest.importorskip("pandas")
    columns = [f"gene {i}" for i in range(60_000)]
    model = fw.Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.fit(pandas.DataFrame(np.ones((4, 60_000), "f"), columns=columns), np.ones(4), verbose=0)
    model.save(path)
    assert fw.load(path).feature_names == tuple(columns)


def test_a_copy_in_a_smaller_dtype_has_numbers_or_is_refused():
    model = network()
    model.parameters[0] = 1e300
    with pytest.raises(ValueError, match="parameters: got 1 too large for float32"):
        model.copy("float32")


def test_loading_draws_nothing(path, monkeypatch):
    network(optimizer="adam").save(path)
    monkeypatch.setattr(fw.initializers.Initializer, "fill", None)
    fw.load(path)


def test_names_of_features_come_back(path):
    pandas = pytest.importorskip("pandas")
    x, y = data(20)
    frame = pandas.DataFrame(x, columns=list("abcde"))
    model = network()
    model.fit(frame, y, verbose=0)
    model.save(path)
    for other in (fw.load(path), model.copy()):
        assert other.feature_names == tuple("abcde")
        turned = other.predict(frame[list("edcba")])
        np.testing.assert_array_equal(turned, model.predict(x))


def test_what_was_compiled_comes_back(path):
    model = network((5, 3), last="softmax")
    model.compile(
        optimizers.SGD(0.125, 0.5, nesterov=True),
        losses.CategoricalCrossentropy(label_smoothing=0.1),
        ["accuracy", metrics.RootMeanSquaredError("error")],
    )
    model.save(path)
    loaded = fw.load(path)
    assert loaded.optimizer.config() == model.optimizer.config()
    assert loaded.loss == model.loss
    assert loaded.metrics == model.metrics


def test_a_model_that_is_not_compiled(path):
    model = fw.Sequential([layers.Dense(2)], input_shape=3)
    model.save(path)
    loaded = fw.load(path)
    assert loaded.loss is None
    assert loaded.optimizer is None
    np.testing.assert_array_equal(loaded.predict(np.eye(3)), model.predict(np.eye(3)))


def test_tensors_have_torchs_names_and_layout(path):
    model = fw.Sequential(
        [
            layers.Flatten(),
            layers.Dense(4, "relu"),
            layers.Dense(3, use_bias=False),
            layers.Activation("tanh"),
            layers.Dense(2, "softmax"),
        ],
        input_shape=(5, 1),
    )
    model.save(path)
    tensors, _ = serialization.read(path)
    # nn.Sequential(Flatten, Linear, ReLU, Linear, Tanh, Linear, Softmax)
    names = ["1.weight", "1.bias", "3.weight", "5.weight", "5.bias"]
    assert sorted(tensors) == sorted(names)
    for name, weight in zip(names, model.weights, strict=True):
        np.testing.assert_array_equal(tensors[name], weight.T)
        assert tensors[name].dtype == np.float32
    assert tensors["1.weight"].shape == (4, 5)


def test_metadata(path):
    model = network()
    model.save(path, {"trained on": "houses", "größe": "12"})
    found = serialization.read_metadata(path)
    assert found["trained on"] == "houses"
    assert found["größe"] == "12"
    assert found["format"] == "pt"
    assert json.loads(found["fastweights.model"])["model"]["dtype"] == "float64"
    fw.load(path)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        (
            {"format": "mine"},
            ValueError,
            "metadata: got the key 'format', expected a key of your own",
        ),
        (
            {"fastweights.model": ""},
            ValueError,
            "metadata: got the key 'fastweights.model', expected",
        ),
        ({"n": 1}, TypeError, "metadata: got 'n': 1, expected strings under strings"),
    ],
)
def test_metadata_that_does_not_fit(path, metadata, error, message):
    with pytest.raises(error, match=message):
        network().save(path, metadata)
    assert not path.exists()


def test_names_of_layers_come_back(path):
    model = fw.Sequential([layers.Dense(2, name="mine"), layers.Dense(1)], input_shape=3)
    model.save(path)
    assert [weight.name for weight in fw.load(path).weights] == [
        weight.name for weight in model.weights
    ]


@pytest.mark.parametrize("name", fw.activations.ACTIVATIONS)
def test_every_activation_comes_back(path, name):
    model = network((3, 4, 2), name, name)
    model.save(path)
    assert [layer.activation for layer in fw.load(path).layers] == [fw.activations.get(name)] * 2


def test_paths_may_be_strings_or_paths(path):
    model = network()
    model.save(str(path))
    assert fw.load(str(path)).config() == fw.load(path).config() == model.config()


# ---- files that are no good ----------------------------------------------------------------------


@pytest.fixture
def saved(path):
    network(optimizer="adam", metrics=("mae",)).save(path)
    return path


def refused(path, message=None):
    with pytest.raises(ValueError, match=message) as caught:
        fw.load(path)
    assert type(caught.value) is ValueError
    assert str(path) in str(caught.value)


def test_every_truncation_is_refused(saved):
    whole = saved.read_bytes()
    assert len(whole) > 1000
    for length in [*range(0, 64), *range(64, len(whole), 37), len(whole) - 1]:
        saved.write_bytes(whole[:length])
        refused(saved)
    saved.write_bytes(whole + b"\0")
    refused(saved)


def test_no_damage_to_the_header_gets_past(saved):
    whole = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(whole[:8], "little")
    random = np.random.default_rng(0)
    for place, byte in zip(
        random.integers(0, header, 300), random.integers(0, 256, 300), strict=True
    ):
        damaged = whole.copy()
        damaged[place] = byte
        saved.write_bytes(damaged)
        try:
            model = fw.load(saved)
        except ValueError as error:
            assert str(saved) in str(error)  # noqa: PT017
        else:  # the damage made another name or number that is as good
            assert model.count_params() == 66


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a valid safetensors file"),
        (b"PK\3\4" + b"\0" * 100, "not a whole archive"),
        (b"price,area\n1,2\n" * 50, "not a valid safetensors file"),
        (b"\x80\x04\x95" * 50, "got a pickle, or a packed one, expected a model that"),
    ],
)
def test_foreign_files(path, content, told):
    path.write_bytes(content)
    refused(path, told)


def test_a_safetensors_file_of_somebody_else(path):
    serialization.write(path, {"0.weight": np.ones((2, 3), np.float32)}, {"format": "pt"})
    refused(path, "got model format 'none', expected a fastweights model of format 1")


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        fw.load(path)


def rewritten(path, change_tensors=lambda tensors: None, change=lambda description: None):
    tensors, metadata = serialization.read(path)
    description = json.loads(metadata["fastweights.model"])
    change_tensors(tensors)
    change(description)
    metadata["fastweights.model"] = json.dumps(description)
    serialization.write(path, tensors, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("2.bias"), "got no tensor '2.bias', expected one for each weight"),
        (
            lambda t: t.update(more=np.ones(1)),
            r"got unknown tensors \['more'\], expected only the model's",
        ),
        (
            lambda t: t.update({"2.bias": np.ones(4)}),
            r"got '2.bias' of shape \(4,\), float64, expected shape \(3,\)",
        ),
        (
            lambda t: t.update({"2.bias": np.ones(3, np.float32)}),
            "got '2.bias' of shape .*, float32, expected .* float64",
        ),
        (lambda t: t.update({"0.weight": t["0.weight"].T}), r"got '0.weight' of shape \(5, 7\)"),
    ],
)
def test_tensors_that_do_not_fit(saved, change, message):
    rewritten(saved, change_tensors=change)
    refused(saved, message)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("model"),
        lambda d: d.update(model=None),
        lambda d: d.update(model=[1, 2]),
        lambda d: d.update(compile=None),
        lambda d: d["model"].update(layers=3),
        lambda d: d["model"].update(layers=[]),
        lambda d: d["model"].update(layers=["Dense"]),
        lambda d: d["model"].update(input_shape=None),
        lambda d: d["model"].update(input_shape=[-5]),
        lambda d: d["model"].update(input_shape=[2**40, 2**40]),
        lambda d: d["model"].update(dtype="float99"),
        lambda d: d["model"].update(seed="x"),
        lambda d: d["model"]["layers"][0].pop("class"),
        lambda d: d["model"]["layers"][0].update({"class": "Conv9D"}),
        lambda d: d["model"]["layers"][0].update({"class": 3}),
        lambda d: d["model"]["layers"][0].update(units="7"),
        lambda d: d["model"]["layers"][0].update(units=2**50),
        lambda d: d["model"]["layers"][0].update(surprise=1),
        lambda d: d["model"]["layers"][0].update(activation={"name": "relux"}),
        lambda d: d["model"]["layers"][0].update(activation=[1]),
        lambda d: d["compile"].update(optimizer={"name": "sgd", "surprise": 1}),
        lambda d: d["compile"].update(optimizer=None),
        lambda d: d["compile"].update(loss={"name": "mse", "surprise": 1}),
        lambda d: d["compile"].update(metrics=[{"kind": "nothing"}]),
        lambda d: d["compile"].update(metrics=3),
        lambda d: d["compile"].update(surprise=1),
    ],
)
def test_descriptions_that_do_not_fit(saved, change):
    rewritten(saved, change=change)
    refused(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"model": {}}'])
def test_a_description_that_is_none(saved, text):
    tensors, metadata = serialization.read(saved)
    serialization.write(saved, tensors, {**metadata, "fastweights.model": text})
    refused(saved, "the description of the model is damaged")


# ---- all or nothing ------------------------------------------------------------------------------


def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        network(seed=1).save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]
    network(seed=1).save(saved)
    assert saved.read_bytes() != before


def test_saving_twice_gives_the_same_file(saved):
    before = saved.read_bytes()
    fw.load(saved).save(saved)
    assert saved.read_bytes() == before
