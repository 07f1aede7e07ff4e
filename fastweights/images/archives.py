"""Images and labels in `.npz` files, the arrays found by what they are called and look like."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights.images.folders import PARTS
from fastweights.images.pictures import ANY, Pictures

#: What arrays are called, where several could be meant.
IMAGE_NAMES = ("x", "images", "image", "data", "pixels")
LABEL_NAMES = ("y", "labels", "label", "targets", "target", "classes")
CLASS_NAMES = ("names", "class_names", "label_names", "target_names", "classes")

_NUMBERS = "biuf"
_MOST_CHANNELS = 4


class _Part(NamedTuple):
    """An array, what it is for, and what it is called besides."""

    key: str
    use: str
    stem: str
    array: np.ndarray


def read_archive(
    path: str, images: str | None = None, labels: str | None = None, by_class: bool = True
) -> Pictures:
    """The images in an `.npz` file, with the numbers of their classes where there are labels.

    Arrays ``(images, height, width)`` or ``(images, height, width, channels)``; labels are whole
    numbers or texts ``(images,)``, or ``(images, classes)`` zeros with a one in each row. Names
    that begin or end with ``train``, ``val`` or ``test`` say what they are for.

    Parameters
    ----------
    path : str
    images, labels : str, optional
        What the arrays are called, with or without what they are for: ``fine`` and ``fine_train``
        mean the labels ``fine_test`` of images for tests, too. Found unless told.
    by_class : bool
        Whether labels are looked for.
    """
    parts = [_part(key, array) for key, array in _arrays(path).items()]
    chosen = _chosen(path, parts, images)
    found = _labels(path, parts, chosen, labels) if by_class else [None] * len(chosen)
    numbers, names = _numbered(path, found, [len(part.array) for part in chosen], parts)
    shapes = {part.array.shape[1:] for part in chosen}
    if len(shapes) > 1:
        got = f"images of {' and '.join(map(str, sorted(shapes)))}"
        raise ValueError(_check.refusal(path, got, "images of one shape"))
    uses = [use for part in chosen for use in [part.use] * len(part.array)]
    if len(chosen) > 1:
        uses = ["train" if use == ANY else use for use in uses]
    elif images is not None:
        # Whoever names one array says what it is for.
        uses = [ANY] * len(uses)
    arrays = [part.array for part in chosen]
    x = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return Pictures(path, x, numbers, names, np.array(uses))


def _arrays(path: str) -> dict[str, np.ndarray]:
    try:
        with _files.naming(path), _files.opened(path) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no archive")
            file.seek(0)
            with np.load(file) as held:
                return {key: held[key] for key in held.files}
    except (OSError, MemoryError):
        raise
    except Exception as error:  # Damaged archives raise anything, from KeyError to zlib.error.
        got = f"what is none ({' '.join(str(error).split())[:200]})"
        raise ValueError(_check.refusal(path, got, "an .npz file of arrays")) from None


def _part(key: str, array: np.ndarray) -> _Part:
    """What the name of an array says: ``x_train`` and ``train_images`` are for training."""
    words = key.split("_")
    for place in (0, -1) if len(words) > 1 else ():
        for use, names in PARTS.items():
            if words[place].lower() in names:
                rest = words[1:] if place == 0 else words[:-1]
                return _Part(key, use, "_".join(rest).lower(), array)
    return _Part(key, ANY, key.lower(), array)


def _chosen(path: str, parts: Sequence[_Part], told: str | None) -> list[_Part]:
    """The arrays of images: one for each use."""
    if told is not None:
        named = _named(path, parts, told, "--images")
        for part in named:
            if not _holds_images(part.array):
                got = f"{part.key}, an array {part.array.dtype} of shape {part.array.shape}"
                expected = "numbers (images, height, width) or (images, height, width, channels)"
                raise ValueError(_check.refusal("--images", got, expected))
        return [_checked(path, part) for part in named]
    likely = [part for part in parts if _holds_images(part.array)]
    if not likely:
        got = ", ".join(f"{part.key} {part.array.shape}" for part in parts) or "no arrays"
        expected = "an array of images, (images, height, width) or with channels behind"
        raise ValueError(_check.refusal(path, got[:300], expected))
    return [
        _checked(path, _only(path, "--images", IMAGE_NAMES, [p for p in likely if p.use == use]))
        for use in dict.fromkeys(part.use for part in likely)
    ]


def _labels(
    path: str, parts: Sequence[_Part], chosen: Sequence[_Part], told: str | None
) -> list[np.ndarray | None]:
    """The labels of the images of each use, or None where there are none."""
    if told is None:
        return [_likely_labels(path, parts, images) for images in chosen]
    named = _named(path, parts, told, "--target")
    if len(named) > 1 or len(chosen) > 1:
        kin = [part for part in parts if part.stem == named[0].stem]
        several = [_of_use(kin, images.use) for images in chosen]
    else:
        several = [named[0]]
    if not any(several):
        got = f"{told}, of none of {', '.join(images.key for images in chosen)}"
        raise ValueError(_check.refusal("--target", got, "labels of these images"))
    for part, images in zip(several, chosen, strict=True):
        count = len(images.array)
        if part is not None and (part.array.ndim not in (1, 2) or len(part.array) != count):
            got = f"{part.key} of shape {part.array.shape}"
            expected = f"labels of the {count:,} images {images.key}"
            raise ValueError(_check.refusal("--target", got, expected))
    return [None if part is None else part.array for part in several]


def _of_use(parts: Sequence[_Part], use: str) -> _Part | None:
    """The one that is for such images, if there is one."""
    return next((part for wanted in (use, ANY) for part in parts if part.use == wanted), None)


def _likely_labels(path: str, parts: Sequence[_Part], images: _Part) -> np.ndarray | None:
    count = len(images.array)
    likely = [
        part
        for part in parts
        if part.use in (images.use, ANY) and part.array.ndim in (1, 2) and len(part.array) == count
    ]
    likely = [part for part in likely if part.use == images.use] or likely
    return _only(path, "--target", LABEL_NAMES, likely).array if likely else None


def _only(path: str, option: str, names: Sequence[str], likely: Sequence[_Part]) -> _Part:
    """The one that there is, or that has a usual name."""
    usual = [part for name in names for part in likely if part.stem == name]
    if len(likely) > 1 and not usual:
        keys = ", ".join(part.key for part in likely)
        expected = f"one of them, told by {option} NAME"
        raise ValueError(_check.refusal(path, f"the arrays {keys}", expected))
    return usual[0] if usual else likely[0]


def _named(path: str, parts: Sequence[_Part], key: str, option: str) -> list[_Part]:
    """The array of that name, or those that have it besides what they are for."""
    exact = [part for part in parts if part.key == key]
    found = exact or [part for part in parts if part.stem == key.lower()]
    if found:
        return found
    expected = f"one of {', '.join(part.key for part in parts)}, the arrays of {path}"
    raise ValueError(_check.refusal(option, shown(key), expected))


def _holds_images(array: np.ndarray) -> bool:
    return array.ndim in (3, 4) and array.dtype.kind in _NUMBERS and array.size > 0


def _checked(path: str, part: _Part) -> _Part:
    """With channels behind; ValueError where they are in front."""
    array = part.array[..., np.newaxis] if part.array.ndim == 3 else part.array
    channels = array.shape[1]
    if channels <= _MOST_CHANNELS < min(array.shape[2:]):
        got = f"{part.key} of shape {array.shape}, channels before height and width"
        expected = "(images, height, width, channels): np.moveaxis(images, 1, -1)"
        raise ValueError(_check.refusal(path, got, expected))
    return part._replace(array=array)


def _numbered(
    path: str,
    found: Sequence[np.ndarray | None],
    counts: Sequence[int],
    parts: Sequence[_Part],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The number of the class of each image, -1 where it has no label, and the classes' names."""
    values = [None if labels is None else _values(path, labels) for labels in found]
    known = [one for one in values if one is not None]
    if not known:
        return np.full(sum(counts), -1), ()
    if len({one.dtype.kind for one in known}) > 1:
        raise ValueError(_check.refusal(path, "labels of several kinds", "labels of one kind"))
    distinct = np.unique(np.concatenate(known))
    numbers = np.concatenate(
        [
            np.full(count, -1) if one is None else np.searchsorted(distinct, one)
            for one, count in zip(values, counts, strict=True)
        ]
    )
    if distinct.dtype.kind == "U":
        return numbers, tuple(distinct.tolist())
    names = _class_names(parts, distinct)
    return numbers, tuple(names[value] if names else str(value) for value in distinct.tolist())


def _values(path: str, labels: np.ndarray) -> np.ndarray:
    """Labels as int64 or as texts (images,)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.ndim == 2 and labels.dtype.kind in _NUMBERS:
        ones = labels == 1
        if not ((ones | (labels == 0)).all() and (ones.sum(axis=1) == 1).all()):
            got = f"labels of shape {labels.shape} that are not zeros with a one in each row"
            raise ValueError(_check.refusal(path, got, "a label for each image"))
        return ones.argmax(axis=1)
    if labels.ndim == 1 and labels.dtype.kind == "U":
        return labels
    if labels.ndim == 1 and labels.dtype.kind in _NUMBERS:
        with np.errstate(invalid="ignore"):
            whole = labels.astype(np.int64)
        if (whole == labels).all():
            return whole
    got = f"labels {labels.dtype} of shape {labels.shape}"
    if labels.dtype.kind == "f":
        got += f", such as {labels.ravel()[0]:g}"
    raise ValueError(_check.refusal(path, got, "whole numbers, texts, or zeros with a one"))


def _class_names(parts: Sequence[_Part], distinct: np.ndarray) -> list[str] | None:
    """What the labels 0, 1, ... are called, where an array of the file says so."""
    for name in CLASS_NAMES:
        for part in parts:
            array = part.array
            if part.stem == name and array.ndim == 1 and array.dtype.kind in "US":
                texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
                fits = distinct[0] >= 0 and distinct[-1] < len(texts)
                if fits and len(set(texts.tolist())) == len(texts):
                    return texts.tolist()
    return None
