"""Population based training from the study file to the ledger: real Ray, real files, a driver that is killed."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from support import search_runs as search

from fgtune.analysis.summary import summarise
from fgtune.app.verify import verify
from fgtune.results.records import CellState

SPACE = {
    "parameters": {
        "objective.lambda_nn": {"kind": "log_uniform", "low": 0.1, "high": 2.0},
        "optimizer.lr": {"kind": "log_uniform", "low": 0.001, "high": 1.0},
    }
}
CAUSE = re.compile(r"replaced after epoch (\d+) by a copy of (trial-\d+): (trial-\d+) \(rank \d+ of \d+ at epoch \d+\)")


def made(folder, tracking="none", trials=6, epochs=8, interval=2, **changes):
    design = {"trials": trials, "sampler": {"kind": "random"}, "space": SPACE}
    scheduler = {"kind": "pbt", "interval_epochs": interval, "quantile": 0.5}
    trial = search.STUDY["trial"] | {"epochs": epochs}
    return search.made(folder, tracking, design=design, scheduler=scheduler, trial=trial, **changes)


def check(options, trials: int, epochs: int) -> Counter:
    """Ledger, plan, mirror and curves tell the same story; returns how many cells ended in which state."""
    folder = search.folder_of(options)
    results = {result.arm: result for result in folder.ledger.read()}
    lines = folder.ledger_file.read_text().splitlines()
    rows = {row["arm"]: row for row in folder.read_plan()}
    assert len(results) == len(lines) == len(rows)
    assert {arm: row["cell_id"] for arm, row in rows.items()} == {arm: r.cell_id for arm, r in results.items()}
    forks = {arm: result for arm, result in results.items() if result.fork is not None}
    assert len(results) == 1 + trials + len(forks)
    assert sorted(results) == ["baseline", *(f"trial-{n:04d}" for n in range(trials + len(forks)))]
    assert {arm: row["fork"] or None for arm, row in rows.items()} == {
        arm: None if result.fork is None else f"{result.fork.donor}@{result.fork.epoch}"
        for arm, result in results.items()
    }
    replaced = {}
    for arm, result in results.items():
        if result.state is CellState.PRUNED:
            epoch, donor, successor = CAUSE.fullmatch(result.cause).groups()
            assert result.epochs == int(epoch)
            assert forks[successor].fork.donor == results[donor].cell_id
            assert forks[successor].fork.epoch == int(epoch)
            replaced[successor] = arm
        else:
            assert result.epochs == epochs
    assert replaced.keys() == forks.keys()
    curves = folder.read_curves()
    for result in results.values():
        begins = 0 if result.fork is None else result.fork.epoch
        own = curves[curves["cell_id"] == result.cell_id]
        assert list(own["epoch"]) == list(range(begins + 1, result.epochs + 1))
        assert result.seconds == pytest.approx(own["seconds"].sum())
    mirrored = sorted(search.mirrored(folder))
    assert mirrored == sorted((arm, result.state.value) for arm, result in results.items())
    assert results["baseline"].state is CellState.COMPLETE
    assert not list(folder.checkpoints_dir.glob("*"))
    assert verify(folder.root).problems == []
    summary = summarise(folder)
    copies = sum(result.state is CellState.COMPLETE for result in forks.values())
    assert any(
        f"{copies} finished trial" in told and "from another one's training" in told for told in summary.warnings
    )
    savings = summary.search.savings
    assert savings.trained == (curves["cell_id"] != results["baseline"].cell_id).sum()
    assert savings.share == 0  # a copy trains what is left of the trial whose place it takes
    return Counter(result.state for result in results.values())


@pytest.mark.long
def test_bad_trials_are_replaced_by_copies_of_good_ones(tmp_path, ray_started):
    options = made(tmp_path)
    code, printed = search.run(options)
    assert code == 0, printed
    assert check(options, 6, 8)[CellState.PRUNED] > 0
    assert "the baseline and up to 6 trials x 1 seed, and a cell for each replacement (0 so far)" in printed
    folder = search.folder_of(options)
    results = {result.cell_id: result for result in folder.ledger.read()}
    curves = folder.read_curves().set_index(["cell_id", "epoch"])["step"]
    for result in results.values():
        if result.fork is not None:  # its steps go on from its donor's
            epoch = result.fork.epoch
            each = int(curves[results[result.fork.donor].cell_id, epoch]) // epoch
            assert curves[result.cell_id, epoch + 1] == each * (epoch + 1)
    before = folder.ledger_file.read_bytes()
    code, printed = search.run(options)
    assert code == 0
    assert "nothing is run" in printed
    assert folder.ledger_file.read_bytes() == before


@pytest.mark.long
def test_a_population_goes_on_after_a_budget(tmp_path, ray_started):
    options = made(tmp_path, execution={"checkpoint_every_epochs": 1, "budget": {"cells": 3}})
    codes = [search.run(options)[0]]
    while codes[-1] == 4 and len(codes) < 20:
        codes.append(search.run(options)[0])
    assert codes[-1] == 0
    assert len(codes) > 2
    assert check(options, 6, 8)[CellState.PRUNED] > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_population_killed_twenty_times_loses_and_repeats_nothing(tmp_path, start_driver, kill_driver):
    options = made(tmp_path, trials=12, epochs=120, interval=30, execution={"checkpoint_every_epochs": 1})
    rng = random.Random(0)
    for seconds, file in search.moments(20, rng):
        kill_driver(options, seconds, file=file)
    process = start_driver(options)
    assert process.wait(timeout=900) == 0
    assert check(options, 12, 120)[CellState.PRUNED] > 0
