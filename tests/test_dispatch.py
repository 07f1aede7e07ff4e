"""The CPU level is chosen at import; each case is an interpreter of its own."""

import pytest
from helpers import run_python

import fastweights as fw
from fastweights import _dispatch
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


def test_baseline_is_always_there_and_last():
    assert _dispatch.available_levels()[-1] == "baseline"
    assert set(_dispatch.available_levels()) <= set(cpu.supported_levels()) <= set(_dispatch.LEVELS)


def test_an_unknown_level_is_a_value_error():
    result = run_python("import fastweights", FASTWEIGHTS_ISA="avx1024")
    assert result.returncode == 1
    message = "FASTWEIGHTS_ISA: got 'avx1024', expected one of amx, avx512, avx2, neon, baseline"
    assert result.stderr.splitlines()[-1] == f"ValueError: {message}"


def test_a_level_that_this_cpu_lacks_is_an_import_error():
    (impossible, *_) = set(_dispatch.LEVELS) - set(cpu.supported_levels())
    result = run_python("import fastweights", FASTWEIGHTS_ISA=impossible)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"ImportError: FASTWEIGHTS_ISA: got '{impossible}', which this CPU cannot run, "
        f"expected one of {', '.join(_dispatch.available_levels())}"
    )


def test_a_level_that_was_not_built_is_an_import_error(monkeypatch):
    best = cpu.supported_levels()[0]
    monkeypatch.setenv("FASTWEIGHTS_ISA", best)
    monkeypatch.setattr(_dispatch, "_is_built", lambda level: level == "baseline")
    message = f"got '{best}', which this installation was built without, expected one of baseline"
    with pytest.raises(ImportError, match=message):
        _dispatch._choose()
    monkeypatch.delenv("FASTWEIGHTS_ISA")
    assert _dispatch._choose() == "baseline"


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
