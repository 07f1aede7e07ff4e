"""Files by their paths: only what is a file is opened, and errors say which it was."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator

from fastweights import _check

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def path_text(path: FilePath) -> str:
    """The path as text; TypeError or ValueError where it is none, such as a descriptor."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        got = type(path).__name__
        raise TypeError(_check.refusal("path", got, "a str, bytes or path-like")) from None
    if not text or "\0" in text:
        raise ValueError(_check.refusal("path", repr(text), "a name without NUL characters"))
    return text


def refuse_other_kinds(path: str, mode: int) -> None:
    """Raises ValueError where `mode`, of `os.stat`, is not that of a regular file."""
    if not stat.S_ISREG(mode):
        got = f"{path}, which is {_KINDS.get(stat.S_IFMT(mode), 'something else')}"
        raise ValueError(_check.refusal("path", got, "a file"))


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """An OSError of the block that names no file names this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def opened(path: str) -> io.BufferedReader:
    """The file, opened to be read.

    A pipe would wait for its writer and a device might have no end: neither is read from.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        refuse_other_kinds(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
