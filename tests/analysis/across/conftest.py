"""Study folders that can be compared."""

from __future__ import annotations

import json

import pytest

from fgtune.config.schema.base import data_key


@pytest.fixture
def write(synthetic, tmp_path, ledger_alone):
    """Write a study of one name, with changes to its text, on data with a fingerprint; without curves and relations."""

    def write_study(name, *changes, fingerprint="f00d", accuracy=None, faults=None, code="1"):
        text = synthetic.KF_STUDY.replace("study: kf_demo", f"study: {name}")
        for old, new in [("[0.8, 1.0, 1.2, 1.5]", "[1.0, 1.2]"), *changes]:
            assert text.count(old) == 1
            text = text.replace(old, new)
        study = synthetic.SyntheticStudy(text=text, accuracy=accuracy or {}, faults=faults or synthetic.Faults())
        folder = study.write(tmp_path / name)
        key = data_key(folder.ledger.read()[0].config["data"]) if folder.ledger.read() else "none"
        record = {**folder.read_provenance(), "data": {key: fingerprint}, "fgtune": code}
        folder.provenance_file.write_text(json.dumps(record))
        return folder

    return write_study
