"""Small tables for notebooks, as plain HTML: every text is escaped, nothing in them runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from fgtune.text import count
from fgtune.visible import visible

MOST_ROWS = 20
"""Rows of a table; what is left out is counted below it."""


def paragraph(text: str, title: str = "") -> str:
    """A text, after its title in bold."""
    return f"<p>{f'<b>{_shown(title)}</b> ' if title else ''}{_shown(text)}</p>"


def small_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, its first column as row headings; of many rows, the first ones."""
    rows = list(rows)
    head = "".join(f'<th scope="col" style="text-align:left">{_shown(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{_shown(first)}</th>'
        + "".join(f'<td style="text-align:left">{_shown(each)}</td>' for each in rest)
        + "</tr>"
        for first, *rest in rows[:MOST_ROWS]
    )
    left = len(rows) - MOST_ROWS
    more = paragraph(f"and {count(left, 'more row')}") if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _shown(text: str) -> str:
    return escape(visible(text, 1000))
