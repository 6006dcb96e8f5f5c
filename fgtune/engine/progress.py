"""Live progress: a bar in a terminal, a line that refreshes in a notebook, a line per finished cell elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fgtune.config.arms.records import Cell
from fgtune.engine.notebook_line import NotebookLine, notebook_line
from fgtune.results.records import CellResult, CellState, EpochMetrics
from fgtune.text import duration, print_line


@dataclass
class Tally:
    """The numbers that the display shows.

    Attributes:
        cells: All planned cells by id.
        primary: Name of the primary metric.
        maximize: Whether larger is better.
        finished: Results so far, earlier calls included.
        resumed: How many of them existed when this run started.
        total: Final number of cells, where ``cells`` grows; None if it does not.
    """

    cells: dict[str, Cell]
    primary: str
    maximize: bool
    finished: dict[str, CellResult] = field(default_factory=dict)
    resumed: int = 0
    total: int | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        """Final number of cells."""
        return max(len(self.cells), self.total or 0)

    @property
    def failed(self) -> int:
        """Number of failed cells."""
        return sum(result.state is CellState.FAIL for result in self.finished.values())

    def best(self) -> CellResult | None:
        """The best complete cell by the primary metric."""
        scored = [r for r in self.finished.values() if r.state is CellState.COMPLETE and self.primary in r.metrics]
        sign = 1.0 if self.maximize else -1.0
        return max(scored, key=lambda result: sign * result.metrics[self.primary], default=None)

    def work_done(self) -> float:
        """Epochs trained in this run, in units of cells; of a resumed cell only the rest counts."""
        fresh = len(self.finished) - self.resumed
        running = sum(
            epochs / self.cells[cell_id].config.planned_epochs
            for cell_id, epochs in self.epochs.items()
            if cell_id not in self.finished
        )
        return fresh + running

    def seconds_left(self) -> float | None:
        """Estimated wall seconds to the end, from the work done in this run; None before there is any."""
        done = self.work_done()
        if done <= 0:
            return None
        left = self.size - self.resumed - done
        return max(0.0, left) * (time.monotonic() - self.started) / done


class ProgressDisplay:
    """Shows a ``Tally`` while it changes.

    Args:
        tally: The numbers.
        console: Where to write; a bar appears only when it is a terminal, and nothing where it is quiet.
    """

    def __init__(self, tally: Tally, console: Console) -> None:
        self.tally, self.console = tally, console
        self._bar: Progress | None = None
        self._notebook: NotebookLine | None = None

    def open(self) -> None:
        """Start the display."""
        tally = self.tally
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[status]}", markup=False),
                console=self.console,
            )
            self._task = self._bar.add_task("cells", total=tally.size, status="starting")
            self._bar.start()
        elif not self.console.quiet:
            self._notebook = notebook_line()
        self._refresh()
        if tally.resumed:
            self.say(f"{tally.resumed} of {tally.size} cells are finished already and are not run again")

    def close(self) -> None:
        """Stop the display; what was shown stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._notebook = None

    def say(self, text: str) -> None:
        """Print one line, above the bar."""
        print_line(self.console, text)

    def epochs(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """A running cell has trained further."""
        self.tally.epochs[cell_id] = self.tally.epochs.get(cell_id, 0) + len(epochs)
        self._refresh()

    def finished(self, result: CellResult) -> None:
        """A cell has ended, in whatever state."""
        tally = self.tally
        shown = {name: value for name, value in result.metrics.items() if name == tally.primary}
        tally.finished[result.cell_id] = replace(result, metrics=shown, config={}, levels={}, evidence=None)
        if (self._bar is None and self._notebook is None) or result.state is CellState.FAIL:
            self.say(self._line(result))
        self._refresh()

    def _line(self, result: CellResult) -> str:
        tally = self.tally
        head = f"[{len(tally.finished)}/{tally.size}] {result.arm}, seed {result.seed}"
        if result.state is CellState.COMPLETE:
            value = result.metrics.get(tally.primary)
            what = f"{tally.primary} {value:.4f}" if value is not None else f"{tally.primary} undefined"
        else:
            what = f"{result.state.value}: {result.cause}"
        return f"{head}: {what} ({result.seconds:.1f} s) | {self._status()}"

    def _status(self) -> str:
        best = self.tally.best()
        parts = []
        if best is not None:
            parts.append(f"best {best.metrics[self.tally.primary]:.4f} ({best.arm}, seed {best.seed})")
        parts.append(f"{self.tally.failed} failed")
        if len(self.tally.finished) < self.tally.size:
            left = self.tally.seconds_left()
            parts.append(f"about {'?' if left is None else duration(left)} left")
        return " | ".join(parts)

    def _refresh(self) -> None:
        done = len(self.tally.finished)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, status=self._status())
        if self._notebook is not None:
            self._notebook.show(done, self.tally.size, self._status())
