"""Categories, and what cells name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastweights import _check
from fastweights._json import shown
from fastweights.table.cells import Cells, number_text
from fastweights.table.columns.common import Marks, Oddity, odd_rows
from fastweights.table.numerals import MISSING, missing_word, words

#: Words for true and false, of which a column may have several for one thing.
_TRUE = words(
    "true|t|yes|y|on|1|ja|j|oui|o|si|sí|s|vrai|wahr|verdadero|vero|sim|da|да|tak|ano|igen"
)
_FALSE = words("false|f|no|n|off|0|nein|non|faux|falsch|falso|não|nao|nej|nee|нет|nie|ne|nem")

#: How texts may name one category: by their words alone; by what is true and false; by letters,
#: large or small.
MERGING = dict.fromkeys(("words", "truths", "letters"))
#: Codes of so many letters may tell large ones and small ones apart.
_CODE = 2
#: Such codes are letters written either way where there are so few.
_FEW_LETTERS = 5


def key_of(text: str, merging: str = "words") -> str:
    """What texts that name one category have in common; ``""`` where the text says that none is.

    Case and the width of spaces tell no words apart. With ``"truths"`` the words for true are one
    category, and those for false; with ``"letters"`` so are ``f`` and ``F``.
    """
    word = missing_word(text)
    if word in MISSING:
        return ""
    if merging == "truths" and word in _TRUE | _FALSE:
        return "true" if word in _TRUE else "false"
    if len(text) <= _CODE and merging != "letters":
        return text
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Levels:
    """The categories in cells.

    Parameters
    ----------
    keys : list of str
        Those of the categories that occur, in order of appearance among texts, then numbers.
    codes : intp (rows,)
        The place of each row's key.
    """

    keys: list[str]
    codes: np.ndarray

    @classmethod
    def of(cls, cells: Cells, merging: str = "words") -> Levels:
        """The categories of cells; a number is the category of its shortest text."""
        plain = np.isfinite(cells.values)
        different, inverse = np.unique(cells.values[plain], return_inverse=True)
        texts = [*cells.texts, *(number_text(value) for value in different.tolist())]
        places: dict[str, int] = {}
        found = [places.setdefault(key_of(text, merging), len(places)) for text in texts]
        codes = np.array(cells.codes, dtype=np.intp)
        codes[plain] = inverse + len(cells.texts)
        return cls(list(places), np.array(found, dtype=np.intp)[codes])

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How many of the rows, bool (rows,), are of each category: (keys,)."""
        return np.bincount(self.codes[rows], minlength=len(self.keys))

    def places(self, keys: list[str]) -> np.ndarray:
        """The place of each row's category among others, -1 where it is none: int32 (rows,)."""
        place = {key: number for number, key in enumerate(keys)}
        return np.array([place.get(key, -1) for key in self.keys], dtype=np.int32)[self.codes]


def spellings(cells: Cells, merging: str = "words") -> dict[str, list[str]]:
    """The texts of each key, the commonest first. Numbers that are a category have none."""
    found: dict[str, list[tuple[int, str]]] = {}
    for text, count in zip(cells.texts, cells.counts().tolist(), strict=True):
        found.setdefault(key_of(text, merging), []).append((-count, text))
    return {key: [text for _, text in sorted(texts)] for key, texts in found.items()}


def merging_of(cells: Cells) -> str:
    """How texts of a column name one category, one of `MERGING`.

    By what is true where all say true or false: other rows may say it otherwise. By letters where
    there are few, at least two and at least half of them large and small.
    """
    different = {text for text in cells.texts if missing_word(text) not in MISSING}
    if not 1 < len(different) <= 2 * len(_TRUE | _FALSE):
        return "words"
    plain = np.unique(cells.values[np.isfinite(cells.values)])
    written = different | {number_text(value) for value in plain[:3].tolist()}
    said = {key_of(text, "truths") for text in written}
    if said == {"true", "false"} or (said < {"true", "false"} and len(written) > 1):
        return "truths"
    codes = {text for text in different if len(text) <= _CODE}
    letters = {text.casefold() for text in codes}
    if 1 < len(letters) <= _FEW_LETTERS and 2 * len(codes) >= 3 * len(letters):
        return "letters"
    return "words"


@dataclass(frozen=True)
class CategoryColumn:
    """Categories, one feature each, 1 where a row is of that category and 0 elsewhere.

    A missing cell is a category too, the empty one. Rare and unseen categories are all zeros.

    Parameters
    ----------
    name : str
    categories : tuple of str
        As most cells write them.
    merging : str
        How texts name one category, one of `MERGING`.
    """

    kind: ClassVar[str] = "category"
    name: str
    categories: tuple[str, ...]
    merging: str

    @classmethod
    def fit(
        cls, name: str, cells: Cells, min_rows: int = 10, most: int = 200, merging: str = "words"
    ) -> CategoryColumn:
        """Learns the categories, at most so many, that enough of the cells (rows,) hold.

        Enough are `min_rows`, but never more than a twentieth.
        """
        levels = Levels.of(cells, merging)
        counts = levels.counts(np.ones(len(cells), dtype=bool))
        enough = min(min_rows, max(1, len(cells) // 20))
        common = np.argsort(-counts, kind="stable")[:most]
        written = spellings(cells, merging)
        keys = [levels.keys[place] for place in common if counts[place] >= enough]
        texts = [written[key][0] if key and key in written else key for key in keys]
        return cls(name, tuple(sorted(texts)), merging)

    @property
    def features(self) -> list[str]:
        return [f"{self.name}={category or 'missing'}" for category in self.categories]

    def _places(self, levels: Levels) -> np.ndarray:
        return levels.places([key_of(category, self.merging) for category in self.categories])

    @property
    def pieces(self) -> list[bool]:
        """None of the features is a piece of an encoding."""
        return [False] * len(self.features)

    def read(self, cells: Cells, marks: Marks) -> np.ndarray:
        """The places of the cells' categories, int32 (rows,), -1 where a cell is of none."""
        return self._places(Levels.of(cells, self.merging))

    def encode(self, places: np.ndarray, out: np.ndarray) -> None:
        """Writes features of places (rows,) to float32 (rows, features)."""
        out[:] = 0.0
        known = np.flatnonzero(places >= 0)
        out[known, places[known]] = 1.0

    def oddities(self, cells: Cells, marks: Marks) -> list[Oddity]:
        """What of these cells training had nothing like."""
        return odd_rows(
            "rare or unseen categories count as none", cells, self.read(cells, marks) < 0
        )

    def refuse_senseless(self, where: str) -> None:
        """Raises ValueError where the values do not go together."""
        _check.choice(f"{where}.merging", self.merging, MERGING)
        keys = [key_of(category, self.merging) for category in self.categories]
        refuse_one_key(f"{where}.categories", keys)


def refuse_one_key(where: str, keys: list[str]) -> None:
    """Raises ValueError where there are no categories, or two are one."""
    if not keys or len(set(keys)) < len(keys):
        got = shown(sorted(keys))
        raise ValueError(_check.refusal(where, got, "at least 1, every one once"))
