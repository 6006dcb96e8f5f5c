"""``fgtune ui DIR``: MLflow's page of a study, on the store that the study is tracked in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fgtune.errors import ConfigError, StudyFolderError, TrackingError
from fgtune.files import real_path, require_file
from fgtune.results.folder import StudyFolder
from fgtune.results.options import LastCall, last_call
from fgtune.results.provenance import tracked_by_own_call, tracked_in
from fgtune.tracking import tracking_uri
from fgtune.visible import MASK

_COMPARES = re.compile(r'<meta name="fgtune-compares" content="([^"]*)">')
_HEAD = 4096
"""Characters of a page in which its head says what it is about."""


def show(root: Path, given: str | None, port: int | None, say: Callable[[str], None]) -> None:
    """Serve the study's store until the process is asked to stop; of a store with a page of its own, say where it is.

    Args:
        root: The study folder.
        given: The store, if not that of the last tracked run.
        port: A port of this machine; a free one if left out.
        say: Prints a line.

    Raises:
        ConfigError: The folder holds no study, the study is not tracked, its store does not exist or does not hold the
            study, or the port is taken. Nothing was started.
        TrackingError: The store or MLflow does not answer.
    """
    from fgtune.tracking import server

    folder = StudyFolder(real_path(root))
    folder.require_study()
    if not folder.read_study().trial.runs_here:
        fix = f"open {folder.report_file}, or write it with fgtune report {folder.root}"
        raise StudyFolderError("holds runs that were imported, which are not tracked", where=str(folder.root), fix=fix)
    record = folder.read_provenance()
    last = last_call(record)
    uri, directory = _store_of(folder, record, last, given)
    if server.is_remote(uri):
        say(f"MLflow: {uri}")
    store = server.open_existing(uri, directory)
    place = server.place_of(store, record["study"], [record["study_hash"], *folder.former_hashes()])
    if place is None:
        fix = f"name the right one with --tracking-uri, or store the study's cells there: {_again(last, uri)}"
        raise ConfigError(f"holds no run of the study {record['study']!r}", where=store.uri, fix=fix)
    if server.is_remote(uri):
        _say_links(place.links(uri) if uri.startswith("http") else {}, say)
        return
    number = server.free_port(port)
    say(f"starting MLflow on {store.uri}, which takes some seconds")
    address = f"http://{server.HOST}:{number}"
    try:
        with server.serving(store, number) as process:
            say(f"MLflow: {address}")
            _say_links(place.links(address), say)
            _say_links(pages_of(folder, record), say)
            if not place.view:
                say(f"for a table and charts of the arms, bring the store up to date: {_again(last, uri)}")
            say("Ctrl-C stops it")
            code = process.wait()
    except KeyboardInterrupt:
        say("MLflow is stopped")
        return
    raise TrackingError(f"mlflow ended by itself with exit code {code}; run the same command again")


def pages_of(folder: StudyFolder, record: Mapping[str, Any]) -> dict[str, str]:
    """The pages about a study beside MLflow's: its report, and comparisons in its folder or the one above.

    Args:
        folder: The study's folder.
        record: Its ``provenance.json``.
    """
    found = {"report": folder.report_file.as_uri()} if folder.report_file.is_file() else {}
    hashes = {record.get("study_hash"), *folder.former_hashes()}
    places = [*sorted(folder.root.glob("*.html")), *sorted(folder.root.parent.glob("*.html"))]
    pages = [each.as_uri() for each in places if hashes & set(_compared(each))]
    return found | {"comparison" if rank == 1 else f"comparison {rank}": page for rank, page in enumerate(pages, 1)}


def _compared(page: Path) -> list[str]:
    """The hashes of the studies that a page compares; empty for any other file."""
    try:
        require_file(page)
        with page.open(encoding="utf-8", errors="replace") as stream:
            named = _COMPARES.search(stream.read(_HEAD))
    except OSError:
        return []
    return named[1].split(", ") if named else []


def _say_links(links: Mapping[str, str], say: Callable[[str], None]) -> None:
    for name, link in links.items():
        say(f"{name + ':':<7} {link}")


def _store_of(folder: StudyFolder, record: Mapping[str, Any], last: LastCall, given: str | None) -> tuple[str, Path]:
    """The store of a study, and what a relative path in its address is relative to."""
    if given is not None:
        uri, directory = given, Path.cwd()
    else:
        options = last.options
        asked = None if options is None else options.tracking_uri
        directory = (None if options is None else options.directory(folder.root)) or Path.cwd()
        uri = tracked_in(record) or tracking_uri(asked)
    if uri.strip().lower() == "none":
        fix = f"track it, which stores its finished cells too: {last.line} --tracking-uri sqlite:///mlflow.db"
        if given is not None:
            raise ConfigError("must be a store", where="--tracking-uri", value=given, fix="leave the option out")
        raise StudyFolderError("holds a study that is not tracked", where=str(folder.root), fix=fix)
    if MASK in uri:
        rule, fix = "its password is not stored with the study", "give the whole address with --tracking-uri"
        raise ConfigError(rule, where="--tracking-uri", value=uri, fix=fix)
    if given is None and uri != tracking_uri(None) and _is_server(uri) and not tracked_by_own_call(record, uri):
        again = shlex.join(["fgtune", "ui", str(folder.root), "--tracking-uri", uri])
        rule, fix = "names this store, and was not written by you on this machine", f"if you trust it: {again}"
        raise StudyFolderError(rule, where=str(folder.provenance_file), value=uri, fix=fix)
    return uri, directory


def _is_server(uri: str) -> bool:
    """Whether a store is no file, so that it gets the credentials that the environment holds."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    return scheme not in {"", "file", "sqlite"} or uri.startswith("databricks")


def _again(last: LastCall, uri: str) -> str:
    """The command line that stores what a store lacks."""
    return last.line if "--tracking-uri" in last.command else f"{last.line} --tracking-uri {uri}"
