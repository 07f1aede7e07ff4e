"""Weights of other people's files: all in their places, or none; what does not fit is told."""

from __future__ import annotations

import io
import os
import pickle
import random
import re
import sys
import warnings
import zipfile
from random import Random

import numpy as np
import pytest
from damage import cases, damaged_bytes
from helpers import same_bits

import fastweights as fw
from fastweights import layers, serialization
from fastweights.cli.modelfile import load_model

X = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)


def small(dtype: str = "float32", seed: int = 1, first: str | None = None) -> fw.Sequential:
    """Layers of equal widths, so that shapes alone tell nothing."""
    stack = [
        layers.Dense(4, "relu", name=first),
        layers.BatchNormalization(epsilon=1e-5),
        layers.Dense(4, "tanh"),
        layers.LayerNormalization(epsilon=1e-5),
        layers.Dense(3),
    ]
    return fw.Sequential(stack, 4, dtype, seed)


def linear(random, outputs, inputs=4):
    return {
        "weight": random.normal(size=(outputs, inputs)),
        "bias": random.normal(size=outputs),
    }


def torchs(seed: int = 0, head: int = 3, names=("fc1", "bn", "fc2", "norm", "head")):
    """A state_dict of the same network."""
    random = np.random.default_rng(seed)
    modules = [
        linear(random, 4),
        {
            "weight": random.normal(size=4),
            "bias": random.normal(size=4),
            "running_mean": random.normal(size=4),
            "running_var": random.uniform(0.5, 2.0, 4),
            "num_batches_tracked": np.array(3),
        },
        linear(random, 4),
        {"weight": random.normal(size=4), "bias": random.normal(size=4)},
        linear(random, head),
    ]
    return {
        f"{name}.{part}": array if part == "num_batches_tracked" else array.astype(np.float32)
        for name, module in zip(names, modules, strict=True)
        for part, array in module.items()
    }


def by_hand(state: dict[str, np.ndarray], x=X) -> np.ndarray:
    """What the network of such a state_dict makes, in float64."""
    fc1, bn, fc2, norm, head = (
        {k.rpartition(".")[2]: np.asarray(v, float) for k, v in state.items() if k.startswith(name)}
        for name in dict.fromkeys(key.rpartition(".")[0] + "." for key in state)
    )
    y = np.maximum(x @ fc1["weight"].T + fc1["bias"], 0.0)
    y = (y - bn["running_mean"]) / np.sqrt(bn["running_var"] + 1e-5) * bn["weight"] + bn["bias"]
    y = np.tanh(y @ fc2["weight"].T + fc2["bias"])
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    y = y * norm["weight"] + norm["bias"]
    return y @ head["weight"].T + head["bias"]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def refused(model, path, error=ValueError, **settings) -> str:
    """The message of a refusal that has changed nothing."""
    before = model.get_weights()
    with pytest.raises(error) as caught:
        model.load_weights(path, **settings)
    for old, new in zip(before, model.get_weights(), strict=True):
        same_bits(old, new)
    return str(caught.value)


# ---- safetensors, without other libraries --------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.net."])
@pytest.mark.parametrize(
    "names",
    [
        ("fc1", "bn", "fc2", "norm", "head"),
        ("0", "2", "3", "5", "6"),
        ("layers.0", "layers.1", "layers.2", "layers.3", "layers.10"),
        ("block1.linear", "block1.norm", "block2.linear", "last_norm", "classifier"),
    ],
)
def test_a_state_dict_under_whatever_names(path, names, prefix):
    state = torchs(names=tuple(prefix + name for name in names))
    serialization.write(path, state)
    model = small()
    report = model.load_weights(path)
    close(model.predict(X), by_hand(state))
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    assert report.loaded[0] == ("dense/kernel", f"{prefix}{names[0]}.weight", (4, 4))
    assert len(report.loaded) == len(model.weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_save_and_save_weights_write(tmp_path, dtype):
    model, whole, alone = small(dtype=dtype), tmp_path / "m.safetensors", tmp_path / "w.safetensors"
    model.compile("adam", "mse")
    model.fit(X, X[:, :3], epochs=2, verbose=0)
    model.save(whole)
    model.save_weights(alone)
    tensors, metadata = serialization.read(alone)
    assert metadata == {"format": "pt"}
    expected, _ = serialization.read(whole)
    assert set(expected) - set(tensors) == {"optimizer.state"}
    for path in (whole, alone):
        other = small(dtype=dtype, seed=2)
        other.load_weights(path)
        for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
            same_bits(one, two)


def test_save_weights_refuses_what_save_does(tmp_path):
    with pytest.raises(ValueError, match=r"filepath: got .*m\.weights\.h5', expected a name that"):
        small().save_weights(tmp_path / "m.weights.h5")
    model = small()
    model.layers[0].kernel[0, 0] = np.nan
    with pytest.raises(ValueError, match="parameters: got 1 NaN or inf"):
        model.save_weights(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="input_shape: got none"):
        fw.Sequential([layers.Dense(1)]).save_weights(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_dtypes_are_converted(path, dtype):
    state = {name: array.astype(dtype) for name, array in torchs().items()}
    serialization.write(path, state)
    model = small()
    model.load_weights(path)
    close(model.predict(X), by_hand(state))


def test_bfloat16(path):
    """Written as the upper halves of float32 numbers, whose lower halves are 0."""
    state = torchs()
    halves = {name: array.astype("<f4").view("<u4") >> 16 for name, array in state.items()}
    serialization.write(path, {name: half.astype("<u2") for name, half in halves.items()})
    path.write_bytes(path.read_bytes().replace(b'"U16"', b'"BF16"'.ljust(6)))
    header = int.from_bytes(path.read_bytes()[:8], "little")
    content = path.read_bytes()
    grown = len(content) - 8 - header - sum(2 * half.size for half in halves.values())
    path.write_bytes((header + grown).to_bytes(8, "little") + content[8:])
    model = small()
    model.load_weights(path)
    exact = {name: (half << 16).astype("<u4").view("<f4") for name, half in halves.items()}
    close(model.predict(X), by_hand(exact))
    found, _ = serialization.read(path)
    assert {array.dtype for array in found.values()} == {np.dtype("f4")}


def test_what_is_not_finite_or_too_large_is_refused(path):
    for value, dtype, told in (
        (np.nan, "f4", "got 1 NaN or inf"),
        (np.inf, "f2", "got 1 NaN or inf"),
        (1e300, "f8", "got 1 too large for float32"),
    ):
        state = torchs()
        state["head.weight"] = state["head.weight"].astype(dtype)
        state["head.weight"][1, 2] = value
        serialization.write(path, state)
        for skip in (False, True):
            message = refused(small(), path, skip_mismatch=skip)
            assert f"tensor 'head.weight': {told}" in message


def test_a_negative_variance_is_refused(path):
    state = torchs()
    state["bn.running_var"][2] = -1.0
    serialization.write(path, state)
    assert "batch_normalization/moving_variance: got -1, expected at least 0" in refused(
        small(), path
    )


# ---- what does not fit ---------------------------------------------------------------------------


def test_another_head_is_refused_or_left_out(path):
    state = torchs(head=10)
    serialization.write(path, state)
    model = small()
    message = refused(model, path)
    assert message.startswith(
        f"{path}: got 2 mismatched tensors, expected the weights of the same layers, "
        "or skip_mismatch=True to load those that fit\n"
    )
    first, second = message.splitlines()[2:4]
    assert first.split("  ")[0] == "dense_2/kernel"
    assert first.endswith("mismatched")
    assert "head.weight" in first
    assert "(10, 4), not (3, 4)" in first
    assert second.startswith("dense_2/bias")
    head = [model.layers[-1].kernel.copy(), model.layers[-1].bias.copy()]
    with pytest.warns(UserWarning, match="left out 2 mismatched tensors") as caught:
        report = model.load_weights(path, skip_mismatch=True)
    assert caught[0].filename == __file__
    assert "loaded" not in str(caught[0].message)
    assert report.mismatched == (
        ("dense_2/kernel", "head.weight", (3, 4), (10, 4)),
        ("dense_2/bias", "head.bias", (3,), (10,)),
    )
    for old, new in zip(head, (model.layers[-1].kernel, model.layers[-1].bias), strict=True):
        same_bits(old, new)
    state["head.weight"], state["head.bias"] = head[0].T, head[1]
    close(model.predict(X), by_hand(state))


def test_missing_and_unused(path):
    state = torchs()
    del state["fc2.bias"]
    state["extra.position"] = np.zeros(3, np.float32)
    state["extra.ids"] = np.arange(3)
    serialization.write(path, state)
    # Without it there is no telling which of two layers the file has not.
    assert "'fc1', which 'dense', 'dense_1' might be in more" in refused(small(), path)
    model = small(first="fc1")
    message = refused(model, path)
    assert "got 1 missing, 2 unused, 1 mismatched tensors" in message
    with pytest.warns(UserWarning, match="left out"):
        report = model.load_weights(path, skip_mismatch=True)
    assert report.missing == ("dense/bias",)
    assert set(report.unused) == {"extra.position", "extra.ids"}
    # A layer is loaded whole or not at all.
    assert report.mismatched == (("dense/kernel", "fc2.weight", (4, 4), (4, 4)),)
    assert len(report.loaded) == len(model.weights) - 2


def test_nothing_that_fits_is_refused_either_way(path):
    serialization.write(path, {"a.weight": np.zeros((9, 9)), "a.bias": np.zeros(9)})
    for skip in (False, True):
        message = refused(small(), path, skip_mismatch=skip)
        assert "expected the weights of the same layers\n" in message


def test_a_layer_without_bias_is_not_one_with_it(path):
    state = {name: array for name, array in torchs().items() if name != "head.bias"}
    serialization.write(path, state)
    assert "1 missing, 1 mismatched tensors" in refused(small(), path)


def test_tables_stay_readable(path):
    state = torchs()
    state |= {f"extra{i}.weight": np.zeros(2, np.float32) for i in range(100)}
    state["a\nb" + "c" * 200] = np.zeros(2, np.float32)
    serialization.write(path, state)
    lines = refused(small(), path).splitlines()
    assert len(lines) < 70
    assert max(map(len, lines)) < 300
    assert any(line.startswith("... and 61 more") for line in lines)


# ---- what could be one way or another ------------------------------------------------------------


def alike(names, **settings):
    """Two layers that shapes do not tell apart, named or not."""
    stack = [layers.Dense(4, "tanh", name=name) for name in names]
    return fw.Sequential([*stack, layers.Dense(3)], 4, seed=3, **settings)


def state_of(*names, seed=0):
    """As many dense layers, the last one of 3 units."""
    random = np.random.default_rng(seed)
    widths = [4] * (len(names) - 1) + [3]
    state = {}
    for name, units in zip(names, widths, strict=True):
        state |= {f"{name}.{part}": array for part, array in linear(random, units).items()}
    return {name: array.astype(np.float32) for name, array in state.items()}


@pytest.mark.parametrize("skip", [False, True])
def test_layers_that_nothing_tells_apart_are_refused(path, skip):
    """In a safetensors file, whose order is that of the alphabet."""
    serialization.write(path, state_of("encoder", "decoder", "head"))
    message = refused(alike((None, None)), path, skip_mismatch=skip)
    assert "in more than one way, expected names or numbers that tell them apart" in message
    assert "'decoder'" in message


def test_names_tell_layers_apart(path):
    state = state_of("net.encoder", "net.decoder", "net.head")
    serialization.write(path, state)
    model = alike(("encoder", "decoder"))
    model.load_weights(path)
    np.testing.assert_array_equal(model.layers[0].kernel, state["net.encoder.weight"].T)
    np.testing.assert_array_equal(model.layers[1].kernel, state["net.decoder.weight"].T)
    other = alike(("decoder", "encoder"))
    other.load_weights(path)
    np.testing.assert_array_equal(other.layers[0].kernel, state["net.decoder.weight"].T)


def test_numbers_tell_layers_apart(path):
    names = tuple(f"fc{number}" for number in range(2, 13))
    state = state_of(*names, "out")
    serialization.write(path, dict(sorted(state.items())))
    model = alike((None,) * 11)
    model.load_weights(path)
    for layer, name in zip(model.layers, names, strict=False):
        np.testing.assert_array_equal(layer.kernel, state[f"{name}.weight"].T)


@pytest.mark.parametrize("skip", [False, True])
def test_one_layer_more_of_the_same_kind_is_refused(path, skip):
    """It might be the first as well as the last."""
    serialization.write(path, state_of("fc1", "fc2", "fc3", "head"))
    message = refused(alike((None, None)), path, skip_mismatch=skip)
    assert "'fc1.weight', " not in message
    assert "'fc1', 'fc2', 'fc3', which 'dense', 'dense_1' might be in more than one way" in message


def test_numbers_of_a_stack_are_no_names(path):
    """Module 2 of a stack with another module before it is another layer."""
    state = state_of("0", "1", "2")
    serialization.write(path, state)
    model = alike((None, None))  # whose own modules are 0, 2 and 4
    model.load_weights(path)
    np.testing.assert_array_equal(model.layers[1].kernel, state["1.weight"].T)


def test_a_table_and_a_kernel_of_one_shape_are_not_confused(path):
    """A tied pair: both are a weight of (9, 4)."""

    def model(name=None):
        x = fw.Input(2, dtype="int32")
        y = layers.Embedding(9, 4, name=name)(x)
        return fw.Model(x, layers.Dense(9, use_bias=False)(layers.Flatten()(y)))

    table, kernel = np.zeros((9, 4), np.float32), np.ones((9, 8), np.float32)
    serialization.write(path, {"embed.weight": table, "head.weight": kernel})
    one = model()
    one.load_weights(path)
    assert (one.layers[0].embeddings == 0).all()
    assert (one.layers[2].kernel == 1).all()

    def tied(name=None):
        x = fw.Input(1, dtype="int32")
        y = layers.Flatten()(layers.Embedding(9, 4, name=name)(x))
        return fw.Model(x, layers.Dense(9, use_bias=False)(y))

    serialization.write(path, {"embed.weight": table, "head.weight": np.ones_like(table)})
    assert "in more than one way" in refused(tied(), path)
    two = tied("embed")
    two.load_weights(path)
    assert (two.layers[0].embeddings == 0).all()
    assert (two.layers[2].kernel == 1).all()


# ---- parts of layers -----------------------------------------------------------------------------


class Stacked(layers.Layer):
    """Variables that are called as those of torch's recurrent modules."""

    def variables(self, input_shape):
        shape = (input_shape[-1],)
        return [layers.Variable(name, shape, "ones") for name in ("weight_ih_l0", "bias_ih_l0")]

    def ops(self, x):
        names = ("weight_ih_l0", "bias_ih_l0")
        return layers.op("scale", x, lines=x.lines, variables=names, sizes=(1, 1))


def test_layers_of_one_recurrent_module(path):
    numbers = np.arange(24, dtype=np.float32).reshape(6, 4)
    names = [f"rnn.{part}_ih_l{layer}" for layer in range(3) for part in ("weight", "bias")]
    serialization.write(path, dict(zip(names, numbers, strict=True)))
    model = fw.Sequential([Stacked(), Stacked(), Stacked()], 4)
    model.load_weights(path)
    np.testing.assert_array_equal(model.parameters, numbers.ravel())


def test_layers_that_models_share(path):
    x = fw.Input(4)
    shared = layers.Dense(4, "tanh")
    base = fw.Model(x, shared(shared(x)), seed=0)
    whole = fw.Model(x, layers.Dense(3)(base.output), seed=1)
    state = state_of("shared", "head")
    serialization.write(path, state)
    whole.load_weights(path)
    np.testing.assert_array_equal(base.layers[0].kernel, state["shared.weight"].T)


# ---- what cannot be read -------------------------------------------------------------------------


def test_refusals_of_arguments(path, tmp_path):
    model = small()
    serialization.write(path, torchs())
    assert "skip_mismatch: got 1, expected True" in refused(model, path, TypeError, skip_mismatch=1)
    assert "filepath: got int" in refused(model, 3, TypeError)
    assert str(tmp_path) in refused(model, tmp_path / "none", FileNotFoundError)
    assert "a directory, expected a file" in refused(model, tmp_path)
    with pytest.raises(ValueError, match="input_shape: got none"):
        fw.Sequential([layers.Dense(1)]).load_weights(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x02", b"hello world", b"\x89HDF\r\n\x1a\n"]
)
def test_files_that_are_none(path, content):
    path.write_bytes(content)
    refused(small(), path, (ValueError, ModuleNotFoundError))


@pytest.mark.parametrize(
    ("content", "module", "told"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "h5py", r"pip install 'fastweights\[keras-files\]'"),
        (b"PK\x03\x04" + bytes(99), "torch", "safetensors.torch.save_file"),
        (b"\x80\x02}q\x00.", "torch", "safetensors.torch.save_file"),
    ],
)
def test_without_the_library_that_reads_it(path, content, module, told, monkeypatch):
    path.write_bytes(content)
    monkeypatch.setitem(sys.modules, module, None)
    if content.startswith(b"PK"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"")
    with pytest.raises(ModuleNotFoundError, match=told):
        small().load_weights(path)


@pytest.mark.promises
def test_damaged_files_are_loaded_or_refused(path):
    serialization.write(path, torchs())
    content, random = path.read_bytes(), Random(0)
    loads = 0
    for _ in range(cases(300, 20_000)):
        path.write_bytes(damaged_bytes(content, random))
        model = small()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.load_weights(path, skip_mismatch=random.random() < 0.5)
            loads += 1
            assert np.isfinite(model.parameters).all()
        except ValueError:
            same_bits(model.parameters, small().parameters)
    assert loads


# ---- torch's own files ---------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def torch_twin(torch, seed=0):
    """The same network as a module, and in a file of its own."""
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.bn, self.fc2 = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
            self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3)

        def forward(self, x):
            y = self.fc2(self.bn(torch.relu(self.fc1(x))))
            return self.head(self.norm(torch.tanh(y)))

    net = Net()
    state = {name: torch.as_tensor(array) for name, array in torchs(seed).items()}
    net.load_state_dict(state)
    return net.eval()


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict", "model", "parallel"])
@pytest.mark.parametrize("legacy", [False, True])
def test_what_torch_save_wrote(torch, tmp_path, wrap, legacy):
    net, path = torch_twin(torch), tmp_path / "net.pt"
    saved = net.state_dict()
    if wrap == "parallel":
        saved = torch.nn.DataParallel(net).state_dict()
    elif wrap is not None:
        saved = {"epoch": 3, wrap: saved, "optimizer": {"state": {0: torch.ones(3)}}}
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    model = small()
    model.load_weights(path)
    close(model.predict(X), net(torch.as_tensor(X)).detach().numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes_of_torch(torch, tmp_path, dtype):
    net, path = torch_twin(torch).to(getattr(torch, dtype)), tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    model = small()
    model.load_weights(path)
    exact = {name: value.double().numpy() for name, value in net.state_dict().items()}
    close(model.predict(X), by_hand(exact))


def test_order_of_modules_in_torchs_files(torch, tmp_path):
    """It tells layers apart where names do not; where numbers contradict it nothing is loaded."""
    path = tmp_path / "net.pt"
    for names in (("encoder", "decoder", "head"), ("first1", "second2", "head")):
        state = state_of(*names)
        torch.save({name: torch.as_tensor(array) for name, array in state.items()}, path)
        model = alike((None, None))
        model.load_weights(path)
        np.testing.assert_array_equal(model.layers[0].kernel, state[f"{names[0]}.weight"].T)
        np.testing.assert_array_equal(model.layers[1].kernel, state[f"{names[1]}.weight"].T)
    state = state_of("up2", "up1", "head")
    torch.save({name: torch.as_tensor(array) for name, array in state.items()}, path)
    assert "in more than one way" in refused(alike((None, None)), path)
    alike(("up2", "up1")).load_weights(path)


def test_layers_in_line(torch, tmp_path):
    """A head that looks like a hidden layer: the order of all says which is which."""
    path, state = tmp_path / "net.pt", state_of("fc1", "fc2", "head")
    state |= {"head.weight": state["fc1.weight"] + 1, "head.bias": state["fc1.bias"]}
    torch.save({name: torch.as_tensor(array) for name, array in state.items()}, path)
    model = alike((None, None))
    assert "1 tensors" not in refused(model, path)
    with pytest.warns(UserWarning, match="left out 2 mismatched"):
        model.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(model.layers[0].kernel, state["fc1.weight"].T)
    np.testing.assert_array_equal(model.layers[1].kernel, state["fc2.weight"].T)


def test_what_torch_reads_of_save_weights(torch, tmp_path):
    nn, path = torch.nn, tmp_path / "m.safetensors"
    model = fw.Sequential([layers.Dense(5, "tanh"), layers.Dense(3)], 4, seed=0)
    model.save_weights(path)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    tensors, _ = serialization.read(path)
    net.load_state_dict({name: torch.as_tensor(array) for name, array in tensors.items()})
    close(model.predict(X), net(torch.as_tensor(X)).detach().numpy())


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_torchs_files_run_nothing(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pt"
    for saved in (Harmful(), {"state_dict": Harmful()}):
        path.write_bytes(pickle.dumps(saved, 2))
        assert "torch finds no weights" in refused(small(), path)
        torch.save(saved, path)
        assert "torch finds no weights" in refused(small(), path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda w: w.to_sparse(), r"a sparse tensor \(sparse_coo\), expected a dense one"),
        (lambda w: w.to_sparse_csr(), r"a sparse tensor \(sparse_csr\), expected a dense one"),
        (lambda w: w.to("meta"), "one without numbers, expected a dense one"),
    ],
)
def test_tensors_of_torch_that_are_not_dense(torch, tmp_path, make, told):
    state = {name: torch.as_tensor(array) for name, array in torchs().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({**state, "fc1.weight": make(state["fc1.weight"])}, tmp_path / "net.pt")
    assert re.search(rf"tensor 'fc1.weight': got {told}", refused(small(), tmp_path / "net.pt"))


def test_tensors_of_torch_that_are_views_or_nested(torch, tmp_path):
    state = {name: torch.as_tensor(array) for name, array in torchs().items()}
    weight = state["fc1.weight"]
    negative = torch.complex(torch.zeros_like(weight), -weight).conj().imag
    assert negative.is_neg()
    model, path = small(), tmp_path / "net.pt"
    torch.save({**state, "fc1.weight": negative}, path)
    model.load_weights(path)
    np.testing.assert_array_equal(model.weights[0], weight.numpy().T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({**state, "fc0.weight": torch.nested.nested_tensor([weight, weight])}, path)
    assert "1 unused" in refused(small(), path)


def test_a_tensor_that_is_one_number_stretched(torch, tmp_path):
    """A file of bytes may describe terabytes: nothing is made of what has another shape."""
    path = tmp_path / "net.pt"
    huge = torch.zeros(1).as_strided((2**40, 2**10), (0, 0))
    torch.save({**{k: torch.as_tensor(v) for k, v in torchs().items()}, "huge.weight": huge}, path)
    assert "1 unused tensors" in refused(small(), path)


@pytest.mark.promises
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_of_torch(torch, tmp_path, legacy):
    path = tmp_path / "net.pt"
    torch.save(torch_twin(torch).state_dict(), path, _use_new_zipfile_serialization=not legacy)
    content, random = path.read_bytes(), Random(0)
    for _ in range(cases(100, 3000)):
        path.write_bytes(damaged_bytes(content, random))
        model = small()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model.load_weights(path)
            except ValueError:
                same_bits(model.parameters, small().parameters)


# ---- Keras's files -------------------------------------------------------------------------------


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


#: In the order of the layers of `small`; a Dropout has numbers that are no weights.
KERAS_LAYERS = {
    "dense": ("fc1", ("weight", "bias")),
    "batch_normalization": ("bn", ("weight", "bias", "running_mean", "running_var")),
    "dense_1": ("fc2", ("weight", "bias")),
    "layer_normalization": ("norm", ("weight", "bias")),
    "dense_2": ("head", ("weight", "bias")),
}
KERAS_NAMES = {"running_mean": "moving_mean", "running_var": "moving_variance"}


def keras_arrays(state):
    """Of each layer its arrays, in Keras's layouts and order."""
    return {
        layer: {part: state[f"{module}.{part}"].T for part in parts}
        for layer, (module, parts) in KERAS_LAYERS.items()
    }


def write_keras(h5py, file, state):
    """As Keras 3 lays out its weights."""
    with h5py.File(file, "w") as held:
        for layer, arrays in keras_arrays(state).items():
            group = held.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = f"{layer}_from_elsewhere"
            for number, array in enumerate(arrays.values()):
                group[str(number)] = array
        held["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
        held["optimizer/vars/0"] = np.zeros(3, np.float32)
        held.create_group("vars")


def write_old_keras(h5py, file, state, root="model_weights"):
    """As Keras 2 lays out its models, and its weights."""
    with h5py.File(file, "w") as held:
        weights = held.create_group(root) if root else held
        weights.attrs["layer_names"] = [layer.encode() for layer in KERAS_LAYERS]
        for layer, arrays in keras_arrays(state).items():
            names = []
            for part, array in arrays.items():
                own = {"weight": "kernel", "bias": "bias"}
                if "dense" not in layer:
                    own = {"weight": "gamma", "bias": "beta"}
                names.append(f"{layer}/{own.get(part) or KERAS_NAMES[part]}:0")
                weights[f"{layer}/{names[-1]}"] = array
            weights[layer].attrs["weight_names"] = [name.encode() for name in names]
        held["optimizer_weights/adam/m"] = np.zeros(3, np.float32)


@pytest.mark.parametrize("how", ["weights.h5", "keras", "packed keras", "old h5", "old weights"])
def test_files_of_keras(h5py, tmp_path, how):
    state, path = torchs(), tmp_path / "file"
    if how == "weights.h5":
        write_keras(h5py, path, state)
    elif how.startswith("old"):
        write_old_keras(h5py, path, state, "model_weights" if how == "old h5" else "")
    else:
        held = io.BytesIO()
        write_keras(h5py, held, state)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED * how.startswith("p")) as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", held.getvalue())
    model = small()
    report = model.load_weights(path)
    close(model.predict(X), by_hand(state))
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())


def test_the_class_of_a_layer_tells_it_from_others(h5py, path):
    """A scale and its shift look like a mean and its variance."""
    with h5py.File(path, "w") as held:
        for number in range(2):
            held[f"layers/layer_normalization/vars/{number}"] = np.full(4, 3.0 + number)
            held[f"layers/normalization/vars/{number}"] = np.full(4, 1.0 + number)
        held["layers/normalization/vars/2"] = np.int32(7)
    stack = [layers.Normalization(mean=0, variance=1), layers.LayerNormalization()]
    model = fw.Sequential(stack, 4)
    model.load_weights(path)
    assert [weight[0] for weight in model.get_weights()] == [1, 2, 3, 4]


class Projections(layers.Layer):
    """Variables that are called as those of attention, in another order than a file lists them."""

    NAMES = ("query_kernel", "query_bias", "key_kernel", "key_bias", "output_kernel")

    def variables(self, input_shape):
        return [layers.Variable(name, input_shape, "ones") for name in self.NAMES]

    def ops(self, x):
        for first in (0, 2):
            names = self.NAMES[first : first + 2]
            x = layers.op("scale", x, lines=x.lines, variables=names, sizes=(1, 1))
        return layers.op("scale", x, lines=x.lines, variables=self.NAMES[4:], sizes=(1, 0))


def test_layers_that_keras_makes_of_others(h5py, path):
    with h5py.File(path, "w") as held:
        for number, name in enumerate(("query_dense", "key_dense", "output_dense")):
            for part in range(1 if name == "output_dense" else 2):
                held[f"layers/projections/{name}/vars/{part}"] = np.full(4, 2.0 * number + part)
    model = fw.Sequential([Projections()], 4)
    model.load_weights(path)
    assert [weight[0] for weight in model.get_weights()] == [0, 1, 2, 3, 4]


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("keras", exc_type=ImportError)
    pytest.importorskip("h5py")
    return found


ENDINGS = (".weights.h5", ".keras", ".h5")


def as_keras_predicts(keras, twin, make, path, x=X):
    """Loads what Keras wrote of a model of random numbers, in each of its ways."""
    random = np.random.default_rng(0)
    for weight in twin.weights:
        # What a Normalization goes by is derived from its weights when it is adapted.
        if weight.name not in ("mean", "variance", "count", "seed_generator_state"):
            numbers = random.uniform(0.3, 1.0, weight.shape)
            weight.assign(numbers if "variance" in weight.name else numbers - 0.6)
    expected = np.asarray(twin(x))
    for ending in ENDINGS:
        file = str(path) + ending
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin.save_weights(file) if ending == ENDINGS[0] else twin.save(file)
        model = make()
        model.load_weights(file)
        close(model.predict(x), expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_stack_of_keras(keras, tmp_path, compiled):
    kl = keras.layers
    normalize = kl.Normalization()
    normalize.adapt(X)
    twin = keras.Sequential(
        [keras.Input((4,)), normalize, kl.Dense(4, "relu", name="mine"), kl.BatchNormalization(),
         kl.Dense(4), kl.PReLU(), kl.Dropout(0.1), kl.Dense(4, use_bias=False),
         kl.LayerNormalization(), kl.GroupNormalization(2), kl.BatchNormalization(scale=False),
         kl.Dense(3)]
    )  # fmt: skip
    if compiled:
        twin.compile("adam", "mse")
        twin.fit(X, X[:, :3], verbose=0)

    def make():
        stack = [
            layers.Normalization(mean=0, variance=1), layers.Dense(4, "relu"),
            layers.BatchNormalization(), layers.Dense(4), layers.PReLU(),
            layers.Dense(4, use_bias=False), layers.LayerNormalization(),
            layers.GroupNormalization(2), layers.BatchNormalization(scale=False), layers.Dense(3),
        ]  # fmt: skip
        return fw.Sequential(stack, 4)

    as_keras_predicts(keras, twin, make, tmp_path / "m")


def random_graph(inputs, layers, model, seed):
    """Dense layers of one shape, which read this and that; one of them is called twice."""
    drawn = random.Random(seed)
    values, pool = [inputs], [layers.Dense(4, "tanh") for _ in range(8)]
    for layer in pool:
        value = drawn.choice(values[-3:])
        if drawn.random() < 0.4 and len(values) > 2:
            value = layers.Add()([value, drawn.choice(values)])
        values.append(layer(value))
    values.append(pool[drawn.randrange(8)](values[-1]))
    joined = layers.Concatenate()([values[-1], values[-2], values[3]])
    return model(inputs, layers.Dense(2)(joined))


# In 33 and 60 it matters in which order the calls of one layer are met.
@pytest.mark.parametrize("seed", sorted({33, 60, *range(cases(3, 100))}))
def test_graphs_of_keras(keras, tmp_path, seed):
    """Whose layers are listed in an order of Keras's own; all but one have the same shapes."""
    twin = random_graph(keras.Input((4,)), keras.layers, keras.Model, seed)

    def make():
        return random_graph(fw.Input(4), layers, fw.Model, seed)

    as_keras_predicts(keras, twin, make, tmp_path / "m")


def test_an_encoder_and_a_decoder_of_keras(keras, tmp_path):
    def model(library):
        x, y = library.Input((4, 3)), library.Input((3, 3))
        _, *states = library.layers.LSTM(4, return_state=True)(x)
        told, h, _ = library.layers.LSTM(4, return_sequences=True, return_state=True)(
            y, initial_state=states
        )
        more = library.layers.Dense(4)(h)
        told = library.layers.Dense(4)(library.layers.Flatten()(told))
        return library.Model([x, y], library.layers.Add()([told, more]))

    x = [np.random.default_rng(1).standard_normal((5, steps, 3)) for steps in (4, 3)]
    as_keras_predicts(keras, model(keras), lambda: model(fw), tmp_path / "m", x)


def test_names_that_were_given_in_keras(keras, tmp_path):
    kl = keras.layers
    inner = keras.Sequential([keras.Input((4,)), kl.Dense(4, name="a"), kl.Dense(4, name="b")])
    x = keras.Input((4,))
    twin = keras.Model(x, kl.Dense(4, name="c")(inner(kl.Dense(4, name="d")(x))))

    def make():
        return fw.Sequential([layers.Dense(4, name=name) for name in "dabc"], 4)

    as_keras_predicts(keras, twin, make, tmp_path / "m")


def test_bfloat16_of_keras(keras, tmp_path):
    path = tmp_path / "m.weights.h5"
    stack = [keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")]
    twin = keras.Sequential(stack)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin.save_weights(path)
    model = fw.Sequential([layers.Dense(3)], 4)
    model.load_weights(path)
    expected = np.asarray(twin.layers[0].kernel.value.astype("float32"))
    np.testing.assert_array_equal(model.layers[0].kernel, expected)


# ---- Keras's files that are hostile --------------------------------------------------------------


def test_links_that_lead_elsewhere_are_not_followed(h5py, tmp_path):
    path, other = tmp_path / "m.h5", tmp_path / "other.h5"
    for link in (h5py.ExternalLink(str(other), "/layers"), h5py.SoftLink("/kept/layers")):
        write_keras(h5py, other, torchs())
        write_keras(h5py, path, torchs())
        with h5py.File(path, "a") as held:
            held.move("layers", "kept/layers")
            held["layers"] = link
            del held["kept"]
        assert "missing" in refused(small(), path)


def test_arrays_that_are_elsewhere_or_larger_than_they_seem(h5py, tmp_path):
    path, secret = tmp_path / "m.h5", tmp_path / "secret"
    secret.write_bytes(bytes(1000))

    def outside(held, name):
        held.create_dataset(name, (4,), "f4", external=[(str(secret), 0, 16)])

    def virtual(held, name):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(secret), "x", (4,))
        held.create_virtual_dataset(name, layout)

    def in_huge_pieces(held, name):
        held.create_dataset(name, (4,), "f4", chunks=(2**28,), maxshape=(None,), compression="gzip")

    for make, told in (
        (outside, "in another file"),
        (virtual, "in another file"),
        (in_huge_pieces, "in pieces that are larger than it"),
    ):
        write_keras(h5py, path, torchs())
        with h5py.File(path, "a") as held:
            del held["layers/dense_1/vars/1"]
            make(held, "layers/dense_1/vars/1")
        assert told in refused(small(), path)


def test_arrays_of_other_shapes_are_not_read(h5py, path):
    write_keras(h5py, path, torchs())
    with h5py.File(path, "a") as held:  # a terabyte that takes no room
        held.create_dataset("layers/dense_9/vars/0", (2**38,), "f4", chunks=(2**10,))
    assert "1 unused tensors" in refused(small(), path)


def test_groups_without_end_are_refused(h5py, path):
    write_keras(h5py, path, torchs())
    with h5py.File(path, "a") as held:
        held["layers/again"] = held["layers"]
    assert "more than 200000 objects, or 16 levels" in refused(small(), path)


@pytest.mark.parametrize(
    "entries", [["model.weights.h5"], ["net/data/0"], [f"net/data/{i}" for i in range(10)]]
)
def test_an_archive_that_unpacks_to_much_more_is_refused(path, entries):
    """Of Keras's or of torch's, before any of it is unpacked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(entry, bytes(10_000_000 // len(entries)))
    assert "10000000 bytes packed in" in refused(small(), path)


@pytest.mark.parametrize(
    ("start", "whose"),
    [
        (b"\x89HDF\r\n\x1a\n", "a file of Keras's"),
        ("model.weights.h5", "a file of Keras's"),
        ("net/data.pkl", "one such as torch.save writes"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "one such as torch.save writes"),
    ],
)
def test_models_of_other_libraries_are_no_models_here(path, start, whose):
    if isinstance(start, bytes):
        path.write_bytes(start + bytes(90))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(start, b"")
    for load in (fw.load, load_model):
        with pytest.raises(ValueError, match=rf"got {whose}, expected .* model\.load_weights"):
            load(path)
    small().save_weights(path)
    with pytest.raises(ValueError, match=r"format 'none', expected .* model\.load_weights"):
        fw.load(path)


@pytest.mark.promises
@pytest.mark.parametrize("write", [write_keras, write_old_keras])
def test_damaged_files_of_keras(h5py, path, write):
    """Some of which end the process that reads them."""
    write(h5py, path, torchs())
    content, random = path.read_bytes(), Random(0)
    for _ in range(cases(12, 2000)):
        path.write_bytes(damaged_bytes(content, random))
        model = small()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model.load_weights(path)
            except (ValueError, OSError):
                same_bits(model.parameters, small().parameters)


@pytest.mark.promises
def test_damaged_archives_of_keras(h5py, path):
    held = io.BytesIO()
    write_keras(h5py, held, torchs())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", held.getvalue())
    content, random = path.read_bytes(), Random(0)
    for _ in range(cases(12, 2000)):
        path.write_bytes(damaged_bytes(content, random))
        model = small()
        try:
            model.load_weights(path)
        except (ValueError, OSError, ModuleNotFoundError):
            same_bits(model.parameters, small().parameters)
