"""Layers that bring images to another height and width."""

from __future__ import annotations

from typing import Any

from fastweights import _check
from fastweights.layers.base import Layer
from fastweights.layers.framing import cropped, resized
from fastweights.layers.noise import Noise
from fastweights.layers.ops import Value, op
from fastweights.layers.windows import axes_of, check_interpolation, refuse_channels_first


def _middle(x: Value, height: int, width: int) -> Value:
    """As much of the middle of an image as that, which it has."""
    top, left = (x.shape[0] - height) // 2, (x.shape[1] - width) // 2
    below, right = x.shape[0] - height - top, x.shape[1] - width - left
    return cropped(x, ((top, below), (left, right)))


def _of_proportions(x: Value, height: int, width: int) -> Value:
    """As much of the middle of an image as has the proportions of that size."""
    across = max(min(x.shape[1], x.shape[0] * width // height), 1)
    return _middle(x, max(min(x.shape[0], x.shape[1] * height // width), 1), across)


class _Sized(Layer):
    """Base of layers that make images of one size."""

    supports_masking = False

    def _check_size(self, height: Any, width: Any, data_format: Any) -> None:
        refuse_channels_first(data_format)
        self.height = _check.whole("height", height, 1)
        self.width = _check.whole("width", width, 1)

    def config(self) -> dict[str, Any]:
        return {"height": self.height, "width": self.width, "name": self.name}


class Resizing(_Sized):
    """Images of another size.

    The middle of pixel i of m lies at ``(i + 0.5) * n / m`` of the n that there were, as in Keras
    and, with ``align_corners=False``, in PyTorch.

    Parameters
    ----------
    height, width : int
        Of what is made.
    interpolation : {"bilinear", "nearest"}
        Whether each pixel is mixed of the four around it or is the nearest one.
    crop_to_aspect_ratio : bool
        Whether images lose what is beyond the proportions of the new size, instead of being
        stretched.
    pad_to_aspect_ratio, antialias : bool
        For code written for Keras: False. `ZeroPadding2D` puts margins around images, and
        `fastweights.images.load_folder` reads files with margins and looks at every pixel.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, any height, any width, channels)``, output ``(rows, height, width, channels)``.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        antialias: bool = False,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._check_size(height, width, data_format)
        self.interpolation = check_interpolation(interpolation)
        self.crop_to_aspect_ratio = _check.flag("crop_to_aspect_ratio", crop_to_aspect_ratio)
        for argument, got, instead in (
            ("pad_to_aspect_ratio", pad_to_aspect_ratio, "ZeroPadding2D before it"),
            ("antialias", antialias, "AveragePooling2D before it"),
        ):
            if _check.flag(argument, got):
                raise ValueError(_check.refusal(argument, "True", f"False, and {instead}"))

    def ops(self, x: Value) -> Value:
        axes_of("Resizing", x.shape, 2)
        if self.crop_to_aspect_ratio:
            x = _of_proportions(x, self.height, self.width)
        return resized(x, self.height, self.width, self.interpolation)

    def config(self) -> dict[str, Any]:
        own = {
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
        }
        return {**own, **super().config()}


class CenterCrop(_Sized):
    """The middle of images; where they are smaller than that, of what has its proportions, resized.

    Parameters
    ----------
    height, width : int
        Of what is made.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, any height, any width, channels)``, output ``(rows, height, width, channels)``.
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self._check_size(height, width, data_format)

    def ops(self, x: Value) -> Value:
        down, across = axes_of("CenterCrop", x.shape, 2)
        if down >= self.height and across >= self.width:
            return _middle(x, self.height, self.width)
        cut = _of_proportions(x, self.height, self.width)
        return resized(cut, self.height, self.width, "bilinear")


class RandomCrop(_Sized, Noise):
    """Parts of images from random places in training, and their middle otherwise.

    Each row has a place of its own; in Keras all rows of a batch have one, and in inference images
    stay as large as they are.

    Parameters
    ----------
    height, width : int
        Of what is made; images must be no smaller.
    seed : int, optional
        As for `Dropout`.
    data_format : {"channels_last"}, optional
        As Keras has it; there is no other.
    name : str, optional
        Name in the model.

    Notes
    -----
    Input ``(rows, any height, any width, channels)``, output ``(rows, height, width, channels)``.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, name)
        self._check_size(height, width, data_format)

    def ops(self, x: Value) -> Value:
        down, across = axes_of("RandomCrop", x.shape, 2)
        if down < self.height or across < self.width:
            expected = f"images of at least {self.height} x {self.width}"
            got = f"rows of shape {x.shape}"
            refusal = _check.refusal("input of RandomCrop", got, expected)
            raise ValueError(f"{refusal}; layers.Resizing makes them larger")
        if (down, across) == (self.height, self.width):
            return x
        shape = (self.height, self.width, x.shape[2])
        sizes = (self._own_seed(), *x.shape, self.height, self.width)
        return op("random_crop", x, shape=shape, sizes=sizes)

    def config(self) -> dict[str, Any]:
        return {"seed": self.seed, **super().config()}
