"""What a search leaves: decisions of early stopping, Optuna's copy, and what the searches inside arms chose."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fgtune.analysis.trials import best_arm
from fgtune.app.verification.findings import Finding, Subject, agree
from fgtune.results.records import CellResult, CellState, joint_state
from fgtune.text import first_of

_ROUNDING = 1e-12


def check_stopping(subject: Subject) -> Iterator[Finding]:
    """Every decision follows by the rule from the scores before it, and every stopped cell from its decision."""
    from fgtune.tuning.early_stopping.replay import replayed
    from fgtune.tuning.search.objectives import stopping_objective

    folder, study = subject.folder, subject.data.study
    file, config, objective = subject.name(folder.stopping_file), study.stopping, stopping_objective(study)
    pruned = {result.cell_id: result for result in subject.finished.values() if result.state is CellState.PRUNED}
    if config is None or objective is None:
        stops = bool(pruned) and study.trial.runs_here  # what stopped imported runs is not recorded here
        yield agree(not stops, f"{subject.name(folder.ledger_file)}: cells were stopped early, the study stops none")
        yield agree(not folder.stopping_file.exists(), f"{file}: is there, the study stops no cell early")
        return
    scores = _scores(subject, objective.name)
    stopped: dict[str, int] = {}
    completed: set[str] = set()  # may have run to their end before another seed of their trial was run again
    design_seed = getattr(study.design, "design_seed", 0)
    for number, line in enumerate(replayed(config, folder.stopping_file, design_seed), start=1):
        name = f"{file}: line {number}, cell {line.candidate.cell_id}"
        yield agree(line.rule is not None, f"{name}: {config.kind} decides nothing at epoch {line.epoch}")
        follows = line.rule is None or line.rule.stop or not line.stop
        yield agree(follows, f"{name}: stops the cell after epoch {line.epoch}, by the scores before it goes on")
        if line.stop:
            for cell_id in line.cells:
                stopped.setdefault(cell_id, line.epoch)
            completed |= {*line.cells[:-1]}
        if line.candidate.cell_id in scores:
            score = objective.score(scores[line.candidate.cell_id].get(line.epoch, math.nan))
            rule = f"{name}: has the score {line.score} at epoch {line.epoch}, the curve gives {score}"
            yield agree(score == line.score, rule)
    for cell_id, result in pruned.items():
        said = stopped.get(cell_id)
        rule = f"{file}: {subject.cell(result)} was stopped after epoch {result.epochs}, the decisions say {said}"
        yield agree(said == result.epochs, rule)
    for cell_id, epoch in stopped.items():
        ended = subject.finished.get(cell_id)
        what = None if ended is None else ended.state.value
        rule = f"{file}: cell {cell_id} was to stop after epoch {epoch}, in the ledger it is {what}"
        allowed = {None, CellState.PRUNED.value, CellState.FAIL.value}
        yield agree(what in allowed or (cell_id in completed and what == CellState.COMPLETE.value), rule)


def _scores(subject: Subject, metric: str) -> dict[str, dict[int, float]]:
    """A metric by cell and epoch, of the cells that have a curve."""
    curves = subject.curves
    if metric not in curves.columns:
        return {}
    found: dict[str, dict[int, float]] = {}
    for cell_id, epoch, value in zip(curves["cell_id"], curves["epoch"], curves[metric], strict=True):
        found.setdefault(str(cell_id), {})[int(epoch)] = float(value)
    return found


def check_mirror(subject: Subject) -> Iterator[Finding]:
    """Optuna's copy of a search has the trials that the ledger has, with the same values."""
    folder, data = subject.folder, subject.data
    file = subject.name(folder.optuna_file)
    if not folder.optuna_file.is_file():
        if not data.study.design.plans_cells and subject.has_ended:
            yield Finding(0, note=f"{file}: is not there; it is a copy of the ledger, the next call writes it anew")
        return
    from fgtune.tuning.search.objectives import mean_values, measure_in, objectives_of
    from fgtune.tuning.search.optuna_mirror import ARM, read_mirror

    ended: dict[str, list[CellResult]] = {}
    for result in subject.finished.values():
        ended.setdefault(result.arm, []).append(result)
    whole = {arm: cells for arm, cells in ended.items() if len(cells) == len(data.cells(arm))}
    objectives = objectives_of(data.study.design, data.study.trial.book)
    seen = set()
    for trial in read_mirror(folder.optuna_file, data.study.study):
        arm = str(trial.user_attrs.get(ARM))
        results = whole.get(arm)
        if results is None:
            yield agree(arm not in ended and not data.cells(arm), f"{file}: {arm} is finished there, and not here")
            continue  # a trial of an earlier study that the search started from
        seen.add(arm)
        state = joint_state(results).value
        yield agree(trial.state.name == state, f"{file}: {arm} is {trial.state.name} there, {state} in the ledger")
        if trial.state.name == state == CellState.COMPLETE.value:
            values = mean_values(objectives, results, measure_in(folder))
            pairs = zip(trial.values, values, strict=True)
            same = all(math.isclose(theirs, ours, rel_tol=_ROUNDING) for theirs, ours in pairs)
            yield agree(same, f"{file}: {arm} reaches {trial.values} there, {values} in the ledger")
    lacking = [arm for arm in whole if arm not in seen and arm != data.baseline.name]
    yield agree(not lacking, f"{file}: lacks {first_of(lacking, 5)}")


def check_choices(subject: Subject) -> Iterator[Finding]:
    """Each arm that is searched first runs what its search has as its best."""
    data = subject.data
    for arm in data.arms:
        if arm.name not in data.arm_searches or not data.cells(arm.name):
            continue
        search = data.arm_searches[arm.name]
        if search is None:
            what = f"arm {arm.name} has cells, the search that chose its settings is missing"
            yield Finding(1, f"{subject.name(data.folder.tuning_dir)}: {what}")
            continue
        best = best_arm(search) or search.baseline.name
        levels = next(each.levels for each in search.arms if each.name == best)
        agrees = all(arm.levels.get(path) == level for path, level in levels.items())
        yield agree(agrees, f"arm {arm.name}: does not run {best}, the best that its search has")
