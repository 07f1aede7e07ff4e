"""Time compiled gradients on this machine against finite differences, with the largest error."""

from __future__ import annotations

import argparse

from fastweights.cli.output import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``fastweights bench``."""
    add_json(parser)
