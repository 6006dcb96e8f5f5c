"""fgtune from Python, for notebooks and scripts: open a study, look at its plan, run it, read its results.

``import fgtune`` offers these functions without importing this module; heavy libraries are imported by the call that
needs them, torch and Ray only by ``run_study`` if a study is merely read. Errors raised on purpose are
``FgtuneError``; a cell that fails is reported in the results.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fgtune.app.notebooks.plain import Overrides, texts
from fgtune.app.notebooks.study_file import StudyFile, read_study_file
from fgtune.app.plan import StudyPlan, read_plan
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import DEFAULT_OUT
from fgtune.results.records import PredictionsRecord, RelationsRecord

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.analysis.inputs import StudyData
    from fgtune.analysis.summary import StudySummary
    from fgtune.analysis.verdict_file import Verdicts

StrPath = str | os.PathLike[str]


class Results:
    """The contents of a study folder, read once, on demand; created by ``open_results``.

    Attributes:
        folder: The study folder.
    """

    def __init__(self, root: StrPath) -> None:
        self.folder = StudyFolder(Path(root))
        self.folder.require_study()

    @cached_property
    def _data(self) -> StudyData:
        from fgtune.analysis.inputs import read_study

        return read_study(self.folder)

    @property
    def study(self) -> Study:
        """The study, every default filled in."""
        return self._data.study

    @cached_property
    def table(self) -> pd.DataFrame:
        """The tidy table, one row per planned cell: arm, seed, state, levels, metrics, seconds, cause of a failure."""
        from fgtune.analysis.table import tidy_table

        return tidy_table(self._data)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Metrics of every epoch: ``cell_id, arm, seed, epoch, step, seconds`` and one column per metric."""
        return self.folder.read_curves()

    @cached_property
    def summary(self) -> StudySummary:
        """Arms with intervals, contrasts with verdicts, failures, warnings; what the report shows."""
        from fgtune.analysis.summary import summarise

        return summarise(self._data)

    @cached_property
    def verdicts(self) -> Verdicts:
        """The answer for programs, as ``verdicts.json`` holds it; also where the folder has no such file yet."""
        from fgtune.analysis.verdict_records import verdicts_of

        return verdicts_of(self._data, self.summary)

    @cached_property
    def arms(self) -> pd.DataFrame:
        """One row per arm and metric: n, mean, sd and interval over the seeds."""
        from fgtune.app.notebooks.frames import arms_frame

        return arms_frame(self.summary)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """One row per planned contrast: difference to the baseline, interval, p-values, verdict, reason."""
        from fgtune.app.notebooks.frames import contrasts_frame

        return contrasts_frame(self.verdicts)

    @property
    def answer(self) -> str:
        """The study's question answered in a sentence with numbers."""
        return self.summary.answer

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of ``table`` whose cell failed, with their causes."""
        return self.table[self.table["state"] == "FAIL"]

    @property
    def complete(self) -> bool:
        """Whether every planned cell ran to its end or was stopped early as planned; none failed, none missing.

        A comparison that searches inside its arms is incomplete until every arm has its settings.
        """
        chosen = all(self._data.cells(arm) for arm in self._data.arm_searches)
        return chosen and bool(self.table["state"].isin(["COMPLETE", "PRUNED"]).all())

    @property
    def searches(self) -> dict[str, Results]:
        """The results of each search inside an arm of a comparison that has started, by arm."""
        return {arm: Results(own.folder.root) for arm, own in self._data.arm_searches.items() if own is not None}

    @property
    def report(self) -> Path | None:
        """The report, or None while there is none."""
        return self.folder.report_file if self.folder.report_file.is_file() else None

    def relations(self, cell_id: str) -> RelationsRecord:
        """Learned and true relations of a finished cell, and the counts behind its metrics.

        Raises:
            ConfigError: The study has no such cell, or the cell has no relations: it failed, or has not run.
        """
        record = self.folder.read_relations(cell_id) if cell_id in set(self.table["cell_id"]) else None
        if record is None:
            known = [cell for cell in self.table["cell_id"] if (self.folder.relations_dir / f"{cell}.npz").is_file()]
            fix = f"cells that have relations: {', '.join(known[:6])}{', ...' * (len(known) > 6)}" if known else ""
            raise ConfigError("no relations are stored for this cell", where="cell_id", value=cell_id, fix=fix)
        return record

    def predictions(self, cell_id: str) -> PredictionsRecord:
        """The fine class of every sample, as a finished cell predicts it at its end.

        Raises:
            ConfigError: The study has no such cell, or nothing is stored of it: it failed, has not run, or ran under a
                version that stored no predictions.
        """
        record = self.folder.read_predictions(cell_id) if cell_id in set(self.table["cell_id"]) else None
        if record is None:
            raise ConfigError("no predictions are stored for this cell", where="cell_id", value=cell_id)
        return record

    def __repr__(self) -> str:
        counts = self.table["state"].value_counts()
        words = ", ".join(f"{number} {state}" for state, number in counts.items())
        return f"Results({self.study.study!r}: {words} of {len(self.table)} cells)"

    def _repr_html_(self) -> str:
        from fgtune.analysis.small_html import paragraph

        report = "" if self.report is None else paragraph(str(self.report), "report:")
        return paragraph(repr(self)) + self.verdicts._repr_html_() + report


def load_study(
    study: StrPath | Mapping[str, Any],
    overrides: Overrides = (),
    smoke: bool = False,
    plugins: Sequence[str] = (),
    *,
    data: Any = None,
) -> StudyFile:
    """Read and validate a study, but not its data yet.

    Args:
        study: The study file, or its content as a dict.
        overrides: New values by dotted path, such as ``{"trial.epochs": 9}``; or ``path=value`` texts, as after
            ``--set``.
        smoke: Make it small: few epochs, little data, two seeds.
        plugins: Packages that may be imported because the study names parts in them.
        data: What stands in for the study's data: a tuple ``(inputs, coarse)`` or ``(inputs, coarse, fine)`` of arrays,
            a dict of these, a pandas or Arrow table, ``{"table": ..., "coarse": "COLUMN", ...}``, or a dataset of
            such samples. ``run_study`` keeps it in the study folder.

    Raises:
        ConfigError: Something in the study is wrong, or the data are of no known form.
    """
    return read_study_file(study, overrides, smoke, texts(plugins, "plugins"), data)


def plan(study: StudyFile | StrPath | Mapping[str, Any], out: StrPath = DEFAULT_OUT) -> StudyPlan:
    """The cells of a study and their state in its folder; starts nothing, writes nothing in it.

    A search has the baseline's cells, and those of the points proposed so far. Data that were not read before may go to
    the folder of caches.

    Args:
        study: From ``load_study``, or what it takes.
        out: Parent of the study folder.

    Raises:
        ConfigError: The study or its data is wrong, or the folder holds another study.
    """
    made = _file(study).within(Path(out)).open().plan
    return read_plan(made, StudyFolder(Path(out) / made.study.study))


def run_study(
    study: StudyFile | StrPath | Mapping[str, Any],
    out: StrPath = DEFAULT_OUT,
    *,
    only: Sequence[str] = (),
    tracking_uri: str | None = None,
    retry_failed: bool = False,
    address: str | None = None,
    quiet: bool = False,
) -> Results:
    """Run what is left of a study, as ``fgtune run`` does, and read its results.

    Progress is printed, one line per finished cell; a notebook shows one line that refreshes, and a line for each cell
    that failed. Ctrl-C (the stop button of a notebook) stops cleanly; ``complete``
    of the results is then False, and another call continues. Failed cells are in ``failed`` of the results.

    Args:
        study: From ``load_study``, or what it takes.
        out: Parent of the study folder.
        only: Run only cells that meet these conditions, such as ``arm=NAME``, as after ``--only``.
        tracking_uri: MLflow store; None uses the environment's, ``none`` turns tracking off.
        retry_failed: Run failed cells again.
        address: Ray cluster; None uses the environment's, or else opens a session on this machine.
        quiet: Print nothing.

    Raises:
        ConfigError: The study, the data, the folder or the store is wrong; nothing was started.
        FgtuneError: Another foreseen failure.
    """
    from fgtune.engine.run import execute

    file = _file(study).within(Path(out))
    opened = file.open()
    options = replace(
        file.options,
        tracking_uri=tracking_uri,
        retry_failed=retry_failed,
        only=texts(only, "only"),
        address=address,
    )
    console = Console(
        file=sys.stdout, quiet=quiet, width=500, highlight=False, force_terminal=False, force_jupyter=False
    )
    with file.reachable():
        execute(options, console, opened)
    return Results(Path(out) / file.name)


def open_results(folder: StrPath) -> Results:
    """The results in a study folder, finished or not.

    Raises:
        ConfigError: The folder holds no study.
    """
    return Results(folder)


def _file(study: StudyFile | StrPath | Mapping[str, Any]) -> StudyFile:
    return study if isinstance(study, StudyFile) else load_study(study)
