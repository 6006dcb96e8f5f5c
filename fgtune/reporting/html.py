"""Writes ``report.html``, one page that needs no network, and ``verdicts.json`` beside it, from the study folder.

Plotly's script is inlined once, compressed, and figures are inert JSON beside it. It is the bundle for cartesian charts
that Plotly publishes (``plotly.js-cartesian-dist-min`` 4.1.1), a third of the whole script. The page's content security
policy allows only its own scripts, by digest, and no requests; in addition, the template escapes text from the study.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import plotly.io as pio
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fgtune import __version__
from fgtune.analysis import formatting
from fgtune.analysis.inputs import StudyData, read_study
from fgtune.analysis.portrait_cells import find_map
from fgtune.analysis.summary import StudySummary, summarise
from fgtune.analysis.table import write_tables
from fgtune.analysis.text.importances import share_text
from fgtune.analysis.verdict_records import versions, write_verdicts
from fgtune.files import write_atomically
from fgtune.reporting.page import page_context
from fgtune.results.folder import StudyFolder
from fgtune.results.samples import read_samples
from fgtune.results.tracked import tracked_runs
from fgtune.text import count, print_damage

_SCRIPTS = (
    "vendor/tablesort.min.js",
    "scripts/tables.js",
    "scripts/contents.js",
    "scripts/arms.js",
    "scripts/figures.js",
)
"""In the order in which the page runs them."""
_LONGEST = 40
"""Characters of a name that stays in one piece in a table."""
_PLOTLY = "vendor/plotly-cartesian.min.js.gz"
MOST_PLAIN = 100_000
"""Characters of the summary for programs, or of a figure, beyond which a page holds it compressed."""


def write_up(folder: StudyFolder, refresh_s: int = 0) -> tuple[Path, StudySummary]:
    """Write tables, verdicts and report of a study, finished or not, from one reading of its plan and its ledger.

    The files are replaced atomically, and the same folder content gives the same bytes.

    Args:
        folder: The study folder.
        refresh_s: After so many seconds an opened page of an unfinished study loads itself again; 0 for never.

    Returns:
        The report, and the summary that it shows.

    Raises:
        StudyFolderError: The folder lacks its plan or resolved study, or has an unreadable file.
    """
    folder = folder.leniently()
    data = read_study(folder)
    folder.check_curves()
    tracked_runs(folder)
    read_samples(folder)
    folder.read_shown()  # here, so that the page tells where it is damaged
    summary = summarise(data)
    made_again = {folder.provenance_file, folder.resolved_file, folder.plan_file}  # of which no result lacks anything
    damage = tuple(f"{what}." for path, what in folder.damage.items() if path not in made_again)
    print_damage(folder.damage.values())
    summary = replace(summary, warnings=(*damage, *summary.warnings))
    folder.rebuild()
    if not refresh_s:
        find_map(data)
    write_tables(folder, data)
    write_verdicts(data, summary)
    write_atomically(folder.report_file, render(data, summary, refresh_s))
    return folder.report_file, summary


def generator() -> str:
    """What made a page, as its head says: with the same versions, the same folder gives the same bytes."""
    made_by = {"fgtune": __version__, "plotly": plotly.__version__} | versions()
    return ", ".join(f"{name} {version}" for name, version in made_by.items())


def render(data: StudyData, summary: StudySummary, refresh_s: int = 0) -> bytes:
    """The report as it stands in the folder of ``data``; writes nothing.

    Args:
        data: The study folder's content.
        summary: Its summary.
        refresh_s: As in ``write_up``.
    """
    context = page_context(data, summary) | {"refresh_s": refresh_s if summary.counts.missing else 0}
    made = {"generator": generator(), "ledger_head": data.ledger_head, "arms_json": _json(context["arm_list"])}
    shown = embedded(json.dumps(summary.to_plain(), allow_nan=False, separators=(",", ":")))
    return _render(context | made | {"summary_json": shown})


@dataclass(frozen=True)
class Embedded:
    """JSON in a page: the type of its ``<script>`` element, and its content."""

    type: str
    content: Markup


def embedded(text: str) -> Embedded:
    """JSON as a page holds it: as it is, or packed with gzip and base64 where it is long, to less than half."""
    if len(text) <= MOST_PLAIN:
        return Embedded("application/json", script_json(text))
    return Embedded("application/gzip", Markup(base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()))


def _json(content: Any) -> Markup:
    return script_json(json.dumps(content, allow_nan=False, separators=(",", ":")))


def script_json(text: str) -> Markup:
    """JSON that is safe inside a ``<script>`` element: no character can end the element or open a comment."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def tight(text: str) -> str:
    """Text with no-break spaces inside ``95 %`` and ``n = 5 pairs``."""
    return re.sub(r"(?<=\d) (?=%|pairs?\b)| (?==)|(?<==) ", "\u00a0", text)


def code(text: str) -> Markup:
    """Text with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after each underscore."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def whole(name: str) -> Markup:
    """A name in one piece in a table, unless it is so long that it has to break."""
    return Markup('<span class="long">{}</span>').format(name) if len(name) > _LONGEST else escape(name)


def sections(body: str) -> list[tuple[str, Markup]]:
    """Id and title of every section of a page that has a heading, in order."""
    found: list[tuple[str, str]] = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', body)
    return [(key, Markup(title)) for key, title in found]


@cache
def _environment() -> Environment:
    """The templates with their filters, compiled once a process."""
    environment = Environment(
        loader=PackageLoader("fgtune.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formatting.number,
        "p": formatting.p_text,
        "percent": formatting.percent,
        "share": share_text,
        "seconds": formatting.seconds_text,
        "level": formatting.setting_text,
        "plain": "{:g}".format,
        "signed": lambda value: f"{value:+.1f}".replace("-", "−"),
        "cap": formatting.capital,
        "tight": tight,
        "code": code,
        "sections": sections,
        "breakable": breakable,
        "whole": whole,
    }
    environment.globals |= {"interval": formatting.interval, "count": count}
    return environment


def _render(context: Mapping[str, Any]) -> bytes:
    specs = {figure.key: figure.spec for figure in context["panels"].figures}
    return document("report.html.j2", context, specs)


def document(template: str, context: Mapping[str, Any], figures: Mapping[str, go.Figure]) -> bytes:
    """A page with all scripts, styles and figures in it.

    Args:
        template: Name of the template.
        context: What it reads besides.
        figures: By the id of their element.
    """
    look, specs = _figure_parts(figures)
    scripts = tuple(_package_file(name).strip() for name in _SCRIPTS)
    styles = {"report_css": "report.css", "discovery_css": "discovery.css"}
    text = (
        _environment()
        .get_template(template)
        .render(
            **context,
            plotly_gz=base64.b64encode(_plotly_file()).decode(),
            scripts=tuple(map(Markup, scripts)),
            **{name: Markup(_package_file(file)) for name, file in styles.items()},
            figure_look=script_json(look),
            figure_json={key: embedded(figure) for key, figure in specs.items()},
            script_policy=" ".join(_digest(script) for script in (plotly_script(), *scripts)),
        )
    )
    return text.encode()


def _figure_parts(figures: Mapping[str, go.Figure]) -> tuple[str, dict[str, str]]:
    """Plotly's template, which all figures share and which is two thirds of a small one, and the figures without it."""
    look: dict[str, Any] = {}
    found = {}
    for key, figure in figures.items():
        plain = figure.to_dict()
        look = plain["layout"].pop("template", look)
        found[key] = pio.to_json(plain, validate=False)
    return json.dumps(look, separators=(",", ":")), found


def _plotly_file() -> bytes:
    return (Path(__file__).parent / _PLOTLY).read_bytes()


@cache
def plotly_script() -> str:
    """Plotly's script, as the page unpacks it."""
    return gzip.decompress(_plotly_file()).decode()


def _package_file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """A script's entry in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
