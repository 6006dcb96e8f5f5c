"""``compare`` puts study folders side by side: in a table, in words, and in a file."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fgtune.app.compare import compare, print_comparison
from fgtune.config.schema.base import data_key
from fgtune.errors import ConfigError

PRIMARY = "test/clustering_accuracy"


@pytest.fixture(scope="module")
def roots(synthetic, tmp_path_factory):
    """Two studies of the same arms on the same data; the second is better by about 0.05."""
    parent, folders = tmp_path_factory.mktemp("studies"), []
    for name, accuracy in {"kf_demo": 0.85, "kf_again": 0.9}.items():
        text = synthetic.KF_STUDY.replace("kf_demo", name)
        folder = synthetic.SyntheticStudy(text=text, accuracy={"baseline": accuracy}).write(parent / name)
        data = {data_key(folder.ledger.read()[0].config["data"]): "f00d"}
        folder.provenance_file.write_text(json.dumps(folder.read_provenance() | {"data": data, "study_hash": name}))
        folders.append(folder)
    return folders


def test_the_difference_is_the_mean_over_seeds_of_one_arm_in_both(roots):
    comparison = compare([each.root for each in roots], arm="baseline")
    (difference,) = comparison.differences
    values = [{r.seed: r.metrics[PRIMARY] for r in folder.ledger.read() if r.arm == "baseline"} for folder in roots]
    expected = np.mean([values[1][seed] - values[0][seed] for seed in values[0]])
    assert difference.contrast.estimate.mean == pytest.approx(expected)
    assert difference.contrast.estimate.n == 5


def test_a_person_reads_every_arm_and_one_line_a_difference(roots):
    out = io.StringIO()
    print_comparison(compare([each.root for each in roots], arm="baseline"), Console(file=out, width=300))
    text = out.getvalue()
    assert text.count("num_fine_ratio=0.8") == 2
    assert text.count("baseline *") == 2
    (line,) = [line for line in text.splitlines() if " minus " in line]
    assert line.startswith(f"kf_again (baseline) minus kf_demo (baseline): {PRIMARY} +0.0")
    assert line.endswith("5 pairs), exploratory")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_has_a_row_an_arm_of_every_study(roots, tmp_path, suffix):
    out = tmp_path / f"table{suffix}"
    compare([each.root for each in roots], out=out)
    table = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert dict(table.groupby("study")["arm"].nunique()) == {"kf_again": 4, "kf_demo": 4}


def test_wrong_calls_are_refused_and_write_nothing(roots, tmp_path):
    first, second = (each.root for each in roots)
    (tmp_path / "empty").mkdir()
    wrong = {
        "needs two study folders or more": ([first], None),
        "is named twice": ([first, first.parent / "." / first.name], tmp_path / "t.csv"),
        "writes only CSV and Parquet": ([first, second], tmp_path / "t.xlsx"),
        "no study": ([first, tmp_path / "empty"], tmp_path / "t.csv"),
    }
    for rule, (folders, out) in wrong.items():
        with pytest.raises(ConfigError, match=rule):
            compare(folders, out=out)
    for page, rule in {tmp_path / "t.htm": "writes a page", first / "report.html": "is the report of one"}.items():
        with pytest.raises(ConfigError, match=rf"--html: {rule}"):
            compare([first, second], page=page)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_page_is_found_from_the_studies_it_compares(roots):
    from fgtune.app.ui import pages_of

    first, second = roots
    (first.root.parent / "other.html").write_text("<html></html>", encoding="utf-8")
    for each, page in ((first, first.root.parent / "both.html"), (second, second.root / "both.html")):
        compare([first.root, second.root], page=page)
        assert pages_of(each, each.read_provenance())["comparison"] == page.as_uri()
    other = {**first.read_provenance(), "study_hash": "0" * 12}
    assert "comparison" not in pages_of(first, other)
