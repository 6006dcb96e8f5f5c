"""``fgtune compare DIR DIR ...``: studies side by side, from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from fgtune.errors import ConfigError
from fgtune.files import real_path, write_output
from fgtune.results.folder import StudyFolder
from fgtune.text import print_line, table_row

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.analysis.across.comparing import Comparison

SUFFIXES = (".csv", ".parquet")
PAGE_SUFFIX = ".html"


def compare(
    roots: Sequence[Path], arm: str | None = None, out: Path | None = None, page: Path | None = None
) -> Comparison:
    """Read studies, put them side by side, and write the table and the page if files are named.

    Args:
        roots: Two or more study folders; the others are compared with the first.
        arm: The arm of every study to compare; None for the best of each.
        out: A file to write the table to, ``.csv`` or ``.parquet``.
        page: A file to write the page to, ``.html``.

    Raises:
        ConfigError: Fewer than two folders, a folder twice, one without a study or the arm, or a file of another
            kind; nothing is written then.
    """
    from fgtune.analysis.across.comparing import compare_data
    from fgtune.analysis.inputs import read_study
    from fgtune.analysis.table import encoded

    _check(roots, out, page)
    data = [read_study(StudyFolder(root)) for root in roots]
    comparison = compare_data(data, arm)
    if page is not None:
        from fgtune.reporting.comparison import render_comparison

        write_output(page, render_comparison(comparison, data))
    if out is not None:
        write_output(out, encoded(table_of(comparison), out.suffix))
    return comparison


def table_of(comparison: Comparison) -> pd.DataFrame:
    """One row per arm of every study; the compared ones with their difference from the first study's."""
    import pandas as pd

    table = pd.DataFrame(comparison.rows())
    return table.astype({"compared_with": "string", "reasons": "string"})


def _check(roots: Sequence[Path], out: Path | None, page: Path | None) -> None:
    if len(roots) < 2:
        raise ConfigError("needs two study folders or more", where="compare", value=[str(root) for root in roots])
    seen: set[Path] = set()
    for root in roots:
        StudyFolder(root).require_study()
        if real_path(root) in seen:
            raise ConfigError("is named twice", where=str(root), fix="name each study folder once")
        seen.add(real_path(root))
    if out is not None and out.suffix not in SUFFIXES:
        fix = "name a file that ends with .csv or .parquet"
        raise ConfigError("writes only CSV and Parquet", where="--out", value=str(out), fix=fix)
    if page is not None and page.suffix != PAGE_SUFFIX:
        raise ConfigError("writes a page", where="--html", value=str(page), fix="name a file that ends with .html")
    if page is not None and any(real_path(page) == real_path(StudyFolder(root).report_file) for root in roots):
        raise ConfigError("is the report of one of them", where="--html", value=str(page), fix="name another file")


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the comparison."""
    from fgtune.analysis.across.words import difference_lines, plain_interval, plain_number

    table = Table("study", "arm", "metric", "n", "mean", "interval", "K_F", "seconds per cell")
    for study in comparison.studies:
        for arm in study.arms:
            estimate = arm.estimates[study.primary]
            mark = " *" if arm is study.chosen else ""
            sizes = ", ".join(map(str, arm.num_fine)) or "-"
            between = plain_interval(estimate.low, estimate.high)
            cells = (str(estimate.n), plain_number(estimate.mean), between, sizes, plain_number(arm.seconds.mean, 1))
            table.add_row(*table_row(study.name, arm.arm + mark, study.primary, *cells))
        table.add_section()
    table.caption = "* stands for its study below"
    console.print(table)
    for difference in comparison.differences:
        for line in difference_lines(comparison, difference):
            print_line(console, line)
