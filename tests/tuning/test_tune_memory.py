from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution.tune_controller import TuneController

from fgtune.tuning.tune_memory import KEPT, Forgetting, forgetting_trials


class Trial:
    """As much of a trial as is looked at."""

    def __init__(self) -> None:
        self.is_over = False

    def is_finished(self) -> bool:
        return self.is_over


def test_a_thousand_trials_are_forgotten_in_the_order_of_their_end_and_running_ones_never():
    trials, forget, rng = [], Forgetting(), random.Random(0)
    controller = SimpleNamespace(get_trials=lambda: trials, _stopped_trials=set(), _trials_to_cache=set())
    slow, ended = Trial(), []
    trials.append(slow)
    for _ in range(1000):
        trials.append(Trial())
        controller._trials_to_cache.add(trials[-1])
        running = [trial for trial in trials[1:] if not trial.is_over]
        if len(running) > 4:
            running[0 if rng.random() < 0.5 else -1].is_over = True
            ended.append(running[0] if running[0].is_over else running[-1])
            controller._stopped_trials.add(ended[-1])
        forget(controller)
        known = [trial for trial in trials if trial.is_over]
        assert len(known) < 2 * KEPT
        assert set(known) == set(ended[len(ended) - len(known) :]), "the latest ones are kept"
        assert controller._stopped_trials == set(known)
        assert len(trials) == len(known) + 1 + min(len(running), 4)
    assert slow in trials
    slow.is_over = True
    forget(controller)
    assert slow in trials, "it has only just ended"
    assert len(controller._trials_to_cache) < 2 * KEPT + 5


@pytest.mark.slow
def test_ray_has_what_is_emptied_and_is_itself_again_afterwards(ray_started, tmp_path, monkeypatch):
    monkeypatch.setattr("fgtune.tuning.tune_memory.KEPT", 2)
    step, seen, waiting, managers = TuneController.step, [], [], []
    made = RayActorManager.__init__

    def noted(manager, *arguments, **options):
        made(manager, *arguments, **options)
        managers.append(manager)

    monkeypatch.setattr(RayActorManager, "__init__", noted)

    class Look(tune.Callback):
        def on_step_end(self, iteration, trials, **info):
            seen.append(len(trials))
            waiting.append(len(managers[0]._pending_actors_to_enqueued_actor_tasks) if managers else 0)

        def __getstate__(self):
            return {}

    def score(config):
        tune.report({"score": config["x"]})

    run = tune.RunConfig(storage_path=str(tmp_path), verbose=0, callbacks=[Look()])
    tuner = tune.Tuner(
        score, param_space={"x": tune.grid_search(list(range(12)))}, run_config=run,
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
    )  # fmt: skip
    with forgetting_trials():
        found = tuner.fit()
    assert TuneController.step is step
    assert max(seen) <= 2 * 2 + 1
    assert max(waiting) <= 2 * 2 + 1
    assert 2 <= len(found) < 4
    assert {"x": 11} in [each.config for each in found]
