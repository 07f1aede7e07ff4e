"""The command line, ``fastweights COMMAND``.

Every command is a module with `add_arguments` and `run`, imported only when it is the one asked
for. Exit codes: 0 done, 1 gradients are wrong, 2 bad usage or input (one line on standard error),
130 interrupted. A standard output that is closed, or whose reader has gone, ends the printing and
nothing else; one that cannot take more for another reason is an error, but after the work.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from fastweights import __version__
from fastweights._json import shown
from fastweights.cli import others
from fastweights.cli.output import note, replace_unknown_letters, tell, to_stream
from fastweights.cli.runs import with_config

COMMANDS = {
    "train": "train a network on a CSV table or on images and report on what it has not seen",
    "sweep": "try many settings of a network on a table or on images, and keep the best",
    "predict": "predict the target of the rows of a table, or of images",
    "evaluate": "report how well a model does on a table or on images",
    "gradcheck": "check gradients against finite differences",
    "bench": "time gradients on this machine",
    "info": "tell versions, CPU level and threads, or how a model was trained",
}


#: Exit code after Ctrl-C.
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_complain(f"{message} (see: {self.prog} --help)", 2))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    shows = warnings.showwarning
    try:
        replace_unknown_letters()
        warnings.showwarning = lambda message, *place: note(" ".join(str(message).split()))
        code = _run(sys.argv[1:] if argv is None else list(argv))
        with to_stream(sys.stdout):
            return code
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except MemoryError as error:
        return _complain(f"out of memory{f': {error}' if str(error) else ''}", 2)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _complain(f"{name}{error.strerror or error}", 2)
    except (ValueError, TypeError, ArithmeticError, RecursionError, ImportError) as error:
        return _complain(str(error), 2)
    finally:
        warnings.showwarning = shows


def _run(argv: list[str]) -> int:
    try:
        parser, command = _parser(argv)
        if command is not None:
            place = argv.index(command.prog.split()[-1]) + 1
            argv = [*argv[:place], *with_config(command, argv[place:])]
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            _refuse_unknown(command or parser, unknown)
    except SystemExit as done:  # --help, --version, wrong usage
        return int(done.code or 0)
    return args.run(args)


def _parser(argv: list[str]) -> tuple[Parser, argparse.ArgumentParser | None]:
    """The parser, and that of the command that `argv` names, which alone has its arguments."""
    parser = Parser(prog="fastweights", description="Trains small neural networks on a CPU.")
    parser.add_argument("--version", action="version", version=f"fastweights {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    if wanted is not None and wanted not in COMMANDS:
        meant = others.hint(wanted, COMMANDS, others.COMMANDS)
        parser.error(f"COMMAND: got {shown(wanted)}, expected one of {', '.join(COMMANDS)}{meant}")
    found = None
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        if name == wanted:
            module = importlib.import_module(f"fastweights.cli.{name}")
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
            found = command
    return parser, found


def _refuse_unknown(parser: argparse.ArgumentParser, unknown: list[str]) -> None:
    """Ends with a complaint about arguments that the command does not have."""
    known = [option[2:] for option in parser._option_string_actions if option.startswith("--")]
    name = next((one.partition("=")[0] for one in unknown if one.startswith("--")), None)
    meant = "" if name is None else others.hint(name, known, others.OPTIONS, "--")
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")


def _complain(message: str, code: int) -> int:
    tell(f"fastweights: error: {' '.join(message.split())}", sys.stderr)
    return code
