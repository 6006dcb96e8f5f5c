"""The page of a discovery: what it says of classes, pictures and doubts, that it runs nothing foreign, and fits."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from fgtune.analysis.discovery.choosing import Candidate, MethodChoice, NumFineChoice, NumFineLevel
from fgtune.analysis.discovery.classes import FineClass
from fgtune.analysis.discovery.outcome import Comparison, Discovery
from fgtune.metrics.exemplars import FeatureDifference
from fgtune.reporting.discovery import Sample, _num_fine_figures, picture_url, render_discovery

HOSTILE = """</script><img src=x onerror="window.pwned = 2">"""
LINKS = {
    "to_label": "to_label.csv", "methods": "methods/report.html", "num_fine": "num_fine/report.html", "folder": "out",
}  # fmt: skip


def level(number: int, agreement: float, near: bool) -> NumFineLevel:
    pairs = (agreement - 0.05, agreement, agreement + 0.05)
    return NumFineLevel(number, agreement, agreement - 0.2, agreement + 0.1, pairs, near)


def candidate(arm: str, agreement: float) -> Candidate:
    return Candidate(arm, f"method {arm}", agreement, agreement - 0.1, agreement + 0.1, 0.2, (0.1, 0.3), {}, 3, 2.0)


def fine_class(number: int, parent: str, size: int) -> FineClass:
    features = (FeatureDifference("the_height_of_a_thing_in_centimetres", 1.5, -2.0, 3.25),) if number else ()
    doubtful = (3, 4) if number else ()
    return FineClass(number, f"{parent} {number}", parent, size, 0.5, 0.9, 0, (1, 2), doubtful, (0.9, 0.4), features)


FOUND = Discovery(
    data=f"pets{HOSTILE}.csv",
    samples=1200,
    coarse="animal",
    coarse_names=("cat", HOSTILE),
    coarse_sizes=(700, 480),
    unlabelled=20,
    num_fine=NumFineChoice(4, 4, 6, (level(3, 0.3, False), level(4, 0.8, True), level(6, 0.7, True))),
    method=MethodChoice(
        "one",
        True,
        "Nothing is shown to choose better than the default.",
        (candidate("one", 0.8), candidate("two", 0.6)),
    ),
    classes=(fine_class(1, "cat", 400), fine_class(2, "cat", 300), fine_class(0, HOSTILE, 480)),
    runs=2,
    seed=1,
    coarse_accuracy=0.97,
    mean_confidence=0.91,
    notes=("Features are of one scale.",),
    warnings=("One class is small.",),
    given_up=("the methods spectral",),
    seconds=312.0,
    comparison=None,
    command="fgtune discover pets.csv",
)
PLAIN = {row: Sample(f"AAAGCCTGGCTAAC-{row}", 0.9 - row / 10, "cat 2") for row in range(5)}
PICTURES = {row: replace(each, picture=np.full((3, 4, 4), row / 5)) for row, each in PLAIN.items()}


def page(found: Discovery = FOUND, samples=PLAIN) -> str:
    return render_discovery(found, samples, LINKS).decode()


def words(text: str) -> str:
    """The text between tags, without scripts and styles."""
    body = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_page_says_what_was_found_why_and_what_to_do_next():
    text = words(page())
    assert (
        "3 fine classes in 2 coarse classes, by method one. None of them was found again in each of 2 other runs."
        in text
    )
    assert "4 fine classes: there runs agree most; on 4 to 6 they are not shown to agree less." in text
    assert "Nothing is shown to choose better than the default." in text
    assert "found again in 1 of 2" in text
    assert (
        "the_height_of_a_thing_in_centimetres 1.50 −2.00 +3.2 sd" in text
        or "the_height_of_a_thing_in_centimetres 1.50 −2.00 +3.3 sd" in text
    )
    assert "AAAGCCTGGCTAAC-3 60 %, else cat 2" in text
    assert "fgtune extend out/methods --seeds 10" in text
    assert "left no room for the methods spectral" in text
    assert "Against the fine labels" not in text


def test_every_table_has_a_name_of_its_own_and_a_caption_beside_its_buttons():
    text = page()
    boxes = re.findall(r'<div class="table"([^>]*)><table>\s*(<caption>)?', text)
    assert len(boxes) == text.count("<table") > 2
    names = [re.search('role="region" tabindex="0" aria-label="([^"]+)"', box)[1] for box, _ in boxes]
    assert len(set(names)) == len(names)
    assert all(caption for _, caption in boxes)


def test_what_the_runs_of_a_clustering_prove_is_not_overstated():
    weak = "Runs of a clustering differ little, so this is weak evidence."
    one, two = FOUND.method.candidates
    clustered = replace(FOUND, method=replace(FOUND.method, candidates=(replace(one, trained=False), two)))
    assert weak in words(page(clustered))
    assert weak not in words(page())
    assert weak not in words(page(replace(clustered, runs=0)))
    assert "from other initial weights" not in words(page())
    assert "between methods it is open" in words(page())


def test_a_number_that_was_given_has_no_curve_and_a_comparison_is_marked():
    truth = Comparison("breed", 0.875, 0.7, 5, 1200, {"one": 0.8})
    text = page(replace(FOUND, num_fine=NumFineChoice(4, 4, 4), comparison=truth))
    assert "figure-num-fine" not in text
    assert "Nothing above has read these labels. Of 1,200 samples, 87.5 % are in the class" in words(text)


def test_the_same_outcome_gives_the_same_bytes_and_its_json_is_in_the_page():
    assert page() == page()
    stored = re.search(r'id="fgtune-discovery">(.*?)</script>', page(), re.DOTALL).group(1)
    assert json.loads(stored) == json.loads(json.dumps(FOUND.to_plain()))
    assert FOUND.to_plain()["classes"][0]["found_again"] == 1


def test_what_is_not_finite_is_null_in_json():
    lost = replace(FOUND, coarse_accuracy=math.nan)
    assert lost.to_plain()["coarse_accuracy"] is None
    assert "coarse labels predicted" not in page(lost)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_a_png_of_its_pixels(channels):
    import base64
    import io

    from PIL import Image

    pixels = np.linspace(0, 1, channels * 12).reshape(channels, 3, 4)
    image = Image.open(io.BytesIO(base64.b64decode(picture_url(pixels).partition(",")[2])))
    read = np.asarray(image)
    assert read.shape[:2] == (3, 4)
    assert np.array_equal(
        read if channels == 1 else np.moveaxis(read, -1, 0),
        np.rint(pixels * 255).reshape(read.shape if channels == 1 else (3, 3, 4)),
    )


@pytest.mark.slow_except("words")
@pytest.mark.parametrize("samples", [PLAIN, PICTURES], ids=["words", "pictures"])
def test_the_page_draws_without_complaint_runs_nothing_foreign_and_fits_the_screen(browser, samples, tmp_path):
    report = tmp_path / "report.html"
    report.write_text(page(samples=samples), encoding="utf-8")
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(report.as_uri())
    opened.locator("html[data-figures='3']").wait_for(state="attached", timeout=60_000)
    for width in (1400, 420):
        opened.set_viewport_size({"width": width, "height": 900})
        opened.wait_for_timeout(100)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    assert opened.evaluate("window.pwned") is None
    assert opened.locator("img").count() == (0 if samples is PLAIN else 3 * 3 + 2 * 2)
    opened.close()


def test_numbers_of_classes_are_counted_in_whole_ticks():
    (figure,) = _num_fine_figures(FOUND)
    assert figure.spec.layout.xaxis.dtick == 1
