"""Files by their paths.

Only what is a file is opened; all is written or nothing; errors name the file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import platform
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from fastweights import _check

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

#: The temporary files that this process is writing now.
_being_written: set[str] = set()


def path_text(path: FilePath, argument: str = "path") -> str:
    """The path as text; TypeError or ValueError where it is none, such as a descriptor."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        got = type(path).__name__
        raise TypeError(_check.refusal(argument, got, "a str, bytes or path-like")) from None
    if not text or "\0" in text:
        raise ValueError(_check.refusal(argument, repr(text), "the name of a file"))
    return text


def folder_text(path: FilePath, argument: str) -> str:
    """That of a folder, which is one where it is there."""
    text = path_text(path, argument)
    if os.path.lexists(text) and not os.path.isdir(text):
        raise ValueError(_check.refusal(argument, f"{text}, which is a file", "a folder"))
    return text


def refuse_no_folder(path: str, argument: str) -> None:
    """Raises FileNotFoundError where the folder that a file is to be written to is not there."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise FileNotFoundError(_check.refusal(argument, path, f"a folder {folder} that is there"))


def refuse_other_kinds(path: str, mode: int, argument: str = "path") -> None:
    """Raises ValueError where `mode`, of `os.stat`, is not that of a regular file."""
    if not stat.S_ISREG(mode):
        got = f"{path}, which is {_KINDS.get(stat.S_IFMT(mode), 'something else')}"
        raise ValueError(_check.refusal(argument, got, "a file"))


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


def replace(path: FilePath, write: Callable[[BinaryIO], object]) -> None:
    """Puts what `write` writes in the place of `path`, all or nothing.

    The file appears under its name only when it is complete and on the disk. Whatever goes wrong
    before that, a file that was there stays as it was and nothing else is left. A link stays one.
    Permissions, owner and group are those of the file replaced, as far as this user may set them.
    """
    target = os.path.realpath(path_text(path))
    replaced = None
    with contextlib.suppress(FileNotFoundError):
        replaced = os.stat(target)
    if replaced is not None:
        refuse_other_kinds(target, replaced.st_mode)
    stem = _temporary_stem(target)
    _remove_left_behind(stem)
    temporary = f"{stem}{os.getpid()}-{os.urandom(6).hex()}.tmp"
    try:  # From here on, since an interrupt may come between any two lines.
        _being_written.add(temporary)
        _write_out(temporary, replaced, write)
        os.replace(temporary, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), target) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        _being_written.discard(temporary)
    _sync_folder(os.path.dirname(target))


def _write_out(
    temporary: str, replaced: os.stat_result | None, write: Callable[[BinaryIO], object]
) -> None:
    """Writes a new file to the disk, which nobody may open who may not open the one replaced."""
    mode = 0o666 if replaced is None else replaced.st_mode & 0o600
    with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
        if replaced is not None and os.name == "posix":
            _give_owner_and_mode(file.fileno(), replaced)
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _give_owner_and_mode(descriptor: int, replaced: os.stat_result) -> None:
    mode = stat.S_IMODE(replaced.st_mode)
    own = os.fstat(descriptor)
    if own.st_uid != replaced.st_uid:
        _was_given(descriptor, replaced.st_uid, -1)
    if own.st_gid != replaced.st_gid and not _was_given(descriptor, -1, replaced.st_gid):
        # To another group the file is what it was to anybody.
        mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    os.fchmod(descriptor, mode)


def _was_given(descriptor: int, owner: int, group: int) -> bool:
    """Gives the file to an owner or group, where this user may, and a container knows them."""
    try:
        os.fchown(descriptor, owner, group)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
        return False
    return True


def _temporary_stem(target: str) -> str:
    """How the path of every temporary file begins that this machine writes for this target."""
    folder, name = os.path.split(target)
    mark = zlib.crc32(os.fsencode(f"{platform.node()}/{name}"))
    return os.path.join(folder, f".fastweights-{mark:08x}-")


def _remove_left_behind(stem: str) -> None:
    """Removes the temporary files of writers that were killed."""
    if os.name != "posix":  # where to ask for a process may end it
        return
    folder, start = os.path.split(stem)
    pattern = re.compile(re.escape(start) + r"(\d+)-[0-9a-f]{12}\.tmp")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = pattern.fullmatch(name)
            path = os.path.join(folder, name)
            if match and path not in _being_written and _is_gone(int(match[1])):
                os.unlink(path)


def _is_gone(process: int) -> bool:
    if process == os.getpid():  # An earlier one of the same number.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def _sync_folder(folder: str) -> None:
    """Puts the new name on the disk too, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
