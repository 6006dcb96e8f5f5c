"""Going on with a study that has a folder: whose cells this version may add to, and adding seeds to it.

A cell depends only on its own seed, so further seeds add cells and change none. The study's hash covers its seeds and
changes with them; ``provenance.json`` records every change under ``extended``, so that the folder still knows the study
by its earlier hashes.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fgtune.catalog.terms import trains_fine_head
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import study_hash_of
from fgtune.config.schema.base import HASH_SCHEME
from fgtune.config.schema.study import Study
from fgtune.errors import StudyFolderError
from fgtune.results.options import RunOptions
from fgtune.results.records import CellResult, CellState

LOOKS = "looks"
"""Key in ``provenance.json`` of the looks after which seeds were added: for each, its date, its seeds, and ``added``,
the seeds of the study from then on, or ``open``, the arms that adaptive seeds had not decided."""
HASH = "hash"
"""Key in ``provenance.json`` of the scheme of its hashes; the first scheme if missing."""
RESULTS = "results"
"""Key in ``provenance.json`` of what the numbers of a config mean; the first meaning if missing."""
RESULTS_SCHEME = 4
"""Increase it whenever the same config yields other numbers than before, and say in ``check_results`` which cells are
concerned: 1 put a training sample into the nearest of all clusters, 2 puts it into one of its own coarse class; 3 adds
up losses and optimiser steps in fewer operations, which rounds otherwise in every cell that trains a network; 4
decomposes texts with one thread, where the threads of all cores gave other last bits."""
_CLUSTERS, _ROUNDING, _TEXTS = 2, 3, 4


def other_version(record: Mapping[str, Any]) -> str | None:
    """``an earlier`` or ``a later`` where another version wrote the folder of a provenance; None where this one did."""
    theirs = record.get(HASH, 1)
    return None if theirs == HASH_SCHEME else "an earlier" if theirs < HASH_SCHEME else "a later"


def check_hashes(record: Mapping[str, Any], where: str) -> None:
    """Raise if the cells of a folder have ids that this version would not give them.

    Args:
        record: The folder's provenance.
        where: The folder.

    Raises:
        StudyFolderError: It was written by a version of fgtune that computes hashes differently.
    """
    age = other_version(record)
    if age is not None:
        rule = f"was written by {age} version of fgtune, whose cells have other ids; nothing was changed"
        fix = "choose another folder with --out, or go on with that version; report, status and verify read it"
        raise StudyFolderError(rule, where=where, fix=fix)


def results_scheme(record: Mapping[str, Any], results: Iterable[CellResult]) -> int:
    """What the numbers in a folder mean: an earlier scheme as long as there are numbers that this one changes.

    Args:
        record: The folder's provenance.
        results: Its ledger.
    """
    scheme: int = record.get(RESULTS, 1)
    return scheme if any(has_earlier_numbers(record, result) for result in results) else RESULTS_SCHEME


def check_results(plan: Plan, settled: Collection[str], where: str, scheme: int) -> None:
    """Raise if cells that are to be run would not be comparable with those that an earlier version ran.

    Args:
        plan: The study as it would be run on.
        settled: Ids of the cells that will not run (again).
        where: The folder.
        scheme: What its results mean (``results_scheme``), which is not what this version's do.

    Raises:
        StudyFolderError: There are cells to run that concern texts, or, in a folder of an earlier scheme, that train a
            network, or, in one of the first, whose fine classes are clusters within coarse classes.
    """
    to_run = [cell for cell in plan.cells if cell.cell_id not in settled]
    to_run += [cell for each in plan.pending_arm_searches for cell in each.plan.cells]
    configs = [cell.config.to_plain() for cell in to_run]
    grows = not plan.study.design.plans_cells or plan.study.adaptive_seeds is not None
    if scheme < _CLUSTERS and (grows or any(map(is_clustered, configs))):
        was = "which put a sample into the nearest of all clusters; this one puts a training sample into one of its "
        was += "own coarse class, so that arms without a fine head reach other numbers"
    elif scheme < _ROUNDING and (grows or any(map(is_trained, configs))):
        was = "whose training rounds otherwise: the same cell comes out a little different in this one, so that "
        was += "cells of both would not be paired exactly"
    elif grows or any(map(is_text, configs)):
        was = "whose numbers of texts round otherwise: the same cell comes out a little different in this one, so that "
        was += "cells of both would not be paired exactly"
    else:
        return
    rule = f"was run by an earlier version of fgtune, {was}; nothing was changed"
    fix = "choose another folder with --out, or go on with that version; report, status and verify read it"
    raise StudyFolderError(rule, where=where, fix=fix)


def has_earlier_numbers(record: Mapping[str, Any], result: CellResult) -> bool:
    """Whether an earlier version gave a cell numbers that this version would not give it, be it by rounding alone.

    Args:
        record: The provenance of the cell's folder; of no version that marked what its numbers mean if empty.
        result: The cell.
    """
    scheme, config = record.get(RESULTS, 1), result.config
    has_moved = (scheme < _ROUNDING and is_trained(config)) or (scheme < _TEXTS and is_text(config))
    return (has_moved and result.state is not CellState.FAIL) or has_earlier_clusters(record, result)


def has_earlier_clusters(record: Mapping[str, Any], result: CellResult) -> bool:
    """Whether an earlier version found the clusters of a cell otherwise, so that its numbers mean something else.

    Arguments as for ``has_earlier_numbers``.
    """
    is_earlier = record.get(RESULTS, 1) < _CLUSTERS
    return is_earlier and result.state is not CellState.FAIL and is_clustered(result.config)


def is_trained(config: Mapping[str, Any]) -> bool:
    """Whether fgtune's own trainer trains a network.

    Args:
        config: A trial as plain data, with every weight above 0.
    """
    objective = config.get("objective", {})
    weights = {key: value for key, value in objective.items() if key.startswith("lambda_")}
    return any(weight > 0 for weight in weights.values()) or bool(objective.get("extra"))


def is_text(config: Mapping[str, Any]) -> bool:
    """Whether the inputs of a trial, as plain data, are texts."""
    return bool(config.get("data", {}).get("kind") == "text")


def is_clustered(config: Mapping[str, Any]) -> bool:
    """Whether fine classes are, or with terms of one's own may be, clusters within coarse classes.

    Args:
        config: A trial with every default filled in, as plain data; of an earlier version, with fewer settings.
    """
    scope = config.get("clustering", {}).get("scope", "coarse")
    return scope == "coarse" and not trains_fine_head(config.get("objective", {}))


def more_seeds(seeds: int | Sequence[int], wanted: int) -> int | list[int]:
    """The seeds of a study, which are fixed, extended to ``wanted`` of them.

    Args:
        seeds: Its present seeds: a number n for 0 .. n-1, or the seeds themselves.
        wanted: How many it is to have.

    Returns:
        ``wanted`` where the study gives a number; else its present seeds followed by those after its largest one.
    """
    if isinstance(seeds, int):
        return wanted
    following = range(max(seeds) + 1, max(seeds) + 1 + wanted - len(seeds))
    return [*seeds, *following]


def extended_record(
    record: Mapping[str, Any], before: Study, plan: Plan, planned: Sequence[str], options: RunOptions, *, looked: bool
) -> dict[str, Any]:
    """The provenance of a folder whose study is extended to that of ``plan``, which has more seeds.

    Args:
        record: The folder's provenance.
        before: The folder's study.
        plan: The study with its further seeds.
        planned: Ids of the cells that the folder has planned.
        options: The options of a run that continues the extended study.
        looked: Whether there are results that may have led to the extension: a look, which is recorded.

    Raises:
        StudyFolderError: More than the seeds differs, or the data are not those that the study has run on.
    """
    where = str(record.get("study", before.study))
    settings = {key: value for key, value in before.identity().items() if key != "seeds"}
    others = {key: value for key, value in plan.study.identity().items() if key != "seeds"}
    if settings != others or not set(before.seed_list) <= set(plan.study.seed_list):
        raise StudyFolderError("only seeds may be added to a study that has started", where=where)
    if study_hash_of(before, (shape.fingerprint for shape in plan.shapes.values())) != record.get("study_hash"):
        fix = "bring back the data that the finished cells were run on, or start a study of another name"
        raise StudyFolderError("the data have changed since the study was started", where=where, fix=fix)
    if not set(planned) <= {cell.cell_id for cell in plan.cells}:
        fix = "go on with the version of fgtune that started it, or start a study of another name"
        raise StudyFolderError("this version of fgtune plans other cells for the same study", where=where, fix=fix)
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": {"study_hash": record["study_hash"], "seeds": list(before.seed_list)},
        "to": {"study_hash": plan.study_hash, "seeds": list(plan.study.seed_list)},
        **options.record(plan.study.execution.storage),
    }
    larger = with_look(record, before.seed_list, added=list(plan.study.seed_list)) if looked else dict(record)
    return {**larger, "study_hash": plan.study_hash, "extended": [*record.get("extended", []), entry]}


def recorded_looks(record: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
    """The seeds of every look after which seeds were added, from a provenance; the oldest first.

    An earlier version recorded extensions alone: the seeds before each of them had been looked at.
    """
    if LOOKS in record:
        return tuple(tuple(look["seeds"]) for look in record[LOOKS])
    return tuple(tuple(entry["from"]["seeds"]) for entry in record.get("extended", []))


def with_look(record: Mapping[str, Any], seeds: Sequence[int], **details: Any) -> dict[str, Any]:
    """The provenance with a look at these seeds, unless its last look is the same.

    Args:
        record: The folder's provenance.
        seeds: The seeds that were looked at.
        details: What followed from it, as plain data.
    """
    known = recorded_looks(record)
    if known and known[-1] == tuple(seeds):
        return dict(record)
    before = record.get(LOOKS, [{"seeds": list(look)} for look in known])
    look = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "seeds": list(seeds), **details}
    return {**record, LOOKS: [*before, look]}


def former_hashes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The hashes that a study had before seeds were added to it, the oldest first."""
    return tuple(entry["from"]["study_hash"] for entry in record.get("extended", []))


def outgrown_error(record: Mapping[str, Any], plan: Plan, where: str) -> StudyFolderError | None:
    """The error for running the study as it was before seeds were added; None if it is not run like that."""
    if plan.study_hash not in former_hashes(record):
        return None
    last = record["extended"][-1]
    had, has = len(plan.study.seed_list), len(last["to"]["seeds"])
    rule = (
        f"this study was extended from {had} to {has} seeds ({last['at'][:10]}), and it is now asked for with {had}; "
        "nothing was changed, and every finished cell is kept"
    )
    return StudyFolderError(rule, where=where, fix=f"go on with: {shlex.join(last['command'])}")
