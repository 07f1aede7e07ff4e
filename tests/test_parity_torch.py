"""Random networks beside the same ones in PyTorch, in float64; skipped where PyTorch is not there.

What is compared: outputs, the loss, its gradients by parameters and by every input, both as
inference and as training see them; then 50 steps of Adam, and what BatchNormalization remembers.
PyTorch's layers are used where it has them; where its definition differs from Keras's, as in
BatchNormalization's running variance, a few lines of its ops say what is meant.

``FASTWEIGHTS_LONG=1 pytest tests/test_parity_torch.py`` compares 200 networks, the short form 20.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from damage import cases

import fastweights as fw
from fastweights import activations, layers, regularizers
from fastweights.layers.ops import given

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
functional = torch.nn.functional

import torch_recurrent  # noqa: E402  (which needs torch)

TOLERANCE = 1e-9
STEPS = 50
NETWORKS = 200

# ---- each layer in PyTorch -----------------------------------------------------------------------


def sparsemax(x: Any) -> Any:
    """Martins and Astudillo (ICML 2016), Algorithm 1."""
    ordered, _ = x.sort(dim=-1, descending=True)
    sums, ranks = ordered.cumsum(-1), torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    support = (1 + ranks * ordered > sums).sum(-1, keepdim=True)
    return torch.clamp(x - (sums.gather(-1, support - 1) - 1) / support, min=0)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    # PyTorch's own have the slope 1 / 6 in float32 (2.13).
    "hard_silu": lambda x: x * torch.clamp(x + 3, 0, 6) / 6,
    "mish": functional.mish,
    # Beyond the threshold PyTorch leaves the logarithm out, which is right to 1e-9 by default.
    "softplus": lambda x: functional.softplus(x, threshold=40),
    "softsign": functional.softsign,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda x: torch.clamp(x + 3, 0, 6) / 6,
    "exponential": torch.exp,
    "tanh": torch.tanh,
    "softmax": lambda x: functional.softmax(x, dim=-1),
    "log_softmax": lambda x: functional.log_softmax(x, dim=-1),
    "softmin": lambda x: functional.softmin(x, dim=-1),
    "sparsemax": sparsemax,
}


def activated(layer: Any, x: Any) -> Any:
    return ACTIVATIONS[layer.activation.name](x)


def dense(layer: Any, w: Any, training: bool, x: Any) -> Any:
    return activated(layer, functional.linear(x, w["kernel"].T, w.get("bias")))


def member_dense(layer: Any, w: Any, training: bool, x: Any) -> Any:
    y = torch.einsum("...mi,mio->...mo", x, w["kernel"])
    return activated(layer, y + w["bias"] if "bias" in w else y)


def gamma_beta(w: Any, columns: int) -> tuple[Any, Any]:
    """Both, whichever the layer has: PyTorch's gradients stumble where there is a beta alone."""
    one, other = torch.ones(columns, dtype=torch.float64), torch.zeros(columns, dtype=torch.float64)
    return w.get("gamma", one), w.get("beta", other)


def batch_normalization(layer: Any, w: Any, training: bool, x: Any) -> Any:
    lines = x.reshape(-1, x.shape[-1])
    if not (training and layer.trainable):
        mean, variance = w["moving_mean"], w["moving_variance"]
        y = functional.batch_norm(
            lines, mean, variance, *gamma_beta(w, x.shape[-1]), eps=layer.epsilon
        )
        return y.reshape(x.shape)
    found = torch.var_mean(lines.detach(), dim=0, correction=0)
    for name, figure in zip(("moving_variance", "moving_mean"), found, strict=True):
        w[name].mul_(layer.momentum).add_((1 - layer.momentum) * figure)
    y = functional.batch_norm(
        lines, None, None, *gamma_beta(w, x.shape[-1]), training=True, eps=layer.epsilon
    )
    return y.reshape(x.shape)


def layer_normalization(layer: Any, w: Any, training: bool, x: Any) -> Any:
    return functional.layer_norm(x, x.shape[-1:], *gamma_beta(w, x.shape[-1]), layer.epsilon)


def group_normalization(layer: Any, w: Any, training: bool, x: Any) -> Any:
    columns = x.shape[-1]
    groups = columns if layer.groups == -1 else layer.groups
    first = x.movedim(-1, 1)
    y = functional.group_norm(first, groups, *gamma_beta(w, columns), layer.epsilon)
    return y.movedim(1, -1)


def bent_relu(layer: Any, w: Any, training: bool, x: Any) -> Any:
    most = math.inf if layer.max_value is None else layer.max_value
    below = layer.negative_slope * (x - layer.threshold)
    return torch.where(x > layer.threshold, torch.clamp(x, max=most), below)


def dot(layer: Any, w: Any, training: bool, a: Any, b: Any) -> Any:
    one, other = (value.movedim(axis, -1) for value, axis in zip((a, b), layer.axes, strict=True))
    if layer.normalize:
        one, other = (functional.normalize(value, dim=-1, eps=1e-7) for value in (one, other))
    rows, length = one.shape[0], one.shape[-1]
    left, right = one.reshape(rows, -1, length), other.reshape(rows, -1, length)
    return (left @ right.mT).reshape(rows, *(one.shape[1:-1] + other.shape[1:-1] or (1,)))


def folded(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A merge that takes its values two by two."""

    def merged(layer: Any, w: Any, training: bool, *values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return result

    return merged


def alone(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A layer without weights."""
    return lambda layer, w, training, x: function(layer, x)


def attention(
    layer: Any,
    w: Any,
    training: bool,
    query: Any,
    value: Any,
    key: Any = None,
    use_causal_mask: bool = False,
) -> Any:
    reads = {"query": query, "key": value if key is None else key, "value": value}
    q, k, v = (torch.einsum("rtf,fhd->rhtd", x, w[f"{name}_kernel"]) for name, x in reads.items())
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=use_causal_mask)
    return torch.einsum("rhtd,hdf->rtf", y, w["output_kernel"])


def learned_positions(layer: Any, w: Any, training: bool, x: Any, start_index: int = 0) -> Any:
    table = w["position_embeddings"][start_index : start_index + x.shape[1]]
    return table.expand(x.shape)


def angles(x: Any, longest: float, first: int) -> Any:
    """Of each step and pair of columns."""
    columns = torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1]
    return (first + torch.arange(x.shape[1]))[:, None] / longest**columns


def sine_positions(layer: Any, w: Any, training: bool, x: Any) -> Any:
    found = angles(x, layer.max_wavelength, 0)
    both = torch.stack([found.sin(), found.cos()], -1).flatten(1)
    return both[:, : x.shape[-1]].expand(x.shape)


def rotary(layer: Any, w: Any, training: bool, x: Any, start_index: int) -> Any:
    found = angles(x, layer.max_wavelength, start_index)
    turned = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(found), found)
    return torch.cat([turned.real, turned.imag], -1)


# Convolutions and pooling: PyTorch's channels come first; a series is an image of height 1.


def images(x: Any) -> Any:
    """Series, or images whose channels come last, as images whose channels come first."""
    return (x if x.ndim == 4 else x[:, None]).permute(0, 3, 1, 2)


def as_before(y: Any, x: Any) -> Any:
    """... and what was made of them as x was."""
    back = y.permute(0, 2, 3, 1)
    return back if x.ndim == 4 else back[:, 0]


def two_axes(setting: tuple[int, ...]) -> tuple[int, int]:
    return (1, *setting) if len(setting) == 1 else setting  # type: ignore[return-value]


def placed(layer: Any, x: Any, sizes: tuple[int, ...], fill: float = 0.0) -> tuple[Any, list[int]]:
    """Images with what `padding` puts around them; how many windows there are along both axes."""
    image, counts, around = images(x), [], []
    dilation = getattr(layer, "dilation_rate", (1,) * len(sizes))
    axes = zip(*(two_axes(each) for each in (sizes, layer.strides, dilation)), strict=True)
    for length, (size, stride, step) in zip(image.shape[2:], axes, strict=True):
        reach = (size - 1) * step + 1
        same, causal = layer.padding == "same", layer.padding == "causal" and size > 1
        count = (
            -(-length // stride) if same else (length + causal * (reach - 1) - reach) // stride + 1
        )
        needed = max((count - 1) * stride + reach - length, 0)
        before = needed // 2 if same else causal * (reach - 1)
        counts.append(count)
        around.append((before, max(needed - before, 0)))
    image = functional.pad(image, (*around[1], *around[0]), value=fill)
    return image, counts


def convolution(layer: Any, w: Any, training: bool, x: Any) -> Any:
    image, (rows, columns) = placed(layer, x, layer.kernel_size)
    kernel = (w["kernel"] if x.ndim == 4 else w["kernel"][None]).permute(3, 2, 0, 1).contiguous()
    settings = two_axes(layer.strides), 0, two_axes(layer.dilation_rate), layer.groups
    y = functional.conv2d(image, kernel, w.get("bias"), *settings)
    return activated(layer, as_before(y[:, :, :rows, :columns], x))


def by_channel(layer: Any, kernel: Any, bias: Any, x: Any) -> Any:
    image, (rows, columns) = placed(layer, x, layer.kernel_size)
    turned = (kernel if x.ndim == 4 else kernel[None]).permute(2, 3, 0, 1).contiguous()
    filters = turned.flatten(0, 1)[:, None]
    settings = two_axes(layer.strides), 0, two_axes(layer.dilation_rate), x.shape[-1]
    y = functional.conv2d(image, filters, bias, *settings)
    return as_before(y[:, :, :rows, :columns], x)


def depthwise(layer: Any, w: Any, training: bool, x: Any) -> Any:
    return activated(layer, by_channel(layer, w["kernel"], w.get("bias"), x))


def separable(layer: Any, w: Any, training: bool, x: Any) -> Any:
    y = by_channel(layer, w["depthwise_kernel"], None, x)
    mixing = w["pointwise_kernel"].flatten(0, -3).reshape(y.shape[-1], -1)
    return activated(layer, functional.linear(y, mixing.T, w.get("bias")))


def transposed(layer: Any, w: Any, training: bool, x: Any) -> Any:
    kernel = (w["kernel"] if x.ndim == 4 else w["kernel"][None]).permute(3, 2, 0, 1).contiguous()
    strides, dilation = two_axes(layer.strides), two_axes(layer.dilation_rate)
    y = functional.conv_transpose2d(images(x), kernel, None, strides, dilation=dilation)
    made = layer.output_shape(tuple(x.shape[1:]))[:-1]
    around = []
    for got, wanted, size, stride, step in zip(
        y.shape[2:], two_axes(made), two_axes(layer.kernel_size), strides, dilation, strict=True
    ):
        reach = (size - 1) * step + 1
        more = layer.output_padding
        padded = stride + reach - 2 if more is None else reach + reach % 2 - 2 + more[-1]
        before = reach - 1 - min(-(-padded // 2), reach - 1) if layer.padding == "same" else 0
        around.append((-before, wanted - got + before))
    y = as_before(functional.pad(y, (*around[1], *around[0])), x)
    return activated(layer, y + w["bias"] if "bias" in w else y)


def largest(layer: Any, x: Any) -> Any:
    image, (rows, columns) = placed(layer, x, layer.pool_size, -math.inf)
    y = functional.max_pool2d(image, two_axes(layer.pool_size), two_axes(layer.strides))
    return as_before(y[:, :, :rows, :columns], x)


def mean(layer: Any, x: Any) -> Any:
    """Of what there is: the share of the window that this is."""
    sums = [
        functional.avg_pool2d(
            placed(layer, one, layer.pool_size)[0],
            two_axes(layer.pool_size),
            two_axes(layer.strides),
        )
        for one in (x, torch.ones_like(x))
    ]
    rows, columns = placed(layer, x, layer.pool_size)[1]
    return as_before((sums[0] / sums[1])[:, :, :rows, :columns], x)


def of_all(function: Callable[..., Any]) -> Callable[..., Any]:
    return alone(
        lambda layer, x: function(x, dim=tuple(range(1, x.ndim - 1)), keepdim=layer.keepdims)
    )


def framed(layer: Any, x: Any) -> Any:
    """With zeros around it, or without its rim."""
    grows = hasattr(layer, "padding")
    pairs = layer.padding if grows else tuple((-a, -b) for a, b in layer.cropping)
    return functional.pad(x, (0, 0, *(size for pair in reversed(pairs) for size in pair)))


def resized(layer: Any, x: Any) -> Any:
    """With the channels behind, as `interpolate` has them in front."""
    size = (layer.height, layer.width)
    return functional.interpolate(x.movedim(-1, 1), size, mode="bilinear").movedim(1, -1)


def middle(layer: Any, x: Any) -> Any:
    top, left = (x.shape[1] - layer.height) // 2, (x.shape[2] - layer.width) // 2
    return x[:, top : top + layer.height, left : left + layer.width]


def upsampled(layer: Any, x: Any) -> Any:
    if getattr(layer, "interpolation", "nearest") == "bilinear":
        found = functional.interpolate(x.movedim(-1, 1), scale_factor=layer.size, mode="bilinear")
        return found.movedim(1, -1)
    sizes = (layer.size,) if isinstance(layer.size, int) else layer.size
    for axis, size in enumerate(sizes, 1):
        x = x.repeat_interleave(size, dim=axis)
    return x


#: What each layer makes of its weights and of the values that it reads.
def activation(found: Any, x: Any) -> Any:
    return ACTIVATIONS[found.name](x)


def going(twin: Callable[..., Any]) -> Callable[..., Any]:
    """The twin of a recurrent layer, here without masks."""
    return lambda layer, w, training, x: twin(layer, w, x, None, activation)


TWINS: dict[str, Callable[..., Any]] = {
    "Activation": alone(activated),
    "ActivityRegularization": alone(lambda layer, x: x),
    "Add": folded(torch.add),
    "Average": lambda layer, w, training, *values: sum(values) / len(values),
    "BatchNormalization": batch_normalization,
    "Bidirectional": going(torch_recurrent.bidirectional),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), alone(mean)),
    **dict.fromkeys(("Conv1D", "Conv2D"), convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose"), transposed),
    **dict.fromkeys(("Cropping1D", "Cropping2D"), alone(framed)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), depthwise),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D"), of_all(torch.mean)),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), of_all(torch.amax)),
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), alone(largest)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), separable),
    "CenterCrop": alone(middle),
    "Resizing": alone(resized),
    **dict.fromkeys(("UpSampling1D", "UpSampling2D"), alone(upsampled)),
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), alone(framed)),
    "Concatenate": lambda layer, w, training, *values: torch.cat(values, layer.axis),
    "Dense": dense,
    "Dot": dot,
    "Dropout": alone(lambda layer, x: functional.dropout(x, layer.rate)),
    "Embedding": lambda layer, w, training, x: functional.embedding(x, w["embeddings"]),
    "ELU": alone(lambda layer, x: functional.elu(x, layer.alpha)),
    "Flatten": alone(lambda layer, x: x.flatten(1)),
    "GRU": going(torch_recurrent.recurrent),
    "GroupNormalization": group_normalization,
    "GroupQueryAttention": attention,
    "Identity": alone(lambda layer, x: x),
    "LSTM": going(torch_recurrent.recurrent),
    "LayerNormalization": layer_normalization,
    "LeakyReLU": alone(lambda layer, x: functional.leaky_relu(x, layer.negative_slope)),
    "Masking": alone(lambda layer, x: x),
    "Maximum": folded(torch.maximum),
    "MemberDense": member_dense,
    "MemberScale": lambda layer, w, training, x: x * w["scale"],
    "Minimum": folded(torch.minimum),
    "MultiHeadAttention": attention,
    "Multiply": folded(torch.mul),
    "Normalization": lambda layer, w, training, x: (x - w["mean"]) / w["variance"].sqrt(),
    "PReLU": lambda layer, w, training, x: torch.where(x > 0, x, w["alpha"] * x),
    "PositionEmbedding": learned_positions,
    "Permute": alone(lambda layer, x: x.permute(0, *layer.dims)),
    "RMSNormalization": lambda layer, w, training, x: functional.rms_norm(
        x, x.shape[-1:], w["scale"], layer.epsilon
    ),
    "ReLU": alone(lambda layer, x: bent_relu(layer, None, False, x)),
    "RepeatVector": alone(lambda layer, x: x[:, None].expand(-1, layer.n, -1)),
    "Rescaling": alone(lambda layer, x: x * layer.scale + layer.offset),
    "RotaryEmbedding": rotary,
    "SinePositionEncoding": sine_positions,
    "Reshape": alone(lambda layer, x: x.reshape(x.shape[0], *layer.target_shape)),
    "SimpleRNN": going(torch_recurrent.recurrent),
    "Softmax": alone(lambda layer, x: functional.softmax(x, dim=-1)),
    "Subtract": folded(torch.sub),
    "TimeDistributed": lambda layer, w, training, x: TWINS[type(layer.layer).__name__](
        layer.layer, w, training, x
    ),
    "UnitNormalization": alone(lambda layer, x: functional.normalize(x, dim=-1, eps=1e-12)),
}

#: What layers remember and no optimizer moves.
STATES = {"mean", "variance", "moving_mean", "moving_variance"}

#: Those that draw random numbers, which no two libraries draw alike.
RANDOM = {
    *("AlphaDropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"),
    *("RandomBrightness", "RandomContrast", "RandomCrop", "RandomErasing", "RandomFlip"),
    *("RandomRotation", "RandomTranslation", "RandomZoom"),
}

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mean_squared_error": functional.mse_loss,
    "mean_absolute_error": functional.l1_loss,
    "huber": functional.huber_loss,
    "log_cosh": lambda p, y: torch.log(torch.cosh(p - y)).mean(),
    "poisson": lambda p, y: (p - y * torch.log(p + 1e-7)).mean(),
    "hinge": lambda p, y: functional.relu(1 - y * p).mean(),
    "binary_crossentropy": functional.binary_cross_entropy,
    "categorical_crossentropy": lambda p, y: -(y * torch.log(p)).sum(-1).mean(),
}

# ---- random networks -----------------------------------------------------------------------------

#: Numbers of a row beyond which a value grows no more, and a bound beyond which it is squashed.
MANY, LARGE = 160, 6.0


@dataclass
class Step:
    """A call of a layer on values that are there already, by their numbers."""

    layer: layers.Layer
    reads: list[int]
    #: Settings of the call.
    told: dict[str, Any]


@dataclass
class Head:
    """A value that is an output, and what it is trained for."""

    value: int
    loss: str
    weight: float


@dataclass
class Recipe:
    """A network as calls of layers; values are first its inputs, then what each call makes."""

    random: np.random.Generator
    inputs: list[tuple[int, ...]]
    #: Of which inputs, the last ones, the numbers are places in a table, of which each has so many.
    categories: dict[int, int]
    steps: list[Step] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    #: How large the numbers of each value may be, roughly.
    bounds: list[float] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shapes, self.bounds = list(self.inputs), [2.0] * len(self.inputs)
        for number, categories in self.categories.items():
            size = self.any_of((1, 3, 5))
            trainable = self.chance(0.85)
            self.call(layers.Embedding(categories, size, trainable=trainable), [number], 1.0)
            self.shapes[number] = ()  # for no other layer

    def call(self, layer: layers.Layer, reads: list[int], bound: float, **told: Any) -> int:
        """Adds a call, squashed where its numbers would grow; the number of what it makes."""
        values = [given(self.shapes[read]) for read in reads]
        self.steps.append(Step(layer, reads, told))
        self.shapes.append(layer.made_of(*values, **told).shape)
        self.bounds.append(bound)
        made = len(self.shapes) - 1
        return made if bound <= LARGE else self.call(layers.Activation("tanh"), [made], 1.0)

    def depth(self) -> int:
        """The longest chain of calls."""
        depths = [0] * len(self.inputs)
        for step in self.steps:
            depths.append(1 + max(depths[read] for read in step.reads))
        return max(depths)

    def pick(self) -> int:
        """A value of reals, the newest ones more often."""
        reals = [number for number, shape in enumerate(self.shapes) if shape]
        return self.any_of(reals[int(self.random.integers(len(reals))) :])

    def alike(self, number: int) -> list[int]:
        """All values of the shape of this one."""
        return [k for k, shape in enumerate(self.shapes) if shape == self.shapes[number]]

    def any_of(self, choices: Any) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)


def activation_of(recipe: Recipe, columns: int) -> activations.Activation:
    """One for which no number is too large, and that makes sense of so many columns."""
    names = [name for name in ACTIVATIONS if name != "exponential"]
    found = activations.get(recipe.any_of(names))
    return found if found.is_elementwise or columns > 1 else activations.Tanh()


def add_dense(recipe: Recipe, x: int) -> None:
    units = recipe.any_of((2, 3, 4, 6, 8, 17, 40 if len(recipe.shapes[x]) == 1 else 5))
    settings: dict[str, Any] = {"use_bias": recipe.chance(0.8)}
    if recipe.chance(0.1):
        settings["activity_regularizer"] = regularizers.L1L2(0.001, 0.01)
    if recipe.chance(0.3):
        settings["kernel_regularizer"] = recipe.any_of(
            (regularizers.L1(0.003), regularizers.L2(0.02), regularizers.L1L2(0.001, 0.01))
        )
    if recipe.chance(0.15):
        settings["bias_regularizer"] = regularizers.L2(0.05)
    trainable = recipe.chance(0.85)
    activation = activation_of(recipe, units)
    bound = recipe.bounds[x] + 1
    if len(recipe.shapes[x]) > 1 and recipe.chance(0.35):
        recipe.call(
            layers.MemberDense(units, activation, trainable=trainable, **settings), [x], bound
        )
        return
    layer = layers.Dense(units, activation, trainable=trainable, **settings)
    made = recipe.call(layer, [x], bound)
    others = [k for k in recipe.alike(x) if k not in (x, made)]
    if others and recipe.chance(0.4):  # the same weights for another value
        recipe.call(layer, [recipe.any_of(others)], bound)


def add_activation(recipe: Recipe, x: int) -> None:
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    rank, columns = len(shape), shape[-1]
    axes = [axis for axis in range(1, rank + 1) if recipe.chance(0.4)]
    recipe.call(
        recipe.any_of(
            [
                lambda: layers.Activation(activation_of(recipe, columns)),
                lambda: layers.Activation("exponential") if bound <= 2 else layers.ReLU(),
                lambda: layers.PReLU("glorot_uniform", shared_axes=axes or None),
                lambda: layers.ReLU(negative_slope=0.1, threshold=0.2, max_value=1.5),
                lambda: layers.ReLU(),
                lambda: layers.LeakyReLU(),
                lambda: layers.ELU(0.7),
                lambda: layers.Softmax() if columns > 1 else layers.ELU(),
            ]
        )(),
        [x],
        bound + 1,
    )


def add_normalization(recipe: Recipe, x: int) -> None:
    columns = recipe.shapes[x][-1]
    if columns < 2:
        return
    settings = {"center": recipe.chance(0.8), "scale": recipe.chance(0.8)}
    kind = recipe.any_of(
        ("Layer", "RMS", "Group", "Unit", "Batch", "Batch", "Normalization", "Rescaling", "Member")
    )
    if kind == "Batch":
        trainable = recipe.chance(0.8)
        momentum = recipe.any_of((0.99, 0.9))
        layer = layers.BatchNormalization(momentum=momentum, trainable=trainable, **settings)
        recipe.call(layer, [x], 3.0)
        others = [k for k in recipe.alike(x) if k != x]
        if others and recipe.chance(0.2):
            recipe.call(layer, [recipe.any_of(others)], 3.0)
    elif kind == "Layer":
        recipe.call(layers.LayerNormalization(**settings), [x], 3.0)
    elif kind == "Group" and columns % 2 == 0:
        groups = recipe.any_of((1, 2, columns // 2))
        recipe.call(layers.GroupNormalization(groups, **settings), [x], 3.0)
    elif kind in ("Unit", "RMS"):
        # Lines near 0 have hardly a direction: differences would grow from step to step.
        away = recipe.call(layers.Rescaling(1.0, 0.7), [x], 1 + recipe.bounds[x])
        layer = layers.UnitNormalization() if kind == "Unit" else layers.RMSNormalization()
        recipe.call(layer, [away], 3.0)
    elif kind == "Normalization":
        figures = recipe.random.uniform(0.5, 1.5, (2, columns))
        layer = layers.Normalization(mean=figures[0], variance=figures[1])
        recipe.call(layer, [x], 2 + recipe.bounds[x])
    elif kind == "Rescaling":
        recipe.call(layers.Rescaling(0.8, -0.1), [x], recipe.bounds[x])
    elif kind == "Member" and len(recipe.shapes[x]) > 1:
        recipe.call(layers.MemberScale("random_normal"), [x], recipe.bounds[x])
    else:
        recipe.call(layers.RMSNormalization(epsilon=0.01), [x], 3.0)


def add_shaping(recipe: Recipe, x: int) -> None:
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    numbers = math.prod(shape)
    kind = recipe.any_of(
        ("Permute", "Reshape", "RepeatVector", "Flatten", "Identity", "Dropout", "Activity")
    )
    if kind == "Permute" and len(shape) > 1:
        dims = [int(axis) for axis in recipe.random.permutation(len(shape)) + 1]
        recipe.call(layers.Permute(dims), [x], bound)
    elif kind == "RepeatVector":
        flat = x if len(shape) == 1 else recipe.call(layers.Flatten(), [x], bound)
        if 3 * numbers <= MANY:
            recipe.call(layers.RepeatVector(recipe.any_of((2, 3))), [flat], bound)
    elif kind == "Activity":
        recipe.call(layers.ActivityRegularization(0.002, 0.01), [x], bound)
    elif kind == "Identity":
        recipe.call(layers.Identity(), [x], bound)
    elif kind == "Dropout":
        recipe.call(layers.Dropout(0.0), [x], bound)
    elif kind == "Reshape":
        size = recipe.any_of([k for k in range(1, numbers + 1) if numbers % k == 0])
        recipe.call(layers.Reshape((size, -1)), [x], bound)


def add_convolution(recipe: Recipe, x: int) -> None:
    """A convolution of some kind, pooling, or a frame, where rows are series or images."""
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    rank = len(shape) - 1
    if rank not in (1, 2):
        return
    one = rank == 1

    def sizes(*choices: int, most: int = MANY) -> Any:
        found = tuple(min(recipe.any_of(choices), length, most) for length in shape[:-1])
        return found[0] if one else found

    settings: dict[str, Any] = {
        "strides": sizes(1, 1, 2),
        "padding": recipe.any_of(("valid", "same")),
    }
    if recipe.chance(0.2):
        settings |= {"padding": "same", "strides": 1, "dilation_rate": 2}
    weighted = {**settings, "use_bias": recipe.chance(0.8), "trainable": recipe.chance(0.85)}
    weighted["activation"] = recipe.any_of(("tanh", "relu", "linear", "gelu"))
    filters, window = recipe.any_of((1, 2, 3, 6)), sizes(1, 2, 3)
    name = recipe.any_of(
        (
            *("Conv", "Conv", "Conv", "DepthwiseConv", "SeparableConv"),
            *("Transpose", "Pooling", "Global", "Frame", "Frame", "Frame"),
        )
    )
    if name == "Conv" and one and recipe.chance(0.3):
        weighted["padding"] = "causal"
    make = getattr(layers, f"{name}{rank}D", None)
    if name == "Conv":
        groups = 2 if shape[-1] % 2 == filters % 2 == 0 and recipe.chance(0.5) else 1
        layer = make(filters, window, groups=groups, **weighted)
    elif name == "DepthwiseConv":
        layer = make(window, depth_multiplier=recipe.any_of((1, 2)), **weighted)
    elif name == "SeparableConv":
        layer = make(filters, window, depth_multiplier=recipe.any_of((1, 2)), **weighted)
    elif name == "Transpose":
        layer = getattr(layers, f"Conv{rank}DTranspose")(filters, window, **weighted)
    elif name == "Pooling":
        settings.pop("dilation_rate", None)
        kind = recipe.any_of(("Max", "Average"))
        layer = getattr(layers, f"{kind}Pooling{rank}D")(window, **settings)
    elif name == "Global":
        kind = recipe.any_of(("Max", "Average"))
        layer = getattr(layers, f"Global{kind}Pooling{rank}D")(keepdims=True)
    else:
        kinds = ("ZeroPadding", "Cropping", "UpSampling")
        kind = recipe.any_of(kinds if one else (*kinds, "Resizing", "CenterCrop"))
        if kind == "Cropping" and min(shape[:-1]) < 2:
            return
        around: Any = (1, 0) if one else ((1, 0), (0, 1))
        if kind == "Resizing":
            layer = layers.Resizing(recipe.any_of((1, 2, 3, 5)), recipe.any_of((1, 2, 4)))
        elif kind == "CenterCrop":
            layer = layers.CenterCrop(*sizes(1, 2))
        elif kind == "UpSampling" and not one:
            layer = layers.UpSampling2D(2, interpolation=recipe.any_of(("bilinear", "nearest")))
        else:
            layer = getattr(layers, f"{kind}{rank}D")(2 if kind == "UpSampling" else around)
    if math.prod(layer.output_shape(shape)) <= 2 * MANY:
        recipe.call(layer, [x], bound + (1 if name in ("Conv", "Transpose") else 0))


def add_merge(recipe: Recipe, x: int) -> None:
    alike = recipe.alike(x)
    reads = [x] + [recipe.any_of(alike) for _ in range(recipe.random.integers(1, 3))]
    bounds = [recipe.bounds[read] for read in reads]
    kind = recipe.any_of(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"))
    if kind == "Subtract":
        if reads[0] != reads[1]:  # 0 in all rows leaves gradients of rounding alone
            recipe.call(layers.Subtract(), reads[:2], sum(bounds[:2]))
    elif kind == "Multiply":
        recipe.call(layers.Multiply(), reads, math.prod(bounds))
    else:
        bound = sum(bounds) if kind == "Add" else max(bounds)
        recipe.call(getattr(layers, kind)(), reads, bound)


def add_spread_merge(recipe: Recipe, x: int) -> None:
    """An outer sum or product: axes of length 1 are repeated."""
    shape, bound = recipe.shapes[x], recipe.bounds[x]
    flat = x if len(shape) == 1 else recipe.call(layers.Flatten(), [x], bound)
    small = recipe.call(layers.Dense(3, "tanh"), [flat], 1.0)
    one = recipe.call(layers.Reshape((3, 1)), [small], 1.0)
    other = recipe.call(layers.Reshape((1, 3)), [small], 1.0)
    recipe.call(recipe.any_of((layers.Multiply, layers.Add, layers.Maximum))(), [one, other], 2.0)


def add_concatenation(recipe: Recipe, x: int) -> None:
    axis = int(recipe.random.integers(len(recipe.shapes[x])))

    def fits(number: int) -> bool:
        one, other = recipe.shapes[x], recipe.shapes[number]
        return len(one) == len(other) and one[:axis] + one[axis + 1 :] == (
            other[:axis] + other[axis + 1 :]
        )

    others = [k for k in range(len(recipe.shapes)) if fits(k)]
    reads = [x] + [recipe.any_of(others) for _ in range(recipe.random.integers(1, 3))]
    if sum(math.prod(recipe.shapes[read]) for read in reads) <= MANY:
        recipe.call(layers.Concatenate(axis + 1), reads, max(recipe.bounds[read] for read in reads))


def add_dot(recipe: Recipe, x: int) -> None:
    axis = int(recipe.random.integers(len(recipe.shapes[x])))
    length = recipe.shapes[x][axis]
    pairs = [
        (number, other)
        for number, shape in enumerate(recipe.shapes)
        for other in range(len(shape))
        if shape[other] == length
        and math.prod(shape) * math.prod(recipe.shapes[x]) <= MANY * length**2
    ]
    if length < 2 or not pairs:
        return
    number, other = recipe.any_of(pairs)
    reads, normalize = [x, number], recipe.chance(0.3)
    if normalize:
        reads = [
            recipe.call(layers.Rescaling(1.0, 0.7), [read], 1 + recipe.bounds[read])
            for read in reads
        ]
    bound = 1.0 if normalize else math.prod(recipe.bounds[read] for read in reads) * length
    recipe.call(layers.Dot((axis + 1, other + 1), normalize), reads, bound)


def with_places(recipe: Recipe, x: int) -> int:
    """The value with its places told apart."""
    (steps, features), bound = recipe.shapes[x], recipe.bounds[x]
    if features % 2 == 0 and recipe.chance(0.5):
        return recipe.call(layers.RotaryEmbedding(50.0), [x], 2 * bound, start_index=3)
    if recipe.chance(0.5):
        places = recipe.call(layers.PositionEmbedding(steps + 2), [x], 1.0, start_index=1)
    else:
        places = recipe.call(layers.SinePositionEncoding(), [x], 1.0)
    return recipe.call(layers.Add(), [x, places], bound + 1)


def add_attention(recipe: Recipe, x: int) -> None:
    """Without biases: that of keys has no gradient but what rounding leaves of it."""

    def is_series(number: int) -> bool:
        shape = recipe.shapes[number]
        return len(shape) == 2 and shape[0] > 1

    series = [number for number in range(len(recipe.shapes)) if is_series(number)]
    if not is_series(x):
        return
    x = with_places(recipe, x)
    value = recipe.any_of([x, recipe.any_of(series)])
    alike = [number for number in series if recipe.shapes[number][0] == recipe.shapes[value][0]]
    reads = [x, value, recipe.any_of(alike)] if recipe.chance(0.3) else [x, value]
    settings = {"use_bias": False, "trainable": recipe.chance(0.85)}
    size = recipe.any_of((1, 2, 5))
    layer = recipe.any_of(
        [
            lambda: layers.MultiHeadAttention(2, size, recipe.any_of((1, 3)), **settings),
            lambda: layers.GroupQueryAttention(size, 4, recipe.any_of((1, 2)), **settings),
        ]
    )()
    told = {"use_causal_mask": True} if recipe.chance(0.5) else {}
    recipe.call(layer, reads, recipe.bounds[value] + 1, **told)


def add_recurrent(recipe: Recipe, x: int) -> None:
    if len(recipe.shapes[x]) != 2:
        return
    kind = recipe.any_of((layers.LSTM, layers.GRU, layers.SimpleRNN))
    layer = kind(recipe.any_of((1, 3, 5)), return_sequences=recipe.chance(0.6))
    if recipe.chance(0.3):
        layer = layers.Bidirectional(layer)
    if recipe.chance(0.3):
        # No step is of this number. What has a mask goes to this layer alone, which ends it.
        x = recipe.call(layers.Masking(77.7), [x], recipe.bounds[x])
        last = recipe.call(kind(3), [x], 1.0)
        recipe.shapes[x] = ()
        x = recipe.call(layers.Reshape((3, 1)), [last], 1.0)
    made = recipe.call(layer, [x], 1.0)
    if len(recipe.shapes[made]) == 2 and recipe.chance(0.5):
        recipe.call(layers.TimeDistributed(layers.Dense(3, "tanh")), [made], 1.0)


#: What makes a network longer, each as often as it stands here.
ADDING = (
    *[add_dense] * 5, *[add_activation] * 3, *[add_normalization] * 4, *[add_shaping] * 3,
    *[add_convolution] * 4, *[add_merge] * 3, add_spread_merge, add_concatenation,
    add_concatenation, add_dot, add_recurrent,
)  # fmt: skip

INPUT_SHAPES = (
    *((5,), (8,), (66,), (3, 4), (4, 3), (2, 3, 4), (1,)),
    *((9, 2), (5, 6, 2), (6, 5, 1)),
)


def recipe_of(seed: int) -> Recipe:
    """A network of depth up to 12, with one or two outputs; all values are used."""
    random = np.random.default_rng(seed)
    count = int(random.choice((1, 1, 2, 3)))
    inputs = [INPUT_SHAPES[random.integers(len(INPUT_SHAPES))] for _ in range(count)]
    categories = {}
    if random.random() < 0.3:
        categories[count] = int(random.integers(1, 12))
        inputs.append((int(random.integers(1, 5)),))
    recipe = Recipe(random, inputs, categories)
    wanted = int(random.integers(3, 11))
    while recipe.depth() < wanted and len(recipe.steps) < 30:
        recipe.any_of(ADDING)(recipe, recipe.pick())
    if seed % 2:
        add_attention(recipe, recipe.pick())
        add_attention(recipe, len(recipe.shapes) - 1)
    if recipe.chance(0.3):
        add_head(recipe, recipe.pick(), recipe.any_of((1.0, 0.3, 2.5)))
    read = {number for step in recipe.steps for number in step.reads}
    read.update(head.value for head in recipe.heads)
    loose = [number for number in range(len(recipe.shapes)) if number not in read]
    ends = [
        number
        if len(recipe.shapes[number]) == 1
        else recipe.call(layers.Flatten(), [number], recipe.bounds[number])
        for number in loose
    ]
    ends = ends or [recipe.pick()]  # where another output has all
    joined = recipe.call(layers.Concatenate(), ends, 0.0) if len(ends) > 1 else ends[0]
    add_head(recipe, joined, 1.0)
    return recipe


def add_head(recipe: Recipe, x: int, weight: float) -> None:
    """An output by a dense layer, for one of the losses."""
    flat = x if len(recipe.shapes[x]) == 1 else recipe.call(layers.Flatten(), [x], 0.0)
    loss = recipe.any_of(list(LOSSES))
    last = {
        "categorical_crossentropy": "softmax",
        "binary_crossentropy": "sigmoid",
        "poisson": "softplus",
    }.get(loss)
    units = 1 if loss == "binary_crossentropy" and recipe.chance(0.5) else 3
    recipe.heads.append(Head(recipe.call(layers.Dense(units, last), [flat], 0.0), loss, weight))


def model_of(recipe: Recipe, seed: int) -> fw.Model:
    """The network of this library, its weights anywhere near where they start."""
    inputs = [fw.Input(shape) for shape in recipe.inputs]
    values = list(inputs)
    for step in recipe.steps:
        values.append(step.layer([values[read] for read in step.reads], **step.told))
    outputs = [values[head.value] for head in recipe.heads]
    model = fw.Model(inputs, outputs, dtype="float64", seed=seed)
    for layer in model.layers:
        for name, weight in layer.weights.items():
            if "variance" not in name:
                weight += recipe.random.normal(0, 0.1, weight.shape)
    losses, weights = zip(*((head.loss, head.weight) for head in recipe.heads), strict=True)
    model.compile("adam", list(losses), loss_weights=list(weights))
    return model


class Twin:
    """The same network in PyTorch, with copies of the weights."""

    def __init__(self, model: fw.Model, recipe: Recipe) -> None:
        self.layers, self.recipe = model.layers, recipe
        self.weights = {
            id(layer): {
                name: torch.tensor(array).requires_grad_(name not in STATES and layer.trainable)
                for name, array in layer.weights.items()
            }
            for layer in model.layers
        }
        self.parameters, self.states = (
            [
                weight
                for layer in model.layers
                for name, weight in self.weights[id(layer)].items()
                if (name in STATES) == are_states
            ]
            for are_states in (False, True)
        )

    def outputs(self, x: list[Any], training: bool) -> tuple[list[Any], Any]:
        """Those of all rows of the inputs, and what is paid for what layers make."""
        values, cost = list(x), torch.zeros((), dtype=torch.float64)
        for step in self.recipe.steps:
            read = [values[number] for number in step.reads]
            twin = TWINS[type(step.layer).__name__]
            made = twin(step.layer, self.weights[id(step.layer)], training, *read, **step.told)
            values.append(made)
            is_rule = isinstance(step.layer, layers.ActivityRegularization)
            rule = step.layer if is_rule else step.layer.activity_regularizer
            if rule is not None:
                paid = rule.l1 * made.abs().sum() + rule.l2 * made.square().sum()
                cost = cost + paid / len(made)
        return [values[head.value] for head in self.recipe.heads], cost

    def cost(self) -> Any:
        """Of the weights that are trained."""
        total = torch.zeros((), dtype=torch.float64)
        for layer in self.layers:
            for name in ("kernel", "bias"):
                rule = getattr(layer, f"{name}_regularizer", None)
                weight = self.weights[id(layer)].get(name)
                if rule is not None and weight is not None and layer.trainable:
                    total = total + rule.l1 * weight.abs().sum() + rule.l2 * weight.square().sum()
        return total

    def loss(self, x: list[Any], y: list[Any], training: bool) -> Any:
        """With what the weights cost, and what layers make."""
        outputs, total = self.outputs(x, training)
        for head, output, target in zip(self.recipe.heads, outputs, y, strict=True):
            total = total + head.weight * LOSSES[head.loss](output, target)
        return total + self.cost()

    def gradients(self, loss: Any, x: list[Any]) -> tuple[np.ndarray, list[np.ndarray]]:
        """By all parameters, 0 where they are not trained, and by the inputs that are reals."""
        wanted = [p for p in self.parameters if p.requires_grad]
        reals = [one for one in x if one.requires_grad]
        found = list(torch.autograd.grad(loss, [*reals, *wanted], materialize_grads=True))
        by_inputs = [found.pop(0).numpy() for _ in reals]
        by_all = [found.pop(0) if p.requires_grad else torch.zeros_like(p) for p in self.parameters]
        return flat(by_all), by_inputs


def flat(tensors: list[Any]) -> np.ndarray:
    """All numbers as one vector."""
    return np.concatenate([np.zeros(0), *(t.detach().numpy().ravel() for t in tensors)])


def agree(found: Any, expected: Any, what: str) -> None:
    """Relative to the largest number of an array."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    if expected.size:
        away, scale = np.abs(found - expected).max(), np.abs(expected).max()
        # PyTorch has 1 - tanh^2, which is 0 where this library still has e^-2a.
        assert away <= max(TOLERANCE * scale, 1e-30), f"{what}: {away:.3g} of {scale:.3g}"


def data_of(recipe: Recipe, rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Normal rows of each input, or places in its table, and targets of each output's loss."""
    random = recipe.random
    x = [
        random.integers(recipe.categories[number], size=(rows, *shape))
        if number in recipe.categories
        else random.standard_normal((rows, *shape))
        for number, shape in enumerate(recipe.inputs)
    ]
    return x, [
        targets_of(random, head.loss, (rows, *recipe.shapes[head.value])) for head in recipe.heads
    ]


def targets_of(random: np.random.Generator, loss: str, shape: tuple[int, ...]) -> np.ndarray:
    """Some that the loss is for."""
    return {
        "hinge": lambda: random.choice((-1.0, 1.0), shape),
        "binary_crossentropy": lambda: random.uniform(0, 1, shape),
        "categorical_crossentropy": lambda: random.dirichlet(np.ones(shape[-1]), shape[0]),
        "poisson": lambda: random.poisson(2.0, shape).astype(float),
    }.get(loss, lambda: random.standard_normal(shape))()


#: Rows and batch of training, of which a whole number of rows may be left at the end: in few rows,
#: in slices, in chunks of a large batch.
SIZES = ((90, 20), (45, 9), (300, 300), (90, 20), (45, 16), (400, 260), (30, 30), (1100, 1100))


def rows_of(x: list[np.ndarray], part: slice) -> list[Any]:
    """Those rows as tensors whose gradient is wanted where they are reals."""
    return [torch.tensor(one[part]).requires_grad_(one.dtype.kind == "f") for one in x]


def several(found: Any) -> list[Any]:
    """What came of one, or of each of several; of inputs that are whole numbers nothing."""
    return [
        one for one in (found if isinstance(found, (list, tuple)) else [found]) if one is not None
    ]


def all_agree(found: Any, expected: list[Any], what: str) -> None:
    for one, other in zip(several(found), expected, strict=True):
        agree(one, other.detach() if isinstance(other, torch.Tensor) else other, what)


@pytest.mark.parametrize("seed", range(cases(20, NETWORKS)))
def test_outputs_gradients_and_training(seed):
    recipe = recipe_of(seed)
    model = model_of(recipe, seed)
    twin = Twin(model, recipe)
    rows, batch = SIZES[seed % len(SIZES)]
    x, y = data_of(recipe, rows)

    for part in (slice(0, 7), slice(0, rows)):
        given_x, given_y = rows_of(x, part), [torch.tensor(one[part]) for one in y]
        own_x, own_y = [one[part] for one in x], [one[part] for one in y]
        expected, _ = twin.outputs(given_x, training=False)
        all_agree(model.predict(own_x), expected, "predict")
        expected_loss = twin.loss(given_x, given_y, training=False)
        gradient, by_inputs = twin.gradients(expected_loss, given_x)
        found = model.loss_and_gradients(own_x, own_y)
        agree(found[0], expected_loss.detach(), "loss")
        agree(found[1], gradient, "gradient")
        all_agree(found[2], by_inputs, "gradient by an input")

    _in_training(model, twin, recipe, x)
    _trained(model, twin, x, y, batch)


def _in_training(model, twin, recipe, x):
    """Forward and backward by themselves; what is remembered moves, as in training."""
    part = slice(0, 40)
    given_x = rows_of(x, part)
    expected, paid = twin.outputs(given_x, training=True)
    found = model.forward([one[part] for one in x], training=True)
    all_agree(found, expected, "forward in training")
    dy = [recipe.random.standard_normal(one.shape) for one in several(found)]
    loss = paid + twin.cost()
    for one, other in zip(expected, dy, strict=True):
        loss = loss + (one * torch.tensor(other)).sum()
    gradient, by_inputs = twin.gradients(loss, given_x)
    dx = model.backward(dy if len(dy) > 1 else dy[0])
    all_agree(dx, by_inputs, "gradient by an input in training")
    agree(model.gradients, gradient, "gradient in training")


def _trained(model, twin, x, y, batch):
    """Steps of Adam by `fit`, beside the loop of PyTorch's tutorials."""
    count = len(y[0])
    begins = range(0, count, batch)
    epochs = math.ceil(STEPS / len(begins))
    targets = y if len(y) > 1 else y[0]
    history = model.fit(x, targets, batch, epochs, verbose=0, shuffle=False).history["loss"]
    wanted = [p for p in twin.parameters if p.requires_grad]
    optimizer = torch.optim.Adam(wanted, 0.001, (0.9, 0.999), eps=1e-7)
    for epoch in range(epochs):
        total = 0.0
        for begin in begins:
            part = slice(begin, begin + batch)
            # With gradients by the rows: without, group_norm's backward crashes PyTorch 2.13.
            rows = rows_of(x, part)
            value = twin.loss(rows, [torch.tensor(one[part]) for one in y], training=True)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(rows[0])
        agree(history[epoch], total / count, f"loss of epoch {epoch}")
    agree(model.parameters, flat(twin.parameters), "weights after training")
    agree(model.state, flat(twin.states), "what is remembered after training")
    expected, _ = twin.outputs([torch.tensor(one) for one in x], training=False)
    all_agree(model.predict(x), expected, "predict after training")


def test_every_layer_is_compared():
    """Each has a twin, and stands in some of the networks; depths go to 12."""
    assert set(TWINS) | RANDOM == set(layers.LAYERS)
    recipes = [recipe_of(seed) for seed in range(NETWORKS)]
    assert {type(step.layer).__name__ for one in recipes for step in one.steps} == set(TWINS)
    assert max(one.depth() for one in recipes) >= 12
    assert {len(one.inputs) for one in recipes} == {1, 2, 3, 4}
    assert {len(one.heads) for one in recipes} == {1, 2}
