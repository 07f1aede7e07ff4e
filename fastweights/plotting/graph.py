"""Pictures of networks: by graphviz's `dot` where that program is, by matplotlib where it is not.

# Design: a picture of a network is boxes and arrows between them. `dot` is told these and places
# them itself.
# For matplotlib each box gets a level, below all that it reads; an arrow over several levels passes
# each of them at a place of its own; boxes and passes of a level are ordered by the middle of their
# neighbours, and moved towards it as far as there is room.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

from fastweights import _check, _files
from fastweights._network import Network
from fastweights.plotting.style import DPI, INK, LINE, escaped_math, picture_ending

RANKDIRS = {"TB": "TB", "LR": "LR"}

GIVEN, MADE = "#e3edf7", "#ffffff"
#: Of a picture made of pixels: what Agg draws along an axis, and what fits into memory.
MAX_SIDE, MAX_PIXELS = 60_000, 60_000_000

#: In inches.
CHARACTER, LINE_HEIGHT, MARGIN, GAP = 0.078, 0.19, 0.12, 0.4


class Box(NamedTuple):
    """An input, or one call of a layer."""

    lines: tuple[str, ...]
    reads: tuple[int, ...]
    is_shared: bool


def plot_model(
    model: Network,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
) -> None:
    """Draws which layer of a model reads what; layers that are called more than once are dashed.

    The program ``dot`` of graphviz draws it where there is one, otherwise matplotlib
    (``pip install 'fastweights[plot]'``).

    Parameters
    ----------
    model : Model
        Built.
    to_file : path
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    show_shapes : bool
        Whether to write what each layer reads and makes, as ``(None, 8) → (None, 4)``.
    show_layer_names : bool
    rankdir : {"TB", "LR"}
        From top to bottom, or from left to right.

    Raises
    ------
    ModuleNotFoundError
        There is neither ``dot`` nor matplotlib.
    """
    if not isinstance(model, Network):
        raise TypeError(_check.refusal("model", _check.kind_of(model), "a model"))
    path = _files.path_text(to_file, "to_file")
    ending = picture_ending(path)
    _check.choice("rankdir", rankdir, RANKDIRS)
    shapes = _check.flag("show_shapes", show_shapes)
    boxes = _boxes(model, shapes, _check.flag("show_layer_names", show_layer_names))
    dot = shutil.which("dot")
    if dot is not None:
        _by_dot(dot, _source(boxes, rankdir), path, ending)
    else:
        _by_matplotlib(boxes, rankdir == "LR", path, ending)


def _boxes(model: Network, show_shapes: bool, show_names: bool) -> list[Box]:
    """The inputs, then the calls in their order: the values by their numbers."""
    built = model._built_or_refused()
    topology, shapes = built.topology, [str((None, *shape)) for shape in built.shapes]
    boxes = []
    for name, shape in zip(model.input_names, shapes, strict=False):
        lines = ("Input", *([name] if show_names else ()), *([shape] if show_shapes else ()))
        boxes.append(Box(lines, (), False))
    # Which box has each value.
    places = [
        number if call is None else topology.inputs + call
        for number, call in enumerate(topology.makers())
    ]
    callers = [call.layer for call in topology.calls]
    times = {id(layer): 0 for layer in callers}
    for layer in callers:
        times[id(layer)] += 1
    for (layer, reads, _), made in zip(topology.calls, topology.made(), strict=True):
        come, go = (", ".join(shapes[value] for value in values) for values in (reads, made))
        change = f"{come} → {go}"
        names, changes = [str(layer.name)] if show_names else [], [change] if show_shapes else []
        lines = (type(layer).__name__, *names, *changes)
        read = tuple({places[number]: None for number in reads})
        boxes.append(Box(lines, read, times[id(layer)] > 1))
    return boxes


# ---- by dot --------------------------------------------------------------------------------------


def _source(boxes: Sequence[Box], rankdir: str) -> str:
    """The picture in the language of `dot`."""
    lines = [
        f'digraph {{ graph [rankdir={rankdir}, dpi={DPI}, pad=0.15, ranksep="0.35"]',
        f'node [shape=box, fontname="Helvetica", fontsize=11, color="{LINE}", fontcolor="{INK}"]',
        f'edge [color="{LINE}", arrowsize=0.7]',
    ]
    for number, box in enumerate(boxes):
        label = "\\n".join(_escaped(line) for line in box.lines)
        style = '"rounded,filled,dashed"' if box.is_shared else '"rounded,filled"'
        lines.append(f'{number} [label="{label}", style={style}, fillcolor="{_colour(box)}"]')
        lines += [f"{read} -> {number}" for read in box.reads]
    return "\n".join([*lines, "}"])


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())


def _colour(box: Box) -> str:
    return MADE if box.reads else GIVEN


def _by_dot(dot: str, source: str, path: str, ending: str) -> None:
    done = subprocess.run(
        [dot, f"-T{ending}"], input=source.encode(), capture_output=True, check=False
    )
    if done.returncode != 0 or not done.stdout:
        why = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise RuntimeError(f"plot_model: {dot} ended with {done.returncode}: {why}")
    _files.replace(path, lambda file: file.write(done.stdout))


# ---- by matplotlib -------------------------------------------------------------------------------


def _levels(boxes: Sequence[Box]) -> list[int]:
    """Each box below all that it reads, and inputs just above the first that reads them."""
    levels: list[int] = []
    for box in boxes:
        levels.append(1 + max((levels[read] for read in box.reads), default=-1))
    first = {
        read: min(levels[number] for number, box in enumerate(boxes) if read in box.reads)
        for read, given in enumerate(boxes)
        if not given.reads
    }
    return [first[number] - 1 if number in first else level for number, level in enumerate(levels)]


class _Layout:
    """Where boxes are, and where arrows pass levels: across and along the levels.

    These points are numbered: the boxes first, then the passes.
    """

    def __init__(self, boxes: Sequence[Box], across: Sequence[float], along: Sequence[float]):
        self.levels = _levels(boxes)
        self.sizes = [*across]
        #: From the box that is read to the one that reads.
        self.arrows = [
            self._arrow(read, number) for number, box in enumerate(boxes) for read in box.reads
        ]
        self.rows: list[list[int]] = [[] for _ in range(max(self.levels) + 1)]
        for point, level in enumerate(self.levels):
            self.rows[level].append(point)
        self.place_across()
        depths = [0.0] * len(self.rows)
        for number, size in enumerate(along):
            level = self.levels[number]
            depths[level] = max(depths[level], size)
        self.ends, begin = [], 0.0
        for depth in depths:
            self.ends.append((begin, begin + depth))
            begin += depth + GAP
        self.length = begin - GAP

    def _arrow(self, read: int, reader: int) -> list[int]:
        """The points of an arrow, which passes each level between its ends."""
        points = [read]
        for level in range(self.levels[read] + 1, self.levels[reader]):
            points.append(len(self.levels))
            self.levels.append(level)
            self.sizes.append(2 * MARGIN)
        return [*points, reader]

    def place_across(self) -> None:
        above: list[list[int]] = [[] for _ in self.levels]
        below: list[list[int]] = [[] for _ in self.levels]
        for arrow in self.arrows:
            for one, other in itertools.pairwise(arrow):
                below[one].append(other)
                above[other].append(one)
        self.across = [0.0] * len(self.levels)
        for row in self.rows:
            self._spread(row, [0.0] * len(row))
        for sweep in range(8):
            neighbours = below if sweep % 2 else above
            for row in self.rows[:: -1 if sweep % 2 else 1]:
                middles = {point: self._middle(point, neighbours[point]) for point in row}
                row.sort(key=middles.__getitem__)
                self._spread(row, [middles[point] for point in row])
        left = min(x - size / 2 for x, size in zip(self.across, self.sizes, strict=True))
        self.across = [x - left for x in self.across]
        self.width = max(x + size / 2 for x, size in zip(self.across, self.sizes, strict=True))

    def _middle(self, point: int, neighbours: Sequence[int]) -> float:
        if not neighbours:
            return self.across[point]
        return sum(self.across[other] for other in neighbours) / len(neighbours)

    def _spread(self, row: Sequence[int], wanted: Sequence[float]) -> None:
        """Places a level in its order, with gaps, around where its points are wanted."""
        end, places = -math.inf, []
        for point, middle in zip(row, wanted, strict=True):
            places.append(max(middle, end + self.sizes[point] / 2))
            end = places[-1] + self.sizes[point] / 2 + GAP
        shift = sum(wanted) / len(row) - sum(places) / len(row)
        for point, place in zip(row, places, strict=True):
            self.across[point] = place + shift


def _by_matplotlib(boxes: Sequence[Box], is_turned: bool, path: str, ending: str) -> None:
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
        from matplotlib.path import Path
    except ImportError:
        raise ModuleNotFoundError(
            "plot_model: needs graphviz's program dot, or matplotlib, and neither is installed: "
            "pip install 'fastweights[plot]'"
        ) from None
    widths = [2 * MARGIN + CHARACTER * max(map(len, box.lines)) for box in boxes]
    heights = [2 * MARGIN + LINE_HEIGHT * len(box.lines) for box in boxes]
    layout = _Layout(boxes, *((heights, widths) if is_turned else (widths, heights)))

    def placed(across: float, along: float) -> tuple[float, float]:
        return (along, -across) if is_turned else (across, -along)

    def ends(point: int) -> tuple[float, float]:
        """Where a box begins and ends along the levels, or the level that an arrow passes."""
        begin, end = layout.ends[layout.levels[point]]
        if point < len(boxes):
            size = widths[point] if is_turned else heights[point]
            begin, end = (begin + end - size) / 2, (begin + end + size) / 2
        return begin, end

    size = placed(layout.width, layout.length)
    width, height = (abs(side) + 4 * MARGIN for side in size)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-2 * MARGIN, width - 2 * MARGIN)
    axes.set_ylim(2 * MARGIN - height, 2 * MARGIN)
    for arrow in layout.arrows:
        corners, codes = [placed(layout.across[arrow[0]], ends(arrow[0])[1])], [Path.MOVETO]
        for one, other in itertools.pairwise(arrow):
            begin, (end, passed) = ends(one)[1], ends(other)
            half = (begin + end) / 2
            corners += [
                placed(layout.across[one], half),
                placed(layout.across[other], half),
                placed(layout.across[other], end),
            ]
            codes += [Path.CURVE4] * 3
            if other >= len(boxes):
                corners.append(placed(layout.across[other], passed))
                codes.append(Path.LINETO)
        axes.add_patch(
            FancyArrowPatch(
                path=Path(corners, codes), arrowstyle="-|>", mutation_scale=9, color=LINE,
                linewidth=1.1, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
    for number, box in enumerate(boxes):
        x, y = placed(layout.across[number], sum(ends(number)) / 2)
        w, h = widths[number], heights[number]
        axes.add_patch(
            FancyBboxPatch(
                (x - w / 2, y - h / 2), w, h, boxstyle=f"round,pad=0,rounding_size={MARGIN / 2}",
                facecolor=_colour(box), edgecolor=LINE, linewidth=1.1,
                linestyle=(0, (4, 2)) if box.is_shared else "solid",
            )
        )  # fmt: skip
        for line, text in enumerate(box.lines):
            at = y + h / 2 - MARGIN - LINE_HEIGHT * (line + 0.5)
            weight = "bold" if line == 0 else "normal"
            # A name may have dollar signs, which are no mathematics.
            axes.text(x, at, escaped_math(text), ha="center", va="center", color=INK,
                      fontsize=9, fontweight=weight)  # fmt: skip
    dpi = min(DPI, MAX_SIDE / max(width, height), math.sqrt(MAX_PIXELS / (width * height)))

    def write(file: BinaryIO) -> Any:
        return figure.savefig(file, dpi=dpi, format=ending)

    _files.replace(path, write)
