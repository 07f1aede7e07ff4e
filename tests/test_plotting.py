"""Pictures of networks: what stands in them, and that nothing lies upon anything else."""

import itertools
import sys

import numpy as np
import pytest
from helpers import run_python

import fastweights as fw
from fastweights import layers
from fastweights.plotting import graph as plotting

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def model():
    """Two inputs, a layer that is called twice, a skip, and a name that is hard to write."""
    a, b, shared = fw.Input(3, name="a"), fw.Input(4, name='"b" \\ $x_1$'), layers.Dense(3)
    once = shared(layers.Add()(layers.Dense(3)(b), a))
    return fw.Model(
        [a, b], layers.Dense(2, name="last")(layers.Concatenate()(shared(once), once, a))
    )


@pytest.fixture
def without_dot(monkeypatch):
    monkeypatch.setattr(plotting.shutil, "which", lambda name: None)


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
@pytest.mark.parametrize("ending", MAGIC)
def test_pictures_are_written(ending, rankdir, tmp_path, without_dot):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"m.{ending.upper()}"
    fw.plot_model(model(), path, True, rankdir=rankdir)
    assert path.read_bytes().startswith(MAGIC[ending])
    if ending == "svg":
        text = path.read_text()
        for label in ("Dense", "Concatenate", "last", "(None, 4) → (None, 3)"):
            assert f"<!-- {label} -->" in text
        assert text.count("<!-- dense_1 -->") == 2


@pytest.mark.parametrize("shows", list(itertools.product([False, True], repeat=2)))
def test_what_boxes_say(shows):
    boxes = plotting._boxes(model(), *shows)
    shape, name = ["(None, 3)"] * shows[0], ["a"] * shows[1]
    assert boxes[0].lines == ("Input", *name, *shape)
    names, change = ["add"] * shows[1], ["(None, 3), (None, 3) → (None, 3)"] * shows[0]
    assert boxes[3].lines == ("Add", *names, *change)
    assert [box.reads for box in boxes] == [(), (), (1,), (2, 0), (3,), (4,), (5, 4, 0), (6,)]
    assert [number for number, box in enumerate(boxes) if box.is_shared] == [4, 5]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_lies_upon_anything_else(seed):
    random = np.random.default_rng(seed)
    boxes = [plotting.Box(("Input",), (), False)] * 2
    for number in range(2, 30):
        reads = random.choice(np.arange(max(0, number - 6), number), random.integers(1, 4))
        boxes.append(plotting.Box(("Layer",), tuple(reads.tolist()), False))
    across, along = random.uniform(0.5, 3.0, (2, len(boxes))).tolist()
    layout = plotting._Layout(boxes, across, along)
    for number, box in enumerate(boxes):
        assert all(layout.levels[read] < layout.levels[number] for read in box.reads)
        begin, end = layout.ends[layout.levels[number]]
        assert along[number] <= end - begin + 1e-9
    for arrow in layout.arrows:
        levels = [layout.levels[point] for point in arrow]
        assert levels == list(range(levels[0], levels[-1] + 1))
    for row in layout.rows:
        for one, other in itertools.pairwise(sorted(row, key=layout.across.__getitem__)):
            room = layout.across[other] - layout.across[one]
            assert room >= (layout.sizes[one] + layout.sizes[other]) / 2 + plotting.GAP - 1e-9
    assert all(
        size / 2 - 1e-9 <= place <= layout.width - size / 2 + 1e-9
        for place, size in zip(layout.across, layout.sizes, strict=True)
    )


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_dot_is_asked_where_it_is(rankdir, tmp_path, monkeypatch):
    """By a program of that name that writes down what it is told."""
    told = tmp_path / "told"
    dot = tmp_path / "dot"
    dot.write_text(f'#!/bin/sh\necho "$@" > {told}\ncat >> {told}\necho a picture\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fw.plot_model(model(), tmp_path / "m.svg", show_shapes=True, rankdir=rankdir)
    assert (tmp_path / "m.svg").read_text() == "a picture\n"
    arguments, *lines = told.read_text().splitlines()
    assert arguments == "-Tsvg"
    assert f"rankdir={rankdir}" in lines[0]
    text = "\n".join(lines)
    assert '1 [label="Input\\n\\"b\\" \\\\ $x_1$\\n(None, 4)"' in text
    assert [line for line in lines if "->" in line] == [
        "1 -> 2", "2 -> 3", "0 -> 3", "3 -> 4", "4 -> 5", "5 -> 6", "4 -> 6", "0 -> 6", "6 -> 7",
    ]  # fmt: skip
    assert [line[0] for line in lines if "dashed" in line] == ["4", "5"]


def test_a_dot_that_fails_leaves_no_file(tmp_path, monkeypatch):
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\ncat > /dev/null\necho no font >&2\nexit 3\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RuntimeError, match=r"plot_model: .*dot ended with 3: no font"):
        fw.plot_model(model(), tmp_path / "m.png")
    assert not (tmp_path / "m.png").exists()


def test_without_either_program(tmp_path, monkeypatch, without_dot):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="needs graphviz's program dot, or matplotlib"):
        fw.plot_model(model(), tmp_path / "m.png")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fw.plot_model(layers.Dense(2)), TypeError, "model: got Dense, expected a model"),
        (lambda: fw.plot_model(fw.Sequential()), ValueError, "input_shape: got none, expected one"),
        (lambda: fw.plot_model(model(), "m.bmp"), ValueError, "to_file: got 'm.bmp', expected a n"),
        (lambda: fw.plot_model(model(), "png"), ValueError, "to_file: got 'png', expected a name"),
        (lambda: fw.plot_model(model(), 3), TypeError, "to_file: got int, expected a str, bytes"),
        (lambda: fw.plot_model(model(), rankdir="up"), ValueError, "rankdir: got 'up', expected o"),
        (lambda: fw.plot_model(model(), show_shapes=1), TypeError, "show_shapes: got 1, expected"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_plotting_is_imported_when_it_is_used():
    code = (
        "import sys, fastweights as fw; fw.Sequential; fw.plot_model; "
        "assert not any(name.startswith('matplotlib') for name in sys.modules)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


# ---- filters -------------------------------------------------------------------------------------


class Kernel(layers.Layer):
    """A layer with a kernel as convolutions have it."""

    def __init__(self, shape, name=None):
        super().__init__(name)
        self.shape = shape

    def variables(self, input_shape):
        return [layers.Variable("kernel", self.shape, "random_normal")]

    def ops(self, x):
        return layers.op("activation", x)


def on_images(row=(3, 2), units=20):
    return fw.Sequential([layers.Flatten(), layers.Dense(units), layers.Dense(2)], row, seed=0)


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


def test_units_on_flat_images(matplotlib):
    model = on_images()
    axes = fw.plot_filters(model)
    assert len(axes) == 20
    largest = np.abs(model.layers[1].kernel).max()
    for unit, one in enumerate(axes):
        (image,) = one.images
        drawn = model.layers[1].kernel[:, unit].reshape(3, 2)
        np.testing.assert_allclose(image.get_array(), drawn)
        assert image.get_clim() == (-largest, largest)
    assert len(fw.plot_filters(model.layers[2], (4, 5))) == 2


def test_three_channels_are_colours(matplotlib):
    model = on_images((3, 2, 3))
    kernel = model.layers[1].kernel.astype(float)
    for unit, one in enumerate(fw.plot_filters(model)):
        expected = 0.5 + kernel[:, unit].reshape(3, 2, 3) / (2 * np.abs(kernel).max())
        np.testing.assert_allclose(one.images[0].get_array(), expected)


@pytest.mark.parametrize(("channels", "pictures"), [(1, 5), (2, 10), (3, 5), (100, 256)])
def test_kernels_of_convolutions(matplotlib, channels, pictures):
    layer = unbuilt = Kernel((3, 4, channels, 5))
    with pytest.raises(ValueError, match="layer: got one that is not built"):
        fw.plot_filters(unbuilt)
    fw.Sequential([layer], (9, 9), seed=0)
    axes = fw.plot_filters(layer)
    assert len(axes) == pictures
    if channels == 2:
        np.testing.assert_allclose(axes[3].images[0].get_array(), layer.kernel[:, :, 1, 1])


@pytest.mark.parametrize("ending", MAGIC)
def test_filters_are_written(matplotlib, tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    fw.plot_filters(on_images(), to_file=path)
    assert path.read_bytes().startswith(MAGIC[ending])


def test_filters_of_zeros(matplotlib):
    model = on_images()
    model.parameters[:] = 0.0
    assert fw.plot_filters(model)[0].images[0].get_clim() == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fw.plot_filters(3), TypeError, "layer: got int, expected a layer or a model"),
        (lambda: fw.plot_filters(fw.Sequential()), ValueError, "layer: got one that is not built"),
        (lambda: fw.plot_filters(on_images((6,))), ValueError, "layer: got no kernel on images, "),
        (lambda: fw.plot_filters(on_images(), (4, 4)), ValueError, "layer: got no kernel on imag"),
        (lambda: fw.plot_filters(on_images(), (6,)), ValueError, "shape: got (6,), expected (heig"),
        (lambda: fw.plot_filters(on_images(), to_file="f.bmp"), ValueError, "to_file: got 'f.bmp"),
    ],
)  # fmt: skip
def test_refusals_of_filters(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_filters_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="plot_filters: needs matplotlib"):
        fw.plot_filters(on_images())


def test_numbers_that_do_not_follow_each_other_in_memory():
    pairs = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    axes = fw.plot_predictions(pairs[:, 0], pairs[:, 1])
    assert axes.collections[0].get_offsets().tolist() == pairs.tolist()
