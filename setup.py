"""Builds the compiled core.

`src_pyx/kernels.pyx` is translated to C once and that C is compiled once per CPU level and dtype,
each time as a module of its own (`fastweights._core.kernels_avx2_f32`, ...). A level that this
compiler cannot build is left out; `baseline` is always there.

``FASTWEIGHTS_LEVELS=avx2`` (or several, with commas) builds these levels alone, which is quick, and
all of them must succeed. ``FASTWEIGHTS_DEBUG=1`` builds unoptimised, with bounds and initialised
checks on and with undefined behaviour (signed overflow, bad shifts, null pointers) trapped.
``FASTWEIGHTS_SANITIZE=address,undefined`` (or thread) builds for these sanitizers: see
`.ci/sanitize`. Each such kind of build has a folder of its own in `build`.

Modules that work together carry a *stamp*, a hash of the sources and flags that they must have in
common, and do not work with a module that has another one: a library may be left over from sources
that have changed since.
"""

import hashlib
import os
import platform
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
SOURCES = ROOT / "src_pyx"
MSVC = sys.platform == "win32"


def chosen(variable, known):
    """The names that an environment variable lists with commas; ends the build at any other."""
    listed = os.environ.get(variable, "").lower().split(",")
    names = sorted({name.strip() for name in listed} - {""})
    for name in names:
        if name not in known:
            sys.exit(f"{variable}: got {name!r}, expected some of {', '.join(known)}")
    return names


DEBUG = chosen("FASTWEIGHTS_DEBUG", ("0", "1")) == ["1"]
SANITIZERS = chosen("FASTWEIGHTS_SANITIZE", () if MSVC else ("address", "undefined", "thread"))
if DEBUG and SANITIZERS:
    sys.exit("FASTWEIGHTS_SANITIZE: got one beside FASTWEIGHTS_DEBUG=1, expected one of the two")
BUILD = Path("build", *(["debug"] if DEBUG else []), *SANITIZERS)

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
    # Undefined behaviour (shifts, signed overflow, array bounds, null pointers) traps at once, also
    # where CPython's own flags define it.
    FLAGS = [
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fno-wrapv",
        "-fsanitize=undefined",
        "-fsanitize-undefined-trap-on-error",
    ]
    LINK_FLAGS = []
elif SANITIZERS:
    FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", "-ffp-contract=off", "-fno-wrapv"]
    LINK_FLAGS = [f"-fsanitize={','.join(SANITIZERS)}"]
    FLAGS += [*LINK_FLAGS, "-fno-sanitize-recover=all"]
else:
    # No contraction: what is fused is written as vfma, so the bits do not depend on the compiler.
    FLAGS, LINK_FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-g0"], []
    # A kernel is as fast as it is, wherever it comes to lie.
    FLAGS += ["-falign-functions=64"]
    if "gcc" in (os.environ.get("CC") or sysconfig.get_config_var("CC") or ""):
        # Vectors that are worked on side by side are interleaved before registers are given out.
        FLAGS += ["-fschedule-insns", "-fsched-pressure"]

#: Compiler flags of each CPU level that this machine's architecture has. The baseline is for CPUs
#: that have none of the others: its last bit of speed is not worth the time that it takes to build.
LEVELS = {"baseline": ["-O2"] if "-O3" in FLAGS else []}
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

ONLY = chosen("FASTWEIGHTS_LEVELS", LEVELS)


def stamp(sources):
    """A hash of these files and of how everything is compiled."""
    found = hashlib.sha256(repr((DIRECTIVES, FLAGS, LEVELS)).encode())
    for source in sorted(sources):
        text = source.read_bytes()
        found.update(f"{source.relative_to(SOURCES).as_posix()} {len(text)} ".encode() + text)
    return found.hexdigest()[:16]


KERNEL_SOURCES = [
    SOURCES / "kernels.pyx",
    *SOURCES.glob("kernels/*.pxi"),
    *SOURCES.glob("*.pxd"),
    *SOURCES.glob("**/*.h"),
]

#: What must have been compiled from the same sources: all that knows the structs of ops.pxd, and
#: the kernels of all levels.
STAMPS = {"OPS": stamp([SOURCES / "ops.pxd"]), "KERNELS": stamp(KERNEL_SOURCES)}

#: The stamps of modules that are the same on every CPU level; `cpu` tells those of this build.
CORE_STAMPS = {"cpu": ("OPS", "KERNELS"), "plan": ("OPS",)}


def stamped(extension, name):
    """The extension with a stamp compiled into it, built anew whenever the stamp is another."""
    file = BUILD / f"{name.lower()}.stamp"
    write(file, STAMPS[name])
    extension.depends.append(str(file))
    extension.define_macros.append((f"FW_{name}_STAMP", f'"{STAMPS[name]}"'))


def write(file, text):
    """Leaves a file alone that has this text, so that nothing is built anew because of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def kernel_extension(level, dtype):
    """One compilation of the kernels: a C file that includes the shared one under its own name."""
    name = f"kernels_{level}_{dtype}"
    source = BUILD / "levels" / f"{name}.c"
    write(source, f'#define PyInit_kernels PyInit_{name}\n#include "../cython/src_pyx/kernels.c"\n')
    inline = (
        [] if MSVC else [("CYTHON_INLINE", "__inline__ __attribute__((always_inline, unused))")]
    )
    extension = Extension(
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
        depends=[str(BUILD / "cython/src_pyx/kernels.c")],
        optional=level != "baseline" and level not in ONLY,
    )
    stamped(extension, "KERNELS")
    return extension


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
    """Builds extensions side by side; of one that fails no older or unfinished library is left."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        self.left_out = []

    def build_extension(self, extension):
        try:
            super().build_extension(extension)
        except BaseException:
            self.left_out.append(extension.name)
            self.remove(extension.name)
            raise

    def copy_extensions_to_source(self):
        self.force = True  # What another kind of build put there may be newer.
        super().copy_extensions_to_source()
        for name in self.left_out:
            self.remove(name)

    def run(self):
        super().run()
        for name in self.left_out:
            self.warn(f"{name} is left out: this compiler cannot build it (the error is above)")

    def remove(self, name):
        Path(self.get_ext_fullpath(name)).unlink(missing_ok=True)


def extensions():
    options = {
        "build_dir": str(BUILD / "cython"),
        "include_path": ["src_pyx"],
        "compiler_directives": DIRECTIVES,
    }
    # Translated only for its C file, which the extensions of every level include.
    cythonize([Extension("fastweights._core.kernels", ["src_pyx/kernels.pyx"])], **options)
    names = ("arrays", "cpu", "float_mode", "philox", "gram_schmidt", "cells", "plan")
    core = cythonize([core_extension(name) for name in names], **options)
    for extension in core:
        for stamp_name in CORE_STAMPS.get(extension.name.rpartition(".")[2], ()):
            stamped(extension, stamp_name)
    levels = ONLY or LEVELS
    return core + [kernel_extension(level, dtype) for level in levels for dtype in ("f32", "f64")]


if __name__ == "__main__":
    os.chdir(ROOT)
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildInParallel},
        options={"build": {"build_base": str(BUILD)}},
    )
