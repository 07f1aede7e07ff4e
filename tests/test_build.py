"""setup.py: what is left out, what is removed, and what a stamp depends on."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import Distribution, Extension
from setuptools.errors import CompileError

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="calls a compiler as Linux does")


@pytest.fixture
def build(monkeypatch):
    """setup.py as a module, which builds nothing by itself; `build()` executes it anew."""

    def execute(**environment):
        for name in ("DEBUG", "LEVELS", "SANITIZE"):
            monkeypatch.setenv(f"FASTWEIGHTS_{name}", environment.get(name, ""))
        spec = importlib.util.spec_from_file_location("fastweights_setup", ROOT / "setup.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return execute


def test_a_source_distribution_has_files_of_every_kind():
    """Of each folder beside the package that is in it."""
    kinds = {}
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        command, folder, *patterns = line.split()
        if command == "recursive-include":
            kinds[folder] = {pattern.removeprefix("*") for pattern in patterns}
    for folder in ("bench", "docs", "examples"):
        files = [path for path in (ROOT / folder).rglob("*.*") if path.is_file()]
        found = {path.suffix for path in files if "__pycache__" not in path.parts}
        assert found <= kinds[folder], folder


MODULE = """
#include <Python.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "%(name)s", 0, -1, 0};
PyMODINIT_FUNC PyInit_%(name)s(void) { return PyModule_Create(&definition); }
"""


@pytest.fixture
def compiled(build, tmp_path, monkeypatch):
    """Builds modules of such a text each in place, as setup.py does; returns what there is then."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()

    def compile_in_place(texts, optional):
        for name, text in texts.items():
            Path(f"{name}.c").write_text(text % {"name": name})
            os.utime(f"{name}.c")
        extensions = [
            Extension(f"package.{name}", [f"{name}.c"], optional=name in optional) for name in texts
        ]
        distribution = Distribution({"ext_modules": extensions, "packages": ["package"]})
        command = build().BuildInParallel(distribution)
        command.inplace = True
        command.force = True
        command.ensure_finalized()
        warnings = []
        monkeypatch.setattr(command, "warn", warnings.append)
        command.run()
        return warnings

    def libraries():
        return {
            folder: {file.name.partition(".")[0] for file in Path(folder).rglob("*.so")}
            for folder in ("build", "package")
        }

    return compile_in_place, libraries


def test_of_a_level_that_fails_no_older_library_is_left(compiled):
    compile_in_place, libraries = compiled
    assert compile_in_place({"one": MODULE, "two": MODULE}, optional={"two"}) == []
    assert libraries() == {"build": {"one", "two"}, "package": {"one", "two"}}
    warnings = compile_in_place({"one": MODULE, "two": "#error no\n"}, optional={"two"})
    assert libraries() == {"build": {"one"}, "package": {"one"}}
    assert warnings[-1].startswith("package.two is left out: this compiler cannot build it")


def test_a_failed_build_leaves_what_was_in_place(compiled):
    compile_in_place, libraries = compiled
    compile_in_place({"one": MODULE, "two": MODULE}, optional=())
    with pytest.raises(CompileError):
        compile_in_place({"one": MODULE, "two": "#error no\n"}, optional=())
    assert libraries() == {"build": {"one"}, "package": {"one", "two"}}


def test_levels_are_optional_unless_they_are_asked_for(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def optional(**environment):
        module = build(**environment)
        return {
            level: module.kernel_extension(level, "f32").optional
            for level in module.ONLY or module.LEVELS
        }

    every = optional()
    assert every == {level: level != "baseline" for level in every}
    for level in every:
        assert optional(LEVELS=f" {level.upper()}, ") == {level: False}


def test_every_source_of_the_kernels_is_in_their_stamp(build, tmp_path):
    """Those that Cython or the compiler reads, however they are included."""
    setup = build()
    sources = {path.relative_to(setup.SOURCES).as_posix() for path in setup.KERNEL_SOURCES}
    included, waiting = set(), ["kernels.pyx", "ops.pxd"]
    while waiting:
        name = waiting.pop()
        included.add(name)
        text = (setup.SOURCES / name).read_text()
        for word in re.findall(r"""(?:include|from)\s+["'<]([^"'>\s]+)""", text):
            if (setup.SOURCES / word).is_file() and word not in included:
                waiting.append(word)
    assert {"kernels/matmul.pxi", "simd.h", "tiles.h"} <= included <= sources


def test_a_stamp_is_of_texts_names_and_flags(build, tmp_path, monkeypatch):
    setup = build()
    monkeypatch.setattr(setup, "SOURCES", tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"

    def stamp(first, second, *names):
        one.write_text(first)
        two.write_text(second)
        return setup.stamp([tmp_path / name for name in names])

    found = [
        stamp("a", "b", "one", "two"),
        stamp("b", "a", "one", "two"),
        stamp("ab", "", "one", "two"),
        stamp("", "ab", "one", "two"),
        stamp("a", "b", "one"),
        stamp("a", "b", "two"),
        stamp("atwo b", "", "one"),
    ]
    found += [build(**kind).STAMPS["OPS"] for kind in ({}, {"DEBUG": "1"}, {"SANITIZE": "thread"})]
    assert len(set(found)) == len(found)
    assert stamp("a", "b", "two", "one") == found[0]
    # A build of one level is of the same kind as one of all.
    assert build(LEVELS="baseline").STAMPS == build().STAMPS


def test_a_stamp_is_written_only_when_it_changes(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup = build()
    extension = Extension("x", [])
    setup.stamped(extension, "OPS")
    (file,) = extension.depends
    assert extension.define_macros == [("FW_OPS_STAMP", f'"{setup.STAMPS["OPS"]}"')]
    os.utime(file, (1, 1))
    setup.stamped(extension, "OPS")
    assert Path(file).stat().st_mtime == 1
    monkeypatch.setitem(setup.STAMPS, "OPS", "other")
    setup.stamped(extension, "OPS")
    assert Path(file).stat().st_mtime > 1


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("FASTWEIGHTS_LEVELS", "avx1024", "got 'avx1024', expected some of baseline"),
        ("FASTWEIGHTS_LEVELS", "baseline;avx2", "got 'baseline;avx2', expected some of baseline"),
        ("FASTWEIGHTS_DEBUG", "yes", "got 'yes', expected some of 0, 1"),
        ("FASTWEIGHTS_DEBUG", "²", "got '²', expected some of 0, 1"),
        ("FASTWEIGHTS_SANITIZE", "memory", "got 'memory', expected some of address, undefined"),
    ],
)
def test_bad_values_end_the_build_with_one_line(variable, value, expected):
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{variable}: {expected}")
