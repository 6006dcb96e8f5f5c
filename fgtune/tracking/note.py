"""The description of a study's run in MLflow: answer, arms with their verdicts, and what the study file says."""

from __future__ import annotations

import math

from fgtune.analysis.formatting import DASH, interval, number
from fgtune.config.schema.study import Study
from fgtune.tracking import layout
from fgtune.tracking.base import ArmFindings, Findings

MOST_ROWS = 20
"""Arms in the table; a description is cut at 5,000 characters, and the arms have runs of their own."""


def study_note(study: Study, findings: Findings | None = None) -> str:
    """The description as Markdown, cut to what a tag holds; ``findings`` are None before the study has any."""
    parts = [f"**Question.** {study.question}"]
    if findings is not None:
        answer = [f"**Answer.** {findings.answer}"] if findings.answer else []
        parts = [*answer, arms_table(findings), *parts]
    parts += [f"**Expected.** {study.expectation}"] if study.expectation else []
    parts += [f"**Source.** {study.source}"] if study.source else []
    return layout.shortened("\n\n".join(part for part in parts if part), layout.MAX_TAG)


def arms_table(findings: Findings) -> str:
    """The primary metric of each arm, and its verdict where the study planned one; empty without a single value.

    Beyond ``MOST_ROWS`` arms, those with the best means, in order.
    """
    arms = {name: arm for name, arm in findings.arms.items() if _count(arm, findings.primary)}
    if not arms:
        return ""
    is_planned = any(arm.verdict for arm in arms.values())
    head = ["arm", "mean", "interval", "n"]
    head += ["difference", "its interval", "verdict"] if is_planned else []
    rows = [_row(name, arm, findings.primary, is_planned) for name, arm in _shown(arms, findings)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    left = len(arms) - len(rows)
    more = [f"The best {len(rows)} of {len(arms)} arms by their mean; each has a run of its own."] if left else []
    title = f"`{findings.primary}` over the seeds of each arm:\n\n"
    return title + "\n".join(lines) + "".join(f"\n\n{line}" for line in more)


def _shown(arms: dict[str, ArmFindings], findings: Findings) -> list[tuple[str, ArmFindings]]:
    if len(arms) <= MOST_ROWS:
        return list(arms.items())
    sign = 1 if findings.minimize else -1
    return sorted(arms.items(), key=lambda item: sign * _value(item[1], findings.primary, "mean"))[:MOST_ROWS]


def _row(name: str, arm: ArmFindings, primary: str, is_planned: bool) -> list[str]:
    mean, low, high = (_value(arm, primary, each) for each in ("mean", "ci_lo", "ci_hi"))
    row = [f"`{name.replace('|', '/')}`", number(mean), interval(low, high), str(_count(arm, primary))]
    if not is_planned:
        return row
    if not arm.verdict:
        return [*row, DASH, DASH, DASH]
    low, high = (_number(arm.difference.get(each)) for each in ("diff_lo", "diff_hi"))
    difference = number(_number(arm.difference.get("difference")), sign=True)
    return [*row, difference, interval(low, high, sign=True), arm.verdict]


def _value(arm: ArmFindings, metric: str, statistic: str) -> float:
    return _number(arm.statistics.get(metric, {}).get(statistic))


def _count(arm: ArmFindings, metric: str) -> int:
    return int(arm.statistics.get(metric, {}).get("n") or 0)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
