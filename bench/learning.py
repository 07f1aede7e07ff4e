"""python -m bench.learning: what the examples that learn from images and series reach.

Each trains from five seeds; the median is what is quoted, beside what was asked for.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"


def trained(example: str, *arguments: Any) -> Any:
    """What an example's `train` returns."""
    return importlib.import_module(example).train(*arguments)


def gained(seed: int, few: int, when: int) -> float:
    """How much fine-tuning adds to the accuracy, early (0) and in the end (1)."""
    nothing, tuned = trained("finetune", seed, few)
    return float(tuned[when] - nothing[when])


#: By the example: a seed's score, and the least that is asked for; losses count below 0.
SCORES: dict[str, tuple[Callable[[int], float], float]] = {
    "digits_conv": (lambda seed: trained("digits_conv", seed), 0.98),
    "cats_dogs_conv": (lambda seed: trained("cats_dogs_conv", seed), 0.967),
    "vowels_lstm, convolutions": (lambda seed: trained("vowels_lstm", seed, "convolutions"), 0.983),
    "vowels_lstm, recurrent": (lambda seed: trained("vowels_lstm", seed, "recurrent"), 0.965),
    "power_conv": (lambda seed: trained("power_conv", seed), 0.95),
    "finetune, 2 images of each": (lambda seed: gained(seed, 2, 1), 0.08),
    "finetune, 20 images of each": (lambda seed: gained(seed, 20, 1), 0.08),
    "finetune, 20 images, 2 epochs": (lambda seed: gained(seed, 20, 0), 0.08),
    "shakespeare": (lambda seed: -trained("shakespeare", seed)[1], -1.70),
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the examples that are named, or all but the last."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCORES))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(EXAMPLES))
    for name in given.names or list(SCORES)[:-1]:
        score, asked = SCORES[name]
        began, found = time.perf_counter(), [score(seed) for seed in range(given.seeds)]
        seconds = (time.perf_counter() - began) / given.seeds
        middle, each = statistics.median(found), " ".join(f"{one:.3f}" for one in found)
        print(f"{name}: {middle:.3f} (asked {asked}), of {each}; {seconds:.0f} s each", flush=True)


if __name__ == "__main__":
    main()
