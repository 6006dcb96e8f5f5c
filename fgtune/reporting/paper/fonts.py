"""Which installed fonts have the characters that the figures' own font lacks, such as Chinese, Japanese and Korean."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

FAMILY = "DejaVu Sans"
"""Comes with Matplotlib, so that figures look alike on every machine."""
_PREFERRED = ("Noto Sans", "Source Han Sans", "WenQuanYi", "Droid Sans Fallback", "Noto")
_LAST_RESORT = "Last Resort"
"""A font of Matplotlib's that has a box for everything."""


def fonts_for(texts: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families besides ``FAMILY`` that texts need, and the characters that no installed font has."""
    from matplotlib.font_manager import findfont, fontManager

    own = _characters(findfont(FAMILY))
    missing = {sign for text in texts for sign in text if not sign.isspace() and ord(sign) not in own}
    families: list[str] = []
    if not missing:
        return (), frozenset()
    usable = [each for each in fontManager.ttflist if each.style == "normal" and _LAST_RESORT not in each.name]
    for each in sorted(usable, key=lambda entry: (_rank(entry.name), entry.name, entry.fname)):
        has = {sign for sign in missing if ord(sign) in _characters(each.fname)}
        if has:
            families.append(each.name)
            missing -= has
    return tuple(dict.fromkeys(families)), frozenset(missing)


def _rank(family: str) -> int:
    """Fonts without serifs that are made for many scripts come first."""
    return next((rank for rank, name in enumerate(_PREFERRED) if family.startswith(name)), len(_PREFERRED))


@cache
def _characters(path: str) -> frozenset[int]:
    """Codes of the characters of a font; none of one that Matplotlib cannot draw, such as coloured pictures."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
