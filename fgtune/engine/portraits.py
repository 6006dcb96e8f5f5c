"""Of which cells the study folder keeps what their learned classes look like."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from fgtune.catalog import is_of_cells
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.results.records import CellResult, CellState


class Portraits:
    """Cells of the first seed: of every arm, or where a design draws points, of the baseline and of each new best.

    With ``execution.show_seeds: all`` they are those of every seed of the same arms. A later seed of a drawn point that
    ends before the first one, or whose first one failed, is kept where it is better than the best first seed so far.

    Args:
        plan: The plan.
        settled: What is in the ledger already, in its order.
    """

    def __init__(self, plan: Plan, settled: Iterable[CellResult]) -> None:
        study = plan.study
        self._execution, self._seed = study.execution, min(study.possible_seeds)
        self._baselines = {arm.name for arm in plan.arms if arm.is_baseline}
        self._draws = study.design.samples_points
        self._metric, mode = study.ranking[0]
        if not is_of_cells(self._metric):
            self._metric, mode = study.metrics.primary, None
        self._sign = -1.0 if (mode or study.trial.book.spec_of(self._metric).direction) == "minimize" else 1.0
        self._best = -math.inf
        """Of first seeds alone: arms are best by the same seed, whichever seeds are kept."""
        self._was_best: dict[str, bool] = {}
        """Whether the first seed of an arm was the best when it ended."""
        for result in settled:
            if result.seed == self._seed and result.state is CellState.COMPLETE:
                self._judge_first(result.arm, result.metrics)

    def _value(self, metrics: Mapping[str, float]) -> float:
        value = self._sign * metrics.get(self._metric, math.nan)
        return value if math.isfinite(value) else -math.inf

    def of(self, cell: Cell) -> bool | None:
        """Whether its portrait shows samples; None for a cell that makes none."""
        if not self._execution.show_classes or (cell.seed != self._seed and self._execution.show_seeds == "first"):
            return None
        return self._execution.show_samples

    def keeps(self, cell: Cell, metrics: Mapping[str, float]) -> bool:
        """Whether the portrait of a finished cell is kept."""
        if cell.seed == self._seed:
            self._judge_first(cell.arm, metrics)
        is_best = self._was_best.get(cell.arm, self._value(metrics) > self._best)
        return is_best or not self._draws or cell.arm in self._baselines

    def _judge_first(self, arm: str, metrics: Mapping[str, float]) -> None:
        value = self._value(metrics)
        self._was_best[arm], self._best = value > self._best, max(value, self._best)
