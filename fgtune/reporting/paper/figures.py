"""Which figures a study has on paper: those of its report that make sense there, with captions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.trials import BASELINE, BEST, kinds_of, trials_of
from fgtune.reporting.paper.arms import curve_figures, difference_figures, grid_figures, level_figures
from fgtune.reporting.paper.draw import draw_relations
from fgtune.reporting.paper.figure import PaperFigure
from fgtune.reporting.paper.joint import choosing_figures, dataset_figures, gain_figures, part_figures, variance_figures
from fgtune.reporting.paper.space import space_figures
from fgtune.reporting.relation_panels import cell_words, drawn_relations
from fgtune.reporting.theme import arm_styles
from fgtune.text import count


def paper_figures(data: StudyData, summary: StudySummary) -> tuple[PaperFigure, ...]:
    """The figures of a study, finished or not, in the order of its report.

    Args:
        data: The study folder's content.
        summary: Its summary.
    """
    styles = arm_styles(data.arms)
    if data.study.design.samples_points:
        return (*difference_figures(data, summary, styles), *space_figures(data), *_relations(data, summary))
    return (
        *difference_figures(data, summary, styles),
        *dataset_figures(summary),
        *gain_figures(data, summary),
        *part_figures(summary),
        *variance_figures(summary),
        *choosing_figures(data, summary),
        *level_figures(data, styles),
        *grid_figures(data),
        *curve_figures(data, summary, styles),
        *_relations(data, summary),
    )


def _relations(data: StudyData, summary: StudySummary) -> Iterator[PaperFigure]:
    only = None
    if data.study.design.samples_points:
        kinds = kinds_of(data, trials_of(data))
        only = [arm for arm, kind in kinds.items() if kind in {BASELINE, BEST}]
    panels, left_out, which = drawn_relations(data, summary, only)
    others = f" Drawn are {which}; {count(left_out, 'other arm')} {'has' if left_out == 1 else 'have'} no such figure."
    for rank, panel in enumerate(panels):
        source = f", source {panel.source}" if panel.num_sources > 1 else ""
        cells = cell_words(panel)
        rows = "learned fine classes, aligned with true ones" if panel.has_truth else "learned fine classes"
        caption = (
            f"Relations of {panel.label}{source}, seed {panel.seed} (its median one). Rows: {rows}. "
            f"Left: where a row's samples lie{f'; {cells}' if cells else ''}. Right: its parent."
            f"{others if left_out else ''}"
        )
        height = min(7.3, 1.2 + 0.16 * max(len(panel.rows), 5))
        yield PaperFigure(f"relations-{rank}", caption, height, partial(draw_relations, panel=panel))
