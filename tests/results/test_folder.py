from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fgtune.config.reading.load import load_study
from fgtune.errors import DamagedFileError, StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, EpochMetrics, RelationsRecord


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    return StudyFolder(tmp_path / "reports" / "small")


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_new_folder_holds_study_plan_and_provenance_before_the_first_trial(folder, make, provenance):
    loaded, plan = make()
    assert folder.check(plan) is False
    folder.create_or_check(plan, loaded, provenance)
    assert sorted(tree(folder.root)) == ["plan.csv", "provenance.json", "study.resolved.yaml", "study.yaml"]
    assert folder.study_file.read_text() == loaded.source_text
    assert folder.read_provenance() == {
        **provenance,
        "hash": 4,
        "results": 4,
        "given": loaded.raw,
        "ledger_chained_after": 0,
    }
    assert folder.check(plan) is True


def test_the_resolved_study_reads_back_to_the_same_study_and_is_a_study_file(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    assert folder.read_study() == plan.study
    assert load_study(folder.resolved_file).study == plan.study
    lines = folder.resolved_file.read_text().splitlines()
    assert lines[0] == f"# The study with every default filled in. Study hash: {plan.study_hash}"
    keys = [line.split(":")[0] for line in lines[1:] if not line.startswith(" ")]
    assert keys == list(plan.study.to_plain())


def test_the_plan_has_one_row_a_cell_and_one_column_a_factor(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    header, *rows = csv.reader(io.StringIO(folder.plan_file.read_text()))
    assert header == ["cell_id", "arm", "seed", *plan.factors]
    assert len(rows) == len(plan.cells) == 10
    assert rows[2][3:] == ["4", '{"kind": "scip", "time_limit_s": 30.0}', "learned", "false"]
    read = folder.read_plan()
    assert [(row["cell_id"], row["arm"], row["seed"]) for row in read] == [
        (cell.cell_id, cell.arm, cell.seed) for cell in plan.cells
    ]
    assert [{factor: row[factor] for factor in plan.factors} for row in read] == [dict(c.levels) for c in plan.cells]


def test_a_study_continued_keeps_its_first_provenance_and_notes_the_next(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    for command in ("second", "third"):
        folder.create_or_check(plan, loaded, {**provenance, "command": [command]})
    record = folder.read_provenance()
    assert record["command"] == ["fgtune"]
    assert [each["command"] for each in record["continued"]] == [["second"], ["third"]]


def test_a_change_of_execution_alone_continues_the_study(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    loaded, plan = make("execution.cpus=2")
    folder.create_or_check(plan, loaded, provenance)
    assert folder.read_study().execution.cpus == 2


def test_another_study_s_folder_is_refused_with_what_differs_and_left_as_it_is(folder, make, provenance):
    folder.create_or_check(make()[1], make()[0], provenance)
    before = tree(folder.root)
    loaded, plan = make("trial.epochs=7", "seeds=3", "execution.cpus=2")
    with pytest.raises(StudyFolderError) as caught:
        folder.create_or_check(plan, loaded, provenance)
    text = str(caught.value)
    assert f"belongs to another study (hash {provenance['study_hash']}, here {plan.study_hash})" in text
    assert "it differs in seeds (2 there, 3 here), trial.epochs (100 there, 7 here)" in text
    assert "execution" not in text
    assert "Fix: choose another folder with --out" in text
    assert tree(folder.root) == before


def test_many_differences_are_cut_short(folder, make, provenance):
    folder.create_or_check(make()[1], make()[0], provenance)
    changes = ["epochs", "batch_size", "optimizer.lr", "teacher.decay", "neighbors.stored", "relations.balance",
               "neighbors.sampled"]  # fmt: skip
    _, plan = make(
        "seeds=9", *(f"trial.{path}={7 if '.' not in path or 'neighbors' in path else 0.5}" for path in changes)
    )
    with pytest.raises(StudyFolderError, match=r"and 2 more"):
        folder.check(plan)


def test_the_same_settings_on_other_data_are_another_study(folder, make, provenance):
    folder.create_or_check(make()[1], make()[0], provenance)
    with pytest.raises(StudyFolderError, match="it has the same settings on other data"):
        folder.check(make(fingerprint="beef")[1])


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(folder, make, provenance):
    folder.root.mkdir(parents=True)
    (folder.root / "thesis.txt").write_text("years of work")
    loaded, plan = make()
    with pytest.raises(StudyFolderError, match=r"is not empty and holds no study\. Fix: choose another with --out"):
        folder.create_or_check(plan, loaded, provenance)
    with pytest.raises(StudyFolderError, match="is not empty"), folder.lock():
        pass
    assert list(tree(folder.root)) == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(folder, make):
    folder.root.parent.mkdir()
    folder.root.write_text("x")
    with pytest.raises(StudyFolderError, match="must be a folder"):
        folder.check(make()[1])


def test_a_creation_cut_short_is_taken_up_again(folder, make, provenance):
    loaded, plan = make()
    with folder.lock():
        (folder.root / ".provenance.json.1.tmp").write_text("{")
        assert folder.check(plan) is False
        folder.create_or_check(plan, loaded, provenance)
    folder.plan_file.unlink()
    folder.study_file.unlink()
    folder.create_or_check(plan, loaded, provenance)
    assert folder.plan_file.exists()


def test_a_damaged_provenance_is_written_anew_for_the_same_study_and_set_aside(folder, make, provenance):
    folder.create_or_check(make()[1], make()[0], provenance)
    folder.provenance_file.write_text("{")
    with pytest.raises(StudyFolderError, match=r"provenance\.json: is not JSON\. Fix: restore it"):
        folder.read_provenance()
    assert folder.check(make()[1])
    folder.create_or_check(make()[1], make()[0], provenance)
    assert folder.read_provenance()["rebuilt"] is True
    assert (folder.root / "provenance.json.damaged").read_text() == "{"


def test_a_study_whose_provenance_is_lost_keeps_others_out(folder, make, provenance):
    folder.create_or_check(make()[1], make()[0], provenance)
    folder.provenance_file.unlink()
    with pytest.raises(StudyFolderError, match=r"belongs to another study .*, and its provenance\.json is lost"):
        folder.check(replace(make()[1], study_hash="0" * 12))


@pytest.mark.slow
@pytest.mark.integration
def test_two_processes_never_write_one_folder(folder):
    holder = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from fgtune.results.folder import StudyFolder
        with StudyFolder(Path({str(folder.root)!r})).lock():
            print("held", flush=True)
            sys.stdin.read()
    """)
    with subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        rule = rf"is being written by process {process.pid} of .*\. Fix: wait for it"
        with pytest.raises(StudyFolderError, match=rule), folder.lock():
            pass
        process.stdin.close()
        process.wait(timeout=60)
    with folder.lock():
        assert folder.lock_file.read_text().strip() == str(os.getpid())
    with folder.lock():
        pass


def test_relations_are_read_back_exactly_and_without_pickles(folder):
    record = RelationsRecord(
        fine_to_coarse=np.array([[0, 1, 1]]),
        coarse_counts=np.arange(6).reshape(1, 3, 2),
        true_fine_to_coarse=np.array([[0, 1]]),
        fine_counts=np.arange(6).reshape(3, 2),
        within_counts=np.arange(6).reshape(3, 2)[::-1],
    )
    path = folder.write_relations("c0", record)
    assert path == folder.root / "relations" / "c0.npz"
    read = folder.read_relations("c0")
    for name, value in vars(record).items():
        np.testing.assert_array_equal(getattr(read, name), value)
        assert getattr(read, name).dtype == np.int64
    assert folder.read_relations("c1") is None


def test_relations_without_fine_labels_are_read_back_without_them(folder):
    folder.write_relations("c0", RelationsRecord(np.zeros((1, 2), np.int64), np.zeros((1, 2, 1), np.int64)))
    read = folder.read_relations("c0")
    assert read.true_fine_to_coarse is None
    assert read.fine_counts is None


def history(epochs: int, **last: float) -> list[EpochMetrics]:
    made = [EpochMetrics(n, 5 * n, {"train/loss": 1 / n}, 0.5) for n in range(1, epochs)]
    return [*made, EpochMetrics(epochs, 5 * epochs, {"train/loss": 1 / epochs, **last}, 0.5)]


def test_without_curves_the_table_is_empty(folder):
    assert list(folder.read_curves().columns) == ["cell_id", "arm", "seed", "epoch", "step", "seconds"]
    assert len(folder.read_curves()) == 0


def test_curves_of_cells_with_different_metrics_make_one_table(folder):
    folder.write_curve("c1", "b", 1, history(2, **{"test/ari": 0.25}))
    folder.write_curve("c0", "a", 0, history(3))
    curves = folder.read_curves()
    assert list(curves["cell_id"]) == ["c0"] * 3 + ["c1"] * 2
    assert list(curves["train/loss"]) == [1.0, 0.5, 1 / 3, 1.0, 0.5]
    assert curves["test/ari"].isna().tolist() == [True, True, True, True, False]
    assert curves["epoch"].tolist() == [1, 2, 3, 1, 2]


def test_gathered_curves_are_the_same_table_and_newer_parts_replace_rows(folder):
    folder.write_curve("c0", "a", 0, history(3))
    folder.write_curve("c1", "b", 0, history(2))
    before = folder.read_curves()
    assert folder.gather_curves() == folder.curves_file
    assert not list(folder.curves_dir.iterdir())
    pd.testing.assert_frame_equal(folder.read_curves(), before)
    pd.testing.assert_frame_equal(pd.read_parquet(folder.curves_file), before)
    folder.write_curve("c0", "a", 0, history(5))
    curves = folder.read_curves()
    assert curves.groupby("cell_id").size().to_dict() == {"c0": 5, "c1": 2}
    folder.gather_curves()
    pd.testing.assert_frame_equal(folder.read_curves(), curves)


def test_an_empty_history_leaves_a_readable_folder(folder):
    folder.write_curve("c0", "a", 0, [])
    folder.write_curve("c1", "a", 1, history(2))
    assert folder.read_curves()["cell_id"].tolist() == ["c1", "c1"]
    folder.gather_curves()
    folder.write_curve("c0", "a", 0, [])
    folder.write_curve("c1", "a", 1, history(3))
    assert folder.read_curves()["cell_id"].tolist() == ["c1"] * 3


def plain_result(cell_id: str) -> dict[str, object]:
    texts = dict.fromkeys(("arm", "config_hash"), "x") | {"cell_id": cell_id, "state": "COMPLETE"}
    return texts | {"seed": 0, "seconds": 1.0, "epochs": 1, "metrics": {}, "levels": {}, "config": {}}


def test_a_folder_that_is_continued_knows_how_many_lines_were_not_chained(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    record = folder.read_provenance()
    del record["ledger_chained_after"]  # as an earlier version wrote it
    folder.provenance_file.write_text(json.dumps(record))
    folder.ledger_file.write_text("".join(f"{json.dumps(plain_result(cell))}\n" for cell in "ab"))
    for _ in range(2):
        folder.create_or_check(plan, loaded, provenance)
        assert folder.read_provenance()["ledger_chained_after"] == 2
        folder.ledger.append(CellResult.from_plain(plain_result("c")))
    assert folder.ledger.chain.broken == ()
    assert folder.ledger.chain.unchained == 2


def test_a_resolved_study_that_is_no_yaml_is_an_error_at_its_place(folder, make, provenance):
    loaded, plan = make()
    folder.create_or_check(plan, loaded, provenance)
    folder.provenance_file.unlink()  # from which the study would be made again
    folder.resolved_file.write_text("study: a\nstudy: [", encoding="utf-8")
    for _ in range(2):  # a text that was read before, too
        with pytest.raises(DamagedFileError) as caught:
            StudyFolder(folder.root).read_study()
        assert str(caught.value).startswith(f"{folder.resolved_file}:2")
