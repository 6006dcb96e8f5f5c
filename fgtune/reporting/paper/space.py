"""Figures of points in a space: history, criteria against each other, settings, importances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from fgtune.analysis.curve_panels import history_panels
from fgtune.analysis.formatting import MetricInfo, capital, percent
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import agreement_panels, front_panels, scatter_panels
from fgtune.analysis.search.axes import axes_of
from fgtune.analysis.search.importances import metric_importances
from fgtune.analysis.search.overview import choosing_infos, selections_of
from fgtune.analysis.space_panels import contours_that_matter, parallel_panel
from fgtune.analysis.text.importances import importance_sentence
from fgtune.analysis.trials import (
    BASELINE,
    BEST,
    COMPLETE,
    STOPPED,
    Trial,
    criteria_of,
    judged_infos,
    shown_infos,
    trials_of,
)
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.reporting.paper.draw import draw_history, draw_importances
from fgtune.reporting.paper.draw_space import draw_contour, draw_pair, draw_parallel, draw_slices, slices_height
from fgtune.reporting.paper.figure import HIGH, PaperFigure
from fgtune.reporting.space_panels import history_beyond, slice_beyond


def space_figures(data: StudyData) -> Iterator[PaperFigure]:
    """The figures of points of a space, in the order of the report."""
    trials, searched = trials_of(data, ARM_METRICS), bool(data.study.design.criteria)
    judged = judged_infos(data)
    if searched:
        yield from _history(data, trials)
    yield from _pairs(data, trials)
    found = metric_importances(data, trials, judged)
    names = {each.path: each.title for each in axes_of(data)}
    for rank, each in enumerate(found):
        if each.anything:
            caption = (
                f"Share of the variation of {judged[rank].title} over {each.n} finished points that each parameter "
                f"explains, with {percent(each.level)} intervals; ticks: what chance reaches. "
                f"{importance_sentence(each, names)}"
            )
            drawn = partial(draw_importances, found=each, names=names)
            yield PaperFigure(f"importances-{rank}", caption, 0.6 + 0.24 * len(each.items), drawn)
    parallel = parallel_panel(data, trials, judged)
    if parallel is not None:
        points = sum(line.fifth >= 0 for line in parallel.lines)
        left = f" {parallel.left_out} further settings are not drawn." if parallel.left_out else ""
        caption = (
            f"A line for each of {points} finished points, coloured by its fifth in {parallel.metric.title}.{left}"
        )
        yield PaperFigure("parallel", caption, 3.2, partial(draw_parallel, panel=parallel))
    for rank, pair in enumerate(contours_that_matter(data, trials, judged[0], found[0])):
        caption = (
            f"{pair.metric.title} over {pair.x.title} and {pair.y.title}, linear between {len(pair.values)} finished "
            "points, while the other settings vary too."
        )
        yield PaperFigure(f"contour-{rank}", capital(caption), 2.2, partial(draw_contour, panel=pair))
    yield from _slices(data, trials, judged if searched else shown_infos(data))


def _history(data: StudyData, trials: Sequence[Trial]) -> Iterator[PaperFigure]:
    for rank, panel in enumerate(history_panels(data, trials)):
        caption = f"{panel.metric.title} of the trials in the order of their end, each the mean over its seeds. "
        caption += history_beyond(panel)
        yield PaperFigure(f"history-{rank}", capital(caption.strip()), HIGH, partial(draw_history, panel=panel))


def _words(data: StudyData) -> dict[str, str]:
    """What kinds of points are called in legends."""
    front = len(data.study.design.criteria) > 1
    best = "on the Pareto front" if front else f"best by {criteria_of(data)[0].title}"
    return {BASELINE: "baseline", BEST: best, COMPLETE: "ran to its end", STOPPED: "stopped early"}


def _pairs(data: StudyData, trials: Sequence[Trial]) -> Iterator[PaperFigure]:
    """Criteria against each other, then each metric that chooses against the primary one."""
    words = _words(data)
    for rank, panel in enumerate(front_panels(data, trials)):
        caption = (
            f"{panel.y.title} against {panel.x.title} of {len(panel.points)} finished points; stars: Pareto front."
        )
        yield PaperFigure(f"front-{rank}", capital(caption), HIGH, partial(draw_pair, panel=panel, words=words))
    choosing = choosing_infos(data, selections_of(data, trials))
    for rank, panel in enumerate(agreement_panels(data, trials, choosing)):
        caption = (
            f"{panel.y.title} against {panel.x.title} of {len(panel.points)} finished points. Named: what each of the "
            "two would choose."
        )
        yield PaperFigure(f"agreement-{rank}", capital(caption), HIGH, partial(draw_pair, panel=panel, words=words))


def _slices(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> Iterator[PaperFigure]:
    """Each metric over every setting, in one figure."""
    words = _words(data)
    panels = groupby(scatter_panels(data, trials, metrics), key=lambda panel: panel.metric)
    for rank, (info, own) in enumerate((info, tuple(group)) for info, group in panels):
        caption = f"{info.title} over each setting, while all others vary too; dotted: the baseline. "
        caption += slice_beyond(own[0])  # the same points over every setting
        drawn = partial(draw_slices, panels=own, words=words)
        yield PaperFigure(f"slices-{rank}", capital(caption.strip()), slices_height(own), drawn)
