"""``fgtune export DIR``: a study's results for other programs and for papers, from its folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.errors import ConfigError
from fgtune.files import write_output
from fgtune.reporting.paper.forms import Form, Width
from fgtune.text import print_damage

if TYPE_CHECKING:
    from fgtune.results.folder import StudyFolder


class ExportFormat(StrEnum):
    """What to write."""

    CSV = "csv"
    PARQUET = "parquet"
    LATEX = "latex"
    PREDICTIONS = "predictions"


def export(root: Path, form: ExportFormat, out: Path | None = None) -> bytes:
    """The results of a study, finished or not, in another format; written to a file if one is named.

    CSV and Parquet hold the tidy table, one row per planned cell; LaTeX is a table of arms by metrics. Predictions have
    a row for each sample in each finished cell: CSV, or Parquet where the file is named so.

    Args:
        root: The study folder.
        form: The format.
        out: The file; Parquet needs one.

    Returns:
        The content, which is also that of the file.

    Raises:
        ConfigError: There is no study in the folder, or Parquet is to go to the terminal.
    """
    from fgtune.results.folder import StudyFolder

    folder = StudyFolder(root, lenient=True)
    folder.require_study()
    if form is ExportFormat.PARQUET and out is None:
        fix = "name a file, e.g. --out results.parquet"
        raise ConfigError("Parquet cannot be shown in a terminal", where="--format", value=form.value, fix=fix)
    content = _content(folder, form, ".csv" if out is None else out.suffix)
    print_damage(folder.damage.values())
    if out is not None:
        write_output(out, content)
    return content


def export_figures(root: Path, form: Form, width: Width, out: Path | None = None) -> list[Path]:
    """The figures of a study's report that make sense on paper, a file each, and their captions.

    Args:
        root: The study folder.
        form: The format of the files.
        width: One column or two.
        out: The folder for them; ``figures`` in the study folder by default.

    Returns:
        The files of figures; none while nothing has ended that could be drawn.

    Raises:
        ConfigError: There is no study in the folder, or a file cannot be written.
    """
    from fgtune.analysis.inputs import read_study
    from fgtune.analysis.summary import summarise
    from fgtune.reporting.paper.write import write_figures
    from fgtune.results.folder import StudyFolder

    folder = StudyFolder(root, lenient=True)
    folder.require_study()
    data = read_study(folder)
    into = root / "figures" if out is None else out
    written = write_figures(data, summarise(data), form, width, into)
    print_damage(folder.damage.values())
    return written


def _content(folder: StudyFolder, form: ExportFormat, suffix: str) -> bytes:
    from fgtune.analysis.inputs import read_study
    from fgtune.analysis.latex import latex_table
    from fgtune.analysis.summary import summarise
    from fgtune.analysis.table import encoded, tidy_table

    data = read_study(folder)
    if form is ExportFormat.PREDICTIONS:
        from fgtune.analysis.predictions import predictions_table

        return encoded(predictions_table(data), ".parquet" if suffix == ".parquet" else ".csv")
    if form is ExportFormat.LATEX:
        return latex_table(summarise(data)).encode()
    return encoded(tidy_table(data), f".{form.value}")
