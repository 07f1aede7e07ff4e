"""Labelled images of whatever source: folders, single files, arrays in `.npz` files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastweights import _check, _files
from fastweights._json import shown
from fastweights.images import folders
from fastweights.images.files import COLOR_MODES, Head, Look
from fastweights.images.folders import Listed, Watch
from fastweights.images.loading import about_broken, about_empty

#: Images that all are no larger keep their size; others get this one.
SMALL, USUAL = 96, 64

#: What images are for where their source does not say.
ANY = "any"


@dataclass(frozen=True)
class Pictures:
    """Images as their source has them, the number of the class of each or -1, and its use.

    ``uses`` are of `folders.PARTS`, or `ANY`; ``names`` of files, none of arrays.
    """

    source: str
    x: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    uses: np.ndarray
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    def take(self, chosen: np.ndarray) -> Pictures:
        """The same of these images."""
        places = np.arange(len(self))[chosen]
        names = tuple(self.names[place] for place in places) if self.names else ()
        return Pictures(
            self.source, self.x[places], self.labels[places], self.class_names,
            self.uses[places], names, self.remarks,
        )  # fmt: skip


def list_by_use(path: _files.FilePath) -> tuple[Listed, np.ndarray, list[str]]:
    """The images of a folder by class, what each is for, and what else there is to say.

    Its subfolders are classes, or `train`, `val` and `test` with classes in each. Those without an
    image to learn from are none.
    """
    parts = folders.find_parts(path)
    if not parts:
        listed = folders.list_folder(path).without_empty()
        return listed, np.full(len(listed), ANY), _beside(listed)
    train = folders.list_folder(parts["train"]).without_empty()
    paths, labels, uses, said = [*train.paths], [train.labels], ["train"] * len(train), []
    said += _beside(train)
    for use, folder in parts.items():
        if use == "train":
            continue
        if not folders.subfolders(folder):
            said.append(f"{folder} has no subfolders, so no classes: it is not used")
            continue
        listed = folders.list_folder(folder)
        among = listed.labels_among(train.class_names)
        if among.min() < 0:
            unknown = listed.class_names[listed.labels[among.argmin()]]
            expected = f"the classes of {parts['train']}"
            raise ValueError(_check.refusal(folder, f"the class {shown(unknown)}", expected))
        paths += listed.paths
        labels.append(among)
        uses += [use] * len(listed)
        said += _beside(listed)
    source = folders.folder_text(path)
    listed = Listed(source, paths, np.concatenate(labels), train.class_names, [], [])
    return listed, np.array(uses), said


def _beside(listed: Listed) -> list[str]:
    said = [about_empty(listed)] if listed.empty else []
    if listed.others:
        count, first = len(listed.others), listed.others[0]
        said.append(f"files that are no images: {count:,}, such as {first}")
    return said


def read_listed(listed: Listed, uses: np.ndarray, look: Look, watch: Watch) -> Pictures:
    """The images in files, as the look says."""
    found, x, broken = listed.read(look, watch)
    kept = set(found.paths)
    still = np.array([path in kept for path in listed.paths])
    said = (about_broken(broken),) if broken else ()
    return Pictures(
        listed.source, x, found.labels, listed.class_names, uses[still], tuple(found.paths), said
    )


def suitable_look(heads: Sequence[Head], size: tuple[int, int] | None, mode: str | None) -> Look:
    """The look that suits images of these kinds, unless it is told."""
    if size is None:
        sizes = {(head.height, head.width) for head in heads}
        fits = len(sizes) == 1 and max(next(iter(sizes))) <= SMALL
        size = sizes.pop() if fits else (USUAL, USUAL)
    if mode is None:
        mode = "grayscale" if all(head.is_grey for head in heads) else "rgb"
    return Look(*size, COLOR_MODES[mode])
