"""What a terminal, a log or a page is shown of text that comes from elsewhere: escaped, cut, without secrets."""

from __future__ import annotations

import re

MOST = 2000
"""Characters of a message; a longer one keeps its beginning and its end."""
MASK = "***"
"""Stands for a secret."""

_UNSEEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters but the tab, changes of direction, and halves of characters: what no reader can see."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>]+")
_PASSWORD = re.compile(r"(://[^/:@?#]*):(?!\d+(?:[/?#]|$))(?:[^/?#]*@|.*?@)")
_TOKEN_AS_USER = re.compile(r"^(https?://)[^/:@?#]+@")
_SECRET_WORDS = "token|secret|passw|passphrase|pwd|api_?key|access_?key|private_?key|signature|credential|auth"
_QUERY = re.compile(rf"([?&;#](?:[^=&#;]*(?:{_SECRET_WORDS})[^=&#;]*|key|sig|code)=)[^&#;'\"]+", re.IGNORECASE)


def visible(text: str, most: int = MOST) -> str:
    """One line of text that no terminal acts on: an escape becomes its code, the middle is left out of a long one.

    Args:
        text: Any text.
        most: The most characters that are kept, besides a note of how many there were.
    """
    if len(text) > most:
        head, tail = most * 3 // 4, most // 4
        text = f"{text[:head]} ... ({len(text):,} characters) ... {text[len(text) - tail :]}"
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def brief(value: object, most: int = 120) -> str:
    """The ``repr`` of a value, cut at its end; its type where it has none, as an integer of thousands of digits."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError, MemoryError):
        return f"<{type(value).__name__}>"
    return visible(shown if len(shown) <= most else shown[: most - 3] + "...")


def masked(text: str) -> str:
    """Text without the secrets in its URIs: passwords, users that are tokens, and query keys such as ``token``."""
    return _URI.sub(lambda found: masked_uri(found.group()), text) if "://" in text else text


def masked_uri(uri: str) -> str:
    """One URI without its secrets."""
    without = _PASSWORD.sub(rf"\1:{MASK}@", uri)
    without = _TOKEN_AS_USER.sub(rf"\1{MASK}@", without)
    return _QUERY.sub(rf"\1{MASK}", without)
