"""Each layer in PyTorch: what it makes of its weights and of the values that it reads.

PyTorch's layers are used where it has them; where its definition differs from Keras's, as in
BatchNormalization's running variance, a few lines of its ops say what is meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch_recurrent

functional = torch.nn.functional


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


def heads(x: Any, kernel: Any, bias: Any) -> Any:
    y = torch.einsum("rtf,fhd->rhtd", x, kernel)
    return y if bias is None else y + bias[:, None]


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
    q, k, v = (heads(x, w[f"{name}_kernel"], w.get(f"{name}_bias")) for name, x in reads.items())
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=use_causal_mask)
    y = torch.einsum("rhtd,hdf->rtf", y, w["output_kernel"])
    return y + w["output_bias"] if "output_bias" in w else y


def learned_positions(layer: Any, w: Any, training: bool, x: Any, start_index: int = 0) -> Any:
    table = w["position_embeddings"][start_index : start_index + x.shape[1]]
    return table.expand(x.shape)


def there_and_back(layer: Any, w: Any, training: bool, x: Any, reverse: bool = False) -> Any:
    table = w["embeddings"]
    return functional.linear(x, table) if reverse else functional.embedding(x, table)


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


def activation(found: Any, x: Any) -> Any:
    return ACTIVATIONS[found.name](x)


def going(twin: Callable[..., Any]) -> Callable[..., Any]:
    """The twin of a recurrent layer, here without masks."""
    return lambda layer, w, training, x: twin(layer, w, x, None, activation)


#: What each layer makes of its weights and of the values that it reads.
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
    "ReversibleEmbedding": there_and_back,
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
    "Scale": lambda layer, w, training, x: x * w["scale"],
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
