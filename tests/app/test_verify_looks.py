"""``verify`` and the looks of a folder: recorded ones that are removed, invented or moved are found."""

from __future__ import annotations

import json

import pytest
from support.synthetic import KF_STUDY, SyntheticStudy

from fgtune.analysis.inputs import read_study
from fgtune.app.verification.findings import Subject
from fgtune.app.verification.looks import check_looks
from fgtune.app.verification.plan import check_rows

LATER = "2027-01-01T00:00:00+00:00"


pytestmark = pytest.mark.usefixtures("without_curves")


def problems(folder, check=check_looks) -> list[str]:
    data = read_study(folder)
    subject = Subject(data, folder.root, tuple(folder.ledger.read()), folder.read_provenance())
    return [finding.problem or finding.note for finding in check(subject) if finding.problem or finding.note]


def write_record(folder, **changes) -> None:
    folder.provenance_file.write_text(json.dumps(folder.read_provenance() | changes), encoding="utf-8")


@pytest.fixture
def extended(tmp_path):
    folder = SyntheticStudy(text=KF_STUDY.replace("seeds: 5", "seeds: 4")).write(tmp_path)
    entry = {
        "at": LATER,
        "from": {"study_hash": "a", "seeds": [0, 1]},
        "to": {"study_hash": "b", "seeds": [0, 1, 2, 3]},
    }
    write_record(folder, extended=[entry], looks=[{"at": LATER, "seeds": [0, 1]}])
    return folder


def test_recorded_looks_agree(extended):
    assert problems(extended) == []


def test_a_look_that_is_removed_or_invented_is_found(extended):
    write_record(extended, looks=[])
    assert problems(extended) == ["provenance.json: no look is recorded at n = 2, after which seeds were added"]
    write_record(extended, looks=[{"seeds": [0, 1]}, {"seeds": [0, 1, 2]}])
    assert problems(extended) == ["provenance.json: records a look at n = 3, after which no seeds were added"]


def test_seeds_added_before_any_result_follow_no_look(extended):
    early = extended.read_provenance()["extended"][0] | {"at": "2020-01-01T00:00:00+00:00"}
    write_record(extended, extended=[early], looks=[])
    assert problems(extended) == []


def test_a_folder_of_an_earlier_version_has_no_looks_to_compare(extended):
    record = {key: value for key, value in extended.read_provenance().items() if key != "looks"}
    extended.provenance_file.write_text(json.dumps(record), encoding="utf-8")
    assert problems(extended) == [
        "provenance.json: records no looks; seeds before every addition of seeds count as one"
    ]


def test_looks_of_adaptive_seeds_are_those_that_the_plan_follows(tmp_path):
    text = KF_STUDY.replace("seeds: 5", "seeds: {min: 3, max: 9}")
    folder = SyntheticStudy(text=text).write(tmp_path)
    assert problems(folder) == []
    assert problems(folder, check_rows) == []
    write_record(folder, looks=[{"seeds": [0, 1, 2]}])  # a driver that was killed before it planned the block
    assert problems(folder) == []
    write_record(folder, looks=[{"seeds": [0, 1]}])
    assert problems(folder) == ["provenance.json: records looks at n = 2, the plan follows looks at n = none"]
    rows = folder.plan_file.read_text(encoding="utf-8").splitlines(keepends=True)
    folder.plan_file.write_text("".join(rows[:-1]), encoding="utf-8")
    assert any("has the seeds [0, 1], the study has [0, 1, 2]" in line for line in problems(folder, check_rows))
