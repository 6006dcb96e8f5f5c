"""``fgtune extend DIR --seeds N``: more seeds for a study that has a folder, finished or not.

Everything comes from the folder: the study as given, with spaces and overrides applied (so that the files it was made
from are not needed), and the options of the run. Finished cells stay; the cells of the new seeds run as ``fgtune run``
would run them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.config.reading.load import override_path, reloaded
from fgtune.config.reading.merge import patch
from fgtune.config.schema.study import Study
from fgtune.engine.designs import grown_plan
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.files import read_text, real_path
from fgtune.plugins import permitted, permitting
from fgtune.results.extension import check_hashes, more_seeds
from fgtune.results.folder import GIVEN, StudyFolder
from fgtune.results.options import RunOptions, last_call
from fgtune.text import listed, print_line
from fgtune.visible import MASK

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.engine.opening import OpenedStudy


def extend(
    root: Path,
    seeds: int,
    tracking_uri: str | None = None,
    console: Console | None = None,
    *,
    wait: bool = False,
    budget: Mapping[str, float | None] | None = None,
) -> int:
    """Extend a study to a number of seeds, and run the cells that this adds.

    A study with ``seeds: n`` gets the seeds 0 .. N-1; one that lists its seeds keeps them and gets those that follow
    the largest. If interrupted, it is continued by the same call, or by the line it prints.

    Args:
        root: The study folder.
        seeds: Number of seeds that the study is to have, more than it has.
        tracking_uri: MLflow store, if not that of the last run.
        console: Where progress is shown; standard output by default.
        wait: Wait until no other process writes to the folder, and then extend what it left.
        budget: Settings of ``execution.budget`` for this call; None keeps those that the study was begun with.

    Returns:
        The exit code, as ``execute`` gives it.

    Raises:
        ConfigError: The folder holds no study, the study has that many seeds already, its data have changed, or another
            process is writing to it. Nothing is then started or written.
    """
    from fgtune.engine.run import execute

    folder = StudyFolder(real_path(root))
    folder.require_study()
    say = print if console is None else partial(print_line, console)
    if wait:
        with folder.lock(wait, say):
            pass  # what is read below is what the other process has left
    folder.read_study().trial.check_runs_here(str(folder.root))
    check_hashes(folder.read_provenance(), str(folder.root))
    last = _last_options(folder, tracking_uri)
    study = folder.read_study()
    _check_seeds(folder, study, seeds)
    grown = more_seeds(study.seeds if isinstance(study.seeds, int) else study.seed_list, seeds)
    with chdir(last.directory(folder.root) or Path.cwd()), permitting(last.plugins, beside=last.study):
        limits = {f"execution.budget.{name}": limit for name, limit in (budget or {}).items()}
        options = _options(folder, last, grown, tracking_uri, limits)
        with folder.lock(wait, say):
            opened = _open(folder, grown, limits)
            folder.extend(grown_plan(opened.plan, folder), options)
        return execute(options, console, opened, wait=wait)


def _check_seeds(folder: StudyFolder, study: Study, seeds: int) -> None:
    """Refuse a number that adds no seed, unless it continues the last extension."""
    if not study.design.plans_cells:
        rule = "a search judges every point by the seeds it began with, so none can be added"
        fix = "compare its best points on more seeds in a study of design comparison"
        raise StudyFolderError(rule, where=str(folder.root), fix=fix)
    if study.adaptive_seeds is not None:
        rule = f"its looks are planned for at most {study.adaptive_seeds.max} seeds, and spend all of alpha by then"
        fix = "run the study to its end; for more seeds, start a study of another name with a larger seeds.max"
        raise StudyFolderError(rule, where=str(folder.root), fix=fix)
    extensions = folder.read_provenance().get("extended", [])
    was_cut_off = bool(extensions) and len(extensions[-1]["to"]["seeds"]) == seeds
    if study.study != folder.root.name:
        fix = f"rename the folder to {study.study}"
        raise StudyFolderError(f"holds the study {study.study!r} under another name", where=str(folder.root), fix=fix)
    has = len(study.seed_list)
    if seeds <= has and not was_cut_off:
        rule = f"must be more than the {has} seeds that the study has"
        raise ConfigError(rule, where="--seeds", value=seeds, fix=f"ask for {has + 1} or more")


def _last_options(folder: StudyFolder, tracking_uri: str | None) -> RunOptions:
    """The options of the last run or extension; what it reaches beyond the folder was asked for by this user.

    Args:
        folder: The study folder.
        tracking_uri: The store that this call names, if any.
    """
    record = folder.read_provenance()
    last = last_call(record)
    if last.options is None:
        fix = f"restore the file, or run the study once more{': ' * bool(last.command)}{last.line}"
        raise StudyFolderError("lacks the options of the last run", where=str(folder.provenance_file), fix=fix)
    execution = record.get(GIVEN, {}).get("execution")
    storage = execution.get("storage") if isinstance(execution, Mapping) else None
    reached = _reached(last.options, storage, tracking_uri)
    if reached and not (last.is_own and last.storage == storage):
        rule = f"names {listed(reached)}, and was not written by you on this machine"
        fix = f"if you want to use these, run the study once yourself, which keeps all results: {last.line}"
        raise StudyFolderError(rule, where=str(folder.provenance_file), fix=fix)
    return last.options


def _reached(options: RunOptions, storage: str | None, tracking_uri: str | None) -> list[str]:
    """What a call with these options imports or connects to, besides what this call names itself."""
    store = None if tracking_uri is not None or options.tracking_uri == "none" else options.tracking_uri
    foreign = sorted(set(options.plugins) - set(permitted()))
    named = {
        "packages to import": ", ".join(foreign), "a cluster": options.address, "an MLflow store": store,
        "a storage": storage,
    }  # fmt: skip
    return [f"{what} ({text})" for what, text in named.items() if text]


def _options(
    folder: StudyFolder,
    last: RunOptions,
    seeds: int | list[int],
    tracking_uri: str | None,
    limits: Mapping[str, float | None],
) -> RunOptions:
    """The options with which ``fgtune run`` would run the extended study."""
    uri = tracking_uri or last.tracking_uri
    if uri is not None and MASK in uri:
        fix = "give it with --tracking-uri, or 'none' for no tracking"
        raise ConfigError("its password is not stored with the study", where="--tracking-uri", value=uri, fix=fix)
    kept = [override for override in last.overrides if override_path(override) not in {"seeds", *limits}]
    limited = [f"{path}={limit}" for path, limit in limits.items() if limit is not None]
    overrides = (*kept, *limited, f"seeds={seeds}")
    out = last.out if last.directory(folder.root) is not None else folder.root.parent
    return replace(last, overrides=overrides, out=out, tracking_uri=uri, retry_failed=False, only=())


def _open(folder: StudyFolder, seeds: int | list[int], limits: Mapping[str, float | None]) -> OpenedStudy:
    """The folder's study with more seeds, checked like any other; ``study.yaml`` stays as given.

    It is made from the study as given, since presets fill in what a study leaves open: in the resolved study an arm
    with another preset than the trial's would find the trial's values filled in already.
    """
    from fgtune.engine.opening import open_loaded

    raw = patch(folder.read_provenance()[GIVEN] | {"seeds": seeds}, limits)
    text = read_text(folder.study_file) if folder.study_file.is_file() else ""
    return open_loaded(reloaded(raw, text, folder.provenance_file))
