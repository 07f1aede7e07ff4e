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
from dataclasses import dataclass
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Distribution, Extension

SOURCE = Path(__file__).parent.parent / "src_pyx"

SWITCH = """
cdef int FAULT = 0


def plant(int number):
    global FAULT
    FAULT = number

"""


@dataclass(frozen=True)
class Fault:
    """What is wrong, and the edit that makes it so."""

    name: str
    file: str
    right: str
    wrong: str

    def edited(self, text: str, number: int) -> str:
        before, _, rest = self.right.partition("«")
        expression, _, after = rest.partition("»")
        original = before + expression + after
        found = text.count(original)
        if found != 1:
            raise AssertionError(
                f"{self.name}: {original!r} stands {found} times in {self.file}, not once"
            )
        switched = f"({self.wrong} if FAULT == {number} else {expression})"
        return text.replace(original, before + switched + after)


def _edit(folder: Path, faults: list[Fault]) -> None:
    for number, fault in enumerate(faults, 1):
        path = folder / fault.file
        path.write_text(fault.edited(path.read_text(), number))
    for module, before in (
        ("kernels.pyx", 'include "kernels/simd.pxi"'),
        ("plan.pyx", "cdef enum:"),
    ):
        path = folder / module
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, SWITCH + before, 1))


def build(folder: Path, faults: list[Fault]) -> tuple[object, object]:
    """The faulty kernels (baseline, float64) and the faulty plan, all faults switched off."""
    sources = folder / "src"
    shutil.copytree(SOURCE, sources)
    _edit(sources, faults)
    macros = [("FW_LEVEL_BASELINE", "1"), ("FW_LEVEL", '"baseline"'), ("FW_F64", "1")]
    flags = [] if sys.platform == "win32" else ["-O1", "-ffp-contract=off", "-w"]
    extensions = cythonize(
        [
            Extension(
                name,
                [str(sources / f"{name}.pyx")],
                include_dirs=[str(sources)],
                define_macros=macros,
                extra_compile_args=flags,
            )
            for name in ("kernels", "plan")
        ],
        include_path=[str(sources)],
        compiler_directives={"language_level": 3, "cdivision": True, "boundscheck": False},
        quiet=True,
    )
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(folder)
    command.build_temp = str(folder / "objects")
    command.parallel = 2
    command.ensure_finalized()
    command.run()
    return tuple(_load(name, Path(command.get_ext_fullpath(name))) for name in ("kernels", "plan"))


def _load(name: str, path: Path) -> object:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
