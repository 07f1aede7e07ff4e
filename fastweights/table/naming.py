"""Names of columns: every one has one of its own."""

from __future__ import annotations

from collections.abc import Iterable

from fastweights._json import shown

#: Names in a remark.
_MOST_NAMED = 3


def unique_names(given: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names for all columns, and a remark where any is another than what was given.

    A column without a name is called by its place, ``column_1`` being the first; of those that have
    the same name all but the first get a number behind it, ``name.1``.
    """
    names = [name.strip() or f"column_{place}" for place, name in enumerate(given, start=1)]
    taken, known, next_of = set(names), set(), dict.fromkeys(names, 1)
    renamed = []
    for place, name in enumerate(names):
        if name in known:
            other = f"{name}.{next_of[name]}"
            while other in taken:
                next_of[name] += 1
                other = f"{name}.{next_of[name]}"
            renamed.append(f"{shown(name)} is {shown(other)} in column {place + 1}")
            taken.add(other)
            names[place] = name = other
        known.add(name)
    if not renamed:
        return names, []
    more = f" and {len(renamed) - _MOST_NAMED} more" if len(renamed) > _MOST_NAMED else ""
    return names, [f"names that occur twice: {', '.join(renamed[:_MOST_NAMED])}{more}"]
