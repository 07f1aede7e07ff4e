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
