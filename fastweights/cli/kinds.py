"""What the commands learn from, of whatever kind: what they ask of it is a `Kind`.

`train`, `predict` and `evaluate` are the same for tables and images: each kind says how its data
are read, which network suits them, and what a model file keeps beside the network.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from fastweights import _check, serialization
from fastweights.cli.output import Output, count
from fastweights.table import score, split
from fastweights.table.targets import ClassTarget, NumberTarget

#: Of rows with a target; fewer teach and prove nothing.
MIN_ROWS = 10
#: Epochs without an improvement that end a training, where a figure is watched.
PATIENCE = 15


class Source(Protocol):
    """Rows as they were read."""

    def __len__(self) -> int: ...

    def take(self, chosen: np.ndarray, /) -> Any:
        """The same of these rows."""


class Preparation(Protocol):
    """What turns a source into a network's rows, and outputs into predictions."""

    @property
    def target(self) -> NumberTarget | ClassTarget: ...

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    def transform(self, source: Any, /) -> np.ndarray: ...

    def truth(self, source: Any, /) -> tuple[np.ndarray, np.ndarray]: ...

    def remarks(self, source: Any, /) -> Sequence[str]: ...

    def left_out(self, source: Any, known: Any, /) -> Sequence[str]: ...

    def inverse_transform(self, outputs: np.ndarray) -> np.ndarray: ...

    def to_json(self) -> str: ...


@dataclass(frozen=True)
class Data:
    """What a network learns from: rows and target of all of it, and which serve for what.

    ``x`` is an array, or an `Encoded` that makes the features of the rows that it is asked for;
    ``about`` is what ``--json`` tells besides.
    """

    preprocessor: Preparation
    x: Any
    truth: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    about: Mapping[str, Any]
    #: "validation" and "test", where the data say themselves which rows these are.
    divided: frozenset[str] = frozenset()
    #: What each row counts, float64 (rows,); None: all alike.
    weights: np.ndarray | None = None

    def rows(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and truth of some rows."""
        return self.x[chosen], self.truth[chosen]

    def learnable(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of some rows, and what the network learns."""
        return self.x[chosen], self.preprocessor.target.encode(self.truth[chosen])

    def training_weights(self) -> np.ndarray | None:
        """What each row to train on counts."""
        return None if self.weights is None else self.weights[self.train]

    def validating(self) -> tuple[np.ndarray, ...] | None:
        """What `Model.fit` validates with; None where no rows are held out for it."""
        chosen = self.validation
        if not len(chosen):
            return None
        weights = () if self.weights is None else (self.weights[chosen],)
        return (*self.learnable(chosen), *weights)

    def arrays(self) -> Sequence[np.ndarray | None]:
        """All that a training learns from."""
        return self.x, self.truth, self.weights, self.train, self.validation

    def judge(self, model: Any) -> tuple[np.ndarray, np.ndarray]:
        """The truth of the unseen rows, and what a model predicts of them."""
        x, truth = self.rows(self.test)
        return truth, self.preprocessor.inverse_transform(model.predict(x, verbose=0))

    def score(self, truth: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
        """How good these predictions are."""
        return score(self.preprocessor.target, truth, predictions)

    @property
    def networks_trained(self) -> int:
        """How many networks have checkpoints: those that are kept, and those of another kind."""
        return 1

    def importance(self, model: Any) -> Any:
        """What a picture tells of what the model goes by: an `Importance`, or None."""
        return None

    def figures(self) -> dict[str, Any]:
        """What ``--json`` tells about the data."""
        target = self.preprocessor.target
        return {
            "task": target.task,
            "target": target.name,
            "rows": len(self.x),
            "train_rows": len(self.train),
            "validation_rows": len(self.validation),
            "test_rows": len(self.test),
            **self.about,
        }


class Kind(ABC):
    """A kind of data."""

    #: What it is called, and one row of it.
    name: ClassVar[str]
    row: ClassVar[str]
    #: Under which key model files keep the preparation.
    key: ClassVar[str]
    #: Options that no other kind has, by their names in the arguments.
    own_options: ClassVar[tuple[str, ...]]
    #: What options are unless they are given.
    defaults: ClassVar[Mapping[str, Any]]
    #: What an optimizer's own learning rate is multiplied by, unless one is given.
    rate_factor: ClassVar[float] = 1.0
    #: Whether a training of several networks can go on from where it was interrupted.
    resumes_ensembles: ClassVar[bool] = False

    @abstractmethod
    def is_meant(self, args: argparse.Namespace) -> bool:
        """Whether the data and options of ``train`` are of this kind."""

    @abstractmethod
    def is_called(self, path: str) -> bool:
        """Whether what is at a path is of this kind, as far as its name tells."""

    @abstractmethod
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Adds its own options, as a group."""

    @abstractmethod
    def check_options(self, args: argparse.Namespace) -> None:
        """Refuses what is wrong with its own options, before the data are read."""

    @abstractmethod
    def prepare(self, args: argparse.Namespace, output: Output) -> Data:
        """Reads the data for ``train``, finds out what they hold, and says so."""

    @abstractmethod
    def build(self, args: argparse.Namespace, data: Data) -> tuple[list[Any], Any]:
        """The networks that the arguments describe, compiled, and the `Plan` by which they learn.

        For a sweep, which tries settings of one network.
        """

    def rehearse(self, args: argparse.Namespace, data: Data, output: Output) -> dict[str, Any]:
        """What is found out, and said, before the training proper; for ``--json``."""
        return {}

    @abstractmethod
    def learn(
        self, args: argparse.Namespace, data: Data, options: dict[str, Any]
    ) -> tuple[Any, Any]:
        """The trained model, and the `Training` that it had; `options` are those of the run."""

    @abstractmethod
    def save(self, path: str, model: Any, data: Data, history: dict[str, Any]) -> None:
        """Writes model, preparation and how it was trained."""

    @abstractmethod
    def restored(self, text: str, file_size: int) -> Preparation:
        """The preparation that a model file keeps as `text`."""

    @abstractmethod
    def read(self, args: argparse.Namespace, preprocessor: Any) -> Source:
        """Rows for ``predict``."""

    @abstractmethod
    def read_with_truth(self, args: argparse.Namespace, preprocessor: Any) -> Source:
        """Rows for ``evaluate``, with the truth in them."""

    def row_names(self, source: Any) -> tuple[str, Sequence[str]] | None:
        """What rows are called, and what that is, where they have names."""
        return None

    def settle(self, args: argparse.Namespace, others: Sequence[Kind]) -> None:
        """Gives options that were not given their defaults; ValueError for those of other kinds."""
        for other in others:
            for option in other.own_options if other is not self else ():
                if getattr(args, option, None) not in (None, False):
                    spelt = f"--{option.replace('_', '-')}"
                    got = f"it for {args.data}, {self.name}"
                    raise ValueError(_check.refusal(spelt, got, f"{other.name} beside it"))
        stops = getattr(args, "early_stopping", None) is not None
        for option, value in {**self.defaults, **({"patience": PATIENCE} if stops else {})}.items():
            if getattr(args, option, value) is None:
                setattr(args, option, value)


def parts_of(
    rows: int, test_fraction: float, validation_fraction: float, seed: int, what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of the rows to train on, to validate on, and to keep unseen."""
    rest, test = split(rows, test_fraction, seed)
    train, validation = split(len(rest), validation_fraction, seed, draw=1)
    if len(train) < 2:
        raise ValueError(f"--test-fraction: leaves {len(train)} of {rows} {what}s to train on")
    return rest[train], rest[validation], test


def parts_in_words(
    args: argparse.Namespace, row: str, train: np.ndarray, validation: np.ndarray, test: np.ndarray
) -> str:
    """How many rows serve for what."""
    purpose = "say when to stop" if args.patience else "validate on"
    return (
        f"{count(len(train), row)} to train on, {len(validation):,} to {purpose}, "
        f"{len(test):,} unseen"
    )


def is_model(path: str) -> bool:
    """Whether the file holds tensors."""
    try:
        serialization.read_metadata(path)
    except (ValueError, OSError):
        return False
    return True
