"""A folder that one call at a time writes to: made, locked, and left without a trace where nothing was begun in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fgtune.errors import StudyFolderError
from fgtune.results.locking import locked, record_file

LOCK = ".lock"


@contextmanager
def locked_folder(
    root: Path, is_begun: Callable[[], bool], wait: bool = False, say: Callable[[str], object] = lambda _: None
) -> Iterator[None]:
    """Lock a folder: meanwhile no other process, on this machine or another, may write to it.

    Args:
        root: The folder, which may be missing.
        is_begun: Whether it holds more than its lock; one that was not there before is gone afterwards if not.
        wait: Wait until no other process holds it, instead of raising.
        say: Called once with whom it waits for.

    Raises:
        StudyFolderError: Another process holds the lock, or nothing can be written there.
    """
    made = [each for each in (root, *root.parents) if not each.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(root / LOCK, wait, say))
        except OSError as error:
            rule, fix = f"cannot be written ({error.strerror})", "make it writable, or choose another with --out"
            raise StudyFolderError(rule, where=str(error.filename or root), fix=fix) from error
        if made:
            stack.callback(_forget, root, is_begun)
        yield


def is_leftover(path: Path) -> bool:
    """Whether a process killed before it claimed the folder may have left this file."""
    locks = {LOCK, record_file(Path(LOCK)).name}
    return path.name in locks or (path.name.startswith(".") and path.suffix == ".tmp")


def _forget(root: Path, is_begun: Callable[[], bool]) -> None:
    """Leave nothing in a folder in which nothing was begun; the lock is still held."""
    if not is_begun() and all(map(is_leftover, root.iterdir())):
        (root / LOCK).unlink(missing_ok=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders, the innermost first, that are empty."""
    for each in folders:
        try:
            each.rmdir()
        except OSError:
            return
