"""Files that are damaged or made to hurt: each is read and works, or is one clear refusal.

The long form, ``FASTWEIGHTS_LONG=1 pytest tests/test_hostile_files.py``, tries 20,000 damaged files
and 3,000 damaged preprocessings. ``--durations=0`` tells how long each hostile file takes.
"""

from __future__ import annotations

import copy
import json
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from damage import cases, damaged_bytes, damaged_json, damaged_text

import fastweights as fw
from fastweights import _json, cli, layers
from fastweights.saving import TABLE
from fastweights.table import Preprocessor

DESCRIPTION = "fastweights.model"
ROOM = 16 * 2**20


@pytest.fixture(autouse=True)
def _no_more_than_a_gigabyte_and_a_minute() -> Iterator[None]:
    """What a file gets away with shall not take the machine along."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if statm.exists():
        in_use = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**30, limits[1]))

    def stop(*arguments: Any) -> None:
        raise TimeoutError("reading does not come to an end")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def network(outputs: int = 3) -> fw.Sequential:
    stack = [layers.Dense(4, "relu"), layers.Flatten(), layers.Dense(outputs)]
    model = fw.Sequential(stack, input_shape=5, seed=0)
    model.compile("adam", "huber", ["mae", "r2"])
    return model


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("honest") / "m.safetensors"
    network().save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> bytes:
    """A model of two inputs, in which a layer is called twice and another one skipped."""
    a, b, shared = fw.Input(3), fw.Input(3, name="other"), layers.Dense(4, "relu")
    both = layers.Add()([shared(a), shared(b)])
    last = layers.Concatenate()([both, layers.Dense(3)(both)])
    model = fw.Model([a, b], layers.Dense(2)(last), seed=0)
    model.compile("adam", "mse")
    path = tmp_path_factory.mktemp("graph") / "m.safetensors"
    model.save(path)
    return path.read_bytes()


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a file, and the bytes of its tensors."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def file_of(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def refusal(path: Path) -> str | None:
    """The message of the one error that loading may raise, or None where the file loads."""
    signal.alarm(60)
    try:
        model = fw.load(path)
    except ValueError as error:
        refused = error
    else:
        config = model.config()
        shapes = [entry["shape"] for entry in config.get("inputs", [{"shape": model.input_shape}])]
        rows = [np.ones((2, *shape)) for shape in shapes]
        outputs = model.predict(rows if len(rows) > 1 else rows[0])
        assert len(outputs) == 2
        return None
    finally:
        signal.alarm(0)
    message = str(refused)
    assert type(refused) is ValueError
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 2000
    return message


# ---- damaged files -------------------------------------------------------------------------------


def damaged_file(content: bytes, random: Random) -> bytes:
    """Damage anywhere, or in the header, or in the description of the model, else a whole file."""
    kind = random.choice(["anywhere", "header", "description"])
    if kind == "anywhere":
        return damaged_bytes(content, random)
    header, data = parts(content)
    if kind == "header":
        return file_of(damaged_json(header, random), data)
    description = json.loads(header["__metadata__"][DESCRIPTION])
    header["__metadata__"][DESCRIPTION] = damaged_text(description, random)
    return file_of(header, data)


@pytest.mark.parametrize("kind", ["honest", "graph"])
def test_damaged_files_are_read_or_refused(kind, tmp_path, request):
    path = tmp_path / "damaged.safetensors"
    content = request.getfixturevalue(kind)
    read = 0
    count = cases(300, 20_000)
    for seed in range(count):
        path.write_bytes(damaged_file(content, Random(seed)))
        try:
            read += refusal(path) is None
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
    assert 0.02 * count < read < 0.4 * count


# ---- damaged preprocessings ----------------------------------------------------------------------

ROWS = 40


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> str:
    random = Random(0)
    lines = ["size,town,rent,kind"]
    for row in range(ROWS):
        size = "" if row % 9 == 3 else f"{random.uniform(20, 120):.1f}"
        rent = f"{random.lognormvariate(6, 1):.2f}"
        lines.append(f"{size},{random.choice('ABC')},{rent},{random.choice(['low', 'high'])}")
    path = tmp_path_factory.mktemp("table") / "flats.csv"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory) -> list[Path]:
    """A model of rents by their logarithm, and one of kinds."""
    folder = tmp_path_factory.mktemp("trained")
    for target, *options in (["rent", "--log-target"], ["kind"]):
        argv = ["train", table, "--target", target, *options, "--epochs", "3", "--quiet"]
        assert cli.main([*argv, "--out", str(folder / target)]) == 0
    return [folder / "kind", folder / "rent"]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_damaged_preprocessings_are_used_or_refused(trained, table, tmp_path, capsys, command):
    path = tmp_path / "damaged.safetensors"
    honest = [parts(file.read_bytes()) for file in trained]
    used = 0
    count = cases(300, 3000)
    for seed in range(count):
        random = Random(seed)
        header, data = copy.deepcopy(random.choice(honest))
        metadata = header["__metadata__"]
        metadata[TABLE] = damaged_text(json.loads(metadata[TABLE]), random)
        path.write_bytes(file_of(header, data))
        signal.alarm(60)
        try:
            code = cli.main([command, str(path), table])
        except BaseException as error:
            raise AssertionError(f"seed {seed}") from error
        signal.alarm(0)
        printed = capsys.readouterr()
        if code == 0:
            used += 1
            assert printed.out.count("\n") == ROWS + 1 if command == "predict" else printed.out
        else:
            assert code == 2
            assert printed.err.splitlines()[-1].startswith("fastweights: error: "), seed
            assert printed.err.count("fastweights: error: ") == 1
            assert len(printed.err) < 2000
            assert printed.out == ""
    assert 0.02 * count < used < 0.4 * count


# ---- hostile files -------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]


def dense(**changed: Any) -> Change:
    """Other settings of the first layer."""
    return lambda d: d["model"]["layers"][0].update(changed)


def whole(**changed: Any) -> Change:
    return lambda d: d["model"].update(changed)


def compiled(**changed: Any) -> Change:
    return lambda d: d["compile"].update(changed)


def named(*names: Any) -> Change:
    """Metrics of these names."""
    return lambda d: d["compile"].update(
        metrics=[{"kind": "mean_absolute_error", "name": name} for name in names]
    )


def stack(count: int, **settings: Any) -> Change:
    return lambda d: d["model"].update(layers=[settings] * count)


def wide(size: int, **settings: Any) -> Change:
    """A network of a size whose tensors the file does not have."""

    def change(d: dict[str, Any]) -> None:
        d["model"]["input_shape"] = [size]
        d["model"]["layers"][0].update(units=size, **settings)

    return change


ORTHOGONAL = {"name": "orthogonal"}

DESCRIPTIONS: dict[str, Change] = {
    "no units": dense(units=0),
    "less than no units": dense(units=-4),
    "two billion units": dense(units=2**31),
    "more units than an address has": dense(units=2**62),
    "units of 31 digits": dense(units=10**30),
    "half a unit": dense(units=4.5),
    "units in words": dense(units="4"),
    "units that are true": dense(units=True),
    "unknown activation": dense(activation={"name": "rellu"}),
    "an activation in a list": dense(activation=["relu"]),
    "a slope of text": dense(activation={"name": "leaky_relu", "negative_slope": "x"}),
    "a slope that is a list": dense(
        activation={"name": "leaky_relu", "negative_slope": [0.1] * 9999}
    ),
    "an initialiser without a name": dense(kernel_initializer={}),
    "an initialiser below zero": dense(kernel_initializer={"name": "random_normal", "stddev": -1}),
    "an initialiser of 20,000 numbers": dense(
        kernel_initializer={"name": "constant", "value": [0.5] * 20_000}
    ),
    "a setting that there is not": dense(surprise=1),
    "a setting called self": dense(self=1),
    "another class": dense(**{"class": "Conv2D"}),
    "a class that is a number": dense(**{"class": 3}),
    "a bias of text": dense(use_bias="yes"),
    "a name that is a number": dense(name=3),
    "a name twice": dense(name="dense_1"),
    "300 MB to draw": wide(6000),
    "6 GB to draw": wide(40_000),
    "1.6 GB of zeros": wide(20_000, kernel_initializer={"name": "zeros"}),
    "a large orthogonal matrix": wide(3000, kernel_initializer=ORTHOGONAL),
    "a larger orthogonal matrix": wide(12_000, kernel_initializer=ORTHOGONAL),
    "an input of many dimensions": whole(input_shape=[1] * 20_000),
    "an input of 65 dimensions": whole(input_shape=[1] * 64 + [5]),
    "an input of 2^62": whole(input_shape=[2**62]),
    "an input whose size overflows": whole(input_shape=[2**32, 2**32]),
    "an input of 39 digits": whole(input_shape=[10**38]),
    "an input of nothing": whole(input_shape=[]),
    "an input below nothing": whole(input_shape=[-5]),
    "an input that is nested": whole(input_shape=[[5]]),
    "an input of text": whole(input_shape="5"),
    "no input": whole(input_shape=None),
    "objects for weights": whole(dtype="O"),
    "strings for weights": whole(dtype="S1000000000"),
    "records for weights": whole(dtype="f4,f4"),
    "half precision": whole(dtype="float16"),
    "a seed below 0": whole(seed=-1),
    "a seed of 65 bits": whole(seed=2**64),
    "no layers": whole(layers=[]),
    "layers in words": whole(layers="Dense"),
    "4,000 layers without tensors": stack(4000, **{"class": "Dense", "units": 1}),
    "5,000 layers of one name": stack(5000, **{"class": "Flatten", "name": "f"}),
    "9,000 layers and no tensor": stack(9000, **{"class": "Activation", "activation": "relu"}),
    "300 layers of 30 MB": stack(300, **{"class": "Dense", "units": 2800}),
    "no compile settings": lambda d: d.update(compile=None),
    "a learning rate below 0": compiled(optimizer={"name": "SGD", "learning_rate": -1}),
    "a learning rate of text": compiled(optimizer={"name": "SGD", "learning_rate": "1"}),
    "a beta of 2": compiled(optimizer={"name": "Adam", "beta_1": 2.0}),
    "an unknown optimizer": compiled(optimizer={"name": "Magic"}),
    "an optimizer of nothing": compiled(optimizer={}),
    "a delta below 0": compiled(loss={"name": "huber", "delta": -1.0}),
    "labels smoothed away": compiled(
        loss={"name": "categorical_crossentropy", "from_logits": True, "label_smoothing": 7}
    ),
    "a loss of nothing": compiled(loss=[]),
    "metrics in words": compiled(metrics="mae"),
    "an unknown metric": compiled(metrics=[{"kind": "nothing", "name": "x"}]),
    "a metric without a name": named(None),
    "a metric named by a number": named(3),
    "a metric called val_loss": named("val_loss"),
    "a metric twice": named("mae", "mae"),
    "more than there may be": compiled(surprise=1),
}


def calls(*changed: Any) -> Change:
    return whole(calls=list(changed))


def call(number: int, *parts: Any) -> Change:
    """Another call in the place of this one."""
    return lambda d: d["model"]["calls"].__setitem__(number, list(parts))


def inputs(**changed: Any) -> Change:
    """Other settings of the first input."""
    return lambda d: d["model"]["inputs"][0].update(changed)


def each_reads(kind: str, count: int, read: Callable[[int], list[int]]) -> Change:
    """One layer that is called so often, with one input and nothing else."""
    return lambda d: d["model"].update(
        inputs=[{"name": "x", "shape": [3]}],
        layers=[{"class": kind}],
        calls=[[0, read(number)] for number in range(count)],
        outputs=[count],
    )


#: Of the file `graph`: its values are the inputs 0 and 1, then what the calls 2 to 7 make.
GRAPHS: dict[str, Change] = {
    "no inputs": whole(inputs=[]),
    "inputs that are a number": whole(inputs=2),
    "inputs in words": whole(inputs="ab"),
    "inputs without names": whole(inputs=[{"shape": [3]}] * 2),
    "inputs that are shapes": whole(inputs=[[3], [3]]),
    "an input too few": lambda d: d["model"]["inputs"].pop(),
    "an input too many": lambda d: d["model"]["inputs"].append({"name": "c", "shape": [3]}),
    "14,000 inputs": whole(inputs=[{"name": f"i{i}", "shape": [3]} for i in range(14_000)]),
    "an input with a surprise": inputs(surprise=1),
    "an input named by a number": inputs(name=3),
    "an input named by a list": inputs(name=[3]),
    "an input without a name": inputs(name=None),
    "an input with an empty name": inputs(name=""),
    "an input's name twice": inputs(name="other"),
    "an input of another width": inputs(shape=[4]),
    "an input of no width": inputs(shape=[0]),
    "an input below nothing": inputs(shape=[-3]),
    "an input of nothing": inputs(shape=[]),
    "an input of text": inputs(shape="3"),
    "an input of 2^62": inputs(shape=[2**62]),
    "an input whose size overflows": inputs(shape=[2**32, 2**32]),
    "an input of 65 dimensions": inputs(shape=[1] * 64 + [3]),
    "no calls": calls(),
    "calls that are a number": whole(calls=3),
    "calls in words": whole(calls="calls"),
    "calls by name": whole(calls={"dense": [0]}),
    "calls that are numbers": calls(0, 1, 2),
    "a call of one part": call(0, 0),
    "a call of three parts": call(0, 0, [0], [0]),
    "a call of four parts": call(0, 0, [0], {}, {}),
    "a call with a setting of no layer": call(0, 0, [0], {"use_causal_mask": True}),
    "a call with a value for a setting": call(0, 0, [0], {"x": [0]}),
    "a call of no layer": call(0, None, [0]),
    "a call of a layer in words": call(0, "dense", [0]),
    "a call of half a layer": call(0, 0.5, [0]),
    "a call of a layer that is true": call(0, True, [0]),
    "a call of the layer before the first": call(0, -1, [0]),
    "a call of the layer after the last": call(0, 5, [0]),
    "a call of layer 2^64": call(0, 2**64, [0]),
    "a call that reads nothing": call(2, 1, []),
    "a call that reads a number": call(0, 0, 0),
    "a call that reads words": call(0, 0, ["0"]),
    "a call that reads a list": call(0, 0, [[0]]),
    "a call that reads what is true": call(0, 0, [True]),
    "a call that reads half a value": call(0, 0, [0.5]),
    "a call that reads itself": call(0, 0, [2]),
    "a call that reads a later one": call(2, 1, [2, 7]),
    "a call that reads below nothing": call(0, 0, [-1]),
    "a call that reads value 2^64": call(0, 0, [2**64]),
    "a call that reads one too many": call(0, 0, [0, 1]),
    "a call that its layer's weights do not fit": lambda d: (
        d["model"]["calls"].append([0, [7]]),
        d["model"].update(outputs=[8]),
    ),
    "a call whose result nobody reads": call(2, 1, [2, 2]),
    "an input that nobody reads": call(1, 0, [0]),
    "a layer without a call": lambda d: d["model"]["layers"].append({"class": "Flatten"}),
    "no outputs": whole(outputs=[]),
    "outputs that are a number": whole(outputs=7),
    "outputs that are nothing": whole(outputs=None),
    "outputs in words": whole(outputs="7"),
    "outputs by the name of nothing": whole(outputs={"": 7}),
    "no outputs by name": whole(outputs={}),
    "a million outputs": whole(outputs=[7] * 10**6),
    "an output below nothing": whole(outputs=[-1]),
    "an output after the last": whole(outputs=[8]),
    "an output 2^64": whole(outputs=[2**64]),
    "an output that is true": whole(outputs=[True]),
    "an output in the middle": whole(outputs=[5]),
    "an output that is an input": whole(outputs=[0]),
    "no outputs at all": lambda d: d["model"].pop("outputs"),
    "no calls at all": lambda d: d["model"].pop("calls"),
    "no inputs at all": lambda d: d["model"].pop("inputs"),
    "an input_shape besides": whole(input_shape=[3]),
    "a million calls of one layer": each_reads("Flatten", 10**6, lambda i: [i]),
    "19,000 calls of one layer": each_reads("Flatten", 19_000, lambda i: [i]),
    "9,999 calls of one layer": each_reads("Flatten", 9_999, lambda i: [i]),
    "sums that double 9,999 times": each_reads("Add", 9_999, lambda i: [i, i]),
    "rows that double 9,999 times": each_reads("Concatenate", 9_999, lambda i: [i, i]),
    "a sum of all before, 440 times": each_reads("Add", 440, lambda i: list(range(i + 1))),
    "a sum of 99,999": each_reads("Add", 1, lambda i: [0] * 99_999),
    "a sum of 150,000": each_reads("Add", 1, lambda i: [0] * 150_000),
    "a million numbers for one call": each_reads("Add", 1, lambda i: [0] * 10**6),
}

TEXTS: dict[str, str] = {
    "nothing": "",
    "no object": "[]",
    "nested 100,000 deep": "[" * 100_000,
    "nested 5,000 deep": '{"model":' * 5000 + "1" + "}" * 5000,
    "a million lists": '{"model": [' + "[]," * 1_000_000 + "[]]}",
    "300,000 objects": '{"model": [' + '{"a":1},' * 300_000 + "{}]}",
    "a number of two million digits": '{"model": ' + "7" * 2_000_000 + "}",
    "a float of two million digits": '{"model": ' + "7" * 2_000_000 + ".5}",
    "a number beyond floats": '{"model": 1e999}',
    "a number of 400 digits": '{"model": ' + "7" * 400 + "}",
    "NaN": '{"model": NaN}',
    "a name twice": '{"model": 1, "model": 2}',
    "half a surrogate pair": '{"model": "\\ud800"}',
    "text of two megabytes": '{"model": "' + "🙂" + "x" * 2_000_000 + '"}',
}


def tensor(begin: int, end: int, dtype: str = "F32", shape: tuple[int, ...] = (1,)) -> Any:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def many_tensors(header: dict[str, Any]) -> None:
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name[0] != "_")
    header.update({f"more{i}": tensor(end, end, shape=(0,)) for i in range(6000)})


HEADERS: dict[str, Change] = {
    "no tensor for a weight": lambda h: h.pop("3.bias"),
    "a tensor of another shape": lambda h: h["0.weight"].update(shape=[5, 4]),
    "a tensor of huge shape": lambda h: h["0.weight"].update(shape=[2**31, 2**31]),
    "a tensor of nothing times much": lambda h: h.update(x=tensor(0, 0, shape=(0, 2**62, 2**62))),
    "a tensor of another dtype": lambda h: h["3.bias"].update(dtype="I32"),
    "a tensor of an unknown dtype": lambda h: h["3.bias"].update(dtype="F8_E4M3"),
    "6,000 tensors more": many_tensors,
    "20,000 entries of metadata": lambda h: h.update(
        __metadata__={f"{i:x}": f"{i:x}" for i in range(20_000)}
    ),
    "a format to come": lambda h: h["__metadata__"].update({"fastweights.format": "99"}),
    "no description": lambda h: h["__metadata__"].pop(DESCRIPTION),
}

CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "a header of 2^64 bytes": b"\xff" * 8,
    "a header of zeros": file_of(b"\0" * 2_000_000, b""),
    "a header of a million lists": file_of(b'{"a":[' + b"[]," * 1_000_000 + b"[]]}", b""),
    "a header of quotes": file_of(b'{"a":' + b'""' * 1_000_000 + b"}", b""),
    "a header of backslashes": file_of(b'{"a":"' + b"\\" * 2_000_000 + b'"}', b""),
    "a tensor of 2^50 bytes": file_of({"a": tensor(0, 2**50, "U8", (2**50,))}, b""),
    "a million tiny tensors": file_of(
        b"{" + b",".join(b'"%d":{}' % i for i in range(300_000)) + b"}", b""
    ),
}

KINDS: dict[str, dict[str, Any]] = {
    "description": DESCRIPTIONS, "graph": GRAPHS, "text": TEXTS, "header": HEADERS,
    "content": CONTENTS,
}  # fmt: skip
HOSTILE = [(kind, name) for kind, entries in KINDS.items() for name in entries]


def hostile_file(honest: bytes, kind: str, name: str) -> bytes:
    entry = KINDS[kind][name]
    if kind == "content":
        return entry
    header, data = parts(honest)
    metadata = header["__metadata__"]
    if kind == "text":
        metadata[DESCRIPTION] = entry
    elif kind == "header":
        entry(header)
        ends = [e["data_offsets"][1] for n, e in header.items() if n != "__metadata__"]
        data = data[: max(ends)]
    else:
        description = json.loads(metadata[DESCRIPTION])
        entry(description)
        metadata[DESCRIPTION] = json.dumps(description)
    return file_of(header, data)


@pytest.mark.parametrize(("kind", "name"), HOSTILE, ids=[f"{k}-{n}" for k, n in HOSTILE])
def test_hostile_files_are_refused_in_little_memory(honest, graph, tmp_path, kind, name):
    path = tmp_path / "hostile.safetensors"
    content = hostile_file(graph if kind == "graph" else honest, kind, name)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert refusal(path) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 2 * len(content) + ROOM, f"{peak / 2**20:.0f} MiB for {len(content):,} bytes"


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("part", ['\\"[', "\\\\", "[" * 9, "é"])
def test_long_texts_are_no_lists(part, before):
    """JSON is looked at in blocks, between two of which a string or an escape may go on."""
    text = f'["{"a" * before}{part * 200_000}"]'
    assert _json.loads("text", text) == json.loads(text)
    with pytest.raises(ValueError, match=r"about \d+ values"):
        _json.loads("text", f"[{text}{', []' * 200_000}]")
    with pytest.raises(ValueError, match="nested 40 deep"):
        _json.loads("text", f"[{text}, {'[' * 39}{']' * 39}]")


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_preprocessings_are_refused_in_little_memory(name):
    text = TEXTS[name]
    signal.alarm(60)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="preprocessing: got") as raised:
            Preprocessor.from_json(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(raised.value)) < 2000
    assert peak <= 2 * len(text) + ROOM


def test_the_hostile_files_are_hostile_for_their_own_sake(honest, graph, tmp_path):
    """The files that they are made from, taken apart and put together, load."""
    path = tmp_path / "honest.safetensors"
    for content in (honest, graph):
        path.write_bytes(file_of(*parts(content)))
        assert refusal(path) is None
    assert len(HOSTILE) >= 60
