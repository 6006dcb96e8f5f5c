"""What the report's template reads: plain texts and numbers, the same as in the study folder."""

from __future__ import annotations

import math

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.reporting.page import flatten, page_context


@pytest.fixture(scope="module")
def context_of(tmp_path_factory):
    def build(study):
        folder = study.write(tmp_path_factory.mktemp("page"))
        data = read_study(folder)
        return folder, page_context(data, summarise(data))

    return build


def test_provenance_becomes_rows_of_dotted_paths_and_short_texts():
    record = {
        "git": {"commit": None, "dirty": False},
        "command": ["fgtune", "run"],
        "seconds": 1234.56789,
        "hosts": [{"name": "a"}, {"name": "b"}],
        "none": [],
    }
    assert flatten(record) == [
        ("git.commit", "none"),
        ("git.dirty", "false"),
        ("command", "fgtune run"),
        ("seconds", "1234.57"),
        ("hosts.0.name", "a"),
        ("hosts.1.name", "b"),
        ("none", "none"),
    ]


def test_the_page_shows_the_config_and_the_cost_that_the_ledger_has(synthetic, context_of):
    folder, context = context_of(synthetic.SyntheticStudy())
    results = folder.ledger.read()
    baseline = next(result for result in results if result.arm == "baseline")
    assert context["config"] == dict(baseline.config)
    assert context["trainer_seconds"] == pytest.approx(math.fsum(result.seconds for result in results))
    assert max(result.finished_at for result in results) == "2026-01-02T03:14:00+00:00"
    assert context["last_finished"] == "2026-01-02 at 03:14 UTC"
    assert context["study_settings"]["seeds"] == [0, 1, 2, 3, 4]
    assert context["points"] is None
    assert not context["by_arm"]  # a factor with levels is an axis


def test_a_study_without_results_shows_what_is_planned(synthetic, context_of):
    places = {
        (arm, seed) for arm in ("baseline", *(f"num_fine_ratio={r}" for r in (0.8, 1.2, 1.5))) for seed in range(5)
    }
    folder, context = context_of(synthetic.SyntheticStudy(faults=synthetic.Faults(missing=places)))
    assert folder.ledger.read() == []
    assert context["config"] == folder.read_study().trial.to_plain()
    assert (context["last_finished"], context["trainer_seconds"]) == ("", 0.0)


@pytest.mark.slow
def test_arms_that_share_no_factor_are_shown_by_name(synthetic, context_of):
    _, context = context_of(synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY))
    assert context["by_arm"]
    assert set(context["styles"]) == {"flow", "scip", "cvxpy"}


@pytest.mark.slow
def test_the_points_of_a_search_stand_from_the_best_to_the_worst_after_the_baseline(synthetic_search, context_of):
    folder, context = context_of(synthetic_search.SyntheticSearch())
    table = context["points"]
    assert table.rows[0].arm == "baseline"
    ended = [row.values[0] for row in table.rows[1:] if not math.isnan(row.values[0])]
    direction = 1 if table.metrics[0].direction == "maximize" else -1
    assert ended == sorted(ended, key=lambda value: -direction * value)
    assert {row.arm for row in table.rows} == {row["arm"] for row in folder.read_plan()}
