"""The command line, ``fastweights COMMAND``.

Every command is a module with `add_arguments` and `run`, imported only when it is the one asked
for. Exit codes: 0 done, 1 gradients are wrong, 2 bad usage or input (one line on standard error),
130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastweights import __version__

COMMANDS = {
    "train": "train a network on a CSV table and report on rows it has not seen",
    "predict": "predict the target of new rows",
    "evaluate": "report how well a model does on a table",
    "gradcheck": "check gradients against finite differences",
    "bench": "time gradients on this machine",
    "info": "tell versions, CPU level and threads",
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastweights: error: {message} (see: {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        args = _parser(argv).parse_args(argv)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as done:  # --help, --version, wrong usage
        return int(done.code or 0)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:  # The reader, such as head, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _complain(f"{name}{error.strerror or error}", 2)
    except (ValueError, ArithmeticError, ImportError) as error:
        return _complain(str(error), 2)


def _parser(argv: list[str]) -> Parser:
    """The parser; of the commands only the one that `argv` names has its arguments."""
    parser = Parser(prog="fastweights", description="Trains small neural networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"fastweights {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        if name == wanted:
            module = importlib.import_module(f"fastweights.cli.{name}")
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _complain(message: str, code: int) -> int:
    print(f"fastweights: error: {' '.join(message.split())}", file=sys.stderr)
    return code
