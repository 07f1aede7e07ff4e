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

#: What white is in bytes and in shares; None where pixels have a scale of their own.
WHITE, WHOLE = 255, 1
SCALES = (WHITE, WHOLE, None)

#: What a whole number of 0 to 255 may be off by after a way there and back.
_ROUNDING = np.float32(1e-3)


@dataclass(frozen=True)
class ImagePreprocessor:
    """Of which size and kind images are for a network, and which classes it tells apart.

    Parameters
    ----------
    height, width, channels : int
    white : {255, 1, None}
        What pixels of arrays go up to, from 0 on; those up to 1 are brought to 255. None where they
        have a scale of their own. Those of files go up to 255, and bools stand for 0 and 1.
    target : ClassTarget
    """

    height: int
    width: int
    channels: int
    white: int | None
    target: ClassTarget

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of a row."""
        return self.height, self.width, self.channels

    @property
    def look(self) -> Look:
        """How images in files are read; ValueError where the network takes no such ones."""
        if self.white is None or self.channels not in COLOR_MODES.values():
            own = " on a scale of their own" if self.white is None else ""
            got = f"files for a network on arrays of {self.channels} channels{own}"
            raise ValueError(_check.refusal("images", got, "an .npz file of such arrays"))
        return Look(*self.input_shape)

    def transform(self, pictures: Pictures) -> np.ndarray:
        """The images: uint8 or float32 (images, height, width, channels)."""
        if pictures.x.shape[1:] != self.input_shape:
            got = f"images of shape {pictures.x.shape[1:]}"
            raise ValueError(_check.refusal(pictures.source, got, f"{self.input_shape}"))
        x = _finite(pictures)
        if self.white is None:
            return x.astype(np.float32, copy=False)
        white = _white_by_kind(pictures) or self.white
        if not _fits(x, white):
            got, expected = f"pixels from {x.min():g} to {x.max():g}", f"from 0 to {white}"
            if white == WHOLE and _fits(x, WHITE):
                expected += f", as in training: divided by {WHITE}, if that is white"
            raise ValueError(_check.refusal(pictures.source, got, expected))
        return _as_bytes(x, white)

    def truth(self, pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
        """The number of each image's class, int64, and whether it is one that is known, bool."""
        place = {name: number for number, name in enumerate(self.target.classes)}
        numbers = [place.get(name, -1) for name in pictures.class_names]
        labels = np.array([*numbers, -1], dtype=np.int64)[pictures.labels]
        return labels, labels >= 0

    def left_out(self, pictures: Pictures, known: np.ndarray) -> Sequence[str]:
        """What is said of images whose class is not `known`, as `truth` has it, in words."""
        count = int(np.count_nonzero(~known))
        images = "1 image" if count == 1 else f"{count:,} images"
        return [f"left out for want of a known {shown(self.target.name)}: {images}"]

    def remarks(self, pictures: Pictures) -> Sequence[str]:
        """What is odd about the images, in words."""
        is_dark = self.white == WHITE and _white_by_kind(pictures) is None
        if not is_dark or not 0 < pictures.x.max() <= WHOLE:
            return pictures.remarks
        dark = (
            f"{pictures.source}: no pixel is above {WHOLE}, and {WHITE} was white in training: if "
            f"{WHOLE} is white here, multiply by {WHITE}"
        )
        return *pictures.remarks, dark

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
                "white": self.white,
            }
        )

    @classmethod
    def from_json(cls, text: str, file_size: int = 0) -> ImagePreprocessor:
        """The preprocessor that `to_json` wrote; ValueError where the text is anything else.

        `file_size` is that of the file that the text belongs to.
        """
        where = "preprocessing"
        content = _json.loads(where, text, file_size)
        parts = ("format", "target", "input_shape", "white")
        found, target, shape, white = entries_of(where, content, parts)
        if type(found) is not int or found != FORMAT:
            raise ValueError(_check.refusal(where, f"format {shown(found)}", f"format {FORMAT}"))
        if not isinstance(shape, list) or len(shape) != 3 or not all(map(_is_size, shape)):
            expected = "[height, width, channels]"
            raise ValueError(_check.refusal(f"{where}.input_shape", shown(shape), expected))
        if white not in SCALES or type(white) not in (int, type(None)):
            expected = f"{WHITE}, {WHOLE} or null"
            raise ValueError(_check.refusal(f"{where}.white", shown(white), expected))
        kinds = {ClassTarget.task: ClassTarget}
        height, width, channels = shape
        restored_target = restored(f"{where}.target", kinds, "task", target)
        return cls(height, width, channels, white, restored_target)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST_PIXELS


def white_of(pictures: Pictures) -> int | None:
    """What white is in images that a network is to be trained on, of `SCALES`."""
    known = _white_by_kind(pictures)
    if known is not None:
        return known
    return next((white for white in (WHOLE, WHITE) if _fits(pictures.x, white)), None)


def _white_by_kind(pictures: Pictures) -> int | None:
    """What white is in files and in bools, whatever their pixels are; None of other arrays."""
    return WHITE if pictures.names else WHOLE if pictures.x.dtype.kind == "b" else None


def _fits(x: np.ndarray, white: int) -> bool:
    return bool(x.min() >= 0 and x.max() <= white)


def _as_bytes(x: np.ndarray, white: int) -> np.ndarray:
    """Pixels from 0 to 255: as bytes, where all are whole numbers.

    What becomes of one does not depend on the others.
    """
    if x.dtype.kind != "f":
        return x.astype(np.uint8, copy=False) * np.uint8(WHITE // white)
    x = x * np.float32(WHITE // white)
    whole = np.rint(x)
    near = np.abs(whole - x) <= _ROUNDING
    return whole.astype(np.uint8) if near.all() else np.where(near, whole, x)


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
