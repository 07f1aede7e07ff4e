"""Names in pictures: fonts that have their letters, and what is too long."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

#: Fonts that have letters of many scripts, where they are installed; the first of all draws first.
_WIDE = (
    "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Noto Sans Thai", "Unifont", "Arial Unicode MS", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Segoe UI Symbol",
)  # fmt: skip


def shortened(name: str, most: int) -> str:
    """The name in at most so many letters: its beginning and its end."""
    name = " ".join(name.split())
    if len(name) <= most:
        return name
    end = most // 3
    return f"{name[: most - end - 1]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"


@contextlib.contextmanager
def lettered(names: Iterable[str]) -> Iterator[list[str]]:
    """Draws with fonts that have the letters of these names, as far as they are installed.

    Yields what is to be said: of letters that no font has, which are drawn as boxes.
    """
    from matplotlib import font_manager, rc_context, rcParams

    usual = [font_manager.fontManager.findfont(font_manager.FontProperties())]
    lacking = {ord(letter) for name in names for letter in name if not letter.isspace()}
    lacking -= _letters_of(usual[0])
    found: list[str] = []
    known = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    for family in _WIDE:
        if lacking and family in known:
            own = lacking & _letters_of(known[family])
            if own:
                found.append(family)
                lacking -= own
    said = []
    if lacking:
        letters = "".join(map(chr, sorted(lacking)[:5]))
        said.append(
            f"no installed font has letters such as {letters!r}, which are boxes in the picture"
        )
    with rc_context({"font.family": [*rcParams["font.family"], *found]}):
        yield said


def _letters_of(path: str) -> set[int]:
    """The code points that a font has."""
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(path).get_charmap())
