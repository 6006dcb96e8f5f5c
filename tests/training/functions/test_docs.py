"""The trainers that the page shows do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.training.functions.call import UserFunction
from fgtune.training.functions.folder import WorkFolder
from fgtune.training.functions.trainer import FunctionTrainer

PAGE = (Path(__file__).parents[3] / "docs" / "own_trainer.md").read_text(encoding="utf-8")
ACCURACY = {"accuracy": {"direction": "maximize", "range": [0, 1]}}


@pytest.fixture
def trainer_of(tmp_path):
    def make(holds, metrics, config, epochs, folder=None, history=()):
        code = next(each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if holds in each)
        names = {}
        exec(compile(code, "own_trainer.md", "exec"), names)  # noqa: S102 (the code of our own page)
        plain = {"kind": "function", "call": "m:run", "metrics": metrics, "config": config, "epochs": epochs}
        function = UserFunction("m:run", names["run"], folder is not None)
        return FunctionTrainer(FunctionTrialConfig.from_plain(plain), function, 3, folder, history)

    return make


def test_the_forest_of_the_page_tells_digits_apart(trainer_of):
    (entry,) = trainer_of("RandomForest", ACCURACY, {"trees": 20, "depth": None}, 1)
    assert entry.metrics["accuracy"] > 0.9


def test_the_network_of_the_page_goes_on_from_its_checkpoint_bit_for_bit(trainer_of, tmp_path):
    settings = ("import torch", {"loss": {"direction": "minimize"}, **ACCURACY}, {"lr": 0.1, "width": 16}, 5)
    whole = [dict(entry.metrics) for entry in trainer_of(*settings, WorkFolder(tmp_path / "whole"))]
    cut = trainer_of(*settings, WorkFolder(tmp_path / "work"))
    next(cut), next(cut)
    cut.save(tmp_path / "cell.pt")
    cut.close()
    folder = WorkFolder(tmp_path / "work")
    resumed = trainer_of(*settings, folder, folder.restore(tmp_path / "cell.pt"))
    list(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == whole
    assert whole[-1]["loss"] < whole[0]["loss"]


@pytest.mark.slow
def test_the_lightning_module_of_the_page_goes_on_from_its_checkpoint_bit_for_bit(trainer_of, tmp_path):
    settings = ("import lightning", {"loss": {"direction": "minimize"}, **ACCURACY}, {"lr": 0.1, "width": 32}, 5)
    whole = [dict(entry.metrics) for entry in trainer_of(*settings, WorkFolder(tmp_path / "whole"))]
    cut = trainer_of(*settings, WorkFolder(tmp_path / "work"))
    next(cut), next(cut)
    assert cut.resumable == 2
    cut.save(tmp_path / "cell.pt")
    cut.close()
    folder = WorkFolder(tmp_path / "work")
    resumed = trainer_of(*settings, folder, folder.restore(tmp_path / "cell.pt"))
    list(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == whole
    assert len(whole) == 5
    assert whole[-1]["accuracy"] > 0.9
