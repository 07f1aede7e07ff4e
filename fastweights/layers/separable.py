"""Convolutions of each channel by itself, and what mixes the channels after that."""

from __future__ import annotations

from typing import Any

from fastweights import _check, activations, constraints, initializers, regularizers
from fastweights.layers.base import Variable
from fastweights.layers.convolution import Convolution
from fastweights.layers.ops import Shape, Value, op
from fastweights.layers.windows import (
    Sizes,
    sizes_of,
)


class ByChannel(Convolution):
    """What layers have in common that look at each channel by itself."""

    depth_multiplier: int

    def _depthwise_kernel(self, name: str, channels: int) -> Variable:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        fans = initializers.fans((*self.kernel_size, 1, self.depth_multiplier))
        return self._variable(name, shape, "depthwise", *fans)

    def _depthwise_sizes(self, x: Value) -> tuple[Shape, list[int]]:
        """The shape of what a depthwise op makes, and the op's sizes."""
        windows = self._windows(x.shape)
        filters = x.features * self.depth_multiplier
        shape = (*(axis.stops for axis in windows), filters)
        return shape, [*sizes_of(windows, x.features, filters), self.depth_multiplier]


class _DepthwiseConv(ByChannel):
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
        kernel = self._depthwise_kernel("kernel", input_shape[-1])
        return self._with_bias(kernel, outputs=input_shape[-1] * self.depth_multiplier)

    def ops(self, x: Value) -> Value:
        shape, sizes = self._depthwise_sizes(x)
        return self._made("depthwise", x, shape, ["kernel"], sizes=sizes)

    def config(self) -> dict[str, Any]:
        own = {"depth_multiplier": self.depth_multiplier}
        return {**own, **self._config("depthwise", "bias")}


class DepthwiseConv1D(_DepthwiseConv):
    """A convolution over steps of each channel by itself.

    ``y[t, c * depth_multiplier + m] = activation(bias[...] + sum of x[t + k, c] *
    kernel[k, c, m])``

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

    _rank = 1


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

    _rank = 2


class _SeparableConv(ByChannel):
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
        depthwise = self._depthwise_kernel("depthwise_kernel", input_shape[-1])
        fans = input_shape[-1] * self.depth_multiplier, self.filters
        shape = (*(1,) * self._rank, *fans)
        pointwise = self._variable("pointwise_kernel", shape, "pointwise", *fans)
        return self._with_bias(depthwise, pointwise, outputs=self.filters)

    def ops(self, x: Value) -> Value:
        shape, sizes = self._depthwise_sizes(x)
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

    _rank = 1


class SeparableConv2D(_SeparableConv):
    """A convolution over images of each channel by itself, then one over each pixel's channels.

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

    _rank = 2
