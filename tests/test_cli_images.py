"""The command line on images: folders by class and `.npz` files, end to end and used wrongly."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc

import numpy as np
import pytest

import fastweights as fw
from fastweights import cli
from fastweights.cli.images import _figures
from fastweights.cli.modelfile import load_model
from fastweights.saving import IMAGES
from fastweights.serialization import read_metadata

RNG = np.random.default_rng(0)
#: Dark and bright noise, alternately.
LABELS = np.arange(60) % 2
PIXELS = (RNG.integers(0, 120, (60, 8, 8)) + 130 * LABELS[:, np.newaxis, np.newaxis]).astype(
    np.uint8
)
CLASSES = ("dark", "light")


def run(capsys, *argv):
    """What a command that must succeed prints."""
    capsys.readouterr()
    assert cli.main([str(word) for word in argv]) == 0
    return capsys.readouterr()


def run_json(capsys, *argv):
    return json.loads(run(capsys, *argv, "--json").out)


def refused(capsys, *argv):
    capsys.readouterr()
    assert cli.main([str(word) for word in argv]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("fastweights: error: ") == 1, captured.err
    return captured.err


def save(path, pixels):
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path)


def write_folder(root, numbers=range(60), names=CLASSES):
    for number in numbers:
        save(root / names[LABELS[number]] / f"{number:02}.png", PIXELS[number])
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "photos")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "photos.npz"
    np.savez(path, images=PIXELS, labels=LABELS, names=np.array(CLASSES))
    return path


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    argv = ["train", folder, "--out", path, "--quiet", "--epochs", 8]
    assert cli.main([str(word) for word in argv]) == 0
    return path


def test_train_on_a_folder_says_what_it_did(folder, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    printed = run(capsys, "train", folder, "--out", out, "--quiet", "--epochs", 8)
    for words in (
        "60 images in 2 classes: 'dark' 30, 'light' 30",
        "each 8 x 8 x 1; 48 images to train on, 0 to validate on, 12 unseen",
        "12 unseen images, class",
        "always the commonest class",
        "truth \\ predicted",
        str(out),
    ):
        assert words in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("source", ["folder", "archive"])
def test_it_learns(source, request, tmp_path, capsys):
    path = request.getfixturevalue(source)
    figures = run_json(capsys, "train", path, "--out", tmp_path / "m", "--epochs", 12)
    assert figures["accuracy"] == 1.0
    assert figures["classes"] == list(CLASSES)
    assert figures["image_size"] == [8, 8, 1]
    assert figures["rows"] == 60
    assert figures["train_rows"] == 48


def test_folders_and_archives_are_the_same(folder, archive, tmp_path):
    """Where the images stand in the same order."""
    listed = fw.images.load_folder(folder, image_size=8, color_mode="grayscale")
    np.savez(tmp_path / "a.npz", x=listed.x, y=np.array(CLASSES)[listed.y])
    files = []
    for path in (folder, tmp_path / "a.npz"):
        files.append(tmp_path / f"{path.name}.safetensors")
        argv = ["train", path, "--out", files[-1], "--epochs", 2, "--quiet"]
        assert cli.main([str(word) for word in argv]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_predict_says_which_file_is_what(model, folder, capsys):
    lines = list(csv.reader(io.StringIO(run(capsys, "predict", model, folder).out)))
    assert lines[0] == ["file", "class", "class=dark", "class=light"]
    assert len(lines) == 61
    assert sum(label in path for path, label, *_ in lines[1:]) >= 55
    for _, _, *shares in lines[1:]:
        assert sum(map(float, shares)) == pytest.approx(1, abs=1e-5)
    one = folder / "dark" / "00.png"
    lines = list(csv.reader(io.StringIO(run(capsys, "predict", model, one).out)))
    assert [line[0] for line in lines[1:]] == [str(one)]


def test_predict_of_an_archive_and_from_python(model, archive, capsys):
    lines = list(csv.reader(io.StringIO(run(capsys, "predict", model, archive).out)))
    assert lines[0] == ["class", "class=dark", "class=light"]
    found = np.array([line[1:] for line in lines[1:]], float)
    by_hand = fw.load(model).predict(PIXELS[..., np.newaxis])
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_other_sizes_and_colours_are_brought_to_those_of_the_model(model, tmp_path, capsys):
    large = np.repeat(np.repeat(PIXELS[:2], 5, 1), 3, 2)[..., np.newaxis].repeat(3, 3)
    for number in range(2):
        save(tmp_path / "in" / f"{number}.png", large[number])
    lines = run(capsys, "predict", model, tmp_path / "in").out.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == list(CLASSES)


def test_evaluate_repeats_the_report_of_train(folder, archive, tmp_path, capsys):
    parts = tmp_path / "parts"
    write_folder(parts / "train", range(44))
    write_folder(parts / "val", range(44, 50))
    write_folder(parts / "test", range(50, 60))
    out = tmp_path / "m.safetensors"
    figures = run_json(capsys, "train", parts, "--out", out, "--epochs", 3)
    assert [figures[f"{part}_rows"] for part in ("train", "validation", "test")] == [44, 6, 10]
    assert "val_loss" in figures
    for path in (parts, parts / "test"):
        again = run_json(capsys, "evaluate", out, path)
        assert again["rows"] == 10
        for key in ("accuracy", "cross_entropy", "confusion", "baseline_accuracy"):
            assert again[key] == figures[key]
    np.savez(tmp_path / "a.npz", x_train=PIXELS[:50], y_train=LABELS[:50], names=CLASSES,
             x_test=PIXELS[50:], y_test=LABELS[50:])  # fmt: skip
    again = run_json(capsys, "evaluate", out, tmp_path / "a.npz")
    assert again["confusion"] == figures["confusion"]
    assert (
        "of 60 images those for tests, 10" in run(capsys, "evaluate", out, tmp_path / "a.npz").err
    )


def test_images_of_unknown_classes_are_left_out(model, folder, tmp_path, capsys):
    root = write_folder(tmp_path / "r", range(6))
    save(root / "odd" / "a.png", PIXELS[0])
    printed = run(capsys, "evaluate", model, root)
    assert "left out for want of a known 'class': 1 image\n" in printed.err
    assert "6 images, class" in printed.out


def test_what_cannot_be_read_is_named(model, tmp_path, capsys):
    root = write_folder(tmp_path / "r", range(20))
    (root / "dark" / "bad.jpg").write_bytes(b"no image")
    (root / "dark" / "notes.txt").write_text("x")
    (root / "none").mkdir()
    printed = run(capsys, "train", root, "--out", tmp_path / "m", "--epochs", 1, "--quiet")
    assert "bad.jpg: cannot be read as an image (it is none of" in printed.err
    assert "no images in 'none'" in printed.err
    assert "files that are no images: 1, such as " in printed.err
    assert "20 images in 2 classes" in printed.out
    printed = run(capsys, "predict", model, root)
    assert "bad.jpg: cannot be read" in printed.err
    assert len(printed.out.splitlines()) == 21


def test_options_reach_the_images(folder, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    options = "--size 12x10 --color-mode rgb --augment flip --epochs 1 --dtype float64"
    run(capsys, "train", folder, "--out", out, "--quiet", *options.split(), "--optimizer", "sgd")
    found = fw.load(out)
    assert found.input_shape == (12, 10, 3)
    assert found.dtype == np.float64
    kinds = [type(layer).__name__ for layer in found.layers]
    assert kinds[:3] == ["Normalization", "RandomFlip", "RandomRotation"]
    assert found.optimizer.config()["learning_rate"] == {
        "name": "CosineDecay", "initial_learning_rate": 0.02, "decay_steps": 2.0, "alpha": 0.01,
        "warmup_target": None, "warmup_steps": 0.0,
    }  # fmt: skip
    run(capsys, "train", folder, "--out", out, "--quiet", "--augment", "none", "--epochs", 1)
    assert not any("Random" in type(layer).__name__ for layer in fw.load(out).layers)


def test_large_images_are_made_small(tmp_path, capsys):
    for number in range(12):
        size = (100 + number, 120)
        pixels = np.full((*size, 3), 200 * (number % 2), np.uint8)
        save(tmp_path / "r" / CLASSES[number % 2] / f"{number}.jpg", pixels)
    figures = run_json(capsys, "train", tmp_path / "r", "--out", tmp_path / "m", "--epochs", 1)
    assert figures["image_size"] == [64, 64, 3]


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (7, 8), (16, 17)])
def test_images_of_any_size(shape, tmp_path, capsys):
    x = RNG.random((20, *shape, 2))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    run(capsys, "train", tmp_path / "a.npz", "--out", tmp_path / "m", "--quiet", "--epochs", 1)


def test_pixels_on_a_scale_of_their_own(model, tmp_path, capsys, folder):
    x = PIXELS / 100 - 1.5
    np.savez(tmp_path / "a.npz", x=x, y=LABELS)
    out = tmp_path / "own.safetensors"
    figures = run_json(capsys, "train", tmp_path / "a.npz", "--out", out, "--epochs", 12)
    assert figures["accuracy"] == 1.0
    assert run_json(capsys, "evaluate", out, tmp_path / "a.npz")["accuracy"] == 1.0
    assert "on a scale of their own" in refused(capsys, "predict", out, folder)
    assert "pixels from -1.5 to" in refused(capsys, "predict", model, tmp_path / "a.npz")


def test_what_layers_remember_goes_back_to_the_best_epoch(folder, tmp_path, capsys, monkeypatch):
    """The report is that of the weights and the moving means of the same epoch."""
    out = tmp_path / "m.safetensors"
    more = ["--validation-fraction", "0.2", "--patience", "3", "--epochs", "12"]
    figures = run_json(capsys, "train", folder, "--out", out, *more, "--learning-rate", "0.1")
    assert figures["best_epoch"] < figures["epochs"]
    _, found, preprocessor, _ = load_model(str(out))
    from fastweights.cli.kinds import parts_of

    listed = fw.images.load_folder(folder, image_size=8, color_mode="grayscale")
    _, validation, _ = parts_of(60, 0.2, 0.2, 0, "image")
    assert preprocessor.target.classes == CLASSES
    losses = found.evaluate(listed.x[validation], listed.y[validation], return_dict=True)
    assert losses["loss"] == pytest.approx(figures["val_loss"], rel=1e-6)


def test_progress_of_reading_is_told_where_it_takes_long(folder, tmp_path, capsys, monkeypatch):
    from fastweights.cli import progress

    monkeypatch.setattr(progress, "SECONDS_A_LINE", 0.0)
    argv = ["train", folder, "--out", tmp_path / "m", "--epochs", 1]
    assert "read 60 of 60 files" in run(capsys, *argv).err
    assert "read" not in run(capsys, *argv, "--quiet").err


def test_files_of_models_of_images(model, folder, tmp_path, capsys):
    text = read_metadata(str(model))[IMAGES]
    assert json.loads(text)["target"]["classes"] == list(CLASSES)
    other = tmp_path / "other.safetensors"
    fw.load(model).save(other, metadata={IMAGES: text.replace("[8, 8, 1]", "[9, 8, 1]")})
    assert "does not fit" in refused(capsys, "predict", other, folder)
    fw.load(model).save(other, metadata={IMAGES: "{}"})
    assert "preprocessing: got {}" in refused(capsys, "predict", other, folder)
    assert "MODEL: got" in refused(capsys, "predict", folder / "dark" / "00.png", model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--layers 8", "--layers: got it for {folder}, images, expected a table beside it"),
        ("--log-target", "--log-target: got it for"),
        ("--task regression", "--task: got it for"),
        ("--target y", "--target: got a name for"),
        ("--images x", "--images: got a name for"),
        ("--size 0", "--size: got 0, expected at least 1"),
        ("--size 8x8x8", "--size: got '8x8x8', expected a number of pixels"),
        ("--size x8", "--size: got 'x8'"),
        ("--size 99999", "--size: got 99999"),
        ("--augment all", "--augment"),
        ("--color-mode blue", "--color-mode"),
        ("--epochs 0", "--epochs: got 0"),
        ("--test-fraction 0.99", "--test-fraction: leaves 1 of 60 images"),
    ],
)
def test_train_refuses(options, message, folder, tmp_path, capsys):
    argv = ["train", folder, "--out", tmp_path / "m", *options.split()]
    assert message.format(folder=folder) in refused(capsys, *argv)
    assert list(tmp_path.iterdir()) == []


def test_train_refuses_what_there_is_too_little_of(tmp_path, capsys):
    argv = ["--out", tmp_path / "m"]
    assert "one class, 'dark', expected at least two" in refused(
        capsys, "train", write_folder(tmp_path / "a", range(0, 40, 2)), *argv
    )
    assert "got 6 images, expected at least 10" in refused(
        capsys, "train", write_folder(tmp_path / "b", range(6)), *argv
    )
    (tmp_path / "empty").mkdir()
    assert "no subfolders, expected one" in refused(capsys, "train", tmp_path / "empty", *argv)
    np.savez(tmp_path / "a.npz", x=PIXELS)
    assert "expected labels of the images" in refused(capsys, "train", tmp_path / "a.npz", *argv)
    assert "--size: got it for" in refused(capsys, "train", tmp_path / "a.npz", "--size", 8, *argv)


def test_train_on_what_is_no_folder(folder, tmp_path, capsys):
    argv = ["--out", tmp_path / "m"]
    for path in (tmp_path / "photos", tmp_path / "photo.png"):
        assert f"{path}: No such file or directory" in refused(capsys, "train", path, *argv)
    path = folder / "dark" / "00.png"
    for more in ([], ["--target", "y"]):
        message = refused(capsys, "train", path, *argv, *more)
        assert f"DATA: got the image {path}, expected a folder of images, with a sub" in message


def test_train_refuses_pixels_whose_variance_is_infinite(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", x=PIXELS.astype(np.float32) * np.float32(1e36), y=LABELS)
    message = refused(capsys, "train", tmp_path / "a.npz", "--out", tmp_path / "m")
    assert "a.npz: got pixels from 0 to 2.49e+38, expected smaller ones: their var" in message


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("at_once", [1, 1000, 2**20])
def test_figures_of_channels(dtype, at_once, monkeypatch):
    monkeypatch.setattr("fastweights.cli.images._NUMBERS_AT_ONCE", at_once)
    x = RNG.integers(0, 256, (50, 3, 4, 2)).astype(dtype)
    x[..., 1] = 7
    train = RNG.permutation(50)[:40]
    mean, variance = _figures(x, train)
    lines = x[train].reshape(-1, 2).astype(np.float64)
    np.testing.assert_allclose(mean, lines.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(variance, [lines[:, 0].var(), 1.0], rtol=1e-13)


def test_figures_take_little_memory():
    x = np.zeros((4000, 32, 32, 3), np.uint8)
    tracemalloc.start()
    _figures(x, np.arange(len(x)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


def test_data_of_another_kind_are_refused(model, archive, folder, tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("x,y\n" + "1,2\n3,4\n5,6\n" * 10)
    of_table = tmp_path / "table.safetensors"
    run(capsys, "train", table, "--target", "y", "--out", of_table, "--epochs", 1, "--quiet")
    for command in ("predict", "evaluate"):
        for data in (archive, folder / "dark" / "00.png"):
            words = f"DATA: got {data}, images, expected a table, which {of_table} is for"
            assert words in refused(capsys, command, of_table, data)
        words = f"DATA: got {table}, a table, expected images, which {model} is for"
        assert words in refused(capsys, command, model, table)


def test_an_image_is_predicted_alike_whatever_is_beside_it(tmp_path, capsys):
    """Also a dark one alone, whose pixels might be shares."""
    out, path = tmp_path / "m.safetensors", tmp_path / "a.npz"
    images = PIXELS.astype(float)
    images[0] = 0.7
    np.savez(path, x=images, y=LABELS)
    run(capsys, "train", path, "--out", out, "--quiet", "--epochs", 1)
    together = run(capsys, "predict", out, path)
    assert together.err == ""
    np.savez(path, x=images[:1])
    alone = run(capsys, "predict", out, path)
    assert alone.out.splitlines() == together.out.splitlines()[:2]
    assert "no pixel is above 1, and 255 was white in training: if 1 is white" in alone.err
    np.savez(path, x=images / 255, y=LABELS)
    run(capsys, "train", path, "--out", out, "--quiet", "--epochs", 1)
    np.savez(path, x=images)
    assert "expected from 0 to 1, as in training: divided by 255" in refused(
        capsys, "predict", out, path
    )


def test_one_of_several_labels_of_each_part(tmp_path, capsys):
    path, out = tmp_path / "a.npz", tmp_path / "m"
    parts = {"train": slice(0, 40), "test": slice(40, 60)}
    arrays = {f"x_{part}": PIXELS[rows] for part, rows in parts.items()}
    for part, rows in parts.items():
        arrays |= {f"coarse_{part}": np.arange(60)[rows] % 3, f"fine_{part}": LABELS[rows]}
    np.savez(path, **arrays)
    argv = ["train", path, "--out", out, "--epochs", 1, "--quiet"]
    told = "expected one of them, told by --target NAME"
    assert told in refused(capsys, *argv)
    figures = run_json(capsys, *argv, "--target", "fine_train")
    assert (figures["classes"], figures["test_rows"]) == (["0", "1"], 20)
    for name in ("fine_test", "fine"):
        again = run_json(capsys, "evaluate", out, path, "--target", name)
        assert again["confusion"] == figures["confusion"]


def test_options_that_would_change_nothing_are_refused(folder, tmp_path, capsys):
    argv = ["train", folder, "--out", tmp_path / "m", "--quiet", "--epochs", 1]
    words = "--patience: got 3 and no images that say when to stop, expected a --valida"
    assert words in refused(capsys, *argv, "--patience", 3)
    more = ["--validation-fraction", 0.25]
    assert "12 to say when to stop" in run(capsys, *argv, "--patience", 3, *more).out
    assert "12 to validate on" in run(capsys, *argv, *more).out
    assert "0 to validate on" in run(capsys, *argv, "--patience", 0).out
    parts = tmp_path / "parts"
    for part, numbers in (("train", range(40)), ("val", range(40, 50)), ("test", range(50, 60))):
        write_folder(parts / part, numbers)
    argv[1] = parts
    assert "10 to validate on, 10 unseen" in run(capsys, *argv).out
    assert "10 to say when to stop, 10 unseen" in run(capsys, *argv, "--patience", 3).out
    for use in ("validation", "test"):
        words = f"--{use}-fraction: got it for {parts}, which says itself which images are for"
        assert words in refused(capsys, *argv, f"--{use}-fraction", 0.1)


def test_the_help_calls_things_by_one_name(capsys):
    printed = run(capsys, "predict", "--help").out
    assert "DATA" in printed
    assert "NEW" not in printed
    assert all("images" in cli.COMMANDS[name] for name in ("train", "predict", "evaluate"))


def test_options_of_images_for_tables_are_refused(model, folder, tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("x,y\n" + "1,2\n3,4\n5,6\n" * 10)
    argv = ["train", table, "--target", "y", "--out", tmp_path / "m"]
    assert "--size: got it for" in refused(capsys, *argv, "--size", 8)
    assert "expected images beside it" in refused(capsys, *argv, "--augment", "flip")
    run(capsys, *argv, "--epochs", 1, "--quiet")
    assert "--images: got it for" in refused(
        capsys, "predict", tmp_path / "m", table, "--images", "x"
    )
    assert "--target: got 'x', expected 'y' of the model" in refused(
        capsys, "evaluate", tmp_path / "m", table, "--target", "x"
    )
    assert "--target: got a name for" in refused(capsys, "evaluate", model, folder, "--target", "y")


def test_arrays_may_be_named(model, tmp_path, capsys):
    path = tmp_path / "a.npz"
    np.savez(path, a=PIXELS, b=255 - PIXELS, right=np.array(CLASSES)[LABELS], wrong=LABELS)
    assert "expected one of them, told by --images NAME" in refused(capsys, "predict", model, path)
    names = ["--images", "a", "--target", "right"]
    figures = run_json(capsys, "train", path, "--out", tmp_path / "m", "--epochs", 1, *names)
    assert figures["classes"] == list(CLASSES)
    assert run_json(capsys, "evaluate", model, path, *names)["accuracy"] > 0.8
    assert len(run(capsys, "predict", model, path, "--images", "b").out.splitlines()) == 61


def test_options_of_training_reach_networks_of_images(folder, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    argv = ["train", folder, "--out", out, "--quiet", "--epochs", 2, "--size", 8]
    run(capsys, *argv)
    plain = load_model(str(out))[1]
    more = ["--dropout", 0.25, "--l2", 1e-4, "--optimizer", "adamw(weight_decay=0.01)"]
    run(capsys, *argv, *more, "--schedule", "constant")
    found = load_model(str(out))[1]
    rates = [layer.rate for layer in found.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.25, 0.25]
    assert [layer.rate for layer in plain.layers if type(layer).__name__ == "Dropout"] == [0.3, 0.5]
    penalised = [layer for layer in found.layers if hasattr(layer, "kernel_regularizer")]
    assert len(penalised) > 2
    assert {repr(layer.kernel_regularizer) for layer in penalised} == {
        repr(fw.regularizers.L2(0.0001))
    }
    assert found.optimizer.weight_decay == 0.01
    assert found.optimizer.learning_rate == 0.002
    assert plain.optimizer.learning_rate == pytest.approx(0.002 * 0.01)
    weighted = run_json(capsys, *argv, "--class-weight", "balanced", "--metrics", "accuracy")
    assert weighted["metrics"]["accuracy"] == pytest.approx(weighted["accuracy"])
    words = ["--early-stopping", "accuracy", "--validation-fraction", 0.25]
    assert "12 to say when to stop" in run(capsys, *argv, *words).out
    ensemble = run_json(capsys, *argv, "--ensemble", 2)
    assert len(ensemble["members"]) == 2
    assert run_json(capsys, "evaluate", out, folder)["rows"] == 60
    assert "--sample-weight: got it for" in refused(capsys, *argv, "--sample-weight", "w")


def test_images_are_swept_and_made_again_from_the_file(folder, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    argv = ["sweep", folder, "--out", out, "--quiet", "--epochs", 1, "--size", 8]
    more = ["--try", "augment=none;flip", "--validation-fraction", 0.25]
    figures = run_json(capsys, *argv, *more)
    assert figures["trials"] == 2
    made = out.read_bytes()
    run(capsys, "train", "--config", tmp_path / "m.toml", "--quiet")
    assert out.read_bytes() == made
    assert "--validation-fraction: got no rows" in refused(capsys, *argv, *more[:2])
