"""What a study found as tidy pandas tables: arms and contrasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.analysis.summary import StudySummary
    from fgtune.analysis.verdict_file import Verdicts

_ARM_COLUMNS = (
    "arm", "label", "is_baseline", "metric", "n", "mean", "sd", "low", "high", "complete", "failed", "pruned",
    "missing", "seconds",
)  # fmt: skip
_CONTRAST_COLUMNS = (
    "arm", "label", "dataset", "baseline", "metric", "n", "lost", "difference", "low", "high", "p", "p_adjusted",
    "p_equivalent", "margin", "verdict", "reason", "doubt", "tests_say", "detectable", "sentence",
)  # fmt: skip


def arms_frame(summary: StudySummary) -> pd.DataFrame:
    """One row per arm and shown metric, the primary metric first within each arm."""
    import pandas as pd

    rows = [
        {
            "arm": arm.arm,
            "label": arm.label,
            "is_baseline": arm.is_baseline,
            "metric": metric.name,
            "n": estimate.n,
            "mean": estimate.mean,
            "sd": estimate.sd,
            "low": estimate.low,
            "high": estimate.high,
            "complete": arm.counts.complete,
            "failed": arm.counts.failed,
            "pruned": arm.counts.pruned,
            "missing": arm.counts.missing,
            "seconds": arm.seconds.mean,
        }
        for arm in summary.arms
        for metric in summary.metrics
        if (estimate := arm.estimates.get(metric.name)) is not None
    ]
    return pd.DataFrame(rows, columns=_ARM_COLUMNS)


def contrasts_frame(verdicts: Verdicts) -> pd.DataFrame:
    """One row per planned contrast, in the order of the plan; undefined numbers are NaN."""
    import pandas as pd

    rows = [{name: getattr(each, name) for name in _CONTRAST_COLUMNS} for each in verdicts.contrasts]
    table = pd.DataFrame(rows, columns=_CONTRAST_COLUMNS)
    for name in ("verdict", "doubt", "tests_say"):
        table[name] = [getattr(value, "value", value) for value in table[name]]
    numbers = ("difference", "low", "high", "p", "p_adjusted", "p_equivalent", "margin", "detectable")
    return table.astype(dict.fromkeys(numbers, "float64"))
