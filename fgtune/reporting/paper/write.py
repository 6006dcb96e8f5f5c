"""Writes the figures of a study for papers: one file each, the same bytes for the same folder."""

from __future__ import annotations

import io
from pathlib import Path

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.summary import StudySummary
from fgtune.errors import ConfigError
from fgtune.files import write_output
from fgtune.reporting.paper.figures import PaperFigure, paper_figures
from fgtune.reporting.paper.forms import Form, Width
from fgtune.reporting.paper.style import paper_style
from fgtune.text import first_line
from fgtune.visible import visible

CAPTIONS = "captions.md"


def drawn(figure: PaperFigure, form: Form, width: Width) -> bytes:
    """The content of the file of a figure.

    Raises:
        ConfigError: Its numbers are too large to be drawn, such as 1e308.
    """
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    content = io.BytesIO()
    with paper_style():
        made = Figure(figsize=(width.inches, figure.height), layout="constrained")
        try:
            figure.draw(made)
            for text in made.findobj(Text):  # SVG allows no control character
                text.set_text("\n".join(map(visible, text.get_text().split("\n"))))
            made.savefig(content, format=form.value, metadata=form.metadata)
        except (ValueError, OverflowError) as error:
            rule = f"{figure.name} cannot be drawn ({first_line(error)})"
            fix = "its numbers are in the report and tables"
            raise ConfigError(rule, where="--figures", fix=fix) from error
    return content.getvalue()


def write_figures(data: StudyData, summary: StudySummary, form: Form, width: Width, out: Path) -> list[Path]:
    """Write every figure of a study, and their captions beside them.

    Args:
        data: The study folder's content.
        summary: Its summary.
        form: The format.
        width: One column or two.
        out: The folder; files of the same names are replaced.

    Returns:
        The files of figures.

    Raises:
        ConfigError: One cannot be drawn or written.
    """
    written, lines = [], []
    for figure in paper_figures(data, summary):
        path = out / f"{figure.name}.{form.value}"
        write_output(path, drawn(figure, form, width))
        written.append(path)
        lines.append(f"**{path.name}** {visible(figure.caption)}\n")
    if written:
        write_output(out / CAPTIONS, "\n".join(lines).encode())
    return written
