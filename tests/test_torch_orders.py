"""Weights that stand for single numbers of flattened images and series, in files of PyTorch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastweights as fw
from fastweights import layers, serialization

IMAGES, SERIES = (5, 7, 3), (9, 4)


def first(x, is_turned):
    """With its channels first where that is what the model does itself."""
    axes = len(x.shape) - 1
    return layers.Permute((axes, *range(1, axes)))(x) if is_turned else x


def an_encoder(x, is_turned):
    y = layers.MaxPooling2D(2, padding="same")(layers.Conv2D(4, 2, activation="tanh", name="a")(x))
    y = layers.Dropout(0.5)(layers.Flatten()(first(y, is_turned)))
    y = layers.PReLU("uniform", name="b")(layers.BatchNormalization(name="c")(y))
    return layers.Dense(2, name="e")(layers.Dense(6, "relu", name="d")(y))


def of_series(x, is_turned):
    y = layers.LeakyReLU()(layers.Conv1D(4, 3, name="a")(x))
    return layers.Dense(5, name="b")(
        layers.LayerNormalization(name="c")(layers.Reshape((-1,))(first(y, is_turned)))
    )


def a_decoder(x, is_turned):
    y = layers.Dense(6, name="a")(
        layers.Flatten()(first(layers.Conv1D(2, 2, name="z")(x), is_turned))
    )
    y = layers.BatchNormalization(name="c")(layers.Dense(24, "tanh", name="b")(y))
    if is_turned:
        y = layers.Permute((2, 3, 1))(layers.Reshape((4, 2, 3))(y))
    else:
        y = layers.Reshape((2, 3, 4))(y)
    return layers.Conv2DTranspose(2, 3, strides=2, name="d")(y)


def of_branches(x, is_turned):
    ways = [layers.Conv2D(2, size, name=f"w{size}")(x) for size in (2, 3)]
    ways = [layers.Flatten()(first(layers.Add()([way, way]), is_turned)) for way in ways]
    y = layers.Concatenate()([*ways, layers.Dense(3, name="a")(layers.GlobalMaxPooling2D()(x))])
    y = layers.LSTM(4, name="b")(layers.RepeatVector(3)(y))
    return layers.Dense(2, name="c")(y)


def of_an_input_of_two(x, is_turned):
    """Which a convolution reads, too."""
    y = layers.Flatten()(first(layers.Rescaling(2.0)(x), is_turned))
    z = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 2, name="a")(x))
    return layers.Dense(2, name="c")(layers.Concatenate()([layers.Dense(4, name="b")(y), z]))


def of_places_that_change_theirs(x, is_turned):
    y = layers.Permute((2, 1, 3))(layers.Conv2D(4, 2, name="a")(x))
    return layers.Dense(3, name="b")(layers.Flatten()(first(y, is_turned)))


MADE = {
    "of places that change theirs": (of_places_that_change_theirs, IMAGES),
    "an encoder": (an_encoder, IMAGES),
    "of series": (of_series, SERIES),
    "a decoder": (a_decoder, SERIES),
    "of branches": (of_branches, IMAGES),
    "of an input of two": (of_an_input_of_two, IMAGES),
}


def model(make, shape, is_turned, seed):
    """A graph: its tensors have its layers' names."""
    x = fw.Input(shape)
    found = fw.Model(x, make(x, is_turned), "float64", seed)
    random = np.random.default_rng(seed)
    found.set_weights([random.uniform(0.2, 1.0, weight.shape) for weight in found.weights])
    return found


@pytest.mark.parametrize("name", MADE)
def test_as_torch_flattens(tmp_path, name):
    """The same file is that of a model which has its channels first itself."""
    make, shape = MADE[name]
    x = np.random.default_rng(0).standard_normal((4, *shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for told, seed in ((False, 1), (True, 2)):
            one, other = model(make, shape, told, seed), model(make, shape, not told, 3)
            assert not np.allclose(one.predict(x), other.predict(x))
            one.save_weights(tmp_path / "m.safetensors")
            other.load_weights(tmp_path / "m.safetensors")
            np.testing.assert_allclose(other.predict(x), one.predict(x), rtol=1e-12)
            one.save(tmp_path / "m.safetensors")
            np.testing.assert_array_equal(
                fw.load(tmp_path / "m.safetensors").predict(x), one.predict(x)
            )


def test_rows_of_kernels_and_vectors(tmp_path):
    stack = [layers.Conv1D(2, 1), layers.Flatten(), layers.BatchNormalization(), layers.Dense(1)]
    one = fw.Sequential(stack, (3, 1))
    one.layers[2].set_weights([np.arange(6.0)] * 4)
    one.layers[3].set_weights([np.arange(6.0)[:, None], np.zeros(1)])
    one.save_weights(tmp_path / "m.safetensors")
    tensors, _ = serialization.read(tmp_path / "m.safetensors")
    for tensor in ("2.weight", "2.bias", "2.running_mean", "2.running_var", "3.weight"):
        np.testing.assert_array_equal(tensors[tensor].reshape(-1), [0, 2, 4, 1, 3, 5])


def test_rows_that_lie_alike(tmp_path):
    """What no layer of places has read or made is flattened as it is."""
    for stack, shape in (
        ([layers.Embedding(9, 3)], 4),
        ([layers.Dense(3)], (4, 5)),
        ([layers.LSTM(3, return_sequences=True)], (4, 5)),
        ([layers.Rescaling(2.0)], (2, 3, 4)),
        ([layers.Conv2D(1, 2)], (3, 4, 2)),
    ):
        one = fw.Sequential([*stack, layers.Flatten(), layers.Dense(2, name="d")], shape)
        one.save_weights(tmp_path / "m.safetensors")
        tensors, _ = serialization.read(tmp_path / "m.safetensors")
        kernel = one.get_layer("d").kernel
        assert any(np.array_equal(tensor, kernel.T) for tensor in tensors.values())


@pytest.mark.parametrize(
    "between",
    [
        lambda y: layers.LSTM(3, name="d")(layers.Reshape((4, 6))(y)),
        lambda y: layers.Dense(3, name="d")(layers.Flatten()(layers.Permute((1, 3, 2))(y))),
        lambda y: layers.Dense(3, name="d")(
            layers.Add()([layers.Flatten()(y), layers.Dense(24)(layers.GlobalMaxPooling2D()(y))])
        ),
        lambda y: layers.GroupNormalization(4, name="d")(layers.Flatten()(y)),
    ],
)
def test_what_cannot_be_known_is_warned_of(tmp_path, between):
    x = fw.Input((4, 3, 2))
    one = fw.Model(x, between(layers.Conv2D(2, 1)(x)))
    one.save_weights(tmp_path / "m.safetensors")
    with pytest.warns(UserWarning, match=r"weights of 'd' were taken .* layers.Permute\(\(3, 1, 2"):
        one.load_weights(tmp_path / "m.safetensors")


def test_pieces_without_end(tmp_path):
    x = fw.Input((2, 2))
    y = layers.Flatten()(layers.Conv1D(2, 1)(x))
    for _ in range(14):
        y = layers.Concatenate()([y, y])
    one = fw.Model(x, layers.Dense(1, name="d")(y))
    one.save(tmp_path / "m.safetensors")
    rows = np.ones((3, 2, 2))
    np.testing.assert_array_equal(
        fw.load(tmp_path / "m.safetensors").predict(rows), one.predict(rows)
    )
    with pytest.warns(UserWarning, match="weights of 'd' were taken"):
        one.load_weights(tmp_path / "m.safetensors")


# ---- torch itself --------------------------------------------------------------------------------


def stacks(nn):
    """Pairs of equal models, by the shape of a row."""
    return [
        (
            IMAGES,
            nn.Sequential(
                nn.Conv2d(3, 4, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                nn.BatchNorm1d(24), nn.Dropout(), nn.Linear(24, 5), nn.Tanh(), nn.Linear(5, 2),
            ),
            [
                layers.Conv2D(4, 2, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
                layers.BatchNormalization(epsilon=1e-5), layers.Dropout(0.5),
                layers.Dense(5, "tanh"), layers.Dense(2),
            ],
        ),
        (
            (6,),
            nn.Sequential(
                nn.Linear(6, 24), nn.ReLU(), nn.Unflatten(1, (4, 2, 3)),
                nn.ConvTranspose2d(4, 2, 2, 2), nn.Flatten(), nn.Linear(48, 3),
            ),
            [
                layers.Dense(24, "relu"), layers.Reshape((2, 3, 4)),
                layers.Conv2DTranspose(2, 2, strides=2), layers.Flatten(), layers.Dense(3),
            ],
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("which", range(2))
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_stacks_of_torch(tmp_path, which, ending):
    torch = pytest.importorskip("torch")
    shape, net, stack = stacks(torch.nn)[which]
    net.eval()
    rows = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    there = torch.as_tensor(np.ascontiguousarray(np.moveaxis(rows, -1, 1)))
    one, path = fw.Sequential(stack, shape), tmp_path / f"m.{ending}"
    if ending == "pt":
        torch.save(net.state_dict(), path)
        one.load_weights(path)
    else:
        one.save_weights(path)
        tensors, _ = serialization.read(path)
        net.load_state_dict(
            {name: torch.as_tensor(array) for name, array in tensors.items()}, strict=False
        )
    expected = net(there).detach().numpy()
    np.testing.assert_allclose(one.predict(rows), expected, rtol=1e-4, atol=1e-5)
