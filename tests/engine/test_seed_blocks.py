"""Adaptive seeds: which cells each look adds, that all ways there end in the same study, and one run with real Ray."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from support.search_runs import run
from support.synthetic import KF_STUDY, Faults, SyntheticStudy, digits_shape

from fgtune.analysis.inputs import read_study
from fgtune.app.extend import extend
from fgtune.app.plan import print_plan, read_plan
from fgtune.app.status import print_status, read_status
from fgtune.app.verify import verify
from fgtune.config.arms.expand import expand
from fgtune.config.reading.load import load_study
from fgtune.engine.designs import grown_plan, most_cells, size_text
from fgtune.engine.opening import Launch, OpenedStudy
from fgtune.engine.run import _add_block
from fgtune.engine.seed_blocks import cells_to_come, next_block
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.texts import plan_text

SEEDS = "seeds: {min: 5, max: 15}"
ADAPTIVE = KF_STUDY.replace("seeds: 5", SEEDS)
CLEAR = {"baseline": 0.9, "num_fine_ratio=0.8": 0.6, "num_fine_ratio=1.2": 0.885, "num_fine_ratio=1.5": 0.55}
"""Two arms that five seeds decide, and one between the margin and zero that fifteen do not."""
OPEN = "num_fine_ratio=1.2"


pytestmark = pytest.mark.usefixtures("without_curves")


def written(root, text=ADAPTIVE, **study):
    """The maker of a synthetic study and its folder after the first block."""
    maker = SyntheticStudy(text=text, accuracy=CLEAR, noise=0.03, **study)
    return maker, maker.write(root)


def plan_of(folder):
    return grown_plan(expand(load_study(folder.root.parent / "given.yaml"), digits_shape), folder)


def add_cells(maker, folder):
    """Run what is planned and not in the ledger."""
    plan = plan_of(folder)
    known = {result.cell_id for result in folder.ledger.read()}
    maker.write_cells(folder, plan, [cell for cell in plan.cells if cell.cell_id not in known])


def grow(maker, folder) -> list[int]:
    """Look and add blocks to the end; the number of cells that each added."""
    added = []
    while (block := next_block(plan_of(folder), folder)) is not None:
        folder.add_block(block.plan, block.looked_at, block.open_arms)
        added.append(block.cells)
        add_cells(maker, folder)
    return added


def seeds_by_arm(folder) -> dict[str, int]:
    data = read_study(folder)
    return {arm.name: len(data.cells(arm.name)) for arm in data.arms}


def told(show, *arguments, **options) -> str:
    out = io.StringIO()
    show(*arguments, Console(file=out, width=300), **options)
    return out.getvalue()


def test_only_contrasts_without_a_verdict_get_further_seeds_and_their_baseline(tmp_path):
    maker, folder = written(tmp_path)
    block = next_block(plan_of(folder), folder)
    assert (block.open_arms, block.contrasts, block.cells) == ((OPEN,), 3, 10)
    assert block.text == f"look at n = 5: 2 of 3 contrasts decided, open: {OPEN}; 10 cells more to decide them"
    assert grow(maker, folder) == [10, 10]
    assert seeds_by_arm(folder) == {"baseline": 15, "num_fine_ratio=0.8": 5, OPEN: 15, "num_fine_ratio=1.5": 5}
    assert [look["seeds"] for look in folder.read_provenance()["looks"]] == [list(range(5)), list(range(10))]
    assert [len(look) for look in read_study(folder).looks] == [5, 10, 15]


def test_nothing_is_added_once_every_contrast_is_decided(tmp_path, monkeypatch):
    monkeypatch.setitem(CLEAR, OPEN, 0.5)
    _, folder = written(tmp_path)
    plan = plan_of(folder)
    assert next_block(plan, folder) is None
    assert cells_to_come(plan, folder) == 0
    assert "every contrast is decided" in told(print_status, read_status(folder.root))


def test_no_look_is_taken_before_every_planned_cell_has_ended(tmp_path):
    maker, folder = written(tmp_path, faults=Faults(missing={(OPEN, 3)}))
    plan = plan_of(folder)
    assert next_block(plan, folder) is None
    assert cells_to_come(plan, folder) == 4 * 10
    maker.faults = Faults(failed={(OPEN, 3): "TrialError: out of memory"})  # a failed cell has ended
    add_cells(maker, folder)
    assert next_block(plan, folder).open_arms == (OPEN,)


def test_a_study_cut_off_anywhere_ends_with_the_same_plan(tmp_path):
    maker, whole = written(tmp_path / "whole")
    grow(maker, whole)
    for cut in ("before the plan", "in the block"):
        maker, folder = written(tmp_path / cut.replace(" ", "_"))
        block = next_block(plan_of(folder), folder)
        before = folder.plan_file.read_bytes()
        folder.add_block(block.plan, block.looked_at, block.open_arms)
        if cut == "before the plan":  # killed between the record of the look and the plan
            folder.plan_file.write_bytes(before)
            assert [len(look) for look in read_study(folder).looks] == [5]
        else:
            maker.write_cells(folder, plan_of(folder), plan_of(folder).cells[-1:])
            assert next_block(plan_of(folder), folder) is None
            add_cells(maker, folder)
        grow(maker, folder)
        assert folder.plan_file.read_bytes() == whole.plan_file.read_bytes()
        looks = [look["seeds"] for look in folder.read_provenance()["looks"]]
        assert looks == [look["seeds"] for look in whole.read_provenance()["looks"]]


def test_the_plan_file_is_what_study_and_looks_give(tmp_path):
    maker, folder = written(tmp_path)
    grow(maker, folder)
    assert folder.plan_file.read_text(encoding="utf-8") == plan_text(plan_of(folder))
    seeds = [row["seed"] for row in folder.read_plan()]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize("change", ["more", "fewer", "another id", "unknown arm"])
def test_a_plan_file_that_no_look_can_have_written_is_refused(tmp_path, change):
    maker, folder = written(tmp_path)
    grow(maker, folder)
    lines = folder.plan_file.read_text(encoding="utf-8").splitlines(keepends=True)
    last = next(line for line in reversed(lines) if OPEN in line)
    changed = {
        "more": [*lines, last.replace(",14,", ",15,")],
        "fewer": [line for line in lines if not (OPEN in line and ",9," in line)],
        "another id": [line.replace(last.split(",")[0], "0" * 12) for line in lines],
        "unknown arm": [*lines, last.replace(OPEN, "num_fine_ratio=9")],
    }[change]
    folder.plan_file.write_text("".join(changed), encoding="utf-8")
    with pytest.raises(StudyFolderError, match=r"no look at this study can have added.*plan\.csv from a copy"):
        plan_of(folder)


def test_sizes_are_a_range_until_the_end_is_known(tmp_path):
    maker, folder = written(tmp_path)
    plan = plan_of(folder)
    assert size_text(plan) == "4 arms x 5 to 15 seeds = 20 to 60 cells"
    assert most_cells(plan) == 60
    shown = read_plan(plan, folder)
    assert (shown.most, shown.left) == (40, 20)  # the look has decided two arms already
    assert "at most 20 of 40 cells to run" in told(print_plan, shown, cells=False)
    label = next(arm.label for arm in read_study(folder).arms if arm.name == OPEN)
    assert f"seeds: 5 of at most 15, not decided yet: {label}\n" in told(print_status, read_status(folder.root))
    grow(maker, folder)
    shown = read_plan(plan_of(folder), folder)
    assert (shown.most, shown.left) == (40, 0)


def test_an_arm_with_the_cells_of_its_baseline_gets_its_seeds_too(tmp_path):
    text = ADAPTIVE.replace("[0.8, 1.0, 1.2, 1.5]", "[1.0, 1.2]")
    maker, folder = written(tmp_path, text)
    grow(maker, folder)
    assert seeds_by_arm(folder) == {"baseline": 15, OPEN: 15}


def test_adaptive_seeds_are_refused_where_they_can_decide_nothing(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(ADAPTIVE + "scheduler: {kind: asha, metric: val/silhouette}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"seeds: seeds cannot decide contrasts whose trials are stopped early"):
        expand(load_study(file), digits_shape)
    space = "{parameters: {optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}}}"
    search = ADAPTIVE[: ADAPTIVE.index("design:")] + f"design: {{kind: search, space: {space}, trials: 4, "
    search += "metric: val/silhouette}\n" + ADAPTIVE[ADAPTIVE.index("seeds:") :]
    file.write_text(search, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"seeds: a search plans no contrasts that seeds could decide"):
        expand(load_study(file), digits_shape)


def test_a_smoke_run_has_two_fixed_seeds(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(ADAPTIVE, encoding="utf-8")
    assert load_study(file, smoke=True).study.seeds == 2


def test_a_study_with_adaptive_seeds_cannot_be_extended(tmp_path):
    _, folder = written(tmp_path)
    record = folder.read_provenance()
    options = RunOptions(tmp_path / "given.yaml", out=tmp_path).record()
    folder._write_provenance(record | options)
    before = folder.provenance_file.read_bytes()
    with pytest.raises(StudyFolderError, match=r"planned for at most 15 seeds.*a larger seeds\.max"):
        extend(folder.root, 20)
    assert folder.provenance_file.read_bytes() == before


def test_with_only_no_seeds_are_added(tmp_path):
    _, folder = written(tmp_path)
    console = Console(file=io.StringIO(), width=300)
    opened = OpenedStudy(load_study(tmp_path / "given.yaml"), plan_of(folder), {})
    only = RunOptions(tmp_path / "given.yaml", only=("arm=baseline",))
    assert not _add_block(Launch(opened, folder, (), {}, (), only), console)
    assert "with --only, no seeds are added" in console.file.getvalue()
    assert set(seeds_by_arm(folder).values()) == {5}
    assert _add_block(Launch(opened, folder, (), {}, (), replace(only, only=())), console)
    assert seeds_by_arm(folder)[OPEN] == 10


@pytest.mark.long  # the same without Ray is above
def test_a_run_that_was_cut_off_looks_and_goes_on(small_study, tmp_path, ray_started, worker_pids):
    text = small_study.read_text(encoding="utf-8").replace("seeds: 2", "seeds: {min: 3, max: 4, step: 1}")
    small_study.write_text(text.replace("epochs: 4", "epochs: 1"), encoding="utf-8")
    one_worker = ("execution.max_concurrent=1",)
    options = RunOptions(small_study, one_worker, out=tmp_path / "reports", tracking_uri="none")
    code, text = run(replace(options, overrides=(*one_worker, "execution.budget.cells=4")))
    assert (code, text.count("look at n = ")) == (4, 0)
    code, text = run(options)
    assert code == 0, text
    assert "look at n = 3: 0 of 1 contrast decided" in text
    folder = StudyFolder(options.out / "small")
    assert sorted((r.arm, r.seed) for r in folder.ledger.read()) == [
        (arm, seed) for arm in ("baseline", "num_fine_ratio=1.5") for seed in range(4)
    ]
    assert seeds_by_arm(folder) == {"baseline": 4, "num_fine_ratio=1.5": 4}
    assert verify(folder.root).problems == []
    assert len({*worker_pids}) == 2  # one a call: the second block goes on in that of the first
    assert "all 8 cells are finished already; nothing is run" in run(options)[1]
