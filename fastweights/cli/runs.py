"""Runs in TOML files: options of ``train`` and ``sweep``, read by ``--config`` and written.

A file has an option a line, under its name without the dashes: ``batch-size = 64``. Those on the
command line go before the file's.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastweights import __version__, _check, _files
from fastweights._json import shown
from fastweights.cli import others
from fastweights.cli.output import add_option, check_writable, same_file

#: Options that say where, and how, the work is done rather than what is learnt.
ABOUT_THE_WORK = (
    "checkpoint", "config", "data", "jobs", "json", "out", "plot", "quiet", "results", "resume",
    "threads",
)  # fmt: skip
#: Of these, those that a written run has nevertheless.
_KEPT = ("data", "out", "plot")
#: What written files begin with.
_HEADER = "# fastweights "
#: A longer file is no run's.
_MAX_BYTES = 2**20


def add_config(group: Any) -> None:
    """Adds ``--config``."""
    add_option(
        group,
        "--config",
        "take options from this file, such as the one that each run writes beside its model: "
        "'batch-size = 64' and so on; those on the command line go before it",
        metavar="FILE.toml",
    )


# ---- reading -------------------------------------------------------------------------------------


def with_config(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """The arguments of a command, with those of the file that they name in front."""
    if not any(one.dest == "config" for one in parser._actions):
        return argv
    actions = [one for one in parser._actions if one.dest not in ("help", "config")]
    known = {(one.option_strings or [one.dest])[0].removeprefix("--"): one for one in actions}
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--config", nargs="?")
    path = finder.parse_known_args(argv)[0].config
    if path is None:
        return argv
    found: list[str] = []
    options: dict[str, str] = {}
    for key, value in read(path).items():
        name = key.replace("_", "-")
        if name in options:
            got, expected = f"{options[name]} and {key}", "each option once"
            raise ValueError(_check.refusal(path, got, expected))
        if name not in known:
            got, meant = shown(key), others.hint(name, known, others.OPTIONS)
            expected = f"one of {', '.join(known)}"
            raise ValueError(_check.refusal(f"{path}: option", got, expected) + meant)
        options[name], action = key, known[name]
        if action.option_strings:
            found += _spelt(f"{path}: {key}", action, value)
        else:
            parser.set_defaults(**{action.dest: _text(f"{path}: {key}", value)})
    return [*found, *argv]


def read(path: str) -> dict[str, Any]:
    """What a file of TOML has."""
    with _files.opened(path) as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        got = f"{path}, which has more than {_MAX_BYTES:,} bytes"
        raise ValueError(_check.refusal("--config", got, "options in TOML"))
    toml = _toml()
    try:
        return toml.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}, expected options in TOML") from None


def _toml() -> Any:
    """What reads TOML: of Python 3.11, or tomli before that."""
    for name in ("tomllib", "tomli"):
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise ModuleNotFoundError(
        "--config: needs Python 3.11, or tomli: pip install 'fastweights[cli]'"
    )


def _spelt(where: str, action: argparse.Action, value: Any) -> list[str]:
    """An option as the command line has it."""
    option = action.option_strings[0]
    if isinstance(action, argparse._AppendAction):
        if not isinstance(value, dict):
            expected = "a table, [try], of options and their values"
            raise ValueError(_check.refusal(where, _check.shown(value), expected))
        return [f"{option}={name}={_values(f'{where}.{name}', v)}" for name, v in value.items()]
    if isinstance(action, (argparse._StoreTrueAction, argparse.BooleanOptionalAction)):
        if not isinstance(value, bool):
            raise ValueError(_check.refusal(where, _check.shown(value), "true or false"))
        if value:
            return [option]
        off = [one for one in action.option_strings if one.startswith("--no-")]
        return off[:1]
    return [f"{option}={_text(where, value)}"]


def _values(where: str, value: Any) -> str:
    """What an option tries: a range in words, or a list."""
    if isinstance(value, list):
        return ";".join(_text(where, one) for one in value)
    return _text(where, value)


def _text(where: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(_check.refusal(where, _check.shown(value), "text or a number"))
    text = value if isinstance(value, str) else shown(value) if abs(value) > 1e300 else repr(value)
    if "\0" in text:
        raise ValueError(_check.refusal(where, shown(text), "text without a zero byte"))
    return text


# ---- writing -------------------------------------------------------------------------------------


def beside(out: str) -> str:
    """Where the run of a model that is written to `out` goes."""
    return str(Path(out).with_suffix(".toml"))


def refuse_to_overwrite(told: argparse.Namespace) -> None:
    """Raises ValueError where the run would be written over a file with another one."""
    path = beside(told.out)
    if same_file(path, told.out):
        raise ValueError(_check.refusal("--out", told.out, "a name that does not end in .toml"))
    if same_file(path, told.data):
        got = f"{told.out}, beside which the run is written over the input {path}"
        raise ValueError(_check.refusal("--out", got, "another name"))
    if _is_config(told, path) and not _says(path, _kept(told)):
        got = f"{told.out}, beside which the run is written over {path}, which says another"
        raise ValueError(_check.refusal("--out", got, "another name than that of --config"))
    if not _is_config(told, path):
        if os.path.isfile(path) and not _is_written(path):
            got = f"{told.out}, beside which the run is written over {path}, which is none"
            raise ValueError(_check.refusal("--out", got, "another name"))
        check_writable("--out", path)


def write(told: argparse.Namespace) -> str:
    """Writes what was told of a run beside its model; the path.

    A file that says it already, which the options came from, stays as it is.
    """
    path, options = beside(told.out), _kept(told)
    if not _is_config(told, path):
        lines = [f"{_HEADER}{__version__}: fastweights train --config {Path(path).name}"]
        lines += [f"{name.replace('_', '-')} = {_literal(v)}" for name, v in options.items()]
        text = "\n".join(lines) + "\n"
        _files.replace(path, lambda file: file.write(text.encode(errors="replace")))
    return path


def learnt_from(told: argparse.Namespace) -> dict[str, Any]:
    """The options that say what is learnt, those that were not given left out."""
    return {
        name: value
        for name, value in vars(told).items()
        if value is not None and name != "run" and name not in ABOUT_THE_WORK
    }


def _kept(told: argparse.Namespace) -> dict[str, Any]:
    paths = {name: getattr(told, name, None) for name in _KEPT}
    return {**{n: v for n, v in paths.items() if _has_letters(v)}, **learnt_from(told)}


def _has_letters(path: str | None) -> bool:
    """Whether there is a path that text can name; others are given on the command line."""
    try:
        return path is not None and bool(path.encode())
    except UnicodeEncodeError:
        return False


def _is_config(told: argparse.Namespace, path: str) -> bool:
    return told.config is not None and same_file(path, told.config)


def _is_written(path: str) -> bool:
    """Whether a file is one that `write` wrote."""
    with open(path, "rb") as file:
        return file.read(len(_HEADER)) == _HEADER.encode()


def _says(path: str, options: dict[str, Any]) -> bool:
    """Whether a file has just these options, but for such as are as they would be without it."""
    found = {name.replace("-", "_"): value for name, value in read(path).items()}
    own = {name: value for name, value in found.items() if name not in ABOUT_THE_WORK}
    return all(options.get(name) == value for name, value in own.items()) and all(
        found.get(name, options[name]) == options[name] for name in options
    )


def _literal(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def differing(own: dict[str, Any], other: dict[str, Any]) -> Sequence[str]:
    """The options that are not the same."""
    return [name for name in {**own, **other} if own.get(name) != other.get(name)]
