from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from pathlib import Path

import pytest

import fgtune
from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.app import verify as verb
from fgtune.app.verify import verify
from fgtune.errors import StudyFolderError
from fgtune.reporting.html import render, script_json, tight, write_up
from fgtune.reporting.page import flatten
from fgtune.results.folder import StudyFolder
from fgtune.results.samples import SampleCard, SampledClass, write_samples

PUBLISHED_SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
"""Of plotly-cartesian.min.js in plotly.js-cartesian-dist-min 4.1.1."""
_EMBEDDED = re.compile(r'<script type="application/json" id="fgtune-summary">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def folder(synthetic, kf_accuracy, tmp_path_factory):
    return synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(folder):
    return write_up(folder)[0].read_text(encoding="utf-8")


def test_report_lies_in_the_folder_without_leftovers(folder, page):
    assert folder.report_file.name == "report.html"
    assert page.startswith("<!doctype html>")
    assert not list(folder.root.glob(".*.tmp"))


CURLY = re.compile("[\u2018\u2019\u201c\u201d]")


@pytest.mark.slow
def test_pages_have_the_straight_quotation_marks_of_the_terminal(page, synthetic_search, tmp_path):
    search = write_up(synthetic_search.SyntheticSearch(trials=12, curves=False).write(tmp_path))[0]
    for text in (html.unescape(page), html.unescape(search.read_text(encoding="utf-8"))):
        shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        assert "'s " in shown
        assert '"' in re.sub(r"<[^>]*>", "", shown)
        assert CURLY.findall(shown) == []


def test_no_branch_of_a_page_or_sentence_has_curly_quotation_marks():
    root = Path(fgtune.__file__).parent
    files = [file for ending in ("py", "j2", "js") for file in root.rglob(f"*.{ending}")]
    assert len(files) > 100
    assert [str(file.relative_to(root)) for file in files if CURLY.search(file.read_text(encoding="utf-8"))] == []


def test_plotly_is_inlined_once_and_compressed(page):
    (packed,) = re.findall(r'<script type="application/octet-stream;base64" id="plotly-gz">(.*?)</script>', page)
    script = gzip.decompress(base64.b64decode(packed))
    assert hashlib.sha256(script).hexdigest() == PUBLISHED_SHA256
    assert "plotly.js (cartesian" not in page
    assert len(page) < 1_000_000
    assert not re.search(r"<script[^>]+src=", page)
    assert not re.search(r"<link[^>]+href=\"(?!data:)", page)


def test_embedded_summary_is_the_summary(folder, page):
    assert json.loads(_EMBEDDED.search(page).group(1)) == summarise(folder).to_plain()


@pytest.mark.slow
def test_large_summaries_and_figures_are_packed_and_verified_whatever_library_packed_them(folder, monkeypatch):
    monkeypatch.setattr("fgtune.reporting.html.MOST_PLAIN", 0)
    monkeypatch.setattr(verb, "CHECKS", tuple(each for each in verb.CHECKS if each[0] == "report"))
    path, summary = write_up(folder)
    page = path.read_text(encoding="utf-8")
    (packed,) = re.findall(r'<script type="application/gzip" id="fgtune-summary">(.*?)</script>', page)
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == summary.to_plain()
    all_packed = re.findall(r'<script type="application/gzip" id="(.*?)">(.*?)</script>', page)
    assert any(key == "differences-data" for key, _ in all_packed)
    repacked = page
    for _, content in all_packed:
        plain = gzip.decompress(base64.b64decode(content))
        repacked = repacked.replace(content, base64.b64encode(gzip.compress(plain, 1, mtime=0)).decode())
    assert all(content not in repacked for _, content in all_packed)
    path.write_text(repacked, encoding="utf-8")
    assert not any("report.html" in problem for problem in verify(folder.root).problems)
    changed = gzip.decompress(base64.b64decode(packed)).replace(b'"n":5', b'"n":6', 1)
    path.write_text(page.replace(packed, base64.b64encode(gzip.compress(changed)).decode()), encoding="utf-8")
    assert any("report.html" in problem for problem in verify(folder.root).problems)
    path.write_text(page.replace(packed, packed[:-40]), encoding="utf-8")
    assert any("report.html" in problem for problem in verify(folder.root).problems)


def test_the_page_tells_question_answer_and_verdicts(folder, page):
    summary = summarise(folder)
    assert summary.question in page
    assert summary.expectation in page
    assert tight(summary.answer) in page
    for contrast in summary.contrasts:
        assert f'<span class="chip {contrast.judgement.verdict}">' in page


def test_the_same_folder_gives_the_same_bytes(folder, page):
    assert write_up(folder)[0].read_text(encoding="utf-8") == page


def test_report_needs_neither_plotly_figures_of_the_past_nor_tables(folder, page):
    for path in (folder.report_file, folder.results_parquet, folder.results_csv):
        path.unlink()
    assert write_up(folder)[0].read_text(encoding="utf-8") == page


def test_provenance_may_be_missing(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")).write(tmp_path)
    folder.provenance_file.unlink()
    assert "The folder has no <code>provenance.json</code>." in write_up(folder)[0].read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_names_the_ledger_that_its_numbers_are_from(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")).write(tmp_path)
    data, head = read_study(folder), folder.ledger.head
    folder.ledger.append(folder.ledger.read()[0])
    assert folder.ledger.head != head
    assert f'<meta name="ledger" content="{head}">' in render(data, summarise(data)).decode()


@pytest.mark.slow_except("default", "none")
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("", "at their worst, one more seed like the farthest of the study [^.]*, a collapse of one seed in ten. <b>"),
        (
            "collapse_rate: 0.2, ",
            "at their worst, one more seed like the farthest [^.]*, a collapse of 20 % of seeds. <b>",
        ),
        ("collapse_rate: 0, ", "at their worst and one more seed like the farthest [^.]* do not look normal. <b>"),
        ("summary: median, ", "at their worst. <b>"),
        ("summary: trimmed_mean, ", "at their worst. <b>"),
    ],
    ids=["default", "rate", "none", "median", "trimmed"],
)
def test_the_page_names_the_doubts_that_verdicts_of_this_study_have(synthetic, tmp_path, settings, says):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1").replace("metrics: {", f"metrics: {{{settings}")
    page = write_up(synthetic.SyntheticStudy(text=text).write(tmp_path))[0].read_text(encoding="utf-8")
    assert re.search(f"lost cells {says}", page)
    assert ("The interval of the median is that of the sign test" in page) == ("median" in settings)


def test_a_folder_without_a_study_gets_no_report(tmp_path):
    with pytest.raises(StudyFolderError, match="this file of a study folder is missing"):
        write_up(StudyFolder(tmp_path))
    assert not (tmp_path / "report.html").exists()


def test_json_cannot_end_its_script_element():
    text = json.dumps({"a": "</script><!--<script>&\u2028"}, ensure_ascii=False)
    safe = script_json(text)
    assert not set("<>&\u2028") & set(safe)
    assert json.loads(safe) == json.loads(text)


def test_numbers_keep_their_units_on_one_line():
    assert tight("95 % interval, n = 5 pairs): so") == "95\u00a0% interval, n\u00a0=\u00a05\u00a0pairs): so"


def test_nested_settings_flatten_to_dotted_rows():
    nested = {"git": {"commit": "ab", "dirty": False}, "command": ["a", "b c"], "runs": [{"n": 1}], "x": None}
    assert flatten(nested) == [
        ("git.commit", "ab"),
        ("git.dirty", "false"),
        ("command", "a 'b c'"),
        ("runs.0.n", "1"),
        ("x", "none"),
    ]


def test_the_page_shows_what_the_data_look_like(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")).write(tmp_path)
    assert "What the data look like" not in write_up(folder)[0].read_text(encoding="utf-8")
    url = "data:image/png;base64,aGVsbG8="
    write_samples(folder, "a", SampleCard("digits", (SampledClass("even <b>", 5, (url, url)),), 3))
    write_samples(
        folder, "b", SampleCard("cells", (SampledClass("blood", 2, rows=((1.5, None),)),), 0, ("CD4", "x"), 7)
    )
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert page.count(f'<img src="{url}" alt="sample of even &lt;b&gt;"') == 2
    assert "3 further classes not shown" in page
    assert re.search(
        r'<th scope="row">blood</th><td class="n">1.5</td><td class="n">–</td><td class="quiet">7 more', page
    )
