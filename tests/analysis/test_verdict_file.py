"""``verdicts.json``: what a program reads is what the report says, for every design, and keeps its schema."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdict_file import Verdicts, verdicts_schema
from fgtune.analysis.verdict_records import verdicts_of, write_verdicts
from fgtune.errors import ConfigError
from fgtune.reporting.html import write_up

pytestmark = pytest.mark.usefixtures("without_page")

VALIDATOR = jsonschema.Draft202012Validator(verdicts_schema())


def _stored(folder) -> dict:
    """The file of a folder, which must keep the schema and read back as it was."""
    stored = json.loads(folder.verdicts_file.read_text(encoding="utf-8"))
    VALIDATOR.validate(stored)
    read = Verdicts.model_validate_json(folder.verdicts_file.read_bytes())
    assert read.to_bytes() == folder.verdicts_file.read_bytes()
    return stored


def test_the_schema_is_valid_describes_every_field_and_refuses_what_is_not_in_it():
    jsonschema.Draft202012Validator.check_schema(verdicts_schema())
    tables = [verdicts_schema(), *(each for each in verdicts_schema()["$defs"].values() if "properties" in each)]
    assert len(tables) >= 6
    for table in tables:
        assert set(table["required"]) == set(table["properties"])
        assert table["additionalProperties"] is False
        assert all("description" in field or "$ref" in field for field in table["properties"].values())


def test_a_study_without_a_choice_of_its_own(synthetic, kf_accuracy, tmp_path):
    faults = synthetic.Faults(
        failed={("num_fine_ratio=1.5", 2): "crashed"}, undefined={("baseline", 4)}, missing={("num_fine_ratio=1.2", 1)}
    )
    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy, faults=faults).write(tmp_path)
    write_up(folder)
    stored, summary = _stored(folder), summarise(folder)
    assert stored["schema"] == 1
    assert stored["study_hash"] == folder.read_provenance()["study_hash"]
    assert (stored["alpha"], stored["margin"], stored["judged_by"]) == (0.05, 0.02, "mean")
    assert stored["cells"] == {"planned": 20, "complete": 18, "failed": 1, "pruned": 0, "missing": 1}
    assert stored["answer"] == summary.answer
    assert stored["warnings"] == list(summary.warnings)
    assert [(look["seeds"], look["level"]) for look in stored["looks"]] == [(5, pytest.approx(0.04))]
    assert stored["looks"][0]["open"] == [each.label for each in summary.contrasts if not each.is_decided]
    by_arm = {each["arm"]: each for each in stored["contrasts"]}
    assert list(by_arm) == [each.arm for each in summary.contrasts]
    for item in summary.contrasts:
        found, judgement = by_arm[item.arm], item.judgement
        assert (found["baseline"], found["metric"]) == ("baseline", "test/clustering_accuracy")
        assert (found["verdict"], found["reason"]) == (judgement.verdict, judgement.reason)
        assert (found["difference"], found["low"], found["high"]) == (
            item.contrast.estimate.mean, item.contrast.estimate.low, item.contrast.estimate.high
        )  # fmt: skip
        assert found["p_adjusted"] == judgement.p_adjusted
    lost = by_arm["num_fine_ratio=1.5"]
    assert (lost["n"], lost["lost"]) == (3, 2)
    assert lost["lost_in_arm"] == {"failed": [2], "undefined": [], "stopped": []}
    assert lost["lost_in_baseline"] == {"failed": [], "undefined": [4], "stopped": []}


def test_what_is_undefined_is_null(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")).write(tmp_path)
    write_up(folder)
    first = _stored(folder)["contrasts"][0]
    assert math.isfinite(first["difference"])
    assert [first[key] for key in ("low", "high", "p_adjusted", "p_equivalent", "advice")] == [None] * 5
    assert first["verdict"] == "undecided"


def test_advice_on_pairs_is_there_where_the_report_gives_it(synthetic, kf_accuracy, tmp_path):
    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path)
    advised = {item.arm: item.advice for item in summarise(folder).contrasts if item.advice is not None}
    write_up(folder)
    found = {each["arm"]: each["advice"] for each in _stored(folder)["contrasts"] if each["advice"] is not None}
    assert found == {arm: {"low": advice.low, "high": advice.high} for arm, advice in advised.items()}
    assert found


@pytest.mark.usefixtures("without_curves")
def test_a_search_has_choices_and_no_contrasts(synthetic_search, tmp_path):
    folder = synthetic_search.SyntheticSearch().write(tmp_path)
    write_up(folder)
    stored, search = _stored(folder), summarise(folder).search
    assert stored["contrasts"] == []
    (chosen,) = stored["chosen"]
    (selection,) = search.searched
    assert (chosen["criterion"], chosen["arm"], chosen["among"]) == ("val/silhouette", selection.arm, selection.n)
    assert chosen["levels"] == dict(search.trial(selection.arm).levels)
    assert chosen["held_out_difference"] == selection.primary.held_out.mean
    assert chosen["difference"] == selection.primary.contrast.estimate.mean


def test_the_same_folder_gives_the_same_bytes_and_no_other_file(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    before = {path.name for path in folder.root.iterdir()}
    data = read_study(folder)
    first = write_verdicts(data, summarise(data)).read_bytes()
    assert write_verdicts(read_study(folder), summarise(folder)).read_bytes() == first
    assert {path.name for path in folder.root.iterdir()} - before == {"verdicts.json"}


def test_a_folder_without_provenance_has_no_hash(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    folder.provenance_file.unlink()
    assert verdicts_of(read_study(folder), summarise(folder)).study_hash is None


def test_python_has_the_same_verdicts_even_where_there_is_no_file(synthetic, tmp_path):
    import fgtune

    folder = synthetic.SyntheticStudy().write(tmp_path)
    found = fgtune.open_results(folder.root).verdicts
    assert not folder.verdicts_file.exists()
    write_up(folder)
    assert found.to_bytes() == folder.verdicts_file.read_bytes()
    with pytest.raises(ConfigError):
        _ = fgtune.open_results(tmp_path / "nothing").verdicts


PAGE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_keeps_the_schema():
    (example,) = re.findall(r"```jsonc\n(.*?)```", PAGE, re.DOTALL)
    stored = json.loads(re.sub(r" +// .*", "", example))
    VALIDATOR.validate(stored)
    assert Verdicts.model_validate_json(json.dumps(stored)).contrasts[0].lost == 1


@pytest.mark.parametrize(("accuracy", "code"), [({"num_fine_ratio=0.8": 0.5}, 1), ({}, 0)])
def test_the_script_of_the_page_fails_when_an_arm_hurts(synthetic, tmp_path, accuracy, code):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 10")
    folder = synthetic.SyntheticStudy(text=text, accuracy=accuracy).write(tmp_path)
    write_up(folder)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    command = [sys.executable, "-c", script, str(folder.verdicts_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("hurts" in done.stderr) == bool(code)


def test_parts_of_an_ablation_and_levels_of_a_factor_are_in_it(synthetic, kf_accuracy, tmp_path):
    off = {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("nn", "conf")}
    study = {
        "study": "parts", "question": "q", "seeds": 10,
        "design": {"kind": "ablation", "schemes": ["factorial"], "components": off, "interactions": "planned"},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
    }  # fmt: skip
    accuracy = {"full": 0.9, "no_nn": 0.8, "no_conf": 0.8, "none": 0.8}
    folder = synthetic.SyntheticStudy(text=json.dumps(study), accuracy=accuracy, noise=0.004).write(tmp_path / "parts")
    write_up(folder)
    stored, summary = _stored(folder), summarise(folder)
    assert stored["profiles"] is stored["variance"] is None
    found = stored["parts"]
    assert (found["planned"], found["averaged"]) == (True, False)
    assert [(each["parts"], each["called"]) for each in found["pairs"]] == [(["nn", "conf"], "synergy")]
    assert [each["part"] for each in found["shares"]] == ["nn", "conf"]
    assert sum(each["share"] for each in found["shares"]) == pytest.approx(found["total"])
    effect = summary.parts.pairs[0]
    assert found["pairs"][0]["difference"] == effect.contrast.estimate.mean
    assert found["pairs"][0]["p_adjusted"] == effect.judgement.p_adjusted

    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path / "levels")
    write_up(folder)
    stored, profile = _stored(folder), summarise(folder).profiles.factors[0]
    assert stored["parts"] is None
    (found,) = stored["profiles"]["factors"]
    assert found["factor"] == "classes.num_fine_ratio"
    assert [each["worse_by_at_most"] for each in found["levels"]] == [each.shortfall for each in profile.levels]
    assert [each["within"] for each in found["levels"]] == [each.within for each in profile.levels]
    assert [each["verdict"] for each in found["sides"]] == [each.judgement.verdict for each in profile.sides]
