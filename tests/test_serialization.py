"""The safetensors format: round trips, other readers, damaged files, interrupted writes."""

import contextlib
import errno
import io
import itertools
import json
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastweights import serialization

TENSORS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.array([1.5, -0.0, np.nan]),
    "steps": np.array(7, dtype=np.int64),
    "none": np.empty((0, 4), dtype=np.float16),
    "mask": np.array([True, False, True]),
    "Größe": np.array([[-1], [2]], dtype=np.int8),
}
METADATA = {"format": "pt", "note": 'line\n"quoted" ü', "": ""}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def written(path):
    serialization.write(path, TENSORS, METADATA)
    return path


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(begin=0, end=4, dtype="F32", shape=(1,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes()


# ---- round trips ---------------------------------------------------------------------------------


def test_what_is_written_is_read(written):
    tensors, metadata = serialization.read(written)
    assert_same(tensors, TENSORS)
    assert metadata == METADATA
    assert serialization.read_metadata(written) == METADATA
    assert serialization.read(str(written))[1] == METADATA


@pytest.mark.parametrize("dtype", [dtype.name for dtype in serialization.DTYPES.values()])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (5, 7), (1, 2, 3, 4)])
def test_every_dtype_and_shape(path, dtype, shape):
    bits = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    serialization.write(path, {"x": bits})
    tensors, metadata = serialization.read(path)
    assert_same(tensors, {"x": bits})
    assert tensors["x"].flags.writeable
    assert metadata == {}


def test_any_layout(path):
    base = np.arange(24.0).reshape(4, 6)
    read_only = base.copy()
    read_only.flags.writeable = False
    layouts = {"f": np.asfortranarray(base), "s": base[::2, ::-1], "t": base.T, "r": read_only,
               "big": base.astype(">f8")}  # fmt: skip
    serialization.write(path, layouts)
    expected = {name: np.array(array, dtype="f8", order="C") for name, array in layouts.items()}
    assert_same(serialization.read(path)[0], expected)


def test_the_bytes_of_a_file(path):
    serialization.write(path, {"b": np.array([1], "i1"), "a": np.array([1.0], "f4")}, {"k": "v"})
    header = (
        b'{"__metadata__":{"k":"v"},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"I8","shape":[1],"data_offsets":[4,5]}}'
    )
    header += b" " * (-len(header) % 8)
    expected = len(header).to_bytes(8, "little") + header + b"\x00\x00\x80\x3f" + b"\x01"
    assert path.read_bytes() == expected
    assert path.read_bytes().index(b"\x00\x00\x80\x3f") % 8 == 0


def test_nothing_at_all(path):
    serialization.write(path, {}, {})
    assert serialization.read(path) == ({}, {})


def test_the_reference_implementation_reads_it(written):
    reference = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    assert_same(numpy.load_file(written), TENSORS)
    with reference.safe_open(written, framework="numpy") as file:
        assert file.metadata() == METADATA


def test_it_reads_the_reference_implementation(path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(TENSORS, path, METADATA)
    tensors, metadata = serialization.read(path)
    assert_same(tensors, TENSORS)
    assert metadata == METADATA


def test_tensors_are_read_one_by_one(written):
    with serialization.opened(written) as file:
        assert file.metadata == METADATA
        assert list(file.tensors) == list(serialization.read(written)[0])
        for name in reversed(file.tensors):
            assert_same({name: file.read(name)}, {name: TENSORS[name]})
            assert file.tensors[name].dtype == TENSORS[name].dtype
            assert file.tensors[name].shape == TENSORS[name].shape
        with pytest.raises(KeyError, match="other"):
            file.read("other")
        with pytest.raises(ValueError, match="mine"):  # what the block raises is its own
            raise ValueError("mine")


def test_paths_may_be_bytes(path):
    name = os.fsencode(path)
    serialization.write(name, TENSORS)
    assert_same(serialization.read(name)[0], TENSORS)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a valid") as raised:
        serialization.read(name)
    assert str(raised.value).startswith(f"{path}: ")


# ---- what does not fit the format ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({"x": np.array([1j])}, None, TypeError, r"tensors\['x'\]: got dtype complex128"),
        ({"x": np.array(["a"])}, None, TypeError, r"tensors\['x'\]: got dtype <U1"),
        ({"x": np.array([None])}, None, TypeError, r"tensors\['x'\]: got dtype object"),
        ({3: np.zeros(1)}, None, TypeError, "the name 3"),
        ({"__metadata__": np.zeros(1)}, None, ValueError, "__metadata__"),
        ({}, {"k": 3}, TypeError, "metadata: got 'k': 3"),
        ({}, {3: "v"}, TypeError, "metadata: got 3: 'v'"),
        ({}, {"k": "\ud800"}, ValueError, r"header: got '\\ud800' in a name or in the metadata"),
        ({"\udfff": np.zeros(1)}, None, ValueError, r"header: got '\\udfff' in a name"),
        ({}, dict.fromkeys(map(str, range(500_000)), ""), ValueError, "header: got about 5"),
    ],
)
def test_write_refuses(path, tensors, metadata, error, message):
    with pytest.raises(error, match=message):
        serialization.write(path, tensors, metadata)
    assert os.listdir(path.parent) == []


def test_a_header_that_read_would_refuse_is_not_written(written, monkeypatch):
    before = written.read_bytes()
    monkeypatch.setattr(serialization, "MAX_HEADER_BYTES", 1000)
    with pytest.raises(ValueError, match="bytes of names and metadata, expected at most 1000"):
        serialization.write(written, TENSORS, {"notes": "x" * 1000})
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


# ---- damaged and hostile files -------------------------------------------------------------------

WHOLE = {"a": tensor(0, 4), "b": tensor(4, 12, shape=(2,))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "size: got 0 bytes"),
        (b"\x01\x00", "size: got 2 bytes"),
        (b"\xff" * 8, "header: got a length of 18446744073709551615 bytes, expected at most 0"),
        (b"\x09" + b"\x00" * 7 + b"{}", "a length of 9 bytes, expected at most 2"),
        (b"a,b,c\n1,2,3\n" * 10, "header: got a length of"),
        (file_of(b""), "header: got '', expected a JSON object"),
        (file_of(b"[]"), "expected a JSON object"),
        (file_of(b" {}"), "expected a JSON object"),
        (file_of(b"{"), "Expecting property name"),
        (file_of(b"{}{}"), "Extra data"),
        (file_of(b'{"\xff":1}'), "header: got byte 0xff at 2, expected UTF-8"),
        (file_of(b'{"a":' + b"[" * 10_000), "nested 10001 deep"),
        (file_of(b'{"a":' + b"[]," * 100_000), "header: got about 500005 values"),
        (file_of(b'{"a":' + b"9" * 1_000_000 + b"}"), "a number of 1000000 digits"),
        (file_of(b'{"a":1e999}'), "the number 1e999"),
        (file_of(b'{"a":NaN}'), "NaN, which JSON does not have"),
        (file_of(b'{"a":-Infinity}'), "-Infinity, which JSON does not have"),
        (file_of(b'{"__metadata__":{"a":"\\ud800"}}'), "surrogates not allowed"),
        (file_of(b'{"\\uDFFF":[]}'), "surrogates not allowed"),
        (file_of({}, b"x"), "data: got 1 bytes, expected 0"),
        (file_of(WHOLE, b"x" * 11), "data: got 11 bytes, expected 12"),
        (file_of(WHOLE, b"x" * 13), "data: got 13 bytes, expected 12"),
        (file_of({"a": tensor(0, 4), "b": tensor(8, 12)}, b"x" * 12), "'b': got a start at 8"),
        (file_of({"a": tensor(4, 8)}, b"x" * 8), "'a': got a start at 4, expected 0"),
        (file_of({"a": tensor(0, 4), "b": tensor(2, 6)}, b"x" * 6), "'b': got a start at 2"),
        (file_of({"a": tensor(0, 4), "b": tensor(0, 4)}, b"x" * 4), "'b': got a start at 0"),
        (file_of(b'{"a":{},"a":{}}'), "'a' twice"),
        (file_of(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "'dtype' twice"),
        (file_of({"a": 3}), "tensor 'a': got 3"),
        (file_of({"a": {}}), "tensor 'a': got dtype None"),
        (file_of({"a": tensor(0, 1, "F8_E4M3")}, b"x"), "tensor 'a': got dtype 'F8_E4M3'"),
        (file_of({"a": tensor(0, 4, [1])}, b"x" * 4), "tensor 'a': got dtype"),
        (file_of({"a": tensor(0, 4, shape=(2,))}, b"x" * 4), "got 4 bytes, expected 8"),
        (file_of({"a": tensor(4, 0)}, b"x" * 4), "got -4 bytes, expected 4"),
        (file_of({"a": tensor(0, 4, shape=(-1, -1))}, b"x" * 4), "shape \\[-1, -1\\]"),
        (file_of({"a": tensor(0, 4, shape=(True,))}, b"x" * 4), "shape \\[True\\]"),
        (file_of({"a": tensor(0, 4, shape=(1.0,))}, b"x" * 4), "shape \\[1.0\\]"),
        (file_of({"a": tensor(0, 4, shape=(1,) * 65)}, b"x" * 4), "at most 64 sizes"),
        (file_of({"a": tensor(0, 0, shape=(0, 2**62, 2**62))}), "one that an array can have"),
        (file_of({"a": tensor(0, 2**50, shape=(2**48,))}), "data: got 0 bytes"),
        (file_of({"a": {**tensor(), "data_offsets": [0]}}, b"x" * 4), "data_offsets \\[0\\]"),
        (file_of({"a": {**tensor(), "data_offsets": [0, "4"]}}, b"x" * 4), "data_offsets"),
        (file_of({"a": {**tensor(), "shape": 1}}, b"x" * 4), "shape 1"),
        (file_of({"a": tensor(0, 1, "BOOL")}, b"\x02"), "tensor 'a': got other bytes"),
        (file_of({"__metadata__": 3}), "__metadata__"),
        (file_of({"__metadata__": {"k": 3}}), "__metadata__"),
        (file_of({"__metadata__": {"k": "v", "l": None}}), "__metadata__"),
    ],
)
def test_read_says_what_is_wrong(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        serialization.read(path)
    assert str(raised.value).startswith(f"{path}: not a valid safetensors file: ")


def test_metadata_of_a_damaged_file_is_refused(written):
    os.truncate(written, written.stat().st_size - 1)
    with pytest.raises(ValueError, match="data: got"):
        serialization.read_metadata(written)


def test_a_header_of_unreasonable_length_is_refused(path):
    with open(path, "wb") as file:
        file.write((10**8 + 1).to_bytes(8, "little"))
        file.truncate(2 * 10**8)  # sparse
    with pytest.raises(ValueError, match="at most 100000000"):
        serialization.read(path)


def test_long_names_are_shortened_in_messages(path):
    path.write_bytes(file_of({"a" * 100_000: 3}))
    with pytest.raises(ValueError, match=r"tensor 'a+\.\.\.: got 3") as raised:
        serialization.read(path)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("argument", [0, True, None, 1.5, "", "a\0b", b"a\0b"])
@pytest.mark.parametrize("function", [serialization.read, lambda p: serialization.write(p, {})])
def test_what_is_no_path_is_refused(argument, function):
    with pytest.raises((TypeError, ValueError), match="path: got"):
        function(argument)


def test_a_descriptor_is_refused_and_stays_open(written):
    with written.open("rb") as file:
        with pytest.raises(TypeError, match="path: got int"):
            serialization.read(file.fileno())
        assert os.fstat(file.fileno())


def test_what_has_no_memory_is_not_called_damaged(written, monkeypatch):
    def none_left(*arguments):
        raise MemoryError

    monkeypatch.setattr(np, "empty", none_left)
    with pytest.raises(MemoryError):
        serialization.read(written)


def test_an_error_of_the_disk_names_the_file(written):
    class Broken(io.BytesIO):
        def readinto(self, buffer):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with serialization.opened(written) as file:
        file._file = Broken()
        with pytest.raises(OSError, match="Input/output error") as raised:
            file.read("mask")
    assert raised.value.filename == str(written)


def test_missing_files_stay_os_errors(path):
    with pytest.raises(FileNotFoundError):
        serialization.read(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        serialization.write(path.parent / "nowhere" / "x", {})


damage = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read_or_refuse(path, content):
    path.write_bytes(content)
    try:
        tensors, metadata = serialization.read(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    assert sum(array.nbytes for array in tensors.values()) < len(content)
    assert all(isinstance(text, str) for pair in metadata.items() for text in pair)


@damage
@given(data=st.data())
def test_truncated_files_are_refused(written, data):
    content = written.read_bytes()
    kept = data.draw(st.integers(0, len(content) - 1))
    truncated = written.with_suffix(".cut")
    truncated.write_bytes(content[:kept])
    with pytest.raises(ValueError, match="not a valid safetensors file"):
        serialization.read(truncated)


@damage
@given(data=st.data())
def test_flipped_bytes_are_refused_or_read(written, data):
    content = bytearray(written.read_bytes())
    where = data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4))
    for position in where:
        content[position] ^= data.draw(st.integers(1, 255))
    read_or_refuse(written.with_suffix(".flipped"), bytes(content))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(sorted(serialization.DTYPES)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "x"]), inner, max_size=3
    ),
    max_leaves=8,
)  # fmt: skip


@damage
@given(
    header=st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), json_values, max_size=3),
    data=st.binary(max_size=16),
)
def test_any_header_is_refused_or_read(path, header, data):
    read_or_refuse(path, file_of(header, data))


@damage
@given(content=st.binary(max_size=64))
def test_any_bytes_are_refused_or_read(path, content):
    read_or_refuse(path, content)


# ---- all or nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failed_write_leaves_everything_as_it_was(path, monkeypatch, step, error, exists):
    if exists:
        serialization.write(path, TENSORS, METADATA)
    before = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}

    def fail(*args):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(error):
        serialization.write(path, {"x": np.zeros(1000)})
    assert {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)} == before


def lines_of_the_library(call, at_line):
    """Runs `call`; before each line of Python in it `at_line` gets the line's number, from 0."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if event == "line" and frame.f_code.co_filename != __file__:
            count += 1
            at_line(count - 1)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # left unclosed
@pytest.mark.parametrize("exists", [True, False])
def test_an_interrupt_before_any_line_leaves_the_old_file_or_the_new_one(path, exists):
    new, old = {"new": np.ones(3)}, {"old": np.zeros(2)}

    def write_new():
        path.unlink(missing_ok=True)
        if exists:
            serialization.write(path, old)
        return lines_of_the_library(lambda: serialization.write(path, new), interrupt)

    def interrupt(line):
        if line == chosen:
            raise KeyboardInterrupt

    seen = set()
    for chosen in itertools.count():
        # How many lines there are differs: Python runs some of its own when it likes.
        with contextlib.suppress(KeyboardInterrupt):
            if write_new() <= chosen:
                break
        names = os.listdir(path.parent)
        assert names == [path.name] if exists else names in ([], [path.name]), chosen
        seen.update(serialization.read(path)[0] if names else ["none"])
    assert chosen > 50
    assert seen == ({"old", "new"} if exists else {"none", "new"})


def test_the_file_is_whole_on_the_disk_before_it_gets_its_name(path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    serialization.write(path, TENSORS)
    assert done[:2] == ["fsync", "replace"]
    if os.name == "posix":
        assert done[2:] == ["fsync"]


def test_replaces_a_file(written):
    serialization.write(written, {"x": np.ones(2)})
    assert_same(serialization.read(written)[0], {"x": np.ones(2)})
    assert os.listdir(written.parent) == [written.name]


@pytest.mark.skipif(os.name != "posix", reason="permission bits and links of POSIX")
class TestPosix:
    def test_a_new_file_has_the_permissions_that_open_gives(self, written):
        other = written.with_suffix(".other")
        other.touch()
        assert written.stat().st_mode == other.stat().st_mode

    def test_a_replaced_file_keeps_its_permissions(self, written):
        written.chmod(0o640)
        serialization.write(written, {})
        assert stat.S_IMODE(written.stat().st_mode) == 0o640

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o660])
    def test_nobody_may_open_the_temporary_who_may_not_open_the_file(self, written, mode):
        written.chmod(mode)
        seen = set()

        def look(line):
            seen.update(
                (name, stat.S_IMODE(os.stat(written.parent / name).st_mode))
                for name in os.listdir(written.parent)
            )

        lines_of_the_library(lambda: serialization.write(written, {}), look)
        assert len({name for name, _ in seen}) == 2
        assert all(found & ~mode == 0 for _, found in seen)
        assert stat.S_IMODE(written.stat().st_mode) == mode

    @pytest.mark.parametrize("allowed", [True, False])
    def test_a_replaced_file_keeps_owner_and_group_where_it_may(
        self, written, monkeypatch, allowed
    ):
        asked, fstat = [], os.fstat
        written.chmod(0o664)

        def by_others(descriptor):  # The temporary file belongs to somebody else.
            found = list(fstat(descriptor))
            found[4:6] = found[4] + 1, found[5] + 1
            return os.stat_result(found)

        def fchown(descriptor, *ids):
            asked.append(ids)
            if not allowed:
                raise PermissionError(errno.EPERM, "not yours")

        monkeypatch.setattr(os, "fstat", by_others)
        monkeypatch.setattr(os, "fchown", fchown)
        serialization.write(written, {})
        monkeypatch.undo()
        found = written.stat()
        assert asked == [(found.st_uid, -1), (-1, found.st_gid)]
        assert stat.S_IMODE(found.st_mode) == (0o664 if allowed else 0o644)

    def test_errors_of_a_full_disk_name_the_file(self, written):
        resource = pytest.importorskip("resource")
        before, limits = written.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
        for limit in (0, 100, 100_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            try:
                with pytest.raises(OSError, match="File too large") as raised:
                    serialization.write(written, {"x": np.zeros(100_000)})
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert raised.value.errno == errno.EFBIG
            assert raised.value.filename == str(written)
            assert written.read_bytes() == before
            assert os.listdir(written.parent) == [written.name]

    @pytest.mark.parametrize("step", ["open", "fchmod", "fsync", "replace"])
    def test_errors_of_every_step_name_the_file(self, written, monkeypatch, step):
        def fail(*arguments):
            raise OSError(errno.EIO, os.strerror(errno.EIO), *map(str, arguments[:1]))

        monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="Input/output error") as raised:
            serialization.write(written, {})
        assert raised.value.filename == str(written)

    def test_what_a_killed_writer_left_is_removed(self, written, tmp_path):
        code = (
            "import os, signal, sys\n"
            "from fastweights import serialization\n"
            "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
            "serialization.write(sys.argv[1], {})\n"
        )
        other = tmp_path / "other.safetensors"
        for target in (written, written, other):
            killed = subprocess.run([sys.executable, "-c", code, target], check=False)
            assert killed.returncode == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 3  # The second one removed what the first one left.
        left = next(name for name in os.listdir(tmp_path) if name.startswith(".fastweights-"))
        alive = left.rsplit("-", 2)[0] + f"-{os.getppid()}-{'0' * 12}.tmp"
        (tmp_path / alive).touch()
        serialization.write(written, {})
        serialization.write(other, {})
        assert sorted(os.listdir(tmp_path)) == sorted([alive, written.name, other.name])

    def test_a_link_stays_and_what_it_points_to_is_replaced(self, written):
        link = written.with_suffix(".link")
        link.symlink_to(written.name)
        serialization.write(link, {"x": np.ones(2)})
        assert link.is_symlink()
        assert_same(serialization.read(written)[0], {"x": np.ones(2)})

    @pytest.mark.parametrize("function", [serialization.read, lambda p: serialization.write(p, {})])
    def test_what_is_not_a_file_is_left_alone(self, path, function):
        path.mkdir()
        pipe = path / "pipe"
        os.mkfifo(pipe)
        for other, kind in ((path, "directory"), (pipe, "pipe"), ("/dev/zero", "device")):
            with pytest.raises(ValueError, match=f"path: got {other}, which is a {kind}"):
                function(other)
