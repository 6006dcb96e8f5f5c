"""ARCHITECTURE.md, CONTRIBUTING.md and README.md name what there is: files, folders, layers, links."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"]
PAGES += [f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))]
MADE_UP = {"fgtune.objectives.flat"}
"""Modules that a recipe has the reader write."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES[:2])
def test_every_path_that_a_guide_names_exists(page):
    named = set(re.findall(r"`((?:fgtune|tests|docs|studies)/[\w./-]*)`", text_of(page)))
    assert len(named) > 20
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text_of(page))
    assert sorted(link for link in links if not (ROOT / page).parent.joinpath(link).exists()) == []


def test_the_readme_names_every_page():
    readme = text_of("README.md")
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").iterdir() if page.suffix in {".md", ".ipynb"}}
    assert sorted(page for page in pages if f"]({page})" not in readme) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/tracking.md"])  # which is about tags
def test_every_module_that_a_page_names_can_be_found(page):
    for dotted in set(re.findall(r"\bfgtune(?:\.[a-z_0-9]+)+", text_of(page))) - MADE_UP:
        parts = dotted.split(".")
        module = ROOT.joinpath(*parts)
        holder = ROOT.joinpath(*parts[:-1])  # the last part may be a name in a module
        found = module.is_dir() or module.with_suffix(".py").is_file()
        inside = holder.with_suffix(".py") if holder.with_suffix(".py").is_file() else holder / "__init__.py"
        assert found or (inside.is_file() and parts[-1] in inside.read_text(encoding="utf-8")), dotted


def test_the_layer_map_is_that_of_the_contract():
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = {name for line in contracts[0]["layers"] for name in line.split(" | ")}
    rows = [line for line in text_of("ARCHITECTURE.md").splitlines() if line.startswith("| `fgtune/")]
    named = [name for row in rows for name in re.findall(r"`fgtune/(\w+)(?:/|\.py)`", row.split("|")[1])]
    assert sorted(named) == sorted(layers)
    line_of = {name: number for number, line in enumerate(contracts[0]["layers"]) for name in line.split(" | ")}
    assert [line_of[name] for name in named] == sorted(line_of.values())


def test_every_picture_of_the_gallery_is_one_that_its_script_takes():
    folder = ROOT / "docs" / "images" / "gallery"
    taken = runpy.run_path(str(folder / "take.py"))["PICTURES"]
    assert sorted(re.findall(r"\(images/gallery/(\w+)\.png\)", text_of("docs/gallery.md"))) == sorted(taken)
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(taken)
