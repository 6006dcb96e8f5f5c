"""What fits into the time: epochs, seeds, methods and the grid of numbers of classes, from cells that were timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fgtune.analysis.search.joint_choice import FEWEST_ARMS
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset
from fgtune.text import count, duration, listed

EPOCHS = (60, 45, 30, 20, 12)
"""Epochs that are tried, the first that fits; fewer are not trained."""
SEEDS_NUM_FINE, SEEDS_METHODS, FEWEST_SEEDS = 3, 5, 3
CELL_S = 1.5
"""Seconds of a cell besides its epochs: a process that is asked, data that are found, files that are written."""
START_S = 25.0
"""Seconds of a call besides its cells: libraries, Ray, the last training, the page."""
TRAINED, CHEAP = "falcon", "kmeans"
"""Methods that numbers of fine classes are tried with: the first, or the second where trainings take too long."""
ENOUGH_EPOCHS = 30
"""With fewer, training is given up for the numbers first, and the methods get the time."""
SHORT_S = 120.0
"""With less time for a study, what is cheap in it runs ahead of the rest."""
NEAR = 6
"""Numbers of fine classes that are tried near the best one of the grid."""
TIMED_EPOCHS = 3
USED = 0.75
"""Share of the time that is planned; cells beside each other take longer than alone."""


@dataclass(frozen=True)
class Costs:
    """What a cell costs on this machine, in seconds.

    Attributes:
        fixed: Of a cell of the trained method, besides its epochs.
        epoch: Of an epoch.
    """

    fixed: float
    epoch: float

    def cell(self, epochs: int) -> float:
        """Seconds of a cell."""
        return self.fixed + epochs * self.epoch


@dataclass(frozen=True)
class Schedule:
    """What is run.

    Attributes:
        epochs: Of trained methods.
        grid: Numbers of fine classes that are tried; empty where the number is given.
        near: How many further numbers near the best one are tried then.
        first: Method that numbers are tried with.
        seeds_num_fine: Seeds of each.
        arms: Methods that are compared.
        seeds_methods: Seeds of each.
        seconds: What it is expected to take, refit and page included.
        given_up: What the time leaves no room for, one phrase each.
    """

    epochs: int
    grid: tuple[int, ...]
    near: int
    first: str
    seeds_num_fine: int
    arms: tuple[str, ...]
    seeds_methods: int
    seconds: float = 0.0
    given_up: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """The schedule as plain data."""
        return asdict(self)


def time_cells(config: TrialConfig, dataset: Dataset, threads: int = 1) -> Costs:
    """Train a few epochs in this process and measure them; nothing is kept."""
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import prepare_split, views
    from fgtune.training.threads import trial_threads

    config = config.as_run(gpus=0)  # as the trials that are planned
    with trial_threads(threads):
        started = time.monotonic()
        prepared = prepare_split(dataset, config, 0, threads)
        trainer = iter(build_trainer(config, *views(dataset, prepared), prepared, 0, threads))
        next(trainer)
        first = time.monotonic()
        for _ in range(TIMED_EPOCHS - 1):
            next(trainer)
    return Costs(CELL_S + first - started, (time.monotonic() - first) / (TIMED_EPOCHS - 1))


def make_schedule(seconds: float, cores: int, costs: Costs, grid: Sequence[int], arms: Sequence[str]) -> Schedule:
    """The largest schedule that fits, given up in a fixed order.

    First epochs down to those that suffice, then training while numbers of fine classes are tried (k-means stands in
    for it, and epochs are back at their number), then epochs down to the smallest but one, then seeds of the methods,
    then methods from the last one on (five are kept, among which a choice is possible), then numbers near the best one,
    then every second number of the grid, then epochs down to the smallest.

    Args:
        seconds: What the whole call may take.
        cores: Cells at once.
        costs: What a cell costs.
        grid: Numbers of fine classes that would be tried; empty where the number is given.
        arms: Methods that would be compared, the first kept longest.
    """
    plan = Schedule(
        EPOCHS[0], tuple(grid), NEAR if len(grid) > 1 else 0, TRAINED, SEEDS_NUM_FINE, tuple(arms), SEEDS_METHODS
    )
    for candidate in _smaller(plan):
        plan = replace(candidate, seconds=_expected(candidate, cores, costs))
        if plan.seconds <= USED * seconds:
            break
    return replace(plan, given_up=_given_up(plan, grid, arms))


def _smaller(plan: Schedule) -> list[Schedule]:
    """The plan and ever smaller ones."""
    found = [replace(plan, epochs=epochs) for epochs in EPOCHS if epochs >= ENOUGH_EPOCHS] or [plan]
    if plan.grid:
        cheap = replace(plan, first=CHEAP)
        found += [replace(cheap, epochs=each.epochs) for each in found]
    found += [replace(found[-1], epochs=epochs) for epochs in EPOCHS[:-1] if epochs < ENOUGH_EPOCHS]
    found.append(replace(found[-1], seeds_methods=FEWEST_SEEDS))
    found += [replace(found[-1], arms=plan.arms[:left]) for left in range(len(plan.arms) - 1, FEWEST_ARMS - 1, -1)]
    found.append(replace(found[-1], near=0))
    if len(plan.grid) > 4:
        found.append(replace(found[-1], grid=plan.grid[::2]))
    return [*found, replace(found[-1], epochs=EPOCHS[-1])]


def _expected(plan: Schedule, cores: int, costs: Costs) -> float:
    trained = [arm for arm in plan.arms if arm.startswith("falcon")]
    cell = costs.cell(plan.epochs)
    tried = cell if plan.first == TRAINED else costs.fixed
    cells = (len(plan.grid) + plan.near) * plan.seeds_num_fine * tried
    cells += plan.seeds_methods * (len(trained) * cell + (len(plan.arms) - len(trained)) * costs.fixed)
    return START_S + cells / cores + cell


_NO_TRAINING = "trainings for every number of fine classes (k-means estimates how many there are)"


def _given_up(plan: Schedule, grid: Sequence[int], arms: Sequence[str]) -> tuple[str, ...]:
    phrases = []
    if plan.epochs < EPOCHS[0]:
        phrases.append(f"trainings of {EPOCHS[0]} epochs (they have {plan.epochs})")
    if plan.seeds_methods < SEEDS_METHODS:
        phrases.append(f"{SEEDS_METHODS} seeds a method (there are {plan.seeds_methods})")
    if len(plan.arms) < len(arms):
        left = arms[len(plan.arms) :]
        phrases.append(f"the method{'s' * (len(left) > 1)} {listed([*left])}")
    if plan.grid and plan.first != TRAINED:
        phrases.append(_NO_TRAINING)
    if len(grid) > 1 and not plan.near:
        phrases.append("numbers of fine classes between those of the coarse grid")
    if len(plan.grid) < len(grid):
        phrases.append(
            f"every second number of fine classes ({len(plan.grid)} of {count(len(grid), 'number')} are in the plan)"
        )
    return tuple(phrases)


def with_cheap_numbers(plan: Schedule) -> Schedule:
    """The schedule with k-means in place of trainings while numbers of fine classes are tried."""
    return replace(plan, first=CHEAP, given_up=(*plan.given_up, _NO_TRAINING))


def schedule_text(plan: Schedule) -> str:
    """What is going to be run, in a sentence."""
    near = f" and {plan.near} near the best" if plan.near else ""
    first = f"{len(plan.grid)} numbers of fine classes{near} x {plan.seeds_num_fine} seeds, then " if plan.grid else ""
    text = f"{first}{len(plan.arms)} methods x {plan.seeds_methods} seeds, {plan.epochs} epochs"
    return f"{text}; about {duration(plan.seconds)}"


def grid_of(num_coarse: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Numbers of fine classes that are tried: from one and a half times the coarse ones to twelve times as many.

    A fine class must be able to have ten samples, unless that leaves a single number.

    Args:
        num_coarse: K_C.
        sizes: Samples of each coarse class.
    """
    most = max(num_coarse + 1, sum(max(1, size // 10) for size in sizes))
    steps = (1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12)
    numbers = {max(num_coarse + 1, int(num_coarse * step + 0.5)) for step in steps}
    kept = sorted(number for number in numbers if number <= most)
    return tuple(kept) if len(kept) > 1 else (num_coarse + 1, num_coarse + 2)


def near_of(grid: Sequence[int], best: int, least: int, most: int) -> tuple[int, ...]:
    """Numbers of fine classes around the best one of a grid that the grid leaves out; with the best where it is one.

    Args:
        grid: The numbers that were tried, ascending.
        best: The best of them; beyond the last one, as far as to its neighbour before is looked at.
        least: The smallest number that makes sense.
        most: How many at most, 0 or at least 2; evenly spread where there are more.
    """
    if not most:
        return ()
    place = list(grid).index(best)
    below = grid[place - 1] if place else least - 1
    above = grid[place + 1] if place + 1 < len(grid) else 2 * best - below
    between = [number for number in range(below + 1, above) if number != best]
    if len(between) == 1:
        return tuple(sorted([*between, best]))  # a study over numbers needs two
    if len(between) <= most:
        return tuple(between)
    return tuple(between[round(rank * (len(between) - 1) / (most - 1))] for rank in range(most))
