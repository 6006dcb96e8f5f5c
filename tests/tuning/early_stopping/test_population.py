"""Who is replaced, by a copy of whom, with which settings; and that none of it is lost or done twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import searches as toy

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.schema.domains import ChoiceDomain, IntDomain, LogUniformDomain, QuantizedDomain, UniformDomain
from fgtune.config.schema.tuning import PbtConfig
from fgtune.results.records import CellResult, CellState, EpochMetrics
from fgtune.tuning.early_stopping.decisions import EarlyStopping
from fgtune.tuning.early_stopping.population import ForkPool, TruncationSelection, explored, perturbed
from fgtune.tuning.early_stopping.rules import Candidate
from fgtune.tuning.search.history import ledger_trials
from fgtune.tuning.search.objectives import objectives_of
from fgtune.tuning.search.search import Search

METRIC = "val/silhouette"
PBT = PbtConfig(interval_epochs=2, quantile=0.5)


def member(name: str, begins: int = 0, epochs: int = 9) -> Candidate:
    return Candidate(name, 0, name, epochs, begins)


scores = st.one_of(st.integers(-3, 3).map(float), st.floats(-1, 1), st.just(-math.inf))


@given(st.lists(scores, min_size=1, max_size=20), st.integers(1, 10), st.integers(0, 5))
def test_the_worst_share_is_replaced_by_one_of_the_best_share(arriving, twentieths, seed):
    rule = TruncationSelection(2, twentieths / 20, seed)
    for rank, score in enumerate(arriving):
        decision = rule.observe(member(str(rank)), 2, score)
        there = arriving[: rank + 1]
        share = math.floor(Fraction(twentieths, 20) * len(there))
        worst = len([other for other in there if other > score]) + share >= len(there)
        best = sorted(there, reverse=True)[:share]
        expected = share > 0 and worst and max(best) > -math.inf
        assert decision.stop == (decision.fork is not None) == expected
        if expected:
            donor = arriving[int(decision.fork.donor)]
            assert donor >= best[-1]
            assert donor > score
            assert int(decision.fork.donor) <= rank
            assert decision.fork.epoch == 2


def test_every_one_of_the_best_share_is_copied_some_time():
    rule = TruncationSelection(1, 0.5, 0)
    for rank in range(40):
        rule.observe(member(f"good-{rank}"), 1, 1.0 + rank % 4)
    donors = {rule.observe(member(f"bad-{rank}"), 1, -float(rank)).fork.donor for rank in range(10)}
    assert len(donors) > 5
    assert donors <= {f"good-{rank}" for rank in range(40) if rank % 4 >= 1}


def test_a_fork_is_judged_after_its_start_only():
    rule = TruncationSelection(2, 0.5, 0)
    young = member("young", begins=4)
    assert [epoch for epoch in range(1, 10) if rule.decides_at(young, epoch)] == [6, 8]
    for epoch in (2, 4, 5):
        rule.observe(member("old"), epoch, 1.0)
        assert rule.observe(young, epoch, -1.0) is None
    rule.observe(member("old"), 6, 1.0)
    assert rule.observe(young, 6, -1.0).fork == Fork("old", 6)


def test_a_block_is_judged_by_itself():
    rule = TruncationSelection(2, 0.5, 0)
    rule.observe(Candidate("a", 0, "a", 9), 2, 1.0)
    assert not rule.observe(Candidate("b", 1, "b", 9), 2, 0.0).stop


@given(st.floats(0.1, 5), st.floats(0.1, 5), st.floats(0, 1), st.booleans(), st.booleans())
def test_a_nudged_number_is_a_fifth_more_or_less_within_its_bounds(low, width, share, up, log):
    kind = LogUniformDomain if log else UniformDomain
    domain = kind(low=low, high=low + width)
    value = domain.at(share)
    found = perturbed(domain, value, up)
    assert found == pytest.approx(np.clip(value * (1.2 if up else 0.8), low, low + width), rel=1e-11)
    assert domain.canonical(found) == found


@pytest.mark.parametrize(
    "domain",
    [
        ChoiceDomain(values=(True, 1, "x", {"kind": "scip"})),
        IntDomain(low=3, high=6),
        QuantizedDomain(low=0.0, high=0.6, step=0.2),
    ],
)
def test_a_nudged_choice_is_the_next_one_or_the_last(domain):
    listed = list(domain.values_in_order())
    for rank, value in enumerate(listed):
        for up, expected in ((True, listed[min(rank + 1, 3)]), (False, listed[max(rank - 1, 0)])):
            found = perturbed(domain, value, up)
            assert (type(found), found) == (type(expected), expected)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), resample=st.sampled_from([0.0, 0.5, 1.0]))
def test_an_explored_point_lies_in_the_space(tmp_path_factory, seed, resample):
    space = toy.search_plan(tmp_path_factory.getbasetemp(), toy.CONDITIONAL).search.space
    rng = np.random.default_rng(seed)
    point = space.draw(rng)
    found = explored(space, point, resample, rng)
    assert space.walk(lambda path, domain: domain.canonical(found[path])) == found
    steps = "relations.every_steps"
    if resample == 0.0:
        assert abs(found[steps] - point[steps]) == 1 or found[steps] == point[steps] in {1, 50}


@pytest.mark.slow
def test_a_parameter_is_drawn_anew_as_often_as_asked(tmp_path):
    path = "relations.every_steps"
    space = toy.search_plan(tmp_path, {path: {"kind": "int", "low": 1, "high": 100_000}}).search.space
    rng = np.random.default_rng(0)
    found = [explored(space, {path: 50_000}, 0.3, rng)[path] for _ in range(400)]
    anew = sum(abs(each - 50_000) > 1 for each in found)
    assert 80 < anew < 160


def result_of(cell: Cell, state=CellState.COMPLETE, cause=None) -> CellResult:
    metrics = {METRIC: 0.5} if state is CellState.COMPLETE else {}
    return CellResult(
        cell.cell_id, cell.arm, cell.seed, cell.config_hash, state, metrics, 1.0, 9, dict(cell.levels),
        cell.config.to_plain(), cause=cause, fork=cell.fork,
    )  # fmt: skip


class Study:
    """A search with a population as the driver puts it together, without Ray; may be cut off and started again."""

    def __init__(self, folder: Path, finished=(), announced=(), **design) -> None:
        parameters, trials = design.pop("parameters", toy.NUMBERS), design.pop("trials", 4)
        self.plan = toy.search_plan(folder, parameters, trials=trials, scheduler=PBT.to_plain())
        self.folder, self.finished, self.announced = folder, list(finished), list(announced)
        self.cells = {cell.cell_id: cell for cell in self.plan.cells}
        for each in announced:
            self.cells.update({cell.cell_id: cell for cell in each.cells})
        grown = replace(self.plan, cells=tuple(cell for cell in self.cells.values() if cell.arm != "baseline"))
        self.search = Search(grown, finished={each.cell_id: each for each in self.finished}, announce=self.announce)
        proposed = [(each.arm.name, each.arm.levels) for each in announced]
        self.search.restore(ledger_trials(grown, self.finished, proposed))
        self.forks = ForkPool(self.search, self.plan.search, PBT, self.cells)
        objective = objectives_of(self.plan.search.design)[0]
        self.stopping = EarlyStopping(PBT, objective, folder / "stopping.jsonl", self.forks)

    def announce(self, suggestion) -> None:
        if suggestion.arm.name not in {each.arm.name for each in self.announced}:
            self.announced.append(suggestion)
        self.cells.update({cell.cell_id: cell for cell in suggestion.cells})

    def take(self) -> Cell:
        cell = self.search.take()
        self.stopping.register(cell)
        return cell

    def at(self, cell: Cell, epoch: int, score: float) -> bool:
        """Report an epoch to early stopping; a cell that is replaced is in the ledger then."""
        replaced = self.stopping.should_stop(cell.cell_id, [EpochMetrics(epoch, epoch, {METRIC: score}, 0.1)])
        if replaced:
            self.end(cell, CellState.PRUNED)
        return replaced

    def end(self, cell: Cell, state=CellState.COMPLETE) -> None:
        self.finished.append(result_of(cell, state, self.stopping.reason(cell.cell_id)))
        self.search.on_result(self.finished[-1])


def test_a_replaced_trial_is_followed_by_a_copy_of_a_better_one(tmp_path):
    study = Study(tmp_path)
    good, bad = study.take(), study.take()
    assert not study.at(good, 2, 1.0)
    assert study.at(bad, 2, 0.0)
    fork = study.take()
    assert fork.fork == Fork(good.cell_id, 2)
    assert (good.arm, bad.arm, fork.arm) == ("trial-0000", "trial-0001", "trial-0002")
    cause = "replaced after epoch 2 by a copy of trial-0000: trial-0002 (rank 2 of 2 at epoch 2)"
    assert study.stopping.reason(bad.cell_id) == cause
    assert fork.config_hash != good.config_hash
    assert study.stopping.register(fork) == [2 * each for each in range(2, 50)]
    assert [each.arm.name for each in study.announced] == ["trial-0000", "trial-0001", "trial-0002"]


def test_forks_use_up_no_trial_of_the_budget_and_the_search_waits_for_them(tmp_path):
    study = Study(tmp_path, trials=2)
    good, bad = study.take(), study.take()
    study.at(good, 2, 1.0)
    assert study.search.take() is None
    assert not study.search.is_over  # the one under way may yet be replaced
    study.at(bad, 2, 0.0)
    fork = study.take()
    study.end(good)
    assert not study.search.is_over
    study.end(fork)
    assert study.search.is_over
    trials = [(trial.user_attrs["arm"], trial.state.name) for trial in study.search._optuna.trials]
    assert trials == [("trial-0000", "COMPLETE"), ("trial-0001", "PRUNED"), ("trial-0002", "COMPLETE")]


def test_the_baseline_is_no_member(tmp_path):
    study = Study(tmp_path)
    (baseline,) = study.plan.cells
    assert study.stopping.register(baseline) == []
    assert not study.stopping.should_stop(baseline.cell_id, [EpochMetrics(2, 2, {METRIC: 1.0}, 0.1)])
    assert not (tmp_path / "stopping.jsonl").exists()


def test_where_no_other_point_is_allowed_nobody_is_replaced(tmp_path):
    one = {"relations.balance": {"kind": "choice", "values": [0.5, 0.6]}}
    study = Study(tmp_path, parameters=one, trials=2)
    first, second = study.take(), study.take()
    study.at(first, 2, 1.0)
    assert study.at(second, 2, 0.0)  # the other value is free for a copy of the first
    third = study.take()
    late = Candidate("late", 0, "late", 100)
    assert study.forks.make(late, third.fork) is None  # and taken now


def test_a_fork_has_the_terms_of_its_donor(tmp_path):
    steps = {"objective.lambda_reg": {"kind": "quantized", "low": 0.0, "high": 2.0, "step": 1.0}}
    study = Study(tmp_path, parameters=steps | {"relations.balance": {"kind": "uniform", "low": 0.5, "high": 2.0}})
    space = study.plan.search.space
    for rank, weight in enumerate((0.0, 1.0)):
        levels = {"objective.lambda_reg": weight, "relations.balance": 1.0}
        arm, config = f"trial-{rank:04d}", space.resolve(space.config(levels))
        study.cells[f"donor-{rank}"] = Cell(arm, 0, config, levels)
        for loser in range(30):
            fork = study.forks.make(Candidate(f"{arm}-{loser}", 0, "x", 9), Fork(f"donor-{rank}", 2))
            assert (fork.config.objective.lambda_reg > 0) == (weight > 0)


@pytest.mark.parametrize("lost", ["nothing", "plan", "ledger"])
def test_a_driver_killed_at_a_replacement_neither_loses_nor_repeats_it(tmp_path, lost):
    first = Study(tmp_path)
    good, bad = first.take(), first.take()
    first.at(good, 2, 1.0)
    first.at(bad, 2, 0.0)
    announced = first.announced if lost != "plan" else first.announced[:2]
    finished = first.finished if lost == "nothing" else []
    written = (tmp_path / "stopping.jsonl").read_bytes()

    again = Study(tmp_path, finished, announced)
    assert [each.arm.name for each in again.announced] == ["trial-0000", "trial-0001", "trial-0002"]
    assert again.forks.known == first.forks.known
    taken = [again.take() for _ in range(3 if lost != "nothing" else 2)]
    expected = {good.cell_id, first.forks.known[0].cells[0].cell_id}
    if lost != "nothing":
        expected.add(bad.cell_id)
        retaken = next(cell for cell in taken if cell.cell_id == bad.cell_id)
        assert again.at(retaken, 2, 0.0)
        assert again.finished[-1].cause == first.stopping.reason(bad.cell_id)
    assert {cell.cell_id for cell in taken} == expected
    assert (tmp_path / "stopping.jsonl").read_bytes() == written
    assert again.take().arm == "trial-0003"  # two of four trials are left to propose
    assert again.take().arm == "trial-0004"
    assert again.search.take() is None


def test_a_finished_fork_is_not_run_again(tmp_path):
    first = Study(tmp_path, trials=2)
    good, bad = first.take(), first.take()
    first.at(good, 2, 1.0)
    first.at(bad, 2, 0.0)
    first.end(first.take())
    again = Study(tmp_path, first.finished, first.announced, trials=2)
    assert again.take().cell_id == good.cell_id
    assert again.search.take() is None
    states = {trial.user_attrs["arm"]: trial.state.name for trial in again.search._optuna.trials if trial.user_attrs}
    assert states["trial-0001"] == "PRUNED"
    assert states["trial-0002"] == "COMPLETE"


def test_decisions_are_stored_with_the_copy_that_followed(tmp_path):
    study = Study(tmp_path)
    good, bad = study.take(), study.take()
    study.at(good, 2, 1.0)
    study.at(bad, 2, 0.0)
    fork = study.forks.known[0]
    lines = [json.loads(line) for line in (tmp_path / "stopping.jsonl").read_text().splitlines()]
    assert [line["stop"] for line in lines] == [False, True]
    assert "fork" not in lines[0]
    origin = {"number": 2, "donor": good.cell_id, "epoch": 2}
    assert lines[1]["fork"] == origin | {"point": dict(fork.point)}
