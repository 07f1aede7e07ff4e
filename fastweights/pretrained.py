"""Weights of files into a model that is there: of PyTorch, of Keras, or of this library.

# Design: a file and a model are each a list of layers, and a layer is its tensors by their names
# within it, as the file's kind has them. Layers are brought together first by names that somebody
# gave them, then by what they are made of, in order; where that leaves a choice nothing is loaded.
# A layer is loaded whole or not at all, and so is a file unless the caller asks for what fits.
"""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _files, _weight_files, saving
from fastweights._building import Built
from fastweights._network import snake_case
from fastweights._weight_files import WeightFile
from fastweights.layers import Layer, ReversibleEmbedding
from fastweights.layers.ops import Shape
from fastweights.models import Model

#: How many lines of a kind a table has.
_MOST_LINES = 40


class Loaded(NamedTuple):
    """A tensor that was taken: its name here, its name and shape in the file."""

    ours: str
    theirs: str
    shape: Shape


class Mismatched(NamedTuple):
    """One of a layer that the file has otherwise: the shape that would fit, and the one it has."""

    ours: str
    theirs: str
    shape: Shape
    their_shape: Shape


class LoadReport(NamedTuple):
    """What became of a file's tensors; its `str` is a table.

    Attributes
    ----------
    loaded : tuple of Loaded
    missing : tuple of str
        Names of the model's weights for which the file has nothing.
    unused : tuple of str
        Names in the file of what the model has no place for.
    mismatched : tuple of Mismatched
        All tensors of layers of which one has another shape: a layer is loaded whole or not at all.
    """

    loaded: tuple[Loaded, ...] = ()
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    mismatched: tuple[Mismatched, ...] = ()

    def __str__(self) -> str:
        return _table(
            [
                *_clipped([_line(one, "mismatched") for one in self.mismatched]),
                *_clipped([(_shown(name), "-", "", "missing") for name in self.missing]),
                *_clipped([("-", _shown(name), "", "unused") for name in self.unused]),
                *_clipped([_line(one, "loaded") for one in self.loaded]),
            ]
        )


_Cells = tuple[str, str, str, str]


def _line(one: Loaded | Mismatched, word: str) -> _Cells:
    shape = str(one.shape)
    if isinstance(one, Mismatched) and one.shape != one.their_shape:
        shape = f"{one.their_shape}, not {one.shape}"
    return _shown(one.ours), _shown(one.theirs), shape, word


def _shown(name: str) -> str:
    """As it is, but for what would tear a table apart."""
    return name if name.isprintable() and len(name) <= 80 else _check.shown(name)


def _clipped(lines: list[_Cells]) -> list[_Cells]:
    more = len(lines) - _MOST_LINES
    return lines if more <= 0 else [*lines[:_MOST_LINES], (f"... and {more} more", "", "", "")]


def _table(lines: Sequence[_Cells]) -> str:
    rows = [("model", "file", "shape in the file", ""), *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    cells = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(cell.rstrip() for cell in cells)


class _Tensor(NamedTuple):
    name: str
    shape: Shape


class _Group(NamedTuple):
    """A layer of the model or of the file.

    Attributes
    ----------
    path : str
        Where the file has it; of ours where torch's file of an equal network would have it.
    names : frozenset of str
        By which it may be known: of ours those that somebody gave it.
    tensors : dict of str to _Tensor
        By their names within the layer.
    kind : str
        Of layer, where the file says it.
    title : str
        Of ours: the layer's name.
    """

    path: str
    names: frozenset[str]
    tensors: dict[str, _Tensor]
    kind: str = ""
    title: str = ""

    @property
    def made_of(self) -> frozenset[tuple[str, Any]]:
        shapes = ((part, tensor.shape) for part, tensor in self.tensors.items())
        return frozenset([*shapes, ("", self.kind)])


def load_weights(
    model: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False
) -> LoadReport:
    """What `Model.load_weights` does."""
    _check.flag("skip_mismatch", skip_mismatch)
    built, path = model._built_or_refused(), _files.path_text(filepath, "filepath")
    with _weight_files.opened(path) as file:
        ours = _Ours(built, file)
        theirs, twins = _without_twins(_groups_of(file, ours.parts), ours.tied_shapes(), file)
        pairs, choices = _paired(ours.groups, theirs, file)
        fitting = {
            mine: its
            for mine, its in pairs.items()
            if ours.groups[mine].made_of == theirs[its].made_of
        }
        report = _report(ours, theirs, pairs, fitting, file.others, twins)
        what = _figures(report)
        if choices or (what and not (skip_mismatch and report.loaded)):
            raise ValueError(f"{path}: {_why(choices, what, report)}\n{report}")
        names = {
            tensor.name: theirs[its].tensors[part].name
            for mine, its in fitting.items()
            for part, tensor in ours.groups[mine].tensors.items()
        }
        numbers, arrays = ours.arrays(names, path)
    try:
        model._built_or_refused().write_some(numbers, arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if unclear := ours.unclear:
        warnings.warn(
            f"load_weights: {path}: PyTorch has the channels of images and series first: the "
            f"weights of {_listed(unclear)} were taken as if what they read lay there as here; "
            "layers.Permute((3, 1, 2)) behind images, (2, 1) behind series, makes it so",
            stacklevel=4,
        )
    if what:
        left_out = report._replace(loaded=())
        warnings.warn(f"load_weights: {path}: left out {what}\n{left_out}", stacklevel=4)
    return report


# ---- what is said of it --------------------------------------------------------------------------


def _report(
    ours: _Ours,
    theirs: Sequence[_Group],
    pairs: Mapping[int, int],
    fitting: Mapping[int, int],
    others: Sequence[str],
    twins: Mapping[str, list[str]],
) -> LoadReport:
    unused = [name for name in others if not _is_left_aside(name)]
    loaded, missing, mismatched = [], [], []
    for mine, group in enumerate(ours.groups):
        found = theirs[pairs[mine]].tensors if mine in pairs else {}
        for part, (name, shape) in group.tensors.items():
            title = ours.title(name)
            if part not in found:
                missing.append(title)
            elif mine in fitting:
                names = [found[part].name, *twins.get(found[part].name, ())]
                loaded += [Loaded(title, name, shape) for name in names]
            else:
                mismatched.append(Mismatched(title, found[part].name, shape, found[part].shape))
        unused += [tensor.name for part, tensor in found.items() if part not in group.tensors]
    taken = set(pairs.values())
    for its, group in enumerate(theirs):
        if its not in taken:
            unused += [tensor.name for tensor in group.tensors.values()]
    missing = list(dict.fromkeys(missing))
    return LoadReport(tuple(loaded), tuple(missing), tuple(unused), tuple(mismatched))


def _figures(report: LoadReport) -> str:
    """How many do not fit; nothing where all do."""
    counts = [f"{len(getattr(report, kind))} {kind}" for kind in report._fields[1:]]
    told = [count for count in counts if not count.startswith("0 ")]
    return f"{', '.join(told)} tensors" if told else ""


def _why(choices: Sequence[_Choice], what: str, report: LoadReport) -> str:
    if choices:
        mine, its = choices[0]
        here, there = _listed(mine), _listed(its)
        expected = (
            "names or numbers that tell them apart; give the layers the names that the file has, "
            "as in Dense(8, name='fc1')"
        )
        return f"got {there}, which {here} might be in more than one way, expected {expected}"
    expected = "the weights of the same layers"
    if report.loaded:
        expected += ", or skip_mismatch=True to load those that fit"
    return f"got {what}, expected {expected}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(_check.shown(name) for name in names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


# ---- the model's side ----------------------------------------------------------------------------


class _Ours:
    """The model's layers as a file of this kind would have them.

    Attributes
    ----------
    groups : list of _Group
        Those that have weights, in the order in which such a file has layers.
    parts : list of str
        What tensors are called within layers, the longest first.
    """

    def __init__(self, built: Built, file: WeightFile) -> None:
        self._built, self._file = built, file
        self._stored = saving.Stored(built) if file.parts is None else None
        self._paths = saving.modules_of(built)
        #: Of each variable and state the tensors that it is made of; of states of rows none.
        self._tensors = [self._made_of(number) for number in range(len(built.owned))]
        self._titles: dict[str, str] = {}
        for number, tensors in enumerate(self._tensors):
            for tensor in tensors:
                known = self._titles.get(tensor)
                self._titles[tensor] = ", ".join(filter(None, (known, self._name(number))))
        self.groups = [group for group in map(self._group, self._layers()) if group.tensors]
        found = {part for group in self.groups for part in group.tensors}
        self.parts = sorted(found, key=lambda part: (-len(part), part))

    def _name(self, number: int) -> str:
        layer, variable = self._built.owned[number]
        return f"{layer.name}/{variable.name}"

    def _made_of(self, number: int) -> list[str]:
        """Those that `Stored` asks for."""
        if self._built.owned[number][1].of_rows:
            return []
        if self._stored is None:
            return [self._name(number)]
        asked, shapes = [], self._stored.shapes

        def read(name: str) -> np.ndarray:
            asked.append(name)
            return np.broadcast_to(np.zeros((), self._built.dtype), shapes[name])

        self._stored.array(number, read)
        return asked

    def _layers(self) -> Sequence[Layer]:
        return self._built.layers if self._stored is not None else keras_order(self._built)

    def _group(self, layer: Layer) -> _Group:
        numbers, tensors = self._built.weights_of(layer), {}
        if self._stored is None:
            variables = [self._built.owned[number][1] for number in numbers]
            parts = [variable.name for variable in variables]
            if self._file.are_numbered:
                parts = _weight_files.numbered(parts)
            for number, part, variable in zip(numbers, parts, variables, strict=True):
                tensors[part] = _Tensor(self._name(number), variable.shape)
            kind = snake_case(type(layer).__name__) if self._file.kinds else ""
            return _Group("", _given_names(layer), tensors, kind, str(layer.name))
        path = self._paths[id(layer)]
        for tensor in itertools.chain.from_iterable(self._tensors[number] for number in numbers):
            part = tensor.removeprefix(f"{path}.")
            tensors[part] = _Tensor(tensor, self._stored.shapes[tensor])
        return _Group(path, _given_names(layer), tensors, title=str(layer.name))

    def tied_shapes(self) -> set[Shape]:
        """Of tables that may be two modules in a file of torch (see `ReversibleEmbedding`)."""
        tied = (
            number
            for layer in self._built.layers
            if isinstance(layer, ReversibleEmbedding) and layer.tie_weights
            for number in self._built.numbers_of(layer)
        )
        return {self._built.owned[number][1].shape for number in tied}

    @property
    def unclear(self) -> list[str]:
        """Names of layers whose weights may be in another order in the file."""
        return [] if self._stored is None else [str(one.name) for one in self._stored.unclear]

    def title(self, tensor: str) -> str:
        """What it is in the model: a variable, or several of which each has a part of it."""
        return self._titles[tensor]

    def arrays(self, names: Mapping[str, str], path: str) -> tuple[list[int], list[np.ndarray]]:
        """The variables and states of which all is there, by their tensors' names in the file."""
        known: dict[str, np.ndarray] = {}

        def read(tensor: str) -> np.ndarray:
            if tensor not in known:
                name = names[tensor]
                argument = f"{path}: tensor {_check.shown(name)}"
                known[tensor] = _check.reals(argument, self._file.read(name), self._built.dtype)
            return known[tensor]

        whole = [
            n for n, tensors in enumerate(self._tensors) if tensors and names.keys() >= set(tensors)
        ]
        if self._stored is None:
            return whole, [read(self._name(number)) for number in whole]
        return whole, [self._stored.array(number, read) for number in whole]


def _given_names(layer: Layer) -> frozenset[str]:
    """The name that somebody gave it, and not such as it has when nobody does."""
    name, stem = layer._given_name, re.escape(snake_case(type(layer).__name__))
    if name is None or re.fullmatch(rf"{stem}(_\d+)?", name):
        return frozenset()
    return frozenset({name})


def keras_order(built: Built) -> list[Layer]:
    """The layers in the order in which Keras lists those of such a model.

    The farthest from an output first; those that are equally far as they are met on the way from
    the outputs to the inputs, along the first of what each call reads. A call of a layer is as far
    as those of the same layer that come before it in the way back: Keras's order depends on it.
    """
    topology, makers = built.topology, built.topology.makers()
    met: dict[int, int] = {}
    left: dict[int, None] = {}
    entered: set[int] = set()
    waiting = [makers[number] for number in reversed(topology.outputs)]
    while waiting:
        number = waiting[-1]
        if number is None or number in entered:
            waiting.pop()
            if number is not None:
                left.setdefault(number)
            continue
        entered.add(number)
        layer, reads, _ = topology.calls[number]
        met.setdefault(id(layer), len(met))
        waiting += [makers[read] for read in reversed(reads)]
    # How far calls are, and inputs, whose figure nobody asks for.
    far, farthest = Counter[int | None](), Counter[int]()
    for number in reversed(left):
        layer, reads, _ = topology.calls[number]
        farthest[id(layer)] = max(far[number], farthest[id(layer)])
        for read in reads:
            far[makers[read]] = max(far[makers[read]], farthest[id(layer)] + 1)
    return sorted(built.layers, key=lambda layer: (-farthest[id(layer)], met[id(layer)]))


# ---- the file's side, and which layers belong together -------------------------------------------


def _groups_of(file: WeightFile, parts: Sequence[str]) -> list[_Group]:
    """The layers of a file, in its order."""
    found: dict[str, dict[str, _Tensor]] = {}
    for name, shape in file.shapes.items():
        if file.parts is not None:
            path, part = file.parts[name]
        elif _is_left_aside(name):
            continue
        else:
            path, part = _split(name, parts)
        if part in found.get(path, {}):
            path = name
        found.setdefault(path, {})[part] = _Tensor(name, shape)
    return [
        _Group(path, _names_in(file, path), tensors, file.kinds.get(path, ""))
        for path, tensors in found.items()
    ]


def _without_twins(
    groups: Sequence[_Group], shapes: Collection[Shape], file: WeightFile
) -> tuple[list[_Group], dict[str, list[str]]]:
    """The file's layers; of those that are one tensor of such a shape, all alike, the first one.

    In PyTorch two modules that have their weights in common both have them in a file. Also says by
    the name of a tensor those of its twins.
    """
    kept: list[_Group] = []
    twins: dict[str, list[str]] = {}
    seen: list[tuple[str, np.ndarray]] = []
    for group in groups:
        name, shape = next(iter(group.tensors.values()))
        if len(group.tensors) > 1 or shape not in shapes:
            kept.append(group)
            continue
        numbers = np.asarray(file.read(name))
        same = [first for first, known in seen if np.array_equal(known, numbers)]
        if same:
            twins.setdefault(same[0], []).append(name)
        else:
            seen.append((name, numbers))
            kept.append(group)
    return kept, twins


def _is_left_aside(name: str) -> bool:
    """Whether it is what modules of torch, or files of this library, have beside weights."""
    return name == saving.STATE or name.rpartition(".")[2] == "num_batches_tracked"


def _split(name: str, parts: Sequence[str]) -> tuple[str, str]:
    """The module that torch has a tensor in, and its name there."""
    path, _, last = name.rpartition(".")
    if (layer := re.fullmatch(r"(.+_l)([1-9][0-9]*)(_reverse)?", last)) is not None:
        first = f"{layer[1]}0{layer[3] or ''}"
        if first in parts:  # of a stack that is one module, of which each is a layer here
            return f"{path}_{layer[2]}", first
    for part in parts:
        if name == part or name.endswith(f".{part}"):
            return name[: -len(part)].rstrip("."), part
    return path, last


def _names_in(file: WeightFile, path: str) -> frozenset[str]:
    if file.parts is not None:
        return frozenset({file.titles.get(path, path.rpartition("/")[2])})
    steps = path.split(".")[-8:]
    return frozenset(".".join(steps[first:]) for first in range(len(steps)))


#: Layers of the model, and paths of those in the file of which each might be any of them.
_Choice = tuple[list[str], list[str]]


def _paired(
    ours: Sequence[_Group], theirs: Sequence[_Group], file: WeightFile
) -> tuple[dict[int, int], list[_Choice]]:
    """By their numbers which of the file's layers are which of ours, and where that is open."""
    if file.parts is None and (same := _by_paths(ours, theirs)) is not None:
        return same, []
    pairs = _by_names(ours, theirs)
    mine = [number for number in range(len(ours)) if number not in pairs]
    taken = set(pairs.values())
    its = [number for number in range(len(theirs)) if number not in taken]
    in_line = file.is_ordered and len(mine) == len(its)
    aligned = dict(zip(mine, its, strict=True)) if in_line else {}
    alike: dict[frozenset[tuple[str, Any]], tuple[list[int], list[int]]] = {}
    for side, groups, numbers in ((0, ours, mine), (1, theirs, its)):
        for number in numbers:
            alike.setdefault(groups[number].made_of, ([], []))[side].append(number)
    choices: list[_Choice] = []
    undecided: set[int] = set()
    for own, other in alike.values():
        if not own or not other:
            continue
        others = set(other)
        found = [(one, aligned[one]) for one in own if aligned.get(one) in others]
        if len(own) == len(other):
            order = _in_order(other, theirs, file)
            found = [] if order is None else list(zip(own, order, strict=True))
        if len(found) < min(len(own), len(other)):
            choices.append(([ours[n].title for n in own], [theirs[n].path for n in other]))
            undecided.update(own)
            continue
        pairs.update(found)
    _pair_rest(pairs, undecided, ours, theirs, file.is_ordered)
    return pairs, choices


def _by_paths(ours: Sequence[_Group], theirs: Sequence[_Group]) -> dict[int, int] | None:
    """Where the file has the same modules, but for what all of them begin with."""
    if len(ours) != len(theirs):
        return None
    sides = [{_steps(group.path): n for n, group in enumerate(side)} for side in (ours, theirs)]
    here, there = (_without_start(side) for side in sides)
    if set(here) != set(there):
        return None
    return {number: there[path] for path, number in here.items()}


def _steps(path: str) -> tuple[str, ...]:
    return tuple(re.split(r"[./]", path))


def _without_start(paths: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], int]:
    columns = zip(*paths, strict=False)
    start = sum(1 for _ in itertools.takewhile(lambda steps: len(set(steps)) == 1, columns))
    return {path[start:]: number for path, number in paths.items()}


def _by_names(ours: Sequence[_Group], theirs: Sequence[_Group]) -> dict[int, int]:
    """Those that somebody gave the same name, which no other layer has."""
    known: dict[str, list[int]] = {}
    for number, group in enumerate(theirs):
        for name in group.names:
            known.setdefault(name, []).append(number)
    found = {}
    for number, group in enumerate(ours):
        candidates = [one for name in group.names for one in known.get(name, ())]
        if len(candidates) == 1:
            found[number] = candidates[0]
    times = Counter(found.values())
    return {mine: its for mine, its in found.items() if times[its] == 1}


def _in_order(numbers: list[int], groups: Sequence[_Group], file: WeightFile) -> list[int] | None:
    """Layers that are alike, first to last: as their paths are numbered, and as the file has them.

    None where neither says it, or one contradicts the other. Keras's order is always the layers'.
    """
    if file.is_ordered and file.parts is not None:
        return numbers
    runs = {number: _runs(groups[number].path) for number in numbers}
    counted: list[int] | None = sorted(numbers, key=runs.__getitem__)
    if not all(_are_counted(runs[a], runs[b]) for a, b in itertools.pairwise(counted or ())):
        counted = None
    if not file.is_ordered:
        return counted
    return numbers if counted in (None, numbers) else None


#: Of a step of a path the texts and numbers that it is made of.
_Run = tuple[int, int, str]


def _runs(path: str) -> list[list[_Run]]:
    """Such that sorting puts 2 before 10, and ``dense`` before ``dense_1``."""
    found = []
    for step in _steps(path):
        parts = (part.strip("_-") for part in re.findall(r"[0-9]+|[^0-9]+", step))
        found.append(
            [
                (0, len(part.lstrip("0")), part.lstrip("0")) if part.isdigit() else (1, 0, part)
                for part in parts
                if part
            ]
        )
    return found


def _are_counted(one: list[list[_Run]], other: list[list[_Run]]) -> bool:
    """Whether two paths differ by a number first."""
    for a, b in zip(one, other, strict=False):
        if a == b:
            continue
        for run, run_other in zip(a, b, strict=False):
            if run != run_other:
                return run[0] == run_other[0] == 0
        short, long = sorted((a, b), key=len)
        return len(long) == len(short) + 1 and long[-1][0] == 0
    return False


def _pair_rest(
    pairs: dict[int, int],
    undecided: set[int],
    ours: Sequence[_Group],
    theirs: Sequence[_Group],
    is_ordered: bool,
) -> None:
    """Brings those together that have parts in common but do not fit, to be told as such."""
    taken = set(pairs.values())
    mine = [n for n in range(len(ours)) if n not in pairs and n not in undecided]
    parts = {part for own in mine for part in ours[own].tensors}
    its = [n for n, group in enumerate(theirs) if n not in taken and parts & group.tensors.keys()]
    if len(mine) == len(its) and (is_ordered or len(mine) == 1):
        for own, other in zip(mine, its, strict=True):
            if ours[own].tensors.keys() & theirs[other].tensors.keys():
                pairs[own] = other
