"""Spaces and searches that cannot be: one clear error each, with its place."""

from __future__ import annotations

import pytest
from support.spaces import LR, STUDY, failure_of, plan_of

BAD = [
    ("", "space.yaml: must hold a mapping of keys to values. Fix: begin with `parameters:`"),
    ("parameters: {}", "space.yaml:1: design.space.parameters: must have at least one parameter."),
    ("parametrs: {}", "space.yaml:1: design.space.parametrs: unknown key. Fix: did you mean 'parameters'?"),
    ("parameters: {optimizer.lr: 3}", "space.yaml:1: design.space.parameters.optimizer.lr: must be a mapping, got 3"),
    ("parameters: {optimizer.lr: {low: 0.1, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.kind: must be given. Fix: choose one of: choice, uniform"),
    ("parameters: {optimizer.lr: {kind: loguniform, low: 0.1, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.kind: unknown kind, got 'loguniform'. Fix: did you mean 'l"),
    ("parameters: {optimizer.lr: {kind: uniform, low: 1.0, high: 0.1}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be < high, got low 1 and high 0.1; turn them round"),
    ("parameters: {optimizer.lr: {kind: uniform, low: 1.0, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be < high, got low 1 and high 1"),
    ("parameters: {optimizer.lr: {kind: log_uniform, low: 0.0, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be > 0 on a logarithmic scale, got 0"),
    ("parameters: {epochs: {kind: int, low: 0, high: 8, log: true}}",
     "space.yaml:1: design.space.parameters.epochs: low must be > 0 on a logarithmic scale, got 0"),
    ("parameters: {optimizer.lr: {kind: quantized, low: 0.1, high: 0.95, step: 0.1}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: high must lie a whole number of steps above low; "),
    ("parameters: {optimizer.lr: {kind: choice, values: []}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.values: must not be empty, got []"),
    ("parameters: {optimizer.lr: {kind: choice, values: [1, 2, 1]}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.values: must differ, 1 is given twice"),
    ("parameters:\n  optimizer.lrr: {kind: int, low: 0, high: 8}",
     "space.yaml:2: design.space.parameters.optimizer.lrr: no such setting in trial. Fix: did you mean 'optimizer"),
    ("parameters:\n  data.limit: {kind: int, low: 10, high: 80}",
     "space.yaml:2: design.space.parameters.data.limit: the data must be the same in every trial"),
    ("parameters:\n  optimizer: {kind: choice, values: [{kind: sgd}]}\n  optimizer.lr: {kind: int, low: 1, high: 3}",
     "space.yaml:2: design.space.parameters.optimizer: parameters must not overlap, optimizer.lr lies within this one"),
    ("parameters:\n  optimizer.lr: {kind: uniform, low: -0.1, high: 1.0}",
     "space.yaml:2: design.space.parameters.optimizer.lr: must be > 0, got -0."),
    ("parameters:\n  optimizer.momentum: {kind: uniform, low: 0.0, high: 1.0}",
     "space.yaml:2: design.space.parameters.optimizer.momentum: must be < 1, got 1.0"),
    ("parameters:\n  epochs: {kind: uniform, low: 1.0, high: 9.0}",
     "space.yaml:2: design.space.parameters.epochs: must be a whole number, got "),
    ("parameters:\n  relations.mode: {kind: choice, values: [learned, oracle]}",
     "space.yaml:2: design.space.parameters.relations.mode: reads fine labels, which a search without `oracle` must "
     "not, got 'oracle'. Fix: say `oracle: true`, or leave it out"),
    ("parameters:\n  optimizer.lr: {kind: uniform, low: 0.1, high: 1.0}\n"
     "  objective.preset: {kind: choice, values: [falcon, fine]}",
     "space.yaml:3: design.space.parameters.objective.preset: reads fine labels, which a search without `oracle` must "
     "not, got 'fine'"),
    ("parameters:\n  relations.solver.kind: {kind: choice, values: [flow, skip]}",
     "space.yaml:2: design.space.parameters.relations.solver.kind: unknown kind, got 'skip'. Fix: did you mean 'sc"),
    ("parameters:\n  relations.solver.kind: {kind: choice, values: [flow, scip]}\n"
     "  relations.solver.time_limit_s: {kind: uniform, low: 1, high: 9}",
     "space.yaml:3: design.space.parameters.relations.solver.time_limit_s: does not exist in every point of the space. "
     "Fix: add `when:` with the kinds of relations.solver that have it"),
    ("parameters:\n  relations.solver.time_limit_s: {kind: uniform, low: 1, high: 9}",
     "space.yaml:2: design.space.parameters.relations.solver.time_limit_s: does not exist in every point"),
    (f"parameters:\n  {LR[:-1]}, when: epoch > 3}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: 'epoch' is not a setting of a trial, got 'epoch > 3'. "
     "Fix: did you mean 'epochs'?"),
    (f"parameters:\n  {LR[:-1]}, when: epochs >}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: ends too early, got 'epochs >'"),
    (f"parameters:\n  {LR[:-1]}, when: optimizer.kind > 3}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: calculates with 'sgd', which is not a number"),
    (f"parameters:\n  {LR[:-1]}, when: optimizer.kind == 'sgdd'}}\n  epochs: {{kind: int, low: 1, high: 9}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: holds in no point of the space, got \"optimizer.kind"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9, when: batch_size > 3}\n"
     "  batch_size: {kind: int, low: 2, high: 9, when: epochs > 3}",
     "space.yaml:2: design.space.parameters.epochs.when: conditions must not be circular "
     "(epochs -> batch_size -> epochs). Fix: drop one of the conditions"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9, when: epochs > 3}",
     "space.yaml:2: design.space.parameters.epochs.when: conditions must not be circular (epochs -> epochs)"),
    (f"parameters:\n  {LR}\nconstraints:\n  - optimizer.lr > 0\n  - optimizer.lr > 2",
     "space.yaml:5: design.space.constraints[1]: constraints must leave something of the space; each of 2000 points "
     "tried breaks one, 2000 break this one, got 'optimizer.lr > 2'. Fix: loosen it"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9}\nconstraints: [epochs > 9]",
     "space.yaml:3: design.space.constraints[0]: constraints must leave something of the space; every one of the 9 "
     "points breaks one, 9 break this one, got 'epochs > 9'"),
    (f"parameters:\n  {LR}\nconstraints: [optimizer.lrr > 2]",
     "space.yaml:3: design.space.constraints[0]: 'optimizer.lrr' is not a setting of a trial"),
    (f"parameters:\n  {LR}\nconstraints: [optimizer.kind > 2]",
     "space.yaml:3: design.space.constraints[0]: calculates with 'sgd', which is not a number"),
    (f"parameters:\n  {LR}\nconstraints: optimizer.lr > 2",
     "space.yaml:3: design.space.constraints: must be a list, got 'optimizer.lr > 2'"),
    ("parameters:\n  classes.num_fine_ratio: {kind: uniform, low: 0.01, high: 0.1}",
     "space.yaml:1: design.space: each of 2000 points tried is no valid trial, 2000 of them because "
     "trial.classes.num_fine_ratio: must be >= number of coarse classes"),
    ("include: [space.yaml]", "space.yaml:1: include: includes itself (space.yaml -> space.yaml)."),
    ("include: [other.yaml]", "space.yaml:1: include: no such search space, got 'other.yaml'. Fix: there are space."),
    ("include: other.yaml", "space.yaml:1: include: must be a list of files, got 'other.yaml'. Fix: write [other"),
    ("parameters: {a: {kind: int, low: 1, high: 9}, a: {}}",
     "space.yaml:1: parameters.a: key given twice, on lines 1 and 1"),
    ("parameters: [", "space.yaml:1: is not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("space", "message"), BAD, ids=[message[12:70] for _, message in BAD])
def test_a_bad_space_is_one_clear_error(write, space, message):
    told = failure_of(write(space))
    assert told.startswith(message), told
    assert len(told.splitlines()) == 1, told


BAD_DESIGNS = [
    ("sampler: {kind: cmaes}", "design.sampler: cmaes cannot do choices, optimizer.nesterov is one."),
    ("sampler: {kind: brute_force}", "design.sampler: brute_force needs a finite space, optimizer.lr has no end"),
    ("sampler: {kind: grid}", "design.sampler.kind: unknown kind, got 'grid'. Fix: choose one of: tpe, gp, cmaes"),
    ("start: [{optimizer.lr: 2.0}]", "design.start[0].optimizer.lr: must be in its domain {'low': 0.01, 'high': 1.0, "),
    ("start: [{optimizer.l: 2.0}]",
     "design.start[0].optimizer.l: is not a parameter of the space. Fix: did you mean 'op"),
    ("start: [{optimizer.lr: 0.9, optimizer.nesterov: true}]",
     "design.start[0]: is not feasible: breaks the constraint `optimizer.nesterov implies optimizer.lr < 0.5`"),
    ("mode: [maximize, minimize]", "design: mode needs one entry per metric (1), it has 2"),
    ("metric: [val/silhouette, val/silhouette]", "design.metric: must differ, val/silhouette is given twice"),
    ("metric: silhouette", "design.metric: "),
    ("trials: null", "design: trials must be given; sampler tpe has no end of its own"),
    ("trials: 0", "design.trials: must be >= 1, got 0"),
    ("sampler: {kind: cmaes}\n  metric: [val/silhouette, cost/seconds]", "design: sampler cmaes has one objective"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), BAD_DESIGNS, ids=[lines for lines, _ in BAD_DESIGNS])
def test_a_bad_search_is_told_at_its_place(write, lines, message):
    space = (
        f"parameters:\n  {LR}\n  optimizer.nesterov: {{kind: choice, values: [true, false]}}\n"
        "constraints: [optimizer.nesterov implies optimizer.lr < 0.5]"
    )
    kept = [line for line in STUDY.splitlines() if not any(line.strip().startswith(f"{new.split(':')[0].strip()}:")
            for new in lines.splitlines())]  # fmt: skip
    study = "\n".join(kept).replace("  kind: search", f"  kind: search\n  {lines}") + "\n"
    told = failure_of(write(space, study))
    place, _, rest = told.partition(": ")
    assert place.startswith("tiny.yaml:")
    assert rest.startswith(message), told


CONDITIONS = [
    ("qmc", "{kind: choice, values: [flow, scip]}", "qmc cannot do conditions, relations.solver.time_limit_s has one"),
    ("cmaes", "{kind: choice, values: [flow, scip]}", "cmaes cannot do conditions"),
]


@pytest.mark.parametrize(("sampler", "domain", "message"), CONDITIONS, ids=lambda each: each[:12])
def test_samplers_that_cannot_do_conditions_say_so(write, sampler, domain, message):
    space = (
        f"parameters:\n  relations.solver.kind: {domain}\n  relations.solver.time_limit_s: "
        "{kind: uniform, low: 1, high: 9, when: relations.solver.kind == 'scip'}"
    )
    study = STUDY.replace("  kind: search", f"  kind: search\n  sampler: {{kind: {sampler}}}")
    assert f"design.sampler: {message}" in failure_of(write(space, study))


def test_one_parameter_is_too_few_for_cmaes(write):
    study = STUDY.replace("  kind: search", "  kind: search\n  sampler: {kind: cmaes}")
    assert "design.sampler: cmaes needs two parameters or more" in failure_of(write(f"parameters: {{{LR}}}", study))


def test_a_scheduler_must_go_with_the_design(write):
    space = f"parameters: {{{LR}}}"
    assert plan_of(write(space, STUDY + "scheduler: {kind: asha}\n")).study.scheduler.grace_epochs == 5
    several = STUDY.replace("metric: val/silhouette", "metric: [val/silhouette, cost/seconds]")
    told = failure_of(write(space, several + "scheduler: {kind: asha}\n"))
    assert told.startswith(
        "tiny.yaml:12: scheduler: asha needs a metric to judge running trials by. Fix: add `metric:`"
    )
    enumerated = STUDY.replace(STUDY[STUDY.index("  kind: search") : STUDY.index("seeds")],
                               "  kind: sensitivity\n  factors: {epochs: [3]}\n")  # fmt: skip
    told = failure_of(write(space, enumerated + "scheduler: {kind: pbt, metric: val/silhouette}\n"))
    assert "scheduler: pbt changes the parameters of a search, the design is a sensitivity" in told
