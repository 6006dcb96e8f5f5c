"""Writes ``report.html``: one page that needs no network, rebuilt from the study folder.

Plotly's script is inlined once and figures are inert JSON beside it. The page's content security policy allows only its
two scripts, by digest, and no requests; in addition, the template escapes text from the study.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fgtune.analysis import formatting
from fgtune.analysis.inputs import StudyData, read_study
from fgtune.analysis.summary import StudySummary, summarise
from fgtune.analysis.table import write_tables
from fgtune.files import write_atomically
from fgtune.reporting.page import page_context
from fgtune.results.folder import StudyFolder
from fgtune.text import count


def write_up(folder: StudyFolder) -> tuple[Path, StudySummary]:
    """Write tables and report of a study, finished or not, reading its folder once.

    Returns:
        The report, and the summary that it shows.

    Raises:
        StudyFolderError: The folder lacks its plan or resolved study, or has an unreadable file.
    """
    data = read_study(folder)
    write_tables(folder, data)
    summary = summarise(data)
    return _write_page(folder, data, summary), summary


def write_report(folder: StudyFolder) -> Path:
    """Write the report of a study, finished or not, and return its path.

    The file is replaced atomically, and the same folder content gives the same bytes.

    Raises:
        StudyFolderError: The folder lacks its plan or resolved study, or has an unreadable file.
    """
    data = read_study(folder)
    return _write_page(folder, data, summarise(data))


def _write_page(folder: StudyFolder, data: StudyData, summary: StudySummary) -> Path:
    provenance = folder.read_provenance() if folder.provenance_file.is_file() else {}
    context = page_context(data, summary, provenance)
    page = _render(context | {"summary_json": script_json(json.dumps(summary.to_plain(), allow_nan=False))})
    write_atomically(folder.report_file, page.encode())
    return folder.report_file


def script_json(text: str) -> Markup:
    """JSON that is safe inside a ``<script>`` element: no character can end the element or open a comment."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def tight(text: str) -> str:
    """Text with no-break spaces inside ``95 %`` and ``n = 5 pairs``."""
    return re.sub(r"(?<=\d) (?=%|pairs?\b)| (?==)|(?<==) ", "\u00a0", text)


def _render(context: Mapping[str, Any]) -> str:
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
        "seconds": formatting.seconds_text,
        "level": formatting.level_text,
        "plain": "{:g}".format,
        "cap": formatting.capital,
        "tight": tight,
    }
    environment.globals |= {"interval": formatting.interval, "count": count}
    scripts = {"plotly_js": get_plotlyjs(), "report_js": _package_file("report.js")}
    figures = {figure.key: script_json(figure.spec.to_json()) for figure in context["panels"].figures}
    return environment.get_template("report.html.j2").render(
        **context,
        **{name: Markup(text) for name, text in scripts.items()},
        report_css=Markup(_package_file("report.css")),
        figure_json=figures,
        script_policy=" ".join(_digest(text) for text in scripts.values()),
    )


def _package_file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """A script's entry in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
