"""How MLflow's page shows a study's arms: a saved view with the columns and charts that matter, as plain data.

MLflow keeps such views as tags of the experiment, where its own *Share* button puts them. A version that does not know
one opens its usual page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fgtune.config.arms.plan import Plan
from fgtune.tracking import layout
from fgtune.tracking.base import Findings

TAG = "mlflow.sharedViewState."
_STATISTICS = ("mean", "ci_lo", "ci_hi", "n")
_MOST_METRICS = 4
_MOST_PARAMETERS = (12, 6, 3, 1)
"""Numbers of parameters that are tried until the view is short enough for a tag."""
_SECTION, _TOGETHER = "fgtune-arms", "fgtune-together"
_NAME_PX, _NUMBER_PX, _SIGN_PX = 235, 85, 6
"""Widths in pixels: of a run's name, at least of a number, of a letter in a column's head."""


def view_key(run_id: str) -> str:
    """Key of the view of a study's arms, from the id of its run."""
    return f"fgtune-{run_id[:12]}"


def arms_view(plan: Plan, run_id: str, findings: Findings) -> str:
    """The view: one row an arm, best first, with its parameters, the primary metric and the verdict; charts beside it.

    Args:
        plan: The study and its arms.
        run_id: Id of the study's run.
        findings: What was found.

    Returns:
        JSON, short enough for a tag unless names are very long.
    """
    parameters = [layout.safe_key(path) for path in _differing(plan)]
    texts = (_view(parameters[:most], run_id, findings) for most in _MOST_PARAMETERS)
    shortest = ""
    for text in texts:
        shortest = text
        if len(text) <= layout.MAX_TAG:
            break
    return shortest


def _differing(plan: Plan) -> list[str]:
    """The factors in which arms differ; those of a search that may vary, while none does yet."""
    levels = {path: {repr(arm.levels.get(path)) for arm in plan.arms} for path in plan.factors}
    return [path for path, values in levels.items() if len(values) > 1] or list(plan.factors)


def _view(parameters: Sequence[str], run_id: str, findings: Findings) -> str:
    names = dict.fromkeys(name for arm in findings.arms.values() for name in arm.statistics)
    metrics = list(dict.fromkeys([findings.primary, *names]))[:_MOST_METRICS]
    has_verdicts = any(arm.verdict for arm in findings.arms.values())
    statistics = [layout.short_key(each) for each in _STATISTICS]
    columns = [f"metrics.`{statistics[0]}`"]
    columns += [f"metrics.`{layout.DIFFERENCE}`", "tags.`fgtune.verdict`"] * has_verdicts
    columns += [f"metrics.`{each}`" for each in statistics[1:]]
    columns += [f"params.`{each}`" for each in parameters]  # after the numbers, which they would push out of sight
    columns += [f"metrics.`{layout.arm_key(name, 'mean')}`" for name in metrics[1:]]
    order = ["attributes.`Run Name`", *columns]
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{run_id}' AND tags.`fgtune.role` = 'arm_summary'",
        "orderByKey": f"metrics.`{layout.short_key('mean')}`",
        "orderByAsc": findings.minimize,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": order,
        "columnWidths": {each: _width(each) for each in order},
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,  # the sections below come first
        "compareRunCharts": _charts(metrics, parameters),
        "compareRunSections": [
            *[_section(_TOGETHER, "Settings and the primary metric", columns=1)] * bool(parameters),
            _section(_SECTION, "Means of the arms", columns=2),
        ],
    }
    return json.dumps(state, separators=(",", ":"))


def _section(uuid: str, name: str, columns: int) -> dict[str, Any]:
    """A part of the chart view with so many charts side by side."""
    fixed = {"display": True, "isReordered": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, **fixed, "columns": columns}


def _width(column: str) -> int:
    head = column.partition("`")[2].rstrip("`")
    return _NAME_PX if head == "Run Name" else min(_NAME_PX, max(_NUMBER_PX, 30 + _SIGN_PX * len(head)))


def _charts(metrics: Sequence[str], parameters: Sequence[str]) -> list[dict[str, Any]]:
    """Parallel coordinates of the varied parameters, and a bar chart of each metric."""
    common: dict[str, Any] = {"deleted": False, "isGenerated": False}
    means = [layout.arm_key(name, "mean") for name in metrics]
    charts: list[dict[str, Any]] = []
    if parameters:
        chosen = {
            "selectedParams": list(parameters),
            "selectedMetrics": [layout.short_key("mean")],
            "showAllRuns": False,
        }
        place = {"uuid": f"{_TOGETHER}-parallel", "metricSectionId": _TOGETHER}
        charts.append({"type": "PARALLEL", **place, **common, **chosen})
    common["metricSectionId"] = _SECTION
    return charts + [
        {"type": "BAR", "uuid": f"{_SECTION}-bar-{place}", **common, "metricKey": key, "dataAccessKey": key}
        for place, key in enumerate(means)
    ]


def runs_page(address: str, experiment: str, key: str = "", mode: str = "") -> str:
    """The page of an experiment's runs in the model-training view.

    Args:
        address: Of the server.
        experiment: Its id.
        key: Of a saved view; the usual columns without one.
        mode: ``CHART`` for charts beside the runs.
    """
    query = "workflowType=machine_learning"
    query += f"&viewStateShareKey={quote(key)}" if key else ""
    query += f"&compareRunsMode={mode}" if mode else ""
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs?{query}"
