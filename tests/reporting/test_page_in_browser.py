"""The report in a real browser: what a reader sees, at two widths, without a network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, Page

from fgtune.reporting.html import write_up

WIDTHS = (1280, 400)
HOSTILE = """</script><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2"> & "quotes\""""
KINDS = ("complete", "partial and hostile", "one arm without fine labels", "one seed", "search", "nothing run")


@dataclass
class Opened:
    """A page, and what it did while it loaded."""

    page: Page
    report: Path
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def _open(browser: Browser, report: Path, width: int = 1280) -> Opened:
    opened = Opened(browser.new_page(viewport={"width": width, "height": 900}), report)
    page = opened.page
    page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.goto(report.as_uri())
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    return opened


def _study(synthetic: ModuleType, synthetic_search: ModuleType, kind: str):
    if kind == "search":
        return synthetic_search.SyntheticSearch(trials=14, pruned={6: 3, 9: 9}, failed={4})
    arms = ("baseline", *(f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5)))
    if kind == "partial and hostile":
        quoted = "'" + HOSTILE + "'"
        text = synthetic.KF_STUDY.replace("question: How far", f"question: {quoted} #")
        faults = synthetic.Faults(
            missing={("baseline", 4)}, failed={(arms[1], 2): HOSTILE}, pruned={("num_fine_ratio=1.2", 1)}
        )
        return synthetic.SyntheticStudy(
            text=text.replace("expectation: Best", f"expectation: {quoted} #"), faults=faults
        )
    if kind == "one arm without fine labels":
        lines = [
            line for line in synthetic.SOLVER_STUDY.splitlines() if "name: scip" not in line and "cvxpy" not in line
        ]
        text = "\n".join(lines).replace("seeds: 5", "seeds: 3\nmetrics: {primary: test/silhouette}")
        return synthetic.SyntheticStudy(text=text, fine_labels=False)
    if kind == "one seed":
        return synthetic.SyntheticStudy(text=synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1"))
    if kind == "nothing run":
        missing = {(arm, seed) for arm in arms for seed in range(5)}
        return synthetic.SyntheticStudy(faults=synthetic.Faults(missing=missing))
    return synthetic.SyntheticStudy()


@pytest.fixture(scope="module")
def open_kind(browser, synthetic, synthetic_search, tmp_path_factory) -> Callable[[str], Opened]:
    """Each kind of study is written and opened once."""
    known: dict[str, Opened] = {}

    def opened(kind: str) -> Opened:
        if kind not in known:
            folder = _study(synthetic, synthetic_search, kind).write(tmp_path_factory.mktemp("page"))
            known[kind] = _open(browser, write_up(folder)[0])
        return known[kind]

    return opened


def _filled(page: Page) -> bool:
    """Whether every figure is as wide as its box."""
    drawn = "p.querySelector('svg.main-svg').clientWidth"
    boxes = page.evaluate(f"[...document.querySelectorAll('.plot')].map(p => [p.clientWidth, {drawn}])")
    return all(width > 0 and abs(width - box) < 2 for box, width in boxes)


def _fits(page: Page, width: int) -> bool:
    """Whether nothing is wider than the screen, folded parts opened."""
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow_except("partial and hostile")
@pytest.mark.parametrize("kind", KINDS)
def test_page_draws_every_figure_without_complaint_or_network(kind, open_kind):
    opened = open_kind(kind)
    assert opened.complaints == []
    assert opened.requests == [opened.report.as_uri()]
    drawn = opened.page.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('svg.main-svg').length)"
    )
    assert all(drawn)
    assert bool(drawn) == (kind != "nothing run")


@pytest.mark.slow_except("partial and hostile")
@pytest.mark.parametrize("kind", KINDS)
def test_page_is_never_wider_than_the_screen(kind, open_kind):
    page = open_kind(kind).page
    for width in (*WIDTHS, WIDTHS[0]):
        page.set_viewport_size({"width": width, "height": 900})
        deadline = time.monotonic() + 20
        while not _filled(page) and time.monotonic() < deadline:
            page.wait_for_timeout(50)  # figures follow the width a moment later
        assert _filled(page)
        assert _fits(page, width)


@pytest.mark.slow
def test_figures_that_are_packed_are_drawn_and_follow_the_choice_of_arms(
    browser, synthetic, kf_accuracy, tmp_path, monkeypatch
):
    monkeypatch.setattr("fgtune.reporting.html.MOST_PLAIN", 0)
    opened = _open(browser, write_up(synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path))[0])
    page = opened.page
    assert page.locator('script[type="application/gzip"][id$="-data"]').count() == page.locator(".plot").count()
    page.evaluate("fgtune.choose(new Set(['baseline', 'num_fine_ratio=1.2']))")
    page.locator("html[data-drawn]").wait_for(state="attached", timeout=60_000)
    assert len(page.evaluate("document.getElementById('differences').layout.yaxis.ticktext")) == 1
    assert opened.complaints == []
    page.close()


@pytest.mark.slow
def test_page_opened_on_a_narrow_screen_fits_it(browser, open_kind):
    narrow = _open(browser, open_kind("complete").report, WIDTHS[1])
    assert _filled(narrow.page)
    assert _fits(narrow.page, WIDTHS[1])
    narrow.page.close()


def test_text_of_the_study_is_shown_and_never_run(open_kind):
    page = open_kind("partial and hostile").page
    assert page.evaluate("window.pwned") is None
    assert page.locator(".question").inner_text() == HOSTILE
    assert HOSTILE in page.locator("section:has(#failures)").inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("JSON.parse(document.getElementById('fgtune-summary').textContent).question") == HOSTILE


def test_the_policy_stops_a_script_that_is_not_ours(browser, open_kind, tmp_path):
    changed = tmp_path / "changed.html"
    page = open_kind("nothing run").report.read_text(encoding="utf-8")
    changed.write_text(page.replace("</main>", "</main><script>window.pwned = 1</script>"), encoding="utf-8")
    opened = _open(browser, changed)
    assert opened.page.evaluate("window.pwned") is None
    assert "Content Security Policy" in opened.complaints[0]
    opened.page.close()


@pytest.mark.slow
def test_only_a_partial_study_shows_a_banner(open_kind):
    banner = open_kind("partial and hostile").page.locator(".banner").inner_text()
    assert banner.startswith(
        "Partial study. 17 of 20 planned cells are complete, 1 not run yet or cut off, 1 failed, 1"
    )
    assert open_kind("complete").page.locator(".banner").count() == 0


@pytest.mark.parametrize("kind", ["complete", "search"])
def test_figures_and_tables_are_named_for_readers_who_do_not_see_them(kind, open_kind):
    page = open_kind(kind).page
    labels = page.evaluate("[...document.querySelectorAll('.plot')].map(p => p.getAttribute('aria-label'))")
    assert all(label and len(label) > 30 for label in labels)
    assert page.locator("table").count() == page.locator("table > caption").count()
    ragged = """[...document.querySelectorAll('table')].filter(table => {
        const columns = table.tHead.rows[0].cells.length, span = (row) => [...row.cells].map(cell => cell.colSpan);
        return table.querySelector('[rowspan]') || [...table.rows].some(row =>
            span(row).reduce((all, one) => all + one) !== columns);
    }).map(table => table.caption.innerText)"""
    assert page.evaluate(ragged) == []  # sorting, Copy and CSV go by columns
    headings = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_dark_readers_get_light_text_on_dark_ground(open_kind):
    page = open_kind("complete").page
    seen = {}
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        seen[scheme] = (ground, page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill"))
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert seen["dark"][0] == "rgb(17, 21, 28)"
    assert seen["light"][1] != seen["dark"][1]
