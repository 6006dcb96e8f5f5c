"""What a reader does with the report in a real browser: choosing arms, sorting, filtering, copying, zooming."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page

from fgtune.reporting.html import write_up
from fgtune.results.samples import SampleCard, SampledClass, write_samples

OTHERS = ("num_fine_ratio=0.8", "num_fine_ratio=1.2", "num_fine_ratio=1.5")


@pytest.fixture(scope="module")
def report(synthetic, kf_accuracy, tmp_path_factory) -> Path:
    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path_factory.mktemp("page"))
    classes = (SampledClass("b", 7, texts=("one", "four")), SampledClass("a", 30, texts=("three", "two")))
    write_samples(folder, "letters", SampleCard("letters", classes, 0))
    return write_up(folder)[0]


@pytest.fixture(scope="module")
def open_at(browser, report):
    """Opens the report at a part of it; in the end all pages are closed, without a complaint on their consoles."""
    pages: list[Page] = []
    complaints: list[str] = []

    def opened(fragment: str = "", width: int = 1400, **options: object) -> Page:
        page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(report.as_uri() + fragment)
        page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def shared_page(open_at) -> Page:
    return open_at()


@pytest.fixture
def page(shared_page) -> Page:
    """The report on a wide screen, with all arms."""
    with _redrawn(shared_page):
        shared_page.evaluate("fgtune.choose(null)")
    return shared_page


def _until(page: Page, condition: str) -> None:
    """Wait for a condition; the page's policy forbids the browser's own way, which evaluates text."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


@contextmanager
def _redrawn(page: Page) -> Iterator[None]:
    """What happens inside changes the choice; go on when the figures have followed."""
    before = int(page.evaluate("document.documentElement.dataset.drawn || 0"))
    yield
    _until(page, f"Number(document.documentElement.dataset.drawn) > {before}")


def _drawn(page: Page) -> dict[str, set[str]]:
    """The arms that each figure draws, besides the baseline."""
    found = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.plot')].map(p => [p.id, p._fullData"
        ".filter(t => t.visible === true && t.meta && t.meta.arm).map(t => t.meta.arm)]))"
    )
    return {key: set(arms) - {"baseline"} for key, arms in found.items() if arms}


def _rows(page: Page, label: str) -> list[str]:
    """The first cells of the rows that a table shows."""
    rows = page.locator(f'[aria-label="{label}"] tbody tr')
    return [row.locator("th").inner_text() for row in rows.all() if row.is_visible()]


def test_a_hidden_arm_leaves_every_figure_and_table_and_the_baseline_stays(page):
    assert set().union(*_drawn(page).values()) == set(OTHERS)
    with _redrawn(page):
        page.get_by_label("K_F/K_F* 1.2").first.uncheck()
    assert all(OTHERS[1] not in arms and OTHERS[0] in arms for arms in _drawn(page).values())
    assert _rows(page, "Arms") == ["K_F/K_F* 1.0", "K_F/K_F* 0.8", "K_F/K_F* 1.5"]
    assert not page.locator(f'[data-arm="{OTHERS[1]}"]:not(.off)').count()
    names = page.evaluate("document.getElementById('differences').layout.yaxis.ticktext")
    assert [name.split("<")[0] for name in names] == ["K_F/K_F* 0.8", "K_F/K_F* 1.5"]
    assert "2 of 3 arms" in page.locator("#arms-menu").inner_text()
    assert page.get_by_label("K_F/K_F* 1.0").first.is_disabled()


@pytest.mark.slow
def test_a_link_shares_the_chosen_arms_and_lands_at_its_section(open_at):
    page = open_at(f"#levels&arms={OTHERS[0].replace('=', '%3D')}")
    assert set().union(*_drawn(page).values()) == {OTHERS[0]}
    assert page.evaluate("document.getElementById('levels').getBoundingClientRect().top") < 300
    assert page.locator("#arms-note").is_visible()
    page.locator("#contents a", has_text="Settings").click()
    assert page.evaluate("location.hash") == f"#settings&arms={OTHERS[0].replace('=', '%3D')}"
    with _redrawn(page):
        page.get_by_role("button", name="All", exact=True).click()
    assert page.evaluate("location.hash") == "#settings"
    assert not page.locator("#arms-note").is_visible()


def test_only_decided_arms_and_those_found_by_name(page):
    told = page.locator(".arms label").all_inner_texts()
    decided = [text.split("\n")[0] for text in told if re.search("helps|hurts|equivalent", text)]
    assert 0 < len(decided) < 3
    with _redrawn(page):
        page.get_by_role("button", name="Only decided").click()
    assert _rows(page, "Arms")[1:] == decided
    page.get_by_label("Find arms").fill("1.5")
    assert [label.inner_text().split("\n")[0] for label in page.locator(".arms label").all() if label.is_visible()] == [
        "K_F/K_F* 1.5"
    ]
    page.get_by_label("Find arms").fill("")


def test_tables_sort_by_numbers_from_the_keyboard_around_the_baseline(page):
    head = page.locator('[aria-label="Arms"] thead th', has_text="Difference")
    ends = {}
    for order, key in (("ascending", "Enter"), ("descending", "Space")):
        head.focus()
        page.keyboard.press(key)
        assert head.get_attribute("aria-sort") == order
        ends[order] = page.locator('[aria-label="Arms"] tbody tr:not(.baseline) td:nth-child(6)').all_inner_texts()
    values = [float(text.replace("−", "-")) for text in ends["ascending"]]
    assert values == sorted(values)
    assert ends["descending"] == ends["ascending"][::-1]
    assert _rows(page, "Arms")[0] == "K_F/K_F* 1.0"


def test_samples_of_texts_are_sorted_and_copied_each_with_its_class(page):
    texts = page.locator('[aria-label="Samples of letters"]')
    texts.locator("thead th", has_text="Texts begin with").click()
    page.evaluate("void (navigator.clipboard.writeText = async (text) => { window.taken = text; })")
    page.get_by_label("Copy the table Samples of letters", exact=True).click()
    _until(page, "window.taken !== undefined")
    rows = [line.split("\t") for line in page.evaluate("window.taken").splitlines()]
    assert rows[1:] == [["b", "7", "four"], ["b", "7", "one"], ["a", "30", "three"], ["a", "30", "two"]]


def test_a_filtered_table_is_copied_and_downloaded_as_it_is_shown(page, tmp_path):
    page.evaluate("document.querySelector('section:has(#cells) details').open = true")
    page.get_by_label("Filter the rows of Cells").fill("1.5 COMPLETE")
    assert page.locator('[aria-label="Cells"] tbody tr').locator("visible=true").count() == 5
    with page.expect_download() as download:
        page.get_by_label("Download the table Cells as CSV").click()
    assert download.value.suggested_filename == "kf-demo-cells.csv"
    download.value.save_as(tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Seed"] for row in rows] == list("01234")
    assert {row["Arm"] for row in rows} == {"K_F/K_F* 1.5"}
    page.evaluate(
        "document.addEventListener('copy', () => { window.taken = String(getSelection()) || "
        "document.activeElement.value; })"
    )
    page.evaluate(
        "void (navigator.clipboard.writeText = () => Promise.reject())"
    )  # as where a browser allows no clipboard
    page.get_by_label("Copy the table Cells", exact=True).click()
    page.locator('button[aria-label="Copy the table Cells"]', has_text="Copied").wait_for()
    lines = page.evaluate("window.taken").splitlines()
    assert len(lines) == 6
    assert lines[1].split("\t")[:3] == ["K_F/K_F* 1.5", "0", "COMPLETE"]
    page.get_by_label("Filter the rows of Cells").fill("")


@pytest.mark.slow
def test_the_section_called_arms_is_no_choice_of_arms(open_at):
    page = open_at("#arms")
    assert not page.locator(".off").count()
    assert not page.locator("#arms-note").is_visible()


def test_links_of_a_cell_lead_to_its_files_and_to_its_arm(page, report):
    page.evaluate("document.querySelector('section:has(#cells) details').open = true")
    row = page.locator('[aria-label="Cells"] tbody tr', has_text="K_F/K_F* 0.8").first
    assert (report.parent / row.get_by_text("relations").get_attribute("href")).is_file()
    row.get_by_text("settings").click()
    assert page.evaluate("document.activeElement.id") == "arm-settings"
    assert _rows(page, "What each arm sets") == ["K_F/K_F* 1.0 (baseline)", "K_F/K_F* 0.8"]


def _highlighted(page: Page) -> list[str]:
    """What the thick lines of the figure of single cells are called, as hover texts have it; all others step back."""
    found = page.evaluate(
        "document.getElementById('cell-curves')._fullData.map(t => [t.line.width, t.opacity, t.text.find(Boolean)])"
    )
    thick = [name for width, opacity, name in found if (width, opacity) == (3, 1)]
    assert {(width, round(opacity, 3)) for width, opacity, _ in found} <= ({(1, 0.4), (3, 1)} if thick else {(1, 0.6)})
    told = page.locator("#highlighted").inner_text() if page.locator("#highlighted").is_visible() else ""
    assert told.startswith(f"Highlighted: {thick[0]}." if thick else "")
    assert bool(told) == bool(thick)
    return thick


@pytest.mark.slow
def test_a_cell_leads_to_its_own_curve_and_back_and_a_reload_keeps_it(open_at):
    page = open_at()
    assert _highlighted(page) == []
    page.evaluate("document.querySelector('section:has(#cells) details').open = true")
    rows = page.locator('[aria-label="Cells"] tbody tr', has_text="K_F/K_F* 0.8")
    third = rows.nth(2)
    cell = third.locator("code").inner_text()
    with _redrawn(page):
        third.get_by_text("curve").click()
    address = f"#learning-cells&arms=num_fine_ratio%3D0.8&cell={cell}"
    assert page.evaluate("[location.hash, document.activeElement.id]") == [address, "learning-cells"]
    assert _highlighted(page) == ["K_F/K_F* 0.8, seed 2"]
    page.evaluate(
        "Plotly.Fx.hover('cell-curves', [{ pointNumber: 0, "
        "curveNumber: document.getElementById('cell-curves').data.length - 1 }])"
    )
    assert re.fullmatch(
        r"K_F/K_F\* 0\.8, seed 2, epoch 1: 0\.\d{3}", page.locator("#cell-curves .hovertext").text_content()
    )
    assert _rows(page, "Arms") == ["K_F/K_F* 1.0", "K_F/K_F* 0.8"]
    assert 0 <= page.locator("#learning-cells").bounding_box()["y"] < 300
    page.reload()
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    assert page.evaluate("location.hash") == address
    assert _highlighted(page) == ["K_F/K_F* 0.8, seed 2"]
    page.evaluate("document.querySelector('section:has(#cells) details').open = true")
    with _redrawn(page):
        rows.nth(4).get_by_text("curve").click()
    assert _highlighted(page) == ["K_F/K_F* 0.8, seed 4"]
    with _redrawn(page):
        page.go_back()
    assert page.evaluate("location.hash") == address
    assert _highlighted(page) == ["K_F/K_F* 0.8, seed 2"]
    assert rows.nth(4).get_by_text("curve").evaluate("at => at === document.activeElement")
    assert 0 <= rows.nth(4).bounding_box()["y"] < 900
    with _redrawn(page):
        page.go_forward()
    assert _highlighted(page) == ["K_F/K_F* 0.8, seed 4"]
    page.locator("#contents a", has_text="Settings").click()
    assert page.evaluate("location.hash").endswith(cell_part := page.evaluate("`&cell=${fgtune.cell}`"))
    assert len(cell_part) > len("&cell=")
    with _redrawn(page):
        page.go_back()
    assert 0 <= page.locator("#learning-cells").bounding_box()["y"] < 300


@pytest.mark.slow
@pytest.mark.parametrize("how", ["escape", "button", "choice"])
def test_a_highlighted_cell_is_cleared(open_at, report, how):
    cell = re.search(r"arms=num_fine_ratio%3D1.2&amp;cell=(\w+)", report.read_text(encoding="utf-8")).group(1)
    page = open_at(f"#learning-cells&arms=num_fine_ratio%3D1.2&cell={cell}", width=420 if how == "button" else 1400)
    assert _highlighted(page) == ["K_F/K_F* 1.2, seed 0"]
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#highlighted button").is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    arms = "K_F/K_F* 1.0", "K_F/K_F* 1.2", *(("K_F/K_F* 1.5",) if how == "choice" else ())
    with _redrawn(page):
        if how == "escape":
            page.get_by_label("Find arms").focus()
            page.keyboard.press("Escape")  # which is about the field
            assert _highlighted(page) == ["K_F/K_F* 1.2, seed 0"]
            page.locator("#learning-cells").click()
            page.keyboard.press("Escape")
        elif how == "button":
            page.get_by_text("Clear", exact=True).click()
        else:
            page.get_by_label("K_F/K_F* 1.5").first.check()
    assert _highlighted(page) == []
    assert "cell=" not in page.evaluate("location.hash")
    assert sorted(_rows(page, "Arms")) == sorted(arms)


def test_a_figure_zooms_by_drag_and_its_button_or_a_double_click_resets_it(page):
    plot = page.locator("#curves-0")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    span = "document.getElementById('curves-0')._fullLayout.xaxis.range"
    before = page.evaluate(span)
    reset, middle = page.get_by_text("Reset zoom").locator("visible=true"), box["y"] + 0.5 * box["height"]

    def double_click():
        for _ in range(5):  # where the machine is slow, the two clicks may be single ones
            page.wait_for_timeout(600)  # or the drag would be the first of three clicks
            page.mouse.dblclick(box["x"] + 0.5 * box["width"], middle)
            page.wait_for_timeout(600)
            if not reset.count():
                return

    for again in (reset.click, double_click):
        page.mouse.move(box["x"] + 0.3 * box["width"], middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
        page.mouse.up()
        reset.wait_for()
        low, high = page.evaluate(span)
        assert before[0] < low < high < before[1]
        again()
        reset.wait_for(state="detached")
        assert page.evaluate(span) == pytest.approx(before)


@pytest.mark.slow
def test_a_finger_scrolls_over_figures_and_does_not_zoom(open_at):
    page = open_at(width=420, has_touch=True, is_mobile=True)
    layouts = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => [p._fullLayout.dragmode, p._fullLayout.xaxis.fixedrange])"
    )
    assert layouts
    assert all(layout == [False, True] for layout in layouts)


@pytest.mark.slow
def test_contents_are_beside_the_page_and_in_a_menu_on_narrow_screens(page):
    links = page.locator("#contents a")
    assert links.all_inner_texts() == page.locator("main h2[id]").all_inner_texts()
    links.filter(has_text="Learning curves").click()
    _until(page, "document.querySelector('#contents a[aria-current]').textContent === 'Learning curves'")
    page.set_viewport_size({"width": 420, "height": 800})
    page.locator("#contents").wait_for(state="hidden")
    page.get_by_text("Contents", exact=True).click()
    assert links.first.is_visible()
    page.keyboard.press("Escape")
    assert not links.first.is_visible()
    page.set_viewport_size({"width": 1400, "height": 900})


FOCUSED = """(() => {
    const { activeElement: at } = document, { outlineStyle, outlineWidth } = getComputedStyle(at);
    const { left, right, top, bottom } = at.getBoundingClientRect();
    const ends = [left + 3, right - 3].map((x) => document.elementFromPoint(x, (top + bottom) / 2));
    return at === document.body ? null : {
        name: at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText,
        section: at.closest("section")?.getAttribute("aria-labelledby"),
        ringed: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1,
        seen: top > -1 && bottom < innerHeight + 1 && ends.every((end) => at.contains(end)),
    };
})()"""


def _tabbed(page: Page, key: str, most: int = 200) -> list[dict]:
    """What has the focus, stop by stop, until it leaves the page."""
    stops = []
    while len(stops) < most:
        page.keyboard.press(key)
        stop = page.evaluate(FOCUSED)
        if stop is None:
            break
        stops.append(stop)
    return stops


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 420])
def test_the_focus_goes_through_the_page_and_back_named_and_in_sight(open_at, width):
    page = open_at(width=width)
    forth = _tabbed(page, "Tab")
    assert 30 < len(forth) < 200  # it leaves the page in the end
    back = _tabbed(page, "Shift+Tab", len(forth))
    assert [stop["name"] for stop in back] == [stop["name"] for stop in forth][::-1]
    assert forth[0]["name"] == "Contents"
    assert [stop for stop in (*forth, *back) if not (stop["name"].strip() and stop["ringed"] and stop["seen"])] == []
    parts = [stop["section"] for stop in forth if stop["section"]]
    heads = page.locator("main h2[id]").evaluate_all("all => all.map(head => head.id)")
    assert [heads.index(part) for part in parts] == sorted(heads.index(part) for part in parts)


def test_whatever_can_be_done_has_a_name_for_screen_readers_and_figures_are_one_image_each(page):
    session = page.context.new_cdp_session(page)
    nodes = [node for node in session.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    told = [(node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in nodes]
    controls = {"button", "link", "checkbox", "searchbox", "DisclosureTriangle", "columnheader"}
    controls |= {"image", "region", "table", "navigation"}
    assert {role for role, _ in told} >= controls
    assert [role for role, name in told if role in controls and not name] == []
    figures = page.locator(".plot")
    assert sum(role == "image" for role, _ in told) == figures.count()
    assert not {"graphics-symbol", "SvgRoot"} & {role for role, _ in told}


def test_a_link_of_the_contents_takes_the_focus_along(page):
    page.locator("#contents a", has_text="Settings").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "settings"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)["section"] == "settings"


@pytest.mark.slow
def test_a_menu_on_a_narrow_screen_is_left_by_escape_and_by_tab(open_at):
    page = open_at(width=420)
    arms, contents = page.locator("#arms-menu summary"), page.locator("#contents-menu summary")
    arms.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)["name"] == "Find arms"
    page.keyboard.press("Escape")
    assert page.locator("#arms-menu[open]").count() == 0
    assert arms.evaluate("at => at === document.activeElement")
    page.keyboard.press("Enter")
    contents.focus()
    assert page.locator("#arms-menu[open]").count() == 0
    page.keyboard.press("Enter")
    links = page.locator("#contents a").count()
    for _ in range(links):
        page.keyboard.press("Tab")
    assert page.locator("#contents-menu[open]").count() == 1
    page.keyboard.press("Tab")
    assert page.locator("#contents-menu[open]").count() == 0
    assert arms.evaluate("at => at === document.activeElement")


def test_arms_are_found_and_unchosen_and_details_unfolded_by_keys(page):
    page.get_by_label("Find arms").focus()
    page.keyboard.type("1.2")
    for _ in range(4):  # over the buttons
        page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)["name"].startswith("K_F/K_F* 1.2")
    with _redrawn(page):
        page.keyboard.press("Space")
    assert sorted(_rows(page, "Arms")) == ["K_F/K_F* 0.8", "K_F/K_F* 1.0", "K_F/K_F* 1.5"]
    assert page.evaluate(FOCUSED)["name"].startswith("K_F/K_F* 1.2")
    page.get_by_label("Find arms").focus()
    page.keyboard.press("Escape")
    assert page.get_by_label("Find arms").input_value() == ""
    part = page.locator("section:has(#settings) details").first
    part.locator("summary").focus()
    for opened in (True, False):
        page.keyboard.press("Enter")
        assert part.evaluate("part => part.open") is opened


def test_a_button_says_aloud_what_it_did_and_keeps_the_focus(page):
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject())")
    copy = page.get_by_label("Copy the table Arms", exact=True)
    copy.focus()
    page.keyboard.press("Enter")
    page.locator(".heard", has_text="Copied").wait_for()
    assert copy.evaluate("at => at === document.activeElement")
    page.evaluate("Plotly.relayout('curves-0', {'xaxis.range[0]': 10, 'xaxis.range[1]': 20})")
    reset = page.get_by_text("Reset zoom").locator("visible=true")
    assert reset.get_attribute("aria-label").startswith("Reset zoom of ")
    reset.focus()
    page.keyboard.press("Enter")
    assert not page.get_by_text("Reset zoom").locator("visible=true").count()
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)["section"] != "answer"


RESIZED = """[...document.querySelectorAll('.plot')].every(plot =>
    Math.abs(plot.querySelector('svg.main-svg').clientWidth - plot.clientWidth) < 2)"""


@pytest.mark.slow_except("A4-688")
@pytest.mark.parametrize(("sheet", "width"), [("A4", 688), ("Letter", 710)])
def test_on_paper_every_figure_fits_with_all_it_draws(page, sheet, width):
    outside = """[...document.querySelectorAll('.plot')].filter(plot => {
        const box = plot.getBoundingClientRect(), svg = plot.querySelector('svg.main-svg').getBoundingClientRect();
        const all = [...plot.querySelectorAll('.points path, .errorbars path, [class$=tick] text, .annotation-text')];
        return svg.right > box.right + 1 || box.right > innerWidth || all.some(mark => {
            const { left, right, top, bottom } = mark.getBoundingClientRect();
            return left < box.left - 2 || right > box.right + 2 || top < svg.top - 2 || bottom > svg.bottom + 2;
        });
    }).map(plot => plot.id)"""
    page.set_viewport_size({"width": width, "height": 1000})
    _until(page, RESIZED)  # as it is for whoever prints
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not any(page.locator(hidden).first.is_visible() for hidden in (".side", ".tools"))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1400, "height": 900})
    _until(page, RESIZED)
    page.evaluate("addEventListener('beforeprint', () => { window.prepared = true; })")
    assert page.pdf(format=sheet).startswith(b"%PDF")
    assert page.evaluate("window.prepared")


def test_without_scripts_the_page_has_its_contents_and_tables(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator('[aria-label="Arms"] tbody tr').count() == 4
    assert page.locator("#contents a").count() > 5
    assert not page.locator("#arms-menu").is_visible()
    context.close()


@pytest.fixture(scope="module")
def search_page(browser, synthetic_search, tmp_path_factory):
    folder = synthetic_search.SyntheticSearch(trials=20, curves=False).write(tmp_path_factory.mktemp("search"))
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(write_up(folder)[0].as_uri())
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.slow
def test_a_drag_over_an_axis_keeps_the_points_inside_and_a_double_click_all(search_page):
    page = search_page
    plot = page.locator("#parallel")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    lines = page.evaluate(
        "(() => { const { x, y, meta } = JSON.parse(document.getElementById('parallel-data').textContent).data[0];"
        "const arms = meta.brush.flatMap(([arm, size]) => [...Array(size).fill(arm), null]);"
        "return x.map((place, at) => [place, y[at], arms[at]]); })()"
    )

    def at(place: float, height: float) -> tuple[float, float]:
        pixels = "(([p, h]) => { const { xaxis, yaxis } = document.getElementById('parallel')._fullLayout;"
        left, down = page.evaluate(f"{pixels} return [xaxis.l2p(p), yaxis.l2p(h)]; }})({[place, height]})")
        return box["x"] + left, box["y"] + down

    def dragged(place: float, low: float, high: float) -> None:
        page.mouse.move(*at(place - 0.1, low))
        page.mouse.down()
        page.mouse.move(*at(place + 0.1, high), steps=5)
        page.mouse.up()

    with _redrawn(page):
        dragged(0, 0.5, 1.04)
    upper = {arm for place, height, arm in lines if place == 0 and height > 0.5}
    assert 0 < len(upper) < 20
    assert set(page.evaluate("[...fgtune.chosen]")) == upper | {"baseline"}
    with _redrawn(page):
        dragged(1, -0.04, 0.6)
    both = upper & {arm for place, height, arm in lines if place == 1 and height < 0.6}
    assert set(page.evaluate("[...fgtune.chosen]")) == both | {"baseline"}
    drawn = page.evaluate(
        "document.getElementById('parallel')._fullData.filter(t => t.meta && t.meta.arms)"
        ".flatMap(t => t.meta.arms.filter((arm, i) => arm && t.y[i] !== null))"
    )
    assert set(drawn) == both
    with _redrawn(page):
        page.mouse.dblclick(*at(2.5, 0.3))
    assert page.evaluate("fgtune.chosen") is None


@pytest.mark.slow
def test_settings_of_a_trial_are_its_row_of_all_trials_which_unfold(search_page):
    page = search_page
    page.evaluate("document.querySelector('section:has(#cells) details').open = true")
    trials = page.locator("#trials")
    assert not trials.is_visible()
    with _redrawn(page):
        page.locator('[aria-label="Cells"] tbody tr', has_text="trial-0007").first.get_by_text("settings").click()
    heads = [row.inner_text().strip() for row in trials.locator("tbody th").all() if row.is_visible()]
    assert heads == ["baseline", "trial-0007"]
    assert page.evaluate("document.activeElement.id") == "trials"
    assert trials.evaluate("at => at.tabIndex") == 0  # it still scrolls by keys
    with _redrawn(page):
        page.evaluate("fgtune.choose(null)")


@pytest.mark.slow
def test_the_best_trials_alone_are_shown_and_a_mark_says_its_mean_interval_and_seeds(search_page):
    page = search_page
    with _redrawn(page):
        page.get_by_role("button", name="Best 10", exact=True).click()
    chosen = set(page.evaluate("[...fgtune.chosen]"))
    shown = [name.strip() for name in page.locator('[aria-label="Trials"]').first.locator("tbody th").all_inner_texts()]
    assert len(chosen) == 11
    assert set(shown) == chosen
    star = page.locator("#history-0 .trace:has(path) .points path").last
    star.scroll_into_view_if_needed()
    box = star.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.locator("#history-0 .hovertext").wait_for()
    said = page.locator("#history-0 .hovertext").text_content()
    assert re.fullmatch(r"trial-\d{4}: 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\], n = 3", said), said
    assert said.split(":")[0] in chosen
    with _redrawn(page):
        page.evaluate("fgtune.choose(null)")


@pytest.mark.slow
def test_a_page_that_loads_itself_again_keeps_its_place_its_unfolded_parts_and_the_arms(browser, synthetic, tmp_path):
    whole = synthetic.SyntheticStudy().write(tmp_path / "whole")
    faults = synthetic.Faults(missing={("baseline", 3), ("baseline", 4)})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path / "part")
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.clock.install()
    page.goto(write_up(folder, refresh_s=600)[0].as_uri())
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    part = page.locator("section:has(#cells) details")
    part.locator("summary").click()
    with _redrawn(page):
        page.get_by_label("K_F/K_F* 1.2").first.uncheck()
    page.evaluate("scrollTo(0, document.getElementById('levels').offsetTop - 100)")
    place = "document.getElementById('levels').getBoundingClientRect().top"
    before = page.evaluate(place)
    assert page.evaluate("scrollY") > 1000
    cells = page.locator("dl.facts dd").filter(has_text="of 20")
    assert cells.inner_text() == "18 of 20"
    folder.ledger.append(next(line for line in whole.ledger.read() if (line.arm, line.seed) == ("baseline", 3)))
    write_up(folder, refresh_s=600)
    with page.expect_event("load"):
        page.clock.fast_forward(600_000)
    page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
    assert cells.inner_text() == "19 of 20"
    assert page.evaluate(place) == pytest.approx(before, abs=2)
    opened = page.locator("main details[open] > summary").all_inner_texts()
    assert opened == ["Every cell with its links"]
    assert set(page.evaluate("[...fgtune.chosen]")) == {"baseline", OTHERS[0], OTHERS[2]}
    assert all(OTHERS[1] not in arms for arms in _drawn(page).values())
    page.close()
