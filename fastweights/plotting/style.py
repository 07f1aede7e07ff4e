"""What all pictures have in common: colours, figures, and how they are written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np

from fastweights import _check, _files

FORMATS = ("pdf", "png", "svg")
DPI = 160
INK, LINE, FAINT = "#20242a", "#8a929c", "#c3c8ce"
BLUE, ORANGE = "#2f6fb0", "#e0762e"

STYLE: Any = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceef0",
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


@contextlib.contextmanager
def styled(caller: str) -> Iterator[None]:
    """The style, for what is drawn within; the user's own is as before afterwards.

    Raises
    ------
    ModuleNotFoundError
        There is no matplotlib; it says so for `caller`.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure  # noqa: F401  (what is drawn with)
    except ImportError:
        raise ModuleNotFoundError(
            f"{caller}: needs matplotlib, which is not installed: pip install 'fastweights[plot]'"
        ) from None
    with rc_context(STYLE):
        yield


def new_figure(caller: str, size: tuple[float, float], layout: Any = None) -> Any:
    """A figure of so many inches: pyplot's where that is in use, so that ``plt.show()`` shows it.

    Of a process that draws without it nothing global is touched.
    """
    with styled(caller):
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            return pyplot.figure(figsize=size, dpi=DPI, layout=layout)
        from matplotlib.figure import Figure

        return Figure(figsize=size, dpi=DPI, layout=layout)


def one_axes(caller: str, ax: Any, size: tuple[float, float]) -> Any:
    """The axes that were given, or those of a new figure; within `styled`."""
    if ax is None:
        return new_figure(caller, size, "constrained").subplots()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(_check.refusal("ax", _check.kind_of(ax), "axes of matplotlib, or None"))
    return ax


def grid_of_axes(
    caller: str, count: int, abreast: int, size: tuple[float, float], sharey: bool = False
) -> np.ndarray[Any, Any]:
    """So many axes of a new figure, each of that size, some of them beside each other."""
    columns = min(count, abreast)
    rows = -(-count // columns)
    figure = new_figure(caller, (columns * size[0], rows * size[1]), "constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()
    for empty in axes[count:]:
        empty.set_axis_off()
    return axes[:count]


def wanted_ending(to_file: Any) -> str | None:
    """In which format a picture is to be written, where it is."""
    return None if to_file is None else picture_ending(_files.path_text(to_file))


def picture_ending(path: str) -> str:
    ending = PurePath(path).suffix.lstrip(".").lower()
    if ending not in FORMATS:
        expected = f"a name that ends in .{', .'.join(FORMATS)}"
        raise ValueError(_check.refusal("to_file", repr(path), expected))
    return ending


def write(figure: Any, to_file: str | os.PathLike[str] | None, ending: str | None) -> None:
    """Writes a figure where a file was named."""
    if to_file is not None:
        _files.replace(to_file, lambda file: figure.savefig(file, dpi=DPI, format=ending))


def escaped_math(text: str) -> str:
    """Text whose dollar signs are no mathematics."""
    return " ".join(text.replace("$", r"\$").split())
