"""Columns and targets from what a file says about them, every part of it checked.

The file may be damaged: what does not have the type, the size or the sense that
`Preprocessor.to_json` gave it is a ValueError that names the place, ``columns[3].scale``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from fastweights import _check
from fastweights._json import shown
from fastweights.table.columns import NumberColumn


def restored(where: str, kinds: dict[str, Any], tag: str, content: Any) -> Any:
    """The column or target that `to_json` took apart, every part of it checked."""
    named = content.get(tag) if isinstance(content, dict) else content
    if not isinstance(named, str) or named not in kinds:
        got = f"{tag} {shown(named)}"
        raise ValueError(_check.refusal(where, got, f"one of {', '.join(kinds)}"))
    part = _filled(where, kinds[named], content, (tag,))
    part.refuse_senseless(where)
    return part


def _filled(where: str, kind: Any, content: Any, tags: tuple[str, ...] = ()) -> Any:
    """An object of this kind with the fields that the content gives, each of the right type."""
    readers = {field.name: _READERS[field.type] for field in fields(kind)}
    values = entries_of(where, content, (*tags, *readers))[len(tags) :]
    return kind(
        **{
            name: read(f"{where}.{name}", value)
            for (name, read), value in zip(readers.items(), values, strict=True)
        }
    )


def entries_of(where: str, content: Any, names: Sequence[str]) -> list[Any]:
    """The values under these names, in their order; ValueError unless there are just these."""
    found = content.keys() if isinstance(content, dict) else None
    if found != set(names):
        got = shown(sorted(found)) if found else shown(content)
        raise ValueError(_check.refusal(where, got, f"the entries {', '.join(names)}"))
    return [content[name] for name in names]


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(_check.refusal(where, shown(value), "text"))
    return value


def _flag(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_check.refusal(where, shown(value), "true or false"))
    return value


def _number(where: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(_check.refusal(where, shown(value), "a number"))
    return float(value)


def list_of(where: str, value: Any) -> list[Any]:
    """The value, where it is a list."""
    if not isinstance(value, list):
        raise ValueError(_check.refusal(where, shown(value), "a list"))
    return value


def reasons(where: str, value: Any) -> dict[str, str]:
    """The value, where it is an object of texts."""
    if not isinstance(value, dict):
        raise ValueError(_check.refusal(where, shown(value), "reasons under names"))
    return {name: _text(f"{where}[{shown(name)}]", text) for name, text in value.items()}


def refuse_repeats(where: str, names: Sequence[str], at_least: int) -> None:
    """Raises ValueError where a name comes twice or there are too few."""
    if len(set(names)) < max(len(names), at_least):
        expected = f"at least {at_least}, every one once"
        raise ValueError(_check.refusal(where, shown(sorted(names)), expected))


def _tuple(read: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple[Any, ...]]:
    def read_all(where: str, value: Any) -> tuple[Any, ...]:
        return tuple(
            read(f"{where}[{place}]", entry) for place, entry in enumerate(list_of(where, value))
        )

    return read_all


def _number_column(where: str, value: Any) -> NumberColumn:
    column: NumberColumn = _filled(where, NumberColumn, value)
    return column


def texts_of(where: str, value: Any) -> tuple[str, ...]:
    """The value, where it is a list of texts."""
    return _tuple(_text)(where, value)


#: What reads a field of a column or target, by its annotation.
_READERS: dict[Any, Callable[[str, Any], Any]] = {
    "str": _text,
    "bool": _flag,
    "float": _number,
    "tuple[str, ...]": _tuple(_text),
    "tuple[float, ...]": _tuple(_number),
    "tuple[tuple[float, ...], ...]": _tuple(_tuple(_number)),
    "NumberColumn": _number_column,
    "tuple[NumberColumn, ...]": _tuple(_number_column),
}
