"""Code of the user's own package: imported only where the command line or the environment names the package.

A study file says ``kind: package.module:name`` for a part that fgtune does not ship. That alone permits nothing:
whoever runs the study names the package with ``--plugins`` or in ``FGTUNE_PLUGINS``, and until then no part of it is
imported.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from fgtune.errors import ConfigError
from fgtune.files import real_path

ENVIRONMENT = "FGTUNE_PLUGINS"
"""Environment variable with the names of packages that may be imported, separated by commas."""

KIND_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
"""What the ``kind`` of a plugin looks like: ``package.module:name``."""

_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

TargetT = TypeVar("TargetT")


@dataclass(frozen=True)
class Permit:
    """Which packages may be imported, and where to look for them besides the usual places; travels to workers.

    Attributes:
        packages: Package names; each covers everything below it.
        search_path: Folders, searched after everything else.
    """

    packages: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()


_granted: list[Permit] = []
"""Permits in force besides the environment's, the latest last."""


def parse_packages(texts: Iterable[str], where: str) -> tuple[str, ...]:
    """The packages that texts such as ``mine,theirs.parts`` name.

    Raises:
        ConfigError: A name cannot be that of a package.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if not _PACKAGE.fullmatch(name):
            rule, fix = "must be the name of a package", "write the name that `import` takes, e.g. mypackage"
            raise ConfigError(rule, where=where, value=name, fix=fix)
    return tuple(dict.fromkeys(names))


def permitted() -> tuple[str, ...]:
    """The packages that may be imported now."""
    named = parse_packages([os.environ.get(ENVIRONMENT, "")], ENVIRONMENT)
    return tuple(dict.fromkeys([*named, *(name for permit in _granted for name in permit.packages)]))


def permit_for_workers() -> Permit:
    """What another process needs to be allowed, and able, to import what this one can."""
    packages = permitted()
    return Permit(packages, tuple(str(Path(folder).resolve()) for folder in sys.path) if packages else ())


@contextmanager
def permitting(
    packages: Sequence[str] = (), search_path: Sequence[str] | None = None, beside: Path | None = None
) -> Iterator[None]:
    """Permit packages, besides those of the environment, for the duration of a ``with`` block.

    Args:
        packages: Their names.
        search_path: Folders to search for modules after everything else; None means the working directory. Nothing is
            added where nothing is permitted.
        beside: A study file, whose folder is searched after these.

    Raises:
        ConfigError: A name cannot be that of a package, or, where the working directory is searched, there is none.
    """
    permit = Permit(parse_packages(packages, "--plugins"))
    _granted.append(permit)
    folders = [str(Path.cwd())] if search_path is None else [*search_path]
    folders += [] if beside is None else [str(real_path(beside).parent)]
    folders = list(dict.fromkeys(folders))
    added = [folder for folder in folders if folder not in sys.path] if permitted() else []
    sys.path.extend(added)
    try:
        if search_path is None:  # not in a worker, whose driver has looked
            _check_installed(permit.packages)
        yield
    finally:
        _granted.remove(permit)
        for folder in added:
            sys.path.remove(folder)


def _check_installed(packages: Iterable[str]) -> None:
    """Raise ``ConfigError`` for a package that is not there; nothing of it is imported."""
    for name in packages:
        top = name.partition(".")[0]
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            fix = f"check the spelling, install it, or start from the folder that holds it, which {Path.cwd()} is not"
            raise ConfigError("no such package", where="--plugins", value=name, fix=fix)


def resolve(kind: str, path: str = "") -> Any:
    """The object at ``package.module:name``; its module is imported now if it may be.

    Args:
        kind: Where the object lives, in the form of ``KIND_PATTERN``.
        path: Dotted config path, for messages.

    Raises:
        ConfigError: The package is not permitted (nothing is imported then), or there is no such module or name, or
            the module cannot be imported.
    """
    module, _, name = kind.partition(":")
    if not any(module == each or module.startswith(f"{each}.") for each in permitted()):
        package = module.partition(".")[0]
        rule = f"a study file alone may not have the package {package!r} imported"
        fix = f"if you trust it, add --plugins {package} to the command, or set {ENVIRONMENT}={package}"
        raise ConfigError(rule, path=path, value=kind, fix=fix)
    try:
        found = importlib.import_module(module)
    except ConfigError:
        raise
    except Exception as error:  # someone else's code runs here: whatever stops it is reported, not only missing modules
        raise _cannot_import(module, error, kind, path) from error
    if not hasattr(found, name):
        known = [each for each, value in vars(found).items() if getattr(value, "__module__", None) == module]
        fix = f"it defines: {', '.join(known)}" if known else "check the spelling"
        raise ConfigError(f"module {module} has no {name!r}", path=path, value=kind, fix=fix)
    return getattr(found, name)


def _cannot_import(module: str, error: Exception, kind: str, path: str) -> ConfigError:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{module}.".startswith(f"{missing}."):
        rule, fix = f"there is no module {missing!r}", "install the package, or start from the folder that holds it"
    elif missing is not None:
        rule, fix = f"module {module} needs {missing!r}, which is not installed", f"install {missing}"
    else:
        rule, fix = f"importing {module} fails with {type(error).__name__}: {error}", "mend it first"
    return ConfigError(rule, path=path, value=kind, fix=fix)


def takes(options: type[Any]) -> Callable[[TargetT], TargetT]:
    """Decorator for a function or class that a study names; ``options`` is the config class of its settings.

    A class may define ``Options`` in its body instead.
    """

    def mark(target: TargetT) -> TargetT:
        target.Options = options  # type: ignore[attr-defined]
        return target

    return mark


def origins() -> dict[str, dict[str, str | None]]:
    """Version and source digest of each permitted package that was imported, for provenance."""
    found = {}
    for package in sorted({name.partition(".")[0] for name in permitted()} & sys.modules.keys()):
        owners = metadata.packages_distributions().get(package)
        found[package] = {
            "version": metadata.version(owners[0]) if owners else None,
            "sha256": _source_digest(package),
        }
    return found


def _source_digest(package: str) -> str | None:
    """Digest of a package's Python files, or of the one file of a module; None where there are none."""
    file = getattr(sys.modules[package], "__file__", None)
    folders = [Path(folder) for folder in getattr(sys.modules[package], "__path__", ())]
    sources = [(each.relative_to(folder), each) for folder in folders for each in folder.rglob("*.py")]
    if not sources and file is not None:
        source = Path(file)
        sources = [(Path(source.name), source)]
    digest = hashlib.sha256()
    for name, place in sorted(sources):
        digest.update(f"{name.as_posix()}\n".encode() + place.read_bytes())
    return digest.hexdigest()[:16] if sources else None
