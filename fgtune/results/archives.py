"""Archives of arrays and tensors, which are read once it is known what they unpack to."""

from __future__ import annotations

import zipfile
from pathlib import Path

from fgtune.files import require_file

_MOST_UNPACKED = 1 << 30
"""Bytes of the arrays of one record."""


def check_unpacked(path: Path, most: int = _MOST_UNPACKED) -> None:
    """Raise for what is no file, or an archive that would unpack to too much, before it does.

    Args:
        path: The archive.
        most: Bytes that it may unpack to, by default those of a record.

    Raises:
        OSError: It is a folder, a device or a pipe.
        ValueError: It would unpack to too much.
    """
    require_file(path)
    with zipfile.ZipFile(path) as archive:
        size = sum(each.file_size for each in archive.infolist())
    if size > most:
        raise ValueError(f"it would unpack to {size / 1e9:,.1f} GB")


def check_tensors(path: Path) -> None:
    """Raise for what is no file, or a file of tensors that is packed, which those of ``torch.save`` never are.

    Raises:
        OSError: It is a folder, a device or a pipe.
        ValueError: It is an archive that would unpack to far more than its size.
    """
    require_file(path)
    if zipfile.is_zipfile(path):
        check_unpacked(path, max(_MOST_UNPACKED // 4, 2 * path.stat().st_size))
