"""Data sets in files that NumPy does not read.

What gives batches, for :meth:`fastweights.Model.fit` and its like. Memory maps, ``.npy`` files,
generators and loaders of other libraries need nothing of this module: see docs/data.md.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastweights import _check, _frames
from fastweights._core import philox

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Parquet:
    """Batches of the rows of Parquet files, by the names of their columns.

    One row group of a file is in memory at a time, so batches have rows of one group alone, and
    the last batch of each may be smaller. What pandas wrote as the index of a frame is no feature.

    Parameters
    ----------
    paths : path or sequence of path
    target : str or sequence of str, optional
        The columns that are to be predicted; without any there are rows to predict for alone.
    features : str or sequence of str, optional
        The columns to predict from; by default all others.
    sample_weight : str, optional
        The column that says what each row counts.
    batch_size : int
    shuffle : bool
        Whether groups, and the rows of each, come in a new order in each epoch of `Model.fit`,
        whatever its own `shuffle`. Rows of different groups stay apart: write small groups of rows
        in any order. `evaluate`, `predict` and validation go in the order of the files.
    seed : int
        Of these orders, which follow from it and how many epochs the model was trained before.

    Attributes
    ----------
    features, targets : tuple of str

    Raises
    ------
    ModuleNotFoundError
        There is no pyarrow: ``pip install 'fastweights[parquet]'``.
    ValueError
        A file has not these columns.
    """

    def __init__(
        self,
        paths: Paths,
        target: str | Sequence[str] | None = None,
        features: str | Sequence[str] | None = None,
        sample_weight: str | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        if not several:
            raise ValueError(_check.refusal("paths", "none", "one file at least"))
        self._batch_size = _check.whole("batch_size", batch_size, 1)
        self._shuffle = _check.flag("shuffle", shuffle)
        self._seed = _check.whole("seed", seed, 0, 2**62)
        parquet = _parquet()
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(_opened(parquet, path)) for path in several]
            self._groups = [
                (which, group, file.metadata.row_group(group).num_rows)
                for which, file in enumerate(files)
                for group in range(file.metadata.num_row_groups)
            ]
            schemas = [file.schema_arrow for file in files]
        self._paths, self._passes = several, 0
        for path, schema in zip(several, schemas, strict=True):
            _refuse_equal_names(path, schema.names)
        self._weight = sample_weight
        self.targets, self.features = _chosen(schemas[0], target, features, sample_weight)
        wanted = self._columns()
        for path, schema in zip(several, schemas, strict=True):
            missing = [name for name in wanted if name not in schema.names]
            if missing:
                got = f"no column {missing[0]!r} in {os.fspath(path)}"
                raise ValueError(_check.refusal("paths", got, f"files with {wanted}"))

    def __len__(self) -> int:
        """How many batches there are."""
        return sum(-(-rows // self._batch_size) for *_, rows in self._groups)

    def __iter__(self) -> Iterator[Any]:
        """All batches in a loop of your own, each time in the order of the next epoch."""
        self._passes += 1
        return self.batches(self._passes - 1)

    def batches(self, epoch: int | None = None, first: int = 0) -> Iterator[Any]:
        """Batches in the order of an epoch, or in that of the files.

        Parameters
        ----------
        epoch : int, optional
            From 0; None for the order of the files.
        first : int
            The number of the first batch.

        Yields
        ------
        (x, y), (x, y, weights) or, without a target, x
            Arrays: x (rows, features); y (rows,) of one target, (rows, targets) of several.
        """
        parquet = _parquet()
        for number in self._order(len(self._groups), 0, epoch).tolist():
            which, group, rows = self._groups[number]
            of_group = -(-rows // self._batch_size)
            if first >= of_group:
                first -= of_group
                continue
            where = f"{os.fspath(self._paths[which])}, row group {group}"
            arrays = self._arrays(where, self._read(parquet, where, *self._groups[number]))
            order = self._order(rows, 1 + number, epoch)
            for begin in range(first * self._batch_size, rows, self._batch_size):
                picked = order[begin : begin + self._batch_size]
                batch = tuple(array[picked] for array in arrays)
                yield batch if self.targets else batch[0]
            first = 0

    def arranged(
        self, argument: str, features: tuple[str, ...] | None, targets: tuple[str, ...] | None
    ) -> Parquet:
        """The same with its columns in these orders, None of those that a model does not know.

        Raises
        ------
        ValueError
            These are other columns; messages call them `argument`.
        """
        found = copy.copy(self)
        order = _frames.order_of(argument, self.features, features)
        if order is not None:
            found.features = tuple(self.features[place] for place in order)
        if len(self.targets) > 1:
            order = _frames.order_of(argument, self.targets, targets)
            if order is not None:
                found.targets = tuple(self.targets[place] for place in order)
        return found

    def _columns(self) -> list[str]:
        """Those that are read."""
        return [*self.features, *self.targets, *([self._weight] if self._weight else [])]

    def _order(self, count: int, part: int, epoch: int | None) -> np.ndarray:
        order = np.arange(count)
        if self._shuffle and epoch is not None:
            philox.permutation(order, self._seed + part, philox.STREAM_SHUFFLE + epoch)
        return order

    def _read(self, parquet: Any, where: str, which: int, group: int, rows: int) -> Any:
        """A row group as a table of pyarrow's."""
        with _opened(parquet, self._paths[which]) as file:
            known = file.metadata
            is_there = set(self._columns()) <= set(file.schema_arrow.names)
            has_group = group < known.num_row_groups
            if not (is_there and has_group and known.row_group(group).num_rows == rows):
                expected = f"{rows} rows of its columns, as there were when this Parquet was made"
                raise ValueError(_check.refusal(where, "a file that has changed", expected))
            try:
                return file.read_row_group(group, columns=self._columns())
            except (ValueError, OSError, KeyError) as error:
                expected = f"the columns {', '.join(self._columns())}"
                raise ValueError(_check.refusal(where, error, expected)) from error

    def _arrays(self, where: str, table: Any) -> list[np.ndarray]:
        """Features, targets and weights of a table of pyarrow's."""
        frame = {
            name: _frames.from_column(where, _Column(name, table.column(name)))
            for name in self._columns()
        }
        arrays = [np.stack([frame[name] for name in self.features], axis=1)]
        if self.targets:
            y = [frame[name] for name in self.targets]
            arrays.append(y[0] if len(y) == 1 else np.stack(y, axis=1))
        return arrays if self._weight is None else [*arrays, frame[self._weight]]


def _opened(parquet: Any, path: str | os.PathLike[str]) -> Any:
    try:
        return parquet.ParquetFile(path)
    except ValueError as error:  # as pyarrow's own are
        got = f"{os.fspath(path)} ({error})"
        raise ValueError(_check.refusal("paths", got, "a Parquet file")) from error


def _refuse_equal_names(path: str | os.PathLike[str], names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        got = f"several columns {twice[0]!r} in {os.fspath(path)}"
        raise ValueError(_check.refusal("paths", got, "columns with a name of their own"))


def _chosen(
    schema: Any,
    target: str | Sequence[str] | None,
    features: str | Sequence[str] | None,
    sample_weight: str | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of targets and features, of a file of this schema."""
    known = {name: name for name in schema.names}
    targets = () if target is None else _named("target", target, known)
    if sample_weight is not None:
        _named("sample_weight", [sample_weight], known)
        if not targets:
            expected = "None without a target, as rows to predict for count alike"
            raise ValueError(_check.refusal("sample_weight", repr(sample_weight), expected))
        if sample_weight in targets:
            expected = "a column that is no target"
            raise ValueError(_check.refusal("sample_weight", repr(sample_weight), expected))
    taken = dict.fromkeys(targets, "a target")
    if sample_weight is not None:
        taken[sample_weight] = "the sample_weight"
    if features is None:
        index = (schema.pandas_metadata or {}).get("index_columns", ())
        left = [name for name in known if name not in taken and name not in index]
        if not left:
            raise ValueError(_check.refusal("features", "no column that is left", "one at least"))
        return targets, tuple(left)
    wanted = _named("features", features, known)
    for name in wanted:
        if name in taken:
            got = f"{name!r}, which is {taken[name]}"
            raise ValueError(_check.refusal("features", got, "columns to predict from"))
    return targets, wanted


def _named(argument: str, given: str | Sequence[str], known: dict[str, str]) -> tuple[str, ...]:
    """The names of columns, each of them known and there once; of one or of a list of them."""
    if not isinstance(given, (str, list, tuple)):
        expected = "the name of a column, or a list of names"
        raise TypeError(_check.refusal(argument, _check.kind_of(given), expected))
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise ValueError(_check.refusal(argument, "no name", "one column at least"))
    found = tuple(_check.choice(argument, name, known) for name in names)
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        raise ValueError(_check.refusal(argument, f"{twice[0]!r} twice", "each column once"))
    return found


class _Column:
    """A column of pyarrow's, as those of frames are."""

    def __init__(self, name: str, column: Any) -> None:
        self.name, self._column = name, column

    @property
    def dtype(self) -> Any:
        return self._column.type

    def to_numpy(self) -> np.ndarray:
        return self._column.to_numpy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.to_numpy(), dtype)


def _parquet() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != "pyarrow":
            raise
        raise ModuleNotFoundError(
            "pyarrow: it reads Parquet files; pip install 'fastweights[parquet]'", name="pyarrow"
        ) from None
