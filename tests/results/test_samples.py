from __future__ import annotations

import json

import pytest

from fgtune.results.folder import StudyFolder
from fgtune.results.samples import SampleCard, SampledClass, read_samples, write_samples

URL = "data:image/png;base64,aGVsbG8="
PICTURES = SampleCard("digits", (SampledClass("even", 5, (URL,)),), 0)
TABLE = SampleCard("table", (SampledClass("a", 2, rows=((1.0, None),)),), 1, ("x", "y"), 3)


def test_what_is_written_is_read_in_the_order_of_keys(tmp_path):
    folder = StudyFolder(tmp_path)
    assert read_samples(folder) == ()
    write_samples(folder, "b", TABLE)
    write_samples(folder, "a", PICTURES)
    assert read_samples(folder) == (PICTURES, TABLE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw["classes"][0].update(pictures=["javascript:alert(1)"]),
        lambda raw: raw["classes"][0].update(pictures=['data:image/png;base64,x" onerror="y']),
        lambda raw: raw["classes"][0].update(rows=[[1.0]]),
        lambda raw: raw.pop("more_classes"),
        lambda raw: raw.update(classes=3),
    ],
)
def test_what_no_data_set_gives_is_left_out_and_noted(tmp_path, damage):
    folder = StudyFolder(tmp_path)
    write_samples(folder, "a", PICTURES)
    raw = json.loads((folder.samples_dir / "a.json").read_text())
    damage(raw)
    (folder.samples_dir / "a.json").write_text(json.dumps(raw))
    assert read_samples(folder) == ()
    (what,) = folder.damage.values()
    assert what.startswith("samples/a.json is damaged")
