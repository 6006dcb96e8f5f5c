"""Takes the pictures of docs/gallery.md from the reports of their studies.

The folder holds each study's folder under the name that ``PICTURES`` has; the commands that make them stand below the
pictures in docs/gallery.md. ``fgtune report DIR`` before makes a page of this version. Pictures whose page is not there
are left as they are.

    python docs/images/gallery/take.py reports [--only imported answer] [--out DIR]
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HEIGHT, WIDTH = 900, 1180
"""The window: a page at its widest without its contents beside it, so that a figure is 1,064 pixels wide at most."""
WIDEST = 900
"""Pixels of a picture; wider ones are made smaller."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Picture:
    """What to take.

    Attributes:
        page: The page, below the folder of reports.
        parts: A selector of what the picture holds: from the first to the last of these.
        most: So many of them at most.
        widest: Pixels of its width at most.
        cell: The row in the table of cells, from 0, whose curve is highlighted; None for none.
    """

    page: str
    parts: str
    most: int = 100
    widest: int = WIDEST
    cell: int | None = None


def _figure(key: str) -> str:
    return f"figure:has(#{key})"


KF, SEARCH = "kf_sensitivity/report.html", "loss_weights/report.html"
PICTURES: Mapping[str, Picture] = {
    "answer": Picture(KF, "section.answer"),
    "forest": Picture(KF, _figure("differences")),
    "levels": Picture(KF, "section[aria-labelledby=levels] > *"),
    "numbers": Picture(KF, _figure("numbers-0")),
    "learning": Picture(KF, _figure("curves-0")),
    "cells": Picture(KF, _figure("cell-curves"), cell=23),
    "relations": Picture(KF, _figure("relations-1")),
    "classes": Picture(KF, "section[aria-labelledby=looks-of-classes] > *", most=4),
    "portraits": Picture(KF, ".portraits article", most=4),
    "calibration": Picture(KF, _figure("reliability")),
    "parts": Picture("loss_ablation-smoke/report.html", _figure("parts-effects")),
    "history": Picture(SEARCH, _figure("history-0")),
    "parallel": Picture(SEARCH, _figure("parallel")),
    "trials": Picture(SEARCH, _figure("trials-0")),
    "dependence": Picture("more_trials/loss_weights/report.html", ".grid:has(#dependence-0)"),
    "front": Picture("multi_objective/report.html", _figure("front-0")),
    "variance": Picture("seed_variance/report.html", _figure("variance-shares")),
    "datasets": Picture("wrong_label_shares/report.html", "figure:has(h3:text('falcon_warm_cleaned'))", most=1),
    "ranks": Picture("wrong_label_shares/report.html", _figure("datasets-ranks")),
    "compare": Picture("both.html", "section[aria-labelledby=effects] figure", most=1, widest=1064),
    "imported": Picture("classifiers/report.html", "section.answer"),
}


def take(reports: Path, names: Sequence[str], out: Path) -> list[str]:
    """Take pictures.

    Args:
        reports: The folder of the studies' folders.
        names: Keys of ``PICTURES``.
        out: The folder to write ``NAME.png`` to.

    Returns:
        The names of those whose page is not there.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("no Chromium found; `make browser` installs one")
    left = [name for name in names if not (reports / PICTURES[name].page).is_file()]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name in [name for name in names if name not in left]:
            wanted = PICTURES[name]
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto((reports / wanted.page).resolve().as_uri())
            page.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
            page.add_style_tag(content=".side { display: none; }")  # it stays in sight, over what is taken
            if wanted.cell is not None:
                row = page.locator("[aria-label=Cells] tbody tr").nth(wanted.cell)
                row.get_by_text("curve", exact=True).evaluate("link => link.click()")
                page.locator("html[data-drawn]").wait_for(state="attached", timeout=60_000)
            found = page.locator(wanted.parts)
            if not found.count():
                raise SystemExit(f"{reports / wanted.page} has no {wanted.parts}, of which {name}.png is made")
            found.first.evaluate("part => part.closest('details')?.setAttribute('open', '')")
            page.evaluate("scrollTo(0, 0)")  # boxes are told from the window, and taken from the page
            boxes = [box for part in found.all()[: wanted.most] if (box := part.bounding_box())]
            x, y = (min(box[end] for box in boxes) for end in ("x", "y"))
            width = max(box["x"] + box["width"] for box in boxes) - x
            height = max(box["y"] + box["height"] for box in boxes) - y
            clip = {"x": x, "y": y, "width": width, "height": height}
            shot = page.screenshot(full_page=True, clip=clip)
            page.close()
            picture = Image.open(io.BytesIO(shot)).convert("RGB")
            if picture.width > wanted.widest:
                size = (wanted.widest, round(picture.height * wanted.widest / picture.width))
                picture = picture.resize(size, Image.Resampling.LANCZOS)
            picture.quantize(method=Image.Quantize.FASTOCTREE).save(out / f"{name}.png", optimize=True)
        browser.close()
    return left


def main() -> None:
    """Take all pictures, or those that are named, and say which have no page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reports", type=Path, help="The folder of the studies' folders.")
    parser.add_argument("--only", nargs="+", choices=sorted(PICTURES), default=list(PICTURES), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="Where to write; beside this file.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in take(given.reports, given.only, given.out):
        print(f"{name}: no {given.reports / PICTURES[name].page}, left as it is")


if __name__ == "__main__":
    main()
