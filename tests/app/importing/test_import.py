"""Runs from elsewhere: the folder they make, its verdicts against SciPy's, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import threading

import numpy as np
import pandas as pd
import pytest
import support.synthetic as synthetic
from scipy import stats
from typer.testing import CliRunner

import fgtune
from fgtune.app.cli import app, main
from fgtune.app.importing.rows import read_rows
from fgtune.app.verify import verify
from fgtune.errors import ConfigError
from fgtune.reporting.html import write_up
from fgtune.results.folder import StudyFolder

ODD = "<script>alert('x')</script> & \"ümlaut\", 4 %"


def rows_of(arms, seeds, shift=None, noise=0.01, seed=0):
    """One row a run: a block effect that all arms share, a shift of the arm, and noise."""
    random = np.random.default_rng(seed)
    block = random.normal(0.0, 0.05, size=max(seeds) + 1)
    return [
        {"arm": arm, "seed": s, "score": 0.6 + block[s] + (shift or {}).get(arm, 0.0) + random.normal(0.0, noise)}
        for arm in arms
        for s in seeds
    ]


def write(path, rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def imported(tmp_path, rows, name="runs", **options):
    settings = {"primary": "score", "direction": "maximize", "baseline": "base", "range": (0, 1)}
    table = write(tmp_path / f"{name}.csv", rows)
    return fgtune.import_results(table, out=tmp_path / "out", **(settings | options))


def contrast(results, arm):
    content = json.loads(results.folder.verdicts_file.read_text(encoding="utf-8"))
    return next(each for each in content["contrasts"] if each["arm"] == arm)


def refused(tmp_path, rows, **options):
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, rows, **options)
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_the_command_makes_a_folder_that_agrees_with_itself_and_says_where_its_verdicts_are(tmp_path):
    table = write(tmp_path / "r.csv", rows_of(["base", "better", "same"], range(20), {"better": 0.1}))
    arguments = ["import", str(table), "--primary", "score", "--direction", "maximize", "--baseline", "base"]
    done = CliRunner().invoke(app, [*arguments, "--range", "0", "1", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert f"verdicts: {tmp_path / 'out' / 'verdicts.json'}" in done.output
    outcome = verify(tmp_path / "out")
    assert outcome.problems == []
    assert outcome.compared > 500


@pytest.mark.usefixtures("without_page")
def test_differences_are_paired_by_seed_whatever_the_order_of_the_rows(tmp_path):
    rows = rows_of(["base", "better", "same"], range(20), {"better": 0.1})
    shuffled = [rows[place] for place in np.random.default_rng(3).permutation(len(rows))]
    results = imported(tmp_path, shuffled)
    value = {(row["arm"], row["seed"]): row["score"] for row in rows}
    found = {arm: [value[arm, s] - value["base", s] for s in range(20)] for arm in ("better", "same")}
    p = {arm: stats.ttest_1samp(values, 0.0).pvalue for arm, values in found.items()}
    for arm, values in found.items():
        assert contrast(results, arm)["n"] == 20
        assert contrast(results, arm)["difference"] == pytest.approx(np.mean(values), rel=1e-12)
    assert contrast(results, "better")["p_adjusted"] == pytest.approx(
        2 * p["better"], rel=1e-9
    )  # Holm, smallest of two
    assert contrast(results, "better")["verdict"] == "helps"
    assert contrast(results, "same")["verdict"] == "equivalent"


def test_a_metric_to_minimise_judges_the_other_way(tmp_path):
    rows = rows_of(["base", "higher"], range(20), {"higher": 0.1})
    assert contrast(imported(tmp_path, rows, direction="minimize"), "higher")["verdict"] == "hurts"


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize(
    ("options", "margin"),
    [({}, 0.02), ({"margin": 0.05}, 0.05), ({"range": None}, None), ({"range": (0, 2)}, None)],
)
def test_only_a_metric_on_the_unit_interval_has_a_margin_that_nobody_stated(tmp_path, options, margin):
    results = imported(tmp_path, rows_of(["base", "same"], range(40)), **options)
    assert contrast(results, "same")["margin"] == margin
    assert (contrast(results, "same")["verdict"] == "equivalent") == (margin is not None)


def test_a_column_named_like_a_metric_of_fgtune_is_no_metric_of_fgtune(tmp_path):
    rows = [row | {"test/clustering_accuracy": 7 * row["score"]} for row in rows_of(["base", "same"], range(20))]
    results = imported(tmp_path, rows, primary="test/clustering_accuracy", range=None)
    assert contrast(results, "same")["margin"] is None
    assert verify(results.folder.root).problems == []


def test_lost_cells_count_with_their_range_at_worst(tmp_path):
    rows = rows_of(["base", "better"], range(20), {"better": 0.03})
    for row in rows:
        if row["arm"] == "better" and row["seed"] == 4:
            row |= {"state": "FAIL", "score": "", "cause": "out of memory"}
        if row["arm"] == "better" and row["seed"] == 5:
            row |= {"score": "NaN"}
    bounded = imported(tmp_path, rows)
    found = contrast(bounded, "better")
    assert (found["n"], found["lost"]) == (18, 2)
    assert found["lost_in_arm"] == {"failed": [4], "undefined": [5], "stopped": []}
    assert (found["verdict"], found["doubt"], found["tests_say"]) == ("undecided", "lost", "helps")
    assert "out of memory" in bounded.failed["cause"].item()
    (tmp_path / "other").mkdir()
    unbounded = imported(tmp_path / "other", rows, range=None)
    assert contrast(unbounded, "better")["verdict"] == "undecided"


def test_pairs_that_were_stopped_early_leave_the_arm_undecided(tmp_path):
    rows = [row | {"state": "COMPLETE"} for row in rows_of(["base", "better"], range(20), {"better": 0.1})]
    rows[-1]["state"] = "PRUNED"
    found = contrast(imported(tmp_path, rows), "better")
    assert (found["verdict"], found["doubt"], found["lost_in_arm"]["stopped"]) == ("undecided", "stopped", [19])


def test_pairs_that_the_table_lacks_are_missing_and_not_lost(tmp_path):
    rows = [row for row in rows_of(["base", "other"], range(8)) if (row["arm"], row["seed"]) != ("other", 3)]
    results = imported(tmp_path, rows)
    found = contrast(results, "other")
    assert (found["n"], found["lost"]) == (7, 0)
    assert results.verdicts.cells.missing == 1
    assert "1 of 16 pairs of arm and seed" in results.report.read_text(encoding="utf-8")


def test_arms_without_a_seed_in_common_are_undecided(tmp_path):
    rows = [*rows_of(["base"], range(4)), *rows_of(["other"], range(4, 8))]
    assert contrast(imported(tmp_path, rows), "other")["n"] == 0


def test_one_seed_makes_a_report_and_no_verdict(tmp_path):
    results = imported(tmp_path, rows_of(["base", "other"], [7]))
    assert contrast(results, "other")["verdict"] == "undecided"
    assert verify(results.folder.root).problems == []


def test_an_arm_may_have_any_name(tmp_path):
    arms = [ODD, "null", "1.0", "true", "a b", "=1+1", "x" * 200, "line\nbreak", "-", "[1]"]
    results = imported(tmp_path, rows_of(["base", *arms], range(3)))
    assert [contrast(results, arm)["n"] for arm in arms] == [3] * len(arms)
    assert set(results.table["arm"]) == {"base", *arms}
    assert verify(results.folder.root).problems == []


def test_a_name_cannot_become_markup(tmp_path):
    page = imported(tmp_path, rows_of(["base", ODD], range(3))).report.read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_says_what_was_imported_and_nothing_of_classes(tmp_path):
    page = imported(tmp_path, rows_of(["base", "other"], range(3))).report.read_text(encoding="utf-8")
    body = page[page.index("<body>") : page.index('<script type="application/json"')]
    assert "What was imported" in body
    assert "runs.csv, 6 rows" in body
    for word in (
        "K_F",
        "coarse",
        "fine labels",
        "relations",
        "fgtune extend",
        "--retry-failed",
        "split, initial weights and",
    ):
        assert word not in body


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    results = imported(tmp_path, rows_of(["base", "other"], range(6)))
    first = results.report.read_bytes(), results.folder.verdicts_file.read_bytes()
    write_up(StudyFolder(results.folder.root))
    assert (results.report.read_bytes(), results.folder.verdicts_file.read_bytes()) == first


def test_several_epochs_are_curves_and_the_last_one_counts(tmp_path):
    rows = [
        row | {"epoch": epoch, "score": row["score"] - 0.1 * (30 - epoch) / 10}
        for row in rows_of(["base", "other"], range(4))
        for epoch in (30, 10, 20)
    ]
    results = imported(tmp_path, rows)
    assert list(results.curves["epoch"].unique()) == [10, 20, 30]
    last = {(row["arm"], row["seed"]): row["score"] for row in rows if row["epoch"] == 30}
    assert {(arm, seed): score for arm, seed, score in results.table[["arm", "seed", "score"]].to_numpy()} == last
    assert "Learning curves" in results.report.read_text(encoding="utf-8")
    assert verify(results.folder.root).problems == []


def test_other_metrics_are_shown_and_judged_only_with_a_direction(tmp_path):
    rows = [row | {"loss": 1 - row["score"], "size": 3} for row in rows_of(["base", "other"], range(4))]
    results = imported(tmp_path, rows, metrics={"loss": "minimize"})
    directions = {info.name: info.direction for info in results.summary.metrics}
    assert directions == {"score": "maximize", "loss": "minimize", "size": "none"}
    assert {each.metric for each in results.summary.exploratory} == {"loss", "size"}


@pytest.mark.usefixtures("without_page")
def test_a_frame_gives_the_same_numbers_as_its_file(tmp_path):
    rows = rows_of(["base", "other"], range(5))
    of_file = imported(tmp_path, rows)
    options = {"primary": "score", "direction": "maximize", "baseline": "base", "range": (0, 1)}
    of_frame = fgtune.import_results(pd.DataFrame(rows), out=tmp_path / "frame", **options)
    parquet = tmp_path / "R.PARQUET"
    pd.DataFrame(rows).to_parquet(parquet)
    of_parquet = fgtune.import_results(parquet, out=tmp_path / "parquet", **options)
    assert contrast(of_frame, "other") == contrast(of_file, "other") == contrast(of_parquet, "other")


def change(rows, **values):
    """The rows with values of the third one replaced."""
    return [row | values if place == 2 else row for place, row in enumerate(rows)]


GOOD = rows_of(["base", "other"], range(3))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (change(GOOD, score="good"), ["row 4", "score", "'good'", "number"]),
        (change(GOOD, score="12%"), ["row 4", "score", "'12%'"]),
        (change(GOOD, seed="1.5"), ["row 4", "seed", "'1.5'", "whole number"]),
        (change(GOOD, seed=-1), ["row 4", "seed", "'-1'"]),
        (change(GOOD, seed="9" * 5000), ["row 4", "seed"]),
        (change(GOOD, seed=""), ["row 4", "seed", "''"]),
        (change(GOOD, arm=""), ["row 4", "arm"]),
        (change(GOOD, arm="x" * 201), ["row 4", "arm", "200"]),
        (change(GOOD, seed=0), ["row 4", "row 2", "'base'", "seed 0"]),
        (change(GOOD, state="CRASHED"), ["row 4", "state", "'CRASHED'", "COMPLETE, PRUNED, FAIL"]),
        (change(GOOD, score=1.5), ["row 4", "score", "1.5", "0 to 1"]),
        ([row | {"epoch": 0} for row in GOOD], ["row 2", "epoch", "'0'"]),
        ([*(row | {"epoch": 1} for row in GOOD), GOOD[0] | {"epoch": 1}], ["row 8", "row 2", "epoch 1"]),
        ([row | {"git": "a1b2"} for row in GOOD], ["row 2", "git", "'a1b2'", "--ignore git"]),
        ([row | {"label": 1} for row in GOOD], ["'label'", "rename"]),
        ([row | {"cost/seconds": 1} for row in GOOD], ["'cost/seconds'", "--ignore cost/seconds"]),
        ([row | {"agreement": 1} for row in GOOD], ["'agreement'", "already means something"]),
        ([{"arm": "base", "score": 1}], ["seed", "column"]),
        ([{"arm": "base", "seed": 1}], ["no column that is a metric"]),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_nothing_is_written(tmp_path, rows, words):
    text = refused(tmp_path, rows)
    assert all(word in text for word in words), text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"primary": "scor"}, ["--primary", "did you mean 'score'"]),
        ({"baseline": "bass"}, ["--baseline", "did you mean 'base'"]),
        ({"direction": "up"}, ["--direction", "maximize or minimize"]),
        ({"range": (1, 0)}, ["--range", "[1, 0]"]),
        ({"margin": 0.0}, ["--margin", "positive"]),
        ({"margin": math.nan}, ["--margin", "positive"]),
        ({"metrics": {"loss": "minimize"}}, ["--metric", "'loss'"]),
        ({"ignore": ["nothing"]}, ["--ignore", "'nothing'"]),
        ({"overrides": ["trial.curves=true"]}, ["--set", "metrics.alpha"]),
        ({"overrides": ["metrics.alpha=2"]}, ["metrics.alpha", "< 0.5"]),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, words):
    text = refused(tmp_path, GOOD, **options)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    "content", [b"", b"arm,seed,score\n", b"arm,seed,score\nbase,1\n", b"arm,seed,score\n\xff,1,2\n"]
)
def test_a_file_that_is_no_table_of_runs_is_refused(tmp_path, content, capsys):
    table = tmp_path / "r.csv"
    table.write_bytes(content)
    arguments = ["import", str(table), "--primary", "score", "--direction", "maximize", "--baseline", "base"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert str(table) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_that_grew_updates_its_folder_and_further_seeds_are_a_look(tmp_path):
    rows = rows_of(["base", "better", "late"], range(12), {"better": 0.1})
    first = imported(tmp_path, [row for row in rows if row["seed"] < 6 and row["arm"] != "late"])
    before = contrast(first, "better")["p_adjusted"]
    lines = first.folder.ledger_file.read_bytes()
    grown = imported(tmp_path, [*reversed(rows)], name="later")
    assert grown.folder.ledger_file.read_bytes().startswith(lines)
    content = json.loads(grown.folder.verdicts_file.read_text(encoding="utf-8"))
    assert [look["seeds"] for look in content["looks"]] == [6, 12]
    assert contrast(grown, "better")["n"] == 12
    assert contrast(grown, "better")["p_adjusted"] != before
    assert verify(grown.folder.root).problems == []


def test_importing_the_same_table_again_changes_no_byte(tmp_path):
    results = imported(tmp_path, GOOD)
    files = {path: path.read_bytes() for path in results.folder.root.iterdir() if path.name != ".lock"}
    again = imported(tmp_path, GOOD)
    assert {path: path.read_bytes() for path in again.folder.root.iterdir() if path.name != ".lock"} == files


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (GOOD[:-1], {}, ["lacks", "'other', seed 2"]),
        (change(GOOD, score=0.5), {}, ["other values", "'base', seed 2"]),
        (GOOD, {"margin": 0.1}, ["judged otherwise", "equivalence_margin"]),
        (GOOD, {"direction": "minimize"}, ["judged otherwise", "direction"]),
        (GOOD, {"baseline": "other"}, ["judged otherwise", "baseline"]),
        ([row | {"loss": 1} for row in GOOD], {}, ["judged otherwise"]),
    ],
)
def test_a_table_that_did_more_than_grow_is_refused_and_the_folder_stays(tmp_path, rows, options, words):
    results = imported(tmp_path, GOOD)
    files = {path: path.read_bytes() for path in results.folder.root.iterdir() if path.name != ".lock"}
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, rows, **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert {path: path.read_bytes() for path in results.folder.root.iterdir() if path.name != ".lock"} == files


def test_a_changed_ledger_line_is_found(tmp_path):
    results = imported(tmp_path, GOOD)
    ledger = results.folder.ledger_file
    ledger.write_text(ledger.read_text(encoding="utf-8").replace("0.6", "0.7", 1), encoding="utf-8")
    assert verify(results.folder.root).problems


@pytest.mark.parametrize(
    "arguments",
    [["run", "{}/study.yaml"], ["extend", "{}", "--seeds", "9"], ["refit", "{}"], ["verify", "{}", "--rerun", "1"]],
)
def test_what_would_run_cells_says_that_they_come_from_elsewhere(tmp_path, capsys, arguments):
    results = imported(tmp_path, GOOD)
    assert main([each.format(results.folder.root) for each in arguments]) == 2
    error = capsys.readouterr().err
    assert "made elsewhere" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("verb", ["report", "status", "power", "verify"])
def test_what_reads_folders_reads_this_one(tmp_path, verb):
    results = imported(tmp_path, rows_of(["base", "other"], range(6)))
    assert CliRunner().invoke(app, [verb, str(results.folder.root)]).exit_code == 0


@pytest.mark.usefixtures("without_page")
def test_studies_of_imported_runs_stand_side_by_side_and_are_not_paired(tmp_path):
    roots = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        roots.append(str(imported(tmp_path / name, rows_of(["base", "other"], range(6))).folder.root))
    done = CliRunner().invoke(app, ["compare", *roots])
    assert done.exit_code == 0
    assert "cannot be compared" in done.output


FAULTS = {
    "nothing": synthetic.Faults(),
    "failed": synthetic.Faults(failed={("cvxpy", 3): "crashed"}),
    "undefined in the baseline": synthetic.Faults(undefined={("flow", 2)}),
    "stopped": synthetic.Faults(pruned={("scip", 1)}),
    "missing": synthetic.Faults(missing={("scip", 0), ("cvxpy", 5)}),
    "collapsed": synthetic.Faults(collapsed={("cvxpy", 4)}),
}


@pytest.mark.slow_except(
    "None-nothing", "None-failed", "None-collapsed", "0.03-undefined in the baseline", "0.03-missing", "0.03-stopped"
)
@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("margin", [None, 0.03])
def test_the_verdicts_are_those_of_the_same_runs_in_a_study_of_fgtune(tmp_path, faults, margin):
    primary = "test/ari"
    stated = "" if margin is None else f", equivalence_margin: {margin}"
    text = synthetic.SOLVER_STUDY.replace("seeds: 5", f"seeds: 10\nmetrics: {{primary: {primary}, also: []{stated}}}")
    own = synthetic.SyntheticStudy(text=text, accuracy={"scip": 0.8}, faults=FAULTS[faults]).write(tmp_path / "own")
    write_up(own)
    rows = [
        {"arm": line.arm, "seed": line.seed, "state": line.state.value, "ari": line.metrics.get(primary, math.nan)}
        for line in own.ledger.read()
    ]
    options = {"primary": "ari", "baseline": "flow", "range": (-0.5, 1.0), "margin": margin}
    ours, theirs = (
        json.loads(folder.verdicts_file.read_text(encoding="utf-8"))["contrasts"]
        for folder in (own, imported(tmp_path, rows, **options).folder)
    )
    worded = {"metric", "reason", "sentence"}  # with the name of the metric in them
    ours, theirs = (
        {each["arm"]: {key: value for key, value in each.items() if key not in worded} for each in found}
        for found in (ours, theirs)
    )
    assert ours == theirs


@pytest.mark.slow_except("metrics", "seeds")
@pytest.mark.parametrize(
    ("head", "lines", "words"),
    [
        (",".join(f"m{n}" for n in range(299)), ["1," * 298 + "1"], "must have at most 300 columns, got 301"),
        ("score", ["0.5"] * 10_001, "at most 10,000 seeds"),
        ("x", ["1"] * 1_700_000, "must have at most 5,000,000 values"),
    ],
    ids=["metrics", "seeds", "values"],
)
def test_a_table_that_is_too_large_is_refused_before_it_is_a_study(tmp_path, capsys, head, lines, words):
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([f"arm,seed,{head}", *(f"a,{n},{line}" for n, line in enumerate(lines))]) + "\n")
    options = ["--primary", "score", "--direction", "maximize", "--baseline", "a", "--out", str(tmp_path / "out")]
    assert main(["import", str(path), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_page")
def test_an_import_waits_if_asked(tmp_path, capsys):
    path = write(tmp_path / "runs.csv", rows_of(("base", "b"), range(3)))
    out = tmp_path / "out"
    command = ["import", str(path), "--primary", "score", "--direction", "maximize", "--baseline", "base"]
    assert main([*command, "--out", str(out)]) == 0
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with StudyFolder(out).lock():
            held.set()
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    assert main([*command, "--out", str(out)]) == 2
    threading.Timer(1.0, free.set).start()
    capsys.readouterr()
    assert main([*command, "--out", str(out), "--wait"]) == 0
    holder.join()
    assert "is being written by process" in capsys.readouterr().out


def test_lines_that_end_as_on_an_old_macintosh_are_lines(tmp_path):
    header, *rows = [f"arm,seed,score{''.join(f',m{n}' for n in range(20))}"] + [
        f"{arm},{seed},0.{seed}{',1' * 20}" for arm in ("a", "b") for seed in range(40)
    ]
    for name, end in (("unix", "\n"), ("windows", "\r\n"), ("old", "\r")):
        (tmp_path / f"{name}.csv").write_bytes(end.join([header, *rows, ""]).encode())
    tables = [read_rows(tmp_path / f"{name}.csv") for name in ("unix", "windows", "old")]
    assert len(tables[0].cells) == 80
    assert {(each.columns, each.cells) for each in tables} == {(tables[0].columns, tables[0].cells)}


def test_a_row_of_another_length_ends_the_reading(tmp_path):
    path = tmp_path / "runs.csv"
    head = "arm,seed,score\na,0,0.5\n"
    for content, words in {
        head + "b,0\n" + "c,0,1\n" * 5: "row 3: has 2 values, the header names 3 columns",
        head + "b,0,1,2\n": "row 3: has 4 values",
        head + "\n" + "b,0,1\n": "row 3: has 0 values",
        head + "b,0" + "," * 21_000_000 + "\n": "must have at most 5,000,000 values",
    }.items():
        path.write_text(content)
        with pytest.raises(ConfigError, match=words):
            read_rows(path)
    path.write_text(head + ",\n\n , , ,\n")
    assert read_rows(path).cells == (("a", "0", "0.5"),)


def test_a_small_parquet_file_of_large_values_is_refused_before_they_become_texts(tmp_path):
    path = tmp_path / "runs.parquet"
    pd.DataFrame({"arm": [bytes(10**7)] * 20}).to_parquet(path, compression="zstd")
    with pytest.raises(ConfigError, match=r"holds 200 MB of values, and at most 67 MB are read"):
        read_rows(path)
