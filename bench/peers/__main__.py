"""python -m bench.peers: fastweights and its peers on the same networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.peers import precision, race
from bench.peers.contenders import CONTENDERS
from bench.peers.report import OPTIMIZERS, microseconds, report
from bench.peers.results import Results, write
from bench.peers.workloads import WORKLOADS
from fastweights import benchmarks

ROOT = Path(__file__).parents[2]
JSON = ROOT / "bench" / "results" / "peers.json"
PICTURE = ROOT / "docs" / "images" / "peers.png"

#: Time for the rounds of one row, in seconds; a quick run leaves out the nets that need more.
SECONDS, QUICK_SECONDS = 3.0, 0.2
SLOW = ("wide", "large")


def parser() -> argparse.ArgumentParser:
    """The options."""
    names = [workload.name for workload in WORKLOADS]
    cpus = race.available_cpus()
    made = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    made.add_argument("--threads", type=int, nargs="+", default=[n for n in (1, 2) if n <= cpus])
    made.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    made.add_argument(
        "--workloads", nargs="+", choices=names, metavar="NAME", help=", ".join(names)
    )
    made.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME", help="contenders")
    made.add_argument(
        "--quick", action="store_true", help=f"less time, without {' and '.join(SLOW)}"
    )
    made.add_argument("--json", **_file(JSON, "write the figures"))
    made.add_argument("--plot", **_file(PICTURE, "draw the picture (needs matplotlib)"))
    made.add_argument("--read", type=Path, metavar="FILE", help="run nothing, show these figures")
    return made


def _file(default: Path, what: str) -> dict[str, Any]:
    text = f"{what}, by default to {default.relative_to(ROOT)}"
    return {"nargs": "?", "type": Path, "const": default, "metavar": "FILE", "help": text}


def contenders(only: Sequence[str] | None) -> list[str]:
    """Those wanted that are there; says of the others how they would be."""
    wanted = [name for name in CONTENDERS if only is None or name in only]
    for name in wanted:
        if not CONTENDERS[name].is_there():
            say(f"without {name}: pip install {CONTENDERS[name].distribution}")
    return [name for name in wanted if CONTENDERS[name].is_there()]


def run(args: argparse.Namespace) -> Results:
    """The races, one after another."""
    names = contenders(args.only)
    workloads = args.workloads or [
        workload.name for workload in WORKLOADS if not (args.quick and workload.name in SLOW)
    ]
    versions = {name: CONTENDERS[name].version() for name in names}
    results = Results(benchmarks.machine() | {"versions": versions})
    precisions = (
        precision.WORKLOAD.name in workloads
        and "sgd" in args.optimizers
        and any(library.name in names for library in precision.LIBRARIES)
    )
    for threads in args.threads:
        settings = race.Settings(
            threads=threads,
            workloads=workloads,
            optimizers=args.optimizers,
            contenders=names,
            seconds=QUICK_SECONDS if args.quick else SECONDS,
            precisions=precisions,
        )
        for figures in race.run(settings):
            results.add(figures)
            say(_line(figures))
    return results


def _line(figures: dict[str, Any]) -> str:
    found = figures.get("contenders") or figures["precisions"]
    times = ", ".join(f"{name} {microseconds(one['best'])}" for name, one in found.items())
    optimizer = OPTIMIZERS[figures["optimizer"]] if "optimizer" in figures else "by precision"
    return f"{figures['workload']}, {optimizer}, threads {figures['threads']}: {times}"


def say(line: str) -> None:
    """How it goes; tables go to standard output."""
    print(line, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    args = parser().parse_args(argv)
    results = Results.read(args.read) if args.read else run(args)
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    print(f"{machine['cpu']} ({machine['cpus']} CPUs), level {machine['cpu_level']}; {versions}\n")
    print(report(results))
    if args.json:
        write(asdict(results), args.json)
    if args.plot:
        from bench.peers import picture

        picture.draw(results, args.plot)


if __name__ == "__main__":
    main()
