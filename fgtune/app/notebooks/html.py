"""What a notebook shows of a study and its plan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fgtune.analysis.formatting import level_text
from fgtune.analysis.small_html import paragraph, small_table

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.config.schema.study import Study


def study_html(study: Study) -> str:
    """The question, and what is varied, measured and trained."""
    trial = study.trial.identity()
    rows = [
        ("design", study.design.kind),
        ("seeds", study.seeds_text),
        ("primary metric", study.metrics.primary),
        *((f"trial.{name}", _brief(value)) for name, value in trial.items()),
    ]
    return paragraph(study.question, study.study) + small_table(("setting", "value"), rows)


def plan_html(title: str, arms: pd.DataFrame, warnings: Sequence[str]) -> str:
    """One row per arm: its levels and cells."""
    heads = [str(name) for name in arms.columns if name != "is_baseline"]
    rows = [
        [f"{row['arm']} *" if row["is_baseline"] else row["arm"], *(_cell(row[name]) for name in heads[1:])]
        for row in arms.to_dict("records")
    ]
    notes = "".join(paragraph(text, "warning:") for text in warnings)
    return paragraph(title) + small_table(heads, rows) + paragraph("* the baseline") + notes


def _cell(value: object) -> str:
    return value if isinstance(value, str) else level_text(value)


def _brief(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
