"""From images of any source to those that a network takes, and from its outputs to classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastweights import _check, _json
from fastweights._json import shown
from fastweights.images.files import COLOR_MODES, MOST_PIXELS, Look
from fastweights.images.pictures import Pictures
from fastweights.table.restoring import entries_of, restored
from fastweights.table.targets import ClassTarget

FORMAT = 1
WHITE = 255


@dataclass(frozen=True)
class ImagePreprocessor:
    """Of which size and kind images are for a network, and which classes it tells apart.

    Parameters
    ----------
    height, width, channels : int
    are_bytes : bool
        Whether pixels go from 0 to 255; those from 0 to 1 are brought to that. Others have a scale
        of their own.
    target : ClassTarget
    """

    height: int
    width: int
    channels: int
    are_bytes: bool
    target: ClassTarget

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of a row."""
        return self.height, self.width, self.channels

    @property
    def look(self) -> Look:
        """How images in files are read; ValueError where the network takes no such ones."""
        if not self.are_bytes or self.channels not in COLOR_MODES.values():
            own = "" if self.are_bytes else " on a scale of their own"
            got = f"files for a network on arrays of {self.channels} channels{own}"
            raise ValueError(_check.refusal("images", got, "an .npz file of such arrays"))
        return Look(*self.input_shape)

    def transform(self, pictures: Pictures) -> np.ndarray:
        """The images: uint8 or float32 (images, height, width, channels)."""
        if pictures.x.shape[1:] != self.input_shape:
            got = f"images of shape {pictures.x.shape[1:]}"
            raise ValueError(_check.refusal(pictures.source, got, f"{self.input_shape}"))
        x = _finite(pictures)
        if not self.are_bytes:
            return x.astype(np.float32, copy=False)
        if not has_bytes(x):
            got = f"pixels from {x.min():g} to {x.max():g}"
            raise ValueError(_check.refusal(pictures.source, got, "from 0 to 255, or 0 to 1"))
        return _as_bytes(x)

    def truth(self, pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
        """The number of each image's class, int64, and whether it is one that is known, bool."""
        place = {name: number for number, name in enumerate(self.target.classes)}
        numbers = [place.get(name, -1) for name in pictures.class_names]
        labels = np.array([*numbers, -1], dtype=np.int64)[pictures.labels]
        return labels, labels >= 0

    def remarks(self, pictures: Pictures) -> Sequence[str]:
        """What is odd about the images, in words."""
        return pictures.remarks

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray:
        """A network's outputs as probabilities."""
        return self.target.decode(outputs)

    def to_json(self) -> str:
        """All of it as JSON text, for a model file's metadata."""
        return json.dumps(
            {
                "format": FORMAT,
                "target": {"task": self.target.task, **asdict(self.target)},
                "input_shape": self.input_shape,
                "are_bytes": self.are_bytes,
            }
        )

    @classmethod
    def from_json(cls, text: str, file_size: int = 0) -> ImagePreprocessor:
        """The preprocessor that `to_json` wrote; ValueError where the text is anything else.

        `file_size` is that of the file that the text belongs to.
        """
        where = "preprocessing"
        content = _json.loads(where, text, file_size)
        parts = ("format", "target", "input_shape", "are_bytes")
        found, target, shape, are_bytes = entries_of(where, content, parts)
        if type(found) is not int or found != FORMAT:
            raise ValueError(_check.refusal(where, f"format {shown(found)}", f"format {FORMAT}"))
        if not isinstance(shape, list) or len(shape) != 3 or not all(map(_is_size, shape)):
            expected = "[height, width, channels]"
            raise ValueError(_check.refusal(f"{where}.input_shape", shown(shape), expected))
        if not isinstance(are_bytes, bool):
            expected = "true or false"
            raise ValueError(_check.refusal(f"{where}.are_bytes", shown(are_bytes), expected))
        kinds = {ClassTarget.task: ClassTarget}
        height, width, channels = shape
        restored_target = restored(f"{where}.target", kinds, "task", target)
        return cls(height, width, channels, are_bytes, restored_target)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST_PIXELS


def has_bytes(x: np.ndarray) -> bool:
    """Whether all pixels lie from 0 to 255."""
    return x.dtype in (np.uint8, np.bool_) or bool(x.min() >= 0 and x.max() <= WHITE)


def _as_bytes(x: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 255: as bytes, where they are whole numbers."""
    if x.dtype.kind == "b":
        return x.astype(np.uint8) * np.uint8(WHITE)
    if x.dtype.kind != "f":
        return x.astype(np.uint8, copy=False)
    if x.max() <= 1:
        x = x * np.float32(WHITE)
    whole = np.rint(x)
    return whole.astype(np.uint8) if np.allclose(whole, x, rtol=0, atol=1e-3) else x


def _finite(pictures: Pictures) -> np.ndarray:
    """The pixels, in float32 where they are no whole numbers."""
    if pictures.x.dtype.kind != "f":
        return pictures.x
    with np.errstate(over="ignore"):
        x = pictures.x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        place = tuple(map(int, np.unravel_index(np.isfinite(x).argmin(), x.shape)))
        got = f"{pictures.x[place]} at {place}"
        raise ValueError(_check.refusal(pictures.source, got, "finite numbers"))
    return x
