"""Random small studies of every design, their driver killed again and again: nothing is lost, repeated or changed."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from support import search_runs
from support.lazy import LazyModule

from fgtune.app.verify import verify
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.training.checkpoint import load_checkpoint

mlflow = LazyModule("mlflow")

KINDS = ["sensitivity", "ablation", "comparison", "tuned comparison", "search"]
"""Killed twenty times on demand. Most are killed once in every run of CI, sensitivity in ``engine/test_run``."""
ONE_WORKER = ("execution.max_concurrent=1",)
LR = {"kind": "log_uniform", "low": 0.01, "high": 0.3}
REG = {"kind": "uniform", "low": 0.5, "high": 4.0}


def design_of(kind: str, rng: random.Random) -> dict:
    """A small design of a kind, some of it drawn."""
    weights = rng.sample([0.1, 0.2, 0.5, 1.0, 2.0], 3)
    if kind == "sensitivity":
        grid = rng.choice(["one_at_a_time", "full"])
        return {
            "kind": kind,
            "grid": grid,
            "factors": {"objective.lambda_nn": weights, "relations.every_steps": [2, 9]},
        }
    if kind == "ablation":
        off = {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("nn", "conf", "reg")}
        return {"kind": kind, "components": off, "schemes": [rng.choice(["leave_one_out", "add_one_in", "ladder"])]}
    if kind == "comparison":
        arms = [{"name": f"w{n}", "set": {"objective.lambda_nn": each}} for n, each in enumerate(weights)]
        return {"kind": kind, "arms": [*arms, {"name": "base", "set": {"objective.preset": "base"}}]}
    if kind == "tuned comparison":
        arms = [{"name": "falcon", "space": {"parameters": {"optimizer.lr": LR, "objective.lambda_reg": REG}}}]
        arms += [{"name": "base", "set": {"objective.preset": "base"}, "space": {"parameters": {"optimizer.lr": LR}}}]
        search = {"metric": "val/silhouette", "trials": 4, "sampler": {"kind": "tpe", "startup_trials": 2}}
        return {"kind": "comparison", "arms": [*arms, {"name": "own"}], "search": search}
    space = {"parameters": {"optimizer.lr": LR, "objective.lambda_reg": REG}}
    sampler = rng.choice([{"kind": "random"}, {"kind": "tpe", "startup_trials": 4}, {"kind": "qmc"}])
    return {"kind": "search", "metric": "val/silhouette", "trials": 8, "sampler": sampler, "space": space}


def study_of(kind: str, seed: int, epochs: int) -> dict:
    rng = random.Random(f"{kind} {seed}")
    study = {
        "study": "killed",
        "question": "Does anything change when the driver is killed?",
        "design": design_of(kind, rng),
        "seeds": rng.choice([1, 2]),
        "metrics": {"primary": "test/clustering_accuracy", "also": []},
        "trial": {
            "data": {"kind": "hierarchy", "num_samples": 300, "num_coarse": 2, "fine_per_coarse": 3, "dim": 6},
            "model": {"backbone": {"kind": "mlp", "hidden": [16]}},
            "classes": {"num_fine": 6},
            "relations": {"every_steps": 3},
            "epochs": epochs,
            "batch_size": 64,
        },
        "execution": {"checkpoint_every_epochs": 5},
    }
    if "search" in study["design"] or kind == "search":  # one cell after the other, so that both runs ask the same
        study["execution"]["max_concurrent"] = 1
        study["scheduler"] = {"kind": "asha", "grace_epochs": epochs // 4, "reduction": 2}
    return study


def ended(options) -> dict[str, dict]:
    """Metrics and state by folder and cell, once it is clear that each cell stands in its ledger exactly once."""
    root = options.out / "killed"
    found = {}
    for ledger in sorted(root.rglob("results.jsonl")):
        folder = StudyFolder(ledger.parent)
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        assert set(Counter(line["cell_id"] for line in lines).values()) == {1}
        assert {line["cell_id"] for line in lines} == {row["cell_id"] for row in folder.read_plan()}
        curves = folder.read_curves()
        for line in lines:  # what a cell had reported before a cut is reported again after it
            assert list(curves[curves["cell_id"] == line["cell_id"]]["epoch"]) == list(range(1, line["epochs"] + 1))
        part = str(ledger.parent.relative_to(root))
        found |= {f"{part} {line['cell_id']}": [line["state"], line["epochs"], line["metrics"]] for line in lines}
    return found


def check_trackers(options, cells: int) -> None:
    """One MLflow run a cell, and no Optuna trial left running."""
    client = mlflow.MlflowClient(options.tracking_uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.`fgtune.role` = 'cell'", max_results=1000)
    assert len(runs) == len({(r.info.experiment_id, r.data.tags["fgtune.cell_id"]) for r in runs}) == cells
    for path in options.out.rglob("optuna.db"):
        for each in optuna.get_all_study_summaries(f"sqlite:///{path}"):
            trials = optuna.load_study(study_name=each.study_name, storage=f"sqlite:///{path}").trials
            assert all(trial.state.is_finished() for trial in trials)


@pytest.fixture
def made(tmp_path, new_store):
    """Write a study into a folder of its own, beside a store of its own; returns its options."""

    def write(name: str, study: dict) -> RunOptions:
        (tmp_path / name).mkdir()
        return search_runs.made(tmp_path / name, new_store(tmp_path / name), study)

    return write


def run_to_its_end(options: RunOptions) -> dict[str, dict]:
    code, printed = search_runs.run(options)
    assert code == 0, printed
    return ended(options)


def check_that_nothing_changed(cut: RunOptions, whole: RunOptions) -> None:
    """Run both to their end, and compare what stands in their folders and in the trackers."""
    cells = run_to_its_end(cut)
    assert cells == run_to_its_end(whole)
    check_trackers(cut, len(cells))


@pytest.mark.kill
def test_an_ablation_killed_after_its_first_cell_ends_as_its_trainers_do(
    tmp_path, made, workers_kept, kill_driver, train_study
):
    study = study_of("ablation", seed=0, epochs=16)
    cut = made("cut", study)
    kill_driver(cut, 0.5, file="**/results.jsonl")
    cells = run_to_its_end(replace(cut, overrides=ONE_WORKER))
    whole = StudyFolder(train_study(cut.study, tmp_path / "whole")).ledger.read()
    assert cells == {f". {one.cell_id}": ["COMPLETE", one.epochs, dict(one.metrics)] for one in whole}
    check_trackers(cut, len(cells))


@pytest.mark.kill
@pytest.mark.parametrize("kind", ["tuned comparison", "search"])
def test_a_study_killed_after_its_first_cell_ends_like_an_uncut_one(made, workers_kept, kill_driver, kind):
    study = study_of(kind, seed=0, epochs=40)
    if kind == "search":
        study["design"]["trials"], study["seeds"] = 3, 2  # seeds that wait for each other
    else:  # one search and the comparison after it: each starts a worker of its own
        del study["design"]["arms"][1]
    whole, cut = made("whole", study), made("cut", study)
    kill_driver(cut, 0.5, file="**/results.jsonl")
    check_that_nothing_changed(cut, whole)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["tuned comparison", "search"])
def test_a_sampler_that_learns_proposes_what_it_does_in_an_uncut_search_wherever_it_is_killed(
    made, workers_kept, kill_driver, kind
):
    study = study_of(kind, seed=0, epochs=16)
    if kind == "search":
        study["design"]["sampler"] = {"kind": "tpe", "startup_trials": 2}
    else:
        del study["design"]["arms"][1]
        study["design"]["search"]["trials"] = 5
    study["seeds"] = 1
    whole, cut = made("whole", study), made("cut", study)

    def ended_cells(out: Path) -> int:
        return sum(ledger.read_bytes().count(b"\n") for ledger in out.rglob("results.jsonl"))

    for least in (3, 4, 6):  # the baseline and two, three and five trials
        while ended_cells(cut.out) < least:  # a machine that is busy may not come so far in one call
            kill_driver(cut, 0.0, file=lambda out, least=least: ended_cells(out) >= least)
    check_that_nothing_changed(cut, whole)


def seeds_run(out: Path) -> set[int]:
    """Seeds that the comparison's own ledger has a line of."""
    ledger = out / "killed" / "results.jsonl"
    lines = ledger.read_text().splitlines() if ledger.is_file() else []
    return {json.loads(line)["seed"] for line in lines if line.endswith("}")}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_adaptive_seeds_of_searched_arms_killed_in_the_middle_of_a_block_end_like_an_uncut_study(
    made, workers_kept, kill_driver
):
    study = study_of("tuned comparison", seed=0, epochs=20)
    study["seeds"] = {"min": 3, "max": 6, "step": 3}
    study["design"]["arms"] = [study["design"]["arms"][0], {"name": "own", "set": {"objective.lambda_nn": 0.4}}]
    study["design"]["search"]["trials"] = 2
    whole, cut = made("whole", study), made("cut", study)
    kill_driver(cut, 0.3, file=lambda out: 3 in seeds_run(out))
    folder = StudyFolder(cut.out / "killed")
    planned, ended_before = {row["cell_id"] for row in folder.read_plan()}, len(folder.ledger.read())
    assert 0 < ended_before < len(planned)
    assert 3 in seeds_run(cut.out)  # the kill came in the second block
    assert len(folder.read_provenance()["looks"]) == 1
    check_that_nothing_changed(cut, whole)
    looks = [StudyFolder(each.out / "killed").read_provenance()["looks"] for each in (cut, whole)]
    assert [[(look["seeds"], look["open"]) for look in each] for each in looks] == [[([0, 1, 2], ["own"])]] * 2
    assert seeds_run(cut.out) == set(range(6))
    assert verify(folder.root).problems == []


@pytest.mark.long
@pytest.mark.timeout(3600)  # a quarter of an hour, on a machine that has nothing else to do
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_killed_twenty_times_ends_like_an_uncut_one(made, workers_kept, kill_driver, kind):
    study = study_of(kind, seed=0, epochs=300)
    if kind == "search":
        study["seeds"] = 2  # seeds of a trial wait for each other
    whole, cut = made("whole", study), made("cut", study)
    rng = random.Random(kind)
    for seconds, file in search_runs.moments(20, rng):
        kill_driver(cut, seconds, file=file)
    check_that_nothing_changed(cut, whole)


@pytest.fixture(params=["bucket", "google_bucket", "file"])
def elsewhere(request, tmp_path):
    """The address of a storage outside the study folder, and a function that tells what lies there."""
    if request.param != "file":
        bucket = request.getfixturevalue(request.param)
        return bucket.uri("runs"), lambda: {name: each for name, each in bucket.objects.items() if name.endswith(".pt")}
    root = tmp_path / "shared storage"
    root.mkdir()
    return f"file://{root}", lambda: {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.pt") if path.is_file()
    }


def epochs_kept(objects: dict[str, bytes], tmp_path: Path) -> dict[str, list[float]]:
    """Seconds that each epoch took, by cell, as the checkpoints in a storage say."""
    found = {}
    for name, content in objects.items():
        (tmp_path / "checkpoint.pt").write_bytes(content)
        state = load_checkpoint(tmp_path / "checkpoint.pt")
        assert state is not None, f"{name} is whole"
        found[Path(name).stem] = [entry["seconds"] for entry in state["history"]]
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_study_killed_while_its_checkpoints_lie_elsewhere_goes_on_from_them_and_ends_like_an_uncut_one(
    made, workers_kept, kill_driver, tmp_path, elsewhere
):
    address, objects = elsewhere
    study = study_of("comparison", seed=0, epochs=250)
    study["seeds"], study["execution"]["max_concurrent"] = 1, 1
    whole = made("whole", study)
    study["execution"]["storage"] = address
    cut = made("cut", study)
    folder = StudyFolder(cut.out / "killed")

    def ended_cells() -> int:
        return folder.ledger_file.read_bytes().count(b"\n") if folder.ledger_file.is_file() else 0

    # In the first cell; between two cells; when all are finished, and the storage is cleaned and the report written.
    kill_driver(cut, 0.3, file=lambda _: bool(objects()))
    assert ended_cells() == 0
    first = epochs_kept(objects(), tmp_path)
    kill_driver(cut, 0.0, file=lambda _: ended_cells() > 0)
    cells = len(folder.read_plan())
    assert 0 < ended_cells() < cells
    second = epochs_kept(objects(), tmp_path)
    kill_driver(cut, 0.0, file=lambda _: ended_cells() == cells)
    check_that_nothing_changed(cut, whole)
    curves = folder.read_curves()
    for kept in (first, second):
        for cell, seconds in kept.items():  # trained once: a later call went on after them
            assert 0 < len(seconds) < 250
            assert list(curves[curves["cell_id"] == cell]["seconds"])[: len(seconds)] == seconds
    assert len(first) == 1
    assert objects() == {}
    assert not folder.storage_file.exists()
    assert verify(folder.root).problems == []
