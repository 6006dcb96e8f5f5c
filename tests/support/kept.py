"""The same made-up study is read, planned and written once in a process; a later folder of it gets the same files."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import fgtune.results.folder
from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import LoadedStudy, load_study
from fgtune.config.schema.study import Study
from fgtune.results.folder import StudyFolder
from fgtune.results.texts import resolved_text

_MOST = 64
_KEPT: OrderedDict[tuple[str, ...], dict[Path, bytes]] = OrderedDict()
_PLANNED: dict[tuple[str, str], tuple[LoadedStudy, Plan]] = {}
_TEXTS: dict[tuple[str, str], str] = {}


def _resolved_once(study: Study, study_hash: str) -> str:
    key = (json.dumps(study.to_plain()), study_hash)
    if key not in _TEXTS:
        _TEXTS[key] = resolved_text(study, study_hash)
    return _TEXTS[key]


fgtune.results.folder.resolved_text = _resolved_once  # YAML takes longer to write than all cells of a study


def planned(source: Path, shape: Callable[[object], DataShape]) -> tuple[LoadedStudy, Plan]:
    """The study of a file that names no other file, and its plan."""
    text = source.read_text(encoding="utf-8")
    key = (text, shape.__module__)
    if key not in _PLANNED:
        loaded = load_study(source)
        if ".yaml" in text:
            return loaded, expand(loaded, shape)
        _PLANNED[key] = (loaded, expand(loaded, shape))
    return _PLANNED[key]


def fill(folder: StudyFolder, content: object, write: Callable[[], None]) -> None:
    """Write the cells of a study, or the files that the same content has led to before.

    Args:
        folder: Holds its provenance, which is signed for its path, and no ledger yet.
        content: Its ``repr`` says all that ``write`` depends on, but for how curves and relations are written.
        write: Writes every other file.
    """
    key = (repr(content), StudyFolder.add_curves.__qualname__, StudyFolder.write_relations.__qualname__)
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
