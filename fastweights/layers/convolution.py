"""Layers that look at rows through a window which moves over them: convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights._description import config_of
from fastweights.layers.base import Layer, Variable
from fastweights.layers.ops import Shape, Value, activated, op
from fastweights.layers.windows import (
    Sizes,
    Window,
    padding_setting,
    per_axis,
    refuse_channels_first,
    sizes_of,
    windows_over,
)


class Convolution(Layer):
    """What convolutions of all kinds take."""

    _rank: ClassVar[int]
    _paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

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
        self.kernel_size = per_axis("kernel_size", kernel_size, self._rank)
        self.strides = per_axis("strides", strides, self._rank)
        self.padding = padding_setting(padding, self._paddings)
        self.dilation_rate = per_axis("dilation_rate", dilation_rate, self._rank)
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


class _Conv(Convolution):
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

    _rank = 1
    _paddings = ("valid", "same", "causal")

    def goes_on(self, reads: int, **settings: Any) -> bool:
        is_causal = self.padding == "causal" or self.kernel_size == (1,)
        return is_causal and self.strides == (1,)


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

    _rank = 2
