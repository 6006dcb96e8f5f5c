"""A study folder as one frozen object: the study, its arms, its planned cells, and the ledger's results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fgtune.analysis.agreement import Agreements
from fgtune.analysis.formatting import MetricInfo, factor_name, level_text, metric_info
from fgtune.config.arms.arm_search import arm_search_folders
from fgtune.config.arms.comparison import DATASET
from fgtune.config.schema.objective import ORACLE_WEIGHTS
from fgtune.config.schema.study import Study
from fgtune.errors import StudyFolderError
from fgtune.results.extension import recorded_looks
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState
from fgtune.results.texts import FORK


@dataclass(frozen=True)
class PlannedCell:
    """A row of ``plan.csv``; a forked cell continues another one, in population based training."""

    cell_id: str
    arm: str
    seed: int
    is_forked: bool = False


@dataclass(frozen=True)
class Counts:
    """Numbers of planned cells by how they ended.

    Attributes:
        planned: All planned cells.
        complete: Ended with state COMPLETE.
        failed: Ended with state FAIL.
        pruned: Ended with state PRUNED.
        missing: Not in the ledger: not run yet, or interrupted.
    """

    planned: int
    complete: int
    failed: int
    pruned: int
    missing: int


@dataclass(frozen=True)
class PlannedArm:
    """An arm of the plan.

    Attributes:
        name: Its name in the plan.
        label: Its name for readers: the levels that set it apart, or its name if the design names arms.
        is_baseline: Whether the others (on the same data set, if there are several) are compared with it.
        levels: Value of every factor.
    """

    name: str
    label: str
    is_baseline: bool
    levels: Mapping[str, Any]

    @property
    def dataset(self) -> str:
        """Name of its data set in a comparison over several, else empty."""
        return str(self.levels.get(DATASET, ""))


@dataclass(frozen=True)
class StudyData:
    """Everything that analysis knows about a study; made by ``read_study``.

    Attributes:
        folder: The study folder.
        study: The resolved study.
        factors: Dotted paths that the plan varies.
        arms: In the order of the plan.
        planned: In the order of the plan.
        results: Last ledger line of each planned cell that has one, by ``cell_id``.
        unplanned: Number of ledger lines whose cell is not in the plan.
        arm_searches: Each search inside an arm of a comparison, by arm; None if it has not started.
        provenance: ``provenance.json`` as plain data; empty if the folder has none.
        ledger_head: ``Ledger.head`` of the lines that the results are from.
    """

    folder: StudyFolder
    study: Study
    factors: tuple[str, ...]
    arms: tuple[PlannedArm, ...]
    planned: tuple[PlannedCell, ...]
    results: Mapping[str, CellResult]
    unplanned: int
    arm_searches: Mapping[str, StudyData | None] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    ledger_head: str = ""

    @cached_property
    def looks(self) -> tuple[frozenset[int], ...]:
        """The seeds of every look at the results, each with all of the one before; those of the last are all planned.

        With adaptive seeds, there is a look after every block. With fixed ones there is one, and one before every
        extension of the study.
        """
        seeds = frozenset(cell.seed for cell in self.planned)
        adaptive = self.study.adaptive_seeds
        before = recorded_looks(self.provenance) if adaptive is None else [range(size) for size in adaptive.sizes]
        looks = [look for look in map(frozenset, before) if look < seeds]
        return (*sorted(looks, key=len), seeds)

    def at_look(self, look: int) -> StudyData:
        """The study as it was at a look, counted from 0: what belongs to seeds that were added later is left out."""
        seeds = self.looks[look]
        planned = tuple(cell for cell in self.planned if cell.seed in seeds)
        known = {cell.cell_id for cell in planned}
        results = {cell_id: result for cell_id, result in self.results.items() if cell_id in known}
        return replace(self, planned=planned, results=results)

    @property
    def baseline(self) -> PlannedArm:
        """The arm that others are compared with; the first one in a comparison over several data sets."""
        return next(arm for arm in self.arms if arm.is_baseline)

    def baseline_of(self, arm: PlannedArm) -> PlannedArm:
        """The arm that ``arm`` is compared with: the baseline on its data set."""
        return next(other for other in self.arms if other.is_baseline and other.dataset == arm.dataset)

    @property
    def level(self) -> float:
        """Confidence level of the intervals, 1 - alpha."""
        return 1.0 - self.study.metrics.alpha

    @property
    def pending_arms(self) -> tuple[str, ...]:
        """Arms without cells, because the search inside them has not chosen their settings yet."""
        return tuple(arm for arm in self.arm_searches if not self.cells(arm))

    def is_timed(self, result: CellResult) -> bool:
        """Whether it is known how long a cell took; an imported run took 0 seconds where its table does not say."""
        return math.isfinite(result.seconds) and (self.study.trial.runs_here or result.seconds > 0)

    def shown_name(self, arm: PlannedArm) -> str:
        """What readers call an arm: a point of a space goes by its name, since its settings are long."""
        return arm.name if self.study.design.samples_points else arm.label

    def info(self, name: str) -> MetricInfo:
        """What a reader has to know about a metric or cost of this study."""
        return metric_info(name, self.study.trial.book)

    @cached_property
    def measured(self) -> frozenset[str]:
        """Metrics that at least one planned cell has in the ledger."""
        return frozenset(name for result in self.results.values() for name in result.metrics)

    @property
    def shown_metrics(self) -> tuple[str, ...]:
        """The primary metric, then those of ``also`` that were measured in any cell (all, before any cell ended)."""
        measured = self.measured
        also = [name for name in self.study.metrics.also if name in measured or not measured]
        return tuple(dict.fromkeys([self.study.metrics.primary, *also]))

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Metrics that the study asks for but no finished cell has, such as oracle metrics without fine labels."""
        measured = self.measured
        wanted = (self.study.metrics.primary, *self.study.metrics.also)
        return tuple(name for name in dict.fromkeys(wanted) if measured and name not in measured)

    def repeats_baseline(self, arm: PlannedArm) -> bool:
        """Whether an arm has the same cells as its baseline: the search inside it chose the same settings."""
        ids, baseline = ({cell.cell_id for cell in self.cells(side.name)} for side in (arm, self.baseline_of(arm)))
        return not arm.is_baseline and bool(ids) and ids == baseline

    def cells(self, arm: str) -> tuple[PlannedCell, ...]:
        """Planned cells of an arm."""
        return self._by_arm.get(arm, ())

    def ended(self, arm: str) -> list[CellResult]:
        """Results of the cells of an arm that have ended, in the order of the plan."""
        return [self.results[cell.cell_id] for cell in self.cells(arm) if cell.cell_id in self.results]

    @cached_property
    def choosable(self) -> tuple[PlannedArm, ...]:
        """The arms that read no fine labels: none trains on them, or is given the true relations; K_F* may be known."""
        return tuple(arm for arm in self.arms if not any(map(_reads_fine_labels, self.ended(arm.name)[:1])))

    def count(self, arm: str | None = None) -> Counts:
        """The cells of an arm, or of the whole plan, by how they ended."""
        cells = self.planned if arm is None else self.cells(arm)
        states = [self.results[cell.cell_id].state for cell in cells if cell.cell_id in self.results]
        return Counts(
            planned=len(cells),
            complete=states.count(CellState.COMPLETE),
            failed=states.count(CellState.FAIL),
            pruned=states.count(CellState.PRUNED),
            missing=len(cells) - len(states),
        )

    @cached_property
    def _by_arm(self) -> dict[str, tuple[PlannedCell, ...]]:
        """The planned cells by arm, indexed once: a search has many arms."""
        by_arm: dict[str, list[PlannedCell]] = {}
        for cell in self.planned:
            by_arm.setdefault(cell.arm, []).append(cell)
        return {arm: tuple(cells) for arm, cells in by_arm.items()}

    def values(self, arm: str, metric: str) -> dict[int, float]:
        """Finite values of a metric or cost by seed, over the arm's COMPLETE cells.

        A metric of an arm has pseudo-values: their mean is the metric, their interval that of its jackknife.
        """
        if metric in self.study.trial.book.of_arms:
            agreement = self.agreements.of(arm)
            return {} if agreement is None else agreement.values()
        complete = [result for result in self.ended(arm) if result.state is CellState.COMPLETE]
        return {result.seed: result.value(metric) for result in complete if math.isfinite(result.value(metric))}

    @cached_property
    def agreements(self) -> Agreements:
        """How far the seeds of each arm agree."""
        return Agreements(self.folder, {arm: self.ended(arm) for arm in self._by_arm})

    def same_run(self, arm: PlannedArm) -> bool:
        """Whether an arm and its baseline agree in every metric of every pair to the last bit, as two exact solvers do.

        Rounded metrics may agree by chance, so at least one more than the shown ones must be there.
        """
        sides = [
            {result.seed: result.metrics for result in self.ended(name)}
            for name in (arm.name, self.baseline_of(arm).name)
        ]
        seeds = sides[0].keys() & sides[1].keys()
        enough = all(len(sides[0][seed]) > len(self.shown_metrics) for seed in seeds)
        return bool(seeds) and enough and all(sides[0][seed] == sides[1][seed] for seed in seeds)

    def grain(self, info: MetricInfo, dataset: str = "") -> float:
        """The smallest step of a metric that counts samples of a test set; 0 where it has none or is not known.

        Args:
            info: The metric.
            dataset: Name of the data set in a comparison over several, else empty.
        """
        if not info.counts or not info.name.startswith("test/"):
            return 0.0
        cells = (cell.cell_id for arm in self.arms if arm.dataset == dataset for cell in self.cells(arm.name))
        stored = (self.folder.read_relations(cell_id) for cell_id in cells if cell_id in self.results)
        record = next((record for record in stored if record is not None), None)
        samples = 0 if record is None else int(record.coarse_counts[0].sum())
        if record is not None and record.fine_counts is not None:
            samples = int(record.fine_counts.sum())
        return 1.0 / samples if samples else 0.0

    def lost(self, arm: str, metric: str) -> tuple[int, ...]:
        """Seeds whose cell ended without a usable value: failed, pruned, or complete without a finite value.

        A metric that no finished cell has was not measured, and counts as lost only in failed and pruned cells; the
        ledger leaves out non-finite values and names them in ``cause``.
        """
        measured = metric in self.measured
        seeds = []
        for cell in self.cells(arm):
            result = self.results.get(cell.cell_id)
            if result is None:
                continue
            absent = not math.isfinite(result.metrics.get(metric, math.nan))
            undefined = absent and (measured or metric in (result.cause or ""))
            if result.state is not CellState.COMPLETE or undefined:
                seeds.append(cell.seed)
        return tuple(seeds)


def _reads_fine_labels(result: CellResult) -> bool:
    """Whether a cell trained on fine labels, or was given the true relations."""
    objective, relations = (result.config.get(part, {}) for part in ("objective", "relations"))
    return relations.get("mode") == "oracle" or any(objective.get(weight, 0.0) > 0 for weight in ORACLE_WEIGHTS)


def read_study(folder: StudyFolder) -> StudyData:
    """Read plan, resolved study, ledger and provenance of a folder, each once.

    Raises:
        StudyFolderError: A file is missing or unreadable, or the plan has no baseline.
    """
    study, (plan, factors) = folder.read_study(), folder.read_planned()
    planned = tuple(PlannedCell(row["cell_id"], row["arm"], row["seed"], bool(row.get(FORK))) for row in plan)
    known = {cell.cell_id for cell in planned}
    lines, head = folder.ledger.read_with_head()
    return StudyData(
        folder=folder,
        study=study,
        factors=factors,
        arms=_arms(study, plan, factors),
        planned=planned,
        results={line.cell_id: line for line in lines if line.cell_id in known},
        unplanned=sum(line.cell_id not in known for line in lines),
        arm_searches=_arm_searches(study, folder),
        provenance=folder.record(),
        ledger_head=head,
    )


def _arm_searches(study: Study, folder: StudyFolder) -> dict[str, StudyData | None]:
    """The searches inside the arms of a comparison."""
    folders = {arm: StudyFolder(folder.tuning_dir / part) for arm, part in arm_search_folders(study.design).items()}
    return {arm: read_study(search) if search.plan_file.is_file() else None for arm, search in folders.items()}


def _arms(study: Study, plan: Sequence[Mapping[str, Any]], factors: tuple[str, ...]) -> tuple[PlannedArm, ...]:
    planned = {row["arm"] for row in plan} | {*study.design.searched_arms}
    levels: dict[str, dict[str, Any]] = {  # in the design's order, including arms whose settings are yet to be chosen
        name: dict.fromkeys(factors) | ({DATASET: dataset} if dataset else {})
        for name, _, dataset in study.design.crossed()
        if name in planned
    }
    for row in plan:
        levels[row["arm"]] = {path: row[path] for path in factors}
    baselines = _baseline_names(study, levels)
    first = levels[baselines[0]]
    return tuple(
        PlannedArm(name, _label(study, name, values, first), name in baselines, values)
        for name, values in levels.items()
    )


def _baseline_names(study: Study, names: Iterable[str]) -> tuple[str, ...]:
    names, wanted = list(names), study.design.baseline_arms
    for name in wanted:
        if name not in names:
            raise StudyFolderError(f"plan.csv must hold the baseline arm {name!r}", value=names)
    return wanted


def _label(study: Study, name: str, levels: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    if study.design.names_arms:
        return name
    paths = list(levels)
    changed = [path for path in paths if levels[path] != baseline[path]]
    shown = changed or (paths if len(paths) == 1 else [])
    text = ", ".join(f"{factor_name(path, paths)} {level_text(levels[path])}" for path in shown)
    return text or name
