"""``fgtune bench``: what is run, what a later call adds, and what is refused before anything starts."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from fgtune.analysis.bench.columns import BASELINE
from fgtune.analysis.bench.shipped import shipped_results
from fgtune.app.bench import BenchRequest, available, bench, write_tables
from fgtune.app.benching.methods import METHODS, added_methods, chosen_methods
from fgtune.app.benching.studies import methods_in, studies_of, study_text, trial_of, write_study
from fgtune.app.cli import main
from fgtune.config.reading.load import load_study
from fgtune.data.benchmark import SETS
from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder

MINE = """
study: mine
question: Is mine better?
design: {kind: comparison, baseline: plain, arms: [{name: plain}, {name: heavy, set: {objective.lambda_reg: 3.0}}]}
seeds: 1
trial:
  data: {kind: digits}
  model: {backbone: {kind: mlp, hidden: [16]}}
  classes: {num_fine: 10}
  epochs: 2
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path / "mine.yaml"


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_the_studies_of_all_sets_and_methods_are_valid(tmp_path):
    data = {"kind": "digits"}
    for each in SETS.values():
        write_study(tmp_path / "s.yaml", study_text(each.name, each, trial_of(data, 500), METHODS, 3))
        study = load_study(tmp_path / "s.yaml").study
        assert study.design.arms[0].name == BASELINE
        assert study.metrics.primary == "test/within_coarse_accuracy"
        assert len(study.design.arms) == len(METHODS)


def test_the_cheap_baseline_is_always_there_and_first():
    assert list(chosen_methods(("falcon", "falcon"))) == ["kmeans", "falcon"]
    with pytest.raises(ConfigError, match=r"no such method.*choose among kmeans"):
        chosen_methods(("falkon",))


def test_arms_of_a_study_file_become_methods_with_all_of_their_settings(mine):
    found = added_methods([f"{mine}:heavy"], ())
    assert list(found) == ["heavy"]
    assert found["heavy"]["objective"]["lambda_reg"] == 3.0
    assert found["heavy"]["epochs"] == 2
    assert not {"data", "evaluation", "classes"} & set(found["heavy"])
    assert list(added_methods([str(mine)], ())) == ["plain", "heavy"]
    with pytest.raises(ConfigError, match=r"no such arm in the study.*name one of heavy, plain"):
        added_methods([f"{mine}:light"], ())
    mine.write_text(MINE.replace("heavy", "falcon"))
    with pytest.raises(ConfigError, match="of this name is in the benchmark already"):
        added_methods([str(mine)], ())


def test_an_arm_on_several_data_sets_is_one_method_with_its_settings_on_the_first(mine):
    text = (Path(__file__).parents[2] / "studies" / "scan_variants.yaml").read_text()
    mine.write_text(text)
    found = added_methods([f"{mine}:per_class"], ())
    assert found["per_class"]["clustering"]["kind"] == "scan"
    assert found["per_class"]["batch_size"] == 256  # 64 on the last data set
    assert "per_class@digits" not in found
    with pytest.raises(
        ConfigError, match=r"no such arm in the study.*name one of distilled, distilled_then_scan, falcon"
    ):
        added_methods([f"{mine}:nothing"], ())


def test_sets_that_are_not_installed_are_named_with_the_line_that_gets_them(monkeypatch):
    there = {"digits"}
    monkeypatch.setattr("fgtune.data.benchmark.BenchmarkSet.path", lambda self: self.name in there or None)
    console = quiet()
    assert [each.name for each in available((), console)] == ["digits"]
    said = console.file.getvalue()
    assert "penguins is left out: it comes with palmerpenguins; pip install --no-deps palmerpenguins" in said
    assert "digits" not in said
    there.clear()
    with pytest.raises(ConfigError, match="none of the data sets is installed"):
        available(("digits",), quiet())
    with pytest.raises(ConfigError, match="no such data set in the benchmark"):
        available(("didgits",), quiet())


@pytest.mark.parametrize("words", [["--sets", "x"], ["--methods", "x"], ["--add", "nowhere.yaml"]], ids=" ".join)
def test_what_is_refused_leaves_no_folder(words, tmp_path, capsys):
    assert main(["bench", *words, "--out", str(tmp_path / "bench")]) == 2
    assert not (tmp_path / "bench").exists()
    assert capsys.readouterr().err.count("error:") == 1


def test_the_list_names_every_set_and_method(capsys):
    assert main(["bench", "--list"]) == 0
    said = capsys.readouterr().out
    for word in (*SETS, *METHODS, *(each.citation for each in SETS.values())):
        assert word in said


def test_results_that_come_with_the_package_are_printed_as_csv_and_nothing_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--shipped"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(SETS) * len(METHODS)
    assert sum(int(row["complete"]) for row in rows) == 312
    assert all(math.isfinite(float(row["ari"])) for row in rows)
    assert not any(tmp_path.iterdir())


def test_small_studies_are_not_put_beside_results_of_whole_ones(tmp_path):
    for smoke, stem in ((False, "bench"), (True, "bench-smoke")):
        write_tables(tmp_path, smoke=smoke, console=quiet())
        text = (tmp_path / f"{stem}.md").read_text(encoding="utf-8")
        assert ("| within-coarse accuracy | shipped 0.1.0 |" in text) is not smoke


def test_the_line_that_goes_on_asks_for_the_same(monkeypatch, tmp_path):
    asked = BenchRequest(("digits",), ("gmm",), ("mine.yaml:heavy",), 5, True, 90.0, tmp_path / "a b", ("mypackage",))
    seen = []
    monkeypatch.setattr("fgtune.app.bench.bench", lambda given, _: seen.append(given) or 0)
    assert main(shlex.split(asked.command())[1:]) == 0
    assert seen == [asked]
    assert BenchRequest().command() == "fgtune bench"


@pytest.fixture
def in_process(monkeypatch, train_study):
    """Studies are trained one cell after the other, without Ray, until they are in the folder; calls are noted."""
    calls = []

    def execute(options, console):
        calls.append((options.study.name, options.overrides))
        folder = StudyFolder(options.out / options.study.stem)
        if not folder.plan_file.is_file():
            train_study(options.study, options.out, tuple(o for o in options.overrides if o.startswith("seeds")))
        return 0

    def extend(root, seeds, tracking_uri, console, budget):
        calls.append((root.name, seeds))
        return 4

    monkeypatch.setattr("fgtune.engine.run.execute", execute)
    monkeypatch.setattr("fgtune.app.extend.extend", extend)
    return calls


@pytest.mark.slow
def test_a_later_call_runs_a_further_study_for_a_new_method_and_asks_for_seeds_that_lack(tmp_path, in_process):
    out = tmp_path / "bench"
    asked = BenchRequest(sets=("digits",), methods=("gmm",), seeds=1, budget=600.0, out=out)
    assert bench(asked, quiet()) == 0
    assert [name for name, _ in in_process] == ["digits.yaml"]
    assert re.fullmatch(r"execution\.budget\.wall_s=\d+", in_process[0][1][0])
    in_process.clear()
    console = quiet()
    more = BenchRequest(sets=("digits",), methods=("gmm", "ward"), seeds=2, out=out)
    assert bench(more, console) == 4  # what the extension said
    assert in_process == [("digits.yaml", ()), ("digits", 2), ("digits-2.yaml", ())]
    assert "to go on: fgtune bench --sets digits --methods gmm,ward --seeds 2" in console.file.getvalue()
    measured = {}
    for name in ("digits", "digits-2"):
        for line in StudyFolder(out / name).ledger.read():
            measured.setdefault(line.arm, []).append(line.metrics["test/within_coarse_accuracy"])
    assert {arm: len(values) for arm, values in measured.items()} == {"kmeans": 1, "gmm": 1, "ward": 2}
    for row in (out / "bench.csv").read_text().splitlines()[1:]:
        if row.startswith("digits,"):
            cells = row.split(",")
            assert float(cells[7]) == pytest.approx(sum(measured[cells[1]]) / len(measured[cells[1]]))
    assert "ward" in (out / "bench.html").read_text()
    with pytest.raises(ConfigError, match="must be 1 or more"):
        bench(BenchRequest(seeds=0, out=out), quiet())


@pytest.fixture
def limits(monkeypatch, train_study):
    """Time passes as studies spend all of the seconds that they are given; noted are these, study by study."""
    now, given = [0.0], []

    def execute(options, console, opened=None, wait=False):
        folder = StudyFolder(options.out / options.study.stem)
        if opened is None:
            opened = open_study(options.study, options.overrides)
        given.append((options.study.stem, opened.plan.study.execution.budget.wall_s))
        now[0] += given[-1][1] or 0.0
        if not folder.plan_file.is_file():
            train_study(options.study, options.out, options.overrides)
        return 0

    monkeypatch.setattr("fgtune.engine.run.execute", execute)
    monkeypatch.setattr("fgtune.app.bench.time", SimpleNamespace(monotonic=lambda: now[0]))
    return given


@pytest.mark.slow
def test_studies_of_a_data_set_and_their_further_seeds_share_the_time_of_a_call(tmp_path, limits):
    out = tmp_path / "bench"
    assert bench(BenchRequest(sets=("digits",), methods=("gmm",), seeds=1, out=out), quiet()) == 0
    assert limits == [("digits", None)]
    limits.clear()
    assert bench(BenchRequest(("digits",), ("gmm", "ward"), seeds=2, budget=600.0, out=out), quiet()) == 0
    assert [name for name, _ in limits] == ["digits", "digits", "digits-2"]
    assert limits[0] == ("digits", 300.0)
    assert sum(seconds for _, seconds in limits) <= 602.0, "each gets one second at least"
    limits.clear()
    assert bench(BenchRequest(("digits",), ("gmm", "ward"), seeds=3, out=out), quiet()) == 0
    assert {seconds for _, seconds in limits} == {None}, "this call has no limit"


@pytest.mark.integration
@pytest.mark.long
def test_a_small_benchmark_ends_with_a_table_and_a_later_call_adds_a_method_and_seeds(tmp_path, mine, ray_started):
    out = tmp_path / "bench"
    asked = BenchRequest(sets=("digits",), methods=("gmm",), seeds=1, out=out)
    assert bench(asked, quiet()) == 0
    first = StudyFolder(out / "digits").ledger.read()
    assert {line.arm for line in first} == {"kmeans", "gmm"}
    again = BenchRequest(sets=("digits",), methods=("gmm",), added=(f"{mine}:heavy",), seeds=2, out=out)
    assert bench(again, quiet()) == 0
    assert [file.name for file in studies_of(out, "digits")] == ["digits.yaml", "digits-2.yaml"]
    assert methods_in(studies_of(out, "digits")) == {"kmeans", "gmm", "heavy"}
    kept = StudyFolder(out / "digits").ledger.read()
    assert [line.cell_id for line in kept[: len(first)]] == [line.cell_id for line in first]
    assert len(kept) == 4
    table = (out / "bench.csv").read_text()
    assert re.findall(r"^digits,(\w+),2,2,", table, re.MULTILINE) == ["kmeans", "gmm", "heavy"]
    measured = {line.metrics["test/within_coarse_accuracy"] for line in kept if line.arm == "kmeans"}
    mean = float(next(line for line in table.splitlines() if ",kmeans," in line).split(",")[7])
    assert mean == pytest.approx(sum(measured) / len(measured))
    assert json.loads((out / "digits" / "provenance.json").read_text())["extended"]
    assert "heavy" in (out / "bench.html").read_text()
    assert "| digits | heavy | 2 |" in (out / "bench.md").read_text()
    assert f"{shipped_results().scores['digits', 'gmm'][0]:.3f} (" in (out / "bench.md").read_text()
