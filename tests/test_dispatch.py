"""The CPU level is chosen once in a process; each case is an interpreter of its own.

Modules of different builds are made of the library's own by changing the stamps in their files.
"""

import os
import shutil
from pathlib import Path

import pytest
from helpers import run_python

import fastweights as fw
from fastweights import _core, _dispatch
from fastweights._core import cpu

USE = """
import numpy as np, fastweights as fw
from fastweights import _dispatch
model = fw.Sequential([fw.layers.Dense(2)], input_shape=3, seed=0)
assert model.predict(np.eye(3)).shape == (3, 2)
modules = [_dispatch.kernels(np.dtype(real)).__name__ for real in ("float32", "float64")]
print(fw.config()["cpu_level"], *modules)
"""


@pytest.mark.parametrize("level", _dispatch.available_levels())
def test_every_level_can_be_asked_for(level):
    for name in (level, f" {level.upper()} "):
        result = run_python(USE, FASTWEIGHTS_ISA=name)
        assert result.returncode == 0, result.stderr
        modules = [f"fastweights._core.kernels_{level}_{suffix}" for suffix in ("f32", "f64")]
        assert result.stdout.split() == [level, *modules]


@pytest.mark.parametrize("nothing", ["", "  "])
def test_the_best_level_is_the_default(nothing):
    result = run_python(USE, FASTWEIGHTS_ISA=nothing)
    assert result.stdout.split()[0] == _dispatch.available_levels()[0]


def test_levels_are_told_best_first():
    levels = _dispatch.available_levels()
    assert levels
    assert levels == [level for level in _dispatch.LEVELS if level in levels]
    assert set(levels) <= set(cpu.supported_levels()) <= set(_dispatch.LEVELS)


USE_ONE = "import fastweights as fw; fw.config()"


def test_an_unknown_level_is_a_value_error():
    result = run_python(USE_ONE, FASTWEIGHTS_ISA="avx1024")
    assert result.returncode == 1
    message = "FASTWEIGHTS_ISA: got 'avx1024', expected one of amx, avx512, avx2, neon, baseline"
    assert result.stderr.splitlines()[-1] == f"ValueError: {message}"


def test_a_level_that_this_cpu_lacks_is_an_import_error():
    (impossible, *_) = set(_dispatch.LEVELS) - set(cpu.supported_levels())
    result = run_python(USE_ONE, FASTWEIGHTS_ISA=impossible)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"ImportError: FASTWEIGHTS_ISA: got '{impossible}', which this CPU cannot run, "
        f"expected one of {', '.join(_dispatch.available_levels())}"
    )


@pytest.fixture
def another(tmp_path):
    """A copy of the library, and a function that gives some of its modules another stamp."""
    copy = tmp_path / "one" / "fastweights"
    shutil.copytree(Path(fw.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    core = copy / "_core"
    for module in Path(_core.__path__[0]).iterdir():
        if module.is_file():
            shutil.copy(module, core)

    def make_stale(*names):
        for name in names:
            (file,) = core.glob(f"{name}.*.*")
            text = file.read_bytes()
            for own in (cpu.KERNELS_STAMP, cpu.OPS_STAMP):
                text = text.replace(own.encode(), own[::-1].encode())
            assert text != file.read_bytes()
            # Not written in place: another process may have it mapped.
            file.unlink()
            file.write_bytes(text)

    return core, make_stale


def run_copy(code, core, **environment):
    path = os.pathsep.join([str(core.parent.parent), os.environ.get("PYTHONPATH", "")])
    return run_python(code, **{"PYTHONPATH": path, "FASTWEIGHTS_ISA": "", **environment})


def levels_of(core):
    result = run_copy(
        "import fastweights as fw; print(fw.__file__, *fw.config()['available_levels'])", core
    )
    file, *levels = result.stdout.split()
    assert Path(file).parent == core.parent, result.stderr
    return levels


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_a_level_of_another_build_is_not_used(another, suffix):
    core, make_stale = another
    best, *others = _dispatch.available_levels()
    assert levels_of(core) == [best, *others]
    make_stale(f"kernels_{best}_{suffix}")
    result = run_copy(USE_ONE, core, FASTWEIGHTS_ISA=best)
    assert result.stderr.splitlines()[-1].startswith(
        f"ImportError: FASTWEIGHTS_ISA: got '{best}', which was built from other sources than the "
        "rest (run pip install . (or pip install -e . to work on it)), expected "
    )
    if others:
        assert levels_of(core) == others


def test_a_damaged_level_is_not_used(another):
    core, _ = another
    best, *others = _dispatch.available_levels()
    (file,) = core.glob(f"kernels_{best}_f64.*.*")
    file.unlink()
    file.write_bytes(b"no library")
    result = run_copy(USE_ONE, core, FASTWEIGHTS_ISA=best)
    assert f"ImportError: FASTWEIGHTS_ISA: got '{best}', which cannot be loaded (" in result.stderr
    if others:
        assert levels_of(core) == others


def test_no_level_of_this_build_is_an_import_error(another):
    core, make_stale = another
    levels = _dispatch.available_levels()
    make_stale(*(f"kernels_{level}_f64" for level in levels))
    result = run_copy(USE_ONE, core)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError: no compiled kernels to use: ")
    for level in levels:
        assert f"{level}, which was built from other sources than the rest" in last


def test_a_plan_of_another_build_is_an_import_error(another):
    core, make_stale = another
    make_stale("plan")
    last = run_copy("import fastweights", core).stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {core}")
    assert "was built from other sources than the rest: run pip install" in last


def test_a_level_that_was_not_built_is_an_import_error(another):
    core, _ = another
    best, *others = _dispatch.available_levels()
    for file in core.glob(f"kernels_{best}_f64.*"):
        file.unlink()
    result = run_copy(USE_ONE, core, FASTWEIGHTS_ISA=best)
    expected = f"one of {', '.join(others)}" if others else "another build"
    assert result.stderr.splitlines()[-1] == (
        f"ImportError: FASTWEIGHTS_ISA: got '{best}', which this installation was built without, "
        f"expected {expected}"
    )


def test_a_level_of_another_installation_is_not_looked_for(another):
    """What this folder has not got is not taken from one that comes later on the path."""
    core, _ = another
    best, *others = _dispatch.available_levels()
    complete = shutil.copytree(core.parent, core.parent.parent.parent / "two" / "fastweights")
    for file in core.glob(f"kernels_{best}_*"):
        file.unlink()
    code = "import fastweights as fw; print(*fw.config()['available_levels'])"
    path = os.pathsep.join([str(core.parent.parent), str(complete.parent)])
    result = run_python(code, PYTHONPATH=path, FASTWEIGHTS_ISA="")
    assert result.stdout.split() == others, result.stderr


def test_a_core_that_was_not_built_is_wholly_the_installed_one(another):
    core, make_stale = another
    complete = shutil.copytree(core.parent, core.parent.parent.parent / "two" / "fastweights")
    levels = _dispatch.available_levels()
    # What an interrupted build may leave: all but one module, and some of other sources.
    make_stale("plan", *(f"kernels_{level}_f32" for level in levels))
    for file in core.glob("cpu.*.*"):
        file.unlink()
    code = (
        "import fastweights as fw; from fastweights._core import plan\n"
        "print(*fw.config()['available_levels']); print(fw.__file__); print(plan.__file__)"
    )
    path = os.pathsep.join([str(core.parent.parent), str(complete.parent)])
    result = run_python(code, PYTHONPATH=path, FASTWEIGHTS_ISA="")
    found, package, plan = result.stdout.splitlines()
    assert found.split() == levels
    assert Path(package).parent == core.parent
    assert Path(plan).parent == complete / "_core"


def test_without_any_core_the_import_says_what_to_do(another):
    core, _ = another
    for file in core.glob("cpu.*.*"):
        file.unlink()
    # Without the library that these tests run on, wherever it is installed.
    code = (
        "import numpy, sys; from importlib.machinery import PathFinder\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f)]\n"
        "sys.path = [p for p in sys.path if not PathFinder.find_spec('fastweights', [p])]\n"
        f"sys.path.insert(0, {str(core.parent.parent)!r}); import fastweights"
    )
    result = run_python(code, PYTHONPATH="")
    assert "has no compiled core, or an old one, and none is installed: run" in result.stderr


def test_importing_takes_nothing_but_numpy_along():
    result = run_python(
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import fastweights\n"
        "files = [m for m in set(sys.modules) - before if hasattr(sys.modules[m], '__file__')]\n"
        "print(*sorted({m.partition('.')[0] for m in files} - set(sys.stdlib_module_names)))\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    assert result.returncode == 0, result.stderr
    found, modules = result.stdout.splitlines()
    assert found == "fastweights"
    # What only some need comes when it is used, and what is slow to import not before.
    for lazy in ("cli", "table", "sklearn", "gradient_check", "kernels", "saving", "serialization"):
        assert f"fastweights.{lazy}" not in modules.split()
    assert not {"dataclasses", "difflib", "inspect", "json", "tqdm"} & set(modules.split())


def test_every_public_name_is_there_in_a_fresh_interpreter():
    result = run_python(
        "import fastweights as fw\n"
        "assert set(fw.__all__) <= set(dir(fw))\n"
        "print(*(getattr(fw, name).__name__ for name in fw.__all__))\n"
        "assert set(fw.__all__) <= set(vars(fw))\n"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [getattr(fw, name).__name__ for name in fw.__all__]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'fastweights' has no attribute 'Sequentail'"):
        _ = fw.Sequentail
