"""Convolutions and pooling: refusals, NaN, files that PyTorch reads, rows cut anyhow."""

import sys

import numpy as np
import pytest
import reference_convolution as oracle
from helpers import same_bits

import fastweights as fw
from fastweights import layers


def refusal(make, shape):
    with pytest.raises((TypeError, ValueError)) as caught:
        fw.Sequential([make()], shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "shape", "says"),
    [
        (lambda: layers.Conv2D(3, 3), (28, 28), "layers.Reshape((28, 28, 1))"),
        (lambda: layers.Conv2D(3, 3), (784,), "(height, width, channels)"),
        (lambda: layers.Conv1D(3, 3), (4, 5, 6), "(steps, channels)"),
        (lambda: layers.Conv2D(3, 5), (1, 28, 28), "channels last"),
        (lambda: layers.Conv2D(3, 5), (4, 9, 2), "padding='same'"),
        (lambda: layers.Conv2D(3, 3, dilation_rate=4), (8, 9, 2), "window of (9, 9)"),
        (lambda: layers.MaxPooling2D(3), (2, 2, 8), "rows that the window fits into"),
        (lambda: layers.MaxPooling1D(2), (9,), "(steps, channels)"),
        (lambda: layers.GlobalMaxPooling2D(), (9, 4), "(height, width, channels)"),
        (lambda: layers.Conv2D(3, 3, data_format="channels_first"), (9, 9, 1), "layers.Permute"),
        (lambda: layers.Conv2D(3, 3, padding="causal"), (9, 9, 1), "valid, same"),
        (lambda: layers.Conv2D(3, (3, 3, 3)), (9, 9, 1), "kernel_size"),
        (lambda: layers.Conv1D(3, (3, 3)), (9, 1), "one number"),
        (lambda: layers.Conv2D(3, 0), (9, 9, 1), "kernel_size"),
        (lambda: layers.Conv2D(4, 3, groups=3), (9, 9, 3), "divides the 4 filters"),
        (lambda: layers.Conv2D(4, 3, groups=2), (9, 9, 3), "divides the 3 channels"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), (9, 9, 3), "less than"),
        (lambda: layers.Conv1DTranspose(4, 2, 2, "same", 0), (1, 3), "Conv1DTranspose"),
        (lambda: layers.Cropping2D(3), (6, 9, 1), "less than there is"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), (6, 9, 1), "padding"),
        (lambda: layers.ZeroPadding1D(-1), (6, 9), "padding"),
        (lambda: layers.UpSampling2D(2, None, "bicubic"), (6, 9, 1), "nearest, bilinear"),
        (lambda: layers.Resizing(2, 2, "area"), (6, 9, 1), "nearest, bilinear"),
        (lambda: layers.Resizing(2, 2, antialias=True), (6, 9, 1), "AveragePooling2D before it"),
        (lambda: layers.Resizing(2, 2, pad_to_aspect_ratio=True), (6, 9, 1), "ZeroPadding2D bef"),
        (lambda: layers.Resizing(0, 2), (6, 9, 1), "height"),
        (lambda: layers.Resizing(3, 2), (6, 9), "(height, width, channels)"),
        (lambda: layers.RandomCrop(7, 2), (6, 9, 1), "layers.Resizing makes them larger"),
        (lambda: layers.CenterCrop(2, 2, "channels_first"), (6, 9, 1), "layers.Permute"),
    ],
)
def test_what_does_not_suit_is_refused(make, shape, says):
    assert says in refusal(make, shape)


#: Height, width, channels, the same of what is made, kernel, strides, dilation, padding, groups.
SIZES = [5, 6, 2, 3, 4, 4, 3, 3, 1, 1, 1, 1, 0, 0, 1]
HUGE = 2**40


class Own(layers.Layer):
    """An op of somebody's own layer, whose sizes may be anything."""

    def __init__(self, kind, sizes, shape, weights=72):
        super().__init__()
        self.kind, self.sizes, self.shape, self.weights_count = kind, sizes, shape, weights

    def variables(self, shape):
        if self.weights_count == 0:
            return []
        return [layers.Variable("kernel", (self.weights_count,), "ones")]

    def ops(self, x):
        names = ["kernel"] if self.weights_count else []
        return layers.op(self.kind, x, shape=self.shape, sizes=self.sizes, variables=names)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (place, value)
        for place in range(15)
        for value in (0, 7, HUGE, 2**62)
        # A window may be dilated beyond the image, and begins with it.
        if (place, value) not in ((10, 7), (11, 7), (12, 0), (13, 0))
    ],
)
def test_sizes_of_an_op_add_up(place, value):
    for kind, shape, row in (
        ("conv", (5, 6, 2), (3, 4, 4)),
        ("conv_transpose", (3, 4, 4), (5, 6, 2)),
    ):
        fw.Sequential([Own(kind, SIZES, row)], shape)
        sizes = [*SIZES[:place], value, *SIZES[place + 1 :]]
        with pytest.raises(ValueError, match="expected"):
            fw.Sequential([Own(kind, sizes, row)], shape)


@pytest.mark.parametrize(
    ("kind", "shape", "row", "sizes"),
    [
        ("depthwise", (5, 6, 2), (3, 4, 4), [5, 6, 2, 3, 4, 4, 3, 3, 1, 1, 1, 1, 0, 0, 2]),
        ("max_pool", (5, 6, 2), (2, 3, 2), [5, 6, 2, 2, 3, 2, 2, 2, 2, 0, 0]),
        ("average_pool", (5, 6, 2), (2, 3, 2), [5, 6, 2, 2, 3, 2, 2, 2, 2, 0, 0]),
        ("zero_pad", (3, 4, 2), (5, 6, 2), [5, 6, 2, 3, 4, 1, 2]),
        ("crop", (5, 6, 2), (3, 4, 2), [5, 6, 2, 3, 4, 1, 2]),
        ("upsample", (3, 4, 2), (6, 12, 2), [3, 4, 2, 2, 3]),
        ("resize", (3, 4, 2), (5, 6, 2), [3, 4, 2, 5, 6, 1]),
    ],
)
def test_sizes_of_the_other_ops_add_up(kind, shape, row, sizes):
    kernel = 36 if kind == "depthwise" else 0
    fw.Sequential([Own(kind, sizes, row, kernel)], shape)
    # Windows may reach beyond the image.
    far = {"depthwise": (10, 11), "max_pool": (5, 6), "average_pool": (5, 6)}.get(kind, ())
    for place, value in [(k, v) for k in range(len(sizes)) for v in (19, HUGE, 2**62)]:
        if place in far and value == 19:
            continue
        wrong = [*sizes[:place], value, *sizes[place + 1 :]]
        with pytest.raises(ValueError, match="expected"):
            fw.Sequential([Own(kind, wrong, row, kernel)], shape)


@pytest.mark.parametrize("kind", [layers.MaxPooling2D, layers.AveragePooling2D])
@pytest.mark.parametrize("channels", [1, 3, 16, 17])
@pytest.mark.parametrize("strides", [2, 1])
def test_a_nan_goes_through_pooling(kind, channels, strides):
    # A number too large for exp becomes 0 times inf, the others 0.
    stack = [layers.Activation("exponential"), layers.Rescaling(0.0), kind(2, strides)]
    model = fw.Sequential(stack, (4, 4, channels))
    for at in np.ndindex(4, 4, channels):
        x = np.zeros((1, 4, 4, channels), "float32")
        x[0][at] = 1000
        sees = oracle.max_pooling(x, (2, 2), (strides, strides)) > 0
        np.testing.assert_array_equal(np.isnan(model.predict(x)), sees)


def test_the_first_of_equal_numbers_has_the_gradient_of_a_maximum():
    model = fw.Sequential([layers.MaxPooling2D(2, 1)], (3, 3, 1), "float64")
    model.forward(np.zeros((1, 3, 3, 1)))
    dx = model.backward(np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 2, 0], [3, 4, 0], [0, 0, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_net_of_images_has_the_same_bits_however_it_is_cut(dtype, monkeypatch):
    """Row by row, in small batches and large ones, with one thread or two."""

    def net():
        stack = [
            layers.Conv2D(6, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, padding="same", strides=2, activation="tanh"),
            layers.Conv2DTranspose(3, 3, strides=2),
            layers.SeparableConv2D(5, 2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
        return fw.Sequential(stack, (14, 15, 2), dtype, seed=1)

    random = np.random.default_rng(0)
    x = random.standard_normal((300, 14, 15, 2)).astype(dtype)
    y = random.standard_normal((300, 3)).astype(dtype)
    monkeypatch.setattr(sys.modules["fastweights.config"], "_grain", 0.0)
    model = net()
    together = model.predict(x)
    for rows in (1, 7, 32):
        same_bits(model.predict(x[:rows]), together[:rows])
    found = []
    for threads in (1, 2, 3):
        with fw.threads(threads):
            model = net()
            model.compile("adam", "mse")
            model.fit(x, y, 100, 2, verbose=0)
            found.append(model.parameters.copy())
    same_bits(found[0], found[1])
    same_bits(found[0], found[2])


def torch_parts(path):
    torch = pytest.importorskip("torch")
    from fastweights import serialization

    with serialization.opened(path) as file:
        return torch, {name: torch.tensor(np.array(file.read(name))) for name in file.tensors}


def test_a_file_is_what_pytorch_has(tmp_path):
    stack = [
        layers.Conv2D(6, (3, 2), strides=2, groups=2, activation="tanh"),
        layers.DepthwiseConv2D((2, 3), depth_multiplier=2),
        layers.Conv2DTranspose(5, (3, 2), strides=(2, 1)),
    ]
    model = fw.Sequential(stack, (9, 11, 4), "float64", seed=0)
    model.save(tmp_path / "m.safetensors", include_optimizer=False)
    torch, tensors = torch_parts(tmp_path / "m.safetensors")
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, (3, 2), stride=2, groups=2),
        torch.nn.Tanh(),
        torch.nn.Conv2d(6, 12, (2, 3), groups=6),
        torch.nn.ConvTranspose2d(12, 5, (3, 2), stride=(2, 1)),
    ).double()
    twin.load_state_dict(tensors)
    x = np.random.default_rng(0).standard_normal((3, 9, 11, 4))
    y = twin(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-12, atol=1e-12)
    same_bits(fw.load(tmp_path / "m.safetensors").parameters, model.parameters)


def test_a_file_of_series_is_what_pytorch_has(tmp_path):
    stack = [
        layers.Conv1D(6, 3, activation="relu"),
        layers.SeparableConv1D(4, 2, depth_multiplier=3),
        layers.Conv1DTranspose(5, 3, strides=2),
    ]
    model = fw.Sequential(stack, (9, 4), "float64", seed=0)
    model.save(tmp_path / "m.safetensors", include_optimizer=False)
    torch, tensors = torch_parts(tmp_path / "m.safetensors")
    conv = torch.nn.functional.conv1d
    h = torch.tensor(np.random.default_rng(0).standard_normal((3, 9, 4))).permute(0, 2, 1)
    x = h.permute(0, 2, 1).numpy()
    h = torch.relu(conv(h, tensors["0.weight"], tensors["0.bias"]))
    h = conv(h, tensors["2.depthwise.weight"], groups=6)
    h = conv(h, tensors["2.pointwise.weight"], tensors["2.bias"])
    h = torch.nn.functional.conv_transpose1d(h, tensors["3.weight"], tensors["3.bias"], stride=2)
    y = h.permute(0, 2, 1).numpy()
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-12, atol=1e-12)


def test_filters_are_constrained_by_keras_axes():
    layer = layers.Conv2D(3, 2, kernel_constraint=fw.constraints.MaxNorm(0.5, axis=(0, 1, 2)))
    model = fw.Sequential([layer, layers.Flatten(), layers.Dense(1)], (5, 5, 2), seed=0)
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    model.fit(random.standard_normal((8, 5, 5, 2)), random.standard_normal((8, 1)), verbose=0)
    norms = np.sqrt((layer.kernel.astype(float) ** 2).sum(axis=(0, 1, 2)))
    assert norms.max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv1D(8, 3, padding="same"),
        layers.Conv1D(9, 3, strides=2, dilation_rate=3),
        layers.Conv1DTranspose(8, 2, strides=3),
        layers.SeparableConv1D(8, 3),
    ],
)
def test_a_long_series_is_measured_without_going_along_it(layer):
    """Which took minutes that no Ctrl-C ended."""
    assert fw.Sequential([layer], (1 << 35, 8)).output_shape[1] >= 8
