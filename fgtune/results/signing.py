"""Signatures of records that name places outside a study folder: their writer knows them again, wherever it has been.

A study folder may come from elsewhere, and what it says may have been written to harm whoever opens it. Each user has a
key, in a file that nobody else can read; what bears its signature was written by this user, on a machine that has it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from fgtune.files import private_folder

_BYTES = 32


def sign(*parts: str) -> str:
    """The signature of a record; empty where this user can keep no key, so that nobody will know the record again.

    Args:
        parts: What the record is for, and what it says.
    """
    key = _key(make=True)
    return "" if key is None else _digest(key, parts)


def is_signed(signature: object, *parts: str) -> bool:
    """Whether this user signed a record that says this; who has no key has signed nothing, and gets none by asking."""
    if not isinstance(signature, str) or not signature:
        return False
    key = _key(make=False)
    return key is not None and hmac.compare_digest(_encoded(signature), _encoded(_digest(key, parts)))


def _digest(key: bytes, parts: tuple[str, ...]) -> str:
    lengths = b"".join(len(each).to_bytes(8, "big") + each for each in map(_encoded, parts))
    return hmac.new(key, lengths, hashlib.sha256).hexdigest()


def _encoded(text: str) -> bytes:
    """The text as bytes, whatever it holds: a path need not be UTF-8."""
    return text.encode(errors="surrogatepass")


def _key(*, make: bool) -> bytes | None:
    """This user's key; None where there is none, or where it cannot be kept for this user alone."""
    try:
        base = os.environ.get("XDG_STATE_HOME")
        folder = (Path(base) if base else Path.home() / ".local" / "state") / "fgtune"
        path = (private_folder(folder) if make or folder.exists() else folder) / "key"
        if make and not path.exists():
            _make(path)
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            return None
        content = path.read_bytes()
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return None
    return content if len(content) == _BYTES else None


def _make(path: Path) -> None:
    """Write a new key, whole and for its owner alone, unless another process is faster."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
