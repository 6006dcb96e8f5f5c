"""The layout of a study in MLflow: names, tags, parameters and metric points, as plain data without mlflow.

A study is an experiment with a run of its own; below it each arm has one, and below that each cell. Everything here,
including times, depends only on the records, so that logging a record again yields the same points, which MLflow
stores once.
``docs/tracking.md`` shows the result to users.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import yaml

from fgtune import __version__
from fgtune.analysis.formatting import plain_json
from fgtune.config.arms.plan import Plan
from fgtune.config.schema.base import data_key
from fgtune.config.schema.study import Study
from fgtune.errors import TrackingError
from fgtune.results.records import CellResult, CellState, EpochMetrics
from fgtune.tracking.base import ArmFindings, Findings

MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 5000
"""Lengths that every MLflow store accepts (recent ones take tags of 8000 characters)."""

RUN_STATUS = {CellState.COMPLETE: "FINISHED", CellState.FAIL: "FAILED", CellState.PRUNED: "KILLED"}
LOGGED = "fgtune.logged"
"""The tag that is set last: the outcome that the run holds completely."""

MAX_NAMED = 8
"""Metrics of the study file that become columns of a cell. With the training loss, the curve of each, and the seconds
in trainer and solver, these are 20 at most; MLflow's page has a column for every metric that any run holds."""
MAX_STUDY_ARMS = 100
"""Arms whose primary metric the study's own run holds too; a long search has more, each with a run of its own."""
DIFFERENCE = "arm/difference"
"""The metric of an arm's run with its difference to the baseline on the primary metric; the ends of its interval, and
the mean, sd and n of that metric, stand beside it under names as short, which fit a column."""


class Point(NamedTuple):
    """A metric value; ``timestamp`` in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


class DatasetUse(NamedTuple):
    """A data set in MLflow's terms."""

    name: str
    digest: str
    source: str
    profile: str


def safe_key(name: str) -> str:
    """``name`` as MLflow accepts it for metrics and parameters: letters, digits, ``_ - . /`` and spaces, a clean path.

    A name that has to change gets a digest, so that two names never collide.
    """
    clean = posixpath.normpath(re.sub(r"[^/\w.\- ]", "_", name)).strip("/")
    if clean == name and name != "." and not name.startswith("..") and len(name) <= MAX_KEY:
        return name
    clean = clean.replace("..", "_").strip("./") or "unnamed"
    return f"{clean[: MAX_KEY - 7]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def shortened(text: str, limit: int) -> str:
    """``text``, cut to ``limit`` characters with an ellipsis if it is longer."""
    return text if len(text) <= limit else text[: limit - 2] + " …"


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def time_span(result: CellResult) -> tuple[int, int]:
    """Start and end of a cell in milliseconds: the end is its finish, the start its trainer seconds earlier."""
    try:
        finished = datetime.fromisoformat(result.finished_at)
    except ValueError as error:
        raise TrackingError(f"cell {result.cell_id} has no readable finish time: {result.finished_at!r}") from error
    end = milliseconds(finished if finished.tzinfo else finished.replace(tzinfo=UTC))
    return max(0, end - round(1000 * result.seconds)), end


def outcome_key(result: CellResult) -> str:
    """Identifies one outcome of a cell; a rerun has another key."""
    return f"{result.state.value} {result.finished_at}"


def plain_yaml(data: Any) -> str:
    """Plain data as YAML text that readers of YAML 1.1 and 1.2 read alike, by libyaml where PyYAML has it."""
    text: str = yaml.dump(data, Dumper=_Dumper, default_flow_style=False, allow_unicode=True)
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Puts text into quotes that YAML 1.2 takes for a number, too."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$|0o[0-7]+$"), list("-+.0123456789")
)


def study_tags(plan: Plan, folder: str, commit: str | None) -> dict[str, str]:
    """Tags of the parent run, set at each launch."""
    tags = {
        "fgtune.role": "study",
        "fgtune.study": plan.study.study,
        "fgtune.study_hash": plan.study_hash,
        "fgtune.design": plan.study.design.kind,
        "fgtune.primary_metric": plan.study.metrics.primary,
        "fgtune.version": __version__,
        "fgtune.folder": folder,
        "fgtune.state": "RUNNING",
    }
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return {key: shortened(value, MAX_TAG) for key, value in tags.items()}


def arm_role(plan: Plan, arm: str) -> str:
    """``baseline`` or ``arm``."""
    return "baseline" if any(known.is_baseline and known.name == arm for known in plan.arms) else "arm"


def cell_tags(plan: Plan, result: CellResult) -> dict[str, str]:
    """Tags of a cell's run, except its parent and ``fgtune.logged``; a value may be empty."""
    tags = {
        "fgtune.config_hash": result.config_hash,
        "fgtune.arm": result.arm,
        "fgtune.contrast_role": arm_role(plan, result.arm),
        "fgtune.seed": str(result.seed),
        "fgtune.block": str(result.seed),
        "fgtune.state": result.state.value,
        "fgtune.status_reason": result.cause or "",
        "fgtune.attempts": str(result.attempts),
        "fgtune.host": result.host,
        "fgtune.non_finite": ", ".join(sorted(name for name, v in result.metrics.items() if not math.isfinite(v))),
    }
    if result.fork is not None:
        tags["fgtune.fork"] = result.fork.text
    return {key: shortened(value, MAX_TAG) for key, value in tags.items()}


def level_params(levels: Mapping[str, object]) -> dict[str, str]:
    """The levels as parameters; values other than strings are written as JSON."""
    texts = {path: level if isinstance(level, str) else json.dumps(level) for path, level in levels.items()}
    return {safe_key(path): shortened(text, MAX_PARAM) for path, text in texts.items()}


def cell_params(result: CellResult) -> dict[str, str]:
    """Parameters of a cell's run: its levels, the seed, and the resolved K_F as ``num_fine``."""
    params = level_params(result.levels) | {"seed": str(result.seed)}
    num_fine = result.config.get("classes", {}).get("num_fine")
    return params if num_fine is None else params | {"num_fine": str(num_fine)}


def headline(study: Study) -> tuple[str, ...]:
    """The metrics of a cell that become columns: those that the study names, the primary first, and the loss."""
    ranked = [name for name, _ in study.ranking]
    named = dict.fromkeys([study.metrics.primary, *ranked, *study.metrics.also])
    return tuple(dict.fromkeys([*list(named)[:MAX_NAMED], "train/loss"]))


def final_points(result: CellResult, names: Sequence[str]) -> list[Point]:
    """The reported values of a complete cell among ``names``, at step 0, and the seconds it took.

    A failed or pruned cell reports no metrics here, so that no mean over runs mistakes its last value for a result.
    """
    _, end = time_span(result)
    values: dict[str, float] = {}
    if result.state is CellState.COMPLETE:
        values = {name: result.metrics[name] for name in names if name in result.metrics}
        values["seconds"] = result.seconds
        if result.solver is not None:
            values["solver/seconds"] = result.solver.seconds
    return [Point(safe_key(name), value, end, 0) for name, value in values.items() if math.isfinite(value)]


def curve_points(result: CellResult, curve: Iterable[EpochMetrics], names: Sequence[str]) -> list[Point]:
    """Finite values among ``names`` per epoch under ``curve/...``, with the epoch as step."""
    moment, end = time_span(result)
    points: list[Point] = []
    for epoch in epochs_of(curve):
        moment = min(end, moment + round(1000 * epoch.seconds))
        finite = ((name, epoch.metrics[name]) for name in names if math.isfinite(epoch.metrics.get(name, math.nan)))
        points += [Point(safe_key(f"curve/{name}"), value, moment, epoch.epoch) for name, value in finite]
    return points


def epochs_of(curve: Iterable[EpochMetrics]) -> list[EpochMetrics]:
    """The epochs in order; of a repeated one the last counts."""
    return sorted({epoch.epoch: epoch for epoch in curve}.values(), key=lambda epoch: epoch.epoch)


def cell_files(result: CellResult, curve: Iterable[EpochMetrics]) -> dict[str, str]:
    """The files of a cell's run: the whole config, every metric that it reported, and every curve."""
    order = {"test": 0, "val": 1, "train": 2}
    values = dict(sorted(result.metrics.items(), key=lambda item: (order.get(item[0].partition("/")[0], 3), item[0])))
    use = result.solver
    solver = None if use is None else {"seconds": use.seconds, "solves": use.solves, "max_gap": use.max_gap}
    content = {"state": result.state.value, "metrics": values, "seconds": result.seconds, "solver": solver}
    files = {
        "config.yaml": plain_yaml(dict(result.config)),
        "metrics.json": json.dumps(plain_json(content), indent=2) + "\n",
    }
    epochs = epochs_of(curve)
    return files | {"curves.csv": _curves_csv(epochs)} if epochs else files


def _curves_csv(epochs: Sequence[EpochMetrics]) -> str:
    names = sorted({name for epoch in epochs for name in epoch.metrics})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["epoch", "step", "seconds", *names])
    for epoch in epochs:
        writer.writerow([epoch.epoch, epoch.step, epoch.seconds, *(epoch.metrics.get(name, "") for name in names)])
    return stream.getvalue()


def arm_key(metric: str, statistic: str) -> str:
    """Name of a statistic of an arm, as its run holds it."""
    return safe_key(f"arm/{metric}/{statistic}")


def short_key(statistic: str) -> str:
    """Name of a statistic of the primary metric that fits a column of MLflow's table."""
    return f"arm/{statistic}"


def arm_points(findings: ArmFindings, primary: str, now: int) -> list[Point]:
    """Statistics of an arm as ``arm/<metric>/<statistic>``, and of the primary metric as ``arm/<statistic>`` too."""
    values = {
        arm_key(metric, name): value
        for metric, statistics in findings.statistics.items()
        for name, value in statistics.items()
    }
    short = {**findings.statistics.get(primary, {}), **findings.difference}
    return _finite_points(values | {short_key(name): value for name, value in short.items()}, now)


def study_points(findings: Findings, now: int) -> list[Point]:
    """The mean of the primary metric of every arm, as ``<metric>/<arm>``, for the study's own run."""
    names = list(findings.arms)[:MAX_STUDY_ARMS]
    means = [findings.arms[name].statistics.get(findings.primary, {}).get("mean") for name in names]
    keys = [safe_key(f"{findings.primary}/{text}") for text in _readable(names)]
    return _finite_points(dict(zip(keys, means, strict=True)), now)


def _readable(names: Sequence[str]) -> list[str]:
    """Names of arms without ``=``, which MLflow refuses in names of metrics, where they still differ without it."""
    plain = [name.replace("=", " ").replace("/", " ") for name in names]
    return plain if len(set(plain)) == len(names) else list(names)


def _finite_points(values: Mapping[str, float | None], now: int) -> list[Point]:
    return [
        Point(key, float(value), now, 0) for key, value in values.items() if value is not None and math.isfinite(value)
    ]


def cell_dataset(plan: Plan, config: Mapping[str, Any]) -> DatasetUse | None:
    """The data set of a cell; None if the plan does not know its shape."""
    data = config.get("data", {})
    shape = plan.shapes.get(data_key(data))
    if shape is None:
        return None
    name = str(data["kind"]) if "path" not in data else posixpath.basename(str(data["path"]))
    data_text = json.dumps(data, sort_keys=True)
    source = {"tags": {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"fgtune data, {data_text}"}}
    profile = {"num_coarse": list(shape.num_coarse), "num_fine": shape.num_fine}
    return DatasetUse(shortened(name, 500), shape.fingerprint[:36], json.dumps(source), json.dumps(profile))


def arm_status(states: Sequence[str], planned: int) -> str:
    """Status of an arm's run at the end: FINISHED if each planned cell has ended, FAILED if all of them failed."""
    if len(states) < planned:
        return "KILLED"
    return "FAILED" if set(states) == {CellState.FAIL.value} else "FINISHED"


def tally(states: Sequence[str], planned: int) -> str:
    """Counts of cell states, such as ``18 COMPLETE, 1 FAIL of 20 planned``."""
    counts = [f"{states.count(state.value)} {state.value}" for state in CellState if state.value in states]
    return f"{', '.join(counts) or 'none'} of {planned} planned"
