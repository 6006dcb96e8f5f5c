"""Checks a study folder against itself: what can be recomputed from stored data must come out the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fgtune.analysis.inputs import StudyData, read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.table import encoded, tidy_table
from fgtune.analysis.trials import best_arm
from fgtune.config.arms.records import cell_id_of
from fgtune.config.schema.base import HASH_SCHEME, stable_hash
from fgtune.config.schema.trial import TrialConfig
from fgtune.metrics.evaluate import evaluate_counts
from fgtune.results.extension import HASH
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState

_SUMMARY = re.compile(r'<script type="application/json" id="fgtune-summary">(.*?)</script>', re.DOTALL)


def verify(root: Path) -> tuple[int, list[str]]:
    """Recompute what can be recomputed from the folder's files.

    For every complete cell, its config is checked against its hash and id, and its metrics that follow from the stored
    counts against these; then ``results.csv`` and the summary in ``report.html`` against the ledger. For a comparison
    that searches inside its arms, the searches are checked too, and that each arm runs what its search found best.

    Returns:
        Number of values compared, and one line for each that does not agree.

    Raises:
        StudyFolderError: It is not a study folder, or one of its files cannot be read.
    """
    return _verify(read_study(StudyFolder(root)))


def _verify(data: StudyData) -> tuple[int, list[str]]:
    compared, problems = 0, []
    for count, problem in (*_cells(data.folder), *_table(data), *_report(data), *_choices(data)):
        compared += count
        if problem:
            problems.append(problem)
    return compared, problems


def _identity(config: Mapping[str, Any], scheme: int) -> dict[str, Any]:
    """The part of a stored config that is hashed; under scheme 1, all of it."""
    try:
        return dict(config) if scheme == 1 else TrialConfig.from_plain(dict(config)).identity()
    except ValidationError:
        return {}  # matches no hash in the ledger, so the cell is reported


def _hash_scheme(folder: StudyFolder, results: Sequence[CellResult]) -> int:
    """How the folder's hashes were made; where ``provenance.json`` is lost, as most of its cells have it."""
    if folder.provenance_file.is_file():
        return int(folder.read_provenance().get(HASH, 1))

    def agreeing(scheme: int) -> int:
        return sum(stable_hash(_identity(result.config, scheme)) == result.config_hash for result in results)

    return max(HASH_SCHEME, 1, key=agreeing)


def _cells(folder: StudyFolder) -> Iterator[tuple[int, str]]:
    results = folder.ledger.read()
    scheme = _hash_scheme(folder, results)
    for result in results:
        name = f"cell {result.cell_id} ({result.arm}, seed {result.seed})"
        config = _identity(result.config, scheme)
        agrees = stable_hash(config) == result.config_hash
        yield 1, "" if agrees else f"{name}: its config does not have the hash {result.config_hash}"
        agrees = cell_id_of(config, result.seed, result.fork, scheme) == result.cell_id
        yield 1, "" if agrees else f"{name}: its config and seed do not have this id"
        if result.state is not CellState.COMPLETE:
            continue
        record = folder.read_relations(result.cell_id)
        if record is None:
            yield 1, f"{name}: its relations are missing"
        elif record.fine_counts is not None and record.true_fine_to_coarse is not None:
            again = evaluate_counts(record.fine_counts, record.fine_to_coarse, record.true_fine_to_coarse)
            for metric, value in again.items():
                stored = result.metrics.get(f"test/{metric}")
                if stored is not None:
                    yield 1, "" if stored == value else f"{name}: test/{metric} is {stored}, its counts give {value}"


def _choices(data: StudyData) -> Iterator[tuple[int, str]]:
    """The searches inside arms, and what they chose."""
    for arm in data.arms:
        search = data.arm_searches.get(arm.name)
        if search is None:
            continue
        compared, problems = _verify(search)
        yield compared, ""
        yield from ((0, f"search inside {arm.name}: {problem}") for problem in problems)
        if data.cells(arm.name):
            best = best_arm(search) or search.baseline.name
            levels = next(each.levels for each in search.arms if each.name == best)
            agrees = all(arm.levels.get(path) == level for path, level in levels.items())
            yield 1, "" if agrees else f"arm {arm.name}: does not run {best}, the best that its search has"


def _table(data: StudyData) -> Iterator[tuple[int, str]]:
    path = data.folder.results_csv
    if path.is_file():
        agrees = path.read_bytes() == encoded(tidy_table(data), ".csv")
        yield 1, "" if agrees else f"{path}: is not the table that the ledger gives"


def _report(data: StudyData) -> Iterator[tuple[int, str]]:
    path = data.folder.report_file
    if path.is_file():
        found = _SUMMARY.search(path.read_text(encoding="utf-8"))
        expected = _summary(json.dumps(summarise(data).to_plain()))
        agrees = found is not None and _summary(found.group(1)) == expected
        yield 1, "" if agrees else f"{path}: its numbers are not those that the ledger gives"


def _summary(text: str) -> Any:
    """A summary without the words that describe its metrics: they are fgtune's, and no number of the study."""

    def numbers(found: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in found.items() if key != "description"}

    return json.loads(text, object_hook=numbers)
