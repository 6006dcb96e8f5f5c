"""Renders the page of a benchmark."""

from __future__ import annotations

from typing import Any

from fgtune.analysis.bench.table import LEVEL, BenchTable
from fgtune.analysis.bench.words import POOLED_HEAD, pooled_cells, pooled_lines, row_cells, row_head, shipped_note
from fgtune.data.benchmark import SETS
from fgtune.reporting.html import document, generator

TEMPLATE = "bench.html.j2"


def render_bench(table: BenchTable) -> bytes:
    """The page: the same folders give the same bytes."""
    context: dict[str, Any] = {
        "table_lines": pooled_lines(table),
        "pooled_head": POOLED_HEAD,
        "pooled": [pooled_cells(row) for row in table.pooled],
        "head": row_head(table),
        "shipped_note": shipped_note(table).replace("`", ""),
        "rows": list(row_cells(table)),
        "sets": [SETS[name] for name in table.datasets if name in SETS],
        "level": LEVEL,
        "version": table.version,
        "generator": generator(),
    }
    return document(TEMPLATE, context, {})
