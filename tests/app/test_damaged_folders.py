"""Every file of a study folder, damaged in every way, under every verb: told, made again where it can be, no traceback.

The matrix runs in this process on copies of one trained study of six cells; a run finds all of them finished.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fgtune.app.cli import main

FILES = (
    "provenance.json",
    "study.yaml",
    "study.resolved.yaml",
    "plan.csv",
    "results.jsonl",
    "results.csv",
    "results.parquet",
    "curves.parquet",
    "report.html",
    "verdicts.json",
    "relations/*.npz",
    "predictions/*.npz",
    "coarse_labels/*.npz",
    "failures/*.txt",
    "relations",
    "predictions",
    "coarse_labels",
    "failures",
    ".lock",
)

DERIVED = ("results.csv", "results.parquet", "curves.parquet", "report.html", "verdicts.json", ".lock")


def missing(path: Path) -> None:
    """Remove it."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    """No bytes, or a folder without files."""
    missing(path)
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    """The first half."""
    content = path.read_bytes() if path.is_file() else b"x" * 100
    missing(path)
    path.write_bytes(content[: len(content) // 2])


def junk(path: Path) -> None:
    """Bytes that mean nothing."""
    missing(path)
    path.write_bytes(bytes(range(256)) * 8)


def latin(path: Path) -> None:
    """Text in another encoding, after what was there."""
    content = path.read_bytes() if path.is_file() else b""
    missing(path)
    path.write_bytes(content + "é\xa0ß\n".encode("latin-1"))


def other_kind(path: Path) -> None:
    """A folder in place of a file."""
    missing(path)
    (path / "inside").mkdir(parents=True)


def wrong_types(path: Path) -> None:
    """Text where numbers should be, and deep nesting where text should be."""
    content = path.read_bytes() if path.is_file() else b""
    missing(path)
    text = content.decode("utf-8", errors="replace")
    for key in ("seed", "epochs", "seconds", "data", "host", "looks", "at", "checks", "num_fine"):
        text = text.replace(f'"{key}": ', f'"{key}": "x", "was_{key}": ')
    path.write_text(text.replace(",0,", ",zero,").replace("seeds: 3", "seeds: [[three]]"), encoding="utf-8")


DAMAGES = (missing, empty, truncated, junk, latin, other_kind, wrong_types)


def calls(root: Path, study: Path, out: Path) -> dict[str, list[str]]:
    """The verbs; a run with tracking turned off."""
    return {
        "status": ["status", str(root)],
        "verify": ["verify", str(root), "--no-data"],
        "csv": ["export", str(root), "--format", "csv"],
        "latex": ["export", str(root), "--format", "latex"],
        "predictions": ["export", str(root), "--format", "predictions", "--out", str(out)],
        "power": ["power", str(root)],
        "run": ["run", str(study), "--out", str(root.parent), "--tracking-uri", "none"],
        "report": ["report", str(root)],
    }


@pytest.fixture
def no_training(monkeypatch):
    """A run that would train ends with exit code 99 in its place: cells would run again."""

    def refuse(*_: object) -> None:
        raise SystemExit(99)

    monkeypatch.setattr("fgtune.engine.run._start_ray", refuse)


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_told_and_no_verb_ends_in_a_traceback(
    real_folder, tmp_path, monkeypatch, capsys, no_training, name, damage
):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    study = real_folder.parent.parent / "real.yaml"
    reference = (real_folder / "results.jsonl").read_bytes()
    place = next(iter(sorted(real_folder.glob(name))), real_folder / name).relative_to(real_folder)
    codes = {}
    for verb in calls(real_folder, study, tmp_path):
        root = tmp_path / "real"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(real_folder, root)
        damage(root / place)
        before = (root / "results.jsonl").read_bytes() if (root / "results.jsonl").is_file() else None
        capsys.readouterr()
        codes[verb] = main(calls(root, study, tmp_path / "predictions.csv")[verb])
        said = capsys.readouterr()
        assert codes[verb] in {0, 1, 2, 3, 99}, verb
        if codes[verb] in {1, 2} and verb != "verify":  # refused: one error that names the file and what to do
            assert said.err.startswith(("error: ", "warning: ")), verb
            assert "Fix: " in said.err, verb
            assert "Traceback" not in said.err
        after = (root / "results.jsonl").read_bytes() if (root / "results.jsonl").is_file() else None
        assert after == before, f"{verb} changed the ledger"
    in_the_way = damage is other_kind and name in DERIVED  # only a person can say what that folder is
    if before == reference and not in_the_way:  # what the ledger has is enough for all that follows from it
        assert codes["run"] in {0, 3}, codes
        assert codes["report"] == 0, codes


@pytest.mark.parametrize("name", ["provenance.json", "study.resolved.yaml", "plan.csv", "curves.parquet"])
def test_what_follows_from_the_ledger_is_made_again(real_folder, tmp_path, capsys, name):
    root = Path(shutil.copytree(real_folder, tmp_path / "real"))
    page = (root / "report.html").read_bytes()
    junk(root / name)
    assert main(["report", str(root)]) == 0
    assert f"warning: {name} is damaged (" in capsys.readouterr().err
    if name in {"study.resolved.yaml", "plan.csv"}:  # written anew, byte for byte; what was there is kept
        assert (root / name).read_bytes() == (real_folder / name).read_bytes()
        assert (root / f"{name}.damaged").is_file()
        assert (root / "report.html").read_bytes() == page
    elif name == "curves.parquet":
        assert b"every result is in the ledger" in (root / "report.html").read_bytes()


def test_twelve_results_without_a_provenance_are_a_study_that_goes_on(real_folder, tmp_path, capsys, no_training):
    root = Path(shutil.copytree(real_folder, tmp_path / "real"))
    ledger = (root / "results.jsonl").read_bytes()
    missing(root / "provenance.json")
    study = real_folder.parent.parent / "real.yaml"
    assert main(["run", str(study), "--out", str(tmp_path), "--tracking-uri", "none"]) == 3  # one cell had failed
    assert "all 6 results are kept" in capsys.readouterr().err
    assert (root / "results.jsonl").read_bytes() == ledger
    assert main(["verify", str(root)]) == 0


def test_a_ledger_with_text_for_a_number_is_refused_with_its_line(real_folder, tmp_path, capsys):
    root = Path(shutil.copytree(real_folder, tmp_path / "real"))
    ledger = root / "results.jsonl"
    ledger.write_text(ledger.read_text().replace('"epochs": 3, "levels"', '"epochs": "3", "levels"', 1))
    for verb in ("status", "report"):
        assert main([verb, str(root)]) == 2
        assert "results.jsonl:1: this line of the ledger is not a result" in capsys.readouterr().err


def test_another_number_of_seeds_is_an_extension(real_folder, tmp_path, capsys):
    shutil.copytree(real_folder, tmp_path / "real")
    study = real_folder.parent.parent / "real.yaml"
    more = ["run", str(study), "--out", str(tmp_path), "--tracking-uri", "none", "--set"]
    assert main([*more, "seeds=5"]) == 2
    assert f"fgtune extend {tmp_path / 'real'} --seeds 5" in capsys.readouterr().err
    assert main([*more, "seeds=2"]) == 2
    assert "started with 3 seeds, and it is now asked for with 2" in capsys.readouterr().err


@pytest.mark.slow_except("config2")
@pytest.mark.parametrize(
    "config", [{"kind": "os:system"}, {"kind": "function", "call": "x:y"}, {"data": "x", "epochs": []}]
)
def test_a_ledger_with_settings_of_no_trial_is_read(real_folder, tmp_path, capsys, config):
    root = tmp_path / "real"
    shutil.copytree(real_folder, root)
    first, *others = (root / "results.jsonl").read_text().splitlines()
    (root / "results.jsonl").write_text("\n".join([json.dumps(json.loads(first) | {"config": config}), *others]) + "\n")
    verbs = calls(root, real_folder.parent.parent / "real.yaml", tmp_path / "x.csv")
    verbs["compare"] = ["compare", str(root), str(real_folder), "--html", str(tmp_path / "page.html")]
    verbs["refit"] = ["refit", str(root), "--out", str(tmp_path / "model"), "--tracking-uri", "none"]
    for verb in ("verify", "predictions", "report", "compare", "refit"):
        main(verbs[verb])
        assert "Traceback" not in capsys.readouterr().err, verb


def test_metrics_that_cannot_be_counted_with_count_as_none(real_folder, tmp_path, capsys):
    root = tmp_path / "real"
    shutil.copytree(real_folder, root)
    lines = [json.loads(line) for line in (root / "results.jsonl").read_text().splitlines()]
    huge = [line | {"metrics": dict.fromkeys(line["metrics"], 1.7e308 * (-1) ** n)} for n, line in enumerate(lines)]
    (root / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in huge))
    assert main(["report", str(root)]) == 0
    assert main(["export", str(root), "--figures", "svg", "--out", str(tmp_path / "figures")]) == 0
    assert "Traceback" not in capsys.readouterr().err
