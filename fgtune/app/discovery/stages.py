"""The two studies of a discovery, run by the engine, and what is chosen from their folders."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgtune.analysis.discovery.choosing import Candidate, agreement_interval
from fgtune.app.discovery.studies import ARM_TITLES, is_trained
from fgtune.arrays import IntArray
from fgtune.config.reading.source import parse_yaml
from fgtune.data.base import Dataset
from fgtune.data.views import vectors
from fgtune.exporting.scale import UserForm
from fgtune.files import read_text, write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

if TYPE_CHECKING:
    from rich.console import Console

    from fgtune.analysis.agreement import ArmAgreement
    from fgtune.analysis.inputs import StudyData
    from fgtune.data.principal import PrincipalSpace
    from fgtune.metrics.fixed_space import FixedJudge

_AS_STUDIED = UserForm()
JUDGED_SAMPLES = 2000
"""Samples on which the shared silhouette is measured."""


def run_stage(
    file: Path,
    text: str,
    out: Path,
    wall_s: float | None,
    console: Console,
    *,
    wait: bool = False,
    only: Sequence[str] = (),
) -> int:
    """Write a study file unless an earlier call did, and run what is left of its study.

    A folder that ``fgtune extend`` gave more seeds than its file asks for keeps them.

    Args:
        file: The study file.
        text: Its content.
        out: Parent of the study folder.
        wall_s: Seconds that it may take; None as many as it needs.
        console: Where progress goes.
        wait: Wait until no other process writes to the study folder.
        only: Conditions that cells must meet to be run, as after ``--only``.

    Returns:
        The engine's exit code.
    """
    from fgtune.engine.run import execute

    if not file.is_file():
        write_atomically(file, text.encode())
    name, asked = _study_of(text)
    limit = () if wall_s is None else (f"execution.budget.wall_s={max(wall_s, 1.0):.0f}",)
    overrides = (*limit, *_grown_seeds(StudyFolder(out / name), asked))
    return execute(RunOptions(file, overrides, out=out, tracking_uri="none", only=tuple(only)), console, wait=wait)


def _study_of(text: str) -> tuple[str, int]:
    """Name and number of seeds of a study file that ``discover`` wrote."""
    plain = parse_yaml(text, "").data
    return str(plain["study"]), int(plain["seeds"])


def _grown_seeds(folder: StudyFolder, asked: int) -> tuple[str, ...]:
    """The seeds of a folder as a change of its study file, where it has more than the file asks for."""
    seeds = folder.read_study().seeds if folder.plan_file.is_file() else asked
    return (f"seeds={seeds}",) if isinstance(seeds, int) and seeds > asked else ()


def left_of(root: Path, planned: int) -> int:
    """Cells of a study that have not run to their end; ``planned`` where its folder has no plan yet."""
    return read_stage(root).count().missing if StudyFolder(root).plan_file.is_file() else planned


def has_complete(root: Path) -> bool:
    """Whether a cell of a study is complete."""
    return StudyFolder(root).plan_file.is_file() and read_stage(root).count().complete > 0


def set_aside(out: Path, file: str, name: str, text: str) -> None:
    """Rename a study and its folder if an earlier call left one with another content, so that nothing is lost.

    What stands above the study, a command that names the folder as the call did, is no content.
    """
    there = out / file
    if not there.is_file() or _content(read_text(there)) == _content(text):
        return
    taken = {each.name.removesuffix(".yaml") for each in out.glob(f"{name}-*")}
    number = next(number for number in itertools.count(1) if f"{name}-{number}" not in taken)
    there.rename(out / f"{name}-{number}.yaml")
    if (out / name).exists():
        (out / name).rename(out / f"{name}-{number}")


def _content(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def refit_choice(
    root: Path, arm: str, seed: int, target: Path, say: Callable[[str], None], form: UserForm = _AS_STUDIED
) -> Path:
    """Train the chosen arm on training and validation samples.

    What an earlier call chose otherwise, or an earlier version trained, is replaced.
    """
    from fgtune.app.refit import refit

    return refit(root, arm, seed, target, replace_other=True, form=form, tracking_uri="none", say=say)


def read_stage(root: Path) -> StudyData:
    """What a study's folder holds."""
    from fgtune.analysis.inputs import read_study

    return read_study(StudyFolder(root))


def agreements(data: StudyData) -> dict[str, ArmAgreement]:
    """How far the seeds of each arm agree, of arms with two complete seeds or more."""
    found = {arm.name: data.agreements.of(arm.name) for arm in data.arms}
    return {name: each for name, each in found.items() if each is not None}


def by_num_fine(data: StudyData, seeds: int) -> dict[int, ArmAgreement]:
    """Agreement by number of fine classes, of those that have all their seeds; if none has, of those with the most."""
    numbers = {arm.name: arm.levels["classes.num_fine"] for arm in data.arms}
    found = {int(numbers[name]): each for name, each in agreements(data).items()}
    most = min(seeds, max((len(each.seeds) for each in found.values()), default=0))
    return {number: each for number, each in found.items() if len(each.seeds) >= most}


def judged_by_num_fine(data: StudyData, judge: FixedJudge) -> dict[int, float]:
    """Shared silhouette of a complete run by number of fine classes."""
    found = {}
    for arm in data.arms:
        runs = runs_of(data, arm.name)
        if runs:
            found[int(arm.levels["classes.num_fine"])] = judge.silhouette(next(iter(runs.values())))
    return found


def runs_of(data: StudyData, arm: str) -> dict[int, IntArray]:
    """The fine classes that each complete seed of an arm gives all samples, restricted to their coarse labels."""
    runs = {}
    for cell in data.cells(arm):
        result = data.results.get(cell.cell_id)
        record = data.folder.read_predictions(cell.cell_id)
        if result is not None and result.state is CellState.COMPLETE and record is not None:
            runs[cell.seed] = record.restricted.astype(np.int64)
    return runs


def central_seed(data: StudyData, arm: str) -> int:
    """The seed of an arm that agrees most with its other seeds; the first one where there is nothing to compare."""
    found = data.agreements.of(arm)
    if found is None:
        return min(runs_of(data, arm))
    table = np.where(np.eye(len(found.seeds), dtype=bool), 0.0, found.corrected)
    return found.seeds[int(table.sum(axis=1).argmax())]


def space_of(dataset: Dataset) -> PrincipalSpace:
    """The space that all methods are judged in, that of the metric ``fixed_silhouette``."""
    from fgtune.training.prepared import fixed_space

    return fixed_space(dataset)


def judge_of(dataset: Dataset, space: PrincipalSpace) -> FixedJudge:
    """What judges predictions on all samples, or on a sample of many; ``fixed_silhouette`` is that of one split."""
    from fgtune.metrics.fixed_space import FixedJudge
    from fgtune.training.prepared import judged_rows

    rows = judged_rows(len(dataset.inputs), JUDGED_SAMPLES)
    return FixedJudge(rows, space.project(vectors(dataset.inputs, rows)), dataset.coarse[rows])


def candidates_of(data: StudyData, judge: FixedJudge) -> list[Candidate]:
    """Every method with a complete cell, judged without fine labels on the seeds that all have."""
    by_arm = {arm.name: runs for arm in data.arms if (runs := runs_of(data, arm.name))}
    common = set.intersection(*(set(runs) for runs in by_arm.values())) if by_arm else set()
    found = []
    for arm, every in by_arm.items():
        compared = common if len(common) > 1 else set(every)
        runs = {seed: fine for seed, fine in every.items() if seed in compared}
        every_seed = data.agreements.of(arm)
        agreement = None if every_seed is None else every_seed.among(compared)
        low, high = (math.nan, math.nan) if agreement is None else agreement_interval(agreement)
        values = tuple(judge.silhouette(fine) for fine in runs.values())
        results = data.ended(arm)
        found.append(
            Candidate(
                arm=arm,
                title=ARM_TITLES.get(arm, arm),
                agreement=math.nan if agreement is None else agreement.mean,
                low=low,
                high=high,
                judge=float(np.mean(values)),
                judge_values=values,
                by_seed={} if agreement is None else agreement.values(),
                seeds=len(runs),
                seconds=math.fsum(result.seconds for result in results) / len(results),
                trained=is_trained(arm),
                identical=agreement is not None and agreement.identical,
            )
        )
    return found


def accuracies(data: StudyData, fine: IntArray) -> Mapping[str, float]:
    """Mean clustering accuracy of every method over its seeds; only for the comparison at the end."""
    return {
        arm.name: float(np.mean([scores_of(each, fine)[0] for each in runs.values()]))
        for arm in data.arms
        if (runs := runs_of(data, arm.name))
    }


def scores_of(found: IntArray, fine: IntArray) -> tuple[float, float]:
    """Clustering accuracy and adjusted Rand index over samples that have both a found class and a label."""
    from fgtune.metrics.clustering import ari_from_counts, clustering_accuracy_from_counts, contingency

    both = (found >= 0) & (fine >= 0)
    counts = contingency(found[both], fine[both], int(found.max()) + 1, int(fine.max()) + 1)
    return clustering_accuracy_from_counts(counts), ari_from_counts(counts)
