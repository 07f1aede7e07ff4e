"""Tell what this installation runs on: versions, CPU level, threads."""

from __future__ import annotations

import argparse
import platform

import numpy as np

import fastweights as fw
from fastweights.cli.output import Output, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights info``."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Runs ``fastweights info``."""
    output = Output(args)
    facts = {
        **fw.config(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        words = ", ".join(value) if isinstance(value, list) else value
        output.say(f"{name.replace('_', ' '):<{width}}  {words}")
    output.result(facts)
    output.finish()
    return 0
