"""What the first screen says that a study was about."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.text.subject import subject_facts, symbols
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.reporting.html import render
from fgtune.results.folder import SHAPES


def _with_shapes(folder, *shapes):
    record = json.loads(folder.provenance_file.read_text())
    record[SHAPES] = {str(rank): shape for rank, shape in enumerate(shapes)}
    folder.provenance_file.write_text(json.dumps(record))
    return read_study(folder)


SHAPE = {"name": "digits", "samples": 1797, "coarse": [2], "fine": 10}


def test_data_and_method_stand_on_the_first_screen(synthetic, tmp_path):
    data = _with_shapes(synthetic.SyntheticStudy().write(tmp_path), SHAPE)
    facts = dict(subject_facts(data))
    assert facts["data"] == "digits: 1,797 samples, 2 coarse → 10 fine classes"
    assert facts["method of the baseline"].startswith("falcon, ")
    page = render(data, summarise(data)).decode()
    for fact, text in facts.items():
        assert f"<dt>{fact}</dt><dd>{text}</dd>" in page
    assert symbols(data) in page


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ({"fine": None, "samples": None}, "digits: 2 coarse classes, no fine labels"),
        ({"coarse": [2, 5]}, "digits: 1,797 samples, 2 + 5 coarse → 10 fine classes"),
        ({"name": "arrays (cells.csv)", "fine": 1}, "arrays (cells.csv): 1,797 samples, 2 coarse → 1 fine class"),
    ],
)
def test_data_of_any_kind_are_told(synthetic, tmp_path, shape, text):
    data = _with_shapes(synthetic.SyntheticStudy().write(tmp_path), SHAPE | shape)
    assert dict(subject_facts(data))["data"] == text


def test_a_folder_of_an_earlier_version_tells_its_method_alone(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    record = json.loads(folder.provenance_file.read_text())
    record.pop(SHAPES, None)
    folder.provenance_file.write_text(json.dumps(record))
    assert [fact for fact, _ in subject_facts(read_study(folder))] == ["method of the baseline"]


def test_a_trainer_of_the_users_own_is_named():
    plain = {"kind": "function", "call": "mine:run", "metrics": {"score": {"direction": "maximize"}}, "epochs": 5}
    study = SimpleNamespace(trial=FunctionTrialConfig.from_plain(plain))
    assert dict(subject_facts(SimpleNamespace(study=study))) == {
        "trainer": "mine:run",
        "epochs": "5, as it reports them",
    }
