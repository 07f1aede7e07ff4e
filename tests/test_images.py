"""Images in folders and `.npz` files: read as they look, by class, or refused."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastweights as fw
from fastweights.images.archives import read_archive
from fastweights.images.files import Look, UnreadableImageError, read_head, read_image
from fastweights.images.folders import PARTS, find_parts, list_files, list_folder
from fastweights.images.pictures import Pictures, list_by_use, suitable_look
from fastweights.images.preprocessing import ImagePreprocessor, white_of
from fastweights.table.targets import ClassTarget

RED, GREEN = (200, 10, 20), (10, 180, 30)


@pytest.fixture(scope="module", autouse=True)
def pillow():
    return pytest.importorskip("PIL.Image")


def save(path, pixels, **more):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **more)
    return str(path)


def plain(colour, height=6, width=8):
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture
def photos(tmp_path):
    """Six red and four green images of several kinds and sizes."""
    for number, ending in enumerate(("png", "bmp", "gif", "tiff", "png", "png")):
        save(tmp_path / "red" / f"{number}.{ending}", plain(RED, 6 + number))
    for number, ending in enumerate(("png", "ppm", "PNG", "tif")):
        save(tmp_path / "green" / "inner" / f"{number}.{ending}", plain(GREEN))
    return tmp_path


# ---- one file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tiff", "gif"])
def test_pixels_are_those_of_the_file(tmp_path, ending):
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[1, 2], pixels[3] = RED, GREEN
    path = save(tmp_path / f"a.{ending}", pixels)
    np.testing.assert_array_equal(read_image(path, Look(4, 5, 3)), pixels)
    assert read_head(path) == (4, 5, False)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_lossy_kinds(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", plain(RED, 64, 64), quality=95)
    for side in (64, 8):  # the latter of a file of JPEG by a fraction of its size
        found = read_image(path, Look(side, side, 3)).astype(int)
        assert np.abs(found - RED).max() < 8


def test_what_a_file_is_says_its_content(tmp_path):
    path = save(tmp_path / "a.png", plain(RED))
    other = Path(path).rename(tmp_path / "a.jpg")
    assert read_image(str(other), Look(6, 8, 3))[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path, orientation):
    from PIL import Image

    pixels = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3) * 40
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels),
        7: pixels[::-1, ::-1].T,
        8: np.rot90(pixels, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(turned), exif=exif)
    assert read_head(path) == (2, 3, True)
    np.testing.assert_array_equal(read_image(path, Look(2, 3, 1))[..., 0], pixels)


def test_what_is_transparent_stands_before_white(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (*RED, 255)
    pixels[1, 1] = (0, 0, 0, 51)
    path = save(tmp_path / "a.png", pixels)
    seen = read_image(path, Look(2, 2, 3))
    assert seen.reshape(-1, 3).tolist() == [list(RED), [255] * 3, [255] * 3, [204] * 3]
    np.testing.assert_array_equal(read_image(path, Look(2, 2, 4)), pixels)
    grey = read_image(path, Look(2, 2, 1)).ravel().tolist()
    assert grey[1:] == [255, 255, 204]


def test_palettes(tmp_path, pillow):
    image = pillow.fromarray(plain(RED)).quantize(4)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.png", transparency=image.getpixel((0, 0)))
    assert read_image(str(tmp_path / "a.png"), Look(6, 8, 3))[0, 0].tolist() == list(RED)
    assert read_image(str(tmp_path / "b.png"), Look(6, 8, 3))[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_of_16_bits_the_upper_8_remain(tmp_path, ending):
    deep = np.array([[0, 255, 256], [40_000, 65_279, 65_535]], np.uint16)
    path = save(tmp_path / f"a.{ending}", deep)
    np.testing.assert_array_equal(read_image(path, Look(2, 3, 1))[..., 0], deep >> 8)
    assert read_head(path).is_grey


def test_bits_and_greys_in_colours(tmp_path, pillow):
    bits = np.array([[True, False], [False, True]])
    path = save(tmp_path / "a.png", bits)
    for channels in (1, 3):
        expected = np.repeat(bits[..., np.newaxis] * 255, channels, axis=2)
        np.testing.assert_array_equal(read_image(path, Look(2, 2, channels)), expected)


@pytest.mark.parametrize(
    ("fit", "first", "middle"), [("stretch", 0, 255), ("crop", 255, 255), ("pad", 0, 255)]
)
def test_proportions(tmp_path, fit, first, middle):
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 255
    path = save(tmp_path / "a.png", wide)
    found = read_image(path, Look(12, 12, 1, "nearest", fit))[..., 0]
    assert found[6, 0] == (first if fit != "pad" else 0)
    assert found[6, 6] == middle
    assert found[0, 6] == (0 if fit == "pad" else 255)


DAMAGED = {
    "empty": lambda content: b"",
    "no image": lambda content: b"<html>not found</html>",
    "its beginning": lambda content: content[: len(content) // 2],
    "its head": lambda content: content[:20],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "bmp"])
def test_damaged_files_are_named(tmp_path, damage, ending):
    rng = np.random.default_rng(0)
    path = Path(save(tmp_path / f"a.{ending}", rng.integers(0, 256, (30, 40, 3), np.uint8)))
    path.write_bytes(DAMAGED[damage](path.read_bytes()))
    words = re.escape(f"{path}: cannot be read as an image (")
    with pytest.raises(UnreadableImageError, match=words):
        read_image(str(path), Look(30, 40, 3))


def test_what_is_no_file_or_not_of_bytes_or_huge(tmp_path, pillow):
    look = Look(2, 2, 1)
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_image(str(tmp_path / "none.png"), look)
    with pytest.raises(UnreadableImageError, match="directory"):
        read_image(str(tmp_path), look)
    path = save(tmp_path / "f.tiff", np.ones((2, 2), np.float32))
    with pytest.raises(UnreadableImageError, match="no whole numbers"):
        read_image(path, look)
    path = save(tmp_path / "i.tiff", np.full((2, 2), 70_000, np.int32))
    with pytest.raises(UnreadableImageError, match="from 70000 to 70000, not of 16 bits"):
        read_image(path, look)
    pillow.new("1", (12_000, 12_000)).save(tmp_path / "huge.png")
    with pytest.raises(UnreadableImageError, match="exceeds limit"):
        read_image(str(tmp_path / "huge.png"), look)


# ---- folders -------------------------------------------------------------------------------------


def test_a_folder_by_class(photos):
    x, y, names, paths = fw.images.load_folder(photos, image_size=(4, 5))
    assert names == ("green", "red")
    assert x.shape == (10, 4, 5, 3)
    assert x.dtype == np.uint8
    assert y.tolist() == [0] * 4 + [1] * 6
    np.testing.assert_array_equal(x[:, 2, 2], [GREEN] * 4 + [RED] * 6)
    assert len(set(paths)) == 10
    assert all(names[label] in path for label, path in zip(y, paths, strict=True))


@pytest.mark.parametrize(
    ("mode", "first", "last"),
    [("int", 0, 1), ("binary", [0.0], [1.0]), ("categorical", [1.0, 0.0], [0.0, 1.0])],
)
def test_label_modes(photos, mode, first, last):
    y = fw.images.load_folder(photos, label_mode=mode, image_size=2).y
    assert y[0].tolist() == first
    assert y[-1].tolist() == last


def test_without_labels(photos):
    for more in ({"labels": None}, {"label_mode": None}):
        loaded = fw.images.load_folder(photos, image_size=2, color_mode="grayscale", **more)
        assert loaded.y is None
        assert loaded.x.shape == (10, 2, 2, 1)
    assert fw.images.load_folder(photos / "red", labels=None, image_size=2).class_names == ()


def test_classes_in_an_order_of_ones_own(photos):
    (photos / "violet").mkdir()
    with pytest.warns(UserWarning, match="no images in 'violet'"):
        loaded = fw.images.load_folder(photos, image_size=2, class_names=["red", "violet", "green"])
    assert loaded.class_names == ("red", "violet", "green")
    assert loaded.y.tolist() == [0] * 6 + [2] * 4


def test_a_class_without_images_keeps_its_number(photos):
    (photos / "blue").mkdir()
    (photos / "orange").mkdir()
    message = r": no images in 'blue', 'orange'; labels stay as if there were some$"
    with pytest.warns(UserWarning, match=message) as warned:
        loaded = fw.images.load_folder(photos, image_size=2)
    assert warned[0].filename == __file__
    assert loaded.class_names == ("blue", "green", "orange", "red")
    assert loaded.y.tolist() == [1] * 4 + [3] * 6
    more = {"class_names": loaded.class_names, "label_mode": "categorical", "image_size": 2}
    with pytest.warns(UserWarning, match=message) as warned:
        parts = fw.images.load_folder(photos, validation_split=0.3, subset="both", **more)
    assert len(warned) == 1
    assert {part.class_names for part in parts} == {loaded.class_names}
    assert sum(part.y.sum(0) for part in parts).tolist() == [0, 4, 0, 6]


def test_nothing_is_trained_for_a_class_without_images(photos):
    (photos / "blue").mkdir()
    listed, _, said = list_by_use(photos)
    assert said == [f"{photos}: no images in 'blue'"]
    assert listed.class_names == ("green", "red")
    assert listed.labels.tolist() == [0] * 4 + [1] * 6


def test_parts_are_parts(photos):
    more = {"image_size": 2, "validation_split": 0.3, "seed": 5}
    train, validation = fw.images.load_folder(photos, subset="both", **more)
    assert (len(train.x), len(validation.x)) == (7, 3)
    assert not set(train.file_paths) & set(validation.file_paths)
    for subset, both in (("training", train), ("validation", validation)):
        alone = fw.images.load_folder(photos, subset=subset, **more)
        assert alone.file_paths == both.file_paths
        assert alone.y.tolist() == both.y.tolist()


def test_hidden_and_other_files_are_passed_by(photos):
    (photos / "red" / ".hidden.png").write_bytes(b"x")
    (photos / "red" / "notes.txt").write_text("x")
    (photos / ".cache").mkdir()
    save(photos / "__MACOSX" / "a.png", plain(RED))
    save(photos / "red" / ".thumbs" / "a.png", plain(RED))
    save(photos / "loose.png", plain(RED))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(fw.images.load_folder(photos, image_size=2).x) == 10
    assert list_folder(photos).others == [str(photos / "red" / "notes.txt")]


def test_links_are_followed_but_not_in_circles(photos, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save(other / "deep" / "a.png", plain(RED))
    try:
        (photos / "red" / "other").symlink_to(other, target_is_directory=True)
    except OSError:
        pytest.skip("no links may be made here")
    for number in range(2):
        (other / f"again{number}").symlink_to(other, target_is_directory=True)
        (photos / "red" / f"up{number}").symlink_to(photos, target_is_directory=True)
        (photos / "green" / f"up{number}").symlink_to(photos / "green", target_is_directory=True)
    assert len(list_folder(photos)) == 10
    assert len(list_folder(photos, follow_links=True)) == 11
    assert len(list_files(photos, follow_links=True)) == 11
    # A class may be a link, and classes may have images in common.
    (photos / "both").symlink_to(photos / "green", target_is_directory=True)
    found = list_folder(photos, follow_links=True)
    assert np.bincount(found.labels).tolist() == [4, 4, 7]


def test_files_that_cannot_be_read_are_left_out_and_named(photos):
    for number in range(8):
        (photos / "red" / f"bad{number}.jpg").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"left out: .*bad0\.jpg.* and 3 more") as warned:
        loaded = fw.images.load_folder(photos, image_size=2)
    assert warned[0].filename == __file__
    assert len(loaded.x) == len(loaded.y) == len(loaded.file_paths) == 10
    assert loaded.y.tolist() == [0] * 4 + [1] * 6
    for path in (photos / "red").glob("[0-9]*"):
        path.unlink()
    with pytest.raises(ValueError, match="cannot be read as an image"):
        fw.images.load_folder(photos / "red", labels=None)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image_size": 0}, ValueError, "image_size: got 0, expected at least 1"),
        ({"image_size": (2, 3, 4)}, ValueError, "image_size: got .*expected .height, width."),
        ({"color_mode": "cmyk"}, ValueError, "color_mode"),
        ({"label_mode": "float"}, ValueError, "label_mode"),
        ({"labels": [0, 1]}, ValueError, "labels: got .* expected 'inferred' or None"),
        ({"interpolation": "gaussian"}, ValueError, "interpolation"),
        ({"class_names": ["red"]}, ValueError, "class_names: got .* expected the subfolders"),
        ({"class_names": "red"}, TypeError, "class_names"),
        ({"subset": "both"}, ValueError, "validation_split: got None beside subset"),
        ({"validation_split": 0.2}, ValueError, "subset: got None beside validation_split"),
        ({"validation_split": 1.0, "subset": "both"}, ValueError, "validation_split"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, ValueError, "pad_to_as"),
        ({"follow_links": 2}, TypeError, "follow_links"),
        ({"directory": "there is none"}, FileNotFoundError, "there is none"),
    ],
)
def test_refusals(photos, arguments, error, message):
    with pytest.raises(error, match=message):
        fw.images.load_folder(**{"directory": photos, **arguments})


def test_folders_without_classes_or_images(photos, tmp_path):
    with pytest.raises(ValueError, match=r"no subfolders, but images like 0\.png"):
        fw.images.load_folder(photos / "red")
    with pytest.raises(ValueError, match="expected a folder of images"):
        fw.images.load_folder(photos / "red" / "0.png")
    (photos / "blue").mkdir()
    save(photos / "blue" / "a.png", plain(GREEN))
    with pytest.raises(ValueError, match="'binary' for 3 classes"):
        fw.images.load_folder(photos, label_mode="binary")
    empty = tmp_path / "empty"
    (empty / "a").mkdir(parents=True)
    (empty / "a" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"got none .but 1 other files., expected images"):
        fw.images.load_folder(empty)


def test_images_that_fill_the_memory_are_refused(photos):
    with pytest.raises(ValueError, match=r"images: got 10 of .* GiB, expected what fits the"):
        fw.images.load_folder(photos, image_size=2**15 - 1, color_mode="rgba")


def test_train_val_and_test(tmp_path):
    for part, counts in {"train": (3, 2), "valid": (1, 1), "Test": (0, 2)}.items():
        for name, count in zip(("a", "b"), counts, strict=True):
            for number in range(count):
                save(tmp_path / part / name / f"{number}.png", plain(RED))
    parts = find_parts(tmp_path)
    assert sorted(parts) == ["test", "train", "validation"]
    listed, uses, _ = list_by_use(tmp_path)
    assert listed.class_names == ("a", "b")
    assert dict(zip(*np.unique(uses, return_counts=True), strict=True)) == {
        "train": 5,
        "validation": 2,
        "test": 2,
    }
    assert listed.labels[uses == "test"].tolist() == [1, 1]
    (tmp_path / "train" / "0").mkdir()
    (tmp_path / "Test" / "0").mkdir()
    again, _, said = list_by_use(tmp_path)
    assert len(said) == 2
    assert again.class_names == ("a", "b")
    np.testing.assert_array_equal(again.labels, listed.labels)
    save(tmp_path / "valid" / "c" / "0.png", plain(RED))
    with pytest.raises(ValueError, match="got the class 'c', expected the classes of"):
        list_by_use(tmp_path)
    save(tmp_path / "another" / "0.png", plain(RED))
    assert find_parts(tmp_path) == {}


def test_a_test_folder_without_classes_is_not_used(tmp_path):
    for number in range(2):
        save(tmp_path / "train" / "a" / f"{number}.png", plain(RED))
        save(tmp_path / "test" / f"{number}.png", plain(RED))
    _, uses, said = list_by_use(tmp_path)
    assert uses.tolist() == ["train"] * 2
    assert any("test has no subfolders" in remark for remark in said)


def test_the_look_that_suits(tmp_path):
    heads = [read_head(save(tmp_path / f"{n}.png", plain(RED)[..., 0])) for n in range(2)]
    assert suitable_look(heads, None, None)[:3] == (6, 8, 1)
    assert suitable_look(heads, (3, 4), "rgb")[:3] == (3, 4, 3)
    heads.append(read_head(save(tmp_path / "c.png", plain(RED, 9))))
    assert suitable_look(heads, None, None)[:3] == (64, 64, 3)
    large = read_head(save(tmp_path / "d.png", plain(RED, 100, 100)))
    assert suitable_look([large], None, None)[:3] == (64, 64, 3)


# ---- arrays --------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (12, 4, 5), np.uint8)
LABELS = np.arange(12) % 3


def archive(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return str(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS + 5, ("5", "6", "7")),
        (LABELS.astype(np.float32), ("0", "1", "2")),
        (LABELS[:, np.newaxis].astype(np.uint8), ("0", "1", "2")),
        (np.eye(3)[LABELS], ("0", "1", "2")),
        (np.array(["cat", "dog", "eel"])[LABELS], ("cat", "dog", "eel")),
        (np.array([b"cat", b"dog", b"eel"])[LABELS], ("cat", "dog", "eel")),
    ],
)
def test_labels_of_archives(tmp_path, labels, names):
    pictures = read_archive(archive(tmp_path, pictures=BYTES, kind=labels))
    assert pictures.class_names == names
    assert pictures.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(pictures.x, BYTES[..., np.newaxis])


def test_class_names_of_archives(tmp_path):
    path = archive(tmp_path, x=BYTES, y=LABELS, names=np.array(["cat", "dog", "eel", "fox"]))
    assert read_archive(path).class_names == ("cat", "dog", "eel")
    path = archive(tmp_path, x=BYTES, y=LABELS, names=np.array(["cat", "dog"]))
    assert read_archive(path).class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x", "y", "x_test", "y_test"),
    ],
)
def test_parts_of_archives(tmp_path, keys):
    arrays = (BYTES[:8], LABELS[:8], BYTES[8:], LABELS[8:])
    pictures = read_archive(archive(tmp_path, **dict(zip(keys, arrays, strict=True))))
    assert pictures.uses.tolist() == ["train"] * 8 + ["test"] * 4
    np.testing.assert_array_equal(pictures.x[..., 0], BYTES)
    assert pictures.labels.tolist() == LABELS.tolist()


def test_arrays_that_are_told(tmp_path):
    path = archive(tmp_path, one=BYTES, other=BYTES[::-1], a=LABELS, b=LABELS[::-1])
    with pytest.raises(ValueError, match=r"the arrays one, other, expected one .* --images NAME"):
        read_archive(path)
    with pytest.raises(ValueError, match=r"the arrays a, b, expected one .* --target NAME"):
        read_archive(path, "one")
    pictures = read_archive(path, "other", "b")
    assert pictures.labels.tolist() == LABELS[::-1].tolist()
    np.testing.assert_array_equal(pictures.x[..., 0], BYTES[::-1])


CIFAR = {
    "x_train": BYTES[:8], "x_test": BYTES[8:],
    "coarse_train": LABELS[:8], "coarse_test": LABELS[8:],
    "fine_train": 2 - LABELS[:8], "fine_test": 2 - LABELS[8:],
}  # fmt: skip


@pytest.mark.parametrize("told", ["fine_train", "fine_test", "fine", "FINE"])
def test_labels_that_are_told_are_those_of_each_part(tmp_path, told):
    path = archive(tmp_path, **CIFAR)
    with pytest.raises(ValueError, match="coarse_train, fine_train, expected one of them, told by"):
        read_archive(path)
    pictures = read_archive(path, labels=told)
    assert pictures.labels.tolist() == (2 - LABELS).tolist()
    assert pictures.uses.tolist() == ["train"] * 8 + ["test"] * 4


def test_images_that_are_told_have_the_labels_of_their_part(tmp_path):
    path = archive(tmp_path, **CIFAR)
    for images, labels in (("x_test", "fine"), ("x_test", "fine_test")):
        pictures = read_archive(path, images, labels)
        assert pictures.labels.tolist() == (2 - LABELS[8:]).tolist()
        assert set(pictures.uses) == {"any"}
    arrays = {f"{side}_{part}": BYTES[:6] for side in ("left", "right") for part in PARTS}
    labels = {f"y_{part}": np.full(6, number) for number, part in enumerate(PARTS)}
    path = archive(tmp_path, **arrays, **labels)
    pictures = read_archive(path, "left")
    assert pictures.uses.tolist() == ["train"] * 6 + ["validation"] * 6 + ["test"] * 6
    assert pictures.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert read_archive(path, "right_test").labels.tolist() == [0] * 6
    assert read_archive(path, "right_test").class_names == ("2",)


@pytest.mark.parametrize(
    ("arrays", "told", "message"),
    [
        ({"x": BYTES, "y_train": LABELS, "y_val": LABELS}, ("x", "y"), "got y, of none of x, exp"),
        (
            {**CIFAR, "fine_test": LABELS},
            (None, "fine"),
            "fine_test of shape .12,., .* 4 images",
        ),
        ({"x": np.zeros((3, 2))}, (), "got x .3, 2., expected an array of images"),
        ({}, (), "got no arrays"),
        ({"x": np.zeros((9, 3, 8, 8))}, (), r"channels before height .*moveaxis\(images, 1, -1"),
        ({"x": BYTES, "y": LABELS + 0.5}, (), "labels float64 of shape .12,., such as 0.5"),
        ({"x": BYTES, "y": np.ones((12, 3))}, (), "not zeros with a one"),
        ({"x": BYTES, "y": LABELS}, ("z",), "--images: got 'z', expected one of x, y"),
        ({"x": BYTES, "y": LABELS}, ("y",), "--images: got y, an array int64"),
        ({"x": BYTES, "y": LABELS}, ("x", "z"), "--target: got 'z', expected one of"),
        ({"x": BYTES, "y": LABELS[1:]}, ("x", "y"), "--target: got y of shape .11,."),
        ({"x_train": BYTES, "x_test": BYTES[:, 1:]}, (), "images of one shape"),
        ({"x": BYTES, "y": np.array([{}] * 12)}, (), "expected an .npz file of arrays"),
        (
            {"X": BYTES, "y": LABELS[:5]},
            (),
            r"y of shape .5,. for 12 images in X, expected a",
        ),
        (
            {"x_train": BYTES, "y_train": LABELS, "x_test": BYTES[:3], "y_test": LABELS},
            (),
            "y_test of shape .12,. for 3 images in x_test",
        ),
        (
            {"x": BYTES, "y": np.array([b"cat", b"\xff"] * 6)},
            (),
            r"npz: y: got .*b'.xff', .*UTF",
        ),
        (
            {"x": BYTES, "y": LABELS, "names": np.array([b"a", b"b", b"\xe4"])},
            (),
            r"npz: names: got .*b'.xe4', expected text in UTF-8",
        ),
    ],
)
def test_archives_that_are_refused(tmp_path, arrays, told, message):
    with pytest.raises(ValueError, match=message):
        read_archive(archive(tmp_path, **arrays), *told)


def test_arrays_that_nobody_uses_are_left_packed(tmp_path):
    # One that has a head of its own, for its letters.
    columns = np.zeros(3, np.dtype([("\N{GREEK SMALL LETTER MU}", "f8")]))
    beside = {"notes": np.array([{}]), "depth": np.zeros((12, 4)), "columns": columns}
    with pytest.warns(UserWarning, match="format 3"):
        path = archive(tmp_path, x=BYTES, y=LABELS, **beside)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("read me.txt", "not an array")
        file.writestr("features.npy", header(np.float64, (10**15, 2)))
    pictures = read_archive(path)
    np.testing.assert_array_equal(pictures.x[..., 0], BYTES)
    assert pictures.labels.tolist() == LABELS.tolist()


def header(dtype, shape):
    """How a file of such an array begins; the array itself is left out."""
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    content = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, content)
    return file.getvalue()


def test_arrays_that_fill_the_memory_are_refused(tmp_path):
    path = archive(tmp_path, count=np.zeros(1))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("x.npy", header(np.uint8, (10**9, 2**10, 2**10)))
    with pytest.raises(ValueError, match=r"a\.npz: x: got 1,000,000,000 of .* which take 976,562"):
        read_archive(path)


def test_parts_that_fill_the_memory_together_are_refused(tmp_path, monkeypatch):
    path = archive(tmp_path, x_train=BYTES[:8], x_test=BYTES[8:])
    monkeypatch.setattr("fastweights._memory.total_memory", lambda: BYTES.size - 1)
    with pytest.raises(ValueError, match=r"a\.npz: got 12 of .4, 5, 1., which take"):
        read_archive(path)
    monkeypatch.setattr("fastweights._memory.total_memory", lambda: BYTES.size)
    assert len(read_archive(path)) == 12


def test_files_that_are_no_archives(tmp_path):
    path = tmp_path / "a.npz"
    for content in (b"", b"x" * 100, b"PK\3\4" + bytes(60)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"expected an \.npz file of arrays"):
            read_archive(str(path))
    np.save(tmp_path / "b.npy", BYTES)
    with pytest.raises(ValueError, match="it is no archive"):
        read_archive(str(tmp_path / "b.npy"))


# ---- what a network gets -------------------------------------------------------------------------


def pictures_of(x, names=()):
    x = np.asarray(x)
    return Pictures("it", x, np.arange(len(x)) % 2, ("b", "c"), np.full(len(x), "any"), names)


def prepared(x):
    """What a network that is trained on these images keeps, and the images."""
    target = ClassTarget("class", ("a", "b"), (0.5, 0.5))
    pictures = pictures_of(x)
    return ImagePreprocessor(*pictures.x.shape[1:], white_of(pictures), target), pictures


def test_pixels_go_from_0_to_255():
    whole = BYTES[..., np.newaxis]
    for x in (whole, whole.astype(int), whole / 255, whole.astype(np.float32)):
        preprocessor, pictures = prepared(x)
        found = preprocessor.transform(pictures)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, whole)
    preprocessor, pictures = prepared(whole > 100)
    np.testing.assert_array_equal(preprocessor.transform(pictures), 255 * (whole > 100))
    preprocessor, pictures = prepared(whole / 2)
    assert preprocessor.transform(pictures).dtype == np.float32
    np.testing.assert_array_equal(preprocessor.transform(pictures), whole / 2)
    preprocessor, pictures = prepared(whole / 100 - 1)
    np.testing.assert_array_equal(preprocessor.transform(pictures), np.float32(whole / 100 - 1))


ONE = np.ones((1, 4, 5, 1))


@pytest.mark.parametrize(
    ("trained", "dark"),
    [
        (255 * ONE, 0.7 * ONE), (ONE, 0.2 * ONE), ((255 * ONE).astype(int), ONE.astype(int)),
        (130 * ONE, 100.0004 * ONE), (-ONE, 0.5 * ONE),
    ],
)  # fmt: skip
def test_an_image_is_the_same_whatever_is_beside_it(trained, dark):
    preprocessor = prepared(trained)[0]
    together = preprocessor.transform(pictures_of(np.concatenate([dark, trained * 0.77])))
    alone = preprocessor.transform(pictures_of(dark))
    np.testing.assert_array_equal(alone[0].astype(np.float32), together[0].astype(np.float32))


def test_what_white_is_is_told_by_the_images_of_the_training():
    of_bytes, of_shares = prepared(BYTES[..., np.newaxis])[0], prepared(ONE)[0]
    assert (of_bytes.white, of_shares.white, prepared(-ONE)[0].white) == (255, 1, None)
    assert prepared(ONE == 1)[0].white == 1
    with pytest.raises(ValueError, match="pixels from 200 to 200, expected from 0 to 1, as in tra"):
        of_shares.transform(pictures_of(200 * ONE))
    assert of_shares.remarks(pictures_of(ONE)) == ()
    for odd, told in ((0.5 * ONE, 1), (0 * ONE, 0), (255 * ONE, 0), (ONE == 1, 0)):
        assert len(of_bytes.remarks(pictures_of(odd))) == told
    assert "if 1 is white here, multiply by 255" in of_bytes.remarks(pictures_of(ONE))[0]
    # Files and bools say it themselves.
    of_files = pictures_of(ONE.astype(np.uint8), ("a.png",))
    assert white_of(of_files) == 255
    for preprocessor in (of_bytes, of_shares):
        np.testing.assert_array_equal(preprocessor.transform(of_files), ONE)
        np.testing.assert_array_equal(preprocessor.transform(pictures_of(ONE == 1)), 255 * ONE)
    assert ImagePreprocessor.from_json(of_shares.to_json()) == of_shares


@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        (np.nan, r"it: got nan at \(1, 2, 3, 0\), expected finite"),
        (-1.0, "pixels from -1 to"),
        (256.0, "to 256, expected from 0"),
    ],
)
def test_pixels_that_are_refused(pixel, message):
    x = BYTES[..., np.newaxis].astype(float)
    preprocessor = prepared(x)[0]
    x[1, 2, 3] = pixel
    with pytest.raises(ValueError, match=message):
        preprocessor.transform(pictures_of(x))


def test_shapes_and_files_that_do_not_suit():
    preprocessor = prepared(BYTES[..., np.newaxis])[0]
    other = prepared(BYTES[:, 1:, :, np.newaxis])[1]
    with pytest.raises(ValueError, match=r"images of shape \(3, 5, 1\), expected \(4, 5, 1\)"):
        preprocessor.transform(other)
    assert preprocessor.look[:3] == (4, 5, 1)
    own = prepared(-BYTES[..., np.newaxis].astype(float))[0]
    with pytest.raises(ValueError, match=r"on a scale of their own, expected an \.npz file"):
        own.look  # noqa: B018


def test_truth_goes_by_the_names_of_classes():
    preprocessor, pictures = prepared(BYTES[..., np.newaxis])
    truth, known = preprocessor.truth(pictures)
    assert truth.tolist() == [1, -1] * 6
    assert known.tolist() == [True, False] * 6


def test_json_there_and_back():
    preprocessor, _ = prepared(BYTES[..., np.newaxis])
    text = preprocessor.to_json()
    assert ImagePreprocessor.from_json(text) == preprocessor
    for old, new in (
        ('"format": 1', '"format": 2'),
        ("[4, 5, 1]", "[4, 5]"),
        ("[4, 5, 1]", "[4, 5, 0]"),
        ("[4, 5, 1]", "[4, 5, true]"),
        ("[4, 5, 1]", "[4, 5, 1e9]"),
        ('"white": 255', '"white": 1.0'),
        ('"white": 255', '"white": true'),
        ('"white": 255', '"white": 254'),
        ('"white"', '"bytes"'),
        ('"classification"', '"regression"'),
        ('["a", "b"]', '["a", "a"]'),
    ):
        assert old in text
        with pytest.raises(ValueError, match="preprocessing"):
            ImagePreprocessor.from_json(text.replace(old, new))


def test_pillow_is_imported_when_it_is_used(tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import sys; sys.modules['PIL'] = None\n"
            "import fastweights as fw; from fastweights.cli import main\n"
            "fw.images.load_folder; assert main(['train', '--help']) == 0\n"
            "main(['train', sys.argv[1]])",
            str(tmp_path),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "no subfolders" in done.stderr
    save(tmp_path / "a" / "a.png", plain(RED))
    save(tmp_path / "b" / "a.png", plain(RED))
    command = "import sys; sys.modules['PIL'] = None\nfrom fastweights.cli import main\n"
    done = subprocess.run(
        [sys.executable, "-c", command + "main(['train', sys.argv[1]])", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "need Pillow, which is not installed: pip install 'fastweights[images]'" in done.stderr
    assert done.stderr.count("\n") == 1
