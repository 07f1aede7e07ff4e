"""What a run found, as JSON holds it, and the ratios that follow from it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers.contenders import OURS

Figures = dict[str, Any]

#: How far a loss may lie from the middle one, relative to it: the order of the rows is chance.
LOSS_TOLERANCE = 0.05


@dataclass(frozen=True)
class Row:
    """One workload with one optimizer and a number of threads, as `race.compare` found it."""

    figures: Figures
    peak: float

    @property
    def key(self) -> tuple[str, str, int]:
        """Workload, optimizer, threads."""
        return self.figures["workload"], self.figures["optimizer"], self.figures["threads"]

    def seconds(self, name: str = OURS) -> float | None:
        """Best time of a contender's step; None if it was not there."""
        found = self.figures["contenders"].get(name)
        return found and found["best"]

    def fastest_peer(self) -> str | None:
        """Its name; None if there was none."""
        peers = [name for name in self.figures["contenders"] if name != OURS]
        return min(peers, key=self.seconds, default=None)  # type: ignore[arg-type]

    def times(self, name: str | None) -> float | None:
        """How many of our steps fit into one of that contender's."""
        theirs, ours = self.seconds(name) if name else None, self.seconds()
        return theirs / ours if theirs and ours else None

    def share(self, name: str = OURS) -> float | None:
        """Arithmetic a second, as a part of the registers' peak."""
        seconds = self.seconds(name)
        return self.figures["flops"] / seconds / self.peak if seconds else None

    def against_one_thread(self) -> float | None:
        """Our step's time with one thread over that with all, medians of the same rounds."""
        alone, ours = self.figures["one_thread"], self.figures["contenders"].get(OURS)
        return alone["median"] / ours["median"] if alone and ours else None

    def odd_losses(self) -> list[str]:
        """Who reached another loss than the others did."""
        losses = {name: found["loss"] for name, found in self.figures["contenders"].items()}
        middle = statistics.median(losses.values())
        return [
            name for name, loss in losses.items() if not abs(loss / middle - 1) <= LOSS_TOLERANCE
        ]


@dataclass
class Results:
    """The machine, and all rows; `precisions` are those of `race.compare_precisions`."""

    machine: Figures
    rows: list[Figures] = field(default_factory=list)
    precisions: list[Figures] = field(default_factory=list)

    def add(self, figures: Figures) -> None:
        """Takes in one line of the race."""
        (self.precisions if "precisions" in figures else self.rows).append(figures)

    def peak(self, threads: int) -> float:
        """The most operations a second that were seen with so many threads."""
        return max(row["peak"] for row in self.rows if row["threads"] == threads)

    def __iter__(self) -> Iterator[Row]:
        for figures in self.rows:
            yield Row(figures, self.peak(figures["threads"]))

    def row(self, workload: str, optimizer: str, threads: int) -> Row | None:
        """The row, if it was run."""
        return next((row for row in self if row.key == (workload, optimizer, threads)), None)

    @classmethod
    def read(cls, path: Path) -> Results:
        """What `write` wrote of one."""
        return cls(**json.loads(path.read_text()))


def write(figures: Figures, path: Path) -> None:
    """Writes figures as JSON, to six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_short(figures), indent=1) + "\n")


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_short(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
