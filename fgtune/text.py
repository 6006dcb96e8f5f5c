"""Phrases that messages and reports share: lists, counts, durations."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fgtune.visible import masked, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_MOST_SAID = 5000
"""Characters of a line that is printed."""


def first_of(names: Sequence[str], most: int = 8) -> str:
    """The first ``most`` names, separated by commas, and how many more there are: ``a, b and 3 more``.

    A single further one is named, too.
    """
    most += len(names) == most + 1
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def first_line(error: object) -> str:
    """The first line of an error's message that says something, cut; its type where none does."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return visible(line, 200) or type(error).__name__


def last_line(text: str) -> str:
    """The last line that says something, where an error with a traceback names itself; empty without one."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; at least one word."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def count(n: int, singular: str, plural: str | None = None) -> str:
    """``1 cell``, ``3 cells``."""
    return f"{n} {singular if n == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them: ``0.4 s``, ``42 s``, ``3 min``, ``1 h 20 min``, ``2 d 3 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def print_line(console: Console, text: str) -> None:
    """Print a line without markup, highlighting or wrapping, in signs that the console can encode and show."""
    text = encodable(visible(masked(text)), console.encoding)
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def say(text: str, err: bool = False, most: int = _MOST_SAID) -> None:
    """Print lines of text, on standard output or standard error, so that no terminal acts on what they hold.

    Args:
        text: The lines.
        err: Whether they go to standard error.
        most: Characters of a line that are shown.
    """
    for line in text.split("\n"):
        print(visible(masked(line), most), file=sys.stderr if err else sys.stdout, flush=True)


def encodable(text: str, encoding: str) -> str:
    """Text in which what an encoding lacks is spelled out by its code."""
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # no encoding that Python knows
        return text.encode("ascii", "backslashreplace").decode("ascii")


def table_row(*cells: str) -> list[Text]:
    """The cells of a row of a table, verbatim: what stands in brackets is no markup."""
    from rich.text import Text

    return [Text(visible(cell, 300)) for cell in cells]


def print_damage(notes: Iterable[str]) -> None:
    """Say on standard error what is wrong with files of a study folder and what follows."""
    for note in notes:
        print(f"warning: {visible(note)}", file=sys.stderr)
