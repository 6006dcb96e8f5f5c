"""The plan of a study whose runs were made elsewhere: every arm with every seed, whether it was run or not."""

from __future__ import annotations

from fgtune.config.arms.draft_arms import DraftArm, Drafts
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell, study_hash_of
from fgtune.config.schema.designs import Design
from fgtune.config.schema.imported import ImportedRunConfig
from fgtune.config.schema.study import Study


def imported_arms(study: Study, design: Design) -> Drafts:
    """Every imported arm, the baseline first."""
    drafts = []
    for name, _, _ in design.crossed():
        is_baseline, config = name in design.baseline_arms, ImportedRunConfig(study=study.study, arm=name)
        drafts.append(DraftArm(name, {}, config, is_baseline, "baseline" if is_baseline else "imported"))
    return Drafts((), drafts)


def imported_plan(study: Study) -> Plan:
    """Every imported arm with every seed, block by block."""
    arms = tuple(draft.arm for draft in imported_arms(study, study.design).arms)
    cells = tuple(Cell(arm.name, seed, arm.config, arm.levels) for seed in study.seed_list for arm in arms)
    return Plan(study, study_hash_of(study, ()), (), arms, cells, {})
