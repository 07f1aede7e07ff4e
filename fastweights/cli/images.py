"""Images by class, in folders or `.npz` files: convolutional networks that suit their size."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

import fastweights as fw
from fastweights import _check, layers, saving
from fastweights._json import shown, with_null
from fastweights.cli import checkpoints
from fastweights.cli.fitting import Plan, Training, build, fit
from fastweights.cli.kinds import MIN_ROWS, Data, Kind, parts_in_words, parts_of
from fastweights.cli.layers_spec import penalty
from fastweights.cli.output import Group, Output, add_option, count, note
from fastweights.cli.progress import counted
from fastweights.images.archives import read_archive
from fastweights.images.files import COLOR_MODES, MOST_PIXELS, Look, names_an_image
from fastweights.images.folders import list_files, unwatched
from fastweights.images.loading import named
from fastweights.images.pictures import (
    ANY,
    Pictures,
    list_by_use,
    read_listed,
    suitable_look,
)
from fastweights.images.preprocessing import ImagePreprocessor, white_of
from fastweights.table.models import HISTORY
from fastweights.table.targets import ClassTarget

#: Filters of the stages, each of two convolutions, the last of all that follow; images are halved
#: between them until a side is smaller than that.
FILTERS, SMALLEST = (16, 32, 64), 8
UNITS = 64
#: Rates before and behind these units.
DROPOUT = (0.3, 0.5)

#: What images go through in training.
AUGMENTATIONS = {"none": (), "move": ("move",), "flip": ("flip", "move")}

#: Of the images that mean and variance are taken of.
_NUMBERS_AT_ONCE = 2**20

TARGET = "class"
ARCHIVE = ".npz"


class ImageFiles(Kind):
    """Images, the class of which is to be told."""

    name, row, key = "images", "image", saving.IMAGES
    own_options = ("images", "size", "color_mode", "augment")
    # As the learning rate falls to 0 the last epoch is the best, as far as a few images can tell.
    defaults: ClassVar = {
        "epochs": 40,
        "patience": 0,
        "test_fraction": 0.2,
        "validation_fraction": 0.0,
        "schedule": "CosineDecay(alpha=0.01)",
    }
    rate_factor = 2.0

    def is_meant(self, args: argparse.Namespace) -> bool:
        return args.images is not None or _is_folder(args.data) or _is_archive(args.data)

    def is_called(self, path: str) -> bool:
        return _is_archive(path) or names_an_image(path)

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("images")
        add_names(group)
        add_option(
            group,
            "--size",
            "height and width that images in files are brought to, such as 64 or 48x64; default: "
            "their own where all have the same small one, else 64",
            metavar="PIXELS",
        )
        add_option(
            group,
            "--color-mode",
            "how images in files are read; default: grayscale where all are",
            choices=COLOR_MODES,
        )
        add_option(
            group,
            "--augment",
            "what is done to images in training: they are moved, turned and zoomed a little, and "
            "mirrored left to right too, where that leaves them what they are; default: move",
            choices=AUGMENTATIONS,
        )

    def check_options(self, args: argparse.Namespace) -> None:
        in_files = _is_folder(args.data)
        for option, is_given in (
            ("--size", args.size is not None),
            ("--color-mode", args.color_mode is not None),
        ):
            if is_given and not in_files:
                got, expected = f"it for {args.data}", "it for a folder: arrays stay as they are"
                raise ValueError(_check.refusal(option, got, expected))
        if in_files:
            _refuse_names(args)
        _size(args.size)

    def prepare(self, args: argparse.Namespace, output: Output) -> Data:
        if _is_folder(args.data):
            pictures = _in_folder(args, output)
        else:
            pictures = read_archive(args.data, args.images or None, args.target)
        for remark in pictures.remarks:
            note(remark)
        pictures = _with_class(pictures, output)
        train, validation, test = _parts(pictures, args, self.row)
        shares = np.bincount(pictures.labels[train], minlength=len(pictures.class_names))
        target = ClassTarget(TARGET, pictures.class_names, tuple((shares / len(train)).tolist()))
        white = white_of(pictures.take(train))
        height, width, channels = pictures.x.shape[1:]
        preprocessor = ImagePreprocessor(height, width, channels, white, target)
        x, truth = preprocessor.transform(pictures), preprocessor.truth(pictures)[0]
        words = parts_in_words(args, self.row, train, validation, test)
        output.say(f"each {height} x {width} x {channels}; {words}")
        about = {"image_size": [height, width, channels], "classes": list(target.classes)}
        divided = frozenset(pictures.uses.tolist()) & {"validation", "test"}
        return Data(preprocessor, x, truth, train, validation, test, about, divided)

    def network(self, args: argparse.Namespace, data: Data) -> fw.Sequential:
        height, width = data.x.shape[1:3]
        kept = penalty(args)
        mean, variance = _figures(data.x, data.train)
        if max(variance) > np.finfo(args.dtype).max:
            got = f"pixels from {data.x.min():g} to {data.x.max():g}"
            expected = f"smaller ones: their variance is no {args.dtype} number"
            raise ValueError(_check.refusal(args.data, got, expected))
        stack: list[layers.Layer] = [
            layers.Normalization(mean=mean, variance=variance),
            *_augmentation(args.augment or "move"),
        ]
        for stage in itertools.count():
            filters = FILTERS[min(stage, len(FILTERS) - 1)]
            for _ in range(2):
                stack.append(
                    layers.Conv2D(
                        filters, 3, padding="same", use_bias=False, kernel_regularizer=kept
                    )
                )
                stack.append(layers.BatchNormalization(momentum=0.9))
                stack.append(layers.ReLU())
            if min(height, width) < SMALLEST:
                break
            stack.append(layers.MaxPooling2D())
            height, width = height // 2, width // 2
        outputs = data.preprocessor.target.outputs
        first, second = DROPOUT if args.dropout is None else (args.dropout,) * 2
        stack += [
            layers.Dropout(first),
            layers.Flatten(),
            layers.Dense(UNITS, activation="relu", kernel_regularizer=kept),
            layers.Dropout(second),
            layers.Dense(outputs, activation="softmax", kernel_regularizer=kept),
        ]
        return fw.Sequential(stack, input_shape=data.x.shape[1:], dtype=args.dtype, seed=args.seed)

    def build(self, args: argparse.Namespace, data: Data) -> tuple[list[fw.Sequential], Plan]:
        return build(args, self, data, self.network)

    def learn(
        self, args: argparse.Namespace, data: Data, options: dict[str, Any]
    ) -> tuple[fw.Sequential | fw.Ensemble, Training]:
        models, plan = self.build(args, data)
        training = fit(args, models, plan, checkpoints.identity(options, data))
        return (fw.Ensemble(models) if len(models) > 1 else models[0]), training

    def save(self, path: str, model: Any, data: Data, history: dict[str, Any]) -> None:
        text = json.dumps(with_null(history), allow_nan=False)
        model.save(path, metadata={self.key: data.preprocessor.to_json(), HISTORY: text})

    def restored(self, text: str, file_size: int) -> ImagePreprocessor:
        return ImagePreprocessor.from_json(text, file_size)

    def read(self, args: argparse.Namespace, preprocessor: ImagePreprocessor) -> Pictures:
        if _is_archive(args.data):
            return _for_test(args, by_class=False)
        _refuse_names(args)
        listed = list_files(args.data)
        return read_listed(listed, np.full(len(listed), ANY), preprocessor.look, counted)

    def read_with_truth(
        self, args: argparse.Namespace, preprocessor: ImagePreprocessor
    ) -> Pictures:
        if _is_archive(args.data):
            return _for_test(args)
        _refuse_names(args)
        listed, uses, said = list_by_use(args.data)
        for remark in said:
            note(remark)
        is_test = uses == "test"
        if is_test.any():
            _say_which(args, is_test)
            listed, uses = listed.take(is_test), uses[is_test]
        return read_listed(listed, uses, preprocessor.look, counted)

    def row_names(self, source: Pictures) -> tuple[str, Sequence[str]] | None:
        return ("file", source.names) if source.names else None


def add_names(group: Group) -> None:
    """Adds the option that names an array of images."""
    group.add_argument(
        "--images",
        nargs="?",
        const="",
        metavar="NAME",
        help="DATA holds images, in the array of this name if it is an .npz file, or in those of "
        "all parts (x for x_train and x_test); they are found unless named",
    )


def _refuse_names(args: argparse.Namespace) -> None:
    for name in ("images", "target"):
        if getattr(args, name, None):
            got, expected = f"a name for {args.data}", "an .npz file beside it: there are no arrays"
            raise ValueError(_check.refusal(f"--{name}", got, expected))


def _for_test(args: argparse.Namespace, by_class: bool = True) -> Pictures:
    """The images in an archive, or those for tests where it says which these are."""
    labels = args.target if by_class else None
    pictures = read_archive(args.data, args.images or None, labels, by_class)
    is_test = pictures.uses == "test"
    if is_test.any():
        _say_which(args, is_test)
        pictures = pictures.take(is_test)
    return pictures


def _say_which(args: argparse.Namespace, is_test: np.ndarray) -> None:
    note(f"{args.data}: of {count(len(is_test), 'image')} those for tests, {is_test.sum():,}")


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)


def _is_archive(path: str) -> bool:
    return path.lower().endswith(ARCHIVE)


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width, as ``--size`` spells them."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) < 6 for side in sides):
        expected = "a number of pixels such as 64, or height and width such as 48x64"
        raise ValueError(_check.refusal("--size", repr(text), expected))
    height, width = [_check.whole("--size", int(side), 1, MOST_PIXELS) for side in sides * 2][:2]
    return height, width


def _in_folder(args: argparse.Namespace, output: Output) -> Pictures:
    """The images in a folder, brought to a size and colours that suit them unless told."""
    listed, uses, said = list_by_use(args.data)
    for remark in said:
        note(remark)
    watch = unwatched if args.quiet else counted
    size, mode = _size(args.size), args.color_mode
    if size is None or mode is None:
        heads = listed.heads(watch)
        look = suitable_look(heads, size, mode)
    else:
        look = Look(*size, COLOR_MODES[mode])
    return read_listed(listed, uses, look, watch)


def _with_class(pictures: Pictures, output: Output) -> Pictures:
    """The images that have one; ValueError where they or the classes are too few."""
    known = pictures.labels >= 0
    if not known.any():
        expected = "labels of the images, in an array that --target names"
        raise ValueError(_check.refusal(pictures.source, "none", expected))
    if not known.all():
        output.say(f"left out for want of a {TARGET}: {count((~known).sum(), 'image')}")
        pictures = pictures.take(known)
    counts = np.bincount(pictures.labels, minlength=len(pictures.class_names))
    names = pictures.class_names
    if len(names) < 2:
        got = f"one class, {shown(names[0])}"
        raise ValueError(_check.refusal(pictures.source, got, "at least two"))
    if len(pictures) < MIN_ROWS:
        got = count(len(pictures), "image")
        expected = f"at least {MIN_ROWS} to learn from and be tested on"
        raise ValueError(_check.refusal(pictures.source, got, expected))
    words = [f"{shown(name)} {n:,}" for name, n in zip(names, counts.tolist(), strict=True)]
    output.say(
        f"{pictures.source}: {count(len(pictures), 'image')} in {len(names)} classes: "
        f"{named(words)}"
    )
    return pictures


def _parts(
    pictures: Pictures, args: argparse.Namespace, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the images to train on, to validate on, and to keep unseen.

    Where the source has none for a purpose, they are taken of those to train on.
    """
    given = {use: np.flatnonzero(pictures.uses == use) for use in ("validation", "test")}
    others = np.flatnonzero(~np.isin(pictures.uses, list(given)))
    train, validation, test = parts_of(
        len(others),
        0.0 if len(given["test"]) else args.test_fraction,
        0.0 if len(given["validation"]) else args.validation_fraction,
        args.seed,
        what,
    )
    return (
        others[train],
        given["validation"] if len(given["validation"]) else others[validation],
        given["test"] if len(given["test"]) else others[test],
    )


def _figures(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel of the training images."""
    pixels = len(train) * math.prod(x.shape[1:3])
    mean = _summed(x, train, lambda one: one) / pixels
    variance = _summed(x, train, lambda one: np.square(one - mean)) / pixels
    # A channel that is always the same is told nothing by.
    return mean, np.where(variance == 0, 1.0, variance)


def _summed(
    x: np.ndarray, chosen: np.ndarray, of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The sum of something of each pixel over these images, float64 (channels,).

    Of so few images at a time that their copies in float64 are small.
    """
    step = max(1, _NUMBERS_AT_ONCE // math.prod(x.shape[1:]))
    starts = range(0, len(chosen), step)
    blocks = (x[chosen[start : start + step]].astype(np.float64) for start in starts)
    return np.sum([of(block).sum(axis=0).sum(axis=(0, 1)) for block in blocks], axis=0)


def _augmentation(name: str) -> list[layers.Layer]:
    kinds = AUGMENTATIONS[name]
    flipped: list[layers.Layer] = [layers.RandomFlip("horizontal")] if "flip" in kinds else []
    moved: list[layers.Layer] = [
        layers.RandomRotation(0.04, "nearest"),
        layers.RandomTranslation(0.08, 0.08, "nearest"),
        layers.RandomZoom(0.1, fill_mode="nearest"),
    ]
    return [*flipped, *(moved if "move" in kinds else [])]
