"""One call of ``fgtune discover``: data, schedule, two studies, refit, results; each skipped where it is done."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from fgtune.app.discovery import stages
from fgtune.app.discovery.budget import (
    CHEAP,
    SHORT_S,
    Schedule,
    grid_of,
    make_schedule,
    near_of,
    schedule_text,
    time_cells,
    with_cheap_numbers,
)
from fgtune.app.discovery.read import read_source
from fgtune.app.discovery.request import Request
from fgtune.app.discovery.source import Source
from fgtune.app.discovery.studies import (
    METHODS,
    NEAR,
    NUM_FINE,
    arms_of,
    falcon_trial,
    methods_study,
    num_fine_study,
    trial_of,
)
from fgtune.app.exit_codes import BUDGET, COMPLETE, INTERRUPTED, worst
from fgtune.config.reading.writing import yaml_text
from fgtune.data.given import take_waiting
from fgtune.errors import FgtuneError
from fgtune.exporting.scale import UserForm
from fgtune.files import write_atomically
from fgtune.text import print_line

if TYPE_CHECKING:
    from fgtune.analysis.agreement import ArmAgreement
    from fgtune.analysis.discovery.choosing import MethodChoice, NumFineChoice
    from fgtune.analysis.discovery.outcome import Discovery
    from fgtune.analysis.inputs import StudyData
    from fgtune.data.base import Dataset
    from fgtune.data.principal import PrincipalSpace
    from fgtune.metrics.fixed_space import FixedJudge

RESULT, REPORT, MODEL, STUDY = "discover.json", "report.html", "model", "study.yaml"
RESERVE_S = 15.0
"""Kept back from the studies for the results, besides the refit."""
LEAST_S = 45.0
"""Seconds that a study gets at least where an earlier call began it: its workers start in 5 to 25 of them."""
_FIRST_GUESS = 60
"""Epochs of the trial that is timed."""


class Call:
    """One call on a folder.

    Args:
        request: What is asked.
        out: The folder.
        minutes: Time for the call.
        quiet: Print nothing.
        wait: Wait for a process that writes to the folder of a study, as ``fgtune extend`` may.
    """

    def __init__(self, request: Request, out: Path, minutes: float, quiet: bool, *, wait: bool = False) -> None:
        self._request, self._out, self._minutes, self._wait = request, out, minutes, wait
        self._started = time.monotonic()
        self._console = Console(
            file=sys.stdout, quiet=quiet, width=500, highlight=False, force_terminal=False, force_jupyter=False
        )
        self._codes: list[int] = []

    @property
    def _left(self) -> float:
        """Seconds that are left."""
        return 60 * self._minutes - (time.monotonic() - self._started)

    def _say(self, text: str) -> None:
        print_line(self._console, text)

    def keep_time(self) -> None:
        """Add the seconds of this call to those of earlier ones."""
        if self._out.is_dir() and self._request.schedule is not None:
            spent = self._request.seconds + time.monotonic() - self._started
            replace(self._request, seconds=spent).write(self._out)

    def run(self) -> tuple[int, Discovery | None]:
        """Everything, in order.

        Returns:
            The exit code, and what was found; None if the call was interrupted before.

        Raises:
            ConfigError: The data are wrong; nothing was started.
            FgtuneError: No cell finished.
        """
        schedule = self._schedule()
        self._say(f"plan: {schedule_text(schedule)}")
        with ExitStack() as stack:
            if self._is_unfinished(schedule):
                from fgtune.tuning.session import ray_session
                from fgtune.tuning.warm_workers import kept_workers

                stack.enter_context(ray_session())
                stack.enter_context(kept_workers())
            num_fine = self._choose_num_fine(schedule)
            schedule = self._schedule()  # numbers may have had to do with less
            method = None if num_fine is None else self._choose_method(schedule, num_fine)
        if num_fine is None or method is None:
            return INTERRUPTED, None
        found = self._finish(schedule, num_fine, *method)
        return worst(self._codes), found

    # --- data and schedule -----------------------------------------------------------------------------------------

    @cached_property
    def _source(self) -> Source:
        source = read_source(self._request.asked, self._out, self._begin)
        for note in source.notes:
            self._say(note)
        return source

    def _begin(self) -> None:
        self._request.write(self._out)
        take_waiting()

    @cached_property
    def _dataset(self) -> Dataset:
        from fgtune.data.load import load_dataset

        return load_dataset(falcon_trial(self._trial(_FIRST_GUESS, 1.0, 1000), 2).data)

    def _trial(self, epochs: int, spread: float | None = None, samples: int | None = None) -> dict[str, Any]:
        source = self._source
        spread = self._spread if spread is None else spread
        samples = len(self._dataset.inputs) if samples is None else samples
        return trial_of(source.config, source.shape, samples, spread, epochs)

    @cached_property
    def _spread(self) -> float:
        """Root of the mean variance of a feature; of images, which are not changed by noise, 1."""
        if len(self._source.shape) == 3:
            return 1.0
        return float(np.sqrt(self._dataset.inputs[:].var(axis=0, dtype=np.float64).mean()))

    @cached_property
    def _space(self) -> PrincipalSpace:
        return stages.space_of(self._dataset)

    @cached_property
    def _judge(self) -> FixedJudge:
        return stages.judge_of(self._dataset, self._space)

    @property
    def _features(self) -> int:
        return int(np.prod(self._source.shape))

    def _schedule(self) -> Schedule:
        """What is run: as an earlier call planned it, or as much as fits after a few epochs were timed."""
        dataset, known = self._dataset, self._request.schedule
        if known is not None:
            return known
        labels = dataset.coarse[:, 0]
        sizes = np.bincount(labels[labels >= 0]).tolist()
        self._say(f"{len(dataset.inputs):,} samples in {len(sizes)} coarse classes ({self._source.coarse})")
        grid = () if self._request.num_fine else grid_of(len(sizes), sizes)
        middle = self._request.num_fine or grid[len(grid) // 2]
        costs = time_cells(falcon_trial(self._trial(_FIRST_GUESS), middle), dataset)
        schedule = make_schedule(self._left, os.cpu_count() or 1, costs, grid, arms_of(self._source.shape))
        guessed = None if self._request.asked.coarse else self._source.coarse
        self._request = replace(self._request, schedule=schedule, guessed=guessed)
        self._request.write(self._out)
        return schedule

    # --- the two studies -------------------------------------------------------------------------------------------

    def _is_unfinished(self, schedule: Schedule) -> bool:
        """Whether a study has cells that are yet to be run; the one of numbers near the best may never be needed."""
        planned = {METHODS: 1} | ({NUM_FINE: 1, NEAR: 0} if schedule.grid else {})
        return any(stages.left_of(self._out / name, least) for name, least in planned.items())

    def _choose_num_fine(self, schedule: Schedule) -> NumFineChoice | None:
        """The number of fine classes; None if the call was interrupted."""
        from fgtune.analysis.discovery.choosing import NumFineChoice, choose_num_fine
        from fgtune.analysis.discovery.text import num_fine_text

        given = self._request.num_fine
        if given:
            return NumFineChoice(given, given, given)
        later = stages.left_of(self._out / METHODS, len(schedule.arms) * schedule.seeds_methods)
        near = schedule.near * schedule.seeds_num_fine
        found = self._try_numbers(NUM_FINE, schedule.grid, schedule, near + later)
        if found is None:
            return None
        if not found:
            return self._guess_num_fine(schedule)
        numbers, best = sorted(found), choose_num_fine(found).chosen
        least = self._dataset.num_coarse[0] + 1
        between = near_of(numbers, best, least, schedule.near)
        if between and len(numbers) == len(schedule.grid):
            closer = self._try_numbers(NEAR, between, schedule, later)
            if closer is None:
                return None
            found |= closer
        missing = [number for number in (*schedule.grid, *between) if number not in found]
        choice = choose_num_fine(found, missing, least)
        self._say(num_fine_text(choice))
        return choice

    def _guess_num_fine(self, schedule: Schedule) -> NumFineChoice | None:
        """The number of fine classes from single runs, where the time sufficed for no more; None if interrupted."""
        from fgtune.analysis.discovery.choosing import choose_by_judge
        from fgtune.analysis.discovery.text import num_fine_text

        judged = stages.judged_by_num_fine(stages.read_stage(self._out / NUM_FINE), self._judge)
        if not judged and schedule.first != CHEAP:
            self._request = replace(self._request, schedule=with_cheap_numbers(schedule))
            self._request.write(self._out)
            self._say("no training is finished; numbers of fine classes are tried with k-means")
            return self._choose_num_fine(self._schedule())
        if not judged:
            raise FgtuneError(f"{self._out / NUM_FINE}: no cell is complete; its report.html says why")
        choice = choose_by_judge(judged, schedule.grid)
        self._say(num_fine_text(choice))
        return choice

    def _try_numbers(
        self, name: str, numbers: Sequence[int], schedule: Schedule, later: int
    ) -> dict[int, ArmAgreement] | None:
        """How far runs agree on each number of fine classes; None if the call was interrupted.

        Args:
            name: Name of the study.
            numbers: Those that are tried.
            schedule: Epochs and seeds.
            later: Cells of later studies, which time is kept for.
        """
        trial = self._trial(schedule.epochs)
        study = num_fine_study(name, trial, numbers, schedule.first, self._features, schedule.seeds_num_fine)
        file = f"{name}.yaml"
        text = yaml_text(study, f"fgtune run {self._out / file} --out {self._out}")
        stages.set_aside(self._out, file, name, text)
        own = stages.left_of(self._out / name, len(numbers) * schedule.seeds_num_fine)
        wall = own / max(1, own + later) * (self._left - RESERVE_S)
        first = ("seed=0",) if name == NUM_FINE and schedule.first == CHEAP else ()
        if self._run(file, name, text, wall, first) == INTERRUPTED:
            return None
        return stages.by_num_fine(stages.read_stage(self._out / name), schedule.seeds_num_fine)

    def _choose_method(self, schedule: Schedule, num_fine: NumFineChoice) -> tuple[MethodChoice, StudyData] | None:
        """The method, and the study that it is from; None if the call was interrupted."""
        from fgtune.analysis.discovery.choosing import choose_method

        trial, arms = self._trial(schedule.epochs), schedule.arms
        study = methods_study(trial, num_fine.chosen, arms, self._features, schedule.seeds_methods)
        text = yaml_text(study, f"fgtune run {self._out / STUDY} --out {self._out}")
        stages.set_aside(self._out, STUDY, METHODS, text)
        first = (f"arm={CHEAP}",) if CHEAP in arms else ()
        if self._run(STUDY, METHODS, text, self._left - RESERVE_S, first) == INTERRUPTED:
            return None
        data = stages.read_stage(self._out / METHODS)
        candidates = stages.candidates_of(data, self._judge)
        if not candidates:
            raise FgtuneError(f"{self._out / METHODS}: no cell is complete; its report.html says why")
        choice = choose_method(candidates, schedule.arms[0])
        self._say(choice.reason)
        return choice, data

    def _run(self, file: str, name: str, text: str, wall: float, first: Sequence[str]) -> int:
        """Run a study within a time, so that something of it is complete however short that is.

        Args:
            file: Name of the study file.
            name: Name of the study.
            text: Content of the study file.
            wall: Seconds; with few, the cheap cells run ahead of the rest, which may leave them no time.
            first: Conditions of its cheap cells, which take a second each and may exceed the time; empty for none.

        Returns:
            The engine's exit code.
        """
        root = self._out / name
        least = LEAST_S if stages.has_complete(root) else 0.0  # or calls would get no further
        end = time.monotonic() + max(wall, least)
        run = partial(stages.run_stage, self._out / file, text, self._out, console=self._console, wait=self._wait)

        def cheap() -> int:
            is_needed = bool(first) and not stages.has_complete(root)
            return INTERRUPTED if is_needed and run(wall_s=None, only=first) == INTERRUPTED else COMPLETE

        def rest() -> int:
            left = end - time.monotonic()
            is_over = left <= 0 and stages.has_complete(root) and stages.left_of(root, 1) > 0
            return BUDGET if is_over else run(wall_s=left)

        step, later = (cheap, rest) if wall < SHORT_S else (rest, cheap)
        code = step()
        code = code if code == INTERRUPTED else worst([code, later()])
        self._codes.append(code)
        return code

    # --- results ---------------------------------------------------------------------------------------------------

    def _finish(self, schedule: Schedule, num_fine: NumFineChoice, method: MethodChoice, data: StudyData) -> Discovery:
        """Refit the choice, give every sample its class, and write all results."""
        from fgtune.analysis.discovery.outcome import Discovery
        from fgtune.analysis.discovery.text import warnings_of
        from fgtune.app.discovery import describe
        from fgtune.reporting.discovery import render_discovery

        source, dataset = self._source, self._dataset
        seed = stages.central_seed(data, method.arm)
        form = UserForm(source.scale, source.coarse_names)
        model = stages.refit_choice(self._out / METHODS, method.arm, seed, self._out / MODEL, self._say, form)
        found, parents, card = describe.assign_all(model, dataset)
        classes, runs = describe.describe_all(found, parents, dataset, source, self._space, data, method.arm, seed)
        describe.write_classes(self._out, found, classes, source, dataset)
        describe.write_to_label(self._out, classes, source, dataset)
        labels = dataset.coarse[:, 0]
        coarse_accuracy = describe.coarse_accuracy_of(card)
        column = self._request.asked.fine
        outcome = Discovery(
            data=str(self._request.asked.data),
            samples=len(labels),
            coarse=source.coarse,
            coarse_names=describe.coarse_names_of(source, dataset),
            coarse_sizes=tuple(np.bincount(labels[labels >= 0], minlength=dataset.num_coarse[0]).tolist()),
            unlabelled=int((labels < 0).sum()),
            num_fine=num_fine,
            method=method,
            classes=classes,
            runs=runs,
            seed=seed,
            coarse_accuracy=coarse_accuracy,
            mean_confidence=float(found.confidence.mean()),
            notes=source.notes,
            warnings=tuple(warnings_of(num_fine, method, classes, runs, coarse_accuracy, data.count().failed)),
            given_up=schedule.given_up,
            seconds=self._request.seconds + time.monotonic() - self._started,
            comparison=None if column is None else describe.compare(source, column, found, data),
            command=self._request.command(self._out, self._minutes),
            columns=source.columns,
        )
        write_atomically(self._out / RESULT, (json.dumps(outcome.to_plain(), indent=2) + "\n").encode())
        samples = describe.samples_of(found, classes, source, dataset)
        write_atomically(self._out / REPORT, render_discovery(outcome, samples, self._links()))
        self._say(f"{len(classes)} fine classes of {len(labels):,} samples: {self._out / describe.CLASSES}")
        self._say(f"report: {self._out / REPORT}")
        return outcome

    def _links(self) -> dict[str, str]:
        """What the page points at."""
        from fgtune.app.discovery import describe

        return {
            "to_label": describe.TO_LABEL,
            "methods": f"{METHODS}/report.html",
            "num_fine": f"{NUM_FINE}/report.html",
            "folder": str(self._out),
        }
