"""Every shipped study that needs no files is valid, opens with its question, and runs in miniature.

Those that do need files are in ``test_recipes``, which writes them.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from fgtune.analysis.summary import summarise
from fgtune.engine.run import execute
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

STUDIES = [
    path
    for path in sorted((Path(__file__).parents[1] / "studies").glob("*.yaml"))
    if re.search(r"^ +(\w+: \{.*\b)?path: ", path.read_text(encoding="utf-8"), re.MULTILINE) is None
]
MAIN = "kf_sensitivity"


def test_there_are_studies():
    assert MAIN in {path.stem for path in STUDIES}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[] if p.stem == MAIN else pytest.mark.long) for p in STUDIES]
)
def test_study_runs_in_miniature_and_reports(path, tmp_path, workers_kept):
    out = io.StringIO()
    called = re.findall(r'^ +call: "(\w+):', path.read_text(encoding="utf-8"), re.MULTILINE)
    options = RunOptions(path, smoke=True, out=tmp_path, tracking_uri="none", plugins=tuple(called))
    assert execute(options, Console(file=out, width=300)) == 0, out.getvalue()
    folder = StudyFolder(tmp_path / f"{path.stem}-smoke")
    results = folder.ledger.read()
    assert results
    study = folder.read_study()
    states = {result.state for result in results}
    assert states == {CellState.COMPLETE} or (study.scheduler.kind != "none" and CellState.FAIL not in states)
    for result in results:
        assert study.metrics.primary in result.metrics
    assert folder.report_file.is_file()
    assert not summarise(folder).answer.startswith("No answer yet")
