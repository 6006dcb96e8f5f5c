"""Writes the figures of a study for papers: one file each, the same bytes for the same folder."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.summary import StudySummary
from fgtune.errors import ConfigError
from fgtune.files import write_output
from fgtune.reporting.paper.figure import PaperFigure
from fgtune.reporting.paper.figures import paper_figures
from fgtune.reporting.paper.fonts import fonts_for
from fgtune.reporting.paper.forms import Form, Width
from fgtune.reporting.paper.style import paper_style
from fgtune.text import first_line, say
from fgtune.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = "captions.md"


@dataclass(frozen=True)
class Drawing:
    """A figure as a file.

    Attributes:
        content: The file's.
        boxes: Texts with a character that no installed font has, by that character.
    """

    content: bytes
    boxes: Mapping[str, str]


def drawn(figure: PaperFigure, form: Form, width: Width) -> Drawing:
    """Draw a figure into the content of a file.

    Raises:
        ConfigError: Its numbers are too large to be drawn, such as 1e308.
    """
    try:
        with paper_style():
            made, texts = _made(figure, width)
        families, unknown = fonts_for(texts)
        with paper_style(families), warnings.catch_warnings():
            if families:
                made, texts = _made(figure, width)
            warnings.filterwarnings("ignore", "Glyph .* missing")  # said once, with the text that it is in
            content = io.BytesIO()
            made.savefig(content, format=form.value, metadata=form.metadata)
    except (ValueError, OverflowError) as error:
        rule = f"{figure.name} cannot be drawn ({first_line(error)})"
        fix = "its numbers are in the report and tables"
        raise ConfigError(rule, where="--figures", fix=fix) from error
    boxes = {sign: next(text for text in texts if sign in text) for sign in sorted(unknown)}
    return Drawing(content.getvalue(), boxes)


def _made(figure: PaperFigure, width: Width) -> tuple[Figure, list[str]]:
    """The figure, and all texts in it."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    made = Figure(figsize=(width.inches, figure.height), layout="constrained")
    figure.draw(made)
    texts = made.findobj(Text)
    for text in texts:  # SVG allows no control character
        text.set_text("\n".join(map(visible, text.get_text().split("\n"))))
    return made, [text.get_text() for text in texts]


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
    boxes: dict[str, str] = {}
    for figure in paper_figures(data, summary):
        path, made = out / f"{figure.name}.{form.value}", drawn(figure, form, width)
        boxes = {sign: f"{text!r} of {path.name}" for sign, text in made.boxes.items()} | boxes
        write_output(path, made.content)
        written.append(path)
        lines.append(f"**{path.name}** {visible(figure.caption)}\n")
    if written:
        write_output(out / CAPTIONS, "\n".join(lines).encode())
    if boxes:
        lacks, where = "".join(sorted(boxes)), boxes[min(boxes)]
        fix = "install one that has them, such as Noto Sans CJK, and export again"
        say(f"warning: no installed font has {lacks}, as in {where}: boxes stand in their place. Fix: {fix}", err=True)
    return written
