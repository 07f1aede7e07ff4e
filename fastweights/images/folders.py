"""Folders of images, one subfolder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights._memory import refuse_what_fills_memory
from fastweights.images.files import (
    ENDINGS,
    Head,
    Look,
    UnreadableImageError,
    names_an_image,
    read_head,
    read_images,
)

#: What subfolders are called that hold classes of their own, by what their images are for.
PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}

#: What archives leave beside folders.
_NO_CLASSES = ("__MACOSX",)

#: Goes through as many items as that, and may show how far it is.
Watch = Callable[[Iterable[Any], int], Iterable[Any]]


def unwatched(items: Iterable[Any], total: int) -> Iterable[Any]:
    """Just the items."""
    return items


@dataclass(frozen=True)
class Listed:
    """Files of images, and the number of the class of each, or -1 where it has none."""

    source: str
    paths: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    #: Files of other kinds, and classes without an image.
    others: list[str]
    empty: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, chosen: np.ndarray) -> Listed:
        """The same of these files."""
        paths = [self.paths[place] for place in np.arange(len(self))[chosen]]
        return replace(self, paths=paths, labels=self.labels[chosen])

    def without_empty(self) -> Listed:
        """The same files, their classes numbered as if those without an image were not there."""
        names = tuple(name for name in self.class_names if name not in self.empty)
        return replace(self, labels=self.labels_among(names), class_names=names)

    def labels_among(self, class_names: Sequence[str]) -> np.ndarray:
        """The numbers that the images' classes have among these, or -1: int64 (images,)."""
        place = {name: number for number, name in enumerate(class_names)}
        numbers = [place.get(name, -1) for name in self.class_names]
        return np.array([*numbers, -1], dtype=np.int64)[self.labels]

    def heads(self, watch: Watch) -> list[Head]:
        """What the files that can be read say of their images; ValueError where there is none."""
        heads, broken = [], []
        for path in watch(self.paths, len(self)):
            try:
                heads.append(read_head(path))
            except UnreadableImageError as error:
                broken.append(error)
        if not heads:
            raise broken[0]
        return heads

    def read(
        self, look: Look, watch: Watch
    ) -> tuple[Listed, np.ndarray, list[UnreadableImageError]]:
        """The files that can be read, their images, and what is wrong with the others.

        Raises ValueError where none can be read.
        """
        shape = (len(self), look.height, look.width, look.channels)
        refuse_what_fills_memory("images", shape)
        broken: list[UnreadableImageError] = []
        x = np.empty(shape, np.uint8)
        fine: list[int] = []
        for number, image in watch(read_images(self.paths, look, broken), len(self)):
            x[len(fine)] = image
            fine.append(number)
        if not fine:
            raise broken[0]
        return self.take(np.array(fine)), x[: len(fine)], broken

    def refusal_of_none(self) -> ValueError:
        """What to say where there is no image at all."""
        beside = f" (but {len(self.others)} other files)" if self.others else ""
        expected = f"images, whose names end in {', '.join(ENDINGS)}"
        return ValueError(_check.refusal(self.source, f"none{beside}", expected))


def list_folder(
    directory: _files.FilePath,
    class_names: Sequence[str] | None = None,
    follow_links: bool = False,
) -> Listed:
    """The images in the subfolders of a folder, each of which is a class, in order.

    Subfolders of these belong to the same class. A class without an image has its number, too.
    Raises ValueError where there are no subfolders.
    """
    source = folder_text(directory)
    found = subfolders(source)
    if not found:
        loose = next((name for name in _names(source) if names_an_image(name)), None)
        got = "no subfolders" if loose is None else f"no subfolders, but images like {loose}"
        expected = "one subfolder a class, with its images"
        raise ValueError(_check.refusal(source, got, expected))
    for name in found:
        _check.text(f"subfolder of {source}", name)
    names = found if class_names is None else _class_names(class_names, found)
    below = {name: _files_below(source, follow_links, name) for name in names}
    empty = [name for name, (own, _) in below.items() if not own]
    paths = [path for own, _ in below.values() for path in own]
    others = [path for _, beside in below.values() for path in beside]
    labels = np.repeat(np.arange(len(names)), [len(own) for own, _ in below.values()])
    listed = Listed(source, paths, labels, tuple(names), others, empty)
    if not paths:
        raise listed.refusal_of_none()
    return listed


def list_files(path: _files.FilePath, follow_links: bool = False) -> Listed:
    """All images in a folder and below it, or the one file, without classes."""
    source = _files.path_text(path)
    own, others = _files_below(source, follow_links) if os.path.isdir(source) else ([source], [])
    listed = Listed(source, own, np.full(len(own), -1), (), others, [])
    if not own:
        raise listed.refusal_of_none()
    return listed


def find_parts(directory: _files.FilePath) -> dict[str, str]:
    """The paths of a folder's ``train``, ``val`` and ``test``, by what they are for.

    Empty unless there is a ``train`` with classes in it, and nothing but such folders beside it.
    """
    source = folder_text(directory)
    parts = {}
    for name in subfolders(source):
        use = next((use for use, names in PARTS.items() if name.lower() in names), None)
        if use is None or use in parts:
            return {}
        parts[use] = os.path.join(source, name)
    return parts if "train" in parts and subfolders(parts["train"]) else {}


def folder_text(directory: _files.FilePath) -> str:
    """The path of a folder as text; an error where it is none."""
    source = _files.path_text(directory)
    if not os.path.isdir(source):
        os.stat(source)
        raise ValueError(_check.refusal("directory", f"the file {source}", "a folder of images"))
    return source


def subfolders(source: str) -> list[str]:
    """The names of the folders in a folder that are not hidden, in order."""
    return [
        name
        for name in _names(source)
        if name not in _NO_CLASSES and os.path.isdir(os.path.join(source, name))
    ]


def _names(source: str) -> list[str]:
    return sorted(name for name in os.listdir(source) if not name.startswith("."))


def _files_below(source: str, follow_links: bool, name: str = "") -> tuple[list[str], list[str]]:
    """Files of images and other files in a folder, or in that one within it, and below, in order.

    No folder is looked into twice, nor the source again, where links lead there.
    """
    own, others = [], []
    seen = {os.path.realpath(source)} if name else set()
    top = os.path.join(source, name) if name else source
    for folder, inner, names in os.walk(top, onerror=_raise, followlinks=follow_links):
        if follow_links:
            real = os.path.realpath(folder)
            if real in seen:
                inner.clear()
                continue
            seen.add(real)
        inner[:] = sorted(
            name for name in inner if not name.startswith(".") and name not in _NO_CLASSES
        )
        for name in sorted(names):
            if names_an_image(name):
                own.append(os.path.join(folder, name))
            elif not name.startswith("."):
                others.append(os.path.join(folder, name))
    return own, others


def _raise(error: OSError) -> None:
    raise error


def _class_names(given: Sequence[str], found: list[str]) -> list[str]:
    names = _check.instances("class_names", given, str)
    if sorted(names) != found:
        got, expected = f"{shown(names)}", f"the subfolders {shown(found)} in any order"
        raise ValueError(_check.refusal("class_names", got, expected))
    return names
