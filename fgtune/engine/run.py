"""One call on a study, from its file to its report; here the adapters are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fgtune.config.arms.plan import Plan, selected_cells
from fgtune.data.given import bytes_waiting, take_waiting
from fgtune.engine.arm_searches import ArmSearches, check_arm_search_folders
from fgtune.engine.cell_storage import check_storage
from fgtune.engine.cluster import meet_nodes, storage_mark
from fgtune.engine.designs import DESIGNS, grown_plan
from fgtune.engine.driver import Driver
from fgtune.engine.opening import Launch, OpenedStudy, open_study
from fgtune.engine.seed_blocks import next_block
from fgtune.engine.storage import bytes_needed, check_space, disk_faults
from fgtune.errors import ConfigError, SessionLostError, TrackingError
from fgtune.plugins import permitting
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.provenance import collect_provenance
from fgtune.signals import answering_signals, deferring
from fgtune.text import count, print_damage, print_line
from fgtune.tracking import StudyEnd, Tracker, import_store, open_tracker

if TYPE_CHECKING:
    from fgtune.tuning.cell_queue import StopFlag
    from fgtune.tuning.search.suggestions import KnownTrial
    from fgtune.tuning.warm_workers import WarmWorkers

EXIT_CODES = {
    StudyEnd.COMPLETE: 0,
    StudyEnd.PARTIAL: 0,
    StudyEnd.FAILED_CELLS: 3,
    StudyEnd.BUDGET: 4,
    StudyEnd.INTERRUPTED: 130,
}


def execute(
    options: RunOptions, console: Console | None = None, opened: OpenedStudy | None = None, *, wait: bool = False
) -> int:
    """Run what is left of a study and write its report.

    Args:
        options: The options of the call.
        console: Where progress is shown; standard output when left out.
        opened: The study, if it has been opened already; it is then not read again.
        wait: Wait until no other process runs the study, and then do what is left.

    Returns:
        The exit code: 0 if every planned (or selected) cell is complete, 3 finished with failed cells, 4 out of budget,
        130 interrupted.

    Raises:
        ConfigError: The study, the data, the folder or the store is wrong, or another process runs the study; nothing
            was started.
        StorageError: The disk is full.
    """
    console = console or _plain_console()
    with answering_signals(), permitting(options.plugins, beside=options.study):
        try:
            opened = opened or open_study(options.study, options.overrides, options.smoke, options.address)
            return _execute(options, console, opened, wait)
        except KeyboardInterrupt:  # a driver that trains answers by itself; this one came before or between
            return _interrupted(options, console, opened)
        except SessionLostError:  # the error itself says how
            _interrupted(options, console, opened, "Ray was lost")
            raise


def _interrupted(
    options: RunOptions,
    console: Console,
    opened: OpenedStudy | None,
    what: str = "interrupted",
    *,
    is_holder: bool = False,
) -> int:
    """Report what there is, and say how to go on; a holder of the lock reports although the folder is locked."""
    folder = None if opened is None else StudyFolder(options.out / opened.plan.study.study)
    with deferring(lambda: None):
        if opened is None or folder is None or not folder.provenance_file.is_file():
            print_line(console, f"{what} before anything was written")
        else:
            plan = grown_plan(opened.plan, folder)
            done = folder.settled(plan)
            finished = f"{len(done)} of {len(plan.cells)} cells are finished and saved in {folder.root}"
            print_line(console, f"{what}: {finished}")
            if is_holder or folder.holder() is None:  # else another process, which was waited for, writes the report
                print_line(console, f"report: {report(folder.root)}")
        print_line(console, f"continue with: {options.command()}")
    return EXIT_CODES[StudyEnd.INTERRUPTED]


def _execute(options: RunOptions, console: Console, opened: OpenedStudy, wait: bool) -> int:
    folder = StudyFolder(options.out / opened.plan.study.study)
    folder.check(opened.plan, options.retry_failed)
    check_storage(folder, opened.plan.study.execution.storage)
    check_arm_search_folders(opened.plan, folder)
    _check_machine(opened.plan, options.address)
    kind = DESIGNS[opened.plan.study.design.kind]
    earlier, notes = kind.earlier_studies(opened.plan)
    for note in (*(f"warning: {warning}" for warning in opened.plan.warnings), *notes):
        print_line(console, note)
    with ExitStack() as stack:
        stack.enter_context(folder.lock(wait, partial(print_line, console)))
        launch = _launch(options, opened, folder, earlier)
        is_idle = kind.is_idle(launch) and (bool(options.only) or next_block(launch.opened.plan, folder) is None)
        needed = 0.0 if is_idle else bytes_needed(launch.opened.plan, launch.pending, opened.datasets)
        check_space(folder, needed + bytes_waiting())
        background = ThreadPoolExecutor(1)
        stack.callback(background.shutdown, wait=False)  # who stops waits for no store
        ready = background.submit(import_store, options.tracking_uri)  # takes seconds, while Ray starts
        session, flag, may_start_again = stack.enter_context(ExitStack()), None, False
        if not is_idle:
            may_start_again = not _is_session_open()  # who opened it before this call has to close it, too
            flag = _start_ray(opened, options.address, folder, session, console)
            stack.enter_context(_last_report(options, console, opened))
        ready.result()
        tracker = open_tracker(options.tracking_uri)  # now that nothing else is refused: it may make a file
        with suppress(TrackingError):  # a fault of the store stops nothing; a name that it refuses does
            tracker.check([opened.plan.study.study, *(each.plan.study.study for each in opened.plan.arm_searches)])
        stack.enter_context(disk_faults(folder, options.command()))
        provenance = collect_provenance(opened.plan, options, tracker.uri)
        folder.create_or_check(launch.opened.plan, opened.loaded, provenance, options.retry_failed)
        take_waiting()
        print_damage(folder.damage.values())
        folder.damage.clear()
        work = _Work(options, opened, folder, earlier, tracker, console)
        try:
            return EXIT_CODES[work.run(launch, flag)]
        except SessionLostError as lost:
            if flag is None or flag.is_set or not (may_start_again and _is_session_ours()):
                raise
            print_line(console, f"{lost}; Ray is started again, and cells go on from their checkpoints")
        session.close()
        flag = _start_ray(opened, options.address, folder, session, console)
        return EXIT_CODES[work.run(work.launch(options), flag)]


class _Work:
    """What a call does once its folder is locked; done anew, it does what is left."""

    def __init__(
        self,
        options: RunOptions,
        opened: OpenedStudy,
        folder: StudyFolder,
        earlier: Sequence[KnownTrial],
        tracker: Tracker,
        console: Console,
    ) -> None:
        from fgtune.tuning.cell_queue import Budget

        self._options, self._opened, self._folder, self._earlier = options, opened, folder, earlier
        self._tracker, self._console = tracker, console
        self._budget = Budget(opened.plan.study.execution)

    def run(self, launch: Launch, flag: StopFlag | None) -> StudyEnd:
        """Run what is left: searches inside arms, the cells, and further blocks where seeds are adaptive.

        Raises:
            SessionLostError: Ray was lost; what is finished is in the ledger and in the report.
        """
        if flag is None:
            return self._run(launch, None, None)
        from fgtune.tuning.warm_workers import WarmWorkers

        with nullcontext(WarmWorkers.kept) if WarmWorkers.kept is not None else WarmWorkers() as workers:
            return self._run(launch, flag, workers)

    def _run(self, launch: Launch, flag: StopFlag | None, workers: WarmWorkers | None) -> StudyEnd:
        if launch.opened.plan.pending_arm_searches and workers is not None:
            end = ArmSearches(launch, self._console, flag, self._budget, workers).run()
            if end is not None:
                return end
            launch = self.launch(self._options)  # with what they have chosen
        end = self._drive(launch, flag, workers)
        while end in {StudyEnd.COMPLETE, StudyEnd.FAILED_CELLS} and _add_block(launch, self._console):
            # what failed again in this call is not retried with every block
            launch = self.launch(replace(self._options, retry_failed=False))
            end = self._drive(launch, flag, workers)
        return end

    def launch(self, options: RunOptions) -> Launch:
        """What is left to do now."""
        return _launch(options, self._opened, self._folder, self._earlier)

    def _drive(self, launch: Launch, flag: StopFlag | None, workers: WarmWorkers | None) -> StudyEnd:
        return Driver(launch, self._tracker, self._console, flag, self._budget, workers).execute()


def _is_session_open() -> bool:
    from fgtune.tuning.session import is_open

    return is_open()


def _is_session_ours() -> bool:
    from fgtune.tuning.session import is_ours

    return is_ours()


def _add_block(launch: Launch, console: Console) -> bool:
    """Plan the seeds that follow the look at a study with adaptive seeds; returns whether there are any."""
    plan, folder = launch.opened.plan, launch.folder
    block = next_block(plan, folder)
    if block is None:
        return False
    if launch.options.only:
        print_line(console, "with --only, no seeds are added to contrasts that are not decided; run it without")
        return False
    print_line(console, block.text)
    folder.add_block(block.plan, block.looked_at, block.open_arms)
    return True


def _launch(options: RunOptions, opened: OpenedStudy, folder: StudyFolder, earlier: Sequence[KnownTrial]) -> Launch:
    """What is left to do now."""
    plan = grown_plan(opened.plan, folder)
    settled = folder.settled(plan, options.retry_failed)
    selected = selected_cells(plan, options.only)
    return Launch(replace(opened, plan=plan), folder, selected, settled, earlier, options)


def _last_report(options: RunOptions, console: Console, opened: OpenedStudy) -> AbstractContextManager[None]:
    """While open, a process that ends because Ray does not answer any more leaves a report and says how to go on."""
    from fgtune.tuning.session import last_words

    return last_words(partial(_interrupted, options, console, opened, "Ray was lost", is_holder=True))


def _start_ray(
    opened: OpenedStudy, address: str | None, folder: StudyFolder, stack: ExitStack, console: Console
) -> StopFlag:
    """Open a Ray session that ends with ``stack``, and check that trials can run in it; returns what stops them."""
    from fgtune.tuning.cell_queue import StopFlag
    from fgtune.tuning.session import check_resources, idle_gpus, ray_session, wait_for_nodes

    with storage_mark(opened.plan) as mark:
        stack.enter_context(ray_session(address, folder.ray_log_file))
        say = partial(print_line, console)
        wait_for_nodes(say)
        check_resources(opened.plan.study.execution)
        if idle := idle_gpus(opened.plan.study.execution):
            say(f"note: {count(idle, 'GPU')} idle, since trials hold none; --set execution.gpus=1 gives each trial one")
        meet_nodes(opened, folder, mark, say)
    return StopFlag()


def report(root: Path) -> Path:
    """Rebuild tables and report of a study folder from its own files; returns the report."""
    from fgtune.reporting.html import write_up

    return write_up(StudyFolder(root))[0]


def _check_machine(plan: Plan, address: str | None) -> None:
    """Refuse a trial that this machine cannot run, before Ray starts; a cluster is checked once it is connected."""
    cores = os.cpu_count() or 1
    if address is None and not os.environ.get("RAY_ADDRESS") and plan.study.execution.cpus > cores:
        rule, fix = f"must be at most the {cores} cores of this machine", f"lower it, e.g. --set execution.cpus={cores}"
        raise ConfigError(rule, path="execution.cpus", value=plan.study.execution.cpus, fix=fix)


def _plain_console() -> Console:
    """Standard output: the terminal's width in a terminal, never wrapped elsewhere."""
    return Console() if sys.stdout.isatty() else Console(width=500, highlight=False)
