"""Folders of the same made-up study are written once in a process; a later one gets the same files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from fgtune.results.folder import StudyFolder

_MOST = 64
_KEPT: OrderedDict[tuple[str, ...], dict[Path, bytes]] = OrderedDict()


def fill(folder: StudyFolder, content: object, write: Callable[[], None]) -> None:
    """Write the cells of a study, or the files that the same content has led to before.

    Args:
        folder: Holds its provenance, which is signed for its path, and no ledger yet.
        content: Its ``repr`` says all that ``write`` depends on, but for how curves and relations are written.
        write: Writes every other file.
    """
    key = (repr(content), StudyFolder.write_curve.__qualname__, StudyFolder.write_relations.__qualname__)
    if folder.ledger_file.exists():
        write()
        return
    if key in _KEPT:
        for path, kept in _KEPT[key].items():
            (folder.root / path).parent.mkdir(parents=True, exist_ok=True)
            (folder.root / path).write_bytes(kept)
    else:
        write()
        files = [path for path in folder.root.rglob("*") if path.is_file() and path != folder.provenance_file]
        _KEPT[key] = {path.relative_to(folder.root): path.read_bytes() for path in files}
    _KEPT.move_to_end(key)
    if len(_KEPT) > _MOST:
        _KEPT.popitem(last=False)
