"""The pixels of image files, by Pillow, which is imported when the first one is read."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _files

#: What is opened, by what is in a file, whatever it is called; and how such files are called.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
ENDINGS = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip

#: By Keras's names: channels, and what Pillow calls filters.
COLOR_MODES = {"grayscale": 1, "rgb": 3, "rgba": 4}
INTERPOLATIONS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "area": "BOX",
    "lanczos3": "LANCZOS",
}

#: Whether images are stretched to a size, cut down to its proportions, or get margins.
FITS = ("stretch", "crop", "pad")

#: Along one side of an image.
MOST_PIXELS = 2**15

_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L")
_SEEN_THROUGH = ("LA", "La", "PA", "RGBA", "RGBa")
#: EXIF's number for how a camera was held; from 5 on height and width change places.
_ORIENTATION, _TURNED = 0x0112, 5


class UnreadableImageError(ValueError):
    """A file that is no image, is damaged, or is of a kind that is not read."""


class Head(NamedTuple):
    """What a file says about its image before its pixels are looked at."""

    height: int
    width: int
    is_grey: bool


class Look(NamedTuple):
    """How images become arrays: of which size and channels, and by which way."""

    height: int
    width: int
    channels: int
    interpolation: str = "bilinear"
    fit: str = "stretch"


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise ModuleNotFoundError(
            "images in files need Pillow, which is not installed: pip install 'fastweights[images]'"
        ) from None
    return Image


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """An image that is open while a block lasts; whatever is wrong with it is one error."""
    pillow = _pillow()
    try:
        with warnings.catch_warnings(), _files.opened(path) as file:
            # What Pillow warns about it reads all the same, but for what would fill the memory.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(file, formats=FORMATS) as image:
                yield image
    except MemoryError:
        raise
    except Exception as error:  # Damaged files raise anything, from SyntaxError to struct.error.
        words = getattr(error, "strerror", None) or str(error)
        if isinstance(error, pillow.UnidentifiedImageError):
            words = f"it is none of {', '.join(FORMATS)}"
        told = " ".join(words.split())[:200] or type(error).__name__
        raise UnreadableImageError(f"{path}: cannot be read as an image ({told})") from None


def read_head(path: str) -> Head:
    """Size and kind of the image in a file, upright; `UnreadableImageError` where there is none."""
    with _opened(path) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION, 1) >= _TURNED:
            height, width = width, height
        return Head(height, width, image.mode in _GREY)


def read_image(path: str, look: Look) -> np.ndarray:
    """The image in a file, upright: uint8 (height, width, channels).

    Pixels of 16 bits keep their upper half. What is transparent stands before white, unless the
    fourth of four channels says how transparent it is. `UnreadableImageError` where there is none.
    """
    from PIL import ImageOps

    pillow = _pillow()
    with _opened(path) as image:
        # Files of JPEG can be read at a fraction of their size, in a fraction of the time.
        side = 2 * max(look.height, look.width)
        image.draft(None, (side, side))
        image = _in_channels(ImageOps.exif_transpose(image), look.channels)
        size, way = (look.width, look.height), pillow.Resampling[INTERPOLATIONS[look.interpolation]]
        if look.fit == "crop":
            image = ImageOps.fit(image, size, way)
        elif look.fit == "pad":
            image = ImageOps.pad(image, size, way)
        elif image.size != size:
            image = image.resize(size, way)
        return np.asarray(image, np.uint8).reshape(look.height, look.width, look.channels)


def _in_channels(image: Any, channels: int) -> Any:
    """The image in shades of grey, in colours, or in colours with how transparent they are."""
    pillow = _pillow()
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"pixels from {values.min()} to {values.max()}, not of 16 bits")
        image = pillow.fromarray((values >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("pixels that are no whole numbers")
    if image.mode in _SEEN_THROUGH or "transparency" in image.info:
        image = image.convert("RGBA")
        if channels != COLOR_MODES["rgba"]:
            white = pillow.new("RGBA", image.size, "white")
            image = pillow.alpha_composite(white, image)
    return image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])


def read_images(
    paths: Sequence[str], look: Look, broken: list[UnreadableImageError]
) -> Iterator[tuple[int, np.ndarray]]:
    """The number and the pixels of each image; those that cannot be read come to `broken`."""
    for number, path in enumerate(paths):
        try:
            yield number, read_image(path, look)
        except UnreadableImageError as error:
            broken.append(error)


def check_look(image_size: Any, color_mode: str, interpolation: str, crop: bool, pad: bool) -> Look:
    """What Keras's arguments ask for."""
    size = image_size if isinstance(image_size, (tuple, list)) else (image_size,) * 2
    if len(size) != 2:
        expected = "(height, width), or one number for both"
        raise ValueError(_check.refusal("image_size", _check.shown(image_size), expected))
    height, width = (_check.whole("image_size", side, 1, MOST_PIXELS) for side in size)
    channels = _check.choice("color_mode", color_mode, COLOR_MODES)
    _check.choice("interpolation", interpolation, INTERPOLATIONS)
    if _check.flag("crop_to_aspect_ratio", crop) and _check.flag("pad_to_aspect_ratio", pad):
        got, expected = "True, as crop_to_aspect_ratio is", "one of both"
        raise ValueError(_check.refusal("pad_to_aspect_ratio", got, expected))
    return Look(height, width, channels, interpolation, FITS[1 if crop else 2 if pad else 0])


def names_an_image(path: str) -> bool:
    """Whether a file is called like one, and not hidden."""
    name = os.path.basename(path)
    return name.lower().endswith(ENDINGS) and not name.startswith(".")
