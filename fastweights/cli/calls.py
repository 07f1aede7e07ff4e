"""Names with settings, as the command line and files spell them: ``adamw(weight_decay=0.01)``.

Values are numbers, words (with or without quotes), lists in brackets, other names with settings,
and shares of all steps of a training, such as ``10%``. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from fastweights import _arguments, _check
from fastweights._json import shown

T = TypeVar("T")

#: What is longer is no spec of a person's, and may be too deep to be read.
MAX_LETTERS = 2000
_PERCENT = re.compile(r"(?<![\w.])(\d+(?:\.\d*)?|\.\d+)\s*%")
_SHARE = "share_of_all_steps"
_WORDS = {"true": True, "false": False, "none": None}
EXPECTED = "a name, with settings in parentheses where there are any: name(setting=1, other=word)"


class Share(NamedTuple):
    """So much of all steps."""

    value: float


class Call(NamedTuple):
    """A name, and settings by their names."""

    name: str
    settings: dict[str, Any]


def calls_of(option: str, text: str) -> list[Call]:
    """The names in ``a,b(c=1),d``; ValueError, which names the option, for anything else."""
    if len(text) > MAX_LETTERS:
        raise ValueError(_check.refusal(option, f"{len(text):,} letters", EXPECTED))
    try:
        shares = _PERCENT.sub(lambda found: f"{_SHARE}({found[1]})", text)
        tree = ast.parse(f"[{shares}]", mode="eval").body
        if not isinstance(tree, ast.List) or not tree.elts:
            raise ValueError
        return [_call(node) for node in tree.elts]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(_check.refusal(option, shown(text), EXPECTED)) from None


def call_of(option: str, text: str) -> Call:
    """The one name in ``a(b=1)``."""
    calls = calls_of(option, text)
    if len(calls) > 1:
        raise ValueError(_check.refusal(option, shown(text), "one of them"))
    return calls[0]


def _call(node: ast.expr) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id, {})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ValueError
    settings: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in settings:
            raise ValueError
        settings[keyword.arg] = _value(keyword.value)
    return Call(node.func.id, settings)


def _value(node: ast.expr) -> Any:
    """What a setting is."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)):
        return node.value
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return -number
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(entry) for entry in node.elts]
    if isinstance(node, ast.Dict):
        keys = [None if key is None else _value(key) for key in node.keys]
        if all(isinstance(key, str) for key in keys):
            return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id.lower(), node.id)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == _SHARE:
            return Share(ast.literal_eval(node.args[0]) / 100)
        return _call(node)
    raise ValueError


def kind_of(option: str, call: Call, known: Mapping[str, T]) -> T:
    """What the name stands for, in small letters and with underscores or as it is spelt."""
    spelt = {name.replace("_", "").lower(): name for name in known}
    name = spelt.get(call.name.replace("_", "").lower(), call.name)
    return _check.choice(option, name, known)


def made(option: str, call: Call, kind: Callable[..., T]) -> T:
    """What the call makes; ValueError, which names the option, where it does not take a setting."""
    known = parameters(kind)
    for name in call.settings:
        if name not in known:
            got, expected = shown(name), f"one of {_check.listed(known)}"
            refusal = _check.refusal(f"{option}: setting of {call.name}", got, expected)
            raise ValueError(f"{refusal}{_arguments.meant(name, tuple(known), kind)}")
    try:
        return kind(**call.settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{option}: {error}") from None


def parameters(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Those of a class's constructor, and of those of its bases that it hands others on to."""
    found: dict[str, inspect.Parameter] = {}
    for base in inspect.getmro(kind) if isinstance(kind, type) else ():
        made_by = vars(base).get("__init__")
        if made_by is None:
            continue
        own = list(inspect.signature(made_by).parameters.values())[1:]
        for one in own:
            if one.kind is not one.VAR_KEYWORD:
                found.setdefault(one.name, one)
        if not any(one.kind is one.VAR_KEYWORD for one in own):
            break
    return found
