"""``verify`` computes again what a study folder lets be computed again, and names what does not agree."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.changes import curves, ledger, line, provenance, read_lines, relations, text, write_lines

from fgtune.analysis.inputs import read_study
from fgtune.app import verify as verb
from fgtune.app.cli import main
from fgtune.app.verification.findings import Subject
from fgtune.app.verification.study import check_study
from fgtune.app.verify import verify
from fgtune.errors import ConfigError, StudyFolderError, TrialError
from fgtune.results.evidence import curve_digest
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.texts import CELL_COLUMNS


@pytest.fixture
def folder(real_folder, tmp_path) -> StudyFolder:
    return StudyFolder(shutil.copytree(real_folder, tmp_path / "real"))


@pytest.fixture
def without_report(monkeypatch):
    """Leave out the check that takes half a second."""
    monkeypatch.setattr(verb, "CHECKS", tuple(each for each in verb.CHECKS if each[0] != "report"))


def rewrite_report(folder: StudyFolder) -> None:
    from fgtune.reporting.html import write_up

    write_up(folder)


# --- the verb ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_compared_and_the_head_of_the_ledger_are_printed(folder, capsys):
    assert main(["verify", str(folder.root)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"compared: study \d+, data 1, looks \d+, plan \d+, ledger \d+, curves \d+, .*report [0-9,]+", out[0]
    )
    assert out[1] == f"ledger: 7 lines, head {folder.ledger.head}"
    assert re.fullmatch(r"\d+ values compared, 0 do not agree", out[2])
    assert len(out) == 3


def test_problems_are_on_standard_error_and_make_it_fail(folder, capsys):
    folder.results_csv.unlink()
    text("study.yaml", "question: Does", "question: Why does")(folder.root)
    assert main(["verify", str(folder.root)]) == 1
    output = capsys.readouterr()
    assert output.err.splitlines() == [
        "study.yaml: differs from the study in provenance.json in question ("
        "'Does the number of fine classes matter on an easy hierarchy?' there, "
        "'Why does the number of fine classes matter on an easy hierarchy?' here)",
        f"results.csv: is missing; fgtune report {folder.root} writes it",
    ]
    assert output.out.endswith(" values compared, 2 do not agree\n")


def test_a_metric_that_is_too_large_to_be_counted_with_is_no_problem(folder, monkeypatch):
    """An earlier version kept such metrics; once its table and page are written anew, all of it agrees."""
    lines = read_lines(folder.root)
    metric = read_study(folder).study.metrics.primary
    lines[0]["metrics"][metric] = 2e200
    path = folder.curves_file
    table = pd.read_parquet(path)
    last = table.index[table["cell_id"] == lines[0]["cell_id"]][-1]
    table.loc[last, metric] = 2e200
    table.to_parquet(path, index=False)
    lines[0]["evidence"] = None
    write_lines(folder.root, lines)
    monkeypatch.setattr(verb, "CHECKS", tuple(each for each in verb.CHECKS if each[0] in {"ledger", "curves"}))
    assert [each for each in verify(folder.root).problems if "2e+200" in each or "has no metrics" in each] == []
    rewrite_report(folder)
    assert f"beyond 1e150: {metric}" in folder.report_file.read_text()


def test_no_study_folder_is_refused(tmp_path):
    with pytest.raises(StudyFolderError, match="is no study folder"):
        verify(tmp_path)


@pytest.mark.parametrize("name", ["plan.csv", "study.resolved.yaml", "results.jsonl"])
def test_a_file_that_nothing_can_be_read_without_is_named(folder, name):
    (folder.root / name).unlink()
    problems = verify(folder.root).problems
    assert any(name in problem for problem in problems), problems


def test_a_study_that_has_not_finished_is_told_from_one_that_lost_files(folder):
    lines = read_lines(folder.root)
    write_lines(folder.root, lines[:-1])
    last = lines[-1]["cell_id"]
    assert not (folder.relations_dir / f"{last}.npz").exists()  # the cell that failed: it left a traceback and a curve
    (folder.failures_dir / f"{last}.txt").unlink()
    curves(lambda table: table[table["cell_id"] != last])(folder.root)
    for path in (folder.results_csv, folder.results_parquet, folder.report_file, folder.verdicts_file):
        path.unlink()
    outcome = verify(folder.root)
    assert outcome.problems == []
    assert [note.split(":")[0] for note in outcome.notes] == ["results.csv", "results.parquet", "report.html"]


@pytest.mark.slow
def test_a_process_that_is_writing_is_named(folder):
    with folder.lock():
        assert "is writing to the folder" in verify(folder.root).notes[0]


# --- data ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def data_file(real_folder):
    """The data of the study, put back after the test."""
    path = real_folder.parents[1] / "data.npz"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


@pytest.mark.usefixtures("without_report")
def test_data_that_have_changed_are_found(folder, data_file):
    with np.load(data_file) as stored:
        arrays = dict(stored)
    arrays["inputs"] = arrays["inputs"] + 0.01
    np.savez(data_file, **arrays)
    (problem,) = verify(folder.root).problems
    assert re.match(r"provenance.json: the data had the fingerprint \w+, now they have \w+", problem)
    assert verify(folder.root, data=False).problems == []
    with pytest.raises(ConfigError, match="the data have changed since the study ran"):
        verify(folder.root, reruns=1)


@pytest.mark.usefixtures("without_report")
def test_data_that_are_gone_are_a_note_and_stop_a_rerun(folder, data_file):
    data_file.unlink()
    outcome = verify(folder.root)
    assert outcome.problems == []
    (note,) = outcome.notes
    assert "the data cannot be read here" in note
    with pytest.raises(ConfigError, match=r"data.npz"):
        verify(folder.root, reruns=1)


@pytest.mark.usefixtures("without_report")
def test_a_plan_that_the_data_do_not_give_is_found(folder):
    def rename(lines):
        for each in lines:
            each["arm"] = each["arm"].replace("1.5", "1.6")

    ledger(rename)(folder.root)
    text("plan.csv", ".*", folder.plan_file.read_text().replace("num_fine_ratio=1.5", "num_fine_ratio=1.6"))(
        folder.root
    )
    problems = verify(folder.root).problems
    assert any(re.match(r"plan.csv: line 3 is .*=1.6.*, the study and its data give .*=1.5", each) for each in problems)


# --- running cells again -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_report")
def test_cells_run_again_are_equal_bit_for_bit(folder, capsys):
    assert main(["verify", str(folder.root), "--rerun", "2", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "running 2 cells again, drawn with --seed 1" in out
    assert len(re.findall(r"run again, \d+ values are equal bit for bit", out)) == 2
    assert out.endswith("0 do not agree; 2 cells run again, 0 differ\n")


def test_the_draw_depends_on_its_seed_alone(folder):
    from fgtune.app.verification.rerun import chosen_cells

    subject = Subject(read_study(folder), folder.root, tuple(folder.ledger.lines()), {})
    drawn = [tuple(each.cell_id for each in chosen_cells(subject, 2, seed)[0]) for seed in (*range(8), *range(8))]
    assert drawn[:8] == drawn[8:]
    assert len(set(drawn)) > 1
    assert len(chosen_cells(subject, 99, 0)[0]) == 5  # of six cells, one failed


def forged(folder: StudyFolder) -> str:
    """A consistent forgery: a better label-free metric in ledger and curve, with its digest, chain and report."""
    first = read_lines(folder.root)[0]
    line(0, metrics=first["metrics"] | {"val/silhouette": 0.9})(folder.root)

    def edit(table):
        table.loc[(table["cell_id"] == first["cell_id"]) & (table["epoch"] == 3), "val/silhouette"] = 0.9

    curves(edit)(folder.root)
    rows = folder.read_curves().query("cell_id == @first['cell_id']").drop(columns=[*CELL_COLUMNS, "seconds"])
    epochs = [(row.pop("epoch"), row.pop("step"), row) for row in rows.to_dict("records")]
    line(0, evidence=first["evidence"] | {"curve": curve_digest(epochs)})(folder.root)
    rewrite_report(folder)
    return str(first["cell_id"])


def test_a_consistent_forgery_is_found_by_running_its_cell_again_and_by_nothing_else(folder, capsys):
    head = folder.ledger.head
    cell = forged(folder)
    assert verify(folder.root).problems == []
    assert verify(folder.root).head != head  # whoever has noted the head sees it, too
    assert main(["verify", str(folder.root), "--rerun", "9"]) == 3
    output = capsys.readouterr()
    (told,) = output.err.splitlines()
    assert told.startswith(f"cell {cell} (baseline, seed 0): run again, 2 of ")
    assert re.search(r"val/silhouette by -0\.\d+ \(was 0.9, is 0\.\d+\)", told)
    assert "no version differs from those in provenance.json, here with 1 thread, device cpu" in told
    assert output.out.endswith("0 do not agree; 5 cells run again, 1 differ\n")


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_other_relations_of_a_cell_that_is_run_again_are_counted(folder):
    relations(lambda arrays: arrays.update(fine_to_coarse=1 - arrays["fine_to_coarse"]))(folder.root)
    told = [each.text for each in verify(folder.root, reruns=9).reruns if each.differences]
    assert len(told) == 1
    assert "relations/fine_to_coarse in 6 of 6 elements" in told[0]


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("file", ["relations", "predictions", "curves.parquet"])
def test_a_cell_whose_files_are_damaged_is_a_problem_beside_the_others(folder, file):
    path = folder.root / file
    path = next(path.iterdir()) if path.is_dir() else path
    path.write_bytes(b"junk")
    before = verify(folder.root).problems
    outcome = verify(folder.root, reruns=9)
    assert any(path.name in problem for problem in before)
    assert outcome.problems[: len(before)] == before
    damaged = outcome.problems[len(before) :]
    assert len(damaged) == (5 if file == "curves.parquet" else 1)
    assert all(re.match(r"cell \w+ \(.*, seed \d\): cannot be compared: \w+: ", problem) for problem in damaged)
    assert len(outcome.reruns) == 5 - len(damaged)
    assert not any(each.differences for each in outcome.reruns)


@pytest.mark.usefixtures("without_report")
def test_a_cell_that_fails_now_is_told_with_the_threads_that_it_ran_on(folder, monkeypatch):
    def fail(*_):
        raise TrialError("the loss is nan")

    monkeypatch.setattr("fgtune.training.prepared.prepare_split", fail)
    (found,) = verify(folder.root, data=False, reruns=1).reruns
    assert found.differences == ("it fails now: the loss is nan",)
    assert found.environment[-1] == "here with 1 thread"


def test_a_study_without_a_complete_cell_has_none_to_run_again(folder):
    write_lines(folder.root, [each for each in read_lines(folder.root) if each["state"] == "FAIL"])
    with pytest.raises(StudyFolderError, match="has no complete cell that could be run again"):
        verify(folder.root, reruns=1)


# --- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\0" * 60, bytes(range(256)) * 8])
@pytest.mark.parametrize("file", ["relations", "curves.parquet", "results.parquet", "provenance.json", "plan.csv"])
def test_a_file_of_junk_is_a_problem_and_no_traceback(folder, file, content):
    path = next(folder.relations_dir.iterdir()) if file == "relations" else folder.root / file
    path.write_bytes(content)
    problems = verify(folder.root).problems
    assert any(path.name in problem for problem in problems), problems


@pytest.mark.usefixtures("without_report")
def test_a_file_that_belongs_to_no_cell_is_named(folder):
    for name in ("notes.txt", "0123456789ab.npz"):
        (folder.relations_dir / name).write_bytes(b"")
    problems = verify(folder.root).problems
    assert [problem.split(":")[0] for problem in problems] == ["relations/0123456789ab.npz", "relations/notes.txt"]


@pytest.mark.slow
def test_a_search_whose_ledger_is_gone_is_reported_and_verified(synthetic_search, tmp_path):
    folder = synthetic_search.SyntheticSearch().write(tmp_path)
    folder.ledger_file.unlink()
    rewrite_report(folder)
    problems = verify(folder.root, data=False).problems
    assert any("has a curve and no line in the ledger" in problem for problem in problems)


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_attention_maps_are_checked(folder):
    def ask(lines):
        for each in lines:
            each["config"]["evaluation"]["attention_samples"] = 2

    ledger(ask)(folder.root)
    cells = [each["cell_id"] for each in read_lines(folder.root) if each["state"] == "COMPLETE"]
    unit = np.full((2, 4, 4), 0.25, dtype=np.float32)
    folder.attention_dir.mkdir()
    for cell in cells:
        np.savez(folder.attention_dir / f"{cell}.npz", rows=np.array([1, 5]), maps=unit, inputs=np.zeros((2, 3)))

    def told() -> list[str]:
        return [problem for problem in verify(folder.root).problems if problem.startswith("attention/")]

    assert told() == []
    first = folder.attention_dir / f"{cells[0]}.npz"
    np.savez(first, rows=np.array([1, 5]), maps=2 * unit, inputs=np.zeros((2, 3)))
    assert "a map does not have the length 1" in told()[0]
    np.savez(first, rows=np.array([1, 5]), maps=unit, inputs=np.zeros((3, 3)))
    assert "2 samples, maps (2, 4, 4), inputs (3, 3)" in told()[0]
    np.savez(first, rows=np.array([1, 6]), maps=unit, inputs=np.zeros((2, 3)))
    assert "shows other samples than the other arms with the same seed" in " ".join(told())
    first.write_bytes(b"junk")
    assert "cannot be read as attention maps" in told()[0]
    first.unlink()
    assert f"attention/{first.name}: is missing" in told()[0]


# --- versions ------------------------------------------------------------------------------------------------------


def test_a_report_of_another_version_is_compared_by_its_numbers(folder):
    text("report.html", r'content="fgtune [^"]*"', 'content="fgtune 9.9, plotly 1.0"')(folder.root)
    outcome = verify(folder.root)
    assert outcome.problems == []
    (note,) = outcome.notes
    assert re.match(r"report.html: was written by fgtune 9.9, plotly 1.0, this is fgtune .*: its numbers were", note)
    text("report.html", r'(<p class="headline">)[^<]*', r"\1More classes help.")(folder.root)
    assert verify(folder.root).problems == ["report.html: the answer that it shows is not the one among its numbers"]
    text("report.html", r'(id="fgtune-summary">)[^<]*', r'\1{"study": "real"}')(folder.root)  # most cut out
    assert verify(folder.root).problems == ["report.html: its numbers are not those that the ledger gives"]


@pytest.mark.slow
def test_verdicts_of_another_version_are_compared_by_their_numbers(folder):
    text("verdicts.json", r'"fgtune": "[^"]*"', '"fgtune": "9.9"')(folder.root)
    text("verdicts.json", r'"reason": "', '"reason": "as they would put it: ')(folder.root)
    outcome = verify(folder.root)
    assert outcome.problems == []
    (note,) = outcome.notes
    assert re.match(r"verdicts.json: was written by fgtune 9.9, numpy .*, this is fgtune .*: its numbers were", note)
    text("verdicts.json", r'"n": \d+', '"n": 9')(folder.root)
    assert verify(folder.root).problems == ["verdicts.json: its numbers are not those that the ledger gives"]
    folder.verdicts_file.write_bytes(b"junk")
    assert verify(folder.root).problems == ["verdicts.json: cannot be read as JSON"]


def test_a_folder_of_a_version_without_verdicts_lacks_nothing(folder):
    folder.verdicts_file.unlink()
    text("report.html", r'<meta name="generator" content="[^"]*">', "")(folder.root)
    outcome = verify(folder.root)
    assert outcome.problems == []
    assert "verdicts.json: is not there, as in earlier versions" in outcome.notes[-1]


@pytest.mark.slow
def test_the_options_of_the_last_call_explain_what_the_study_file_does_not_say(folder):
    """A study that was run with --set is the file with that change."""

    def edit(record):
        record["options"]["overrides"] = ["trial.epochs=3"]
        record["command"] += ["--set", "trial.epochs=3"]

    provenance(edit)(folder.root)
    text("study.yaml", "epochs: 3", "epochs: 50")(folder.root)
    rewrite_report(folder)
    assert verify(folder.root).problems == []


@pytest.mark.parametrize("leaves_out", [r"  space:.*?(?=seeds:)", r"design:.*?(?=seeds:)"])
def test_a_space_that_an_option_names_is_the_one_that_the_search_had(synthetic_search, tmp_path, leaves_out):
    """The file leaves its space, or its whole design, to --set; the file of the space is not needed any more."""
    folder = synthetic_search.SyntheticSearch(trials=3, curves=False).write(tmp_path)
    overrides = ("design.space=gone.yaml",)
    if leaves_out.startswith("design"):
        settings = {"kind": "search", "sampler.kind": "tpe", "trials": "40", "metric": "val/silhouette"}
        overrides = (*(f"design.{key}={value}" for key, value in settings.items()), *overrides)
    options = RunOptions(tmp_path / "given.yaml", overrides=overrides).record()
    provenance(lambda record: record.update(options, study="search_demo"))(folder.root)
    text("study.yaml", leaves_out, "")(folder.root)
    subject = Subject(read_study(folder), folder.root, (), folder.read_provenance())
    assert [finding.problem for finding in check_study(subject) if finding.problem] == []
    text("study.yaml", "Which weights", "Whose weights")(folder.root)
    (problem,) = [finding.problem for finding in check_study(subject) if finding.problem]
    assert problem.startswith("study.yaml: differs from the study in provenance.json in question (")


def test_paths_of_a_folder_elsewhere_do_not_matter(real_folder, tmp_path):
    copy = Path(shutil.copytree(real_folder, tmp_path / "elsewhere" / "renamed"))
    assert verify(copy).problems == []


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("smoke", True, "the options of the last call do not give its command"),
        ("out", "/elsewhere", "the options of the last call do not give its command"),
        ("overrides", 3, "the options of the last call cannot be read"),
        ("unknown", 3, "the options of the last call cannot be read"),
    ],
)
def test_options_that_are_not_those_of_the_command_are_found(folder, key, value, problem):
    provenance(lambda record: record["options"].update({key: value}))(folder.root)
    assert f"provenance.json: {problem}" in verify(folder.root).problems
