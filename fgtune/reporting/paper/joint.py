"""Figures of several arms together: over data sets, the parts of an ablation, the variance over seeds, choosing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from fgtune.analysis.formatting import capital, p_text, percent
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import shown_choices
from fgtune.analysis.parts.side_by_side import part_gains
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE
from fgtune.reporting.joint_panels import variance_rows
from fgtune.reporting.paper.draw import Row, draw_rows, rows_height
from fgtune.reporting.paper.draw_joint import draw_gains, draw_ranks, draw_shares
from fgtune.reporting.paper.draw_space import draw_pair
from fgtune.reporting.paper.figure import HIGH, PaperFigure, intervals, sizes_text
from fgtune.reporting.theme import RIGHT_COLOR


def dataset_figures(summary: StudySummary) -> Iterator[PaperFigure]:
    """Every arm's difference on each data set and over all, then the arms' mean ranks."""
    found, info = summary.datasets, summary.metrics[0]
    for rank, item in enumerate(() if found is None else found.contrasts):
        if not item.measured:
            continue
        rows = []
        for effect in item.measured:
            each = effect.contrast.estimate
            rows.append(Row(effect.dataset, each.mean, each.low, each.high, effect.contrast.differences, marker="s"))
        pooled = item.pooled.estimate
        name = f"together ({item.verdict.value})"
        rows.append(Row(name, pooled.mean, pooled.low, pooled.high, color=RIGHT_COLOR, marker="D"))
        caption = (
            f"Difference of {item.arm} to the baseline in {info.title} on every data set, with "
            f"{intervals(summary.level)} over seeds; together: the mean over data sets, with its interval over these."
        )
        yield PaperFigure(
            f"datasets-{rank}",
            caption,
            rows_height(len(rows)),
            partial(draw_rows, rows=rows, title=f"difference in {info.title}", line=0.0, margin=item.margin),
        )
    if found is not None and found.ranks is not None:
        test = found.ranks
        caption = (
            f"Mean ranks in {info.title} over {len(test.datasets)} data sets. Bars join arms closer than the critical "
            f"difference {test.critical:.2f}, which are not told apart (Nemenyi); Friedman's test that all rank alike: "
            f"p {p_text(test.p)}. Exploratory."
        )
        height = rows_height(len(test.arms) + len(test.groups) + 1)
        yield PaperFigure("ranks", caption, height, partial(draw_ranks, test=test))


def gain_figures(data: StudyData, summary: StudySummary) -> Iterator[PaperFigure]:
    """What is lost without each part of an ablation beside what it gains alone, a figure a metric."""
    for rank, found in enumerate(part_gains(data)):
        info, primary = found.metric, found.metric.name == summary.primary
        n = sizes_text(each.n for part in found.parts for each in (part.beside, part.alone))
        caption = (
            f"Gain in {info.title} that is lost without a part while all others stay (diamonds), and that the "
            f"part has alone, against none (circles): means with {intervals(summary.level)} ({n} pairs). "
            "Right of 0 the part helps."
        )
        margin = summary.margin if primary else None
        caption += "" if primary else " Exploratory."
        caption += "" if margin is None else f" Shaded: differences within ±{margin:g}."
        drawn = partial(draw_gains, parts=found.parts, title=f"gain in {info.title}", margin=margin)
        yield PaperFigure(f"gains-{rank}", caption, 0.25 + rows_height(len(found.parts)), drawn)


def part_figures(summary: StudySummary) -> Iterator[PaperFigure]:
    """What the parts of an ablation are worth together: differences of gains, and shares of the total."""
    found, info = summary.parts, summary.metrics[0]
    if found is None:
        return
    effects = [each for each in found.effects if each.contrast.n]
    shares = [each for each in found.shares if each.contrast.n]
    for name, named, title, margin in (
        ("parts-effects", [(f"{each.label} ({each.name})", each.contrast) for each in effects],
         f"gain beside others minus gain without, {info.title}", summary.margin),
        ("parts-shares", [(each.part, each.contrast) for each in shares], f"share of the gain in {info.title}", None),
    ):  # fmt: skip
        rows = [
            Row(text, each.estimate.mean, each.estimate.low, each.estimate.high, each.differences, RIGHT_COLOR, "D")
            for text, each in named
        ]
        if rows:
            caption = f"{capital(title)}: means with {intervals(summary.level)}, rings are single seeds."
            drawn = partial(draw_rows, rows=rows, title=title, line=0.0, margin=margin)
            yield PaperFigure(name, caption, rows_height(len(rows)), drawn)


def variance_figures(summary: StudySummary) -> Iterator[PaperFigure]:
    """The shares of the variance over seeds; nothing without a spread to share."""
    found = summary.variance
    if found is None or math.isnan(found.repeated.value):
        return
    rows = variance_rows(found)
    caption = (
        f"Shares of the variance of {summary.metrics[0].title} over {found.total.n} seeds that one random stream "
        f"causes alone, with {percent(summary.level)} intervals. Coloured: a stream that is shown to spread results "
        f"more than each of the others. An interval that leaves the figure is cut off. {found.sentence}"
    )
    drawn = partial(draw_shares, rows=rows, title="share of the variance, %")
    yield PaperFigure("variance-shares", caption, rows_height(len(rows)), drawn)


def choosing_figures(data: StudyData, summary: StudySummary) -> Iterator[PaperFigure]:
    """Label-free criteria against the primary metric over arms: what choosing without fine labels yields."""
    for rank, (dataset, panel) in enumerate(shown_choices(data, summary.choices)):
        words = {BASELINE: "baseline", BEST: f"best by {panel.y.title}", COMPLETE: "other arms"}
        on = f" on {dataset}" if dataset else ""
        caption = (
            f"{panel.y.title} against {panel.x.title} of {len(panel.points)} arms{on}, means over seeds. Named: what "
            f"{panel.x.title} chooses, and the best by {panel.y.title}."
        )
        drawn = partial(draw_pair, panel=panel, words=words)
        yield PaperFigure(f"choosing-{rank}", capital(caption), HIGH, drawn)
