"""The page over several studies: the same bytes from the same folders, nothing foreign runs, it reads in a browser."""

from __future__ import annotations

import csv
import json
import re

import pytest

from fgtune.app.compare import compare
from fgtune.config.schema.base import data_key

HOSTILE = """</script><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2"> & 'quotes'"""


@pytest.fixture(scope="module")
def roots(synthetic, tmp_path_factory):
    """Two studies of the same arms; the second has a hostile question, a failed cell, and an arm that has not run."""
    parent, folders = tmp_path_factory.mktemp("studies"), []
    for name in ("kf_demo", "kf_again"):
        text = synthetic.KF_STUDY.replace("kf_demo", name)
        faults = synthetic.Faults()
        if name == "kf_again":
            text = re.sub(r"^question: .*$", "question: " + json.dumps(HOSTILE), text, count=1, flags=re.MULTILINE)
            text = text.replace("epochs: 60", "epochs: 60\n  batch_size: 128")
            unrun = {("num_fine_ratio=1.5", seed) for seed in range(5)}
            faults = synthetic.Faults(missing=unrun, failed={("num_fine_ratio=0.8", 2): HOSTILE})
        study = synthetic.SyntheticStudy(text=text, accuracy={"num_fine_ratio=1.2": 0.8}, faults=faults)
        folder = study.write(parent / name)
        data = {data_key(folder.ledger.read()[0].config["data"]): "f00d"}
        folder.provenance_file.write_text(json.dumps(folder.read_provenance() | {"data": data, "study_hash": name}))
        folders.append(folder.root)
    return folders


@pytest.fixture(scope="module")
def page(roots, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "both.html"
    compare(roots, page=file)
    return file


def test_the_same_folders_give_the_same_bytes(roots, page, tmp_path):
    compare(roots, page=tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_texts_from_studies_are_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text
    hashes = re.search(r'<meta name="fgtune-compares" content="([^"]*)">', text[:4096])
    assert hashes is not None
    assert hashes[1].split(", ") == ["kf_demo", "kf_again"]


@pytest.mark.slow_except("1400")
@pytest.mark.parametrize("width", [1400, 420])
def test_it_reads_in_a_browser_without_a_complaint_or_a_request(browser, page, width):
    view, complaints, requests = browser.new_page(viewport={"width": width, "height": 900}), [], []
    view.on("console", lambda message: complaints.append(message.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("request", lambda request: requests.append(request.url))
    view.goto(page.as_uri())
    view.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    assert view.evaluate("window.pwned") is None
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.locator("#figure-same .main-svg").count() > 0
    assert view.locator("#figure-effects .main-svg").count() > 0
    assert view.locator("section h2").all_inner_texts() == [
        "An arm of each", "What differs", "The same arms", "Effects side by side", "All arms", "How to read this page",
    ]  # fmt: skip
    assert complaints == []
    assert [each for each in requests if not each.startswith(("file:", "data:", "blob:"))] == []
    view.close()


@pytest.mark.slow
def test_the_selector_of_arms_drives_tables_and_figures(browser, page):
    view = browser.new_page(viewport={"width": 1400, "height": 900})
    view.goto(page.as_uri() + "#arms=num_fine_ratio%3D1.2")
    view.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    shown = view.locator("section[aria-labelledby=effects] tbody tr:visible th").all_inner_texts()
    assert len(shown) == 2
    assert all("1.2" in each for each in shown)
    names = view.locator("#figure-effects .yaxislayer-above text, #figure-effects .yaxislayer-below text")
    labels = [each for each in names.all_text_contents() if "K_F" in each]
    assert labels
    assert all("1.2" in each for each in labels)
    view.close()


@pytest.mark.slow
def test_a_table_in_which_a_cell_spans_columns_is_sorted_and_downloaded_by_column(browser, page, tmp_path):
    view = browser.new_page(viewport={"width": 1400, "height": 900})
    view.goto(page.as_uri())
    view.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    table = view.locator('[aria-label="The same arms"]')

    def shown() -> list[dict[str, str]]:
        with view.expect_download() as download:
            view.get_by_label("Download the table The same arms as CSV").click()
        download.value.save_as(tmp_path / "same.csv")
        with (tmp_path / "same.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    numbers = {}
    for order in ("ascending", "descending"):
        table.locator("thead th", has_text="Difference").click()
        assert table.locator("thead th", has_text="Difference").get_attribute("aria-sort") == order
        numbers[order] = [float(row["Difference"]) for row in shown() if not row["Pairs"].startswith("not comparable")]
    assert len(numbers["ascending"]) == 3
    assert numbers["ascending"] == sorted(numbers["ascending"]) == numbers["descending"][::-1]
    table.locator("thead th", has_text="settings").click()
    rows = shown()
    settings = [row["The arm's settings"] for row in rows]
    assert settings == sorted(settings, key=str.lower)
    (unrun,) = [row for row in rows if row["Pairs"].startswith("not comparable")]
    assert [unrun[name] for name in ("Difference", "Interval", "p (Holm)", "Repeated")] == ["", "", "", "–"]
    view.close()
