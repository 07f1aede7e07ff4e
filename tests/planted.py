"""Builds the compiled core once more with faults planted in it, each of which can be switched on.

A fault is an edit of the kernels' own source: a piece of text that stands exactly once in a file,
with the expression that is to be wrong between ``«`` and ``»``, and a wrong one to put in its
place. The faulty core is built in a temporary folder from edited copies in which every such
expression reads ``(wrong if FAULT == number else right)``, so that one build serves all faults.
Nothing in the library knows of it.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from Cython.Build import cythonize
from setuptools import Distribution, Extension

from fastweights import _dispatch
from fastweights._core import cpu

SOURCE = Path(__file__).parent.parent / "src_pyx"

SWITCH = """
cdef int FAULT = 0


def plant(int number):
    global FAULT
    FAULT = number

"""


#: Rows in the plan's arena: so few that small batches need several chunks, whose check is quick.
SMALL_ARENA = {"CHUNK_ROWS = 256": "CHUNK_ROWS = 24", "WHOLE_ROWS = 1024": "WHOLE_ROWS = 64"}


#: The stamps of the library's build, which each module of a build carries.
STAMPS = MappingProxyType(
    {
        "FW_OPS_STAMP": f'"{cpu.OPS_STAMP}"',
        "FW_KERNELS_STAMP": f'"{cpu.KERNELS_STAMP}"',
    }
)

#: Macros of a build for every CPU.
BASELINE = MappingProxyType({"FW_LEVEL_BASELINE": "1", "FW_LEVEL": '"baseline"', "FW_F64": "1"})

#: The compiler's flags for each CPU level that tests build, best level first.
FLAGS = {
    "avx512": "-mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512",
    "avx2": "-mavx2 -mfma",
    "neon": "",
    "baseline": "",
}

#: The level that tiles are emulated on: the fastest one here.
EMULATED_LEVEL = next(level for level in _dispatch.available_levels() if level in FLAGS)


@dataclass(frozen=True)
class Fault:
    """What is wrong, and the edit that makes it so: ``wrong`` in place of what is in « »."""

    name: str
    file: str
    right: str
    wrong: str

    def place(self, text: str) -> tuple[int, int]:
        """Where in the file's text the expression begins and ends."""
        before, _, rest = self.right.partition("«")
        expression, _, after = rest.partition("»")
        original = before + expression + after
        found = text.count(original)
        if found != 1:
            raise AssertionError(
                f"{self.name}: {original!r} stands {found} times in {self.file}, not once"
            )
        begin = text.index(original) + len(before)
        return begin, begin + len(expression)


def planted(text: str, faults: Mapping[int, Fault]) -> str:
    """A file's text with faults by number; one may stand in another's place, or within it."""
    places = {number: fault.place(text) for number, fault in faults.items()}
    insertions = []
    for number, (begin, end) in places.items():
        for other, (start, stop) in places.items():
            if begin < start < end < stop:
                names = f"{faults[number].name!r} and {faults[other].name!r}"
                raise AssertionError(f"{names} share a part of their places only")
        # Where several stand, what ends there comes first, then what ends last.
        insertions += [(end, 0, 0, ")")]
        insertions += [(begin, 1, -end, f"({faults[number].wrong} if FAULT == {number} else ")]
    done, pieces = 0, []
    for at, _, _, inserted in sorted(insertions):
        pieces += [text[done:at], inserted]
        done = at
    return "".join([*pieces, text[done:]])


def plant(folder: Path, faults: list[Fault]) -> Path:
    """A copy of the sources in which ``FAULT`` says which of the faults is on."""
    sources = folder / "src"
    shutil.copytree(SOURCE, sources)
    numbered = dict(enumerate(faults, 1))
    for file in {fault.file for fault in faults}:
        path = sources / file
        here = {number: fault for number, fault in numbered.items() if fault.file == file}
        path.write_text(planted(path.read_text(), here))
    replace(sources / "plan.pyx", SMALL_ARENA)
    return sources


def replace(path: Path, changes: Mapping[str, str]) -> None:
    """Changes texts that stand exactly once in a file."""
    text = path.read_text()
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text)


def translated(
    sources: Path,
    names: tuple[str, ...],
    macros: Mapping[str, str],
    flags: tuple[str, ...],
) -> list[Extension]:
    """The modules of these names, translated to C."""
    return cythonize(
        [extension(name, sources / f"{name}.pyx", macros, flags) for name in names],
        include_path=[str(sources)],
        compiler_directives={"language_level": 3, "cdivision": True, "boundscheck": False},
        quiet=True,
    )


def extension(
    name: str, source: Path, macros: Mapping[str, str], flags: tuple[str, ...]
) -> Extension:
    flags = () if sys.platform == "win32" else (*flags, "-g0", "-ffp-contract=off", "-w")
    return Extension(
        name,
        [str(source)],
        include_dirs=[str(source.parent)],
        define_macros=[*STAMPS.items(), *macros.items()],
        extra_compile_args=list(flags),
    )


def compiled(folder: Path, extensions: list[Extension]) -> tuple[object, ...]:
    """The modules, built side by side into the folder."""
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(folder)
    command.build_temp = str(folder / "objects")
    command.parallel = 2
    command.ensure_finalized()
    command.run()
    return tuple(load(one.name, Path(command.get_ext_fullpath(one.name))) for one in extensions)


def compile_modules(
    folder: Path,
    sources: Path,
    names: tuple[str, ...],
    macros: Mapping[str, str],
    flags: tuple[str, ...],
) -> tuple[object, ...]:
    """The modules of these names, built from the sources into the folder."""
    return compiled(folder, translated(sources, names, macros, flags))


def emulated_tiles() -> tuple[dict[str, str], tuple[str, ...]]:
    """Macros and flags of float32 kernels for this CPU, but on tiles emulated in C."""
    level = EMULATED_LEVEL
    macros = {f"FW_LEVEL_{level.upper()}": "1", "FW_LEVEL": f'"{level}"', "FW_F64": "0"}
    return {**macros, "FW_EMULATE_TILES": "1"}, ("-O1", *FLAGS[level].split())


#: Whether tiles are worth it is decided by time unless a test wants them everywhere; with this
#: number switched on it is.
HONEST = -1
TILES_EVERYWHERE = {
    "return saved > splitting_costs": f"return FAULT != {HONEST} or saved > splitting_costs"
}


@dataclass(frozen=True)
class FaultyCore:
    """The faulty plan, and the faulty kernels: for every CPU in float64, on tiles in float32."""

    plan: Any
    kernels: Any
    tiled: Any


def build(folder: Path, faults: list[Fault]) -> FaultyCore:
    """All faults are switched off."""
    names = ("plan", "kernels", "kernels_tiled")
    if sys.platform == "win32":  # which has no tiles
        return FaultyCore(*built_once(folder, lambda: _build(folder, faults), names[:2]), None)
    return FaultyCore(*built_once(folder, lambda: _build(folder, faults), names))


def _build(folder: Path, faults: list[Fault]) -> None:
    """The kernels are translated once, and compiled twice."""
    sources = plant(folder, faults)
    replace(sources / "kernels/tiled.pxi", TILES_EVERYWHERE)
    for module, before in (
        ("kernels.pyx", 'include "kernels/simd.pxi"'),
        ("plan.pyx", 'include "memory.pxi"'),
    ):
        replace(sources / module, {before: SWITCH + before})
    extensions = translated(sources, ("plan", "kernels"), BASELINE, ("-O1",))
    if sys.platform != "win32":
        again = sources / "kernels_tiled.c"
        again.write_text('#define PyInit_kernels PyInit_kernels_tiled\n#include "kernels.c"\n')
        extensions.append(extension(again.stem, again, *emulated_tiles()))
    compiled(folder, extensions)


def built_once(
    folder: Path, build: Callable[[], object], names: tuple[str, ...]
) -> tuple[Any, ...]:
    """The modules of these names that `build` makes in a folder which several processes share.

    The first one builds, the others wait for it.
    """
    done, failed = folder / "done", folder / "failed"
    try:
        folder.mkdir()
    except FileExistsError:
        while not done.exists():
            assert not failed.exists(), f"{folder} was not built"
            time.sleep(0.1)
    else:
        try:
            build()
            done.touch()
        finally:
            if not done.exists():
                failed.touch()
    end = sysconfig.get_config_var("EXT_SUFFIX")
    return tuple(load(name, folder / f"{name}{end}") for name in names)


def load(name: str, path: Path) -> object:
    """The compiled module of this name in this file."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
