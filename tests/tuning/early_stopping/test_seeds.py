"""Trials of several seeds are stopped as a whole, whatever ran when: simulated runs against a rule written out anew."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.searches import result_of

from fgtune.config.arms.records import Cell
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.schema.tuning import AshaConfig, MedianConfig, PlateauConfig
from fgtune.results.records import CellState, EpochMetrics
from fgtune.tuning.cell_queue import CellQueue
from fgtune.tuning.early_stopping.decisions import EarlyStopping
from fgtune.tuning.early_stopping.replay import replayed
from fgtune.tuning.early_stopping.rules import Candidate, stopping_rule
from fgtune.tuning.early_stopping.seeds import Standing, WholeTrials, mean_score
from fgtune.tuning.search.objectives import Objective

METRIC, EPOCHS = "val/silhouette", 9
ASHA = AshaConfig(grace_epochs=2, reduction=2.0)
RULES = [
    ASHA,
    AshaConfig(grace_epochs=1, reduction=3.0, brackets=2),
    MedianConfig(grace_epochs=2, min_trials=1),
    PlateauConfig(grace_epochs=2, patience_epochs=2, tolerance=0.15),
]
FAILS = 5
"""The epoch at which a cell fails that does."""


def config_of(rank: int) -> TrialConfig:
    return TrialConfig.from_plain({"data": {"kind": "digits"}, "classes": {"num_fine": 10 + rank}, "epochs": EPOCHS})


def cells_of(trials: int, seeds: int) -> list[Cell]:
    """A baseline and trials, seed after seed."""
    arms = ["baseline", *(f"trial-{rank:04d}" for rank in range(trials))]
    return [Cell(arm, seed, config_of(rank), {}) for rank, arm in enumerate(arms) for seed in range(seeds)]


def value(cell: Cell, epoch: int) -> float:
    return round(random.Random(f"{cell.arm} {cell.seed} {epoch}").gauss(epoch / 10, 0.5), 6)


class Run:
    """A study as a driver would run it, with workers of any pace, and calls that are cut off at any moment."""

    def __init__(self, path, config, cells, *, workers=2, rng=None, failing=()):
        self.path, self.config, self.cells, self.workers = path, config, cells, workers
        self.rng, self.failing = rng or random.Random(0), set(failing)
        self.ledger, self.checkpoints = {}, defaultdict(int)

    def call(self, steps=100_000, retry=False):
        """One call; it is cut off after so many reports of cells."""
        if retry:
            self.ledger = {key: result for key, result in self.ledger.items() if result.state is not CellState.FAIL}
            self.failing = set()
        queue = CellQueue([cell for cell in self.cells if cell.cell_id not in self.ledger], self.workers)
        seeds = sorted({cell.seed for cell in self.cells})
        self.stopping = stopping = EarlyStopping(
            self.config,
            Objective(METRIC, "maximize"),
            self.path,
            exempt=["baseline"],
            seeds=seeds,
            ended=self.ledger.values(),
            queue=queue,
        )
        running = {}
        for _ in range(steps):
            while (cell := queue.take()) is not None:
                running[cell.cell_id] = [cell, stopping.register(cell), self.checkpoints[cell.cell_id], True]
            if not running:
                assert queue.is_over, "cells wait for each other for ever"
                return self
            self.report(queue, running, self.rng.choice(list(running)))
        return self

    def report(self, queue, running, cell_id):
        """A cell trains up to where it has to wait, at most a few epochs, and the driver hears of it."""
        cell, waits, epoch, is_new = running[cell_id]
        seen = range(1, epoch + 1) if is_new else []
        last = epoch
        if not (is_new and epoch in waits):
            last = min(epoch + self.rng.randint(1, 3), EPOCHS, *(wait for wait in waits if wait > epoch))
        running[cell_id][2:] = last, False
        entries = [EpochMetrics(n, n, {METRIC: value(cell, n)}, 0.1) for n in [*seen, *range(epoch + 1, last + 1)]]
        if cell.cell_id in self.failing and last >= FAILS:
            self.end(queue, running, cell, CellState.FAIL, 0)
            self.stopping.observe_failure(cell_id)
        elif last == EPOCHS:
            self.stopping.observe_end(cell_id, entries)
            self.end(queue, running, cell, CellState.COMPLETE, EPOCHS)
        else:
            standing = self.stopping.judge(cell_id, entries)
            if last in waits or self.rng.random() < 0.3:
                self.checkpoints[cell_id] = last
            if standing is Standing.STOP:
                self.end(queue, running, cell, CellState.PRUNED, last)
            elif standing is Standing.WAIT:
                del running[cell_id]
        known = {each.cell_id: each for each in self.cells}
        for other in self.stopping.take_stopped():
            assert other not in running
            self.end(queue, running, known[other], CellState.PRUNED, self.checkpoints[other])

    def end(self, queue, running, cell, state, epochs):
        running.pop(cell.cell_id, None)
        assert cell.cell_id not in self.ledger
        self.ledger[cell.cell_id] = result_of(cell, state=state, epochs=epochs)
        queue.on_result(self.ledger[cell.cell_id])

    def ends(self) -> dict[str, list[tuple[str, int]]]:
        """State and last epoch of every cell, by arm."""
        found = defaultdict(list)
        for cell in self.cells:
            found[cell.arm].append((self.ledger[cell.cell_id].state.value, self.ledger[cell.cell_id].epochs))
        return dict(found)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


def stops_of(config, cells, lines) -> dict[str, int]:
    """When each arm is stopped, by the order in which the file says that arms were complete at an epoch.

    The rule itself sees one cell an arm, whose score is the mean of all seeds at that epoch.
    """
    rule, arms = stopping_rule(config), {cell.cell_id: cell for cell in cells}
    seeds, came, stops = len({cell.seed for cell in cells}), defaultdict(set), {}
    for line in lines:
        cell = arms[line["cell_id"]]
        came[cell.arm, line["epoch"]].add(cell.seed)
        if len(came[cell.arm, line["epoch"]]) == seeds:
            mean = statistics.fmean(value(each, line["epoch"]) for each in cells if each.arm == cell.arm)
            decision = rule.observe(Candidate(cell.arm, 0, cell.config_hash, EPOCHS), line["epoch"], mean)
            if decision is not None and decision.stop and cell.arm != "baseline":
                stops.setdefault(cell.arm, line["epoch"])
    return stops


@pytest.mark.slow_except("2-asha-1")
@pytest.mark.parametrize("config", RULES, ids=lambda config: f"{config.kind}-{getattr(config, 'brackets', 1)}")
@pytest.mark.parametrize("seeds", [2, 3])
@given(number=st.integers(0, 10_000), workers=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_all_seeds_of_a_trial_end_alike_and_as_their_means_say_whatever_the_pace(
    tmp_path_factory, config, seeds, number, workers
):
    path = tmp_path_factory.mktemp("run") / "stopping.jsonl"
    rng = random.Random(number)
    run = Run(path, config, cells_of(6, seeds), workers=workers, rng=rng)
    for _ in range(rng.randint(0, 4)):
        run.call(steps=rng.randint(1, 30))
    ends = run.call().ends()
    stops = stops_of(config, run.cells, run.lines())
    for arm, cells in ends.items():
        assert set(cells) == {("PRUNED", stops[arm]) if arm in stops else ("COMPLETE", EPOCHS)}, arm
    for stored in replayed(config, path, 0):
        assert stored.rule is not None
        assert stored.rule.stop or not stored.stop


@given(number=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_with_one_worker_cuts_change_no_decision(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("run")
    config, rng = RULES[number % len(RULES)], random.Random(number)
    uncut = Run(folder / "uncut.jsonl", config, cells_of(5, 2), workers=1).call()
    cut = Run(folder / "cut.jsonl", config, cells_of(5, 2), workers=1, rng=rng)
    for _ in range(5):
        cut.call(steps=rng.randint(1, 20))
    assert cut.call().ends() == uncut.ends()
    scores, stops = (  # which seed of a trial comes last, and so carries its decision, may change
        [{(line["cell_id"], line["epoch"]): line["score"] for line in run.lines()} for run in (cut, uncut)],
        [{(line["config_hash"], line["epoch"]) for line in run.lines() if line["stop"]} for run in (cut, uncut)],
    )
    assert scores[0] == scores[1]
    assert stops[0] == stops[1]


@settings(deadline=None)
@given(order=st.permutations(range(4)), trials=st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), max_size=8))
def test_the_order_of_a_trials_seeds_changes_nothing(order, trials):
    def decisions(seeds):
        rule = WholeTrials(stopping_rule(ASHA))
        return [
            [
                rule.observe(Candidate(f"{rank}-{seed}", seed, str(rank), EPOCHS, seeds=4), 2, scores[seed])
                for seed in seeds
            ][-1]
            for rank, scores in enumerate(trials)
        ]

    assert decisions(order) == decisions(range(4))
    assert all(mean_score(dict(enumerate(s))) == mean_score({seed: s[seed] for seed in order}) for s in trials)


@pytest.mark.parametrize("retry", [False, True])
@given(number=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_nobody_waits_for_a_failed_seed_and_a_retry_is_judged_with_the_others(tmp_path_factory, retry, number):
    rng = random.Random(number)
    cells = cells_of(5, 3)
    failing = [cell.cell_id for cell in cells if cell.arm in {"trial-0001", "trial-0003"} and cell.seed == number % 3]
    path = tmp_path_factory.mktemp("run") / "stopping.jsonl"
    run = Run(path, ASHA, cells, workers=rng.randint(1, 4), rng=rng, failing=failing)
    run.call(steps=rng.randint(1, 40))
    before = run.call().ends()
    for cells_ended in before.values():
        states = {state for state, _ in cells_ended}
        assert states in ({"COMPLETE"}, {"PRUNED"}, {"FAIL", "COMPLETE"})
    if retry:
        after = run.call(retry=True).ends()
        stops = stops_of(ASHA, cells, run.lines())
        for arm, ended in after.items():
            assert {epoch for state, epoch in ended if state == "PRUNED"} <= {stops.get(arm)}
            assert any(state == "PRUNED" for state, _ in ended) == (arm in stops)


def test_one_worker_trains_no_seed_beyond_where_its_trial_is_stopped(tmp_path):
    run = Run(tmp_path / "stopping.jsonl", ASHA, cells_of(8, 3), workers=1).call()
    stopped = [cells for arm, cells in run.ends().items() if cells[0][0] == "PRUNED"]
    assert stopped
    assert all(cells == [("PRUNED", cells[0][1])] * 3 for cells in stopped)
    assert max(run.checkpoints[cell.cell_id] for cell in run.cells if cell.arm == "baseline") <= EPOCHS


def test_the_worst_seed_makes_an_undefined_trial_the_worst():
    assert mean_score({0: 1.0, 1: -math.inf}) == -math.inf
    assert mean_score({0: 1.0, 1: 2.0}) == 1.5


def test_the_reason_says_that_it_is_the_mean_of_seeds(tmp_path):
    run = Run(tmp_path / "stopping.jsonl", ASHA, cells_of(6, 2), workers=1).call()
    cell = next(cell for cell in run.cells if run.ledger[cell.cell_id].state is CellState.PRUNED)
    reason = run.stopping.reason(cell.cell_id)
    assert reason.startswith(f"stopped after epoch {run.ledger[cell.cell_id].epochs} by asha: rank ")
    assert reason.endswith(" (mean of 2 seeds)")


def test_a_file_of_an_earlier_version_is_continued_cell_by_cell(tmp_path):
    path, (zero, one, two) = (
        tmp_path / "stopping.jsonl",
        [Cell(f"trial-{n:04d}", 0, config_of(n), {}) for n in range(3)],
    )
    alone = EarlyStopping(ASHA, Objective(METRIC, "maximize"), path)
    alone.register(zero)
    alone.judge(zero.cell_id, [EpochMetrics(2, 2, {METRIC: 0.5}, 0.1)])
    assert "seeds" not in json.loads(path.read_text())
    again = EarlyStopping(ASHA, Objective(METRIC, "maximize"), path, seeds=[0, 1])
    assert not again.judges_whole_trials
    again.register(one)
    assert again.judge(one.cell_id, [EpochMetrics(2, 2, {METRIC: 0.4}, 0.1)]) is Standing.STOP
    fresh = EarlyStopping(ASHA, Objective(METRIC, "maximize"), tmp_path / "fresh.jsonl", seeds=[0, 1])
    fresh.register(two)
    assert fresh.judge(two.cell_id, [EpochMetrics(2, 2, {METRIC: 0.4}, 0.1)]) is Standing.WAIT


def test_studies_of_one_seed_write_the_lines_and_make_the_decisions_that_they_always_did(tmp_path):
    for config in RULES:
        path = tmp_path / f"{config.kind}-{config.grace_epochs}.jsonl"
        run = Run(path, config, cells_of(7, 1), workers=1).call()
        rule = stopping_rule(config)
        for line in run.lines():
            assert "seeds" not in line
            candidate = Candidate(line["cell_id"], 0, line["config_hash"], EPOCHS)
            decision = rule.observe(candidate, line["epoch"], line["score"])
            exempt = line["cell_id"] in {cell.cell_id for cell in run.cells if cell.arm == "baseline"}
            assert line["stop"] == (decision.stop and not exempt)
