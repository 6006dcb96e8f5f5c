"""What the searches inside arms were given: folders that were begun, and searches with made-up numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from scipy import stats

from fgtune.analysis.inputs import read_study
from fgtune.analysis.search.arm_search_summary import summarise_arm_searches
from fgtune.analysis.summary import summarise
from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import Cell, DataShape
from fgtune.config.reading.load import load_study
from fgtune.engine.plan_growth import with_choice
from fgtune.reporting.html import write_up
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState

METRIC, PRIMARY = "val/silhouette", "test/clustering_accuracy"
LR = {"kind": "log_uniform", "low": 0.01, "high": 1.0}
ARMS = [{"name": "falcon", "space": {"parameters": {"optimizer.lr": LR}}}, {"name": "own"}]
DATASETS = {"easy": {"kind": "hierarchy", "separation": 8.0}, "hard": {"kind": "hierarchy", "separation": 2.0}}


@pytest.fixture
def begun(tmp_path):
    """A comparison whose folder is there and whose searches have not begun: its plan and its folder."""

    def make(**design):
        study = {
            "study": "s", "question": "q", "seeds": 2,
            "design": {"kind": "comparison", "arms": ARMS, "search": {"metric": METRIC, "trials": 3}, **design},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 12}},
        }  # fmt: skip
        path = tmp_path / "s.yaml"
        path.write_text(json.dumps(study))
        loaded = load_study(path)
        plan = expand(loaded, lambda data: DataShape((2,), 12, str(data)))
        folder = StudyFolder(tmp_path / "s")
        folder.create_or_check(plan, loaded, {"study_hash": plan.study_hash, "command": ["fgtune", "run"]})
        return plan, folder

    return make


def write_search(folder, each, points, states):
    """A search whose trials have these learning rates, the arm's own settings first; returns its grown plan."""
    search, own = each.plan.search, StudyFolder(folder.tuning_dir / each.search.folder_name)
    arms = list(each.plan.arms)
    for number, lr in enumerate(points):
        point = {"optimizer.lr": lr}
        arms.append(search.arm(number, point, search.space.config(point)))
    ranks = {arm.name: rank for rank, arm in enumerate(arms)}
    seeds = each.plan.study.seed_list
    cells = [Cell(arm.name, seed, search.space.resolve(arm.config), arm.levels) for arm in arms for seed in seeds]
    plan = replace(each.plan, arms=tuple(arms), cells=tuple(cells))
    own.create_or_check(plan, each.search.loaded, {"study_hash": plan.study_hash, "command": []})
    for cell in cells:
        rank = ranks[cell.arm]
        state = states[rank] if states else CellState.COMPLETE
        result = CellResult(
            cell_id=cell.cell_id,
            arm=cell.arm,
            seed=cell.seed,
            config_hash=cell.config_hash,
            state=state,
            metrics={}
            if state is CellState.FAIL
            else {METRIC: 0.1 * rank, PRIMARY: 0.9 - 0.1 * rank - 0.01 * rank * (cell.seed % 5)},
            seconds=2.0,
            epochs=5,
            levels=dict(cell.levels),
            config=cell.config.to_plain(),
            finished_at=f"2026-01-01T00:00:0{rank}+00:00",
        )
        own.ledger.append(result)
    return plan


def settled(plan, folder, points, states=(), choose="trial-0001"):
    """The summary once the search inside the only searched arm has chosen a trial."""
    (each,) = plan.arm_searches
    searched = write_search(folder, each, points, states)
    folder.write_plan(with_choice(plan, each, searched, choose))
    return summarise_arm_searches(read_study(folder))


@pytest.mark.slow_except("design0")
@pytest.mark.parametrize("design", [{}, {"datasets": DATASETS}])
def test_a_comparison_whose_arms_have_no_settings_yet_has_a_report(begun, design):
    _, folder = begun(**design)
    path, summary = write_up(folder)
    assert path.is_file()
    assert summary.arm_searches.arms == ()
    assert len(summary.arm_searches.waiting) == (2 if design else 1)
    assert any("Not over, so without settings" in told for told in summary.warnings)


def test_what_an_arm_was_given_and_what_it_chose(begun):
    plan, folder = begun()
    given = settled(plan, folder, [0.2, 0.99])
    (arm,) = given.arms
    assert (arm.cells, arm.epochs, arm.seconds, arm.chosen) == (3, 15, 6.0, "trial-0001")
    assert arm.values[METRIC] == pytest.approx((0.0, 0.2))
    assert arm.values[PRIMARY] == pytest.approx((0.9, 0.7))
    (setting,) = arm.settings
    assert (setting.path, setting.own, setting.chosen, setting.at_end) == ("optimizer.lr", 0.1, 0.99, "upper")
    (edge,) = (check for check in summarise(folder).checks if check.name == "Edges of the space")
    assert "lr of falcon at the upper end of its range (0.990)" in edge.sentence
    told = " ".join(given.warnings)
    assert "took falcon from 0.900 to 0.700 in clustering accuracy (test), on the seeds of the search, which" in told
    assert "too few to say whether that is chance: 3 or more would" in told
    assert "no guide" not in told
    assert given.seconds == 6.0


def test_a_metric_is_called_no_guide_where_seeds_that_did_not_choose_say_so(begun):
    plan, folder = begun(search={"metric": METRIC, "trials": 3, "seeds": 4})
    given = settled(plan, folder, [0.2, 0.99])
    (arm,) = given.arms
    # trial-0001 is chosen on every fold; its primary metric is 0.2 + 0.02 * (seed % 5) below the arm's own settings
    losses = [0.2 + 0.02 * (seed % 5) for seed in given.seeds]
    gain = arm.gains[PRIMARY]
    assert gain.mean == pytest.approx(-sum(losses) / 4)
    assert gain.se == pytest.approx(stats.tstd(losses) * math.sqrt(1 / 4 + 1 / 3))
    assert not arm.gains[METRIC].has_interval  # the same on every seed
    told = " ".join(given.warnings)
    assert "on seeds that did not choose, −0.230 (95 % interval −0.293 to −0.167, n = 4 seeds)" in told
    assert "the metric that chooses is no guide here" in told


def test_an_arm_whose_trials_all_failed_was_not_tuned(begun):
    plan, folder = begun()
    states = [CellState.COMPLETE, CellState.FAIL, CellState.FAIL]
    given = settled(plan, folder, [0.2, 0.5], states, choose="baseline")
    assert any(
        "falcon was not tuned: none of its 2 trials could be chosen, 2 failed" in told for told in given.warnings
    )
    assert not given.arms[0].settings[0].at_end


def test_trials_that_were_stopped_could_not_be_chosen(begun):
    plan, folder = begun()
    states = [CellState.COMPLETE, CellState.PRUNED, CellState.COMPLETE]
    given = settled(plan, folder, [0.2, 0.5], states)
    told = "falcon could choose among 1 of its 2 trials: 1 stopped early on some seed."
    assert told in given.warnings


def test_a_folder_without_its_searches_says_so(begun):
    plan, folder = begun()
    settled(plan, folder, [0.2, 0.5])
    folder.tuning_dir.rename(folder.root.parent / "elsewhere")
    summary = summarise(folder)
    assert summary.arm_searches.waiting == ()
    assert any("lacks the searches inside falcon" in told for told in summary.warnings)
