"""One command from coarse labels alone to the fine class of every sample, stopped and continued, and its errors."""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support.layouts import made_texts

import fgtune
from fgtune.app import discover
from fgtune.app.cli import main
from fgtune.app.discovery import arrays, budget, call, request, stages, studies
from fgtune.app.discovery.budget import Costs, Schedule
from fgtune.app.discovery.request import content_of
from fgtune.app.discovery.source import Asked
from fgtune.app.predict import predict
from fgtune.config.schema.data_tables import HierarchyConfig
from fgtune.data.load import load_dataset
from fgtune.engine.opening import open_study
from fgtune.exporting.folder import load_model
from fgtune.exporting.trained_model import checked_inputs
from fgtune.results.folder import StudyFolder
from fgtune.results.locking import locked
from fgtune.results.options import RunOptions
from fgtune.results.provenance import collect_provenance

FRAME = pd.DataFrame({"a": np.arange(20.0) % 7, "g": ["x", "y"] * 10})
EASY = HierarchyConfig(num_samples=240, num_coarse=2, fine_per_coarse=2, dim=4, separation=8.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A table of two coarse classes with two clear fine ones each, which its column ``truth`` tells."""
    made = load_dataset(EASY)
    frame = pd.DataFrame(np.asarray(made.inputs), columns=["a", "b", "c", "d"])
    frame["group"] = np.where(made.coarse[:, 0] == 0, "left", "right")
    frame["truth"] = made.fine
    path = tmp_path_factory.mktemp("data") / "easy.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def small(monkeypatch):
    """Few epochs, two numbers of classes, two methods."""
    monkeypatch.setattr(budget, "EPOCHS", (6, 5))
    monkeypatch.setattr(budget, "SEEDS_METHODS", 3)
    monkeypatch.setattr(call, "arms_of", lambda *_: ("falcon_warm", "kmeans"))
    monkeypatch.setattr(call, "grid_of", lambda *_: (3, 4))
    monkeypatch.setattr(call, "time_cells", lambda *_: Costs(0.5, 0.01))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_started", "small")
def test_one_call_gives_every_sample_its_class_and_a_second_one_repeats_nothing(data, tmp_path, capsys, worker_pids):
    out = tmp_path / "found"
    code = main(["discover", str(data), "--out", str(out), "--fine", "truth", "--minutes", "60"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    found = json.loads((out / "discover.json").read_text())
    labels = pd.read_csv(out / "classes.csv")
    assert len(labels) == 240
    assert set(labels["coarse_label"]) == {"left", "right"}
    assert all(one.startswith(two) for one, two in zip(labels["fine_class"], labels["coarse_label"], strict=True))
    assert labels["fine_class"].nunique() == len(found["classes"])
    assert sum(each["size"] for each in found["classes"]) == 240
    assert found["num_fine"]["chosen"] in (3, 4)
    assert [each["num_fine"] for each in found["num_fine"]["levels"]] == [3, 4]
    trained = {each["arm"]: each["trained"] for each in found["method"]["candidates"]}
    assert trained == {"falcon_warm": True, "kmeans": False}
    assert found["comparison"]["column"] == "truth"
    assert found["comparison"]["methods"]["kmeans"] > 0.7
    assert found["runs"] == 2
    ran = sum(len((out / name / "results.jsonl").read_text().splitlines()) for name in ("num_fine", "methods"))
    assert len({*worker_pids}) <= (os.cpu_count() or 1) < ran  # studies go on in the workers of those before
    for name in ("num_fine/report.html", "methods/report.html", "model/model.json", "study.yaml", "to_label.csv"):
        assert (out / name).is_file(), name
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What was found" in page
    assert "Against the fine labels in truth" in page
    ledgers = [(out / name / "results.jsonl").read_bytes() for name in ("num_fine", "methods")]

    again = fgtune.discover(data, out, fine="truth", minutes=60, quiet=True)
    assert [(out / name / "results.jsonl").read_bytes() for name in ("num_fine", "methods")] == ledgers
    assert [each.name for each in again.classes] == [each["name"] for each in found["classes"]]
    assert pd.read_csv(out / "classes.csv").equals(labels)

    assert main(["discover", str(data), "--out", str(out), "--num-fine", "4"]) == 2
    assert "holds a discovery with another num_fine" in capsys.readouterr().err


@pytest.fixture
def in_process(train_study, monkeypatch):
    """Studies are trained one cell after the other, without Ray."""

    def run_stage(file: Path, text: str, out: Path, *_: object, **__: object) -> int:
        if not file.exists():
            file.write_text(text, encoding="utf-8")
            train_study(file, out, predictions=True)
        return 0

    monkeypatch.setattr(stages, "run_stage", run_stage)
    monkeypatch.setattr(call.Call, "_is_unfinished", lambda *_: False)


@pytest.mark.usefixtures("in_process", "small")
def test_no_choice_reads_fine_labels(data, tmp_path):
    """The named fine labels, scrambled, change the comparison at the end and nothing else."""
    frame = pd.read_csv(data)
    found = []
    for name in ("as they are", "scrambled"):
        if name == "scrambled":
            frame["truth"] = np.random.default_rng(0).permutation(frame["truth"])
        frame.to_csv(tmp_path / "easy.csv", index=False)
        out = tmp_path / name
        result = fgtune.discover(
            tmp_path / "easy.csv", out, coarse="group", fine="truth", num_fine=4, minutes=5, quiet=True
        )
        found.append((result, pd.read_csv(out / "classes.csv")))
    (one, labels), (two, others) = found
    assert labels.equals(others)
    assert one.classes == two.classes
    assert one.method.arm == two.method.arm
    assert one.num_fine == two.num_fine
    assert one.num_fine.levels == ()
    assert one.comparison.accuracy > two.comparison.accuracy + 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_numbers_near_the_best_of_the_grid_are_tried_too(data, tmp_path, monkeypatch):
    monkeypatch.setattr(call, "grid_of", lambda *_: (3, 5))
    found = fgtune.discover(data, tmp_path / "out", coarse="group", minutes=5, quiet=True)
    tried = [level.num_fine for level in found.num_fine.levels]
    assert {3, 4, 5} <= set(tried)
    assert found.num_fine.chosen == max(found.num_fine.levels, key=lambda level: level.agreement).num_fine


@pytest.mark.slow_except("kmeans-1.5")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("minutes", [1.5, 30])
@pytest.mark.parametrize("first", ["falcon", "kmeans"])
def test_a_call_whose_time_suffices_for_no_cell_ends_with_an_answer_by_clusterings(
    data, tmp_path, monkeypatch, train_study, minutes, first
):
    """Whatever is run within a time is not finished in it; cells that may exceed it are those of a clustering."""
    ran = []

    def run_stage(file: Path, text: str, out: Path, wall_s: float | None, *_: object, only: tuple = (), **__: object):
        file.write_text(text, encoding="utf-8")
        ran.append((file.stem, bool(only)))
        assert (wall_s is None) == bool(only)
        if only:
            train_study(file, out, predictions=True, only=only)
        else:
            opened = open_study(file)
            given = collect_provenance(opened.plan, RunOptions(file))
            StudyFolder(out / opened.plan.study.study).create_or_check(opened.plan, opened.loaded, given)
        return 0 if only else 4

    planned = Schedule(6, (3, 4), 0, first, 3, ("falcon_warm", "kmeans"), 3)
    monkeypatch.setattr(stages, "run_stage", run_stage)
    monkeypatch.setattr(call.Call, "_is_unfinished", lambda *_: False)
    monkeypatch.setattr(call, "make_schedule", lambda *_: planned)
    end = discover.run_discovery(Asked(data, "group", "truth"), tmp_path / "out", None, minutes, quiet=True)
    assert (end.code, end.found.method.arm) == (4, "kmeans")
    assert end.found.num_fine.by_judge
    assert [each.arm for each in end.found.method.candidates] == ["kmeans"]
    assert end.found.runs == 2  # its three seeds can be compared
    assert pd.read_csv(tmp_path / "out" / "classes.csv")["fine_class"].nunique() == len(end.found.classes)
    assert any("for every number" in phrase for phrase in end.found.given_up) == (first == "falcon")
    cheap_ahead = [("study", True), ("study", False)]
    assert ran[-2:] == (cheap_ahead if minutes < 2 else cheap_ahead[::-1])
    assert ran.count(("num_fine", True)) == 1


@pytest.mark.usefixtures("in_process", "small")
def test_time_that_ran_out_gives_results_and_exit_code_4_and_an_interruption_none(data, tmp_path, monkeypatch, capsys):
    train = stages.run_stage
    monkeypatch.setattr(stages, "run_stage", lambda *arguments, **_: 4 * (train(*arguments) == 0))
    arguments = ["discover", str(data), "--out", str(tmp_path / "out"), "--coarse", "group", "--num-fine", "4"]
    assert main(arguments) == 4
    assert (
        f"to go on: fgtune discover {data} --out {tmp_path / 'out'} --coarse group --num-fine 4"
        in capsys.readouterr().out
    )
    assert (tmp_path / "out" / "classes.csv").is_file()
    monkeypatch.setattr(stages, "run_stage", lambda *_, **__: 130)
    assert main([*arguments[:3], str(tmp_path / "other"), *arguments[4:]]) == 130
    with pytest.raises(fgtune.FgtuneError, match="stopped before there was a result; fgtune discover"):
        fgtune.discover(data, tmp_path / "third", coarse="group", minutes=5, quiet=True)


def test_ray_is_started_for_cells_near_the_best_number_alone(tmp_path, monkeypatch):
    left = dict.fromkeys(("num_fine", "num_fine_near", "methods"), 0)

    def left_of(root: Path, _: int) -> int:
        return left[root.name]

    monkeypatch.setattr(stages, "left_of", left_of)
    schedule = budget.make_schedule(1e6, 2, Costs(1.0, 0.1), (3, 4, 6), ("falcon", "kmeans"))
    asked = request.Request(Asked(tmp_path / "easy.csv"), None, "")
    one = call.Call(asked, tmp_path, 5.0, quiet=True)
    assert not one._is_unfinished(schedule)
    left["num_fine_near"] = 2
    assert one._is_unfinished(schedule)


@pytest.mark.parametrize(("began", "least"), [(True, call.LEAST_S), (False, 0.0)])
def test_a_study_that_an_earlier_call_began_gets_time_for_more_cells_than_none(tmp_path, monkeypatch, began, least):
    given = []
    monkeypatch.setattr(stages, "has_complete", lambda _: began)
    monkeypatch.setattr(stages, "left_of", lambda *_: 5)
    monkeypatch.setattr(stages, "run_stage", lambda *_, wall_s, **__: given.append(wall_s) or 4)
    asked = request.Request(Asked(tmp_path / "easy.csv"), None, "")
    one = call.Call(asked, tmp_path, 1.0, quiet=True)
    one._started -= 300  # what the call has done before adds nothing
    assert one._run("study.yaml", "methods", "", 3.0, ()) == 4
    (wall,) = given
    assert max(least, 3.0) - 1 < wall <= max(least, 3.0)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_single_runs_are_judged_where_the_time_sufficed_for_no_more(data, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "SEEDS_NUM_FINE", 1)
    monkeypatch.setattr(budget, "SEEDS_METHODS", 1)
    found = fgtune.discover(data, tmp_path / "out", coarse="group", minutes=5, quiet=True)
    assert found.num_fine.by_judge
    assert found.num_fine.chosen in (3, 4)
    assert found.num_fine.missing == (3, 4)
    assert (found.runs, found.method.refused) == (0, True)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "single runs are best separated there" in page
    assert "found again in" not in page.partition("<main>")[2].partition("The classes")[0]


def test_a_column_may_be_named_after_it_was_guessed_and_no_other_one(tmp_path):
    def asked(coarse):
        return request.Request(Asked(tmp_path / "easy.csv", coarse), None, "")

    planned = Schedule(6, (3, 4), 0, "falcon", 3, ("falcon_warm", "kmeans"), 3)
    replace(asked(None), schedule=planned, guessed="group").write(tmp_path)
    for coarse in ("group", None, "group"):
        continued = asked(coarse).continued(tmp_path)
        assert (continued.schedule, continued.guessed, continued.asked.coarse) == (planned, "group", coarse)
        continued.write(tmp_path)
    with pytest.raises(fgtune.ConfigError, match="holds a discovery with another coarse"):
        asked("truth").continued(tmp_path)
    replace(asked(None), schedule=planned).write(tmp_path)  # by a version that kept no guess
    with pytest.raises(fgtune.ConfigError, match="holds a discovery with another coarse"):
        asked("group").continued(tmp_path)


def test_a_study_of_other_content_is_set_aside_and_not_lost(tmp_path):
    for number in (1, 2):
        (tmp_path / "methods").mkdir()
        (tmp_path / "study.yaml").write_text(f"# fgtune run there\ncontent {number}")
        stages.set_aside(tmp_path, "study.yaml", "methods", f"content {number}")
        assert (tmp_path / "methods").is_dir()
        stages.set_aside(tmp_path, "study.yaml", "methods", "new")
        assert not (tmp_path / "methods").exists()
        assert (tmp_path / f"methods-{number}.yaml").read_text() == f"# fgtune run there\ncontent {number}"
        assert (tmp_path / f"methods-{number}").is_dir()
    for number in (3, 4):  # a call that ended before it made the folder
        (tmp_path / "study.yaml").write_text(f"content {number}")
        stages.set_aside(tmp_path, "study.yaml", "methods", "new")
        assert (tmp_path / f"methods-{number}.yaml").read_text() == f"content {number}"


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_a_call_that_ended_before_anything_was_settled_leaves_a_folder_that_the_next_one_takes(tmp_path, monkeypatch):
    file, out = tmp_path / "easy.npz", tmp_path / "out"
    made = load_dataset(EASY)
    np.savez(file, inputs=np.asarray(made.inputs)[:8], coarse=made.coarse[:8, 0])
    with pytest.raises(fgtune.ConfigError, match="must hold at least 10 samples"):
        fgtune.discover(file, out, coarse="coarse", num_fine=4, quiet=True)
    np.savez(file, inputs=made.inputs, coarse=made.coarse[:, 0])
    (out / ".request.json.1-0.tmp").write_text("{")

    def killed(path: Path, _: bytes) -> None:
        path.with_name(f".{path.name}.1-0.tmp").write_bytes(b"half")
        raise SystemExit

    for folder in (out, tmp_path / "fresh"):
        with monkeypatch.context() as patch:
            patch.setattr(arrays, "write_atomically", killed)
            with pytest.raises(SystemExit):
                fgtune.discover(file, folder, num_fine=3, quiet=True)
        assert len(fgtune.discover(file, folder, num_fine=4, minutes=5, quiet=True).classes) > 2


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_a_folder_is_the_same_by_any_of_its_names(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    out = tmp_path / "out"
    arguments = {"coarse": "group", "num_fine": 4, "minutes": 5, "quiet": True}
    one = fgtune.discover(data.name, os.path.relpath(out), **arguments)
    monkeypatch.chdir(tmp_path)
    two = fgtune.discover(data, "out", **arguments)
    assert not (out / "methods-1").exists()
    assert one.classes == two.classes


@pytest.mark.usefixtures("small")
def test_an_interruption_outside_the_studies_says_how_to_go_on(data, tmp_path, monkeypatch, capsys):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(call, "time_cells", interrupted)
    command = ["discover", str(data), "--out", str(tmp_path / "out"), "--coarse", "group", "--minutes", "5"]
    assert main(command) == 130
    assert f"to go on: fgtune {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_texts_get_classes_that_words_describe_and_new_tables_of_them_the_same(tmp_path):
    table = tmp_path / "mail.csv"
    pd.DataFrame(made_texts(30), columns=["body", "group", "topic"]).drop(columns="topic").to_csv(table, index=False)
    out = tmp_path / "out"
    found = fgtune.discover(table, out, coarse="group", text="body", num_fine=4, minutes=5, quiet=True)
    labels = pd.read_csv(out / "classes.csv")
    assert len(labels) == 120
    assert len(found.classes) == 4
    page = (out / "report.html").read_text(encoding="utf-8")
    assert sum(word in page for word in ("quantum", "penalty", "racket", "enzyme", "umpire", "gene")) >= 3
    predict(out / "model", str(table), tmp_path / "new.parquet", say=lambda _: None, coarse=["group"])
    assert np.array_equal(pd.read_parquet(tmp_path / "new.parquet")["fine_class"], labels["model_class"])


@pytest.mark.slow_except(".csv")
@pytest.mark.usefixtures("in_process", "small")
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_new_rows_of_the_users_own_table_get_the_classes_that_rows_like_them_got(data, tmp_path, suffix):
    frame = pd.read_csv(data)
    frame["a"] = 1000 * frame["a"] + 7  # so that every column is divided by its deviation
    frame.loc[:3, "b"] = np.nan
    table, between = tmp_path / f"mine{suffix}", "\t" if suffix == ".tsv" else ","
    frame.drop(columns="truth").to_csv(table, index=False, sep=between)
    out = tmp_path / "out"
    fgtune.discover(table, out, coarse="group", num_fine=4, minutes=5, quiet=True)
    labels = pd.read_csv(out / "classes.csv")
    new = frame[["d", "c", "group", "b", "a"]].iloc[::-1]
    new.to_csv(tmp_path / f"new{suffix}", index=False, sep=between)
    said, found = [], tmp_path / "new.parquet"
    predict(out / "model", str(tmp_path / f"new{suffix}"), found, say=said.append, coarse=["group"])
    assert not any("warning" in line for line in said)
    predicted = pd.read_parquet(found)["fine_class"].to_numpy()[::-1]
    assert np.array_equal(predicted, labels["model_class"])
    assert len(set(predicted)) > 2
    model, _ = load_model(out / "model")
    raw = frame[["a", "b", "c", "d"]]
    prepared = pd.read_parquet(out / "data.parquet")[["a", "b", "c", "d"]].to_numpy()
    assert np.array_equal(checked_inputs(raw.to_numpy(), model.inputs, "raw"), prepared)
    config = f"kind=arrays,path={out / 'data.parquet'},columns={{coarse: [coarse_label]}}"
    predict(out / "model", config, found, say=said.append, coarse=["coarse"])
    assert np.array_equal(pd.read_parquet(found)["fine_class"], labels["model_class"])


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
def test_new_arrays_are_brought_to_the_scale_of_those_that_were_discovered(tmp_path, shape, monkeypatch):
    monkeypatch.setattr(studies, "CHANNELS", (4,))
    made = load_dataset(EASY)
    raw = (100 + 20 * np.asarray(made.inputs)).reshape(-1, *shape)
    words = np.array(["zebra", "ant"])[made.coarse[:, 0]]
    np.savez(tmp_path / "mine.npz", inputs=raw, coarse=words)
    out = tmp_path / "out"
    fgtune.discover(tmp_path / "mine.npz", out, num_fine=4, minutes=5, quiet=True)
    predict(out / "model", str(tmp_path / "mine.npz"), tmp_path / "new.parquet", say=str, coarse=["coarse"])
    found = pd.read_parquet(tmp_path / "new.parquet")
    assert np.array_equal(found["fine_class"], pd.read_csv(out / "classes.csv")["model_class"])
    assert set(found["coarse_parent_name"]) == {"ant", "zebra"}


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_an_npz_is_enough(tmp_path):
    made = load_dataset(EASY)
    np.savez(tmp_path / "easy.npz", inputs=made.inputs, coarse=made.coarse[:, 0])
    assert main(["discover", str(tmp_path / "easy.npz"), "--out", str(tmp_path / "out"), "--num-fine", "4"]) == 0
    assert set(pd.read_csv(tmp_path / "out" / "classes.csv")["coarse_label"]) == {0, 1}


@pytest.mark.usefixtures("in_process", "small")
def test_a_table_in_memory_gets_its_classes_beside_its_rows_and_the_command_line_takes_over(data, tmp_path, capsys):
    frame = pd.read_csv(data).set_index(pd.Index([f"sample {number}" for number in range(240)]))
    out = tmp_path / "out"
    asked = {"table": frame, "coarse": "group", "fine": "truth"}
    found = fgtune.discover(asked, out, num_fine=4, minutes=5, quiet=True)
    assert (found.report.name, found.report.is_file(), (found.model / "model.json").is_file()) == (
        "report.html", True, True,
    )  # fmt: skip
    beside = frame.join(found.table)
    assert (beside["coarse_label"] == beside["group"]).all()
    kinds = beside.groupby("fine_class")["truth"].agg(lambda each: each.value_counts(normalize=True).iloc[0])
    assert kinds.mean() > 0.9
    assert found.comparison.column == "truth"
    assert found.num_fine.chosen == found.outcome.num_fine.chosen == 4
    page = found._repr_html_()
    assert "240 samples in 2 coarse classes (group)" in page
    assert all(f">{each.name}</th>" in page for each in found.classes)
    assert repr(found) == f"DiscoveryResults(4 fine classes of 240 samples by {found.method.arm}, in {str(out)!r})"
    kept, ledger = out / "given.parquet", (out / "methods" / "results.jsonl").read_bytes()

    pd.read_parquet(kept).to_parquet(kept, index=False, compression="gzip")  # as another version might write it
    (out / "request.json").write_text((out / "request.json").read_text().replace(found_content(out), content_of(kept)))
    again = fgtune.discover(frame, out, coarse="group", fine="truth", num_fine=4, minutes=5, quiet=True)
    assert again.table.equals(found.table)
    assert shlex.split(found.command)[2] == str(kept)
    assert main(shlex.split(found.command)[1:]) == 0
    assert (out / "methods" / "results.jsonl").read_bytes() == ledger
    other = frame.assign(a=frame["a"] + 1)
    with pytest.raises(fgtune.ConfigError, match="holds a discovery with other data"):
        fgtune.discover(other, out, coarse="group", num_fine=4, quiet=True)


def found_content(out: Path) -> str:
    """The digest of the data that a discovery was asked about."""
    return str(json.loads((out / "request.json").read_text())["content"])


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
@pytest.mark.parametrize("form", ["tuple", "dict", "dataset"])
def test_arrays_and_datasets_in_memory_are_what_the_same_file_is(tmp_path, form):
    made = load_dataset(EASY)
    inputs, words = np.asarray(made.inputs), np.array(["left", "right"], dtype=object)[made.coarse[:, 0]]
    words[3] = None
    given = {
        "tuple": (inputs, words, made.fine),
        "dict": {"inputs": torch.as_tensor(inputs), "coarse": words, "fine": made.fine},
        "dataset": list(zip(inputs, words, made.fine, strict=True)),
    }[form]
    found = fgtune.discover(given, tmp_path / "out", num_fine=4, minutes=5, quiet=True)
    texts = np.where(np.equal(words, None), "", words).astype(str)
    np.savez(tmp_path / "mine.npz", inputs=inputs, coarse=texts, fine=made.fine)
    file = fgtune.discover(
        tmp_path / "mine.npz", tmp_path / "file", coarse="coarse", fine="fine", num_fine=4, minutes=5, quiet=True
    )
    assert found.table.equals(file.table)
    assert found.unlabelled == 1
    assert found.table["row"].tolist() == list(range(240))
    assert found.table["coarse_label"].tolist() == texts.tolist()
    assert found.comparison == file.comparison


@pytest.mark.parametrize(
    ("data", "named", "error"),
    [
        (7, {}, "data: is no form of data that fgtune takes, got 'int'"),
        ({"inputs": np.zeros((20, 2))}, {}, "data: has no coarse labels"),
        ({"inputs": np.zeros((20, 2)), "coarse": [0, 1] * 10, "split": ["train"] * 20}, {}, "data: split: is not used"),
        ({"table": FRAME, "one_hot": ["g"]}, {}, "data: one_hot: is not used by discover"),
        ({"table": FRAME, "coarse": ["g", "a"]}, {}, "data: coarse: must name one column"),
        ({"table": FRAME, "coarse": "g"}, {"coarse": "a"}, "data: coarse: is named twice, as 'g' and as 'a'"),
        (FRAME, {"coarse": "h"}, r"given.parquet: h: no such column. Fix: the table has a, g"),
    ],
)
def test_what_is_no_data_in_memory_is_one_error_before_anything_is_written(tmp_path, data, named, error):
    with pytest.raises(fgtune.ConfigError, match=error):
        fgtune.discover(data, tmp_path / "out", quiet=True, **named)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.csv"], "none.csv: no such file or folder"),
        (["easy.csv", "--minutes", "0"], "--minutes: must be at least 0.5, got 0.0"),
        (["easy.csv", "--num-fine", "1"], "--num-fine: must be at least 2, got 1"),
        (["easy.csv", "--coarse", "colour"], "colour: no such column. Fix: the table has a, b, c, d, group, truth"),
        (
            ["taken", "--out", "taken/out"],
            "--out: results and data (taken) must not lie one in the other, got 'taken/out'",
        ),
        (["easy.csv", "--out", "."], "--out: results and data (easy.csv) must not lie one in the other"),
        (["easy.csv", "--out", "taken"], "taken: is there already and holds no discovery"),
    ],
)
def test_bad_input_is_one_error_before_anything_starts(data, tmp_path, monkeypatch, capsys, arguments, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "easy.csv").write_bytes(data.read_bytes())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("mine")
    assert main(["discover", *arguments]) == 2
    assert error in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()
    with pytest.raises(fgtune.ConfigError, match="must be a list of strings"):
        fgtune.discover("easy.csv", leave_out="a")


def test_a_folder_with_other_data_or_a_damaged_request_is_refused(data, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "request.json").write_text("{}")
    assert main(["discover", str(data), "--out", str(out)]) == 2
    assert "cannot be read as the request of a discovery" in capsys.readouterr().err


@pytest.mark.long  # convolutions on a CPU
@pytest.mark.usefixtures("in_process", "small")
def test_a_folder_of_images_is_enough_and_its_page_has_pictures(tmp_path):
    rng = np.random.default_rng(0)
    colours = {"warm": ((220, 40, 30), (230, 200, 40)), "cold": ((30, 60, 220), (40, 200, 190))}
    for folder, own in colours.items():
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        for number in range(60):
            pixels = np.clip(rng.normal(own[number % 2], 12, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / folder / f"{number:02d}.png")
    out = tmp_path / "out"
    found = fgtune.discover(tmp_path / "pictures", out, num_fine=4, minutes=5, quiet=True)
    labels = pd.read_csv(out / "classes.csv")
    assert set(labels["coarse_label"]) == {"warm", "cold"}
    assert labels["image"].str.startswith(("warm/", "cold/")).all()
    assert all(each.features == () for each in found.classes)
    assert (out / "report.html").read_text(encoding="utf-8").count("data:image/png") >= 4 * 3


@pytest.mark.slow
@pytest.mark.usefixtures("in_process", "small")
def test_a_second_call_is_refused_or_waits_and_then_does_what_is_left(data, tmp_path, monkeypatch, capsys):
    out, arguments = tmp_path / "out", {"coarse": "group", "num_fine": 4, "minutes": 5}
    command = ["discover", str(data), "--out", str(out), "--coarse", "group", "--num-fine", "4", "--minutes", "5"]
    begun, go_on, real = threading.Event(), threading.Event(), call.Call._schedule

    def first_waits(self):
        begun.set()
        assert go_on.wait(60)
        return real(self)

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(call.Call, "_schedule", first_waits)
        first = pool.submit(fgtune.discover, data, out, quiet=True, **arguments)
        assert begun.wait(60)
        patch.setattr(call.Call, "_schedule", real)
        assert main(command) == 2
        told = capsys.readouterr()
        assert f"error: {out}: is being written by process {os.getpid()} " in told.err
        assert "with --wait does" in told.err
        assert {each.name for each in out.iterdir()} == {".lock", ".lock.holder"}
        second = pool.submit(fgtune.discover, data, out, wait=True, **arguments)
        while f"waiting until {out} is free" not in (told := capsys.readouterr().out):
            assert not second.done()
            time.sleep(0.05)
        go_on.set()
        assert second.result(timeout=120).classes == first.result().classes
    assert len(StudyFolder(out / "methods").ledger.read()) == len(StudyFolder(out / "methods").read_plan())


def test_a_call_that_is_wrong_leaves_no_folder_and_one_that_is_interrupted_while_it_waits_says_how_to_go_on(
    tmp_path, data, monkeypatch, capsys
):
    (tmp_path / "words.csv").write_text("a,b\nx,y\n")
    assert main(["discover", str(tmp_path / "words.csv"), "--out", str(tmp_path / "new" / "out")]) == 2
    assert not (tmp_path / "new").exists()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / ".lock"):
        monkeypatch.setattr("fgtune.results.locking.time.sleep", interrupted)
        assert main(["discover", str(data), "--out", str(tmp_path / "out"), "--coarse", "group", "--wait"]) == 130
        monkeypatch.undo()
    assert "to go on: fgtune discover" in capsys.readouterr().out
