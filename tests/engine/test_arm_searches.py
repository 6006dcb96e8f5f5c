"""Comparisons whose arms are searched first, from the study file to the report: real Ray, a real MLflow store."""

from __future__ import annotations

import html
import io
import json
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console
from support import search_runs
from support.lazy import LazyModule
from support.search_runs import folder_of, run

import fgtune
from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.app.cli import main
from fgtune.app.extend import extend
from fgtune.app.refit import choose
from fgtune.app.status import read_status
from fgtune.app.verify import verify
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.results.folder import StudyFolder

mlflow = LazyModule("mlflow")

METRIC = "val/silhouette"
STUDY = {
    "study": "tuned",
    "question": "Which method is better at its best settings?",
    "design": {
        "kind": "comparison",
        "arms": [
            {
                "name": "falcon",
                "space": {
                    "parameters": {
                        "objective.lambda_nn": {"kind": "log_uniform", "low": 0.1, "high": 2.0},
                        "objective.lambda_reg": {"kind": "choice", "values": [0.0, 1.0, 2.0]},
                    }
                },
            },
            {
                "name": "base",
                "set": {"objective.preset": "base"},
                "space": {"parameters": {"optimizer.lr": {"kind": "choice", "values": [0.05, 0.2]}}},
            },
            {"name": "own"},
        ],
        "search": {"metric": METRIC, "trials": 3, "sampler": {"kind": "random"}},
    },
    "seeds": 2,
    "metrics": {"primary": "test/clustering_accuracy", "also": [METRIC]},
    "trial": {
        "data": {"kind": "hierarchy", "num_samples": 300, "num_coarse": 2, "fine_per_coarse": 3, "dim": 6},
        "model": {"backbone": {"kind": "mlp", "hidden": [16]}},
        "classes": {"num_fine": 6},
        "relations": {"every_steps": 3},
        "epochs": 4,
        "batch_size": 64,
    },
    "execution": {"checkpoint_every_epochs": 1, "max_concurrent": 1},  # a second worker would take longer to start
}


made = partial(search_runs.made, study=STUDY)


def lines_of(folder: StudyFolder) -> list[dict]:
    return [json.loads(line) for line in folder.ledger_file.read_text().splitlines()]


def parts_of(folder: StudyFolder) -> dict[str, StudyFolder]:
    return {path.name: StudyFolder(path) for path in sorted(folder.tuning_dir.iterdir())}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ray_started, new_store):
    """The study without its first arm, run to its end: its options and what was told."""
    folder = tmp_path_factory.mktemp("tuned")
    design = STUDY["design"] | {"arms": STUDY["design"]["arms"][1:]}
    options = made(folder, new_store(folder), design=design)
    code, text = run(options)
    assert code == 0, text
    return options, text


@pytest.mark.slow
def test_every_arm_is_given_the_same_search_and_runs_what_it_chose_on_other_seeds(finished):
    options, _ = finished
    folder = folder_of(options)
    for arm, part in parts_of(folder).items():
        lines = lines_of(part)
        assert sorted(line["arm"] for line in lines) == ["baseline", "trial-0000", "trial-0001"]  # all of its space
        assert {line["seed"] for line in lines} == {10_000}
        best = max(lines, key=lambda line: line["metrics"][METRIC])
        compared = [line for line in lines_of(folder) if line["arm"] == arm]
        assert sorted(line["seed"] for line in compared) == [0, 1]
        assert {json.dumps(line["config"]) for line in compared} == {json.dumps(best["config"])}


@pytest.mark.slow
def test_searches_and_the_comparison_share_their_worker_and_the_splits_of_a_seed(
    tmp_path, ray_started, worker_pids, monkeypatch
):
    from fgtune.training import prepared

    seeds, prepare = [], prepared.prepare_split

    def noted(dataset, config, seed, threads):
        seeds.append(seed)
        return prepare(dataset, config, seed, threads)

    monkeypatch.setattr(prepared, "prepare_split", noted)
    falcon, base, own = STUDY["design"]["arms"]
    arms = [falcon, {"name": "rate", "space": base["space"]}, own]  # of one preset, so that all share their neighbours
    options = made(tmp_path, design={"arms": arms, "search": STUDY["design"]["search"] | {"trials": 1}})
    code, text = run(options)
    assert code == 0, text
    assert [len(lines_of(part)) for part in parts_of(folder_of(options)).values()] == [2, 2]
    assert len(lines_of(folder_of(options))) == 3 * 2
    assert len({*worker_pids}) == 1
    assert sorted(seeds) == [0, 1, 10_000]


@pytest.mark.slow
def test_arms_without_a_space_run_as_they_are_set(finished):
    options, _ = finished
    (own,) = {json.dumps(line["config"]) for line in lines_of(folder_of(options)) if line["arm"] == "own"}
    assert json.loads(own)["objective"]["lambda_reg"] == 2.0


@pytest.mark.slow
def test_the_next_call_runs_nothing_and_changes_nothing(finished):
    options, _ = finished
    folder = folder_of(options)
    before = {path: path.read_bytes() for path in folder.root.rglob("*.jsonl")}
    plans = {path: path.read_bytes() for path in folder.root.rglob("plan.csv")}
    code, text = run(options)
    assert code == 0
    assert "nothing is run" in text
    assert before == {path: path.read_bytes() for path in folder.root.rglob("*.jsonl")}
    assert plans == {path: path.read_bytes() for path in folder.root.rglob("plan.csv")}


@pytest.mark.slow
def test_the_summary_tells_what_every_arm_was_given(finished):
    options, _ = finished
    folder = folder_of(options)
    given = summarise(folder).arm_searches
    assert [each.arm for each in given.arms] == ["base"]
    assert given.fixed == ("own",)
    assert (given.asked, given.seeds, given.criterion.name) == (3, (10_000,), METRIC)
    for each in given.arms:
        lines = {line["arm"]: line for line in lines_of(parts_of(folder)[each.arm])}
        assert each.cells == len(lines)
        assert each.epochs == sum(line["epochs"] for line in lines.values())
        assert each.seconds == pytest.approx(sum(line["seconds"] for line in lines.values()))
        values = [lines[name]["metrics"][METRIC] for name in ("baseline", each.chosen)]
        assert each.values[METRIC] == pytest.approx(values)
        assert (folder.root / each.report).is_file()
    told = " ".join(given.warnings)
    assert "run as the study file sets them: own" in told


@pytest.mark.slow
def test_the_folder_agrees_with_itself_and_so_does_every_search(finished):
    options, _ = finished
    folder = folder_of(options)
    for root in (folder.root, *(part.root for part in parts_of(folder).values())):
        outcome = verify(root)
        assert outcome.problems == []
        assert outcome.counts["search"] > 0
    page = folder.report_file.read_text(encoding="utf-8")
    assert 'href="tuning/base/report.html"' in page


@pytest.mark.slow
def test_each_search_is_an_experiment_of_its_own(finished):
    options, _ = finished
    client = mlflow.MlflowClient(options.tracking_uri)
    names = {each.name: each.experiment_id for each in client.search_experiments() if each.name != "Default"}
    assert sorted(names) == ["tuned", "tuned-base"]
    counts = {
        name: len(client.search_runs([experiment], "tags.`fgtune.role` = 'cell'")) for name, experiment in names.items()
    }
    assert counts == {"tuned": 4, "tuned-base": 3}


@pytest.mark.slow
def test_plan_and_status_tell_how_far_the_searches_are(finished, capsys):
    options, _ = finished
    assert main(["plan", str(options.study), "--out", str(options.out)]) == 0
    assert "search inside base: over after 3 cells" in capsys.readouterr().out
    assert main(["status", str(folder_of(options).root)]) == 0
    assert "search inside base: over after 3 cells" in " ".join(capsys.readouterr().out.split())
    assert main(["plan", str(options.study), "--out", str(options.out / "elsewhere")]) == 0
    fresh = capsys.readouterr().out
    assert "4 of 4 cells to run, and up to 3 cells in the searches" in fresh
    assert "search inside base: 0 of at most 3 cells ended" in fresh


@pytest.mark.long
def test_further_seeds_keep_what_was_chosen(finished, tmp_path, ray_started):
    options, _ = finished
    folder = folder_of(options)
    chosen = {line["arm"]: line["config"] for line in lines_of(folder)}
    searches = {name: part.ledger_file.read_bytes() for name, part in parts_of(folder).items()}
    out = io.StringIO()
    assert extend(folder.root, 3, "none", Console(file=out, width=500)) == 0, out.getvalue()
    lines = lines_of(folder)
    assert Counter(line["arm"] for line in lines) == {"base": 3, "own": 3}
    assert all(line["config"] == chosen[line["arm"]] for line in lines)
    assert searches == {name: part.ledger_file.read_bytes() for name, part in parts_of(folder).items()}


@pytest.mark.long
def test_a_budget_of_cells_is_shared_and_the_next_call_goes_on(tmp_path, ray_started):
    options = replace(made(tmp_path), overrides=("execution.budget.cells=5",))
    code, text = run(options)
    folder = folder_of(options)
    assert code == 4
    assert "the budget of 5 cells is used up" in text
    assert [len(lines_of(part)) for part in parts_of(folder).values()] == [1, 4]
    assert not folder.ledger_file.exists()
    page = folder.report_file.read_text(encoding="utf-8")
    assert "Not over, so without settings and cells so far" in page
    with pytest.raises(ConfigError, match="has chosen none yet"):
        run(replace(options, overrides=(), only=("arm=base",)))
    code, text = run(replace(options, overrides=()))
    assert code == 0
    assert Counter(line["arm"] for line in lines_of(folder)) == {"falcon": 2, "base": 2, "own": 2}


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory, ray_started):
    """A study all of whose arms are searched, stopped after one cell: its options."""
    design = STUDY["design"] | {"arms": STUDY["design"]["arms"][:2]}
    options = made(tmp_path_factory.mktemp("cut"), design=design)
    code, text = run(replace(options, overrides=("execution.budget.cells=1",)))
    assert code == 4
    assert "the budget of 1 cells is used up" in text
    return options


@pytest.mark.slow
def test_cut_off_before_any_arm_has_its_settings_it_still_reports(cut_off, capsys):
    folder = folder_of(cut_off)
    assert "Not over, so without settings and cells so far" in folder.report_file.read_text(encoding="utf-8")
    results = fgtune.open_results(folder.root)
    assert len(results.table) == 0
    assert not results.complete
    assert list(results.searches) == ["falcon"]
    assert len(results.searches["falcon"].table) == 1
    assert main(["status", str(folder.root)]) == 0
    told = capsys.readouterr().out
    assert "0 of 4 cells ended" in told
    assert "search inside falcon: 1 of 4 cells ended" in told
    assert main(["report", str(folder.root)]) == 0


@pytest.mark.slow
def test_a_part_cannot_be_selected_before_settings_are_chosen(cut_off):
    with pytest.raises(ConfigError, match="has chosen none yet"):
        run(replace(cut_off, only=("arm=base",)))


@pytest.mark.slow
def test_a_folder_of_another_search_is_refused_before_anything_is_written(cut_off):
    record = folder_of(cut_off).tuning_dir / "falcon" / "provenance.json"
    text = record.read_text()
    record.write_text(text.replace('"study_hash": "', '"study_hash": "other'))
    before = {path: path.read_bytes() for path in cut_off.out.rglob("*") if path.is_file()}
    with pytest.raises(StudyFolderError, match="belongs to another study"):
        run(cut_off)
    assert before == {path: path.read_bytes() for path in cut_off.out.rglob("*") if path.is_file()}
    record.write_text(text)


@pytest.mark.long
def test_arms_whose_searches_choose_the_same_share_their_cells(tmp_path, ray_started, capsys):
    one = {"parameters": {"optimizer.lr": {"kind": "choice", "values": [0.1]}}}
    design = STUDY["design"] | {"arms": [{"name": "own"}, {"name": "tuned", "space": one}]}
    design["search"] = {"metric": METRIC, "sampler": {"kind": "brute_force"}}
    options = made(tmp_path, design=design)
    code, text = run(options)
    assert code == 0, text
    folder = folder_of(options)
    assert len(lines_of(folder)) == 2
    assert len(folder.read_plan()) == 4
    summary = summarise(folder)
    assert summary.contrasts == ()  # no difference to oneself is tested
    assert [arm.estimates["test/clustering_accuracy"].n for arm in summary.arms] == [2, 2]
    assert verify(folder.root).problems == []
    assert "the baseline's own cells" in html.unescape(folder.report_file.read_text(encoding="utf-8"))
    data = read_study(folder)
    assert {curve.arm for panel in learning_panels(data) for curve in panel.curves} == {"own", "tuned"}
    results = [replace(data.results[cell.cell_id], arm=cell.arm) for cell in data.planned]
    configs = [choose(data.study, results, arm, "").config for arm in ("own", "tuned", "best")]
    assert configs == configs[:1] * 3
    status = read_status(folder.root)
    assert (status.ended, status.planned) == (2, 2)
    assert main(["plan", str(options.study), "--out", str(options.out)]) == 0
    assert "0 of 2 cells to run," in capsys.readouterr().out
