"""Layers that look at rows through a window which moves over them: convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, activated, op

#: A setting for each axis that a window moves along, or one for all.
Sizes = int | Sequence[int]

AXES = {1: "(steps, channels)", 2: "(height, width, channels)"}


class Window(NamedTuple):
    """How a window moves along one axis: what an op has to know of it."""

    #: Numbers that it moves over, and how often it stops.
    size: int
    stops: int
    taps: int
    stride: int
    dilation: int
    #: How far its first stop is before the first number.
    before: int


def extent(taps: int, dilation: int) -> int:
    """Numbers from a window's first to its last, both with them."""
    return (taps - 1) * dilation + 1


def window(padding: str, size: int, taps: int, stride: int = 1, dilation: int = 1) -> Window:
    """The window as that padding has it; it stops nowhere where it finds no room."""
    reach = extent(taps, dilation)
    if padding == "same":
        count = -(-size // stride)
        before = max((count - 1) * stride + reach - size, 0) // 2
    else:
        before = reach - 1 if padding == "causal" else 0
        count = max(size + before - reach + stride, 0) // stride
    return Window(size, count, taps, stride, dilation, before)


def per_axis(argument: str, got: Any, rank: int, minimum: int = 1) -> tuple[int, ...]:
    """A setting for each axis; one number is that of all."""
    sizes = tuple(got) if isinstance(got, (tuple, list)) else (got,) * rank
    if len(sizes) != rank:
        expected = f"one number, or {rank}" if rank > 1 else "one number"
        raise ValueError(_check.refusal(argument, _check.shown(got), expected))
    return tuple(_check.whole(argument, size, minimum) for size in sizes)


def padding_setting(got: Any, choices: Sequence[str] = ("valid", "same")) -> str:
    return _check.choice("padding", got, {name: name for name in choices}, ignore_case=True)


def refuse_channels_first(got: Any) -> None:
    """Raises ValueError for a `data_format` other than Keras's default."""
    if got not in (None, "channels_last"):
        expected = (
            "'channels_last': rows of (..., channels); layers.Permute brings others into that order"
        )
        raise ValueError(_check.refusal("data_format", _check.shown(got), expected))


def axes_of(layer: str, shape: Shape, rank: int) -> tuple[int, ...]:
    """The axes of a row that windows move along, without that of the channels."""
    if len(shape) != rank + 1:
        hint = ""
        if len(shape) == rank:
            hint = f"; layers.Reshape({(*shape, 1)}) gives rows {shape} a channel"
        got, expected = f"rows of shape {shape}", f"rows of {AXES[rank]}{hint}"
        raise ValueError(_check.refusal(f"input of {layer}", got, expected))
    return shape[:-1]


def windows_over(
    layer: str,
    shape: Shape,
    padding: str,
    taps: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> list[Window]:
    """The windows along the axes of a row, each of which stops somewhere."""
    sizes = axes_of(layer, shape, len(taps))
    found = [window(padding, *axis) for axis in zip(sizes, taps, strides, dilation, strict=True)]
    if min(axis.stops for axis in found) < 1:
        reach = tuple(extent(axis.taps, axis.dilation) for axis in found)
        got = f"rows of shape {shape} for a window of {reach}"
        expected = "rows that the window fits into, or padding='same'"
        if shape[-1] > shape[0]:
            expected += f"; rows are {AXES[len(taps)]}, channels last"
        raise ValueError(_check.refusal(f"input of {layer}", got, expected))
    return found


def two(windows: Sequence[Window]) -> tuple[Window, Window]:
    """A series is an image of height 1."""
    along = Window(1, 1, 1, 1, 1, 0)
    return (along, windows[0]) if len(windows) == 1 else (windows[0], windows[1])


def sizes_of(windows: Sequence[Window], channels: int, filters: int) -> list[int]:
    """What ops over two axes know: both images, then window, strides, dilation and padding."""
    down, across = two(windows)
    images = [down.size, across.size, channels, down.stops, across.stops, filters]
    pairs = ((down[at], across[at]) for at in range(2, 6))
    return [*images, *(number for pair in pairs for number in pair)]


class _Convolution(Layer):
    """What convolutions of all kinds take."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: str | activations.Activation | None,
        use_bias: bool,
        name: str | None,
    ) -> None:
        super().__init__(name)
        refuse_channels_first(data_format)
        self.kernel_size = per_axis("kernel_size", kernel_size, self.rank)
        self.strides = per_axis("strides", strides, self.rank)
        self.padding = padding_setting(padding, self.paddings)
        self.dilation_rate = per_axis("dilation_rate", dilation_rate, self.rank)
        self.activation = activations.get(activation)
        self.use_bias = _check.flag("use_bias", use_bias)

    def _keep(
        self,
        variable: str,
        initializer: str | initializers.Initializer,
        regularizer: str | regularizers.Regularizer | None,
        constraint: str | constraints.Constraint | None,
    ) -> None:
        """Takes the settings of a variable."""
        settings = {
            "initializer": initializers.get(
                initializer, self.activation.name, f"{variable}_initializer"
            ),
            "regularizer": regularizers.get(regularizer, f"{variable}_regularizer"),
            "constraint": constraints.get(constraint, f"{variable}_constraint"),
        }
        for setting, value in settings.items():
            setattr(self, f"{variable}_{setting}", value)

    def _variable(
        self, name: str, shape: Shape, setting: str, fan_in: int, fan_out: int
    ) -> Variable:
        """A variable of that shape with the settings that are called so."""
        return Variable(
            name,
            shape,
            getattr(self, f"{setting}_initializer"),
            fan_in,
            fan_out,
            getattr(self, f"{setting}_regularizer"),
            constraint=getattr(self, f"{setting}_constraint"),
        )

    def _windows(self, shape: Shape) -> list[Window]:
        return windows_over(
            type(self).__name__,
            shape,
            self.padding,
            self.kernel_size,
            self.strides,
            self.dilation_rate,
        )

    def _with_bias(self, *kernels: Variable, outputs: int) -> list[Variable]:
        """Kernels and, if it is wanted, a bias with the fans of the last one."""
        if not self.use_bias:
            return list(kernels)
        fans = kernels[-1].fan_in or 1, kernels[-1].fan_out or 1
        return [*kernels, self._variable("bias", (outputs,), "bias", *fans)]

    def _made(
        self, kind: str, x: Value, shape: Shape, variables: Sequence[str], **rest: Any
    ) -> Value:
        """What an op with the bias makes of x, and then the activation unless it is part of it."""
        fused = self.activation.is_elementwise
        y = op(
            kind,
            x,
            shape=shape,
            variables=[*variables, "bias"] if self.use_bias else variables,
            activation=self.activation if fused else activations.LINEAR,
            **rest,
        )
        return y if fused else activated(y, self.activation)

    def _config(self, *variables: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": self.activation.config(),
            "use_bias": self.use_bias,
        }
        for variable in variables:
            found[f"{variable}_initializer"] = getattr(self, f"{variable}_initializer").config()
            for setting in ("regularizer", "constraint"):
                name = f"{variable}_{setting}"
                found[name] = config_of(getattr(self, name))
        return {**found, "name": self.name}


class _Conv(_Convolution):
    """What Conv1D and Conv2D have in common."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "auto",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        )
        self.filters = _check.whole("filters", filters, 1)
        self.groups = _check.whole("groups", groups, 1)
        if self.filters % self.groups:
            expected = f"a number that divides the {self.filters} filters"
            raise ValueError(_check.refusal("groups", self.groups, expected))
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def variables(self, input_shape: Shape) -> list[Variable]:
        channels = input_shape[-1]
        if channels % self.groups:
            expected = f"a number that divides the {channels} channels of rows {input_shape}"
            raise ValueError(_check.refusal("groups", self.groups, expected))
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        kernel = self._variable("kernel", shape, "kernel", *initializers.fans(shape))
        return self._with_bias(kernel, outputs=self.filters)

    def ops(self, x: Value) -> Value:
        windows = self._windows(x.shape)
        shape = (*(axis.stops for axis in windows), self.filters)
        if self.groups == 1 and all(axis.taps == axis.stride == 1 for axis in windows):
            return self._made("dense", x, shape, ["kernel"], lines=x.lines)
        sizes = [*sizes_of(windows, x.features, self.filters), self.groups]
        return self._made("conv", x, shape, ["kernel"], sizes=sizes)

    def config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "groups": self.groups}
        return {**own, **self._config("kernel", "bias")}


class Conv1D(_Conv):
    """A convolution over the steps of a series.

    ``y[t, f] = activation(bias[f] + sum of x[t * stride + k * dilation, c] * kernel[k, c, f])``

    Parameters
    ----------
    filters : int
        How many numbers it makes of each window.
    kernel_size : int
        Steps that a window looks at.
    strides : int
        Steps from one window to the next.
    padding : {"valid", "same", "causal"}
        Whether windows stay within the series; make ``ceil(steps / strides)`` steps of it, with
        zeros around it; or end where they are, with zeros before the series.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    dilation_rate : int
        Steps from one that a window looks at to the next.
    groups : int
        So many convolutions side by side, each of its part of the channels.
    activation : str or Activation, optional
        As for `Dense`.
    use_bias : bool
        Whether a bias is added.
    kernel_initializer, bias_initializer : str or Initializer
        As for `Dense`; fans count the window.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        As for `Dense`.
    kernel_constraint, bias_constraint : str or Constraint, optional
        As for `Dense`; ``axis=(0, 1)`` goes by filters.
    name : str, optional
        Name in the model.

    Attributes
    ----------
    kernel : ndarray (kernel_size, channels / groups, filters)
        View of the model's parameters, once the model is built.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, new steps, filters)``. With strides and
    "same" as many zeros stand before the series as after it, or one fewer, as in Keras; PyTorch
    has no such padding.
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """A convolution over images.

    ``y[i, j, f] = activation(bias[f] + sum of x[i + k, j + l, c] * kernel[k, l, c, f])``

    Parameters
    ----------
    filters : int
        How many numbers it makes of each window.
    kernel_size : int or (int, int)
        Height and width of a window.
    strides : int or (int, int)
        From one window to the next, down and across.
    padding : {"valid", "same"}
        Whether windows stay within the image, or make ``ceil(height / strides)`` by
        ``ceil(width / strides)`` pixels of it, with zeros around it.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    dilation_rate : int or (int, int)
        From one pixel that a window looks at to the next.
    groups : int
        So many convolutions side by side, each of its part of the channels.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, \\
    bias_regularizer, kernel_constraint, bias_constraint, name
        As for `Conv1D`.

    Attributes
    ----------
    kernel : ndarray (height, width, channels / groups, filters)
        View of the model's parameters, once the model is built.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, filters)``.
    With strides and "same" as many zeros stand before an image as after it, or one fewer, as in
    Keras; PyTorch has no such padding. Strides and dilation may both be above 1, unlike in Keras.
    """

    rank = 2


# ---- transposed -----------------------------------------------------------------------------------


def _expanding_window(
    padding: str, size: int, taps: int, stride: int, dilation: int, more: int | None
) -> Window:
    """The window over what it makes that stops once for each of `size` numbers."""
    reach = extent(taps, dilation)
    if padding == "valid":
        made = (size - 1) * stride + (max(reach, stride) if more is None else reach + more)
        return Window(made, size, taps, stride, dilation, 0)
    if more is None:
        made, padded = size * stride, stride + reach - 2
    else:
        made = (size - 1) * stride + reach % 2 + more
        padded = reach + reach % 2 - 2 + more
    before = reach - 1 - min(-(-padded // 2), reach - 1)
    return Window(made, size, taps, stride, dilation, before)


class _ConvTranspose(_Convolution):
    """What Conv1DTranspose and Conv2DTranspose have in common."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "auto",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        )
        self.filters = _check.whole("filters", filters, 1)
        self.output_padding = (
            None
            if output_padding is None
            else per_axis("output_padding", output_padding, self.rank, 0)
        )
        for more, stride in zip(self.output_padding or (), self.strides, strict=False):
            if more >= stride:
                expected = f"less than the strides {self.strides}"
                raise ValueError(_check.refusal("output_padding", self.output_padding, expected))
        self._keep("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def variables(self, input_shape: Shape) -> list[Variable]:
        shape = (*self.kernel_size, self.filters, input_shape[-1])
        fan_out, fan_in = initializers.fans(shape)
        kernel = self._variable("kernel", shape, "kernel", fan_in, fan_out)
        return self._with_bias(kernel, outputs=self.filters)

    def ops(self, x: Value) -> Value:
        layer = type(self).__name__
        axes = axes_of(layer, x.shape, self.rank)
        more = self.output_padding or (None,) * self.rank
        settings = (self.kernel_size, self.strides, self.dilation_rate, more)
        windows = [
            _expanding_window(self.padding, *axis) for axis in zip(axes, *settings, strict=True)
        ]
        shape = (*(axis.size for axis in windows), self.filters)
        if 0 in shape:
            got, expected = f"rows of shape {x.shape}, of which nothing is made", "larger rows"
            raise ValueError(_check.refusal(f"input of {layer}", got, expected))
        sizes = [*sizes_of(windows, self.filters, x.features), 1]
        return self._made("conv_transpose", x, shape, ["kernel"], sizes=sizes)

    def config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "output_padding": self.output_padding}
        return {**own, **self._config("kernel", "bias")}


class Conv1DTranspose(_ConvTranspose):
    """The way back through a convolution over steps: each step is spread over a window.

    ``y[t * stride + k * dilation, f] = activation(bias[f] + sum of x[t, c] * kernel[k, f, c])``

    Parameters
    ----------
    filters : int
        Channels of what it makes.
    kernel_size : int
        Steps of a window.
    strides : int
        Steps from one window to the next.
    padding : {"valid", "same"}
        Whether all of the windows stays, or ``steps * strides`` steps of it.
    output_padding : int, optional
        Steps more behind than windows make, fewer than the strides; by default as many as make up
        whole strides.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    dilation_rate : int
        Steps from one number of a window to the next.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, \\
    bias_regularizer, kernel_constraint, bias_constraint, name
        As for `Conv1D`; fans count the channels that are read as inputs, unlike in Keras.

    Attributes
    ----------
    kernel : ndarray (kernel_size, filters, channels)
        View of the model's parameters, once the model is built.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, more steps, filters)``.
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """The way back through a convolution over images: each pixel is spread over a window.

    ``y[i * stride + k, j * stride + l, f] = activation(bias[f] + sum of x[i, j, c] *
    kernel[k, l, f, c])``

    Parameters
    ----------
    filters : int
        Channels of what it makes.
    kernel_size : int or (int, int)
        Height and width of a window.
    strides : int or (int, int)
        From one window to the next, down and across.
    padding : {"valid", "same"}
        Whether all of the windows stays, or ``height * strides`` by ``width * strides`` pixels.
    output_padding : int or (int, int), optional
        Pixels more below and to the right, as for `Conv1DTranspose`.
    data_format, dilation_rate, activation, use_bias, kernel_initializer, bias_initializer, \\
    kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, name
        As for `Conv1DTranspose`.

    Attributes
    ----------
    kernel : ndarray (height, width, filters, channels)
        View of the model's parameters, once the model is built.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, filters)``.
    """

    rank = 2


# ---- of each channel by itself --------------------------------------------------------------------


class _DepthwiseConv(_Convolution):
    """What DepthwiseConv1D and DepthwiseConv2D have in common."""

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | initializers.Initializer = "auto",
        bias_initializer: str | initializers.Initializer = "zeros",
        depthwise_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        depthwise_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        )
        self.depth_multiplier = _check.whole("depth_multiplier", depth_multiplier, 1)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def variables(self, input_shape: Shape) -> list[Variable]:
        kernel = _depthwise_kernel(self, "kernel", input_shape[-1])
        return self._with_bias(kernel, outputs=input_shape[-1] * self.depth_multiplier)

    def ops(self, x: Value) -> Value:
        shape, sizes = _depthwise_sizes(self, x)
        return self._made("depthwise", x, shape, ["kernel"], sizes=sizes)

    def config(self) -> dict[str, Any]:
        own = {"depth_multiplier": self.depth_multiplier}
        return {**own, **self._config("depthwise", "bias")}


def _depthwise_kernel(layer: Any, name: str, channels: int) -> Variable:
    shape = (*layer.kernel_size, channels, layer.depth_multiplier)
    fans = initializers.fans((*layer.kernel_size, 1, layer.depth_multiplier))
    variable: Variable = layer._variable(name, shape, "depthwise", *fans)
    return variable


def _depthwise_sizes(layer: Any, x: Value) -> tuple[Shape, list[int]]:
    """The shape of what a depthwise op makes, and the op's sizes."""
    windows = layer._windows(x.shape)
    filters = x.features * layer.depth_multiplier
    shape = (*(axis.stops for axis in windows), filters)
    return shape, [*sizes_of(windows, x.features, filters), layer.depth_multiplier]


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution over steps of each channel by itself.

    ``y[t, c * depth_multiplier + m] = activation(bias[...] + sum of x[t + k, c] * kernel[k, c, m])``

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        As for `Conv1D`, without "causal".
    depth_multiplier : int
        How many numbers it makes of each channel.
    depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer, \\
    depthwise_constraint, bias_constraint
        Of the kernel and of the bias, as for `Conv1D`; fans count the one channel that is read,
        unlike in Keras.

    Attributes
    ----------
    kernel : ndarray (kernel_size, channels, depth_multiplier)
        View of the model's parameters, once the model is built.
    bias : ndarray (channels * depth_multiplier,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, new steps, channels * depth_multiplier)``.
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """A convolution over images of each channel by itself.

    ``y[i, j, c * depth_multiplier + m] = activation(bias[...] + sum of x[i + k, j + l, c] *
    kernel[k, l, c, m])``

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        As for `Conv2D`.
    depth_multiplier, depthwise_initializer, bias_initializer, depthwise_regularizer, \\
    bias_regularizer, depthwise_constraint, bias_constraint
        As for `DepthwiseConv1D`.

    Attributes
    ----------
    kernel : ndarray (height, width, channels, depth_multiplier)
        View of the model's parameters, once the model is built.
    bias : ndarray (channels * depth_multiplier,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, channels *
    depth_multiplier)``.
    """

    rank = 2


class _SeparableConv(_Convolution):
    """What SeparableConv1D and SeparableConv2D have in common."""

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | initializers.Initializer = "auto",
        pointwise_initializer: str | initializers.Initializer = "auto",
        bias_initializer: str | initializers.Initializer = "zeros",
        depthwise_regularizer: str | regularizers.Regularizer | None = None,
        pointwise_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        depthwise_constraint: str | constraints.Constraint | None = None,
        pointwise_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        )
        self.filters = _check.whole("filters", filters, 1)
        self.depth_multiplier = _check.whole("depth_multiplier", depth_multiplier, 1)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._keep("pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self._keep("bias", bias_initializer, bias_regularizer, bias_constraint)

    def variables(self, input_shape: Shape) -> list[Variable]:
        depthwise = _depthwise_kernel(self, "depthwise_kernel", input_shape[-1])
        fans = input_shape[-1] * self.depth_multiplier, self.filters
        shape = (*(1,) * self.rank, *fans)
        pointwise = self._variable("pointwise_kernel", shape, "pointwise", *fans)
        return self._with_bias(depthwise, pointwise, outputs=self.filters)

    def ops(self, x: Value) -> Value:
        shape, sizes = _depthwise_sizes(self, x)
        variables = ["depthwise_kernel"]
        y = op("depthwise", x, shape=shape, variables=variables, sizes=sizes)
        made = (*y.shape[:-1], self.filters)
        return self._made("dense", y, made, ["pointwise_kernel"], lines=y.lines)

    def config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "depth_multiplier": self.depth_multiplier}
        return {**own, **self._config("depthwise", "pointwise", "bias")}


class SeparableConv1D(_SeparableConv):
    """A convolution over steps of each channel by itself, then one over the channels of each step.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        As for `Conv1D`, without "causal".
    depth_multiplier : int
        How many numbers are made of each channel before they are mixed.
    depthwise_initializer, pointwise_initializer, bias_initializer, depthwise_regularizer, \\
    pointwise_regularizer, bias_regularizer, depthwise_constraint, pointwise_constraint, \\
    bias_constraint
        Of both kernels and of the bias, as for `DepthwiseConv1D` and `Conv1D`.

    Attributes
    ----------
    depthwise_kernel : ndarray (kernel_size, channels, depth_multiplier)
        View of the model's parameters, once the model is built.
    pointwise_kernel : ndarray (1, channels * depth_multiplier, filters)
        Likewise.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, steps, channels)``, output ``(rows, new steps, filters)``.
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A convolution over images of each channel by itself, then one over the channels of each pixel.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, name
        As for `Conv2D`.
    depth_multiplier, depthwise_initializer, pointwise_initializer, bias_initializer, \\
    depthwise_regularizer, pointwise_regularizer, bias_regularizer, depthwise_constraint, \\
    pointwise_constraint, bias_constraint
        As for `SeparableConv1D`.

    Attributes
    ----------
    depthwise_kernel : ndarray (height, width, channels, depth_multiplier)
        View of the model's parameters, once the model is built.
    pointwise_kernel : ndarray (1, 1, channels * depth_multiplier, filters)
        Likewise.
    bias : ndarray (filters,)
        Likewise; absent without bias.

    Notes
    -----
    Input ``(rows, height, width, channels)``, output ``(rows, new height, new width, filters)``.
    """

    rank = 2
