"""Damage to files and to JSON: the same seed does the same damage.

The tests that do it have a short form and, with ``FASTWEIGHTS_LONG=1`` in the environment, a long
one.
"""

from __future__ import annotations

import copy
import json
import os
from random import Random
from typing import Any, TypeVar

Cases = TypeVar("Cases")


def cases(short: Cases, long: Cases) -> Cases:
    """What a test tries, or how much of it: little, unless the long form is asked for."""
    return long if os.environ.get("FASTWEIGHTS_LONG") == "1" else short


#: What stands in the place of a right value.
WRONG: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 4096, 2**31, 2**62, 2**63, 2**64, 10**18, 10**39, 10**400,
    0.0, -0.0, 0.5, 1.5, -1.5, 5e-324, 1e-308, 1e30, 1e308, -1e308, float("nan"), float("inf"),
    "", "x", "nan", "1", "dense", "relu", "number", "category", "\0", "\n", "\ud800", "🙂",
    "a" * 9999,    [], {}, [1], [None], [[]], {"name": "relu"}, {"": 0}, [1] * 99, list("abc"),
]  # fmt: skip


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """The content with bytes changed, lost, repeated, put in, or cut off."""
    some = bytearray(content)
    place = random.randrange(len(some))
    length = 1 + int(random.random() ** 3 * min(len(some), 200))
    kind = random.choice(["flip", "write", "lose", "repeat", "put in", "cut off"])
    if kind == "flip":
        for _ in range(random.randint(1, 4)):
            some[random.randrange(len(some))] ^= random.randint(1, 255)
    elif kind == "write":  # what JSON is made of
        for _ in range(random.randint(1, 4)):
            some[random.randrange(len(some))] = random.choice(b'{}[]",:0123456789-+.eE\\untfl ')
    elif kind == "lose":
        del some[place : place + length]
    elif kind == "repeat":
        some[place:place] = some[place : place + length]
    elif kind == "put in":
        some[place:place] = random.randbytes(length)
    else:
        del some[place:]
    return bytes(some)


def damaged_json(value: Any, random: Random) -> Any:
    """A copy of a JSON object in which one to three parts are wrong, lost, or too many."""
    value = copy.deepcopy(value)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        holders = list(_holders(value))
        if not holders:
            break
        holder = random.choice(holders)
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        kind = random.choice(["wrong", "wrong", "wrong", "lose", "add", "move"])
        if kind == "wrong":
            holder[key] = copy.deepcopy(random.choice(WRONG))
        elif kind == "lose":
            del holder[key]
        elif kind == "move":  # a right value in a wrong place
            other = random.choice(holders)
            holder[key] = copy.deepcopy(random.choice(list(_values(other))))
        elif isinstance(holder, dict):
            holder[random.choice(["", "name", "kind", "x", "\0"])] = random.choice(WRONG)
        else:
            holder.insert(key, copy.deepcopy(random.choice([*WRONG, holder[key]])))
    return value


def damaged_text(value: Any, random: Random) -> str:
    """JSON text of the value, damaged before or after it became text."""
    if random.random() < 0.7:
        return json.dumps(damaged_json(value, random))
    return damaged_bytes(json.dumps(value).encode(), random).decode(errors="replace")


def _values(holder: Any) -> Any:
    return holder.values() if isinstance(holder, dict) else holder


def _holders(value: Any) -> Any:
    """Every object and list in the value that is not empty, the outermost first."""
    if isinstance(value, (dict, list)) and value:
        yield value
        for entry in _values(value):
            yield from _holders(entry)
