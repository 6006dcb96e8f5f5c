"""What a figure says when a reader points at a mark: mean, interval and number of seeds, as far as they are known."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.curve_panels import history_panels, trial_curves_panels
from fgtune.analysis.formatting import number
from fgtune.analysis.grid_panels import grid_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import agreement_panels, scatter_panels
from fgtune.analysis.space_panels import contour_panels, parallel_panel
from fgtune.analysis.trials import criteria_of, shown_infos, trials_of
from fgtune.reporting.curve_figures import history_figure, trial_curves_figure
from fgtune.reporting.level_figures import grid_figure, pair_figure, scatter_figure
from fgtune.reporting.space_figures import contour_figure, parallel_figure

METRIC, OTHER = "val/silhouette", "test/clustering_accuracy"


def said(figure) -> dict[str, list[str]]:
    """Everything that a figure says of an arm, as the page puts it together."""
    found: dict[str, list[str]] = {}
    for trace in figure.data:
        template = trace.hovertemplate or "%{text}<extra></extra>"
        about = trace.meta or {}
        texts, arms = trace.text, about.get("arms") or [about.get("arm")] * len(trace.text or ())
        if "runs" in about:
            lines = [(arm, text if isinstance(text, list) else [text]) for arm, _, text in about["runs"]]
            lines = [(arm, [f"{name}: {each}" for each in more] or [name]) for arm, (name, *more) in lines]
            arms, texts = zip(*((arm, text) for arm, own in lines for text in own), strict=True)
        for arm, text in zip(arms, texts or (), strict=True):
            found.setdefault(arm, []).append(template.removesuffix("<extra></extra>").replace("%{text}", text))
    return found


def known(data, arm: str, metric: str) -> str:
    """A mean with its interval, from the values and SciPy."""
    values = list(data.values(arm, metric).values())
    if len(values) == 1:
        return number(values[0])
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return f"{number(np.mean(values))} [{number(low)}, {number(high)}]"


def figures_of(data):
    """A figure of each kind in which a point of a space is a mark."""
    trials, criteria = trials_of(data), criteria_of(data)
    settings = ["optimizer.lr", "objective.lambda_nn"]
    return {
        "setting": scatter_figure(scatter_panels(data, trials, criteria)[0]),
        "pair": pair_figure(agreement_panels(data, trials, criteria)[0]),
        "two settings": contour_figure(contour_panels(data, trials, criteria[0], settings, 1)[0]),
        "all settings": parallel_figure(parallel_panel(data, trials, shown_infos(data))),
        "history": history_figure(history_panels(data, trials)[0], ["trial-0003"]),
        "curves": trial_curves_figure(trial_curves_panels(data, trials)[0]),
    }


@pytest.mark.parametrize(("seeds", "ends"), [(3, "n = 3"), (1, "one seed")])
def test_a_trial_says_its_mean_interval_and_number_of_seeds_in_every_figure(synthetic_search, tmp_path, seeds, ends):
    text = synthetic_search.SEARCH_STUDY.replace("seeds: 3", f"seeds: {seeds}")
    data = read_study(synthetic_search.SyntheticSearch(text=text, trials=16, pruned={5: 9}).write(tmp_path))
    figures = figures_of(data)
    for kind, figure in figures.items():
        texts = said(figure)
        assert {text.rpartition(", ")[2] for own in texts.values() for text in own if own} == {ends}, kind
        if kind != "curves":
            value = known(data, "trial-0003", METRIC)
            both = f"{value}, {known(data, 'trial-0003', OTHER)}" if kind == "pair" else value
            assert f"trial-0003: {both}, {ends}" in texts["trial-0003"], kind
    trial = next(trial for trial in trials_of(data) if trial.arm == "trial-0005")
    (stopped,) = said(figures["setting"])["trial-0005"]
    assert stopped.startswith(f"trial-0005: {number(trial.means[METRIC])}")
    assert stopped.endswith(f", stopped at epoch 9, {ends}")
    assert ("[" in stopped) == (seeds > 1)


@pytest.mark.slow
def test_trials_of_one_seed_say_so_once_for_all(synthetic_search, tmp_path):
    text = synthetic_search.SEARCH_STUDY.replace("seeds: 3", "seeds: 1")
    data = read_study(synthetic_search.SyntheticSearch(text=text, trials=16).write(tmp_path))
    assert [
        kind for kind, figure in figures_of(data).items() if figure.to_json().count("one seed") > len(figure.data)
    ] == []


def test_trials_that_differ_in_seeds_say_the_number_of_each(synthetic_search, tmp_path):
    data = read_study(synthetic_search.SyntheticSearch(trials=3, curves=False).write(tmp_path))
    first, *others = trials_of(data)
    trials = [first, *others[:2], replace(others[2], seeds=2)]
    texts = said(scatter_figure(scatter_panels(data, trials, criteria_of(data))[0]))
    ends = {arm: own[0].rpartition(", ")[2] for arm, own in texts.items()}
    assert ends == {"baseline": "n = 3", "trial-0000": "n = 3", "trial-0001": "n = 3", "trial-0002": "n = 2"}


def test_a_cell_of_a_grid_says_its_mean_interval_and_number_of_seeds(synthetic, tmp_path):
    factors = {"optimizer.lr": [0.01, 0.1], "objective.lambda_nn": [0.5, 1.0]}
    study = {
        "study": "grid", "question": "Which?", "seeds": 3,
        "design": {"kind": "sensitivity", "grid": "full", "factors": factors},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3,
                  "optimizer": {"kind": "sgd", "lr": 0.1}, "objective": {"lambda_nn": 1.0}},
    }  # fmt: skip
    data = read_study(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path))
    (panel,) = grid_panels(data)
    heat = grid_figure(panel).data[0]
    assert heat.colorbar.title.text == panel.metric.short
    hover = heat.hovertext
    for row, column in itertools.product(range(2), range(2)):
        arm = next(
            arm for arm in data.arms
            if [str(arm.levels[path]) for path in factors] == [panel.columns[column], panel.rows[row]]
        )  # fmt: skip
        place = f"{panel.x} {panel.columns[column]}, {panel.y} {panel.rows[row]}"
        assert hover[row][column] == f"{place}: {known(data, arm.name, OTHER)}, n = 3"
