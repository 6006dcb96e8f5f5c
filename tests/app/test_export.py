"""Results for other programs and for papers, as the command line writes them."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from fgtune.analysis.table import tidy_table
from fgtune.app.cli import main


@pytest.fixture
def folder(synthetic, tmp_path, ledger_alone):
    faults = synthetic.Faults(missing={("baseline", 4)}, failed={("num_fine_ratio=0.8", 2): "killed"})
    return synthetic.SyntheticStudy(faults=faults).write(tmp_path)


def test_csv_and_parquet_hold_the_tidy_table(folder, capsys, tmp_path):
    table = tidy_table(folder)
    assert main(["export", str(folder.root), "--format", "csv"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert main(["export", str(folder.root), "--format", "parquet", "--out", str(tmp_path / "x.parquet")]) == 0
    for found in (printed, pd.read_parquet(tmp_path / "x.parquet")):
        assert list(found.columns) == list(table.columns)
        assert list(found["cell_id"]) == list(table["cell_id"])
        assert found["test/ari"].to_numpy() == pytest.approx(table["test/ari"].to_numpy(), nan_ok=True)
    assert f"wrote {tmp_path / 'x.parquet'}" in capsys.readouterr().out


def test_a_table_for_a_paper_is_printed_or_written(folder, capsys, tmp_path):
    assert main(["export", str(folder.root), "--format", "latex"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\\begin{table}") == 1
    assert main(["export", str(folder.root), "--format", "latex", "--out", str(tmp_path / "new" / "x.tex")]) == 0
    assert (tmp_path / "new" / "x.tex").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parquet"], "--format: Parquet cannot be shown in a terminal"),
        (["--format", "csv", "--out", "/proc/none/x.csv"], "/proc/none/x.csv: cannot be written"),
        (["--format", "html"], "not one of"),
        ([], "--format, --figures: what to export must be named"),
        (["--format", "csv", "--figures", "pdf"], "--format, --figures: what to export must be named"),
        (["--figures", "jpg"], "not one of"),
        (["--figures", "svg", "--out", "/proc/none"], "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(folder, capsys, arguments, message):
    before = sorted(folder.root.rglob("*"))
    assert main(["export", str(folder.root), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.root.rglob("*")) == before


def test_a_folder_without_a_study_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--format", "csv"]) == 2
    assert "is no study folder" in capsys.readouterr().err


@pytest.mark.slow
def test_compare_tells_writes_and_refuses_as_the_command_line(folder, synthetic, tmp_path, capsys):
    other = synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("kf_demo", "other")).write(tmp_path)
    roots = [str(folder.root), str(other.root)]
    out = tmp_path / "both.csv"
    assert main(["compare", *roots, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "other and kf_demo cannot be compared: the fingerprint of the data of kf_demo is not in" in printed
    assert list(pd.read_csv(out)["study"]) == ["kf_demo"] * 4 + ["other"] * 4
    for arguments, message in (
        (roots[:1], "needs two study folders or more"),
        ([roots[0], f"{roots[0]}/."], "is named twice"),
        ([*roots, "--out", "x.html"], "writes only CSV and Parquet"),
        ([*roots, "--arm", "none"], "has no arm of this name"),
        ([roots[0], str(tmp_path)], "is no study folder"),
    ):
        assert main(["compare", *arguments]) == 2
        assert message in capsys.readouterr().err
