"""Pages in a real browser where something is unusual: names without end, and whoever prints before all is drawn."""

from __future__ import annotations

import json

import pytest

from fgtune.reporting.html import write_up

LONG = "a_very_long_name_" * 4 + "of_an_arm"
DENSE = "an-arm-" + "x" * 60


@pytest.fixture(scope="module")
def report(synthetic, tmp_path_factory):
    arms = [{"name": "base"}, *({"name": name, "set": {"epochs": 5 + at}} for at, name in enumerate((LONG, DENSE)))]
    study = {
        "study": "long", "question": "Do names without end fit?", "seeds": 3,
        "design": {"kind": "comparison", "arms": arms},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 4},
    }  # fmt: skip
    return write_up(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path_factory.mktemp("long")))[0]


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("width", [420, 1400])
def test_names_without_end_make_no_page_wider_than_the_screen(browser, report, width):
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if width == 1400:  # the table of arms has all its columns in sight
        assert page.evaluate("(box => box.scrollWidth <= box.clientWidth)(document.querySelector('[aria-label=Arms]'))")
    page.context.close()


@pytest.mark.slow
@pytest.mark.integration
def test_whoever_prints_before_all_figures_are_drawn_has_all_of_them_on_paper(browser, report):
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.add_init_script("const later = window.setTimeout; window.setTimeout = (f, ms) => later(f, ms || 60000)")
    page.goto(report.as_uri())
    page.locator(".plot svg.main-svg").first.wait_for(state="attached", timeout=60_000)
    drawn = "[...document.querySelectorAll('.plot')].map(plot => plot.querySelectorAll('svg.main-svg').length > 0)"
    assert page.evaluate(drawn).count(True) == 1
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert set(page.evaluate(drawn)) == {True}
    page.context.close()


@pytest.mark.slow
@pytest.mark.integration
def test_a_figure_of_many_arms_ends_on_the_sheet_on_which_it_begins(browser, synthetic, tmp_path):
    arms = [{"name": "base"}, *({"name": f"arm{n}", "set": {"epochs": 5 + n}} for n in range(45))]
    study = {
        "study": "many", "question": "Does a tall figure fit?", "seeds": 2,
        "design": {"kind": "comparison", "arms": arms}, "metrics": {"also": []},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 4},
    }  # fmt: skip
    written = write_up(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path / "many"))[0]
    page = browser.new_context(viewport={"width": 688, "height": 1000}).new_page()
    page.goto(written.as_uri())
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    heights = "[...document.querySelectorAll('.plot')].map(plot => plot.getBoundingClientRect().height)"
    on_screen = page.evaluate(heights)
    assert max(on_screen) > 950  # what a sheet of Letter has between its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    on_paper = page.evaluate(heights)
    assert max(on_paper) < 800
    widths = "[...document.querySelectorAll('.plot')].map(plot => [plot, plot.querySelector('svg.main-svg')])"
    wide = f"{widths}.map(pair => pair.map(each => Math.round(each.getBoundingClientRect().width)))"
    assert all(abs(svg - plot) <= 2 for plot, svg in page.evaluate(wide))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.evaluate(heights) == on_screen
    page.context.close()
