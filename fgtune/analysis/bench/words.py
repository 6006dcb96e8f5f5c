"""The table of a benchmark as CSV, as Markdown, and in sentences."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from fgtune.analysis.bench.columns import BASELINE, METRICS, PRIMARY, SECONDS
from fgtune.analysis.bench.table import LEVEL, BenchTable, PooledRow
from fgtune.analysis.formatting import DASH
from fgtune.analysis.verdicts.statistics import Estimate
from fgtune.text import count

_COLUMNS = {
    "test/clustering_accuracy": "accuracy",
    PRIMARY: "within_coarse_accuracy",
    "test/ari": "ari",
    "test/ged": "ged",
    SECONDS: "seconds",
}


_SHIPPED = 4 + list(METRICS).index(PRIMARY)
"""Place of the column of shipped results: beside one's own."""


def csv_bytes(table: BenchTable) -> bytes:
    """One row a data set and method: numbers of cells, and mean, low and high of every column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ends = [f"{_COLUMNS[key]}{end}" for key in METRICS for end in ("", "_low", "_high")]
    writer.writerow(["dataset", "method", "planned", "complete", *ends, "fgtune"])
    for row in table.rows:
        numbers = [_plain(value) for key in METRICS for value in _ends(row.scores[key])]
        writer.writerow([row.dataset, row.method, row.planned, row.complete, *numbers, " ".join(row.versions)])
    return buffer.getvalue().encode()


def markdown(table: BenchTable) -> str:
    """Both tables as Markdown."""
    lines = [f"# fgtune bench, version {table.version}", "", *pooled_lines(table), ""]
    lines += _grid(POOLED_HEAD, [pooled_cells(row) for row in table.pooled])
    lines += ["", *_grid(row_head(table), list(row_cells(table)))]
    lines += ["", shipped_note(table)] * (table.shipped is not None)
    return "\n".join(lines) + "\n"


POOLED_HEAD = ["method", "mean rank", "within-coarse accuracy", f"difference to {BASELINE}", "data sets"]


def pooled_cells(row: PooledRow) -> list[str]:
    """A row of the table over data sets, as text."""
    gain = "baseline" if row.method == BASELINE else DASH
    if row.gain is not None:
        found = row.gain.estimate
        around = "" if math.isnan(found.low) else f" ({_signed(found.low)} to {_signed(found.high)})"
        gain = f"{_signed(found.mean)}{around}"
    return [row.method, _number(row.rank, 2), _number(row.mean), gain, str(row.datasets)]


def row_head(table: BenchTable) -> list[str]:
    """The columns of the table by data set."""
    head = ["data set", "method", "n", *METRICS.values()]
    if table.shipped is not None:
        head.insert(_SHIPPED, f"shipped {table.shipped.version}")
    return head


def shipped_note(table: BenchTable) -> str:
    """What the column of shipped results is; empty where there is none."""
    if table.shipped is None:
        return ""
    return (
        f"Shipped: the within-coarse accuracy that version {table.shipped.version} gave on another machine on "
        f"{table.shipped.measured}, with three seeds; later changes may have moved what it gives. "
        "`fgtune bench --shipped` prints all of it."
    )


def row_cells(table: BenchTable) -> Iterator[list[str]]:
    """The rows of the table by data set, as text."""
    for row in table.rows:
        n = str(row.complete) if row.complete == row.planned else f"{row.complete} of {row.planned}"
        cells = [row.dataset, row.method, n, *(_score(row.scores[key], key) for key in METRICS)]
        if table.shipped is not None:
            found = table.shipped.scores.get((row.dataset, row.method))
            cells.insert(_SHIPPED, DASH if found is None else _around(*found, digits=3))
        yield cells


def pooled_lines(table: BenchTable) -> list[str]:
    """What the table says over all data sets, in sentences; nothing more than its numbers."""
    begun = [row for row in table.rows if row.complete]
    sets, seeds = dict.fromkeys(row.dataset for row in begun), {row.complete for row in begun}
    if not sets:
        return ["No data set has a finished cell yet."]
    most = count(max(seeds, default=0), "seed")
    lines = [
        f"{count(len(sets), 'data set')}, {count(len({row.method for row in begun}), 'method')}, up to {most} each."
    ]
    ranks = table.ranks
    if ranks is None:
        return [*lines, "Ranks need two data sets and three methods that all have values on them."]
    listed = ", ".join(f"{arm} {rank:.2f}" for arm, rank in zip(ranks.arms, ranks.ranks, strict=True))
    lines.append(f"Mean ranks by within-coarse accuracy over {count(len(ranks.datasets), 'data set')}: {listed}.")
    differ = "differ" if ranks.p <= 1 - LEVEL else "are not shown to differ"
    lines.append(
        f"The methods {differ} (Friedman, p = {ranks.p:.2g}); mean ranks less than {ranks.critical:.2f} apart are not "
        "told apart (Nemenyi)."
    )
    return lines


def _grid(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _score(found: Estimate, key: str) -> str:
    return _around(found.mean, found.low, found.high, digits=1 if key == SECONDS else 3)


def _around(mean: float, low: float, high: float, digits: int) -> str:
    interval = "" if math.isnan(low) else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{_number(mean, digits)}{interval}"


def _number(value: float, digits: int = 3) -> str:
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _ends(found: Estimate) -> tuple[float, float, float]:
    return found.mean, found.low, found.high


def _plain(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
