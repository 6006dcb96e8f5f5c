"""Adaptive seeds: after each block of cells the verdicts are computed, and the contrasts without one get another block.

What a look decided is in ``plan.csv`` before the first cell of the block runs, and never changes. A driver killed in
between finds all cells of the look in the ledger and decides the same once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from fgtune.analysis.inputs import StudyData, read_study
from fgtune.config.arms.plan import Plan
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.text import count, first_of


@dataclass(frozen=True)
class Block:
    """The seeds that follow a look.

    Attributes:
        plan: The plan with them.
        looked_at: Seeds that the arms had at the look.
        open_arms: Arms whose contrasts are not decided.
        contrasts: Number of planned contrasts.
        cells: Number of cells that the block adds; a cell of two arms counts once.
    """

    plan: Plan
    looked_at: tuple[int, ...]
    open_arms: tuple[str, ...]
    contrasts: int
    cells: int

    @property
    def text(self) -> str:
        """What the look found and what follows, in a line."""
        seeds, decided = len(self.looked_at), self.contrasts - len(self.open_arms)
        found = f"look at n = {seeds}: {decided} of {count(self.contrasts, 'contrast')} decided"
        return f"{found}, open: {first_of(self.open_arms, 6)}; {count(self.cells, 'cell')} more to decide them"


def later_cells(plan: Plan) -> int:
    """The most cells that looks may still add to a plan: an arm that was left out of a block gets no further one."""
    adaptive = plan.study.adaptive_seeds
    if adaptive is None:
        return 0
    have: dict[str, int] = {}
    for cell in plan.cells:
        have[cell.arm] = have.get(cell.arm, 0) + 1
    largest = max(have.values(), default=0)
    return sum(adaptive.max - seeds for seeds in have.values() if seeds == largest)


def cells_to_come(plan: Plan, folder: StudyFolder) -> int:
    """The same for a study with a folder, where the last look may have decided more than the plan shows."""
    ended = {result.cell_id for result in folder.ledger.read()} if plan.study.adaptive_seeds is not None else set()
    if not plan.cells or not {cell.cell_id for cell in plan.cells} <= ended:
        return later_cells(plan)
    block = next_block(plan, folder)
    return 0 if block is None else block.cells + later_cells(block.plan)


def with_blocks(plan: Plan, folder: StudyFolder) -> Plan:
    """The plan with the blocks of seeds that its folder has planned.

    Raises:
        StudyFolderError: ``plan.csv`` holds a cell that no look can have added.
    """
    adaptive = plan.study.adaptive_seeds
    if adaptive is None or not folder.plan_file.is_file():
        return plan
    rows = [row for row in folder.read_plan() if row["seed"] >= adaptive.min]
    known = {cell.arm for cell in plan.cells}
    seeds: dict[str, int] = {}
    for row in rows:
        seeds[row["arm"]] = max(seeds.get(row["arm"], 0), row["seed"] + 1)
    grown = plan.with_seeds({arm: number for arm, number in seeds.items() if arm in known})
    ids = {(cell.arm, cell.seed): cell.cell_id for cell in grown.cells}
    added = {(row["arm"], row["seed"]): row["cell_id"] for row in rows}
    expected = {key: cell_id for key, cell_id in ids.items() if key[1] >= adaptive.min}
    if added != expected or not set(seeds.values()) <= {*adaptive.sizes}:
        rule = "holds cells that no look at this study can have added"
        fix = "restore plan.csv from a copy, or choose another folder with --out"
        raise StudyFolderError(rule, where=str(folder.plan_file), fix=fix)
    return grown


def next_block(plan: Plan, folder: StudyFolder) -> Block | None:
    """The block that follows the look at a study all of whose planned cells have ended, failed ones included.

    Args:
        plan: The grown plan.
        folder: The study folder.

    Returns:
        None where seeds are fixed, a cell is still to run, every contrast is decided, or no arm may get more seeds.
    """
    from fgtune.analysis.judging import planned_contrasts  # SciPy, which a plan of fixed seeds does not need

    adaptive, seeds = plan.study.adaptive_seeds, max((cell.seed + 1 for cell in plan.cells), default=0)
    following = None if adaptive is None else adaptive.following(seeds)
    if following is None or plan.pending_arm_searches or not folder.plan_file.is_file():
        return None
    data = read_study(folder)
    if not {cell.cell_id for cell in plan.cells} <= data.results.keys():
        return None
    contrasts = planned_contrasts(data, data.info(data.study.metrics.primary))
    open_arms = tuple(contrast.arm for contrast in contrasts if not contrast.is_decided)
    larger = plan.with_seeds(dict.fromkeys(_growing(data, open_arms), following))
    added = {cell.cell_id for cell in larger.cells} - {cell.cell_id for cell in plan.cells}
    return Block(larger, tuple(range(seeds)), open_arms, len(contrasts), len(added)) if added else None


def _growing(data: StudyData, open_arms: tuple[str, ...]) -> list[str]:
    """The arms without a verdict, their baselines, and arms that are the same as these."""
    growing = {*open_arms, *(data.baseline_of(arm).name for arm in data.arms if arm.name in open_arms)}
    growing |= {arm.name for arm in data.arms if data.repeats_baseline(arm) and data.baseline_of(arm).name in growing}
    return [arm.name for arm in data.arms if arm.name in growing]
