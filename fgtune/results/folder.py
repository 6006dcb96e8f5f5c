"""The study folder: what its files hold, who may write to it, and whether it belongs to a given study.

Every file except the ledger is written under a temporary name and then renamed, so a reader finds the old one or the
new one. ``provenance.json`` comes first and makes a folder a study folder: it holds the study's hash.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import study_hash_of
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.reading.source import parse_yaml
from fgtune.config.schema.base import HASH_SCHEME
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.files import read_text, write_atomically
from fgtune.results.claiming import is_leftover, locked_folder
from fgtune.results.extension import (
    HASH,
    RESULTS,
    RESULTS_SCHEME,
    check_hashes,
    check_results,
    extended_record,
    former_hashes,
    outgrown_error,
    results_scheme,
    with_look,
)
from fgtune.results.locking import Holder, lock_holder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellResult, CellState
from fgtune.results.stored import StoredStudy
from fgtune.results.texts import (
    differences,
    plan_text,
    resolved_text,
)
from fgtune.text import count, first_of

ARM_SEARCH = "inside"
"""Key of the comparison and the arm in the ``provenance.json`` of a search inside an arm."""
GIVEN = "given"
"""Key in ``provenance.json`` of the study as given: with overrides and spaces applied, defaults not filled in."""

SHAPES = "shapes"
"""Key in ``provenance.json`` of each data set's name, samples and numbers of classes, by the digest of its config."""

IMPORTS = "imports"
"""Key in ``provenance.json`` of the tables that runs were imported from, the latest last."""
REBUILT = "rebuilt"
"""Key in ``provenance.json`` of a folder whose record was lost and written anew."""
CHAINED = "ledger_chained_after"
"""Key in ``provenance.json``: number of ledger lines from a version that did not chain them; 0 in a new folder."""


class StudyFolder(StoredStudy):
    """The folder at ``root``: which study owns it, who writes to it, its study, plan and ledger."""

    def settled(self, plan: Plan, retry_failed: bool = False) -> dict[str, CellResult]:
        """Results of planned cells that need not run, by cell id: all but failures that are to be retried."""
        planned = {cell.cell_id for cell in plan.cells}
        return {
            result.cell_id: result
            for result in self.ledger.read()
            if result.cell_id in planned and not (retry_failed and result.state is CellState.FAIL)
        }

    # Ownership

    def check(self, plan: Plan, retry_failed: bool = False) -> bool:
        """Whether the folder already holds this study; writes nothing.

        Args:
            plan: The study.
            retry_failed: Whether failed cells are to run again.

        Returns:
            True for the study's own folder, False for one that does not exist or is empty.

        Raises:
            StudyFolderError: When it holds another study, or something that is not a study.
        """
        record = self.record()
        if not record:
            return self._is_unrecorded(plan, retry_failed)
        theirs = record.get("study_hash")
        if theirs == plan.study_hash:
            self._check_results(record, plan, retry_failed)
            return True
        check_hashes(record, str(self.root))
        outgrown = outgrown_error(record, plan, str(self.root))
        if outgrown is not None:
            raise outgrown
        self._refuse_other_seeds(record, plan)
        differing = self._differences(plan.study)
        what = f"differs in {first_of(differing, 6)}" if differing else "has the same settings on other data"
        raise StudyFolderError(
            f"belongs to another study (hash {theirs}, here {plan.study_hash}): it {what}",
            where=str(self.root),
            fix="choose another folder with --out, give the study another name, or restore the study file",
        )

    def create_or_check(
        self, plan: Plan, loaded: LoadedStudy, provenance: Mapping[str, Any], retry_failed: bool = False
    ) -> None:
        """Claim the folder for this study before the first trial, or record that the study in it is continued.

        Args:
            plan: The cells planned so far.
            loaded: The study as given.
            provenance: From ``collect_provenance``.
            retry_failed: Whether failed cells are to run again.

        Raises:
            StudyFolderError: As for ``check``; nothing is written then.
        """
        record = {**provenance, HASH: HASH_SCHEME, RESULTS: RESULTS_SCHEME, GIVEN: dict(loaded.raw)}
        known, first = self.check(plan, retry_failed), self.record()
        if first:
            record = {
                **first,
                RESULTS: self._scheme(first),
                "continued": [*first.get("continued", []), dict(provenance)],
            }
        elif known:
            record |= {RESULTS: self._scheme({}), REBUILT: True, CHAINED: self.ledger.chain.unchained}
            self.set_aside(self.provenance_file)
        if CHAINED not in record:
            record[CHAINED] = len(self.ledger.lines())
        self.root.mkdir(parents=True, exist_ok=True)
        for path in (self.study_file, self.resolved_file, self.plan_file):
            if path.is_dir() or path in self.damage:
                self.set_aside(path)
        self._write_provenance(record)
        write_atomically(self.study_file, loaded.source_text.encode())
        write_atomically(self.resolved_file, resolved_text(plan.study, plan.study_hash).encode())
        write_atomically(self.plan_file, plan_text(plan).encode())

    def import_runs(self, plan: Plan, loaded: LoadedStudy, record: Mapping[str, Any]) -> None:
        """Claim the folder, which must be locked, for a study of imported runs, or let that study grow.

        Args:
            plan: The study of the table.
            loaded: The study file that was made of it.
            record: Its provenance, without what is the folder's own.
        """
        own = {HASH: HASH_SCHEME, RESULTS: RESULTS_SCHEME, GIVEN: dict(loaded.raw), CHAINED: 0}
        self._write_provenance({**record, **own})
        write_atomically(self.study_file, loaded.source_text.encode())
        write_atomically(self.resolved_file, resolved_text(plan.study, plan.study_hash).encode())
        write_atomically(self.plan_file, plan_text(plan).encode())

    def extend(self, plan: Plan, options: RunOptions) -> None:
        """Turn the study in the folder, which must be locked, into the one with further seeds; finished cells stay.

        A process killed meanwhile leaves the earlier or the later study; repeating the call completes it.

        Args:
            plan: The study with its further seeds.
            options: The options of a run that continues it.

        Raises:
            StudyFolderError: The folder's study differs in more than seeds, or its data do; nothing is written then.
        """
        record = self.read_provenance()
        if record.get("study_hash") != plan.study_hash:
            planned = [row["cell_id"] for row in self.read_plan()]
            self._check_results(record, plan)
            looked = any(result.cell_id in planned for result in self.ledger.read())
            scheme = self._scheme(record)
            record = extended_record(record, self.read_study(), plan, planned, options, looked=looked)
            self._write_provenance({**record, RESULTS: scheme})
        write_atomically(self.resolved_file, resolved_text(plan.study, plan.study_hash).encode())
        write_atomically(self.plan_file, plan_text(plan).encode())

    def add_block(self, plan: Plan, seeds: Sequence[int], open_arms: Sequence[str]) -> None:
        """Record a look at all arms with these seeds, and the plan with the block that follows it.

        A process killed between the two leaves a look without new cells, which the next call repeats.

        Args:
            plan: The plan with the cells of the block.
            seeds: The seeds that were looked at.
            open_arms: The arms whose contrasts were not decided.
        """
        self._write_provenance(with_look(self.read_provenance(), seeds, open=list(open_arms)))
        self.write_plan(plan)

    def former_hashes(self) -> tuple[str, ...]:
        """The hashes that the folder's study had before seeds were added; empty for a folder without a study."""
        return former_hashes(self.record())

    def holder(self) -> Holder | None:
        """Who is writing to the folder; None while nobody is."""
        return lock_holder(self.lock_file)

    @contextmanager
    def lock(self, wait: bool = False, say: Callable[[str], object] = lambda _: None) -> Iterator[None]:
        """Lock the folder: meanwhile no other process, on this machine or another, may write to it.

        A folder in which no study was started is gone afterwards if it was not there before.

        Args:
            wait: Wait until no other process holds it, instead of raising.
            say: Called once with whom it waits for.

        Raises:
            StudyFolderError: When another process holds the lock, the folder is not a study folder, or nothing can be
                written there.
        """
        if not any(path.is_file() for path in self.claims):
            self._refuse_foreign()
        with locked_folder(self.root, self.provenance_file.exists, wait, say):
            yield

    def _scheme(self, record: Mapping[str, Any]) -> int:
        """What the numbers here mean; the ledger is read only where an earlier version may have made some."""
        known = record.get(RESULTS, 1) >= RESULTS_SCHEME
        return RESULTS_SCHEME if known else results_scheme(record, self.ledger.read())

    def _check_results(self, record: Mapping[str, Any], plan: Plan, retry_failed: bool = False) -> None:
        """Raise where an earlier version ran cells that further ones would not be comparable with."""
        scheme = self._scheme(record)
        if scheme < RESULTS_SCHEME:
            check_results(plan, self.settled(plan, retry_failed).keys(), str(self.root), scheme)

    def _is_unrecorded(self, plan: Plan, retry_failed: bool) -> bool:
        """Whether a folder without a readable ``provenance.json`` holds this study, by its hash or by its cells."""
        stated, results = self._stated_hash(), self.ledger.read()
        if stated is None and not results:
            self._refuse_foreign()
            return False
        planned = {cell.cell_id for cell in plan.cells}
        if stated != plan.study_hash and (stated is not None or not {each.cell_id for each in results} <= planned):
            theirs = "other cells" if stated is None else f"hash {stated}, here {plan.study_hash}"
            rule = f"belongs to another study ({theirs}), and its {self.provenance_file.name} is lost"
            fix = "choose another folder with --out, or restore that file from a copy"
            raise StudyFolderError(rule, where=str(self.root), fix=fix)
        self._check_results({}, plan, retry_failed)
        what = f"was lost and is written anew: all {len(results)} results are kept, earlier looks are not known"
        self.damage[self.provenance_file] = f"{self.provenance_file.name} {what}"
        return True

    def _stated_hash(self) -> str | None:
        """The study's hash in the first line of the resolved study; None where it cannot be read."""
        try:
            head = read_text(self.resolved_file).partition("\n")[0]
        except ConfigError:
            return None
        return head.rpartition(" ")[2] if "Study hash: " in head else None

    def _refuse_foreign(self) -> None:
        """Raise when something other than a study is here."""
        for each in self.root.parents:
            if each.exists():
                if not each.is_dir():
                    raise StudyFolderError("must be a folder", where=str(each), fix="choose another with --out")
                break
        if self.root.exists() and not self.root.is_dir():
            raise StudyFolderError("must be a folder", where=str(self.root), fix="choose another with --out")
        if self.root.is_dir() and any(not is_leftover(each) for each in self.root.iterdir()):
            rule = "is not empty and holds no study"
            raise StudyFolderError(rule, where=str(self.root), fix="choose another with --out, or empty it")

    def _refuse_other_seeds(self, record: Mapping[str, Any], plan: Plan) -> None:
        """Raise where the study here differs in the number of its seeds alone: that is an extension."""
        data = tuple(shape.fingerprint for shape in plan.shapes.values())
        theirs = self.read_study()
        if theirs.adaptive_seeds is not None or plan.study.adaptive_seeds is not None:
            return
        same = plan.study.model_copy(update={"seeds": theirs.seeds})
        if study_hash_of(same, data) != record.get("study_hash"):
            return
        had, wanted = len(theirs.seed_list), len(plan.study.seed_list)
        rule = f"this study was started with {count(had, 'seed')}, and it is now asked for with {wanted}"
        fix = f"to go on as it was started, give it {count(had, 'seed')} again; seeds are added, never taken away"
        if set(theirs.seed_list) <= set(plan.study.seed_list):
            fix = f"add seeds with: fgtune extend {shlex.quote(str(self.root))} --seeds {wanted}"
        raise StudyFolderError(rule, where=str(self.root), fix=fix)

    def _differences(self, study: Study) -> list[str]:
        """The settings in which the folder's study differs from ``study``, with both values."""
        try:
            theirs = parse_yaml(read_text(self.resolved_file), str(self.resolved_file)).data
        except ConfigError:
            return []
        return list(differences(theirs, study.to_plain()))

    def write_plan(self, plan: Plan) -> None:
        """Replace ``plan.csv``, since the plan has grown; the folder must be locked."""
        write_atomically(self.plan_file, plan_text(plan).encode())

    def _write_provenance(self, record: Mapping[str, Any]) -> None:
        write_atomically(self.provenance_file, (json.dumps(record, indent=2) + "\n").encode())
