"""`load_folder`: images by class, as arrays that a model is fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights.images.files import UnreadableImageError, check_look
from fastweights.images.folders import Listed, list_files, list_folder, unwatched
from fastweights.table import split

LABEL_MODES = {"int": None, "binary": None, "categorical": None}
SUBSETS = {"training": 0, "validation": 1, "both": None}

#: Of many, that a message names.
NAMED = 5


class Images(NamedTuple):
    """Images, their labels, and what these stand for.

    Attributes
    ----------
    x : uint8 ndarray (images, height, width, channels)
    y : ndarray or None
        Labels as they were asked for.
    class_names : tuple of str
        The names of the classes 0, 1, ...
    file_paths : tuple of str
        Where each image comes from.
    """

    x: np.ndarray
    y: np.ndarray | None
    class_names: tuple[str, ...]
    file_paths: tuple[str, ...]


def load_folder(
    directory: _files.FilePath,
    labels: str | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    image_size: int | Sequence[int] = (256, 256),
    seed: int = 0,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
) -> Images | tuple[Images, Images]:
    """The images in a folder's subfolders, each of which is a class, of one size.

    Needs Pillow (``pip install 'fastweights[images]'``). Read are BMP, GIF (its first image), JPEG,
    PNG, PPM, TIFF and WebP, also from folders within these; hidden files and others are not. Images
    stand upright, as their EXIF data say; what is transparent stands before white; of 16 bits the
    upper 8 remain. Those that cannot be read are left out with a warning that names them. A class
    without images has a warning, too, and keeps its number and name.

    Parameters
    ----------
    directory : path
    labels : {"inferred", None}
        From the subfolders' names in their order, or there are none, and no subfolders needed.
    label_mode : {"int", "binary", "categorical", None}
        int64 labels ``(images,)``; float32 0 or 1 ``(images, 1)``, of two classes; float32 zeros
        with a one ``(images, classes)``; or none.
    class_names : sequence of str, optional
        The subfolders' names in the order that labels shall have.
    color_mode : {"rgb", "grayscale", "rgba"}
        Three channels, one or four.
    image_size : int or (int, int)
        Height and width that images are brought to.
    seed : int
        Which images are for validation.
    validation_split : float, optional
        Their share.
    subset : {"training", "validation", "both"}, optional
        Which of the two parts comes; of both, the training images first.
    interpolation : {"bilinear", "nearest", "bicubic", "area", "lanczos3"}
        How images are brought to the size. Where they become smaller, all but "nearest" look at
        each pixel, which Keras's do not.
    follow_links : bool
        Whether to look into folders that are links; into none twice for one class.
    crop_to_aspect_ratio, pad_to_aspect_ratio : bool
        Whether images lose margins, or get black ones, instead of being stretched.

    Returns
    -------
    Images, or two of them
        Named tuples ``(x, y, class_names, file_paths)``.

    Raises
    ------
    ValueError
        There are no images, or none that can be read.

    Notes
    -----
    Keras's `image_dataset_from_directory` gives batches that are read anew in every epoch; here
    all images are in memory, as bytes, as which `fit` takes them. So `batch_size` and `shuffle` are
    arguments of `fit`.

    Examples
    --------
    >>> train, val = fw.images.load_folder(
    ...     "flowers", image_size=64, validation_split=0.2, subset="both"
    ... )
    >>> model.fit(train.x, train.y, validation_data=(val.x, val.y))
    """
    look = check_look(
        image_size, color_mode, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio
    )
    if labels is not None and labels != "inferred":
        expected = "'inferred' or None; labels of your own go to fit with the images"
        raise ValueError(_check.refusal("labels", _check.shown(labels), expected))
    if label_mode is not None:
        _check.choice("label_mode", label_mode, LABEL_MODES)
    if (validation_split is None) != (subset is None):
        missing = "validation_split" if validation_split is None else "subset"
        other = "subset" if validation_split is None else "validation_split"
        raise ValueError(_check.refusal(missing, f"None beside {other}", "both or none of them"))
    _check.flag("follow_links", follow_links)
    if labels is None:
        listed = list_files(directory, follow_links)
    else:
        listed = list_folder(directory, class_names, follow_links)
    if listed.empty:
        remark = f"{about_empty(listed)}; labels stay as if there were some"
        warnings.warn(f"load_folder: {remark}", stacklevel=2)
    if label_mode == "binary" and labels is not None and len(listed.class_names) != 2:
        got = f"'binary' for {len(listed.class_names)} classes"
        raise ValueError(_check.refusal("label_mode", got, "2 classes, or 'int'"))
    mode = None if labels is None else label_mode
    if subset is None:
        return _loaded(listed, look, mode)
    chosen = _check.choice("subset", subset, SUBSETS)
    share = _check.number("validation_split", validation_split, above=0.0, below=1.0)
    parts = [listed.take(rows) for rows in split(len(listed), share, seed)]
    if chosen is None:
        return _loaded(parts[0], look, mode), _loaded(parts[1], look, mode)
    return _loaded(parts[chosen], look, mode)


def _loaded(listed: Listed, look: Any, mode: str | None) -> Images:
    found, x, broken = listed.read(look, unwatched)
    if broken:
        warnings.warn(f"load_folder: {about_broken(broken)}", stacklevel=3)
    return Images(x, _encoded(found, mode), found.class_names, tuple(found.paths))


def about_broken(broken: Sequence[UnreadableImageError]) -> str:
    """Which files were left out, in words."""
    return f"left out: {named([str(error) for error in broken], '; ')}"


def about_empty(listed: Listed) -> str:
    """Which classes are without an image, in words."""
    return f"{listed.source}: no images in {named([shown(name) for name in listed.empty])}"


def named(words: Sequence[str], between: str = ", ") -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    return between.join(words[:NAMED]) + more


def _encoded(listed: Listed, mode: str | None) -> np.ndarray | None:
    if mode is None:
        return None
    if mode == "int":
        return listed.labels
    if mode == "binary":
        return listed.labels[:, np.newaxis].astype(np.float32)
    return np.eye(len(listed.class_names), dtype=np.float32)[listed.labels]
