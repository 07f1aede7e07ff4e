"""What a sweep tries, and what came of it: settings drawn from a space, results in a file."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastweights import _check, _files
from fastweights._core import philox

#: Columns of a table that begin with the figures of a trial; its settings follow.
FIGURES = ("trial", "score", "epoch", "epochs", "seconds", "error")
#: Which a line of a results file begins with.
_BEGINNING = b'{"'
#: What a record has of a trial that ended well.
OF_DONE = ("score", "scores", "epoch", "epochs", "larger_is_better")
#: Rows that a printed table has at most.
SHOWN_ROWS = 20


class Trial(NamedTuple):
    """One choice of settings."""

    number: int
    params: dict[str, Any]
    #: For the trial's own random numbers.
    seed: int


def trials_of(space: Any, n_trials: int | None, seed: int) -> list[Trial]:
    """All trials of a space: the grid of its lists, or so many that are drawn.

    What is drawn for a trial depends on the seed and the trial's number alone. The number is that
    of the point where there is a grid, so that some of it are the same trials as in all of it.
    """
    if not isinstance(space, Mapping) or not space:
        expected = "a dict of lists, distributions or functions by the names of settings"
        raise TypeError(_check.refusal("space", _check.kind_of(space), expected))
    for name, values in space.items():
        _check.name("key of space", name)
        _refuse_other_kinds(name, values)
    if n_trials is not None:
        n_trials = _check.whole("n_trials", n_trials, 1)
    if all(isinstance(values, (list, tuple)) for values in space.values()):
        return _grid(space, n_trials, seed)
    if n_trials is None:
        got = "None for a space of distributions"
        raise ValueError(_check.refusal("n_trials", got, "how many trials to draw"))
    found = []
    for number in range(n_trials):
        random = _draw(seed, number)
        params = {name: _drawn(values, random) for name, values in space.items()}
        found.append(Trial(number, params, seed_of(seed, number)))
    return found


def seed_of(seed: int, number: int) -> int:
    """Of the models of a trial."""
    words = philox.block(seed, philox.STREAM_SPLIT, number % (philox.MAX_SEED + 1))
    return int(words[0]) << 32 | int(words[1])


def _refuse_other_kinds(name: str, values: Any) -> None:
    argument = f"space[{name!r}]"
    if isinstance(values, (list, tuple)):
        if not values:
            raise ValueError(_check.refusal(argument, "none", "at least one value"))
    elif not (callable(getattr(values, "rvs", None)) or callable(values)):
        expected = "a list of values, a distribution with rvs, or a function of a NumPy Generator"
        raise TypeError(_check.refusal(argument, _check.kind_of(values), expected))


def _grid(space: Mapping[str, Sequence[Any]], n_trials: int | None, seed: int) -> list[Trial]:
    """The product of lists, the last one going fastest; some of it by chance if asked."""
    sizes = [len(values) for values in space.values()]
    whole = math.prod(sizes)
    points: Any = range(whole)
    if n_trials is not None and n_trials < whole:
        points = itertools.islice(_points(sizes, seed), n_trials)
    return [Trial(point, _at(space, point), seed_of(seed, point)) for point in points]


def _points(sizes: Sequence[int], seed: int) -> Iterator[int]:
    """Points of a grid by chance, each once, of which there may be any number."""
    seen: set[int] = set()
    for number in itertools.count():
        random, point = _draw(seed, number), 0
        for size in sizes:
            point = point * size + int(random.integers(size))
        if point not in seen:
            seen.add(point)
            yield point


def _at(space: Mapping[str, Sequence[Any]], point: int) -> dict[str, Any]:
    """The settings at a point of a grid."""
    places = {}
    for name, values in reversed([*space.items()]):
        point, places[name] = divmod(point, len(values))
    return {name: values[places[name]] for name, values in space.items()}


def _draw(seed: int, number: int) -> np.random.Generator:
    """Where the settings of so many a draw come from."""
    return np.random.default_rng([seed, number])


def _drawn(values: Any, random: np.random.Generator) -> Any:
    """One of some values, by a generator."""
    if isinstance(values, (list, tuple)):
        return values[int(random.integers(len(values)))]
    drawn = values.rvs(random_state=random) if hasattr(values, "rvs") else values(random)
    return drawn.item() if isinstance(drawn, np.generic) else drawn


def plain(value: Any) -> Any:
    """A setting as JSON holds it: itself, or what it is called."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    # Where something lies in memory is no part of what it is called.
    return getattr(value, "__qualname__", None) or re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


# ---- results -------------------------------------------------------------------------------------


class SweepResults(Sequence[dict[str, Any]]):
    """What came of each trial of a sweep, the best first; printed it is a table.

    Each is a dict: ``"trial"`` (its number), ``"params"``, ``"seed"``, ``"monitor"``, ``"score"``
    (the monitored figure at its best epoch, over folds their mean), ``"scores"`` (that of each
    fold), ``"larger_is_better"``, ``"epoch"`` (the best one, from 0; over folds their mean),
    ``"epochs"`` (of all folds), ``"seconds"``, and ``"error"``, None where all went well. Trials
    with an error have no score, and come last.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._records = sorted((dict(record) for record in records), key=place)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: Any) -> Any:
        return self._records[number]

    @property
    def best(self) -> dict[str, Any]:
        """The best trial; ValueError where there is none without an error."""
        if not self._records or self._records[0]["score"] is None:
            first = f", the first {self._records[0]['error']}" if self._records else ""
            got = f"{len(self)} trials that all ended with an error{first}"
            raise ValueError(_check.refusal("best", got, "one that came to its end"))
        return self._records[0]

    @property
    def best_params(self) -> dict[str, Any]:
        """The settings of the best trial."""
        return self.best["params"]

    def rows(self) -> list[dict[str, Any]]:
        """A flat dict for each trial: figures, then settings by their names.

        A setting that is called as a figure is, such as ``"epochs"``, is ``"params.epochs"``.
        """
        return [
            {
                **{name: record[name] for name in FIGURES},
                **{_column(name): value for name, value in record["params"].items()},
            }
            for record in self
        ]

    def to_csv(self, path: Any = None) -> str | None:
        """Writes `rows` as CSV, or returns the text where there is no path."""
        text = io.StringIO(newline="")
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row)) or list(FIGURES)
        writer = csv.DictWriter(text, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
        if path is None:
            return text.getvalue()
        _files.replace(path, lambda file: file.write(text.getvalue().encode()))
        return None

    def to_pandas(self) -> Any:
        """`rows` as a pandas DataFrame; needs pandas."""
        import pandas

        return pandas.DataFrame(self.rows())

    def __repr__(self) -> str:
        rows = self.rows()
        shown = [
            {key: _cell(value) for key, value in row.items() if key != "error" or _any_error(rows)}
            for row in rows[:SHOWN_ROWS]
        ]
        if not shown:
            return "no trials"
        widths = {name: max(len(name), *(len(row[name]) for row in shown)) for name in shown[0]}
        lines = ["  ".join(name.rjust(width) for name, width in widths.items())]
        lines += ["  ".join(row[n].rjust(width) for n, width in widths.items()) for row in shown]
        more = len(rows) - len(shown)
        lines += [f"and {more} more"] if more else []
        return "\n".join(lines)


def place(record: Mapping[str, Any]) -> tuple[bool, float, int]:
    """By which the best come first, and those without a score last."""
    score = record["score"]
    if score is None:
        return True, 0.0, record["trial"]
    if math.isnan(score):
        score = math.inf
    elif record["larger_is_better"]:
        score = -score
    return False, score, record["trial"]


def _column(setting: str) -> str:
    return f"params.{setting}" if setting in FIGURES else setting


def _any_error(rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row["error"] is not None for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]


def _damaged(record: Mapping[str, Any]) -> str | None:
    """The entry of a record that no sweep has written, if there is one."""
    is_done = record["error"] is None
    for name, value in record.items():
        if name in ("trial", "epochs", "seed"):
            suits = type(value) is int and value >= 0
        elif name == "larger_is_better":
            suits = type(value) is bool
        elif name == "scores":
            suits = isinstance(value, list) and bool(value) and all(map(_is_number, value))
        elif name in ("score", "epoch", "seconds"):
            suits = _is_number(value) and (name == "score" or 0.0 <= value < math.inf)
        elif name == "error":
            suits = value is None or isinstance(value, str)
        else:
            suits = True
        if not is_done and name in OF_DONE:
            suits = value is None
        if not suits:
            return name
    return None


def _is_number(value: Any) -> bool:
    """Of JSON, and one that is no larger than others are."""
    return type(value) is float or (type(value) is int and abs(value) < 1 << 63)


class ResultsFile:
    """A file of JSON lines, one for each trial that is done, each on the disk once it is there.

    A line that was being written when its process was killed is cut off.

    Parameters
    ----------
    path : path or None
        Where there is none, nothing is kept.
    monitor : str
    trials : sequence of Trial
        Those of the sweep, in their order.
    settings : dict
        What else decides on what comes out, such as JSON can hold.

    Attributes
    ----------
    known : list of dict
        The records of trials that are done, with their settings as they are in the sweep.
    """

    def __init__(
        self, path: Any, monitor: str, trials: Sequence[Trial], settings: Mapping[str, Any]
    ) -> None:
        self._settings = dict(settings)
        self.known: list[dict[str, Any]] = []
        self._path = None if path is None else _files.path_text(path)
        if self._path is None or not os.path.exists(self._path):
            return
        with _files.opened(self._path) as file:
            whole = file.read()
        kept = whole[: whole.rfind(b"\n") + 1]
        for record in self._records(kept, whole[len(kept) :]):
            self.known.append(self._checked(record, monitor, trials))
        # Nothing is cut off before all is known to be a sweep's.
        if len(kept) < len(whole):
            os.truncate(self._path, len(kept))

    def _records(self, lines: bytes, cut: bytes) -> Iterator[Any]:
        """What whole lines hold, and a beginning of one."""
        path, expected = str(self._path), "a results file of fastweights.sweep"
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                got = f"no JSON in line {number}"
                raise ValueError(_check.refusal(path, got, expected)) from None
        if not cut.startswith(_BEGINNING[: len(cut)]):
            raise ValueError(_check.refusal(path, "other text behind the last line", expected))

    def _checked(self, record: Any, monitor: str, trials: Sequence[Trial]) -> dict[str, Any]:
        """A record of this sweep, with the settings themselves in place of what they are called."""
        path = str(self._path)
        keys = {"params", "seed", "scores", "monitor", "larger_is_better", "settings", *FIGURES}
        if not isinstance(record, dict) or set(record) != keys:
            got = _check.shown(record)
            raise ValueError(_check.refusal(path, got, "records of fastweights.sweep"))
        number, settings = record["trial"], record.pop("settings")
        if (damaged := _damaged(record)) is not None:
            got = f"{damaged} {_check.shown(record[damaged])}"
            raise ValueError(_check.refusal(path, got, "records of fastweights.sweep"))
        trial = next((trial for trial in trials if trial.number == number), None)
        if trial is None:
            got, expected = f"trial {number}", f"one of the {len(trials)} that this sweep has"
            raise ValueError(_check.refusal(path, got, expected))
        own = {"params": plain(trial.params), "seed": trial.seed, "monitor": monitor}
        found = {**record, **settings} if isinstance(settings, dict) else record
        for name, wanted in {**own, **self._settings}.items():
            # As text NaN is equal to itself.
            if name not in found or json.dumps(found[name]) != json.dumps(wanted):
                got = f"trial {number} with {name} {_check.shown(found.get(name))}"
                hint = "; a file belongs to one sweep: give another path"
                raise ValueError(_check.refusal(path, got, _check.shown(wanted)) + hint)
        if any(known["trial"] == number for known in self.known):
            raise ValueError(_check.refusal(path, f"trial {number} twice", "each once"))
        return {**record, "params": trial.params}

    def add(self, record: Mapping[str, Any]) -> None:
        """Keeps what came of one more trial."""
        if self._path is None:
            return
        kept = {**record, "params": plain(record["params"]), "settings": self._settings}
        line = json.dumps(kept).encode() + b"\n"
        with _files.naming(self._path), open(self._path, "ab", buffering=0) as file:
            begin = os.fstat(file.fileno()).st_size
            try:
                left = memoryview(line)
                while left:  # a disk that is nearly full takes a part
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(begin)
                raise
