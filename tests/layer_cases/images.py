"""Convolutions, pooling and frames, of series and of images."""

from __future__ import annotations

import numpy as np
import reference_convolution as convolutions

from fastweights import layers
from layer_cases.base import Case

CASES: dict[str, Case] = {}


def per_axis(setting, shape):
    return convolutions.pair(setting, len(shape) == 2)


def convolved(filters, size, shape, activation="tanh", groups=1, around=1.0, **settings):
    """Of rows of steps or of images, by their shape; sums of many terms are of weights around 0."""
    make = layers.Conv1D if len(shape) == 2 else layers.Conv2D
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "padding": settings.get("padding", "valid"),
        "groups": groups,
    }

    def exact(x, *weights):
        y = convolutions.as_images(convolutions.convolution, x, *weights, **found)
        return np.tanh(y) if activation == "tanh" else np.maximum(y, 0)

    return Case(
        lambda: make(filters, size, activation=activation, groups=groups, **settings),
        shape,
        exact,
        activation == "tanh",
        around,
    )


def spread(filters, size, shape, cut, around=1.0, **settings):
    make = layers.Conv1DTranspose if len(shape) == 2 else layers.Conv2DTranspose
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "cut": cut if len(cut) == 2 else ((0, 0), *cut),
    }
    return Case(
        lambda: make(filters, size, **settings),
        shape,
        lambda x, *weights: convolutions.as_images(convolutions.transposed, x, *weights, **found),
        around=around,
    )


def by_channel(size, shape, filters=None, **settings):
    """Depthwise, or separable where there are filters."""
    kind = "DepthwiseConv" if filters is None else "SeparableConv"
    make = getattr(layers, f"{kind}{len(shape) - 1}D")
    own = (size,) if filters is None else (filters, size)
    found = {
        "strides": per_axis(settings.get("strides", 1), shape),
        "dilation": per_axis(settings.get("dilation_rate", 1), shape),
        "padding": settings.get("padding", "valid"),
    }

    def exact(x, kernel, *rest):
        if filters is None:
            return convolutions.as_images(convolutions.depthwise, x, kernel, *rest, **found)
        mixing, *bias = rest
        y = convolutions.as_images(convolutions.depthwise, x, kernel, **found)
        return y @ mixing.reshape(mixing.shape[-2:]) + sum(bias)

    return Case(lambda: make(*own, **settings), shape, exact)


CASES |= {
    f"conv {name} {'x'.join(map(str, case.shape))}": case
    for name, case in [
        ("of one channel", convolved(6, 5, (12, 12, 1), around=0.5)),
        ("of few filters", convolved(3, (2, 3), (5, 8, 2), strides=(2, 1))),
        ("alone", convolved(1, 1, (1, 1, 1), groups=1, strides=2)),
        ("same", convolved(9, 3, (5, 7, 4), padding="same")),
        ("same merged", convolved(2, 3, (4, 6, 3), padding="same")),
        ("minimal", convolved(9, 3, (7, 6, 10), around=0.0, padding="same")),
        ("minimal above a panel", convolved(70, 3, (6, 6, 9), around=0.0)),
        ("minimal relu", convolved(9, 3, (6, 5, 9), "relu", around=0.0)),
        ("transposed minimal", spread(10, 3, (5, 4, 9), ((0, 0), (0, 0)), 0.0)),
        ("same larger than the image", convolved(5, (5, 7), (3, 2, 2), padding="same")),
        ("strided", convolved(17, 3, (9, 8, 3), strides=(2, 3), padding="same")),
        ("strided beyond the window", convolved(4, 2, (9, 9, 3), strides=3)),
        ("dilated", convolved(8, (3, 2), (9, 7, 3), dilation_rate=(2, 3))),
        ("dilated and strided", convolved(3, 3, (11, 12, 2), dilation_rate=2, strides=(3, 2))),
        ("grouped", convolved(6, 3, (6, 5, 4), groups=2, padding="same")),
        ("grouped and strided", convolved(9, 2, (5, 6, 3), groups=3, strides=2)),
        ("above a panel", convolved(70, 2, (4, 4, 3))),
        ("from above a panel", convolved(3, 1, (3, 3, 70), strides=2)),
        ("relu", convolved(5, 3, (6, 6, 2), "relu")),
        ("without bias", convolved(5, 3, (6, 6, 2), use_bias=False)),
        ("one by one", convolved(5, 1, (3, 4, 6))),
        ("one by one strided", convolved(5, 1, (5, 4, 6), strides=2)),
        ("of steps", convolved(8, 3, (9, 4))),
        ("of steps causal", convolved(5, 3, (8, 2), padding="causal", dilation_rate=2)),
        ("of steps causal strided", convolved(5, 3, (9, 3), padding="causal", strides=2)),
        ("of steps same", convolved(3, 4, (10, 3), padding="same")),
        ("of one step", convolved(5, 1, (1, 3))),
        ("of many steps", convolved(2, 3, (90, 2))),
        (
            "transposed",
            spread(5, 3, (4, 3, 2), ((0, 0), (0, 0))),
        ),
        (
            "transposed and strided",
            spread(3, 2, (3, 4, 4), ((0, -1), (0, -1)), strides=3),
        ),
        (
            "transposed same",
            spread(6, 3, (4, 5, 3), ((0, 1), (0, 1)), strides=2, padding="same"),
        ),
        (
            "transposed with padding",
            spread(2, 3, (3, 3, 4), ((0, -1), (0, 0)), strides=(3, 2), output_padding=(1, 0)),
        ),
        (
            "transposed same with padding",
            spread(4, 3, (3, 3, 2), ((0, 1), (1, 1)), strides=2, padding="same",
                   output_padding=(1, 0)),
        ),
        (
            "transposed of steps",
            spread(3, 4, (5, 2), ((0, 0),), strides=2, use_bias=False),
        ),
        (
            "transposed of steps dilated",
            spread(9, 3, (5, 17), ((0, 0),), dilation_rate=2),
        ),
        ("by channel", by_channel(3, (6, 5, 9))),
        ("by channel same", by_channel((2, 3), (4, 5, 17), padding="same", strides=2)),
        ("by channel twice", by_channel(2, (4, 5, 3), depth_multiplier=2, dilation_rate=2)),
        ("by channel of many", by_channel(2, (3, 3, 70))),
        ("by channel of steps", by_channel(3, (7, 2), depth_multiplier=3, use_bias=False)),
        ("separable", by_channel(3, (6, 5, 2), 5, depth_multiplier=2)),
        ("separable of steps", by_channel(2, (6, 3), 2, padding="same", use_bias=False)),
    ]
}  # fmt: skip


def pooled(kind, shape, size, **settings):
    """The largest or the mean, as `kind` begins."""
    make = getattr(layers, f"{kind}Pooling{len(shape) - 1}D")
    function = convolutions.max_pooling if kind == "Max" else convolutions.average_pooling
    window = per_axis(size, shape)
    found = {
        "window": window,
        "strides": per_axis(settings.get("strides", window), shape),
        "padding": settings.get("padding", "valid"),
    }
    return Case(
        lambda: make(size, **settings),
        shape,
        lambda x: convolutions.as_images(function, x, **found),
        kind == "Average",
    )


def pooled_all(name, function, shape, **settings):
    axes = tuple(range(1, len(shape)))
    return Case(
        lambda: getattr(layers, name)(**settings),
        shape,
        lambda x: function(x, axis=axes, keepdims=settings.get("keepdims", False)),
        function is np.mean,
    )


for _kind in ("Max", "Average"):
    CASES |= {
        f"{_kind} pool {name} {'x'.join(map(str, case.shape))}": case
        for name, case in [
            ("of two", pooled(_kind, (4, 6, 3), 2)),
            ("of two and a rest", pooled(_kind, (5, 7, 17), 2)),
            ("of three", pooled(_kind, (6, 7, 9), 3)),
            ("that overlaps", pooled(_kind, (6, 5, 8), (3, 2), strides=(2, 1))),
            ("with gaps", pooled(_kind, (7, 8, 2), 2, strides=3)),
            ("same", pooled(_kind, (5, 4, 3), 3, strides=2, padding="same")),
            ("same tiled", pooled(_kind, (5, 4, 3), 2, padding="same")),
            ("of steps", pooled(_kind, (9, 4), 3)),
            ("of steps same", pooled(_kind, (9, 4), 4, strides=1, padding="same")),
            ("of one", pooled(_kind, (1, 1, 1), 1)),
            ("of all", pooled(_kind, (3, 2, 5), (3, 2))),
        ]
    }

CASES |= {
    "largest of images": pooled_all("GlobalMaxPooling2D", np.max, (3, 4, 5)),
    "largest of steps": pooled_all("GlobalMaxPooling1D", np.max, (9, 17), keepdims=True),
    "mean of images": pooled_all("GlobalAveragePooling2D", np.mean, (9, 11, 3), keepdims=True),
    "mean of steps": pooled_all("GlobalAveragePooling1D", np.mean, (5, 9)),
    "zeros around images": Case(
        lambda: layers.ZeroPadding2D(((1, 0), (2, 3))),
        (3, 4, 2),
        lambda x: np.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))),
    ),
    "zeros around steps": Case(
        lambda: layers.ZeroPadding1D((2, 1)),
        (5, 3),
        lambda x: np.pad(x, ((0, 0), (2, 1), (0, 0))),
    ),
    "cropped images": Case(
        lambda: layers.Cropping2D(((1, 0), (2, 1))), (4, 6, 3), lambda x: x[:, 1:, 2:-1]
    ),
    "cropped steps": Case(lambda: layers.Cropping1D(), (5, 9), lambda x: x[:, 1:-1]),
    "upsampled images": Case(
        lambda: layers.UpSampling2D((2, 3)), (3, 2, 5), lambda x: convolutions.upsampled(x, (2, 3))
    ),
    "bilinearly upsampled images": Case(
        lambda: layers.UpSampling2D((3, 2), interpolation="bilinear"),
        (4, 3, 5),
        lambda x: convolutions.resized(x, (12, 6)),
    ),
    "resized images": Case(
        lambda: layers.Resizing(3, 11), (7, 4, 18), lambda x: convolutions.resized(x, (3, 11))
    ),
    "resized images of one pixel": Case(
        lambda: layers.Resizing(3, 2), (1, 1, 1), lambda x: convolutions.resized(x, (3, 2))
    ),
    "images resized by the nearest": Case(
        lambda: layers.Resizing(5, 4, "nearest"),
        (4, 7, 3),
        lambda x: convolutions.resized(x, (5, 4), "nearest"),
    ),
    "resized images of the same proportions": Case(
        lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True),
        (6, 9, 2),
        lambda x: convolutions.resized(x[:, :, 1:7], (4, 4)),
    ),
    "middle of images": Case(lambda: layers.CenterCrop(3, 4), (6, 9, 2), lambda x: x[:, 1:4, 2:6]),
    "middle of small images": Case(
        lambda: layers.CenterCrop(4, 8),
        (3, 9, 2),
        lambda x: convolutions.resized(x[:, :, 1:7], (4, 8)),
    ),
    "random part of images": Case(
        lambda: layers.RandomCrop(3, 4), (6, 9, 2), lambda x: x[:, 1:4, 2:6]
    ),
    "upsampled steps": Case(lambda: layers.UpSampling1D(3), (4, 9), lambda x: x.repeat(3, axis=1)),
}
