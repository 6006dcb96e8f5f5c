from __future__ import annotations

import math
import re
from urllib.parse import unquote

import pandas as pd
import pytest

import fgtune
from fgtune.analysis.inputs import read_study
from fgtune.reporting import cell_list
from fgtune.reporting.cell_list import cell_groups, cell_rows
from fgtune.reporting.html import write_up
from fgtune.results.tracked import TrackedRun, TrackedRuns


@pytest.fixture
def study(synthetic, tmp_path):
    faults = synthetic.Faults(missing={("baseline", 4)}, failed={("num_fine_ratio=0.8", 2): "loss is not finite"})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    failed = next(result.cell_id for result in folder.ledger.read() if result.state == "FAIL")
    folder.write_failure(failed, "Traceback")
    return read_study(folder)


def test_every_planned_cell_has_a_row_whose_files_are_there(study):
    rows = cell_rows(study)
    assert [row.cell_id for row in rows] == [cell.cell_id for cell in study.planned]
    for row in rows:
        files = [place for place in row.links.values() if not place.startswith("#")]
        assert all((study.folder.root / place).is_file() for place in files)
        assert ("relations" in row.links) == (row.state == "COMPLETE")
        assert ("failure" in row.links) == (row.state == "FAIL")
    (planned,) = [row for row in rows if row.state == "PLANNED"]
    assert (planned.arm, planned.seed, planned.links) == ("baseline", 4, {})
    assert math.isnan(planned.value)


def test_very_many_cells_are_counted_by_arm(study, monkeypatch):
    monkeypatch.setattr(cell_list, "MOST_CELLS", 19)
    assert cell_rows(study) == ()
    groups = {group.arm: (group.cells, group.complete) for group in cell_groups(study)}
    monkeypatch.setattr(cell_list, "MOST_CELLS", 3)
    assert cell_groups(study) == ()
    assert "Cells and arms are too many to be listed" in write_up(study.folder)[0].read_text(encoding="utf-8")
    assert (groups["baseline"], groups["num_fine_ratio=0.8"], groups["num_fine_ratio=1.2"]) == ((5, 4), (5, 4), (5, 5))


def _reached(page: str) -> dict[str, set[str]]:
    """The arms that links to parts of the page lead to, by part; each part is there, and has each of the arms."""
    links = {(part, unquote(arm)) for part, arm in re.findall(r'href="#([^"&]+)&(?:amp;)?arms=([^"&]+)["&]', page)}
    found: dict[str, set[str]] = {}
    for part, arm in links:
        found.setdefault(part, set()).add(arm)
    ids = re.findall(r' id="([^"]+)"', page)
    assert [part for part in found if ids.count(part) != 1] == []
    for part in found.keys() - {"learning-cells"}:
        table = re.search(rf' id="{part}">(.*?)</table>', page, re.DOTALL).group(1)
        assert found[part] <= set(re.findall(r'<tr data-arm="([^"]+)"', table))
    return found


@pytest.mark.slow
def test_a_cell_leads_to_its_settings_and_curve_where_the_page_has_them(study, synthetic, synthetic_search, tmp_path):
    def page(folder):
        return write_up(folder)[0].read_text(encoding="utf-8")

    arms = {arm.name for arm in study.arms}
    assert _reached(page(study.folder)) == {"learning-cells": arms, "arm-settings": arms}
    search = synthetic_search.SyntheticSearch(trials=12, failed={4}, pruned={6: 3}).write(tmp_path / "search")
    trials = {"baseline", *(f"trial-{number:04d}" for number in range(12))}
    assert _reached(page(search)) == {"learning-cells": trials, "trials": trials}
    few = synthetic_search.SyntheticSearch(trials=3, curves=False).write(tmp_path / "few")
    assert _reached(page(few)) == {"trials": {"baseline", *(f"trial-{number:04d}" for number in range(3))}}
    runs = [{"arm": arm, "seed": seed, "score": 0.5 + seed / 10} for arm in ("a", "b") for seed in range(3)]
    for name, epochs, reached in (("runs", (1,), {}), ("curves", (1, 2), {"learning-cells": {"a", "b"}})):
        pd.DataFrame([run | {"epoch": epoch} for run in runs for epoch in epochs]).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
        results = fgtune.import_results(
            tmp_path / f"{name}.csv",
            out=tmp_path / name,
            primary="score",
            direction="maximize",
            baseline="a",
            range=(0, 1),
        )
        assert _reached(page(results.folder)) == reached


@pytest.mark.parametrize("uri", ["http://user:***@mlflow.example:5000", "sqlite:////home/someone/mlflow.db"])
def test_a_cell_leads_to_its_run_where_the_store_is_a_server_and_names_it_where_it_is_a_file(study, uri):
    cell = study.planned[0].cell_id
    runs = TrackedRuns(study.folder.tracking_file)
    runs.note([TrackedRun(cell, uri, "7", "0123abcd")])
    row = cell_rows(study)[0]
    assert row.run == "0123abcd"
    page = write_up(study.folder)[0].read_text(encoding="utf-8")
    link = '<a href="http://mlflow.example:5000/#/experiments/7/runs/0123abcd?workflowType=machine_learning">'
    assert (link in page) == uri.startswith("http")
    assert "<code>0123abcd</code>" in page
    assert "someone" not in page
    assert ("<code>fgtune ui</code>" in page) == uri.startswith("sqlite")


@pytest.mark.slow
def test_a_damaged_list_of_runs_costs_the_links_and_is_told(study):
    study.folder.tracking_file.write_text("no json\n")
    path, summary = write_up(study.folder)
    assert "MLflow run</th>" not in path.read_text(encoding="utf-8")
    assert any("tracking.jsonl is damaged" in warning for warning in summary.warnings)
