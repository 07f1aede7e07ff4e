"""Convolutions the other way round: each number is spread over a window."""

from __future__ import annotations

from typing import Any

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights.layers.base import Variable
from fastweights.layers.convolution import Convolution
from fastweights.layers.ops import Shape, Value
from fastweights.layers.windows import (
    Sizes,
    Window,
    axes_of,
    extent,
    per_axis,
    sizes_of,
)


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


class _ConvTranspose(Convolution):
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
            else per_axis("output_padding", output_padding, self._rank, 0)
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
        axes = axes_of(layer, x.shape, self._rank)
        more = self.output_padding or (None,) * self._rank
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

    _rank = 1


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

    _rank = 2
