"""MLPClassifier beside scikit-learn's, with default parameters, on digits.

    python -m bench.sklearn_mlp [--threads N] [--seeds N] [--rounds N]

Both are given the same rows, as float64, which scikit-learn loads them as, and as float32, and take
turns; of each seed the fastest of some rounds counts, by the clock and by the CPU time of all
threads, which is worth more where others use the machine. With one `random_state` both begin with
the same weights and go through the same rows.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastweights as fw
from fastweights.sklearn import MLPClassifier

CONTENDERS = {"scikit-learn": neural_network.MLPClassifier, "fastweights": MLPClassifier}


class Fit(NamedTuple):
    """What one took, and reached on a quarter of the rows."""

    seconds: float
    cpu_seconds: float
    epochs: int
    accuracy: float


def fitted(kind: Any, seed: int, real: str) -> Fit:
    """One fit with default parameters."""
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x.astype(real), y, random_state=seed, stratify=y)
    x_train, x_test, y_train, y_test = parts
    model = kind(random_state=seed)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(x_train, y_train)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Fit(wall, cpu, model.n_iter_, model.score(x_test, y_test))


def best(several: list[Fit]) -> Fit:
    """The least of times; epochs and accuracy are the same each time."""
    least = [min(getattr(fit, name) for fit in several) for name in ("seconds", "cpu_seconds")]
    return Fit(*least, several[0].epochs, several[0].accuracy)


def compare(real: str, seeds: int, rounds: int) -> None:
    """Prints a line a seed, and the medians of their ratios."""
    ratios: dict[str, list[float]] = {"seconds": [], "cpu_seconds": []}
    accuracies: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for seed in range(seeds):
        fits: dict[str, list[Fit]] = {name: [] for name in CONTENDERS}
        for _ in range(rounds):
            for name, kind in CONTENDERS.items():
                fits[name].append(fitted(kind, seed, real))
        found = {name: best(several) for name, several in fits.items()}
        told = "; ".join(
            f"{name} {fit.seconds:.3f} s ({fit.cpu_seconds:.3f} of CPU), {fit.epochs} epochs, "
            f"accuracy {fit.accuracy:.4f}"
            for name, fit in found.items()
        )
        print(f"  seed {seed}: {told}", flush=True)
        theirs, ours = found.values()
        for field, several_ratios in ratios.items():
            several_ratios.append(getattr(theirs, field) / getattr(ours, field))
        for name, fit in found.items():
            accuracies[name].append(fit.accuracy)
    by_clock, by_cpu = (statistics.median(several) for several in ratios.values())
    means = ", ".join(f"{name} {np.mean(several):.4f}" for name, several in accuracies.items())
    print(f"  {by_clock:.1f} x faster by the clock, {by_cpu:.1f} x by CPU time; accuracy {means}")


def main(arguments: list[str] | None = None) -> None:
    """Compares in float64 and in float32."""
    parser = argparse.ArgumentParser(prog="python -m bench.sklearn_mlp", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore", ConvergenceWarning)
    level = fw.config()["cpu_level"]
    print(f"scikit-learn {sklearn.__version__}, {given.threads} threads, {level}")
    with threadpool_limits(given.threads), fw.threads(given.threads):
        for kind in CONTENDERS.values():
            fitted(kind, 0, "float64")  # what is imported or built at first use
        for real in ("float64", "float32"):
            print(real)
            compare(real, given.seeds, given.rounds)


if __name__ == "__main__":
    main()
