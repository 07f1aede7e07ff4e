"""Builds the compiled core.

`src_pyx/kernels.pyx` is translated to C once and that C is compiled once per CPU level and dtype,
each time as a module of its own (`fastweights._core.kernels_avx2_f32`, ...). A level that this
compiler cannot build is left out; `baseline` is always there.

``FASTWEIGHTS_LEVELS=avx2`` (or several, with commas) builds these levels alone, which is quick.
``FASTWEIGHTS_DEBUG=1`` builds unoptimised, with bounds and initialised checks on and with undefined
behaviour (signed overflow, bad shifts, null pointers) trapped.
"""

import os
import platform
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
BUILD = Path("build")
DEBUG = os.environ.get("FASTWEIGHTS_DEBUG", "0") not in ("", "0")
MSVC = sys.platform == "win32"

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "embedsignature": False,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": True,
}

if MSVC:
    FLAGS, LINK_FLAGS = ["/O2", "/fp:precise"], []
elif DEBUG:
    # Undefined behaviour (shifts, signed overflow, array bounds, null pointers) traps at once.
    FLAGS = [
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fsanitize=undefined",
        "-fsanitize-undefined-trap-on-error",
    ]
    LINK_FLAGS = []
else:
    # No contraction: what is fused is written as vfma, so the bits do not depend on the compiler.
    FLAGS, LINK_FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-g0"], []
    if "gcc" in (os.environ.get("CC") or sysconfig.get_config_var("CC") or ""):
        # Vectors that are worked on side by side are interleaved before registers are given out.
        FLAGS += ["-fschedule-insns", "-fsched-pressure"]

#: Compiler flags of each CPU level that this machine's architecture has.
LEVELS = {"baseline": []}
if not MSVC and platform.machine().lower() in ("x86_64", "amd64", "i686"):
    LEVELS["avx2"] = ["-mavx2", "-mfma", "-mbmi2"]
    LEVELS["avx512"] = [
        *LEVELS["avx2"],
        "-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw",
        "-mprefer-vector-width=512",
    ]  # fmt: skip
    LEVELS["amx"] = [*LEVELS["avx512"], "-mamx-tile", "-mamx-bf16"]
elif not MSVC and platform.machine().lower() in ("aarch64", "arm64"):
    LEVELS["neon"] = []

ONLY = [name for name in os.environ.get("FASTWEIGHTS_LEVELS", "").split(",") if name]
for name in ONLY:
    if name not in LEVELS:
        sys.exit(f"FASTWEIGHTS_LEVELS: got {name!r}, expected some of {', '.join(LEVELS)}")
LEVELS = {name: flags for name, flags in LEVELS.items() if not ONLY or name in ONLY}


def kernel_extension(level, dtype):
    """One compilation of the kernels: a C file that includes the shared one under its own name."""
    name = f"kernels_{level}_{dtype}"
    source = BUILD / "levels" / f"{name}.c"
    source.parent.mkdir(parents=True, exist_ok=True)
    text = f'#define PyInit_kernels PyInit_{name}\n#include "../cython/src_pyx/kernels.c"\n'
    if not source.exists() or source.read_text() != text:
        source.write_text(text)
    inline = (
        [] if MSVC else [("CYTHON_INLINE", "__inline__ __attribute__((always_inline, unused))")]
    )
    return Extension(
        f"fastweights._core.{name}",
        [str(source)],
        include_dirs=["src_pyx"],
        define_macros=[
            (f"FW_LEVEL_{level.upper()}", "1"),
            ("FW_LEVEL", f'"{level}"'),
            ("FW_F64", "1" if dtype == "f64" else "0"),
            *inline,
        ],
        extra_compile_args=FLAGS + LEVELS[level],
        extra_link_args=LINK_FLAGS,
        depends=[
            str(BUILD / "cython/src_pyx/kernels.c"),
            *(f"src_pyx/{header}.h" for header in ("simd", "tiles", "float_mode")),
        ],
        optional=level != "baseline",
    )


def core_extension(name):
    """A module of the core that is the same on every CPU level."""
    return Extension(
        f"fastweights._core.{name}",
        [f"src_pyx/{name}.pyx"],
        include_dirs=["src_pyx"],
        extra_compile_args=FLAGS,
        extra_link_args=LINK_FLAGS,
    )


class BuildInParallel(build_ext):
    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()


def extensions():
    os.chdir(ROOT)
    options = {
        "build_dir": str(BUILD / "cython"),
        "include_path": ["src_pyx"],
        "compiler_directives": DIRECTIVES,
    }
    # Translated only for its C file, which the extensions of every level include.
    cythonize([Extension("fastweights._core.kernels", ["src_pyx/kernels.pyx"])], **options)
    names = ("arrays", "cpu", "float_mode", "philox", "gram_schmidt", "plan")
    core = cythonize([core_extension(name) for name in names], **options)
    return core + [kernel_extension(level, dtype) for level in LEVELS for dtype in ("f32", "f64")]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildInParallel})
