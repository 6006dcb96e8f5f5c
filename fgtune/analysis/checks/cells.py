"""Checks of how cells ended: lost, stopped early, on fewer epochs than others, without classes, without a proof."""

from __future__ import annotations

from fgtune.analysis.checks.record import Check, Material, failed, passed, warned
from fgtune.analysis.table import num_fine
from fgtune.analysis.text.trial_words import words_of
from fgtune.analysis.verdicts.grounds import lost_cells
from fgtune.catalog.metrics import SPLITS
from fgtune.results.records import CellResult, CellState
from fgtune.text import count, first_of

_FEWEST_RESOLVES = 10
"""Solves during training before relations that never changed are remarkable."""
_MOST_NAMED = 4  # arms or cells that a sentence names
_FEWEST_USED = 0.5  # share of the fine classes that a cell has to use
_FEWEST_EFFECTIVE = 0.1  # part of the way from 1 class to all of them


def lost(material: Material) -> Check | None:
    """Cells that crashed or gave no finite value."""
    data, name = material.data, "Lost cells"
    if not data.results:
        return None
    found = {arm.name: lost_cells(data, arm.name, material.primary.name) for arm in data.arms}
    by_arm = {arm: len(each) - len(each.stopped) for arm, each in found.items()}
    total = sum(by_arm.values())
    if not total:
        return passed(name, "no cell that ran crashed or lacks a finite value")
    labels = {arm.name: arm.label for arm in data.arms}
    parts = [
        f"{labels[arm]} {found[arm].words()} (of {count(data.count(arm).planned, 'cell')})"
        for arm, number in by_arm.items()
        if number
    ]
    retry = words_of(data).again
    if material.search is not None:
        text = f"{count(total, 'cell')} crashed or gave no finite value; their points cannot be chosen."
        return warned(name, text, retry)
    text = (
        f"{first_of(parts, _MOST_NAMED)}. Means and intervals are those of the cells left; a verdict stands only where "
        "it holds for the worst and for the best that the lost ones could have been."
    )
    undone = material.undone_by("lost")
    empty = [labels[arm] for arm, number in by_arm.items() if number and not data.values(arm, material.primary.name)]
    if undone or empty:
        parts = [f"this undoes what the tests say of {first_of(undone, _MOST_NAMED)}"] * bool(undone)
        parts += [f"nothing is left of {first_of(empty, _MOST_NAMED)}"] * bool(empty)
        return failed(name, f"{text} Here {', and '.join(parts)}.", retry)
    return warned(name, text, retry)


def stopped(material: Material) -> Check | None:
    """Pairs of planned contrasts that a scheduler stopped."""
    name, words = "Pairs stopped early", words_of(material.data)
    judged = [each.judgement for each in material.contrasts if each.judgement is not None]
    thinned = sum(judgement.stopped > 0 for judgement in judged)
    if not thinned:
        if material.data.study.stopping is None or not judged:
            return None
        return passed(name, "no pair of a planned contrast was stopped early")
    text = (
        f"{count(thinned, 'arm')} cannot be judged: {words.stopped}, and the pairs left would make any arm look "
        "better than it is."
    )
    return failed(name, text, words.unstopped)


def epochs(material: Material) -> Check | None:
    """Arms that were trained for different numbers of epochs, where the study does not vary them on purpose."""
    data, name, design = material.data, "Training of equal length", material.data.study.design
    if (
        not data.study.trial.has_curves
        or not design.plans_cells
        or ("epochs" in data.factors and design.varies_factors)
    ):
        return None
    lengths: dict[str, int] = {}
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None and result.state is CellState.COMPLETE and not _is_untrained(result):
            lengths[cell.arm] = max(result.epochs, lengths.get(cell.arm, 0))
    if len(lengths) < 2:
        return None
    if len(set(lengths.values())) == 1:
        return passed(name, f"every complete cell was trained for {count(next(iter(lengths.values())), 'epoch')}")
    labels = {arm.name: arm.label for arm in data.arms}
    parts = [f"{labels[arm]} {number}" for arm, number in sorted(lengths.items(), key=lambda each: -each[1])]
    text = f"Arms were trained for different numbers of epochs: {first_of(parts, _MOST_NAMED)}."
    return warned(
        name, text, "Give every arm as many epochs, or say beside the verdict that they cost different times."
    )


def _is_untrained(result: CellResult) -> bool:
    """Whether a cell clusters its inputs as they are, so that its epochs mean nothing."""
    return bool(result.config.get("objective", {}).get("preset") == "untrained")


def solver_proofs(material: Material) -> Check | None:
    """Solves of the relations that ended without a proof of optimality."""
    name, solves = "Proofs of the solver", sum(row.solves for row in material.solvers)
    if not solves:
        return None
    late = sum(n for row in material.solvers for status, n in row.statuses.items() if status != "optimal")
    if not late:
        return passed(name, f"all {solves} solves of the relations were proven optimal")
    gap = max(row.max_gap for row in material.solvers)
    text = (
        f"{late} of {solves} solves of the relations ended without a proof of optimality (largest relative gap "
        f"{gap:.2g}); those relations may be improvable."
    )
    step = "Raise relations.solver.time_limit_s, or take the flow solver, which is exact in milliseconds."
    return warned(name, text, step)


def relations_moved(material: Material) -> Check | None:
    """Arms whose learned relations were solved again and again and never changed."""
    name, labels = "Relations that learn", {row.label: row for row in material.solvers if row.resolves}
    if not labels:
        return None
    stuck = [label for label, row in labels.items() if not row.changes and row.resolves >= _FEWEST_RESOLVES]
    if not stuck:
        solves, changes = (sum(getattr(row, what) for row in labels.values()) for what in ("resolves", "changes"))
        return passed(name, f"{changes} of {count(solves, 'solve')} during training changed the relations")
    text = (
        f"The relations never changed in training in {count(len(stuck), 'arm')} ({first_of(stuck, _MOST_NAMED)}): they "
        "end as they started, so the start decides how many fine classes each coarse class has."
    )
    step = (
        "Check that relations.sizes gives the coarse classes the numbers of fine classes that you expect, or lower "
        "relations.balance."
    )
    return warned(name, text, step)


def degenerate(material: Material) -> Check | None:
    """Cells that put nearly all samples into few of their fine classes."""
    data, name = material.data, "Classes in use"
    # A trial of a search is known by its number: its label holds all of its settings.
    labels = {arm.name: arm.label if data.study.design.plans_cells else arm.name for arm in data.arms}
    measured, found = 0, list[str]()
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is None or result.state is not CellState.COMPLETE or (words := _classes(result)) is None:
            continue
        measured += 1
        found += [f"{labels[cell.arm]}, seed {cell.seed} ({words})"] if words else []
    if not measured:
        return None
    if not found:
        return passed(name, f"all {count(measured, 'complete cell')} spread their samples over their fine classes")
    verb = "uses" if len(found) == 1 else "use"
    text = (
        f"{len(found)} of {count(measured, 'complete cell')} {verb} few of the fine classes: "
        f"{first_of(found, _MOST_NAMED)}."
    )
    step = "If an arm is not meant to show that, raise its objective.lambda_reg; its other metrics describe a collapse."
    return warned(name, text, step)


def _classes(result: CellResult) -> str | None:
    """What is wrong with the classes that a cell uses; empty if nothing, None where it was not measured."""
    k = num_fine(result)
    prefixes = [f"{split}/" for split in reversed(SPLITS)]
    used, effective = (
        next((result.metrics[p + base] for p in prefixes if p + base in result.metrics), None)
        for base in ("num_used_classes", "effective_classes")
    )
    if k is None or k < 2 or (used is None and effective is None):
        return None
    if used is not None and used < _FEWEST_USED * k:
        return f"{used:g} of {k} used"
    if effective is not None and effective < 1 + _FEWEST_EFFECTIVE * (k - 1):
        return f"{effective:.2g} of {k} in effect"
    return ""
