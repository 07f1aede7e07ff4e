"""Data sets in files that NumPy does not read.

What gives batches, for :meth:`fastweights.Model.fit` and its like. Memory maps, ``.npy`` files,
generators and loaders of other libraries need nothing of this module: see docs/data.md.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastweights import _check, _frames
from fastweights._core import philox

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Parquet:
    """Batches of the rows of Parquet files, by the names of their columns.

    One row group of a file is in memory at a time, so batches have rows of one group alone, and
    the last batch of each may be smaller.

    Parameters
    ----------
    paths : path or sequence of path
    target : str or sequence of str
        The columns that are to be predicted.
    features : sequence of str, optional
        The columns to predict from; by default all others.
    sample_weight : str, optional
        The column that says what each row counts.
    batch_size : int
    shuffle : bool
        Whether groups, and the rows of each, come in a new order each time that they are gone
        through. Rows of different groups stay apart: write small groups of rows in any order.
    seed : int
        Of these orders.

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
        target: str | Sequence[str],
        features: Sequence[str] | None = None,
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
        self._targets = [target] if isinstance(target, str) else list(target)
        self._weight = sample_weight
        parquet = _parquet()
        files = [parquet.ParquetFile(path) for path in several]
        known = list(files[0].schema_arrow.names)
        taken = {*self._targets, sample_weight}
        self._features = [name for name in known if name not in taken]
        if features is not None:
            self._features = list(features)
        wanted = [*self._features, *self._targets, *([sample_weight] if sample_weight else [])]
        for path, file in zip(several, files, strict=True):
            missing = [name for name in wanted if name not in file.schema_arrow.names]
            if missing:
                got = f"no column {missing[0]!r} in {os.fspath(path)}"
                raise ValueError(_check.refusal("paths", got, f"files with {wanted}"))
        self._columns, self._paths, self._passes = wanted, several, 0
        self._groups = [
            (which, group, file.metadata.row_group(group).num_rows)
            for which, file in enumerate(files)
            for group in range(file.metadata.num_row_groups)
        ]
        for file in files:
            file.close()

    def __len__(self) -> int:
        """How many batches there are."""
        return sum(-(-rows // self._batch_size) for *_, rows in self._groups)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        """All batches: (x, y), or (x, y, weights)."""
        stream = philox.STREAM_SHUFFLE + self._passes
        self._passes += 1
        parquet = _parquet()
        for number in self._order(len(self._groups), 0, stream).tolist():
            which, group, rows = self._groups[number]
            with parquet.ParquetFile(self._paths[which]) as file:
                table = file.read_row_group(group, columns=self._columns)
            arrays = self._arrays(table)
            order = self._order(rows, 1 + number, stream)
            for first in range(0, rows, self._batch_size):
                picked = order[first : first + self._batch_size]
                yield tuple(array[picked] for array in arrays)

    def _order(self, count: int, part: int, stream: int) -> np.ndarray:
        order = np.arange(count)
        if self._shuffle:
            philox.permutation(order, self._seed + part, stream)
        return order

    def _arrays(self, table: Any) -> list[np.ndarray]:
        """Features, targets and weights of a table of pyarrow's."""
        frame = {
            name: _frames.from_column("paths", _Column(name, table.column(name)))
            for name in self._columns
        }
        x = np.stack([frame[name] for name in self._features], axis=1)
        y = [frame[name] for name in self._targets]
        arrays = [x, y[0] if len(y) == 1 else np.stack(y, axis=1)]
        return arrays if self._weight is None else [*arrays, frame[self._weight]]


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
