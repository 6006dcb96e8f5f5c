"""``fgtune compare DIR DIR ...``: studies side by side, from their folders."""

from __future__ import annotations

import math
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

    from fgtune.analysis.comparing import Comparison, Difference

SUFFIXES = (".csv", ".parquet")


def compare(roots: Sequence[Path], arm: str | None = None, out: Path | None = None) -> Comparison:
    """Read studies, put them side by side, and write the table if a file is named.

    Args:
        roots: Two or more study folders; the others are compared with the first.
        arm: The arm of every study to compare; None for the best of each.
        out: A file to write the table to, ``.csv`` or ``.parquet``.

    Raises:
        ConfigError: Fewer than two folders, a folder twice, one without a study or the arm, or a file of another
            kind; nothing is written then.
    """
    from fgtune.analysis.comparing import compare_studies
    from fgtune.analysis.table import encoded

    _check(roots, out)
    comparison = compare_studies([StudyFolder(root) for root in roots], arm)
    if out is not None:
        write_output(out, encoded(table_of(comparison), out.suffix))
    return comparison


def table_of(comparison: Comparison) -> pd.DataFrame:
    """One row per arm of every study; the compared ones with their difference from the first study's."""
    import pandas as pd

    table = pd.DataFrame(comparison.rows())
    return table.astype({"compared_with": "string", "reasons": "string"})


def _check(roots: Sequence[Path], out: Path | None) -> None:
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


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the comparison."""
    table = Table("study", "arm", "metric", "n", "mean", "interval", "K_F", "seconds per cell")
    for study in comparison.studies:
        for arm in study.arms:
            estimate = arm.estimates[study.primary]
            mark = " *" if arm is study.chosen else ""
            sizes = ", ".join(map(str, arm.num_fine)) or "-"
            between = _between(estimate.low, estimate.high)
            cells = (str(estimate.n), _number(estimate.mean), between, sizes, _number(arm.seconds.mean, 1))
            table.add_row(*table_row(study.name, arm.arm + mark, study.primary, *cells))
        table.add_section()
    table.caption = "* stands for its study below"
    console.print(table)
    for difference in comparison.differences:
        for line in _lines(comparison, difference):
            print_line(console, line)


def _lines(comparison: Comparison, difference: Difference) -> list[str]:
    """A difference in words."""
    from fgtune.analysis.search.held_out import held_out_words

    first = comparison.studies[0]
    study = next(each for each in comparison.studies if each.name == difference.study)
    if difference.contrast is None or study.chosen is None or first.chosen is None:
        return [f"{study.name} and {first.name} cannot be compared: {'; '.join(difference.reasons)}"]
    estimate = difference.contrast.estimate
    what = f"{study.name} ({study.chosen.arm}) minus {first.name} ({first.chosen.arm})"
    between = _between(estimate.low, estimate.high, sign=True)
    held = difference.held_out
    level = f"{100 * comparison.level:g} % interval {between}, " if estimate.n > 1 and held is None else ""
    value = f"{study.primary} {_number(estimate.mean, sign=True)}"
    pairs = f"{estimate.n} pair{'s'[: estimate.n != 1]}"
    lines = [f"{what}: {value} ({level}{pairs}), exploratory"]
    if held is not None and held.n > 1:
        words = held_out_words(held, comparison.level, sign=True)
        lines.append(f"  on seeds that did not choose these arms: {_number(held.mean, sign=True)} ({words})")
    return [*lines, *(f"  note: {note}" for note in difference.notes)]


def _number(value: float, decimals: int = 4, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"


def _between(low: float, high: float, *, sign: bool = False) -> str:
    return "-" if math.isnan(low) or math.isnan(high) else f"{_number(low, sign=sign)} to {_number(high, sign=sign)}"
