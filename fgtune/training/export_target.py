"""Where a model or predictions may be written: found out before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path

from fgtune.errors import ConfigError
from fgtune.training.export_folder import CARD, check_files, read_card


def check_writable(path: Path) -> None:
    """Raise unless a file or folder can be made at ``path``; nothing is made.

    Raises:
        ConfigError: The nearest folder that exists is none, or may not be written to.
    """
    nearest = next(folder for folder in (path.absolute().parent, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        rule = f"cannot be written: {nearest} is no folder that you may write to"
        raise ConfigError(rule, where=str(path), fix="choose another place with --out")


def check_target(target: Path, identity: tuple[str, ...], force: bool) -> bool:
    """Whether the folder already holds this very model; raise where it may not be written.

    Raises:
        ConfigError: It cannot be written, or holds another model and ``force`` is off, or something that is no model.
    """
    if not target.name:
        fix = "use --out models/best, say"
        raise ConfigError("must name a folder of its own", where="--out", value=str(target), fix=fix)
    check_writable(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if not (target / CARD).is_file():
        raise ConfigError("is there already and holds no model", where=str(target), fix="choose another with --out")
    try:
        card = read_card(target)
        check_files(target, card)
    except ConfigError:
        card = None
    if card is not None and card.identity == identity:
        return not force
    if force:
        return False
    what = "a damaged model" if card is None else f"another model ({card.arm}, seed {card.seed}, fgtune {card.fgtune})"
    raise ConfigError(f"holds {what}", where=str(target), fix="replace it with --force, or choose another with --out")
