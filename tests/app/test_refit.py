"""From a study folder to a model: which arm is taken, what it is trained on, and what the model folder holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fgtune.analysis.search.joint_choice import JointChoice
from fgtune.analysis.verdicts.statistics import paired_contrast
from fgtune.app.cli import main
from fgtune.app.refit import choose, refit
from fgtune.app.verify import verify
from fgtune.config.reading.merge import patch
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.exporting.folder import load_model, read_card
from fgtune.metrics.clustering import contingency
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState

TRANSDUCTIVE = "trial.data.split={transductive: true}"
CLUSTERED = "trial.objective={preset: base}"


@pytest.fixture(scope="module")
def study_file(tmp_path_factory, small_study_text):
    path = tmp_path_factory.mktemp("studies") / "small.yaml"
    path.write_text(small_study_text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, train_study, study_file):
    """A finished study whose split holds samples back."""
    return train_study(study_file, tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module", params=[(), (CLUSTERED,)], ids=["fine head", "clusters"])
def transductive(request, tmp_path_factory, train_study, study_file):
    """A finished study in which every part of the split is all samples, with and without a fine head."""
    return train_study(study_file, tmp_path_factory.mktemp("reports"), (TRANSDUCTIVE, *request.param))


def quiet(_: str) -> None:
    pass


def refitted(folder: Path, out: Path | None, say=quiet, **options) -> Path:
    return refit(folder, out=out, say=say, **{"tracking_uri": "none"} | options)


@pytest.mark.slow_except("fine head")
def test_refit_where_nothing_is_held_back_gives_the_cells_own_metrics_and_predictions(transductive, tmp_path):
    study = StudyFolder(transductive)
    for result in study.ledger.read():
        out = refitted(transductive, tmp_path / result.cell_id, arm=result.arm, seed=result.seed)
        card, record = read_card(out), study.read_relations(result.cell_id)
        assert card.cell_id == result.cell_id
        assert card.metrics == dict(result.metrics)
        labels = pd.read_parquet(out / "labels.parquet")
        counted = contingency(
            labels["fine_class"].to_numpy(), _true_fine(result), card.num_fine, record.fine_counts.shape[1]
        )
        assert np.array_equal(counted, record.fine_counts)
        parents = record.fine_to_coarse[0][labels["fine_class"]]
        assert np.array_equal(labels["coarse_parent"], parents)
        assert labels["trained_on"].all()


def _true_fine(result: CellResult) -> np.ndarray:
    from fgtune.config.schema.trial import TrialConfig
    from fgtune.data.load import load_dataset

    return load_dataset(TrialConfig.from_plain(dict(result.config)).data).fine


def test_refit_trains_on_training_and_validation_samples_and_holds_the_test_samples_back(folder, tmp_path):
    lines: list[str] = []
    out = refitted(folder, tmp_path / "model", arm="baseline", say=lines.append)
    labels, card = pd.read_parquet(out / "labels.parquet"), read_card(out)
    assert len(labels) == 300
    assert labels["trained_on"].sum() == card.trained_samples == 240  # 0.7 + 0.1 of 300
    assert not [name for name in card.metrics if name.startswith("val/")]
    test = labels[~labels["trained_on"]]
    agrees = (test["coarse_parent"] == test["coarse_label"]).mean()
    assert card.metrics["test/coarse_accuracy"] == pytest.approx(agrees)
    assert any("240 of 300" in line for line in lines)


def test_best_is_the_arm_with_the_best_mean_and_the_metric_is_told(folder, tmp_path):
    study = StudyFolder(folder)
    means: dict[str, list[float]] = {}
    for result in study.ledger.read():
        means.setdefault(result.arm, []).append(result.metrics["test/clustering_accuracy"])
    lines: list[str] = []
    card = read_card(refitted(folder, tmp_path / "model", say=lines.append))
    assert card.arm == max(means, key=lambda arm: np.mean(means[arm]))
    assert card.seed == 0
    assert "test/clustering_accuracy" in lines[0]
    assert "oracle" in lines[0]


def test_the_default_place_is_in_the_study_folder_and_a_second_call_trains_nothing(folder):
    first = refitted(folder, None, arm="baseline", seed=1)
    assert first == folder / "models" / "baseline-seed1"
    before = {path.name: path.stat().st_mtime_ns for path in first.iterdir()}
    lines: list[str] = []
    assert refitted(folder, None, arm="baseline", seed=1, say=lines.append) == first
    assert {path.name: path.stat().st_mtime_ns for path in first.iterdir()} == before
    assert any("already" in line for line in lines)


def test_nothing_in_a_model_folder_is_a_pickle(folder, tmp_path):
    out = refitted(folder, tmp_path / "model")
    names = {"weights.safetensors", "config.yaml", "relations.npz", "labels.parquet", "model.json"}
    assert {path.name for path in out.iterdir()} == names
    with np.load(out / "relations.npz", allow_pickle=False) as arrays:
        assert arrays["fine_to_coarse"].shape == (1, read_card(out).num_fine)
    assert not list(tmp_path.glob(".*"))


def test_another_model_is_replaced_only_by_force_and_other_files_never(folder, tmp_path):
    target = tmp_path / "model"
    refitted(folder, target, seed=0, arm="baseline")
    with pytest.raises(ConfigError, match="another model"):
        refitted(folder, target, seed=1, arm="baseline")
    assert read_card(target).seed == 0
    refitted(folder, target, seed=1, arm="baseline", force=True)
    assert read_card(target).seed == 1
    load_model(target)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("words")
    with pytest.raises(ConfigError, match="holds no model"):
        refitted(folder, other, force=True)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_a_damaged_model_is_told_and_replaced_by_force(folder, tmp_path):
    target = refitted(folder, tmp_path / "model", arm="baseline")
    (target / "weights.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match="damaged"):
        refitted(folder, target, arm="baseline")
    refitted(folder, target, arm="baseline", force=True)
    load_model(target)


def test_wrong_calls_exit_2_with_one_line_and_write_nothing(folder, tmp_path, capsys):
    def fails(*arguments: str) -> str:
        assert main(["refit", *arguments, "--tracking-uri", "none"]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("error:") == 1, captured.err
        assert not captured.out
        return captured.err

    before = sorted(folder.rglob("*"))
    assert "baseline, num_fine_ratio=1.5" in fails(str(folder), "--arm", "basline")
    assert "no such study folder" in fails(str(tmp_path / "nowhere"))
    assert "is no study folder" in fails(str(tmp_path))
    (tmp_path / "file").touch()
    assert "cannot be written" in fails(str(folder), "--out", str(tmp_path / "file" / "model"))
    assert "must name a folder of its own" in fails(str(folder), "--out", ".")
    assert sorted(folder.rglob("*")) == before


def test_a_study_that_is_not_finished_is_told_as_such(folder, tmp_path):
    copy = tmp_path / "small"
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    ledger = StudyFolder(copy).ledger_file
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:3]))
    lines: list[str] = []
    refitted(copy, tmp_path / "model", arm="baseline", say=lines.append)
    assert "note: 1 of 4 planned cells have no result yet" in lines


def test_a_study_whose_data_changed_is_refused(folder, tmp_path):
    copy = tmp_path / "small"
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    record = json.loads((copy / "provenance.json").read_text())
    record["data"] = dict.fromkeys(record["data"], "0" * 16)
    (copy / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="data have changed"):
        refitted(copy, tmp_path / "model")


@pytest.mark.slow
def test_an_arm_that_reads_fine_labels_is_told_as_such(tmp_path, train_study, study_file):
    text = study_file.read_text().replace("classes.num_fine_ratio: [1.0, 1.5]", "optimizer.lr: [0.1, 0.2]")
    rates = tmp_path / "rates.yaml"
    rates.write_text(text)
    told = {
        "trial.relations.mode=oracle": "true relations",
        "trial.objective.lambda_fine=1.0": "trained on fine labels",
    }
    for number, (override, sentence) in enumerate(told.items()):
        folder = train_study(rates, tmp_path / str(number), ("seeds=1", "trial.epochs=1", override))
        lines: list[str] = []
        refitted(folder, tmp_path / f"m{number}", say=lines.append)
        assert any(sentence in line for line in lines), lines


# --- which arm is best ---------------------------------------------------------------------------------------------

SEARCH = {
    "kind": "search",
    "space": {"parameters": {"objective.lambda_reg": {"kind": "uniform", "low": 0.1, "high": 2.0}}},
    "trials": 2,
    "metric": "val/silhouette",
}


def study_of(folder: Path, **changes) -> Study:
    return Study.from_plain(patch(StudyFolder(folder).read_study().to_plain(), changes, Study))


def results_of(folder: Path, values: dict[str, list[float | None]], metric: str) -> list[CellResult]:
    """Cells with these values of one metric, seed by seed; None for a pruned cell with the best value of all."""
    template = StudyFolder(folder).ledger.read()[0]
    return [
        replace(
            template,
            arm=arm,
            seed=seed,
            cell_id=f"{arm}{seed}",
            state=CellState.PRUNED if value is None else CellState.COMPLETE,
            metrics={metric: 9.0 if value is None else value},
        )
        for arm, each in values.items()
        for seed, value in enumerate(each)
    ]


def test_a_search_chooses_by_its_own_label_free_metric(folder):
    study = study_of(folder, design=SEARCH)
    results = results_of(folder, {"a": [0.1, 0.2], "b": [0.3, 0.1], "c": [0.0, 0.0]}, "val/silhouette")
    choice = choose(study, results, "best", "here")
    assert choice.arm == "b"
    assert "label-free" in choice.reason
    downwards = study_of(folder, design=SEARCH | {"mode": "minimize"})
    assert choose(downwards, results, "best", "here").arm == "c"


def test_a_search_by_agreement_and_the_shared_judge_takes_what_they_choose_together(folder):
    study = study_of(folder, design={key: value for key, value in SEARCH.items() if key != "metric"})
    results = results_of(folder, {"a": [0.1, 0.2], "b": [0.3, 0.1]}, "val/fixed_silhouette")
    lead = paired_contrast({0: 0.4, 1: 0.5, 2: 0.6}, {0: 0.1, 1: 0.3, 2: 0.3}, direction="maximize", level=0.95)
    joint = JointChoice("", 6, "b", "a", "val/fixed_silhouette", 0.9, 0.01, lead, refusal="")
    choice = choose(study, results, "best", "here", together=lambda: (joint,))
    assert choice.arm == "b"
    assert "rank correlation 0.900" in choice.reason
    refused = choose(study, results, "best", "here", together=lambda: (replace(joint, refusal="they differ"),))
    assert refused.arm == "a"
    assert "nothing is shown to choose better than the baseline: they differ" in refused.reason
    with pytest.raises(ConfigError, match="agreement and val/fixed_silhouette at once"):
        choose(study, results, "best", "here")


def test_a_folder_of_data_without_fine_labels_is_whole(tmp_path, train_study):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", inputs=rng.normal(size=(80, 3)), coarse=np.arange(80) % 2)
    study = tmp_path / "blind.yaml"
    study.write_text(
        "study: blind\nquestion: Which?\nseeds: 2\n"
        "design: {kind: sensitivity, factors: {optimizer.lr: [0.1, 0.2]}}\n"
        f"trial: {{data: {{kind: arrays, path: {tmp_path / 'mine.npz'}}}, classes: {{num_fine: 4}}, epochs: 1}}\n"
    )
    root = train_study(study, tmp_path / "reports")
    assert StudyFolder(root).read_study().metrics.primary == "test/fixed_silhouette"
    assert main(["report", str(root)]) == 0
    assert verify(root).problems == []
    lines: list[str] = []
    refitted(root, None, say=lines.append)
    assert "best of 2 by the mean of test/fixed_silhouette" in lines[0]


def test_pruned_cells_and_arms_with_fewer_complete_cells_are_not_compared(folder):
    study = study_of(folder)
    values = {"lucky": [0.99], "pruned": [0.98, None], "steady": [0.5, 0.6], "low": [0.1, 0.2]}
    choice = choose(study, results_of(folder, values, "test/clustering_accuracy"), "best", "here")
    assert choice.arm == "steady"
    assert "2 arms with fewer complete cells were left out" in choice.reason


def test_no_arm_is_best_by_several_objectives_or_without_a_complete_cell(folder):
    several = study_of(folder, design=SEARCH | {"metric": ["val/silhouette", "cost/seconds"]})
    results = results_of(folder, {"a": [0.1]}, "val/silhouette")
    with pytest.raises(ConfigError, match=r"val/silhouette and cost/seconds at once.*name one of a"):
        choose(several, results, "best", "here")
    assert choose(several, results, "a", "here").arm == "a"
    pruned = results_of(folder, {"a": [None]}, "val/silhouette")
    with pytest.raises(StudyFolderError, match="no complete cell"):
        choose(several, pruned, "best", "here")
    with pytest.raises(ConfigError, match="only PRUNED"):
        choose(several, [*results, *(replace(each, arm="b") for each in pruned)], "b", "here")
