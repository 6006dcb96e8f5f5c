"""How much memory this machine has, and the refusal of what it cannot hold, before anything is allocated."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from fgtune.errors import ConfigError

LARGE, MOST_PACKED = 1 << 30, 100
"""Above this many bytes, data are not this much smaller in a file: of float32, one number in 100 would not be zero."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 1 << 40
"""Bytes that a machine is taken to have where the system does not say."""


@cache
def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container around this process if that is less."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on this system
        found = _UNKNOWN
    try:
        limit = int(_CGROUP.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup, or "max"
        limit = found
    return min(found, limit)


def require_memory(
    need: float, what: str, *, kind: type[ConfigError] = ConfigError, path: str = "", where: str = "", fix: str = ""
) -> None:
    """Raise unless this machine has as much memory as something takes at least.

    Args:
        need: Bytes.
        what: What takes them, in words: ``1,000,000 samples of 16 numbers``.
        kind: The class of the error.
        path: Dotted path of the setting at fault.
        where: The file at fault.
        fix: What to do.

    Raises:
        ConfigError: It has not.
    """
    have = machine_memory()
    if need > have:
        rule = f"{what} take at least {bytes_text(need)} of memory, and this machine has {bytes_text(have)}"
        raise kind(rule, path=path, where=where, fix=fix or "make it smaller")


def bytes_text(n: float) -> str:
    """Bytes as a person would say them: ``12 MB``, ``3.4 GB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if n >= 10 or unit == "B" else f"{n:.1f} {unit}"
