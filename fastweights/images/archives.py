"""Images and labels in `.npz` files, the arrays found by what they are called and look like."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from fastweights import _check, _files
from fastweights._json import shown
from fastweights._memory import refuse_what_fills_memory
from fastweights.images.folders import PARTS
from fastweights.images.pictures import ANY, Pictures

#: What arrays are called, where several could be meant.
IMAGE_NAMES = ("x", "images", "image", "data", "pixels")
LABEL_NAMES = ("y", "labels", "label", "targets", "target", "classes")
CLASS_NAMES = ("names", "class_names", "label_names", "target_names", "classes")

#: How the names of arrays end in the archive.
_ARRAY = ".npy"
_NUMBERS = "biuf"
_MOST_CHANNELS = 4


class _Part(NamedTuple):
    """An array that has not been read, what it is for, and what it is called besides."""

    key: str
    use: str
    stem: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


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
    parts = _parts(path)
    chosen = _chosen(path, parts, images)
    shapes = {part.shape[1:] for part in chosen}
    if len(shapes) > 1:
        got = f"images of {' and '.join(map(str, sorted(shapes)))}"
        raise ValueError(_check.refusal(path, got, "images of one shape"))
    found = _labels(path, parts, chosen, labels) if by_class else [None] * len(chosen)
    x = _images(path, chosen)
    counts = [part.shape[0] for part in chosen]
    numbers, names = _numbered(path, found, counts, parts)
    uses = [part.use for part in chosen]
    if len(chosen) > 1:
        uses = ["train" if use == ANY else use for use in uses]
    elif images is not None:
        # Whoever names one array says what it is for.
        uses = [ANY]
    return Pictures(path, x, numbers, names, np.repeat(uses, counts))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """What `np.load` makes of the file; whatever is wrong with it is a ValueError."""
    try:
        with _files.naming(path), _files.opened(path) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is no archive")
            file.seek(0)
            with np.load(file) as held:
                yield held
    except (OSError, MemoryError):
        raise
    except Exception as error:  # Damaged archives raise anything, from KeyError to zlib.error.
        got = f"what is none ({' '.join(str(error).split())[:200]})"
        raise ValueError(_check.refusal(path, got, "an .npz file of arrays")) from None


def _parts(path: str) -> list[_Part]:
    """The arrays of the file, by what their heads say."""
    parts = []
    with _opened(path) as held:
        for name in dict.fromkeys(held.zip.namelist()):
            if not name.endswith(_ARRAY):
                continue
            with held.zip.open(name) as member:
                version = npy.read_magic(member)
                # What is written as 3.0 differs in the letters that names of columns have.
                read = npy.read_array_header_1_0 if version[0] == 1 else npy.read_array_header_2_0
                shape, _, dtype = read(member)
            parts.append(_part(name.removesuffix(_ARRAY), dtype, shape))
    return parts


def _array(path: str, part: _Part) -> np.ndarray:
    """An array of the file; ValueError where memory cannot hold it."""
    refuse_what_fills_memory(f"{path}: {part.key}", part.shape, part.dtype.itemsize)
    with _opened(path) as held:
        return held[part.key + _ARRAY].reshape(part.shape)


def _images(path: str, chosen: Sequence[_Part]) -> np.ndarray:
    """Arrays of images, one behind the other."""
    if len(chosen) == 1:
        return _array(path, chosen[0])
    shape = (sum(part.shape[0] for part in chosen), *chosen[0].shape[1:])
    dtype = np.result_type(*[part.dtype for part in chosen])
    refuse_what_fills_memory(path, shape, dtype.itemsize)
    x = np.empty(shape, dtype)
    start = 0
    for part in chosen:
        x[start : (start := start + part.shape[0])] = _array(path, part)
    return x


def _part(key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Part:
    """What the name of an array says: ``x_train`` and ``train_images`` are for training."""
    words = key.split("_")
    for place in (0, -1) if len(words) > 1 else ():
        for use, names in PARTS.items():
            if words[place].lower() in names:
                rest = words[1:] if place == 0 else words[:-1]
                return _Part(key, use, "_".join(rest).lower(), dtype, shape)
    return _Part(key, ANY, key.lower(), dtype, shape)


def _chosen(path: str, parts: Sequence[_Part], told: str | None) -> list[_Part]:
    """The arrays of images: one for each use."""
    if told is not None:
        named = _named(path, parts, told, "--images")
        for part in named:
            if not _holds_images(part):
                got = f"{part.key}, an array {part.dtype} of shape {part.shape}"
                expected = "numbers (images, height, width) or (images, height, width, channels)"
                raise ValueError(_check.refusal("--images", got, expected))
        return [_checked(path, part) for part in named]
    likely = [part for part in parts if _holds_images(part)]
    if not likely:
        got = ", ".join(f"{part.key} {part.shape}" for part in parts) or "no arrays"
        expected = "an array of images, (images, height, width) or with channels behind"
        raise ValueError(_check.refusal(path, got[:300], expected))
    return [
        _checked(path, _only(path, "--images", IMAGE_NAMES, [p for p in likely if p.use == use]))
        for use in dict.fromkeys(part.use for part in likely)
    ]


def _labels(
    path: str, parts: Sequence[_Part], chosen: Sequence[_Part], told: str | None
) -> list[_Part | None]:
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
        count = images.shape[0]
        if part is not None and (len(part.shape) not in (1, 2) or part.shape[0] != count):
            got = f"{part.key} of shape {part.shape}"
            expected = f"labels of the {count:,} images {images.key}"
            raise ValueError(_check.refusal("--target", got, expected))
    return several


def _of_use(parts: Sequence[_Part], use: str) -> _Part | None:
    """The one that is for such images, if there is one."""
    return next((part for wanted in (use, ANY) for part in parts if part.use == wanted), None)


def _likely_labels(path: str, parts: Sequence[_Part], images: _Part) -> _Part | None:
    count = images.shape[0]
    lines = [part for part in parts if part.use in (images.use, ANY) and len(part.shape) in (1, 2)]
    likely = [part for part in lines if part.shape[0] == count]
    likely = [part for part in likely if part.use == images.use] or likely
    if likely:
        return _only(path, "--target", LABEL_NAMES, likely)
    for part in lines:
        if part.use == images.use and part.stem in LABEL_NAMES and part.stem not in CLASS_NAMES:
            got = f"{part.key} of shape {part.shape} for {count:,} images in {images.key}"
            raise ValueError(_check.refusal(path, got, "a label for each image"))
    return None


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


def _holds_images(part: _Part) -> bool:
    is_filled = min(part.shape, default=0) > 0
    return len(part.shape) in (3, 4) and part.dtype.kind in _NUMBERS and is_filled


def _checked(path: str, part: _Part) -> _Part:
    """With channels behind; ValueError where they are in front."""
    shape = (*part.shape, 1) if len(part.shape) == 3 else part.shape
    if shape[1] <= _MOST_CHANNELS < min(shape[2:]):
        got = f"{part.key} of shape {shape}, channels before height and width"
        expected = "(images, height, width, channels): np.moveaxis(images, 1, -1)"
        raise ValueError(_check.refusal(path, got, expected))
    return part._replace(shape=shape)


def _numbered(
    path: str,
    found: Sequence[_Part | None],
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
    names = _class_names(path, parts, distinct)
    return numbers, tuple(names[value] if names else str(value) for value in distinct.tolist())


def _values(path: str, part: _Part) -> np.ndarray:
    """Labels as int64 or as texts (images,)."""
    labels = _decoded(path, part)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
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


def _class_names(path: str, parts: Sequence[_Part], distinct: np.ndarray) -> list[str] | None:
    """What the labels 0, 1, ... are called, where an array of the file says so."""
    for name in CLASS_NAMES:
        for part in parts:
            if part.stem == name and len(part.shape) == 1 and part.dtype.kind in "US":
                texts = _decoded(path, part)
                fits = distinct[0] >= 0 and distinct[-1] < len(texts)
                if fits and len(set(texts.tolist())) == len(texts):
                    return texts.tolist()
    return None


def _decoded(path: str, part: _Part) -> np.ndarray:
    """An array of the file, as texts where it is of bytes."""
    array = _array(path, part)
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        got = f"the bytes {error.object[:40]!r}"
        raise ValueError(_check.refusal(f"{path}: {part.key}", got, "text in UTF-8")) from None
