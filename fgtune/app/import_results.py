"""``fgtune import TABLE``: runs that were made elsewhere as a study folder, with verdicts and report."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.app.importing.folder import write_folder
from fgtune.app.importing.rows import read_rows
from fgtune.app.importing.runs import read_runs
from fgtune.app.importing.study import Bounds, Judging, make_study, study_name
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import DEFAULT_OUT

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.app.api import Results


def import_results(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    primary: str,
    direction: str,
    baseline: str,
    range: Bounds | None = None,
    margin: float | None = None,
    metrics: Mapping[str, str] | None = None,
    ignore: Collection[str] = (),
    overrides: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    wait: bool = False,
) -> Results:
    """Make a study folder of finished runs from elsewhere, with its report and its verdicts.

    Args:
        source: A CSV or Parquet file, or a pandas table: a row a run, or a run and epoch. Columns ``arm`` and ``seed``;
            if there, ``epoch``, ``state`` (COMPLETE, FAIL or PRUNED), ``cause`` and ``seconds``; every other one is a
            metric.
        primary: The metric of the verdicts.
        direction: ``maximize`` or ``minimize``.
        baseline: The arm that every other one is compared with, seed by seed.
        range: Smallest and largest possible value of the primary metric, None for an end that has no bound.
        margin: Differences in the primary metric below this do not matter. None is 0.02 where the range is 0 to 1;
            elsewhere no arm is then called equivalent.
        metrics: Directions of other metrics, by name; those without one are shown, and not judged.
        ignore: Columns to leave out.
        overrides: Further rules of judging, such as ``metrics.alpha=0.01``; also ``question=...``.
        out: The study folder. None is ``reports/NAME``, after the file.
        wait: Wait until no other process writes to that folder, instead of raising.

    Returns:
        The results, as ``open_results`` gives them.

    Raises:
        ConfigError: The table or an option is wrong, or the folder holds something else, or runs that the table lacks
            or has with other values. Nothing is written then.
    """
    from fgtune.app.api import open_results
    from fgtune.reporting.html import write_up

    table = Path(source) if isinstance(source, str | os.PathLike) else source
    if out is None and not isinstance(table, Path):
        raise ConfigError("must be given for a table that is no file", where="out", fix="name the study folder")
    folder = StudyFolder(DEFAULT_OUT / Path(str(table)).stem if out is None else Path(out))
    runs = read_runs(read_rows(table), ignore)
    judging = Judging(primary, direction, baseline, range, margin, metrics or {})
    write_folder(folder, make_study(runs, judging, study_name(folder.root.resolve()), overrides), runs, wait=wait)
    write_up(folder)
    return open_results(folder.root)
