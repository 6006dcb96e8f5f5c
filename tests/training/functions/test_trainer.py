from __future__ import annotations

import contextlib
import math
import random
import threading
import time

import numpy as np
import pytest
import torch

from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.errors import TrialError
from fgtune.training.functions.call import UserFunction
from fgtune.training.functions.folder import WorkFolder
from fgtune.training.functions.trainer import FunctionTrainer

METRICS = {"score": {"direction": "maximize", "range": [0, 1]}, "loss": {"direction": "minimize"}}


def make(function, epochs=3, metrics=METRICS, config=None, folder=None, history=()):
    plain = {"kind": "function", "call": "mine:run", "metrics": metrics, "config": config or {}, "epochs": epochs}
    named = UserFunction("mine:run", function, folder is not None)
    return FunctionTrainer(FunctionTrialConfig.from_plain(plain), named, 7, folder, history)


def test_each_step_is_one_report_and_the_function_waits_between_steps():
    reached = []

    def run(config, seed, report):
        for epoch in range(report.epochs):
            reached.append(epoch)
            report(score=epoch / 10, loss=config["scale"] * seed)

    trainer = make(run, config={"scale": 2})
    first = next(trainer)
    time.sleep(0.05)
    assert (first.epoch, dict(first.metrics), reached) == (1, {"score": 0.0, "loss": 14.0}, [0])
    assert [entry.epoch for entry in trainer] == [2, 3]
    outcome = trainer.outcome()
    assert (trainer.is_over, outcome.metrics["score"], outcome.relations) == (True, 0.2, None)


def test_a_stopped_function_leaves_and_cannot_hold_itself_up():
    left = []

    def run(config, seed, report):
        try:
            while True:
                with contextlib.suppress(Exception):
                    report(score=0.5, loss=0.0)
        finally:
            left.append("cleaned up")

    before = set(threading.enumerate())
    trainer = make(run, epochs=9)
    next(trainer)
    trainer.close()
    assert left == ["cleaned up"]
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        ({"scroe": 0.5, "loss": 1.0}, r"'scroe', which is not among trial.metrics. Fix: did you mean 'score'"),
        ({"score": 0.5}, r"does not report loss"),
        ({"score": 59.6, "loss": 1.0}, r"score = 59.6, outside its declared range 0 to 1. Fix: divide per cent by 100"),
        ({"score": "0.5", "loss": 1.0}, r"score must be a number, got '0.5'"),
        ({"score": True, "loss": 1.0}, r"score must be a number, got True"),
        ({"score": None, "loss": 1.0}, r"score must be a number, got None"),
        ({"score": np.zeros(3), "loss": 1.0}, r"score must be a number, got ndarray of shape \(3,\)"),
    ],
)
def test_a_wrong_report_fails_the_cell_with_the_users_line_even_where_it_is_caught(reported, message):
    def run(config, seed, report):
        with contextlib.suppress(Exception):
            report(reported)

    line = run.__code__.co_firstlineno + 2
    with pytest.raises(TrialError, match=rf"test_trainer.py:{line}: .*{message}"):
        next(make(run))


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor([0.5]), np.float64(0.5)])
def test_numbers_of_numpy_and_torch_are_numbers(value):
    (entry,) = make(lambda _c, _s, report: report(score=value, loss=np.int64(2)), epochs=1)
    assert dict(entry.metrics) == {"score": 0.5, "loss": 2.0}


def test_a_hair_beyond_the_range_is_its_end_and_an_undefined_value_stays_undefined():
    (entry,) = make(lambda _c, _s, report: report(score=1.0 + 1e-7, loss=math.nan), epochs=1)
    assert entry.metrics["score"] == 1.0
    assert math.isnan(entry.metrics["loss"])


def never(config, seed, report):
    return {"score": 1.0}


def generates(config, seed, report):
    return (each for each in ())


def too_often(config, seed, report):
    for _ in range(9):
        report(score=0.5, loss=0.0)


def leaves_by_exit(config, seed, report):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (never, "never called report; it returned a dict, which counts for nothing"),
        (generates, "returned a generator, so nothing ran"),
        (too_often, "reports epoch 4, trial.epochs is 3"),
        (leaves_by_exit, "ended with SystemExit: 3"),
    ],
)
def test_a_function_that_does_not_do_its_part_fails_the_cell_with_the_reason(function, message):
    with pytest.raises(TrialError, match=message):
        list(make(function))


def test_what_the_function_raises_comes_out_with_its_own_traceback():
    def run(config, seed, report):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        next(make(run))
    assert caught.traceback[-1].name == "run"


def test_a_final_metric_is_needed_with_the_last_report_only():
    metrics = METRICS | {"cost": {"direction": "minimize", "final": True}}

    def run(config, seed, report):
        report(score=0.1, loss=0.0)
        report(score=0.2, loss=0.0, **config)

    trainer = make(run, metrics=metrics, config={"cost": 3})
    assert [sorted(entry.metrics) for entry in trainer] == [["loss", "score"], ["cost", "loss", "score"]]
    with pytest.raises(TrialError, match="the last report of mine:run lacks cost"):
        list(make(run, metrics=metrics))


def walk(config, seed, report, checkpoint_dir):
    """Saves every second epoch."""
    saved = checkpoint_dir / "deep" / "state.txt"
    epoch, at = map(float, saved.read_text().split()) if saved.exists() else (0.0, 0.0)
    while epoch < report.epochs:
        epoch, at = epoch + 1, (at + random.Random(f"{seed} {epoch}").random()) % 1.0
        if epoch % 2 == 0:
            saved.parent.mkdir(exist_ok=True)
            saved.write_text(f"{epoch} {at!r}")
        report(score=at, loss=0.0)


def curve(trainer):
    return [(entry.epoch, entry.metrics["score"]) for entry in trainer.history]


def test_a_checkpoint_holds_the_folder_and_the_epochs_before_it_last_changed(tmp_path):
    whole = make(walk, epochs=7, folder=WorkFolder(tmp_path / "whole"))
    list(whole)
    cut = make(walk, epochs=7, folder=WorkFolder(tmp_path / "work"))
    for _ in range(5):
        next(cut)
    cut.save(tmp_path / "cell.pt")
    cut.close()
    assert not (tmp_path / "work").exists()
    folder = WorkFolder(tmp_path / "work")
    history = folder.restore(tmp_path / "cell.pt")
    assert [entry.epoch for entry in history] == [1, 2, 3, 4]
    resumed = make(walk, epochs=7, folder=folder, history=history)
    assert [entry.epoch for entry in resumed] == [5, 6, 7]
    assert curve(resumed) == curve(whole)


def test_without_a_saved_state_or_with_a_damaged_one_the_function_starts_afresh(tmp_path):
    trainer = make(walk, folder=WorkFolder(tmp_path / "work"))
    next(trainer)
    trainer.save(tmp_path / "cell.pt")  # nothing was written into the folder yet
    trainer.close()
    assert not (tmp_path / "cell.pt").exists()
    (tmp_path / "cell.pt").write_bytes(b"no archive")
    folder = WorkFolder(tmp_path / "work")
    assert folder.restore(tmp_path / "cell.pt") == ()
    assert list(folder.path.iterdir()) == []


def test_others_go_on_only_from_a_state_that_holds_the_last_epoch(tmp_path):
    def run(config, seed, report, checkpoint_dir):
        for epoch in range(report.epoch, report.epochs):
            if epoch % 2 == 0:
                (checkpoint_dir / "state").write_text(str(epoch))
            report(score=0.5, loss=epoch)

    trainer = make(run, epochs=4, folder=WorkFolder(tmp_path / "work"))
    next(trainer)
    trainer.save_state(tmp_path / "one.pt")
    next(trainer)
    with pytest.raises(TrialError, match=r"nothing to checkpoint_dir before it reported epoch 2, .* now has 1 epoch$"):
        trainer.save_state(tmp_path / "two.pt")
    trainer.close()
    folder = WorkFolder(tmp_path / "other")
    history = folder.restore(tmp_path / "one.pt")
    other = FunctionTrainer(trainer.config, trainer._function, 7, folder, history, forked_at=1)
    assert [entry.epoch for entry in other] == [2, 3, 4]
    assert [entry.epoch for entry in other.outcome().history] == [2, 3, 4]
